// SPDX-License-Identifier: Apache-2.0
/* What a statement does, when it is acknowledged, and what a second one with
 * the same name means (RFC 8935 2, RFC 9967 5; reliability I1 to I3, F8). */
#include "tests/lib/world.h"

#define STOP                                                                   \
    "rules:\n"                                                                 \
    "  - name: stop\n"                                                         \
    "    events: [deactivate, delete, found_inactive, found_gone]\n"           \
    "    do: [{hold: suspended}]\n"                                            \
    "  - name: come-back\n"                                                    \
    "    events: [activate, refreshed]\n"                                      \
    "    where: 'active eq true'\n"                                            \
    "    do: [{release: {suspended: {set_by: [stop]}}}]\n"

/* An agent that may act. */
static void settle(struct world *w, const char *uri)
{
    uint64_t q = world_ask(w, uri, "deploy");
    CHECK_STR(world_says(w, q), "wait");
    CHECK(world_reply(w, uri, READ_OK, "e0", ACTIVE));
    CHECK_STR(world_says(w, q), "allow");
}

/* I1, 8935-R11: never before the row is stored. */
static void test_ack_after_store(void **state)
{
    (void)state;
    struct world *w = world_open(STOP);
    w->auto_store = false;
    uint64_t t =
        EVENT(w, .jti = "a", .type = EVENT_DEACTIVATE, .uri = "/Agents/1");
    CHECK(!world_acked(w, t));
    CHECK_STR(world_may(w, "/Agents/1", "x"), "agent_suspended"); /* at once */
    world_commit(w);
    CHECK(world_acked(w, t));
    world_close(w);
}

/* The same answer as the first, before and after the commit. */
static void test_duplicates(void **state)
{
    (void)state;
    struct world *w = world_open(STOP);
    w->auto_store = false;
    uint64_t t[3];
    for (int i = 0; i < 2; i++)
        t[i] =
            EVENT(w, .jti = "a", .type = EVENT_DEACTIVATE, .uri = "/Agents/1");
    CHECK(!world_acked(w, t[0]) && !world_acked(w, t[1]));
    world_commit(w);
    CHECK(world_acked(w, t[0]) && world_acked(w, t[1]));
    t[2] = EVENT(w, .jti = "a", .type = EVENT_DEACTIVATE, .uri = "/Agents/1");
    CHECK(world_acked(w, t[2]));
    CHECK_UINT(world_holds(w, "/Agents/1"), 1);
    CHECK_UINT(world_records(w, "\"event\"", "\"accepted\""), 1);
    CHECK_INT(world_restart(w), 0);
    world_commit(w);
    t[2] = EVENT(w, .jti = "a", .type = EVENT_DEACTIVATE, .uri = "/Agents/1");
    CHECK(world_acked(w, t[2])); /* known over a restart */
    CHECK_UINT(world_holds(w, "/Agents/1"), 1);
    world_close(w);
}

/* The key is (feed, issuer, jti): another feed is another statement. */
static void test_duplicate_key_has_feed(void **state)
{
    (void)state;
    struct world *w = world_open(STOP);
    (void)EVENT(w, .jti = "a", .type = EVENT_PATCH, .uri = "/Agents/1");
    (void)EVENT(w, .feed = "it", .jti = "a", .type = EVENT_DEACTIVATE,
                .uri = "/Agents/1");
    CHECK_UINT(world_holds(w, "/Agents/1"), 1);
    world_close(w);
}

/* F8: the first wins, the second makes stale and is recorded. */
static void test_equivocation(void **state)
{
    (void)state;
    struct world *w = world_open(STOP);
    settle(w, "/Agents/1");
    (void)EVENT(w, .jti = "a", .type = EVENT_PATCH, .uri = "/Agents/2");
    uint64_t t = EVENT(w, .jti = "a", .type = EVENT_ACTIVATE,
                       .uri = "/Agents/1", .payload = 1);
    CHECK(world_acked(w, t));
    CHECK_UINT(world_records(w, "\"equivocation\"", "/Agents/1"), 1);
    CHECK_STR(world_may(w, "/Agents/1", "deploy"), "wait");
    struct engine_stats s;
    engine_stats_get(w->e, &s);
    CHECK_UINT(s.equivocations, 1);
    world_close(w);
}

