// SPDX-License-Identifier: Apache-2.0
/* What the tests of signatures share: one key of each kind, made once, a set
 * of them all, and tokens signed with them. */
#ifndef TESTS_UNIT_JWS_CASE_H
#define TESTS_UNIT_JWS_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/bn.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

#include "adapters/jws.h"
#include "sidecar/base/fail.h"
#include "tests/lib/token.h"

#include <cmocka.h> /* last: it defines a macro named fail */

#define PAYLOAD "{\"iss\":\"https://i.example\",\"n\":1}"

static struct {
    EVP_PKEY *rsa, *weak, *p256, *p384, *p521, *ed, *stranger;
} made;

static struct buf text, jwks;
static struct arena arena;

static inline int make_keys(void **state)
{
    (void)state;
    made.rsa = token_key_new("RSA-2048");
    made.weak = token_key_new("RSA-1024");
    made.p256 = token_key_new("P-256");
    made.p384 = token_key_new("P-384");
    made.p521 = token_key_new("P-521");
    made.ed = token_key_new("Ed25519");
    made.stranger = token_key_new("P-256");
    buf_init(&text, mem_system(), 1024 * 1024);
    buf_init(&jwks, mem_system(), 1024 * 1024);
    arena_init(&arena, mem_system(), 64 * 1024 * 1024);
    return 0;
}

static inline int drop_keys(void **state)
{
    (void)state;
    EVP_PKEY_free(made.rsa);
    EVP_PKEY_free(made.weak);
    EVP_PKEY_free(made.p256);
    EVP_PKEY_free(made.p384);
    EVP_PKEY_free(made.p521);
    EVP_PKEY_free(made.ed);
    EVP_PKEY_free(made.stranger);
    buf_fini(&text);
    buf_fini(&jwks);
    arena_fini(&arena);
    return 0;
}

/* The set that most tests use: one key per algorithm. */
static inline struct jws_keys *all_keys(void)
{
    struct jws_keys *k = NULL;
    struct fail f = {0};
    unsigned skipped = 99;
    buf_clear(&jwks);
    buf_put_str(&jwks, "{\"keys\":[");
    token_jwk(made.rsa, ",\"kid\":\"r\",\"alg\":\"RS256\",\"use\":\"sig\"",
              &jwks);
    buf_put_str(&jwks, ",");
    token_jwk(made.p256, ",\"kid\":\"e\",\"key_ops\":[\"verify\"]", &jwks);
    buf_put_str(&jwks, ",");
    token_jwk(made.p384, ",\"kid\":\"e3\",\"alg\":\"ES384\"", &jwks);
    buf_put_str(&jwks, ",");
    token_jwk(made.ed, ",\"kid\":\"ed\",\"alg\":\"Ed25519\"", &jwks);
    buf_put_str(&jwks, "]}");
    int rc = jws_keys_from_json(buf_span(&jwks), &k, &skipped, &f);
    if (rc < 0)
        fail_msg("%s", f.text);
    assert_int_equal(skipped, 0);
    assert_int_equal(jws_keys_count(k), 4);
    return k;
}

static inline enum jws_why why_of(const struct jws_keys *k, unsigned allowed,
                                  struct span token)
{
    struct jws found;
    struct fail f = {0};
    enum jws_why why = JWS_OK;
    arena_clear(&arena);
    int rc = jws_verify(&arena.mem, k, allowed, token, &found, &why, &f);
    assert_int_equal(rc == 0, why == JWS_OK);
    assert_int_equal(rc == RC_SYNTAX, why == JWS_MALFORMED);
    if (rc == 0)
        assert_true(span_eq(found.payload, SPAN(PAYLOAD)));
    else
        assert_true(found.payload.p == NULL && f.text[0] != 0);
    return why;
}

static inline struct span token(EVP_PKEY *pkey, enum jws_alg alg,
                                const char *header)
{
    buf_clear(&text);
    token_make(pkey, alg, header, SPAN(PAYLOAD), &text);
    return buf_span(&text);
}

static inline struct span forge(const char *header, struct span sig)
{
    buf_clear(&text);
    base64url_encode(span_str(header), &text);
    buf_put_str(&text, ".");
    base64url_encode(SPAN(PAYLOAD), &text);
    buf_put_str(&text, ".");
    base64url_encode(sig, &text);
    return buf_span(&text);
}

#endif
