// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/store_backup.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sidecar/base/time_text.h"
#include "sidecar/core/codec.h"
#include "sidecar/core/engine.h"
#include "sidecar/core/restore.h"
#include "sidecar/io/decision_log_files.h"
#include "sidecar/io/file.h"
#include "sidecar/io/store_db.h"

static int no_memory(struct fail *f)
{
    return fail(f, RC_NO_MEMORY, "no memory for the database");
}

/* ------------------------------------------------------------- verifying */

static int count_fact(void *ctx, const struct fact *fact, struct fail *f)
{
    struct store_report *r = ctx;
    struct reader value = {.rest = fact->value};
    (void)f;
    r->facts++;
    if (fact->kind != FACT_META || fact->gone ||
        !span_eq(fact->key, SPAN("boot")))
        return 0;
    uint64_t boot = take_u64(&value);
    if (reader_done(&value) && boot > r->boot)
        r->boot = boot;
    return 0;
}

/* The facts of a row that is not folded yet. */
static int count_tail(void *ctx, uint64_t seq, const struct journal_body *body,
                      struct fail *f)
{
    struct span facts = body->facts;
    struct fact fact;
    int more;
    (void)seq;
    while ((more = journal_next_fact(&facts, &fact, f)) == 1)
        TRY(count_fact(ctx, &fact, f));
    return more;
}

static int count_row(void *ctx, uint64_t seq, int64_t wall_ms,
                     const struct journal_body *body, struct fail *f)
{
    struct store_report *r = ctx;
    struct span records = body->records, tail;
    int more;
    (void)seq;
    (void)wall_ms;
    r->rows++;
    while ((more = journal_next_record(&records, &tail, f)) == 1)
        continue;
    return more;
}

static int report(struct store_db *db, struct store_report *ret, struct fail *f)
{
    const struct store_reader reader = {count_fact, count_tail, ret};
    *ret = (struct store_report){.last_seq = db->last_seq,
                                 .folded_seq = db->folded_seq};
    TRY(store_db_load(db, &reader, f));
    return store_db_scan(db, 0, count_row, ret, f);
}

static int file_bytes(const char *path, uint64_t *ret, struct fail *f)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return fail(f, errno == ENOENT ? RC_UNKNOWN_NAME : RC_IO, "%s: %s",
                    path, strerrordesc_np(errno));
    *ret = (uint64_t)st.st_size;
    return 0;
}

int store_verify(const char *path, struct store_report *ret, struct fail *f)
{
    struct store_db *db = mem_alloc(mem_system(), sizeof *db);
    uint64_t bytes = 0;
    if (db == NULL)
        return no_memory(f);
    int rc = file_bytes(path, &bytes, f);
    if (rc == 0)
        rc = store_db_open_read(db, path, f);
    if (rc == 0)
        rc = store_db_check(db, f);
    if (rc == 0)
        rc = report(db, ret, f);
    ret->bytes = bytes;
    store_db_close(db, false);
    mem_release(mem_system(), db);
    return rc;
}

/* ---------------------------------------------------------------- backup */

static int copy_file(const char *from, bool check, const char *to,
                     struct fail *f)
{
    struct store_db db;
    int rc = 0;
    TRY(store_db_open_read(&db, from, f));
    if (check && store_db_check(&db, f) < 0)
        rc = fail_wrap(f, "%s", from);
    if (rc == 0)
        rc = store_db_copy(&db, to, f);
    store_db_close(&db, false);
    return rc;
}

int store_backup(struct span dir, const char *to, struct store_report *ret,
                 struct fail *f)
{
    char from[FILE_PATH_MAX], parent[FILE_PATH_MAX];
    uint64_t bytes;
    TRY(file_path(from, dir, "bailiff.db", f));
    TRY(file_path(parent, span_str(to), "", f));
    TRY(file_bytes(from, &bytes, f));
    if (access(to, F_OK) == 0)
        return fail(f, RC_EXISTS,
                    "%s is there already; a backup replaces no file", to);
    TRY(copy_file(from, false, to, f));
    int rc = store_verify(to, ret, f);
    if (rc < 0) {
        ignore_rc(unlink(to)); /* it would be trusted one day */
        return fail_wrap(f, "the copy cannot be read");
    }
    char *slash = strrchr(parent, '/');
    if (slash != NULL)
        slash[slash == parent] = 0;
    return file_sync_dir(slash == NULL ? SPAN(".") : span_str(parent), f);
}

/* --------------------------------------------------------------- restore */

static int read_log_file(const char *path, struct restore_seen *ret,
                         struct fail *f)
{
    struct log_reader reader;
    struct log_line head;
    struct span line;
    int more;
    TRY(log_reader_open(&reader, path, 0, f));
    while ((more = log_reader_next(&reader, &line, f)) == 1) {
        bool whole = log_line_read(line, &head);
        restore_note_line(ret, whole ? head.input : 0, line);
    }
    log_reader_close(&reader);
    return more < 0 ? fail_wrap(f, "%s", path) : 0;
}

