// SPDX-License-Identifier: Apache-2.0
#include "sidecar/core/dedupe.h"

#include <string.h>

#define FIRST_SLOTS 1024

void dedupe_init(struct dedupe *d, struct mem *m, struct hash_key k1,
                 struct hash_key k2, size_t max)
{
    *d = (struct dedupe){.mem = m, .k1 = k1, .k2 = k2, .max = max};
}

void dedupe_fini(struct dedupe *d)
{
    mem_release(d->mem, d->slots);
    d->slots = NULL;
    d->slot_count = d->count = 0;
}

struct dedupe_id dedupe_id(const struct dedupe *d, struct span feed,
                           struct span issuer, struct span jti)
{
    /* Hash of hashes: no joined copy of strings of any length is needed, and
     * no two triples run into each other. */
    const struct span parts[3] = {feed, issuer, jti};
    uint64_t a[3], b[3];
    for (int i = 0; i < 3; i++) {
        a[i] = hash_span(&d->k1, parts[i]);
        b[i] = hash_span(&d->k2, parts[i]);
    }
    struct dedupe_id id = {hash_span(&d->k1, span_of(b, sizeof b)),
                           hash_span(&d->k2, span_of(a, sizeof a))};
    if (id.h1 == 0 && id.h2 == 0)
        id.h2 = 1; /* 0,0 marks a free slot */
    return id;
}

static bool is_free(const struct dedupe_entry *e)
{
    return e->h1 == 0 && e->h2 == 0;
}

/* The slot that holds the id, or the free one where it would go. */
static size_t probe(const struct dedupe *d, struct dedupe_id id)
{
    size_t i = (size_t)id.h1 & (d->slot_count - 1);
    while (!is_free(&d->slots[i]) &&
           (d->slots[i].h1 != id.h1 || d->slots[i].h2 != id.h2))
        i = (i + 1) & (d->slot_count - 1);
    return i;
}

const struct dedupe_entry *dedupe_find(const struct dedupe *d,
                                       struct dedupe_id id)
{
    if (d->slot_count == 0)
        return NULL;
    const struct dedupe_entry *e = &d->slots[probe(d, id)];
    return is_free(e) ? NULL : e;
}

static int grow(struct dedupe *d)
{
    size_t n = d->slot_count == 0 ? FIRST_SLOTS : d->slot_count * 2;
    struct dedupe_entry *old = d->slots;
    size_t old_n = d->slot_count;
    struct dedupe_entry *slots = mem_array(d->mem, n, sizeof *slots);
    if (slots == NULL)
        return RC_NO_MEMORY;
    d->slots = slots;
    d->slot_count = n;
    for (size_t i = 0; i < old_n; i++)
        if (!is_free(&old[i]))
            slots[probe(d, (struct dedupe_id){old[i].h1, old[i].h2})] = old[i];
    mem_release(d->mem, old);
    return 0;
}

int dedupe_put(struct dedupe *d, struct dedupe_id id, uint64_t payload,
               uint32_t when_s)
{
    if (d->slot_count == 0 || d->count * 3 >= d->slot_count * 2)
        TRY(grow(d));
    struct dedupe_entry *e = &d->slots[probe(d, id)];
    if (is_free(e)) {
        if (d->count >= d->max)
            return RC_LIMIT;
        d->count++;
    }
    *e = (struct dedupe_entry){id.h1, id.h2, payload, when_s, 0};
    return 0;
}

void dedupe_drop(struct dedupe *d, struct dedupe_id id)
{
    if (d->slot_count == 0)
        return;
    size_t mask = d->slot_count - 1, hole = probe(d, id);
    if (is_free(&d->slots[hole]))
        return;
    /* Close the gap: move back every later entry of the run whose home slot
     * does not lie behind the hole. */
    for (size_t i = (hole + 1) & mask; !is_free(&d->slots[i]);
         i = (i + 1) & mask) {
        size_t home = (size_t)d->slots[i].h1 & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            d->slots[hole] = d->slots[i];
            hole = i;
        }
    }
    d->slots[hole] = (struct dedupe_entry){0, 0, 0, 0, 0};
    d->count--;
}

bool dedupe_oldest(struct dedupe *d, unsigned entries, struct dedupe_id *ret)
{
    const struct dedupe_entry *oldest = NULL;
    for (size_t i = 0; i < d->slot_count && entries > 0; i++) {
        const struct dedupe_entry *e =
            &d->slots[d->sweep_at++ & (d->slot_count - 1)];
        if (is_free(e))
            continue;
        entries--;
        if (oldest == NULL || e->when_s < oldest->when_s)
            oldest = e;
    }
    if (oldest != NULL)
        *ret = (struct dedupe_id){oldest->h1, oldest->h2};
    return oldest != NULL;
}

bool dedupe_sweep(struct dedupe *d, size_t slots, uint32_t before_s,
                  struct dedupe_id *ret)
{
    for (; slots > 0 && d->slot_count > 0; slots--) {
        const struct dedupe_entry *e =
            &d->slots[d->sweep_at++ & (d->slot_count - 1)];
        if (!is_free(e) && e->when_s < before_s) {
            *ret = (struct dedupe_id){e->h1, e->h2};
            return true;
        }
    }
    return false;
}

void dedupe_key(struct dedupe_id id, unsigned char out[DEDUPE_KEY_BYTES])
{
    for (int i = 0; i < 8; i++) {
        out[i] = (unsigned char)(id.h1 >> (56 - 8 * i));
        out[8 + i] = (unsigned char)(id.h2 >> (56 - 8 * i));
    }
}

bool dedupe_key_read(struct span key, struct dedupe_id *ret)
{
    if (key.n != DEDUPE_KEY_BYTES)
        return false;
    *ret = (struct dedupe_id){0, 0};
    for (int i = 0; i < 8; i++) {
        ret->h1 = ret->h1 << 8 | key.p[i];
        ret->h2 = ret->h2 << 8 | key.p[8 + i];
    }
    return true;
}
