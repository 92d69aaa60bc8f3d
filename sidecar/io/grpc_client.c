// SPDX-License-Identifier: Apache-2.0
/* See grpc_client.h. One connection at a time; calls wait in it as nghttp2
 * streams. When it dies its calls fail, and the next call makes a new one. */
#include "sidecar/io/grpc_client.h"

#include <string.h>

#include <nghttp2/nghttp2.h>

#include "proto/grpc_frame.h"
#include "sidecar/io/address.h"
#include "sidecar/io/wire.h"

#define ANSWER_BYTES (1u << 20)
#define CALLS_MAX 1024
#define PATH_BYTES_MAX 256
#define TEXT_BYTES_MAX 1024
/* A connection that owes an answer and says nothing for this long is given up
 * when a call on it runs out of time. */
#define SILENT_MS 5000

/*
 * One connection:   DIAL -> TLS -> OPEN -> GONE
 * DIAL: name and socket. OPEN: session in use. GONE: closing, calls failed.
 */
enum link_state { LINK_DIAL, LINK_TLS, LINK_OPEN, LINK_GONE };

struct link {
    struct wire wire;
    struct grpc_client *client;
    struct list_link entry;
    struct turn_item item;
    uint64_t asked_ms; /* first call since the peer was last heard; 0: none */
    enum link_state state;
    nghttp2_session *session;
    uv_getaddrinfo_t lookup;
    uv_connect_t connect;
    bool looking, wire_made;
};

struct grpc_client_call {
    struct grpc_client *client;
    struct list_link entry;
    struct link *link; /* NULL: not on a connection (any more) */
    int32_t id;        /* 0: not submitted */
    struct deadline deadline;
    grpc_client_done_fn done;
    void *ctx;
    char path[PATH_BYTES_MAX + 1];
    struct buf out, in, text;
    size_t out_at;
    uint64_t due_ms; /* 0: none */
    unsigned http_status;
    int status; /* grpc-status, or -1 */
    bool over;
    struct fail fail;
    int rc;
};

struct grpc_client {
    struct turn turn;
    struct address address;
    struct buf host; /* :authority, and the TLS name unless tls_name says */
    struct buf tls_name;
    struct tls_ctx *tls;
    uint32_t message_bytes;
    struct list calls;
    size_t call_count;
    struct list links;     /* all that are not closing */
    struct link *link;     /* in use or being made; NULL */
    unsigned open_links;   /* including those that are closing */
    struct turn_item over; /* delivers finished calls */
    struct list finished;
    bool closing, turn_closing;
    void (*done)(void *ctx);
    void *done_ctx;
};

static const struct wire_ops link_ops;

/* --- ends of calls: never before grpc_client_call returns -------------------
 */

static void call_free(struct grpc_client_call *k)
{
    buf_fini(&k->out);
    buf_fini(&k->in);
    buf_fini(&k->text);
    mem_release(mem_system(), k);
}

static void call_over(struct grpc_client_call *k, int rc, const char *why)
{
    struct grpc_client *c = k->client;
    if (k->over)
        return;
    k->over = true;
    k->rc = rc;
    if (rc < 0 && k->fail.rc == 0)
        ignore_rc(fail(&k->fail, rc, "%s: %s", k->path, why));
    deadline_stop(&c->turn, &k->deadline);
    list_remove(&k->entry);
    list_push(&c->finished, &k->entry);
    turn_mark(&c->turn, &c->over);
}

/* Takes the call off its connection; the peer is told when it may still be
 * working on it. */
static void call_detach(struct grpc_client_call *k, bool cancel)
{
    struct link *l = k->link;
    k->link = NULL;
    if (l == NULL || k->id == 0 || l->session == NULL)
        return;
    ignore_rc(nghttp2_session_set_stream_user_data(l->session, k->id, NULL));
    if (cancel && nghttp2_submit_rst_stream(l->session, NGHTTP2_FLAG_NONE,
                                            k->id, NGHTTP2_CANCEL) == 0)
        turn_mark(&k->client->turn, &l->item);
}

