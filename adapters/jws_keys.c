// SPDX-License-Identifier: Apache-2.0
#include "adapters/jws.h"

#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "adapters/json_doc.h"
#include "adapters/jws_internal.h"

#define ARENA_BYTES_MAX (8 * 1024 * 1024)
#define RSA_BITS_MAX 8192
#define RSA_EXPONENT_BITS_MAX 64

static int keys_new(struct jws_keys **ret, struct fail *f)
{
    struct jws_keys *k = mem_alloc(mem_system(), sizeof *k);
    if (k == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for keys");
    atomic_init(&k->refs, 1);
    arena_init(&k->arena, mem_system(), ARENA_BYTES_MAX);
    k->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    k->sha384 = EVP_MD_fetch(NULL, "SHA384", NULL);
    if (k->sha256 == NULL || k->sha384 == NULL) {
        jws_keys_unref(k);
        return fail(f, RC_NO_MEMORY, "no hash functions");
    }
    *ret = k;
    return 0;
}

struct jws_keys *jws_keys_ref(struct jws_keys *k)
{
    atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
    return k;
}

void jws_keys_unref(struct jws_keys *k)
{
    if (k == NULL ||
        atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (unsigned i = 0; i < k->count; i++)
        EVP_PKEY_free(k->at[i].pkey);
    EVP_MD_free(k->sha256);
    EVP_MD_free(k->sha384);
    arena_fini(&k->arena);
    mem_release(mem_system(), k);
}

unsigned jws_keys_count(const struct jws_keys *k)
{
    return k->count;
}

bool jws_keys_have(const struct jws_keys *k, struct span kid)
{
    if (k->any_kid || kid.n == 0)
        return k->count > 0;
    for (unsigned i = 0; i < k->count; i++)
        if (span_eq(k->at[i].kid, kid))
            return true;
    return false;
}

/* The subgroup that 65537 generates modulo small primes: primes made by one
 * broken generator (CVE-2017-15361) leave the modulus inside all of them. */
static bool in_subgroup(const BIGNUM *n, unsigned prime)
{
    BN_ULONG rest = BN_mod_word(n, prime);
    BN_ULONG power = 1;
    do {
        if (power == rest)
            return true;
        power = power * 65537 % prime;
    } while (power != 1);
    return false;
}

static bool has_roca_shape(const BIGNUM *n)
{
    static const unsigned char primes[] = {
        3,   5,   7,   11,  13,  17,  19,  23,  29,  31,  37,  41,  43,
        47,  53,  59,  61,  67,  71,  73,  79,  83,  89,  97,  101, 103,
        107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167};
    for (size_t i = 0; i < sizeof primes; i++)
        if (!in_subgroup(n, primes[i]))
            return false;
    return true;
}

static bool rsa_numbers_ok(const BIGNUM *n, const BIGNUM *e)
{
    return BN_is_odd(e) && BN_num_bits(e) > 1 &&
           BN_num_bits(e) <= RSA_EXPONENT_BITS_MAX && !has_roca_shape(n);
}

static bool rsa_ok(const EVP_PKEY *pkey)
{
    int bits = EVP_PKEY_get_bits(pkey);
    BIGNUM *n = NULL, *e = NULL;
    bool ok = bits >= JWS_RSA_BITS_MIN && bits <= RSA_BITS_MAX &&
              EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
              EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) == 1 &&
              rsa_numbers_ok(n, e);
    BN_free(n);
    BN_free(e);
    return ok;
}

/* Which algorithms a key can serve at all; 0 when none. */
static unsigned algs_of(const EVP_PKEY *pkey)
{
    char group[32] = "";
    size_t n = 0;
    if (EVP_PKEY_is_a(pkey, "RSA"))
        return rsa_ok(pkey) ? JWS_RS256 | JWS_PS256 : 0;
    if (EVP_PKEY_is_a(pkey, "ED25519"))
        return JWS_EDDSA;
    if (!EVP_PKEY_is_a(pkey, "EC") ||
        EVP_PKEY_get_group_name(pkey, group, sizeof group, &n) != 1)
        return 0;
    if (strcmp(group, "prime256v1") == 0)
        return JWS_ES256;
    return strcmp(group, "secp384r1") == 0 ? JWS_ES384 : 0;
}

/* The point is on the curve and not at infinity, the modulus is composite
 * (8725-R5). OpenSSL has no such check for Ed25519: any 32 bytes may be a
 * key, verification fails where they are no point. */
static bool is_sound(EVP_PKEY *pkey)
{
    if (EVP_PKEY_is_a(pkey, "ED25519"))
        return true;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    bool ok = ctx != NULL && EVP_PKEY_public_check(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

static size_t signature_bytes(const EVP_PKEY *pkey, unsigned can)
{
    if ((can & JWS_ES384) != 0)
        return 96;
    if ((can & (JWS_ES256 | JWS_EDDSA)) != 0)
        return 64;
    return ((size_t)EVP_PKEY_get_bits(pkey) + 7) / 8;
}

/* Takes `pkey`. `want` is the one algorithm that was named, or 0. True when
 * the key now is in the set; a key that fits nothing is dropped. */
static bool add_key(struct jws_keys *k, EVP_PKEY *pkey, struct span kid,
                    unsigned want)
{
    unsigned can = pkey == NULL ? 0 : algs_of(pkey);
    if (want != 0)
        can &= want;
    bool ok = can != 0 && k->count < JWS_KEYS_MAX && is_sound(pkey);
    ERR_clear_error();
    if (!ok) {
        EVP_PKEY_free(pkey);
        return false;
    }
    k->at[k->count++] = (struct jws_key){
        .kid = kid,
        .alg = can == (JWS_RS256 | JWS_PS256) ? 0 : can,
        .pkey = pkey,
        .sig_bytes = signature_bytes(pkey, can),
    };
    return true;
}

static EVP_PKEY *pkey_from(const char *type, OSSL_PARAM_BLD *bld)
{
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *pkey = NULL;
    if (params != NULL && ctx != NULL && EVP_PKEY_fromdata_init(ctx) == 1 &&
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
        pkey = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return pkey;
}

/* A base64url member of a JWK; false when absent or malformed. */
static bool member_bytes(struct mem *m, const struct doc *jwk, struct span name,
                         struct span *ret)
{
    struct span text = doc_text(jwk, name);
    return text.n > 0 && base64url_decode(m, text, ret) == 0;
}

static EVP_PKEY *rsa_from(struct mem *m, const struct doc *jwk)
{
    struct span n, e;
    if (!member_bytes(m, jwk, SPAN("n"), &n) ||
        !member_bytes(m, jwk, SPAN("e"), &e) || n.n > RSA_BITS_MAX / 8 ||
        e.n > RSA_EXPONENT_BITS_MAX / 8)
        return NULL;
    BIGNUM *bn_n = BN_bin2bn(n.p, (int)n.n, NULL);
    BIGNUM *bn_e = BN_bin2bn(e.p, (int)e.n, NULL);
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    EVP_PKEY *pkey = NULL;
    if (bn_n != NULL && bn_e != NULL && bld != NULL &&
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, bn_n) == 1 &&
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, bn_e) == 1)
        pkey = pkey_from("RSA", bld);
    OSSL_PARAM_BLD_free(bld);
    BN_free(bn_n);
    BN_free(bn_e);
    return pkey;
}

#define EC_BYTES_MAX 48

/* RFC 7518 6.2.1: coordinates have exactly the size of the field. */
static EVP_PKEY *ec_from(struct mem *m, const struct doc *jwk)
{
    struct span crv = doc_text(jwk, SPAN("crv"));
    bool p256 = span_eq(crv, SPAN("P-256"));
    size_t size = p256 ? 32 : 48;
    struct span x, y;
    if ((!p256 && !span_eq(crv, SPAN("P-384"))) ||
        !member_bytes(m, jwk, SPAN("x"), &x) ||
        !member_bytes(m, jwk, SPAN("y"), &y) || x.n != size || y.n != size)
        return NULL;
    unsigned char point[1 + 2 * EC_BYTES_MAX] = {0x04}; /* uncompressed */
    memcpy(point + 1, x.p, size);
    memcpy(point + 1 + size, y.p, size);
    const char *group = p256 ? "prime256v1" : "secp384r1";
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    EVP_PKEY *pkey = NULL;
    if (bld != NULL &&
        OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, group,
                                        0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point,
                                         1 + 2 * size) == 1)
        pkey = pkey_from("EC", bld);
    OSSL_PARAM_BLD_free(bld);
    return pkey;
}

static EVP_PKEY *okp_from(struct mem *m, const struct doc *jwk)
{
    struct span x;
    if (!span_eq(doc_text(jwk, SPAN("crv")), SPAN("Ed25519")) ||
        !member_bytes(m, jwk, SPAN("x"), &x) || x.n != 32)
        return NULL;
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x.p, x.n);
}

