// SPDX-License-Identifier: Apache-2.0
/*
 * The decision log: numbers without gaps, tickets in order, torn tails cut and
 * every other damage refused with its place (reliability F3, T12, P12), errors
 * latched (F1, F2).
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sidecar/io/checkpoint.h"
#include "sidecar/io/decision_log.h"
#include "sidecar/io/decision_log_files.h"
#include "sidecar/io/file.h"
#include "sidecar/io/key_file.h"
#include "tests/lib/check.h"
#include "tests/lib/iofault.h"
#include "tests/lib/tmp_dir.h"

#define WAIT_MS 60000 /* for what comes at once on an idle machine */

struct bench {
    uv_loop_t loop;
    struct decision_log *l;
    uint64_t written, synced, sent, full_told;
    struct journal_logged logged;
    bool broken, closed;
    struct fail why;
    int ack_fd;
};

static void on_written(void *ctx, uint64_t upto)
{
    struct bench *b = ctx;
    CHECK(upto > b->written && upto <= b->sent);
    b->written = upto;
    if (b->ack_fd >= 0)
        CHECK(write(b->ack_fd, &upto, sizeof upto) == sizeof upto);
}

static void on_synced(void *ctx, uint64_t upto)
{
    struct bench *b = ctx;
    CHECK(upto > b->synced && upto <= b->written);
    b->synced = upto;
}

static void on_broken(void *ctx, const struct fail *f)
{
    struct bench *b = ctx;
    CHECK(!b->broken);
    b->broken = true;
    b->why = *f;
}

static void on_closed(void *ctx)
{
    struct bench *b = ctx;
    b->closed = true;
}

/* The log lives in dir/log, its key beside it. */
static void make_key(const struct tmp_dir *d)
{
    unsigned char seed[KEY_FILE_BYTES];
    struct fail f;
    CHECK_OK(key_file_make(tmp_dir_span(d), "log.key", seed, &f), &f);
}

static int open_conf(struct bench *b, const struct tmp_dir *d,
                     struct decision_log_conf conf)
{
    char dir[256], key[256];
    memset(b, 0, sizeof *b);
    b->ack_fd = -1;
    (void)snprintf(dir, sizeof dir, "%s/log", d->path);
    (void)snprintf(key, sizeof key, "%s/log.key", d->path);
    conf.dir = span_str(dir);
    conf.key_file = span_str(key);
    if (conf.origin.n == 0)
        conf.origin = SPAN("bailiff/test");
    conf.written = on_written;
    conf.synced = on_synced;
    conf.broken = on_broken;
    conf.ctx = b;
    return decision_log_open(&conf, &b->l, &b->logged, &b->why);
}

static void open_started(struct bench *b, const struct tmp_dir *d,
                         struct decision_log_conf conf)
{
    CHECK_OK(open_conf(b, d, conf), &b->why);
    CHECK_INT(uv_loop_init(&b->loop), 0);
    CHECK_OK(decision_log_start(b->l, &b->loop, &b->why), &b->why);
}

static int append(struct bench *b, bool checkpoint, struct fail *f)
{
    char tail[256];
    int n = snprintf(tail, sizeof tail,
                     "\"input\":%llu,\"kind\":\"gate\",\"outcome\":\"allow\"}",
                     (unsigned long long)(b->logged.row + b->sent + 1));
    b->sent++;
    int rc = decision_log_append(b->l, b->sent, span_of(tail, (size_t)n),
                                 checkpoint, f);
    b->sent -= rc < 0;
    return rc;
}

static void append_many(struct bench *b, unsigned n)
{
    struct fail f;
    for (unsigned i = 0; i < n; i++)
        CHECK_OK(append(b, false, &f), &f);
}

static void run_until(struct bench *b, const uint64_t *value, uint64_t want)
{
    uint64_t end = uv_hrtime() + WAIT_MS * UINT64_C(1000000);
    while (*value < want && !b->broken && uv_hrtime() < end) {
        (void)uv_run(&b->loop, UV_RUN_NOWAIT);
        (void)usleep(200);
    }
    CHECK_OK(b->broken ? RC_BROKEN : 0, &b->why);
    CHECK_UINT(*value, want);
}

