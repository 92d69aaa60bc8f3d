// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/record.h"

#include <string.h>

bool rec_is(struct span s, const char *word)
{
    return span_eq(s, span_str(word));
}

void rec_copy(char *at, size_t room, struct span s)
{
    size_t n = s.n < room - 1 ? s.n : room - 1;
    memcpy(at, s.p, n);
    at[n] = 0;
}

static uint64_t hex(struct span s)
{
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned c = s.p[i];
        v = v << 4 | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return v;
}

static int64_t number(struct span s)
{
    uint64_t v;
    return span_u64(s, &v) ? (int64_t)v : -1;
}

/* One `"key":value` after the other; no text of the world has quotes in it. */
static bool next_member(struct span *rest, struct span *key, struct span *value)
{
    size_t colon = span_find(*rest, ':', 0);
    if (colon >= rest->n)
        return false;
    *key = span_sub(*rest, 1, colon - 1);
    bool quoted = rest->p[colon + 1] == '"';
    size_t from = colon + 1 + quoted;
    size_t to = span_find(*rest, quoted ? '"' : ',', from);
    if (to >= rest->n)
        to = rest->n - 1; /* the closing brace */
    *value = span_sub(*rest, from, to);
    *rest = span_sub(*rest, to + 1 + quoted, rest->n);
    return true;
}

void rec_read(struct span tail, struct rec *r)
{
    struct span key, value;
    *r = (struct rec){.reach = -1, .confirmed = -1};
    const struct {
        const char *key;
        struct span *at;
    } texts[] = {{"kind", &r->kind},     {"agent", &r->agent},
                 {"base", &r->base},     {"event", &r->event},
                 {"jti", &r->jti},       {"rule", &r->rule},
                 {"action", &r->action}, {"hold", &r->hold},
                 {"target", &r->target}, {"outcome", &r->outcome},
                 {"person", &r->person}, {"feed", &r->feed}};
    while (next_member(&tail, &key, &value)) {
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
            if (rec_is(key, texts[i].key))
                *texts[i].at = value;
        if (rec_is(key, "input"))
            r->input = (uint64_t)number(value);
        else if (rec_is(key, "decision_id"))
            r->decision = hex(value);
        else if (rec_is(key, "would"))
            r->would = rec_is(value, "true");
        else if (rec_is(key, "job"))
            r->job = hex(value);
        else if (rec_is(key, "reach"))
            r->reach = number(value);
        else if (rec_is(key, "confirmed"))
            r->confirmed = number(value);
    }
}
