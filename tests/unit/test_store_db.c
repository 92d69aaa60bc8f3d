// SPDX-License-Identifier: Apache-2.0
/*
 * The database file as it is found at a start: of which version, whose, whole
 * or not, and in what directory.
 */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "sidecar/io/file.h"
#include "sidecar/io/store.h"
#include "sidecar/io/store_db.h"
#include "tests/lib/check.h"
#include "tests/lib/tmp_dir.h"

/* What a store says to a directory that it cannot take. */
static int open_fails(struct span dir, struct fail *f)
{
    const struct store_conf conf = {.dir = dir};
    struct store *s;
    bool created;
    int rc = store_open(&conf, &s, &created, f);
    CHECK(rc < 0);
    return rc;
}

static void loose_directory_is_refused(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct fail f;
    tmp_dir_make(&d);
    CHECK_INT(chmod(d.path, 0770), 0);
    CHECK_INT(open_fails(tmp_dir_span(&d), &f), RC_CONFIG);
    CHECK_INT(chmod(d.path, 0700), 0);
    CHECK_INT(open_fails(SPAN("/nonexistent/bailiff"), &f), RC_CONFIG);
    tmp_dir_drop(&d);
}

/* ---- versions ---- */

static const struct store_db_step two_steps[] = {
    {"CREATE TABLE journal(seq INTEGER PRIMARY KEY, wall_ms INTEGER NOT NULL,"
     "  body BLOB NOT NULL);"
     "CREATE TABLE state(kind INTEGER NOT NULL, key BLOB NOT NULL,"
     "  value BLOB NOT NULL, PRIMARY KEY(kind, key)) WITHOUT ROWID;"
     "CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
     "INSERT INTO meta VALUES('folded_seq', 0);"},
    {"ALTER TABLE journal ADD COLUMN colour TEXT DEFAULT 'red';"},
    {"INSERT INTO nowhere VALUES(1);"},
};

static void make_db(const struct tmp_dir *d, int version)
{
    struct store_db db;
    struct fail f;
    bool created;
    CHECK_OK(store_db_open_version(&db, tmp_dir_span(d), two_steps, version,
                                   &created, &f),
             &f);
    store_db_close(&db, true);
}

static void read_file(const struct tmp_dir *d, const char *name, struct buf *b)
{
    struct span s;
    struct fail f;
    CHECK_OK(file_read(mem_system(), tmp_dir_file(d, name), 1 << 24, &s, &f),
             &f);
    buf_init(b, mem_system(), 1 << 24);
    buf_put(b, s);
    mem_release(mem_system(), (void *)(uintptr_t)s.p);
}

static void migrates_after_a_backup(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct store_db db;
    struct fail f;
    bool created = true;
    sqlite3 *backup;
    tmp_dir_make(&d);
    make_db(&d, 1);
    /* A step that fails leaves version 1 with its data. */
    CHECK(store_db_open_version(&db, tmp_dir_span(&d), two_steps, 3, &created,
                                &f) < 0);
    CHECK_OK(store_db_open_version(&db, tmp_dir_span(&d), two_steps, 2,
                                   &created, &f),
             &f);
    CHECK(!created);
    CHECK_INT(
        sqlite3_exec(db.sql, "SELECT colour FROM journal", NULL, NULL, NULL),
        SQLITE_OK);
    store_db_close(&db, true);
    CHECK_INT(sqlite3_open(tmp_dir_file(&d, "bailiff.db.v1.bak"), &backup),
              SQLITE_OK);
    CHECK_INT(
        sqlite3_exec(backup, "SELECT colour FROM journal", NULL, NULL, NULL),
        SQLITE_ERROR);
    CHECK_INT(
        sqlite3_exec(backup, "SELECT body FROM journal", NULL, NULL, NULL),
        SQLITE_OK);
    (void)sqlite3_close(backup);
    tmp_dir_drop(&d);
}

