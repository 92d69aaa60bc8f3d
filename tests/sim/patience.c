// SPDX-License-Identifier: Apache-2.0
/*
 * What waits: for a person (limits withhold it), for its day (audit mode until,
 * schedules), for its turn (attempts at a target). Worked out from the records
 * and the world's clocks, never from the engine.
 */
#include "tests/sim/sim.h"

#include <string.h>

#include "sidecar/core/lane.h"
#include "tests/sim/record.h"

#define TOLD_MS 60000 /* how old the time of audit mode may be on disk */

static void lane_resumes(struct sim *w);

/* ------------------------------------------------------------------- audit */

void patience_step(struct sim *w)
{
    int64_t wall_ms = w->p.in->wall_ms;
    if (wall_ms > w->p.audit_ms)
        w->p.audit_ms = wall_ms;
    if (wall_ms > w->latest_wall)
        w->latest_wall = wall_ms;
    lane_resumes(w);
}

/* What a restart finds is at most so much older. */
void patience_row(struct sim *w)
{
    int64_t told = w->p.audit_ms - TOLD_MS;
    if (w->m.audit_policy != w->p.policy || told > w->m.audit_ms)
        w->m.audit_ms = told;
    w->m.audit_policy = w->p.policy;
}

bool audit_is_over(const struct sim *w)
{
    return w->p.audit_ms >= AUDIT_UNTIL_MS;
}

/* ------------------------------------------------------------------ limits */

/* A limit that is no more remembers nothing. */
static void forget_windows(struct sim *w)
{
    if (policy_facts[w->p.policy].limited)
        return;
    memset(w->m.suspended, 0, sizeof w->m.suspended);
    memset(w->m.revoked, 0, sizeof w->m.revoked);
}

void patience_policy(struct sim *w)
{
    w->p.audit_ms = 0;
    forget_windows(w);
}

void patience_boot(struct sim *w)
{
    w->p.audit_ms = w->m.audit_policy == w->p.policy ? w->m.audit_ms : 0;
    forget_windows(w);
    patience_step(w);
}

/* As late as it may be for the sidecar: a restart goes by the wall clock. */
static int64_t clock_of(const struct sim *w)
{
    return w->now + w->forward + 1;
}

static unsigned counted(const struct sim *w, const int64_t at[SUBJECTS],
                        int64_t per_ms)
{
    unsigned n = 0;
    for (unsigned i = 0; i < SUBJECTS; i++)
        n += at[i] != 0 && clock_of(w) - at[i] < per_ms;
    return n;
}

static unsigned source_of(const struct rec *r)
{
    return rec_is(r->feed, "hr")   ? 0
           : rec_is(r->feed, "it") ? 1
           : rec_is(r->feed, "eu") ? 2
                                   : FEEDS;
}

static bool is_beyond(const struct sim *w, const struct rec *r)
{
    return counted(w, w->m.suspended[source_of(r)], LIMIT_SUSPEND_MS) >
               LIMIT_SUSPEND ||
           counted(w, w->m.revoked, LIMIT_REVOKE_MS) > LIMIT_REVOKE;
}

/* By a read that counts under this policy in this process. */
static bool is_never(const struct sim *w, unsigned subject)
{
    const struct model_subject *s = &w->m.s[subject];
    bool of_step =
        w->p.in->kind == IN_READ_DONE && w->p.step_subject == subject;
    return !of_step && s->found == 1 && s->attr_external &&
           s->read_start > w->m.policy_touched &&
           s->read_start > w->m.boot_touched;
}

void judge_begun(struct sim *w, const struct rec *r, unsigned subject)
{
    bool undoable = !rec_is(r->action, "revoke") &&
                    !rec_is(r->action, "purge") && !rec_is(r->action, "chat");
    if (!policy_facts[w->p.policy].limited || undoable)
        return;
    if (w->p.in->kind != IN_CREDENTIAL && is_beyond(w, r))
        broken(w, "beyond a limit nothing irreversible leaves",
               "%.*s for %s of %.*s", PRSPAN(r->action), uri_of(subject),
               PRSPAN(r->feed));
    if (is_never(w, subject))
        broken(w, "never_for withholds", "%.*s for %s", PRSPAN(r->action),
               uri_of(subject));
}

