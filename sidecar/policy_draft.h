// SPDX-License-Identifier: Apache-2.0
/*
 * A first policy from a history: what was asked for, grouped by the part of
 * tool names before their first separator, and what was said about agents. It
 * is a start for a person, so it says in comments what it was made from, and
 * it requires no more than what every agent has. It names the tools that were
 * asked for, so that others are denied, and brings tests of both.
 */
#ifndef SIDECAR_POLICY_DRAFT_H
#define SIDECAR_POLICY_DRAFT_H

#include "sidecar/base/buf.h"
#include "sidecar/base/doc.h"
#include "sidecar/base/fail.h"
#include "sidecar/base/map.h"

#define DRAFT_BYTES_MAX (256u * 1024 * 1024)
#define DRAFT_NAMES_MAX 1000000 /* of one kind */

struct draft {
    struct arena arena;
    struct map classes; /* struct tally by prefix: questions */
    struct map singles; /* the same of tools without one */
    struct map users;   /* prefix LF agent: that was allowed such a tool */
    struct map agents;  /* uri -> the groups of its last read */
    struct map groups;  /* agents in them */
    struct map events;  /* type LF feed */
    struct span leaver; /* the first agent that was deactivated, or empty */
    uint64_t questions, allowed, statements, lost;
    int64_t first_ms, last_ms;
};

void draft_init(struct draft *d);
void draft_fini(struct draft *d);
/* One entry of a history. */
void draft_entry(struct draft *d, const struct doc *entry);
/* The policy as YAML. RC_NO_MEMORY. */
int draft_write(struct draft *d, struct buf *out, struct fail *f) must_use;

#endif