static void close_bench(struct bench *b)
{
    decision_log_close(b->l, on_closed, b);
    (void)uv_run(&b->loop, UV_RUN_DEFAULT);
    CHECK(b->closed);
    CHECK_INT(uv_loop_close(&b->loop), 0);
}

/* Writes `n` lines in batches of 3 and closes. */
static void fill(const struct tmp_dir *d, unsigned n,
                 struct decision_log_conf conf)
{
    struct bench b;
    open_started(&b, d, conf);
    for (unsigned i = 0; i < n; i += 3) {
        append_many(&b, n - i < 3 ? n - i : 3);
        run_until(&b, &b.written, b.sent);
    }
    close_bench(&b);
    CHECK_UINT(b.synced, n);
}

static struct span slurp(const struct tmp_dir *d, const char *name)
{
    struct span s;
    struct fail f;
    CHECK_OK(file_read(mem_system(), tmp_dir_file(d, name), 1 << 26, &s, &f),
             &f);
    return s;
}

static void drop(struct span s)
{
    mem_release(mem_system(), (void *)(uintptr_t)s.p);
}

static void put(const struct tmp_dir *d, const char *name, struct span s)
{
    char dir[256];
    struct fail f;
    (void)snprintf(dir, sizeof dir, "%s/log", d->path);
    CHECK_OK(file_replace(span_str(dir), name, s, 0600, &f), &f);
}

static void numbers_go_on(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct bench b;
    struct decision_log_stats stats;
    const struct decision_log_conf conf = {.rotate_bytes = 500};
    tmp_dir_make(&d);
    make_key(&d);
    fill(&d, 20, conf);
    fill(&d, 21, conf);
    CHECK_OK(open_conf(&b, &d, conf), &b.why);
    CHECK_UINT(b.logged.row, 41);
    decision_log_stats_get(b.l, &stats);
    CHECK_UINT(stats.lines, 41);
    CHECK_UINT(stats.size_signed, 41);
    decision_log_free(b.l);

    struct log_files files;
    struct log_line head;
    struct span line;
    uint64_t next = 1;
    char dir[256], name[LOG_FILE_NAME_BYTES], path[FILE_PATH_MAX];
    (void)snprintf(dir, sizeof dir, "%s/log", d.path);
    CHECK_OK(log_files_list(span_str(dir), &files, &b.why), &b.why);
    CHECK(files.count > 3);
    for (size_t i = 0; i < files.count; i++) {
        struct log_reader r;
        CHECK_UINT(files.first[i], next);
        log_file_name(name, next, "jsonl");
        CHECK_OK(file_path(path, span_str(dir), name, &b.why), &b.why);
        CHECK_OK(log_reader_open(&r, path, 0, &b.why), &b.why);
        while (log_reader_next(&r, &line, &b.why) == 1) {
            CHECK(log_line_read(line, &head));
            CHECK_UINT(head.seq, next);
            CHECK_UINT(head.input, next);
            next++;
        }
        CHECK_UINT(log_reader_torn(&r), 0);
        log_reader_close(&r);
        if (i + 1 < files.count) { /* a full file keeps its checkpoint */
            log_file_name(name, files.first[i], "checkpoint");
            CHECK_OK(file_path(path, span_str(dir), name, &b.why), &b.why);
            CHECK_INT(access(path, R_OK), 0);
        }
    }
    CHECK_UINT(next, 42);
    log_files_fini(&files);
    tmp_dir_drop(&d);
}

static void checkpoint_on_request(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct bench b;
    struct fail f;
    struct decision_log_stats stats = {0};
    struct checkpoint c;
    const struct decision_log_conf conf = {.fsync_ms = 5,
                                           .checkpoint_ms = 60000};
    tmp_dir_make(&d);
    make_key(&d);
    open_started(&b, &d, conf);
    append_many(&b, 4);
    run_until(&b, &b.synced, 4);
    decision_log_stats_get(b.l, &stats);
    CHECK_UINT(stats.size_signed, 0);
    CHECK_OK(append(&b, true, &f), &f);
    for (int i = 0; i < WAIT_MS && stats.size_signed < 5; i++) {
        (void)uv_run(&b.loop, UV_RUN_NOWAIT); /* lines go over */
        (void)usleep(1000);
        decision_log_stats_get(b.l, &stats);
    }
    CHECK_UINT(stats.size_signed, 5);
    struct span note = slurp(&d, "log/checkpoint");
    CHECK_OK(checkpoint_read(note, &c, &f), &f);
    CHECK_UINT(c.size, 5);
    CHECK_STR(c.origin, "bailiff/test");
    drop(note);
    close_bench(&b);
    tmp_dir_drop(&d);
}

