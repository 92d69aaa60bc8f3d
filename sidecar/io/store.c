// SPDX-License-Identifier: Apache-2.0
/*
 *            append              take            COMMIT          async
 *   loop ------------> pending ------> batch ---------> stored ------> loop
 *
 * Rows travel packed in one buffer: appending copies, the thread swaps the
 * buffer with an empty one, and whatever arrived meanwhile is the next batch.
 * Between batches the thread folds, prunes and checkpoints the WAL, in steps
 * short enough that a waiting row does not notice.
 */
#include "sidecar/io/store.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sidecar/base/list.h"
#include "sidecar/io/file.h"
#include "sidecar/io/store_db.h"

#define QUEUE_ROWS_MAX 65536
#define QUEUE_BYTES_MAX (64 * 1024 * 1024)
#define KEEP_BATCH_BYTES (1024 * 1024) /* larger buffers are given back */
#define KEEP_DAYS 7
#define KEEP_ROWS 2000000
#define FOLD_STEP_ROWS 1024
#define FOLD_BEHIND_ROWS 8192 /* folds even when busy */
#define PRUNE_STEP_ROWS 256
#define IDLE_MS 200
#define PRUNE_EVERY_MS 60000
#define RETRY_FIRST_MS 50
#define RETRY_LAST_MS 2000
#define DAY_MS INT64_C(86400000)

/* How one row lies in a buffer; the body follows. */
struct packed {
    uint64_t seq;
    int64_t wall_ms;
    size_t body_n;
};

struct store {
    struct store_conf conf;
    struct store_db db; /* the thread's once it runs */
    int lock_fd;
    bool started;
    uv_loop_t *loop;
    uv_async_t wake_loop;
    uv_thread_t thread;
    uv_mutex_t mutex;
    uv_cond_t wake_thread;

    /* Under the mutex. */
    struct buf pending;
    uint32_t queued; /* pending plus the batch at work */
    size_t queued_bytes;
    uint64_t last_seq;
    uint64_t logged_seq;
    struct store_stats stats;
    struct fail why;
    bool closing, exited;

    /* The thread's. */
    struct buf batch;
    uint64_t pruned_ms;
    bool idle; /* nothing to commit for IDLE_MS */

