// SPDX-License-Identifier: Apache-2.0
#include "sidecar/core/engine.h"

#include <string.h>

#include "sidecar/core/engine_internal.h"

void note_rc(struct engine *e, int rc)
{
    if (rc < 0 && e->rc == 0)
        e->rc = rc;
}

bool reserve(struct engine *e, size_t n)
{
    size_t cap = e->out_cap == 0 ? 64 : e->out_cap;
    while (cap - e->out_count < n && cap <= STEP_OUT_MAX)
        cap *= 2;
    if (cap > STEP_OUT_MAX)
        return false;
    if (cap == e->out_cap)
        return true;
    struct out *outs = mem_resize(e->mem, e->outs, e->out_cap * sizeof *outs,
                                  cap * sizeof *outs);
    if (outs == NULL)
        return false;
    e->outs = outs;
    e->out_cap = cap;
    return true;
}

struct out *emit(struct engine *e, enum out_kind kind)
{
    if (!reserve(e, 1)) {
        note_rc(e, RC_NO_MEMORY);
        e->spare = (struct out){.kind = kind};
        return &e->spare;
    }
    struct out *o = &e->outs[e->out_count++];
    *o = (struct out){.kind = kind};
    return o;
}

struct span keep(struct engine *e, struct span s)
{
    unsigned char *p = mem_copy(&e->step_arena.mem, s);
    if (p == NULL) {
        note_rc(e, RC_NO_MEMORY);
        return SPAN("");
    }
    return span_of(p, s.n);
}

/* Before the boot is counted on disk, a crash would make the next one have the
 * same number: what leaves until then must not be given out again. */
static bool boot_counted(const struct engine *e)
{
    return e->stored >= e->boot_row;
}

uint64_t new_id(struct engine *e)
{
    const uint64_t half = UINT64_C(1) << (ENGINE_EPOCH_BOOT_SHIFT - 1);
    uint64_t n = ++e->next_id;
    if (!boot_counted(e))
        n = half | ((e->in->random + n) & (half - 1));
    return e->boot << ENGINE_EPOCH_BOOT_SHIFT | n;
}

/* Later than all of the boot before, earlier than all of this one. */
uint64_t epoch_of(const struct engine *e, uint64_t stamp)
{
    uint64_t first = e->boot << ENGINE_EPOCH_BOOT_SHIFT;
    return boot_counted(e) ? first | stamp : first - 1;
}

void wake_at(struct engine *e, int64_t ms)
{
    if (ms < e->wake_ms)
        e->wake_ms = ms;
}

/* ------------------------------------------------------------ records */

static void complete_record(struct engine *e, struct record *r)
{
    r->wall_ms = e->in->wall_ms;
    if (e->policy != NULL)
        r->policy = e->policy->digest_hex[0] == 0
                        ? SPAN("built-in")
                        : span_of(e->policy->digest_hex, 16);
    r->config = span_of(e->conf->config_digest, 16);
    buf_clear(&e->scratch);
    record_write(r, &e->scratch);
    if (!buf_ok(&e->scratch))
        note_rc(e, RC_NO_MEMORY);
    e->stats.records++;
}

void record_row(struct engine *e, struct record *r)
{
    r->input = e->seq + 1; /* the row this step is writing */
    complete_record(e, r);
    buf_put_u32be(&e->records, (uint32_t)e->scratch.n);
    buf_put(&e->records, buf_span(&e->scratch));
}

uint64_t record_now(struct engine *e, struct record *r, bool checkpoint)
{
    r->input = 0;
    complete_record(e, r);
    struct span tail = keep(e, buf_span(&e->scratch));
    if (!buf_ok(&e->scratch) || tail.n == 0 || !reserve(e, 1)) {
        note_rc(e, RC_NO_MEMORY);
        return 0;
    }
    struct out *o = emit(e, OUT_LOG);
    o->log.ticket = ++e->ticket;
    o->log.tail = tail;
    o->log.checkpoint = checkpoint;
    return e->ticket;
}

/* -------------------------------------------------------------- facts */

