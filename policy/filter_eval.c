// SPDX-License-Identifier: Apache-2.0
/*
 * Evaluates a compiled filter: Kleene logic over attributes that match when
 * any of their values does (RFC 7644 3.4.2.2). Nothing here allocates and
 * nothing here fails; recursion is bounded by FILTER_DEPTH_MAX and
 * DOC_DEPTH_MAX.
 */
#include "policy/filter.h"

#include "policy/filter_node.h"
#include "sidecar/base/fail.h"
#include "sidecar/base/time_text.h"

static unsigned char fold(unsigned char c, bool exact)
{
    return !exact && c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A'))
                                          : c;
}

static int text_order(struct span a, struct span b, bool exact)
{
    size_t n = a.n < b.n ? a.n : b.n;
    for (size_t i = 0; i < n; i++) {
        int diff = fold(a.p[i], exact) - fold(b.p[i], exact);
        if (diff != 0)
            return diff;
    }
    return a.n == b.n ? 0 : a.n < b.n ? -1 : 1;
}

static bool text_equal(struct span a, struct span b, bool exact)
{
    return exact ? span_eq(a, b) : span_ieq(a, b);
}

static bool text_contains(struct span whole, struct span part, bool exact)
{
    for (size_t i = 0; i + part.n <= whole.n; i++)
        if (text_equal(span_sub(whole, i, i + part.n), part, exact))
            return true;
    return false;
}

static bool order_holds(enum filter_op op, int order)
{
    switch (op) {
        case OP_EQ: return order == 0;
        case OP_GT: return order > 0;
        case OP_GE: return order >= 0;
        case OP_LT: return order < 0;
        case OP_LE: return order <= 0;
        case OP_NE:
        case OP_CO:
        case OP_SW:
        case OP_EW:
        case OP_PR:
        case OP_COUNT: break;
    }
    must(false && "not an ordering operator");
}

/* Identifiers are never read as times, dates in `meta` are. */
static bool may_be_time(const struct filter *t, bool exact)
{
    return t->value.is_time && (!exact || t->source != FILTER_RESOURCE ||
                                span_ieq(t->path.attr, SPAN("meta")));
}

static bool text_holds(const struct filter *t, enum filter_op op, struct span v,
                       bool exact)
{
    struct span want = t->value.text;
    int64_t ms;
    if (op == OP_CO)
        return text_contains(v, want, exact);
    if (op == OP_SW)
        return text_equal(span_sub(v, 0, want.n), want, exact);
    if (op == OP_EW)
        return v.n >= want.n &&
               text_equal(span_sub(v, v.n - want.n, v.n), want, exact);
    if (may_be_time(t, exact) && time_parse(v, &ms))
        return order_holds(op, ms == t->value.time_ms  ? 0
                               : ms < t->value.time_ms ? -1
                                                       : 1);
    if (op == OP_EQ)
        return text_equal(v, want, exact);
    return order_holds(op, text_order(v, want, exact));
}

static bool number_holds(const struct filter *t, enum filter_op op,
                         const struct doc *v)
{
    const struct filter_value *want = &t->value;
    if (v->kind == DOC_INT && want->kind == DOC_INT)
        return order_holds(op, v->integer == want->integer  ? 0
                               : v->integer < want->integer ? -1
                                                            : 1);
    return order_holds(op, v->real < want->real   ? -1
                           : v->real > want->real ? 1
                                                  : 0);
}

/* One value against the literal; values of another type do not match. */
static bool scalar_holds(const struct filter *t, enum filter_op op,
                         const struct doc *v, bool exact)
{
    enum doc_kind want = t->value.kind;
    if (v->kind == DOC_TEXT)
        return want == DOC_TEXT && text_holds(t, op, v->text, exact);
    if (v->kind == DOC_INT || v->kind == DOC_REAL)
        return (want == DOC_INT || want == DOC_REAL) && number_holds(t, op, v);
    if (v->kind == DOC_BOOL)
        return want == DOC_BOOL && v->truth == t->value.truth;
    return false;
}

