// SPDX-License-Identifier: Apache-2.0
/*
 * Conditions: every operator on every kind of value, alone and in pairs, over
 * what is known, known in part and not known. Then the gate: every pair of
 * gate rules, every agent, every question.
 */
#include <stdio.h>
#include <string.h>

#include "tests/semantics/sample.h"

#define DEFAULTS "defaults: {refresh: {timeout: 60s}}\n"

/* ---- conditions ---- */

static const char *const ops[] = {"eq", "ne", "co", "sw", "ew",
                                  "gt", "ge", "lt", "le"};
static const char *const literals[] = {"\"a\"", "\"B\"", "\"\"", "1",
                                       "2.5",   "true",  "null"};
static const char *const left[] = {"x",  "x.value", "x.type",
                                   "id", "event.x", "urn:e:f:1.0:T:x"};
static const char *const whole[] = {"x pr",
                                    "x.value pr",
                                    "x[value eq \"a\"]",
                                    "x[value eq \"A\" and type ne \"t\"]",
                                    "x[not (type pr)]",
                                    "x[type eq null or value eq 1]",
                                    "event.x pr",
                                    "urn:e:f:1.0:T:x pr",
                                    "schemas eq \"a\""};

static const char *const values[] = {
    "null",
    "\"\"",
    "\"a\"",
    "\"Ab\"",
    "1",
    "2.5",
    "true",
    "false",
    "[]",
    "[\"b\",\"a\"]",
    "[{\"value\":\"a\",\"type\":\"t\"},{\"value\":\"b\",\"type\":\"T\"}]",
    "[{\"type\":\"t\"}]",
    "[{\"value\":\"\"}]",
    "{\"value\":\"a\",\"type\":\"A\"}",
    "[1,\"a\",null,{\"value\":[\"a\",2.5]}]"};

#define FILTERS_MAX 600
#define SIGHTS_MAX 400

struct bench {
    struct arena arena;
    const struct filter *filters[FILTERS_MAX];
    char texts[FILTERS_MAX][64];
    unsigned filter_count;
    struct ref_sight sights[SIGHTS_MAX];
    unsigned sight_count;
    uint64_t compared;
};

static void add_filter(struct bench *b, const char *text)
{
    size_t offset;
    struct fail f = {0};
    must(b->filter_count < FILTERS_MAX);
    char *own = b->texts[b->filter_count];
    (void)snprintf(own, sizeof b->texts[0], "%s", text);
    /* Not everything has an order: such texts are refused. */
    b->filter_count +=
        filter_compile(&b->arena.mem, span_str(own),
                       &b->filters[b->filter_count], &offset, &f) == 0;
}

static void add_sight(struct bench *b, const struct doc *resource,
                      const struct doc *event)
{
    for (unsigned i = 0; i < 4; i++) {
        must(b->sight_count < SIGHTS_MAX);
        b->sights[b->sight_count++] =
            (struct ref_sight){.resource = resource,
                               .partial = (i & 1) != 0,
                               .requirement = (i & 2) != 0,
                               .event = event,
                               .call = NULL};
    }
}

static bool absent_is_not_known(const void *ctx, struct span attr)
{
    (void)ctx;
    (void)attr;
    return false;
}

static void compare(struct bench *b, const struct filter *f, const char *text)
{
    static const enum truth truths[] = {
        [TRI_NO] = FALSE_, [TRI_YES] = TRUE_, [TRI_UNKNOWN] = UNKNOWN_};
    for (unsigned i = 0; i < b->sight_count; i++) {
        const struct ref_sight *s = &b->sights[i];
        const struct filter_env env = {
            .resource = s->resource,
            .is_known = s->partial ? absent_is_not_known : NULL,
            .absent_is_unknown = s->requirement,
            .event = s->event};
        const enum truth got = truths[filter_eval(f, &env)];
        const enum truth want = ref_condition(f, s);
        b->compared++;
        if (got == want)
            continue;
        char row[200];
        (void)snprintf(row, sizeof row, "%s, sight %u (values[%u])", text, i,
                       i / 4);
        check_row(row);
        CHECK_INT(got, want);
    }
}

