// SPDX-License-Identifier: Apache-2.0
/* What a read proves. A read may loosen only when it qualifies: it started
 * after the last statement, and it shows a state from after it (RFC 9110
 * 8.8.3: versions have no order; 9967-R31, 7643 3.1). */
#include <string.h>

#include "sidecar/core/restore.h"
#include "tests/lib/world.h"

#define A1 "/Agents/1"
#define STOP                                                                   \
    "rules:\n"                                                                 \
    "  - name: stop\n"                                                         \
    "    events: [deactivate, delete, found_inactive, found_gone]\n"           \
    "    do: [{hold: suspended}]\n"                                            \
    "  - name: come-back\n"                                                    \
    "    events: [activate, refreshed]\n"                                      \
    "    where: 'active eq true'\n"                                            \
    "    do: [{release: {suspended: {set_by: [stop]}}}]\n"

static struct world *open_settled(const char *policy)
{
    struct world *w = world_open(policy);
    CHECK_STR(world_may(w, A1, "deploy"), "wait");
    CHECK(world_reply(w, A1, READ_OK, "e0", ACTIVE));
    CHECK_STR(world_may(w, A1, "deploy"), "allow");
    return w;
}

/* One event, one read answered `after_ms` later, and what the gate says. */
static const struct {
    const char *name, *version, *etag;
    int64_t before_read_ms;
    const char *want;
} proofs[] = {
    {"ETag is the event's version", "e1", "e1", 0, "allow"},
    {"ETag is another one than before", "", "e1", 0, "allow"},
    {"version unknown, ETag moved on", "e1", "e2", 0, "allow"},
    {"same ETag: may be from before", "", "e0", 0, "wait"},
    {"same ETag, though the version is another", "e1", "e0", 0, "wait"},
    {"same ETag that is the version", "e0", "e0", 0, "allow"},
    {"no ETag at all", "", "", 0, "wait"},
    {"no ETag, settled", "", "", 5000, "allow"},
    {"same ETag, settled", "", "e0", 5000, "allow"},
    {"same ETag, not quite settled", "", "e0", 4999, "wait"},
};

static void test_proofs(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(proofs); i++) {
        struct world *w = open_settled(STOP);
        check_row(proofs[i].name);
        (void)EVENT(w, .jti = "a", .type = EVENT_DEACTIVATE, .uri = A1,
                    .version = proofs[i].version);
        world_pass(w, proofs[i].before_read_ms);
        CHECK_STR(world_may(w, A1, "deploy"), "agent_suspended");
        CHECK(world_reply(w, A1, READ_OK, proofs[i].etag, ACTIVE));
        const char *says = world_may(w, A1, "deploy");
        if (strcmp(proofs[i].want, "allow") == 0)
            CHECK_STR(says, "allow");
        else
            CHECK_STR(says, "agent_suspended");
        CHECK_UINT(world_holds(w, A1),
                   says[0] == 'a' && says[1] == 'l' ? 0 : 1);
        world_close(w);
    }
    check_row(NULL);
}

/* The same after a statement that holds nothing: stale until proved. */
static void test_stale_until_proved(void **state)
{
    (void)state;
    struct world *w = open_settled(STOP);
    (void)EVENT(w, .jti = "a", .type = EVENT_PATCH, .uri = A1);
    uint64_t q = world_ask(w, A1, "deploy");
    CHECK(world_reply(w, A1, READ_OK, "e0", ACTIVE)); /* a lagging replica */
    CHECK_STR(world_says(w, q), "wait");
    CHECK_UINT(world_reading(w, A1), 0); /* not asked at once again */
    world_pass(w, 2000);
    CHECK_STR(world_says(w, q), "refresh_pending");
    world_pass(w, 3000); /* settle is over: the read goes on */
    CHECK_UINT(world_reading(w, A1), 1);
    CHECK(world_reply(w, A1, READ_OK, "e0", ACTIVE));
    CHECK_STR(world_may(w, A1, "deploy"), "allow");
    world_close(w);
}

/* A read that was under way when the event came proves nothing (10.3.2). */
static void test_event_during_read(void **state)
{
    (void)state;
    struct world *w = open_settled(STOP);
    (void)EVENT(w, .jti = "a", .type = EVENT_PATCH, .uri = A1);
    uint64_t q = world_ask(w, A1, "deploy");
    (void)EVENT(w, .jti = "b", .type = EVENT_PATCH, .uri = A1, .version = "e1");
    CHECK(world_reply(w, A1, READ_OK, "e1", ACTIVE));
    CHECK_STR(world_says(w, q), "wait");
    CHECK_UINT(world_reading(w, A1), 1); /* read again at once */
    CHECK(world_reply(w, A1, READ_OK, "e1", ACTIVE));
    CHECK_STR(world_says(w, q), "allow");
    world_close(w);
}

