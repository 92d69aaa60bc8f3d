// SPDX-License-Identifier: Apache-2.0
/*
 * What gate rules say, asked of the engine: whatever is remembered between
 * questions, each is answered as if it were the first.
 */
#include <stdio.h>
#include <string.h>

#include "tests/lib/world.h"

#define A1 "/Agents/1"
#define MANY 300
#define QUIET "defaults: {feed_silent: never, max_age: 3650d}\n"

static void read_as(struct world *w, const char *uri, const char *json)
{
    const uint64_t q = world_ask(w, uri, "first");
    if (world_answer(w, q) == NULL)
        CHECK(world_reply(w, uri, READ_OK, "e", json));
}

/* ---- tools: names, patterns, classes ---- */

static const char every_kind[] = QUIET
    "tool_classes: {money: [\"pay.*\", refund, \"wire*\"]}\n"
    "gate:\n"
    "  - {name: base, tools: [\"*\"], require: 'active eq true'}\n"
    "  - {name: money, tools: [money], require: 'roles co \"m\"'}\n"
    "  - {name: exact, tools: [\"pay.big\", deploy], require: 'roles co "
    "\"e\"'}\n"
    "  - {name: again, tools: [\"pay.big\"], require: 'roles co \"a\"'}\n"
    "  - {name: start, tools: [\"pay.b*\", \"de*\"], require: 'roles co "
    "\"s\"'}\n"
    "  - {name: end, tools: [x, \"*.big\", v], require: 'roles co \"z\"'}\n";

/* The rules that name each tool: an agent needs all their letters. */
static void test_every_rule_that_names_it(void **state)
{
    (void)state;
    static const struct {
        const char *tool, *needs;
    } rows[] = {
        {"kb.find", ""},  {"refund", "m"},      {"refunds", ""},
        {"wire", "m"},    {"wire.out", "m"},    {"pay.small", "m"},
        {"pay.b", "ms"},  {"pay.big", "measz"}, {"pay.bigger", "ms"},
        {"deploy", "es"}, {"deplo", "s"},       {"x", "z"},
        {"v", "z"},       {"xv", ""},           {"kb.big", "z"},
        {"PAY.BIG", ""},  {".big", "z"},        {"pay.", "m"},
    };
    static const char letters[] = "measz";
    struct world *w = world_open(every_kind);
    for (unsigned all = 0; all < 1u << 5; all++) {
        char uri[32], roles[8] = "", json[64];
        for (unsigned i = 0, n = 0; i < 5; i++)
            if ((all >> i & 1) != 0)
                roles[n++] = letters[i];
        (void)snprintf(uri, sizeof uri, "/Agents/%u", all);
        (void)snprintf(json, sizeof json,
                       "{\"active\":true,\"roles\":[\"%s\"]}", roles);
        read_as(w, (const char *)world_text(w, "%s%c", uri, 0).p, json);
        for (unsigned i = 0; i < COUNT_OF(rows); i++) {
            const char *missing = rows[i].needs;
            while (*missing != 0 && strchr(roles, *missing) != NULL)
                missing++;
            check_row(rows[i].tool);
            CHECK_STR(world_may(w, uri, rows[i].tool),
                      *missing == 0 ? "allow" : "gate_rule");
        }
    }
    check_row(NULL);
    world_close(w);
}

/* More rules than fit into one word of anything. */
static void test_many_rules(void **state)
{
    (void)state;
    struct buf text;
    struct world *w;
    buf_init(&text, mem_system(), 65536);
    buf_printf(&text, QUIET "gate:\n");
    for (unsigned i = 0; i < 140; i++)
        buf_printf(&text,
                   "  - {name: g%u, tools: [%st%u%s], require: 'title eq "
                   "\"t%u\"'}\n",
                   i, i % 2 == 0 ? "" : "\"", i, i % 2 == 0 ? "" : "-*\"", i);
    buf_put_u8(&text, 0);
    CHECK(buf_ok(&text));
    w = world_open((const char *)text.p);
    for (unsigned a = 0; a < 140; a += 23) {
        const char *uri = (const char *)world_text(w, "/Agents/%u%c", a, 0).p;
        read_as(w, uri,
                (const char *)world_text(
                    w, "{\"active\":true,\"title\":\"t%u\"}%c", a, 0)
                    .p);
        for (unsigned t = 0; t < 140; t++) {
            const struct span tool =
                world_text(w, t % 2 == 0 ? "t%u%c" : "t%u-1%c", t, 0);
            CHECK_STR(world_may(w, uri, (const char *)tool.p),
                      t == a ? "allow" : "gate_rule");
        }
    }
    buf_fini(&text);
    world_close(w);
}

