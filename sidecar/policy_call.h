// SPDX-License-Identifier: Apache-2.0
#ifndef SIDECAR_POLICY_CALL_H
#define SIDECAR_POLICY_CALL_H

#include "policy/policy.h"

/* What conditions of gate rules see of a question, for tools that evaluate
 * them outside of the engine: `tool`, `tool_class`, and the members of `more`
 * (may be NULL), such as `run_id`. NULL when out of memory. */
struct doc *policy_call_doc(struct mem *m, const struct policy *p,
                            struct span tool, const struct doc *more);

#endif
