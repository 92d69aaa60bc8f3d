// SPDX-License-Identifier: Apache-2.0
/*
 * How a restored database goes on: beyond every journal row and every boot that
 * was given out after the backup, as far as the decision log and the database
 * that it replaces can tell. Epochs and ids contain the count of boots.
 */
#ifndef SIDECAR_CORE_RESTORE_H
#define SIDECAR_CORE_RESTORE_H

#include "sidecar/base/buf.h"

struct restore_seen {
    uint64_t row, boot; /* the last ones */
};

void restore_note(struct restore_seen *s, uint64_t row, uint64_t boot);
/* A line of the log, or the tail of its record; `input` is its row, or 0. */
void restore_note_line(struct restore_seen *s, uint64_t input,
                       struct span line);

/* The boot that the next start counts. */
uint64_t restore_next_boot(const struct restore_seen *s);
/* Appends the facts that the restored database needs, in journal form: so many
 * boots, and that it was restored (of which the start makes a record). */
void restore_put_facts(const struct restore_seen *s, int64_t wall_ms,
                       struct buf *facts);

#endif
