// SPDX-License-Identifier: Apache-2.0
#include "sidecar/core/call.h"

#include <string.h>

#define LABELS_BYTES_MAX 8192
#define CALL_KEY_MAX (3 * ENGINE_ID_MAX)

void calls_init(struct calls *t, struct mem *m, struct hash_key seed,
                size_t max)
{
    *t = (struct calls){.mem = m, .max = max};
    map_init(&t->by_lease, m, seed, max);
    map_init(&t->by_id, m, seed, max);
    map_init(&t->runtimes, m, seed, RUNTIMES_MAX);
    list_init(&t->leases);
    list_init(&t->lost);
}

static void runtime_free(struct calls *t, struct runtime *r)
{
    LIST_EACH (k, next, &r->directives)
        directive_free(t, r, container_of(k, struct directive, link));
    LIST_EACH (c, next_call, &r->calls)
        call_free(t, container_of(c, struct call, runtime_link));
    if (r->labels_arena != NULL)
        arena_fini(r->labels_arena);
    mem_release(t->mem, r->labels_arena);
    mem_release(t->mem, r);
}

void calls_fini(struct calls *t)
{
    struct map_link *k;
    while ((k = map_any(&t->runtimes)) != NULL) {
        map_remove(&t->runtimes, k);
        runtime_free(t, container_of(k, struct runtime, link));
    }
    map_fini(&t->by_lease);
    map_fini(&t->by_id);
    map_fini(&t->runtimes);
}

/* "a NUL b"; 0 when too long. */
static size_t join(struct span a, struct span b, unsigned char *out, size_t max)
{
    if (a.n + 1 + b.n > max)
        return 0;
    if (a.n > 0)
        memcpy(out, a.p, a.n);
    out[a.n] = 0;
    if (b.n > 0)
        memcpy(out + a.n + 1, b.p, b.n);
    return a.n + 1 + b.n;
}

struct runtime *runtime_find(const struct calls *t, struct span caller_name,
                             struct span name)
{
    unsigned char key[CALL_KEY_MAX];
    size_t n = join(caller_name, name, key, sizeof key);
    struct map_link *k =
        n == 0 ? NULL : map_find(&t->runtimes, span_of(key, n));
    return k == NULL ? NULL : container_of(k, struct runtime, link);
}

int runtime_get(struct calls *t, const struct engine_caller *c, unsigned caller,
                struct span name, struct runtime **ret)
{
    if (name.n > ENGINE_ID_MAX || c->name.n > ENGINE_ID_MAX)
        return RC_INVALID;
    *ret = runtime_find(t, c->name, name);
    if (*ret != NULL) {
        (*ret)->caller = caller;
        return 0;
    }
    struct runtime *r = mem_alloc(t->mem, sizeof *r + c->name.n + 1 + name.n);
    if (r == NULL)
        return RC_NO_MEMORY;
    unsigned char *key = (unsigned char *)(r + 1);
    size_t n = join(c->name, name, key, c->name.n + 1 + name.n);
    map_set_key(&r->link, span_of(key, n));
    r->name = span_sub(map_key(&r->link), c->name.n + 1, n);
    r->caller = caller;
    r->number = ++t->last_runtime;
    list_init(&r->calls);
    list_init(&r->directives);
    int rc = map_insert(&t->runtimes, &r->link);
    if (rc < 0) {
        mem_release(t->mem, r);
        return rc;
    }
    *ret = r;
    return 0;
}

void runtime_clear_labels(struct calls *t, struct runtime *r)
{
    (void)t;
    r->label_count = 0;
    if (r->labels_arena != NULL)
        arena_clear(r->labels_arena);
}

