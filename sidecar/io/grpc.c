// SPDX-License-Identifier: Apache-2.0
/*
 * gRPC calls on HTTP/2 streams, server side (grpc/doc/PROTOCOL-HTTP2.md). A
 * call moves: head -> (open) -> messages -> half closed -> finished -> closed.
 * An owner learns of a unary call only when its one message is there.
 */
#include "sidecar/io/h2.h"

#include <string.h>

#include <nghttp2/nghttp2.h>

#include "proto/grpc_frame.h"

static const struct grpc_method no_method = {.path = ""};

static struct h2_stream *stream_of(const struct grpc_call *c)
{
    return container_of((struct grpc_call *)(uintptr_t)c, struct h2_stream,
                        call);
}

static void *ctx_of(const struct h2_stream *s)
{
    return h2_env_of(s->h2)->methods_ctx;
}

/* --- the owner's side ------------------------------------------------------
 */

void grpc_set_user(struct grpc_call *c, void *user)
{
    c->user = user;
}

void *grpc_user(const struct grpc_call *c)
{
    return c->user;
}

const struct peer *grpc_peer(const struct grpc_call *c)
{
    return http_peer(stream_of(c)->req);
}

uint64_t grpc_time_left_ms(const struct grpc_call *c)
{
    if (c->deadline_ms == 0)
        return UINT64_MAX;
    uint64_t now_ms = turn_now_ms(h2_env_of(stream_of(c)->h2)->turn);
    return c->deadline_ms > now_ms ? c->deadline_ms - now_ms : 0;
}

struct span grpc_metadata(const struct grpc_call *c, struct span name)
{
    return http_header(stream_of(c)->req, name);
}

int grpc_send(struct grpc_call *c, struct span message)
{
    struct h2_stream *s = stream_of(c);
    if (c->finished || s->refused)
        return RC_STATE;
    unsigned char prefix[GRPC_FRAME_PREFIX_BYTES] = {
        0, (unsigned char)(message.n >> 24), (unsigned char)(message.n >> 16),
        (unsigned char)(message.n >> 8), (unsigned char)message.n};
    TRY(h2_stream_queue(s, span_of(prefix, sizeof(prefix)), message));
    h2_stream_go(s);
    return 0;
}

void grpc_finish(struct grpc_call *c, enum grpc_status status, const char *text)
{
    struct h2_stream *s = stream_of(c);
    if (c->finished || s->refused)
        return;
    c->finished = s->finished = true;
    c->status = status;
    if (text != NULL)
        grpc_text_encode(&c->text, span_str(text));
    deadline_stop(h2_env_of(s->h2)->turn, &s->deadline);
    h2_stream_go(s);
}

void grpc_reply(struct grpc_call *c, struct span message)
{
    if (c->finished)
        return;
    int rc = grpc_send(c, message);
    if (rc == RC_LIMIT)
        grpc_finish(c, GRPC_RESOURCE_EXHAUSTED, "the answers are not read");
    else if (rc < 0)
        grpc_finish(c, GRPC_INTERNAL, "out of memory");
    else
        grpc_finish(c, GRPC_OK, NULL);
}

/* --- output -----------------------------------------------------------------
 */

static nghttp2_nv nv_of(struct span name, struct span value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name.p,
                        (uint8_t *)(uintptr_t)value.p, name.n, value.n,
                        NGHTTP2_NV_FLAG_NO_COPY_NAME};
}

/* Statuses are below 100. */
static size_t status_fields(const struct grpc_call *c, char digits[4],
                            nghttp2_nv nv[2])
{
    unsigned v = (unsigned)c->status % 100;
    size_t n = 0;
    if (v >= 10)
        digits[n++] = (char)('0' + v / 10);
    digits[n++] = (char)('0' + v % 10);
    nv[0] = nv_of(SPAN("grpc-status"), span_of(digits, n));
    if (c->text.n == 0)
        return 1;
    nv[1] = nv_of(SPAN("grpc-message"), buf_span(&c->text));
    return 2;
}

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *p,
                       size_t n, uint32_t *flags, nghttp2_data_source *source,
                       void *ctx)
{
    (void)ctx;
    (void)session;
    (void)id;
    return h2_stream_read(source->ptr, p, n, flags);
}

