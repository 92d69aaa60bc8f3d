// SPDX-License-Identifier: Apache-2.0
/* Rules that time brings about: once a period, over restarts and whatever the
 * wall clock does (DESIGN 5, Time). */
#include <string.h>

#include "tests/lib/world.h"

#define A1 "/Agents/1"
#define HOUR INT64_C(3600000)
#define DAY (24 * HOUR)
#define NO_SILENCE "defaults: {feed_silent: {after: 3650d}, max_age: 3650d}\n"
#define EVERY                                                                  \
    NO_SILENCE                                                                 \
    "rules:\n"                                                                 \
    "  - {name: yearly, events: {every: 90d}, do: [note]}\n" ACTIONS
#define IDLE                                                                   \
    NO_SILENCE                                                                 \
    "rules:\n"                                                                 \
    "  - {name: unused, events: {idle: 30d}, do: [{hold: suspended}, "         \
    "note]}\n"                                                                 \
    "  - {name: wanted, events: refreshed, where: 'title eq \"wanted\"',\n"    \
    "     do: [{release: {suspended: {set_by: [unused]}}}]}\n" ACTIONS
#define ACTIONS                                                                \
    "actions:\n"                                                               \
    "  note: {http: {method: POST, url: 'https://note.example/x'}}\n"

static void meet(struct world *w, const char *uri)
{
    (void)world_ask(w, uri, "x");
    CHECK(world_reply(w, uri, READ_OK, "e", ACTIVE));
}

static struct world *open_with(const char *policy)
{
    struct world *w = world_open(policy);
    w->conf.limits.jti_keep_ms = 0;
    CHECK_INT(world_restart(w), 0);
    meet(w, A1);
    world_pass(w, 2000); /* what is known first is written a second later */
    return w;
}

static unsigned runs(const struct world *w, const char *event)
{
    const char *const text = strcmp(event, "idle") == 0
                                 ? "\"event\":\"idle\""
                                 : "\"event\":\"scheduled\"";
    return world_records(w, text, "\"outcome\":\"matched\"");
}

static void use(struct world *w)
{
    const uint64_t token = world_ask(w, A1, "x");
    if (strcmp(world_says(w, token), "wait") == 0)
        CHECK(world_reply(w, A1, READ_OK, "e", ACTIVE));
    CHECK_STR(world_says(w, token), "allow");
}

/* ---------------------------------------------------------------- every */

static void test_every_period_once(void **state)
{
    (void)state;
    struct world *w = open_with(EVERY);
    world_pass(w, 89 * DAY);
    CHECK_UINT(runs(w, "scheduled"), 0);
    world_pass(w, DAY);
    CHECK_UINT(runs(w, "scheduled"), 1);
    CHECK_UINT(world_records(w, "\"action\":\"note\"", "\"started\""), 1);
    world_pass(w, 89 * DAY);
    CHECK_UINT(runs(w, "scheduled"), 1);
    world_pass(w, 2 * DAY);
    CHECK_UINT(runs(w, "scheduled"), 2);
    world_close(w);
}

static void test_restart_runs_nothing_twice(void **state)
{
    (void)state;
    struct world *w = open_with(EVERY);
    world_pass(w, 91 * DAY);
    CHECK_UINT(runs(w, "scheduled"), 1);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_INT(world_restart(w), 0);
        world_pass(w, DAY);
    }
    CHECK_UINT(runs(w, "scheduled"), 1);
    world_pass(w, 87 * DAY);
    CHECK_UINT(runs(w, "scheduled"), 2);
    world_close(w);
}

/* What was not committed has not happened, and happens again. */
static void test_crash_before_the_commit(void **state)
{
    (void)state;
    struct world *w = open_with(EVERY);
    world_pass(w, 89 * DAY);
    w->auto_store = false;
    world_pass(w, DAY);
    CHECK_UINT(world_records(w, "\"scheduled\"", ""), 0);
    CHECK_UINT(w->e->jobs.open_count, 1);
    w->auto_store = true;
    CHECK_INT(world_restart(w), 0);
    CHECK_UINT(w->e->jobs.open_count, 0);
    world_pass(w, 2000);
    CHECK_UINT(runs(w, "scheduled"), 1);
    CHECK_UINT(w->e->jobs.open_count, 1);
    world_close(w);
}

