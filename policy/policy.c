// SPDX-License-Identifier: Apache-2.0
/*
 * What a loaded policy says about an event, a tool or a feed. Every answer is
 * a fold over all rules, so their order cannot matter.
 */
#include "policy/policy.h"

#include "policy/index.h"

const char *subject_kind_word(enum subject_kind k)
{
    static const char *const words[SUBJECT_KIND_COUNT] = {"agent", "user",
                                                          "group"};
    return words[k];
}

const char *hold_kind_word(enum hold_kind k)
{
    static const char *const words[HOLD_KIND_COUNT] = {"suspended", "review",
                                                       "uncovered"};
    return words[k];
}

const char *step_kind_word(enum step_kind k)
{
    static const char *const words[STEP_KIND_COUNT] = {
        "hold", "refresh", "cancel", "revoke", "purge", "action", "release"};
    return words[k];
}

const char *limit_kind_word(enum limit_kind k)
{
    static const char *const words[LIMIT_KIND_COUNT] = {
        "suspend", "cancel", "revoke", "purge", "http"};
    return words[k];
}

static bool has_name(const struct names *names, struct span name)
{
    for (unsigned i = 0; i < names->count; i++)
        if (span_eq(names->at[i], name))
            return true;
    return false;
}

static bool any_glob(const struct names *patterns, struct span tool)
{
    for (unsigned i = 0; i < patterns->count; i++)
        if (span_glob(patterns->at[i], tool))
            return true;
    return false;
}

uint32_t policy_tool_classes(const struct policy *p, struct span tool)
{
    size_t looked_at = 0;
    return policy_classes_on(p, tool, &looked_at);
}

bool policy_tools_match(const struct policy *p, const struct tool_set *s,
                        struct span tool, uint32_t tool_classes)
{
    (void)p;
    return s->all || (s->classes & tool_classes) != 0 ||
           any_glob(&s->patterns, tool);
}

static bool changes_concern(const struct policy_rule *r,
                            const struct rule_question *q)
{
    if (r->changed_count == 0 || q->changed_anything)
        return true;
    for (unsigned i = 0; i < q->changed_count; i++)
        for (unsigned j = 0; j < r->changed_count; j++)
            if (attr_path_touches(&q->changed[i], &r->changed[j]))
                return true;
    return false;
}

unsigned policy_step_needs(const struct policy_step *step)
{
    switch (step->kind) {
        case STEP_HOLD:
        case STEP_CANCEL: return MAY_SUSPEND;
        case STEP_REFRESH: return MAY_REFRESH;
        case STEP_REVOKE:
        case STEP_PURGE: return MAY_REVOKE;
        case STEP_RELEASE: return MAY_RELEASE;
        case STEP_ACTION:
        case STEP_KIND_COUNT: return 0;
    }
    return MAY_ALL;
}

bool policy_limit_forbids(const struct policy *p, enum limit_kind k,
                          enum limit_kind step, const struct doc *attributes)
{
    const struct policy_limit *l = &p->limits[k];
    const struct filter_env env = {.resource = attributes};
    if (l->never_for == NULL || !policy_limit_withholds(step) ||
        (policy_limit_withholds(k) && k != step))
        return false;
    return filter_eval(l->never_for, &env) != TRI_NO;
}

static bool calls_a_person(const struct policy *p, struct span action)
{
    for (unsigned k = 0; k < LIMIT_KIND_COUNT; k++)
        if (has_name(&p->limits[k].beyond, action))
            return true;
    return false;
}

enum limit_kind policy_step_limit(const struct policy *p,
                                  const struct policy_step *step)
{
    switch (step->kind) {
        case STEP_HOLD: return LIMIT_SUSPEND;
        case STEP_CANCEL: return LIMIT_CANCEL;
        case STEP_REVOKE: return LIMIT_REVOKE;
        case STEP_PURGE: return LIMIT_PURGE;
        case STEP_ACTION:
            return calls_a_person(p, p->actions[step->action].name)
                       ? LIMIT_KIND_COUNT
                       : LIMIT_HTTP;
        case STEP_REFRESH:
        case STEP_RELEASE:
        case STEP_KIND_COUNT: break;
    }
    return LIMIT_KIND_COUNT;
}

bool policy_limit_withholds(enum limit_kind k)
{
    return k == LIMIT_REVOKE || k == LIMIT_PURGE || k == LIMIT_HTTP;
}

enum tri policy_rule_match(const struct policy_rule *r,
                           const struct rule_question *q)
{
    if ((r->events & EVENT_BIT(q->type)) == 0 || r->subject != q->subject ||
        r->only_releases)
        return TRI_NO;
    if (r->feeds.count > 0 && !has_name(&r->feeds, q->feed))
        return TRI_NO;
    if (!changes_concern(r, q))
        return TRI_NO;
    return r->where == NULL ? TRI_YES : filter_eval(r->where, &q->env);
}

