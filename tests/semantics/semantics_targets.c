// SPDX-License-Identifier: Apache-2.0
/*
 * Whom a rule hits with `agents_where`; how long an old read serves with
 * `when_old`; what "not modified" and the silence of a feed mean.
 */
#include <stdio.h>
#include <string.h>

#include "tests/semantics/sample.h"

#define DEFAULTS "defaults: {refresh: {timeout: 60s}}\n"
#define REST                                                                   \
    ",\"groups\":[{\"value\":\"g\"}],\"parent\":{\"value\":\"2\"},"            \
    "\"owners\":[{\"value\":\"u\"}]}"
#define NO_TITLE "{\"active\":true" REST
#define TITLE_A "{\"active\":true,\"title\":\"a\"" REST
#define TITLE_B "{\"active\":true,\"title\":\"b\"" REST
#define ACTIVE "{\"active\":true}"

/* ---- agents_where ---- */

static const struct reach {
    const char *text, *uri;
} reaches[] = {
    {"subject: group, applies_to: members", G1},
    {"subject: user, applies_to: {owned_agents: {left: any_owner}}", U1},
    {"subject: user, applies_to: {owned_agents: {left: last_owner}}", U1},
    {"applies_to: children", A2},
};
static const char *const only[] = {"title eq \"a\"", "title ne \"a\"",
                                   "not (title pr)",
                                   "title eq \"a\" or groups.value eq \"g\""};
static const char *const jsons[] = {NO_TITLE, TITLE_A, TITLE_B};

static const struct sampled *narrowed(struct universe *u, unsigned reach,
                                      unsigned where, bool asks)
{
    return universe_policy(
        u,
        DEFAULTS
        "rules:\n  - {name: r, events: [deactivate, delete, found_inactive], "
        "%s, %sagents_where: '%s', do: [{hold: suspended}, cancel]}\n",
        reaches[reach].text, asks ? "where: 'active eq false', " : "",
        only[where]);
}

/* Before and after: what is read of the agent. */
static void narrow(struct universe *u, const struct sampled *p, const char *uri,
                   const char *before, const char *after)
{
    const struct input in[] = {
        ASKS("kb.read"),
        READS(before, "e0"),
        {.what = SAY, .uri = uri, .type = EVENT_DEACTIVATE},
        ASKS("kb.read"),
        {.what = READ, .uri = uri, .json = "{\"active\":false}", .etag = "o"},
        {.what = PASS},
        {.what = READ, .uri = uri, .json = "{\"active\":false}", .etag = "o2"},
        READS(after, "e1"),
        ASKS("kb.read"),
        READS(after, "e2")};
    struct input less[COUNT_OF(in)];
    for (unsigned out = 0; out < COUNT_OF(in); out++) {
        unsigned n = 0;
        for (unsigned i = 0; i < COUNT_OF(in); i++)
            if (i != out)
                less[n++] = in[i];
        sample(u, p, less, n, NULL);
    }
    less[0] = in[0];
    less[1] = in[1];
    less[2] = in[2];
    less[3] = (struct input){.what = RESTART};
    memcpy(less + 4, in + 3, (COUNT_OF(in) - 4) * sizeof *in);
    sample(u, p, less, COUNT_OF(in), NULL);
    sample(u, p, in, 5, NULL);
    less[1] = (struct input){.what = READ, .uri = A1, .result = READ_GONE};
    sample(u, p, less, 5, NULL);
}

static void agents_where_waits_for_what_it_cannot_know(void **state)
{
    struct universe *u = universe_open();
    (void)state;
    for (unsigned r = 0; r < COUNT_OF(reaches); r++)
        for (unsigned w = 0; w < 2 * COUNT_OF(only); w++) {
            const struct sampled *p =
                narrowed(u, r, w % COUNT_OF(only), w >= COUNT_OF(only));
            CHECK(p != NULL);
            for (unsigned i = 0; i < 9; i++)
                narrow(u, p, reaches[r].uri, jsons[i % 3], jsons[i / 3]);
        }
    universe_report(u, "agents_where");
    universe_close(u);
}

/* Who fulfils it is held when all is read, who does not is not. */
static void agents_where_hits_those_that_fulfil_it(void **state)
{
    struct universe *u = universe_open();
    (void)state;
    for (unsigned w = 0; w < COUNT_OF(only); w++)
        for (unsigned i = 0; i < 9; i++) {
            const struct sampled *p = narrowed(u, 0, w, false);
            const struct input in[] = {
                ASKS("kb.read"),
                READS(jsons[i % 3], "e0"),
                {.what = SAY, .uri = G1, .type = EVENT_DELETE},
                ASKS("kb.read"),
                READS(jsons[i / 3], "e1")};
            struct ending end;
            sample(u, p, in, COUNT_OF(in), &end);
            bool hit = false;
            for (unsigned k = 0; k < 2; k++) {
                const struct ref_sight sight = {
                    .resource =
                        universe_json(u, jsons[k == 0 ? i % 3 : i / 3])};
                hit = hit || ref_condition(p->policy->rules[0].agents_where,
                                           &sight) == TRUE_;
            }
            if ((end.holds.count > 0) != hit)
                sample_fail(p, in, COUNT_OF(in), "%u holds", end.holds.count);
        }
    universe_close(u);
}

/* ---- when_old ---- */

