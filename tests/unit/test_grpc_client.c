// SPDX-License-Identifier: Apache-2.0
/* The client against the server, in one loop. */
#include "tests/lib/check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sidecar/io/grpc_client.h"

struct world {
    uv_loop_t loop;
    struct server *server;
    struct grpc_client *client;
    struct grpc_call *parked;
    unsigned closed, done;
    int rc;
    enum grpc_status status;
    struct fail fail;
    unsigned char message[70000];
    size_t message_n;
    char address[128];
};

static void echo(void *ctx, struct grpc_call *c, struct span m)
{
    (void)ctx;
    grpc_reply(c, m);
}

static void refuse(void *ctx, struct grpc_call *c, struct span m)
{
    (void)ctx;
    (void)m;
    grpc_finish(c, GRPC_NOT_FOUND, "no such th\xc3\xaeng, 100%");
}

static void empty(void *ctx, struct grpc_call *c, struct span m)
{
    (void)ctx;
    (void)m;
    grpc_finish(c, GRPC_OK, NULL);
}

static void two(void *ctx, struct grpc_call *c, struct span m)
{
    (void)ctx;
    assert_int_equal(grpc_send(c, m), 0);
    grpc_reply(c, m);
    assert_int_equal(grpc_send(c, m), RC_STATE);
}

static void park(void *ctx, struct grpc_call *c, struct span m)
{
    struct world *w = ctx;
    (void)m;
    assert_true(grpc_time_left_ms(c) <= 60000);
    w->parked = c;
}

static void closed(void *ctx, struct grpc_call *c)
{
    struct world *w = ctx;
    w->closed++;
    if (w->parked == c)
        w->parked = NULL;
}

static const struct grpc_method methods[] = {
    {.path = "/t.T/Echo", .message = echo, .closed = closed},
    {.path = "/t.T/Refuse", .message = refuse, .closed = closed},
    {.path = "/t.T/Empty", .message = empty, .closed = closed},
    {.path = "/t.T/Two", .message = two, .closed = closed},
    {.path = "/t.T/Park", .message = park, .closed = closed},
    {.path = NULL},
};

static void on_done(void *ctx, int rc, enum grpc_status status,
                    struct span message, const struct fail *f)
{
    struct world *w = ctx;
    w->done++;
    w->rc = rc;
    w->status = status;
    w->fail = *f;
    w->message_n = message.n;
    memcpy(w->message, message.p, message.n);
}

static void open_server(struct world *w, const char *address)
{
    struct server_conf conf = {
        .address = span_str(address),
        .unix_gid = -1,
        .methods = methods,
        .ctx = w,
    };
    struct fail f;
    assert_int_equal(server_open(&w->loop, &conf, &w->server, &f), 0);
    snprintf(w->address, sizeof(w->address), "%s", server_address(w->server));
}

static void start(struct world *w, const char *address)
{
    struct fail f;
    memset(w, 0, sizeof(*w));
    assert_int_equal(uv_loop_init(&w->loop), 0);
    open_server(w, address);
    struct grpc_client_conf conf = {
        .address = span_str(w->address),
        .message_bytes = 65536,
    };
    assert_int_equal(grpc_client_new(&w->loop, &conf, &w->client, &f), 0);
}

static void stop(struct world *w)
{
    if (w->client != NULL)
        grpc_client_close(w->client, NULL, NULL);
    if (w->server != NULL)
        server_close(w->server, 0, NULL, NULL);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&w->loop), 0);
}

static struct grpc_client_call *call(struct world *w, const char *path,
                                     struct span m, uint64_t timeout_ms)
{
    struct grpc_client_call *k;
    assert_int_equal(
        grpc_client_call(w->client, path, m, timeout_ms, on_done, w, &k, NULL),
        0);
    return k;
}

static void wait_done(struct world *w, unsigned n)
{
    while (w->done < n)
        uv_run(&w->loop, UV_RUN_ONCE);
}

static void one(struct world *w, const char *path, struct span m)
{
    unsigned before = w->done;
    call(w, path, m, 60000);
    assert_int_equal(w->done, before);
    wait_done(w, before + 1);
}

static void calls_over(const char *address)
{
    static unsigned char big[65531];
    struct world w;
    start(&w, address);
    one(&w, "/t.T/Echo", SPAN("hello"));
    assert_int_equal(w.rc, 0);
    assert_true(span_eq(span_of(w.message, w.message_n), SPAN("hello")));
    one(&w, "/t.T/Echo", span_of(big, sizeof(big)));
    assert_int_equal(w.rc, 0);
    assert_int_equal(w.message_n, sizeof(big));
    one(&w, "/t.T/Refuse", SPAN(""));
    assert_int_equal(w.rc, RC_REFUSED);
    assert_int_equal(w.status, GRPC_NOT_FOUND);
    assert_non_null(strstr(w.fail.text, "no such th\xc3\xaeng, 100%"));
    one(&w, "/t.T/None", SPAN(""));
    assert_int_equal(w.status, GRPC_UNIMPLEMENTED);
    one(&w, "/t.T/Empty", SPAN(""));
    assert_int_equal(w.rc, RC_PROTOCOL);
    one(&w, "/t.T/Two", SPAN("x"));
    assert_int_equal(w.rc, RC_PROTOCOL);
    stop(&w);
    assert_int_equal(w.closed, 5);
}