bool policy_releases(const struct policy_rule *r, enum hold_kind hold,
                     struct span rule_name)
{
    for (unsigned i = 0; i < r->step_count; i++) {
        const struct policy_step *s = &r->steps[i];
        if (s->kind == STEP_RELEASE && s->hold == hold &&
            has_name(&s->set_by, rule_name))
            return true;
    }
    return false;
}

bool policy_audits(const struct policy_mode *m, int64_t wall_ms)
{
    return m->audit && wall_ms < m->until_ms;
}

static bool gate_holds(const struct policy_gate *g,
                       const struct filter_env *env)
{
    return g->require == NULL || filter_eval(g->require, env) == TRI_YES;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* INT64_MAX: it does not audit. */
static int64_t audit_ends(const struct policy_mode *m, int64_t wall_ms)
{
    return policy_audits(m, wall_ms) ? m->until_ms : INT64_MAX;
}

int64_t policy_gates_change_ms(const struct policy *p, int64_t wall_ms)
{
    int64_t next = INT64_MAX;
    for (unsigned i = 0; i < p->gate_count; i++)
        next = least(next, audit_ends(&p->gates[i].mode, wall_ms));
    return next;
}

int64_t policy_audits_change_ms(const struct policy *p, int64_t wall_ms)
{
    int64_t next = least(audit_ends(&p->mode, wall_ms),
                         policy_gates_change_ms(p, wall_ms));
    for (unsigned i = 0; i < p->rule_count; i++)
        next = least(next, audit_ends(&p->rules[i].mode, wall_ms));
    return next;
}

/* How old a read may be for this rule. */
static void want_fresh(const struct policy *p, const struct policy_gate *g,
                       struct gate_tool *t)
{
    int64_t age = g->max_age_ms > 0 ? g->max_age_ms : p->max_age_ms;
    int64_t allow_for = g->old_allow_for_ms == POLICY_DEFAULT
                            ? p->old_allow_for_ms
                            : g->old_allow_for_ms;
    t->max_age_ms = least(t->max_age_ms, age);
    t->old_allow_for_ms = least(t->old_allow_for_ms, allow_for);
}

void policy_gate_tool(const struct policy *p, struct span tool, int64_t wall_ms,
                      uint16_t room[POLICY_GATES_MAX], struct gate_tool *ret)
{
    size_t looked_at = 0;
    *ret = (struct gate_tool){.max_age_ms = INT64_MAX,
                              .old_allow_for_ms = INT64_MAX};
    ret->classes = policy_classes_on(p, tool, &looked_at);
    ret->rules = policy_gates_on(p, tool, ret->classes, room, &looked_at);
    for (unsigned i = 0; i < ret->rules.count; i++) {
        const struct policy_gate *g = &p->gates[ret->rules.at[i]];
        ret->reads_call = ret->reads_call || g->reads_call;
        if (!policy_audits(&g->mode, wall_ms))
            want_fresh(p, g, ret);
    }
    ret->rules = policy_gates_deciding(p, ret->rules, wall_ms, room);
    if (ret->max_age_ms == INT64_MAX) { /* no enforced rule names it */
        ret->max_age_ms = p->max_age_ms;
        ret->old_allow_for_ms = p->old_allow_for_ms;
    }
}

/* An enforced rule that denies decides before one that audits. */
static void ask_gate(const struct policy_gate *g, const struct filter_env *env,
                     int64_t wall_ms, struct gate_verdict *v)
{
    bool audits = policy_audits(&g->mode, wall_ms);
    bool decided = v->decider != NULL && (audits || !v->allowed);
    if (decided || gate_holds(g, env))
        return;
    v->decider = g;
    v->allowed = v->would = audits;
}

struct gate_verdict policy_gate_eval(const struct policy *p,
                                     const struct gate_tool *tool,
                                     const struct filter_env *env,
                                     int64_t wall_ms)
{
    struct gate_verdict v = {.allowed = true};
    struct filter_env strict = *env;
    strict.absent_is_unknown = true;
    for (unsigned i = 0; i < tool->rules.count; i++)
        ask_gate(&p->gates[tool->rules.at[i]], &strict, wall_ms, &v);
    if (tool->rules.count == 0 && p->gate_count > 0)
        v.allowed = v.would = wall_ms < p->gates_from_ms;
    return v;
}

unsigned policy_feed_may(const struct policy *p, struct span feed)
{
    for (unsigned i = 0; i < p->feed_count; i++)
        if (span_eq(p->feeds[i].name, feed))
            return p->feeds[i].may;
    return MAY_ALL;
}
