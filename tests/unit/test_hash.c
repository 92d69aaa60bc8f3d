// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/check.h"

#include <openssl/evp.h>

#include "sidecar/base/hash.h"

/* Key and input of the reference vectors: bytes 00 01 02 ... */
static const struct hash_key counting_key = {0x0706050403020100U,
                                             0x0f0e0d0c0b0a0908U};

/* Aumasson and Bernstein 2012: appendix A and the reference table's start. */
static void published_vectors(void **state)
{
    (void)state;
    unsigned char in[15];
    for (unsigned i = 0; i < sizeof in; i++)
        in[i] = (unsigned char)i;
    CHECK_UINT(hash_span(&counting_key, span_of(in, 0)), 0x726fdb47dd0e0e31U);
    CHECK_UINT(hash_span(&counting_key, span_of(in, 15)), 0xa129ca6149be45e5U);
    CHECK_UINT(hash_span(&counting_key, span_of(NULL, 0)), 0x726fdb47dd0e0e31U);
}

static uint64_t openssl_siphash(EVP_MAC *mac, const unsigned char *p, size_t n)
{
    unsigned char key[16], out[8];
    size_t out_n = 0, size = sizeof out;
    for (unsigned i = 0; i < sizeof key; i++)
        key[i] = (unsigned char)i;
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_size_t("size", &size),
                                 OSSL_PARAM_construct_end()};
    EVP_MAC_CTX *c = EVP_MAC_CTX_new(mac);
    CHECK(c != NULL && EVP_MAC_init(c, key, sizeof key, params) == 1);
    CHECK(EVP_MAC_update(c, p, n) == 1);
    CHECK(EVP_MAC_final(c, out, &out_n, sizeof out) == 1 && out_n == 8);
    EVP_MAC_CTX_free(c);
    uint64_t v = 0;
    for (unsigned i = 0; i < 8; i++)
        v |= (uint64_t)out[i] << (8 * i);
    return v;
}

/* Another implementation agrees for every tail length and beyond 256 bytes,
 * where only the low byte of the length counts. */
static void agrees_with_openssl(void **state)
{
    (void)state;
    unsigned char in[600];
    for (unsigned i = 0; i < sizeof in; i++)
        in[i] = (unsigned char)(i * 7 + i / 256);
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    CHECK(mac != NULL);
    for (size_t n = 0; n <= sizeof in; n++)
        CHECK_UINT(hash_span(&counting_key, span_of(in, n)),
                   openssl_siphash(mac, in, n));
    EVP_MAC_free(mac);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors),
        cmocka_unit_test(agrees_with_openssl),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
