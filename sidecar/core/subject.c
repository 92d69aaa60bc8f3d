// SPDX-License-Identifier: Apache-2.0
#include "sidecar/core/subject.h"

#include <string.h>

/* 1 had no word on what a pending rule is about. */
#define SUBJECT_FACT_VERSION 2

/* What a subject without rare parts has. */
static const struct subject_rare nothing = {
#define EMPTY(list)                                                            \
    {                                                                          \
        {                                                                      \
            (struct list_link *)(uintptr_t)&nothing.list.head,                 \
                (struct list_link *)(uintptr_t)&nothing.list.head              \
        }                                                                      \
    }
    .jobs = EMPTY(jobs),
    .credentials = EMPTY(credentials),
    .parked = EMPTY(parked),
    .pending = EMPTY(pending),
#undef EMPTY
};

int subjects_init(struct subjects *t, struct mem *m, struct hash_key seed,
                  size_t max_count)
{
    *t = (struct subjects){.mem = m};
    map_init(&t->by_key, m, seed, max_count);
    return attrs_init(&t->attrs, m, seed, max_count);
}

const struct subject_rare *subject_rare(const struct subject *s)
{
    return s->rare == NULL ? &nothing : s->rare;
}

struct subject_rare *subject_rare_get(struct mem *m, struct subject *s)
{
    if (s->rare != NULL)
        return s->rare;
    struct subject_rare *r = mem_alloc(m, sizeof *r);
    if (r == NULL)
        return NULL;
    r->subject = s;
    list_init(&r->jobs);
    list_init(&r->credentials);
    list_init(&r->parked);
    list_init(&r->pending);
    s->rare = r;
    return r;
}

bool subject_awaits_read(const struct subject *s)
{
    const struct read_state *read = &subject_rare(s)->read;
    return list_linked(&read->link) || heap_linked(&read->later);
}

void subject_tidy(struct mem *m, struct subject *s)
{
    const struct subject_rare *r = s->rare;
    if (r == NULL || subject_awaits_read(s) || r->read.id != 0 ||
        r->read.wanted || r->read.last_failed || r->read.not_before_ms != 0 ||
        !list_empty(&r->jobs) || !list_empty(&r->credentials) ||
        !list_empty(&r->parked) || !list_empty(&r->pending) ||
        r->ended_jobs > 0)
        return;
    mem_release(m, s->rare);
    s->rare = NULL;
}

static void pending_free(struct subjects *t, struct pending_rule *p)
{
    mem_release(t->mem, p->rule);
    mem_release(t->mem, p->jti);
    mem_release(t->mem, p->feed);
    mem_release(t->mem, p);
}

/* ----------------------------------------------------------------- edges */

static void unlink_all(struct subjects *t, struct subject *agent)
{
    for (unsigned i = 0; i < agent->out_count; i++)
        list_remove(&agent->out[i].in_link);
    mem_release(t->mem, agent->out);
    agent->out = NULL;
    agent->out_count = 0;
}

void subject_set_partial(struct subjects *t, struct subject *agent, bool is)
{
    t->partial_count += is && !agent->partial;
    t->partial_count -= !is && agent->partial;
    agent->partial = is;
}

static bool has_edge(const struct edge *edges, size_t n, struct relation to)
{
    for (size_t i = 0; i < n; i++)
        if (edges[i].other == to.other && edges[i].kind == to.kind)
            return true;
    return false;
}

static void edge_to(struct edge *e, struct subject *agent, struct relation to)
{
    *e = (struct edge){.kind = to.kind, .agent = agent, .other = to.other};
    list_push(&to.other->in, &e->in_link);
}

int subject_relate(struct subjects *t, struct subject *agent,
                   const struct relation *to, size_t count)
{
    struct edge *edges = NULL;
    uint16_t n = 0;
    must(count <= SUBJECT_EDGES_MAX);
    if (count > 0) {
        edges = mem_array(t->mem, count, sizeof *edges);
        if (edges == NULL)
            return RC_NO_MEMORY;
    }
    unlink_all(t, agent);
    for (size_t i = 0; i < count; i++)
        if (!has_edge(edges, n, to[i]))
            edge_to(&edges[n++], agent, to[i]);
    agent->out = edges;
    agent->out_count = n;
    return 0;
}

/* The link of an edge that has moved takes the old one's place. */
static void move_link(struct list_link *from, struct list_link *to)
{
    *to = *from;
    to->prev->next = to;
    to->next->prev = to;
}

