// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/check.h"
#include "tests/lib/memfault.h"

#include <stdalign.h>
#include <string.h>

#include "sidecar/base/mem.h"

static void system_memory(void **state)
{
    (void)state;
    struct mem *m = mem_system();
    unsigned char *p = mem_alloc(m, 3);
    CHECK(p != NULL && p[0] == 0 && p[2] == 0);
    memcpy(p, "abc", 3);
    p = mem_resize(m, p, 3, 4096);
    CHECK(p != NULL);
    CHECK_SPAN(span_of(p, 3), SPAN("abc"));
    mem_wipe(p, 3);
    CHECK_SPAN(span_of(p, 3), SPAN("\0\0\0"));
    mem_release(m, p);
    mem_release(m, NULL);
    p = mem_alloc(m, 0);
    CHECK(p != NULL);
    mem_release(m, p);
    CHECK(mem_array(m, SIZE_MAX / 2, 3) == NULL);
    mem_wipe(NULL, 0);
}

static void copies(void **state)
{
    (void)state;
    unsigned char *p = mem_copy(mem_system(), SPAN("a\0b"));
    CHECK(p != NULL);
    CHECK_SPAN(span_of(p, 4), SPAN("a\0b\0"));
    mem_release(mem_system(), p);
    p = mem_copy(mem_system(), span_of(NULL, 0));
    CHECK(p != NULL && p[0] == 0);
    mem_release(mem_system(), p);
    CHECK(mem_copy(mem_system(), span_of("", SIZE_MAX)) == NULL);
}

static void arena_gives_aligned_zeroes(void **state)
{
    (void)state;
    struct memfault mf;
    memfault_init(&mf);
    struct arena a;
    arena_init(&a, &mf.mem, 1024 * 1024);
    for (size_t n = 0; n < 300; n++) {
        unsigned char *p = mem_alloc(&a.mem, n);
        CHECK(p != NULL);
        CHECK_UINT((uintptr_t)p % alignof(max_align_t), 0);
        for (size_t i = 0; i < n; i++)
            CHECK_UINT(p[i], 0);
        memset(p, 0xff, n);
    }
    arena_fini(&a);
    memfault_check_clean(&mf);
    arena_fini(&a);
    CHECK(mem_alloc(&a.mem, 8) != NULL);
    arena_fini(&a);
    arena_fini(&(struct arena){0});
}

static void arena_limit_is_exact(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, mem_system(), 64);
    CHECK(mem_alloc(&a.mem, 48) != NULL);
    CHECK(mem_alloc(&a.mem, 32) == NULL);
    CHECK(mem_alloc(&a.mem, 16) != NULL);
    CHECK(mem_alloc(&a.mem, 0) == NULL);
    CHECK(mem_alloc(&a.mem, SIZE_MAX) == NULL);
    arena_clear(&a);
    CHECK(mem_alloc(&a.mem, 64) != NULL);
    arena_fini(&a);
    arena_init(&a, mem_system(), SIZE_MAX);
    CHECK(mem_alloc(&a.mem, SIZE_MAX - 8) == NULL);
    arena_fini(&a);
}

static void budget_is_exact(void **state)
{
    (void)state;
    struct memfault mf;
    struct mem_budget b;
    memfault_init(&mf);
    mem_budget_init(&b, &mf.mem, 4096);
    unsigned char *one = mem_alloc(&b.mem, 1000);
    CHECK(one != NULL && one[999] == 0);
    const size_t head = b.used_bytes - 1000;
    CHECK(mem_alloc(&b.mem, 4096 - 1000 - 2 * head + 1) == NULL);
    CHECK(b.reached);
    unsigned char *rest = mem_alloc(&b.mem, 4096 - 1000 - 2 * head);
    CHECK(rest != NULL && b.used_bytes == 4096);
    CHECK_UINT(mf.peak_bytes, 4096);
    CHECK(mem_alloc(&b.mem, 0) == NULL);
    CHECK(mem_resize(&b.mem, one, 1000, 1001) == NULL);
    one[0] = 7;
    one = mem_resize(&b.mem, one, 1000, 500);
    CHECK(one != NULL && one[0] == 7 && b.used_bytes == 3596);
    CHECK(mem_resize(&b.mem, one, 500, SIZE_MAX) == NULL);
    mem_release(&b.mem, one);
    mem_release(&b.mem, rest);
    CHECK_UINT(b.used_bytes, 0);
    one = mem_resize(&b.mem, NULL, 0, 8);
    CHECK(one != NULL && mem_alloc(&b.mem, SIZE_MAX) == NULL);
    mem_release(&b.mem, one);
    memfault_check_clean(&mf);
}

