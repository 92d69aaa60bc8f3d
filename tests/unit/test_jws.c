// SPDX-License-Identifier: Apache-2.0
/*
 * Verification against keys made here: what must pass, and every way known to
 * us in which a token or a key set must not (standards 9 and 10.5, reliability
 * T1, T3 to T5).
 */
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

static int make_keys(void **state)
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

static int drop_keys(void **state)
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
static struct jws_keys *all_keys(void)
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

static enum jws_why why_of(const struct jws_keys *k, unsigned allowed,
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

static struct span token(EVP_PKEY *pkey, enum jws_alg alg, const char *header)
{
    buf_clear(&text);
    token_make(pkey, alg, header, SPAN(PAYLOAD), &text);
    return buf_span(&text);
}

static void accepts_each_algorithm(void **state)
{
    (void)state;
    struct jws_keys *k = all_keys();
    static const struct {
        EVP_PKEY **pkey;
        enum jws_alg alg;
        const char *header;
    } rows[] = {
        {&made.rsa, JWS_RS256, "{\"alg\":\"RS256\",\"kid\":\"r\"}"},
        {&made.p256, JWS_ES256, "{\"alg\":\"ES256\",\"kid\":\"e\"}"},
        {&made.p384, JWS_ES384, "{\"alg\":\"ES384\",\"kid\":\"e3\"}"},
        {&made.ed, JWS_EDDSA, "{\"alg\":\"EdDSA\",\"kid\":\"ed\"}"},
        {&made.ed, JWS_EDDSA, "{\"alg\":\"Ed25519\",\"kid\":\"ed\"}"},
        /* without kid: one key fits each algorithm */
        {&made.rsa, JWS_RS256, "{\"alg\":\"RS256\"}"},
        {&made.p256, JWS_ES256, " {\"typ\":\"x\",\"alg\":\"ES256\"} "},
        /* T5: there, and never looked at */
        {&made.p256, JWS_ES256,
         "{\"alg\":\"ES256\",\"kid\":\"e\",\"jku\":\"http://127.0.0.1:1/\","
         "\"jwk\":{\"kty\":\"oct\",\"k\":\"AA\"},\"x5u\":\"file:///etc\","
         "\"x5c\":[\"AA\"]}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct span t = token(*rows[i].pkey, rows[i].alg, rows[i].header);
        enum jws_why why = why_of(k, JWS_ALG_ALL, t);
        if (why != JWS_OK)
            fail_msg("row %zu: %s", i, jws_why_word(why));
        /* not allowed by configuration: 8725-R1 */
        assert_int_equal(why_of(k, JWS_ALG_ALL & ~(unsigned)rows[i].alg, t),
                         JWS_BAD_ALG);
        assert_int_equal(why_of(k, 0, t), JWS_BAD_ALG);
    }
    jws_keys_unref(k);
}

/* Signed with the right key wherever a signature is possible at all, so that
 * only the named defect can be the cause. */
static void refuses_headers(void **state)
{
    (void)state;
    struct jws_keys *k = all_keys();
    static const struct {
        const char *header;
        enum jws_why why;
    } rows[] = {
        {"{\"alg\":\"none\",\"kid\":\"e\"}", JWS_BAD_ALG},
        {"{\"alg\":\"None\",\"kid\":\"e\"}", JWS_BAD_ALG},
        {"{\"alg\":\"NONE\",\"kid\":\"e\"}", JWS_BAD_ALG},
        {"{\"alg\":\"nOnE\",\"kid\":\"e\"}", JWS_BAD_ALG},
        {"{\"alg\":\"\",\"kid\":\"e\"}", JWS_BAD_ALG},
        {"{\"alg\":\"es256\",\"kid\":\"e\"}", JWS_BAD_ALG},
        {"{\"alg\":\"ES256 \",\"kid\":\"e\"}", JWS_BAD_ALG},
        {"{\"alg\":\"HS256\",\"kid\":\"e\"}", JWS_BAD_ALG},
        {"{\"alg\":\"ES512\",\"kid\":\"e\"}", JWS_BAD_ALG},
        {"{\"alg\":\"RS1\",\"kid\":\"e\"}", JWS_BAD_ALG},
        {"{\"alg\":256,\"kid\":\"e\"}", JWS_BAD_ALG},
        {"{\"alg\":[\"ES256\"],\"kid\":\"e\"}", JWS_BAD_ALG},
        {"{\"alg\":null,\"kid\":\"e\"}", JWS_BAD_ALG},
        {"{\"kid\":\"e\"}", JWS_BAD_ALG},
        {"{}", JWS_BAD_ALG},
        /* 8725-R2: the key has one algorithm, the header cannot change it */
        {"{\"alg\":\"ES384\",\"kid\":\"e\"}", JWS_BAD_ALG},
        {"{\"alg\":\"RS256\",\"kid\":\"e\"}", JWS_BAD_ALG},
        {"{\"alg\":\"PS256\",\"kid\":\"r\"}", JWS_BAD_ALG},
        /* 8725-R20 and RFC 7797 */
        {"{\"alg\":\"ES256\",\"kid\":\"e\",\"crit\":[\"x\"],\"x\":1}",
         JWS_BAD_HEADER},
        {"{\"alg\":\"ES256\",\"kid\":\"e\",\"crit\":[]}", JWS_BAD_HEADER},
        {"{\"alg\":\"ES256\",\"kid\":\"e\",\"crit\":null}", JWS_BAD_HEADER},
        {"{\"alg\":\"ES256\",\"kid\":\"e\",\"crit\":[\"b64\"],\"b64\":true}",
         JWS_BAD_HEADER},
        {"{\"alg\":\"ES256\",\"kid\":\"e\",\"b64\":false}", JWS_BAD_HEADER},
        /* T4 */
        {"{\"alg\":\"ES256\",\"kid\":7}", JWS_BAD_HEADER},
        {"{\"alg\":\"ES256\",\"kid\":\"\"}", JWS_BAD_HEADER},
        {"{\"alg\":\"ES256\",\"kid\":null}", JWS_BAD_HEADER},
        {"{\"alg\":\"ES256\",\"kid\":\"../../etc/passwd\"}", JWS_NO_KEY},
        {"{\"alg\":\"ES256\",\"kid\":\"' or 1=1\"}", JWS_NO_KEY},
        {"{\"alg\":\"ES256\",\"kid\":\"%n%n\"}", JWS_NO_KEY},
        {"{\"alg\":\"ES256\",\"kid\":\"E\"}", JWS_NO_KEY},
        {"{\"alg\":\"ES256\",\"kid\":\"e \"}", JWS_NO_KEY},
        {"{\"alg\":\"ES256\",\"kid\":\"e\\u0000\"}", JWS_MALFORMED},
        /* 8417-R3: one reading only */
        {"{\"alg\":\"ES256\",\"kid\":\"e\",\"alg\":\"ES256\"}", JWS_MALFORMED},
        {"{\"alg\":\"ES256\",\"kid\":\"e\",\"\\u0061lg\":\"none\"}",
         JWS_MALFORMED},
        {"[{\"alg\":\"ES256\"}]", JWS_MALFORMED},
        {"\"ES256\"", JWS_MALFORMED},
        {"{\"alg\":\"ES256\",\"kid\":\"e\"} {}", JWS_MALFORMED},
        {"{\"alg\":\"ES256\",\"kid\":\"e\",}", JWS_MALFORMED},
        {"\xef\xbb\xbf{\"alg\":\"ES256\",\"kid\":\"e\"}", JWS_MALFORMED},
        {"{\"alg\":\"ES256\",\"kid\":\"\xff\"}", JWS_MALFORMED},
        {"not json", JWS_MALFORMED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct span t = token(made.p256, JWS_ES256, rows[i].header);
        enum jws_why why = why_of(k, JWS_ALG_ALL, t);
        if (why != rows[i].why)
            fail_msg("%s: %s", rows[i].header, jws_why_word(why));
    }
    jws_keys_unref(k);
}

static void bounds_header_and_token(void **state)
{
    (void)state;
    struct jws_keys *k = all_keys();
    static char header[12 * 1024];
    const size_t kid_at = SPAN("{\"alg\":\"ES256\",\"kid\":\"").n;
    static const size_t lengths[] = {JWS_KID_MAX, JWS_KID_MAX + 1, 8100, 10240};
    static const enum jws_why whys[] = {JWS_NO_KEY, JWS_BAD_HEADER,
                                        JWS_BAD_HEADER, JWS_MALFORMED};
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(header, sizeof header, "{\"alg\":\"ES256\",\"kid\":\"");
        memset(header + kid_at, 'k', lengths[i]);
        (void)snprintf(header + kid_at + lengths[i], 3, "\"}");
        struct span t = token(made.p256, JWS_ES256, header);
        assert_int_equal(why_of(k, JWS_ALG_ALL, t), whys[i]);
    }
    buf_clear(&text);
    for (size_t i = 0; i <= JWS_TOKEN_BYTES_MAX; i++)
        buf_put_u8(&text, 'A');
    assert_int_equal(why_of(k, JWS_ALG_ALL, buf_span(&text)), JWS_MALFORMED);
    jws_keys_unref(k);
}

/* A good token changed as text: "$" stands for it, "H" "P" "S" for its
 * parts. */
static void put_shape(const char *shape, struct span good, struct buf *out)
{
    size_t a = span_find(good, '.', 0), b = span_find(good, '.', a + 1);
    for (; *shape != 0; shape++) {
        if (*shape == '$')
            buf_put(out, good);
        else if (*shape == 'H')
            buf_put(out, span_sub(good, 0, a));
        else if (*shape == 'P')
            buf_put(out, span_sub(good, a + 1, b));
        else if (*shape == 'S')
            buf_put(out, span_sub(good, b + 1, good.n));
        else
            buf_put_u8(out, (uint8_t)*shape);
    }
}

static void refuses_shapes(void **state)
{
    (void)state;
    struct jws_keys *k = all_keys();
    struct buf good, bad;
    buf_init(&good, mem_system(), 65536);
    buf_init(&bad, mem_system(), 65536);
    token_make(made.p256, JWS_ES256, "{\"alg\":\"ES256\",\"kid\":\"e\"}",
               SPAN(PAYLOAD), &good);
    assert_int_equal(why_of(k, JWS_ALG_ALL, buf_span(&good)), JWS_OK);
    static const char *const shapes[] = {
        "",
        ".",
        "..",
        "...",
        "H",
        "H.P",
        "H..S",
        ".P.S",
        "$.",
        ".$",
        "$.x",
        "$.x.x",
        "$=",
        "H=.P.S",
        "H.P=.S",
        "$==",
        "$\n",
        "$\r\n",
        " $",
        "$ ",
        "H. P.S",
        "H.P.\tS",
        "H.P!.S",
        "H.P.S+",
        "H.P.S/",
        "H.P.S?",
        "H .P.S",
        "H.P.S\x7f",
        "H,P,S",
        "H.P.S\xc3\xa9",
        "{\"payload\":\"P\"}",
    };
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        buf_clear(&bad);
        put_shape(shapes[i], buf_span(&good), &bad);
        enum jws_why why = why_of(k, JWS_ALG_ALL, buf_span(&bad));
        if (why != JWS_MALFORMED)
            fail_msg("shape %zu %s: %s", i, shapes[i], jws_why_word(why));
    }
    static const char *const moved[] = {"H.H.S", "P.P.S", "H.P.P", "H.PAAA.S"};
    for (size_t i = 0; i < 4; i++) {
        buf_clear(&bad);
        put_shape(moved[i], buf_span(&good), &bad);
        assert_int_not_equal(why_of(k, JWS_ALG_ALL, buf_span(&bad)), JWS_OK);
    }
    buf_clear(&bad);
    buf_put(&bad, buf_span(&good));
    buf_put_u8(&bad, 0);
    assert_int_equal(why_of(k, JWS_ALG_ALL, buf_span(&bad)), JWS_MALFORMED);
    buf_fini(&good);
    buf_fini(&bad);
    jws_keys_unref(k);
}

/* Every single character of a token matters, also the unused bits at the end
 * of each part. */
static void notices_every_change(void **state)
{
    (void)state;
    struct jws_keys *k = all_keys();
    static const char *const headers[] = {
        "{\"alg\":\"ES256\",\"kid\":\"e\"}",
        "{\"alg\":\"ES256\",\"kid\":\"e\" }",
        "{\"alg\":\"ES256\",\"kid\":\"e\"  }"};
    for (size_t h = 0; h < 3; h++) {
        struct span good = token(made.p256, JWS_ES256, headers[h]);
        unsigned char *copy = mem_copy(mem_system(), good);
        size_t n = good.n;
        for (size_t i = 0; i < n; i++) {
            unsigned char was = copy[i];
            copy[i] = was == 'A' ? 'B' : (unsigned char)(was ^ 1);
            if (why_of(k, JWS_ALG_ALL, span_of(copy, n)) == JWS_OK)
                fail_msg("change at %zu of %zu not noticed", i, n);
            copy[i] = was;
        }
        assert_int_equal(why_of(k, JWS_ALG_ALL, span_of(copy, n)), JWS_OK);
        mem_release(mem_system(), copy);
    }
    jws_keys_unref(k);
}

/* The classic confusion: the public key as an HMAC secret (T3). */
static void refuses_hmac_with_public_key(void **state)
{
    (void)state;
    struct jws_keys *k = all_keys();
    struct buf pem;
    buf_init(&pem, mem_system(), 65536);
    EVP_PKEY *const pkeys[] = {made.rsa, made.p256};
    static const char *const headers[] = {"{\"alg\":\"HS256\",\"kid\":\"r\"}",
                                          "{\"alg\":\"HS256\",\"kid\":\"e\"}",
                                          "{\"alg\":\"HS256\"}",
                                          "{\"alg\":\"RS256\",\"kid\":\"r\"}"};
    for (size_t i = 0; i < 8; i++) {
        unsigned char mac[32];
        unsigned n = 0;
        buf_clear(&pem);
        token_public_pem(pkeys[i % 2], &pem);
        buf_clear(&text);
        base64url_encode(span_str(headers[i / 2]), &text);
        buf_put_str(&text, ".");
        base64url_encode(SPAN(PAYLOAD), &text);
        assert_non_null(
            HMAC(EVP_sha256(), pem.p, (int)pem.n, text.p, text.n, mac, &n));
        buf_put_str(&text, ".");
        base64url_encode(span_of(mac, n), &text);
        enum jws_why why = why_of(k, JWS_ALG_ALL, buf_span(&text));
        assert_int_equal(why, i / 2 == 3 ? JWS_BAD_SIGNATURE : JWS_BAD_ALG);
    }
    buf_fini(&pem);
    jws_keys_unref(k);
}

static struct span forge(const char *header, struct span sig)
{
    buf_clear(&text);
    base64url_encode(span_str(header), &text);
    buf_put_str(&text, ".");
    base64url_encode(SPAN(PAYLOAD), &text);
    buf_put_str(&text, ".");
    base64url_encode(sig, &text);
    return buf_span(&text);
}

/* Values that broken verifiers take for any message. */
static void refuses_odd_signatures(void **state)
{
    (void)state;
    struct jws_keys *k = all_keys();
    static const char es256[] = "{\"alg\":\"ES256\",\"kid\":\"e\"}";
    static const char es384[] = "{\"alg\":\"ES384\",\"kid\":\"e3\"}";
    static const char rs256[] = "{\"alg\":\"RS256\",\"kid\":\"r\"}";
    static const char eddsa[] = "{\"alg\":\"EdDSA\",\"kid\":\"ed\"}";
    static const char *const headers[] = {es256, es384, rs256, eddsa};
    static unsigned char sig[512];
    static const size_t sizes[] = {0,  1,  2,  3,   8,   63,  64,  65,  70, 72,
                                   95, 96, 97, 104, 132, 255, 256, 257, 512};
    for (size_t h = 0; h < 4; h++)
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
            for (unsigned fill = 0; fill < 3; fill++) {
                memset(sig, fill == 2 ? 0xff : (int)fill, sizeof sig);
                struct span t = forge(headers[h], span_of(sig, sizes[s]));
                assert_int_equal(why_of(k, JWS_ALG_ALL, t), JWS_BAD_SIGNATURE);
            }
    /* r = 0, s = 1 (CVE-2022-21449) and r = s = order */
    memset(sig, 0, sizeof sig);
    sig[63] = 1;
    assert_int_equal(why_of(k, JWS_ALG_ALL, forge(es256, span_of(sig, 64))),
                     JWS_BAD_SIGNATURE);
    static const unsigned char order[32] = {
        0xff, 0xff, 0xff, 0xff, 0,    0,    0,    0,    0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
        0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};
    memcpy(sig, order, 32);
    memcpy(sig + 32, order, 32);
    assert_int_equal(why_of(k, JWS_ALG_ALL, forge(es256, span_of(sig, 64))),
                     JWS_BAD_SIGNATURE);
    jws_keys_unref(k);
}

/* DER instead of r||s, and a right signature by the wrong key. */
static void refuses_other_encodings_and_keys(void **state)
{
    (void)state;
    struct jws_keys *k = all_keys();
    static const char es256[] = "{\"alg\":\"ES256\",\"kid\":\"e\"}";
    unsigned char der[256];
    size_t n = sizeof der;
    struct buf input;
    buf_init(&input, mem_system(), 4096);
    base64url_encode(span_str(es256), &input);
    buf_put_str(&input, ".");
    base64url_encode(SPAN(PAYLOAD), &input);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    assert_int_equal(
        EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, made.p256), 1);
    assert_int_equal(EVP_DigestSign(ctx, der, &n, input.p, input.n), 1);
    EVP_MD_CTX_free(ctx);
    buf_fini(&input);
    assert_int_equal(why_of(k, JWS_ALG_ALL, forge(es256, span_of(der, n))),
                     JWS_BAD_SIGNATURE);
    static const struct {
        EVP_PKEY **pkey;
        enum jws_alg alg;
        const char *header;
    } rows[] = {
        {&made.stranger, JWS_ES256, "{\"alg\":\"ES256\",\"kid\":\"e\"}"},
        {&made.p384, JWS_ES256, "{\"alg\":\"ES256\",\"kid\":\"e\"}"},
        {&made.p256, JWS_ES384, "{\"alg\":\"ES384\",\"kid\":\"e3\"}"},
        {&made.p384, JWS_ES256, "{\"alg\":\"ES384\",\"kid\":\"e3\"}"},
        {&made.rsa, JWS_PS256, "{\"alg\":\"RS256\",\"kid\":\"r\"}"},
        {&made.weak, JWS_RS256, "{\"alg\":\"RS256\",\"kid\":\"r\"}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct span t = token(*rows[i].pkey, rows[i].alg, rows[i].header);
        assert_int_equal(why_of(k, JWS_ALG_ALL, t), JWS_BAD_SIGNATURE);
    }
    jws_keys_unref(k);
}

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

static void base64url_is_strict(void **state)
{
    (void)state;
    static const struct {
        const char *text, *bytes;
        int rc;
    } rows[] = {
        {"", "", 0},
        {"Zg", "f", 0},
        {"Zm8", "fo", 0},
        {"Zm9v", "foo", 0},
        {"_-__", "\xff\xef\xff", 0},
        {"Zh", "", RC_SYNTAX},
        {"Zv", "", RC_SYNTAX},
        {"Zm9", "", RC_SYNTAX},
        {"Z", "", RC_SYNTAX},
        {"Zg==", "", RC_SYNTAX},
        {"Zm9vZ", "", RC_SYNTAX},
        {"Zm+v", "", RC_SYNTAX},
        {"Zm/v", "", RC_SYNTAX},
        {"Zm v", "", RC_SYNTAX},
        {"Zm\n9v", "", RC_SYNTAX},
    };
    struct buf out;
    buf_init(&out, mem_system(), 4096);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct span bytes = {NULL, 0};
        int rc = base64url_decode(&arena.mem, span_str(rows[i].text), &bytes);
        if (rc != rows[i].rc)
            fail_msg("%s: rc %d", rows[i].text, rc);
        if (rc < 0)
            continue;
        assert_true(span_eq(bytes, span_str(rows[i].bytes)));
        buf_clear(&out);
        base64url_encode(bytes, &out);
        assert_true(span_eq(buf_span(&out), span_str(rows[i].text)));
    }
    buf_fini(&out);
}

