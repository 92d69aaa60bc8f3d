// SPDX-License-Identifier: Apache-2.0
/* Wall clocks jump, in both directions (reliability F5, T31): that restricts
 * nothing less, and nothing is forgotten by it. */
#include "tests/lib/world.h"

#define A1 "/Agents/1"
#define HOUR_MS INT64_C(3600000)
#define YEAR_MS (365 * 24 * HOUR_MS)

static const char policy[] =
    "rules:\n"
    "  - name: stop\n"
    "    events: deactivate\n"
    "    do: [{hold: suspended}, {revoke: {tokens: all, within: 1h}}]\n";

static uint64_t stop(struct world *w)
{
    return EVENT(w, .jti = "a", .type = EVENT_DEACTIVATE, .uri = A1);
}

/* A jump forward is no time that has passed: a redelivery is a duplicate. */
static void test_jump_forgets_nothing(void **state)
{
    (void)state;
    struct world *w = world_open(policy);
    w->conf.limits.jti_keep_ms = HOUR_MS;
    CHECK(world_acked(w, stop(w)));
    w->wall += 10 * YEAR_MS;
    world_pass(w, 600000);
    CHECK(world_acked(w, stop(w)));
    CHECK_UINT(world_records(w, "\"event\":\"deactivate\"", "accepted"), 1);
    w->wall -= 10 * YEAR_MS;
    world_pass(w, HOUR_MS * 4 / 5);
    CHECK(world_acked(w, stop(w)));
    CHECK_UINT(world_records(w, "\"event\":\"deactivate\"", "accepted"), 1);
    CHECK_UINT(w->e->dedupe.count, 1);
    world_pass(w, HOUR_MS / 2); /* now it is old by both clocks */
    CHECK_UINT(w->e->dedupe.count, 0);
    world_close(w);
}

/* Old and future statements tighten, and say nothing about what is newer. */
static void test_times_of_events(void **state)
{
    (void)state;
    struct world *w = world_open(policy);
    (void)world_ask(w, A1, "deploy");
    CHECK(world_reply(w, A1, READ_OK, "e0", ACTIVE));
    CHECK_STR(world_may(w, A1, "deploy"), "allow");
    w->wall -= 20 * YEAR_MS;
    CHECK(world_acked(w, stop(w)));
    CHECK_STR(world_may(w, A1, "deploy"), "agent_suspended");
    w->wall += 40 * YEAR_MS;
    CHECK_STR(world_may(w, A1, "deploy"), "agent_suspended");
    CHECK_INT(world_restart(w), 0);
    CHECK_STR(world_may(w, A1, "deploy"), "agent_suspended");
    world_close(w);
}

/* Deadlines run on the monotonic clock; on load the sooner reading wins. */
static void test_deadlines(void **state)
{
    (void)state;
    struct world *w = world_open(policy);
    CHECK(world_acked(w, world_credential(w, A1, "t", false)));
    (void)stop(w);
    w->wall += YEAR_MS;
    world_pass(w, 60000);
    CHECK_UINT(world_records(w, "\"revoke\"", "\"outcome\":\"failed\""), 0);
    w->wall -= 2 * YEAR_MS;
    world_pass(w, 3500000);
    CHECK_UINT(world_records(w, "\"revoke\"", "\"outcome\":\"failed\""), 0);
    world_pass(w, 60000);
    CHECK_UINT(world_records(w, "\"revoke\"", "\"outcome\":\"failed\""), 1);
    world_close(w);
}

static uint64_t token_for(struct world *w, const char *id, int64_t lifetime_ms)
{
    w->expires = lifetime_ms == 0 ? 0 : w->wall + lifetime_ms;
    return world_credential(w, A1, id, false);
}

