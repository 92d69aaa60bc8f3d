// SPDX-License-Identifier: Apache-2.0
/* SHA-256 for sidecar/base/merkle, RFC 6962 section 2.1. One thread at a time.
 */
#ifndef SIDECAR_IO_TREE_HASH_H
#define SIDECAR_IO_TREE_HASH_H

#include "sidecar/base/fail.h"
#include "sidecar/base/merkle.h"
#include "sidecar/base/span.h"

struct tree_hash {
    struct merkle_hasher hasher; /* for the merkle_ functions */
    void *md, *ctx;              /* EVP_MD, EVP_MD_CTX */
};

int tree_hash_init(struct tree_hash *h, struct fail *f) must_use;
void tree_hash_fini(struct tree_hash *h);

/* SHA-256(0x00 || line). */
void tree_hash_leaf(struct tree_hash *h, struct span line,
                    struct merkle_hash *ret);

/* SHA-256 of two spans after each other. */
void tree_hash_plain(struct tree_hash *h, struct span a, struct span b,
                     struct merkle_hash *ret);

#endif
