// SPDX-License-Identifier: Apache-2.0
#include "sidecar/core/gate_cache.h"

void gate_cache_init(struct gate_cache *c, struct mem *m)
{
    *c = (struct gate_cache){.mem = m};
}

void gate_cache_fini(struct gate_cache *c)
{
    mem_release(c->mem, c->slots);
    c->slots = NULL;
}

static bool same_key(struct gate_key a, struct gate_key b)
{
    return a.version == b.version && a.attrs == b.attrs && a.tool == b.tool;
}

/* The tool's hash is spread already; numbers of attributes follow each other,
 * and the factor (2^64 divided by the golden ratio) spreads those. */
static size_t place_of(struct gate_key key)
{
    const uint64_t spread = UINT64_C(0x9E3779B97F4A7C15);
    return (size_t)((key.tool ^ key.attrs * spread) >> 32) &
           (GATE_CACHE_SLOTS - 1);
}

const struct gate_verdict *gate_cache_find(const struct gate_cache *c,
                                           struct gate_key key)
{
    if (c->slots == NULL)
        return NULL;
    const struct gate_slot *s = &c->slots[place_of(key)];
    return s->used && same_key(s->key, key) ? &s->verdict : NULL;
}

void gate_cache_put(struct gate_cache *c, struct gate_key key,
                    const struct gate_verdict *v)
{
    if (c->slots == NULL)
        c->slots = mem_array(c->mem, GATE_CACHE_SLOTS, sizeof *c->slots);
    if (c->slots == NULL)
        return;
    c->slots[place_of(key)] =
        (struct gate_slot){.key = key, .used = true, .verdict = *v};
}
