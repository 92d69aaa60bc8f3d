// SPDX-License-Identifier: Apache-2.0
/* Opening everything, in the order in which things need each other: keys and
 * stored state before any socket, so that no answer can be looser than what
 * was acknowledged before. */
#include "sidecar/run/rollout.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sidecar/io/checkpoint.h"
#include "sidecar/base/log.h"

#define CONFIG_ARENA_BYTES (32 * 1024 * 1024)
#define SECRETS_ARENA_BYTES (4 * 1024 * 1024)

/* ------------------------------------------------------- store and the log */

static void on_stored(void *ctx, uint64_t upto)
{
    struct app *a = ctx;
    struct in in = {.kind = IN_STORED, .stored_upto = upto};
    ignore_rc(app_step(a, &in)); /* a notice */
}

static void on_store_state(void *ctx, enum store_state s, const struct fail *f)
{
    struct app *a = ctx;
    struct in in = {.kind = IN_STORE_STATE};
    a->store_state = s;
    in.store.blocked = s == STORE_BLOCKED;
    in.store.poisoned = s == STORE_POISONED;
    if (s == STORE_OK)
        log_info(LOG_STORE, "recovered");
    else
        log_error(LOG_STORE, s == STORE_BLOCKED ? "blocked" : "poisoned",
                  kv_why(f));
    grpc_health_set(a->health, s == STORE_OK && !a->stopping);
    ignore_rc(app_step(a, &in)); /* a notice */
    if (s != STORE_OK)
        app_blocked(a);
    if (s == STORE_POISONED)
        app_fatal(a, "the store has failed; nothing more is acknowledged", f);
}

static void on_written(void *ctx, uint64_t upto)
{
    struct app *a = ctx;
    struct in in = {.kind = IN_LOGGED, .logged_upto = upto};
    ignore_rc(app_step(a, &in)); /* a notice */
}

static void on_synced(void *ctx, uint64_t upto)
{
    struct app *a = ctx;
    uint64_t row = 0;
    while (a->mark_count > 0 && a->marks[a->mark_head].ticket <= upto) {
        row = a->marks[a->mark_head].row;
        a->mark_head = (a->mark_head + 1) % a->mark_cap;
        a->mark_count--;
    }
    if (row != 0 && a->store != NULL)
        store_logged(a->store, row);
}

static void on_log_full(void *ctx, const struct fail *f)
{
    (void)ctx; /* allows wait for their records and become log_stalled */
    if (f != NULL)
        log_error(LOG_RECORDS, "full", kv_why(f));
    else
        log_info(LOG_RECORDS, "recovered");
}

static void on_log_broken(void *ctx, const struct fail *f)
{
    struct app *a = ctx;
    struct in in = {.kind = IN_LOG_BROKEN};
    ignore_rc(app_step(a, &in)); /* a notice */
    app_fatal(a, "the decision log cannot be written", f);
}

static int load_fact(void *ctx, const struct fact *fact, struct fail *f)
{
    struct app *a = ctx;
    return engine_load_fact(a->engine, fact, f);
}

static int load_row(void *ctx, uint64_t seq, const struct journal_body *body,
                    struct fail *f)
{
    struct app *a = ctx;
    struct span facts = body->facts;
    struct fact fact;
    int more, rc = 0;
    while (rc >= 0 && (more = journal_next_fact(&facts, &fact, f)) != 0)
        rc = more < 0 ? more : engine_load_fact(a->engine, &fact, f);
    return rc < 0 ? fail_wrap(f, "journal row %llu", (unsigned long long)seq)
                  : 0;
}

static int advise(int rc, struct fail *f)
{
    return rc != RC_BROKEN
               ? rc
               : fail_wrap(f,
                           "the database is damaged; `bailiff restore` puts "
                           "a backup in its place");
}

struct recopy {
    struct decision_log *log;
    struct journal_logged logged;
};

static int append_again(struct decision_log *log, struct span tail,
                        struct fail *f)
{
    int rc = decision_log_append(log, 0, tail, false, f);
    if (rc != RC_LIMIT)
        return rc;
    decision_log_drain(log); /* there may be more than its queue holds */
    return decision_log_append(log, 0, tail, false, f);
}

