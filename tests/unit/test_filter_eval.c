// SPDX-License-Identifier: Apache-2.0
#include "adapters/json_doc.h"
#include "policy/filter.h"
#include "sidecar/base/buf.h"
#include "tests/lib/check.h"

#define CORE "urn:ietf:params:scim:schemas:core:2.0:Agent"
#define EXT "urn:example:agents:1.0:Bot"

struct world {
    struct arena arena;
    struct filter_env env;
};

static const struct doc *parse(struct world *w, const char *json)
{
    const struct doc *d = NULL;
    struct fail f = {0};
    if (json == NULL)
        return NULL;
    CHECK_OK(json_doc_parse(&w->arena.mem, span_str(json), 65536, &d, &f), &f);
    return d;
}

static const struct filter *compile(struct world *w, const char *text)
{
    const struct filter *flt = NULL;
    struct fail f = {0};
    size_t at;
    check_row(text);
    CHECK_OK(filter_compile(&w->arena.mem, span_str(text), &flt, &at, &f), &f);
    return flt;
}

static enum tri ask(const char *text, const char *resource)
{
    struct world w = {0};
    arena_init(&w.arena, mem_system(), 1 << 20);
    w.env.resource = parse(&w, resource);
    enum tri v = filter_eval(compile(&w, text), &w.env);
    arena_fini(&w.arena);
    return v;
}

struct row {
    const char *filter, *resource;
    enum tri want;
};

#define OWNERS                                                                 \
    "{\"owners\":[{\"value\":\"u1\",\"type\":\"Group\"},"                      \
    "{\"value\":\"u2\",\"type\":\"User\"}]}"
#define DATED "{\"meta\":{\"lastModified\":\"2026-09-21T08:00:01Z\"}}"

