// SPDX-License-Identifier: Apache-2.0
/*
 * Reads: when one is started, what it proves. A read may loosen only when it
 * qualifies (DESIGN section 5): it started after the last statement that
 * touched the agent, and it provably shows a state from after that statement.
 * Any read may tighten.
 */
#include <string.h>

#include "sidecar/core/engine_internal.h"

static struct span text_of(const unsigned char *s)
{
    return span_str((const char *)s);
}

static void read_failed(struct engine *e, struct subject *s, int64_t retry_ms,
                        struct span why);
static void after_read(struct engine *e, struct subject *s);

/* No read is wanted. Who is nobody is believed to be nobody
 * for a while, then forgotten. */
static void rest(struct engine *e, struct subject *s)
{
    bool bare = subject_is_bare(s);
    if (bare && e->in->now_ms < s->rare->read.not_before_ms) {
        rest_until(e, s);
        return;
    }
    leave_read_queue(e, s);
    if (bare)
        subject_drop(&e->subjects, s);
    else
        subject_tidy(e->mem, s);
}

/* The shell ends every read; what it has lost ends here. */
static void end_lost_reads(struct engine *e)
{
    LIST_EACH (k, next, &e->reading) {
        struct subject *s = reader_of(k);
        int64_t end =
            s->rare->read.start_ms + 2 * e->policy->refresh_timeout_ms;
        if (e->in->now_ms < end) {
            wake_at(e, end);
            continue;
        }
        read_over(e, s);
        read_failed(e, s, -1, SPAN("no answer"));
        after_read(e, s);
    }
}

static void wake_resting(struct engine *e)
{
    struct heap_link *k;
    while ((k = heap_first(&e->resting)) != NULL && k->at_ms <= e->in->now_ms) {
        struct subject *s =
            container_of(k, struct subject_rare, read.later)->subject;
        heap_remove(&e->resting, k);
        if (s->rare->read.wanted)
            want_read(e, s);
        else
            rest(e, s);
    }
    if (k != NULL && !e->stopping)
        wake_at(e, k->at_ms);
}

void read_tick(struct engine *e)
{
    end_lost_reads(e);
    wake_resting(e);
    for (unsigned i = 0; i < e->conf->base_count; i++)
        start_reads(e, i);
}

static struct subject *find_reading(const struct engine *e, uint64_t id)
{
    LIST_EACH (k, next, &e->reading) {
        if (container_of(k, struct read_state, link)->id == id)
            return reader_of(k);
    }
    return NULL;
}

/* ------------------------------------------------------------- records */

static void record_read(struct engine *e, const struct subject *s,
                        const char *outcome, struct span etag, struct span why,
                        bool row)
{
    struct standing st;
    standing_of(e, s, 0, &st);
    struct record r = record_of(RECORD_READ);
    r.agent = s->uri;
    r.base = base_url(e, s);
    r.outcome = span_str(outcome);
    r.etag = etag;
    r.why = why;
    r.epoch = st.epoch;
    if (row)
        record_row(e, &r);
    else
        (void)record_now(e, &r, false);
}

/* ---------------------------------------------------------- qualifying */

static bool qualifies(const struct engine *e, const struct subject *s,
                      struct span etag, int64_t *ret_again_ms)
{
    struct standing st;
    standing_of(e, s, 0, &st);
    *ret_again_ms = e->in->now_ms;
    if (s->rare->read.start_input < st.stamp)
        return false; /* something came while it was under way */
    if (!st.event_open)
        return true;
    /* Another version than the last one known need not be the last one. */
    bool tells = etag.n > 0 && !st.lost_open;
    /* The version is that of the agent's own last event: it says nothing
     * about an event of a group or an owner. */
    if (tells && !st.related_open && s->version != NULL &&
        span_eq(etag, text_of(s->version)))
        return true;
    /* Another one than any that was seen before the event. */
    if (tells && s->etag != NULL && !span_eq(etag, text_of(s->etag)) &&
        (s->etag_seen == NULL || !span_eq(etag, text_of(s->etag_seen))))
        return true;
    *ret_again_ms = st.event_ms + e->policy->settle_ms;
    return s->rare->read.start_ms >= *ret_again_ms;
}

/* Only a qualifying read moves the ETag that later ones must differ from: a
 * lagging replica could flip back otherwise. One that came without an ETag, as
 * in many a list, has not shown another. */
static void mark_etag(struct engine *e, struct subject *s, struct span etag,
                      bool good)
{
    if (good)
        note_rc(e, subject_set_text(&e->subjects, &s->etag, etag));
    else if (etag.n > 0)
        note_rc(e, subject_set_text(&e->subjects, &s->etag_seen, etag));
}