struct span key_text(struct engine *e, const struct subject *s)
{
    struct buf key;
    buf_init(&key, &e->step_arena.mem, 4096);
    subject_put_key(s, &key);
    if (!buf_ok(&key))
        note_rc(e, RC_NO_MEMORY);
    return buf_ok(&key) ? buf_span(&key) : SPAN("");
}

void put_fact(struct engine *e, enum fact_kind kind, struct span key, bool gone)
{
    if (!gone && !buf_ok(&e->scratch))
        note_rc(e, RC_NO_MEMORY); /* half a value would be kept as a whole */
    journal_put_fact(&e->facts, kind, key,
                     gone ? span_of(NULL, 0) : buf_span(&e->scratch));
}

void fact_subject(struct engine *e, const struct subject *s)
{
    buf_clear(&e->scratch);
    subject_encode(s, &e->scratch);
    put_fact(e, FACT_SUBJECT, key_text(e, s), false);
}

void fact_hold(struct engine *e, const struct hold *h, bool gone)
{
    struct buf key;
    buf_init(&key, &e->step_arena.mem, 4096);
    hold_key(h, &key);
    buf_clear(&e->scratch);
    hold_encode(h, &e->scratch);
    if (!buf_ok(&key))
        note_rc(e, RC_NO_MEMORY);
    else
        put_fact(e, FACT_HOLD, buf_span(&key), gone);
}

void fact_job(struct engine *e, const struct job *j, bool gone)
{
    buf_clear(&e->scratch);
    job_encode(j, &e->scratch);
    put_fact(e, FACT_JOB, span_of(j->key_bytes, sizeof j->key_bytes), gone);
}

void fact_jti(struct engine *e, struct dedupe_id id, uint64_t payload,
              uint32_t when_s)
{
    unsigned char key[DEDUPE_KEY_BYTES];
    dedupe_key(id, key);
    buf_clear(&e->scratch);
    put_u64(&e->scratch, payload);
    put_u32(&e->scratch, when_s);
    put_fact(e, FACT_JTI, span_of(key, sizeof key), false);
}

void fact_jti_gone(struct engine *e, struct dedupe_id id)
{
    unsigned char key[DEDUPE_KEY_BYTES];
    dedupe_key(id, key);
    put_fact(e, FACT_JTI, span_of(key, sizeof key), true);
}

void fact_credential(struct engine *e, const struct credential *c, bool gone)
{
    struct buf key;
    buf_init(&key, &e->step_arena.mem, 4096);
    subject_put_key(c->agent, &key);
    buf_put_u8(&key, 0);
    buf_put(&key, c->id);
    buf_clear(&e->scratch);
    put_u8(&e->scratch, 1);
    put_u8(&e->scratch, c->refresh);
    put_i64(&e->scratch, c->expires_wall_ms);
    put_text(&e->scratch, c->issuer);
    put_text(&e->scratch, c->runtime_key);
    put_text(&e->scratch, c->sealed);
    if (!buf_ok(&key))
        note_rc(e, RC_NO_MEMORY);
    else
        put_fact(e, FACT_CREDENTIAL, buf_span(&key), gone);
}

void fact_feed(struct engine *e, unsigned feed)
{
    buf_clear(&e->scratch);
    put_u8(&e->scratch, 1);
    put_u8(&e->scratch, e->feeds[feed].disabled);
    put_fact(e, FACT_FEED, e->conf->feeds[feed].name, false);
}

void fact_policy_wall(struct engine *e)
{
    struct buf value;
    buf_init(&value, &e->step_arena.mem, 64);
    put_i64(&value, e->policy_wall_ms);
    buf_put(&value, span_of(e->policy->digest, sizeof e->policy->digest));
    if (!buf_ok(&value))
        note_rc(e, RC_NO_MEMORY);
    else
        fact_meta(e, "policy_wall", buf_span(&value));
    e->policy_wall_told_ms = e->policy_wall_ms;
    e->audits_change_ms = policy_audits_change_ms(e->policy, e->policy_wall_ms);
}

void fact_meta(struct engine *e, const char *name, struct span value)
{
    journal_put_fact(&e->facts, FACT_META, span_str(name), value);
}

/* --------------------------------------------------------------- rows */

