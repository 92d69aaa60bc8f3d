// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/store_db.h"

#include <limits.h>

/* Runs a statement that gives no rows. */
static int step_done(struct store_db *db, enum store_db_sql which,
                     const char *what, struct fail *f)
{
    sqlite3_stmt *st = db->st[which];
    int rc =
        sqlite3_step(st) == SQLITE_DONE ? 0 : store_db_fail(db->sql, what, f);
    (void)sqlite3_reset(st); /* repeats the error of the step */
    return rc;
}

/* NULL is not an empty blob to SQLite. */
static void bind_blob(sqlite3_stmt *st, int at, struct span s)
{
    must(s.n <= INT_MAX);
    (void)sqlite3_bind_blob(st, at, s.n == 0 ? "" : (const void *)s.p, (int)s.n,
                            SQLITE_STATIC);
}

static struct span column_span(sqlite3_stmt *st, int at)
{
    const void *p = sqlite3_column_blob(st, at);
    return span_of(p, (size_t)sqlite3_column_bytes(st, at));
}

int store_db_begin(struct store_db *db, struct fail *f)
{
    return step_done(db, SQL_BEGIN, "begin", f);
}

int store_db_insert(struct store_db *db, const struct store_db_row *row,
                    bool again, struct fail *f)
{
    must(row->seq <= INT64_MAX);
    enum store_db_sql which = again ? SQL_INSERT_AGAIN : SQL_INSERT;
    sqlite3_stmt *st = db->st[which];
    (void)sqlite3_bind_int64(st, 1, (int64_t)row->seq);
    (void)sqlite3_bind_int64(st, 2, row->wall_ms);
    bind_blob(st, 3, row->body);
    int rc = step_done(db, which, "insert", f);
    (void)sqlite3_clear_bindings(st); /* the body is the caller's */
    return rc;
}

int store_db_commit(struct store_db *db, struct fail *f)
{
    return step_done(db, SQL_COMMIT, "commit", f);
}

void store_db_rollback(struct store_db *db)
{
    if (sqlite3_get_autocommit(db->sql) == 0)
        ignore_rc(step_done(db, SQL_ROLLBACK, "rollback", NULL));
    /* A rollback that fails leaves a connection that refuses BEGIN: the next
     * try reports it. */
}

int store_db_put_fact(struct store_db *db, const struct fact *fact,
                      struct fail *f)
{
    enum store_db_sql which = fact->gone ? SQL_DROP_STATE : SQL_PUT_STATE;
    sqlite3_stmt *st = db->st[which];
    (void)sqlite3_bind_int(st, 1, (int)fact->kind);
    bind_blob(st, 2, fact->key);
    if (!fact->gone)
        bind_blob(st, 3, fact->value);
    int rc = step_done(db, which, "fold", f);
    (void)sqlite3_clear_bindings(st);
    return rc;
}

static int fold_row(struct store_db *db, uint64_t seq, struct span bytes,
                    struct fail *f)
{
    struct journal_body body;
    struct fact fact;
    int more;
    if (journal_read_body(bytes, &body, f) < 0)
        return fail_wrap(f, "journal row %llu", (unsigned long long)seq);
    while ((more = journal_next_fact(&body.facts, &fact, f)) == 1)
        TRY(store_db_put_fact(db, &fact, f));
    return more < 0 ? fail_wrap(f, "journal row %llu", (unsigned long long)seq)
                    : 0;
}

static int fold_rows(struct store_db *db, uint64_t upto, uint32_t rows_max,
                     uint64_t *ret_last, uint32_t *ret_rows, struct fail *f)
{
    sqlite3_stmt *st = db->st[SQL_FOLD_ROWS];
    int rc = 0, step;
    *ret_rows = 0;
    (void)sqlite3_bind_int64(st, 1, (int64_t)db->folded_seq);
    (void)sqlite3_bind_int64(st, 2, (int64_t)upto);
    (void)sqlite3_bind_int64(st, 3, rows_max);
    while (rc == 0 && (step = sqlite3_step(st)) != SQLITE_DONE) {
        if (step != SQLITE_ROW) {
            rc = store_db_fail(db->sql, "fold", f);
            break;
        }
        *ret_last = (uint64_t)sqlite3_column_int64(st, 0);
        rc = fold_row(db, *ret_last, column_span(st, 1), f);
        (*ret_rows)++;
    }
    (void)sqlite3_reset(st);
    return rc;
}

static int put_folded(struct store_db *db, uint64_t seq, struct fail *f)
{
    (void)sqlite3_bind_int64(db->st[SQL_PUT_FOLDED], 1, (int64_t)seq);
    return step_done(db, SQL_PUT_FOLDED, "fold", f);
}

