// SPDX-License-Identifier: Apache-2.0
/*
 * A policy file on disk to a compiled policy.
 */
#ifndef SIDECAR_CONFIG_POLICY_FILE_H
#define SIDECAR_CONFIG_POLICY_FILE_H

#include "policy/policy.h"

/* Reads, parses, compiles and stamps with the SHA-256 of the text. `path`
 * empty: the built-in policy, digest of the empty text. Refuses files that
 * others can write. RC_CONFIG with the reasons in `notes` when the text is
 * wrong (then notes->error_count > 0); everything lives in `m`, also on
 * failure. */
int policy_file_load(struct mem *m, struct span path, const struct policy **ret,
                     struct policy_notes *notes, struct span *ret_source,
                     struct fail *f) must_use;

#endif
