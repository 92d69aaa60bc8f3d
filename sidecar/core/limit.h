// SPDX-License-Identifier: Apache-2.0
/*
 * Which agents a policy's limits have counted lately: one window for each
 * limit and source. A window keeps the latest agents, one entry each, as many
 * as it takes to see that the limit is passed and no more. What cannot be
 * remembered counts as passed (the stricter reading).
 *
 * This is memory only; engine_limit.c decides what is counted, what follows and
 * what becomes durable.
 */
#ifndef SIDECAR_CORE_LIMIT_H
#define SIDECAR_CORE_LIMIT_H

#include "sidecar/core/engine.h"

#include "sidecar/base/map.h"

#define LIMIT_TRACKED_MAX 262144 /* entries of all windows together */
#define LIMIT_KEY_BYTES 10

/* Who causes things: a feed by its index, or one of these. */
enum limit_source {
    SOURCE_READS = ENGINE_FEEDS_MAX,
    SOURCE_SCHEDULES,
    SOURCE_OPERATORS,
    SOURCE_ALL, /* of_feed: all */
    SOURCE_COUNT
};

struct limit_entry {
    struct map_link link;
    struct list_link by_time; /* in its window */
    unsigned char key[LIMIT_KEY_BYTES];
    int64_t at_ms; /* the latest; between load and start: wall time */
};

struct limit_window {
    struct list entries; /* oldest first */
    unsigned count;
    int64_t full_until_ms; /* an agent could not be remembered */
    int64_t called_ms;     /* `beyond` ran last; INT64_MIN: never */
    uint64_t called_input; /* in the step of this input */
};

struct limit_windows {
    struct mem *mem;
    struct map by_key;
    struct limit_window at[LIMIT_KIND_COUNT][SOURCE_COUNT];
};

void limit_windows_init(struct limit_windows *t, struct mem *m,
                        struct hash_key seed);
void limit_windows_fini(struct limit_windows *t);

/* Counts the agent (a hash of its key) at this time, again or for the first
 * time. RC_LIMIT, RC_NO_MEMORY: it is not remembered. */
int limit_put(struct limit_windows *t, enum limit_kind kind, unsigned source,
              uint64_t agent, int64_t now_ms) must_use;

/* NULL when the window does not have the agent. */
struct limit_entry *limit_find(const struct limit_windows *t,
                               enum limit_kind kind, unsigned source,
                               uint64_t agent);

/* Puts what was loaded in no order into the order of time. */
int limit_sort(struct limit_windows *t) must_use;

/* The one that leaves first, or NULL. */
struct limit_entry *limit_first(const struct limit_window *w);
uint64_t limit_agent(const struct limit_entry *en);
void limit_drop(struct limit_windows *t, struct limit_entry *en);

#endif
