// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/check.h"

#include <stdlib.h>
#include <string.h>

#include "sidecar/io/jwks.h"
#include "tests/lib/outbound.h"

#define KEY(kid)                                                               \
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"" kid                      \
    "\",\"x\":"                                                                \
    "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}" /* RFC 8037 A.2 */

struct world {
    struct outbound o;
    struct jwks *jwks;
    struct jwks_feed *feed;
    struct config_feed conf;
    const char *body; /* NULL: 500 */
    char *big;
    const char *headers;
    unsigned loads, not_modified, trouble, keys;
    struct jwks_want wants[4];
    unsigned over;
    int rc;
    bool closed;
};

static struct world *the_world;

static void server(void *ctx, const struct responder_req *r,
                   struct responder_conn *c)
{
    struct world *w = ctx;
    w->loads++;
    if (w->body == NULL) {
        responder_reply(c, 500, "", SPAN(""));
    } else if (responder_header(r, "if-none-match").p != NULL) {
        w->not_modified++;
        responder_send(c, SPAN("HTTP/1.1 304 X\r\n\r\n"));
    } else {
        responder_reply(c, 200, w->headers, span_str(w->body));
    }
}

static void on_keys(void *ctx, const struct config_feed *feed, unsigned keys,
                    unsigned skipped)
{
    (void)feed;
    (void)skipped;
    ((struct world *)ctx)->keys = keys;
}

static void on_trouble(void *ctx, const struct config_feed *feed,
                       const struct fail *f, int64_t retry_ms)
{
    (void)feed;
    CHECK(f->rc < 0 && retry_ms > 0);
    ((struct world *)ctx)->trouble++;
}

static void on_over(struct jwks_want *want, int rc)
{
    (void)want;
    the_world->over++;
    the_world->rc = rc;
}

static void world_open(struct world *w)
{
    struct fail f;
    memset(w, 0, sizeof *w);
    the_world = w;
    w->headers = "";
    w->body = "{\"keys\":[" KEY("a") "]}";
    outbound_open(&w->o, server, w);
    struct jwks_conf conf = {.fetch = w->o.fetch,
                             .work = w->o.work,
                             .seed = 1,
                             .ctx = w,
                             .on_keys = on_keys,
                             .on_trouble = on_trouble};
    CHECK_OK(jwks_new(&w->o.loop, &conf, &w->jwks, &f), &f);
    w->conf.trust.allow_http = true;
    for (unsigned i = 0; i < 4; i++)
        w->wants[i].over = on_over;
}

static void add_url(struct world *w)
{
    struct fail f;
    w->conf.jwks_url = outbound_url(&w->o, "/jwks");
    CHECK_OK(jwks_add(w->jwks, &w->conf, 0, &w->feed, &f), &f);
}

static void on_closed(void *ctx)
{
    ((struct world *)ctx)->closed = true;
}

static void world_close(struct world *w)
{
    jwks_close(w->jwks, on_closed, w);
    CHECK(!w->closed);
    OUTBOUND_UNTIL(&w->o, w->closed);
    outbound_close(&w->o);
    free(w->big);
}

static int want(struct world *w, const char *kid)
{
    unsigned before = w->over;
    jwks_want(w->feed, span_str(kid), &w->wants[0]);
    CHECK_UINT(w->over, before);
    OUTBOUND_UNTIL(&w->o, w->over > before);
    return w->rc;
}

static bool have(struct world *w, const char *kid)
{
    struct jws_keys *k = jwks_current(w->feed);
    bool yes = k != NULL && jws_keys_have(k, span_str(kid));
    jws_keys_unref(k);
    return yes;
}

/* 8725-R21: rotation is found by the unknown kid; one load for all who ask; at
 * most one per 30 s; a kid that is not there is remembered. */
static void unknown_kids(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    w.headers = "ETag: \"1\"\r\nCache-Control: max-age=0\r\n";
    add_url(&w);
    CHECK(jwks_current(w.feed) == NULL);
    OUTBOUND_UNTIL(&w.o, w.keys == 1);
    CHECK(have(&w, "a"));
    CHECK_INT(want(&w, "a"), 0);
    CHECK_UINT(w.loads, 1);
    for (unsigned i = 0; i < 3; i++)
        jwks_want(w.feed, SPAN("b"), &w.wants[i]);
    jwks_want(w.feed, SPAN("c"), &w.wants[3]);
    jwks_forget(&w.wants[1]);
    OUTBOUND_UNTIL(&w.o, w.over == 4);
    CHECK_INT(w.rc, 0);
    CHECK_UINT(w.loads, 2);
    CHECK_UINT(w.not_modified, 1);
    CHECK_INT(want(&w, "b"), 0);       /* known to be unknown */
    CHECK_INT(want(&w, "d"), RC_BUSY); /* too soon: temporary */
    char long_kid[400];
    memset(long_kid, 'k', sizeof long_kid - 1);
    long_kid[399] = 0;
    CHECK_INT(want(&w, long_kid), 0); /* T4 */
    CHECK_UINT(w.loads, 2);
    world_close(&w);
}

