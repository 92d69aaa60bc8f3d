// SPDX-License-Identifier: Apache-2.0
/*
 * A policy file on disk to a compiled policy.
 */
#ifndef SIDECAR_CONFIG_POLICY_FILE_H
#define SIDECAR_CONFIG_POLICY_FILE_H

#include "policy/policy.h"
#include "policy/test.h"

/* Reads, parses, compiles and stamps with the SHA-256 of the text. `path`
 * empty: the built-in policy, digest of the empty text. Refuses files that
 * others can write. RC_CONFIG with the reasons in `notes` when the text is
 * wrong (then notes->error_count > 0); everything lives in `m`, also on
 * failure. */
int policy_file_load(struct mem *m, struct span path, const struct policy **ret,
                     struct policy_notes *notes, struct span *ret_source,
                     struct fail *f) must_use;

/* The same for a text that was read already; `path` is only for messages. */
int policy_text_load(struct mem *m, struct span path, struct span text,
                     const struct policy **ret, struct policy_notes *notes,
                     struct fail *f) must_use;

/* What `bailiff policy test` is given: a policy with its own tests, or a file
 * of kind PolicyTest and the policy that it names. */
struct policy_test_file {
    struct span path;        /* of the tests */
    struct span policy_path; /* the same, or what `policy` says */
    struct span read_path;   /* the file that notes and source are about */
    struct span source;
    const struct policy *policy;
    const struct policy_test *tests;
    unsigned test_count;
};

/* As policy_file_load; `policy` is relative to the folder of `path`. On
 * failure read_path and source say which of the two files is wrong. */
int policy_test_file_load(struct mem *m, struct span path,
                          struct policy_test_file *ret,
                          struct policy_notes *notes, struct fail *f) must_use;

#endif
