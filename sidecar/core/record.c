// SPDX-License-Identifier: Apache-2.0
#include "sidecar/core/record.h"

static const struct {
    const char *code, *text;
} reasons[REASON_COUNT] = {
#define X(id, code, text) [REASON_##id] = {code, text},
    REASON_MAP(X)
#undef X
};

const char *reason_code(enum reason r)
{
    return reasons[r].code;
}

const char *reason_text(enum reason r)
{
    return reasons[r].text;
}

const char *record_kind_word(enum record_kind k)
{
    static const char *const words[RECORD_KIND_COUNT] = {
#define X(id, word, doc) [RECORD_##id] = word,
        RECORD_KIND_MAP(X)
#undef X
    };
    return words[k];
}

struct record record_of(enum record_kind kind)
{
    return (struct record){
        .kind = kind,
        .reach = -1,
        .confirmed = -1,
        .count = -1,
        .iat = EVENT_TIME_NONE,
        .toe = EVENT_TIME_NONE,
    };
}

static void put_span(struct json_out *j, const char *key, struct span v,
                     bool hex)
{
    if (v.n == 0)
        return;
    if (hex)
        json_hex(j, key, v);
    else
        json_text(j, key, v);
}

static void put_unsigned(struct json_out *j, const char *key, uint64_t v,
                         bool hex)
{
    if (v == 0)
        return;
    if (hex) {
        unsigned char bytes[8];
        for (unsigned i = 0; i < sizeof bytes; i++)
            bytes[i] = (unsigned char)(v >> (56 - 8 * i));
        json_hex(j, key, span_of(bytes, sizeof bytes));
    } else {
        json_u64(j, key, v);
    }
}

static void put_signed(struct json_out *j, const char *key, int64_t v,
                       bool time)
{
    if (time && v != EVENT_TIME_NONE)
        json_time(j, key, v);
    else if (!time && v >= 0)
        json_i64(j, key, v);
}

static void put_flag(struct json_out *j, const char *key, bool v, bool unused)
{
    (void)unused;
    if (v)
        json_bool(j, key, true);
}

/* The JSON type is a literal, so its first letters decide at compile time:
 * "hex" and "time" change how a value is written. */
#define IS_SPECIAL(json) ((json)[0] == 'h' || (json)[0] == 't')

void record_write(const struct record *r, struct buf *out)
{
    struct json_out j;
    json_out_init(&j, out);
    j.depth = 1; /* the writer has opened the object */
    if (r->input != 0)
        json_u64(&j, "input", r->input);
    json_time(&j, "time", r->wall_ms);
    json_str(&j, "kind", record_kind_word(r->kind));
    put_unsigned(&j, "decision_id", r->decision, true);
#define X(name, type, json, doc)                                               \
    _Generic((type){0}, struct span                                            \
             : put_span, uint64_t                                              \
             : put_unsigned, int64_t                                           \
             : put_signed, bool                                                \
             : put_flag)(&j, #name, r->name, IS_SPECIAL(json));
    RECORD_FIELD_MAP(X)
#undef X
    buf_put_u8(out, '}');
}
