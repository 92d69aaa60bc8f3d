// SPDX-License-Identifier: Apache-2.0
/* Groups, owners, reviews, operators, coverage and what a feed may do. */
#include "tests/lib/world.h"

#define A1 "/Agents/1"
#define A2 "/Agents/2"

static void settle(struct world *w, const char *uri, const char *body)
{
    (void)world_ask(w, uri, "x");
    CHECK(world_reply(w, uri, READ_OK, "e0", body));
    CHECK_STR(world_may(w, uri, "x"), "allow");
}

#define IN_GROUP "{\"active\":true,\"groups\":[{\"value\":\"g\"}]}"

/* A group event stamps its members, before and after. */
static void test_group(void **state)
{
    (void)state;
    struct world *w = world_open("defaults: {max_age: 15m}\n");
    settle(w, A1, IN_GROUP);
    settle(w, A2, ACTIVE);
    settle(w, "/Agents/3", ACTIVE);
    (void)EVENT(w, .jti = "a", .type = EVENT_PATCH, .uri = "/Groups/g",
                .changed = "members", .members = {"3"});
    CHECK_STR(world_may(w, A1, "x"), "wait");          /* was a member */
    CHECK_STR(world_may(w, "/Agents/3", "x"), "wait"); /* the event says so */
    CHECK_STR(world_may(w, A2, "x"), "allow");
    CHECK(world_reply(w, "/Groups/g", READ_OK, "g1",
                      "{\"members\":[{\"value\":\"2\"}]}"));
    CHECK_STR(world_may(w, A2, "x"), "wait"); /* the group says so */
    CHECK_UINT(world_records(w, "/Groups/g", "\"count\":1"), 2);
    /* The agent's own old version proves nothing about its group. */
    CHECK(world_reply(w, A1, READ_OK, "e0", IN_GROUP));
    CHECK_STR(world_may(w, A1, "x"), "wait");
    world_close(w);
}

/* An owner's event while the first read was under way: what that read showed
 * may be older, also after a restart. */
static void test_owner_during_read(void **state)
{
    (void)state;
    struct world *w = world_open("defaults: {max_age: 15m}\n");
    const char *body = "{\"active\":true,\"owners\":[{\"value\":\"u1\"}]}";
    (void)world_ask(w, A1, "x");
    (void)EVENT(w, .jti = "a", .type = EVENT_PATCH, .uri = "/Users/u1");
    CHECK(world_reply(w, A1, READ_OK, "e0", body));
    for (unsigned i = 0; i < 2; i++) {
        CHECK_STR(world_may(w, A1, "x"), "wait");
        CHECK(world_reply(w, A1, READ_OK, "e0", body));
        CHECK_STR(world_may(w, A1, "x"), "wait"); /* not settled */
        CHECK_INT(world_restart(w), 0);
    }
    world_pass(w, 6000);
    (void)world_ask(w, A1, "x");
    CHECK(world_reply(w, A1, READ_OK, "e0", body));
    CHECK_STR(world_may(w, A1, "x"), "allow");
    world_close(w);
}

/* A group that cannot be read is asked again: who joined is not known. */
static void test_group_read_fails(void **state)
{
    (void)state;
    struct world *w = world_open("defaults: {max_age: 15m}\n");
    settle(w, A2, ACTIVE);
    (void)EVENT(w, .jti = "a", .type = EVENT_PATCH, .uri = "/Groups/g");
    CHECK(world_reply(w, "/Groups/g", READ_FAILED, NULL, NULL));
    world_pass(w, 1000);
    CHECK_UINT(world_reading(w, "/Groups/g"), 1);
    world_close(w);
}

static const char owners[] =
    "rules:\n"
    "  - name: left\n"
    "    events: deactivate\n"
    "    subject: user\n"
    "    applies_to: {owned_agents: {left: last_owner}}\n"
    "    do:\n"
    "      - hold: {review: {by: 'groups.value eq \"eng\"', within: 1h,\n"
    "               otherwise: suspended}}\n";
#define OWNED                                                                  \
    "{\"active\":true,\"owners\":[{\"value\":\"u1\"},{\"value\":\"u2\"}]}"

static struct world *open_in_review(void)
{
    struct world *w = world_open(owners);
    settle(w, A1, OWNED);
    (void)EVENT(w, .jti = "a", .type = EVENT_DEACTIVATE, .uri = "/Users/u1");
    CHECK_UINT(world_holds(w, A1), 0);
    CHECK_STR(world_may(w, A1, "x"), "wait"); /* an owner's event */
    (void)EVENT(w, .jti = "b", .type = EVENT_DEACTIVATE, .uri = "/Users/u2");
    CHECK_STR(world_may(w, A1, "x"), "agent_in_review");
    return w;
}

