// SPDX-License-Identifier: Apache-2.0
#include "sidecar/core/job.h"

#include <stdlib.h>
#include <string.h>

#define JOB_FACT_VERSION 2 /* 1: without state, within and why */

const char *job_state_word(enum job_state s)
{
    static const char *const words[JOB_STATE_COUNT] = {
#define X(id, word) [JOB_##id] = word,
        JOB_STATE_MAP(X)
#undef X
    };
    return words[s];
}

const char *job_kind_word(enum job_kind k)
{
    static const char *const words[] = {"cancel", "revoke", "purge", "action"};
    return words[k];
}

void jobs_init(struct jobs *t, struct mem *m, struct hash_key seed, size_t max)
{
    *t = (struct jobs){.mem = m, .max = max};
    map_init(&t->by_id, m, seed, max + JOBS_ENDED_KEPT);
    list_init(&t->open);
    list_init(&t->ended);
    list_init(&t->unstored);
    lanes_init(&t->lanes, m, seed, max);
}

void jobs_fini(struct jobs *t)
{
    struct map_link *k;
    while ((k = map_any(&t->by_id)) != NULL)
        job_drop(t, container_of(k, struct job, link));
    lanes_fini(&t->lanes);
    map_fini(&t->by_id);
}

struct job *job_find(const struct jobs *t, uint64_t id)
{
    unsigned char key[8];
    u64_bytes(id, key);
    struct map_link *k = map_find(&t->by_id, span_of(key, sizeof key));
    return k == NULL ? NULL : container_of(k, struct job, link);
}

int job_new(struct jobs *t, uint64_t id, enum job_kind kind,
            struct subject *agent, struct job **ret)
{
    if (t->open_count >= t->max)
        return RC_LIMIT;
    struct subject_rare *rare = subject_rare_get(t->mem, agent);
    struct job *j = rare == NULL ? NULL : mem_alloc(t->mem, sizeof *j);
    if (j == NULL)
        return RC_NO_MEMORY;
    arena_init(&j->arena, t->mem, JOB_BYTES_MAX);
    j->id = id;
    j->kind = kind;
    j->agent = agent;
    u64_bytes(id, j->key_bytes);
    map_set_key(&j->link, span_of(j->key_bytes, sizeof j->key_bytes));
    int rc = map_insert(&t->by_id, &j->link);
    if (rc < 0) {
        mem_release(t->mem, j);
        return rc;
    }
    list_push(&t->open, &j->state_link);
    list_push(&rare->jobs, &j->agent_link);
    t->open_count++;
    *ret = j;
    return 0;
}

struct span job_text(struct job *j, struct span s)
{
    unsigned char *copy = mem_copy(&j->arena.mem, s);
    j->no_memory = j->no_memory || copy == NULL;
    return (struct span){copy, copy == NULL ? 0 : s.n};
}

int job_names(struct job *j, struct names n, struct names *ret)
{
    struct span *at = mem_array(&j->arena.mem, n.count, sizeof *at);
    if (at == NULL)
        return RC_NO_MEMORY;
    for (unsigned i = 0; i < n.count; i++) {
        at[i] = job_text(j, n.at[i]);
        if (at[i].p == NULL)
            return RC_NO_MEMORY;
    }
    *ret = (struct names){at, n.count};
    return 0;
}

/* The text members of an action, one list for copying, coding and reading. */
#define ACTION_TEXTS(X)                                                        \
    X(name)                                                                    \
    X(preset)                                                                  \
    X(method)                                                                  \
    X(url)                                                                     \
    X(body) X(content_type) X(url_file) X(key_file) X(bearer_file) X(ca_file)

