// SPDX-License-Identifier: Apache-2.0
#include "sidecar/history_record.h"

#include <stdio.h>

#include "sidecar/base/json_out.h"
#include "sidecar/base/time_text.h"

static bool is(const struct doc *record, const char *key, const char *value)
{
    return span_eq(doc_text(record, span_str(key)), span_str(value));
}

uint64_t record_decision(const struct doc *record)
{
    struct span hex = doc_text(record, SPAN("decision_id"));
    uint64_t v = 0;
    for (size_t i = 0; i < hex.n && i < 16; i++) {
        unsigned c = hex.p[i];
        if (c >= '0' && c <= '9')
            v = v << 4 | (c - '0');
        else if (c >= 'a' && c <= 'f')
            v = v << 4 | (c - 'a' + 10);
        else
            return 0;
    }
    return v;
}

/* ---- effects ---- */

static bool hold_effect(const struct doc *record, struct effect *ret)
{
    const bool set = is(record, "outcome", "set");
    if (!set && !is(record, "outcome", "lifted"))
        return false;
    (void)snprintf(ret->words, sizeof ret->words, "%s %.*s",
                   set ? "hold" : "lift",
                   PRSPAN(doc_text(record, SPAN("hold"))));
    return true;
}

/* Whether something was there to be reached is no matter of policy. */
static bool job_effect(const struct doc *record, struct effect *ret)
{
    if (!is(record, "outcome", "started") &&
        !is(record, "outcome", "nothing_registered"))
        return false;
    (void)snprintf(ret->words, sizeof ret->words, "%.*s",
                   PRSPAN(doc_text(record, SPAN("action"))));
    return true;
}

bool effect_of_record(const struct doc *record, struct effect *ret)
{
    if (!is(record, "kind", "action") || doc_get(record, SPAN("would")) != NULL)
        return false;
    ret->uri = doc_text(record, SPAN("agent"));
    ret->rule = doc_text(record, SPAN("rule"));
    ret->jti = doc_text(record, SPAN("jti"));
    if (is(record, "action", "hold"))
        return hold_effect(record, ret);
    return ret->rule.n > 0 && job_effect(record, ret);
}

/* ---- entries ---- */

static void open_entry(struct json_out *j, const struct doc *record,
                       const char *kind, struct buf *out)
{
    int64_t at = 0;
    (void)time_parse(doc_text(record, SPAN("time")), &at);
    json_out_init(j, out);
    json_open_map(j, NULL);
    json_i64(j, "t", at);
    json_str(j, "kind", kind);
}

static void put_member(struct json_out *j, const struct doc *record,
                       const char *key, const char *as)
{
    struct span value = doc_text(record, span_str(key));
    if (value.n > 0)
        json_text(j, as, value);
}

static void close_entry(struct json_out *j, struct buf *out)
{
    json_close_map(j);
    buf_put_u8(out, '\n');
}

static void put_question(const struct doc *record, struct buf *out)
{
    static const char *const keys[] = {"base",    "tool",   "run", "caller",
                                       "outcome", "reason", "rule"};
    struct json_out j;
    open_entry(&j, record, "question", out);
    json_u64(&j, "n", record_decision(record));
    put_member(&j, record, "agent", "uri");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        put_member(&j, record, keys[i], keys[i]);
    close_entry(&j, out);
}

static void put_read(const struct doc *record, struct buf *out)
{
    struct json_out j;
    if (!is(record, "outcome", "failed") &&
        !is(record, "outcome", "no_such_agent"))
        return; /* the journal has the others, with what they found */
    open_entry(&j, record, "read", out);
    put_member(&j, record, "base", "base");
    put_member(&j, record, "agent", "uri");
    put_member(&j, record, "outcome", "result");
    close_entry(&j, out);
}

static void put_feed(const struct doc *record, struct buf *out)
{
    struct json_out j;
    open_entry(&j, record, "feed", out);
    put_member(&j, record, "feed", "feed");
    put_member(&j, record, "outcome", "sign");
    close_entry(&j, out);
}

static void put_effect(const struct doc *record, struct buf *out)
{
    struct effect e;
    struct json_out j;
    if (!effect_of_record(record, &e))
        return;
    open_entry(&j, record, "effect", out);
    put_member(&j, record, "base", "base");
    json_text(&j, "uri", e.uri);
    json_text(&j, "rule", e.rule);
    json_str(&j, "effect", e.words);
    json_text(&j, "jti", e.jti);
    close_entry(&j, out);
}

static const char *kind_of(struct span uri)
{
    return span_starts(uri, SPAN("/Users/"))    ? "user"
           : span_starts(uri, SPAN("/Groups/")) ? "group"
                                                : "agent";
}

/* The log does not say what a statement changed: anything may have. */
static void put_event(const struct doc *record, struct buf *out)
{
    struct json_out j;
    if (!is(record, "outcome", "accepted") ||
        doc_text(record, SPAN("agent")).n == 0)
        return;
    open_entry(&j, record, "event", out);
    put_member(&j, record, "feed", "feed");
    put_member(&j, record, "jti", "jti");
    put_member(&j, record, "base", "base");
    put_member(&j, record, "agent", "uri");
    json_str(&j, "subject_kind", kind_of(doc_text(record, SPAN("agent"))));
    json_bool(&j, "cut", true);
    json_open_list(&j, "parts");
    json_open_map(&j, NULL);
    put_member(&j, record, "event", "type");
    json_bool(&j, "anything", true);
    json_close_map(&j);
    json_close_list(&j);
    close_entry(&j, out);
}

void history_put_record(const struct doc *record, bool events, struct buf *out)
{
    if (events && is(record, "kind", "event"))
        put_event(record, out);
    else if (is(record, "kind", "gate"))
        put_question(record, out);
    else if (is(record, "kind", "read"))
        put_read(record, out);
    else if (is(record, "kind", "feed"))
        put_feed(record, out);
    else if (is(record, "kind", "action"))
        put_effect(record, out);
}