void judge_let_go(struct sim *w, const struct rec *r)
{
    const struct in *in = w->p.in;
    if (in->kind != IN_OPERATOR ||
        in->operator.verb != OP_JOB_RETRY || in->operator.job_id != r->job)
        broken(w, "what is withheld is let go by a person", "%.*s",
               PRSPAN(r->action));
    w->n.let_go++;
}

void judge_withheld(struct sim *w, const struct rec *r, unsigned subject,
                    uint64_t row)
{
    unsigned n = w->p.withheld_count;
    w->n.withheld++;
    if (n < sizeof w->p.withheld / sizeof w->p.withheld[0]) {
        w->p.withheld[n].subject = subject;
        rec_copy(w->p.withheld[n].rule, sizeof w->p.withheld[n].rule, r->rule);
        w->p.withheld_count++;
    }
    if (r->job == 0)
        return; /* not kept: the log alone says so */
    must(w->job_count < JOBS_MAX);
    struct job_seen *j = &w->jobs[w->job_count++];
    *j = (struct job_seen){.id = r->job,
                           .withheld_row = row,
                           .withheld = true,
                           .subject = subject,
                           .reach = r->reach};
    rec_copy(j->kind, sizeof j->kind, r->action);
    rec_copy(j->rule, sizeof j->rule, r->rule);
    rec_copy(j->jti, sizeof j->jti, r->jti);
    rec_copy(j->target, sizeof j->target, r->target);
}

bool withheld_now(const struct sim *w, unsigned subject, struct span rule)
{
    for (unsigned i = 0; i < w->p.withheld_count; i++)
        if (w->p.withheld[i].subject == subject &&
            span_eq(span_str(w->p.withheld[i].rule), rule))
            return true;
    return false;
}

/* Whose containment waits is held meanwhile, for all tools. */
void judge_patience(struct sim *w)
{
    for (unsigned i = 0; i < w->p.withheld_count && w->p.step_rc == 0; i++) {
        const struct model_subject *s = &w->m.s[w->p.withheld[i].subject];
        bool held = false;
        for (unsigned k = 0; k < s->hold_count; k++)
            held =
                held || (!s->holds[k].money &&
                         strcmp(s->holds[k].rule, w->p.withheld[i].rule) == 0);
        if (!held && !w->weather.tight)
            broken(w, "who has something withheld is held", "%s by %s",
                   uri_of(w->p.withheld[i].subject), w->p.withheld[i].rule);
    }
}

/* --------------------------------------------------------------- schedules */

static void scheduled(struct sim *w, unsigned subject)
{
    int64_t *last = &w->m.recertified[subject];
    if (*last != 0 && w->forward == 0 && w->now - *last < PERIOD_MS)
        broken(w, "a schedule runs once a period", "%s base%u after %lld ms",
               uri_of(subject), subject / RESOURCES,
               (long long)(w->now - *last));
    *last = w->now;
    w->n.scheduled++;
}

static void idle(struct sim *w, unsigned subject)
{
    int64_t used = w->p.used[subject];
    if (used != 0 && w->now - used < PERIOD_MS)
        broken(w, "who is used is not idle", "%s base%u", uri_of(subject),
               subject / RESOURCES);
    w->n.idle++;
}

/* ---------------------------------------------------------------- verdicts */

static void watched(struct sim *w, const struct rec *r)
{
    w->n.audited += r->would;
    w->n.audits_over += !r->would;
    if (!r->would && w->latest_wall < AUDIT_UNTIL_MS)
        broken(w, "audit mode changes nothing", "%.*s", PRSPAN(r->jti));
    if (r->would && audit_is_over(w))
        broken(w, "audit mode ends for good", "%.*s", PRSPAN(r->jti));
}

void judge_verdict(struct sim *w, const struct rec *r, unsigned subject)
{
    bool stop = rec_is(r->rule, "stop");
    if (!rec_is(r->outcome, "matched"))
        return;
    if (rec_is(r->rule, "recertify"))
        scheduled(w, subject);
    if (rec_is(r->rule, "unused"))
        idle(w, subject);
    if (rec_is(r->rule, "watch"))
        watched(w, r);
    if (!policy_facts[w->p.policy].limited)
        return;
    if (stop || rec_is(r->rule, "session") || rec_is(r->rule, "external"))
        w->m.suspended[source_of(r)][subject] = clock_of(w);
    if (stop)
        w->m.revoked[subject] = clock_of(w);
}

/* ---------------------------------------------------------------- attempts */