/* ---- what is remembered ---- */

static const char halves[] = QUIET
    "tool_classes: {odd: [\"o*\"], even: [\"e*\"]}\n"
    "gate:\n"
    "  - {name: odd, tools: [odd], require: 'externalId pr and title eq "
    "\"odd\"'}\n"
    "  - {name: even, tools: [even], require: 'externalId pr and not (title eq "
    "\"odd\")'}\n";

static const char *half(unsigned n)
{
    return n % 2 == 0 ? "even" : "odd";
}

/* Of very many agents and tools some share a place in whatever remembers. */
static void test_nothing_is_mixed_up(void **state)
{
    (void)state;
    static const char *const kinds[] = {"even", "odd"};
    struct world *w = world_open(halves);
    w->conf.limits.subjects_max = 2 * MANY;
    CHECK_INT(world_restart(w), 0);
    for (unsigned i = 0; i < MANY; i++) {
        const char *uri = (const char *)world_text(w, "/Agents/%u%c", i, 0).p;
        /* no two have the same attributes */
        read_as(
            w, uri,
            (const char *)world_text(
                w, "{\"active\":true,\"title\":\"%s\",\"externalId\":\"%u\"}%c",
                half(i), i, 0)
                .p);
        CHECK_STR(world_may(w, uri, "odd.1"),
                  i % 2 == 0 ? "gate_rule" : "allow");
    }
    for (unsigned i = 0; i < MANY; i++) {
        char tool[16], uri[32];
        (void)snprintf(tool, sizeof tool, "%c%u", kinds[i % 2][0], i);
        (void)snprintf(uri, sizeof uri, "/Agents/%u", i);
        CHECK_STR(world_may(w, uri, "odd.1"),
                  i % 2 == 0 ? "gate_rule" : "allow");
        CHECK_STR(world_may(w, "/Agents/7", tool),
                  i % 2 == 0 ? "gate_rule" : "allow");
        CHECK_STR(world_may(w, "/Agents/8", tool),
                  i % 2 == 0 ? "allow" : "gate_rule");
    }
    world_close(w);
}

static const char *says_in(struct world *w, const char *run, const char *tool)
{
    return world_says(w, world_ask_in(w, run, A1, tool));
}

/* What looks at the call is decided for each call; without a run there is no
 * `call.run_id`, and what is absent satisfies nothing. */
static void test_runs(void **state)
{
    (void)state;
    static const struct {
        const char *tool, *run, *want;
    } rows[] = {
        {"good", "r1", "allow"},      {"good", "bad", "gate_rule"},
        {"good", "", "gate_rule"},    {"good", "r2", "allow"},
        {"good", "bad", "gate_rule"}, {"some", "r1", "allow"},
        {"some", "", "gate_rule"},    {"some", "r1", "allow"},
        {"none", "", "allow"},        {"none", "r1", "gate_rule"},
        {"none", "", "allow"},
    };
    struct world *w = world_open(
        QUIET
        "gate:\n"
        "  - {name: all, tools: [\"*\"], require: 'active eq true'}\n"
        "  - {name: good, tools: [good], require: 'call.run_id ne \"bad\"'}\n"
        "  - {name: some, tools: [some], require: 'call.run_id pr'}\n"
        "  - {name: none, tools: [none], require: 'call.run_id eq null'}\n");
    read_as(w, A1, ACTIVE);
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        check_row(rows[i].tool);
        CHECK_STR(says_in(w, rows[i].run, rows[i].tool), rows[i].want);
    }
    check_row(NULL);
    world_close(w);
}

