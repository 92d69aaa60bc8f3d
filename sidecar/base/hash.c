// SPDX-License-Identifier: Apache-2.0
#include "sidecar/base/hash.h"

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

struct sip {
    uint64_t v0, v1, v2, v3;
};

static void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = ROTL(s->v1, 13) ^ s->v0;
    s->v0 = ROTL(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = ROTL(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = ROTL(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = ROTL(s->v1, 17) ^ s->v2;
    s->v2 = ROTL(s->v2, 32);
}

#undef ROTL

static void sip_word(struct sip *s, uint64_t m)
{
    s->v3 ^= m;
    sip_round(s);
    sip_round(s);
    s->v0 ^= m;
}

static uint64_t load_le(const unsigned char *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

uint64_t hash_span(const struct hash_key *key, struct span s)
{
    struct sip v = {
        key->k0 ^ 0x736f6d6570736575U, key->k1 ^ 0x646f72616e646f6dU,
        key->k0 ^ 0x6c7967656e657261U, key->k1 ^ 0x7465646279746573U};
    size_t whole = s.n / 8 * 8;
    for (size_t i = 0; i < whole; i += 8)
        sip_word(&v, load_le(s.p + i, 8));
    uint64_t tail = s.n > whole ? load_le(s.p + whole, s.n - whole) : 0;
    sip_word(&v, tail | (uint64_t)(s.n & 0xff) << 56);
    v.v2 ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(&v);
    return v.v0 ^ v.v1 ^ v.v2 ^ v.v3;
}
