// SPDX-License-Identifier: Apache-2.0
/*
 * The SETs of one poll feed between "the transmitter sent it" and "the
 * transmitter knows that we have it".
 *
 *   HANDED --(owner answers)--> READY --(request leaves)--> SENT_POLL or
 *     |                           ^                          SENT_ACK
 *     `--(given up)--> gone       `------(request failed)-----'   |
 *                                                     (200)--> gone
 */
#ifndef SIDECAR_IO_POLLER_SETS_H
#define SIDECAR_IO_POLLER_SETS_H

#include "adapters/sources/poll.h"
#include "sidecar/base/map.h"

enum set_place {
    PLACE_HANDED,
    PLACE_READY,
    PLACE_SENT_POLL,
    PLACE_SENT_ACK,
    PLACE_COUNT
};

struct poller_set {
    struct map_link by_jti;
    struct list_link link;
    enum set_place place;
    struct span jti, err, description; /* err empty: acknowledged */
};

struct poller_sets {
    struct map by_jti;
    struct list at[PLACE_COUNT];
    struct hash_key seed;
    uint64_t *seen; /* ring of jti hashes */
    size_t seen_max, seen_next;
};

int poller_sets_init(struct poller_sets *s, struct hash_key seed,
                     size_t sets_max, size_t seen_max, struct fail *f) must_use;
void poller_sets_fini(struct poller_sets *s);

/* NULL when there is none. */
struct poller_set *poller_sets_find(const struct poller_sets *s,
                                    struct span jti);

/* In place HANDED. RC_LIMIT, RC_NO_MEMORY. */
int poller_sets_add(struct poller_sets *s, struct span jti,
                    struct poller_set **ret) must_use;

/* To READY with this answer (copied; descriptions are cut at 128 bytes).
 * RC_LIMIT, RC_NO_MEMORY. */
int poller_sets_answer(struct poller_sets *s, struct span jti, struct span err,
                       struct span description) must_use;

/* Everything of a place goes to another; or away. */
void poller_sets_move(struct poller_sets *s, enum set_place from,
                      enum set_place to);
size_t poller_sets_drop(struct poller_sets *s, enum set_place from);

/* Moves at most max READY answers to `to` and writes them, with the rest of
 * `r`, as a poll request. The counts are put into `r`. */
void poller_sets_write(struct poller_sets *s, enum set_place to, size_t max,
                       struct poll_request *r, struct buf *out);

/* Was this jti not among the last seen_max ones? It is now. */
bool poller_sets_is_new(struct poller_sets *s, struct span jti);

#endif
