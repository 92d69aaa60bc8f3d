// SPDX-License-Identifier: Apache-2.0
/*
 * HTTP/1.1 for one connection, on llhttp without any of its lenient modes. It
 * has no sockets: bytes come in by h1_input, everything it wants is asked for
 * through struct h1_env, so that a test or a fuzzer can play the connection.
 *
 * One request at a time; bytes behind it wait (pipelining).
 */
#ifndef SIDECAR_IO_H1_H
#define SIDECAR_IO_H1_H

#include "sidecar/io/http_req.h"

/* Behind the request in progress; the connection stops reading meanwhile. */
#define H1_PENDING_BYTES_MAX (256u << 10)

struct h1;

struct h1_env {
    void *ctx;
    const struct server_limits *limits;
    struct peer_box *peer;
    uint64_t (*now_ms)(void *ctx);
    void (*put)(void *ctx, struct span bytes);
    void (*request)(void *ctx, struct http_req *r); /* takes r */
    void (*resume)(void *ctx); /* answered: call h1_go_on soon, not now */
    void (*end)(void *ctx);    /* no more: flush, then close */
    void (*bad)(void *ctx);    /* count a bad request */
};

int h1_new(const struct h1_env *env, struct h1 **ret) must_use;
/* A request still with the owner is cut loose. NULL is legal. */
void h1_free(struct h1 *h);

/* Takes bytes from the peer. */
void h1_input(struct h1 *h, struct span in);

/* Goes on with bytes that waited behind an answered request. */
void h1_go_on(struct h1 *h);

/* A request is with the owner: stop reading. */
bool h1_busy(const struct h1 *h);

/* When something must have happened; TURN_NEVER while busy. */
uint64_t h1_deadline_ms(const struct h1 *h);
/* That time is over. True when a request was under way (408 is queued). */
bool h1_timeout(struct h1 *h);

/* No request after the current one. Ends at once when there is none. */
void h1_drain(struct h1 *h);

#endif
