// SPDX-License-Identifier: Apache-2.0
#include "sidecar/base/doc.h"

#include "sidecar/base/fail.h"

struct doc *doc_new(struct mem *m, enum doc_kind kind)
{
    struct doc *d = mem_alloc(m, sizeof *d);
    if (d != NULL)
        d->kind = kind;
    return d;
}

void doc_append(struct doc *parent, struct doc *child)
{
    must(parent->kind == DOC_LIST || parent->kind == DOC_MAP);
    if (parent->last == NULL)
        parent->first = child;
    else
        parent->last->next = child;
    parent->last = child;
    parent->count++;
}

struct doc *doc_append_text(struct mem *m, struct doc *parent, struct span key,
                            struct span text)
{
    struct doc *d = parent == NULL ? NULL : doc_new(m, DOC_TEXT);
    if (d == NULL)
        return NULL;
    d->key = key;
    d->text = text;
    doc_append(parent, d);
    return d;
}

const struct doc *doc_get(const struct doc *d, struct span key)
{
    if (d == NULL || d->kind != DOC_MAP)
        return NULL;
    DOC_EACH (it, d)
        if (span_eq(it->key, key))
            return it;
    return NULL;
}

const struct doc *doc_iget(const struct doc *d, struct span key)
{
    if (d == NULL || d->kind != DOC_MAP)
        return NULL;
    DOC_EACH (it, d)
        if (it->key.n == key.n && span_ieq(it->key, key))
            return it;
    return NULL;
}

struct span doc_text(const struct doc *d, struct span key)
{
    const struct doc *member = doc_get(d, key);
    if (member == NULL || member->kind != DOC_TEXT)
        return (struct span){NULL, 0};
    return member->text;
}

const char *doc_kind_word(enum doc_kind kind)
{
    switch (kind) {
        case DOC_NULL: return "null";
        case DOC_BOOL: return "true or false";
        case DOC_INT: return "whole number";
        case DOC_REAL: return "number";
        case DOC_TEXT: return "text";
        case DOC_LIST: return "list";
        case DOC_MAP: return "map";
    }
    return "value";
}

static struct doc *copy_node(struct mem *m, const struct doc *d)
{
    struct doc *c = doc_new(m, d->kind);
    if (c == NULL)
        return NULL;
    *c = *d;
    c->next = c->first = c->last = NULL;
    c->count = 0;
    c->text.p = mem_copy(m, d->text);
    c->key.p = mem_copy(m, d->key);
    return c->text.p == NULL || c->key.p == NULL ? NULL : c;
}

/* Recursion is bounded by DOC_DEPTH_MAX, which both parsers enforce. */
// NOLINTNEXTLINE(misc-no-recursion)
struct doc *doc_copy(struct mem *m, const struct doc *d)
{
    struct doc *c = copy_node(m, d);
    if (c == NULL)
        return NULL;
    DOC_EACH (it, d) {
        struct doc *child = doc_copy(m, it);
        if (child == NULL)
            return NULL;
        doc_append(c, child);
    }
    return c;
}

static bool is_number(const struct doc *d)
{
    return d->kind == DOC_INT || d->kind == DOC_REAL;
}

static bool scalar_eq(const struct doc *a, const struct doc *b)
{
    if (is_number(a) && is_number(b))
        return a->kind == DOC_INT && b->kind == DOC_INT
                   ? a->integer == b->integer
                   : !(a->real < b->real) && !(a->real > b->real);
    if (a->kind != b->kind)
        return false;
    if (a->kind == DOC_BOOL)
        return a->truth == b->truth;
    return a->kind == DOC_NULL || span_eq(a->text, b->text);
}

/* Bounded by DOC_DEPTH_MAX. */
// NOLINTNEXTLINE(misc-no-recursion)
bool doc_eq(const struct doc *a, const struct doc *b)
{
    bool nested = a->kind == DOC_LIST || a->kind == DOC_MAP;
    if (!nested || a->kind != b->kind)
        return scalar_eq(a, b) && !nested;
    if (a->count != b->count)
        return false;
    const struct doc *other = b->first;
    DOC_EACH (it, a) {
        const struct doc *twin =
            a->kind == DOC_MAP ? doc_get(b, it->key) : other;
        if (twin == NULL || !doc_eq(it, twin))
            return false;
        other = other->next;
    }
    return true;
}
