// SPDX-License-Identifier: Apache-2.0
#include "proto/pb_walk.h"

#include "sidecar/base/fail.h"

enum wire_type { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

static bool take_varint(struct span *at, uint64_t *ret)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64 && at->n > 0; shift += 7) {
        unsigned char c = at->p[0];
        *at = span_sub(*at, 1, at->n);
        v |= (uint64_t)(c & 0x7f) << shift;
        if ((c & 0x80) == 0) {
            *ret = v;
            return true;
        }
    }
    return false;
}

static bool take_bytes(struct span *at, uint64_t n, struct span *ret)
{
    if (n > at->n)
        return false;
    *ret = span_sub(*at, 0, (size_t)n);
    *at = span_sub(*at, (size_t)n, at->n);
    return true;
}

int pb_next(struct span *at, struct pb_field *ret)
{
    uint64_t tag, n;
    if (at->n == 0)
        return 0;
    *ret = (struct pb_field){0};
    if (!take_varint(at, &tag) || tag >> 3 == 0 || tag >> 3 > UINT32_MAX)
        return RC_SYNTAX;
    ret->number = (uint32_t)(tag >> 3);
    switch (tag & 7) {
        case VARINT: return take_varint(at, &ret->value) ? 1 : RC_SYNTAX;
        case FIXED64: return take_bytes(at, 8, &ret->bytes) ? 1 : RC_SYNTAX;
        case FIXED32: return take_bytes(at, 4, &ret->bytes) ? 1 : RC_SYNTAX;
        case BYTES:
            ret->is_bytes = true;
            return take_varint(at, &n) && take_bytes(at, n, &ret->bytes)
                       ? 1
                       : RC_SYNTAX;
        default: return RC_SYNTAX;
    }
}

struct span pb_bytes(struct span message, uint32_t number)
{
    struct span found = {NULL, 0};
    struct pb_field f;
    while (pb_next(&message, &f) == 1)
        if (f.number == number && f.is_bytes)
            found = f.bytes;
    return found;
}

static void put_varint(struct buf *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        buf_put_u8(b, (unsigned char)(v | 0x80));
    buf_put_u8(b, (unsigned char)v);
}

void pb_put_bytes(struct buf *b, uint32_t number, struct span s)
{
    put_varint(b, (uint64_t)number << 3 | BYTES);
    put_varint(b, s.n);
    buf_put(b, s);
}

void pb_put_u64(struct buf *b, uint32_t number, uint64_t v)
{
    put_varint(b, (uint64_t)number << 3 | VARINT);
    put_varint(b, v);
}
