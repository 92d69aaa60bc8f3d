// SPDX-License-Identifier: Apache-2.0
/* Rules to effects: which rules an event or a read makes true, for whom, and
 * what their steps do. Rules add up; none weakens what is there already. */
#include "sidecar/core/engine_internal.h"

#define CANCEL_WITHIN_MS 10000

bool audit_mode(const struct engine *e)
{
    return policy_audits(&e->policy->mode, e->policy_wall_ms);
}

bool rule_audits(const struct engine *e, const struct policy_rule *r)
{
    return audit_mode(e) || policy_audits(&r->mode, e->policy_wall_ms);
}

struct names expand_tools(struct engine *e, const struct tool_set *t)
{
    unsigned count = t->patterns.count;
    for (unsigned i = 0; i < e->policy->class_count; i++)
        if (t->classes >> i & 1)
            count += e->policy->classes[i].patterns.count;
    if (t->all || count == 0)
        return (struct names){NULL, 0};
    struct span *at = mem_array(&e->step_arena.mem, count, sizeof *at);
    if (at == NULL) {
        note_rc(e, RC_NO_MEMORY);
        return (struct names){NULL, 0}; /* all tools: the stricter reading */
    }
    unsigned n = 0;
    for (unsigned i = 0; i < t->patterns.count; i++)
        at[n++] = t->patterns.at[i];
    for (unsigned i = 0; i < e->policy->class_count; i++)
        for (unsigned k = 0;
             t->classes >> i & 1 && k < e->policy->classes[i].patterns.count;
             k++)
            at[n++] = e->policy->classes[i].patterns.at[k];
    return (struct names){at, n};
}

struct record record_caused(const struct engine *e, enum record_kind kind,
                            const struct subject *agent, const struct cause *c,
                            struct span rule)
{
    struct record r = record_of(kind);
    r.agent = agent->uri;
    r.base = base_url(e, agent);
    r.rule = rule;
    if (c != NULL) {
        r.feed = c->feed;
        r.jti = c->jti;
        r.event = span_str(event_type_name(c->type));
    }
    return r;
}

static struct record action_record(struct engine *e, const struct subject *s,
                                   const struct cause *c, struct span rule)
{
    struct standing st;
    standing_of(e, s, 0, &st);
    struct record r = record_caused(e, RECORD_ACTION, s, c, rule);
    r.epoch = st.epoch;
    return r;
}

/* -------------------------------------------------------------- holds */

bool hold_add(struct engine *e, struct subject *agent,
              const struct hold_spec *spec, const struct cause *c)
{
    struct hold *h;
    bool fresh;
    int rc = hold_put(&e->holds, agent, spec, &h, &fresh);
    if (rc < 0) {
        note_rc(e, rc);
        return false;
    }
    if (!fresh && !h->unsaved)
        return false;
    h->unsaved = true; /* until the row of this step is written */
    list_remove(&h->new_link);
    list_push(&e->new_holds, &h->new_link);
    touch(e, agent);
    if (h->due_wall_ms != 0)
        wake_at(e, h->deadline.at_ms);
    fact_hold(e, h, false);
    struct record r = action_record(e, agent, c, spec->rule);
    r.action = SPAN("hold");
    r.hold = span_str(hold_kind_word(spec->kind));
    r.outcome = SPAN("set");
    record_row(e, &r);
    enum reason why = spec->kind == HOLD_SUSPENDED ? REASON_AGENT_SUSPENDED
                      : spec->kind == HOLD_REVIEW  ? REASON_AGENT_IN_REVIEW
                                                   : REASON_AGENT_UNCOVERED;
    if (spec->tools.count == 0)
        block_runtimes(e, agent, why, spec->rule,
                       c == NULL ? SPAN("") : c->jti);
    return true;
}