static void row_free(struct engine *e, struct row *r)
{
    list_remove(&r->link);
    buf_fini(&r->records);
    mem_release(e->mem, r->acks);
    mem_release(e->mem, r);
}

static struct row *row_new(struct engine *e)
{
    struct row *r = mem_alloc(e->mem, sizeof *r);
    if (r == NULL)
        return NULL;
    buf_init(&r->records, e->mem, STEP_BYTES_MAX);
    buf_put(&r->records, buf_span(&e->records));
    r->ack_cap = e->row_ack_count;
    r->acks = mem_array(e->mem, r->ack_cap, sizeof *r->acks);
    if (r->acks == NULL || !buf_ok(&r->records)) {
        row_free(e, r);
        return NULL;
    }
    for (unsigned i = 0; i < e->row_ack_count; i++)
        r->acks[r->ack_count++] = e->row_acks[i];
    r->h1 = e->row_h1;
    return r;
}

/* Nothing of a failed step becomes durable; what it tightened in memory
 * stays, and the sender is told to try again. */
static void row_discard(struct engine *e)
{
    buf_clear(&e->facts);
    buf_clear(&e->records);
    e->row_ack_count = 0;
    e->row_h1 = 0;
    (void)history_take(&e->history);
}

void ack_when_stored(struct engine *e, uint64_t token)
{
    must(e->row_ack_count < sizeof e->row_acks / sizeof e->row_acks[0]);
    e->row_acks[e->row_ack_count++] = token;
}

static void free_lifted(struct engine *e)
{
    struct list_link *k;
    while ((k = list_shift(&e->lifted_holds)) != NULL)
        hold_free(&e->holds, container_of(k, struct hold, new_link));
}

void row_close(struct engine *e)
{
    if (e->facts.n > 0)
        schedule_watch_clock(e);
    if (e->facts.n > 0 &&
        e->policy_wall_ms - e->policy_wall_told_ms >= POLICY_WALL_TOLD_MS)
        fact_policy_wall(e);
    if (e->policy_wall_ms >= e->audits_change_ms)
        wake_at(e, e->in->now_ms);
    if (!buf_ok(&e->facts) || !buf_ok(&e->records) ||
        attrs_lost(&e->subjects.attrs))
        note_rc(e, RC_NO_MEMORY);
    if ((e->facts.n == 0 && e->records.n == 0 && e->row_ack_count == 0) ||
        e->rc != 0) {
        row_discard(e);
        return;
    }
    struct buf body;
    buf_init(&body, &e->step_arena.mem, STEP_BYTES_MAX);
    journal_put_body(&body, buf_span(&e->facts), buf_span(&e->records),
                     history_take(&e->history));
    struct row *r = buf_ok(&body) && reserve(e, 1) ? row_new(e) : NULL;
    if (r == NULL) {
        note_rc(e, RC_NO_MEMORY);
        row_discard(e);
        return;
    }
    r->seq = ++e->seq;
    list_push(&e->rows, &r->link);
    struct list_link *k;
    while ((k = list_shift(&e->new_holds)) != NULL)
        container_of(k, struct hold, new_link)->unsaved = false;
    free_lifted(e);
    struct out *o = emit(e, OUT_JOURNAL);
    o->journal.seq = r->seq;
    o->journal.body = buf_span(&body);
    e->stats.rows++;
    row_discard(e);
}

void row_split(struct engine *e)
{
    if (e->facts.n + e->records.n < ROW_SPLIT_BYTES)
        return;
    unsigned acks = e->row_ack_count;
    uint64_t h1 = e->row_h1;
    e->row_ack_count = 0; /* the last row of the step acknowledges */
    e->row_h1 = 0;
    row_close(e);
    e->row_ack_count = acks;
    e->row_h1 = h1;
}

