// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/checkpoint.h"

#include <string.h>

#include <openssl/evp.h>

#include "sidecar/io/base64.h"
#include "sidecar/io/file.h"
#include "sidecar/io/tree_hash.h"

#define ED25519 0x01
#define SIGNATURE_BYTES 64
#define STAMP "\xe2\x80\x94 " /* em dash and space start a signature line */

struct checkpoint_key {
    EVP_PKEY *pkey;
    struct checkpoint_public public;
};

static bool is_name(struct span s)
{
    if (s.n == 0 || s.n > CHECKPOINT_NAME_MAX || !span_is_text(s))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] == '+' || s.p[i] == 0x7f)
            return false;
    return true;
}

static void keep_name(char ret[CHECKPOINT_NAME_MAX + 1], struct span s)
{
    memcpy(ret, s.p, s.n);
    ret[s.n] = 0;
}

static int find_id(struct checkpoint_public *p, struct fail *f)
{
    struct tree_hash h;
    struct merkle_hash sum;
    unsigned char tail[2 + sizeof p->key] = {'\n', ED25519};
    memcpy(tail + 2, p->key, sizeof p->key);
    TRY(tree_hash_init(&h, f));
    tree_hash_plain(&h, span_str(p->name), span_of(tail, sizeof tail), &sum);
    tree_hash_fini(&h);
    memcpy(p->id, sum.b, sizeof p->id);
    return 0;
}

int checkpoint_key_new(const unsigned char seed[32], struct span origin,
                       struct checkpoint_key **ret, struct fail *f)
{
    if (!is_name(origin))
        return fail(f, RC_CONFIG,
                    "log origin '%.*s' must be 1 to %d bytes without white "
                    "space and '+'",
                    PRSPAN(origin), CHECKPOINT_NAME_MAX);
    struct checkpoint_key *k = mem_alloc(mem_system(), sizeof *k);
    if (k == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for the log key");
    keep_name(k->public.name, origin);
    size_t n = sizeof k->public.key;
    k->pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
    int rc = 0;
    if (k->pkey == NULL ||
        EVP_PKEY_get_raw_public_key(k->pkey, k->public.key, &n) != 1)
        rc = fail(f, RC_CONFIG, "not an Ed25519 key");
    if (rc == 0)
        rc = find_id(&k->public, f);
    if (rc < 0) {
        checkpoint_key_free(k);
        return rc;
    }
    *ret = k;
    return 0;
}

void checkpoint_key_free(struct checkpoint_key *k)
{
    if (k == NULL)
        return;
    EVP_PKEY_free(k->pkey); /* OpenSSL wipes the private part */
    mem_release(mem_system(), k);
}

void checkpoint_key_public(const struct checkpoint_key *k,
                           struct checkpoint_public *ret)
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
    return ok ? 0 : fail(f, RC_NO_MEMORY, "cannot sign the checkpoint");
}

int checkpoint_sign(const struct checkpoint_key *k, uint64_t size,
                    const struct merkle_hash *root, struct buf *out,
                    struct fail *f)
{
    unsigned char stamp[4 + SIGNATURE_BYTES];
    size_t start = out->n;
    buf_printf(out, "%s\n%llu\n", k->public.name, (unsigned long long)size);
    base64_put(out, span_of(root->b, sizeof root->b));
    buf_put_u8(out, '\n');
    if (!buf_ok(out))
        return fail(f, RC_NO_MEMORY, "no memory for a checkpoint");
    memcpy(stamp, k->public.id, 4);
    TRY(sign(k->pkey, span_sub(buf_span(out), start, out->n), stamp + 4, f));
    buf_printf(out, "\n" STAMP "%s ", k->public.name);
    base64_put(out, span_of(stamp, sizeof stamp));
    buf_put_u8(out, '\n');
    return buf_ok(out) ? 0
                       : fail(f, RC_NO_MEMORY, "no memory for a checkpoint");
}

void checkpoint_public_put(struct buf *b, const struct checkpoint_public *p)
{
    unsigned char typed[1 + sizeof p->key] = {ED25519};
    memcpy(typed + 1, p->key, sizeof p->key);
    buf_printf(b, "%s+", p->name);
    buf_put_hex(b, span_of(p->id, sizeof p->id));
    buf_put_u8(b, '+');
    base64_put(b, span_of(typed, sizeof typed));
}

static bool is_hex_of(struct span hex, struct span bytes)
{
    static const char digits[] = "0123456789abcdef";
    bool same = hex.n == bytes.n * 2;
    for (size_t i = 0; same && i < bytes.n; i++)
        same = hex.p[2 * i] == (unsigned char)digits[bytes.p[i] >> 4] &&
               hex.p[2 * i + 1] == (unsigned char)digits[bytes.p[i] & 15];
    return same;
}