static void newer_version_is_refused_untouched(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct fail f;
    struct buf before, after;
    tmp_dir_make(&d);
    make_db(&d, 2);
    read_file(&d, "bailiff.db", &before);
    CHECK_INT(open_fails(tmp_dir_span(&d), &f), RC_CONFIG);
    CHECK(strstr(f.text, "version 2") != NULL);
    read_file(&d, "bailiff.db", &after);
    CHECK(span_eq(buf_span(&before), buf_span(&after)));
    CHECK(access(tmp_dir_file(&d, "bailiff.db-wal"), F_OK) != 0);
    buf_fini(&before);
    buf_fini(&after);
    tmp_dir_drop(&d);
}

static int take_fact(void *ctx, const struct fact *fact, struct fail *f)
{
    (void)ctx;
    (void)fact;
    (void)f;
    return 0;
}

static int take_row(void *ctx, uint64_t seq, const struct journal_body *body,
                    struct fail *f)
{
    (void)ctx;
    (void)seq;
    (void)body;
    (void)f;
    return 0;
}

/* As every start does; what is opened is closed again. */
static int open_and_load(struct span dir, struct fail *f)
{
    const struct store_conf conf = {.dir = dir};
    const struct store_reader r = {take_fact, take_row, NULL};
    struct store *s;
    uint64_t last_seq;
    bool created;
    TRY(store_open(&conf, &s, &created, f));
    int rc = store_load(s, &r, &last_seq, f);
    store_free(s);
    return rc;
}

/* A page that no load looks at: only the check finds it. */
static void broken_beside_what_is_loaded(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct buf db;
    struct fail f;
    sqlite3 *sql;
    tmp_dir_make(&d);
    make_db(&d, 1);
    CHECK_INT(sqlite3_open(tmp_dir_file(&d, "bailiff.db"), &sql), SQLITE_OK);
    CHECK_INT(sqlite3_exec(sql,
                           "INSERT INTO journal VALUES(1, 0, "
                           "zeroblob(9000)); DELETE FROM journal;"
                           "PRAGMA wal_checkpoint(TRUNCATE)",
                           NULL, NULL, NULL),
              SQLITE_OK);
    (void)sqlite3_close(sql);
    CHECK_OK(open_and_load(tmp_dir_span(&d), &f), &f);
    read_file(&d, "bailiff.db", &db);
    CHECK(db.p[35] > 1); /* the first free page, which names the others */
    memset(db.p + (db.p[35] - 1) * 4096, 0xa5, 2048);
    CHECK_OK(
        file_replace(tmp_dir_span(&d), "bailiff.db", buf_span(&db), 0600, &f),
        &f);
    CHECK_INT(open_and_load(tmp_dir_span(&d), &f), RC_BROKEN);
    buf_fini(&db);
    tmp_dir_drop(&d);
}

