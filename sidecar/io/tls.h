// SPDX-License-Identifier: Apache-2.0
/*
 * TLS over buffers: encrypted bytes in, encrypted bytes out, no sockets. TLS
 * 1.2 and 1.3 with AEAD suites only; no renegotiation, resumption, compression
 * or early data, so that every connection proves its peer afresh.
 */
#ifndef SIDECAR_IO_TLS_H
#define SIDECAR_IO_TLS_H

#include "sidecar/base/buf.h"
#include "sidecar/base/fail.h"

#define TLS_SPIFFE_BYTES_MAX 2048
#define TLS_HASH_BYTES 32
#define TLS_OUT_BYTES_MAX (20u << 20)

struct tls_ctx; /* certificates and rules, shared by many connections */
struct tls;     /* one connection */

struct tls_conf {
    struct span cert_file, key_file, ca_file; /* PEM; empty: none */
    bool client;                              /* connects; otherwise accepts */
    bool peer_required; /* server: a client certificate is a must */
};

/* RC_CONFIG with OpenSSL's reason. */
int tls_ctx_new(const struct tls_conf *conf, struct tls_ctx **ret,
                struct fail *f) must_use;
/* Connections that use it live on. NULL is legal. */
void tls_ctx_free(struct tls_ctx *c);

/* `name` is the expected DNS name or IP address (client only). */
int tls_new(struct tls_ctx *c, struct span name, struct tls **ret) must_use;
void tls_free(struct tls *t);

/* Lends encrypted input until the next handshake/read call that returns 0. */
void tls_feed(struct tls *t, struct span bytes);

/* 1 done, 0 needs input, RC_UNTRUSTED. */
int tls_handshake(struct tls *t) must_use;

/* 1 and *ret_n bytes, 0 needs input, RC_EOF, RC_UNTRUSTED. */
int tls_read(struct tls *t, unsigned char *p, size_t n, size_t *ret_n) must_use;

/* Encrypts all; RC_IO, RC_NO_MEMORY. */
int tls_write(struct tls *t, struct span bytes) must_use;

/* Queues close_notify. */
void tls_goodbye(struct tls *t);

/* Moves the encrypted output to `out`. */
void tls_take_output(struct tls *t, struct buf *out);

/* The protocol that ALPN agreed on: "h2", "http/1.1" or empty. */
struct span tls_alpn(const struct tls *t);

struct tls_peer {
    bool has_cert;
    unsigned char sha256[TLS_HASH_BYTES];
    char spiffe[TLS_SPIFFE_BYTES_MAX + 1];
    size_t spiffe_n; /* 0 unless there is exactly one URI name */
};

/* What the verified peer certificate says. */
void tls_peer_get(const struct tls *t, struct tls_peer *ret);

#endif
