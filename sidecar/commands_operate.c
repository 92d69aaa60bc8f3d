// SPDX-License-Identifier: Apache-2.0
/*
 * The tables of commands under `bailiff agents`, `hold`, `review`, `jobs` and
 * `feeds`. Where there is a `list`, it comes first: it is what the bare command
 * does.
 */
#include "sidecar/cmd.h"
#include "sidecar/commands.h"
#include "sidecar/operator.h"

#define OPERATE "operate"
#define KIND_HELP "  -k, --kind KIND     suspended (default) or review\n"

const struct command agents_commands[] = {
    {OPERATE, "list", cmd_agents, "",
     "usage: bailiff agents list [--standing WORD] [--limit N]",
     "the agents that the sidecar knows", "",
     OPERATOR_OPTIONS_HELP
     "      --standing WORD only may_act, inactive, stale, held,\n"
     "                      unknown or gone\n"
     "  -n, --limit N       at most N agents; default 1000\n",
     NULL},
    {OPERATE, "show", cmd_agents, "", "usage: bailiff agents show AGENT",
     "all about one of them",
     "AGENT is the uri of the agent under its SCIM base: /Agents/7\n",
     OPERATOR_OPTIONS_HELP, NULL},
    COMMANDS_END,
};

const struct command hold_commands[] = {
    {OPERATE, "add", cmd_hold, "",
     "usage: bailiff hold add AGENT --reason TEXT [--kind KIND] [--tools T,T]",
     "stop an agent, or some of its tools",
     "AGENT is the uri of the agent: /Agents/7. What an operator holds only\n"
     "an operator lets go.\n",
     OPERATOR_OPTIONS_HELP OPERATOR_REASON_HELP KIND_HELP
     "  -t, --tools T,T     hold only these tools, patterns or classes\n",
     NULL},
    {OPERATE, "lift", cmd_hold, "",
     "usage: bailiff hold lift AGENT --reason TEXT [--kind KIND] [--cause C]",
     "let it go",
     "Without --kind and --cause this ends every hold, those of rules too. It\n"
     "tells what still holds the agent; exit code 1 when nothing was lifted.\n",
     OPERATOR_OPTIONS_HELP OPERATOR_REASON_HELP
     "  -k, --kind KIND     only suspended, review or uncovered\n"
     "      --cause CAUSE   only the hold with this cause\n",
     NULL},
    COMMANDS_END,
};

const struct command review_commands[] = {
    {OPERATE, "list", cmd_review, "", "usage: bailiff review list",
     "agents that wait for a person", "", OPERATOR_OPTIONS_HELP, NULL},
    {OPERATE, "approve", cmd_review, "",
     "usage: bailiff review approve AGENT --reason TEXT [--cause C]",
     "let the agent go on", "",
     OPERATOR_OPTIONS_HELP OPERATOR_REASON_HELP
     "      --cause CAUSE   only the review with this cause\n",
     NULL},
    {OPERATE, "deny", cmd_review, "",
     "usage: bailiff review deny AGENT --reason TEXT [--cause C]",
     "turn the review into a suspension", "",
     OPERATOR_OPTIONS_HELP OPERATOR_REASON_HELP
     "      --cause CAUSE   only the review with this cause\n",
     NULL},
    COMMANDS_END,
};

#define MANY_HELP                                                              \
    "With --withheld, the jobs that a limit of the policy withholds: "         \
    "without\n"                                                                \
    "--count they are only listed and counted (exit code 1); with the "        \
    "number\n"                                                                 \
    "that was listed each is changed, with a record of its own.\n"
#define MANY_OPTIONS_HELP                                                      \
    "  -w, --withheld      all that a limit withholds, instead of one ID\n"    \
    "      --rule NAME     of them, only those of this rule\n"                 \
    "  -a, --agent AGENT   of them, only those of this agent\n"                \
    "      --count N       change them, if there are N\n"

const struct command jobs_commands[] = {
    {OPERATE, "list", cmd_jobs, "",
     "usage: bailiff jobs list [--state WORD] [--rule NAME] [--agent AGENT]\n"
     "               [--limit N]",
     "what is being done, and what ended lately",
     "A job is confirmed only when everything it reached said so. A job that\n"
     "found nothing to act on says `nothing registered`. One that a limit of\n"
     "the policy withheld begins when it is retried, or ends when abandoned.\n",
     OPERATOR_OPTIONS_HELP
     "      --state WORD    only pending, running, confirmed, refused, "
     "failed,\n"
     "                      abandoned or withheld\n"
     "      --rule NAME     only jobs of this rule\n"
     "  -a, --agent AGENT   only jobs of this agent\n"
     "  -n, --limit N       at most N jobs; default 1000\n",
     NULL},
    {OPERATE, "retry", cmd_jobs, "",
     "usage: bailiff jobs retry ID --reason TEXT\n"
     "       bailiff jobs retry --withheld [--rule NAME] [--agent AGENT]\n"
     "               [--count N --reason TEXT]",
     "try at once, also what was withheld", MANY_HELP,
     OPERATOR_OPTIONS_HELP OPERATOR_REASON_HELP MANY_OPTIONS_HELP, NULL},
    {OPERATE, "abandon", cmd_jobs, "",
     "usage: bailiff jobs abandon ID --reason TEXT\n"
     "       bailiff jobs abandon --withheld [--rule NAME] [--agent AGENT]\n"
     "               [--count N --reason TEXT]",
     "give up, as unconfirmed", MANY_HELP,
     OPERATOR_OPTIONS_HELP OPERATOR_REASON_HELP MANY_OPTIONS_HELP, NULL},
    COMMANDS_END,
};

const struct command feeds_commands[] = {
    {OPERATE, "list", cmd_feeds, "", "usage: bailiff feeds list",
     "the feeds and when they were heard last",
     "LAST SIGN is the last proof of life: a poll answer, an accepted event\n"
     "or a verification.\n",
     OPERATOR_OPTIONS_HELP, NULL},
    COMMANDS_END,
};
