// SPDX-License-Identifier: Apache-2.0
/* Opening: header check, connection settings, integrity, migration, backup. */
#include "sidecar/io/store_db.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <uv.h>

#include "sidecar/io/file.h"

#define BUSY_WAIT_MS 250
#define COPY_BUSY_MAX 200
#define PROGRESS_STEPS 10000
#define TEXT(number) #number
#define TEXT_OF(macro) TEXT(macro)

/* Positions in the file header (the format is fixed, sqlite.org/fileformat). */
#define HEADER_BYTES 100
#define HEADER_USER_VERSION 60
#define HEADER_APPLICATION_ID 68

static const struct store_db_step steps_now[STORE_DB_VERSION] = {
    {"CREATE TABLE journal(seq INTEGER PRIMARY KEY, wall_ms INTEGER NOT NULL,"
     "  body BLOB NOT NULL);"
     "CREATE TABLE state(kind INTEGER NOT NULL, key BLOB NOT NULL,"
     "  value BLOB NOT NULL, PRIMARY KEY(kind, key)) WITHOUT ROWID;"
     "CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
     "INSERT INTO meta VALUES('folded_seq', 0);"},
};

int store_db_fail(sqlite3 *sql, const char *what, struct fail *f)
{
    int code = sqlite3_errcode(sql), more = sqlite3_extended_errcode(sql);
    int os = sqlite3_system_errno(sql);
    int rc = RC_BROKEN;
    if (code == SQLITE_FULL || (more == SQLITE_IOERR_WRITE && os == EDQUOT))
        rc = RC_NO_SPACE;
    else if (code == SQLITE_BUSY || code == SQLITE_LOCKED)
        rc = RC_BUSY;
    else if (code == SQLITE_NOMEM || more == SQLITE_IOERR_NOMEM)
        rc = RC_NO_MEMORY;
    const char *why = "";
    if ((code == SQLITE_IOERR || code == SQLITE_CANTOPEN) && os > 0)
        why = strerrordesc_np(os);
    else if (more == SQLITE_IOERR_SHMSIZE) /* its errno is not kept */
        why = "no room beside it on the disk";
    else if (more == SQLITE_READONLY_ROLLBACK)
        why = "a write to it was cut off, as its -journal says";
    return fail(f, rc, "%s: %s%s%s (sqlite %d)", what, sqlite3_errmsg(sql),
                why[0] == 0 ? "" : ": ", why, more);
}

static int pragma_text(sqlite3 *sql, const char *pragma, char *ret, size_t n,
                       struct fail *f)
{
    sqlite3_stmt *st = NULL;
    int rc = 0, step = SQLITE_ERROR;
    if (sqlite3_prepare_v2(sql, pragma, -1, &st, NULL) == SQLITE_OK)
        step = sqlite3_step(st);
    const unsigned char *text =
        step == SQLITE_ROW ? sqlite3_column_text(st, 0) : NULL;
    if (text != NULL)
        (void)snprintf(ret, n, "%s", (const char *)text);
    else if (step == SQLITE_ROW || step == SQLITE_DONE)
        rc = fail(f, RC_BROKEN, "%s gives nothing", pragma);
    else
        rc = store_db_fail(sql, pragma, f);
    sqlite3_finalize(st);
    return rc;
}

static int pragma_is(sqlite3 *sql, const char *pragma, const char *want,
                     struct fail *f)
{
    char got[128];
    TRY(pragma_text(sql, pragma, got, sizeof got, f));
    if (strcmp(got, want) != 0)
        return fail(f, RC_BROKEN, "%s is '%s' and not '%s'", pragma, got, want);
    return 0;
}

static int run(sqlite3 *sql, const char *text, struct fail *f)
{
    if (sqlite3_exec(sql, text, NULL, NULL, NULL) != SQLITE_OK)
        return store_db_fail(sql, "database", f);
    return 0;
}

