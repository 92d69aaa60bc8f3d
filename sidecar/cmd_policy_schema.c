// SPDX-License-Identifier: Apache-2.0
/*
 * `bailiff policy schema`: what an editor needs to help with policy files.
 */
#include <unistd.h>

#include "policy/schema.h"
#include "sidecar/cli.h"
#include "sidecar/cmd_policy_tool.h"
#include "sidecar/term.h"

int cmd_policy_schema(int argc, char **argv)
{
    const struct cli_option options[] = {{NULL, 0, NULL, NULL}};
    const char *words[1];
    struct buf out;
    int code = EXIT_YES;
    const int count = cli_parse(argc, argv, options, words, 1);
    if (count < 0)
        return EXIT_USAGE;
    buf_init(&out, mem_system(), TERM_OUT_MAX);
    policy_schema(&out);
    buf_put_str(&out, "\n");
    if (!buf_ok(&out) || term_write(STDOUT_FILENO, buf_span(&out)) < 0)
        code = EXIT_ENVIRONMENT;
    buf_fini(&out);
    return code;
}
