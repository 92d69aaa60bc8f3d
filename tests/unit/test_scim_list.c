// SPDX-License-Identifier: Apache-2.0
/* List reads: what is sent, and what an answer says of whom, also a hostile
 * one: at worst nothing. */
#include "tests/lib/check.h"

#include <string.h>

#include "sidecar/io/scim.h"
#include "sidecar/io/scim_answer.h"
#include "tests/lib/outbound.h"

#define LIST                                                                   \
    "\"schemas\":[\"urn:ietf:params:scim:api:messages:2.0:ListResponse\"]"
#define META "\"meta\":{\"version\":\"W/\\\"1\\\"\"}"
#define ALL(resources)                                                         \
    "{" LIST ",\"totalResults\":9,\"Resources\":[" resources "]}"
#define ONE(id) "{\"id\":\"" id "\"," META ",\"active\":true}"

static const struct span abc[] = {
    {(const unsigned char *)"/Agents/a", 9},
    {(const unsigned char *)"/Agents/b", 9},
    {(const unsigned char *)"/Agents/c", 9},
};

/* ------------------------------------------------------------------- sending
 */

static const struct {
    const char *name, *uris[4], *type, *filter;
} query_rows[] = {
    {"two",
     {"/Agents/a", "/Agents/b"},
     "/Agents",
     "id eq \\\"a\\\" or id eq \\\"b\\\""},
    {"one", {"/Users/x-1.y_z~"}, "/Users", "id eq \\\"x-1.y_z~\\\""},
    {"what would end the string",
     {"/Agents/a\" or id pr or id eq \"", "/Agents/b"},
     "/Agents",
     "id eq \\\"b\\\""},
    {"another type",
     {"/Agents/a", "/Users/b", "/Agents/c"},
     "/Agents",
     "id eq \\\"a\\\" or id eq \\\"c\\\""},
    {"deeper", {"/Agents/a/b", "/Agents/c"}, "/Agents", "id eq \\\"c\\\""},
    {"only bad ones", {"/Agents/\xc3\xa4", "/Agents", ""}, NULL, NULL},
};

static void queries(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(query_rows); i++) {
        struct span uris[4];
        unsigned n = 0;
        struct scim_ids *ids = NULL;
        struct buf out;
        struct fail f;
        char want[256];
        check_row(query_rows[i].name);
        for (; n < 4 && query_rows[i].uris[n] != NULL; n++)
            uris[n] = span_str(query_rows[i].uris[n]);
        int rc = scim_ids_new(mem_system(), uris, n, &ids, &f);
        CHECK_INT(rc, query_rows[i].type == NULL ? RC_INVALID : 0);
        if (rc < 0)
            continue;
        CHECK_UINT(ids->count, n);
        CHECK(span_eq(ids->type, span_str(query_rows[i].type)));
        buf_init(&out, mem_system(), 65536);
        CHECK_OK(scim_search_put(&out, ids, SPAN("active,groups"), &f), &f);
        (void)snprintf(want, sizeof want,
                       "\"attributes\":[\"active\",\"groups\",\"meta\"],"
                       "\"filter\":\"%s\",\"startIndex\":1,\"count\":%u}",
                       query_rows[i].filter, n);
        CHECK(span_ends(buf_span(&out), span_str(want)));
        CHECK(span_starts(buf_span(&out),
                          SPAN("{\"schemas\":[\"urn:ietf:params:scim:api:"
                               "messages:2.0:SearchRequest\"],")));
        buf_clear(&out);
        CHECK_OK(scim_search_put(&out, ids, SPAN("META,active"), &f), &f);
        CHECK(strstr((const char *)buf_span(&out).p,
                     "\"attributes\":[\"META\",\"active\"],") != NULL);
        CHECK_INT(scim_search_put(&out, ids, SPAN("a\"b"), &f), RC_INVALID);
        buf_fini(&out);
        mem_release(mem_system(), ids);
    }
    check_row(NULL);
}

/* ------------------------------------------------------------------ answers */

