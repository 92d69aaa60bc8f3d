// SPDX-License-Identifier: Apache-2.0
/* bailiff.v1.AgentGate: from gRPC messages to engine inputs and back. */
#include "sidecar/run/app.h"

#include "sidecar/base/log.h"

/* Every reply goes through here: an encoding that failed is an error, never
 * an empty message. */
static void reply_encoded(struct app *a, struct grpc_call *c)
{
    if (buf_ok(&a->encoded))
        grpc_reply(c, buf_span(&a->encoded));
    else
        grpc_finish(c, GRPC_INTERNAL, "the answer could not be encoded");
}

static void finish(struct waiter *w)
{
    if (w->call != NULL)
        grpc_set_user(w->call, NULL);
    waiter_free(w);
}

static enum grpc_status status_of(int rc)
{
    if (rc == RC_DENIED)
        return GRPC_PERMISSION_DENIED;
    if (rc == RC_UNKNOWN_NAME)
        return GRPC_NOT_FOUND;
    if (rc == RC_LIMIT || rc == RC_NO_MEMORY)
        return GRPC_RESOURCE_EXHAUSTED;
    if (rc == RC_STATE)
        return GRPC_FAILED_PRECONDITION;
    return GRPC_INVALID_ARGUMENT;
}

/* ----------------------------------------------------------------- input */

static struct span authorization_of(const struct grpc_call *c)
{
    return grpc_metadata(c, SPAN("authorization"));
}

/* Finds the caller and charges its bucket; -1 after having answered. */
static int caller_of(struct app *a, struct grpc_call *c)
{
    int who = conf_caller_of(a, grpc_peer(c), authorization_of(c));
    if (who < 0) {
        grpc_finish(c, GRPC_UNAUTHENTICATED,
                    "no caller of the configuration has this identity");
        return -1;
    }
    const struct config_caller *conf = &a->config->callers[who];
    struct app_caller *state = &a->callers[who];
    if (!conf_take_token(&state->tokens, &state->refilled_ms, conf->rate_per_s,
                         conf->burst, app_boot_ms())) {
        grpc_finish(c, GRPC_RESOURCE_EXHAUSTED,
                    reason_text(REASON_CALLER_TOO_FAST));
        return -1;
    }
    return who;
}

static struct gate_names names_of(const struct app *a)
{
    return (struct gate_names){conf_base_of_feed, a};
}

static bool decoded(struct grpc_call *c, int rc)
{
    if (rc >= 0)
        return true;
    grpc_finish(c, GRPC_INVALID_ARGUMENT,
                rc == RC_INVALID ? "no feed of this name is configured"
                                 : "the message cannot be decoded");
    return false;
}

static struct waiter *wait_for(struct app *a, struct grpc_call *c,
                               enum waiter_kind kind)
{
    struct waiter *w = waiter_new(a, kind);
    if (w == NULL) {
        grpc_finish(c, GRPC_RESOURCE_EXHAUSTED, "out of memory");
        return NULL;
    }
    w->call = c;
    grpc_set_user(c, w);
    return w;
}

/* The step may refuse an input for want of memory before it has emitted an
 * answer; whoever still waits then gets an error. */
static void step_for(struct app *a, struct in *in, struct waiter *w,
                     struct grpc_call *c)
{
    if (app_step(a, in) >= 0 || grpc_user(c) != w)
        return;
    finish(w);
    grpc_finish(c, GRPC_RESOURCE_EXHAUSTED, "out of memory");
}

static int64_t deadline_of(const struct grpc_call *c)
{
    uint64_t left = grpc_time_left_ms(c);
    return left > INT32_MAX ? INT64_MAX : app_boot_ms() + (int64_t)left;
}

static void on_question(struct app *a, struct grpc_call *c, struct span message,
                        bool begin)
{
    struct in in = {.kind = begin ? IN_BEGIN : IN_ASK};
    struct gate_names names = names_of(a);
    int who = caller_of(a, c);
    if (who < 0)
        return;
    arena_clear(&a->message_arena);
    int rc =
        begin ? gate_decode_begin(&a->message_arena, &names, message, &in.ask)
              : gate_decode_check(&a->message_arena, &names, message, &in.ask);
    if (!decoded(c, rc))
        return;
    struct waiter *w = wait_for(a, c, begin ? WAIT_BEGIN : WAIT_CHECK);
    if (w == NULL)
        return;
    in.ask.token = waiter_token(w);
    in.ask.caller = (unsigned)who;
    in.ask.deadline_ms = deadline_of(c);
    step_for(a, &in, w, c);
}