static const char *const olds[] = {
    "", ", when_old: deny", ", when_old: {allow_for: 6s}",
    ", when_old: {allow_for: 20s}, max_age: 3s",
    ", when_old: deny, mode: {audit: {until: 2099-01-01}}"};
static const char *const defaults[] = {"", ", when_old: {allow_for: 10s}"};

static const struct input aging[] = {
    {.what = PASS},
    ASKS("pay.send"),
    ASKS("kb.read"),
    {.what = READ, .uri = A1, .result = READ_FAILED},
    READS(ACTIVE, "e0"),
    {.what = SAY, .uri = A1, .type = EVENT_PATCH},
    {.what = PASS, .ms = 3000},
};

static void every_aging(struct universe *u, const struct sampled *p,
                        struct input *in, unsigned at, unsigned end)
{
    if (at == end)
        sample(u, p, in, at, NULL);
    for (unsigned i = 0; at < end && i < COUNT_OF(aging); i++) {
        in[at] = aging[i];
        every_aging(u, p, in, at + 1, end);
    }
}

static void an_old_read_serves_only_as_long_as_allowed(void **state)
{
    struct universe *u = universe_open();
    const unsigned n = COUNT_OF(olds);
    (void)state;
    for (unsigned i = 0; i < n * n * COUNT_OF(defaults); i++) {
        struct input in[INPUTS_MAX] = {
            ASKS("kb.read"),  READS(ACTIVE, "e0"),
            {.what = PASS},   ASKS("kb.read"),
            ASKS("pay.send"), {.what = READ, .uri = A1, .result = READ_FAILED}};
        const struct sampled *p = universe_policy(
            u,
            "defaults: {max_age: 5s, refresh: {timeout: 60s%s}}\n"
            "gate:\n  - {name: g1, tools: [\"pay.*\"]%s}\n"
            "  - {name: g2, tools: [\"*\"]%s}\n",
            defaults[i / n / n], olds[i % n], olds[i / n % n]);
        CHECK(p != NULL);
        every_aging(u, p, in, 6, 9);
        if (i % 8 == 0)
            every_aging(u, p, in, 2, 6);
    }
    universe_report(u, "when_old");
    universe_close(u);
}

/* ---- not modified, silence ---- */

static const struct input quiet[] = {
    ASKS("kb.read"),
    {.what = READ, .uri = A1, .result = READ_NOT_MODIFIED, .etag = "e9"},
    READS(TITLE_A, "e1"),
    READS("{\"active\":false}", "e2"),
    {.what = SAY, .uri = A1, .type = EVENT_PATCH, .version = "e1"},
    {.what = SAY, .uri = G1, .type = EVENT_PATCH, .feed = "hr"},
    {.what = PASS},
    {.what = PASS, .ms = 30000},
    {.what = ALIVE, .feed = "hr"},
    {.what = ALIVE},
    {.what = RESTART},
};

static void every_quiet(struct universe *u, const struct sampled *p,
                        struct input *in, unsigned at, unsigned end)
{
    if (at == end)
        sample(u, p, in, at, NULL);
    for (unsigned i = 0; at < end && i < COUNT_OF(quiet); i++) {
        in[at] = quiet[i];
        every_quiet(u, p, in, at + 1, end);
    }
}

static void not_modified_means_what_was_known(void **state)
{
    struct universe *u = universe_open();
    struct input in[INPUTS_MAX] = {ASKS("kb.read"), READS(NO_TITLE, "e0")};
    const struct sampled *p = universe_policy(
        u,
        "defaults: {feed_silent: never, max_age: 8s, refresh: {timeout: "
        "120s}}\nrules:\n"
        "  - {name: r, events: [patch, found_inactive], where: 'title eq "
        "\"a\"', do: [{hold: suspended}]}\n"
        "  - {name: back, events: [refreshed], where: 'title ne \"a\"', do: "
        "[{release: {suspended: {set_by: [r]}}}]}\n");
    (void)state;
    CHECK(p != NULL);
    every_quiet(u, p, in, 2, 6);
    universe_report(u, "not modified");
    universe_close(u);
}

static void a_silent_feed_makes_its_agents_stale(void **state)
{
    static const char *const then[] = {"{after: 20s, then: refresh}",
                                       "{after: 20s, then: record}"};
    struct universe *u = universe_open();
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct input in[INPUTS_MAX] = {ASKS("kb.read"), READS(NO_TITLE, "e0")};
        const struct sampled *p = universe_policy(
            u, "defaults: {feed_silent: %s, refresh: {timeout: 120s}}\n",
            then[i]);
        struct ending end;
        CHECK(p != NULL);
        every_quiet(u, p, in, 2, 5);
        in[2] = quiet[7]; /* 30 s */
        sample(u, p, in, 3, &end);
        CHECK_STR(end.says.at[0],
                  i == 0 ? A1 " pay.send: wait" : A1 " pay.send: allow");
    }
    universe_report(u, "silence");
    universe_close(u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agents_where_waits_for_what_it_cannot_know),
        cmocka_unit_test(agents_where_hits_those_that_fulfil_it),
        cmocka_unit_test(an_old_read_serves_only_as_long_as_allowed),
        cmocka_unit_test(not_modified_means_what_was_known),
        cmocka_unit_test(a_silent_feed_makes_its_agents_stale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
