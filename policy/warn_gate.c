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
    return span_find(pattern, '*', 0) == pattern.n &&
           policy_tools_match(p, s, pattern, policy_tool_classes(p, pattern));
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

static bool same_require(const struct policy_gate *a,
                         const struct policy_gate *b)
{
    if (a->require == NULL || b->require == NULL)
        return a->require == b->require;
    return filter_same(a->require, b->require);
}

/* True after a warning. */
static bool compare(struct warner *w, const struct doc *d,
                    const struct policy_gate *g,
                    const struct policy_gate *other)
{
    const struct policy *p = w->p;
    if (g == other || !covers(p, &other->tools, &g->tools))
        return false;
    bool both = covers(p, &g->tools, &other->tools);
    if (same_require(g, other) && age_of(p, other) <= age_of(p, g) &&
        (!both || age_of(p, other) < age_of(p, g) || other < g))
        warn_at(w, doc_get(d, SPAN("name")), NULL,
                "'%.*s' adds nothing: '%.*s' wants the same of the same tools",
                PRSPAN(g->name), PRSPAN(other->name));
    else if (g->max_age_ms > 0 && age_of(p, other) < g->max_age_ms)
        warn_at(w, doc_get(d, SPAN("max_age")),
                "the strictest max_age of all rules that name a tool counts",
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
        while (i < p->gate_count && !compare(w, d, g, &p->gates[i]))
            i++;
        g++;
    }
}
