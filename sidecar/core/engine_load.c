// SPDX-License-Identifier: Apache-2.0
/* Start-up: facts of the store back into memory. Facts may come in any order
 * and more than once; the last one of a key counts. */
#include <string.h>

#include "sidecar/core/engine_internal.h"

struct subject_key {
    unsigned base;
    struct span url, uri, rest; /* rest: what follows uri NUL */
};

/* "base NUL uri [NUL rest]". A base that is configured no more keeps its facts
 * on disk but has no agents here: 1. */
static int split_key(const struct engine *e, struct span key,
                     struct subject_key *ret)
{
    size_t a = span_find(key, 0, 0), b = span_find(key, 0, a + 1);
    if (a >= key.n)
        return RC_BROKEN;
    ret->url = span_sub(key, 0, a);
    ret->uri = span_sub(key, a + 1, b);
    ret->rest = span_sub(key, b + 1, key.n);
    for (unsigned i = 0; i < e->conf->base_count; i++) {
        if (span_eq(e->conf->bases[i].url, ret->url)) {
            ret->base = i;
            return 0;
        }
    }
    return 1;
}

static int get_subject(struct engine *e, const struct subject_key *k,
                       struct subject **ret)
{
    enum subject_kind kind;
    if (kind_of_uri(e, k->base, k->uri, &kind) < 0)
        return 1;
    return subject_get(&e->subjects, k->base, k->url, k->uri, kind, ret);
}

struct related {
    struct engine *e;
    const struct subject_key *key;
};

static int find_other(void *ctx, enum edge_kind kind, struct span uri,
                      struct subject **ret)
{
    const struct related *r = ctx;
    struct subject_key k = *r->key;
    (void)kind;
    k.uri = uri;
    int rc = get_subject(r->e, &k, ret);
    return rc == 1 ? RC_BROKEN : rc;
}

static int load_subject(struct engine *e, const struct fact *f)
{
    struct subject_key k;
    struct subject *s = NULL;
    int rc = split_key(e, f->key, &k);
    if (rc == 0)
        rc = get_subject(e, &k, &s);
    if (rc != 0 || f->gone)
        return rc;
    struct related r = {e, &k};
    return subject_decode(&e->subjects, s, f->value, find_other, &r);
}

static struct hold *find_hold(const struct subject *s,
                              const struct hold_spec *spec)
{
    LIST_EACH (k, next, &s->holds) {
        struct hold *h = container_of(k, struct hold, link);
        if (h->kind == spec->kind &&
            span_eq(span_str((const char *)h->rule), spec->rule) &&
            span_eq(span_str((const char *)h->cause), spec->cause))
            return h;
    }
    return NULL;
}

static int load_hold(struct engine *e, const struct fact *f)
{
    struct span tools[HOLD_TOOLS_MAX];
    struct hold_spec spec;
    struct subject_key k;
    struct subject *s = NULL;
    bool fresh;
    int rc = split_key(e, f->key, &k);
    if (rc == 0)
        rc = get_subject(e, &k, &s);
    if (rc != 0)
        return rc;
    if (f->gone) {
        /* Only the key matters: decode it against a well-formed empty value. */
        size_t a = span_find(k.rest, 0, 0), b = span_find(k.rest, 0, a + 1);
        for (unsigned kind = 0; kind < HOLD_KIND_COUNT; kind++) {
            spec =
                (struct hold_spec){.kind = (enum hold_kind)kind,
                                   .rule = span_sub(k.rest, a + 1, b),
                                   .cause = span_sub(k.rest, b + 1, k.rest.n)};
            struct hold *h = find_hold(s, &spec);
            if (h != NULL && span_eq(span_sub(k.rest, 0, a),
                                     span_str(hold_kind_word(h->kind))))
                hold_free(&e->holds, h);
        }
        return 0;
    }
    TRY(hold_decode(k.rest, f->value, &spec, tools));
    struct hold *h = find_hold(s, &spec);
    if (h != NULL)
        hold_free(&e->holds, h);
    return hold_put(&e->holds, s, &spec, &h, &fresh);
}

