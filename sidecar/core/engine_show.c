// SPDX-License-Identifier: Apache-2.0
/* Operators' views of the engine, as JSON (docs/admin-api.md). */
#include <stdio.h>
#include <string.h>

#include "sidecar/base/json_out.h"
#include "sidecar/core/engine_internal.h"

#define CURSOR_BYTES (SUBJECT_URI_MAX + 16)
#define ETAG_BYTES 1040 /* reads take 1024 */

static struct span c_text(const unsigned char *s)
{
    return span_str((const char *)s);
}

/* A member without a value is absent. */
static void show_time(struct json_out *j, const char *key, int64_t wall_ms)
{
    if (wall_ms != 0)
        json_time(j, key, wall_ms);
}

static void show_text(struct json_out *j, const char *key, struct span s)
{
    if (s.n > 0)
        json_text(j, key, s);
}

static bool fits(struct span wanted, const char *word)
{
    return wanted.n == 0 || span_eq(wanted, span_str(word));
}

/* ----------------------------------------------------------------- feeds */

/* The name under which a base is shown: the feed asked for, or its first. */
static struct span feed_name(const struct engine *e, const struct subject *s,
                             int feed)
{
    if (feed >= 0)
        return e->conf->feeds[feed].name;
    for (unsigned i = 0; i < e->conf->feed_count; i++)
        if (e->conf->feeds[i].base == s->base)
            return e->conf->feeds[i].name;
    return SPAN("");
}

static bool of_feed(const struct engine *e, const struct subject *s, int feed)
{
    return feed < 0 || e->conf->feeds[feed].base == s->base;
}

static const char *feed_word(const struct feed_state *f)
{
    if (f->disabled)
        return "disabled";
    if (f->silent)
        return "silent";
    return f->caught_up ? "caught_up" : "catching_up";
}

void engine_feed_stats_get(const struct engine *e, unsigned feed,
                           struct engine_feed_stats *ret)
{
    must(feed < e->conf->feed_count);
    const struct feed_state *f = &e->feeds[feed];
    *ret = (struct engine_feed_stats){
        .events = f->events,
        .refused = f->refused,
        .last_sign_age_ms =
            f->last_sign_wall_ms == 0 ? -1 : e->in->now_ms - f->last_sign_ms,
        .state = feed_word(f),
        .last_error = f->last_error};
}

void engine_show_feed(const struct engine *e, unsigned feed, struct json_out *j)
{
    must(feed < e->conf->feed_count);
    const struct feed_state *f = &e->feeds[feed];
    json_text(j, "name", e->conf->feeds[feed].name);
    json_text(j, "issuer", e->conf->feeds[feed].issuer);
    json_text(j, "base", e->conf->bases[e->conf->feeds[feed].base].url);
    json_str(j, "state", feed_word(f));
    show_time(j, "last_sign", f->last_sign_wall_ms);
    json_u64(j, "events", f->events);
    json_u64(j, "refused", f->refused);
}

/* ----------------------------------------------------------------- holds */

static bool by_operator(const struct hold *h)
{
    return h->event == EVENT_OPERATOR && h->operator_only;
}

/* An operator's hold has the cause "NAME-NUMBER" (engine_operator.c). */
static struct span operator_name(const struct hold *h)
{
    struct span cause = c_text(h->cause);
    size_t n = cause.n;
    while (n > 0 && cause.p[n - 1] != '-')
        n--;
    return n > 1 ? span_sub(cause, 0, n - 1) : cause;
}

static void show_prefixed(struct json_out *j, const char *key,
                          const char *prefix, struct span s)
{
    char text[512];
    int n = snprintf(text, sizeof text, "%s%.*s", prefix, PRSPAN(s));
    size_t have = n < 0 ? 0 : (size_t)n;
    json_text(j, key,
              span_of(text, have < sizeof text ? have : sizeof text - 1));
}

/* Who set it and why; rules' names have no dot, our own reasons do. */
static void show_origin(struct json_out *j, const struct hold *h)
{
    struct span rule = c_text(h->rule);
    if (by_operator(h))
        show_prefixed(j, "set_by", "operator ", operator_name(h));
    else if (rule.n == 0 || span_find(rule, '.', 0) < rule.n)
        json_str(j, "set_by", "bailiff");
    else
        show_prefixed(j, "set_by", "rule ", rule);
    if (by_operator(h))
        show_text(j, "cause", c_text(h->cause));
    else if (h->cause != NULL && *h->cause != 0)
        show_prefixed(j, "cause", "jti ", c_text(h->cause));
}