/* An ETag that a read showed before the event is no proof after it, even if
 * that read did not qualify itself. */
static void test_seen_before(void **state)
{
    (void)state;
    for (int row = 0; row < 3; row++) {
        struct world *w = open_settled(STOP);
        (void)EVENT(w, .jti = "a", .type = EVENT_PATCH, .uri = A1);
        (void)world_ask(w, A1, "deploy");
        (void)EVENT(w, .jti = "b", .type = EVENT_DEACTIVATE, .uri = A1);
        CHECK(world_reply(w, A1, READ_OK, "e1", ACTIVE)); /* of before b */
        if (row == 1)
            CHECK_INT(world_restart(w), 0);
        if (row == 2) { /* an answer without one takes nothing back */
            (void)world_ask(w, A1, "deploy");
            CHECK(world_reply(w, A1, READ_OK, "", ACTIVE));
            (void)EVENT(w, .jti = "c", .type = EVENT_DEACTIVATE, .uri = A1);
        }
        (void)world_ask(w, A1, "deploy");
        CHECK(world_reply(w, A1, READ_OK, "e1", ACTIVE)); /* lagging */
        CHECK_STR(world_may(w, A1, "deploy"), "agent_suspended");
        world_close(w);
    }
}

/* Non-qualifying reads may tighten. */
static void test_any_read_tightens(void **state)
{
    (void)state;
    struct world *w = open_settled(STOP);
    (void)EVENT(w, .jti = "a", .type = EVENT_PATCH, .uri = A1);
    uint64_t q = world_ask(w, A1, "deploy");
    CHECK(world_reply(w, A1, READ_OK, "e0", INACTIVE));
    CHECK_STR(world_says(w, q), "agent_suspended"); /* found_inactive */
    CHECK_UINT(world_holds(w, A1), 1);
    world_close(w);
}

static void test_active_must_be_true(void **state)
{
    (void)state;
    static const char *const bodies[] = {"{}",
                                         "{\"active\":\"true\"}",
                                         "{\"active\":1}",
                                         "{\"active\":null}",
                                         "{\"active\":[true]}",
                                         INACTIVE};
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        struct world *w = world_open("defaults: {max_age: 15m}\n");
        check_row(bodies[i]);
        uint64_t q = world_ask(w, A1, "deploy");
        CHECK(world_reply(w, A1, READ_OK, "e0", bodies[i]));
        CHECK_STR(world_says(w, q), "agent_inactive");
        world_close(w);
    }
    check_row(NULL);
}

/* 304 counts only against an ETag that itself qualified, and only when it was
 * asked for. */
static void test_not_modified(void **state)
{
    (void)state;
    struct world *w = open_settled(STOP);
    world_pass(w, 15 * 60000 + 1);
    uint64_t q = world_ask(w, A1, "deploy");
    CHECK_SPAN(w->reads[0].if_none_match, SPAN("e0"));
    CHECK(world_reply(w, A1, READ_NOT_MODIFIED, "", NULL));
    CHECK_STR(world_says(w, q), "allow"); /* mere age */

    /* After an event it is "the same ETag", whatever it carries itself. */
    (void)EVENT(w, .jti = "a", .type = EVENT_PATCH, .uri = A1);
    q = world_ask(w, A1, "deploy");
    CHECK(world_reply(w, A1, READ_NOT_MODIFIED, "e9", NULL));
    CHECK_STR(world_says(w, q), "wait");
    world_close(w);

    /* Unasked: a broken peer. */
    w = world_open(STOP);
    (void)EVENT(w, .jti = "a", .type = EVENT_PATCH, .uri = A1);
    q = world_ask(w, A1, "deploy");
    CHECK(world_reply(w, A1, READ_OK, "e1", ACTIVE)); /* does not qualify */
    world_pass(w, 6000);
    CHECK_UINT(world_reading(w, A1), 1); /* the settled one */
    q = world_ask(w, A1, "deploy");
    CHECK_UINT(w->reads[0].if_none_match.n, 0);
    CHECK(world_reply(w, A1, READ_NOT_MODIFIED, "", NULL));
    CHECK_STR(world_says(w, q), "refresh_failed");
    world_close(w);
}

/* After a restart the ETag is known and what it names is not. A read that
 * proves nothing is kept to be shown; a 304 for the ETag must not make it
 * count. */
