// SPDX-License-Identifier: Apache-2.0
/*
 * What reads found, and when. An engine that asks gets the latest of it,
 * unless a statement came after that read had started: then only a read of
 * after the statement will do, which may still follow in the history.
 */
#include <string.h>

#include "adapters/json_doc.h"
#include "sidecar/base/json_out.h"
#include "sidecar/replay_internal.h"

#define PAST_KEY_MAX 2048

void past_init(struct replay *r)
{
    const struct hash_key seed = {0x5bd1e995, 0x1b873593};
    map_init(&r->past, r->mem, seed, REPLAY_SUBJECTS_MAX);
}

void past_fini(struct replay *r)
{
    struct map_link *k;
    while ((k = map_any(&r->past)) != NULL) {
        struct past *p = container_of(k, struct past, link);
        map_remove(&r->past, k);
        mem_release(r->mem, p->etag);
        mem_release(r->mem, p->resource);
        mem_release(r->mem, p);
    }
    map_fini(&r->past);
}

/* Its length; 0: too long. */
static size_t make_key(unsigned char key[PAST_KEY_MAX], struct span url,
                       struct span uri)
{
    size_t n = url.n + 1 + uri.n;
    if (n > PAST_KEY_MAX)
        return 0;
    memcpy(key, url.p, url.n);
    key[url.n] = 0;
    memcpy(key + url.n + 1, uri.p, uri.n);
    return n;
}

struct past *past_find(struct replay *r, unsigned base, struct span uri)
{
    unsigned char key[PAST_KEY_MAX];
    size_t n = make_key(key, r->engine_conf.bases[base].url, uri);
    struct map_link *k = map_find(&r->past, span_of(key, n));
    return k == NULL ? NULL : container_of(k, struct past, link);
}

struct past *past_get(struct replay *r, unsigned base, struct span uri)
{
    unsigned char key[PAST_KEY_MAX];
    struct span url = r->engine_conf.bases[base].url;
    struct past *known = past_find(r, base, uri);
    size_t n = make_key(key, url, uri);
    if (known != NULL || n == 0)
        return known;
    struct past *p = mem_alloc(r->mem, sizeof *p + n);
    if (p == NULL)
        return NULL;
    unsigned char *own = (unsigned char *)(p + 1);
    memcpy(own, key, n);
    map_set_key(&p->link, span_of(own, n));
    p->uri = span_sub(map_key(&p->link), url.n + 1, n);
    p->base = base;
    if (map_insert(&r->past, &p->link) < 0) {
        mem_release(r->mem, p);
        return NULL;
    }
    return p;
}

static int set_text(struct replay *r, unsigned char **at, struct span s,
                    struct fail *f)
{
    unsigned char *copy = s.n == 0 ? NULL : mem_copy(r->mem, s);
    mem_release(r->mem, *at);
    *at = copy;
    return s.n > 0 && copy == NULL ? fail(f, RC_NO_MEMORY, "no memory") : 0;
}

static int keep_resource(struct replay *r, struct past *p,
                         const struct doc *resource, struct fail *f)
{
    struct buf text;
    struct json_out j;
    buf_init(&text, r->mem, REPLAY_ENTRY_BYTES_MAX);
    json_out_init(&j, &text);
    if (resource != NULL)
        json_doc(&j, NULL, resource);
    int rc = buf_ok(&text) ? set_text(r, &p->resource, buf_span(&text), f)
                           : fail(f, RC_NO_MEMORY, "no memory");
    p->resource_n = rc < 0 ? 0 : text.n;
    buf_fini(&text);
    return rc;
}

static bool read_result(struct span word, const struct doc *resource,
                        struct past *p)
{
    static const struct {
        const char *word;
        enum read_result result;
    } words[] = {{"qualified", READ_OK},
                 {"not_yet", READ_OK},
                 {"gone", READ_GONE},
                 {"no_such_agent", READ_GONE},
                 {"failed", READ_FAILED}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!span_eq(word, span_str(words[i].word)))
            continue;
        p->result = words[i].result;
        p->qualified = i == 0;
        p->known = p->result != READ_OK ||
                   (resource != NULL && resource->kind == DOC_MAP);
        return true;
    }
    return false;
}

int past_learn(struct replay *r, const struct doc *entry, struct past *p,
               struct fail *f)
{
    const struct doc *took = doc_get(entry, SPAN("took"));
    const struct doc *resource = doc_get(entry, SPAN("resource"));
    if (!read_result(doc_text(entry, SPAN("result")), resource, p))
        return fail(f, RC_SYNTAX, "a read without a result that is known");
    bool has_start = took != NULL && took->kind == DOC_INT &&
                     took->integer >= 0 && took->integer < REPLAY_WALL_MAX;
    const struct doc *partial = doc_get(entry, SPAN("partial"));
    p->started_ms = r->drive.now_ms - (has_start ? took->integer : 0);
    p->partial = partial != NULL && partial->kind == DOC_BOOL && partial->truth;
    TRY(set_text(r, &p->etag, doc_text(entry, SPAN("etag")), f));
    return keep_resource(r, p, resource, f);
}

/* Only what the original engine took for proof, or what is late enough to be
 * one, stands for a read of another moment. */
static bool is_answer(const struct replay *r, const struct past *p)
{
    int64_t settled = p->after_ms + r->conf.policy->settle_ms;
    if (!p->known)
        return false;
    if (p->result == READ_FAILED || p->after_ms == 0)
        return true;
    return p->started_ms >= (p->qualified || p->fresh ? p->after_ms : settled);
}

bool past_answer(struct replay *r, struct past *p)
{
    struct in in = {.kind = IN_READ_DONE};
    if (p->read_id == 0 || !is_answer(r, p))
        return false;
    in.read.read_id = p->read_id;
    in.read.result = p->result;
    in.read.retry_after_ms = -1;
    in.read.why = p->result == READ_FAILED ? SPAN("as recorded") : SPAN("");
    in.read.etag = span_str((const char *)p->etag);
    p->read_id = 0;
    if (p->result == READ_OK &&
        json_doc_parse(&r->entry.mem, span_of(p->resource, p->resource_n),
                       REPLAY_ENTRY_BYTES_MAX, &in.read.resource, NULL) < 0)
        in.read.result = READ_FAILED;
    return driver_step(&r->drive, &in) >= 0;
}
