// SPDX-License-Identifier: Apache-2.0
#include "sidecar/core/journal.h"

#include <string.h>

#include "sidecar/base/number_text.h"

static void put_u16(struct buf *b, size_t v)
{
    must(v <= UINT16_MAX);
    buf_put_u8(b, (uint8_t)(v >> 8));
    buf_put_u8(b, (uint8_t)v);
}

void journal_put_fact(struct buf *facts, enum fact_kind kind, struct span key,
                      struct span value)
{
    buf_put_u8(facts, (uint8_t)kind);
    put_u16(facts, key.n);
    buf_put_u32be(facts, value.p == NULL ? JOURNAL_GONE : (uint32_t)value.n);
    buf_put(facts, key);
    buf_put(facts, value.p == NULL ? span_of(NULL, 0) : value);
}

void journal_put_body(struct buf *out, struct span facts, struct span records,
                      struct span input)
{
    const struct span parts[] = {facts, records, input};
    buf_put_u8(out, JOURNAL_VERSION);
    for (size_t i = 0; i < 3; i++) {
        buf_put_u32be(out, (uint32_t)parts[i].n);
        buf_put(out, parts[i]);
    }
}

static bool take(struct span *s, size_t n, struct span *ret)
{
    if (s->n < n)
        return false;
    *ret = span_sub(*s, 0, n);
    *s = span_sub(*s, n, s->n);
    return true;
}

static bool take_int(struct span *s, size_t n, uint32_t *ret)
{
    struct span bytes;
    if (!take(s, n, &bytes))
        return false;
    *ret = 0;
    for (size_t i = 0; i < n; i++)
        *ret = *ret << 8 | bytes.p[i];
    return true;
}

static bool take_sized(struct span *s, struct span *ret)
{
    uint32_t n;
    return take_int(s, 4, &n) && take(s, n, ret);
}

int journal_read_body(struct span body, struct journal_body *ret,
                      struct fail *f)
{
    uint32_t version;
    if (!take_int(&body, 1, &version))
        return fail(f, RC_BROKEN, "journal row is empty");
    if (version != JOURNAL_VERSION)
        return fail(f, RC_BROKEN, "journal row has version %u, not %d", version,
                    JOURNAL_VERSION);
    if (!take_sized(&body, &ret->facts) || !take_sized(&body, &ret->records) ||
        !take_sized(&body, &ret->input) || body.n != 0)
        return fail(f, RC_BROKEN, "journal row is cut or too long");
    return 0;
}

int journal_next_fact(struct span *facts, struct fact *ret, struct fail *f)
{
    uint32_t kind, key_n, value_n;
    if (facts->n == 0)
        return 0;
    if (!take_int(facts, 1, &kind) || !take_int(facts, 2, &key_n) ||
        !take_int(facts, 4, &value_n) || kind == 0 || kind >= FACT_KIND_COUNT)
        return fail(f, RC_BROKEN, "journal fact is malformed");
    ret->kind = (enum fact_kind)kind;
    ret->gone = value_n == JOURNAL_GONE;
    if (!take(facts, key_n, &ret->key) ||
        !take(facts, ret->gone ? 0 : value_n, &ret->value))
        return fail(f, RC_BROKEN, "journal fact is cut");
    return 1;
}

static size_t put_key_byte(char *at, unsigned char c, bool bytes)
{
    if (!bytes) {
        *at = (char)(c == 0 ? ' ' : c > ' ' && c < 0x7f ? c : '?');
        return 1;
    }
    char digits[3];
    hex_text(span_of(&c, 1), digits);
    memcpy(at, digits, 2);
    return 2;
}

void fact_name(const struct fact *f, char ret[FACT_NAME_BYTES])
{
    static const char *const words[FACT_KIND_COUNT] = {
        [FACT_META] = "meta",          [FACT_SUBJECT] = "subject",
        [FACT_HOLD] = "hold",          [FACT_JOB] = "job",
        [FACT_JTI] = "accepted token", [FACT_CREDENTIAL] = "credential",
        [FACT_FEED] = "feed",          [FACT_POLICY] = "signed",
        [FACT_LIMIT] = "limit",        [FACT_AGENDA] = "agenda"};
    const bool bytes = f->kind == FACT_JOB || f->kind == FACT_JTI;
    must(words[f->kind] != NULL);
    size_t n = (size_t)snprintf(ret, FACT_NAME_BYTES, "%s ", words[f->kind]);
    for (size_t i = 0; i < f->key.n && n + 2 < FACT_NAME_BYTES; i++)
        n += put_key_byte(ret + n, f->key.p[i], bytes);
    ret[n] = 0;
}

int journal_next_record(struct span *records, struct span *ret, struct fail *f)
{
    if (records->n == 0)
        return 0;
    if (!take_sized(records, ret))
        return fail(f, RC_BROKEN, "journal record is cut");
    return 1;
}

void journal_logged_note(struct journal_logged *l, uint64_t input)
{
    if (input > l->row)
        *l = (struct journal_logged){.row = input};
    if (input != 0 && input == l->row && l->records < UINT64_MAX)
        l->records++;
}

int journal_skip_logged(const struct journal_logged *l, uint64_t seq,
                        struct span *records, struct fail *f)
{
    struct span tail;
    for (uint64_t n = 0; seq == l->row && n < l->records; n++) {
        int more = journal_next_record(records, &tail, f);
        if (more <= 0)
            return more;
    }
    return 0;
}
