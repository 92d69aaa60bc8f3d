// SPDX-License-Identifier: Apache-2.0
/*
 * `bailiff completion`: scripts made from the tables of commands.
 */
#include "sidecar/cmd.h"

#include <stdio.h>
#include <string.h>

#include "sidecar/cli.h"
#include "sidecar/commands.h"

/* Calls `each` for every --word in a command's option text. */
static void each_option(const struct command *c,
                        void (*each)(const char *where, struct span option),
                        const char *where)
{
    struct span text = span_str(c->options);
    for (size_t i = 0; i + 2 < text.n; i++) {
        if (!span_starts(span_sub(text, i, text.n), SPAN("--")))
            continue;
        size_t end = i + 2;
        while (end < text.n && ((text.p[end] >= 'a' && text.p[end] <= 'z') ||
                                text.p[end] == '-'))
            end++;
        each(where, span_sub(text, i, end));
        i = end;
    }
}

static void plain_option(const char *where, struct span option)
{
    (void)where;
    (void)printf(" %.*s", PRSPAN(option));
}

/* What may follow the command: its words or the names of its parts, and its
 * options. */
static void print_words(const struct command *c)
{
    (void)fputs(c->words, stdout);
    for (const struct command *p = c->parts; p != NULL && p->name != NULL; p++)
        (void)printf(" %s", p->name);
    each_option(c, plain_option, "");
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
        "compdef _bailiff bailiff");
}

static void fish_option(const char *where, struct span option)
{
    (void)printf("complete -c bailiff -n '%s' -l %.*s\n", where,
                 PRSPAN(span_sub(option, 2, option.n)));
}

/* One command under the condition `where`, and what follows it. */
static void print_fish_command(const struct command *c, const char *where)
{
    char seen[160];
    (void)printf("complete -c bailiff -n '%s' -a %s -d '%s'\n", where, c->name,
                 c->summary);
    (void)snprintf(seen, sizeof seen, "__fish_seen_subcommand_from %s",
                   c->name);
    if (c->words[0] != '\0')
        (void)printf("complete -c bailiff -n '%s' -a '%s'\n", seen, c->words);
    each_option(c, fish_option, seen);
}

static void fish_part(const struct command *c, const struct command *part)
{
    char where[160];
    (void)snprintf(where, sizeof where,
                   "__fish_seen_subcommand_from %s; and "
                   "__fish_seen_subcommand_from %s",
                   c->name, part->name);
    (void)printf(
        "complete -c bailiff -n '__fish_seen_subcommand_from %s; and test "
        "(count (commandline -opc)) -eq 2' -a %s -d '%s'\n",
        c->name, part->name, part->summary);
    each_option(part, fish_option, where);
}

static void print_fish(void)
{
    for (const struct command *c = commands; c->name != NULL; c++) {
        print_fish_command(c, "__fish_use_subcommand");
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
