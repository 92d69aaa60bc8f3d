// SPDX-License-Identifier: Apache-2.0
/* Limits of a feed: what cannot be undone waits for a person, everything else
 * happens as ever (DESIGN 6 and 8). */
#include <string.h>

#include "tests/lib/world.h"

#define A1 "/Agents/1"
#define A2 "/Agents/2"
#define A3 "/Agents/3"
#define MINUTE INT64_C(60000)
#define DAY (INT64_C(24) * 60 * MINUTE)
#define REST                                                                   \
    "actions:\n"                                                               \
    "  page: {http: {method: POST, url: 'https://pager.example/x'}}\n"         \
    "  ticket: {http: {method: POST, url: 'https://ticket.example/x'}}\n"
#define RULES                                                                  \
    "defaults: {feed_silent: {after: 365d}}\n"                                 \
    "rules:\n"                                                                 \
    "  - name: stop\n"                                                         \
    "    events: [deactivate, delete, found_inactive, operator]\n"             \
    "    do: [revoke, {hold: suspended}, cancel]\n"                            \
    "  - name: back\n"                                                         \
    "    events: refreshed\n"                                                  \
    "    where: 'active eq true'\n"                                            \
    "    do: [{release: {suspended: {set_by: [stop]}}}]\n"                     \
    "  - name: changed\n"                                                      \
    "    events: patch\n"                                                      \
    "    do: [ticket]\n"                                                       \
    "  - name: disbanded\n"                                                    \
    "    events: delete\n"                                                     \
    "    subject: group\n"                                                     \
    "    applies_to: members\n"                                                \
    "    do: [revoke, {hold: suspended}]\n" REST
#define SUSPEND_2 "limits: {suspend: {max: 2, per: 5m, beyond: [page]}}\n"

/* Everybody has a token. */
static struct world *open_with(const char *limits, unsigned agents)
{
    struct world *w = world_open(NULL);
    w->conf.limits.jti_keep_ms = 0;
    w->policy = world_policy(
        w, (const char *)world_text(w, "%s%s%c", RULES, limits, 0).p);
    CHECK_INT(world_restart(w), 0);
    for (unsigned i = 1; i <= agents; i++) {
        const struct span uri = world_text(w, "/Agents/%u%c", i, 0);
        (void)world_credential(w, (const char *)uri.p, "t", false);
    }
    return w;
}

static void stop(struct world *w, const char *feed, const char *uri)
{
    const struct span jti =
        world_text(w, "%s%s%lld%c", feed, uri, (long long)w->now, 0);
    (void)EVENT(w, .feed = feed, .jti = (const char *)jti.p,
                .type = EVENT_DEACTIVATE, .uri = uri);
}

static const struct job *job_of(const struct world *w, const char *uri,
                                enum job_kind kind)
{
    const struct job *found = NULL;
    struct map_link *k = NULL;
    while ((k = map_next(&w->e->jobs.by_id, k)) != NULL) {
        const struct job *j = container_of(k, struct job, link);
        if (j->kind == kind && span_eq(j->agent->uri, span_str(uri)) &&
            (found == NULL || j->id > found->id))
            found = j;
    }
    return found;
}

/* State of the latest such job. */
static const char *job_state(const struct world *w, const char *uri,
                             enum job_kind kind)
{
    const struct job *j = job_of(w, uri, kind);
    return j == NULL ? "none" : job_state_word(j->state);
}

static const char *revoked(const struct world *w, const char *uri)
{
    return job_state(w, uri, JOB_REVOKE);
}

static unsigned pages(const struct world *w)
{
    return world_records(w, "\"action\":\"page\"", "\"outcome\":\"started\"");
}

/* ------------------------------------------------------------- counting */

static void test_each_feed_has_its_count(void **state)
{
    (void)state;
    struct world *w = open_with(SUSPEND_2, 4);
    stop(w, "hr", A1);
    stop(w, "hr", A2);
    stop(w, "hr", A2); /* an agent counts once */
    stop(w, "it", A3);
    CHECK_STR(revoked(w, A2), "running");
    CHECK_STR(revoked(w, A3), "running");
    CHECK_UINT(pages(w), 0);
    stop(w, "hr", "/Agents/4");
    CHECK_STR(revoked(w, "/Agents/4"), "withheld");
    CHECK_UINT(world_holds(w, "/Agents/4"), 1);
    CHECK_STR(world_may(w, "/Agents/4", "x"), "agent_suspended");
    CHECK_UINT(pages(w), 1);
    CHECK_UINT(world_records(w, "\"reason\":\"beyond_limit\"",
                             "limits.suspend: 3 agents of hr within 5m, "
                             "limit 2"),
               2); /* the verdict, and the job */
    world_close(w);
}

