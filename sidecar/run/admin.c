// SPDX-License-Identifier: Apache-2.0
#include "sidecar/run/admin.h"

#include "sidecar/base/log.h"

/* ---------------------------------------------------------------- answers */

static const struct {
    int rc;
    unsigned status;
    const char *word;
} statuses[] = {
    {RC_INVALID, 400, "invalid"},        {RC_SYNTAX, 400, "invalid"},
    {RC_DENIED, 403, "denied"},          {RC_UNKNOWN_NAME, 404, "not_found"},
    {RC_PROTOCOL, 405, "method"},        {RC_STATE, 409, "state"},
    {RC_TOO_LARGE, 413, "too_large"},    {RC_LIMIT, 429, "limit"},
    {RC_UNAVAILABLE, 503, "unavailable"}};

static void reply(struct http_req *r, unsigned status, struct span body)
{
    const struct http_header h[] = {{"content-type", SPAN("application/json")},
                                    {"cache-control", SPAN("no-store")},
                                    {"retry-after", SPAN("1")}};
    http_reply(r, status, h, status == 503 ? 3 : 2, body);
}

void admin_refuse(struct http_req *r, int rc, struct span text)
{
    size_t last = sizeof statuses / sizeof statuses[0] - 1, i = 0;
    struct buf body;
    struct json_out j;
    while (i < last && statuses[i].rc != rc)
        i++;
    buf_init(&body, mem_system(), 4096);
    json_out_init(&j, &body);
    json_open_map(&j, NULL);
    json_str(&j, "error", statuses[i].word);
    json_text(&j, "message", text);
    json_close_map(&j);
    reply(r, statuses[i].status, buf_ok(&body) ? buf_span(&body) : SPAN("{}"));
    buf_fini(&body);
}

void admin_reply(struct http_req *r, const struct buf *body)
{
    if (buf_ok(body))
        reply(r, 200, buf_span(body));
    else
        admin_refuse(r, RC_UNAVAILABLE,
                     SPAN("the answer does not fit; ask for less"));
}

/* ------------------------------------------------------------------ names */

int admin_feed(const struct app *a, struct span name, int *ret, struct fail *f)
{
    *ret = -1;
    for (unsigned i = 0; name.n > 0 && i < a->config->feed_count; i++)
        if (span_eq(a->config->feeds[i].name, name))
            *ret = (int)i;
    return name.n == 0 || *ret >= 0
               ? 0
               : fail(f, RC_UNKNOWN_NAME, "no feed %.*s is configured",
                      PRSPAN(span_sub(name, 0, 64)));
}

int admin_base(const struct app *a, int feed, struct span uri, unsigned *ret,
               struct fail *f)
{
    unsigned known = 0;
    if (feed >= 0) {
        *ret = a->engine_conf.feeds[feed].base;
        return 0;
    }
    *ret = 0;
    for (unsigned i = 0; i < a->engine_conf.base_count; i++) {
        if (!engine_knows(a->engine, i, uri))
            continue;
        *ret = i;
        known++;
    }
    if (known > 1)
        return fail(f, RC_STATE, "several feeds know %.*s: name one",
                    PRSPAN(span_sub(uri, 0, 128)));
    if (known == 0 && a->engine_conf.base_count != 1)
        return fail(f, RC_UNKNOWN_NAME, "no feed knows %.*s%s",
                    PRSPAN(span_sub(uri, 0, 128)),
                    a->engine_conf.base_count > 1 ? ": name one" : "");
    return 0;
}

/* ---------------------------------------------------------------- queries */

static int hex_value(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        return (c | 0x20) - 'a' + 10;
    return -1;
}

