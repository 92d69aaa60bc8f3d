// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/check.h"

#include <string.h>

#include "adapters/json_doc.h"
#include "adapters/sources/poll.h"
#include "sidecar/io/poller.h"
#include "tests/lib/responder.h"

#define QUEUE_MAX 600
#define LATER_MAX 64

/* A transmitter that keeps SETs until they are acknowledged, and misbehaves on
 * request. */
struct world {
    uv_loop_t loop;
    struct fetch *fetch;
    struct oauth *oauth;
    struct poller *poller;
    struct config_feed feed;
    struct responder *peer;
    uv_timer_t alarm;
    uint64_t alarm_ms;
    bool rang;

    char queue[QUEUE_MAX][24]; /* jtis not acknowledged */
    unsigned queued;
    struct responder_conn *hanging;
    unsigned polls, ack_requests, batch_max;
    char last_err[64], last_err_jti[24];
    uint64_t ack_ms; /* when the last ack or error arrived */
    char target[128], language[16];
    bool forget_acks; /* F23: sends the same again and again */
    bool always_more; /* moreAvailable without end */
    bool never_hangs; /* a transmitter without long polls */
    const char *raw;  /* sent instead of an answer, `raw_times` times */
    unsigned raw_times;

    bool hold;  /* the owner does not answer */
    bool later; /* the owner answers from a timer */
    char waiting[LATER_MAX][24];
    unsigned waiting_n;
    uv_timer_t owner;
    unsigned sets, alive, caught_up, trouble;
    int64_t last_retry_ms;
    int trouble_rc;
    bool closed;
};

static void send_answer(struct world *w, struct responder_conn *c, unsigned max)
{
    struct buf b;
    buf_init(&b, mem_system(), 1024 * 1024);
    unsigned n = w->queued < max ? w->queued : max;
    buf_put_str(&b, "{\"sets\":{");
    for (unsigned i = 0; i < n; i++)
        buf_printf(&b, "%s\"%s\":\"t-%s\"", i > 0 ? "," : "", w->queue[i],
                   w->queue[i]);
    buf_printf(
        &b, "}%s}",
        w->always_more || w->queued > n ? ",\"moreAvailable\":true" : "");
    responder_reply(c, 200, "Content-Type: application/json\r\n", buf_span(&b));
    buf_fini(&b);
}

static void forget(struct world *w, struct span jti)
{
    w->ack_ms = uv_now(&w->loop);
    for (unsigned i = 0; i < w->queued && !w->forget_acks; i++)
        if (span_eq(span_str(w->queue[i]), jti)) {
            memmove(w->queue[i], w->queue[i + 1],
                    sizeof w->queue[0] * (w->queued - i - 1));
            w->queued--;
            return;
        }
}

static void take_acks(struct world *w, const struct doc *d)
{
    DOC_EACH (it, doc_get(d, SPAN("ack")))
        forget(w, it->text);
    DOC_EACH (it, doc_get(d, SPAN("setErrs"))) {
        (void)snprintf(w->last_err, sizeof w->last_err, "%.*s",
                       PRSPAN(doc_text(it, SPAN("err"))));
        (void)snprintf(w->last_err_jti, sizeof w->last_err_jti, "%.*s",
                       PRSPAN(it->key));
        forget(w, it->key);
    }
}

static void transmitter(void *ctx, const struct responder_req *r,
                        struct responder_conn *c)
{
    struct world *w = ctx;
    struct arena a;
    struct fail f;
    const struct doc *d;
    (void)snprintf(w->target, sizeof w->target, "%.*s", PRSPAN(r->target));
    (void)snprintf(w->language, sizeof w->language, "%.*s",
                   PRSPAN(responder_header(r, "content-language")));
    if (w->raw_times > 0) {
        w->raw_times--;
        responder_send(c, span_str(w->raw));
        if (strstr(w->raw, "Content-Length") == NULL)
            responder_hang_up(c);
        return;
    }
    arena_init(&a, mem_system(), 4 * 1024 * 1024);
    CHECK_OK(json_doc_parse(&a.mem, r->body, 1024 * 1024, &d, &f), &f);
    take_acks(w, d);
    unsigned max = (unsigned)doc_get(d, SPAN("maxEvents"))->integer;
    bool now = doc_get(d, SPAN("returnImmediately"))->truth;
    arena_fini(&a);
    if (max == 0) {
        CHECK(now); /* 8936-R7 */
        w->ack_requests++;
        send_answer(w, c, 0);
        return;
    }
    w->polls++;
    if (now || w->queued > 0 || w->always_more || w->never_hangs)
        send_answer(w, c, w->batch_max > 0 ? w->batch_max : max);
    else
        w->hanging = c;
}