int store_db_skip_to(struct store_db *db, uint64_t seq, struct fail *f)
{
    must(seq >= db->last_seq && seq <= INT64_MAX);
    TRY(put_folded(db, seq, f));
    db->folded_seq = db->last_seq = seq;
    return 0;
}

int store_db_fold(struct store_db *db, uint64_t upto, uint32_t rows_max,
                  uint32_t *ret_rows, struct fail *f)
{
    uint64_t last = db->folded_seq;
    TRY(store_db_begin(db, f));
    int rc = fold_rows(db, upto, rows_max, &last, ret_rows, f);
    if (rc == 0 && *ret_rows > 0)
        rc = put_folded(db, last, f);
    if (rc == 0)
        rc = store_db_commit(db, f);
    if (rc < 0) {
        store_db_rollback(db);
        return rc;
    }
    db->folded_seq = last;
    return 0;
}

/* The last of the rows at the old end that may go; 0 for none. */
static int find_old(struct store_db *db, const struct store_db_old *old,
                    uint32_t rows_max, uint64_t *ret_last, uint32_t *ret_rows,
                    struct fail *f)
{
    sqlite3_stmt *st = db->st[SQL_OLD_ROWS];
    int step;
    *ret_last = 0;
    *ret_rows = 0;
    (void)sqlite3_bind_int64(st, 1, (int64_t)db->folded_seq);
    (void)sqlite3_bind_int64(st, 2, rows_max);
    while ((step = sqlite3_step(st)) == SQLITE_ROW &&
           (sqlite3_column_int64(st, 1) < old->before_ms ||
            (uint64_t)sqlite3_column_int64(st, 0) <= old->upto_seq)) {
        *ret_last = (uint64_t)sqlite3_column_int64(st, 0);
        (*ret_rows)++;
    }
    int rc = step == SQLITE_ROW || step == SQLITE_DONE
                 ? 0
                 : store_db_fail(db->sql, "find old rows", f);
    (void)sqlite3_reset(st);
    return rc;
}

int store_db_prune(struct store_db *db, const struct store_db_old *old,
                   uint32_t rows_max, uint32_t *ret_rows, struct fail *f)
{
    uint64_t last;
    TRY(find_old(db, old, rows_max, &last, ret_rows, f));
    if (*ret_rows == 0)
        return 0;
    (void)sqlite3_bind_int64(db->st[SQL_DELETE_ROWS], 1, (int64_t)last);
    return step_done(db, SQL_DELETE_ROWS, "delete old rows", f);
}

static int free_pages(struct store_db *db, int64_t *ret, struct fail *f)
{
    sqlite3_stmt *st = db->st[SQL_FREE_PAGES];
    int rc = sqlite3_step(st) == SQLITE_ROW
                 ? 0
                 : store_db_fail(db->sql, "count free pages", f);
    *ret = sqlite3_column_int64(st, 0);
    (void)sqlite3_reset(st);
    return rc;
}

int store_db_give_back(struct store_db *db, bool *ret_more, struct fail *f)
{
    sqlite3_stmt *st = db->st[SQL_GIVE_BACK];
    int64_t pages = 0;
    int step;
    *ret_more = false;
    TRY(free_pages(db, &pages, f));
    if (pages <= STORE_DB_FREE_PAGES_KEPT)
        return 0;
    while ((step = sqlite3_step(st)) == SQLITE_ROW)
        continue; /* a row for each page */
    int rc = step == SQLITE_DONE ? 0 : store_db_fail(db->sql, "give back", f);
    (void)sqlite3_reset(st);
    TRY(rc);
    TRY(free_pages(db, &pages, f));
    *ret_more = pages > STORE_DB_FREE_PAGES_KEPT;
    return 0;
}

int store_db_checkpoint(struct store_db *db, bool force, struct fail *f)
{
    if (!force && db->wal_pages < STORE_DB_WAL_PAGES_MAX)
        return 0;
    int mode = force ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;
    int code = sqlite3_wal_checkpoint_v2(db->sql, NULL, mode, NULL, NULL);
    db->wal_pages = 0; /* counted anew by the next commit */
    if (code == SQLITE_OK)
        return 0;
    int rc = store_db_fail(db->sql, "checkpoint", f);
    return rc == RC_BROKEN ? rc : 0;
}

/* Columns take anything, and what is of another type is another key. */
static bool columns_are(sqlite3_stmt *st, const int types[3])
{
    for (int i = 0; i < 3; i++)
        if (sqlite3_column_type(st, i) != types[i])
            return false;
    return true;
}

