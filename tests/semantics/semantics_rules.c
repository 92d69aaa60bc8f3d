// SPDX-License-Identifier: Apache-2.0
/*
 * Rules: every shape of a rule against every kind of statement and read, pairs
 * of rules, authority of feeds, audit mode.
 */
#include <stdio.h>
#include <string.h>

#include "tests/semantics/sample.h"

#define DEFAULTS "defaults: {refresh: {timeout: 60s}}\n"
#define REST                                                                   \
    ",\"groups\":[{\"value\":\"g\"}],\"parent\":{\"value\":\"2\"},"            \
    "\"owners\":[{\"value\":\"u\"},{\"value\":\"v\"}]}"
#define NO_TITLE "{\"active\":true" REST
#define TITLE_A "{\"active\":true,\"title\":\"a\"" REST
#define TITLE_B "{\"active\":true,\"title\":\"b\"" REST
#define INACTIVE "{\"active\":false,\"title\":\"b\"" REST
#define KNOWN(json_) ASKS("kb.read"), READS(json_, "e0")

static const char *const jsons[] = {NO_TITLE, TITLE_A, TITLE_B, INACTIVE};

/* ---- every shape of a rule ---- */

static const char *const events[] = {"[deactivate]",
                                     "[patch]",
                                     "[put, create]",
                                     "[\"*\"]",
                                     "[caep.session-revoked]",
                                     "[refreshed]",
                                     "[found_inactive]",
                                     "[found_gone]",
                                     "[operator]"};

static const struct where {
    const char *text;
    bool looks_at_resource;
} wheres[] = {
    {"", false},
    {"where: 'event.reason eq \"x\"', ", false},
    {"where: 'title eq \"a\"', ", true},
    {"where: 'title ne \"a\"', ", true},
    {"where: 'not (title eq \"a\" or active eq false)', ", true},
    {"where: 'title pr', ", true},
    {"where: 'event.reason eq \"x\" and title eq \"a\"', ", true},
    {"where: 'event.reason eq \"x\" or title eq \"a\"', ", true},
};

static const char *const changes[] = {"", "changed: [title], ",
                                      "changed: [name.givenName], "};
static const char *const feeds[] = {"", "feeds: [it], "};

static const struct shape {
    const char *text;
    char kind; /* of the path a statement is about */
} shapes[] = {
    {"", 'A'},
    {"applies_to: children, ", 'A'},
    {"subject: user, ", 'U'},
    {"subject: user, applies_to: {owned_agents: {left: last_owner}}, ", 'U'},
    {"subject: user, applies_to: {owned_agents: {left: any_owner}}, ", 'U'},
    {"subject: group, applies_to: members, ", 'G'},
};

/* Of one agent; `said_of` makes it one of the others. */
static const struct input statements[] = {
    {.type = EVENT_DEACTIVATE},
    {.type = EVENT_DEACTIVATE, .feed = "hr"},
    {.type = EVENT_PATCH},
    {.type = EVENT_PATCH, .feed = "hr", .changed = "title"},
    {.type = EVENT_PATCH, .changed = "TITLE"},
    {.type = EVENT_PATCH, .changed = "name"},
    {.type = EVENT_PATCH, .changed = "title", .data = "{\"title\":\"a\"}"},
    {.type = EVENT_PATCH, .changed = "nick", .data = "{\"nick\":\"x\"}"},
    {.type = EVENT_PUT, .data = "{\"title\":\"b\",\"active\":true}"},
    {.type = EVENT_CREATE, .reason = "x"},
    {.type = EVENT_CAEP_SESSION_REVOKED, .reason = "x"},
    {.type = EVENT_CAEP_SESSION_REVOKED, .reason = "y"},
    {.type = EVENT_RISC_ACCOUNT_PURGED},
    {.type = EVENT_UNKNOWN, .jti = "?"},
};

static const char *const paths[] = {A1, A2, U1, G1};

static void live_statement(struct universe *u, const struct sampled *p,
                           const struct where *where, struct input said)
{
    const unsigned befores = where->looks_at_resource ? 3 : 1;
    const unsigned afters = where->looks_at_resource ? 4 : 1;
    for (unsigned i = 0; i < befores; i++)
        for (unsigned k = 0; k < afters; k++) {
            const struct input in[] = {
                KNOWN(jsons[i]),
                said,
                ASKS("kb.read"),
                {.what = PASS},
                {.what = READ, .uri = said.uri, .json = jsons[k], .etag = "e1"},
                READS(jsons[k], "e2")};
            sample(u, p, in, COUNT_OF(in), NULL);
        }
}

