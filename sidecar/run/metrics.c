// SPDX-License-Identifier: Apache-2.0
/*
 * Numbers for Prometheus and answers for probes (docs/metrics.md). Labels name
 * feeds, bases and listeners of the configuration, never an agent.
 */
#include "sidecar/run/rollout.h"

#include <stddef.h>

#include "sidecar/base/json_out.h"
#include "sidecar/base/log.h"
#include "sidecar/run/candidate.h"

#define METRICS_BYTES_MAX (1024 * 1024)

enum number { U64, U32, I64_MS }; /* I64_MS is shown in seconds */

/* One metric that is a member of a stats struct. */
struct row {
    const char *name, *type, *help;
    size_t at;
    enum number number;
};

#define ROW(s, member, n, name, type, help)                                    \
    {                                                                          \
        name, type, help, offsetof(struct s, member), n                        \
    }

static const struct row engine_rows[] = {
    ROW(engine_stats, events, U64, "bailiff_events_total", "counter",
        "Statements accepted"),
    ROW(engine_stats, duplicates, U64, "bailiff_events_duplicate_total",
        "counter", "Statements that were known already"),
    ROW(engine_stats, equivocations, U64, "bailiff_events_equivocal_total",
        "counter", "Same jti, another content"),
    ROW(engine_stats, refused, U64, "bailiff_events_refused_total", "counter",
        "Statements refused with a reason"),
    ROW(engine_stats, questions, U64, "bailiff_questions_total", "counter",
        "Questions of Check and BeginToolCall"),
    ROW(engine_stats, allows, U64, "bailiff_allows_total", "counter",
        "Questions answered with allow"),
    ROW(engine_stats, denies, U64, "bailiff_denies_total", "counter",
        "Questions answered with deny"),
    ROW(engine_stats, parked_now, U64, "bailiff_questions_parked", "gauge",
        "Questions that wait for a read"),
    ROW(engine_stats, parked_refused, U64, "bailiff_questions_not_parked_total",
        "counter", "Questions denied because too many waited"),
    ROW(engine_stats, reads_started, U64, "bailiff_reads_total", "counter",
        "Reads of identities asked for"),
    ROW(engine_stats, reads_listed, U64, "bailiff_reads_listed_total",
        "counter", "Of them, in requests for many at once"),
    ROW(engine_stats, reads_unlisted, U64, "bailiff_reads_unlisted_total",
        "counter", "Of those, left open by the answer and read again alone"),
    ROW(engine_stats, reads_failed, U64, "bailiff_reads_failed_total",
        "counter", "Reads of identities that failed"),
    ROW(engine_stats, jobs_open, U64, "bailiff_jobs_open", "gauge",
        "Jobs not ended, but for those withheld"),
    ROW(engine_stats, jobs_withheld, U64, "bailiff_jobs_withheld", "gauge",
        "Jobs that wait for a person: a limit of the policy withholds them"),
    ROW(engine_stats, withheld, U64, "bailiff_steps_withheld_total", "counter",
        "Steps that a limit of the policy withheld"),
    ROW(engine_stats, limits_passed, U64, "bailiff_limits_passed", "gauge",
        "Limits of the policy that are passed now, one for each feed"),
    ROW(engine_stats, jobs_confirmed, U64, "bailiff_jobs_confirmed_total",
        "counter", "Jobs that ended confirmed"),
    ROW(engine_stats, jobs_failed, U64, "bailiff_jobs_failed_total", "counter",
        "Jobs that ended refused, or unconfirmed at their deadline"),
    ROW(engine_stats, targets_down, U64, "bailiff_targets_down", "gauge",
        "Targets of jobs that did not answer several times in a row"),
    ROW(engine_stats, rows, U64, "bailiff_journal_rows_total", "counter",
        "Journal rows written since the start"),
    ROW(engine_stats, records, U64, "bailiff_records_total", "counter",
        "Decision records made since the start"),
    ROW(engine_stats, holds_now, U64, "bailiff_holds", "gauge",
        "Holds in force"),
    ROW(engine_stats, calls_now, U64, "bailiff_open_calls", "gauge",
        "Tool calls registered and not ended"),
    ROW(engine_stats, subjects_now, U64, "bailiff_subjects", "gauge",
        "Agents, people and groups known"),
    ROW(engine_stats, credentials_now, U64, "bailiff_credentials", "gauge",
        "Credentials registered"),
    ROW(engine_stats, jtis_now, U64, "bailiff_event_ids", "gauge",
        "Event identifiers remembered against replay"),
    ROW(engine_stats, relations_cut, U64, "bailiff_relations_cut", "gauge",
        "Agents with more groups, owners and parents than are indexed"),
    ROW(engine_stats, oldest_unconfirmed_ms, I64_MS,
        "bailiff_oldest_unconfirmed_seconds", "gauge",
        "Age of the oldest cancel, revoke or purge not confirmed; 0: none"),
};

