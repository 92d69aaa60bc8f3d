// SPDX-License-Identifier: Apache-2.0
/*
 * The gate. A question is answered from memory: deny at once, wait for a read
 * when the agent is merely stale, or allow, and then the answer leaves only
 * after its record was written and the agent's epoch is still the same.
 */
#include <string.h>

#include "sidecar/core/engine_internal.h"

/* ------------------------------------------------------------ deciding */

static void deny(struct decision *d, enum reason why, struct span rule)
{
    d->verdict = VERDICT_DENY;
    d->reason = why;
    d->rule = rule;
}

static enum reason hold_reason(enum hold_kind k)
{
    switch (k) {
        case HOLD_SUSPENDED: return REASON_AGENT_SUSPENDED;
        case HOLD_REVIEW: return REASON_AGENT_IN_REVIEW;
        case HOLD_UNCOVERED: return REASON_AGENT_UNCOVERED;
        case HOLD_KIND_COUNT: break;
    }
    return REASON_AGENT_SUSPENDED;
}

enum reason own_trouble(const struct engine *e)
{
    if (e->poisoned)
        return REASON_STORE_POISONED;
    /* Before the boot is counted on disk, a crash would make the next one
     * give out its epochs and decision numbers again. */
    if (e->blocked || e->stored < e->boot_row)
        return REASON_STORE_BLOCKED;
    if (e->log_broken)
        return REASON_LOG_BROKEN;
    return e->stopping ? REASON_SHUTTING_DOWN : REASON_NONE;
}

/* Never seen, seen only in events, or gone when it was last read: one lookup
 * decides. An agent that an event has announced is looked up even where
 * strangers are not; one that is gone only after news, or after max_age. */
static void decide_unknown(struct engine *e, struct subject *s,
                           struct decision *d)
{
    bool announced = s->stamp_wall_ms != 0;
    bool old = e->in->now_ms - s->read_ms > e->policy->max_age_ms;
    const struct read_state *read = &subject_rare(s)->read;
    bool just_read = read->id == 0 && e->in->now_ms < read->not_before_ms;
    if (s->found == FOUND_ABSENT && (just_read || (!s->event_open && !old)))
        deny(d, REASON_AGENT_GONE, SPAN(""));
    else if ((just_read && !s->event_open) ||
             (!e->policy->lookup_unknown && !announced))
        deny(d,
             read->last_failed ? REASON_REFRESH_FAILED : REASON_UNKNOWN_AGENT,
             SPAN(""));
    else
        d->verdict = VERDICT_WAIT;
}

/* Stale: wait for a read, unless reads fail just now. */
static void decide_stale(struct engine *e, const struct subject *s,
                         const struct standing *st,
                         const struct gate_says *gate, struct decision *d)
{
    const struct read_state *read = &subject_rare(s)->read;
    bool failing = read->last_failed && read->id == 0 &&
                   e->in->now_ms < read->not_before_ms;
    if (!failing) {
        d->verdict = VERDICT_WAIT;
        return;
    }
    int64_t limit = gate->max_age_ms + gate->old_allow_for_ms;
    if (st->only_age && gate->old_allow_for_ms > 0 &&
        e->in->now_ms - s->read_ms <= limit) {
        d->reason = REASON_ALLOWED_OLD;
        return;
    }
    deny(d, REASON_REFRESH_FAILED, SPAN(""));
}

static void apply_gate(struct engine *e, const struct gate_says *g,
                       struct decision *d)
{
    const struct gate_verdict *v = &g->verdict;
    struct span rule = v->decider == NULL ? SPAN("") : v->decider->name;
    d->would = v->would || (!v->allowed && audit_mode(e));
    if (d->would)
        d->rule = rule;
    else if (!v->allowed)
        deny(d, g->named ? REASON_GATE_RULE : REASON_TOOL_NOT_NAMED, rule);
}

