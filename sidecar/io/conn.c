// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/conn.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include "sidecar/io/address.h"

#define LINGER_MS 1000
#define LINGER_BYTES_MAX 1048576 /* many senders read when all is written */

/*
 *   TLS -> CHOOSE -> OPEN -> LAST -> LINGER -> DEAD
 * TLS: handshake (TLS only). CHOOSE: until the first bytes tell h1 from h2.
 * LAST: no more input counts, output leaves. LINGER: FIN sent, input is thrown
 * away so that the peer reads our answer before a reset. Any state -> DEAD.
 */
enum conn_state {
    CONN_TLS,
    CONN_CHOOSE,
    CONN_OPEN,
    CONN_LAST,
    CONN_LINGER,
    CONN_DEAD,
};

static const char h2_preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
#define PREFACE_BYTES (sizeof(h2_preface) - 1)

struct conn {
    struct wire wire;
    struct conn_host *host;
    struct list_link link;
    struct turn_item item;
    struct deadline deadline;
    struct peer_box *peer;
    enum conn_state state;
    bool is_unix, resume;
    unsigned char first[PREFACE_BYTES];
    size_t first_n;
    struct h1 *h1;
    struct h2 *h2;
    uint64_t opened_ms, last_ms;
    size_t discarded_bytes; /* since LAST */
};

struct conn *conn_of_link(struct list_link *k)
{
    return container_of(k, struct conn, link);
}

static uint64_t now_ms(const struct conn *c)
{
    return turn_now_ms(&c->host->turn);
}

static void mark(struct conn *c)
{
    turn_mark(&c->host->turn, &c->item);
}

static void set_state(struct conn *c, enum conn_state state)
{
    must(state > c->state);
    c->state = state;
    mark(c);
}

void conn_kill(struct conn *c)
{
    if (c->state != CONN_DEAD)
        set_state(c, CONN_DEAD);
}

static void finish(struct conn *c)
{
    if (c->state < CONN_LAST)
        set_state(c, CONN_LAST);
}

/* --- deadlines ------------------------------------------------------------ */

static uint64_t due_ms(const struct conn *c)
{
    const struct server_limits *l = &c->host->limits;
    uint64_t at = UINT64_MAX;
    switch (c->state) {
        case CONN_TLS: at = c->opened_ms + l->handshake_ms; break;
        case CONN_CHOOSE: at = c->opened_ms + l->request_ms; break;
        case CONN_OPEN:
            at = c->h1 != NULL ? h1_deadline_ms(c->h1) : h2_deadline_ms(c->h2);
            break;
        case CONN_LAST: break;
        case CONN_LINGER: return c->last_ms + LINGER_MS;
        case CONN_DEAD: return UINT64_MAX;
    }
    if (wire_queued(&c->wire) > 0 && c->wire.progress_ms + l->stall_ms < at)
        at = c->wire.progress_ms + l->stall_ms;
    return at;
}

/* An armed deadline that is too early corrects itself when it fires. */
static void arm(struct conn *c)
{
    uint64_t at = due_ms(c);
    if (at == UINT64_MAX || (c->deadline.pos != 0 && c->deadline.at_ms <= at))
        return;
    if (deadline_set(&c->host->turn, &c->deadline, at) < 0)
        conn_kill(c);
}

static void open_timeout(struct conn *c)
{
    if (c->h2 != NULL)
        h2_timeout(c->h2);
    else if (h1_timeout(c->h1))
        c->host->stats.timeouts++;
}

static void on_deadline(struct deadline *d)
{
    struct conn *c = container_of(d, struct conn, deadline);
    const struct server_limits *l = &c->host->limits;
    if (now_ms(c) < due_ms(c)) {
        arm(c);
        return;
    }
    if (c->state != CONN_LINGER && wire_queued(&c->wire) > 0 &&
        now_ms(c) >= c->wire.progress_ms + l->stall_ms) {
        c->host->stats.slow_readers++;
        conn_kill(c);
    } else if (c->state == CONN_OPEN) {
        open_timeout(c);
        mark(c);
    } else {
        if (c->state <= CONN_CHOOSE)
            c->host->stats.timeouts++;
        conn_kill(c);
    }
}