/* Percent-decoding (RFC 3986 2.1); a plus sign is a plus sign. */
static int decode(struct admin_ask *q, struct span in, struct span *ret,
                  struct fail *f)
{
    unsigned char *out = mem_copy(&q->arena.mem, in);
    size_t n = 0;
    if (out == NULL)
        return fail(f, RC_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < in.n; i++) {
        if (in.p[i] != '%') {
            out[n++] = in.p[i];
            continue;
        }
        int high = i + 2 < in.n ? hex_value(in.p[i + 1]) : -1;
        int low = i + 2 < in.n ? hex_value(in.p[i + 2]) : -1;
        if (high < 0 || low < 0)
            return fail(f, RC_INVALID, "a bad percent-encoding");
        out[n++] = (unsigned char)(high << 4 | low);
        i += 2;
    }
    *ret = span_of(out, n);
    if (!span_is_text(*ret))
        return fail(f, RC_INVALID, "not UTF-8 text");
    return 0;
}

static int set_limit(struct admin_ask *q, struct span value, unsigned max,
                     struct fail *f)
{
    uint64_t n;
    if (!span_u64(value, &n) || n < 1 || n > max)
        return fail(f, RC_INVALID, "limit must be 1 to %u", max);
    q->query.limit = (unsigned)n;
    return 0;
}

static int set_param(struct admin_ask *q, struct span name, struct span value,
                     unsigned allowed, struct fail *f)
{
    struct show_query *s = &q->query;
    const struct {
        enum admin_param bit;
        struct span name;
        struct span *to;
    } words[] = {{PARAM_STANDING, SPAN("standing"), &s->standing},
                 {PARAM_AFTER, SPAN("after"), &s->after},
                 {PARAM_STATE, SPAN("state"), &s->state},
                 {PARAM_AGENT, SPAN("agent"), &s->uri},
                 {PARAM_RULE, SPAN("rule"), &s->rule},
                 {PARAM_DIGEST, SPAN("digest"), &q->digest}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if ((allowed & words[i].bit) != 0 && span_eq(name, words[i].name)) {
            *words[i].to = value;
            return 0;
        }
    }
    if ((allowed & PARAM_FEED) != 0 && span_eq(name, SPAN("feed")))
        return admin_feed(q->app, value, &s->feed, f);
    if ((allowed & PARAM_LIMIT) != 0 && span_eq(name, SPAN("limit")))
        return set_limit(
            q, value,
            (allowed & PARAM_STATE) != 0 ? SHOW_JOBS_MAX : SHOW_PAGE_MAX, f);
    return fail(f, RC_INVALID, "unknown parameter %.*s",
                PRSPAN(span_sub(name, 0, 64)));
}

static int parse_query(struct admin_ask *q, unsigned allowed, struct fail *f)
{
    struct span rest = http_query(q->req);
    q->query = (struct show_query){
        .feed = -1, .limit = (allowed & PARAM_STATE) != 0 ? 1000 : 500};
    while (rest.n > 0) {
        size_t end = span_find(rest, '&', 0);
        struct span pair = span_sub(rest, 0, end), name, value;
        size_t equals = span_find(pair, '=', 0);
        rest = span_sub(rest, end + 1, rest.n);
        if (pair.n == 0)
            continue;
        TRY(decode(q, span_sub(pair, 0, equals), &name, f));
        TRY(decode(q, span_sub(pair, equals + 1, pair.n), &value, f));
        TRY(set_param(q, name, value, allowed, f));
    }
    return 0;
}

/* ------------------------------------------------------------------ paths */

struct route {
    const char *path;
    unsigned params;
    int (*show)(struct admin_ask *q, struct fail *f); /* NULL: a change */
    struct admin_verb change;
    /* NULL: a change of the engine's, by its verb */
    int (*make)(struct admin_ask *q, const struct admin_verb *v,
                struct fail *f);
};

