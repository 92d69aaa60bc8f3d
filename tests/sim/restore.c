// SPDX-License-Identifier: Apache-2.0
/*
 * A backup, and the way back to it, as sidecar/io/store_backup.c goes: the
 * database is an old one, the decision log and the rest of the world are not.
 * The model goes back with it; what it may not forget is that much has been
 * said since.
 */
#include "tests/sim/sim.h"

#include <string.h>

#include "sidecar/core/codec.h"
#include "sidecar/core/restore.h"

static void take_backup(struct sim *w, uint64_t a, uint64_t b)
{
    (void)a;
    (void)b;
    uint64_t row = w->disk.durable;
    if (w->quiet || row == 0)
        return;
    w->backup.row = row;
    w->backup.m = w->snapshots[row % SNAPSHOTS];
    say(w, "backup at row %llu", (unsigned long long)row);
}

/* ---------------------------------------------------------------- the disk */

static void note_boots(const struct sim *w, uint64_t upto,
                       struct restore_seen *seen)
{
    for (uint64_t i = 0; i < upto; i++) {
        struct journal_body body;
        struct fact f;
        must(journal_read_body(w->disk.rows[i].body, &body, NULL) == 0);
        while (journal_next_fact(&body.facts, &f, NULL) == 1) {
            struct reader r = {.rest = f.value};
            if (f.kind == FACT_META && span_eq(f.key, SPAN("boot")))
                restore_note(seen, 0, take_u64(&r));
        }
    }
}

/* What the log has seen of rows and boots, and the old database, if it can
 * still be read. */
static struct restore_seen seen_since(struct sim *w, bool readable)
{
    struct restore_seen seen = {0, 0};
    for (unsigned i = 0; i < w->log.count; i++)
        restore_note_line(&seen, w->log.lines[i].input, w->log.lines[i].tail);
    uint64_t rows = readable ? w->disk.durable : w->backup.row;
    restore_note(&seen, rows, 0);
    note_boots(w, rows, &seen);
    return seen;
}

static struct span with_facts(struct sim *w, struct span body,
                              struct span facts)
{
    struct journal_body old;
    struct buf both, out;
    buf_init(&both, &w->arena.mem, JOURNAL_BODY_MAX);
    buf_init(&out, &w->arena.mem, JOURNAL_BODY_MAX);
    must(journal_read_body(body, &old, NULL) == 0);
    buf_put(&both, old.facts);
    buf_put(&both, facts);
    journal_put_body(&out, buf_span(&both), old.records, old.input);
    must(buf_ok(&both) && buf_ok(&out));
    return buf_span(&out);
}

/* Numbers that are left out are rows without anything; what brings the database
 * forward is part of the last row that it has. */
static void put_back(struct sim *w, const struct restore_seen *seen)
{
    struct disk *d = &w->disk;
    struct buf facts, nothing;
    buf_init(&facts, &w->arena.mem, 256);
    buf_init(&nothing, &w->arena.mem, 256);
    restore_put_facts(seen, w->now + w->wall_offset, &facts);
    journal_put_body(&nothing, SPAN(""), SPAN(""), SPAN(""));
    must(buf_ok(&facts) && buf_ok(&nothing) && seen->row <= d->count);
    struct disk_row *last = &d->rows[w->backup.row - 1];
    last->body = with_facts(w, last->body, buf_span(&facts));
    for (uint64_t i = w->backup.row; i < seen->row; i++) {
        struct disk_row *r = &d->rows[i];
        if (r->lost.p == NULL)
            r->lost = r->body;
        r->body = buf_span(&nothing);
    }
    d->count = d->durable = (unsigned)seen->row;
    disk_fold_anew(w);
}

/* --------------------------------------------------------------- the model */

/* Transmitters keep what was confirmed for a while: some say it again. */
static void say_again(struct sim *w)
{
    for (unsigned i = 0; i < w->statement_count; i++) {
        if (!w->statements[i].acked || w->m.heard[i] != 0)
            continue;
        w->n.forgotten++;
        if (draw(w, 2) == 0)
            transmit_anew(w, i);
    }
}

static uint64_t last_epoch(const struct sim *w)
{
    uint64_t last = w->epochs_above;
    for (unsigned i = 0; i < SUBJECTS; i++)
        if (w->max_epoch[i] > last)
            last = w->max_epoch[i];
    return last;
}

static void restore(struct sim *w, uint64_t a, uint64_t b)
{
    (void)a;
    (void)b;
    if (w->quiet || w->backup.row == 0)
        return;
    if (w->p.alive)
        sidecar_end(w, draw(w, 3) == 0, "stopped for a restore");
    bool readable = draw(w, 3) > 0;
    const struct restore_seen seen = seen_since(w, readable);
    say(w, "RESTORE of row %llu, goes on after %llu%s",
        (unsigned long long)w->backup.row, (unsigned long long)seen.row,
        readable ? "" : ", the database is gone");
    w->n.restores++;
    w->disk.durable = (unsigned)w->backup.row;
    w->m = w->backup.m;
    judge_crash(w);
    put_back(w, &seen);
    w->m.restored_touched = w->step + 1;
    w->snapshots[seen.row % SNAPSHOTS] = w->m;
    w->restore_untold = true;
    w->restore_line = w->log.count;
    w->epochs_above = last_epoch(w);
    say_again(w);
}

void restore_start(struct sim *w)
{
    if (w->weather.tight || draw(w, 3) > 0)
        return;
    int64_t at = 5000 + (int64_t)draw(w, 55000);
    later(w, at, take_backup, 0, 0);
    later(w, at + 200 + (int64_t)draw(w, 25000), restore, 0, 0);
    if (draw(w, 3) == 0) /* once more, from the same */
        later(w, at + 26000, restore, 0, 0);
}