static int fence(sqlite3 *sql, struct fail *f)
{
    static const struct {
        int option, value;
    } options[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},
        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
        {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
        {SQLITE_DBCONFIG_DQS_DDL, 0},
        {SQLITE_DBCONFIG_DQS_DML, 0},
        {SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1},
    };
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        int is = -1;
        if (sqlite3_db_config(sql, options[i].option, options[i].value, &is) !=
                SQLITE_OK ||
            is != options[i].value)
            return fail(f, RC_BROKEN, "sqlite option %d cannot be set",
                        options[i].option);
    }
    return 0;
}

int store_db_setup(sqlite3 *sql, struct fail *f)
{
    static const char *const checks[][2] = {
        {"PRAGMA journal_mode=WAL", "wal"}, {"PRAGMA synchronous", "2"},
        {"PRAGMA fullfsync", "0"},          {"PRAGMA trusted_schema", "0"},
        {"PRAGMA cell_size_check", "1"},    {"PRAGMA cache_size", "-2048"},
        {"PRAGMA wal_autocheckpoint", "0"},
    };
    TRY(run(sql,
            "PRAGMA synchronous=FULL; PRAGMA cache_size=-2048;"
            "PRAGMA mmap_size=0; PRAGMA cell_size_check=ON;"
            "PRAGMA wal_autocheckpoint=0; PRAGMA temp_store=MEMORY;"
            "PRAGMA journal_size_limit=16777216;",
            f));
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        TRY(pragma_is(sql, checks[i][0], checks[i][1], f));
    return 0;
}

static uint32_t header_u32(const unsigned char *h, size_t at)
{
    return (uint32_t)h[at] << 24 | (uint32_t)h[at + 1] << 16 |
           (uint32_t)h[at + 2] << 8 | h[at + 3];
}

static int refuse_newer(const struct store_db *db, int64_t found, int version,
                        struct fail *f)
{
    if (found <= version)
        return 0;
    return fail(f, RC_CONFIG,
                "%s has version %lld, this program knows %d: install the newer "
                "program or restore a backup; the file was not touched",
                db->path, (long long)found, version);
}

/* Nothing that would block, and nothing that points elsewhere. */
static int open_file(const char *path, int flags, int *ret_fd, struct fail *f)
{
    struct stat st;
    int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0 && errno == ELOOP)
        return fail(f, RC_CONFIG, "%s is a symbolic link", path);
    if (fd < 0)
        return fail(f, file_rc(errno), "open %s: %s", path,
                    strerrordesc_np(errno));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        ignore_rc(close(fd)); /* nothing written */
        return fail(f, RC_CONFIG, "%s is not a regular file", path);
    }
    *ret_fd = fd;
    return 0;
}

/* Looks at the file before SQLite does, because opening may already write. */
static int check_header(const struct store_db *db, int flags, int version,
                        bool *ret_new, struct fail *f)
{
    unsigned char h[HEADER_BYTES];
    int fd = -1;
    TRY(open_file(db->path, flags, &fd, f));
    ssize_t n = pread(fd, h, sizeof h, 0);
    ignore_rc(close(fd)); /* nothing written */
    *ret_new = n == 0;
    if (n == 0)
        return 0;
    if (n != HEADER_BYTES || memcmp(h, "SQLite format 3", 16) != 0)
        return fail(f, RC_BROKEN, "%s is not a database", db->path);
    uint32_t id = header_u32(h, HEADER_APPLICATION_ID);
    if (id != 0 && id != STORE_DB_APPLICATION_ID)
        return fail(f, RC_CONFIG, "%s belongs to another program (id %08x)",
                    db->path, id);
    return refuse_newer(db, header_u32(h, HEADER_USER_VERSION), version, f);
}

static int make_backup(struct store_db *db, struct span dir, int from,
                       struct fail *f)
{
    char to[FILE_PATH_MAX], name[48];
    (void)snprintf(name, sizeof name, "bailiff.db.v%d.bak", from);
    TRY(file_path(to, dir, name, f));
    if (access(to, F_OK) == 0)
        return 0; /* of an earlier attempt that did not come further */
    if (store_db_copy(db, to, f) < 0)
        return fail_wrap(f, "backup before the migration");
    return file_sync_dir(dir, f);
}

