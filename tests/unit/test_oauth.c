// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/check.h"

#include <stdlib.h>
#include <string.h>

#include "adapters/json_doc.h"
#include "adapters/jws.h"
#include "sidecar/io/oauth.h"
#include "tests/lib/outbound.h"

#define WANTS 8

struct world {
    struct outbound o;
    const char *raw;
    unsigned tokens; /* given out by the server */
    unsigned life_s; /* expires_in; 0: left out */
    char body[8192], authorization[256];
    struct config_auth auth;
    struct config_trust trust;
    struct oauth_want wants[WANTS];
    unsigned got;
    int rc;
    char header[256];
    uint64_t token;
    struct revoke_result revoked;
    unsigned revokes;
};

static void server(void *ctx, const struct responder_req *r,
                   struct responder_conn *c)
{
    struct world *w = ctx;
    char text[256];
    (void)snprintf(w->body, sizeof w->body, "%.*s", PRSPAN(r->body));
    (void)snprintf(w->authorization, sizeof w->authorization, "%.*s",
                   PRSPAN(responder_header(r, "authorization")));
    if (w->raw != NULL) {
        responder_send(c, span_str(w->raw));
        return;
    }
    (void)snprintf(text, sizeof text,
                   "{\"access_token\":\"t%u\",\"token_type\":\"bEARER\","
                   "\"expires_in\":%u,\"x\":1}",
                   ++w->tokens, w->life_s);
    responder_reply(c, 200, "", span_str(text));
}

static struct world *the_world; /* wants have no context of their own */

static void on_got(struct oauth_want *want, int rc, struct span header,
                   const struct fail *f)
{
    struct world *w = the_world;
    w->got++;
    w->rc = rc;
    w->token = want->token;
    CHECK_INT(f->rc == 0 || rc != 0, 1);
    (void)snprintf(w->header, sizeof w->header, "%.*s", PRSPAN(header));
}

static void world_open(struct world *w)
{
    memset(w, 0, sizeof *w);
    the_world = w;
    outbound_open(&w->o, server, w);
    w->trust.allow_http = true;
    w->life_s = 600;
    w->auth.client_id = SPAN("client 1");
    for (unsigned i = 0; i < WANTS; i++) {
        w->wants[i].auth = &w->auth;
        w->wants[i].trust = &w->trust;
        w->wants[i].got = on_got;
    }
}

static void use_grant(struct world *w)
{
    w->auth.kind = AUTH_CLIENT_SECRET;
    w->auth.client_secret_file =
        outbound_file(&w->o, "secret", SPAN("p:a&ss\n"));
    w->auth.token_url = outbound_url(&w->o, "/token");
    w->auth.scope = SPAN("scim.read ssf");
    w->auth.resource = SPAN("https://scim/v2");
}

static void ask(struct world *w)
{
    unsigned before = w->got;
    oauth_authorize(w->o.oauth, &w->wants[0]);
    CHECK_INT(w->got, before); /* never inside */
    OUTBOUND_UNTIL(&w->o, w->got > before);
}

static void local_kinds(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    ask(&w);
    CHECK_INT(w.rc, 0);
    CHECK_STR(w.header, "");
    outbound_close(&w.o);
    world_open(&w);
    w.auth.kind = AUTH_BASIC;
    w.auth.user = SPAN("u");
    w.auth.password_file = outbound_file(&w.o, "pw", SPAN("p\n"));
    ask(&w);
    CHECK_STR(w.header, "Basic dTpw");
    outbound_close(&w.o);
    world_open(&w);
    w.auth.kind = AUTH_BEARER_FILE;
    w.auth.bearer_file = outbound_file(&w.o, "token", SPAN("abc\n"));
    ask(&w);
    CHECK_STR(w.header, "Bearer abc");
    (void)outbound_file(&w.o, "token", SPAN("def\n"));
    ask(&w);
    CHECK_STR(w.header, "Bearer abc"); /* read again only after a 401 */
    oauth_rejected(w.o.oauth, &w.auth, w.token);
    ask(&w);
    CHECK_STR(w.header, "Bearer def");
    (void)outbound_file(&w.o, "token", SPAN("a\r\nX: y\n"));
    oauth_rejected(w.o.oauth, &w.auth, w.token);
    ask(&w);
    CHECK_INT(w.rc, RC_CONFIG);
    CHECK_STR(w.header, "");
    outbound_close(&w.o);
}

/* One grant for many; 6749-R2 and R3; a rejected token is fetched again once.
 */