void hold_lift(struct engine *e, struct hold *h, struct span rule,
               struct span person, struct span why)
{
    struct subject *agent = h->agent;
    if (e->rc != 0)
        return; /* a step that fails loosens nothing */
    touch(e, agent);
    fact_hold(e, h, true);
    struct record r = action_record(e, agent, NULL, rule);
    r.action = SPAN("hold");
    r.hold = span_str(hold_kind_word(h->kind));
    r.target = keep(e, span_str((const char *)h->rule));
    r.jti = keep(e, span_str((const char *)h->cause));
    r.person = person;
    r.why = why;
    r.outcome = SPAN("lifted");
    record_row(e, &r);
    if (e->rc != 0 || !buf_ok(&e->facts) || !buf_ok(&e->records))
        return;
    hold_take_out(&e->holds, h);
    list_remove(&h->new_link);
    list_push(&e->lifted_holds, &h->new_link);
}

static void step_hold(struct engine *e, struct subject *agent,
                      const struct cause *c, const struct policy_rule *r,
                      const struct policy_step *step)
{
    struct hold_spec spec = {
        .kind = step->hold,
        .otherwise = step->review_otherwise,
        .operator_only = c->type == EVENT_DELETE,
        .event = c->type,
        .rule = r->name,
        .cause = c->jti,
        .by = step->review_by_text,
        .tools = expand_tools(e, &step->tools),
        .since_wall_ms = e->in->wall_ms,
    };
    if (step->hold == HOLD_REVIEW) {
        int64_t within =
            step->within_ms > 0 ? step->within_ms : REVIEW_WITHIN_MS;
        spec.due_ms = e->in->now_ms + within;
        spec.due_wall_ms = e->in->wall_ms + within;
    }
    (void)hold_add(e, agent, &spec, c);
}

/* -------------------------------------------------------------- steps */

static void record_step_only(struct engine *e, const struct subject *s,
                             const struct cause *c, struct span rule,
                             const struct policy_step *step,
                             const char *outcome, bool would)
{
    struct record r = action_record(e, s, c, rule);
    r.action = span_str(step_kind_word(step->kind));
    if (step->kind == STEP_HOLD)
        r.hold = span_str(hold_kind_word(step->hold));
    r.outcome = span_str(outcome);
    r.would = would;
    record_row(e, &r);
}

static void step_refresh(struct engine *e, struct subject *agent)
{
    if (agent->stamp != e->input)
        stamp(e, agent, SPAN(""));
    if (!list_empty(&agent->calls) && e->policy->read_open_calls_now)
        want_read(e, agent);
}

static void run_step(struct engine *e, struct subject *agent,
                     const struct cause *c, const struct policy_rule *r,
                     const struct policy_step *step)
{
    switch (step->kind) {
        case STEP_HOLD: step_hold(e, agent, c, r, step); break;
        case STEP_REFRESH: step_refresh(e, agent); break;
        case STEP_CANCEL:
            cancel_calls(e, agent, &step->tools, c, r->name, step);
            break;
        case STEP_REVOKE: revoke_all(e, agent, c, r->name, step); break;
        case STEP_PURGE: purge_all(e, agent, c, r->name, step); break;
        case STEP_ACTION:
            action_start(e, agent, c, r->name, step->action, step);
            break;
        case STEP_RELEASE: /* only on reads: run_releases */
        case STEP_KIND_COUNT: break;
    }
}

static void run_limited(struct engine *e, struct subject *agent,
                        const struct cause *c, const struct policy_rule *r,
                        const struct policy_step *step)
{
    const struct cause asked = limit_cause(e, agent, c, step);
    run_step(e, agent, &asked, r, step);
}

static void run_steps(struct engine *e, struct subject *agent,
                      const struct cause *c, const struct policy_rule *r)
{
    const bool audits = rule_audits(e, r);
    const uint64_t withheld = e->stats.withheld;
    for (unsigned i = 0; i < r->step_count; i++) {
        const struct policy_step *step = &r->steps[i];
        if (step->kind == STEP_RELEASE)
            continue;
        if (!is_agent(e, agent) && step->kind != STEP_ACTION)
            continue;
        if ((policy_step_needs(step) & ~c->may) != 0)
            record_step_only(e, agent, c, r->name, step, "not_permitted",
                             false);
        else if (audits)
            record_step_only(e, agent, c, r->name, step, "would", true);
        else
            run_limited(e, agent, c, r, step);
    }
    if (e->stats.withheld != withheld)
        limit_withheld(e, agent, c, r);
    row_split(e);
}

