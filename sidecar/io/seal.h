// SPDX-License-Identifier: Apache-2.0
/*
 * Small secrets at rest: AES-256-GCM under a key file. What is sealed says
 * nothing about the secret but its length, and opens only with the same key and
 * the same `aad` (what the secret belongs to), so that it cannot be moved to
 * another record.
 *
 *   nonce (12, random) | ciphertext | tag (16)
 */
#ifndef SIDECAR_IO_SEAL_H
#define SIDECAR_IO_SEAL_H

#include "sidecar/base/buf.h"
#include "sidecar/base/fail.h"

#define SEAL_EXTRA_BYTES 28
#define SEAL_PLAIN_BYTES_MAX 65536

struct seal;

/* Reads the key file; seal_free wipes the key. */
int seal_open_key(struct span path, struct seal **ret, struct fail *f) must_use;
void seal_free(struct seal *s);

/* Appends to `out`. RC_TOO_LARGE beyond SEAL_PLAIN_BYTES_MAX. Thread-safe. */
int seal_put(const struct seal *s, struct span plain, struct span aad,
             struct buf *out, struct fail *f) must_use;

/* Appends the plain text to `out`, which the caller wipes (buf_fini does).
 * RC_UNTRUSTED when it was changed, belongs to another aad or another key:
 * `out` is as before then. Thread-safe. */
int seal_get(const struct seal *s, struct span sealed, struct span aad,
             struct buf *out, struct fail *f) must_use;

#endif
