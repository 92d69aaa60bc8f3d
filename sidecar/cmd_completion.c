// SPDX-License-Identifier: Apache-2.0
/*
 * `bailiff completion`: scripts made from the table of commands.
 */
#include "sidecar/cmd.h"

#include <stdio.h>
#include <string.h>

#include "sidecar/cli.h"
#include "sidecar/commands.h"

/* Calls `each` for every --word in a command's option text. */
static void each_option(const struct command *c,
                        void (*each)(const struct command *c,
                                     struct span option))
{
    struct span text = span_str(c->options);
    for (size_t i = 0; i + 2 < text.n; i++) {
        if (!span_starts(span_sub(text, i, text.n), SPAN("--")))
            continue;
        size_t end = i + 2;
        while (end < text.n && ((text.p[end] >= 'a' && text.p[end] <= 'z') ||
                                text.p[end] == '-'))
            end++;
        each(c, span_sub(text, i, end));
        i = end;
    }
}

static void plain_option(const struct command *c, struct span option)
{
    (void)c;
    (void)printf(" %.*s", PRSPAN(option));
}

static void print_bash(void)
{
    (void)puts(
        "# bash completion for bailiff\n"
        "_bailiff() {\n"
        "    local cur=${COMP_WORDS[COMP_CWORD]}\n"
        "    local prev=${COMP_WORDS[COMP_CWORD-1]}\n"
        "    local words=\"\"\n"
        "    case $prev in\n"
        "    -c|--config|--socket|--policy)\n"
        "        COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
        "    esac\n"
        "    if [ \"$COMP_CWORD\" -eq 1 ]; then");
    (void)printf("        words=\"help version");
    for (const struct command *c = commands; c->name != NULL; c++)
        (void)printf(" %s", c->name);
    (void)puts("\"\n    else\n        case ${COMP_WORDS[1]} in");
    for (const struct command *c = commands; c->name != NULL; c++) {
        (void)printf("        %s) words=\"%s", c->name, c->words);
        each_option(c, plain_option);
        (void)puts(" --help\" ;;");
    }
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
        "    names=(");
    for (const struct command *c = commands; c->name != NULL; c++)
        (void)printf("        '%s:%s'\n", c->name, c->summary);
    (void)puts(
        "    )\n"
        "    if (( CURRENT == 2 )); then\n"
        "        _describe command names\n"
        "        return\n"
        "    fi\n"
        "    case $words[2] in");
    for (const struct command *c = commands; c->name != NULL; c++) {
        (void)printf("    %s) compadd -- %s", c->name, c->words);
        each_option(c, plain_option);
        (void)puts(" --help ;;");
    }
    (void)puts(
        "    esac\n"
        "    _files\n"
        "}\n"
        "compdef _bailiff bailiff");
}

static void fish_option(const struct command *c, struct span option)
{
    (void)printf(
        "complete -c bailiff -n '__fish_seen_subcommand_from %s' "
        "-l %.*s\n",
        c->name, PRSPAN(span_sub(option, 2, option.n)));
}

static void print_fish(void)
{
    for (const struct command *c = commands; c->name != NULL; c++) {
        (void)printf(
            "complete -c bailiff -n __fish_use_subcommand -a %s "
            "-d '%s'\n",
            c->name, c->summary);
        if (c->words[0] != '\0')
            (void)printf(
                "complete -c bailiff -n "
                "'__fish_seen_subcommand_from %s' -a '%s'\n",
                c->name, c->words);
        each_option(c, fish_option);
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
