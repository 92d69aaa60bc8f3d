// SPDX-License-Identifier: Apache-2.0
/* Lanes: how many attempts run, whose turn it is, when a target is left alone.
 */
#include "sidecar/core/lane.h"

#include "tests/lib/check.h"

#define JOBS 40

struct fixture {
    struct lanes lanes;
    struct list_link jobs[JOBS];
    unsigned used;
};

static void open_lanes(struct fixture *f)
{
    *f = (struct fixture){.used = 0};
    lanes_init(&f->lanes, mem_system(), (struct hash_key){1, 2}, 100);
}

static struct lane *add(struct fixture *f, const char *target, unsigned jobs)
{
    struct lane *l = NULL;
    for (unsigned i = 0; i < jobs; i++) {
        CHECK_INT(lane_join(&f->lanes, ADAPTER_HTTP, span_str(target), &l), 0);
        lane_wait(&f->lanes, l, &f->jobs[f->used++]);
    }
    return l;
}

static unsigned run_all(struct fixture *f, int64_t now_ms)
{
    unsigned n = 0;
    while (lanes_next(&f->lanes, now_ms) != NULL)
        n++;
    return n;
}

static void end(struct fixture *f, struct lane *l, bool answered,
                int64_t retry_ms, int64_t now_ms)
{
    const struct lane_outcome o = {answered, retry_ms, now_ms};
    lane_done(&f->lanes, l, &o);
}

static void leave(struct fixture *f, struct lane *l, unsigned from, unsigned n)
{
    while (l->running > 0)
        lane_give_up(&f->lanes, l);
    for (unsigned i = from; i < from + n; i++)
        lane_leave(&f->lanes, l, &f->jobs[i]);
}

static void test_bounds_and_turns(void **state)
{
    (void)state;
    struct fixture f;
    open_lanes(&f);
    struct lane *a = add(&f, "a", 12), *b = add(&f, "b", 2);
    CHECK(lanes_next(&f.lanes, 0) == &f.jobs[0]);
    CHECK(lanes_next(&f.lanes, 0) == &f.jobs[12]); /* b's turn */
    CHECK(lanes_next(&f.lanes, 0) == &f.jobs[1]);
    CHECK_UINT(run_all(&f, 0), LANE_RUNNING_MAX - 2 + 1);
    CHECK_UINT(a->running, LANE_RUNNING_MAX);
    end(&f, a, true, -1, 0);
    CHECK_UINT(run_all(&f, 0), 1);
    leave(&f, a, 0, 12);
    leave(&f, b, 12, 2);
    lanes_fini(&f.lanes);
}

static void test_adapter_bound(void **state)
{
    (void)state;
    struct fixture f;
    open_lanes(&f);
    struct lane *l[JOBS];
    char name[8];
    for (unsigned i = 0; i < JOBS; i++) {
        (void)snprintf(name, sizeof name, "t%u", i);
        l[i] = add(&f, name, 1);
    }
    f.lanes.running[ADAPTER_HTTP] = ADAPTER_RUNNING_MAX - 3; /* others */
    CHECK_UINT(run_all(&f, 0), 3);
    f.lanes.running[ADAPTER_HTTP] = 3;
    CHECK_UINT(run_all(&f, 0), JOBS - 3);
    for (unsigned i = 0; i < JOBS; i++)
        leave(&f, l[i], i, 1);
    lanes_fini(&f.lanes);
}

static void test_breaker(void **state)
{
    (void)state;
    struct fixture f;
    open_lanes(&f);
    struct lane *l = add(&f, "a", 20);
    for (unsigned i = 0; i < LANE_FAILURES_MAX; i++) {
        CHECK(lanes_next(&f.lanes, 0) != NULL);
        CHECK(!lane_is_down(l));
        end(&f, l, false, -1, 0);
    }
    CHECK(lane_is_down(l));
    CHECK_UINT(f.lanes.down, 1);
    CHECK_INT(lanes_wake_ms(&f.lanes), LANE_PAUSE_FIRST_MS);
    CHECK_UINT(run_all(&f, LANE_PAUSE_FIRST_MS - 1), 0);
    CHECK_UINT(run_all(&f, LANE_PAUSE_FIRST_MS), 1); /* one probe */
    end(&f, l, false, -1, 1000);
    CHECK_INT(lanes_wake_ms(&f.lanes), 1000 + 2 * LANE_PAUSE_FIRST_MS);
    for (unsigned i = 0; i < 10; i++) {
        int64_t at = lanes_wake_ms(&f.lanes);
        CHECK_UINT(run_all(&f, at), 1);
        end(&f, l, false, -1, at);
        CHECK(lanes_wake_ms(&f.lanes) <= at + LANE_PAUSE_MAX_MS);
        lane_wait(&f.lanes, l, &f.jobs[i]);
    }
    CHECK_UINT(run_all(&f, 0), 0);
    lane_resume(&f.lanes, l);
    CHECK_UINT(run_all(&f, 0), 1);
    end(&f, l, true, -1, 0); /* it answers again */
    CHECK_UINT(f.lanes.down, 0);
    CHECK_UINT(run_all(&f, 0), LANE_RUNNING_MAX);
    leave(&f, l, 0, 20);
    lanes_fini(&f.lanes);
}

static void test_retry_after(void **state)
{
    (void)state;
    struct fixture f;
    open_lanes(&f);
    struct lane *l = add(&f, "a", 5);
    CHECK_UINT(run_all(&f, 0), 5);
    end(&f, l, false, 5000, 0);
    end(&f, l, false, 100, 0); /* the longer one counts */
    lane_wait(&f.lanes, l, &f.jobs[0]);
    CHECK_UINT(run_all(&f, 4999), 0);
    CHECK_UINT(run_all(&f, 5000), 1);
    end(&f, l, false, INT64_MAX / 2, 5000); /* absurd: believed up to a bound */
    CHECK_INT(lanes_wake_ms(&f.lanes), 5000 + LANE_ASKED_MAX_MS);
    leave(&f, l, 0, 5);
    CHECK_INT(lanes_wake_ms(&f.lanes), INT64_MAX);
    lanes_fini(&f.lanes);
}

static void test_hostile_target(void **state)
{
    (void)state;
    struct fixture f;
    open_lanes(&f);
    static unsigned char big[LANE_KEY_MAX];
    struct lane *l;
    CHECK_INT(lane_join(&f.lanes, ADAPTER_OAUTH, span_of(big, sizeof big), &l),
              RC_LIMIT);
    CHECK_INT(
        lane_join(&f.lanes, ADAPTER_OAUTH, span_of(big, sizeof big - 1), &l),
        0);
    struct lane *other;
    CHECK_INT(lane_join(&f.lanes, ADAPTER_HTTP, SPAN("x"), &other), 0);
    struct lane *same;
    CHECK_INT(lane_join(&f.lanes, ADAPTER_OAUTH, SPAN("x"), &same), 0);
    CHECK(other != same); /* an adapter's targets are its own */
    lane_leave(&f.lanes, l, &f.jobs[0]);
    lane_leave(&f.lanes, other, &f.jobs[0]);
    lane_leave(&f.lanes, same, &f.jobs[0]);
    lanes_fini(&f.lanes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds_and_turns),
        cmocka_unit_test(test_adapter_bound),
        cmocka_unit_test(test_breaker),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_hostile_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
