// SPDX-License-Identifier: Apache-2.0
/*
 * Rules that repeat another one: whenever they match the other matches too, and
 * it takes the same steps.
 */
#include "policy/warn_note.h"

static bool in_names(struct names names, struct span name)
{
    for (unsigned i = 0; i < names.count; i++)
        if (span_eq(names.at[i], name))
            return true;
    return false;
}

static bool same_names(struct names a, struct names b)
{
    for (unsigned i = 0; i < a.count; i++)
        if (!in_names(b, a.at[i]))
            return false;
    return a.count == b.count;
}

static bool same_filter(const struct filter *a, const struct filter *b)
{
    return a == NULL || b == NULL ? a == b : filter_same(a, b);
}

static bool same_step(const struct policy_step *a, const struct policy_step *b)
{
    return a->kind == b->kind && a->hold == b->hold && a->action == b->action &&
           a->tools.all == b->tools.all &&
           a->tools.classes == b->tools.classes &&
           a->within_ms == b->within_ms &&
           a->review_otherwise == b->review_otherwise &&
           same_names(a->tools.patterns, b->tools.patterns) &&
           same_names(a->purge, b->purge) && same_names(a->set_by, b->set_by) &&
           same_names(a->otherwise, b->otherwise) &&
           same_filter(a->review_by, b->review_by);
}

/* `other` takes every step of `r`. */
static bool takes_all(const struct policy_rule *other,
                      const struct policy_rule *r)
{
    for (unsigned i = 0; i < r->step_count; i++) {
        unsigned k = 0;
        while (k < other->step_count &&
               !same_step(&other->steps[k], &r->steps[i]))
            k++;
        if (k == other->step_count)
            return false;
    }
    return true;
}

static bool same_paths(const struct policy_rule *a, const struct policy_rule *b)
{
    for (unsigned i = 0; i < a->changed_count; i++) {
        unsigned k = 0;
        while (k < b->changed_count &&
               (!span_ieq(a->changed[i].attr, b->changed[k].attr) ||
                !span_ieq(a->changed[i].sub, b->changed[k].sub) ||
                !span_ieq(a->changed[i].urn, b->changed[k].urn)))
            k++;
        if (k == b->changed_count)
            return false;
    }
    return true;
}

/* Does `other` match whenever `r` does? Conditions only when they are the same
 * or missing: more would be guessing. */
static bool matches_as_often(const struct policy_rule *other,
                             const struct policy_rule *r)
{
    const bool feeds =
        other->feeds.count == 0 ||
        (r->feeds.count > 0 && same_names(r->feeds, other->feeds));
    const bool changed = other->changed_count == 0 ||
                         (r->changed_count > 0 && same_paths(r, other));
    return (r->events & ~other->events) == 0 && r->subject == other->subject &&
           r->applies_to == other->applies_to && feeds && changed &&
           (other->where == NULL || same_filter(other->where, r->where)) &&
           (other->agents_where == NULL ||
            same_filter(other->agents_where, r->agents_where)) &&
           (!other->mode.audit || r->mode.audit);
}

static bool repeats(const struct policy_rule *r,
                    const struct policy_rule *other)
{
    return matches_as_often(other, r) && takes_all(other, r);
}

void warn_same_rules(struct warner *w)
{
    const struct policy *p = w->p;
    unsigned i = 0;
    DOC_EACH (d, doc_get(w->root, SPAN("rules"))) {
        const struct policy_rule *r = &p->rules[i];
        for (unsigned k = 0; k < p->rule_count; k++) {
            const struct policy_rule *other = &p->rules[k];
            /* Of two that repeat each other the later one is too many. */
            if (k == i || !repeats(r, other) || (k > i && repeats(other, r)))
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
