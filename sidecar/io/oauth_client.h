// SPDX-License-Identifier: Apache-2.0
/*
 * How a client authenticates to an authorization server (RFC 6749 2.3, RFC
 * 7523): exactly one method per request (6749-R1). Used by oauth.c for the
 * token and the revocation endpoint.
 */
#ifndef SIDECAR_IO_OAUTH_CLIENT_H
#define SIDECAR_IO_OAUTH_CLIENT_H

#include "sidecar/base/buf.h"
#include "sidecar/config/config.h"

/* "&name=value" (no "&" at the start of `form`), form-encoded. */
void oauth_form_put(struct buf *form, const char *name, struct span value);

/* "Basic " and base64(user:password); `encode` form-encodes both before
 * (6749-R2). */
void oauth_basic_put(struct buf *header, struct span user, struct span password,
                     bool encode);

/* "Bearer TOKEN" or "Basic ..." from files; RC_CONFIG for kinds that need a
 * token endpoint, or bytes that do not belong into a header. */
int oauth_local_header(const struct config_auth *a, struct buf *header,
                       struct fail *f) must_use;

/* Adds client authentication for an endpoint of the server `audience` (its
 * issuer) to the header value and the form. Every call makes a new assertion
 * with a new jti (7523-R3). */
int oauth_client_put(const struct config_auth *a, struct span audience,
                     struct buf *header, struct buf *form,
                     struct fail *f) must_use;

#endif