    /* The loop's. */
    uint64_t told_seq;
    enum store_state told_state;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static uint64_t now_ms(void)
{
    return uv_hrtime() / 1000000;
}

static int64_t wall_ms(void)
{
    struct timespec ts;
    if (clock_gettime(CLOCK_REALTIME, &ts) != 0)
        return 0; /* nothing is old then */
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int keep_conf(struct store *s, const struct store_conf *conf,
                     struct fail *f)
{
    s->conf = *conf;
    s->conf.dir.p = mem_copy(mem_system(), conf->dir);
    if (s->conf.dir.p == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for the store");
    if (s->conf.queue_rows_max == 0)
        s->conf.queue_rows_max = QUEUE_ROWS_MAX;
    if (s->conf.keep_days == 0)
        s->conf.keep_days = KEEP_DAYS;
    if (s->conf.keep_rows == 0)
        s->conf.keep_rows = KEEP_ROWS;
    return 0;
}

int store_open(const struct store_conf *conf, struct store **ret,
               bool *ret_created, struct fail *f)
{
    struct store *s = mem_alloc(mem_system(), sizeof *s);
    if (s == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for the store");
    s->lock_fd = -1;
    buf_init(&s->pending, mem_system(), QUEUE_BYTES_MAX * 2);
    buf_init(&s->batch, mem_system(), QUEUE_BYTES_MAX * 2);
    int rc = keep_conf(s, conf, f);
    if (rc == 0)
        rc = file_check_dir(conf->dir, f);
    if (rc == 0)
        rc = file_lock(conf->dir, &s->lock_fd, f);
    if (rc == 0)
        rc = store_db_open(&s->db, conf->dir, ret_created, f);
    if (rc < 0) {
        store_free(s);
        return rc;
    }
    s->last_seq = s->stats.stored_seq = s->told_seq = s->db.last_seq;
    s->stats.folded_seq = s->db.folded_seq;
    *ret = s;
    return 0;
}

struct checking {
    const char *path;
    bool cut;
    int rc;
    struct fail why;
};

static void check(void *ctx)
{
    struct checking *c = ctx;
    c->rc = store_db_check_quickly(c->path, &c->cut, &c->why);
}

int store_load(struct store *s, const struct store_reader *r,
               uint64_t *ret_last_seq, struct fail *f)
{
    must(!s->started);
    struct checking c = {.path = s->db.path};
    uv_thread_t thread;
    bool beside = uv_thread_create(&thread, check, &c) == 0;
    int rc = store_db_load(&s->db, r, f);
    if (beside)
        must(uv_thread_join(&thread) == 0);
    else
        check(&c);
    s->stats.check_cut = c.cut;
    if (c.rc < 0) { /* what was loaded is worth nothing */
        *f = c.why;
        return c.rc;
    }
    if (rc == 0)
        *ret_last_seq = s->last_seq;
    return rc;
}

int store_scan(struct store *s, uint64_t from_seq,
               int (*row)(void *ctx, uint64_t seq, int64_t wall_ms,
                          const struct journal_body *body, struct fail *f),
               void *ctx, struct fail *f)
{
    must(!s->started);
    return store_db_scan(&s->db, from_seq, row, ctx, f);
}

/* ---- the thread ---- */

static void tell(struct store *s, enum store_state state, const struct fail *f)
{
    uv_mutex_lock(&s->mutex);
    s->stats.state = state;
    if (f != NULL) {
        s->why = *f;
        s->stats.failed_commits++;
    }
    uv_mutex_unlock(&s->mutex);
    ignore_rc(uv_async_send(&s->wake_loop)); /* fails only on a closed handle */
}

static bool take_row(struct span *batch, struct store_db_row *ret)
{
    struct packed head;
    if (batch->n == 0)
        return false;
    must(batch->n >= sizeof head);
    memcpy(&head, batch->p, sizeof head);
    must(batch->n - sizeof head >= head.body_n);
    ret->seq = head.seq;
    ret->wall_ms = head.wall_ms;
    ret->body = span_of(batch->p + sizeof head, head.body_n);
    *batch = span_sub(*batch, sizeof head + head.body_n, batch->n);
    return true;
}

static int commit_once(struct store *s, bool again, uint64_t *ret_last,
                       uint32_t *ret_rows, struct fail *f)
{
    struct span left = buf_span(&s->batch);
    struct store_db_row row;
    *ret_rows = 0;
    TRY(store_db_begin(&s->db, f));
    int rc = 0;
    while (rc == 0 && take_row(&left, &row)) {
        rc = store_db_insert(&s->db, &row, again, f);
        *ret_last = row.seq;
        (*ret_rows)++;
    }
    if (rc == 0)
        rc = store_db_commit(&s->db, f);
    if (rc < 0)
        store_db_rollback(&s->db);
    return rc;
}

static void committed(struct store *s, uint64_t last, uint32_t rows)
{
    size_t bytes = s->batch.n;
    if (s->batch.cap > KEEP_BATCH_BYTES)
        buf_fini(&s->batch);
    buf_clear(&s->batch);
    uv_mutex_lock(&s->mutex);
    s->stats.stored_seq = last;
    s->stats.rows += rows;
    s->stats.commits++;
    s->queued -= rows;
    s->queued_bytes -= bytes;
    uv_mutex_unlock(&s->mutex);
    ignore_rc(uv_async_send(&s->wake_loop));
}

static bool is_passing(int rc)
{
    return rc == RC_NO_SPACE || rc == RC_BUSY || rc == RC_NO_MEMORY;
}

/* Sleeps before the next try; false when the store is being closed. */
static bool wait_retry(struct store *s, uint64_t ms)
{
    uint64_t until = now_ms() + ms;
    uv_mutex_lock(&s->mutex);
    for (uint64_t now; !s->closing && (now = now_ms()) < until;)
        ignore_rc(uv_cond_timedwait(&s->wake_thread, &s->mutex,
                                    (until - now) * 1000000));
    bool go_on = !s->closing;
    uv_mutex_unlock(&s->mutex);
    return go_on;
}

/* Commits the batch, over passing trouble; false when the thread must end. */
static bool commit_batch(struct store *s)
{
    uint64_t last = 0, delay_ms = RETRY_FIRST_MS;
    uint32_t rows = 0;
    struct fail f;
    bool last_try = false;
    for (bool again = false;; again = true) {
        int rc = commit_once(s, again, &last, &rows, &f);
        if (rc == 0) {
            committed(s, last, rows);
            if (again)
                tell(s, STORE_OK, NULL);
            return true;
        }
        tell(s, is_passing(rc) ? STORE_BLOCKED : STORE_POISONED, &f);
        if (!is_passing(rc) || last_try)
            return false;
        last_try = !wait_retry(s, delay_ms);
        delay_ms = delay_ms * 2 > RETRY_LAST_MS ? RETRY_LAST_MS : delay_ms * 2;
    }
}

/* The last row that may be folded. Under the mutex. */
static uint64_t foldable(const struct store *s)
{
    uint64_t stored = s->stats.stored_seq;
    return s->logged_seq < stored ? s->logged_seq : stored;
}

struct chores {
    uint64_t fold_upto;
    bool fold, prune;
    uint32_t batch_rows; /* steps are no smaller, to keep up with writers */
};

static uint32_t step_rows(const struct chores *c, uint32_t least)
{
    return c->batch_rows > least / 2 ? 2 * c->batch_rows : least;
}

/* Deletes one step of what need not be kept and gives one step of the room
 * back. Once nothing is left to do, the next look is PRUNE_EVERY_MS away. */
static int prune(struct store *s, uint32_t rows_max, struct fail *f)
{
    uint64_t folded = s->db.folded_seq;
    const struct store_db_old old = {
        .before_ms = wall_ms() - (int64_t)s->conf.keep_days * DAY_MS,
        .upto_seq =
            folded > s->conf.keep_rows ? folded - s->conf.keep_rows : 0};
    uint32_t rows = 0;
    bool more = false;
    int rc = 0;
    if (!s->conf.legal_hold)
        rc = store_db_prune(&s->db, &old, rows_max, &rows, f);
    if (rc == 0)
        rc = store_db_give_back(&s->db, &more, f);
    if (rc < 0 || (rows < rows_max && !more))
        s->pruned_ms = now_ms();
    return rc;
}

/* Folds and prunes one step. Trouble that passes is left for later: rows that
 * must be stored will meet it too and say so. */
static int do_chores(struct store *s, const struct chores *c, struct fail *f)
{
    uint32_t rows = 0;
    int rc = 0;
    if (c->fold)
        rc = store_db_fold(&s->db, c->fold_upto, step_rows(c, FOLD_STEP_ROWS),
                           &rows, f);
    if (rc == 0 && c->prune)
        rc = prune(s, step_rows(c, PRUNE_STEP_ROWS), f);
    if (rc == 0)
        rc = store_db_checkpoint(&s->db, false, f);
    uv_mutex_lock(&s->mutex);
    s->stats.folded_seq = s->db.folded_seq;
    uv_mutex_unlock(&s->mutex);
    if (rc < 0)
        s->idle = false; /* no busy loop */
    return is_passing(rc) ? 0 : rc;
}

/* Waits for rows, an idle moment with something to do, or the end. Under the
 * mutex. */
static void wait_work(struct store *s)
{
    while (s->pending.n == 0 && !s->closing) {
        bool due = foldable(s) > s->stats.folded_seq ||
                   now_ms() - s->pruned_ms >= PRUNE_EVERY_MS;
        if (s->idle && due)
            return;
        uint64_t ms = due ? IDLE_MS : PRUNE_EVERY_MS;
        s->idle = uv_cond_timedwait(&s->wake_thread, &s->mutex, ms * 1000000) ==
                  UV_ETIMEDOUT;
    }
    s->idle = false;
}

/* Moves what is queued into the batch. False at the end. */
static bool next_work(struct store *s, struct chores *ret)
{
    uv_mutex_lock(&s->mutex);
    wait_work(s);
    bool go_on = s->pending.n > 0 || !s->closing;
    struct buf swap = s->batch;
    s->batch = s->pending;
    s->pending = swap;
    uint64_t upto = foldable(s), folded = s->stats.folded_seq;
    ret->batch_rows = s->queued; /* the batch before is committed */
    uv_mutex_unlock(&s->mutex);
    ret->fold_upto = upto;
    ret->fold = upto > folded && (s->idle || upto - folded >= FOLD_BEHIND_ROWS);
    ret->prune = now_ms() - s->pruned_ms >= PRUNE_EVERY_MS;
    return go_on;
}

/* At the end: everything that may be folded, then a clean file. */
static int wind_up(struct store *s, struct fail *f)
{
    uv_mutex_lock(&s->mutex);
    uint64_t upto = foldable(s);
    uv_mutex_unlock(&s->mutex);
    uint32_t rows = 1;
    while (rows > 0 && s->db.folded_seq < upto)
        TRY(store_db_fold(&s->db, upto, FOLD_STEP_ROWS, &rows, f));
    return store_db_checkpoint(&s->db, true, f);
}

static void run_thread(void *arg)
{
    struct store *s = arg;
    struct chores chores;
    struct fail f = {0};
    bool sound = true;
    while (sound && next_work(s, &chores)) {
        if (s->batch.n > 0)
            sound = commit_batch(s);
        if (sound && do_chores(s, &chores, &f) < 0) {
            tell(s, STORE_POISONED, &f);
            sound = false;
        }
    }
    if (sound) {
        int rc = wind_up(s, &f);
        sound = rc == 0;
        if (!sound && !is_passing(rc)) /* what cannot be folded now waits */
            tell(s, STORE_POISONED, &f);
    }
    store_db_close(&s->db, sound);
    uv_mutex_lock(&s->mutex);
    s->exited = true;
    uv_mutex_unlock(&s->mutex);
    ignore_rc(uv_async_send(&s->wake_loop));
}

/* ---- the loop ---- */

static void release(struct store *s)
{
    store_db_close(&s->db, !s->started);
    buf_fini(&s->pending);
    buf_fini(&s->batch);
    if (s->lock_fd >= 0)
        ignore_rc(close(s->lock_fd)); /* only the lock is on it */
    mem_release(mem_system(), (void *)(uintptr_t)s->conf.dir.p);
    mem_release(mem_system(), s);
}

static void on_closed(uv_handle_t *h)
{
    struct store *s =
        container_of((uv_async_t *)(void *)h, struct store, wake_loop);
    void (*done)(void *) = s->closed;
    void *ctx = s->closed_ctx;
    uv_cond_destroy(&s->wake_thread);
    uv_mutex_destroy(&s->mutex);
    release(s);
    done(ctx);
}

static void on_wake(uv_async_t *h)
{
    struct store *s = container_of(h, struct store, wake_loop);
    uv_mutex_lock(&s->mutex);
    uint64_t stored = s->stats.stored_seq;
    enum store_state state = s->stats.state;
    struct fail why = s->why;
    bool over = s->closing && s->exited;
    uv_mutex_unlock(&s->mutex);
    if (stored > s->told_seq) {
        s->told_seq = stored;
        s->conf.stored(s->conf.ctx, stored);
    }
    if (state != s->told_state) {
        s->told_state = state;
        s->conf.state(s->conf.ctx, state, state == STORE_OK ? NULL : &why);
    }
    if (!over || uv_is_closing((uv_handle_t *)h))
        return;
    must(uv_thread_join(&s->thread) == 0);
    uv_close((uv_handle_t *)h, on_closed);
}

int store_start(struct store *s, uv_loop_t *loop, struct fail *f)
{
    must(!s->started);
    s->loop = loop;
    s->pruned_ms = now_ms() - PRUNE_EVERY_MS;
    if (uv_mutex_init(&s->mutex) != 0)
        return fail(f, RC_NO_MEMORY, "store: no mutex");
    if (uv_cond_init(&s->wake_thread) != 0) {
        uv_mutex_destroy(&s->mutex);
        return fail(f, RC_NO_MEMORY, "store: no condition");
    }
    /* The thread waits for the lock until its way back is there. */
    uv_mutex_lock(&s->mutex);
    int rc = uv_thread_create(&s->thread, run_thread, s);
    if (rc == 0)
        must(uv_async_init(loop, &s->wake_loop, on_wake) == 0);
    s->started = rc == 0;
    uv_mutex_unlock(&s->mutex);
    if (rc == 0)
        return 0;
    uv_cond_destroy(&s->wake_thread);
    uv_mutex_destroy(&s->mutex);
    return fail(f, RC_NO_MEMORY, "store: no thread: %s", uv_strerror(rc));
}

int store_append(struct store *s, uint64_t seq, int64_t wall_ms_now,
                 struct span body, struct fail *f)
{
    must(s->started);
    struct packed head = {seq, wall_ms_now, body.n};
    int rc = 0;
    if (body.n > JOURNAL_BODY_MAX)
        return fail(f, RC_TOO_LARGE, "journal row of %zu bytes", body.n);
    uv_mutex_lock(&s->mutex);
    must(seq == s->last_seq + 1 && !s->closing);
    size_t bytes = sizeof head + body.n;
    if (s->stats.state == STORE_POISONED) {
        rc = RC_BROKEN;
    } else if (s->queued >= s->conf.queue_rows_max ||
               bytes > QUEUE_BYTES_MAX - s->queued_bytes) {
        rc = RC_LIMIT;
    } else {
        size_t before = s->pending.n;
        buf_put(&s->pending, span_of(&head, sizeof head));
        buf_put(&s->pending, body);
        if (!buf_ok(&s->pending)) {
            s->pending.n = before;
            s->pending.failed = false;
            rc = RC_NO_MEMORY;
        }
    }
    if (rc == 0) {
        s->queued++;
        s->queued_bytes += bytes;
        s->last_seq = seq;
        uv_cond_signal(&s->wake_thread);
    }
    uv_mutex_unlock(&s->mutex);
    return rc == 0 ? 0 : fail(f, rc, "store: %s", rc_word(rc));
}

void store_logged(struct store *s, uint64_t seq)
{
    uv_mutex_lock(&s->mutex);
    bool was_waiting = s->logged_seq <= s->stats.folded_seq;
    if (seq > s->logged_seq)
        s->logged_seq = seq;
    if (was_waiting)
        uv_cond_signal(&s->wake_thread); /* to start its idle wait */
    uv_mutex_unlock(&s->mutex);
}

void store_stats_get(struct store *s, struct store_stats *ret)
{
    if (!s->started) {
        *ret = s->stats;
        return;
    }
    uv_mutex_lock(&s->mutex);
    *ret = s->stats;
    ret->queued = s->queued;
    uv_mutex_unlock(&s->mutex);
}

void store_close(struct store *s, void (*done)(void *ctx), void *ctx)
{
    must(s->started);
    s->closed = done;
    s->closed_ctx = ctx;
    uv_mutex_lock(&s->mutex);
    must(!s->closing);
    s->closing = true;
    uv_cond_signal(&s->wake_thread);
    uv_mutex_unlock(&s->mutex);
    /* A thread that ended early has nothing more to say by itself. */
    ignore_rc(uv_async_send(&s->wake_loop));
}

void store_free(struct store *s)
{
    if (s == NULL)
        return;
    must(!s->started);
    release(s);
}