static void show_hold(struct json_out *j, const char *key, const struct hold *h)
{
    json_open_map(j, key);
    json_str(j, "kind", hold_kind_word(h->kind));
    show_origin(j, h);
    json_time(j, "since", h->since_wall_ms);
    json_open_list(j, "tools");
    for (unsigned i = 0; i < h->tools.count; i++)
        json_text(j, NULL, h->tools.at[i]);
    if (h->tools.count == 0)
        json_str(j, NULL, "*");
    json_close_list(j);
    show_time(j, "expires", h->due_wall_ms);
    json_close_map(j);
}

static void show_holds(struct json_out *j, const char *key,
                       const struct subject *s)
{
    json_open_list(j, key);
    LIST_EACH (h, next, &s->holds)
        show_hold(j, NULL, container_of(h, struct hold, link));
    json_close_list(j);
}

/* ------------------------------------------------------------------ jobs */

static void show_job(const struct engine *e, struct json_out *j,
                     const struct job *job, int feed)
{
    bool cancel = job->kind == JOB_CANCEL, open = job->state <= JOB_RUNNING;
    char id[17];
    (void)snprintf(id, sizeof id, "%016llx", (unsigned long long)job->id);
    json_open_map(j, NULL);
    json_str(j, "id", id);
    json_text(j, "agent", job->agent->uri);
    show_text(j, "feed", feed_name(e, job->agent, feed));
    json_text(j, "action",
              job->kind == JOB_ACTION ? job->action.name
                                      : span_str(job_kind_word(job->kind)));
    show_text(j, "target", job->target);
    show_text(j, "rule", job->rule);
    if (job->jti.n > 0)
        show_prefixed(j, "cause", "jti ", job->jti);
    json_str(j, "state", job_state_word(job->state));
    json_u64(j, "reach",
             cancel                      ? job->target_count
             : job->state == JOB_NOTHING ? 0
                                         : 1);
    json_u64(j, "confirmed",
             cancel ? job->settled_count : job->state == JOB_CONFIRMED);
    json_u64(j, "attempts", job->attempts);
    json_time(j, "since", job->created_wall_ms);
    if (open && !job->in_flight)
        json_time(j, "next_at", e->in->wall_ms + job->next_ms - e->in->now_ms);
    if (open && job->lane != NULL && lane_is_down(job->lane))
        json_bool(j, "target_down", true);
    show_time(j, "deadline", job->deadline_wall_ms);
    show_text(j, "last_error", job->last_error);
    show_text(j, "why", job->why);
    json_close_map(j);
}

static bool job_wanted(const struct engine *e, const struct job *job,
                       const struct show_query *q)
{
    return fits(q->state, job_state_word(job->state)) &&
           (q->uri.n == 0 || span_eq(q->uri, job->agent->uri)) &&
           (q->rule.n == 0 || span_eq(q->rule, job->rule)) &&
           of_feed(e, job->agent, q->feed);
}

/* Returns how many more may be shown; -1: there were more than that. */
static int show_job_list(const struct engine *e, const struct list *jobs,
                         const struct show_query *q, int left,
                         struct json_out *j)
{
    LIST_EACH (k, next, jobs) {
        const struct job *job = container_of(k, struct job, state_link);
        if (!job_wanted(e, job, q))
            continue;
        if (left <= 0)
            return -1;
        show_job(e, j, job, q->feed);
        left--;
    }
    return left;
}

void engine_show_jobs(const struct engine *e, const struct show_query *q,
                      struct json_out *j)
{
    must(q->limit <= SHOW_JOBS_MAX);
    json_open_list(j, "jobs");
    int left = show_job_list(e, &e->jobs.open, q, (int)q->limit, j);
    if (left >= 0)
        left = show_job_list(e, &e->jobs.ended, q, left, j);
    json_close_list(j);
    if (left < 0)
        json_bool(j, "more", true);
}

