// SPDX-License-Identifier: Apache-2.0
/* Trees to bytes and back; bytes that are no tree. */
#include <string.h>

#include "adapters/json_doc.h"
#include "sidecar/base/doc_pack.h"
#include "tests/lib/check.h"
#include "tests/lib/memfault.h"

#define TREES 2000
#define NODES_MAX 60

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static struct span some_text(struct mem *m, uint64_t *seed)
{
    size_t n = next_random(seed) % 3 == 0 ? next_random(seed) % 300
                                          : next_random(seed) % 12;
    unsigned char *p = mem_alloc(m, n + 1);
    CHECK(p != NULL);
    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)('a' + next_random(seed) % 26);
    return span_of(p, n);
}

static struct doc *some_scalar(struct mem *m, uint64_t *seed)
{
    struct doc *d = doc_new(m, (enum doc_kind)(next_random(seed) % DOC_LIST));
    CHECK(d != NULL);
    d->truth = d->kind == DOC_BOOL && next_random(seed) % 2 == 0;
    if (d->kind == DOC_TEXT)
        d->text = some_text(m, seed);
    if (d->kind == DOC_INT)
        d->integer = (int64_t)next_random(seed);
    d->real = d->kind == DOC_INT ? (double)d->integer : 0.25;
    return d;
}

/* Nodes are hung below one of the last lists or maps. */
static const struct doc *some_tree(struct mem *m, uint64_t *seed)
{
    struct doc *open[DOC_DEPTH_MAX];
    unsigned depth = 0, nodes = (unsigned)(next_random(seed) % NODES_MAX);
    open[0] = doc_new(m, DOC_MAP);
    for (unsigned i = 0; i < nodes; i++) {
        bool nested = next_random(seed) % 3 == 0;
        struct doc *d =
            nested ? doc_new(m, next_random(seed) % 2 ? DOC_LIST : DOC_MAP)
                   : some_scalar(m, seed);
        if (open[depth]->kind == DOC_MAP) {
            d->key = some_text(m, seed);
            while (doc_get(open[depth], d->key) != NULL)
                d->key = some_text(m, seed);
        }
        doc_append(open[depth], d);
        if (nested && depth + 1 < DOC_DEPTH_MAX - 1)
            open[++depth] = d;
        else if (depth > 0 && next_random(seed) % 4 == 0)
            depth--;
    }
    return open[0];
}

static void test_round_trip(void **state)
{
    (void)state;
    uint64_t seed = 88172645463325252u;
    for (unsigned i = 0; i < TREES; i++) {
        struct arena a;
        struct buf packed, again;
        const struct doc *back;
        arena_init(&a, mem_system(), (size_t)1 << 24);
        buf_init(&packed, mem_system(), (size_t)1 << 20);
        buf_init(&again, mem_system(), (size_t)1 << 20);
        const struct doc *tree = some_tree(&a.mem, &seed);
        doc_pack(&packed, tree);
        CHECK(buf_ok(&packed));
        CHECK_INT(doc_unpack(&a.mem, buf_span(&packed), &back), 0);
        CHECK(doc_eq(tree, back));
        doc_pack(&again, back); /* order of members, too */
        CHECK_SPAN(buf_span(&again), buf_span(&packed));
        /* Cut anywhere it is no tree, and more behind it is none either. */
        const struct doc *none = NULL;
        size_t cut = next_random(&seed) % packed.n;
        CHECK_INT(
            doc_unpack(&a.mem, span_sub(buf_span(&packed), 0, cut), &none),
            RC_BROKEN);
        buf_put_u8(&packed, 0);
        CHECK_INT(doc_unpack(&a.mem, buf_span(&packed), &none), RC_BROKEN);
        CHECK(none == NULL);
        buf_fini(&packed);
        buf_fini(&again);
        arena_fini(&a);
    }
}

