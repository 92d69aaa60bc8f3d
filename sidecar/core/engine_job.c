// SPDX-License-Identifier: Apache-2.0
/*
 * Jobs: made by rules, attempted once their row is committed
 * (engine_dispatch.c), and ended by a confirmation, a refusal, the deadline
 * (then `otherwise` runs) or an operator. "Sent" is never "done".
 */
#include <string.h>

#include "sidecar/core/engine_internal.h"

#define WITHIN_DEFAULT_MS 30000

/* -------------------------------------------------------------- records */

/* `why` empty: what the job itself knows. */
static void record_job_why(struct engine *e, const struct job *j,
                           const char *outcome, struct span why)
{
    struct standing st;
    standing_of(e, j->agent, 0, &st);
    struct record r = record_of(RECORD_ACTION);
    r.agent = j->agent->uri;
    r.base = base_url(e, j->agent);
    r.feed = j->feed;
    r.event = span_str(event_type_name(j->event));
    r.jti = j->jti;
    r.rule = j->rule;
    r.action = j->kind == JOB_ACTION ? j->action.name
                                     : span_str(job_kind_word(j->kind));
    r.target = j->target;
    r.job = j->id;
    r.attempt = j->attempts;
    r.reach = j->kind == JOB_CANCEL ? (int64_t)j->target_count : 1;
    r.confirmed = j->kind == JOB_CANCEL ? (int64_t)j->settled_count
                                        : j->state == JOB_CONFIRMED;
    r.outcome = span_str(outcome);
    r.why = j->last_error.n > 0 ? j->last_error : j->why;
    if (why.n > 0)
        r.why = why;
    if (j->state == JOB_WITHHELD && j->withheld != REASON_NONE)
        r.reason = span_str(reason_code(j->withheld));
    r.epoch = st.epoch;
    record_row(e, &r);
}

void record_job(struct engine *e, const struct job *j, const char *outcome)
{
    record_job_why(e, j, outcome, SPAN(""));
}

/* "0 of 0" is a result of its own, never a confirmation. */
void record_nothing(struct engine *e, struct subject *agent,
                    const struct cause *c, struct span rule, const char *action)
{
    struct record r = record_caused(e, RECORD_ACTION, agent, c, rule);
    r.action = span_str(action);
    r.reach = 0;
    r.confirmed = 0;
    r.outcome = SPAN("nothing_registered");
    record_row(e, &r);
}

/* ------------------------------------------------------------- creation */

/* What receivers know the job by, over all attempts. One statement may be about
 * several agents; what bailiff finds by itself has no jti of its own, so that
 * the job's number makes it another thing each time. */
static void put_job_key(struct engine *e, struct job *j)
{
    struct buf b;
    buf_init(&b, &e->step_arena.mem, 8192);
    buf_put(&b, j->jti);
    if (event_type_uri(j->event)[0] == 0)
        buf_printf(&b, ".%llx", (unsigned long long)j->id);
    const struct span parts[] = {j->rule, span_str(job_kind_word(j->kind)),
                                 j->target, j->agent->uri};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        buf_put_u8(&b, ':');
        buf_put(&b, parts[i]);
    }
    j->key = job_text(j, buf_span(&b));
    j->no_memory = j->no_memory || !buf_ok(&b);
}

/* Is the same thing under way already? Then it need not run twice. */
static bool job_exists(const struct subject *agent, enum job_kind kind,
                       const struct cause *c, struct span rule,
                       struct span target)
{
    LIST_EACH (k, next, &subject_rare(agent)->jobs) {
        const struct job *j = container_of(k, struct job, agent_link);
        if (j->kind == kind && span_eq(j->jti, c->jti) &&
            span_eq(j->rule, rule) && span_eq(j->target, target))
            return true;
    }
    return false;
}

/* One withheld job for the same target is enough: whoever lets it go lets
 * nothing twice. */
static bool is_withheld(const struct subject *agent, enum job_kind kind,
                        struct span rule, struct span target)
{
    LIST_EACH (k, next, &subject_rare(agent)->jobs) {
        const struct job *j = container_of(k, struct job, agent_link);
        if (j->state == JOB_WITHHELD && j->kind == kind &&
            span_eq(j->rule, rule) && span_eq(j->target, target))
            return true;
    }
    return false;
}

/* Nothing will remember it, but it has not happened either. */
static void record_not_kept(struct engine *e, const struct subject *agent,
                            const struct cause *c, struct span rule,
                            enum job_kind kind, struct span target)
{
    struct record r = record_caused(e, RECORD_ACTION, agent, c, rule);
    r.action = kind == JOB_ACTION ? target : span_str(job_kind_word(kind));
    r.target = target;
    r.outcome = SPAN("withheld");
    r.reason = span_str(reason_code(c->withheld));
    r.why = SPAN("too many jobs are withheld: this one is not kept");
    record_row(e, &r);
}

