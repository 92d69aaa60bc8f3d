// SPDX-License-Identifier: Apache-2.0
/*
 * Files of the greatest size, made to cost as much as they can: reading,
 * loading, warning and printing each one takes a bounded time. The limit is
 * generous, so that a busy machine passes; what a file takes is printed.
 */
#include <time.h>

#include "policy/policy.h"
#include "policy/warn.h"
#include "sidecar/base/buf.h"
#include "sidecar/config/yaml_doc.h"
#include "tests/lib/check.h"

#define HEAD "apiVersion: bailiff/v1\nkind: Policy\n"
#define LIMIT_MS 1000
#define ROOM (POLICY_FILE_BYTES_MAX - 4096)

static int64_t spent_ms(void)
{
    struct timespec t;
    CHECK_INT(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t), 0);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- the files ---- */

static void repeat(struct buf *b, const char *part)
{
    while (b->n < ROOM)
        buf_put_str(b, part);
}

static void deep_nesting(struct buf *b)
{
    buf_put_str(b, HEAD "rules: ");
    repeat(b, "[");
}

static void deep_blocks(struct buf *b)
{
    buf_put_str(b, HEAD "rules:\n");
    for (unsigned depth = 1; b->n < ROOM; depth++)
        buf_printf(b, "%*s-\n", (int)depth, "");
}

static void many_keys(struct buf *b)
{
    buf_put_str(b, HEAD);
    for (unsigned i = 0; b->n < ROOM; i++)
        buf_printf(b, "k%u: 1\n", i);
}

/* Each of them is compared with what is known. */
static void many_near_keys(struct buf *b)
{
    buf_put_str(b, HEAD "tests:\n  - {name: t, given: {agent: /Agents/7}");
    for (unsigned i = 0; b->n < ROOM; i++)
        buf_printf(b, ", expekt%u: 1", i);
    buf_put_str(b, "}\n");
}

static void same_key(struct buf *b)
{
    buf_put_str(b, HEAD);
    repeat(b, "a: 1\n");
}

static void tiny_tokens(struct buf *b)
{
    buf_put_str(b, HEAD "rules: [");
    repeat(b, "a,");
    buf_put_str(b, "a]\n");
}

static void tiny_maps(struct buf *b)
{
    buf_put_str(b, HEAD "rules: [");
    repeat(b, "{},");
    buf_put_str(b, "{}]\n");
}

static void ambiguous(struct buf *b)
{
    buf_put_str(b, HEAD "rules: [");
    repeat(b, "no,1_0,");
    buf_put_str(b, "no]\n");
}

static void anchors(struct buf *b)
{
    buf_put_str(b, HEAD "rules: [");
    for (unsigned i = 0; b->n < ROOM; i++)
        buf_printf(b, "&a%u x,*a%u,", i, i);
    buf_put_str(b, "x]\n");
}

static void long_line(struct buf *b)
{
    buf_put_str(b, HEAD "rules: \"");
    repeat(b, "\\u00e9 ");
    buf_put_str(b, "\"\n");
}

static void long_number(struct buf *b)
{
    buf_put_str(b, HEAD "rules: ");
    repeat(b, "1");
    buf_put_str(b, ":1\n");
}

static void comments(struct buf *b)
{
    buf_put_str(b, HEAD);
    repeat(b, "#\n");
}

static void tabs(struct buf *b)
{
    buf_put_str(b, HEAD);
    repeat(b, "\t\n");
}

static void near_events(struct buf *b)
{
    buf_put_str(b, HEAD "rules:\n");
    for (unsigned i = 0; b->n < ROOM; i++)
        buf_printf(b,
                   "  - {name: r%u, events: [risc.recovery-information-"
                   "changet, caep.device-compliance-chango], do: [refrehs]}\n",
                   i % 1000);
}

static void near_names(struct buf *b)
{
    buf_put_str(b, HEAD "rules:\n");
    for (unsigned i = 0; i < 1000 && b->n < ROOM; i++)
        buf_printf(b,
                   "  - {name: a-rule-with-a-rather-long-name-%u, events: "
                   "refreshed, do: [{release: {suspended: {set_by: "
                   "[b-rule-with-a-rather-long-name-%u, "
                   "c-rule-with-a-rather-long-name-%u]}}}]}\n",
                   i, i, i);
}

static void near_actions(struct buf *b)
{
    buf_put_str(b, HEAD "actions:\n");
    for (unsigned i = 0; i < 256; i++)
        buf_printf(b,
                   "  an-action-with-a-long-name-%u: {http: {url: "
                   "\"https://a\"}}\n",
                   i);
    buf_put_str(b, "rules:\n");
    for (unsigned i = 0; i < 1000 && b->n < ROOM; i++) {
        buf_printf(b, "  - {name: r%u, events: patch, do: [", i);
        for (unsigned k = 0; k < 5; k++)
            buf_printf(b, "%san-action-with-a-long-nome-%u", k > 0 ? ", " : "",
                       i);
        buf_put_str(b, "]}\n");
    }
}