static void bad_records_are_refused(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct bench b;
    struct fail f;
    static char big[LOG_LINE_BYTES_MAX];
    static const char *const bad[] = {"", "}", "\"a\":1", "\"a\":\n1}",
                                      "{\"a\":1}"};
    tmp_dir_make(&d);
    make_key(&d);
    open_started(&b, &d, (struct decision_log_conf){.queue_bytes_max = 70000});
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        CHECK_INT(decision_log_append(b.l, 0, span_str(bad[i]), false, &f),
                  RC_INVALID);
    memset(big, 'x', sizeof big);
    big[0] = '"';
    big[sizeof big - 1] = '}';
    CHECK_INT(decision_log_append(b.l, 0, span_of(big, sizeof big), false, &f),
              RC_TOO_LARGE);
    big[LOG_LINE_BYTES_MAX - LOG_LINE_HEAD_MAX - 1] = '}';
    struct span most = span_of(big, LOG_LINE_BYTES_MAX - LOG_LINE_HEAD_MAX);
    b.sent = 2;
    CHECK_OK(decision_log_append(b.l, 1, most, false, &f), &f);
    CHECK_INT(decision_log_append(b.l, 2, most, false, &f), RC_LIMIT);
    decision_log_drain(b.l); /* without the loop */
    CHECK_OK(decision_log_append(b.l, 2, most, false, &f), &f);
    run_until(&b, &b.written, 2);
    b.sent = 2;
    append_many(&b, 1); /* there is room again */
    close_bench(&b);
    CHECK_OK(open_conf(&b, &d, (struct decision_log_conf){0}), &b.why);
    struct decision_log_stats stats;
    decision_log_stats_get(b.l, &stats);
    CHECK_UINT(stats.lines, 3);
    decision_log_free(b.l);
    tmp_dir_drop(&d);
}

/* Opens, appends one line, and expects `lines` afterwards. */
static void goes_on_with(const struct tmp_dir *d, uint64_t lines)
{
    struct bench b;
    struct decision_log_stats stats;
    open_started(&b, d, (struct decision_log_conf){0});
    CHECK_UINT(b.logged.row, lines - 1);
    append_many(&b, 1);
    run_until(&b, &b.written, 1);
    decision_log_stats_get(b.l, &stats);
    CHECK_UINT(stats.lines, lines);
    close_bench(&b);
}

static void drop_seals(const struct tmp_dir *d)
{
    ignore_rc(unlink(tmp_dir_file(d, "log/checkpoint")));
    ignore_rc(unlink(tmp_dir_file(d, "log/tree")));
}

static void torn_tail_is_cut(void **state)
{
    (void)state;
    struct tmp_dir d;
    tmp_dir_make(&d);
    make_key(&d);
    fill(&d, 10, (struct decision_log_conf){0});
    struct span all = slurp(&d, "log/00000001.jsonl");
    size_t start = 0;
    for (unsigned i = 0; i < 7; i++)
        start = span_find(all, '\n', start) + 1;
    /* Every byte of the last three records; unsigned, as after a crash. */
    for (size_t n = start; n <= all.n; n++) {
        uint64_t whole = 0;
        for (size_t i = 0; i < n; i++)
            whole += all.p[i] == '\n';
        drop_seals(&d);
        put(&d, "00000001.jsonl", span_sub(all, 0, n));
        goes_on_with(&d, whole + 1);
    }
    drop(all);
    tmp_dir_drop(&d);
}

static void expect_refusal(const struct tmp_dir *d, const char *text)
{
    struct bench b;
    int rc = open_conf(&b, d, (struct decision_log_conf){0});
    CHECK(rc == RC_BROKEN || rc == RC_UNTRUSTED);
    check_row(b.why.text);
    CHECK(strstr(b.why.text, text) != NULL);
    check_row(NULL);
}