/* Absent, null and empty are the same (RFC 7643 2.5). */
// NOLINTNEXTLINE(misc-no-recursion)
static bool is_present(const struct doc *v)
{
    if (v == NULL || v->kind == DOC_NULL)
        return false;
    if (v->kind == DOC_TEXT)
        return v->text.n > 0;
    if (v->kind != DOC_LIST && v->kind != DOC_MAP)
        return true;
    DOC_EACH (it, v)
        if (is_present(it))
            return true;
    return false;
}

/* A simple value, or a list of such. */
static bool any_scalar_holds(const struct filter *t, enum filter_op op,
                             const struct doc *v, bool exact)
{
    if (v->kind != DOC_LIST)
        return scalar_holds(t, op, v, exact);
    DOC_EACH (it, v)
        if (scalar_holds(t, op, it, exact))
            return true;
    return false;
}

/* A whole attribute value: list, complex or simple. `v` may be NULL. */
static bool value_holds(const struct filter *t, enum filter_op op,
                        const struct doc *v)
{
    if (op == OP_PR)
        return is_present(v);
    if (v == NULL)
        return false;
    if (v->kind != DOC_LIST)
        return scalar_holds(t, op, v, t->exact);
    DOC_EACH (it, v) {
        /* A multi-valued complex attribute stands for its `value`. */
        bool complex = it->kind == DOC_MAP;
        const struct doc *leaf = complex ? doc_iget(it, SPAN("value")) : it;
        if (leaf != NULL && any_scalar_holds(t, op, leaf, t->exact || complex))
            return true;
    }
    return false;
}

/* `op` instead of the term's own. `event.x` is the member x, not the
 * sub-attribute x of a member. */
static bool term_holds(const struct filter *t, enum filter_op op,
                       const struct doc *v)
{
    struct span sub = t->path.sub;
    bool member = !t->in_element && t->source != FILTER_RESOURCE;
    if (sub.n == 0 || member)
        return value_holds(t, op, v);
    if (v == NULL)
        return false;
    if (v->kind != DOC_LIST)
        return value_holds(t, op, doc_iget(v, sub));
    bool is_value = span_ieq(sub, SPAN("value"));
    DOC_EACH (it, v) {
        const struct doc *leaf =
            it->kind != DOC_MAP && is_value ? it : doc_iget(it, sub);
        if (value_holds(t, op, leaf))
            return true;
    }
    return false;
}

/* `eq null` asks for absence, `ne` is `not eq`. */
static enum tri test_holds(const struct filter *t, const struct filter_env *env,
                           const struct doc *v)
{
    bool holds;
    if (t->plain && v != NULL && v->kind == DOC_TEXT && v->text.n > 0)
        return text_equal(v->text, t->value.text, t->exact) ? TRI_YES : TRI_NO;
    if (t->value.kind == DOC_NULL && t->op != OP_PR)
        holds = term_holds(t, OP_PR, v) == (t->op == OP_NE);
    else if (t->op != OP_PR && env->absent_is_unknown &&
             !term_holds(t, OP_PR, v))
        return TRI_UNKNOWN;
    else if (t->op == OP_NE)
        holds = !term_holds(t, OP_EQ, v);
    else
        holds = term_holds(t, t->op, v);
    return holds ? TRI_YES : TRI_NO;
}

/* ---- where values come from ---- */

static bool is_asked_for(const struct filter_env *env, struct span name)
{
    return env->is_known == NULL || env->is_known(env->ctx, name);
}

/* The name as the policy's attribute list has it: urn and attr lie side by
 * side in the filter's text. */
static struct span qualified_name(const struct attr_path *path)
{
    return span_of(path->urn.p, path->urn.n + 1 + path->attr.n);
}

/* False when it is not known. `*ret` is NULL when there is no value. */
static bool find_in_resource(const struct attr_path *path,
                             const struct filter_env *env,
                             const struct doc **ret)
{
    if (env->resource == NULL)
        return false;
    bool core = path->urn.n == 0 || filter_urn_is_core(path->urn);
    const struct doc *home =
        path->urn.n == 0 ? env->resource : doc_iget(env->resource, path->urn);
    *ret = doc_iget(home, path->attr);
    if (*ret == NULL && core)
        *ret = doc_iget(env->resource, path->attr);
    return *ret != NULL ||
           is_asked_for(env, core ? path->attr : qualified_name(path));
}

