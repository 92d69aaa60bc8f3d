// SPDX-License-Identifier: Apache-2.0
/*
 * The decision log as sidecar/io/decision_log.c behaves: lines are written in
 * batches (they survive kill -9 then) and synced in groups (they survive a
 * power cut then). An end in the middle of a batch leaves some of its lines; a
 * torn last line is cut. At a start the journal's records that are not in the
 * log are appended again.
 */
#include <string.h>

#include "tests/sim/sim.h"

static void write_batch(struct sim *w, uint64_t a, uint64_t b);

static void begin(struct sim *w)
{
    struct record_log *l = &w->log;
    if (l->busy || l->broken || l->written == l->count)
        return;
    l->busy = true;
    l->writing = l->count;
    bool stall = chance(w, w->weather.log);
    w->n.stalls += stall;
    later_here(w, stall ? (int64_t)draw(w, 2500) : (int64_t)draw(w, 3),
               write_batch, 0, 0);
}

static uint64_t input_of(struct span tail)
{
    uint64_t n = 0;
    if (!span_starts(tail, SPAN("\"input\":")) ||
        !span_u64(span_sub(tail, 8, span_find(tail, ',', 8)), &n))
        return 0;
    return n;
}

void log_append(struct sim *w, uint64_t ticket, uint64_t row, struct span tail,
                bool at_start)
{
    struct record_log *l = &w->log;
    must(l->count < LINES_MAX);
    l->lines[l->count++] =
        (struct line){ticket, row, input_of(tail), copy_span(&w->arena, tail)};
    if (at_start)
        w->n.copied_again++;
    begin(w);
}

static void tell_logged(struct sim *w, uint64_t ticket, uint64_t b)
{
    (void)b;
    if (ticket <= w->p.logged)
        return; /* lines that were copied again have no ticket */
    w->p.logged = ticket;
    struct in in = {.kind = IN_LOGGED, .logged_upto = ticket};
    (void)sidecar_step(w, &in);
}

static void tell_broken(struct sim *w, uint64_t a, uint64_t b)
{
    (void)a;
    (void)b;
    struct in in = {.kind = IN_LOG_BROKEN};
    (void)sidecar_step(w, &in);
    if (w->p.alive)
        sidecar_end(w, false, "the log is broken");
}

static void sync_lines(struct sim *w, uint64_t upto, uint64_t b)
{
    (void)b;
    struct record_log *l = &w->log;
    l->syncing = false;
    for (; l->synced < upto; l->synced++)
        if (l->lines[l->synced].row != 0)
            disk_logged(w, l->lines[l->synced].row);
}

static void write_batch(struct sim *w, uint64_t a, uint64_t b)
{
    (void)a;
    (void)b;
    struct record_log *l = &w->log;
    l->busy = false;
    if (w->weather.log > 0 && draw(w, 3000) == 0 && !w->quiet) {
        l->broken = true;
        later_here(w, 0, tell_broken, 0, 0);
        return;
    }
    for (; l->written < l->writing; l->written++)
        judge_line(w, &l->lines[l->written]);
    later_here(w, 0, tell_logged, l->lines[l->written - 1].ticket, 0);
    if (!l->syncing) {
        l->syncing = true;
        later_here(w, 50, sync_lines, l->written, 0);
    }
    begin(w);
}

void log_crash(struct sim *w, bool power_cut)
{
    struct record_log *l = &w->log;
    if (l->busy) /* some of the batch is in the file; a torn line is cut */
        l->written += (unsigned)draw(w, l->writing - l->written + 1);
    if (power_cut && l->written > l->synced)
        l->written = l->synced + (unsigned)draw(w, l->written - l->synced + 1);
    l->count = l->written;
    if (l->synced > l->count)
        l->synced = l->count;
    l->busy = l->syncing = l->broken = false;
}

/* sidecar/run/start.c: open_durable, recopy_row */
void log_open(struct sim *w)
{
    struct record_log *l = &w->log;
    struct journal_logged seen = {0};
    for (unsigned i = 0; i < l->count; i++)
        journal_logged_note(&seen, l->lines[i].input);
    l->synced = l->count; /* log_recover syncs what it finds */
    for (uint64_t seq = seen.row == 0 ? 1 : seen.row; seq <= w->disk.durable;
         seq++) {
        struct journal_body body;
        struct span tail;
        if (w->disk.rows[seq - 1].lost.p != NULL)
            continue; /* there is no such row any more */
        must(journal_read_body(w->disk.rows[seq - 1].body, &body, NULL) == 0);
        must(journal_skip_logged(&seen, seq, &body.records, NULL) == 0);
        while (journal_next_record(&body.records, &tail, NULL) == 1)
            log_append(w, 0, 0, tail, true);
    }
}
