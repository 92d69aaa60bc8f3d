// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/oauth_client.h"

#include <openssl/evp.h>

#include "sidecar/io/oauth.h"

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

/* adapters/jwt: to be joined */
static int assertion_put(const struct config_auth *a, struct span audience,
                         struct buf *form, struct fail *f)
{
    (void)a;
    (void)audience;
    (void)form;
    return fail(f, RC_STATE, "no client assertions");
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
