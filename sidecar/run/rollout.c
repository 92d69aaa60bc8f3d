// SPDX-License-Identifier: Apache-2.0
#include "sidecar/run/rollout.h"

#include <string.h>
#include <unistd.h>

#include "sidecar/base/log.h"
#include "sidecar/run/admin.h"
#include "sidecar/run/policy_load.h"

#define EXPIRY_LOOK_MS (INT64_C(3600) * 1000)
#define ANSWER_BYTES_MAX (64 * 1024)

struct rollout {
    struct app *app;
    struct policy_keys config_keys, policy_keys;
    struct policy_sig config_sig;
    struct work *pool; /* one thread, so that signature checks never wait */
    struct file_watch *watch;
    uv_timer_t expiry;
    bool timed;
    struct list queue;           /* waits for the worker */
    struct list told;            /* stepped, waits to be durable */
    struct policy_load *running; /* NULL: the worker is free */
    struct policy_load *now;     /* in force */
    struct policy_load *before;  /* until the next switch */
    unsigned queued;
    unsigned char tried[32]; /* content of the last attempt */
    int64_t since_ms;
    uint64_t counts[3]; /* by enum policy_outcome */
    struct policy_history *history;
    struct policy_entry refusal;
    unsigned closing;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

/* What came of a load, until that is durable. */
struct outcome {
    struct list_link link; /* in rollout->told */
    struct policy_entry entry;
    bool news; /* for the history */
};

static int64_t wall_now(void)
{
    struct in now = {.kind = IN_TICK};
    app_now(&now);
    return now.wall_ms;
}

/* ----------------------------------------------------------------- history */

struct save {
    struct work_item item;
    struct app *app;
    struct policy_history copy;
    int rc;
    struct fail f;
};

static void save_run(struct work_item *w)
{
    struct save *s = container_of(w, struct save, item);
    s->rc = policy_history_save(s->app->config->store_dir, &s->copy, &s->f);
}

static void save_done(struct work_item *w)
{
    struct save *s = container_of(w, struct save, item);
    if (s->rc < 0)
        log_warn(LOG_POLICY, "history_not_kept", kv_why(&s->f));
    mem_release(mem_system(), s);
}

/* The decision log has it already; losing a line here costs convenience. */
static void remember(struct rollout *r, const struct policy_entry *e)
{
    policy_history_add(r->history, e);
    struct save *s = mem_alloc(mem_system(), sizeof *s);
    if (s == NULL || r->pool == NULL) {
        mem_release(mem_system(), s);
        return;
    }
    s->app = r->app;
    s->copy = *r->history;
    s->item.run = save_run;
    s->item.done = save_done;
    if (work_submit(r->pool, &s->item) < 0)
        mem_release(mem_system(), s);
}

static struct policy_entry entry_of(const struct policy_load *l,
                                    enum policy_outcome outcome)
{
    struct policy_entry e = {.wall_ms = wall_now(), .outcome = outcome};
    (void)snprintf(e.digest, sizeof e.digest, "%s", l->digest);
    (void)snprintf(e.person, sizeof e.person, "%.*s", PRSPAN(l->person));
    if (outcome == POLICY_REFUSED)
        (void)snprintf(e.why, sizeof e.why, "%s", l->f.text);
    else
        e.audit = policy_audits(&l->policy->mode, e.wall_ms);
    e.serial = l->is_signed ? l->sig.serial : 0;
    return e;
}

/* ------------------------------------------------------------------ expiry */

static bool is_expired(const struct policy_sig *s, int64_t wall_ms)
{
    return s != NULL && wall_ms >= s->not_after_ms;
}

static void on_expiry(uv_timer_t *t);

/* At the moment itself, then every hour until somebody signs again. */
static void arm_expiry(struct rollout *r)
{
    struct rollout_view v;
    const int64_t now = wall_now();
    int64_t wait = EXPIRY_LOOK_MS;
    rollout_view(r->app, now, &v);
    const struct policy_sig *const both[] = {v.sig, v.config_sig};
    for (unsigned i = 0; i < 2; i++)
        if (both[i] != NULL && both[i]->not_after_ms > now &&
            both[i]->not_after_ms - now < wait)
            wait = both[i]->not_after_ms - now;
    (void)uv_timer_start(&r->expiry, on_expiry, (uint64_t)wait, 0);
}

static void warn_expired(struct app *a)
{
    struct rollout_view v;
    rollout_view(a, wall_now(), &v);
    if (v.expired)
        log_error(LOG_POLICY, "signature_expired", kv_str("file", "policy"),
                  kv_u64("serial", v.sig->serial), kv_str("still", "in force"));
    if (v.config_expired)
        log_error(LOG_POLICY, "signature_expired", kv_str("file", "config"),
                  kv_u64("serial", v.config_sig->serial),
                  kv_str("still", "in force"));
}

static void on_expiry(uv_timer_t *t)
{
    struct rollout *r = t->data;
    warn_expired(r->app);
    arm_expiry(r);
}

/* ------------------------------------------------------------------ answers */

static void write_answer(struct rollout *r, const struct policy_load *l,
                         enum policy_outcome outcome, struct buf *to)
{
    const char *word = policy_outcome_word(outcome);
    struct json_out j;
    json_out_init(&j, to);
    json_open_map(&j, NULL);
    json_str(&j, "outcome",
             outcome == POLICY_RENEWED && !l->renews ? "unchanged" : word);
    json_str(&j, "active", policy_load_name(r->now));
    if (l->digest[0] != 0)
        json_str(&j, "digest", l->digest);
    if (l->is_signed)
        json_u64(&j, "serial", l->sig.serial);
    if (outcome == POLICY_REFUSED)
        json_str(&j, "error", l->f.text);
    json_close_map(&j);
}

static void finish(struct rollout *r, struct outcome *o)
{
    list_remove(&o->link);
    if (o->news)
        remember(r, &o->entry);
    mem_release(mem_system(), o);
}

void rollout_told(struct app *a, struct waiter *w)
{
    struct outcome *o = w->outcome;
    if (w->req != NULL)
        admin_reply(w->req, &w->answer);
    buf_fini(&w->answer);
    waiter_free(w);
    finish(a->rollout, o);
}

/* In force, but neither recorded nor answered as it should be. */
static void not_recorded(struct rollout *r, struct waiter *w,
                         struct http_req *req, struct outcome *o)
{
    log_error(LOG_POLICY, "not_recorded", kv_str("why", "out of memory"));
    if (req != NULL)
        admin_refuse(req, RC_UNAVAILABLE, SPAN("out of memory"));
    if (w != NULL) {
        buf_fini(&w->answer);
        waiter_free(w);
    }
    if (o != NULL)
        finish(r, o);
}

static struct outcome *outcome_new(struct rollout *r,
                                   const struct policy_load *l)
{
    struct outcome *o = mem_alloc(mem_system(), sizeof *o);
    if (o == NULL)
        return NULL;
    o->entry = entry_of(l, l->outcome);
    o->news = l->outcome != POLICY_RENEWED || l->renews;
    list_push(&r->told, &o->link);
    return o;
}

/* One step of the engine for what came of a load; told when it is durable. The
 * load is not needed any more, unless it is in force. */
static void step(struct rollout *r, struct policy_load *l, struct in *in)
{
    struct waiter *w = waiter_new(r->app, WAIT_POLICY);
    struct outcome *o = outcome_new(r, l);
    in->policy.person = l->person;
    in->policy.reason = span_str(l->reason);
    in->policy.rollback = l->rollback;
    if (w != NULL && o != NULL) {
        buf_init(&w->answer, mem_system(), ANSWER_BYTES_MAX);
        w->req = l->req;
        w->outcome = o;
        in->policy.token = waiter_token(w);
        write_answer(r, l, l->outcome, &w->answer);
    }
    if (app_step(r->app, in) < 0 || w == NULL || o == NULL)
        not_recorded(r, w, l->req, o);
    if (l != r->now)
        policy_load_free(l);
}

/* ----------------------------------------------------------------- outcomes */

static void refuse(struct rollout *r, struct policy_load *l)
{
    struct in in = {.kind = IN_POLICY_REFUSED};
    log_error(LOG_POLICY, "reload_refused", kv_why(&l->f));
    l->outcome = POLICY_REFUSED;
    r->counts[POLICY_REFUSED]++;
    r->refusal = entry_of(l, POLICY_REFUSED);
    in.policy.why = span_str(l->f.text);
    step(r, l, &in);
}

static struct signed_serial serial_of(const struct policy_load *l)
{
    struct signed_serial s = {.serial = 0};
    if (!l->is_signed)
        return s;
    s.serial = l->sig.serial;
    memcpy(s.digest, l->sig.digest, sizeof s.digest);
    return s;
}

static void set_now(struct rollout *r, struct policy_load *l)
{
    policy_load_free(r->before);
    r->before = r->now;
    r->now = l;
    r->app->policy = l->policy;
    r->since_ms = wall_now();
}

/* The file in force again, perhaps with another signature. */
static void renew(struct rollout *r, struct policy_load *l)
{
    struct in in = {.kind = IN_POLICY};
    const uint64_t was = r->now->is_signed ? r->now->sig.serial : 0;
    l->outcome = POLICY_RENEWED;
    l->renews = l->is_signed && l->sig.serial > was;
    if (l->is_signed) {
        r->now->sig = l->sig;
        r->now->is_signed = true;
    }
    r->counts[POLICY_RENEWED] += l->renews;
    in.policy.unchanged = true;
    in.policy.policy = r->now->policy;
    in.policy.accepted = serial_of(l);
    log_info(LOG_POLICY, l->renews ? "renewed" : "unchanged",
             kv_str("digest", l->digest));
    l->policy = r->now->policy; /* its own was never compiled */
    step(r, l, &in);
}

static void activate(struct rollout *r, struct policy_load *l)
{
    struct in in = {.kind = IN_POLICY};
    l->outcome = POLICY_ACTIVE;
    in.policy.policy = l->policy;
    in.policy.accepted = serial_of(l);
    set_now(r, l);
    r->counts[POLICY_ACTIVE]++;
    step(r, l, &in);
    log_info(LOG_POLICY, "active", kv_str("digest", policy_load_name(l)));
    policy_load_warn_actions(l->policy);
}

static void start_next(struct rollout *r);

static void load_done(struct work_item *w)
{
    struct policy_load *l = container_of(w, struct policy_load, item);
    struct rollout *r = l->app->rollout;
    r->running = NULL;
    if (l->app->stopping) {
        if (l->req != NULL)
            http_reply(l->req, 503, NULL, 0, SPAN(""));
        policy_load_free(l);
        return;
    }
    memcpy(r->tried, l->content, sizeof r->tried);
    policy_load_report(l);
    if (l->nothing_new)
        policy_load_free(l);
    else if (l->rc < 0)
        refuse(r, l);
    else if (l->unchanged)
        renew(r, l);
    else
        activate(r, l);
    arm_expiry(r);
    start_next(r);
}

/* -------------------------------------------------------------------- queue */

static void start_next(struct rollout *r)
{
    struct list_link *k;
    if (r->running != NULL || (k = list_shift(&r->queue)) == NULL)
        return;
    struct policy_load *l = container_of(k, struct policy_load, link);
    r->queued--;
    r->running = l;
    l->seen = engine_signed(r->app->engine, SIGNED_POLICY);
    l->wall_ms = wall_now();
    (void)snprintf(l->active, sizeof l->active, "%s", r->now->digest);
    memcpy(l->tried, r->tried, sizeof l->tried);
    l->item.run = policy_load_run;
    l->item.done = load_done;
    must(work_submit(r->pool, &l->item) == 0); /* its queue is longer */
}

static int enqueue(struct rollout *r, struct policy_load **ret, struct fail *f)
{
    struct policy_load *l = NULL;
    if (r->queued >= ROLLOUT_QUEUE_MAX)
        return fail(f, RC_LIMIT, "%d reloads wait already", ROLLOUT_QUEUE_MAX);
    TRY(policy_load_new(r->app, &r->policy_keys, &l, f));
    list_push(&r->queue, &l->link);
    r->queued++;
    *ret = l;
    return 0;
}

/* One that nobody asked for and that has not begun will see the files as they
 * are now, too. */
static bool is_coming(const struct rollout *r)
{
    LIST_EACH (k, next, &r->queue) {
        const struct policy_load *l =
            container_of(k, const struct policy_load, link);
        if (l->req == NULL && !l->watched)
            return true;
    }
    return false;
}

static void reload(struct app *a, bool watched)
{
    struct rollout *r = a->rollout;
    struct policy_load *l;
    struct fail f;
    if (a->stopping || !a->ready || is_coming(r))
        return;
    if (enqueue(r, &l, &f) < 0) {
        log_error(LOG_POLICY, "reload_not_started", kv_why(&f));
        return;
    }
    l->watched = watched;
    start_next(r);
}

void rollout_reload(struct app *a)
{
    reload(a, false);
}

static void on_changed(void *ctx)
{
    reload(ctx, true);
}

int rollout_ask(struct app *a, struct http_req *req, struct span person,
                struct span reason, bool rollback, struct fail *f)
{
    struct policy_load *l;
    if (a->store_state != STORE_OK)
        return fail(f, RC_UNAVAILABLE, "the store is %s",
                    a->store_state == STORE_BLOCKED ? "blocked" : "poisoned");
    TRY(enqueue(a->rollout, &l, f));
    (void)snprintf(l->reason, sizeof l->reason, "%.*s", PRSPAN(reason));
    l->person = person;
    l->rollback = rollback;
    l->req = req;
    start_next(a->rollout);
    return 0;
}

/* --------------------------------------------------------------------- view */

void rollout_view(const struct app *a, int64_t wall_ms,
                  struct rollout_view *ret)
{
    const struct rollout *r = a->rollout;
    const struct policy_sig *sig = r->now->is_signed ? &r->now->sig : NULL;
    const struct policy_sig *config =
        r->config_keys.count > 0 ? &r->config_sig : NULL;
    *ret = (struct rollout_view){
        .policy = a->policy,
        .since_ms = r->since_ms,
        .file_ms = r->now->file_ms,
        .sig = sig,
        .config_sig = config,
        .pinned = r->policy_keys.count > 0,
        .config_pinned = r->config_keys.count > 0,
        .expired = is_expired(sig, wall_ms),
        .config_expired = is_expired(config, wall_ms),
        .activated = r->counts[POLICY_ACTIVE],
        .renewed = r->counts[POLICY_RENEWED],
        .refused = r->counts[POLICY_REFUSED],
        .refusal = r->refusal.why[0] == 0 ? NULL : &r->refusal,
        .history = r->history,
    };
}

/* -------------------------------------------------------------------- start */

static int read_keys(struct rollout *r, const char *signed_by, struct fail *f)
{
    const struct names *files = &r->app->config->policy_keys;
    if (signed_by != NULL)
        TRY(policy_keys_add(&r->config_keys, span_str(signed_by), f));
    for (unsigned i = 0; i < files->count; i++)
        TRY(policy_keys_add(&r->policy_keys, files->at[i], f));
    if (files->count == 0 && r->app->config->policy_file.n > 0)
        r->policy_keys = r->config_keys;
    return 0;
}

/* Is it a replay? Asked again when the facts are there. */
static int check_config(struct rollout *r, struct signed_serial seen,
                        int64_t wall_ms, struct fail *f)
{
    char path[1024];
    unsigned char digest[32];
    if (r->config_keys.count == 0)
        return 0;
    must(policy_sig_digest(span_of(r->app->config->digest_hex, 64), digest));
    const int n = snprintf(path, sizeof path, "%s.sig", r->app->config_path);
    if (n < 0 || (size_t)n >= sizeof path)
        return fail(f, RC_CONFIG, "the path of the signature is too long");
    const struct policy_sig_want want = {SIGNED_CONFIG, digest, seen, wall_ms};
    return policy_sig_check(span_str(path), &r->config_keys, &want,
                            &r->config_sig, f);
}

int rollout_open(struct app *a, const char *signed_by, struct fail *f)
{
    const struct signed_serial none = {.serial = 0};
    struct rollout *r = mem_alloc(mem_system(), sizeof *r);
    if (r == NULL)
        return fail(f, RC_NO_MEMORY, "policy");
    a->rollout = r;
    r->app = a;
    list_init(&r->queue);
    list_init(&r->told);
    r->history = mem_alloc(mem_system(), sizeof *r->history);
    if (r->history == NULL)
        return fail(f, RC_NO_MEMORY, "policy history");
    TRY(read_keys(r, signed_by, f));
    /* Whether a signature has expired matters only to files that are new;
     * rollout_accept knows which are. */
    TRY(check_config(r, none, INT64_MIN, f));
    TRY(policy_load_new(a, &r->policy_keys, &r->now, f));
    r->now->wall_ms = INT64_MIN;
    policy_load_run(&r->now->item);
    policy_load_report(r->now);
    memcpy(r->tried, r->now->content, sizeof r->tried);
    if (r->now->rc < 0) {
        *f = r->now->f;
        return r->now->rc;
    }
    a->policy = r->now->policy;
    return 0;
}

static int accept_policy(struct rollout *r, struct fail *f)
{
    struct policy_load *l = r->now;
    struct engine *e = r->app->engine;
    const struct policy_sig_want want = {SIGNED_POLICY, l->sig.digest,
                                         engine_signed(e, SIGNED_POLICY),
                                         wall_now()};
    const struct signed_serial s = serial_of(l);
    if (!l->is_signed)
        return 0;
    if (policy_sig_fits(&l->sig, &want, f) < 0)
        return fail_wrap(f, "signature of %.*s",
                         PRSPAN(r->app->config->policy_file));
    engine_accept(e, SIGNED_POLICY, &s);
    return 0;
}

int rollout_accept(struct app *a, struct fail *f)
{
    struct rollout *r = a->rollout;
    TRY(check_config(r, engine_signed(a->engine, SIGNED_CONFIG), wall_now(),
                     f));
    if (r->config_keys.count > 0) {
        struct signed_serial s = {.serial = r->config_sig.serial};
        memcpy(s.digest, r->config_sig.digest, sizeof s.digest);
        engine_accept(a->engine, SIGNED_CONFIG, &s);
    }
    TRY(accept_policy(r, f));
    r->since_ms = wall_now();
    return policy_load_keep(r->now, f);
}

/* A restart with the same policy is no news. */
static void remember_start(struct rollout *r)
{
    const struct policy_entry e = entry_of(r->now, POLICY_ACTIVE);
    unsigned i = r->history->count;
    while (i > 0 && r->history->at[i - 1].outcome == POLICY_REFUSED)
        i--;
    if (i == 0 || strcmp(r->history->at[i - 1].digest, e.digest) != 0 ||
        r->history->at[i - 1].serial != e.serial)
        remember(r, &e);
}

int rollout_start(struct app *a, struct fail *f)
{
    struct rollout *r = a->rollout;
    const struct span paths[] = {
        a->config->policy_file,
        r->policy_keys.count > 0 ? a->config->policy_signature_file : SPAN("")};
    TRY(policy_history_load(a->config->store_dir, r->history, f));
    TRY(work_new(&a->loop, 1, 2 * ROLLOUT_QUEUE_MAX + POLICY_HISTORY_MAX,
                 &r->pool, f));
    must(uv_timer_init(&a->loop, &r->expiry) == 0);
    r->expiry.data = r;
    r->timed = true;
    if (a->config->policy_watch)
        TRY(file_watch_open(&a->loop, paths, 2, on_changed, a, &r->watch, f));
    remember_start(r);
    warn_expired(a);
    arm_expiry(r);
    log_info(LOG_POLICY, "active", kv_str("digest", policy_load_name(r->now)));
    policy_load_warn_actions(r->now->policy);
    return 0;
}

/* --------------------------------------------------------------------- stop */

static void one_closed(void *ctx)
{
    struct rollout *r = ctx;
    if (--r->closing == 0)
        r->closed(r->closed_ctx);
}

static void on_timer_closed(uv_handle_t *h)
{
    one_closed(h->data);
}

static void drop_all(struct list *l)
{
    struct list_link *k;
    while ((k = list_shift(l)) != NULL) {
        struct policy_load *load = container_of(k, struct policy_load, link);
        if (load->req != NULL)
            http_reply(load->req, 503, NULL, 0, SPAN(""));
        policy_load_free(load);
    }
}

void rollout_close(struct app *a, void (*closed)(void *ctx), void *ctx)
{
    struct rollout *r = a->rollout;
    r->closed = closed;
    r->closed_ctx = ctx;
    r->closing = 1;
    drop_all(&r->queue);
    if (r->watch != NULL) {
        r->closing++;
        file_watch_close(r->watch, one_closed, r);
        r->watch = NULL;
    }
    if (r->timed) {
        r->closing++;
        r->timed = false;
        uv_close((uv_handle_t *)&r->expiry, on_timer_closed);
    }
    if (r->pool != NULL) {
        r->closing++;
        work_close(r->pool, one_closed, r);
        r->pool = NULL;
    }
    one_closed(r);
}

void rollout_free(struct app *a)
{
    struct rollout *r = a->rollout;
    if (r == NULL)
        return;
    struct list_link *k;
    while ((k = list_shift(&r->told)) != NULL)
        mem_release(mem_system(), container_of(k, struct outcome, link));
    policy_load_free(r->now);
    policy_load_free(r->before);
    mem_release(mem_system(), r->history);
    mem_release(mem_system(), r);
    a->rollout = NULL;
}
