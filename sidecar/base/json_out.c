// SPDX-License-Identifier: Apache-2.0
#include "sidecar/base/json_out.h"

#include <string.h>

#include "sidecar/base/fail.h"
#include "sidecar/base/time_text.h"

void json_out_init(struct json_out *j, struct buf *b)
{
    *j = (struct json_out){.b = b};
}

static void escape(struct buf *b, unsigned char c)
{
    static const char short_names[] = "btn?fr"; /* 0x08..0x0d, no \v */
    if (c == '"' || c == '\\') {
        buf_put_u8(b, '\\');
        buf_put_u8(b, c);
    } else if (c >= 0x08 && c <= 0x0d && c != 0x0b) {
        buf_put_u8(b, '\\');
        buf_put_u8(b, (unsigned char)short_names[c - 0x08]);
    } else {
        buf_put_str(b, "\\u00");
        buf_put_hex(b, span_of(&c, 1));
    }
}

/* Bytes that may stand as they are until the next one that may not. */
static size_t plain_run(struct span s)
{
    size_t i = 0;
    while (i < s.n && s.p[i] >= 0x20 && s.p[i] != '"' && s.p[i] != '\\' &&
           s.p[i] != 0x7f)
        i++;
    return i;
}

#define EACH(byte) ((byte)*UINT64_C(0x0101010101010101))

/* A high bit is set when some byte of w is zero. */
static uint64_t zero_byte(uint64_t w)
{
    return (w - EACH(1)) & ~w & EACH(0x80);
}

/* No byte of the eight needs an escape or a look at its neighbours. */
static bool eight_plain(const unsigned char *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
    uint64_t odd = (w | (w - EACH(0x20))) & EACH(0x80);
    return (odd | zero_byte(w ^ EACH('"')) | zero_byte(w ^ EACH('\\')) |
            zero_byte(w ^ EACH(0x7f))) == 0;
}

static bool all_plain(struct span s)
{
    size_t i = 0;
    while (s.n - i >= 8 && eight_plain(s.p + i))
        i += 8;
    for (; i < s.n; i++)
        if (s.p[i] < 0x20 || s.p[i] >= 0x7f || s.p[i] == '"' || s.p[i] == '\\')
            return false;
    return true;
}

/* The usual case: copied as it is. */
static bool quoted_plain(struct buf *b, struct span s)
{
    if (s.n > SIZE_MAX - 2 || !all_plain(s))
        return false;
    unsigned char *p = buf_reserve(b, s.n + 2);
    if (p == NULL)
        return true; /* the buffer has failed */
    p[0] = '"';
    if (s.n > 0)
        memcpy(p + 1, s.p, s.n);
    p[s.n + 1] = '"';
    p[s.n + 2] = 0;
    b->n += s.n + 2;
    return true;
}

static void quoted(struct buf *b, struct span s)
{
    if (quoted_plain(b, s))
        return;
    bool sound = span_is_text(s);
    buf_put_u8(b, '"');
    while (s.n > 0) {
        size_t run = plain_run(s);
        for (size_t i = 0; !sound && i < run; i++)
            if (s.p[i] >= 0x80)
                run = i;
        buf_put(b, span_of(s.p, run));
        if (run < s.n) {
            if (s.p[run] >= 0x80)
                buf_put_str(b, "\xef\xbf\xbd");
            else
                escape(b, s.p[run]);
            run++;
        }
        s = span_sub(s, run, s.n);
    }
    buf_put_u8(b, '"');
}

void json_key(struct json_out *j, struct span key)
{
    if (j->comma[j->depth])
        buf_put_u8(j->b, ',');
    j->comma[j->depth] = true;
    if (key.p != NULL) {
        quoted(j->b, key);
        buf_put_u8(j->b, ':');
    }
}

