// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "adapters/jwt.h"
#include "tests/lib/token.h"

#include <cmocka.h> /* last: it defines a macro named fail */

static const struct client_assertion sample = {
    .client_id = {(const unsigned char *)"agent-sidecar-eu", 16},
    .audience = {(const unsigned char *)"https://as.corp.example", 23},
    .jti = {(const unsigned char *)"c0b1f6c0", 8},
    .now_ms = INT64_C(1790000000999),
    .kid = {(const unsigned char *)"sidecar-1", 9},
};

static int sign(const char *kind, struct client_assertion a, struct buf *out)
{
    struct buf pem;
    struct fail f = {0};
    EVP_PKEY *pkey = token_key_new(kind);
    buf_init(&pem, mem_system(), 65536);
    token_private_pem(pkey, &pem);
    a.key_pem = buf_span(&pem);
    int rc = client_assertion_sign(&a, out, &f);
    assert_true(rc == 0 || f.text[0] != 0);
    buf_fini(&pem);
    EVP_PKEY_free(pkey);
    return rc;
}

/* What was signed is read back by the strict verifier. */
static void check_signed(const char *kind, enum jws_alg alg)
{
    struct buf pem, out;
    struct jws_keys *k = NULL;
    struct fail f = {0};
    struct arena arena;
    struct client_assertion a = sample;
    EVP_PKEY *pkey = token_key_new(kind);
    arena_init(&arena, mem_system(), 1024 * 1024);
    buf_init(&pem, mem_system(), 65536);
    buf_init(&out, mem_system(), 65536);
    token_private_pem(pkey, &pem);
    a.key_pem = buf_span(&pem);
    a.alg = alg;
    assert_int_equal(client_assertion_sign(&a, &out, &f), 0);
    buf_clear(&pem);
    token_public_pem(pkey, &pem);
    assert_int_equal(jws_keys_from_pem(buf_span(&pem), sample.kid, alg, &k, &f),
                     0);
    struct jws found;
    enum jws_why why;
    int rc = jws_verify(&arena.mem, k, alg, buf_span(&out), &found, &why, &f);
    if (rc < 0)
        fail_msg("%s: %s", kind, f.text);
    assert_true(span_eq(doc_text(found.header, SPAN("typ")),
                        SPAN("client-authentication+jwt")));
    assert_true(span_eq(found.kid, sample.kid));
    assert_true(
        span_eq(found.payload,
                SPAN("{\"aud\":\"https://as.corp.example\",\"exp\":1790000060,"
                     "\"iat\":1790000000,\"iss\":\"agent-sidecar-eu\","
                     "\"jti\":\"c0b1f6c0\",\"sub\":\"agent-sidecar-eu\"}")));
    jws_keys_unref(k);
    buf_fini(&pem);
    buf_fini(&out);
    arena_fini(&arena);
    EVP_PKEY_free(pkey);
}

/* 7523-R1, R2. */
static void signs_with_rsa(void **state)
{
    (void)state;
    check_signed("RSA-2048", JWS_RS256);
}

static void signs_with_ec(void **state)
{
    (void)state;
    check_signed("P-256", JWS_ES256);
}

static void refuses_keys_and_texts(void **state)
{
    (void)state;
    static const struct {
        const char *kind;
        enum jws_alg alg;
        int rc;
    } keys[] = {
        {"RSA-1024", JWS_RS256, RC_UNTRUSTED},
        {"P-384", JWS_ES256, RC_UNTRUSTED},
        {"RSA-2048", JWS_ES256, RC_UNTRUSTED},
        {"P-256", JWS_RS256, RC_UNTRUSTED},
        {"P-384", JWS_ES384, RC_INVALID},
        {"Ed25519", JWS_EDDSA, RC_INVALID},
    };
    static char nul[] = "a\0b", huge[CLIENT_ASSERTION_TEXT_MAX + 1];
    memset(huge, 'x', sizeof huge);
    struct buf out;
    buf_init(&out, mem_system(), 65536);
    struct client_assertion a = sample;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        a.alg = keys[i].alg;
        assert_int_equal(sign(keys[i].kind, a, &out), keys[i].rc);
    }
    const struct span bad[] = {SPAN(""), span_of(nul, 3), SPAN("\xff"),
                               span_of(huge, sizeof huge)};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        a = sample;
        a.alg = JWS_ES256;
        a.client_id = bad[i];
        assert_int_equal(sign("P-256", a, &out), RC_INVALID);
        a = sample;
        a.alg = JWS_ES256;
        a.jti = bad[i];
        assert_int_equal(sign("P-256", a, &out), RC_INVALID);
    }
    assert_int_equal(out.n, 0);
    a.key_pem = SPAN("junk");
    assert_int_equal(client_assertion_sign(&a, &out, NULL), RC_SYNTAX);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_with_rsa),
        cmocka_unit_test(signs_with_ec),
        cmocka_unit_test(refuses_keys_and_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
