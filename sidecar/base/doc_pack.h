// SPDX-License-Identifier: Apache-2.0
/*
 * A document tree as bytes, for trees of which there are very many: a node is
 * its kind in one byte, then
 *
 *   TEXT: n | bytes      LIST: n | nodes      MAP: n | (n | key, node)*
 *   INT, REAL: 8 bytes   BOOL: its truth is in the kind's byte
 *
 * with n in 7-bit groups, low ones first. Positions and quoting are not kept.
 * For memory only: numbers have the byte order of the machine.
 */
#ifndef SIDECAR_BASE_DOC_PACK_H
#define SIDECAR_BASE_DOC_PACK_H

#include "sidecar/base/buf.h"
#include "sidecar/base/doc.h"
#include "sidecar/base/fail.h"

/* Appends the node and what is below it; the owner asks buf_ok. A tree deeper
 * than DOC_DEPTH_MAX latches the failure, too. */
void doc_pack(struct buf *out, const struct doc *d);

/* The parts of a map, for who packs only some members: the count, then for
 * each its key (doc_pack_key) and its node. */
void doc_pack_map(struct buf *out, size_t count);
void doc_pack_key(struct buf *out, struct span key);

/* The tree again, in `m`; its texts and keys lie in `packed`, which must live
 * as long. RC_BROKEN for bytes that are not one whole tree, RC_NO_MEMORY. */
int doc_unpack(struct mem *m, struct span packed,
               const struct doc **ret) must_use;

#endif
