// SPDX-License-Identifier: Apache-2.0
/*
 * Verification against keys made here: what must pass, and every way known to
 * us in which a token must not (standards 9 and 10.5, reliability T1, T3 to
 * T5). Key sets have their own file, test_jws_keys.c.
 */
#include "tests/unit/jws_case.h"

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
        cmocka_unit_test(base64url_is_strict),
        cmocka_unit_test(peeks_at_the_issuer),
        cmocka_unit_test(says_how_fast),
    };
    return cmocka_run_group_tests(tests, make_keys, drop_keys);
}
