// SPDX-License-Identifier: Apache-2.0
/*
 *       append (seq, line)  turn ends     take        write(2)     fdatasync
 *   loop --------> staged ----> pending ----> batch --------> file ------> disk
 *         <------------------------------------- written ----- synced (async)
 *
 * append already forms the line, so that a batch is written as it lies in the
 * buffer. Before the loop sleeps, all lines of its turn go over together: one
 * lock and one wake-up, however many questions one read has brought. A
 * checkpoint is signed only over synced lines: it must never promise a line
 * that a power cut takes away. A failed write or sync latches: after a failed
 * fsync the next one may succeed with the data gone.
 */
#include "sidecar/io/decision_log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sidecar/base/list.h"
#include "sidecar/io/checkpoint.h"
#include "sidecar/io/decision_log_open.h"
#include "sidecar/io/file.h"
#include "sidecar/io/key_file.h"

#define SPACE_MS 200 /* between tries on a full disk */
#define FSYNC_MS 50
#define CHECKPOINT_MS 1000
#define ROTATE_BYTES (64ull * 1024 * 1024)
#define QUEUE_BYTES_MAX (16u * 1024 * 1024)
#define KEEP_BATCH_BYTES (1024 * 1024) /* larger buffers are given back */
#define STATE_LINES 65536              /* between two saves of the tree */
#define NEVER UINT64_MAX
#define DRAIN_IDLE_MS_MAX 5000 /* nothing is written any more */

struct decision_log {
    struct decision_log_conf conf;
    struct note_key *key;
    int lock_fd;
    bool started;
    uv_async_t wake_loop;
    uv_thread_t thread;
    uv_mutex_t mutex;
    uv_cond_t wake_thread;

    /* Under the mutex. */
    struct buf pending;
    size_t batch_bytes; /* at work */
    uint64_t last_ticket;
    bool want_checkpoint, want_reopen, closing, exited, full;
    uint64_t written_ticket, synced_ticket;
    struct decision_log_stats stats;
    struct fail why;

    /* The thread's. */
    struct buf batch;
    struct log_tail tail;
    uint64_t batch_ticket;
    uint64_t unsynced_ms; /* time of the oldest unsynced write, or NEVER */
    uint64_t signed_ms;   /* time of the last checkpoint */
    uint64_t saved_size;  /* tree size in the `tree` file */
    bool checkpoint_asked;

