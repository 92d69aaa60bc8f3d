// SPDX-License-Identifier: Apache-2.0
/*
 * Is what must be true, true? Every effect before it leaves, every record of
 * every row, every step. Each invariant has a name, which is what `broken`
 * prints.
 */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <string.h>

#include "tests/sim/record.h"

/* ----------------------------------------------------------------- tighten */

static bool for_money(const struct rec *r)
{
    return rec_is(r->rule, "session") || rec_is(r->rule, "watch") ||
           rec_is(r->rule, "payers") || rec_is(r->rule, "unused");
}

static void hold_set(struct sim *w, const struct rec *r, unsigned subject)
{
    struct model_subject *s = &w->m.s[subject];
    const struct in *in = w->p.in;
    bool of_read = in->kind == IN_READ_DONE && w->p.step_subject == subject;
    if (rec_is(r->event, "found_gone") || rec_is(r->event, "found_inactive")) {
        bool gone = rec_is(r->event, "found_gone");
        bool review = rec_is(r->hold, "review");
        if (!of_read || review || !w->p.step_found ||
            gone != (in->read.result == READ_GONE))
            broken(w, "what a read found was in its answer", "%.*s",
                   PRSPAN(r->event));
    }
    w->n.held++;
    uint64_t i;
    if (rec_is(r->rule, "external") && r->jti.n > 1 &&
        span_u64(span_sub(r->jti, 1, r->jti.n), &i) && i < STATEMENTS_MAX)
        w->m.external_ran[i] = true;
    if (rec_is(r->rule, "payers") && r->jti.n > 1 &&
        span_u64(span_sub(r->jti, 1, r->jti.n), &i) && i < STATEMENTS_MAX)
        w->m.payers_ran[i] |= (unsigned char)(1u << subject % RESOURCES);
    /* After a step that is withheld: the hold that stands for it. */
    const struct model_hold *same = model_hold(s, r->hold, r->rule, r->jti);
    bool instead = withheld_now(w, subject, r->rule) ||
                   (same != NULL && same->row == w->p.step_row);
    struct span cause =
        instead ? text(&w->scratch, "%.*s:withheld", PRSPAN(r->jti)) : r->jti;
    bool operator= rec_is(r->rule, "operator");
    if (model_hold(s, r->hold, r->rule, cause) != NULL && !operator)
        return;
    if (s->hold_count == HOLDS_MAX)
        broken(w, "holds are bounded here", "%s", uri_of(subject));
    struct model_hold *h = &s->holds[s->hold_count++];
    *h = (struct model_hold){.money = (for_money(r) && !instead) ||
                                      (operator&& in->operator.tools.count> 0),
                             .sticky = operator|| rec_is(r->event, "delete"),
                             .row = w->p.step_row};
    rec_copy(h->kind, sizeof h->kind, r->hold);
    rec_copy(h->rule, sizeof h->rule, r->rule);
    rec_copy(h->cause, sizeof h->cause, cause);
}

/* ------------------------------------------------------------------ loosen */

static bool operator_means(const struct sim *w, const struct rec *r,
                           unsigned subject)
{
    const struct in *in = w->p.in;
    if (in->kind != IN_OPERATOR || w->p.step_subject != subject ||
        r->person.n == 0)
        return false;
    return in->operator.verb == OP_HOLD_LIFT ||(
        in->operator.verb != OP_HOLD_ADD && rec_is(r->hold, "review"));
}

/* Denied or expired: what it has become is in force already. */
static bool review_turned(struct sim *w, const struct rec *r, unsigned subject)
{
    return rec_is(r->hold, "review") && rec_is(r->rule, "review") &&
           model_hold(&w->m.s[subject], SPAN("suspended"), r->target, r->jti) !=
               NULL;
}

static bool read_proves(const struct sim *w, const struct rec *r,
                        const struct model_hold *h, unsigned subject)
{
    const struct policy_facts *p = &policy_facts[w->p.policy];
    const struct model_subject *s = &w->m.s[subject];
    if (w->p.in->kind != IN_READ_DONE || w->p.step_subject != subject ||
        !w->p.step_qualified || p->audit || h->sticky)
        return false;
    if (rec_is(r->hold, "uncovered"))
        return !s->feed_removed;
    return p->come_back && s->active && rec_is(r->hold, "suspended") &&
           (rec_is(r->target, "stop") ||
            (p->external && rec_is(r->target, "external")));
}

