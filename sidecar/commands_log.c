// SPDX-License-Identifier: Apache-2.0
/*
 * The tables of commands under `bailiff log`, `history` and `set`.
 */
#include "sidecar/cmd.h"
#include "sidecar/commands.h"
#include "sidecar/history_args.h"

#define LOG "decision log"
#define TOKENS "look at tokens"
#define DIR_HELP                                                               \
    "Works offline, also on a copy. DIR is that of --config, or else\n"        \
    "/var/lib/bailiff/log.\n"
#define CONFIG_HELP "  -c, --config FILE   find the log in this bailiff.yaml\n"
#define JSON_HELP "  -j, --json          the result, or the records, as JSON\n"

const struct command log_commands[] = {
    {LOG, "verify", cmd_log_verify, "",
     "usage: bailiff log verify [DIR|FILE] [--key KEY] [--checkpoint FILE]",
     "every line is there, in order and unchanged",
     DIR_HELP "Exit code 1 when it is not so.\n",
     CONFIG_HELP
     "  -k, --key KEY       public key: file or line; default ../keys/log.pub\n"
     "      --checkpoint FILE  a checkpoint kept elsewhere, to compare "
     "with\n" JSON_HELP,
     NULL},
    {LOG, "query", cmd_log_query, "",
     "usage: bailiff log query [DIR|FILE] [--agent A] [--kind K] [--since T]\n"
     "               [--seq N] [--would]",
     "records by agent, kind and time",
     DIR_HELP "Exit code 1 when there are none.\n",
     CONFIG_HELP
     "  -a, --agent A       only this agent; * stands for any text\n"
     "      --kind K        only this kind: gate, verdict, action, ...\n"
     "  -s, --since T       a time, or a duration: 2h\n"
     "      --would         only what audit mode left undone, and what a\n"
     "                      candidate would do\n"
     "      --seq N         from this record on\n" JSON_HELP,
     NULL},
    {LOG, "tail", cmd_log_tail, "", "usage: bailiff log tail [DIR] [--lines N]",
     "the last records", DIR_HELP,
     CONFIG_HELP "  -n, --lines N       how many; default 20\n" JSON_HELP,
     NULL},
    {LOG, "proof", cmd_log_proof, "", "usage: bailiff log proof [DIR] --seq N",
     "a proof that a record is in the log, to give to others", DIR_HELP,
     CONFIG_HELP "      --seq N         the record\n", NULL},
    {LOG, "schema", cmd_log_schema, "", "usage: bailiff log schema",
     "the JSON Schema of a record", "Prints it.\n", "", NULL},
    COMMANDS_END,
};

const struct command history_commands[] = {
    {LOG, "export", cmd_history, "",
     "usage: bailiff history export [--since T] [-o FILE]",
     "JSON Lines, for `bailiff policy diff`",
     "Writes statements, reads, operator commands and policies from the\n"
     "store, questions and effects from the decision log, in the order in\n"
     "which they happened. Works while the sidecar runs, and on a copy of its\n"
     "data.\n",
     HISTORY_OPTIONS_HELP "  -o, --output FILE   default: standard output\n",
     NULL},
    COMMANDS_END,
};

#define KEY_HELP                                                               \
    "      --jwk FILE      a JWK or a JWK set\n"                               \
    "      --pem FILE      a public key or certificate\n"                      \
    "      --alg LIST      algorithms to allow: RS256,PS256,ES256,ES384,"      \
    "EdDSA\n"

const struct command set_commands[] = {
    {TOKENS, "inspect", cmd_set, "", "usage: bailiff set inspect [FILE]",
     "show a token, and vouch for nothing",
     "Without FILE the token is read from standard input.\n", "", NULL},
    {TOKENS, "verify", cmd_set, "",
     "usage: bailiff set verify --jwk FILE --issuer URL --audience URL [FILE]",
     "do with a token what a feed does", "Exit code 1 when it is refused.\n",
     KEY_HELP
     "      --issuer URL    the only `iss` to accept\n"
     "      --audience LIST what `aud` may name\n"
     "      --types LIST    Agents=agent,Users=user,Groups=group\n"
     "      --base URL      SCIM base of the subjects\n"
     "      --stream ID     stream that verification events must name\n"
     "      --now TIME      judge as if it were then\n"
     "      --allow-untyped accept a header without typ\n"
     "      --allow-sub     ignore `sub` instead of refusing\n"
     "      --allow-exp     ignore `exp` instead of refusing\n"
     "      --uri-aliases   accept the event URIs of drafts\n",
     NULL},
    {TOKENS, "verify-jws", cmd_set, "",
     "usage: bailiff set verify-jws --jwk FILE < TOKEN\n"
     "       bailiff set verify-jws --batch < LINES",
     "check one signature and print the payload",
     "With --batch each line is a key file, a tab and a token, and each "
     "answer\n"
     "is `accept`, or `refuse`, a tab and a reason.\n",
     KEY_HELP "      --batch         many tokens from standard input\n", NULL},
    COMMANDS_END,
};
