// SPDX-License-Identifier: Apache-2.0
#include "sidecar/cli.h"

#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "sidecar/base/guess.h"
#include "sidecar/base/time_text.h"

bool cli_since(const char *text, int64_t *ret_ms)
{
    int64_t ago;
    if (time_parse(span_str(text), ret_ms))
        return true;
    if (!duration_parse(span_str(text), &ago))
        return false;
    *ret_ms = (int64_t)time(NULL) * 1000 - ago;
    return true;
}

int cli_usage(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)fputs("bailiff: ", stderr);
    (void)vfprintf(stderr, fmt, ap);
    (void)fputc('\n', stderr);
    va_end(ap);
    return EXIT_USAGE;
}

int cli_fail(const struct fail *f)
{
    (void)fprintf(stderr, "bailiff: %s\n", f->text);
    return f->rc == RC_CONFIG ? EXIT_FILE : EXIT_ENVIRONMENT;
}

/* NULL: all options are known. Commands run one after the other, if at all. */
static const char *explained;

void cli_explained(const char *help)
{
    explained = help;
}

/* An option stands in front; "--" further right is in its explanation. */
#define OPTION_COLUMN_MAX 8

struct span cli_help_option(struct span line, bool *ret_takes_value)
{
    size_t at = 0;
    while (at < line.n && !span_starts(span_sub(line, at, line.n), SPAN("--")))
        at++;
    size_t end = at;
    while (end < line.n && line.p[end] != ' ')
        end++;
    *ret_takes_value = end + 1 < line.n && line.p[end + 1] != ' ';
    return at < end && at < OPTION_COLUMN_MAX ? span_sub(line, at + 2, end)
                                              : SPAN("");
}

/* Several commands may share a table of options. */
static bool is_explained(const struct cli_option *o)
{
    struct span rest = explained == NULL ? SPAN("") : span_str(explained);
    while (rest.n > 0) {
        const size_t end = span_find(rest, '\n', 0);
        bool takes_value;
        if (span_eq(cli_help_option(span_sub(rest, 0, end), &takes_value),
                    span_str(o->name)))
            return true;
        rest = span_sub(rest, end + 1, rest.n);
    }
    return explained == NULL;
}

static const struct cli_option *find(const struct cli_option *options,
                                     struct span name)
{
    for (; options->name != NULL; options++)
        if (span_eq(span_str(options->name), name) && is_explained(options))
            return options;
    return NULL;
}

static const struct cli_option *find_letter(const struct cli_option *options,
                                            char letter)
{
    for (; options->name != NULL; options++)
        if (options->letter != '\0' && options->letter == letter &&
            is_explained(options))
            return options;
    return NULL;
}

static int unknown(const char *command, const struct cli_option *options,
                   const char *arg, struct span name)
{
    struct span best = {NULL, 0};
    unsigned distance = GUESS_NONE;
    for (; options->name != NULL; options++)
        if (is_explained(options))
            guess_try(name, span_str(options->name), &best, &distance);
    if (best.n > 0)
        (void)cli_usage("%s: unknown option %s; did you mean --%.*s?", command,
                        arg, PRSPAN(best));
    else
        (void)cli_usage("%s: unknown option %s; see `bailiff help %s`", command,
                        arg, command);
    return RC_INVALID;
}

struct arguments {
    int argc;
    char **argv;
    int at;
    const struct cli_option *options;
};

/* Takes the option at a->at and, when it has one, its value. */
static int take_option(struct arguments *a)
{
    const char *command = a->argv[0], *arg = a->argv[a->at];
    const bool is_long = arg[1] == '-';
    struct span name = span_str(arg + 2);
    const char *inline_value = NULL;
    const struct cli_option *o;
    if (is_long) {
        const size_t eq = span_find(name, '=', 0);
        if (eq < name.n)
            inline_value = arg + 2 + eq + 1;
        name = span_sub(name, 0, eq);
        o = find(a->options, name);
    } else {
        o = arg[2] == '\0' ? find_letter(a->options, arg[1]) : NULL;
    }
    if (o == NULL)
        return unknown(command, a->options, arg,
                       is_long ? name : span_str(arg + 1));
    if (o->flag != NULL) {
        *o->flag = true;
        if (inline_value == NULL)
            return RC_OK;
        (void)cli_usage("%s: --%s takes no value", command, o->name);
        return RC_INVALID;
    }
    if (inline_value == NULL && a->at + 1 < a->argc)
        inline_value = a->argv[++a->at];
    *o->value = inline_value;
    if (inline_value != NULL)
        return RC_OK;
    (void)cli_usage("%s: --%s needs a value", command, o->name);
    return RC_INVALID;
}

int cli_parse(int argc, char **argv, const struct cli_option *options,
              const char **words, unsigned words_max)
{
    struct arguments a = {argc, argv, 1, options};
    unsigned count = 0;
    bool only_words = false;
    for (; a.at < argc; a.at++) {
        const char *arg = argv[a.at];
        if (!only_words && strcmp(arg, "--") == 0) {
            only_words = true;
        } else if (!only_words && arg[0] == '-' && arg[1] != '\0') {
            TRY(take_option(&a));
        } else if (count < words_max) {
            words[count++] = arg;
        } else {
            (void)cli_usage("%s: what is '%s' for? see `bailiff help %s`",
                            argv[0], arg, argv[0]);
            return RC_INVALID;
        }
    }
    return (int)count;
}