static const struct row store_rows[] = {
    ROW(store_stats, commits, U64, "bailiff_store_commits_total", "counter",
        "Commits"),
    ROW(store_stats, failed_commits, U64, "bailiff_store_commits_failed_total",
        "counter", "Commits rolled back"),
    ROW(store_stats, queued, U32, "bailiff_store_queued_rows", "gauge",
        "Rows that wait for a commit"),
    ROW(store_stats, stored_seq, U64, "bailiff_store_seq", "gauge",
        "Last durable journal row"),
    ROW(store_stats, folded_seq, U64, "bailiff_store_folded_seq", "gauge",
        "Last journal row folded into the state table"),
};

static const struct row candidate_rows[] = {
    ROW(candidate_stats, questions, U64, "bailiff_candidate_questions_total",
        "counter", "Questions that the candidate policy was asked too"),
    ROW(candidate_stats, changed, U64,
        "bailiff_candidate_questions_changed_total", "counter",
        "Questions that the candidate policy answers differently"),
    ROW(candidate_stats, undecided, U64,
        "bailiff_candidate_questions_undecidable_total", "counter",
        "Questions that nobody can decide for the candidate policy"),
    ROW(candidate_stats, effects, U64,
        "bailiff_candidate_effects_changed_total", "counter",
        "Holds and actions by which the candidate policy differs"),
    ROW(candidate_stats, dropped, U64, "bailiff_candidate_dropped_total",
        "counter", "Steps that the candidate policy was not shown"),
    ROW(candidate_stats, unrecorded, U64, "bailiff_candidate_unrecorded_total",
        "counter", "Differences without a record of their own"),
};

static const struct row log_rows[] = {
    ROW(decision_log_stats, lines, U64, "bailiff_log_lines", "gauge",
        "Lines of the decision log"),
    ROW(decision_log_stats, bytes, U64, "bailiff_log_bytes", "gauge",
        "Bytes of the decision log"),
    ROW(decision_log_stats, size_signed, U64, "bailiff_log_signed_lines",
        "gauge", "Lines that a checkpoint covers"),
    ROW(decision_log_stats, queued_bytes, U32, "bailiff_log_queued_bytes",
        "gauge", "Bytes that wait to be written"),
};

static const struct row fetch_rows[] = {
    ROW(fetch_stats, started, U64, "bailiff_fetches_total", "counter",
        "Outbound HTTP requests"),
    ROW(fetch_stats, failed, U64, "bailiff_fetches_failed_total", "counter",
        "Outbound HTTP requests without an answer"),
    ROW(fetch_stats, open, U32, "bailiff_fetches_open", "gauge",
        "Outbound HTTP requests under way"),
};

static const struct row scim_rows[] = {
    ROW(scim_stats, started, U64, "bailiff_scim_reads_total", "counter",
        "SCIM reads started"),
    ROW(scim_stats, lists, U64, "bailiff_scim_lists_total", "counter",
        "Of them, requests for many resources at once"),
    ROW(scim_stats, failed, U64, "bailiff_scim_reads_failed_total", "counter",
        "SCIM reads that failed"),
    ROW(scim_stats, lists_failed, U64, "bailiff_scim_lists_failed_total",
        "counter", "List reads that failed"),
    ROW(scim_stats, foreign, U64, "bailiff_scim_foreign_total", "counter",
        "Resources in lists that nobody had asked for"),
    ROW(scim_stats, retried_401, U64, "bailiff_scim_reauthenticated_total",
        "counter", "SCIM reads repeated with a new access token"),
    ROW(scim_stats, paused, U64, "bailiff_scim_paused_total", "counter",
        "Times the server asked for a pause"),
    ROW(scim_stats, waiting, U32, "bailiff_scim_waiting", "gauge",
        "SCIM reads that wait for the budget"),
    ROW(scim_stats, running, U32, "bailiff_scim_running", "gauge",
        "SCIM reads under way"),
};