static void test_not_modified_after_restart(void **state)
{
    (void)state;
    struct world *w = world_open("defaults: {max_age: 15m}\n");
    CHECK_STR(world_may(w, A1, "deploy"), "wait");
    CHECK(world_reply(w, A1, READ_OK, "e0", INACTIVE));
    CHECK_STR(world_may(w, A1, "deploy"), "agent_inactive");
    (void)EVENT(w, .jti = "a", .type = EVENT_PATCH, .uri = A1);
    CHECK_INT(world_restart(w), 0);
    uint64_t q = world_ask(w, A1, "deploy");
    CHECK(world_reply(w, A1, READ_OK, "", ACTIVE)); /* does not qualify */
    world_pass(w, 6000);
    q = world_ask(w, A1, "deploy");
    CHECK_UINT(world_reading(w, A1), 1);
    CHECK_UINT(w->reads[0].if_none_match.n, 0);
    CHECK(world_reply(w, A1, READ_NOT_MODIFIED, "", NULL));
    CHECK_STR(world_says(w, q), "refresh_failed");
    world_close(w);
}

/* A replica that flips back and forth: what has qualified stays the mark. */
static void test_flip_flop(void **state)
{
    (void)state;
    struct world *w = open_settled(STOP);
    (void)EVENT(w, .jti = "a", .type = EVENT_DEACTIVATE, .uri = A1);
    for (int i = 0; i < 3; i++) {
        (void)world_ask(w, A1, "deploy");
        if (world_reading(w, A1) > 0)
            (void)world_reply(w, A1, READ_OK, "e0", ACTIVE);
        CHECK_STR(world_may(w, A1, "deploy"), "agent_suspended");
        world_pass(w, 500);
    }
    world_pass(w, 5000);
    if (world_reading(w, A1) == 0)
        (void)world_ask(w, A1, "deploy");
    CHECK(world_reply(w, A1, READ_OK, "e1", INACTIVE)); /* the leader */
    CHECK_STR(world_may(w, A1, "deploy"), "agent_suspended");
    CHECK_UINT(world_holds(w, A1), 2); /* the event's, and found_inactive's */
    world_close(w);
}

/* One in flight, shared; no second one after it without need. */
static void test_one_read_for_many(void **state)
{
    (void)state;
    struct world *w = world_open(STOP);
    uint64_t q[5];
    for (int i = 0; i < 5; i++)
        q[i] = world_ask(w, A1, "deploy");
    CHECK_UINT(w->reads_started, 1);
    CHECK(world_reply(w, A1, READ_OK, "e0", ACTIVE));
    for (int i = 0; i < 5; i++)
        CHECK_STR(world_says(w, q[i]), "allow");
    CHECK_UINT(w->reads_started, 1);
    world_close(w);
}

/* A running call forces the read, until one qualifies; then it is judged. */
static void test_open_calls(void **state)
{
    (void)state;
    struct world *w = open_settled("defaults: {max_age: 15m}\n");
    (void)world_hello(w, "r1", A1, "");
    CHECK_STR(world_says(w, world_begin(w, A1, "deploy", "c1")), "allow");
    (void)EVENT(w, .jti = "a", .type = EVENT_PATCH, .uri = A1);
    CHECK_UINT(world_reading(w, A1), 1); /* nobody asked */
    CHECK(world_reply(w, A1, READ_OK, "e0", ACTIVE));
    CHECK_UINT(world_directives(w, DIRECTIVE_CANCEL, NULL), 0);
    world_pass(w, 5000);
    CHECK_UINT(world_reading(w, A1), 1); /* still not proved */
    CHECK(world_reply(w, A1, READ_OK, "e1", INACTIVE));
    CHECK_UINT(world_directives(w, DIRECTIVE_CANCEL, NULL), 1);
    world_close(w);
}

/* A read that is started by the event itself starts after it. */
static void test_read_of_the_event_qualifies(void **state)
{
    (void)state;
    struct world *w = open_settled(STOP);
    (void)world_begin(w, A1, "deploy", "c1");
    (void)EVENT(w, .jti = "a", .type = EVENT_PATCH, .uri = A1, .version = "e1");
    CHECK(world_reply(w, A1, READ_OK, "e1", ACTIVE));
    CHECK_UINT(world_reading(w, A1), 0);
    CHECK_STR(world_may(w, A1, "deploy"), "allow");
    world_close(w);
}

