// SPDX-License-Identifier: Apache-2.0
/*
 * Signed client assertions (RFC 7523, RFC 7523bis) with libjwt: the only file
 * that includes jwt.h. Nothing is verified here, see adapters/jws.h.
 */
#ifndef ADAPTERS_JWT_H
#define ADAPTERS_JWT_H

#include "adapters/jws.h"
#include "sidecar/base/buf.h"

#define CLIENT_ASSERTION_TYPE                                                  \
    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
#define CLIENT_ASSERTION_SECONDS 60
#define CLIENT_ASSERTION_TEXT_MAX 2048 /* bytes of each text below */

/* One assertion. Time and randomness are the caller's. */
struct client_assertion {
    struct span client_id; /* iss and sub */
    /* The authorization server's issuer, nothing else (7523-R1); a token
     * endpoint only where the server's configuration says so (7523-R4). */
    struct span audience;
    struct span jti;     /* fresh for every request (7523-R3) */
    int64_t now_ms;      /* wall time: iat; exp is 60 s later */
    enum jws_alg alg;    /* JWS_RS256 or JWS_ES256 */
    struct span kid;     /* may be empty */
    struct span key_pem; /* private key without passphrase; borrowed */
};

/* Appends the compact assertion, header typ `client-authentication+jwt`
 * (7523-R2). RC_INVALID for a text that is empty, too long or no UTF-8, or
 * another algorithm; RC_SYNTAX, RC_UNTRUSTED for the key; RC_NO_MEMORY. */
int client_assertion_sign(const struct client_assertion *a, struct buf *out,
                          struct fail *f) must_use;

#endif
