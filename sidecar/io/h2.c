// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/h2.h"

#include <string.h>

#include <nghttp2/nghttp2.h>

#define STREAM_WINDOW_BYTES (256 * 1024)
#define CONNECTION_WINDOW_BYTES (1024 * 1024)
#define RESET_BURST 200
#define CONTROL_PER_S 100
#define CONTROL_BURST 1000
#define DRAIN_NOTICE_MS 50
#define ACK_QUEUE_MAX 200
#define CONTINUATIONS_MAX 8
#define SETTINGS_MAX 32
#define HEADERS_SENT_MAX 64

struct h2 {
    nghttp2_session *session;
    struct h2_env env;
    struct list streams;
    size_t stream_count;
    size_t queued_bytes; /* output waiting on streams */
    size_t held_bytes;   /* input kept for unfinished requests */
    struct h2_bucket resets, control;
    uint64_t opened_ms, idle_ms, moved_ms, head_ms, drain_ms;
    bool settings_seen, head_open, terminated, broken;
};

static uint64_t now_ms(const struct h2 *h)
{
    return turn_now_ms(h->env.turn);
}

struct nghttp2_session *h2_session(struct h2 *h)
{
    return h->session;
}

const struct h2_env *h2_env_of(const struct h2 *h)
{
    return &h->env;
}

void h2_broken(struct h2 *h)
{
    h->broken = true;
    h->env.dirty(h->env.ctx);
}

/* --- floods --------------------------------------------------------------- */

static bool bucket_take(struct h2_bucket *b, uint64_t now)
{
    uint64_t gained = (now - b->refilled_ms) * b->per_s / 1000;
    if (gained > 0) {
        b->tokens =
            b->tokens + gained > b->burst ? b->burst : b->tokens + gained;
        b->refilled_ms = now;
    }
    if (b->tokens == 0)
        return false;
    b->tokens--;
    return true;
}

static void terminate(struct h2 *h, uint32_t code)
{
    if (h->terminated)
        return;
    h->terminated = true;
    if (nghttp2_session_terminate_session(h->session, code) != 0)
        h->broken = true;
    h->env.dirty(h->env.ctx);
}

static void flood(struct h2 *h)
{
    if (h->terminated)
        return;
    h->env.stats->floods++;
    terminate(h, NGHTTP2_ENHANCE_YOUR_CALM);
}

static void count_reset(struct h2 *h)
{
    if (!bucket_take(&h->resets, now_ms(h)))
        flood(h);
}

static void count_control(struct h2 *h)
{
    if (!bucket_take(&h->control, now_ms(h)))
        flood(h);
}

/* --- streams -------------------------------------------------------------- */

static void on_stream_deadline(struct deadline *d)
{
    struct h2_stream *s = container_of(d, struct h2_stream, deadline);
    s->h2->env.stats->timeouts++;
    if (s->call.method != NULL)
        grpc_stream_late(s);
    else
        h2_stream_reset(s, NGHTTP2_CANCEL); /* the body never came */
}

static struct h2_stream *stream_new(struct h2 *h, int32_t id)
{
    struct mem *m = pool_mem(h->env.turn->pool);
    struct h2_stream *s = mem_alloc(m, sizeof(*s));
    if (s == NULL)
        return NULL;
    const struct server_limits *l = h->env.limits;
    size_t body = l->body_bytes > l->message_bytes + 5 + STREAM_WINDOW_BYTES
                      ? l->body_bytes
                      : l->message_bytes + 5 + STREAM_WINDOW_BYTES;
    s->req = http_req_new(m, h->env.peer, l->header_bytes, body);
    if (s->req == NULL) {
        mem_release(m, s);
        return NULL;
    }
    s->h2 = h;
    s->id = id;
    s->deadline.fire = on_stream_deadline;
    buf_init(&s->out, m, SIZE_MAX / 2);
    buf_init(&s->call.text, m, 4096);
    list_push(&h->streams, &s->link);
    h->stream_count++;
    return s;
}

