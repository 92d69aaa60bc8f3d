// SPDX-License-Identifier: Apache-2.0
/*
 * A growing, bounded byte buffer. Appends never return an error: the first
 * failure (limit or memory) latches and the owner checks once at the end with
 * buf_ok. The bytes are always followed by a NUL that is not counted.
 */
#ifndef SIDECAR_BASE_BUF_H
#define SIDECAR_BASE_BUF_H

#include <stdbool.h>
#include <stdint.h>
#include "sidecar/base/mem.h"

struct buf {
    struct mem *mem;
    unsigned char *p;
    size_t n;
    size_t cap;
    size_t max_bytes;
    bool failed;
};

void buf_init(struct buf *b, struct mem *mem, size_t max_bytes);

/* Wipes and frees; legal on a zeroed struct. */
void buf_fini(struct buf *b);

/* Empties and forgets a failure; keeps the memory. */
void buf_clear(struct buf *b);

/* Makes room for n more bytes and returns where they go, or NULL (latched).
 * The caller adds to b->n what it wrote. */
static inline unsigned char *buf_reserve(struct buf *b, size_t n);

/* The same when memory or a limit may be in the way. */
unsigned char *buf_reserve_slow(struct buf *b, size_t n);

static inline unsigned char *buf_reserve(struct buf *b, size_t n)
{
    /* cap may be above max_bytes: both count. A NUL must fit, too. */
    if (!b->failed && b->n < b->cap && n < b->cap - b->n &&
        b->n <= b->max_bytes && n <= b->max_bytes - b->n)
        return b->p + b->n;
    return buf_reserve_slow(b, n);
}

void buf_put(struct buf *b, struct span s);
void buf_put_str(struct buf *b, const char *s);

static inline void buf_put_u8(struct buf *b, uint8_t v)
{
    unsigned char *p = buf_reserve(b, 1);
    if (p == NULL)
        return;
    p[0] = v;
    p[1] = 0;
    b->n++;
}

void buf_put_u32be(struct buf *b, uint32_t v);
void buf_put_u64be(struct buf *b, uint64_t v);
void buf_put_dec(struct buf *b, uint64_t v);
void buf_put_hex(struct buf *b, struct span s);
void buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Drops n bytes at the front (n <= b->n). */
void buf_consume(struct buf *b, size_t n);

static inline bool buf_ok(const struct buf *b)
{
    return !b->failed;
}

static inline struct span buf_span(const struct buf *b)
{
    return span_of(b->p, b->n);
}

#endif