static const struct route routes[] = {
    {.path = "/v1/status", .show = admin_show_status},
    {.path = "/v1/agents",
     .params = PARAM_STANDING | PARAM_FEED | PARAM_AFTER | PARAM_LIMIT,
     .show = admin_show_agents},
    {.path = "/v1/reviews", .params = PARAM_FEED, .show = admin_show_reviews},
    {.path = "/v1/jobs",
     .params =
         PARAM_STATE | PARAM_AGENT | PARAM_RULE | PARAM_LIMIT | PARAM_FEED,
     .show = admin_show_jobs},
    {.path = "/v1/feeds", .show = admin_show_feeds},
    {.path = "/v1/candidate", .show = admin_show_candidate},
    {.path = "/v1/policy", .show = admin_show_policy},
    {.path = "/v1/policy/history", .show = admin_show_policy_history},
    {.path = "/v1/policy/text",
     .params = PARAM_DIGEST,
     .show = admin_show_policy_text},
    {.path = "/v1/policy/reload",
     .change = {.members = "as ", .needed = ""},
     .make = admin_reload},
    {.path = "/v1/holds",
     .change = {OP_HOLD_ADD, "agent feed kind tools ", "agent kind "}},
    {.path = "/v1/holds/lift",
     .change = {OP_HOLD_LIFT, "agent feed kind cause ", "agent "}},
    {.path = "/v1/reviews/approve",
     .change = {OP_REVIEW_APPROVE, "agent feed cause ", "agent "}},
    {.path = "/v1/reviews/deny",
     .change = {OP_REVIEW_DENY, "agent feed cause ", "agent "}},
    {.path = "/v1/jobs/retry", .change = {OP_JOB_RETRY, "id feed ", "id "}},
    {.path = "/v1/jobs/abandon", .change = {OP_JOB_ABANDON, "id feed ", "id "}},
};

static const struct route one_agent = {
    .path = "/v1/agents/", .params = PARAM_FEED, .show = admin_show_agent};

static int find_route(struct admin_ask *q, const struct route **ret,
                      struct fail *f)
{
    struct span path = http_path(q->req), agents = span_str(one_agent.path);
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (span_eq(path, span_str(routes[i].path))) {
            *ret = &routes[i];
            return 0;
        }
    }
    struct span uri = span_sub(path, agents.n, path.n);
    if (!span_starts(path, agents) || uri.n == 0)
        return fail(f, RC_UNKNOWN_NAME, "no such path");
    if (span_find(uri, '/', 0) < uri.n)
        return fail(f, RC_UNKNOWN_NAME, "the uri is not percent-encoded");
    *ret = &one_agent;
    return decode(q, uri, &q->uri, f);
}

/* --------------------------------------------------------------- requests */

static int show(struct admin_ask *q, const struct route *route, struct fail *f)
{
    struct buf body;
    struct in tick = {.kind = IN_TICK};
    ignore_rc(app_step(q->app, &tick)); /* ages and standing as of now */
    buf_init(&body, mem_system(), ADMIN_ANSWER_BYTES_MAX);
    json_out_init(&q->json, &body);
    int rc = route->show(q, f);
    if (rc >= 0)
        admin_reply(q->req, &body);
    buf_fini(&body);
    return rc;
}

static int handle(struct admin_ask *q, struct fail *f)
{
    const struct route *route = NULL;
    if (q->who == NULL)
        return fail(f, RC_DENIED, "user %u is not an operator",
                    (unsigned)http_peer(q->req)->uid);
    if (q->app->stopping || !q->app->ready)
        return fail(f, RC_UNAVAILABLE, "the sidecar is %s",
                    q->app->stopping ? "stopping" : "starting");
    TRY(find_route(q, &route, f));
    must(route != NULL);
    const char *method = route->show != NULL ? "GET" : "POST";
    if (!span_eq(http_method(q->req), span_str(method)))
        return fail(f, RC_PROTOCOL, "only %s here", method);
    TRY(parse_query(q, route->params, f));
    if (route->show != NULL)
        return show(q, route, f);
    return route->make != NULL ? route->make(q, &route->change, f)
                               : admin_change(q, &route->change, f);
}

void admin_request(void *ctx, struct http_req *r)
{
    struct app *a = ctx;
    struct fail f = {.rc = 0};
    struct admin_ask q = {
        .app = a, .req = r, .who = conf_operator_of(a, http_peer(r))};
    arena_init(&q.arena, mem_system(), ADMIN_ARENA_BYTES);
    if (handle(&q, &f) < 0) {
        if (f.rc == RC_DENIED)
            log_warn(LOG_ADMIN, "denied", kv_u64("uid", http_peer(r)->uid),
                     kv_span("path", http_path(r)));
        admin_refuse(r, f.rc, span_str(f.text));
    }
    arena_fini(&q.arena);
}