bool engine_show_job(const struct engine *e, uint64_t id, struct json_out *j)
{
    const struct job *job = job_find(&e->jobs, id);
    if (job == NULL)
        return false;
    show_job(e, j, job, -1);
    return true;
}

/* ---------------------------------------------------------------- agents */

enum { MAY_ACT, INACTIVE, STALE, HELD, UNKNOWN, GONE };
const char *const engine_standing_words[] = {
    [MAY_ACT] = "may_act", [INACTIVE] = "inactive", [STALE] = "stale",
    [HELD] = "held",       [UNKNOWN] = "unknown",   [GONE] = "gone",
    [GONE + 1] = NULL};

static const char *standing_word(const struct subject *s,
                                 const struct standing *st)
{
    unsigned i = s->active ? MAY_ACT : INACTIVE;
    if (hold_strictest(s, SPAN("")) != NULL || st->uncovered)
        i = HELD;
    else if (s->found == FOUND_ABSENT)
        i = GONE;
    else if (!s->known)
        i = UNKNOWN;
    else if (st->stale)
        i = STALE;
    return engine_standing_words[i];
}

static const char *stale_word(const struct standing *st)
{
    struct span why = span_str(st->why);
    if (!st->stale)
        return "";
    return span_eq(why, SPAN("feed")) ? "feed_silent" : st->why;
}

static void show_call(struct json_out *j, const struct call *c)
{
    static const char *const words[] = {"running", "cancelling"};
    json_open_map(j, NULL);
    json_text(j, "call_id", call_id(c));
    json_text(j, "tool", call_tool(c));
    json_text(j, "runtime", c->runtime->name);
    json_str(j, "state", c->lost ? "unknown" : words[c->state]);
    json_time(j, "since", c->since_wall_ms);
    json_close_map(j);
}

static uint64_t count_of(const struct list *l)
{
    uint64_t n = 0;
    LIST_EACH (k, next, l)
        n++;
    return n;
}

static void show_lists(const struct engine *e, struct json_out *j,
                       const struct subject *s, int feed)
{
    show_holds(j, "holds", s);
    json_open_list(j, "open_calls");
    LIST_EACH (c, next_c, &s->calls)
        show_call(j, container_of(c, struct call, agent_link));
    json_close_list(j);
    json_u64(j, "credentials", count_of(&subject_rare(s)->credentials));
    json_open_list(j, "jobs");
    LIST_EACH (b, next_b, &subject_rare(s)->jobs)
        show_job(e, j, container_of(b, struct job, agent_link), feed);
    json_close_list(j);
}

static void show_counts(struct json_out *j, const struct subject *s)
{
    json_u64(j, "holds", count_of(&s->holds));
    json_u64(j, "open_calls", count_of(&s->calls));
    json_u64(j, "credentials", count_of(&subject_rare(s)->credentials));
    json_u64(j, "jobs", count_of(&subject_rare(s)->jobs));
}

/* Kept without its quotes; ETags of SCIM are weak (RFC 7644 3.14). */
static void show_etag(struct json_out *j, struct span etag)
{
    char text[ETAG_BYTES];
    if (etag.n == 0)
        return;
    (void)snprintf(text, sizeof text, "W/\"%.*s\"", PRSPAN(etag));
    json_str(j, "etag", text);
}

static void show_agent(const struct engine *e, struct json_out *j,
                       const struct subject *s, int feed, bool whole)
{
    struct standing st;
    standing_of(e, s, e->policy->max_age_ms, &st);
    json_open_map(j, NULL);
    json_text(j, "uri", s->uri);
    show_text(j, "feed", feed_name(e, s, feed));
    json_text(j, "base", base_url(e, s));
    json_bool(j, "known", s->known);
    if (s->known)
        json_bool(j, "active", s->active);
    json_str(j, "standing", standing_word(s, &st));
    show_text(j, "stale_reason", span_str(stale_word(&st)));
    if (s->partial)
        json_bool(j, "relations_cut", true);
    show_time(j, "last_read", s->read_wall_ms);
    show_time(j, "last_event", s->stamp_wall_ms);
    show_etag(j, c_text(s->etag));
    json_u64(j, "epoch", st.epoch);
    if (whole)
        show_lists(e, j, s, feed);
    else
        show_counts(j, s);
    json_close_map(j);
}