/* The table of standards 6.7 and one row or more for each of its details. */
static const struct row rows[] = {
    {"active eq true", "{\"active\":true}", TRI_YES},
    {"Active EQ true", "{\"active\":true}", TRI_YES},
    {"active eq true", "{\"ACTIVE\":true}", TRI_YES},
    {"not (active eq true)", "{}", TRI_YES},
    {"active eq false", "{}", TRI_NO},
    {"active eq true", "{\"active\":\"true\"}", TRI_NO},
    {"active eq true", "{\"active\":1}", TRI_NO},
    {"active eq true", "{\"active\":null}", TRI_NO},
    {"entitlements pr", "{\"entitlements\":[]}", TRI_NO},
    {"a eq 1 or b eq 1 and c eq 1", "{\"a\":1,\"b\":0,\"c\":0}", TRI_YES},
    {"(a eq 1 or b eq 1) and c eq 1", "{\"a\":1,\"b\":0,\"c\":0}", TRI_NO},
    /* 7644-R14 */
    {"owners[value eq \"u1\" and type eq \"User\"]", OWNERS, TRI_NO},
    {"owners[value eq \"u2\" and type eq \"User\"]", OWNERS, TRI_YES},
    {"owners.value eq \"u1\" and owners.type eq \"User\"", OWNERS, TRI_YES},
    {CORE ":displayName sw \"Inv\"", "{\"displayName\":\"invoice bot\"}",
     TRI_YES},
    /* 7644-R13 */
    {"externalId eq \"BOT\"", "{\"externalId\":\"bot\"}", TRI_NO},
    {"id eq \"A\"", "{\"id\":\"a\"}", TRI_NO},
    {"owners.value eq \"U1\"", OWNERS, TRI_NO},
    {"owners[value eq \"U1\"]", OWNERS, TRI_NO},
    {"owners eq \"U1\"", OWNERS, TRI_NO},
    {"owners.type eq \"user\"", OWNERS, TRI_YES},
    {"owners.$ref eq \"X\"", "{\"owners\":[{\"$ref\":\"x\"}]}", TRI_NO},
    {"meta.resourceType eq \"agent\"",
     "{\"meta\":{\"resourceType\":\"Agent\"}}", TRI_NO},
    {"displayName eq \"a\xc3\x89\"", "{\"displayName\":\"A\xc3\x89\"}",
     TRI_YES},
    {"displayName eq \"\xc3\xa9\"", "{\"displayName\":\"\xc3\x89\"}", TRI_NO},
    /* times are instants */
    {"meta.lastModified gt \"2026-09-21T10:00:00+02:00\"", DATED, TRI_YES},
    {"meta.lastModified lt \"2026-09-21T10:00:02+02:00\"", DATED, TRI_YES},
    {"meta.lastModified eq \"2026-09-21T10:00:01.000+02:00\"", DATED, TRI_YES},
    {"meta.lastModified ge \"2026-09-21\"", DATED, TRI_YES},
    {"meta.lastModified sw \"2026-09\"", DATED, TRI_YES},
    {"expires lt \"2026-01-01T00:00:00Z\"",
     "{\"expires\":\"2025-12-31T23:59:59-01:00\"}", TRI_NO},
    {"externalId eq \"2026-01-01\"",
     "{\"externalId\":\"2026-01-01T00:00:00Z\"}", TRI_NO},
    /* detail 7: any value */
    {"groups.value eq \"b\"",
     "{\"groups\":[{\"value\":\"a\"},{\"value\":\"b\"}]}", TRI_YES},
    {"groups.value ne \"b\"",
     "{\"groups\":[{\"value\":\"a\"},{\"value\":\"b\"}]}", TRI_NO},
    {"not (groups.value eq \"c\")", "{\"groups\":[{\"value\":\"a\"}]}",
     TRI_YES},
    /* detail 8: a bare multi-valued attribute is its value */
    {"groups eq \"a\"", "{\"groups\":[{\"value\":\"a\"}]}", TRI_YES},
    {"roles co \"adm\"", "{\"roles\":[\"x\",\"Admin\"]}", TRI_YES},
    {"roles.value eq \"x\"", "{\"roles\":[\"x\"]}", TRI_YES},
    {"roles[value sw \"x\"]", "{\"roles\":[\"xy\"]}", TRI_YES},
    {"roles[other pr]", "{\"roles\":[\"xy\"]}", TRI_NO},
    {"name eq \"x\"", "{\"name\":{\"value\":\"x\"}}", TRI_NO},
    {"name[familyName eq \"X\"]", "{\"name\":{\"familyName\":\"x\"}}", TRI_YES},
    /* details 9 and 10: absent, null, empty */
    {"a ne \"x\"", "{}", TRI_YES},
    {"a eq null", "{}", TRI_YES},
    {"a eq null", "{\"a\":[]}", TRI_YES},
    {"a eq null", "{\"a\":\"\"}", TRI_YES},
    {"a eq null", "{\"a\":{\"b\":null}}", TRI_YES},
    {"a eq null", "{\"a\":false}", TRI_NO},
    {"a ne null", "{\"a\":0}", TRI_YES},
    {"a.b eq null", "{\"a\":[{\"c\":1}]}", TRI_YES},
    {"a.b ne null", "{\"a\":[{\"c\":1},{\"b\":1}]}", TRI_YES},
    {"a pr", "{\"a\":{\"b\":[{\"c\":\"\"},{\"d\":0}]}}", TRI_YES},
    {"a pr", "{\"a\":{\"b\":[{\"c\":\"\"},{\"d\":null}]}}", TRI_NO},
    {"a gt \"x\"", "{}", TRI_NO},
    {"a[b pr]", "{}", TRI_NO},
    {"not (a[b pr])", "{}", TRI_YES},
    /* detail 14 */
    {"schemas eq \"" CORE "\"", "{\"schemas\":[\"urn:x\",\"" CORE "\"]}",
     TRI_YES},
    {"schemas eq \"" CORE "\"", "{\"schemas\":[\"urn:x\"]}", TRI_NO},
    /* extensions */
    {EXT ":owner eq \"a\"", "{\"" EXT "\":{\"owner\":\"A\"}}", TRI_YES},
    {"URN:example:agents:1.0:Bot:owner pr", "{\"" EXT "\":{\"owner\":\"A\"}}",
     TRI_YES},
    {EXT ":owner pr", "{\"owner\":\"top level is another schema's\"}", TRI_NO},
    {CORE ":owner pr", "{\"owner\":\"x\"}", TRI_YES},
    {CORE ":owner eq \"in\"",
     "{\"owner\":\"out\",\"" CORE "\":{\"owner\":\"in\"}}", TRI_YES},
    {EXT ":owners[value eq \"a\"]",
     "{\"" EXT "\":{\"owners\":[{\"value\":\"a\"}]}}", TRI_YES},
    {"x.list[value eq \"a\"]", "{\"x\":{\"list\":[{\"value\":\"a\"}]}}",
     TRI_YES},
    /* numbers */
    {"n eq 1.0", "{\"n\":1}", TRI_YES},
    {"n gt 0.5", "{\"n\":1}", TRI_YES},
    {"n le 1", "{\"n\":1.5}", TRI_NO},
    {"n eq 0.1", "{\"n\":0.1}", TRI_YES},
    {"n eq 9007199254740993", "{\"n\":9007199254740992}", TRI_NO},
    {"n eq \"1\"", "{\"n\":1}", TRI_NO},
    {"n eq 1", "{\"n\":\"1\"}", TRI_NO},
    {"n ge \"0\"", "{\"n\":1}", TRI_NO},
    /* text */
    {"a co \"\"", "{\"a\":\"x\"}", TRI_YES},
    {"a sw \"xyz\"", "{\"a\":\"xy\"}", TRI_NO},
    {"a ew \"Z\"", "{\"a\":\"xyz\"}", TRI_YES},
    {"a ew \"wxyz\"", "{\"a\":\"xyz\"}", TRI_NO},
    {"a gt \"B\"", "{\"a\":\"c\"}", TRI_YES},
    {"a ge \"b\"", "{\"a\":\"B\"}", TRI_YES},
    {"a lt \"b\"", "{\"a\":\"ab\"}", TRI_YES},
    {"a lt \"ab\"", "{\"a\":\"a\"}", TRI_YES},
    /* nothing known */
    {"a eq 1", NULL, TRI_UNKNOWN},
    {"not (a eq 1)", NULL, TRI_UNKNOWN},
    {"a[b pr]", NULL, TRI_UNKNOWN},
    {"tool eq \"x\"", "{}", TRI_UNKNOWN},
    {"event.x pr", "{}", TRI_UNKNOWN},
    {"call.x pr or a eq 1", "{\"a\":1}", TRI_YES},
    {"call.x pr and a eq 1", "{\"a\":0}", TRI_NO},
};

