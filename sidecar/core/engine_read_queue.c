// SPDX-License-Identifier: Apache-2.0
/*
 * Which read is started next. Every SCIM server has a budget of reads in
 * flight; what is beyond it waits here, so that a statement about a group of
 * thousands does not take the source down:
 *
 *   wanted --> queue of its class --budget--> in flight --> done, or again
 *          `-> not before some time (backoff, settle) -^
 *
 * Agents with waiting questions come first, then those with running calls,
 * then the rest. Every READS_FAIR_EVERY-th start is the other way around, so
 * that nobody waits for ever.
 */
#include <string.h>

#include "sidecar/core/engine_internal.h"

#define READS_FAIR_EVERY 8

/* What conditions name, and the members: rules wait for this group. */
static struct names with_members(struct engine *e, struct names n)
{
    struct span *at =
        mem_array(&e->step_arena.mem, (size_t)n.count + 1, sizeof *at);
    if (at == NULL) {
        note_rc(e, RC_NO_MEMORY);
        return n;
    }
    if (n.count > 0)
        memcpy(at, n.at, n.count * sizeof *at);
    at[n.count] = SPAN("members");
    return (struct names){at, n.count + 1};
}

/* Does what is kept of it answer all that is asked for? It must be what the
 * ETag names: after a restart the first answer is kept to be shown, whatever
 * it proves. */
static bool may_be_the_same(const struct engine *e, const struct subject *s)
{
    return s->etag_qualified && s->etag != NULL && s->attrs != NULL &&
           s->read_input > 0 && s->read_input >= e->policy_stamp &&
           (!s->rare->read.wide ||
            (s->attrs_wide && s->read_input >= e->history.asked_stamp));
}

/* The candidate's attributes are asked for besides, unless that may be why
 * reads have failed: they must not fail because of it. */
static struct names ask_attributes(struct engine *e, const struct subject *s,
                                   struct read_state *read)
{
    const struct names own = e->policy->attributes;
    read->wide = e->history.asked.count > own.count &&
                 e->in->now_ms >= e->bases[s->base].wide_from_ms;
    return read->wide ? e->history.asked : own;
}

static void start_read(struct engine *e, struct subject *s)
{
    struct read_state *read = &s->rare->read;
    const struct names asked = ask_attributes(e, s, read);
    read->id = new_id(e);
    read->start_input = e->input;
    /* What this step has put into its row came before the read. */
    read->start_row = e->seq + 1 + (e->facts.n > 0);
    read->start_ms = e->in->now_ms;
    read->wanted = read->conditional = false;
    list_push(&e->reading, &read->link);
    e->bases[s->base].reading++;
    struct out *o = emit(e, OUT_READ);
    o->read.read_id = read->id;
    o->read.base = s->base;
    o->read.uri = s->uri;
    o->read.timeout_ms = e->policy->refresh_timeout_ms;
    struct standing st;
    standing_of(e, s, 0, &st);
    o->read.after_ms = st.event_open ? st.event_ms : 0;
    if (s->kind != SUBJECT_GROUP) {
        o->read.attributes = asked;
        if (may_be_the_same(e, s)) {
            o->read.if_none_match = span_str((const char *)s->etag);
            read->conditional = true;
        }
    } else if (s->rare->pending_count > 0) {
        o->read.attributes = with_members(e, asked);
    }
    e->stats.reads_started++;
    /* The shell ends every read; this is the net beneath it. */
    wake_at(e, e->in->now_ms + 2 * e->policy->refresh_timeout_ms);
}

/* ----------------------------------------------------------------- queues */

static enum read_class class_of(const struct subject *s)
{
    if (s->rare->parked_count > 0)
        return READ_ASKED;
    return list_empty(&s->calls) ? READ_OTHER : READ_RUNNING;
}

static void enqueue(struct engine *e, struct subject *s, enum read_class c)
{
    struct read_state *read = &s->rare->read;
    if (read->queued && read->class == c)
        return; /* keeps its place */
    leave_read_queue(e, s);
    list_push(&e->bases[s->base].queues[c], &read->link);
    read->queued = true;
    read->class = c;
}

void leave_read_queue(struct engine *e, struct subject *s)
{
    struct read_state *read = &s->rare->read;
    list_remove(&read->link);
    heap_remove(&e->resting, &read->later);
    read->queued = false;
}

static struct list *next_queue(struct base_state *b)
{
    bool fair = b->read_turn % READS_FAIR_EVERY == READS_FAIR_EVERY - 1;
    for (unsigned i = 0; i < READ_CLASS_COUNT; i++) {
        struct list *q = &b->queues[fair ? READ_CLASS_COUNT - 1 - i : i];
        if (!list_empty(q))
            return q;
    }
    return NULL;
}

static bool has_budget(const struct engine *e, unsigned base)
{
    unsigned max = e->conf->bases[base].reads_max;
    return !e->stopping && (max == 0 || e->bases[base].reading < max);
}

void start_reads(struct engine *e, unsigned base)
{
    struct base_state *b = &e->bases[base];
    struct list *q;
    while (has_budget(e, base) && (q = next_queue(b)) != NULL) {
        struct subject *s = reader_of(q->head.next);
        enum read_class now = class_of(s);
        if (now > s->rare->read.class) { /* who asked has gone meanwhile */
            enqueue(e, s, now);
            continue;
        }
        b->read_turn++;
        leave_read_queue(e, s);
        start_read(e, s);
    }
}

void rest_until(struct engine *e, struct subject *s)
{
    struct read_state *read = &s->rare->read;
    leave_read_queue(e, s);
    heap_put(&e->resting, &read->later, read->not_before_ms);
    if (!e->stopping)
        wake_at(e, read->not_before_ms);
}

void want_read(struct engine *e, struct subject *s)
{
    struct subject_rare *rare = subject_rare_get(e->mem, s);
    if (rare == NULL) {
        note_rc(e, RC_NO_MEMORY);
        return;
    }
    rare->read.wanted = true;
    if (rare->read.id != 0)
        return; /* on_read_done sees to it */
    if (e->in->now_ms < rare->read.not_before_ms) {
        rest_until(e, s);
        return;
    }
    enum read_class c = class_of(s);
    if (!rare->read.queued || c < rare->read.class)
        enqueue(e, s, c);
    start_reads(e, s->base);
}

struct subject *reader_of(struct list_link *k)
{
    return container_of(k, struct subject_rare, read.link)->subject;
}
