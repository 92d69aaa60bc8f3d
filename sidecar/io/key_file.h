// SPDX-License-Identifier: Apache-2.0
/* A 32-byte secret in a file of its own: base64 and a line end, mode 0400. */
#ifndef SIDECAR_IO_KEY_FILE_H
#define SIDECAR_IO_KEY_FILE_H

#include "sidecar/base/buf.h"
#include "sidecar/base/fail.h"

#define KEY_FILE_BYTES 32

/* RC_CONFIG when the file is missing, readable or writable by group or others,
 * or not such a secret. The caller wipes `ret`. */
int key_file_read(struct span path, unsigned char ret[KEY_FILE_BYTES],
                  struct fail *f) must_use;

/* Makes dir/name from fresh random bytes and gives them back too (the caller
 * wipes). RC_EXISTS leaves an old one as it is. */
int key_file_make(struct span dir, const char *name,
                  unsigned char ret[KEY_FILE_BYTES], struct fail *f) must_use;

/* Makes dir/key_name, the seed of an Ed25519 key called `name`, and
 * dir/pub_name with its public line, which is appended to `line` as well.
 * RC_CONFIG when that cannot be a name (then nothing is made), RC_EXISTS leaves
 * an old key as it is. */
int key_file_make_pair(struct span dir, const char *key_name,
                       const char *pub_name, struct span name, struct buf *line,
                       struct fail *f) must_use;

#endif
