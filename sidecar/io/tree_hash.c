// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/tree_hash.h"

#include <openssl/evp.h>

void tree_hash_plain(struct tree_hash *h, struct span a, struct span b,
                     struct merkle_hash *ret)
{
    /* With a fetched digest and a context these calls cannot fail; a wrong
     * hash must never be signed. */
    must(EVP_DigestInit_ex2(h->ctx, h->md, NULL) == 1);
    must(EVP_DigestUpdate(h->ctx, a.p, a.n) == 1);
    must(EVP_DigestUpdate(h->ctx, b.p, b.n) == 1);
    must(EVP_DigestFinal_ex(h->ctx, ret->b, NULL) == 1);
}

void tree_hash_leaf(struct tree_hash *h, struct span line,
                    struct merkle_hash *ret)
{
    tree_hash_plain(h, span_of("\0", 1), line, ret);
}

static void node(void *ctx, const struct merkle_hash *left,
                 const struct merkle_hash *right, struct merkle_hash *ret)
{
    struct tree_hash *h = ctx;
    unsigned char both[1 + 2 * MERKLE_HASH_BYTES] = {1};
    for (size_t i = 0; i < MERKLE_HASH_BYTES; i++) {
        both[1 + i] = left->b[i];
        both[1 + MERKLE_HASH_BYTES + i] = right->b[i];
    }
    tree_hash_plain(h, span_of(both, sizeof both), span_of(NULL, 0), ret);
}

int tree_hash_init(struct tree_hash *h, struct fail *f)
{
    *h = (struct tree_hash){.hasher = {node, h}};
    h->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    h->ctx = EVP_MD_CTX_new();
    if (h->md != NULL && h->ctx != NULL)
        return 0;
    tree_hash_fini(h);
    return fail(f, RC_NO_MEMORY, "no SHA-256");
}

void tree_hash_fini(struct tree_hash *h)
{
    EVP_MD_CTX_free(h->ctx);
    EVP_MD_free(h->md);
    h->ctx = h->md = NULL;
}
