// SPDX-License-Identifier: Apache-2.0
/*
 * Security events from bytes to the engine. The loop refuses what is cheap to
 * refuse, a worker verifies and parses, and back on the loop the event goes
 * into the engine in arrival order per feed. The sender is answered when the
 * engine says that the event is durable.
 */
#include "sidecar/run/app.h"

#include <stdio.h>
#include <string.h>

#include "sidecar/base/json_out.h"
#include "sidecar/base/log.h"

#define INTAKE_ARENA_BYTES (16 * 1024 * 1024)

/* One token on its way. */
struct intake {
    struct work_item work;
    struct jwks_want want;
    struct app_feed *feed;
    struct waiter *waiter;
    struct jws_keys *keys;
    struct arena arena;
    struct span token;
    int64_t wall_ms;
    bool asked_keys; /* the one JWKS refresh has happened */
    /* result */
    int rc;
    struct set_result result;
    struct fail fail;
};

static void intake_free(struct intake *t)
{
    jws_keys_unref(t->keys);
    arena_fini(&t->arena);
    mem_release(mem_system(), t);
}

/* --------------------------------------------------------------- answers */

static void reply_empty(struct http_req *r, unsigned status)
{
    if (r == NULL)
        return; /* sent away by intake_blocked */
    http_reply(r, status, NULL, 0, SPAN(""));
}

static void reply_busy(struct http_req *r)
{
    if (r == NULL)
        return; /* sent away by intake_blocked */
    const struct http_header h[] = {{"retry-after", SPAN("1")}};
    http_reply(r, 503, h, 1, SPAN(""));
}

/* RFC 8935 2.3: 400, a JSON object, a Content-Language. */
static void reply_error(struct http_req *r, enum set_err err, const char *text)
{
    const struct http_header h[] = {{"content-type", SPAN("application/json")},
                                    {"content-language", SPAN("en")},
                                    {"cache-control", SPAN("no-store")}};
    struct buf body;
    struct json_out j;
    buf_init(&body, mem_system(), 4096);
    json_out_init(&j, &body);
    json_open_map(&j, NULL);
    json_str(&j, "err", set_err_word(err));
    json_str(&j, "description", text);
    json_close_map(&j);
    if (r != NULL)
        http_reply(r, 400, h, 3, buf_ok(&body) ? buf_span(&body) : SPAN("{}"));
    buf_fini(&body);
}

static void answer_refused(struct waiter *w, enum set_err err, const char *text)
{
    if (w->kind == WAIT_PUSH)
        reply_error(w->req, err, text);
    else if (w->feed->poller != NULL) /* NULL: stopping */
        ignore_rc(poller_reject(w->feed->poller, span_of(w->text, w->text_n),
                                span_str(set_err_word(err)),
                                span_str(text))); /* else it comes again */
    waiter_free(w);
}

/* Not accepted and not refused: the sender tries again. */
static void answer_later(struct waiter *w)
{
    if (w->kind == WAIT_PUSH)
        reply_busy(w->req);
    waiter_free(w); /* an unanswered poll SET comes again */
}

void intake_blocked(struct waiter *w)
{
    reply_busy(w->req);
    w->req = NULL;
}

void intake_acked(struct app *a, struct waiter *w)
{
    (void)a;
    if (w->kind == WAIT_PUSH)
        reply_empty(w->req, 202);
    else if (w->feed->poller != NULL) /* NULL: stopping */
        ignore_rc(poller_ack(w->feed->poller,
                             span_of(w->text, w->text_n))); /* as above */
    waiter_free(w);
}

/* ---------------------------------------------------------- verification */

static void on_run(struct work_item *item)
{
    struct intake *t = container_of(item, struct intake, work);
    t->rc = set_accept(&t->arena.mem, &t->feed->rules, t->keys, t->token,
                       t->wall_ms, &t->result, &t->fail);
}

static void feed_refused(struct intake *t)
{
    struct in in = {.kind = IN_FEED};
    in.feed.feed = t->feed->index;
    in.feed.sign = FEED_REFUSED;
    in.feed.err = span_str(set_err_word(t->result.err));
    in.feed.description = span_str(t->fail.text);
    ignore_rc(app_step(t->feed->app, &in)); /* a record, not a decision */
}

static void submit(struct intake *t);

static void on_keys_over(struct jwks_want *want, int rc)
{
    struct intake *t = container_of(want, struct intake, want);
    if (rc < 0) { /* key trouble is ours, never the sender's (8725-R22) */
        answer_later(t->waiter);
        intake_free(t);
        return;
    }
    submit(t);
}

