// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/note.h"

#include <string.h>

#include <openssl/evp.h>

#include "sidecar/base/merkle.h"
#include "sidecar/base/number_text.h"
#include "sidecar/io/base64.h"
#include "sidecar/io/file.h"
#include "sidecar/io/tree_hash.h"

#define ED25519 0x01
#define SIGNATURE_BYTES 64
#define STAMP "\xe2\x80\x94 " /* em dash and space start a signature line */

struct note_key {
    EVP_PKEY *pkey;
    struct note_public public;
};

bool note_is_name(struct span s)
{
    if (s.n == 0 || s.n > NOTE_NAME_MAX || !span_is_text(s))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] == '+' || s.p[i] == 0x7f)
            return false;
    return true;
}

static void keep_name(char ret[NOTE_NAME_MAX + 1], struct span s)
{
    memcpy(ret, s.p, s.n);
    ret[s.n] = 0;
}

static void find_id(struct note_public *p)
{
    struct merkle_hash sum;
    unsigned char tail[2 + sizeof p->key] = {'\n', ED25519};
    memcpy(tail + 2, p->key, sizeof p->key);
    tree_hash_plain(span_str(p->name), span_of(tail, sizeof tail), &sum);
    memcpy(p->id, sum.b, sizeof p->id);
}

int note_key_new(const unsigned char seed[32], struct span name,
                 struct note_key **ret, struct fail *f)
{
    if (!note_is_name(name))
        return fail(f, RC_CONFIG,
                    "key name '%.*s' must be 1 to %d bytes without white "
                    "space and '+'",
                    PRSPAN(name), NOTE_NAME_MAX);
    struct note_key *k = mem_alloc(mem_system(), sizeof *k);
    if (k == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for a key");
    keep_name(k->public.name, name);
    size_t n = sizeof k->public.key;
    k->pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
    if (k->pkey == NULL ||
        EVP_PKEY_get_raw_public_key(k->pkey, k->public.key, &n) != 1) {
        note_key_free(k);
        return fail(f, RC_CONFIG, "not an Ed25519 key");
    }
    find_id(&k->public);
    *ret = k;
    return 0;
}

void note_key_free(struct note_key *k)
{
    if (k == NULL)
        return;
    EVP_PKEY_free(k->pkey); /* OpenSSL wipes the private part */
    mem_release(mem_system(), k);
}

void note_key_public(const struct note_key *k, struct note_public *ret)
{
    *ret = k->public;
}

static int sign(EVP_PKEY *pkey, struct span text,
                unsigned char ret[SIGNATURE_BYTES], struct fail *f)
{
    size_t n = SIGNATURE_BYTES;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL &&
              EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
              EVP_DigestSign(ctx, ret, &n, text.p, text.n) == 1;
    EVP_MD_CTX_free(ctx);
    return ok ? 0 : fail(f, RC_NO_MEMORY, "cannot sign");
}

int note_sign(const struct note_key *k, size_t start, struct buf *out,
              struct fail *f)
{
    unsigned char stamp[4 + SIGNATURE_BYTES];
    if (!buf_ok(out))
        return fail(f, RC_NO_MEMORY, "no memory for a note");
    memcpy(stamp, k->public.id, 4);
    TRY(sign(k->pkey, span_sub(buf_span(out), start, out->n), stamp + 4, f));
    buf_printf(out, "\n" STAMP "%s ", k->public.name);
    base64_put(out, span_of(stamp, sizeof stamp));
    buf_put_u8(out, '\n');
    return buf_ok(out) ? 0 : fail(f, RC_NO_MEMORY, "no memory for a note");
}

void note_public_put(struct buf *b, const struct note_public *p)
{
    unsigned char typed[1 + sizeof p->key] = {ED25519};
    memcpy(typed + 1, p->key, sizeof p->key);
    buf_printf(b, "%s+", p->name);
    buf_put_hex(b, span_of(p->id, sizeof p->id));
    buf_put_u8(b, '+');
    base64_put(b, span_of(typed, sizeof typed));
}

int note_public_get(struct span text, struct note_public *ret, struct fail *f)
{
    unsigned char typed[1 + sizeof ret->key];
    text = span_sub(text, 0, span_find(text, '\n', 0));
    size_t a = span_find(text, '+', 0), b = span_find(text, '+', a + 1);
    struct span name = span_sub(text, 0, a);
    struct span id = span_sub(text, a + 1, b);
    if (!note_is_name(name) ||
        !base64_get(span_sub(text, b + 1, text.n), typed, sizeof typed) ||
        typed[0] != ED25519)
        return fail(f, RC_SYNTAX,
                    "not a public key line (name+id+base64, Ed25519)");
    keep_name(ret->name, name);
    memcpy(ret->key, typed + 1, sizeof ret->key);
    find_id(ret);
    if (!hex_is(id, span_of(ret->id, sizeof ret->id)))
        return fail(f, RC_SYNTAX,
                    "the id in the public key line does not fit its key");
    return 0;
}

int note_public_read(const char *path, struct note_public *ret, struct fail *f)
{
    struct span text;
    TRY(file_read(mem_system(), path, 1024, &text, f));
    int rc = note_public_get(text, ret, f);
    mem_release(mem_system(), (void *)(uintptr_t)text.p);
    return rc < 0 ? fail_wrap(f, "%s", path) : 0;
}

bool note_take_line(struct span *rest, struct span *ret)
{
    size_t n = span_find(*rest, '\n', 0);
    if (n == rest->n)
        return false;
    *ret = span_sub(*rest, 0, n);
    *rest = span_sub(*rest, n + 1, rest->n);
    return true;
}

int note_split(struct span note, struct span *ret_text,
               struct span *ret_signatures, struct fail *f)
{
    struct span rest = note, line, text;
    if (note.n > NOTE_BYTES_MAX || !span_is_text(note))
        return fail(f, RC_SYNTAX, "not a signed note");
    do {
        text = span_sub(note, 0, note.n - rest.n);
        if (!note_take_line(&rest, &line))
            return fail(f, RC_SYNTAX, "the note has no signatures");
    } while (line.n > 0);
    *ret_text = text;
    *ret_signatures = rest;
    return 0;
}

static bool is_signed(const struct note_public *p, struct span text,
                      const unsigned char signature[SIGNATURE_BYTES])
{
    EVP_PKEY *pkey =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, p->key, 32);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok =
        pkey != NULL && ctx != NULL &&
        EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
        EVP_DigestVerify(ctx, signature, SIGNATURE_BYTES, text.p, text.n) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    return ok;
}

