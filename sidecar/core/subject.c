// SPDX-License-Identifier: Apache-2.0
#include "sidecar/core/subject.h"

#include <string.h>

/* 1 had no word on what a pending rule is about. */
#define SUBJECT_FACT_VERSION 2

void subjects_init(struct subjects *t, struct mem *m, struct hash_key seed,
                   size_t max_count)
{
    t->mem = m;
    map_init(&t->by_key, m, seed, max_count);
}

static void pending_free(struct subjects *t, struct pending_rule *p)
{
    mem_release(t->mem, p->rule);
    mem_release(t->mem, p->jti);
    mem_release(t->mem, p->feed);
    mem_release(t->mem, p);
}

static void subject_free(struct subjects *t, struct subject *s)
{
    subject_unlink_all(t, s);
    LIST_EACH (k, next, &s->pending)
        pending_free(t, container_of(k, struct pending_rule, link));
    mem_release(t->mem, s->version);
    mem_release(t->mem, s->etag);
    mem_release(t->mem, s->gate_cache);
    mem_release(t->mem, s->etag_seen);
    if (s->attrs_arena != NULL) {
        arena_fini(s->attrs_arena);
        mem_release(t->mem, s->attrs_arena);
    }
    list_remove(&s->wake_link);
    mem_release(t->mem, s);
}

void subjects_fini(struct subjects *t)
{
    struct map_link *k;
    while ((k = map_next(&t->by_key, NULL)) != NULL) {
        struct subject *s = container_of(k, struct subject, link);
        map_remove(&t->by_key, k);
        LIST_EACH (e, next, &s->in) {
            struct edge *edge = container_of(e, struct edge, in_link);
            list_remove(&edge->in_link);
            list_remove(&edge->out_link);
            edge->agent->out_count--;
            mem_release(t->mem, edge);
        }
        subject_free(t, s);
    }
    map_fini(&t->by_key);
}

/* Writes "base NUL uri" and returns its length, or 0 when it is too long. */
static size_t make_key(struct span base_url, struct span uri,
                       unsigned char *key, size_t max)
{
    if (uri.n == 0 || uri.n > 256 || base_url.n + 1 + uri.n > max)
        return 0;
    memcpy(key, base_url.p, base_url.n);
    key[base_url.n] = 0;
    memcpy(key + base_url.n + 1, uri.p, uri.n);
    return base_url.n + 1 + uri.n;
}

#define KEY_MAX 2048

struct subject *subject_find(const struct subjects *t, struct span base_url,
                             struct span uri)
{
    unsigned char key[KEY_MAX];
    size_t n = make_key(base_url, uri, key, sizeof key);
    struct map_link *k = n == 0 ? NULL : map_find(&t->by_key, span_of(key, n));
    return k == NULL ? NULL : container_of(k, struct subject, link);
}

static struct subject *subject_new(struct subjects *t, struct span key)
{
    struct subject *s = mem_alloc(t->mem, sizeof *s + key.n);
    if (s == NULL)
        return NULL;
    unsigned char *own = (unsigned char *)(s + 1);
    memcpy(own, key.p, key.n);
    s->link.key = span_of(own, key.n);
    list_init(&s->out);
    list_init(&s->in);
    list_init(&s->holds);
    list_init(&s->calls);
    list_init(&s->jobs);
    list_init(&s->credentials);
    list_init(&s->parked);
    list_init(&s->pending);
    return s;
}

int subject_get(struct subjects *t, unsigned base, struct span base_url,
                struct span uri, enum subject_kind kind, struct subject **ret)
{
    unsigned char key[KEY_MAX];
    size_t n = make_key(base_url, uri, key, sizeof key);
    if (n == 0)
        return RC_INVALID;
    struct map_link *k = map_find(&t->by_key, span_of(key, n));
    if (k != NULL) {
        *ret = container_of(k, struct subject, link);
        return 0;
    }
    struct subject *s = subject_new(t, span_of(key, n));
    if (s == NULL)
        return RC_NO_MEMORY;
    s->base = base;
    s->uri = span_sub(s->link.key, base_url.n + 1, n);
    s->kind = kind;
    int rc = map_insert(&t->by_key, &s->link);
    if (rc < 0) {
        subject_free(t, s);
        return rc;
    }
    *ret = s;
    return 0;
}