/* ---- another policy ---- */

static void switch_to(struct world *w, const char *yaml)
{
    const struct in in = {.kind = IN_POLICY,
                          .policy.policy = world_policy(w, yaml)};
    w->policy = in.policy.policy;
    (void)world_step(w, in);
}

/* Nothing that the old one said is said after it. */
static void test_reload(void **state)
{
    (void)state;
    static const struct {
        const char *gate, *want;
    } rows[] = {
        {"", "allow"},
        {"gate:\n  - {name: a, tools: [x], require: 'title pr'}\n",
         "gate_rule"},
        {"gate:\n  - {name: b, tools: [v], require: 'active eq true'}\n",
         "tool_not_named"},
        {"gate:\n  - {name: c, tools: [\"*\"], require: 'active eq true'}\n"
         "  - {name: a, tools: [v], require: 'title pr'}\n",
         "allow"},
        {"tool_classes: {k: [x]}\n"
         "gate:\n  - {name: a, tools: [k], require: 'title pr'}\n",
         "gate_rule"},
        {"tool_classes: {k: [v]}\n"
         "gate:\n  - {name: a, tools: [k], require: 'title pr'}\n"
         "  - {name: c, tools: [\"*\"]}\n",
         "allow"},
    };
    struct world *w = world_open(QUIET);
    for (unsigned i = 0; i < 18; i++) {
        const unsigned k = (i * 5 + i / 6) % 6;
        switch_to(w,
                  (const char *)world_text(w, QUIET "%s%c", rows[k].gate, 0).p);
        read_as(w, A1, ACTIVE);
        check_row(rows[k].want);
        for (unsigned again = 0; again < 2; again++)
            CHECK_STR(world_may(w, A1, "x"), rows[k].want);
    }
    check_row(NULL);
    world_close(w);
}

/* A running call that the new one denies is stopped, and nobody has to ask: it
 * is read at once. */
static void test_reload_stops_calls(void **state)
{
    (void)state;
    struct world *w = world_open(QUIET);
    read_as(w, A1, ACTIVE);
    (void)world_hello(w, "r1", A1, "");
    (void)world_begin(w, A1, "x", "c1");
    (void)world_begin(w, A1, "v", "c2");
    CHECK_UINT(world_directives(w, DIRECTIVE_CANCEL, NULL), 0);
    switch_to(w, QUIET
              "gate:\n"
              "  - {name: x, tools: [x], require: 'title pr'}\n"
              "  - {name: v, tools: [v]}\n");
    CHECK_UINT(world_reading(w, A1), 1);
    CHECK(world_reply(w, A1, READ_OK, "e", ACTIVE));
    struct out_directive d;
    CHECK_UINT(world_directives(w, DIRECTIVE_CANCEL, &d), 1);
    CHECK_UINT(d.call_ids.count, 1);
    CHECK_SPAN(d.call_ids.at[0], SPAN("c1"));
    world_close(w);
}

/* The day on which audit mode ends begins at midnight, not after it. */
static void test_the_day_begins(void **state)
{
    (void)state;
    struct world *w = world_open(QUIET
                                 "gate:\n"
                                 "  - name: soon\n"
                                 "    tools: [\"*\"]\n"
                                 "    require: 'title pr'\n"
                                 "    mode: {audit: {until: 2027-01-16}}\n");
    read_as(w, A1, ACTIVE);
    const int64_t day = INT64_C(1800057600000);
    CHECK(w->wall < day);
    world_pass(w, day - 1 - w->wall);
    CHECK_STR(world_may(w, A1, "x"), "allow");
    world_pass(w, 1);
    CHECK_INT(w->wall, day);
    CHECK_STR(world_may(w, A1, "x"), "gate_rule");
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_rule_that_names_it),
        cmocka_unit_test(test_many_rules),
        cmocka_unit_test(test_nothing_is_mixed_up),
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_reload_stops_calls),
        cmocka_unit_test(test_the_day_begins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
