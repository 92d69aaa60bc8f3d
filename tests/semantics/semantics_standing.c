// SPDX-License-Identifier: Apache-2.0
/*
 * Every history of a few inputs over a small alphabet: what the agent may do
 * after each of them. The histories of four inputs contain those of fewer.
 */
#include <stdio.h>
#include <string.h>

#include "tests/semantics/sample.h"

#define ACTIVE "{\"active\":true}"
#define INACTIVE "{\"active\":false}"
#define NO_BOOL "{\"active\":\"true\"}"
#define DEFAULTS "defaults: {refresh: {timeout: 60s}}\n"

#define HOLDS                                                                  \
    DEFAULTS                                                                   \
    "tool_classes: {money: [\"pay.*\"]}\n"                                     \
    "rules:\n"                                                                 \
    "  - {name: stop, events: [deactivate, delete, found_inactive, "           \
    "found_gone], do: [{hold: suspended}, cancel]}\n"                          \
    "  - {name: look, events: [patch], do: [{hold: {review: {by: "             \
    "'groups.value eq \"judges\"', within: 5s, otherwise: suspended, tools: "  \
    "[money]}}}]}\n"                                                           \
    "  - {name: back, events: [activate], where: 'active eq true', do: "       \
    "[{release: {suspended: {set_by: [stop, look]}}}]}\n"

static const struct input alphabet[] = {
    {.what = SAY, .uri = A1, .type = EVENT_DEACTIVATE, .version = "e1"},
    {.what = SAY, .uri = A1, .type = EVENT_ACTIVATE, .version = "e2"},
    {.what = SAY, .uri = A1, .type = EVENT_PATCH},
    {.what = SAY, .uri = A1, .type = EVENT_DELETE},
    {.what = SAY, .uri = A1, .type = EVENT_FEED_REMOVE},
    {.what = SAY, .uri = A1, .type = EVENT_FEED_ADD},
    {.what = SAY, .uri = A1, .type = EVENT_PATCH, .payload = 1},
    ASKS("pay.send"),
    ASKS("kb.read"),
    READS(ACTIVE, "e2"),
    READS(ACTIVE, "e0"),
    READS(INACTIVE, "e1"),
    READS(NO_BOOL, ""),
    {.what = READ, .uri = A1, .result = READ_GONE},
    {.what = READ, .uri = A1, .result = READ_FAILED},
    {.what = PASS},
    {.what = HOLD, .uri = A1},
    {.what = LIFT, .uri = A1},
    {.what = APPROVE, .uri = A1},
    {.what = DENY, .uri = A1},
};

static void every_history(struct universe *u, const struct sampled *p,
                          struct input *in, unsigned at, unsigned end)
{
    sample(u, p, in, at, NULL);
    for (unsigned i = 0; at < end && i < COUNT_OF(alphabet); i++) {
        in[at] = alphabet[i];
        every_history(u, p, in, at + 1, end);
    }
}

static void a_history_says_what_may_act(void **state)
{
    struct universe *u = universe_open();
    const struct sampled *p = universe_policy(u, HOLDS);
    struct input in[INPUTS_MAX] = {ASKS("kb.read"), READS(ACTIVE, "e0")};
    (void)state;
    every_history(u, p, in, 0, 3);
    in[0] = (struct input)ASKS("kb.read");
    in[1] = (struct input)READS(ACTIVE, "e0");
    every_history(u, p, in, 2, 6);
    in[2] = alphabet[2]; /* a read is under way when more is said */
    in[3] = (struct input)ASKS("kb.read");
    in[4] = alphabet[6];
    every_history(u, p, in, 5, 8);
    universe_report(u, "standing");
    universe_close(u);
}

/* ---- what loosens ---- */

static bool allows(const struct ending *e, unsigned i)
{
    return strstr(e->says.at[i], ": allow") != NULL;
}

/* Only a read that came back, or a person. */
static bool may_loosen(const struct input *in)
{
    return (in->what == READ && in->result == READ_OK) || in->what == LIFT ||
           in->what == APPROVE;
}

static unsigned loosened;

static void watch_history(struct universe *u, const struct sampled *p,
                          struct input *in, unsigned at, unsigned end,
                          const struct ending *before)
{
    for (unsigned i = 0; at < end && i < COUNT_OF(alphabet); i++) {
        struct ending after;
        in[at] = alphabet[i];
        sample(u, p, in, at + 1, &after);
        for (unsigned k = 0; k < 4; k++) {
            if (allows(before, k) || !allows(&after, k))
                continue;
            loosened++;
            if (!may_loosen(&in[at]))
                sample_fail(p, in, at + 1, "loosened: %s", after.says.at[k]);
        }
        watch_history(u, p, in, at + 1, end, &after);
    }
}

static void only_a_read_or_a_person_loosens(void **state)
{
    struct universe *u = universe_open();
    const struct sampled *p = universe_policy(u, HOLDS);
    struct input in[INPUTS_MAX] = {ASKS("kb.read"), READS(ACTIVE, "e0")};
    struct ending before;
    (void)state;
    sample(u, p, in, 2, &before);
    watch_history(u, p, in, 2, 5, &before);
    (void)printf("NOTE loosened: %u times\n", loosened);
    CHECK(loosened > 0); /* there was something to watch */
    universe_close(u);
}

/* A reload lifts nothing, and asks for a read of what it may newly need. */
static void holds_outlive_their_policy(void **state)
{
    struct universe *u = universe_open();
    const struct sampled *p = universe_policy(u, HOLDS);
    const struct sampled *empty =
        universe_policy(u, DEFAULTS
                        "gate: [{name: g, tools: [\"*\"], require: 'title eq "
                        "\"a\"'}]\nrules:\n  - {name: titled, events: [patch], "
                        "where: 'title ne \"a\"', do: [{hold: suspended}]}\n");
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(alphabet); i++)
        for (unsigned k = 0; k < COUNT_OF(alphabet); k++)
            for (unsigned m = 0; m < COUNT_OF(alphabet); m++) {
                struct ending end;
                struct input in[INPUTS_MAX] = {ASKS("kb.read"),
                                               READS(ACTIVE, "e0")};
                in[2] = alphabet[i];
                in[3] = (struct input){.what = RELOAD};
                in[4] = alphabet[k];
                in[5] = alphabet[m];
                sample_reload(u, p, empty, in, 6, &end);
            }
    universe_report(u, "reload");
    universe_close(u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_history_says_what_may_act),
        cmocka_unit_test(only_a_read_or_a_person_loosens),
        cmocka_unit_test(holds_outlive_their_policy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