bool subject_is_bare(const struct subject *s)
{
    return !s->known && s->stamp_wall_ms == 0 && s->read.id == 0 &&
           list_empty(&s->out) && list_empty(&s->in) && list_empty(&s->holds) &&
           list_empty(&s->calls) && list_empty(&s->jobs) &&
           s->ended_jobs == 0 && list_empty(&s->credentials) &&
           list_empty(&s->parked) && list_empty(&s->pending) &&
           s->agenda == NULL;
}

void subject_drop(struct subjects *t, struct subject *s)
{
    must(subject_is_bare(s));
    map_remove(&t->by_key, &s->link);
    subject_free(t, s);
}

int subject_set_text(struct subjects *t, unsigned char **at, struct span s)
{
    if (*at != NULL && span_eq(span_str((const char *)*at), s))
        return 0;
    unsigned char *copy = s.n == 0 ? NULL : mem_copy(t->mem, s);
    mem_release(t->mem, *at);
    *at = copy;
    return s.n > 0 && copy == NULL ? RC_NO_MEMORY : 0;
}

int subject_link(struct subjects *t, struct subject *agent, enum edge_kind kind,
                 struct subject *other)
{
    LIST_EACH (k, next, &agent->out) {
        struct edge *e = container_of(k, struct edge, out_link);
        if (e->other == other && e->kind == kind)
            return 0;
    }
    if (agent->out_count >= SUBJECT_EDGES_MAX)
        return RC_LIMIT;
    struct edge *e = mem_alloc(t->mem, sizeof *e);
    if (e == NULL)
        return RC_NO_MEMORY;
    *e = (struct edge){.kind = kind, .agent = agent, .other = other};
    list_push(&agent->out, &e->out_link);
    list_push(&other->in, &e->in_link);
    agent->out_count++;
    return 0;
}

void subject_unlink_all(struct subjects *t, struct subject *agent)
{
    LIST_EACH (k, next, &agent->out) {
        struct edge *e = container_of(k, struct edge, out_link);
        list_remove(&e->out_link);
        list_remove(&e->in_link);
        mem_release(t->mem, e);
    }
    agent->out_count = 0;
}

int subject_pend(struct subjects *t, struct subject *s,
                 const struct pending_spec *spec)
{
    LIST_EACH (k, next, &s->pending) {
        const struct pending_rule *have =
            container_of(k, struct pending_rule, link);
        if (have->type == spec->type && have->about == spec->about &&
            span_eq(span_str((char *)have->rule), spec->rule) &&
            span_eq(span_str((char *)have->jti), spec->jti) &&
            span_eq(span_str((char *)have->feed), spec->feed))
            return 0;
    }
    if (s->pending_count >= SUBJECT_PENDING_MAX)
        return RC_LIMIT;
    struct pending_rule *p = mem_alloc(t->mem, sizeof *p);
    if (p == NULL)
        return RC_NO_MEMORY;
    p->type = spec->type;
    p->about = spec->about;
    p->rule = mem_copy(t->mem, spec->rule);
    p->jti = mem_copy(t->mem, spec->jti);
    p->feed = mem_copy(t->mem, spec->feed);
    if (p->rule == NULL || p->jti == NULL || p->feed == NULL) {
        pending_free(t, p);
        return RC_NO_MEMORY;
    }
    list_push(&s->pending, &p->link);
    s->pending_count++;
    return 0;
}

void subject_unpend(struct subjects *t, struct subject *s,
                    struct pending_rule *p)
{
    list_remove(&p->link);
    s->pending_count--;
    pending_free(t, p);
}

static void put_c(struct buf *out, const unsigned char *s)
{
    put_text(out, span_str((const char *)s));
}

