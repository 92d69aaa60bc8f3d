// SPDX-License-Identifier: Apache-2.0
/*
 *             .------------------- backoff, idle --------------------.
 *             v                                                      |
 *   PAUSE --timer--> AUTH --header--> POLLING --200--> SETTLING --> PAUSE
 *             ^        ^                 |      all answered, or 1 s
 *             |        '--- first 401 ---|
 *             '------- any failure ------'
 *
 * and beside it, for answers that would wait for a hanging long poll:
 *
 *   ACK_IDLE --answer--> ACK_WAIT --20 ms--> ACK_AUTH --> ACK_SENDING
 *      ^--------------------------------------------------------'
 *
 * PAUSE, AUTH, POLLING and SETTLING all suspend. A poll after a failure or
 * after "more" asks to be answered at once, so that "caught up" is known soon;
 * the others hang.
 */
#include "sidecar/io/poller.h"

#include <time.h>

#include "sidecar/io/poller_sets.h"

#define POLL_WAIT_DEFAULT_MS 30000
#define POLL_SLACK_MS 15000
#define ACK_TIMEOUT_MS 15000
#define EVENTS_DEFAULT 100
#define REQUEST_BYTES_MAX (1024 * 1024)
#define EARLY_EMPTY_MAX 3 /* answers that may come back empty at once */

enum state { PAUSE, AUTH, POLLING, SETTLING, CLOSING };
enum ack_state { ACK_IDLE, ACK_WAIT, ACK_AUTH, ACK_SENDING };

struct poller {
    uv_loop_t *loop;
    struct poller_conf conf;
    struct poller_sets sets;
    uint64_t random;
    struct poller_stats stats;
    uv_timer_t timer, ack_timer;
    unsigned handles;

    enum state state;
    struct oauth_want want;
    struct fetch_call *call;
    bool retried;    /* after a 401 */
    bool caught_up;  /* the last answer had nothing more */
    bool immediate;  /* what the poll in flight asked for */
    bool unsettled;  /* the owner left sets of the batch unanswered */
    bool progress;   /* the batch had a jti not seen before */
    bool batch;      /* the last answer had sets, or promised more */
    unsigned stalls; /* polls in a row without progress */
    unsigned failures, early_empty;
    int64_t polled_ms;

    enum ack_state ack_state;
    struct oauth_want ack_want;
    struct fetch_call *ack_call;
    bool ack_retried;
    unsigned ack_failures;
    int64_t ack_not_before_ms;

