// SPDX-License-Identifier: Apache-2.0
/*
 * The store: what was reported stored is there after any death (reliability
 * 2.6, F1, F2), trouble that passes is survived, trouble that does not latches.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "sidecar/io/file.h"
#include "sidecar/io/store.h"
#include "sidecar/io/store_backup.h"
#include "sidecar/io/store_db.h"
#include "tests/lib/check.h"
#include "tests/lib/iofault.h"
#include "tests/lib/tmp_dir.h"

#define WAIT_MS 60000 /* for what comes at once on an idle machine */

/* A store on a loop of its own, and what it said. */
struct bench {
    uv_loop_t loop;
    struct store *s;
    uint64_t stored, next;
    enum store_state state;
    unsigned blocked, poisoned, recovered;
    struct fail why;
    bool closed, created;
    int ack_fd;
};

static void on_stored(void *ctx, uint64_t upto)
{
    struct bench *b = ctx;
    CHECK(upto > b->stored && upto < b->next);
    b->stored = upto;
    if (b->ack_fd >= 0)
        CHECK(write(b->ack_fd, &upto, sizeof upto) == sizeof upto);
}

static void on_state(void *ctx, enum store_state s, const struct fail *f)
{
    struct bench *b = ctx;
    CHECK((s == STORE_OK) == (f == NULL));
    b->state = s;
    b->blocked += s == STORE_BLOCKED;
    b->poisoned += s == STORE_POISONED;
    b->recovered += s == STORE_OK;
    if (f != NULL)
        b->why = *f;
}

static void on_closed(void *ctx)
{
    struct bench *b = ctx;
    b->closed = true;
}

/* Counts what a load gives. */
struct loaded {
    uint64_t facts, rows, first_row, last_row, last_seq, value_sum;
};

static int load_fact(void *ctx, const struct fact *fact, struct fail *f)
{
    struct loaded *l = ctx;
    (void)f;
    l->facts++;
    l->value_sum += fact->value.n;
    return 0;
}

static int load_row(void *ctx, uint64_t seq, const struct journal_body *body,
                    struct fail *f)
{
    struct loaded *l = ctx;
    struct span input = body->input;
    (void)f;
    if (l->rows++ == 0)
        l->first_row = seq;
    l->last_row = seq;
    CHECK(input.n >= sizeof seq && memcmp(input.p, &seq, sizeof seq) == 0);
    return 0;
}

static int open_bench_conf(struct bench *b, struct store_conf conf)
{
    memset(b, 0, sizeof *b);
    b->ack_fd = -1;
    conf.stored = on_stored;
    conf.state = on_state;
    conf.ctx = b;
    return store_open(&conf, &b->s, &b->created, &b->why);
}

static void load(struct bench *b, struct loaded *l)
{
    struct store_reader r = {load_fact, load_row, l};
    memset(l, 0, sizeof *l);
    CHECK_OK(store_load(b->s, &r, &l->last_seq, &b->why), &b->why);
    b->next = l->last_seq + 1;
    b->stored = l->last_seq;
}

static void start(struct bench *b)
{
    CHECK_INT(uv_loop_init(&b->loop), 0);
    CHECK_OK(store_start(b->s, &b->loop, &b->why), &b->why);
}

static void open_started(struct bench *b, const struct tmp_dir *d)
{
    struct loaded l;
    struct store_conf conf = {.dir = tmp_dir_span(d)};
    CHECK_OK(open_bench_conf(b, conf), &b->why);
    load(b, &l);
    start(b);
}

/* Row `seq`: its number as input, and facts that overwrite each other. */
static void make_body(struct buf *out, uint64_t seq, size_t input_n)
{
    struct buf facts;
    unsigned char input[4096] = {0}, key = (unsigned char)(seq % 10);
    must(input_n <= sizeof input);
    memcpy(input, &seq, sizeof seq);
    buf_init(&facts, mem_system(), 4096);
    journal_put_fact(
        &facts, FACT_HOLD, span_of(&key, 1),
        seq % 20 == 19 ? span_of(NULL, 0) : span_of(input, sizeof seq));
    journal_put_body(out, buf_span(&facts), span_of(NULL, 0),
                     span_of(input, input_n));
    buf_fini(&facts);
}

static int append(struct bench *b, size_t input_n, struct fail *f)
{
    struct buf body;
    buf_init(&body, mem_system(), JOURNAL_BODY_MAX);
    make_body(&body, b->next, input_n);
    CHECK(buf_ok(&body));
    b->next++;
    int rc =
        store_append(b->s, b->next - 1, (int64_t)b->next, buf_span(&body), f);
    b->next -= rc < 0;
    buf_fini(&body);
    return rc;
}

