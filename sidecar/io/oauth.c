// SPDX-License-Identifier: Apache-2.0
/*
 * One entry per identity:
 *
 *   EMPTY --(want)--> file read or grant in flight --> READY --(401)--> EMPTY
 *                              `--> FAILED until retry_ms --(want)--> grant
 *
 * READY is renewed in the background once 80 % of its life is over. All
 * answers leave from `serve`, which only the timer and a finished grant call.
 */
#include "sidecar/io/oauth.h"

#include <time.h>

#include "adapters/json_doc.h"
#include "sidecar/io/oauth_client.h"

#define NEVER_MS INT64_MAX
#define FORM_BYTES_MAX (128 * 1024)

struct entry {
    struct list_link link;
    struct oauth *o;
    const struct config_auth *auth;
    const struct config_trust *trust;
    struct list waiting;
    struct list answering;    /* taken from `waiting`, while answer_all runs */
    struct fetch_call *grant; /* in flight, or NULL */
    struct buf header;
    uint64_t token; /* number of the token in `header`; 0: none */
    int64_t refresh_ms, expires_ms;
    int64_t retry_ms; /* no new grant before */
    struct fail fail; /* of the last grant; rc 0: none */
    bool drop;        /* the grant's result is not wanted any more */
};

struct revoke {
    struct list_link link;
    struct oauth *o;
    struct fetch_call *call;
    revoke_done_fn done;
    void *ctx;
};

