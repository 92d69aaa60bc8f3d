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
 *
 * Each is read alone while the budget has room. The last place in it takes as
 * many as a list holds, where the server has lists; but one place is never
 * taken by a list, so that a question does not wait for a long answer.
 */
#include <string.h>

#include "sidecar/core/engine_internal.h"

#define READS_FAIR_EVERY 8

/* What conditions name, and the members: rules wait for this group. */
static struct names with_members(struct engine *e, struct names n,
                                 struct read_state *read)
{
    struct span *at =
        mem_array(&e->step_arena.mem, (size_t)n.count + 1, sizeof *at);
    if (at == NULL) {
        note_rc(e, RC_NO_MEMORY);
        read->start_input = 0; /* it cannot prove anything without them */
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

static void start_read(struct engine *e, struct subject *s, uint64_t list)
{
    struct read_state *read = &s->rare->read;
    const struct names asked = ask_attributes(e, s, read);
    read->id = new_id(e);
    read->start_input = e->input;
    /* What this step has put into its row came before the read. */
    read->start_row = e->seq + 1 + (e->facts.n > 0);
    read->start_ms = e->in->now_ms;
    read->list = list;
    read->wanted = read->conditional = read->unlisted = false;
    list_push(&e->reading, &read->link);
    struct out *o = emit(e, OUT_READ);
    o->read.read_id = read->id;
    o->read.list = list;
    o->read.base = s->base;
    o->read.uri = s->uri;
    o->read.timeout_ms = e->policy->refresh_timeout_ms;
    struct standing st;
    standing_of(e, s, 0, &st);
    o->read.after_ms = st.event_open ? st.event_ms : 0;
    if (s->kind != SUBJECT_GROUP) {
        o->read.attributes = asked;
        if (list == 0 && may_be_the_same(e, s)) {
            o->read.if_none_match = span_str((const char *)s->etag);
            read->conditional = true;
        }
    } else if (s->rare->pending_count > 0) {
        o->read.attributes = with_members(e, asked, read);
    }
    e->stats.reads_started++;
    e->stats.reads_listed += list != 0;
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

/* ------------------------------------------------------------------ lists */

/* Somebody of whom nothing is known is read alone: nobody could tell what the
 * list leaves out. */
static bool may_be_listed(const struct subject *s)
{
    const struct read_state *read = &s->rare->read;
    return s->kind != SUBJECT_GROUP && s->attrs != NULL && !read->unlisted &&
           class_of(s) == read->class;
}

/* The first of the queue if it goes into a list of this kind, or NULL. */
static struct subject *next_for_list(const struct list *q,
                                     enum subject_kind kind)
{
    if (list_empty(q))
        return NULL;
    struct subject *s = reader_of(q->head.next);
    return s->kind == kind && may_be_listed(s) ? s : NULL;
}

static bool list_is_due(const struct engine *e, unsigned base)
{
    const struct base_state *b = &e->bases[base];
    const struct engine_base *conf = &e->conf->bases[base];
    unsigned most = conf->reads_max > 1 ? conf->reads_max - 1 : 1;
    return conf->list_max > 1 && b->reading + 1 == conf->reads_max &&
           b->listing < most && e->in->now_ms >= b->list_from_ms;
}

/* It, and those in the queue that go into the same list. */
static void start_list(struct engine *e, struct list *q, struct subject *s)
{
    const struct engine_base *conf = &e->conf->bases[s->base];
    const uint64_t list = new_id(e);
    e->bases[s->base].listing++;
    for (unsigned n = 0; s != NULL && n < conf->list_max; n++) {
        leave_read_queue(e, s);
        start_read(e, s, list);
        s = next_for_list(q, s->kind);
    }
}

/* One request for the first of the queue; a list where there are two for it. */
static void start_request(struct engine *e, unsigned base, struct list *q)
{
    struct subject *s = reader_of(q->head.next);
    const bool may = list_is_due(e, base) && may_be_listed(s);
    e->bases[base].reading++;
    leave_read_queue(e, s);
    if (may && next_for_list(q, s->kind) != NULL)
        start_list(e, q, s);
    else
        start_read(e, s, 0);
}

/* Those of one list are side by side in e->reading. */
static bool list_goes_on(const struct engine *e, const struct subject *s)
{
    const struct read_state *read = &s->rare->read;
    struct list_link *const beside[] = {read->link.prev, read->link.next};
    for (unsigned i = 0; i < 2; i++) {
        struct list_link *k = beside[i];
        if (k != &e->reading.head &&
            container_of(k, struct read_state, link)->list == read->list)
            return true;
    }
    return false;
}

void read_over(struct engine *e, struct subject *s)
{
    struct read_state *read = &s->rare->read;
    struct base_state *b = &e->bases[s->base];
    if (read->list == 0 || !list_goes_on(e, s)) {
        must(b->reading > 0 && b->listing >= (read->list != 0));
        b->reading--;
        b->listing -= read->list != 0;
    }
    read->id = 0;
    list_remove(&read->link);
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
        start_request(e, base, q);
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
