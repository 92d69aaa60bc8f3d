// SPDX-License-Identifier: Apache-2.0
/*
 * Stopping what runs: directives to runtimes that watch, orders to runtimes
 * that are called, and what they say about it. A call counts as stopped only
 * when its runtime says so; a lease that merely ends is "unknown".
 */
#include <string.h>

#include "sidecar/core/engine_internal.h"

#define CANCEL_WITHIN_DEFAULT_MS 10000

/* ---------------------------------------------------------- directives */

static void emit_directive(struct engine *e, struct runtime *r,
                           struct directive *d)
{
    if (r->watch == 0)
        return;
    struct out *o = emit(e, OUT_DIRECTIVE);
    o->directive = (struct out_directive){
        .watch = r->watch,
        .id = d->id,
        .type = d->type,
        .uri = d->agent->uri,
        .call_ids = d->call_ids,
        .purge = d->purge,
        .epoch = d->epoch,
        .reason = d->reason,
        .rule = d->rule,
        .jti = d->jti,
    };
}

/* What a limit leaves out is told some other way; what memory leaves out would
 * be told nobody. */
static void note_no_memory(struct engine *e, int rc)
{
    if (rc == RC_NO_MEMORY)
        note_rc(e, rc);
}

void send_directive(struct engine *e, struct runtime *r,
                    const struct directive *spec)
{
    struct directive *d;
    struct directive full = *spec;
    struct standing st;
    standing_of(e, spec->agent, 0, &st);
    full.id = new_id(e);
    full.epoch = st.epoch;
    int rc = directive_put(&e->calls, r, &full, &d);
    if (rc == 0)
        emit_directive(e, r, d);
    note_no_memory(e, rc);
    /* A full list means a runtime that does not acknowledge: its jobs stay
     * unconfirmed and run into their deadline. */
}

/* Tells every runtime that has something of the agent not to start more. */
void block_runtimes(struct engine *e, struct subject *agent, enum reason why,
                    struct span rule, struct span jti)
{
    struct runtime *told = NULL;
    LIST_EACH (k, next, &agent->calls) {
        struct runtime *r = container_of(k, struct call, agent_link)->runtime;
        const struct directive spec = {.type = DIRECTIVE_BLOCK,
                                       .agent = agent,
                                       .reason = why,
                                       .rule = rule,
                                       .jti = jti};
        if (r == told || r->watch == 0)
            continue;
        send_directive(e, r, &spec);
        told = r;
    }
}

/* -------------------------------------------------------------- cancel */

static bool tools_hit(const struct engine *e, const struct tool_set *tools,
                      struct span tool)
{
    return policy_tools_match(e->policy, tools, tool,
                              policy_tool_classes(e->policy, tool));
}

static unsigned count_hits(const struct engine *e, const struct subject *agent,
                           const struct runtime *r,
                           const struct tool_set *tools)
{
    unsigned n = 0;
    LIST_EACH (k, next, &agent->calls) {
        const struct call *c = container_of(k, struct call, agent_link);
        n +=
            (r == NULL || c->runtime == r) && tools_hit(e, tools, call_tool(c));
    }
    return n;
}

static void add_targets(struct engine *e, struct job *j,
                        const struct runtime *r, const struct tool_set *tools,
                        unsigned count)
{
    j->targets = mem_array(&j->arena.mem, count, sizeof *j->targets);
    if (j->targets == NULL) {
        note_rc(e, RC_NO_MEMORY);
        return;
    }
    LIST_EACH (k, next, &j->agent->calls) {
        struct call *c = container_of(k, struct call, agent_link);
        if (c->runtime != r || !tools_hit(e, tools, call_tool(c)) ||
            j->target_count >= count)
            continue;
        c->state = CALL_STOPPING;
        j->targets[j->target_count++] =
            (struct job_target){.call_id = job_text(j, call_id(c))};
    }
}

static void tell_runtime(struct engine *e, struct runtime *r,
                         const struct job *j)
{
    struct span *ids =
        mem_array(&e->step_arena.mem, j->target_count, sizeof *ids);
    unsigned n = 0;
    if (ids == NULL) {
        note_rc(e, RC_NO_MEMORY);
        return;
    }
    for (unsigned i = 0; i < j->target_count; i++)
        if (!j->targets[i].settled)
            ids[n++] = j->targets[i].call_id;
    const struct directive spec = {.type = DIRECTIVE_CANCEL,
                                   .agent = j->agent,
                                   .job_id = j->id,
                                   .call_ids = {ids, n},
                                   .reason = REASON_CANCELLED,
                                   .rule = j->rule,
                                   .jti = j->jti};
    if (n > 0)
        send_directive(e, r, &spec);
}

