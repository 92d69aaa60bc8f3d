// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/wire.h"

#include <string.h>

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *ret)
{
    struct wire *w = h->data;
    (void)hint;
    *ret = uv_buf_init((char *)w->turn->read, TURN_READ_BYTES);
}

/* The handshake, if it is not over. True when records may be read. */
static bool pump_handshake(struct wire *w)
{
    if (w->secured)
        return true;
    int rc = tls_handshake(w->tls);
    if (rc == 0)
        return false;
    if (rc < 0) {
        w->ops->ended(w, rc);
        return false;
    }
    w->secured = true;
    w->ops->secured(w);
    return !w->closing && !w->broken;
}

/* Decrypts everything the last input holds. */
static void pump(struct wire *w)
{
    if (!pump_handshake(w))
        return;
    while (!w->closing && !w->broken) {
        size_t n = 0;
        int rc = tls_read(w->tls, w->turn->plain, TURN_PLAIN_BYTES, &n);
        if (rc == 0)
            return;
        if (rc < 0) {
            w->ops->ended(w, rc);
            return;
        }
        w->ops->input(w, span_of(w->turn->plain, n));
    }
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct wire *w = s->data;
    if (n == 0)
        return;
    if (n < 0) {
        w->ops->ended(w, n == UV_EOF ? RC_EOF : RC_IO);
        return;
    }
    if (w->tls == NULL) {
        w->ops->input(w, span_of(b->base, (size_t)n));
        return;
    }
    tls_feed(w->tls, span_of(b->base, (size_t)n));
    pump(w);
    if (!w->closing)
        w->ops->drained(w); /* the handshake may have something to say */
}

int wire_init(struct wire *w, struct turn *t, const struct wire_ops *ops,
              bool is_unix)
{
    *w = (struct wire){.ops = ops, .turn = t};
    buf_init(&w->out, mem_system(), WIRE_OUT_BYTES_MAX);
    buf_init(&w->plain, mem_system(), WIRE_OUT_BYTES_MAX);
    buf_init(&w->writing, mem_system(), WIRE_OUT_BYTES_MAX);
    int rc = is_unix ? uv_pipe_init(t->loop, &w->io.pipe, 0)
                     : uv_tcp_init(t->loop, &w->io.tcp);
    if (rc != 0)
        return RC_IO;
    w->io.handle.data = w;
    return 0;
}

void wire_read(struct wire *w, bool on)
{
    if (on == w->reading || w->closing)
        return;
    if (!on)
        uv_read_stop(&w->io.stream);
    else if (uv_read_start(&w->io.stream, on_alloc, on_read) != 0)
        w->broken = true;
    w->reading = on;
}

/* A wire without memory takes what the last drained one left behind, so that
 * idle wires hold none. */
static void lend(struct wire *w, struct buf *b)
{
    if (b->p != NULL || w->turn->spare.p == NULL)
        return;
    b->p = w->turn->spare.p;
    b->cap = w->turn->spare.cap;
    w->turn->spare.p = NULL;
    w->turn->spare.cap = 0;
}

static void give_back(struct wire *w, struct buf *b)
{
    if (b->n > 0 || b->p == NULL)
        return;
    if (w->turn->spare.p == NULL && b->cap <= TURN_SPARE_BYTES) {
        w->turn->spare.p = b->p;
        w->turn->spare.cap = b->cap;
        b->p = NULL;
        b->cap = 0;
        return;
    }
    buf_fini(b);
}

void wire_put(struct wire *w, struct span bytes)
{
    struct buf *b = w->tls != NULL ? &w->plain : &w->out;
    lend(w, b);
    if (wire_queued(w) == 0)
        w->progress_ms = turn_now_ms(w->turn);
    buf_put(b, bytes);
    if (!buf_ok(b))
        w->broken = true;
}

size_t wire_queued(const struct wire *w)
{
    return w->out.n + w->plain.n + w->writing.n;
}

static void on_write(uv_write_t *req, int status)
{
    struct wire *w = req->data;
    w->busy = false;
    buf_clear(&w->writing);
    give_back(w, &w->writing);
    if (w->closing)
        return;
    if (status != 0)
        w->broken = true;
    w->progress_ms = turn_now_ms(w->turn);
    w->ops->drained(w);
}

/* The rest goes to libuv, which writes when the socket takes it. */
static int write_rest(struct wire *w)
{
    struct buf empty = w->writing;
    w->writing = w->out;
    w->out = empty;
    w->write_req.data = w;
    uv_buf_t b = uv_buf_init((char *)w->writing.p, (unsigned)w->writing.n);
    if (uv_write(&w->write_req, &w->io.stream, &b, 1, on_write) != 0)
        return RC_IO;
    w->busy = true;
    return 0;
}

int wire_flush(struct wire *w)
{
    if (w->tls != NULL) {
        lend(w, &w->out);
        if (w->plain.n > 0 && w->secured &&
            tls_write(w->tls, buf_span(&w->plain)) < 0)
            return RC_IO;
        if (w->secured)
            buf_clear(&w->plain);
        tls_take_output(w->tls, &w->out);
        give_back(w, &w->plain);
    }
    if (w->broken || !buf_ok(&w->out))
        return RC_IO;
    if (w->busy || w->out.n == 0) {
        give_back(w, &w->out);
        return 0;
    }
    uv_buf_t b = uv_buf_init((char *)w->out.p, (unsigned)w->out.n);
    int n = uv_try_write(&w->io.stream, &b, 1);
    if (n < 0 && n != UV_EAGAIN)
        return RC_IO;
    if (n > 0) {
        buf_consume(&w->out, (size_t)n);
        w->progress_ms = turn_now_ms(w->turn);
    }
    if (w->out.n > 0)
        return write_rest(w);
    give_back(w, &w->out);
    return 0;
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
    (void)req;
    (void)status; /* the end of the stream or a timer closes it anyway */
}

void wire_shutdown(struct wire *w)
{
    if (w->tls != NULL && w->secured)
        tls_goodbye(w->tls);
    if (wire_flush(w) < 0 ||
        uv_shutdown(&w->shutdown_req, &w->io.stream, on_shutdown) != 0)
        w->broken = true;
}

static void on_closed(uv_handle_t *h)
{
    struct wire *w = h->data;
    tls_free(w->tls);
    w->tls = NULL;
    buf_fini(&w->out);
    buf_fini(&w->plain);
    buf_fini(&w->writing);
    w->ops->closed(w);
}

void wire_close(struct wire *w)
{
    must(!w->closing);
    w->closing = true;
    uv_close(&w->io.handle, on_closed);
}

void wire_start_tls(struct wire *w)
{
    pump(w);
}
