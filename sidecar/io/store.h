// SPDX-License-Identifier: Apache-2.0
/*
 * The durable journal in SQLite (WAL, synchronous=FULL, asserted), behind one
 * thread with a bounded ordered queue and group commit: whatever arrived while
 * the last commit ran goes into the next. Folding copies facts of committed
 * rows into the `state` table in the background.
 *
 *   journal(seq INTEGER PRIMARY KEY, wall_ms INTEGER, body BLOB)
 *   state(kind INTEGER, key BLOB, value BLOB, PRIMARY KEY(kind, key))
 *   meta(name TEXT PRIMARY KEY, value)       folded_seq, ...
 *
 * open and load are synchronous (start-up); after store_start the loop thread
 * calls, the callbacks run on the loop thread.
 */
#ifndef SIDECAR_IO_STORE_H
#define SIDECAR_IO_STORE_H

#include <uv.h>
#include "sidecar/core/journal.h"

enum store_state {
    STORE_OK,
    STORE_BLOCKED,  /* full or busy: rolled back, retried with backoff */
    STORE_POISONED, /* I/O error, corruption, failed fsync: latched */
};

struct store;

struct store_conf {
    struct span dir;         /* data directory: bailiff.db and lock inside */
    uint32_t queue_rows_max; /* 0: 65536 */
    uint32_t keep_days;      /* journal history after folding; 0: 7 */
    uint32_t keep_rows;      /* at most so much of it; 0: 2000000 */
    bool legal_hold;         /* nothing of it is deleted */
    /* Committed: every row with seq <= upto is durable. */
    void (*stored)(void *ctx, uint64_t upto);
    void (*state)(void *ctx, enum store_state s, const struct fail *f);
    void *ctx;
};

/* Takes the lock file (RC_BUSY when another process has it), opens or creates
 * the database, checks pragmas, migrates forward; a newer
 * user_version is refused untouched. *ret_created tells a first start. */
int store_open(const struct store_conf *conf, struct store **ret,
               bool *ret_created, struct fail *f) must_use;

/* Reads everything back: facts of the state table, then journal rows after
 * folded_seq in order. A callback's negative rc stops and is returned.
 * Meanwhile a thread checks the structure of the database: what was read counts
 * only when that has found nothing either, else RC_BROKEN. */
struct store_reader {
    int (*fact)(void *ctx, const struct fact *fact, struct fail *f);
    int (*row)(void *ctx, uint64_t seq, const struct journal_body *body,
               struct fail *f);
    void *ctx;
};
int store_load(struct store *s, const struct store_reader *r,
               uint64_t *ret_last_seq, struct fail *f) must_use;

/* Journal rows (seq, wall time, body) from `from_seq` on, folded or not, for
 * history and for re-copying records to the log. Before store_start only. */
int store_scan(struct store *s, uint64_t from_seq,
               int (*row)(void *ctx, uint64_t seq, int64_t wall_ms,
                          const struct journal_body *body, struct fail *f),
               void *ctx, struct fail *f) must_use;

/* Starts the thread. */
int store_start(struct store *s, uv_loop_t *loop, struct fail *f) must_use;

/* Queues one row (copied); seq must be the last one plus 1. RC_LIMIT when the
 * queue is full, RC_BROKEN when poisoned. */
int store_append(struct store *s, uint64_t seq, int64_t wall_ms,
                 struct span body, struct fail *f) must_use;

/* Rows up to `seq` are in the log, fsynced: they may be folded and, when old
 * enough, deleted. */
void store_logged(struct store *s, uint64_t seq);

struct store_stats {
    uint64_t rows, commits, failed_commits, folded_seq, stored_seq;
    uint32_t queued;
    bool check_cut; /* the integrity check at loading ran out of time */
    enum store_state state;
};
void store_stats_get(struct store *s, struct store_stats *ret);

/* Commits what is queued, folds, checkpoints the WAL, closes. `done` once. */
void store_close(struct store *s, void (*done)(void *ctx), void *ctx);
/* For a store that was never started, and for tools. */
void store_free(struct store *s);

#endif
