// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/check.h"

#include <inttypes.h>

#define SHOWN_BYTES_MAX 400

static const char *row;

void check_row(const char *name)
{
    row = name;
}

static void stop(const char *file, int line)
{
    if (row != NULL)
        print_error("  in row: %s\n", row);
    row = NULL;
    _fail(file, line);
}

void check_true(bool ok, const char *what, const char *file, int line)
{
    if (ok)
        return;
    print_error("not true: %s\n", what);
    stop(file, line);
}

void check_int(int64_t got, int64_t want, const char *what, const char *file,
               int line)
{
    if (got == want)
        return;
    print_error("%s: got %" PRId64 ", want %" PRId64 "\n", what, got, want);
    stop(file, line);
}

void check_uint(uint64_t got, uint64_t want, const char *what, const char *file,
                int line)
{
    if (got == want)
        return;
    print_error("%s: got %" PRIu64 ", want %" PRIu64 "\n", what, got, want);
    stop(file, line);
}

static void show(const char *label, struct span s)
{
    char text[SHOWN_BYTES_MAX * 4 + 1];
    size_t n = 0;
    for (size_t i = 0; i < s.n && i < SHOWN_BYTES_MAX; i++) {
        int added = s.p[i] >= 0x20 && s.p[i] < 0x7f
                        ? snprintf(text + n, sizeof text - n, "%c", s.p[i])
                        : snprintf(text + n, sizeof text - n, "\\x%02x",
                                   (unsigned)s.p[i]);
        n += added > 0 ? (size_t)added : 0;
    }
    text[n] = 0;
    print_error("  %s (%zu bytes): %s\n", label, s.n, text);
}

void check_span(struct span got, struct span want, const char *what,
                const char *file, int line)
{
    if (span_eq(got, want))
        return;
    print_error("%s:\n", what);
    show("got ", got);
    show("want", want);
    stop(file, line);
}

void check_ok(int rc, const struct fail *f, const char *what, const char *file,
              int line)
{
    if (rc == 0)
        return;
    print_error("%s: %d (%s) %s\n", what, rc, rc_word(rc),
                f == NULL ? "" : f->text);
    stop(file, line);
}
