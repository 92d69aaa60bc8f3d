// SPDX-License-Identifier: Apache-2.0
/*
 * What a verified statement does. Restriction happens here, in memory, at
 * once; the row that makes it durable leaves in the same step, and the
 * acknowledgement only when that row is committed.
 */
#include <string.h>

#include "sidecar/base/time_text.h"
#include "sidecar/core/engine_internal.h"

static int feed_index(const struct engine *e, struct span name)
{
    for (unsigned i = 0; i < e->conf->feed_count; i++)
        if (span_eq(e->conf->feeds[i].name, name))
            return (int)i;
    return -1;
}

static uint64_t payload_word(const struct event *ev)
{
    uint64_t w = 0;
    for (int i = 0; i < 8; i++)
        w = w << 8 | ev->payload_hash[i];
    return w;
}

static struct record event_record(const struct event *ev, const char *outcome)
{
    struct record r = record_of(RECORD_EVENT);
    r.feed = ev->feed;
    r.jti = ev->jti;
    r.txn = ev->txn;
    r.agent = ev->has_subject ? ev->uri : SPAN("");
    r.base = ev->has_subject ? ev->base : SPAN("");
    r.iat = ev->iat_ms;
    r.toe = ev->toe_ms;
    r.payload = span_of(ev->payload_hash, EVENT_HASH_BYTES);
    r.outcome = span_str(outcome);
    return r;
}

/* ---------------------------------------------------------- duplicates */

static struct row *row_of_jti(struct engine *e, uint64_t h1)
{
    LIST_EACH (k, next, &e->rows) {
        struct row *r = container_of(k, struct row, link);
        if (r->h1 == h1)
            return r;
    }
    return NULL;
}

static void row_add_ack(struct engine *e, struct row *r, uint64_t token)
{
    if (r->ack_count == r->ack_cap) {
        unsigned cap = r->ack_cap == 0 ? 4 : r->ack_cap * 2;
        uint64_t *acks = mem_resize(e->mem, r->acks, r->ack_cap * sizeof *acks,
                                    cap * sizeof *acks);
        if (acks == NULL) {
            note_rc(e, RC_NO_MEMORY);
            return;
        }
        r->acks = acks;
        r->ack_cap = cap;
    }
    r->acks[r->ack_count++] = token;
}

/* The same answer as the first delivery (8935-R11): at once when that is
 * durable, else together with it. */
static void on_duplicate(struct engine *e, struct dedupe_id id)
{
    e->stats.duplicates++;
    struct row *r = row_of_jti(e, id.h1);
    if (r != NULL)
        row_add_ack(e, r, e->in->event.token);
    else
        emit(e, OUT_ACK)->ack.token = e->in->event.token;
}

/* ------------------------------------------------------------- streams */

static void set_disabled(struct engine *e, unsigned feed, bool disabled)
{
    struct feed_state *f = &e->feeds[feed];
    if (f->disabled == disabled && !f->disabled_unsaved)
        return;
    f->disabled = disabled;
    f->disabled_unsaved = false;
    f->changed_input = e->input;
    /* Enabled again: events may have been dropped meanwhile (SSF-R25). */
    e->bases[e->conf->feeds[feed].base].stamp = e->input;
    fact_feed(e, feed);
    struct record r = record_of(RECORD_FEED);
    r.feed = e->conf->feeds[feed].name;
    r.outcome = disabled ? SPAN("disabled") : SPAN("enabled");
    record_row(e, &r);
    judge_all_calls(e);
}

static void on_stream_event(struct engine *e, const struct event *ev, int feed)
{
    for (unsigned i = 0; i < ev->part_count && feed >= 0; i++)
        if (ev->parts[i].type == EVENT_SSF_STREAM_UPDATED)
            set_disabled(e, (unsigned)feed,
                         !span_eq(ev->stream_status, SPAN("enabled")));
}

/* ------------------------------------------------------------ reactions */

