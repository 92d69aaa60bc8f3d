// SPDX-License-Identifier: Apache-2.0
#include "sidecar/replay.h"

#include <string.h>

#include "adapters/json_doc.h"
#include "sidecar/replay_internal.h"

#define START_MS INT64_C(86400000) /* no clock of the engine is near 0 */
#define RECORD_BYTES_MAX (64 * 1024)
#define ALIVE_EVERY_MS 10000
#define ENTRY_ARENA_BYTES (64u * 1024 * 1024)
#define NAMES_ARENA_BYTES (1024u * 1024)
#define NO_MEMORY "no memory for the replay"
#define YEAR_MS (INT64_C(365) * 24 * 3600 * 1000)
/* More than the margin the engine takes off a caller's deadline. */
#define PATIENCE_MS 25

/* ---- what the engine wants ---- */

static bool grow(struct replay *r, void **at, size_t count, size_t *cap,
                 size_t size)
{
    if (count < *cap)
        return true;
    size_t next = *cap == 0 ? 64 : *cap * 2;
    void *p = mem_resize(r->mem, *at, *cap * size, next * size);
    if (p == NULL) {
        driver_get_stuck(&r->drive, NO_MEMORY);
        return false;
    }
    *at = p;
    *cap = next;
    return true;
}

static bool has_text(struct span s, struct span part)
{
    return s.n >= part.n && memmem(s.p, s.n, part.p, part.n) != NULL;
}

/* The tail of a log line; only actions are effects. */
static void take_record(struct replay *r, struct span tail)
{
    const struct doc *record;
    struct effect effect;
    struct buf line;
    if (r->conf.effect == NULL || !has_text(tail, SPAN("\"kind\":\"action\"")))
        return;
    buf_init(&line, &r->entry.mem, RECORD_BYTES_MAX);
    buf_put_u8(&line, '{');
    buf_put(&line, tail);
    if (!buf_ok(&line) || json_doc_parse(&r->entry.mem, buf_span(&line),
                                         RECORD_BYTES_MAX, &record, NULL) < 0)
        driver_get_stuck(&r->drive, NO_MEMORY);
    else if (effect_of_record(record, &effect))
        r->conf.effect(r->conf.ctx, &effect, driver_wall(&r->drive));
}

static void take_read(struct replay *r, const struct out_read *o)
{
    struct past *p = past_get(r, o->base, o->uri);
    void *at = r->open.at;
    if (p == NULL ||
        !grow(r, &at, r->open.count, &r->open.cap, sizeof(struct past *))) {
        driver_get_stuck(&r->drive, NO_MEMORY);
        return;
    }
    p->read_id = o->read_id;
    p->after_ms = o->after_ms;
    r->open.at = at;
    r->open.at[r->open.count++] = p;
}

static void take_job(struct replay *r, const struct out_job *o)
{
    void *at = r->jobs;
    struct in_call_result *calls =
        mem_array(&r->entry.mem, (size_t)o->call_ids.count + 1, sizeof *calls);
    if (calls == NULL ||
        !grow(r, &at, r->job_count, &r->job_cap, sizeof *r->jobs)) {
        driver_get_stuck(&r->drive, NO_MEMORY);
        return;
    }
    for (unsigned i = 0; i < o->call_ids.count; i++) {
        const unsigned char *id = mem_copy(&r->entry.mem, o->call_ids.at[i]);
        calls[i].call_id = span_str((const char *)id);
        calls[i].outcome = CALL_CANCELLED;
    }
    r->jobs = at;
    r->jobs[r->job_count++] =
        (struct replay_job){.id = o->job_id,
                            .attempt = o->attempt,
                            .calls = calls,
                            .call_count = o->call_ids.count};
}

static void take_answer(struct replay *r, const struct out_answer *o)
{
    if (o->token != r->token)
        return;
    r->answer = *o;
    const unsigned char *rule = mem_copy(&r->entry.mem, o->rule);
    r->answer.rule = span_str((const char *)rule);
}

