// SPDX-License-Identifier: Apache-2.0
/*
 * What must be true, worked out independently of the engine: who was spoken of
 * when, which read counts, which holds are in force. It looks at the world's
 * inputs and at the records that the sidecar itself makes durable, never into
 * the engine.
 */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <string.h>

#include "tests/sim/record.h"

#define LATE_MS 2500 /* an answer may have waited for its record */

/* ----------------------------------------------------- rows and crashes */

void model_row(struct sim *w, uint64_t seq)
{
    patience_row(w);
    w->snapshots[seq % SNAPSHOTS] = w->m;
    must(seq - w->disk.durable < SNAPSHOTS);
}

void model_crash(struct sim *w)
{
    if (w->disk.durable == 0)
        memset(&w->m, 0, sizeof w->m);
    else
        w->m = w->snapshots[w->disk.durable % SNAPSHOTS];
}

void model_boot(struct sim *w)
{
    w->m.boot_touched = w->step;
    w->m.restored_ms = w->now;
    for (unsigned i = 0; i < SUBJECTS; i++)
        w->m.s[i].touched_ms = w->now; /* as if just now */
}

/* -------------------------------------------------------------- statements */

static uint64_t this_step(const struct sim *w)
{
    return w->step + 1; /* inputs are looked at before their step */
}

static void touch(struct sim *w, unsigned subject, const char *version)
{
    struct model_subject *s = &w->m.s[subject];
    s->touched = this_step(w);
    s->touched_ms = w->now;
    s->open = true;
    s->epoch_above = w->max_epoch[subject];
    (void)snprintf(s->version, sizeof s->version, "%s", version);
}

static bool exists_there(const struct sim *w, unsigned subject)
{
    return engine_knows(w->p.e, subject / RESOURCES, span_str(uri_of(subject)));
}

static unsigned first_of_base(unsigned subject)
{
    return subject / RESOURCES * RESOURCES;
}

/* Members before and after; those that it names join. */
static void group_said(struct sim *w, unsigned subject, unsigned members)
{
    unsigned first = first_of_base(subject);
    unsigned bit = 1u << (subject - first - AGENTS - USERS);
    for (unsigned i = 0; i < AGENTS; i++) {
        struct model_subject *a = &w->m.s[first + i];
        if ((a->groups & bit) || a->partial)
            a->epoch_above = w->max_epoch[first + i];
        if (!(members >> i & 1) || !exists_there(w, first + i))
            continue;
        if (!a->partial)
            a->groups |= bit;
        touch(w, first + i, "");
    }
}

static void user_said(struct sim *w, unsigned subject)
{
    unsigned first = first_of_base(subject);
    for (unsigned i = 0; i < AGENTS; i++)
        if (w->m.s[first + i].partial ||
            (w->m.s[first + i].owners >> (subject - first - AGENTS) & 1))
            w->m.s[first + i].epoch_above = w->max_epoch[first + i];
}

static void spoken_of(struct sim *w, unsigned subject, const char *version,
                      unsigned members)
{
    unsigned at = subject % RESOURCES;
    touch(w, subject, version);
    if (at >= AGENTS + USERS)
        group_said(w, subject, members);
    else if (at >= AGENTS)
        user_said(w, subject);
}

static void said(struct sim *w, const struct statement *s)
{
    struct model_subject *m = &w->m.s[s->subject];
    spoken_of(w, s->subject, s->version, s->members);
    if (s->type == EVENT_FEED_REMOVE)
        m->feed_removed = true;
    if (s->type == EVENT_FEED_ADD || s->type == EVENT_CREATE)
        m->feed_removed = false;
}

/* Members that are external are hit: a read of each must tell. */
static void payers_pend(struct sim *w, unsigned i)
{
    const struct statement *s = &w->statements[i];
    unsigned first = first_of_base(s->subject), at = s->subject - first;
    if (!policy_facts[w->p.policy].payers || s->type != EVENT_PATCH ||
        at < AGENTS + USERS)
        return;
    for (unsigned k = 0; k < AGENTS; k++) {
        struct model_subject *m = &w->m.s[first + k];
        if ((m->groups >> (at - AGENTS - USERS) & 1) &&
            m->pending_count < PENDING_MAX)
            m->pending[m->pending_count++] = (unsigned short)i;
    }
}

/* Is an external agent spoken of? Only a read can tell. */
static void rule_pends(struct sim *w, unsigned i)
{
    const struct statement *s = &w->statements[i];
    const struct policy_facts *p = &policy_facts[w->p.policy];
    struct model_subject *m = &w->m.s[s->subject];
    if (p->external && s->type == EVENT_PATCH && is_agent_subject(s->subject) &&
        m->pending_count < PENDING_MAX)
        m->pending[m->pending_count++] = (unsigned short)i;
}

static void stream_said(struct sim *w, const struct statement *s)
{
    if (w->m.disabled[s->feed] == !s->enabled)
        return;
    w->m.disabled[s->feed] = !s->enabled;
    w->m.base_touched[s->feed < 2 ? 0 : 1] = this_step(w);
}

