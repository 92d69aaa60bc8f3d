// SPDX-License-Identifier: Apache-2.0
/*
 * Backups and the way back: a restored database is older than the world, and
 * must neither number anything twice nor hide what the log has seen.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "sidecar/core/engine.h"
#include "sidecar/io/file.h"
#include "sidecar/io/store_backup.h"
#include "sidecar/io/store_db.h"
#include "tests/lib/check.h"
#include "tests/lib/tmp_dir.h"

#define EPOCH_OF_BOOT(n) ((uint64_t)(n) << ENGINE_EPOCH_BOOT_SHIFT)

/* Appends rows 1 to `last`; each has the fact "boot" with its own number. */
static void make_store(const struct tmp_dir *d, uint64_t last, bool clean)
{
    struct store_db db;
    struct fail f;
    bool created;
    CHECK_OK(store_db_open(&db, tmp_dir_span(d), &created, &f), &f);
    for (uint64_t seq = db.last_seq + 1; seq <= last; seq++) {
        struct buf facts, body;
        const unsigned char boot[8] = {0, 0, 0, 0, 0, 0, 0, (unsigned char)seq};
        buf_init(&facts, mem_system(), 1024);
        buf_init(&body, mem_system(), 1024);
        journal_put_fact(&facts, FACT_META, SPAN("boot"),
                         span_of(boot, sizeof boot));
        journal_put_body(&body, buf_span(&facts), SPAN(""), SPAN(""));
        const struct store_db_row row = {seq, 1000, buf_span(&body)};
        CHECK_OK(store_db_begin(&db, &f), &f);
        CHECK_OK(store_db_insert(&db, &row, false, &f), &f);
        CHECK_OK(store_db_commit(&db, &f), &f);
        buf_fini(&facts);
        buf_fini(&body);
    }
    store_db_close(&db, clean);
}

static void make_log(const struct tmp_dir *d, const char *lines)
{
    char path[256];
    struct fail f;
    (void)snprintf(path, sizeof path, "%s", tmp_dir_file(d, "log"));
    CHECK_INT(mkdir(path, 0700), 0);
    CHECK_OK(file_create(span_str(path), "00000001.jsonl", span_str(lines),
                         0600, &f),
             &f);
}

struct state {
    uint64_t boot, restored;
};

static int take_fact(void *ctx, const struct fact *fact, struct fail *f)
{
    struct state *s = ctx;
    uint64_t v = 0;
    (void)f;
    for (size_t i = 0; i < fact->value.n; i++)
        v = v << 8 | fact->value.p[i];
    if (span_eq(fact->key, SPAN("boot")))
        s->boot = v;
    if (span_eq(fact->key, SPAN("restored")))
        s->restored = v;
    return 0;
}

static int no_row(void *ctx, uint64_t seq, const struct journal_body *body,
                  struct fail *f)
{
    (void)ctx;
    (void)seq;
    (void)body;
    return fail(f, RC_BROKEN, "a restored database has no unfolded rows");
}

static void read_state(const struct tmp_dir *d, struct state *ret,
                       uint64_t *ret_last)
{
    const struct store_reader r = {take_fact, no_row, ret};
    struct store_db db;
    struct fail f;
    bool created;
    CHECK_OK(store_db_open(&db, tmp_dir_span(d), &created, &f), &f);
    CHECK(!created);
    *ret = (struct state){0, 0};
    CHECK_OK(store_db_load(&db, &r, &f), &f);
    *ret_last = db.last_seq;
    store_db_close(&db, true);
}

static struct store_restore_conf conf_of(const struct tmp_dir *d,
                                         const char *from, char log[256])
{
    (void)snprintf(log, 256, "%s", tmp_dir_file(d, "log"));
    return (struct store_restore_conf){.dir = tmp_dir_span(d),
                                       .log_dir = span_str(log),
                                       .from = from,
                                       .wall_ms = 1790000000000};
}

