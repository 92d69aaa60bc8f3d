// SPDX-License-Identifier: Apache-2.0
/* What the engine wants done outside: reads, revocations, calls to runtimes
 * (HTTP actions are in actions.c). Each ends with one input that says what was
 * seen; what was not seen is a retry, never a success. */
#include "sidecar/run/app.h"

#include <string.h>

#include "sidecar/base/log.h"
#include "sidecar/run/actions.h"

/* ------------------------------------------------------------------ reads */

struct reading {
    struct app *app;
    uint64_t read_id;
};

static void tell_read(struct app *a, uint64_t read_id, struct in *in)
{
    in->kind = IN_READ_DONE;
    in->read.read_id = read_id;
    ignore_rc(app_step(a, in)); /* a read that finds no memory is read again */
}

static void read_done(struct reading *r, struct in *in)
{
    struct app *a = r->app;
    uint64_t read_id = r->read_id;
    mem_release(mem_system(), r);
    tell_read(a, read_id, in);
}

/* Engine and events compare ETags bare: without W/ and quotes. */
static struct span bare_etag(struct span etag)
{
    if (span_starts(etag, SPAN("W/")))
        etag = span_sub(etag, 2, etag.n);
    if (etag.n >= 2 && etag.p[0] == '"' && etag.p[etag.n - 1] == '"')
        etag = span_sub(etag, 1, etag.n - 1);
    return etag;
}

static void on_scim(void *ctx, struct scim_result *s)
{
    struct in in = {.read = {.retry_after_ms = s->retry_after_ms}};
    in.read.etag = bare_etag(s->etag);
    if (s->rc < 0) {
        in.read.result = READ_FAILED;
        in.read.why = span_str(s->fail.text);
    } else if (s->gone) {
        in.read.result = READ_GONE;
    } else if (s->not_modified) {
        in.read.result = READ_NOT_MODIFIED;
    } else {
        in.read.result = READ_OK;
        in.read.resource = s->doc;
    }
    read_done(ctx, &in);
}

static void join_names(struct buf *out, struct names names)
{
    for (unsigned i = 0; i < names.count; i++) {
        if (i > 0)
            buf_put_u8(out, ',');
        buf_put(out, names.at[i]);
    }
}

/* A read that cannot even start still ends: put off until the step is over. */
static void read_refused(struct reading *r, const char *why)
{
    struct in in = {.read = {.retry_after_ms = -1}};
    in.read.result = READ_FAILED;
    in.read.why = span_str(why);
    read_done(r, &in);
}

static void read_one(struct app *a, const struct out_read *o)
{
    struct reading *r = mem_alloc(mem_system(), sizeof *r);
    struct buf names, etag;
    struct scim_call *call;
    struct fail f;
    if (r == NULL)
        return; /* the engine's tick gives the read up */
    *r = (struct reading){a, o->read_id};
    buf_init(&names, mem_system(), 16384);
    buf_init(&etag, mem_system(), 1024);
    join_names(&names, o->attributes);
    if (o->if_none_match.n > 0)
        buf_printf(&etag, "W/\"%.*s\"", PRSPAN(o->if_none_match));
    const struct scim_req req = {
        .base = a->scim_base[o->base],
        .uri = o->uri,
        .etag = buf_span(&etag),
        .attributes =
            o->attributes.count == 0 ? SPAN("members") : buf_span(&names),
        .timeout_ms = (uint32_t)o->timeout_ms,
    };
    /* Half a list of attributes would show the rest as absent. */
    if (a->scim == NULL || /* stopping */
        !buf_ok(&names) || !buf_ok(&etag) ||
        scim_read(a->scim, &req, on_scim, r, &call, &f) < 0)
        read_refused(r, "the read could not be started");
    buf_fini(&names);
    buf_fini(&etag);
}

/* ------------------------------------------------------------- list reads */

struct app_list {
    struct app *app;
    struct out_read first; /* borrowed until it is sent, like `uris` */
    unsigned count;
    struct span uris[SCIM_LIST_MAX];
    uint64_t read_ids[SCIM_LIST_MAX];
};

/* The same for all. */
static void list_over(struct app_list *l, enum read_result result)
{
    for (unsigned i = 0; i < l->count; i++) {
        struct in in = {.read = {.result = result, .retry_after_ms = -1}};
        tell_read(l->app, l->read_ids[i], &in);
    }
}

static void list_taken(struct app_list *l, const struct scim_listed *listed)
{
    for (unsigned i = 0; i < l->count; i++) {
        struct in in = {.read = {.retry_after_ms = -1}};
        in.read.result = listed[i].doc == NULL ? READ_UNLISTED : READ_OK;
        in.read.resource = listed[i].doc;
        in.read.etag = bare_etag(listed[i].etag);
        tell_read(l->app, l->read_ids[i], &in);
    }
}