static void stream_free(struct h2_stream *s)
{
    struct h2 *h = s->h2;
    if (s->call.method != NULL)
        grpc_stream_closed(s);
    deadline_stop(h->env.turn, &s->deadline);
    h2_stream_drop_output(s);
    if (s->lent) {
        s->req->answer = NULL; /* the owner still has it */
    } else if (s->req != NULL) {
        h2_held(h, 0, s->req->body.n);
        http_req_free(s->req);
    }
    list_remove(&s->link);
    if (--h->stream_count == 0)
        h->idle_ms = now_ms(h);
    buf_fini(&s->out);
    buf_fini(&s->call.text);
    mem_release(pool_mem(h->env.turn->pool), s);
}

void h2_held(struct h2 *h, size_t more, size_t less)
{
    h->held_bytes = h->held_bytes + more - less;
}

bool h2_overloaded(const struct h2 *h)
{
    return h->queued_bytes > h->env.limits->queued_bytes ||
           h->held_bytes > h->env.limits->queued_bytes;
}

void h2_stream_reset(struct h2_stream *s, uint32_t code)
{
    s->finished = s->refused = true;
    h2_stream_drop_output(s);
    if (nghttp2_submit_rst_stream(s->h2->session, NGHTTP2_FLAG_NONE, s->id,
                                  code) != 0)
        h2_broken(s->h2);
    s->h2->env.dirty(s->h2->env.ctx);
}

void h2_stream_drop_output(struct h2_stream *s)
{
    s->h2->queued_bytes -= s->out.n - s->out_at;
    buf_clear(&s->out);
    s->out_at = 0;
}

int h2_stream_queue(struct h2_stream *s, struct span prefix, struct span body)
{
    struct h2 *h = s->h2;
    if (h->queued_bytes + prefix.n + body.n > h->env.limits->queued_bytes &&
        h->queued_bytes > 0) {
        h->env.stats->slow_readers++;
        return RC_LIMIT;
    }
    if (h->queued_bytes == 0)
        h->moved_ms = now_ms(h);
    if (buf_reserve(&s->out, prefix.n + body.n) == NULL)
        return RC_NO_MEMORY;
    buf_put(&s->out, prefix);
    buf_put(&s->out, body);
    h->queued_bytes += prefix.n + body.n;
    return 0;
}

void h2_stream_go(struct h2_stream *s)
{
    struct h2 *h = s->h2;
    int rc = 0;
    if (!s->head_sent) {
        s->head_sent = true;
        rc = grpc_submit_head(s);
    } else if (s->deferred) {
        s->deferred = false;
        rc = nghttp2_session_resume_data(h->session, s->id);
        if (rc == NGHTTP2_ERR_INVALID_ARGUMENT)
            rc = 0; /* the stream is being reset */
    }
    if (rc != 0)
        h2_broken(h);
    h->env.dirty(h->env.ctx);
}

/* --- plain HTTP answers --------------------------------------------------- */

