// SPDX-License-Identifier: Apache-2.0
/*
 * The tables of commands: one row gives help, completion and the call. Rows of
 * one group stand together.
 */
#ifndef SIDECAR_COMMANDS_H
#define SIDECAR_COMMANDS_H

struct command {
    const char *group; /* heading in the overview */
    const char *name;
    int (*run)(int argc, char **argv);
    const char *words;    /* what may follow: "list show", or "" */
    const char *synopsis; /* one or more "usage: ..." lines */
    const char *summary;  /* one line of the overview */
    const char *details;  /* paragraphs, each line ends with LF */
    const char *options;  /* "  --name VALUE  text" lines; completion reads
                             the --words from here */
    const struct command *parts; /* commands under this one; then `run` is NULL,
                                    and a part gets "command part" as argv[0]
                                    and its own name as argv[1] */
};

/* Ends with a NULL name. */
extern const struct command commands[];
extern const struct command policy_commands[]; /* under `bailiff policy` */

/* The row of this name, or NULL. */
const struct command *command_find(const struct command *table,
                                   const char *name);

#endif
