// SPDX-License-Identifier: Apache-2.0
/* What the index finds, against going through everything. */
#include <string.h>

#include "policy/glob_index.h"
#include "policy/index.h"
#include "sidecar/base/buf.h"
#include "sidecar/config/yaml_doc.h"
#include "tests/lib/check.h"

#define HEAD "apiVersion: bailiff/v1\nkind: Policy\n"
#define PATTERNS_MAX 200
#define TEXT_MAX 9

static unsigned below(unsigned n)
{
    static uint64_t seed = 88172645463325252u;
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 33) % n;
}

static struct span random_text(char room[TEXT_MAX], unsigned letters,
                               unsigned least)
{
    const size_t n = least + below(TEXT_MAX - least);
    for (size_t i = 0; i < n; i++)
        room[i] = "ab*"[below(letters)];
    return span_of(room, n);
}

/* ---- patterns ---- */

struct patterns {
    char text[PATTERNS_MAX][TEXT_MAX];
    struct span at[PATTERNS_MAX];
    unsigned count;
    struct glob_index index;
};

static void seal(struct patterns *s, struct mem *m)
{
    CHECK_INT(glob_index_init(m, s->count, &s->index), 0);
    for (unsigned i = 0; i < s->count; i++)
        glob_index_add(&s->index, s->at[i], (uint16_t)i);
    glob_index_seal(&s->index);
}

static void compare_with_scan(const struct patterns *s, struct span text)
{
    uint64_t bits[PATTERNS_MAX / 64 + 1] = {0};
    (void)glob_index_find(&s->index, text, bits);
    for (unsigned i = 0; i < s->count; i++)
        if ((bits[i / 64] >> i % 64 & 1) != span_glob(s->at[i], text)) {
            print_error("pattern '%.*s', text '%.*s'\n", PRSPAN(s->at[i]),
                        PRSPAN(text));
            CHECK(false && "the index differs");
        }
}

/* Letters are few, so that patterns begin and end alike. */
static void finds_what_a_scan_finds(void **state)
{
    (void)state;
    static struct patterns s;
    char room[TEXT_MAX];
    for (unsigned round = 0; round < 2000; round++) {
        s.count = below(PATTERNS_MAX);
        for (unsigned i = 0; i < s.count; i++)
            s.at[i] = random_text(s.text[i], 3, 0);
        seal(&s, mem_system());
        for (unsigned i = 0; i < 50; i++)
            compare_with_scan(&s, random_text(room, 2, 0));
        mem_release(mem_system(), s.index.at);
    }
}

static const struct {
    const char *pattern, *yes, *no;
} rows[] = {
    {"a.b", "a.b", "a.bc"},      {"a.*", "a.", "a"},
    {"*.b", ".b", "b"},          {"*", "", NULL},
    {"**", "x", NULL},           {"*b*", "abc", "ac"},
    {"a*a", "aa", "a"},          {"long*a", "longa", "long"},
    {"a*long", "along", "long"}, {"", "", "a"},
};

static void finds_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        static struct patterns s;
        s.count = 1;
        s.at[0] = span_str(rows[i].pattern);
        seal(&s, mem_system());
        uint64_t bits[1] = {0};
        check_row(rows[i].pattern);
        if (rows[i].no != NULL)
            (void)glob_index_find(&s.index, span_str(rows[i].no), bits);
        CHECK_UINT(bits[0], 0);
        (void)glob_index_find(&s.index, span_str(rows[i].yes), bits);
        CHECK_UINT(bits[0], 1);
        mem_release(mem_system(), s.index.at);
    }
    check_row(NULL);
}

/* ---- gate rules ---- */

#define GATES 40

static const char *const requirements[] = {
    "", ", require: 'active eq true'", ", require: 'title eq \"x\"'",
    ", require: 'active  eq true'", ", require: 'risk lt 5'"};