static void hold_lifted(struct sim *w, const struct rec *r, unsigned subject)
{
    struct model_subject *s = &w->m.s[subject];
    bool operator= rec_is(r->target, "operator");
    struct model_hold *h =
        model_hold(s, r->hold, r->target, operator? SPAN("") : r->jti);
    if (h == NULL && w->weather.tight)
        return; /* it was set in a step that had no room to say so */
    if (h == NULL)
        broken(w, "what ends had begun", "%.*s of %.*s", PRSPAN(r->hold),
               PRSPAN(r->target));
    if (!operator_means(w, r, subject) && !review_turned(w, r, subject) &&
        !read_proves(w, r, h, subject))
        broken(w, "nothing loosens without a qualifying read or an operator",
               "%.*s hold of %s by %.*s (%.*s)", PRSPAN(r->hold),
               uri_of(subject), PRSPAN(r->target), PRSPAN(r->jti));
    w->n.lifted++;
    *h = s->holds[--s->hold_count];
}

/* -------------------------------------------------------------------- jobs */

struct job_seen *job_seen(struct sim *w, uint64_t id)
{
    for (unsigned i = w->job_count; i > 0; i--)
        if (w->jobs[i - 1].id == id)
            return &w->jobs[i - 1];
    return NULL;
}

static bool same_job(const struct job_seen *j, const struct rec *r,
                     unsigned subject)
{
    return j->subject == subject && rec_is(r->jti, j->jti) &&
           rec_is(r->rule, j->rule) && rec_is(r->action, j->kind) &&
           rec_is(r->target, j->target);
}

/* Once for a statement, rule, action and target; what runs `otherwise` once for
 * each job that came to nothing; and never twice at a time. */
static void started_once(struct sim *w, const struct rec *r, unsigned subject)
{
    unsigned same = 0, failures = 0;
    /* People are called for each thing that is withheld. */
    bool statement = r->jti.n > 1 && r->jti.p[0] == 'j' &&
                     !rec_is(r->rule, "limits.suspend");
    /* A statement that is put off has set its hold: what is registered then is
     * revoked under its name before it is stored. */
    statement = statement && !(w->weather.tight && rec_is(r->action, "revoke"));
    bool cancel = rec_is(r->action, "cancel"), open = false;
    for (unsigned i = 0; i < w->job_count; i++) {
        const struct job_seen *j = &w->jobs[i];
        if (j->subject != subject || !rec_is(r->jti, j->jti) ||
            !rec_is(r->rule, j->rule))
            continue;
        failures += strcmp(j->outcome, "failed") == 0 ||
                    strcmp(j->outcome, "refused") == 0;
        if (!same_job(j, r, subject))
            continue;
        same++;
        open = open || j->ended_row == 0;
    }
    unsigned most = rec_is(r->action, "page") && failures > 1 ? failures : 1;
    if ((statement && same >= most) || (open && !cancel))
        broken(w, "a job is started once", "%.*s:%.*s:%.*s:%.*s",
               PRSPAN(r->jti), PRSPAN(r->rule), PRSPAN(r->action),
               PRSPAN(r->target));
}

static void job_started(struct sim *w, const struct rec *r, unsigned subject,
                        uint64_t row)
{
    struct job_seen *known = job_seen(w, r->job);
    if (known != NULL && known->withheld) {
        judge_let_go(w, r);
        known->withheld = false;
        known->started_row = row;
        return;
    }
    started_once(w, r, subject);
    judge_begun(w, r, subject);
    must(w->job_count < JOBS_MAX);
    struct job_seen *j = &w->jobs[w->job_count++];
    *j = (struct job_seen){.id = r->job,
                           .started_row = row,
                           .subject = subject,
                           .reach = r->reach};
    rec_copy(j->kind, sizeof j->kind, r->action);
    rec_copy(j->rule, sizeof j->rule, r->rule);
    rec_copy(j->jti, sizeof j->jti, r->jti);
    rec_copy(j->target, sizeof j->target, r->target);
    w->n.jobs++;
}