/* `want`: of a, b and c in turn '+' an answer, '-' none. */
static const struct {
    const char *name, *json;
    int rc;
    const char *want;
    unsigned foreign;
} answer_rows[] = {
    {"all", ALL(ONE("c") "," ONE("a") "," ONE("b")), 0, "+++", 0},
    {"one is left out", ALL(ONE("a") "," ONE("c")), 0, "+-+", 0},
    {"one twice", ALL(ONE("a") "," ONE("b") "," ONE("b")), 0, "+--", 0},
    {"somebody else", ALL(ONE("a") "," ONE("x") "," ONE("A")), 0, "+--", 2},
    {"without id", ALL(ONE("a") ",{" META "},{\"id\":7," META "}"), 0, "+--",
     2},
    {"ID", ALL("{\"ID\":\"a\"," META "}"), 0, "+--", 0},
    {"id and ID", ALL(ONE("b") ",{\"id\":\"a\",\"ID\":\"b\"," META "}"), 0,
     "-+-", 0},
    {"an empty id", ALL(ONE("a") "," ONE("")), 0, "+--", 1},
    {"no resources at all", ALL("7,\"a\",[]"), RC_PROTOCOL, "", 3},
    {"without meta", ALL(ONE("a") ",{\"id\":\"b\",\"active\":true}"), 0, "+--",
     0},
    {"meta is text", ALL(ONE("a") ",{\"id\":\"b\",\"meta\":\"1\"}"), 0, "+--",
     0},
    {"without version", ALL("{\"id\":\"a\",\"meta\":{}}"), 0, "+--", 0},
    {"two names for one thing",
     ALL(ONE("a") ",{\"id\":\"b\"," META ",\"active\":true,\"Active\":false}"),
     0, "+--", 0},
    {"schemas is text",
     ALL(ONE("a") ",{\"id\":\"b\"," META ",\"schemas\":\"x\"}"), 0, "+--", 0},
    {"none of them", ALL(ONE("x")), RC_PROTOCOL, "", 1},
    {"nothing", "{" LIST ",\"totalResults\":0}", RC_PROTOCOL, "", 0},
    {"an empty page", ALL(""), RC_PROTOCOL, "", 0},
    {"more than asked for",
     ALL(ONE("a") "," ONE("b") "," ONE("c") "," ONE("d")), RC_TOO_LARGE, "", 0},
    {"Resources is a map", "{" LIST ",\"Resources\":{\"a\":" ONE("a") "}}",
     RC_PROTOCOL, "", 0},
    {"Resources and resources",
     "{" LIST ",\"Resources\":[" ONE("a") "],\"resources\":[]}", RC_PROTOCOL,
     "", 0},
    {"resources", "{" LIST ",\"resources\":[" ONE("a") "]}", 0, "+--", 0},
    {"no schema", "{\"Resources\":[" ONE("a") "]}", RC_PROTOCOL, "", 0},
    {"another schema",
     "{\"schemas\":[\"urn:ietf:params:scim:api:messages:2.0:Error\"],"
     "\"Resources\":[" ONE("a") "]}",
     RC_PROTOCOL, "", 0},
    {"the resource itself", ONE("a"), RC_PROTOCOL, "", 0},
    {"a bare list", "[" ONE("a") "]", RC_PROTOCOL, "", 0},
    {"cut off", "{" LIST ",\"Resources\":[" ONE("a"), RC_SYNTAX, "", 0},
    {"not JSON", "<html>", RC_SYNTAX, "", 0},
};

static void answers(void **state)
{
    (void)state;
    struct scim_ids *ids;
    struct fail f;
    CHECK_OK(scim_ids_new(mem_system(), abc, 3, &ids, &f), &f);
    for (size_t i = 0; i < COUNT_OF(answer_rows); i++) {
        struct arena a;
        struct scim_listed got[3];
        unsigned foreign = 0;
        check_row(answer_rows[i].name);
        arena_init(&a, mem_system(), 1 << 20);
        CHECK_INT(scim_list_parse(&a.mem, span_str(answer_rows[i].json), ids,
                                  got, &foreign, &f),
                  answer_rows[i].rc);
        for (unsigned k = 0; k < strlen(answer_rows[i].want); k++) {
            CHECK_INT(got[k].doc != NULL, answer_rows[i].want[k] == '+');
            CHECK(got[k].doc != NULL || got[k].etag.n == 0);
            CHECK(got[k].doc == NULL ||
                  span_ends(abc[k], doc_iget(got[k].doc, SPAN("id"))->text));
        }
        CHECK_UINT(foreign, answer_rows[i].foreign);
        arena_fini(&a);
    }
    check_row(NULL);
    mem_release(mem_system(), ids);
}

/* ------------------------------------------------------------------ the wire
 */

struct reply {
    unsigned status; /* 0: silence */
    const char *headers, *body;
};

struct world {
    struct outbound o;
    struct scim *scim;
    struct config_feed feed;
    struct reply one, list;
    char head[1024], body[1024];
    unsigned requests;
    unsigned done;
    int rc;
    char found[4], etags[3][16];
};