static void live_rule(struct universe *u, const struct sampled *p,
                      const struct shape *shape, const struct where *where,
                      bool bare)
{
    const struct input others[] = {
        {.what = HOLD, .uri = A1},
        {.what = READ, .uri = A1, .json = INACTIVE, .etag = "e0"},
        {.what = READ, .uri = A1, .result = READ_GONE}};
    for (unsigned i = 0; i < COUNT_OF(paths); i++)
        for (unsigned k = 0; k < COUNT_OF(statements); k++) {
            struct input said = statements[k];
            said.uri = paths[i];
            if (paths[i][1] == shape->kind ? i != 1 || bare : bare)
                live_statement(u, p, where, said);
        }
    for (unsigned i = 0; i < COUNT_OF(others); i++)
        for (unsigned k = 0; k < 3; k++) {
            const struct input in[] = {
                KNOWN(jsons[k]),
                {.what = SAY, .uri = A1, .type = EVENT_ASYNCRESP},
                ASKS("kb.read"),
                others[i],
                {.what = PASS},
                READS(jsons[k], "e3")};
            sample(u, p, in, COUNT_OF(in), NULL);
        }
}

static const struct sampled *rule(struct universe *u, const char *name,
                                  const char *head, const char *what)
{
    return universe_policy(u,
                           DEFAULTS
                           "actions: {page: {http: {url: "
                           "'https://page.example/'}}}\n"
                           "rules: [{name: %s, %sdo: %s}]\n",
                           name, head, what);
}

static void every_rule_that_matches_applies(void **state)
{
    struct universe *u = universe_open();
    char head[512];
    (void)state;
    for (unsigned s = 0; s < COUNT_OF(shapes); s++)
        for (unsigned e = 0; e < COUNT_OF(events); e++)
            for (unsigned w = 0; w < COUNT_OF(wheres); w++)
                for (unsigned c = 0; c < COUNT_OF(changes); c++)
                    for (unsigned f = 0; f < COUNT_OF(feeds); f++) {
                        if ((c > 0 && (e == 0 || e > 3)) || (f > 0 && w > 2))
                            continue; /* they never say what changed; where
                                         and from whom are two questions */
                        (void)snprintf(head, sizeof head,
                                       "%sevents: %s, %s%s%s", shapes[s].text,
                                       events[e], wheres[w].text, changes[c],
                                       feeds[f]);
                        const struct sampled *p =
                            rule(u, "r", head,
                                 "[{hold: suspended}, cancel, revoke, purge, "
                                 "refresh, page]");
                        CHECK(p != NULL);
                        live_rule(u, p, &shapes[s], &wheres[w], w + c + f == 0);
                    }
    universe_report(u, "rules");
    universe_close(u);
}

/* ---- what is not known ---- */

static bool held_by(const struct ending *end, const char *rule)
{
    char text[LINE_BYTES];
    (void)snprintf(text, sizeof text, A1 ": held suspended by %s", rule);
    for (unsigned i = 0; i < end->holds.count; i++)
        if (strncmp(end->holds.at[i], text, strlen(text)) == 0)
            return true;
    return false;
}

/* A stranger is told of: the rule waits, and the read that comes decides. */
static void unknown_is_pending_never_false(void **state)
{
    struct universe *u = universe_open();
    char head[256];
    (void)state;
    for (unsigned w = 2; w < 6; w++) {
        (void)snprintf(head, sizeof head, "events: [patch], %s",
                       wheres[w].text);
        const struct sampled *p = rule(u, "r", head, "[{hold: suspended}]");
        for (unsigned i = 0; i < COUNT_OF(jsons); i++) {
            struct ending end;
            const struct ref_sight sight = {.resource =
                                                universe_json(u, jsons[i])};
            const struct input in[] = {
                {.what = SAY, .uri = A1, .type = EVENT_PATCH},
                ASKS("kb.read"),
                {.what = PASS},
                READS(jsons[i], "e1"),
                ASKS("kb.read"),
                READS(jsons[i], "e1")};
            sample(u, p, in, 1, &end);
            CHECK(!held_by(&end, "r"));
            sample(u, p, in, COUNT_OF(in), &end);
            const bool holds =
                ref_condition(p->policy->rules[0].where, &sight) == TRUE_;
            if (held_by(&end, "r") != holds)
                sample_fail(p, in, COUNT_OF(in), "held: %d",
                            held_by(&end, "r"));
        }
    }
    universe_close(u);
}

