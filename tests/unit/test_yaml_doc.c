// SPDX-License-Identifier: Apache-2.0
#include "sidecar/config/yaml_doc.h"

#include <string.h>
#include <time.h>

#include "sidecar/base/buf.h"
#include "tests/lib/check.h"

#define BYTES_MAX (256 * 1024)

static struct policy_notes notes;

static int parse(struct arena *a, const char *text, const struct doc **ret)
{
    struct fail f = {0};
    memset(&notes, 0, sizeof notes);
    arena_init(a, mem_system(), 64u << 20);
    return yaml_doc_parse(&a->mem, span_str(text), BYTES_MAX, ret, &notes, &f);
}

static const struct {
    const char *text;
    enum doc_kind kind;
    int64_t integer;
    double real;
    bool truth;
} scalars[] = {
    {"", DOC_NULL, 0, 0, false},
    {"null", DOC_NULL, 0, 0, false},
    {"true", DOC_BOOL, 0, 0, true},
    {"false", DOC_BOOL, 0, 0, false},
    {"0", DOC_INT, 0, 0, false},
    {"-7", DOC_INT, -7, -7, false},
    {"9223372036854775807", DOC_INT, INT64_MAX, 9223372036854775807.0, false},
    {"1.5", DOC_REAL, 0, 1.5, false},
    {"-1e3", DOC_REAL, 0, -1000, false},
    {"'true'", DOC_TEXT, 0, 0, false},
    {"\"1\"", DOC_TEXT, 0, 0, false},
    {"''", DOC_TEXT, 0, 0, false},
    {"15m", DOC_TEXT, 0, 0, false},
    {"2027-02-01", DOC_TEXT, 0, 0, false},
    {"10.0.0.1", DOC_TEXT, 0, 0, false},
    {"1.2.3", DOC_TEXT, 0, 0, false},
    {"0.0.0.0:8443", DOC_TEXT, 0, 0, false},
    {"-", DOC_LIST, 0, 0, false},
    {"nope", DOC_TEXT, 0, 0, false},
    {"yesterday", DOC_TEXT, 0, 0, false},
    {"_1", DOC_TEXT, 0, 0, false},
    {"0xyz", DOC_TEXT, 0, 0, false},
    {"1e", DOC_TEXT, 0, 0, false},
    {"e3", DOC_TEXT, 0, 0, false},
    {"https://x.example/a?b=c#d", DOC_TEXT, 0, 0, false},
    {"<<", DOC_TEXT, 0, 0, false},
};

static void scalars_have_types(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(scalars); i++) {
        struct arena a;
        char text[100];
        const struct doc *d = NULL;
        (void)snprintf(text, sizeof text, "k: %s\n", scalars[i].text);
        if (scalars[i].kind == DOC_LIST)
            (void)snprintf(text, sizeof text, "k:\n  - 1\n");
        check_row(scalars[i].text);
        CHECK_INT(parse(&a, text, &d), 0);
        const struct doc *v = doc_get(d, SPAN("k"));
        CHECK(v != NULL);
        CHECK_INT(v->kind, scalars[i].kind);
        CHECK_INT(v->integer, scalars[i].integer);
        CHECK(!(v->real < scalars[i].real) && !(v->real > scalars[i].real));
        CHECK_INT(v->truth, scalars[i].truth);
        arena_fini(&a);
    }
    check_row(NULL);
}

