// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/filter.h"
#include "sidecar/base/buf.h"

#include <cmocka.h> /* last: it has a macro named fail */

#define ARENA_MAX (1024 * 1024)
#define CORE "urn:ietf:params:scim:schemas:core:2.0:Agent"

/* A failed cmocka assertion jumps away; the arena of the row is then lost,
 * which a failing test may do. */
static void check_form(const char *text, const char *want)
{
    struct arena a;
    struct fail f = {0};
    const struct filter *flt = NULL;
    size_t at = 0;
    struct buf out;
    arena_init(&a, mem_system(), ARENA_MAX);
    if (filter_compile(&a.mem, span_str(text), &flt, &at, &f) < 0)
        fail_msg("%s: at %zu: %s", text, at, f.text);
    buf_init(&out, &a.mem, FILTER_TEXT_MAX * 8);
    filter_print(flt, &out);
    assert_true(buf_ok(&out));
    assert_string_equal((const char *)out.p, want);
    arena_fini(&a);
}

/* 7644-R11, 6.7 details 1 to 6 and 17. */
static const struct {
    const char *text, *form;
} forms[] = {
    {"active eq true", "active eq true"},
    {"  Active   EQ\ttrue ", "Active eq true"},
    {"title pr", "title pr"},
    {"pr pr", "pr pr"},
    {"$ref eq null", "$ref eq null"},
    {"valid$Name ne null", "valid$Name ne null"},
    {"a eq 1 or b eq 1 and c eq 1", "a eq 1 or b eq 1 and c eq 1"},
    {"(a eq 1 or b eq 1) and c eq 1", "(a eq 1 or b eq 1) and c eq 1"},
    {"((a pr) and (b pr)) and c pr", "a pr and b pr and c pr"},
    {"a pr or (b pr or c pr)", "a pr or b pr or c pr"},
    {"((((a pr))))", "a pr"},
    {"not(a pr)", "not (a pr)"},
    {"NOT (a pr and b pr)", "not (a pr and b pr)"},
    {"(a pr)and(b pr)", "a pr and b pr"},
    {"value eq\"x\"", "value eq \"x\""},
    {"a sw \"\\u00e9\\ud83d\\ude00\\n\\/\"",
     "a sw \"\xc3\xa9\xf0\x9f\x98\x80\\u000a/\""},
    {"a eq \"q\\\"\\\\\"", "a eq \"q\\\"\\\\\""},
    {"n eq -0.5", "n eq -0.5"},
    {"n eq 2e2", "n eq 200"},
    {"n gt 1E400 or n pr", NULL},
    {"n eq 0.1", "n eq 0.1"},
    {"n eq 9223372036854775807", "n eq 9223372036854775807"},
    {"emails[type eq \"work\" and value co \"x\"]",
     "emails[type eq \"work\" and value co \"x\"]"},
    {"emails[ not ( primary eq true ) ] and active eq true",
     "emails[not (primary eq true)] and active eq true"},
    {CORE ":owners.value eq \"u1\"", CORE ":owners.value eq \"u1\""},
    {"http://example.com/schema:attr pr", "http://example.com/schema:attr pr"},
    {"event.x eq 1 or call.amount gt 5 or tool sw \"pay\"",
     "event.x eq 1 or call.amount gt 5 or tool sw \"pay\""},
};

static void normal_form(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (forms[i].form == NULL)
            continue;
        check_form(forms[i].text, forms[i].form);
        check_form(forms[i].form, forms[i].form);
    }
}

