// SPDX-License-Identifier: Apache-2.0
#include "sidecar/base/doc_pack.h"

#include <string.h>

#define TRUE_BIT 0x80u /* of the kind's byte of a DOC_BOOL */
#define GROUP_BITS 7
#define GROUPS_MAX 5 /* of a count: 32 bits */

static void put_count(struct buf *out, size_t n)
{
    if (n > UINT32_MAX)
        out->failed = true;
    for (; n > 0x7F; n >>= GROUP_BITS)
        buf_put_u8(out, (uint8_t)(n | 0x80));
    buf_put_u8(out, (uint8_t)n);
}

void doc_pack_map(struct buf *out, size_t count)
{
    buf_put_u8(out, DOC_MAP);
    put_count(out, count);
}

void doc_pack_key(struct buf *out, struct span key)
{
    put_count(out, key.n);
    buf_put(out, key);
}

static void put_scalar(struct buf *out, const struct doc *d)
{
    bool is_true = d->kind == DOC_BOOL && d->truth;
    buf_put_u8(out, (uint8_t)(d->kind | (is_true ? TRUE_BIT : 0)));
    if (d->kind == DOC_TEXT)
        doc_pack_key(out, d->text);
    else if (d->kind == DOC_INT)
        buf_put(out, span_of(&d->integer, sizeof d->integer));
    else if (d->kind == DOC_REAL)
        buf_put(out, span_of(&d->real, sizeof d->real));
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as `depth` allows
static void pack(struct buf *out, const struct doc *d, unsigned depth)
{
    if (d->kind != DOC_LIST && d->kind != DOC_MAP) {
        put_scalar(out, d);
        return;
    }
    if (depth == DOC_DEPTH_MAX)
        out->failed = true;
    if (!buf_ok(out))
        return;
    buf_put_u8(out, (uint8_t)d->kind);
    put_count(out, d->count);
    DOC_EACH (it, d) {
        if (d->kind == DOC_MAP)
            doc_pack_key(out, it->key);
        pack(out, it, depth + 1);
    }
}

void doc_pack(struct buf *out, const struct doc *d)
{
    pack(out, d, 0);
}

/* ------------------------------------------------------------- unpacking */

/* What is left of the bytes; the first surprise latches. */
struct unpacker {
    struct mem *m;
    struct span rest;
    int rc;
};

static struct span take(struct unpacker *u, size_t n)
{
    if (n > u->rest.n)
        u->rc = RC_BROKEN;
    if (u->rc < 0)
        return span_of(NULL, 0);
    struct span got = span_sub(u->rest, 0, n);
    u->rest = span_sub(u->rest, n, u->rest.n);
    return got;
}

static unsigned take_byte(struct unpacker *u)
{
    struct span got = take(u, 1);
    return got.n == 1 ? got.p[0] : 0;
}

static uint32_t take_count(struct unpacker *u)
{
    uint64_t n = 0;
    unsigned more = 0x80;
    for (unsigned i = 0; (more & 0x80) != 0 && u->rc == 0; i++) {
        if (i == GROUPS_MAX)
            u->rc = RC_BROKEN;
        more = take_byte(u);
        n |= (uint64_t)(more & 0x7F) << (GROUP_BITS * i);
    }
    if (n > UINT32_MAX)
        u->rc = RC_BROKEN;
    return u->rc < 0 ? 0 : (uint32_t)n;
}

static struct span take_span(struct unpacker *u)
{
    size_t n = take_count(u);
    return take(u, n);
}

static void take_word(struct unpacker *u, void *to)
{
    struct span got = take(u, 8);
    if (got.n == 8)
        memcpy(to, got.p, 8);
}

static void take_scalar(struct unpacker *u, struct doc *d)
{
    if (d->kind == DOC_TEXT) {
        d->text = take_span(u);
    } else if (d->kind == DOC_INT) {
        take_word(u, &d->integer);
        d->real = (double)d->integer;
    } else if (d->kind == DOC_REAL) {
        take_word(u, &d->real);
    }
}

/* One node without its children: how many come is in *ret_children. */
static struct doc *take_node(struct unpacker *u, bool keyed,
                             uint32_t *ret_children)
{
    struct span key = keyed ? take_span(u) : span_of(NULL, 0);
    unsigned byte = take_byte(u), kind = byte & ~TRUE_BIT;
    *ret_children = 0;
    if (kind > DOC_MAP || (byte != kind && kind != DOC_BOOL))
        u->rc = RC_BROKEN;
    if (u->rc < 0)
        return NULL;
    struct doc *d = doc_new(u->m, (enum doc_kind)kind);
    if (d == NULL) {
        u->rc = RC_NO_MEMORY;
        return NULL;
    }
    d->key = key;
    d->truth = byte != kind;
    if (kind == DOC_LIST || kind == DOC_MAP)
        *ret_children = take_count(u);
    else
        take_scalar(u, d);
    return d;
}

int doc_unpack(struct mem *m, struct span packed, const struct doc **ret)
{
    struct {
        struct doc *parent;
        uint32_t left; /* children to come */
    } open[DOC_DEPTH_MAX + 1];
    unsigned depth = 0;
    uint32_t children;
    struct unpacker u = {.m = m, .rest = packed};
    struct doc *root = take_node(&u, false, &children);
    open[0].parent = root;
    open[0].left = children;
    while (u.rc == 0) {
        while (depth > 0 && open[depth].left == 0)
            depth--;
        if (open[depth].left == 0)
            break;
        struct doc *parent = open[depth].parent;
        struct doc *d = take_node(&u, parent->kind == DOC_MAP, &children);
        open[depth].left--;
        if (d == NULL)
            continue;
        doc_append(parent, d);
        if (children > 0 && depth == DOC_DEPTH_MAX)
            u.rc = RC_BROKEN;
        else if (children > 0) {
            open[++depth].parent = d;
            open[depth].left = children;
        }
    }
    if (u.rc == 0 && u.rest.n > 0)
        u.rc = RC_BROKEN;
    if (u.rc == 0)
        *ret = root;
    return u.rc;
}
