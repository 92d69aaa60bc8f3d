// SPDX-License-Identifier: Apache-2.0
/* raw_verify ALG SECONDS: how many signatures one core checks when it does
 * nothing else. Prints "verify/s N". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/lib/bench.h"

#define MESSAGES 256
#define MESSAGE_BYTES 700 /* header and payload of a usual event, encoded */

struct signed_message {
    unsigned char bytes[MESSAGE_BYTES];
    unsigned char sig[512];
    size_t sig_n;
};

static void sign(EVP_PKEY *key, struct signed_message *m, unsigned i)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    memset(m->bytes, 'a', sizeof m->bytes);
    m->bytes[0] = (unsigned char)i;
    m->sig_n = sizeof m->sig;
    BENCH_MUST(EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, key) == 1);
    BENCH_MUST(
        EVP_DigestSign(c, m->sig, &m->sig_n, m->bytes, sizeof m->bytes) == 1);
    EVP_MD_CTX_free(c);
}

static void verify(EVP_PKEY *key, EVP_MD_CTX *c, const struct signed_message *m)
{
    EVP_MD_CTX_reset(c);
    BENCH_MUST(EVP_DigestVerifyInit(c, NULL, EVP_sha256(), NULL, key) == 1);
    BENCH_MUST(
        EVP_DigestVerify(c, m->sig, m->sig_n, m->bytes, sizeof m->bytes) == 1);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        bench_die("usage: raw_verify RS256|ES256 SECONDS");
    static struct signed_message messages[MESSAGES];
    EVP_PKEY *key = bench_key(bench_alg(argv[1]));
    for (unsigned i = 0; i < MESSAGES; i++)
        sign(key, &messages[i], i);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    uint64_t start = bench_now_ns(), n = 0, now = start;
    uint64_t end = start + bench_number(argv[2]) * 1000000000U;
    for (; now < end; now = bench_now_ns())
        for (unsigned i = 0; i < 64; i++)
            verify(key, c, &messages[n++ % MESSAGES]);
    (void)printf("verify/s %.0f\n", (double)n * 1e9 / (double)(now - start));
    EVP_MD_CTX_free(c);
    EVP_PKEY_free(key);
    return 0;
}