/* A withheld one may come true through another: the token was revoked. */
static bool twin_confirmed(const struct sim *w, const struct job_seen *j)
{
    bool told = false;
    for (unsigned i = 0; j->withheld && i < w->job_count; i++) {
        const struct job_seen *twin = &w->jobs[i];
        told = told || (twin != j && twin->confirmed_by_target &&
                        twin->subject == j->subject &&
                        strcmp(twin->kind, "revoke") == 0 &&
                        strcmp(twin->target, j->target) == 0);
    }
    return told;
}

/* "Sent" is never "done". */
static void really_confirmed(struct sim *w, const struct rec *r,
                             const struct job_seen *j)
{
    int runtime = runtime_by_name(r->target);
    bool told = j->confirmed_by_target;
    if (rec_is(r->action, "purge"))
        told = told || (w->p.in->kind == IN_ACK && w->p.in->ack.done);
    if (rec_is(r->action, "revoke"))
        told = told || twin_confirmed(w, j);
    if (rec_is(r->action, "cancel"))
        told = r->confirmed == r->reach && r->reach == j->reach;
    if (!told)
        broken(w, "confirmed means confirmed", "%.*s at %.*s",
               PRSPAN(r->action), PRSPAN(r->target));
    for (unsigned i = 0; runtime >= 0 && i < j->id_count; i++)
        if (runtime_runs(w, (unsigned)runtime, j->ids[i]))
            broken(w, "cancelled means stopped", "%.*s still runs %.*s",
                   PRSPAN(r->target), PRSPAN(j->ids[i]));
}

static void job_ended(struct sim *w, const struct rec *r, uint64_t row)
{
    struct job_seen *j = job_seen(w, r->job);
    if (j == NULL || j->ended_row != 0)
        broken(w, "a job ends once", "%.*s %.*s", PRSPAN(r->action),
               PRSPAN(r->outcome));
    if (rec_is(r->outcome, "confirmed"))
        really_confirmed(w, r, j);
    if (rec_is(r->outcome, "abandoned") &&
        (w->p.in->kind != IN_OPERATOR || w->p.in->operator.job_id != r->job))
        broken(w, "a job is abandoned by a person", "%.*s", PRSPAN(r->action));
    w->n.confirmed += rec_is(r->outcome, "confirmed");
    w->n.failed += rec_is(r->outcome, "failed");
    w->n.refused += rec_is(r->outcome, "refused");
    w->n.abandoned += rec_is(r->outcome, "abandoned");
    j->ended_row = row;
    rec_copy(j->outcome, sizeof j->outcome, r->outcome);
    attempts_over(w, j);
}

void judge_job(struct sim *w, const struct out_job *o)
{
    struct job_seen *j = job_seen(w, o->job_id);
    if (j != NULL && j->withheld)
        broken(w, "what is withheld does not leave", "job %.*s",
               PRSPAN(o->key));
    if (j == NULL || j->started_row > w->disk.durable)
        broken(w, "nothing leaves before its row is durable", "job %.*s",
               PRSPAN(o->key));
    if (j->ended_row != 0)
        broken(w, "a job that has ended is not run", "job %.*s",
               PRSPAN(o->key));
    for (unsigned i = 0; i < w->job_count; i++) {
        const struct job_seen *k = &w->jobs[i];
        if (k->subject != j->subject && k->keyed.n > 0 &&
            span_eq(k->keyed, o->key))
            broken(w, "an idempotency key names one agent", "job %.*s",
                   PRSPAN(o->key));
    }
    if (j->keyed.n == 0)
        j->keyed = copy_span(&w->arena, o->key);
}

static bool has_id(const struct job_seen *j, struct span id)
{
    for (unsigned i = 0; i < j->id_count; i++)
        if (span_eq(j->ids[i], id))
            return true;
    return false;
}

/* Which calls a cancellation is about: what its runtime is told to stop. Of
 * several alike it cannot be said which one a directive is for. */
