// SPDX-License-Identifier: Apache-2.0
/*
 * A server for foreign clients, load and attacks: gRPC echo (unary, server
 * streaming, bidi, one that never answers), plain HTTP echo, health and
 * reflection. Prints its addresses, then serves until stdin ends; then drains.
 *
 *   echo_server [key=value ...]   keys: address cert key ca required
 *   drain and every field of struct server_limits
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "sidecar/io/grpc_services.h"

struct app {
    uv_loop_t loop;
    struct server *server;
    struct grpc_health *health;
    struct http_req *late;
    uv_pipe_t input;
    uv_signal_t term, usr1;
    uint64_t drain_ms;
    char byte;
};

static void echo(void *ctx, struct grpc_call *c, struct span m)
{
    (void)ctx;
    grpc_reply(c, m);
}

/* The message is text: how many answers to send. */
static void stream(void *ctx, struct grpc_call *c, struct span m)
{
    uint64_t n = 0;
    (void)ctx;
    if (!span_u64(m, &n)) {
        grpc_finish(c, GRPC_INVALID_ARGUMENT, "not a number: \xc3\xa4%");
        return;
    }
    for (uint64_t i = 0; i < n; i++)
        if (grpc_send(c, m) < 0) {
            grpc_finish(c, GRPC_RESOURCE_EXHAUSTED, "slow reader");
            return;
        }
    grpc_finish(c, GRPC_OK, NULL);
}

static void bidi(void *ctx, struct grpc_call *c, struct span m)
{
    (void)ctx;
    if (grpc_send(c, m) < 0)
        grpc_finish(c, GRPC_RESOURCE_EXHAUSTED, "slow reader");
}

static void bidi_end(void *ctx, struct grpc_call *c)
{
    (void)ctx;
    grpc_finish(c, GRPC_OK, NULL);
}

static void ignore_message(void *ctx, struct grpc_call *c, struct span m)
{
    (void)ctx;
    (void)c;
    (void)m;
}

static void big(void *ctx, struct grpc_call *c, struct span m)
{
    static unsigned char bytes[60000];
    (void)ctx;
    (void)m;
    grpc_reply(c, span_of(bytes, sizeof(bytes)));
}

/* "unix 1000", "tls spiffe://..." or "tcp" */
static struct span describe(const struct peer *p, struct buf *b)
{
    buf_clear(b);
    if (p->kind == PEER_UNIX)
        buf_printf(b, "unix %u %d", (unsigned)p->uid, p->pid);
    else if (p->kind == PEER_TLS)
        buf_printf(b, "tls %d %zu %.*s", p->has_cert, p->cert_sha256.n,
                   PRSPAN(p->spiffe_id));
    else
        buf_printf(b, "tcp %d", p->loopback);
    return buf_span(b);
}

/* "/late" is answered when the next request comes. */
static void request(void *ctx, struct http_req *r)
{
    struct app *a = ctx;
    struct buf peer;
    buf_init(&peer, mem_system(), 4096);
    struct http_header h[] = {
        {"content-type", SPAN("application/octet-stream")},
        {"x-method", http_method(r)},
        {"x-query", http_query(r)},
        {"x-peer", describe(http_peer(r), &peer)},
        {"x-bad", SPAN("a\r\nb")}};
    struct http_req *late = a->late;
    a->late = NULL;
    if (span_eq(http_path(r), SPAN("/late")))
        a->late = r;
    else if (span_eq(http_path(r), SPAN("/echo")))
        http_reply(r, 200, h, 5, http_body(r));
    else
        http_reply(r, 404, NULL, 0, SPAN("no\n"));
    if (late != NULL) {
        h[3].value = describe(http_peer(late), &peer);
        http_reply(late, 200, &h[3], 1, SPAN("late"));
    }
    buf_fini(&peer);
}

static struct grpc_method methods[16] = {
    {"/test.Echo/Unary", false, false, NULL, echo, NULL, NULL},
    {"/test.Echo/Stream", false, true, NULL, stream, NULL, NULL},
    {"/test.Echo/Bidi", true, true, NULL, bidi, bidi_end, NULL},
    {"/test.Echo/Never", false, false, NULL, ignore_message, NULL, NULL},
    {"/test.Echo/Big", false, false, NULL, big, NULL, NULL},
};

static struct grpc_health *health_of(void *ctx)
{
    return ((struct app *)ctx)->health;
}

static void on_closed(void *ctx)
{
    struct app *a = ctx;
    uv_close((uv_handle_t *)&a->input, NULL);
    uv_close((uv_handle_t *)&a->term, NULL);
    uv_close((uv_handle_t *)&a->usr1, NULL);
}

static void stop(struct app *a)
{
    if (a->server != NULL)
        server_close(a->server, a->drain_ms, on_closed, a);
    a->server = NULL;
}

