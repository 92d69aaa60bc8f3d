// SPDX-License-Identifier: Apache-2.0
/*
 * Copies of the database and the way back, for commands. A backup is one file
 * and holds what the store holds: agents, holds, jobs, accepted tokens, sealed
 * credentials, recent history. Keys and the decision log are not in it.
 *
 * A restored database is older than the world: the log has gone on, epochs have
 * been given out. So before it takes its place
 *   - all its rows are folded and the numbers that the log has seen are left
 *     out, so that the log's rule "journal rows after its last input are copied
 *     again" stays true;
 *   - its boot count is moved beyond every epoch in the log, so that no epoch
 *     is given out twice;
 *   - a note is left, of which the next start makes a record.
 */
#ifndef SIDECAR_IO_STORE_BACKUP_H
#define SIDECAR_IO_STORE_BACKUP_H

#include "sidecar/base/fail.h"
#include "sidecar/base/span.h"

struct store_report {
    uint64_t rows, facts; /* history; durable state */
    uint64_t last_seq, folded_seq;
    uint64_t boot; /* starts counted in it */
    uint64_t bytes;
};

/* Reads everything in the database file `path`, which may be in use: pages,
 * header, every fact and every row. RC_BROKEN says what cannot be read,
 * RC_CONFIG that it belongs to another program or version, RC_UNKNOWN_NAME that
 * there is none. */
int store_verify(const char *path, struct store_report *ret,
                 struct fail *f) must_use;

/* Copies dir/bailiff.db, running or not, to the new file `to` (mode 0600) and
 * verifies the copy. RC_EXISTS leaves an old file as it is. */
int store_backup(struct span dir, const char *to, struct store_report *ret,
                 struct fail *f) must_use;

struct store_restore_conf {
    struct span dir, log_dir;
    const char *from;
    bool force;      /* put a database that is there aside */
    int64_t wall_ms; /* now */
};

struct store_restored {
    struct store_report report; /* as it was before */
    uint64_t log_input;         /* last journal row that the log knows */
    uint64_t next_boot;
    char aside[64]; /* name of the old database in `dir`, or "" */
};

/* Puts the backup in the place of dir/bailiff.db, all or nothing. RC_BUSY while
 * the sidecar runs, RC_EXISTS when there is a database and no `force`. */
int store_restore(const struct store_restore_conf *conf,
                  struct store_restored *ret, struct fail *f) must_use;

#endif