int grpc_submit_head(struct h2_stream *s)
{
    nghttp2_nv nv[5];
    char digits[4];
    size_t n = 0;
    nv[n++] = nv_of(SPAN(":status"), SPAN("200"));
    nv[n++] = nv_of(SPAN("content-type"), SPAN("application/grpc"));
    if (s->call.finished && s->out.n == 0) { /* trailers only */
        if (s->call.status == GRPC_UNIMPLEMENTED)
            nv[n++] = nv_of(SPAN("grpc-accept-encoding"), SPAN("identity"));
        n += status_fields(&s->call, digits, nv + n);
        return nghttp2_submit_response(h2_session(s->h2), s->id, nv, n, NULL);
    }
    nghttp2_data_provider data = {{.ptr = s}, on_read};
    return nghttp2_submit_response(h2_session(s->h2), s->id, nv, n, &data);
}

int grpc_submit_trailers(struct h2_stream *s)
{
    nghttp2_nv nv[2];
    char digits[4];
    size_t n = status_fields(&s->call, digits, nv);
    return nghttp2_submit_trailer(h2_session(s->h2), s->id, nv, n);
}

/* --- input -------------------------------------------------------------------
 */

static void refuse(struct h2_stream *s, enum grpc_status status,
                   const char *why)
{
    h2_env_of(s->h2)->stats->bad_requests++;
    grpc_finish(&s->call, status, why);
}

static const struct grpc_method *find_method(const struct h2_stream *s)
{
    struct span path = http_header(s->req, SPAN(":path"));
    const struct grpc_method *m = h2_env_of(s->h2)->methods;
    for (; m != NULL && m->path != NULL; m++)
        if (span_eq(span_str(m->path), path))
            return m;
    return NULL;
}

bool grpc_offers(const struct grpc_call *c, struct span service)
{
    const struct grpc_method *m = h2_env_of(stream_of(c)->h2)->methods;
    for (; m != NULL && m->path != NULL; m++) {
        struct span path = span_str(m->path);
        if (span_eq(span_sub(path, 1, service.n + 1), service) &&
            path.n > service.n + 1 && path.p[service.n + 1] == '/')
            return true;
    }
    return false;
}

bool grpc_is_request(struct h2_stream *s, unsigned *ret_status)
{
    bool plain = h2_env_of(s->h2)->request != NULL;
    if (!grpc_content_type(http_header(s->req, SPAN("content-type")))) {
        if (!plain || find_method(s) != NULL)
            *ret_status = 415;
        return false;
    }
    if (span_eq(http_method(s->req), SPAN("POST")))
        return true;
    *ret_status = 405;
    return false;
}

static void open_call(struct h2_stream *s)
{
    struct grpc_call *c = &s->call;
    c->opened = true;
    h2_env_of(s->h2)->stats->calls++;
    if (c->method->open != NULL)
        c->method->open(ctx_of(s), c);
}

/* The caller's deadline, and for one-message requests also the time in which
 * that message must be here (armed by h2). */
static int take_timeout(struct h2_stream *s)
{
    struct span v = http_header(s->req, SPAN("grpc-timeout"));
    struct turn *t = h2_env_of(s->h2)->turn;
    uint64_t ms;
    if (s->call.method->client_streams)
        deadline_stop(t, &s->deadline);
    if (v.p == NULL || !grpc_timeout_parse(v, &ms))
        return 0;
    s->call.deadline_ms = turn_now_ms(t) + ms;
    if (s->deadline.pos != 0 && s->deadline.at_ms < s->call.deadline_ms)
        return 0;
    return deadline_set(t, &s->deadline, s->call.deadline_ms);
}

void grpc_stream_head(struct h2_stream *s)
{
    struct span encoding = http_header(s->req, SPAN("grpc-encoding"));
    const struct grpc_method *m = find_method(s);
    s->call.method = m != NULL ? m : &no_method;
    if (m == NULL) {
        refuse(s, GRPC_UNIMPLEMENTED, "no such method");
    } else if (encoding.p != NULL && !span_eq(encoding, SPAN("identity"))) {
        refuse(s, GRPC_UNIMPLEMENTED, "grpc-encoding must be identity");
    } else if (h2_overloaded(s->h2)) {
        refuse(s, GRPC_RESOURCE_EXHAUSTED, "too much is queued");
    } else if (take_timeout(s) < 0) {
        refuse(s, GRPC_RESOURCE_EXHAUSTED, "out of memory");
    } else if (m->client_streams) {
        open_call(s);
    }
}