/* What the parent refuses is no matter of the budget. */
static void budget_passes_on(void **state)
{
    (void)state;
    struct memfault mf;
    struct mem_budget b;
    memfault_init(&mf);
    mem_budget_init(&b, &mf.mem, 4096);
    mf.fail_at = 1;
    CHECK(mem_alloc(&b.mem, 8) == NULL);
    CHECK(!b.reached && b.used_bytes == 0);
    memfault_check_clean(&mf);
}

static void arena_resizes_by_copy(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, mem_system(), 100000);
    unsigned char *p = mem_resize(&a.mem, NULL, 0, 4);
    CHECK(p != NULL);
    memcpy(p, "abcd", 4);
    unsigned char *q = mem_resize(&a.mem, p, 4, 9000);
    CHECK(q != NULL && q != p);
    CHECK_SPAN(span_of(q, 4), SPAN("abcd"));
    q = mem_resize(&a.mem, q, 9000, 2);
    CHECK_SPAN(span_of(q, 2), SPAN("ab"));
    mem_release(&a.mem, q);
    arena_fini(&a);
}

/* A loop that clears its arena asks the parent once, also after a turn that
 * needed a big block; big blocks are given back. */
static void arena_clear_keeps_the_first_block(void **state)
{
    (void)state;
    struct memfault mf;
    memfault_init(&mf);
    struct arena a;
    arena_init(&a, &mf.mem, 1024 * 1024);
    for (int turn = 0; turn < 50; turn++) {
        CHECK(mem_alloc(&a.mem, 1000) != NULL);
        CHECK(mem_alloc(&a.mem, 2000) != NULL);
        arena_clear(&a);
    }
    CHECK_UINT(mf.calls, 1);
    CHECK(mem_alloc(&a.mem, 100000) != NULL);
    arena_clear(&a);
    CHECK_UINT(mf.live, 1);
    CHECK(mf.live_bytes < 2 * ARENA_BLOCK_BYTES);
    unsigned char *p = mem_alloc(&a.mem, 1000);
    CHECK(p != NULL && p[0] == 0 && p[999] == 0);
    arena_fini(&a);
    memfault_check_clean(&mf);
}

/* Thousands of small arenas stay small, however often they are refilled. */
static void small_arena_stays_small(void **state)
{
    (void)state;
    struct memfault mf;
    memfault_init(&mf);
    struct arena a;
    arena_init_small(&a, &mf.mem, 64 * 1024);
    for (int turn = 0; turn < 50; turn++) {
        arena_clear(&a);
        for (int i = 0; i < 6; i++)
            CHECK(mem_alloc(&a.mem, 100) != NULL);
        CHECK(mf.live_bytes < 1000);
    }
    CHECK(mem_alloc(&a.mem, 20000) != NULL);
    arena_fini(&a);
    CHECK_UINT(mf.live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(system_memory),
        cmocka_unit_test(copies),
        cmocka_unit_test(arena_gives_aligned_zeroes),
        cmocka_unit_test(arena_limit_is_exact),
        cmocka_unit_test(budget_is_exact),
        cmocka_unit_test(budget_passes_on),
        cmocka_unit_test(arena_resizes_by_copy),
        cmocka_unit_test(arena_clear_keeps_the_first_block),
        cmocka_unit_test(small_arena_stays_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