/* A backup of row 5, while the world went on to row 9 in boot 12. */
static void restored_numbers_are_new(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct store_report r;
    struct store_restored back;
    struct state s;
    struct fail f;
    char to[256], log[256], line[512];
    uint64_t last;
    tmp_dir_make(&d);
    (void)snprintf(to, sizeof to, "%s", tmp_dir_file(&d, "copy"));
    make_store(&d, 5, false);
    CHECK_OK(store_backup(tmp_dir_span(&d), to, &r, &f), &f);
    CHECK_UINT(r.last_seq, 5);
    CHECK_UINT(r.rows, 5);
    CHECK_UINT(r.boot, 5);
    CHECK_INT(store_backup(tmp_dir_span(&d), to, &r, &f), RC_EXISTS);
    make_store(&d, 7, true);
    (void)snprintf(line, sizeof line,
                   "{\"v\":1,\"seq\":1,\"input\":9,\"why\":\",\\\"epoch\\\":"
                   "99999999999999999\",\"epoch\":%llu,\"z\":1}\n"
                   "{\"v\":1,\"seq\":2,\"inp",
                   (unsigned long long)EPOCH_OF_BOOT(12) + 7);
    make_log(&d, line);
    struct store_restore_conf conf = conf_of(&d, to, log);
    CHECK_INT(store_restore(&conf, &back, &f), RC_EXISTS);
    conf.force = true;
    CHECK_OK(store_restore(&conf, &back, &f), &f);
    CHECK_STR(back.aside, "bailiff.db.before-20260921T141320.000");
    CHECK_UINT(back.log_input, 9);
    CHECK_UINT(back.report.last_seq, 5);
    read_state(&d, &s, &last);
    CHECK_UINT(last, 9);
    CHECK(s.boot > 12);
    CHECK_UINT(s.boot + 1, back.next_boot);
    CHECK_UINT(s.restored, 1790000000000);
    CHECK(access(tmp_dir_file(&d, "restore"), F_OK) != 0);
    CHECK_OK(store_verify(tmp_dir_file(&d, back.aside), &r, &f), &f);
    CHECK_UINT(r.last_seq, 7);
    tmp_dir_drop(&d);
}

/* Without a log the old database is the witness; without both, the leap. */
static void numbers_are_new_without_a_log(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct store_report r;
    struct store_restored back;
    struct state s;
    struct fail f;
    char to[256], log[256];
    uint64_t last;
    tmp_dir_make(&d);
    (void)snprintf(to, sizeof to, "%s", tmp_dir_file(&d, "copy"));
    make_store(&d, 5, true);
    CHECK_OK(store_backup(tmp_dir_span(&d), to, &r, &f), &f);
    make_store(&d, 200, false);
    struct store_restore_conf conf = conf_of(&d, to, log);
    conf.force = true;
    CHECK_OK(store_restore(&conf, &back, &f), &f);
    read_state(&d, &s, &last);
    CHECK_UINT(last, 200);
    CHECK(s.boot > 200);
    CHECK_INT(unlink(tmp_dir_file(&d, "bailiff.db")), 0);
    conf.force = false;
    CHECK_OK(store_restore(&conf, &back, &f), &f);
    CHECK_STR(back.aside, "");
    read_state(&d, &s, &last);
    CHECK_UINT(last, 5);
    CHECK(s.boot > 1000);
    tmp_dir_drop(&d);
}

static void harm(const char *path, off_t at, const char *bytes, size_t n)
{
    FILE *file = fopen(path, "r+b");
    CHECK(file != NULL);
    CHECK_INT(fseeko(file, at, SEEK_SET), 0);
    CHECK_UINT(fwrite(bytes, 1, n, file), n);
    CHECK_INT(fclose(file), 0);
}

/* What is wrong with a backup is found before the old database is touched. */
static void bad_backups_change_nothing(void **state)
{
    static const struct {
        const char *name;
        off_t at;
        const char *bytes;
        size_t n;
        int rc;
    } rows[] = {
        {"not a database", 0, "hello", 5, RC_BROKEN},
        {"of another program", 68, "\x01\x02\x03\x04", 4, RC_CONFIG},
        {"of a newer program", 60, "\x00\x00\x00\x63", 4, RC_CONFIG},
        {"a page is damaged", 8192, "\xff\xff\xff\xff\xff\xff\xff\xff", 8,
         RC_BROKEN},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct tmp_dir d;
        struct store_report r;
        struct store_restored back;
        struct fail f;
        char to[256], log[256];
        check_row(rows[i].name);
        tmp_dir_make(&d);
        (void)snprintf(to, sizeof to, "%s", tmp_dir_file(&d, "copy"));
        make_store(&d, 5, true);
        CHECK_OK(store_backup(tmp_dir_span(&d), to, &r, &f), &f);
        harm(to, rows[i].at, rows[i].bytes, rows[i].n);
        struct store_restore_conf conf = conf_of(&d, to, log);
        conf.force = true;
        CHECK_INT(store_restore(&conf, &back, &f), rows[i].rc);
        CHECK(store_verify(to, &r, &f) == rows[i].rc);
        CHECK_OK(store_verify(tmp_dir_file(&d, "bailiff.db"), &r, &f), &f);
        CHECK_UINT(r.last_seq, 5);
        conf.from = tmp_dir_file(&d, "nothing");
        CHECK_INT(store_restore(&conf, &back, &f), RC_UNKNOWN_NAME);
        check_row(NULL);
        tmp_dir_drop(&d);
    }
}

