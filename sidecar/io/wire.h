// SPDX-License-Identifier: Apache-2.0
/*
 * One byte stream over TCP or a Unix socket, plain or under TLS, with bounded
 * buffered output. Used by both the server's connections and the client. It
 * knows nothing of HTTP.
 */
#ifndef SIDECAR_IO_WIRE_H
#define SIDECAR_IO_WIRE_H

#include "sidecar/io/tls.h"
#include "sidecar/io/turn.h"

#define WIRE_OUT_HIGH_BYTES (256u << 10)
#define WIRE_OUT_BYTES_MAX (16u << 20)

struct wire;

/* All run on the loop thread. input and ended may be called many times until
 * wire_close; they must not free the wire. */
struct wire_ops {
    void (*input)(struct wire *w, struct span bytes);
    void (*secured)(struct wire *w); /* the TLS handshake is done */
    /* RC_EOF: orderly end; RC_UNTRUSTED: TLS failure; RC_IO. */
    void (*ended)(struct wire *w, int rc);
    void (*drained)(struct wire *w); /* call wire_flush soon */
    void (*closed)(struct wire *w);  /* the storage may go */
};

struct wire {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } io;
    const struct wire_ops *ops;
    struct turn *turn;
    struct tls *tls;    /* NULL: plain */
    struct buf out;     /* not yet given to the kernel */
    struct buf plain;   /* not yet encrypted (TLS only) */
    struct buf writing; /* with libuv until on_write */
    uv_write_t write_req;
    uv_shutdown_t shutdown_req;
    uint64_t progress_ms; /* when output last moved */
    bool busy, reading, secured, closing, broken;
};

/* Prepares the handle: is_unix picks the kind. RC_IO. */
int wire_init(struct wire *w, struct turn *t, const struct wire_ops *ops,
              bool is_unix) must_use;

/* Starts or stops reading; back-pressure. */
void wire_read(struct wire *w, bool on);

/* Appends to the output; bytes leave at wire_flush. Beyond
 * WIRE_OUT_BYTES_MAX the wire is broken. */
void wire_put(struct wire *w, struct span bytes);

/* Output that the kernel has not taken yet. */
size_t wire_queued(const struct wire *w);

/* Encrypts and writes. RC_IO when the stream is broken. */
int wire_flush(struct wire *w) must_use;

/* Sends close_notify and FIN after all output; reading goes on. */
void wire_shutdown(struct wire *w);

/* closed runs later, once. Legal only once, after wire_init succeeded. */
void wire_close(struct wire *w);

/* Takes the client's first step of a handshake (a server waits for bytes). */
void wire_start_tls(struct wire *w);

#endif
