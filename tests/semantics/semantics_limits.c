// SPDX-License-Identifier: Apache-2.0
/*
 * Limits: every history of statements of two feeds, reads, a person and time
 * over policies with limits, and the same rules backwards.
 */
#include <stdio.h>
#include <string.h>

#include "tests/semantics/sample.h"

#define DEFAULTS "defaults: {refresh: {timeout: 60s}}\n"
#define PLAIN "{\"active\":true}"
#define VITAL                                                                  \
    "{\"active\":true,\"title\":\"vital\",\"groups\":[{\"value\":\"g\"}]}"
#define MEMBER "{\"active\":true,\"groups\":[{\"value\":\"g\"}]}"
#define A3 "/Agents/3"

static const char *const limits[] = {
    "{suspend: {max: 1, per: 9s, beyond: page}}",
    "{suspend: {max: 1, per: 9s, of_feed: all, beyond: [page]}}",
    "{http: {max: 1, per: 9s, beyond: page}}",
    "{cancel: {max: 2, per: 1h, never_for: 'title eq \"vital\"'}}",
    "{http: {max: 2, per: 1h, never_for: 'not (title pr)', beyond: page}, "
    "suspend: {max: 2, per: 20s}}",
    "{revoke: {max: 1, per: 1h, never_for: 'title pr'}}",
};

static const char *const pool[] = {
    "events: [deactivate, found_inactive], do: [{hold: suspended}, stop]",
    "events: [deactivate, operator], do: [cancel, {hold: {suspended: {tools: "
    "[\"pay.*\"]}}}]",
    "events: [patch, delete], do: [stop, page]",
    "events: [deactivate, patch], where: 'title eq \"vital\"', do: [{hold: "
    "suspended}]",
    "events: [patch], where: 'title ne \"x\"', do: [stop]",
    "events: [patch, delete], subject: group, applies_to: members, do: "
    "[{hold: suspended}, stop]",
    "events: [delete], subject: user, do: [stop]",
    "events: [deactivate], mode: {audit: {until: 2099-01-01}}, do: [{hold: "
    "suspended}, cancel, stop]",
};

static const char *const revoking[] = {
    "events: [deactivate, found_inactive], do: [{hold: suspended}]",
    "events: [deactivate, operator], do: [revoke, {hold: suspended}]",
    "events: [patch], do: [{hold: {suspended: {tools: [\"pay.*\"]}}}, revoke]",
    "events: [patch, delete], subject: group, applies_to: members, do: "
    "[revoke, {hold: suspended}]",
    "events: [delete, deactivate], mode: {audit: {until: 2099-01-01}}, do: "
    "[revoke, {hold: suspended}]",
};

/* The rules of `from` that `bits` names. */
static const struct sampled *of_pool(struct universe *u, const char *limit,
                                     const char *const *from, unsigned count,
                                     unsigned bits, bool backwards)
{
    char rules[1500] = "";
    size_t at = 0;
    for (unsigned i = 0; i < count; i++) {
        const unsigned k = backwards ? count - 1 - i : i;
        if ((bits >> k & 1) != 0)
            at += (size_t)snprintf(rules + at, sizeof rules - at,
                                   "  - {name: r%u, %s}\n", k, from[k]);
    }
    return universe_policy(
        u,
        DEFAULTS
        "feeds: {hr: {may: [refresh]}}\nlimits: %s\nactions:\n"
        "  page: {http: {url: 'https://page.example/'}}\n"
        "  stop: {http: {url: 'https://stop.example/'}}\nrules:\n%s",
        limit, rules);
}

static const struct sampled *limited(struct universe *u, unsigned limit,
                                     unsigned bits, bool backwards)
{
    return of_pool(u, limits[limit], pool, COUNT_OF(pool), bits, backwards);
}

static const struct input alphabet[] = {
    {.what = SAY, .uri = A1, .type = EVENT_DEACTIVATE, .jti = "1d"},
    {.what = SAY, .uri = A2, .type = EVENT_DEACTIVATE, .jti = "2d"},
    {.what = SAY, .uri = A3, .type = EVENT_DELETE, .jti = "3d"},
    {.what = SAY, .uri = A1, .type = EVENT_PATCH, .jti = "1p"},
    {.what = SAY, .uri = A2, .type = EVENT_PATCH, .jti = "2p"},
    {.what = SAY, .uri = A2, .type = EVENT_DEACTIVATE, .feed = "hr"},
    {.what = SAY, .uri = G1, .type = EVENT_PATCH, .jti = "g"},
    {.what = SAY, .uri = U1, .type = EVENT_DELETE, .jti = "u"},
    {.what = READ, .uri = A1, .json = VITAL, .etag = "e1"},
    {.what = READ, .uri = A2, .json = MEMBER, .etag = "e2"},
    {.what = READ, .uri = A1, .json = "{\"active\":false}", .etag = "e3"},
    {.what = HOLD, .uri = A1},
    {.what = PASS},
    {.what = RESTART},
};

