// SPDX-License-Identifier: Apache-2.0
/*
 * What the gate rules said, for all agents together. A verdict depends on the
 * policy, the tool and the attributes, and all three are in the key; standing
 * is never kept here, and neither is a verdict that looks at the call's own
 * arguments. A fixed number of slots: a new verdict takes the place of an old
 * one, which costs the next question about that one an evaluation.
 */
#ifndef SIDECAR_CORE_GATE_CACHE_H
#define SIDECAR_CORE_GATE_CACHE_H

#include "policy/policy.h"
#include "sidecar/base/mem.h"

#define GATE_CACHE_SLOTS 4096 /* a power of two */

struct gate_key {
    uint64_t version; /* of the policy and of what it audits */
    uint64_t attrs;   /* their number; 0: nothing is known */
    uint64_t tool;    /* keyed hash */
};

struct gate_slot {
    struct gate_key key;
    bool used;
    struct gate_verdict verdict;
};

struct gate_cache {
    struct mem *mem;
    struct gate_slot *slots; /* NULL until the first verdict */
};

void gate_cache_init(struct gate_cache *c, struct mem *m);
void gate_cache_fini(struct gate_cache *c);

/* NULL when it is not here. */
const struct gate_verdict *gate_cache_find(const struct gate_cache *c,
                                           struct gate_key key);
/* Without memory nothing is kept: it is only slower. */
void gate_cache_put(struct gate_cache *c, struct gate_key key,
                    const struct gate_verdict *v);

#endif