static void long_filters(struct buf *b)
{
    buf_put_str(b, HEAD "rules:\n");
    for (unsigned i = 0; b->n < ROOM; i++) {
        buf_printf(b, "  - {name: r%u, events: patch, do: [refresh], where: '",
                   i);
        for (unsigned k = 0; k < 340; k++)
            buf_printf(b, "%sa%u pr", k > 0 ? " or " : "", k % 200);
        buf_put_str(b, "'}\n");
    }
}

static void unlike_terms(struct buf *b)
{
    buf_put_str(b, HEAD "gate:\n");
    for (unsigned i = 0; b->n < ROOM; i++) {
        buf_printf(b, "  - {name: g%u, tools: [t], require: '", i);
        for (unsigned k = 0; k < 255; k++)
            buf_printf(b, "%snot (gruopz pr)", k > 0 ? " or " : "");
        buf_put_str(b, "'}\n");
    }
}

static void many_rules(struct buf *b)
{
    buf_put_str(b, HEAD "rules:\n");
    for (unsigned i = 0; i < POLICY_RULES_MAX; i++) {
        buf_printf(b, "  - {name: r%u, events: ['*'], do: [", i);
        for (unsigned k = 0; k < 16; k++)
            buf_put_str(b, k > 0 ? ", refresh" : "refresh");
        buf_put_str(b, "]}\n");
    }
}

static void many_releases(struct buf *b)
{
    buf_put_str(b, HEAD "rules:\n");
    for (unsigned i = 0; b->n < ROOM - 16384; i++) {
        buf_printf(b, "  - {name: r%u, events: refreshed, do: [", i);
        for (unsigned k = 0; k < 16; k++) {
            buf_put_str(b, k > 0 ? ", {release: {suspended: {set_by: ["
                                 : "{release: {suspended: {set_by: [");
            for (unsigned n = 0; n < 64; n++)
                buf_put_str(b, n > 0 ? ", r0" : "r0");
            buf_put_str(b, "]}}}");
        }
        buf_put_str(b, "]}\n");
    }
}

static void many_gates(struct buf *b)
{
    buf_put_str(b, HEAD "gate:\n");
    for (unsigned i = 0; i < POLICY_GATES_MAX; i++) {
        buf_printf(b, "  - {name: g%u, tools: [", i);
        for (unsigned k = 0; k < 20; k++)
            buf_printf(b, "%s'*a%u*'", k > 0 ? "," : "", k);
        buf_put_str(b, "]}\n");
    }
}

/* Each two differ in what is compared last. */
static void put_near_gates(struct buf *b, const char *more)
{
    buf_put_str(b, HEAD "gate:\n");
    for (unsigned i = 0; i < POLICY_GATES_MAX && b->n < ROOM; i++) {
        buf_printf(b, "  - {name: g%u, tools: [", i);
        for (unsigned k = 0; k < 25; k++)
            buf_printf(b, "'a%u*',", k);
        buf_printf(b, "'u%u*']%s}\n", i, more);
    }
}

static void near_gates(struct buf *b)
{
    put_near_gates(b, "");
}

static void audited_gates(struct buf *b)
{
    put_near_gates(b, ", mode: {audit: {until: 2027-02-01}}");
}

/* Neither begins nor ends with something. */
static void open_patterns(struct buf *b)
{
    buf_put_str(b, HEAD "gate:\n");
    for (unsigned i = 0; i < POLICY_GATES_MAX && b->n < ROOM; i++) {
        buf_printf(b, "  - {name: g%u, tools: [t%u", i, i);
        for (unsigned k = 0; k < 20; k++)
            buf_printf(b, ",'*%u.%u*'", i, k);
        buf_put_str(b, "]}\n");
    }
}

/* Asked for every tool of every gate rule. */
static void open_classes(struct buf *b)
{
    buf_put_str(b, HEAD "tool_classes:\n");
    for (unsigned i = 0; i < 32; i++) {
        buf_printf(b, "  c%u: [", i);
        for (unsigned k = 0; k < 64; k++)
            buf_printf(b, "%s'*aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab%u*'",
                       k > 0 ? "," : "", k);
        buf_put_str(b, "]\n");
    }
    buf_put_str(b, "gate:\n");
    for (unsigned i = 0; i < POLICY_GATES_MAX; i++)
        buf_printf(b,
                   "  - {name: g%u, tools: [aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa%u,c%u]}\n",
                   i, i, i % 32);
}

static void near_lists(struct buf *b)
{
    buf_put_str(b, HEAD "rules:\n");
    for (unsigned i = 0; i < POLICY_RULES_MAX && b->n < ROOM; i++) {
        buf_printf(b, "  - {name: r%u, events: patch, do: [refresh], ", i);
        for (unsigned k = 0; k < 40; k++)
            buf_printf(b, k > 0 ? ",a%u" : "changed: [a%u", k);
        buf_printf(b, ",u%u]}\n", i);
    }
}

