// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/token.h"

#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "sidecar/base/fail.h"

EVP_PKEY *token_key_new(const char *kind)
{
    EVP_PKEY *pkey = NULL;
    if (strcmp(kind, "RSA-1024") == 0)
        pkey = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
    else if (strcmp(kind, "RSA-2048") == 0)
        pkey = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
    else if (strcmp(kind, "Ed25519") == 0)
        pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    else
        pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", kind);
    must(pkey != NULL);
    return pkey;
}

static void put_number(const EVP_PKEY *pkey, const char *param,
                       const char *member, size_t size, struct buf *out)
{
    unsigned char bytes[1024];
    BIGNUM *bn = NULL;
    must(EVP_PKEY_get_bn_param(pkey, param, &bn) == 1);
    size_t n = size > 0 ? size : (size_t)BN_num_bytes(bn);
    must(n <= sizeof bytes && BN_bn2binpad(bn, bytes, (int)n) == (int)n);
    BN_free(bn);
    buf_printf(out, ",\"%s\":\"", member);
    base64url_encode(span_of(bytes, n), out);
    buf_put_str(out, "\"");
}

void token_jwk(const EVP_PKEY *pkey, const char *extra, struct buf *out)
{
    unsigned char raw[32];
    size_t n = sizeof raw;
    if (EVP_PKEY_is_a(pkey, "RSA")) {
        buf_put_str(out, "{\"kty\":\"RSA\"");
        put_number(pkey, OSSL_PKEY_PARAM_RSA_N, "n", 0, out);
        put_number(pkey, OSSL_PKEY_PARAM_RSA_E, "e", 0, out);
    } else if (EVP_PKEY_is_a(pkey, "EC")) {
        size_t size = ((size_t)EVP_PKEY_get_bits(pkey) + 7) / 8;
        buf_printf(out, "{\"kty\":\"EC\",\"crv\":\"P-%zu\"", size * 8);
        put_number(pkey, OSSL_PKEY_PARAM_EC_PUB_X, "x", size, out);
        put_number(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, "y", size, out);
    } else {
        must(EVP_PKEY_get_raw_public_key(pkey, raw, &n) == 1);
        buf_put_str(out, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"");
        base64url_encode(span_of(raw, n), out);
        buf_put_str(out, "\"");
    }
    buf_put_str(out, extra);
    buf_put_str(out, "}");
}

static void put_bio(BIO *bio, struct buf *out)
{
    char *p = NULL;
    long n = BIO_get_mem_data(bio, &p);
    buf_put(out, span_of(p, (size_t)n));
    BIO_free(bio);
}

void token_public_pem(EVP_PKEY *pkey, struct buf *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    must(bio != NULL && PEM_write_bio_PUBKEY(bio, pkey) == 1);
    put_bio(bio, out);
}

void token_private_pem(EVP_PKEY *pkey, struct buf *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    must(bio != NULL &&
         PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) == 1);
    put_bio(bio, out);
}

/* DER back to r||s, each as wide as the curve. */
static size_t to_raw(const EVP_PKEY *pkey, unsigned char *sig, size_t n)
{
    const unsigned char *p = sig;
    int size = (EVP_PKEY_get_bits(pkey) + 7) / 8;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &p, (long)n);
    must(pair != NULL);
    const BIGNUM *r, *s;
    ECDSA_SIG_get0(pair, &r, &s);
    must(BN_bn2binpad(r, sig, size) == size);
    must(BN_bn2binpad(s, sig + size, size) == size);
    ECDSA_SIG_free(pair);
    return 2 * (size_t)size;
}

void token_sign(EVP_PKEY *pkey, enum jws_alg alg, struct span text,
                struct buf *out)
{
    unsigned char sig[1024];
    size_t n = sizeof sig;
    const EVP_MD *md = alg == JWS_ES384 ? EVP_sha384() : EVP_sha256();
    EVP_PKEY_CTX *pctx = NULL;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    must(ctx != NULL);
    must(EVP_DigestSignInit(ctx, &pctx, alg == JWS_EDDSA ? NULL : md, NULL,
                            pkey) == 1);
    if (alg == JWS_PS256) {
        must(EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1);
        must(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) ==
             1);
    }
    must(EVP_DigestSign(ctx, sig, &n, text.p, text.n) == 1);
    EVP_MD_CTX_free(ctx);
    if (EVP_PKEY_is_a(pkey, "EC"))
        n = to_raw(pkey, sig, n);
    base64url_encode(span_of(sig, n), out);
}

void token_make(EVP_PKEY *pkey, enum jws_alg alg, const char *header,
                struct span payload, struct buf *out)
{
    size_t from = out->n;
    base64url_encode(span_str(header), out);
    buf_put_str(out, ".");
    base64url_encode(payload, out);
    struct span text = span_sub(buf_span(out), from, out->n);
    size_t n = text.n;
    unsigned char *copy = mem_copy(mem_system(), text);
    must(copy != NULL && buf_ok(out));
    buf_put_str(out, ".");
    token_sign(pkey, alg, span_of(copy, n), out);
    mem_release(mem_system(), copy);
    must(buf_ok(out));
}
