// SPDX-License-Identifier: Apache-2.0
#include "sidecar/core/dedupe.h"

#include <string.h>

#define FIRST_SLOTS 16
#define DOUBLE_UPTO 1024      /* slots; beyond that a quarter more at a time */
#define SHARD_SHIFT 56        /* the top byte of h1 is the shard */
#define OLDEST_SLOTS_MAX 8192 /* looked at for the oldest */
#define MINUTE_BITS 24
#define MINUTE_MASK ((UINT32_C(1) << MINUTE_BITS) - 1)

_Static_assert(sizeof(struct dedupe_entry) == 24, "a million in 24 MB");

void dedupe_init(struct dedupe *d, struct mem *m, struct hash_key k1,
                 struct hash_key k2, size_t max)
{
    *d = (struct dedupe){.mem = m, .k1 = k1, .k2 = k2, .max = max};
}

void dedupe_fini(struct dedupe *d)
{
    for (unsigned i = 0; i < DEDUPE_SHARDS; i++)
        mem_release(d->mem, d->shards[i].slots);
    dedupe_init(d, d->mem, d->k1, d->k2, d->max);
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

static const struct dedupe_shard *shard_of(const struct dedupe *d,
                                           struct dedupe_id id)
{
    return &d->shards[id.h1 >> SHARD_SHIFT];
}

/* Where in its shard an entry would like to be: h2 scaled to the slots. */
static uint32_t home_of(const struct dedupe_shard *s, uint64_t h2)
{
    return (uint32_t)((h2 >> 32) * s->slot_count >> 32);
}

static uint32_t next_slot(const struct dedupe_shard *s, uint32_t i)
{
    return i + 1 == s->slot_count ? 0 : i + 1;
}

/* Steps from slot `from` on to slot `to`, around the end. */
static uint32_t distance(const struct dedupe_shard *s, uint32_t from,
                         uint32_t to)
{
    return to >= from ? to - from : to + (s->slot_count - from);
}

/* The slot that holds the id, or the free one where it would go. */
static struct dedupe_entry *probe(const struct dedupe_shard *s,
                                  struct dedupe_id id)
{
    uint32_t i = home_of(s, id.h2);
    while (!is_free(&s->slots[i]) &&
           (s->slots[i].h1 != id.h1 || s->slots[i].h2 != id.h2))
        i = next_slot(s, i);
    return &s->slots[i];
}

/* Keyed: nobody outside can look for two payloads of one tag. */
static uint64_t word_of(const struct dedupe *d, uint64_t payload,
                        uint32_t when_s)
{
    uint64_t tag = hash_span(&d->k1, span_of(&payload, sizeof payload));
    return tag << MINUTE_BITS | (when_s / 60 & MINUTE_MASK);
}

enum dedupe_seen dedupe_find(const struct dedupe *d, struct dedupe_id id,
                             uint64_t payload)
{
    const struct dedupe_shard *s = shard_of(d, id);
    if (s->count == 0)
        return DEDUPE_NEW;
    const struct dedupe_entry *e = probe(s, id);
    if (is_free(e))
        return DEDUPE_NEW;
    uint64_t differs = e->word ^ word_of(d, payload, 0);
    return differs >> MINUTE_BITS == 0 ? DEDUPE_SAME : DEDUPE_OTHER;
}

/* The first slots of a shard: as many as the average one of the others needs.
 * Loading fills one after the other, and the hash makes them alike. */
static uint32_t first_slots(const struct dedupe *d)
{
    size_t shards = 0;
    for (unsigned i = 0; i < DEDUPE_SHARDS; i++)
        shards += d->shards[i].slot_count > 0;
    size_t mean = shards == 0 ? 0 : d->count / shards;
    size_t n = mean * 8 / 7 + mean / 16; /* they differ by a few percent */
    return n < FIRST_SLOTS ? FIRST_SLOTS : (uint32_t)n;
}

static int grow(struct dedupe *d, struct dedupe_shard *s)
{
    struct dedupe_shard old = *s;
    uint32_t n = old.slot_count == 0            ? first_slots(d)
                 : old.slot_count < DOUBLE_UPTO ? old.slot_count * 2
                                                : old.slot_count / 4 * 5;
    struct dedupe_entry *slots = mem_array(d->mem, n, sizeof *slots);
    if (slots == NULL)
        return RC_NO_MEMORY;
    s->slots = slots;
    s->slot_count = n;
    for (uint32_t i = 0; i < old.slot_count; i++) {
        const struct dedupe_entry *e = &old.slots[i];
        if (!is_free(e))
            *probe(s, (struct dedupe_id){e->h1, e->h2}) = *e;
    }
    mem_release(d->mem, old.slots);
    return 0;
}

int dedupe_put(struct dedupe *d, struct dedupe_id id, uint64_t payload,
               uint32_t when_s)
{
    struct dedupe_shard *s = &d->shards[id.h1 >> SHARD_SHIFT];
    if ((s->count + 1) * UINT64_C(8) > s->slot_count * UINT64_C(7))
        TRY(grow(d, s));
    struct dedupe_entry *e = probe(s, id);
    if (is_free(e)) {
        if (d->count >= d->max)
            return RC_LIMIT;
        d->count++;
        s->count++;
    }
    *e = (struct dedupe_entry){id.h1, id.h2, word_of(d, payload, when_s)};
    return 0;
}

void dedupe_drop(struct dedupe *d, struct dedupe_id id)
{
    struct dedupe_shard *s = &d->shards[id.h1 >> SHARD_SHIFT];
    if (s->count == 0)
        return;
    struct dedupe_entry *e = probe(s, id);
    if (is_free(e))
        return;
    /* Close the gap: move back every later entry of the run whose home slot
     * does not lie behind the hole. */
    uint32_t hole = (uint32_t)(e - s->slots);
    for (uint32_t i = next_slot(s, hole); !is_free(&s->slots[i]);
         i = next_slot(s, i)) {
        uint32_t home = home_of(s, s->slots[i].h2);
        if (distance(s, home, i) >= distance(s, hole, i)) {
            s->slots[hole] = s->slots[i];
            hole = i;
        }
    }
    s->slots[hole] = (struct dedupe_entry){.h1 = 0};
    s->count--;
    d->count--;
}

/* ------------------------------------------------------------ retention */

/* The next slot in line, or NULL when the shard in line has none: then the
 * next shard is. */
static const struct dedupe_entry *sweep_next(struct dedupe *d)
{
    const struct dedupe_shard *s = &d->shards[d->sweep_shard];
    if (d->sweep_slot < s->slot_count)
        return &s->slots[d->sweep_slot++];
    d->sweep_slot = 0;
    d->sweep_shard = (d->sweep_shard + 1) % DEDUPE_SHARDS;
    return NULL;
}

/* Whole minutes from a to b; negative when b is earlier. */
static int32_t minutes_between(uint64_t a, uint64_t b)
{
    uint32_t diff = (uint32_t)(b - a) << (32 - MINUTE_BITS);
    return (int32_t)diff / (1 << (32 - MINUTE_BITS));
}

bool dedupe_oldest(struct dedupe *d, unsigned entries, struct dedupe_id *ret)
{
    const struct dedupe_entry *oldest = NULL;
    for (unsigned i = 0; i < OLDEST_SLOTS_MAX && entries > 0; i++) {
        const struct dedupe_entry *e = sweep_next(d);
        if (e == NULL || is_free(e))
            continue;
        entries--;
        if (oldest == NULL || minutes_between(e->word, oldest->word) > 0)
            oldest = e;
    }
    if (oldest != NULL)
        *ret = (struct dedupe_id){oldest->h1, oldest->h2};
    return oldest != NULL;
}

bool dedupe_sweep(struct dedupe *d, size_t slots, uint32_t before_s,
                  struct dedupe_id *ret)
{
    for (; slots > 0; slots--) {
        const struct dedupe_entry *e = sweep_next(d);
        if (e != NULL && !is_free(e) &&
            minutes_between(e->word, before_s / 60) > 0) {
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