static void test_all_feeds_together(void **state)
{
    (void)state;
    struct world *w = open_with(
        "limits: {suspend: {max: 2, per: 5m, "
        "of_feed: all, beyond: [page]}}\n",
        3);
    stop(w, "hr", A1);
    stop(w, "it", A2);
    CHECK_STR(revoked(w, A2), "running");
    stop(w, "it", A3);
    CHECK_STR(revoked(w, A3), "withheld");
    CHECK_UINT(world_records(w, "3 agents of all feeds", "\"count\":3"), 1);
    world_close(w);
}

/* The window slides; as long as the feed goes on, it stays beyond. */
static void test_window_slides(void **state)
{
    static const struct {
        int64_t wait_ms;
        const char *uri, *want;
    } rows[] = {
        {0, A1, "running"},
        {MINUTE, A2, "running"},
        {MINUTE, A3, "withheld"},
        {3 * MINUTE, "/Agents/4", "withheld"},    /* 2, 3, 4 */
        {2 * MINUTE + 1, "/Agents/5", "running"}, /* 4, 5 */
        {5 * MINUTE, "/Agents/6", "running"},     /* 6 */
    };
    (void)state;
    struct world *w = open_with(SUSPEND_2, 6);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        check_row(rows[i].uri);
        world_pass(w, rows[i].wait_ms);
        stop(w, "hr", rows[i].uri);
        CHECK_STR(revoked(w, rows[i].uri), rows[i].want);
    }
    check_row(NULL);
    CHECK_UINT(pages(w), 1);
    world_pass(w, 6 * MINUTE);
    CHECK_UINT(w->e->limits.by_key.count, 0);
    world_close(w);
}

/* What a rule above the holding one would do is counted together with it. */
static void test_order_of_rules_is_nothing(void **state)
{
    (void)state;
    struct world *w = world_open(
        "rules:\n"
        "  - {name: first, events: deactivate, do: [revoke]}\n"
        "  - {name: second, events: deactivate, do: [{hold: suspended}]}\n"
        "limits: {suspend: {max: 1, per: 5m}}\n");
    (void)world_credential(w, A2, "t", false);
    stop(w, "hr", A1);
    stop(w, "hr", A2);
    CHECK_STR(revoked(w, A2), "withheld");
    CHECK_UINT(world_holds(w, A2), 2); /* of each rule: the first one's is for
                                          what was withheld */
    world_close(w);
}

/* One statement that hits more than may be hit does it to nobody. */
static void test_members_at_once(void **state)
{
    (void)state;
    struct world *w = open_with(SUSPEND_2, 3);
    static const char *const agents[] = {A1, A2, A3};
    for (unsigned i = 0; i < 3; i++) {
        (void)world_ask(w, agents[i], "x");
        CHECK(world_reply(w, agents[i], READ_OK, "e",
                          "{\"active\":true,\"groups\":[{\"value\":\"g\"}]}"));
    }
    (void)EVENT(w, .jti = "g", .type = EVENT_DELETE, .uri = "/Groups/g");
    for (unsigned i = 0; i < 3; i++) {
        CHECK_STR(revoked(w, agents[i]), "withheld");
        CHECK_UINT(world_holds(w, agents[i]), 1);
    }
    CHECK_UINT(pages(w), 1);
    world_close(w);
}

/* Reads and operators are sources of their own, beside the feeds. */
static void test_reads_and_operators(void **state)
{
    (void)state;
    struct world *w = open_with(SUSPEND_2, 3);
    static const char *const agents[] = {A1, A2, A3};
    for (unsigned i = 0; i < 3; i++) {
        (void)world_ask(w, agents[i], "x");
        CHECK(world_reply(w, agents[i], READ_OK, "e", INACTIVE));
    }
    CHECK_STR(revoked(w, A2), "running");
    CHECK_STR(revoked(w, A3), "withheld");
    CHECK_UINT(world_records(w, "3 agents of reads", "\"verdict\""), 1);
    (void)world_credential(w, "/Agents/4", "t", false);
    (void)world_operator(w, OP_HOLD_ADD, "/Agents/4", "", NULL);
    CHECK_STR(revoked(w, "/Agents/4"), "running");
    world_close(w);
}