/* ----------------------------------------------------------- relations */

/* What a resource says it is related to. */
struct relating {
    struct relation to[SUBJECT_EDGES_MAX];
    unsigned count;
    bool cut; /* there is no room for all */
};

static int relate(struct engine *e, struct subject *s, struct relating *r,
                  enum edge_kind kind, struct span id)
{
    const struct engine_base *b = &e->conf->bases[s->base];
    struct span segment = kind == EDGE_GROUP   ? b->group_segment
                          : kind == EDGE_OWNER ? b->user_segment
                                               : b->agent_segment;
    char text[SUBJECT_URI_MAX + 1];
    struct span uri = resource_uri(segment, id, text);
    enum subject_kind other_kind;
    struct subject *other;
    if (kind_of_uri(e, s->base, uri, &other_kind) < 0)
        return 0; /* an id that cannot be one relates to nobody */
    if (r->count == SUBJECT_EDGES_MAX)
        return RC_LIMIT;
    TRY(subject_get(&e->subjects, s->base, base_url(e, s), uri, other_kind,
                    &other));
    if (other != s)
        r->to[r->count++] = (struct relation){kind, other};
    return 0;
}

static void relate_list(struct engine *e, struct subject *s, struct relating *r,
                        const struct doc *list, enum edge_kind kind)
{
    if (list == NULL)
        return;
    bool one = list->kind == DOC_MAP; /* parent is single-valued */
    for (const struct doc *it = one ? list : list->first; it != NULL && !r->cut;
         it = one ? NULL : it->next) {
        struct span id =
            it->kind == DOC_TEXT ? it->text : doc_text(it, SPAN("value"));
        int rc = relate(e, s, r, kind, id);
        if (rc == RC_LIMIT) /* of edges, or of subjects in all */
            r->cut = true;
        else
            note_rc(e, rc);
    }
}

/* Groups last: of those there may be more than are indexed. */
static void relate_all(struct engine *e, struct subject *s,
                       const struct doc *resource)
{
    struct relating r = {.count = 0};
    relate_list(e, s, &r, doc_iget(resource, SPAN("parent")), EDGE_PARENT);
    relate_list(e, s, &r, doc_iget(resource, SPAN("owners")), EDGE_OWNER);
    relate_list(e, s, &r, doc_iget(resource, SPAN("groups")), EDGE_GROUP);
    note_rc(e, subject_relate(&e->subjects, s, r.to, r.count));
    subject_set_partial(&e->subjects, s, r.cut);
}

/* ---------------------------------------------------------- attributes */

/* Keeps what the policy and a candidate name and nothing else. The candidate's
 * are left out where they find no room. */
static void keep_attributes(struct engine *e, struct subject *s,
                            const struct doc *resource)
{
    struct attrs_table *t = &e->subjects.attrs;
    struct attrs *kept = NULL;
    bool wide = s->rare->read.wide && history_is_whole(e, &s->rare->read);
    int rc = attrs_keep(t, resource,
                        wide ? e->history.asked : e->policy->attributes, &kept);
    if (rc == RC_LIMIT && wide) {
        wide = false;
        rc = attrs_keep(t, resource, e->policy->attributes, &kept);
    }
    note_rc(e, rc);
    attrs_drop(t, s->attrs);
    s->attrs = kept;
    s->attrs_wide = wide;
}

static bool says_active(const struct doc *resource)
{
    const struct doc *active = doc_iget(resource, SPAN("active"));
    return active != NULL && active->kind == DOC_BOOL && active->truth;
}

/* ------------------------------------------------------------- outcomes */

static void back_off(struct engine *e, struct subject *s, int64_t retry_ms)
{
    unsigned shift = s->rare->read.failures < 8 ? s->rare->read.failures : 7;
    int64_t cap = READ_BACKOFF_FIRST_MS << shift;
    if (cap > READ_BACKOFF_MAX_MS)
        cap = READ_BACKOFF_MAX_MS;
    cap = cap / 2 + (int64_t)(e->in->random % (uint64_t)(cap / 2));
    if (retry_ms > cap)
        cap = retry_ms > READ_BACKOFF_MAX_MS ? READ_BACKOFF_MAX_MS : retry_ms;
    s->rare->read.failures++;
    s->rare->read.not_before_ms = e->in->now_ms + cap;
}