static unsigned lane_of(const struct job_seen *j)
{
    if (strcmp(j->kind, "revoke") == 0)
        return 0;
    if (strcmp(j->kind, "page") == 0)
        return 2;
    if (strcmp(j->kind, "chat") == 0)
        return 3;
    return strcmp(j->target, "r2") == 0 ? 1 : LANES; /* of a served runtime */
}

static bool in_lane(const struct job_seen *j, unsigned lane)
{
    return j->ended_row == 0 && !j->withheld && lane_of(j) == lane;
}

void attempts_over(struct sim *w, const struct job_seen *j)
{
    unsigned lane = lane_of(j);
    for (unsigned i = 0; i < w->job_count; i++)
        if (in_lane(&w->jobs[i], lane))
            return;
    if (lane < LANES)
        w->p.lanes[lane] = (struct lane_seen){.failures = 0};
}

/* A person wants a job to be tried whatever its target has said. */
static void lane_resumes(struct sim *w)
{
    const struct in *in = w->p.in;
    if (in->kind != IN_OPERATOR || in->operator.verb != OP_JOB_RETRY)
        return;
    const struct job_seen *j = job_seen(w, in->operator.job_id);
    if (j != NULL && lane_of(j) < LANES)
        w->p.lanes[lane_of(j)].paused = false;
}

static bool goes_on(struct sim *w, unsigned i)
{
    const struct job_seen *j = job_seen(w, w->p.running[i].job);
    return j != NULL && j->ended_row == 0;
}

static void pause_until(struct lane_seen *l, int64_t until)
{
    if (!l->paused || l->until < until)
        l->until = until;
    l->paused = true;
}

/* What was begun before the target was found to be down says no more than
 * that. */
static void lane_hears(struct sim *w, unsigned lane,
                       const struct in_job_done *in)
{
    struct lane_seen *l = &w->p.lanes[lane];
    int64_t most = lane == 1 ? LANE_RUNTIME_PAUSE_MAX_MS : LANE_PAUSE_MAX_MS;
    bool answered = in->result != JOB_DONE_RETRY;
    if (answered && in->retry_after_ms <= 0) {
        *l = (struct lane_seen){.failures = 0};
        return;
    }
    if (!answered && !(l->failures >= LANE_FAILURES_MAX && l->paused)) {
        l->failures++;
        int64_t ms = LANE_PAUSE_FIRST_MS;
        for (unsigned i = LANE_FAILURES_MAX; i < l->failures && ms < most; i++)
            ms *= 2;
        if (l->failures >= LANE_FAILURES_MAX)
            pause_until(l, w->now + (ms < most ? ms : most));
    }
    if (in->retry_after_ms > 0)
        pause_until(l, w->now + in->retry_after_ms);
}

void attempt_ends(struct sim *w, const struct in_job_done *in)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < w->p.running_count; i++) {
        if (w->p.running[i].job != in->job_id ||
            w->p.running[i].number != in->attempt)
            w->p.running[kept++] = w->p.running[i];
        else if (goes_on(w, i))
            lane_hears(w, w->p.running[i].target, in);
    }
    w->p.running_count = kept;
}

/* The breaker: one at a time, and not before it is time. */
static void judge_lane(struct sim *w, unsigned lane, unsigned same)
{
    struct lane_seen *l = &w->p.lanes[lane];
    bool down = l->failures >= LANE_FAILURES_MAX;
    if (same > (down ? 1 : LANE_RUNNING_MAX))
        broken(w, "a target has its number of attempts", "%u%s", same,
               down ? " while it is down" : "");
    if (l->paused && w->now < l->until)
        broken(w, "a target is left alone for a while", "%lld ms too early",
               (long long)(l->until - w->now));
    l->paused = false;
    w->n.probes += down;
}

void attempt_begins(struct sim *w, const struct out_job *o)
{
    const struct job_seen *j = job_seen(w, o->job_id);
    unsigned kept = 0, same = 1, lane = lane_of(j);
    must(lane < LANES);
    for (unsigned i = 0; i < w->p.running_count; i++) {
        if (!goes_on(w, i))
            continue;
        same += w->p.running[i].target == lane;
        w->p.running[kept++] = w->p.running[i];
    }
    must(kept < sizeof w->p.running / sizeof w->p.running[0]);
    w->p.running[kept].job = o->job_id;
    w->p.running[kept].number = o->attempt;
    w->p.running[kept].target = lane;
    w->p.running_count = kept + 1;
    judge_lane(w, lane, same);
}