static void test_last_owner(void **state)
{
    (void)state;
    struct world *w = open_in_review();
    uint64_t t = world_operator(w, OP_REVIEW_APPROVE, A1, "", ACTIVE);
    CHECK_INT(world_done(w, t), RC_DENIED);
    t = world_operator(w, OP_REVIEW_APPROVE, A1, "", NULL);
    CHECK_INT(world_done(w, t), RC_DENIED); /* nobody is nobody */
    t = world_operator(w, OP_REVIEW_APPROVE, A1, "",
                       "{\"groups\":[{\"value\":\"eng\"}]}");
    CHECK_INT(world_done(w, t), 1);
    CHECK(world_acked(w, t));
    CHECK_UINT(world_holds(w, A1), 0);
    CHECK_STR(world_may(w, A1, "x"), "wait"); /* still stale */
    world_close(w);
}

static void test_review_denied(void **state)
{
    (void)state;
    struct world *w = open_in_review();
    (void)world_operator(w, OP_REVIEW_DENY, A1, "",
                         "{\"groups\":[{\"value\":\"eng\"}]}");
    CHECK_STR(world_may(w, A1, "x"), "agent_suspended");
    CHECK_UINT(world_holds(w, A1), 1);
    world_close(w);
}

/* Also over a restart, and however the wall clock jumps (F5). */
static void test_review_expires(void **state)
{
    (void)state;
    for (int64_t jump = -7200000; jump <= 7200000; jump += 7200000) {
        struct world *w = open_in_review();
        world_pass(w, 1800000);
        w->wall += jump;
        CHECK_INT(world_restart(w), 0);
        world_pass(w, 1);
        CHECK_STR(world_may(w, A1, "x"),
                  jump > 0 ? "agent_suspended" : "agent_in_review");
        world_pass(w, 3600000);
        CHECK_STR(world_may(w, A1, "x"), "agent_suspended");
        world_close(w);
    }
}

/* Somebody who came back has not left: but only a read can tell. */
static void test_owner_returns(void **state)
{
    (void)state;
    struct world *w = world_open(owners);
    settle(w, A1, OWNED);
    (void)EVENT(w, .jti = "a", .type = EVENT_DEACTIVATE, .uri = "/Users/u1");
    (void)EVENT(w, .jti = "b", .type = EVENT_ACTIVATE, .uri = "/Users/u1",
                .version = "u1-2");
    CHECK(world_reply(w, "/Users/u1", READ_OK, "u1-2", ACTIVE));
    (void)EVENT(w, .jti = "c", .type = EVENT_DEACTIVATE, .uri = "/Users/u2");
    CHECK_UINT(world_holds(w, A1), 0);
    world_close(w);
}

static const char stop[] =
    "rules:\n"
    "  - name: stop\n"
    "    events: [deactivate, delete, found_inactive]\n"
    "    do: [{hold: suspended}]\n"
    "  - name: come-back\n"
    "    events: [activate, refreshed]\n"
    "    where: 'active eq true'\n"
    "    do: [{release: {suspended: {set_by: [stop]}}}]\n"
    "feeds: {it: {may: [refresh]}}\n";

static void fresh_read(struct world *w, const char *etag)
{
    world_pass(w, 6000);
    (void)world_ask(w, A1, "x");
    (void)world_reply(w, A1, READ_OK, etag, ACTIVE);
}

/* What an operator set, and what a delete set, only an operator ends. */
static void test_operator_only(void **state)
{
    (void)state;
    for (int how = 0; how < 2; how++) {
        struct world *w = world_open(stop);
        settle(w, A1, ACTIVE);
        if (how == 0)
            (void)world_operator(w, OP_HOLD_ADD, A1, "", NULL);
        else
            (void)EVENT(w, .jti = "d", .type = EVENT_DELETE, .uri = A1);
        (void)EVENT(w, .jti = "b", .type = EVENT_ACTIVATE, .uri = A1);
        fresh_read(w, "e9");
        CHECK_STR(world_may(w, A1, "x"), "agent_suspended");
        CHECK_INT(world_restart(w), 0);
        fresh_read(w, "e9");
        CHECK_STR(world_may(w, A1, "x"), "agent_suspended");
        uint64_t t = world_operator(w, OP_HOLD_LIFT, A1, "review", NULL);
        CHECK_INT(world_done(w, t), RC_UNKNOWN_NAME);
        t = world_operator(w, OP_HOLD_LIFT, A1, "suspended", NULL);
        CHECK(world_acked(w, t));
        CHECK_STR(world_may(w, A1, "x"), "allow");
        world_close(w);
    }
}

