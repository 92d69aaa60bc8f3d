// SPDX-License-Identifier: Apache-2.0
/*
 * Rules that repeat another one: whenever they match the other matches too, and
 * it takes the same steps.
 */
#include "policy/warn_note.h"

static bool in_names(struct warner *w, struct names names, struct span name)
{
    unsigned i = 0;
    while (i < names.count && !span_eq(names.at[i], name))
        i++;
    w->looked_at += i;
    return i < names.count;
}

static bool same_names(struct warner *w, struct names a, struct names b)
{
    for (unsigned i = 0; i < a.count; i++)
        if (!in_names(w, b, a.at[i]))
            return false;
    return a.count == b.count;
}

static bool same_filter(struct warner *w, const struct filter *a,
                        const struct filter *b)
{
    return a == NULL || b == NULL ? a == b : filter_same(a, b, &w->looked_at);
}

static bool same_step(struct warner *w, const struct policy_step *a,
                      const struct policy_step *b)
{
    w->looked_at++;
    return a->kind == b->kind && a->hold == b->hold && a->action == b->action &&
           a->tools.all == b->tools.all &&
           a->tools.classes == b->tools.classes &&
           a->within_ms == b->within_ms &&
           a->review_otherwise == b->review_otherwise &&
           same_names(w, a->tools.patterns, b->tools.patterns) &&
           same_names(w, a->purge, b->purge) &&
           same_names(w, a->set_by, b->set_by) &&
           same_names(w, a->otherwise, b->otherwise) &&
           same_filter(w, a->review_by, b->review_by);
}

/* `other` takes every step of `r`. */
static bool takes_all(struct warner *w, const struct policy_rule *other,
                      const struct policy_rule *r)
{
    for (unsigned i = 0; i < r->step_count; i++) {
        unsigned k = 0;
        while (k < other->step_count &&
               !same_step(w, &other->steps[k], &r->steps[i]))
            k++;
        if (k == other->step_count)
            return false;
    }
    return true;
}

static bool same_path(const struct attr_path *a, const struct attr_path *b)
{
    return span_ieq(a->attr, b->attr) && span_ieq(a->sub, b->sub) &&
           span_ieq(a->urn, b->urn);
}

static bool same_paths(struct warner *w, const struct policy_rule *a,
                       const struct policy_rule *b)
{
    for (unsigned i = 0; i < a->changed_count; i++) {
        unsigned k = 0;
        while (k < b->changed_count &&
               !same_path(&a->changed[i], &b->changed[k]))
            k++;
        w->looked_at += k;
        if (k == b->changed_count)
            return false;
    }
    return true;
}

/* Does `other` match whenever `r` does? Conditions only when they are the same
 * or missing: more would be guessing. */
static bool matches_as_often(struct warner *w, const struct policy_rule *other,
                             const struct policy_rule *r)
{
    if ((r->events & ~other->events) != 0 || r->subject != other->subject ||
        r->applies_to != other->applies_to ||
        (other->mode.audit && !r->mode.audit))
        return false;
    const bool feeds =
        other->feeds.count == 0 ||
        (r->feeds.count > 0 && same_names(w, r->feeds, other->feeds));
    const bool changed = other->changed_count == 0 ||
                         (r->changed_count > 0 && same_paths(w, r, other));
    return feeds && changed &&
           (other->where == NULL || same_filter(w, other->where, r->where)) &&
           (other->agents_where == NULL ||
            same_filter(w, other->agents_where, r->agents_where));
}

static bool repeats(struct warner *w, const struct policy_rule *r,
                    const struct policy_rule *other)
{
    return matches_as_often(w, other, r) && takes_all(w, other, r);
}

void warn_same_rules(struct warner *w)
{
    const struct policy *p = w->p;
    unsigned i = 0;
    DOC_EACH (d, doc_get(w->root, SPAN("rules"))) {
        const struct policy_rule *r = &p->rules[i];
        for (unsigned k = 0; k < p->rule_count && warn_looks_on(w); k++) {
            const struct policy_rule *other = &p->rules[k];
            /* Of two that repeat each other the later one is too many. */
            if (k == i || !repeats(w, r, other) ||
                (k > i && repeats(w, other, r)))
                continue;
            warn_at(w, doc_get(d, SPAN("name")), NULL,
                    "'%.*s' adds nothing: '%.*s' takes the same steps whenever "
                    "it matches",
                    PRSPAN(r->name), PRSPAN(other->name));
            break;
        }
        i++;
    }
}
