// SPDX-License-Identifier: Apache-2.0
#ifndef SIDECAR_POLICY_SEEN_H
#define SIDECAR_POLICY_SEEN_H

#include "policy/policy.h"

/* Adds warnings about what the decision log at `path` (a folder or one of its
 * files) shows was asked for: tools in no class or named by no gate rule, and
 * patterns that none of these tools matches. `root` is the policy's tree, for
 * the places. Keeps `notes` sorted. */
int policy_seen_warn(struct mem *m, const char *path, const struct policy *p,
                     const struct doc *root, struct policy_notes *notes,
                     struct fail *f) must_use;

#endif
