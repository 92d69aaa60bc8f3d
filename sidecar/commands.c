// SPDX-License-Identifier: Apache-2.0
#include "sidecar/commands.h"

#include <stddef.h>

#include "sidecar/cmd.h"

const struct command commands[] = {
    {"for shells", "completion", cmd_completion, "bash zsh fish",
     "usage: bailiff completion bash|zsh|fish", "print a completion script",
     "Prints a script for your shell, for example:\n"
     "    bailiff completion bash > /etc/bash_completion.d/bailiff\n",
     ""},
    {NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL},
};
