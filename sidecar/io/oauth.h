// SPDX-License-Identifier: Apache-2.0
/*
 * Who we are to others: the Authorization header for our own calls (file,
 * Basic, or an access token from the client credentials grant), and token
 * revocation (RFC 7009). Tokens and secrets are wiped and never logged; only
 * sizes and error words appear in `fail`. Loop thread only.
 */
#ifndef SIDECAR_IO_OAUTH_H
#define SIDECAR_IO_OAUTH_H

#include "sidecar/base/list.h"
#include "sidecar/config/config.h"
#include "sidecar/io/fetch.h"

#define OAUTH_SECRET_BYTES_MAX 16384
#define OAUTH_TOKEN_BYTES_MAX 16384
#define OAUTH_ANSWER_BYTES_MAX (64 * 1024)
#define OAUTH_ENTRIES_MAX 128 /* identities in use at the same time */
#define OAUTH_LIFETIME_DEFAULT_S 300
#define OAUTH_LIFETIME_MAX_S 86400
#define OAUTH_TIMEOUT_MS 10000
#define OAUTH_RETRY_MS 1000 /* after a failed grant; Retry-After wins */
#define OAUTH_RETRY_MAX_MS 60000

struct oauth;

int oauth_new(uv_loop_t *loop, struct fetch *fetch, struct oauth **ret,
              struct fail *f) must_use;

/* Embedded in the caller's request. auth and trust are borrowed until answered
 * and identify the token by their address. */
struct oauth_want {
    const struct config_auth *auth;
    const struct config_trust *trust; /* towards auth->token_url */
    /* rc 0: `header` is the value of Authorization, empty for AUTH_NONE. The
     * want may be asked again or freed inside. */
    void (*got)(struct oauth_want *w, int rc, struct span header,
                const struct fail *f);
    uint64_t token;        /* set before got: which token it is */
    struct list_link link; /* private */
};

/* `got` runs exactly once, never before this returns. One grant per identity
 * is in flight; others wait for it. */
void oauth_authorize(struct oauth *o, struct oauth_want *w);

/* The want will not be answered; legal when it is not waiting. */
void oauth_forget(struct oauth_want *w);

/* A peer answered 401 to this token: the next want fetches (or reads) a new
 * one, unless that has happened meanwhile. */
void oauth_rejected(struct oauth *o, const struct config_auth *auth,
                    uint64_t token);

/* Forgets all tokens: the configuration was replaced. Nobody may be waiting
 * with the old one. */
void oauth_reset(struct oauth *o);

enum revoke_outcome {
    REVOKE_CONFIRMED,   /* 200: gone, or was never there (7009-R3) */
    REVOKE_UNSUPPORTED, /* unsupported_token_type: final (7009-R5) */
    REVOKE_RETRY,       /* not revoked yet: 429, 5xx, timeouts (7009-R4) */
    REVOKE_REFUSED,     /* 401 invalid_client and other 4xx */
};
const char *revoke_outcome_word(enum revoke_outcome o);

struct revoke_result {
    enum revoke_outcome outcome;
    unsigned status;        /* 0: no answer */
    int64_t retry_after_ms; /* -1: not said */
    struct fail fail;       /* why not confirmed; never token bytes */
};

/* Borrowed during oauth_revoke only, except `server`: until done. */
struct revoke_req {
    const struct config_auth_server *server;
    struct span token;
    struct span hint;    /* "access_token" "refresh_token"; may be empty */
    uint32_t timeout_ms; /* 0: OAUTH_TIMEOUT_MS */
};

typedef void (*revoke_done_fn)(void *ctx, const struct revoke_result *r);

/* `done` exactly once, never before this returns. A failure here (unreadable
 * secret, no memory, limit) means that nothing was sent: retry later. */
int oauth_revoke(struct oauth *o, const struct revoke_req *req,
                 revoke_done_fn done, void *ctx, struct fail *f) must_use;

/* Everything waiting or in flight is answered with RC_CANCELLED
 * (REVOKE_RETRY), then done. Before fetch_close. */
void oauth_close(struct oauth *o, void (*done)(void *ctx), void *ctx);

#endif