static struct span kid_of(struct intake *t)
{
    const struct doc *header, *payload;
    if (jws_decode_unverified(&t->arena.mem, t->token, &header, &payload,
                              NULL) < 0)
        return SPAN("");
    return doc_text(header, SPAN("kid"));
}

static void accepted(struct intake *t)
{
    struct in in = {.kind = IN_EVENT};
    struct waiter *w = t->waiter;
    struct span outer = span_of(w->text, w->text_n);
    if (w->kind == WAIT_POLL && !span_eq(outer, t->result.event.jti)) {
        t->result.err = SET_INVALID_REQUEST; /* 8936-R11 */
        (void)fail(&t->fail, RC_PROTOCOL,
                   "the name in the poll answer is not the token's jti");
        feed_refused(t);
        answer_refused(w, t->result.err, t->fail.text);
        return;
    }
    in.event.token = waiter_token(w);
    in.event.event = &t->result.event;
    if (app_step(t->feed->app, &in) < 0)
        answer_later(w);
}

static void refused(struct intake *t)
{
    if (t->result.err == SET_OK) { /* memory or limits of ours */
        answer_later(t->waiter);
        return;
    }
    if (t->result.dirty) {
        struct in in = {.kind = IN_EVENT_DIRTY};
        in.event.event = &t->result.event;
        if (app_step(t->feed->app, &in) < 0) {
            answer_later(t->waiter); /* refused, it would not come again */
            return;
        }
    }
    feed_refused(t);
    answer_refused(t->waiter, t->result.err, t->fail.text);
}

static void on_done(struct work_item *item)
{
    struct intake *t = container_of(item, struct intake, work);
    if (t->feed->app->jwks == NULL) { /* stopping: too late to judge */
        answer_later(t->waiter);
        intake_free(t);
        return;
    }
    if (t->rc < 0 && t->result.why == JWS_NO_KEY && !t->asked_keys) {
        t->asked_keys = true;
        jwks_want(t->feed->keys, kid_of(t), &t->want);
        return;
    }
    if (t->rc < 0)
        refused(t);
    else
        accepted(t);
    intake_free(t);
}

static void submit(struct intake *t)
{
    jws_keys_unref(t->keys);
    t->keys = jwks_current(t->feed->keys);
    if (t->keys == NULL || work_submit(t->feed->app->work, &t->work) < 0) {
        t->feed->app->push_stats.refused_busy++;
        answer_later(t->waiter);
        intake_free(t);
    }
}

static struct intake *intake_new(struct app_feed *feed, struct waiter *w,
                                 struct span token)
{
    struct in now = {.kind = IN_TICK};
    struct intake *t = mem_alloc(mem_system(), sizeof *t);
    if (t == NULL)
        return NULL;
    app_now(&now);
    arena_init(&t->arena, mem_system(), INTAKE_ARENA_BYTES);
    t->work =
        (struct work_item){.run = on_run, .done = on_done, .lane = feed->index};
    t->want = (struct jwks_want){.over = on_keys_over};
    t->feed = feed;
    t->waiter = w;
    t->wall_ms = now.wall_ms;
    t->token = span_of(mem_copy(&t->arena.mem, token), token.n);
    if (t->token.p == NULL) {
        intake_free(t);
        return NULL;
    }
    return t;
}

static void begin(struct app_feed *feed, struct waiter *w, struct span token)
{
    struct intake *t = intake_new(feed, w, token);
    if (t == NULL)
        answer_later(w);
    else
        submit(t);
}

/* ------------------------------------------------------------------ push */

static struct app_feed *feed_of_path(struct app *a, struct span path)
{
    for (unsigned i = 0; i < a->config->feed_count; i++)
        if (a->config->feeds[i].push_path.n > 0 &&
            span_eq(a->config->feeds[i].push_path, path))
            return &a->feeds[i];
    return NULL;
}

