// SPDX-License-Identifier: Apache-2.0
/*
 * Outbound gRPC on nghttp2: unary calls to one target over one connection that
 * is made on demand and kept. Loop thread only.
 */
#ifndef SIDECAR_IO_GRPC_CLIENT_H
#define SIDECAR_IO_GRPC_CLIENT_H

#include "sidecar/io/server.h"

struct grpc_client;
struct grpc_client_call;

struct grpc_client_conf {
    struct span address;     /* "unix:/path" or "host:port" */
    struct span tls_ca_file; /* empty: plain text (unix or loopback only) */
    struct span tls_cert_file, tls_key_file; /* client certificate, optional */
    struct span tls_name;   /* expected DNS name; empty: the host */
    uint32_t message_bytes; /* [1 MiB] largest answer */
};

int grpc_client_new(uv_loop_t *loop, const struct grpc_client_conf *conf,
                    struct grpc_client **ret, struct fail *f) must_use;

/* `done` runs exactly once, never before this returns. rc 0 means grpc-status
 * 0 and one message; RC_REFUSED any other status (in *status, text in f);
 * RC_UNAVAILABLE, RC_TIMEOUT, RC_CANCELLED, RC_PROTOCOL otherwise. */
typedef void (*grpc_client_done_fn)(void *ctx, int rc, enum grpc_status status,
                                    struct span message, const struct fail *f);
int grpc_client_call(struct grpc_client *c, const char *path,
                     struct span message, uint64_t timeout_ms,
                     grpc_client_done_fn done, void *ctx,
                     struct grpc_client_call **ret, struct fail *f) must_use;
void grpc_client_cancel(struct grpc_client_call *k);

/* Cancels what is open, closes; done once, then the client is freed. */
void grpc_client_close(struct grpc_client *c, void (*done)(void *ctx),
                       void *ctx);

#endif
