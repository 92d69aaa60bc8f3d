// SPDX-License-Identifier: Apache-2.0
/* A 32-byte secret in a file of its own: base64 and a line end, mode 0400. */
#ifndef SIDECAR_IO_KEY_FILE_H
#define SIDECAR_IO_KEY_FILE_H

#include "sidecar/base/fail.h"
#include "sidecar/base/span.h"

#define KEY_FILE_BYTES 32

/* RC_CONFIG when the file is missing, readable or writable by group or others,
 * or not such a secret. The caller wipes `ret`. */
int key_file_read(struct span path, unsigned char ret[KEY_FILE_BYTES],
                  struct fail *f) must_use;

/* Makes dir/name from fresh random bytes and gives them back too (the caller
 * wipes). RC_EXISTS leaves an old one as it is. */
int key_file_make(struct span dir, const char *name,
                  unsigned char ret[KEY_FILE_BYTES], struct fail *f) must_use;

#endif