static void grant(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    use_grant(&w);
    for (unsigned i = 0; i < WANTS; i++)
        oauth_authorize(w.o.oauth, &w.wants[i]);
    oauth_forget(&w.wants[3]);
    OUTBOUND_UNTIL(&w.o, w.got == WANTS - 1);
    CHECK_INT(w.rc, 0);
    CHECK_STR(w.header, "Bearer t1");
    CHECK_INT(w.tokens, 1);
    CHECK_STR(w.body,
              "grant_type=client_credentials&scope=scim.read%20ssf&"
              "resource=https%3A%2F%2Fscim%2Fv2");
    /* base64("client%201:p%3Aa%26ss") */
    CHECK_STR(w.authorization, "Basic Y2xpZW50JTIwMTpwJTNBYSUyNnNz");
    uint64_t first = w.token;
    oauth_rejected(w.o.oauth, &w.auth, first);
    ask(&w);
    CHECK_STR(w.header, "Bearer t2");
    oauth_rejected(w.o.oauth, &w.auth, first); /* late: t2 stays */
    ask(&w);
    CHECK_STR(w.header, "Bearer t2");
    outbound_close(&w.o);
}

/* One life of a token; false when it was over before the second question. */
static bool is_renewed(void)
{
    struct world w;
    world_open(&w);
    use_grant(&w);
    w.life_s = 1;
    ask(&w);
    outbound_run(&w.o, 850);
    ask(&w);
    const bool in_time = strcmp(w.header, "Bearer t1") == 0;
    OUTBOUND_UNTIL(&w.o, w.tokens >= 2);
    outbound_run(&w.o, 20);
    ask(&w);
    if (in_time)
        CHECK_STR(w.header, "Bearer t2");
    outbound_close(&w.o);
    return in_time;
}

/* At 80 % of its life a token is renewed in the background: whoever asks then
 * gets the old one. A busy machine may be late, but not always. */
static void renewal(void **state)
{
    (void)state;
    bool renewed = false;
    for (unsigned i = 0; i < 30 && !renewed; i++)
        renewed = is_renewed();
    CHECK(renewed);
}

static void grant_failures(void **state)
{
    (void)state;
    static const struct {
        const char *name, *raw;
        int rc;
    } rows[] = {
        {"invalid_client",
         "HTTP/1.1 401 X\r\nContent-Length: 26\r\n\r\n"
         "{\"error\":\"invalid_client\"}",
         RC_REFUSED},
        {"503", "HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n", RC_UNAVAILABLE},
        {"redirect (T25)",
         "HTTP/1.1 302 X\r\nLocation: http://evil/\r\n"
         "Content-Length: 0\r\n\r\n",
         RC_REFUSED},
        {"garbage", "HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\n[]",
         RC_PROTOCOL},
        {"no token",
         "HTTP/1.1 200 X\r\nContent-Length: 23\r\n\r\n"
         "{\"token_type\":\"bearer\"} ",
         RC_PROTOCOL},
        {"MAC",
         "HTTP/1.1 200 X\r\nContent-Length: 39\r\n\r\n"
         "{\"access_token\":\"t\",\"token_type\":\"mac\"}",
         RC_PROTOCOL},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world w;
        check_row(rows[i].name);
        world_open(&w);
        use_grant(&w);
        w.raw = rows[i].raw;
        ask(&w);
        CHECK_INT(w.rc, rows[i].rc);
        unsigned sent = responder_requests(w.o.peer);
        ask(&w); /* the server is left alone for a moment */
        CHECK_INT(w.rc, rows[i].rc);
        CHECK_UINT(responder_requests(w.o.peer), sent);
        outbound_close(&w.o);
    }
    check_row(NULL);
}

static void on_revoked(void *ctx, const struct revoke_result *r)
{
    struct world *w = ctx;
    w->revokes++;
    w->revoked = *r;
}

/* 7009-R3 to R5, F10. */
static void revocation(void **state)
{
    (void)state;
    static const struct {
        const char *name, *raw;
        enum revoke_outcome want;
        int64_t retry_after;
    } rows[] = {
        {"200", "HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n", REVOKE_CONFIRMED,
         -1},
        {"unsupported",
         "HTTP/1.1 400 X\r\nContent-Length: 34\r\n\r\n"
         "{\"error\":\"unsupported_token_type\"}",
         REVOKE_UNSUPPORTED, -1},
        {"503", "HTTP/1.1 503 X\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n",
         REVOKE_RETRY, 7000},
        {"429", "HTTP/1.1 429 X\r\nContent-Length: 0\r\n\r\n", REVOKE_RETRY,
         -1},
        {"401",
         "HTTP/1.1 401 X\r\nContent-Length: 26\r\n\r\n"
         "{\"error\":\"invalid_client\"}",
         REVOKE_REFUSED, -1},
        {"400", "HTTP/1.1 400 X\r\nContent-Length: 1\r\n\r\n<", REVOKE_REFUSED,
         -1},
        {"redirect",
         "HTTP/1.1 307 X\r\nLocation: http://evil/\r\n"
         "Content-Length: 0\r\n\r\n",
         REVOKE_REFUSED, -1},
        {"silence", "", REVOKE_RETRY, -1},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world w;
        struct fail f;
        check_row(rows[i].name);
        world_open(&w);
        use_grant(&w);
        struct config_auth_server s = {
            .issuer = SPAN("https://as"), .auth = w.auth, .trust = w.trust};
        s.revocation_url = outbound_url(&w.o, "/revoke");
        w.raw = rows[i].raw;
        struct revoke_req req = {
            .server = &s,
            .token = SPAN("a+b/c="),
            .hint = SPAN("access_token"),
            .timeout_ms = rows[i].raw[0] == 0 ? 1000 : OUTBOUND_PATIENCE_MS};
        CHECK_OK(oauth_revoke(w.o.oauth, &req, on_revoked, &w, &f), &f);
        CHECK_INT(w.revokes, 0);
        OUTBOUND_UNTIL(&w.o, w.revokes == 1);
        CHECK_INT(w.revoked.outcome, rows[i].want);
        CHECK_INT(w.revoked.retry_after_ms, rows[i].retry_after);
        CHECK_STR(w.body, "token=a%2Bb%2Fc%3D&token_type_hint=access_token");
        CHECK(strstr(w.revoked.fail.text, "a+b") == NULL); /* 7009-R9 */
        if (rows[i].raw[0] == 0) { /* closing while one is in flight */
            CHECK_OK(oauth_revoke(w.o.oauth, &req, on_revoked, &w, &f), &f);
            outbound_close(&w.o);
            CHECK_INT(w.revokes, 2);
            CHECK_INT(w.revoked.outcome, REVOKE_RETRY);
            continue;
        }
        outbound_close(&w.o);
    }
    check_row(NULL);
}