static void on_list(void *ctx, struct scim_result *s)
{
    struct app_list *l = ctx;
    if (s->rc < 0 && s->rc != RC_CANCELLED)
        log_warn(LOG_SCIM, "list_failed", kv_u64("resources", l->count),
                 kv_u64("status", s->status), kv_why(&s->fail));
    if (s->rc < 0)
        list_over(l, READ_LIST_FAILED);
    else
        list_taken(l, s->listed);
    mem_release(mem_system(), l);
}

void outbound_read_list(struct app *a)
{
    struct app_list *l = a->list;
    struct buf names;
    struct fail f;
    if (l == NULL)
        return;
    a->list = NULL;
    buf_init(&names, mem_system(), 16384);
    join_names(&names, l->first.attributes);
    const struct scim_req req = {
        .base = a->scim_base[l->first.base],
        .uris = l->uris,
        .uri_count = l->count,
        .attributes = buf_span(&names),
        .timeout_ms = (uint32_t)l->first.timeout_ms,
    };
    if (a->scim == NULL || /* stopping */
        !buf_ok(&names) || scim_read(a->scim, &req, on_list, l, NULL, &f) < 0) {
        list_over(l, READ_UNLISTED);
        mem_release(mem_system(), l);
    }
    buf_fini(&names);
}

static void gather(struct app *a, const struct out_read *o)
{
    if (a->list != NULL && a->list->first.list != o->list)
        outbound_read_list(a);
    if (a->list == NULL)
        a->list = mem_alloc(mem_system(), sizeof *a->list);
    struct app_list *l = a->list;
    if (l == NULL)
        return; /* the engine's tick gives the read up */
    if (l->count == 0) {
        l->app = a;
        l->first = *o;
    }
    must(l->count < SCIM_LIST_MAX);
    l->uris[l->count] = o->uri;
    l->read_ids[l->count++] = o->read_id;
}

void outbound_read(struct app *a, const struct out_read *o)
{
    if (o->list == 0)
        read_one(a, o);
    else
        gather(a, o);
}

/* ------------------------------------------------------------------- jobs */

struct running {
    struct app *app;
    uint64_t job_id;
    unsigned attempt;
    enum job_kind kind;
    struct arena arena;
    struct names purge;
};

static struct running *running_new(struct app *a, const struct out_job *o)
{
    struct running *r = mem_alloc(mem_system(), sizeof *r);
    if (r == NULL)
        return NULL;
    r->app = a;
    r->job_id = o->job_id;
    r->attempt = o->attempt;
    r->kind = o->kind;
    arena_init(&r->arena, mem_system(), 4 * 1024 * 1024);
    return r;
}

static void job_done(struct running *r, struct in *in)
{
    struct app *a = r->app;
    in->kind = IN_JOB_DONE;
    in->job.job_id = r->job_id;
    in->job.attempt = r->attempt;
    ignore_rc(app_step(a, in)); /* a lost result is an attempt that failed */
    arena_fini(&r->arena);
    mem_release(mem_system(), r);
}

void outbound_job_result(struct app *a, uint64_t job_id, unsigned attempt,
                         enum job_result result, int64_t retry_after_ms,
                         const char *why)
{
    struct in in = {.kind = IN_JOB_DONE};
    in.job.job_id = job_id;
    in.job.attempt = attempt;
    in.job.result = result;
    in.job.retry_after_ms = retry_after_ms;
    in.job.why = span_str(why);
    ignore_rc(app_step(a, &in)); /* as above */
}

static void not_started(struct app *a, const struct out_job *o,
                        enum job_result result, const char *why)
{
    log_warn(LOG_JOB, "not_started", kv_str("why", why));
    outbound_job_result(a, o->job_id, o->attempt, result, -1, why);
}

/* ------------------------------------------------------------- revocation */

static void on_revoked(void *ctx, const struct revoke_result *res)
{
    static const enum job_result results[] = {
        [REVOKE_CONFIRMED] = JOB_DONE_CONFIRMED,
        [REVOKE_UNSUPPORTED] = JOB_DONE_REFUSED,
        [REVOKE_RETRY] = JOB_DONE_RETRY,
        [REVOKE_REFUSED] = JOB_DONE_REFUSED,
    };
    struct in in = {.job = {.retry_after_ms = res->retry_after_ms}};
    in.job.result = results[res->outcome];
    if (res->outcome != REVOKE_CONFIRMED)
        in.job.why = span_str(res->fail.text);
    job_done(ctx, &in);
}

static const struct config_auth_server *server_of(const struct app *a,
                                                  struct span issuer)
{
    for (unsigned i = 0; i < a->config->server_count; i++)
        if (span_eq(a->config->servers[i].issuer, issuer))
            return &a->config->servers[i];
    return NULL;
}

