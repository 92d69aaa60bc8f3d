// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/responder.h"

#include <stdio.h>
#include <string.h>

#include "sidecar/base/fail.h"
#include "sidecar/base/list.h"

#define REQUEST_MAX (8 * 1024 * 1024)

struct responder {
    uv_tcp_t tcp;
    uv_loop_t *loop;
    responder_fn fn;
    void *ctx;
    struct list conns;
    unsigned conn_count, requests, handles;
    char url[64];
    bool closing;
};

struct responder_conn {
    uv_tcp_t tcp;
    struct responder *r;
    struct list_link link;
    struct buf in;
    char chunk[65536];
    bool closing;
};

struct send {
    uv_write_t write;
    char *bytes;
};

static void free_if_idle(struct responder *r)
{
    if (r->handles == 0)
        mem_release(mem_system(), r);
}

static void on_conn_closed(uv_handle_t *handle)
{
    struct responder_conn *c = handle->data;
    struct responder *r = c->r;
    buf_fini(&c->in);
    mem_release(mem_system(), c);
    r->handles--;
    free_if_idle(r);
}

void responder_hang_up(struct responder_conn *c)
{
    if (c->closing)
        return;
    c->closing = true;
    list_remove(&c->link);
    c->r->conn_count--;
    uv_close((uv_handle_t *)&c->tcp, on_conn_closed);
}

static void on_sent(uv_write_t *write, int status)
{
    (void)status;
    struct send *s = container_of(write, struct send, write);
    mem_release(mem_system(), s->bytes);
    mem_release(mem_system(), s);
}

void responder_send(struct responder_conn *c, struct span bytes)
{
    if (c->closing)
        return;
    struct send *s = mem_alloc(mem_system(), sizeof *s);
    must(s != NULL);
    s->bytes = (char *)mem_copy(mem_system(), bytes);
    must(s->bytes != NULL);
    uv_buf_t b = uv_buf_init(s->bytes, (unsigned)bytes.n);
    if (uv_write(&s->write, (uv_stream_t *)&c->tcp, &b, 1, on_sent) < 0)
        on_sent(&s->write, -1);
}

void responder_reply(struct responder_conn *c, unsigned status,
                     const char *headers, struct span body)
{
    struct buf b;
    buf_init(&b, mem_system(), REQUEST_MAX);
    buf_printf(&b, "HTTP/1.1 %u X\r\n%sContent-Length: %zu\r\n\r\n", status,
               headers, body.n);
    buf_put(&b, body);
    must(buf_ok(&b));
    responder_send(c, buf_span(&b));
    buf_fini(&b);
}

static struct span header_in(struct span head, const char *name)
{
    size_t n = strlen(name);
    for (size_t at = 0; at < head.n;) {
        size_t end = span_find(head, '\n', at);
        struct span line = span_sub(head, at, end);
        if (line.n > n && line.p[n] == ':' &&
            span_ieq(span_sub(line, 0, n), span_str(name))) {
            if (line.p[line.n - 1] == '\r')
                line.n--;
            return span_trim(span_sub(line, n + 1, line.n));
        }
        at = end + 1;
    }
    return (struct span){NULL, 0};
}

struct span responder_header(const struct responder_req *r, const char *name)
{
    return header_in(r->head, name);
}

/* Bytes of the first whole request in c->in, or 0. */
static size_t whole(const struct responder_conn *c, size_t *ret_head)
{
    const char *end =
        c->in.n == 0 ? NULL : memmem(c->in.p, c->in.n, "\r\n\r\n", 4);
    if (end == NULL)
        return 0;
    uint64_t body = 0;
    *ret_head = (size_t)((const unsigned char *)end - c->in.p) + 4;
    struct span v = header_in(span_of(c->in.p, *ret_head), "content-length");
    if (v.p != NULL)
        must(span_u64(v, &body));
    return c->in.n >= *ret_head + body ? *ret_head + body : 0;
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct responder_conn *c = s->data;
    size_t head, all;
    if (n < 0) {
        responder_hang_up(c);
        return;
    }
    buf_put(&c->in, span_of(b->base, (size_t)n));
    must(buf_ok(&c->in));
    while (!c->closing && (all = whole(c, &head)) > 0) {
        struct span text = span_of(c->in.p, head);
        size_t sp = span_find(text, ' ', 0);
        struct responder_req req = {
            .method = span_sub(text, 0, sp),
            .target = span_sub(text, sp + 1, span_find(text, ' ', sp + 1)),
            .head = text,
            .body = span_of(c->in.p + head, all - head),
            .number = ++c->r->requests,
        };
        c->r->fn(c->r->ctx, &req, c);
        buf_consume(&c->in, all);
    }
}

static void on_alloc(uv_handle_t *handle, size_t n, uv_buf_t *b)
{
    (void)n;
    struct responder_conn *c = handle->data;
    *b = uv_buf_init(c->chunk, sizeof c->chunk);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct responder *r = server->data;
    must(status == 0);
    struct responder_conn *c = mem_alloc(mem_system(), sizeof *c);
    must(c != NULL);
    c->r = r;
    buf_init(&c->in, mem_system(), REQUEST_MAX);
    must(uv_tcp_init(r->loop, &c->tcp) == 0);
    c->tcp.data = c;
    r->handles++;
    r->conn_count++;
    list_push(&r->conns, &c->link);
    must(uv_accept(server, (uv_stream_t *)&c->tcp) == 0);
    must(uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) == 0);
}

struct responder *responder_open(uv_loop_t *loop, responder_fn fn, void *ctx)
{
    struct responder *r = mem_alloc(mem_system(), sizeof *r);
    struct sockaddr_in at;
    int len = sizeof at;
    must(r != NULL);
    r->loop = loop;
    r->fn = fn;
    r->ctx = ctx;
    r->handles = 1;
    list_init(&r->conns);
    must(uv_ip4_addr("127.0.0.1", 0, &at) == 0);
    must(uv_tcp_init(loop, &r->tcp) == 0);
    r->tcp.data = r;
    must(uv_tcp_bind(&r->tcp, (struct sockaddr *)&at, 0) == 0);
    must(uv_listen((uv_stream_t *)&r->tcp, 128, on_connection) == 0);
    must(uv_tcp_getsockname(&r->tcp, (struct sockaddr *)&at, &len) == 0);
    (void)snprintf(r->url, sizeof r->url, "http://127.0.0.1:%u",
                   ntohs(at.sin_port));
    return r;
}

const char *responder_url(const struct responder *r)
{
    return r->url;
}

unsigned responder_requests(const struct responder *r)
{
    return r->requests;
}

unsigned responder_conns(const struct responder *r)
{
    return r->conn_count;
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct responder *r = handle->data;
    r->handles--;
    free_if_idle(r);
}

void responder_close(struct responder *r)
{
    LIST_EACH (it, next, &r->conns)
        responder_hang_up(container_of(it, struct responder_conn, link));
    uv_close((uv_handle_t *)&r->tcp, on_listener_closed);
}