/* Applies the steps from the version found, all or none. */
static int migrate(struct store_db *db, const struct store_db_step *steps,
                   int from, int version, struct fail *f)
{
    char text[96];
    TRY(run(db->sql, "BEGIN IMMEDIATE", f));
    int rc = 0;
    for (int v = from; v < version && rc == 0; v++)
        rc = run(db->sql, steps[v].sql, f);
    (void)snprintf(text, sizeof text,
                   "PRAGMA user_version=%d; PRAGMA application_id=%d", version,
                   STORE_DB_APPLICATION_ID);
    if (rc == 0)
        rc = run(db->sql, text, f);
    if (rc == 0)
        rc = run(db->sql, "COMMIT", f);
    if (rc < 0) {
        (void)sqlite3_exec(db->sql, "ROLLBACK", NULL, NULL, NULL);
        return fail_wrap(f, "migration from version %d to %d", from, version);
    }
    return 0;
}

/* ---------------------------------------------------------------- schema */

#define SCHEMA                                                                 \
    "SELECT type, name, ifnull(sql,'') FROM sqlite_schema ORDER BY 1, 2"

static struct span schema_text(sqlite3_stmt *st, int at)
{
    const void *p = sqlite3_column_text(st, at);
    return span_of(p, (size_t)sqlite3_column_bytes(st, at));
}

static bool same_row(sqlite3_stmt *a, sqlite3_stmt *b)
{
    for (int i = 0; i < sqlite3_column_count(a); i++)
        if (!span_eq(schema_text(a, i), schema_text(b, i)))
            return false;
    return true;
}

static int compare_rows(sqlite3 *sql, sqlite3_stmt *have, sqlite3_stmt *want,
                        const char *path, struct fail *f)
{
    for (;;) {
        const int a = sqlite3_step(have), b = sqlite3_step(want);
        if (a == SQLITE_DONE && b == SQLITE_DONE)
            return 0;
        if (a != SQLITE_ROW && a != SQLITE_DONE)
            return store_db_fail(sql, "schema", f);
        sqlite3_stmt *odd = a == SQLITE_ROW ? have : want;
        if (a != b || !same_row(have, want))
            return fail(f, RC_CONFIG,
                        "%s is not as this program makes it: see its %.16s "
                        "'%.32s'",
                        path, (const char *)sqlite3_column_text(odd, 0),
                        (const char *)sqlite3_column_text(odd, 1));
    }
}

static int compare(sqlite3 *have, sqlite3 *want, const char *path,
                   struct fail *f)
{
    sqlite3_stmt *a = NULL, *b = NULL;
    int rc = 0;
    if (sqlite3_prepare_v2(want, SCHEMA, -1, &b, NULL) != SQLITE_OK)
        rc = store_db_fail(want, "schema", f);
    else if (sqlite3_prepare_v2(have, SCHEMA, -1, &a, NULL) != SQLITE_OK)
        rc = store_db_fail(have, "schema", f);
    else
        rc = compare_rows(have, a, b, path, f);
    sqlite3_finalize(a);
    sqlite3_finalize(b);
    return rc;
}

/* What a schema says is run when its tables are read: constraints, generated
 * columns, indices of expressions. So it must be, to the letter, what the
 * steps make. */
static int check_schema(const struct store_db *db,
                        const struct store_db_step *steps, int version,
                        struct fail *f)
{
    sqlite3 *want = NULL;
    int rc = 0;
    if (sqlite3_open_v2(":memory:", &want, SQLITE_OPEN_READWRITE, NULL) !=
        SQLITE_OK)
        rc = fail(f, RC_NO_MEMORY, "no memory for a schema");
    for (int v = 0; v < version && rc == 0; v++)
        rc = run(want, steps[v].sql, f);
    if (rc == 0)
        rc = compare(db->sql, want, db->path, f);
    (void)sqlite3_close(want);
    return rc;
}

/* Ends the statement that runs when its time is over. */
static int on_progress(void *ctx)
{
    const uint64_t *until_ms = ctx;
    return uv_hrtime() / 1000000 > *until_ms;
}

/* A large database is not worth a long outage: what the check has not reached
 * when its time is over is left to `bailiff check --deep`. */
