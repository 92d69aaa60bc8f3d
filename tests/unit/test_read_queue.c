// SPDX-License-Identifier: Apache-2.0
/* Reads have a budget of their server: how many are in flight, who is first,
 * and that everybody gets a turn. */
#include <stdio.h>

#include "tests/lib/world.h"

#define AGENTS 200
#define BUDGET 4

static const char *uri_of(struct world *w, unsigned i)
{
    return (const char *)world_text(w, "/Agents/%u", i).p;
}

/* All known, all members of one group, each with a running call. */
static struct world *open_members(void)
{
    struct world *w = world_open("defaults: {max_age: 1h}\n");
    world_crowd(w, AGENTS);
    w->conf.bases[0].reads_max = BUDGET;
    return w;
}

static void group_event(struct world *w, const char *jti)
{
    (void)EVENT(w, .jti = jti, .type = EVENT_PATCH, .uri = "/Groups/g",
                .changed = "displayName");
}

static unsigned in_flight(struct world *w)
{
    unsigned n = 0;
    for (unsigned i = 0; i < AGENTS; i++)
        n += world_reading(w, uri_of(w, i));
    return n;
}

/* Answers the first read in flight; returns who it was about. */
static unsigned answer_one(struct world *w, const char *etag)
{
    for (unsigned i = 0; i < AGENTS; i++) {
        const char *uri = uri_of(w, i);
        if (world_reading(w, uri) == 0)
            continue;
        CHECK(world_reply(w, uri, READ_OK, etag, IN_GROUP));
        return i;
    }
    return AGENTS;
}

/* Never more than the budget at once, nobody twice, and all in the end. */
static void test_budget(void **state)
{
    (void)state;
    struct world *w = open_members();
    unsigned before = w->reads_started, seen[AGENTS] = {0};
    group_event(w, "a");
    for (unsigned i = 0; i < AGENTS; i++) {
        CHECK_UINT(in_flight(w), AGENTS - i < BUDGET ? AGENTS - i : BUDGET);
        unsigned who = answer_one(w, "e1");
        CHECK(who < AGENTS);
        seen[who]++;
    }
    CHECK_UINT(in_flight(w), 0);
    CHECK_UINT(w->reads_started - before, AGENTS);
    for (unsigned i = 0; i < AGENTS; i++) {
        CHECK_UINT(seen[i], 1);
        CHECK_STR(world_may(w, uri_of(w, i), "x"), "allow");
    }
    world_close(w);
}

/* The gate holds meanwhile, and who asks is read next. */
static void test_asked_first(void **state)
{
    (void)state;
    struct world *w = open_members();
    group_event(w, "a");
    const char *last = uri_of(w, AGENTS - 1);
    uint64_t q = world_ask(w, last, "x");
    CHECK_STR(world_says(w, q), "wait");
    CHECK_UINT(world_reading(w, last), 0); /* the budget is used up */
    unsigned turns = 0;
    while (world_reading(w, last) == 0 && turns < AGENTS) {
        (void)answer_one(w, "e1");
        turns++;
    }
    CHECK(turns <= 2); /* one, or the turn of the others was just then */
    CHECK(world_reply(w, last, READ_OK, "e1", IN_GROUP));
    CHECK_STR(world_says(w, q), "allow");
    world_close(w);
}

/* Questions that go on and on do not keep the running calls from a turn. */
static void test_fair(void **state)
{
    (void)state;
    struct world *w = open_members();
    group_event(w, "a");
    for (unsigned i = AGENTS / 2; i < AGENTS / 2 + 60; i++)
        (void)world_ask(w, uri_of(w, i), "x");
    unsigned asked = 0, others = 0;
    for (unsigned i = 0; i < 40; i++) {
        unsigned who = answer_one(w, "e1");
        bool is_asked = who >= AGENTS / 2 && who < AGENTS / 2 + 60;
        asked += is_asked;
        others += !is_asked;
    }
    CHECK(asked >= 30);
    CHECK(others >= 40 / 8);
    world_close(w);
}

/* A read that fails, or is lost, gives its place to the next. */
static void test_failures(void **state)
{
    (void)state;
    struct world *w = open_members();
    unsigned before = w->reads_started;
    group_event(w, "a");
    for (unsigned i = 0; i < BUDGET; i++)
        CHECK(world_reply(w, uri_of(w, i), READ_FAILED, NULL, NULL));
    CHECK_UINT(in_flight(w), BUDGET);
    CHECK_UINT(w->reads_started - before, 2 * BUDGET);
    world_pass(w, 5000); /* longer than any read may take */
    CHECK(w->reads_started - before > 2 * BUDGET);
    CHECK(in_flight(w) <= 3 * BUDGET); /* the lost ones are known here still */
    for (unsigned i = 0; i < AGENTS; i++)
        CHECK(subject_rare(world_subject(w, uri_of(w, i)))->read.wanted ||
              world_reading(w, uri_of(w, i)) > 0);
    CHECK(w->e->bases[0].reading <= BUDGET);
    world_close(w);
}

/* No read is started any more at the end. */
static void test_stop(void **state)
{
    (void)state;
    struct world *w = open_members();
    group_event(w, "a");
    unsigned started = w->reads_started;
    CHECK_INT(world_step(w, (struct in){.kind = IN_STOP}), 0);
    (void)answer_one(w, "e1");
    CHECK_UINT(w->reads_started, started);
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_budget), cmocka_unit_test(test_asked_first),
        cmocka_unit_test(test_fair),   cmocka_unit_test(test_failures),
        cmocka_unit_test(test_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