static unsigned start(struct input *in, bool known)
{
    const struct input asks[] = {
        {.what = ASK, .uri = A1, .tool = "kb.read"},
        {.what = ASK, .uri = A2, .tool = "kb.read"},
        {.what = ASK, .uri = A3, .tool = "kb.read"},
        {.what = READ, .uri = A1, .json = VITAL, .etag = "e0"},
        {.what = READ, .uri = A2, .json = MEMBER, .etag = "e0"},
        {.what = READ, .uri = A3, .json = PLAIN, .etag = "e0"}};
    const unsigned n = known ? COUNT_OF(asks) : 2;
    memcpy(in, asks, n * sizeof *asks);
    return n;
}

/* Agents have tokens, before and after something is said of them. */
static const struct input registering[] = {
    {.what = TOKEN, .uri = A1, .jti = "t1"},
    {.what = TOKEN, .uri = A2, .jti = "t2"},
    {.what = TOKEN, .uri = A3, .jti = "t3"},
    {.what = SAY, .uri = A1, .type = EVENT_DEACTIVATE, .jti = "1d"},
    {.what = SAY, .uri = A2, .type = EVENT_DEACTIVATE, .jti = "2d"},
    {.what = SAY, .uri = A3, .type = EVENT_DEACTIVATE, .jti = "3d"},
    {.what = SAY, .uri = A1, .type = EVENT_PATCH, .jti = "1p"},
    {.what = SAY, .uri = G1, .type = EVENT_PATCH, .jti = "g"},
    {.what = READ, .uri = A1, .json = VITAL, .etag = "e1"},
    {.what = READ, .uri = A2, .json = MEMBER, .etag = "e2"},
    {.what = HOLD, .uri = A2},
    {.what = PASS},
    {.what = RESTART},
};

struct histories {
    struct universe *u;
    const struct sampled *p;
    const struct input *of;
    unsigned count, end;
};

/* Of the long histories each policy lives its part. */
static void every_history(const struct histories *h, struct input *in,
                          unsigned at, unsigned part)
{
    if (at == h->end)
        sample(h->u, h->p, in, at, NULL);
    for (unsigned i = part % 3; at < h->end && i < h->count; i += 3) {
        in[at] = h->of[i];
        every_history(h, in, at + 1, part / 3 + i);
    }
}

static void beyond_a_limit_nothing_final_begins(void **state)
{
    struct universe *u = universe_open();
    (void)state;
    for (unsigned l = 0; l < COUNT_OF(limits); l++)
        for (unsigned i = 0; i < 9; i++) {
            struct input in[INPUTS_MAX];
            const unsigned bits = (i * 74 + 37) % 255 + 1;
            const unsigned n = start(in, i % 4 != 0);
            const struct sampled *p = limited(u, l, bits, i % 2 == 0);
            CHECK(p != NULL);
            const struct histories all = {u, p, alphabet, COUNT_OF(alphabet),
                                          n + 4};
            every_history(&all, in, n, i + l);
        }
    universe_report(u, "limits");
    universe_close(u);
}

/* Of tokens, too, whenever they were registered. */
static void beyond_a_limit_no_token_is_revoked(void **state)
{
    struct universe *u = universe_open();
    const unsigned all = (1u << COUNT_OF(revoking)) - 1;
    (void)state;
    for (unsigned l = 0; l < COUNT_OF(limits); l++)
        for (unsigned i = 0; i < 4; i++) {
            struct input in[INPUTS_MAX];
            const unsigned n = start(in, i % 3 != 0);
            const struct sampled *p =
                of_pool(u, limits[l], revoking, COUNT_OF(revoking),
                        (i * 11 + 3 * l + 6) % all + 1, i % 2 == 0);
            CHECK(p != NULL);
            const struct histories h = {u, p, registering,
                                        COUNT_OF(registering), n + 5};
            every_history(&h, in, n, i + l);
        }
    universe_report(u, "tokens");
    universe_close(u);
}

/* A step that fails and comes again has happened once, wherever it failed. (Not
 * the limit that calls people for two reasons: for whom they are called depends
 * on who was counted last.) */