void judge_directive(struct sim *w, unsigned subject, struct span runtime,
                     struct span rule, struct span jti, struct names ids)
{
    const struct rec r = {
        .action = SPAN("cancel"), .rule = rule, .jti = jti, .target = runtime};
    struct job_seen *only = NULL;
    if (jti.n == 0 || jti.p[0] != 'j')
        return; /* what reads cause has one name for all */
    for (unsigned i = 0; i < w->job_count; i++) {
        struct job_seen *j = &w->jobs[i];
        if (j->ended_row != 0 || !same_job(j, &r, subject))
            continue;
        if (only != NULL)
            return;
        only = j;
    }
    for (unsigned i = 0; only != NULL && i < ids.count; i++)
        if (only->id_count < CALLS && !has_id(only, ids.at[i]))
            only->ids[only->id_count++] = copy_span(&w->arena, ids.at[i]);
}

/* -------------------------------------------------------------------- rows */

static void judge_record(struct sim *w, const struct rec *r, uint64_t row)
{
    if (r->input != row)
        broken(w, "records name their row", "%llu in row %llu",
               (unsigned long long)r->input, (unsigned long long)row);
    unsigned base = span_eq(r->base, w->conf.bases[0].url) ? 0 : 1;
    unsigned subject = subject_of(base, r->agent);
    if (subject == SUBJECTS)
        return;
    if (rec_is(r->kind, "verdict"))
        judge_verdict(w, r, subject);
    if (!rec_is(r->kind, "action"))
        return;
    if (rec_is(r->action, "hold") && rec_is(r->outcome, "set"))
        hold_set(w, r, subject);
    else if (rec_is(r->action, "hold") && rec_is(r->outcome, "lifted"))
        hold_lifted(w, r, subject);
    else if (r->job != 0 && rec_is(r->outcome, "started"))
        job_started(w, r, subject, row);
    else if (rec_is(r->outcome, "withheld"))
        judge_withheld(w, r, subject, row);
    else if (r->job != 0 && !rec_is(r->outcome, "attempt_failed"))
        job_ended(w, r, row);
}

void judge_row(struct sim *w, uint64_t seq, struct span body)
{
    struct journal_body b;
    struct span tail;
    must(journal_read_body(body, &b, NULL) == 0);
    while (journal_next_record(&b.records, &tail, NULL) == 1) {
        struct rec r;
        rec_read(tail, &r);
        if (!rec_is(r.kind, "action") || !rec_is(r.action, "hold"))
            say(w, "row %llu %.*s %.*s %.*s %.*s", (unsigned long long)seq,
                PRSPAN(r.kind), PRSPAN(r.rule), PRSPAN(r.action),
                PRSPAN(r.outcome));
        else
            say(w, "row %llu hold %.*s %.*s %.*s %.*s base%d",
                (unsigned long long)seq, PRSPAN(r.outcome), PRSPAN(r.hold),
                PRSPAN(r.rule), PRSPAN(r.agent),
                !span_eq(r.base, w->conf.bases[0].url));
        judge_record(w, &r, seq);
    }
    if (w->p.step_statement >= 0)
        w->m.row_of[w->p.step_statement] = seq;
    if (w->p.step_token != 0)
        w->p.waiters[w->p.step_token % WAITERS].row = seq;
}

/* ------------------------------------------------------ acknowledgements */

void judge_ack(struct sim *w, const struct waiter *q)
{
    uint64_t row = q->row;
    if (row == 0 && q->what == FOR_STATEMENT)
        row = w->m.row_of[q->index];
    if (row == 0 || row > w->disk.durable)
        broken(w, "acknowledged means durable", "row %llu, durable %u",
               (unsigned long long)row, w->disk.durable);
    if (q->what == FOR_STATEMENT && w->m.heard[q->index] == 0)
        broken(w, "acknowledged means handled", "%s",
               w->statements[q->index].jti);
}

/* ----------------------------------------------------------------- answers */

static uint64_t *decision_slot(struct sim *w, uint64_t id)
{
    uint64_t i = id * 0x9e3779b97f4a7c15u >> 48;
    while (w->decisions[i % DECISIONS] != 0 &&
           w->decisions[i % DECISIONS] != id)
        i++;
    return &w->decisions[i % DECISIONS];
}