static void push(struct world *w, const char *jti)
{
    (void)snprintf(w->queue[w->queued++], sizeof w->queue[0], "%s", jti);
    if (w->hanging != NULL) {
        struct responder_conn *c = w->hanging;
        w->hanging = NULL;
        send_answer(w, c, 100);
    }
}

static void answer(struct world *w, struct span jti)
{
    if (span_starts(jti, SPAN("bad")))
        CHECK_OK(poller_reject(w->poller, jti, SPAN("invalid_key"),
                               SPAN("no such key")),
                 NULL);
    else
        CHECK_OK(poller_ack(w->poller, jti), NULL);
}

static void on_owner(uv_timer_t *t)
{
    struct world *w = t->data;
    while (w->waiting_n > 0)
        answer(w, span_str(w->waiting[--w->waiting_n]));
}

static void on_set(void *ctx, struct span jti, struct span token)
{
    struct world *w = ctx;
    CHECK(span_starts(token, SPAN("t-")));
    CHECK_SPAN(span_sub(token, 2, token.n), jti);
    w->sets++;
    if (w->hold)
        return;
    if (!w->later) {
        answer(w, jti);
        return;
    }
    CHECK(w->waiting_n < LATER_MAX);
    (void)snprintf(w->waiting[w->waiting_n++], 24, "%.*s", PRSPAN(jti));
    uv_timer_start(&w->owner, on_owner, 30, 0);
}

static void on_alive(void *ctx, bool caught_up)
{
    struct world *w = ctx;
    w->alive++;
    w->caught_up += caught_up;
}

static void on_trouble(void *ctx, const struct fail *f, int64_t retry_ms)
{
    struct world *w = ctx;
    w->trouble++;
    w->trouble_rc = f->rc;
    w->last_retry_ms = retry_ms;
}

/* Ticks, because UV_RUN_ONCE may sleep after the timer that was waited for. */
static void on_alarm(uv_timer_t *t)
{
    struct world *w = t->data;
    w->rang = uv_now(&w->loop) >= w->alarm_ms;
}

static void set_alarm(struct world *w, uint64_t ms)
{
    w->rang = false;
    uv_update_time(&w->loop);
    w->alarm_ms = uv_now(&w->loop) + ms;
    uv_timer_start(&w->alarm, on_alarm, 2, 2);
}

/* Runs the loop for a while. */
static void run_for(struct world *w, uint64_t ms)
{
    set_alarm(w, ms);
    while (!w->rang)
        uv_run(&w->loop, UV_RUN_ONCE);
}

/* Runs until the condition holds; fails after a minute. */
#define RUN_UNTIL(w, cond)                                                     \
    do {                                                                       \
        set_alarm((w), 60000);                                                 \
        while (!(cond) && !(w)->rang)                                          \
            uv_run(&(w)->loop, UV_RUN_ONCE);                                   \
        CHECK(cond);                                                           \
    } while (0)

static char url_text[128];

static void world_init(struct world *w)
{
    struct fail f;
    memset(w, 0, sizeof *w);
    CHECK_INT(uv_loop_init(&w->loop), 0);
    CHECK_OK(fetch_new(&w->loop, &w->fetch, &f), &f);
    CHECK_OK(oauth_new(&w->loop, w->fetch, &w->oauth, &f), &f);
    w->peer = responder_open(&w->loop, transmitter, w);
    (void)snprintf(url_text, sizeof url_text, "%s/poll?stream=7",
                   responder_url(w->peer));
    w->feed.poll_url = span_str(url_text);
    w->feed.trust.allow_http = true;
    uv_timer_init(&w->loop, &w->alarm);
    uv_timer_init(&w->loop, &w->owner);
    w->alarm.data = w->owner.data = w;
}

