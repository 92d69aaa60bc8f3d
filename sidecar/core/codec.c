// SPDX-License-Identifier: Apache-2.0
#include "sidecar/core/codec.h"

void put_u8(struct buf *b, unsigned v)
{
    buf_put_u8(b, (uint8_t)v);
}

void put_u32(struct buf *b, uint32_t v)
{
    buf_put_u32be(b, v);
}

void put_u64(struct buf *b, uint64_t v)
{
    buf_put_u64be(b, v);
}

void u64_bytes(uint64_t v, unsigned char ret[8])
{
    for (int i = 0; i < 8; i++)
        ret[i] = (unsigned char)(v >> (56 - 8 * i));
}

void put_i64(struct buf *b, int64_t v)
{
    buf_put_u64be(b, (uint64_t)v);
}

void put_text(struct buf *b, struct span s)
{
    if (s.n > UINT16_MAX) {
        b->failed = true;
        return;
    }
    buf_put_u8(b, (uint8_t)(s.n >> 8));
    buf_put_u8(b, (uint8_t)s.n);
    buf_put(b, s);
}

static uint64_t take_int(struct reader *r, size_t n)
{
    uint64_t v = 0;
    if (r->bad || r->rest.n < n) {
        r->bad = true;
        return 0;
    }
    for (size_t i = 0; i < n; i++)
        v = v << 8 | r->rest.p[i];
    r->rest = span_sub(r->rest, n, r->rest.n);
    return v;
}

unsigned take_u8(struct reader *r)
{
    return (unsigned)take_int(r, 1);
}

uint32_t take_u32(struct reader *r)
{
    return (uint32_t)take_int(r, 4);
}

uint64_t take_u64(struct reader *r)
{
    return take_int(r, 8);
}

int64_t take_i64(struct reader *r)
{
    return (int64_t)take_int(r, 8);
}

int64_t take_ms(struct reader *r)
{
    const int64_t ms = take_i64(r);
    if (ms >= -CODEC_MS_MAX && ms <= CODEC_MS_MAX)
        return ms;
    r->bad = true;
    return 0;
}

struct span take_text(struct reader *r)
{
    size_t n = (size_t)take_int(r, 2);
    if (r->bad || r->rest.n < n) {
        r->bad = true;
        return SPAN("");
    }
    struct span s = span_sub(r->rest, 0, n);
    r->rest = span_sub(r->rest, n, r->rest.n);
    return s;
}

bool reader_done(const struct reader *r)
{
    return !r->bad && r->rest.n == 0;
}
