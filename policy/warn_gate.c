// SPDX-License-Identifier: Apache-2.0
/*
 * Gate rules that another gate rule makes superfluous.
 */
#include "policy/warn_note.h"

/* Is the pattern, read as one tool or as the same pattern, in the set? */
static bool covers_pattern(const struct policy *p, const struct tool_set *s,
                           struct span pattern)
{
    for (unsigned i = 0; i < s->patterns.count; i++)
        if (span_eq(s->patterns.at[i], pattern))
            return true;
    if (span_find(pattern, '*', 0) < pattern.n)
        return false;
    uint32_t classes = s->classes == 0 ? 0 : policy_tool_classes(p, pattern);
    return policy_tools_match(p, s, pattern, classes);
}

/* Does `wide` name every tool that `narrow` names? */
static bool covers(const struct policy *p, const struct tool_set *wide,
                   const struct tool_set *narrow)
{
    if (wide->all)
        return true;
    if (narrow->all || (narrow->classes & ~wide->classes) != 0)
        return false;
    for (unsigned i = 0; i < narrow->patterns.count; i++)
        if (!covers_pattern(p, wide, narrow->patterns.at[i]))
            return false;
    return true;
}

static int64_t age_of(const struct policy *p, const struct policy_gate *g)
{
    return g->max_age_ms > 0 ? g->max_age_ms : p->max_age_ms;
}

static int64_t allow_of(const struct policy *p, const struct policy_gate *g)
{
    return g->old_allow_for_ms == POLICY_DEFAULT ? p->old_allow_for_ms
                                                 : g->old_allow_for_ms;
}

/* Does `a` want reads as fresh as `b` does, or fresher? */
static bool as_fresh(const struct policy *p, const struct policy_gate *a,
                     const struct policy_gate *b)
{
    return age_of(p, a) <= age_of(p, b) && allow_of(p, a) <= allow_of(p, b);
}

static bool same_require(const struct policy_gate *a,
                         const struct policy_gate *b)
{
    if (a->require == NULL || b->require == NULL)
        return a->require == b->require;
    return filter_same(a->require, b->require);
}

/* Do other rules that are enforced name all these tools too? */
static bool others_name(const struct policy *p, const struct policy_gate *g)
{
    for (unsigned i = 0; i < p->gate_count; i++)
        if (&p->gates[i] != g && !p->gates[i].mode.audit &&
            covers(p, &p->gates[i].tools, &g->tools))
            return true;
    return false;
}

static void warn_audit(struct warner *w, const struct doc *d,
                       const struct policy_gate *g)
{
    warn_mode(w, d, &g->mode);
    if (g->mode.audit && !w->p->mode.audit && !others_name(w->p, g))
        warn_at_key(w, doc_get(d, SPAN("mode")),
                    "an enforced rule beside it can deny them meanwhile",
                    "until then these tools are open to every agent that may "
                    "act: no single enforced gate rule names them all");
}

/* True after a warning. */
static bool compare(struct warner *w, const struct doc *d,
                    const struct policy_gate *g,
                    const struct policy_gate *other)
{
    const struct policy *p = w->p;
    if (g == other || other->mode.audit || !covers(p, &other->tools, &g->tools))
        return false;
    bool both = covers(p, &g->tools, &other->tools);
    if (same_require(g, other) && as_fresh(p, other, g) &&
        (!both || !as_fresh(p, g, other) || other < g))
        warn_at(w, doc_get(d, SPAN("name")), NULL,
                "'%.*s' adds nothing: '%.*s' wants the same of the same tools",
                PRSPAN(g->name), PRSPAN(other->name));
    else if (g->max_age_ms > 0 && age_of(p, other) < g->max_age_ms)
        warn_at(w, doc_get(d, SPAN("max_age")),
                "the strictest max_age of all rules that name a tool counts",
                "no effect: '%.*s' names these tools too and allows less",
                PRSPAN(other->name));
    else if (g->old_allow_for_ms > 0 &&
             allow_of(p, other) < g->old_allow_for_ms)
        warn_at(w, doc_get(d, SPAN("when_old")),
                "the strictest when_old of all rules that name a tool counts",
                "no effect: '%.*s' names these tools too and allows less",
                PRSPAN(other->name));
    else
        return false;
    return true;
}

void warn_gates(struct warner *w)
{
    const struct policy *p = w->p;
    const struct policy_gate *g = p->gates;
    DOC_EACH (d, doc_get(w->root, SPAN("gate"))) {
        unsigned i = 0;
        warn_filter(w, doc_get(d, SPAN("require")), g->require, true);
        warn_audit(w, d, g);
        while (i < p->gate_count && !compare(w, d, g, &p->gates[i]))
            i++;
        g++;
    }
}