static void open_poller(struct world *w)
{
    struct fail f;
    struct poller_conf conf = {.feed = &w->feed,
                               .fetch = w->fetch,
                               .oauth = w->oauth,
                               .seed = 42,
                               .ctx = w,
                               .on_set = on_set,
                               .on_alive = on_alive,
                               .on_trouble = on_trouble};
    CHECK_OK(poller_open(&w->loop, &conf, &w->poller, &f), &f);
}

static void on_fetch_closed(void *ctx)
{
    struct world *w = ctx;
    w->closed = true;
    responder_close(w->peer);
    uv_close((uv_handle_t *)&w->alarm, NULL);
    uv_close((uv_handle_t *)&w->owner, NULL);
}

static void on_oauth_closed(void *ctx)
{
    struct world *w = ctx;
    fetch_close(w->fetch, on_fetch_closed, w);
}

static void on_poller_closed(void *ctx)
{
    struct world *w = ctx;
    oauth_close(w->oauth, on_oauth_closed, w);
}

static void world_close(struct world *w)
{
    uv_timer_stop(&w->owner);
    poller_close(w->poller, on_poller_closed, w);
    CHECK(!w->closed);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    CHECK(w->closed);
    CHECK_INT(uv_loop_close(&w->loop), 0);
}

/* What a busy machine may be late with, it is in time with once in so often. */
#define TRIES 100

/* The first poll does not hang, so that "caught up" is known at once; then one
 * long poll hangs; the answer to a SET leaves within 50 ms. */
static void long_poll(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    open_poller(&w);
    RUN_UNTIL(&w, w.hanging != NULL);
    CHECK_INT(w.alive, 1);
    CHECK_INT(w.caught_up, 1);
    CHECK_STR(w.target, "/poll?stream=7");
    unsigned tries = 0;
    for (uint64_t took = UINT64_MAX; took > 50; tries++) {
        CHECK(tries < TRIES);
        push(&w, "a1");
        uint64_t start = uv_now(&w.loop);
        RUN_UNTIL(&w, w.queued == 0);
        took = w.ack_ms - start;
        RUN_UNTIL(&w, w.hanging != NULL);
    }
    push(&w, "bad1");
    RUN_UNTIL(&w, w.last_err[0] != 0);
    CHECK_STR(w.last_err, "invalid_key");
    CHECK_STR(w.last_err_jti, "bad1");
    CHECK_STR(w.language, "en"); /* 8936-R5 */
    CHECK_UINT(w.sets, tries + 1);
    run_for(&w, 100);
    CHECK_UINT(w.polls, tries + 3); /* immediate, a1, bad1, hanging: no more */
    CHECK_INT(w.ack_requests, 0);
    world_close(&w);
}

/* The owner answers when it is durable; until then nothing is acknowledged;
 * a late answer leaves beside the hanging poll. */
static void late_answers(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    w.hold = true;
    open_poller(&w);
    RUN_UNTIL(&w, w.hanging != NULL);
    push(&w, "a1");
    run_for(&w, 300);
    CHECK_INT(w.sets, 1);
    CHECK_INT(w.queued, 1);
    CHECK_INT(w.polls, 2); /* does not poll over an unanswered batch */
    CHECK_OK(poller_ack(w.poller, SPAN("a1")), NULL);
    RUN_UNTIL(&w, w.hanging != NULL);
    CHECK_INT(w.queued, 0);
    unsigned tries = 0;
    for (uint64_t took = UINT64_MAX; took > 50; tries++) {
        CHECK(tries < TRIES);
        uint64_t start = uv_now(&w.loop);
        CHECK_OK(poller_ack(w.poller, SPAN("old")), NULL); /* poll hangs */
        RUN_UNTIL(&w, w.ack_requests == tries + 1);
        took = w.ack_ms - start;
        CHECK(w.hanging != NULL);
    }
    world_close(&w);
}

/* Never answered: it comes again, with backoff (8936: use deliberately when
 * the store is full). */
static void unanswered_come_again(void **state)
{
    (void)state;
    struct world w;
    struct poller_stats s;
    world_init(&w);
    w.hold = true;
    push(&w, "a1");
    open_poller(&w);
    RUN_UNTIL(&w, w.sets == 2);
    poller_stats_get(w.poller, &s);
    CHECK(s.no_progress >= 1);
    w.hold = false;
    RUN_UNTIL(&w, w.queued == 0);
    world_close(&w);
}