/* A time as SCIM writes it, so that conditions compare instants. */
static struct span time_member(int64_t wall_ms, char text[TIME_TEXT_BYTES])
{
    if (wall_ms == EVENT_TIME_NONE)
        return SPAN("");
    time_text(wall_ms, text);
    return span_str(text);
}

/* event.* in filters: what the token says about itself, then the members of
 * the event's payload. */
static const struct doc *event_doc(struct engine *e, const struct event *ev,
                                   const struct event_part *part)
{
    char iat[TIME_TEXT_BYTES], toe[TIME_TEXT_BYTES];
    const struct {
        struct span key, text;
    } texts[] = {{SPAN("feed"), ev->feed},
                 {SPAN("iat"), keep(e, time_member(ev->iat_ms, iat))},
                 {SPAN("toe"), keep(e, time_member(ev->toe_ms, toe))},
                 {SPAN("issuer"), ev->issuer},
                 {SPAN("jti"), ev->jti},
                 {SPAN("txn"), ev->txn},
                 {SPAN("type"), span_str(event_type_name(part->type))},
                 {SPAN("uri"), part->uri},
                 {SPAN("version"), part->version}};
    struct doc *map = doc_new(&e->step_arena.mem, DOC_MAP);
    bool whole = map != NULL;
    for (size_t i = 0; whole && i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i].text.n > 0)
            whole = doc_append_text(&e->step_arena.mem, map, texts[i].key,
                                    texts[i].text) != NULL;
    DOC_EACH (member, part->payload) {
        if (!whole || doc_get(map, member->key) != NULL)
            continue;
        struct doc *d = doc_copy(&e->step_arena.mem, member);
        whole = d != NULL;
        if (whole)
            doc_append(map, d);
    }
    if (!whole)
        note_rc(e, RC_NO_MEMORY); /* a condition would miss what it names */
    return map;
}

static void follow_group(struct engine *e, struct subject *s,
                         const struct event_part *part)
{
    const struct engine_base *b = &e->conf->bases[s->base];
    for (unsigned i = 0; i < part->member_count; i++) {
        char text[SUBJECT_URI_MAX + 1];
        struct span uri =
            resource_uri(b->agent_segment, part->members[i], text);
        struct subject *agent = subject_find(&e->subjects, b->url, uri);
        if (agent == NULL)
            continue;
        int rc = subject_link(&e->subjects, agent, EDGE_GROUP, s);
        if (rc != RC_LIMIT) /* SUBJECT_EDGES_MAX: not indexed, but stale now */
            note_rc(e, rc);
        stamp(e, agent, SPAN(""));
    }
    bool may_have_members = part->changed_anything;
    const struct attr_path members = {.attr = SPAN("members")};
    for (unsigned i = 0; i < part->changed_count; i++)
        may_have_members |= attr_path_touches(&part->changed[i], &members);
    if (may_have_members && part->type != EVENT_DELETE)
        want_read(e, s); /* agents that joined are only named there */
}

/* What the types say about life and coverage, whatever the policy says. */
#define LEAVING                                                                \
    (EVENT_BIT(EVENT_DELETE) | EVENT_BIT(EVENT_RISC_ACCOUNT_PURGED) |          \
     EVENT_BIT(EVENT_DEACTIVATE) | EVENT_BIT(EVENT_RISC_ACCOUNT_DISABLED))

static void note_life(struct subject *s, event_mask type)
{
    const event_mask gone =
        EVENT_BIT(EVENT_DELETE) | EVENT_BIT(EVENT_RISC_ACCOUNT_PURGED);
    if ((type & gone) != 0)
        s->deleted = true;
    if ((type & LEAVING) != 0)
        s->left = true;
    if ((type & EVENT_BIT(EVENT_FEED_REMOVE)) != 0)
        s->feed_removed = true;
    if ((type & (EVENT_BIT(EVENT_FEED_ADD) | EVENT_BIT(EVENT_CREATE))) != 0)
        s->feed_removed = false;
}