static void deliver(struct grpc_client_call *k)
{
    struct grpc_frame f = {.message = SPAN("")};
    enum grpc_status status =
        k->status < 0 ? GRPC_UNKNOWN : (enum grpc_status)k->status;
    if (k->rc == 0)
        must(grpc_frame_next(buf_span(&k->in), SIZE_MAX, &f) == 1);
    k->done(k->ctx, k->rc, status, f.message, &k->fail);
}

static void try_end(struct grpc_client *c);
static void on_late(struct deadline *d);

static void on_over(struct turn_item *i)
{
    struct grpc_client *c = container_of(i, struct grpc_client, over);
    for (struct list_link *e; (e = list_shift(&c->finished)) != NULL;) {
        struct grpc_client_call *k =
            container_of(e, struct grpc_client_call, entry);
        deliver(k);
        call_free(k);
        c->call_count--;
    }
    try_end(c);
}

/* --- what an answer means ----------------------------------------------------
 */

/* grpc/doc/http-grpc-status-mapping.md */
static enum grpc_status status_of_http(unsigned http)
{
    switch (http) {
        case 400: return GRPC_INTERNAL;
        case 401: return GRPC_UNAUTHENTICATED;
        case 403: return GRPC_PERMISSION_DENIED;
        case 404: return GRPC_UNIMPLEMENTED;
        case 429:
        case 502:
        case 503:
        case 504: return GRPC_UNAVAILABLE;
        default: return GRPC_UNKNOWN;
    }
}

/* grpc/doc/PROTOCOL-HTTP2.md, Errors */
static void end_by_reset(struct grpc_client_call *k, uint32_t code)
{
    switch (code) {
        case NGHTTP2_REFUSED_STREAM:
            k->status = GRPC_UNAVAILABLE;
            call_over(k, RC_UNAVAILABLE, "the peer took no more calls");
            return;
        case NGHTTP2_CANCEL:
            k->status = GRPC_CANCELLED;
            call_over(k, RC_CANCELLED, "the peer cancelled it");
            return;
        case NGHTTP2_ENHANCE_YOUR_CALM:
            k->status = GRPC_RESOURCE_EXHAUSTED;
            call_over(k, RC_REFUSED, "the peer is overloaded");
            return;
        case NGHTTP2_INADEQUATE_SECURITY:
            k->status = GRPC_PERMISSION_DENIED;
            call_over(k, RC_REFUSED, "the peer wants better encryption");
            return;
        default:
            k->status = GRPC_INTERNAL;
            call_over(k, RC_PROTOCOL, "the stream was reset");
    }
}

static void end_refused(struct grpc_client_call *k)
{
    struct buf text;
    buf_init(&text, mem_system(), TEXT_BYTES_MAX);
    grpc_text_decode(&text, buf_span(&k->text));
    ignore_rc(fail(&k->fail, RC_REFUSED, "%s: status %d: %.*s", k->path,
                   k->status, PRSPAN(buf_span(&text))));
    buf_fini(&text);
    call_over(k, RC_REFUSED, "refused");
}

static void end_by_answer(struct grpc_client_call *k)
{
    struct grpc_frame f;
    if (k->status < 0 && k->http_status != 200) {
        k->status = (int)status_of_http(k->http_status);
        ignore_rc(fail(&k->fail, RC_REFUSED, "%s: HTTP status %u", k->path,
                       k->http_status));
        call_over(
            k, k->status == GRPC_UNAVAILABLE ? RC_UNAVAILABLE : RC_REFUSED, "");
        return;
    }
    if (k->status > 0) {
        end_refused(k);
        return;
    }
    bool one =
        k->status == 0 &&
        grpc_frame_next(buf_span(&k->in), k->client->message_bytes, &f) == 1 &&
        !f.compressed && f.used_bytes == k->in.n;
    if (!one && k->status == 0)
        k->status = GRPC_INTERNAL;
    call_over(k, one ? 0 : RC_PROTOCOL,
              k->status < 0 ? "no grpc-status" : "not exactly one message");
}