static void many_in_batches(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    for (unsigned i = 0; i < 500; i++)
        (void)snprintf(w.queue[i], sizeof w.queue[0], "j%u", i);
    w.queued = 500;
    w.batch_max = 60;
    w.later = true;
    open_poller(&w);
    RUN_UNTIL(&w, w.hanging != NULL);
    CHECK_INT(w.sets, 500);
    CHECK_INT(w.queued, 0);
    CHECK_INT(w.caught_up >= 1, 1);
    world_close(&w);
}

/* 8936-R9: more than maxEvents. */
static void more_than_asked(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    for (unsigned i = 0; i < 500; i++)
        (void)snprintf(w.queue[i], sizeof w.queue[0], "j%u", i);
    w.queued = 500;
    w.batch_max = 500;
    w.feed.poll_max_events = 10;
    open_poller(&w);
    RUN_UNTIL(&w, w.hanging != NULL);
    CHECK_INT(w.sets, 500);
    CHECK_INT(w.queued, 0);
    world_close(&w);
}

/* F23: the same batch for ever; moreAvailable for ever; empty answers. */
static void endless_loops(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 3; kind++) {
        struct world w;
        struct poller_stats s;
        world_init(&w);
        w.forget_acks = kind == 0;
        w.always_more = kind == 1;
        w.never_hangs = kind == 2;
        if (kind == 0)
            push(&w, "same");
        open_poller(&w);
        RUN_UNTIL(&w, w.polls >= 2);
        run_for(&w, 1500);
        poller_stats_get(w.poller, &s);
        if (w.polls > 8)
            print_message("kind %u: %u polls\n", kind, w.polls);
        CHECK(w.polls <= 8);
        CHECK(w.polls >= 2);
        CHECK(kind == 2 || s.no_progress > 0);
        if (kind == 1)
            CHECK_INT(w.caught_up, 0);
        world_close(&w);
    }
}

/* Every failure is reported, backed off from, and survived; acknowledgements
 * that were on the lost request go again. */
static void failures(void **state)
{
    (void)state;
    static const struct {
        const char *name, *raw;
        int rc;
        int64_t retry_min, retry_max;
    } rows[] = {
        {"redirect (8936-R17)",
         "HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:1/\r\n"
         "Content-Length: 0\r\n\r\n",
         RC_PROTOCOL, 500, 1000},
        {"503 with Retry-After",
         "HTTP/1.1 503 X\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
         RC_UNAVAILABLE, 1000, 1000},
        {"403", "HTTP/1.1 403 X\r\nContent-Length: 0\r\n\r\n", RC_REFUSED, 500,
         1000},
        {"401", "HTTP/1.1 401 X\r\nContent-Length: 0\r\n\r\n", RC_REFUSED, 500,
         1000},
        {"garbage", "HTTP/1.1 200 X\r\nContent-Length: 4\r\n\r\n{{{{",
         RC_SYNTAX, 500, 1000},
        {"HTML", "HTTP/1.1 200 X\r\nContent-Length: 6\r\n\r\n<html>", RC_SYNTAX,
         500, 1000},
        {"no sets", "HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\n{}",
         RC_PROTOCOL, 500, 1000},
        {"gzip",
         "HTTP/1.1 200 X\r\nContent-Encoding: gzip\r\n"
         "Content-Length: 0\r\n\r\n",
         RC_PROTOCOL, 500, 1000},
        {"hangs up", "HTTP/1.1 200 X\r\n", RC_UNAVAILABLE, 500, 1000},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world w;
        check_row(rows[i].name);
        world_init(&w);
        w.later = true;
        push(&w, "a1");
        open_poller(&w);
        RUN_UNTIL(&w, w.sets == 1);
        w.raw = rows[i].raw; /* the poll that carries the ack fails */
        w.raw_times = rows[i].rc == RC_REFUSED ? 2 : 1;
        RUN_UNTIL(&w, w.trouble > 0);
        CHECK_INT(w.trouble_rc, rows[i].rc);
        CHECK(w.last_retry_ms >= rows[i].retry_min);
        CHECK(w.last_retry_ms <= rows[i].retry_max);
        w.raw_times = 0;
        RUN_UNTIL(&w, w.queued == 0);
        RUN_UNTIL(&w, w.hanging != NULL);
        world_close(&w);
    }
    check_row(NULL);
}

