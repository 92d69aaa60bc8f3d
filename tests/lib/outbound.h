// SPDX-License-Identifier: Apache-2.0
/*
 * A loop with the outbound side on it (HTTP client, tokens, worker threads) and
 * one peer, for the tests of the modules that use them.
 */
#ifndef TESTS_LIB_OUTBOUND_H
#define TESTS_LIB_OUTBOUND_H

#include "sidecar/io/scim.h"
#include "tests/lib/responder.h"

struct outbound {
    uv_loop_t loop;
    struct fetch *fetch;
    struct oauth *oauth;
    struct work *work;
    struct responder *peer;
    uv_timer_t alarm;
    uint64_t alarm_ms;
    bool rang;
    unsigned closed;
    char dir[64];      /* for files; removed at the end */
    char text[8][256]; /* outbound_url, outbound_file */
    unsigned texts;
};

void outbound_open(struct outbound *o, responder_fn fn, void *ctx);

/* After the module under test was closed. Checks that the loop is empty. */
void outbound_close(struct outbound *o);

/* The peer's URL and this path; at most 8 texts per outbound. */
struct span outbound_url(struct outbound *o, const char *path);

/* A file (mode 0600) with these bytes; its path. */
struct span outbound_file(struct outbound *o, const char *name,
                          struct span bytes);

/* SCIM reads from the peer at /v2, of one base; `feed` is completed, but for
 * the budget. Closed with scim_close. */
struct scim *outbound_scim(struct outbound *o, struct config_feed *feed);

void outbound_alarm(struct outbound *o, uint64_t ms);

/* For exchanges that are to succeed, however busy the machine is. */
#define OUTBOUND_PATIENCE_MS 60000

/* Runs the loop until the condition holds, or fails. */
#define OUTBOUND_UNTIL(o, cond)                                                \
    do {                                                                       \
        outbound_alarm((o), OUTBOUND_PATIENCE_MS);                             \
        while (!(cond) && !(o)->rang)                                          \
            uv_run(&(o)->loop, UV_RUN_ONCE);                                   \
        CHECK(cond);                                                           \
    } while (0)

/* Runs the loop for a while. */
void outbound_run(struct outbound *o, uint64_t ms);

#endif
