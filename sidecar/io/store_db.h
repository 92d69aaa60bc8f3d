// SPDX-License-Identifier: Apache-2.0
/*
 * The SQLite side of the store, one connection used by one thread at a time.
 * Every call says whose fault a failure is:
 *
 *   RC_NO_SPACE, RC_BUSY, RC_NO_MEMORY   rolled back, worth another try
 *   anything else                        the database can no longer be trusted
 *
 * WAL checkpoints run only through store_db_checkpoint: SQLite's automatic one
 * swallows a failed fsync and believes the next.
 */
#ifndef SIDECAR_IO_STORE_DB_H
#define SIDECAR_IO_STORE_DB_H

#include <sqlite3.h>
#include "sidecar/io/store.h"

#define STORE_DB_VERSION 1
#define STORE_DB_APPLICATION_ID 0x62616c66 /* "balf" */
#define STORE_DB_WAL_PAGES_MAX 1000
#define STORE_DB_FREE_PAGES_KEPT 2048 /* 8 MiB for the rows to come */
#define STORE_DB_GIVE_BACK_PAGES 256
#define STORE_DB_SEQ_MAX (UINT64_C(1) << 62)
/* Of a row and of each of its columns. */
#define STORE_DB_VALUE_MAX (2 * JOURNAL_BODY_MAX)
#define STORE_DB_CHECK_MS_MAX 2000 /* quick integrity check */

enum store_db_sql {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_INSERT,
    SQL_INSERT_AGAIN,
    SQL_FOLD_ROWS,
    SQL_PUT_STATE,
    SQL_DROP_STATE,
    SQL_PUT_FOLDED,
    SQL_OLD_ROWS,
    SQL_DELETE_ROWS,
    SQL_FREE_PAGES,
    SQL_GIVE_BACK,
    SQL_COUNT
};

struct store_db {
    sqlite3 *sql;
    sqlite3_stmt *st[SQL_COUNT];
    char path[1024];
    int wal_pages; /* written since the last full checkpoint */
    uint64_t folded_seq;
    uint64_t last_seq;
};

/* One way from a version to the next, as SQL run in one transaction. */
struct store_db_step {
    const char *sql;
};

/* Opens or creates dir/bailiff.db; what is not migrated is not checked, except
 * that its tables are those that the steps make, and nothing else is there
 * (RC_CONFIG). */
int store_db_open(struct store_db *db, struct span dir, bool *ret_created,
                  struct fail *f) must_use;

/* As store_db_open with another table of steps: step i leads from version i to
 * i + 1, so version 0 (empty) to `version`. Tests bring their own. */
int store_db_open_version(struct store_db *db, struct span dir,
                          const struct store_db_step *steps, int version,
                          bool *ret_created, struct fail *f) must_use;

/* Opens the file for reading, as it is, also while another process writes it.
 * Only store_db_load, _scan, _check and _copy work then. */
int store_db_open_read(struct store_db *db, const char *path,
                       struct fail *f) must_use;

/* Checks the structure of the pages on a connection of its own, for
 * STORE_DB_CHECK_MS_MAX at most: *ret_cut tells that this was not enough. Legal
 * in another thread while the database is open. */
int store_db_check_quickly(const char *path, bool *ret_cut,
                           struct fail *f) must_use;

/* Checks every page and index; takes its time. */
int store_db_check(struct store_db *db, struct fail *f) must_use;

/* Closes; with `clean` after moving the WAL into the database. Legal on a
 * zeroed struct. */
void store_db_close(struct store_db *db, bool clean);

struct store_db_row {
    uint64_t seq;
    int64_t wall_ms;
    struct span body;
};

/* A transaction of inserts. `again` after a failure: rows that are there
 * already, because a commit reported as failed had worked, are left alone. */
int store_db_begin(struct store_db *db, struct fail *f) must_use;
int store_db_insert(struct store_db *db, const struct store_db_row *row,
                    bool again, struct fail *f) must_use;
int store_db_commit(struct store_db *db, struct fail *f) must_use;
void store_db_rollback(struct store_db *db);

/* Applies the facts of at most `rows_max` rows with folded_seq < seq <= upto to
 * `state`, in a transaction of its own. *ret_rows tells how many. */
int store_db_fold(struct store_db *db, uint64_t upto, uint32_t rows_max,
                  uint32_t *ret_rows, struct fail *f) must_use;

/* Which folded rows may go: those written before `before_ms`, and those up to
 * `upto_seq` whatever their age. */
struct store_db_old {
    int64_t before_ms;
    uint64_t upto_seq;
};

/* Deletes at most `rows_max` old rows. *ret_rows tells how many. */
int store_db_prune(struct store_db *db, const struct store_db_old *old,
                   uint32_t rows_max, uint32_t *ret_rows,
                   struct fail *f) must_use;

/* Gives at most STORE_DB_GIVE_BACK_PAGES free pages back to the file system,
 * when there are more than are worth keeping. *ret_more: there are still. */
int store_db_give_back(struct store_db *db, bool *ret_more,
                       struct fail *f) must_use;

/* Puts one fact into `state` or takes it out, in the open transaction. */
int store_db_put_fact(struct store_db *db, const struct fact *fact,
                      struct fail *f) must_use;

/* In the open transaction: rows up to `seq` count as folded, and the next row
 * has a higher number. */
int store_db_skip_to(struct store_db *db, uint64_t seq,
                     struct fail *f) must_use;

/* Moves the WAL into the database when it has grown (or `force`). Readers or a
 * full disk only postpone that; a failed sync is RC_BROKEN. */
int store_db_checkpoint(struct store_db *db, bool force,
                        struct fail *f) must_use;

int store_db_load(struct store_db *db, const struct store_reader *r,
                  struct fail *f) must_use;
int store_db_scan(struct store_db *db, uint64_t from_seq,
                  int (*row)(void *ctx, uint64_t seq, int64_t wall_ms,
                             const struct journal_body *body, struct fail *f),
                  void *ctx, struct fail *f) must_use;

/* Copies the database, as of one moment and without holding up its writer, to
 * the new file `to`; RC_EXISTS leaves an old one as it is. */
int store_db_copy(const struct store_db *from, const char *to,
                  struct fail *f) must_use;

/* The code for what SQLite just said on this connection, with its text. */
int store_db_fail(sqlite3 *sql, const char *what, struct fail *f);

/* Opens, sets and reads back everything that durability and safety need. */
int store_db_setup(sqlite3 *sql, struct fail *f) must_use;

#endif
