// SPDX-License-Identifier: Apache-2.0
/*
 * Command-line words: options from a table, with near-miss advice. Exit codes
 * are the same for every command; docs/man/bailiff.1 says what they mean.
 */
#ifndef SIDECAR_CLI_H
#define SIDECAR_CLI_H

#include "sidecar/base/fail.h"
#include "sidecar/base/span.h"

enum {
    EXIT_YES = 0,
    EXIT_NO = 1,
    EXIT_USAGE = 2,
    EXIT_ENVIRONMENT = 3,
    EXIT_FILE = 4 /* trying again is vain until somebody changes a file */
};

/* One option: `--name` and, when `letter` is not 0, `-letter`. Exactly one of
 * `flag` and `value` is set. A value may be given as `--name=value`. */
struct cli_option {
    const char *name;
    char letter;
    bool *flag;
    const char **value;
};

/* The option that a line of a help explains, without its dashes: of
 * "  -a, --agent AGENT   ..." that is "agent". Empty for a line that goes on.
 */
struct span cli_help_option(struct span line, bool *ret_takes_value);

/* From now on cli_parse knows only the options that this help explains: what a
 * command would pass over without a word is a mistake. `help` is a literal. */
void cli_explained(const char *help);

/*
 * Sorts argv[1..] into options and plain words (`words`, at most words_max,
 * borrowed from argv). "--" ends the options. `options` ends with a NULL name.
 * Prints what is wrong to stderr as "bailiff <argv[0]>: ..." and returns
 * RC_INVALID; otherwise the number of words.
 */
int cli_parse(int argc, char **argv, const struct cli_option *options,
              const char **words, unsigned words_max) must_use;

/* A time, or a duration that means so long ago; false for anything else. */
bool cli_since(const char *text, int64_t *ret_ms);

/* "bailiff: text" to stderr; returns EXIT_USAGE. */
int cli_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* "bailiff: text" to stderr; returns EXIT_FILE for RC_CONFIG, else
 * EXIT_ENVIRONMENT. */
int cli_fail(const struct fail *f);

#endif
