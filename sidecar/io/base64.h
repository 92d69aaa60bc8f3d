// SPDX-License-Identifier: Apache-2.0
/* Standard base64 with padding (RFC 4648 section 4), as C2SP notes and key
 * files use it. */
#ifndef SIDECAR_IO_BASE64_H
#define SIDECAR_IO_BASE64_H

#include "sidecar/base/buf.h"

#define BASE64_BYTES_MAX 1024

/* n <= BASE64_BYTES_MAX. */
void base64_put(struct buf *b, struct span bytes);

/* Exactly `n` bytes, in the one canonical spelling; otherwise false. */
bool base64_get(struct span text, unsigned char *ret, size_t n);

#endif