/* ---- several rules ---- */

static const char *const pool[] = {
    "events: [deactivate, found_inactive], do: [{hold: suspended}, cancel]",
    "events: [patch], do: [{hold: {suspended: {tools: [money]}}}]",
    "events: [patch, put], changed: [title], do: [{hold: {review: {by: "
    "'groups.value eq \"judges\"', within: 1h, otherwise: suspended}}}]",
    "events: [patch], where: 'title eq \"a\"', do: [{hold: suspended}]",
    "events: [refreshed], where: 'title eq \"b\"', do: [{hold: suspended}]",
    "events: [deactivate], subject: user, applies_to: {owned_agents: {left: "
    "any_owner}}, do: [{hold: {review: {by: 'id pr', within: 1h, otherwise: "
    "suspended, tools: [\"kb.*\"]}}}]",
    "events: [patch], subject: group, applies_to: members, do: [refresh]",
    "events: [\"*\"], do: [page, revoke]",
    "events: [deactivate, patch], mode: {audit: {until: 2099-01-01}}, do: "
    "[{hold: suspended}, page]",
};

static const struct input stories[][4] = {
    {{.what = SAY, .uri = A1, .type = EVENT_DEACTIVATE},
     {.what = PASS},
     ASKS("kb.read"),
     READS(INACTIVE, "e1")},
    {{.what = SAY, .uri = A1, .type = EVENT_PATCH},
     ASKS("kb.read"),
     {.what = PASS},
     READS(TITLE_A, "e1")},
    {{.what = SAY, .uri = A1, .type = EVENT_PATCH, .changed = "title"},
     ASKS("kb.read"),
     READS(TITLE_B, "e1"),
     {.what = APPROVE, .uri = A1}},
    {{.what = SAY, .uri = A1, .type = EVENT_PUT, .changed = "nick"},
     ASKS("kb.read"),
     READS(TITLE_B, "e1"),
     ASKS("pay.send")},
    {{.what = SAY, .uri = U1, .type = EVENT_DEACTIVATE},
     ASKS("kb.read"),
     {.what = PASS},
     READS(NO_TITLE, "e1")},
    {{.what = SAY, .uri = G1, .type = EVENT_PATCH},
     ASKS("kb.read"),
     {.what = PASS},
     READS(TITLE_A, "e0")},
    {{.what = HOLD, .uri = A1},
     {.what = SAY, .uri = A1, .type = EVENT_DELETE},
     {.what = PASS},
     READS(TITLE_A, "e1")},
};

#define SOME_GATE                                                              \
    "gate:\n  - {name: g1, tools: [money], require: 'active eq true'}\n"       \
    "  - {name: g2, tools: [\"*\"], require: 'not (title eq \"c\")'}\n"
#define GATE_BACK                                                              \
    "gate:\n  - {name: g2, tools: [\"*\"], require: 'not (title eq \"c\")'}\n" \
    "  - {name: g1, tools: [money], require: 'active eq true'}\n"
#define RELEASE                                                                \
    "events: [activate, refreshed], where: 'title eq \"a\"', do: [{release: "  \
    "{suspended: {set_by: [r0, r1, r3, r4]}}}]"

/* The rules of the pool whose bits are set, forwards or backwards. */
static const struct sampled *some(struct universe *u, unsigned bits,
                                  bool release, bool backwards)
{
    char rules[1500] = "";
    size_t at = 0;
    const unsigned count = COUNT_OF(pool);
    for (unsigned i = 0; i < count; i++) {
        const unsigned k = backwards ? count - 1 - i : i;
        if ((bits >> k & 1) != 0)
            at += (size_t)snprintf(rules + at, sizeof rules - at,
                                   "  - {name: r%u, %s}\n", k, pool[k]);
    }
    if (release)
        at += (size_t)snprintf(rules + at, sizeof rules - at,
                               "  - {name: back, " RELEASE "}\n");
    return universe_policy(u,
                           DEFAULTS
                           "tool_classes: {money: [\"pay.*\"]}\n"
                           "actions: {page: {http: {url: "
                           "'https://page.example/'}}}\n"
                           "%srules:\n%s%s",
                           backwards ? GATE_BACK : "", rules,
                           backwards ? "" : SOME_GATE);
}

