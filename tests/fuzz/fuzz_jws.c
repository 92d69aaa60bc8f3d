// SPDX-License-Identifier: Apache-2.0
#include "adapters/jws.h"
#include "sidecar/base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* The public key of RFC 7517 A.1; nobody here can sign with it. */
static const char jwk[] =
    "{\"kty\":\"EC\",\"crv\":\"P-256\","
    "\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\","
    "\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\"}";

/* The input as a token and as a key set: no token is ever accepted. */
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct arena arena;
    struct jws_keys *fixed = NULL, *keys = NULL;
    struct jws found;
    enum jws_why why;
    unsigned skipped;
    struct span bytes;
    arena_init(&arena, mem_system(), 64 * 1024 * 1024);
    must(jws_keys_from_json(span_str(jwk), &fixed, &skipped, NULL) == 0);
    must(jws_verify(&arena.mem, fixed, JWS_ALG_ALL, span_of(p, n), &found, &why,
                    NULL) < 0);
    must(why != JWS_OK);
    if (jws_keys_from_json(span_of(p, n), &keys, &skipped, NULL) == 0)
        must(jws_keys_count(keys) > 0);
    if (base64url_decode(&arena.mem, span_of(p, n), &bytes) == 0) {
        struct buf out;
        buf_init(&out, &arena.mem, 2 * n + 16);
        base64url_encode(bytes, &out);
        must(span_eq(buf_span(&out), span_of(p, n)));
    }
    jws_keys_unref(keys);
    jws_keys_unref(fixed);
    arena_fini(&arena);
    return 0;
}
