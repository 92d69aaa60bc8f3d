// SPDX-License-Identifier: Apache-2.0
/*
 * The table of commands under `bailiff policy`.
 */
#include <stddef.h>

#include "sidecar/cmd_policy_tool.h"
#include "sidecar/commands.h"
#include "sidecar/history_args.h"
#include "sidecar/operator.h"

#define SOCKET_HELP                                                            \
    "  -c, --config FILE   find the socket in this bailiff.yaml\n"             \
    "  -s, --socket PATH   the admin socket; default "                         \
    "/run/bailiff/admin.sock\n"
#define PAST_HELP                                                              \
    "      --history FILE  as `bailiff history export` wrote it; else the\n"   \
    "                      data directory of -c or "                           \
    "--data\n" HISTORY_OPTIONS_HELP
#define JSON_HELP "  -j, --json          the result as JSON\n"

const struct command policy_commands[] = {
    {"write", "check", cmd_policy_check, "",
     "usage: bailiff policy check FILE [--strict] [--history FILE | -c FILE]\n"
     "               [--log DIR] [--since T] [--json]",
     "what is wrong with a file, or probably not meant",
     "Every error with its place, and warnings of what is allowed but\n"
     "probably not meant: rules that never match, requirements on display\n"
     "names, holds that nothing ends, unused actions. Exit code 1 when\n"
     "there is an error. With a history it also warns of tools that were\n"
     "asked for and no gate rule names, of patterns that none of them\n"
     "matches, and of events about agents that no rule handles.\n",
     "  -s, --strict        exit code 1 for warnings too\n"
     "      --history FILE  what was asked for and said: of `bailiff history\n"
     "                      export`,\n"
     "  -c, --config FILE   or kept where bailiff.yaml says,\n"
     "      --data DIR      or in a data directory,\n"
     "      --log DIR|FILE  or in a decision log\n"
     "      --since T       a time, or a duration: 24h\n" JSON_HELP,
     NULL},
    {"write", "fmt", cmd_policy_fmt, "",
     "usage: bailiff policy fmt FILE [--check | --write]",
     "the canonical form of a file, with its comments",
     "Prints it, or with --write replaces the file.\n",
     "      --check         only say whether it is canonical: exit code 1\n"
     "                      if not\n"
     "  -w, --write         replace the file\n",
     NULL},
    {"write", "show", cmd_policy_show, "", "usage: bailiff policy show [FILE]",
     "the policy as understood, all defaults written out",
     "Without FILE the built-in policy, which is in force when bailiff.yaml\n"
     "names none.\n",
     "", NULL},
    {"write", "schema", cmd_policy_schema, "", "usage: bailiff policy schema",
     "the JSON Schema of policy files, for editors", "Prints it.\n", "", NULL},
    {"write", "init", cmd_policy_init, "",
     "usage: bailiff policy init --from-history [--history FILE]\n"
     "               [--since T]",
     "a first policy, from what was seen",
     "Prints a policy, and on stderr what it would have done. Exit code 1\n"
     "when it denies what was allowed.\n",
     "      --from-history  required: it is the only source\n" PAST_HELP, NULL},
    {"try", "test", cmd_policy_test, "",
     "usage: bailiff policy test FILE... [-v] [--coverage]\n"
     "               [--coverage-min N] [--json | --tap] [--junit FILE]",
     "run the tests of policies",
     "FILE is a policy with tests, or a file of kind PolicyTest. They go\n"
     "through the engine itself; nothing outside is asked. Exit code 1 when\n"
     "one fails.\n",
     "      --coverage      rules, steps, terms, gate rules and events that\n"
     "                      no test has reached, and percentages\n"
     "      --coverage-min N  exit code 1 when tests cover less, in percent\n"
     "  -v, --verbose       also the decision log of every test\n"
     "      --tap           results in the Test Anything Protocol\n"
     "      --junit FILE    also write results as JUnit XML\n" JSON_HELP,
     NULL},
    {"try", "explain", cmd_policy_explain, "",
     "usage: bailiff policy explain FILE --event TYPE --subject PATH\n"
     "               [--resource FILE] [--changed A,B] [--feed NAME]\n"
     "       bailiff policy explain FILE --tool TOOL [--resource FILE]\n"
     "       bailiff policy explain FILE TOKEN|EVENT|QUESTION|-\n"
     "               [--resource FILE] [--feed NAME] [-c FILE [--jwk FILE]]",
     "what each rule makes of one event or tool, and why",
     "What every rule says about an event, or every gate rule about a tool,\n"
     "and which part of it decided. Without --resource nothing was read:\n"
     "conditions wait for a read, requirements are not fulfilled. A token\n"
     "is only decoded, unless -c names the bailiff.yaml of its feed. Exit\n"
     "code 1 for a deny.\n",
     "      --event TYPE    a short name or URI\n"
     "      --subject PATH  /Agents/7, /Users/kim or /Groups/g-1\n"
     "      --resource FILE what a read found: the SCIM resource as JSON\n"
     "      --changed A,B   what the event says has changed\n"
     "      --payload FILE  members of event.* or call.* as JSON\n"
     "      --feed NAME     the feed that the event comes from\n"
     "      --tool TOOL     the tool asked for\n"
     "  -c, --config FILE   verify the token as its feed does\n"
     "      --jwk FILE      a copy of the feed's key set\n" JSON_HELP,
     NULL},
    {"try", "diff", cmd_policy_diff, "",
     "usage: bailiff policy diff [OLD] NEW [--history FILE]\n"
     "               [--since T] [--json]",
     "what a new policy would have done with the same past",
     "Compares NEW with OLD, or without OLD with what happened. Exit code 1\n"
     "when anything differs.\n",
     PAST_HELP JSON_HELP, NULL},
    {"try", "candidate", cmd_policy_candidate, "",
     "usage: bailiff policy candidate [--json]",
     "what the candidate beside the running policy would do",
     "What `policy: {candidate: FILE}` of bailiff.yaml would have done\n"
     "since it was loaded.\n",
     SOCKET_HELP JSON_HELP, NULL},
    {"roll out", "status", cmd_policy_status, "",
     "usage: bailiff policy status [--json]",
     "what is in force: since when, signed by whom",
     "And what was refused last.\n", SOCKET_HELP JSON_HELP, NULL},
    {"roll out", "reload", cmd_policy_reload, "",
     "usage: bailiff policy reload --reason TEXT",
     "take the policy file now, and say what came of it",
     "Exit code 1 when it was refused; then the one before stays in force.\n",
     OPERATOR_REASON_HELP SOCKET_HELP JSON_HELP, NULL},
    {"roll out", "history", cmd_policy_history, "",
     "usage: bailiff policy history [--show DIGEST] [--dir DIR] [--json]",
     "what became active, or was refused and why",
     "Of the running sidecar, or with --dir of a data directory.\n",
     "      --show DIGEST   print this text; 8 digits are enough\n"
     "  -d, --dir DIR       this data directory, without a\n"
     "                      sidecar\n" SOCKET_HELP JSON_HELP,
     NULL},
    {"roll out", "rollback", cmd_policy_rollback, "",
     "usage: bailiff policy rollback [DIGEST | -1] --reason TEXT\n"
     "               [--file PATH]",
     "go back to a policy of the history",
     "Writes its text over the policy file and reloads; when it is refused\n"
     "the file is put back (exit code 1). Without DIGEST: the one before.\n",
     "  -1, --previous      the one before\n"
     "      --file PATH     the policy file, when the sidecar has another\n"
     "                      name for it\n" OPERATOR_REASON_HELP SOCKET_HELP
         JSON_HELP,
     NULL},
    {"sign", "keygen", cmd_policy_keygen, "",
     "usage: bailiff policy keygen NAME [-o FILE]",
     "a key that signs, and its public key beside it",
     "NAME says who signs, as sidecars will show it. Keep the key away from\n"
     "the machines that run sidecars.\n",
     "  -o, --output FILE   default policy.key; the public one has the\n"
     "                      same name with .pub\n",
     NULL},
    {"sign", "sign", cmd_policy_sign, "",
     "usage: bailiff policy sign FILE --key KEY --serial N\n"
     "               [--not-after DATE] [--kind KIND] [-o OUT]",
     "write FILE.sig",
     "A serial must be above every one used before: an old file cannot be\n"
     "put back in its place.\n",
     "  -k, --key KEY       the private key\n"
     "      --serial N      1 to 2^53 - 1\n"
     "      --not-after DATE  2027-02-01 or a time; not taken later\n"
     "      --kind KIND     policy (default), or config: a bailiff.yaml\n"
     "  -o, --output FILE   default FILE.sig\n",
     NULL},
    {"sign", "verify", cmd_policy_verify, "",
     "usage: bailiff policy verify FILE --signed-by KEYS [--signature FILE]\n"
     "               [--kind KIND] [--json]",
     "is the signature for this file, and by one of these keys?",
     "Exit code 1 when not, or when no keys are named.\n",
     "      --signed-by KEYS public keys: a file with one per line\n"
     "      --signature FILE default FILE.sig\n"
     "      --kind KIND     policy (default) or config\n" JSON_HELP,
     NULL},
    COMMANDS_END,
};
