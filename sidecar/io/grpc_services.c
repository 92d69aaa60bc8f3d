// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/grpc_services.h"

#include "proto/pb_walk.h"
#include "sidecar/io/fds.h"
#include "sidecar/io/h2.h"

/* --- health (grpc/doc/health-checking.md) -----------------------------------
 */

#define HEALTH_ANSWER_BYTES_MAX 16
#define REFLECTION_BYTES_MAX (512u << 10)

enum serving { SERVING = 1, NOT_SERVING = 2, SERVICE_UNKNOWN = 3 };

struct grpc_health {
    bool serving;
    struct list watchers;
};

struct watcher {
    struct list_link link;
    struct grpc_health *health;
    struct grpc_call *call;
    bool known;
    enum serving sent;
};

static struct grpc_health *(*health_of)(void *ctx);

void grpc_services_set_health(struct grpc_health *(*of)(void *ctx))
{
    health_of = of;
}

int grpc_health_new(struct grpc_health **ret, struct fail *f)
{
    struct grpc_health *h = mem_alloc(mem_system(), sizeof(*h));
    if (h == NULL)
        return fail(f, RC_NO_MEMORY, "out of memory");
    list_init(&h->watchers);
    *ret = h;
    return 0;
}

void grpc_health_free(struct grpc_health *h)
{
    if (h == NULL)
        return;
    must(list_empty(&h->watchers)); /* the servers must be closed first */
    mem_release(mem_system(), h);
}

static enum serving answer_of(const struct grpc_health *h, bool known)
{
    if (!known)
        return SERVICE_UNKNOWN;
    return h->serving ? SERVING : NOT_SERVING;
}

static void put_answer(struct buf *b, enum serving v)
{
    pb_put_u64(b, 1, v);
}

static bool is_known(const struct grpc_call *c, struct span message)
{
    struct span name = pb_bytes(message, 1);
    return name.n == 0 || grpc_offers(c, name);
}

static void health_check(void *ctx, struct grpc_call *c, struct span m)
{
    struct grpc_health *h = health_of(ctx);
    struct buf b;
    if (!is_known(c, m)) {
        grpc_finish(c, GRPC_NOT_FOUND, "unknown service");
        return;
    }
    buf_init(&b, mem_system(), HEALTH_ANSWER_BYTES_MAX);
    put_answer(&b, answer_of(h, true));
    grpc_reply(c, buf_span(&b));
    buf_fini(&b);
}

static void tell(struct watcher *w)
{
    enum serving now = answer_of(w->health, w->known);
    struct buf b;
    if (now == w->sent)
        return;
    buf_init(&b, mem_system(), HEALTH_ANSWER_BYTES_MAX);
    put_answer(&b, now);
    if (grpc_send(w->call, buf_span(&b)) < 0)
        grpc_finish(w->call, GRPC_RESOURCE_EXHAUSTED, "slow reader");
    w->sent = now;
    buf_fini(&b);
}

