// SPDX-License-Identifier: Apache-2.0
/* What people do: operator holds, reviews, jobs; and reviews that expire. Each
 * command is a record with the person's name and words. */
#include "sidecar/core/engine_internal.h"

static void refuse(struct engine *e, int rc, const char *text)
{
    struct out *o = emit(e, OUT_DONE);
    o->done.token = e->in->operator.token;
    o->done.rc = rc;
    o->done.text = span_str(text);
}

static void record_operator(struct engine *e, const struct subject *s,
                            const char *action, const char *outcome)
{
    const struct in_operator *in = &e->in->operator;
    struct record r = record_of(RECORD_OPERATOR);
    if (s != NULL) {
        r.agent = s->uri;
        r.base = base_url(e, s);
    }
    r.person = in->person;
    r.why = in->reason;
    r.action = span_str(action);
    r.job = in->job_id;
    r.outcome = span_str(outcome);
    record_row(e, &r);
}

static struct cause operator_cause(void)
{
    return (struct cause){
        .type = EVENT_OPERATOR, .jti = SPAN("operator"), .may = MAY_ALL};
}

/* ---------------------------------------------------------------- holds */

static void add_hold(struct engine *e, struct subject *s)
{
    const struct in_operator *in = &e->in->operator;
    const struct cause c = operator_cause();
    struct buf cause;
    buf_init(&cause, &e->step_arena.mem, 1024);
    buf_printf(&cause, "%.*s-%llu", PRSPAN(in->person),
               (unsigned long long)new_id(e));
    if (!buf_ok(&cause))
        note_rc(e, RC_NO_MEMORY);
    struct hold_spec spec = {.kind = HOLD_SUSPENDED,
                             .otherwise = HOLD_SUSPENDED,
                             .operator_only = true,
                             .event = EVENT_OPERATOR,
                             .rule = SPAN("operator"),
                             .cause = buf_span(&cause),
                             .tools = in->tools,
                             .since_wall_ms = e->in->wall_ms};
    if (span_eq(in->hold_kind, span_str(hold_kind_word(HOLD_REVIEW)))) {
        spec.kind = HOLD_REVIEW; /* anybody may decide it, within a day */
        spec.due_ms = e->in->now_ms + REVIEW_WITHIN_MS;
        spec.due_wall_ms = e->in->wall_ms + REVIEW_WITHIN_MS;
    }
    record_operator(e, s, "hold_add", "done");
    history_operator(e, "hold_add");
    (void)hold_add(e, s, &spec, &c);
    if (spec.kind == HOLD_SUSPENDED)
        run_rules(e, s, &c);
    unpark(e, s);
    ack_when_stored(e, in->token);
}

static void lift_holds(struct engine *e, struct subject *s)
{
    const struct in_operator *in = &e->in->operator;
    unsigned lifted = 0;
    LIST_EACH (k, next, &s->holds) {
        struct hold *h = container_of(k, struct hold, link);
        if (!hold_matches(h, in->hold_kind, in->cause))
            continue;
        hold_lift(e, h, SPAN("operator"), in->person, in->reason);
        lifted++;
    }
    if (lifted == 0) {
        refuse(e, RC_UNKNOWN_NAME, "the agent has no such hold");
        return;
    }
    record_operator(e, s, "hold_lift", "done");
    history_operator(e, "hold_lift");
    unpark(e, s);
    ack_when_stored(e, in->token);
}

/* -------------------------------------------------------------- reviews */

static bool may_review(struct engine *e, const struct hold *h)
{
    const struct filter *by;
    size_t offset;
    struct span text = span_str((const char *)h->by);
    if (text.n == 0 || e->in->operator.may_review)
        return true;
    if (filter_compile(&e->step_arena.mem, text, &by, &offset, NULL) < 0)
        return false;
    const struct filter_env env = {.resource =
                                       e->in->operator.person_resource };
    return filter_eval(by, &env) == TRI_YES;
}

/* Denied or expired: it becomes what the policy said, suspended by default. */
static void turn_review(struct engine *e, struct hold *h, struct span person,
                        struct span why)
{
    struct subject *s = h->agent;
    const struct cause c = {.type = h->event,
                            .jti = keep(e, span_str((const char *)h->cause)),
                            .may = MAY_ALL};
    const struct hold_spec spec = {
        .kind = HOLD_SUSPENDED,
        .otherwise = HOLD_SUSPENDED,
        .operator_only = h->operator_only,
        .event = h->event,
        .rule = keep(e, span_str((const char *)h->rule)),
        .cause = c.jti,
        .tools = h->tools,
        .since_wall_ms = e->in->wall_ms,
    };
    if (hold_add(e, s, &spec, &c) || e->rc == 0)
        hold_lift(e, h, SPAN("review"), person, why);
}

