// SPDX-License-Identifier: Apache-2.0
/*
 * Which SETs have been accepted: 32 bytes a jti in an open-addressed table, so
 * a million fit in memory. The key is a 128-bit keyed hash of (feed, iss, jti);
 * what is compared beside it is a hash of the payload, so that the same jti
 * with other content is noticed (equivocation). Losing an entry is harmless
 * (8725-R26): handling is idempotent.
 */
#ifndef SIDECAR_CORE_DEDUPE_H
#define SIDECAR_CORE_DEDUPE_H

#include "sidecar/base/fail.h"
#include "sidecar/base/hash.h"
#include "sidecar/base/mem.h"

#define DEDUPE_KEY_BYTES 16
#define DEDUPE_VALUE_BYTES 12

struct dedupe_entry {
    uint64_t h1, h2; /* 0,0: free slot */
    uint64_t payload;
    uint32_t when_s; /* wall time, seconds */
    uint32_t reserved;
};

struct dedupe {
    struct mem *mem;
    struct hash_key k1, k2; /* durable: the same over restarts */
    struct dedupe_entry *slots;
    size_t slot_count, count, max;
    size_t sweep_at;
};

void dedupe_init(struct dedupe *d, struct mem *m, struct hash_key k1,
                 struct hash_key k2, size_t max);
void dedupe_fini(struct dedupe *d);

struct dedupe_id {
    uint64_t h1, h2;
};

struct dedupe_id dedupe_id(const struct dedupe *d, struct span feed,
                           struct span issuer, struct span jti);

/* NULL when it is new. Valid until the next put or drop. */
const struct dedupe_entry *dedupe_find(const struct dedupe *d,
                                       struct dedupe_id id);

/* Adds or overwrites. When `max` is reached the entry is not kept: RC_LIMIT
 * (the event is still handled). RC_NO_MEMORY. */
int dedupe_put(struct dedupe *d, struct dedupe_id id, uint64_t payload,
               uint32_t when_s) must_use;
void dedupe_drop(struct dedupe *d, struct dedupe_id id);

/* The oldest of the `entries` next in line: when the table is full it makes
 * room, because a new token is more likely to come again than an old one. False
 * when the table is empty. */
bool dedupe_oldest(struct dedupe *d, unsigned entries,
                   struct dedupe_id *ret) must_use;

/* Looks at up to `slots` slots and returns one entry older than before_s, or
 * false after having looked. For retention in small steps. */
bool dedupe_sweep(struct dedupe *d, size_t slots, uint32_t before_s,
                  struct dedupe_id *ret);

void dedupe_key(struct dedupe_id id, unsigned char out[DEDUPE_KEY_BYTES]);
bool dedupe_key_read(struct span key, struct dedupe_id *ret);

#endif