static int check_quickly(sqlite3 *sql, bool *ret_cut, struct fail *f)
{
    uint64_t until_ms = uv_hrtime() / 1000000 + STORE_DB_CHECK_MS_MAX;
    sqlite3_progress_handler(sql, PROGRESS_STEPS, on_progress, &until_ms);
    int rc = pragma_is(sql, "PRAGMA quick_check(1)", "ok", f);
    sqlite3_progress_handler(sql, 0, NULL, NULL);
    *ret_cut = rc < 0 && sqlite3_errcode(sql) == SQLITE_INTERRUPT;
    return *ret_cut ? 0 : rc;
}

static int find_version(const struct store_db *db,
                        const struct store_db_step *steps, int version,
                        int *ret, struct fail *f)
{
    char text[32];
    uint64_t found = 0;
    TRY(pragma_text(db->sql, "PRAGMA user_version", text, sizeof text, f));
    if (!span_u64(span_str(text), &found))
        found = INT32_MAX; /* negative: not ours */
    TRY(refuse_newer(db, (int64_t)found, version, f));
    *ret = (int)found;
    return check_schema(db, steps, *ret, f);
}

static int bring_to(struct store_db *db, struct span dir,
                    const struct store_db_step *steps, int version,
                    bool *ret_created, struct fail *f)
{
    int found;
    TRY(find_version(db, steps, version, &found, f));
    if (found == 0) /* has no effect once there are tables */
        TRY(run(db->sql, "PRAGMA auto_vacuum=INCREMENTAL", f));
    TRY(store_db_setup(db->sql, f));
    *ret_created = found == 0;
    if (found == version)
        return 0;
    bool cut;
    TRY(check_quickly(db->sql, &cut, f));
    if (found > 0)
        TRY(make_backup(db, dir, found, f));
    TRY(migrate(db, steps, found, version, f));
    return file_sync_dir(dir, f);
}

