// SPDX-License-Identifier: Apache-2.0
#include "adapters/jws.h"

#include "sidecar/base/buf.h"

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* 0..63, or 64 for a byte that is not in the alphabet. */
static unsigned digit_of(unsigned char c)
{
    if (c >= 'A' && c <= 'Z')
        return (unsigned)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (unsigned)(c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0') + 52;
    if (c == '-')
        return 62;
    return c == '_' ? 63 : 64;
}

int base64url_decode(struct mem *m, struct span text, struct span *ret)
{
    size_t rest = text.n % 4;
    if (rest == 1)
        return RC_SYNTAX;
    unsigned char *out = mem_alloc(m, text.n / 4 * 3 + 3);
    if (out == NULL)
        return RC_NO_MEMORY;
    size_t n = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < text.n; i++) {
        unsigned digit = digit_of(text.p[i]);
        if (digit > 63)
            goto bad;
        bits = (bits << 6 | digit) & 0xffff;
        if (i % 4 != 0)
            out[n++] = (unsigned char)(bits >> (6 - i % 4 * 2) & 0xff);
    }
    /* Unused trailing bits are zero, or two texts would mean the same bytes. */
    if ((rest == 2 && (bits & 0xf) != 0) || (rest == 3 && (bits & 3) != 0))
        goto bad;
    *ret = span_of(out, n);
    return 0;
bad:
    mem_release(m, out);
    return RC_SYNTAX;
}

void base64url_encode(struct span bytes, struct buf *out)
{
    for (size_t i = 0; i < bytes.n; i += 3) {
        size_t left = bytes.n - i;
        unsigned v = (unsigned)bytes.p[i] << 16;
        v |= left > 1 ? (unsigned)bytes.p[i + 1] << 8 : 0;
        v |= left > 2 ? bytes.p[i + 2] : 0;
        for (size_t k = 0; k < (left > 2 ? 4 : left + 1); k++)
            buf_put_u8(out, (uint8_t)alphabet[v >> (18 - 6 * k) & 63]);
    }
}