static const struct row server_rows[] = {
    ROW(server_stats, accepted, U64, "bailiff_connections_accepted_total",
        "counter", "Connections accepted"),
    ROW(server_stats, refused, U64, "bailiff_connections_refused_total",
        "counter", "Connections over the limit"),
    ROW(server_stats, open, U64, "bailiff_connections_open", "gauge",
        "Connections open"),
    ROW(server_stats, requests, U64, "bailiff_requests_total", "counter",
        "HTTP requests"),
    ROW(server_stats, calls, U64, "bailiff_calls_total", "counter",
        "gRPC calls"),
    ROW(server_stats, bad_requests, U64, "bailiff_requests_bad_total",
        "counter", "Requests that broke the protocol"),
    ROW(server_stats, timeouts, U64, "bailiff_requests_timeout_total",
        "counter", "Requests that came too slowly"),
    ROW(server_stats, floods, U64, "bailiff_floods_total", "counter",
        "Connections cut for too many resets or frames"),
    ROW(server_stats, tls_failures, U64, "bailiff_tls_failures_total",
        "counter", "TLS handshakes that failed"),
    ROW(server_stats, slow_readers, U64, "bailiff_slow_readers_total",
        "counter", "Connections cut because the peer did not read"),
};

static const struct row push_rows[] = {
    ROW(app, push_stats.refused_auth, U64, "bailiff_push_unauthorized_total",
        "counter", "Pushes without the right credentials"),
    ROW(app, push_stats.refused_form, U64, "bailiff_push_malformed_total",
        "counter", "Pushes with another method or content type"),
    ROW(app, push_stats.refused_busy, U64, "bailiff_push_unavailable_total",
        "counter", "Pushes answered with 503"),
    ROW(app, push_stats.rate_limited, U64, "bailiff_push_limited_total",
        "counter", "Pushes answered with 429"),
};

/* All of one feed, gathered so that one table can name them. */
struct feed_stats {
    struct engine_feed_stats engine;
    struct jwks_stats keys;
    struct poller_stats poll;
};
static const struct row feed_rows[] = {
    ROW(feed_stats, engine.events, U64, "bailiff_feed_events_total", "counter",
        "Statements of the feed accepted"),
    ROW(feed_stats, engine.refused, U64, "bailiff_feed_refused_total",
        "counter", "Statements of the feed refused"),
    ROW(feed_stats, keys.keys, U32, "bailiff_feed_keys", "gauge",
        "Keys that statements may be signed with"),
    ROW(feed_stats, keys.loads, U64, "bailiff_feed_key_loads_total", "counter",
        "Key sets loaded"),
    ROW(feed_stats, keys.failures, U64, "bailiff_feed_key_failures_total",
        "counter", "Key sets that could not be loaded"),
    ROW(feed_stats, keys.limited, U64, "bailiff_feed_key_limited_total",
        "counter", "Key set loads put off by the limit"),
    ROW(feed_stats, poll.polls, U64, "bailiff_feed_polls_total", "counter",
        "Poll requests"),
    ROW(feed_stats, poll.failures, U64, "bailiff_feed_poll_failures_total",
        "counter", "Poll requests that failed"),
    ROW(feed_stats, poll.sets, U64, "bailiff_feed_poll_sets_total", "counter",
        "Statements received by poll"),
    ROW(feed_stats, poll.acks, U64, "bailiff_feed_poll_acks_total", "counter",
        "Statements acknowledged by poll"),
    ROW(feed_stats, poll.errs, U64, "bailiff_feed_poll_errors_total", "counter",
        "Statements refused by poll"),
    ROW(feed_stats, poll.waiting, U32, "bailiff_feed_poll_waiting", "gauge",
        "Statements handed over and not acknowledged"),
};
#undef ROW

#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])

/* ----------------------------------------------------------------- writing */

static void put_head(struct buf *b, const char *name, const char *type,
                     const char *help)
{
    buf_printf(b, "# HELP %s %s.\n# TYPE %s %s\n", name, help, name, type);
}