void decide(struct engine *e, struct subject *s, struct span tool,
            struct span run_id, struct decision *d)
{
    *d = (struct decision){.verdict = VERDICT_ALLOW, .reason = REASON_ALLOWED};
    struct gate_says gate;
    gate_ask(e, s, tool, run_id, &gate);
    struct standing st;
    standing_of(e, s, gate.max_age_ms, &st);
    d->epoch = st.epoch;
    d->valid_for_ms = gate.max_age_ms - (e->in->now_ms - s->read_ms);

    enum reason trouble = own_trouble(e);
    const struct hold *h = hold_strictest(s, tool);
    /* A hold never waits, but only a fresh read can release it: the question
     * shows that somebody wants to know. */
    if ((h != NULL || st.uncovered) && st.stale && is_agent(e, s))
        want_read(e, s);
    if (trouble != REASON_NONE)
        deny(d, trouble, SPAN(""));
    else if (h != NULL)
        deny(d, hold_reason(h->kind), span_str((const char *)h->rule));
    else if (st.uncovered)
        deny(d, REASON_AGENT_UNCOVERED, SPAN(""));
    else if (s->kind == SUBJECT_GROUP ||
             (s->kind == SUBJECT_USER && e->policy->agents_where == NULL))
        deny(d, REASON_NOT_AN_AGENT, SPAN(""));
    else if (!s->known || s->found == FOUND_ABSENT)
        decide_unknown(e, s, d);
    else if (st.stale)
        decide_stale(e, s, &st, &gate, d);
    if (d->verdict != VERDICT_ALLOW)
        return;
    if (!is_agent(e, s))
        deny(d, REASON_NOT_AN_AGENT, SPAN(""));
    else if (!s->active)
        deny(d, REASON_AGENT_INACTIVE, SPAN(""));
    else
        apply_gate(e, &gate, d);
}

/* ----------------------------------------------------------- answering */

static struct record gate_record(const struct engine *e,
                                 const struct in_ask *ask, unsigned caller,
                                 const struct decision *d, bool begin)
{
    struct record r = record_of(RECORD_GATE);
    int base = find_base(e, ask->base, &e->conf->callers[caller]);
    r.agent = ask->uri;
    if (e->conf->base_count > 1 && base >= 0)
        r.base = e->conf->bases[base].url;
    r.caller = e->conf->callers[caller].name;
    r.runtime = ask->runtime;
    r.tool = ask->tool;
    r.call = ask->call_id;
    r.run = ask->run_id;
    r.trace_id = ask->trace_id;
    r.rule = d->rule;
    r.action = begin ? SPAN("begin") : SPAN("check");
    r.outcome = d->verdict == VERDICT_ALLOW ? SPAN("allow") : SPAN("deny");
    r.reason = span_str(reason_code(d->reason));
    r.epoch = d->epoch;
    r.would = d->would;
    return r;
}