/* F9: failures mean nothing about the agent; old answers only for mere age. */
static void test_failures(void **state)
{
    (void)state;
    struct world *w = open_settled(
        "defaults: {max_age: 15m, refresh: "
        "{when_old: {allow_for: 5m}}, "
        "feed_silent: {after: 24h, then: refresh}}\n");
    world_pass(w, 15 * 60000 + 1);
    uint64_t q = world_ask(w, A1, "deploy");
    CHECK(world_reply(w, A1, READ_FAILED, NULL, NULL));
    CHECK_STR(world_says(w, q), "allowed_old");
    CHECK(world_answer(w, q)->allow);
    world_pass(w, 5 * 60000);
    q = world_ask(w, A1, "deploy");
    CHECK(world_reply(w, A1, READ_FAILED, NULL, NULL));
    CHECK_STR(world_says(w, q), "refresh_failed");
    world_pass(w, 60000);
    q = world_ask(w, A1, "deploy");
    CHECK(world_reply(w, A1, READ_OK, "e0", ACTIVE));
    CHECK_STR(world_says(w, q), "allow");

    (void)EVENT(w, .jti = "a", .type = EVENT_PATCH, .uri = A1);
    q = world_ask(w, A1, "deploy");
    CHECK(world_reply(w, A1, READ_FAILED, NULL, NULL));
    CHECK_STR(world_says(w, q), "refresh_failed"); /* not for an event */
    CHECK_UINT(world_holds(w, A1), 0);
    world_close(w);
}

/* The dead man's switch: silence makes stale, and is an event for rules. */
static void test_feed_silent(void **state)
{
    (void)state;
    struct world *w = open_settled(
        "defaults: {feed_silent: {after: 10m, then: refresh}}\n"
        "rules:\n"
        "  - {name: dark, events: feed_silent, do: [{hold: suspended}]}\n"
        "  - {name: back, events: refreshed, where: 'active eq true',\n"
        "     do: [{release: {suspended: {set_by: [dark]}}}]}\n");
    CHECK_STR(world_may(w, A1, "deploy"), "allow");
    world_pass(w, 10 * 60000 + 1);
    CHECK_UINT(world_holds(w, A1), 1);
    CHECK_STR(world_may(w, A1, "deploy"), "agent_suspended");
    CHECK(world_records(w, "\"kind\":\"feed\"", "\"outcome\":\"silent\"") > 0);
    (void)world_ask(w, A1, "deploy"); /* stale and held: it is read */
    CHECK(world_reply(w, A1, READ_OK, "e0", ACTIVE));
    CHECK_UINT(world_holds(w, A1), 0);
    CHECK_STR(world_may(w, A1, "deploy"), "allow");
    world_close(w);
}

/* A read that never comes back is given up, and the next one works. */
static void test_lost_read(void **state)
{
    (void)state;
    struct world *w = world_open(STOP);
    (void)world_ask(w, A1, "deploy");
    w->read_count = 0; /* lost */
    world_pass(w, 60000);
    uint64_t q = world_ask(w, A1, "deploy");
    CHECK_STR(world_says(w, q), "wait");
    CHECK(world_reply(w, A1, READ_OK, "e0", ACTIVE));
    CHECK_STR(world_says(w, q), "allow");
    world_close(w);
}

static void test_gone(void **state)
{
    (void)state;
    struct world *w = open_settled(STOP);
    (void)EVENT(w, .jti = "a", .type = EVENT_PATCH, .uri = A1);
    uint64_t q = world_ask(w, A1, "deploy");
    CHECK(world_reply(w, A1, READ_GONE, NULL, NULL));
    CHECK_STR(world_says(w, q), "agent_suspended");
    CHECK_UINT(world_records(w, "found_gone", "\"stop\""), 2);
    world_close(w);

    w = open_settled("defaults: {max_age: 15m}\n");
    (void)EVENT(w, .jti = "a", .type = EVENT_PATCH, .uri = A1);
    q = world_ask(w, A1, "deploy");
    CHECK(world_reply(w, A1, READ_GONE, NULL, NULL));
    CHECK_STR(world_says(w, q), "agent_gone");
    world_close(w);
}

/* Who is nobody is remembered for a moment only, and takes no room. */
static void test_nobody(void **state)
{
    (void)state;
    struct world *w = world_open(STOP);
    uint64_t q = world_ask(w, "/Agents/nobody", "deploy");
    CHECK(world_reply(w, "/Agents/nobody", READ_GONE, NULL, NULL));
    CHECK_STR(world_says(w, q), "unknown_agent");
    CHECK_STR(world_may(w, "/Agents/nobody", "deploy"), "unknown_agent");
    CHECK_UINT(w->reads_started, 1); /* believed */
    world_pass(w, 60000);
    CHECK(world_subject(w, "/Agents/nobody") == NULL);
    q = world_ask(w, "/Agents/down", "deploy");
    CHECK(world_reply(w, "/Agents/down", READ_FAILED, NULL, NULL));
    CHECK_STR(world_says(w, q), "refresh_failed");
    world_pass(w, 60000);
    CHECK(world_subject(w, "/Agents/down") == NULL);
    world_close(w);
}