static void rotation(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    add_url(&w);
    OUTBOUND_UNTIL(&w.o, w.keys == 1);
    w.body = "{\"keys\":[" KEY("b") "," KEY("c") "]}";
    CHECK_INT(want(&w, "b"), 0);
    CHECK(have(&w, "b"));
    CHECK(!have(&w, "a")); /* gone from the set: trusted no more */
    world_close(&w);
}

/* 8725-R22, F12: an outage or a poisoned set keeps the old keys and is a
 * temporary error for unknown kids. */
static void bad_sets(void **state)
{
    (void)state;
    static const struct {
        const char *name, *body;
    } rows[] = {
        {"outage", NULL},
        {"garbage", "<html>"},
        {"empty", "{\"keys\":[]}"},
        {"duplicate kid (T4)", "{\"keys\":[" KEY("x") "," KEY("x") "]}"},
        {"symmetric only",
         "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"x\",\"k\":\"AAAA\"}]}"},
        {"1 MB", ""},
        {"10,000 keys", ""},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world w;
        check_row(rows[i].name);
        world_open(&w);
        add_url(&w);
        OUTBOUND_UNTIL(&w.o, w.keys == 1);
        w.body = rows[i].body;
        if (w.body != NULL && w.body[0] == 0) {
            struct buf b;
            buf_init(&b, mem_system(), 4 * 1024 * 1024);
            buf_put_str(&b, "{\"keys\":[");
            for (unsigned n = 0; n < 10000; n++)
                buf_printf(&b, "%s%s", n > 0 ? "," : "",
                           i == 5 ? KEY("x") : "{\"kty\":\"?\"}");
            buf_put_str(&b, "]}");
            w.body = w.big = strndup((char *)b.p, b.n);
            buf_fini(&b);
        }
        CHECK_INT(want(&w, "b"), RC_UNAVAILABLE);
        CHECK_UINT(w.trouble, 1);
        CHECK(have(&w, "a"));
        world_close(&w);
    }
    check_row(NULL);
}

static void never_loaded(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    w.body = NULL;
    add_url(&w);
    OUTBOUND_UNTIL(&w.o, w.trouble == 1);
    CHECK(jwks_current(w.feed) == NULL);
    CHECK_INT(want(&w, "a"), RC_UNAVAILABLE);
    CHECK_INT(want(&w, "a"), RC_UNAVAILABLE);
    CHECK_UINT(w.loads, 2);
    world_close(&w);
}

static void files(void **state)
{
    (void)state;
    struct world w;
    struct fail f;
    world_open(&w);
    w.conf.jwks_file =
        outbound_file(&w.o, "k", SPAN("{\"keys\":[" KEY("a") "]}"));
    CHECK_OK(jwks_add(w.jwks, &w.conf, 3, &w.feed, &f), &f);
    CHECK(have(&w, "a"));
    (void)outbound_file(&w.o, "k", SPAN("{\"keys\":[" KEY("b") "]}"));
    CHECK_INT(want(&w, "b"), 0);
    CHECK(have(&w, "b"));
    struct config_feed bad = {.jwks_file =
                                  outbound_file(&w.o, "bad", SPAN("{"))};
    struct jwks_feed *k;
    CHECK_INT(jwks_add(w.jwks, &bad, 4, &k, &f), RC_SYNTAX);
    bad.jwks_file = SPAN("/nonexistent/k");
    CHECK_INT(jwks_add(w.jwks, &bad, 4, &k, &f), RC_UNKNOWN_NAME);
    world_close(&w);
}

static void closes_in_flight(void **state)
{
    (void)state;
    for (unsigned turns = 0; turns < 12; turns++) {
        struct world w;
        world_open(&w);
        add_url(&w);
        jwks_want(w.feed, SPAN("a"), &w.wants[0]);
        for (unsigned i = 0; i < turns; i++)
            uv_run(&w.o.loop, UV_RUN_NOWAIT);
        world_close(&w);
        CHECK_UINT(w.over, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_kids), cmocka_unit_test(rotation),
        cmocka_unit_test(bad_sets),     cmocka_unit_test(never_loaded),
        cmocka_unit_test(files),        cmocka_unit_test(closes_in_flight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
