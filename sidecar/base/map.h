// SPDX-License-Identifier: Apache-2.0
/*
 * Intrusive hash table keyed by bytes. The element embeds a `struct map_link`
 * whose key must live as long as the element is in the table. Lookup cost
 * is flat in the number of elements; growing rehashes once per doubling.
 */
#ifndef SIDECAR_BASE_MAP_H
#define SIDECAR_BASE_MAP_H

#include "sidecar/base/fail.h"
#include "sidecar/base/hash.h"
#include "sidecar/base/list.h"
#include "sidecar/base/mem.h"

/* Small: there are very many. */
struct map_link {
    struct map_link *next;
    const unsigned char *key;
    uint32_t key_n, hash;
};

/* Before map_insert; borrowed. At most UINT32_MAX bytes. */
void map_set_key(struct map_link *k, struct span key);
static inline struct span map_key(const struct map_link *k)
{
    return span_of(k->key, k->key_n);
}

struct map {
    struct mem *mem;
    struct hash_key seed;
    struct map_link **slots;
    size_t slot_count; /* a power of two, or 0 before the first insert */
    size_t count;
    size_t max_count;
    size_t none_before; /* slots without elements at the start */
};

void map_init(struct map *m, struct mem *mem, struct hash_key seed,
              size_t max_count);

/* Frees the table, not the elements. */
void map_fini(struct map *m);

/* NULL when there is none. */
struct map_link *map_find(const struct map *m, struct span key);

/* The key is set by the caller. RC_EXISTS, RC_LIMIT at
 * max_count, RC_NO_MEMORY; on failure the element is in no table. */
int map_insert(struct map *m, struct map_link *k) must_use;

/* The element must be in the table. */
void map_remove(struct map *m, struct map_link *k);

/* Walks all elements in no useful order: start with NULL, ends with NULL. The
 * table must not change during the walk. */
struct map_link *map_next(const struct map *m, const struct map_link *k);

/* Any element; NULL when there is none. To remove all of them: map_next would
 * look at all empty slots again each time. */
struct map_link *map_any(struct map *m);

/* The elements of one slot, linked by `next`: for a walk with pauses. Where
 * the table grows meanwhile it meets some twice, and leaves none out. */
static inline struct map_link *map_slot(const struct map *m, size_t i)
{
    return m->slots[i];
}

#endif
