// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/check.h"

#include <string.h>

#include "adapters/json_doc.h"
#include "sidecar/io/http_action.h"
#include "tests/lib/outbound.h"

#define T(s)                                                                   \
    {                                                                          \
        (const unsigned char *)(s), sizeof(s) - 1                              \
    }
static const struct http_var vars_at[] = {
    {T("agent.id"), T("7")},
    {T("agent.uri"), T("/Agents/7")},
    {T("event.jti"), T("j\"1\\\n")},
    {T("runtime.pod"), T("a/../b?c#d")},
    {T("dots"), T("..")},
    {T("empty"), T("")},
    {T("rule"), T("stop")},
    {T("reason"), T("<deactivated> & gone")},
};
#undef T
static const struct http_vars vars = {vars_at, COUNT_OF(vars_at)};

static void templates(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        enum http_escape how;
        int rc;
        const char *want;
    } rows[] = {
        {"/pods/{{runtime.pod}}/x", HTTP_IN_URL, 0,
         "/pods/a%2F..%2Fb%3Fc%23d/x"},
        {"/a{{ agent.uri }}", HTTP_IN_URL, 0, "/a%2FAgents%2F7"},
        {"{\"j\":\"{{event.jti}}\"}", HTTP_IN_JSON, 0,
         "{\"j\":\"j\\\"1\\\\\\n\"}"},
        {"{{agent.id}}{{agent.id}}", HTTP_IN_TEXT, 0, "77"},
        {"a={{agent.uri}}", HTTP_IN_FORM, 0, "a=%2FAgents%2F7"},
        {"{not} a {{agent.id}} }}", HTTP_IN_TEXT, 0, "{not} a 7 }}"},
        {"{{event.jti}}", HTTP_IN_HEADER, RC_INVALID, ""},
        {"/x/{{dots}}/y", HTTP_IN_URL, RC_INVALID, ""},
        {"{{empty}}", HTTP_IN_TEXT, RC_INVALID, ""},
        {"{{nobody}}", HTTP_IN_TEXT, RC_INVALID, ""},
        {"{{agent.id", HTTP_IN_TEXT, RC_INVALID, ""},
        {"{{}}", HTTP_IN_TEXT, RC_INVALID, ""},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf b;
        check_row(rows[i].in);
        buf_init(&b, mem_system(), 1024);
        CHECK_INT(
            http_expand(span_str(rows[i].in), &vars, rows[i].how, &b, NULL),
            rows[i].rc);
        if (rows[i].rc == 0)
            CHECK_SPAN(buf_span(&b), span_str(rows[i].want));
        buf_fini(&b);
    }
    check_row(NULL);
    struct buf small;
    buf_init(&small, mem_system(), 4);
    CHECK_INT(
        http_expand(SPAN("{{agent.uri}}"), &vars, HTTP_IN_TEXT, &small, NULL),
        RC_TOO_LARGE);
    buf_fini(&small);
}

static void hosts_are_fixed(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "https://{{agent.id}}.example/",
        "{{agent.uri}}/x",
        "https://h:{{agent.id}}/",
        "https://h{{agent.id}}?x",
        "",
    };
    for (size_t i = 0; i < COUNT_OF(urls); i++) {
        struct arena a;
        struct http_action_request r;
        struct policy_action action = {.url = span_str(urls[i])};
        struct http_action_input in = {.action = &action, .vars = vars};
        check_row(urls[i]);
        arena_init(&a, mem_system(), 1024 * 1024);
        CHECK_INT(http_action_build(&a.mem, &in, &r, NULL), RC_INVALID);
        arena_fini(&a);
    }
    check_row(NULL);
}

static void presets(void **state)
{
    (void)state;
    struct arena a;
    struct http_action_request r;
    struct fail f;
    const struct doc *d;
    struct policy_action action = {.preset = SPAN("pagerduty")};
    struct http_action_input in = {
        .action = &action, .vars = vars, .idempotency_key = SPAN("j:r:a:t")};
    arena_init(&a, mem_system(), 1024 * 1024);
    CHECK_INT(http_action_build(&a.mem, &in, &r, NULL), RC_INVALID);
    in.key = SPAN("k1");
    CHECK_OK(http_action_build(&a.mem, &in, &r, &f), &f);
    CHECK_SPAN(r.url, SPAN("https://events.pagerduty.com/v2/enqueue"));
    CHECK_OK(json_doc_parse(&a.mem, r.body, 65536, &d, &f), &f);
    CHECK_SPAN(doc_text(d, SPAN("routing_key")), SPAN("k1"));
    CHECK_SPAN(doc_text(d, SPAN("event_action")), SPAN("trigger"));
    CHECK_SPAN(doc_text(d, SPAN("dedup_key")), SPAN("j:r:a:t"));
    const struct doc *payload = doc_get(d, SPAN("payload"));
    CHECK_SPAN(doc_text(payload, SPAN("severity")), SPAN("critical"));
    CHECK_SPAN(
        doc_text(doc_get(payload, SPAN("custom_details")), SPAN("agent.uri")),
        SPAN("/Agents/7"));
    action.preset = SPAN("slack-webhook");
    in.url = SPAN("https://hooks.slack.example/T/B/s");
    CHECK_OK(http_action_build(&a.mem, &in, &r, &f), &f);
    CHECK_SPAN(r.url, in.url);
    CHECK_OK(json_doc_parse(&a.mem, r.body, 65536, &d, &f), &f);
    CHECK_SPAN(doc_text(d, SPAN("text")),
               SPAN("bailiff: rule stop on /Agents/7: &lt;deactivated&gt; "
                    "&amp; gone, jti j\"1\\\n"));
    arena_fini(&a);
}