static void server(void *ctx, const struct responder_req *r,
                   struct responder_conn *c)
{
    struct world *w = ctx;
    const struct reply *a =
        span_ends(r->target, SPAN("/.search")) ? &w->list : &w->one;
    w->requests++;
    (void)snprintf(w->head, sizeof w->head, "%.*s", PRSPAN(r->head));
    (void)snprintf(w->body, sizeof w->body, "%.*s", PRSPAN(r->body));
    if (a->status != 0)
        responder_reply(c, a->status, a->headers, span_str(a->body));
}

static void on_done(void *ctx, struct scim_result *r)
{
    struct world *w = ctx;
    w->done++;
    w->rc = r->rc;
    w->found[0] = '\0';
    for (unsigned i = 0; i < 3 && r->listed != NULL && r->rc == 0; i++) {
        w->found[i] = r->listed[i].doc != NULL ? '+' : '-';
        w->found[i + 1] = '\0';
        (void)snprintf(w->etags[i], sizeof w->etags[i], "%.*s",
                       PRSPAN(r->listed[i].etag));
    }
}

static void world_open(struct world *w)
{
    memset(w, 0, sizeof *w);
    outbound_open(&w->o, server, w);
    w->scim = outbound_scim(&w->o, &w->feed);
}

static void on_closed(void *ctx)
{
    *(bool *)ctx = true;
}

static void world_close(struct world *w)
{
    bool closed = false;
    scim_close(w->scim, on_closed, &closed);
    OUTBOUND_UNTIL(&w->o, closed);
    outbound_close(&w->o);
}

static void read_it(struct world *w, const struct scim_req *req)
{
    struct fail f;
    unsigned before = w->done;
    CHECK_OK(scim_read(w->scim, req, on_done, w, NULL, &f), &f);
    OUTBOUND_UNTIL(&w->o, w->done > before);
}

static void read_list(struct world *w, uint32_t timeout_ms)
{
    const struct scim_req req = {.uris = abc,
                                 .uri_count = 3,
                                 .attributes = SPAN("active"),
                                 .timeout_ms = timeout_ms};
    read_it(w, &req);
}

static void read_one(struct world *w)
{
    const struct scim_req req = {.uri = abc[0],
                                 .attributes = SPAN("active"),
                                 .timeout_ms = OUTBOUND_PATIENCE_MS};
    read_it(w, &req);
}

static void request(void **state)
{
    (void)state;
    struct world w;
    struct scim_stats s;
    world_open(&w);
    w.list = (struct reply){200, "ETag: \"of the list\"\r\n",
                            ALL(ONE("a") "," ONE("c") "," ONE("x"))};
    read_list(&w, OUTBOUND_PATIENCE_MS);
    CHECK_INT(w.rc, 0);
    CHECK_STR(w.found, "+-+");
    CHECK(strstr(w.head, "POST /v2/Agents/.search HTTP/1.1\r\n") != NULL);
    CHECK(strstr(w.head, "Content-Type: application/scim+json\r\n") != NULL);
    CHECK(strstr(w.head, "Cache-Control: no-cache\r\n") != NULL);
    CHECK(strstr(w.body, "id eq \\\"a\\\" or id eq \\\"b\\\"") != NULL);
    scim_stats_get(w.scim, &s);
    CHECK_UINT(s.started, 1);
    CHECK_UINT(s.lists, 1);
    CHECK_UINT(s.foreign, 1);
    world_close(&w);
}

/* No status but 200 says anything, and nobody is asked about it again. */
static const struct {
    const char *name;
    struct reply reply;
    int rc;
} status_rows[] = {
    {"400", {400, "", ""}, RC_REFUSED},
    {"403", {403, "", ""}, RC_REFUSED},
    {"404", {404, "", ""}, RC_REFUSED},
    {"410", {410, "", ""}, RC_REFUSED},
    {"413", {413, "", ""}, RC_REFUSED},
    {"429", {429, "", ""}, RC_UNAVAILABLE},
    {"501", {501, "", ""}, RC_UNAVAILABLE},
    {"201", {201, "", ALL(ONE("a"))}, RC_PROTOCOL},
    {"304", {304, "", ""}, RC_PROTOCOL},
    {"308", {308, "Location: http://evil/\r\n", ""}, RC_PROTOCOL},
    {"from a cache", {200, "Age: 3\r\n", ALL(ONE("a"))}, RC_PROTOCOL},
    {"too much", {200, "", ALL(ONE("a"))}, RC_TOO_LARGE},
    {"silence", {0, "", ""}, RC_TIMEOUT},
};

