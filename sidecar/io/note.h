// SPDX-License-Identifier: Apache-2.0
/*
 * C2SP signed notes with Ed25519: a text of lines, a blank line, signatures.
 *
 *   any lines
 *
 *   — bailiff/eu-1 <base64(key id (4) || signature (64))>
 *
 * The key id is SHA-256(name || LF || 0x01 || public key)[0..4). The public key
 * is written as name+hex(key id)+base64(0x01 || public key). The first line of
 * the text says what the text is; so a key signs no two kinds that could be
 * mistaken for each other.
 */
#ifndef SIDECAR_IO_NOTE_H
#define SIDECAR_IO_NOTE_H

#include "sidecar/base/buf.h"
#include "sidecar/base/fail.h"

#define NOTE_NAME_MAX 200
#define NOTE_BYTES_MAX 4096
#define NOTE_SIGNATURES_MAX 16

struct note_public {
    char name[NOTE_NAME_MAX + 1];
    unsigned char key[32];
    unsigned char id[4];
};

struct note_key; /* signs */

/* 1 to NOTE_NAME_MAX bytes of text without white space and '+'. */
bool note_is_name(struct span s);

/* From an Ed25519 seed (the caller wipes it) and the name of the key.
 * RC_CONFIG when that cannot be a name. */
int note_key_new(const unsigned char seed[32], struct span name,
                 struct note_key **ret, struct fail *f) must_use;
void note_key_free(struct note_key *k);
void note_key_public(const struct note_key *k, struct note_public *ret);

/* What is in `out` from `start` on is the text, lines that end in LF; appends
 * the blank line and the signature. */
int note_sign(const struct note_key *k, size_t start, struct buf *out,
              struct fail *f) must_use;

/* The one-line form of a public key, both ways. */
void note_public_put(struct buf *b, const struct note_public *p);
int note_public_get(struct span text, struct note_public *ret,
                    struct fail *f) must_use;

/* The public key in a file of its own. RC_UNKNOWN_NAME when there is none. */
int note_public_read(const char *path, struct note_public *ret,
                     struct fail *f) must_use;

/* The text with its last LF, and the signature lines. RC_SYNTAX when it is no
 * note. */
int note_split(struct span note, struct span *ret_text,
               struct span *ret_signatures, struct fail *f) must_use;

/* Is `text` signed by `p`? 1: yes, 0: no. RC_UNTRUSTED when wrongly, RC_SYNTAX
 * for malformed lines. Signatures of other keys are skipped and counted. */
int note_check(struct span text, struct span signatures,
               const struct note_public *p, unsigned *ret_others,
               struct fail *f) must_use;

/* The next line of `rest` without its LF; false at the end or when the LF is
 * missing. */
bool note_take_line(struct span *rest, struct span *ret);

#endif