/* --- nghttp2
 * ------------------------------------------------------------------ */

static struct grpc_client_call *call_of(nghttp2_session *s, int32_t id)
{
    return nghttp2_session_get_stream_user_data(s, id);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
                     const uint8_t *name, size_t name_n, const uint8_t *value,
                     size_t value_n, uint8_t flags, void *ctx)
{
    struct grpc_client_call *k = call_of(session, frame->hd.stream_id);
    struct span n = span_of(name, name_n), v = span_of(value, value_n);
    uint64_t number;
    (void)flags;
    (void)ctx;
    if (k == NULL)
        return 0;
    if (span_eq(n, SPAN(":status")) && span_u64(v, &number) && number < 1000)
        k->http_status = (unsigned)number;
    else if (span_eq(n, SPAN("grpc-status")))
        k->status =
            span_u64(v, &number) && number <= 16 ? (int)number : GRPC_UNKNOWN;
    else if (span_eq(n, SPAN("grpc-message")))
        buf_put(&k->text, span_sub(v, 0, TEXT_BYTES_MAX - k->text.n));
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id,
                   const uint8_t *p, size_t n, void *ctx)
{
    struct grpc_client_call *k = call_of(session, id);
    (void)flags;
    (void)ctx;
    if (k == NULL)
        return 0;
    buf_put(&k->in, span_of(p, n));
    if (buf_ok(&k->in))
        return 0;
    call_detach(k, true);
    k->status = GRPC_RESOURCE_EXHAUSTED;
    call_over(k, RC_TOO_LARGE, "the answer is too large");
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code,
                           void *ctx)
{
    struct grpc_client_call *k = call_of(session, id);
    (void)ctx;
    if (k == NULL)
        return 0;
    k->link = NULL;
    if (code == NGHTTP2_NO_ERROR || k->status >= 0)
        end_by_answer(k);
    else
        end_by_reset(k, code);
    return 0;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame,
                         void *ctx)
{
    struct link *l = ctx;
    (void)session;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        if (l->client->link == l)
            l->client->link = NULL; /* new calls go elsewhere */
        turn_mark(&l->client->turn, &l->item);
    }
    return 0;
}

static ssize_t on_out_read(nghttp2_session *session, int32_t id, uint8_t *p,
                           size_t n, uint32_t *flags,
                           nghttp2_data_source *source, void *ctx)
{
    struct grpc_client_call *k = call_of(session, id);
    (void)ctx;
    (void)source;
    if (k == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    size_t left = k->out.n - k->out_at;
    size_t take = left < n ? left : n;
    memcpy(p, k->out.p + k->out_at, take);
    k->out_at += take;
    if (k->out_at == k->out.n)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)take;
}

static int make_session(struct link *l)
{
    nghttp2_session_callbacks *cb;
    const nghttp2_settings_entry entries[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 20},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, 16384},
    };
    if (nghttp2_session_callbacks_new(&cb) != 0)
        return RC_NO_MEMORY;
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
    int rc = nghttp2_session_client_new(&l->session, cb, l);
    nghttp2_session_callbacks_del(cb);
    if (rc != 0 ||
        nghttp2_submit_settings(l->session, NGHTTP2_FLAG_NONE, entries, 3) !=
            0 ||
        nghttp2_session_set_local_window_size(l->session, NGHTTP2_FLAG_NONE, 0,
                                              4 << 20) != 0)
        return RC_NO_MEMORY;
    return 0;
}

/* --- the connection
 * ------------------------------------------------------------ */

