// SPDX-License-Identifier: Apache-2.0
#include "sidecar/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sidecar/base/fail.h"

#define BUF_FIRST_BYTES 256

void buf_init(struct buf *b, struct mem *mem, size_t max_bytes)
{
    *b = (struct buf){.mem = mem, .max_bytes = max_bytes};
}

void buf_fini(struct buf *b)
{
    if (b->p != NULL) {
        mem_wipe(b->p, b->cap);
        mem_release(b->mem, b->p);
    }
    *b = (struct buf){.mem = b->mem, .max_bytes = b->max_bytes};
}

void buf_clear(struct buf *b)
{
    b->n = 0;
    b->failed = false;
    if (b->p != NULL)
        b->p[0] = 0;
}

static bool grow(struct buf *b, size_t need)
{
    size_t cap = b->cap == 0 ? BUF_FIRST_BYTES : b->cap;
    while (cap < need)
        if (__builtin_mul_overflow(cap, 2, &cap))
            return false;
    unsigned char *p = mem_alloc(b->mem, cap);
    if (p == NULL)
        return false;
    if (b->p != NULL) {
        memcpy(p, b->p, b->n);
        mem_wipe(b->p, b->cap); /* it may have held a secret */
        mem_release(b->mem, b->p);
    }
    b->p = p;
    b->cap = cap;
    return true;
}

unsigned char *buf_reserve_slow(struct buf *b, size_t n)
{
    size_t need;
    if (b->failed)
        return NULL;
    if (n == SIZE_MAX || n > b->max_bytes || b->n > b->max_bytes - n ||
        __builtin_add_overflow(b->n, n + 1, &need) ||
        (need > b->cap && !grow(b, need))) {
        b->failed = true;
        return NULL;
    }
    return b->p + b->n;
}

void buf_put(struct buf *b, struct span s)
{
    unsigned char *p = buf_reserve(b, s.n);
    if (p == NULL)
        return;
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    b->n += s.n;
    b->p[b->n] = 0;
}

void buf_put_str(struct buf *b, const char *s)
{
    buf_put(b, span_str(s));
}

void buf_put_u32be(struct buf *b, uint32_t v)
{
    unsigned char bytes[4] = {(unsigned char)(v >> 24),
                              (unsigned char)(v >> 16), (unsigned char)(v >> 8),
                              (unsigned char)v};
    buf_put(b, span_of(bytes, sizeof bytes));
}

void buf_put_u64be(struct buf *b, uint64_t v)
{
    buf_put_u32be(b, (uint32_t)(v >> 32));
    buf_put_u32be(b, (uint32_t)v);
}

void buf_put_dec(struct buf *b, uint64_t v)
{
    unsigned char digits[20];
    size_t n = sizeof digits;
    do {
        digits[--n] = (unsigned char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    buf_put(b, span_of(digits + n, sizeof digits - n));
}

void buf_put_hex(struct buf *b, struct span s)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = s.n > SIZE_MAX / 4 ? SIZE_MAX : 2 * s.n;
    unsigned char *p = buf_reserve(b, n);
    if (p == NULL)
        return;
    for (size_t i = 0; i < s.n; i++) {
        *p++ = (unsigned char)hex[s.p[i] >> 4];
        *p++ = (unsigned char)hex[s.p[i] & 15];
    }
    *p = 0;
    b->n += n;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    unsigned char *p = n < 0 ? NULL : buf_reserve(b, (size_t)n);
    if (p != NULL) {
        (void)vsnprintf((char *)p, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    } else {
        b->failed = true;
    }
    va_end(again);
}

void buf_consume(struct buf *b, size_t n)
{
    must(n <= b->n);
    if (n == 0)
        return;
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
    b->p[b->n] = 0;
}
