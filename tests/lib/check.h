// SPDX-License-Identifier: Apache-2.0
/*
 * Checks for unit tests that print both values when they fail. Including this
 * brings cmocka with the headers it wants first.
 */
#ifndef TESTS_LIB_CHECK_H
#define TESTS_LIB_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#undef fail /* ours is a function */

#include "sidecar/base/fail.h"
#include "sidecar/base/span.h"

#define COUNT_OF(a) (sizeof(a) / sizeof(a)[0])

/* The condition holds. */
#define CHECK(cond) check_true((cond), #cond, __FILE__, __LINE__)

/* Signed, unsigned and byte-string equality: what was got, what was wanted. */
#define CHECK_INT(got, want) check_int((got), (want), #got, __FILE__, __LINE__)
#define CHECK_UINT(got, want)                                                  \
    check_uint((got), (want), #got, __FILE__, __LINE__)
#define CHECK_SPAN(got, want)                                                  \
    check_span((got), (want), #got, __FILE__, __LINE__)
#define CHECK_STR(got, want)                                                   \
    check_span(span_str(got), span_str(want), #got, __FILE__, __LINE__)

/* rc is 0, or the text of `f` (which may be NULL) is printed. */
#define CHECK_OK(rc, f) check_ok((rc), (f), #rc, __FILE__, __LINE__)

/* For rows of a table: names the row in what the next failure prints. NULL
 * ends it. */
void check_row(const char *name);

void check_true(bool ok, const char *what, const char *file, int line);
void check_int(int64_t got, int64_t want, const char *what, const char *file,
               int line);
void check_uint(uint64_t got, uint64_t want, const char *what, const char *file,
                int line);
void check_span(struct span got, struct span want, const char *what,
                const char *file, int line);
void check_ok(int rc, const struct fail *f, const char *what, const char *file,
              int line);

#endif
