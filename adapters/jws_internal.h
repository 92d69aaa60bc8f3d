// SPDX-License-Identifier: Apache-2.0
/*
 * What a key set is made of; shared by jws.c (verification) and jws_keys.c
 * (loading) only.
 */
#ifndef ADAPTERS_JWS_INTERNAL_H
#define ADAPTERS_JWS_INTERNAL_H

#include <stdatomic.h>

#include <openssl/evp.h>

#include "adapters/jws.h"

/* A key with its one algorithm. All members are read-only after loading, so
 * that threads share them without locks. */
struct jws_key {
    struct span kid; /* empty: the key has none */
    /* One bit of enum jws_alg; 0 for an RSA key that names none, see
     * jws_key_alg. */
    unsigned alg;
    EVP_PKEY *pkey;
    size_t sig_bytes; /* the exact size of a signature */
};

struct jws_keys {
    atomic_uint refs;
    struct arena arena; /* kids */
    EVP_MD *sha256, *sha384;
    /* The one PEM key without a kid serves every kid: an operator pinned the
     * key itself. */
    bool any_kid;
    unsigned count;
    struct jws_key at[JWS_KEYS_MAX];
};

/* The algorithm a key is bound to. An RSA key whose JWK or PEM names none
 * means RS256, the SSF interoperability minimum; it means PS256 only where the
 * feed allows PS256 and not RS256. That depends on configuration alone, never
 * on a token, so the binding stays one-to-one (8725-R2). */
unsigned jws_key_alg(const struct jws_key *key, unsigned alg_allowed);

#endif
