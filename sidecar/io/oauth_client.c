// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/oauth_client.h"

#include <sys/random.h>
#include <time.h>

#include <openssl/evp.h>

#include "adapters/jwt.h"
#include "sidecar/base/number_text.h"
#include "sidecar/io/oauth.h"

#define ASSERTION_BYTES_MAX 16384

/* application/x-www-form-urlencoded (RFC 6749 appendix B). */
static void form_encode(struct buf *out, struct span s)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = s.p[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
                     (c >= 'a' && c <= 'z') || c == '-' || c == '.' ||
                     c == '_' || c == '~';
        if (plain) {
            buf_put_u8(out, c);
        } else {
            buf_put_u8(out, '%');
            buf_put_u8(out, (uint8_t)hex[c >> 4]);
            buf_put_u8(out, (uint8_t)hex[c & 15]);
        }
    }
}

void oauth_form_put(struct buf *form, const char *name, struct span value)
{
    if (form->n > 0)
        buf_put_u8(form, '&');
    buf_put_str(form, name);
    buf_put_u8(form, '=');
    form_encode(form, value);
}

static void base64_put(struct buf *out, struct span s)
{
    if (s.n > OAUTH_SECRET_BYTES_MAX * 4) {
        out->failed = true;
        return;
    }
    unsigned char *p = buf_reserve(out, (s.n + 2) / 3 * 4);
    if (p != NULL)
        out->n += (size_t)EVP_EncodeBlock(p, s.p, (int)s.n);
}

void oauth_basic_put(struct buf *header, struct span user, struct span password,
                     bool encode)
{
    struct buf pair;
    buf_init(&pair, mem_system(), OAUTH_SECRET_BYTES_MAX * 4);
    if (encode)
        form_encode(&pair, user);
    else
        buf_put(&pair, user);
    buf_put_u8(&pair, ':');
    if (encode)
        form_encode(&pair, password);
    else
        buf_put(&pair, password);
    buf_put_str(header, "Basic ");
    base64_put(header, buf_span(&pair));
    header->failed = header->failed || !buf_ok(&pair);
    buf_fini(&pair);
}

/* A file's secret and the memory it was read into. */
struct secret {
    struct span bytes;
    struct arena arena;
};

static int secret_read(struct span path, struct secret *ret, struct fail *f)
{
    arena_init(&ret->arena, mem_system(), OAUTH_SECRET_BYTES_MAX * 2);
    return config_read_file(&ret->arena.mem, path, OAUTH_SECRET_BYTES_MAX, true,
                            &ret->bytes, f);
}

static void secret_fini(struct secret *s)
{
    mem_wipe((unsigned char *)(uintptr_t)s->bytes.p, s->bytes.n);
    arena_fini(&s->arena);
}

static bool visible(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= 0x20 || s.p[i] >= 0x7f)
            return false;
    return s.n > 0;
}

static int bearer_header(const struct config_auth *a, struct buf *header,
                         struct fail *f)
{
    struct secret token CLEANUP(secret_fini) = {.bytes = {NULL, 0}};
    TRY(secret_read(a->bearer_file, &token, f));
    if (!visible(token.bytes))
        return fail(f, RC_CONFIG, "%.*s holds no bearer token",
                    PRSPAN(a->bearer_file));
    buf_put_str(header, "Bearer ");
    buf_put(header, token.bytes);
    return 0;
}

static int basic_header(const struct config_auth *a, struct buf *header,
                        struct fail *f)
{
    struct secret password CLEANUP(secret_fini) = {.bytes = {NULL, 0}};
    TRY(secret_read(a->password_file, &password, f));
    oauth_basic_put(header, a->user, password.bytes, false);
    return 0;
}

int oauth_local_header(const struct config_auth *a, struct buf *header,
                       struct fail *f)
{
    switch (a->kind) {
        case AUTH_NONE: return 0;
        case AUTH_BEARER_FILE: TRY(bearer_header(a, header, f)); break;
        case AUTH_BASIC: TRY(basic_header(a, header, f)); break;
        case AUTH_CLIENT_SECRET:
        case AUTH_PRIVATE_KEY_JWT:
            return fail(f, RC_CONFIG, "client credentials need a token_url");
    }
    return buf_ok(header) ? 0 : fail(f, RC_TOO_LARGE, "too long a secret");
}

static int secret_put(const struct config_auth *a, struct buf *header,
                      struct fail *f)
{
    struct secret secret CLEANUP(secret_fini) = {.bytes = {NULL, 0}};
    TRY(secret_read(a->client_secret_file, &secret, f));
    oauth_basic_put(header, a->client_id, secret.bytes, true);
    return 0;
}

static int sign(const struct config_auth *a, struct span audience,
                struct buf *out, struct fail *f)
{
    struct secret key CLEANUP(secret_fini) = {.bytes = {NULL, 0}};
    struct client_assertion c = {
        .client_id = a->client_id, .audience = audience, .kid = a->kid};
    unsigned char random[16];
    char jti[2 * sizeof random + 1];
    struct timespec now;
    if (!jws_alg_from_name(a->alg, &c.alg))
        return fail(f, RC_CONFIG, "no algorithm %.*s", PRSPAN(a->alg));
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return fail(f, RC_IO, "the system has no random bytes");
    hex_text(span_of(random, sizeof random), jti);
    (void)clock_gettime(CLOCK_REALTIME, &now);
    c.jti = span_str(jti);
    c.now_ms = (int64_t)now.tv_sec * 1000;
    TRY(secret_read(a->private_key_file, &key, f));
    c.key_pem = key.bytes;
    return client_assertion_sign(&c, out, f);
}

static int assertion_put(const struct config_auth *a, struct span audience,
                         struct buf *form, struct fail *f)
{
    struct buf assertion;
    buf_init(&assertion, mem_system(), ASSERTION_BYTES_MAX);
    int rc = sign(a, audience, &assertion, f);
    if (rc == 0) {
        oauth_form_put(form, "client_id", a->client_id);
        oauth_form_put(form, "client_assertion_type",
                       SPAN(CLIENT_ASSERTION_TYPE));
        oauth_form_put(form, "client_assertion", buf_span(&assertion));
    }
    buf_fini(&assertion);
    return rc;
}

int oauth_client_put(const struct config_auth *a, struct span audience,
                     struct buf *header, struct buf *form, struct fail *f)
{
    switch (a->kind) {
        case AUTH_NONE:
            if (a->client_id.n > 0) /* a public client (6749 2.3.1) */
                oauth_form_put(form, "client_id", a->client_id);
            break;
        case AUTH_BEARER_FILE:
        case AUTH_BASIC: return oauth_local_header(a, header, f);
        case AUTH_CLIENT_SECRET: TRY(secret_put(a, header, f)); break;
        case AUTH_PRIVATE_KEY_JWT:
            TRY(assertion_put(a, a->audience.n > 0 ? a->audience : audience,
                              form, f));
            break;
    }
    if (!buf_ok(header) || !buf_ok(form))
        return fail(f, RC_TOO_LARGE, "client authentication is too long");
    return 0;
}
