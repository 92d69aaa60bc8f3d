// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/http_action.h"

#include <time.h>

#include "sidecar/config/config.h"

#define ARENA_BYTES_MAX (2 * 1024 * 1024)

struct http_action_call {
    const struct policy_action *action;
    struct fetch_call *call;
    http_action_done_fn done;
    void *ctx;
};

static int64_t wall_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void on_answer(void *ctx, struct fetch_call *fc,
                      const struct fetch_result *r)
{
    struct http_action_call *c = ctx;
    struct http_action_result result = {
        .outcome = ACTION_RETRY,
        .status = r->status,
        .retry_after_ms = -1,
        .fail = r->fail,
    };
    if (r->rc == 0) {
        result.outcome =
            http_action_judge(c->action, r->status, &result.already);
        result.retry_after_ms = fetch_retry_after_ms(fc, wall_ms());
        if (result.outcome != ACTION_CONFIRMED)
            (void)fail(&result.fail, RC_REFUSED, "%.*s answered %u",
                       PRSPAN(c->action->name), r->status);
    }
    c->done(c->ctx, &result);
    mem_release(mem_system(), c);
}

static int read_secret(struct mem *m, struct span path, struct span *ret,
                       struct fail *f)
{
    *ret = SPAN("");
    if (path.n == 0)
        return 0;
    TRY(config_read_file(m, path, HTTP_ACTION_SECRET_MAX, true, ret, f));
    if (ret->n == 0)
        return fail(f, RC_CONFIG, "%.*s is empty", PRSPAN(path));
    return 0;
}

static void wipe(struct span s)
{
    mem_wipe((unsigned char *)(uintptr_t)s.p, s.n);
}

static int send_action(struct fetch *h, struct mem *m,
                       const struct http_action_req *req,
                       struct http_action_input *in, struct http_action_call *c,
                       struct fail *f)
{
    const struct policy_action *a = req->action;
    struct http_action_request r;
    in->action = a;
    in->vars = req->vars;
    in->idempotency_key = req->idempotency_key;
    TRY(read_secret(m, a->url_file, &in->url, f));
    TRY(read_secret(m, a->key_file, &in->key, f));
    TRY(read_secret(m, a->bearer_file, &in->bearer, f));
    TRY(http_action_build(m, in, &r, f));
    struct fetch_req fr = {
        .method = r.method,
        .url = r.url,
        .header_count = r.header_count,
        .body = r.body,
        .timeout_ms =
            req->timeout_ms > 0 ? req->timeout_ms : HTTP_ACTION_TIMEOUT_MS,
        .body_bytes_max = HTTP_ACTION_ANSWER_MAX,
        .allow_http = req->allow_http,
        .ca_file = a->ca_file,
    };
    for (unsigned i = 0; i < r.header_count; i++)
        fr.headers[i] =
            (struct fetch_header){r.headers[i].name, r.headers[i].value};
    int rc = fetch_start(h, &fr, on_answer, c, &c->call, f);
    wipe(r.body); /* holds the preset's key */
    return rc;
}

int http_action_start(struct fetch *h, const struct http_action_req *req,
                      http_action_done_fn done, void *ctx,
                      struct http_action_call **ret, struct fail *f)
{
    struct arena a;
    struct http_action_input in = {.url = {NULL, 0}};
    struct http_action_call *c = mem_alloc(mem_system(), sizeof *c);
    if (c == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for an action");
    c->action = req->action;
    c->done = done;
    c->ctx = ctx;
    arena_init(&a, mem_system(), ARENA_BYTES_MAX);
    int rc = send_action(h, &a.mem, req, &in, c, f);
    wipe(in.url);
    wipe(in.key);
    wipe(in.bearer);
    arena_fini(&a);
    if (rc < 0)
        mem_release(mem_system(), c);
    else if (ret != NULL)
        *ret = c;
    return rc;
}

void http_action_cancel(struct http_action_call *c)
{
    fetch_cancel(c->call);
}
