// SPDX-License-Identifier: Apache-2.0
/*
 * Keyed hash for tables whose keys a peer chooses (SipHash-2-4, Aumasson and
 * Bernstein 2012). Not for signatures or for anything on disk that must
 * outlive its key.
 */
#ifndef SIDECAR_BASE_HASH_H
#define SIDECAR_BASE_HASH_H

#include <stdint.h>
#include "sidecar/base/span.h"

struct hash_key {
    uint64_t k0, k1;
};

uint64_t hash_span(const struct hash_key *key, struct span s);

#endif
