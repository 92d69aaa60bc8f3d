// SPDX-License-Identifier: Apache-2.0
#include "policy/filter.h"

#include "policy/filter_node.h"

struct walk {
    const struct filter_env *env;
    void (*each)(void *ctx, const struct filter_step *s);
    void *ctx;
};

const char *filter_joint_word(const struct filter *term)
{
    switch (term->kind) {
        case FILTER_AND: return "all of";
        case FILTER_OR: return "one of";
        case FILTER_NOT: return "not";
        case FILTER_ELEMENT:
        case FILTER_TEST: break;
    }
    return NULL;
}

/* Every term is a filter of its own, so that its value comes from the same
 * evaluation as the value of the whole. Bounded by FILTER_DEPTH_MAX. */
// NOLINTNEXTLINE(misc-no-recursion)
static void explain(const struct walk *w, const struct filter *n,
                    unsigned depth)
{
    struct filter_step s = {
        .term = n, .depth = depth, .value = filter_eval(n, w->env)};
    bool joint = filter_joint_word(n) != NULL;
    if (!joint)
        s.known = filter_find(n, w->env, &s.found);
    w->each(w->ctx, &s);
    for (const struct filter *it = n->first; joint && it != NULL; it = it->next)
        explain(w, it, depth + 1);
}

void filter_explain(const struct filter *flt, const struct filter_env *env,
                    void (*each)(void *ctx, const struct filter_step *s),
                    void *ctx)
{
    const struct walk w = {env, each, ctx};
    explain(&w, flt, 0);
}
