// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sidecar/io/fetch.h"
#include "tests/lib/responder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* For exchanges that are to succeed, however busy the machine is. */
#define PATIENCE_MS 60000

struct world {
    uv_loop_t loop;
    struct fetch *h;
    struct responder *peer;
    uv_timer_t tick; /* UV_RUN_ONCE may sleep after the timer that was
                        waited for */
    const char *raw; /* what the peer sends */
    size_t repeat;   /* of `filler` after raw */
    bool hang;       /* the peer keeps quiet after raw */
    unsigned done, closed;
    struct fetch_result last;
    char body[256], header[128];
    int64_t retry_after;
    char seen_head[1024], seen_body[256];
};

static void peer_answers(void *ctx, const struct responder_req *r,
                         struct responder_conn *c)
{
    struct world *w = ctx;
    (void)snprintf(w->seen_head, sizeof w->seen_head, "%.*s", PRSPAN(r->head));
    (void)snprintf(w->seen_body, sizeof w->seen_body, "%.*s", PRSPAN(r->body));
    responder_send(c, span_str(w->raw));
    if (w->repeat > 0) {
        static const char filler[65536];
        for (size_t i = 0; i < w->repeat; i++)
            responder_send(c, span_of(filler, sizeof filler));
    }
    if (!w->hang)
        responder_hang_up(c);
}

static void on_done(void *ctx, struct fetch_call *c,
                    const struct fetch_result *r)
{
    struct world *w = ctx;
    w->done++;
    w->last = *r;
    w->retry_after = fetch_retry_after_ms(c, 784111777000);
    (void)snprintf(w->body, sizeof w->body, "%.*s", PRSPAN(r->body));
    struct span v = fetch_answer_header(c, "x-TEST");
    (void)snprintf(w->header, sizeof w->header, "%.*s", PRSPAN(v));
}

static void on_closed(void *ctx)
{
    struct world *w = ctx;
    w->closed++;
}

static void on_tick(uv_timer_t *t)
{
    (void)t;
}

static void world_open(struct world *w)
{
    *w = (struct world){.raw = "", .hang = true};
    assert_int_equal(uv_loop_init(&w->loop), 0);
    assert_int_equal(fetch_new(&w->loop, &w->h, NULL), 0);
    w->peer = responder_open(&w->loop, peer_answers, w);
    uv_timer_init(&w->loop, &w->tick);
    uv_timer_start(&w->tick, on_tick, 2, 2);
}