ssize_t h2_stream_read(struct h2_stream *s, uint8_t *p, size_t n,
                       uint32_t *flags)
{
    struct h2 *h = s->h2;
    size_t left = s->out.n - s->out_at;
    size_t take = left < n ? left : n;
    if (take == 0 && !s->finished) {
        s->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (take > 0)
        memcpy(p, s->out.p + s->out_at, take);
    s->out_at += take;
    h->queued_bytes -= take;
    h->moved_ms = now_ms(h);
    if (s->out_at == s->out.n) {
        buf_clear(&s->out);
        s->out_at = 0;
        if (s->finished)
            *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    if ((*flags & NGHTTP2_DATA_FLAG_EOF) != 0 && s->call.method != NULL) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (grpc_submit_trailers(s) != 0)
            return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return (ssize_t)take;
}

static ssize_t on_out_read(nghttp2_session *session, int32_t id, uint8_t *p,
                           size_t n, uint32_t *flags,
                           nghttp2_data_source *source, void *ctx)
{
    (void)session;
    (void)id;
    (void)ctx;
    return h2_stream_read(source->ptr, p, n, flags);
}

#define ANSWER_HEADERS_MAX 32

static nghttp2_nv nv_of(struct span name, struct span value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name.p,
                        (uint8_t *)(uintptr_t)value.p, name.n, value.n,
                        NGHTTP2_NV_FLAG_NONE};
}

static int submit_answer(struct h2_stream *s, const struct http_answer *a)
{
    nghttp2_nv nv[ANSWER_HEADERS_MAX + 3];
    char status[16], length[24], date[HTTP_DATE_BYTES];
    size_t n = 0;
    bool has_body = http_has_body(a->status);
    ignore_rc(snprintf(status, sizeof(status), "%u", a->status));
    ignore_rc(snprintf(length, sizeof(length), "%zu", a->body.n));
    nv[n++] = nv_of(SPAN(":status"), span_str(status));
    nv[n++] = nv_of(SPAN("date"), http_date(date));
    if (has_body)
        nv[n++] = nv_of(SPAN("content-length"), span_str(length));
    must(a->header_count <= ANSWER_HEADERS_MAX);
    for (size_t i = 0; i < a->header_count; i++)
        if (http_value_clean(a->headers[i].value))
            nv[n++] = nv_of(span_str(a->headers[i].name), a->headers[i].value);
    nghttp2_data_provider data = {{.ptr = s}, on_out_read};
    bool body = has_body && a->body.n > 0 &&
                !span_eq(http_method(s->req), SPAN("HEAD"));
    s->head_sent = s->finished = true;
    if (body && h2_stream_queue(s, SPAN(""), a->body) < 0) {
        h2_stream_reset(s, NGHTTP2_ENHANCE_YOUR_CALM);
        return 0;
    }
    return nghttp2_submit_response(s->h2->session, s->id, nv, n,
                                   body ? &data : NULL);
}

static void answer(struct h2_stream *s, const struct http_answer *a)
{
    if (submit_answer(s, a) != 0)
        h2_broken(s->h2);
    s->h2->env.dirty(s->h2->env.ctx);
}

static void on_answer(struct http_req *r, const struct http_answer *a)
{
    struct h2_stream *s = r->owner;
    s->lent = false;
    answer(s, a);
    s->req = NULL; /* freed by http_reply */
}

static void refuse(struct h2_stream *s, unsigned status)
{
    struct http_answer a = {.status = status};
    s->h2->env.stats->bad_requests++;
    s->refused = true;
    deadline_stop(s->h2->env.turn, &s->deadline);
    answer(s, &a);
}

/* --- nghttp2 callbacks: input --------------------------------------------- */

static int on_begin_headers(nghttp2_session *session,
                            const nghttp2_frame *frame, void *ctx)
{
    struct h2 *h = ctx;
    h->head_open = true;
    h->head_ms = now_ms(h);
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct h2_stream *s = stream_new(h, frame->hd.stream_id);
    if (s == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    return nghttp2_session_set_stream_user_data(session, frame->hd.stream_id,
                                                s);
}

/* :authority is kept as host, so that both versions look alike. */
static int take_field(struct h2_stream *s, struct span name, struct span value)
{
    if (span_eq(name, SPAN(":authority")))
        name = SPAN("host");
    else if (span_eq(name, SPAN("host")) && http_req_count(s->req, name) > 0) {
        if (!span_eq(http_header(s->req, name), value))
            return RC_PROTOCOL;
        return 0;
    }
    return http_req_field(s->req, name, value);
}

/* Past the cap the whole connection goes: merely failing the stream would
 * leave nghttp2 inflating (CONTINUATION and HPACK bombs). */
static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
                     const uint8_t *name, size_t name_n, const uint8_t *value,
                     size_t value_n, uint8_t flags, void *ctx)
{
    struct h2 *h = ctx;
    struct h2_stream *s =
        nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    (void)flags;
    if (s == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    int rc;
    if (s->input == H2_HEAD) {
        rc = take_field(s, span_of(name, name_n), span_of(value, value_n));
    } else { /* trailers: counted, not kept */
        s->req->counted_bytes += name_n + value_n + HTTP_FIELD_BYTES;
        rc = s->req->counted_bytes > h->env.limits->header_bytes ? RC_TOO_LARGE
                                                                 : 0;
    }
    if (rc == RC_TOO_LARGE) {
        h->env.stats->floods++;
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return rc < 0 ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE : 0;
}

static void hand_over(struct h2_stream *s)
{
    struct h2 *h = s->h2;
    struct http_req *r = s->req;
    h2_held(h, 0, r->body.n);
    s->lent = true;
    r->answer = on_answer;
    r->owner = s;
    h->env.request(h->env.ctx, r);
}

static void stream_whole(struct h2_stream *s)
{
    s->input = H2_WHOLE;
    if (s->refused)
        return;
    if (s->call.method != NULL) {
        grpc_stream_whole(s);
        return;
    }
    deadline_stop(s->h2->env.turn, &s->deadline);
    hand_over(s);
}

/* RFC 9113 8.2: a length that cannot be, and too much queued or held. */
static unsigned head_error(const struct h2_stream *s)
{
    const struct h2 *h = s->h2;
    uint64_t length;
    struct span v = http_header(s->req, SPAN("content-length"));
    if (h2_overloaded(h))
        return 503;
    if (v.p != NULL &&
        (!span_u64(v, &length) || length > h->env.limits->body_bytes))
        return 413;
    return 0;
}

static void stream_head(struct h2_stream *s, bool whole)
{
    struct h2 *h = s->h2;
    s->input = H2_BODY;
    if (!whole && deadline_set(h->env.turn, &s->deadline,
                               now_ms(h) + h->env.limits->request_ms) < 0) {
        h2_broken(h);
        return;
    }
    unsigned status = head_error(s);
    if (status == 0 && h->env.methods != NULL && grpc_is_request(s, &status)) {
        grpc_stream_head(s);
    } else {
        h->env.stats->requests++;
        if (status != 0)
            refuse(s, status);
    }
    if (whole)
        stream_whole(s);
}

static void count_frame(struct h2 *h, const nghttp2_frame *frame)
{
    switch (frame->hd.type) {
        case NGHTTP2_PING:
        case NGHTTP2_SETTINGS:
        case NGHTTP2_PRIORITY:
            if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0 ||
                frame->hd.type == NGHTTP2_PRIORITY)
                count_control(h);
            break;
        case NGHTTP2_DATA:
            if (frame->hd.length == frame->data.padlen)
                count_control(h);
            break;
        case NGHTTP2_RST_STREAM: count_reset(h); break;
        default: break;
    }
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame,
                         void *ctx)
{
    struct h2 *h = ctx;
    count_frame(h, frame);
    if (frame->hd.type == NGHTTP2_SETTINGS)
        h->settings_seen = true;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS)
        h->head_open = false;
    struct h2_stream *s =
        nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    bool whole = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (s == NULL)
        return 0;
    if (s->input == H2_HEAD)
        stream_head(s, whole);
    else if (whole && s->input == H2_BODY)
        stream_whole(s);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id,
                   const uint8_t *p, size_t n, void *ctx)
{
    struct h2 *h = ctx;
    struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
    (void)flags;
    if (s == NULL || s->refused || s->input != H2_BODY)
        return 0;
    if (s->call.method == NULL &&
        s->req->body.n + n > h->env.limits->body_bytes) {
        refuse(s, 413);
        return 0;
    }
    buf_put(&s->req->body, span_of(p, n));
    if (!buf_ok(&s->req->body)) {
        h2_stream_reset(s, NGHTTP2_ENHANCE_YOUR_CALM);
        return 0;
    }
    h2_held(h, n, 0);
    if (s->call.method != NULL)
        grpc_stream_body(s);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code,
                           void *ctx)
{
    struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
    (void)ctx;
    (void)code;
    if (s != NULL)
        stream_free(s);
    return 0;
}

/* --- nghttp2 callbacks: output -------------------------------------------- */

/* The answer is complete but the request is not: tell the peer to stop
 * (RFC 9113 8.1). */
static void on_end_sent(nghttp2_session *session, struct h2_stream *s)
{
    s->ended = true;
    if (s->input != H2_WHOLE &&
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, s->id,
                                  NGHTTP2_NO_ERROR) != 0)
        h2_broken(s->h2);
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame,
                         void *ctx)
{
    struct h2 *h = ctx;
    uint8_t type = frame->hd.type;
    if (type == NGHTTP2_RST_STREAM) {
        if (frame->rst_stream.error_code != NGHTTP2_NO_ERROR)
            count_reset(h);
        return 0;
    }
    if (type != NGHTTP2_HEADERS && type != NGHTTP2_DATA)
        return 0;
    if (h->control.tokens < h->control.burst)
        h->control.tokens++; /* work done earns PINGs (BDP probes) */
    struct h2_stream *s =
        nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (s != NULL && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        on_end_sent(session, s);
    return 0;
}

/* --- session ---------------------------------------------------------------
 */

static void *lib_take(size_t n, void *pool)
{
    return pool_take(pool, n);
}

static void lib_give(void *p, void *pool)
{
    pool_give(pool, p);
}

static void *lib_zeroed(size_t n, size_t size, void *pool)
{
    return mem_array(pool_mem(pool), n, size);
}

static void *lib_retake(void *p, size_t n, void *pool)
{
    return pool_retake(pool, p, n);
}

static int make_session(struct h2 *h)
{
    nghttp2_session_callbacks *cb;
    nghttp2_option *o;
    if (nghttp2_session_callbacks_new(&cb) != 0)
        return RC_NO_MEMORY;
    if (nghttp2_option_new(&o) != 0) {
        nghttp2_session_callbacks_del(cb);
        return RC_NO_MEMORY;
    }
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb,
                                                            on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
    nghttp2_option_set_max_outbound_ack(o, ACK_QUEUE_MAX);
    nghttp2_option_set_max_settings(o, SETTINGS_MAX);
    nghttp2_option_set_max_continuations(o, CONTINUATIONS_MAX);
    nghttp2_mem mem = {h->env.turn->pool, lib_take, lib_give, lib_zeroed,
                       lib_retake};
    int rc = nghttp2_session_server_new3(&h->session, cb, h, o, &mem);
    nghttp2_option_del(o);
    nghttp2_session_callbacks_del(cb);
    return rc == 0 ? 0 : RC_NO_MEMORY;
}

static int greet(struct h2 *h)
{
    const nghttp2_settings_entry entries[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, h->env.limits->streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, h->env.limits->header_bytes},
    };
    if (nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, entries,
                                sizeof(entries) / sizeof(entries[0])) != 0 ||
        nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0,
                                              CONNECTION_WINDOW_BYTES) != 0)
        return RC_NO_MEMORY;
    h->env.dirty(h->env.ctx);
    return 0;
}

