// SPDX-License-Identifier: Apache-2.0
/*
 * Watch streams. A stream's number is the address of its `struct watch`, which
 * lives as long as the stream; the engine forgets the number with
 * IN_WATCH_GONE before it is freed.
 */
#include <string.h>

#include "sidecar/base/log.h"
#include "sidecar/run/app.h"

struct watch {
    struct list_link link; /* in app->watches, then app->gone_watches */
    struct app *app;
    struct grpc_call *call;
    unsigned caller;
    bool said_hello;
    size_t runtime_n;
    unsigned char runtime[ENGINE_ID_MAX];
};

void watch_open(void *ctx, struct grpc_call *c)
{
    struct app *a = ctx;
    int who = conf_caller_of(a, grpc_peer(c),
                             grpc_metadata(c, SPAN("authorization")));
    if (who < 0) {
        grpc_finish(c, GRPC_UNAUTHENTICATED,
                    "no caller of the configuration has this identity");
        return;
    }
    if (!a->engine_conf.callers[who].whole_runtime) {
        grpc_finish(c, GRPC_PERMISSION_DENIED,
                    "only runtimes and gateways may watch");
        return;
    }
    struct watch *w = mem_alloc(mem_system(), sizeof *w);
    if (w == NULL) {
        grpc_finish(c, GRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    w->app = a;
    w->call = c;
    w->caller = (unsigned)who;
    list_push(&a->watches, &w->link);
    grpc_set_user(c, w);
}

static void send_encoded(struct watch *w)
{
    struct app *a = w->app;
    if (!buf_ok(&a->encoded)) {
        grpc_finish(w->call, GRPC_INTERNAL, "a message could not be encoded");
        return;
    }
    if (grpc_send(w->call, buf_span(&a->encoded)) < 0)
        /* It reads too slowly: it comes again, says Hello, and gets what it
         * has not acknowledged. */
        grpc_finish(w->call, GRPC_RESOURCE_EXHAUSTED,
                    "the stream is read too slowly");
}

static void on_hello(struct watch *w, struct in_hello *hello)
{
    struct in in = {.kind = IN_HELLO};
    if (hello->runtime.n > ENGINE_ID_MAX || !span_is_text(hello->runtime)) {
        grpc_finish(w->call, GRPC_INVALID_ARGUMENT,
                    "the runtime's name must be text of at most 256 bytes");
        return;
    }
    w->said_hello = true;
    w->runtime_n = hello->runtime.n;
    if (hello->runtime.n > 0)
        memcpy(w->runtime, hello->runtime.p, hello->runtime.n);
    in.hello = *hello;
    in.hello.watch = (uint64_t)(uintptr_t)w;
    in.hello.caller = w->caller;
    if (app_step(w->app, &in) < 0)
        grpc_finish(w->call, GRPC_RESOURCE_EXHAUSTED,
                    "too many runtimes or calls");
}

static void on_ack(struct watch *w, struct in_ack *ack)
{
    struct in in = {.kind = IN_ACK};
    in.ack = *ack;
    in.ack.caller = w->caller;
    in.ack.runtime = span_of(w->runtime, w->runtime_n);
    ignore_rc(app_step(w->app, &in)); /* it is asked again after Hello */
}

void watch_message(void *ctx, struct grpc_call *c, struct span message)
{
    struct app *a = ctx;
    struct watch *w = grpc_user(c);
    struct watch_message m;
    const struct gate_names names = {conf_base_of_feed, a};
    if (w == NULL)
        return; /* refused at open */
    arena_clear(&a->message_arena);
    if (gate_decode_watch(&a->message_arena, &names, message, &m) < 0) {
        grpc_finish(c, GRPC_INVALID_ARGUMENT, "the message cannot be decoded");
        return;
    }
    if (m.kind != WATCH_HELLO && !w->said_hello) {
        grpc_finish(c, GRPC_FAILED_PRECONDITION, "Hello comes first");
        return;
    }
    switch (m.kind) {
        case WATCH_HELLO: on_hello(w, &m.hello); break;
        case WATCH_ACK: on_ack(w, &m.ack); break;
        case WATCH_PING:
            buf_clear(&a->encoded);
            gate_encode_pong(engine_epoch(a->engine), &a->encoded);
            send_encoded(w);
            break;
    }
}

void watch_half_closed(void *ctx, struct grpc_call *c)
{
    (void)ctx;
    grpc_finish(c, GRPC_OK, NULL);
}

void watch_closed(void *ctx, struct grpc_call *c)
{
    struct app *a = ctx;
    struct watch *w = grpc_user(c);
    if (w == NULL)
        return;
    struct in in = {.kind = IN_WATCH_GONE,
                    .watch_gone = (uint64_t)(uintptr_t)w};
    w->call = NULL;
    list_remove(&w->link);
    list_push(&a->gone_watches, &w->link); /* effects of a step under way may
                                              still name it */
    ignore_rc(app_step(a, &in));           /* cannot be refused */
    if (!a->stepping)
        watch_free_gone(a);
}

void watch_free_gone(struct app *a)
{
    struct list_link *k;
    while ((k = list_shift(&a->gone_watches)) != NULL)
        mem_release(mem_system(), container_of(k, struct watch, link));
}

static struct watch *watch_of(uint64_t watch)
{
    return (struct watch *)(uintptr_t)watch;
}

void watch_directive(struct app *a, const struct out_directive *o)
{
    struct watch *w = watch_of(o->watch);
    if (w->call == NULL)
        return;
    buf_clear(&a->encoded);
    gate_encode_directive(o, &a->encoded);
    send_encoded(w);
}

void watch_snapshot_end(struct app *a, uint64_t watch, uint64_t epoch)
{
    struct watch *w = watch_of(watch);
    if (w->call == NULL)
        return;
    buf_clear(&a->encoded);
    gate_encode_snapshot_end(epoch, APP_HEARTBEAT_MS, &a->encoded);
    send_encoded(w);
}

/* A runtime that hears nothing for three of these stops its tools. */
void watch_heartbeat(struct app *a)
{
    LIST_EACH (k, next, &a->watches) {
        struct watch *w = container_of(k, struct watch, link);
        if (!w->said_hello || w->call == NULL)
            continue;
        buf_clear(&a->encoded);
        gate_encode_pong(engine_epoch(a->engine), &a->encoded);
        send_encoded(w);
    }
}

/* Stopping: a runtime reconnects to whoever answers then. */
void watch_end_all(struct app *a)
{
    LIST_EACH (k, next, &a->watches) {
        struct watch *w = container_of(k, struct watch, link);
        if (w->call != NULL)
            grpc_finish(w->call, GRPC_UNAVAILABLE, "the sidecar is stopping");
    }
}
