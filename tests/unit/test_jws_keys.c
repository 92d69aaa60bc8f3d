// SPDX-License-Identifier: Apache-2.0
/* Key sets: which keys are taken, what they are bound to, which documents are
 * refused as a whole (standards 9.2, 9.3; reliability T3 to T5). */
#include "tests/unit/jws_case.h"

static struct jws_keys *load_one(EVP_PKEY *pkey, const char *extra, int *ret_rc)
{
    struct jws_keys *k = NULL;
    struct fail f = {0};
    unsigned skipped = 0;
    buf_clear(&jwks);
    token_jwk(pkey, extra, &jwks);
    *ret_rc = jws_keys_from_json(buf_span(&jwks), &k, &skipped, &f);
    return k;
}

/* 8725-R2: which algorithm an RSA key without `alg` is bound to. */
static void binds_rsa_by_configuration(void **state)
{
    (void)state;
    int rc;
    struct jws_keys *k = load_one(made.rsa, "", &rc);
    assert_int_equal(rc, 0);
    struct span t = token(made.rsa, JWS_RS256, "{\"alg\":\"RS256\"}");
    assert_int_equal(why_of(k, JWS_ALG_ALL, t), JWS_OK);
    assert_int_equal(why_of(k, JWS_RS256, t), JWS_OK);
    assert_int_equal(why_of(k, JWS_PS256, t), JWS_BAD_ALG);
    t = token(made.rsa, JWS_PS256, "{\"alg\":\"PS256\"}");
    assert_int_equal(why_of(k, JWS_PS256 | JWS_ES256, t), JWS_OK);
    assert_int_equal(why_of(k, JWS_ALG_ALL, t), JWS_NO_KEY);
    jws_keys_unref(k);
    k = load_one(made.rsa, ",\"alg\":\"PS256\",\"kid\":\"p\"", &rc);
    assert_int_equal(rc, 0);
    t = token(made.rsa, JWS_PS256, "{\"alg\":\"PS256\",\"kid\":\"p\"}");
    assert_int_equal(why_of(k, JWS_ALG_ALL, t), JWS_OK);
    t = token(made.rsa, JWS_RS256, "{\"alg\":\"RS256\",\"kid\":\"p\"}");
    assert_int_equal(why_of(k, JWS_ALG_ALL, t), JWS_BAD_ALG);
    jws_keys_unref(k);
}

/* PS256 wants a salt as long as the hash (7518 3.5). */
static void refuses_other_salt_lengths(void **state)
{
    (void)state;
    int rc;
    struct jws_keys *k = load_one(made.rsa, ",\"alg\":\"PS256\"", &rc);
    static const int salts[] = {0, 20, 31, 33, 222};
    for (size_t i = 0; i < sizeof salts / sizeof salts[0]; i++) {
        unsigned char sig[256];
        size_t n = sizeof sig;
        EVP_PKEY_CTX *pctx = NULL;
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        struct span t = forge("{\"alg\":\"PS256\"}", SPAN("x"));
        assert_int_equal(
            EVP_DigestSignInit(ctx, &pctx, EVP_sha256(), NULL, made.rsa), 1);
        assert_int_equal(
            EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, salts[i]), 1);
        assert_int_equal(EVP_DigestSign(ctx, sig, &n, t.p, t.n - 3), 1);
        EVP_MD_CTX_free(ctx);
        t = forge("{\"alg\":\"PS256\"}", span_of(sig, n));
        assert_int_equal(why_of(k, JWS_ALG_ALL, t), JWS_BAD_SIGNATURE);
    }
    jws_keys_unref(k);
}

