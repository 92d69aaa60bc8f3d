// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/check.h"

#include <string.h>

#include "sidecar/io/scim.h"
#include "sidecar/io/scim_answer.h"
#include "tests/lib/outbound.h"

struct world {
    struct outbound o;
    struct scim *scim;
    struct config_feed feed;
    const char *raw;       /* the answer; NULL: silence */
    const char *probe_raw; /* to ServiceProviderConfig */
    char head[1024];
    char authorization[128];
    unsigned running, running_max, requests;
    struct responder_conn *slow[16];
    unsigned slow_n;
    bool slowly;
    bool need_token; /* 401 unless the bearer is "good" */

    struct scim_result last;
    char etag[64];
    bool active;
    unsigned done;
    bool closed;
};

static void server(void *ctx, const struct responder_req *r,
                   struct responder_conn *c)
{
    struct world *w = ctx;
    if (span_ends(r->target, SPAN("/ServiceProviderConfig"))) {
        responder_send(c, span_str(w->probe_raw));
        return;
    }
    w->requests++;
    (void)snprintf(w->head, sizeof w->head, "%.*s", PRSPAN(r->head));
    if (w->need_token &&
        !span_eq(responder_header(r, "authorization"), SPAN("Bearer good"))) {
        (void)outbound_file(&w->o, "token", SPAN("good\n"));
        responder_reply(c, 401, "WWW-Authenticate: Bearer\r\n", SPAN(""));
        return;
    }
    if (w->slowly)
        w->slow[w->slow_n++] = c;
    else if (w->raw != NULL)
        responder_send(c, span_str(w->raw));
}

static void on_done(void *ctx, struct scim_result *r)
{
    struct world *w = ctx;
    w->done++;
    w->last = *r;
    (void)snprintf(w->etag, sizeof w->etag, "%.*s", PRSPAN(r->etag));
    w->active = false;
    if (r->found)
        w->active = doc_get(r->doc, SPAN("active"))->truth;
}

static void world_open(struct world *w)
{
    memset(w, 0, sizeof *w);
    outbound_open(&w->o, server, w);
    w->scim = outbound_scim(&w->o, &w->feed);
}

static void on_closed(void *ctx)
{
    ((struct world *)ctx)->closed = true;
}

static void world_close(struct world *w)
{
    scim_close(w->scim, on_closed, w);
    CHECK(!w->closed);
    OUTBOUND_UNTIL(&w->o, w->closed);
    outbound_close(&w->o);
}

#define PATIENCE_MS OUTBOUND_PATIENCE_MS

static struct scim_req request(const char *uri, const char *etag,
                               uint32_t timeout_ms)
{
    return (struct scim_req){.uri = span_str(uri),
                             .etag = span_str(etag),
                             .attributes = SPAN("active,groups"),
                             .timeout_ms = timeout_ms};
}

static void read_one(struct world *w, const struct scim_req *req)
{
    struct fail f;
    unsigned before = w->done;
    CHECK_OK(scim_read(w->scim, req, on_done, w, NULL, &f), &f);
    CHECK_INT(w->done, before);
    OUTBOUND_UNTIL(&w->o, w->done > before);
}

#define OK_JSON "HTTP/1.1 200 OK\r\nContent-Type: application/scim+json\r\n"
#define AGENT "{\"id\":\"7\",\"schemas\":[],\"active\":true}"
#define LEN_AGENT "Content-Length: 37\r\n\r\n"

