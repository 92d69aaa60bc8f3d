// SPDX-License-Identifier: Apache-2.0
/*
 * The append-only tree of RFC 6962 section 2.1: a root over leaf hashes that
 * grows one leaf at a time in 64 hashes of memory, and proofs over it. How two
 * nodes are hashed is given by the caller, so that this stays a leaf module.
 *
 * Proofs are planned as ranges of leaves: the roots of these ranges, in order,
 * are the proof. One pass over the leaves, one struct merkle per range, makes
 * any proof.
 */
#ifndef SIDECAR_BASE_MERKLE_H
#define SIDECAR_BASE_MERKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MERKLE_HASH_BYTES 32
#define MERKLE_DEPTH_MAX 64
#define MERKLE_PROOF_MAX (MERKLE_DEPTH_MAX + 1)

struct merkle_hash {
    unsigned char b[MERKLE_HASH_BYTES];
};

/* SHA-256(0x01 || left || right); `ret` may be one of the inputs. */
typedef void merkle_node(const struct merkle_hash *left,
                         const struct merkle_hash *right,
                         struct merkle_hash *ret);

/* Roots of the perfect subtrees that cover the leaves so far, widest first:
 * one for each set bit of `size`. Plain bytes: may be copied and stored. */
struct merkle {
    uint64_t size;
    unsigned count;
    struct merkle_hash peaks[MERKLE_DEPTH_MAX];
};

void merkle_init(struct merkle *t);

/* Adds SHA-256(0x00 || leaf). */
void merkle_add(struct merkle *t, merkle_node *node,
                const struct merkle_hash *leaf);

/* The root; of an empty tree SHA-256 of nothing. */
void merkle_root(const struct merkle *t, merkle_node *node,
                 struct merkle_hash *ret);

bool merkle_hash_eq(const struct merkle_hash *a, const struct merkle_hash *b);

struct merkle_range {
    uint64_t from, to; /* leaves from <= i < to */
};

/* The ranges of an inclusion proof for leaf `at` < size. Returns how many. */
unsigned merkle_plan_inclusion(uint64_t at, uint64_t size,
                               struct merkle_range ret[MERKLE_PROOF_MAX]);

/* The ranges of a consistency proof, 0 < old <= size. */
unsigned merkle_plan_consistency(uint64_t old, uint64_t size,
                                 struct merkle_range ret[MERKLE_PROOF_MAX]);

struct merkle_proof {
    const struct merkle_hash *hashes;
    size_t count;
};

/* True when the proof shows that `leaf` is at `at` in the tree. */
bool merkle_check_inclusion(merkle_node *node, uint64_t at, uint64_t size,
                            const struct merkle_hash *leaf,
                            struct merkle_proof proof,
                            const struct merkle_hash *root);

/* True when the proof shows that the leaves [from, to), hashed as a tree of
 * their own, are in the tree of `size` leaves. [from, to) must be a node:
 * from == 0 or a multiple of the power of two that covers to - from. An empty
 * range is in every tree that reaches it and needs an empty proof. */
bool merkle_check_subtree(merkle_node *node, struct merkle_range part,
                          uint64_t size, const struct merkle_hash *part_root,
                          struct merkle_proof proof,
                          const struct merkle_hash *root);

/* True when the tree of `old` leaves is the beginning of the other. */
bool merkle_check_consistency(merkle_node *node, uint64_t old, uint64_t size,
                              const struct merkle_hash *old_root,
                              struct merkle_proof proof,
                              const struct merkle_hash *root);

/* True when [from, to) is a node of a tree, see merkle_check_subtree. */
bool merkle_range_is_node(struct merkle_range r);

#endif
