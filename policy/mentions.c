// SPDX-License-Identifier: Apache-2.0
#include "policy/mentions.h"

#include "sidecar/base/json_out.h"

/* ---- collecting ---- */

struct visit {
    struct mem *mem;
    struct mentions *mentions;
    int rc;
};

static bool same(const struct mention *a, const struct mention *b)
{
    return span_ieq(a->urn, b->urn) && span_ieq(a->attr, b->attr) &&
           span_ieq(a->sub, b->sub);
}

static void add_resource(struct visit *v, const struct attr_path *p)
{
    struct mentions *t = v->mentions;
    const bool core = p->urn.n == 0 || filter_urn_is_core(p->urn);
    const struct mention n = {.urn = core ? SPAN("") : p->urn,
                              .attr = p->attr,
                              .sub = p->sub,
                              .whole = p->element != NULL};
    for (unsigned i = 0; i < t->resource_count; i++) {
        if (!same(&t->resource[i], &n))
            continue;
        t->resource[i].whole |= n.whole;
        return;
    }
    if (t->resource == NULL)
        t->resource = mem_array(v->mem, MENTIONS_MAX, sizeof *t->resource);
    if (t->resource == NULL)
        v->rc = RC_NO_MEMORY;
    else if (t->resource_count == MENTIONS_MAX)
        v->rc = RC_LIMIT;
    else
        t->resource[t->resource_count++] = n;
}

static bool has_event(const struct mentions *t, struct span name)
{
    for (unsigned i = 0; i < t->event_count; i++)
        if (span_ieq(t->event[i], name))
            return true;
    return false;
}

static void add_event(struct visit *v, struct span name)
{
    struct mentions *t = v->mentions;
    if (has_event(t, name))
        return;
    if (t->event == NULL)
        t->event = mem_array(v->mem, MENTIONS_MAX, sizeof *t->event);
    if (t->event == NULL)
        v->rc = RC_NO_MEMORY;
    else if (t->event_count == MENTIONS_MAX)
        v->rc = RC_LIMIT;
    else
        t->event[t->event_count++] = name;
}

static void on_path(void *ctx, const struct attr_path *p)
{
    switch (filter_path_source(p)) {
        case FILTER_RESOURCE: add_resource(ctx, p); break;
        case FILTER_EVENT: add_event(ctx, p->sub); break;
        case FILTER_CALL: break;
    }
}

int mentions_add_filter(struct mem *m, struct mentions *t,
                        const struct filter *f)
{
    struct visit v = {.mem = m, .mentions = t};
    if (f != NULL)
        filter_visit(f, on_path, &v);
    return v.rc;
}

int mentions_add(struct mem *m, struct mentions *t, const struct policy *p)
{
    TRY(mentions_add_filter(m, t, p->agents_where));
    for (unsigned i = 0; i < p->rule_count; i++) {
        TRY(mentions_add_filter(m, t, p->rules[i].where));
        TRY(mentions_add_filter(m, t, p->rules[i].agents_where));
    }
    for (unsigned i = 0; i < p->gate_count; i++)
        TRY(mentions_add_filter(m, t, p->gates[i].require));
    return 0;
}

void mention_print(const struct mention *n, struct buf *out)
{
    buf_put(out, n->urn);
    if (n->urn.n > 0)
        buf_put_u8(out, ':');
    buf_put(out, n->attr);
    if (n->sub.n > 0)
        buf_put_u8(out, '.');
    buf_put(out, n->sub);
    if (n->whole)
        buf_put_str(out, "[]");
}

/* ---- keeping what is mentioned ---- */

/* The value follows, which then must not put a comma of its own. */
static void put_name(struct json_out *j, struct span name)
{
    json_key(j, name);
    j->comma[j->depth] = false;
}

/* Of which the ids are always kept. */
static bool is_relation(struct span urn, struct span attr)
{
    static const char *const names[] = {"groups", "owners", "parent",
                                        "members"};
    for (size_t i = 0; urn.n == 0 && i < sizeof names / sizeof *names; i++)
        if (span_ieq(attr, span_str(names[i])))
            return true;
    return false;
}