static void on_alloc(uv_handle_t *h, size_t n, uv_buf_t *b)
{
    (void)n;
    *b = uv_buf_init(&((struct app *)h->data)->byte, 1);
}

static void on_input(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    (void)b;
    if (n < 0) {
        uv_read_stop(s);
        stop(s->data);
    }
}

static void on_term(uv_signal_t *s, int n)
{
    (void)n;
    stop(s->data);
}

static void on_usr1(uv_signal_t *s, int n)
{
    struct app *a = s->data;
    struct server_stats t;
    (void)n;
    server_stats_get(a->server, &t);
    printf(
        "accepted=%lu refused=%lu open=%lu requests=%lu calls=%lu "
        "bad=%lu timeouts=%lu floods=%lu tls_failures=%lu slow=%lu\n",
        t.accepted, t.refused, t.open, t.requests, t.calls, t.bad_requests,
        t.timeouts, t.floods, t.tls_failures, t.slow_readers);
    fflush(stdout);
}

static bool take_limit(struct server_limits *l, const char *k, uint32_t v)
{
    struct {
        const char *name;
        uint32_t *to;
    } all[] = {{"connections", &l->connections},
               {"streams", &l->streams},
               {"header_bytes", &l->header_bytes},
               {"body_bytes", &l->body_bytes},
               {"message_bytes", &l->message_bytes},
               {"queued_bytes", &l->queued_bytes},
               {"handshake_ms", &l->handshake_ms},
               {"request_ms", &l->request_ms},
               {"idle_ms", &l->idle_ms},
               {"stall_ms", &l->stall_ms},
               {"resets_per_s", &l->resets_per_s}};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (strcmp(all[i].name, k) == 0) {
            *all[i].to = v;
            return true;
        }
    return false;
}

static void take_argument(struct app *a, struct server_conf *c, char *arg)
{
    char *eq = strchr(arg, '=');
    must(eq != NULL);
    *eq = 0;
    uint64_t v = 0;
    struct span text = span_str(eq + 1);
    bool number = span_u64(text, &v);
    if (strcmp(arg, "address") == 0)
        c->address = text;
    else if (strcmp(arg, "cert") == 0)
        c->tls_cert_file = text;
    else if (strcmp(arg, "key") == 0)
        c->tls_key_file = text;
    else if (strcmp(arg, "ca") == 0)
        c->tls_client_ca_file = text;
    else if (strcmp(arg, "required") == 0)
        c->tls_client_required = v != 0;
    else if (strcmp(arg, "drain") == 0)
        a->drain_ms = v;
    else if (strcmp(arg, "grpc_only") == 0)
        c->request = NULL;
    else
        must(number && take_limit(&c->limits, arg, (uint32_t)v));
}

static void add_services(struct app *a, struct fail *f)
{
    size_t n = 5;
    must(grpc_health_new(&a->health, f) == 0);
    grpc_health_set(a->health, true);
    grpc_services_set_health(health_of);
    for (size_t i = 0; i < 2; i++)
        methods[n++] = grpc_health_methods[i];
    for (size_t i = 0; i < 2; i++)
        methods[n++] = grpc_reflection_methods[i];
}

int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN);
    static struct app a;
    struct fail f;
    struct server_conf c = {
        .address = SPAN("127.0.0.1:0"),
        .unix_gid = -1,
        .methods = methods,
        .request = request,
        .ctx = &a,
    };
    a.drain_ms = 2000;
    for (int i = 1; i < argc; i++)
        take_argument(&a, &c, argv[i]);
    must(uv_loop_init(&a.loop) == 0);
    add_services(&a, &f);
    if (server_open(&a.loop, &c, &a.server, &f) < 0) {
        fprintf(stderr, "%s\n", f.text);
        return 1;
    }
    must(uv_pipe_init(&a.loop, &a.input, 0) == 0);
    must(uv_pipe_open(&a.input, 0) == 0);
    must(uv_signal_init(&a.loop, &a.term) == 0);
    must(uv_signal_init(&a.loop, &a.usr1) == 0);
    a.input.data = a.term.data = a.usr1.data = &a;
    must(uv_read_start((uv_stream_t *)&a.input, on_alloc, on_input) == 0);
    must(uv_signal_start(&a.term, on_term, SIGTERM) == 0);
    must(uv_signal_start(&a.usr1, on_usr1, SIGUSR1) == 0);
    printf("%s\n", server_address(a.server));
    fflush(stdout);
    must(uv_run(&a.loop, UV_RUN_DEFAULT) == 0);
    must(uv_loop_close(&a.loop) == 0);
    if (a.late != NULL)
        http_reply(a.late, 200, NULL, 0, SPAN(""));
    grpc_health_free(a.health);
    return 0;
}
