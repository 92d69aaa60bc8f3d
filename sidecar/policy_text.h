// SPDX-License-Identifier: Apache-2.0
/*
 * A compiled policy as a policy file: every default written out, conditions in
 * normal form. Loading the text again gives the same policy (without its
 * tests, which are not part of what is enforced).
 */
#ifndef SIDECAR_POLICY_TEXT_H
#define SIDECAR_POLICY_TEXT_H

#include "policy/policy.h"
#include "sidecar/base/buf.h"

void policy_text_put(struct buf *out, const struct policy *p);

/* One entry of the rule's `events`: a name, or "{idle: 30d}". */
void policy_text_event(struct buf *out, const struct policy_rule *r,
                       enum event_type type);

/* One step as it stands under `do`, without "- ". */
void policy_text_step(struct buf *out, const struct policy *p,
                      const struct policy_step *s);

#endif