/* Any bytes at all: refused or a tree, never more. */
static void test_hostile(void **state)
{
    (void)state;
    static const struct {
        struct span bytes;
        int rc;
    } cases[] = {
        {{(const unsigned char *)"", 0}, RC_BROKEN},
        {{(const unsigned char *)"\x00", 1}, 0},
        {{(const unsigned char *)"\x81", 1}, 0},
        {{(const unsigned char *)"\x80", 1}, RC_BROKEN},
        {{(const unsigned char *)"\x07", 1}, RC_BROKEN},
        {{(const unsigned char *)"\x02\x01\x01\x01\x01\x01\x01\x01", 8},
         RC_BROKEN},
        {{(const unsigned char *)"\x04\x7f"
                                 "abc",
          5},
         RC_BROKEN},
        {{(const unsigned char *)"\x04\xff\xff\xff\xff\x0f", 6}, RC_BROKEN},
        {{(const unsigned char *)"\x04\xff\xff\xff\xff\x1f", 6}, RC_BROKEN},
        {{(const unsigned char *)"\x05\xff\xff\xff\xff\xff\xff\x01", 8},
         RC_BROKEN},
        {{(const unsigned char *)"\x05\xff\xff\xff\xff\x0f\x00", 7}, RC_BROKEN},
        {{(const unsigned char *)"\x06\x01\x01"
                                 "a",
          4},
         RC_BROKEN},
        {{(const unsigned char *)"\x06\x01\x01"
                                 "a\x81",
          5},
         0},
    };
    struct arena a;
    arena_init(&a, mem_system(), (size_t)1 << 20);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct doc *d = NULL;
        CHECK_INT(doc_unpack(&a.mem, cases[i].bytes, &d), cases[i].rc);
        CHECK((d != NULL) == (cases[i].rc == 0));
    }
    uint64_t seed = 1;
    for (unsigned i = 0; i < 100000; i++) {
        unsigned char bytes[24];
        const struct doc *d;
        for (size_t k = 0; k < sizeof bytes; k++)
            bytes[k] = (unsigned char)(next_random(&seed) % 9);
        int rc = doc_unpack(&a.mem, span_of(bytes, i % sizeof bytes), &d);
        CHECK(rc == 0 || rc == RC_BROKEN);
        arena_clear(&a);
    }
    arena_fini(&a);
}

/* As deep as the parsers allow, and one deeper. */
static void test_depth(void **state)
{
    (void)state;
    for (unsigned extra = 0; extra < 2; extra++) {
        struct arena a;
        struct buf packed;
        const struct doc *back = NULL;
        arena_init(&a, mem_system(), (size_t)1 << 20);
        buf_init(&packed, mem_system(), 4096);
        struct doc *root = doc_new(&a.mem, DOC_LIST), *at = root;
        for (unsigned i = 1; i < DOC_DEPTH_MAX + extra; i++) {
            struct doc *child = doc_new(&a.mem, DOC_LIST);
            doc_append(at, child);
            at = child;
        }
        doc_pack(&packed, root);
        CHECK(buf_ok(&packed) == (extra == 0));
        if (extra == 0) {
            CHECK_INT(doc_unpack(&a.mem, buf_span(&packed), &back), 0);
            CHECK(doc_eq(root, back));
        }
        buf_fini(&packed);
        arena_fini(&a);
    }
    unsigned char nested[200];
    const struct doc *none = NULL;
    for (size_t i = 0; i < sizeof nested; i += 2) {
        nested[i] = DOC_LIST;
        nested[i + 1] = 1;
    }
    struct arena a;
    arena_init(&a, mem_system(), (size_t)1 << 20);
    CHECK_INT(doc_unpack(&a.mem, span_of(nested, sizeof nested), &none),
              RC_BROKEN);
    arena_fini(&a);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct arena a;
    struct buf packed;
    const struct doc *tree;
    struct fail f;
    arena_init(&a, mem_system(), (size_t)1 << 20);
    buf_init(&packed, mem_system(), 4096);
    CHECK_OK(json_doc_parse(&a.mem, SPAN("{\"a\":[1,{\"b\":true}],\"c\":0.5}"),
                            100, &tree, &f),
             &f);
    doc_pack(&packed, tree);
    struct memfault mf;
    MEMFAULT_SWEEP(&mf)
    {
        struct arena into;
        const struct doc *back = NULL;
        arena_init(&into, &mf.mem, (size_t)1 << 20);
        into.block_bytes = 1; /* one allocation a node */
        int rc = doc_unpack(&into.mem, buf_span(&packed), &back);
        CHECK_INT(rc, mf.hit ? RC_NO_MEMORY : 0);
        CHECK((back != NULL) == (rc == 0));
        arena_fini(&into);
    }
    CHECK(mf.runs > 5);
    buf_fini(&packed);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