static void built_in_reaction(struct engine *e, struct subject *s,
                              const struct event_part *part,
                              const struct cause *c)
{
    note_life(s, EVENT_BIT(part->type));
    if ((c->may & MAY_RELEASE) != 0) /* releases name what is seen */
        s->seen |= EVENT_BIT(part->type);
    if (part->type == EVENT_FEED_REMOVE && is_agent(e, s) && !audit_mode(e)) {
        struct hold_spec spec = {.kind = HOLD_UNCOVERED,
                                 .otherwise = HOLD_SUSPENDED,
                                 .event = part->type,
                                 .rule = SPAN("feed.remove"),
                                 .cause = c->jti,
                                 .since_wall_ms = e->in->wall_ms};
        (void)hold_add(e, s, &spec, c);
    }
    if (s->kind == SUBJECT_GROUP)
        follow_group(e, s, part);
    /* Did somebody who left come back? Only a read can tell. */
    if (s->kind == SUBJECT_USER && s->left &&
        (EVENT_BIT(part->type) & LEAVING) == 0)
        want_read(e, s);
}

static int64_t related(const struct subject *s)
{
    int64_t count = 0;
    LIST_EACH (k, next, &s->in)
        count++;
    return count;
}

/* Those with more relations than are indexed: any may be meant. */
static void read_partial(struct engine *e, unsigned base)
{
    struct map_link *k = NULL;
    while ((k = map_next(&e->subjects.by_key, k)) != NULL) {
        struct subject *a = container_of(k, struct subject, link);
        if (a->partial && a->base == base && !list_empty(&a->calls))
            want_read(e, a);
    }
}

/* Agents that run something now are read at once, wherever the stamp sits. */
static void read_open_calls(struct engine *e, struct subject *s)
{
    if (!e->policy->read_open_calls_now)
        return;
    if (!list_empty(&s->calls))
        want_read(e, s);
    LIST_EACH (k, next, &s->in) {
        struct subject *a = container_of(k, struct edge, in_link)->agent;
        if (!list_empty(&a->calls))
            want_read(e, a);
    }
    if (s->kind != SUBJECT_AGENT && e->subjects.partial_count > 0)
        read_partial(e, s->base);
}

static void apply_parts(struct engine *e, const struct event *ev,
                        struct subject *s)
{
    unsigned may = policy_feed_may(e->policy, ev->feed);
    for (unsigned i = 0; i < ev->part_count; i++) {
        const struct event_part *part = &ev->parts[i];
        struct cause c = {.type = part->type,
                          .feed = ev->feed,
                          .jti = ev->jti,
                          .txn = ev->txn,
                          .part = part,
                          .may = may};
        struct record r = event_record(ev, "accepted");
        r.event = span_str(event_type_name(part->type));
        r.count = s->kind == SUBJECT_AGENT ? -1 : related(s);
        record_row(e, &r);
        c.event_doc = event_doc(e, ev, part);
        built_in_reaction(e, s, part, &c);
        run_rules(e, s, &c);
    }
}

static void restrict_subject(struct engine *e, const struct event *ev, int base)
{
    struct subject *s;
    int rc = subject_get(&e->subjects, (unsigned)base, ev->base, ev->uri,
                         ev->kind, &s);
    if (rc < 0) {
        note_rc(e, rc);
        return;
    }
    stamp(e, s, ev->part_count > 0 ? ev->parts[0].version : SPAN(""));
    apply_parts(e, ev, s);
    fact_subject(e, s); /* flags and the event mask have changed */
    read_open_calls(e, s);
    if (subject_rare(s)->parked_count > 0)
        unpark(e, s);
}

static int base_of(const struct engine *e, struct span url)
{
    for (unsigned i = 0; i < e->conf->base_count; i++)
        if (span_eq(e->conf->bases[i].url, url))
            return (int)i;
    return -1;
}

static void accept_event(struct engine *e, const struct event *ev)
{
    int base = ev->has_subject ? base_of(e, ev->base) : -1;
    if (base >= 0) {
        restrict_subject(e, ev, base);
        return;
    }
    for (unsigned i = 0; i < ev->part_count; i++) {
        struct record r = event_record(ev, "accepted");
        r.event = span_str(event_type_name(ev->parts[i].type));
        record_row(e, &r);
    }
}