int job_action(struct job *j, const struct policy_action *a)
{
    struct policy_action *to = &j->action;
    *to = *a;
#define X(member)                                                              \
    to->member = job_text(j, a->member);                                       \
    if (to->member.p == NULL)                                                  \
        return RC_NO_MEMORY;
    ACTION_TEXTS(X)
#undef X
    for (unsigned i = 0; i < a->header_count; i++) {
        to->headers[i].name = job_text(j, a->headers[i].name);
        to->headers[i].value = job_text(j, a->headers[i].value);
        if (to->headers[i].name.p == NULL || to->headers[i].value.p == NULL)
            return RC_NO_MEMORY;
    }
    return 0;
}

/* Nothing more will be attempted. */
static void job_rest(struct jobs *t, struct job *j)
{
    heap_remove(&t->due, &j->due);
    list_remove(&j->queue_link);
    if (j->lane == NULL)
        return;
    if (j->in_flight)
        lane_give_up(&t->lanes, j->lane);
    j->in_flight = false;
    lane_leave(&t->lanes, j->lane, &j->queue_link);
    j->lane = NULL;
}

bool job_is_open(const struct job *j)
{
    return j->state <= JOB_RUNNING || j->state == JOB_WITHHELD;
}

bool jobs_withheld_full(const struct jobs *t)
{
    return t->withheld_count >= t->max / 2;
}

void job_withhold(struct jobs *t, struct job *j)
{
    must(j->state == JOB_PENDING);
    job_rest(t, j);
    j->state = JOB_WITHHELD;
    j->next_ms = j->deadline_ms = INT64_MAX;
    j->deadline_wall_ms = 0;
    t->withheld_count++;
}

void job_let_go(struct jobs *t, struct job *j)
{
    must(j->state == JOB_WITHHELD);
    j->state = JOB_PENDING;
    t->withheld_count--;
}

void job_drop(struct jobs *t, struct job *j)
{
    bool ended = !job_is_open(j);
    job_rest(t, j);
    map_remove(&t->by_id, &j->link);
    list_remove(&j->state_link);
    list_remove(&j->agent_link);
    if (ended) {
        t->ended_count--;
        j->agent->rare->ended_jobs--;
    } else {
        t->open_count--;
        t->withheld_count -= j->state == JOB_WITHHELD;
    }
    arena_fini(&j->arena);
    mem_release(t->mem, j);
}

void job_reopen(struct jobs *t, struct job *j, int64_t next_ms)
{
    must(!job_is_open(j));
    t->confirmed -= j->state == JOB_CONFIRMED;
    t->failed -= j->state == JOB_FAILED || j->state == JOB_REFUSED;
    list_remove(&j->state_link);
    t->ended_count--;
    j->agent->rare->ended_jobs--;
    j->state = j->ended_from;
    list_push(&t->open, &j->state_link);
    list_push(&j->agent->rare->jobs, &j->agent_link);
    t->open_count++;
    t->withheld_count += j->state == JOB_WITHHELD;
    if (j->state == JOB_WITHHELD)
        return; /* nothing is due */
    j->state = JOB_PENDING;
    j->next_ms = next_ms;
    heap_put(&t->due, &j->due, next_ms);
}

void job_end(struct jobs *t, struct job *j, enum job_state state)
{
    must(job_is_open(j) && state > JOB_RUNNING && state != JOB_WITHHELD);
    job_rest(t, j);
    t->withheld_count -= j->state == JOB_WITHHELD;
    list_remove(&j->state_link);
    list_remove(&j->agent_link);
    t->open_count--;
    j->ended_from = j->state;
    j->state = state;
    t->confirmed += state == JOB_CONFIRMED;
    t->failed += state == JOB_FAILED || state == JOB_REFUSED;
    list_push(&t->ended, &j->state_link);
    j->agent->rare->ended_jobs++;
    if (++t->ended_count > JOBS_ENDED_KEPT)
        job_drop(t, container_of(t->ended.head.next, struct job, state_link));
}

static int by_id(const void *x, const void *y, void *ctx)
{
    const struct job *a = *(struct job *const *)x;
    const struct job *b = *(struct job *const *)y;
    (void)ctx;
    return a->id < b->id ? -1 : a->id > b->id;
}