/* While a feed is beyond, what reads of its server find waits as well. */
static void test_reads_of_a_feed_beyond(void **state)
{
    (void)state;
    struct world *w = open_with("limits: {suspend: {max: 1, per: 5m}}\n", 3);
    (void)world_ask(w, A1, "x");
    stop(w, "hr", A1);
    stop(w, "hr", A2);
    CHECK_STR(revoked(w, A2), "withheld");
    (void)world_credential(w, A1, "t2", false);
    CHECK(world_reply(w, A1, READ_OK, "e1", INACTIVE));
    CHECK_UINT(world_records(w, "\"event\":\"found_inactive\"",
                             "\"outcome\":\"withheld\""),
               1);
    world_close(w);
}

/* Rules that a read decides are counted before any of them acts. */
static void test_order_of_pending_is_nothing(void **state)
{
#define ACTS "events: put, where: 'title pr', do: [ticket]}\n"
#define HOLDS "events: put, where: 'title pr', do: [{hold: suspended}]}\n"
#define LIMIT_1 "limits: {suspend: {max: 1, per: 5m}}\nrules:\n"
    static const char *const orders[] = {
        LIMIT_1 "  - {name: a, " ACTS "  - {name: b, " HOLDS REST,
        LIMIT_1 "  - {name: a, " HOLDS "  - {name: b, " ACTS REST};
    static const char *const uris[] = {A1, A2};
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct world *w = world_open(orders[i / 2]);
        const char *uri = uris[i % 2];
        for (unsigned k = 0; k <= i % 2; k++) {
            uri = uris[k];
            (void)EVENT(w, .feed = "hr", .jti = uri, .type = EVENT_PUT,
                        .uri = uri);
            world_pass(w, 6000);
            (void)world_ask(w, uri, "x");
            CHECK(world_reply(w, uri, READ_OK, "e",
                              "{\"active\":true,\"title\":\"a\"}"));
        }
        CHECK_STR(job_state(w, uri, JOB_ACTION),
                  i % 2 == 0 ? "running" : "withheld");
        world_close(w);
    }
}