/* An authentic token that breaks the payload rules: it was refused, but its
 * subject is stale from now on (9967-R13). */
static void on_dirty(struct engine *e, const struct event *ev)
{
    history_event(e, ev, true);
    int base = ev->has_subject ? base_of(e, ev->base) : -1;
    struct record r = event_record(ev, "malformed_made_stale");
    record_row(e, &r);
    if (base >= 0)
        restrict_subject(e, ev, base);
}

static void sign_of_life(struct engine *e, unsigned feed)
{
    struct feed_state *f = &e->feeds[feed];
    f->last_sign_ms = e->in->now_ms;
    f->last_sign_wall_ms = e->in->wall_ms;
    f->silent_unsaved = false;
    if (!f->silent)
        return;
    f->silent = false;
    struct record r = record_of(RECORD_FEED);
    r.feed = e->conf->feeds[feed].name;
    r.outcome = SPAN("heard_again");
    (void)record_now(e, &r, false);
}

static void on_equivocation(struct engine *e, const struct event *ev)
{
    e->stats.equivocations++;
    struct record r = event_record(ev, "equivocation");
    record_row(e, &r);
    int base = ev->has_subject ? base_of(e, ev->base) : -1;
    struct subject *s;
    if (base < 0)
        return;
    int rc = subject_get(&e->subjects, (unsigned)base, ev->base, ev->uri,
                         ev->kind, &s);
    if (rc < 0)
        note_rc(e, rc);
    else {
        stamp(e, s, SPAN(""));
        read_open_calls(e, s);
    }
}

/* A full table lets go of an old entry, on disk too. */
static void remember_jti(struct engine *e, struct dedupe_id id,
                         uint64_t payload)
{
    struct dedupe_id gone;
    if (e->dedupe.count >= e->dedupe.max &&
        dedupe_oldest(&e->dedupe, JTI_OLDEST_OF, &gone)) {
        fact_jti_gone(e, gone);
        dedupe_drop(&e->dedupe, gone);
    }
    uint32_t now_s = (uint32_t)(e->in->wall_ms / 1000);
    int rc = dedupe_put(&e->dedupe, id, payload, now_s);
    if (rc != RC_LIMIT)
        note_rc(e, rc);
    if (rc != 0)
        return;
    e->new_jti = id;
    fact_jti(e, id, payload, now_s);
}

void on_event(struct engine *e, bool dirty_only)
{
    const struct event *ev = e->in->event.event;
    int feed = feed_index(e, ev->feed);
    if (feed >= 0)
        sign_of_life(e, (unsigned)feed);
    if (dirty_only) {
        on_dirty(e, ev);
        return;
    }
    struct dedupe_id id = dedupe_id(&e->dedupe, ev->feed, ev->issuer, ev->jti);
    uint64_t payload = payload_word(ev);
    enum dedupe_seen seen = dedupe_find(&e->dedupe, id, payload);
    if (seen == DEDUPE_SAME) {
        on_duplicate(e, id);
        return;
    }
    ack_when_stored(e, e->in->event.token);
    history_event(e, ev, false);
    if (seen == DEDUPE_OTHER) {
        on_equivocation(e, ev);
        return;
    }
    e->row_h1 = id.h1;
    e->stats.events++;
    if (feed >= 0)
        e->feeds[feed].events++;
    on_stream_event(e, ev, feed);
    accept_event(e, ev);
    if (e->rc != 0)
        return; /* not accepted: it will come again, and must run again */
    remember_jti(e, id, payload);
}

/* ---------------------------------------------------------------- feeds */