static void link_free(struct link *l)
{
    struct grpc_client *c = l->client;
    nghttp2_session_del(l->session);
    mem_release(mem_system(), l);
    c->open_links--;
    try_end(c);
}

/* Fails what is on it and lets it go. */
static void link_gone(struct link *l, int rc, const char *why)
{
    struct grpc_client *c = l->client;
    if (l->state == LINK_GONE)
        return;
    l->state = LINK_GONE;
    list_remove(&l->entry);
    if (c->link == l)
        c->link = NULL;
    LIST_EACH (e, next, &c->calls) {
        struct grpc_client_call *k =
            container_of(e, struct grpc_client_call, entry);
        if (k->link != l)
            continue;
        call_detach(k, false);
        k->status = GRPC_UNAVAILABLE;
        call_over(k, rc, why);
    }
    turn_unmark(&l->item);
    if (l->looking)
        ignore_rc(uv_cancel((uv_req_t *)&l->lookup)); /* or it runs out */
    if (l->wire_made)
        wire_close(&l->wire);
    else if (!l->looking)
        link_free(l);
}

static void on_late(struct deadline *d)
{
    struct grpc_client_call *k =
        container_of(d, struct grpc_client_call, deadline);
    struct link *l = k->link;
    uint64_t now_ms = turn_now_ms(&k->client->turn);
    call_detach(k, true);
    k->status = GRPC_DEADLINE_EXCEEDED;
    call_over(k, RC_TIMEOUT, "no answer in time");
    if (l != NULL && l->asked_ms != 0 && now_ms - l->asked_ms >= SILENT_MS)
        link_gone(l, RC_UNAVAILABLE, "the peer is silent");
}

static nghttp2_nv nv_of(struct span name, struct span value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name.p,
                        (uint8_t *)(uintptr_t)value.p, name.n, value.n,
                        NGHTTP2_NV_FLAG_NONE};
}

static void call_submit(struct grpc_client_call *k)
{
    struct grpc_client *c = k->client;
    struct link *l = k->link;
    struct buf timeout;
    struct span scheme = c->tls != NULL ? SPAN("https") : SPAN("http");
    nghttp2_data_provider data = {{.ptr = k}, on_out_read};
    nghttp2_nv nv[] = {
        nv_of(SPAN(":method"), SPAN("POST")),
        nv_of(SPAN(":scheme"), scheme),
        nv_of(SPAN(":path"), span_str(k->path)),
        nv_of(SPAN(":authority"), buf_span(&c->host)),
        nv_of(SPAN("te"), SPAN("trailers")),
        nv_of(SPAN("content-type"), SPAN("application/grpc")),
        nv_of(SPAN("user-agent"), SPAN("bailiff")),
        nv_of(SPAN("grpc-timeout"), SPAN("")),
    };
    size_t n = sizeof(nv) / sizeof(nv[0]) - 1;
    buf_init(&timeout, mem_system(), 32);
    if (k->due_ms != 0) {
        uint64_t now_ms = turn_now_ms(&c->turn);
        grpc_timeout_put(&timeout, k->due_ms > now_ms ? k->due_ms - now_ms : 1);
        nv[n++] = nv_of(SPAN("grpc-timeout"), buf_span(&timeout));
    }
    k->id = nghttp2_submit_request(l->session, NULL, nv, n, &data, k);
    buf_fini(&timeout);
    if (k->id < 0) {
        const char *why = nghttp2_strerror(k->id);
        k->id = 0;
        k->link = NULL;
        k->status = GRPC_UNAVAILABLE;
        call_over(k, RC_UNAVAILABLE, why);
        return;
    }
    turn_mark(&c->turn, &l->item);
}

static void link_open(struct link *l)
{
    if (make_session(l) < 0) {
        link_gone(l, RC_NO_MEMORY, "out of memory");
        return;
    }
    l->state = LINK_OPEN;
    LIST_EACH (e, next, &l->client->calls) {
        struct grpc_client_call *k =
            container_of(e, struct grpc_client_call, entry);
        if (k->link == l)
            call_submit(k);
    }
    turn_mark(&l->client->turn, &l->item);
}