static void read_failed(struct engine *e, struct subject *s, int64_t retry_ms,
                        struct span why)
{
    e->stats.reads_failed++;
    if (s->rare->read.wide)
        e->bases[s->base].wide_from_ms = e->in->now_ms + READ_NARROW_MS;
    s->rare->read.last_failed = true;
    back_off(e, s, retry_ms);
    record_read(e, s, "failed", SPAN(""), why, false);
}

static void read_ended(struct subject *s, int64_t not_before_ms)
{
    struct read_state *read = &s->rare->read;
    read->failures = 0;
    read->last_failed = false;
    read->not_before_ms = not_before_ms;
}

static void found_state(struct engine *e, struct subject *s, enum found now,
                        enum event_type type, const struct doc *resource)
{
    bool fresh_news = s->found != now;
    s->found = now;
    if (!fresh_news || now == FOUND_ACTIVE)
        return;
    s->left = true;
    s->seen |= EVENT_BIT(type);
    touch(e, s);
    struct cause c = {
        .type = type, .fresh = resource, .may = MAY_ALL, .jti = SPAN("read")};
    if (resource == NULL)
        c.fresh = NULL;
    run_rules(e, s, &c);
}

/* The rule that waited, when it applies by what was read; else NULL. Still
 * undecidable on a fresh read (it asks about the event's data, which is gone):
 * the stricter reading. */
static const struct policy_rule *decided(const struct engine *e,
                                         const struct pending_rule *p,
                                         const struct doc *resource)
{
    const struct policy_rule *r = policy_find_rule(e->policy, text_of(p->rule));
    const struct filter_env env = {.resource = resource};
    if (r == NULL)
        return NULL;
    const struct filter *open =
        p->about == PENDING_TARGET ? r->agents_where : r->where;
    return open == NULL || filter_eval(open, &env) != TRI_NO ? r : NULL;
}

static struct cause cause_of(struct engine *e, const struct pending_rule *p,
                             const struct doc *resource)
{
    return (struct cause){.type = p->type,
                          .feed = keep(e, text_of(p->feed)),
                          .jti = keep(e, text_of(p->jti)),
                          .fresh = resource,
                          .may = policy_feed_may(e->policy, text_of(p->feed))};
}

/* Limits: first all are counted, so that their order never matters. */
static void count_pending(struct engine *e, struct subject *s,
                          const struct doc *resource)
{
    LIST_EACH (k, next, &subject_rare(s)->pending) {
        const struct pending_rule *p =
            container_of(k, struct pending_rule, link);
        if (p->decided)
            continue;
        const struct policy_rule *r = decided(e, p, resource);
        const struct cause c = cause_of(e, p, resource);
        if (r != NULL && p->about == PENDING_TARGET)
            limit_count(e, s, &c, r);
        else if (r != NULL)
            count_rule(e, s, &c, r);
    }
}

/* NULL: nothing about it can be known any more. */
static void decide_pending(struct engine *e, struct subject *s,
                           const struct doc *resource)
{
    if (e->policy->limited)
        count_pending(e, s, resource);
    LIST_EACH (k, next, &subject_rare(s)->pending) {
        struct pending_rule *p = container_of(k, struct pending_rule, link);
        if (p->decided)
            continue;
        const struct cause c = cause_of(e, p, resource);
        const struct policy_rule *r = decided(e, p, resource);
        if (r != NULL && p->about == PENDING_TARGET)
            run_rule_on(e, s, r, &c);
        else if (r != NULL)
            run_rule(e, s, r, &c);
        subject_decide(s, p);
        e->decided = s;
    }
}

void settle_decided(struct engine *e)
{
    if (e->decided != NULL)
        subject_settle(&e->subjects, e->decided, e->rc != 0);
    e->decided = NULL;
}

/* Has a read shown it, or a statement named it? */
static bool was_heard_of(const struct subject *s)
{
    return s->known || s->stamp_wall_ms != 0;
}

static void read_gone(struct engine *e, struct subject *s)
{
    read_ended(s, e->in->now_ms + UNKNOWN_KEPT_MS);
    s->read_ms = e->in->now_ms;
    s->active = false;
    if (!was_heard_of(s)) {
        record_read(e, s, "no_such_agent", SPAN(""), SPAN(""), false);
        return;
    }
    record_read(e, s, "gone", SPAN(""), SPAN(""), true);
    history_read(e, s, "gone", NULL);
    found_state(e, s, FOUND_ABSENT, EVENT_FOUND_GONE, NULL);
    /* A replica may not have heard of it yet: once settled that is over. */
    if (s->rare->read.start_input >= s->stamp &&
        s->rare->read.start_ms >= s->stamp_ms + e->policy->settle_ms)
        s->event_open = false;
    decide_pending(e, s, NULL);
    fact_subject(e, s);
}