static void put_gates(struct buf *b)
{
    char room[TEXT_MAX];
    buf_init(b, mem_system(), 1 << 20);
    buf_put_str(b, HEAD
                "tool_classes:\n  c0: [\"a*\", \"*b\"]\n"
                "  c1: [ab, \"*aa*\"]\n  c2: [\"b*b\"]\ngate:\n");
    for (unsigned i = 0; i < GATES; i++) {
        buf_printf(b, "  - {name: g%u, tools: [", i);
        for (unsigned n = below(3); n > 0; n--)
            buf_printf(b, "\"%.*s\", ", PRSPAN(random_text(room, 3, 1)));
        if (below(3) == 0)
            buf_printf(b, "c%u]", below(3));
        else
            buf_printf(b, "\"%.*s\"]", PRSPAN(random_text(room, 3, 1)));
        buf_printf(b, "%s%s}\n", requirements[below(COUNT_OF(requirements))],
                   below(3) == 0 ? ", mode: {audit: {until: 2027-02-01}}" : "");
    }
    CHECK(buf_ok(b));
}

static uint32_t scan_classes(const struct policy *p, struct span tool)
{
    uint32_t bits = 0;
    for (unsigned i = 0; i < p->class_count; i++)
        for (unsigned k = 0; k < p->classes[i].patterns.count; k++)
            if (span_glob(p->classes[i].patterns.at[k], tool))
                bits |= UINT32_C(1) << i;
    return bits;
}

/* The first enforced rule that is not fulfilled, else the first of all. */
static const struct policy_gate *scan_decider(const struct policy *p,
                                              struct span tool,
                                              const struct filter_env *env,
                                              int64_t wall_ms)
{
    const struct policy_gate *audited = NULL;
    const uint32_t classes = scan_classes(p, tool);
    for (unsigned i = 0; i < p->gate_count; i++) {
        const struct policy_gate *g = &p->gates[i];
        if (!policy_tools_match(p, &g->tools, tool, classes) ||
            g->require == NULL || filter_eval(g->require, env) == TRI_YES)
            continue;
        if (!policy_audits(&g->mode, wall_ms))
            return g;
        if (audited == NULL)
            audited = g;
    }
    return audited;
}

static void compare_gates(const struct policy *p, struct span tool,
                          int64_t wall_ms)
{
    struct doc active = {.kind = DOC_BOOL, .key = SPAN("active")};
    struct doc title = {
        .kind = DOC_TEXT, .key = SPAN("title"), .text = SPAN("x")};
    struct doc resource = {.kind = DOC_MAP};
    struct filter_env env = {.resource = &resource, .absent_is_unknown = true};
    uint16_t room[POLICY_GATES_MAX];
    struct gate_tool t;
    unsigned named = 0;
    size_t looked_at = 0;
    const uint32_t classes = scan_classes(p, tool);
    active.truth = below(2) == 0;
    doc_append(&resource, &active);
    if (below(2) == 0)
        doc_append(&resource, &title);
    CHECK_UINT(policy_tool_classes(p, tool), classes);
    const struct rule_set on =
        policy_gates_on(p, tool, classes, room, &looked_at);
    for (unsigned i = 0; i < p->gate_count; i++)
        if (policy_tools_match(p, &p->gates[i].tools, tool, classes)) {
            CHECK(named < on.count);
            CHECK_UINT(on.at[named++], i);
        }
    CHECK_UINT(on.count, named);
    policy_gate_tool(p, tool, wall_ms, room, &t);
    CHECK_INT(t.rules.count > 0, named > 0);
    const struct policy_gate *decider =
        policy_gate_eval(p, &t, &env, wall_ms).decider;
    CHECK(decider == scan_decider(p, tool, &env, wall_ms));
}

static void gates_are_those_of_a_scan(void **state)
{
    (void)state;
    char room[TEXT_MAX];
    for (unsigned round = 0; round < 60; round++) {
        static struct policy_notes notes;
        struct arena a;
        struct buf text;
        struct fail f = {0};
        const struct doc *root = NULL;
        const struct policy *p = NULL;
        notes.count = 0;
        arena_init(&a, mem_system(), 16u << 20);
        put_gates(&text);
        CHECK_OK(yaml_doc_parse(&a.mem, buf_span(&text), POLICY_FILE_BYTES_MAX,
                                &root, &notes, &f),
                 &f);
        CHECK_OK(policy_load(&a.mem, root, &p, &notes, &f), &f);
        for (unsigned i = 0; i < 200; i++)
            compare_gates(p, random_text(room, 2, 0),
                          i % 2 == 0 ? 0 : INT64_MAX);
        buf_fini(&text);
        arena_fini(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_a_scan_finds),
        cmocka_unit_test(finds_one),
        cmocka_unit_test(gates_are_those_of_a_scan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
