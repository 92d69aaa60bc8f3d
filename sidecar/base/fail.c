// SPDX-License-Identifier: Apache-2.0
#include "sidecar/base/fail.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* The only mutable global of base: main sets it once, before threads. */
static must_hook_fn must_hook;

#ifdef __clang_analyzer__
#undef fail
#undef fail_wrap
#endif

int fail(struct fail *f, int rc, const char *fmt, ...)
{
    if (rc >= 0)
        rc = RC_BROKEN;
    if (f == NULL)
        return rc;
    f->rc = rc;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(f->text, sizeof f->text, fmt, ap);
    va_end(ap);
    return rc;
}

int fail_wrap(struct fail *f, const char *fmt, ...)
{
    if (f == NULL)
        return RC_BROKEN;
    char prefix[FAIL_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(prefix, sizeof prefix, fmt, ap);
    va_end(ap);

    char text[FAIL_TEXT_MAX * 2 + 2];
    (void)snprintf(text, sizeof text, "%s: %s", prefix, f->text);
    (void)snprintf(f->text, sizeof f->text, "%.*s", FAIL_TEXT_MAX - 1, text);
    return f->rc < 0 ? f->rc : RC_BROKEN;
}

const char *rc_word(int rc)
{
    switch (rc) {
        case RC_OK: return "ok";
#define X(name, code, word)                                                    \
    case name: return word;
            RC_MAP(X)
#undef X
        default: return "error";
    }
}

void must_set_hook(must_hook_fn hook)
{
    must_hook = hook;
}

void must_failed(const char *cond, const char *file, int line, const char *fn)
{
    char text[FAIL_TEXT_MAX * 2];
    (void)snprintf(text, sizeof text,
                   "bailiff: bug: %s failed at %s:%d in %s\n", cond, file, line,
                   fn);
    if (must_hook != NULL)
        must_hook(text);
    else
        (void)fputs(text, stderr);
    abort();
}
