// SPDX-License-Identifier: Apache-2.0
/* Many stale agents, one request: what goes into a list, what it costs of the
 * budget, what an answer proves, and that nothing is proved by what it leaves
 * out. */
#include <string.h>

#include "tests/lib/world.h"

#define AGENTS 200
#define BUDGET 4
#define LIST 10

static const char *uri_of(struct world *w, unsigned i)
{
    return (const char *)world_text(w, "/Agents/%u", i).p;
}

/* All known, all members of one group, each with a running call. */
static struct world *open_members(const char *policy)
{
    struct world *w = world_open(policy);
    world_crowd(w, AGENTS);
    w->conf.bases[0].reads_max = BUDGET;
    w->conf.bases[0].list_max = LIST;
    return w;
}

static void group_event(struct world *w)
{
    static unsigned n;
    const char *jti = (const char *)world_text(w, "g%u", n++).p;
    (void)EVENT(w, .jti = jti, .type = EVENT_PATCH, .uri = "/Groups/g",
                .changed = "displayName");
}

/* The read in flight of this agent, or NULL. */
static const struct out_read *reading(const struct world *w, const char *uri)
{
    for (unsigned i = 0; i < w->read_count; i++)
        if (span_eq(w->reads[i].uri, span_str(uri)))
            return &w->reads[i];
    return NULL;
}

static unsigned requests(const struct world *w, unsigned *ret_lists)
{
    uint64_t lists[AGENTS];
    unsigned n = 0, alone = 0;
    for (unsigned i = 0; i < w->read_count; i++) {
        unsigned at = 0;
        while (at < n && lists[at] != w->reads[i].list)
            at++;
        alone += w->reads[i].list == 0;
        if (w->reads[i].list != 0 && at == n)
            lists[n++] = w->reads[i].list;
    }
    *ret_lists = n;
    return n + alone;
}

/* Who is in this list, in the order of the reads. */
static unsigned members(const struct world *w, uint64_t list,
                        const char *uris[AGENTS])
{
    unsigned n = 0;
    for (unsigned i = 0; i < w->read_count; i++)
        if (w->reads[i].list == list)
            uris[n++] = (const char *)w->reads[i].uri.p;
    return n;
}

/* Ends the oldest request in flight, all that is in it. */
static void end_request(struct world *w, enum read_result result,
                        const char *etag)
{
    const char *uris[AGENTS] = {(const char *)w->reads[0].uri.p};
    uint64_t list = w->reads[0].list;
    unsigned n = list == 0 ? 1 : members(w, list, uris);
    for (unsigned i = 0; i < n; i++)
        CHECK(world_reply(w, uris[i], list == 0 ? READ_OK : result, etag,
                          IN_GROUP));
}

/* Until nothing is in flight; returns the number of requests. */
static unsigned end_all(struct world *w, const char *etag)
{
    unsigned n = 0, lists;
    for (; w->read_count > 0; n++) {
        end_request(w, READ_OK, etag);
        CHECK_UINT(w->e->bases[0].reading, requests(w, &lists));
        CHECK_UINT(w->e->bases[0].listing, lists);
        CHECK(w->e->bases[0].reading <= w->conf.bases[0].reads_max);
        CHECK(lists < BUDGET);
    }
    return n;
}

/* Room is used for single reads, its last place for a list; one place of the
 * budget is never taken by a list. A list counts as one request. */
static void test_budget(void **state)
{
    (void)state;
    struct world *w = open_members("defaults: {max_age: 1h}\n");
    unsigned lists, before = w->reads_started;
    group_event(w);
    CHECK_UINT(requests(w, &lists), BUDGET);
    CHECK_UINT(lists, 0); /* there was room for these */
    unsigned n = end_all(w, "e1");
    CHECK_UINT(w->reads_started - before, AGENTS);
    CHECK(n >= AGENTS / LIST && n < AGENTS / 4);
    CHECK(w->e->stats.reads_listed > AGENTS * 3 / 4);
    CHECK_UINT(w->e->stats.reads_unlisted, 0);
    for (unsigned i = 0; i < AGENTS; i++)
        CHECK_STR(world_may(w, uri_of(w, i), "x"), "allow");
    world_close(w);
}

/* Where there is one place, a list may take it. */
static void test_one_place(void **state)
{
    (void)state;
    struct world *w = open_members("defaults: {max_age: 1h}\n");
    w->conf.bases[0].reads_max = 1;
    group_event(w);
    CHECK_UINT(end_all(w, "e1"), 1 + (AGENTS - 1 + LIST - 1) / LIST);
    world_close(w);
}

static const struct {
    const char *name;
    unsigned reads_max, list_max;
} without[] = {{"no lists", BUDGET, 0},
               {"lists of one", BUDGET, 1},
               {"no budget", 0, LIST}};