static void start_revoke(struct app *a, const struct out_job *o)
{
    const struct config_auth_server *server = server_of(a, o->issuer);
    struct buf token, aad;
    struct fail f = {.text = "out of memory"};
    if (server == NULL) {
        not_started(a, o, JOB_DONE_REFUSED,
                    "its authorization server is no longer configured");
        return;
    }
    buf_init(&token, mem_system(), SEAL_PLAIN_BYTES_MAX);
    buf_init(&aad, mem_system(), 4096);
    buf_put(&aad, o->uri);
    buf_put_u8(&aad, 0);
    buf_put(&aad, o->credential_id);
    struct running *r = running_new(a, o);
    int rc = r == NULL || !buf_ok(&aad) || a->oauth == NULL /* stopping */
                 ? RC_NO_MEMORY
                 : seal_get(a->seal, o->sealed, buf_span(&aad), &token, &f);
    const struct revoke_req req = {
        .server = server,
        .token = buf_span(&token),
        .hint = o->refresh ? SPAN("refresh_token") : SPAN("access_token"),
        .timeout_ms = (uint32_t)o->timeout_ms,
    };
    if (rc >= 0)
        rc = oauth_revoke(a->oauth, &req, on_revoked, r, &f);
    if (rc < 0) {
        mem_release(mem_system(), r);
        not_started(a, o,
                    rc == RC_UNTRUSTED ? JOB_DONE_REFUSED : JOB_DONE_RETRY,
                    f.text);
    }
    buf_fini(&token);
    buf_fini(&aad);
}

/* --------------------------------------------------------- served runtimes */

static void runtime_answer(struct running *r, struct span message,
                           struct in *in)
{
    bool done = false;
    in->job.answered = true;
    if (r->kind == JOB_PURGE) {
        if (runtime_decode_purge(&r->arena, message, r->purge, &done) < 0)
            done = false;
        in->job.result = done ? JOB_DONE_CONFIRMED : JOB_DONE_RETRY;
        in->job.why = done ? SPAN("") : SPAN("the runtime left something");
        return;
    }
    unsigned max = ENGINE_HELLO_CALLS_MAX;
    struct in_call_result *calls = mem_array(&r->arena.mem, max, sizeof *calls);
    in->job.result = JOB_DONE_RETRY;
    in->job.why = SPAN("not every call is confirmed");
    if (calls != NULL && runtime_decode_cancel(&r->arena, message, calls, max,
                                               &in->job.call_count) >= 0)
        in->job.calls = calls;
    else
        in->job.call_count = 0;
}

static void on_runtime(void *ctx, int rc, enum grpc_status status,
                       struct span message, const struct fail *f)
{
    struct running *r = ctx;
    struct in in = {.job = {.retry_after_ms = -1}};
    if (rc >= 0) {
        runtime_answer(r, message, &in);
    } else {
        in.job.result = rc == RC_REFUSED && status == GRPC_UNIMPLEMENTED
                            ? JOB_DONE_REFUSED
                            : JOB_DONE_RETRY;
        in.job.why = span_str(f->text);
    }
    job_done(r, &in);
}

static struct grpc_client *client_of(const struct app *a, struct span name)
{
    for (unsigned i = 0; i < a->config->runtime_count; i++)
        if (span_eq(a->config->runtimes[i].name, name))
            return a->runtimes[i].client;
    return NULL;
}

/* What the answer must name as done. */
static bool keep_purge(struct running *r, struct names purge)
{
    struct span *at = mem_array(&r->arena.mem, purge.count, sizeof *at);
    if (at == NULL)
        return false;
    for (unsigned i = 0; i < purge.count; i++) {
        at[i] = span_of(mem_copy(&r->arena.mem, purge.at[i]), purge.at[i].n);
        if (at[i].p == NULL)
            return false;
    }
    r->purge = (struct names){at, purge.count};
    return true;
}

static void start_runtime_call(struct app *a, const struct out_job *o)
{
    static const char cancel[] = "/bailiff.v1.AgentRuntime/CancelToolCalls";
    static const char purge[] = "/bailiff.v1.AgentRuntime/Purge";
    struct grpc_client *client = client_of(a, o->runtime);
    struct running *r = client == NULL ? NULL : running_new(a, o);
    struct grpc_client_call *call;
    struct buf message;
    struct fail f = {.text = "out of memory"};
    if (r == NULL) {
        not_started(a, o, JOB_DONE_RETRY, "the runtime cannot be called");
        return;
    }
    buf_init(&message, &r->arena.mem, APP_MESSAGE_BYTES_MAX);
    if (o->kind == JOB_CANCEL)
        runtime_encode_cancel(o, &message);
    else
        runtime_encode_purge(o, &message);
    if (!keep_purge(r, o->purge) || !buf_ok(&message) ||
        grpc_client_call(client, o->kind == JOB_CANCEL ? cancel : purge,
                         buf_span(&message), (uint64_t)o->timeout_ms,
                         on_runtime, r, &call, &f) < 0) {
        arena_fini(&r->arena);
        mem_release(mem_system(), r);
        not_started(a, o, JOB_DONE_RETRY, f.text);
    }
}

void outbound_job(struct app *a, const struct out_job *o)
{
    switch (o->kind) {
        case JOB_REVOKE: start_revoke(a, o); break;
        case JOB_CANCEL:
        case JOB_PURGE: start_runtime_call(a, o); break;
        case JOB_ACTION: action_run(a, o); break;
    }
}