static void put_escaped(struct buf *b, struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\n')
            buf_put_str(b, "\\n");
        else {
            if (s.p[i] == '"' || s.p[i] == '\\')
                buf_put_u8(b, '\\');
            buf_put_u8(b, s.p[i]);
        }
    }
}

struct label {
    const char *name;
    struct span value;
};

/* name{a="...",b="..."} */
static void put_name(struct buf *b, const char *name,
                     const struct label *labels, unsigned count)
{
    buf_put_str(b, name);
    for (unsigned i = 0; i < count; i++) {
        buf_printf(b, "%s%s=\"", i == 0 ? "{" : ",", labels[i].name);
        put_escaped(b, labels[i].value);
        buf_put_str(b, "\"");
    }
    buf_put_str(b, count > 0 ? "} " : " ");
}

static void put_seconds(struct buf *b, int64_t ms)
{
    uint64_t abs = ms < 0 ? 0 : (uint64_t)ms;
    buf_printf(b, "%llu.%03u\n", (unsigned long long)(abs / 1000),
               (unsigned)(abs % 1000));
}

static void put_value(struct buf *b, const struct row *r, const void *stats)
{
    const void *at = (const char *)stats + r->at;
    switch (r->number) {
        case U64: buf_put_dec(b, *(const uint64_t *)at); break;
        case U32: buf_put_dec(b, *(const uint32_t *)at); break;
        case I64_MS: put_seconds(b, *(const int64_t *)at); return;
    }
    buf_put_str(b, "\n");
}

static void put_rows(struct buf *b, const struct row *rows, size_t count,
                     const void *stats)
{
    for (size_t i = 0; i < count; i++) {
        put_head(b, rows[i].name, rows[i].type, rows[i].help);
        put_name(b, rows[i].name, NULL, 0);
        put_value(b, &rows[i], stats);
    }
}

static void put_gauge(struct buf *b, const char *name, const char *help,
                      uint64_t value)
{
    put_head(b, name, "gauge", help);
    buf_printf(b, "%s %llu\n", name, (unsigned long long)value);
}

static void put_state(struct buf *b, const char *name, const struct label *more,
                      const char *state, bool is)
{
    struct label labels[2] = {{.name = "state", .value = span_str(state)}};
    if (more != NULL)
        labels[1] = *more;
    put_name(b, name, labels, more == NULL ? 1 : 2);
    buf_put_str(b, is ? "1\n" : "0\n");
}

/* ------------------------------------------------------------------ parts */

static const char *policy_digest(const struct app *a)
{
    const struct policy *p = a->policy;
    return p->digest_hex[0] == 0 ? "built-in" : p->digest_hex;
}

static void put_build(struct buf *b, const struct app *a)
{
    const struct label labels[] = {
        {"version", SPAN(BAILIFF_VERSION)},
        {"policy_digest", span_str(policy_digest(a))},
        {"config_digest", span_str(a->config->digest_hex)}};
    put_head(b, "bailiff_info", "gauge", "What is running");
    put_name(b, "bailiff_info", labels, 3);
    buf_put_str(b, "1\n");
    put_head(b, "bailiff_start_time_seconds", "gauge",
             "When the sidecar was started, since 1970");
    put_name(b, "bailiff_start_time_seconds", NULL, 0);
    put_seconds(b, a->started_wall_ms);
}

static void put_candidate(struct buf *b, const struct app *a)
{
    struct candidate_stats s;
    if (a->candidate == NULL)
        return;
    candidate_stats_get(a->candidate, &s);
    put_rows(b, candidate_rows, COUNT(candidate_rows), &s);
}

static int64_t wall_now(void)
{
    struct in now = {.kind = IN_TICK};
    app_now(&now);
    return now.wall_ms;
}

static void put_age(struct buf *b, const char *name, const char *help,
                    int64_t age_ms)
{
    put_head(b, name, "gauge", help);
    put_name(b, name, NULL, 0);
    put_seconds(b, age_ms);
}

static void put_policy_info(struct buf *b, const struct rollout_view *v,
                            bool audit)
{
    char serial[24] = "";
    if (v->sig != NULL)
        (void)snprintf(serial, sizeof serial, "%llu",
                       (unsigned long long)v->sig->serial);
    const struct span digest = v->policy->digest_hex[0] == 0
                                   ? SPAN("built-in")
                                   : span_str(v->policy->digest_hex);
    const struct label labels[] = {
        {"digest", digest},
        {"mode", audit ? SPAN("audit") : SPAN("enforce")},
        {"serial", span_str(serial)}};
    put_head(b, "bailiff_policy_info", "gauge", "The policy in force");
    put_name(b, "bailiff_policy_info", labels, 3);
    buf_put_str(b, "1\n");
}

