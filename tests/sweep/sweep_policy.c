// SPDX-License-Identifier: Apache-2.0
/* Every allocation of filters, YAML documents and policies fails once: the
 * caller gets RC_NO_MEMORY and no half-made result. All of them expect an
 * arena, which here fails one chosen request. */
#include <stdio.h>
#include <string.h>

#include "policy/policy.h"
#include "sidecar/base/buf.h"
#include "sidecar/config/yaml_doc.h"
#include "tests/lib/check.h"

#define RUNS_MAX 100000

struct failing {
    struct mem mem;
    struct arena arena;
    unsigned long left; /* 1: the next request fails */
    bool hit;
};

static void *failing_alloc(struct mem *m, size_t n)
{
    struct failing *s = (struct failing *)(void *)m;
    if (s->left > 0 && --s->left == 0) {
        s->hit = true;
        return NULL;
    }
    return mem_alloc(&s->arena.mem, n);
}

static void failing_release(struct mem *m, void *p)
{
    (void)m;
    (void)p;
}

static void failing_init(struct failing *s, unsigned long fail_at)
{
    memset(s, 0, sizeof *s);
    s->mem.alloc = failing_alloc;
    s->mem.release = failing_release;
    s->left = fail_at;
    arena_init(&s->arena, mem_system(), 64u << 20);
}

static void filter_sweep(void **state)
{
    (void)state;
    unsigned long run = 0;
    bool hit = true;
    while (hit) {
        struct failing s;
        const struct filter *flt = NULL;
        struct attr_path path;
        size_t at;
        struct fail f = {0};
        failing_init(&s, ++run);
        int rc = filter_compile(&s.mem,
                                SPAN("a eq \"x\" and not (b[c pr or d gt 1])"),
                                &flt, &at, &f);
        if (rc == 0)
            rc = attr_path_parse(&s.mem, SPAN("a[b pr].c"), &path, &f);
        hit = s.hit;
        CHECK_INT(rc, hit ? RC_NO_MEMORY : 0);
        CHECK(run < RUNS_MAX);
        arena_fini(&s.arena);
    }
    CHECK(run > 8);
}

static struct buf read_example(void)
{
    struct buf b;
    FILE *in = fopen("examples/policy.yaml", "rb");
    buf_init(&b, mem_system(), 1 << 20);
    CHECK(in != NULL);
    for (int c = fgetc(in); c != EOF; c = fgetc(in))
        buf_put_u8(&b, (uint8_t)c);
    (void)fclose(in);
    return b;
}

static void policy_sweep(void **state)
{
    (void)state;
    struct buf text = read_example();
    unsigned long run = 0;
    bool hit = true;
    static struct policy_notes notes;
    while (hit) {
        struct failing s;
        const struct doc *root = NULL;
        const struct policy *p = NULL;
        struct fail f = {0};
        memset(&notes, 0, sizeof notes);
        failing_init(&s, ++run);
        int rc = yaml_doc_parse(&s.mem, buf_span(&text), POLICY_FILE_BYTES_MAX,
                                &root, &notes, &f);
        CHECK((rc == 0) == (root != NULL));
        if (rc == 0)
            rc = policy_load(&s.mem, root, &p, &notes, &f);
        hit = s.hit;
        CHECK_INT(rc, hit ? RC_NO_MEMORY : 0);
        CHECK((rc == 0) == (p != NULL));
        CHECK(run < RUNS_MAX);
        arena_fini(&s.arena);
    }
    CHECK(run > 300);
    buf_fini(&text);
}

static void built_in_sweep(void **state)
{
    (void)state;
    static struct policy_notes notes;
    unsigned long run = 0;
    bool hit = true;
    while (hit) {
        struct failing s;
        const struct policy *p = NULL;
        struct fail f = {0};
        failing_init(&s, ++run);
        int rc = policy_load(&s.mem, NULL, &p, &notes, &f);
        hit = s.hit;
        CHECK_INT(rc, hit ? RC_NO_MEMORY : 0);
        arena_fini(&s.arena);
    }
    CHECK(run > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filter_sweep),
        cmocka_unit_test(policy_sweep),
        cmocka_unit_test(built_in_sweep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