static int load_job(struct engine *e, const struct fact *f)
{
    uint64_t id = 0;
    if (f->key.n != 8)
        return RC_BROKEN;
    for (size_t i = 0; i < 8; i++)
        id = id << 8 | f->key.p[i];
    struct job *j = job_find(&e->jobs, id);
    if (j != NULL)
        job_drop(&e->jobs, j);
    if (f->gone)
        return 0;
    struct job_where where;
    TRY(job_peek(f->value, &where));
    struct subject_key k = {.url = where.base_url, .uri = where.uri};
    struct subject *s = NULL;
    unsigned i = 0;
    while (i < e->conf->base_count &&
           !span_eq(e->conf->bases[i].url, where.base_url))
        i++;
    k.base = i;
    if (i == e->conf->base_count || get_subject(e, &k, &s) != 0)
        return 1;
    TRY(job_new(&e->jobs, id, where.kind, s, &j));
    return job_decode(&e->jobs, j, f->value);
}

static int load_credential(struct engine *e, const struct fact *f)
{
    struct subject_key k;
    struct subject *s = NULL;
    int rc = split_key(e, f->key, &k);
    if (rc == 0)
        rc = get_subject(e, &k, &s);
    if (rc != 0)
        return rc;
    LIST_EACH (l, next, &subject_rare(s)->credentials) {
        struct credential *c = container_of(l, struct credential, link);
        if (span_eq(c->id, k.rest))
            credential_free(e, c);
    }
    if (f->gone)
        return 0;
    struct reader r = {.rest = f->value};
    struct in_credential in = {.credential_id = k.rest};
    if (take_u8(&r) != 1)
        return RC_BROKEN;
    in.refresh = take_u8(&r) != 0;
    in.expires_wall_ms = take_i64(&r);
    in.issuer = take_text(&r);
    struct span runtime_key = take_text(&r);
    in.sealed = take_text(&r);
    struct credential *c;
    return reader_done(&r) ? credential_new(e, s, &in, runtime_key, &c)
                           : RC_BROKEN;
}

static int load_agenda(struct engine *e, const struct fact *f)
{
    struct subject_key k;
    struct subject *s = NULL;
    int rc = split_key(e, f->key, &k);
    if (rc == 0)
        rc = get_subject(e, &k, &s);
    return rc != 0 ? rc : agenda_load(e, s, f);
}

static int load_jti(struct engine *e, const struct fact *f)
{
    struct dedupe_id id;
    if (!dedupe_key_read(f->key, &id))
        return RC_BROKEN;
    if (f->gone) {
        dedupe_drop(&e->dedupe, id);
        return 0;
    }
    struct reader r = {.rest = f->value};
    uint64_t payload = take_u64(&r);
    uint32_t when = take_u32(&r);
    if (!reader_done(&r))
        return RC_BROKEN;
    int rc = dedupe_put(&e->dedupe, id, payload, when);
    return rc == RC_LIMIT ? 0 : rc;
}

static int load_policy_wall(struct engine *e, const struct fact *f)
{
    struct reader r = {.rest = f->value};
    int64_t wall_ms = take_ms(&r);
    if (r.bad || r.rest.n != sizeof e->policy_wall_of)
        return RC_BROKEN;
    memcpy(e->policy_wall_of, r.rest.p, r.rest.n);
    e->policy_wall_ms = wall_ms;
    return 0;
}

/* Without it epochs would be given out a second time. */
static int load_boot(struct engine *e, const struct fact *f)
{
    struct reader r = {.rest = f->value};
    const uint64_t boot = take_u64(&r);
    if (!reader_done(&r) || boot >= ENGINE_BOOT_MAX)
        return RC_BROKEN;
    if (boot > e->boot)
        e->boot = boot;
    return 0;
}

/* When it was; then, once a start has told of it, the row of that start. */
static int load_restored(struct engine *e, const struct fact *f)
{
    struct reader r = {.rest = f->value};
    int64_t wall_ms = take_ms(&r);
    bool told = r.rest.n > 0;
    uint64_t row = told ? take_u64(&r) : 0;
    if (f->gone) /* as versions before wrote it: told */
        wall_ms = 0;
    else if (!reader_done(&r))
        return RC_BROKEN;
    e->restored_wall_ms = told ? 0 : wall_ms;
    e->restored = (struct said){.row = row};
    return 0;
}