static void test_not_taken_is_not_counted(void **state)
{
    static const struct {
        const char *name, *extra;
        unsigned count;
    } rows[] = {
        {"the feed may not", "feeds: {hr: {may: [refresh]}}\n", 0},
        {"what it may", "feeds: {hr: {may: [suspend]}}\n", 1},
        {"another feed", "feeds: {it: {may: [refresh]}}\n", 1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[256];
        check_row(rows[i].name);
        (void)snprintf(text, sizeof text, "%s%s", SUSPEND_2, rows[i].extra);
        struct world *w = open_with(text, 1);
        stop(w, "hr", A1);
        CHECK_UINT(w->e->limits.by_key.count, rows[i].count);
        world_close(w);
    }
    check_row(NULL);
}

/* Who cannot be remembered is beyond. */
static void test_overflow(void **state)
{
    (void)state;
    struct world *w = open_with(SUSPEND_2, 2);
    w->e->limits.by_key.max_count = 1;
    stop(w, "hr", A1);
    CHECK_STR(revoked(w, A1), "running");
    stop(w, "hr", A2);
    CHECK_STR(revoked(w, A2), "withheld");
    CHECK_UINT(world_records(w, "more than 1 agents", "\"verdict\""), 1);
    world_close(w);
}

static void test_actions_are_counted_but_for_people(void **state)
{
    (void)state;
    struct world *w =
        open_with("limits: {http: {max: 1, per: 5m, beyond: [page]}}\n", 0);
    (void)EVENT(w, .jti = "a", .type = EVENT_PATCH, .uri = A1);
    (void)EVENT(w, .jti = "b", .type = EVENT_PATCH, .uri = A2);
    CHECK_STR(job_state(w, A1, JOB_ACTION), "running");
    CHECK_UINT(
        world_records(w, "\"action\":\"ticket\"", "\"outcome\":\"withheld\""),
        1);
    CHECK_UINT(pages(w), 1);
    /* The agent is held, though the rule holds nobody. */
    CHECK_UINT(world_holds(w, A2), 1);
    CHECK_UINT(world_holds(w, A1), 0);
    world_close(w);
}

/* -------------------------------------------------------------- people */

static void test_people_once_a_window(void **state)
{
    (void)state;
    struct world *w = open_with(SUSPEND_2, 8);
    for (unsigned i = 1; i <= 6; i++)
        stop(w, "hr", (const char *)world_text(w, "/Agents/%u%c", i, 0).p);
    CHECK_UINT(pages(w), 1);
    CHECK_SPAN(world_job(w, JOB_ACTION)->why,
               SPAN("limits.suspend: 3 agents of hr within 5m, limit 2"));
    for (unsigned i = 1; i <= 3; i++)
        stop(w, "it", (const char *)world_text(w, "/Agents/%u%c", i, 0).p);
    CHECK_UINT(pages(w), 2); /* another feed */
    world_pass(w, 5 * MINUTE);
    for (unsigned i = 1; i <= 3; i++)
        stop(w, "hr", (const char *)world_text(w, "/Agents/%u%c", i, 0).p);
    CHECK_UINT(pages(w), 3); /* another window */
    world_close(w);
}

#define NEVER(kind)                                                            \
    "limits: {" kind                                                           \
    ": {max: 50, per: 5m, never_for: "                                         \
    "'entitlements.value eq \"critical\"', beyond: [page]}}\n"
#define CRITICAL "{\"active\":true,\"entitlements\":[{\"value\":\"critical\"}]}"
#define OTHER "{\"active\":true,\"entitlements\":[{\"value\":\"x\"}]}"

static void test_never_for(void **state)
{
    static const struct {
        const char *name, *limits, *read;
        const char *revoke, *ticket;
        unsigned pages;
    } rows[] = {
        {"holds", NEVER("suspend"), CRITICAL, "withheld", "withheld", 2},
        {"does not", NEVER("suspend"), OTHER, "running", "running", 0},
        {"absent", NEVER("suspend"), ACTIVE, "running", "running", 0},
        {"never read", NEVER("suspend"), NULL, "withheld", "withheld", 2},
        {"of revoke only", NEVER("revoke"), CRITICAL, "withheld", "running", 1},
        {"of purge only", NEVER("purge"), CRITICAL, "running", "running", 0},
        {"of http only", NEVER("http"), CRITICAL, "running", "withheld", 1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        check_row(rows[i].name);
        struct world *w = open_with(rows[i].limits, 1);
        if (rows[i].read != NULL) {
            (void)world_ask(w, A1, "x");
            CHECK(world_reply(w, A1, READ_OK, "e", rows[i].read));
        }
        (void)EVENT(w, .jti = "p", .type = EVENT_PATCH, .uri = A1);
        CHECK_UINT(world_records(w, "\"action\":\"ticket\"",
                                 rows[i].ticket[0] == 'r'
                                     ? "\"outcome\":\"started\""
                                     : "\"outcome\":\"withheld\""),
                   1);
        stop(w, "hr", A1);
        CHECK_STR(revoked(w, A1), rows[i].revoke);
        CHECK_UINT(pages(w), rows[i].pages);
        CHECK_STR(world_may(w, A1, "x"), "agent_suspended");
        world_close(w);
    }
    check_row(NULL);
}

/* A read of before the policy that asks for the attribute proves nothing. */
static void test_never_for_needs_a_read_under_the_policy(void **state)
{
    (void)state;
    struct world *w = open_with(SUSPEND_2, 2);
    (void)world_ask(w, A1, "x");
    CHECK(world_reply(w, A1, READ_OK, "e", OTHER));
    struct in in = {.kind = IN_POLICY};
    in.policy.policy = w->policy = world_policy(w, RULES NEVER("suspend"));
    (void)world_step(w, in);
    stop(w, "hr", A1);
    CHECK_STR(revoked(w, A1), "withheld");
    /* Nor does one of before a restart. */
    (void)world_ask(w, A2, "x");
    CHECK(world_reply(w, A2, READ_OK, "e", OTHER));
    CHECK_INT(world_restart(w), 0);
    stop(w, "hr", A2);
    CHECK_STR(revoked(w, A2), "withheld");
    CHECK_UINT(world_records(w, "\"reason\":\"never_for\"", "\"revoke\""), 2);
    world_close(w);
}

/* ------------------------------------------------------- over a restart */

static void test_restart_keeps_the_window(void **state)
{
    static const struct {
        const char *name;
        int64_t pass_ms, jump_ms;
        const char *want;
    } rows[] = {
        {"at once", 0, 0, "withheld"},
        {"clock put back", 0, -DAY, "withheld"},
        {"within the window", 4 * MINUTE, 0, "withheld"},
        {"after the window", 5 * MINUTE, 0, "running"},
        {"down for longer", 0, 5 * MINUTE, "running"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        check_row(rows[i].name);
        struct world *w = open_with(SUSPEND_2, 3);
        stop(w, "hr", A1);
        stop(w, "hr", A2);
        w->wall += rows[i].jump_ms;
        CHECK_INT(world_restart(w), 0);
        world_pass(w, rows[i].pass_ms);
        stop(w, "hr", A3);
        CHECK_STR(revoked(w, A3), rows[i].want);
        world_close(w);
    }
    check_row(NULL);
}

/* A limit that is gone leaves nothing behind, in memory and on disk. */
static void test_limit_taken_away(void **state)
{
    (void)state;
    struct world *w = open_with(SUSPEND_2, 3);
    stop(w, "hr", A1);
    stop(w, "hr", A2);
    w->policy = world_policy(w, RULES);
    CHECK_INT(world_restart(w), 0);
    world_pass(w, 2000);
    CHECK_UINT(w->e->limits.by_key.count, 0);
    CHECK_INT(world_restart(w), 0);
    CHECK_UINT(w->e->limits.by_key.count, 0);
    stop(w, "hr", A3);
    CHECK_STR(revoked(w, A3), "running");
    world_close(w);
}

/* ----------------------------------------------------- withheld jobs */

static uint64_t order(struct world *w, enum operator_verb verb,
                      const char *reason)
{
    struct in in = {.kind = IN_OPERATOR};
    in.operator.token = ++ w->next_token;
    in.operator.person = SPAN("ann");
    in.operator.reason = span_str(reason);
    in.operator.verb = verb;
    in.operator.job_id = job_of(w, A3, JOB_REVOKE)->id;
    (void)world_step(w, in);
    return in.operator.token;
}

static struct world *open_withheld(void)
{
    struct world *w = open_with(SUSPEND_2, 3);
    stop(w, "hr", A1);
    stop(w, "hr", A2);
    stop(w, "hr", A3);
    CHECK_STR(revoked(w, A3), "withheld");
    return w;
}

static unsigned attempts(const struct world *w)
{
    return job_of(w, A3, JOB_REVOKE)->attempts;
}

static void test_withheld_job_waits_for_good(void **state)
{
    struct engine_stats s;
    (void)state;
    struct world *w = open_withheld();
    world_pass(w, 30 * DAY);
    CHECK_STR(revoked(w, A3), "withheld");
    CHECK_INT(world_restart(w), 0);
    world_pass(w, DAY);
    CHECK_STR(revoked(w, A3), "withheld");
    CHECK_UINT(attempts(w), 0);
    CHECK_SPAN(job_of(w, A3, JOB_REVOKE)->why,
               SPAN("limits.suspend: 3 agents of hr within 5m, limit 2"));
    engine_stats_get(w->e, &s);
    CHECK_UINT(s.jobs_withheld, 1);
    CHECK_UINT(s.jobs_open, 0);
    CHECK_INT(s.oldest_unconfirmed_ms, 0);
    world_close(w);
}

static void test_operator_lets_it_go(void **state)
{
    (void)state;
    struct world *w = open_withheld();
    CHECK_INT(world_done(w, order(w, OP_JOB_RETRY, "")), RC_INVALID);
    CHECK_STR(revoked(w, A3), "withheld");
    world_pass(w, DAY);
    w->auto_store = false;
    uint64_t token = order(w, OP_JOB_RETRY, "I have seen it");
    world_pass(w, 1000);
    CHECK_UINT(attempts(w), 0); /* not before the word is on disk */
    CHECK_INT(world_done(w, token), 1);
    w->auto_store = true;
    world_commit(w);
    CHECK_UINT(attempts(w), 1);
    CHECK_STR(revoked(w, A3), "running");
    const struct out_job *o = NULL;
    for (unsigned i = 0; i < w->job_count; i++)
        if (span_eq(w->jobs[i].uri, span_str(A3)) &&
            w->jobs[i].kind == JOB_REVOKE)
            o = &w->jobs[i];
    CHECK(o != NULL);
    world_job_done(w, o, JOB_DONE_CONFIRMED);
    CHECK_STR(revoked(w, A3), "confirmed");
    world_close(w);
}

/* Once let go it has a deadline like any other, also over a restart. */
static void test_let_go_ends(void **state)
{
    (void)state;
    struct world *w = open_withheld();
    world_pass(w, 3 * DAY);
    (void)order(w, OP_JOB_RETRY, "I have seen it");
    CHECK_INT(world_restart(w), 0);
    w->wall -= DAY;
    CHECK_INT(world_restart(w), 0);
    CHECK_STR(revoked(w, A3), "running");
    const uint64_t id = job_of(w, A3, JOB_REVOKE)->id;
    world_pass(w, 30000);
    CHECK_STR(job_state_word(job_find(&w->e->jobs, id)->state), "failed");
    world_close(w);
}

static void test_operator_abandons_it(void **state)
{
    struct engine_stats s;
    (void)state;
    struct world *w = open_withheld();
    (void)order(w, OP_JOB_ABANDON, "not this one");
    CHECK_STR(revoked(w, A3), "abandoned");
    CHECK_INT(world_done(w, order(w, OP_JOB_RETRY, "again")), RC_STATE);
    engine_stats_get(w->e, &s);
    CHECK_UINT(s.jobs_withheld, 0);
    CHECK_UINT(s.withheld, 1);
    CHECK_INT(world_restart(w), 0);
    CHECK(job_of(w, A3, JOB_REVOKE) == NULL);
    world_close(w);
}

/* What runs of these jobs is confirmed by its target. */
static void confirm_running(struct world *w, const char *uri)
{
    const struct out_job *found = NULL;
    for (unsigned i = 0; i < w->job_count; i++)
        if (span_eq(w->jobs[i].uri, span_str(uri)) &&
            w->jobs[i].kind == JOB_REVOKE)
            found = &w->jobs[i];
    CHECK(found != NULL);
    world_job_done(w, found, JOB_DONE_CONFIRMED);
}

/* Another statement, within the limit, revokes the token: nobody needs to
 * decide about the withheld job any more. One for another token stays. */
static void test_revoked_by_another(void **state)
{
    (void)state;
    struct world *w = open_with(SUSPEND_2, 3);
    (void)world_credential(w, A3, "t2", false);
    stop(w, "hr", A1);
    stop(w, "hr", A2);
    stop(w, "hr", A3);
    CHECK_UINT(w->e->jobs.withheld_count, 2);
    stop(w, "it", A3);
    CHECK_UINT(w->e->jobs.withheld_count, 2);
    confirm_running(w, A3);
    CHECK_UINT(w->e->jobs.withheld_count, 1);
    CHECK_UINT(world_records(w, "\"outcome\":\"confirmed\"",
                             "revoked the same token\""),
               1);
    CHECK_INT(world_restart(w), 0);
    CHECK_UINT(w->e->jobs.withheld_count, 1); /* of the other token */
    world_close(w);
}

/* The same name again, but another secret behind it: that is not the token
 * that was revoked. */
static void test_not_by_one_of_the_same_name(void **state)
{
    (void)state;
    struct world *w = open_withheld();
    struct in in = {.kind = IN_CREDENTIAL};
    in.credential.token = ++w->next_token;
    in.credential.base = -1;
    in.credential.uri = span_str(A3);
    in.credential.credential_id = SPAN("t");
    in.credential.issuer = SPAN("https://as.example");
    in.credential.runtime = SPAN("r1");
    in.credential.sealed = SPAN("another");
    (void)world_step(w, in);
    stop(w, "it", A3);
    confirm_running(w, A3);
    CHECK_UINT(w->e->jobs.withheld_count, 1);
    world_close(w);
}

/* More statements about one agent withhold its token once. */
static void test_withheld_once(void **state)
{
    (void)state;
    struct world *w = open_withheld();
    world_pass(w, 1000);
    stop(w, "hr", A3);
    CHECK_UINT(w->e->jobs.withheld_count, 1);
    CHECK_UINT(world_holds(w, A3), 2); /* one for each statement, as ever */
    world_close(w);
}

/* They must not take the room of jobs that run: the log has the rest. */
static void test_room_for_others(void **state)
{
    (void)state;
    struct world *w = open_with("limits: {suspend: {max: 1, per: 5m}}\n", 6);
    w->e->jobs.max = 8;
    for (unsigned i = 1; i <= 6; i++)
        stop(w, "hr", (const char *)world_text(w, "/Agents/%u%c", i, 0).p);
    CHECK_UINT(w->e->jobs.withheld_count, 4);
    CHECK_UINT(world_records(w, "this one is not kept", "\"withheld\""), 1);
    CHECK_UINT(world_holds(w, "/Agents/6"), 1);
    stop(w, "it", "/Agents/6");
    CHECK_STR(revoked(w, "/Agents/6"), "running");
    world_close(w);
}

/* A token that is registered afterwards is not revoked behind the limit. */
static void test_token_of_later(void **state)
{
    (void)state;
    struct world *w = open_with(SUSPEND_2, 2);
    stop(w, "hr", A1);
    stop(w, "hr", A2);
    stop(w, "hr", A3); /* has no token yet */
    CHECK_STR(revoked(w, A3), "none");
    (void)world_credential(w, A3, "t", false);
    CHECK_STR(revoked(w, A3), "withheld");
    (void)world_credential(w, A2, "t2", false);
    CHECK_STR(revoked(w, A2), "withheld"); /* its feed is beyond as well */
    world_pass(w, 6 * MINUTE);
    (void)world_credential(w, A3, "t2", false);
    CHECK_STR(revoked(w, A3), "running");
    world_close(w);
}

/* Calls are cancelled and runtimes told, whatever is withheld; a purge that is
 * withheld is told only when it is let go. */
static void test_cancel_goes_on(void **state)
{
    (void)state;
    struct world *w = world_open(
        "rules:\n"
        "  - {name: stop, events: deactivate,\n"
        "     do: [purge, {hold: suspended}, cancel]}\n"
        "limits: {suspend: {max: 1, per: 5m}}\n");
    (void)world_ask(w, A3, "x");
    CHECK(world_reply(w, A3, READ_OK, "e", ACTIVE));
    (void)world_hello(w, "r1", A3, "");
    CHECK_STR(world_says(w, world_begin(w, A3, "deploy", "c1")), "allow");
    stop(w, "hr", A1);
    stop(w, "hr", A3);
    CHECK_UINT(world_directives(w, DIRECTIVE_CANCEL, NULL), 1);
    CHECK_UINT(world_directives(w, DIRECTIVE_PURGE, NULL), 0);
    CHECK_STR(job_state(w, A3, JOB_PURGE), "withheld");
    struct in in = {.kind = IN_OPERATOR};
    in.operator.token = ++ w->next_token;
    in.operator.person = SPAN("ann");
    in.operator.reason = SPAN("seen");
    in.operator.verb = OP_JOB_RETRY;
    in.operator.job_id = job_of(w, A3, JOB_PURGE)->id;
    (void)world_step(w, in);
    CHECK_UINT(world_directives(w, DIRECTIVE_PURGE, NULL), 1);
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_feed_has_its_count),
        cmocka_unit_test(test_all_feeds_together),
        cmocka_unit_test(test_window_slides),
        cmocka_unit_test(test_order_of_rules_is_nothing),
        cmocka_unit_test(test_members_at_once),
        cmocka_unit_test(test_reads_and_operators),
        cmocka_unit_test(test_reads_of_a_feed_beyond),
        cmocka_unit_test(test_order_of_pending_is_nothing),
        cmocka_unit_test(test_not_taken_is_not_counted),
        cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_actions_are_counted_but_for_people),
        cmocka_unit_test(test_people_once_a_window),
        cmocka_unit_test(test_never_for),
        cmocka_unit_test(test_never_for_needs_a_read_under_the_policy),
        cmocka_unit_test(test_restart_keeps_the_window),
        cmocka_unit_test(test_limit_taken_away),
        cmocka_unit_test(test_withheld_job_waits_for_good),
        cmocka_unit_test(test_operator_lets_it_go),
        cmocka_unit_test(test_let_go_ends),
        cmocka_unit_test(test_operator_abandons_it),
        cmocka_unit_test(test_withheld_once),
        cmocka_unit_test(test_revoked_by_another),
        cmocka_unit_test(test_not_by_one_of_the_same_name),
        cmocka_unit_test(test_room_for_others),
        cmocka_unit_test(test_token_of_later),
        cmocka_unit_test(test_cancel_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