/* 9967-R13: authentic but malformed: refused, and its subject is stale. */
static void test_dirty(void **state)
{
    (void)state;
    struct world *w = world_open(STOP);
    settle(w, "/Agents/1");
    (void)EVENT(w, .jti = "a", .type = EVENT_UNKNOWN, .uri = "/Agents/1",
                .dirty = true);
    CHECK_STR(world_may(w, "/Agents/1", "deploy"), "wait");
    uint64_t t = EVENT(w, .jti = "a", .type = EVENT_PATCH, .uri = "/Agents/1");
    CHECK(world_acked(w, t)); /* the refused one was not remembered */
    world_close(w);
}

/* Every event makes its subject stale, also one that no rule names. */
static void test_every_event_makes_stale(void **state)
{
    (void)state;
    struct world *w = world_open("defaults: {max_age: 15m}\n");
    for (unsigned t = 0; t < EVENT_TYPE_COUNT; t++) {
        struct span jti = world_text(w, "j%u", t);
        struct span uri = world_text(w, "/Agents/a%u", t);
        check_row(event_type_name((enum event_type)t));
        settle(w, (const char *)uri.p);
        (void)EVENT(w, .jti = (const char *)jti.p, .type = (enum event_type)t,
                    .uri = (const char *)uri.p);
        const char *says = world_may(w, (const char *)uri.p, "deploy");
        if (t == EVENT_FEED_REMOVE)
            CHECK_STR(says, "agent_uncovered");
        else
            CHECK_STR(says, "wait");
    }
    check_row(NULL);
    world_close(w);
}

/* More statements of one rule than an agent can have holds: each of them is
 * accepted, none of them lets go. */
static void test_many_holds(void **state)
{
    (void)state;
    struct world *w = world_open(STOP);
    for (unsigned i = 0; i < HOLDS_PER_AGENT_MAX + 6; i++) {
        struct span jti = world_text(w, "j%u", i);
        uint64_t t = EVENT(w, .jti = (const char *)jti.p,
                           .type = EVENT_DEACTIVATE, .uri = "/Agents/1");
        CHECK(world_acked(w, t));
    }
    CHECK_UINT(world_holds(w, "/Agents/1"), HOLDS_PER_AGENT_MAX);
    world_close(w);
}

/* A full table refuses and says so: nothing is acknowledged. */
static void test_full(void **state)
{
    (void)state;
    struct world *w = world_open(STOP);
    w->conf.limits.holds_max = 0;
    w->e->holds.max = 0;
    uint64_t t =
        EVENT(w, .jti = "a", .type = EVENT_DEACTIVATE, .uri = "/Agents/1");
    CHECK_INT(w->rc, RC_LIMIT);
    CHECK(!world_acked(w, t));
    w->e->holds.max = 10;
    t = EVENT(w, .jti = "a", .type = EVENT_DEACTIVATE, .uri = "/Agents/1");
    CHECK(world_acked(w, t));
    CHECK_UINT(world_holds(w, "/Agents/1"), 1);
    world_close(w);
}

/* Old names are forgotten, here and in the store. */
static void test_old_names_go(void **state)
{
    (void)state;
    struct world *w = world_open(STOP);
    (void)EVENT(w, .jti = "a", .type = EVENT_PATCH, .uri = "/Agents/1");
    CHECK_UINT(w->e->dedupe.count, 1);
    world_pass(w, 2 * 3600000);
    CHECK_UINT(w->e->dedupe.count, 0);
    CHECK_INT(world_restart(w), 0);
    CHECK_UINT(w->e->dedupe.count, 0);
    world_close(w);
}

/* A full table of names lets the oldest go, here and in the store: the newest
 * is what a transmitter sends again. */
static void test_full_names(void **state)
{
    (void)state;
    struct world *w = world_open(STOP);
    w->e->dedupe.max = 4;
    for (unsigned i = 0; i < 20; i++) {
        const char name[2] = {(char)('a' + i), 0};
        (void)EVENT(w, .jti = name, .type = EVENT_PATCH, .uri = "/Agents/1");
        uint64_t before = w->e->stats.duplicates;
        (void)EVENT(w, .jti = name, .type = EVENT_PATCH, .uri = "/Agents/1");
        CHECK_UINT(w->e->stats.duplicates, before + 1);
        CHECK(w->e->dedupe.count <= 4);
        world_pass(w, 2000);
    }
    CHECK_UINT(w->e->dedupe.count, 4);
    CHECK_INT(world_restart(w), 0);
    CHECK_UINT(w->e->dedupe.count, 4); /* the store has no more than that */
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ack_after_store),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_duplicate_key_has_feed),
        cmocka_unit_test(test_equivocation),
        cmocka_unit_test(test_dirty),
        cmocka_unit_test(test_every_event_makes_stale),
        cmocka_unit_test(test_many_holds),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_old_names_go),
        cmocka_unit_test(test_full_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
