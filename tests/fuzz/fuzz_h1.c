// SPDX-License-Identifier: Apache-2.0
/* The first byte says how the rest is cut into reads. Every request is
 * answered, half of them later. */
#include "sidecar/io/h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

struct fake {
    bool ended;
    struct http_req *late;
};

static uint64_t now(void *ctx)
{
    (void)ctx;
    return 1000;
}

static void put(void *ctx, struct span bytes)
{
    must(!((struct fake *)ctx)->ended && bytes.n > 0);
}

static void request(void *ctx, struct http_req *r)
{
    struct fake *f = ctx;
    must(f->late == NULL && http_path(r).n > 0 && http_path(r).p[0] == '/');
    f->late = r;
}

static void nothing(void *ctx)
{
    (void)ctx;
}

static void end(void *ctx)
{
    ((struct fake *)ctx)->ended = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct fake f = {0};
    struct server_limits l = {.header_bytes = 2048, .body_bytes = 4096};
    struct h1_env env = {&f,      &l,  peer_box_new(), now, put, request,
                         nothing, end, nothing};
    struct h1 *h;
    size_t cut = n > 0 ? p[0] + 1u : 1;
    must(h1_new(&env, &h) == 0);
    for (size_t at = 1; at < n && !f.ended; at += cut) {
        h1_input(h, span_sub(span_of(p, n), at, at + cut));
        struct http_req *r = f.late;
        f.late = NULL;
        if (r != NULL)
            http_reply(r, 200, NULL, 0, http_body(r));
        h1_go_on(h);
    }
    h1_free(h);
    if (f.late != NULL)
        http_reply(f.late, 200, NULL, 0, SPAN("")); /* after the end */
    peer_box_drop(env.peer);
    return 0;
}