static void append_many(struct bench *b, unsigned n)
{
    struct fail f;
    for (unsigned i = 0; i < n; i++)
        CHECK_OK(append(b, 64, &f), &f);
}

/* Runs the loop until `*flag` reaches `want` or too long. */
static void run_until(struct bench *b, const uint64_t *value, uint64_t want)
{
    uint64_t end = uv_hrtime() + WAIT_MS * UINT64_C(1000000);
    while (*value < want && uv_hrtime() < end) {
        (void)uv_run(&b->loop, UV_RUN_NOWAIT);
        (void)usleep(200);
    }
    CHECK(*value >= want);
}

static void run_until_state(struct bench *b, enum store_state s)
{
    uint64_t end = uv_hrtime() + WAIT_MS * UINT64_C(1000000);
    while (b->state != s && uv_hrtime() < end) {
        (void)uv_run(&b->loop, UV_RUN_NOWAIT);
        (void)usleep(200);
    }
    CHECK_INT(b->state, s);
}

static void close_bench(struct bench *b)
{
    store_close(b->s, on_closed, b);
    (void)uv_run(&b->loop, UV_RUN_DEFAULT);
    CHECK(b->closed);
    CHECK_INT(uv_loop_close(&b->loop), 0);
}

static void rows_come_back(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct bench b;
    struct loaded l;
    struct stat st;
    tmp_dir_make(&d);
    open_started(&b, &d);
    CHECK(b.created);
    append_many(&b, 1000);
    run_until(&b, &b.stored, 1000);
    close_bench(&b);
    CHECK_INT(stat(tmp_dir_file(&d, "bailiff.db"), &st), 0);
    CHECK_INT(st.st_mode & 0777, 0600);

    struct store_conf conf = {.dir = tmp_dir_span(&d)};
    CHECK_OK(open_bench_conf(&b, conf), &b.why);
    CHECK(!b.created);
    load(&b, &l);
    CHECK_UINT(l.facts, 0); /* nothing was in the log, so nothing is folded */
    CHECK_UINT(l.rows, 1000);
    CHECK_UINT(l.last_seq, 1000);
    store_free(b.s);
    tmp_dir_drop(&d);
}

static void folding_keeps_the_facts(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct bench b;
    struct loaded l;
    struct store_stats stats = {0};
    tmp_dir_make(&d);
    open_started(&b, &d);
    append_many(&b, 500);
    run_until(&b, &b.stored, 500);
    store_logged(b.s, 438);
    for (int i = 0; i < WAIT_MS && stats.folded_seq < 438; i++) {
        (void)usleep(1000);
        store_stats_get(b.s, &stats);
    }
    CHECK_UINT(stats.folded_seq, 438); /* by itself, and no further */
    close_bench(&b);

    struct store_conf conf = {.dir = tmp_dir_span(&d)};
    CHECK_OK(open_bench_conf(&b, conf), &b.why);
    load(&b, &l);
    CHECK_UINT(l.first_row, 439);
    CHECK_UINT(l.rows, 62);
    CHECK_UINT(l.last_seq, 500);
    CHECK_UINT(l.facts, 10); /* key 9 came back with row 429 */
    CHECK_UINT(l.value_sum, 80);
    store_free(b.s);
    tmp_dir_drop(&d);
}

static int count_row(void *ctx, uint64_t seq, int64_t wall_ms,
                     const struct journal_body *body, struct fail *f)
{
    uint64_t *n = ctx;
    (void)body;
    (void)f;
    CHECK(wall_ms == (int64_t)seq + 1);
    (*n)++;
    return 0;
}

static void old_folded_rows_are_deleted(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct bench b;
    struct loaded l;
    uint64_t left = 1000;
    tmp_dir_make(&d);
    open_started(&b, &d);
    append_many(&b, 900); /* of 1970 */
    run_until(&b, &b.stored, 900);
    store_logged(b.s, 800);
    close_bench(&b);
    struct store_conf conf = {.dir = tmp_dir_span(&d)};
    for (int i = 0; i < 100 && left > 100; i++) { /* pruned when running */
        open_started(&b, &d);
        (void)usleep(400000);
        close_bench(&b);
        CHECK_OK(open_bench_conf(&b, conf), &b.why);
        left = 0;
        CHECK_OK(store_scan(b.s, 1, count_row, &left, &b.why), &b.why);
        load(&b, &l);
        CHECK_UINT(l.last_seq, 900);
        CHECK_UINT(l.rows, 100);
        store_free(b.s);
    }
    CHECK_UINT(left, 100); /* what is not folded stays, however old */
    tmp_dir_drop(&d);
}