static void vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        CHECK_INT(ask(rows[i].filter, rows[i].resource), rows[i].want);
    check_row(NULL);
}

/* Every operator between values of every kind: the answer of Kleene logic. */
static void kleene(void **state)
{
    (void)state;
    static const char *const leaf[] = {"n eq 0", "n eq 1", "tool pr"};
    static const enum tri and[3][3] = {{TRI_NO, TRI_NO, TRI_NO},
                                       {TRI_NO, TRI_YES, TRI_UNKNOWN},
                                       {TRI_NO, TRI_UNKNOWN, TRI_UNKNOWN}};
    static const enum tri or [3][3] = {{TRI_NO, TRI_YES, TRI_UNKNOWN},
                                       {TRI_YES, TRI_YES, TRI_YES},
                                       {TRI_UNKNOWN, TRI_YES, TRI_UNKNOWN}};
    static const enum tri not [3] = {TRI_YES, TRI_NO, TRI_UNKNOWN};
    for (unsigned a = 0; a < 3; a++) {
        char text[100];
        (void)snprintf(text, sizeof text, "not (%s)", leaf[a]);
        CHECK_INT(ask(text, "{\"n\":1}"), not [a]);
        for (unsigned b = 0; b < 3; b++) {
            (void)snprintf(text, sizeof text, "%s and %s", leaf[a], leaf[b]);
            CHECK_INT(ask(text, "{\"n\":1}"), and[a][b]);
            (void)snprintf(text, sizeof text, "%s or %s", leaf[a], leaf[b]);
            CHECK_INT(ask(text, "{\"n\":1}"), or [a][b]);
        }
    }
    check_row(NULL);
}