static void put_policy(struct buf *b, const struct app *a)
{
    const char *reloads = "bailiff_policy_reloads_total";
    const char *ends = "bailiff_policy_not_after_seconds";
    const int64_t now = wall_now();
    struct engine_stats s;
    struct rollout_view v;
    engine_stats_get(a->engine, &s);
    rollout_view(a, now, &v);
    put_policy_info(b, &v, s.audit);
    put_age(b, "bailiff_policy_active_seconds",
            "How long the policy has been in force", now - v.since_ms);
    if (v.file_ms > 0)
        put_age(b, "bailiff_policy_file_age_seconds",
                "Time since its file was changed", now - v.file_ms);
    const struct {
        const char *outcome;
        uint64_t count;
    } counts[] = {{"active", v.activated},
                  {"renewed", v.renewed},
                  {"refused", v.refused}};
    put_head(b, reloads, "counter", "Policies taken and refused");
    for (unsigned i = 0; i < COUNT(counts); i++) {
        const struct label label = {"outcome", span_str(counts[i].outcome)};
        put_name(b, reloads, &label, 1);
        buf_printf(b, "%llu\n", (unsigned long long)counts[i].count);
    }
    put_gauge(b, "bailiff_policy_signature_expired",
              "1 when the policy's signature has expired; it stays in force",
              v.expired);
    put_gauge(b, "bailiff_config_signature_expired", "The same of bailiff.yaml",
              v.config_expired);
    put_head(b, ends, "gauge",
             "When the policy's signature expires, since 1970");
    if (v.sig == NULL || v.sig->not_after_ms == INT64_MAX)
        return;
    put_name(b, ends, NULL, 0);
    put_seconds(b, v.sig->not_after_ms);
}

static void put_engine(struct buf *b, const struct app *a)
{
    struct engine_stats s;
    engine_stats_get(a->engine, &s);
    put_rows(b, engine_rows, COUNT(engine_rows), &s);
    put_gauge(b, "bailiff_audit_mode",
              "1 when the policy only records what it would do", s.audit);
    put_gauge(b, "bailiff_audit_rules",
              "Rules and gate rules that only record what they would do",
              s.audit_rules);
    put_rows(b, push_rows, COUNT(push_rows), a);
    put_gauge(b, "bailiff_verifications_pending",
              "Statements and reads in the worker queue",
              a->work == NULL ? 0 : work_pending(a->work));
    put_head(b, "bailiff_diagnostics_dropped_total", "counter",
             "Diagnostic lines dropped by rate limits");
    buf_printf(b, "bailiff_diagnostics_dropped_total %llu\n",
               (unsigned long long)log_dropped());
    put_head(b, "bailiff_diagnostics_lost_total", "counter",
             "Diagnostic lines lost because nobody read standard error");
    buf_printf(b, "bailiff_diagnostics_lost_total %llu\n",
               (unsigned long long)log_lost());
}

static bool log_broken(const struct app *a)
{
    struct decision_log_stats s = {.broken = true};
    if (a->log != NULL)
        decision_log_stats_get(a->log, &s);
    return s.broken;
}

static void put_durable(struct buf *b, const struct app *a)
{
    static const char *const states[] = {"ok", "blocked", "poisoned"};
    struct store_stats s = {.rows = 0};
    struct decision_log_stats l = {.lines = 0};
    struct fetch_stats f = {.started = 0};
    if (a->store != NULL)
        store_stats_get(a->store, &s);
    if (a->log != NULL)
        decision_log_stats_get(a->log, &l);
    if (a->fetch != NULL)
        fetch_stats_get(a->fetch, &f);
    put_rows(b, store_rows, COUNT(store_rows), &s);
    put_head(b, "bailiff_store_state", "gauge", "1 for the state it is in");
    for (unsigned i = 0; i < 3; i++)
        put_state(b, "bailiff_store_state", NULL, states[i],
                  i == (unsigned)a->store_state);
    put_gauge(b, "bailiff_store_legal_hold", "1 when no history is deleted",
              a->config->store_legal_hold);
    put_rows(b, log_rows, COUNT(log_rows), &l);
    put_gauge(b, "bailiff_log_broken", "1 when the log cannot be written",
              log_broken(a));
    put_rows(b, fetch_rows, COUNT(fetch_rows), &f);
}