static uint32_t clamp_ms(int64_t ms)
{
    return ms < 0 ? 0 : ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

static void answer_deny(struct engine *e, const struct in_ask *ask,
                        const struct decision *d, bool begin)
{
    e->stats.denies++;
    struct record r = gate_record(e, ask, ask->caller, d, begin);
    r.decision = new_id(e);
    (void)record_now(e, &r, false);
    struct out *o = emit(e, OUT_ANSWER);
    o->answer = (struct out_answer){.token = ask->token,
                                    .reason = d->reason,
                                    .rule = keep(e, d->rule),
                                    .decision = r.decision,
                                    .epoch = d->epoch};
}

static struct pending_answer *pending_push(struct engine *e)
{
    if (e->pending_count == e->pending_cap) {
        size_t cap = e->pending_cap == 0 ? 64 : e->pending_cap * 2;
        struct pending_answer *ring =
            cap > PENDING_ANSWERS_MAX ? NULL
                                      : mem_array(e->mem, cap, sizeof *ring);
        if (ring == NULL)
            return NULL;
        for (size_t i = 0; i < e->pending_count; i++)
            ring[i] = e->pending[(e->pending_head + i) % e->pending_cap];
        mem_release(e->mem, e->pending);
        e->pending = ring;
        e->pending_cap = cap;
        e->pending_head = 0;
    }
    must(e->pending != NULL && e->pending_count < e->pending_cap);
    return &e->pending[(e->pending_head + e->pending_count++) % e->pending_cap];
}

static struct call *begin_call(struct engine *e, struct subject *s,
                               const struct in_ask *ask)
{
    struct runtime *rt;
    struct call *c;
    bool fresh;
    const struct engine_caller *who = &e->conf->callers[ask->caller];
    const struct call_spec base = {
        .agent = s,
        .tool = ask->tool,
        .call_id = ask->call_id,
        .run_id = ask->run_id,
        .lease = e->in->random != 0 ? e->in->random : new_id(e),
        .expires_ms = e->in->now_ms + e->conf->limits.lease_ms,
        .since_wall_ms = e->in->wall_ms,
    };
    struct call_spec spec = base;
    if (runtime_get(&e->calls, who, ask->caller, ask->runtime, &rt) < 0)
        return NULL;
    spec.runtime = rt;
    if (call_put(&e->calls, &spec, &c, &fresh) < 0)
        return NULL;
    if (c->agent != s || !span_eq(call_tool(c), ask->tool))
        return NULL; /* the id is in use for something else */
    if (!fresh)
        call_renew(&e->calls, c, spec.expires_ms);
    wake_at(e, c->expires_ms);
    return c;
}

static void answer_allow(struct engine *e, struct subject *s,
                         const struct in_ask *ask, struct decision *d,
                         bool begin)
{
    struct call *call = begin ? begin_call(e, s, ask) : NULL;
    bool stopping = call != NULL && call->state != CALL_RUNNING;
    struct pending_answer *p =
        stopping || (begin && call == NULL) ? NULL : pending_push(e);
    struct record r = gate_record(e, ask, ask->caller, d, begin);
    r.decision = new_id(e);
    uint64_t ticket = p == NULL ? 0 : record_now(e, &r, false);
    if (ticket == 0) { /* no allow without its record */
        deny(d, stopping ? REASON_CANCELLED : REASON_LIMIT_REACHED, SPAN(""));
        if (p != NULL)
            e->pending_count--;
        if (call != NULL && !call->given && !stopping)
            call_free(&e->calls, call);
        answer_deny(e, ask, d, begin);
        return;
    }
    p->ticket = ticket;
    p->agent = s;
    p->caller = ask->caller;
    p->begin = begin;
    p->since_ms = e->in->now_ms;
    p->tool_n = ask->tool.n;
    memcpy(p->tool, ask->tool.p, ask->tool.n);
    p->answer = (struct out_answer){
        .token = ask->token,
        .allow = true,
        .reason = d->reason,
        .decision = r.decision,
        .epoch = d->epoch,
        .valid_for_ms = clamp_ms(d->valid_for_ms),
        .lease = call == NULL ? 0 : call->lease,
        .lease_ttl_ms = clamp_ms(e->conf->limits.lease_ms),
    };
    wake_at(e, e->in->now_ms + e->conf->limits.log_stall_ms);
}

/* ------------------------------------------------------------- parking */

static size_t ask_bytes(const struct in_ask *a)
{
    return a->uri.n + a->tool.n + a->run_id.n + a->trace_id.n + a->call_id.n +
           a->runtime.n;
}

static struct parked *parked_new(struct engine *e, const struct in_ask *ask)
{
    struct parked *p = mem_alloc(e->mem, sizeof *p + ask_bytes(ask));
    if (p == NULL)
        return NULL;
    unsigned char *at = (unsigned char *)(p + 1);
    p->ask = *ask;
    p->ask.uri = mem_place(&at, ask->uri);
    p->ask.tool = mem_place(&at, ask->tool);
    p->ask.run_id = mem_place(&at, ask->run_id);
    p->ask.trace_id = mem_place(&at, ask->trace_id);
    p->ask.call_id = mem_place(&at, ask->call_id);
    p->ask.runtime = mem_place(&at, ask->runtime);
    return p;
}

static void park(struct engine *e, struct subject *s, const struct in_ask *ask,
                 struct decision *d, bool begin)
{
    const struct engine_limits *l = &e->conf->limits;
    struct subject_rare *rare = subject_rare_get(e->mem, s);
    bool full = e->parked_count >= l->parked_max ||
                subject_rare(s)->parked_count >= l->parked_per_agent;
    struct parked *p = full || rare == NULL ? NULL : parked_new(e, ask);
    if (p == NULL) {
        e->stats.parked_refused++;
        deny(d, REASON_TOO_MANY_WAITING, SPAN(""));
        answer_deny(e, ask, d, begin);
        return;
    }
    int64_t limit = e->in->now_ms + e->policy->refresh_timeout_ms;
    p->agent = s;
    p->begin = begin;
    if (ask->deadline_ms != INT64_MAX &&
        ask->deadline_ms - DEADLINE_MARGIN_MS < limit)
        limit = ask->deadline_ms - DEADLINE_MARGIN_MS;
    list_push(&rare->parked, &p->link);
    list_push(&e->parked, &p->all_link);
    heap_put(&e->parked_due, &p->due, limit);
    rare->parked_count++;
    e->parked_count++;
    wake_at(e, limit);
    want_read(e, s);
}

static void parked_remove(struct engine *e, struct parked *p)
{
    list_remove(&p->link);
    list_remove(&p->all_link);
    heap_remove(&e->parked_due, &p->due);
    p->agent->rare->parked_count--;
    e->parked_count--;
}

static void resolve(struct engine *e, struct parked *p, struct decision *d)
{
    if (!reserve(e, ANSWER_OUTS_MAX)) { /* it waits on: nobody is forgotten */
        wake_at(e, e->in->now_ms + ROOM_AGAIN_MS);
        return;
    }
    parked_remove(e, p);
    if (d->verdict == VERDICT_ALLOW)
        answer_allow(e, p->agent, &p->ask, d, p->begin);
    else
        answer_deny(e, &p->ask, d, p->begin);
    mem_release(e->mem, p);
}

/* Something about the agent has changed: decide its waiting questions again.
 * Holds and gate rules never wait; only staleness does. */
void unpark(struct engine *e, struct subject *s)
{
    LIST_EACH (k, next, &subject_rare(s)->parked) {
        struct parked *p = container_of(k, struct parked, link);
        struct decision d;
        decide(e, s, p->ask.tool, p->ask.run_id, &d);
        if (d.verdict != VERDICT_WAIT)
            resolve(e, p, &d);
    }
}

/* ----------------------------------------------------------- questions */

int find_base(const struct engine *e, int asked, const struct engine_caller *c)
{
    if (c->base >= 0)
        return asked >= 0 && asked != c->base ? -1 : c->base;
    if (asked >= 0)
        return asked < (int)e->conf->base_count ? asked : -1;
    return e->conf->base_count == 1 ? 0 : -1;
}

bool caller_may(const struct engine *e, unsigned caller, int base,
                struct span uri)
{
    const struct engine_caller *c = &e->conf->callers[caller];
    if (base < 0)
        return false;
    for (unsigned i = 0; i < c->agents.count; i++)
        if (span_glob(c->agents.at[i], uri))
            return true;
    return false;
}

static bool well_formed(const struct in_ask *a, bool begin)
{
    const struct span all[] = {a->uri,      a->tool,    a->run_id,
                               a->trace_id, a->call_id, a->runtime};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i].n > ENGINE_ID_MAX || !span_is_text(all[i]))
            return false;
    return a->tool.n > 0 && a->uri.n > 0 && (!begin || a->call_id.n > 0);
}