/* Records that were committed but did not reach the log before the end. */
static int recopy_row(void *ctx, uint64_t seq, int64_t wall_ms,
                      const struct journal_body *body, struct fail *f)
{
    struct recopy *r = ctx;
    struct span records = body->records, tail;
    int more;
    (void)wall_ms;
    TRY(journal_skip_logged(&r->logged, seq, &records, f));
    while ((more = journal_next_record(&records, &tail, f)) == 1)
        TRY(append_again(r->log, tail, f));
    return more;
}

/* What `log verify` expects is the name that `bailiff init` gave the key. */
static int name_log(const struct config *c, char pub[NOTE_NAME_MAX + 1],
                    struct span *ret, struct fail *f)
{
    TRY(checkpoint_name_beside(c->log_key_file, pub, f));
    *ret = c->log_origin;
    if (ret->n == 0)
        *ret = pub[0] == 0 ? SPAN("bailiff") : span_str(pub);
    if (pub[0] != 0 && !span_eq(*ret, span_str(pub)))
        return fail(f, RC_CONFIG,
                    "log.origin is '%.*s', but log.pub beside the key was made "
                    "for '%s': `bailiff log verify` would not accept the log",
                    PRSPAN(*ret), pub);
    return 0;
}

static void warn_check(struct app *a)
{
    struct store_stats s;
    store_stats_get(a->store, &s);
    if (s.check_cut)
        log_warn(LOG_STORE, "check_cut_short",
                 kv_str("advice", "bailiff check --deep"));
}

/* They are kept, but nobody is held by them. */
static void warn_elsewhere(const struct app *a)
{
    struct engine_stats s;
    engine_stats_get(a->engine, &s);
    if (s.loaded_elsewhere > 0)
        log_warn(LOG_STORE, "holds_or_jobs_of_no_feed",
                 kv_u64("facts", s.loaded_elsewhere));
}

static int open_durable(struct app *a, uint64_t *ret_last_seq, struct fail *f)
{
    const struct config *c = a->config;
    char pub[NOTE_NAME_MAX + 1];
    struct span origin;
    bool created;
    struct journal_logged logged;
    TRY(name_log(c, pub, &origin, f));
    const struct store_conf sc = {.dir = c->store_dir,
                                  .keep_days = c->store_keep_days,
                                  .keep_rows = c->store_keep_rows,
                                  .legal_hold = c->store_legal_hold,
                                  .stored = on_stored,
                                  .state = on_store_state,
                                  .ctx = a};
    const struct decision_log_conf lc = {.dir = c->log_dir,
                                         .key_file = c->log_key_file,
                                         .origin = origin,
                                         .fsync_ms = c->log_fsync_ms,
                                         .checkpoint_ms = c->log_checkpoint_ms,
                                         .rotate_bytes = c->log_rotate_bytes,
                                         .written = on_written,
                                         .synced = on_synced,
                                         .full = on_log_full,
                                         .broken = on_log_broken,
                                         .ctx = a};
    TRY(seal_open_key(c->seal_key_file, &a->seal, f));
    TRY(advise(store_open(&sc, &a->store, &created, f), f));
    TRY(decision_log_open(&lc, &a->log, &logged, f));
    struct decision_log_stats ls;
    decision_log_stats_get(a->log, &ls);
    if (created && ls.lines > 0)
        return fail(f, RC_STATE,
                    "the database is missing although the decision log has "
                    "%llu lines: restore it from a backup, or move the log "
                    "away to start anew",
                    (unsigned long long)ls.lines);
    const struct store_reader reader = {
        .fact = load_fact, .row = load_row, .ctx = a};
    TRY(advise(store_load(a->store, &reader, ret_last_seq, f), f));
    TRY(advise(engine_loaded(a->engine, *ret_last_seq, f), f));
    warn_check(a);
    if (logged.row > *ret_last_seq)
        return fail(f, RC_STATE,
                    "the database ends at row %llu, the decision log at row "
                    "%llu: an old database was put here; `bailiff restore` "
                    "does that so that nothing is given out twice",
                    (unsigned long long)*ret_last_seq,
                    (unsigned long long)logged.row);
    if (ls.lines == 0 && *ret_last_seq > 0)
        log_warn(LOG_RECORDS, "new_log_beside_old_database",
                 kv_u64("rows", *ret_last_seq));
    TRY(decision_log_start(a->log, &a->loop, f));
    a->log_started = true;
    struct recopy recopy = {a->log, logged};
    TRY(advise(store_scan(a->store, logged.row, recopy_row, &recopy, f), f));
    TRY(store_start(a->store, &a->loop, f));
    a->durable = true;
    return 0;
}

