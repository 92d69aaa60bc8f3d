// SPDX-License-Identifier: Apache-2.0
/* EVP allocates at each EVP_DigestInit (OpenSSL 3.0), these do not. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "sidecar/io/tree_hash.h"

#include <openssl/sha.h>

#include "sidecar/base/fail.h"

_Static_assert(MERKLE_HASH_BYTES == SHA256_DIGEST_LENGTH, "SHA-256");

void tree_hash_plain(struct span a, struct span b, struct merkle_hash *ret)
{
    SHA256_CTX c;
    must(SHA256_Init(&c) == 1);
    must(SHA256_Update(&c, a.p, a.n) == 1);
    must(SHA256_Update(&c, b.p, b.n) == 1);
    must(SHA256_Final(ret->b, &c) == 1);
}

void tree_hash_leaf(struct span line, struct merkle_hash *ret)
{
    tree_hash_plain(span_of("\0", 1), line, ret);
}

void tree_hash_node(const struct merkle_hash *left,
                    const struct merkle_hash *right, struct merkle_hash *ret)
{
    unsigned char both[1 + 2 * MERKLE_HASH_BYTES] = {1};
    for (size_t i = 0; i < MERKLE_HASH_BYTES; i++) {
        both[1 + i] = left->b[i];
        both[1 + MERKLE_HASH_BYTES + i] = right->b[i];
    }
    tree_hash_plain(span_of(both, sizeof both), span_of(NULL, 0), ret);
}
