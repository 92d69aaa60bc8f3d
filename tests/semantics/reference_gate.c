// SPDX-License-Identifier: Apache-2.0
/* May this agent do this now? Sections "gate" and "Semantics" of
 * docs/policy.md: holds first, then what a read must say, then gate rules. */
#include "tests/semantics/reference.h"

/* `*` is any run of characters. */
static bool glob(struct span pattern, struct span text)
{
    if (pattern.n == 0)
        return text.n == 0;
    struct span rest = span_sub(pattern, 1, pattern.n);
    if (pattern.p[0] != '*')
        return text.n > 0 && text.p[0] == pattern.p[0] &&
               glob(rest, span_sub(text, 1, text.n));
    for (size_t i = 0; i <= text.n; i++)
        if (glob(rest, span_sub(text, i, text.n)))
            return true;
    return false;
}

static bool any_glob(struct names patterns, struct span tool)
{
    for (unsigned i = 0; i < patterns.count; i++)
        if (glob(patterns.at[i], tool))
            return true;
    return false;
}

bool ref_tools_have(const struct policy *p, const struct tool_set *set,
                    struct span tool)
{
    if (set->all || any_glob(set->patterns, tool))
        return true;
    for (unsigned i = 0; i < p->class_count; i++)
        if ((set->classes >> i & 1) != 0 &&
            any_glob(p->classes[i].patterns, tool))
            return true;
    return false;
}

bool ref_hold_covers(const struct ref_hold *h, struct span tool)
{
    const struct tool_set *t = h->tools;
    return t == NULL || (t->patterns.count == 0 && t->classes == 0) ||
           ref_tools_have(h->policy, t, tool);
}

static struct doc *text_member(struct mem *m, struct doc *to, struct span key,
                               struct span text)
{
    struct doc *d = doc_new(m, DOC_TEXT);
    must(d != NULL);
    d->key = key;
    d->text = text;
    doc_append(to, d);
    return d;
}

/* `tool`, `tool_class`, and `call.run_id` when the question names a run. */
static const struct doc *call_of(const struct ref *r, struct span tool,
                                 struct span run)
{
    const struct policy *p = r->policy;
    struct doc *map = doc_new(r->mem, DOC_MAP);
    struct doc *classes = doc_new(r->mem, DOC_LIST);
    must(map != NULL && classes != NULL);
    text_member(r->mem, map, SPAN("tool"), tool);
    if (run.n > 0)
        text_member(r->mem, map, SPAN("run_id"), run);
    classes->key = SPAN("tool_class");
    doc_append(map, classes);
    for (unsigned i = 0; i < p->class_count; i++)
        if (any_glob(p->classes[i].patterns, tool))
            text_member(r->mem, classes, SPAN(""), p->classes[i].name);
    if (classes->count == 0)
        text_member(r->mem, classes, SPAN(""), SPAN("none"));
    return map;
}

static void name(struct ref_answer *a, struct span rule)
{
    must(a->name_count < REF_NAMES_MAX);
    a->names[a->name_count++] = rule;
}

static struct ref_answer deny(enum reason why)
{
    return (struct ref_answer){.says = SAYS_DENY, .reason = why};
}

/* Every gate rule that names the tool must be fulfilled. */
static struct ref_answer ask_gate(const struct ref *r,
                                  const struct ref_subject *s, struct span tool,
                                  struct span run)
{
    const struct policy *p = r->policy;
    const struct ref_sight sight = {.resource = s->attrs,
                                    .requirement = true,
                                    .call = call_of(r, tool, run)};
    struct ref_answer a = deny(REASON_GATE_RULE);
    bool named = p->gate_count == 0, enforced = false;
    for (unsigned i = 0; i < p->gate_count; i++) {
        const struct policy_gate *g = &p->gates[i];
        enforced = enforced || !g->mode.audit;
        if (!ref_tools_have(p, &g->tools, tool))
            continue;
        named = true;
        if (!g->mode.audit && ref_condition(g->require, &sight) != TRUE_)
            name(&a, g->name);
    }
    if (r->audit || (named && a.name_count == 0) || (!named && !enforced))
        return (struct ref_answer){.says = SAYS_ALLOW,
                                   .reason = REASON_ALLOWED};
    return named ? a : deny(REASON_TOOL_NOT_NAMED);
}