/* ---------------------------------------------------------------- outbound */

static struct app_feed *feed_of(struct app *a, const struct config_feed *feed)
{
    return &a->feeds[feed - a->config->feeds];
}

static void on_keys(void *ctx, const struct config_feed *feed, unsigned keys,
                    unsigned skipped)
{
    struct app_feed *f = feed_of(ctx, feed);
    bool news = keys != f->keys_loaded || skipped != f->keys_skipped ||
                f->key_trouble[0] != 0;
    f->keys_loaded = keys;
    f->keys_skipped = skipped;
    f->key_trouble[0] = 0;
    if (news)
        log_info(LOG_KEYS, "loaded", kv_span("feed", feed->name),
                 kv_u64("keys", keys), kv_u64("skipped", skipped));
}

static void on_key_trouble(void *ctx, const struct config_feed *feed,
                           const struct fail *f, int64_t retry_ms)
{
    char *text = feed_of(ctx, feed)->key_trouble;
    (void)snprintf(text, APP_TROUBLE_BYTES, "keys: %s", f->text);
    log_warn(LOG_KEYS, "load_failed", kv_span("feed", feed->name), kv_why(f),
             kv_i64("retry_ms", retry_ms));
}

static int open_outbound(struct app *a, struct fail *f)
{
    const struct config_limits *l = &a->config->limits;
    const struct jwks_conf jc = {.seed = app_random(a),
                                 .ctx = a,
                                 .on_keys = on_keys,
                                 .on_trouble = on_key_trouble};
    TRY(work_new(&a->loop, l->verify_threads, l->verify_queue, &a->work, f));
    TRY(fetch_new(&a->loop, &a->fetch, f));
    TRY(oauth_new(&a->loop, a->fetch, &a->oauth, f));
    struct jwks_conf full = jc;
    full.fetch = a->fetch;
    full.work = a->work;
    TRY(jwks_new(&a->loop, &full, &a->jwks, f));
    TRY(scim_new(&a->loop, a->fetch, a->oauth, a->work, &a->scim, f));
    bool added[ENGINE_BASES_MAX] = {false};
    for (unsigned i = 0; i < a->config->feed_count; i++) {
        unsigned base = a->engine_conf.feeds[i].base;
        TRY(jwks_add(a->jwks, &a->config->feeds[i], i, &a->feeds[i].keys, f));
        if (added[base])
            continue;
        added[base] = true;
        TRY(scim_add(a->scim, &a->config->feeds[i],
                     (a->config->feed_count + base) % WORK_LANES_MAX,
                     &a->scim_base[base], f));
    }
    for (unsigned i = 0; i < a->config->runtime_count; i++) {
        const struct config_runtime *r = &a->config->runtimes[i];
        const struct grpc_client_conf gc = {.address = r->address,
                                            .tls_ca_file = r->ca_file,
                                            .tls_cert_file = r->cert_file,
                                            .tls_key_file = r->key_file,
                                            .tls_name = r->tls_name};
        a->runtimes[i].conf = r;
        TRY(grpc_client_new(&a->loop, &gc, &a->runtimes[i].client, f));
    }
    return 0;
}

static int open_pollers(struct app *a, struct fail *f)
{
    for (unsigned i = 0; i < a->config->feed_count; i++) {
        const struct poller_conf pc = {.feed = &a->config->feeds[i],
                                       .fetch = a->fetch,
                                       .oauth = a->oauth,
                                       .seed = app_random(a),
                                       .ctx = &a->feeds[i],
                                       .on_set = intake_poll_set,
                                       .on_alive = intake_poll_alive,
                                       .on_trouble = intake_poll_trouble};
        if (a->config->feeds[i].poll_url.n > 0)
            TRY(poller_open(&a->loop, &pc, &a->feeds[i].poller, f));
    }
    return 0;
}

/* ----------------------------------------------------------------- inbound */

