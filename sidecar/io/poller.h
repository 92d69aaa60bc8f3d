// SPDX-License-Identifier: Apache-2.0
/*
 * The RFC 8936 poll loop of one feed. One long poll hangs at the transmitter;
 * acknowledgements and errors ride on the next poll, or, when a long poll is
 * hanging, on a parallel acknowledge-only request after POLLER_ACK_DELAY_MS.
 * The loop neither verifies nor stores: it hands SETs to the owner, who answers
 * each one when it is durable. Loop thread only.
 */
#ifndef SIDECAR_IO_POLLER_H
#define SIDECAR_IO_POLLER_H

#include "sidecar/io/oauth.h"

#define POLLER_ACK_DELAY_MS 20 /* collects answers of one batch */
#define POLLER_SETTLE_MS 1000  /* waiting for the answers to a batch */
#define POLLER_SETS_MAX 8192   /* handed over or not yet acknowledged */
#define POLLER_ANSWERS_MAX 256 /* acks and errors in one request */
#define POLLER_JTI_MAX 512     /* sets with a longer name are left alone */
#define POLLER_SEEN_MAX 1024   /* jtis remembered for the progress check */
#define POLLER_BACKOFF_MS 1000
#define POLLER_BACKOFF_MAX_MS 60000
#define POLLER_RETRY_AFTER_MAX_MS 3600000
#define POLLER_IDLE_MS 1000  /* between polls that come back empty early */
#define POLLER_CLOSE_MS 2000 /* for the last acknowledgement */

struct poller;

struct poller_stats {
    uint64_t polls, answers, sets, acks, errs, ack_requests, failures,
        no_progress, overflows;
    unsigned waiting; /* sets handed over or not yet acknowledged */
};

struct poller_conf {
    const struct config_feed *feed; /* poll_*, trust; until closed */
    struct fetch *fetch;
    struct oauth *oauth;
    uint64_t seed; /* for jitter and tables: from the operating system */
    void *ctx;
    /* One SET as it came; the same jti may come again at any time. Spans die
     * when it returns. Answer with poller_ack or poller_reject, now or later,
     * or not at all: then the transmitter sends it again. */
    void (*on_set)(void *ctx, struct span outer_jti, struct span token);
    /* A good poll answer; caught_up: nothing more is available. Its sets, if
     * any, were handed over before. */
    void (*on_alive)(void *ctx, bool caught_up);
    /* A poll or acknowledgement failed; the next try is in retry_ms. */
    void (*on_trouble)(void *ctx, const struct fail *f, int64_t retry_ms);
};

int poller_open(uv_loop_t *loop, const struct poller_conf *conf,
                struct poller **ret, struct fail *f) must_use;

/* Accepted and durable. RC_LIMIT when POLLER_SETS_MAX answers wait: nothing is
 * lost, the transmitter sends the SET again. */
int poller_ack(struct poller *p, struct span outer_jti) must_use;

/* Refused for parsing or validation (8936-R4); err is a registered code. */
int poller_reject(struct poller *p, struct span outer_jti, struct span err,
                  struct span description) must_use;

void poller_stats_get(const struct poller *p, struct poller_stats *ret);

/* Ends the long poll, sends one last acknowledge-only request when answers
 * wait, then done. No on_* runs after this call. */
void poller_close(struct poller *p, void (*done)(void *ctx), void *ctx);

#endif