static void signed_lines_may_not_go(void **state)
{
    (void)state;
    struct tmp_dir d;
    tmp_dir_make(&d);
    make_key(&d);
    fill(&d, 10, (struct decision_log_conf){0});
    struct span all = slurp(&d, "log/00000001.jsonl");
    put(&d, "00000001.jsonl", span_sub(all, 0, all.n - 1)); /* torn: a line */
    expect_refusal(&d, "the log has 9");
    ignore_rc(unlink(tmp_dir_file(&d, "log/00000001.jsonl")));
    expect_refusal(&d, "the log has 0");
    drop(all);
    tmp_dir_drop(&d);
}

/* Any flipped bit of a signed line is found, by its form or by the root. */
static void flipped_bits_are_found(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct bench b;
    tmp_dir_make(&d);
    make_key(&d);
    fill(&d, 10, (struct decision_log_conf){0});
    ignore_rc(unlink(tmp_dir_file(&d, "log/tree")));
    struct span all = slurp(&d, "log/00000001.jsonl");
    unsigned char *p = (unsigned char *)(uintptr_t)all.p;
    size_t from = span_find(all, '\n', 0) + 1;
    size_t to = span_find(all, '\n', from) + 1;
    for (size_t i = from; i < to; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            p[i] ^= (unsigned char)(1u << bit);
            put(&d, "00000001.jsonl", all);
            CHECK_INT(open_conf(&b, &d, (struct decision_log_conf){0}),
                      RC_BROKEN);
            CHECK(strstr(b.why.text, "00000001.jsonl line ") != NULL);
            p[i] ^= (unsigned char)(1u << bit);
        }
    }
    put(&d, "00000001.jsonl", all);
    goes_on_with(&d, 11);
    drop(all);
    tmp_dir_drop(&d);
}

static void damage_names_its_place(void **state)
{
    (void)state;
    struct tmp_dir d;
    tmp_dir_make(&d);
    make_key(&d);
    fill(&d, 30, (struct decision_log_conf){.rotate_bytes = 600});
    drop_seals(&d);
    struct span all = slurp(&d, "log/00000001.jsonl");
    unsigned char *p = (unsigned char *)(uintptr_t)all.p;
    size_t second = span_find(all, '\n', 0) + 1;
    p[second] = '[';
    put(&d, "00000001.jsonl", all);
    expect_refusal(&d, "00000001.jsonl line 2: not a record");
    p[second] = '{';
    /* A full file that is cut, in a line and between lines. */
    put(&d, "00000001.jsonl", span_sub(all, 0, all.n - 3));
    expect_refusal(&d, "ends in the middle of a line");
    put(&d, "00000001.jsonl", span_sub(all, 0, second));
    expect_refusal(&d, "should begin at line 2");
    put(&d, "00000001.jsonl", span_sub(all, second, all.n));
    expect_refusal(&d, "line 1: has seq 2 instead of 1");
    ignore_rc(unlink(tmp_dir_file(&d, "log/00000001.jsonl")));
    expect_refusal(&d, "should begin at line 1");
    drop(all);
    tmp_dir_drop(&d);
}

static void tree_state_is_only_a_shortcut(void **state)
{
    (void)state;
    struct tmp_dir d;
    tmp_dir_make(&d);
    make_key(&d);
    fill(&d, 10, (struct decision_log_conf){0});
    goes_on_with(&d, 11);
    struct span tree = slurp(&d, "log/tree");
    unsigned char *p = (unsigned char *)(uintptr_t)tree.p;
    p[tree.n / 2] ^= 1;
    put(&d, "tree", tree); /* damaged: not used */
    goes_on_with(&d, 12);
    put(&d, "tree", span_sub(tree, 0, 20));
    goes_on_with(&d, 13);
    p[tree.n / 2] ^= 1;
    put(&d, "tree", tree); /* old: the rest is read */
    goes_on_with(&d, 14);

    /* Forged with a good sum: the signed root does not fit. */
    struct log_state s;
    struct fail f;
    char dir[256];
    (void)snprintf(dir, sizeof dir, "%s/log", d.path);
    CHECK_OK(log_state_load(span_str(dir), &s, &f), &f);
    s.tree.peaks[0].b[0] ^= 1;
    CHECK_OK(log_state_save(span_str(dir), &s, &f), &f);
    expect_refusal(&d, "not those that the checkpoint signed");
    drop(tree);
    tmp_dir_drop(&d);
}

