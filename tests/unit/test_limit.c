// SPDX-License-Identifier: Apache-2.0
/* The windows of limits by themselves: who is in them, and what happens when
 * there is no more room. */
#include "sidecar/core/limit.h"
#include "tests/lib/check.h"

static const struct hash_key seed = {1, 2};

static struct limit_windows *open(struct mem *m)
{
    struct limit_windows *t = mem_alloc(mem_system(), sizeof *t);
    CHECK(t != NULL);
    limit_windows_init(t, m, seed);
    return t;
}

static void close_windows(struct limit_windows *t)
{
    limit_windows_fini(t);
    mem_release(mem_system(), t);
}

static void test_latest_time_counts(void **state)
{
    (void)state;
    struct limit_windows *t = open(mem_system());
    struct limit_window *w = &t->at[LIMIT_REVOKE][3];
    CHECK_INT(limit_put(t, LIMIT_REVOKE, 3, 11, 100), 0);
    CHECK_INT(limit_put(t, LIMIT_REVOKE, 3, 22, 200), 0);
    CHECK_INT(limit_put(t, LIMIT_REVOKE, 3, 11, 300), 0);
    CHECK_UINT(w->count, 2);
    CHECK_UINT(limit_agent(limit_first(w)), 22);
    CHECK_INT(limit_find(t, LIMIT_REVOKE, 3, 11)->at_ms, 300);
    limit_drop(t, limit_first(w));
    CHECK_UINT(w->count, 1);
    CHECK(limit_find(t, LIMIT_REVOKE, 3, 22) == NULL);
    close_windows(t);
}

/* The store gives them back in the order of their keys. Of a full window the
 * first is forgotten: were that a new one, it would open too early. */
static void test_sorted_after_a_restart(void **state)
{
    static const int64_t at_ms[] = {500, 100, 300, 200, 400, 300};
    (void)state;
    struct limit_windows *t = open(mem_system());
    CHECK_INT(limit_sort(t), 0);
    for (unsigned i = 0; i < COUNT_OF(at_ms); i++)
        for (unsigned s = 0; s < 2; s++)
            CHECK_INT(limit_put(t, LIMIT_PURGE, s, i, at_ms[i]), 0);
    CHECK_INT(limit_sort(t), 0);
    for (unsigned s = 0; s < 2; s++) {
        struct limit_window *w = &t->at[LIMIT_PURGE][s];
        int64_t before_ms = 0;
        CHECK_UINT(w->count, COUNT_OF(at_ms));
        for (unsigned i = 0; i < COUNT_OF(at_ms); i++) {
            CHECK(limit_first(w)->at_ms >= before_ms);
            before_ms = limit_first(w)->at_ms;
            limit_drop(t, limit_first(w));
        }
        CHECK(limit_first(w) == NULL);
    }
    close_windows(t);
}

static void test_windows_are_apart(void **state)
{
    static const struct {
        const char *name;
        enum limit_kind kind;
        unsigned source;
        uint64_t agent;
    } rows[] = {{"another limit", LIMIT_PURGE, 0, UINT64_MAX},
                {"another source", LIMIT_HTTP, SOURCE_ALL, UINT64_MAX},
                {"another agent", LIMIT_HTTP, 0, UINT64_MAX - 1}};
    (void)state;
    struct limit_windows *t = open(mem_system());
    CHECK_INT(limit_put(t, LIMIT_HTTP, 0, UINT64_MAX, 1), 0);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        check_row(rows[i].name);
        CHECK(limit_find(t, rows[i].kind, rows[i].source, rows[i].agent) ==
              NULL);
    }
    check_row(NULL);
    CHECK_UINT(limit_agent(limit_first(&t->at[LIMIT_HTTP][0])), UINT64_MAX);
    close_windows(t);
}

/* All windows share one bound; who is known already is still counted. */
static void test_full(void **state)
{
    (void)state;
    struct limit_windows *t = open(mem_system());
    for (unsigned i = 0; i < LIMIT_TRACKED_MAX; i++)
        CHECK_INT(
            limit_put(t, i % 2 == 0 ? LIMIT_SUSPEND : LIMIT_CANCEL, 0, i, i),
            0);
    CHECK_INT(limit_put(t, LIMIT_SUSPEND, 1, 1, 1), RC_LIMIT);
    CHECK_INT(limit_put(t, LIMIT_SUSPEND, 0, 0, 9), 0);
    CHECK_UINT(t->at[LIMIT_SUSPEND][0].count, LIMIT_TRACKED_MAX / 2);
    CHECK_UINT(t->at[LIMIT_SUSPEND][1].count, 0);
    close_windows(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_latest_time_counts),
        cmocka_unit_test(test_sorted_after_a_restart),
        cmocka_unit_test(test_windows_are_apart),
        cmocka_unit_test(test_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