/* The last answers leave while closing. */
static void close_flushes(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    open_poller(&w);
    RUN_UNTIL(&w, w.hanging != NULL);
    w.hold = true;
    push(&w, "a1");
    RUN_UNTIL(&w, w.sets == 1);
    CHECK_OK(poller_ack(w.poller, SPAN("a1")), NULL);
    world_close(&w);
    CHECK_INT(w.queued, 0);
    CHECK_INT(w.ack_requests, 1);
}

static void bodies(void **state)
{
    (void)state;
    struct buf b;
    struct fail f;
    struct span acks[] = {SPAN("a\"1"), SPAN("2")};
    struct poll_err errs[] = {{SPAN("x"), SPAN("invalid_key"), SPAN("no")},
                              {SPAN("y"), SPAN("invalid_key"), SPAN("no")}};
    struct poll_request r = {acks, 2, errs, 2, 5, false};
    buf_init(&b, mem_system(), 4096);
    poll_request_write(&r, &b);
    CHECK_SPAN(buf_span(&b),
               SPAN("{\"maxEvents\":5,\"returnImmediately\":false,"
                    "\"ack\":[\"a\\\"1\",\"2\"],\"setErrs\":{"
                    "\"x\":{\"err\":\"invalid_key\",\"description\":\"no\"},"
                    "\"y\":{\"err\":\"invalid_key\",\"description\":\"no\"}"
                    "}}"));
    buf_fini(&b);
    static const struct {
        const char *text;
        int rc;
        unsigned sets;
        bool more;
    } rows[] = {
        {"{\"sets\":{}}", 0, 0, false}, /* 8936-R8 */
        {"{\"sets\":{\"a\":\"b\"},\"moreAvailable\":true}", 0, 1, true},
        {"{\"sets\":{\"a\":1},\"x\":[]}", 0, 1, false},
        {"{\"sets\":[]}", RC_PROTOCOL, 0, false},
        {"{\"moreAvailable\":false}", RC_PROTOCOL, 0, false},
        {"{\"sets\":{},\"moreAvailable\":\"true\"}", RC_PROTOCOL, 0, false},
        {"{\"sets\":{\"a\":\"b\",\"a\":\"c\"}}", RC_SYNTAX, 0, false},
        {"[]", RC_PROTOCOL, 0, false},
        {"", RC_SYNTAX, 0, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a;
        struct poll_answer got;
        check_row(rows[i].text);
        arena_init(&a, mem_system(), 1024 * 1024);
        CHECK_INT(poll_answer_parse(&a.mem, span_str(rows[i].text), &got, &f),
                  rows[i].rc);
        if (rows[i].rc == 0) {
            CHECK_UINT(got.set_count, rows[i].sets);
            CHECK_INT(got.more, rows[i].more);
        }
        arena_fini(&a);
    }
    check_row(NULL);
}

/* One more than POLL_SETS_MAX: the rest is left for the next poll. */
static void too_many_sets(void **state)
{
    (void)state;
    struct buf b;
    struct arena a;
    struct fail f;
    struct poll_answer got;
    buf_init(&b, mem_system(), 1024 * 1024);
    arena_init(&a, mem_system(), 16 * 1024 * 1024);
    buf_put_str(&b, "{\"sets\":{");
    for (unsigned i = 0; i <= POLL_SETS_MAX; i++)
        buf_printf(&b, "%s\"%u\":\"t\"", i > 0 ? "," : "", i);
    buf_put_str(&b, "}}");
    CHECK_OK(poll_answer_parse(&a.mem, buf_span(&b), &got, &f), &f);
    CHECK_UINT(got.set_count, POLL_SETS_MAX);
    CHECK(got.more && got.truncated);
    arena_fini(&a);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies),
        cmocka_unit_test(too_many_sets),
        cmocka_unit_test(long_poll),
        cmocka_unit_test(late_answers),
        cmocka_unit_test(unanswered_come_again),
        cmocka_unit_test(many_in_batches),
        cmocka_unit_test(more_than_asked),
        cmocka_unit_test(endless_loops),
        cmocka_unit_test(failures),
        cmocka_unit_test(close_flushes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