static void put(void *ctx, struct span bytes)
{
    struct link *l = ctx;
    wire_put(&l->wire, bytes);
}

static bool pull(struct link *l)
{
    const uint8_t *p;
    ssize_t n = 0;
    while (wire_queued(&l->wire) < WIRE_OUT_HIGH_BYTES &&
           (n = nghttp2_session_mem_send(l->session, &p)) > 0)
        put(l, span_of(p, (size_t)n));
    return n >= 0 && (nghttp2_session_want_read(l->session) != 0 ||
                      nghttp2_session_want_write(l->session) != 0);
}

static void on_link_flush(struct turn_item *i)
{
    struct link *l = container_of(i, struct link, item);
    bool goes_on = true;
    if (l->state == LINK_OPEN)
        goes_on = pull(l);
    if (wire_flush(&l->wire) < 0 || l->wire.broken)
        link_gone(l, RC_UNAVAILABLE, "connection lost");
    else if (!goes_on && wire_queued(&l->wire) == 0)
        link_gone(l, RC_UNAVAILABLE, "the peer ended the connection");
}

static void on_input(struct wire *w, struct span bytes)
{
    struct link *l = container_of(w, struct link, wire);
    l->asked_ms = 0;
    if (l->state != LINK_OPEN)
        return;
    if (nghttp2_session_mem_recv(l->session, bytes.p, bytes.n) < 0)
        w->broken = true;
    turn_mark(&l->client->turn, &l->item);
}

static void on_secured(struct wire *w)
{
    struct link *l = container_of(w, struct link, wire);
    if (!span_eq(tls_alpn(w->tls), SPAN("h2"))) {
        link_gone(l, RC_PROTOCOL, "the peer does not speak HTTP/2");
        return;
    }
    link_open(l);
}

static void on_ended(struct wire *w, int rc)
{
    struct link *l = container_of(w, struct link, wire);
    if (rc == RC_UNTRUSTED && l->state == LINK_TLS)
        link_gone(l, RC_UNAVAILABLE, "TLS: the peer is not trusted");
    else
        link_gone(l, RC_UNAVAILABLE, "connection lost");
}

static void on_drained(struct wire *w)
{
    struct link *l = container_of(w, struct link, wire);
    turn_mark(&l->client->turn, &l->item);
}

static void on_wire_closed(struct wire *w)
{
    link_free(container_of(w, struct link, wire));
}

static const struct wire_ops link_ops = {
    .input = on_input,
    .secured = on_secured,
    .ended = on_ended,
    .drained = on_drained,
    .closed = on_wire_closed,
};

static void on_connected(uv_connect_t *req, int status)
{
    struct link *l = req->data;
    struct grpc_client *c = l->client;
    if (l->state == LINK_GONE)
        return;
    if (status != 0) {
        link_gone(l, RC_UNAVAILABLE, uv_strerror(status));
        return;
    }
    if (!c->address.is_unix)
        ignore_rc(uv_tcp_nodelay(&l->wire.io.tcp, 1)); /* only slower */
    wire_read(&l->wire, true);
    if (l->wire.tls == NULL) {
        link_open(l);
        return;
    }
    l->state = LINK_TLS;
    turn_mark(&c->turn, &l->item);
    wire_start_tls(&l->wire);
}