static void no_kid_needs_one_candidate(void **state)
{
    (void)state;
    struct jws_keys *k = NULL;
    struct fail f = {0};
    unsigned skipped = 0;
    buf_clear(&jwks);
    buf_put_str(&jwks, "{\"keys\":[");
    token_jwk(made.p256, ",\"kid\":\"a\"", &jwks);
    buf_put_str(&jwks, ",");
    token_jwk(made.stranger, "", &jwks);
    buf_put_str(&jwks, "]}");
    assert_int_equal(jws_keys_from_json(buf_span(&jwks), &k, &skipped, &f), 0);
    struct span t = token(made.p256, JWS_ES256, "{\"alg\":\"ES256\"}");
    assert_int_equal(why_of(k, JWS_ALG_ALL, t), JWS_NO_KEY);
    t = token(made.p256, JWS_ES256, "{\"alg\":\"ES256\",\"kid\":\"a\"}");
    assert_int_equal(why_of(k, JWS_ALG_ALL, t), JWS_OK);
    /* a key without kid is no answer to a token that names one */
    t = token(made.stranger, JWS_ES256, "{\"alg\":\"ES256\",\"kid\":\"b\"}");
    assert_int_equal(why_of(k, JWS_ALG_ALL, t), JWS_NO_KEY);
    assert_true(jws_keys_have(k, SPAN("a")));
    assert_false(jws_keys_have(k, SPAN("b")));
    assert_true(jws_keys_have(k, SPAN("")));
    struct jws_keys *same = jws_keys_ref(k);
    jws_keys_unref(k);
    assert_int_equal(jws_keys_count(same), 2);
    jws_keys_unref(same);
}

/* 8725-R5, R19, R23; RFC 7517 5: one unusable key makes an unusable set. */
static void refuses_unusable_keys(void **state)
{
    (void)state;
    static const struct {
        EVP_PKEY **pkey;
        const char *extra;
    } rows[] = {
        {&made.weak, ""},
        {&made.p521, ""},
        {&made.rsa, ",\"use\":\"enc\""},
        {&made.rsa, ",\"use\":7"},
        {&made.rsa, ",\"key_ops\":[\"sign\"]"},
        {&made.rsa, ",\"key_ops\":[]"},
        {&made.rsa, ",\"key_ops\":\"verify\""},
        {&made.rsa, ",\"alg\":\"HS256\""},
        {&made.rsa, ",\"alg\":\"ES256\""},
        {&made.rsa, ",\"alg\":\"RS512\""},
        {&made.rsa, ",\"alg\":null"},
        {&made.p256, ",\"alg\":\"ES384\""},
        {&made.p384, ",\"alg\":\"ES256\""},
        {&made.ed, ",\"alg\":\"ES256\""},
        {&made.p256, ",\"kid\":5"},
        /* the private part of a published key is known to everybody */
        {&made.p256, ",\"d\":\"AAAA\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int rc = 0;
        struct jws_keys *k = load_one(*rows[i].pkey, rows[i].extra, &rc);
        if (rc != RC_UNTRUSTED || k != NULL)
            fail_msg("row %zu %s: rc %d", i, rows[i].extra, rc);
    }
}

/* A valid P-256 point (RFC 7517 A.1) and changes to it. */
#define EC_X "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"
#define EC_Y "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"
#define EC(x, y)                                                               \
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" x "\",\"y\":\"" y "\"}"

static void judges_key_documents(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        int rc;
    } rows[] = {
        {EC(EC_X, EC_Y), 0},
        {EC(EC_X, EC_X), RC_UNTRUSTED}, /* off the curve */
        {EC("AA", EC_Y), RC_UNTRUSTED},
        {EC(EC_X "AA", EC_Y), RC_UNTRUSTED},
        {EC(EC_X "=", EC_Y), RC_UNTRUSTED},
        {EC("", ""), RC_UNTRUSTED},
        {"{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y
         "\"}",
         RC_UNTRUSTED},
        {"{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"" EC_X
         "\",\"y\":\"" EC_Y "\"}",
         RC_UNTRUSTED},
        {"{\"kty\":\"ec\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y
         "\"}",
         RC_UNTRUSTED},
        {"{\"kty\":\"oct\",\"k\":"
         "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
         RC_UNTRUSTED},
        {"{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" EC_X "\"}",
         RC_UNTRUSTED},
        {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}", RC_UNTRUSTED},
        {"{\"kty\":\"RSA\",\"n\":\"\",\"e\":\"AQAB\"}", RC_UNTRUSTED},
        {"{\"kty\":\"RSA\",\"e\":\"AQAB\"}", RC_UNTRUSTED},
        {"{}", RC_UNTRUSTED},
        {"{\"keys\":[]}", RC_UNTRUSTED},
        {"{\"keys\":[1,null,\"x\",[]]}", RC_UNTRUSTED},
        {"{\"keys\":[{\"kty\":\"x\"}," EC(EC_X, EC_Y) "]}", 0},
        {"{\"keys\":{}}", RC_SYNTAX},
        {"{\"keys\":[],\"keys\":[]}", RC_SYNTAX},
        {"[]", RC_SYNTAX},
        {"", RC_SYNTAX},
        {"{\"keys\":[{\"kty\":\"oct\",\"kid\":\"a\"},{\"kty\":\"EC\","
         "\"crv\":\"P-256\",\"kid\":\"a\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y
         "\"}]}",
         RC_UNTRUSTED}, /* T4: duplicate kid */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct jws_keys *k = NULL;
        struct fail f = {0};
        unsigned skipped = 0;
        int rc = jws_keys_from_json(span_str(rows[i].json), &k, &skipped, &f);
        if (rc != rows[i].rc)
            fail_msg("row %zu %s: rc %d %s", i, rows[i].json, rc, f.text);
        jws_keys_unref(k);
    }
}

