// SPDX-License-Identifier: Apache-2.0
/*
 * Tool calls that runtimes registered, the runtimes themselves, and the
 * directives that were sent to them and not acknowledged yet. All of it lives
 * in memory: after a restart a runtime says again what it runs (Hello).
 */
#ifndef SIDECAR_CORE_CALL_H
#define SIDECAR_CORE_CALL_H

#include "sidecar/core/engine.h"
#include "sidecar/core/subject.h"

#define CALLS_PER_RUNTIME_MAX 65536
#define RUNTIMES_MAX 1024
#define DIRECTIVES_PER_RUNTIME_MAX 4096
#define CALL_LOST_KEPT_MS (INT64_C(3600) * 1000)

enum call_state {
    CALL_RUNNING,
    CALL_STOPPING, /* told, or to be told, to stop */
};

/* Small: there are very many. */
struct call {
    struct map_link by_lease; /* key: `lease` */
    struct map_link by_id;    /* key: number of the runtime, then the id */
    struct list_link agent_link, runtime_link, lease_link;
    struct subject *agent;
    struct runtime *runtime;
    uint64_t lease;
    int64_t expires_ms, since_wall_ms;
    enum call_state state : 8;
    bool lost : 1;  /* its lease ended without a word: unknown, never done */
    bool given : 1; /* an allow for it has left */
    uint16_t tool_n, run_n;
    unsigned char text[]; /* key of by_id, tool, run id */
};

/* Inside the call. */
struct span call_id(const struct call *c);
struct span call_tool(const struct call *c);
struct span call_run(const struct call *c);

/* A directive on its way; kept until acknowledged. */
struct directive {
    struct list_link link;      /* in runtime->directives */
    uint64_t id, epoch, job_id; /* job_id 0: nothing waits for it */
    enum directive_type type;
    enum reason reason;
    struct subject *agent;
    struct names call_ids, purge; /* inside this allocation */
    struct span rule, jti;
};

struct runtime {
    struct map_link link; /* key: caller name NUL runtime name */
    unsigned caller;
    struct span name; /* inside the key */
    uint32_t number;  /* of this boot; its calls' keys have it */
    uint64_t watch;   /* 0: not watching */
    bool served;      /* serves CancelToolCalls */
    struct list calls, directives;
    unsigned call_count, directive_count;
    struct {
        struct span name, value;
    } labels[ENGINE_LABELS_MAX];
    unsigned label_count;
    struct arena *labels_arena;
};

struct calls {
    struct mem *mem;
    struct map by_lease, by_id, runtimes;
    uint32_t last_runtime;
    struct list leases; /* by expiry: every lease has the same length */
    struct list lost;   /* calls whose lease has ended, oldest first */
    size_t max;
};

void calls_init(struct calls *t, struct mem *m, struct hash_key seed,
                size_t max);
void calls_fini(struct calls *t);

/* Finds or makes. RC_LIMIT, RC_NO_MEMORY, RC_INVALID. */
int runtime_get(struct calls *t, const struct engine_caller *c, unsigned caller,
                struct span name, struct runtime **ret) must_use;
/* Any runtime of this name (Hello, served targets), or NULL. */
struct runtime *runtime_find(const struct calls *t, struct span caller_name,
                             struct span name);
int runtime_set_label(struct calls *t, struct runtime *r, struct span name,
                      struct span value) must_use;
void runtime_clear_labels(struct calls *t, struct runtime *r);

struct call_spec {
    struct subject *agent;
    struct runtime *runtime;
    struct span tool, call_id, run_id;
    uint64_t lease;
    int64_t expires_ms, since_wall_ms;
};

/* Registers; when the table is full the oldest lost call makes room. An
 * existing call of the same runtime and id is returned with *ret_new false.
 * RC_LIMIT, RC_NO_MEMORY, RC_INVALID. */
int call_put(struct calls *t, const struct call_spec *spec, struct call **ret,
             bool *ret_new) must_use;
/* "L" and 16 hex digits, as it was given out. */
struct call *call_by_lease(const struct calls *t, struct span lease_text);
struct call *call_by_id(const struct calls *t, const struct runtime *r,
                        struct span call_id);
void call_renew(struct calls *t, struct call *c, int64_t expires_ms);
void call_free(struct calls *t, struct call *c);

/* The lease that ends next, or NULL. */
struct call *call_next_expiry(const struct calls *t);
/* Its lease has ended; it stays known until `forget_ms`, so that it can still
 * be cancelled, renewed or ended. */
void call_lose(struct calls *t, struct call *c, int64_t forget_ms);
/* The lost call to forget next, or NULL. */
struct call *call_next_lost(const struct calls *t);

/* Copies all names. RC_LIMIT, RC_NO_MEMORY. */
int directive_put(struct calls *t, struct runtime *r,
                  const struct directive *spec,
                  struct directive **ret) must_use;
struct directive *directive_find(const struct runtime *r, uint64_t id);
void directive_free(struct calls *t, struct runtime *r, struct directive *d);

#endif