static bool worth_showing(const struct engine *e, const struct subject *s)
{
    return s->kind == SUBJECT_AGENT || !list_empty(&s->holds) ||
           (s->kind == SUBJECT_USER && is_agent(e, s));
}

static const struct subject *find(const struct engine *e, unsigned base,
                                  struct span uri)
{
    must(base < e->conf->base_count);
    const struct subject *s =
        subject_find(&e->subjects, e->conf->bases[base].url, uri);
    return s != NULL && worth_showing(e, s) ? s : NULL;
}

bool engine_knows(const struct engine *e, unsigned base, struct span uri)
{
    return find(e, base, uri) != NULL;
}

unsigned engine_count_agents(const struct engine *e)
{
    unsigned n = 0;
    struct map_link *k = NULL;
    while ((k = map_next(&e->subjects.by_key, k)) != NULL)
        n += worth_showing(e, container_of(k, struct subject, link));
    return n;
}

unsigned engine_count_holds(const struct engine *e, unsigned base,
                            struct span uri, struct span kind,
                            struct span cause)
{
    const struct subject *s = find(e, base, uri);
    unsigned n = 0;
    if (s == NULL)
        return 0;
    LIST_EACH (k, next, &s->holds)
        n += hold_matches(container_of(k, struct hold, link), kind, cause);
    return n;
}

bool engine_show_agent(const struct engine *e, unsigned base, struct span uri,
                       int feed, struct json_out *j)
{
    const struct subject *s = find(e, base, uri);
    if (s == NULL)
        return false;
    show_agent(e, j, s, feed, true);
    return true;
}

void engine_show_new_hold(const struct engine *e, unsigned base,
                          struct span uri, struct json_out *j)
{
    const struct subject *s = find(e, base, uri);
    const struct hold *latest = NULL;
    struct standing st;
    if (s == NULL)
        return;
    LIST_EACH (k, next, &s->holds) {
        const struct hold *h = container_of(k, struct hold, link);
        if (by_operator(h))
            latest = h;
    }
    if (latest != NULL)
        show_hold(j, "hold", latest);
    standing_of(e, s, e->policy->max_age_ms, &st);
    json_u64(j, "epoch", st.epoch);
}

void engine_show_left(const struct engine *e, unsigned base, struct span uri,
                      struct json_out *j)
{
    must(base < e->conf->base_count);
    const struct subject *s =
        subject_find(&e->subjects, e->conf->bases[base].url, uri);
    struct standing st;
    if (s == NULL)
        return;
    standing_of(e, s, e->policy->max_age_ms, &st);
    show_holds(j, "left", s);
    json_str(j, "standing", standing_word(s, &st));
    json_u64(j, "epoch", st.epoch);
}

/* ----------------------------------------------------------------- pages */

/* The table has no useful order, and changes between pages: a page is the
 * smallest so many behind the cursor. */
struct page {
    const struct subject *at[SHOW_PAGE_MAX + 1];
    unsigned count, want; /* want: one more than is shown */
};

static int in_order(const struct subject *a, unsigned base, struct span uri)
{
    if (a->base != base)
        return a->base < base ? -1 : 1;
    return span_cmp(a->uri, uri);
}