static bool is_untold(struct sim *w)
{
    for (unsigned i = w->restore_line; w->restore_untold && i < w->log.written;
         i++) {
        struct rec r;
        rec_read(w->log.lines[i].tail, &r);
        w->restore_untold = !rec_is(r.outcome, "store_restored");
    }
    return w->restore_untold;
}

void judge_answer(struct sim *w, const struct waiter *q,
                  const struct out_answer *o)
{
    say(w, "%s %s base%u %s: %s", q->what == FOR_BEGIN ? "begin" : "check",
        uri_of(q->subject), q->subject / RESOURCES, tool_names[q->tool],
        o->allow ? "allow" : reason_code(o->reason));
    w->n.allowed += o->allow;
    w->n.allowed_old += o->allow && o->reason == REASON_ALLOWED_OLD;
    if (o->allow)
        w->p.used[q->subject] = w->now;
    w->n.denied += !o->allow;
    w->last_reason[q->subject][q->tool] = o->allow ? REASON_ALLOWED : o->reason;
    if (o->allow) {
        const char *why = model_forbids(w, q->subject, q->tool, o);
        if (why != NULL)
            broken(w, "no allow after a restriction", "%s base%u %s: %s",
                   uri_of(q->subject), q->subject / RESOURCES,
                   tool_names[q->tool], why);
        if (q->caller == 1 && q->subject % RESOURCES != 0)
            broken(w, "callers ask for their own", "%s", uri_of(q->subject));
        if (*decision_slot(w, o->decision) != o->decision)
            broken(w, "the record of an allow is written before it leaves",
                   "%s", uri_of(q->subject));
    }
    if (o->allow && is_untold(w))
        broken(w, "a restore is told of before anything is allowed", "%s",
               uri_of(q->subject));
    if (o->epoch != 0 && o->epoch <= w->epochs_above)
        broken(w, "no epoch is given out twice", "%s %llx", uri_of(q->subject),
               (unsigned long long)o->epoch);
    if (o->epoch > w->max_epoch[q->subject])
        w->max_epoch[q->subject] = o->epoch;
}

void judge_line(struct sim *w, const struct line *l)
{
    struct rec r;
    rec_read(l->tail, &r);
    w->n.targets_down += rec_is(r.outcome, "target_down");
    w->n.targets_up += rec_is(r.outcome, "target_up");
    if (r.decision == 0)
        return;
    uint64_t *at = decision_slot(w, r.decision);
    if (*at == r.decision)
        broken(w, "decision ids are unique", "%016llx",
               (unsigned long long)r.decision);
    *at = r.decision;
}

/* The records of one row, from line `*at` on. */
static void judge_row_logged(struct sim *w, const struct disk_row *row,
                             unsigned *at)
{
    const struct record_log *l = &w->log;
    bool lost = row->lost.p != NULL; /* the log tells what it got of it */
    struct journal_body b;
    struct span tail;
    must(journal_read_body(lost ? row->lost : row->body, &b, NULL) == 0);
    while (journal_next_record(&b.records, &tail, NULL) == 1) {
        while (*at < l->count && l->lines[*at].input == 0)
            ++*at;
        bool there = *at < l->count && l->lines[*at].input == row->seq;
        if (lost && !there)
            return;
        if (!there || !span_eq(l->lines[*at].tail, tail))
            broken(w, "the log has every record once, in order",
                   "row %llu, line %u", (unsigned long long)row->seq, *at);
        ++*at;
    }
}

/* Every record of every durable row is in the log or on its way, once. */
void judge_log(struct sim *w)
{
    unsigned at = 0;
    for (unsigned i = 0; i < w->disk.durable; i++)
        judge_row_logged(w, &w->disk.rows[i], &at);
}

/* ------------------------------------------------------------- whole steps */

static void rule_ran(struct sim *w, const struct statement *s, const char *rule)
{
    struct model_subject *m = &w->m.s[s->subject];
    if (model_hold(m, SPAN("suspended"), span_str(rule), span_str(s->jti)) ==
        NULL)
        broken(w, "every stored statement is evaluated", "%s: rule %s", s->jti,
               rule);
}