static void test_without(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(without); i++) {
        struct world *w = open_members("defaults: {max_age: 1h}\n");
        check_row(without[i].name);
        w->conf.bases[0].reads_max = without[i].reads_max;
        w->conf.bases[0].list_max = without[i].list_max;
        group_event(w);
        while (w->read_count > 0)
            end_request(w, READ_OK, "e1");
        CHECK_UINT(w->e->stats.reads_listed, 0);
        world_close(w);
    }
    check_row(NULL);
}

/* The first list; everything before it is answered. */
static uint64_t first_list(struct world *w)
{
    while (w->read_count > 0 && w->reads[0].list == 0)
        end_request(w, READ_OK, "e1");
    CHECK(w->read_count > 0);
    return w->reads[0].list;
}

static void test_content(void **state)
{
    (void)state;
    struct world *w = open_members("defaults: {max_age: 1h}\n");
    const char *uris[AGENTS];
    group_event(w);
    uint64_t list = first_list(w);
    CHECK_UINT(members(w, list, uris), LIST);
    const struct out_read *first = reading(w, uris[0]);
    for (unsigned i = 0; i < LIST; i++) {
        const struct out_read *o = reading(w, uris[i]);
        CHECK_UINT(o->list, list);
        CHECK_UINT(o->if_none_match.n, 0); /* a list has no 304 */
        CHECK_UINT(o->attributes.count, first->attributes.count);
        CHECK(o == first + i); /* one follows the other */
    }
    world_close(w);
}

/* Who asks does not wait for a long answer: it is read alone, in a place that
 * no list takes. */
static void test_asked(void **state)
{
    (void)state;
    struct world *w = open_members("defaults: {max_age: 1h}\n");
    const char *last = uri_of(w, AGENTS - 1);
    unsigned lists, turns = 0;
    group_event(w);
    do
        end_request(w, READ_OK, "e1");
    while (requests(w, &lists) == BUDGET && lists < BUDGET - 1);
    CHECK_UINT(lists, BUDGET - 1);
    uint64_t q = world_ask(w, last, "x");
    CHECK_STR(world_says(w, q), "wait");
    while (reading(w, last) == NULL && turns < BUDGET) {
        for (unsigned i = 0; i < w->read_count; i++) {
            if (w->reads[i].list != 0)
                continue;
            CHECK(world_reply(w, (const char *)w->reads[i].uri.p, READ_OK, "e1",
                              IN_GROUP));
            break;
        }
        turns++;
    }
    CHECK(turns <= 2); /* one, or the turn of the others was just then */
    CHECK_UINT(reading(w, last)->list, 0);
    CHECK(world_reply(w, last, READ_OK, "e1", IN_GROUP));
    CHECK_STR(world_says(w, q), "allow");
    world_close(w);
}

/* ------------------------------------------------------------ what it proves
 */

#define STOP                                                                   \
    "defaults: {max_age: 1h}\n"                                                \
    "rules:\n"                                                                 \
    "  - name: stop\n"                                                         \
    "    events: [deactivate, found_inactive, found_gone]\n"                   \
    "    do: [{hold: suspended}]\n"                                            \
    "  - name: come-back\n"                                                    \
    "    events: [activate, refreshed]\n"                                      \
    "    where: 'active eq true'\n"                                            \
    "    do: [{release: {suspended: {set_by: [stop]}}}]\n"

#define INACTIVE_IN_GROUP "{\"active\":false,\"groups\":[{\"value\":\"g\"}]}"

/* An answer in a list after an event of the group, and after one of the agent's
 * own when `own`: then what the gate says, whether it is held, and whether it
 * is read again at once, alone. */
static const struct {
    const char *name;
    enum read_result result;
    const char *etag, *json;
    bool event_during;
    const char *want;
    unsigned holds;
    bool alone;
} proofs[] = {
    {"another version", READ_OK, "e1", IN_GROUP, false, "allow", 0, false},
    {"the version of before", READ_OK, "e0", IN_GROUP, false, "wait", 0, false},
    {"no version", READ_OK, "", IN_GROUP, false, "wait", 0, false},
    {"an event meanwhile", READ_OK, "e1", IN_GROUP, true, "wait", 0, false},
    {"inactive", READ_OK, "e0", INACTIVE_IN_GROUP, false, "agent_suspended", 1,
     false},
    {"left out", READ_UNLISTED, "", NULL, false, "wait", 0, true},
    {"no list", READ_LIST_FAILED, "", NULL, false, "wait", 0, true},
    {"gone, says a list", READ_GONE, "", NULL, false, "wait", 0, true},
    {"304 to a list", READ_NOT_MODIFIED, "e0", NULL, false, "wait", 0, true},
    {"groups are left out", READ_OK, "e1", "{\"active\":true}", false, "wait",
     0, true},
    {"active is left out", READ_OK, "e1", "{\"groups\":[{\"value\":\"g\"}]}",
     false, "wait", 0, true},
};

