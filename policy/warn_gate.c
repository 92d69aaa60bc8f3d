// SPDX-License-Identifier: Apache-2.0
/*
 * Gate rules that another gate rule makes superfluous.
 */
#include "policy/index.h"
#include "policy/warn_note.h"

static bool has_pattern(struct warner *w, const struct tool_set *s,
                        struct span pattern)
{
    unsigned i = 0;
    while (i < s->patterns.count && !span_eq(s->patterns.at[i], pattern))
        i++;
    w->looked_at += i;
    return i < s->patterns.count;
}

static bool matches(struct warner *w, const struct tool_set *s,
                    struct span tool)
{
    for (unsigned i = 0; i < s->patterns.count; i++) {
        w->looked_at += s->patterns.at[i].n + tool.n;
        if (span_glob(s->patterns.at[i], tool))
            return true;
    }
    return s->classes != 0 &&
           (policy_classes_on(w->p, tool, &w->looked_at) & s->classes) != 0;
}

/* Is the pattern, read as one tool or as the same pattern, in the set? */
static bool covers_pattern(struct warner *w, const struct tool_set *s,
                           struct span pattern)
{
    const bool is_tool = span_find(pattern, '*', 0) == pattern.n;
    return has_pattern(w, s, pattern) || (is_tool && matches(w, s, pattern));
}

/* Does `wide` name every tool that `narrow` names? */
static bool covers(struct warner *w, const struct tool_set *wide,
                   const struct tool_set *narrow)
{
    w->looked_at++;
    if (wide->all)
        return true;
    if (narrow->all || (narrow->classes & ~wide->classes) != 0)
        return false;
    for (unsigned i = 0; i < narrow->patterns.count; i++)
        if (!covers_pattern(w, wide, narrow->patterns.at[i]))
            return false;
    return true;
}

/* All gate rules that may cover the set: those that name what stands in it
 * first. A pattern names itself. */
static struct rule_set may_cover(struct warner *w, const struct tool_set *s,
                                 uint16_t room[POLICY_GATES_MAX])
{
    uint32_t classes = s->classes;
    struct span first = SPAN("");
    if (!warn_looks_on(w))
        return (struct rule_set){room, 0};
    if (s->patterns.count > 0) {
        first = s->patterns.at[0];
        classes = policy_classes_on(w->p, first, &w->looked_at);
    }
    return policy_gates_on(w->p, first, classes, room, &w->looked_at);
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

static bool same_require(struct warner *w, const struct policy_gate *a,
                         const struct policy_gate *b)
{
    if (a->require == NULL || b->require == NULL)
        return a->require == b->require;
    return filter_same(a->require, b->require, &w->looked_at);
}

/* Does another rule that is enforced name all these tools too? Yes, when that
 * is not looked at. */
static bool other_names(struct warner *w, const struct policy_gate *g,
                        struct rule_set others)
{
    for (unsigned i = 0; i < others.count; i++) {
        const struct policy_gate *other = &w->p->gates[others.at[i]];
        if (!warn_looks_on(w) || (other != g && !other->mode.audit &&
                                  covers(w, &other->tools, &g->tools)))
            return true;
    }
    return !warn_looks_on(w);
}

static void warn_audit(struct warner *w, const struct doc *d,
                       const struct policy_gate *g, struct rule_set others)
{
    warn_mode(w, d, &g->mode);
    if (g->mode.audit && !w->p->mode.audit && !other_names(w, g, others))
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
    if (g == other || other->mode.audit || !covers(w, &other->tools, &g->tools))
        return false;
    bool both = covers(w, &g->tools, &other->tools);
    if (same_require(w, g, other) && as_fresh(p, other, g) &&
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
    uint16_t room[POLICY_GATES_MAX];
    w->looked_at = 0;
    DOC_EACH (d, doc_get(w->root, SPAN("gate"))) {
        const struct rule_set others = may_cover(w, &g->tools, room);
        unsigned i = 0;
        warn_filter(w, doc_get(d, SPAN("require")), g->require, true);
        warn_audit(w, d, g, others);
        while (i < others.count && warn_looks_on(w) &&
               !compare(w, d, g, &p->gates[others.at[i]]))
            i++;
        g++;
    }
}
