// SPDX-License-Identifier: Apache-2.0
/*
 * bailiff.yaml for commands that need something of it.
 */
#ifndef SIDECAR_CLI_CONFIG_H
#define SIDECAR_CLI_CONFIG_H

#include "sidecar/cli.h"
#include "sidecar/config/config.h"

/* Everything lives in `m`. RC_CONFIG says how to see the file's errors. */
int cli_config_load(struct mem *m, const char *path, const struct config **ret,
                    struct fail *f) must_use;

/* The same for a command that ends when it fails: says so on stderr and
 * returns its exit code, EXIT_YES when it has not failed. */
int cli_config(struct mem *m, const char *path, const struct config **ret);

#endif
