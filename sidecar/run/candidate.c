// SPDX-License-Identifier: Apache-2.0
#include "sidecar/run/candidate.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#include "adapters/json_doc.h"
#include "sidecar/base/json_out.h"
#include "sidecar/config/policy_file.h"
#include "sidecar/policy_compare.h"
#include "sidecar/policy_world.h"

#define POLICY_BYTES_MAX (64u * 1024 * 1024)
#define RECORD_BYTES_MAX (128u * 1024)
#define SWEEP_MS 1000

/* One difference on its way to the loop. */
struct told {
    unsigned char uri[SUBJECT_URI_MAX + 1], rule[POLICY_NAME_MAX + 1],
        tool[ENGINE_ID_MAX + 1], what[2 * EFFECT_WORDS_MAX + 8];
    bool more;
};

struct total {
    char rule[POLICY_NAME_MAX + 1], what[2 * EFFECT_WORDS_MAX + 8];
    bool is_question;
    uint64_t more, less; /* than the active policy */
    int64_t first_ms, last_ms;
};

struct candidate {
    char path[1024];
    uv_thread_t thread;
    uv_async_t *wake_loop;
    uv_mutex_t mutex; /* everything up to the next comment */
    uv_cond_t wake;
    bool begged; /* for a sign when there is room */
    enum candidate_state state;
    struct fail why;
    struct buf queue;
    struct candidate_stats stats;
    struct told told[CANDIDATE_TOLD_MAX];
    unsigned told_head, told_count;
    struct total *totals;
    unsigned total_count;
    uint64_t total_lost;
    /* anybody */
    atomic_bool has, stop;
    /* the loop */
    struct told out;
    struct buf step_inputs, step_records;
    /* the thread; the policy is constant once it is active */
    struct arena arena;
    const struct policy *policy;
    struct compare *compare;
    struct buf batch, line;
    struct arena record;
    time_t second;
    unsigned recorded; /* in this second */
    int64_t taken_at;  /* when the last batch was, by a clock of its own */
    int64_t swept_ms;
    bool unsettled; /* an effect that one side has may yet come to the other */
};

/* ---- the queue ---- */

struct packed {
    size_t n;
    bool record;
};

void candidate_push(struct candidate *c, bool record, struct span bytes)
{
    const struct packed head = {.n = bytes.n, .record = record};
    struct buf *to = record ? &c->step_records : &c->step_inputs;
    if (bytes.n == 0)
        return;
    buf_put(to, span_of(&head, sizeof head));
    buf_put(to, bytes);
}

void candidate_flush(struct candidate *c)
{
    size_t n = c->step_inputs.n + c->step_records.n;
    bool whole = buf_ok(&c->step_inputs) && buf_ok(&c->step_records);
    if (n == 0 && whole)
        return;
    uv_mutex_lock(&c->mutex);
    bool runs = c->state == CANDIDATE_LOADING || c->state == CANDIDATE_ACTIVE;
    bool first = c->queue.n == 0;
    if (!runs) {
        first = false;
    } else if (whole && c->queue.n + n <= CANDIDATE_QUEUE_BYTES) {
        buf_put(&c->queue, buf_span(&c->step_inputs));
        buf_put(&c->queue, buf_span(&c->step_records));
    } else {
        c->stats.dropped++;
    }
    uv_mutex_unlock(&c->mutex);
    if (first)
        uv_cond_signal(&c->wake);
    buf_clear(&c->step_inputs);
    buf_clear(&c->step_records);
}

bool candidate_beg(struct candidate *c, bool more)
{
    uv_mutex_lock(&c->mutex);
    c->begged = more;
    bool room = c->queue.n < CANDIDATE_QUEUE_BYTES / 4;
    uv_mutex_unlock(&c->mutex);
    return room;
}

/* Under the mutex: candidate_quit is the end of it. */
static void wake_loop(struct candidate *c)
{
    if (c->wake_loop != NULL && !atomic_load(&c->stop))
        ignore_rc(uv_async_send(c->wake_loop)); /* not closed: see above */
}

/* ---- differences ---- */

static void copy_text(void *to, size_t size, struct span s)
{
    size_t n = s.n < size - 1 ? s.n : size - 1;
    memcpy(to, s.p, n);
    ((unsigned char *)to)[n] = 0;
}