int jobs_sort(struct jobs *t)
{
    struct list_link *k;
    size_t n = 0;
    struct job **all = mem_array(t->mem, t->open_count, sizeof(struct job *));
    if (all == NULL)
        return RC_NO_MEMORY;
    while ((k = list_shift(&t->open)) != NULL)
        all[n++] = container_of(k, struct job, state_link);
    qsort_r(all, n, sizeof(struct job *), by_id, NULL);
    for (size_t i = 0; i < n; i++)
        list_push(&t->open, &all[i]->state_link);
    mem_release(t->mem, all);
    return 0;
}

int64_t job_backoff_ms(unsigned attempts, uint64_t random)
{
    int64_t cap = JOB_BACKOFF_FIRST_MS;
    for (unsigned i = 1; i < attempts && cap < JOB_BACKOFF_MAX_MS; i++)
        cap *= 2;
    if (cap > JOB_BACKOFF_MAX_MS)
        cap = JOB_BACKOFF_MAX_MS;
    return cap / 2 + (int64_t)(random % (uint64_t)(cap / 2 + 1));
}

static void put_names(struct buf *out, struct names n)
{
    put_u32(out, n.count);
    for (unsigned i = 0; i < n.count; i++)
        put_text(out, n.at[i]);
}

static void put_action(struct buf *out, const struct policy_action *a)
{
#define X(member) put_text(out, a->member);
    ACTION_TEXTS(X)
#undef X
    put_u32(out, a->header_count);
    for (unsigned i = 0; i < a->header_count; i++) {
        put_text(out, a->headers[i].name);
        put_text(out, a->headers[i].value);
    }
    put_u32(out, a->success_count);
    for (unsigned i = 0; i < a->success_count; i++)
        put_u32(out, a->success[i]);
    put_u32(out, a->done_already_count);
    for (unsigned i = 0; i < a->done_already_count; i++)
        put_u32(out, a->done_already[i]);
}

void job_encode(const struct job *j, struct buf *out)
{
    struct span base = *j->agent->home;
    put_u8(out, JOB_FACT_VERSION);
    put_u8(out, j->kind);
    put_text(out, base);
    put_text(out, j->agent->uri);
    put_u32(out, j->attempts);
    put_i64(out, j->deadline_wall_ms);
    put_i64(out, j->created_wall_ms);
    put_text(out, span_str(event_type_name(j->event)));
    put_text(out, j->rule);
    put_text(out, j->jti);
    put_text(out, j->feed);
    put_text(out, j->key);
    put_text(out, j->target);
    put_names(out, j->otherwise);
    put_u32(out, j->target_count);
    for (unsigned i = 0; i < j->target_count; i++) {
        put_text(out, j->targets[i].call_id);
        put_u8(out, j->targets[i].outcome);
        put_u8(out, j->targets[i].settled);
    }
    put_names(out, j->purge);
    put_text(out, j->runtime_key);
    put_text(out, j->credential_id);
    put_text(out, j->issuer);
    put_text(out, j->sealed);
    put_u8(out, j->refresh);
    put_action(out, &j->action);
    put_u8(out, j->state == JOB_WITHHELD);
    put_i64(out, j->within_ms);
    put_text(out, j->why);
}

int job_peek(struct span value, struct job_where *ret)
{
    struct reader r = {.rest = value};
    unsigned version = take_u8(&r);
    if (version == 0 || version > JOB_FACT_VERSION)
        return RC_BROKEN;
    unsigned kind = take_u8(&r);
    ret->base_url = take_text(&r);
    ret->uri = take_text(&r);
    ret->kind = (enum job_kind)kind;
    return r.bad || kind > JOB_ACTION ? RC_BROKEN : 0;
}