static void calls_over_tcp(void **state)
{
    (void)state;
    calls_over("127.0.0.1:0");
}

static void calls_over_unix(void **state)
{
    char path[] = "unix:/tmp/bailiff-test-XXXXXX";
    (void)state;
    assert_non_null(mkdtemp(path + 5));
    char socket[sizeof(path) + 8];
    snprintf(socket, sizeof(socket), "%s/s", path);
    calls_over(socket);
    assert_int_equal(access(socket + 5, F_OK), -1);
    assert_int_equal(rmdir(path + 5), 0);
}

static void deadline_and_cancel(void **state)
{
    struct world w;
    (void)state;
    start(&w, "127.0.0.1:0");
    call(&w, "/t.T/Park", SPAN(""), 50);
    wait_done(&w, 1);
    assert_true(w.rc == RC_TIMEOUT || w.status == GRPC_DEADLINE_EXCEEDED);
    struct grpc_client_call *k = call(&w, "/t.T/Park", SPAN(""), 60000);
    while (w.parked == NULL)
        uv_run(&w.loop, UV_RUN_ONCE);
    grpc_client_cancel(k);
    wait_done(&w, 2);
    assert_int_equal(w.rc, RC_CANCELLED);
    while (w.parked != NULL)
        uv_run(&w.loop, UV_RUN_ONCE);
    one(&w, "/t.T/Echo", SPAN("x"));
    assert_int_equal(w.rc, 0);
    stop(&w);
}

static void closing_cancels(void **state)
{
    struct world w;
    (void)state;
    start(&w, "127.0.0.1:0");
    call(&w, "/t.T/Park", SPAN(""), 60000);
    while (w.parked == NULL)
        uv_run(&w.loop, UV_RUN_ONCE);
    stop(&w);
    assert_int_equal(w.done, 1);
    assert_int_equal(w.rc, RC_CANCELLED);
    assert_int_equal(w.closed, 1);
}

static void nobody_there(void **state)
{
    struct world w;
    (void)state;
    start(&w, "127.0.0.1:0");
    server_close(w.server, 0, NULL, NULL);
    w.server = NULL;
    for (int i = 0; i < 10; i++)
        uv_run(&w.loop, UV_RUN_NOWAIT);
    one(&w, "/t.T/Echo", SPAN(""));
    assert_int_equal(w.rc, RC_UNAVAILABLE);
    open_server(&w, w.address); /* back again: the next call connects */
    one(&w, "/t.T/Echo", SPAN("x"));
    assert_int_equal(w.rc, 0);
    stop(&w);
}

static void server_drains(void **state)
{
    struct world w;
    (void)state;
    start(&w, "127.0.0.1:0");
    call(&w, "/t.T/Park", SPAN(""), 60000);
    while (w.parked == NULL)
        uv_run(&w.loop, UV_RUN_ONCE);
    server_close(w.server, 60000, NULL, NULL);
    open_server(&w, w.address); /* SO_REUSEADDR: the old port is free */
    struct grpc_call *parked = w.parked;
    uint64_t until = uv_now(&w.loop) + 150;
    while (uv_now(&w.loop) < until) {
        uv_run(&w.loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    one(&w, "/t.T/Echo", SPAN("new")); /* on a new connection */
    assert_int_equal(w.rc, 0);
    grpc_reply(parked, SPAN("old"));
    wait_done(&w, 2);
    assert_int_equal(w.rc, 0);
    assert_true(span_eq(span_of(w.message, w.message_n), SPAN("old")));
    stop(&w);
}

static void too_large_an_answer(void **state)
{
    struct world w;
    struct fail f;
    (void)state;
    start(&w, "127.0.0.1:0");
    struct grpc_client_conf conf = {
        .address = span_str(w.address),
        .message_bytes = 10,
    };
    grpc_client_close(w.client, NULL, NULL);
    assert_int_equal(grpc_client_new(&w.loop, &conf, &w.client, &f), 0);
    one(&w, "/t.T/Echo", SPAN("0123456789"));
    assert_int_equal(w.rc, 0);
    one(&w, "/t.T/Echo", SPAN("0123456789a"));
    assert_int_equal(w.rc, RC_TOO_LARGE);
    stop(&w);
}

static void bad_addresses(void **state)
{
    static const char *const rows[] = {"",        "x",      "x:",    ":1",
                                       "x:65536", "::1:80", "unix:", "[::1]"};
    struct grpc_client *c;
    struct fail f;
    uv_loop_t loop;
    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct grpc_client_conf conf = {.address = span_str(rows[i])};
        assert_int_equal(grpc_client_new(&loop, &conf, &c, &f), RC_CONFIG);
        struct server_conf sconf = {.address = span_str(rows[i])};
        struct server *s;
        assert_int_equal(server_open(&loop, &sconf, &s, &f), RC_CONFIG);
    }
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_over_tcp),
        cmocka_unit_test(calls_over_unix),
        cmocka_unit_test(deadline_and_cancel),
        cmocka_unit_test(closing_cancels),
        cmocka_unit_test(nobody_there),
        cmocka_unit_test(server_drains),
        cmocka_unit_test(too_large_an_answer),
        cmocka_unit_test(bad_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