/* feeds.<name>.may: what is not permitted is recorded, and still stale. */
static void test_authority(void **state)
{
    (void)state;
    struct world *w = world_open(stop);
    settle(w, A1, ACTIVE);
    (void)EVENT(w, .feed = "it", .jti = "a", .type = EVENT_DEACTIVATE,
                .uri = A1);
    CHECK_UINT(world_holds(w, A1), 0);
    CHECK_UINT(world_records(w, "not_permitted", "\"stop\""), 1);
    CHECK_STR(world_may(w, A1, "x"), "wait");
    world_close(w);
}

static void test_uncovered(void **state)
{
    (void)state;
    struct world *w = world_open(stop);
    settle(w, A1, ACTIVE);
    (void)EVENT(w, .jti = "a", .type = EVENT_FEED_REMOVE, .uri = A1);
    fresh_read(w, "e1");
    CHECK_STR(world_may(w, A1, "x"), "agent_uncovered");
    (void)EVENT(w, .jti = "b", .type = EVENT_FEED_ADD, .uri = A1);
    CHECK_STR(world_may(w, A1, "x"), "agent_uncovered"); /* not by an event */
    fresh_read(w, "e2");
    CHECK_STR(world_may(w, A1, "x"), "allow");

    /* Streams: every feed of the base has to be disabled. */
    (void)EVENT(w, .jti = "s1", .type = EVENT_SSF_STREAM_UPDATED,
                .status = "paused");
    CHECK_STR(world_may(w, A1, "x"), "wait");
    (void)EVENT(w, .feed = "it", .jti = "s2", .type = EVENT_SSF_STREAM_UPDATED,
                .status = "disabled");
    CHECK_STR(world_may(w, A1, "x"), "agent_uncovered");
    CHECK_INT(world_restart(w), 0);
    CHECK_STR(world_may(w, A1, "x"), "agent_uncovered");
    (void)EVENT(w, .jti = "s3", .type = EVENT_SSF_STREAM_UPDATED,
                .status = "enabled");
    fresh_read(w, "e2");
    CHECK_STR(world_may(w, A1, "x"), "allow");
    world_close(w);
}

/* `where` over what is not known: a qualifying read decides. */
static void test_pending(void **state)
{
    (void)state;
    static const char where[] =
        "rules:\n"
        "  - name: risky\n"
        "    events: patch\n"
        "    where: 'userName eq \"risky\"'\n"
        "    do: [{hold: suspended}]\n";
    for (int yes = 0; yes < 2; yes++) {
        struct world *w = world_open(where);
        settle(w, A1, ACTIVE);
        (void)EVENT(w, .jti = "a", .type = EVENT_PATCH, .uri = A1);
        CHECK_UINT(world_records(w, "\"risky\"", "\"pending\""), 1);
        CHECK_INT(world_restart(w), 0); /* survives */
        world_pass(w, 6000);
        (void)world_ask(w, A1, "x");
        CHECK(world_reply(w, A1, READ_OK, "e1",
                          yes ? "{\"active\":true,\"userName\":\"risky\"}"
                              : "{\"active\":true,\"userName\":\"calm\"}"));
        CHECK_STR(world_may(w, A1, "x"), yes ? "agent_suspended" : "allow");
        world_close(w);
    }
    /* The data of the event may make it true at once, never release. */
    struct world *w = world_open(where);
    settle(w, A1, ACTIVE);
    (void)EVENT(w, .jti = "a", .type = EVENT_PATCH, .uri = A1,
                .data = "{\"data\":{\"userName\":\"risky\"}}");
    CHECK_UINT(world_holds(w, A1), 1);
    world_close(w);
}

/* A rule about a person that a read must decide gets that read. */
static void test_pending_person(void **state)
{
    (void)state;
    struct world *w = world_open(
        "rules:\n"
        "  - name: left\n"
        "    events: deactivate\n"
        "    subject: user\n"
        "    where: 'userType eq \"contractor\"'\n"
        "    applies_to: {owned_agents: {left: any_owner}}\n"
        "    do: [{hold: suspended}]\n");
    settle(w, A1, OWNED);
    (void)EVENT(w, .jti = "a", .type = EVENT_DEACTIVATE, .uri = "/Users/u1",
                .version = "u1-2");
    CHECK(world_reply(w, "/Users/u1", READ_OK, "u1-2",
                      "{\"active\":false,\"userType\":\"contractor\"}"));
    CHECK_STR(world_may(w, A1, "x"), "agent_suspended");
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_group),
        cmocka_unit_test(test_owner_during_read),
        cmocka_unit_test(test_group_read_fails),
        cmocka_unit_test(test_last_owner),
        cmocka_unit_test(test_review_denied),
        cmocka_unit_test(test_review_expires),
        cmocka_unit_test(test_owner_returns),
        cmocka_unit_test(test_operator_only),
        cmocka_unit_test(test_authority),
        cmocka_unit_test(test_uncovered),
        cmocka_unit_test(test_pending),
        cmocka_unit_test(test_pending_person),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