static void on_check(void *ctx, struct grpc_call *c, struct span message)
{
    on_question(ctx, c, message, false);
}

static void on_begin(void *ctx, struct grpc_call *c, struct span message)
{
    on_question(ctx, c, message, true);
}

static void on_lease(struct app *a, struct grpc_call *c, struct span message,
                     bool end)
{
    struct in in = {.kind = end ? IN_END : IN_RENEW};
    int who = caller_of(a, c);
    if (who < 0)
        return;
    arena_clear(&a->message_arena);
    int rc = end ? gate_decode_end(&a->message_arena, message, &in.lease)
                 : gate_decode_renew(&a->message_arena, message, &in.lease);
    if (!decoded(c, rc))
        return;
    struct waiter *w = wait_for(a, c, end ? WAIT_END : WAIT_RENEW);
    if (w == NULL)
        return;
    in.lease.token = waiter_token(w);
    in.lease.caller = (unsigned)who;
    step_for(a, &in, w, c);
}

static void on_renew(void *ctx, struct grpc_call *c, struct span message)
{
    on_lease(ctx, c, message, false);
}

static void on_end(void *ctx, struct grpc_call *c, struct span message)
{
    on_lease(ctx, c, message, true);
}

static void on_ack(void *ctx, struct grpc_call *c, struct span message)
{
    struct app *a = ctx;
    struct in in = {.kind = IN_ACK};
    int who = caller_of(a, c);
    if (who < 0)
        return;
    arena_clear(&a->message_arena);
    if (!decoded(c, gate_decode_ack(&a->message_arena, message, &in.ack)))
        return;
    struct waiter *w = wait_for(a, c, WAIT_ACK);
    if (w == NULL)
        return;
    in.ack.token = waiter_token(w);
    in.ack.caller = (unsigned)who;
    step_for(a, &in, w, c);
}

/* ----------------------------------------------------------- credentials */

/* What is sealed is bound to whose it is. */
static bool seal_aad(struct buf *out, struct span uri, struct span id)
{
    buf_put(out, uri);
    buf_put_u8(out, 0);
    buf_put(out, id);
    return buf_ok(out);
}

static const char *credential_problem(const struct app *a,
                                      const struct in_credential *in,
                                      struct span token)
{
    if (token.n == 0 || token.n > OAUTH_TOKEN_BYTES_MAX)
        return "the token is empty or longer than 16 KiB";
    if (in->credential_id.n == 0 || in->credential_id.n > ENGINE_ID_MAX ||
        !span_is_text(in->credential_id) || !span_is_text(in->uri) ||
        !span_is_text(in->runtime) || in->runtime.n > ENGINE_ID_MAX)
        return "credential_id, agent and runtime must be text of at most 256 "
               "bytes";
    for (unsigned i = 0; i < a->config->server_count; i++)
        if (span_eq(a->config->servers[i].issuer, in->issuer))
            return NULL;
    return "issuer is no configured authorization server, so the token could "
           "not be revoked";
}

static void on_credential(void *ctx, struct grpc_call *c, struct span message)
{
    struct app *a = ctx;
    struct in in = {.kind = IN_CREDENTIAL};
    struct gate_names names = names_of(a);
    struct span token = SPAN("");
    struct fail f;
    int who = caller_of(a, c);
    if (who < 0)
        return;
    arena_clear(&a->message_arena);
    if (!decoded(c, gate_decode_credential(&a->message_arena, &names, message,
                                           &in.credential, &token)))
        return;
    const char *problem = credential_problem(a, &in.credential, token);
    if (problem != NULL) {
        grpc_finish(c, GRPC_INVALID_ARGUMENT, problem);
        return;
    }
    struct buf sealed, aad;
    buf_init(&sealed, mem_system(), 2 * SEAL_PLAIN_BYTES_MAX);
    buf_init(&aad, mem_system(), 4096);
    bool ok = seal_aad(&aad, in.credential.uri, in.credential.credential_id) &&
              seal_put(a->seal, token, buf_span(&aad), &sealed, &f) >= 0 &&
              buf_ok(&sealed);
    mem_wipe((void *)(uintptr_t)token.p, token.n);
    struct waiter *w = ok ? wait_for(a, c, WAIT_CREDENTIAL) : NULL;
    if (w != NULL) {
        in.credential.token = waiter_token(w);
        in.credential.caller = (unsigned)who;
        in.credential.sealed = buf_span(&sealed);
        w->text_n = in.credential.credential_id.n;
        for (size_t i = 0; i < w->text_n; i++)
            w->text[i] = in.credential.credential_id.p[i];
        step_for(a, &in, w, c);
    } else if (!ok) {
        grpc_finish(c, GRPC_INTERNAL, "the token could not be sealed");
    }
    buf_fini(&sealed);
    buf_fini(&aad);
}