static int ask_subject(struct engine *e, const struct in_ask *ask, int base,
                       struct subject **ret)
{
    enum subject_kind kind;
    TRY(kind_of_uri(e, (unsigned)base, ask->uri, &kind));
    struct span url = e->conf->bases[base].url;
    *ret = subject_find(&e->subjects, url, ask->uri);
    if (*ret != NULL)
        return 0;
    if (!e->policy->lookup_unknown)
        return RC_UNKNOWN_NAME;
    return subject_get(&e->subjects, (unsigned)base, url, ask->uri, kind, ret);
}

void on_ask(struct engine *e, bool begin)
{
    const struct in_ask *ask = &e->in->ask;
    must(ask->caller < e->conf->caller_count);
    int base = find_base(e, ask->base, &e->conf->callers[ask->caller]);
    struct decision d = {.verdict = VERDICT_DENY, .reason = REASON_NONE};
    struct subject *s = NULL;
    e->stats.questions++;
    if (!well_formed(ask, begin))
        d.reason = REASON_BAD_REQUEST;
    else if (!caller_may(e, ask->caller, base, ask->uri))
        d.reason = REASON_CALLER_NOT_ALLOWED;
    if (d.reason != REASON_NONE) {
        struct in_ask shown = *ask; /* what is malformed is not repeated */
        if (d.reason == REASON_BAD_REQUEST)
            shown = (struct in_ask){.token = ask->token, .caller = ask->caller};
        answer_deny(e, &shown, &d, begin);
        return;
    }
    int rc = ask_subject(e, ask, base, &s);
    if (rc < 0) {
        d.reason = rc == RC_LIMIT || rc == RC_NO_MEMORY ? REASON_LIMIT_REACHED
                                                        : REASON_UNKNOWN_AGENT;
        answer_deny(e, ask, &d, begin);
        return;
    }
    decide(e, s, ask->tool, ask->run_id, &d);
    if (d.verdict == VERDICT_ALLOW)
        answer_allow(e, s, ask, &d, begin);
    else if (d.verdict == VERDICT_WAIT)
        park(e, s, ask, &d, begin);
    else
        answer_deny(e, ask, &d, begin);
    if (!subject_awaits_read(s) && subject_is_bare(s))
        subject_drop(&e->subjects, s);
}

