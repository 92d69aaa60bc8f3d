// SPDX-License-Identifier: Apache-2.0
#include "adapters/actions/http.h"

#include "sidecar/base/json_out.h"

#define PAGERDUTY_URL "https://events.pagerduty.com/v2/enqueue"
#define SUMMARY_MAX 1024 /* PagerDuty's limit */

/* --- templates --- */

static bool unreserved(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
           (c >= 'a' && c <= 'z') || c == '-' || c == '.' || c == '_' ||
           c == '~';
}

static void put_percent(struct buf *out, struct span v)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < v.n; i++) {
        if (unreserved(v.p[i])) {
            buf_put_u8(out, v.p[i]);
            continue;
        }
        buf_put_u8(out, '%');
        buf_put_u8(out, (uint8_t)hex[v.p[i] >> 4]);
        buf_put_u8(out, (uint8_t)hex[v.p[i] & 15]);
    }
}

/* As the inside of a JSON string: the writer's quotes are taken off. */
static void put_json(struct buf *out, struct span v)
{
    struct json_out j;
    struct buf quoted;
    buf_init(&quoted, out->mem, HTTP_ACTION_BODY_MAX);
    json_out_init(&j, &quoted);
    json_text(&j, NULL, v);
    out->failed = out->failed || !buf_ok(&quoted) || quoted.n < 2;
    if (!out->failed)
        buf_put(out, span_sub(buf_span(&quoted), 1, quoted.n - 1));
    buf_fini(&quoted);
}

static bool has_control(struct span v)
{
    for (size_t i = 0; i < v.n; i++)
        if (v.p[i] < 0x20 || v.p[i] == 0x7f)
            return true;
    return false;
}

static int put_value(struct buf *out, struct span name, struct span v,
                     enum http_escape how, struct fail *f)
{
    switch (how) {
        case HTTP_IN_URL:
            /* dots are not escapable: a server may walk up the path */
            if (span_eq(v, SPAN(".")) || span_eq(v, SPAN("..")))
                return fail(f, RC_INVALID, "{{%.*s}} is only dots",
                            PRSPAN(name));
            put_percent(out, v);
            break;
        case HTTP_IN_FORM: put_percent(out, v); break;
        case HTTP_IN_JSON: put_json(out, v); break;
        case HTTP_IN_HEADER:
            if (has_control(v))
                return fail(f, RC_INVALID, "{{%.*s}} has control bytes",
                            PRSPAN(name));
            buf_put(out, v);
            break;
        case HTTP_IN_TEXT: buf_put(out, v); break;
    }
    return 0;
}

static struct span value_of(const struct http_vars *vars, struct span name)
{
    for (unsigned i = 0; i < vars->count; i++)
        if (span_eq(vars->at[i].name, name))
            return vars->at[i].value;
    return (struct span){NULL, 0};
}

/* Index of "{{" or "}}" at or after `from`, or s.n. */
static size_t find_pair(struct span s, unsigned char c, size_t from)
{
    for (size_t at = span_find(s, c, from); at + 1 < s.n;
         at = span_find(s, c, at + 1))
        if (s.p[at + 1] == c)
            return at;
    return s.n;
}

int http_expand(struct span text, const struct http_vars *vars,
                enum http_escape how, struct buf *out, struct fail *f)
{
    for (size_t at = 0; at < text.n;) {
        size_t open = find_pair(text, '{', at);
        buf_put(out, span_sub(text, at, open));
        if (open == text.n)
            break;
        size_t close = find_pair(text, '}', open + 2);
        if (close == text.n)
            return fail(f, RC_INVALID, "{{ without }}");
        struct span name = span_trim(span_sub(text, open + 2, close));
        struct span v = value_of(vars, name);
        if (v.p == NULL)
            return fail(f, RC_INVALID, "{{%.*s}} is not known here",
                        PRSPAN(span_sub(name, 0, 64)));
        if (v.n == 0)
            return fail(f, RC_INVALID, "{{%.*s}} is empty",
                        PRSPAN(span_sub(name, 0, 64)));
        TRY(put_value(out, name, v, how, f));
        at = close + 2;
    }
    return buf_ok(out) ? 0 : fail(f, RC_TOO_LARGE, "the request is too large");
}

/* --- the request --- */

static int expand_into(struct mem *m, struct span text,
                       const struct http_action_input *in, enum http_escape how,
                       struct span *ret, struct fail *f)
{
    struct buf out;
    buf_init(&out, m, HTTP_ACTION_BODY_MAX);
    TRY(http_expand(text, &in->vars, how, &out, f));
    *ret = buf_span(&out); /* stays in the arena */
    return 0;
}

