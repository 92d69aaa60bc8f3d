// SPDX-License-Identifier: Apache-2.0
/*
 * HTTP/2 for one connection, on nghttp2, and the streams on it. nghttp2's
 * callbacks only change stream objects and submit; bytes leave in h2_output,
 * once per turn. Nothing is freed while nghttp2 is on the stack except a
 * stream in its own close callback.
 *
 * What nghttp2 (1.52 to 1.64) leaves to its user is bounded here: decoded
 * header bytes, resets in both directions, control frames, DATA frames without
 * data, queued output, held input, stalled and idle connections.
 */
#ifndef SIDECAR_IO_H2_H
#define SIDECAR_IO_H2_H

#include "sidecar/io/http_req.h"
#include "sidecar/io/turn.h"

struct h2;
struct h2_stream;
struct nghttp2_session;

/* A bucket of tokens: `take` fails when the burst is used up. */
struct h2_bucket {
    uint64_t tokens, burst, per_s;
    uint64_t refilled_ms;
};

struct h2_env {
    void *ctx;
    const struct server_limits *limits;
    struct peer_box *peer;
    struct turn *turn;
    const struct grpc_method *methods; /* may be NULL */
    void *methods_ctx;
    struct server_stats *stats;
    void (*dirty)(void *ctx); /* h2_output has something to do */
    /* Takes r; NULL: this port only speaks gRPC. */
    void (*request)(void *ctx, struct http_req *r);
};

/* What the owner sees of a call. Lives inside its stream. */
struct grpc_call {
    const struct grpc_method *method; /* NULL: a plain HTTP stream */
    void *user;
    uint64_t deadline_ms; /* 0: none */
    bool opened;          /* the owner knows it: `closed` is owed */
    bool finished;        /* grpc_finish was called */
    enum grpc_status status;
    struct buf text; /* escaped grpc-message */
};

/*
 *   HEAD -> BODY -> WHOLE   what has come in; HEAD: header block open
 * Output: head_sent, out, finished (no more output), ended (END_STREAM sent).
 */
enum h2_input { H2_HEAD, H2_BODY, H2_WHOLE };

struct h2_stream {
    struct h2 *h2;
    struct list_link link;
    int32_t id;
    enum h2_input input;
    struct http_req *req; /* ours, or lent to the owner (lent) */
    bool lent, head_sent, finished, ended, refused, deferred, counted;
    struct buf out;
    size_t out_at; /* bytes of `out` that are gone */
    struct deadline deadline;
    struct grpc_call call;
};

int h2_new(const struct h2_env *env, struct h2 **ret) must_use;

/* Tells every open call that it is closed. NULL is legal. */
void h2_free(struct h2 *h);

/* RC_PROTOCOL: say goodbye (h2_output holds what is left) and close. */
int h2_input(struct h2 *h, struct span bytes) must_use;

/* Appends frames to `put` until `room` bytes are queued. RC_EOF when the
 * session is over. */
int h2_output(struct h2 *h, void (*put)(void *ctx, struct span bytes),
              size_t room) must_use;

/* When something must have happened, or TURN_NEVER. */
uint64_t h2_deadline_ms(const struct h2 *h);
/* That time is over. */
void h2_timeout(struct h2 *h);

/* GOAWAY in two steps (RFC 9113 6.8); the session ends after its streams. */
void h2_drain(struct h2 *h);

/* --- between h2.c and grpc.c --------------------------------------------- */

struct nghttp2_session *h2_session(struct h2 *h);
const struct h2_env *h2_env_of(const struct h2 *h);

/* Queues output on a stream; RC_LIMIT beyond queued_bytes. */
int h2_stream_queue(struct h2_stream *s, struct span prefix,
                    struct span body) must_use;
/* Output was added or finished: sends the head first when needed. */
void h2_stream_go(struct h2_stream *s);
/* Feeds nghttp2 with queued output (its data source callback). */
ssize_t h2_stream_read(struct h2_stream *s, uint8_t *p, size_t n,
                       uint32_t *flags);
/* More is queued or held than one connection may. */
bool h2_overloaded(const struct h2 *h);
/* Drops what is queued. */
void h2_stream_drop_output(struct h2_stream *s);
/* Bytes of input kept for a stream changed. */
void h2_held(struct h2 *h, size_t more, size_t less);
void h2_stream_reset(struct h2_stream *s, uint32_t code);
/* nghttp2 said no: only possible without memory. The connection dies. */
void h2_broken(struct h2 *h);

/* The head of a gRPC request is there: refuses, or prepares the call. */
void grpc_stream_head(struct h2_stream *s);
/* Bytes were added to req->body. */
void grpc_stream_body(struct h2_stream *s);
/* The caller will send no more. */
void grpc_stream_whole(struct h2_stream *s);
void grpc_stream_late(struct h2_stream *s);  /* the deadline is over */
void grpc_stream_drain(struct h2_stream *s); /* ends a stream of answers */
void grpc_stream_closed(struct h2_stream *s);
/* Sends the response head (with END_STREAM and status when finished). */
int grpc_submit_head(struct h2_stream *s) must_use;
int grpc_submit_trailers(struct h2_stream *s) must_use;
/* True for a gRPC request. *ret_status is set for one that only looks like
 * one: 405 for a method other than POST, 415 for a gRPC path (or, on a server
 * without plain HTTP, any path) with another content type. */
bool grpc_is_request(struct h2_stream *s, unsigned *ret_status);

/* A method of this service ("pkg.Name") is in the server's table. */
bool grpc_offers(const struct grpc_call *c, struct span service);

#endif