int subject_link(struct subjects *t, struct subject *agent, enum edge_kind kind,
                 struct subject *other)
{
    const struct relation to = {kind, other};
    if (has_edge(agent->out, agent->out_count, to))
        return 0;
    if (agent->out_count >= SUBJECT_EDGES_MAX) {
        subject_set_partial(t, agent, true);
        return RC_LIMIT;
    }
    struct edge *edges =
        mem_array(t->mem, (size_t)agent->out_count + 1, sizeof *edges);
    if (edges == NULL)
        return RC_NO_MEMORY;
    for (unsigned i = 0; i < agent->out_count; i++) {
        edges[i] = agent->out[i];
        move_link(&agent->out[i].in_link, &edges[i].in_link);
    }
    mem_release(t->mem, agent->out);
    agent->out = edges;
    edge_to(&edges[agent->out_count++], agent, to);
    return 0;
}

/* ------------------------------------------------------------ life cycle */

static void subject_free(struct subjects *t, struct subject *s)
{
    unlink_all(t, s);
    subject_set_partial(t, s, false);
    LIST_EACH (k, next, &subject_rare(s)->pending)
        pending_free(t, container_of(k, struct pending_rule, link));
    mem_release(t->mem, s->version);
    mem_release(t->mem, s->etag);
    mem_release(t->mem, s->etag_seen);
    attrs_drop(&t->attrs, s->attrs);
    must(!subject_awaits_read(s));
    mem_release(t->mem, s->rare);
    mem_release(t->mem, s);
}

void subjects_fini(struct subjects *t)
{
    struct map_link *k = NULL;
    while ((k = map_next(&t->by_key, k)) != NULL)
        unlink_all(t, container_of(k, struct subject, link));
    while ((k = map_any(&t->by_key)) != NULL) {
        map_remove(&t->by_key, k);
        subject_free(t, container_of(k, struct subject, link));
    }
    map_fini(&t->by_key);
    attrs_fini(&t->attrs);
    for (unsigned i = 0; i < t->home_count; i++)
        mem_release(t->mem, (void *)(uintptr_t)t->homes[i].p);
    t->home_count = 0;
}

/* ---------------------------------------------------------------- finding */

#define KEY_MAX (1 + 256)

static const struct span *find_home(const struct subjects *t,
                                    struct span base_url)
{
    for (unsigned i = 0; i < t->home_count; i++)
        if (span_eq(t->homes[i], base_url))
            return &t->homes[i];
    return NULL;
}

static int get_home(struct subjects *t, struct span base_url,
                    const struct span **ret)
{
    *ret = find_home(t, base_url);
    if (*ret != NULL)
        return 0;
    if (t->home_count == SUBJECT_BASES_MAX)
        return RC_LIMIT;
    const unsigned char *copy = mem_copy(t->mem, base_url);
    if (copy == NULL)
        return RC_NO_MEMORY;
    t->homes[t->home_count] = span_of(copy, base_url.n);
    *ret = &t->homes[t->home_count++];
    return 0;
}

/* The number of the base, then the uri. */
static struct span make_key(const struct subjects *t, const struct span *home,
                            struct span uri, unsigned char key[KEY_MAX])
{
    key[0] = (unsigned char)(home - t->homes);
    memcpy(key + 1, uri.p, uri.n);
    return span_of(key, 1 + uri.n);
}

static bool is_uri_length(struct span uri)
{
    return uri.n > 0 && uri.n < KEY_MAX;
}

struct subject *subject_find(const struct subjects *t, struct span base_url,
                             struct span uri)
{
    unsigned char key[KEY_MAX];
    const struct span *home = find_home(t, base_url);
    if (home == NULL || !is_uri_length(uri))
        return NULL;
    struct map_link *k = map_find(&t->by_key, make_key(t, home, uri, key));
    return k == NULL ? NULL : container_of(k, struct subject, link);
}

static struct subject *subject_new(struct subjects *t, struct span key)
{
    struct subject *s = mem_alloc(t->mem, sizeof *s + key.n);
    if (s == NULL)
        return NULL;
    unsigned char *at = (unsigned char *)(s + 1);
    map_set_key(&s->link, mem_place(&at, key));
    s->uri = span_sub(map_key(&s->link), 1, key.n);
    list_init(&s->in);
    list_init(&s->holds);
    list_init(&s->calls);
    return s;
}

int subject_get(struct subjects *t, unsigned base, struct span base_url,
                struct span uri, enum subject_kind kind, struct subject **ret)
{
    unsigned char bytes[KEY_MAX];
    const struct span *home;
    if (!is_uri_length(uri))
        return RC_INVALID;
    TRY(get_home(t, base_url, &home));
    struct span key = make_key(t, home, uri, bytes);
    struct map_link *k = map_find(&t->by_key, key);
    if (k != NULL) {
        *ret = container_of(k, struct subject, link);
        return 0;
    }
    struct subject *s = subject_new(t, key);
    if (s == NULL)
        return RC_NO_MEMORY;
    s->base = base & 0xFF;
    s->home = home;
    s->kind = kind;
    int rc = map_insert(&t->by_key, &s->link);
    if (rc < 0) {
        subject_free(t, s);
        return rc;
    }
    *ret = s;
    return 0;
}

