// SPDX-License-Identifier: Apache-2.0
/*
 * How a function says that it could not do its work.
 *
 * Every fallible function returns 0 or a negative code and fills the caller's
 * `struct fail` once, at the place that knows what went wrong. The bands say
 * whose fault it is; nothing here allocates. Start reading anywhere: this is
 * the only error type of the program.
 */
#ifndef SIDECAR_BASE_FAIL_H
#define SIDECAR_BASE_FAIL_H

#include <stdbool.h>
#include <stdio.h>

#define FAIL_TEXT_MAX 256

/* name, code, word shown in logs. Bands: caller/config -1xx, peer -3xx,
 * environment -5xx, resource -7xx, fatal -9xx. */
#define RC_MAP(X)                                                              \
    X(RC_INVALID, -101, "invalid")         /* bad argument or value */         \
    X(RC_CONFIG, -102, "config")           /* configuration or policy */       \
    X(RC_UNKNOWN_NAME, -103, "not_found")  /* no such thing */                 \
    X(RC_EXISTS, -104, "exists")           /* there already */                 \
    X(RC_DENIED, -105, "denied")           /* caller may not */                \
    X(RC_STATE, -106, "state")             /* not possible now */              \
    X(RC_SYNTAX, -301, "syntax")           /* peer sent garbage */             \
    X(RC_TOO_LARGE, -302, "too_large")     /* a limit was passed */            \
    X(RC_PROTOCOL, -303, "protocol")       /* peer broke the rules */          \
    X(RC_UNTRUSTED, -304, "untrusted")     /* not authentic */                 \
    X(RC_REFUSED, -305, "refused")         /* peer said no */                  \
    X(RC_EOF, -306, "eof")                 /* peer went away */                \
    X(RC_IO, -501, "io")                   /* a system call failed */          \
    X(RC_TIMEOUT, -502, "timeout")         /* waited long enough */            \
    X(RC_UNAVAILABLE, -503, "unavailable") /* peer cannot be reached */        \
    X(RC_CANCELLED, -504, "cancelled")     /* we stopped it */                 \
    X(RC_BUSY, -505, "busy")               /* locked, try again */             \
    X(RC_NO_SPACE, -506, "no_space")       /* disk is full */                  \
    X(RC_NO_MEMORY, -701, "no_memory")     /* allocation failed */             \
    X(RC_LIMIT, -702, "limit")             /* a table of ours is full */       \
    X(RC_BROKEN, -901, "broken")           /* corrupt or poisoned */

enum rc {
    RC_OK = 0,
#define X(name, code, word) name = code,
    RC_MAP(X)
#undef X
};

struct fail {
    int rc;
    char text[FAIL_TEXT_MAX];
};

#define must_use __attribute__((warn_unused_result))

/* Records the reason and returns `rc`. `f` may be NULL. Text beyond
 * FAIL_TEXT_MAX is cut. Returns RC_BROKEN if rc is not negative. */
int fail(struct fail *f, int rc, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), cold));

/* Puts "prefix: " before the text already there; returns f->rc (RC_BROKEN
 * when f is NULL), so that a caller can `return fail_wrap(f, "load %s", p)`. */
int fail_wrap(struct fail *f, const char *fmt, ...)
    __attribute__((format(printf, 2, 3), cold));

#ifdef __clang_analyzer__
/* The analyzer follows one file at a time and would not know that what these
 * return is negative. */
static inline int fail_negative(int rc)
{
    if (rc >= 0)
        __builtin_unreachable();
    return rc;
}
#define fail(...) fail_negative((fail)(__VA_ARGS__))
#define fail_wrap(...) fail_negative((fail_wrap)(__VA_ARGS__))
#endif

/* The short word of a code, for logs: "timeout". Never NULL. */
const char *rc_word(int rc);

static inline bool rc_is_peer(int rc)
{
    return rc <= -300 && rc > -500;
}

static inline bool rc_is_fatal(int rc)
{
    return rc <= -900;
}

/* Returns from the calling function when `e` is negative. */
#define TRY(e)                                                                 \
    do {                                                                       \
        int rc_ = (e);                                                         \
        if (rc_ < 0)                                                           \
            return rc_;                                                        \
    } while (0)

/* A bug, never an input: prints the condition, dumps the ring, aborts. Always
 * compiled in. */
#define must(cond)                                                             \
    do {                                                                       \
        if (__builtin_expect(!(cond), 0))                                      \
            must_failed(#cond, __FILE__, __LINE__, __func__);                  \
    } while (0)

void must_failed(const char *cond, const char *file, int line, const char *fn)
    __attribute__((noreturn, cold));

/* Set by main: prints the text, a line, and what else helps before an abort. */
typedef void (*must_hook_fn)(const char *text);
void must_set_hook(must_hook_fn hook);

/* For errors that may be dropped; the comment beside it says why. */
#define ignore_rc(e)                                                           \
    do {                                                                       \
        int ignored_ = (e);                                                    \
        (void)ignored_;                                                        \
    } while (0)

#define CLEANUP(fn) __attribute__((cleanup(fn)))

#endif