static void link_dial(struct link *l, const struct sockaddr *a)
{
    struct grpc_client *c = l->client;
    struct span name =
        c->tls_name.n > 0 ? buf_span(&c->tls_name) : span_str(c->address.host);
    if (wire_init(&l->wire, &c->turn, &link_ops, c->address.is_unix) < 0) {
        link_gone(l, RC_UNAVAILABLE, "no socket");
        return;
    }
    l->wire_made = true;
    l->connect.data = l;
    if (c->tls != NULL && tls_new(c->tls, name, &l->wire.tls) < 0) {
        link_gone(l, RC_CONFIG, "bad TLS name");
        return;
    }
    if (c->address.is_unix) {
        uv_pipe_connect(&l->connect, &l->wire.io.pipe, c->address.un.sun_path,
                        on_connected);
        return;
    }
    int e = uv_tcp_connect(&l->connect, &l->wire.io.tcp, a, on_connected);
    if (e != 0)
        link_gone(l, RC_UNAVAILABLE, uv_strerror(e));
}

static void on_lookup(uv_getaddrinfo_t *req, int status, struct addrinfo *a)
{
    struct link *l = req->data;
    l->looking = false;
    if (l->state == LINK_GONE)
        link_free(l);
    else if (status != 0)
        link_gone(l, RC_UNAVAILABLE, uv_strerror(status));
    else
        link_dial(l, a->ai_addr);
    uv_freeaddrinfo(a);
}

static int link_start(struct link *l)
{
    struct grpc_client *c = l->client;
    struct sockaddr_storage a = {0};
    char port[8];
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    if (c->address.is_unix || address_numeric(&c->address, &a, NULL) == 0) {
        link_dial(l, (struct sockaddr *)&a);
        return 0;
    }
    ignore_rc(snprintf(port, sizeof(port), "%u", c->address.port));
    l->lookup.data = l;
    if (uv_getaddrinfo(c->turn.loop, &l->lookup, on_lookup, c->address.host,
                       port, &hints) != 0)
        return RC_UNAVAILABLE;
    l->looking = true;
    return 0;
}

/* The connection in use, or a new one; NULL without memory. */
static struct link *link_get(struct grpc_client *c)
{
    if (c->link != NULL)
        return c->link;
    struct link *l = mem_alloc(mem_system(), sizeof(*l));
    if (l == NULL)
        return NULL;
    l->client = c;
    l->item.flush = on_link_flush;
    list_push(&c->links, &l->entry);
    c->open_links++;
    c->link = l;
    return l;
}

/* --- the interface
 * -------------------------------------------------------------- */

static int take_conf(struct grpc_client *c, const struct grpc_client_conf *conf,
                     struct fail *f)
{
    TRY(address_parse(conf->address, &c->address, f));
    buf_put(&c->host, c->address.is_unix ? SPAN("localhost") : conf->address);
    buf_put(&c->tls_name, conf->tls_name);
    c->message_bytes =
        conf->message_bytes != 0 ? conf->message_bytes : ANSWER_BYTES;
    if (conf->tls_ca_file.n == 0)
        return 0;
    struct tls_conf t = {
        .cert_file = conf->tls_cert_file,
        .key_file = conf->tls_key_file,
        .ca_file = conf->tls_ca_file,
        .client = true,
    };
    return tls_ctx_new(&t, &c->tls, f);
}

static void client_free(struct grpc_client *c)
{
    tls_ctx_free(c->tls);
    buf_fini(&c->host);
    buf_fini(&c->tls_name);
    mem_release(mem_system(), c);
}

int grpc_client_new(uv_loop_t *loop, const struct grpc_client_conf *conf,
                    struct grpc_client **ret, struct fail *f)
{
    struct grpc_client *c = mem_alloc(mem_system(), sizeof(*c));
    if (c == NULL)
        return fail(f, RC_NO_MEMORY, "out of memory");
    list_init(&c->calls);
    list_init(&c->links);
    list_init(&c->finished);
    buf_init(&c->host, mem_system(), 512);
    buf_init(&c->tls_name, mem_system(), 512);
    c->over.flush = on_over;
    int rc = take_conf(c, conf, f);
    if (rc == 0 && turn_init(&c->turn, loop) < 0)
        rc = fail(f, RC_NO_MEMORY, "out of memory");
    if (rc < 0) {
        client_free(c);
        return rc;
    }
    *ret = c;
    return 0;
}

