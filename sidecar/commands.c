// SPDX-License-Identifier: Apache-2.0
#include "sidecar/commands.h"

#include <stddef.h>
#include <string.h>

#include "sidecar/cmd.h"
#include "sidecar/operator.h"

const struct command commands[] = {
    {"set up", "run", cmd_run, "",
     "usage: bailiff run [-c FILE] [--signed-by KEYS]", "run the sidecar",
     "Runs in the foreground and says `event=ready` on stderr when it "
     "answers.\n"
     "SIGTERM drains and stops (exit code 0), SIGHUP reloads the policy and\n"
     "certificates, SIGUSR1 reopens the decision log, SIGUSR2 dumps recent\n"
     "diagnostics. Exit code 3 when the store or the log has failed, or when\n"
     "stopping takes longer than 15 seconds; 4 when it cannot start before\n"
     "somebody changes a file: bailiff.yaml, the policy, a signature, a key.\n",
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
    {"operate", "agents", cmd_agents, "", "", "who may act, and why not", "",
     "", agents_commands},
    {"operate", "hold", NULL, "", "", "stop an agent, or let it go", "", "",
     hold_commands},
    {"operate", "review", cmd_review, "", "",
     "decide about agents that wait for a person", "", "", review_commands},
    {"operate", "jobs", cmd_jobs, "", "",
     "actions outside: what is confirmed, what is not", "", "", jobs_commands},
    {"operate", "feeds", cmd_feeds, "", "",
     "is every source of statements alive?", "", "", feeds_commands},
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
    {"decision log", "history", NULL, "", "",
     "what happened, in a form that can be replayed", "", "", history_commands},
    {"decision log", "log", NULL, "", "", "verify and read the decision log",
     "", "", log_commands},
    {"look at tokens", "set", NULL, "", "",
     "inspect and check security event tokens", "", "", set_commands},
    {"for shells", "completion", cmd_completion, "bash zsh fish",
     "usage: bailiff completion bash|zsh|fish", "print a completion script",
     "Prints a script for your shell, for example:\n"
     "    bailiff completion bash > /etc/bash_completion.d/bailiff\n",
     "", NULL},
    COMMANDS_END,
};

const struct command *command_bare(const struct command *c)
{
    return c->parts != NULL && c->run != NULL ? c->parts : c;
}

const struct command *command_find(const struct command *table,
                                   const char *name)
{
    for (; table->name != NULL; table++)
        if (strcmp(table->name, name) == 0)
            return table;
    return NULL;
}
