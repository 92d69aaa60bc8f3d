// SPDX-License-Identifier: Apache-2.0
/*
 * Inbound side: one listening address that speaks HTTP/1.1 (llhttp) and HTTP/2
 * (nghttp2), plain or under TLS, over TCP or a Unix socket, and offers plain
 * HTTP requests and gRPC calls to its owner. No decisions are made here.
 *
 * Everything runs on the loop thread. All output of one turn of the loop
 * leaves in one write per connection.
 */
#ifndef SIDECAR_IO_SERVER_H
#define SIDECAR_IO_SERVER_H

#include <stdint.h>
#include <sys/types.h>
#include <uv.h>
#include "sidecar/base/buf.h"
#include "sidecar/base/fail.h"

/* Limits a peer could otherwise push against; each has a counter in
 * server_stats. 0 picks the default in brackets. */
struct server_limits {
    uint32_t connections;   /* [2048] per listener */
    uint32_t streams;       /* [100] concurrent per connection */
    uint32_t header_bytes;  /* [16384] decoded, per request */
    uint32_t body_bytes;    /* [262144] per HTTP request */
    uint32_t message_bytes; /* [65536] per gRPC message */
    uint32_t queued_bytes;  /* [1048576] output per connection */
    uint32_t handshake_ms;  /* [5000] */
    uint32_t request_ms;    /* [10000] first byte to end of request */
    uint32_t idle_ms;       /* [300000] nothing in flight */
    uint32_t stall_ms;      /* [20000] output that the peer leaves */
    uint32_t resets_per_s;  /* [20] RST_STREAM sent or received, burst 200 */
};

enum peer_kind { PEER_UNIX, PEER_TCP, PEER_TLS };

/* Who is at the other end, as the transport proves it. */
struct peer {
    enum peer_kind kind;
    bool loopback;
    uid_t uid; /* PEER_UNIX: SO_PEERCRED */
    gid_t gid;
    pid_t pid;
    bool has_cert;           /* PEER_TLS: a verified client certificate */
    struct span spiffe_id;   /* the only URI SAN, or empty */
    struct span cert_sha256; /* 32 bytes */
    char address[64];        /* for logs: "127.0.0.1:4711", "unix" */
};

struct http_req;

struct span http_method(const struct http_req *r);
struct span http_path(const struct http_req *r);  /* without the query */
struct span http_query(const struct http_req *r); /* may be empty */
/* First header of this (lower-case) name; empty span with p NULL if absent. */
struct span http_header(const struct http_req *r, struct span name);
struct span http_body(const struct http_req *r);
const struct peer *http_peer(const struct http_req *r);

struct http_header {
    const char *name; /* lower case */
    struct span value;
};

/* Answers, exactly once; `r` is gone afterwards. Legal after the connection
 * died (the answer is dropped). Copies body and headers. Content-Length is
 * added. */
void http_reply(struct http_req *r, unsigned status,
                const struct http_header *headers, size_t header_count,
                struct span body);

/* gRPC status codes that we send (grpc/doc/statuscodes.md). */
enum grpc_status {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_ALREADY_EXISTS = 6,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_FAILED_PRECONDITION = 9,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_UNAUTHENTICATED = 16,
};

struct grpc_call;

/*
 * A method. The server calls, in order: open, message (once per message; for
 * unary exactly one whole message was received before the call), half_closed
 * (streams only), and closed exactly once, whoever ended it; afterwards the
 * call is gone. Within callbacks any grpc_* function may be used.
 */
struct grpc_method {
    const char *path; /* "/bailiff.v1.AgentGate/Check" */
    bool client_streams, server_streams;
    void (*open)(void *ctx, struct grpc_call *c);
    void (*message)(void *ctx, struct grpc_call *c, struct span message);
    void (*half_closed)(void *ctx, struct grpc_call *c);
    void (*closed)(void *ctx, struct grpc_call *c);
};

void grpc_set_user(struct grpc_call *c, void *user);
void *grpc_user(const struct grpc_call *c);
const struct peer *grpc_peer(const struct grpc_call *c);
/* Milliseconds left until the caller's deadline, or UINT64_MAX without one. */
uint64_t grpc_time_left_ms(const struct grpc_call *c);
/* A request metadata value, or p NULL. */
struct span grpc_metadata(const struct grpc_call *c, struct span name);
/* Queues one message (copied). RC_LIMIT when the peer reads too slowly and
 * queued_bytes is reached: the caller decides what to drop. */
int grpc_send(struct grpc_call *c, struct span message) must_use;
/* Ends the call; `text` may be NULL. Nothing may be sent afterwards. */
void grpc_finish(struct grpc_call *c, enum grpc_status status,
                 const char *text);
/* Send one message and finish with GRPC_OK. */
void grpc_reply(struct grpc_call *c, struct span message);

struct server_conf {
    struct span address; /* "unix:/path", "127.0.0.1:9443", "[::]:8443" */
    uint32_t unix_mode;  /* e.g. 0660 */
    int64_t unix_gid;    /* -1: leave */
    /* PEM files; empty cert: no TLS. */
    struct span tls_cert_file, tls_key_file, tls_client_ca_file;
    bool tls_client_required;
    struct server_limits limits;
    const struct grpc_method *methods; /* NULL-path-terminated; may be NULL */
    /* Plain HTTP; NULL: 404 for everything. `r` may be answered later. */
    void (*request)(void *ctx, struct http_req *r);
    void *ctx;
};

struct server_stats {
    uint64_t accepted, refused, open, requests, calls, bad_requests, timeouts,
        floods, tls_failures, slow_readers;
};

struct server;

/* Binds and listens. Port 0 picks one; see server_address. RC_CONFIG for a bad
 * address or certificate, RC_BUSY when a Unix socket is in use, RC_IO. After a
 * failure the loop must run once more to let go of the memory. */
int server_open(uv_loop_t *loop, const struct server_conf *conf,
                struct server **ret, struct fail *f) must_use;

/* "127.0.0.1:40123" as bound; valid until close. */
const char *server_address(const struct server *s);
void server_stats_get(const struct server *s, struct server_stats *ret);

/* Loads the certificate files again; on failure the old ones stay. */
int server_reload_tls(struct server *s, struct fail *f) must_use;

/* Gives back memory that waits for the next requests. */
void server_rest(struct server *s);

/* Stops accepting, sends GOAWAY, lets what is in flight finish for up to
 * drain_ms, then cuts. `done` runs once when every handle is closed; the
 * server is freed after it returns. */
void server_close(struct server *s, uint64_t drain_ms, void (*done)(void *ctx),
                  void *ctx);

#endif
