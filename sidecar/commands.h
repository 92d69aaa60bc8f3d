// SPDX-License-Identifier: Apache-2.0
/*
 * The tables of commands: one row gives help, completion and the call. Rows of
 * one group stand together.
 */
#ifndef SIDECAR_COMMANDS_H
#define SIDECAR_COMMANDS_H

#include <stddef.h>

struct command {
    const char *group; /* heading in the overview */
    const char *name;
    int (*run)(int argc, char **argv);
    const char *words;    /* what may follow: "bash zsh", or "" */
    const char *synopsis; /* one or more "usage: ..." lines */
    const char *summary;  /* one line of the overview */
    const char *details;  /* paragraphs, each line ends with LF */
    const char *options;  /* "  --name VALUE  text" lines; completion reads
                             the --words from here, and others are refused */
    const struct command
        *parts; /* commands under this one; a part gets
                   "command part" as argv[0] and its own name
                   as argv[1]. Then `run` is NULL, or that of
                   the first part: what the bare command does */
};

/* What a table ends with: a NULL name. */
#define COMMANDS_END                                                           \
    {                                                                          \
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL                   \
    }

extern const struct command commands[];
/* Under `bailiff policy`, ... */
extern const struct command policy_commands[];
extern const struct command agents_commands[], hold_commands[],
    review_commands[], jobs_commands[], feeds_commands[];
extern const struct command log_commands[], history_commands[], set_commands[];

/* The row whose options `c` has when no part is named: its own or, when it is
 * what its first part is, that one's. */
const struct command *command_bare(const struct command *c);

/* The row of this name, or NULL. */
const struct command *command_find(const struct command *table,
                                   const char *name);

#endif