void tell_purge(struct engine *e, struct runtime *r, const struct job *j)
{
    const struct directive spec = {.type = DIRECTIVE_PURGE,
                                   .agent = j->agent,
                                   .job_id = j->id,
                                   .purge = j->purge,
                                   .reason = REASON_AGENT_SUSPENDED,
                                   .rule = j->rule,
                                   .jti = j->jti};
    send_directive(e, r, &spec);
}

static void cancel_at_runtime(struct engine *e, struct subject *agent,
                              struct runtime *r, const struct tool_set *tools,
                              const struct cause *c,
                              const struct policy_rule *rule,
                              const struct policy_step *step)
{
    unsigned count = count_hits(e, agent, r, tools);
    if (count > JOB_TARGETS_MAX)
        count = JOB_TARGETS_MAX;
    struct job *j = start_job(e, JOB_CANCEL, agent, c, rule->name, r->name);
    if (j == NULL)
        return;
    j->runtime_key = job_text(j, map_key(&r->link));
    add_targets(e, j, r, tools, count);
    arm_job(e, j,
            step != NULL && step->within_ms > 0 ? step->within_ms
                                                : CANCEL_WITHIN_DEFAULT_MS,
            step == NULL ? (struct names){NULL, 0} : step->otherwise);
    tell_runtime(e, r, j);
}

/* Does an open job wait for the end of this call? */
static bool is_awaited(const struct call *c)
{
    LIST_EACH (k, next, &subject_rare(c->agent)->jobs) {
        const struct job *j = container_of(k, struct job, agent_link);
        if (j->kind != JOB_CANCEL ||
            !span_eq(j->runtime_key, map_key(&c->runtime->link)))
            continue;
        for (unsigned i = 0; i < j->target_count; i++)
            if (!j->targets[i].settled &&
                span_eq(j->targets[i].call_id, call_id(c)))
                return true;
    }
    return false;
}

void cancel_calls(struct engine *e, struct subject *agent,
                  const struct tool_set *tools, const struct cause *c,
                  struct span rule, const struct policy_step *step)
{
    const struct policy_rule named = {.name = rule};
    if (count_hits(e, agent, NULL, tools) == 0) {
        record_nothing(e, agent, c, rule, "cancel");
        return;
    }
    /* One job a runtime. The list of calls may change only in on_* handlers,
     * so walking it while jobs mark calls is safe. */
    LIST_EACH (k, next, &agent->calls) {
        struct call *call = container_of(k, struct call, agent_link);
        if (!is_awaited(call) && tools_hit(e, tools, call_tool(call)))
            cancel_at_runtime(e, agent, call->runtime, tools, c, &named, step);
    }
}

/* One running call that the read or the policy no longer allows. */
void stop_call(struct engine *e, struct call *call)
{
    struct span tool = call_tool(call);
    const struct tool_set one = {.patterns = {&tool, 1}};
    const struct cause c = {
        .type = EVENT_REFRESHED, .jti = SPAN("read"), .may = MAY_ALL};
    const struct policy_rule named = {.name = SPAN("open_calls")};
    if (no_room(e, call->agent, &c, named.name, SPAN("cancel")))
        return; /* it is judged again when its lease is renewed */
    cancel_at_runtime(e, call->agent, call->runtime, &one, &c, &named, NULL);
}

void judge_call(struct engine *e, struct call *c)
{
    struct decision d;
    if (c->state != CALL_RUNNING || own_trouble(e) != REASON_NONE)
        return; /* trouble of ours cancels nothing */
    decide(e, c->agent, call_tool(c), call_run(c), &d);
    if (d.verdict == VERDICT_WAIT && e->policy->read_open_calls_now)
        want_read(e, c->agent);
    else if (d.verdict == VERDICT_DENY && !audit_mode(e) &&
             e->policy->open_calls_denied == OPEN_CANCEL)
        stop_call(e, c);
}

void judge_all_calls(struct engine *e)
{
    LIST_EACH (k, next, &e->calls.leases)
        judge_call(e, container_of(k, struct call, lease_link));
}

/* --------------------------------------------------------- call endings */