/* All of it or nothing: false when there is no room in this step. */
static bool release_row(struct engine *e, const struct row *r)
{
    struct span records = buf_span(&r->records), tail;
    size_t n = r->ack_count;
    while (journal_next_record(&records, &tail, NULL) == 1)
        n++;
    unsigned char *copy = mem_copy(&e->step_arena.mem, buf_span(&r->records));
    if (copy == NULL || !reserve(e, n))
        return false;
    for (unsigned i = 0; i < r->ack_count; i++)
        emit(e, OUT_ACK)->ack.token = r->acks[i];
    records = span_of(copy, r->records.n);
    while (journal_next_record(&records, &tail, NULL) == 1) {
        struct out *o = emit(e, OUT_LOG);
        o->log.ticket = ++e->ticket;
        o->log.tail = tail;
        o->log.checkpoint = records.n == 0;
        o->log.row = records.n == 0 ? r->seq : 0;
    }
    return true;
}

/* Committed: acknowledge, then hand the records to the log. */
static void release_rows(struct engine *e)
{
    while (!list_empty(&e->rows)) {
        struct row *r = container_of(e->rows.head.next, struct row, link);
        if (r->seq > e->stored)
            break;
        if (!release_row(e, r)) {
            wake_at(e, e->in->now_ms + ROOM_AGAIN_MS);
            return;
        }
        row_free(e, r);
    }
}

void on_stored(struct engine *e)
{
    must(e->in->stored_upto <= e->seq);
    e->stored = e->in->stored_upto;
    release_rows(e);
    if (!e->stopping)
        job_tick(e);
}

/* ---------------------------------------------------------- life cycle */

static struct hash_key key_at(const unsigned char *p)
{
    struct hash_key k = {0, 0};
    memcpy(&k.k0, p, 8);
    memcpy(&k.k1, p + 8, 8);
    return k;
}

int engine_new(struct mem *m, const struct engine_conf *conf,
               const unsigned char random[32], struct engine **ret,
               struct fail *f)
{
    struct engine *e = mem_alloc(m, sizeof *e);
    if (e == NULL)
        return fail(f, RC_NO_MEMORY, "engine");
    e->mem = m;
    e->conf = conf;
    arena_init(&e->step_arena, m, STEP_BYTES_MAX);
    buf_init(&e->facts, m, STEP_BYTES_MAX);
    buf_init(&e->records, m, STEP_BYTES_MAX);
    buf_init(&e->scratch, m, JOURNAL_BODY_MAX);
    history_init(&e->history, m);
    e->in = &e->this_input;
    memcpy(e->hash_seed, random, sizeof e->hash_seed);
    struct hash_key k1 = key_at(random), k2 = key_at(random + 16);
    const struct engine_limits *l = &conf->limits;
    int rc = subjects_init(&e->subjects, m, k1, l->subjects_max);
    gate_cache_init(&e->gate_cache, m);
    holds_init(&e->holds, m, l->holds_max);
    calls_init(&e->calls, m, k2, l->calls_max);
    jobs_init(&e->jobs, m, k1, l->jobs_max);
    dedupe_init(&e->dedupe, m, k1, k2, l->jtis_max);
    limit_windows_init(&e->limits, m, k2);
    schedule_init(&e->schedule);
    list_init(&e->rows);
    list_init(&e->reading);
    for (unsigned i = 0; i < ENGINE_BASES_MAX; i++)
        for (unsigned c = 0; c < READ_CLASS_COUNT; c++)
            list_init(&e->bases[i].queues[c]);
    list_init(&e->parked);
    list_init(&e->new_holds);
    list_init(&e->lifted_holds);
    e->wake_ms = INT64_MAX;
    if (rc < 0) {
        engine_free(e);
        return fail(f, rc, "engine");
    }
    *ret = e;
    return 0;
}

static void free_subject_parts(struct engine *e, struct subject *s)
{
    agenda_free(e, s);
    if (s->rare != NULL)
        leave_read_queue(e, s);
    LIST_EACH (k, next, &s->holds)
        hold_free(&e->holds, container_of(k, struct hold, link));
    LIST_EACH (c, next_c, &subject_rare(s)->credentials)
        credential_free(e, container_of(c, struct credential, link));
    LIST_EACH (p, next_p, &subject_rare(s)->parked) {
        struct parked *q = container_of(p, struct parked, link);
        list_remove(&q->link);
        list_remove(&q->all_link);
        heap_remove(&e->parked_due, &q->due);
        mem_release(e->mem, q);
    }
}

