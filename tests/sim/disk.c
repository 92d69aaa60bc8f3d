// SPDX-License-Identifier: Apache-2.0
/*
 * The store as sidecar/io/store.c behaves, without SQLite: rows are durable
 * only after the commit of their group; whatever arrived meanwhile goes into
 * the next. A commit may fail and yet be durable. A full disk blocks and is
 * tried again; an I/O error poisons and ends the process. Folded rows live on
 * as facts, loaded in key order and before the rows that follow.
 */
#include <string.h>

#include "tests/sim/sim.h"

static void commit(struct sim *w, uint64_t a, uint64_t b);

static void begin(struct sim *w, int64_t wait_ms)
{
    struct disk *d = &w->disk;
    if (d->busy || d->state == DISK_POISONED || d->durable == d->count)
        return;
    d->busy = true;
    if (!d->again)
        d->committing = d->count;
    int64_t ms = chance(w, 2) ? (int64_t)draw(w, 3000) : (int64_t)draw(w, 12);
    later_here(w, wait_ms + ms, commit, 0, 0);
}

void disk_append(struct sim *w, uint64_t seq, struct span body)
{
    struct disk *d = &w->disk;
    uint64_t last = d->count == 0 ? 0 : d->rows[d->count - 1].seq;
    if (seq != last + 1 || body.n > JOURNAL_BODY_MAX)
        broken(w, "journal rows have no holes", "row %llu after %llu",
               (unsigned long long)seq, (unsigned long long)last);
    must(d->count < ROWS_MAX);
    d->rows[d->count++] =
        (struct disk_row){.seq = seq, .body = copy_span(&w->arena, body)};
    begin(w, 0);
}

static void tell_stored(struct sim *w, uint64_t upto, uint64_t b)
{
    (void)b;
    struct in in = {.kind = IN_STORED, .stored_upto = upto};
    (void)sidecar_step(w, &in);
}

static void tell_state(struct sim *w, uint64_t state, uint64_t b)
{
    (void)b;
    struct in in = {.kind = IN_STORE_STATE};
    w->p.told_bad = state != DISK_OK;
    in.store.blocked = state == DISK_BLOCKED;
    in.store.poisoned = state == DISK_POISONED;
    (void)sidecar_step(w, &in);
    if (state == DISK_POISONED && w->p.alive) {
        w->n.poisoned++;
        sidecar_end(w, false, "poisoned");
    }
}

/* ---------------------------------------------------------------- folding */

static int fact_order(const struct fact *x, const struct fact *y)
{
    return x->kind != y->kind ? (x->kind < y->kind ? -1 : 1)
                              : span_cmp(x->key, y->key);
}

static void fold_fact(struct sim *w, const struct fact *f)
{
    struct disk *d = &w->disk;
    unsigned lo = 0, hi = d->fact_count;
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        if (fact_order(&d->facts[mid], f) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    bool there = lo < d->fact_count && fact_order(&d->facts[lo], f) == 0;
    if (f->gone && there)
        memmove(&d->facts[lo], &d->facts[lo + 1],
                (--d->fact_count - lo) * sizeof *f);
    if (there && !f->gone)
        d->facts[lo] = *f;
    if (there || f->gone)
        return;
    if (d->fact_count == d->fact_cap) {
        unsigned cap = d->fact_cap == 0 ? 256 : d->fact_cap * 2;
        d->facts = mem_resize(mem_system(), d->facts, d->fact_cap * sizeof *f,
                              cap * sizeof *f);
        must(d->facts != NULL);
        d->fact_cap = cap;
    }
    memmove(&d->facts[lo + 1], &d->facts[lo],
            (d->fact_count++ - lo) * sizeof *f);
    d->facts[lo] = *f;
}

/* Only rows whose records are in the log, synced. Row n is rows[n - 1]. */
static void fold(struct sim *w)
{
    struct disk *d = &w->disk;
    uint64_t upto = d->logged < d->durable ? d->logged : d->durable;
    while (d->folded < upto) {
        struct journal_body body;
        struct fact f;
        must(journal_read_body(d->rows[d->folded].body, &body, NULL) == 0);
        while (journal_next_fact(&body.facts, &f, NULL) == 1)
            fold_fact(w, &f);
        d->folded++;
    }
}

void disk_fold_anew(struct sim *w)
{
    struct disk *d = &w->disk;
    d->fact_count = 0;
    d->folded = 0;
    d->logged = d->durable;
    fold(w);
}

void disk_logged(struct sim *w, uint64_t row)
{
    if (row > w->disk.logged)
        w->disk.logged = row;
}

void disk_load(struct sim *w, struct engine *e, bool folded)
{
    struct disk *d = &w->disk;
    struct fail f = {0};
    for (unsigned i = 0; folded && i < d->fact_count; i++)
        if (engine_load_fact(e, &d->facts[i], &f) < 0)
            broken(w, "what is stored can be loaded", "%s", f.text);
    for (uint64_t i = folded ? d->folded : 0; i < d->durable; i++) {
        struct journal_body body;
        struct fact fact;
        must(journal_read_body(d->rows[i].body, &body, &f) == 0);
        while (journal_next_fact(&body.facts, &fact, &f) == 1)
            if (engine_load_fact(e, &fact, &f) < 0)
                broken(w, "what is stored can be loaded", "%s", f.text);
    }
    if (engine_loaded(e, d->durable, &f) < 0)
        broken(w, "what is stored can be loaded", "%s", f.text);
}

/* ---------------------------------------------------------------- commits */

static void commit_failed(struct sim *w)
{
    struct disk *d = &w->disk;
    bool poisoned = chance(w, 15), kept = draw(w, 2) == 0;
    w->n.failed_commits++;
    if (kept)
        d->durable = d->committing; /* reported as failed all the same */
    say(w, "commit fails: %s, row %u %s", poisoned ? "I/O" : "full",
        d->committing, kept ? "kept" : "lost");
    if (d->state == DISK_OK && !poisoned)
        w->n.blocked++;
    d->again = true;
    bool news = d->state == DISK_OK || poisoned;
    d->state = poisoned ? DISK_POISONED : DISK_BLOCKED;
    if (news)
        later_here(w, 0, tell_state, (uint64_t)d->state, 0);
    int64_t wait = INT64_C(50) << (d->tries < 5 ? d->tries : 5);
    d->tries++;
    if (!poisoned)
        later_here(w, wait, commit, 0, 0);
}

static void commit(struct sim *w, uint64_t a, uint64_t b)
{
    (void)a;
    (void)b;
    struct disk *d = &w->disk;
    unsigned fails = d->state == DISK_BLOCKED ? 60 : w->weather.disk;
    if (d->state == DISK_POISONED)
        return;
    if (w->weather.disk > 0 && chance(w, fails)) {
        commit_failed(w);
        return;
    }
    w->n.commits++;
    d->durable = d->committing;
    d->busy = d->again = false;
    d->tries = 0;
    later_here(w, 0, tell_stored, d->durable, 0);
    if (d->state == DISK_BLOCKED)
        later_here(w, 0, tell_state, DISK_OK, 0);
    d->state = DISK_OK;
    if (draw(w, 4) == 0)
        fold(w);
    begin(w, 0);
}

void disk_crash(struct sim *w)
{
    struct disk *d = &w->disk;
    if (d->busy && draw(w, 2) == 0)
        d->durable = d->committing; /* the commit had just worked */
    d->count = d->durable;
    d->busy = d->again = false;
    d->state = DISK_OK;
    d->tries = 0;
    d->logged = d->folded; /* the process has forgotten */
}