    bool last_tried; /* closing: the final acknowledgement */
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static int64_t now_ms(const struct poller *p)
{
    return (int64_t)uv_now(p->loop);
}

static int64_t wall_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* splitmix64 (Steele, Lea, Flood 2014): jitter needs no more */
static uint64_t random_next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* 1 s, 2 s, 4 s ... 60 s, each between half and all of it. */
static int64_t backoff_ms(struct poller *p, unsigned step)
{
    int64_t ms = POLLER_BACKOFF_MS;
    for (; step > 1 && ms < POLLER_BACKOFF_MAX_MS; step--)
        ms *= 2;
    if (ms > POLLER_BACKOFF_MAX_MS)
        ms = POLLER_BACKOFF_MAX_MS;
    return ms / 2 + (int64_t)(random_next(&p->random) % (uint64_t)(ms / 2));
}

static void move_on(struct poller *p);
static void ack_kick(struct poller *p);
static void close_run(struct poller *p);

static void on_timer(uv_timer_t *t)
{
    move_on(t->data);
}

static void pause_for(struct poller *p, int64_t ms)
{
    p->state = PAUSE;
    uv_timer_start(&p->timer, on_timer, (uint64_t)ms, 0);
}

/* --- requests --- */

static struct fetch_req request_for(const struct poller *p,
                                    struct span authorization, struct span body,
                                    uint32_t timeout_ms)
{
    const struct config_feed *feed = p->conf.feed;
    struct fetch_req req = {
        .method = SPAN("POST"),
        .url = feed->poll_url, /* as configured, with its query */
        .headers = {{SPAN("Content-Type"), SPAN("application/json")},
                    {SPAN("Accept"), SPAN("application/json")},
                    {SPAN("Content-Language"), SPAN("en")}, /* 8936-R5 */
                    {SPAN("Authorization"), authorization}},
        .header_count = authorization.n > 0 ? 4 : 3,
        .body = body,
        .timeout_ms = timeout_ms,
        .body_bytes_max = POLL_ANSWER_BYTES_MAX,
        .allow_http = feed->trust.allow_http,
        .ca_file = feed->trust.ca_file,
        .cert_file = feed->trust.cert_file,
        .key_file = feed->trust.key_file,
    };
    return req;
}

/* What the transmitter said, when it is not a good answer. */
static int status_fail(unsigned status, struct fail *f)
{
    if (status >= 300 && status < 400) /* 8936-R17 */
        return fail(f, RC_PROTOCOL, "redirect (%u) is not followed", status);
    int rc = status == 429 || status >= 500 ? RC_UNAVAILABLE : RC_REFUSED;
    return fail(f, rc, "the transmitter answered %u", status);
}

static int64_t wait_of(struct fetch_call *c, const struct fetch_result *r,
                       int64_t backoff)
{
    if (r->rc != 0 || (r->status != 429 && r->status != 503))
        return backoff;
    int64_t asked = fetch_retry_after_ms(c, wall_ms());
    if (asked > POLLER_RETRY_AFTER_MAX_MS)
        asked = POLLER_RETRY_AFTER_MAX_MS;
    return asked > backoff ? asked : backoff;
}

static void trouble(struct poller *p, const struct fail *f, int64_t retry_ms)
{
    p->stats.failures++;
    if (p->conf.on_trouble != NULL && p->state != CLOSING)
        p->conf.on_trouble(p->conf.ctx, f, retry_ms);
}

static void poll_failed(struct poller *p, const struct fail *f, int64_t wait_ms)
{
    p->caught_up = false;
    pause_for(p, wait_ms);
    trouble(p, f, wait_ms);
}

/* --- one answer --- */

static void hand_over(struct poller *p, const struct poll_set *s)
{
    struct poller_set *x;
    p->progress = poller_sets_is_new(&p->sets, s->jti) || p->progress;
    p->stats.sets++;
    if (poller_sets_find(&p->sets, s->jti) != NULL)
        return; /* the owner or an acknowledgement is at it */
    if (s->jti.n > POLLER_JTI_MAX ||
        poller_sets_add(&p->sets, s->jti, &x) < 0) {
        p->stats.overflows++; /* unanswered: it comes again */
        return;
    }
    if (s->token.p == NULL)
        ignore_rc(poller_reject(p, s->jti, SPAN("invalid_request"),
                                SPAN("the SET is not a string")));
    else
        p->conf.on_set(p->conf.ctx, s->jti, s->token);
}

static void take_answer(struct poller *p, const struct poll_answer *a)
{
    p->stats.answers++;
    p->failures = 0;
    p->progress = false;
    p->batch = a->set_count > 0 || a->more;
    p->caught_up = !a->more;
    p->unsettled = false;
    p->state = SETTLING;
    for (size_t i = 0; i < a->set_count && p->state != CLOSING; i++)
        hand_over(p, &a->sets[i]);
    if (p->state != CLOSING)
        p->conf.on_alive(p->conf.ctx, p->caught_up);
    if (p->state == CLOSING)
        return;
    uv_timer_start(&p->timer, on_timer, POLLER_SETTLE_MS, 0);
    move_on(p);
}

/* Answers that rode on a request that may not have arrived go again. */
static void settle_sent(struct poller *p, enum set_place sent, bool arrived)
{
    if (arrived)
        (void)poller_sets_drop(&p->sets, sent);
    else
        poller_sets_move(&p->sets, sent, PLACE_READY);
}

static int parse_answer(struct poller *p, const struct fetch_result *r,
                        struct fail *f)
{
    struct arena a;
    struct poll_answer answer;
    arena_init(&a, mem_system(), 8 * (size_t)POLL_ANSWER_BYTES_MAX);
    int rc = poll_answer_parse(&a.mem, r->body, &answer, f);
    settle_sent(p, PLACE_SENT_POLL, rc == 0);
    if (rc == 0)
        take_answer(p, &answer);
    arena_fini(&a);
    return rc;
}

static void authorize(struct poller *p)
{
    p->state = AUTH;
    oauth_authorize(p->conf.oauth, &p->want);
}

static void on_polled(void *ctx, struct fetch_call *c,
                      const struct fetch_result *r)
{
    struct poller *p = ctx;
    struct fail f = r->fail;
    bool good = r->rc == 0 && r->status == 200;
    p->call = NULL;
    if (good && p->state != CLOSING && parse_answer(p, r, &f) == 0)
        return;
    settle_sent(p, PLACE_SENT_POLL, false);
    if (p->state == CLOSING) {
        close_run(p);
        return;
    }
    if (r->rc == 0 && r->status == 401) {
        oauth_rejected(p->conf.oauth, &p->conf.feed->poll_auth, p->want.token);
        if (!p->retried) { /* 6749-R7 */
            p->retried = true;
            authorize(p);
            return;
        }
    }
    if (r->rc == 0 && !good)
        (void)status_fail(r->status, &f);
    poll_failed(p, &f, wait_of(c, r, backoff_ms(p, ++p->failures)));
    ack_kick(p);
}

static int poll_send(struct poller *p, struct span authorization,
                     struct fail *f)
{
    const struct config_feed *feed = p->conf.feed;
    struct buf body;
    struct poll_request r = {
        .max_events =
            feed->poll_max_events > 0 ? feed->poll_max_events : EVENTS_DEFAULT,
        .return_immediately = !p->caught_up,
    };
    uint32_t wait_ms =
        feed->poll_wait_ms > 0 ? feed->poll_wait_ms : POLL_WAIT_DEFAULT_MS;
    buf_init(&body, mem_system(), REQUEST_BYTES_MAX);
    poller_sets_write(&p->sets, PLACE_SENT_POLL, POLLER_ANSWERS_MAX, &r, &body);
    struct fetch_req req =
        request_for(p, authorization, buf_span(&body), wait_ms + POLL_SLACK_MS);
    int rc = buf_ok(&body)
                 ? fetch_start(p->conf.fetch, &req, on_polled, p, &p->call, f)
                 : fail(f, RC_NO_MEMORY, "no memory for a poll");
    buf_fini(&body);
    if (rc < 0) {
        settle_sent(p, PLACE_SENT_POLL, false);
        return rc;
    }
    p->immediate = r.return_immediately;
    p->polled_ms = now_ms(p);
    p->stats.polls++;
    p->stats.acks += r.ack_count;
    p->stats.errs += r.err_count;
    return 0;
}

static void on_authorized(struct oauth_want *w, int rc, struct span header,
                          const struct fail *why)
{
    struct poller *p = container_of(w, struct poller, want);
    struct fail f = *why;
    if (rc == 0) {
        p->state = POLLING;
        rc = poll_send(p, header, &f);
    }
    if (rc < 0)
        poll_failed(p, &f, backoff_ms(p, ++p->failures));
    ack_kick(p); /* more answers than one request takes */
}

/* --- when to poll again --- */

/* F23: a transmitter that repeats itself is not asked in a tight loop. */
static int64_t next_poll_ms(struct poller *p)
{
    if (p->unsettled || (p->batch && !p->progress)) {
        p->stats.no_progress++;
        p->early_empty = 0;
        return backoff_ms(p, ++p->stalls);
    }
    p->stalls = 0;
    if (p->batch || p->immediate ||
        now_ms(p) - p->polled_ms >= POLLER_IDLE_MS) {
        p->early_empty = 0;
        return 0;
    }
    /* 8936-R15: it does not hang, so we pause */
    return ++p->early_empty > EARLY_EMPTY_MAX ? POLLER_IDLE_MS : 0;
}

/* The timer fired, or an answer to a set of the batch came. */
static void move_on(struct poller *p)
{
    bool due = !uv_is_active((uv_handle_t *)&p->timer);
    if (p->state == PAUSE && due) {
        p->retried = false;
        authorize(p);
    } else if (p->state == SETTLING) {
        bool open = !list_empty(&p->sets.at[PLACE_HANDED]);
        if (!due && (open || p->ack_state == ACK_SENDING))
            return;
        /* given up: when it comes again the owner sees it again */
        p->unsettled = poller_sets_drop(&p->sets, PLACE_HANDED) > 0;
        pause_for(p, next_poll_ms(p));
    }
}

/* --- answers of the owner --- */

static void on_ack_timer(uv_timer_t *t);

static void ack_kick(struct poller *p)
{
    if (p->state == CLOSING || p->ack_state != ACK_IDLE ||
        list_empty(&p->sets.at[PLACE_READY]))
        return;
    int64_t wait = p->ack_not_before_ms - now_ms(p);
    if (wait < POLLER_ACK_DELAY_MS)
        wait = POLLER_ACK_DELAY_MS;
    p->ack_state = ACK_WAIT;
    uv_timer_start(&p->ack_timer, on_ack_timer, (uint64_t)wait, 0);
}

static void on_ack_timer(uv_timer_t *t)
{
    struct poller *p = t->data;
    p->ack_state = ACK_IDLE;
    if (list_empty(&p->sets.at[PLACE_READY]))
        return; /* they rode on a poll */
    p->ack_state = ACK_AUTH;
    p->ack_retried = false;
    oauth_authorize(p->conf.oauth, &p->ack_want);
}

static void ack_failed(struct poller *p, const struct fail *f, int64_t wait_ms)
{
    p->ack_not_before_ms = now_ms(p) + wait_ms;
    trouble(p, f, wait_ms);
}

static bool ack_again(struct poller *p, const struct fetch_result *r)
{
    if (r->rc != 0 || r->status != 401)
        return false;
    oauth_rejected(p->conf.oauth, &p->conf.feed->poll_auth, p->ack_want.token);
    if (p->ack_retried || p->state == CLOSING)
        return false;
    p->ack_retried = true;
    p->ack_state = ACK_AUTH;
    oauth_authorize(p->conf.oauth, &p->ack_want);
    return true;
}

static void on_acked(void *ctx, struct fetch_call *c,
                     const struct fetch_result *r)
{
    struct poller *p = ctx;
    struct fail f = r->fail;
    bool good = r->rc == 0 && r->status >= 200 && r->status < 300;
    p->ack_call = NULL;
    p->ack_state = ACK_IDLE;
    settle_sent(p, PLACE_SENT_ACK, good);
    if (ack_again(p, r))
        return;
    if (good) {
        p->ack_failures = 0;
        p->ack_not_before_ms = 0;
    } else {
        if (r->rc == 0)
            (void)status_fail(r->status, &f);
        ack_failed(p, &f, wait_of(c, r, backoff_ms(p, ++p->ack_failures)));
    }
    if (p->state == CLOSING) {
        close_run(p);
        return;
    }
    ack_kick(p);
    move_on(p);
}

static int ack_send(struct poller *p, struct span authorization, struct fail *f)
{
    struct buf body;
    struct poll_request r = {.max_events = 0, .return_immediately = true};
    buf_init(&body, mem_system(), REQUEST_BYTES_MAX);
    poller_sets_write(&p->sets, PLACE_SENT_ACK, POLLER_ANSWERS_MAX, &r, &body);
    struct fetch_req req =
        request_for(p, authorization, buf_span(&body),
                    p->state == CLOSING ? POLLER_CLOSE_MS : ACK_TIMEOUT_MS);
    int rc = buf_ok(&body) ? fetch_start(p->conf.fetch, &req, on_acked, p,
                                         &p->ack_call, f)
                           : fail(f, RC_NO_MEMORY, "no memory for acks");
    buf_fini(&body);
    if (rc < 0) {
        settle_sent(p, PLACE_SENT_ACK, false);
        return rc;
    }
    p->stats.ack_requests++;
    p->stats.acks += r.ack_count;
    p->stats.errs += r.err_count;
    return 0;
}

static void on_ack_authorized(struct oauth_want *w, int rc, struct span header,
                              const struct fail *why)
{
    struct poller *p = container_of(w, struct poller, ack_want);
    struct fail f = *why;
    p->ack_state = ACK_IDLE;
    /* 8936-R7: an empty acknowledgement would still be a request */
    if (rc == 0 && !list_empty(&p->sets.at[PLACE_READY])) {
        p->ack_state = ACK_SENDING;
        rc = ack_send(p, header, &f);
        if (rc == 0)
            return;
        p->ack_state = ACK_IDLE;
    }
    if (rc < 0)
        ack_failed(p, &f, backoff_ms(p, ++p->ack_failures));
    if (p->state == CLOSING)
        close_run(p);
    else
        ack_kick(p);
}

static int answered(struct poller *p, int rc)
{
    ack_kick(p);
    if (p->state == SETTLING && p->ack_state != ACK_SENDING &&
        list_empty(&p->sets.at[PLACE_HANDED]))
        uv_timer_start(&p->timer, on_timer, 0, 0); /* not inside the call */
    return rc;
}

int poller_ack(struct poller *p, struct span jti)
{
    return answered(p, poller_sets_answer(&p->sets, jti, SPAN(""), SPAN("")));
}

int poller_reject(struct poller *p, struct span jti, struct span err,
                  struct span description)
{
    must(err.n > 0);
    return answered(p, poller_sets_answer(&p->sets, jti, err, description));
}

void poller_stats_get(const struct poller *p, struct poller_stats *ret)
{
    *ret = p->stats;
    ret->waiting = (unsigned)p->sets.by_jti.count;
}

/* --- life --- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct poller *p = handle->data;
    if (--p->handles > 0)
        return;
    void (*closed)(void *ctx) = p->closed;
    void *ctx = p->closed_ctx;
    poller_sets_fini(&p->sets);
    mem_release(mem_system(), p);
    if (closed != NULL)
        closed(ctx);
}

/* Calls in flight end first, then the last acknowledgement goes out. */
static void close_run(struct poller *p)
{
    if (p->call != NULL || p->ack_call != NULL || p->ack_state == ACK_AUTH)
        return;
    if (!p->last_tried && !list_empty(&p->sets.at[PLACE_READY])) {
        p->last_tried = true;
        p->ack_state = ACK_AUTH;
        oauth_authorize(p->conf.oauth, &p->ack_want);
        return;
    }
    if (uv_is_closing((uv_handle_t *)&p->timer))
        return;
    uv_close((uv_handle_t *)&p->timer, on_handle_closed);
    uv_close((uv_handle_t *)&p->ack_timer, on_handle_closed);
}

static void on_close_timer(uv_timer_t *t)
{
    struct poller *p = t->data;
    p->last_tried = true;
    if (p->ack_state == ACK_AUTH) {
        oauth_forget(&p->ack_want);
        p->ack_state = ACK_IDLE;
    }
    if (p->ack_call != NULL)
        fetch_cancel(p->ack_call);
    close_run(p);
}

void poller_close(struct poller *p, void (*done)(void *ctx), void *ctx)
{
    must(p->state != CLOSING);
    p->state = CLOSING;
    p->closed = done;
    p->closed_ctx = ctx;
    oauth_forget(&p->want);
    if (p->ack_state == ACK_WAIT) {
        uv_timer_stop(&p->ack_timer);
        p->ack_state = ACK_IDLE;
    }
    if (p->call != NULL)
        fetch_cancel(p->call);
    uv_timer_start(&p->timer, on_close_timer, POLLER_CLOSE_MS, 0);
    close_run(p);
}

int poller_open(uv_loop_t *loop, const struct poller_conf *conf,
                struct poller **ret, struct fail *f)
{
    struct poller *p = mem_alloc(mem_system(), sizeof *p);
    if (p == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for a feed");
    p->loop = loop;
    p->conf = *conf;
    p->random = conf->seed;
    struct hash_key key = {random_next(&p->random), random_next(&p->random)};
    int rc =
        poller_sets_init(&p->sets, key, POLLER_SETS_MAX, POLLER_SEEN_MAX, f);
    if (rc < 0) {
        mem_release(mem_system(), p);
        return rc;
    }
    p->want.auth = p->ack_want.auth = &conf->feed->poll_auth;
    p->want.trust = p->ack_want.trust = &conf->feed->trust;
    p->want.got = on_authorized;
    p->ack_want.got = on_ack_authorized;
    must(uv_timer_init(loop, &p->timer) == 0);
    must(uv_timer_init(loop, &p->ack_timer) == 0);
    p->timer.data = p->ack_timer.data = p;
    p->handles = 2;
    pause_for(p, 0);
    *ret = p;
    return 0;
}
