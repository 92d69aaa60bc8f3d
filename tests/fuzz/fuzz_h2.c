// SPDX-License-Identifier: Apache-2.0
/* Any frames behind a good preface; the first byte cuts them into reads. */
#include "sidecar/io/h2.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void nothing(void *ctx)
{
    (void)ctx;
}

static void put(void *ctx, struct span bytes)
{
    must(ctx == NULL && bytes.n > 0);
}

static void request(void *ctx, struct http_req *r)
{
    (void)ctx;
    http_reply(r, 200, NULL, 0, http_body(r));
}

static void message(void *ctx, struct grpc_call *c, struct span m)
{
    (void)ctx;
    if (grpc_send(c, m) < 0 || m.n == 3)
        grpc_finish(c, GRPC_INTERNAL, "x");
}

static void turn_gone(struct turn *t)
{
    (void)t;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static const struct grpc_method methods[] = {
        {.path = "/t.T/B", .client_streams = true, .message = message},
        {.path = "/t.T/U", .message = message},
        {.path = NULL}};
    uv_loop_t loop;
    struct turn t;
    struct server_stats stats = {0};
    struct server_limits l = {0, 10, 4096, 8192, 4096, 65536, 1, 1, 1, 1, 20};
    struct h2_env env = {.limits = &l,
                         .peer = peer_box_new(),
                         .turn = &t,
                         .methods = methods,
                         .stats = &stats,
                         .dirty = nothing,
                         .request = request};
    struct h2 *h;
    size_t cut = n > 0 ? p[0] + 1u : 1;
    must(uv_loop_init(&loop) == 0 && turn_init(&t, &loop) == 0);
    must(h2_new(&env, &h) == 0);
    int rc = h2_input(h, SPAN("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                              "\0\0\0\4\0\0\0\0\0"));
    for (size_t at = 1; at < n && rc == 0; at += cut) {
        rc = h2_input(h, span_sub(span_of(p, n), at, at + cut));
        if (rc == 0)
            rc = h2_output(h, put, 100000);
    }
    h2_free(h);
    peer_box_drop(env.peer);
    turn_close(&t, turn_gone);
    must(uv_run(&loop, UV_RUN_DEFAULT) == 0 && uv_loop_close(&loop) == 0);
    return 0;
}