static void health_watch(void *ctx, struct grpc_call *c, struct span m)
{
    struct watcher *w = mem_alloc(mem_system(), sizeof(*w));
    if (w == NULL) {
        grpc_finish(c, GRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    w->health = health_of(ctx);
    w->call = c;
    w->known = is_known(c, m);
    list_push(&w->health->watchers, &w->link);
    grpc_set_user(c, w);
    tell(w);
}

static void watch_closed(void *ctx, struct grpc_call *c)
{
    struct watcher *w = grpc_user(c);
    (void)ctx;
    if (w == NULL)
        return;
    list_remove(&w->link);
    mem_release(mem_system(), w);
}

void grpc_health_set(struct grpc_health *h, bool serving)
{
    h->serving = serving;
    LIST_EACH (k, next, &h->watchers)
        tell(container_of(k, struct watcher, link));
}

const struct grpc_method grpc_health_methods[2] = {
    {.path = "/grpc.health.v1.Health/Check", .message = health_check},
    {
        .path = "/grpc.health.v1.Health/Watch",
        .server_streams = true,
        .message = health_watch,
        .closed = watch_closed,
    },
};

/* --- reflection (grpc/doc/server-reflection.md) ------------------------------
 */

/* Field numbers of ServerReflectionRequest and -Response; both versions of the
 * service use the same. */
enum {
    ASK_FILE = 3,
    ASK_SYMBOL = 4,
    ASK_EXTENSION = 5,
    ASK_EXTENSION_NUMBERS = 6,
    ASK_SERVICES = 7,
    SAY_HOST = 1,
    SAY_REQUEST = 2,
    SAY_FILES = 4,
    SAY_SERVICES = 6,
    SAY_ERROR = 7,
};

/* ... and of descriptor.proto. */
enum {
    SET_FILE = 1,
    FILE_NAME = 1,
    FILE_PACKAGE = 2,
    FILE_MESSAGE = 4,
    FILE_ENUM = 5,
    FILE_SERVICE = 6,
    ANY_NAME = 1,
    SERVICE_METHOD = 2,
    MESSAGE_NESTED = 3,
    MESSAGE_ENUM = 4,
};

/* True when `symbol` is `name` followed by nothing or a dot; *ret_rest is what
 * follows the dot. */
static bool has_prefix(struct span symbol, struct span name,
                       struct span *ret_rest)
{
    if (!span_starts(symbol, name))
        return false;
    *ret_rest = span_sub(symbol, name.n + 1, symbol.n);
    return symbol.n == name.n || symbol.p[name.n] == '.';
}

/* Does this message, enum or service (or something inside) bear the name? */
static bool thing_has(struct span thing, struct span symbol, bool service)
{
    struct span rest;
    while (has_prefix(symbol, pb_bytes(thing, ANY_NAME), &rest)) {
        struct span at = thing, deeper = {NULL, 0};
        struct pb_field f;
        if (rest.n == 0)
            return true;
        while (pb_next(&at, &f) == 1) {
            struct span unused;
            bool inner = service ? f.number == SERVICE_METHOD
                                 : f.number == MESSAGE_NESTED ||
                                       f.number == MESSAGE_ENUM;
            if (f.is_bytes && inner &&
                has_prefix(rest, pb_bytes(f.bytes, ANY_NAME), &unused))
                deeper = f.bytes;
        }
        if (deeper.p == NULL)
            return false;
        thing = deeper;
        symbol = rest;
    }
    return false;
}

static bool file_has(struct span file, struct span symbol)
{
    struct span at = file, rest;
    struct pb_field f;
    if (!has_prefix(symbol, pb_bytes(file, FILE_PACKAGE), &rest) || rest.n == 0)
        return false;
    while (pb_next(&at, &f) == 1) {
        bool thing = f.number == FILE_MESSAGE || f.number == FILE_ENUM ||
                     f.number == FILE_SERVICE;
        if (f.is_bytes && thing &&
            thing_has(f.bytes, rest, f.number == FILE_SERVICE))
            return true;
    }
    return false;
}

/* The file with this name, or (by_symbol) the one that declares it. */
static struct span find_file(struct span wanted, bool by_symbol)
{
    struct span at = fds_bytes();
    struct pb_field f;
    while (pb_next(&at, &f) == 1)
        if (by_symbol ? file_has(f.bytes, wanted)
                      : span_eq(pb_bytes(f.bytes, FILE_NAME), wanted))
            return f.bytes;
    return (struct span){NULL, 0};
}

static void say_error(struct buf *b, enum grpc_status code, const char *text)
{
    struct buf e;
    buf_init(&e, mem_system(), REFLECTION_BYTES_MAX);
    pb_put_u64(&e, 1, code);
    pb_put_bytes(&e, 2, span_str(text));
    pb_put_bytes(b, SAY_ERROR, buf_span(&e));
    buf_fini(&e);
}

static void say_file(struct buf *b, struct span file)
{
    struct buf e;
    if (file.p == NULL) {
        say_error(b, GRPC_NOT_FOUND, "not found");
        return;
    }
    buf_init(&e, mem_system(), REFLECTION_BYTES_MAX);
    pb_put_bytes(&e, 1, file);
    pb_put_bytes(b, SAY_FILES, buf_span(&e));
    buf_fini(&e);
}

static void put_service(struct buf *list, const struct grpc_call *c,
                        struct span package, struct span name)
{
    struct buf full, one;
    buf_init(&full, mem_system(), REFLECTION_BYTES_MAX);
    buf_init(&one, mem_system(), REFLECTION_BYTES_MAX);
    buf_put(&full, package);
    buf_put_u8(&full, '.');
    buf_put(&full, name);
    pb_put_bytes(&one, 1, buf_span(&full));
    if (grpc_offers(c, buf_span(&full)))
        pb_put_bytes(list, 1, buf_span(&one));
    buf_fini(&full);
    buf_fini(&one);
}

static void say_services(struct buf *b, const struct grpc_call *c)
{
    struct buf list;
    struct span at = fds_bytes();
    struct pb_field file, f;
    buf_init(&list, mem_system(), REFLECTION_BYTES_MAX);
    while (pb_next(&at, &file) == 1) {
        struct span inner = file.bytes;
        while (pb_next(&inner, &f) == 1)
            if (f.number == FILE_SERVICE && f.is_bytes)
                put_service(&list, c, pb_bytes(file.bytes, FILE_PACKAGE),
                            pb_bytes(f.bytes, ANY_NAME));
    }
    pb_put_bytes(b, SAY_SERVICES, buf_span(&list));
    buf_fini(&list);
}

static void say(struct buf *b, const struct grpc_call *c, struct span ask)
{
    struct span at = ask;
    struct pb_field f;
    while (pb_next(&at, &f) == 1) {
        if (!f.is_bytes)
            continue;
        switch (f.number) {
            case ASK_FILE: say_file(b, find_file(f.bytes, false)); return;
            case ASK_SYMBOL: say_file(b, find_file(f.bytes, true)); return;
            case ASK_SERVICES: say_services(b, c); return;
            case ASK_EXTENSION:
            case ASK_EXTENSION_NUMBERS:
                say_error(b, GRPC_NOT_FOUND, "no extensions");
                return;
            default: break;
        }
    }
    say_error(b, GRPC_UNIMPLEMENTED, "unknown request");
}

static void reflect(void *ctx, struct grpc_call *c, struct span ask)
{
    struct buf b;
    (void)ctx;
    buf_init(&b, mem_system(), REFLECTION_BYTES_MAX);
    pb_put_bytes(&b, SAY_HOST, pb_bytes(ask, 1));
    pb_put_bytes(&b, SAY_REQUEST, ask);
    say(&b, c, ask);
    if (!buf_ok(&b) || grpc_send(c, buf_span(&b)) < 0)
        grpc_finish(c, GRPC_RESOURCE_EXHAUSTED, "too much is queued");
    buf_fini(&b);
}

static void reflect_end(void *ctx, struct grpc_call *c)
{
    (void)ctx;
    grpc_finish(c, GRPC_OK, NULL);
}

const struct grpc_method grpc_reflection_methods[2] = {
    {
        .path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        .client_streams = true,
        .server_streams = true,
        .message = reflect,
        .half_closed = reflect_end,
    },
    {
        .path =
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        .client_streams = true,
        .server_streams = true,
        .message = reflect,
        .half_closed = reflect_end,
    },
};
