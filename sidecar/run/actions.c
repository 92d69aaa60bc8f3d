// SPDX-License-Identifier: Apache-2.0
#include "sidecar/run/actions.h"

#include <stdio.h>

#include "sidecar/base/log.h"
#include "sidecar/io/http_action.h"

#define ATTEMPT_BYTES_MAX (256 * 1024)

/* The engine may end a job while its request is under way, so an attempt owns
 * a copy of the action. */
struct attempt {
    struct app *app;
    uint64_t job_id;
    unsigned number;
    struct arena arena;
    struct policy_action action;
};

static void attempt_free(struct attempt *t)
{
    arena_fini(&t->arena);
    mem_release(mem_system(), t);
}

static bool copy_text(struct attempt *t, struct span *at)
{
    at->p = mem_copy(&t->arena.mem, *at);
    return at->p != NULL;
}

static bool copy_action(struct attempt *t, const struct policy_action *from)
{
    struct policy_action *a = &t->action;
    *a = *from;
    struct span *const texts[] = {&a->name,     &a->preset,   &a->method,
                                  &a->url,      &a->body,     &a->content_type,
                                  &a->url_file, &a->key_file, &a->bearer_file,
                                  &a->ca_file};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (!copy_text(t, texts[i]))
            return false;
    for (unsigned i = 0; i < a->header_count; i++)
        if (!copy_text(t, &a->headers[i].name) ||
            !copy_text(t, &a->headers[i].value))
            return false;
    return true;
}

static void on_action(void *ctx, const struct http_action_result *r)
{
    static const enum job_result results[] = {
        [ACTION_CONFIRMED] = JOB_DONE_CONFIRMED,
        [ACTION_REFUSED] = JOB_DONE_REFUSED,
        [ACTION_RETRY] = JOB_DONE_RETRY,
    };
    struct attempt *t = ctx;
    outbound_job_result(t->app, t->job_id, t->number, results[r->outcome],
                        r->retry_after_ms,
                        r->outcome == ACTION_CONFIRMED ? "" : r->fail.text);
    attempt_free(t);
}

static struct span last_segment(struct span uri)
{
    size_t slash = span_find(uri, '/', 1);
    return span_sub(uri, slash + 1, uri.n);
}

#define VAR_NAME_BYTES 80

static unsigned fill_vars(const struct out_job *o, struct http_var *vars,
                          char names[ENGINE_LABELS_MAX][VAR_NAME_BYTES])
{
    const struct http_var fixed[] = {
        {SPAN("event.jti"), o->jti},
        {SPAN("event.type"), o->event_name},
        {SPAN("event.feed"), o->feed},
        {SPAN("agent.uri"), o->uri},
        {SPAN("agent.id"), last_segment(o->uri)},
        {SPAN("rule"), o->rule},
        {SPAN("runtime.name"), o->runtime},
    };
    unsigned n = 0;
    if (o->why.n > 0)
        vars[n++] = (struct http_var){SPAN("reason"), o->why};
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        vars[n++] = fixed[i];
    for (unsigned i = 0; i < o->label_count; i++) {
        (void)snprintf(names[i], VAR_NAME_BYTES, "runtime.%.*s",
                       PRSPAN(o->labels[i].name));
        vars[n++] = (struct http_var){span_str(names[i]), o->labels[i].value};
    }
    return n;
}

/* Plain http: is for this machine only. */
static bool is_loopback(struct span url)
{
    return span_starts(url, SPAN("http://127.0.0.1:")) ||
           span_starts(url, SPAN("http://[::1]:")) ||
           span_starts(url, SPAN("http://localhost:"));
}

void action_run(struct app *a, const struct out_job *o)
{
    struct http_var vars[HTTP_VARS_MAX];
    char names[ENGINE_LABELS_MAX][VAR_NAME_BYTES];
    struct http_action_call *call;
    struct fail f = {.text = "out of memory"};
    struct attempt *t = mem_alloc(mem_system(), sizeof *t);
    if (t != NULL)
        arena_init(&t->arena, mem_system(), ATTEMPT_BYTES_MAX);
    if (a->fetch == NULL || /* stopping */
        t == NULL || !copy_action(t, o->action)) {
        if (t != NULL)
            attempt_free(t);
        outbound_job_result(a, o->job_id, o->attempt, JOB_DONE_RETRY, -1,
                            f.text);
        return;
    }
    t->app = a;
    t->job_id = o->job_id;
    t->number = o->attempt;
    const struct http_action_req req = {
        .action = &t->action,
        .vars = {vars, fill_vars(o, vars, names)},
        .idempotency_key = o->key,
        .timeout_ms = (uint32_t)o->timeout_ms,
        .allow_http = is_loopback(t->action.url),
    };
    int rc = http_action_start(a->fetch, &req, on_action, t, &call, &f);
    if (rc >= 0)
        return;
    attempt_free(t);
    log_warn(LOG_JOB, "action_not_sent", kv_why(&f));
    outbound_job_result(a, o->job_id, o->attempt,
                        rc == RC_INVALID ? JOB_DONE_REFUSED : JOB_DONE_RETRY,
                        -1, f.text);
}
