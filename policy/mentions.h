// SPDX-License-Identifier: Apache-2.0
/*
 * Which attributes of a resource and which members of an event the conditions
 * of policies look at. The input history keeps these and no others, so that a
 * replay can decide what was decided and nothing personal is kept besides.
 */
#ifndef POLICY_MENTIONS_H
#define POLICY_MENTIONS_H

#include "policy/policy.h"

#define MENTIONS_MAX 1024 /* of one kind */

struct json_out;

struct mention {
    struct span urn, attr, sub; /* urn empty: core; sub empty: all or `value` */
    bool whole;                 /* looked into with [ ]: kept as it is */
};

struct mentions {
    struct mention *resource;
    unsigned resource_count;
    struct span *event; /* names after `event.` */
    unsigned event_count;
};

/* Adds what the conditions of `p` mention; texts are the policy's, tables are
 * from `m` (an arena). RC_NO_MEMORY, RC_LIMIT at MENTIONS_MAX. */
int mentions_add(struct mem *m, struct mentions *t,
                 const struct policy *p) must_use;
/* What one filter mentions. */
int mentions_add_filter(struct mem *m, struct mentions *t,
                        const struct filter *f) must_use;

/* "groups.value", "urn:...:Agent:tier", "emails[]" when kept as it is. */
void mention_print(const struct mention *n, struct buf *out);

/* Writes the part of a SCIM resource that is mentioned, and what every engine
 * needs: `active` and the ids of relations. */
void mentions_put_resource(const struct mentions *t, const struct doc *resource,
                           struct json_out *j, const char *key);
/* Writes the mentioned members of an event's payload. `data` is a resource. */
void mentions_put_payload(const struct mentions *t, const struct doc *payload,
                          struct json_out *j, const char *key);

#endif