static struct bench *bench_open(struct universe *u)
{
    struct bench *b = mem_alloc(mem_system(), sizeof *b);
    char text[160];
    must(b != NULL);
    arena_init(&b->arena, mem_system(), 1 << 30);
    for (unsigned l = 0; l < COUNT_OF(left); l++)
        for (unsigned o = 0; o < COUNT_OF(ops); o++)
            for (unsigned v = 0; v < COUNT_OF(literals); v++) {
                (void)snprintf(text, sizeof text, "%s %s %s", left[l], ops[o],
                               literals[v]);
                add_filter(b, text);
            }
    for (unsigned i = 0; i < COUNT_OF(whole); i++)
        add_filter(b, whole[i]);
    add_sight(b, NULL, NULL);
    add_sight(b, universe_json(u, "{}"), NULL);
    for (unsigned i = 0; i < COUNT_OF(values); i++) {
        (void)snprintf(text, sizeof text, "{\"X\":%s}", values[i]);
        add_sight(b, universe_json(u, text), universe_json(u, text));
        (void)snprintf(text, sizeof text,
                       "{\"id\":%s,\"urn:e:f:1.0:T\":{\"x\":%s}}", values[i],
                       values[i]);
        add_sight(b, universe_json(u, text), universe_json(u, "{}"));
    }
    return b;
}

static void a_condition_is_true_false_or_unknown(void **state)
{
    struct universe *u = universe_open();
    struct bench *b = bench_open(u);
    static const struct {
        const char *before, *between, *after;
    } forms[] = {{"", " and ", ""},
                 {"", " or ", ""},
                 {"not (", ") and (", ")"},
                 {"not (", " or not (", "))"}};
    (void)state;
    CHECK(b->filter_count > 200);
    for (unsigned i = 0; i < b->filter_count; i++)
        compare(b, b->filters[i], b->texts[i]);
    for (unsigned i = 0; i < b->filter_count; i++)
        for (unsigned k = i % 7; k < b->filter_count; k += 7) {
            char text[200];
            const struct filter *f;
            struct fail fail = {0};
            size_t offset;
            struct arena a;
            arena_init(&a, mem_system(), 1 << 20);
            const unsigned form = (i + k) % COUNT_OF(forms);
            (void)snprintf(text, sizeof text, "%s%s%s%s%s", forms[form].before,
                           b->texts[i], forms[form].between, b->texts[k],
                           forms[form].after);
            CHECK_OK(filter_compile(&a.mem, span_str(text), &f, &offset, &fail),
                     &fail);
            compare(b, f, text);
            arena_fini(&a);
        }
    (void)printf("NOTE conditions: %llu comparisons of %u terms\n",
                 (unsigned long long)b->compared, b->filter_count);
    arena_fini(&b->arena);
    mem_release(mem_system(), b);
    universe_close(u);
}

/* ---- the gate ---- */

static const char *const tool_sets[] = {"[money]", "[\"kb.*\", \"pay.send\"]",
                                        "[\"*\"]"};
static const char *const requires[] = {
    "",
    ", require: 'title eq \"a\"'",
    ", require: 'not (title eq \"a\")'",
    ", require: 'title ne \"a\"'",
    ", require: 'title eq null or not (title eq \"a\")'",
    ", require: 'not (title pr)'",
    ", require: 'groups.value eq \"g\"'",
    ", require: 'call.run_id pr'",
    ", require: 'call.run_id eq \"r1\" and title pr'",
    ", require: 'tool_class eq \"money\" or tool ew \"read\"'",
    ", require: 'not (tool_class eq \"none\")', max_age: 3s",
    ", require: 'title eq \"a\"', max_age: 3s, mode: {audit: {until: "
    "2099-01-01}}",
};

static const char *const titles[] = {"", ",\"title\":\"a\"",
                                     ",\"title\":\"b\""};
static const char *const actives[] = {"true", "false", "\"true\""};
static const char *const groups[] = {"", ",\"groups\":[{\"value\":\"g\"}]"};
static const char *const asked[] = {"pay.send", "kb.read", "other"};