struct job *start_job(struct engine *e, enum job_kind kind,
                      struct subject *agent, const struct cause *c,
                      struct span rule, struct span target)
{
    struct job *j;
    if (kind != JOB_CANCEL && job_exists(agent, kind, c, rule, target))
        return NULL;
    if (c->withheld != REASON_NONE) {
        e->stats.withheld++;
        if (is_withheld(agent, kind, rule, target))
            return NULL;
        if (jobs_withheld_full(&e->jobs)) {
            record_not_kept(e, agent, c, rule, kind, target);
            return NULL;
        }
    }
    int rc = job_new(&e->jobs, new_id(e), kind, agent, &j);
    if (rc < 0) {
        note_rc(e, rc);
        return NULL;
    }
    struct standing st;
    standing_of(e, agent, 0, &st);
    j->row = e->seq + 1;
    j->epoch = st.epoch;
    j->created_ms = j->next_ms = e->in->now_ms;
    j->created_wall_ms = e->in->wall_ms;
    j->event = c->type;
    j->rule = job_text(j, rule);
    j->jti = job_text(j, c->jti);
    j->feed = job_text(j, c->feed);
    j->target = job_text(j, target);
    put_job_key(e, j);
    j->why = job_text(j, c->why);
    if (j->no_memory) {
        note_rc(e, RC_NO_MEMORY);
        job_drop(&e->jobs, j);
        return NULL;
    }
    if (c->withheld != REASON_NONE) {
        j->withheld = c->withheld;
        job_withhold(&e->jobs, j);
    }
    return j;
}

static void begin_job(struct engine *e, struct job *j)
{
    j->deadline_ms = e->in->now_ms + j->within_ms;
    j->deadline_wall_ms = e->in->wall_ms + j->within_ms;
    note_rc(e, job_enter(e, j));
    fact_job(e, j, false);
    record_job(e, j, "started");
    job_plan(e, j);
    wake_at(e, j->deadline_ms);
}

void arm_job(struct engine *e, struct job *j, int64_t within_ms,
             struct names otherwise)
{
    j->within_ms = within_ms > 0 ? within_ms : WITHIN_DEFAULT_MS;
    note_rc(e, job_names(j, otherwise, &j->otherwise));
    if (j->no_memory)
        note_rc(e, RC_NO_MEMORY);
    if (j->state == JOB_WITHHELD) {
        fact_job(e, j, false);
        record_job(e, j, "withheld");
    } else {
        begin_job(e, j);
    }
}

void revoke_one(struct engine *e, const struct credential *cr,
                const struct cause *c, struct span rule,
                const struct policy_step *step)
{
    struct job *j = start_job(e, JOB_REVOKE, cr->agent, c, rule, cr->id);
    if (j == NULL)
        return;
    j->credential_id = job_text(j, cr->id);
    j->issuer = job_text(j, cr->issuer);
    j->sealed = job_text(j, cr->sealed);
    j->refresh = cr->refresh;
    if (j->sealed.p == NULL || j->issuer.p == NULL)
        note_rc(e, RC_NO_MEMORY);
    arm_job(e, j, step->within_ms, step->otherwise);
}

void revoke_all(struct engine *e, struct subject *agent, const struct cause *c,
                struct span rule, const struct policy_step *step)
{
    if (list_empty(&subject_rare(agent)->credentials)) {
        record_nothing(e, agent, c, rule, "revoke");
        return;
    }
    /* Refresh tokens first (7009-R6). */
    for (int refresh = 1; refresh >= 0; refresh--) {
        LIST_EACH (k, next, &subject_rare(agent)->credentials) {
            const struct credential *cr =
                container_of(k, struct credential, link);
            if (cr->refresh == (refresh == 1))
                revoke_one(e, cr, c, rule, step);
        }
    }
}

/* Runtimes that hold something of the agent: calls or credentials. */
static bool holds_something(const struct subject *agent,
                            const struct runtime *r)
{
    LIST_EACH (k, next, &agent->calls)
        if (container_of(k, struct call, agent_link)->runtime == r)
            return true;
    LIST_EACH (c, next_c, &subject_rare(agent)->credentials)
        if (span_eq(container_of(c, struct credential, link)->runtime_key,
                    map_key(&r->link)))
            return true;
    return false;
}

static void purge_at(struct engine *e, struct subject *agent, struct runtime *r,
                     const struct cause *c, struct span rule,
                     const struct policy_step *step)
{
    struct job *j = start_job(e, JOB_PURGE, agent, c, rule, r->name);
    if (j == NULL)
        return;
    j->runtime_key = job_text(j, map_key(&r->link));
    note_rc(e, job_names(j, step->purge, &j->purge));
    arm_job(e, j, step->within_ms, step->otherwise);
    if (j->state != JOB_WITHHELD)
        tell_purge(e, r, j);
}

void let_go(struct engine *e, struct job *j)
{
    struct map_link *k = map_find(&e->calls.runtimes, j->runtime_key);
    job_let_go(&e->jobs, j);
    j->row = e->seq + 1; /* not before the operator's word is durable */
    j->created_ms = j->next_ms = e->in->now_ms;
    j->created_wall_ms = e->in->wall_ms;
    begin_job(e, j);
    if (j->kind == JOB_PURGE && k != NULL)
        tell_purge(e, container_of(k, struct runtime, link), j);
}