static int take_names(struct job *j, struct reader *r, struct names *ret)
{
    uint32_t n = take_u32(r);
    if (r->bad || n > JOB_TARGETS_MAX)
        return RC_BROKEN;
    struct span *at = mem_array(&j->arena.mem, n, sizeof *at);
    if (at == NULL)
        return RC_NO_MEMORY;
    for (uint32_t i = 0; i < n; i++)
        at[i] = job_text(j, take_text(r));
    *ret = (struct names){at, n};
    return r->bad ? RC_BROKEN : 0;
}

static int take_targets(struct job *j, struct reader *r)
{
    uint32_t n = take_u32(r);
    if (r->bad || n > JOB_TARGETS_MAX)
        return RC_BROKEN;
    j->targets = mem_array(&j->arena.mem, n, sizeof *j->targets);
    if (j->targets == NULL)
        return RC_NO_MEMORY;
    j->target_count = n;
    for (uint32_t i = 0; i < n; i++) {
        struct job_target *t = &j->targets[i];
        t->call_id = job_text(j, take_text(r));
        unsigned outcome = take_u8(r);
        t->outcome = outcome > CALL_CANCELLED ? CALL_UNKNOWN
                                              : (enum call_outcome)outcome;
        t->settled = take_u8(r) != 0;
        j->settled_count += t->settled;
    }
    return r->bad ? RC_BROKEN : 0;
}

static int take_statuses(struct reader *r, uint16_t out[8], unsigned *ret)
{
    uint32_t n = take_u32(r);
    if (r->bad || n > 8)
        return RC_BROKEN;
    for (uint32_t i = 0; i < n; i++)
        out[i] = (uint16_t)take_u32(r);
    *ret = n;
    return 0;
}

static int take_action(struct job *j, struct reader *r)
{
    struct policy_action *a = &j->action;
#define X(member) a->member = job_text(j, take_text(r));
    ACTION_TEXTS(X)
#undef X
    uint32_t n = take_u32(r);
    if (r->bad || n > 8)
        return RC_BROKEN;
    a->header_count = n;
    for (uint32_t i = 0; i < n; i++) {
        a->headers[i].name = job_text(j, take_text(r));
        a->headers[i].value = job_text(j, take_text(r));
    }
    TRY(take_statuses(r, a->success, &a->success_count));
    return take_statuses(r, a->done_already, &a->done_already_count);
}

int job_decode(struct jobs *t, struct job *j, struct span value)
{
    struct reader r = {.rest = value};
    unsigned version = take_u8(&r);
    (void)take_u8(&r); /* its kind: job_peek has looked */
    (void)take_text(&r);
    (void)take_text(&r);
    j->attempts = take_u32(&r);
    j->deadline_wall_ms = take_ms(&r);
    j->created_wall_ms = take_ms(&r);
    if (!event_type_from_name(take_text(&r), &j->event))
        return RC_BROKEN;
    j->rule = job_text(j, take_text(&r));
    j->jti = job_text(j, take_text(&r));
    j->feed = job_text(j, take_text(&r));
    j->key = job_text(j, take_text(&r));
    j->target = job_text(j, take_text(&r));
    TRY(take_names(j, &r, &j->otherwise));
    TRY(take_targets(j, &r));
    TRY(take_names(j, &r, &j->purge));
    j->runtime_key = job_text(j, take_text(&r));
    j->credential_id = job_text(j, take_text(&r));
    j->issuer = job_text(j, take_text(&r));
    j->sealed = job_text(j, take_text(&r));
    j->refresh = take_u8(&r) != 0;
    TRY(take_action(j, &r));
    if (version >= 2) {
        if (take_u8(&r) != 0)
            job_withhold(t, j);
        j->within_ms = take_ms(&r);
        j->why = job_text(j, take_text(&r));
    }
    if (j->no_memory)
        return RC_NO_MEMORY;
    return reader_done(&r) ? 0 : RC_BROKEN;
}
