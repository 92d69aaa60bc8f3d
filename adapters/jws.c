// SPDX-License-Identifier: Apache-2.0
#include "adapters/jws.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "adapters/json_doc.h"
#include "adapters/jws_internal.h"

static const struct {
    const char *name;
    enum jws_alg alg;
} algs[] = {
    {"RS256", JWS_RS256}, {"PS256", JWS_PS256}, {"ES256", JWS_ES256},
    {"ES384", JWS_ES384}, {"EdDSA", JWS_EDDSA}, {"Ed25519", JWS_EDDSA},
};
#define ALG_COUNT (sizeof algs / sizeof algs[0])

bool jws_alg_from_name(struct span name, enum jws_alg *ret)
{
    for (size_t i = 0; i < ALG_COUNT; i++) {
        if (span_eq(name, span_str(algs[i].name))) {
            *ret = algs[i].alg;
            return true;
        }
    }
    return false;
}

const char *jws_alg_name(enum jws_alg a)
{
    for (size_t i = 0; i < ALG_COUNT; i++)
        if (algs[i].alg == a)
            return algs[i].name;
    return "none";
}

const char *jws_why_word(enum jws_why w)
{
    switch (w) {
        case JWS_OK: return "ok";
        case JWS_MALFORMED: return "malformed";
        case JWS_BAD_HEADER: return "bad_header";
        case JWS_BAD_ALG: return "bad_alg";
        case JWS_NO_KEY: return "no_key";
        case JWS_BAD_SIGNATURE: return "bad_signature";
    }
    return "unknown";
}

int jws_start(struct fail *f)
{
    if (OSSL_LIB_CTX_get0_global_default() != NULL &&
        OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL) == 1)
        return 0;
    return fail(f, RC_NO_MEMORY, "libcrypto does not start");
}

int jws_sha256(struct span bytes, unsigned char ret[JWS_SHA256_BYTES])
{
    unsigned n = 0;
    if (EVP_Digest(bytes.p, bytes.n, ret, &n, EVP_sha256(), NULL) != 1)
        return RC_NO_MEMORY;
    must(n == JWS_SHA256_BYTES);
    return 0;
}

/* A compact token cut at its two dots; spans into the token. */
struct segments {
    struct span header, payload, signature;
    struct span signed_bytes; /* "header.payload" */
};

