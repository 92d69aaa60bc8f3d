// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/check.h"

#include "sidecar/base/doc.h"

static struct doc text(struct span key, struct span value)
{
    return (struct doc){.kind = DOC_TEXT, .key = key, .text = value};
}

static void members(void **state)
{
    (void)state;
    struct doc top = {.kind = DOC_MAP};
    struct doc a = text(SPAN("active"), SPAN("x"));
    struct doc b = text(SPAN("Active"), SPAN("y"));
    struct doc n = {.kind = DOC_INT, .key = SPAN("n"), .integer = 1};
    CHECK(doc_get(NULL, SPAN("a")) == NULL);
    CHECK(doc_get(&top, SPAN("a")) == NULL);
    doc_append(&top, &a);
    doc_append(&top, &b);
    doc_append(&top, &n);
    CHECK_UINT(top.count, 3);
    CHECK(doc_get(&top, SPAN("Active")) == &b);
    CHECK(doc_get(&top, SPAN("ACTIVE")) == NULL);
    CHECK(doc_iget(&top, SPAN("ACTIVE")) == &a); /* the first wins */
    CHECK(doc_iget(NULL, SPAN("a")) == NULL);
    CHECK(doc_get(&a, SPAN("a")) == NULL);
    CHECK_SPAN(doc_text(&top, SPAN("active")), SPAN("x"));
    CHECK(doc_text(&top, SPAN("n")).p == NULL);
    CHECK(doc_text(&top, SPAN("absent")).p == NULL);
    unsigned seen = 0;
    DOC_EACH (it, &top)
        seen++;
    DOC_EACH (it, (const struct doc *)NULL)
        seen++;
    CHECK_UINT(seen, 3);
}

static void words(void **state)
{
    (void)state;
    for (int k = DOC_NULL; k <= DOC_MAP; k++) {
        CHECK(span_str(doc_kind_word((enum doc_kind)k)).n > 2);
        CHECK(
            !span_eq(span_str(doc_kind_word((enum doc_kind)k)), SPAN("value")));
    }
}

static void scalars_compare(void **state)
{
    (void)state;
    const struct doc rows[] = {
        {.kind = DOC_NULL},
        {.kind = DOC_BOOL, .truth = true},
        {.kind = DOC_BOOL, .truth = false},
        {.kind = DOC_INT, .integer = 1, .real = 1},
        {.kind = DOC_INT, .integer = INT64_MAX, .real = 0x1p63},
        {.kind = DOC_INT, .integer = INT64_MAX - 1, .real = 0x1p63},
        {.kind = DOC_REAL, .real = 1.5},
        {.kind = DOC_TEXT, .text = SPAN("1")},
        {.kind = DOC_TEXT, .text = SPAN("")},
        {.kind = DOC_LIST},
        {.kind = DOC_MAP},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (size_t k = 0; k < COUNT_OF(rows); k++)
            CHECK_INT(doc_eq(&rows[i], &rows[k]), i == k);
    struct doc one = {.kind = DOC_REAL, .real = 1, .line = 9, .quoted = true};
    CHECK(doc_eq(&one, &rows[3]) && doc_eq(&rows[3], &one));
}

struct pair {
    struct doc top, first, second;
};

static struct pair *pair_of(struct pair *p, enum doc_kind kind,
                            struct doc first, struct doc second)
{
    *p = (struct pair){.top = {.kind = kind}, .first = first, .second = second};
    doc_append(&p->top, &p->first);
    doc_append(&p->top, &p->second);
    return p;
}

static void order_counts_in_lists_only(void **state)
{
    (void)state;
    struct doc a = text(SPAN("a"), SPAN("1")), b = text(SPAN("b"), SPAN("2"));
    struct doc c = text(SPAN("b"), SPAN("3"));
    struct pair x, y;
    CHECK(doc_eq(&pair_of(&x, DOC_MAP, a, b)->top,
                 &pair_of(&y, DOC_MAP, b, a)->top));
    CHECK(!doc_eq(&pair_of(&x, DOC_MAP, a, b)->top,
                  &pair_of(&y, DOC_MAP, a, c)->top));
    CHECK(!doc_eq(&pair_of(&x, DOC_LIST, a, b)->top,
                  &pair_of(&y, DOC_LIST, b, a)->top));
    CHECK(doc_eq(&pair_of(&x, DOC_LIST, a, b)->top,
                 &pair_of(&y, DOC_LIST, a, b)->top));
    CHECK(!doc_eq(&pair_of(&x, DOC_LIST, a, b)->top,
                  &pair_of(&y, DOC_MAP, a, b)->top));
    struct doc shorter = {.kind = DOC_MAP}, only = a;
    doc_append(&shorter, &only);
    CHECK(!doc_eq(&shorter, &pair_of(&y, DOC_MAP, a, b)->top));
    CHECK(!doc_eq(&y.top, &shorter));
}

/* The copy stands alone: the source may change or die. */
static void copies_are_deep(void **state)
{
    (void)state;
    struct arena m;
    arena_init(&m, mem_system(), 65536);
    char bytes[] = "value";
    struct doc inner = {.kind = DOC_LIST, .key = SPAN("list"), .line = 3};
    struct doc leaf = text(span_of(NULL, 0), span_of(bytes, 5));
    struct doc top = {.kind = DOC_MAP, .column = 7};
    doc_append(&inner, &leaf);
    doc_append(&top, &inner);
    const struct doc *copy = doc_copy(&m.mem, &top);
    CHECK(copy != NULL && doc_eq(copy, &top));
    bytes[0] = 'X';
    CHECK(!doc_eq(copy, &top));
    CHECK_SPAN(copy->first->first->text, SPAN("value"));
    CHECK_SPAN(copy->first->key, SPAN("list"));
    CHECK_UINT(copy->first->line, 3);
    CHECK_UINT(copy->column, 7);
    CHECK(copy->next == NULL && copy->count == 1 && copy->first->count == 1);
    CHECK(copy->last == copy->first);
    arena_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members),
        cmocka_unit_test(words),
        cmocka_unit_test(scalars_compare),
        cmocka_unit_test(order_counts_in_lists_only),
        cmocka_unit_test(copies_are_deep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
