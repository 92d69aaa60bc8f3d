// SPDX-License-Identifier: Apache-2.0
/*
 * Schedules over days, and restarts between any two inputs.
 */
#include <stdio.h>
#include <string.h>

#include "tests/semantics/sample.h"

#define HOUR INT64_C(3600000)
#define DAY (24 * HOUR)
#define ACTIVE "{\"active\":true}"
#define TITLE_A "{\"active\":true,\"title\":\"a\"}"
#define INACTIVE "{\"active\":false}"

/* ---- schedules ---- */

#define LONG                                                                   \
    "defaults: {refresh: {timeout: 60s}, max_age: 3650d, feed_silent: "        \
    "never}\nactions: {page: {http: {url: 'https://page.example/'}}}\n"
static const char *const schedules[] = {
    LONG
    "rules:\n  - {name: every, events: {every: 54h}, do: [page]}\n"
    "  - {name: unused, events: [deactivate, {idle: 30h}], do: [{hold: "
    "suspended}]}\n"
    "  - {name: back, events: [refreshed], where: 'title eq \"a\"', do: "
    "[{release: {suspended: {set_by: [unused]}}}]}\n",
    LONG
    "rules:\n  - {name: every, events: {every: 30h}, where: 'title ne "
    "\"a\"', do: [{hold: {review: {by: 'id pr', within: 13h, otherwise: "
    "suspended}}}]}\n"
    "  - {name: both, events: [{idle: 54h}, {every: 78h}], do: [page, "
    "cancel]}\n",
    LONG
    "limits: {suspend: {max: 1, per: 10d, beyond: page}}\nrules:\n"
    "  - {name: every, events: {every: 30h}, mode: {audit: {until: "
    "2099-01-01}}, do: [{hold: suspended}]}\n"
    "  - {name: unused, events: {idle: 30h}, do: [{hold: suspended}, "
    "cancel]}\n",
};

/* Days in which what has to be read is read. */
#define DAYS(n)                                                                \
    {                                                                          \
        .what = PASS, .ms = (n)*DAY, .json = ACTIVE, .etag = "d"               \
    }
static const struct input days[][2] = {
    {DAYS(1), DAYS(1)},
    {DAYS(3), ASKS("kb.read")},
    {ASKS("kb.read"), READS(TITLE_A, "a")},
    {{.what = SAY, .uri = A1, .type = EVENT_DEACTIVATE}, DAYS(1)},
    {ASKS("kb.read"), {.what = READ, .uri = A1, .result = READ_GONE}},
    {{.what = RELOAD}, DAYS(1)},
    {{.what = RESTART, .ms = DAY}, DAYS(1)},
    {{.what = RESTART, .ms = 3 * DAY}, {.what = RESTART}},
    {{.what = RESTART}, DAYS(2)},
};

static void every_week(struct universe *u, const struct sampled *p,
                       const struct sampled *next, struct input *in,
                       unsigned at, unsigned end)
{
    if (at == end)
        sample_reload(u, p, next, in, at, NULL);
    for (unsigned i = 0; at < end && i < COUNT_OF(days); i++) {
        in[at] = days[i][0];
        in[at + 1] = days[i][1];
        in[at + 2] = (struct input){.what = PASS}; /* it is written */
        every_week(u, p, next, in, at + 3, end);
    }
}

static void a_schedule_runs_once_a_period(void **state)
{
    struct universe *u = universe_open();
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(schedules); i++) {
        struct input in[INPUTS_MAX] = {
            ASKS("kb.read"), READS(ACTIVE, "e0"), {.what = PASS}};
        const struct sampled *p = universe_policy(u, "%s", schedules[i]);
        const struct sampled *next =
            universe_policy(u, "%s", schedules[(i + 1) % COUNT_OF(schedules)]);
        CHECK(p != NULL && next != NULL);
        every_week(u, p, next, in, 3, 12);
    }
    universe_report(u, "schedules");
    universe_close(u);
}

/* A clock that jumps to another year makes nobody due. */
static void a_wrong_clock_makes_nobody_due(void **state)
{
    static const int64_t jumps[] = {400 * DAY, -400 * DAY, 29 * DAY, 8 * DAY};
    struct universe *u = universe_open();
    const struct sampled *p = universe_policy(
        u, LONG
        "rules: [{name: unused, events: [{idle: 30d}, {every: 20d}], "
        "do: [{hold: suspended}]}]\n");
    (void)state;
    CHECK(p != NULL);
    for (unsigned i = 0; i < COUNT_OF(jumps); i++)
        for (unsigned d = 1; d < 11; d++) {
            const struct input in[] = {ASKS("kb.read"),
                                       READS(ACTIVE, "e0"),
                                       DAYS(d),
                                       {.what = RESTART, .ms = jumps[i]},
                                       DAYS(1)};
            struct ending end;
            sample(u, p, in, COUNT_OF(in), &end);
            CHECK_UINT(end.holds.count, 0);
        }
    universe_close(u);
}

/* ---- restarts ---- */

#define HOLDS                                                                  \
    "defaults: {refresh: {timeout: 60s}}\n"                                    \
    "feeds: {hr: {may: [suspend, refresh]}}\nrules:\n"                         \
    "  - {name: stop, events: [deactivate, delete, found_inactive, "           \
    "found_gone], do: [{hold: suspended}, cancel]}\n"                          \
    "  - {name: look, events: [patch], do: [{hold: {review: {by: "             \
    "'groups.value eq \"judges\"', within: 1h, otherwise: suspended, tools: "  \
    "[\"pay.*\"]}}}]}\n"                                                       \
    "  - {name: wait, events: [patch, caep.session-revoked], where: 'title "   \
    "eq \"a\"', do: [{hold: suspended}]}\n"                                    \
    "  - {name: back, events: [activate, refreshed], where: 'active eq true "  \
    "and title ne \"a\"', do: [{release: {suspended: {set_by: [stop, "         \
    "wait]}}}]}\n"                                                             \
    "gate: [{name: g, tools: [\"*\"], require: 'not (active eq false)'}]\n"