/* Each is refused with one error at the given place. */
static const struct {
    const char *text;
    uint32_t line, column;
} refused[] = {
    {"k: YES", 1, 4},
    {"k: y", 1, 4},
    {"k: TRUE", 1, 4},
    {"k: Off", 1, 4},
    {"k: Null", 1, 4},
    {"k: 007", 1, 4},
    {"k: -0777", 1, 4},
    {"k: 0b101", 1, 4},
    {"k: 0XFF", 1, 4},
    {"k: 1_0.5", 1, 4},
    {"k: -1:30", 1, 4},
    {"k: 1:30.5", 1, 4},
    {"k: +.INF", 1, 4},
    {"k: .NaN", 1, 4},
    {"k: 1.e5", 1, 4},
    {"k: 1e400", 1, 4},
    {"k: 9223372036854775808", 1, 4},
    {"a: 1\na: 2\n", 2, 1},
    {"{a: 1, b: {a: 1, a: 2}}", 1, 18},
    {"\"a\": 1\n'a': 2\n", 2, 1},
    {"a: &x 1", 1, 4},
    {"a: &x [1]", 1, 4},
    {"a: *x", 1, 4},
    {"*x : 1", 1, 1},
    {"a: ! 1", 1, 4},
    {"a: !!map {}", 1, 4},
    {"<<: {a: 1}", 1, 1},
    {"{[a]: 1}", 1, 2},
    {"? {a: 1}\n: 2\n", 1, 3},
    {"no: 1", 1, 1},
    {": 1", 1, 1},
    {"1: 1", 1, 1},
    {"a: 1\n--- \nb: 1\n", 2, 1},
    {"a: 1\n...\n---\nb: 1\n", 3, 1},
    {"%YAML 1.1\n---\na: 1\n", 1, 1},
    {"a:\t1", 1, 3},
    {"a: \"x\ty\"", 1, 6},
    {"a: b\rc: d", 1, 5},
    {"a: \xc2\x85", 1, 4},
    {"\xc3\xa9: \xe2\x80\xa8", 1, 4},
    {"a: [1, 2", 2, 1},
    {"a: \"x", 1, 6},
    {"a: @x", 1, 4},
    {"a: b: c", 1, 5},
    {"a: 1\n b: 2\n", 2, 3},
    {"ok: 1\nbad: \xff\n", 2, 1},
    {"a: \x01", 1, 4},
};

static void refusals_have_places(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        struct arena a;
        const struct doc *d = NULL;
        check_row(refused[i].text);
        CHECK_INT(parse(&a, refused[i].text, &d), RC_SYNTAX);
        CHECK(d == NULL);
        CHECK_UINT(notes.error_count, 1);
        CHECK_UINT(notes.at[0].line, refused[i].line);
        CHECK_UINT(notes.at[0].column, refused[i].column);
        arena_fini(&a);
    }
    check_row(NULL);
}

static void nul_is_refused(void **state)
{
    (void)state;
    struct arena a;
    struct fail f = {0};
    const struct doc *d = NULL;
    memset(&notes, 0, sizeof notes);
    arena_init(&a, mem_system(), 1 << 20);
    CHECK_INT(yaml_doc_parse(&a.mem, span_of("a: b\0c", 6), BYTES_MAX, &d,
                             &notes, &f),
              RC_SYNTAX);
    arena_fini(&a);
}

static void positions(void **state)
{
    (void)state;
    struct arena a;
    const struct doc *d = NULL;
    CHECK_INT(parse(&a,
                    "# \xc3\xa9\r\n\xc3\xa9: 'x'\r\n"
                    "b: [1, {c: \"a\\tb\"}]\r\n"
                    "t: |\r\n  text\r\nf: two\r\n  lines\r\nq: 'it''s'\r\n",
                    &d),
              0);
    const struct doc *x = doc_get(d, SPAN("\xc3\xa9"));
    CHECK(x->line == 2 && x->column == 4 && x->quoted && !x->rewritten);
    CHECK(x->key_line == 2 && x->key_column == 1);
    const struct doc *b = doc_get(d, SPAN("b"));
    CHECK(b->line == 3 && b->column == 4 && b->count == 2);
    const struct doc *c = doc_get(b->last, SPAN("c"));
    CHECK(c->line == 3 && c->column == 12 && c->rewritten);
    CHECK(c->key_column == 9);
    CHECK_SPAN(c->text, SPAN("a\tb"));
    CHECK_SPAN(doc_get(d, SPAN("t"))->text, SPAN("text\n"));
    CHECK(doc_get(d, SPAN("t"))->rewritten && doc_get(d, SPAN("t"))->quoted);
    CHECK_SPAN(doc_get(d, SPAN("f"))->text, SPAN("two lines"));
    CHECK(doc_get(d, SPAN("f"))->rewritten);
    CHECK_SPAN(doc_get(d, SPAN("q"))->text, SPAN("it's"));
    CHECK(doc_get(d, SPAN("q"))->rewritten);
    arena_fini(&a);
}

static void empty_is_null(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\n", "# only this\n", "---\n",
                                        "\xef\xbb\xbf"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct arena a;
        const struct doc *d = NULL;
        check_row(texts[i]);
        CHECK_INT(parse(&a, texts[i], &d), 0);
        CHECK_INT(d->kind, DOC_NULL);
        arena_fini(&a);
    }
    check_row(NULL);
}

