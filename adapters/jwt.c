// SPDX-License-Identifier: Apache-2.0
#include "adapters/jwt.h"

#include <jwt.h>

#include "sidecar/base/json_out.h"

#define ARENA_BYTES_MAX (256 * 1024)

/* libjwt takes NUL-terminated text; ours has no NUL inside. */
static int text_of(struct mem *m, struct span s, const char *what,
                   const char **ret, struct fail *f)
{
    if (s.n == 0 || s.n > CLIENT_ASSERTION_TEXT_MAX || !span_is_text(s))
        return fail(f, RC_INVALID, "%s is not a text of 1 to %d bytes", what,
                    CLIENT_ASSERTION_TEXT_MAX);
    *ret = (const char *)mem_copy(m, s);
    return *ret == NULL ? fail(f, RC_NO_MEMORY, "no memory for %s", what) : 0;
}

#define TYP "client-authentication+jwt"

/* libjwt 1.12 and newer keep a typ that is there already; 1.10 writes JWT over
 * it, see keep_typ. */
static int put_header(jwt_t *jwt, struct mem *m,
                      const struct client_assertion *a, struct fail *f)
{
    const char *kid = NULL;
    if (a->kid.n > 0)
        TRY(text_of(m, a->kid, "kid", &kid, f));
    if (jwt_add_header(jwt, "typ", TYP) != 0 ||
        (kid != NULL && jwt_add_header(jwt, "kid", kid) != 0))
        return fail(f, RC_NO_MEMORY, "no memory for an assertion");
    return 0;
}

static int put_claims(jwt_t *jwt, struct mem *m,
                      const struct client_assertion *a, struct fail *f)
{
    const char *client_id, *audience, *jti;
    TRY(text_of(m, a->client_id, "client id", &client_id, f));
    TRY(text_of(m, a->audience, "audience", &audience, f));
    TRY(text_of(m, a->jti, "jti", &jti, f));
    long now_s = (long)(a->now_ms / 1000);
    if (jwt_add_grant(jwt, "iss", client_id) != 0 ||
        jwt_add_grant(jwt, "sub", client_id) != 0 ||
        jwt_add_grant(jwt, "aud", audience) != 0 ||
        jwt_add_grant(jwt, "jti", jti) != 0 ||
        jwt_add_grant_int(jwt, "iat", now_s) != 0 ||
        jwt_add_grant_int(jwt, "exp", now_s + CLIENT_ASSERTION_SECONDS) != 0)
        return fail(f, RC_NO_MEMORY, "no memory for an assertion");
    return 0;
}

/* What libjwt 1.10 cannot write: the header with our typ, in front of the
 * claims as they are, signed anew. */
static int sign_again(const struct client_assertion *a, struct span claims,
                      struct buf *out, struct fail *f)
{
    struct buf header;
    struct json_out j;
    size_t from = out->n;
    buf_init(&header, mem_system(), 2 * CLIENT_ASSERTION_TEXT_MAX);
    json_out_init(&j, &header);
    json_open_map(&j, NULL);
    json_str(&j, "alg", jws_alg_name(a->alg));
    if (a->kid.n > 0)
        json_text(&j, "kid", a->kid);
    json_str(&j, "typ", TYP);
    json_close_map(&j);
    base64url_encode(buf_span(&header), out);
    bool ok = buf_ok(&header);
    buf_fini(&header);
    buf_put_u8(out, '.');
    buf_put(out, claims);
    if (!ok || !buf_ok(out))
        return fail(f, RC_NO_MEMORY, "no room for an assertion");
    /* Signed bytes and signature share a buffer that may move. */
    struct buf signature;
    buf_init(&signature, mem_system(), CLIENT_ASSERTION_TEXT_MAX);
    int rc = jws_sign_pem(a->key_pem, a->alg,
                          span_sub(buf_span(out), from, out->n), &signature, f);
    buf_put_u8(out, '.');
    buf_put(out, buf_span(&signature));
    buf_fini(&signature);
    return rc;
}

static int keep_typ(struct mem *m, const struct client_assertion *a,
                    struct span token, struct buf *out, struct fail *f)
{
    const struct doc *header, *claims;
    TRY(jws_decode_unverified(m, token, &header, &claims, f));
    if (span_eq(doc_text(header, SPAN("typ")), SPAN(TYP))) {
        buf_put(out, token);
    } else {
        size_t dot = span_find(token, '.', 0) + 1;
        TRY(sign_again(a, span_sub(token, dot, span_find(token, '.', dot)), out,
                       f));
    }
    return buf_ok(out) ? 0 : fail(f, RC_NO_MEMORY, "no room for an assertion");
}

static int encode(jwt_t *jwt, struct mem *m, const struct client_assertion *a,
                  struct buf *out, struct fail *f)
{
    jwt_alg_t alg = a->alg == JWS_ES256 ? JWT_ALG_ES256 : JWT_ALG_RS256;
    if (jwt_set_alg(jwt, alg, a->key_pem.p, (int)a->key_pem.n) != 0)
        return fail(f, RC_NO_MEMORY, "no memory for an assertion");
    char *text = jwt_encode_str(jwt);
    if (text == NULL)
        return fail(f, RC_INVALID, "assertion cannot be signed");
    int rc = keep_typ(m, a, span_str(text), out, f);
    /* From malloc: libjwt 1.10 has no call to give it back. */
    mem_release(mem_system(), text);
    return rc;
}

int client_assertion_sign(const struct client_assertion *a, struct buf *out,
                          struct fail *f)
{
    if (a->alg != JWS_RS256 && a->alg != JWS_ES256)
        return fail(f, RC_INVALID, "assertions are signed with RS256 or ES256");
    /* libjwt signs with any curve and any size of key. */
    TRY(jws_private_pem_check(a->key_pem, a->alg, f));
    jwt_t *jwt = NULL;
    if (jwt_new(&jwt) != 0)
        return fail(f, RC_NO_MEMORY, "no memory for an assertion");
    struct arena arena;
    arena_init(&arena, mem_system(), ARENA_BYTES_MAX);
    int rc = put_header(jwt, &arena.mem, a, f);
    if (rc == 0)
        rc = put_claims(jwt, &arena.mem, a, f);
    if (rc == 0)
        rc = encode(jwt, &arena.mem, a, out, f);
    jwt_free(jwt); /* wipes its copy of the key */
    arena_fini(&arena);
    return rc;
}
