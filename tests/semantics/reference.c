// SPDX-License-Identifier: Apache-2.0
/* Statements, reads, people and time: the life of an event as ARCHITECTURE.md
 * and "Semantics" in docs/policy.md tell it, one subject after the other. */
#include "tests/semantics/reference.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GONE_KEPT_MS 5000 /* how long "no such agent" is believed */

/* ---- sets of texts ---- */

void lines_add(struct lines *l, const char *fmt, ...)
{
    va_list ap;
    must(l->count < LINES_MAX);
    va_start(ap, fmt);
    (void)vsnprintf(l->at[l->count++], LINE_BYTES, fmt, ap);
    va_end(ap);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

void lines_sort(struct lines *l)
{
    unsigned n = 0;
    if (l->count > 1)
        qsort(l->at, l->count, LINE_BYTES, by_text);
    for (unsigned i = 0; i < l->count; i++)
        if (n == 0 || strcmp(l->at[n - 1], l->at[i]) != 0) {
            if (n != i)
                memcpy(l->at[n], l->at[i], LINE_BYTES);
            n++;
        }
    l->count = n;
}

bool lines_equal(const struct lines *a, const struct lines *b)
{
    if (a->count != b->count)
        return false;
    for (unsigned i = 0; i < a->count; i++)
        if (strcmp(a->at[i], b->at[i]) != 0)
            return false;
    return true;
}

/* ---- subjects ---- */

static enum subject_kind kind_of(struct span uri)
{
    return uri.p[1] == 'G'   ? SUBJECT_GROUP
           : uri.p[1] == 'U' ? SUBJECT_USER
                             : SUBJECT_AGENT;
}

static struct ref_subject *find(struct ref *r, struct span uri)
{
    for (unsigned i = 0; i < r->subject_count; i++)
        if (span_eq(r->subjects[i].uri, uri))
            return &r->subjects[i];
    return NULL;
}

struct ref_subject *ref_subject(struct ref *r, struct span uri)
{
    struct ref_subject *s = find(r, uri);
    if (s != NULL)
        return s;
    must(r->subject_count < REF_SUBJECTS_MAX);
    s = &r->subjects[r->subject_count++];
    s->uri = uri;
    s->kind = kind_of(uri);
    return s;
}

bool ref_is_agent(const struct ref *r, const struct ref_subject *s)
{
    const struct ref_sight sight = {.resource = s->attrs};
    return s->kind == SUBJECT_AGENT ||
           (s->kind == SUBJECT_USER && r->policy->agents_where != NULL &&
            ref_condition(r->policy->agents_where, &sight) == TRUE_);
}

void ref_init(struct ref *r, struct mem *m, const struct policy *p,
              int64_t now_ms)
{
    memset(r, 0, sizeof *r);
    r->mem = m;
    r->policy = p;
    r->now_ms = now_ms;
    r->audit = p->mode.audit;
    r->feeds[0].alive_ms = r->feeds[1].alive_ms = now_ms;
    ref_take_schedules(r);
}

void ref_next(struct ref *r, int64_t now_ms)
{
    r->n++;
    r->now_ms = now_ms;
    r->lines.count = 0;
}

static void touch(struct ref *r, struct ref_subject *s, struct span version)
{
    s->touched_n = r->n;
    s->touched_ms = r->now_ms;
    s->open = s->announced = true;
    s->version = version;
    if (!s->failed)
        s->rest_until_ms = 0; /* there is news */
}

/* ---- statements ---- */

static bool leaves(enum event_type t)
{
    return t == EVENT_DELETE || t == EVENT_RISC_ACCOUNT_PURGED ||
           t == EVENT_DEACTIVATE || t == EVENT_RISC_ACCOUNT_DISABLED;
}

/* Agents that a full form names are members from now on. */
static void follow_members(struct ref *r, const struct ref_subject *group,
                           const struct event_part *part)
{
    for (unsigned i = 0; i < part->member_count; i++) {
        char uri[64];
        (void)snprintf(uri, sizeof uri, "/Agents/%.*s",
                       PRSPAN(part->members[i]));
        struct ref_subject *a = find(r, span_str(uri));
        if (a == NULL)
            continue;
        a->related[REF_GROUP][group - r->subjects] = true;
        touch(r, a, SPAN(""));
    }
}

/* Whatever the policy says. */
static void built_in(struct ref *r, struct ref_subject *s,
                     const struct event_part *part, const struct ref_cause *c,
                     bool may_release)
{
    const enum event_type t = part->type;
    s->left = s->left || leaves(t);
    if (may_release)
        s->stored |= EVENT_BIT(t);
    if (t == EVENT_FEED_REMOVE)
        s->dropped_by_feed = true;
    if (t == EVENT_FEED_ADD || t == EVENT_CREATE)
        s->dropped_by_feed = false;
    if (t == EVENT_FEED_REMOVE && ref_is_agent(r, s) && !r->audit) {
        struct ref_hold h = {.kind = HOLD_UNCOVERED, .rule = "feed.remove"};
        (void)snprintf(h.cause, sizeof h.cause, "%.*s", PRSPAN(c->jti));
        ref_hold(r, s, &h);
    }
    if (s->kind == SUBJECT_GROUP)
        follow_members(r, s, part);
}

static bool may_release(const struct ref *r, struct span feed)
{
    for (unsigned i = 0; i < r->policy->feed_count; i++)
        if (span_eq(r->policy->feeds[i].name, feed))
            return (r->policy->feeds[i].may & MAY_RELEASE) != 0;
    return true;
}

/* The same token twice is one statement; another payload under its name is a
 * lie of somebody: nothing but staleness follows. */
static bool is_news(struct ref *r, const struct event *ev, unsigned payload,
                    bool *ret_differs)
{
    *ret_differs = false;
    for (unsigned i = 0; i < r->heard_count; i++) {
        if (!span_eq(r->heard[i].jti, ev->jti) ||
            !span_eq(r->heard[i].feed, ev->feed))
            continue;
        *ret_differs = r->heard[i].payload != payload;
        return false;
    }
    must(r->heard_count < 64);
    r->heard[r->heard_count].jti = ev->jti;
    r->heard[r->heard_count].feed = ev->feed;
    r->heard[r->heard_count++].payload = payload;
    return true;
}

void ref_sign_of_life(struct ref *r, struct span feed)
{
    const unsigned i = span_eq(feed, SPAN("hr")) ? 0 : 1;
    r->feeds[i].alive_ms = r->now_ms;
    r->feeds[i].silent = false;
}

void ref_statement(struct ref *r, const struct event *ev, unsigned payload)
{
    bool differs;
    ref_sign_of_life(r, ev->feed);
    if (!is_news(r, ev, payload, &differs)) {
        if (differs)
            touch(r, ref_subject(r, ev->uri), SPAN(""));
        return;
    }
    struct ref_subject *s = ref_subject(r, ev->uri);
    touch(r, s, ev->parts[0].version);
    for (unsigned i = 0; i < ev->part_count; i++) {
        const struct ref_cause c = {.type = ev->parts[i].type,
                                    .feed = ev->feed,
                                    .jti = ev->jti,
                                    .part = &ev->parts[i],
                                    .feed_bound = true};
        built_in(r, s, &ev->parts[i], &c, may_release(r, ev->feed));
        ref_rules(r, s, &c);
    }
}

/* ---- reads ---- */

static bool says_active(const struct doc *resource)
{
    DOC_EACH (d, resource)
        if (span_ieq(d->key, SPAN("active")))
            return d->kind == DOC_BOOL && d->truth;
    return false;
}

struct opened {
    bool own, related;
    unsigned touched_n;
    int64_t touched_ms;
};

/* Statements that no qualifying read of the subject has covered. */
static struct opened opened(const struct ref *r, const struct ref_subject *s)
{
    struct opened o = {.own = s->open,
                       .touched_n = s->touched_n,
                       .touched_ms = s->open ? s->touched_ms : INT64_MIN};
    for (unsigned k = 0; k < REF_RELATIONS; k++)
        for (unsigned i = 0; i < r->subject_count; i++) {
            const struct ref_subject *other = &r->subjects[i];
            if (!s->related[k][i] || other->touched_n <= s->covered_n)
                continue;
            o.related = true;
            if (other->touched_n > o.touched_n)
                o.touched_n = other->touched_n;
            if (other->touched_ms > o.touched_ms)
                o.touched_ms = other->touched_ms;
        }
    return o;
}

/* It started after everything that was said, and shows a state from after it:
 * by its ETag, or because enough time had passed. */
static bool qualifies(const struct ref *r, struct ref_subject *s,
                      const struct ref_read *read)
{
    const struct opened o = opened(r, s);
    const struct span etag = read->etag;
    s->rest_until_ms = r->now_ms;
    if (read->started_n < o.touched_n || read->started_n < r->reload_n)
        return false;
    if (!o.own && !o.related)
        return true;
    if (etag.n > 0 && !o.related && span_eq(etag, s->version))
        return true;
    if (etag.n > 0 && s->etag.n > 0 && !span_eq(etag, s->etag) &&
        !span_eq(etag, s->etag_seen))
        return true;
    s->rest_until_ms = o.touched_ms + r->policy->settle_ms;
    return read->started_ms >= s->rest_until_ms;
}

static void relate(struct ref *r, struct ref_subject *s, enum ref_relation k,
                   const struct doc *resource)
{
    static const char *const keys[] = {"groups", "owners", "parent"};
    static const char *const paths[] = {"Groups", "Users", "Agents"};
    const struct doc *list = doc_iget(resource, span_str(keys[k]));
    const bool one = list != NULL && list->kind == DOC_MAP;
    memset(s->related[k], 0, sizeof s->related[k]);
    for (const struct doc *it = one            ? list
                                : list == NULL ? NULL
                                               : list->first;
         it != NULL; it = one ? NULL : it->next) {
        char uri[64];
        int n = snprintf(uri, sizeof uri, "/%s/%.*s", paths[k],
                         PRSPAN(doc_text(it, SPAN("value"))));
        struct span u = {mem_copy(r->mem, span_of(uri, (size_t)n)), (size_t)n};
        struct ref_subject *other = ref_subject(r, u);
        if (other != s)
            s->related[k][other - r->subjects] = true;
    }
}

/* What a read finds is itself an event, once. */
static void found(struct ref *r, struct ref_subject *s, enum ref_found now,
                  const struct doc *resource)
{
    const struct ref_cause c = {
        .type = now == REF_GONE ? EVENT_FOUND_GONE : EVENT_FOUND_INACTIVE,
        .jti = SPAN("read"),
        .read = true,
        .fresh = resource};
    if (s->found == now)
        return;
    s->found = now;
    if (now == REF_ACTIVE)
        return;
    s->left = true;
    s->stored |= EVENT_BIT(c.type);
    ref_rules(r, s, &c);
}

static void found_nobody(struct ref *r, struct ref_subject *s,
                         const struct ref_read *read)
{
    s->failed = false;
    s->active = false;
    s->rest_until_ms = r->now_ms + GONE_KEPT_MS;
    s->covered_ms = r->now_ms;
    if (!s->known && !s->announced)
        return; /* nobody ever said that there is one */
    found(r, s, REF_GONE, NULL);
    if (read->started_n >= s->touched_n &&
        read->started_ms >= s->touched_ms + r->policy->settle_ms)
        s->open = false;
    ref_decide_pending(r, s, NULL);
}

static void cover(struct ref_subject *s, const struct ref_read *read)
{
    s->covered_n = read->started_n;
    s->covered_ms = read->started_ms;
    s->open = false;
    s->rest_until_ms = 0;
}

static void read_agent(struct ref *r, struct ref_subject *s,
                       const struct ref_read *read, bool good)
{
    const struct ref_cause c = {.type = EVENT_REFRESHED,
                                .jti = SPAN("read"),
                                .read = true,
                                .fresh = read->resource};
    if (s->attrs == NULL)
        s->attrs = read->resource; /* shown, not trusted */
    found(r, s, s->active ? REF_ACTIVE : REF_INACTIVE, read->resource);
    if (!good)
        return;
    cover(s, read);
    s->attrs = read->resource;
    for (unsigned k = 0; k < REF_RELATIONS; k++)
        relate(r, s, (enum ref_relation)k, read->resource);
    if (s->active)
        s->left = false;
    ref_decide_pending(r, s, s->attrs);
    s->stored |= EVENT_BIT(EVENT_REFRESHED);
    ref_rules(r, s, &c);
    ref_releases(r, s);
}

/* Agents that joined have something new to prove. */
static void read_members(struct ref *r, const struct ref_subject *group,
                         const struct doc *resource)
{
    DOC_EACH (it, doc_iget(resource, SPAN("members"))) {
        char uri[64];
        (void)snprintf(uri, sizeof uri, "/Agents/%.*s",
                       PRSPAN(doc_text(it, SPAN("value"))));
        struct ref_subject *a = find(r, span_str(uri));
        if (a == NULL || a->related[REF_GROUP][group - r->subjects])
            continue;
        a->related[REF_GROUP][group - r->subjects] = true;
        touch(r, a, SPAN(""));
    }
}

static void read_related(struct ref *r, struct ref_subject *s,
                         const struct ref_read *read, bool good)
{
    if (s->kind == SUBJECT_GROUP)
        read_members(r, s, read->resource);
    if (s->kind == SUBJECT_USER) {
        s->left = !s->active || (s->left && !good);
        found(r, s, s->active ? REF_ACTIVE : REF_INACTIVE, read->resource);
    }
    if (!good)
        return;
    cover(s, read);
    ref_decide_pending(r, s, read->resource);
}

void ref_read(struct ref *r, const struct ref_read *told)
{
    struct ref_subject *s = ref_subject(r, told->uri);
    struct ref_read again = *told;
    const struct ref_read *read = &again;
    if (told->result == READ_NOT_MODIFIED) { /* what its ETag stood for */
        again.result = told->conditional ? READ_OK : READ_FAILED;
        again.etag = s->etag;
        again.resource = s->attrs;
    }
    if (read->result == READ_GONE) {
        found_nobody(r, s, read);
        return;
    }
    if (read->result == READ_FAILED) {
        s->failed = true; /* it says nothing about the agent */
        s->rest_until_ms = r->now_ms + 1;
        return;
    }
    const bool good = qualifies(r, s, read);
    s->known = true;
    s->failed = false;
    s->active = says_active(read->resource);
    if (good)
        s->etag = read->etag;
    else if (read->etag.n > 0)
        s->etag_seen = read->etag;
    if (s->kind == SUBJECT_AGENT || r->policy->agents_where != NULL)
        read_agent(r, s, read, good);
    else
        read_related(r, s, read, good);
    ref_meet(r, s);
}

/* ---- people and time ---- */

static void person_holds(struct ref *r, struct ref_subject *s)
{
    struct ref_hold h = {.kind = HOLD_SUSPENDED,
                         .for_operators = true,
                         .rule = "operator",
                         .type = EVENT_OPERATOR};
    const struct ref_cause c = {.type = EVENT_OPERATOR,
                                .jti = SPAN("operator")};
    (void)snprintf(h.cause, sizeof h.cause, "ann-%u", ++r->operator_count);
    ref_hold(r, s, &h);
    ref_rules(r, s, &c);
}

/* Denied, or nobody decided in time: what the policy says instead. */
static void refuse_review(struct ref *r, struct ref_subject *s, unsigned i)
{
    struct ref_hold h = s->holds[i];
    h.kind = HOLD_SUSPENDED;
    h.due_ms = 0;
    ref_lift(r, s, i, "review");
    ref_hold(r, s, &h);
}

static void decide_review(struct ref *r, struct ref_subject *s,
                          const struct doc *person, bool approve)
{
    const struct ref_sight sight = {.resource = person};
    for (unsigned i = 0; i < s->hold_count;) {
        const struct ref_hold *h = &s->holds[i];
        if (h->kind != HOLD_REVIEW || ref_condition(h->by, &sight) != TRUE_)
            i++;
        else if (approve)
            ref_lift(r, s, i, "review");
        else
            refuse_review(r, s, i);
    }
}

void ref_person(struct ref *r, enum operator_verb verb, struct span uri,
                const struct doc *person)
{
    struct ref_subject *s = ref_subject(r, uri);
    if (verb == OP_HOLD_ADD)
        person_holds(r, s);
    else if (verb == OP_HOLD_LIFT)
        while (s->hold_count > 0)
            ref_lift(r, s, 0, "operator");
    else
        decide_review(r, s, person, verb == OP_REVIEW_APPROVE);
}

/* Who knows what a feed did not say? */
static void hear_nothing(struct ref *r)
{
    const int64_t after = r->policy->feed_silent_ms;
    for (unsigned i = 0; i < 2 && after > 0; i++)
        if (!r->feeds[i].silent && r->now_ms - r->feeds[i].alive_ms >= after) {
            r->feeds[i].silent = true;
            if (r->policy->feed_silent_refresh)
                r->silent_n = r->n;
        }
}

static void end_reviews(struct ref *r)
{
    for (unsigned k = 0; k < r->subject_count; k++) {
        struct ref_subject *s = &r->subjects[k];
        for (unsigned i = 0; i < s->hold_count;) {
            const int64_t due = s->holds[i].due_ms;
            if (due != 0 && due <= r->now_ms)
                refuse_review(r, s, i);
            else
                i++;
        }
    }
}

void ref_time(struct ref *r)
{
    hear_nothing(r);
    ref_run_schedules(r);
    end_reviews(r);
}

/* Holds outlive the policy that made them; what it asks must be read. */
void ref_reload(struct ref *r, const struct policy *p)
{
    r->policy = p;
    r->audit = p->mode.audit;
    r->reload_n = r->n;
    ref_take_schedules(r);
}

/* Standing, holds, what waits and what was heard are kept; what was read is
 * not, and a person's time goes on. */
void ref_restart(struct ref *r, int64_t down_ms)
{
    const int64_t week = INT64_C(7) * 24 * 3600 * 1000;
    const int64_t passed = down_ms < 0 ? 0 : down_ms;
    for (unsigned k = 0; k < r->subject_count; k++) {
        struct ref_subject *s = &r->subjects[k];
        s->attrs = NULL;
        s->failed = false;
        s->rest_until_ms = 0;
        s->covered_ms -= passed;
        s->touched_ms -= passed;
        for (unsigned i = 0; i < s->hold_count; i++)
            if (s->holds[i].due_ms != 0)
                s->holds[i].due_ms -= passed;
    }
    for (unsigned i = 0; i < r->counted_count; i++)
        r->counted[i].at_ms =
            down_ms < 0 ? r->now_ms : r->counted[i].at_ms - passed;
    r->called_count = 0;
    r->slept_ms += passed > week ? week : passed;
    r->reload_n = r->n;
    for (unsigned i = 0; i < 2; i++) {
        r->feeds[i].alive_ms = r->now_ms;
        r->feeds[i].silent = false;
    }
    end_reviews(r); /* schedules have their turn when time goes on */
}

void ref_show_holds(const struct ref *r, struct lines *to)
{
    for (unsigned k = 0; k < r->subject_count; k++)
        for (unsigned i = 0; i < r->subjects[k].hold_count; i++) {
            const struct ref_hold *h = &r->subjects[k].holds[i];
            lines_add(to, "%.*s: held %s by %s%s", PRSPAN(r->subjects[k].uri),
                      hold_kind_word(h->kind), h->rule,
                      h->for_operators ? " for operators" : "");
        }
}
