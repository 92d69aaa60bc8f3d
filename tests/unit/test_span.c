// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/check.h"

#include <string.h>

#include "sidecar/base/span.h"

static void globs(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *s;
        bool want;
    } rows[] = {
        {"/Agents/*", "/Agents/7", true},
        {"/Agents/*", "/Agents/", true},
        {"/Agents/*", "/Users/7", false},
        {"*.b*", "a.bcd", true},
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"**", "abc", true},
        {"a*b*c", "a-b-b-c", true},
        {"a*b*c", "a-b-b-d", false},
        {"*aab", "aaaaab", true},
        {"a?c", "abc", false},
        {"[a]", "a", false},
        {"abc", "ab", false},
        {"pay.*", "pay", false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        check_row(rows[i].pattern);
        CHECK_INT(span_glob(span_str(rows[i].pattern), span_str(rows[i].s)),
                  rows[i].want);
    }
    check_row(NULL);
}

/* The matcher must not go exponential on many stars. */
static void glob_is_bounded(void **state)
{
    (void)state;
    static unsigned char pattern[128], s[8192];
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = i % 2 == 0 ? '*' : 'a';
    memset(s, 'a', sizeof s);
    s[sizeof s - 1] = 'b';
    pattern[sizeof pattern - 1] = 'c';
    CHECK(!span_glob(span_of(pattern, sizeof pattern), span_of(s, sizeof s)));
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        const char *s;
        bool ok;
        uint64_t want;
    } rows[] = {
        {"0", true, 0},
        {"007", true, 7},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"99999999999999999999", false, 0},
        {"000000000000000000001", false, 0}, /* 21 digits */
        {"", false, 0},
        {"-1", false, 0},
        {"+1", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"0x1", false, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint64_t got = 4711;
        check_row(rows[i].s);
        CHECK_INT(span_u64(span_str(rows[i].s), &got), rows[i].ok);
        CHECK_UINT(got, rows[i].ok ? rows[i].want : 4711);
    }
    check_row(NULL);
}

/* RFC 3629 section 4, and the table of Unicode 15 section 3.9. */
static void utf8(void **state)
{
    (void)state;
    static const struct {
        const char *s;
        size_t n;
        bool want;
    } rows[] = {
        {"", 0, true},
        {"plain", 5, true},
        {"a\0b", 3, false},
        {"\xc3\xa9", 2, true},
        {"\xe2\x82\xac", 3, true},
        {"\xf0\x9f\x98\x80", 4, true},
        {"\xf4\x8f\xbf\xbf", 4, true},
        {"\xf4\x90\x80\x80", 4, false}, /* above U+10FFFF */
        {"\xc0\x80", 2, false},         /* overlong NUL */
        {"\xc1\xbf", 2, false},
        {"\xe0\x9f\xbf", 3, false},     /* overlong */
        {"\xf0\x8f\xbf\xbf", 4, false}, /* overlong */
        {"\xed\xa0\x80", 3, false},     /* surrogate */
        {"\xed\x9f\xbf", 3, true},
        {"\x80", 1, false},
        {"\xc3", 1, false},
        {"\xe2\x82", 2, false},
        {"\xe2\x28\xa1", 3, false},
        {"\xf5\x80\x80\x80", 4, false},
        {"\xff", 1, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        check_row(rows[i].s);
        CHECK_INT(span_is_text(span_of(rows[i].s, rows[i].n)), rows[i].want);
    }
    check_row(NULL);
}

static void comparing(void **state)
{
    (void)state;
    CHECK(span_eq(span_of(NULL, 0), SPAN("")));
    CHECK(!span_eq(SPAN("a"), SPAN("b")));
    CHECK(!span_eq(SPAN("a"), SPAN("ab")));
    CHECK(span_ieq(SPAN("UserName"), SPAN("username")));
    CHECK(!span_ieq(SPAN("\xc3\x84"), SPAN("\xc3\xa4"))); /* ASCII only */
    CHECK(!span_ieq(SPAN("@"), SPAN("`")));
    CHECK(span_cmp(SPAN("a"), SPAN("ab")) < 0);
    CHECK(span_cmp(SPAN("b"), SPAN("ab")) > 0);
    CHECK(span_cmp(SPAN("\xff"), SPAN("a")) > 0);
    CHECK_INT(span_cmp(span_of(NULL, 0), SPAN("")), 0);
    CHECK(span_eq_secret(SPAN("secret"), SPAN("secret")));
    CHECK(!span_eq_secret(SPAN("secret"), SPAN("secreT")));
    CHECK(!span_eq_secret(SPAN("secret"), SPAN("secre")));
    CHECK(!span_eq_secret(SPAN("Xecret"), SPAN("secret")));
}

static void cutting(void **state)
{
    (void)state;
    CHECK_SPAN(span_sub(SPAN("abc"), 1, 2), SPAN("b"));
    CHECK_SPAN(span_sub(SPAN("abc"), 2, 99), SPAN("c"));
    CHECK_SPAN(span_sub(SPAN("abc"), 9, 99), SPAN(""));
    CHECK_SPAN(span_sub(SPAN("abc"), 2, 1), SPAN(""));
    CHECK_SPAN(span_sub(span_of(NULL, 0), 0, 1), SPAN(""));
    CHECK_SPAN(span_trim(SPAN(" \t a b\t ")), SPAN("a b"));
    CHECK_SPAN(span_trim(SPAN(" \t ")), SPAN(""));
    CHECK_SPAN(span_trim(SPAN("\na")), SPAN("\na"));
    CHECK_UINT(span_find(SPAN("a.b.c"), '.', 0), 1);
    CHECK_UINT(span_find(SPAN("a.b.c"), '.', 2), 3);
    CHECK_UINT(span_find(SPAN("abc"), '.', 0), 3);
    CHECK_UINT(span_find(SPAN("abc"), 'a', 7), 3);
    CHECK(span_starts(SPAN("abc"), SPAN("ab")));
    CHECK(!span_starts(SPAN("a"), SPAN("ab")));
    CHECK(span_ends(SPAN("abc"), SPAN("bc")));
    CHECK(!span_ends(SPAN("c"), SPAN("bc")));
    CHECK_UINT(span_str(NULL).n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(globs),     cmocka_unit_test(glob_is_bounded),
        cmocka_unit_test(numbers),   cmocka_unit_test(utf8),
        cmocka_unit_test(comparing), cmocka_unit_test(cutting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
