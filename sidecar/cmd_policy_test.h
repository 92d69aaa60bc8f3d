// SPDX-License-Identifier: Apache-2.0
/*
 * The part of `bailiff policy` that runs tests.
 */
#ifndef SIDECAR_CMD_POLICY_TEST_H
#define SIDECAR_CMD_POLICY_TEST_H

#include <stdbool.h>

struct policy_test_args {
    const char *const *files;
    unsigned file_count;
    bool json, tap, verbose, coverage;
    const char *junit;             /* a file to write, or NULL */
    const char *coverage_min_text; /* as given, or NULL */
    unsigned coverage_min;         /* percent; 0: anything will do */
};

/* Runs everything and prints the outcome; an exit code of sidecar/cli.h. */
int policy_test_run(const struct policy_test_args *args);

#endif
