// SPDX-License-Identifier: Apache-2.0
/*
 * When an attempt of a job runs, and what its result means. A job is attempted
 * once its row is on disk, when its time has come, and when its lane lets it
 * through; whatever happens, its deadline ends it.
 */
#include <string.h>

#include "sidecar/core/engine_internal.h"

/* ----------------------------------------------------------------- lanes */

static bool is_served(const struct engine *e, struct span runtime_name)
{
    for (unsigned i = 0; i < e->conf->served_runtime_count; i++)
        if (span_eq(e->conf->served_runtimes[i], runtime_name))
            return true;
    return false;
}

static struct span runtime_name(struct span key)
{
    return span_sub(key, span_find(key, 0, 0) + 1, key.n);
}

/* Directives do the work of cancellations at watching runtimes; only runtimes
 * that serve CancelToolCalls get calls from us, and have a lane. */
int job_enter(struct engine *e, struct job *j)
{
    struct lane **to = &j->lane;
    switch (j->kind) {
        case JOB_REVOKE:
            return lane_join(&e->jobs.lanes, ADAPTER_OAUTH, j->issuer, to);
        case JOB_ACTION:
            return lane_join(&e->jobs.lanes, ADAPTER_HTTP, j->target, to);
        case JOB_CANCEL:
        case JOB_PURGE: break;
    }
    if (!is_served(e, runtime_name(j->runtime_key)))
        return 0;
    return lane_join(&e->jobs.lanes, ADAPTER_RUNTIME, j->runtime_key, to);
}

static void record_lane(struct engine *e, const struct lane *l,
                        const char *outcome)
{
    struct record r = record_of(RECORD_ACTION);
    r.action = span_str(adapter_word(l->adapter));
    r.target = l->adapter == ADAPTER_RUNTIME ? runtime_name(lane_target(l))
                                             : lane_target(l);
    r.outcome = span_str(outcome);
    (void)record_now(e, &r, false);
}

/* ------------------------------------------------------------- an attempt */

static struct names unsettled(struct engine *e, const struct job *j)
{
    struct span *at =
        mem_array(&e->step_arena.mem, j->target_count, sizeof *at);
    unsigned n = 0;
    for (unsigned i = 0; at != NULL && i < j->target_count; i++)
        if (!j->targets[i].settled)
            at[n++] = j->targets[i].call_id;
    return (struct names){at, n};
}

static void add_labels(const struct job *j, struct out_job *o)
{
    LIST_EACH (k, next, &j->agent->calls) {
        const struct runtime *r =
            container_of(k, struct call, agent_link)->runtime;
        for (unsigned i = 0; i < r->label_count; i++) {
            o->labels[i].name = r->labels[i].name;
            o->labels[i].value = r->labels[i].value;
        }
        o->label_count = r->label_count;
        o->runtime = r->name;
        return;
    }
}

static void attempt(struct engine *e, struct job *j)
{
    int64_t left = j->deadline_ms - e->in->now_ms;
    j->in_flight = true;
    j->state = JOB_RUNNING;
    j->attempts++;
    struct out *out = emit(e, OUT_JOB);
    struct out_job *o = &out->job;
    *o = (struct out_job){
        .job_id = j->id,
        .attempt = j->attempts,
        .kind = j->kind,
        .key = j->key,
        .base = j->agent->base,
        .uri = j->agent->uri,
        .purge = j->purge,
        .sealed = j->sealed,
        .credential_id = j->credential_id,
        .issuer = j->issuer,
        .refresh = j->refresh,
        .action = &j->action,
        .rule = j->rule,
        .jti = j->jti,
        .event_name = span_str(event_type_name(j->event)),
        .feed = j->feed,
        .why = j->why,
        .epoch = j->epoch,
        .timeout_ms =
            left < JOB_ATTEMPT_TIMEOUT_MS ? left : JOB_ATTEMPT_TIMEOUT_MS,
    };
    if (j->kind == JOB_ACTION)
        add_labels(j, o);
    if (j->kind == JOB_CANCEL)
        o->call_ids = unsettled(e, j);
    if (j->kind == JOB_CANCEL || j->kind == JOB_PURGE)
        o->runtime = runtime_name(j->runtime_key);
}

/* -------------------------------------------------------------- planning */

void job_plan(struct engine *e, struct job *j)
{
    int64_t due = j->deadline_ms;
    list_remove(&j->queue_link);
    if (j->row > e->stored) {
        list_push(&e->jobs.unstored, &j->queue_link);
    } else if (j->lane != NULL && !j->in_flight) {
        if (j->next_ms > e->in->now_ms)
            due = j->next_ms < due ? j->next_ms : due;
        else
            lane_wait(&e->jobs.lanes, j->lane, &j->queue_link);
    }
    heap_put(&e->jobs.due, &j->due, due);
}

