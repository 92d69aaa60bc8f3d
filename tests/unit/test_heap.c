// SPDX-License-Identifier: Apache-2.0
/* Deadlines come out in order, whatever was put, moved and taken between. */
#include "sidecar/base/heap.h"

#include "sidecar/base/list.h"
#include "tests/lib/check.h"

#define COUNT 500

struct item {
    struct heap_link link;
    int64_t at; /* what the heap should say; -1: not in it */
};

static uint64_t next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static int64_t least(const struct item *items)
{
    int64_t at = -1;
    for (unsigned i = 0; i < COUNT; i++)
        if (items[i].at >= 0 && (at < 0 || items[i].at < at))
            at = items[i].at;
    return at;
}

static void test_order(void **state)
{
    (void)state;
    struct heap h = {NULL};
    struct item items[4] = {{.at = 0}};
    const int64_t at[4] = {30, 10, 20, 10};
    CHECK(heap_first(&h) == NULL);
    for (unsigned i = 0; i < 4; i++)
        heap_put(&h, &items[i].link, at[i]);
    const int64_t want[4] = {10, 10, 20, 30};
    for (unsigned i = 0; i < 4; i++) {
        struct heap_link *k = heap_first(&h);
        CHECK(k != NULL && heap_linked(k));
        CHECK_INT(k->at_ms, want[i]);
        heap_remove(&h, k);
        CHECK(!heap_linked(k));
        heap_remove(&h, k); /* legal, does nothing */
    }
    CHECK(heap_first(&h) == NULL);
}

static void test_random_life(void **state)
{
    (void)state;
    static struct item items[COUNT];
    struct heap h = {NULL};
    uint64_t seed = 88172645463325252u;
    for (unsigned i = 0; i < COUNT; i++)
        items[i].at = -1;
    for (unsigned step = 0; step < 20000; step++) {
        uint64_t r = next(&seed);
        struct item *it = &items[r % COUNT];
        if (r >> 32 & 1) {
            it->at = (int64_t)(r >> 40 & 1023);
            heap_put(&h, &it->link, it->at);
        } else {
            heap_remove(&h, &it->link);
            it->at = -1;
        }
        struct heap_link *k = heap_first(&h);
        CHECK_INT(k == NULL ? -1 : k->at_ms, least(items));
    }
    int64_t before = -1;
    for (struct heap_link *k; (k = heap_first(&h)) != NULL;) {
        CHECK(k->at_ms >= before);
        before = k->at_ms;
        CHECK_INT(container_of(k, struct item, link)->at, before);
        heap_remove(&h, k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_random_life),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