static void another_key_is_refused(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct bench b;
    tmp_dir_make(&d);
    make_key(&d);
    fill(&d, 3, (struct decision_log_conf){0});
    CHECK_INT(
        open_conf(&b, &d, (struct decision_log_conf){.origin = SPAN("x/y")}),
        RC_UNTRUSTED);
    ignore_rc(unlink(tmp_dir_file(&d, "log.key")));
    CHECK_INT(open_conf(&b, &d, (struct decision_log_conf){0}), RC_CONFIG);
    make_key(&d);
    expect_refusal(&d, "another key or origin");
    CHECK_INT(chmod(tmp_dir_file(&d, "log.key"), 0440), 0);
    CHECK_INT(open_conf(&b, &d, (struct decision_log_conf){0}), RC_CONFIG);
    tmp_dir_drop(&d);
}

static void one_writer_only(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct bench a, b;
    tmp_dir_make(&d);
    make_key(&d);
    CHECK_OK(open_conf(&a, &d, (struct decision_log_conf){0}), &a.why);
    CHECK_INT(open_conf(&b, &d, (struct decision_log_conf){0}), RC_BUSY);
    decision_log_free(a.l);
    tmp_dir_drop(&d);
}

static void moved_file_starts_a_new_one(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct bench b;
    char from[256];
    tmp_dir_make(&d);
    make_key(&d);
    open_started(&b, &d, (struct decision_log_conf){0});
    append_many(&b, 5);
    run_until(&b, &b.written, 5);
    decision_log_reopen(b.l); /* still there: goes on in it */
    append_many(&b, 1);
    run_until(&b, &b.synced, 6);
    (void)snprintf(from, sizeof from, "%s/log/00000001.jsonl", d.path);
    CHECK_INT(rename(from, tmp_dir_file(&d, "away.jsonl")), 0);
    decision_log_reopen(b.l);
    append_many(&b, 2);
    run_until(&b, &b.written, 8);
    close_bench(&b);
    struct span s = slurp(&d, "log/00000007.jsonl");
    CHECK(span_starts(s, SPAN("{\"v\":1,\"seq\":7,")));
    drop(s);
    goes_on_with(&d, 9); /* with the saved tree, without the old file */
    tmp_dir_drop(&d);
}

static void on_full(void *ctx, const struct fail *f)
{
    struct bench *b = ctx;
    CHECK_INT(f != NULL, b->full_told % 2 == 0);
    b->full_told++;
}

static void full_disk_is_waited_for(void **state)
{
    (void)state;
    static const char *const parts[] = {"00000001.jsonl", "log/checkpoint",
                                        "log"};
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        struct tmp_dir d;
        struct bench b;
        tmp_dir_make(&d);
        make_key(&d);
        open_started(&b, &d,
                     (struct decision_log_conf){
                         .fsync_ms = 5, .checkpoint_ms = 20, .full = on_full});
        append_many(&b, 5);
        run_until(&b, &b.synced, 5);
        iofault_arm(IOFAULT_WRITE, parts[i], 0, IOFAULT_FOREVER, ENOSPC);
        append_many(&b, 3);
        run_until(&b, &b.full_told, 1);
        append_many(&b, 1);
        while (iofault_seen() < 3) /* it tries again and again */
            (void)usleep(1000);
        iofault_off();
        run_until(&b, &b.synced, 9);
        run_until(&b, &b.full_told, 2);
        close_bench(&b);
        goes_on_with(&d, 10);
        tmp_dir_drop(&d);
    }
}

