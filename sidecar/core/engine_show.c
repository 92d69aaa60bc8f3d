// SPDX-License-Identifier: Apache-2.0
/* Operators' views of the engine, as JSON (docs/admin-api.md). */
#include <stdio.h>

#include "sidecar/base/json_out.h"
#include "sidecar/core/engine_internal.h"

static struct span c_text(const unsigned char *s)
{
    return span_str((const char *)s);
}

static void show_time(struct json_out *j, const char *key, int64_t wall_ms)
{
    if (wall_ms != 0)
        json_time(j, key, wall_ms);
    else
        json_nil(j, key);
}

static void show_hold(struct json_out *j, const struct hold *h)
{
    json_open_map(j, NULL);
    json_str(j, "kind", hold_kind_word(h->kind));
    json_text(j, "set_by", c_text(h->rule));
    json_text(j, "cause", c_text(h->cause));
    json_str(j, "event", event_type_name(h->event));
    json_bool(j, "operator_only", h->operator_only);
    json_time(j, "since", h->since_wall_ms);
    show_time(j, "expires", h->due_wall_ms);
    json_open_list(j, "tools");
    for (unsigned i = 0; i < h->tools.count; i++)
        json_text(j, NULL, h->tools.at[i]);
    json_close_list(j);
    json_close_map(j);
}

static void show_call(struct json_out *j, const struct call *c)
{
    static const char *const words[] = {"running", "stopping", "lost"};
    json_open_map(j, NULL);
    json_text(j, "call_id", c->call_id);
    json_text(j, "tool", c->tool);
    json_text(j, "runtime", c->runtime->name);
    json_str(j, "state", words[c->state]);
    json_time(j, "since", c->since_wall_ms);
    json_close_map(j);
}

static void show_id(struct json_out *j, const char *key, uint64_t id)
{
    char text[17];
    (void)snprintf(text, sizeof text, "%016llx", (unsigned long long)id);
    json_str(j, key, text);
}

static void show_job(const struct engine *e, struct json_out *j,
                     const struct job *job)
{
    bool cancel = job->kind == JOB_CANCEL;
    json_open_map(j, NULL);
    show_id(j, "id", job->id);
    json_text(j, "agent", job->agent->uri);
    json_text(j, "base", base_url(e, job->agent));
    json_text(j, "action",
              job->kind == JOB_ACTION ? job->action.name
                                      : span_str(job_kind_word(job->kind)));
    json_text(j, "target", job->target);
    json_text(j, "rule", job->rule);
    json_text(j, "cause", job->jti);
    json_str(j, "state", job_state_word(job->state));
    json_u64(j, "reach", cancel ? job->target_count : 1);
    json_u64(j, "confirmed",
             cancel ? job->settled_count : job->state == JOB_CONFIRMED);
    json_u64(j, "attempts", job->attempts);
    json_time(j, "since", job->created_wall_ms);
    show_time(j, "deadline", job->deadline_wall_ms);
    json_text(j, "last_error", job->last_error);
    json_close_map(j);
}

static const char *standing_word(const struct engine *e,
                                 const struct subject *s,
                                 const struct standing *st)
{
    if (hold_strictest(s, SPAN("")) != NULL || st->uncovered)
        return "held";
    if (s->found == FOUND_ABSENT)
        return "gone";
    if (!s->known)
        return "unknown";
    if (st->stale)
        return "stale";
    (void)e;
    return s->active ? "may_act" : "inactive";
}

/* A step's clock is the last one seen: a view between steps shows the
 * standing as of then. */
static void show_agent(const struct engine *e, struct json_out *j,
                       const struct subject *s)
{
    struct standing st;
    standing_of(e, s, e->policy->max_age_ms, &st);
    unsigned credentials = 0;
    json_open_map(j, NULL);
    json_text(j, "uri", s->uri);
    json_text(j, "base", base_url(e, s));
    json_str(j, "kind", subject_kind_word(s->kind));
    json_bool(j, "known", s->known);
    if (s->known)
        json_bool(j, "active", s->active);
    else
        json_nil(j, "active");
    json_str(j, "standing", standing_word(e, s, &st));
    json_str(j, "stale_reason", st.stale && st.why != NULL ? st.why : "");
    show_time(j, "last_read", s->read_wall_ms);
    show_time(j, "last_event", s->stamp_wall_ms);
    json_text(j, "etag", c_text(s->etag));
    json_u64(j, "epoch", st.epoch);
    json_open_list(j, "holds");
    LIST_EACH (h, next_h, &s->holds)
        show_hold(j, container_of(h, struct hold, link));
    json_close_list(j);
    json_open_list(j, "open_calls");
    LIST_EACH (c, next_c, &s->calls)
        show_call(j, container_of(c, struct call, agent_link));
    json_close_list(j);
    LIST_EACH (cr, next_cr, &s->credentials)
        credentials++;
    json_u64(j, "credentials", credentials);
    json_open_list(j, "jobs");
    LIST_EACH (b, next_b, &s->jobs)
        show_job(e, j, container_of(b, struct job, agent_link));
    json_close_list(j);
    json_close_map(j);
}