/* ------------------------------------------------------------- targets */

/* Has every owner of the agent left? */
static bool all_owners_left(const struct subject *agent)
{
    bool any = false;
    for (unsigned i = 0; i < agent->out_count; i++) {
        const struct edge *edge = &agent->out[i];
        if (edge->kind != EDGE_OWNER)
            continue;
        any = true;
        if (!edge->other->left)
            return false;
    }
    return any;
}

static bool edge_applies(const struct policy_rule *r, const struct edge *edge)
{
    switch (r->applies_to) {
        case APPLIES_MEMBERS: return edge->kind == EDGE_GROUP;
        case APPLIES_OWNED_ANY: return edge->kind == EDGE_OWNER;
        case APPLIES_OWNED_LAST:
            return edge->kind == EDGE_OWNER && all_owners_left(edge->agent);
        case APPLIES_CHILDREN: return edge->kind == EDGE_PARENT;
        case APPLIES_SUBJECT: return false;
    }
    return false;
}

/* Is the agent one of those that the rule is narrowed to? What was read before
 * the statement may be out of date: "no" is final only over a fresh read. */
static enum tri is_target(const struct engine *e, const struct policy_rule *r,
                          const struct edge *edge)
{
    if (!edge_applies(r, edge))
        return TRI_NO;
    if (r->agents_where == NULL)
        return TRI_YES;
    struct attrs_place place = attrs_open(&e->subjects.attrs);
    const struct filter_env env = {.resource = subject_attrs(e, edge->agent)};
    enum tri v = filter_eval(r->agents_where, &env);
    attrs_close(&e->subjects.attrs, place);
    struct standing st;
    standing_of(e, edge->agent, e->policy->max_age_ms, &st);
    return v == TRI_NO && st.stale ? TRI_UNKNOWN : v;
}

/* How many agents the rule concerns or may concern, for the verdict. */
static int64_t count_targets(const struct engine *e, const struct subject *s,
                             const struct policy_rule *r)
{
    int64_t count = 0;
    if (r->applies_to == APPLIES_SUBJECT)
        return -1;
    LIST_EACH (k, next, &s->in)
        count +=
            is_target(e, r, container_of(k, struct edge, in_link)) != TRI_NO;
    return count;
}

static void record_verdict(struct engine *e, const struct subject *s,
                           const struct policy_rule *r, const struct cause *c,
                           const char *outcome, int64_t count)
{
    struct record rec = action_record(e, s, c, r->name);
    rec.kind = RECORD_VERDICT;
    rec.txn = c->txn;
    rec.outcome = span_str(outcome);
    rec.count = count;
    rec.would = rule_audits(e, r);
    record_row(e, &rec);
}

/* A read of the subject must decide. False when that cannot be remembered: then
 * the stricter reading counts. The caller writes the subject's fact. */
static bool pend(struct engine *e, struct subject *s,
                 const struct policy_rule *r, const struct cause *c,
                 enum pending_about about)
{
    const struct pending_spec spec = {.about = about,
                                      .rule = r->name,
                                      .type = c->type,
                                      .jti = c->jti,
                                      .feed = c->feed};
    int rc = subject_pend(&e->subjects, s, &spec);
    if (rc == RC_LIMIT)
        return false;
    note_rc(e, rc);
    return true;
}

void count_rule(struct engine *e, struct subject *s, const struct cause *c,
                const struct policy_rule *r)
{
    if (!e->policy->limited)
        return;
    if (r->applies_to == APPLIES_SUBJECT) {
        limit_count(e, s, c, r);
        return;
    }
    LIST_EACH (k, next, &s->in) {
        const struct edge *edge = container_of(k, struct edge, in_link);
        if (is_target(e, r, edge) == TRI_YES)
            limit_count(e, edge->agent, c, r);
    }
}