/* Where the authority of an absolute URL ends. */
static size_t authority_end(struct span url)
{
    size_t scheme = span_find(url, '/', 0);
    size_t end = url.n;
    for (const char *stop = "/?#"; *stop != 0; stop++) {
        size_t at = span_find(url, (unsigned char)*stop, scheme + 2);
        end = at < end ? at : end;
    }
    return end;
}

static int build_url(struct mem *m, const struct http_action_input *in,
                     struct span text, struct span *ret, struct fail *f)
{
    struct span host = span_sub(text, 0, authority_end(text));
    if (find_pair(host, '{', 0) < host.n)
        return fail(f, RC_INVALID, "a variable may not choose the host");
    TRY(expand_into(m, text, in, HTTP_IN_URL, ret, f));
    if (ret->n > HTTP_ACTION_URL_MAX)
        return fail(f, RC_TOO_LARGE, "a URL of %zu bytes", ret->n);
    return 0;
}

static int add_header(struct http_action_request *r, struct span name,
                      struct span value, struct fail *f)
{
    if (r->header_count == HTTP_ACTION_HEADERS_MAX)
        return fail(f, RC_INVALID, "more than %d headers",
                    HTTP_ACTION_HEADERS_MAX);
    r->headers[r->header_count++] = (struct http_action_header){name, value};
    return 0;
}

static int add_bearer(struct mem *m, const struct http_action_input *in,
                      struct http_action_request *r, struct fail *f)
{
    struct buf b;
    if (in->bearer.n == 0)
        return 0;
    if (has_control(in->bearer))
        return fail(f, RC_INVALID, "the bearer token has control bytes");
    buf_init(&b, m, HTTP_ACTION_BODY_MAX);
    buf_put_str(&b, "Bearer ");
    buf_put(&b, in->bearer);
    if (!buf_ok(&b))
        return fail(f, RC_NO_MEMORY, "no memory for a token");
    return add_header(r, SPAN("Authorization"), buf_span(&b), f);
}

static enum http_escape body_escape(struct span content_type)
{
    if (span_starts(content_type, SPAN("application/x-www-form-urlencoded")))
        return HTTP_IN_FORM;
    if (span_starts(content_type, SPAN("text/plain")))
        return HTTP_IN_TEXT;
    return HTTP_IN_JSON;
}

static int build_plain(struct mem *m, const struct http_action_input *in,
                       struct http_action_request *r, struct fail *f)
{
    const struct policy_action *a = in->action;
    struct span type = a->content_type;
    if (a->body.n == 0)
        return 0;
    if (type.n == 0)
        type = SPAN("application/json");
    TRY(add_header(r, SPAN("Content-Type"), type, f));
    return expand_into(m, a->body, in, body_escape(type), &r->body, f);
}

/* --- presets --- */

static void put_known(struct buf *b, const struct http_action_input *in,
                      const char *before, const char *name)
{
    struct span v = value_of(&in->vars, span_str(name));
    if (v.n == 0)
        return;
    buf_put_str(b, before);
    buf_put(b, v);
}

/* One line that a person understands, from what is known. */
static struct span summary(struct mem *m, const struct http_action_input *in)
{
    struct buf b;
    buf_init(&b, m, HTTP_ACTION_BODY_MAX);
    buf_put_str(&b, "bailiff");
    put_known(&b, in, ": rule ", "rule");
    put_known(&b, in, " on ", "agent.uri");
    put_known(&b, in, ": ", "reason");
    put_known(&b, in, " (event ", "event.type");
    put_known(&b, in, ", jti ", "event.jti");
    if (value_of(&in->vars, SPAN("event.type")).n > 0)
        buf_put_str(&b, ")");
    return buf_ok(&b) ? span_sub(buf_span(&b), 0, SUMMARY_MAX)
                      : SPAN("bailiff");
}

/* Slack's control characters are & < > only. */
static void put_slack(struct buf *out, struct span text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '&')
            buf_put_str(out, "&amp;");
        else if (text.p[i] == '<')
            buf_put_str(out, "&lt;");
        else if (text.p[i] == '>')
            buf_put_str(out, "&gt;");
        else
            buf_put_u8(out, text.p[i]);
    }
}

static void build_slack(struct mem *m, const struct http_action_input *in,
                        struct buf *out)
{
    struct json_out j;
    struct buf text;
    buf_init(&text, m, HTTP_ACTION_BODY_MAX);
    put_slack(&text, summary(m, in));
    json_out_init(&j, out);
    json_open_map(&j, NULL);
    json_text(&j, "text", buf_span(&text));
    json_close_map(&j);
    out->failed = out->failed || !buf_ok(&text);
}

