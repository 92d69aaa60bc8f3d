// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sidecar/base/span.h"

static void glob_matches(void **state)
{
    (void)state;
    assert_true(span_glob(SPAN("/Agents/*"), SPAN("/Agents/7")));
    assert_false(span_glob(SPAN("/Agents/*"), SPAN("/Users/7")));
    assert_true(span_glob(SPAN("*.b*"), SPAN("a.bcd")));
    assert_true(span_glob(SPAN(""), SPAN("")));
    assert_false(span_glob(SPAN(""), SPAN("a")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(glob_matches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
