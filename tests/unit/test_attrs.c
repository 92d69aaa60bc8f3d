// SPDX-License-Identifier: Apache-2.0
/* What is kept of a resource, once for all who have the same. */
#include "adapters/json_doc.h"
#include "sidecar/base/buf.h"
#include "sidecar/core/attrs.h"
#include "tests/lib/check.h"
#include "tests/lib/memfault.h"

#define URN "urn:example:agents:2.0:Cost"

static const struct hash_key seed = {.k0 = 1, .k1 = 2};

struct bench {
    struct arena arena;
    struct attrs_table table;
};

static void open_bench(struct bench *b)
{
    arena_init(&b->arena, mem_system(), (size_t)1 << 24);
    CHECK_INT(attrs_init(&b->table, mem_system(), seed, 100), 0);
}

static void close_bench(struct bench *b)
{
    attrs_fini(&b->table);
    arena_fini(&b->arena);
}

static const struct doc *tree(struct bench *b, const char *text)
{
    const struct doc *d;
    struct fail f;
    CHECK_OK(json_doc_parse(&b->arena.mem, span_str(text), 1 << 20, &d, &f),
             &f);
    return d;
}

static struct attrs *keep(struct bench *b, const char *text, struct names names)
{
    struct attrs *a = NULL;
    CHECK_INT(attrs_keep(&b->table, tree(b, text), names, &a), 0);
    CHECK(a != NULL && a->id != 0);
    return a;
}

static void only_what_is_named(void **state)
{
    (void)state;
    struct bench b;
    const struct span at[] = {SPAN("active"), SPAN("groups")};
    open_bench(&b);
    struct attrs *a =
        keep(&b,
             "{\"id\":\"7\",\"Active\":true,\"displayName\":\"x\","
             "\"groups\":[{\"value\":\"g\"}]}",
             (struct names){at, 2});
    const struct doc *d = attrs_show(&b.table, a);
    CHECK(d != NULL && doc_iget(d, SPAN("active"))->truth);
    CHECK(doc_iget(d, SPAN("groups"))->first != NULL);
    CHECK(doc_iget(d, SPAN("id")) == NULL);
    CHECK(doc_iget(d, SPAN("displayName")) == NULL);
    attrs_drop(&b.table, a);
    close_bench(&b);
}

/* One named attribute keeps the extension whole, and no other extension whose
 * name only begins like it. */
static void extensions_are_whole(void **state)
{
    (void)state;
    struct bench b;
    const struct span at[] = {SPAN(URN ":center")};
    open_bench(&b);
    struct attrs *a = keep(&b,
                           "{\"active\":true,"
                           "\"URN:example:agents:2.0:cost\":{\"center\":\"c1\","
                           "\"limit\":{\"amount\":5,\"unit\":\"EUR\"}},"
                           "\"" URN "s\":{\"center\":\"c2\"}}",
                           (struct names){at, 1});
    const struct doc *d = attrs_show(&b.table, a);
    CHECK(d != NULL && doc_iget(d, SPAN("active")) == NULL);
    const struct doc *ext = doc_iget(d, SPAN(URN));
    CHECK(ext != NULL);
    CHECK_SPAN(doc_text(ext, SPAN("center")), SPAN("c1"));
    const struct doc *limit = doc_iget(ext, SPAN("limit"));
    CHECK(limit != NULL);
    CHECK_INT(doc_iget(limit, SPAN("amount"))->integer, 5);
    CHECK(doc_iget(d, SPAN(URN "s")) == NULL);
    CHECK(d->first != NULL && d->first->next == NULL);
    attrs_drop(&b.table, a);
    close_bench(&b);
}

static void equal_ones_are_one(void **state)
{
    (void)state;
    struct bench b;
    const struct span at[] = {SPAN("active")};
    const struct names names = {at, 1};
    open_bench(&b);
    struct attrs *one = keep(&b, "{\"active\":true,\"id\":\"1\"}", names);
    struct attrs *two = keep(&b, "{\"id\":\"2\",\"active\":true}", names);
    struct attrs *off = keep(&b, "{\"active\":false}", names);
    CHECK(one == two && one != off);
    CHECK_UINT(one->refs, 2);
    CHECK_UINT(b.table.by_bytes.count, 2);
    uint64_t id = one->id;
    attrs_drop(&b.table, one);
    attrs_drop(&b.table, two);
    attrs_drop(&b.table, NULL);
    CHECK_UINT(b.table.by_bytes.count, 1);
    struct attrs *again = keep(&b, "{\"active\":true}", names);
    CHECK(again->id != id && again->id != off->id); /* never given out again */
    attrs_drop(&b.table, again);
    attrs_drop(&b.table, off);
    close_bench(&b);
}

static void too_large_is_refused(void **state)
{
    (void)state;
    struct bench b;
    const struct span at[] = {SPAN("note")};
    const struct names names = {at, 1};
    struct attrs *a = NULL;
    struct buf text;
    open_bench(&b);
    buf_init(&text, mem_system(), 1 << 20);
    buf_put(&text, SPAN("{\"note\":\""));
    for (unsigned i = 0; i < ATTRS_BYTES_MAX; i++)
        buf_put_u8(&text, 'n');
    buf_put(&text, SPAN("\"}"));
    buf_put_u8(&text, 0);
    const struct doc *d = tree(&b, (const char *)text.p);
    CHECK_INT(attrs_keep(&b.table, d, names, &a), RC_LIMIT);
    CHECK(a == NULL && b.table.by_bytes.count == 0);
    buf_fini(&text);
    close_bench(&b);
}

/* Who looks at many goes back to what was open before. */
static void views_nest(void **state)
{
    (void)state;
    struct bench b;
    const struct span at[] = {SPAN("active")};
    const struct names names = {at, 1};
    open_bench(&b);
    struct attrs *on = keep(&b, "{\"active\":true}", names);
    struct attrs *off = keep(&b, "{\"active\":false}", names);
    const struct doc *outer = attrs_show(&b.table, on);
    struct attrs_place place = attrs_open(&b.table);
    for (unsigned i = 0; i < ATTRS_VIEW_MAX / 16; i++) {
        const struct doc *d = attrs_show(&b.table, i % 2 ? on : off);
        CHECK(d != NULL && doc_iget(d, SPAN("active"))->truth == (i % 2 == 1));
        attrs_close(&b.table, place);
    }
    CHECK(attrs_show(&b.table, on) == outer);
    CHECK(doc_iget(outer, SPAN("active"))->truth);
    attrs_drop(&b.table, on);
    attrs_drop(&b.table, off);
    close_bench(&b);
}

static void no_memory(void **state)
{
    (void)state;
    struct bench b;
    const struct span at[] = {SPAN("active")};
    open_bench(&b);
    const struct doc *d = tree(&b, "{\"active\":true}");
    struct memfault mf;
    MEMFAULT_SWEEP(&mf)
    {
        struct attrs_table t;
        struct attrs *a = NULL;
        int rc = attrs_init(&t, &mf.mem, seed, 100);
        if (rc == 0)
            rc = attrs_keep(&t, d, (struct names){at, 1}, &a);
        CHECK((a != NULL) == (rc == 0));
        CHECK(rc == 0 || mf.hit);
        attrs_drop(&t, a);
        attrs_fini(&t);
    }
    CHECK(mf.runs > 2);
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_is_named),
        cmocka_unit_test(extensions_are_whole),
        cmocka_unit_test(equal_ones_are_one),
        cmocka_unit_test(too_large_is_refused),
        cmocka_unit_test(views_nest),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