void engine_free(struct engine *e)
{
    if (e == NULL)
        return;
    jobs_fini(&e->jobs);
    calls_fini(&e->calls);
    struct map_link *k = NULL;
    while ((k = map_next(&e->subjects.by_key, k)) != NULL)
        free_subject_parts(e, container_of(k, struct subject, link));
    free_lifted(e);
    subjects_fini(&e->subjects);
    gate_cache_fini(&e->gate_cache);
    while (!list_empty(&e->rows))
        row_free(e, container_of(e->rows.head.next, struct row, link));
    dedupe_fini(&e->dedupe);
    limit_windows_fini(&e->limits);
    gate_forget_tools(e);
    mem_release(e->mem, e->pending);
    mem_release(e->mem, e->outs);
    arena_fini(&e->step_arena);
    buf_fini(&e->facts);
    buf_fini(&e->records);
    buf_fini(&e->scratch);
    history_fini(&e->history);
    mem_release(e->mem, e);
}

/* --------------------------------------------------------------- steps */

static void on_store_state(struct engine *e)
{
    bool was = e->blocked || e->poisoned;
    e->blocked = e->in->store.blocked;
    e->poisoned = e->poisoned || e->in->store.poisoned;
    bool bad = e->blocked || e->poisoned;
    if (bad)
        deny_all_waiting(
            e, e->poisoned ? REASON_STORE_POISONED : REASON_STORE_BLOCKED);
    if (bad == was)
        return;
    struct record r = record_of(RECORD_LOG);
    r.outcome = e->poisoned  ? SPAN("store_poisoned")
                : e->blocked ? SPAN("store_blocked")
                             : SPAN("store_recovered");
    (void)record_now(e, &r, true);
}

int64_t cautious_wall_ms(const struct engine *e)
{
    int64_t steady = e->start_wall_ms + (e->in->now_ms - e->start_ms);
    return steady < e->in->wall_ms ? steady : e->in->wall_ms;
}

/* Old entries go in small steps, not in every tick of a busy time; a token of
 * before that is handled again. */
static void jti_tick(struct engine *e)
{
    int64_t keep_ms = e->conf->limits.jti_keep_ms;
    int64_t before_s = (cautious_wall_ms(e) - keep_ms) / 1000;
    struct dedupe_id id;
    if (keep_ms <= 0 || e->dedupe.count == 0 || before_s <= 0)
        return;
    wake_at(e, e->in->now_ms + JTI_SWEEP_MS);
    if (e->in->now_ms < e->jti_sweep_ms)
        return;
    e->jti_sweep_ms = e->in->now_ms + JTI_SWEEP_GAP_MS;
    for (unsigned i = 0;
         i < JTI_SWEEP_MAX &&
         dedupe_sweep(&e->dedupe, JTI_SWEEP_SLOTS, (uint32_t)before_s, &id);
         i++) {
        fact_jti_gone(e, id);
        dedupe_drop(&e->dedupe, id);
    }
}

/* A day on which something is enforced from now on is told at once: nothing
 * audits again after a restart with a clock that was put back. */
static void audit_tick(struct engine *e)
{
    if (e->policy_wall_ms >= e->audits_change_ms)
        fact_policy_wall(e);
}

static void on_tick(struct engine *e)
{
    e->wake_ms = INT64_MAX; /* every tick below asks again */
    audit_tick(e);
    release_rows(e);
    ask_tick(e);
    lease_tick(e);
    job_tick(e);
    read_tick(e);
    review_tick(e);
    feed_tick(e);
    jti_tick(e);
    credential_tick(e);
    limit_tick(e);
    schedule_tick(e);
}

static void on_stop(struct engine *e)
{
    e->stopping = true;
    deny_all_waiting(e, REASON_SHUTTING_DOWN);
    struct record r = record_of(RECORD_LOG);
    r.outcome = SPAN("stopped");
    (void)record_now(e, &r, true);
}