static void settle(struct engine *e, struct job *j, struct span call_id,
                   enum call_outcome outcome)
{
    for (unsigned i = 0; i < j->target_count; i++) {
        struct job_target *t = &j->targets[i];
        if (t->settled || !span_eq(t->call_id, call_id))
            continue;
        t->settled = true;
        t->outcome = outcome;
        j->settled_count++;
    }
    if (j->settled_count == j->target_count && j->state <= JOB_RUNNING)
        finish_job(e, j, JOB_CONFIRMED);
}

static void settle_in_jobs(struct engine *e, struct subject *agent,
                           const struct runtime *r, struct span call_id,
                           enum call_outcome outcome)
{
    LIST_EACH (k, next, &subject_rare(agent)->jobs) {
        struct job *j = container_of(k, struct job, agent_link);
        if (j->kind == JOB_CANCEL && span_eq(j->runtime_key, map_key(&r->link)))
            settle(e, j, call_id, outcome);
    }
}

static const char *outcome_word(enum call_outcome o)
{
    static const char *const words[] = {"unknown", "ok", "error", "cancelled"};
    return words[o];
}

static void record_call(struct engine *e, const struct call *c,
                        const char *outcome)
{
    struct record r = record_of(RECORD_ACTION);
    r.agent = c->agent->uri;
    r.base = base_url(e, c->agent);
    r.runtime = c->runtime->name;
    r.tool = call_tool(c);
    r.call = call_id(c);
    r.run = call_run(c);
    r.action = SPAN("tool_call");
    r.outcome = span_str(outcome);
    (void)record_now(e, &r, false);
}

/* `known`: the runtime said so. Otherwise nobody knows how it went, and a job
 * that waits for it stays unconfirmed. */
void call_ended(struct engine *e, struct call *c, enum call_outcome outcome,
                bool known)
{
    if (c->state == CALL_STOPPING || (!known && !c->lost))
        record_call(e, c, known ? outcome_word(outcome) : "unknown");
    if (known)
        settle_in_jobs(e, c->agent, c->runtime, call_id(c), outcome);
    call_free(&e->calls, c);
}

/* A lease that ends without a word: the call is unknown from now on. It may
 * still run, so it stays in reach of cancellations for a while. */
static void lose_expired(struct engine *e)
{
    struct call *c;
    while ((c = call_next_expiry(&e->calls)) != NULL) {
        if (e->in->now_ms < c->expires_ms) {
            wake_at(e, c->expires_ms);
            return;
        }
        record_call(e, c, "unknown");
        call_lose(&e->calls, c, e->in->now_ms + CALL_LOST_KEPT_MS);
    }
}

void lease_tick(struct engine *e)
{
    struct call *c;
    lose_expired(e);
    while ((c = call_next_lost(&e->calls)) != NULL) {
        if (e->in->now_ms < c->expires_ms) {
            wake_at(e, c->expires_ms);
            return;
        }
        call_free(&e->calls, c);
    }
}

/* ----------------------------------------------------- renew and end */

static struct call *own_call(const struct engine *e)
{
    const struct in_lease *in = &e->in->lease;
    struct call *c = call_by_lease(&e->calls, in->lease_id);
    return c == NULL || c->runtime->caller != in->caller ? NULL : c;
}

void on_renew(struct engine *e)
{
    struct call *c = own_call(e);
    if (c == NULL) {
        struct out *none = emit(e, OUT_LEASE);
        none->lease.token = e->in->lease.token;
        none->lease.reason = REASON_LEASE_UNKNOWN;
        none->lease.stop = true;
        return;
    }
    judge_call(e, c); /* also by age, and by a policy of after its begin */
    struct out *o = emit(e, OUT_LEASE);
    o->lease.token = e->in->lease.token;
    struct standing st;
    standing_of(e, c->agent, 0, &st);
    if (c->state == CALL_RUNNING)
        agenda_use(e, c->agent);
    o->lease.found = true;
    o->lease.stop = c->state != CALL_RUNNING;
    o->lease.reason = o->lease.stop ? REASON_CANCELLED : REASON_ALLOWED;
    o->lease.ttl_ms = (uint32_t)e->conf->limits.lease_ms;
    o->lease.epoch = st.epoch;
    call_renew(&e->calls, c, e->in->now_ms + e->conf->limits.lease_ms);
    wake_at(e, c->expires_ms);
}

