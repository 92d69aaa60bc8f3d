// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <dirent.h>

#include "adapters/json_doc.h"

#include <cmocka.h> /* last: it defines a macro named fail */

#define TEXT_BYTES_MAX (1024 * 1024)
#define SUITE "../shared/vectors/json-test-suite"
#define MANIFEST "../shared/vectors/manifest.json"

static int parse(struct arena *a, struct span text, const struct doc **ret)
{
    struct fail f = {0};
    arena_init(a, mem_system(), 64 * 1024 * 1024);
    int rc = json_doc_parse(&a->mem, text, TEXT_BYTES_MAX, ret, &f);
    if (rc < 0)
        assert_true(f.text[0] != 0);
    return rc;
}

static int parse_rc(struct span text)
{
    struct arena a;
    const struct doc *d = NULL;
    int rc = parse(&a, text, &d);
    arena_fini(&a);
    return rc;
}

static void keeps_values_and_order(void **state)
{
    (void)state;
    struct arena a;
    const struct doc *d = NULL;
    struct span text = SPAN(
        "{\"z\":[3,2,1],\"a\":{\"t\":true,\"f\":false,\"n\":null},"
        "\"s\":\"\\u00e9\\n\",\"max\":9223372036854775807,\"r\":1.5,"
        "\"min\":-9223372036854775808,\"e\":1e3,\"\":0}");
    assert_int_equal(parse(&a, text, &d), 0);
    assert_int_equal(d->kind, DOC_MAP);
    assert_int_equal(d->count, 8);
    static const char *const order[] = {"z", "a",   "s", "max",
                                        "r", "min", "e", ""};
    unsigned i = 0;
    DOC_EACH (it, d)
        assert_true(span_eq(it->key, span_str(order[i++])));
    const struct doc *z = doc_get(d, SPAN("z"));
    assert_int_equal(z->first->integer, 3);
    assert_int_equal(z->last->integer, 1);
    const struct doc *nested = doc_get(d, SPAN("a"));
    assert_true(doc_get(nested, SPAN("t"))->truth);
    assert_false(doc_get(nested, SPAN("f"))->truth);
    assert_int_equal(doc_get(nested, SPAN("n"))->kind, DOC_NULL);
    assert_true(span_eq(doc_text(d, SPAN("s")), SPAN("\xc3\xa9\n")));
    assert_true(doc_get(d, SPAN("max"))->integer == INT64_MAX);
    assert_true(doc_get(d, SPAN("min"))->integer == INT64_MIN);
    assert_true(doc_get(d, SPAN("r"))->real > 1.4);
    assert_int_equal(doc_get(d, SPAN("e"))->kind, DOC_REAL);
    arena_fini(&a);
}

/* Standards 9.4, reliability T8. */
static void refuses(void **state)
{
    (void)state;
    static const struct {
        const char *why, *text;
        size_t n;
    } rows[] = {
#define ROW(why, text) {why, text, sizeof(text) - 1}
        ROW("empty", ""),
        ROW("space only", "  \n"),
        ROW("byte order mark", "\xef\xbb\xbf{}"),
        ROW("UTF-16", "\xff\xfe{\0}\0"),
        ROW("duplicate name", "{\"a\":1,\"a\":1}"),
        ROW("duplicate after unescaping", "{\"a\":1,\"\\u0061\":2}"),
        ROW("nested duplicate", "[{\"b\":{\"a\":1,\"a\":2}}]"),
        ROW("bytes behind", "{} x"),
        ROW("second value", "{}{}"),
        ROW("NUL behind", "{}\0"),
        ROW("NUL and junk behind", "{}\0{\"a\":1}"),
        ROW("escaped NUL in a string", "{\"a\":\"b\\u0000c\"}"),
        ROW("escaped NUL in a name", "{\"a\\u0000\":1}"),
        ROW("raw NUL in a string", "{\"a\":\"\0\"}"),
        ROW("lone surrogate", "{\"a\":\"\\ud800\"}"),
        ROW("overlong UTF-8", "{\"a\":\"\xc0\xaf\"}"),
        ROW("surrogate in UTF-8", "{\"a\":\"\xed\xa0\x80\"}"),
        ROW("2^63", "{\"a\":9223372036854775808}"),
        ROW("1e400", "{\"a\":1e400}"),
        ROW("NaN", "{\"a\":NaN}"),
        ROW("Infinity", "{\"a\":Infinity}"),
        ROW("leading zero", "{\"a\":01}"),
        ROW("comment", "{/* */}"),
        ROW("trailing comma, RFC 9967 figure 3", "{\"a\":{},}"),
        ROW("single quotes", "{'a':1}"),
        ROW("top-level text", "\"a\""),
        ROW("top-level number", "1"),
        ROW("control character", "{\"a\":\"\x01\"}"),
#undef ROW
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int rc = parse_rc(span_of(rows[i].text, rows[i].n));
        if (rc != RC_SYNTAX)
            fail_msg("%s: rc %d", rows[i].why, rc);
    }
}

static size_t nest(char *out, unsigned depth, const char *core)
{
    size_t n = 0;
    for (unsigned i = 0; i < depth; i++)
        out[n++] = '[';
    for (; *core != 0; core++)
        out[n++] = *core;
    for (unsigned i = 0; i < depth; i++)
        out[n++] = ']';
    return n;
}