static int read_log(struct span dir, struct restore_seen *ret, struct fail *f)
{
    char path[FILE_PATH_MAX], name[LOG_FILE_NAME_BYTES];
    struct log_files files;
    *ret = (struct restore_seen){0, 0};
    TRY(file_path(path, dir, "", f));
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return 0; /* a new log */
    TRY(log_files_list(dir, &files, f));
    int rc = 0;
    for (size_t i = 0; i < files.count && rc == 0; i++) {
        log_file_name(name, files.first[i], "jsonl");
        rc = file_path(path, dir, name, f);
        if (rc == 0)
            rc = read_log_file(path, ret, f);
    }
    log_files_fini(&files);
    return rc;
}

static int fold_all(struct store_db *db, struct fail *f)
{
    uint32_t rows = 1;
    while (rows > 0 && db->folded_seq < db->last_seq)
        TRY(store_db_fold(db, db->last_seq, 1024, &rows, f));
    return 0;
}

static int put_restored(struct store_db *db, const struct restore_seen *seen,
                        int64_t wall_ms, struct fail *f)
{
    struct buf bytes;
    struct fact fact;
    buf_init(&bytes, mem_system(), 256);
    restore_put_facts(seen, wall_ms, &bytes);
    struct span rest = buf_span(&bytes);
    int rc = buf_ok(&bytes) ? 0 : no_memory(f);
    while (rc == 0 && rest.n > 0) {
        rc = journal_next_fact(&rest, &fact, f);
        if (rc == 1)
            rc = store_db_put_fact(db, &fact, f);
    }
    buf_fini(&bytes);
    return rc;
}

/* Everything in one transaction. */
static int bring_forward(struct store_db *db, const struct restore_seen *log,
                         int64_t wall_ms, struct store_restored *ret,
                         struct fail *f)
{
    struct restore_seen seen = *log;
    restore_note(&seen, db->last_seq, ret->report.boot);
    if (seen.boot >= ENGINE_BOOT_MAX ||
        restore_next_boot(&seen) > ENGINE_BOOT_MAX ||
        seen.row > STORE_DB_SEQ_MAX)
        return fail(f, RC_BROKEN,
                    "the decision log names start %llu and row %llu: no such "
                    "numbers are given out",
                    (unsigned long long)log->boot,
                    (unsigned long long)log->row);
    ret->log_input = log->row;
    ret->next_boot = restore_next_boot(&seen);
    TRY(store_db_begin(db, f));
    int rc = put_restored(db, &seen, wall_ms, f);
    if (rc == 0)
        rc = store_db_skip_to(db, seen.row, f);
    if (rc == 0)
        rc = store_db_commit(db, f);
    if (rc < 0)
        store_db_rollback(db);
    return rc;
}

/* What is restored, as it is, as work/bailiff.db. */
static int fetch_backup(const struct store_restore_conf *conf, struct span work,
                        struct store_restored *ret, struct fail *f)
{
    char path[FILE_PATH_MAX], from[PATH_MAX];
    uint64_t bytes;
    TRY(file_bytes(conf->from, &bytes, f));
    if (realpath(conf->from, from) == NULL)
        return fail(f, RC_IO, "%s: %s", conf->from, strerrordesc_np(errno));
    TRY(file_path(path, work, "bailiff.db", f));
    TRY(copy_file(from, true, path, f)); /* checked: who knows how large */
    return store_verify(path, &ret->report, f) < 0
               ? fail_wrap(f, "%s", conf->from)
               : 0;
}

/* The restored database, complete. */
static int prepare(const struct store_restore_conf *conf, struct span work,
                   const struct restore_seen *log, struct store_restored *ret,
                   struct fail *f)
{
    struct store_db db;
    bool created;
    TRY(store_db_open(&db, work, &created, f));
    int rc = fold_all(&db, f);
    if (rc == 0)
        rc = bring_forward(&db, log, conf->wall_ms, ret, f);
    if (rc == 0)
        rc = store_db_checkpoint(&db, true, f);
    store_db_close(&db, rc == 0);
    return rc;
}

static int rename_in(struct span from_dir, const char *from, struct span to_dir,
                     const char *to, struct fail *f)
{
    char a[FILE_PATH_MAX], b[FILE_PATH_MAX];
    TRY(file_path(a, from_dir, from, f));
    TRY(file_path(b, to_dir, to, f));
    if (rename(a, b) == 0)
        return 0;
    return fail(f, errno == ENOENT ? RC_UNKNOWN_NAME : RC_IO, "rename %s: %s",
                a, strerrordesc_np(errno));
}

