// SPDX-License-Identifier: Apache-2.0
#include "sidecar/base/merkle.h"

#include <string.h>

#include "sidecar/base/fail.h"

/* SHA-256 of nothing. */
static const struct merkle_hash empty_root = {
    {0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4,
     0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b,
     0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55}};

void merkle_init(struct merkle *t)
{
    t->size = 0;
    t->count = 0;
}

void merkle_add(struct merkle *t, merkle_node *node,
                const struct merkle_hash *leaf)
{
    must(t->size < UINT64_MAX);
    must(t->count == (unsigned)__builtin_popcountll(t->size));
    struct merkle_hash carry = *leaf;
    /* Each trailing one bit of the old size is a peak of the carry's width. */
    for (uint64_t bits = t->size; (bits & 1) != 0; bits >>= 1)
        node(&t->peaks[--t->count], &carry, &carry);
    t->peaks[t->count++] = carry;
    t->size++;
}

void merkle_root(const struct merkle *t, merkle_node *node,
                 struct merkle_hash *ret)
{
    if (t->count == 0) {
        *ret = empty_root;
        return;
    }
    *ret = t->peaks[t->count - 1];
    for (unsigned i = t->count - 1; i > 0; i--)
        node(&t->peaks[i - 1], ret, ret);
}

bool merkle_hash_eq(const struct merkle_hash *a, const struct merkle_hash *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

/* The largest power of two below n; n > 1. */
static uint64_t split(uint64_t n)
{
    must(n > 1);
    return UINT64_C(1) << (63 - __builtin_clzll(n - 1));
}

static void reverse(struct merkle_range *r, unsigned n)
{
    for (unsigned i = 0; i < n / 2; i++) {
        struct merkle_range swap = r[i];
        r[i] = r[n - 1 - i];
        r[n - 1 - i] = swap;
    }
}

unsigned merkle_plan_inclusion(uint64_t at, uint64_t size,
                               struct merkle_range ret[MERKLE_PROOF_MAX])
{
    must(at < size);
    struct merkle_range in = {0, size};
    unsigned n = 0;
    while (in.to - in.from > 1) {
        uint64_t mid = in.from + split(in.to - in.from);
        must(n < MERKLE_PROOF_MAX);
        if (at < mid) {
            ret[n++] = (struct merkle_range){mid, in.to};
            in.to = mid;
        } else {
            ret[n++] = (struct merkle_range){in.from, mid};
            in.from = mid;
        }
    }
    reverse(ret, n);
    return n;
}

/* RFC 6962 2.1.2, SUBPROOF without the recursion: walk down to the node that
 * ends where the old tree ended. */
unsigned merkle_plan_consistency(uint64_t old, uint64_t size,
                                 struct merkle_range ret[MERKLE_PROOF_MAX])
{
    must(old > 0 && old <= size);
    struct merkle_range in = {0, size};
    unsigned n = 0;
    while (in.to != old) {
        uint64_t mid = in.from + split(in.to - in.from);
        must(n < MERKLE_PROOF_MAX - 1);
        if (old <= mid) {
            ret[n++] = (struct merkle_range){mid, in.to};
            in.to = mid;
        } else {
            ret[n++] = (struct merkle_range){in.from, mid};
            in.from = mid;
        }
    }
    if (in.from != 0)
        ret[n++] = in;
    reverse(ret, n);
    return n;
}

bool merkle_check_inclusion(merkle_node *node, uint64_t at, uint64_t size,
                            const struct merkle_hash *leaf,
                            struct merkle_proof proof,
                            const struct merkle_hash *root)
{
    if (at >= size)
        return false;
    uint64_t fn = at, sn = size - 1;
    struct merkle_hash sum = *leaf;
    for (size_t i = 0; i < proof.count; i++) {
        const struct merkle_hash *p = &proof.hashes[i];
        if (sn == 0)
            return false;
        if ((fn & 1) != 0 || fn == sn) {
            node(p, &sum, &sum);
            for (; (fn & 1) == 0 && fn != 0; fn >>= 1)
                sn >>= 1;
        } else {
            node(&sum, p, &sum);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && merkle_hash_eq(&sum, root);
}

bool merkle_range_is_node(struct merkle_range r)
{
    if (r.from >= r.to)
        return false;
    uint64_t n = r.to - r.from;
    uint64_t width = n == 1 ? 1 : split(n); /* half of what covers n > 1 */
    if (n > 1 && width > UINT64_MAX / 2)
        return r.from == 0;
    return r.from % (n == 1 ? 1 : width * 2) == 0;
}

/* Where a subtree check stands: first and last leaf of the part and last leaf
 * of the tree, all at the level reached so far. */
struct climb {
    uint64_t fn, sn, tn;
};

static void up(struct climb *c)
{
    c->fn >>= 1;
    c->sn >>= 1;
    c->tn >>= 1;
}

static bool is_nothing(const struct merkle_hash *root, size_t proof_count)
{
    return proof_count == 0 && merkle_hash_eq(root, &empty_root);
}

bool merkle_check_subtree(merkle_node *node, struct merkle_range part,
                          uint64_t size, const struct merkle_hash *part_root,
                          struct merkle_proof proof,
                          const struct merkle_hash *root)
{
    if (part.to > size)
        return false;
    if (part.from == part.to)
        return is_nothing(part_root, proof.count);
    if (!merkle_range_is_node(part))
        return false;
    struct climb c = {part.from, part.to - 1, size - 1};
    while (c.fn != c.sn && (c.sn == c.tn || (c.sn & 1) != 0))
        up(&c);
    struct merkle_hash part_sum = *part_root, sum;
    size_t i = 0;
    if (c.fn != c.sn) {
        if (proof.count == 0)
            return false;
        part_sum = proof.hashes[i++];
    }
    sum = part_sum;
    for (; i < proof.count; i++, up(&c)) {
        const struct merkle_hash *p = &proof.hashes[i];
        if (c.tn == 0)
            return false;
        if ((c.sn & 1) == 0 && c.sn != c.tn) {
            node(&sum, p, &sum);
            continue;
        }
        if (c.fn < c.sn)
            node(p, &part_sum, &part_sum);
        node(p, &sum, &sum);
        while ((c.sn & 1) == 0 && c.sn != 0)
            up(&c);
    }
    return c.tn == 0 && merkle_hash_eq(&part_sum, part_root) &&
           merkle_hash_eq(&sum, root);
}

bool merkle_check_consistency(merkle_node *node, uint64_t old, uint64_t size,
                              const struct merkle_hash *old_root,
                              struct merkle_proof proof,
                              const struct merkle_hash *root)
{
    struct merkle_range part = {0, old};
    return merkle_check_subtree(node, part, size, old_root, proof, root);
}
