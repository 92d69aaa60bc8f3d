// SPDX-License-Identifier: Apache-2.0
#include "adapters/sources/set.h"

#include <stdarg.h>

#include "adapters/json_doc.h"
#include "adapters/sources/set_internal.h"

#define TIME_S_MAX 253402300799 /* the end of the year 9999 */

const char *set_err_word(enum set_err e)
{
    switch (e) {
        case SET_OK: return "ok";
        case SET_INVALID_REQUEST: return "invalid_request";
        case SET_INVALID_KEY: return "invalid_key";
        case SET_INVALID_ISSUER: return "invalid_issuer";
        case SET_INVALID_AUDIENCE: return "invalid_audience";
        case SET_AUTHENTICATION_FAILED: return "authentication_failed";
        case SET_ACCESS_DENIED: return "access_denied";
        case SET_INVALID_STATE: return "invalid_state";
    }
    return "invalid_request";
}

int set_refuse(struct set_work *w, enum set_err err, const char *fmt, ...)
{
    char text[FAIL_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    w->err = err;
    return fail(w->f, RC_PROTOCOL, "%s", text);
}

int set_no_memory(struct set_work *w)
{
    w->err = SET_OK;
    return fail(w->f, RC_NO_MEMORY, "no memory for an event");
}

bool set_time(const struct doc *d, int64_t *ret_ms)
{
    if (d->kind == DOC_INT) {
        *ret_ms = d->integer * (d->integer <= TIME_S_MAX ? 1000 : 0);
        return d->integer >= 0 && d->integer <= TIME_S_MAX;
    }
    if (d->kind != DOC_REAL || !(d->real >= 0) || !(d->real <= TIME_S_MAX))
        return false;
    *ret_ms = (int64_t)(d->real * 1000 + 0.5);
    return true;
}

/* A required or optional text of at most EVENT_JTI_MAX bytes. */
static int read_text(struct set_work *w, const char *name, bool required,
                     struct span *ret)
{
    const struct doc *d = doc_get(w->claims, span_str(name));
    if (d == NULL && !required)
        return 0;
    if (d == NULL)
        return set_refuse(w, SET_INVALID_REQUEST, "no %s", name);
    if (d->kind != DOC_TEXT || d->text.n == 0 || d->text.n > EVENT_JTI_MAX)
        return set_refuse(w, SET_INVALID_REQUEST,
                          "%s is not a text of 1 to %d bytes", name,
                          EVENT_JTI_MAX);
    *ret = d->text;
    return 0;
}

static int read_time(struct set_work *w, const char *name, bool required,
                     int64_t *ret_ms)
{
    const struct doc *d = doc_get(w->claims, span_str(name));
    *ret_ms = EVENT_TIME_NONE;
    if (d == NULL && !required)
        return 0;
    if (d == NULL)
        return set_refuse(w, SET_INVALID_REQUEST, "no %s", name);
    if (!set_time(d, ret_ms))
        return set_refuse(w, SET_INVALID_REQUEST, "%s is not a NumericDate",
                          name);
    return 0;
}

/* 9967-R2, SSF-R6, R7: neither belongs into a SET; a switch tolerates them,
 * nothing ever uses them (8417-R6). */
static int check_banned(struct set_work *w)
{
    if (!w->rules->allow_sub && doc_get(w->claims, SPAN("sub")) != NULL)
        return set_refuse(w, SET_INVALID_REQUEST, "sub is not allowed");
    if (!w->rules->allow_exp && doc_get(w->claims, SPAN("exp")) != NULL)
        return set_refuse(w, SET_INVALID_REQUEST, "exp is not allowed");
    return 0;
}

static bool is_ours(const struct set_rules *rules, const struct doc *aud)
{
    for (unsigned i = 0; aud->kind == DOC_TEXT && i < rules->audience_count;
         i++)
        if (span_eq(rules->audiences[i], aud->text))
            return true;
    return false;
}

/* 8417-R4, 8725-R11: one match suffices. */
static int check_audience(struct set_work *w)
{
    const struct doc *aud = doc_get(w->claims, SPAN("aud"));
    if (aud == NULL)
        return set_refuse(w, SET_INVALID_AUDIENCE, "no aud");
    if (aud->kind != DOC_TEXT && aud->kind != DOC_LIST)
        return set_refuse(w, SET_INVALID_REQUEST,
                          "aud is neither text nor list");
    bool ours = is_ours(w->rules, aud);
    DOC_EACH (it, aud) {
        if (it->kind != DOC_TEXT)
            return set_refuse(w, SET_INVALID_REQUEST,
                              "aud lists something that is no text");
        ours = ours || is_ours(w->rules, it);
    }
    if (!ours)
        return set_refuse(w, SET_INVALID_AUDIENCE,
                          "aud does not name this receiver");
    return 0;
}

/* 8725-R25: never refused for age, only for being far ahead. */
static int check_times(struct set_work *w)
{
    int64_t ahead =
        w->rules->future_ms > 0 ? w->rules->future_ms : SET_FUTURE_MS_DEFAULT;
    int64_t nbf;
    TRY(read_time(w, "iat", true, &w->event->iat_ms));
    TRY(read_time(w, "toe", false, &w->event->toe_ms));
    TRY(read_time(w, "nbf", false, &nbf));
    if (w->event->iat_ms > w->now_ms + ahead)
        return set_refuse(w, SET_INVALID_REQUEST, "iat is in the future");
    if (nbf > w->now_ms + ahead)
        return set_refuse(w, SET_INVALID_REQUEST, "nbf is in the future");
    return 0;
}

static int check_envelope(struct set_work *w)
{
    TRY(check_banned(w));
    TRY(read_text(w, "iss", true, &w->event->issuer));
    if (!span_eq(w->event->issuer, w->rules->issuer))
        return set_refuse(w, SET_INVALID_ISSUER,
                          "iss is not the issuer of this feed");
    TRY(check_audience(w));
    TRY(check_times(w));
    TRY(read_text(w, "jti", true, &w->event->jti));
    return read_text(w, "txn", false, &w->event->txn);
}

/* The configuration may be replaced while the event lives. */
static int copy_names(struct set_work *w)
{
    struct event *e = w->event;
    e->feed = span_of(mem_copy(w->m, w->rules->feed), w->rules->feed.n);
    e->base = span_of(mem_copy(w->m, w->rules->base), w->rules->base.n);
    return e->feed.p == NULL || e->base.p == NULL ? set_no_memory(w) : 0;
}

static int parse_claims(struct set_work *w, struct span payload)
{
    struct fail why = {0};
    int rc =
        json_doc_parse(w->m, payload, JWS_TOKEN_BYTES_MAX, &w->claims, &why);
    if (rc == RC_NO_MEMORY)
        return set_no_memory(w);
    if (rc < 0)
        return set_refuse(w, SET_INVALID_REQUEST, "payload: %s", why.text);
    if (w->claims->kind != DOC_MAP)
        return set_refuse(w, SET_INVALID_REQUEST,
                          "payload is not a JSON object");
    return jws_sha256(payload, w->event->payload_hash) < 0 ? set_no_memory(w)
                                                           : 0;
}

static int run_claims(struct set_work *w, struct span payload, bool *ret_dirty)
{
    TRY(parse_claims(w, payload));
    TRY(copy_names(w));
    TRY(check_envelope(w));
    TRY(set_read_subject(w));
    int rc = set_read_parts(w);
    if (rc == RC_PROTOCOL) {
        *ret_dirty = w->event->has_subject;
        w->event->part_count = 0;
    }
    return rc;
}

int set_claims(struct mem *m, const struct set_rules *rules,
               struct span payload, int64_t now_ms, struct set_result *ret,
               struct fail *f)
{
    *ret = (struct set_result){.err = SET_OK};
    struct set_work w = {
        .m = m,
        .rules = rules,
        .now_ms = now_ms,
        .event = &ret->event,
        .f = f,
    };
    int rc = run_claims(&w, payload, &ret->dirty);
    ret->err = w.err;
    return rc;
}

/* 8725-R14: a value without a slash has "application/" in front of it, and
 * media types compare without case. */
static bool is_set_type(struct span typ)
{
    return span_ieq(typ, SPAN("secevent+jwt")) ||
           span_ieq(typ, SPAN("application/secevent+jwt"));
}

/* 8417-R5: absent by permission only, another one never (8725-R15). */
static int check_type(const struct set_rules *rules, const struct doc *header,
                      struct fail *f)
{
    const struct doc *typ = doc_get(header, SPAN("typ"));
    if (typ == NULL && rules->allow_untyped)
        return 0;
    if (typ == NULL)
        return fail(f, RC_PROTOCOL, "header has no typ");
    if (typ->kind != DOC_TEXT || !is_set_type(typ->text))
        return fail(f, RC_PROTOCOL, "typ is not secevent+jwt");
    return 0;
}

static enum set_err err_of(enum jws_why why)
{
    switch (why) {
        case JWS_OK: return SET_OK;
        case JWS_MALFORMED:
        case JWS_BAD_HEADER: return SET_INVALID_REQUEST;
        case JWS_BAD_ALG:
        case JWS_NO_KEY:
        case JWS_BAD_SIGNATURE: return SET_INVALID_KEY;
    }
    return SET_INVALID_KEY;
}

int set_accept(struct mem *m, const struct set_rules *rules,
               const struct jws_keys *keys, struct span token, int64_t now_ms,
               struct set_result *ret, struct fail *f)
{
    struct jws found;
    enum jws_why why;
    *ret = (struct set_result){.err = SET_OK};
    int rc = jws_verify(m, keys, rules->algs, token, &found, &why, f);
    ret->err = err_of(why);
    ret->why = why;
    TRY(rc);
    ret->err = SET_INVALID_REQUEST;
    TRY(check_type(rules, found.header, f));
    rc = set_claims(m, rules, found.payload, now_ms, ret, f);
    ret->why = why;
    return rc;
}
