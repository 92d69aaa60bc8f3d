// SPDX-License-Identifier: Apache-2.0
/*
 * C2SP tlog-checkpoint in a C2SP signed note, with Ed25519:
 *
 *   bailiff/eu-1                          origin, and name of the key
 *   1234                                  lines in the tree
 *   <base64 of the root>
 *
 *   — bailiff/eu-1 <base64(key id (4) || signature (64))>
 *
 * The key id is SHA-256(name || LF || 0x01 || public key)[0..4). The public key
 * is written as name+hex(key id)+base64(0x01 || public key).
 */
#ifndef SIDECAR_IO_CHECKPOINT_H
#define SIDECAR_IO_CHECKPOINT_H

#include "sidecar/base/buf.h"
#include "sidecar/base/fail.h"
#include "sidecar/base/merkle.h"

#define CHECKPOINT_NAME_MAX 200
#define CHECKPOINT_BYTES_MAX 4096
#define CHECKPOINT_SIGNATURES_MAX 16

struct checkpoint {
    char origin[CHECKPOINT_NAME_MAX + 1];
    uint64_t size;
    struct merkle_hash root;
};

struct checkpoint_public {
    char name[CHECKPOINT_NAME_MAX + 1];
    unsigned char key[32];
    unsigned char id[4];
};

struct checkpoint_key; /* signs */

/* From an Ed25519 seed (the caller wipes it) and the origin, which names the
 * key. RC_CONFIG when the origin cannot be a name: empty, too long, with white
 * space or '+'. */
int checkpoint_key_new(const unsigned char seed[32], struct span origin,
                       struct checkpoint_key **ret, struct fail *f) must_use;
void checkpoint_key_free(struct checkpoint_key *k);
void checkpoint_key_public(const struct checkpoint_key *k,
                           struct checkpoint_public *ret);

/* Appends the signed note. */
int checkpoint_sign(const struct checkpoint_key *k, uint64_t size,
                    const struct merkle_hash *root, struct buf *out,
                    struct fail *f) must_use;

/* The one-line form of a public key, both ways. */
void checkpoint_public_put(struct buf *b, const struct checkpoint_public *p);
int checkpoint_public_get(struct span text, struct checkpoint_public *ret,
                          struct fail *f) must_use;

/* The name in log.pub beside the private key `key_file`; "" when there is no
 * such file. */
int checkpoint_name_beside(struct span key_file,
                           char ret[CHECKPOINT_NAME_MAX + 1],
                           struct fail *f) must_use;

/* Reads the body of a note without looking at signatures. RC_SYNTAX. */
int checkpoint_read(struct span note, struct checkpoint *ret,
                    struct fail *f) must_use;

/* Reads a note and checks the signature by `p`: RC_SYNTAX when it is no
 * checkpoint, RC_UNTRUSTED when p's key did not sign it. Signatures of other
 * keys (witnesses) are skipped; *ret_others counts them. */
int checkpoint_open(struct span note, const struct checkpoint_public *p,
                    struct checkpoint *ret, unsigned *ret_others,
                    struct fail *f) must_use;

#endif
