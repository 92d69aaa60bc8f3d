// SPDX-License-Identifier: Apache-2.0
/*
 * C2SP tlog-checkpoint in a signed note (sidecar/io/note.h):
 *
 *   bailiff/eu-1                          origin, and name of the key
 *   1234                                  lines in the tree
 *   <base64 of the root>
 *
 *   — bailiff/eu-1 <signature>
 */
#ifndef SIDECAR_IO_CHECKPOINT_H
#define SIDECAR_IO_CHECKPOINT_H

#include "sidecar/base/merkle.h"
#include "sidecar/io/note.h"

#define CHECKPOINT_BYTES_MAX NOTE_BYTES_MAX

struct checkpoint {
    char origin[NOTE_NAME_MAX + 1];
    uint64_t size;
    struct merkle_hash root;
};

/* Appends the signed note. */
int checkpoint_sign(const struct note_key *k, uint64_t size,
                    const struct merkle_hash *root, struct buf *out,
                    struct fail *f) must_use;

/* The name in log.pub beside the private key `key_file`; "" when there is no
 * such file. */
int checkpoint_name_beside(struct span key_file, char ret[NOTE_NAME_MAX + 1],
                           struct fail *f) must_use;

/* Reads the body of a note without looking at signatures. RC_SYNTAX. */
int checkpoint_read(struct span note, struct checkpoint *ret,
                    struct fail *f) must_use;

/* Reads a note and checks the signature by `p`: RC_SYNTAX when it is no
 * checkpoint, RC_UNTRUSTED when p's key did not sign it. Signatures of other
 * keys (witnesses) are skipped; *ret_others counts them. */
int checkpoint_open(struct span note, const struct note_public *p,
                    struct checkpoint *ret, unsigned *ret_others,
                    struct fail *f) must_use;

#endif