struct oauth {
    uv_loop_t *loop;
    struct fetch *fetch;
    uv_timer_t timer;
    struct list entries, revokes;
    struct list refused; /* wants for which there was no memory */
    unsigned entry_count;
    uint64_t tokens; /* numbers given out */
    bool closing, timer_closed;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static int64_t now_ms(const struct oauth *o)
{
    return (int64_t)uv_now(o->loop);
}

static int64_t wall_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* --- the grant (RFC 6749 4.4) --- */

static int parse_token(struct mem *m, struct span body, struct buf *header,
                       int64_t *ret_life_s, struct fail *f)
{
    const struct doc *d;
    TRY(json_doc_parse(m, body, OAUTH_ANSWER_BYTES_MAX, &d, f));
    struct span token = doc_text(d, SPAN("access_token"));
    struct span type = doc_text(d, SPAN("token_type"));
    const struct doc *life = doc_get(d, SPAN("expires_in"));
    if (token.n == 0 || token.n > OAUTH_TOKEN_BYTES_MAX)
        return fail(f, RC_PROTOCOL, "the token answer has no access_token");
    if (!span_ieq(type, SPAN("bearer"))) /* 6749-R3 */
        return fail(f, RC_PROTOCOL, "token_type is not Bearer");
    for (size_t i = 0; i < token.n; i++)
        if (token.p[i] <= 0x20 || token.p[i] >= 0x7f)
            return fail(f, RC_PROTOCOL, "access_token has unusable bytes");
    *ret_life_s = OAUTH_LIFETIME_DEFAULT_S;
    if (life != NULL && (life->kind == DOC_INT || life->kind == DOC_REAL))
        *ret_life_s = life->real < 1                      ? 1
                      : life->real > OAUTH_LIFETIME_MAX_S ? OAUTH_LIFETIME_MAX_S
                                                          : (int64_t)life->real;
    buf_clear(header);
    buf_put_str(header, "Bearer ");
    buf_put(header, token);
    return buf_ok(header) ? 0 : fail(f, RC_NO_MEMORY, "no memory for a token");
}

/* The registered error word of an RFC 6749 5.2 body, or "". */
static struct span error_word(struct mem *m, struct span body)
{
    const struct doc *d;
    if (json_doc_parse(m, body, OAUTH_ANSWER_BYTES_MAX, &d, NULL) < 0)
        return SPAN("");
    struct span word = doc_text(d, SPAN("error"));
    for (size_t i = 0; i < word.n; i++)
        if (word.p[i] <= 0x20 || word.p[i] >= 0x7f)
            return SPAN("");
    return span_sub(word, 0, 64);
}

static void entry_set(struct entry *e, int64_t life_ms)
{
    int64_t now = now_ms(e->o);
    e->token = ++e->o->tokens;
    e->fail.rc = 0;
    e->retry_ms = 0;
    e->expires_ms = life_ms == NEVER_MS ? NEVER_MS : now + life_ms;
    e->refresh_ms = life_ms == NEVER_MS ? NEVER_MS : now + life_ms / 5 * 4;
}

static void entry_drop(struct entry *e)
{
    mem_wipe(e->header.p, e->header.cap);
    buf_clear(&e->header);
    e->token = 0;
}

static void serve(struct entry *e);
static void entry_free(struct entry *e);
static void on_timer(uv_timer_t *t);

static int grant_answer(struct entry *e, struct fetch_call *c,
                        const struct fetch_result *r, struct fail *f)
{
    struct arena a;
    int64_t life_s = 0;
    int rc;
    arena_init(&a, mem_system(), 16 * OAUTH_ANSWER_BYTES_MAX);
    if (r->rc != 0) {
        *f = r->fail;
        rc = r->rc;
    } else if (r->status == 200) {
        rc = parse_token(&a.mem, r->body, &e->header, &life_s, f);
        if (rc == 0)
            entry_set(e, life_s * 1000);
    } else {
        int64_t wait = fetch_retry_after_ms(c, wall_ms());
        struct span word = error_word(&a.mem, r->body);
        e->retry_ms = wait > OAUTH_RETRY_MAX_MS ? OAUTH_RETRY_MAX_MS : wait;
        rc = fail(
            f,
            r->status == 429 || r->status >= 500 ? RC_UNAVAILABLE : RC_REFUSED,
            "the token endpoint answered %u %.*s", r->status, PRSPAN(word));
    }
    arena_fini(&a);
    return rc;
}

static void on_grant(void *ctx, struct fetch_call *c,
                     const struct fetch_result *r)
{
    struct entry *e = ctx;
    struct fail f = {.rc = 0};
    struct oauth *o = e->o;
    e->grant = NULL;
    e->retry_ms = 0;
    if (e->drop) {
        entry_free(e);
        return;
    }
    if (grant_answer(e, c, r, &f) < 0) {
        int64_t wait =
            e->retry_ms > OAUTH_RETRY_MS ? e->retry_ms : OAUTH_RETRY_MS;
        e->fail = f;
        e->retry_ms = now_ms(e->o) + wait;
    }
    serve(e);
    if (o->closing)
        uv_timer_start(&o->timer, on_timer, 0, 0);
}

static int grant_form(const struct entry *e, struct buf *header,
                      struct buf *form, struct fail *f)
{
    const struct config_auth *a = e->auth;
    oauth_form_put(form, "grant_type", SPAN("client_credentials"));
    if (a->scope.n > 0)
        oauth_form_put(form, "scope", a->scope);
    if (a->resource.n > 0)
        oauth_form_put(form, "resource", a->resource); /* 6749-R8 */
    return oauth_client_put(a, a->token_url, header, form, f);
}

static struct fetch_req form_post(struct span url, const struct config_trust *t,
                                  const struct buf *header,
                                  const struct buf *form)
{
    struct fetch_req req = {
        .method = SPAN("POST"),
        .url = url,
        .headers = {{SPAN("Content-Type"),
                     SPAN("application/x-www-form-urlencoded")},
                    {SPAN("Accept"), SPAN("application/json")},
                    {SPAN("Authorization"), buf_span(header)}},
        .header_count = header->n > 0 ? 3 : 2,
        .body = buf_span(form),
        .timeout_ms = OAUTH_TIMEOUT_MS,
        .body_bytes_max = OAUTH_ANSWER_BYTES_MAX,
        .allow_http = t->allow_http,
        .ca_file = t->ca_file,
        .cert_file = t->cert_file,
        .key_file = t->key_file,
    };
    return req;
}

static int grant_start(struct entry *e, struct fail *f)
{
    struct buf header, form;
    buf_init(&header, mem_system(), FORM_BYTES_MAX);
    buf_init(&form, mem_system(), FORM_BYTES_MAX);
    int rc = grant_form(e, &header, &form, f);
    if (rc == 0) {
        struct fetch_req req =
            form_post(e->auth->token_url, e->trust, &header, &form);
        rc = fetch_start(e->o->fetch, &req, on_grant, e, &e->grant, f);
    }
    buf_fini(&header);
    buf_fini(&form);
    return rc;
}

/* --- entries --- */

static bool has_grant(const struct config_auth *a)
{
    return a->token_url.n > 0 &&
           (a->kind == AUTH_CLIENT_SECRET || a->kind == AUTH_PRIVATE_KEY_JWT);
}

static void entry_load(struct entry *e)
{
    struct fail f = {.rc = 0};
    int rc;
    if (has_grant(e->auth)) {
        rc = grant_start(e, &f);
    } else {
        buf_clear(&e->header);
        rc = oauth_local_header(e->auth, &e->header, &f);
        if (rc == 0)
            entry_set(e, NEVER_MS);
    }
    if (rc < 0) {
        e->fail = f;
        e->retry_ms = now_ms(e->o) + OAUTH_RETRY_MS;
    }
}

/* Answers those who waited when this began; new ones come with the timer. */
static void answer_all(struct entry *e, int rc, const struct fail *why)
{
    struct list_link *k;
    struct fail f = *why;
    while ((k = list_shift(&e->waiting)) != NULL)
        list_push(&e->answering, k);
    while ((k = list_shift(&e->answering)) != NULL) {
        struct oauth_want *w = container_of(k, struct oauth_want, link);
        w->token = rc == 0 ? e->token : 0;
        w->got(w, rc, rc == 0 ? buf_span(&e->header) : SPAN(""), &f);
    }
}

static bool usable(const struct entry *e)
{
    return e->token != 0 && now_ms(e->o) < e->expires_ms;
}

static void serve(struct entry *e)
{
    struct fail cancelled = {.rc = 0};
    if (e->o->closing) {
        int rc = fail(&cancelled, RC_CANCELLED, "shutting down");
        answer_all(e, rc, &cancelled);
        return;
    }
    bool wanted = !list_empty(&e->waiting);
    bool old = !usable(e) || now_ms(e->o) >= e->refresh_ms;
    if (wanted && old && e->grant == NULL && now_ms(e->o) >= e->retry_ms)
        entry_load(e);
    if (usable(e))
        answer_all(e, 0, &e->fail);
    else if (e->grant == NULL)
        answer_all(e, e->fail.rc, &e->fail);
}

static void answer_refused(struct oauth *o)
{
    struct fail f;
    struct list_link *k;
    int rc = fail(&f, RC_NO_MEMORY, "no memory for an access token");
    while ((k = list_shift(&o->refused)) != NULL) {
        struct oauth_want *w = container_of(k, struct oauth_want, link);
        w->got(w, rc, SPAN(""), &f);
    }
}

static void try_close(struct oauth *o);

static void on_timer(uv_timer_t *t)
{
    struct oauth *o = t->data;
    answer_refused(o);
    LIST_EACH (it, next, &o->entries)
        serve(container_of(it, struct entry, link));
    if (o->closing)
        try_close(o);
}

static struct entry *entry_find(struct oauth *o, const struct config_auth *a)
{
    LIST_EACH (it, next, &o->entries) {
        struct entry *e = container_of(it, struct entry, link);
        if (e->auth == a)
            return e;
    }
    return NULL;
}

static void entry_free(struct entry *e)
{
    list_remove(&e->link);
    e->o->entry_count--;
    buf_fini(&e->header);
    mem_release(mem_system(), e);
}

/* There are as many as the configuration has identities; a bug otherwise. NULL
 * without memory. */
static struct entry *entry_get(struct oauth *o, const struct oauth_want *w)
{
    struct entry *e = entry_find(o, w->auth);
    if (e != NULL) {
        e->trust = w->trust;
        return e;
    }
    must(o->entry_count < OAUTH_ENTRIES_MAX);
    e = mem_alloc(mem_system(), sizeof *e);
    if (e == NULL)
        return NULL;
    e->o = o;
    e->auth = w->auth;
    e->trust = w->trust;
    list_init(&e->waiting);
    list_init(&e->answering);
    buf_init(&e->header, mem_system(), FORM_BYTES_MAX);
    list_push(&o->entries, &e->link);
    o->entry_count++;
    return e;
}

void oauth_authorize(struct oauth *o, struct oauth_want *w)
{
    must(!o->timer_closed);
    struct entry *e = entry_get(o, w);
    w->token = 0;
    list_push(e == NULL ? &o->refused : &e->waiting, &w->link);
    uv_timer_start(&o->timer, on_timer, 0, 0);
}

void oauth_forget(struct oauth_want *w)
{
    list_remove(&w->link);
}

void oauth_rejected(struct oauth *o, const struct config_auth *auth,
                    uint64_t token)
{
    struct entry *e = entry_find(o, auth);
    if (e != NULL && token != 0 && e->token == token)
        entry_drop(e);
}

void oauth_reset(struct oauth *o)
{
    LIST_EACH (it, next, &o->entries) {
        struct entry *e = container_of(it, struct entry, link);
        must(list_empty(&e->waiting));
        entry_drop(e);
        e->auth = NULL; /* matches nobody from now on */
        if (e->grant == NULL)
            entry_free(e);
        else
            e->drop = true;
    }
}

/* --- revocation (RFC 7009) --- */

const char *revoke_outcome_word(enum revoke_outcome o)
{
    switch (o) {
        case REVOKE_CONFIRMED: return "confirmed";
        case REVOKE_UNSUPPORTED: return "unsupported_token_type";
        case REVOKE_RETRY: return "retry";
        case REVOKE_REFUSED: return "refused";
    }
    return "?";
}

static void judge_status(struct revoke_result *ret, struct span body)
{
    struct arena a;
    arena_init(&a, mem_system(), 16 * OAUTH_ANSWER_BYTES_MAX);
    struct span word = error_word(&a.mem, body);
    ret->outcome = REVOKE_REFUSED;
    if (ret->status == 200)
        ret->outcome = REVOKE_CONFIRMED;
    else if (ret->status == 429 || ret->status == 408 || ret->status >= 500)
        ret->outcome = REVOKE_RETRY;
    else if (span_eq(word, SPAN("unsupported_token_type")))
        ret->outcome = REVOKE_UNSUPPORTED;
    if (ret->outcome != REVOKE_CONFIRMED)
        (void)fail(&ret->fail, RC_REFUSED,
                   "the revocation endpoint answered %u %.*s", ret->status,
                   PRSPAN(word));
    arena_fini(&a);
}

static void on_revoked(void *ctx, struct fetch_call *c,
                       const struct fetch_result *r)
{
    struct revoke *k = ctx;
    struct oauth *o = k->o;
    struct revoke_result result = {.outcome = REVOKE_RETRY,
                                   .retry_after_ms = -1};
    if (r->rc != 0) {
        result.fail = r->fail;
    } else {
        result.status = r->status;
        result.retry_after_ms = fetch_retry_after_ms(c, wall_ms());
        judge_status(&result, r->body);
    }
    list_remove(&k->link);
    k->done(k->ctx, &result);
    mem_release(mem_system(), k);
    if (o->closing)
        uv_timer_start(&o->timer, on_timer, 0, 0);
}

static int revoke_send(struct revoke *k, const struct revoke_req *r,
                       struct fail *f)
{
    const struct config_auth_server *s = r->server;
    struct buf header, form;
    buf_init(&header, mem_system(), FORM_BYTES_MAX);
    buf_init(&form, mem_system(), FORM_BYTES_MAX);
    oauth_form_put(&form, "token", r->token);
    if (r->hint.n > 0)
        oauth_form_put(&form, "token_type_hint", r->hint); /* 7009-R8 */
    int rc = oauth_client_put(&s->auth, s->issuer, &header, &form, f);
    if (rc == 0) {
        struct fetch_req req =
            form_post(s->revocation_url, &s->trust, &header, &form);
        if (r->timeout_ms > 0)
            req.timeout_ms = r->timeout_ms;
        rc = fetch_start(k->o->fetch, &req, on_revoked, k, &k->call, f);
    }
    buf_fini(&header);
    buf_fini(&form);
    return rc;
}

int oauth_revoke(struct oauth *o, const struct revoke_req *req,
                 revoke_done_fn done, void *ctx, struct fail *f)
{
    if (o->closing)
        return fail(f, RC_STATE, "shutting down");
    struct revoke *k = mem_alloc(mem_system(), sizeof *k);
    if (k == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for a revocation");
    k->o = o;
    k->done = done;
    k->ctx = ctx;
    int rc = revoke_send(k, req, f);
    if (rc < 0) {
        mem_release(mem_system(), k);
        return rc;
    }
    list_push(&o->revokes, &k->link);
    return 0;
}

/* --- life --- */

static void on_timer_closed(uv_handle_t *handle)
{
    struct oauth *o = handle->data;
    void (*closed)(void *ctx) = o->closed;
    void *ctx = o->closed_ctx;
    LIST_EACH (it, next, &o->entries)
        entry_free(container_of(it, struct entry, link));
    mem_release(mem_system(), o);
    if (closed != NULL)
        closed(ctx);
}

static void try_close(struct oauth *o)
{
    LIST_EACH (it, next, &o->entries)
        if (container_of(it, struct entry, link)->grant != NULL)
            return;
    if (o->timer_closed || !list_empty(&o->revokes))
        return;
    o->timer_closed = true;
    uv_close((uv_handle_t *)&o->timer, on_timer_closed);
}

void oauth_close(struct oauth *o, void (*done)(void *ctx), void *ctx)
{
    must(!o->closing);
    o->closing = true;
    o->closed = done;
    o->closed_ctx = ctx;
    LIST_EACH (it, next, &o->entries) {
        struct entry *e = container_of(it, struct entry, link);
        if (e->grant != NULL)
            fetch_cancel(e->grant);
    }
    LIST_EACH (it, next, &o->revokes)
        fetch_cancel(container_of(it, struct revoke, link)->call);
    uv_timer_start(&o->timer, on_timer, 0, 0);
}

int oauth_new(uv_loop_t *loop, struct fetch *fetch, struct oauth **ret,
              struct fail *f)
{
    struct oauth *o = mem_alloc(mem_system(), sizeof *o);
    if (o == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for access tokens");
    o->loop = loop;
    o->fetch = fetch;
    list_init(&o->entries);
    list_init(&o->revokes);
    list_init(&o->refused);
    must(uv_timer_init(loop, &o->timer) == 0);
    o->timer.data = o;
    *ret = o;
    return 0;
}
