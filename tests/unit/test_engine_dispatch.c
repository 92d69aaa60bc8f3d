// SPDX-License-Identifier: Apache-2.0
/* When attempts of jobs run: one target's trouble is not another's, and a
 * deadline ends a job whatever its target does. */
#include "tests/lib/world.h"

static const char policy[] =
    "rules:\n"
    "  - name: stop\n"
    "    events: deactivate\n"
    "    do: [{hold: suspended},\n"
    "      {revoke: {tokens: all, within: 60s, otherwise: [page]}},\n"
    "      {notify: chat}]\n"
    "actions:\n"
    "  page: {http: {method: POST, url: 'https://pager.example/x'}}\n"
    "  chat: {http: {method: POST, url: 'https://chat.example/x'}}\n";

/* `n` agents with a token each, all deactivated. */
static struct world *open_stopped(unsigned n)
{
    struct world *w = world_open(policy);
    for (unsigned i = 0; i < n; i++) {
        const char *uri =
            (const char *)world_text(w, "/Agents/%u%c", i + 10, 0).p;
        const char *jti = (const char *)world_text(w, "j%u%c", i, 0).p;
        CHECK(world_acked(w, world_credential(w, uri, "t", false)));
        CHECK(world_acked(
            w, EVENT(w, .jti = jti, .type = EVENT_DEACTIVATE, .uri = uri)));
    }
    return w;
}

static unsigned running(const struct world *w, enum job_kind kind)
{
    unsigned n = 0;
    for (unsigned i = 0; i < w->job_count; i++)
        n += w->jobs[i].kind == kind;
    return n;
}

static void answer_all(struct world *w, enum job_kind kind,
                       enum job_result result)
{
    const struct out_job *j;
    while ((j = world_job(w, kind)) != NULL)
        world_job_done(w, j, result);
}

/* Eight at a time; the other target is not held up. */
static void test_bound_per_target(void **state)
{
    (void)state;
    struct world *w = open_stopped(20);
    CHECK_UINT(running(w, JOB_REVOKE), LANE_RUNNING_MAX);
    CHECK_UINT(running(w, JOB_ACTION), LANE_RUNNING_MAX);
    answer_all(w, JOB_ACTION, JOB_DONE_CONFIRMED);
    CHECK_UINT(world_records(w, "\"chat\"", "\"confirmed\","), 20);
    CHECK_UINT(running(w, JOB_REVOKE), LANE_RUNNING_MAX);
    answer_all(w, JOB_REVOKE, JOB_DONE_CONFIRMED);
    CHECK_UINT(w->e->jobs.open_count, 0);
    CHECK_UINT(w->e->jobs.lanes.by_key.count, 0);
    world_close(w);
}

static void test_target_down(void **state)
{
    (void)state;
    struct world *w = open_stopped(20);
    answer_all(w, JOB_ACTION, JOB_DONE_CONFIRMED);
    for (unsigned i = 0; i < LANE_FAILURES_MAX; i++)
        world_job_done(w, world_job(w, JOB_REVOKE), JOB_DONE_RETRY);
    CHECK_UINT(world_records(w, "https://as.example", "target_down"), 1);
    struct engine_stats st;
    engine_stats_get(w->e, &st);
    CHECK_UINT(st.targets_down, 1);
    answer_all(w, JOB_REVOKE, JOB_DONE_RETRY);
    unsigned before = w->jobs_started;
    world_pass(w, 10000); /* probes only: at 1, 2, 4, 8 s at the most */
    while (world_job(w, JOB_REVOKE) != NULL) {
        CHECK_UINT(running(w, JOB_REVOKE), 1);
        world_job_done(w, world_job(w, JOB_REVOKE), JOB_DONE_RETRY);
        world_pass(w, 10000);
    }
    CHECK(w->jobs_started - before <= 6);
    /* A probe that is answered lets the others through. */
    for (int i = 0; i < 10 && world_job(w, JOB_REVOKE) == NULL; i++)
        world_pass(w, 5000);
    world_close(w);
}