static void peeks_at_the_issuer(void **state)
{
    (void)state;
    struct span iss;
    struct fail f;
    struct span t = token(made.p256, JWS_ES256, "{\"alg\":\"none\"}");
    assert_int_equal(jws_peek_issuer(&arena.mem, t, &iss, &f), 0);
    assert_true(span_eq(iss, SPAN("https://i.example")));
    assert_int_equal(jws_peek_issuer(&arena.mem, SPAN("a.b.c"), &iss, &f),
                     RC_SYNTAX);
}

static double run_timed(const struct jws_keys *k, struct span t, unsigned n)
{
    struct timespec from, to;
    (void)clock_gettime(CLOCK_MONOTONIC, &from);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(why_of(k, JWS_ALG_ALL, t), JWS_OK);
    (void)clock_gettime(CLOCK_MONOTONIC, &to);
    double s = (double)(to.tv_sec - from.tv_sec) +
               (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    return n / s;
}

/* No bound is asserted: machines differ. The figure is for the reader. */
static void says_how_fast(void **state)
{
    (void)state;
    struct jws_keys *k = all_keys();
    struct span t = token(made.rsa, JWS_RS256, "{\"alg\":\"RS256\"}");
    double rs = run_timed(k, t, 2000);
    t = token(made.p256, JWS_ES256, "{\"alg\":\"ES256\"}");
    double es = run_timed(k, t, 2000);
    (void)printf("verify/s: RS256 %.0f ES256 %.0f\n", rs, es);
    jws_keys_unref(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_each_algorithm),
        cmocka_unit_test(refuses_headers),
        cmocka_unit_test(bounds_header_and_token),
        cmocka_unit_test(refuses_shapes),
        cmocka_unit_test(notices_every_change),
        cmocka_unit_test(refuses_hmac_with_public_key),
        cmocka_unit_test(refuses_odd_signatures),
        cmocka_unit_test(refuses_other_encodings_and_keys),
        cmocka_unit_test(binds_rsa_by_configuration),
        cmocka_unit_test(refuses_other_salt_lengths),
        cmocka_unit_test(no_kid_needs_one_candidate),
        cmocka_unit_test(refuses_unusable_keys),
        cmocka_unit_test(judges_key_documents),
        cmocka_unit_test(bounds_key_sets),
        cmocka_unit_test(refuses_odd_rsa_numbers),
        cmocka_unit_test(refuses_the_broken_generator),
        cmocka_unit_test(reads_pem),
        cmocka_unit_test(base64url_is_strict),
        cmocka_unit_test(peeks_at_the_issuer),
        cmocka_unit_test(says_how_fast),
    };
    return cmocka_run_group_tests(tests, make_keys, drop_keys);
}
