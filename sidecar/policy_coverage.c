// SPDX-License-Identifier: Apache-2.0
#include "sidecar/policy_coverage.h"

#include "sidecar/policy_call.h"

#define EVENTS_OF_ANY 24 /* a rule about as many types is about "*" */

/* ---- terms ---- */

static void count_term(void *ctx, const struct filter_step *s)
{
    struct coverage_terms *t = ctx;
    if (filter_joint_word(s->term) == NULL && t->at != NULL)
        t->at[t->count].term = s->term;
    t->count += filter_joint_word(s->term) == NULL;
}

static int list_terms(struct mem *m, const struct filter *flt,
                      struct coverage_terms *t)
{
    const struct filter_env nothing = {.resource = NULL};
    struct coverage_terms counted = {.count = 0};
    if (flt == NULL)
        return 0;
    filter_explain(flt, &nothing, count_term, &counted);
    t->at = mem_array(m, counted.count, sizeof *t->at);
    if (t->at == NULL)
        return RC_NO_MEMORY;
    filter_explain(flt, &nothing, count_term, t);
    return 0;
}

struct marking {
    struct coverage_terms *terms;
    unsigned next;
    bool requirement; /* unknown is not fulfilled, as false is */
};

static void mark_term(void *ctx, const struct filter_step *s)
{
    struct marking *k = ctx;
    unsigned seen = 1u << s->value;
    if (k->requirement && s->value == TRI_UNKNOWN)
        seen |= 1u << TRI_NO;
    if (filter_joint_word(s->term) == NULL && k->next < k->terms->count)
        k->terms->at[k->next++].seen |= seen;
}

static void mark(struct coverage_terms *t, const struct filter *flt,
                 const struct filter_env *env)
{
    struct marking k = {t, 0, env->absent_is_unknown};
    if (flt != NULL)
        filter_explain(flt, env, mark_term, &k);
}

int coverage_new(struct mem *m, const struct policy *p, struct coverage **ret,
                 struct fail *f)
{
    struct coverage *c = mem_alloc(m, sizeof *c);
    int rc = c == NULL ? RC_NO_MEMORY : 0;
    if (rc == 0) {
        c->policy = p;
        c->rules = mem_array(m, p->rule_count, sizeof *c->rules);
        c->gates = mem_array(m, p->gate_count, sizeof *c->gates);
        rc = c->rules == NULL || c->gates == NULL ? RC_NO_MEMORY : 0;
    }
    for (unsigned i = 0; rc == 0 && i < p->rule_count; i++)
        rc = list_terms(m, p->rules[i].where, &c->rules[i].where);
    for (unsigned i = 0; rc == 0 && i < p->gate_count; i++)
        rc = list_terms(m, p->gates[i].require, &c->gates[i].require);
    if (rc < 0)
        return fail(f, rc, "no memory");
    *ret = c;
    return 0;
}

/* ---- what the log tells ---- */

static bool step_did(const struct policy *p, const struct policy_step *s,
                     struct span action, struct span hold)
{
    switch (s->kind) {
        case STEP_HOLD:
            return span_eq(action, SPAN("hold")) &&
                   span_eq(hold, span_str(hold_kind_word(s->hold)));
        case STEP_ACTION: return span_eq(action, p->actions[s->action].name);
        case STEP_CANCEL:
        case STEP_REVOKE:
        case STEP_PURGE:
            return span_eq(action, span_str(step_kind_word(s->kind)));
        case STEP_RELEASE: /* by `lifted` */
        case STEP_REFRESH: /* by the match: it is no record of its own */
        case STEP_KIND_COUNT: break;
    }
    return false;
}

static void take_steps(struct coverage *c, unsigned rule,
                       const struct doc *record, bool lifted)
{
    const struct policy_rule *r = &c->policy->rules[rule];
    const struct span action = doc_text(record, SPAN("action"));
    const struct span hold = doc_text(record, SPAN("hold"));
    for (unsigned i = 0; i < r->step_count; i++)
        if (lifted ? r->steps[i].kind == STEP_RELEASE
                   : step_did(c->policy, &r->steps[i], action, hold))
            c->rules[rule].steps |= UINT32_C(1) << i;
}

static void take_match(struct coverage *c, unsigned rule,
                       const struct doc *record)
{
    const struct policy_rule *r = &c->policy->rules[rule];
    enum event_type type;
    c->rules[rule].matched++;
    if (event_type_from_name(doc_text(record, SPAN("event")), &type))
        c->rules[rule].events |= EVENT_BIT(type);
    for (unsigned i = 0; i < r->step_count; i++)
        if (r->steps[i].kind == STEP_REFRESH)
            c->rules[rule].steps |= UINT32_C(1) << i;
}

void coverage_record(struct coverage *c, const struct doc *record)
{
    const struct span outcome = doc_text(record, SPAN("outcome"));
    const bool verdict =
        span_eq(doc_text(record, SPAN("kind")), SPAN("verdict"));
    const bool lifted = span_eq(outcome, SPAN("lifted"));
    unsigned i = 0;
    while (i < c->policy->rule_count &&
           !span_eq(c->policy->rules[i].name, doc_text(record, SPAN("rule"))))
        i++;
    if (i == c->policy->rule_count)
        return;
    if (verdict && span_eq(outcome, SPAN("matched"))) {
        take_match(c, i, record);
    } else if (verdict) {
        c->rules[i].pending++;
    } else if (span_eq(doc_text(record, SPAN("kind")), SPAN("action")) &&
               !span_eq(outcome, SPAN("not_permitted"))) {
        take_steps(c, i, record, lifted);
        c->rules[i].matched += lifted;
        if (lifted) /* such an event is stored, or is this read */
            c->rules[i].events |= c->policy->rules[i].events &
                                  (c->said | EVENT_BIT(EVENT_REFRESHED));
    }
}