static void statuses(void **state)
{
    (void)state;
    const size_t much = SCIM_BODY_BYTES_MAX + 1;
    char *spaces = mem_alloc(mem_system(), much + 1);
    memset(spaces, ' ', much);
    for (size_t i = 0; i < COUNT_OF(status_rows); i++) {
        struct world w;
        struct scim_stats s;
        check_row(status_rows[i].name);
        world_open(&w);
        w.list = status_rows[i].reply;
        if (status_rows[i].rc == RC_TOO_LARGE)
            w.list.body = spaces;
        read_list(&w, w.list.status == 0 ? 1000 : OUTBOUND_PATIENCE_MS);
        CHECK_INT(w.rc, status_rows[i].rc);
        CHECK_STR(w.found, "");
        CHECK_UINT(w.requests, 1);
        scim_stats_get(w.scim, &s);
        CHECK_UINT(s.lists_failed, 1);
        world_close(&w);
    }
    check_row(NULL);
    mem_release(mem_system(), spaces);
}

#define AGENT(meta) "{\"id\":\"a\"," meta "\"active\":true}"
#define VERSION(v) "\"meta\":{\"version\":\"W/\\\"" v "\\\"\"},"

/* Single reads before the list, and whether its versions count. */
static const struct {
    const char *name;
    struct reply before[2];
    bool count;
} version_rows[] = {
    {"nobody was read alone", {{0, "", ""}}, false},
    {"the same", {{200, "ETag: W/\"7\"\r\n", AGENT(VERSION("7"))}}, true},
    {"weak and strong", {{200, "ETag: \"7\"\r\n", AGENT(VERSION("7"))}}, true},
    {"meta.version only", {{200, "", AGENT(VERSION("7"))}}, true},
    {"another", {{200, "ETag: \"7\"\r\n", AGENT(VERSION("8"))}}, false},
    {"ETag only", {{200, "ETag: \"7\"\r\n", AGENT("")}}, false},
    {"neither", {{200, "", AGENT("")}}, false},
    {"another once",
     {{200, "ETag: \"7\"\r\n", AGENT(VERSION("8"))},
      {200, "ETag: \"7\"\r\n", AGENT(VERSION("7"))}},
     false},
    {"another at last",
     {{200, "ETag: \"7\"\r\n", AGENT(VERSION("7"))},
      {200, "ETag: \"7\"\r\n", AGENT(VERSION("8"))}},
     false},
};

static void versions(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(version_rows); i++) {
        struct world w;
        check_row(version_rows[i].name);
        world_open(&w);
        for (unsigned k = 0; k < 2; k++) {
            w.one = version_rows[i].before[k];
            if (w.one.status == 0)
                break;
            read_one(&w);
            CHECK_INT(w.rc, 0);
        }
        w.list = (struct reply){200, "",
                                ALL(ONE("a") ",{\"id\":\"b\",\"meta\":{}}")};
        read_list(&w, OUTBOUND_PATIENCE_MS);
        CHECK_STR(w.found, "++-");
        CHECK_STR(w.etags[0], version_rows[i].count ? "W/\"1\"" : "");
        CHECK_STR(w.etags[1], "");
        world_close(&w);
    }
    check_row(NULL);
}

/* The budget counts a list as one; closing ends it like others. */
static void budget(void **state)
{
    (void)state;
    struct world w;
    struct scim_stats s;
    const struct scim_req req = {
        .uris = abc, .uri_count = 3, .timeout_ms = OUTBOUND_PATIENCE_MS};
    world_open(&w);
    w.feed.scim_concurrency = 2;
    for (unsigned i = 0; i < 5; i++)
        CHECK_OK(scim_read(w.scim, &req, on_done, &w, NULL, NULL), NULL);
    OUTBOUND_UNTIL(&w.o, w.requests == 2);
    outbound_run(&w.o, 100);
    scim_stats_get(w.scim, &s);
    CHECK_UINT(s.running, 2);
    CHECK_UINT(s.waiting, 3);
    CHECK_UINT(w.requests, 2);
    world_close(&w);
    CHECK_UINT(w.done, 5);
    CHECK_INT(w.rc, RC_CANCELLED);
}

static void not_startable(void **state)
{
    (void)state;
    struct world w;
    const struct span bad = SPAN("/Agents/a b");
    const struct scim_req req = {
        .uris = &bad, .uri_count = 1, .timeout_ms = OUTBOUND_PATIENCE_MS};
    struct fail f;
    world_open(&w);
    CHECK_INT(scim_read(w.scim, &req, on_done, &w, NULL, &f), RC_INVALID);
    world_close(&w);
    CHECK_UINT(w.done, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queries),       cmocka_unit_test(answers),
        cmocka_unit_test(request),       cmocka_unit_test(statuses),
        cmocka_unit_test(versions),      cmocka_unit_test(budget),
        cmocka_unit_test(not_startable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
