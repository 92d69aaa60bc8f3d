// SPDX-License-Identifier: Apache-2.0
#include "sidecar/core/limit.h"

#include <stdlib.h>
#include <string.h>

void limit_windows_init(struct limit_windows *t, struct mem *m,
                        struct hash_key seed)
{
    t->mem = m;
    map_init(&t->by_key, m, seed, LIMIT_TRACKED_MAX);
    for (unsigned k = 0; k < LIMIT_KIND_COUNT; k++) {
        for (unsigned s = 0; s < SOURCE_COUNT; s++) {
            t->at[k][s] = (struct limit_window){.called_ms = INT64_MIN};
            list_init(&t->at[k][s].entries);
        }
    }
}

void limit_windows_fini(struct limit_windows *t)
{
    struct map_link *k;
    while ((k = map_any(&t->by_key)) != NULL)
        limit_drop(t, container_of(k, struct limit_entry, link));
    map_fini(&t->by_key);
}

static void write_key(unsigned char key[LIMIT_KEY_BYTES], enum limit_kind kind,
                      unsigned source, uint64_t agent)
{
    must(kind < LIMIT_KIND_COUNT && source < SOURCE_COUNT);
    key[0] = (unsigned char)kind;
    key[1] = (unsigned char)source;
    for (unsigned i = 0; i < 8; i++)
        key[2 + i] = (unsigned char)(agent >> (56 - 8 * i));
}

struct limit_entry *limit_find(const struct limit_windows *t,
                               enum limit_kind kind, unsigned source,
                               uint64_t agent)
{
    unsigned char key[LIMIT_KEY_BYTES];
    write_key(key, kind, source, agent);
    struct map_link *k = map_find(&t->by_key, span_of(key, LIMIT_KEY_BYTES));
    return k == NULL ? NULL : container_of(k, struct limit_entry, link);
}

int limit_put(struct limit_windows *t, enum limit_kind kind, unsigned source,
              uint64_t agent, int64_t now_ms)
{
    struct limit_window *w = &t->at[kind][source];
    struct limit_entry *en = limit_find(t, kind, source, agent);
    if (en == NULL) {
        en = mem_alloc(t->mem, sizeof *en);
        if (en == NULL)
            return RC_NO_MEMORY;
        write_key(en->key, kind, source, agent);
        map_set_key(&en->link, span_of(en->key, LIMIT_KEY_BYTES));
        int rc = map_insert(&t->by_key, &en->link);
        if (rc < 0) {
            mem_release(t->mem, en);
            return rc;
        }
        w->count++;
    }
    en->at_ms = now_ms;
    list_remove(&en->by_time);
    list_push(&w->entries, &en->by_time);
    return 0;
}

static int older_first(const void *a, const void *b, void *ctx)
{
    const struct limit_entry *const *x = a, *const *y = b;
    (void)ctx;
    if ((*x)->at_ms != (*y)->at_ms)
        return (*x)->at_ms < (*y)->at_ms ? -1 : 1;
    return memcmp((*x)->key, (*y)->key, LIMIT_KEY_BYTES);
}

int limit_sort(struct limit_windows *t)
{
    const size_t n = t->by_key.count;
    struct map_link *k = NULL;
    size_t i = 0;
    if (n == 0)
        return 0;
    struct limit_entry **all = mem_array(t->mem, n, sizeof(void *));
    if (all == NULL)
        return RC_NO_MEMORY;
    while ((k = map_next(&t->by_key, k)) != NULL)
        all[i++] = container_of(k, struct limit_entry, link);
    qsort_r(all, n, sizeof(void *), older_first, NULL);
    for (i = 0; i < n; i++) {
        struct limit_window *w = &t->at[all[i]->key[0]][all[i]->key[1]];
        list_remove(&all[i]->by_time);
        list_push(&w->entries, &all[i]->by_time);
    }
    mem_release(t->mem, all);
    return 0;
}

struct limit_entry *limit_first(const struct limit_window *w)
{
    return list_empty(&w->entries) ? NULL
                                   : container_of(w->entries.head.next,
                                                  struct limit_entry, by_time);
}

uint64_t limit_agent(const struct limit_entry *en)
{
    uint64_t agent = 0;
    for (unsigned i = 0; i < 8; i++)
        agent = agent << 8 | en->key[2 + i];
    return agent;
}

void limit_drop(struct limit_windows *t, struct limit_entry *en)
{
    t->at[en->key[0]][en->key[1]].count--;
    map_remove(&t->by_key, &en->link);
    list_remove(&en->by_time);
    mem_release(t->mem, en);
}