static void bounds_depth_and_size(void **state)
{
    (void)state;
    static char text[TEXT_BYTES_MAX + 2];
    size_t n = nest(text, DOC_DEPTH_MAX, "\"]]]]\\\"[[[[\"");
    assert_int_equal(parse_rc(span_of(text, n)), 0);
    n = nest(text, DOC_DEPTH_MAX + 1, "1");
    assert_int_equal(parse_rc(span_of(text, n)), RC_SYNTAX);
    n = nest(text, 100000, "1");
    assert_int_equal(parse_rc(span_of(text, n)), RC_SYNTAX);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = ' ';
    text[0] = '[';
    text[TEXT_BYTES_MAX - 1] = ']';
    assert_int_equal(parse_rc(span_of(text, TEXT_BYTES_MAX)), 0);
    assert_int_equal(parse_rc(span_of(text, TEXT_BYTES_MAX + 1)), RC_TOO_LARGE);
}

static void reports_no_memory(void **state)
{
    (void)state;
    struct arena a;
    const struct doc *d = NULL;
    struct fail f;
    for (size_t limit = 0; limit < 2048; limit += 16) {
        arena_init(&a, mem_system(), limit);
        int rc = json_doc_parse(&a.mem, SPAN("{\"a\":[1,{\"b\":\"c\"}]}"), 99,
                                &d, &f);
        arena_fini(&a);
        assert_true(rc == 0 || rc == RC_NO_MEMORY);
        if (limit < 64)
            assert_int_equal(rc, RC_NO_MEMORY);
    }
}

static unsigned allocations_left;
static void *(*plain_alloc)(struct mem *m, size_t n);

static void *failing_alloc(struct mem *m, size_t n)
{
    return allocations_left-- == 0 ? NULL : plain_alloc(m, n);
}

/* The parser's own memory: for want of it a good text is neither called bad nor
 * taken for another one. */
static void parser_has_no_memory(void **state)
{
    (void)state;
    struct span text = SPAN(
        "{\"uri\":\"/Agents/0123456789012345678901234567890123456789"
        "0123456789012345678901234567890123456789\",\"b\":[1,{\"c\":2}]}");
    int rc = RC_NO_MEMORY;
    plain_alloc = mem_system()->alloc;
    for (unsigned n = 0; rc != 0; n++) {
        struct arena a;
        const struct doc *d = NULL;
        struct fail f;
        arena_init(&a, mem_system(), 1 << 20);
        allocations_left = n;
        mem_system()->alloc = failing_alloc;
        rc = json_doc_parse(&a.mem, text, 1000, &d, &f);
        mem_system()->alloc = plain_alloc;
        assert_true(rc == 0 || rc == RC_NO_MEMORY);
        if (rc == 0)
            assert_int_equal(doc_text(d, SPAN("uri")).n, 88);
        arena_fini(&a);
        assert_true(n < 1000);
    }
}

static struct span read_file(const char *path)
{
    static char bytes[TEXT_BYTES_MAX];
    FILE *in = fopen(path, "rb");
    if (in == NULL)
        return (struct span){NULL, 0};
    size_t n = fread(bytes, 1, sizeof bytes, in);
    (void)fclose(in);
    return span_of(bytes, n);
}

static unsigned expected_cases(const char *suite)
{
    struct arena a;
    const struct doc *d = NULL;
    unsigned cases = 0;
    struct span text = read_file(MANIFEST);
    if (text.p == NULL)
        return 0;
    assert_int_equal(parse(&a, text, &d), 0);
    DOC_EACH (it, d)
        if (span_eq(doc_text(it, SPAN("suite")), span_str(suite)))
            cases = (unsigned)doc_get(it, SPAN("cases"))->integer;
    arena_fini(&a);
    return cases;
}

/* A document of the suite that we refuse although it is JSON, or the other
 * way round, must be in the list of deviations, with a reason. */
static bool is_deviation(struct span list, const char *name)
{
    size_t n = strlen(name);
    for (size_t at = 0; at < list.n; at = span_find(list, '\n', at) + 1) {
        struct span line = span_sub(list, at, span_find(list, '\n', at));
        if (line.n > n && memcmp(line.p, name, n) == 0 && line.p[n] == '\t')
            return true;
    }
    return false;
}

static unsigned run_case(const char *name, struct span deviations)
{
    char path[512];
    (void)snprintf(path, sizeof path, SUITE "/%s", name);
    int rc = parse_rc(read_file(path));
    bool agrees = name[0] == 'i' || (rc == 0) == (name[0] == 'y');
    if (agrees == is_deviation(deviations, name))
        fail_msg("%s: rc %d, %s", name, rc,
                 agrees ? "listed as a deviation but is none"
                        : "deviates and is not listed");
    return agrees ? 0 : 1;
}

static void json_test_suite(void **state)
{
    (void)state;
    static char listed[64 * 1024];
    DIR *dir = opendir(SUITE);
    if (dir == NULL) {
        (void)printf("SKIP json-test-suite: %s is absent\n", SUITE);
        skip();
    }
    struct span list = read_file("tests/vectors/json-test-suite.deviations");
    assert_true(list.n > 0 && list.n < sizeof listed);
    memcpy(listed, list.p, list.n);
    list = span_of(listed, list.n);
    unsigned cases = 0, deviating = 0;
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (!span_ends(span_str(e->d_name), SPAN(".json")))
            continue;
        cases++;
        deviating += run_case(e->d_name, list);
    }
    (void)closedir(dir);
    (void)printf("json-test-suite: %u cases, %u deviations\n", cases,
                 deviating);
    assert_int_equal(cases, expected_cases("json-test-suite"));
    assert_int_equal(cases, 318);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_values_and_order),
        cmocka_unit_test(refuses),
        cmocka_unit_test(bounds_depth_and_size),
        cmocka_unit_test(reports_no_memory),
        cmocka_unit_test(parser_has_no_memory),
        cmocka_unit_test(json_test_suite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
