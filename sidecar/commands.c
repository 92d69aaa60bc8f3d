// SPDX-License-Identifier: Apache-2.0
#include "sidecar/commands.h"

#include <stddef.h>
#include <string.h>

#include "sidecar/cmd.h"
#include "sidecar/history_args.h"
#include "sidecar/operator.h"

const struct command commands[] = {
    {"set up", "run", cmd_run, "",
     "usage: bailiff run [-c FILE] [--signed-by KEYS]", "run the sidecar",
     "Runs in the foreground and says `event=ready` on stderr when it "
     "answers.\n"
     "SIGTERM drains and stops (exit code 0), SIGHUP reloads the policy and\n"
     "certificates, SIGUSR1 reopens the decision log, SIGUSR2 dumps recent\n"
     "diagnostics. Exit code 3 when the store or the log has failed, or when\n"
     "stopping takes longer than 15 seconds.\n",
     "  -c, --config FILE   default /etc/bailiff/bailiff.yaml\n"
     "      --signed-by KEYS  refuse a bailiff.yaml that none of the keys in "
     "this\n"
     "                      file has signed (FILE.sig), and such a policy\n",
     NULL},
    {"set up", "init", cmd_init, "",
     "usage: bailiff init [--dir DIR] [--origin NAME]",
     "make the data directory and its keys",
     "Makes DIR with keys/seal.key, keys/log.key and keys/log.pub, prints the\n"
     "public key of the decision log. Never replaces a key: exit code 1 when\n"
     "there is one.\n",
     "  -d, --dir DIR       default /var/lib/bailiff\n"
     "      --origin NAME   of the decision log; default bailiff/HOSTNAME\n",
     NULL},
    {"set up", "check", cmd_check, "",
     "usage: bailiff check [-c FILE] [--signed-by KEYS] [--deep] [--json]\n"
     "       bailiff check --keys",
     "say what is wrong with a configuration",
     "Loads bailiff.yaml and the policy it names, and looks at every file\n"
     "both name: is it there, and can only the right people read and write\n"
     "it? Nothing is started and nothing outside is asked.\n",
     "  -c, --config FILE   default /etc/bailiff/bailiff.yaml\n"
     "      --deep          also read all of the database, running or not\n"
     "      --signed-by KEYS  as for run\n"
     "  -k, --keys          list every key of bailiff.yaml\n"
     "  -j, --json          findings as JSON\n",
     NULL},
    {"set up", "policy", NULL, "", "", "check, test, sign or roll out a policy",
     "", "", policy_commands},
    {"operate", "status", cmd_status, "", "usage: bailiff status [--json]",
     "is the sidecar well?",
     "Exit code 1 when the store or the decision log cannot be written.\n",
     OPERATOR_OPTIONS_HELP, NULL},
    {"operate", "agents", cmd_agents, "list show",
     "usage: bailiff agents [list] [--standing WORD] [--limit N]\n"
     "       bailiff agents show AGENT",
     "who may act, and why not",
     "AGENT is the uri of the agent under its SCIM base: /Agents/7\n",
     OPERATOR_OPTIONS_HELP
     "      --standing WORD may_act, inactive, stale, held,\n"
     "                      unknown or gone\n"
     "  -n, --limit N       at most N agents; default 1000\n",
     NULL},
    {"operate", "hold", cmd_hold, "add lift",
     "usage: bailiff hold add AGENT --reason TEXT [--kind KIND] [--tools T,T]\n"
     "       bailiff hold lift AGENT --reason TEXT [--kind KIND] [--cause C]",
     "stop an agent, or let it go",
     "A hold that an operator sets is lifted only by an operator. Without\n"
     "--kind and --cause `lift` ends every hold, those of rules too. Lifting\n"
     "tells what still holds the agent; exit code 1 when nothing was lifted.\n",
     OPERATOR_OPTIONS_HELP OPERATOR_REASON_HELP
     "  -k, --kind KIND     suspended (default) or review\n"
     "      --cause CAUSE   lift only the hold with this cause\n"
     "  -t, --tools T,T     hold only these tools, patterns or classes\n",
     NULL},
    {"operate", "review", cmd_review, "list approve deny",
     "usage: bailiff review [list]\n"
     "       bailiff review approve|deny AGENT --reason TEXT [--cause C]",
     "decide about agents that wait for a person",
     "Denying turns the review into a suspension.\n",
     OPERATOR_OPTIONS_HELP OPERATOR_REASON_HELP
     "      --cause CAUSE   only the review with this cause\n",
     NULL},
    {"operate", "jobs", cmd_jobs, "list retry abandon",
     "usage: bailiff jobs [list] [--state WORD] [--agent AGENT] [--limit N]\n"
     "       bailiff jobs retry|abandon ID --reason TEXT",
     "actions outside: what is confirmed, what is not",
     "A job is confirmed only when everything it reached said so. A job that\n"
     "found nothing to act on says `nothing registered`. One that a limit of\n"
     "the policy withheld begins when it is retried, or ends when abandoned.\n",
     OPERATOR_OPTIONS_HELP OPERATOR_REASON_HELP
     "      --state WORD    pending, running, confirmed, refused, failed,\n"
     "                      abandoned or withheld\n"
     "  -a, --agent AGENT   only jobs of this agent\n"
     "  -n, --limit N       at most N jobs\n",
     NULL},
    {"operate", "feeds", cmd_feeds, "list", "usage: bailiff feeds [list]",
     "is every source of statements alive?",
     "LAST SIGN is the last proof of life: a poll answer, an accepted event\n"
     "or a verification.\n",
     OPERATOR_OPTIONS_HELP, NULL},
    {"operate", "backup", cmd_backup, "",
     "usage: bailiff backup [-c FILE] [--json] TARGET",
     "copy the database, running or not",
     "Makes TARGET (mode 0600, never replaces a file), a consistent copy as "
     "of\n"
     "one moment, and verifies it. The running sidecar is not held up. Keys,\n"
     "the decision log, the configuration and the policy are not in it; keep\n"
     "copies of those apart.\n",
     "  -c, --config FILE   default /etc/bailiff/bailiff.yaml\n"
     "  -j, --json          the result as JSON\n",
     NULL},
    {"operate", "restore", cmd_restore, "",
     "usage: bailiff restore [-c FILE] [--force] [--json] SOURCE",
     "put a backup in the place of the database",
     "Only while the sidecar is stopped (exit code 1 if not). SOURCE is\n"
     "verified before anything is touched. Afterwards every agent needs a "
     "fresh\n"
     "read, and no epoch is given out twice. What happened after the backup\n"
     "and is not told again is lost: operators' holds above all.\n",
     "  -c, --config FILE   default /etc/bailiff/bailiff.yaml\n"
     "  -f, --force         put a database that is there aside, under "
     "another name\n"
     "  -j, --json          the result as JSON\n",
     NULL},
    {"decision log", "history", cmd_history, "export",
     "usage: bailiff history export [--since T] [-o FILE]",
     "what happened, in a form that can be replayed",
     "Writes JSON Lines: statements, reads, operator commands and policies\n"
     "from the store, questions and effects from the decision log, in the\n"
     "order in which they happened. Works while the sidecar runs, and on a\n"
     "copy of its data. For `bailiff policy diff`.\n",
     HISTORY_OPTIONS_HELP "  -o, --output FILE   default: standard output\n",
     NULL},
    {"decision log", "log", cmd_log, "verify query tail proof schema",
     "usage: bailiff log verify [DIR|FILE] [--key KEY] [--checkpoint FILE]\n"
     "       bailiff log query [DIR|FILE] [--agent A] [--kind K] [--since T]\n"
     "                         [--would]\n"
     "       bailiff log tail [DIR] [--lines N]\n"
     "       bailiff log proof [DIR] --seq N\n"
     "       bailiff log schema",
     "verify and read the decision log",
     "Works offline, also on a copy. DIR is that of --config, or else\n"
     "/var/lib/bailiff/log.\n"
     "verify  every line is there, in order and unchanged; exit code 1 if not\n"
     "query   records by agent, kind and time; exit code 1 when there are "
     "none\n"
     "tail    the last records\n"
     "proof   a proof that record N is in the log, to give to others\n"
     "schema  the JSON Schema of a record\n",
     "  -c, --config FILE   find the log in this bailiff.yaml\n"
     "  -k, --key KEY       public key: file or line; default ../keys/log.pub\n"
     "      --checkpoint FILE  a checkpoint kept elsewhere, to compare with\n"
     "  -a, --agent A       only this agent; * stands for any text\n"
     "      --kind K        only this kind: gate, verdict, action, ...\n"
     "  -s, --since T       a time, or a duration: 2h\n"
     "      --would         only what audit mode left undone, and what a\n"
     "                      candidate would do\n"
     "      --seq N         proof: the record; query: from this record on\n"
     "  -n, --lines N       tail: how many; default 20\n"
     "  -j, --json          the result, or the records themselves, as JSON\n",
     NULL},
    {"look at tokens", "set", cmd_set, "inspect verify verify-jws",
     "usage: bailiff set inspect [FILE]\n"
     "       bailiff set verify --jwk FILE --issuer URL --audience URL [FILE]\n"
     "       bailiff set verify-jws --jwk FILE < TOKEN\n"
     "       bailiff set verify-jws --batch < LINES",
     "inspect and check security event tokens",
     "inspect shows a token and vouches for nothing. verify does what a feed\n"
     "does with it. verify-jws checks one signature and prints the payload;\n"
     "with --batch each line is a key file, a tab and a token, and each "
     "answer\n"
     "is `accept`, or `refuse`, a tab and a reason.\n",
     "  --jwk FILE       a JWK or a JWK set\n"
     "  --pem FILE       a public key or certificate\n"
     "  --alg LIST       algorithms to allow: RS256,PS256,ES256,ES384,EdDSA\n"
     "  --batch          many tokens from standard input\n"
     "  --issuer URL     the only `iss` to accept\n"
     "  --audience LIST  what `aud` may name\n"
     "  --types LIST     Agents=agent,Users=user,Groups=group\n"
     "  --base URL       SCIM base of the subjects\n"
     "  --stream ID      stream that verification events must name\n"
     "  --now TIME       judge as if it were then\n"
     "  --allow-untyped  accept a header without typ\n"
     "  --allow-sub      ignore `sub` instead of refusing\n"
     "  --allow-exp      ignore `exp` instead of refusing\n"
     "  --uri-aliases    accept the event URIs of drafts\n",
     NULL},
    {"for shells", "completion", cmd_completion, "bash zsh fish",
     "usage: bailiff completion bash|zsh|fish", "print a completion script",
     "Prints a script for your shell, for example:\n"
     "    bailiff completion bash > /etc/bash_completion.d/bailiff\n",
     "", NULL},
    {NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL},
};

const struct command *command_find(const struct command *table,
                                   const char *name)
{
    for (; table->name != NULL; table++)
        if (strcmp(table->name, name) == 0)
            return table;
    return NULL;
}