/* What was said before this start is forgotten. */
void tell_restored(struct engine *e)
{
    struct record r = record_of(RECORD_LOG);
    struct buf value;
    r.outcome = SPAN("store_restored");
    record_row(e, &r);
    e->restored = (struct said){.stamp = e->boot_stamp, .row = e->boot_row};
    buf_init(&value, &e->step_arena.mem, 16);
    put_i64(&value, e->restored_wall_ms);
    put_u64(&value, e->restored.row);
    if (buf_ok(&value))
        fact_meta(e, "restored", buf_span(&value));
    else
        note_rc(e, RC_NO_MEMORY);
    e->restored_wall_ms = 0;
}

static int load_meta(struct engine *e, const struct fact *f)
{
    if (span_eq(f->key, SPAN("boot")))
        return load_boot(e, f);
    if (span_eq(f->key, SPAN("policy_wall")))
        return load_policy_wall(e, f);
    if (span_eq(f->key, SPAN("restored")))
        return load_restored(e, f);
    if (span_eq(f->key, SPAN("schedule")))
        return schedule_load(e, f->value);
    if (!span_eq(f->key, SPAN("hash_key")))
        return 0;
    if (f->value.n != sizeof e->hash_seed)
        return RC_BROKEN;
    if (memcmp(f->value.p, e->hash_seed, sizeof e->hash_seed) == 0)
        return 0;
    if (e->dedupe.count > 0)
        return RC_BROKEN; /* entries were hashed with another key */
    memcpy(e->hash_seed, f->value.p, sizeof e->hash_seed);
    struct hash_key k1, k2;
    memcpy(&k1, e->hash_seed, sizeof k1);
    memcpy(&k2, e->hash_seed + 16, sizeof k2);
    dedupe_fini(&e->dedupe);
    dedupe_init(&e->dedupe, e->mem, k1, k2, e->conf->limits.jtis_max);
    return 0;
}

static int load_feed(struct engine *e, const struct fact *f)
{
    struct reader r = {.rest = f->value};
    if (f->gone)
        return 0;
    unsigned version = take_u8(&r), disabled = take_u8(&r);
    if (version != 1 || !reader_done(&r))
        return RC_BROKEN;
    for (unsigned i = 0; i < e->conf->feed_count; i++)
        if (span_eq(e->conf->feeds[i].name, f->key))
            e->feeds[i].disabled = disabled != 0;
    return 0;
}

int engine_load_fact(struct engine *e, const struct fact *fact, struct fail *f)
{
    int rc = 0;
    switch (fact->kind) {
        case FACT_META: rc = load_meta(e, fact); break;
        case FACT_SUBJECT: rc = load_subject(e, fact); break;
        case FACT_HOLD: rc = load_hold(e, fact); break;
        case FACT_JOB: rc = load_job(e, fact); break;
        case FACT_JTI: rc = load_jti(e, fact); break;
        case FACT_CREDENTIAL: rc = load_credential(e, fact); break;
        case FACT_FEED: rc = load_feed(e, fact); break;
        case FACT_LIMIT: rc = limit_load(e, fact); break;
        case FACT_AGENDA: rc = load_agenda(e, fact); break;
        case FACT_POLICY: rc = load_signed(e, fact); break;
        case FACT_KIND_COUNT: break;
    }
    if (rc == 1 && !fact->gone &&
        (fact->kind == FACT_HOLD || fact->kind == FACT_JOB))
        e->stats.loaded_elsewhere++;
    if (rc >= 0)
        return 0;
    char name[FACT_NAME_BYTES];
    fact_name(fact, name);
    return fail(f, rc, "%s cannot be read (%s)", name, rc_word(rc));
}

/* A read of a row to come would cover everything said until then. */
int engine_loaded(const struct engine *e, uint64_t last_seq, struct fail *f)
{
    struct map_link *k = NULL;
    while ((k = map_next(&e->subjects.by_key, k)) != NULL) {
        const struct subject *s = container_of(k, struct subject, link);
        if (s->stamp_row > last_seq + 1 || s->read_row > last_seq + 1)
            return fail(f, RC_BROKEN,
                        "%.*s was told of in row %llu and read in row %llu, "
                        "but the last row is %llu",
                        PRSPAN(s->uri), (unsigned long long)s->stamp_row,
                        (unsigned long long)s->read_row,
                        (unsigned long long)last_seq);
    }
    return 0;
}