static void page_add(struct page *p, const struct subject *s)
{
    unsigned low = 0, high = p->count;
    while (low < high) {
        unsigned mid = low + (high - low) / 2;
        if (in_order(p->at[mid], s->base, s->uri) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    if (low >= p->want)
        return;
    if (p->count < p->want)
        p->count++;
    memmove(&p->at[low + 1], &p->at[low],
            (p->count - low - 1) * sizeof(struct subject *));
    p->at[low] = s;
}

/* "BASE:URI"; anything else is behind nothing. */
static bool behind(const struct subject *s, struct span cursor)
{
    size_t colon = span_find(cursor, ':', 0);
    uint64_t base = 0;
    if (cursor.n == 0)
        return true;
    return span_u64(span_sub(cursor, 0, colon), &base) &&
           base < ENGINE_BASES_MAX &&
           in_order(s, (unsigned)base, span_sub(cursor, colon + 1, cursor.n)) >
               0;
}

static bool agent_wanted(const struct engine *e, const struct subject *s,
                         const struct show_query *q)
{
    struct standing st;
    if (!of_feed(e, s, q->feed) || !behind(s, q->after) || !worth_showing(e, s))
        return false;
    if (q->standing.n == 0)
        return true;
    standing_of(e, s, e->policy->max_age_ms, &st);
    return fits(q->standing, standing_word(s, &st));
}

void engine_show_agents(const struct engine *e, const struct show_query *q,
                        struct json_out *j)
{
    must(q->limit > 0 && q->limit <= SHOW_PAGE_MAX);
    struct page page = {.want = q->limit + 1};
    struct map_link *k = NULL;
    while ((k = map_next(&e->subjects.by_key, k)) != NULL) {
        const struct subject *s = container_of(k, struct subject, link);
        if (agent_wanted(e, s, q))
            page_add(&page, s);
    }
    unsigned shown = page.count < q->limit ? page.count : q->limit;
    json_open_list(j, "agents");
    for (unsigned i = 0; i < shown; i++)
        show_agent(e, j, page.at[i], q->feed, false);
    json_close_list(j);
    if (page.count > shown) {
        char cursor[CURSOR_BYTES];
        const struct subject *last = page.at[shown - 1];
        (void)snprintf(cursor, sizeof cursor, "%u:%.*s", last->base,
                       PRSPAN(last->uri));
        json_str(j, "next", cursor);
    }
}

/* --------------------------------------------------------------- reviews */

static void show_review(const struct engine *e, struct json_out *j,
                        const struct hold *h, int feed)
{
    json_open_map(j, NULL);
    json_text(j, "agent", h->agent->uri);
    show_text(j, "feed", feed_name(e, h->agent, feed));
    show_text(j, "by", c_text(h->by));
    show_origin(j, h);
    json_time(j, "since", h->since_wall_ms);
    json_time(j, "expires", h->due_wall_ms);
    json_str(j, "otherwise", hold_kind_word(h->otherwise));
    json_close_map(j);
}

void engine_show_reviews(const struct engine *e, const struct show_query *q,
                         struct json_out *j)
{
    json_open_list(j, "reviews");
    LIST_EACH (k, next, &e->holds.due) {
        const struct hold *h = container_of(k, struct hold, due_link);
        if (of_feed(e, h->agent, q->feed))
            show_review(e, j, h, q->feed);
    }
    json_close_list(j);
}

/* ----------------------------------------------------------------- stats */

static unsigned count_audits(const struct engine *e)
{
    const struct policy *p = e->policy;
    unsigned count = 0;
    for (unsigned i = 0; p != NULL && i < p->rule_count; i++)
        count += policy_audits(&p->rules[i].mode, e->in->wall_ms);
    for (unsigned i = 0; p != NULL && i < p->gate_count; i++)
        count += policy_audits(&p->gates[i].mode, e->in->wall_ms);
    return count;
}

void engine_stats_get(const struct engine *e, struct engine_stats *ret)
{
    *ret = e->stats;
    ret->parked_now = e->parked_count;
    ret->jobs_open = e->jobs.open_count - e->jobs.withheld_count;
    ret->jobs_withheld = e->jobs.withheld_count;
    ret->limits_passed = e->policy == NULL ? 0 : limits_passed(e);
    ret->jobs_confirmed = e->jobs.confirmed;
    ret->jobs_failed = e->jobs.failed;
    ret->targets_down = e->jobs.lanes.down;
    ret->holds_now = e->holds.count;
    ret->calls_now = e->calls.by_id.count;
    ret->subjects_now = e->subjects.by_key.count;
    ret->credentials_now = e->credential_count;
    ret->jtis_now = e->dedupe.count;
    ret->relations_cut = e->subjects.partial_count;
    ret->audit = e->policy != NULL && audit_mode(e);
    ret->audit_rules = count_audits(e);
    ret->oldest_unconfirmed_ms = 0;
    LIST_EACH (k, next, &e->jobs.open) {
        const struct job *j = container_of(k, struct job, state_link);
        int64_t age = e->in->now_ms - j->created_ms;
        if (j->kind != JOB_ACTION && j->state != JOB_WITHHELD &&
            age > ret->oldest_unconfirmed_ms)
            ret->oldest_unconfirmed_ms = age;
    }
}
