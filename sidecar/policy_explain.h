// SPDX-License-Identifier: Apache-2.0
/*
 * What each rule says about one event, and each gate rule about one tool, as
 * text or JSON. The answers come from the functions that the engine asks; here
 * they are only taken apart.
 */
#ifndef SIDECAR_POLICY_EXPLAIN_H
#define SIDECAR_POLICY_EXPLAIN_H

#include "policy/policy.h"
#include "sidecar/base/json_out.h"
#include "sidecar/term.h"

struct explain {
    struct mem *mem; /* an arena */
    bool json;
    struct buf out;
    struct term term;
    struct json_out j; /* writes to `out`; a map is open */
    const struct policy *p;
    int64_t wall_ms;
    struct rule_question rule; /* the event and what was read */
    const struct doc *data;    /* of a full form: part of the resource */
    struct span tool;          /* the tool asked for */
};

void explain_event(struct explain *w);
/* Is it allowed? */
bool explain_tool(struct explain *w);

#endif
