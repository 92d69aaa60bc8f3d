// SPDX-License-Identifier: Apache-2.0
/*
 * SHA-256 for sidecar/base/merkle, RFC 6962 section 2.1. Allocates nothing and
 * cannot fail: a wrong hash must never be signed. Any thread.
 */
#ifndef SIDECAR_IO_TREE_HASH_H
#define SIDECAR_IO_TREE_HASH_H

#include "sidecar/base/merkle.h"
#include "sidecar/base/span.h"

/* SHA-256(0x00 || line). */
void tree_hash_leaf(struct span line, struct merkle_hash *ret);

/* SHA-256(0x01 || left || right), for the merkle_ functions. */
merkle_node tree_hash_node;

/* SHA-256 of two spans after each other. */
void tree_hash_plain(struct span a, struct span b, struct merkle_hash *ret);

#endif
