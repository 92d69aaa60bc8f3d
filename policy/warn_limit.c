// SPDX-License-Identifier: Apache-2.0
/*
 * Limits that count or withhold nothing, and those of which nobody hears.
 */
#include "policy/warn_note.h"

static bool counts(const struct policy *p, const struct policy_rule *r,
                   enum limit_kind kind)
{
    for (unsigned i = 0; i < r->step_count; i++)
        if (policy_step_limit(p, &r->steps[i]) == kind)
            return true;
    return false;
}

static bool any_counts(const struct policy *p, enum limit_kind kind)
{
    for (unsigned i = 0; i < p->rule_count; i++)
        if (counts(p, &p->rules[i], kind))
            return true;
    return false;
}

static bool any_withheld(const struct policy *p)
{
    for (unsigned k = 0; k < LIMIT_KIND_COUNT; k++)
        if (policy_limit_withholds((enum limit_kind)k) &&
            any_counts(p, (enum limit_kind)k))
            return true;
    return false;
}

static bool is_step(const struct policy *p, const struct policy_step *s,
                    struct span action)
{
    return s->kind == STEP_ACTION &&
           span_eq(p->actions[s->action].name, action);
}

/* The first rule that takes this action as a step, or NULL. */
static const struct policy_rule *runs(const struct policy *p,
                                      struct span action)
{
    for (unsigned i = 0; i < p->rule_count; i++)
        for (unsigned k = 0; k < p->rules[i].step_count; k++)
            if (is_step(p, &p->rules[i].steps[k], action))
                return &p->rules[i];
    return NULL;
}

static void warn_beyond(struct warner *w, const struct doc *d,
                        const struct policy_limit *limit)
{
    if (limit->beyond.count == 0)
        warn_at_key(w, d, "beyond: [page]",
                    "nobody is called when this limit withholds something");
    for (unsigned i = 0; i < limit->beyond.count; i++) {
        struct span name = limit->beyond.at[i];
        const struct policy_rule *r = runs(w->p, name);
        if (r != NULL && w->p->limits[LIMIT_HTTP].max > 0)
            warn_at(w, doc_get(d, SPAN("beyond")), "use an action of its own",
                    "as '%.*s' calls a person here, the limit of http neither "
                    "counts nor withholds it in rule '%.*s'",
                    PRSPAN(name), PRSPAN(r->name));
    }
}

static void warn_limit(struct warner *w, const struct doc *d,
                       enum limit_kind kind)
{
    const struct policy_limit *limit = &w->p->limits[kind];
    if (!any_counts(w->p, kind))
        warn_at_key(w, d, NULL, "no rule takes a step that this limit counts");
    else if (!any_withheld(w->p))
        warn_at_key(w, d, "holds and cancellations are never withheld",
                    "this limit has no effect: no rule revokes, purges or runs "
                    "an action");
    else
        warn_beyond(w, d, limit);
    warn_filter(w, doc_get(d, SPAN("never_for")), limit->never_for, false);
}

void warn_limits(struct warner *w)
{
    const struct doc *limits = doc_get(w->root, SPAN("limits"));
    for (unsigned k = 0; k < LIMIT_KIND_COUNT; k++) {
        const struct doc *d =
            doc_get(limits, span_str(limit_kind_word((enum limit_kind)k)));
        if (d != NULL)
            warn_limit(w, d, (enum limit_kind)k);
    }
}