/* While we do not run, the wall clock counts. */
static void test_time_goes_on_while_down(void **state)
{
    (void)state;
    struct world *w = open_with(EVERY);
    world_pass(w, 86 * DAY);
    w->wall += 5 * DAY;
    CHECK_INT(world_restart(w), 0);
    world_pass(w, 2000);
    CHECK_UINT(runs(w, "scheduled"), 1);
    world_close(w);
}

/* --------------------------------------------------------- clocks */

static void test_clock_jumps(void **state)
{
    static const struct {
        const char *name;
        int64_t jump_ms;
        bool restart;
        int64_t then_ms; /* passes after it */
        unsigned want;
    } rows[] = {
        {"forward, running", 3650 * DAY, false, 69 * DAY, 0},
        {"forward, running, on time", 3650 * DAY, false, 71 * DAY, 1},
        {"back, running", -3650 * DAY, false, 69 * DAY, 0},
        {"back, running, on time", -3650 * DAY, false, 71 * DAY, 1},
        /* At most a week at once. */
        {"forward, restart", 3650 * DAY, true, 62 * DAY, 0},
        {"forward, restart, a week early", 3650 * DAY, true, 64 * DAY, 1},
        {"back, restart", -3650 * DAY, true, 69 * DAY, 0},
        {"back, restart, a day late", -3650 * DAY, true, 72 * DAY, 1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        check_row(rows[i].name);
        struct world *w = open_with(EVERY);
        world_pass(w, 20 * DAY);
        w->wall += rows[i].jump_ms;
        if (rows[i].restart)
            CHECK_INT(world_restart(w), 0);
        world_pass(w, rows[i].then_ms);
        CHECK_UINT(runs(w, "scheduled"), rows[i].want);
        world_close(w);
    }
    check_row(NULL);
}

/* The clock was set while we ran: the next start takes it for no time. */
static void test_clock_set_then_restart(void **state)
{
    static const struct {
        const char *name;
        int64_t set_ms, then_ms;
        unsigned want;
    } rows[] = {
        {"forward", 6 * DAY, 5 * DAY, 0},
        {"forward, on time", 6 * DAY, 11 * DAY, 1},
        {"back", -6 * DAY, 9 * DAY, 0},
        {"back, on time", -6 * DAY, 10 * DAY - 3 * HOUR, 1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        check_row(rows[i].name);
        struct world *w = open_with(EVERY);
        world_pass(w, 80 * DAY + 4 * HOUR);
        w->wall += rows[i].set_ms;
        (void)world_step(w, (struct in){.kind = IN_TICK});
        world_pass(w, HOUR);
        CHECK_INT(world_restart(w), 0);
        world_pass(w, rows[i].then_ms);
        CHECK_UINT(runs(w, "scheduled"), rows[i].want);
        world_close(w);
    }
    check_row(NULL);
}

/* Nothing that was run is run again because the clock went back. */
static void test_clock_back_after_a_run(void **state)
{
    (void)state;
    struct world *w = open_with(EVERY);
    world_pass(w, 91 * DAY);
    w->wall -= 100 * DAY;
    CHECK_INT(world_restart(w), 0);
    world_pass(w, 88 * DAY);
    CHECK_UINT(runs(w, "scheduled"), 1);
    world_close(w);
}

/* ----------------------------------------------------------------- idle */

static void test_use_puts_it_off(void **state)
{
    (void)state;
    struct world *w = open_with(IDLE);
    for (unsigned i = 0; i < 4; i++) {
        world_pass(w, 29 * DAY);
        use(w);
    }
    CHECK_UINT(runs(w, "idle"), 0);
    world_pass(w, 29 * DAY);
    CHECK_UINT(runs(w, "idle"), 0);
    world_pass(w, 2 * DAY);
    CHECK_UINT(runs(w, "idle"), 1);
    CHECK_STR(world_may(w, A1, "x"), "agent_suspended");
    world_close(w);
}

/* A question that was denied is no use, a call that goes on is. */
static void test_what_is_use(void **state)
{
    (void)state;
    struct world *w = open_with(IDLE);
    world_pass(w, 20 * DAY);
    (void)world_ask_as(w, 0, A1, "", INT64_MAX); /* malformed: denied */
    world_pass(w, 11 * DAY);
    CHECK_UINT(runs(w, "idle"), 1);
    world_close(w);

    w = open_with(IDLE);
    w->conf.limits.lease_ms = 40 * DAY;
    const uint64_t begin = world_begin(w, A1, "x", "c1");
    CHECK_STR(world_says(w, begin), "allow");
    world_pass(w, 20 * DAY);
    struct in in = {.kind = IN_RENEW};
    in.lease.token = 77;
    in.lease.lease_id = world_text(
        w, "L%016llx", (unsigned long long)world_answer(w, begin)->lease);
    (void)world_step(w, in);
    world_pass(w, 29 * DAY);
    CHECK_UINT(runs(w, "idle"), 0);
    world_pass(w, 2 * DAY);
    CHECK_UINT(runs(w, "idle"), 1);
    world_close(w);
}

/* A hold that the rule has set stands for all periods after it. */
static void test_held_is_not_held_again(void **state)
{
    (void)state;
    struct world *w = open_with(IDLE);
    world_pass(w, 100 * DAY);
    CHECK_UINT(runs(w, "idle"), 1);
    CHECK_UINT(world_holds(w, A1), 1);
    CHECK_INT(world_restart(w), 0);
    world_pass(w, 40 * DAY);
    CHECK_UINT(world_holds(w, A1), 1);
    (void)world_operator(w, OP_HOLD_LIFT, A1, "", NULL);
    CHECK_UINT(world_holds(w, A1), 0);
    world_pass(w, 31 * DAY); /* and nobody has used it since */
    CHECK_UINT(runs(w, "idle"), 2);
    CHECK_UINT(world_holds(w, A1), 1);
    world_close(w);
}

static void test_release_by_a_read(void **state)
{
    (void)state;
    struct world *w = open_with(IDLE);
    world_pass(w, 31 * DAY);
    CHECK_STR(world_may(w, A1, "x"), "agent_suspended");
    (void)EVENT(w, .jti = "p", .type = EVENT_PATCH, .uri = A1, .version = "e2");
    (void)world_ask(w, A1, "x");
    CHECK(world_reply(w, A1, READ_OK, "e2",
                      "{\"active\":true,\"title\":\"wanted\"}"));
    CHECK_UINT(world_holds(w, A1), 0);
    CHECK_STR(world_may(w, A1, "x"), "allow");
    world_close(w);
}

/* In memory to the moment; on disk to the hour, and never later than it was.
 * A question allocates and writes nothing for it. */
static void test_use_on_disk(void **state)
{
    (void)state;
    struct world *w = open_with(IDLE);
    world_pass(w, 10 * DAY);
    use(w);
    world_pass(w, 2000);
    const unsigned rows = w->row_count;
    world_pass(w, 30 * 60000);
    use(w);
    world_pass(w, 2000);
    CHECK_UINT(w->row_count, rows);
    const int64_t used = world_subject(w, A1)->agenda->used_ms;
    CHECK_INT(world_restart(w), 0);
    const int64_t kept = world_subject(w, A1)->agenda->used_ms;
    CHECK(kept < used && used - kept <= HOUR);
    meet(w, A1);
    world_pass(w, HOUR);
    use(w);
    world_pass(w, 2000);
    CHECK(w->row_count > rows);
    CHECK_INT(world_restart(w), 0);
    CHECK(world_subject(w, A1)->agenda->used_ms > kept);
    world_close(w);
}

/* ------------------------------------------------------------- policies */

static void set_policy(struct world *w, const char *yaml)
{
    struct in in = {.kind = IN_POLICY};
    in.policy.policy = w->policy = world_policy(w, yaml);
    (void)world_step(w, in);
}

/* A new schedule does not find everybody due; one that stays keeps its time,
 * also when its policy came while we did not run. */
static void test_rule_begins_with_its_policy(void **state)
{
    (void)state;
    struct world *w = open_with(NO_SILENCE);
    CHECK(world_subject(w, A1)->agenda == NULL);
    world_pass(w, 200 * DAY);
    set_policy(w, EVERY);
    world_pass(w, 50 * DAY);
    set_policy(w, EVERY "# the same\n");
    world_pass(w, 39 * DAY);
    CHECK_UINT(runs(w, "scheduled"), 0);
    w->policy = world_policy(w, EVERY "# again\n");
    CHECK_INT(world_restart(w), 0);
    world_pass(w, 2 * DAY);
    CHECK_UINT(runs(w, "scheduled"), 1);
    world_close(w);
}

static void test_rule_that_was_away_begins_anew(void **state)
{
    (void)state;
    struct world *w = open_with(EVERY);
    world_pass(w, 80 * DAY);
    set_policy(w, NO_SILENCE);
    CHECK(world_subject(w, A1)->agenda == NULL);
    CHECK(heap_first(&w->e->schedule.due) == NULL);
    world_pass(w, DAY);
    CHECK_INT(world_restart(w), 0);
    set_policy(w, EVERY);
    world_pass(w, 89 * DAY);
    CHECK_UINT(runs(w, "scheduled"), 0);
    world_pass(w, 2 * DAY);
    CHECK_UINT(runs(w, "scheduled"), 1);
    world_close(w);
}

/* Nobody may ever ask about an agent that nobody uses: it is read. */
static void test_condition_reads(void **state)
{
    (void)state;
    struct world *w = open_with(
        NO_SILENCE
        "rules:\n"
        "  - {name: unused, events: {idle: 30d}, where: 'title eq \"old\"',\n"
        "     do: [{hold: suspended}]}\n");
    world_pass(w, 30 * DAY);
    CHECK_UINT(world_reading(w, A1), 1);
    CHECK_UINT(world_holds(w, A1), 0);
    CHECK(world_reply(w, A1, READ_FAILED, "", NULL));
    world_pass(w, 10 * 60000 - 1000); /* and again, when that fails */
    CHECK_UINT(world_reading(w, A1), 1);
    CHECK(world_reply(w, A1, READ_OK, "e2",
                      "{\"active\":true,\"title\":\"old\"}"));
    CHECK_UINT(world_holds(w, A1), 1);
    world_close(w);
}

static void test_audit_only_says_so(void **state)
{
    (void)state;
    struct world *w = open_with(
        "defaults: {mode: {audit: {until: 2100-01-01}},\n"
        "  feed_silent: {after: 3650d}}\n"
        "rules:\n"
        "  - {name: unused, events: {idle: 30d}, do: [{hold: suspended}]}\n");
    world_pass(w, 31 * DAY);
    CHECK_UINT(world_records(w, "\"would\":true", "\"hold\""), 1);
    CHECK_UINT(world_holds(w, A1), 0);
    world_close(w);
}

static void test_gone_is_left_alone(void **state)
{
    (void)state;
    struct world *w = open_with(EVERY);
    (void)EVENT(w, .jti = "d", .type = EVENT_DELETE, .uri = A1);
    world_pass(w, 91 * DAY);
    CHECK_UINT(runs(w, "scheduled"), 0);
    world_close(w);
}

/* -------------------------------------------------------- one beside another
 */

/* Each agent and each rule has its own time; one is run for itself alone. */
static void test_times_are_apart(void **state)
{
    (void)state;
    static const struct {
        int64_t days;
        unsigned monthly, quarterly;
    } rows[] = {{29, 0, 0}, {1, 1, 0},  {30, 2, 0}, {29, 2, 0},
                {2, 3, 1},  {28, 3, 1}, {1, 4, 1}};
    struct world *w = open_with(
        NO_SILENCE
        "rules:\n"
        "  - {name: quarterly, events: {every: 91d}, do: [page]}\n"
        "  - {name: monthly, events: {every: 30d}, do: [note]}\n" ACTIONS
        "  page: {http: {method: POST, url: 'https://pager.example/x'}}\n");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        world_pass(w, rows[i].days * DAY);
        CHECK_UINT(world_records(w, "\"action\":\"note\"", "\"started\""),
                   rows[i].monthly);
        CHECK_UINT(world_records(w, "\"action\":\"page\"", "\"started\""),
                   rows[i].quarterly);
    }
    world_close(w);
    w = open_with(EVERY);
    world_pass(w, 20 * DAY);
    meet(w, "/Agents/2");
    world_pass(w, 70 * DAY);
    CHECK_UINT(runs(w, "scheduled"), 1);
    world_pass(w, 19 * DAY);
    CHECK_UINT(runs(w, "scheduled"), 1);
    world_pass(w, DAY);
    CHECK_UINT(runs(w, "scheduled"), 2);
    world_close(w);
}

/* Nothing runs while nothing can be stored, and then it does. */
static void test_blocked_store(void **state)
{
    (void)state;
    struct world *w = open_with(EVERY);
    world_pass(w, 90 * DAY - 600000);
    struct in in = {.kind = IN_STORE_STATE, .store = {.blocked = true}};
    (void)world_step(w, in);
    world_pass(w, 1200000);
    CHECK_UINT(runs(w, "scheduled"), 0);
    CHECK_UINT(w->e->jobs.open_count, 0);
    in.store.blocked = false;
    (void)world_step(w, in);
    world_pass(w, 2000);
    CHECK_UINT(runs(w, "scheduled"), 1);
    world_close(w);
}

/* A hold never waits: who asked before it is told at once. */
static void test_whoever_waits_is_told(void **state)
{
    (void)state;
    struct world *w = open_with(
        "defaults: {feed_silent: {after: 3650d}, refresh: {timeout: 60s}}\n"
        "rules:\n"
        "  - {name: unused, events: {idle: 30d}, do: [{hold: suspended}]}\n");
    world_pass(w, 30 * DAY - 12000);
    const uint64_t q = world_ask(w, A1, "x");
    CHECK_STR(world_says(w, q), "wait");
    world_pass(w, 12000);
    CHECK_STR(world_says(w, q), "agent_suspended");
    world_close(w);
}

/* ------------------------------------------------------------ many at once */

/* All are due in the same moment: a few a second have their turn, and limits
 * count them like any other cause. */
static void test_bursts_and_limits(void **state)
{
    (void)state;
    struct world *w = open_with(
        NO_SILENCE
        "rules:\n"
        "  - {name: unused, events: {idle: 30d}, do: [{hold: suspended}, "
        "note]}\n"
        "limits: {suspend: {max: 5, per: 24h, beyond: [page]}}\n" ACTIONS
        "  page: {http: {method: POST, url: 'https://pager.example/x'}}\n");
    for (unsigned i = 2; i <= 40; i++)
        meet(w, (const char *)world_text(w, "/Agents/%u%c", i, 0).p);
    world_pass(w, 30 * DAY - 3000);
    w->now += 10000; /* the loop was late */
    (void)world_step(w, (struct in){.kind = IN_TICK});
    CHECK_UINT(runs(w, "idle"), 16);
    world_pass(w, 900);
    CHECK_UINT(runs(w, "idle"), 16);
    world_pass(w, 100);
    CHECK_UINT(runs(w, "idle"), 32);
    world_pass(w, 1000);
    CHECK_UINT(runs(w, "idle"), 40);
    CHECK_UINT(w->e->holds.count, 40);
    CHECK_UINT(w->e->jobs.withheld_count, 35);
    CHECK_UINT(world_records(w, "6 agents of schedules within 1d, limit 5",
                             "\"verdict\""),
               1);
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_period_once),
        cmocka_unit_test(test_restart_runs_nothing_twice),
        cmocka_unit_test(test_crash_before_the_commit),
        cmocka_unit_test(test_time_goes_on_while_down),
        cmocka_unit_test(test_clock_jumps),
        cmocka_unit_test(test_clock_back_after_a_run),
        cmocka_unit_test(test_clock_set_then_restart),
        cmocka_unit_test(test_times_are_apart),
        cmocka_unit_test(test_blocked_store),
        cmocka_unit_test(test_whoever_waits_is_told),
        cmocka_unit_test(test_use_puts_it_off),
        cmocka_unit_test(test_what_is_use),
        cmocka_unit_test(test_held_is_not_held_again),
        cmocka_unit_test(test_release_by_a_read),
        cmocka_unit_test(test_use_on_disk),
        cmocka_unit_test(test_rule_begins_with_its_policy),
        cmocka_unit_test(test_rule_that_was_away_begins_anew),
        cmocka_unit_test(test_condition_reads),
        cmocka_unit_test(test_audit_only_says_so),
        cmocka_unit_test(test_gone_is_left_alone),
        cmocka_unit_test(test_bursts_and_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
