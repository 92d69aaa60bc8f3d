// SPDX-License-Identifier: Apache-2.0
#include "proto/grpc_frame.h"

static uint32_t read_u32be(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 |
           p[3];
}

int grpc_frame_next(struct span in, size_t message_max, struct grpc_frame *ret)
{
    if (in.n > 0 && in.p[0] > 1)
        return RC_PROTOCOL;
    if (in.n < GRPC_FRAME_PREFIX_BYTES)
        return 0;
    size_t n = read_u32be(in.p + 1);
    if (n > message_max)
        return RC_TOO_LARGE;
    if (in.n - GRPC_FRAME_PREFIX_BYTES < n)
        return 0;
    ret->compressed = in.p[0] == 1;
    ret->message = span_of(in.p + GRPC_FRAME_PREFIX_BYTES, n);
    ret->used_bytes = GRPC_FRAME_PREFIX_BYTES + n;
    return 1;
}

void grpc_frame_put(struct buf *b, struct span message)
{
    must(message.n <= UINT32_MAX);
    if (buf_reserve(b, GRPC_FRAME_PREFIX_BYTES + message.n) == NULL)
        return;
    buf_put_u8(b, 0);
    buf_put_u32be(b, (uint32_t)message.n);
    buf_put(b, message);
}

void grpc_text_encode(struct buf *b, struct span text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = text.p[i];
        if (c >= 0x20 && c <= 0x7e && c != '%') {
            buf_put_u8(b, c);
            continue;
        }
        buf_put_u8(b, '%');
        buf_put_u8(b, (unsigned char)digits[c >> 4]);
        buf_put_u8(b, (unsigned char)digits[c & 15]);
    }
}

/* The digit's value or 16. */
static unsigned hex_value(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 16;
}

void grpc_text_decode(struct buf *b, struct span text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = text.p[i];
        if (c == '%' && text.n - i > 2) {
            unsigned high = hex_value(text.p[i + 1]);
            unsigned low = hex_value(text.p[i + 2]);
            if (high < 16 && low < 16) {
                c = (unsigned char)(high << 4 | low);
                i += 2;
            }
        }
        buf_put_u8(b, c);
    }
}

bool grpc_timeout_parse(struct span s, uint64_t *ret_ms)
{
    uint64_t v;
    if (s.n < 2 || s.n > GRPC_TIMEOUT_DIGITS_MAX + 1 ||
        !span_u64(span_sub(s, 0, s.n - 1), &v))
        return false;
    switch (s.p[s.n - 1]) {
        case 'H': *ret_ms = v * 3600000; return true;
        case 'M': *ret_ms = v * 60000; return true;
        case 'S': *ret_ms = v * 1000; return true;
        case 'm': *ret_ms = v; return true;
        case 'u': *ret_ms = (v + 999) / 1000; return true;
        case 'n': *ret_ms = (v + 999999) / 1000000; return true;
        default: return false;
    }
}

void grpc_timeout_put(struct buf *b, uint64_t ms)
{
    static const struct {
        uint64_t ms;
        char unit;
    } units[] = {{1, 'm'}, {1000, 'S'}, {60000, 'M'}, {3600000, 'H'}};
    size_t i = 0;
    while (i < 3 && ms / units[i].ms > 99999999)
        i++;
    uint64_t v = ms / units[i].ms;
    buf_put_dec(b, v > 99999999 ? 99999999 : v);
    buf_put_u8(b, (unsigned char)units[i].unit);
}

bool grpc_content_type(struct span s)
{
    struct span want = SPAN("application/grpc");
    if (s.n < want.n || !span_ieq(span_sub(s, 0, want.n), want))
        return false;
    return s.n == want.n || s.p[want.n] == '+' || s.p[want.n] == ';';
}