static void limits_are_said(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct bench b;
    struct loaded l;
    struct fail f;
    int rc = 0;
    tmp_dir_make(&d);
    struct store_conf conf = {.dir = tmp_dir_span(&d), .queue_rows_max = 8};
    CHECK_OK(open_bench_conf(&b, conf), &b.why);
    load(&b, &l);
    start(&b);
    iofault_arm(IOFAULT_WRITE, "bailiff.db-wal", 0, IOFAULT_FOREVER, ENOSPC);
    for (int i = 0; i < 9; i++)
        rc = append(&b, 64, &f);
    CHECK_INT(rc, RC_LIMIT);
    iofault_off();
    run_until(&b, &b.stored, 8);
    CHECK_OK(append(&b, 64, &f), &f); /* the refused number is used again */
    run_until(&b, &b.stored, 9);
    static unsigned char big[JOURNAL_BODY_MAX + 1];
    CHECK_INT(store_append(b.s, 10, 0, span_of(big, sizeof big), &f),
              RC_TOO_LARGE);
    close_bench(&b);
    tmp_dir_drop(&d);
}

static void full_disk_blocks_and_recovers(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct bench b;
    struct loaded l;
    struct store_stats stats;
    tmp_dir_make(&d);
    open_started(&b, &d);
    append_many(&b, 10);
    run_until(&b, &b.stored, 10);
    iofault_arm(IOFAULT_WRITE, "bailiff.db", 0, IOFAULT_FOREVER, ENOSPC);
    append_many(&b, 5);
    run_until_state(&b, STORE_BLOCKED);
    CHECK_INT(b.why.rc, RC_NO_SPACE);
    append_many(&b, 5);
    (void)usleep(100000);
    (void)uv_run(&b.loop, UV_RUN_NOWAIT);
    CHECK_UINT(b.stored, 10);
    store_stats_get(b.s, &stats);
    CHECK_UINT(stats.queued, 10);
    CHECK(stats.failed_commits > 0);
    iofault_off();
    run_until(&b, &b.stored, 20);
    run_until_state(&b, STORE_OK);
    CHECK_UINT(b.poisoned, 0);
    close_bench(&b);
    struct store_conf conf = {.dir = tmp_dir_span(&d)};
    CHECK_OK(open_bench_conf(&b, conf), &b.why);
    load(&b, &l);
    CHECK_UINT(l.rows, 20);
    store_free(b.s);
    tmp_dir_drop(&d);
}

static void locked_database_blocks_and_recovers(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct bench b;
    sqlite3 *other;
    tmp_dir_make(&d);
    open_started(&b, &d);
    CHECK_INT(sqlite3_open(tmp_dir_file(&d, "bailiff.db"), &other), SQLITE_OK);
    CHECK_INT(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL),
              SQLITE_OK);
    append_many(&b, 3);
    run_until_state(&b, STORE_BLOCKED);
    CHECK_INT(b.why.rc, RC_BUSY);
    CHECK_INT(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    run_until(&b, &b.stored, 3);
    run_until_state(&b, STORE_OK);
    (void)sqlite3_close(other);
    close_bench(&b);
    tmp_dir_drop(&d);
}

static void poison(enum iofault_call call, const char *part)
{
    struct tmp_dir d;
    struct bench b;
    struct loaded l;
    struct fail f;
    tmp_dir_make(&d);
    open_started(&b, &d);
    append_many(&b, 10);
    run_until(&b, &b.stored, 10);
    iofault_arm(call, part, 0, 1, EIO); /* the next call would succeed */
    for (int i = 0, rc = 0; i < 5 && rc == 0; i++)
        rc = append(&b, 64, &f); /* refused once the thread has met it */
    run_until_state(&b, STORE_POISONED);
    CHECK_INT(append(&b, 64, &f), RC_BROKEN);
    (void)usleep(20000);
    (void)uv_run(&b.loop, UV_RUN_NOWAIT);
    CHECK_UINT(b.stored, 10);
    CHECK_UINT(b.recovered, 0);
    iofault_off();
    close_bench(&b);
    CHECK_UINT(b.stored, 10);
    /* The commit is indeterminate: all of it is there, or nothing. */
    struct store_conf conf = {.dir = tmp_dir_span(&d)};
    CHECK_OK(open_bench_conf(&b, conf), &b.why);
    load(&b, &l);
    CHECK(l.rows >= 10 && l.rows <= 15);
    store_free(b.s);
    tmp_dir_drop(&d);
}

