// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/check.h"
#include "tests/lib/memfault.h"

#include <string.h>

#include "sidecar/base/pool.h"

static void keeps_within_its_bound(void **state)
{
    (void)state;
    struct memfault mf;
    memfault_init(&mf);
    struct pool *p = pool_new(&mf.mem, 4096);
    void *blocks[64];
    CHECK(p != NULL);
    for (unsigned i = 0; i < 64; i++) {
        blocks[i] = pool_take(p, 200);
        CHECK(blocks[i] != NULL);
        memset(blocks[i], 0xee, 200);
    }
    for (unsigned i = 0; i < 64; i++)
        pool_give(p, blocks[i]);
    CHECK(pool_kept_bytes(p) <= 4096);
    pool_give(p, NULL);
    pool_close(p);
    CHECK_UINT(mf.live, 0);
}

/* What is kept goes back when nothing is going on, and the pool goes on. */
static void rests(void **state)
{
    (void)state;
    struct memfault mf;
    memfault_init(&mf);
    struct pool *p = pool_new(&mf.mem, 1 << 20);
    const unsigned long empty = mf.live;
    void *used = pool_take(p, 300);
    pool_give(p, pool_take(p, 300));
    pool_give(p, pool_take(p, 1500));
    pool_rest(p);
    CHECK_UINT(pool_kept_bytes(p), 0);
    CHECK_UINT(mf.live, empty + 1);
    pool_give(p, used);
    pool_give(p, pool_take(p, 300));
    pool_close(p);
    CHECK_UINT(mf.live, 0);
}

/* What was kept asks the parent for nothing. */
static void steady_load_allocates_nothing(void **state)
{
    (void)state;
    struct memfault mf;
    memfault_init(&mf);
    struct pool *p = pool_new(&mf.mem, 1 << 20);
    unsigned long first = 0;
    for (unsigned round = 0; round < 10; round++) {
        void *a = pool_take(p, 1), *b = pool_take(p, 500),
             *c = pool_take(p, 1500);
        CHECK(a != NULL && b != NULL && c != NULL);
        pool_give(p, b);
        pool_give(p, a);
        pool_give(p, c);
        if (round == 0)
            first = mf.calls;
        else if (pool_kept_bytes(p) > 0) /* not under AddressSanitizer */
            CHECK_UINT(mf.calls, first);
    }
    pool_close(p);
    CHECK_UINT(mf.live, 0);
}

static void mem_blocks_are_zeroed(void **state)
{
    (void)state;
    static const unsigned char zeros[300];
    struct pool *p = pool_new(mem_system(), 1 << 20);
    struct mem *m = pool_mem(p);
    unsigned char *a = mem_alloc(m, 300);
    CHECK(a != NULL);
    memset(a, 0xee, 300);
    mem_release(m, a);
    a = mem_alloc(m, 300);
    CHECK(a != NULL && memcmp(a, zeros, 300) == 0);
    memset(a, 0x11, 300);
    a = mem_resize(m, a, 300, 20000);
    CHECK(a != NULL && a[0] == 0x11 && a[299] == 0x11);
    a = mem_resize(m, a, 20000, 2);
    CHECK(a != NULL && a[0] == 0x11 && a[1] == 0x11);
    mem_release(m, a);
    pool_close(p);
}

static void outlives_its_owner(void **state)
{
    (void)state;
    struct memfault mf;
    memfault_init(&mf);
    struct pool *p = pool_new(&mf.mem, 1 << 20);
    void *a = pool_take(p, 10), *b = pool_take(p, 10);
    pool_close(p);
    pool_give(p, a);
    CHECK(mf.live > 0);
    pool_give(p, b); /* the last one */
    CHECK_UINT(mf.live, 0);
    pool_close(NULL);
}

static void too_much_is_refused(void **state)
{
    (void)state;
    struct memfault mf;
    MEMFAULT_SWEEP(&mf)
    {
        struct pool *p = pool_new(&mf.mem, 4096);
        void *a = p == NULL ? NULL : pool_take(p, 100);
        void *b = a == NULL ? NULL : pool_retake(p, a, 1000);
        CHECK_INT(b == NULL, mf.hit);
        if (p != NULL) {
            CHECK(pool_take(p, SIZE_MAX - 8) == NULL);
            pool_give(p, b == NULL ? a : b);
        }
        pool_close(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_within_its_bound),
        cmocka_unit_test(rests),
        cmocka_unit_test(steady_load_allocates_nothing),
        cmocka_unit_test(mem_blocks_are_zeroed),
        cmocka_unit_test(outlives_its_owner),
        cmocka_unit_test(too_much_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