/* 7644-R12 and every way to write a filter wrongly. */
static const struct {
    const char *text;
    size_t at;
    const char *says;
} errors[] = {
    {"", 0, "an empty filter"},
    {"   ", 3, "an empty filter"},
    {"active", 6, "expected an operator such as eq after 'active'"},
    {"active ", 7, "expected an operator such as eq after 'active'"},
    {"active (eq true)", 7, "expected an operator such as eq after 'active'"},
    {"active eq", 9, "expected a value after 'eq'"},
    {"active eq )", 10, "expected a value after 'eq', found ')'"},
    {"active eq TRUE", 10, "lower case"},
    {"active eq \"true\"", 10, "'active' is true or false, without quotes"},
    {CORE ":active eq 1", 54, "is true or false"},
    {"active gt false", 10, "true and false have no order"},
    {"a lt null", 5, "null has no order"},
    {"a co 5", 5, "'co' needs text"},
    {"displayName re \"x\"", 12, "'re' is not an operator"},
    {"meta.resourceType eq User", 21, "text needs double quotes: \"User\""},
    {"a eq \"x", 5, "no closing"},
    {"a eq \"\\q\"", 6, "unknown escape"},
    {"a eq \"\\ud800\"", 6, "no character"},
    {"a eq \"\\u0000\"", 6, "no character"},
    {"a eq \"\\u12\"", 8, "four hexadecimal digits"},
    {"a eq \"\x01\"", 6, "control character"},
    {"a eq 01", 5, "not a JSON number"},
    {"a eq 1.", 5, "not a JSON number"},
    {"a eq -", 5, "not a JSON number"},
    {"a eq 123abc", 5, "not a JSON number"},
    {"a eq 1e999", 5, "too large"},
    {"a pr b pr", 5, "expected 'and', 'or' or the end, found 'b'"},
    {"a pr and", 8, "expected an attribute, found the end"},
    {"a pr and or b pr", 9, "expected an attribute, found 'or'"},
    {"not a pr", 4, "'not' needs parentheses"},
    {"(a pr", 5, "no ')' for the '(' at character 1"},
    {"a pr)", 4, "')' without its opening half"},
    {"a[b pr", 6, "no ']' for the '[' at character 2"},
    {"a[b pr)", 6, "no ']' for"},
    {"a[b[c pr]]", 3, "[ ] cannot stand inside [ ]"},
    {"a[urn:x:y:b pr]", 2, "cannot stand inside"},
    {"a[b pr].c pr", 7, "nothing can follow ']'"},
    {"a[]", 2, "expected an attribute, found ']'"},
    {"a.b.c pr", 3, "one level of sub-attributes"},
    {"a. pr", 2, "not a sub-attribute name"},
    {"1a pr", 0, "not an attribute name"},
    {"$ pr", 0, "not an attribute name"},
    {":a pr", 0, "expected a schema URN"},
    {"urn:ietf:params:scim:schemas:core:2.0:User pr", 0, "names a schema"},
    {"1urn:x:a pr", 0, "is not a schema URN"},
    {"urn:a pr", 0, "is not a schema URN"},
    {"a eq \"\\u12g4\"", 8, "four hexadecimal digits"},
    {"a eq \"\\u12FG\"", 8, "four hexadecimal digits"},
    {"a pr \"b\"", 5, "expected 'and', 'or' or the end, found '\"'"},
    {"a xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\xc3\xa9yyyyyyyy", 2,
     "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' is not an operator"},
    {"\xff pr", 0, "not valid UTF-8"},
};

static void errors_are_precise(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        struct arena a;
        struct fail f = {0};
        const struct filter *flt = NULL;
        size_t at = 9999;
        arena_init(&a, mem_system(), ARENA_MAX);
        int rc =
            filter_compile(&a.mem, span_str(errors[i].text), &flt, &at, &f);
        if (rc != RC_CONFIG || at != errors[i].at ||
            strstr(f.text, errors[i].says) == NULL)
            fail_msg("%s: rc %d at %zu: %s", errors[i].text, rc, at, f.text);
        assert_null(flt);
        arena_fini(&a);
    }
}

static int compile_repeated(const char *head, const char *part, unsigned n,
                            const char *tail)
{
    struct arena a;
    struct buf b;
    struct fail f = {0};
    const struct filter *flt = NULL;
    size_t at;
    arena_init(&a, mem_system(), ARENA_MAX);
    buf_init(&b, &a.mem, ARENA_MAX / 4);
    buf_put_str(&b, head);
    for (unsigned i = 0; i < n; i++)
        buf_put_str(&b, part);
    buf_put_str(&b, tail);
    for (unsigned i = 0; i < n && part[0] == '('; i++)
        buf_put_u8(&b, ')');
    int rc = filter_compile(&a.mem, buf_span(&b), &flt, &at, &f);
    arena_fini(&a);
    return rc;
}

/* T27: FILTER_DEPTH_MAX, FILTER_NODES_MAX, FILTER_TEXT_MAX. */
static void limits_hold(void **state)
{
    (void)state;
    assert_int_equal(compile_repeated("", "(", 32, "a pr"), 0);
    assert_int_equal(compile_repeated("", "(", 33, "a pr"), RC_CONFIG);
    assert_int_equal(compile_repeated("", "not(", 33, "a pr"), RC_CONFIG);
    assert_int_equal(compile_repeated("", "(", 4000, ""), RC_CONFIG);
    assert_int_equal(compile_repeated("", "a[", 2000, ""), RC_CONFIG);
    assert_int_equal(compile_repeated("a pr ", "or a pr ", 500, ""), 0);
    assert_int_equal(compile_repeated("a pr ", "or a pr ", 511, ""), RC_CONFIG);
    assert_int_equal(compile_repeated("a eq \"", "x", 4089, "\""), 0);
    assert_int_equal(compile_repeated("a eq \"", "x", 4090, "\""), RC_CONFIG);
}

