// SPDX-License-Identifier: Apache-2.0
/* The gate: who may ask, what waits and how long, when an answer leaves, and
 * what the sidecar's own trouble does to it (I4, I6; F1, F2, F4). */
#include "tests/lib/world.h"

#define A1 "/Agents/1"
#define QUIET "defaults: {max_age: 15m}\n"

static void settle(struct world *w, const char *uri)
{
    (void)world_ask(w, uri, "x");
    (void)world_reply(w, uri, READ_OK, "e0", ACTIVE);
}

static void test_callers(void **state)
{
    (void)state;
    struct world *w = world_open(QUIET);
    static const struct {
        unsigned caller;
        const char *uri, *want;
    } rows[] = {
        {1, "/Agents/1", "wait"},
        {1, "/Agents/2", "caller_not_allowed"},
        {1, "/Agents/11", "caller_not_allowed"},
        {0, "/Groups/g", "caller_not_allowed"},
        {0, "/Users/u", "not_an_agent"},
        {0, "/Agents/", "unknown_agent"},
        {0, "/Agents/a/b", "unknown_agent"},
        {0, "", "bad_request"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        check_row(rows[i].uri);
        uint64_t q =
            world_ask_as(w, rows[i].caller, rows[i].uri, "x", INT64_MAX);
        CHECK_STR(world_says(w, q), rows[i].want);
    }
    check_row(NULL);
    CHECK_STR(world_says(w, world_ask(w, A1, "")), "bad_request");
    CHECK(world_subject(w, "/Users/u") == NULL); /* takes no room */
    world_close(w);
}

static void test_unknown_denied(void **state)
{
    (void)state;
    struct world *w = world_open("defaults: {unknown_agent: deny}\n");
    CHECK_STR(world_may(w, A1, "x"), "unknown_agent");
    CHECK_UINT(w->reads_started, 0);
    world_close(w);
}

/* I6: an allow leaves after its record is written, a deny at once. */
static void test_answer_after_record(void **state)
{
    (void)state;
    struct world *w = world_open(QUIET);
    settle(w, A1);
    w->auto_log = false;
    uint64_t q = world_ask(w, A1, "x");
    CHECK_STR(world_says(w, q), "wait");
    world_log(w);
    CHECK_STR(world_says(w, q), "allow");
    world_close(w);
}

/* The epoch changed while the record was written: decided again (I3). */
static void test_decided_again(void **state)
{
    (void)state;
    struct world *w = world_open(NULL);
    settle(w, A1);
    w->auto_log = false;
    uint64_t q = world_ask(w, A1, "x"), b = world_begin(w, A1, "x", "c1");
    (void)EVENT(w, .jti = "a", .type = EVENT_DEACTIVATE, .uri = A1);
    world_log(w);
    CHECK_STR(world_says(w, q), "agent_suspended");
    CHECK_STR(world_says(w, b), "agent_suspended");
    CHECK_UINT(w->e->calls.by_id.count, 0); /* it never began */
    world_close(w);

    w = world_open("defaults: {max_age: 15m}\n");
    settle(w, A1);
    w->auto_log = false;
    q = world_ask(w, A1, "x");
    (void)EVENT(w, .jti = "a", .type = EVENT_PATCH, .uri = A1, .version = "e1");
    world_log(w);
    CHECK_STR(world_says(w, q), "refresh_pending"); /* stale, not allowed */
    world_close(w);
}

static void test_log_stall(void **state)
{
    (void)state;
    struct world *w = world_open(QUIET);
    settle(w, A1);
    w->auto_log = false;
    uint64_t q = world_ask(w, A1, "x"), b = world_begin(w, A1, "x", "c1");
    world_pass(w, 999);
    CHECK_STR(world_says(w, q), "wait");
    world_pass(w, 1);
    CHECK_STR(world_says(w, q), "log_stalled");
    CHECK_STR(world_says(w, b), "log_stalled");
    world_log(w); /* too late: nothing more leaves */
    CHECK_UINT(w->e->calls.by_id.count, 0);
    world_close(w);
}

/* The machine slept between the record and the answer: what was right then is
 * not sent now. */
static void test_log_stall_over_sleep(void **state)
{
    (void)state;
    struct world *w = world_open(QUIET);
    settle(w, A1);
    w->auto_log = false;
    uint64_t q = world_ask(w, A1, "x");
    w->now += INT64_C(7200000);
    w->wall += INT64_C(7200000);
    world_log(w); /* heard of before any tick */
    CHECK_STR(world_says(w, q), "log_stalled");
    world_close(w);
}

static void test_deadlines(void **state)
{
    (void)state;
    struct world *w = world_open(QUIET);
    uint64_t near = world_ask_as(w, 0, A1, "x", w->now + 500);
    uint64_t far = world_ask(w, A1, "x");
    uint64_t past = world_ask_as(w, 0, A1, "x", w->now - 5);
    world_pass(w, 479);
    CHECK_STR(world_says(w, past), "refresh_pending");
    CHECK_STR(world_says(w, near), "wait");
    world_pass(w, 1); /* 20 ms before the caller gives up */
    CHECK_STR(world_says(w, near), "refresh_pending");
    world_pass(w, 1519);
    CHECK_STR(world_says(w, far), "wait");
    world_pass(w, 1);
    CHECK_STR(world_says(w, far), "refresh_pending");
    CHECK(world_reply(w, A1, READ_OK, "e0", ACTIVE)); /* the read went on */
    CHECK_STR(world_may(w, A1, "x"), "allow");
    world_close(w);
}

static void test_parked_limits(void **state)
{
    (void)state;
    struct world *w = world_open(QUIET);
    for (int i = 0; i < 8; i++)
        CHECK_STR(world_may(w, A1, "x"), "wait");
    CHECK_STR(world_may(w, A1, "x"), "too_many_waiting");
    for (int i = 0; i < 56; i++) {
        struct span uri = world_text(w, "/Agents/p%d", i);
        CHECK_STR(world_may(w, (const char *)uri.p, "x"), "wait");
    }
    CHECK_STR(world_may(w, "/Agents/q", "x"), "too_many_waiting");
    CHECK(world_subject(w, "/Agents/q") == NULL);
    world_close(w);
}

static const char gates[] =
    "tool_classes: {money: [\"pay.*\"]}\n"
    "gate:\n"
    "  - {name: pay, tools: [money], require: 'groups.value eq \"ops\"',\n"
    "     max_age: 30s}\n"
    "  - {name: kb, tools: [\"kb.*\"], require: 'active eq true'}\n";

static void test_gate_rules(void **state)
{
    (void)state;
    struct world *w = world_open(gates);
    settle(w, A1);
    uint64_t q = world_ask(w, A1, "pay.out");
    CHECK_STR(world_says(w, q), "gate_rule");
    CHECK_SPAN(world_answer(w, q)->rule, SPAN("pay"));
    CHECK_STR(world_may(w, A1, "kb.find"), "allow");
    CHECK_STR(world_may(w, A1, "other"), "tool_not_named");
    world_pass(w, 30001); /* max_age of the one rule */
    CHECK_STR(world_may(w, A1, "kb.find"), "allow");
    q = world_ask(w, A1, "pay.out");
    CHECK_STR(world_says(w, q), "wait");
    CHECK(world_reply(w, A1, READ_OK, "e1",
                      "{\"active\":true,\"groups\":[{\"value\":\"ops\"}]}"));
    CHECK_STR(world_says(w, q), "allow");
    CHECK(world_answer(w, q)->valid_for_ms <= 30000);
    world_close(w);
}

/* Audit: gate rules pass as `would`, no hold, no job; unknown still waits. */
static void test_audit(void **state)
{
    (void)state;
    struct world *w = world_open(
        "defaults: {mode: {audit: {until: 2027-12-31}}}\n"
        "rules:\n"
        "  - {name: stop, events: deactivate, do: [{hold: suspended},\n"
        "     {cancel: {calls: all}}]}\n"
        "gate:\n"
        "  - {name: never, tools: [\"*\"], require: 'title eq \"x\"'}\n");
    settle(w, A1);
    CHECK_STR(world_may(w, A1, "x"), "allow");
    CHECK_UINT(world_records(w, "\"would\":true", "\"allow\""), 2);
    (void)world_begin(w, A1, "x", "c1");
    (void)EVENT(w, .jti = "a", .type = EVENT_DEACTIVATE, .uri = A1,
                .version = "e1");
    CHECK_UINT(world_holds(w, A1), 0);
    CHECK(world_reply(w, A1, READ_OK, "e1", INACTIVE));
    CHECK_UINT(w->jobs_started + w->e->jobs.open_count, 0);
    CHECK_UINT(world_records(w, "\"would\":true", "\"hold\""), 1);
    world_close(w);
}

/* I4: each trouble has its reason, and whoever waits is answered. */
static void test_trouble(void **state)
{
    (void)state;
    static const struct {
        struct in in;
        const char *want;
        bool passes;
    } rows[] = {
        {{.kind = IN_STORE_STATE, .store = {.blocked = true}},
         "store_blocked",
         true},
        {{.kind = IN_STORE_STATE, .store = {.poisoned = true}},
         "store_poisoned",
         false},
        {{.kind = IN_LOG_BROKEN}, "log_broken", false},
        {{.kind = IN_STOP}, "shutting_down", false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world *w = world_open(QUIET);
        check_row(rows[i].want);
        settle(w, A1);
        (void)world_begin(w, A1, "x", "run");
        w->auto_log = false;
        uint64_t pending = world_ask(w, A1, "x");
        uint64_t parked = world_ask(w, "/Agents/2", "x");
        (void)world_step(w, rows[i].in);
        CHECK_STR(world_says(w, pending), rows[i].want);
        CHECK_STR(world_says(w, parked), rows[i].want);
        CHECK_STR(world_may(w, A1, "x"), rows[i].want);
        (void)world_reply(w, "/Agents/2", READ_OK, "e0", ACTIVE);
        CHECK_UINT(world_directives(w, DIRECTIVE_CANCEL, NULL), 0);
        /* Restrictions still take effect in memory. */
        (void)EVENT(w, .jti = "a", .type = EVENT_FEED_REMOVE, .uri = A1);
        CHECK_UINT(world_holds(w, A1), 1);
        w->auto_log = true;
        (void)world_step(w, (struct in){.kind = IN_STORE_STATE});
        const char *then = world_may(w, "/Agents/3", "x");
        CHECK_STR(then, rows[i].passes ? "wait" : rows[i].want);
        world_close(w);
    }
    check_row(NULL);
}

/* A new policy: what waits is decided again, what it needs is read. */
static void test_new_policy(void **state)
{
    (void)state;
    struct world *w = world_open(QUIET);
    settle(w, A1);
    w->auto_log = false;
    uint64_t q = world_ask(w, A1, "kb.find");
    struct in in = {.kind = IN_POLICY, .policy.policy = world_policy(w, gates)};
    w->policy = in.policy.policy;
    (void)world_step(w, in);
    world_log(w);
    CHECK_STR(world_says(w, q), "refresh_pending");
    w->auto_log = true;
    q = world_ask(w, A1, "kb.find");
    CHECK_UINT(w->reads[0].if_none_match.n, 0); /* other attributes */
    CHECK(world_reply(w, A1, READ_OK, "e0", ACTIVE));
    CHECK_STR(world_says(w, q), "allow");
    world_close(w);
}

/* Conditions over the call: classes of the tool, the run. */
static void test_call_conditions(void **state)
{
    (void)state;
    struct world *w = world_open(
        "tool_classes: {money: [\"pay.*\"], big: [\"pay.big*\"]}\n"
        "gate:\n"
        "  - {name: all, tools: [\"*\"], require: 'active eq true'}\n"
        "  - {name: small, tools: [\"*\"],\n"
        "     require: 'not (tool_class eq \"big\")'}\n"
        "  - {name: named, tools: [deploy], require: 'call.run_id pr'}\n");
    (void)world_ask(w, "/Agents/1", "kb.find");
    CHECK(world_reply(w, "/Agents/1", READ_OK, "e0", "{\"active\":true}"));
    CHECK_STR(world_may(w, "/Agents/1", "kb.find"), "allow");
    CHECK_STR(world_may(w, "/Agents/1", "pay.small"), "allow");
    CHECK_STR(world_may(w, "/Agents/1", "pay.big1"), "gate_rule");
    CHECK_STR(world_may(w, "/Agents/1", "deploy"), "gate_rule");
    world_close(w);
}

/* A boot that was never counted on disk has its number again: what was given
 * out under it must not be. */
static void test_uncounted_boots(void **state)
{
    (void)state;
    struct world *w = world_open(NULL);
    uint64_t decisions[4], epoch = 0;
    w->auto_store = false;
    for (unsigned i = 0; i < 4; i++) {
        CHECK_INT(world_restart(w), 0);
        if (i == 3)
            world_commit(w);
        uint64_t t = world_ask(w, "/Agents/1", "x");
        (void)world_reply(w, "/Agents/1", READ_OK, "e0", ACTIVE);
        const struct out_answer *a = world_answer(w, t);
        CHECK_STR(world_says(w, t), i == 3 ? "allow" : "store_blocked");
        CHECK(a->epoch >= epoch);
        epoch = a->epoch;
        decisions[i] = a->decision;
        for (unsigned k = 0; k < i; k++)
            CHECK(decisions[k] != decisions[i]);
    }
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_call_conditions),
        cmocka_unit_test(test_callers),
        cmocka_unit_test(test_unknown_denied),
        cmocka_unit_test(test_answer_after_record),
        cmocka_unit_test(test_decided_again),
        cmocka_unit_test(test_log_stall),
        cmocka_unit_test(test_log_stall_over_sleep),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_parked_limits),
        cmocka_unit_test(test_gate_rules),
        cmocka_unit_test(test_audit),
        cmocka_unit_test(test_trouble),
        cmocka_unit_test(test_new_policy),
        cmocka_unit_test(test_uncounted_boots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