static int read_fact(sqlite3_stmt *st, struct fact *ret, struct fail *f)
{
    static const int types[] = {SQLITE_INTEGER, SQLITE_BLOB, SQLITE_BLOB};
    const int64_t kind = sqlite3_column_int64(st, 0);
    if (!columns_are(st, types))
        return fail(f, RC_BROKEN,
                    "state has a fact of kind %lld with a column of another "
                    "type",
                    (long long)kind);
    if (kind <= 0 || kind >= FACT_KIND_COUNT)
        return fail(f, RC_BROKEN, "state has a fact of unknown kind %lld",
                    (long long)kind);
    *ret = (struct fact){.kind = (enum fact_kind)kind,
                         .key = column_span(st, 1),
                         .value = column_span(st, 2)};
    return 0;
}

static int load_facts(struct store_db *db, const struct store_reader *r,
                      struct fail *f)
{
    sqlite3_stmt *st = NULL;
    int rc = 0, step = SQLITE_DONE;
    if (sqlite3_prepare_v2(db->sql, "SELECT kind, key, value FROM state", -1,
                           &st, NULL) != SQLITE_OK)
        return store_db_fail(db->sql, "load", f);
    while (rc >= 0 && (step = sqlite3_step(st)) == SQLITE_ROW) {
        struct fact fact;
        rc = read_fact(st, &fact, f);
        if (rc == 0)
            rc = r->fact(r->ctx, &fact, f);
    }
    if (rc >= 0 && step != SQLITE_DONE)
        rc = store_db_fail(db->sql, "load", f);
    sqlite3_finalize(st);
    return rc < 0 ? rc : 0;
}

/* What store_db_load and store_db_scan do with a row. */
struct row_sink {
    const struct store_reader *reader;
    int (*row)(void *ctx, uint64_t seq, int64_t wall_ms,
               const struct journal_body *body, struct fail *f);
    void *ctx;
};

/* Of what is folded the old end is pruned, and a restored database has left
 * numbers out; behind that no row may be missing. */
static int give_row(const struct store_db *db, const struct row_sink *sink,
                    sqlite3_stmt *st, uint64_t expected, struct fail *f)
{
    static const int types[] = {SQLITE_INTEGER, SQLITE_INTEGER, SQLITE_BLOB};
    struct journal_body body;
    uint64_t seq = (uint64_t)sqlite3_column_int64(st, 0);
    if (!columns_are(st, types))
        return fail(f, RC_BROKEN,
                    "journal row %llu has a column of another type",
                    (unsigned long long)seq);
    if (seq != expected && seq > db->folded_seq + 1)
        return fail(f, RC_BROKEN, "journal row %llu is missing",
                    (unsigned long long)expected);
    if (journal_read_body(column_span(st, 2), &body, f) < 0)
        return fail_wrap(f, "journal row %llu", (unsigned long long)seq);
    if (sink->reader != NULL)
        return sink->reader->row(sink->reader->ctx, seq, &body, f);
    return sink->row(sink->ctx, seq, sqlite3_column_int64(st, 1), &body, f);
}

static int walk_rows(struct store_db *db, uint64_t from,
                     const struct row_sink *sink, struct fail *f)
{
    sqlite3_stmt *st = NULL;
    int rc = 0, step = SQLITE_DONE;
    if (sqlite3_prepare_v2(db->sql,
                           "SELECT seq, wall_ms, body FROM journal "
                           "WHERE seq>=?1 ORDER BY seq",
                           -1, &st, NULL) != SQLITE_OK)
        return store_db_fail(db->sql, "read journal", f);
    (void)sqlite3_bind_int64(st, 1, (int64_t)from);
    while (rc >= 0 && (step = sqlite3_step(st)) == SQLITE_ROW) {
        rc = give_row(db, sink, st, from, f);
        from = (uint64_t)sqlite3_column_int64(st, 0) + 1;
    }
    if (rc >= 0 && step != SQLITE_DONE)
        rc = store_db_fail(db->sql, "read journal", f);
    sqlite3_finalize(st);
    return rc < 0 ? rc : 0;
}

int store_db_load(struct store_db *db, const struct store_reader *r,
                  struct fail *f)
{
    struct row_sink sink = {.reader = r};
    TRY(load_facts(db, r, f));
    return walk_rows(db, db->folded_seq + 1, &sink, f);
}

int store_db_scan(struct store_db *db, uint64_t from_seq,
                  int (*row)(void *ctx, uint64_t seq, int64_t wall_ms,
                             const struct journal_body *body, struct fail *f),
                  void *ctx, struct fail *f)
{
    struct row_sink sink = {.row = row, .ctx = ctx};
    return walk_rows(db, from_seq, &sink, f);
}