static void world_close(struct world *w)
{
    fetch_close(w->h, on_closed, w);
    assert_int_equal(w->closed, 0);
    responder_close(w->peer);
    uv_close((uv_handle_t *)&w->tick, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(w->closed, 1);
    assert_int_equal(uv_loop_close(&w->loop), 0);
}

static struct fetch_req plain(const struct world *w)
{
    return (struct fetch_req){.method = SPAN("GET"),
                              .url = span_str(responder_url(w->peer)),
                              .timeout_ms = PATIENCE_MS,
                              .allow_http = true};
}

static void run(struct world *w, const struct fetch_req *req)
{
    struct fail f;
    unsigned before = w->done;
    assert_int_equal(fetch_start(w->h, req, on_done, w, NULL, &f), 0);
    assert_int_equal(w->done, before); /* never inside fetch_start */
    while (w->done == before)
        uv_run(&w->loop, UV_RUN_ONCE);
}

#define OK_HEAD "HTTP/1.1 200 OK\r\n"

static void answers_and_hostile_peers(void **state)
{
    (void)state;
    static const struct {
        const char *name, *raw;
        size_t repeat;
        bool hang;
        int rc;
        unsigned status;
        const char *body;
    } rows[] = {
        {"plain", OK_HEAD "Content-Length: 2\r\nX-Test:  a b \r\n\r\nhi", 0,
         true, 0, 200, "hi"},
        {"chunked",
         OK_HEAD "Transfer-Encoding: chunked\r\n\r\n"
                 "2\r\nhi\r\n0\r\n\r\n",
         0, true, 0, 200, "hi"},
        {"interim 103",
         "HTTP/1.1 103 Early Hints\r\nX-Test: no\r\n\r\n" OK_HEAD
         "Content-Length: 2\r\n\r\nhi",
         0, true, 0, 200, "hi"},
        {"redirect is an answer", /* 8936-R17, T25 */
         "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
         "Content-Length: 0\r\n\r\n",
         0, true, 0, 302, ""},
        {"gzip is refused (T9)",
         OK_HEAD "Content-Encoding: gzip\r\n"
                 "Content-Length: 2\r\n\r\nhi",
         0, true, RC_PROTOCOL, 0, ""},
        {"gzip transfer coding",
         OK_HEAD "Transfer-Encoding: gzip, chunked\r\n"
                 "\r\n0\r\n\r\n",
         0, true, RC_PROTOCOL, 0, ""},
        {"body over the cap", OK_HEAD "Content-Length: 8388608\r\n\r\n", 32,
         true, RC_TOO_LARGE, 0, ""},
        {"endless body", OK_HEAD "\r\n", 32, true, RC_TOO_LARGE, 0, ""},
        {"not HTTP", "SSH-2.0-OpenSSH_9.2\r\n", 0, false, RC_PROTOCOL, 0, ""},
        {"HTTP/0.9", "hello", 0, false, RC_PROTOCOL, 0, ""},
        {"hangs up at once", "", 0, false, RC_UNAVAILABLE, 0, ""},
        {"header cut off", OK_HEAD "X-A: b\r\n", 0, false, RC_UNAVAILABLE, 0,
         ""},
        {"truncated", OK_HEAD "Content-Length: 9\r\n\r\nhi", 0, false,
         RC_UNAVAILABLE, 0, ""},
        {"silent", "", 0, true, RC_TIMEOUT, 0, ""},
        {"slow body", OK_HEAD "Content-Length: 9\r\n\r\nhi", 0, true,
         RC_TIMEOUT, 0, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world w;
        world_open(&w);
        w.raw = rows[i].raw;
        w.repeat = rows[i].repeat;
        w.hang = rows[i].hang;
        struct fetch_req req = plain(&w);
        req.timeout_ms = rows[i].rc == RC_TIMEOUT ? 150 : PATIENCE_MS;
        run(&w, &req);
        if (w.last.rc != rows[i].rc || w.last.status != rows[i].status)
            fail_msg("%s: rc %d status %u: %s", rows[i].name, w.last.rc,
                     w.last.status, w.last.fail.text);
        if (w.last.rc == 0)
            assert_string_equal(w.body, rows[i].body);
        if (i == 0)
            assert_string_equal(w.header, "a b");
        if (i == 2)
            assert_string_equal(w.header, "");
        world_close(&w);
    }
}

static void huge_header(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    size_t n = 256 * 1024;
    char *raw = calloc(1, n + 256);
    strcat(raw, OK_HEAD);
    for (size_t at = strlen(raw); at < n; at += 8)
        memcpy(raw + at, "X-A: b\r\n", 9);
    w.raw = raw;
    struct fetch_req req = plain(&w);
    run(&w, &req);
    assert_int_equal(w.last.rc, RC_TOO_LARGE);
    world_close(&w);
    free(raw);
}

/* What leaves: our headers and nothing curl would like to add. */
static void request_bytes(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    w.raw = OK_HEAD "Content-Length: 0\r\nRetry-After: 120\r\n\r\n";
    struct fetch_req req = plain(&w);
    setenv("http_proxy", "http://127.0.0.1:9", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:9", 1);
    req.method = SPAN("POST");
    req.headers[0] =
        (struct fetch_header){SPAN("Authorization"), SPAN("Bearer x")};
    req.header_count = 1;
    req.body = SPAN("a=b");
    run(&w, &req);
    assert_int_equal(w.last.rc, 0);
    assert_string_equal(w.seen_body, "a=b");
    assert_non_null(strstr(w.seen_head, "POST / HTTP/1.1\r\n"));
    assert_non_null(strstr(w.seen_head, "Authorization: Bearer x\r\n"));
    assert_null(strstr(w.seen_head, "Accept-Encoding"));
    assert_null(strstr(w.seen_head, "Expect"));
    assert_null(strstr(w.seen_head, "Cookie"));
    assert_null(strstr(w.seen_head, "Content-Type"));
    assert_int_equal(w.retry_after, 120000);
    req.method = SPAN("DELETE");
    req.body = SPAN("");
    w.raw = OK_HEAD
        "Content-Length: 0\r\n"
        "Retry-After: Sun, 06 Nov 1994 08:50:37 GMT\r\n\r\n";
    run(&w, &req);
    assert_non_null(strstr(w.seen_head, "DELETE / HTTP/1.1\r\n"));
    assert_int_equal(w.retry_after, 60000); /* RFC 9110 10.2.3 date form */
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
    world_close(&w);
}

static void bad_requests(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    static const char *const urls[] = {
        "ftp://127.0.0.1/",        "file:///etc/passwd",
        "gopher://127.0.0.1/",     "127.0.0.1/",
        "https://user@127.0.0.1/", "https://u:p@h/",
        "https://h/a b",           "https://h/\r\nX: y",
        "https://h\\@evil/",       "",
    };
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct fetch_req req = plain(&w);
        req.url = span_str(urls[i]);
        assert_int_equal(fetch_start(w.h, &req, on_done, &w, NULL, NULL),
                         RC_INVALID);
    }
    struct fetch_req req = plain(&w);
    req.allow_http = false;
    assert_int_equal(fetch_start(w.h, &req, on_done, &w, NULL, NULL),
                     RC_INVALID);
    req = plain(&w);
    req.headers[0] = (struct fetch_header){SPAN("A"), SPAN("b\r\nX: y")};
    req.header_count = 1;
    assert_int_equal(fetch_start(w.h, &req, on_done, &w, NULL, NULL),
                     RC_INVALID);
    req.headers[0] = (struct fetch_header){SPAN("A b"), SPAN("c")};
    assert_int_equal(fetch_start(w.h, &req, on_done, &w, NULL, NULL),
                     RC_INVALID);
    req = plain(&w);
    req.method = SPAN("GET /x");
    assert_int_equal(fetch_start(w.h, &req, on_done, &w, NULL, NULL),
                     RC_INVALID);
    req = plain(&w);
    req.url = SPAN("http://127.0.0.1:1/");
    run(&w, &req);
    assert_int_equal(w.last.rc, RC_UNAVAILABLE);
    req.url = SPAN("http://-no-such-host.invalid/"); /* asks no server */
    run(&w, &req);
    assert_int_equal(w.last.rc, RC_UNAVAILABLE);
    world_close(&w);
}

/* A cancelled call completes once, later; closing completes the rest. */
static void cancel_and_close(void **state)
{
    (void)state;
    struct world w;
    struct fetch_call *c[40];
    world_open(&w);
    struct fetch_req req = plain(&w);
    for (size_t i = 0; i < 40; i++)
        assert_int_equal(fetch_start(w.h, &req, on_done, &w, &c[i], NULL), 0);
    for (size_t i = 0; i < 30; i++)
        uv_run(&w.loop, UV_RUN_NOWAIT);
    for (size_t i = 0; i < 20; i++) {
        fetch_cancel(c[i]);
        fetch_cancel(c[i]);
    }
    assert_int_equal(w.done, 0);
    while (w.done < 20)
        uv_run(&w.loop, UV_RUN_ONCE);
    assert_int_equal(w.last.rc, RC_CANCELLED);
    world_close(&w);
    assert_int_equal(w.done, 40);
    assert_int_equal(w.last.rc, RC_CANCELLED);
}

static void limit_in_flight(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    struct fetch_req req = plain(&w);
    for (size_t i = 0; i < FETCH_CALLS_MAX; i++)
        assert_int_equal(fetch_start(w.h, &req, on_done, &w, NULL, NULL), 0);
    assert_int_equal(fetch_start(w.h, &req, on_done, &w, NULL, NULL), RC_LIMIT);
    for (size_t i = 0; i < 200; i++)
        uv_run(&w.loop, UV_RUN_NOWAIT);
    assert_true(responder_conns(w.peer) <= FETCH_HOST_CONNECTIONS_MAX);
    world_close(&w);
    assert_int_equal(w.done, FETCH_CALLS_MAX);
}

struct chain {
    struct world *w;
    unsigned left;
};

static void start_next(void *ctx, struct fetch_call *call,
                       const struct fetch_result *r)
{
    (void)call;
    struct chain *c = ctx;
    assert_int_equal(r->rc, 0);
    if (--c->left == 0)
        return;
    struct fetch_req req = plain(c->w);
    assert_int_equal(fetch_start(c->w->h, &req, start_next, c, NULL, NULL), 0);
}

/* Requests started from done; one connection serves them all. */
static void chained(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    w.raw = OK_HEAD "Content-Length: 2\r\n\r\nhi";
    struct chain c = {&w, 500};
    struct fetch_req req = plain(&w);
    assert_int_equal(fetch_start(w.h, &req, start_next, &c, NULL, NULL), 0);
    uint64_t start = uv_hrtime();
    while (c.left > 0)
        uv_run(&w.loop, UV_RUN_ONCE);
    print_message("500 in a row: %u us each\n",
                  (unsigned)((uv_hrtime() - start) / 500000));
    assert_int_equal(responder_conns(w.peer), 1);
    world_close(&w);
}

/* openssl s_server with a fresh certificate for 127.0.0.1; its port. */
static FILE *tls_server(const char *options, const char *ca, char *url,
                        size_t n)
{
    char command[512], line[256];
    (void)snprintf(command, sizeof command,
                   "openssl req -x509 -newkey ec -pkeyopt "
                   "ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=t "
                   "-addext subjectAltName=IP:127.0.0.1 -keyout %s.key "
                   "-out %s 2>/dev/null; "
                   "exec timeout 60 openssl s_server -accept 127.0.0.1:0 "
                   "-www -naccept 1 -key %s.key -cert %s %s 2>&1",
                   ca, ca, ca, ca, options);
    FILE *p = popen(command, "r");
    unsigned port = 0;
    while (p != NULL && port == 0 && fgets(line, sizeof line, p) != NULL)
        (void)sscanf(line, "ACCEPT 127.0.0.1:%u", &port);
    assert_true(port > 0);
    (void)snprintf(url, n, "https://127.0.0.1:%u/", port);
    return p;
}

static void tls(void **state)
{
    (void)state;
    static const struct {
        const char *options;
        bool ca, other_name;
        int rc;
    } rows[] = {
        {"", true, false, 0},
        {"", false, false, RC_UNTRUSTED}, /* T24: unknown issuer */
        {"", true, true, RC_UNTRUSTED},   /* wrong host name */
        {"-tls1_2 -cipher AES128-SHA", true, false, RC_UNTRUSTED},
        {"-tls1_1 -cipher ALL:@SECLEVEL=0", true, false, RC_UNTRUSTED},
    };
    char url[64], ca[64], name[80];
    (void)snprintf(ca, sizeof ca, "/tmp/bailiff-test-ca-%d", (int)getpid());
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world w;
        world_open(&w);
        FILE *p = tls_server(rows[i].options, ca, url, sizeof url);
        struct fetch_req req = plain(&w);
        (void)snprintf(name, sizeof name, "https://localhost%s",
                       strrchr(url, ':'));
        req.url = span_str(rows[i].other_name ? name : url);
        req.allow_http = false;
        req.ca_file = span_str(rows[i].ca ? ca : "");
        run(&w, &req);
        if (w.last.rc != rows[i].rc)
            fail_msg("%zu: rc %d: %s", i, w.last.rc, w.last.fail.text);
        world_close(&w);
        (void)unlink(ca);
        (void)snprintf(name, sizeof name, "%s.key", ca);
        (void)unlink(name);
        (void)pclose(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_and_hostile_peers),
        cmocka_unit_test(huge_header),
        cmocka_unit_test(request_bytes),
        cmocka_unit_test(bad_requests),
        cmocka_unit_test(cancel_and_close),
        cmocka_unit_test(limit_in_flight),
        cmocka_unit_test(chained),
        cmocka_unit_test(tls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