/* --- the protocol's wishes -------------------------------------------------
 */

static uint64_t env_now(void *ctx)
{
    return now_ms(ctx);
}

static void env_put(void *ctx, struct span bytes)
{
    struct conn *c = ctx;
    wire_put(&c->wire, bytes);
    mark(c);
}

static void env_request(void *ctx, struct http_req *r)
{
    struct conn *c = ctx;
    if (c->host->request != NULL)
        c->host->request(c->host->ctx, r);
    else
        http_reply(r, 404, NULL, 0, SPAN(""));
}

static void env_h1_request(void *ctx, struct http_req *r)
{
    struct conn *c = ctx;
    c->host->stats.requests++;
    mark(c);
    env_request(ctx, r);
}

static void env_resume(void *ctx)
{
    struct conn *c = ctx;
    c->resume = true;
    mark(c);
}

static void env_end(void *ctx)
{
    finish(ctx);
}

static void env_bad(void *ctx)
{
    struct conn *c = ctx;
    c->host->stats.bad_requests++;
}

static void env_dirty(void *ctx)
{
    mark(ctx);
}

static int open_h1(struct conn *c)
{
    struct h1_env env = {
        .ctx = c,
        .limits = &c->host->limits,
        .peer = c->peer,
        .now_ms = env_now,
        .put = env_put,
        .request = env_h1_request,
        .resume = env_resume,
        .end = env_end,
        .bad = env_bad,
    };
    return h1_new(&env, &c->h1);
}

static int open_h2(struct conn *c)
{
    struct h2_env env = {
        .ctx = c,
        .limits = &c->host->limits,
        .peer = c->peer,
        .turn = &c->host->turn,
        .methods = c->host->methods,
        .methods_ctx = c->host->ctx,
        .stats = &c->host->stats,
        .dirty = env_dirty,
        .request = c->host->request == NULL && c->host->methods != NULL
                       ? NULL
                       : env_request,
    };
    return h2_new(&env, &c->h2);
}

/* --- input -----------------------------------------------------------------
 */

static void put_goaway(struct conn *c)
{
    /* length 8, type 7, no flags, stream 0, last stream 0, code 11
     * (ENHANCE_YOUR_CALM): nghttp2 cannot send after a fatal error. */
    static const unsigned char frame[17] = {0, 0, 8, 7, [16] = 11};
    wire_put(&c->wire, span_of(frame, sizeof(frame)));
}

static void open_input(struct conn *c, struct span bytes)
{
    if (c->h1 != NULL) {
        h1_input(c->h1, bytes);
    } else if (h2_input(c->h2, bytes) < 0) {
        c->host->stats.bad_requests++;
        put_goaway(c);
        finish(c);
    }
    mark(c);
}

/* Opens the protocol and hands it the bytes that told. */
static void choose(struct conn *c, bool is_h2)
{
    int rc = is_h2 ? open_h2(c) : open_h1(c);
    if (rc < 0) {
        conn_kill(c);
        return;
    }
    set_state(c, CONN_OPEN);
    if (c->first_n > 0)
        open_input(c, span_of(c->first, c->first_n));
    if (c->host->draining)
        conn_drain(c);
}

/* RFC 9113 3.4: the preface cannot begin an HTTP/1.1 request. */
static void choose_input(struct conn *c, struct span bytes)
{
    size_t n = PREFACE_BYTES - c->first_n;
    n = bytes.n < n ? bytes.n : n;
    memcpy(c->first + c->first_n, bytes.p, n);
    c->first_n += n;
    bool same = memcmp(c->first, h2_preface, c->first_n) == 0;
    if (same && c->first_n < PREFACE_BYTES)
        return;
    choose(c, same);
    if (c->state == CONN_OPEN && bytes.n > n)
        open_input(c, span_sub(bytes, n, bytes.n));
}