static bool in_alphabet(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

static int split(struct span token, struct segments *ret, struct fail *f)
{
    if (token.n > JWS_TOKEN_BYTES_MAX)
        return fail(f, RC_SYNTAX, "token of %zu bytes, at most %d", token.n,
                    JWS_TOKEN_BYTES_MAX);
    for (size_t i = 0; i < token.n; i++)
        if (!in_alphabet(token.p[i]))
            return fail(f, RC_SYNTAX,
                        "byte %zu of the token is not base64url or a dot", i);
    size_t first = span_find(token, '.', 0);
    size_t second = span_find(token, '.', first + 1);
    if (first >= token.n || second >= token.n ||
        span_find(token, '.', second + 1) < token.n)
        return fail(f, RC_SYNTAX, "token is not three parts");
    ret->header = span_sub(token, 0, first);
    ret->payload = span_sub(token, first + 1, second);
    ret->signature = span_sub(token, second + 1, token.n);
    ret->signed_bytes = span_sub(token, 0, second);
    /* An empty signature is well-formed (RFC 7515 appendix A.5), and then
     * refused for its `alg` or because it does not verify. */
    if (ret->header.n == 0 || ret->payload.n == 0)
        return fail(f, RC_SYNTAX, "token has an empty part");
    if (ret->header.n > JWS_HEADER_BYTES_MAX / 3 * 4)
        return fail(f, RC_SYNTAX, "header longer than %d bytes",
                    JWS_HEADER_BYTES_MAX);
    return 0;
}

static int decode_part(struct mem *m, struct span text, const char *what,
                       struct span *ret, struct fail *f)
{
    int rc = base64url_decode(m, text, ret);
    if (rc == RC_SYNTAX)
        return fail(f, rc, "%s is not canonical base64url", what);
    return rc < 0 ? fail(f, rc, "no memory for the %s", what) : 0;
}

static int parse_object(struct mem *m, struct span text, const char *what,
                        const struct doc **ret, struct fail *f)
{
    int rc = json_doc_parse(m, text, JWS_TOKEN_BYTES_MAX, ret, f);
    if (rc < 0) {
        ignore_rc(fail_wrap(f, "%s", what)); /* `f` may be NULL */
        return rc;
    }
    if ((*ret)->kind != DOC_MAP)
        return fail(f, RC_SYNTAX, "%s is not a JSON object", what);
    return 0;
}

/* `jku`, `jwk`, `x5u`, `x5c` may be there: nothing here reads them (T5). Any
 * `crit` names an extension that we do not have (8725-R20); `b64` would change
 * what is signed (RFC 7797). */
static int check_header(const struct doc *header, struct jws *ret,
                        struct fail *f)
{
    if (doc_get(header, SPAN("crit")) != NULL)
        return fail(f, RC_UNTRUSTED, "header has crit");
    if (doc_get(header, SPAN("b64")) != NULL)
        return fail(f, RC_UNTRUSTED, "header has b64");
    const struct doc *kid = doc_get(header, SPAN("kid"));
    if (kid == NULL)
        return 0;
    if (kid->kind != DOC_TEXT || kid->text.n == 0 || kid->text.n > JWS_KID_MAX)
        return fail(f, RC_UNTRUSTED, "kid is not a text of 1 to %d bytes",
                    JWS_KID_MAX);
    ret->kid = kid->text;
    return 0;
}

static int check_alg(const struct doc *header, unsigned alg_allowed,
                     struct jws *ret, struct fail *f)
{
    const struct doc *alg = doc_get(header, SPAN("alg"));
    if (alg == NULL || alg->kind != DOC_TEXT)
        return fail(f, RC_UNTRUSTED, "header has no alg");
    if (!jws_alg_from_name(alg->text, &ret->alg) ||
        ((unsigned)ret->alg & alg_allowed) == 0)
        return fail(f, RC_UNTRUSTED, "alg is not allowed");
    return 0;
}

unsigned jws_key_alg(const struct jws_key *key, unsigned alg_allowed)
{
    if (key->alg != 0)
        return key->alg;
    unsigned rsa = alg_allowed & (JWS_RS256 | JWS_PS256);
    return rsa == JWS_PS256 ? JWS_PS256 : JWS_RS256;
}

/* With a kid: the key of that name. Without: the only key that fits the
 * algorithm, if it is the only one (standards 9.2). NULL otherwise. */
static const struct jws_key *find_key(const struct jws_keys *keys,
                                      const struct jws *token,
                                      unsigned alg_allowed)
{
    const struct jws_key *found = NULL;
    for (unsigned i = 0; i < keys->count; i++) {
        const struct jws_key *key = &keys->at[i];
        bool fits = jws_key_alg(key, alg_allowed) == (unsigned)token->alg;
        if (token->kid.n > 0)
            fits = keys->any_kid || span_eq(key->kid, token->kid);
        if (!fits)
            continue;
        if (found != NULL)
            return NULL;
        found = key;
    }
    return found;
}

#define SCALAR_BYTES_MAX 48
#define DER_BYTES_MAX (2 + 2 * (3 + SCALAR_BYTES_MAX))

/* One ASN.1 INTEGER: no leading zeros, but one where the top bit is set. */
static size_t put_der_integer(unsigned char *out, struct span raw)
{
    while (raw.n > 1 && raw.p[0] == 0)
        raw = span_sub(raw, 1, raw.n);
    size_t pad = raw.p[0] >> 7;
    out[0] = 0x02;
    out[1] = (unsigned char)(raw.n + pad);
    out[2] = 0;
    memcpy(out + 2 + pad, raw.p, raw.n);
    return 2 + pad + raw.n;
}

/* RFC 7518 3.4: r and s side by side; OpenSSL wants them in a SEQUENCE. */
static struct span ecdsa_to_der(struct span raw, unsigned char *out)
{
    size_t half = raw.n / 2;
    must(half <= SCALAR_BYTES_MAX);
    size_t n = put_der_integer(out + 2, span_sub(raw, 0, half));
    n += put_der_integer(out + 2 + n, span_sub(raw, half, raw.n));
    out[0] = 0x30;
    out[1] = (unsigned char)n;
    return span_of(out, n + 2);
}

static int start_verify(EVP_MD_CTX *ctx, const struct jws_keys *keys,
                        const struct jws_key *key, enum jws_alg alg)
{
    const EVP_MD *md = alg == JWS_ES384 ? keys->sha384 : keys->sha256;
    if (alg == JWS_EDDSA)
        md = NULL;
    EVP_PKEY_CTX *pctx = NULL; /* owned by ctx */
    if (EVP_DigestVerifyInit(ctx, &pctx, md, NULL, key->pkey) != 1)
        return RC_NO_MEMORY;
    if (alg != JWS_PS256)
        return 0;
    /* MGF1 uses the same hash unless told otherwise (7518 3.5). */
    if (EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) != 1 ||
        EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) != 1)
        return RC_NO_MEMORY;
    return 0;
}