int checkpoint_public_get(struct span text, struct checkpoint_public *ret,
                          struct fail *f)
{
    unsigned char typed[1 + sizeof ret->key];
    text = span_sub(text, 0, span_find(text, '\n', 0));
    size_t a = span_find(text, '+', 0), b = span_find(text, '+', a + 1);
    struct span name = span_sub(text, 0, a);
    struct span id = span_sub(text, a + 1, b);
    if (!is_name(name) ||
        !base64_get(span_sub(text, b + 1, text.n), typed, sizeof typed) ||
        typed[0] != ED25519)
        return fail(f, RC_SYNTAX,
                    "not a public key line (name+id+base64, Ed25519)");
    keep_name(ret->name, name);
    memcpy(ret->key, typed + 1, sizeof ret->key);
    TRY(find_id(ret, f));
    if (!is_hex_of(id, span_of(ret->id, sizeof ret->id)))
        return fail(f, RC_SYNTAX,
                    "the id in the public key line does not fit its key");
    return 0;
}

/* The next line without its LF; false at the end or when the LF is missing. */
static bool take_line(struct span *rest, struct span *ret)
{
    size_t n = span_find(*rest, '\n', 0);
    if (n == rest->n)
        return false;
    *ret = span_sub(*rest, 0, n);
    *rest = span_sub(*rest, n + 1, rest->n);
    return true;
}

/* Canonical: no leading zero. */
static bool is_size(struct span s, uint64_t *ret)
{
    return span_u64(s, ret) && (s.n == 1 || s.p[0] != '0');
}

/* Splits a note: the signed text with its LF, the signature lines. */
static int read_note(struct span note, struct checkpoint *ret,
                     struct span *ret_signatures, struct span *ret_text,
                     struct fail *f)
{
    struct span rest = note, origin, size, root, extra;
    if (note.n > CHECKPOINT_BYTES_MAX || !span_is_text(note) ||
        !take_line(&rest, &origin) || !take_line(&rest, &size) ||
        !take_line(&rest, &root))
        return fail(f, RC_SYNTAX, "not a checkpoint");
    if (!is_name(origin) || !is_size(size, &ret->size) ||
        !base64_get(root, ret->root.b, sizeof ret->root.b))
        return fail(f, RC_SYNTAX, "origin, size or root is malformed");
    do {
        *ret_text = span_sub(note, 0, note.n - rest.n);
        if (!take_line(&rest, &extra))
            return fail(f, RC_SYNTAX, "the checkpoint has no signatures");
    } while (extra.n > 0);
    keep_name(ret->origin, origin);
    *ret_signatures = rest;
    return 0;
}

int checkpoint_read(struct span note, struct checkpoint *ret, struct fail *f)
{
    struct span signatures, text;
    return read_note(note, ret, &signatures, &text, f);
}

static bool is_signed(const struct checkpoint_public *p, struct span text,
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
                      const struct checkpoint_public *p, struct fail *f)
{
    unsigned char stamp[4 + SIGNATURE_BYTES];
    struct span lead = SPAN(STAMP);
    if (!span_starts(line, lead))
        return fail(f, RC_SYNTAX, "a signature line is malformed");
    line = span_sub(line, lead.n, line.n);
    size_t gap = span_find(line, ' ', 0);
    struct span name = span_sub(line, 0, gap);
    if (!is_name(name) || gap == line.n)
        return fail(f, RC_SYNTAX, "a signature line is malformed");
    if (!span_eq(name, span_str(p->name)) ||
        !base64_get(span_sub(line, gap + 1, line.n), stamp, sizeof stamp) ||
        memcmp(stamp, p->id, sizeof p->id) != 0)
        return 0;
    if (!is_signed(p, text, stamp + 4))
        return fail(f, RC_UNTRUSTED, "the signature of %s is wrong", p->name);
    return 1;
}

int checkpoint_open(struct span note, const struct checkpoint_public *p,
                    struct checkpoint *ret, unsigned *ret_others,
                    struct fail *f)
{
    struct span rest, text, line;
    unsigned ours = 0, others = 0;
    TRY(read_note(note, ret, &rest, &text, f));
    while (take_line(&rest, &line)) {
        int got = check_line(line, text, p, f);
        if (got < 0)
            return got;
        ours += got == 1;
        others += got == 0;
        if (ours + others > CHECKPOINT_SIGNATURES_MAX)
            return fail(f, RC_TOO_LARGE, "more than %d signatures",
                        CHECKPOINT_SIGNATURES_MAX);
    }
    if (rest.n != 0)
        return fail(f, RC_SYNTAX, "the last signature line is cut");
    if (ours == 0)
        return fail(f, RC_UNTRUSTED, "not signed by %s (it says %s)", p->name,
                    ret->origin);
    *ret_others = others;
    return 0;
}

int checkpoint_name_beside(struct span key_file,
                           char ret[CHECKPOINT_NAME_MAX + 1], struct fail *f)
{
    char path[FILE_PATH_MAX];
    struct checkpoint_public p;
    struct span text, dir = key_file;
    ret[0] = 0;
    while (dir.n > 0 && dir.p[dir.n - 1] != '/')
        dir.n--;
    TRY(file_path(path, dir.n == 0 ? SPAN(".") : dir, "log.pub", f));
    int rc = file_read(mem_system(), path, 1024, &text, f);
    if (rc == RC_UNKNOWN_NAME)
        return 0;
    TRY(rc);
    rc = checkpoint_public_get(text, &p, f);
    mem_release(mem_system(), (void *)(uintptr_t)text.p);
    if (rc < 0)
        return fail_wrap(f, "%s", path);
    keep_name(ret, span_str(p.name));
    return 0;
}