static void many_errors_at_once(void **state)
{
    (void)state;
    struct arena a;
    const struct doc *d = NULL;
    CHECK_INT(parse(&a, "a: yes\nb: &x 1\nc: *x\nc: 0x1\nd: [~, on]\n", &d),
              RC_SYNTAX);
    CHECK_UINT(notes.error_count, 7);
    for (unsigned i = 1; i < notes.count; i++)
        CHECK(notes.at[i - 1].line <= notes.at[i].line);
    arena_fini(&a);
}

static void depth_is_bounded(void **state)
{
    (void)state;
    for (unsigned n = DOC_DEPTH_MAX; n <= DOC_DEPTH_MAX + 1; n++) {
        struct arena a;
        const struct doc *d = NULL;
        char text[2 * DOC_DEPTH_MAX + 3] = {0};
        memset(text, '[', n);
        memset(text + n, ']', n);
        int rc = parse(&a, text, &d);
        CHECK_INT(rc, n == DOC_DEPTH_MAX ? 0 : RC_SYNTAX);
        if (rc < 0)
            CHECK_UINT(notes.at[0].column, DOC_DEPTH_MAX + 1);
        arena_fini(&a);
    }
}

static void size_is_bounded(void **state)
{
    (void)state;
    struct fail f = {0};
    const struct doc *d = NULL;
    CHECK_INT(yaml_doc_parse(mem_system(), SPAN("a: 12345"), 7, &d, &notes, &f),
              RC_TOO_LARGE);
}

/* T27. libyaml alone takes minutes for some of these. The work is counted in
 * allocations, which every event of the parser costs; the processor time is
 * only checked against a hang. */
static const struct {
    const char *part;
    unsigned long calls_max;
} hostile[] = {
    {"[", 200},
    {"{", 200},
    {"- ", 200},
    {"? ", 200},
    {"[?", 200},
    {"{a: ", 400},
    {"[[],", 600},
    {"&a ", 200},
    {"!a ", 200},
    {"*a ", 200},
    {"%TAG !a! b\n", 200},
    {"\"", 200},
    {"'", 200},
    {"a: ", 200},
    {"\n", 200},
    {"#", 200},
    {"|\n", 200},
    {"- |\n", 400000},
    {"- a\n", 400000},
    {"a: 1\n", 400000},
    {"---\n", 200},
    {",", 200},
    {"[],", 200},
    {"a", 200},
    {"\\", 200},
    {"\xc3\xa9", 200},
};

struct counting {
    struct mem mem;
    struct arena arena;
    unsigned long calls;
};

static void *count_alloc(struct mem *m, size_t n)
{
    struct counting *c = (struct counting *)(void *)m;
    c->calls++;
    return mem_alloc(&c->arena.mem, n);
}

static void count_release(struct mem *m, void *p)
{
    (void)m;
    (void)p;
}

static void hostile_text_is_cheap(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(hostile); i++) {
        struct counting c = {.mem = {count_alloc, NULL, count_release}};
        struct buf b;
        struct fail f = {0};
        const struct doc *d = NULL;
        memset(&notes, 0, sizeof notes);
        buf_init(&b, mem_system(), BYTES_MAX + 16);
        while (b.n + strlen(hostile[i].part) <= BYTES_MAX)
            buf_put_str(&b, hostile[i].part);
        arena_init(&c.arena, mem_system(), 64u << 20);
        clock_t start = clock();
        check_row(hostile[i].part);
        int rc =
            yaml_doc_parse(&c.mem, buf_span(&b), BYTES_MAX, &d, &notes, &f);
        CHECK(rc == 0 || rc == RC_SYNTAX);
        CHECK(c.calls <= hostile[i].calls_max);
        CHECK((clock() - start) / CLOCKS_PER_SEC < 5);
        arena_fini(&c.arena);
        buf_fini(&b);
    }
    check_row(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_have_types),
        cmocka_unit_test(refusals_have_places),
        cmocka_unit_test(nul_is_refused),
        cmocka_unit_test(positions),
        cmocka_unit_test(empty_is_null),
        cmocka_unit_test(many_errors_at_once),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(size_is_bounded),
        cmocka_unit_test(hostile_text_is_cheap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