/* The read proves a state from after everything that was said so far. */
static void covered(struct engine *e, struct subject *s)
{
    s->read_input = s->rare->read.start_input;
    s->read_ms = s->rare->read.start_ms;
    s->read_wall_ms = e->in->wall_ms;
    s->read_row = s->rare->read.start_row;
    s->event_open = false;
}

void uncover(struct subject *s)
{
    s->read_input = 0;
    s->event_open = true;
}

static void qualified(struct engine *e, struct subject *s,
                      const struct doc *resource)
{
    covered(e, s);
    s->etag_qualified = true;
    if (resource != NULL) {
        keep_attributes(e, s, resource);
        relate_all(e, s, resource);
        touch(e, s);
    }
    if (s->active)
        s->left = false;
    const struct doc *fresh = subject_attrs(e, s);
    if (fresh == NULL) { /* nothing is decided without it */
        note_rc(e, RC_NO_MEMORY);
        return;
    }
    decide_pending(e, s, fresh);
    struct cause c = {.type = EVENT_REFRESHED,
                      .fresh = fresh,
                      .jti = SPAN("read"),
                      .may = MAY_ALL};
    s->seen |= EVENT_BIT(EVENT_REFRESHED);
    run_rules(e, s, &c);
    run_releases(e, s, &c);
}

/* A person or a group: rules may wait for what it says. */
static void read_related(struct engine *e, struct subject *s,
                         const struct doc *resource)
{
    int64_t again_ms;
    struct span etag = e->in->read.etag;
    bool good = qualifies(e, s, etag, &again_ms);
    s->known = true;
    read_ended(s, good ? 0 : again_ms);
    if (s->kind == SUBJECT_USER) {
        s->active = says_active(resource);
        s->left = !s->active || (s->left && !good);
    }
    record_read(e, s, good ? "qualified" : "not_yet", etag, SPAN(""), true);
    history_read(e, s, good ? "qualified" : "not_yet", resource);
    mark_etag(e, s, etag, good);
    if (s->kind == SUBJECT_USER)
        found_state(e, s, s->active ? FOUND_ACTIVE : FOUND_NOT_ACTIVE,
                    EVENT_FOUND_INACTIVE, resource);
    if (good) {
        covered(e, s);
        decide_pending(e, s, resource);
    }
    fact_subject(e, s);
}

/* Agents that joined are stale from now on. */
static bool join(struct engine *e, struct subject *s, struct subject *agent)
{
    unsigned before = agent->out_count;
    int rc = subject_link(&e->subjects, agent, EDGE_GROUP, s);
    if (rc != RC_LIMIT) /* SUBJECT_EDGES_MAX: not indexed, but stale now */
        note_rc(e, rc);
    if (rc == 0 && agent->out_count == before)
        return false; /* was a member: the event has made it stale already */
    stamp(e, agent, SPAN(""));
    if (!list_empty(&agent->calls) && e->policy->read_open_calls_now)
        want_read(e, agent);
    return true;
}

static void read_group(struct engine *e, struct subject *s,
                       const struct doc *resource)
{
    const struct engine_base *b = &e->conf->bases[s->base];
    int64_t joined = 0;
    DOC_EACH (it, doc_iget(resource, SPAN("members"))) {
        char text[SUBJECT_URI_MAX + 1];
        struct span uri =
            resource_uri(b->agent_segment, doc_text(it, SPAN("value")), text);
        struct subject *agent = subject_find(&e->subjects, b->url, uri);
        joined += agent != NULL && join(e, s, agent);
    }
    struct record r = record_of(RECORD_READ);
    r.agent = s->uri;
    r.base = b->url;
    r.outcome = SPAN("members");
    r.count = joined;
    record_row(e, &r);
    read_related(e, s, resource);
}

static void read_agent(struct engine *e, struct subject *s)
{
    const struct in_read_done *in = &e->in->read;
    /* 304: the state is that of the ETag that was sent, whatever the answer
     * carries. */
    bool same = in->result == READ_NOT_MODIFIED;
    const struct doc *resource = same ? subject_attrs(e, s) : in->resource;
    if (resource == NULL) {
        note_rc(e, RC_NO_MEMORY);
        return;
    }
    struct span etag = same ? text_of(s->etag) : in->etag;
    int64_t again_ms;
    bool good = qualifies(e, s, etag, &again_ms);
    s->known = true;
    read_ended(s, good ? 0 : again_ms);
    s->active = says_active(resource);
    if (s->attrs == NULL)
        keep_attributes(e, s, resource); /* shown, not trusted, until then */
    struct span kept = keep(e, etag);
    mark_etag(e, s, kept, good);
    record_read(e, s, good ? "qualified" : "not_yet", kept, SPAN(""), true);
    history_read(e, s, good ? "qualified" : "not_yet", resource);
    found_state(e, s, s->active ? FOUND_ACTIVE : FOUND_NOT_ACTIVE,
                EVENT_FOUND_INACTIVE, resource);
    if (good)
        qualified(e, s, same ? NULL : resource);
    agenda_meet(e, s);
    fact_subject(e, s);
}

