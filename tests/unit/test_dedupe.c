// SPDX-License-Identifier: Apache-2.0
/* The memory of jtis against a plain list that does the same slowly. */
#include "sidecar/core/dedupe.h"
#include "tests/lib/check.h"
#include "tests/lib/memfault.h"

#define MODEL_MAX 3000

struct model {
    struct dedupe_id id;
    uint64_t payload;
    uint32_t when_s;
    bool there;
};

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void open_dedupe(struct dedupe *d, struct mem *m, size_t max)
{
    dedupe_init(d, m, (struct hash_key){1, 2}, (struct hash_key){3, 4}, max);
}

static void check_model(const struct dedupe *d, const struct model *m,
                        size_t count)
{
    CHECK_UINT(d->count, count);
    for (size_t i = 0; i < MODEL_MAX; i++) {
        CHECK_INT(dedupe_find(d, m[i].id, m[i].payload),
                  m[i].there ? DEDUPE_SAME : DEDUPE_NEW);
        CHECK_INT(dedupe_find(d, m[i].id, m[i].payload + 1),
                  m[i].there ? DEDUPE_OTHER : DEDUPE_NEW);
    }
}

/* All in two shards and close together, so that runs form and wrap. */
static void test_model(void **state)
{
    (void)state;
    static struct model m[MODEL_MAX];
    uint64_t seed = 88172645463325252u;
    struct dedupe d;
    size_t count = 0;
    open_dedupe(&d, mem_system(), 100000);
    for (size_t i = 0; i < MODEL_MAX; i++) {
        uint64_t near = (UINT64_C(0xFFFFFF00) | next_random(&seed) % 256) << 32;
        m[i] = (struct model){.id = {i % 2 << 56 | (i + 1), near | i},
                              .payload = next_random(&seed)};
    }
    for (unsigned step = 0; step < 30000; step++) {
        struct model *one = &m[next_random(&seed) % MODEL_MAX];
        if (next_random(&seed) % 3 == 0) {
            dedupe_drop(&d, one->id);
            count -= one->there;
            one->there = false;
        } else {
            CHECK_INT(dedupe_put(&d, one->id, one->payload, step), 0);
            count += !one->there;
            one->there = true;
        }
        if (step % 5000 == 0)
            check_model(&d, m, count);
    }
    check_model(&d, m, count);
    dedupe_fini(&d);
    CHECK_UINT(d.count, 0);
}

/* What is older than a minute count goes, nothing else, and all of it. */
static void test_sweep(void **state)
{
    (void)state;
    struct dedupe d;
    struct dedupe_id id;
    uint64_t seed = 7;
    open_dedupe(&d, mem_system(), 100000);
    for (unsigned i = 0; i < 1000; i++) {
        id = (struct dedupe_id){next_random(&seed), next_random(&seed)};
        CHECK_INT(dedupe_put(&d, id, i, 1800000000 + i * 60), 0);
    }
    CHECK(!dedupe_sweep(&d, 1000000, 1800000000, &id));
    CHECK(!dedupe_sweep(&d, 1000000, 1800000059, &id));
    for (unsigned i = 0; i < 600; i++) {
        CHECK(dedupe_sweep(&d, 1000000, 1800000000 + 600 * 60, &id));
        dedupe_drop(&d, id);
    }
    CHECK(!dedupe_sweep(&d, 1000000, 1800000000 + 600 * 60, &id));
    CHECK_UINT(d.count, 400);
    for (unsigned left = 400; left > 0; left--) { /* oldest first */
        CHECK(dedupe_oldest(&d, 1000000, &id));
        CHECK_INT(dedupe_find(&d, id, 1000 - left), DEDUPE_SAME);
        dedupe_drop(&d, id);
    }
    CHECK(!dedupe_oldest(&d, 1000000, &id));
    dedupe_fini(&d);
}

static void test_limit(void **state)
{
    (void)state;
    struct dedupe d;
    open_dedupe(&d, mem_system(), 3);
    for (uint64_t i = 1; i <= 4; i++)
        CHECK_INT(dedupe_put(&d, (struct dedupe_id){i, i}, i, 60),
                  i <= 3 ? 0 : RC_LIMIT);
    CHECK_INT(dedupe_put(&d, (struct dedupe_id){1, 1}, 9, 60), 0);
    CHECK_INT(dedupe_find(&d, (struct dedupe_id){1, 1}, 9), DEDUPE_SAME);
    CHECK_INT(dedupe_find(&d, (struct dedupe_id){4, 4}, 4), DEDUPE_NEW);
    dedupe_fini(&d);
}

/* 24 bytes each with bounded slack, and no second copy while growing. */
static void test_memory(void **state)
{
    (void)state;
    struct memfault mf;
    struct dedupe d;
    uint64_t seed = 9;
    memfault_init(&mf);
    open_dedupe(&d, &mf.mem, 1000000);
    for (unsigned i = 0; i < 1000000; i++) {
        struct dedupe_id id = {next_random(&seed), next_random(&seed)};
        CHECK_INT(dedupe_put(&d, id, i, 60), 0);
    }
    CHECK(mf.live_bytes <= 36 * (size_t)1000000);
    CHECK(mf.peak_bytes <= mf.live_bytes + (size_t)1024 * 1024);
    dedupe_fini(&d);
    memfault_check_clean(&mf);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct memfault mf;
    MEMFAULT_SWEEP(&mf)
    {
        struct dedupe d;
        unsigned put = 0;
        open_dedupe(&d, &mf.mem, 1000);
        for (uint64_t i = 1; i <= 100; i++) {
            int rc = dedupe_put(&d, (struct dedupe_id){1, i << 40}, i, 60);
            CHECK(rc == 0 || rc == RC_NO_MEMORY);
            put += rc == 0;
            if (rc == 0)
                CHECK_INT(dedupe_find(&d, (struct dedupe_id){1, i << 40}, i),
                          DEDUPE_SAME);
        }
        CHECK_UINT(d.count, put);
        CHECK(put >= 99 && (put == 100) == !mf.hit);
        dedupe_fini(&d);
    }
    CHECK(mf.runs > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),     cmocka_unit_test(test_sweep),
        cmocka_unit_test(test_limit),     cmocka_unit_test(test_memory),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