static void tell(struct universe *u, const struct sampled *p, unsigned story,
                 struct ending *ret)
{
    struct input in[6] = {KNOWN(NO_TITLE)};
    memcpy(in + 2, stories[story], sizeof stories[story]);
    sample(u, p, in, COUNT_OF(in), ret);
    lines_sort(&ret->holds);
}

static bool allows(const struct ending *e, unsigned i)
{
    return strstr(e->says.at[i], ": allow") != NULL;
}

/* With both rules there are the holds of each, and the gate allows what it
 * allows under each alone. */
static void rules_add_up_and_the_strictest_wins(void **state)
{
    struct universe *u = universe_open();
    (void)state;
    for (unsigned a = 0; a < COUNT_OF(pool); a++)
        for (unsigned b = a + 1; b < COUNT_OF(pool); b++)
            for (unsigned s = 0; s < COUNT_OF(stories); s++) {
                struct ending one, two, both;
                const struct sampled *p =
                    some(u, 1u << a | 1u << b, false, false);
                tell(u, some(u, 1u << a, false, false), s, &one);
                tell(u, some(u, 1u << b, false, false), s, &two);
                tell(u, p, s, &both);
                for (unsigned i = 0; i < 4; i++)
                    if (allows(&both, i) &&
                        !(allows(&one, i) && allows(&two, i)))
                        sample_fail(p, stories[s], 4, "looser than one: %s",
                                    both.says.at[i]);
                for (unsigned i = 0; i < two.holds.count; i++)
                    lines_add(&one.holds, "%s", two.holds.at[i]);
                lines_sort(&one.holds);
                if (!lines_equal(&one.holds, &both.holds))
                    sample_fail(p, stories[s], 4, "%u holds, %u apart",
                                both.holds.count, one.holds.count);
            }
    universe_close(u);
}

static void the_order_of_rules_never_matters(void **state)
{
    struct universe *u = universe_open();
    (void)state;
    for (unsigned bits = 1; bits < 1u << COUNT_OF(pool); bits++) {
        const bool release = (bits & 27) == 27; /* all that it names */
        const struct sampled *p = some(u, bits, release, false);
        const struct sampled *back = some(u, bits, release, true);
        CHECK(p != NULL && back != NULL);
        for (unsigned s = 0; s < COUNT_OF(stories); s++) {
            struct ending forth_end, back_end;
            tell(u, p, s, &forth_end);
            tell(u, back, s, &back_end);
            if (!lines_equal(&forth_end.holds, &back_end.holds) ||
                !lines_equal(&forth_end.says, &back_end.says))
                sample_fail(p, stories[s], 4, "backwards it ends otherwise");
        }
    }
    universe_report(u, "several rules");
    universe_close(u);
}

/* ---- authority and audit ---- */

