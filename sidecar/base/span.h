// SPDX-License-Identifier: Apache-2.0
/*
 * Bytes that somebody else owns: a pointer and a length, never NUL-terminated.
 * A span handed to a function or callback dies when the call returns unless
 * the contract says otherwise.
 */
#ifndef SIDECAR_BASE_SPAN_H
#define SIDECAR_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
    const unsigned char *p;
    size_t n;
};

/* A span over a string literal or a char array constant. */
#define SPAN(lit)                                                              \
    ((struct span){(const unsigned char *)("" lit), sizeof(lit) - 1})

/* For printf: "%.*s", PRSPAN(s). Cuts at INT_MAX; peer data goes through
 * log's escaping instead. */
#define PRSPAN(s)                                                              \
    (int)((s).n > 4096 ? 4096 : (s).n),                                        \
        (const char *)((s).p ? (s).p : SPAN("").p)

static inline struct span span_of(const void *p, size_t n)
{
    return (struct span){p, n};
}

/* A span over a C string; NULL gives the empty span. */
struct span span_str(const char *s);

static inline bool span_eq(struct span a, struct span b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII case-insensitive equality (RFC 7643 2.1 names, HTTP tokens). */
bool span_ieq(struct span a, struct span b);

/* Byte order, shorter first when one is a prefix; <0, 0, >0. */
int span_cmp(struct span a, struct span b);

bool span_starts(struct span s, struct span prefix);
bool span_ends(struct span s, struct span suffix);

/* First index of byte `c` at or after `from`, or s.n when there is none. */
size_t span_find(struct span s, unsigned char c, size_t from);

/* Bytes [from, to); both are clamped to s.n. */
struct span span_sub(struct span s, size_t from, size_t to);

/* Without leading and trailing spaces and tabs. */
struct span span_trim(struct span s);

/* Decimal digits only, no sign; false on empty, junk or overflow. */
bool span_u64(struct span s, uint64_t *ret);

/* True when the bytes are well-formed UTF-8 (RFC 3629) without NUL. */
bool span_is_text(struct span s);

/* Constant-time equality for secrets of the same length; the length itself is
 * not hidden. */
bool span_eq_secret(struct span a, struct span b);

/* A glob with `*` (any run, also empty) as its only special byte; linear in
 * s.n times the number of stars, no recursion. */
bool span_glob(struct span pattern, struct span s);

#endif