static void count_path(void *ctx, const struct attr_path *p)
{
    struct buf *b = ctx;
    buf_printf(b, "%.*s.%.*s%s ", PRSPAN(p->attr), PRSPAN(p->sub),
               p->element != NULL ? "[]" : "");
}

static void visits_top_level_paths(void **state)
{
    (void)state;
    struct arena a;
    struct buf b;
    struct fail f = {0};
    const struct filter *flt = NULL;
    size_t at;
    arena_init(&a, mem_system(), ARENA_MAX);
    buf_init(&b, &a.mem, 1000);
    struct span text = SPAN("a.x pr or not (c[d pr and e pr]) and call.x eq 1");
    assert_int_equal(filter_compile(&a.mem, text, &flt, &at, &f), 0);
    filter_visit(flt, count_path, &b);
    assert_string_equal((const char *)b.p, "a.x c.[] call.x ");
    arena_fini(&a);
}

/* 9967-R20, 7644-R28. */
static void patch_paths(void **state)
{
    (void)state;
    static const struct {
        const char *text, *urn, *attr, *sub;
        int rc;
        bool element;
    } rows[] = {
        {"members", "", "members", "", 0, false},
        {" name.familyName ", "", "name", "familyName", 0, false},
        {"owners[value eq \"u-1\"]", "", "owners", "", 0, true},
        {"owners[value eq \"u-1\"].display", "", "owners", "display", 0, true},
        {CORE ":active", CORE, "active", "", 0, false},
        {CORE ":name.familyName", CORE, "name", "familyName", 0, false},
        {"event.x", "", "event", "x", 0, false},
        {"", "", "", "", RC_SYNTAX, false},
        {"members[0]", "", "", "", RC_SYNTAX, false},
        {"/members/0", "", "", "", RC_SYNTAX, false},
        {"owners[value eq]", "", "", "", RC_SYNTAX, false},
        {"owners[value pr].a.b", "", "", "", RC_SYNTAX, false},
        {"owners[value pr]x", "", "", "", RC_SYNTAX, false},
        {"owners[value pr].", "", "", "", RC_SYNTAX, false},
        {"owners pr", "", "", "", RC_SYNTAX, false},
        {CORE, "", "", "", RC_SYNTAX, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena a;
        struct fail f = {0};
        struct attr_path p = {0};
        arena_init(&a, mem_system(), ARENA_MAX);
        int rc = attr_path_parse(&a.mem, span_str(rows[i].text), &p, &f);
        if (rc != rows[i].rc || (rc < 0 && f.rc != rc) ||
            !span_eq(p.urn, span_str(rows[i].urn)) ||
            !span_eq(p.attr, span_str(rows[i].attr)) ||
            !span_eq(p.sub, span_str(rows[i].sub)) ||
            (p.element != NULL) != rows[i].element)
            fail_msg("%s: rc %d %s", rows[i].text, rc, f.text);
        arena_fini(&a);
    }
}

static bool touches(const char *changed, const char *watched)
{
    struct arena a;
    struct fail f = {0};
    struct attr_path c, w;
    arena_init(&a, mem_system(), ARENA_MAX);
    assert_int_equal(attr_path_parse(&a.mem, span_str(changed), &c, &f), 0);
    assert_int_equal(attr_path_parse(&a.mem, span_str(watched), &w, &f), 0);
    bool yes = attr_path_touches(&c, &w);
    arena_fini(&a);
    return yes;
}

static void touching(void **state)
{
    (void)state;
    assert_true(touches("Roles", "roles"));
    assert_true(touches("roles.value", "roles"));
    assert_true(touches("roles", "roles.value"));
    assert_true(touches("roles.Value", "roles.value"));
    assert_false(touches("roles.display", "roles.value"));
    assert_true(touches("roles[value eq \"a\"]", "roles[value eq \"b\"]"));
    assert_true(touches(CORE ":roles", "roles"));
    assert_true(touches("roles", "urn:x:y:roles"));
    assert_false(touches(CORE ":roles", "urn:x:y:roles"));
    assert_false(touches("role", "roles"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normal_form), cmocka_unit_test(errors_are_precise),
        cmocka_unit_test(limits_hold), cmocka_unit_test(visits_top_level_paths),
        cmocka_unit_test(patch_paths), cmocka_unit_test(touching),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