/* NULL for symmetric keys, unknown types and curves, malformed members. */
static EVP_PKEY *pkey_from_jwk(struct mem *m, const struct doc *jwk)
{
    struct span kty = doc_text(jwk, SPAN("kty"));
    if (span_eq(kty, SPAN("RSA")))
        return rsa_from(m, jwk);
    if (span_eq(kty, SPAN("EC")))
        return ec_from(m, jwk);
    return span_eq(kty, SPAN("OKP")) ? okp_from(m, jwk) : NULL;
}

/* 8725-R23. A key that carries its private part in a published set is known
 * to everybody: it proves nothing. */
static bool may_verify(const struct doc *jwk)
{
    if (jwk->kind != DOC_MAP || doc_get(jwk, SPAN("d")) != NULL)
        return false;
    const struct doc *use = doc_get(jwk, SPAN("use"));
    if (use != NULL &&
        (use->kind != DOC_TEXT || !span_eq(use->text, SPAN("sig"))))
        return false;
    const struct doc *ops = doc_get(jwk, SPAN("key_ops"));
    if (ops == NULL)
        return true;
    if (ops->kind != DOC_LIST)
        return false;
    DOC_EACH (op, ops)
        if (op->kind == DOC_TEXT && span_eq(op->text, SPAN("verify")))
            return true;
    return false;
}

