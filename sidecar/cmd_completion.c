// SPDX-License-Identifier: Apache-2.0
/*
 * `bailiff completion`: scripts made from the tables of commands.
 */
#include "sidecar/cmd.h"

#include <stdio.h>
#include <string.h>

#include "sidecar/cli.h"
#include "sidecar/commands.h"

#define FISH_SECOND_WORD "test (count (commandline -opc)) -eq 2"

typedef void (*option_fn)(const char *where, struct span option,
                          bool takes_value);

/* Calls `each` for every option that the help of a command explains. */
static void each_option(const struct command *c, option_fn each,
                        const char *where)
{
    struct span rest = span_str(c->options);
    while (rest.n > 0) {
        const size_t end = span_find(rest, '\n', 0);
        bool takes_value;
        const struct span option =
            cli_help_option(span_sub(rest, 0, end), &takes_value);
        if (option.n > 0)
            each(where, option, takes_value);
        rest = span_sub(rest, end + 1, rest.n);
    }
}

static void plain_option(const char *where, struct span option,
                         bool takes_value)
{
    (void)where;
    (void)takes_value;
    (void)printf(" --%.*s", PRSPAN(option));
}

/* What may follow the command: its words or the names of its parts, and its
 * options. */
static void print_words(const struct command *c)
{
    (void)fputs(c->words, stdout);
    for (const struct command *p = c->parts; p != NULL && p->name != NULL; p++)
        (void)printf(" %s", p->name);
    each_option(command_bare(c), plain_option, "");
    (void)fputs(" --help", stdout);
}

/* Lines of a case statement over "COMMAND PART", or "COMMAND " at its first
 * word. */
static void print_cases(const char *before, const char *after)
{
    for (const struct command *c = commands; c->name != NULL; c++) {
        const struct command *p = c->parts;
        for (; p != NULL && p->name != NULL; p++) {
            (void)printf("        '%s %s') %s", c->name, p->name, before);
            print_words(p);
            (void)puts(after);
        }
        (void)printf("        '%s '*) %s", c->name, before);
        print_words(c);
        (void)puts(after);
    }
}

static void print_bash(void)
{
    (void)puts(
        "# bash completion for bailiff\n"
        "_bailiff() {\n"
        "    local cur=${COMP_WORDS[COMP_CWORD]}\n"
        "    local prev=${COMP_WORDS[COMP_CWORD-1]}\n"
        "    local words=\"\" second=\"\"\n"
        "    case $prev in\n"
        "    -c|--config|--socket|--data|--dir|--history|--junit|--key|--log|"
        "--output|--resource|--signed-by)\n"
        "        COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
        "    esac\n"
        "    if [ \"$COMP_CWORD\" -eq 1 ]; then");
    (void)printf("        words=\"help version");
    for (const struct command *c = commands; c->name != NULL; c++)
        (void)printf(" %s", c->name);
    (void)puts(
        "\"\n    else\n"
        "        [ \"$COMP_CWORD\" -gt 2 ] && second=${COMP_WORDS[2]}\n"
        "        case \"${COMP_WORDS[1]} $second\" in");
    print_cases("words=\"", "\" ;;");
    (void)puts(
        "        esac\n"
        "    fi\n"
        "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
        "}\n"
        "complete -o default -F _bailiff bailiff");
}

static void print_zsh(void)
{
    (void)puts(
        "#compdef bailiff\n"
        "_bailiff() {\n"
        "    local -a names\n"
        "    local second=''\n"
        "    names=(");
    for (const struct command *c = commands; c->name != NULL; c++)
        (void)printf("        '%s:%s'\n", c->name, c->summary);
    (void)puts(
        "    )\n"
        "    if (( CURRENT == 2 )); then\n"
        "        _describe command names\n"
        "        return\n"
        "    fi\n"
        "    (( CURRENT > 3 )) && second=$words[3]\n"
        "    case \"$words[2] $second\" in");
    print_cases("compadd -- ", " ;;");
    (void)puts(
        "    esac\n"
        "    _files\n"
        "}\n"
        "# The first call of a function that zsh has loaded by its name.\n"
        "if [ \"$funcstack[1]\" = _bailiff ]; then\n"
        "    _bailiff \"$@\"\n"
        "else\n"
        "    compdef _bailiff bailiff\n"
        "fi");
}

static void fish_option(const char *where, struct span option, bool takes_value)
{
    (void)printf("complete -c bailiff -n '%s' -l %.*s%s\n", where,
                 PRSPAN(option), takes_value ? " -r" : "");
}

/* One command, and what follows it. */
static void fish_command(const struct command *c)
{
    char where[160];
    (void)printf("complete -c bailiff -n __fish_use_subcommand -a %s -d '%s'\n",
                 c->name, c->summary);
    (void)snprintf(where, sizeof where, "__fish_seen_subcommand_from %s%s",
                   c->name, c->parts == NULL ? "" : "; and " FISH_SECOND_WORD);
    if (c->words[0] != '\0')
        (void)printf("complete -c bailiff -n '%s' -a '%s'\n", where, c->words);
    each_option(command_bare(c), fish_option, where);
}

static void fish_part(const struct command *c, const struct command *part)
{
    char where[160];
    (void)snprintf(where, sizeof where,
                   "__fish_seen_subcommand_from %s; and "
                   "__fish_seen_subcommand_from %s",
                   c->name, part->name);
    (void)printf(
        "complete -c bailiff -n '__fish_seen_subcommand_from %s; "
        "and " FISH_SECOND_WORD "' -a %s -d '%s'\n",
        c->name, part->name, part->summary);
    each_option(part, fish_option, where);
}

static void print_fish(void)
{
    for (const struct command *c = commands; c->name != NULL; c++) {
        fish_command(c);
        for (const struct command *p = c->parts; p != NULL && p->name != NULL;
             p++)
            fish_part(c, p);
    }
}

int cmd_completion(int argc, char **argv)
{
    static const struct {
        const char *shell;
        void (*print)(void);
    } shells[] = {
        {"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};
    const char *shell = NULL;
    static const struct cli_option options[] = {{NULL, 0, NULL, NULL}};
    const int count = cli_parse(argc, argv, options, &shell, 1);
    if (count < 0)
        return EXIT_USAGE;
    for (size_t i = 0; count == 1 && i < sizeof shells / sizeof *shells; i++) {
        if (strcmp(shells[i].shell, shell) == 0) {
            shells[i].print();
            return EXIT_YES;
        }
    }
    return cli_usage("completion: say which shell: bash, zsh or fish");
}