void model_statement(struct sim *w, unsigned i, unsigned payload)
{
    const struct statement *s = &w->statements[i];
    bool stream = s->type == EVENT_SSF_STREAM_UPDATED;
    if (w->m.heard[i] == payload + 1) {
        w->n.duplicates++;
        return;
    }
    if (w->m.heard[i] != 0) { /* equivocation: something is wrong with it */
        w->n.equivocations++;
        if (!stream)
            spoken_of(w, s->subject, "", 0);
        return;
    }
    w->m.heard[i] = (unsigned char)(payload + 1);
    w->p.step_statement = (int)i;
    if (stream) {
        stream_said(w, s);
        return;
    }
    w->p.step_subject = s->subject;
    said(w, s);
    rule_pends(w, i);
    payers_pend(w, i);
}

void model_put_off(struct sim *w, unsigned i)
{
    w->m.heard[i] = 0;
    w->m.row_of[i] = 0;
    for (unsigned k = 0; k < SUBJECTS; k++) {
        struct model_subject *s = &w->m.s[k];
        if (s->pending_count > 0 && s->pending[s->pending_count - 1] == i)
            s->pending_count--;
    }
}

void model_dirty(struct sim *w, unsigned i)
{
    if (w->statements[i].type != EVENT_SSF_STREAM_UPDATED)
        spoken_of(w, w->statements[i].subject, "", 0);
}

void model_silence(struct sim *w, struct span tail)
{
    struct rec r;
    rec_read(tail, &r);
    if (!rec_is(r.kind, "feed") || !rec_is(r.outcome, "silent"))
        return;
    w->m.base_touched[rec_is(r.feed, "eu")] = w->step;
}

/* ------------------------------------------------------------------- reads */

static uint64_t later_of(uint64_t x, uint64_t y)
{
    return x > y ? x : y;
}

/* Calls fn for the groups and owners of an agent. */
#define RELATED_EACH(w, subject, it)                                           \
    for (unsigned it = first_of_base(subject) + AGENTS;                        \
         it < first_of_base(subject) + RESOURCES; it++)                        \
        if (is_related((w), (subject), it))

static bool is_related(const struct sim *w, unsigned agent, unsigned other)
{
    const struct model_subject *s = &w->m.s[agent];
    unsigned at = other % RESOURCES;
    if (s->partial) /* any may be one of those that are not indexed */
        return true;
    return at < AGENTS + USERS ? s->owners >> (at - AGENTS) & 1
                               : s->groups >> (at - AGENTS - USERS) & 1;
}

uint64_t model_stamp(const struct sim *w, unsigned subject)
{
    const struct model *m = &w->m;
    uint64_t t = later_of(m->s[subject].touched, m->boot_touched);
    t = later_of(
        t, later_of(m->policy_touched, m->base_touched[subject / RESOURCES]));
    RELATED_EACH(w, subject, i)
    t = later_of(t, m->s[i].touched);
    return t;
}

static bool is(const char *have, const char *want)
{
    return have[0] != 0 && want[0] != 0 && strcmp(have, want) == 0;
}

/* A read may loosen: it began after everything that was said, and shows a state
 * from after it. */
static bool qualifies(const struct sim *w, const struct reading *r,
                      const char *etag)
{
    const struct model_subject *s = &w->m.s[r->subject];
    bool related = false;
    int64_t since = s->open ? s->touched_ms : INT64_MIN;
    if (r->started < model_stamp(w, r->subject))
        return false;
    RELATED_EACH(w, r->subject, i)
    {
        if (w->m.s[i].touched <= s->read_start)
            continue;
        related = true;
        if (w->m.s[i].touched_ms > since)
            since = w->m.s[i].touched_ms;
    }
    if (w->m.restored_touched > s->read_start) /* nobody knows what was said */
        return r->started_ms >=
               (since > w->m.restored_ms ? since : w->m.restored_ms) +
                   SETTLE_MS;
    if (!s->open && !related)
        return true;
    if (!related && is(etag, s->version))
        return true;
    if (etag[0] != 0 && s->etag[0] != 0 && !is(etag, s->etag) &&
        !is(etag, s->etag_seen))
        return true;
    return r->started_ms >= since + SETTLE_MS;
}

static void take_over(struct sim *w, const struct reading *r,
                      const struct version *shown)
{
    struct model_subject *s = &w->m.s[r->subject];
    s->read_start = r->started;
    s->read_ms = r->started_ms;
    s->open = false;
    if (shown != NULL)
        s->kept_external = shown->external;
    s->attr_external = s->kept_external;
    if (shown == NULL)
        return; /* 304: what it had, even if a replica said 404 meanwhile */
    s->partial = shown->crowded;
    w->n.crowded += s->partial;
    s->groups = s->partial ? 0 : shown->groups;
    s->owners = shown->owners;
    s->attr_active = shown->active;
    s->attr_money = shown->groups & 1;
}