static void begin(struct json_out *j, const char *key)
{
    struct span k = span_str(key);
    unsigned char *p = buf_reserve(j->b, k.n + 4);
    if (p == NULL)
        return;
    unsigned char *from = p;
    if (j->comma[j->depth])
        *p++ = ',';
    j->comma[j->depth] = true;
    if (k.p != NULL) {
        *p++ = '"';
        memcpy(p, k.p, k.n);
        p += k.n;
        *p++ = '"';
        *p++ = ':';
    }
    *p = 0;
    j->b->n += (size_t)(p - from);
}

static void open_nest(struct json_out *j, unsigned char bracket)
{
    buf_put_u8(j->b, bracket);
    must(j->depth + 1 < JSON_OUT_DEPTH_MAX);
    j->comma[++j->depth] = false;
}

static void close_nest(struct json_out *j, unsigned char bracket)
{
    must(j->depth > 0);
    j->depth--;
    buf_put_u8(j->b, bracket);
}

void json_open_map(struct json_out *j, const char *key)
{
    begin(j, key);
    open_nest(j, '{');
}

void json_close_map(struct json_out *j)
{
    close_nest(j, '}');
}

void json_open_list(struct json_out *j, const char *key)
{
    begin(j, key);
    open_nest(j, '[');
}

void json_close_list(struct json_out *j)
{
    close_nest(j, ']');
}

void json_text(struct json_out *j, const char *key, struct span value)
{
    begin(j, key);
    quoted(j->b, value);
}

void json_str(struct json_out *j, const char *key, const char *value)
{
    json_text(j, key, span_str(value));
}

void json_u64(struct json_out *j, const char *key, uint64_t value)
{
    begin(j, key);
    buf_put_dec(j->b, value);
}

void json_i64(struct json_out *j, const char *key, int64_t value)
{
    begin(j, key);
    if (value < 0)
        buf_put_u8(j->b, '-');
    buf_put_dec(j->b, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void json_bool(struct json_out *j, const char *key, bool value)
{
    begin(j, key);
    buf_put_str(j->b, value ? "true" : "false");
}

void json_nil(struct json_out *j, const char *key)
{
    begin(j, key);
    buf_put_str(j->b, "null");
}

void json_hex(struct json_out *j, const char *key, struct span bytes)
{
    begin(j, key);
    buf_put_u8(j->b, '"');
    buf_put_hex(j->b, bytes);
    buf_put_u8(j->b, '"');
}

void json_time(struct json_out *j, const char *key, int64_t wall_ms)
{
    char text[TIME_TEXT_BYTES];
    time_text(wall_ms, text);
    json_str(j, key, text);
}

void json_raw(struct json_out *j, const char *key, struct span json)
{
    begin(j, key);
    buf_put(j->b, json);
}

static void scalar(struct json_out *j, const struct doc *d)
{
    must(d->kind != DOC_LIST && d->kind != DOC_MAP);
    switch (d->kind) {
        case DOC_NULL: buf_put_str(j->b, "null"); break;
        case DOC_BOOL: buf_put_str(j->b, d->truth ? "true" : "false"); break;
        case DOC_INT: buf_printf(j->b, "%lld", (long long)d->integer); break;
        case DOC_REAL: buf_printf(j->b, "%.17g", d->real); break;
        case DOC_TEXT: quoted(j->b, d->text); break;
        case DOC_LIST:
        case DOC_MAP: break;
    }
}

/* Bounded by DOC_DEPTH_MAX. */
// NOLINTNEXTLINE(misc-no-recursion)
static void value(struct json_out *j, const struct doc *d)
{
    bool map = d->kind == DOC_MAP;
    if (!map && d->kind != DOC_LIST) {
        scalar(j, d);
        return;
    }
    open_nest(j, map ? '{' : '[');
    DOC_EACH (it, d) {
        json_key(j, map ? it->key : (struct span){NULL, 0});
        value(j, it);
    }
    close_nest(j, map ? '}' : ']');
}

void json_doc(struct json_out *j, const char *key, const struct doc *d)
{
    begin(j, key);
    value(j, d);
}
