// SPDX-License-Identifier: Apache-2.0
#include "sidecar/driver.h"

void driver_get_stuck(struct driver *d, const char *why)
{
    if (d->stuck == NULL)
        d->stuck = why;
}

static uint64_t next_random(struct driver *d)
{
    d->random = d->random * UINT64_C(6364136223846793005) +
                UINT64_C(1442695040888963407);
    return d->random >> 11 | 1;
}

static void take_all(struct driver *d)
{
    struct out o;
    while (engine_next(d->engine, &o)) {
        if (o.kind == OUT_JOURNAL)
            d->stored = o.journal.seq;
        else if (o.kind == OUT_LOG)
            d->logged = o.log.ticket;
        d->take(d->ctx, &o);
    }
}

int driver_step(struct driver *d, struct in *in)
{
    if (!driver_runs(d))
        return RC_STATE;
    if (d->steps++ >= d->steps_max) {
        driver_get_stuck(d, "it does not come to rest");
        return RC_LIMIT;
    }
    in->now_ms = d->now_ms;
    in->wall_ms = driver_wall(d);
    in->random = next_random(d);
    int rc = engine_step(d->engine, in);
    take_all(d);
    if (rc < 0)
        driver_get_stuck(d, "the engine ran out of room");
    return rc;
}

/* True when there was something to confirm. */
static bool confirm(struct driver *d)
{
    struct in in = {.kind = IN_STORED};
    if (d->stored_told < d->stored) {
        in.stored_upto = d->stored_told = d->stored;
    } else if (d->logged_told < d->logged) {
        in.kind = IN_LOGGED;
        in.logged_upto = d->logged_told = d->logged;
    } else {
        return false;
    }
    ignore_rc(driver_step(d, &in)); /* noted by the step */
    return true;
}

void driver_settle(struct driver *d)
{
    /* What the owner's last answer led to is confirmed, too. */
    while (driver_runs(d) && (confirm(d) || d->next(d->ctx) || confirm(d)))
        continue;
}

void driver_tick(struct driver *d)
{
    struct in in = {.kind = IN_TICK};
    if (driver_step(d, &in) >= 0)
        driver_settle(d);
}

void driver_feeds_live(struct driver *d, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct in in = {.kind = IN_FEED};
        in.feed.feed = i;
        in.feed.sign = FEED_CAUGHT_UP;
        if (!d->silent[i])
            ignore_rc(driver_step(d, &in)); /* noted by the step */
    }
}

int driver_start(struct driver *d, const struct policy *p, struct fail *f)
{
    TRY(engine_start(d->engine, 0, p, d->now_ms, driver_wall(d), f));
    take_all(d);
    driver_settle(d);
    return 0;
}
