// SPDX-License-Identifier: Apache-2.0
/* Queries of operators: what the engine shows, and what only the shell knows.
 */
#include <unistd.h>

#include "sidecar/core/job.h"
#include "sidecar/run/admin.h"
#include "sidecar/run/candidate.h"

static const char *store_word(enum store_state s)
{
    switch (s) {
        case STORE_OK: return "ok";
        case STORE_BLOCKED: return "blocked";
        case STORE_POISONED: return "poisoned";
    }
    return "poisoned";
}

static const char *log_word(const struct app *a)
{
    struct decision_log_stats s = {.broken = true};
    if (a->log != NULL)
        decision_log_stats_get(a->log, &s);
    return s.broken ? "broken" : "ok";
}

int admin_show_status(struct admin_ask *q, struct fail *f)
{
    const struct app *a = q->app;
    struct json_out *j = &q->json;
    const struct policy *p = a->policy;
    struct engine_stats s;
    (void)f;
    engine_stats_get(a->engine, &s);
    json_open_map(j, NULL);
    json_str(j, "version", BAILIFF_VERSION);
    json_u64(j, "pid", (uint64_t)getpid());
    json_time(j, "started", a->started_wall_ms);
    json_str(j, "policy_digest",
             p->digest_hex[0] == 0 ? "built-in" : p->digest_hex);
    json_str(j, "config_digest", a->config->digest_hex);
    json_str(j, "mode", s.audit ? "audit" : "enforce");
    json_u64(j, "audit_rules", s.audit_rules);
    json_u64(j, "agents", engine_count_agents(a->engine));
    json_u64(j, "holds", s.holds_now);
    json_u64(j, "open_calls", s.calls_now);
    json_u64(j, "jobs", s.jobs_open);
    json_u64(j, "parked", s.parked_now);
    json_str(j, "store", store_word(a->store_state));
    json_str(j, "log", log_word(a));
    json_bool(j, "legal_hold", a->config->store_legal_hold);
    json_close_map(j);
    return 0;
}

/* A word that nothing can have is a slip, not an empty answer. */
static int check_word(const char *what, struct span word,
                      const char *const *words, struct fail *f)
{
    char known[256];
    size_t at = 0;
    known[0] = 0;
    for (unsigned i = 0; words[i] != NULL && at < sizeof known; i++) {
        if (word.n == 0 || span_eq(word, span_str(words[i])))
            return 0;
        at += (size_t)snprintf(known + at, sizeof known - at, " %s", words[i]);
    }
    return fail(f, RC_INVALID, "%s cannot be '%.*s'; one of:%s", what,
                PRSPAN(span_sub(word, 0, 64)), known);
}

int admin_show_agents(struct admin_ask *q, struct fail *f)
{
    TRY(check_word("standing", q->query.standing, engine_standing_words, f));
    json_open_map(&q->json, NULL);
    engine_show_agents(q->app->engine, &q->query, &q->json);
    json_close_map(&q->json);
    return 0;
}

int admin_show_agent(struct admin_ask *q, struct fail *f)
{
    unsigned base;
    TRY(admin_base(q->app, q->query.feed, q->uri, &base, f));
    if (engine_show_agent(q->app->engine, base, q->uri, q->query.feed,
                          &q->json))
        return 0;
    return fail(f, RC_UNKNOWN_NAME, "no agent %.*s is known",
                PRSPAN(span_sub(q->uri, 0, 128)));
}

int admin_show_reviews(struct admin_ask *q, struct fail *f)
{
    (void)f;
    json_open_map(&q->json, NULL);
    engine_show_reviews(q->app->engine, &q->query, &q->json);
    json_close_map(&q->json);
    return 0;
}

int admin_show_jobs(struct admin_ask *q, struct fail *f)
{
    const char *states[JOB_STATE_COUNT + 1] = {NULL};
    for (unsigned i = 0; i < JOB_STATE_COUNT; i++)
        states[i] = job_state_word((enum job_state)i);
    TRY(check_word("state", q->query.state, states, f));
    json_open_map(&q->json, NULL);
    engine_show_jobs(q->app->engine, &q->query, &q->json);
    json_close_map(&q->json);
    return 0;
}

static const char *delivery_of(const struct config_feed *f)
{
    if (f->push_path.n == 0)
        return f->poll_url.n == 0 ? "none" : "poll";
    return f->poll_url.n == 0 ? "push" : "push+poll";
}

/* What hurts most: without keys nothing is accepted. */
static const char *trouble_of(const struct app *a, unsigned i)
{
    struct engine_feed_stats s;
    if (a->feeds[i].key_trouble[0] != 0)
        return a->feeds[i].key_trouble;
    if (a->feeds[i].poll_trouble[0] != 0)
        return a->feeds[i].poll_trouble;
    engine_feed_stats_get(a->engine, i, &s);
    return s.last_error;
}

int admin_show_feeds(struct admin_ask *q, struct fail *f)
{
    struct app *a = q->app;
    struct json_out *j = &q->json;
    (void)f;
    json_open_map(j, NULL);
    json_open_list(j, "feeds");
    for (unsigned i = 0; i < a->config->feed_count; i++) {
        struct jwks_stats keys = {.keys = 0};
        const char *trouble = trouble_of(a, i);
        if (a->jwks != NULL)
            jwks_stats_get(a->feeds[i].keys, &keys);
        json_open_map(j, NULL);
        engine_show_feed(a->engine, i, j);
        json_str(j, "delivery", delivery_of(a->feeds[i].conf));
        json_u64(j, "keys", keys.keys);
        if (*trouble != 0)
            json_str(j, "last_error", trouble);
        json_close_map(j);
    }
    json_close_list(j);
    json_close_map(j);
    return 0;
}

int admin_show_candidate(struct admin_ask *q, struct fail *f)
{
    struct app *a = q->app;
    struct candidate *c =
        a->candidate != NULL ? a->candidate : a->candidate_loading;
    (void)f;
    json_open_map(&q->json, NULL);
    if (c != NULL)
        candidate_show(c, &q->json);
    json_close_map(&q->json);
    return 0;
}