bool filter_find(const struct filter *t, const struct filter_env *env,
                 const struct doc **ret)
{
    const struct doc *from = env->call;
    *ret = NULL;
    if (t->source == FILTER_RESOURCE)
        return find_in_resource(&t->path, env, ret);
    if (t->source == FILTER_EVENT)
        from = env->event;
    if (from == NULL)
        return false;
    *ret = doc_iget(from, t->path.sub.n > 0 ? t->path.sub : t->path.attr);
    return true;
}

static enum tri eval_test(const struct filter *t, const struct filter_env *env)
{
    const struct doc *v;
    return filter_find(t, env, &v) ? test_holds(t, env, v) : TRI_UNKNOWN;
}

/* A test inside [ ]: everything about the element is known. */
static enum tri eval_in_element(const struct filter *t,
                                const struct filter_env *env,
                                const struct doc *e)
{
    must(e != NULL); /* a test inside [ ] is never compiled outside */
    if (e->kind == DOC_MAP)
        return test_holds(t, env, doc_iget(e, t->path.attr));
    bool self = t->path.sub.n == 0 && span_ieq(t->path.attr, SPAN("value"));
    return test_holds(t, env, self ? e : NULL);
}

static enum tri eval(const struct filter *n, const struct filter_env *env,
                     const struct doc *element);

// NOLINTNEXTLINE(misc-no-recursion): as deep as the compiled filter
static enum tri eval_element(const struct filter *n,
                             const struct filter_env *env)
{
    const struct doc *v;
    if (!filter_find(n, env, &v))
        return TRI_UNKNOWN;
    if (n->source == FILTER_RESOURCE && n->path.sub.n > 0)
        v = doc_iget(v, n->path.sub);
    if (!is_present(v))
        return env->absent_is_unknown ? TRI_UNKNOWN : TRI_NO;
    if (v->kind != DOC_LIST)
        return eval(n->first, env, v);
    enum tri any = TRI_NO;
    DOC_EACH (it, v) {
        enum tri one = eval(n->first, env, it);
        if (one == TRI_YES)
            return TRI_YES;
        if (one == TRI_UNKNOWN)
            any = TRI_UNKNOWN;
    }
    return any;
}

/* `decides` settles the whole at once: NO for `and`, YES for `or`. */
// NOLINTNEXTLINE(misc-no-recursion)
static enum tri eval_joined(const struct filter *n,
                            const struct filter_env *env,
                            const struct doc *element, enum tri decides)
{
    enum tri all = decides == TRI_NO ? TRI_YES : TRI_NO;
    for (const struct filter *it = n->first; it != NULL; it = it->next) {
        enum tri one = eval(it, env, element);
        if (one == decides)
            return decides;
        if (one == TRI_UNKNOWN)
            all = TRI_UNKNOWN;
    }
    return all;
}

static enum tri negate(enum tri v)
{
    return v == TRI_UNKNOWN ? v : v == TRI_YES ? TRI_NO : TRI_YES;
}

// NOLINTNEXTLINE(misc-no-recursion)
static enum tri eval(const struct filter *n, const struct filter_env *env,
                     const struct doc *element)
{
    switch (n->kind) {
        case FILTER_OR: return eval_joined(n, env, element, TRI_YES);
        case FILTER_AND: return eval_joined(n, env, element, TRI_NO);
        case FILTER_NOT: return negate(eval(n->first, env, element));
        case FILTER_ELEMENT: return eval_element(n, env);
        case FILTER_TEST:
            return n->in_element ? eval_in_element(n, env, element)
                                 : eval_test(n, env);
    }
    must(false && "unknown kind of filter");
}

enum tri filter_eval(const struct filter *flt, const struct filter_env *env)
{
    return eval(flt, env, NULL);
}
