// SPDX-License-Identifier: Apache-2.0
/*
 * The key sets of the feeds: fetched, cached and refreshed (standards 9.3), or
 * read from a file. A set that cannot be refreshed serves on for a day and is
 * then gone, which is a temporary error and never "invalid key" (8725-R22).
 * Loop thread only; key sets are parsed on worker threads.
 */
#ifndef SIDECAR_IO_JWKS_H
#define SIDECAR_IO_JWKS_H

#include "adapters/jws.h"
#include "sidecar/config/config.h"
#include "sidecar/io/fetch.h"
#include "sidecar/io/work.h"

#define JWKS_FRESH_MIN_MS 60000 /* max-age is clamped to these */
#define JWKS_FRESH_MAX_MS 86400000
#define JWKS_FRESH_DEFAULT_MS 300000
#define JWKS_FILE_MS 60000         /* a file is read again after */
#define JWKS_STALE_MAX_MS 86400000 /* a set not refreshed is used until */
#define JWKS_REFETCH_MS 30000      /* between loads for unknown kids */
#define JWKS_UNKNOWN_MS 60000      /* a kid stays known to be unknown */
#define JWKS_UNKNOWN_MAX 64        /* kids remembered per feed */
#define JWKS_WANTS_MAX 1024        /* waiting per feed */
#define JWKS_TIMEOUT_MS 5000

struct jwks;
struct jwks_feed;

struct jwks_conf {
    struct fetch *fetch;
    struct work *work;
    uint64_t seed;
    void *ctx;
    /* Optional. A set with `keys` keys came into use (skipped ones were
     * unusable), or a load failed and is tried again. */
    void (*on_keys)(void *ctx, const struct config_feed *feed, unsigned keys,
                    unsigned skipped);
    void (*on_trouble)(void *ctx, const struct config_feed *feed,
                       const struct fail *f, int64_t retry_ms);
};

int jwks_new(uv_loop_t *loop, const struct jwks_conf *conf, struct jwks **ret,
             struct fail *f) must_use;

/* A URL is fetched from now on; a file is read and parsed at once, with errors
 * as RC_*. `feed` lives until closed, `lane` is for struct work. */
int jwks_add(struct jwks *j, const struct config_feed *feed, unsigned lane,
             struct jwks_feed **ret, struct fail *f) must_use;

/* A reference to the set in use (jws_keys_unref it), or NULL: no keys now,
 * a temporary error. */
struct jws_keys *jwks_current(struct jwks_feed *k);

/* Embedded in the caller's request. */
struct jwks_want {
    /* 0: the set in use is as new as it gets: if the kid is not in it, it is
     * unknown. RC_BUSY, RC_UNAVAILABLE, RC_CANCELLED, RC_LIMIT: not known,
     * answer with a temporary error. May free the want. */
    void (*over)(struct jwks_want *w, int rc);
    struct list_link link; /* private from here */
    int rc;
    size_t kid_n;
    unsigned char kid[JWS_KID_MAX];
};

/* Asks for a refresh because of this kid, single flight, at most one per
 * JWKS_REFETCH_MS (8725-R21). `over` exactly once, never before this returns.
 */
void jwks_want(struct jwks_feed *k, struct span kid, struct jwks_want *w);

/* The want will not be answered; legal when it is not waiting. */
void jwks_forget(struct jwks_want *w);

struct jwks_stats {
    uint64_t loads, failures, wants, limited;
    unsigned keys;
    int64_t age_ms; /* since the last good load; -1: never */
};
void jwks_stats_get(const struct jwks_feed *k, struct jwks_stats *ret);

/* Wants are answered with RC_CANCELLED, then done. Before fetch_close and
 * work_close. */
void jwks_close(struct jwks *j, void (*done)(void *ctx), void *ctx);

#endif