static struct grpc_health *health_of(void *ctx)
{
    struct app *a = ctx;
    return a->health;
}

static int open_server(struct app *a, const struct config_listen *l,
                       const struct grpc_method *methods,
                       void (*request)(void *, struct http_req *),
                       struct server **ret, struct fail *f)
{
    const struct server_conf sc = {
        .address = l->address,
        .unix_mode = l->unix_mode,
        .unix_gid = l->unix_gid,
        .tls_cert_file = l->cert_file,
        .tls_key_file = l->key_file,
        .tls_client_ca_file = l->client_ca_file,
        .tls_client_required = l->client_required,
        .limits = {.connections = a->config->limits.connections_max},
        .methods = methods,
        .request = request,
        .ctx = a,
    };
    int rc = server_open(&a->loop, &sc, ret, f);
    return rc < 0 ? fail_wrap(f, "listen on %.*s", PRSPAN(l->address)) : 0;
}

static int open_servers(struct app *a, struct fail *f)
{
    const struct config *c = a->config;
    for (unsigned i = 0; i < c->gate_count; i++)
        TRY(open_server(a, &c->gate[i], gate_methods(), NULL, &a->gate[i], f));
    for (unsigned i = 0; i < c->push_count; i++)
        TRY(open_server(a, &c->push[i], NULL, intake_push, &a->push[i], f));
    TRY(open_server(a, &c->admin, NULL, admin_request, &a->admin, f));
    if (c->metrics.address.n > 0)
        TRY(open_server(a, &c->metrics, NULL, metrics_request, &a->metrics, f));
    return 0;
}

/* ----------------------------------------------------------------- signals */

static void reload_one(struct server *server)
{
    struct fail f;
    if (server != NULL && server_reload_tls(server, &f) < 0)
        log_error(LOG_SERVER, "tls_reload_refused", kv_why(&f));
}

static void reload_tls(struct app *a)
{
    for (unsigned i = 0; i < a->config->push_count; i++)
        reload_one(a->push[i]);
    for (unsigned i = 0; i < a->config->gate_count; i++)
        reload_one(a->gate[i]);
    reload_one(a->metrics);
}

static void on_signal(uv_signal_t *s, int signum)
{
    struct app *a = s->data;
    if (a->stopping && signum != SIGUSR2)
        return; /* what it asks for is being closed */
    if (signum == SIGHUP) {
        rollout_reload(a);
        candidate_host_load(a);
        reload_tls(a);
    } else if (signum == SIGUSR1) {
        decision_log_reopen(a->log);
    } else if (signum == SIGUSR2) {
        log_ring_print();
    } else {
        log_info(LOG_MAIN, "stopping", kv_i64("signal", signum));
        app_stop(a);
    }
}

static int open_signals(struct app *a, struct fail *f)
{
    static const int wanted[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};
    (void)signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        uv_signal_t *s = &a->signals[i];
        if (uv_signal_init(&a->loop, s) != 0)
            return fail(f, RC_IO, "signals");
        s->data = a;
        a->signal_count++;
        if (uv_signal_start(s, on_signal, wanted[i]) != 0)
            return fail(f, RC_IO, "signal %d", wanted[i]);
    }
    return 0;
}

/* ------------------------------------------------------------------- start */

static int load_config(struct app *a, const char *path, struct fail *f)
{
    struct policy_notes *notes = mem_alloc(mem_system(), sizeof *notes);
    struct span source = SPAN("");
    if (notes == NULL)
        return fail(f, RC_NO_MEMORY, "configuration");
    arena_init(&a->config_arena, mem_system(), CONFIG_ARENA_BYTES);
    arena_init(&a->secrets, mem_system(), SECRETS_ARENA_BYTES);
    int rc =
        config_load(&a->config_arena.mem, path, &a->config, notes, &source, f);
    if (rc < 0) {
        struct buf text;
        buf_init(&text, mem_system(), 1024 * 1024);
        policy_notes_print(notes, path, source, isatty(STDERR_FILENO) == 1,
                           &text);
        (void)fprintf(stderr, "%.*s", (int)text.n, (const char *)text.p);
        buf_fini(&text);
    }
    mem_release(mem_system(), notes);
    return rc;
}