static int prepare_all(struct store_db *db, struct fail *f)
{
    static const char *const text[SQL_COUNT] = {
        [SQL_BEGIN] = "BEGIN IMMEDIATE",
        [SQL_COMMIT] = "COMMIT",
        [SQL_ROLLBACK] = "ROLLBACK",
        [SQL_INSERT] =
            "INSERT INTO journal(seq,wall_ms,body) "
            "VALUES(?1,?2,?3)",
        [SQL_INSERT_AGAIN] =
            "INSERT OR IGNORE INTO journal(seq,wall_ms,body) "
            "VALUES(?1,?2,?3)",
        [SQL_FOLD_ROWS] =
            "SELECT seq, body FROM journal WHERE seq>?1 AND "
            "seq<=?2 ORDER BY seq LIMIT ?3",
        [SQL_PUT_STATE] = "INSERT OR REPLACE INTO state VALUES(?1,?2,?3)",
        [SQL_DROP_STATE] = "DELETE FROM state WHERE kind=?1 AND key=?2",
        [SQL_PUT_FOLDED] =
            "INSERT OR REPLACE INTO meta "
            "VALUES('folded_seq',?1)",
        [SQL_OLD_ROWS] =
            "SELECT seq, wall_ms FROM journal WHERE seq<=?1 "
            "ORDER BY seq LIMIT ?2",
        [SQL_DELETE_ROWS] = "DELETE FROM journal WHERE seq<=?1",
        [SQL_FREE_PAGES] = "PRAGMA freelist_count",
        [SQL_GIVE_BACK] =
            "PRAGMA incremental_vacuum(" TEXT_OF(STORE_DB_GIVE_BACK_PAGES) ")",
    };
    for (int i = 0; i < SQL_COUNT; i++)
        if (sqlite3_prepare_v3(db->sql, text[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &db->st[i], NULL) != SQLITE_OK)
            return store_db_fail(db->sql, text[i], f);
    return 0;
}

static int read_u64(struct store_db *db, const char *query, uint64_t *ret,
                    struct fail *f)
{
    char text[32];
    TRY(pragma_text(db->sql, query, text, sizeof text, f));
    if (!span_u64(span_str(text), ret))
        return fail(f, RC_BROKEN, "%s gives '%s'", query, text);
    return 0;
}

/* Rows that only seem to be folded would be forgotten. Just restored, the
 * numbers that the log has seen are left out (FACT_META "restored"). */
static int check_folded(struct store_db *db, struct fail *f)
{
    uint64_t restored;
    if (db->last_seq == 0 || db->folded_seq <= db->last_seq)
        return 0;
    TRY(read_u64(db,
                 "SELECT count(*) FROM state WHERE kind=1 AND "
                 "key=CAST('restored' AS BLOB)",
                 &restored, f));
    return restored > 0
               ? 0
               : fail(f, RC_BROKEN,
                      "%s is folded up to row %llu, but its last row is %llu",
                      db->path, (unsigned long long)db->folded_seq,
                      (unsigned long long)db->last_seq);
}

static int read_seqs(struct store_db *db, struct fail *f)
{
    TRY(read_u64(db, "SELECT value FROM meta WHERE name='folded_seq'",
                 &db->folded_seq, f));
    TRY(read_u64(db, "SELECT ifnull(max(seq),0) FROM journal", &db->last_seq,
                 f));
    TRY(check_folded(db, f));
    if (db->last_seq < db->folded_seq)
        db->last_seq = db->folded_seq;
    if (db->last_seq > STORE_DB_SEQ_MAX)
        return fail(f, RC_BROKEN, "%s ends at row %llu: nothing can follow it",
                    db->path, (unsigned long long)db->last_seq);
    return 0;
}

static int on_wal(void *ctx, sqlite3 *sql, const char *name, int pages)
{
    (void)sql;
    (void)name;
    struct store_db *db = ctx;
    db->wal_pages = pages;
    return SQLITE_OK;
}

/* A way to it may be a link, itself it is none: open_file has looked. */
static int open_sql(const char *path, int how, sqlite3 **ret, struct fail *f)
{
    if (sqlite3_open_v2(path, ret, how | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK)
        return *ret == NULL ? fail(f, RC_NO_MEMORY, "no memory for a database")
                            : store_db_fail(*ret, path, f);
    (void)sqlite3_extended_result_codes(*ret, 1);
    (void)sqlite3_busy_timeout(*ret, BUSY_WAIT_MS);
    (void)sqlite3_limit(*ret, SQLITE_LIMIT_LENGTH, STORE_DB_VALUE_MAX);
    return fence(*ret, f);
}

int store_db_open_version(struct store_db *db, struct span dir,
                          const struct store_db_step *steps, int version,
                          bool *ret_created, struct fail *f)
{
    *db = (struct store_db){.sql = NULL};
    bool fresh = false, created = false;
    TRY(file_path(db->path, dir, "bailiff.db", f));
    TRY(check_header(db, O_RDWR | O_CREAT, version, &fresh, f));
    if (fresh)
        TRY(file_sync_dir(dir, f));
    int rc = open_sql(db->path, SQLITE_OPEN_READWRITE, &db->sql, f);
    if (rc == 0)
        rc = bring_to(db, dir, steps, version, &created, f);
    if (rc == 0) {
        /* Only now: setting wal_autocheckpoint takes the hook away. */
        (void)sqlite3_wal_hook(db->sql, on_wal, db);
        rc = prepare_all(db, f);
    }
    if (rc == 0)
        rc = read_seqs(db, f);
    if (rc < 0)
        store_db_close(db, false);
    else
        *ret_created = created;
    return rc;
}

int store_db_open_read(struct store_db *db, const char *path, struct fail *f)
{
    *db = (struct store_db){.sql = NULL};
    bool empty = false;
    TRY(file_path(db->path, span_str(path), "", f));
    TRY(check_header(db, O_RDONLY, STORE_DB_VERSION, &empty, f));
    if (empty)
        return fail(f, RC_BROKEN, "%s is empty", path);
    int version, rc = open_sql(db->path, SQLITE_OPEN_READONLY, &db->sql, f);
    if (rc == 0)
        rc = find_version(db, steps_now, STORE_DB_VERSION, &version, f);
    if (rc == 0)
        rc = read_seqs(db, f);
    if (rc < 0)
        store_db_close(db, false);
    return rc;
}

int store_db_check_quickly(const char *path, bool *ret_cut, struct fail *f)
{
    struct store_db db;
    *ret_cut = false;
    TRY(store_db_open_read(&db, path, f));
    int rc = check_quickly(db.sql, ret_cut, f);
    store_db_close(&db, false);
    return rc < 0 ? fail_wrap(f, "%s", path) : 0;
}

int store_db_check(struct store_db *db, struct fail *f)
{
    return pragma_is(db->sql, "PRAGMA integrity_check(1)", "ok", f);
}

int store_db_open(struct store_db *db, struct span dir, bool *ret_created,
                  struct fail *f)
{
    TRY(store_db_open_version(db, dir, steps_now, STORE_DB_VERSION, ret_created,
                              f) < 0
            ? fail_wrap(f, "store %.*s", PRSPAN(dir))
            : 0);
    return 0;
}

void store_db_close(struct store_db *db, bool clean)
{
    for (int i = 0; i < SQL_COUNT; i++)
        sqlite3_finalize(db->st[i]);
    if (db->sql != NULL && clean)
        (void)sqlite3_db_config(db->sql, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0,
                                NULL);
    (void)sqlite3_close(db->sql); /* statements are gone, so it cannot fail */
    *db = (struct store_db){.sql = NULL};
}

/* All pages in one step, that is in one read transaction: between steps every
 * commit of another process would begin the copy anew. In WAL mode the writer
 * is not held up. */
static int copy_pages(sqlite3 *from, sqlite3 *to, struct fail *f)
{
    sqlite3_backup *b = sqlite3_backup_init(to, "main", from, "main");
    if (b == NULL)
        return store_db_fail(to, "copy", f);
    int step, busy = 0;
    while (((step = sqlite3_backup_step(b, -1)) == SQLITE_BUSY ||
            step == SQLITE_LOCKED) &&
           busy++ < COPY_BUSY_MAX)
        (void)sqlite3_sleep(25);
    (void)sqlite3_backup_finish(b);
    return step == SQLITE_DONE ? 0 : store_db_fail(to, "copy", f);
}

static int copy_into(sqlite3 *from, const char *to, struct fail *f)
{
    sqlite3 *target = NULL;
    int rc = open_sql(to, SQLITE_OPEN_READWRITE, &target, f);
    if (rc == 0)
        rc = copy_pages(from, target, f);
    /* One file, not three: the copy is moved about. */
    if (rc == 0)
        rc = pragma_is(target, "PRAGMA journal_mode=DELETE", "delete", f);
    if (rc == 0)
        rc = pragma_is(target, "PRAGMA quick_check(1)", "ok", f);
    (void)sqlite3_close(target);
    return rc;
}

/* Half a copy helps nobody. */
static void drop_copy(const char *fresh)
{
    char journal[FILE_PATH_MAX + 16];
    (void)snprintf(journal, sizeof journal, "%s-journal", fresh);
    ignore_rc(unlink(fresh)); /* mostly neither is there */
    ignore_rc(unlink(journal));
}

int store_db_copy(const struct store_db *from, const char *to, struct fail *f)
{
    char fresh[FILE_PATH_MAX + 8];
    (void)snprintf(fresh, sizeof fresh, "%s.new", to);
    drop_copy(fresh); /* one that was cut off */
    int fd = open(fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(f, file_rc(errno), "open %s: %s", fresh,
                    strerrordesc_np(errno));
    int rc = copy_into(from->sql, fresh, f);
    if (rc < 0)
        ignore_rc(fail_wrap(f, "%s", from->path));
    if (rc == 0 && fsync(fd) != 0)
        rc = fail(f, file_rc(errno), "fsync %s: %s", fresh,
                  strerrordesc_np(errno));
    ignore_rc(close(fd));                /* synced above */
    if (rc == 0 && link(fresh, to) != 0) /* never replaces */
        rc = fail(f, errno == EEXIST ? RC_EXISTS : file_rc(errno), "%s: %s", to,
                  strerrordesc_np(errno));
    drop_copy(fresh);
    return rc;
}
