// SPDX-License-Identifier: Apache-2.0
/* Conditions, as "Conditions" in docs/policy.md says it: a path gives a list of
 * values, a comparison holds when it holds for one of them. */
#include "policy/filter_node.h"
#include "tests/semantics/reference.h"

#define VALUES_MAX 32

struct values {
    unsigned count;
    struct {
        const struct doc *d;
        bool exact; /* it came from a sub-attribute whose case counts */
    } at[VALUES_MAX];
};

static const struct doc *member(const struct doc *map, struct span name)
{
    if (map == NULL || map->kind != DOC_MAP)
        return NULL;
    for (const struct doc *d = map->first; d != NULL; d = d->next)
        if (span_ieq(d->key, name))
            return d;
    return NULL;
}

static void push(struct values *v, const struct doc *d, bool exact)
{
    if (d == NULL)
        return;
    if (d->kind == DOC_LIST) {
        for (const struct doc *it = d->first; it != NULL; it = it->next)
            push(v, it, exact);
        return;
    }
    must(v->count < VALUES_MAX);
    v->at[v->count].d = d;
    v->at[v->count++].exact = exact;
}

/* The values that `sub` (or none) of an attribute has. A list of maps without
 * sub-attribute stands for its `value`. */
static void collect(struct values *v, const struct doc *attr, struct span sub)
{
    const bool list = attr != NULL && attr->kind == DOC_LIST;
    if (attr == NULL)
        return;
    for (const struct doc *it = list ? attr->first : attr; it != NULL;
         it = list ? it->next : NULL) {
        if (sub.n > 0 && it->kind == DOC_MAP)
            push(v, member(it, sub), false);
        else if (sub.n > 0 && list && span_ieq(sub, SPAN("value")))
            push(v, it, false);
        else if (sub.n == 0 && it->kind == DOC_MAP)
            push(v, list ? member(it, SPAN("value")) : it, list);
        else if (sub.n == 0)
            push(v, it, false);
    }
}

/* Null, the empty text, the empty list and what holds only such are absent. */
static bool deep_value(const struct doc *d)
{
    if (d == NULL || d->kind == DOC_NULL)
        return false;
    if (d->kind == DOC_TEXT)
        return d->text.n > 0;
    bool any = d->kind != DOC_LIST && d->kind != DOC_MAP;
    for (const struct doc *it = d->first; it != NULL; it = it->next)
        any = any || deep_value(it);
    return any;
}

static bool present(const struct doc *attr, struct span sub)
{
    struct values v = {.count = 0};
    bool any = false;
    if (sub.n == 0)
        return deep_value(attr);
    collect(&v, attr, sub);
    for (unsigned i = 0; i < v.count; i++)
        any = any || deep_value(v.at[i].d);
    return any;
}

/* ---- one value and a literal ---- */

static unsigned char lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c - 'A' + 'a') : c;
}

static int text_order(struct span a, struct span b, bool exact)
{
    for (size_t i = 0; i < a.n && i < b.n; i++) {
        int x = exact ? a.p[i] : lower(a.p[i]);
        int y = exact ? b.p[i] : lower(b.p[i]);
        if (x != y)
            return x - y;
    }
    return a.n < b.n ? -1 : a.n > b.n ? 1 : 0;
}

static bool ordered(enum filter_op op, int order)
{
    return (op == OP_EQ && order == 0) || (op == OP_GT && order > 0) ||
           (op == OP_GE && order >= 0) || (op == OP_LT && order < 0) ||
           (op == OP_LE && order <= 0);
}

static bool text_matches(enum filter_op op, struct span have, struct span want,
                         bool exact)
{
    if (op == OP_SW)
        return have.n >= want.n &&
               text_order(span_sub(have, 0, want.n), want, exact) == 0;
    if (op == OP_EW)
        return have.n >= want.n &&
               text_order(span_sub(have, have.n - want.n, have.n), want,
                          exact) == 0;
    if (op != OP_CO)
        return ordered(op, text_order(have, want, exact));
    for (size_t i = 0; i + want.n <= have.n; i++)
        if (text_order(span_sub(have, i, i + want.n), want, exact) == 0)
            return true;
    return false;
}

/* A value of another type never matches. */
static bool value_matches(enum filter_op op, const struct doc *have,
                          const struct filter_value *want, bool exact)
{
    const bool numbers = (have->kind == DOC_INT || have->kind == DOC_REAL) &&
                         (want->kind == DOC_INT || want->kind == DOC_REAL);
    if (numbers)
        return ordered(op, have->real < want->real   ? -1
                           : have->real > want->real ? 1
                                                     : 0);
    if (have->kind != want->kind)
        return false;
    if (have->kind == DOC_BOOL)
        return op == OP_EQ && have->truth == want->truth;
    return have->kind == DOC_TEXT &&
           text_matches(op, have->text, want->text, exact);
}

/* ---- terms ---- */