void subject_encode(const struct subject *s, struct buf *out)
{
    put_u8(out, SUBJECT_FACT_VERSION);
    put_u8(out, s->kind);
    put_u8(out, (unsigned)(s->known | s->deleted << 1 | s->left << 2 |
                           s->feed_removed << 3 | s->active << 4 |
                           s->etag_qualified << 5 | s->event_open << 6));
    put_u8(out, s->found);
    put_u64(out, s->seen);
    put_i64(out, s->stamp_wall_ms);
    put_i64(out, s->read_wall_ms);
    put_c(out, s->version);
    put_c(out, s->etag);
    put_c(out, s->etag_seen);
    put_u64(out, s->stamp_row);
    put_u64(out, s->read_row);
    put_u32(out, s->out_count);
    LIST_EACH (k, next, &s->out) {
        const struct edge *e = container_of(k, struct edge, out_link);
        put_u8(out, e->kind);
        put_text(out, e->other->uri);
    }
    put_u32(out, s->pending_count);
    LIST_EACH (k2, next2, &s->pending) {
        const struct pending_rule *p =
            container_of(k2, struct pending_rule, link);
        put_u8(out, p->about);
        put_text(out, span_str(event_type_name(p->type)));
        put_c(out, p->rule);
        put_c(out, p->jti);
        put_c(out, p->feed);
    }
}

static void decode_flags(struct subject *s, unsigned flags)
{
    s->known = flags & 1;
    s->deleted = flags >> 1 & 1;
    s->left = flags >> 2 & 1;
    s->feed_removed = flags >> 3 & 1;
    s->active = flags >> 4 & 1;
    s->etag_qualified = flags >> 5 & 1;
    s->event_open = flags >> 6 & 1;
}

static int decode_edges(struct subjects *t, struct subject *s, struct reader *r,
                        int (*other)(void *, enum edge_kind, struct span,
                                     struct subject **),
                        void *ctx)
{
    subject_unlink_all(t, s);
    for (uint32_t n = take_u32(r); n > 0 && !r->bad; n--) {
        unsigned kind = take_u8(r);
        struct span uri = take_text(r);
        struct subject *to;
        if (r->bad || kind > EDGE_PARENT)
            return RC_BROKEN;
        TRY(other(ctx, (enum edge_kind)kind, uri, &to));
        TRY(subject_link(t, s, (enum edge_kind)kind, to));
    }
    return 0;
}

static int decode_pending(struct subjects *t, struct subject *s,
                          struct reader *r, unsigned version)
{
    LIST_EACH (k, next, &s->pending)
        subject_unpend(t, s, container_of(k, struct pending_rule, link));
    for (uint32_t n = take_u32(r); n > 0 && !r->bad; n--) {
        unsigned about = version < 2 ? PENDING_SUBJECT : take_u8(r);
        struct span name = take_text(r);
        struct pending_spec spec = {.about = (enum pending_about)about};
        spec.rule = take_text(r);
        spec.jti = take_text(r);
        spec.feed = take_text(r);
        if (r->bad || about > PENDING_TARGET ||
            !event_type_from_name(name, &spec.type))
            return RC_BROKEN;
        TRY(subject_pend(t, s, &spec));
    }
    return 0;
}

int subject_decode(struct subjects *t, struct subject *s, struct span value,
                   int (*other)(void *ctx, enum edge_kind kind, struct span uri,
                                struct subject **ret),
                   void *ctx)
{
    struct reader r = {.rest = value};
    unsigned version = take_u8(&r);
    if (version < 1 || version > SUBJECT_FACT_VERSION)
        return RC_BROKEN;
    unsigned kind = take_u8(&r);
    decode_flags(s, take_u8(&r));
    unsigned found = take_u8(&r);
    if (kind >= SUBJECT_KIND_COUNT || found > FOUND_ABSENT)
        return RC_BROKEN;
    s->kind = (enum subject_kind)kind;
    s->found = (enum found)found;
    s->seen = take_u64(&r);
    s->stamp_wall_ms = take_i64(&r);
    s->read_wall_ms = take_i64(&r);
    TRY(subject_set_text(t, &s->version, take_text(&r)));
    TRY(subject_set_text(t, &s->etag, take_text(&r)));
    TRY(subject_set_text(t, &s->etag_seen, take_text(&r)));
    s->stamp_row = take_u64(&r);
    s->read_row = take_u64(&r);
    TRY(decode_edges(t, s, &r, other, ctx));
    TRY(decode_pending(t, s, &r, version));
    return reader_done(&r) ? 0 : RC_BROKEN;
}