/* ---------------------------------------------------------------- output */

void gate_answer(struct app *a, const struct out_answer *o)
{
    struct waiter *w = (struct waiter *)(uintptr_t)o->token;
    struct grpc_call *c = w->call;
    bool begin = w->kind == WAIT_BEGIN;
    finish(w);
    if (c == NULL)
        return; /* the caller has gone; a lease it got will run out */
    buf_clear(&a->encoded);
    if (begin)
        gate_encode_begin(o, &a->encoded);
    else
        gate_encode_check(o, &a->encoded);
    reply_encoded(a, c);
}

void gate_lease(struct app *a, const struct out *o)
{
    struct waiter *w = (struct waiter *)(uintptr_t)o->lease.token;
    struct grpc_call *c = w->call;
    bool end = w->kind == WAIT_END;
    finish(w);
    if (c == NULL)
        return;
    buf_clear(&a->encoded);
    if (end && !o->lease.found) {
        grpc_finish(c, GRPC_NOT_FOUND, reason_text(REASON_LEASE_UNKNOWN));
        return;
    }
    if (end)
        gate_encode_end(&a->encoded);
    else
        gate_encode_renew(o, &a->encoded);
    reply_encoded(a, c);
}

void gate_done(struct app *a, struct waiter *w, int rc, struct span text)
{
    struct grpc_call *c = w->call;
    enum waiter_kind kind = w->kind;
    char why[FAIL_TEXT_MAX];
    (void)snprintf(why, sizeof why, "%.*s", PRSPAN(text));
    buf_clear(&a->encoded);
    if (kind == WAIT_CREDENTIAL)
        gate_encode_credential(span_of(w->text, w->text_n), &a->encoded);
    else
        gate_encode_ack(&a->encoded);
    finish(w);
    if (c == NULL)
        return;
    if (rc < 0)
        grpc_finish(c, status_of(rc), why);
    else
        reply_encoded(a, c);
}

/* --------------------------------------------------------------- methods */

static void on_closed(void *ctx, struct grpc_call *c)
{
    struct waiter *w = grpc_user(c);
    (void)ctx;
    if (w != NULL)
        w->call = NULL; /* the engine's answer finds nobody */
}

const struct grpc_method *gate_methods(void)
{
    static struct grpc_method table[16];
    static bool built;
    if (built)
        return table;
    const struct grpc_method own[] = {
        {.path = "/bailiff.v1.AgentGate/Check",
         .message = on_check,
         .closed = on_closed},
        {.path = "/bailiff.v1.AgentGate/BeginToolCall",
         .message = on_begin,
         .closed = on_closed},
        {.path = "/bailiff.v1.AgentGate/RenewToolCall",
         .message = on_renew,
         .closed = on_closed},
        {.path = "/bailiff.v1.AgentGate/EndToolCall",
         .message = on_end,
         .closed = on_closed},
        {.path = "/bailiff.v1.AgentGate/Ack",
         .message = on_ack,
         .closed = on_closed},
        {.path = "/bailiff.v1.AgentGate/RegisterCredential",
         .message = on_credential,
         .closed = on_closed},
        {.path = "/bailiff.v1.AgentGate/Watch",
         .client_streams = true,
         .server_streams = true,
         .open = watch_open,
         .message = watch_message,
         .half_closed = watch_half_closed,
         .closed = watch_closed},
    };
    size_t n = 0;
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        table[n++] = own[i];
    for (size_t i = 0; i < 2; i++)
        table[n++] = grpc_health_methods[i];
    for (size_t i = 0; i < 2; i++)
        table[n++] = grpc_reflection_methods[i];
    built = true;
    return table;
}