/* Where upper and lower case differ. */
static bool case_counts(const struct filter *t)
{
    static const char *const tops[] = {"id", "externalId", "schemas", "meta"};
    struct span leaf = t->path.sub.n > 0 ? t->path.sub : t->path.attr;
    const bool is_sub = t->path.sub.n > 0 || t->in_element;
    bool counts = t->source != FILTER_RESOURCE ||
                  (is_sub && (span_ieq(leaf, SPAN("value")) ||
                              span_ieq(leaf, SPAN("$ref"))));
    for (unsigned i = 0; i < 4 && !t->in_element; i++)
        counts = counts || span_ieq(t->path.attr, span_str(tops[i]));
    return counts;
}

static enum truth truth_of(bool b)
{
    return b ? TRUE_ : FALSE_;
}

static enum truth compare(const struct filter *t, const struct ref_sight *s,
                          const struct doc *attr, struct span sub)
{
    struct values v = {.count = 0};
    bool equal = false;
    if (t->op == OP_PR)
        return truth_of(present(attr, sub));
    if (t->value.kind == DOC_NULL)
        return truth_of(present(attr, sub) == (t->op == OP_NE));
    if (s->requirement && !present(attr, sub))
        return UNKNOWN_;
    collect(&v, attr, sub);
    for (unsigned i = 0; i < v.count; i++)
        equal =
            equal || value_matches(t->op == OP_NE ? OP_EQ : t->op, v.at[i].d,
                                   &t->value, v.at[i].exact || case_counts(t));
    return truth_of(equal != (t->op == OP_NE));
}

/* False: it is not known whether there is such an attribute. */
static bool look_up(const struct filter *t, const struct ref_sight *s,
                    const struct doc **ret, struct span *ret_sub)
{
    const struct doc *home = t->source == FILTER_RESOURCE ? s->resource
                             : t->source == FILTER_EVENT  ? s->event
                                                          : s->call;
    const bool core = t->path.urn.n == 0 || filter_urn_is_core(t->path.urn);
    *ret_sub = t->path.sub;
    if (home == NULL)
        return false;
    if (t->source != FILTER_RESOURCE) { /* event.x is the member x */
        *ret = member(home, t->path.sub.n > 0 ? t->path.sub : t->path.attr);
        *ret_sub = SPAN("");
        return true;
    }
    *ret = t->path.urn.n == 0 ? member(home, t->path.attr)
                              : member(member(home, t->path.urn), t->path.attr);
    if (*ret == NULL && core)
        *ret = member(home, t->path.attr);
    return *ret != NULL || !s->partial;
}

static enum truth term(const struct filter *f, const struct ref_sight *s,
                       const struct doc *element);

/* a[...]: one element that fulfils all of it. */
static enum truth any_element(const struct filter *f, const struct ref_sight *s)
{
    const struct doc *attr;
    struct span sub;
    enum truth best = FALSE_;
    if (!look_up(f, s, &attr, &sub))
        return UNKNOWN_;
    if (sub.n > 0)
        attr = member(attr, sub);
    if (!deep_value(attr))
        return s->requirement ? UNKNOWN_ : FALSE_;
    if (attr->kind != DOC_LIST)
        return term(f->first, s, attr);
    for (const struct doc *it = attr->first; it != NULL; it = it->next) {
        enum truth one = term(f->first, s, it);
        best = one > best ? one : best;
    }
    return best;
}

static enum truth in_element(const struct filter *t, const struct ref_sight *s,
                             const struct doc *e)
{
    const bool is_map = e->kind == DOC_MAP;
    const bool itself =
        t->path.sub.n == 0 && !is_map && span_ieq(t->path.attr, SPAN("value"));
    return compare(t, s,
                   is_map   ? member(e, t->path.attr)
                   : itself ? e
                            : NULL,
                   t->path.sub);
}

static enum truth term(const struct filter *f, const struct ref_sight *s,
                       const struct doc *element)
{
    const struct doc *attr;
    struct span sub;
    enum truth v = f->kind == FILTER_AND ? TRUE_ : FALSE_;
    if (f->kind == FILTER_NOT)
        return (enum truth)(TRUE_ - term(f->first, s, element));
    if (f->kind == FILTER_ELEMENT)
        return any_element(f, s);
    if (f->kind == FILTER_TEST && f->in_element)
        return in_element(f, s, element);
    if (f->kind == FILTER_TEST)
        return look_up(f, s, &attr, &sub) ? compare(f, s, attr, sub) : UNKNOWN_;
    for (const struct filter *it = f->first; it != NULL; it = it->next) {
        enum truth one = term(it, s, element);
        if (f->kind == FILTER_AND ? one < v : one > v)
            v = one;
    }
    return v;
}

enum truth ref_condition(const struct filter *f, const struct ref_sight *s)
{
    return f == NULL ? TRUE_ : term(f, s, NULL);
}