int runtime_set_label(struct calls *t, struct runtime *r, struct span name,
                      struct span value)
{
    if (r->label_count >= ENGINE_LABELS_MAX)
        return RC_LIMIT;
    if (r->labels_arena == NULL) {
        r->labels_arena = mem_alloc(t->mem, sizeof *r->labels_arena);
        if (r->labels_arena == NULL)
            return RC_NO_MEMORY;
        arena_init(r->labels_arena, t->mem, LABELS_BYTES_MAX);
    }
    struct span n = {mem_copy(&r->labels_arena->mem, name), name.n};
    struct span v = {mem_copy(&r->labels_arena->mem, value), value.n};
    if (n.p == NULL || v.p == NULL)
        return RC_NO_MEMORY;
    r->labels[r->label_count].name = n;
    r->labels[r->label_count].value = v;
    r->label_count++;
    return 0;
}

#define RUNTIME_NUMBER_BYTES sizeof(uint32_t)

struct span call_id(const struct call *c)
{
    return span_sub(map_key(&c->by_id), RUNTIME_NUMBER_BYTES, SIZE_MAX);
}

struct span call_tool(const struct call *c)
{
    return span_of(c->text + c->by_id.key_n, c->tool_n);
}

struct span call_run(const struct call *c)
{
    return span_of(c->text + c->by_id.key_n + c->tool_n, c->run_n);
}

/* Room for RUNTIME_NUMBER_BYTES + ENGINE_ID_MAX. */
static struct span put_key(const struct runtime *r, struct span id,
                           unsigned char *to)
{
    unsigned char *at = to;
    (void)mem_place(&at, span_of(&r->number, sizeof r->number));
    (void)mem_place(&at, id);
    return span_of(to, sizeof r->number + id.n);
}

struct call *call_by_id(const struct calls *t, const struct runtime *r,
                        struct span id)
{
    unsigned char key[RUNTIME_NUMBER_BYTES + ENGINE_ID_MAX];
    if (id.n > ENGINE_ID_MAX)
        return NULL;
    struct map_link *k = map_find(&t->by_id, put_key(r, id, key));
    return k == NULL ? NULL : container_of(k, struct call, by_id);
}

#define LEASE_TEXT_BYTES 17 /* "L" and 16 hex digits */

static bool lease_number(struct span text, uint64_t *ret)
{
    if (text.n != LEASE_TEXT_BYTES || text.p[0] != 'L')
        return false;
    *ret = 0;
    for (size_t i = 1; i < text.n; i++) {
        unsigned char c = text.p[i];
        bool digit = c >= '0' && c <= '9', letter = c >= 'a' && c <= 'f';
        if (!digit && !letter)
            return false;
        *ret = *ret << 4 | (uint64_t)(digit ? c - '0' : c - 'a' + 10);
    }
    return true;
}

struct call *call_by_lease(const struct calls *t, struct span lease_text)
{
    uint64_t lease;
    if (!lease_number(lease_text, &lease))
        return NULL;
    struct map_link *k = map_find(&t->by_lease, span_of(&lease, sizeof lease));
    return k == NULL ? NULL : container_of(k, struct call, by_lease);
}

static int insert_call(struct calls *t, struct call *c)
{
    TRY(map_insert(&t->by_id, &c->by_id));
    int rc = map_insert(&t->by_lease, &c->by_lease);
    if (rc < 0)
        map_remove(&t->by_id, &c->by_id);
    return rc;
}

int call_put(struct calls *t, const struct call_spec *spec, struct call **ret,
             bool *ret_new)
{
    struct runtime *r = spec->runtime;
    *ret_new = false;
    *ret = call_by_id(t, r, spec->call_id);
    if (*ret != NULL)
        return 0;
    if (spec->call_id.n == 0 || spec->call_id.n > ENGINE_ID_MAX ||
        spec->tool.n > ENGINE_ID_MAX || spec->run_id.n > ENGINE_ID_MAX)
        return RC_INVALID;
    if (t->by_id.count >= t->max && call_next_lost(t) != NULL)
        call_free(t, call_next_lost(t));
    struct call *c =
        mem_alloc(t->mem, sizeof *c + RUNTIME_NUMBER_BYTES + spec->call_id.n +
                              spec->tool.n + spec->run_id.n);
    if (c == NULL)
        return RC_NO_MEMORY;
    struct span key = put_key(r, spec->call_id, c->text);
    unsigned char *at = c->text + key.n;
    (void)mem_place(&at, spec->tool);
    (void)mem_place(&at, spec->run_id);
    c->tool_n = (uint16_t)spec->tool.n;
    c->run_n = (uint16_t)spec->run_id.n;
    c->agent = spec->agent;
    c->runtime = r;
    c->lease = spec->lease;
    c->expires_ms = spec->expires_ms;
    c->since_wall_ms = spec->since_wall_ms;
    map_set_key(&c->by_id, key);
    map_set_key(&c->by_lease, span_of(&c->lease, sizeof c->lease));
    int rc = insert_call(t, c);
    if (rc < 0) {
        mem_release(t->mem, c);
        return rc;
    }
    list_push(&spec->agent->calls, &c->agent_link);
    list_push(&r->calls, &c->runtime_link);
    list_push(&t->leases, &c->lease_link);
    r->call_count++;
    *ret = c;
    *ret_new = true;
    return 0;
}