/* private_key_jwt: aud is the issuer, every attempt has its own jti. */
static void assertions(void **state)
{
    (void)state;
    struct world w;
    struct fail f;
    char pem[4096] = "", first[8192];
    world_open(&w);
    FILE *p = popen(
        "openssl genpkey -algorithm EC -pkeyopt "
        "ec_paramgen_curve:P-256 2>/dev/null",
        "r");
    CHECK(p != NULL && fread(pem, 1, sizeof pem - 1, p) > 0);
    CHECK_INT(pclose(p), 0);
    struct config_auth_server s = {.issuer = SPAN("https://as.example"),
                                   .trust = w.trust};
    s.auth = (struct config_auth){.kind = AUTH_PRIVATE_KEY_JWT,
                                  .client_id = SPAN("sidecar"),
                                  .alg = SPAN("ES256"),
                                  .kid = SPAN("k1")};
    s.auth.private_key_file = outbound_file(&w.o, "key", span_str(pem));
    s.revocation_url = outbound_url(&w.o, "/revoke");
    w.raw = "HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n";
    struct revoke_req req = {.server = &s, .token = SPAN("t")};
    for (unsigned i = 1; i <= 2; i++) {
        CHECK_OK(oauth_revoke(w.o.oauth, &req, on_revoked, &w, &f), &f);
        OUTBOUND_UNTIL(&w.o, w.revokes == i);
        CHECK_INT(w.revoked.outcome, REVOKE_CONFIRMED);
        CHECK_STR(w.authorization, ""); /* 6749-R1 */
        const char *jwt = strstr(w.body, "client_assertion=");
        CHECK(jwt != NULL);
        struct arena a;
        const struct doc *header, *payload;
        arena_init(&a, mem_system(), 65536);
        CHECK_OK(jws_decode_unverified(&a.mem, span_str(jwt + 17), &header,
                                       &payload, &f),
                 &f);
        CHECK_SPAN(doc_text(payload, SPAN("aud")), SPAN("https://as.example"));
        CHECK_SPAN(doc_text(payload, SPAN("sub")), SPAN("sidecar"));
        struct span jti = doc_text(payload, SPAN("jti"));
        CHECK_UINT(jti.n, 32);
        if (i == 2) /* 7523-R3 */
            CHECK(!span_eq(jti, span_str(first)));
        (void)snprintf(first, sizeof first, "%.*s", PRSPAN(jti));
        arena_fini(&a);
    }
    outbound_close(&w.o);
}

/* Closing answers who waits. */
static void closing(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    use_grant(&w);
    w.raw = "";
    oauth_authorize(w.o.oauth, &w.wants[0]);
    outbound_run(&w.o, 50);
    CHECK_INT(w.got, 0);
    oauth_authorize(w.o.oauth, &w.wants[1]);
    outbound_close(&w.o);
    CHECK_INT(w.got, 2);
    CHECK_INT(w.rc, RC_CANCELLED);
}

static void reset(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    use_grant(&w);
    ask(&w);
    oauth_reset(w.o.oauth);
    ask(&w);
    CHECK_STR(w.header, "Bearer t2");
    w.raw = "";
    oauth_authorize(w.o.oauth, &w.wants[0]);
    oauth_forget(&w.wants[0]);
    oauth_reset(w.o.oauth);
    outbound_close(&w.o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(local_kinds), cmocka_unit_test(grant),
        cmocka_unit_test(renewal),     cmocka_unit_test(grant_failures),
        cmocka_unit_test(revocation),  cmocka_unit_test(assertions),
        cmocka_unit_test(closing),     cmocka_unit_test(reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