static void take(void *ctx, const struct out *o)
{
    struct replay *r = ctx;
    switch (o->kind) {
        case OUT_LOG: take_record(r, o->log.tail); break;
        case OUT_ANSWER: take_answer(r, &o->answer); break;
        case OUT_READ: take_read(r, &o->read); break;
        case OUT_JOB: take_job(r, &o->job); break;
        case OUT_JOURNAL:
        case OUT_ACK:
        case OUT_LEASE:
        case OUT_DONE:
        case OUT_DIRECTIVE:
        case OUT_SNAPSHOT_END: break;
    }
}

/* ---- coming to rest ---- */

static void confirm_job(struct replay *r)
{
    const struct replay_job j = r->jobs[--r->job_count];
    struct in in = {.kind = IN_JOB_DONE};
    in.job.job_id = j.id;
    in.job.attempt = j.attempt;
    in.job.result = JOB_DONE_CONFIRMED;
    in.job.retry_after_ms = -1;
    in.job.calls = j.calls;
    in.job.call_count = j.call_count;
    ignore_rc(driver_step(&r->drive, &in)); /* noted by the step */
}

static bool next(void *ctx)
{
    struct replay *r = ctx;
    if (r->open.count > 0)
        (void)past_answer(r, r->open.at[--r->open.count]);
    else if (r->job_count > 0)
        confirm_job(r);
    else
        return false;
    return true;
}

/* ---- time ---- */

static void feeds_live(struct replay *r)
{
    r->alive_ms = r->drive.now_ms;
    driver_feeds_live(&r->drive, r->engine_conf.feed_count);
}

static void tick_at(struct replay *r, int64_t ms)
{
    if (ms > r->drive.now_ms)
        r->drive.now_ms = ms;
    if (r->drive.now_ms - r->alive_ms >= ALIVE_EVERY_MS)
        feeds_live(r);
    driver_tick(&r->drive);
}

/* To `until`, over every moment at which the engine wants to run. A gap that
 * has too many of them is crossed at once. */
static void pass(struct replay *r, int64_t until)
{
    int64_t before = -1;
    while (driver_runs(&r->drive) && r->drive.steps < REPLAY_STEPS_MAX / 2) {
        int64_t wake = engine_wake_ms(r->drive.engine);
        if (wake > until || (wake <= r->drive.now_ms && wake == before))
            break;
        before = wake;
        tick_at(r, wake);
    }
    if (r->drive.now_ms < until)
        r->drive.now_ms = until;
    if (r->drive.now_ms - r->alive_ms >= ALIVE_EVERY_MS &&
        driver_runs(&r->drive)) {
        feeds_live(r);
        driver_settle(&r->drive);
    }
}

/* ---- names ---- */

static struct span keep_name(struct replay *r, struct span s)
{
    const unsigned char *p = mem_copy(&r->names.mem, s);
    return p == NULL ? SPAN("") : span_of(p, s.n);
}

int replay_base(struct replay *r, struct span url)
{
    struct engine_conf *c = &r->engine_conf;
    if (url.n == 0) /* a question of a sidecar that has one base only */
        return 0;
    for (unsigned i = 0; i < c->base_count; i++)
        if (span_eq(c->bases[i].url, url))
            return (int)i;
    /* Until a base is named, the first one has none. */
    unsigned at =
        c->base_count == 1 && c->bases[0].url.n == 0 ? 0 : c->base_count;
    if (at == ENGINE_BASES_MAX || url.n > ENGINE_ID_MAX * 4)
        return -1;
    c->bases[at].url = keep_name(r, url);
    c->bases[at].agent_segment = SPAN("Agents");
    c->bases[at].user_segment = SPAN("Users");
    c->bases[at].group_segment = SPAN("Groups");
    if (at == c->base_count)
        c->base_count++;
    return c->bases[at].url.n == 0 ? -1 : (int)at;
}

