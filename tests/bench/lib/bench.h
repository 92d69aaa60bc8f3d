// SPDX-License-Identifier: Apache-2.0
/*
 * What the load generators and the bare servers share: addresses, time,
 * percentiles. These programs stop with a message at the first surprise; a
 * figure from a run with errors would be worth nothing.
 */
#ifndef TESTS_BENCH_LIB_BENCH_H
#define TESTS_BENCH_LIB_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <openssl/evp.h>
#include "sidecar/base/span.h"

/* Prints and exits 3. */
void bench_die(const char *fmt, ...)
    __attribute__((noreturn, format(printf, 1, 2)));

#define BENCH_MUST(cond)                                                       \
    do {                                                                       \
        if (!(cond))                                                           \
            bench_die("%s:%d: %s", __FILE__, __LINE__, #cond);                 \
    } while (0)

uint64_t bench_now_ns(void);

/* Decimal argument; dies on anything else. */
uint64_t bench_number(const char *arg);

/* "unix:/path" or "127.0.0.1:port"; TCP_NODELAY is set. Blocking sockets. */
int bench_connect(const char *address);
int bench_listen(const char *address);

/* Durations of one run, for percentiles. */
struct bench_samples {
    uint32_t *us;
    size_t n, cap;
};
void bench_sample(struct bench_samples *s, uint64_t ns);
/* Sorts; per_mille 500 is the median. 0 without samples. */
uint32_t bench_percentile(struct bench_samples *s, unsigned per_mille);

enum bench_alg { BENCH_RS256, BENCH_ES256 };
enum bench_alg bench_alg(const char *name);
EVP_PKEY *bench_key(enum bench_alg alg);

/* base64url without padding; `out` has room for 4/3 n + 4. Returns length. */
size_t bench_base64url(const unsigned char *p, size_t n, char *out);

/* A compact JWS over `payload` with kid "bench", NUL-terminated, malloc'ed. */
char *bench_jws(EVP_PKEY *key, enum bench_alg alg, const char *payload);

/* The public key as a JWKS document with kid "bench". */
void bench_write_jwks(EVP_PKEY *key, enum bench_alg alg, const char *path);

#endif
