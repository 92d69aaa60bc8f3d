// SPDX-License-Identifier: Apache-2.0
/*
 * Which rules an event, a hold or a tool concerns, found without asking all of
 * them. Built once when a policy is loaded, immutable afterwards. Sets hold
 * positions in policy->rules or policy->gates, ascending.
 */
#ifndef POLICY_INDEX_H
#define POLICY_INDEX_H

#include "policy/policy.h"

/* Builds policy->index from the rest of the policy. RC_NO_MEMORY. */
int policy_index_build(struct mem *m, struct policy *p) must_use;

/* Rules that an event of this type about such a subject asks: not those that
 * only release. */
struct rule_set policy_rules_on(const struct policy *p, enum event_type type,
                                enum subject_kind subject);

/* Rules that end holds which the rule `set_by` sets; none for a name that is no
 * rule's. */
struct rule_set policy_rules_ending(const struct policy *p, struct span set_by);

/* policy_tool_classes; adds to *looked_at what glob_index_find says. */
uint32_t policy_classes_on(const struct policy *p, struct span tool,
                           size_t *looked_at);

/* Gate rules that name the tool; the set is in `room`. Adds to *looked_at. */
struct rule_set policy_gates_on(const struct policy *p, struct span tool,
                                uint32_t tool_classes,
                                uint16_t room[POLICY_GATES_MAX],
                                size_t *looked_at);

/* Those of `on` that can decide: one whose requirement an earlier one has, too,
 * never denies before that one does. `on` may be in `room`. */
struct rule_set policy_gates_deciding(const struct policy *p,
                                      struct rule_set on, int64_t wall_ms,
                                      uint16_t room[POLICY_GATES_MAX]);

#endif