int replay_feed(struct replay *r, struct span name, struct span issuer,
                int base)
{
    struct engine_conf *c = &r->engine_conf;
    for (unsigned i = 0; i < c->feed_count; i++)
        if (span_eq(c->feeds[i].name, name))
            return (int)i;
    if (c->feed_count == ENGINE_FEEDS_MAX || base < 0)
        return -1;
    c->feeds[c->feed_count] =
        (struct engine_feed){.name = keep_name(r, name),
                             .issuer = keep_name(r, issuer),
                             .base = (unsigned)base};
    c->feed_count++;
    feeds_live(r);
    return (int)c->feed_count - 1;
}

int replay_learn(struct replay *r, int base, struct span uri, struct span kind,
                 struct fail *f)
{
    struct span segment = span_sub(uri, 1, span_find(uri, '/', 1));
    if (base < 0 || uri.n < 4 || uri.n > SUBJECT_URI_MAX || uri.p[0] != '/' ||
        segment.n == 0)
        return fail(f, RC_SYNTAX, "an entry about no SCIM path or base");
    struct engine_base *b = &r->engine_conf.bases[base];
    struct span *at[] = {[SUBJECT_AGENT] = &b->agent_segment,
                         [SUBJECT_USER] = &b->user_segment,
                         [SUBJECT_GROUP] = &b->group_segment};
    for (unsigned k = 0; k < SUBJECT_KIND_COUNT; k++)
        if (span_eq(kind, span_str(subject_kind_word((enum subject_kind)k))) &&
            !span_eq(*at[k], segment))
            *at[k] = keep_name(r, segment);
    return 0;
}

/* ---- entries ---- */

static int locate(struct replay *r, const struct doc *entry, int *ret_base,
                  struct span *ret_uri, struct fail *f)
{
    *ret_uri = doc_text(entry, SPAN("uri"));
    *ret_base = replay_base(r, doc_text(entry, SPAN("base")));
    return replay_learn(r, *ret_base, *ret_uri,
                        doc_text(entry, SPAN("subject_kind")), f);
}

static void ask(struct replay *r, int base, struct span uri, struct span tool,
                struct span run)
{
    struct in in = {.kind = IN_ASK};
    r->answer = (struct out_answer){.token = 0};
    in.ask = (struct in_ask){.token = ++r->token,
                             .base = base,
                             .uri = uri,
                             .tool = tool,
                             .run_id = run,
                             .deadline_ms = r->drive.now_ms + PATIENCE_MS};
    if (driver_step(&r->drive, &in) >= 0)
        driver_settle(&r->drive);
    if (r->answer.token != r->token && driver_runs(&r->drive))
        pass(r, r->drive.now_ms + PATIENCE_MS);
}

/* The engine is told of a read when it wanted one; an agent's state is then
 * asked for, as whoever caused the read did. */
static int on_read(struct replay *r, const struct doc *entry, struct fail *f)
{
    struct span uri;
    int base;
    TRY(locate(r, entry, &base, &uri, f));
    struct past *p = past_get(r, (unsigned)base, uri);
    if (p == NULL)
        return fail(f, RC_LIMIT, "too many subjects");
    TRY(past_learn(r, entry, p, f));
    p->fresh = true;
    (void)past_answer(r, p);
    driver_settle(&r->drive);
    if (p->known)
        ask(r, base, uri, SPAN("-"), SPAN(""));
    p->fresh = false;
    return 0;
}

static int on_question(struct replay *r, const struct doc *entry,
                       struct replay_answer *ret, struct fail *f)
{
    struct span uri;
    int base;
    TRY(locate(r, entry, &base, &uri, f));
    ask(r, base, uri, doc_text(entry, SPAN("tool")),
        doc_text(entry, SPAN("run")));
    const struct past *p = past_get(r, (unsigned)base, uri);
    enum reason why = r->answer.reason;
    bool waited = r->answer.token != r->token ||
                  why == REASON_REFRESH_PENDING || why == REASON_REFRESH_FAILED;
    *ret = (struct replay_answer){
        .allow = r->answer.allow,
        .reason = why,
        .rule = r->answer.rule,
        .undecided = waited && (p == NULL || p->read_id != 0 ||
                                r->answer.token != r->token)};
    return 1;
}

