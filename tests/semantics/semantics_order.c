// SPDX-License-Identifier: Apache-2.0
/*
 * The same statements in every order, some twice, end the same; and every
 * history of statements about the people, groups and parents of an agent.
 */
#include <stdio.h>
#include <string.h>

#include "tests/semantics/sample.h"

#define DEFAULTS "defaults: {refresh: {timeout: 60s}}\n"
#define BOTH_OWN "\"owners\":[{\"value\":\"u\"},{\"value\":\"v\"}]"
#define REST                                                                   \
    ",\"groups\":[{\"value\":\"g\"}],\"parent\":{\"value\":\"2\"}," BOTH_OWN "}"
#define NO_TITLE "{\"active\":true" REST
#define TITLE_A "{\"active\":true,\"title\":\"a\"" REST
#define TITLE_B "{\"active\":true,\"title\":\"b\"" REST
#define INACTIVE "{\"active\":false,\"title\":\"b\"" REST
#define NO_GROUP "{\"active\":true,\"title\":\"a\"," BOTH_OWN "}"
#define ONE_OWNER "{\"active\":true,\"owners\":[{\"value\":\"v\"}]}"

/* ---- every order ---- */

static const struct input statements[] = {
    {.what = SAY, .uri = A1, .type = EVENT_DEACTIVATE, .version = "e1"},
    {.what = SAY, .uri = A1, .type = EVENT_ACTIVATE, .version = "e2"},
    {.what = SAY, .uri = A1, .type = EVENT_PATCH, .changed = "title"},
    {.what = SAY, .uri = A1, .type = EVENT_PUT, .data = "{\"title\":\"b\"}"},
    {.what = SAY, .uri = A1, .type = EVENT_DELETE, .feed = "hr"},
    {.what = SAY, .uri = A1, .type = EVENT_CAEP_SESSION_REVOKED, .reason = "x"},
    {.what = SAY, .uri = A1, .type = EVENT_FEED_REMOVE},
    {.what = SAY, .uri = G1, .type = EVENT_PATCH, .jti = "g", .member = "1"},
    {.what = SAY, .uri = U1, .type = EVENT_DEACTIVATE, .jti = "u"},
    {.what = SAY, .uri = U1, .type = EVENT_ACTIVATE, .jti = "u2"},
    {.what = SAY, .uri = U2, .type = EVENT_DEACTIVATE, .jti = "v"},
};

/* Each policy takes some of them, by its number. */
static const char *const rules[] = {
    "events: [deactivate, delete, found_inactive], do: [{hold: suspended}, "
    "cancel]",
    "events: [patch, put], changed: [title], where: 'title eq \"b\"', do: "
    "[{hold: suspended}]",
    "events: [\"*\"], where: 'event.reason eq \"x\"', do: [{hold: {suspended: "
    "{tools: [\"pay.*\"]}}}]",
    "events: [deactivate], subject: user, applies_to: {owned_agents: {left: "
    "last_owner}}, do: [{hold: {review: {by: 'id pr', within: 1h, otherwise: "
    "suspended}}}]",
    "events: [patch], subject: group, applies_to: members, do: [refresh, "
    "{hold: {suspended: {tools: [\"kb.*\"]}}}]",
    "events: [patch, delete], where: 'title ne \"a\"', do: [{hold: suspended}]",
};

static const struct sampled *generate(struct universe *u, unsigned number)
{
    char text[1500] = "", names[64] = "";
    size_t at = 0, n = 0;
    for (unsigned i = 0; i < COUNT_OF(rules); i++) {
        if (((number * 11 + 7) >> i & 1) == 0)
            continue;
        at += (size_t)snprintf(text + at, sizeof text - at,
                               "  - {name: r%u, %s}\n", i, rules[i]);
        n += (size_t)snprintf(names + n, sizeof names - n, "%sr%u",
                              n == 0 ? "" : ", ", i);
    }
    const char *events = number % 2 == 0 ? "activate" : "refreshed";
    const char *may = number % 3 == 0 ? "suspend, refresh" : "suspend";
    return universe_policy(u,
                           DEFAULTS
                           "feeds: {hr: {may: [%s]}}\nrules:\n%s"
                           "  - {name: back, events: [%s], where: 'active eq "
                           "true', do: [{release: {suspended: {set_by: "
                           "[%s]}}}]}\n"
                           "gate: [{name: g, tools: [\"*\"], require: 'not "
                           "(title eq \"a\")'}]\n",
                           may, text, events, names);
}

/* The next order of `n` numbers, in the order of words; false at the last. */
static bool next_order(unsigned *at, unsigned n)
{
    unsigned i = n - 1, k = n - 1;
    while (i > 0 && at[i - 1] >= at[i])
        i--;
    if (i == 0)
        return false;
    while (at[k] <= at[i - 1])
        k--;
    unsigned t = at[i - 1];
    at[i - 1] = at[k];
    at[k] = t;
    for (unsigned a = i, b = n - 1; a < b; a++, b--) {
        t = at[a];
        at[a] = at[b];
        at[b] = t;
    }
    return true;
}

/* Then all that is read shows a state from after them. */
static unsigned put_reads(struct input *in, unsigned n, const char *json)
{
    const struct input end[] = {
        {.what = PASS},   {.what = READ, .uri = G1, .json = "{}", .etag = "g9"},
        ASKS("kb.read"),  READS(json, "e9"),
        {.what = PASS},   ASKS("kb.read"),
        READS(json, "e9")};
    memcpy(in + n, end, sizeof end);
    return n + COUNT_OF(end);
}

/* The sum of a set decides what is found, so that all its orders find the
 * same. */
