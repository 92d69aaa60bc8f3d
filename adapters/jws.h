// SPDX-License-Identifier: Apache-2.0
/*
 * Strict verification of compact JWS (RFC 7515) with public keys, and the key
 * sets for it (RFC 7517). One file on OpenSSL EVP; docs: ARCHITECTURE.md says
 * why no JWT library does this here.
 *
 * A key is bound to exactly one algorithm (8725-R2); which algorithms a feed
 * accepts comes from configuration, never from the token (8725-R1). Symmetric
 * keys do not exist here. Key sets are immutable and shared between threads by
 * reference count.
 */
#ifndef ADAPTERS_JWS_H
#define ADAPTERS_JWS_H

#include "sidecar/base/doc.h"
#include "sidecar/base/fail.h"

#define JWS_TOKEN_BYTES_MAX (256 * 1024)
#define JWS_HEADER_BYTES_MAX 8192
#define JWS_KEYS_MAX 64
#define JWS_KID_MAX 256
#define JWS_RSA_BITS_MIN 2048
#define JWS_KEYSET_BYTES_MAX (256 * 1024)
#define JWS_SHA256_BYTES 32

enum jws_alg {
    JWS_RS256 = 1,
    JWS_PS256 = 2,
    JWS_ES256 = 4,
    JWS_ES384 = 8,
    JWS_EDDSA = 16,
    JWS_ALG_ALL = 31
};

/* "ES256" and so on ("Ed25519" means JWS_EDDSA, RFC 9864); false if unknown. */
bool jws_alg_from_name(struct span name, enum jws_alg *ret);
const char *jws_alg_name(enum jws_alg a);

struct jws_keys;

/* A JWKS document ({"keys": [...]}) or one bare JWK. Unusable keys (unknown
 * kty, use: enc, symmetric, too short, off the curve) are skipped and counted;
 * a duplicate kid refuses the set (reliability T4). RC_SYNTAX, RC_TOO_LARGE,
 * RC_LIMIT, RC_UNTRUSTED (no usable key, duplicate kid), RC_NO_MEMORY. */
int jws_keys_from_json(struct span json, struct jws_keys **ret,
                       unsigned *ret_skipped, struct fail *f) must_use;

/* One PEM public key or certificate, with an optional kid; `alg` may be 0: RSA
 * then means RS256 (PS256 where only that is allowed). Without a kid the key
 * serves tokens of any kid: the operator pinned the key itself. */
int jws_keys_from_pem(struct span pem, struct span kid, enum jws_alg alg,
                      struct jws_keys **ret, struct fail *f) must_use;

struct jws_keys *jws_keys_ref(struct jws_keys *k);
void jws_keys_unref(struct jws_keys *k); /* NULL is legal */
unsigned jws_keys_count(const struct jws_keys *k);
/* Is there a key with this kid (or, for an empty kid, any key)? */
bool jws_keys_have(const struct jws_keys *k, struct span kid);

/* What verification found. Spans live in the `struct mem *` given. */
struct jws {
    enum jws_alg alg;
    struct span kid; /* empty when the header has none */
    const struct doc *header;
    struct span payload; /* decoded bytes; only set when verified */
};

enum jws_why {
    JWS_OK,
    JWS_MALFORMED,
    JWS_BAD_HEADER,
    JWS_BAD_ALG,
    JWS_NO_KEY,
    JWS_BAD_SIGNATURE
};
const char *jws_why_word(enum jws_why w);

/* Checks form, header, algorithm, key and signature, in this order, all before
 * any byte of the payload is looked at. `typ` is the caller's business (the
 * header tree is returned). `*ret_why` is set on failure too: JWS_NO_KEY asks
 * for a JWKS refresh, everything else is final. RC_SYNTAX for malformed,
 * RC_UNTRUSTED for the rest; RC_NO_MEMORY (with JWS_OK) says nothing about the
 * token. Texts of failures carry no bytes of the token. Thread-safe. */
int jws_verify(struct mem *m, const struct jws_keys *keys, unsigned alg_allowed,
               struct span token, struct jws *ret, enum jws_why *ret_why,
               struct fail *f) must_use;

/* The unverified header's kid and the payload's iss, only to select
 * configuration or log; nothing else may be taken from it. */
int jws_peek_issuer(struct mem *m, struct span token, struct span *ret_iss,
                    struct fail *f) must_use;

/* Header and payload of a token that nobody vouches for, for display. */
int jws_decode_unverified(struct mem *m, struct span token,
                          const struct doc **ret_header,
                          const struct doc **ret_payload,
                          struct fail *f) must_use;

/* libcrypto sets itself up at its first use, and crashes where memory fails it
 * there; this is a first use that answers. Before anything else here, once.
 * RC_NO_MEMORY is the only failure. */
int jws_start(struct fail *f) must_use;

/* RC_NO_MEMORY is the only failure. */
int jws_sha256(struct span bytes, unsigned char ret[JWS_SHA256_BYTES]) must_use;

/* Can this PEM private key (without passphrase) sign with `alg`, under the
 * same rules of size and curve that verification has? RC_SYNTAX, RC_UNTRUSTED.
 */
int jws_private_pem_check(struct span pem, enum jws_alg alg,
                          struct fail *f) must_use;

/* Appends the base64url signature over `text`, RS256 or ES256, with a key that
 * jws_private_pem_check takes (and its failures). */
struct buf;
int jws_sign_pem(struct span pem, enum jws_alg alg, struct span text,
                 struct buf *out, struct fail *f) must_use;

/* Strict base64url without padding, canonical trailing bits (RFC 4648 5).
 * Decodes into `m`. */
int base64url_decode(struct mem *m, struct span text,
                     struct span *ret) must_use;
void base64url_encode(struct span bytes, struct buf *out);

#endif