/* ------------------------------------------------------------- release */

static struct pending_answer *pending_first(struct engine *e)
{
    return e->pending_count == 0 ? NULL : &e->pending[e->pending_head];
}

static void pending_pop(struct engine *e)
{
    e->pending_head = (e->pending_head + 1) % e->pending_cap;
    e->pending_count--;
}

static struct call *call_of_lease(struct subject *s, uint64_t lease)
{
    LIST_EACH (k, next, &s->calls) {
        struct call *c = container_of(k, struct call, agent_link);
        if (c->lease == lease)
            return c;
    }
    return NULL;
}

/* The answer will not be an allow after all: its call never started. */
static void take_back(struct engine *e, struct pending_answer *p,
                      enum reason why, struct span rule)
{
    struct call *c = p->begin ? call_of_lease(p->agent, p->answer.lease) : NULL;
    const struct decision d = {.verdict = VERDICT_DENY,
                               .reason = why,
                               .rule = rule,
                               .epoch = p->answer.epoch};
    struct in_ask ask = {.token = p->answer.token,
                         .caller = p->caller,
                         .uri = p->agent->uri,
                         .tool = span_of(p->tool, p->tool_n)};
    if (c != NULL && !c->given)
        call_ended(e, c, CALL_CANCELLED, true);
    answer_deny(e, &ask, &d, p->begin);
}

static void release(struct engine *e, struct pending_answer *p)
{
    struct standing st;
    /* Also when the machine has slept and this comes before the tick: what was
     * right then may be too old now. */
    if (e->in->now_ms >= p->since_ms + e->conf->limits.log_stall_ms) {
        take_back(e, p, REASON_LOG_STALLED, SPAN(""));
        return;
    }
    standing_of(e, p->agent, 0, &st);
    if (st.epoch == p->answer.epoch) {
        struct call *c =
            p->begin ? call_of_lease(p->agent, p->answer.lease) : NULL;
        if (c != NULL)
            c->given = true;
        struct out *o = emit(e, OUT_ANSWER);
        o->answer = p->answer;
        e->stats.allows++;
        agenda_use(e, p->agent);
        return;
    }
    struct decision d;
    decide(e, p->agent, span_of(p->tool, p->tool_n), SPAN(""), &d);
    if (d.verdict == VERDICT_ALLOW) { /* right under the new epoch, too: it
                                         needs a record that says so */
        struct call *c =
            p->begin ? call_of_lease(p->agent, p->answer.lease) : NULL;
        const struct in_ask again = {
            .token = p->answer.token,
            .caller = p->caller,
            .uri = p->agent->uri,
            .tool = span_of(p->tool, p->tool_n),
            .call_id = c == NULL ? SPAN("") : call_id(c),
            .runtime = c == NULL ? SPAN("") : c->runtime->name,
            .run_id = c == NULL ? SPAN("") : call_run(c),
        };
        answer_allow(e, p->agent, &again, &d, p->begin);
        return;
    }
    take_back(e, p,
              d.verdict == VERDICT_WAIT ? REASON_REFRESH_PENDING : d.reason,
              d.rule);
}

