// SPDX-License-Identifier: Apache-2.0
/*
 * One accepted connection: finds out what it speaks, connects the wire with
 * h1 or h2, and lives by one deadline. Torn down only from its flush, so that
 * nothing disappears under a callback.
 */
#ifndef SIDECAR_IO_CONN_H
#define SIDECAR_IO_CONN_H

#include "sidecar/io/h1.h"
#include "sidecar/io/h2.h"
#include "sidecar/io/wire.h"

/* What the connections of one server share; the server embeds it. */
struct conn_host {
    struct turn turn;
    struct server_limits limits;
    struct server_stats stats;
    const struct grpc_method *methods;
    void (*request)(void *ctx, struct http_req *r);
    void *ctx;
    struct tls_ctx *tls; /* NULL: plain */
    struct list conns;
    bool draining;
    void (*conn_gone)(struct conn_host *h);
};

struct conn;

/* A connection whose handle is ready for accept; RC_NO_MEMORY or RC_IO. */
int conn_new(struct conn_host *host, bool is_unix, struct conn **ret) must_use;

/* For uv_accept. */
uv_stream_t *conn_stream(struct conn *c);

/* Accepted: finds the peer and starts. */
void conn_start(struct conn *c);

/* Ends it after what is in flight. */
void conn_drain(struct conn *c);

/* Ends it at once (at its next flush). */
void conn_kill(struct conn *c);

struct conn *conn_of_link(struct list_link *k);

#endif