static int on_operator(struct replay *r, const struct doc *entry,
                       struct fail *f)
{
    static const struct {
        const char *word;
        enum operator_verb verb;
    } verbs[] = {{"hold_add", OP_HOLD_ADD},
                 {"hold_lift", OP_HOLD_LIFT},
                 {"review_approve", OP_REVIEW_APPROVE},
                 {"review_deny", OP_REVIEW_DENY}};
    const struct doc *tools = doc_get(entry, SPAN("tools"));
    struct in in = {.kind = IN_OPERATOR};
    size_t i = 0, n = sizeof verbs / sizeof *verbs;
    while (i < n &&
           !span_eq(doc_text(entry, SPAN("verb")), span_str(verbs[i].word)))
        i++;
    if (i == n)
        return fail(f, RC_SYNTAX, "an operator's command that is not known");
    in.operator.verb = verbs[i].verb;
    TRY(locate(r, entry, &in.operator.base, &in.operator.uri, f));
    in.operator.token = ++ r->token;
    in.operator.person = SPAN("operator");
    in.operator.reason = SPAN("replay");
    in.operator.may_review = true;
    in.operator.hold_kind = doc_text(entry, SPAN("hold"));
    struct span *at = tools == NULL || tools->kind != DOC_LIST
                          ? NULL
                          : mem_array(&r->entry.mem, tools->count, sizeof *at);
    unsigned count = 0;
    DOC_EACH (it, at == NULL ? NULL : tools)
        if (it->kind == DOC_TEXT && count < POLICY_LIST_MAX)
            at[count++] = it->text;
    in.operator.tools =(struct names){at, count};
    return driver_step(&r->drive, &in);
}

static int on_feed(struct replay *r, const struct doc *entry, struct fail *f)
{
    struct span sign = doc_text(entry, SPAN("sign"));
    struct span name = doc_text(entry, SPAN("feed"));
    int feed = name.n == 0 ? -1 : replay_feed(r, name, SPAN(""), 0);
    if (feed < 0)
        return fail(f, RC_SYNTAX, "an entry about no feed");
    bool silent = span_eq(sign, SPAN("silent"));
    struct in in = {.kind = IN_FEED};
    in.feed.feed = (unsigned)feed;
    in.feed.sign = silent ? FEED_FELL_SILENT : FEED_ALIVE;
    if (span_eq(sign, SPAN("enabled")) || span_eq(sign, SPAN("disabled")))
        return 0; /* its event has said so */
    r->drive.silent[feed] = silent;
    return driver_step(&r->drive, &in);
}

static int dispatch(struct replay *r, const struct doc *entry,
                    struct replay_answer *ret, struct fail *f)
{
    struct span kind = doc_text(entry, SPAN("kind"));
    if (span_eq(kind, SPAN("question")))
        return on_question(r, entry, ret, f);
    if (span_eq(kind, SPAN("event")))
        return replay_event(r, entry, f);
    if (span_eq(kind, SPAN("read")))
        return on_read(r, entry, f);
    if (span_eq(kind, SPAN("operator")))
        return on_operator(r, entry, f);
    if (span_eq(kind, SPAN("feed")))
        return on_feed(r, entry, f);
    return 0; /* what is told about the past, not to the engine */
}

static int start(struct replay *r, int64_t wall_ms, struct fail *f)
{
    r->drive.now_ms = START_MS;
    r->drive.wall_ms = wall_ms - START_MS;
    TRY(driver_start(&r->drive, r->conf.policy, f));
    r->started = true;
    return 0;
}

static int say_stuck(const struct replay *r, struct fail *f)
{
    if (r->budget.reached)
        return fail(f, RC_LIMIT, "the replay takes more than %zu MiB",
                    r->budget.bytes_max >> 20);
    if (r->drive.steps > REPLAY_STEPS_MAX)
        return fail(f, RC_LIMIT, "one entry takes more than %d steps",
                    REPLAY_STEPS_MAX);
    return fail(f, RC_NO_MEMORY, "the replay ends: %s",
                driver_runs(&r->drive) ? NO_MEMORY : r->drive.stuck);
}