void on_end(struct engine *e)
{
    struct call *c = own_call(e);
    struct out *o = emit(e, OUT_LEASE);
    o->lease.token = e->in->lease.token;
    o->lease.found = c != NULL;
    o->lease.reason = c == NULL ? REASON_LEASE_UNKNOWN : REASON_NONE;
    if (c != NULL)
        call_ended(e, c, e->in->lease.outcome, true);
}

/* ---------------------------------------------------------------- watch */

static const struct in_live_call *find_live(const struct in_hello *in,
                                            struct span call_id)
{
    for (unsigned i = 0; i < in->call_count; i++)
        if (span_eq(in->calls[i].call_id, call_id))
            return &in->calls[i];
    return NULL;
}

/* What the runtime does not list no longer runs there: its own word. */
static void drop_absent(struct engine *e, struct runtime *r)
{
    LIST_EACH (k, next, &r->calls) {
        struct call *c = container_of(k, struct call, runtime_link);
        if (find_live(&e->in->hello, call_id(c)) == NULL)
            call_ended(e, c, CALL_UNKNOWN, c->state == CALL_STOPPING);
    }
    LIST_EACH (j, next_j, &e->jobs.open) {
        struct job *job = container_of(j, struct job, state_link);
        if (job->kind != JOB_CANCEL ||
            !span_eq(job->runtime_key, map_key(&r->link)))
            continue;
        for (unsigned i = 0; i < job->target_count && job->state <= JOB_RUNNING;
             i++)
            if (!job->targets[i].settled &&
                find_live(&e->in->hello, job->targets[i].call_id) == NULL)
                settle(e, job, job->targets[i].call_id, CALL_UNKNOWN);
    }
}

/* Calls that a job is about are to stop, also when the runtime has only just
 * told us of them. */
static void mark_stopping(struct engine *e, struct runtime *r)
{
    LIST_EACH (k, next, &e->jobs.open) {
        const struct job *j = container_of(k, struct job, state_link);
        if (j->kind != JOB_CANCEL ||
            !span_eq(j->runtime_key, map_key(&r->link)))
            continue;
        for (unsigned i = 0; i < j->target_count; i++) {
            struct call *c = call_by_id(&e->calls, r, j->targets[i].call_id);
            if (c != NULL && !j->targets[i].settled)
                c->state = CALL_STOPPING;
        }
    }
}

static void adopt(struct engine *e, struct runtime *r,
                  const struct in_live_call *live)
{
    const struct engine_caller *who = &e->conf->callers[r->caller];
    int base = find_base(e, live->base, who);
    enum subject_kind kind;
    struct subject *s;
    struct call *c;
    bool fresh;
    if (!caller_may(e, r->caller, base, live->uri) ||
        kind_of_uri(e, (unsigned)base, live->uri, &kind) < 0)
        return;
    int rc = subject_get(&e->subjects, (unsigned)base, e->conf->bases[base].url,
                         live->uri, kind, &s);
    if (rc < 0) {
        note_no_memory(e, rc);
        return;
    }
    const struct call_spec spec = {
        .agent = s,
        .runtime = r,
        .tool = live->tool,
        .call_id = live->call_id,
        .run_id = live->run_id,
        .lease = e->in->random ^ new_id(e),
        .expires_ms = e->in->now_ms + e->conf->limits.lease_ms,
        .since_wall_ms = e->in->wall_ms,
    };
    rc = call_put(&e->calls, &spec, &c, &fresh);
    if (rc < 0) {
        note_no_memory(e, rc);
        return;
    }
    if (!fresh) /* the runtime says that it runs: no longer lost */
        call_renew(&e->calls, c, spec.expires_ms);
    wake_at(e, c->expires_ms);
    mark_stopping(e, r);
    c->given = true;
    if (fresh)
        judge_call(e, c);
}

static bool was_told(const struct runtime *r, const struct job *j)
{
    LIST_EACH (k, next, &r->directives)
        if (container_of(k, struct directive, link)->job_id == j->id)
            return true;
    return false;
}

/* Jobs of before a restart, for what this runtime still has. */
static void resume_jobs(struct engine *e, struct runtime *r)
{
    LIST_EACH (k, next, &e->jobs.open) {
        struct job *j = container_of(k, struct job, state_link);
        bool ours = j->kind == JOB_CANCEL || j->kind == JOB_PURGE;
        if (!ours || j->state == JOB_WITHHELD ||
            !span_eq(j->runtime_key, map_key(&r->link)) || was_told(r, j))
            continue;
        if (j->kind == JOB_CANCEL)
            tell_runtime(e, r, j);
        else
            tell_purge(e, r, j);
    }
}