static void on_input(struct wire *w, struct span bytes)
{
    struct conn *c = container_of(w, struct conn, wire);
    if (c->state == CONN_CHOOSE)
        choose_input(c, bytes);
    else if (c->state == CONN_OPEN)
        open_input(c, bytes);
    else if ((c->discarded_bytes += bytes.n) > LINGER_BYTES_MAX)
        conn_kill(c); /* it does not listen */
}

static void take_cert(struct conn *c)
{
    struct tls_peer p;
    struct peer *to = &c->peer->peer;
    tls_peer_get(c->wire.tls, &p);
    if (!p.has_cert)
        return;
    memcpy(c->peer->sha256, p.sha256, sizeof(p.sha256));
    buf_put(&c->peer->spiffe, span_of(p.spiffe, p.spiffe_n));
    to->has_cert = true;
    to->cert_sha256 = span_of(c->peer->sha256, sizeof(c->peer->sha256));
    to->spiffe_id = buf_span(&c->peer->spiffe);
}

static void on_secured(struct wire *w)
{
    struct conn *c = container_of(w, struct conn, wire);
    struct span alpn = tls_alpn(w->tls);
    take_cert(c);
    set_state(c, CONN_CHOOSE);
    c->opened_ms = now_ms(c);
    if (span_eq(alpn, SPAN("h2")))
        choose(c, true);
    else if (alpn.n > 0)
        choose(c, false);
}

static void on_ended(struct wire *w, int rc)
{
    struct conn *c = container_of(w, struct conn, wire);
    if (rc == RC_UNTRUSTED && c->state == CONN_TLS) {
        c->host->stats.tls_failures++;
        ignore_rc(wire_flush(w)); /* the alert; best effort */
    }
    /* A peer that has finished sending may still wait for an answer. */
    if (rc == RC_EOF && c->h1 != NULL && h1_busy(c->h1) &&
        c->state == CONN_OPEN) {
        h1_drain(c->h1);
        wire_read(w, false);
        return;
    }
    conn_kill(c);
}

static void on_drained(struct wire *w)
{
    mark(container_of(w, struct conn, wire));
}

static void conn_free(struct conn *c)
{
    peer_box_drop(c->peer);
    mem_release(mem_system(), c);
}

static void on_gone(struct wire *w)
{
    struct conn *c = container_of(w, struct conn, wire);
    struct conn_host *host = c->host;
    conn_free(c);
    host->stats.open--;
    host->conn_gone(host);
}

/* --- output -----------------------------------------------------------------
 */

static void tear_down(struct conn *c)
{
    struct h1 *h1 = c->h1;
    struct h2 *h2 = c->h2;
    c->h1 = NULL;
    c->h2 = NULL;
    h1_free(h1);
    h2_free(h2); /* tells the owner of every open call */
    deadline_stop(&c->host->turn, &c->deadline);
    turn_unmark(&c->item);
    list_remove(&c->link);
    wire_close(&c->wire);
}

static void pull_h2(struct conn *c)
{
    size_t queued = wire_queued(&c->wire);
    if (queued >= WIRE_OUT_HIGH_BYTES)
        return;
    if (h2_output(c->h2, env_put, WIRE_OUT_HIGH_BYTES - queued) < 0)
        finish(c);
}

static void say_goodbye(struct conn *c)
{
    if (c->state != CONN_LAST || wire_queued(&c->wire) > 0)
        return;
    wire_shutdown(&c->wire);
    c->last_ms = now_ms(c);
    set_state(c, CONN_LINGER);
    wire_read(&c->wire, true);
}

/* Reading pauses while a request is being answered (h1) or the peer does not
 * take what we send. */
static bool may_read(const struct conn *c)
{
    if (wire_queued(&c->wire) >= WIRE_OUT_HIGH_BYTES)
        return c->state == CONN_LINGER;
    return c->h1 == NULL || c->state != CONN_OPEN || !h1_busy(c->h1);
}