static enum tri ask_with(const char *text, const char *resource,
                         const char *event, const char *call, bool strict)
{
    struct world w = {0};
    arena_init(&w.arena, mem_system(), 1 << 20);
    w.env.resource = parse(&w, resource);
    w.env.event = parse(&w, event);
    w.env.call = parse(&w, call);
    w.env.absent_is_unknown = strict;
    enum tri v = filter_eval(compile(&w, text), &w.env);
    arena_fini(&w.arena);
    return v;
}

static void events_and_calls(void **state)
{
    (void)state;
    const char *call =
        "{\"tool\":\"payments.send\",\"tool_class\":[\"money\"],"
        "\"amount\":7}";
    CHECK_INT(ask_with("tool eq \"payments.send\"", "{}", NULL, call, false),
              TRI_YES);
    CHECK_INT(ask_with("tool eq \"Payments.send\"", "{}", NULL, call, false),
              TRI_NO);
    CHECK_INT(ask_with("tool_class eq \"money\"", "{}", NULL, call, false),
              TRI_YES);
    CHECK_INT(ask_with("call.amount gt 5", "{}", NULL, call, false), TRI_YES);
    CHECK_INT(ask_with("call.other pr", "{}", NULL, call, false), TRI_NO);
    CHECK_INT(ask_with("event.level eq \"HIGH\"", "{}", "{\"level\":\"HIGH\"}",
                       NULL, false),
              TRI_YES);
    CHECK_INT(ask_with("event.level eq \"high\"", "{}", "{\"level\":\"HIGH\"}",
                       NULL, false),
              TRI_NO);
    /* the resource's own attributes of those names need their schema */
    CHECK_INT(ask_with("event.level pr", "{\"event\":{\"level\":1}}", "{}",
                       NULL, false),
              TRI_NO);
    CHECK_INT(ask_with(CORE ":event.level pr", "{\"event\":{\"level\":1}}",
                       "{}", NULL, false),
              TRI_YES);
    check_row(NULL);
}

/* An absent attribute never satisfies a requirement, also not under `not`. */
static void absence_in_requirements(void **state)
{
    (void)state;
    static const struct row strict[] = {
        {"not (risk eq \"high\")", "{}", TRI_UNKNOWN},
        {"risk ne \"high\"", "{}", TRI_UNKNOWN},
        {"risk ne \"high\"", "{\"risk\":\"low\"}", TRI_YES},
        {"not (groups[value eq \"x\"])", "{\"groups\":[]}", TRI_UNKNOWN},
        {"not (groups[value eq \"x\"])", "{\"groups\":[{\"value\":\"y\"}]}",
         TRI_YES},
        {"not (groups[type eq \"x\"])", "{\"groups\":[{\"value\":\"y\"}]}",
         TRI_UNKNOWN},
        {"groups[type eq \"x\" or value eq \"y\"]",
         "{\"groups\":[{\"value\":\"y\"}]}", TRI_YES},
        {"not (risk pr)", "{}", TRI_YES},
        {"risk eq null or risk eq \"low\"", "{}", TRI_YES},
        {"risk ne null", "{}", TRI_NO},
    };
    for (size_t i = 0; i < COUNT_OF(strict); i++)
        CHECK_INT(
            ask_with(strict[i].filter, strict[i].resource, NULL, NULL, true),
            strict[i].want);
    check_row(NULL);
}

static bool knows(const void *ctx, struct span attr)
{
    return span_ieq(span_str(ctx), attr);
}

/* What was not asked for is unknown, not absent. */
static void projection(void **state)
{
    (void)state;
    static const struct {
        const char *filter, *known;
        enum tri want;
    } table[] = {
        {"a eq 1", "a", TRI_NO},           {"A eq 1", "a", TRI_NO},
        {"a eq 1", "b", TRI_UNKNOWN},      {"a.x eq 1", "a", TRI_NO},
        {"a[x eq 1]", "b", TRI_UNKNOWN},   {"c eq 1", "b", TRI_YES},
        {CORE ":a eq 1", "a", TRI_NO},     {EXT ":a eq 1", "a", TRI_UNKNOWN},
        {EXT ":a eq 1", EXT ":a", TRI_NO},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct world w = {0};
        arena_init(&w.arena, mem_system(), 1 << 20);
        w.env.resource = parse(&w, "{\"c\":1}");
        w.env.is_known = knows;
        w.env.ctx = table[i].known;
        CHECK_INT(filter_eval(compile(&w, table[i].filter), &w.env),
                  table[i].want);
        arena_fini(&w.arena);
    }
    check_row(NULL);
}