static void near_steps(struct buf *b)
{
    buf_put_str(b, HEAD "rules:\n");
    for (unsigned i = 0; b->n < ROOM; i++) {
        buf_printf(b, "  - {name: r%u, events: patch, do: [", i);
        for (unsigned k = 0; k < 14; k++)
            buf_printf(b, "{cancel: {tools: [a,b,c,d,e,f,g,h,s%u]}},", k);
        buf_printf(b, "{cancel: {tools: [u%u]}}]}\n", i);
    }
}

static void near_conditions(struct buf *b)
{
    buf_put_str(b, HEAD "rules:\n");
    for (unsigned i = 0; i < POLICY_RULES_MAX && b->n < ROOM; i++) {
        buf_printf(b, "  - {name: r%u, events: patch, do: [refresh], where: '",
                   i);
        for (unsigned k = 0; k < 20; k++)
            buf_printf(b, "a%u pr or ", k);
        buf_printf(b, "a eq %u'}\n", i);
    }
}

/* Every pattern starts over at every letter. */
static void hard_globs(struct buf *b)
{
    buf_put_str(b, HEAD "tool_classes:\n");
    for (unsigned i = 0; i < 32; i++) {
        buf_printf(b, "  c%u: [", i);
        for (unsigned k = 0; k < 60; k++)
            buf_put_str(
                b, k > 0 ? ", '*a*a*a*a*a*a*a*a*b'" : "'*a*a*a*a*a*a*a*a*b'");
        buf_put_str(b, "]\n");
    }
    buf_put_str(b, "gate:\n");
    for (unsigned i = 0; i < POLICY_GATES_MAX; i++)
        buf_printf(b,
                   "  - {name: g%u, tools: "
                   "[aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa%u"
                   "]}\n",
                   i, i);
}

static void many_tests(struct buf *b)
{
    buf_put_str(b, HEAD "tests:\n");
    for (unsigned i = 0; i < 1024 && b->n < ROOM; i++) {
        buf_printf(b, "  - {name: t%u, given: {agents: [", i);
        for (unsigned k = 0; k < 12; k++)
            buf_printf(b, "%s/Agents/%u", k > 0 ? ", " : "", k);
        buf_put_str(b, "]}, expect: {hold: none}}\n");
    }
}

static void many_given(struct buf *b)
{
    buf_put_str(b, HEAD "tests:\n");
    for (unsigned i = 0; b->n < ROOM; i++) {
        buf_printf(b, "  - {name: t%u, given: {agents: [", i);
        for (unsigned k = 0; k < 256; k++)
            buf_printf(b, "%s/Agents/%u", k > 0 ? ", " : "", k);
        buf_put_str(b, "]}, expect: {hold: none}}\n");
    }
}

/* ---- the test ---- */

static const struct {
    const char *name;
    void (*make)(struct buf *b);
} files[] = {
#define X(name)                                                                \
    {                                                                          \
#name, name                                                            \
    }
    X(deep_nesting), X(deep_blocks),   X(many_keys),       X(many_near_keys),
    X(same_key),     X(tiny_tokens),   X(tiny_maps),       X(ambiguous),
    X(anchors),      X(long_line),     X(long_number),     X(comments),
    X(tabs),         X(near_events),   X(near_names),      X(near_actions),
    X(long_filters), X(unlike_terms),  X(many_rules),      X(many_releases),
    X(many_gates),   X(hard_globs),    X(many_tests),      X(many_given),
    X(near_gates),   X(audited_gates), X(open_patterns),   X(open_classes),
    X(near_lists),   X(near_steps),    X(near_conditions),
#undef X
};

/* Everything that `policy check` does with a file. */
static void check_file(struct span text)
{
    static struct policy_notes notes;
    struct arena a;
    struct fail f = {0};
    struct buf shown;
    const struct doc *root = NULL;
    const struct policy *p = NULL;
    notes = (struct policy_notes){.count = 0};
    arena_init(&a, mem_system(), (size_t)256 << 20);
    buf_init(&shown, mem_system(), (size_t)1 << 20);
    int rc =
        yaml_doc_parse(&a.mem, text, POLICY_FILE_BYTES_MAX, &root, &notes, &f);
    if (rc == 0)
        rc = policy_load(&a.mem, root, &p, &notes, &f);
    if (rc == 0)
        policy_warn(p, root, &notes);
    CHECK(rc == 0 || rc == RC_SYNTAX || rc == RC_CONFIG);
    CHECK(rc == 0 || notes.error_count > 0);
    policy_notes_print(&notes, "file", text, false, &shown);
    CHECK(buf_ok(&shown));
    buf_fini(&shown);
    arena_fini(&a);
}

static void hostile_files_are_cheap(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        struct buf text;
        check_row(files[i].name);
        buf_init(&text, mem_system(), POLICY_FILE_BYTES_MAX);
        files[i].make(&text);
        CHECK(buf_ok(&text));
        int64_t start = spent_ms();
        check_file(buf_span(&text));
        int64_t took = spent_ms() - start;
        print_message("%-16s %3zu KiB %5lld ms\n", files[i].name, text.n / 1024,
                      (long long)took);
        CHECK(took < LIMIT_MS);
        buf_fini(&text);
    }
    check_row(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_files_are_cheap)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