static const struct {
    const char *name, *etag, *raw, *probe;
    int rc;
    bool found, gone, same;
    const char *want_etag;
} answer_rows[] = {
    {"found", "", OK_JSON "ETag: \"c9\"\r\n" LEN_AGENT AGENT, "", 0, true,
     false, false, "W/\"c9\""},
    {"weak etag", "W/\"c8\"", OK_JSON "ETag: W/\"c9\"\r\n" LEN_AGENT AGENT, "",
     0, true, false, false, "W/\"c9\""},
    {"meta.version", "",
     OK_JSON "Content-Length: 53\r\n\r\n"
             "{\"id\":\"7\",\"meta\":{\"version\":\"W/"
             "\\\"1\\\"\"},\"active\":true}",
     "", 0, true, false, false, "W/\"1\""},
    {"not modified", "W/\"c9\"", "HTTP/1.1 304 X\r\nETag: W/\"c9\"\r\n\r\n", "",
     0, false, false, true, "W/\"c9\""},
    {"304 to nothing", "", "HTTP/1.1 304 X\r\n\r\n", "", RC_PROTOCOL, false,
     false, false, ""},
    {"gone", "", "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n",
     OK_JSON "Content-Length: 2\r\n\r\n{}", 0, false, true, false, ""},
    {"410", "", "HTTP/1.1 410 X\r\nContent-Length: 0\r\n\r\n",
     OK_JSON "Content-Length: 2\r\n\r\n{}", 0, false, true, false, ""},
    {"404 from a dead server", "",
     "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n",
     "HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n", RC_UNAVAILABLE, false,
     false, false, ""},
    {"404 for everything", "", "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n",
     "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n", RC_UNAVAILABLE, false,
     false, false, ""},
    {"wrong id (7644-R24)", "",
     OK_JSON "Content-Length: 24\r\n\r\n"
             "{\"id\":\"8\",\"active\":true}",
     "", RC_PROTOCOL, false, false, false, ""},
    {"active and Active (7643 2.1)", "",
     OK_JSON "Content-Length: 39\r\n\r\n"
             "{\"id\":\"7\",\"active\":true,\"Active\":false}",
     "", RC_PROTOCOL, false, false, false, ""},
    {"the same, deeper", "",
     OK_JSON
     "Content-Length: 59\r\n\r\n"
     "{\"id\":\"7\",\"active\":true,\"groups\":[1,{\"value\":2,\"VALUE\":3}]}",
     "", RC_PROTOCOL, false, false, false, ""},
    {"no id", "", OK_JSON "Content-Length: 2\r\n\r\n{}", "", RC_PROTOCOL, false,
     false, false, ""},
    {"numeric id", "", OK_JSON "Content-Length: 8\r\n\r\n{\"id\":7}", "",
     RC_PROTOCOL, false, false, false, ""},
    {"garbage", "", OK_JSON "Content-Length: 4\r\n\r\n\x01\x02{{", "",
     RC_SYNTAX, false, false, false, ""},
    {"from a cache (7644-R22)", "", OK_JSON "Age: 3\r\n" LEN_AGENT AGENT, "",
     RC_PROTOCOL, false, false, false, ""},
    {"age 0", "", OK_JSON "Age: 0\r\n" LEN_AGENT AGENT, "", 0, true, false,
     false, ""},
    {"gzip (T9)", "", OK_JSON "Content-Encoding: gzip\r\n" LEN_AGENT AGENT, "",
     RC_PROTOCOL, false, false, false, ""},
    {"302 (F9)", "",
     "HTTP/1.1 302 X\r\nLocation: http://evil/\r\n"
     "Content-Length: 0\r\n\r\n",
     "", RC_PROTOCOL, false, false, false, ""},
    {"308", "",
     "HTTP/1.1 308 X\r\nLocation: http://evil/\r\n"
     "Content-Length: 0\r\n\r\n",
     "", RC_PROTOCOL, false, false, false, ""},
    {"401 (7644-R4)", "", "HTTP/1.1 401 X\r\nContent-Length: 0\r\n\r\n", "",
     RC_REFUSED, false, false, false, ""},
    {"403 (7644-R4)", "", "HTTP/1.1 403 X\r\nContent-Length: 0\r\n\r\n", "",
     RC_REFUSED, false, false, false, ""},
    {"500", "", "HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n", "",
     RC_UNAVAILABLE, false, false, false, ""},
    {"huge (7644-R26)", "", OK_JSON "Content-Length: 1048577\r\n\r\n", "",
     RC_TOO_LARGE, false, false, false, ""},
    {"silence", "", NULL, "", RC_TIMEOUT, false, false, false, ""},
};

