// SPDX-License-Identifier: Apache-2.0
/*
 * Drives an engine without a world around it, for policy tests and replays: a
 * clock that moves only when its owner moves it, a store and a log that confirm
 * at once, numbers for chance that are the same every time. What else the
 * engine wants, its owner takes and answers. The number of steps is bounded, so
 * that what never comes to rest ends.
 */
#ifndef SIDECAR_DRIVER_H
#define SIDECAR_DRIVER_H

#include "sidecar/core/engine.h"

struct driver {
    /* Set by the owner. */
    struct engine *engine;
    int64_t now_ms, wall_ms; /* wall time at now_ms == 0 */
    unsigned steps_max;
    void (*take)(void *ctx, const struct out *o);
    /* Does one thing that is due now; false: there is none, or it was no
     * more than what has been tried already. */
    bool (*next)(void *ctx);
    void *ctx;
    bool silent[ENGINE_FEEDS_MAX]; /* feeds that give no sign of life */
    unsigned steps;                /* since the owner set it to 0 */
    const char *stuck;             /* why nothing runs any more, or NULL */
    /* Private. */
    uint64_t random, stored, stored_told, logged, logged_told;
};

static inline bool driver_runs(const struct driver *d)
{
    return d->stuck == NULL;
}
/* The first reason counts. */
void driver_get_stuck(struct driver *d, const char *why);

static inline int64_t driver_wall(const struct driver *d)
{
    return d->wall_ms + d->now_ms;
}

/* Starts the engine and comes to rest. */
int driver_start(struct driver *d, const struct policy *p,
                 struct fail *f) must_use;
/* One input now; what follows from it is left for driver_settle. What fails is
 * noted in `stuck` too. */
int driver_step(struct driver *d, struct in *in) must_use;
/* Confirms and lets the owner answer until nothing is left to do now. */
void driver_settle(struct driver *d);
/* A tick, and what follows from it. */
void driver_tick(struct driver *d);
/* The first `count` feeds prove that they live, but for silent ones. */
void driver_feeds_live(struct driver *d, unsigned count);

#endif