static void bounds_key_sets(void **state)
{
    (void)state;
    for (unsigned count = JWS_KEYS_MAX; count <= JWS_KEYS_MAX + 1; count++) {
        struct jws_keys *k = NULL;
        struct fail f = {0};
        unsigned skipped = 0;
        buf_clear(&jwks);
        buf_put_str(&jwks, "{\"keys\":[");
        for (unsigned i = 0; i < count; i++)
            buf_put_str(&jwks, i == 0 ? EC(EC_X, EC_Y) : "," EC(EC_X, EC_Y));
        buf_put_str(&jwks, "]}");
        int rc = jws_keys_from_json(buf_span(&jwks), &k, &skipped, &f);
        assert_int_equal(rc, count > JWS_KEYS_MAX ? RC_LIMIT : 0);
        jws_keys_unref(k);
    }
    struct jws_keys *k = NULL;
    unsigned skipped = 0;
    buf_clear(&jwks);
    for (size_t i = 0; i <= JWS_KEYSET_BYTES_MAX; i++)
        buf_put_u8(&jwks, ' ');
    assert_int_equal(jws_keys_from_json(buf_span(&jwks), &k, &skipped, NULL),
                     RC_TOO_LARGE);
}

/* RSA numbers that OpenSSL itself would take: e = 1, even e, huge e, a
 * modulus of the broken generator. */
static void refuses_odd_rsa_numbers(void **state)
{
    (void)state;
    static const char *const exponents[] = {"AQ", "Ag", "AQAA", "AQAAAAAAAAAB",
                                            ""};
    for (size_t i = 0; i < 5; i++) {
        struct jws_keys *k = NULL;
        unsigned skipped = 0;
        buf_clear(&jwks);
        token_jwk(made.rsa, "", &jwks);
        struct span whole = buf_span(&jwks);
        size_t cut = whole.n - SPAN("AQAB\"}").n;
        assert_true(span_ends(whole, SPAN("\"e\":\"AQAB\"}")));
        jwks.n = cut;
        buf_put_str(&jwks, exponents[i]);
        buf_put_str(&jwks, "\"}");
        assert_int_equal(
            jws_keys_from_json(buf_span(&jwks), &k, &skipped, NULL),
            RC_UNTRUSTED);
    }
}

/* A modulus that OpenSSL takes and the broken generator could have made: it
 * is 65537 modulo each small prime (CVE-2017-15361). `step` 0 gives such a
 * one, another value a neighbour that is not. */
