// SPDX-License-Identifier: Apache-2.0
#include "adapters/jws.h"

#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "sidecar/base/buf.h"

#define SIGNATURE_BYTES_MAX 1024 /* RSA of 8192 bits */
#define ES256_HALF 32

// NOLINTNEXTLINE(readability-non-const-parameter): pem_password_cb
static int no_passphrase(char *text, int n, int writing, void *ctx)
{
    (void)text;
    (void)n;
    (void)writing;
    (void)ctx;
    return -1;
}

/* DER to r||s (RFC 7518 3.4); 0 when it is no such signature. */
static size_t to_raw(unsigned char *sig, size_t n)
{
    const unsigned char *p = sig;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &p, (long)n);
    if (pair == NULL)
        return 0;
    int r = BN_bn2binpad(ECDSA_SIG_get0_r(pair), sig, ES256_HALF);
    int s = BN_bn2binpad(ECDSA_SIG_get0_s(pair), sig + ES256_HALF, ES256_HALF);
    ECDSA_SIG_free(pair);
    return r == ES256_HALF && s == ES256_HALF ? 2 * ES256_HALF : 0;
}

/* The number of bytes in `sig`, or 0. */
static size_t sign_with(EVP_PKEY *pkey, enum jws_alg alg, struct span text,
                        unsigned char *sig)
{
    size_t n = SIGNATURE_BYTES_MAX;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx == NULL ||
        EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, pkey) != 1 ||
        EVP_DigestSign(ctx, sig, &n, text.p, text.n) != 1)
        n = 0;
    EVP_MD_CTX_free(ctx);
    return n > 0 && alg == JWS_ES256 ? to_raw(sig, n) : n;
}

int jws_sign_pem(struct span pem, enum jws_alg alg, struct span text,
                 struct buf *out, struct fail *f)
{
    unsigned char sig[SIGNATURE_BYTES_MAX];
    must(alg == JWS_RS256 || alg == JWS_ES256);
    TRY(jws_private_pem_check(pem, alg, f));
    BIO *in = BIO_new_mem_buf(pem.p, (int)pem.n);
    EVP_PKEY *pkey =
        in == NULL ? NULL
                   : PEM_read_bio_PrivateKey(in, NULL, no_passphrase, NULL);
    size_t n = pkey == NULL ? 0 : sign_with(pkey, alg, text, sig);
    EVP_PKEY_free(pkey);
    BIO_free(in);
    ERR_clear_error();
    if (n == 0)
        return fail(f, RC_NO_MEMORY, "cannot sign");
    base64url_encode(span_of(sig, n), out);
    return buf_ok(out) ? 0 : fail(f, RC_NO_MEMORY, "no room for a signature");
}