void call_renew(struct calls *t, struct call *c, int64_t expires_ms)
{
    c->expires_ms = expires_ms;
    c->lost = false;
    list_remove(&c->lease_link);
    list_push(&t->leases, &c->lease_link);
}

void call_lose(struct calls *t, struct call *c, int64_t forget_ms)
{
    c->expires_ms = forget_ms;
    c->lost = true;
    list_remove(&c->lease_link);
    list_push(&t->lost, &c->lease_link);
}

struct call *call_next_lost(const struct calls *t)
{
    return list_empty(&t->lost)
               ? NULL
               : container_of(t->lost.head.next, struct call, lease_link);
}

void call_free(struct calls *t, struct call *c)
{
    map_remove(&t->by_lease, &c->by_lease);
    map_remove(&t->by_id, &c->by_id);
    list_remove(&c->agent_link);
    list_remove(&c->runtime_link);
    list_remove(&c->lease_link);
    c->runtime->call_count--;
    mem_release(t->mem, c);
}

struct call *call_next_expiry(const struct calls *t)
{
    return list_empty(&t->leases)
               ? NULL
               : container_of(t->leases.head.next, struct call, lease_link);
}

static size_t names_bytes(struct names n)
{
    size_t total = n.count * sizeof(struct span);
    for (unsigned i = 0; i < n.count; i++)
        total += n.at[i].n;
    return total;
}

static struct names place_names(struct span **spans, unsigned char **bytes,
                                struct names n)
{
    struct names placed = {*spans, n.count};
    for (unsigned i = 0; i < n.count; i++)
        *(*spans)++ = mem_place(bytes, n.at[i]);
    return placed;
}

int directive_put(struct calls *t, struct runtime *r,
                  const struct directive *spec, struct directive **ret)
{
    if (r->directive_count >= DIRECTIVES_PER_RUNTIME_MAX)
        return RC_LIMIT;
    struct directive *d = mem_alloc(
        t->mem, sizeof *d + names_bytes(spec->call_ids) +
                    names_bytes(spec->purge) + spec->rule.n + spec->jti.n);
    if (d == NULL)
        return RC_NO_MEMORY;
    *d = *spec;
    d->link = (struct list_link){NULL, NULL};
    struct span *spans = (struct span *)(d + 1);
    unsigned char *bytes =
        (unsigned char *)(spans + spec->call_ids.count + spec->purge.count);
    d->call_ids = place_names(&spans, &bytes, spec->call_ids);
    d->purge = place_names(&spans, &bytes, spec->purge);
    d->rule = mem_place(&bytes, spec->rule);
    d->jti = mem_place(&bytes, spec->jti);
    list_push(&r->directives, &d->link);
    r->directive_count++;
    *ret = d;
    return 0;
}

struct directive *directive_find(const struct runtime *r, uint64_t id)
{
    LIST_EACH (k, next, &r->directives) {
        struct directive *d = container_of(k, struct directive, link);
        if (d->id == id)
            return d;
    }
    return NULL;
}

void directive_free(struct calls *t, struct runtime *r, struct directive *d)
{
    list_remove(&d->link);
    r->directive_count--;
    mem_release(t->mem, d);
}
