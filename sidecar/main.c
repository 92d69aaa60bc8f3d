// SPDX-License-Identifier: Apache-2.0
/*
 * The dispatcher: the tables of commands give help, completion and the call.
 * Everything else is in sidecar/cmd_*.c.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "adapters/jws.h"
#include "sidecar/base/guess.h"
#include "sidecar/base/mem.h"
#include "sidecar/cli.h"
#include "sidecar/cmd.h"
#include "sidecar/commands.h"

static int unknown_command(const struct command *of, const char *name)
{
    const char *parent = of == NULL ? "" : of->name;
    const char *gap = of == NULL ? "" : " ";
    struct span best = {NULL, 0};
    unsigned distance = GUESS_NONE;
    for (const struct command *c = of == NULL ? commands : of->parts;
         c->name != NULL; c++)
        guess_try(span_str(name), span_str(c->name), &best, &distance);
    if (best.n > 0)
        return cli_usage("unknown command '%s%s%s'; did you mean '%.*s'?",
                         parent, gap, name, PRSPAN(best));
    return cli_usage("unknown command '%s%s%s'; see `bailiff%s%s --help`",
                     parent, gap, name, *parent == '\0' ? "" : " ", parent);
}

static void print_table(FILE *to, const struct command *table)
{
    const char *group = "";
    for (const struct command *c = table; c->name != NULL; c++) {
        if (strcmp(c->group, group) != 0)
            (void)fprintf(to, "%s%s:\n", *group == '\0' ? "" : "\n", c->group);
        group = c->group;
        (void)fprintf(to, "  %-10s  %s\n", c->name, c->summary);
    }
}

static void print_overview(FILE *to)
{
    (void)fputs("bailiff " BAILIFF_VERSION
                ": enforces identity decisions on running agents\n\n"
                "usage: bailiff COMMAND [ARGUMENTS]\n\n",
                to);
    print_table(to, commands);
    (void)fputs(
        "\n`bailiff help COMMAND` tells more. Exit codes: 0 ok, 1 the "
        "answer is no, 2 usage,\n3 environment, 4 a file has to be changed "
        "first.\n",
        to);
}

static void print_command(FILE *to, const struct command *c)
{
    if (c->parts == NULL) {
        (void)fprintf(to, "%s\n\n%s%s%s", c->synopsis, c->details,
                      *c->options == '\0' ? "" : "\n", c->options);
        return;
    }
    (void)fprintf(to, "usage: bailiff %s %s [ARGUMENTS]\n\n", c->name,
                  c->run == NULL ? "COMMAND" : "[COMMAND]");
    print_table(to, c->parts);
    (void)fprintf(to, "\n`bailiff %s COMMAND --help` tells more", c->name);
    if (c->run != NULL)
        (void)fprintf(to, "; without COMMAND it is `%s`", c->parts->name);
    (void)fputs(".\n", to);
}

/* `bailiff help`, `help COMMAND`, `help COMMAND PART`. */
static int cmd_help(int argc, char **argv)
{
    if (argc < 2) {
        print_overview(stdout);
        return EXIT_YES;
    }
    const struct command *c = command_find(commands, argv[1]);
    if (c == NULL)
        return unknown_command(NULL, argv[1]);
    const struct command *part = NULL;
    if (argc > 2 && c->parts != NULL) {
        part = command_find(c->parts, argv[2]);
        if (part == NULL)
            return unknown_command(c, argv[2]);
    }
    print_command(stdout, part == NULL ? c : part);
    return EXIT_YES;
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

/* Without memory for its buffer stdio would drop bytes without a word. */
static void give_output_room(void)
{
    static char room[BUFSIZ];
    (void)setvbuf(stdout, room, isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF,
                  sizeof room);
}

/* What could not be printed must not look like success. */
static int printed(int code)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return code;
    (void)fputs("bailiff: the output cannot be written\n", stderr);
    return EXIT_ENVIRONMENT;
}

/* Nor must what found no room. The sidecar goes on without. */
static int remembered(int code)
{
    if (!mem_was_refused())
        return code;
    (void)fputs("bailiff: out of memory: this is not the whole answer\n",
                stderr);
    return EXIT_ENVIRONMENT;
}

/* argv[0] is a word of the command line: the command's name. */
static int run_command(const struct command *c, int argc, char **argv)
{
    static char name[64]; /* for messages: "policy check" */
    const bool help = wants_help(argc, argv);
    const struct command *part = c;
    if (c->parts != NULL && argc > 1 && argv[1][0] != '-') {
        part = command_find(c->parts, argv[1]);
        if (part == NULL)
            return unknown_command(c, argv[1]);
        (void)snprintf(name, sizeof name, "%s %s", c->name, part->name);
        argv[0] = name;
    }
    if (help || part->run == NULL)
        print_command(help ? stdout : stderr, part);
    if (help || part->run == NULL)
        return help ? EXIT_YES : EXIT_USAGE;
    cli_explained(command_bare(part)->options);
    struct fail f;
    if (jws_start(&f) < 0) /* else its first use would end the process */
        return cli_fail(&f);
    const int code = part->run(argc, argv);
    return part->run == cmd_run ? code : remembered(code);
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        print_overview(stderr);
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
    const struct command *c = command_find(commands, name);
    return c == NULL ? unknown_command(NULL, name)
                     : run_command(c, argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    open_standard_files();
    give_output_room();
    return printed(dispatch(argc, argv));
}