/* Running calls are judged again by what the read found. */
static void judge_open_calls(struct engine *e, struct subject *s)
{
    LIST_EACH (k, next, &s->calls)
        judge_call(e, container_of(k, struct call, agent_link));
}

/* Does somebody still wait for what a read would say? */
static bool needs_read(const struct engine *e, const struct subject *s)
{
    struct standing st;
    if (subject_rare(s)->parked_count > 0)
        return true;
    if (s->kind == SUBJECT_GROUP && s->rare->read.last_failed)
        return true; /* its event named nobody: who joined is not known */
    if (s->kind != SUBJECT_AGENT && s->event_open &&
        (subject_rare(s)->pending_count > 0 || (s->left && s->active)))
        return true;
    standing_of(e, s, e->policy->max_age_ms, &st);
    return st.stale && e->policy->read_open_calls_now && !list_empty(&s->calls);
}

static void after_read(struct engine *e, struct subject *s)
{
    struct standing st;
    judge_open_calls(e, s);
    unpark(e, s);
    standing_of(e, s, 0, &st);
    if (!s->rare->read.last_failed && s->rare->read.start_input >= st.stamp)
        s->rare->read.wanted = false; /* who wanted it meanwhile has it */
    if (s->rare->read.wanted || needs_read(e, s))
        want_read(e, s);
    else if (s->rare->read.id == 0)
        rest(e, s);
}

/* Does the list leave open what became of it? Absence proves nothing: of a
 * resource, or of what an earlier read has shown of it, because lists often
 * leave out what is costly to show. */
static bool left_open(const struct engine *e, const struct subject *s)
{
    const struct in_read_done *in = &e->in->read;
    if (s->rare->read.list == 0)
        return false;
    if (in->result != READ_OK)
        return in->result != READ_FAILED;
    return s->attrs == NULL || attrs_lacks(&e->subjects.attrs, s->attrs,
                                           in->resource, e->policy->attributes);
}

/* A read of its own decides, when it is its turn. */
static void read_alone(struct engine *e, struct subject *s)
{
    if (e->in->read.result == READ_LIST_FAILED)
        e->bases[s->base].list_from_ms = e->in->now_ms + READ_LIST_PAUSE_MS;
    e->stats.reads_unlisted++;
    s->rare->read.unlisted = true;
    want_read(e, s);
}

void undo_read(struct engine *e)
{
    struct subject *s = e->taken;
    if (s == NULL)
        return;
    e->taken = NULL;
    uncover(s);
    touch(e, s);
    s->found = e->taken_from;
    if (subject_rare_get(e->mem, s) == NULL)
        return; /* who asks next has it read */
    read_failed(e, s, -1, SPAN("the answer cannot be kept"));
    want_read(e, s); /* rules may wait for it, whoever asks */
}

void on_read_done(struct engine *e)
{
    const struct in_read_done *in = &e->in->read;
    struct subject *s = find_reading(e, in->read_id);
    if (s == NULL)
        return; /* ended by the tick, or from before a restart */
    unsigned base = s->base;
    read_over(e, s);
    if (left_open(e, s)) {
        read_alone(e, s);
        start_reads(e, base);
        return;
    }
    bool has_body = in->result == READ_OK ||
                    (in->result == READ_NOT_MODIFIED &&
                     s->rare->read.conditional && s->attrs != NULL);
    if (has_body || (in->result == READ_GONE && was_heard_of(s)))
        e->taken = s;
    e->taken_from = s->found;
    if (in->result == READ_GONE)
        read_gone(e, s);
    else if (!has_body)
        read_failed(e, s, in->retry_after_ms, in->why);
    else if (s->kind == SUBJECT_GROUP)
        read_group(e, s, in->resource);
    else if (s->kind == SUBJECT_USER && e->policy->agents_where == NULL)
        read_related(e, s, in->resource);
    else
        read_agent(e, s);
    if (e->rc != 0)
        undo_read(e);
    after_read(e, s);
    start_reads(e, base);
}