static void put_scim(struct buf *b, const struct app *a)
{
    struct scim_stats s = {.started = 0};
    if (a->scim != NULL)
        scim_stats_get(a->scim, &s);
    put_rows(b, scim_rows, COUNT(scim_rows), &s);
}

static void feed_stats_of(const struct app *a, unsigned i,
                          struct feed_stats *ret)
{
    *ret = (struct feed_stats){.keys.age_ms = -1};
    engine_feed_stats_get(a->engine, i, &ret->engine);
    if (a->jwks != NULL)
        jwks_stats_get(a->feeds[i].keys, &ret->keys);
    if (a->feeds[i].poller != NULL)
        poller_stats_get(a->feeds[i].poller, &ret->poll);
}

static void put_feed_ages(struct buf *b, const struct app *a)
{
    const char *name = "bailiff_feed_last_sign_age_seconds";
    put_head(b, name, "gauge",
             "Time since the last proof of life; absent before the first");
    for (unsigned i = 0; i < a->config->feed_count; i++) {
        const struct label label = {"feed", a->config->feeds[i].name};
        struct feed_stats s;
        feed_stats_of(a, i, &s);
        if (s.engine.last_sign_age_ms < 0)
            continue;
        put_name(b, name, &label, 1);
        put_seconds(b, s.engine.last_sign_age_ms);
    }
}

static void put_feeds(struct buf *b, const struct app *a)
{
    static const char *const states[] = {"caught_up", "catching_up", "silent",
                                         "disabled"};
    struct feed_stats s;
    for (size_t r = 0; r < COUNT(feed_rows); r++) {
        put_head(b, feed_rows[r].name, feed_rows[r].type, feed_rows[r].help);
        for (unsigned i = 0; i < a->config->feed_count; i++) {
            const struct label label = {"feed", a->config->feeds[i].name};
            feed_stats_of(a, i, &s);
            put_name(b, feed_rows[r].name, &label, 1);
            put_value(b, &feed_rows[r], &s);
        }
    }
    put_feed_ages(b, a);
    put_head(b, "bailiff_feed_state", "gauge", "1 for the state it is in");
    for (unsigned i = 0; i < a->config->feed_count; i++) {
        const struct label label = {"feed", a->config->feeds[i].name};
        feed_stats_of(a, i, &s);
        for (unsigned k = 0; k < 4; k++)
            put_state(b, "bailiff_feed_state", &label, states[k],
                      span_eq(span_str(s.engine.state), span_str(states[k])));
    }
}

/* A listener and its kind. */
struct listener {
    const char *kind;
    const struct server *server;
};

static unsigned listeners_of(const struct app *a, struct listener *ret)
{
    unsigned n = 0;
    for (unsigned i = 0; i < CONFIG_LISTEN_MAX; i++) {
        if (a->gate[i] != NULL)
            ret[n++] = (struct listener){"gate", a->gate[i]};
        if (a->push[i] != NULL)
            ret[n++] = (struct listener){"push", a->push[i]};
    }
    if (a->admin != NULL)
        ret[n++] = (struct listener){"admin", a->admin};
    if (a->metrics != NULL)
        ret[n++] = (struct listener){"metrics", a->metrics};
    return n;
}

static void put_servers(struct buf *b, const struct app *a)
{
    struct listener at[2 * CONFIG_LISTEN_MAX + 2];
    unsigned count = listeners_of(a, at);
    for (size_t r = 0; r < COUNT(server_rows); r++) {
        const struct row *row = &server_rows[r];
        put_head(b, row->name, row->type, row->help);
        for (unsigned i = 0; i < count; i++) {
            const struct label labels[] = {
                {"listener", span_str(at[i].kind)},
                {"address", span_str(server_address(at[i].server))}};
            struct server_stats s;
            server_stats_get(at[i].server, &s);
            put_name(b, row->name, labels, 2);
            put_value(b, row, &s);
        }
    }
}

/* ----------------------------------------------------------------- answers */