static int64_t max_age(const struct policy *p, struct span tool)
{
    int64_t age = -1;
    for (unsigned i = 0; i < p->gate_count; i++) {
        const struct policy_gate *g = &p->gates[i];
        int64_t own = g->max_age_ms > 0 ? g->max_age_ms : p->max_age_ms;
        if (!g->mode.audit && ref_tools_have(p, &g->tools, tool) &&
            (age < 0 || own < age))
            age = own;
    }
    return age < 0 ? p->max_age_ms : age;
}

/* The shortest of the enforced rules that name the tool. */
static int64_t allowed_old(const struct policy *p, struct span tool)
{
    int64_t least = -1;
    for (unsigned i = 0; i < p->gate_count; i++) {
        const struct policy_gate *g = &p->gates[i];
        const int64_t own = g->old_allow_for_ms == POLICY_DEFAULT
                                ? p->old_allow_for_ms
                                : g->old_allow_for_ms;
        if (!g->mode.audit && ref_tools_have(p, &g->tools, tool) &&
            (least < 0 || own < least))
            least = own;
    }
    return least < 0 ? p->old_allow_for_ms : least;
}

bool ref_is_changed(const struct ref *r, const struct ref_subject *s)
{
    bool changed = s->touched_n > s->covered_n || r->reload_n > s->covered_n ||
                   r->silent_n > s->covered_n;
    for (unsigned k = 0; k < REF_RELATIONS; k++)
        for (unsigned i = 0; i < r->subject_count; i++)
            changed = changed || (s->related[k][i] &&
                                  r->subjects[i].touched_n > s->covered_n);
    return changed;
}

/* Never read, or gone. One lookup decides, where the policy has strangers
 * looked up or a statement has announced it. */
static struct ref_answer ask_unknown(const struct ref *r,
                                     const struct ref_subject *s, bool reading)
{
    const bool resting = !reading && r->now_ms < s->rest_until_ms;
    const bool old = r->now_ms - s->covered_ms > r->policy->max_age_ms;
    const enum reason why =
        s->failed ? REASON_REFRESH_FAILED : REASON_UNKNOWN_AGENT;
    if (s->found == REF_GONE && (resting || (!s->open && !old)))
        return deny(REASON_AGENT_GONE);
    if ((resting && !s->open) || (!r->policy->lookup_unknown && !s->announced))
        return deny(why);
    return (struct ref_answer){.says = SAYS_WAIT};
}

/* The strictest hold that covers the tool: suspended, review, uncovered. */
static bool held(const struct ref_subject *s, struct span tool,
                 struct ref_answer *ret)
{
    static const enum reason reasons[HOLD_KIND_COUNT] = {
        REASON_AGENT_SUSPENDED, REASON_AGENT_IN_REVIEW, REASON_AGENT_UNCOVERED};
    for (unsigned kind = 0; kind < HOLD_KIND_COUNT; kind++) {
        *ret = deny(reasons[kind]);
        for (unsigned i = 0; i < s->hold_count; i++)
            if (s->holds[i].kind == kind && ref_hold_covers(&s->holds[i], tool))
                name(ret, span_str(s->holds[i].rule));
        if (ret->name_count > 0)
            return true;
    }
    return false;
}

struct ref_answer ref_ask(const struct ref *r, struct span uri,
                          struct span tool, struct span run, bool reading)
{
    struct ref_answer a;
    const struct ref_subject *s = NULL;
    for (unsigned i = 0; i < r->subject_count; i++)
        if (span_eq(r->subjects[i].uri, uri))
            s = &r->subjects[i];
    must(s != NULL);
    if (held(s, tool, &a))
        return a;
    if (s->kind == SUBJECT_GROUP ||
        (s->kind == SUBJECT_USER && r->policy->agents_where == NULL))
        return deny(REASON_NOT_AN_AGENT);
    if (!s->known || s->found == REF_GONE)
        return ask_unknown(r, s, reading);
    const int64_t late_ms =
        r->now_ms - s->covered_ms - max_age(r->policy, tool);
    const bool changed = ref_is_changed(r, s), stale = changed || late_ms > 0;
    if (stale && (!s->failed || reading || r->now_ms >= s->rest_until_ms))
        return (struct ref_answer){.says = SAYS_WAIT};
    if (stale && (changed || late_ms > allowed_old(r->policy, tool)))
        return deny(REASON_REFRESH_FAILED);
    if (!ref_is_agent(r, s))
        return deny(REASON_NOT_AN_AGENT);
    if (!s->active)
        return deny(REASON_AGENT_INACTIVE);
    a = ask_gate(r, s, tool, run);
    if (a.says == SAYS_ALLOW && stale)
        a.reason = REASON_ALLOWED_OLD;
    return a;
}
