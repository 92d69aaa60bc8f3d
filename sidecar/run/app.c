// SPDX-License-Identifier: Apache-2.0
/* Steps of the engine and their effects. */
#include "sidecar/run/app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "sidecar/base/log.h"
#include "sidecar/run/admin.h"
#include "sidecar/run/rollout.h"

/* --------------------------------------------------- clock and randomness */

static int64_t clock_ms(clockid_t id)
{
    struct timespec t = {0, 0};
    (void)clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t app_boot_ms(void)
{
    return clock_ms(CLOCK_BOOTTIME);
}

void app_now(struct in *in)
{
    in->now_ms = clock_ms(CLOCK_BOOTTIME);
    in->wall_ms = clock_ms(CLOCK_REALTIME);
}

uint64_t app_random(struct app *a)
{
    uint64_t v;
    if (a->random_used == 0 || a->random_used + sizeof v > APP_RANDOM_BYTES) {
        size_t have = 0;
        while (have < sizeof a->random) {
            ssize_t n = getrandom(a->random + have, sizeof a->random - have, 0);
            must(n > 0); /* without randomness lease ids could be guessed */
            have += (size_t)n;
        }
        a->random_used = 0;
    }
    memcpy(&v, a->random + a->random_used, sizeof v);
    a->random_used += sizeof v;
    return v;
}

/* --------------------------------------------------------------- waiters */

struct waiter *waiter_new(struct app *a, enum waiter_kind kind)
{
    struct list_link *k = list_shift(&a->spare_waiters);
    struct waiter *w = k != NULL ? container_of(k, struct waiter, link)
                                 : mem_alloc(mem_system(), sizeof *w);
    if (w == NULL)
        return NULL;
    a->busy = true;
    w->kind = kind;
    w->app = a;
    w->call = NULL;
    w->req = NULL;
    w->feed = NULL;
    w->outcome = NULL;
    w->answer = (struct buf){.mem = NULL};
    w->text_n = 0;
    list_push(&a->waiting, &w->link);
    return w;
}

void waiter_free(struct waiter *w)
{
    list_remove(&w->link);
    list_push(&w->app->spare_waiters, &w->link);
}

void waiters_free(struct list *l)
{
    struct list_link *k;
    while ((k = list_shift(l)) != NULL)
        mem_release(mem_system(), container_of(k, struct waiter, link));
}

/* Beside very many agents what a burst leaves is little, and looking for it
 * takes tens of milliseconds. */
#define REST_SUBJECTS_MAX 100000

void app_rest(struct app *a)
{
    struct engine_stats s;
    const bool quiet = !a->busy && list_empty(&a->waiting);
    a->busy = false;
    if (!quiet)
        a->rested = false;
    if (!quiet || a->rested || a->stopping)
        return;
    a->rested = true;
    waiters_free(&a->spare_waiters);
    engine_rest(a->engine);
    for (unsigned i = 0; i < a->config->gate_count; i++)
        server_rest(a->gate[i]);
    for (unsigned i = 0; i < a->config->push_count; i++)
        server_rest(a->push[i]);
    engine_stats_get(a->engine, &s);
    if (s.subjects_now <= REST_SUBJECTS_MAX)
        mem_rest();
}

void app_blocked(struct app *a)
{
    LIST_EACH (k, next, &a->waiting) {
        struct waiter *w = container_of(k, struct waiter, link);
        if (w->kind == WAIT_PUSH) {
            intake_blocked(w);
        } else if ((w->kind == WAIT_ADMIN || w->kind == WAIT_POLICY) &&
                   w->req != NULL) {
            admin_refuse(w->req, RC_UNAVAILABLE,
                         SPAN("in force, but not kept yet: the store is "
                              "blocked"));
            w->req = NULL;
        } else if (w->kind == WAIT_CREDENTIAL && w->call != NULL) {
            struct grpc_call *c = w->call;
            grpc_set_user(c, NULL);
            w->call = NULL;
            grpc_finish(c, GRPC_UNAVAILABLE, "the store is blocked");
        }
    }
}

static struct waiter *waiter_of(uint64_t token)
{
    return (struct waiter *)(uintptr_t)token;
}

/* --------------------------------------------------------------- effects */

static void mark_row(struct app *a, uint64_t ticket, uint64_t row)
{
    if (a->mark_count == a->mark_cap) {
        size_t cap = a->mark_cap == 0 ? 256 : a->mark_cap * 2;
        struct app_mark *ring = mem_array(mem_system(), cap, sizeof *ring);
        if (ring == NULL)
            return; /* this row is folded a little later, with the next */
        for (size_t i = 0; i < a->mark_count; i++)
            ring[i] = a->marks[(a->mark_head + i) % a->mark_cap];
        mem_release(mem_system(), a->marks);
        a->marks = ring;
        a->mark_cap = cap;
        a->mark_head = 0;
    }
    a->marks[(a->mark_head + a->mark_count++) % a->mark_cap] =
        (struct app_mark){ticket, row};
}

/* `stepping` ends every recursion at its first level. */
// NOLINTBEGIN(misc-no-recursion)
static void apply_journal(struct app *a, const struct out *o)
{
    struct in now = {.kind = IN_TICK};
    struct fail f;
    app_now(&now);
    if (a->store == NULL || a->store_closing || !a->durable || a->journal_ends)
        return; /* stopping: what this would have changed is done again */
    candidate_host_row(a, o->journal.body);
    if (store_append(a->store, o->journal.seq, now.wall_ms, o->journal.body,
                     &f) >= 0)
        return;
    /* The row cannot be kept, so nothing after it may be either: the journal
     * would have a hole. */
    a->journal_ends = true;
    log_error(LOG_STORE, "append_failed", kv_why(&f));
    struct in in = {.kind = IN_STORE_STATE, .store = {.poisoned = true}};
    ignore_rc(app_step(a, &in)); /* put off until this step is over */
    app_fatal(a, "the journal cannot be written", &f);
}

static void apply_log(struct app *a, const struct out *o)
{
    struct fail f;
    if (a->log == NULL || !a->durable)
        return; /* stopping: copied from the journal at the next start */
    candidate_host_record(a, o->log.tail);
    if (o->log.row != 0)
        mark_row(a, o->log.ticket, o->log.row);
    if (decision_log_append(a->log, o->log.ticket, o->log.tail,
                            o->log.checkpoint, &f) >= 0)
        return;
    log_error(LOG_RECORDS, "append_failed", kv_why(&f));
    struct in in = {.kind = IN_LOG_BROKEN};
    ignore_rc(app_step(a, &in)); /* put off until this step is over */
    app_fatal(a, "the decision log cannot be written", &f);
}

static void apply_ack(struct app *a, uint64_t token)
{
    struct waiter *w = waiter_of(token);
    if (w->kind == WAIT_ADMIN)
        admin_done(a, w, 0, SPAN(""));
    else if (w->kind == WAIT_POLICY)
        rollout_told(a, w);
    else if (w->kind == WAIT_CREDENTIAL)
        gate_done(a, w, 0, SPAN(""));
    else
        intake_acked(a, w);
}

static void apply_done(struct app *a, const struct out *o)
{
    struct waiter *w = waiter_of(o->done.token);
    if (w->kind == WAIT_ADMIN)
        admin_done(a, w, o->done.rc, o->done.text);
    else
        gate_done(a, w, o->done.rc, o->done.text);
}

static void apply(struct app *a, const struct out *o)
{
    switch (o->kind) {
        case OUT_JOURNAL: apply_journal(a, o); break;
        case OUT_LOG: apply_log(a, o); break;
        case OUT_ACK: apply_ack(a, o->ack.token); break;
        case OUT_ANSWER: gate_answer(a, &o->answer); break;
        case OUT_LEASE: gate_lease(a, o); break;
        case OUT_DONE: apply_done(a, o); break;
        case OUT_DIRECTIVE: watch_directive(a, &o->directive); break;
        case OUT_SNAPSHOT_END:
            watch_snapshot_end(a, o->snapshot_end.watch, o->snapshot_end.epoch);
            break;
        case OUT_READ: outbound_read(a, &o->read); break;
        case OUT_JOB: outbound_job(a, &o->job); break;
    }
}

// NOLINTEND(misc-no-recursion)

/* ------------------------------------------------------------------ timer */

static void on_timer(uv_timer_t *t)
{
    struct app *a = container_of(t, struct app, timer);
    struct in in = {.kind = IN_TICK};
    a->timer_at_ms = INT64_MAX;
    ignore_rc(app_step(a, &in)); /* a tick cannot be refused */
}

static void arm_timer(struct app *a, int64_t now_ms)
{
    int64_t at = engine_wake_ms(a->engine);
    if (at == a->timer_at_ms || uv_is_closing((uv_handle_t *)&a->timer))
        return;
    a->timer_at_ms = at;
    if (at == INT64_MAX) {
        (void)uv_timer_stop(&a->timer);
        return;
    }
    /* Not 0: libuv runs a timer that is due again before it looks at sockets,
     * so an engine that is never content would stop everything else. */
    uint64_t wait = at <= now_ms ? 1 : (uint64_t)(at - now_ms);
    uv_update_time(&a->loop);
    (void)uv_timer_start(&a->timer, on_timer, wait, 0);
}

/* ------------------------------------------------------------------ steps */

// NOLINTBEGIN(misc-no-recursion): see apply_journal
static void apply_all(struct app *a)
{
    struct out o;
    while (engine_next(a->engine, &o))
        apply(a, &o);
    outbound_read_list(a);
}

static int one_step(struct app *a, struct in *in)
{
    app_now(in);
    in->random = app_random(a);
    a->stepping = true;
    int rc = engine_step(a->engine, in);
    apply_all(a);
    a->stepping = false;
    candidate_host_flush(a);
    return rc;
}

static void put_off(struct app *a, const struct in *in)
{
    if (a->later_count == a->later_cap) {
        size_t cap = a->later_cap == 0 ? 16 : a->later_cap * 2;
        struct app_later *grown =
            cap > APP_LATER_MAX
                ? NULL
                : mem_resize(mem_system(), a->later,
                             a->later_cap * sizeof *grown, cap * sizeof *grown);
        if (grown == NULL) { /* what a result is dropped of would hang */
            struct fail f;
            (void)fail(&f, RC_NO_MEMORY, "%zu results wait", a->later_count);
            app_fatal(a, "no memory for the result of an effect", &f);
            return;
        }
        a->later = grown;
        a->later_cap = cap;
    }
    struct app_later *l = &a->later[a->later_count++];
    struct span why = in->kind == IN_JOB_DONE    ? in->job.why
                      : in->kind == IN_READ_DONE ? in->read.why
                                                 : SPAN("");
    l->in = *in;
    (void)snprintf(l->why, sizeof l->why, "%.*s", PRSPAN(why));
}

/* The list may move while its entries are being stepped. */
static void step_put_off(struct app *a)
{
    for (size_t i = 0; i < a->later_count; i++) {
        struct app_later next = a->later[i];
        if (next.in.kind == IN_JOB_DONE)
            next.in.job.why = span_str(next.why);
        if (next.in.kind == IN_READ_DONE)
            next.in.read.why = span_str(next.why);
        ignore_rc(one_step(a, &next.in)); /* notices cannot be refused */
    }
    a->later_count = 0;
}

static void step_candidate(struct app *a)
{
    struct in in;
    while (!a->stopping && candidate_host_next(a, &in)) {
        ignore_rc(one_step(a, &in)); /* a record, and what is kept */
        step_put_off(a);
    }
}

int app_step(struct app *a, struct in *in)
{
    if (a->stepping) {
        put_off(a, in);
        return 0;
    }
    int rc = one_step(a, in);
    step_put_off(a);
    step_candidate(a);
    watch_free_gone(a);
    arm_timer(a, in->now_ms);
    return rc;
}
// NOLINTEND(misc-no-recursion)

void app_apply_start(struct app *a)
{
    struct in now = {.kind = IN_TICK};
    app_now(&now);
    a->timer_at_ms = INT64_MAX;
    a->stepping = true;
    apply_all(a);
    a->stepping = false;
    step_put_off(a);
    arm_timer(a, now.now_ms);
}

void app_fatal(struct app *a, const char *what, const struct fail *f)
{
    if (a->failed)
        return;
    a->failed = true;
    a->exit_code = 3;
    log_error(LOG_MAIN, "fatal", kv_str("what", what), kv_why(f));
    app_stop(a);
}