static void reply_metrics(struct app *a, struct http_req *r)
{
    const struct http_header h[] = {
        {"content-type", SPAN("text/plain; version=0.0.4; charset=utf-8")}};
    struct in tick = {.kind = IN_TICK};
    struct buf b;
    if (!a->stopping)
        ignore_rc(app_step(a, &tick)); /* ages as of now */
    buf_init(&b, mem_system(), METRICS_BYTES_MAX);
    put_build(&b, a);
    put_policy(&b, a);
    put_engine(&b, a);
    put_candidate(&b, a);
    put_durable(&b, a);
    put_scim(&b, a);
    put_feeds(&b, a);
    put_servers(&b, a);
    if (buf_ok(&b))
        http_reply(r, 200, h, 1, buf_span(&b));
    else
        http_reply(r, 503, NULL, 0, SPAN(""));
    buf_fini(&b);
}

static void reply_alive(struct app *a, struct http_req *r)
{
    const struct http_header h[] = {{"content-type", SPAN("text/plain")}};
    (void)a;
    http_reply(r, 200, h, 1, SPAN("alive\n"));
}

static unsigned reasons_of(const struct app *a, const char *ret[4])
{
    unsigned n = 0;
    if (a->stopping)
        ret[n++] = "stopping";
    if (!a->ready)
        ret[n++] = "starting";
    if (a->store_state != STORE_OK)
        ret[n++] = a->store_state == STORE_BLOCKED ? "store_blocked"
                                                   : "store_poisoned";
    if (log_broken(a))
        ret[n++] = "log_broken";
    return n;
}

static void put_warnings(struct json_out *j, const struct rollout_view *v)
{
    json_open_list(j, "warnings"); /* none of them stops an answer */
    if (v->expired)
        json_str(j, NULL, "policy_signature_expired");
    if (v->config_expired)
        json_str(j, NULL, "config_signature_expired");
    json_close_list(j);
}

static void put_policy_ready(struct json_out *j, const struct app *a)
{
    const int64_t now = wall_now();
    struct rollout_view v;
    rollout_view(a, now, &v);
    json_str(j, "policy_digest", policy_digest(a));
    json_str(j, "config_digest", a->config->digest_hex);
    json_i64(j, "policy_active_s", (now - v.since_ms) / 1000);
    if (v.file_ms > 0)
        json_i64(j, "policy_file_age_s", (now - v.file_ms) / 1000);
    rollout_put_signature(j, "policy_signature", v.sig, v.expired);
    rollout_put_signature(j, "config_signature", v.config_sig,
                          v.config_expired);
    put_warnings(j, &v);
}

static void reply_ready(struct app *a, struct http_req *r)
{
    const struct http_header h[] = {{"content-type", SPAN("application/json")},
                                    {"cache-control", SPAN("no-store")}};
    const char *reasons[4];
    unsigned count = reasons_of(a, reasons);
    struct buf b;
    struct json_out j;
    buf_init(&b, mem_system(), 4096);
    json_out_init(&j, &b);
    json_open_map(&j, NULL);
    json_bool(&j, "ready", count == 0);
    put_policy_ready(&j, a);
    json_open_list(&j, "reasons");
    for (unsigned i = 0; i < count; i++)
        json_str(&j, NULL, reasons[i]);
    json_close_list(&j);
    json_close_map(&j);
    http_reply(r, count == 0 && buf_ok(&b) ? 200 : 503, h, 2,
               buf_ok(&b) ? buf_span(&b) : SPAN("{}"));
    buf_fini(&b);
}

void metrics_request(void *ctx, struct http_req *r)
{
    const struct {
        struct span path;
        void (*reply)(struct app *a, struct http_req *r);
    } paths[] = {{SPAN("/metrics"), reply_metrics},
                 {SPAN("/healthz"), reply_alive},
                 {SPAN("/readyz"), reply_ready}};
    const struct http_header allow[] = {{"allow", SPAN("GET, HEAD")}};
    bool read = span_eq(http_method(r), SPAN("GET")) ||
                span_eq(http_method(r), SPAN("HEAD"));
    for (size_t i = 0; i < COUNT(paths); i++) {
        if (!span_eq(http_path(r), paths[i].path))
            continue;
        if (read)
            paths[i].reply(ctx, r);
        else
            http_reply(r, 405, allow, 1, SPAN(""));
        return;
    }
    http_reply(r, 404, NULL, 0, SPAN(""));
}