static void record_refusal(struct engine *e, unsigned feed)
{
    const struct in_feed *in = &e->in->feed;
    struct feed_state *f = &e->feeds[feed];
    f->refused++;
    e->stats.refused++;
    size_t n = in->description.n < sizeof f->last_error - 1
                   ? in->description.n
                   : sizeof f->last_error - 1;
    memcpy(f->last_error, in->description.p, n);
    f->last_error[n] = 0;
    struct record r = record_of(RECORD_EVENT);
    r.feed = e->conf->feeds[feed].name;
    r.jti = in->jti;
    r.outcome = SPAN("refused");
    r.reason = in->err;
    r.why = in->description;
    (void)record_now(e, &r, false);
}

static bool any_rule_on(const struct engine *e, enum event_type type)
{
    for (unsigned k = 0; k < SUBJECT_KIND_COUNT; k++)
        if (policy_rules_on(e->policy, type, (enum subject_kind)k).count > 0)
            return true;
    return false;
}

/* Rules on feed_silent are about every agent the feed speaks for. */
static void run_silent_rules(struct engine *e, unsigned feed)
{
    const struct cause c = {.type = EVENT_FEED_SILENT,
                            .feed = e->conf->feeds[feed].name,
                            .jti = SPAN("feed_silent"),
                            .may = MAY_ALL};
    struct map_link *k = NULL;
    if (!any_rule_on(e, EVENT_FEED_SILENT))
        return;
    while ((k = map_next(&e->subjects.by_key, k)) != NULL) {
        struct subject *s = container_of(k, struct subject, link);
        if (s->base == e->conf->feeds[feed].base && s->known && is_agent(e, s))
            run_rules(e, s, &c);
    }
}

static void fall_silent(struct engine *e, unsigned feed)
{
    struct feed_state *f = &e->feeds[feed];
    f->silent = true;
    f->silent_unsaved = false;
    f->changed_input = e->input;
    f->caught_up = false;
    struct record r = record_of(RECORD_FEED);
    r.feed = e->conf->feeds[feed].name;
    r.event = SPAN("feed_silent");
    r.outcome = SPAN("silent");
    if (e->policy->feed_silent_refresh)
        e->bases[e->conf->feeds[feed].base].stamp = e->input;
    (void)record_now(e, &r, true);
    run_silent_rules(e, feed);
    judge_all_calls(e);
}

/* The dead man's switch: a feed that says nothing makes its agents stale. */
void feed_tick(struct engine *e)
{
    int64_t after = e->policy->feed_silent_ms;
    for (unsigned i = 0; after > 0 && i < e->conf->feed_count; i++) {
        struct feed_state *f = &e->feeds[i];
        int64_t due = f->last_sign_ms + after;
        if (f->silent)
            continue;
        if (e->in->now_ms < due && !f->silent_unsaved) {
            wake_at(e, due);
            continue;
        }
        fall_silent(e, i);
    }
}

/* The rules on silence run again; of the two states of a stream the stricter
 * one counts until the sender has said it again. */
void undo_feeds(struct engine *e)
{
    for (unsigned i = 0; i < e->conf->feed_count; i++) {
        struct feed_state *f = &e->feeds[i];
        if (f->changed_input != e->input)
            continue;
        if (e->in->kind == IN_EVENT) {
            f->disabled = f->disabled_unsaved = true;
            continue;
        }
        f->silent = false;
        f->silent_unsaved = true;
        wake_at(e, e->in->now_ms + ROOM_AGAIN_MS);
    }
}

void on_feed(struct engine *e)
{
    const struct in_feed *in = &e->in->feed;
    must(in->feed < e->conf->feed_count);
    struct feed_state *f = &e->feeds[in->feed];
    if (in->sign == FEED_REFUSED) {
        record_refusal(e, in->feed);
        return;
    }
    if (in->sign == FEED_FELL_SILENT) {
        if (e->policy->feed_silent_ms > 0 && !f->silent)
            fall_silent(e, in->feed);
        return;
    }
    sign_of_life(e, in->feed);
    if (in->sign == FEED_CAUGHT_UP && !f->caught_up) {
        f->caught_up = true;
        struct record r = record_of(RECORD_FEED);
        r.feed = e->conf->feeds[in->feed].name;
        r.outcome = SPAN("caught_up");
        (void)record_now(e, &r, false);
    }
}