static int call_new(struct grpc_client *c, const char *path,
                    struct span message, struct grpc_client_call **ret)
{
    struct grpc_client_call *k = mem_alloc(mem_system(), sizeof(*k));
    struct span p = span_str(path);
    must(p.n <= PATH_BYTES_MAX);
    if (k == NULL)
        return RC_NO_MEMORY;
    memcpy(k->path, p.p, p.n);
    k->client = c;
    k->status = -1;
    k->deadline.fire = on_late;
    buf_init(&k->out, mem_system(), SIZE_MAX / 2);
    buf_init(&k->in, mem_system(), c->message_bytes + GRPC_FRAME_PREFIX_BYTES);
    buf_init(&k->text, mem_system(), TEXT_BYTES_MAX);
    grpc_frame_put(&k->out, message);
    if (!buf_ok(&k->out)) {
        call_free(k);
        return RC_NO_MEMORY;
    }
    *ret = k;
    return 0;
}

int grpc_client_call(struct grpc_client *c, const char *path,
                     struct span message, uint64_t timeout_ms,
                     grpc_client_done_fn done, void *ctx,
                     struct grpc_client_call **ret, struct fail *f)
{
    struct grpc_client_call *k;
    if (c->closing)
        return fail(f, RC_STATE, "the client is closing");
    if (c->call_count >= CALLS_MAX)
        return fail(f, RC_LIMIT, "more than %d calls", CALLS_MAX);
    bool fresh = c->link == NULL;
    struct link *l = link_get(c);
    if (l == NULL || call_new(c, path, message, &k) < 0) {
        if (l != NULL && fresh)
            link_gone(l, RC_NO_MEMORY, "out of memory");
        return fail(f, RC_NO_MEMORY, "out of memory");
    }
    k->done = done;
    k->ctx = ctx;
    k->link = l;
    list_push(&c->calls, &k->entry);
    c->call_count++;
    if (l->asked_ms == 0)
        l->asked_ms = turn_now_ms(&c->turn);
    *ret = k;
    if (timeout_ms > 0) {
        k->due_ms = turn_now_ms(&c->turn) + timeout_ms;
        if (deadline_set(&c->turn, &k->deadline, k->due_ms) < 0)
            call_over(k, RC_NO_MEMORY, "out of memory");
    }
    if (fresh && link_start(l) < 0)
        link_gone(l, RC_UNAVAILABLE, "no name service");
    else if (l->state == LINK_OPEN && !k->over)
        call_submit(k);
    return 0;
}

void grpc_client_cancel(struct grpc_client_call *k)
{
    if (k->over)
        return;
    call_detach(k, true);
    k->status = GRPC_CANCELLED;
    call_over(k, RC_CANCELLED, "cancelled");
}

static void on_turn_closed(struct turn *t)
{
    struct grpc_client *c = container_of(t, struct grpc_client, turn);
    if (c->done != NULL)
        c->done(c->done_ctx);
    client_free(c);
}

static void try_end(struct grpc_client *c)
{
    if (!c->closing || c->turn_closing || c->open_links > 0 ||
        c->call_count > 0)
        return;
    c->turn_closing = true;
    turn_unmark(&c->over);
    turn_close(&c->turn, on_turn_closed);
}

void grpc_client_close(struct grpc_client *c, void (*done)(void *ctx),
                       void *ctx)
{
    must(!c->closing);
    c->closing = true;
    c->done = done;
    c->done_ctx = ctx;
    LIST_EACH (e, next, &c->calls)
        grpc_client_cancel(container_of(e, struct grpc_client_call, entry));
    LIST_EACH (l, after, &c->links)
        link_gone(container_of(l, struct link, entry), RC_CANCELLED, "closing");
    turn_mark(&c->turn, &c->over); /* ends even when nothing was open */
}
