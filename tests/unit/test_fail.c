// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/check.h"

#include <string.h>

#include "sidecar/base/fail.h"

static void says_why(void **state)
{
    (void)state;
    struct fail f = {0};
    CHECK_INT(fail(&f, RC_SYNTAX, "line %d", 7), RC_SYNTAX);
    CHECK_INT(f.rc, RC_SYNTAX);
    CHECK_STR(f.text, "line 7");
    CHECK_INT(fail_wrap(&f, "load %s", "x.yaml"), RC_SYNTAX);
    CHECK_STR(f.text, "load x.yaml: line 7");
    CHECK_INT(fail(NULL, RC_IO, "nobody listens"), RC_IO);
    CHECK_INT(fail_wrap(NULL, "nor here"), RC_BROKEN);
}

static void success_is_no_failure(void **state)
{
    (void)state;
    struct fail f = {0};
    CHECK_INT(fail(&f, 0, "rc is 0"), RC_BROKEN);
    CHECK_INT(fail(&f, 5, "rc is positive"), RC_BROKEN);
    f.rc = 0;
    CHECK_INT(fail_wrap(&f, "wrapped too early"), RC_BROKEN);
}

/* FAIL_TEXT_MAX: long text is cut, the prefix stays. */
static void long_text_is_cut(void **state)
{
    (void)state;
    struct fail f = {0};
    char text[2 * FAIL_TEXT_MAX];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = 0;
    CHECK_INT(fail(&f, RC_LIMIT, "%s", text), RC_LIMIT);
    CHECK_UINT(strlen(f.text), FAIL_TEXT_MAX - 1);
    CHECK_INT(fail_wrap(&f, "prefix"), RC_LIMIT);
    CHECK_UINT(strlen(f.text), FAIL_TEXT_MAX - 1);
    CHECK(strncmp(f.text, "prefix: aaa", 11) == 0);
    text[FAIL_TEXT_MAX - 1] = 0;
    CHECK_INT(fail_wrap(&f, "%s", text), RC_LIMIT);
    CHECK_UINT(strlen(f.text), FAIL_TEXT_MAX - 1);
}

/* Codes and words are what logs and scripts match on: all different, all in
 * a band. */
static void codes_are_distinct(void **state)
{
    (void)state;
    static const int codes[] = {
#define X(name, code, word) code,
        RC_MAP(X)
#undef X
    };
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        CHECK(codes[i] <= -100 && codes[i] > -1000);
        CHECK(strcmp(rc_word(codes[i]), "error") != 0);
        for (size_t k = 0; k < i; k++) {
            CHECK(codes[i] != codes[k]);
            CHECK(strcmp(rc_word(codes[i]), rc_word(codes[k])) != 0);
        }
    }
    CHECK_STR(rc_word(0), "ok");
    CHECK_STR(rc_word(-12345), "error");
    CHECK(rc_is_peer(RC_SYNTAX) && rc_is_peer(RC_EOF) && !rc_is_peer(RC_IO));
    CHECK(!rc_is_peer(RC_INVALID) && !rc_is_peer(0));
    CHECK(rc_is_fatal(RC_BROKEN) && !rc_is_fatal(RC_NO_MEMORY));
}

static int tries(int rc, int *reached)
{
    TRY(rc);
    (*reached)++;
    return 7;
}

static void try_returns_negatives_only(void **state)
{
    (void)state;
    int reached = 0;
    CHECK_INT(tries(RC_EOF, &reached), RC_EOF);
    CHECK_INT(reached, 0);
    CHECK_INT(tries(0, &reached), 7);
    CHECK_INT(tries(3, &reached), 7);
    CHECK_INT(reached, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_why),
        cmocka_unit_test(success_is_no_failure),
        cmocka_unit_test(long_text_is_cut),
        cmocka_unit_test(codes_are_distinct),
        cmocka_unit_test(try_returns_negatives_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
