// SPDX-License-Identifier: Apache-2.0
/* Every allocation of base fails once: the caller hears of it, nothing leaks,
 * nothing already stored is lost. */
#include "tests/lib/check.h"
#include "tests/lib/memfault.h"

#include "sidecar/base/buf.h"
#include "sidecar/base/doc.h"
#include "sidecar/base/json_out.h"
#include "sidecar/base/map.h"
#include "sidecar/core/journal.h"

#define ELEMENTS 200

static void buf_sweep(void **state)
{
    (void)state;
    struct memfault mf;
    MEMFAULT_SWEEP(&mf)
    {
        struct buf b;
        buf_init(&b, &mf.mem, 64 * 1024);
        for (unsigned i = 0; i < 1000; i++)
            buf_printf(&b, "%u,", i);
        CHECK(buf_ok(&b) == !mf.hit);
        if (!mf.hit)
            CHECK_UINT(b.n, 3890);
        buf_fini(&b);
    }
    CHECK(mf.runs > 3);
}

struct element {
    struct map_link link;
    char name[8];
};

/* What could be inserted is found, also after a growth that failed. */
static void map_sweep(void **state)
{
    (void)state;
    static struct element elements[ELEMENTS];
    struct memfault mf;
    MEMFAULT_SWEEP(&mf)
    {
        struct map m;
        size_t inserted = 0, found = 0;
        map_init(&m, &mf.mem, (struct hash_key){1, 2}, ELEMENTS);
        for (size_t i = 0; i < ELEMENTS; i++) {
            struct element *e = &elements[i];
            int n = snprintf(e->name, sizeof e->name, "%zu", i);
            e->link = (struct map_link){NULL, NULL, 0, 0};
            map_set_key(&e->link, span_of(e->name, (size_t)n));
            int rc = map_insert(&m, &e->link);
            CHECK(rc == 0 || rc == RC_NO_MEMORY);
            inserted += rc == 0;
        }
        for (size_t i = 0; i < ELEMENTS; i++)
            found +=
                map_find(&m, map_key(&elements[i].link)) == &elements[i].link;
        CHECK_UINT(found, inserted);
        CHECK(inserted == ELEMENTS - (mf.hit ? 1 : 0));
        map_fini(&m);
    }
    CHECK(mf.runs > 4);
}

static struct doc *add(struct mem *m, struct doc *parent, struct span key,
                       enum doc_kind kind, struct span text)
{
    struct doc *d = doc_new(m, kind);
    CHECK(d != NULL);
    d->key = key;
    d->text = text;
    doc_append(parent, d);
    return d;
}

static struct doc *sample(struct mem *m)
{
    struct doc *top = doc_new(m, DOC_MAP);
    CHECK(top != NULL);
    struct doc *list = add(m, top, SPAN("list"), DOC_LIST, SPAN(""));
    for (int i = 0; i < 300; i++)
        add(m, list, span_of(NULL, 0), DOC_TEXT, SPAN("some words"));
    add(m, add(m, top, SPAN("map"), DOC_MAP, SPAN("")), SPAN("t"), DOC_BOOL,
        SPAN("true"));
    return top;
}

static void doc_sweep(void **state)
{
    (void)state;
    struct arena source;
    arena_init(&source, mem_system(), 1024 * 1024);
    const struct doc *top = sample(&source.mem);
    struct memfault mf;
    MEMFAULT_SWEEP(&mf)
    {
        struct arena a;
        arena_init(&a, &mf.mem, 1024 * 1024);
        const struct doc *copy = doc_copy(&a.mem, top);
        CHECK((copy == NULL) == mf.hit);
        if (copy != NULL)
            CHECK(doc_eq(copy, top));
        arena_fini(&a);
    }
    CHECK(mf.runs > 5);
    arena_fini(&source);
}

/* A writer over a buffer that could not grow never reports success. */
static void json_and_journal_sweep(void **state)
{
    (void)state;
    struct arena source;
    arena_init(&source, mem_system(), 1024 * 1024);
    const struct doc *top = sample(&source.mem);
    struct memfault mf;
    MEMFAULT_SWEEP(&mf)
    {
        struct buf text, body;
        struct json_out j;
        buf_init(&text, &mf.mem, 64 * 1024);
        buf_init(&body, &mf.mem, 64 * 1024);
        json_out_init(&j, &text);
        json_doc(&j, NULL, top);
        if (buf_ok(&text))
            journal_put_body(&body, SPAN(""), SPAN(""), buf_span(&text));
        CHECK((buf_ok(&text) && buf_ok(&body)) == !mf.hit);
        buf_fini(&body);
        buf_fini(&text);
    }
    CHECK(mf.runs > 5);
    arena_fini(&source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buf_sweep),
        cmocka_unit_test(map_sweep),
        cmocka_unit_test(doc_sweep),
        cmocka_unit_test(json_and_journal_sweep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