static void on_flush(struct turn_item *i)
{
    struct conn *c = container_of(i, struct conn, item);
    if (c->resume && c->state == CONN_OPEN) {
        c->resume = false;
        h1_go_on(c->h1);
    }
    if (c->h2 != NULL && c->state == CONN_OPEN)
        pull_h2(c);
    if (c->state != CONN_DEAD && wire_flush(&c->wire) < 0)
        conn_kill(c);
    say_goodbye(c);
    if (c->state == CONN_DEAD || c->wire.broken) {
        tear_down(c);
        return;
    }
    wire_read(&c->wire, may_read(c));
    arm(c);
    if (c->state == CONN_DEAD)
        tear_down(c);
}

static const struct wire_ops conn_wire_ops = {
    .input = on_input,
    .secured = on_secured,
    .ended = on_ended,
    .drained = on_drained,
    .closed = on_gone,
};

int conn_new(struct conn_host *host, bool is_unix, struct conn **ret)
{
    struct conn *c = mem_alloc(mem_system(), sizeof(*c));
    if (c == NULL)
        return RC_NO_MEMORY;
    c->host = host;
    c->is_unix = is_unix;
    c->item.flush = on_flush;
    c->deadline.fire = on_deadline;
    c->state = host->tls != NULL ? CONN_TLS : CONN_CHOOSE;
    c->opened_ms = now_ms(c);
    c->peer = peer_box_new();
    int rc = c->peer == NULL
                 ? RC_NO_MEMORY
                 : wire_init(&c->wire, &host->turn, &conn_wire_ops, is_unix);
    if (rc < 0) {
        conn_free(c);
        return rc;
    }
    list_push(&host->conns, &c->link);
    host->stats.open++;
    *ret = c;
    return 0;
}

uv_stream_t *conn_stream(struct conn *c)
{
    return &c->wire.io.stream;
}

static void find_unix_peer(struct conn *c)
{
    struct peer *p = &c->peer->peer;
    struct ucred u;
    socklen_t n = sizeof(u);
    uv_os_fd_t fd;
    p->kind = PEER_UNIX;
    p->loopback = true;
    p->uid = (uid_t)-1;
    p->gid = (gid_t)-1;
    ignore_rc(snprintf(p->address, sizeof(p->address), "unix"));
    if (uv_fileno(&c->wire.io.handle, &fd) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &u, &n) != 0) {
        conn_kill(c); /* who it is decides what it may do */
        return;
    }
    p->uid = u.uid;
    p->gid = u.gid;
    p->pid = u.pid;
}

static bool is_loopback(const struct sockaddr_storage *a)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (a->ss_family == AF_INET) {
        memcpy(&v4, a, sizeof(v4));
        return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
    }
    memcpy(&v6, a, sizeof(v6));
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
        return v6.sin6_addr.s6_addr[12] == 127;
    return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

static void find_tcp_peer(struct conn *c)
{
    struct peer *p = &c->peer->peer;
    struct sockaddr_storage a = {0};
    int n = sizeof(a);
    p->kind = c->host->tls != NULL ? PEER_TLS : PEER_TCP;
    ignore_rc(uv_tcp_nodelay(&c->wire.io.tcp, 1)); /* only slower without */
    if (uv_tcp_getpeername(&c->wire.io.tcp, (struct sockaddr *)&a, &n) != 0) {
        conn_kill(c); /* gone already */
        return;
    }
    p->loopback = is_loopback(&a);
    address_text(&a, p->address);
}

void conn_start(struct conn *c)
{
    if (c->is_unix)
        find_unix_peer(c);
    else
        find_tcp_peer(c);
    if (c->host->tls != NULL) {
        c->peer->peer.kind = PEER_TLS;
        if (tls_new(c->host->tls, SPAN(""), &c->wire.tls) < 0)
            conn_kill(c);
    }
    if (c->state != CONN_DEAD)
        wire_read(&c->wire, true);
    mark(c);
}

void conn_drain(struct conn *c)
{
    if (c->state == CONN_OPEN && c->h2 != NULL)
        h2_drain(c->h2);
    else if (c->state == CONN_OPEN)
        h1_drain(c->h1);
    else if (c->state < CONN_OPEN)
        conn_kill(c);
    mark(c);
}