void run_rule_on(struct engine *e, struct subject *agent,
                 const struct policy_rule *r, const struct cause *c)
{
    record_verdict(e, agent, r, c, "matched", -1);
    if (e->policy->limited)
        limit_count(e, agent, c, r);
    run_steps(e, agent, c, r);
}

static void run_on_targets(struct engine *e, struct subject *s,
                           const struct policy_rule *r, const struct cause *c)
{
    LIST_EACH (k, next, &s->in) {
        const struct edge *edge = container_of(k, struct edge, in_link);
        enum tri v = is_target(e, r, edge);
        if (v == TRI_UNKNOWN && pend(e, edge->agent, r, c, PENDING_TARGET)) {
            record_verdict(e, edge->agent, r, c, "pending", -1);
            fact_subject(e, edge->agent);
            row_split(e);
        } else if (v != TRI_NO) {
            run_steps(e, edge->agent, c, r);
        }
    }
}

void run_rule(struct engine *e, struct subject *s, const struct policy_rule *r,
              const struct cause *c)
{
    record_verdict(e, s, r, c, "matched", count_targets(e, s, r));
    count_rule(e, s, c, r); /* first all are counted: order never matters */
    if (r->applies_to == APPLIES_SUBJECT)
        run_steps(e, s, c, r);
    else
        run_on_targets(e, s, r, c);
}

/* ------------------------------------------------------------ matching */

static struct rule_question question_of(const struct engine *e,
                                        const struct subject *s,
                                        const struct cause *c)
{
    struct rule_question q = {
        .type = c->type,
        .subject =
            s->kind == SUBJECT_USER && is_agent(e, s) ? SUBJECT_AGENT : s->kind,
        .feed = c->feed,
        .changed_anything = c->part == NULL,
    };
    if (c->part != NULL) {
        q.changed = c->part->changed;
        q.changed_count = c->part->changed_count;
        q.changed_anything = c->part->changed_anything;
    }
    q.env.event = c->event_doc;
    return q;
}

/* Attributes that are not there are not known. */
static bool nothing_else(const void *ctx, struct span attr)
{
    (void)ctx;
    (void)attr;
    return false;
}

/* Over a fresh read the answer is final. Over an event it is final only when
 * it is yes: what is kept of the subject may be out of date, so "no" means
 * "a read must decide". The data of the event itself may make it true, as far
 * as it goes; so may what was kept under another policy. */
static enum tri match(const struct engine *e, const struct policy_rule *r,
                      const struct subject *s, const struct cause *c,
                      struct rule_question *q)
{
    if (c->fresh != NULL) {
        q->env.resource = c->fresh;
        return policy_rule_match(r, q);
    }
    q->env.resource = NULL;
    enum tri blind = policy_rule_match(r, q);
    if (blind != TRI_UNKNOWN)
        return blind;
    const struct doc *data =
        c->part == NULL ? NULL : doc_get(c->part->payload, SPAN("data"));
    const struct doc *over[] = {subject_attrs(e, s), data};
    for (unsigned i = 0; i < 2; i++) {
        const bool partial = i == 1 || s->read_input < e->policy_stamp;
        q->env.resource = over[i];
        q->env.is_known = partial ? nothing_else : NULL;
        if (over[i] != NULL && policy_rule_match(r, q) == TRI_YES)
            return TRI_YES;
    }
    return TRI_UNKNOWN;
}

/* True when it waits for a read from now on. */
static bool wait_for_read(struct engine *e, struct subject *s,
                          const struct policy_rule *r, const struct cause *c)
{
    record_verdict(e, s, r, c, "pending", count_targets(e, s, r));
    bool waits = pend(e, s, r, c, PENDING_SUBJECT);
    if (!waits)
        run_rule(e, s, r, c);
    if (s->kind != SUBJECT_AGENT) /* nobody asks about these */
        want_read(e, s);
    return waits;
}

