// SPDX-License-Identifier: Apache-2.0
/*
 * A candidate policy beside the active one. Such a world is lived twice: where
 * one life has the candidate and what would have been, the other has inputs
 * that are recorded as much and mean nothing. All else must be the same, to the
 * byte: answers, holds, jobs, reads, records, epochs.
 *
 * The candidate may make reads ask for more, so that none is conditional: these
 * worlds have servers that know no If-None-Match. And they keep their policy:
 * another one could decide at once by what was asked for the candidate's sake,
 * where it must read first without.
 */
#include "tests/sim/sim.h"

#include <string.h>

#include "tests/sim/record.h"

/* ------------------------------------------------------------- the course */

static void mix(uint64_t *h, struct span s)
{
    for (size_t i = 0; i < s.n; i++) /* FNV-1a */
        *h = (*h ^ s.p[i]) * 0x100000001b3u;
    *h = (*h ^ 0xff) * 0x100000001b3u;
}

static void mix_u64(uint64_t *h, uint64_t v)
{
    mix(h, span_of(&v, sizeof v));
}

/* What only one of the two lives has. */
static bool is_aside(struct span tail)
{
    struct rec r;
    rec_read(tail, &r);
    return rec_is(r.kind, "candidate") ||
           (rec_is(r.kind, "operator") && rec_is(r.outcome, "unchanged")) ||
           (rec_is(r.kind, "policy") &&
            (rec_is(r.outcome, "refused") || rec_is(r.outcome, "candidate") ||
             rec_is(r.outcome, "candidate_gone")));
}

static void mix_row(uint64_t *h, const struct out *o)
{
    struct journal_body b;
    struct span tail;
    must(journal_read_body(o->journal.body, &b, NULL) == 0);
    mix_u64(h, o->journal.seq);
    mix(h, b.facts);
    while (journal_next_record(&b.records, &tail, NULL) == 1)
        if (!is_aside(tail))
            mix(h, tail);
}

static void mix_job(uint64_t *h, const struct out_job *o)
{
    mix_u64(h, o->job_id);
    mix_u64(h, o->attempt);
    mix(h, o->key);
    for (unsigned i = 0; i < o->call_ids.count; i++)
        mix(h, o->call_ids.at[i]);
}

static void mix_out(uint64_t *h, const struct out *o)
{
    mix_u64(h, o->kind);
    if (o->kind == OUT_JOURNAL) {
        mix_row(h, o);
    } else if (o->kind == OUT_LOG) {
        mix_u64(h, o->log.ticket);
        mix(h, is_aside(o->log.tail) ? SPAN("") : o->log.tail);
    } else if (o->kind == OUT_ANSWER) {
        mix_u64(h, o->answer.token << 1 | o->answer.allow);
        mix_u64(h, o->answer.epoch);
    } else if (o->kind == OUT_DIRECTIVE) {
        mix_u64(h, o->directive.id);
    } else if (o->kind == OUT_READ) {
        mix_u64(h, o->read.read_id);
        mix(h, o->read.uri);
    } else if (o->kind == OUT_JOB) {
        mix_job(h, &o->job);
    }
}

void course_step(struct sim *w, const struct out *outs, unsigned count)
{
    struct course *c = w->course;
    if (c == NULL)
        return;
    uint64_t h = 0xcbf29ce484222325u;
    for (unsigned i = 0; i < count; i++)
        mix_out(&h, &outs[i]);
    unsigned at = w->course_at++;
    if (!w->beside) {
        must(at < COURSE_STEPS);
        c->steps[at] = h;
        c->count = at + 1;
    } else if (at >= c->count || c->steps[at] != h) {
        broken(w, "a candidate changes nothing", "input of kind %u",
               (unsigned)w->p.in->kind);
    }
}

/* ------------------------------------------------------------ its inputs */

static void stand(struct sim *w)
{
    struct in in = {.kind = w->beside ? IN_CANDIDATE : IN_POLICY};
    w->n.candidates++;
    if (w->beside) {
        in.policy.policy =
            w->candidate == POLICIES ? NULL : policy_get(w->candidate);
    } else {
        in.policy.unchanged = true;
        in.policy.person = SPAN("ann");
    }
    (void)sidecar_step(w, &in);
}

static void another(struct sim *w, uint64_t a, uint64_t b)
{
    (void)a;
    (void)b;
    if (w->quiet)
        return;
    later(w, 5000 + (int64_t)draw(w, 20000), another, 0, 0);
    w->candidate = (unsigned)draw(w, POLICIES + 1); /* or none any more */
    if (w->p.alive)
        stand(w);
}

static void again(struct sim *w, uint64_t a, uint64_t b)
{
    (void)a;
    (void)b;
    stand(w);
}

static void differs(struct sim *w, uint64_t a, uint64_t b)
{
    (void)a;
    (void)b;
    struct in in = {.kind = w->beside ? IN_WOULD : IN_POLICY_REFUSED};
    unsigned subject = (unsigned)draw(w, SUBJECTS);
    if (w->quiet)
        return;
    later(w, 100 + (int64_t)draw(w, 1500), differs, 0, 0);
    if (!w->p.alive || w->candidate == POLICIES)
        return;
    if (w->beside) {
        in.would.uri = span_str(uri_of(subject));
        in.would.rule = SPAN("stop");
        in.would.what = SPAN("hold suspended");
        in.would.more = subject % 2 == 0;
    } else {
        in.policy.why = SPAN("line 3");
    }
    (void)sidecar_step(w, &in);
}

/* The process loads the file anew, some time after its start. */
void candidate_boot(struct sim *w)
{
    if (w->course != NULL && w->candidate != POLICIES)
        later_here(w, 50 + (int64_t)draw(w, 500), again, 0, 0);
}

void candidate_start(struct sim *w)
{
    w->candidate = POLICIES;
    if (w->course == NULL)
        return;
    later(w, (int64_t)draw(w, 10000), another, 0, 0);
    later(w, 500, differs, 0, 0);
}