static void answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(answer_rows); i++) {
        struct world w;
        check_row(answer_rows[i].name);
        world_open(&w);
        char *fill = NULL;
        w.raw = answer_rows[i].raw;
        w.probe_raw = answer_rows[i].probe;
        if (answer_rows[i].rc ==
            RC_TOO_LARGE) { /* the head, and then the bytes */
            fill = (char *)mem_alloc(mem_system(), 1048577 + 200);
            strcat(fill, w.raw);
            memset(fill + strlen(fill), 'x', 1048577);
            w.raw = fill;
        }
        struct scim_req req =
            request("/Agents/7", answer_rows[i].etag,
                    answer_rows[i].raw == NULL ? 1000 : PATIENCE_MS);
        read_one(&w, &req);
        if (w.last.rc != answer_rows[i].rc)
            print_message("%s\n", w.last.fail.text);
        CHECK_INT(w.last.rc, answer_rows[i].rc);
        CHECK_INT(w.last.found, answer_rows[i].found);
        CHECK_INT(w.last.gone, answer_rows[i].gone);
        CHECK_INT(w.last.not_modified, answer_rows[i].same);
        if (w.last.rc == 0)
            CHECK_STR(w.etag, answer_rows[i].want_etag);
        if (w.last.found)
            CHECK(w.active);
        CHECK_INT(strstr(w.head, "If-None-Match") != NULL,
                  answer_rows[i].etag[0] != 0);
        world_close(&w);
        mem_release(mem_system(), fill);
    }
    check_row(NULL);
}

static void many_members(void **state)
{
    struct buf b;
    const struct doc *d;
    struct fail f;
    (void)state;
    for (unsigned n = SCIM_MEMBERS_MAX - 1; n <= SCIM_MEMBERS_MAX; n++) {
        struct arena a;
        arena_init(&a, mem_system(), 1 << 20);
        buf_init(&b, mem_system(), 1 << 20);
        buf_put_str(&b, "{\"id\":\"7\"");
        for (unsigned i = 0; i < n; i++)
            buf_printf(&b, ",\"m%u\":[[{\"x\":{}}],[]]", i);
        buf_put_str(&b, "}");
        CHECK_INT(scim_answer_parse(&a.mem, buf_span(&b), SPAN("7"), &d, &f),
                  n < SCIM_MEMBERS_MAX ? 0 : RC_TOO_LARGE);
        buf_fini(&b);
        arena_fini(&a);
    }
}

static void request_line(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    w.raw = OK_JSON LEN_AGENT AGENT;
    struct scim_req req = request("/Agents/7", "", PATIENCE_MS);
    read_one(&w, &req);
    CHECK(strstr(w.head,
                 "GET /v2/Agents/7?attributes=active,groups,meta "
                 "HTTP/1.1\r\n") != NULL);
    CHECK(strstr(w.head, "Cache-Control: no-cache\r\n") != NULL);
    CHECK(strstr(w.head, "Accept: application/scim+json") != NULL);
    static const char *const bad[] = {
        "",
        "/",
        "Agents/7",
        "/Agents",
        "/Agents/",
        "//evil/x",
        "/Agents/..",
        "/../x/y",
        "/Agents/7?x=1",
        "/Agents/7#",
        "/Agents/%2e%2e",
        "/A/7\\",
        "/Agents/7 8",
        "http://evil/x",
        "/Agents/7\r\nX: y",
        "/Agents/.",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) { /* T7 */
        check_row(bad[i]);
        req = request(bad[i], "", 2000);
        CHECK_INT(scim_read(w.scim, &req, on_done, &w, NULL, NULL), RC_INVALID);
    }
    check_row(NULL);
    req = request("/Agents/7", "", 2000);
    req.attributes = SPAN("a&filter=x");
    CHECK_INT(scim_read(w.scim, &req, on_done, &w, NULL, NULL), RC_INVALID);
    world_close(&w);
}

