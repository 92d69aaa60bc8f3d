// SPDX-License-Identifier: Apache-2.0
/*
 * The normal form of a filter, and the walk over its paths.
 */
#include "policy/filter.h"

#include "policy/filter_node.h"
#include "sidecar/base/buf.h"
#include "sidecar/base/number_text.h"

static void print_path(const struct attr_path *p, struct buf *out)
{
    if (p->urn.n > 0) {
        buf_put(out, p->urn);
        buf_put_u8(out, ':');
    }
    buf_put(out, p->attr);
    if (p->sub.n > 0) {
        buf_put_u8(out, '.');
        buf_put(out, p->sub);
    }
}

static void print_char(unsigned char c, struct buf *out)
{
    if (c == '"' || c == '\\')
        buf_printf(out, "\\%c", c);
    else if (c < 0x20)
        buf_printf(out, "\\u%04x", (unsigned)c);
    else
        buf_put_u8(out, c);
}

static void print_value(const struct filter_value *v, struct buf *out)
{
    if (v->kind == DOC_TEXT) {
        buf_put_u8(out, '"');
        for (size_t i = 0; i < v->text.n; i++)
            print_char(v->text.p[i], out);
        buf_put_u8(out, '"');
    } else if (v->kind == DOC_INT) {
        buf_printf(out, "%lld", (long long)v->integer);
    } else if (v->kind == DOC_REAL) {
        char text[NUMBER_TEXT_MAX];
        number_text(v->real, text);
        buf_put_str(out, text);
    } else {
        buf_put_str(out, v->kind == DOC_NULL ? "null"
                         : v->truth          ? "true"
                                             : "false");
    }
}

static void print(const struct filter *n, struct buf *out);

// NOLINTNEXTLINE(misc-no-recursion)
static void print_joined(const struct filter *n, const char *word,
                         struct buf *out)
{
    for (const struct filter *it = n->first; it != NULL; it = it->next) {
        bool parens = it->kind == FILTER_OR; /* only `or` binds less */
        if (it != n->first)
            buf_put_str(out, word);
        if (parens)
            buf_put_u8(out, '(');
        print(it, out);
        if (parens)
            buf_put_u8(out, ')');
    }
}

static void print_test(const struct filter *n, struct buf *out)
{
    print_path(&n->path, out);
    buf_printf(out, " %s", filter_op_word(n->op));
    if (n->op != OP_PR) {
        buf_put_u8(out, ' ');
        print_value(&n->value, out);
    }
}

/* Bounded by FILTER_DEPTH_MAX. */
// NOLINTNEXTLINE(misc-no-recursion)
static void print(const struct filter *n, struct buf *out)
{
    switch (n->kind) {
        case FILTER_OR: print_joined(n, " or ", out); break;
        case FILTER_AND: print_joined(n, " and ", out); break;
        case FILTER_TEST: print_test(n, out); break;
        case FILTER_NOT:
            buf_put_str(out, "not (");
            print(n->first, out);
            buf_put_u8(out, ')');
            break;
        case FILTER_ELEMENT:
            print_path(&n->path, out);
            buf_put_u8(out, '[');
            print(n->first, out);
            buf_put_u8(out, ']');
            break;
    }
}

void filter_print(const struct filter *flt, struct buf *out)
{
    print(flt, out);
}

/* Bounded by FILTER_DEPTH_MAX. */
// NOLINTNEXTLINE(misc-no-recursion)
void filter_visit(const struct filter *flt,
                  void (*visit)(void *ctx, const struct attr_path *p),
                  void *ctx)
{
    if (flt->kind == FILTER_TEST || flt->kind == FILTER_ELEMENT) {
        visit(ctx, &flt->path);
        return;
    }
    for (const struct filter *it = flt->first; it != NULL; it = it->next)
        filter_visit(it, visit, ctx);
}