static void a_feed_does_only_what_it_may(void **state)
{
    static const char *const words[] = {"suspend", "refresh", "release",
                                        "revoke"};
    struct universe *u = universe_open();
    (void)state;
    for (unsigned may = 1; may < 16; may++) {
        char list[64] = "";
        size_t at = 0;
        for (unsigned i = 0; i < 4; i++)
            if ((may >> i & 1) != 0)
                at += (size_t)snprintf(list + at, sizeof list - at, "%s%s",
                                       at == 0 ? "" : ", ", words[i]);
        const struct sampled *p = universe_policy(
            u,
            DEFAULTS
            "actions: {page: {http: {url: 'https://page.example/'}}}\n"
            "feeds: {hr: {may: [%s]}}\nrules:\n"
            "  - {name: stop, events: [deactivate], do: [{hold: suspended}, "
            "cancel, revoke, purge, refresh, page]}\n"
            "  - {name: wait, events: [patch], where: 'title eq \"a\"', do: "
            "[{hold: suspended}, revoke]}\n"
            "  - {name: back, events: [activate], where: 'active eq true', "
            "do: [{release: {suspended: {set_by: [stop, wait]}}}]}\n",
            list);
        for (unsigned i = 0; i < 8; i++) {
            struct ending end;
            const char *stops = (i & 1) != 0 ? "hr" : "it";
            const char *comes = (i & 2) != 0 ? "hr" : "it";
            const enum event_type t =
                (i & 4) != 0 ? EVENT_PATCH : EVENT_DEACTIVATE;
            const struct input in[] = {
                KNOWN(TITLE_B),
                {.what = SAY, .uri = A1, .type = t, .feed = stops},
                ASKS("kb.read"),
                READS(TITLE_A, "e1"),
                {.what = SAY, .uri = A1, .type = EVENT_ACTIVATE, .feed = comes},
                ASKS("kb.read"),
                READS(TITLE_A, "e2")};
            sample(u, p, in, 5, &end);
            const bool set = i % 2 == 0 || (may & MAY_SUSPEND) != 0;
            CHECK_UINT(end.holds.count, set ? 1 : 0);
            sample(u, p, in, COUNT_OF(in), &end);
            const bool ended = (i & 2) == 0 || (may & MAY_RELEASE) != 0;
            CHECK_UINT(end.holds.count, set && !ended ? 1 : 0);
        }
    }
    universe_close(u);
}

/* Nothing is set, nothing is lifted, gate rules let pass; what holds already
 * holds on. */
static void audit_mode_changes_nothing(void **state)
{
    static const struct input all[] = {
        {.what = SAY, .uri = A1, .type = EVENT_DEACTIVATE},
        {.what = SAY, .uri = A1, .type = EVENT_ACTIVATE},
        {.what = SAY, .uri = A1, .type = EVENT_PATCH, .feed = "hr"},
        {.what = SAY, .uri = A1, .type = EVENT_FEED_REMOVE},
        ASKS("pay.send"),
        READS(TITLE_A, "e1"),
        READS(INACTIVE, "e2"),
        {.what = READ, .uri = A1, .result = READ_GONE},
        {.what = PASS}};
    struct universe *u = universe_open();
    const char *rules =
        "feeds: {hr: {may: [refresh]}}\nrules:\n"
        "  - {name: stop, events: [deactivate, patch, found_inactive, "
        "found_gone], do: [{hold: suspended}, cancel]}\n"
        "  - {name: back, events: [refreshed], where: 'active eq true', do: "
        "[{release: {suspended: {set_by: [stop]}}}]}\n"
        "gate: [{name: never, tools: [\"*\"], require: 'title eq \"z\"'}]\n";
    const struct sampled *strict = universe_policy(u, DEFAULTS "%s", rules);
    const struct sampled *audit = universe_policy(
        u,
        "defaults: {mode: {audit: {until: 2099-01-01}}, refresh: {timeout: "
        "60s}}\n%s",
        rules);
    (void)state;
    for (unsigned n = 0; n < COUNT_OF(all) * COUNT_OF(all) * COUNT_OF(all);
         n++) {
        struct ending end;
        struct input in[8] = {
            KNOWN(TITLE_A),
            {.what = SAY, .uri = A1, .type = EVENT_DEACTIVATE, .jti = "first"},
            {.what = RELOAD}};
        in[4] = all[n % COUNT_OF(all)];
        in[5] = all[n / COUNT_OF(all) % COUNT_OF(all)];
        in[6] = all[n / COUNT_OF(all) / COUNT_OF(all)];
        sample_reload(u, strict, audit, in, 7, &end);
        CHECK_UINT(end.holds.count, 1); /* that of before the audit */
        memmove(in + 2, in + 4, 3 * sizeof *in);
        sample(u, audit, in, 5, &end);
        CHECK_UINT(end.holds.count, 0);
    }
    universe_report(u, "audit");
    universe_close(u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_that_matches_applies),
        cmocka_unit_test(unknown_is_pending_never_false),
        cmocka_unit_test(rules_add_up_and_the_strictest_wins),
        cmocka_unit_test(the_order_of_rules_never_matters),
        cmocka_unit_test(a_feed_does_only_what_it_may),
        cmocka_unit_test(audit_mode_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