static bool worth_showing(const struct engine *e, const struct subject *s)
{
    return s->kind == SUBJECT_AGENT || !list_empty(&s->holds) ||
           (s->kind == SUBJECT_USER && is_agent(e, s));
}

void engine_show_agents(const struct engine *e, struct json_out *j)
{
    json_open_list(j, "agents");
    struct map_link *k = NULL;
    while ((k = map_next(&e->subjects.by_key, k)) != NULL) {
        const struct subject *s = container_of(k, struct subject, link);
        if (worth_showing(e, s))
            show_agent(e, j, s);
    }
    json_close_list(j);
}

bool engine_show_agent(const struct engine *e, int base, struct span uri,
                       struct json_out *j)
{
    if (base < 0 || (unsigned)base >= e->conf->base_count)
        return false;
    const struct subject *s =
        subject_find(&e->subjects, e->conf->bases[base].url, uri);
    if (s == NULL)
        return false;
    json_key(j, SPAN("agent"));
    struct json_out inner = *j; /* the object stands right behind its name */
    inner.comma[inner.depth] = false;
    show_agent(e, &inner, s);
    return true;
}

void engine_show_jobs(const struct engine *e, struct json_out *j)
{
    json_open_list(j, "jobs");
    LIST_EACH (k, next, &e->jobs.open)
        show_job(e, j, container_of(k, struct job, state_link));
    LIST_EACH (x, next_x, &e->jobs.ended)
        show_job(e, j, container_of(x, struct job, state_link));
    json_close_list(j);
}

void engine_show_reviews(const struct engine *e, struct json_out *j)
{
    json_open_list(j, "reviews");
    LIST_EACH (k, next, &e->holds.due) {
        const struct hold *h = container_of(k, struct hold, due_link);
        json_open_map(j, NULL);
        json_text(j, "agent", h->agent->uri);
        json_text(j, "base", base_url(e, h->agent));
        json_text(j, "rule", c_text(h->rule));
        json_text(j, "cause", c_text(h->cause));
        json_text(j, "by", c_text(h->by));
        json_time(j, "since", h->since_wall_ms);
        json_time(j, "expires", h->due_wall_ms);
        json_str(j, "otherwise", hold_kind_word(h->otherwise));
        json_close_map(j);
    }
    json_close_list(j);
}

static const char *feed_word(const struct feed_state *f)
{
    if (f->disabled)
        return "disabled";
    if (f->silent)
        return "silent";
    return f->caught_up ? "caught_up" : "catching_up";
}

void engine_show_feeds(const struct engine *e, struct json_out *j)
{
    json_open_list(j, "feeds");
    for (unsigned i = 0; i < e->conf->feed_count; i++) {
        const struct feed_state *f = &e->feeds[i];
        json_open_map(j, NULL);
        json_text(j, "name", e->conf->feeds[i].name);
        json_text(j, "issuer", e->conf->feeds[i].issuer);
        json_text(j, "base", e->conf->bases[e->conf->feeds[i].base].url);
        json_str(j, "state", feed_word(f));
        show_time(j, "last_sign", f->last_sign_wall_ms);
        json_u64(j, "events", f->events);
        json_u64(j, "refused", f->refused);
        json_str(j, "last_error", f->last_error);
        json_close_map(j);
    }
    json_close_list(j);
}

void engine_stats_get(const struct engine *e, struct engine_stats *ret)
{
    *ret = e->stats;
    ret->parked_now = e->parked_count;
    ret->jobs_open = e->jobs.open_count;
    ret->jobs_confirmed = e->jobs.confirmed;
    ret->jobs_failed = e->jobs.failed;
    ret->holds_now = e->holds.count;
    ret->calls_now = e->calls.by_id.count;
    ret->subjects_now = e->subjects.by_key.count;
    ret->credentials_now = e->credential_count;
    ret->jtis_now = e->dedupe.count;
    ret->oldest_unconfirmed_ms = 0;
    LIST_EACH (k, next, &e->jobs.open) {
        const struct job *j = container_of(k, struct job, state_link);
        int64_t age = e->in == NULL ? 0 : e->in->now_ms - j->created_ms;
        if (j->kind != JOB_ACTION && age > ret->oldest_unconfirmed_ms)
            ret->oldest_unconfirmed_ms = age;
    }
}
