// SPDX-License-Identifier: Apache-2.0
/*
 * Keys and signed tokens for tests, made at run time with OpenSSL, so that no
 * private key is checked in. Every function aborts when OpenSSL refuses.
 */
#ifndef TESTS_LIB_TOKEN_H
#define TESTS_LIB_TOKEN_H

#include <openssl/evp.h>

#include "adapters/jws.h"
#include "sidecar/base/buf.h"

/* "RSA-1024" "RSA-2048" "P-256" "P-384" "Ed25519". Free with EVP_PKEY_free. */
EVP_PKEY *token_key_new(const char *kind);

/* A public JWK; `extra` are more members: ",\"kid\":\"a\"" or "". */
void token_jwk(const EVP_PKEY *pkey, const char *extra, struct buf *out);

void token_public_pem(EVP_PKEY *pkey, struct buf *out);
void token_private_pem(EVP_PKEY *pkey, struct buf *out);

/* Appends the base64url signature over `text`, in JOSE form (ECDSA: r||s).
 * The algorithm need not fit the curve: the hash is the algorithm's. */
void token_sign(EVP_PKEY *pkey, enum jws_alg alg, struct span text,
                struct buf *out);

/* A compact token from header and payload as written. */
void token_make(EVP_PKEY *pkey, enum jws_alg alg, const char *header,
                struct span payload, struct buf *out);

#endif