/* Events API v2. */
static void build_pagerduty(struct mem *m, const struct http_action_input *in,
                            struct buf *out)
{
    struct json_out j;
    struct buf details;
    json_out_init(&j, out);
    json_open_map(&j, NULL);
    json_text(&j, "routing_key", in->key);
    json_str(&j, "event_action", "trigger");
    if (in->idempotency_key.n > 0) /* PagerDuty takes 255 characters */
        json_text(&j, "dedup_key", span_sub(in->idempotency_key, 0, 255));
    json_open_map(&j, "payload");
    json_text(&j, "summary", summary(m, in));
    json_str(&j, "source", "bailiff");
    json_str(&j, "severity", "critical");
    buf_init(&details, m, HTTP_ACTION_BODY_MAX);
    struct json_out d;
    json_out_init(&d, &details);
    buf_put_u8(&details, '{');
    for (unsigned i = 0; i < in->vars.count; i++) {
        struct json_out v;
        json_key(&d, in->vars.at[i].name);
        json_out_init(&v, &details);
        json_text(&v, NULL, in->vars.at[i].value);
    }
    buf_put_u8(&details, '}');
    json_raw(&j, "custom_details", buf_span(&details));
    json_close_map(&j);
    json_close_map(&j);
    out->failed = out->failed || !buf_ok(&details);
}

static int build_preset(struct mem *m, const struct http_action_input *in,
                        struct http_action_request *r, struct fail *f)
{
    struct buf out;
    bool slack = span_eq(in->action->preset, SPAN("slack-webhook"));
    if (!slack && !span_eq(in->action->preset, SPAN("pagerduty")))
        return fail(f, RC_INVALID, "no preset %.*s",
                    PRSPAN(in->action->preset));
    if (!slack && in->key.n == 0)
        return fail(f, RC_INVALID, "pagerduty needs a key_file");
    TRY(add_header(r, SPAN("Content-Type"), SPAN("application/json"), f));
    if (in->action->body.n > 0)
        return expand_into(m, in->action->body, in, HTTP_IN_JSON, &r->body, f);
    buf_init(&out, m, HTTP_ACTION_BODY_MAX);
    if (slack)
        build_slack(m, in, &out);
    else
        build_pagerduty(m, in, &out);
    r->body = buf_span(&out);
    return buf_ok(&out) ? 0 : fail(f, RC_TOO_LARGE, "the body is too large");
}

static int choose_url(struct mem *m, const struct http_action_input *in,
                      struct span *ret, struct fail *f)
{
    const struct policy_action *a = in->action;
    if (in->url.n > 0) { /* from a file: no template, a secret as it stands */
        *ret = in->url;
        return 0;
    }
    if (a->url.n > 0)
        return build_url(m, in, a->url, ret, f);
    if (!span_eq(a->preset, SPAN("pagerduty")))
        return fail(f, RC_INVALID, "the action has no URL");
    *ret = SPAN(PAGERDUTY_URL);
    return 0;
}

static int add_own_headers(struct mem *m, const struct http_action_input *in,
                           struct http_action_request *r, struct fail *f)
{
    const struct policy_action *a = in->action;
    for (unsigned i = 0; i < a->header_count; i++) {
        struct span v;
        TRY(expand_into(m, a->headers[i].value, in, HTTP_IN_HEADER, &v, f));
        TRY(add_header(r, a->headers[i].name, v, f));
    }
    return 0;
}

int http_action_build(struct mem *m, const struct http_action_input *in,
                      struct http_action_request *ret, struct fail *f)
{
    const struct policy_action *a = in->action;
    struct span key = in->idempotency_key;
    *ret = (struct http_action_request){
        .method = a->method.n > 0 ? a->method : SPAN("POST")};
    TRY(choose_url(m, in, &ret->url, f));
    int rc = a->preset.n > 0 ? build_preset(m, in, ret, f)
                             : build_plain(m, in, ret, f);
    TRY(rc);
    TRY(add_bearer(m, in, ret, f));
    if (key.n > 0 && !has_control(key))
        TRY(add_header(ret, SPAN("Idempotency-Key"), key, f));
    return add_own_headers(m, in, ret, f);
}

/* --- the answer --- */

const char *action_outcome_word(enum action_outcome o)
{
    switch (o) {
        case ACTION_CONFIRMED: return "confirmed";
        case ACTION_REFUSED: return "refused";
        case ACTION_RETRY: return "retry";
    }
    return "?";
}

static bool listed(const uint16_t *at, unsigned n, unsigned status)
{
    for (unsigned i = 0; i < n; i++)
        if (at[i] == status)
            return true;
    return false;
}

enum action_outcome http_action_judge(const struct policy_action *a,
                                      unsigned status, bool *ret_already)
{
    *ret_already = listed(a->done_already, a->done_already_count, status);
    if (*ret_already || listed(a->success, a->success_count, status) ||
        (a->success_count == 0 && status >= 200 && status < 300))
        return ACTION_CONFIRMED;
    if (status == 408 || status == 425 || status == 429 || status >= 500)
        return ACTION_RETRY;
    return ACTION_REFUSED;
}