static void plan_stored(struct engine *e)
{
    LIST_EACH (k, next, &e->jobs.unstored) {
        struct job *j = container_of(k, struct job, queue_link);
        if (j->row > e->stored)
            return; /* they stand in the order of their rows */
        job_plan(e, j);
    }
}

static void run_lanes(struct engine *e)
{
    struct list_link *k;
    while (!e->stopping && !e->poisoned && reserve(e, 1) &&
           (k = lanes_next(&e->jobs.lanes, e->in->now_ms)) != NULL)
        attempt(e, container_of(k, struct job, queue_link));
}

void job_tick(struct engine *e)
{
    struct heap_link *k;
    plan_stored(e);
    while ((k = heap_first(&e->jobs.due)) != NULL &&
           k->at_ms <= e->in->now_ms) {
        struct job *j = container_of(k, struct job, due);
        if (e->in->now_ms >= j->deadline_ms)
            finish_job(e, j, JOB_FAILED);
        else
            job_plan(e, j);
    }
    /* Also when nothing may run: else a pause that is over would ask for the
     * next tick at once, again and again. */
    lanes_wake(&e->jobs.lanes, e->in->now_ms);
    run_lanes(e);
    k = heap_first(&e->jobs.due);
    if (k != NULL)
        wake_at(e, k->at_ms);
    wake_at(e, lanes_wake_ms(&e->jobs.lanes));
}

/* -------------------------------------------------------------- results */

static void apply_call_results(struct engine *e, struct job *j)
{
    const struct in_job_done *in = &e->in->job;
    struct map_link *k = map_find(&e->calls.runtimes, j->runtime_key);
    struct runtime *r =
        k == NULL ? NULL : container_of(k, struct runtime, link);
    uint64_t id = j->id;
    for (unsigned i = 0; i < in->call_count; i++) {
        if (in->calls[i].outcome == CALL_UNKNOWN)
            continue;
        struct call *c =
            r == NULL ? NULL : call_by_id(&e->calls, r, in->calls[i].call_id);
        if (c != NULL)
            call_ended(e, c, in->calls[i].outcome, true);
        j = job_find(&e->jobs, id); /* it may have ended just now */
        if (j == NULL || j->state > JOB_RUNNING)
            return;
        for (unsigned t = 0; c == NULL && t < j->target_count; t++) {
            if (j->targets[t].settled ||
                !span_eq(j->targets[t].call_id, in->calls[i].call_id))
                continue;
            j->targets[t].settled = true;
            j->targets[t].outcome = in->calls[i].outcome;
            j->settled_count++;
        }
    }
    if (j->settled_count == j->target_count)
        finish_job(e, j, JOB_CONFIRMED);
}

static void plan_retry(struct engine *e, struct job *j)
{
    const struct in_job_done *in = &e->in->job;
    int64_t wait = job_backoff_ms(j->attempts, e->in->random);
    if (in->retry_after_ms > wait)
        wait = in->retry_after_ms;
    j->next_ms = e->in->now_ms + wait;
    job_plan(e, j);
    record_job(e, j, "attempt_failed");
}

/* What the attempt says about the target, whatever it says about the job. */
static void judge_lane(struct engine *e, struct lane *l)
{
    const struct in_job_done *in = &e->in->job;
    const struct lane_outcome o = {
        .answered = in->answered || in->result != JOB_DONE_RETRY,
        .retry_after_ms = in->retry_after_ms,
        .now_ms = e->in->now_ms};
    bool was = lane_is_down(l);
    lane_done(&e->jobs.lanes, l, &o);
    if (was != lane_is_down(l))
        record_lane(e, l, was ? "target_up" : "target_down");
}

static void settle_job(struct engine *e, struct job *j)
{
    const struct in_job_done *in = &e->in->job;
    if (j->kind == JOB_CANCEL && in->call_count > 0) {
        apply_call_results(e, j);
        j = job_find(&e->jobs, in->job_id);
        if (j == NULL || j->state > JOB_RUNNING)
            return;
    }
    if (in->result == JOB_DONE_CONFIRMED && j->kind != JOB_CANCEL)
        finish_job(e, j, JOB_CONFIRMED);
    else if (in->result == JOB_DONE_REFUSED)
        finish_job(e, j, JOB_REFUSED);
    else
        plan_retry(e, j);
}

void on_job_done(struct engine *e)
{
    const struct in_job_done *in = &e->in->job;
    struct job *j = job_find(&e->jobs, in->job_id);
    if (j == NULL || !j->in_flight || in->attempt != j->attempts)
        return; /* a late answer to an attempt that was given up */
    j->in_flight = false;
    judge_lane(e, j->lane);
    struct span why = job_text(j, span_sub(in->why, 0, 200));
    j->last_error = why.p == NULL ? SPAN("") : why;
    settle_job(e, j);
    job_tick(e); /* its place in the lane is free */
}