static void review(struct engine *e, struct subject *s, bool approve)
{
    const struct in_operator *in = &e->in->operator;
    unsigned done = 0, forbidden = 0;
    LIST_EACH (k, next, &s->holds) {
        struct hold *h = container_of(k, struct hold, link);
        if (h->kind != HOLD_REVIEW || !hold_matches(h, SPAN(""), in->cause))
            continue;
        if (!may_review(e, h)) {
            forbidden++;
        } else if (approve) {
            hold_lift(e, h, SPAN("review"), in->person, in->reason);
            done++;
        } else {
            turn_review(e, h, in->person, in->reason);
            done++;
        }
    }
    if (done == 0) {
        refuse(e, forbidden > 0 ? RC_DENIED : RC_UNKNOWN_NAME,
               forbidden > 0 ? "the policy does not let you decide this review"
                             : "the agent has no such review");
        return;
    }
    record_operator(e, s, approve ? "review_approve" : "review_deny", "done");
    history_operator(e, approve ? "review_approve" : "review_deny");
    unpark(e, s);
    ack_when_stored(e, in->token);
}

void review_tick(struct engine *e)
{
    struct heap_link *k;
    while (e->rc == 0 && buf_ok(&e->facts) && buf_ok(&e->records) &&
           (k = heap_first(&e->holds.deadlines)) != NULL) {
        if (e->in->now_ms < k->at_ms) {
            wake_at(e, k->at_ms);
            return;
        }
        turn_review(e, container_of(k, struct hold, deadline), SPAN(""),
                    SPAN("expired"));
    }
}

/* ----------------------------------------------------------------- jobs */

static void change_job(struct engine *e)
{
    const struct in_operator *in = &e->in->operator;
    struct job *j = job_find(&e->jobs, in->job_id);
    if (j == NULL || !job_is_open(j)) {
        refuse(e, j == NULL ? RC_UNKNOWN_NAME : RC_STATE,
               j == NULL ? "no such job" : "the job has ended");
        return;
    }
    bool retry = in->verb == OP_JOB_RETRY;
    record_operator(e, j->agent, retry ? "job_retry" : "job_abandon", "done");
    if (retry && j->state == JOB_WITHHELD) {
        let_go(e, j);
    } else if (retry) {
        j->next_ms = e->in->now_ms;
        if (j->lane != NULL) /* somebody knows better than the breaker */
            lane_resume(&e->jobs.lanes, j->lane);
        job_plan(e, j);
        job_tick(e);
    } else {
        finish_job(e, j, JOB_ABANDONED);
    }
    ack_when_stored(e, in->token);
}

void undo_operator(struct engine *e)
{
    struct job *j = e->in->operator.verb == OP_JOB_RETRY
                        ? job_find(&e->jobs, e->in->operator.job_id)
                        : NULL;
    if (j == NULL || j->state != JOB_PENDING || j->row != e->seq + 1)
        return;
    j->row = 0;
    job_withhold(&e->jobs, j);
}

void on_operator(struct engine *e)
{
    const struct in_operator *in = &e->in->operator;
    enum subject_kind kind;
    struct subject *s = NULL;
    if (in->reason.n == 0) {
        refuse(e, RC_INVALID, "a reason is needed");
        return;
    }
    if (in->verb == OP_JOB_RETRY || in->verb == OP_JOB_ABANDON) {
        change_job(e);
        return;
    }
    if (in->base < 0 || (unsigned)in->base >= e->conf->base_count ||
        kind_of_uri(e, (unsigned)in->base, in->uri, &kind) < 0) {
        refuse(e, RC_INVALID, "this is not the path of an agent");
        return;
    }
    struct span url = e->conf->bases[in->base].url;
    s = subject_find(&e->subjects, url, in->uri);
    if (s == NULL && in->verb == OP_HOLD_ADD &&
        subject_get(&e->subjects, (unsigned)in->base, url, in->uri, kind, &s) <
            0) {
        refuse(e, RC_LIMIT, "too many subjects");
        return;
    }
    if (s == NULL)
        refuse(e, RC_UNKNOWN_NAME, "no such agent is known");
    else if (in->verb == OP_HOLD_ADD)
        add_hold(e, s);
    else if (in->verb == OP_HOLD_LIFT)
        lift_holds(e, s);
    else
        review(e, s, in->verb == OP_REVIEW_APPROVE);
}