    /* The loop's. */
    uv_prepare_t turn_ends;
    struct buf staged;
    uint64_t next_seq, staged_ticket;
    size_t handed_bytes; /* pending and batch at the last hand-over */
    bool staged_checkpoint;
    unsigned handles;
    uint64_t told_written, told_synced;
    bool told_broken, told_full;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static uint64_t now_ms(void)
{
    return uv_hrtime() / 1000000;
}

/* ---- opening ---- */

static int keep_conf(struct decision_log *l,
                     const struct decision_log_conf *conf, struct fail *f)
{
    l->conf = *conf;
    l->conf.key_file = l->conf.origin = span_of(NULL, 0);
    l->conf.dir.p = mem_copy(mem_system(), conf->dir);
    if (l->conf.dir.p == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for the decision log");
    if (l->conf.fsync_ms == 0)
        l->conf.fsync_ms = FSYNC_MS;
    if (l->conf.checkpoint_ms == 0)
        l->conf.checkpoint_ms = CHECKPOINT_MS;
    if (l->conf.rotate_bytes == 0)
        l->conf.rotate_bytes = ROTATE_BYTES;
    if (l->conf.queue_bytes_max == 0)
        l->conf.queue_bytes_max = QUEUE_BYTES_MAX;
    buf_init(&l->pending, mem_system(), l->conf.queue_bytes_max);
    buf_init(&l->batch, mem_system(), l->conf.queue_bytes_max);
    buf_init(&l->staged, mem_system(), l->conf.queue_bytes_max);
    return 0;
}

static int read_key(struct decision_log *l,
                    const struct decision_log_conf *conf, struct fail *f)
{
    unsigned char seed[KEY_FILE_BYTES];
    TRY(key_file_read(conf->key_file, seed, f));
    int rc = note_key_new(seed, conf->origin, &l->key, f);
    mem_wipe(seed, sizeof seed);
    return rc;
}

static int lock_dir(struct decision_log *l, struct fail *f)
{
    char path[FILE_PATH_MAX];
    TRY(file_path(path, l->conf.dir, "", f));
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return fail(f, file_rc(errno), "mkdir %s: %s", path,
                    strerrordesc_np(errno));
    TRY(file_check_dir(l->conf.dir, f));
    return file_lock(l->conf.dir, &l->lock_fd, f);
}

int decision_log_open(const struct decision_log_conf *conf,
                      struct decision_log **ret,
                      struct journal_logged *ret_logged, struct fail *f)
{
    struct decision_log *l = mem_alloc(mem_system(), sizeof *l);
    if (l == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for the decision log");
    l->lock_fd = l->tail.fd = -1;
    l->unsynced_ms = NEVER;
    int rc = keep_conf(l, conf, f);
    if (rc == 0)
        rc = read_key(l, conf, f);
    if (rc == 0)
        rc = lock_dir(l, f);
    if (rc == 0)
        rc = log_recover(l->conf.dir, l->key, &l->tail, f);
    if (rc < 0) {
        decision_log_free(l);
        return fail_wrap(f, "decision log");
    }
    l->next_seq = l->tail.state.tree.size + 1;
    l->stats.lines = l->tail.state.tree.size;
    l->stats.size_signed = l->tail.signed_size;
    *ret_logged = l->tail.state.logged;
    *ret = l;
    return 0;
}

/* ---- the thread ---- */

static void set_synced(struct decision_log *l)
{
    uv_mutex_lock(&l->mutex);
    l->synced_ticket = l->written_ticket;
    uv_mutex_unlock(&l->mutex);
    ignore_rc(uv_async_send(&l->wake_loop)); /* fails only on a closed handle */
}

static int sync_file(struct decision_log *l, struct fail *f)
{
    if (l->unsynced_ms == NEVER)
        return 0;
    if (fdatasync(l->tail.fd) != 0)
        return fail(f, RC_BROKEN, "fdatasync: %s", strerrordesc_np(errno));
    l->unsynced_ms = NEVER;
    set_synced(l);
    return 0;
}

static int save_state(struct decision_log *l, struct fail *f)
{
    TRY(log_state_save(l->conf.dir, &l->tail.state, f));
    l->saved_size = l->tail.state.tree.size;
    return 0;
}

/* Signs what is synced under `checkpoint`, and under `also` if not NULL. */
static int sign_tree(struct decision_log *l, const char *also, struct fail *f)
{
    const struct merkle *t = &l->tail.state.tree;
    struct merkle_hash root;
    struct buf note;
    merkle_root(t, tree_hash_node, &root);
    buf_init(&note, mem_system(), CHECKPOINT_BYTES_MAX);
    int rc = checkpoint_sign(l->key, t->size, &root, &note, f);
    if (rc == 0)
        rc = file_replace(l->conf.dir, "checkpoint", buf_span(&note), 0600, f);
    if (rc == 0 && also != NULL)
        rc = file_replace(l->conf.dir, also, buf_span(&note), 0600, f);
    buf_fini(&note);
    if (rc < 0)
        return fail_wrap(f, "checkpoint");
    l->signed_ms = now_ms();
    l->checkpoint_asked = false;
    l->tail.signed_size = t->size;
    uv_mutex_lock(&l->mutex);
    l->stats.size_signed = t->size;
    uv_mutex_unlock(&l->mutex);
    return t->size - l->saved_size >= STATE_LINES ? save_state(l, f) : 0;
}

static int make_checkpoint(struct decision_log *l, struct fail *f)
{
    if (l->tail.state.tree.size == l->tail.signed_size)
        return 0;
    TRY(sync_file(l, f));
    return sign_tree(l, NULL, f);
}

static int close_file(struct decision_log *l, struct fail *f)
{
    int fd = l->tail.fd;
    l->tail.fd = -1;
    if (close(fd) != 0)
        return fail(f, RC_BROKEN, "close: %s", strerrordesc_np(errno));
    return 0;
}

/* A new file, named by the line that comes next. */
static int begin_file(struct decision_log *l, struct fail *f)
{
    char path[FILE_PATH_MAX], name[LOG_FILE_NAME_BYTES];
    struct log_state *s = &l->tail.state;
    log_file_name(name, s->tree.size + 1, "jsonl");
    TRY(file_path(path, l->conf.dir, name, f));
    l->tail.fd =
        open(path, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (l->tail.fd < 0)
        return fail(f, file_rc(errno), "create %s: %s", path,
                    strerrordesc_np(errno));
    s->file_first = s->tree.size + 1;
    s->file_offset = 0;
    return file_sync_dir(l->conf.dir, f);
}

/* Ends the current file with a checkpoint of its own, kept for good, so that
 * copies of old files can be compared later. */
static int end_file(struct decision_log *l, struct fail *f)
{
    char name[LOG_FILE_NAME_BYTES];
    log_file_name(name, l->tail.state.file_first, "checkpoint");
    TRY(sync_file(l, f));
    TRY(sign_tree(l, name, f));
    TRY(save_state(l, f));
    return close_file(l, f);
}

static int hash_lines(struct decision_log *l, uint64_t *ret_lines)
{
    struct span rest = buf_span(&l->batch);
    struct log_state *s = &l->tail.state;
    struct merkle_hash leaf;
    struct log_line head;
    for (*ret_lines = 0; rest.n > 0; (*ret_lines)++) {
        size_t n = span_find(rest, '\n', 0);
        struct span line = span_sub(rest, 0, n);
        must(n < rest.n && log_line_read(line, &head));
        must(head.seq == s->tree.size + 1);
        tree_hash_leaf(line, &leaf);
        merkle_add(&s->tree, tree_hash_node, &leaf);
        journal_logged_note(&s->logged, head.input);
        rest = span_sub(rest, n + 1, rest.n);
    }
    return 0;
}

static void batch_written(struct decision_log *l, uint64_t lines)
{
    size_t bytes = l->batch.n;
    l->tail.state.file_offset += bytes;
    if (l->unsynced_ms == NEVER)
        l->unsynced_ms = now_ms();
    if (l->batch.cap > KEEP_BATCH_BYTES)
        buf_fini(&l->batch);
    buf_clear(&l->batch);
    uv_mutex_lock(&l->mutex);
    l->batch_bytes = 0;
    l->written_ticket = l->batch_ticket;
    l->stats.lines += lines;
    l->stats.bytes += bytes;
    uv_mutex_unlock(&l->mutex);
    ignore_rc(uv_async_send(&l->wake_loop));
}

static int write_batch(struct decision_log *l, struct fail *f)
{
    uint64_t lines, at = l->tail.state.file_offset;
    if (l->tail.fd >= 0 && at > 0 && at + l->batch.n > l->conf.rotate_bytes)
        TRY(end_file(l, f));
    if (l->tail.fd < 0)
        TRY(begin_file(l, f));
    TRY(file_write_all(l->tail.fd, buf_span(&l->batch), f));
    TRY(hash_lines(l, &lines));
    batch_written(l, lines);
    return 0;
}

/* The file may have been moved away: then a new one begins. */
static int reopen(struct decision_log *l, struct fail *f)
{
    char path[FILE_PATH_MAX], name[LOG_FILE_NAME_BYTES];
    struct stat st;
    if (l->tail.fd < 0)
        return 0;
    log_file_name(name, l->tail.state.file_first, "jsonl");
    TRY(file_path(path, l->conf.dir, name, f));
    if (stat(path, &st) != 0) {
        TRY(end_file(l, f));
        return begin_file(l, f);
    }
    TRY(sync_file(l, f));
    TRY(close_file(l, f));
    l->tail.fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    if (l->tail.fd < 0 || fstat(l->tail.fd, &st) != 0)
        return fail(f, RC_IO, "open %s: %s", path, strerrordesc_np(errno));
    if ((uint64_t)st.st_size != l->tail.state.file_offset)
        return fail(f, RC_BROKEN, "%s was changed by somebody else", path);
    return 0;
}

static uint64_t checkpoint_due(const struct decision_log *l)
{
    if (l->tail.state.tree.size == l->tail.signed_size)
        return NEVER;
    uint64_t gap = l->conf.checkpoint_ms;
    if (l->checkpoint_asked && l->conf.fsync_ms < gap)
        gap = l->conf.fsync_ms; /* at once, but not more often than this */
    return l->signed_ms + gap;
}

static uint64_t sync_due(const struct decision_log *l)
{
    return l->unsynced_ms == NEVER ? NEVER : l->unsynced_ms + l->conf.fsync_ms;
}

/* Waits until there is something to do; false when it is time to end. */
static bool next_work(struct decision_log *l, bool *ret_reopen)
{
    uint64_t a = checkpoint_due(l), b = sync_due(l), due = a < b ? a : b, now;
    uv_mutex_lock(&l->mutex);
    while (l->pending.n == 0 && !l->closing && !l->want_reopen &&
           (now = now_ms()) < due) {
        if (due == NEVER)
            uv_cond_wait(&l->wake_thread, &l->mutex);
        else
            ignore_rc(uv_cond_timedwait(&l->wake_thread, &l->mutex,
                                        (due - now) * 1000000));
    }
    bool go_on = l->pending.n > 0 || !l->closing;
    struct buf swap = l->batch;
    l->batch = l->pending;
    l->pending = swap;
    l->batch_bytes = l->batch.n;
    l->batch_ticket = l->last_ticket;
    l->checkpoint_asked = l->checkpoint_asked || l->want_checkpoint;
    l->want_checkpoint = false;
    *ret_reopen = l->want_reopen;
    l->want_reopen = false;
    uv_mutex_unlock(&l->mutex);
    return go_on;
}

static int work(struct decision_log *l, bool want_reopen, struct fail *f)
{
    if (want_reopen)
        TRY(reopen(l, f));
    if (l->batch.n > 0)
        TRY(write_batch(l, f));
    if (now_ms() >= sync_due(l))
        TRY(sync_file(l, f));
    if (now_ms() >= checkpoint_due(l))
        TRY(make_checkpoint(l, f));
    return 0;
}

static int wind_up(struct decision_log *l, struct fail *f)
{
    TRY(sync_file(l, f));
    TRY(make_checkpoint(l, f));
    if (l->tail.state.tree.size > 0 && l->saved_size != l->tail.state.tree.size)
        TRY(save_state(l, f));
    return file_sync_dir(l->conf.dir, f);
}

static void tell_full(struct decision_log *l, bool full, const struct fail *f)
{
    uv_mutex_lock(&l->mutex);
    bool news = l->full != full;
    l->full = full;
    if (news && full)
        l->why = *f;
    uv_mutex_unlock(&l->mutex);
    if (news)
        ignore_rc(uv_async_send(&l->wake_loop)); /* as in set_synced */
}

/* What a full disk left of a line, so that the work can be done again. */
static int cut_half_line(struct decision_log *l, struct fail *f)
{
    if (l->tail.fd >= 0 &&
        ftruncate(l->tail.fd, (off_t)l->tail.state.file_offset) != 0)
        return fail(f, RC_BROKEN, "cut: %s", strerrordesc_np(errno));
    return 0;
}

/* False when the next try must be the last. */
static bool wait_for_space(struct decision_log *l)
{
    uint64_t end = now_ms() + SPACE_MS, now;
    uv_mutex_lock(&l->mutex);
    while (!l->closing && (now = now_ms()) < end)
        ignore_rc(uv_cond_timedwait(&l->wake_thread, &l->mutex,
                                    (end - now) * 1000000));
    bool go_on = !l->closing;
    uv_mutex_unlock(&l->mutex);
    return go_on;
}

static void run_thread(void *arg)
{
    struct decision_log *l = arg;
    struct fail f = {0};
    bool want_reopen;
    int rc = 0;
    while (rc == 0 && next_work(l, &want_reopen)) {
        bool last = false;
        while ((rc = work(l, want_reopen, &f)) == RC_NO_SPACE && !last) {
            tell_full(l, true, &f);
            if ((rc = cut_half_line(l, &f)) < 0)
                break;
            last = !wait_for_space(l);
        }
        if (rc == 0)
            tell_full(l, false, NULL);
    }
    if (rc == 0)
        rc = wind_up(l, &f);
    uv_mutex_lock(&l->mutex);
    if (rc < 0) {
        l->stats.broken = true;
        l->why = f;
    }
    l->exited = true;
    uv_mutex_unlock(&l->mutex);
    ignore_rc(uv_async_send(&l->wake_loop));
}

/* ---- the loop ---- */

static void release(struct decision_log *l)
{
    if (l->tail.fd >= 0)
        ignore_rc(close(l->tail.fd)); /* synced, or broken and said so */
    if (l->lock_fd >= 0)
        ignore_rc(close(l->lock_fd)); /* only the lock is on it */
    buf_fini(&l->pending);
    buf_fini(&l->batch);
    buf_fini(&l->staged);
    note_key_free(l->key);
    mem_release(mem_system(), (void *)(uintptr_t)l->conf.dir.p);
    mem_release(mem_system(), l);
}

static void on_closed(uv_handle_t *h)
{
    struct decision_log *l = h->data;
    if (--l->handles > 0)
        return;
    void (*done)(void *) = l->closed;
    void *ctx = l->closed_ctx;
    uv_cond_destroy(&l->wake_thread);
    uv_mutex_destroy(&l->mutex);
    release(l);
    done(ctx);
}

static void on_wake(uv_async_t *h)
{
    struct decision_log *l = container_of(h, struct decision_log, wake_loop);
    uv_mutex_lock(&l->mutex);
    uint64_t written = l->written_ticket, synced = l->synced_ticket;
    bool broken = l->stats.broken, over = l->closing && l->exited;
    bool full = l->full && !broken;
    struct fail why = l->why;
    uv_mutex_unlock(&l->mutex);
    if (written > l->told_written) {
        l->told_written = written;
        l->conf.written(l->conf.ctx, written);
    }
    if (synced > l->told_synced) {
        l->told_synced = synced;
        l->conf.synced(l->conf.ctx, synced);
    }
    if (full != l->told_full && l->conf.full != NULL)
        l->conf.full(l->conf.ctx, full ? &why : NULL);
    l->told_full = full;
    if (broken && !l->told_broken) {
        l->told_broken = true;
        l->conf.broken(l->conf.ctx, &why);
    }
    if (!over || uv_is_closing((uv_handle_t *)h))
        return;
    must(uv_thread_join(&l->thread) == 0);
    uv_close((uv_handle_t *)h, on_closed);
    uv_close((uv_handle_t *)&l->turn_ends, on_closed);
}

/* Adds what is staged to `pending`; the lock is held. The limits were checked
 * when the lines came; without memory they wait for the next turn. */
static bool move_staged(struct decision_log *l)
{
    if (l->pending.n == 0) {
        struct buf swap = l->pending;
        l->pending = l->staged;
        l->staged = swap;
    } else {
        size_t before = l->pending.n;
        buf_put(&l->pending, buf_span(&l->staged));
        if (!buf_ok(&l->pending)) {
            l->pending.n = before;
            l->pending.failed = false;
            return false;
        }
    }
    buf_clear(&l->staged);
    l->last_ticket = l->staged_ticket;
    l->want_checkpoint = l->want_checkpoint || l->staged_checkpoint;
    l->staged_checkpoint = false;
    return true;
}

static void hand_over(struct decision_log *l)
{
    if (l->staged.n == 0)
        return;
    uv_mutex_lock(&l->mutex);
    bool idle = l->pending.n == 0;
    bool moved = move_staged(l);
    l->handed_bytes = l->pending.n + l->batch_bytes;
    uv_mutex_unlock(&l->mutex);
    if (idle && moved)
        uv_cond_signal(&l->wake_thread);
    if (l->staged.cap > KEEP_BATCH_BYTES && l->staged.n == 0)
        buf_fini(&l->staged);
}

static void on_turn_ends(uv_prepare_t *h)
{
    hand_over(container_of(h, struct decision_log, turn_ends));
}

static void open_handles(struct decision_log *l, uv_loop_t *loop)
{
    must(uv_async_init(loop, &l->wake_loop, on_wake) == 0);
    must(uv_prepare_init(loop, &l->turn_ends) == 0);
    must(uv_prepare_start(&l->turn_ends, on_turn_ends) == 0);
    uv_unref((uv_handle_t *)&l->turn_ends);
    l->wake_loop.data = l->turn_ends.data = l;
    l->handles = 2;
}

int decision_log_start(struct decision_log *l, uv_loop_t *loop, struct fail *f)
{
    must(!l->started);
    l->signed_ms = now_ms();
    if (uv_mutex_init(&l->mutex) != 0)
        return fail(f, RC_NO_MEMORY, "decision log: no mutex");
    if (uv_cond_init(&l->wake_thread) != 0) {
        uv_mutex_destroy(&l->mutex);
        return fail(f, RC_NO_MEMORY, "decision log: no condition");
    }
    /* The thread waits for the lock until its way back is there. */
    uv_mutex_lock(&l->mutex);
    int rc = uv_thread_create(&l->thread, run_thread, l);
    if (rc == 0)
        open_handles(l, loop);
    l->started = rc == 0;
    uv_mutex_unlock(&l->mutex);
    if (rc == 0)
        return 0;
    uv_cond_destroy(&l->wake_thread);
    uv_mutex_destroy(&l->mutex);
    return fail(f, RC_NO_MEMORY, "decision log: no thread: %s",
                uv_strerror(rc));
}

/* What of a record would break the file's form. */
static int check_tail(struct span tail, struct fail *f)
{
    if (tail.n > LOG_LINE_BYTES_MAX - LOG_LINE_HEAD_MAX)
        return fail(f, RC_TOO_LARGE, "log record of %zu bytes", tail.n);
    if (tail.n < 2 || tail.p[tail.n - 1] != '}' || tail.p[0] != '"' ||
        span_find(tail, '\n', 0) != tail.n)
        return fail(f, RC_INVALID, "log record is not the rest of an object");
    return 0;
}

/* The queue only shrinks without us, so what it held at the last hand-over is
 * asked again only when that would be too much. */
static int check_room(struct decision_log *l, size_t bytes)
{
    if (l->told_broken)
        return RC_BROKEN;
    if (l->staged.n + l->handed_bytes + bytes <= l->conf.queue_bytes_max)
        return 0;
    uv_mutex_lock(&l->mutex);
    l->handed_bytes = l->pending.n + l->batch_bytes;
    bool broken = l->stats.broken;
    uv_mutex_unlock(&l->mutex);
    if (broken)
        return RC_BROKEN;
    return l->staged.n + l->handed_bytes + bytes <= l->conf.queue_bytes_max
               ? 0
               : RC_LIMIT;
}

static int stage(struct decision_log *l, struct span tail)
{
    size_t before = l->staged.n;
    buf_put(&l->staged, SPAN("{\"v\":1,\"seq\":"));
    buf_put_dec(&l->staged, l->next_seq);
    buf_put_u8(&l->staged, ',');
    buf_put(&l->staged, tail);
    buf_put_u8(&l->staged, '\n');
    if (buf_ok(&l->staged))
        return 0;
    l->staged.n = before;
    l->staged.failed = false;
    return RC_NO_MEMORY;
}

int decision_log_append(struct decision_log *l, uint64_t ticket,
                        struct span tail, bool checkpoint, struct fail *f)
{
    must(l->started && !l->closing);
    must(ticket >= l->staged_ticket);
    TRY(check_tail(tail, f));
    int rc = check_room(l, LOG_LINE_HEAD_MAX + tail.n);
    if (rc == 0)
        rc = stage(l, tail);
    if (rc < 0)
        return fail(f, rc, "decision log: %s", rc_word(rc));
    l->next_seq++;
    l->staged_ticket = ticket;
    l->staged_checkpoint = l->staged_checkpoint || checkpoint;
    return 0;
}

void decision_log_drain(struct decision_log *l)
{
    struct decision_log_stats s;
    uint32_t before, idle_ms = 0;
    decision_log_stats_get(l, &s);
    do {
        before = s.queued_bytes;
        hand_over(l);
        uv_sleep(1);
        decision_log_stats_get(l, &s);
        idle_ms = s.queued_bytes == before ? idle_ms + 1 : 0;
    } while (s.queued_bytes > 0 && !s.broken && idle_ms < DRAIN_IDLE_MS_MAX);
}

void decision_log_reopen(struct decision_log *l)
{
    must(l->started);
    hand_over(l);
    uv_mutex_lock(&l->mutex);
    l->want_reopen = true;
    uv_cond_signal(&l->wake_thread);
    uv_mutex_unlock(&l->mutex);
}

void decision_log_stats_get(struct decision_log *l,
                            struct decision_log_stats *ret)
{
    if (!l->started) {
        *ret = l->stats;
        return;
    }
    uv_mutex_lock(&l->mutex);
    *ret = l->stats;
    ret->queued_bytes = (uint32_t)(l->staged.n + l->pending.n + l->batch_bytes);
    uv_mutex_unlock(&l->mutex);
}

void decision_log_close(struct decision_log *l, void (*done)(void *ctx),
                        void *ctx)
{
    must(l->started);
    l->closed = done;
    l->closed_ctx = ctx;
    hand_over(l);
    uv_mutex_lock(&l->mutex);
    must(!l->closing);
    l->closing = true;
    uv_cond_signal(&l->wake_thread);
    uv_mutex_unlock(&l->mutex);
    ignore_rc(uv_async_send(&l->wake_loop)); /* the thread may have ended */
}

void decision_log_free(struct decision_log *l)
{
    if (l == NULL)
        return;
    must(!l->started);
    release(l);
}
