// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/seal.h"

#include <limits.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "sidecar/io/key_file.h"

#define NONCE_BYTES 12
#define TAG_BYTES 16

struct seal {
    unsigned char key[KEY_FILE_BYTES];
};

int seal_open_key(struct span path, struct seal **ret, struct fail *f)
{
    struct seal *s = mem_alloc(mem_system(), sizeof *s);
    if (s == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for the seal key");
    int rc = key_file_read(path, s->key, f);
    if (rc < 0) {
        seal_free(s);
        return rc;
    }
    *ret = s;
    return 0;
}

void seal_free(struct seal *s)
{
    if (s == NULL)
        return;
    mem_wipe(s, sizeof *s);
    mem_release(mem_system(), s);
}

/* One pass over plain or cipher text. */
struct pass {
    const struct seal *seal;
    const unsigned char *nonce;
    struct span in, aad;
    unsigned char *out; /* in.n bytes */
    unsigned char *tag;
};

static int encrypt(EVP_CIPHER_CTX *ctx, const struct pass *p)
{
    int n;
    bool ok =
        EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, p->seal->key,
                           p->nonce) == 1 &&
        EVP_EncryptUpdate(ctx, NULL, &n, p->aad.p, (int)p->aad.n) == 1 &&
        EVP_EncryptUpdate(ctx, p->out, &n, p->in.p, (int)p->in.n) == 1 &&
        EVP_EncryptFinal_ex(ctx, p->out + n, &n) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, p->tag) == 1;
    return ok ? 0 : RC_NO_MEMORY;
}

/* Only the last of it says anything about what was sealed. */
static int decrypt(EVP_CIPHER_CTX *ctx, const struct pass *p)
{
    int n = 0;
    bool ok =
        EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, p->seal->key,
                           p->nonce) == 1 &&
        EVP_DecryptUpdate(ctx, NULL, &n, p->aad.p, (int)p->aad.n) == 1 &&
        EVP_DecryptUpdate(ctx, p->out, &n, p->in.p, (int)p->in.n) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, p->tag) == 1;
    if (!ok)
        return RC_NO_MEMORY;
    return EVP_DecryptFinal_ex(ctx, p->out + n, &n) == 1 ? 0 : RC_UNTRUSTED;
}

static int run(int (*how)(EVP_CIPHER_CTX *, const struct pass *),
               struct pass *p)
{
    static const unsigned char nothing[1];
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (p->aad.n == 0) /* NULL would mean something else to OpenSSL */
        p->aad.p = nothing;
    if (p->in.n == 0)
        p->in.p = nothing;
    int rc = ctx != NULL && p->aad.n <= INT_MAX ? how(ctx, p) : RC_NO_MEMORY;
    EVP_CIPHER_CTX_free(ctx);
    return rc;
}

int seal_put(const struct seal *s, struct span plain, struct span aad,
             struct buf *out, struct fail *f)
{
    if (plain.n > SEAL_PLAIN_BYTES_MAX)
        return fail(f, RC_TOO_LARGE, "a secret of %zu bytes", plain.n);
    unsigned char *to = buf_reserve(out, plain.n + SEAL_EXTRA_BYTES);
    if (to == NULL)
        return fail(f, RC_NO_MEMORY, "no memory to seal a secret");
    struct pass p = {s, to, plain, aad, to + NONCE_BYTES, NULL};
    p.tag = p.out + plain.n;
    if (RAND_bytes(to, NONCE_BYTES) != 1 || run(encrypt, &p) < 0)
        return fail(f, RC_NO_MEMORY, "cannot seal a secret");
    out->n += plain.n + SEAL_EXTRA_BYTES;
    return 0;
}

int seal_get(const struct seal *s, struct span sealed, struct span aad,
             struct buf *out, struct fail *f)
{
    unsigned char tag[TAG_BYTES];
    if (sealed.n < SEAL_EXTRA_BYTES ||
        sealed.n > SEAL_PLAIN_BYTES_MAX + SEAL_EXTRA_BYTES)
        return fail(f, RC_UNTRUSTED, "a sealed secret has a wrong length");
    size_t n = sealed.n - SEAL_EXTRA_BYTES;
    unsigned char *to = buf_reserve(out, n + TAG_BYTES);
    if (to == NULL)
        return fail(f, RC_NO_MEMORY, "no memory to open a secret");
    for (size_t i = 0; i < TAG_BYTES; i++)
        tag[i] = sealed.p[NONCE_BYTES + n + i];
    struct pass p = {
        .seal = s,
        .nonce = sealed.p,
        .in = span_sub(sealed, NONCE_BYTES, NONCE_BYTES + n),
        .aad = aad,
        .out = to,
        .tag = tag,
    };
    int rc = run(decrypt, &p);
    if (rc < 0)
        mem_wipe(to, n); /* unauthenticated plain text */
    if (rc == RC_UNTRUSTED)
        return fail(f, rc,
                    "a sealed secret was changed or belongs to another key");
    if (rc < 0)
        return fail(f, rc, "no memory to open a secret");
    out->n += n;
    out->p[out->n] = 0;
    return 0;
}