void subject_put_key(const struct subject *s, struct buf *out)
{
    buf_put(out, *s->home);
    buf_put_u8(out, 0);
    buf_put(out, s->uri);
}

bool subject_is_bare(const struct subject *s)
{
    const struct subject_rare *r = subject_rare(s);
    return !s->known && s->stamp_wall_ms == 0 && r->read.id == 0 &&
           s->out_count == 0 && list_empty(&s->in) && list_empty(&s->holds) &&
           list_empty(&s->calls) && list_empty(&r->jobs) &&
           r->ended_jobs == 0 && list_empty(&r->credentials) &&
           list_empty(&r->parked) && list_empty(&r->pending) &&
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

int subject_pend(struct subjects *t, struct subject *s,
                 const struct pending_spec *spec)
{
    struct subject_rare *own = subject_rare_get(t->mem, s);
    if (own == NULL)
        return RC_NO_MEMORY;
    LIST_EACH (k, next, &own->pending) {
        const struct pending_rule *have =
            container_of(k, struct pending_rule, link);
        if (!have->decided && have->type == spec->type &&
            have->about == spec->about &&
            span_eq(span_str((char *)have->rule), spec->rule) &&
            span_eq(span_str((char *)have->jti), spec->jti) &&
            span_eq(span_str((char *)have->feed), spec->feed))
            return 0;
    }
    if (own->pending_count >= SUBJECT_PENDING_MAX)
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
    list_push(&own->pending, &p->link);
    own->pending_count++;
    return 0;
}

void subject_unpend(struct subjects *t, struct subject *s,
                    struct pending_rule *p)
{
    list_remove(&p->link);
    s->rare->pending_count--;
    pending_free(t, p);
}

void subject_decide(struct subject *s, struct pending_rule *p)
{
    must(!p->decided);
    p->decided = true;
    s->rare->pending_count--;
}

void subject_settle(struct subjects *t, struct subject *s, bool kept)
{
    LIST_EACH (k, next, &s->rare->pending) {
        struct pending_rule *p = container_of(k, struct pending_rule, link);
        if (!p->decided)
            continue;
        p->decided = false;
        s->rare->pending_count++;
        if (!kept)
            subject_unpend(t, s, p);
    }
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
                           s->etag_qualified << 5 | s->event_open << 6 |
                           s->partial << 7));
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
    for (unsigned i = 0; i < s->out_count; i++) {
        put_u8(out, s->out[i].kind);
        put_text(out, s->out[i].other->uri);
    }
    put_u32(out, subject_rare(s)->pending_count);
    LIST_EACH (k, next, &subject_rare(s)->pending) {
        const struct pending_rule *p =
            container_of(k, struct pending_rule, link);
        if (p->decided)
            continue;
        put_u8(out, p->about);
        put_text(out, span_str(event_type_name(p->type)));
        put_c(out, p->rule);
        put_c(out, p->jti);
        put_c(out, p->feed);
    }
}

static void decode_flags(struct subjects *t, struct subject *s, unsigned flags)
{
    subject_set_partial(t, s, flags >> 7 & 1);
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
    struct relation to[SUBJECT_EDGES_MAX];
    uint32_t count = take_u32(r);
    if (count > SUBJECT_EDGES_MAX)
        return RC_BROKEN;
    for (uint32_t i = 0; i < count; i++) {
        unsigned kind = take_u8(r);
        struct span uri = take_text(r);
        if (r->bad || kind > EDGE_PARENT)
            return RC_BROKEN;
        to[i].kind = (enum edge_kind)kind;
        TRY(other(ctx, to[i].kind, uri, &to[i].other));
    }
    return subject_relate(t, s, to, count);
}

static int decode_pending(struct subjects *t, struct subject *s,
                          struct reader *r, unsigned version)
{
    LIST_EACH (k, next, &subject_rare(s)->pending)
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
    decode_flags(t, s, take_u8(&r));
    unsigned found = take_u8(&r);
    if (kind >= SUBJECT_KIND_COUNT || found > FOUND_ABSENT)
        return RC_BROKEN;
    s->kind = (enum subject_kind)kind;
    s->found = (enum found)found;
    s->seen = take_u64(&r);
    s->stamp_wall_ms = take_ms(&r);
    s->read_wall_ms = take_ms(&r);
    TRY(subject_set_text(t, &s->version, take_text(&r)));
    TRY(subject_set_text(t, &s->etag, take_text(&r)));
    TRY(subject_set_text(t, &s->etag_seen, take_text(&r)));
    s->stamp_row = take_u64(&r);
    s->read_row = take_u64(&r);
    TRY(decode_edges(t, s, &r, other, ctx));
    TRY(decode_pending(t, s, &r, version));
    return reader_done(&r) ? 0 : RC_BROKEN;
}
