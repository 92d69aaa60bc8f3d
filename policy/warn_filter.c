// SPDX-License-Identifier: Apache-2.0
#include "policy/filter_node.h"
#include "policy/warn_note.h"

/* Attributes that are there to be read by people, and changed by them. */
static bool is_display(const struct attr_path *p, bool in_element)
{
    static const char *const tops[] = {"displayName", "userName", "nickName",
                                       "name", NULL};
    static const char *const subs[] = {"display", "displayName", NULL};
    struct span last = p->sub.n > 0 ? p->sub : p->attr;
    bool inner = p->sub.n > 0 || in_element;
    for (unsigned i = 0; subs[i] != NULL && inner; i++)
        if (span_ieq(last, span_str(subs[i])))
            return true;
    for (unsigned i = 0; tops[i] != NULL && !in_element; i++)
        if (span_ieq(p->attr, span_str(tops[i])))
            return p->urn.n == 0 || filter_urn_is_core(p->urn);
    return false;
}

struct look {
    struct warner *w;
    const struct doc *d;
    bool is_requirement;
};

static void look_at(void *ctx, const struct filter *node)
{
    const struct look *k = ctx;
    warn_term_names(k->w, k->d, node);
    if (node->kind != FILTER_TEST || node->source != FILTER_RESOURCE ||
        node->op == OP_PR || !is_display(&node->path, node->in_element))
        return;
    const struct attr_path *p = &node->path;
    warn_inside(
        k->w, k->d, p->attr, "use an identifier: groups.value, externalId, id",
        "'%.*s%s%.*s' is a name for people: whoever may edit it %s",
        PRSPAN(p->attr), p->sub.n > 0 ? "." : "", PRSPAN(p->sub),
        k->is_requirement ? "can pass this gate" : "decides this condition");
}

void warn_filter(struct warner *w, const struct doc *d,
                 const struct filter *flt, bool is_requirement)
{
    struct look k = {w, d, is_requirement};
    if (flt == NULL || d == NULL)
        return;
    enum tri constant = filter_constant(flt);
    if (constant == TRI_NO)
        warn_at(w, d, "a term stands beside its own negation",
                is_requirement ? "this is never fulfilled: the tools are closed"
                               : "this condition never holds");
    else if (constant == TRI_YES && !is_requirement)
        warn_at(w, d, "a term stands beside its own negation",
                "this condition always holds");
    filter_each(flt, look_at, &k);
}