static bool pending_room(struct engine *e)
{
    if (e->pending_count == 0 || reserve(e, ANSWER_OUTS_MAX))
        return true;
    wake_at(e, e->in->now_ms + ROOM_AGAIN_MS);
    return false;
}

static void release_answers(struct engine *e)
{
    struct pending_answer *p;
    while (pending_room(e) && (p = pending_first(e)) != NULL &&
           p->ticket <= e->logged) {
        struct pending_answer copy = *p;
        pending_pop(e);
        release(e, &copy);
    }
}

void on_logged(struct engine *e)
{
    e->logged = e->in->logged_upto;
    release_answers(e);
}

/* Who has waited long enough gets what is known. */
static void deny_overdue(struct engine *e)
{
    struct heap_link *k;
    while ((k = heap_first(&e->parked_due)) != NULL) {
        struct parked *q = container_of(k, struct parked, due);
        if (e->in->now_ms < k->at_ms) {
            wake_at(e, k->at_ms);
            return;
        }
        struct decision d;
        decide(e, q->agent, q->ask.tool, q->ask.run_id, &d);
        if (d.verdict == VERDICT_WAIT)
            deny(&d, REASON_REFRESH_PENDING, SPAN(""));
        unsigned before = e->parked_count;
        resolve(e, q, &d);
        if (e->parked_count == before)
            return; /* no room for its answer: it waits on */
    }
}

void ask_tick(struct engine *e)
{
    struct pending_answer *p;
    release_answers(e);
    while (pending_room(e) && (p = pending_first(e)) != NULL) {
        int64_t due = p->since_ms + e->conf->limits.log_stall_ms;
        if (e->in->now_ms < due) {
            wake_at(e, due);
            break;
        }
        struct pending_answer copy = *p;
        pending_pop(e);
        take_back(e, &copy, REASON_LOG_STALLED, SPAN(""));
    }
    deny_overdue(e);
}

void forget_question(struct engine *e, uint64_t token)
{
    LIST_EACH (k, next, &e->parked) {
        struct parked *q = container_of(k, struct parked, all_link);
        if (q->ask.token != token)
            continue;
        parked_remove(e, q);
        mem_release(e->mem, q);
    }
    if (e->pending_count == 0)
        return; /* if it is there, it is the last one */
    size_t last = (e->pending_head + e->pending_count - 1) % e->pending_cap;
    struct pending_answer *p = &e->pending[last];
    if (p->answer.token != token)
        return;
    struct call *c = p->begin ? call_of_lease(p->agent, p->answer.lease) : NULL;
    if (c != NULL && !c->given)
        call_free(&e->calls, c);
    e->pending_count--;
}

void deny_all_waiting(struct engine *e, enum reason why)
{
    struct pending_answer *p;
    while (pending_room(e) && (p = pending_first(e)) != NULL) {
        struct pending_answer copy = *p;
        pending_pop(e);
        take_back(e, &copy, why, SPAN(""));
    }
    LIST_EACH (k, next, &e->parked) {
        struct parked *q = container_of(k, struct parked, all_link);
        struct decision d = {.verdict = VERDICT_DENY, .reason = why};
        resolve(e, q, &d);
    }
}