static bool leaving(enum event_type t)
{
    return t == EVENT_DEACTIVATE || t == EVENT_DELETE;
}

static void judge_statement(struct sim *w)
{
    const struct policy_facts *p = &policy_facts[w->p.policy];
    const struct statement *s = &w->statements[w->p.step_statement];
    if (w->p.step_row == 0)
        broken(w, "an accepted statement has a row", "%s", s->jti);
    if (p->audit || s->type == EVENT_SSF_STREAM_UPDATED ||
        !is_agent_subject(s->subject))
        return;
    if (p->stop && leaving(s->type))
        rule_ran(w, s, "stop");
    if (p->session && s->type == EVENT_CAEP_SESSION_REVOKED)
        rule_ran(w, s, "session");
    if (p->watch && s->type == EVENT_CAEP_SESSION_REVOKED && audit_is_over(w))
        rule_ran(w, s, "watch");
    if (p->stop_cancels && leaving(s->type) && view_runs(w, s->subject))
        broken(w, "no call is left out of a cancellation", "%s",
               uri_of(s->subject));
}

static void judge_found(struct sim *w)
{
    const struct policy_facts *p = &policy_facts[w->p.policy];
    if (w->p.step_found && p->stop && !p->audit &&
        model_hold(&w->m.s[w->p.step_subject], SPAN("suspended"), SPAN("stop"),
                   SPAN("read")) == NULL)
        broken(w, "what a read finds is evaluated", "%s",
               uri_of(w->p.step_subject));
}

/* Rules that waited for a qualifying read. */
static void judge_pending(struct sim *w)
{
    const struct policy_facts *p = &policy_facts[w->p.policy];
    struct model_subject *s = &w->m.s[w->p.step_subject];
    for (unsigned k = 0; k < s->pending_count && s->attr_external; k++) {
        unsigned i = s->pending[k];
        bool agent = is_agent_subject(w->statements[i].subject);
        bool ran =
            agent ? w->m.external_ran[i]
                  : w->m.payers_ran[i] >> w->p.step_subject % RESOURCES & 1;
        w->n.waited++;
        if ((agent ? p->external : p->payers) && !ran)
            broken(w, "a read decides what waited for it", "%s: rule %s",
                   w->statements[i].jti, agent ? "external" : "payers");
    }
    s->pending_count = 0;
}

static void judge_limits(struct sim *w)
{
    struct engine_stats s;
    const struct engine_limits *l = &w->conf.limits;
    engine_stats_get(w->p.e, &s);
    if (s.parked_now > l->parked_max || s.jobs_open > l->jobs_max ||
        s.holds_now > l->holds_max || s.calls_now > l->calls_max ||
        s.subjects_now > l->subjects_max)
        broken(w, "queues stay within their limits", "parked %llu",
               (unsigned long long)s.parked_now);
}

/* Also when the process is about to die: rows say all of a step. */
void judge_rules(struct sim *w)
{
    if (w->p.step_rc < 0)
        return;
    if (w->p.step_decided)
        judge_pending(w);
    judge_found(w);
}

void judge_step(struct sim *w)
{
    if (w->p.step_statement >= 0 && w->p.step_rc == 0)
        judge_statement(w);
    judge_limits(w);
    if (w->step % 50 == 0 && w->disk.durable == w->disk.count)
        view_is_stored(w);
}

/* --------------------------------------------------------- ends and starts */

void judge_crash(struct sim *w)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < w->job_count; i++) {
        struct job_seen *j = &w->jobs[i];
        if (j->withheld_row > 0 && j->withheld_row <= w->disk.durable &&
            j->started_row > w->disk.durable) {
            j->withheld = true; /* nobody has let it go */
            j->started_row = 0;
        }
        if (j->started_row > w->disk.durable ||
            j->withheld_row > w->disk.durable)
            continue;
        if (j->ended_row > w->disk.durable) {
            j->ended_row = 0;
            j->outcome[0] = 0;
        }
        w->jobs[kept++] = *j;
    }
    w->job_count = kept;
}

void judge_start(struct sim *w)
{
    judge_log(w);
    view_is_replayed(w);
}
