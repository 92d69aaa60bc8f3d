// SPDX-License-Identifier: Apache-2.0
/* What stands in the place of a step that a limit withholds, for whom and how
 * long (DESIGN 6). What is counted: test_engine_limit.c. */
#include <string.h>

#include "tests/lib/memfault.h"
#include "tests/lib/world.h"

#define A1 "/Agents/1"
#define A2 "/Agents/2"
#define A3 "/Agents/3"
#define MINUTE INT64_C(60000)
#define DAY (INT64_C(24) * 60 * MINUTE)
#define HEAD "defaults: {feed_silent: {after: 3650d}}\n"
#define ONE "limits: {suspend: {max: 1, per: 5m}}\n"
#define ACTIONS                                                                \
    "actions:\n"                                                               \
    "  page: {http: {method: POST, url: 'https://pager.example/x'}}\n"         \
    "  ticket: {http: {method: POST, url: 'https://ticket.example/x'}}\n"
#define STOP "  - {name: stop, events: deactivate, do: [{hold: suspended}]}\n"

static struct world *open_with(const char *limits, const char *rules)
{
    struct world *w = world_open(NULL);
    w->conf.limits.jti_keep_ms = 0;
    w->policy = world_policy(
        w, (const char *)world_text(w, HEAD "%srules:\n%s" ACTIONS "%c", limits,
                                    rules, 0)
               .p);
    CHECK_INT(world_restart(w), 0);
    return w;
}

static void say(struct world *w, const char *feed, const char *uri,
                enum event_type type)
{
    const struct span jti =
        world_text(w, "%s%d%lld%c", uri, (int)type, (long long)w->now, 0);
    (void)EVENT(w, .feed = feed, .jti = (const char *)jti.p, .type = type,
                .uri = uri);
}

/* Two agents: one more than the limit. */
static void go_beyond(struct world *w, const char *feed)
{
    say(w, feed, "/Agents/8", EVENT_DEACTIVATE);
    say(w, feed, "/Agents/9", EVENT_DEACTIVATE);
}

static unsigned held_by(const struct world *w, const char *uri,
                        const char *rule, bool whole)
{
    const struct subject *s = world_subject(w, uri);
    unsigned n = 0;
    if (s == NULL)
        return 0;
    LIST_EACH (k, next, &s->holds) {
        const struct hold *h = container_of(k, struct hold, link);
        n += strcmp((const char *)h->rule, rule) == 0 &&
             h->kind == HOLD_SUSPENDED && (h->tools.count == 0) == whole;
    }
    return n;
}

/* --------------------------------------------------------------- the hold */

#define ACTS(what) "  - {name: act, events: patch, do: [" what "ticket]}\n"

/* Only a hold of the rule itself, of everything, is as good. */
static void test_held_altogether(void **state)
{
    static const struct {
        const char *rules;
        unsigned holds; /* of the agent, by two rules */
    } rows[] = {
        {STOP ACTS(""), 2},
        {STOP ACTS("{hold: suspended}, "), 2},
        {STOP ACTS("{hold: {suspended: {tools: [x]}}}, "), 3},
        {STOP ACTS("{hold: {review: {by: 'title pr', within: 2h}}}, "), 3},
    };
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        check_row(rows[i].rules);
        struct world *w = open_with(ONE, rows[i].rules);
        go_beyond(w, "hr");
        say(w, "hr", A1, EVENT_DEACTIVATE);
        say(w, "hr", A1, EVENT_PATCH);
        CHECK_UINT(held_by(w, A1, "act", true), 1);
        CHECK_UINT(world_holds(w, A1), rows[i].holds);
        CHECK_UINT(w->e->jobs.withheld_count, 1);
        world_close(w);
    }
    check_row(NULL);
}

/* What was deleted comes back by an operator alone. */
static void test_deleted_is_for_operators(void **state)
{
    (void)state;
    struct world *w = open_with(
        ONE, STOP
        "  - {name: act, events: [delete, patch], do: [ticket]}\n"
        "  - {name: back, events: refreshed, where: 'active eq true',\n"
        "     do: [{release: {suspended: {set_by: [act]}}}]}\n");
    go_beyond(w, "hr");
    say(w, "hr", A1, EVENT_DELETE);
    say(w, "hr", A2, EVENT_PATCH);
    world_pass(w, 6 * MINUTE);
    for (unsigned i = 0; i < 2; i++) {
        const char *uri = i == 0 ? A1 : A2;
        CHECK_UINT(held_by(w, uri, "act", true), 1);
        (void)world_ask(w, uri, "x");
        (void)world_reply(w, uri, READ_OK, "new", ACTIVE);
        CHECK_UINT(held_by(w, uri, "act", true), i == 0 ? 1 : 0);
    }
    world_close(w);
}