int h2_new(const struct h2_env *env, struct h2 **ret)
{
    struct h2 *h = mem_alloc(mem_system(), sizeof(*h));
    if (h == NULL)
        return RC_NO_MEMORY;
    h->env = *env;
    list_init(&h->streams);
    h->opened_ms = h->idle_ms = h->moved_ms = now_ms(h);
    h->resets = (struct h2_bucket){RESET_BURST, RESET_BURST,
                                   env->limits->resets_per_s, h->opened_ms};
    h->control = (struct h2_bucket){CONTROL_BURST, CONTROL_BURST, CONTROL_PER_S,
                                    h->opened_ms};
    int rc = make_session(h);
    if (rc == 0)
        rc = greet(h);
    if (rc < 0) {
        nghttp2_session_del(h->session);
        mem_release(mem_system(), h);
        return rc;
    }
    *ret = h;
    return 0;
}

void h2_free(struct h2 *h)
{
    if (h == NULL)
        return;
    h->broken = true;
    while (!list_empty(&h->streams))
        stream_free(container_of(h->streams.head.next, struct h2_stream, link));
    nghttp2_session_del(h->session);
    mem_release(mem_system(), h);
}

int h2_input(struct h2 *h, struct span bytes)
{
    h->env.dirty(h->env.ctx);
    if (h->broken)
        return RC_PROTOCOL;
    ssize_t n = nghttp2_session_mem_recv(h->session, bytes.p, bytes.n);
    if (n == NGHTTP2_ERR_FLOODED)
        h->env.stats->floods++;
    return n < 0 ? RC_PROTOCOL : 0;
}