static struct total *total_of(struct candidate *c,
                              const struct difference_row *row)
{
    for (unsigned i = 0; i < c->total_count; i++)
        if (span_eq(span_str(c->totals[i].rule), row->rule) &&
            span_eq(span_str(c->totals[i].what), row->words))
            return &c->totals[i];
    if (c->total_count == CANDIDATE_TOTALS_MAX) {
        c->total_lost++;
        return NULL;
    }
    struct total *t = &c->totals[c->total_count++];
    *t = (struct total){.is_question = row->is_question};
    copy_text(t->rule, sizeof t->rule, row->rule);
    copy_text(t->what, sizeof t->what, row->words);
    return t;
}

/* Only so many a second reach the log. */
static bool may_record(struct candidate *c)
{
    time_t now = time(NULL);
    if (now != c->second) {
        c->second = now;
        c->recorded = 0;
    }
    if (c->recorded >= CANDIDATE_RECORDS_PER_S ||
        c->told_count == CANDIDATE_TOLD_MAX)
        return false;
    c->recorded++;
    return true;
}

static void note(struct candidate *c, const struct difference_row *row,
                 struct span tool, bool more, uint64_t count)
{
    uv_mutex_lock(&c->mutex);
    struct total *t = total_of(c, row);
    if (t != NULL) {
        *(more ? &t->more : &t->less) += count;
        t->last_ms = c->compare->last_ms;
        if (t->first_ms == 0)
            t->first_ms = t->last_ms;
    }
    if (!row->is_question)
        c->stats.effects += count;
    if (may_record(c)) {
        unsigned at = (c->told_head + c->told_count++) % CANDIDATE_TOLD_MAX;
        struct told *d = &c->told[at];
        copy_text(d->uri, sizeof d->uri, row->uri);
        copy_text(d->rule, sizeof d->rule, row->rule);
        copy_text(d->tool, sizeof d->tool, tool);
        copy_text(d->what, sizeof d->what, row->words);
        d->more = more;
        atomic_store(&c->has, true);
        wake_loop(c);
    } else {
        c->stats.unrecorded++;
    }
    uv_mutex_unlock(&c->mutex);
}

static void on_question(void *ctx, const struct doc *entry,
                        const struct difference_answer *now,
                        struct difference_row *row)
{
    (void)now;
    note(ctx, row, doc_text(entry, SPAN("tool")), true, 1);
}

static int64_t clock_ms(void)
{
    return (int64_t)(uv_hrtime() / 1000000);
}

/* What happens tells the time, and while nothing does, it goes on. */
static int64_t now_ms(const struct candidate *c)
{
    return c->compare->last_ms + clock_ms() - c->taken_at;
}

/* An effect that one side has and the other has not, for a while now: what
 * happened is only known once its record is written. */
static void sweep_row(struct candidate *c, struct difference_row *row)
{
    int64_t last = row->last_ms[COURSE_OLD] > row->last_ms[COURSE_NEW]
                       ? row->last_ms[COURSE_OLD]
                       : row->last_ms[COURSE_NEW];
    if (row->is_question || !difference_differs(&c->compare->difference, row))
        return;
    if (now_ms(c) - last < CANDIDATE_SETTLE_MS) {
        c->unsettled = true;
        return;
    }
    bool more = row->count[COURSE_NEW] > row->count[COURSE_OLD];
    uint64_t count = more ? row->count[COURSE_NEW] - row->count[COURSE_OLD]
                          : row->count[COURSE_OLD] - row->count[COURSE_NEW];
    row->count[COURSE_OLD] = row->count[COURSE_NEW]; /* it is told */
    note(c, row, SPAN(""), more, count);
}

static void sweep(struct candidate *c)
{
    struct map_link *k = NULL;
    if (clock_ms() - c->swept_ms < SWEEP_MS) {
        c->unsettled = true; /* for all that is known */
        return;
    }
    c->swept_ms = clock_ms();
    c->unsettled = false;
    while ((k = map_next(&c->compare->difference.rows, k)) != NULL)
        sweep_row(c, container_of(k, struct difference_row, link));
}

/* ---- the thread ---- */

