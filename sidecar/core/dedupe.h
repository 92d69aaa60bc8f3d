// SPDX-License-Identifier: Apache-2.0
/*
 * Which SETs have been accepted: 24 bytes a jti in open-addressed tables, so
 * that a million fit in memory. The key is a 128-bit keyed hash of (feed, iss,
 * jti); what is compared beside it is 40 bits of a keyed hash of the payload,
 * so that the same jti with other content is noticed (equivocation). Losing an
 * entry is harmless (8725-R26): handling is idempotent.
 *
 * The tables are many and grow by a quarter each, so that there is little slack
 * and never a second copy of everything.
 */
#ifndef SIDECAR_CORE_DEDUPE_H
#define SIDECAR_CORE_DEDUPE_H

#include "sidecar/base/fail.h"
#include "sidecar/base/hash.h"
#include "sidecar/base/mem.h"

#define DEDUPE_KEY_BYTES 16
#define DEDUPE_VALUE_BYTES 12

#define DEDUPE_SHARDS 256

struct dedupe_entry {
    uint64_t h1, h2; /* 0,0: free slot */
    uint64_t word;   /* 40 bits: tag of the payload; 24: minute of the wall
                        clock, which wraps after 31 years */
};

struct dedupe_shard {
    struct dedupe_entry *slots;
    uint32_t slot_count, count;
};

struct dedupe {
    struct mem *mem;
    struct hash_key k1, k2; /* durable: the same over restarts */
    struct dedupe_shard shards[DEDUPE_SHARDS];
    size_t count, max;
    uint32_t sweep_shard, sweep_slot;
};

void dedupe_init(struct dedupe *d, struct mem *m, struct hash_key k1,
                 struct hash_key k2, size_t max);
void dedupe_fini(struct dedupe *d);

struct dedupe_id {
    uint64_t h1, h2;
};

struct dedupe_id dedupe_id(const struct dedupe *d, struct span feed,
                           struct span issuer, struct span jti);

enum dedupe_seen {
    DEDUPE_NEW,
    DEDUPE_SAME, /* with this payload */
    DEDUPE_OTHER /* with another one */
};
enum dedupe_seen dedupe_find(const struct dedupe *d, struct dedupe_id id,
                             uint64_t payload);

/* Adds or overwrites. When `max` is reached the entry is not kept: RC_LIMIT
 * (the event is still handled). RC_NO_MEMORY. */
int dedupe_put(struct dedupe *d, struct dedupe_id id, uint64_t payload,
               uint32_t when_s) must_use;
void dedupe_drop(struct dedupe *d, struct dedupe_id id);

/* The oldest of the `entries` next in line: when the table is full it makes
 * room, because a new token is more likely to come again than an old one. False
 * when none is found among a bounded number of slots. */
bool dedupe_oldest(struct dedupe *d, unsigned entries,
                   struct dedupe_id *ret) must_use;

/* Looks at up to `slots` slots and returns one entry that is older than
 * before_s by the minute, or false after having looked. For retention in small
 * steps. */
bool dedupe_sweep(struct dedupe *d, size_t slots, uint32_t before_s,
                  struct dedupe_id *ret);

void dedupe_key(struct dedupe_id id, unsigned char out[DEDUPE_KEY_BYTES]);
bool dedupe_key_read(struct span key, struct dedupe_id *ret);

#endif