static void run_sql(const struct tmp_dir *d, const char *statements)
{
    sqlite3 *sql;
    CHECK_INT(sqlite3_open(tmp_dir_file(d, "bailiff.db"), &sql), SQLITE_OK);
    CHECK_INT(sqlite3_exec(sql, statements, NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(sql);
}

#define FACT(kind, key, value)                                                 \
    "INSERT INTO state VALUES(" kind "," key "," value ")"

/* What SQL lets anybody write, and this program never did. */
static void what_others_wrote_is_refused(void **state)
{
    static const struct {
        const char *sql;
        int rc;
        const char *says;
    } rows[] = {
        {FACT("1", "x'00'", "x'00'"), 0, NULL},
        {FACT("4294967299", "x'00'", "x'00'"), RC_BROKEN, "kind 4294967299"},
        {FACT("11", "x'00'", "x'00'"), RC_BROKEN, "unknown kind 11"},
        {FACT("3", "'text'", "x'00'"), RC_BROKEN, "another type"},
        {FACT("3", "x'00'", "7"), RC_BROKEN, "another type"},
        {FACT("'three'", "x'00'", "x'00'"), RC_BROKEN, "another type"},
        {"INSERT INTO journal VALUES(1, 'noon', x'00')", RC_BROKEN,
         "journal row 1 "},
        {"INSERT INTO journal VALUES(1, 0, 'text')", RC_BROKEN,
         "journal row 1 "},
        {"INSERT INTO journal VALUES(9223372036854775807, 0, x'00')", RC_BROKEN,
         "nothing can follow"},
        {"INSERT INTO journal VALUES(1, 0, zeroblob(3000000))", RC_BROKEN,
         "too big"},
        {"INSERT INTO journal VALUES(1, 0, x'01000000000000000000000000');"
         "UPDATE meta SET value=9",
         RC_BROKEN, "folded up to row 9"},
        {"INSERT INTO journal VALUES(1, 0, x'01000000000000000000000000');"
         "UPDATE meta SET value=9;" FACT("1", "CAST('restored' AS BLOB)",
                                         "x'0000000000000001'"),
         0, NULL},
        {"DELETE FROM meta", RC_BROKEN, "gives nothing"},
        {"UPDATE meta SET value=NULL", RC_BROKEN, "gives nothing"},
        {"CREATE TABLE notes(a)", RC_CONFIG, "its table 'notes'"},
        {"CREATE INDEX i ON journal(length(body))", RC_CONFIG, "its index 'i'"},
        {"CREATE TRIGGER t AFTER INSERT ON journal BEGIN SELECT 1; END",
         RC_CONFIG, "its trigger 't'"},
        {"DROP TABLE state; CREATE VIEW state AS SELECT 1 AS kind", RC_CONFIG,
         "'state'"},
        {"ALTER TABLE journal ADD COLUMN a AS (hex(body))", RC_CONFIG,
         "its table 'journal'"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct tmp_dir d;
        struct fail f = {.text = ""};
        check_row(rows[i].sql);
        tmp_dir_make(&d);
        make_db(&d, 1);
        run_sql(&d, rows[i].sql);
        CHECK_INT(open_and_load(tmp_dir_span(&d), &f), rows[i].rc);
        CHECK(rows[i].says == NULL || strstr(f.text, rows[i].says) != NULL);
        check_row(NULL);
        tmp_dir_drop(&d);
    }
}

/* The way there may be a link; the file itself may not. */
static void links(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct fail f;
    char way[256];
    tmp_dir_make(&d);
    CHECK_INT(mkdir(tmp_dir_file(&d, "data"), 0700), 0);
    (void)snprintf(way, sizeof way, "%s", tmp_dir_file(&d, "way"));
    CHECK_INT(symlink("data", way), 0);
    CHECK_OK(open_and_load(span_str(way), &f), &f);
    CHECK_OK(open_and_load(span_str(way), &f), &f);
    CHECK_INT(symlink("data/bailiff.db", tmp_dir_file(&d, "bailiff.db")), 0);
    CHECK_INT(open_fails(tmp_dir_span(&d), &f), RC_CONFIG);
    CHECK(strstr(f.text, "symbolic link") != NULL);
    tmp_dir_drop(&d);
}

static void foreign_and_broken_files_are_refused(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct buf db;
    struct fail f;
    tmp_dir_make(&d);
    make_db(&d, 1);
    read_file(&d, "bailiff.db", &db);
    db.p[68] ^= 1; /* application_id */
    CHECK_OK(
        file_replace(tmp_dir_span(&d), "bailiff.db", buf_span(&db), 0600, &f),
        &f);
    CHECK_INT(open_fails(tmp_dir_span(&d), &f), RC_CONFIG);
    db.p[68] ^= 1;
    memset(db.p + 4096, 0xa5, 2048); /* the second page */
    CHECK_OK(
        file_replace(tmp_dir_span(&d), "bailiff.db", buf_span(&db), 0600, &f),
        &f);
    CHECK_INT(open_and_load(tmp_dir_span(&d), &f), RC_BROKEN);
    CHECK_OK(
        file_replace(tmp_dir_span(&d), "bailiff.db", SPAN("hello"), 0600, &f),
        &f);
    CHECK_INT(open_fails(tmp_dir_span(&d), &f), RC_BROKEN);
    buf_fini(&db);
    tmp_dir_drop(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loose_directory_is_refused),
        cmocka_unit_test(migrates_after_a_backup),
        cmocka_unit_test(newer_version_is_refused_untouched),
        cmocka_unit_test(foreign_and_broken_files_are_refused),
        cmocka_unit_test(what_others_wrote_is_refused),
        cmocka_unit_test(links),
        cmocka_unit_test(broken_beside_what_is_loaded),
    };
    return cmocka_run_group_tests_name("store_db", tests, NULL, NULL);
}