static int load(struct candidate *c, struct fail *f)
{
    struct policy_notes *notes = mem_alloc(&c->arena.mem, sizeof *notes);
    struct span source;
    unsigned passed;
    if (notes == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for the candidate");
    int rc = policy_file_load(&c->arena.mem, span_str(c->path), &c->policy,
                              notes, &source, f);
    if (rc < 0 && notes->error_count > 0)
        return fail(f, RC_CONFIG, "%s:%u:%u: %.120s", c->path,
                    notes->at[0].line, notes->at[0].column, notes->at[0].text);
    TRY(rc);
    TRY(policy_world_check(c->policy, &passed, f));
    const struct compare_conf conf = {
        .now = c->policy, .question = on_question, .ctx = c};
    return compare_new(&conf, &c->compare, f);
}

static void set_state(struct candidate *c, enum candidate_state s,
                      const struct fail *f)
{
    uv_mutex_lock(&c->mutex);
    c->state = s;
    if (f != NULL)
        c->why = *f;
    atomic_store(&c->has, true);
    wake_loop(c);
    uv_mutex_unlock(&c->mutex);
}

static int take_lines(struct candidate *c, struct span lines, struct fail *f)
{
    /* The loop waits for the thread: a batch is left where it is. */
    while (lines.n > 0 && !atomic_load(&c->stop)) {
        size_t end = span_find(lines, '\n', 0);
        TRY(compare_line(c->compare, span_sub(lines, 0, end), f));
        lines = span_sub(lines, end + 1, lines.n);
    }
    return 0;
}

static int take_record(struct candidate *c, struct span tail, struct fail *f)
{
    const struct doc *record;
    arena_clear(&c->record);
    buf_clear(&c->line);
    buf_put_u8(&c->line, '{');
    buf_put(&c->line, tail);
    if (!buf_ok(&c->line) ||
        json_doc_parse(&c->record.mem, buf_span(&c->line), RECORD_BYTES_MAX,
                       &record, NULL) < 0)
        return 0;
    buf_clear(&c->line);
    history_put_record(record, false, &c->line);
    return buf_ok(&c->line) ? take_lines(c, buf_span(&c->line), f) : 0;
}

static int take_batch(struct candidate *c, struct fail *f)
{
    struct span left = buf_span(&c->batch);
    struct packed head;
    if (left.n > 0)
        c->taken_at = clock_ms();
    while (left.n > 0 && !atomic_load(&c->stop)) {
        must(left.n >= sizeof head);
        memcpy(&head, left.p, sizeof head);
        struct span bytes = span_sub(left, sizeof head, sizeof head + head.n);
        TRY(head.record ? take_record(c, bytes, f) : take_lines(c, bytes, f));
        left = span_sub(left, sizeof head + head.n, left.n);
    }
    sweep(c);
    return 0;
}

/* Until there is a batch, or it is time to sweep without one. */
static void wait_for_work(struct candidate *c)
{
    int rc = 0;
    while (!atomic_load(&c->stop) && c->queue.n == 0 && rc == 0) {
        if (c->unsettled)
            rc = uv_cond_timedwait(&c->wake, &c->mutex, SWEEP_MS * 1000000ull);
        else
            uv_cond_wait(&c->wake, &c->mutex);
    }
}

/* False when it is time to end. */
static bool wait_batch(struct candidate *c)
{
    const struct difference *d = &c->compare->difference;
    buf_clear(&c->batch);
    uv_mutex_lock(&c->mutex);
    c->stats.questions = d->questions;
    c->stats.changed = d->changed;
    c->stats.undecided = d->undecided;
    if (c->begged)
        wake_loop(c);
    wait_for_work(c);
    struct buf full = c->queue;
    c->queue = c->batch;
    c->batch = full;
    bool go_on = !atomic_load(&c->stop);
    uv_mutex_unlock(&c->mutex);
    return go_on;
}

static void run(void *ctx)
{
    struct candidate *c = ctx;
    struct fail f = {.rc = 0};
    if (load(c, &f) < 0) {
        set_state(c, CANDIDATE_REFUSED, &f);
        return;
    }
    set_state(c, CANDIDATE_ACTIVE, NULL);
    while (wait_batch(c)) {
        if (take_batch(c, &f) >= 0)
            continue;
        set_state(c, CANDIDATE_FAILED, &f);
        return;
    }
}

/* ---- for the loop ---- */

int candidate_start(struct span path, uv_async_t *wake, struct candidate **ret,
                    struct fail *f)
{
    struct candidate *c = mem_alloc(mem_system(), sizeof *c);
    if (c == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for the candidate");
    c->totals =
        mem_array(mem_system(), CANDIDATE_TOTALS_MAX, sizeof *c->totals);
    c->wake_loop = wake;
    copy_text(c->path, sizeof c->path, path);
    arena_init(&c->arena, mem_system(), POLICY_BYTES_MAX);
    arena_init(&c->record, mem_system(), 16 * RECORD_BYTES_MAX);
    buf_init(&c->queue, mem_system(), CANDIDATE_QUEUE_BYTES + 64);
    buf_init(&c->batch, mem_system(), CANDIDATE_QUEUE_BYTES + 64);
    buf_init(&c->line, mem_system(), RECORD_BYTES_MAX);
    buf_init(&c->step_inputs, mem_system(), CANDIDATE_QUEUE_BYTES);
    buf_init(&c->step_records, mem_system(), CANDIDATE_QUEUE_BYTES);
    must(uv_mutex_init(&c->mutex) == 0 && uv_cond_init(&c->wake) == 0);
    if (c->totals == NULL || uv_thread_create(&c->thread, run, c) != 0) {
        mem_release(mem_system(), c->totals);
        mem_release(mem_system(), c);
        return fail(f, RC_NO_MEMORY, "no thread for the candidate");
    }
    *ret = c;
    return 0;
}

void candidate_quit(struct candidate *c)
{
    uv_mutex_lock(&c->mutex);
    atomic_store(&c->stop, true);
    uv_mutex_unlock(&c->mutex);
    uv_cond_signal(&c->wake);
}

void candidate_stop(struct candidate *c)
{
    if (c == NULL)
        return;
    candidate_quit(c);
    must(uv_thread_join(&c->thread) == 0);
    compare_free(c->compare);
    buf_fini(&c->queue);
    buf_fini(&c->batch);
    buf_fini(&c->line);
    buf_fini(&c->step_inputs);
    buf_fini(&c->step_records);
    arena_fini(&c->record);
    arena_fini(&c->arena);
    uv_cond_destroy(&c->wake);
    uv_mutex_destroy(&c->mutex);
    mem_release(mem_system(), c->totals);
    mem_release(mem_system(), c);
}

enum candidate_state candidate_state(struct candidate *c)
{
    uv_mutex_lock(&c->mutex);
    enum candidate_state s = c->state;
    uv_mutex_unlock(&c->mutex);
    return s;
}

const struct policy *candidate_policy(const struct candidate *c)
{
    return c->policy;
}

void candidate_why(struct candidate *c, struct fail *ret)
{
    uv_mutex_lock(&c->mutex);
    *ret = c->why;
    uv_mutex_unlock(&c->mutex);
}

bool candidate_has(const struct candidate *c)
{
    return atomic_load_explicit(&c->has, memory_order_relaxed);
}

bool candidate_next(struct candidate *c, struct in *ret)
{
    uv_mutex_lock(&c->mutex);
    bool any = c->told_count > 0;
    if (any) {
        c->out = c->told[c->told_head];
        c->told_head = (c->told_head + 1) % CANDIDATE_TOLD_MAX;
        c->told_count--;
    }
    atomic_store(&c->has, c->told_count > 0);
    uv_mutex_unlock(&c->mutex);
    *ret = (struct in){.kind = IN_WOULD};
    ret->would = (struct in_would){.uri = span_str((const char *)c->out.uri),
                                   .rule = span_str((const char *)c->out.rule),
                                   .tool = span_str((const char *)c->out.tool),
                                   .what = span_str((const char *)c->out.what),
                                   .more = c->out.more};
    return any;
}

void candidate_stats_get(struct candidate *c, struct candidate_stats *ret)
{
    uv_mutex_lock(&c->mutex);
    *ret = c->stats;
    uv_mutex_unlock(&c->mutex);
}

static void show_total(const struct total *t, struct json_out *j)
{
    json_open_map(j, NULL);
    json_str(j, "kind", t->is_question ? "question" : "effect");
    json_str(j, "rule", t->rule);
    json_str(j, "what", t->what);
    json_u64(j, "would", t->more);
    if (!t->is_question)
        json_u64(j, "would_not", t->less);
    json_time(j, "first", t->first_ms);
    json_time(j, "last", t->last_ms);
    json_close_map(j);
}

void candidate_show(struct candidate *c, struct json_out *j)
{
    static const char *const words[] = {"loading", "refused", "active",
                                        "failed"};
    uv_mutex_lock(&c->mutex);
    json_str(j, "state", words[c->state]);
    json_str(j, "file", c->path);
    if (c->state == CANDIDATE_ACTIVE)
        json_str(j, "digest", c->policy->digest_hex);
    if (c->why.rc != 0)
        json_str(j, "why", c->why.text);
    json_u64(j, "questions", c->stats.questions);
    json_u64(j, "questions_changed", c->stats.changed);
    json_u64(j, "questions_undecidable", c->stats.undecided);
    json_u64(j, "effects_changed", c->stats.effects);
    json_u64(j, "dropped", c->stats.dropped);
    json_u64(j, "unrecorded", c->stats.unrecorded);
    json_open_list(j, "totals");
    for (unsigned i = 0; i < c->total_count; i++)
        show_total(&c->totals[i], j);
    json_close_list(j);
    uv_mutex_unlock(&c->mutex);
}