static void test_proofs(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(proofs); i++) {
        struct world *w = open_members(STOP);
        const char *uris[AGENTS];
        check_row(proofs[i].name);
        group_event(w);
        (void)members(w, first_list(w), uris);
        if (proofs[i].event_during)
            group_event(w);
        CHECK(world_reply(w, uris[1], proofs[i].result, proofs[i].etag,
                          proofs[i].json));
        CHECK_STR(world_may(w, uris[1], "x"), proofs[i].want);
        CHECK_UINT(world_holds(w, uris[1]), proofs[i].holds);
        CHECK_UINT(world_records(w, "\"gone\"", uris[1]), 0);
        CHECK_UINT(w->e->stats.reads_unlisted, proofs[i].alone);
        if (proofs[i].alone) { /* a read of its own says what it is */
            while (reading(w, uris[1]) == NULL)
                end_request(w, READ_OK, "e1");
            CHECK_UINT(reading(w, uris[1])->list, 0);
        }
        world_close(w);
    }
    check_row(NULL);
}

/* A list that leaves somebody out, and a read that then says 404. */
static void test_left_out_then_gone(void **state)
{
    (void)state;
    struct world *w = open_members(STOP);
    const char *uris[AGENTS];
    group_event(w);
    (void)members(w, first_list(w), uris);
    CHECK(world_reply(w, uris[3], READ_UNLISTED, NULL, NULL));
    CHECK_UINT(world_holds(w, uris[3]), 0);
    CHECK_UINT(w->e->stats.reads_unlisted, 1);
    CHECK_UINT(w->e->stats.reads_failed, 0);
    while (reading(w, uris[3]) == NULL)
        end_request(w, READ_OK, "e1");
    CHECK(world_reply(w, uris[3], READ_GONE, NULL, NULL));
    CHECK_UINT(world_holds(w, uris[3]), 1);
    world_close(w);
}

/* A server without lists is asked for one a minute, and no more. */
static void test_pause(void **state)
{
    (void)state;
    struct world *w = open_members("defaults: {max_age: 1h}\n");
    unsigned lists;
    group_event(w);
    (void)first_list(w);
    do
        end_request(w, READ_LIST_FAILED, "");
    while (requests(w, &lists) > 0 && lists > 0);
    uint64_t listed = w->e->stats.reads_listed;
    CHECK(listed <= (BUDGET - 1) * LIST); /* those that were under way */
    while (w->read_count > 0)
        end_request(w, READ_OK, "e1");
    CHECK_UINT(w->e->stats.reads_listed, listed);
    for (unsigned i = 0; i < AGENTS; i++)
        CHECK_STR(world_may(w, uri_of(w, i), "x"), "allow");
    world_pass(w, READ_LIST_PAUSE_MS);
    group_event(w);
    (void)end_all(w, "e2");
    CHECK(w->e->stats.reads_listed > listed);
    world_close(w);
}

/* The shell loses a list: its place in the budget comes back. */
static void test_lost(void **state)
{
    (void)state;
    struct world *w = open_members("defaults: {max_age: 1h}\n");
    unsigned lists;
    group_event(w);
    (void)first_list(w);
    w->read_count = 0;
    world_pass(w, 5000); /* longer than any read may take */
    CHECK(w->read_count > 0);
    CHECK_UINT(w->e->bases[0].reading, requests(w, &lists));
    CHECK_UINT(w->e->bases[0].listing, lists);
    do
        (void)end_all(w, "e1");
    while (world_pass(w, 1000), w->read_count > 0);
    for (unsigned i = 0; i < AGENTS; i++)
        CHECK_STR(world_may(w, uri_of(w, i), "x"), "allow");
    world_close(w);
}

/* Of whom nothing is known yet, a list cannot be believed either. */
static void test_strangers(void **state)
{
    (void)state;
    struct world *w = world_open("defaults: {max_age: 1h}\n");
    w->conf.bases[0].reads_max = BUDGET;
    w->conf.bases[0].list_max = LIST;
    for (unsigned i = 0; i < AGENTS; i++)
        (void)world_ask(w, uri_of(w, i), "x");
    while (w->read_count > 0)
        end_request(w, READ_OK, "e1");
    CHECK_UINT(w->e->stats.reads_listed, 0);
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_one_place),
        cmocka_unit_test(test_without),
        cmocka_unit_test(test_content),
        cmocka_unit_test(test_asked),
        cmocka_unit_test(test_proofs),
        cmocka_unit_test(test_left_out_then_gone),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_strangers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
