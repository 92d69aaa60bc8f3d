// SPDX-License-Identifier: Apache-2.0
/*
 * The dispatcher: one table of commands gives help, completion and the call.
 * Everything else is in sidecar/cmd_*.c.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sidecar/base/guess.h"
#include "sidecar/cli.h"
#include "sidecar/cmd.h"
#include "sidecar/commands.h"

static const struct command *find(const char *name)
{
    for (const struct command *c = commands; c->name != NULL; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

static int unknown_command(const char *name)
{
    struct span best = {NULL, 0};
    unsigned distance = GUESS_NONE;
    for (const struct command *c = commands; c->name != NULL; c++)
        guess_try(span_str(name), span_str(c->name), &best, &distance);
    if (best.n > 0)
        return cli_usage("unknown command '%s'; did you mean '%.*s'?", name,
                         PRSPAN(best));
    return cli_usage("unknown command '%s'; see `bailiff --help`", name);
}

static int print_overview(FILE *to)
{
    (void)fputs("bailiff " BAILIFF_VERSION
                ": enforces identity decisions on running agents\n\n"
                "usage: bailiff COMMAND [ARGUMENTS]\n\n",
                to);
    const char *group = "";
    for (const struct command *c = commands; c->name != NULL; c++) {
        if (strcmp(c->group, group) != 0)
            (void)fprintf(to, "%s%s:\n", *group == '\0' ? "" : "\n", c->group);
        group = c->group;
        (void)fprintf(to, "  %-10s  %s\n", c->name, c->summary);
    }
    (void)fputs(
        "\n`bailiff help COMMAND` tells more. Exit codes: 0 ok, 1 the "
        "answer is no, 2 usage,\n3 environment.\n",
        to);
    return EXIT_YES;
}

static int print_command(const struct command *c)
{
    (void)printf("%s\n\n%s\n%s", c->synopsis, c->details, c->options);
    return EXIT_YES;
}

static int cmd_help(int argc, char **argv)
{
    if (argc < 2)
        return print_overview(stdout);
    const struct command *c = find(argv[1]);
    return c == NULL ? unknown_command(argv[1]) : print_command(c);
}

static bool wants_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

/* A file or socket must not become standard output or error by chance. */
static void open_standard_files(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            _exit(EXIT_ENVIRONMENT);
}

/* What could not be printed must not look like success. */
static int printed(int code)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return code;
    (void)fputs("bailiff: the output cannot be written\n", stderr);
    return EXIT_ENVIRONMENT;
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        (void)print_overview(stderr);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
        (void)puts("bailiff " BAILIFF_VERSION);
        return EXIT_YES;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 ||
        strcmp(name, "help") == 0)
        return cmd_help(argc - 1, argv + 1);
    const struct command *c = find(name);
    if (c == NULL)
        return unknown_command(name);
    if (wants_help(argc - 1, argv + 1))
        return print_command(c);
    return c->run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    open_standard_files();
    return printed(dispatch(argc, argv));
}
