// SPDX-License-Identifier: Apache-2.0
/*
 * What is allowed in a policy file but is probably not what its author meant:
 * rules that never match, requirements that anybody can fulfil, names that
 * nothing uses, important events that no rule handles. Warnings never change
 * what the policy does.
 */
#ifndef POLICY_WARN_H
#define POLICY_WARN_H

#include "policy/policy.h"

/* Adds warnings about a policy that was loaded from `root` without errors; the
 * tree gives the places. `notes` stays sorted. */
void policy_warn(const struct policy *p, const struct doc *root,
                 struct policy_notes *notes);

/* The events that reach rules at all and that no rule about an agent handles:
 * for them the built-in reaction alone applies. A rule that only releases
 * handles nothing. */
event_mask policy_unhandled(const struct policy *p);

/* Can an event of this feed reach the rule at all? */
bool policy_listens_to(const struct policy_rule *r, struct span feed);

#endif