/* 1: a message at the front of the body; 0: not yet; <0: refused. */
static int next_message(struct h2_stream *s, struct span in,
                        struct grpc_frame *ret)
{
    int rc = grpc_frame_next(in, h2_env_of(s->h2)->limits->message_bytes, ret);
    if (rc == RC_TOO_LARGE)
        refuse(s, GRPC_RESOURCE_EXHAUSTED, "message too large");
    else if (rc < 0)
        refuse(s, GRPC_INTERNAL, "malformed message prefix");
    else if (rc == 1 && ret->compressed) {
        refuse(s, GRPC_INTERNAL, "compressed message without grpc-encoding");
        rc = RC_PROTOCOL;
    }
    return rc;
}

static void drop_body(struct h2_stream *s, size_t n)
{
    h2_held(s->h2, 0, n);
    buf_consume(&s->req->body, n);
}

void grpc_stream_body(struct h2_stream *s)
{
    struct grpc_frame f;
    size_t at = 0;
    if (s->call.finished) {
        drop_body(s, s->req->body.n);
        return;
    }
    if (!s->call.method->client_streams) { /* early refusal only */
        ignore_rc(next_message(s, buf_span(&s->req->body), &f));
        return;
    }
    while (!s->call.finished &&
           next_message(s, span_sub(buf_span(&s->req->body), at, SIZE_MAX),
                        &f) == 1) {
        at += f.used_bytes;
        s->call.method->message(ctx_of(s), &s->call, f.message);
    }
    drop_body(s, at);
}

/* One-message requests: exactly one, whole. */
static void take_single(struct h2_stream *s)
{
    struct grpc_frame f;
    struct span in = buf_span(&s->req->body);
    int rc = next_message(s, in, &f);
    if (rc == 0) {
        if (in.n == 0)
            refuse(s, GRPC_UNIMPLEMENTED, "no message");
        else
            refuse(s, GRPC_INTERNAL, "truncated message");
    }
    if (rc != 1)
        return;
    if (f.used_bytes != in.n) {
        refuse(s, GRPC_UNIMPLEMENTED, "more than one message");
        return;
    }
    open_call(s);
    if (!s->call.finished)
        s->call.method->message(ctx_of(s), &s->call, f.message);
}

/* From here only the caller's own deadline counts. */
static void keep_own_deadline(struct h2_stream *s)
{
    struct turn *t = h2_env_of(s->h2)->turn;
    if (s->call.deadline_ms == 0)
        deadline_stop(t, &s->deadline);
    else if (deadline_set(t, &s->deadline, s->call.deadline_ms) < 0)
        h2_broken(s->h2);
}

void grpc_stream_whole(struct h2_stream *s)
{
    struct grpc_call *c = &s->call;
    if (c->finished)
        return;
    keep_own_deadline(s);
    if (!c->method->client_streams) {
        take_single(s);
        return;
    }
    if (s->req->body.n > 0)
        refuse(s, GRPC_INTERNAL, "truncated message");
    else if (c->method->half_closed != NULL)
        c->method->half_closed(ctx_of(s), c);
}

void grpc_stream_late(struct h2_stream *s)
{
    h2_stream_drop_output(s);
    grpc_finish(&s->call, GRPC_DEADLINE_EXCEEDED, "deadline exceeded");
}

void grpc_stream_drain(struct h2_stream *s)
{
    if (s->call.opened && s->call.method->server_streams)
        grpc_finish(&s->call, GRPC_UNAVAILABLE, "shutting down");
}

void grpc_stream_closed(struct h2_stream *s)
{
    struct grpc_call *c = &s->call;
    c->finished = true;
    if (c->opened && c->method->closed != NULL)
        c->method->closed(ctx_of(s), c);
}