static void errors_latch(void **state)
{
    (void)state;
    static const struct {
        enum iofault_call call;
        const char *part;
        int err;
    } rows[] = {
        {IOFAULT_WRITE, "00000001.jsonl", EIO},
        {IOFAULT_SYNC, "00000001.jsonl", EIO},
        {IOFAULT_SYNC, "log/checkpoint", EIO},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct tmp_dir d;
        struct bench b;
        struct fail f;
        tmp_dir_make(&d);
        make_key(&d);
        open_started(
            &b, &d,
            (struct decision_log_conf){.fsync_ms = 5, .checkpoint_ms = 20});
        append_many(&b, 5);
        run_until(&b, &b.synced, 5);
        iofault_arm(rows[i].call, rows[i].part, 0, 1, rows[i].err);
        for (int k = 0; k < 3; k++)
            ignore_rc(append(&b, false, &f)); /* may be broken already */
        uint64_t end = uv_hrtime() + WAIT_MS * UINT64_C(1000000);
        while (!b.broken && uv_hrtime() < end)
            (void)uv_run(&b.loop, UV_RUN_NOWAIT);
        iofault_off();
        CHECK(b.broken);
        if (rows[i].call == IOFAULT_WRITE)
            CHECK_UINT(b.written, 5);
        if (i == 1)
            CHECK_UINT(b.synced, 5);
        CHECK_INT(append(&b, false, &f), RC_BROKEN);
        close_bench(&b);
        /* The half line that the failed write left is cut. */
        CHECK_OK(open_conf(&b, &d, (struct decision_log_conf){0}), &b.why);
        CHECK(b.logged.row >= 5 && b.logged.row <= 8);
        decision_log_free(b.l);
        tmp_dir_drop(&d);
    }
}

/* ---- death ---- */

static void write_until_killed(const struct tmp_dir *d, int ack_fd, int point)
{
    struct bench b;
    struct fail f;
    open_started(&b, d,
                 (struct decision_log_conf){
                     .fsync_ms = 1, .checkpoint_ms = 2, .rotate_bytes = 2000});
    b.ack_fd = ack_fd;
    if (point >= 0)
        iofault_arm(IOFAULT_ANY, "/log", point, 1, IOFAULT_KILL);
    for (unsigned i = 0;; i++) {
        append_many(&b, 1 + i % 5);
        CHECK_OK(append(&b, i % 4 == 0, &f), &f);
        do
            (void)uv_run(&b.loop, UV_RUN_NOWAIT);
        while (b.written + 20 < b.sent);
        (void)usleep(300);
    }
}

static uint64_t read_acks(int fd, uint64_t upto)
{
    uint64_t acked = 0, next;
    while (acked < upto && read(fd, &next, sizeof next) == sizeof next)
        acked = next;
    return acked;
}

/* One life and death: the lines after it. */
static uint64_t live_and_die(const struct tmp_dir *d, uint64_t before,
                             int point, uint64_t acks)
{
    int ends[2], status;
    struct bench b;
    struct decision_log_stats stats;
    CHECK_INT(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        (void)close(ends[0]);
        write_until_killed(d, ends[1], point);
    }
    (void)close(ends[1]);
    uint64_t acked = read_acks(ends[0], acks);
    if (point < 0)
        (void)kill(child, SIGKILL);
    uint64_t later = read_acks(ends[0], UINT64_MAX);
    acked = later > acked ? later : acked;
    (void)close(ends[0]);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK_OK(open_conf(&b, d, (struct decision_log_conf){0}), &b.why);
    decision_log_stats_get(b.l, &stats);
    CHECK(stats.lines >= before + acked);
    CHECK_UINT(b.logged.row, stats.lines);
    decision_log_free(b.l);
    return stats.lines;
}

static void no_written_line_dies(void **state)
{
    (void)state;
    struct tmp_dir d;
    uint64_t lines = 0;
    tmp_dir_make(&d);
    make_key(&d);
    for (int point = 0; point < 80; point++)
        lines = live_and_die(&d, lines, point, UINT64_MAX);
    for (uint64_t n = 1; n <= 20; n++)
        lines = live_and_die(&d, lines, -1, n * 17);
    print_message("100 kills, %llu lines\n", (unsigned long long)lines);
    tmp_dir_drop(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_written_line_dies), /* forks: before any thread */
        cmocka_unit_test(numbers_go_on),
        cmocka_unit_test(checkpoint_on_request),
        cmocka_unit_test(bad_records_are_refused),
        cmocka_unit_test(torn_tail_is_cut),
        cmocka_unit_test(signed_lines_may_not_go),
        cmocka_unit_test(flipped_bits_are_found),
        cmocka_unit_test(damage_names_its_place),
        cmocka_unit_test(tree_state_is_only_a_shortcut),
        cmocka_unit_test(another_key_is_refused),
        cmocka_unit_test(one_writer_only),
        cmocka_unit_test(moved_file_starts_a_new_one),
        cmocka_unit_test(full_disk_is_waited_for),
        cmocka_unit_test(errors_latch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
