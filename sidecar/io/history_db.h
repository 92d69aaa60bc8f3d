// SPDX-License-Identifier: Apache-2.0
/*
 * Reads the journal of a database that a sidecar may be writing at the same
 * time: a connection of its own that cannot write, and short transactions, so
 * that the WAL is never held back for long.
 */
#ifndef SIDECAR_IO_HISTORY_DB_H
#define SIDECAR_IO_HISTORY_DB_H

#include "sidecar/core/journal.h"

#define HISTORY_PAGE_ROWS 256 /* read in one transaction, fewer when large */
#define HISTORY_PAGE_BYTES (4u * 1024 * 1024)

struct history_db;

struct history_row {
    uint64_t seq;
    int64_t wall_ms;
    struct span body; /* of the journal row; until the next call */
};

/* Rows written at `since_ms` or later. RC_UNKNOWN_NAME when `dir` has no
 * database. */
int history_db_open(struct span dir, int64_t since_ms, struct history_db **ret,
                    struct fail *f) must_use;
/* 1 and the next row, 0 at the end. */
int history_db_next(struct history_db *h, struct history_row *ret,
                    struct fail *f) must_use;
/* The number of the last row that is there now. */
uint64_t history_db_last(const struct history_db *h);
void history_db_close(struct history_db *h);

#endif
