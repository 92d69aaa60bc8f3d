// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/lib/bench.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/rsa.h>

#define RAW_SIGNATURE_BYTES 64 /* ES256: R and S */
#define BACKLOG 512

void bench_die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    (void)fputc('\n', stderr);
    exit(3);
}

uint64_t bench_now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

uint64_t bench_number(const char *arg)
{
    uint64_t v = 0;
    if (!span_u64(span_str(arg), &v))
        bench_die("not a number: %s", arg);
    return v;
}

union any_address {
    struct sockaddr sa;
    struct sockaddr_un un;
    struct sockaddr_in in;
};

static socklen_t parse_address(const char *text, union any_address *ret)
{
    *ret = (union any_address){0};
    struct span s = span_str(text);
    if (span_starts(s, SPAN("unix:"))) {
        BENCH_MUST(s.n - 5 < sizeof ret->un.sun_path);
        ret->un.sun_family = AF_UNIX;
        memcpy(ret->un.sun_path, text + 5, s.n - 5);
        return sizeof ret->un;
    }
    size_t colon = span_find(s, ':', 0);
    char host[32];
    BENCH_MUST(colon < s.n && colon < sizeof host);
    memcpy(host, text, colon);
    host[colon] = 0;
    ret->in.sin_family = AF_INET;
    ret->in.sin_port = htons((uint16_t)bench_number(text + colon + 1));
    BENCH_MUST(inet_pton(AF_INET, host, &ret->in.sin_addr) == 1);
    return sizeof ret->in;
}

static int open_socket(union any_address *a)
{
    int one = 1;
    int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    BENCH_MUST(fd >= 0);
    if (a->sa.sa_family == AF_INET) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    }
    return fd;
}

int bench_connect(const char *address)
{
    union any_address a;
    socklen_t n = parse_address(address, &a);
    int fd = open_socket(&a);
    if (connect(fd, &a.sa, n) != 0)
        bench_die("cannot connect to %s", address);
    return fd;
}

int bench_listen(const char *address)
{
    union any_address a;
    socklen_t n = parse_address(address, &a);
    if (a.sa.sa_family == AF_UNIX)
        (void)unlink(a.un.sun_path);
    int fd = open_socket(&a);
    if (bind(fd, &a.sa, n) != 0 || listen(fd, BACKLOG) != 0)
        bench_die("cannot listen on %s", address);
    return fd;
}

void bench_sample(struct bench_samples *s, uint64_t ns)
{
    if (s->n == s->cap) {
        s->cap = s->cap == 0 ? 65536 : s->cap * 2;
        s->us = realloc(s->us, s->cap * sizeof s->us[0]);
        BENCH_MUST(s->us != NULL);
    }
    s->us[s->n++] = (uint32_t)(ns / 1000);
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

uint32_t bench_percentile(struct bench_samples *s, unsigned per_mille)
{
    if (s->n == 0)
        return 0;
    qsort(s->us, s->n, sizeof s->us[0], by_value);
    return s->us[(s->n - 1) * per_mille / 1000];
}

enum bench_alg bench_alg(const char *name)
{
    if (span_eq(span_str(name), SPAN("RS256")))
        return BENCH_RS256;
    if (!span_eq(span_str(name), SPAN("ES256")))
        bench_die("RS256 or ES256, not %s", name);
    return BENCH_ES256;
}

EVP_PKEY *bench_key(enum bench_alg alg)
{
    EVP_PKEY *k = alg == BENCH_RS256 ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
    BENCH_MUST(k != NULL);
    return k;
}

size_t bench_base64url(const unsigned char *p, size_t n, char *out)
{
    int len = EVP_EncodeBlock((unsigned char *)out, p, (int)n);
    while (len > 0 && out[len - 1] == '=')
        len--;
    for (int i = 0; i < len; i++)
        out[i] = (char)(out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i]);
    out[len] = 0;
    return (size_t)len;
}

/* JWS wants R and S side by side (RFC 7518 3.4), OpenSSL gives DER. */
static size_t raw_signature(unsigned char *sig, size_t n)
{
    const unsigned char *p = sig;
    ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &p, (long)n);
    BENCH_MUST(s != NULL);
    BENCH_MUST(BN_bn2binpad(ECDSA_SIG_get0_r(s), sig, 32) == 32);
    BENCH_MUST(BN_bn2binpad(ECDSA_SIG_get0_s(s), sig + 32, 32) == 32);
    ECDSA_SIG_free(s);
    return RAW_SIGNATURE_BYTES;
}

char *bench_jws(EVP_PKEY *key, enum bench_alg alg, const char *payload)
{
    char header[96];
    unsigned char sig[512];
    size_t payload_n = strlen(payload), sig_n = sizeof sig;
    int header_n =
        snprintf(header, sizeof header,
                 "{\"alg\":\"%s\",\"typ\":\"secevent+jwt\",\"kid\":\"bench\"}",
                 alg == BENCH_RS256 ? "RS256" : "ES256");
    char *jws = malloc((payload_n + sizeof header + sizeof sig) * 3 / 2 + 16);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    BENCH_MUST(jws != NULL && c != NULL);
    size_t n = bench_base64url((unsigned char *)header, (size_t)header_n, jws);
    jws[n++] = '.';
    n += bench_base64url((const unsigned char *)payload, payload_n, jws + n);
    BENCH_MUST(EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, key) == 1);
    BENCH_MUST(EVP_DigestSign(c, sig, &sig_n, (unsigned char *)jws, n) == 1);
    EVP_MD_CTX_free(c);
    if (alg == BENCH_ES256)
        sig_n = raw_signature(sig, sig_n);
    jws[n++] = '.';
    (void)bench_base64url(sig, sig_n, jws + n);
    return jws;
}

static void number_member(FILE *out, EVP_PKEY *key, const char *member,
                          const char *param, int width)
{
    BIGNUM *v = NULL;
    unsigned char bytes[512];
    char text[sizeof bytes * 4 / 3 + 8];
    BENCH_MUST(EVP_PKEY_get_bn_param(key, param, &v) == 1);
    int n = width > 0 ? BN_bn2binpad(v, bytes, width) : BN_bn2bin(v, bytes);
    BN_free(v);
    BENCH_MUST(n > 0);
    (void)bench_base64url(bytes, (size_t)n, text);
    (void)fprintf(out, ",\"%s\":\"%s\"", member, text);
}

void bench_write_jwks(EVP_PKEY *key, enum bench_alg alg, const char *path)
{
    FILE *out = fopen(path, "w");
    if (out == NULL)
        bench_die("cannot write %s", path);
    (void)fprintf(out, "{\"keys\":[{\"kid\":\"bench\",\"use\":\"sig\"");
    if (alg == BENCH_RS256) {
        (void)fprintf(out, ",\"kty\":\"RSA\",\"alg\":\"RS256\"");
        number_member(out, key, "n", OSSL_PKEY_PARAM_RSA_N, 0);
        number_member(out, key, "e", OSSL_PKEY_PARAM_RSA_E, 0);
    } else {
        (void)fprintf(out,
                      ",\"kty\":\"EC\",\"crv\":\"P-256\","
                      "\"alg\":\"ES256\"");
        number_member(out, key, "x", OSSL_PKEY_PARAM_EC_PUB_X, 32);
        number_member(out, key, "y", OSSL_PKEY_PARAM_EC_PUB_Y, 32);
    }
    (void)fprintf(out, "}]}\n");
    BENCH_MUST(fclose(out) == 0);
}