static void io_errors_latch(void **state)
{
    (void)state;
    poison(IOFAULT_SYNC, "bailiff.db-wal");
    poison(IOFAULT_WRITE, "bailiff.db-wal");
}

/* SQLite's own checkpoint would swallow this one and believe the next. */
static void failed_sync_of_checkpoint_latches(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct bench b;
    struct fail f;
    tmp_dir_make(&d);
    open_started(&b, &d);
    iofault_arm(IOFAULT_SYNC, "/bailiff.db$", 0, 1, EIO);
    for (int i = 0; i < 3000 && b.state == STORE_OK; i++) {
        uint64_t want = b.next;
        if (append(&b, 4000, &f) < 0)
            break;
        while (b.stored < want && b.state == STORE_OK)
            (void)uv_run(&b.loop, UV_RUN_NOWAIT);
    }
    run_until_state(&b, STORE_POISONED);
    CHECK(strstr(b.why.text, "checkpoint") != NULL);
    CHECK(b.stored > 100); /* the rows before it were in the WAL */
    CHECK_INT(iofault_seen(), 1);
    iofault_off();
    close_bench(&b);
    tmp_dir_drop(&d);
}

static void wal_stays_small(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct bench b;
    struct stat st;
    struct fail f;
    tmp_dir_make(&d);
    open_started(&b, &d);
    for (int i = 0; i < 80; i++) { /* 32 MB */
        for (int k = 0; k < 100; k++)
            CHECK_OK(append(&b, 4000, &f), &f);
        run_until(&b, &b.stored, b.next - 1);
    }
    CHECK_INT(stat(tmp_dir_file(&d, "bailiff.db-wal"), &st), 0);
    CHECK(st.st_size < 12 * 1024 * 1024);
    close_bench(&b);
    CHECK(stat(tmp_dir_file(&d, "bailiff.db-wal"), &st) != 0); /* clean */
    tmp_dir_drop(&d);
}

static off_t db_bytes(const struct tmp_dir *d)
{
    struct stat st;
    CHECK_INT(stat(tmp_dir_file(d, "bailiff.db"), &st), 0);
    return st.st_size;
}

/* 40 MB of rows, all logged at once. */
static void churn(struct bench *b)
{
    struct fail f;
    for (int i = 0; i < 100; i++) {
        for (int k = 0; k < 100; k++)
            CHECK_OK(append(b, 4000, &f), &f);
        run_until(b, &b->stored, b->next - 1);
        store_logged(b->s, b->stored);
    }
}

static void size_is_bounded_under_churn(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct bench b;
    struct loaded l;
    off_t bytes = 1 << 30;
    tmp_dir_make(&d);
    /* Rows are of 1970: too old at once. */
    open_started(&b, &d);
    churn(&b);
    close_bench(&b);
    open_started(&b, &d); /* what a minute later would bring */
    for (int i = 0; i < WAIT_MS / 100 && bytes > 12 << 20; i++) {
        (void)usleep(100000);
        bytes = db_bytes(&d);
    }
    close_bench(&b);
    CHECK(db_bytes(&d) <= 12 << 20); /* given back, too */
    struct store_conf conf = {.dir = tmp_dir_span(&d), .legal_hold = true};
    CHECK_OK(open_bench_conf(&b, conf), &b.why);
    load(&b, &l);
    CHECK_UINT(l.last_seq, 10000);
    start(&b);
    churn(&b);
    close_bench(&b);
    CHECK(db_bytes(&d) > 32 << 20);
    tmp_dir_drop(&d);
}