/* 401: the bearer file is read again, once. */
static void token_again(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    w.need_token = true;
    w.raw = OK_JSON LEN_AGENT AGENT;
    w.feed.scim_auth.kind = AUTH_BEARER_FILE;
    w.feed.scim_auth.bearer_file = outbound_file(&w.o, "token", SPAN("old\n"));
    struct scim_req req = request("/Agents/7", "", PATIENCE_MS);
    read_one(&w, &req);
    CHECK_INT(w.last.rc, 0);
    CHECK_INT(w.requests, 2);
    read_one(&w, &req);
    CHECK_INT(w.requests, 3);
    world_close(&w);
}

/* At most scim_concurrency at a time, first come first served; those who wait
 * too long time out; 429 holds back the rest. */
static void budget(void **state)
{
    (void)state;
    struct world w;
    struct scim_stats s;
    struct scim_call *calls[6];
    world_open(&w);
    w.feed.scim_concurrency = 2;
    w.feed.scim_rate_per_s = 1000;
    w.slowly = true;
    struct scim_req req = request("/Agents/7", "", 2000);
    for (unsigned i = 0; i < 6; i++)
        CHECK_OK(scim_read(w.scim, &req, on_done, &w, &calls[i], NULL), NULL);
    OUTBOUND_UNTIL(&w.o, w.slow_n == 2);
    outbound_run(&w.o, 100);
    CHECK_INT(w.slow_n, 2);
    scim_stats_get(w.scim, &s);
    CHECK_INT(s.running, 2);
    CHECK_INT(s.waiting, 4);
    scim_cancel(calls[5]);
    CHECK_INT(w.done, 0);
    OUTBOUND_UNTIL(&w.o, w.done == 1);
    CHECK_INT(w.last.rc, RC_CANCELLED);
    responder_send(w.slow[0], SPAN(OK_JSON LEN_AGENT AGENT));
    OUTBOUND_UNTIL(&w.o, w.done == 2);
    CHECK_INT(w.last.rc, 0);
    OUTBOUND_UNTIL(&w.o, w.done == 6);
    CHECK_INT(w.last.rc, RC_TIMEOUT);
    world_close(&w);
}

static void rate(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    w.feed.scim_concurrency = 1;
    w.feed.scim_rate_per_s = 20;
    w.raw = OK_JSON LEN_AGENT AGENT;
    struct scim_req req = request("/Agents/7", "", PATIENCE_MS);
    uint64_t start = uv_hrtime();
    for (unsigned i = 0; i < 11; i++)
        CHECK_OK(scim_read(w.scim, &req, on_done, &w, NULL, NULL), NULL);
    OUTBOUND_UNTIL(&w.o, w.done == 11);
    uint64_t ms = (uv_hrtime() - start) / 1000000;
    CHECK(ms >= 240); /* ten gaps of 25 to 75 ms */
    world_close(&w);
}

/* Closing answers everybody: waiting, reading, parsing. */
static void closes(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    w.raw = OK_JSON LEN_AGENT AGENT;
    struct scim_req req = request("/Agents/7", "", PATIENCE_MS);
    for (unsigned i = 0; i < 40; i++)
        CHECK_OK(scim_read(w.scim, &req, on_done, &w, NULL, NULL), NULL);
    for (unsigned i = 0; i < 12; i++)
        uv_run(&w.o.loop, UV_RUN_NOWAIT);
    world_close(&w);
    CHECK_INT(w.done, 40);
}

static void queue_limit(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    struct scim_req req = request("/Agents/7", "", PATIENCE_MS);
    for (unsigned i = 0; i < SCIM_QUEUE_MAX; i++)
        CHECK_OK(scim_read(w.scim, &req, on_done, &w, NULL, NULL), NULL);
    CHECK_INT(scim_read(w.scim, &req, on_done, &w, NULL, NULL), RC_LIMIT);
    world_close(&w);
    CHECK_INT(w.done, SCIM_QUEUE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers),      cmocka_unit_test(many_members),
        cmocka_unit_test(request_line), cmocka_unit_test(token_again),
        cmocka_unit_test(budget),       cmocka_unit_test(rate),
        cmocka_unit_test(closes),       cmocka_unit_test(queue_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
