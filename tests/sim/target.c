// SPDX-License-Identifier: Apache-2.0
/*
 * Where jobs go: an authorization server that revokes, receivers of actions,
 * and the served runtime r2. They do it and say so, do it and the answer is
 * lost, answer 5xx (with or without Retry-After), refuse, or are slow.
 */
#include "tests/sim/sim.h"

#include <string.h>

struct attempt {
    uint64_t job;
    unsigned number;
    enum job_kind kind;
    enum job_result result;
    int64_t retry_ms;
    bool over;
    unsigned count;
    struct span ids[CALLS];
};

static void finished(struct sim *w, uint64_t at, uint64_t b)
{
    struct attempt *t = (struct attempt *)(uintptr_t)at;
    struct in_call_result calls[CALLS];
    (void)b;
    if (t->over)
        return;
    t->over = true;
    struct in in = {.kind = IN_JOB_DONE};
    in.job.job_id = t->job;
    in.job.attempt = t->number;
    in.job.result = t->result;
    in.job.retry_after_ms = t->retry_ms;
    in.job.why = t->result == JOB_DONE_CONFIRMED ? SPAN("") : SPAN("no");
    in.job.calls = calls;
    for (unsigned i = 0; i < t->count; i++)
        calls[in.job.call_count++] =
            (struct in_call_result){t->ids[i], CALL_CANCELLED};
    attempt_ends(w, &in.job);
    struct job_seen *j = job_seen(w, t->job);
    if (j != NULL && t->result == JOB_DONE_CONFIRMED)
        j->confirmed_by_target = true;
    (void)sidecar_step(w, &in);
}

static void timed_out(struct sim *w, uint64_t at, uint64_t b)
{
    struct attempt *t = (struct attempt *)(uintptr_t)at;
    if (t->over)
        return;
    t->result = JOB_DONE_RETRY;
    t->retry_ms = -1;
    t->count = 0;
    finished(w, at, b);
}

static void at_target(struct sim *w, uint64_t at, uint64_t kind)
{
    struct attempt *t = (struct attempt *)(uintptr_t)at;
    if (t->over)
        return;
    uint64_t how = w->quiet ? 0 : draw(w, 100);
    t->retry_ms = -1;
    t->result = JOB_DONE_CONFIRMED;
    if (how >= 97) {
        t->result = JOB_DONE_REFUSED;
    } else if (how >= 80) {
        t->result = JOB_DONE_RETRY;
        t->retry_ms = draw(w, 2) == 0 ? (int64_t)draw(w, 5000) : -1;
    } else if (kind == JOB_CANCEL) {
        runtime_cancel(w, 2, (struct names){t->ids, t->count});
    }
    if (t->result != JOB_DONE_CONFIRMED)
        t->count = 0;
    int64_t ms = travel(w, PEER_TARGET);
    if (ms >= 0)
        later_here(w, ms, finished, at, 0);
}

void target_job(struct sim *w, const struct out_job *o)
{
    struct attempt *t = mem_alloc(&w->arena.mem, sizeof *t);
    must(t != NULL);
    t->job = o->job_id;
    t->number = o->attempt;
    t->kind = o->kind;
    attempt_begins(w, o);
    for (unsigned i = 0; i < o->call_ids.count && t->count < CALLS; i++)
        t->ids[t->count++] = copy_span(&w->arena, o->call_ids.at[i]);
    if (o->kind == JOB_CANCEL)
        judge_directive(w, subject_of(o->base, o->uri), o->runtime, o->rule,
                        o->jti, o->call_ids);
    int64_t ms = travel(w, o->kind == JOB_CANCEL || o->kind == JOB_PURGE
                               ? PEER_RUNTIME + 2
                               : PEER_TARGET);
    if (ms >= 0) /* it may be carried out after the sidecar has ended */
        later(w, ms, at_target, (uint64_t)(uintptr_t)t, (uint64_t)o->kind);
    later_here(w, o->timeout_ms < 1 ? 1 : o->timeout_ms, timed_out,
               (uint64_t)(uintptr_t)t, 0);
}