/* A schedule comes due for one rule alone. */
static bool is_asked(const struct policy_rule *r, const struct cause *c)
{
    return c->only == NULL || c->only == r;
}

/* What all rules are about to do is counted before any of them does it: else
 * what is withheld would depend on their order. */
static void count_rules(struct engine *e, struct subject *s,
                        const struct cause *c, struct rule_set on,
                        struct rule_question *q)
{
    for (unsigned i = 0; e->policy->limited && i < on.count; i++) {
        const struct policy_rule *r = &e->policy->rules[on.at[i]];
        if (is_asked(r, c) && match(e, r, s, c, q) == TRI_YES)
            count_rule(e, s, c, r);
    }
}

void run_rules(struct engine *e, struct subject *s, const struct cause *c)
{
    struct rule_question q = question_of(e, s, c);
    struct attrs_place place = attrs_open(&e->subjects.attrs);
    const struct rule_set on = policy_rules_on(e->policy, q.type, q.subject);
    bool waits = false;
    count_rules(e, s, c, on, &q);
    for (unsigned i = 0; i < on.count; i++) {
        const struct policy_rule *r = &e->policy->rules[on.at[i]];
        if (!is_asked(r, c))
            continue;
        enum tri yes = match(e, r, s, c, &q);
        if (yes == TRI_YES)
            run_rule(e, s, r, c);
        else if (yes == TRI_UNKNOWN)
            waits |= wait_for_read(e, s, r, c);
    }
    attrs_close(&e->subjects.attrs, place);
    if (waits)
        fact_subject(e, s);
}

/* ------------------------------------------------------------ releases */

/* The rule that releases the hold now, or NULL; one in audit mode only when
 * there is no other. */
static const struct policy_rule *releasing_rule(const struct engine *e,
                                                const struct subject *s,
                                                const struct hold *h,
                                                const struct cause *c)
{
    event_mask seen = s->seen | EVENT_BIT(EVENT_REFRESHED);
    struct span set_by = span_str((const char *)h->rule);
    const struct policy_rule *audited = NULL;
    const struct rule_set ending = policy_rules_ending(e->policy, set_by);
    for (unsigned i = 0; i < ending.count; i++) {
        const struct policy_rule *r = &e->policy->rules[ending.at[i]];
        if ((r->events & seen) == 0 || !policy_releases(r, h->kind, set_by))
            continue;
        struct filter_env env = {.resource = c->fresh};
        if (r->where != NULL && filter_eval(r->where, &env) != TRI_YES)
            continue;
        if (!rule_audits(e, r))
            return r;
        audited = r;
    }
    return audited;
}

static void release(struct engine *e, struct subject *s, struct hold *h,
                    const struct policy_rule *r)
{
    if (!rule_audits(e, r)) {
        hold_lift(e, h, r->name, SPAN(""), SPAN(""));
        return;
    }
    struct record rec = action_record(e, s, NULL, r->name);
    rec.action = SPAN("release");
    rec.hold = span_str(hold_kind_word(h->kind));
    rec.target = span_str((const char *)h->rule);
    rec.jti = span_str((const char *)h->cause);
    rec.outcome = SPAN("would");
    rec.would = true;
    record_row(e, &rec);
}

/* Level-triggered: asked on every qualifying read, whatever came before in
 * whatever order. Data of an event never gets here. Audit mode lifts nothing.
 */
void run_releases(struct engine *e, struct subject *s, const struct cause *c)
{
    LIST_EACH (k, next, &s->holds) {
        struct hold *h = container_of(k, struct hold, link);
        if (h->operator_only)
            continue;
        const struct policy_rule *r = releasing_rule(e, s, h, c);
        if (r != NULL)
            release(e, s, h, r);
        else if (h->kind == HOLD_UNCOVERED && !s->feed_removed &&
                 !audit_mode(e))
            hold_lift(e, h, SPAN(""), SPAN(""), SPAN(""));
    }
}
