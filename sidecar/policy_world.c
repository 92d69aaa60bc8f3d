// SPDX-License-Identifier: Apache-2.0
#include "sidecar/policy_world.h"

#include <stdarg.h>
#include <string.h>

#include "adapters/json_doc.h"
#include "sidecar/policy_world_internal.h"

#define RECORD_BYTES_MAX (64 * 1024)
#define TRACE_BYTES_MAX (256 * 1024)
#define ANSWER_WAIT_MAX_MS 60000
#define YEAR_MS (INT64_C(365) * 24 * 3600 * 1000)

/* ---- texts and failures ---- */

struct span world_keep(struct world *w, struct span s)
{
    unsigned char *p = mem_copy(w->out, s);
    return p == NULL ? SPAN("") : span_of(p, s.n);
}

static struct span format(struct world *w, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

static struct span format(struct world *w, const char *fmt, va_list ap)
{
    char text[2 * FAIL_TEXT_MAX];
    int n = vsnprintf(text, sizeof text, fmt, ap);
    size_t length = n < 0 ? 0 : (size_t)n;
    if (length >= sizeof text)
        length = sizeof text - 1;
    return world_keep(w, span_of(text, length));
}

struct span world_text(struct world *w, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct span s = format(w, fmt, ap);
    va_end(ap);
    return s;
}

void world_differ(struct world *w, uint32_t line, struct span what,
                  struct span expected, struct span got)
{
    struct world_result *r = w->result;
    if (r->failure_count < WORLD_FAILURES_MAX)
        r->failures[r->failure_count++] = (struct world_failure){
            .line = line, .what = what, .expected = expected, .got = got};
}

void world_complain(struct world *w, uint32_t line, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct span what = format(w, fmt, ap);
    va_end(ap);
    world_differ(w, line, what, SPAN(""), SPAN(""));
}

static void *world_alloc(struct world *w, size_t n)
{
    void *p = mem_alloc(&w->arena.mem, n);
    if (p == NULL)
        driver_get_stuck(&w->drive, "the test needs too much memory");
    return p;
}

/* ---- what the engine wants ---- */

static struct span copy(struct world *w, struct span s)
{
    unsigned char *p = mem_copy(&w->arena.mem, s);
    if (p == NULL)
        driver_get_stuck(&w->drive, "the test needs too much memory");
    return p == NULL ? SPAN("") : span_of(p, s.n);
}

/* "+2s     action    /Agents/7 rule=stop action=cancel outcome=started" */
static void trace(struct world *w, const struct doc *record)
{
    static const char *const keys[] = {"event", "tool",   "rule",    "action",
                                       "hold",  "target", "outcome", "reason"};
    char when[32];
    if (!w->ready)
        return;
    (void)snprintf(when, sizeof when, "+%lld.%03llds",
                   (long long)(w->drive.now_ms - w->ready_ms) / 1000,
                   (long long)(w->drive.now_ms - w->ready_ms) % 1000);
    buf_printf(&w->trace, "        %-12s %-8.*s %.*s", when,
               PRSPAN(doc_text(record, SPAN("kind"))),
               PRSPAN(doc_text(record, SPAN("agent"))));
    for (unsigned i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct span value = doc_text(record, span_str(keys[i]));
        if (value.n > 0)
            buf_printf(&w->trace, " %s=%.*s", keys[i], PRSPAN(value));
    }
    buf_put_str(&w->trace,
                doc_get(record, SPAN("would")) != NULL ? " would\n" : "\n");
}

/* The tail of a decision log line: members without the opening brace. */
static void take_record(struct world *w, struct span tail)
{
    struct buf line;
    struct world_record *r = world_alloc(w, sizeof *r);
    buf_init(&line, &w->arena.mem, RECORD_BYTES_MAX);
    buf_put_str(&line, "{");
    buf_put(&line, tail);
    if (r == NULL)
        return;
    if (!buf_ok(&line) || json_doc_parse(&w->arena.mem, buf_span(&line),
                                         RECORD_BYTES_MAX, &r->doc, NULL) < 0) {
        driver_get_stuck(&w->drive, "a record of the test cannot be read");
        return;
    }
    list_push(&w->records, &r->link);
    if (w->coverage != NULL)
        coverage_record(w->coverage, r->doc);
    trace(w, r->doc);
}

static void take_read(struct world *w, const struct out_read *o)
{
    struct world_read *r = world_alloc(w, sizeof *r);
    if (r == NULL)
        return;
    r->id = o->read_id;
    r->uri = copy(w, o->uri);
    r->if_none_match = copy(w, o->if_none_match);
    list_push(&w->reads, &r->link);
}

static void take_job(struct world *w, const struct out_job *o)
{
    struct world_job *j = world_alloc(w, sizeof *j);
    struct in_call_result *calls =
        world_alloc(w, (o->call_ids.count + 1) * sizeof *calls);
    if (j == NULL || calls == NULL)
        return;
    j->id = o->job_id;
    j->attempt = o->attempt;
    j->action = o->kind == JOB_ACTION ? copy(w, o->action->name)
                                      : span_str(job_kind_word(o->kind));
    for (unsigned i = 0; i < o->call_ids.count; i++)
        calls[i] = (struct in_call_result){
            .call_id = copy(w, o->call_ids.at[i]), .outcome = CALL_CANCELLED};
    j->calls = calls;
    j->call_count = o->call_ids.count;
    list_push(&w->jobs, &j->link);
}

static void take(void *ctx, const struct out *o)
{
    struct world *w = ctx;
    switch (o->kind) {
        case OUT_LOG: take_record(w, o->log.tail); break;
        case OUT_ANSWER:
            w->answer = o->answer;
            w->answer_rule = copy(w, o->answer.rule);
            break;
        case OUT_READ: take_read(w, &o->read); break;
        case OUT_JOB: take_job(w, &o->job); break;
        case OUT_DONE:
            w->done_rc = o->done.rc;
            w->done_text = copy(w, o->done.text);
            break;
        case OUT_JOURNAL:
        case OUT_ACK:
        case OUT_LEASE:
        case OUT_DIRECTIVE:
        case OUT_SNAPSHOT_END: break;
    }
}

/* ---- the world's answers ---- */

static void answer_read(struct world *w, const struct world_read *r)
{
    const struct world_resource *found = world_find(w, r->uri);
    struct in in = {.kind = IN_READ_DONE};
    in.read.read_id = r->id;
    in.read.retry_after_ms = -1;
    in.read.result = READ_GONE;
    if (found != NULL && found->state == TEST_FAILS) {
        in.read.result = READ_FAILED;
        in.read.why = SPAN("the test says so");
    } else if (found != NULL && found->state == TEST_THERE) {
        bool same =
            r->if_none_match.n > 0 && span_eq(r->if_none_match, found->version);
        in.read.result = same ? READ_NOT_MODIFIED : READ_OK;
        in.read.etag = found->version;
        in.read.resource = same ? NULL : found->members;
        world_note_read(w, r->uri, found->members);
    }
    ignore_rc(driver_step(&w->drive, &in)); /* noted by the step */
}

static enum test_answer answer_for(const struct world *w, struct span action)
{
    enum test_answer found = TEST_CONFIRM;
    LIST_EACH (k, next, &w->answers) {
        const struct test_step *s =
            container_of(k, struct world_answers, link)->step;
        for (unsigned i = 0; i < s->answers.count; i++)
            if (span_eq(s->answers.at[i].action, action))
                found = s->answers.at[i].answer;
    }
    return found;
}

static void answer_job(struct world *w, const struct world_job *j)
{
    struct in in = {.kind = IN_JOB_DONE};
    in.job.job_id = j->id;
    in.job.attempt = j->attempt;
    in.job.retry_after_ms = -1;
    in.job.why = SPAN("the test says so");
    switch (answer_for(w, j->action)) {
        case TEST_SILENT: return;
        case TEST_REFUSE: in.job.result = JOB_DONE_REFUSED; break;
        case TEST_RETRY: in.job.result = JOB_DONE_RETRY; break;
        case TEST_CONFIRM:
            in.job.result = JOB_DONE_CONFIRMED;
            in.job.why = SPAN("");
            in.job.calls = j->calls;
            in.job.call_count = j->call_count;
            break;
    }
    ignore_rc(driver_step(&w->drive, &in)); /* noted by the step */
}

/* A tick that changes nothing and asks for itself again is rest. */
static bool tick(struct world *w)
{
    struct in in = {.kind = IN_TICK};
    const int64_t before = engine_wake_ms(w->drive.engine);
    return before <= w->drive.now_ms && driver_step(&w->drive, &in) >= 0 &&
           (engine_wake_ms(w->drive.engine) != before ||
            !list_empty(&w->reads) || !list_empty(&w->jobs));
}

/* One thing that is due now; false when there is none. */
static bool next(void *ctx)
{
    struct world *w = ctx;
    struct list_link *k;
    if ((k = list_shift(&w->reads)) != NULL)
        answer_read(w, container_of(k, struct world_read, link));
    else if ((k = list_shift(&w->jobs)) != NULL)
        answer_job(w, container_of(k, struct world_job, link));
    else
        return tick(w);
    return true;
}

/* ---- time ---- */

/* To the next moment at which the engine wants to run, or to `until`. */
static void hop(struct world *w, int64_t until)
{
    int64_t next = engine_wake_ms(w->drive.engine);
    if (next <= w->drive.now_ms)
        next = w->drive.now_ms + 1;
    w->drive.now_ms = next < until ? next : until;
    driver_feeds_live(&w->drive, w->conf.feed_count);
    driver_tick(&w->drive);
}

void world_wait(struct world *w, int64_t ms)
{
    int64_t until = w->drive.now_ms + ms;
    while (driver_runs(&w->drive) && w->drive.now_ms < until)
        hop(w, until);
}

bool world_ask(struct world *w, struct span uri, struct span tool,
               struct span run)
{
    struct in in = {.kind = IN_ASK};
    int64_t until = w->drive.now_ms + ANSWER_WAIT_MAX_MS;
    in.ask = (struct in_ask){.token = ++w->token,
                             .uri = uri,
                             .tool = tool,
                             .run_id = run,
                             .deadline_ms = INT64_MAX};
    if (driver_step(&w->drive, &in) < 0)
        return false;
    driver_settle(&w->drive);
    while (driver_runs(&w->drive) && w->answer.token != w->token &&
           w->drive.now_ms < until)
        hop(w, until);
    return w->answer.token == w->token;
}

/* ---- what is given ---- */

static const struct span seed_tool = {(const unsigned char *)"-", 1};

/* One question makes the engine read, and so know, every agent. */
static void seed_agents(struct world *w)
{
    const struct policy_test *t = w->test;
    for (unsigned i = 0; i < t->resource_count && driver_runs(&w->drive); i++)
        if (t->resources[i].agent)
            (void)world_ask(w, t->resources[i].uri, seed_tool, SPAN(""));
}

static struct span agent_or_first(const struct world *w, struct span agent)
{
    return agent.n > 0 ? agent : w->test->agent;
}

static void seed_call(struct world *w, const struct test_call *c, unsigned i)
{
    struct in in = {.kind = IN_BEGIN};
    struct span uri = agent_or_first(w, c->agent);
    int64_t until = w->drive.now_ms + ANSWER_WAIT_MAX_MS;
    in.ask = (struct in_ask){
        .token = ++w->token,
        .uri = uri,
        .tool = c->tool,
        .run_id = c->run,
        .deadline_ms = INT64_MAX,
        .call_id = c->id.n > 0 ? c->id : world_text(w, "call-%u", i + 1),
        .runtime = SPAN(WORLD_RUNTIME)};
    if (driver_step(&w->drive, &in) < 0)
        return;
    driver_settle(&w->drive);
    while (driver_runs(&w->drive) && w->answer.token != w->token &&
           w->drive.now_ms < until)
        hop(w, until);
    if (w->answer.token != w->token || !w->answer.allow)
        world_complain(
            w, c->line, "the given call %.*s of %.*s cannot begin: %s%s%.*s",
            PRSPAN(c->tool), PRSPAN(uri), reason_code(w->answer.reason),
            w->answer_rule.n > 0 ? " by " : "", PRSPAN(w->answer_rule));
}

static void seed_credential(struct world *w, const struct test_credential *c)
{
    struct in in = {.kind = IN_CREDENTIAL};
    in.credential = (struct in_credential){
        .token = ++w->token,
        .uri = agent_or_first(w, c->agent),
        .credential_id = c->id,
        .issuer = SPAN("https://as.test"),
        .runtime = SPAN(WORLD_RUNTIME),
        .refresh = c->refresh,
        .sealed = SPAN("sealed"),
    };
    w->done_rc = 0;
    if (driver_step(&w->drive, &in) < 0)
        return;
    driver_settle(&w->drive);
    if (w->done_rc < 0)
        world_complain(w, c->line, "the credential %.*s is refused: %.*s",
                       PRSPAN(c->id), PRSPAN(w->done_text));
}

static void forget_records(struct world *w)
{
    LIST_EACH (k, next, &w->records) {
        list_remove(k);
        list_push(&w->past, k);
    }
}

static void seed(struct world *w)
{
    const struct policy_test *t = w->test;
    driver_feeds_live(&w->drive, w->conf.feed_count);
    seed_agents(w);
    if (!w->policy->lookup_unknown) { /* only the given ones are known */
        struct in in = {.kind = IN_POLICY};
        in.policy.policy = &w->calm_policy;
        if (driver_step(&w->drive, &in) >= 0)
            driver_settle(&w->drive);
        seed_agents(w);
    }
    for (unsigned i = 0; i < t->credential_count && driver_runs(&w->drive); i++)
        seed_credential(w, &t->credentials[i]);
    for (unsigned i = 0; i < t->call_count && driver_runs(&w->drive); i++)
        seed_call(w, &t->calls[i], i);
    list_init(&w->records); /* what led here is no result of the test */
    w->ready = true;
    w->ready_ms = w->drive.now_ms;
}

/* ---- steps ---- */

static void run_operator(struct world *w, const struct test_step *s)
{
    static const enum operator_verb verbs[] = {
        OP_HOLD_ADD, OP_HOLD_LIFT, OP_REVIEW_APPROVE, OP_REVIEW_DENY};
    struct in in = {.kind = IN_OPERATOR};
    in.operator=(struct in_operator){.token = ++w->token,
                                     .person = SPAN("operator"),
                                     .reason = SPAN("test"),
                                     .person_resource = s->operator.as,
                                     .verb = verbs[s->operator.verb],
                                     .uri = s->operator.uri };
    w->done_rc = 0;
    if (driver_step(&w->drive, &in) < 0)
        return;
    driver_settle(&w->drive);
    if (w->done_rc < 0)
        world_complain(w, s->line, "the operator is refused: %.*s",
                       PRSPAN(w->done_text));
}

static void run_silence(struct world *w, const struct test_step *s)
{
    for (unsigned i = 0; i < s->silence.count; i++)
        w->drive.silent[world_feed(w, s->silence.at[i])] = true;
}

static void run_step(struct world *w, const struct test_step *s)
{
    switch (s->kind) {
        case TEST_STEP_EVENT:
            world_event(w, s);
            driver_settle(&w->drive);
            break;
        case TEST_STEP_WAIT: world_wait(w, s->wait_ms); break;
        case TEST_STEP_READ:
            for (unsigned i = 0; i < s->reads.count; i++)
                world_change(w, &s->reads.at[i]);
            break;
        case TEST_STEP_OPERATOR: run_operator(w, s); break;
        case TEST_STEP_SILENCE: run_silence(w, s); break;
        case TEST_STEP_ANSWERS: {
            struct world_answers *a = world_alloc(w, sizeof *a);
            if (a == NULL)
                break;
            a->step = s;
            list_push(&w->answers, &a->link);
            break;
        }
        case TEST_STEP_EXPECT:
            world_expect(w, s);
            forget_records(w);
            break;
    }
}

/* ---- building ---- */

static void add_feed(struct world *w, struct span name)
{
    struct engine_conf *c = &w->conf;
    for (unsigned i = 0; i < c->feed_count; i++)
        if (span_eq(c->feeds[i].name, name))
            return;
    if (c->feed_count == ENGINE_FEEDS_MAX)
        return; /* world_feed gives the first one for it */
    c->feeds[c->feed_count++] = (struct engine_feed){
        .name = name, .issuer = SPAN("https://idp.test"), .base = 0};
}

/* The usual feed, then those that the test names. */
static void add_feeds(struct world *w)
{
    add_feed(w, SPAN("feed"));
    for (unsigned i = 0; i < w->test->step_count; i++) {
        const struct test_step *s = &w->test->steps[i];
        if (s->kind == TEST_STEP_EVENT && s->event.feed.n > 0)
            add_feed(w, s->event.feed);
        for (unsigned k = 0;
             s->kind == TEST_STEP_SILENCE && k < s->silence.count; k++)
            add_feed(w, s->silence.at[k]);
    }
}

static void build_conf(struct world *w)
{
    struct engine_conf *c = &w->conf;
    c->bases[0] = (struct engine_base){
        .url = SPAN(WORLD_BASE),
        .agent_segment = SPAN(POLICY_TEST_AGENTS),
        .user_segment = SPAN(POLICY_TEST_USERS),
        .group_segment = SPAN(POLICY_TEST_GROUPS),
    };
    c->base_count = 1;
    add_feeds(w);
    w->star = SPAN("*");
    c->callers[0] = (struct engine_caller){
        .name = SPAN("test"), .agents = {&w->star, 1}, .whole_runtime = true};
    c->caller_count = 1;
    c->served_runtimes[0] = SPAN(WORLD_RUNTIME);
    c->served_runtime_count = 1;
    c->limits = (struct engine_limits){.subjects_max = 8192,
                                       .calls_max = 1024,
                                       .parked_max = 1024,
                                       .parked_per_agent = 256,
                                       .jobs_max = 4096,
                                       .jtis_max = 4096,
                                       .credentials_max = 1024,
                                       .holds_max = 8192,
                                       .lease_ms = 2 * YEAR_MS,
                                       .log_stall_ms = YEAR_MS,
                                       .jti_keep_ms = 0 /* for good */};
    memcpy(c->config_digest, "0000000000000000", 16);
}

static bool any_silence(const struct policy_test *t)
{
    for (unsigned i = 0; i < t->step_count; i++)
        if (t->steps[i].kind == TEST_STEP_SILENCE)
            return true;
    return false;
}

static int build(struct world *w, struct fail *f)
{
    static const unsigned char random[32] = {7, 1, 4};
    const struct policy_test *t = w->test;
    list_init(&w->reads);
    list_init(&w->jobs);
    list_init(&w->answers);
    list_init(&w->resources);
    list_init(&w->records);
    list_init(&w->past);
    w->calm_policy = *w->policy;
    if (!any_silence(t))
        w->calm_policy.feed_silent_ms = 0;
    w->seed_policy = w->calm_policy;
    w->seed_policy.lookup_unknown = true;
    w->drive = (struct driver){.now_ms = 1000,
                               .steps_max = WORLD_STEPS_MAX,
                               .take = take,
                               .next = next,
                               .ctx = w};
    w->drive.wall_ms =
        (t->time_ms > 0 ? t->time_ms : WORLD_START_MS) - w->drive.now_ms;
    build_conf(w);
    for (unsigned i = 0; i < t->resource_count; i++)
        if (world_add_resource(w, &t->resources[i]) < 0)
            return fail(f, RC_NO_MEMORY, "no memory for a test");
    TRY(engine_new(&w->arena.mem, &w->conf, random, &w->drive.engine, f));
    return driver_start(&w->drive, &w->seed_policy, f);
}

static void run(struct world *w)
{
    seed(w);
    for (unsigned i = 0; i < w->test->step_count && driver_runs(&w->drive); i++)
        run_step(w, &w->test->steps[i]);
}

/* As they stand in the file. */
static void sort_failures(struct world_result *r)
{
    for (unsigned i = 1; i < r->failure_count; i++)
        for (unsigned k = i;
             k > 0 && r->failures[k].line < r->failures[k - 1].line; k--) {
            struct world_failure t = r->failures[k];
            r->failures[k] = r->failures[k - 1];
            r->failures[k - 1] = t;
        }
}

int policy_world_run(struct mem *m, const struct policy *p,
                     const struct policy_test *test, struct coverage *coverage,
                     struct world_result *ret, struct fail *f)
{
    *ret = (struct world_result){.test = test};
    struct world *w = mem_alloc(mem_system(), sizeof *w);
    if (w == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for a test");
    arena_init(&w->arena, mem_system(), WORLD_BYTES_MAX);
    w->out = m;
    w->policy = p;
    w->test = test;
    w->coverage = coverage;
    w->result = ret;
    buf_init(&w->trace, m, TRACE_BYTES_MAX);
    int rc = build(w, f);
    if (rc == 0)
        run(w);
    ret->steps = w->drive.steps;
    if (!driver_runs(&w->drive))
        world_complain(w, test->line, "%s",
                       w->drive.steps > WORLD_STEPS_MAX
                           ? "the test does not come to rest"
                           : w->drive.stuck);
    sort_failures(ret);
    ret->trace = buf_ok(&w->trace) ? buf_span(&w->trace) : SPAN("");
    engine_free(w->drive.engine);
    arena_fini(&w->arena);
    mem_release(mem_system(), w);
    return rc;
}

static int complain_of(const struct world_result *r, struct fail *f)
{
    const struct world_failure *first = &r->failures[0];
    if (first->expected.n == 0)
        return fail(f, RC_CONFIG, "line %u: test '%.*s' fails: %.*s",
                    first->line, PRSPAN(r->test->name), PRSPAN(first->what));
    return fail(f, RC_CONFIG,
                "line %u: test '%.*s' fails: %.*s is %.*s, not %.*s",
                first->line, PRSPAN(r->test->name), PRSPAN(first->what),
                PRSPAN(first->got), PRSPAN(first->expected));
}

int policy_world_check(const struct policy *p, unsigned *ret_passed,
                       struct fail *f)
{
    struct world_result *r = mem_alloc(mem_system(), sizeof *r);
    struct arena texts;
    unsigned steps = 0;
    int rc = r == NULL ? fail(f, RC_NO_MEMORY, "no memory for tests") : 0;
    *ret_passed = 0;
    arena_init(&texts, mem_system(), WORLD_BYTES_MAX);
    for (unsigned i = 0; rc == 0 && i < p->test_count; i++) {
        arena_clear(&texts);
        rc = policy_world_run(&texts.mem, p, &p->tests[i], NULL, r, f);
        steps += r->steps;
        if (rc == 0 && r->failure_count > 0)
            rc = complain_of(r, f);
        else if (rc == 0 && steps > WORLD_STEPS_CHECK_MAX)
            rc = fail(f, RC_CONFIG,
                      "the tests take more than %d steps together: move some "
                      "to a file of kind PolicyTest",
                      WORLD_STEPS_CHECK_MAX);
        *ret_passed += rc == 0;
    }
    arena_fini(&texts);
    mem_release(mem_system(), r);
    return rc;
}