/* One signature line: 1 by p and good, 0 by another key. */
static int check_line(struct span line, struct span text,
                      const struct note_public *p, struct fail *f)
{
    unsigned char stamp[4 + SIGNATURE_BYTES];
    struct span lead = SPAN(STAMP);
    if (!span_starts(line, lead))
        return fail(f, RC_SYNTAX, "a signature line is malformed");
    line = span_sub(line, lead.n, line.n);
    size_t gap = span_find(line, ' ', 0);
    struct span name = span_sub(line, 0, gap);
    if (!note_is_name(name) || gap == line.n)
        return fail(f, RC_SYNTAX, "a signature line is malformed");
    if (!span_eq(name, span_str(p->name)) ||
        !base64_get(span_sub(line, gap + 1, line.n), stamp, sizeof stamp) ||
        memcmp(stamp, p->id, sizeof p->id) != 0)
        return 0;
    /* Without memory OpenSSL blames the signature: a bad one is bad the second
     * time, too. */
    if (!is_signed(p, text, stamp + 4) && !is_signed(p, text, stamp + 4))
        return fail(f, RC_UNTRUSTED, "the signature of %s is wrong", p->name);
    return 1;
}

int note_check(struct span text, struct span signatures,
               const struct note_public *p, unsigned *ret_others,
               struct fail *f)
{
    struct span rest = signatures, line;
    unsigned ours = 0, others = 0;
    while (note_take_line(&rest, &line)) {
        int got = check_line(line, text, p, f);
        if (got < 0)
            return got;
        ours += got == 1;
        others += got == 0;
        if (ours + others > NOTE_SIGNATURES_MAX)
            return fail(f, RC_TOO_LARGE, "more than %d signatures",
                        NOTE_SIGNATURES_MAX);
    }
    if (rest.n != 0)
        return fail(f, RC_SYNTAX, "the last signature line is cut");
    *ret_others = others;
    return ours > 0;
}