/* Directives that were not acknowledged, but for those whose job has been
 * confirmed some other way. */
static void tell_again(struct engine *e, struct runtime *r)
{
    LIST_EACH (k, next, &r->directives) {
        struct directive *d = container_of(k, struct directive, link);
        const struct job *j = job_find(&e->jobs, d->job_id);
        if (j != NULL && j->state == JOB_CONFIRMED)
            directive_free(&e->calls, r, d);
        else
            emit_directive(e, r, d);
    }
}

void on_hello(struct engine *e)
{
    const struct in_hello *in = &e->in->hello;
    struct runtime *r;
    int rc = runtime_get(&e->calls, &e->conf->callers[in->caller], in->caller,
                         in->runtime, &r);
    if (rc < 0) {
        note_rc(e, rc);
        return;
    }
    r->watch = in->watch;
    runtime_clear_labels(&e->calls, r);
    for (unsigned i = 0; i < in->label_count; i++)
        ignore_rc(runtime_set_label(&e->calls, r, in->labels[i].name,
                                    in->labels[i].value)); /* an action that
                                    needs a missing label fails and says so */
    drop_absent(e, r);
    tell_again(e, r);
    resume_jobs(e, r);
    for (unsigned i = 0; i < in->call_count; i++)
        adopt(e, r, &in->calls[i]);
    struct out *o = emit(e, OUT_SNAPSHOT_END);
    o->snapshot_end.watch = in->watch;
    o->snapshot_end.epoch = epoch_of(e, e->input);
    struct record rec = record_of(RECORD_ACTION);
    rec.caller = e->conf->callers[in->caller].name;
    rec.runtime = in->runtime;
    rec.action = SPAN("watch");
    rec.outcome = SPAN("connected");
    rec.count = in->call_count;
    (void)record_now(e, &rec, false);
}

void on_watch_gone(struct engine *e)
{
    struct map_link *k = NULL;
    while ((k = map_next(&e->calls.runtimes, k)) != NULL) {
        struct runtime *r = container_of(k, struct runtime, link);
        if (r->watch == e->in->watch_gone)
            r->watch = 0; /* its calls live on until their leases end */
    }
}

/* ------------------------------------------------------ acknowledgement */

static bool directive_number(struct span text, uint64_t *ret)
{
    uint64_t v = 0;
    if (text.n != 17 || text.p[0] != 'D')
        return false;
    for (size_t i = 1; i < text.n; i++) {
        unsigned char c = text.p[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                                : 16;
        if (digit > 15)
            return false;
        v = v << 4 | digit;
    }
    *ret = v;
    return true;
}

static void ack_cancel(struct engine *e, struct runtime *r)
{
    const struct in_ack *in = &e->in->ack;
    for (unsigned i = 0; i < in->call_count; i++) {
        struct call *c = call_by_id(&e->calls, r, in->calls[i].call_id);
        if (c != NULL && in->calls[i].outcome != CALL_UNKNOWN)
            call_ended(e, c, in->calls[i].outcome, true);
    }
}

static void ack_purge(struct engine *e, struct job *j)
{
    if (j == NULL || j->kind != JOB_PURGE || !job_is_open(j))
        return;
    finish_job(e, j, e->in->ack.done ? JOB_CONFIRMED : JOB_REFUSED);
}

void on_ack(struct engine *e)
{
    const struct in_ack *in = &e->in->ack;
    const struct engine_caller *who = &e->conf->callers[in->caller];
    struct runtime *r = runtime_find(&e->calls, who->name, in->runtime);
    uint64_t id;
    struct directive *d = r != NULL && directive_number(in->directive_id, &id)
                              ? directive_find(r, id)
                              : NULL;
    if (in->token != 0) {
        struct out *o = emit(e, OUT_DONE);
        o->done.token = in->token;
        o->done.rc = r == NULL ? RC_UNKNOWN_NAME : 0;
        o->done.text = r == NULL ? SPAN("no such runtime") : SPAN("");
    }
    if (d == NULL)
        return; /* acknowledged before: an acknowledgement is idempotent */
    enum directive_type type = d->type;
    uint64_t job_id = d->job_id;
    directive_free(&e->calls, r, d);
    if (type == DIRECTIVE_CANCEL)
        ack_cancel(e, r);
    else if (type == DIRECTIVE_PURGE)
        ack_purge(e, job_find(&e->jobs, job_id));
}