/* F5: a restart makes stale; what happened to a group meanwhile is not lost,
 * wherever the wall clock jumped. */
static void test_restart_keeps_order(void **state)
{
    (void)state;
    for (int64_t jump = -3600000; jump <= 3600000; jump += 3600000) {
        struct world *w = world_open(STOP);
        (void)world_ask(w, A1, "deploy");
        w->wall += jump; /* the clock is wrong during the read */
        CHECK(world_reply(w, A1, READ_OK, "e0",
                          "{\"active\":true,\"groups\":[{\"value\":\"g\"}]}"));
        w->wall -= jump;
        (void)EVENT(w, .jti = "g", .type = EVENT_PATCH, .uri = "/Groups/g",
                    .changed = "displayName");
        CHECK_INT(world_restart(w), 0);
        uint64_t q = world_ask(w, A1, "deploy");
        CHECK(world_reply(w, A1, READ_OK, "e0", ACTIVE));
        CHECK_STR(world_says(w, q), "wait"); /* the event is not covered */
        world_close(w);
    }
    struct world *w = open_settled(STOP); /* none: any read after the boot */
    CHECK_INT(world_restart(w), 0);
    CHECK_STR(world_may(w, A1, "deploy"), "wait");
    CHECK(world_reply(w, A1, READ_OK, "e0", ACTIVE));
    CHECK_STR(world_may(w, A1, "deploy"), "allow");
    world_close(w);
}

/* What bailiff restore leaves in the database. */
static void restore(struct world *w)
{
    const struct restore_seen seen = {.row = w->row_count, .boot = 7};
    struct buf facts, body;
    buf_init(&facts, &w->arena.mem, 256);
    buf_init(&body, &w->arena.mem, 512);
    restore_put_facts(&seen, w->wall, &facts);
    journal_put_body(&body, buf_span(&facts), SPAN(""), SPAN(""));
    CHECK(buf_ok(&body));
    w->rows[w->row_count] = (struct world_row){seen.row + 1, buf_span(&body)};
    w->committed = ++w->row_count;
    CHECK_INT(world_restart(w), 0);
}

/* What was said after the backup is forgotten: a replica may not have heard of
 * it, and shows a version from before it that is another than the last known
 * one. Until `settle` has passed no read counts, over restarts too. */
static void test_restored(void **state)
{
    (void)state;
    struct world *w = open_settled(STOP);
    restore(w);
    CHECK_UINT(world_records(w, "log", "store_restored"), 1);
    for (unsigned i = 0; i < 2; i++) {
        uint64_t q = world_ask(w, A1, "deploy");
        CHECK(world_reply(w, A1, READ_OK, "another", ACTIVE));
        CHECK_STR(world_says(w, q), "wait");
        q = world_ask(w, "/Agents/new", "deploy");
        CHECK(world_reply(w, "/Agents/new", READ_OK, "e9", ACTIVE));
        CHECK_STR(world_says(w, q), "wait");
        if (i == 0)
            CHECK_INT(world_restart(w), 0);
    }
    CHECK_UINT(world_records(w, "log", "store_restored"), 1);
    world_pass(w, 6000);
    (void)world_ask(w, A1, "deploy");
    CHECK(world_reply(w, A1, READ_OK, "another", ACTIVE));
    CHECK_STR(world_may(w, A1, "deploy"), "allow");
    CHECK_INT(world_restart(w), 0); /* that read is known of */
    CHECK_STR(world_may(w, A1, "deploy"), "wait");
    CHECK(world_reply(w, A1, READ_OK, "another", ACTIVE));
    CHECK_STR(world_may(w, A1, "deploy"), "allow");
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proofs),
        cmocka_unit_test(test_stale_until_proved),
        cmocka_unit_test(test_event_during_read),
        cmocka_unit_test(test_seen_before),
        cmocka_unit_test(test_any_read_tightens),
        cmocka_unit_test(test_active_must_be_true),
        cmocka_unit_test(test_not_modified),
        cmocka_unit_test(test_not_modified_after_restart),
        cmocka_unit_test(test_flip_flop),
        cmocka_unit_test(test_one_read_for_many),
        cmocka_unit_test(test_open_calls),
        cmocka_unit_test(test_read_of_the_event_qualifies),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_feed_silent),
        cmocka_unit_test(test_lost_read),
        cmocka_unit_test(test_gone),
        cmocka_unit_test(test_nobody),
        cmocka_unit_test(test_restart_keeps_order),
        cmocka_unit_test(test_restored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