/* ------------------------------------------------------------- who counts */

/* People and groups are not held, so nothing of theirs is counted. */
static void test_only_agents_are_counted(void **state)
{
    (void)state;
    struct world *w =
        open_with(ONE, STOP
                  "  - {name: people, events: deactivate, subject: user,\n"
                  "     do: [{hold: suspended}, cancel]}\n"
                  "  - {name: act, events: patch, do: [ticket]}\n");
    for (unsigned i = 0; i < 3; i++)
        say(w, "hr", (const char *)world_text(w, "/Users/%u%c", i, 0).p,
            EVENT_DEACTIVATE);
    say(w, "hr", A1, EVENT_PATCH);
    CHECK_UINT(w->e->jobs.withheld_count, 0);
    CHECK_UINT(w->e->limits.by_key.count, 0);
    world_close(w);
}

/* A step that fails, wherever memory ends, counts at most those that it is
 * about: it comes again. */
static void test_a_step_that_fails_counts_nobody_else(void **state)
{
    (void)state;
    bool hit = true;
    for (unsigned n = 1; hit; n++) {
        struct memfault mf;
        memfault_init(&mf);
        struct world *w = world_open_in(
            &mf.mem,
            "limits: {http: {max: 2, per: 1h, never_for: 'not (title pr)',\n"
            "  beyond: page}, suspend: {max: 2, per: 20s}}\n"
            "rules:\n"
            "  - {name: act, events: patch, subject: group,\n"
            "     applies_to: members, do: [{hold: suspended}, "
            "ticket]}\n" ACTIONS);
        CHECK(w != NULL);
        for (unsigned i = 1; i <= 2; i++) {
            const char *uri =
                (const char *)world_text(w, "/Agents/%u%c", i, 0).p;
            (void)world_ask(w, uri, "x");
            CHECK(world_reply(w, uri, READ_OK, "e",
                              "{\"active\":true,\"groups\":[{\"value\":"
                              "\"g\"}]}"));
        }
        w->failing = true;
        mf.fail_at = mf.calls + n;
        say(w, "hr", "/Groups/g", EVENT_PATCH);
        hit = mf.hit;
        mf.fail_at = 0;
        w->failing = false;
        world_pass(w, 1000);
        CHECK(w->e->limits.at[LIMIT_HTTP][0].count <= 2);
        world_close(w);
        memfault_check_clean(&mf);
    }
}

/* Reads of one server have nothing to do with a feed of another. */
static void test_reads_of_another_base(void **state)
{
    static const struct {
        const char *feed;
        unsigned withheld;
    } rows[] = {{"hr", 1}, {"it", 0}};
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        check_row(rows[i].feed);
        struct world *w = open_with(
            ONE,
            STOP "  - {name: act, events: found_inactive, do: [ticket]}\n");
        w->conf.bases[1] = w->conf.bases[0];
        w->conf.bases[1].url = SPAN("https://other.example/scim");
        w->conf.base_count = 2;
        w->conf.feeds[1].base = 1;
        CHECK_INT(world_restart(w), 0);
        go_beyond(w, rows[i].feed);
        (void)world_ask(w, A1, "x");
        CHECK(world_reply(w, A1, READ_OK, "e", INACTIVE));
        CHECK_UINT(w->e->jobs.withheld_count, rows[i].withheld);
        world_close(w);
    }
    check_row(NULL);
}

/* Every step is looked at, wherever it stands. */
static void test_people_for_any_step(void **state)
{
    static const char *const acts[] = {ACTS(""), ACTS("refresh, cancel, ")};
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct world *w = open_with(
            "limits: {http: {max: 9, per: 5m, never_for: 'title pr', "
            "beyond: [page]}}\n",
            acts[i]);
        say(w, "hr", A1, EVENT_PATCH);
        CHECK_UINT(w->e->jobs.withheld_count, 1);
        CHECK_UINT(world_records(w, "\"action\":\"page\"", "\"started\""), 1);
        world_close(w);
    }
}

/* ---------------------------------------------------------- later tokens */

#define REVOKES                                                                \
    "  - {name: stop, events: [deactivate, operator],\n"                       \
    "     do: [revoke, {hold: suspended}]}\n"

