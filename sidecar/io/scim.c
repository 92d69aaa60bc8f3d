// SPDX-License-Identifier: Apache-2.0
/*
 *   WAITING --budget--> AUTHORIZING --> READING --200--> PARSING --> ENDED
 *      |                    ^             | |
 *      |                    `--first 401--' |--404, 410--> PROBING --> ENDED
 *      |                                    `--304, failures-------> ENDED
 *      `--deadline, cancel--> ENDED, which waits for the timer
 *
 * Every state but ENDED suspends. A call counts against its base's concurrency
 * from AUTHORIZING on. A list read is a call like others, but no status other
 * than 200 means anything to it.
 */
#include "sidecar/io/scim.h"

#include <sys/random.h>
#include <time.h>

#include "sidecar/io/scim_answer.h"

#define URL_BYTES_MAX 8192
#define PROBE_MS 5000

enum state { WAITING, AUTHORIZING, READING, PROBING, PARSING, ENDED };

struct base {
    const struct config_feed *feed;
    unsigned lane;
    struct list waiting;
    unsigned waiting_n, running;
    int64_t allowed_us;   /* when the next read is due at an even pace */
    int64_t paused_until; /* Retry-After */
    bool versions_seen, versions_differ; /* is meta.version the ETag? */
};

struct scim {
    uv_loop_t *loop;
    struct fetch *fetch;
    struct oauth *oauth;
    struct work *work;
    struct base bases[SCIM_BASES_MAX];
    unsigned base_count;
    struct list running; /* AUTHORIZING READING PROBING PARSING */
    struct list ended;
    uv_timer_t timer;
    struct scim_stats stats;
    uint64_t jitter; /* state of next_jitter */
    unsigned calls;
    bool closing;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

struct scim_call {
    struct list_link link;
    struct scim *s;
    struct base *base;
    enum state state;
    scim_done_fn done;
    void *ctx;
    struct buf url, etag;
    struct span id;       /* in url */
    struct scim_ids *ids; /* a list read, else NULL */
    struct buf query;     /* its body */
    int64_t deadline_ms;
    struct oauth_want want;
    struct fetch_call *fetch;
    struct work_item item;
    struct span body; /* in the arena */
    bool retried, cancelled;
    bool same_version; /* the answer's ETag is its meta.version */
    struct scim_listed *listed;
    unsigned foreign;
    struct scim_result result;
};

static int64_t now_ms(const struct scim *s)
{
    return (int64_t)uv_now(s->loop);
}

static int64_t wall_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void pump_soon(struct scim *s, int64_t ms);

/* --- the end of a call --- */

struct arena *scim_take_arena(struct scim_result *r)
{
    struct arena *a = r->arena;
    r->arena = NULL;
    return a;
}

void scim_arena_free(struct arena *a)
{
    if (a == NULL)
        return;
    arena_fini(a);
    mem_release(mem_system(), a);
}

static void call_free(struct scim_call *c)
{
    buf_fini(&c->url);
    buf_fini(&c->etag);
    buf_fini(&c->query);
    mem_release(mem_system(), c->ids);
    scim_arena_free(c->result.arena);
    mem_release(mem_system(), c);
}

static void finish(struct scim_call *c)
{
    struct scim *s = c->s;
    struct scim_result *r = &c->result;
    list_remove(&c->link);
    if (c->cancelled && c->state != ENDED)
        r->rc = fail(&r->fail, RC_CANCELLED, "cancelled");
    if (c->state != WAITING && c->state != ENDED)
        c->base->running--;
    c->state = ENDED;
    if (r->rc != 0)
        r->found = r->gone = r->not_modified = false;
    s->stats.answered += r->rc == 0;
    s->stats.failed += r->rc != 0;
    s->stats.lists_failed += r->rc != 0 && c->ids != NULL;
    s->calls--;
    c->done(c->ctx, r);
    call_free(c);
    pump_soon(s, 0);
}

static void finish_fail(struct scim_call *c, int rc, const struct fail *f)
{
    c->result.rc = rc;
    c->result.fail = *f;
    finish(c);
}

/* Ends from inside somebody else's call: done runs from the timer. */
static void end_later(struct scim_call *c, int rc, const char *why)
{
    if (c->state == WAITING)
        c->base->waiting_n--;
    else
        c->base->running--;
    list_remove(&c->link);
    c->state = ENDED;
    c->result.rc = fail(&c->result.fail, rc, "%s", why);
    list_push(&c->s->ended, &c->link);
    pump_soon(c->s, 0);
}

/* --- reading --- */

static void authorize(struct scim_call *c)
{
    c->state = AUTHORIZING;
    oauth_authorize(c->s->oauth, &c->want);
}

static int arena_new(struct scim_call *c)
{
    struct arena *a = mem_alloc(mem_system(), sizeof *a);
    if (a == NULL)
        return RC_NO_MEMORY;
    arena_init(a, mem_system(), SCIM_ARENA_BYTES_MAX);
    scim_arena_free(c->result.arena);
    c->result.arena = a;
    return 0;
}

static int parse_one(struct scim_call *c, struct mem *m)
{
    struct scim_result *r = &c->result;
    TRY(scim_answer_parse(m, c->body, c->id, &r->doc, &r->fail));
    struct span version = scim_version(m, r->doc);
    if (r->etag.n == 0)
        r->etag = version;
    c->same_version = version.n > 0 && span_eq(version, r->etag);
    return 0;
}

static int parse_list(struct scim_call *c, struct mem *m)
{
    struct scim_result *r = &c->result;
    r->etag = SPAN(""); /* of the list, if any: of no resource */
    c->listed = mem_array(m, c->ids->count, sizeof *c->listed);
    if (c->listed == NULL)
        return fail(&r->fail, RC_NO_MEMORY, "no memory for a list");
    return scim_list_parse(m, c->body, c->ids, c->listed, &c->foreign,
                           &r->fail);
}

static void parse_run(struct work_item *w)
{
    struct scim_call *c = container_of(w, struct scim_call, item);
    struct mem *m = &c->result.arena->mem;
    c->result.rc = c->ids == NULL ? parse_one(c, m) : parse_list(c, m);
}

/* RFC 7644 3.14: the version of a resource is its ETag. Servers that make one
 * of them up otherwise exist, and then a version that nobody has seen before
 * would prove nothing. So it counts in a list only when all reads before had
 * both the same. */
static void take_versions(struct scim_call *c)
{
    struct base *b = c->base;
    if (c->ids == NULL) {
        b->versions_seen = true;
        b->versions_differ = b->versions_differ || !c->same_version;
        return;
    }
    for (unsigned i = 0; i < c->ids->count; i++)
        if (!b->versions_seen || b->versions_differ)
            c->listed[i].etag = SPAN("");
    c->s->stats.foreign += c->foreign;
    c->result.listed = c->listed;
}

static void parse_done(struct work_item *w)
{
    struct scim_call *c = container_of(w, struct scim_call, item);
    c->result.found = c->result.rc == 0;
    if (c->result.found)
        take_versions(c);
    finish(c);
}

static int take_body(struct scim_call *c, const struct fetch_result *r,
                     struct fail *f)
{
    if (arena_new(c) < 0)
        return fail(f, RC_NO_MEMORY, "no memory for a resource");
    struct mem *m = &c->result.arena->mem;
    unsigned char *body = mem_copy(m, r->body);
    if (body == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for a resource");
    c->body = span_of(body, r->body.n);
    c->result.etag = scim_etag(m, fetch_answer_header(c->fetch, "etag"));
    c->item.run = parse_run;
    c->item.done = parse_done;
    c->item.lane = c->base->lane;
    c->state = PARSING;
    int rc = work_submit(c->s->work, &c->item);
    if (rc == 0)
        return 0;
    c->state = READING;
    return fail(f, rc, "the worker threads have too much to do");
}

static int take_not_modified(struct scim_call *c, struct fail *f)
{
    if (c->etag.n == 0)
        return fail(f, RC_PROTOCOL, "304 to an unconditional read");
    if (arena_new(c) < 0)
        return fail(f, RC_NO_MEMORY, "no memory for a resource");
    struct mem *m = &c->result.arena->mem;
    struct span raw = fetch_answer_header(c->fetch, "etag");
    c->result.etag = scim_etag(m, raw.n > 0 ? raw : buf_span(&c->etag));
    c->result.not_modified = true;
    return 0;
}

static int probe(struct scim_call *c, struct span authorization,
                 struct fail *f);

/* A cache on the way means that nobody asked the server (7644-R22). */
static bool aged(const struct fetch_call *fc)
{
    uint64_t age = 0;
    struct span v = fetch_answer_header(fc, "age");
    return v.p != NULL && (!span_u64(v, &age) || age > 0);
}

static void note_pause(struct scim_call *c, const struct fetch_call *fc)
{
    int64_t wait = fetch_retry_after_ms(fc, wall_ms());
    c->result.retry_after_ms = wait;
    if (c->result.status != 429 && c->result.status != 503)
        return;
    if (wait > SCIM_PAUSE_MAX_MS)
        wait = SCIM_PAUSE_MAX_MS;
    if (wait <= 0)
        return;
    c->base->paused_until = now_ms(c->s) + wait;
    c->s->stats.paused++;
}

/* 1: the call goes on, 0: it is over with this result, negative: failed. */
static int judge(struct scim_call *c, const struct fetch_result *r,
                 struct fail *f)
{
    if (c->ids != NULL && r->status != 200)
        return scim_status_fail(r->status, f);
    switch (r->status) {
        case 200:
            if (aged(c->fetch))
                return fail(f, RC_PROTOCOL, "the answer came from a cache");
            TRY(take_body(c, r, f));
            return 1;
        case 304: return take_not_modified(c, f);
        case 404:
        case 410: c->state = PROBING; break;
        default: return scim_status_fail(r->status, f);
    }
    authorize(c);
    c->state = PROBING;
    return 1;
}

static void on_read(void *ctx, struct fetch_call *fc,
                    const struct fetch_result *r)
{
    struct scim_call *c = ctx;
    struct fail f = r->fail;
    int rc = r->rc;
    if (rc == 0 && r->status == 401 && !c->cancelled) {
        oauth_rejected(c->s->oauth, c->want.auth, c->want.token);
        if (!c->retried) { /* once (6749-R7) */
            c->retried = true;
            c->fetch = NULL;
            c->s->stats.retried_401++;
            authorize(c);
            return;
        }
    }
    c->result.status = r->status;
    c->result.started_ms = r->started_ms;
    if (rc == 0)
        note_pause(c, fc);
    if (rc == 0 && !c->cancelled)
        rc = judge(c, r, &f);
    c->fetch = NULL;
    if (rc == 0)
        finish(c);
    else if (rc < 0)
        finish_fail(c, rc, &f);
}

static void on_probed(void *ctx, struct fetch_call *fc,
                      const struct fetch_result *r)
{
    (void)fc;
    struct scim_call *c = ctx;
    struct fail f;
    c->fetch = NULL;
    if (r->rc == 0 && r->status == 200) {
        c->result.gone = true;
        finish(c);
        return;
    }
    int rc = fail(&f, RC_UNAVAILABLE,
                  "%u for the resource, but the server does not answer for "
                  "itself (%u %s)",
                  c->result.status, r->status, rc_word(r->rc));
    finish_fail(c, rc, &f);
}

static void put_header(struct fetch_req *req, struct span name,
                       struct span value)
{
    req->headers[req->header_count++] = (struct fetch_header){name, value};
}

static int send_request(struct scim_call *c, struct span url,
                        struct span authorization, fetch_done_fn done,
                        struct fail *f)
{
    const struct config_trust *t = &c->base->feed->trust;
    int64_t left = c->deadline_ms - now_ms(c->s);
    if (left <= 0)
        return fail(f, RC_TIMEOUT, "no time left for the read");
    struct fetch_req req = {
        .method = c->ids == NULL ? SPAN("GET") : SPAN("POST"),
        .url = url,
        .body = buf_span(&c->query),
        .timeout_ms = (uint32_t)left,
        .body_bytes_max = SCIM_BODY_BYTES_MAX,
        .allow_http = t->allow_http,
        .ca_file = t->ca_file,
        .cert_file = t->cert_file,
        .key_file = t->key_file,
    };
    put_header(&req, SPAN("Accept"),
               SPAN("application/scim+json, application/json;q=0.8"));
    put_header(&req, SPAN("Cache-Control"), SPAN("no-cache"));
    if (c->ids != NULL)
        put_header(&req, SPAN("Content-Type"), SPAN("application/scim+json"));
    if (c->etag.n > 0 && done == on_read)
        put_header(&req, SPAN("If-None-Match"), buf_span(&c->etag));
    if (authorization.n > 0)
        put_header(&req, SPAN("Authorization"), authorization);
    return fetch_start(c->s->fetch, &req, done, c, &c->fetch, f);
}

static int probe(struct scim_call *c, struct span authorization, struct fail *f)
{
    struct buf url;
    buf_init(&url, mem_system(), URL_BYTES_MAX);
    buf_put(&url, c->base->feed->scim_base);
    buf_put_str(&url, "/ServiceProviderConfig");
    int rc = buf_ok(&url)
                 ? send_request(c, buf_span(&url), authorization, on_probed, f)
                 : fail(f, RC_NO_MEMORY, "no memory for a probe");
    buf_fini(&url);
    return rc;
}

static void on_authorized(struct oauth_want *w, int rc, struct span header,
                          const struct fail *why)
{
    struct scim_call *c = container_of(w, struct scim_call, want);
    struct fail f = *why;
    if (rc == 0 && c->state == PROBING) {
        rc = probe(c, header, &f);
    } else if (rc == 0) {
        c->state = READING;
        rc = send_request(c, buf_span(&c->url), header, on_read, &f);
    }
    if (rc < 0)
        finish_fail(c, rc, &f);
}

/* --- the budget --- */

static int64_t pace_us(const struct base *b)
{
    uint32_t rate = b->feed->scim_rate_per_s;
    return 1000000 / (rate > 0 ? rate : SCIM_RATE_DEFAULT);
}

static unsigned concurrency(const struct base *b)
{
    return b->feed->scim_concurrency > 0 ? b->feed->scim_concurrency
                                         : SCIM_CONCURRENCY_DEFAULT;
}

/* ms until the next read may start; 0: now. Bursts up to the concurrency. */
static int64_t budget_ms(const struct base *b, int64_t now)
{
    int64_t slack_us = pace_us(b) * ((int64_t)concurrency(b) - 1);
    int64_t wait_us = b->allowed_us - slack_us - now * 1000;
    int64_t wait = wait_us <= 0 ? 0 : (wait_us + 999) / 1000;
    return b->paused_until - now > wait ? b->paused_until - now : wait;
}

/* xorshift: nothing secret hangs on it. */
static uint64_t next_jitter(struct scim *s)
{
    s->jitter ^= s->jitter << 13;
    s->jitter ^= s->jitter >> 7;
    s->jitter ^= s->jitter << 17;
    return s->jitter;
}

/* To the next read: the pace, give or take half, so that sidecars that heard
 * of the same thing at once do not go on in step. */
static int64_t gap_us(struct scim *s, const struct base *b)
{
    int64_t pace = pace_us(b);
    return pace / 2 + (int64_t)(next_jitter(s) % (uint64_t)(pace + 1));
}

static void launch(struct scim *s, struct base *b, struct scim_call *c)
{
    int64_t now_us = now_ms(s) * 1000;
    if (b->allowed_us < now_us)
        b->allowed_us = now_us;
    b->allowed_us += gap_us(s, b);
    b->waiting_n--;
    b->running++;
    list_push(&s->running, &c->link);
    s->stats.started++;
    s->stats.lists += c->ids != NULL;
    authorize(c);
}

/* Those whose time is over do not wait for their turn. Returns ms until the
 * next deadline. */
static int64_t expire(struct list *l, int64_t now)
{
    int64_t next_ms = INT64_MAX;
    LIST_EACH (it, next, l) {
        struct scim_call *c = container_of(it, struct scim_call, link);
        bool asleep = c->state == WAITING || c->state == AUTHORIZING ||
                      (c->state == PROBING && c->fetch == NULL);
        if (!asleep)
            continue; /* the request has its own timeout */
        if (c->deadline_ms <= now) {
            oauth_forget(&c->want);
            end_later(c, RC_TIMEOUT, "no turn before the deadline");
        } else if (c->deadline_ms - now < next_ms) {
            next_ms = c->deadline_ms - now;
        }
    }
    return next_ms;
}

static int64_t pump_base(struct scim *s, struct base *b)
{
    int64_t next_ms = expire(&b->waiting, now_ms(s));
    while (!list_empty(&b->waiting) && b->running < concurrency(b)) {
        int64_t wait = budget_ms(b, now_ms(s));
        if (wait > 0)
            return wait < next_ms ? wait : next_ms;
        struct list_link *k = list_shift(&b->waiting);
        must(k != NULL);
        launch(s, b, container_of(k, struct scim_call, link));
    }
    return next_ms;
}

static void try_close(struct scim *s);

static void on_timer(uv_timer_t *t)
{
    struct scim *s = t->data;
    struct list now;
    struct list_link *k;
    list_init(&now);
    int64_t next_ms = expire(&s->running, now_ms(s));
    for (unsigned i = 0; i < s->base_count && !s->closing; i++) {
        int64_t ms = pump_base(s, &s->bases[i]);
        next_ms = ms < next_ms ? ms : next_ms;
    }
    while ((k = list_shift(&s->ended)) != NULL)
        list_push(&now, k);
    if (next_ms != INT64_MAX)
        pump_soon(s, next_ms);
    while ((k = list_shift(&now)) != NULL)
        finish(container_of(k, struct scim_call, link));
    if (s->closing)
        try_close(s);
}

static void pump_soon(struct scim *s, int64_t ms)
{
    uv_handle_t *h = (uv_handle_t *)&s->timer;
    if (uv_is_closing(h))
        return;
    if (!uv_is_active(h) || (int64_t)uv_timer_get_due_in(&s->timer) > ms)
        uv_timer_start(&s->timer, on_timer, (uint64_t)ms, 0);
}

/* --- calls --- */

static int prepare(struct scim_call *c, const struct scim_req *req,
                   struct fail *f)
{
    struct base *b = c->base;
    TRY(scim_url_put(&c->url, b->feed->scim_base, req->uri, req->attributes,
                     f));
    buf_put(&c->etag, req->etag);
    if (!buf_ok(&c->etag))
        return fail(f, RC_INVALID, "too long an ETag");
    size_t slash = req->uri.n;
    while (req->uri.p[slash - 1] != '/')
        slash--;
    c->id =
        span_of(c->url.p + b->feed->scim_base.n + slash, req->uri.n - slash);
    return 0;
}

static int prepare_list(struct scim_call *c, const struct scim_req *req,
                        struct fail *f)
{
    must(req->uri_count <= SCIM_LIST_MAX);
    TRY(scim_ids_new(mem_system(), req->uris, req->uri_count, &c->ids, f));
    TRY(scim_search_put(&c->query, c->ids, req->attributes, f));
    buf_put(&c->url, c->base->feed->scim_base);
    buf_put(&c->url, c->ids->type);
    buf_put_str(&c->url, "/.search");
    return buf_ok(&c->url) ? 0 : fail(f, RC_INVALID, "too long a URL");
}

int scim_read(struct scim *s, const struct scim_req *req, scim_done_fn done,
              void *ctx, struct scim_call **ret, struct fail *f)
{
    must(req->base < s->base_count);
    struct base *b = &s->bases[req->base];
    if (s->closing)
        return fail(f, RC_STATE, "shutting down");
    if (b->waiting_n >= SCIM_QUEUE_MAX)
        return fail(f, RC_LIMIT, "%d reads wait already", SCIM_QUEUE_MAX);
    struct scim_call *c = mem_alloc(mem_system(), sizeof *c);
    if (c == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for a read");
    c->s = s;
    c->base = b;
    c->done = done;
    c->ctx = ctx;
    buf_init(&c->url, mem_system(), URL_BYTES_MAX);
    buf_init(&c->etag, mem_system(), 1024);
    buf_init(&c->query, mem_system(), FETCH_REQUEST_BODY_MAX);
    int rc = req->uri_count > 0 ? prepare_list(c, req, f) : prepare(c, req, f);
    if (rc < 0) {
        call_free(c);
        return rc;
    }
    c->want.auth = &b->feed->scim_auth;
    c->want.trust = &b->feed->trust;
    c->want.got = on_authorized;
    c->result.retry_after_ms = -1;
    c->result.started_ms = now_ms(s);
    c->deadline_ms = now_ms(s) + req->timeout_ms;
    list_push(&b->waiting, &c->link);
    b->waiting_n++;
    s->calls++;
    pump_soon(s, 0);
    if (ret != NULL)
        *ret = c;
    return 0;
}

void scim_cancel(struct scim_call *c)
{
    if (c->cancelled || c->state == ENDED)
        return;
    c->cancelled = true;
    oauth_forget(&c->want);
    if (c->state == PARSING)
        return; /* on a worker; ends when it comes back */
    if (c->fetch != NULL)
        fetch_cancel(c->fetch); /* ends in its done */
    else
        end_later(c, RC_CANCELLED, "cancelled");
}

void scim_stats_get(const struct scim *s, struct scim_stats *ret)
{
    *ret = s->stats;
    for (unsigned i = 0; i < s->base_count; i++) {
        ret->waiting += s->bases[i].waiting_n;
        ret->running += s->bases[i].running;
    }
}

/* --- life --- */

int scim_add(struct scim *s, const struct config_feed *feed, unsigned lane,
             unsigned *ret_base, struct fail *f)
{
    if (s->base_count == SCIM_BASES_MAX)
        return fail(f, RC_LIMIT, "more than %d SCIM servers", SCIM_BASES_MAX);
    struct base *b = &s->bases[s->base_count];
    *b = (struct base){.feed = feed, .lane = lane};
    list_init(&b->waiting);
    *ret_base = s->base_count++;
    return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct scim *s = handle->data;
    void (*closed)(void *ctx) = s->closed;
    void *ctx = s->closed_ctx;
    mem_release(mem_system(), s);
    if (closed != NULL)
        closed(ctx);
}

static void try_close(struct scim *s)
{
    if (s->calls == 0 && !uv_is_closing((uv_handle_t *)&s->timer))
        uv_close((uv_handle_t *)&s->timer, on_timer_closed);
}

void scim_close(struct scim *s, void (*done)(void *ctx), void *ctx)
{
    must(!s->closing);
    s->closing = true;
    s->closed = done;
    s->closed_ctx = ctx;
    for (unsigned i = 0; i < s->base_count; i++)
        LIST_EACH (it, next, &s->bases[i].waiting)
            scim_cancel(container_of(it, struct scim_call, link));
    LIST_EACH (it, next, &s->running)
        scim_cancel(container_of(it, struct scim_call, link));
    pump_soon(s, 0);
}

int scim_new(uv_loop_t *loop, struct fetch *fetch, struct oauth *oauth,
             struct work *work, struct scim **ret, struct fail *f)
{
    struct scim *s = mem_alloc(mem_system(), sizeof *s);
    if (s == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for SCIM reads");
    s->loop = loop;
    s->fetch = fetch;
    s->oauth = oauth;
    s->work = work;
    list_init(&s->running);
    list_init(&s->ended);
    must(uv_timer_init(loop, &s->timer) == 0);
    s->timer.data = s;
    if (getrandom(&s->jitter, sizeof s->jitter, GRND_NONBLOCK) !=
            (ssize_t)sizeof s->jitter ||
        s->jitter == 0)
        s->jitter = 1; /* in step with others: no worse than that */
    *ret = s;
    return 0;
}