/* ---- random filters ---- */

struct gen {
    uint64_t state;
    struct buf out;
};

static unsigned pick(struct gen *g, unsigned n)
{
    g->state = g->state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (unsigned)(g->state >> 33) % n;
}

static void gen_test(struct gen *g, bool inside)
{
    static const char *const paths[] = {"a",    "b.value", "c",
                                        "tool", EXT ":d",  "$ref"};
    static const char *const ops[] = {"eq", "ne", "gt", "le", "CO", "sw"};
    static const char *const values[] = {"\"x\"", "\"X\\u0041\"",
                                         "\"2026-01-01T00:00:00Z\"", "\"\""};
    buf_put_str(&g->out, paths[pick(g, inside ? 3 : 6)]);
    if (pick(g, 4) == 0)
        buf_put_str(&g->out, " pr");
    else if (pick(g, 4) == 0)
        buf_put_str(&g->out, pick(g, 2) == 0 ? " eq 1.50" : " ne null");
    else
        buf_printf(&g->out, "  %s %s", ops[pick(g, 6)], values[pick(g, 4)]);
}

// NOLINTNEXTLINE(misc-no-recursion)
static void gen_filter(struct gen *g, unsigned depth, bool inside)
{
    unsigned kind = depth == 0 ? 5 : pick(g, inside ? 5 : 6);
    switch (kind) {
        case 0:
        case 1:
            buf_put_str(&g->out, "(");
            gen_filter(g, depth - 1, inside);
            buf_put_str(&g->out, kind == 0 ? " and " : " or ");
            gen_filter(g, depth - 1, inside);
            buf_put_str(&g->out, " )");
            break;
        case 2:
            buf_put_str(&g->out, "NOT (");
            gen_filter(g, depth - 1, inside);
            buf_put_str(&g->out, ")");
            break;
        case 5:
            if (!inside && depth > 0) {
                buf_put_str(&g->out, "b[");
                gen_filter(g, depth - 1, true);
                buf_put_str(&g->out, "]");
                break;
            }
            gen_test(g, inside);
            break;
        default: gen_test(g, inside);
    }
}

static const char *const worlds[] = {
    "{}",
    "{\"a\":\"x\",\"b\":[{\"value\":\"X\",\"a\":\"xa\"},{\"c\":1.5}]}",
    "{\"a\":[\"XA\",\"2026-01-01T01:00:00+01:00\"],\"c\":1.5,\"" EXT
    "\":{\"d\":\"x\"}}",
};

static void check_round_trip(struct gen *g)
{
    struct world w = {0};
    struct buf once, twice;
    arena_init(&w.arena, mem_system(), 1 << 20);
    const struct filter *first = compile(&w, (const char *)g->out.p);
    buf_init(&once, &w.arena.mem, 1 << 16);
    buf_init(&twice, &w.arena.mem, 1 << 16);
    filter_print(first, &once);
    const struct filter *second = compile(&w, (const char *)once.p);
    filter_print(second, &twice);
    CHECK_SPAN(buf_span(&twice), buf_span(&once));
    for (size_t i = 0; i < COUNT_OF(worlds); i++) {
        w.env.resource = parse(&w, worlds[i]);
        CHECK_INT(filter_eval(second, &w.env), filter_eval(first, &w.env));
    }
    check_row(NULL);
    arena_fini(&w.arena);
}

static void print_round_trip(void **state)
{
    (void)state;
    struct gen g = {.state = 1};
    buf_init(&g.out, mem_system(), 1 << 16);
    for (unsigned i = 0; i < 2000; i++) {
        buf_clear(&g.out);
        gen_filter(&g, 1 + i % 4, false);
        CHECK(buf_ok(&g.out));
        check_round_trip(&g);
    }
    buf_fini(&g.out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),
        cmocka_unit_test(kleene),
        cmocka_unit_test(events_and_calls),
        cmocka_unit_test(absence_in_requirements),
        cmocka_unit_test(projection),
        cmocka_unit_test(print_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