static const struct input alphabet[] = {
    {.what = SAY, .uri = A1, .type = EVENT_DEACTIVATE, .version = "e1"},
    {.what = SAY, .uri = A1, .type = EVENT_ACTIVATE, .feed = "hr"},
    {.what = SAY, .uri = A1, .type = EVENT_PATCH},
    {.what = SAY, .uri = A1, .type = EVENT_CAEP_SESSION_REVOKED},
    {.what = SAY, .uri = A1, .type = EVENT_DELETE},
    {.what = SAY, .uri = A1, .type = EVENT_FEED_REMOVE},
    {.what = SAY, .uri = A1, .type = EVENT_FEED_ADD},
    {.what = SAY, .uri = G1, .type = EVENT_PATCH, .jti = "g"},
    ASKS("kb.read"),
    READS("{\"active\":true,\"title\":\"b\",\"groups\":[{\"value\":\"g\"}]}",
          "e2"),
    READS(TITLE_A, "e1"),
    READS(INACTIVE, "e0"),
    {.what = READ, .uri = A1, .result = READ_GONE},
    {.what = PASS},
    {.what = HOLD, .uri = A1},
    {.what = APPROVE, .uri = A1},
};

static bool allows(const struct ending *e, unsigned i)
{
    return strstr(e->says.at[i], ": allow") != NULL;
}

/* In every place; with a statement that was not stored, half of the time. */
static void restart_everywhere(struct universe *u, const struct sampled *p,
                               const struct input *in, unsigned n)
{
    for (unsigned at = 0; at <= n; at++) {
        struct input with[INPUTS_MAX];
        struct ending before, after;
        memcpy(with, in, at * sizeof *in);
        sample(u, p, with, at, &before);
        with[at] = (struct input){.what = RESTART};
        if ((at + n) % 2 == 0)
            with[at] = (struct input){.what = RESTART,
                                      .uri = A1,
                                      .type = EVENT_RISC_ACCOUNT_DISABLED};
        sample(u, p, with, at + 1, &after);
        for (unsigned k = 0; k < 4; k++)
            if (allows(&after, k)) /* all must be read again */
                sample_fail(p, with, at + 1, "%s", after.says.at[k]);
        lines_sort(&before.holds);
        lines_sort(&after.holds);
        if (!lines_equal(&before.holds, &after.holds))
            sample_fail(p, with, at + 1, "%u holds, then %u",
                        before.holds.count, after.holds.count);
        memcpy(with + at + 1, in + at, (n - at) * sizeof *in);
        sample(u, p, with, n + 1, NULL);
    }
}

static void a_restart_loosens_nothing(void **state)
{
    struct universe *u = universe_open();
    const struct sampled *p = universe_policy(u, HOLDS);
    const unsigned count = COUNT_OF(alphabet);
    (void)state;
    CHECK(p != NULL);
    for (unsigned i = 0; i < count * count * count; i++) {
        struct input in[INPUTS_MAX] = {ASKS("kb.read"),
                                       READS("{\"active\":true}", "e0")};
        in[2] = alphabet[i % count];
        in[3] = alphabet[i / count % count];
        in[4] = alphabet[i / count / count];
        if (i % 5 == 0)
            restart_everywhere(u, p, in, 5);
    }
    universe_report(u, "restarts");
    universe_close(u);
}

/* The same inputs with and without a restart, then a read from after it all:
 * the same standing. */
static void after_a_restart_a_read_finds_the_same(void **state)
{
    static const char *const found[] = {"{\"active\":true,\"title\":\"b\"}",
                                        TITLE_A, INACTIVE};
    struct universe *u = universe_open();
    const struct sampled *p = universe_policy(u, HOLDS);
    const unsigned count = 8; /* statements */
    const struct input last = {.what = SAY, .uri = A1, .type = EVENT_ASYNCRESP};
    (void)state;
    for (unsigned i = 0; i < count * count * 9; i++) {
        struct ending without, with;
        struct input in[INPUTS_MAX] = {ASKS("kb.read"),
                                       READS("{\"active\":true}", "e0")};
        const char *json = found[i / count / count % 3];
        in[2] = alphabet[i % count];
        in[3] = alphabet[i / count % count];
        const struct input end[] = {last,
                                    {.what = PASS},
                                    ASKS("kb.read"),
                                    READS(json, "e9"),
                                    ASKS("kb.read"),
                                    {.what = PASS},
                                    READS(json, "e9")};
        memcpy(in + 4, end, sizeof end);
        sample(u, p, in, 11, &without);
        const unsigned at = 2 + i / count / count / 3;
        memmove(in + at + 1, in + at, (11 - at) * sizeof *in);
        in[at] = (struct input){.what = RESTART};
        sample(u, p, in, 12, &with);
        lines_sort(&with.holds);
        lines_sort(&without.holds);
        with.says.count = without.says.count = 2;
        if (!lines_equal(&with.holds, &without.holds) ||
            !lines_equal(&with.says, &without.says))
            sample_fail(p, in, 12, "%s, %u holds; without the restart %s, %u",
                        with.says.at[0], with.holds.count, without.says.at[0],
                        without.holds.count);
    }
    universe_report(u, "the same after a restart");
    universe_close(u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_schedule_runs_once_a_period),
        cmocka_unit_test(a_wrong_clock_makes_nobody_due),
        cmocka_unit_test(a_restart_loosens_nothing),
        cmocka_unit_test(after_a_restart_a_read_finds_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
