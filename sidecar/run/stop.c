// SPDX-License-Identifier: Apache-2.0
/*
 * Stopping is a small machine of phases; each closes a group of parts and the
 * next begins when all of the group have said that they are closed:
 *
 *   RUNNING -> SERVERS (stop accepting, drain) -> POLLERS -> READERS -> CLIENTS
 *           -> TRANSPORT -> STORE (last commits, whose records still go to
 *           the log) -> LOG (last records, last checkpoint) -> HANDLES -> DONE
 *
 * stop_limit.h is the net beneath it.
 */
#include "sidecar/run/rollout.h"

#include "sidecar/base/log.h"
#include "sidecar/run/stop_limit.h"

enum phase {
    RUNNING,
    SERVERS,
    POLLERS,
    READERS,
    CLIENTS,
    TRANSPORT,
    STORES,
    LOGS,
    HANDLES,
    DONE
};

static const char *const phase_words[] = {
    "running",   "servers", "pollers", "readers", "clients",
    "transport", "store",   "log",     "handles", "done"};

static void next_phase(struct app *a);

static void one_closed(void *ctx)
{
    struct app *a = ctx;
    must(a->closing > 0);
    if (--a->closing == 0)
        next_phase(a);
}

static void close_server(struct app *a, struct server **s)
{
    if (*s == NULL)
        return;
    a->closing++;
    server_close(*s, APP_DRAIN_MS, one_closed, a);
    *s = NULL;
}

static void close_servers(struct app *a)
{
    for (unsigned i = 0; i < CONFIG_LISTEN_MAX; i++) {
        close_server(a, &a->push[i]);
        close_server(a, &a->gate[i]);
    }
    close_server(a, &a->admin);
    close_server(a, &a->metrics);
}

static void close_pollers(struct app *a)
{
    for (unsigned i = 0; i < CONFIG_FEEDS_MAX; i++) {
        if (a->feeds[i].poller == NULL)
            continue;
        a->closing++;
        poller_close(a->feeds[i].poller, one_closed, a);
        a->feeds[i].poller = NULL;
    }
}

static void close_readers(struct app *a)
{
    if (a->rollout != NULL) {
        a->closing++;
        rollout_close(a, one_closed, a);
    }
    if (a->jwks != NULL) {
        a->closing++;
        jwks_close(a->jwks, one_closed, a);
        a->jwks = NULL;
    }
    if (a->scim != NULL) {
        a->closing++;
        scim_close(a->scim, one_closed, a);
        a->scim = NULL;
    }
}

static void close_clients(struct app *a)
{
    for (unsigned i = 0; i < CONFIG_SERVERS_MAX; i++) {
        if (a->runtimes[i].client == NULL)
            continue;
        a->closing++;
        grpc_client_close(a->runtimes[i].client, one_closed, a);
        a->runtimes[i].client = NULL;
    }
    if (a->oauth != NULL) {
        a->closing++;
        oauth_close(a->oauth, one_closed, a);
        a->oauth = NULL;
    }
}

static void close_transport(struct app *a)
{
    if (a->fetch != NULL) {
        a->closing++;
        fetch_close(a->fetch, one_closed, a);
        a->fetch = NULL;
    }
    if (a->work != NULL) {
        a->closing++;
        work_close(a->work, one_closed, a);
        a->work = NULL;
    }
}

static void close_log(struct app *a)
{
    if (a->log == NULL)
        return;
    struct decision_log *l = a->log;
    a->log = NULL;
    if (!a->log_started) {
        decision_log_free(l);
        return;
    }
    a->closing++;
    decision_log_close(l, one_closed, a);
}

static void store_closed(void *ctx)
{
    struct app *a = ctx;
    a->store = NULL; /* until now commits could still be reported */
    one_closed(a);
}

static void close_store(struct app *a)
{
    if (a->store == NULL)
        return;
    if (a->durable) {
        a->store_closing = true;
        a->closing++;
        store_close(a->store, store_closed, a);
        return;
    }
    store_free(a->store);
    a->store = NULL;
}

