// SPDX-License-Identifier: Apache-2.0
/*
 * Where jobs go: one lane for each target that answers for itself (an
 * authorization server, a runtime, an HTTP action), so that one that is slow or
 * down holds up nobody else. A lane bounds how many attempts run at a time,
 * waits as long as the target asked to (Retry-After), and after several
 * failures in a row lets only one attempt at a time through, ever more rarely,
 * until one is answered (a circuit breaker). Deadlines of jobs go on meanwhile:
 * containment that cannot be confirmed fails in time, visibly.
 */
#ifndef SIDECAR_CORE_LANE_H
#define SIDECAR_CORE_LANE_H

#include "sidecar/base/heap.h"
#include "sidecar/base/list.h"
#include "sidecar/base/map.h"

#define LANE_KEY_MAX 2048
#define LANE_RUNNING_MAX 8     /* attempts at one target */
#define ADAPTER_RUNNING_MAX 64 /* attempts of one adapter, all targets */
#define LANE_FAILURES_MAX 5    /* in a row, then the target is down */
#define LANE_PAUSE_FIRST_MS 1000
#define LANE_PAUSE_MAX_MS 30000
#define LANE_RUNTIME_PAUSE_MAX_MS 1000 /* stopping calls cannot wait longer */
#define LANE_ASKED_MAX_MS 60000        /* Retry-After is believed up to */

enum adapter {
    ADAPTER_OAUTH,   /* key: the issuer */
    ADAPTER_RUNTIME, /* key: caller NUL runtime */
    ADAPTER_HTTP,    /* key: the action's name */
    ADAPTER_COUNT
};
const char *adapter_word(enum adapter a);

struct lane {
    struct map_link link; /* key: adapter byte, then what names the target */
    enum adapter adapter;
    struct list waiting; /* jobs whose next attempt is due, oldest first */
    struct list_link ready_link; /* in lanes->ready when it may run one */
    struct heap_link pause;      /* in lanes->paused until it may go on */
    unsigned jobs, running, failures;
};

struct lanes {
    struct mem *mem;
    struct map by_key;
    struct list ready[ADAPTER_COUNT];
    struct heap paused;
    unsigned running[ADAPTER_COUNT];
    unsigned down; /* lanes with LANE_FAILURES_MAX failures in a row */
};

void lanes_init(struct lanes *t, struct mem *m, struct hash_key seed,
                size_t max);
void lanes_fini(struct lanes *t);

/* Finds or makes the lane and counts one more job in it. RC_NO_MEMORY,
 * RC_LIMIT. */
int lane_join(struct lanes *t, enum adapter a, struct span target,
              struct lane **ret) must_use;
/* The job is over, waiting or not; the last one takes the lane with it. */
void lane_leave(struct lanes *t, struct lane *l, struct list_link *job);

/* The target's name, inside the lane's key. */
struct span lane_target(const struct lane *l);
bool lane_is_down(const struct lane *l);

/* Something waits now: the lane runs when its turn comes. */
void lane_wait(struct lanes *t, struct lane *l, struct list_link *job);

/* The next job that may be attempted now, taken out of its lane and counted as
 * running, or NULL. Lanes take turns. */
struct list_link *lanes_next(struct lanes *t, int64_t now_ms);

/* Lanes whose pause is over may run again. */
void lanes_wake(struct lanes *t, int64_t now_ms);
/* When the next pause ends; INT64_MAX: none. */
int64_t lanes_wake_ms(const struct lanes *t);

/* An attempt is over. Not answered: counted against the target, and it is left
 * alone for a while. `retry_after_ms` < 0: not said. */
struct lane_outcome {
    bool answered;
    int64_t retry_after_ms, now_ms;
};
void lane_done(struct lanes *t, struct lane *l, const struct lane_outcome *o);
/* The pause is over, whatever the target asked for. */
void lane_resume(struct lanes *t, struct lane *l);
/* An attempt that was given up without a result. */
void lane_give_up(struct lanes *t, struct lane *l);

#endif