static const struct sampled *gate(struct universe *u, unsigned t1, unsigned r1,
                                  unsigned t2, unsigned r2)
{
    return universe_policy(u,
                           DEFAULTS
                           "tool_classes: {money: [\"pay.*\"]}\ngate:\n"
                           "  - {name: g1, tools: %s%s}\n"
                           "  - {name: g2, tools: %s%s}\n",
                           tool_sets[t1], requires[r1], tool_sets[t2],
                           requires[r2]);
}

static void ask_all(struct universe *u, const struct sampled *p,
                    const char *json)
{
    struct input in[INPUTS_MAX] = {
        ASKS("other"), READS(json, "e1"), {.what = PASS}};
    unsigned n = 2;
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned t = 0; t < COUNT_OF(asked); t++)
            for (unsigned r = 0; r < 2; r++)
                in[n++] = (struct input){.what = ASK,
                                         .uri = A1,
                                         .tool = asked[t],
                                         .run = r == 0 ? NULL : "r1"};
        if (round == 0)
            in[n++] = (struct input){.what = PASS}; /* too old for some */
    }
    sample(u, p, in, n, NULL);
}

static void every_gate_rule_must_allow(void **state)
{
    struct universe *u = universe_open();
    char json[200];
    (void)state;
    for (unsigned t = 0; t < COUNT_OF(tool_sets) * COUNT_OF(tool_sets); t++)
        for (unsigned r = 0; r < COUNT_OF(requires) * COUNT_OF(requires); r++) {
            const struct sampled *p =
                gate(u, t % COUNT_OF(tool_sets), r % COUNT_OF(requires),
                     t / COUNT_OF(tool_sets), r / COUNT_OF(requires));
            CHECK(p != NULL);
            for (unsigned i = 0; i < 18; i++) {
                (void)snprintf(json, sizeof json, "{\"active\":%s%s%s}",
                               actives[i % 3], titles[i / 3 % 3],
                               groups[i / 9]);
                ask_all(u, p, json);
            }
        }
    universe_report(u, "gate");
    universe_close(u);
}

/* Under `not` and `ne` too: only asking for absence finds it. */
static void what_is_absent_satisfies_no_requirement(void **state)
{
    struct universe *u = universe_open();
    (void)state;
    for (unsigned r = 1; r < 6; r++) {
        const struct sampled *p = gate(u, 2, r, 2, 0);
        const struct input in[] = {ASKS("other"),
                                   READS("{\"active\":true}", "e1")};
        struct ending end;
        sample(u, p, in, COUNT_OF(in), &end);
        const bool asks_for_absence = r == 4 || r == 5;
        const bool allowed = strstr(end.says.at[0], "allow") != NULL;
        if (allowed != asks_for_absence)
            sample_fail(p, in, COUNT_OF(in), "%s", end.says.at[0]);
    }
    universe_close(u);
}

/* With gate rules, a tool that none of them names is closed. */
static void a_tool_that_no_rule_names_is_denied(void **state)
{
    struct universe *u = universe_open();
    const struct input in[] = {ASKS("kb.read"),
                               READS("{\"active\":true}", "e1"),
                               ASKS("kb.read"), ASKS("other")};
    struct ending end;
    (void)state;
    sample(u, gate(u, 0, 0, 0, 0), in, COUNT_OF(in), &end);
    CHECK_STR(end.says.at[0], "/Agents/1 pay.send: allow");
    CHECK_STR(end.says.at[1], "/Agents/1 kb.read: tool_not_named");
    sample(u, universe_policy(u, DEFAULTS), in, COUNT_OF(in), &end);
    CHECK_STR(end.says.at[1], "/Agents/1 kb.read: allow");
    universe_close(u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_condition_is_true_false_or_unknown),
        cmocka_unit_test(every_gate_rule_must_allow),
        cmocka_unit_test(what_is_absent_satisfies_no_requirement),
        cmocka_unit_test(a_tool_that_no_rule_names_is_denied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