static bool cert_ok(const struct config_feed *f, const struct peer *p)
{
    char hex[65];
    if (!p->has_cert)
        return false;
    for (size_t i = 0; i < p->cert_sha256.n && i < 32; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", p->cert_sha256.p[i]);
    return (f->push_spiffe_id.n > 0 &&
            span_eq(f->push_spiffe_id, p->spiffe_id)) ||
           (f->push_cert_sha256.n > 0 && p->cert_sha256.n == 32 &&
            span_eq(f->push_cert_sha256, span_of(hex, 64)));
}

/* The sender proves who it is before any signature is looked at (8935 5.4). */
static bool sender_ok(const struct app_feed *feed, const struct http_req *r)
{
    const struct config_feed *f = feed->conf;
    struct span given = http_header(r, SPAN("authorization"));
    struct span prefix = SPAN("Bearer ");
    bool bearer =
        feed->push_secret.n > 0 && given.n > prefix.n &&
        span_ieq(span_sub(given, 0, prefix.n), prefix) &&
        span_eq_secret(span_sub(given, prefix.n, given.n), feed->push_secret);
    bool open = f->push_bearer_file.n == 0 && f->push_spiffe_id.n == 0 &&
                f->push_cert_sha256.n == 0;
    return open || bearer || cert_ok(f, http_peer(r));
}

static bool is_set_type(struct span content_type)
{
    size_t end = span_find(content_type, ';', 0);
    return span_ieq(span_trim(span_sub(content_type, 0, end)),
                    SPAN("application/secevent+jwt"));
}

static bool push_form_ok(struct app *a, struct http_req *r)
{
    const struct http_header allow[] = {{"allow", SPAN("POST")}};
    struct span encoding = http_header(r, SPAN("content-encoding"));
    a->push_stats.refused_form++;
    if (!span_eq(http_method(r), SPAN("POST")))
        http_reply(r, 405, allow, 1, SPAN(""));
    else if (!is_set_type(http_header(r, SPAN("content-type"))) ||
             (encoding.n > 0 && !span_ieq(encoding, SPAN("identity"))))
        reply_empty(r, 415);
    else {
        a->push_stats.refused_form--;
        return true;
    }
    return false;
}

static bool push_admitted(struct app *a, struct app_feed *feed,
                          struct http_req *r)
{
    const struct http_header auth[] = {{"www-authenticate", SPAN("Bearer")}};
    const struct http_header slow[] = {{"retry-after", SPAN("1")}};
    double rate = a->config->limits.push_per_s;
    if (!sender_ok(feed, r)) {
        a->push_stats.refused_auth++;
        http_reply(r, 401, auth, 1, SPAN(""));
        return false;
    }
    if (rate > 0 && !conf_take_token(&feed->tokens, &feed->refilled_ms, rate,
                                     rate, app_boot_ms())) {
        a->push_stats.rate_limited++;
        http_reply(r, 429, slow, 1, SPAN(""));
        return false;
    }
    return true;
}

void intake_push(void *ctx, struct http_req *r)
{
    struct app *a = ctx;
    struct app_feed *feed = feed_of_path(a, http_path(r));
    if (feed == NULL) {
        reply_empty(r, 404);
        return;
    }
    if (!push_admitted(a, feed, r) || !push_form_ok(a, r))
        return;
    struct waiter *w = a->stopping || a->store_state != STORE_OK
                           ? NULL
                           : waiter_new(a, WAIT_PUSH);
    if (w == NULL) {
        a->push_stats.refused_busy++;
        reply_busy(r);
        return;
    }
    w->req = r;
    w->feed = feed;
    begin(feed, w, http_body(r));
}

/* ------------------------------------------------------------------ poll */

void intake_poll_set(void *ctx, struct span outer_jti, struct span token)
{
    struct app_feed *feed = ctx;
    struct app *a = feed->app;
    struct waiter *w = a->stopping || a->store_state != STORE_OK ||
                               outer_jti.n > POLLER_JTI_MAX
                           ? NULL
                           : waiter_new(a, WAIT_POLL);
    if (w == NULL)
        return; /* it comes again */
    w->feed = feed;
    w->text_n = outer_jti.n;
    memcpy(w->text, outer_jti.p, outer_jti.n);
    if (token.p == NULL)
        answer_refused(w, SET_INVALID_REQUEST, "the SET is not a string");
    else
        begin(feed, w, token);
}

void intake_poll_alive(void *ctx, bool caught_up)
{
    struct app_feed *feed = ctx;
    struct in in = {.kind = IN_FEED};
    feed->poll_trouble[0] = 0;
    in.feed.feed = feed->index;
    in.feed.sign = caught_up ? FEED_CAUGHT_UP : FEED_ALIVE;
    ignore_rc(app_step(feed->app, &in)); /* a notice */
}

void intake_poll_trouble(void *ctx, const struct fail *f, int64_t retry_ms)
{
    struct app_feed *feed = ctx;
    (void)snprintf(feed->poll_trouble, sizeof feed->poll_trouble, "poll: %s",
                   f->text);
    log_warn(LOG_POLL, "poll_failed", kv_span("feed", feed->conf->name),
             kv_why(f), kv_i64("retry_ms", retry_ms));
}