/* A broken database is put aside as it is, its WAL with it. */
static void broken_database_is_replaced(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct store_report r;
    struct store_restored back;
    struct state s;
    struct fail f;
    char to[256], log[256];
    uint64_t last;
    tmp_dir_make(&d);
    (void)snprintf(to, sizeof to, "%s", tmp_dir_file(&d, "copy"));
    make_store(&d, 5, false);
    CHECK_OK(store_backup(tmp_dir_span(&d), to, &r, &f), &f);
    harm(tmp_dir_file(&d, "bailiff.db"), 0, "garbage", 7);
    struct store_restore_conf conf = conf_of(&d, to, log);
    conf.force = true;
    CHECK_OK(store_restore(&conf, &back, &f), &f);
    CHECK(access(tmp_dir_file(&d, "bailiff.db-wal"), F_OK) != 0);
    char wal[100];
    (void)snprintf(wal, sizeof wal, "%s-wal", back.aside);
    CHECK_INT(access(tmp_dir_file(&d, wal), F_OK), 0);
    read_state(&d, &s, &last);
    CHECK_UINT(last, 5);
    tmp_dir_drop(&d);
}

static void running_sidecar_refuses(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct store_report r;
    struct store_restored back;
    struct fail f;
    char to[256], log[256];
    int lock;
    tmp_dir_make(&d);
    (void)snprintf(to, sizeof to, "%s", tmp_dir_file(&d, "copy"));
    make_store(&d, 5, true);
    CHECK_OK(store_backup(tmp_dir_span(&d), to, &r, &f), &f);
    CHECK_OK(file_lock(tmp_dir_span(&d), &lock, &f), &f);
    struct store_restore_conf conf = conf_of(&d, to, log);
    conf.force = true;
    CHECK_INT(store_restore(&conf, &back, &f), RC_BUSY);
    CHECK_INT(close(lock), 0);
    tmp_dir_drop(&d);
}

/* tests/golden/store/v1.db was written by the first program of version 1: two
 * boots, two agents, holds, a sealed credential. Every later one must read it.
 */
static void oldest_database_is_read(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct store_report r;
    struct span bytes;
    struct store_db db;
    struct fail f;
    bool created;
    tmp_dir_make(&d);
    CHECK_OK(file_read(mem_system(), "tests/golden/store/v1.db", 1 << 24,
                       &bytes, &f),
             &f);
    CHECK_OK(file_create(tmp_dir_span(&d), "bailiff.db", bytes, 0600, &f), &f);
    mem_release(mem_system(), (void *)(uintptr_t)bytes.p);
    CHECK_OK(store_db_open(&db, tmp_dir_span(&d), &created, &f), &f);
    CHECK(!created);
    store_db_close(&db, true);
    CHECK_OK(store_verify(tmp_dir_file(&d, "bailiff.db"), &r, &f), &f);
    CHECK_UINT(r.last_seq, 8);
    CHECK_UINT(r.rows, 8);
    CHECK_UINT(r.boot, 2);
    tmp_dir_drop(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(restored_numbers_are_new),
        cmocka_unit_test(numbers_are_new_without_a_log),
        cmocka_unit_test(bad_backups_change_nothing),
        cmocka_unit_test(broken_database_is_replaced),
        cmocka_unit_test(running_sidecar_refuses),
        cmocka_unit_test(oldest_database_is_read),
    };
    return cmocka_run_group_tests_name("store_backup", tests, NULL, NULL);
}