static void test_target_comes_back(void **state)
{
    (void)state;
    struct world *w = open_stopped(20);
    answer_all(w, JOB_ACTION, JOB_DONE_CONFIRMED);
    answer_all(w, JOB_REVOKE, JOB_DONE_RETRY);
    for (int i = 0; i < 20 && world_job(w, JOB_REVOKE) == NULL; i++)
        world_pass(w, 1000);
    CHECK_UINT(running(w, JOB_REVOKE), 1);
    world_job_done(w, world_job(w, JOB_REVOKE), JOB_DONE_CONFIRMED);
    CHECK_UINT(world_records(w, "https://as.example", "target_up"), 1);
    for (int i = 0; i < 20 && w->e->jobs.open_count > 0; i++) {
        answer_all(w, JOB_REVOKE, JOB_DONE_CONFIRMED);
        world_pass(w, 1000);
    }
    CHECK_UINT(world_records(w, "\"revoke\"", "\"outcome\":\"confirmed\""), 20);
    world_close(w);
}

/* Nothing is attempted, and still every job ends at its deadline. */
static void test_deadline_while_down(void **state)
{
    (void)state;
    struct world *w = open_stopped(12);
    answer_all(w, JOB_ACTION, JOB_DONE_CONFIRMED);
    answer_all(w, JOB_REVOKE, JOB_DONE_RETRY);
    world_pass(w, 61000);
    CHECK_UINT(world_records(w, "\"revoke\"", "\"outcome\":\"failed\""), 12);
    CHECK_UINT(running(w, JOB_ACTION), LANE_RUNNING_MAX); /* page */
    world_close(w);
}

/* Somebody who knows that it is back need not wait for the next probe. */
static void test_operator_retries(void **state)
{
    (void)state;
    struct world *w = open_stopped(8);
    answer_all(w, JOB_ACTION, JOB_DONE_CONFIRMED);
    struct in in = {.kind = IN_OPERATOR};
    in.operator.token = 9001;
    in.operator.person = SPAN("ann");
    in.operator.reason = SPAN("it is back");
    in.operator.verb = OP_JOB_RETRY;
    in.operator.job_id = world_job(w, JOB_REVOKE)->job_id;
    answer_all(w, JOB_REVOKE, JOB_DONE_RETRY);
    CHECK(world_job(w, JOB_REVOKE) == NULL);
    (void)world_step(w, in);
    CHECK_UINT(running(w, JOB_REVOKE), 1);
    CHECK_UINT(world_job(w, JOB_REVOKE)->job_id, in.operator.job_id);
    world_close(w);
}

static void test_restart(void **state)
{
    (void)state;
    struct world *w = open_stopped(12);
    answer_all(w, JOB_ACTION, JOB_DONE_CONFIRMED);
    CHECK_INT(world_restart(w), 0);
    world_pass(w, 1);
    CHECK_UINT(running(w, JOB_REVOKE), LANE_RUNNING_MAX);
    answer_all(w, JOB_REVOKE, JOB_DONE_CONFIRMED);
    CHECK_UINT(w->e->jobs.open_count, 0);
    world_close(w);
}

/* A pause that ends while nothing may be attempted is over all the same: it
 * must not ask for one tick after another. */
static void test_pause_ends_while_stopping(void **state)
{
    (void)state;
    const struct in last[] = {
        {.kind = IN_STOP},
        {.kind = IN_STORE_STATE, .store = {.poisoned = true}}};
    for (size_t i = 0; i < sizeof last / sizeof *last; i++) {
        struct world *w = open_stopped(8);
        answer_all(w, JOB_ACTION, JOB_DONE_CONFIRMED);
        answer_all(w, JOB_REVOKE, JOB_DONE_RETRY);
        CHECK(lanes_wake_ms(&w->e->jobs.lanes) < INT64_MAX);
        (void)world_step(w, last[i]);
        w->now += LANE_PAUSE_MAX_MS;
        (void)world_step(w, (struct in){.kind = IN_TICK});
        CHECK(engine_wake_ms(w->e) > w->now);
        CHECK(world_job(w, JOB_REVOKE) == NULL);
        world_close(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bound_per_target),
        cmocka_unit_test(test_target_down),
        cmocka_unit_test(test_target_comes_back),
        cmocka_unit_test(test_deadline_while_down),
        cmocka_unit_test(test_operator_retries),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_pause_ends_while_stopping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