/* ---- conditions ---- */

void coverage_event(struct coverage *c, enum event_type type,
                    enum subject_kind kind, const struct doc *payload,
                    const struct doc *read)
{
    c->said |= EVENT_BIT(type);
    for (unsigned i = 0; i < c->policy->rule_count; i++) {
        const struct policy_rule *r = &c->policy->rules[i];
        const struct filter_env blind = {.event = payload};
        const struct filter_env known = {.event = payload, .resource = read};
        if (r->where == NULL || r->subject != kind || r->only_releases ||
            (r->events & EVENT_BIT(type)) == 0)
            continue;
        const bool by_read = read != NULL &&
                             filter_eval(r->where, &blind) == TRI_UNKNOWN &&
                             filter_eval(r->where, &known) == TRI_YES;
        mark(&c->rules[i].where, r->where, by_read ? &known : &blind);
    }
}

void coverage_read(struct coverage *c, enum subject_kind kind,
                   const struct doc *resource)
{
    const struct filter_env env = {.resource = resource};
    for (unsigned i = 0; i < c->policy->rule_count; i++) {
        const struct policy_rule *r = &c->policy->rules[i];
        const bool asked = c->rules[i].pending > 0 ||
                           (r->events & EVENT_BIT(EVENT_REFRESHED)) != 0 ||
                           (r->only_releases && (r->events & c->said) != 0);
        if (r->subject == kind && asked)
            mark(&c->rules[i].where, r->where, &env);
    }
}

void coverage_gate(struct coverage *c, struct mem *m,
                   const struct coverage_question *q)
{
    const struct policy *p = c->policy;
    const uint32_t classes = policy_tool_classes(p, q->tool);
    struct doc *more = q->run.n > 0 ? doc_new(m, DOC_MAP) : NULL;
    (void)doc_append_text(m, more, SPAN("run_id"), q->run);
    const struct filter_env env = {
        .resource = q->resource,
        .absent_is_unknown = true,
        .call = policy_call_doc(m, p, q->tool, more)};
    for (unsigned i = 0; i < p->gate_count; i++) {
        struct coverage_gate *g = &c->gates[i];
        if (!policy_tools_match(p, &p->gates[i].tools, q->tool, classes))
            continue;
        g->asked++;
        g->allowed += q->allowed;
        g->denied += span_eq(q->denied_by, p->gates[i].name);
        if (q->resource != NULL)
            mark(&g->require, p->gates[i].require, &env);
    }
}

/* ---- sums ---- */

static void add(struct coverage_sum *s, bool covered)
{
    s->covered += covered;
    s->total++;
}

bool coverage_any_event(const struct policy_rule *r)
{
    return __builtin_popcountll(r->events) > EVENTS_OF_ANY;
}

bool coverage_wants_event(const struct policy_rule *r, enum event_type type)
{
    return (r->events & EVENT_BIT(type)) != 0 && !coverage_any_event(r);
}

static void sum_terms(const struct coverage_terms *t, struct coverage_sum *s)
{
    for (unsigned i = 0; i < t->count; i++) {
        add(s, (t->at[i].seen & 1u << TRI_YES) != 0);
        add(s, (t->at[i].seen & 1u << TRI_NO) != 0);
    }
}

static void sum_rule(const struct policy_rule *r, const struct coverage_rule *c,
                     struct coverage_sums *ret)
{
    add(&ret->rules, c->matched > 0);
    for (unsigned i = 0; i < r->step_count; i++)
        add(&ret->steps, (c->steps >> i & 1) != 0);
    for (unsigned t = 0; t < EVENT_TYPE_COUNT; t++)
        if (coverage_wants_event(r, (enum event_type)t))
            add(&ret->events, (c->events & EVENT_BIT(t)) != 0);
    if (coverage_any_event(r))
        add(&ret->events, c->events != 0);
    sum_terms(&c->where, &ret->terms);
}

void coverage_sums(const struct coverage *c, struct coverage_sums *ret)
{
    *ret = (struct coverage_sums){.all = {0, 0}};
    for (unsigned i = 0; i < c->policy->rule_count; i++)
        sum_rule(&c->policy->rules[i], &c->rules[i], ret);
    for (unsigned i = 0; i < c->policy->gate_count; i++) {
        add(&ret->gates, c->gates[i].allowed > 0);
        if (c->policy->gates[i].require != NULL)
            add(&ret->gates, c->gates[i].denied > 0);
        sum_terms(&c->gates[i].require, &ret->terms);
    }
    const struct coverage_sum parts[] = {ret->rules, ret->steps, ret->terms,
                                         ret->gates, ret->events};
    for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
        ret->all.covered += parts[i].covered;
        ret->all.total += parts[i].total;
    }
}

unsigned coverage_percent(struct coverage_sum s)
{
    return s.total == 0 ? 100 : (unsigned)(s.covered * UINT64_C(100) / s.total);
}