static void dispatch(struct engine *e)
{
    switch (e->in->kind) {
        case IN_EVENT: on_event(e, false); break;
        case IN_EVENT_DIRTY: on_event(e, true); break;
        case IN_ASK: on_ask(e, false); break;
        case IN_BEGIN: on_ask(e, true); break;
        case IN_RENEW: on_renew(e); break;
        case IN_END: on_end(e); break;
        case IN_HELLO: on_hello(e); break;
        case IN_WATCH_GONE: on_watch_gone(e); break;
        case IN_ACK: on_ack(e); break;
        case IN_CREDENTIAL: on_credential(e); break;
        case IN_READ_DONE: on_read_done(e); break;
        case IN_JOB_DONE: on_job_done(e); break;
        case IN_STORED: on_stored(e); break;
        case IN_LOGGED: on_logged(e); break;
        case IN_STORE_STATE: on_store_state(e); break;
        case IN_LOG_BROKEN:
            e->log_broken = true;
            deny_all_waiting(e, REASON_LOG_BROKEN);
            break;
        case IN_POLICY: on_policy(e); break;
        case IN_POLICY_REFUSED: on_policy_refused(e); break;
        case IN_FEED: on_feed(e); break;
        case IN_OPERATOR: on_operator(e); break;
        case IN_TICK: on_tick(e); break;
        case IN_STOP: on_stop(e); break;
        case IN_CANDIDATE: on_candidate(e); break;
        case IN_WOULD: on_would(e); break;
    }
}

static void step_open(struct engine *e, const struct in *in)
{
    e->this_input = *in;
    e->in = &e->this_input;
    e->rc = 0;
    e->new_jti = (struct dedupe_id){0, 0};
    e->taken = NULL;
    e->input++;
    if (in->wall_ms > e->policy_wall_ms)
        e->policy_wall_ms = in->wall_ms;
    arena_clear(&e->step_arena);
    attrs_clear(&e->subjects.attrs);
    e->out_count = e->out_next = 0;
    row_discard(e);
}

static void put_holds_back(struct engine *e)
{
    struct list_link *k;
    while ((k = list_shift(&e->lifted_holds)) != NULL) {
        struct hold *h = container_of(k, struct hold, new_link);
        uncover(h->agent); /* the next read may lift it again */
        touch(e, h->agent);
        hold_put_back(&e->holds, h);
    }
}

/* The step has failed: jobs whose row was never written are neither begun nor
 * ended, holds stay (those set are written when what set them comes again), and
 * nobody waits for an answer to a question that was refused. */
static void undo(struct engine *e)
{
    limit_undo(e);
    e->audits_change_ms = INT64_MIN; /* it may have been told in vain */
    if (e->in->kind == IN_OPERATOR)
        undo_operator(e);
    undo_jobs(e);
    undo_feeds(e);
    e->input++; /* answers decided in this step must be decided again */
    undo_read(e);
    while (list_shift(&e->new_holds) != NULL)
        continue; /* they remain `unsaved` */
    put_holds_back(e);
    e->history.news = true; /* it may have been in the row that is lost */
    if (e->new_jti.h1 != 0 || e->new_jti.h2 != 0)
        dedupe_drop(&e->dedupe, e->new_jti);
    if (e->in->kind == IN_ASK || e->in->kind == IN_BEGIN)
        forget_question(e, e->in->ask.token);
    if (e->in->kind == IN_TICK) /* nobody else would ask again */
        wake_at(e, e->in->now_ms + ROOM_AGAIN_MS);
}

/* A hold never waits for a read, whoever the statement was about. */
static void answer_held(struct engine *e)
{
    LIST_EACH (k, next, &e->new_holds) {
        struct subject *agent = container_of(k, struct hold, new_link)->agent;
        if (subject_rare(agent)->parked_count > 0)
            unpark(e, agent);
    }
}

int engine_step(struct engine *e, const struct in *in)
{
    step_open(e, in);
    dispatch(e);
    answer_held(e);
    row_close(e);
    settle_decided(e);
    if (e->rc != 0)
        undo(e);
    must(list_empty(&e->new_holds) && list_empty(&e->lifted_holds));
    return e->rc;
}

bool engine_next(struct engine *e, struct out *ret)
{
    if (e->out_next >= e->out_count)
        return false;
    *ret = e->outs[e->out_next++];
    return true;
}

