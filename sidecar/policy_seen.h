// SPDX-License-Identifier: Apache-2.0
#ifndef SIDECAR_POLICY_SEEN_H
#define SIDECAR_POLICY_SEEN_H

#include "policy/policy.h"
#include "sidecar/history_source.h"

/* Adds warnings about what a history or a decision log shows: tools that were
 * asked for and are in no class or named by no gate rule, patterns that none of
 * these tools matches, events about agents that no rule handles. `root` is the
 * policy's tree, for the places. Keeps `notes` sorted. RC_UNKNOWN_NAME when
 * there is neither a question nor an event. */
int policy_seen_warn(struct mem *m, const struct history_from *from,
                     const struct policy *p, const struct doc *root,
                     struct policy_notes *notes, struct fail *f) must_use;

#endif