static void on_handle_closed(uv_handle_t *h)
{
    one_closed(h->data);
}

static void close_handle(struct app *a, uv_handle_t *h)
{
    h->data = a;
    a->closing++;
    uv_close(h, on_handle_closed);
}

static void close_handles(struct app *a)
{
    close_handle(a, (uv_handle_t *)&a->timer);
    close_handle(a, (uv_handle_t *)&a->heartbeat);
    candidate_host_quit(a);
    close_handle(a, (uv_handle_t *)&a->candidate_wake);
    for (unsigned i = 0; i < a->signal_count; i++)
        close_handle(a, (uv_handle_t *)&a->signals[i]);
}

static void enter(struct app *a, enum phase p)
{
    stop_limit_at(a->stop_limit, phase_words[p]);
    switch (p) {
        case SERVERS: close_servers(a); break;
        case POLLERS: close_pollers(a); break;
        case READERS: close_readers(a); break;
        case CLIENTS: close_clients(a); break;
        case TRANSPORT: close_transport(a); break;
        case STORES: close_store(a); break;
        case LOGS: close_log(a); break;
        case HANDLES: close_handles(a); break;
        case RUNNING:
        case DONE: break;
    }
}

/* A group with nothing to close is passed at once. */
static void next_phase(struct app *a)
{
    while (a->closing == 0 && a->stop_phase < DONE) {
        a->stop_phase++;
        a->closing++; /* so that a callback cannot overtake */
        enter(a, (enum phase)a->stop_phase);
        a->closing--;
    }
}

void app_stop(struct app *a)
{
    if (a->stopping)
        return;
    a->stopping = true;
    a->stop_limit = stop_limit_start(APP_STOP_MS);
    if (a->health != NULL)
        grpc_health_set(a->health, false);
    if (a->started) {
        struct in in = {.kind = IN_STOP};
        ignore_rc(app_step(a, &in)); /* a notice */
    }
    watch_end_all(a);
    next_phase(a);
}

/* What never became durable; nobody listens any more, but the request is
 * ours until it is answered. */
static void answer_left(struct app *a)
{
    LIST_EACH (k, next, &a->waiting) {
        struct waiter *w = container_of(k, struct waiter, link);
        if (w->req != NULL)
            http_reply(w->req, 503, NULL, 0, SPAN(""));
        buf_fini(&w->answer);
    }
    waiters_free(&a->waiting);
}

static void close_loop(struct app *a)
{
    app_stop(a);
    (void)uv_run(&a->loop, UV_RUN_DEFAULT);
    int rc = uv_loop_close(&a->loop);
    if (rc != 0)
        log_error(LOG_LOOP, "handles_left", kv_i64("code", rc));
    must(rc == 0);
}

void app_close(struct app *a)
{
    if (a->looping)
        close_loop(a);
    watch_free_gone(a);
    engine_free(a->engine);
    stop_limit_at(a->stop_limit, "candidate");
    candidate_host_close(a);
    stop_limit_end(a->stop_limit);
    grpc_health_free(a->health);
    seal_free(a->seal);
    answer_left(a);
    waiters_free(&a->spare_waiters);
    mem_release(mem_system(), a->marks);
    mem_release(mem_system(), a->later);
    buf_fini(&a->encoded);
    arena_fini(&a->message_arena);
    rollout_free(a);
    for (unsigned i = 0; i < CONFIG_FEEDS_MAX; i++)
        mem_wipe((void *)(uintptr_t)a->feeds[i].push_secret.p,
                 a->feeds[i].push_secret.n);
    for (unsigned i = 0; i < CONFIG_CALLERS_MAX; i++)
        mem_wipe((void *)(uintptr_t)a->callers[i].bearer.p,
                 a->callers[i].bearer.n);
    arena_fini(&a->secrets);
    arena_fini(&a->config_arena);
}
