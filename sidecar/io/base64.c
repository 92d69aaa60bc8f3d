// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/base64.h"

#include <string.h>

#include <openssl/evp.h>

#include "sidecar/base/fail.h"

#define TEXT_MAX (BASE64_BYTES_MAX / 3 * 4 + 8)

void base64_put(struct buf *b, struct span bytes)
{
    unsigned char text[TEXT_MAX];
    must(bytes.n <= BASE64_BYTES_MAX);
    int n = EVP_EncodeBlock(text, bytes.p, (int)bytes.n);
    buf_put(b, span_of(text, (size_t)n));
    mem_wipe(text, sizeof text);
}

bool base64_get(struct span text, unsigned char *ret, size_t n)
{
    unsigned char bytes[BASE64_BYTES_MAX + 8], again[TEXT_MAX];
    if (n > BASE64_BYTES_MAX || text.n != (n + 2) / 3 * 4)
        return false;
    /* OpenSSL decodes leniently: encoding again shows what it overlooked. */
    bool ok = EVP_DecodeBlock(bytes, text.p, (int)text.n) >= (int)n;
    if (ok) {
        int m = EVP_EncodeBlock(again, bytes, (int)n);
        ok = span_eq_secret(text, span_of(again, (size_t)m));
    }
    if (ok)
        memcpy(ret, bytes, n);
    mem_wipe(bytes, sizeof bytes);
    mem_wipe(again, sizeof again);
    return ok;
}