static bool add_jwk(struct jws_keys *k, struct mem *scratch,
                    const struct doc *jwk)
{
    enum jws_alg want = (enum jws_alg)0;
    if (!may_verify(jwk))
        return false;
    const struct doc *alg = doc_get(jwk, SPAN("alg"));
    if (alg != NULL &&
        (alg->kind != DOC_TEXT || !jws_alg_from_name(alg->text, &want)))
        return false;
    struct span kid = {NULL, 0};
    const struct doc *name = doc_get(jwk, SPAN("kid"));
    if (name != NULL) {
        if (name->kind != DOC_TEXT || name->text.n > JWS_KID_MAX)
            return false;
        kid = span_of(mem_copy(&k->arena.mem, name->text), name->text.n);
        if (kid.p == NULL)
            return false;
    }
    return add_key(k, pkey_from_jwk(scratch, jwk), kid, want);
}

/* Usable or not, two keys of one name make the choice ambiguous (T4). */
static bool has_duplicate_kid(const struct doc *list)
{
    DOC_EACH (a, list) {
        struct span kid = doc_text(a, SPAN("kid"));
        for (const struct doc *b = a->next; b != NULL && kid.n > 0; b = b->next)
            if (span_eq(kid, doc_text(b, SPAN("kid"))))
                return true;
    }
    return false;
}

static int add_list(struct jws_keys *k, struct mem *scratch,
                    const struct doc *list, unsigned *ret_skipped,
                    struct fail *f)
{
    if (list->kind != DOC_LIST)
        return fail(f, RC_SYNTAX, "keys is not a list");
    if (list->count > JWS_KEYS_MAX)
        return fail(f, RC_LIMIT, "%u keys, at most %d", list->count,
                    JWS_KEYS_MAX);
    if (has_duplicate_kid(list))
        return fail(f, RC_UNTRUSTED, "two keys have the same kid");
    DOC_EACH (jwk, list)
        if (!add_jwk(k, scratch, jwk) && !add_jwk(k, scratch, jwk))
            ++*ret_skipped; /* it was not for a moment without memory */
    return 0;
}