static void put_modulus(unsigned step, struct buf *out)
{
    unsigned char bytes[256];
    BIGNUM *product = BN_new(), *n = BN_new();
    assert_int_equal(BN_set_word(product, 1), 1);
    for (unsigned p = 2; p <= 167; p++)
        if (p < 4 || BN_mod_word(product, p) != 0)
            assert_int_equal(BN_mul_word(product, p), 1);
    assert_int_equal(BN_lshift(n, product, 2047 - BN_num_bits(product)), 1);
    assert_int_equal(BN_lshift1(n, n), 1);
    assert_int_equal(BN_add_word(n, 65537 + step), 1);
    for (unsigned p = 169; p < 800;) {
        bool divides = BN_mod_word(n, p) == 0;
        if (divides)
            assert_int_equal(BN_add(n, n, product), 1);
        p = divides ? 169 : p + 2;
    }
    assert_int_equal(BN_num_bits(n), 2048);
    assert_int_equal(BN_bn2binpad(n, bytes, sizeof bytes), sizeof bytes);
    base64url_encode(span_of(bytes, sizeof bytes), out);
    BN_free(product);
    BN_free(n);
}

static void refuses_the_broken_generator(void **state)
{
    (void)state;
    for (unsigned step = 0; step <= 6; step += 6) {
        struct jws_keys *k = NULL;
        unsigned skipped = 0;
        buf_clear(&jwks);
        buf_put_str(&jwks, "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"");
        put_modulus(step, &jwks);
        buf_put_str(&jwks, "\"}");
        assert_int_equal(
            jws_keys_from_json(buf_span(&jwks), &k, &skipped, NULL),
            step == 0 ? RC_UNTRUSTED : 0);
        jws_keys_unref(k);
    }
}

static void reads_pem(void **state)
{
    (void)state;
    struct buf pem;
    struct jws_keys *k = NULL;
    struct fail f = {0};
    buf_init(&pem, mem_system(), 65536);
    token_public_pem(made.p256, &pem);
    struct span t =
        token(made.p256, JWS_ES256, "{\"alg\":\"ES256\",\"kid\":\"any\"}");
    assert_int_equal(
        jws_keys_from_pem(buf_span(&pem), SPAN(""), (enum jws_alg)0, &k, &f),
        0);
    assert_int_equal(why_of(k, JWS_ALG_ALL, t), JWS_OK);
    assert_true(jws_keys_have(k, SPAN("any")));
    jws_keys_unref(k);
    assert_int_equal(
        jws_keys_from_pem(buf_span(&pem), SPAN("k1"), JWS_ES256, &k, &f), 0);
    assert_int_equal(why_of(k, JWS_ALG_ALL, t), JWS_NO_KEY);
    jws_keys_unref(k);
    assert_int_equal(
        jws_keys_from_pem(buf_span(&pem), SPAN(""), JWS_RS256, &k, &f),
        RC_UNTRUSTED);
    assert_int_equal(
        jws_keys_from_pem(SPAN("junk"), SPAN(""), JWS_RS256, &k, &f),
        RC_SYNTAX);
    buf_clear(&pem);
    token_public_pem(made.weak, &pem);
    assert_int_equal(
        jws_keys_from_pem(buf_span(&pem), SPAN(""), JWS_RS256, &k, &f),
        RC_UNTRUSTED);
    buf_clear(&pem);
    token_private_pem(made.p256, &pem);
    assert_int_equal(
        jws_keys_from_pem(buf_span(&pem), SPAN(""), JWS_ES256, &k, &f),
        RC_SYNTAX);
    assert_int_equal(jws_private_pem_check(buf_span(&pem), JWS_ES256, &f), 0);
    assert_int_equal(jws_private_pem_check(buf_span(&pem), JWS_ES384, &f),
                     RC_UNTRUSTED);
    assert_int_equal(jws_private_pem_check(SPAN("x"), JWS_ES256, &f),
                     RC_SYNTAX);
    buf_fini(&pem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binds_rsa_by_configuration),
        cmocka_unit_test(refuses_other_salt_lengths),
        cmocka_unit_test(no_kid_needs_one_candidate),
        cmocka_unit_test(refuses_unusable_keys),
        cmocka_unit_test(judges_key_documents),
        cmocka_unit_test(bounds_key_sets),
        cmocka_unit_test(refuses_odd_rsa_numbers),
        cmocka_unit_test(refuses_the_broken_generator),
        cmocka_unit_test(reads_pem),
    };
    return cmocka_run_group_tests(tests, make_keys, drop_keys);
}