static void agent_read(struct sim *w, const struct reading *r, const char *etag,
                       const struct version *shown)
{
    struct model_subject *s = &w->m.s[r->subject];
    char own[16];
    (void)snprintf(own, sizeof own, "%s", shown == NULL ? s->etag : etag);
    bool good = qualifies(w, r, own);
    bool active = shown == NULL ? s->attr_active : shown->active;
    s->known = true;
    s->active = active;
    w->p.step_found = !active && s->found != 2;
    s->found = active ? 1 : 2;
    if (good || own[0] != 0)
        (void)snprintf(good ? s->etag : s->etag_seen, sizeof own, "%s", own);
    w->p.step_qualified = good;
    w->n.qualified += good;
    w->n.not_yet += !good;
    if (good)
        take_over(w, r, shown);
    w->p.step_decided = good;
}

static void agent_gone(struct sim *w, const struct reading *r)
{
    struct model_subject *s = &w->m.s[r->subject];
    s->active = false;
    if (!s->known && s->touched == 0)
        return;
    w->p.step_found = s->found != 3;
    w->p.step_decided = true;
    s->attr_external = true; /* nothing can be known: the stricter reading */
    s->found = 3;
    if (r->started >= s->touched && r->started_ms >= s->touched_ms + SETTLE_MS)
        s->open = false;
}

/* Agents that joined are stale from now on. */
static void group_read(struct sim *w, unsigned subject)
{
    unsigned first = first_of_base(subject);
    unsigned at = subject - first - AGENTS - USERS;
    for (unsigned i = 0; i < AGENTS; i++) {
        struct model_subject *a = &w->m.s[first + i];
        if (!(truth(w, first + i)->groups >> at & 1) || (a->groups >> at & 1) ||
            !exists_there(w, first + i))
            continue;
        if (!a->partial)
            a->groups |= 1u << at;
        touch(w, first + i, "");
    }
}

void model_read(struct sim *w, const struct reading *r, enum read_result result,
                const char *etag, const struct version *shown)
{
    unsigned at = r->subject % RESOURCES;
    if (at >= AGENTS + USERS && result == READ_OK)
        group_read(w, r->subject);
    if (at >= AGENTS)
        return;
    if (result == READ_OK)
        agent_read(w, r, etag, shown);
    else if (result == READ_NOT_MODIFIED && r->conditional)
        agent_read(w, r, "", NULL);
    else if (result == READ_GONE)
        agent_gone(w, r);
}

void model_unread(struct sim *w, unsigned subject, unsigned char found)
{
    struct model_subject *s = &w->m.s[subject];
    s->read_start = 0;
    s->open = true;
    s->found = found;
}

/* ------------------------------------------------------------------- holds */

struct model_hold *model_hold(struct model_subject *s, struct span kind,
                              struct span rule, struct span cause)
{
    for (unsigned i = 0; i < s->hold_count; i++) {
        struct model_hold *h = &s->holds[i];
        if (span_eq(span_str(h->kind), kind) &&
            span_eq(span_str(h->rule), rule) &&
            (cause.n == 0 || span_eq(span_str(h->cause), cause)))
            return h;
    }
    return NULL;
}

/* ------------------------------------------------------------------ allows */

static bool uncovered(const struct sim *w, unsigned base)
{
    return base == 0 ? w->m.disabled[0] && w->m.disabled[1] : w->m.disabled[2];
}

static bool too_old(const struct sim *w, const struct model_subject *s,
                    unsigned tool, const struct out_answer *o)
{
    const struct policy_facts *p = &policy_facts[w->p.policy];
    int64_t most = p->max_age_ms;
    if (p->money_needs_g0 && tool_is_money(tool))
        most = 5000;
    if (o->reason == REASON_ALLOWED_OLD &&
        !(p->money_never_old && tool_is_money(tool)))
        most += p->old_ms;
    return w->now - s->read_ms > most + LATE_MS;
}

static const char *forbidden_by_hold(const struct model_subject *s,
                                     unsigned tool)
{
    for (unsigned i = 0; i < s->hold_count; i++)
        if (!s->holds[i].money || tool_is_money(tool))
            return "a hold is in force";
    return NULL;
}

const char *model_forbids(struct sim *w, unsigned subject, unsigned tool,
                          const struct out_answer *o)
{
    const struct model_subject *s = &w->m.s[subject];
    const struct policy_facts *p = &policy_facts[w->p.policy];
    if (!is_agent_subject(subject))
        return "not an agent";
    if (w->p.told_bad)
        return "the store is in trouble";
    if (w->disk.durable < w->p.boot_row)
        return "the boot is not counted on disk";
    if (!s->known || s->found == 3 || !s->active)
        return "the last read did not say that it is active";
    if (s->read_start < model_stamp(w, subject))
        return "no qualifying read since it was spoken of";
    if (forbidden_by_hold(s, tool) != NULL)
        return forbidden_by_hold(s, tool);
    if (uncovered(w, subject / RESOURCES))
        return "no feed covers it";
    if (p->money_needs_g0 && tool_is_money(tool) && !s->attr_money)
        return "the gate rule is not satisfied";
    if (too_old(w, s, tool, o))
        return "the read is too old";
    if (o->epoch <= s->epoch_above || o->epoch < w->max_epoch[subject])
        return "the epoch is not a later one";
    return NULL;
}
