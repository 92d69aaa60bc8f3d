// SPDX-License-Identifier: Apache-2.0
#include "sidecar/base/map.h"

#define MAP_FIRST_SLOTS 16

void map_set_key(struct map_link *k, struct span key)
{
    must(key.n <= UINT32_MAX);
    k->key = key.p;
    k->key_n = (uint32_t)key.n;
}

static uint32_t hash_of(const struct map *m, struct span key)
{
    return (uint32_t)hash_span(&m->seed, key);
}

void map_init(struct map *m, struct mem *mem, struct hash_key seed,
              size_t max_count)
{
    *m = (struct map){.mem = mem, .seed = seed, .max_count = max_count};
}

void map_fini(struct map *m)
{
    mem_release(m->mem, m->slots);
    m->slots = NULL;
    m->slot_count = m->count = m->none_before = 0;
}

static struct map_link *find(const struct map *m, struct span key,
                             uint32_t hash)
{
    if (m->slot_count == 0)
        return NULL;
    struct map_link *k = m->slots[hash & (m->slot_count - 1)];
    while (k != NULL && (k->hash != hash || !span_eq(map_key(k), key)))
        k = k->next;
    return k;
}

struct map_link *map_find(const struct map *m, struct span key)
{
    return find(m, key, hash_of(m, key));
}

static int grow(struct map *m)
{
    size_t n = m->slot_count == 0 ? MAP_FIRST_SLOTS : m->slot_count * 2;
    struct map_link **slots = mem_array(m->mem, n, sizeof(struct map_link *));
    if (slots == NULL)
        return RC_NO_MEMORY;
    for (size_t i = 0; i < m->slot_count; i++) {
        struct map_link *k = m->slots[i];
        while (k != NULL) {
            struct map_link *next = k->next;
            k->next = slots[k->hash & (n - 1)];
            slots[k->hash & (n - 1)] = k;
            k = next;
        }
    }
    mem_release(m->mem, m->slots);
    m->slots = slots;
    m->slot_count = n;
    m->none_before = 0;
    return 0;
}

int map_insert(struct map *m, struct map_link *k)
{
    k->hash = hash_of(m, map_key(k));
    if (find(m, map_key(k), k->hash) != NULL)
        return RC_EXISTS;
    if (m->count >= m->max_count)
        return RC_LIMIT;
    if (m->count >= m->slot_count)
        TRY(grow(m));
    size_t at = k->hash & (m->slot_count - 1);
    k->next = m->slots[at];
    m->slots[at] = k;
    if (at < m->none_before)
        m->none_before = at;
    m->count++;
    return 0;
}

void map_remove(struct map *m, struct map_link *k)
{
    struct map_link **at = &m->slots[k->hash & (m->slot_count - 1)];
    while (*at != NULL && *at != k)
        at = &(*at)->next;
    must(*at == k);
    *at = k->next;
    k->next = NULL;
    m->count--;
}

struct map_link *map_next(const struct map *m, const struct map_link *k)
{
    if (k != NULL && k->next != NULL)
        return k->next;
    size_t i = k == NULL ? 0 : (k->hash & (m->slot_count - 1)) + 1;
    for (; i < m->slot_count; i++)
        if (m->slots[i] != NULL)
            return m->slots[i];
    return NULL;
}

struct map_link *map_any(struct map *m)
{
    for (; m->none_before < m->slot_count; m->none_before++)
        if (m->slots[m->none_before] != NULL)
            return m->slots[m->none_before];
    return NULL;
}
