// SPDX-License-Identifier: Apache-2.0
/*
 *   IDLE --timer, want--> FETCHING --200--> PARSING --> IDLE
 *     ^                      |--304-------------------->|
 *     `----------------------'--failure (backoff)------>'
 *
 * A want makes an IDLE feed DUE, which is IDLE with the timer at 0. FETCHING is
 * skipped for files. All of them suspend.
 */
#include "sidecar/io/jwks.h"

#include <string.h>

#include "sidecar/base/hash.h"

#define BACKOFF_MS 5000
#define BACKOFF_MAX_MS 300000
#define ETAG_MAX 1024

enum state { IDLE, DUE, FETCHING, PARSING };

struct unknown {
    uint64_t hash;
    int64_t at_ms;
};

struct jwks_feed {
    struct list_link link;
    struct jwks *j;
    const struct config_feed *feed;
    unsigned lane;
    enum state state;
    struct jws_keys *keys;
    int64_t loaded_ms;  /* last good load; -1: never */
    int64_t started_ms; /* last load for a want; -1: never */
    unsigned failures;
    struct buf etag;
    struct list wants;
    unsigned want_count;
    struct unknown unknown[JWKS_UNKNOWN_MAX];
    unsigned unknown_next;
    uv_timer_t timer;
    struct jwks_stats stats;
    /* the load in progress */
    struct fetch_call *call;
    struct work_item item;
    struct span body;
    struct buf new_etag;
    int64_t fresh_ms;
    struct jws_keys *parsed;
    unsigned skipped;
    int rc;
    struct fail fail;
};