int h2_output(struct h2 *h, void (*put)(void *ctx, struct span bytes),
              size_t room)
{
    size_t sent = 0;
    while (!h->broken && sent < room) {
        const uint8_t *p;
        ssize_t n = nghttp2_session_mem_send(h->session, &p);
        if (n < 0)
            h->broken = true;
        if (n <= 0)
            break;
        put(h->env.ctx, span_of(p, (size_t)n));
        sent += (size_t)n;
    }
    if (h->broken)
        return RC_EOF;
    return nghttp2_session_want_read(h->session) == 0 &&
                   nghttp2_session_want_write(h->session) == 0
               ? RC_EOF
               : 0;
}

uint64_t h2_deadline_ms(const struct h2 *h)
{
    const struct server_limits *l = h->env.limits;
    uint64_t at = UINT64_MAX;
    if (!h->settings_seen)
        at = h->opened_ms + l->request_ms;
    else if (h->stream_count == 0)
        at = h->idle_ms + l->idle_ms;
    if (h->head_open && h->head_ms + l->request_ms < at)
        at = h->head_ms + l->request_ms;
    if (h->queued_bytes > 0 && h->moved_ms + l->stall_ms < at)
        at = h->moved_ms + l->stall_ms;
    if (h->drain_ms != 0 && h->drain_ms < at)
        at = h->drain_ms;
    return at;
}