/* A credential that has expired for a day by both clocks is forgotten. */
static void test_credentials_expire(void **state)
{
    (void)state;
    struct world *w = world_open(policy);
    (void)token_for(w, "short", HOUR_MS);
    (void)token_for(w, "unknown", 0);
    w->wall += 10 * YEAR_MS;
    world_pass(w, 20 * HOUR_MS);
    CHECK_UINT(w->e->credential_count, 2);
    w->wall -= 10 * YEAR_MS;
    world_pass(w, 4 * HOUR_MS);
    CHECK_UINT(w->e->credential_count, 2);
    world_pass(w, 2 * HOUR_MS);
    CHECK_UINT(w->e->credential_count, 1);
    CHECK_UINT(world_records(w, "\"credential\"", "\"expired\""), 1);
    CHECK_INT(world_restart(w), 0);
    CHECK_UINT(w->e->credential_count, 1);
    (void)stop(w);
    CHECK_SPAN(world_job(w, JOB_REVOKE)->credential_id, SPAN("unknown"));
    world_close(w);
}

/* A machine that boots with a wrong clock has an hour to set it. */
static void test_credentials_of_a_wrong_start(void **state)
{
    (void)state;
    struct world *w = world_open(policy);
    (void)token_for(w, "t", HOUR_MS);
    w->wall += 10 * YEAR_MS;
    CHECK_INT(world_restart(w), 0);
    world_pass(w, HOUR_MS / 2);
    CHECK_UINT(w->e->credential_count, 1);
    w->wall -= 10 * YEAR_MS;
    world_pass(w, 10 * HOUR_MS);
    CHECK_UINT(w->e->credential_count, 1);
    world_pass(w, 20 * HOUR_MS);
    CHECK_UINT(w->e->credential_count, 0);
    world_close(w);
}

/* A full table has room for a new one when another has expired. */
static void test_credentials_make_room(void **state)
{
    (void)state;
    struct world *w = world_open(policy);
    w->conf.limits.credentials_max = 2;
    CHECK(world_acked(w, token_for(w, "long", 30 * HOUR_MS)));
    CHECK(world_acked(w, token_for(w, "short", HOUR_MS)));
    CHECK(!world_acked(w, token_for(w, "refused", HOUR_MS)));
    CHECK_UINT(w->e->credential_count, 2);
    world_pass(w, 2 * HOUR_MS);
    CHECK(world_acked(w, token_for(w, "new", HOUR_MS)));
    CHECK(!world_acked(w, token_for(w, "again refused", HOUR_MS)));
    (void)stop(w);
    CHECK_UINT(w->job_count, 2);
    CHECK_SPAN(w->jobs[0].credential_id, SPAN("long"));
    CHECK_SPAN(w->jobs[1].credential_id, SPAN("new"));
    world_close(w);
}

/* Audit mode that has ended does not come back with the clock. */
static void test_audit_ends_once(void **state)
{
    (void)state;
    struct world *w = world_open(
        "defaults: {mode: {audit: {until: 2030-01-01}}}\n"
        "rules: [{name: stop, events: deactivate, do: [{hold: suspended}]}]\n");
    w->wall = INT64_C(1880000000000); /* 2029-07-29 */
    (void)stop(w);
    CHECK_UINT(world_holds(w, A1), 0);
    w->wall += YEAR_MS;
    (void)world_ask(w, A1, "deploy");
    w->wall -= 5 * YEAR_MS;
    (void)EVENT(w, .jti = "b", .type = EVENT_DEACTIVATE, .uri = A1);
    CHECK_UINT(world_holds(w, A1), 1);
    CHECK_INT(world_restart(w), 0);
    (void)EVENT(w, .jti = "c", .type = EVENT_DEACTIVATE, .uri = "/Agents/2");
    CHECK_UINT(world_holds(w, "/Agents/2"), 1);
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_audit_ends_once),
        cmocka_unit_test(test_jump_forgets_nothing),
        cmocka_unit_test(test_times_of_events),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_credentials_expire),
        cmocka_unit_test(test_credentials_of_a_wrong_start),
        cmocka_unit_test(test_credentials_make_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