struct jwks {
    uv_loop_t *loop;
    struct jwks_conf conf;
    struct hash_key seed;
    uint64_t random;
    struct list feeds, answered;
    uv_timer_t timer; /* delivers `answered` */
    unsigned handles;
    bool closing;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static int64_t now_ms(const struct jwks *j)
{
    return (int64_t)uv_now(j->loop);
}

static void load(struct jwks_feed *k);
static void on_last_timer(uv_timer_t *t);
static void close_feed(struct jwks_feed *k);

/* --- wants --- */

static void on_answer_timer(uv_timer_t *t)
{
    struct jwks *j = t->data;
    struct list now;
    struct list_link *x;
    list_init(&now);
    while ((x = list_shift(&j->answered)) != NULL)
        list_push(&now, x);
    while ((x = list_shift(&now)) != NULL) {
        struct jwks_want *w = container_of(x, struct jwks_want, link);
        w->over(w, w->rc);
    }
}

static void answer(struct jwks *j, struct jwks_want *w, int rc)
{
    w->rc = rc;
    list_remove(&w->link);
    list_push(&j->answered, &w->link);
    must(!uv_is_closing((uv_handle_t *)&j->timer));
    uv_timer_start(&j->timer, j->closing ? on_last_timer : on_answer_timer, 0,
                   0);
}

static uint64_t kid_hash(const struct jwks *j, const struct jwks_want *w)
{
    return hash_span(&j->seed, span_of(w->kid, w->kid_n)) | 1;
}

static bool known_unknown(const struct jwks_feed *k, uint64_t hash)
{
    for (unsigned i = 0; i < JWKS_UNKNOWN_MAX; i++)
        if (k->unknown[i].hash == hash &&
            now_ms(k->j) - k->unknown[i].at_ms < JWKS_UNKNOWN_MS)
            return true;
    return false;
}

static void answer_wants(struct jwks_feed *k, int rc)
{
    LIST_EACH (it, next, &k->wants) {
        struct jwks_want *w = container_of(it, struct jwks_want, link);
        if (rc == 0 && !jws_keys_have(k->keys, span_of(w->kid, w->kid_n))) {
            struct unknown *u = &k->unknown[k->unknown_next];
            k->unknown_next = (k->unknown_next + 1) % JWKS_UNKNOWN_MAX;
            *u = (struct unknown){kid_hash(k->j, w), now_ms(k->j)};
        }
        answer(k->j, w, rc);
    }
    k->want_count = 0;
}

static bool usable(const struct jwks_feed *k)
{
    return k->keys != NULL && now_ms(k->j) - k->loaded_ms < JWKS_STALE_MAX_MS;
}

/* What can be said without a load: 1 means that one is needed. */
static int judge(struct jwks_feed *k, struct span kid, struct jwks_want *w)
{
    if (k->j->closing)
        return RC_CANCELLED;
    if (usable(k) && (kid.n > JWS_KID_MAX || jws_keys_have(k->keys, kid) ||
                      known_unknown(k, kid_hash(k->j, w))))
        return 0;
    if (k->want_count >= JWKS_WANTS_MAX)
        return RC_LIMIT;
    if (k->state == IDLE && k->started_ms >= 0 &&
        now_ms(k->j) - k->started_ms < JWKS_REFETCH_MS)
        return usable(k) ? RC_BUSY : RC_UNAVAILABLE;
    return 1;
}

static void on_timer(uv_timer_t *t);

/* A kid that had to be put off is looked for as soon as that is allowed. */
static void bring_forward(struct jwks_feed *k)
{
    int64_t due = k->started_ms + JWKS_REFETCH_MS - now_ms(k->j);
    if (due < 0)
        due = 0;
    if ((int64_t)uv_timer_get_due_in(&k->timer) > due)
        uv_timer_start(&k->timer, on_timer, (uint64_t)due, 0);
}

void jwks_want(struct jwks_feed *k, struct span kid, struct jwks_want *w)
{
    k->stats.wants++;
    w->link = (struct list_link){NULL, NULL};
    w->kid_n = kid.n > JWS_KID_MAX ? 0 : kid.n;
    if (w->kid_n > 0)
        memcpy(w->kid, kid.p, kid.n);
    int rc = judge(k, kid, w);
    if (rc <= 0) {
        k->stats.limited += rc == RC_BUSY || rc == RC_LIMIT;
        answer(k->j, w, rc);
        if (rc == RC_BUSY && k->state == IDLE)
            bring_forward(k);
        return;
    }
    list_push(&k->wants, &w->link);
    k->want_count++;
    if (k->state != IDLE)
        return;
    k->state = DUE;
    k->started_ms = now_ms(k->j);
    uv_timer_start(&k->timer, on_timer, 0, 0);
}

void jwks_forget(struct jwks_want *w)
{
    list_remove(&w->link);
}

struct jws_keys *jwks_current(struct jwks_feed *k)
{
    return usable(k) ? jws_keys_ref(k->keys) : NULL;
}

/* --- loading --- */

static void next_load(struct jwks_feed *k, int64_t ms)
{
    k->state = IDLE;
    if (!k->j->closing)
        uv_timer_start(&k->timer, on_timer, (uint64_t)ms, 0);
    else
        close_feed(k);
}

static void loaded(struct jwks_feed *k)
{
    k->loaded_ms = now_ms(k->j);
    k->failures = 0;
    answer_wants(k, k->j->closing ? RC_CANCELLED : 0);
    next_load(k, k->fresh_ms / 5 * 4);
}

static void failed(struct jwks_feed *k, const struct fail *f)
{
    int64_t wait = BACKOFF_MS;
    for (unsigned i = 0; i < k->failures && wait < BACKOFF_MAX_MS; i++)
        wait *= 2;
    if (wait > BACKOFF_MAX_MS)
        wait = BACKOFF_MAX_MS;
    k->j->random = k->j->random * 6364136223846793005u + 1442695040888963407u;
    wait = wait / 2 + (int64_t)((k->j->random >> 33) % (uint64_t)(wait / 2));
    k->failures++;
    k->stats.failures++;
    answer_wants(k, k->j->closing ? RC_CANCELLED : RC_UNAVAILABLE);
    if (k->j->conf.on_trouble != NULL && !k->j->closing)
        k->j->conf.on_trouble(k->j->conf.ctx, k->feed, f, wait);
    next_load(k, wait);
}

static int parse(const struct config_feed *feed, struct span body,
                 struct jws_keys **ret, unsigned *ret_skipped, struct fail *f)
{
    *ret_skipped = 0;
    if (feed->pem_file.n == 0)
        return jws_keys_from_json(body, ret, ret_skipped, f);
    enum jws_alg alg = (enum jws_alg)0;
    if (feed->algs != 0 && (feed->algs & (feed->algs - 1)) == 0)
        alg = (enum jws_alg)feed->algs; /* exactly one is allowed */
    return jws_keys_from_pem(body, feed->pem_kid, alg, ret, f);
}

/* Worker thread: 0.5 ms per key on OpenSSL 3.0. */
static void parse_run(struct work_item *w)
{
    struct jwks_feed *k = container_of(w, struct jwks_feed, item);
    k->rc = parse(k->feed, k->body, &k->parsed, &k->skipped, &k->fail);
}

static void drop_body(struct jwks_feed *k)
{
    mem_release(mem_system(), (void *)(uintptr_t)k->body.p);
    k->body = SPAN("");
    k->body.p = NULL;
}

static void adopt(struct jwks_feed *k)
{
    jws_keys_unref(k->keys);
    k->keys = k->parsed;
    k->parsed = NULL;
    memset(k->unknown, 0, sizeof k->unknown);
    buf_clear(&k->etag);
    buf_put(&k->etag, buf_span(&k->new_etag));
    if (k->j->conf.on_keys != NULL && !k->j->closing)
        k->j->conf.on_keys(k->j->conf.ctx, k->feed, jws_keys_count(k->keys),
                           k->skipped);
}

static void parse_done(struct work_item *w)
{
    struct jwks_feed *k = container_of(w, struct jwks_feed, item);
    drop_body(k);
    if (k->rc < 0) {
        failed(k, &k->fail);
        return;
    }
    adopt(k);
    loaded(k);
}

static int parse_later(struct jwks_feed *k, struct span body, struct fail *f)
{
    k->body = span_of(mem_copy(mem_system(), body), body.n);
    if (k->body.p == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for a key set");
    k->item.run = parse_run;
    k->item.done = parse_done;
    k->item.lane = k->lane;
    k->state = PARSING;
    int rc = work_submit(k->j->conf.work, &k->item);
    if (rc == 0)
        return 0;
    drop_body(k);
    return fail(f, rc, "the worker threads have too much to do");
}

/* RFC 9111 5.2.2.1, clamped. */
static int64_t fresh_for(const struct fetch_call *c)
{
    struct span v = fetch_answer_header(c, "cache-control");
    int64_t ms = JWKS_FRESH_DEFAULT_MS;
    uint64_t seconds;
    for (size_t at = 0; at < v.n;) {
        size_t end = span_find(v, ',', at);
        struct span d = span_trim(span_sub(v, at, end));
        if (span_ieq(d, SPAN("no-store")) || span_ieq(d, SPAN("no-cache")))
            ms = JWKS_FRESH_MIN_MS;
        else if (span_ieq(span_sub(d, 0, 8), SPAN("max-age=")) &&
                 span_u64(span_sub(d, 8, d.n), &seconds))
            ms = seconds > JWKS_FRESH_MAX_MS / 1000 ? JWKS_FRESH_MAX_MS
                                                    : (int64_t)seconds * 1000;
        at = end + 1;
    }
    return ms < JWKS_FRESH_MIN_MS ? JWKS_FRESH_MIN_MS : ms;
}

static int take_answer(struct jwks_feed *k, const struct fetch_call *c,
                       const struct fetch_result *r, struct fail *f)
{
    if (r->status != 200)
        return fail(f, RC_UNAVAILABLE, "the key set's URL answered %u",
                    r->status);
    struct span etag = fetch_answer_header(c, "etag");
    buf_clear(&k->new_etag);
    buf_put(&k->new_etag, etag);
    if (!buf_ok(&k->new_etag))
        buf_clear(&k->new_etag);
    return parse_later(k, r->body, f);
}

static void on_fetched(void *ctx, struct fetch_call *c,
                       const struct fetch_result *r)
{
    struct jwks_feed *k = ctx;
    struct fail f = r->fail;
    k->call = NULL;
    if (r->rc == 0)
        k->fresh_ms = fresh_for(c);
    if (r->rc == 0 && r->status == 304 && k->keys != NULL && k->etag.n > 0)
        loaded(k);
    else if (r->rc < 0 || take_answer(k, c, r, &f) < 0)
        failed(k, &f);
}

static int fetch_keys(struct jwks_feed *k, struct fail *f)
{
    const struct config_trust *t = &k->feed->trust;
    struct fetch_req req = {
        .method = SPAN("GET"),
        .url = k->feed->jwks_url,
        .headers = {{SPAN("Accept"), SPAN("application/jwk-set+json, "
                                          "application/json")},
                    {SPAN("If-None-Match"), buf_span(&k->etag)}},
        .header_count = k->etag.n > 0 && k->keys != NULL ? 2 : 1,
        .timeout_ms = JWKS_TIMEOUT_MS,
        .body_bytes_max = JWS_KEYSET_BYTES_MAX,
        .allow_http = t->allow_http,
        .ca_file = t->ca_file,
        .cert_file = t->cert_file,
        .key_file = t->key_file,
    };
    k->state = FETCHING;
    return fetch_start(k->j->conf.fetch, &req, on_fetched, k, &k->call, f);
}

static struct span file_of(const struct config_feed *feed)
{
    return feed->pem_file.n > 0 ? feed->pem_file : feed->jwks_file;
}

static int read_keys(struct jwks_feed *k, struct fail *f)
{
    struct arena a;
    struct span body;
    arena_init(&a, mem_system(), 2 * JWS_KEYSET_BYTES_MAX);
    k->fresh_ms = JWKS_FILE_MS;
    int rc = config_read_file(&a.mem, file_of(k->feed), JWS_KEYSET_BYTES_MAX,
                              false, &body, f);
    if (rc == 0)
        rc = parse_later(k, body, f);
    arena_fini(&a);
    return rc;
}

static void load(struct jwks_feed *k)
{
    struct fail f;
    k->stats.loads++;
    int rc = k->feed->jwks_url.n > 0 ? fetch_keys(k, &f) : read_keys(k, &f);
    if (rc < 0)
        failed(k, &f);
}

static void on_timer(uv_timer_t *t)
{
    struct jwks_feed *k = t->data;
    must(k->state == IDLE || k->state == DUE);
    load(k);
}

/* At start a file with errors is an error of the configuration. */
static int load_file_now(struct jwks_feed *k, struct fail *f)
{
    struct arena a;
    struct span body;
    arena_init(&a, mem_system(), 2 * JWS_KEYSET_BYTES_MAX);
    int rc = config_read_file(&a.mem, file_of(k->feed), JWS_KEYSET_BYTES_MAX,
                              false, &body, f);
    if (rc == 0) {
        rc = parse(k->feed, body, &k->parsed, &k->skipped, f);
        if (rc < 0)
            rc = fail_wrap(f, "%.*s", PRSPAN(file_of(k->feed)));
    }
    arena_fini(&a);
    if (rc < 0)
        return rc;
    adopt(k);
    k->fresh_ms = JWKS_FILE_MS;
    loaded(k);
    return 0;
}

/* --- life --- */

static void on_handle_closed(uv_handle_t *handle);

static void feed_free(struct jwks_feed *k)
{
    jws_keys_unref(k->keys);
    jws_keys_unref(k->parsed);
    buf_fini(&k->etag);
    buf_fini(&k->new_etag);
    list_remove(&k->link);
    mem_release(mem_system(), k);
}

int jwks_add(struct jwks *j, const struct config_feed *feed, unsigned lane,
             struct jwks_feed **ret, struct fail *f)
{
    struct jwks_feed *k = mem_alloc(mem_system(), sizeof *k);
    if (k == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for keys");
    k->j = j;
    k->feed = feed;
    k->lane = lane;
    k->loaded_ms = k->started_ms = -1;
    list_init(&k->wants);
    buf_init(&k->etag, mem_system(), ETAG_MAX);
    buf_init(&k->new_etag, mem_system(), ETAG_MAX);
    must(uv_timer_init(j->loop, &k->timer) == 0);
    k->timer.data = k;
    list_push(&j->feeds, &k->link);
    j->handles++;
    if (feed->jwks_url.n == 0) {
        int rc = load_file_now(k, f);
        if (rc < 0) {
            close_feed(k);
            return rc;
        }
    } else {
        next_load(k, 0);
    }
    *ret = k;
    return 0;
}

void jwks_stats_get(const struct jwks_feed *k, struct jwks_stats *ret)
{
    *ret = k->stats;
    ret->keys = k->keys == NULL ? 0 : jws_keys_count(k->keys);
    ret->age_ms = k->loaded_ms < 0 ? -1 : now_ms(k->j) - k->loaded_ms;
}

static void release_one(struct jwks *j)
{
    if (--j->handles > 0)
        return;
    void (*closed)(void *ctx) = j->closed;
    void *ctx = j->closed_ctx;
    mem_release(mem_system(), j);
    if (closed != NULL)
        closed(ctx);
}

static void on_feed_closed(uv_handle_t *handle)
{
    struct jwks_feed *k = handle->data;
    struct jwks *j = k->j;
    feed_free(k);
    release_one(j);
}

static void close_feed(struct jwks_feed *k)
{
    if (!uv_is_closing((uv_handle_t *)&k->timer))
        uv_close((uv_handle_t *)&k->timer, on_feed_closed);
}

static void on_last_timer(uv_timer_t *t)
{
    on_answer_timer(t);
    uv_close((uv_handle_t *)t, on_handle_closed);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct jwks *j = handle->data;
    release_one(j);
}

void jwks_close(struct jwks *j, void (*done)(void *ctx), void *ctx)
{
    must(!j->closing);
    j->closing = true;
    j->closed = done;
    j->closed_ctx = ctx;
    LIST_EACH (it, next, &j->feeds) {
        struct jwks_feed *k = container_of(it, struct jwks_feed, link);
        answer_wants(k, RC_CANCELLED);
        uv_timer_stop(&k->timer);
        if (k->call != NULL)
            fetch_cancel(k->call); /* closes in failed() */
        else if (k->state != PARSING)
            close_feed(k);
    }
    uv_timer_start(&j->timer, on_last_timer, 0, 0);
}

int jwks_new(uv_loop_t *loop, const struct jwks_conf *conf, struct jwks **ret,
             struct fail *f)
{
    struct jwks *j = mem_alloc(mem_system(), sizeof *j);
    if (j == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for keys");
    j->loop = loop;
    j->conf = *conf;
    j->random = conf->seed;
    j->seed = (struct hash_key){conf->seed, ~conf->seed};
    list_init(&j->feeds);
    list_init(&j->answered);
    must(uv_timer_init(loop, &j->timer) == 0);
    j->timer.data = j;
    j->handles = 1;
    *ret = j;
    return 0;
}