/* The old database as one file, when it can still be read; its boot and rows
 * count, too, should the log be gone. */
static void close_old(struct span dir, struct restore_seen *log)
{
    struct store_db db;
    struct store_report old = {.rows = 0};
    bool created, cut;
    if (store_db_open(&db, dir, &created, NULL) < 0)
        return; /* it is put aside as it is */
    if (store_db_check_quickly(db.path, &cut, NULL) < 0) {
        store_db_close(&db, false);
        return;
    }
    if (report(&db, &old, NULL) == 0 && old.boot < ENGINE_BOOT_MAX)
        restore_note(log, old.last_seq, old.boot);
    ignore_rc(store_db_checkpoint(&db, true, NULL)); /* the WAL goes along */
    store_db_close(&db, true);
}

/* The old database gets a second name and stays where it is until another is
 * put in its place. The WAL goes first: beside a new database it would be taken
 * for that one's; close_old has emptied it, if that was possible. */
static int put_aside(struct span dir, const char *name, struct fail *f)
{
    static const char *const parts[] = {"-wal", "-shm"};
    char from[FILE_PATH_MAX], to[FILE_PATH_MAX], part[64], aside[80];
    TRY(file_path(from, dir, "bailiff.db", f));
    TRY(file_path(to, dir, name, f));
    if (link(from, to) != 0)
        return fail(f, RC_IO, "%s: %s", to, strerrordesc_np(errno));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        (void)snprintf(part, sizeof part, "bailiff.db%s", parts[i]);
        (void)snprintf(aside, sizeof aside, "%s%s", name, parts[i]);
        int rc = rename_in(dir, part, dir, aside, f);
        if (rc < 0 && rc != RC_UNKNOWN_NAME)
            return rc;
    }
    return file_sync_dir(dir, f);
}

/* To the millisecond: who tries again at once, after a death, needs another. */
static void name_aside(char ret[64], int64_t wall_ms)
{
    char time[TIME_TEXT_BYTES];
    size_t n = 0;
    time_text(wall_ms, time);
    for (const char *p = time; *p != 0 && *p != 'Z'; p++)
        if (*p != ':' && *p != '-')
            time[n++] = *p;
    (void)snprintf(ret, 64, "bailiff.db.before-%.*s", (int)n, time);
}

static bool is_there(struct span dir, const char *name)
{
    char path[FILE_PATH_MAX];
    return file_path(path, dir, name, NULL) == 0 && access(path, F_OK) == 0;
}

static void clear_work(struct span work)
{
    static const char *const left[] = {
        "bailiff.db",     "bailiff.db-wal",         "bailiff.db-shm",
        "bailiff.db.new", "bailiff.db.new-journal", "bailiff.db-journal"};
    char path[FILE_PATH_MAX];
    for (size_t i = 0; i < sizeof left / sizeof *left; i++)
        if (file_path(path, work, left[i], NULL) == 0)
            ignore_rc(unlink(path)); /* what is not there is fine */
    if (file_path(path, work, "", NULL) == 0)
        ignore_rc(rmdir(path));
}

static int restore_locked(const struct store_restore_conf *conf,
                          struct store_restored *ret, struct fail *f)
{
    char path[FILE_PATH_MAX];
    struct restore_seen log;
    const bool old = is_there(conf->dir, "bailiff.db");
    if (old && !conf->force)
        return fail(f, RC_EXISTS, "%.*s has a database: --force puts it aside",
                    PRSPAN(conf->dir));
    TRY(read_log(conf->log_dir, &log, f));
    TRY(file_path(path, conf->dir, "restore", f));
    struct span work = span_str(path);
    clear_work(work); /* of an attempt that was cut off */
    if (mkdir(path, 0700) != 0)
        return fail(f, RC_IO, "mkdir %s: %s", path, strerrordesc_np(errno));
    int rc = fetch_backup(conf, work, ret, f);
    if (rc == 0 && old)
        close_old(conf->dir, &log);
    if (rc == 0)
        rc = prepare(conf, work, &log, ret, f);
    if (rc == 0 && old) {
        name_aside(ret->aside, conf->wall_ms);
        rc = put_aside(conf->dir, ret->aside, f);
    }
    if (rc == 0)
        rc = rename_in(work, "bailiff.db", conf->dir, "bailiff.db", f);
    if (rc == 0)
        rc = file_sync_dir(conf->dir, f);
    clear_work(work);
    return rc;
}

int store_restore(const struct store_restore_conf *conf,
                  struct store_restored *ret, struct fail *f)
{
    int lock;
    *ret = (struct store_restored){.aside = ""};
    TRY(file_check_dir(conf->dir, f));
    TRY(file_lock(conf->dir, &lock, f));
    int rc = restore_locked(conf, ret, f);
    ignore_rc(close(lock)); /* only the lock is on it */
    return rc;
}