struct world {
    struct outbound o;
    const char *raw;
    char head[1024], body[512];
    struct http_action_result last;
    unsigned done;
};

static void server(void *ctx, const struct responder_req *r,
                   struct responder_conn *c)
{
    struct world *w = ctx;
    (void)snprintf(w->head, sizeof w->head, "%.*s", PRSPAN(r->head));
    (void)snprintf(w->body, sizeof w->body, "%.*s", PRSPAN(r->body));
    responder_send(c, span_str(w->raw));
}

static void on_done(void *ctx, const struct http_action_result *r)
{
    struct world *w = ctx;
    w->done++;
    w->last = *r;
}

static void outcomes(void **state)
{
    (void)state;
    static const struct {
        const char *raw;
        enum action_outcome want;
        bool already;
        int64_t retry_after;
    } rows[] = {
        {"HTTP/1.1 204 X\r\n\r\n", ACTION_CONFIRMED, false, -1},
        {"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n", ACTION_CONFIRMED, true,
         -1},
        {"HTTP/1.1 403 X\r\nContent-Length: 0\r\n\r\n", ACTION_REFUSED, false,
         -1},
        {"HTTP/1.1 302 X\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
         ACTION_REFUSED, false, -1},
        {"HTTP/1.1 429 X\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n",
         ACTION_RETRY, false, 3000},
        {"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n", ACTION_RETRY, false,
         -1},
        {"", ACTION_RETRY, false, -1},
    };
    struct world w;
    struct fail f;
    memset(&w, 0, sizeof w);
    outbound_open(&w.o, server, &w);
    struct policy_action a = {
        .name = SPAN("stop-pod"),
        .method = SPAN("DELETE"),
        .url = outbound_url(&w.o, "/pods/{{agent.id}}"),
        .headers = {{SPAN("X-Agent"), SPAN("{{agent.uri}}")}},
        .header_count = 1,
        .done_already = {404, 410},
        .done_already_count = 2,
    };
    a.bearer_file = outbound_file(&w.o, "bearer", SPAN("tok\n"));
    struct http_action_req req = {.action = &a,
                                  .vars = vars,
                                  .idempotency_key = SPAN("k:1"),
                                  .timeout_ms = OUTBOUND_PATIENCE_MS,
                                  .allow_http = true};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        check_row(rows[i].raw);
        w.raw = rows[i].raw;
        if (w.raw[0] == 0)
            req.timeout_ms = 1000;
        CHECK_OK(http_action_start(w.o.fetch, &req, on_done, &w, NULL, &f), &f);
        CHECK_UINT(w.done, i);
        OUTBOUND_UNTIL(&w.o, w.done == i + 1);
        CHECK_INT(w.last.outcome, rows[i].want);
        CHECK_INT(w.last.already, rows[i].already);
        CHECK_INT(w.last.retry_after_ms, rows[i].retry_after);
        CHECK(strstr(w.head, "DELETE /pods/7 HTTP/1.1\r\n") != NULL);
        CHECK(strstr(w.head, "Authorization: Bearer tok\r\n") != NULL);
        CHECK(strstr(w.head, "X-Agent: /Agents/7\r\n") != NULL);
        CHECK(strstr(w.head, "Idempotency-Key: k:1\r\n") != NULL);
    }
    check_row(NULL);
    struct http_action_call *c;
    CHECK_OK(http_action_start(w.o.fetch, &req, on_done, &w, &c, &f), &f);
    http_action_cancel(c);
    CHECK_UINT(w.done, COUNT_OF(rows));
    OUTBOUND_UNTIL(&w.o, w.done == COUNT_OF(rows) + 1);
    CHECK_INT(w.last.outcome, ACTION_RETRY);
    CHECK_INT(w.last.fail.rc, RC_CANCELLED);
    a.url = SPAN("https://h/{{nobody}}");
    CHECK_INT(http_action_start(w.o.fetch, &req, on_done, &w, NULL, &f),
              RC_INVALID);
    CHECK_STR(f.text, "{{nobody}} is not known here");
    outbound_close(&w.o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(templates),
        cmocka_unit_test(hosts_are_fixed),
        cmocka_unit_test(presets),
        cmocka_unit_test(outcomes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