/* Is attr.sub mentioned? With an empty sub: anything of attr at all? */
static bool is_kept(const struct mentions *t, struct span urn, struct span attr,
                    struct span sub)
{
    for (unsigned i = 0; i < t->resource_count; i++) {
        const struct mention *n = &t->resource[i];
        if (!span_ieq(n->urn, urn) || !span_ieq(n->attr, attr))
            continue;
        if (sub.n == 0 || span_ieq(n->sub, sub) ||
            (n->sub.n == 0 && span_ieq(sub, SPAN("value"))))
            return true;
    }
    return is_relation(urn, attr) &&
           (sub.n == 0 || span_ieq(sub, SPAN("value")));
}

static bool is_whole(const struct mentions *t, struct span urn,
                     const struct doc *value)
{
    for (unsigned i = 0; i < t->resource_count; i++) {
        const struct mention *n = &t->resource[i];
        if (!span_ieq(n->urn, urn) || !span_ieq(n->attr, value->key))
            continue;
        /* A map that is compared as such, like `name pr`. */
        bool plain = n->sub.n == 0 && value->kind == DOC_MAP &&
                     doc_iget(value, SPAN("value")) == NULL &&
                     !is_relation(urn, value->key);
        if (n->whole || plain)
            return true;
    }
    return false;
}

static void put_complex(const struct mentions *t, struct span urn,
                        struct span attr, const struct doc *map,
                        struct json_out *j)
{
    json_open_map(j, NULL);
    DOC_EACH (it, map) {
        if (!is_kept(t, urn, attr, it->key))
            continue;
        put_name(j, it->key);
        json_doc(j, NULL, it);
    }
    json_close_map(j);
}

static void put_value(const struct mentions *t, struct span urn,
                      const struct doc *value, struct json_out *j)
{
    put_name(j, value->key);
    bool whole = is_whole(t, urn, value);
    if (!whole && value->kind == DOC_MAP) {
        put_complex(t, urn, value->key, value, j);
    } else if (!whole && value->kind == DOC_LIST) {
        json_open_list(j, NULL);
        DOC_EACH (it, value) {
            if (it->kind == DOC_MAP)
                put_complex(t, urn, value->key, it, j);
            else
                json_doc(j, NULL, it);
        }
        json_close_list(j);
    } else {
        json_doc(j, NULL, value);
    }
}

static bool extends(const struct mentions *t, struct span urn)
{
    for (unsigned i = 0; i < t->resource_count; i++)
        if (t->resource[i].urn.n > 0 && span_ieq(t->resource[i].urn, urn))
            return true;
    return false;
}

static void put_extension(const struct mentions *t, const struct doc *ext,
                          struct json_out *j)
{
    put_name(j, ext->key);
    json_open_map(j, NULL);
    DOC_EACH (it, ext)
        if (is_kept(t, ext->key, it->key, SPAN("")))
            put_value(t, ext->key, it, j);
    json_close_map(j);
}

static void put_members(const struct mentions *t, const struct doc *resource,
                        struct json_out *j)
{
    DOC_EACH (it, resource) {
        if (it->kind == DOC_MAP && extends(t, it->key))
            put_extension(t, it, j);
        else if (span_ieq(it->key, SPAN("active")) ||
                 is_kept(t, SPAN(""), it->key, SPAN("")))
            put_value(t, SPAN(""), it, j);
    }
}

void mentions_put_resource(const struct mentions *t, const struct doc *resource,
                           struct json_out *j, const char *key)
{
    json_open_map(j, key);
    put_members(t, resource, j);
    json_close_map(j);
}

void mentions_put_payload(const struct mentions *t, const struct doc *payload,
                          struct json_out *j, const char *key)
{
    json_open_map(j, key);
    DOC_EACH (it, payload) {
        if (span_eq(it->key, SPAN("data")) && it->kind == DOC_MAP) {
            put_name(j, it->key);
            json_open_map(j, NULL);
            put_members(t, it, j);
            json_close_map(j);
        } else if (has_event(t, it->key)) {
            put_name(j, it->key);
            json_doc(j, NULL, it);
        }
    }
    json_close_map(j);
}