/* A policy or signature that is wrong stays wrong until somebody changes it;
 * one that cannot be read may be there the next time. */
static int of_file(int rc, struct fail *f)
{
    if (rc == RC_SYNTAX || rc == RC_UNTRUSTED || rc == RC_STATE)
        f->rc = rc = RC_CONFIG;
    return rc;
}

static int start_engine(struct app *a, const char *signed_by, struct fail *f)
{
    unsigned char seed[32];
    struct in now = {.kind = IN_TICK};
    for (size_t i = 0; i < sizeof seed; i += 8) {
        uint64_t v = app_random(a);
        memcpy(seed + i, &v, 8);
    }
    TRY(conf_build(a, f));
    TRY(of_file(rollout_open(a, signed_by, f), f));
    TRY(engine_new(mem_system(), &a->engine_conf, seed, &a->engine, f));
    uint64_t last_seq = 0;
    TRY(open_durable(a, &last_seq, f));
    TRY(of_file(rollout_accept(a, f), f));
    TRY(open_outbound(a, f)); /* effects of the start may need it */
    app_now(&now);
    a->started_wall_ms = now.wall_ms;
    TRY(advise(engine_start(a->engine, last_seq, a->policy, now.now_ms,
                            now.wall_ms, f),
               f));
    a->started = true;
    app_apply_start(a);
    warn_elsewhere(a);
    TRY(rollout_start(a, f));
    candidate_host_load(a);
    return 0;
}

static void on_heartbeat(uv_timer_t *t)
{
    struct app *a = t->data;
    watch_heartbeat(a);
    app_rest(a);
}

static void say_ready(struct app *a)
{
    char gate[256] = "", push[256] = "";
    for (unsigned i = 0; i < a->config->gate_count; i++)
        (void)snprintf(gate + strlen(gate), sizeof gate - strlen(gate), "%s%s",
                       i > 0 ? "," : "", server_address(a->gate[i]));
    for (unsigned i = 0; i < a->config->push_count; i++)
        (void)snprintf(push + strlen(push), sizeof push - strlen(push), "%s%s",
                       i > 0 ? "," : "", server_address(a->push[i]));
    a->ready = true;
    grpc_health_set(a->health, true);
    log_info(
        LOG_MAIN, "ready", kv_str("gate", gate), kv_str("push", push),
        kv_str("admin", server_address(a->admin)),
        kv_str("metrics", a->metrics == NULL ? "" : server_address(a->metrics)),
        kv_u64("pid", (uint64_t)getpid()));
}

int app_open(struct app *a, const char *config_path, const char *signed_by,
             struct fail *f)
{
    a->config_path = config_path;
    a->timer_at_ms = INT64_MAX;
    list_init(&a->waiting);
    list_init(&a->spare_waiters);
    list_init(&a->watches);
    list_init(&a->gone_watches);
    arena_init(&a->message_arena, mem_system(), APP_MESSAGE_BYTES_MAX);
    buf_init(&a->encoded, mem_system(), APP_MESSAGE_BYTES_MAX);
    int rc = uv_loop_init(&a->loop);
    if (rc != 0)
        return fail(f, RC_LIMIT, "event loop: %s", uv_strerror(rc));
    a->looping = true;
    must(uv_timer_init(&a->loop, &a->timer) == 0);
    must(uv_timer_init(&a->loop, &a->heartbeat) == 0);
    a->heartbeat.data = a;
    candidate_host_init(a);
    TRY(load_config(a, config_path, f));
    log_setup(STDERR_FILENO, a->config->diagnostics_level,
              a->config->diagnostics_format);
    TRY(log_start_writer(f));
    TRY(grpc_health_new(&a->health, f));
    grpc_services_set_health(health_of);
    TRY(open_signals(a, f));
    TRY(start_engine(a, signed_by, f));
    TRY(open_servers(a, f));
    TRY(open_pollers(a, f));
    must(uv_timer_start(&a->heartbeat, on_heartbeat, APP_HEARTBEAT_MS,
                        APP_HEARTBEAT_MS) == 0);
    say_ready(a);
    return 0;
}

int app_run(struct app *a)
{
    (void)uv_run(&a->loop, UV_RUN_DEFAULT);
    return a->exit_code;
}