void h2_timeout(struct h2 *h)
{
    const struct server_limits *l = h->env.limits;
    uint64_t now = now_ms(h);
    h->env.dirty(h->env.ctx);
    if (h->drain_ms != 0 && now >= h->drain_ms) {
        h->drain_ms = 0;
        ignore_rc(nghttp2_submit_goaway(
            h->session, NGHTTP2_FLAG_NONE,
            nghttp2_session_get_last_proc_stream_id(h->session),
            NGHTTP2_NO_ERROR, NULL, 0)); /* else the drain limit cuts */
        return;
    }
    if (h->queued_bytes > 0 && now >= h->moved_ms + l->stall_ms) {
        h->env.stats->slow_readers++;
        h->broken = true; /* it does not read: no point in a goodbye */
        return;
    }
    if (h->settings_seen && h->stream_count == 0 && !h->head_open) {
        terminate(h, NGHTTP2_NO_ERROR);
        return;
    }
    h->env.stats->timeouts++;
    terminate(h, NGHTTP2_SETTINGS_TIMEOUT);
}

void h2_drain(struct h2 *h)
{
    if (h->drain_ms != 0 || h->terminated)
        return;
    if (nghttp2_submit_shutdown_notice(h->session) != 0)
        h2_broken(h);
    h->drain_ms = now_ms(h) + DRAIN_NOTICE_MS;
    LIST_EACH (k, next, &h->streams)
        grpc_stream_drain(container_of(k, struct h2_stream, link));
    h->env.dirty(h->env.ctx);
}