static int load_json(struct jws_keys *k, struct mem *scratch, struct span json,
                     unsigned *ret_skipped, struct fail *f)
{
    const struct doc *d;
    int rc = json_doc_parse(scratch, json, JWS_KEYSET_BYTES_MAX, &d, f);
    if (rc < 0) {
        ignore_rc(fail_wrap(f, "key set")); /* `f` may be NULL */
        return rc;
    }
    if (d->kind != DOC_MAP)
        return fail(f, RC_SYNTAX, "key set is not a JSON object");
    const struct doc *list = doc_get(d, SPAN("keys"));
    *ret_skipped = 0;
    if (list != NULL)
        TRY(add_list(k, scratch, list, ret_skipped, f));
    else
        *ret_skipped = add_jwk(k, scratch, d) ? 0 : 1;
    if (k->count == 0)
        return fail(f, RC_UNTRUSTED, "no usable key, %u skipped", *ret_skipped);
    return 0;
}

int jws_keys_from_json(struct span json, struct jws_keys **ret,
                       unsigned *ret_skipped, struct fail *f)
{
    struct jws_keys *k;
    TRY(keys_new(&k, f));
    struct arena scratch;
    arena_init(&scratch, mem_system(), ARENA_BYTES_MAX);
    int rc = load_json(k, &scratch.mem, json, ret_skipped, f);
    arena_fini(&scratch);
    if (rc < 0)
        jws_keys_unref(k);
    else
        *ret = k;
    return rc;
}

/* No passphrases: OpenSSL would ask on the terminal. */
// NOLINTNEXTLINE(readability-non-const-parameter): pem_password_cb
static int no_passphrase(char *text, int n, int writing, void *ctx)
{
    (void)text;
    (void)n;
    (void)writing;
    (void)ctx;
    return -1;
}

static EVP_PKEY *pkey_from_certificate(BIO *in)
{
    X509 *cert = PEM_read_bio_X509(in, NULL, no_passphrase, NULL);
    EVP_PKEY *pkey = cert == NULL ? NULL : X509_get_pubkey(cert);
    X509_free(cert);
    return pkey;
}

static EVP_PKEY *pkey_from_pem(struct span pem)
{
    if (pem.n > JWS_KEYSET_BYTES_MAX)
        return NULL;
    BIO *in = BIO_new_mem_buf(pem.p, (int)pem.n);
    if (in == NULL)
        return NULL;
    EVP_PKEY *pkey = PEM_read_bio_PUBKEY(in, NULL, no_passphrase, NULL);
    if (pkey == NULL && BIO_reset(in) == 1)
        pkey = pkey_from_certificate(in);
    BIO_free(in);
    ERR_clear_error();
    return pkey;
}

int jws_keys_from_pem(struct span pem, struct span kid, enum jws_alg alg,
                      struct jws_keys **ret, struct fail *f)
{
    if (kid.n > JWS_KID_MAX)
        return fail(f, RC_LIMIT, "kid longer than %d bytes", JWS_KID_MAX);
    EVP_PKEY *pkey = pkey_from_pem(pem);
    if (pkey == NULL)
        return fail(f, RC_SYNTAX, "not a PEM public key or certificate");
    struct jws_keys *k;
    int rc = keys_new(&k, f);
    if (rc < 0) {
        EVP_PKEY_free(pkey);
        return rc;
    }
    k->any_kid = kid.n == 0;
    struct span name = span_of(mem_copy(&k->arena.mem, kid), kid.n);
    if (!add_key(k, pkey, name, alg)) {
        jws_keys_unref(k);
        return fail(f, RC_UNTRUSTED,
                    "key is too weak or does not fit the algorithm");
    }
    *ret = k;
    return 0;
}

int jws_private_pem_check(struct span pem, enum jws_alg alg, struct fail *f)
{
    if (pem.n > JWS_KEYSET_BYTES_MAX)
        return fail(f, RC_SYNTAX, "private key is too long");
    BIO *in = BIO_new_mem_buf(pem.p, (int)pem.n);
    if (in == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for a key");
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(in, NULL, no_passphrase, NULL);
    BIO_free(in);
    ERR_clear_error();
    if (pkey == NULL)
        return fail(f, RC_SYNTAX, "not a PEM private key without passphrase");
    bool fits = (algs_of(pkey) & (unsigned)alg) != 0;
    EVP_PKEY_free(pkey);
    return fits ? 0
                : fail(f, RC_UNTRUSTED, "private key does not fit %s",
                       jws_alg_name(alg));
}