static void live_orders(struct universe *u, const struct sampled *p,
                        unsigned *order, unsigned count)
{
    static const char *const found[] = {TITLE_A, TITLE_B, INACTIVE};
    struct ending first, end;
    unsigned number = 0, sum = 0;
    for (unsigned i = 0; i < count; i++)
        sum += order[i];
    do {
        struct input in[INPUTS_MAX] = {ASKS("kb.read"), READS(NO_TITLE, "e0")};
        unsigned n = 2;
        for (unsigned i = 0; i < count; i++) {
            in[n++] = statements[order[i]];
            if (i == number % count) /* one that lags proves nothing */
                in[n++] = (struct input)READS(NO_TITLE, "e0");
        }
        n = put_reads(in, n, found[sum % 3]);
        sample(u, p, in, n, &end);
        lines_sort(&end.holds);
        end.says.count = 2; /* of this agent */
        if (number++ == 0)
            first = end;
        if (!lines_equal(&first.holds, &end.holds) ||
            !lines_equal(&first.says, &end.says))
            sample_fail(p, in, n, "another order ended with '%s' and %u holds",
                        first.says.at[0], first.holds.count);
    } while (next_order(order, count));
}

static void the_order_of_statements_never_matters(void **state)
{
    struct universe *u = universe_open();
    const unsigned most = COUNT_OF(statements);
    (void)state;
    for (unsigned number = 0; number < 6; number++) {
        const struct sampled *p = generate(u, number);
        CHECK(p != NULL);
        for (unsigned bits = 1; bits < 1u << most; bits++) {
            unsigned order[6], count = 0;
            const unsigned ones = (unsigned)__builtin_popcount(bits);
            if (ones > 4 || (ones == 4 && bits % 6 != number))
                continue; /* of the large sets each policy takes its part */
            for (unsigned i = 0; i < most; i++)
                if ((bits >> i & 1) != 0)
                    order[count++] = i;
            order[count] = order[count - 1]; /* it comes again */
            live_orders(u, p, order, count + 1);
        }
    }
    universe_report(u, "order");
    universe_close(u);
}

/* ---- relations ---- */

static const struct input relations[] = {
    {.what = SAY, .uri = G1, .type = EVENT_PATCH},
    {.what = SAY,
     .uri = G1,
     .type = EVENT_PUT,
     .member = "1",
     .changed = "displayName"},
    {.what = SAY, .uri = G1, .type = EVENT_DELETE},
    {.what = SAY, .uri = U1, .type = EVENT_DEACTIVATE, .jti = "u"},
    {.what = SAY, .uri = U2, .type = EVENT_DEACTIVATE, .jti = "v"},
    {.what = SAY, .uri = U1, .type = EVENT_PATCH, .jti = "u2"},
    {.what = SAY, .uri = A2, .type = EVENT_DEACTIVATE, .jti = "2"},
    {.what = SAY, .uri = A1, .type = EVENT_PATCH, .version = "e0"},
    ASKS("kb.read"),
    READS(TITLE_A, "e1"),
    READS(NO_GROUP, "e2"),
    READS(ONE_OWNER, "e0"),
    {.what = READ, .uri = U1, .json = "{\"active\":true}", .etag = "u1"},
    {.what = READ,
     .uri = U1,
     .json = "{\"active\":false,\"title\":\"b\"}",
     .etag = "u2"},
    {.what = READ, .uri = U1, .result = READ_GONE},
    {.what = READ,
     .uri = G1,
     .json = "{\"members\":[{\"value\":\"1\"}],\"title\":\"b\"}",
     .etag = "g1"},
    {.what = PASS},
};

#define RELATED                                                                \
    DEFAULTS                                                                   \
    "rules:\n"                                                                 \
    "  - {name: last, events: [deactivate, found_inactive, found_gone], "      \
    "subject: user, applies_to: {owned_agents: {left: last_owner}}, do: "      \
    "[{hold: suspended}]}\n"                                                   \
    "  - {name: any, events: [patch, found_inactive], subject: user, "         \
    "applies_to: {owned_agents: {left: any_owner}}, where: 'title eq \"b\"', " \
    "do: [{hold: {suspended: {tools: [\"pay.*\"]}}}]}\n"                       \
    "  - {name: group, events: [patch, put, delete], subject: group, "         \
    "applies_to: members, do: [refresh]}\n"                                    \
    "  - {name: titled, events: [put], subject: group, applies_to: members, "  \
    "where: 'title eq \"b\"', do: [{hold: {suspended: {tools: [\"kb.*\"]}}}]}" \
    "\n"                                                                       \
    "  - {name: child, events: [deactivate], applies_to: children, do: "       \
    "[{hold: {review: {by: 'id pr', within: 1h, otherwise: suspended}}}]}\n"   \
    "  - {name: back, events: [refreshed], do: [{release: {suspended: "        \
    "{set_by: [any, titled]}}}]}\n"

static void every_history(struct universe *u, const struct sampled *p,
                          struct input *in, unsigned at, unsigned end)
{
    if (at == end)
        sample(u, p, in, at, NULL);
    for (unsigned i = 0; at < end && i < COUNT_OF(relations); i++) {
        in[at] = relations[i];
        every_history(u, p, in, at + 1, end);
    }
}

static void what_happens_to_others_reaches_their_agents(void **state)
{
    struct universe *u = universe_open();
    const struct sampled *p = universe_policy(u, RELATED);
    struct input in[INPUTS_MAX] = {ASKS("kb.read"), READS(NO_TITLE, "e0")};
    (void)state;
    CHECK(p != NULL);
    every_history(u, p, in, 2, 6);
    every_history(u, p, in, 0, 3);
    universe_report(u, "relations");
    universe_close(u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_order_of_statements_never_matters),
        cmocka_unit_test(what_happens_to_others_reaches_their_agents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
