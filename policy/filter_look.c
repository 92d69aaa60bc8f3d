// SPDX-License-Identifier: Apache-2.0
/*
 * Questions about a filter itself, without any resource: which terms it has,
 * whether two are the same, whether one can ever hold.
 */
#include "policy/filter.h"

#include "policy/filter_node.h"

/* Bounded by FILTER_DEPTH_MAX. */
// NOLINTNEXTLINE(misc-no-recursion)
void filter_each(const struct filter *flt,
                 void (*each)(void *ctx, const struct filter *node), void *ctx)
{
    each(ctx, flt);
    for (const struct filter *it = flt->first; it != NULL; it = it->next)
        filter_each(it, each, ctx);
}

static bool same_path(const struct attr_path *a, const struct attr_path *b)
{
    return span_ieq(a->urn, b->urn) && span_ieq(a->attr, b->attr) &&
           span_ieq(a->sub, b->sub);
}

static bool same_value(const struct filter_value *a,
                       const struct filter_value *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
        case DOC_BOOL: return a->truth == b->truth;
        case DOC_INT: return a->integer == b->integer;
        case DOC_REAL: return !(a->real < b->real) && !(a->real > b->real);
        case DOC_TEXT: return span_eq(a->text, b->text);
        case DOC_NULL:
        case DOC_LIST:
        case DOC_MAP: break;
    }
    return true;
}

/* Bounded by FILTER_DEPTH_MAX. */
// NOLINTNEXTLINE(misc-no-recursion)
bool filter_same(const struct filter *a, const struct filter *b,
                 size_t *looked_at)
{
    ++*looked_at;
    if (a->kind != b->kind)
        return false;
    if (a->kind == FILTER_TEST)
        return a->op == b->op && same_path(&a->path, &b->path) &&
               (a->op == OP_PR || same_value(&a->value, &b->value));
    if (a->kind == FILTER_ELEMENT && !same_path(&a->path, &b->path))
        return false;
    const struct filter *x = a->first, *y = b->first;
    for (; x != NULL && y != NULL; x = x->next, y = y->next)
        if (!filter_same(x, y, looked_at))
            return false;
    return x == NULL && y == NULL;
}

static bool is_negation(const struct filter *a, const struct filter *b)
{
    size_t looked_at = 0;
    if (a->kind == FILTER_NOT)
        return filter_same(a->first, b, &looked_at);
    return a->kind == FILTER_TEST && b->kind == FILTER_TEST && a->op == OP_NE &&
           b->op == OP_EQ && same_path(&a->path, &b->path) &&
           same_value(&a->value, &b->value);
}

static bool has_opposites(const struct filter *n)
{
    for (const struct filter *a = n->first; a != NULL; a = a->next)
        for (const struct filter *b = n->first; b != NULL; b = b->next)
            if (a != b && is_negation(a, b))
                return true;
    return false;
}

/* `decides`: NO for `and`, YES for `or`. */
// NOLINTNEXTLINE(misc-no-recursion)
static enum tri joined_constant(const struct filter *n, enum tri decides)
{
    enum tri all = decides == TRI_NO ? TRI_YES : TRI_NO;
    for (const struct filter *it = n->first; it != NULL; it = it->next) {
        enum tri one = filter_constant(it);
        if (one == decides)
            return decides;
        if (one == TRI_UNKNOWN)
            all = TRI_UNKNOWN;
    }
    return all == TRI_UNKNOWN && has_opposites(n) ? decides : all;
}

/* Bounded by FILTER_DEPTH_MAX. */
// NOLINTNEXTLINE(misc-no-recursion)
enum tri filter_constant(const struct filter *flt)
{
    switch (flt->kind) {
        case FILTER_OR: return joined_constant(flt, TRI_YES);
        case FILTER_AND: return joined_constant(flt, TRI_NO);
        case FILTER_NOT: {
            enum tri v = filter_constant(flt->first);
            return v == TRI_UNKNOWN ? v : v == TRI_YES ? TRI_NO : TRI_YES;
        }
        case FILTER_ELEMENT:
            return filter_constant(flt->first) == TRI_NO ? TRI_NO : TRI_UNKNOWN;
        case FILTER_TEST: break;
    }
    return TRI_UNKNOWN;
}