#define CALLS_FOR_TWO_REASONS 4
static void what_failed_counts_once(void **state)
{
    static const struct input told[] = {
        {.what = SAY, .uri = A1, .type = EVENT_DEACTIVATE, .jti = "1d"},
        {.what = SAY, .uri = A2, .type = EVENT_DEACTIVATE, .jti = "2d"},
        {.what = SAY, .uri = A3, .type = EVENT_DELETE, .jti = "3d"},
        {.what = SAY, .uri = A2, .type = EVENT_PATCH, .jti = "2p"},
        {.what = SAY, .uri = G1, .type = EVENT_PATCH, .jti = "g"},
        {.what = SAY, .uri = U1, .type = EVENT_DELETE, .jti = "u"},
        {.what = READ, .uri = A1, .json = "{\"active\":false}", .etag = "e3"},
    };
    struct universe *u = universe_open();
    (void)state;
    for (unsigned l = 0; l < COUNT_OF(limits); l++)
        for (unsigned fails = 1; fails < 40 && l != CALLS_FOR_TWO_REASONS;
             fails++)
            for (unsigned first = 0; first < 6; first++) {
                struct input in[INPUTS_MAX];
                const struct sampled *p =
                    limited(u, l, (fails * 74 + first) % 255 + 1, false);
                unsigned n = start(in, true);
                for (unsigned i = 0; i < COUNT_OF(told); i++) {
                    in[n + i] = told[(first + i) % COUNT_OF(told)];
                    in[n + i].fails = in[n + i].what == SAY ? fails + i : 0;
                }
                sample(u, p, in, n + COUNT_OF(told), NULL);
            }
    universe_report(u, "failing");
    universe_close(u);
}

/* The same of what finds no room in one of three tables. */
static void what_found_no_room_counts_once(void **state)
{
    static const struct input told[] = {
        {.what = SAY, .uri = A1, .type = EVENT_DEACTIVATE, .jti = "1d"},
        {.what = SAY, .uri = A2, .type = EVENT_DELETE, .jti = "2d"},
        {.what = SAY, .uri = U1, .type = EVENT_DELETE, .jti = "u"},
        {.what = SAY, .uri = A3, .type = EVENT_PATCH, .jti = "3p"},
    };
    struct universe *u = universe_open();
    (void)state;
    for (unsigned l = 0; l < COUNT_OF(limits); l++)
        for (unsigned fit = 1; fit < 5 && l != CALLS_FOR_TWO_REASONS; fit++)
            for (unsigned bits = 1; bits < 1u << COUNT_OF(pool); bits += 3)
                for (unsigned table = 0; table < 3; table++) {
                    struct input in[INPUTS_MAX];
                    const struct sampled *p = limited(u, l, bits, false);
                    unsigned n = start(in, true);
                    for (unsigned i = 0; i < COUNT_OF(told); i++, n++) {
                        in[n] = told[(i + bits) % COUNT_OF(told)];
                        in[n].holds_fit = table == 0 ? fit : 0;
                        in[n].jobs_fit = table == 1 ? fit : 0;
                        in[n].subjects_fit = table == 2 ? fit : 0;
                    }
                    sample(u, p, in, n, NULL);
                }
    universe_report(u, "full tables");
    universe_close(u);
}

/* All that a statement, or a read, is about to do is counted first. */
static void what_is_withheld_never_depends_on_order(void **state)
{
    struct universe *u = universe_open();
    (void)state;
    for (unsigned l = 0; l < COUNT_OF(limits); l++)
        for (unsigned bits = 1; bits < 1u << COUNT_OF(pool); bits += 5) {
            const struct sampled *p = limited(u, l, bits, false);
            const struct sampled *back = limited(u, l, bits, true);
            const struct input in[] = {alphabet[0],  alphabet[3], alphabet[1],
                                       alphabet[4],  alphabet[6], alphabet[8],
                                       alphabet[10], alphabet[9]};
            for (unsigned known = 0; known < 2; known++) {
                struct input all[INPUTS_MAX];
                struct ending one, other;
                const unsigned n = start(all, known == 1);
                memcpy(all + n, in, sizeof in);
                sample(u, p, all, n + COUNT_OF(in), &one);
                sample(u, back, all, n + COUNT_OF(in), &other);
                lines_sort(&one.holds);
                lines_sort(&other.holds);
                if (!lines_equal(&one.holds, &other.holds))
                    sample_fail(p, all, n + COUNT_OF(in), "not backwards");
            }
        }
    universe_report(u, "limits backwards");
    universe_close(u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(beyond_a_limit_nothing_final_begins),
        cmocka_unit_test(beyond_a_limit_no_token_is_revoked),
        cmocka_unit_test(what_failed_counts_once),
        cmocka_unit_test(what_found_no_room_counts_once),
        cmocka_unit_test(what_is_withheld_never_depends_on_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