static void second_process_is_refused(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct bench a, b;
    char want[32];
    tmp_dir_make(&d);
    struct store_conf conf = {.dir = tmp_dir_span(&d)};
    CHECK_OK(open_bench_conf(&a, conf), &a.why);
    pid_t child = fork();
    if (child == 0) {
        (void)snprintf(want, sizeof want, "process %ld", (long)getppid());
        bool busy = open_bench_conf(&b, conf) == RC_BUSY &&
                    strstr(b.why.text, want) != NULL;
        _exit(busy ? 0 : 1);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    store_free(a.s);
    CHECK_OK(open_bench_conf(&a, conf), &a.why);
    store_free(a.s);
    tmp_dir_drop(&d);
}

static void missing_row_is_refused(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct bench b;
    sqlite3 *sql;
    struct loaded l = {0};
    struct store_reader r = {load_fact, load_row, &l};
    tmp_dir_make(&d);
    open_started(&b, &d);
    append_many(&b, 9);
    close_bench(&b);
    CHECK_INT(sqlite3_open(tmp_dir_file(&d, "bailiff.db"), &sql), SQLITE_OK);
    CHECK_INT(
        sqlite3_exec(sql, "DELETE FROM journal WHERE seq=5", NULL, NULL, NULL),
        SQLITE_OK);
    (void)sqlite3_close(sql);
    struct store_conf conf = {.dir = tmp_dir_span(&d)};
    CHECK_OK(open_bench_conf(&b, conf), &b.why);
    CHECK_INT(store_load(b.s, &r, &l.last_seq, &b.why), RC_BROKEN);
    CHECK(strstr(b.why.text, "row 5") != NULL);
    store_free(b.s);
    tmp_dir_drop(&d);
}

static void backup_while_running(void **state)
{
    (void)state;
    struct tmp_dir d, e;
    struct bench b;
    struct loaded l;
    struct store_report r;
    struct fail f;
    tmp_dir_make(&d);
    tmp_dir_make(&e);
    open_started(&b, &d);
    append_many(&b, 300);
    run_until(&b, &b.stored, 300);
    append_many(&b, 300);
    CHECK_OK(
        store_backup(tmp_dir_span(&d), tmp_dir_file(&e, "bailiff.db"), &r, &f),
        &f);
    CHECK(r.last_seq >= 300 && r.last_seq <= 600);
    close_bench(&b);
    struct store_conf conf = {.dir = tmp_dir_span(&e)};
    CHECK_OK(open_bench_conf(&b, conf), &b.why);
    load(&b, &l);
    CHECK(l.rows >= 300 && l.rows <= 600);
    store_free(b.s);
    tmp_dir_drop(&d);
    tmp_dir_drop(&e);
}

/* ---- death ---- */

/* Appends, in bursts of changing size, until it is killed; tells what was
 * stored through the pipe. */
static void write_until_killed(const struct tmp_dir *d, int ack_fd, int point)
{
    struct bench b;
    open_started(&b, d);
    b.ack_fd = ack_fd;
    if (point >= 0)
        iofault_arm(IOFAULT_ANY, "bailiff.db", point, 1, IOFAULT_KILL);
    for (unsigned i = 0;; i++) {
        append_many(&b, 1 + i % 7);
        if (i % 3 == 0)
            store_logged(b.s, b.stored);
        do
            (void)uv_run(&b.loop, UV_RUN_NOWAIT);
        while (b.stored + 20 < b.next);
    }
}

static uint64_t read_acks(int fd, uint64_t upto)
{
    uint64_t acked = 0, next;
    while (acked < upto && read(fd, &next, sizeof next) == sizeof next)
        acked = next;
    return acked;
}

/* One life and death; returns the rows there after it. */
static uint64_t live_and_die(const struct tmp_dir *d, int point, uint64_t acks)
{
    int ends[2], status;
    struct bench b;
    struct loaded l;
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

    struct store_conf conf = {.dir = tmp_dir_span(d)};
    CHECK_OK(open_bench_conf(&b, conf), &b.why);
    load(&b, &l); /* also checks that no row is missing in between */
    CHECK(l.last_seq >= acked);
    store_free(b.s);
    return l.last_seq;
}

static void no_acked_row_dies(void **state)
{
    (void)state;
    struct tmp_dir d;
    uint64_t before = 0, rows = 0;
    tmp_dir_make(&d);
    for (int point = 0; point < 100; point++) { /* at the n-th write or sync */
        rows = live_and_die(&d, point, UINT64_MAX);
        CHECK(rows >= before);
        before = rows;
    }
    for (uint64_t n = 1; n <= 25; n++) { /* at a moment of its own */
        rows = live_and_die(&d, -1, before + n * 37);
        CHECK(rows >= before);
        before = rows;
    }
    print_message("125 kills, %llu rows\n", (unsigned long long)rows);
    tmp_dir_drop(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_acked_row_dies), /* forks: before any thread */
        cmocka_unit_test(second_process_is_refused),
        cmocka_unit_test(rows_come_back),
        cmocka_unit_test(folding_keeps_the_facts),
        cmocka_unit_test(old_folded_rows_are_deleted),
        cmocka_unit_test(limits_are_said),
        cmocka_unit_test(full_disk_blocks_and_recovers),
        cmocka_unit_test(locked_database_blocks_and_recovers),
        cmocka_unit_test(io_errors_latch),
        cmocka_unit_test(failed_sync_of_checkpoint_latches),
        cmocka_unit_test(wal_stays_small),
        cmocka_unit_test(size_is_bounded_under_churn),
        cmocka_unit_test(missing_row_is_refused),
        cmocka_unit_test(backup_while_running),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