void engine_rest(struct engine *e)
{
    if (e->out_next < e->out_count)
        return;
    mem_release(e->mem, e->outs);
    e->outs = NULL;
    e->out_count = e->out_next = e->out_cap = 0;
}

uint64_t engine_epoch(const struct engine *e)
{
    return epoch_of(e, e->input);
}

int64_t engine_wake_ms(const struct engine *e)
{
    return e->wake_ms;
}

static int64_t remainder_ms(int64_t due_wall, int64_t since_wall,
                            int64_t wall_now)
{
    int64_t left = due_wall - wall_now, whole = due_wall - since_wall;
    if (left > whole) /* the wall clock went back: not longer than planned */
        left = whole;
    return left < 0 ? 0 : left;
}

/* Persisted deadlines and stamps on this boot's clock; where the wall clock
 * leaves a choice, the more restrictive reading. */
static void restore_clocks(struct engine *e)
{
    int64_t now = e->in->now_ms, wall = e->in->wall_ms;
    struct map_link *k = NULL;
    e->restored.ms = now;
    while ((k = map_next(&e->subjects.by_key, k)) != NULL) {
        struct subject *s = container_of(k, struct subject, link);
        struct said *said = &e->bases[s->base].related;
        s->stamp_ms = said->ms = now;
        if (s->kind != SUBJECT_AGENT && s->stamp_row > said->row)
            said->row = s->stamp_row;
    }
    LIST_EACH (h, next_h, &e->holds.due) {
        struct hold *hold = container_of(h, struct hold, due_link);
        heap_put(
            &e->holds.deadlines, &hold->deadline,
            now + remainder_ms(hold->due_wall_ms, hold->since_wall_ms, wall));
    }
    note_rc(e, jobs_sort(&e->jobs));
    LIST_EACH (l, next_l, &e->jobs.open) {
        struct job *j = container_of(l, struct job, state_link);
        if (j->state == JOB_WITHHELD)
            continue;
        j->created_ms = j->next_ms = now;
        j->deadline_ms =
            now + remainder_ms(j->deadline_wall_ms, j->created_wall_ms, wall);
        note_rc(e, job_enter(e, j));
        job_plan(e, j);
    }
}

/* The epoch tells a restore which ones have been given out. */
static void record_start(struct engine *e)
{
    struct record r = record_of(RECORD_LOG);
    r.outcome = SPAN("started");
    r.epoch = engine_epoch(e);
    record_row(e, &r);
    if (e->restored_wall_ms != 0)
        tell_restored(e);
}

int engine_start(struct engine *e, uint64_t last_seq,
                 const struct policy *policy, int64_t now_ms, int64_t wall_ms,
                 struct fail *f)
{
    const struct in in = {
        .kind = IN_TICK, .now_ms = now_ms, .wall_ms = wall_ms};
    e->policy = policy;
    e->gate_until_ms = INT64_MIN;
    e->start_ms = now_ms;
    e->start_wall_ms = wall_ms;
    e->seq = e->stored = last_seq;
    e->boot++;
    if (memcmp(e->policy_wall_of, policy->digest, sizeof policy->digest) != 0)
        e->policy_wall_ms = 0;
    e->boot_row = last_seq + 1;
    step_open(e, &in);
    e->boot_stamp = e->input;
    unsigned char boot[8];
    u64_bytes(e->boot, boot);
    fact_meta(e, "boot", span_of(boot, sizeof boot));
    fact_meta(e, "hash_key", span_of(e->hash_seed, sizeof e->hash_seed));
    fact_policy_wall(e);
    record_start(e);
    policy_start(e);
    history_start(e);
    history_policy(e);
    for (unsigned i = 0; i < e->conf->feed_count; i++) {
        e->feeds[i].last_sign_ms = now_ms;
        e->feeds[i].last_sign_wall_ms = 0;
    }
    restore_clocks(e);
    note_rc(e, limit_restore(e));
    schedule_restore(e);
    on_tick(e);
    row_close(e);
    e->boot_row = e->seq;
    return e->rc < 0 ? fail(f, e->rc, "engine start") : 0;
}
