// SPDX-License-Identifier: Apache-2.0
#include "sidecar/core/attrs.h"

#include <string.h>

#include "sidecar/base/doc_pack.h"

int attrs_init(struct attrs_table *t, struct mem *m, struct hash_key seed,
               size_t max)
{
    *t = (struct attrs_table){.mem = m};
    map_init(&t->by_bytes, m, seed, max);
    t->view = mem_alloc(m, sizeof *t->view);
    if (t->view == NULL)
        return RC_NO_MEMORY;
    arena_init(&t->view->arena, m, ATTRS_VIEW_MAX);
    return 0;
}

void attrs_fini(struct attrs_table *t)
{
    must(t->by_bytes.count == 0);
    map_fini(&t->by_bytes);
    if (t->view != NULL)
        arena_fini(&t->view->arena);
    mem_release(t->mem, t->view);
    t->view = NULL;
}

/* --------------------------------------------------------------- keeping */

/* An attribute of an extension is "<urn>:<name>" among the names. */
static bool is_named(struct names names, struct span key)
{
    for (unsigned i = 0; i < names.count; i++) {
        struct span name = names.at[i];
        bool inside = name.n > key.n && name.p[key.n] == ':';
        if (span_ieq(name, key) ||
            (inside && span_ieq(span_sub(name, 0, key.n), key)))
            return true;
    }
    return false;
}

static void pack_named(struct buf *out, const struct doc *resource,
                       struct names names)
{
    size_t count = 0;
    DOC_EACH (it, resource)
        count += is_named(names, it->key);
    doc_pack_map(out, count);
    DOC_EACH (it, resource) {
        if (!is_named(names, it->key))
            continue;
        doc_pack_key(out, it->key);
        doc_pack(out, it);
    }
}

static int make(struct attrs_table *t, struct span packed, struct attrs **ret)
{
    struct attrs *a = mem_alloc(t->mem, sizeof *a + packed.n);
    if (a == NULL)
        return RC_NO_MEMORY;
    unsigned char *at = (unsigned char *)(a + 1);
    map_set_key(&a->link, mem_place(&at, packed));
    int rc = map_insert(&t->by_bytes, &a->link);
    if (rc < 0) {
        mem_release(t->mem, a);
        return rc;
    }
    a->id = ++t->last_id;
    *ret = a;
    return 0;
}

int attrs_keep(struct attrs_table *t, const struct doc *resource,
               struct names names, struct attrs **ret)
{
    struct buf packed;
    buf_init(&packed, t->mem, ATTRS_BYTES_MAX);
    pack_named(&packed, resource, names);
    struct map_link *k = NULL;
    int rc = buf_ok(&packed) ? 0 : RC_LIMIT;
    if (rc == 0)
        k = map_find(&t->by_bytes, buf_span(&packed));
    if (k != NULL)
        *ret = container_of(k, struct attrs, link);
    else if (rc == 0)
        rc = make(t, buf_span(&packed), ret);
    buf_fini(&packed);
    if (rc == 0)
        (*ret)->refs++;
    return rc;
}

void attrs_drop(struct attrs_table *t, struct attrs *a)
{
    if (a == NULL)
        return;
    must(a->refs > 0);
    if (--a->refs > 0)
        return;
    map_remove(&t->by_bytes, &a->link);
    mem_release(t->mem, a);
}

/* --------------------------------------------------------------- looking */

const struct doc *attrs_show(const struct attrs_table *t, const struct attrs *a)
{
    struct attrs_view *v = t->view;
    const struct doc *d;
    if (v->id == a->id)
        return v->doc;
    if (doc_unpack(&v->arena.mem, map_key(&a->link), &d) < 0) {
        v->lost = true;
        return NULL;
    }
    v->id = a->id;
    v->doc = d;
    return d;
}

struct attrs_place attrs_open(const struct attrs_table *t)
{
    const struct attrs_view *v = t->view;
    return (struct attrs_place){arena_mark(&v->arena), v->id, v->doc};
}

void attrs_close(const struct attrs_table *t, struct attrs_place place)
{
    struct attrs_view *v = t->view;
    arena_rewind(&v->arena, place.mark);
    v->id = place.id;
    v->doc = place.doc;
}

static bool is_empty(const struct doc *d)
{
    return d->kind == DOC_NULL || (d->kind == DOC_LIST && d->count == 0);
}

/* What is inside of an extension schema counts as well. */
static bool has_all(const struct doc *from, const struct doc *of)
{
    DOC_EACH (it, of)
        if (!is_empty(it) && doc_iget(from, it->key) == NULL)
            return false;
    return true;
}

bool attrs_lacks(const struct attrs_table *t, const struct attrs *a,
                 const struct doc *resource, struct names names)
{
    const struct doc *kept = attrs_show(t, a);
    DOC_EACH (it, kept) {
        if (is_empty(it) || !is_named(names, it->key))
            continue;
        const struct doc *has = doc_iget(resource, it->key);
        if (has == NULL || (it->kind == DOC_MAP && !has_all(has, it)))
            return true;
    }
    return kept == NULL;
}

void attrs_clear(const struct attrs_table *t)
{
    arena_clear(&t->view->arena);
    t->view->id = 0;
    t->view->lost = false;
}