int replay_entry(struct replay *r, const struct doc *entry,
                 struct replay_answer *ret, struct fail *f)
{
    const struct doc *t = doc_get(entry, SPAN("t"));
    if (t == NULL || t->kind != DOC_INT || t->integer < 0 ||
        t->integer > REPLAY_WALL_MAX)
        return fail(f, RC_SYNTAX, "an entry without a time");
    arena_clear(&r->entry);
    r->open.count = r->job_count = 0;
    r->drive.steps = 0;
    if (!r->started)
        TRY(start(r, t->integer, f));
    pass(r, t->integer - r->drive.wall_ms);
    int rc = driver_runs(&r->drive) ? dispatch(r, entry, ret, f) : 0;
    driver_settle(&r->drive);
    const bool refused = rc == RC_NO_MEMORY || (rc < 0 && r->budget.reached);
    return refused || !driver_runs(&r->drive) ? say_stuck(r, f) : rc;
}

bool replay_last_read(struct replay *r, const struct doc *entry,
                      struct replay_read *ret)
{
    int base = replay_base(r, doc_text(entry, SPAN("base")));
    const struct past *p =
        base < 0 ? NULL
                 : past_find(r, (unsigned)base, doc_text(entry, SPAN("uri")));
    if (p == NULL || !p->known || p->result == READ_FAILED)
        return false;
    *ret = (struct replay_read){r->drive.wall_ms + p->started_ms, p->partial};
    return true;
}

/* ---- life ---- */

static void set_conf(struct replay *r)
{
    struct engine_conf *c = &r->engine_conf;
    c->base_count = 1;
    c->bases[0] = (struct engine_base){.url = SPAN(""),
                                       .agent_segment = SPAN("Agents"),
                                       .user_segment = SPAN("Users"),
                                       .group_segment = SPAN("Groups")};
    r->star = SPAN("*");
    c->callers[0] = (struct engine_caller){.name = SPAN("replay"),
                                           .base = -1,
                                           .agents = {&r->star, 1},
                                           .whole_runtime = true};
    c->caller_count = 1;
    c->limits = (struct engine_limits){.subjects_max = REPLAY_SUBJECTS_MAX,
                                       .calls_max = 1024,
                                       .parked_max = 1024,
                                       .parked_per_agent = 256,
                                       .jobs_max = 65536,
                                       .jtis_max = 1000000,
                                       .credentials_max = 1024,
                                       .holds_max = 1000000,
                                       .lease_ms = YEAR_MS,
                                       .log_stall_ms = YEAR_MS,
                                       .jti_keep_ms = 8 * 24 * 3600000};
    memcpy(c->config_digest, "0000000000000000", 16);
}

int replay_new(const struct replay_conf *conf, struct replay **ret,
               struct fail *f)
{
    static const unsigned char random[32] = {7, 1, 4};
    struct replay *r = mem_alloc(conf->mem, sizeof *r);
    if (r == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for a replay");
    r->conf = *conf;
    mem_budget_init(&r->budget, conf->mem,
                    conf->bytes_max == 0 ? REPLAY_BYTES_MAX : conf->bytes_max);
    r->mem = &r->budget.mem;
    r->drive = (struct driver){
        .steps_max = REPLAY_STEPS_MAX, .take = take, .next = next, .ctx = r};
    arena_init(&r->names, r->mem, NAMES_ARENA_BYTES);
    arena_init(&r->entry, r->mem, ENTRY_ARENA_BYTES);
    past_init(r);
    set_conf(r);
    int rc = engine_new(r->mem, &r->engine_conf, random, &r->drive.engine, f);
    if (rc < 0) {
        replay_free(r);
        return rc;
    }
    *ret = r;
    return 0;
}

void replay_free(struct replay *r)
{
    if (r == NULL)
        return;
    engine_free(r->drive.engine);
    past_fini(r);
    arena_fini(&r->names);
    arena_fini(&r->entry);
    mem_release(r->mem, r->open.at);
    mem_release(r->mem, r->jobs);
    mem_release(r->conf.mem, r);
}