static bool lacked_memory(void)
{
    unsigned long e;
    bool lacked = false;
    while ((e = ERR_get_error()) != 0)
        lacked = lacked || ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE;
    return lacked;
}

static int check_signature(const struct jws_keys *keys,
                           const struct jws_key *key, enum jws_alg alg,
                           struct span signed_bytes, struct span sig)
{
    unsigned char der[DER_BYTES_MAX];
    if (sig.n != key->sig_bytes)
        return RC_UNTRUSTED;
    if (alg == JWS_ES256 || alg == JWS_ES384)
        sig = ecdsa_to_der(sig, der);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx == NULL)
        return RC_NO_MEMORY;
    int rc = start_verify(ctx, keys, key, alg);
    if (rc == 0 && EVP_DigestVerify(ctx, sig.p, sig.n, signed_bytes.p,
                                    signed_bytes.n) != 1)
        rc = lacked_memory() ? RC_NO_MEMORY : RC_UNTRUSTED;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return rc;
}

/* The steps of jws_verify in their order; `*why` is what a failure of the
 * running step means. */
static int verify_steps(struct mem *m, const struct jws_keys *keys,
                        unsigned alg_allowed, const struct segments *seg,
                        struct jws *ret, enum jws_why *why, struct fail *f)
{
    struct span bytes, signature;
    *why = JWS_MALFORMED;
    TRY(decode_part(m, seg->header, "header", &bytes, f));
    TRY(parse_object(m, bytes, "header", &ret->header, f));
    TRY(decode_part(m, seg->signature, "signature", &signature, f));
    *why = JWS_BAD_HEADER;
    TRY(check_header(ret->header, ret, f));
    *why = JWS_BAD_ALG;
    TRY(check_alg(ret->header, alg_allowed, ret, f));
    *why = JWS_NO_KEY;
    const struct jws_key *key = find_key(keys, ret, alg_allowed);
    if (key == NULL)
        return fail(f, RC_UNTRUSTED, "no key for this kid and alg");
    *why = JWS_BAD_ALG;
    if (jws_key_alg(key, alg_allowed) != (unsigned)ret->alg)
        return fail(f, RC_UNTRUSTED, "alg is not the one of the key");
    *why = JWS_BAD_SIGNATURE;
    int rc = check_signature(keys, key, ret->alg, seg->signed_bytes, signature);
    /* Where an allocation fails OpenSSL mostly blames the signature, and the
     * sender must not hear that: a bad one is bad the second time, too. */
    if (rc == RC_UNTRUSTED)
        rc = check_signature(keys, key, ret->alg, seg->signed_bytes, signature);
    if (rc < 0)
        return fail(f, rc, "signature does not verify");
    *why = JWS_MALFORMED;
    return decode_part(m, seg->payload, "payload", &ret->payload, f);
}

int jws_verify(struct mem *m, const struct jws_keys *keys, unsigned alg_allowed,
               struct span token, struct jws *ret, enum jws_why *ret_why,
               struct fail *f)
{
    struct segments seg;
    *ret = (struct jws){.header = NULL};
    *ret_why = JWS_MALFORMED;
    TRY(split(token, &seg, f));
    int rc = verify_steps(m, keys, alg_allowed, &seg, ret, ret_why, f);
    if (rc == 0 || rc == RC_NO_MEMORY)
        *ret_why = JWS_OK;
    if (rc < 0)
        ret->payload = (struct span){NULL, 0};
    return rc;
}

int jws_decode_unverified(struct mem *m, struct span token,
                          const struct doc **ret_header,
                          const struct doc **ret_payload, struct fail *f)
{
    struct segments seg;
    struct span bytes;
    TRY(split(token, &seg, f));
    TRY(decode_part(m, seg.header, "header", &bytes, f));
    TRY(parse_object(m, bytes, "header", ret_header, f));
    TRY(decode_part(m, seg.payload, "payload", &bytes, f));
    return parse_object(m, bytes, "payload", ret_payload, f);
}

int jws_peek_issuer(struct mem *m, struct span token, struct span *ret_iss,
                    struct fail *f)
{
    const struct doc *header, *payload;
    TRY(jws_decode_unverified(m, token, &header, &payload, f));
    struct span iss = doc_text(payload, SPAN("iss"));
    if (iss.p == NULL)
        return fail(f, RC_SYNTAX, "payload has no iss");
    *ret_iss = iss;
    return 0;
}