static const char *token_of(struct world *w, const char *uri)
{
    const uint64_t before = w->e->jobs.withheld_count;
    const unsigned started = w->jobs_started;
    const struct span id =
        world_text(w, "t%lld%c", (long long)w->next_token, 0);
    (void)world_credential(w, uri, (const char *)id.p, false);
    return w->e->jobs.withheld_count > before ? "withheld"
           : w->jobs_started > started        ? "started"
                                              : "nothing";
}

/* Also of those that came first, however many came after them; and of all that
 * the same server may have had said, as nobody knows any more who said it. */
static void test_token_of_whoever_came_first(void **state)
{
    (void)state;
    struct world *w = open_with(ONE, REVOKES);
    say(w, "it", A2, EVENT_DEACTIVATE);
    world_pass(w, 10 * MINUTE);
    CHECK_STR(token_of(w, A2), "started");
    say(w, "hr", A1, EVENT_DEACTIVATE);
    go_beyond(w, "hr");
    for (unsigned i = 0; i < 2; i++) {
        CHECK_STR(token_of(w, "/Agents/9"), "withheld");
        CHECK_STR(token_of(w, A1), "withheld");
        CHECK_STR(token_of(w, A2), "withheld");
        CHECK_STR(token_of(w, A3), "nothing"); /* it is not held */
        CHECK_INT(world_restart(w), 0);
    }
    world_pass(w, 6 * MINUTE);
    CHECK_STR(token_of(w, A1), "started");
    world_close(w);
}

/* --------------------------------------------------------- over a restart */

static void beyond_by(struct world *w, const char *who)
{
    static const char *const agents[] = {"/Agents/8", "/Agents/9"};
    for (unsigned i = 0; i < 2; i++) {
        if (strcmp(who, "operators") == 0) {
            (void)world_operator(w, OP_HOLD_ADD, agents[i], "", NULL);
        } else if (strcmp(who, "reads") == 0) {
            (void)world_ask(w, agents[i], "x");
            CHECK(world_reply(w, agents[i], READ_OK, "e", INACTIVE));
        } else {
            say(w, who, agents[i], EVENT_DEACTIVATE);
        }
    }
}

/* Windows of all sources are kept, and end in time, whatever the clock does. */
static void test_every_window_is_kept(void **state)
{
    static const struct {
        const char *limits, *who;
        int64_t jump_ms;
    } rows[] = {
        {ONE, "hr", 0},
        {ONE, "it", -DAY},
        {ONE, "reads", 0},
        {ONE, "operators", -DAY},
        {"limits: {suspend: {max: 1, per: 5m, of_feed: all}}\n", "it", 0},
    };
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        check_row(rows[i].who);
        struct world *w = open_with(
            rows[i].limits,
            "  - {name: stop, events: [deactivate, operator, found_inactive],\n"
            "     do: [{hold: suspended}]}\n");
        beyond_by(w, rows[i].who);
        CHECK_UINT(limits_passed(w->e), 1);
        w->wall += rows[i].jump_ms;
        CHECK_INT(world_restart(w), 0);
        CHECK_UINT(limits_passed(w->e), 1);
        world_pass(w, 5 * MINUTE + 1000);
        CHECK_UINT(limits_passed(w->e), 0);
        world_close(w);
    }
    check_row(NULL);
}

/* What has left its window leaves the disk. */
static void test_nothing_stays_on_disk(void **state)
{
    (void)state;
    struct world *w = open_with(ONE, STOP);
    go_beyond(w, "hr");
    say(w, "hr", A1, EVENT_DEACTIVATE);
    world_pass(w, 6 * MINUTE);
    CHECK_UINT(w->e->limits.by_key.count, 0);
    w->wall -= DAY; /* whatever is still there is as if just now */
    CHECK_INT(world_restart(w), 0);
    CHECK_UINT(w->e->limits.by_key.count, 0);
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_held_altogether),
        cmocka_unit_test(test_deleted_is_for_operators),
        cmocka_unit_test(test_only_agents_are_counted),
        cmocka_unit_test(test_a_step_that_fails_counts_nobody_else),
        cmocka_unit_test(test_reads_of_another_base),
        cmocka_unit_test(test_people_for_any_step),
        cmocka_unit_test(test_token_of_whoever_came_first),
        cmocka_unit_test(test_every_window_is_kept),
        cmocka_unit_test(test_nothing_stays_on_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