void purge_all(struct engine *e, struct subject *agent, const struct cause *c,
               struct span rule, const struct policy_step *step)
{
    unsigned reach = 0;
    struct map_link *k = NULL;
    while ((k = map_next(&e->calls.runtimes, k)) != NULL) {
        struct runtime *r = container_of(k, struct runtime, link);
        if (!holds_something(agent, r))
            continue;
        purge_at(e, agent, r, c, rule, step);
        reach++;
    }
    if (reach == 0)
        record_nothing(e, agent, c, rule, "purge");
}

void action_start(struct engine *e, struct subject *agent,
                  const struct cause *c, struct span rule, int action,
                  const struct policy_step *step)
{
    must(action >= 0 && (unsigned)action < e->policy->action_count);
    const struct policy_action *a = &e->policy->actions[action];
    struct job *j = start_job(e, JOB_ACTION, agent, c, rule, a->name);
    if (j == NULL)
        return;
    note_rc(e, job_action(j, a));
    arm_job(e, j, step == NULL ? 0 : step->within_ms,
            step == NULL ? (struct names){NULL, 0} : step->otherwise);
}

/* --------------------------------------------------------------- ending */

bool no_room(struct engine *e, const struct subject *agent,
             const struct cause *c, struct span rule, struct span action)
{
    if (e->jobs.open_count < e->jobs.max)
        return false;
    struct record r = record_caused(e, RECORD_ACTION, agent, c, rule);
    r.action = action;
    r.outcome = SPAN("failed");
    r.why = SPAN("too many jobs are open");
    record_row(e, &r);
    return true;
}

static void run_otherwise(struct engine *e, struct job *j)
{
    const struct cause c = {
        .type = j->event, .feed = j->feed, .jti = j->jti, .may = MAY_ALL};
    for (unsigned i = 0; i < j->otherwise.count; i++) {
        struct span name = j->otherwise.at[i];
        int found = -1;
        for (unsigned a = 0; a < e->policy->action_count; a++)
            if (span_eq(e->policy->actions[a].name, name))
                found = (int)a;
        if (found < 0)
            record_nothing(e, j->agent, &c, j->rule, "otherwise");
        else if (!no_room(e, j->agent, &c, j->rule, name))
            action_start(e, j->agent, &c, j->rule, found, NULL);
    }
}

static void forget_credential(struct engine *e, const struct job *j)
{
    LIST_EACH (k, next, &subject_rare(j->agent)->credentials) {
        struct credential *cr = container_of(k, struct credential, link);
        if (!span_eq(cr->id, j->credential_id) ||
            !span_eq(cr->sealed, j->sealed))
            continue;
        fact_credential(e, cr, true);
        credential_free(e, cr);
    }
}

static void close_job(struct engine *e, struct job *j, enum job_state state,
                      struct span why)
{
    enum job_state open_state = j->state;
    j->state = state;
    record_job_why(e, j, job_state_word(state), why);
    j->state = open_state;
    fact_job(e, j, true);
    if (j->lane != NULL && !list_empty(&j->lane->waiting))
        wake_at(e, e->in->now_ms); /* its place is free */
    j->end_row = e->seq + 1;
    job_end(&e->jobs, j, state);
}

/* What a limit withheld of this very token has come true without a person. */
static void close_withheld_twins(struct engine *e, const struct job *done)
{
    LIST_EACH (k, next, &subject_rare(done->agent)->jobs) {
        struct job *j = container_of(k, struct job, agent_link);
        if (j->state != JOB_WITHHELD || j->kind != JOB_REVOKE ||
            !span_eq(j->credential_id, done->credential_id) ||
            !span_eq(j->sealed, done->sealed))
            continue;
        struct buf why;
        buf_init(&why, &e->step_arena.mem, 64);
        buf_printf(&why, "job %016llx revoked the same token",
                   (unsigned long long)done->id);
        close_job(e, j, JOB_CONFIRMED, buf_span(&why));
    }
}

void finish_job(struct engine *e, struct job *j, enum job_state state)
{
    if (j->kind == JOB_REVOKE && state == JOB_CONFIRMED) {
        forget_credential(e, j);
        close_withheld_twins(e, j);
    }
    close_job(e, j, state, SPAN(""));
    if (state == JOB_FAILED || state == JOB_REFUSED)
        run_otherwise(e, j); /* it has room now */
}

/* ---------------------------------------------------------- failed steps */

void undo_jobs(struct engine *e)
{
    while (!list_empty(&e->jobs.open)) {
        struct job *j =
            container_of(e->jobs.open.head.prev, struct job, state_link);
        if (j->row != e->seq + 1)
            break;
        job_drop(&e->jobs, j);
    }
    while (!list_empty(&e->jobs.ended)) {
        struct job *j =
            container_of(e->jobs.ended.head.prev, struct job, state_link);
        if (j->end_row != e->seq + 1)
            break;
        job_reopen(&e->jobs, j, e->in->now_ms + ROOM_AGAIN_MS);
        if (j->state == JOB_WITHHELD)
            continue;
        ignore_rc(job_enter(e, j)); /* without a lane it waits for its end */
        wake_at(e, j->next_ms);
    }
}
