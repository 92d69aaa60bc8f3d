// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/world.h"

#include <stdio.h>
#include <string.h>

#include "adapters/json_doc.h"
#include "sidecar/base/hash.h"
#include "sidecar/config/yaml_doc.h"

#define POLICY_HEAD "apiVersion: bailiff/v1\nkind: Policy\n"
#define WALL_START INT64_C(1800000000000)

/* The next free place; none left means that the test is too long. */
static unsigned slot(unsigned *count)
{
    must(*count < WORLD_ITEMS_MAX);
    return (*count)++;
}

#define SLOT(w, items, count) (&(w)->items[slot(&(w)->count)])

uint64_t world_random(struct world *w)
{
    w->seed ^= w->seed << 13;
    w->seed ^= w->seed >> 7;
    w->seed ^= w->seed << 17;
    return w->seed;
}

static struct span copy(struct world *w, struct span s)
{
    struct span c = {mem_copy(&w->arena.mem, s), s.n};
    must(c.p != NULL);
    return c;
}

static struct names copy_names(struct world *w, struct names n)
{
    struct span *at = mem_array(&w->arena.mem, n.count, sizeof *at);
    must(at != NULL);
    for (unsigned i = 0; i < n.count; i++)
        at[i] = copy(w, n.at[i]);
    return (struct names){at, n.count};
}

struct span world_text(struct world *w, const char *fmt, ...)
{
    char text[16384];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    must(n >= 0 && (size_t)n < sizeof text);
    return copy(w, span_of(text, (size_t)n));
}

/* ------------------------------------------------------------- life cycle */

const struct policy *world_policy(struct world *w, const char *yaml)
{
    struct fail f = {0};
    const struct doc *root = NULL;
    const struct policy *p = NULL;
    struct policy_notes *notes = mem_alloc(&w->arena.mem, sizeof *notes);
    must(notes != NULL);
    if (yaml != NULL) {
        struct span text = world_text(w, "%s%s", POLICY_HEAD, yaml);
        CHECK_OK(yaml_doc_parse(&w->arena.mem, text, POLICY_FILE_BYTES_MAX,
                                &root, notes, &f),
                 &f);
    }
    int rc = policy_load(&w->arena.mem, root, &p, notes, &f);
    if (rc < 0)
        print_error("policy line %u: %s\n", notes->at[0].line,
                    notes->at[0].text);
    CHECK_INT(rc, 0);
    return p;
}

static void configure(struct world *w)
{
    struct span *all = w->patterns;
    all[0] = SPAN("/Agents/*");
    all[1] = SPAN("/Users/*");
    all[2] = SPAN("/Agents/1");
    struct engine_conf *c = &w->conf;
    c->bases[0] = (struct engine_base){.url = SPAN(WORLD_BASE),
                                       .agent_segment = SPAN("Agents"),
                                       .user_segment = SPAN("Users"),
                                       .group_segment = SPAN("Groups")};
    c->base_count = 1;
    c->feeds[0] =
        (struct engine_feed){SPAN("hr"), SPAN("https://idp.example"), 0};
    c->feeds[1] =
        (struct engine_feed){SPAN("it"), SPAN("https://it.example"), 0};
    c->feed_count = 2;
    c->callers[0] = (struct engine_caller){SPAN("app"), 0, {all, 2}, true};
    c->callers[1] = (struct engine_caller){SPAN("one"), 0, {all + 2, 1}, false};
    c->callers[2] = (struct engine_caller){SPAN("rt2"), 0, {all, 2}, true};
    c->caller_count = 3;
    c->served_runtimes[0] = SPAN("served");
    c->served_runtime_count = 1;
    c->limits = (struct engine_limits){.subjects_max = 1000,
                                       .calls_max = 1000,
                                       .parked_max = 64,
                                       .parked_per_agent = 8,
                                       .jobs_max = 200,
                                       .jtis_max = 10000,
                                       .credentials_max = 100,
                                       .holds_max = 1000,
                                       .lease_ms = 30000,
                                       .log_stall_ms = 1000,
                                       .jti_keep_ms = 3600000};
}

static void drain(struct world *w, const struct in *in);

struct world *world_open_in(struct mem *m, const char *policy)
{
    struct world *w = mem_alloc(mem_system(), sizeof *w);
    must(w != NULL);
    w->mem = m;
    arena_init(&w->arena, mem_system(), (size_t)1 << 30);
    configure(w);
    w->policy = world_policy(w, policy);
    w->now = 1000000;
    w->wall = WALL_START;
    w->seed = 88172645463325252u;
    w->auto_store = w->auto_log = true;
    for (size_t i = 0; i < sizeof w->random; i++)
        w->random[i] = (unsigned char)(i * 7 + 1);
    if (world_restart(w) < 0) {
        world_close(w);
        return NULL;
    }
    return w;
}

struct world *world_open(const char *policy)
{
    struct world *w = world_open_in(mem_system(), policy);
    CHECK(w != NULL);
    return w;
}

void world_close(struct world *w)
{
    engine_free(w->e);
    arena_fini(&w->arena);
    mem_release(mem_system(), w);
}

static int load_rows(struct world *w)
{
    struct fail f = {0};
    for (unsigned i = 0; i < w->committed; i++) {
        struct journal_body body;
        struct fact fact;
        int got;
        CHECK_OK(journal_read_body(w->rows[i].body, &body, &f), &f);
        while ((got = journal_next_fact(&body.facts, &fact, &f)) == 1)
            TRY(engine_load_fact(w->e, &fact, &f));
        CHECK_INT(got, 0);
    }
    return 0;
}

int world_restart(struct world *w)
{
    struct fail f = {0};
    engine_free(w->e);
    w->e = NULL;
    w->row_count = w->committed;
    w->read_count = w->job_count = 0;
    w->ticket = w->logged = 0;
    for (unsigned i = 0; i < w->ask_count; i++)
        w->asks[i].answered = true; /* who asked is told by the transport */
    for (unsigned i = 0; i < w->token_count; i++)
        if (!w->tokens[i].acked)
            w->tokens[i].rc = RC_CANCELLED; /* its row may be lost */
    uint64_t last = w->committed == 0 ? 0 : w->rows[w->committed - 1].seq;
    TRY(engine_new(w->mem, &w->conf, w->random, &w->e, &f));
    TRY(load_rows(w));
    TRY(engine_loaded(w->e, last, &f));
    for (unsigned k = 0; k < SIGNED_KIND_COUNT; k++)
        engine_accept(w->e, (enum signed_kind)k, &w->accepts[k]);
    w->rc = engine_start(w->e, last, w->policy, w->now, w->wall, &f);
    const struct in none = {.kind = IN_TICK};
    drain(w, &none);
    if (w->rc == 0) {
        if (w->auto_store)
            world_commit(w);
        world_check(w);
    }
    return w->rc;
}

/* ---------------------------------------------------------------- effects */

static struct world_ask *find_ask(const struct world *w, uint64_t token)
{
    for (unsigned i = w->ask_count; i > 0; i--)
        if (w->asks[i - 1].token == token)
            return (struct world_ask *)(uintptr_t)&w->asks[i - 1];
    return NULL;
}

static bool committed(const struct world *w, uint64_t seq)
{
    return w->committed > 0 && seq <= w->rows[w->committed - 1].seq;
}

static void take_row(struct world *w, const struct out *o)
{
    uint64_t last = w->row_count == 0 ? 0 : w->rows[w->row_count - 1].seq;
    CHECK_UINT(o->journal.seq, last + 1); /* no holes */
    *SLOT(w, rows, row_count) =
        (struct world_row){o->journal.seq, copy(w, o->journal.body)};
}

/* I1: an acknowledgement has a stored row. */
static void take_ack(struct world *w, const struct out *o)
{
    bool found = false;
    for (unsigned i = 0; i < w->token_count; i++) {
        struct world_token *t = &w->tokens[i];
        if (t->token != o->ack.token)
            continue;
        found = true;
        CHECK(!t->acked); /* once */
        CHECK_INT(t->rc, 0);
        CHECK(t->seq != 0 && committed(w, t->seq));
        t->acked = true;
    }
    CHECK(found);
}

/* I3: an allow is right in the very state it leaves in. I6: its record was
 * written before. */
static void take_answer(struct world *w, const struct out *o)
{
    struct world_ask *a = find_ask(w, o->answer.token);
    must(a != NULL);
    CHECK(!a->answered); /* once */
    a->answered = true;
    a->answer = o->answer;
    a->answer.rule = copy(w, o->answer.rule);
    if (!o->answer.allow)
        return;
    struct subject *s = subject_find(&w->e->subjects, SPAN(WORLD_BASE), a->uri);
    struct decision d;
    CHECK(s != NULL);
    decide(w->e, s, a->tool, a->run_id, &d);
    CHECK_INT(d.verdict, VERDICT_ALLOW);
    CHECK_UINT(o->answer.epoch, d.epoch);
    char id[40];
    (void)snprintf(id, sizeof id, "\"decision_id\":\"%016llx\"",
                   (unsigned long long)o->answer.decision);
    CHECK_UINT(world_records(w, id, "\"allow\""), 1);
    CHECK(!a->begin || o->answer.lease != 0);
}

static void take_log(struct world *w, const struct out *o)
{
    CHECK_UINT(o->log.ticket, w->ticket + 1); /* in order, none missing */
    w->ticket = o->log.ticket;
    CHECK(o->log.tail.n > 2 && o->log.tail.p[o->log.tail.n - 1] == '}');
    *SLOT(w, tails, tail_count) = copy(w, o->log.tail);
}

static void take_job(struct world *w, const struct out *o)
{
    struct out_job *j = SLOT(w, jobs, job_count);
    const struct job *own = job_find(&w->e->jobs, o->job.job_id);
    *j = o->job;
    w->jobs_started++;
    CHECK(own != NULL && committed(w, own->row == 0 ? 1 : own->row));
    j->call_ids = copy_names(w, o->job.call_ids);
    j->purge = copy_names(w, o->job.purge);
    j->key = copy(w, o->job.key);
    j->runtime = copy(w, o->job.runtime);
    j->sealed = copy(w, o->job.sealed);
    j->credential_id = copy(w, o->job.credential_id);
    j->rule = copy(w, o->job.rule);
    j->uri = copy(w, o->job.uri);
    j->issuer = copy(w, o->job.issuer);
    for (unsigned i = 0; i < j->label_count; i++) {
        j->labels[i].name = copy(w, o->job.labels[i].name);
        j->labels[i].value = copy(w, o->job.labels[i].value);
    }
}

static void take_read(struct world *w, const struct out *o)
{
    CHECK(o->read.timeout_ms > 0);
    /* One in flight for a subject, unless the other was lost. */
    for (unsigned i = 0; i < w->read_count; i++) {
        if (!span_eq(w->reads[i].uri, o->read.uri))
            continue;
        CHECK(w->now >= w->reads[i].timeout_ms);
        w->reads[i] = w->reads[--w->read_count];
    }
    struct out_read *r = SLOT(w, reads, read_count);
    *r = o->read;
    r->timeout_ms = w->now + 2 * o->read.timeout_ms; /* given up then */
    r->uri = copy(w, o->read.uri);
    r->if_none_match = copy(w, o->read.if_none_match);
    r->attributes = copy_names(w, o->read.attributes);
    w->reads_started++;
}

static void take_directive(struct world *w, const struct out *o)
{
    struct out_directive *d = SLOT(w, directives, directive_count);
    *d = o->directive;
    d->uri = copy(w, d->uri);
    d->call_ids = copy_names(w, d->call_ids);
    d->purge = copy_names(w, d->purge);
}

static void drain(struct world *w, const struct in *in)
{
    struct out o;
    (void)in;
    while (engine_next(w->e, &o)) {
        switch (o.kind) {
            case OUT_JOURNAL: take_row(w, &o); break;
            case OUT_LOG: take_log(w, &o); break;
            case OUT_ACK: take_ack(w, &o); break;
            case OUT_ANSWER: take_answer(w, &o); break;
            case OUT_LEASE:
                *SLOT(w, leases, lease_count) = (struct world_lease){
                    o.lease.token, o.lease.found, o.lease.stop, o.lease.reason};
                break;
            case OUT_DONE:
                *SLOT(w, dones, done_count) =
                    (struct world_done){o.done.token, o.done.rc};
                break;
            case OUT_DIRECTIVE: take_directive(w, &o); break;
            case OUT_SNAPSHOT_END: w->snapshots++; break;
            case OUT_READ: take_read(w, &o); break;
            case OUT_JOB: take_job(w, &o); break;
        }
    }
}

static int one_step(struct world *w, struct in in)
{
    in.now_ms = w->now;
    in.wall_ms = w->wall;
    in.random = world_random(w);
    w->rc = engine_step(w->e, &in);
    CHECK(w->rc == 0 || w->failing || w->rc == RC_LIMIT);
    return w->rc;
}

void world_commit(struct world *w)
{
    if (w->committed == w->row_count)
        return;
    w->committed = w->row_count;
    const struct in in = {.kind = IN_STORED,
                          .stored_upto = w->rows[w->committed - 1].seq};
    (void)one_step(w, in);
    drain(w, &in);
    world_check(w);
}

void world_log(struct world *w)
{
    if (w->logged == w->ticket)
        return;
    w->logged = w->ticket;
    const struct in in = {.kind = IN_LOGGED, .logged_upto = w->ticket};
    (void)one_step(w, in);
    drain(w, &in);
    world_check(w);
}

static void note_token(struct world *w, const struct in *in, unsigned rows,
                       int rc)
{
    uint64_t token = in->kind == IN_EVENT        ? in->event.token
                     : in->kind == IN_CREDENTIAL ? in->credential.token
                                                 : in->kind == IN_OPERATOR
                         ? in->operator.token : 0;
    if (token == 0)
        return;
    struct world_token *t = SLOT(w, tokens, token_count);
    *t = (struct world_token){.token = token, .rc = rc};
    if (in->kind == IN_EVENT)
        t->h = hash_span(&(struct hash_key){1, 2}, in->event.event->jti) ^
               hash_span(&(struct hash_key){3, 4}, in->event.event->feed);
    /* A row of its own, or (a duplicate) the row of the first. */
    struct out o;
    struct engine *e = w->e;
    for (size_t i = 0; i < e->out_count; i++) {
        o = e->outs[i];
        if (o.kind == OUT_JOURNAL)
            t->seq = o.journal.seq;
    }
    (void)rows;
    for (unsigned i = 0; t->seq == 0 && i + 1 < w->token_count; i++)
        if (w->tokens[i].h == t->h && w->tokens[i].rc == 0)
            t->seq = w->tokens[i].seq;
}

int world_step(struct world *w, struct in in)
{
    unsigned rows = w->row_count;
    int rc = one_step(w, in);
    note_token(w, &in, rows, rc);
    drain(w, &in);
    world_check(w);
    for (unsigned i = 0; i < 16 && (w->auto_store || w->auto_log); i++) {
        if (w->auto_store)
            world_commit(w);
        if (w->auto_log)
            world_log(w);
    }
    w->rc = rc;
    return rc;
}

/* In steps to each wake-up, so that nothing due is missed. */
void world_pass(struct world *w, int64_t ms)
{
    int64_t end = w->now + ms;
    for (unsigned i = 0; i < 10000; i++) {
        int64_t wake = engine_wake_ms(w->e);
        bool due = wake <= end;
        int64_t to = due ? (wake > w->now ? wake : w->now) : end;
        w->wall += to - w->now;
        w->now = to;
        if (!due)
            return;
        (void)world_step(w, (struct in){.kind = IN_TICK});
        if (engine_wake_ms(w->e) <= w->now && w->now >= end)
            return;
        must(i < 9999 && "the engine spins");
    }
}

/* ----------------------------------------------------------------- inputs */

static struct attr_path *one_path(struct world *w, const char *attr)
{
    struct attr_path *p = mem_alloc(&w->arena.mem, sizeof *p);
    must(p != NULL);
    p->attr = span_str(attr);
    return p;
}

static const struct doc *json(struct world *w, const char *text)
{
    const struct doc *d = NULL;
    struct fail f = {0};
    CHECK_OK(json_doc_parse(&w->arena.mem, span_str(text), 1 << 20, &d, &f),
             &f);
    return d;
}

static void fill_part(struct world *w, const struct world_event *ev,
                      struct event_part *p)
{
    struct span *members = mem_array(&w->arena.mem, 4, sizeof *members);
    must(members != NULL);
    p->type = ev->type;
    p->uri = span_str(event_type_uri(ev->type));
    p->version = span_str(ev->version == NULL ? "" : ev->version);
    p->changed_anything = ev->changed == NULL;
    if (ev->changed != NULL) {
        p->changed = one_path(w, ev->changed);
        p->changed_count = 1;
    }
    if (ev->data != NULL)
        p->payload = json(w, ev->data);
    for (unsigned i = 0; i < 4 && ev->members[i] != NULL; i++)
        members[p->member_count++] = span_str(ev->members[i]);
    p->members = members;
}

static enum subject_kind kind_of(const char *uri)
{
    return uri[1] == 'G'   ? SUBJECT_GROUP
           : uri[1] == 'U' ? SUBJECT_USER
                           : SUBJECT_AGENT;
}

uint64_t world_event(struct world *w, struct world_event ev)
{
    struct event *e = mem_alloc(&w->arena.mem, sizeof *e);
    must(e != NULL);
    e->feed = span_str(ev.feed == NULL ? "hr" : ev.feed);
    e->issuer = SPAN("https://idp.example");
    e->jti = span_str(ev.jti);
    e->iat_ms = w->wall;
    e->toe_ms = ev.toe == 0 ? EVENT_TIME_NONE : ev.toe;
    e->payload_hash[7] = (unsigned char)(ev.payload + 1);
    e->payload_hash[0] = (unsigned char)ev.type;
    if (ev.status != NULL)
        e->stream_status = span_str(ev.status);
    if (ev.uri != NULL) {
        e->has_subject = true;
        e->base = SPAN(WORLD_BASE);
        e->uri = span_str(ev.uri);
        e->kind = kind_of(ev.uri);
    }
    fill_part(w, &ev, &e->parts[0]);
    e->part_count = 1;
    struct in in = {.kind = ev.dirty ? IN_EVENT_DIRTY : IN_EVENT};
    in.event.token = ev.dirty ? 0 : ++w->next_token;
    in.event.event = e;
    (void)world_step(w, in);
    return in.event.token;
}

bool world_acked(const struct world *w, uint64_t token)
{
    for (unsigned i = 0; i < w->token_count; i++)
        if (w->tokens[i].token == token)
            return w->tokens[i].acked;
    return false;
}

static uint64_t ask(struct world *w, struct in_ask q, bool begin)
{
    struct world_ask *a = SLOT(w, asks, ask_count);
    q.token = ++w->next_token;
    *a = (struct world_ask){.token = q.token,
                            .uri = q.uri,
                            .tool = q.tool,
                            .run_id = q.run_id,
                            .begin = begin};
    struct in in = {.kind = begin ? IN_BEGIN : IN_ASK};
    in.ask = q;
    if (world_step(w, in) < 0 && !a->answered) {
        a->answered = true; /* the shell refuses it itself */
        a->answer.reason = REASON_LIMIT_REACHED;
    }
    return q.token;
}

uint64_t world_ask_as(struct world *w, unsigned caller, const char *uri,
                      const char *tool, int64_t deadline_ms)
{
    return ask(w,
               (struct in_ask){.caller = caller,
                               .base = -1,
                               .uri = span_str(uri),
                               .tool = span_str(tool),
                               .deadline_ms = deadline_ms},
               false);
}

uint64_t world_ask(struct world *w, const char *uri, const char *tool)
{
    return world_ask_as(w, 0, uri, tool, INT64_MAX);
}

uint64_t world_ask_in(struct world *w, const char *run, const char *uri,
                      const char *tool)
{
    return ask(w,
               (struct in_ask){.base = -1,
                               .uri = span_str(uri),
                               .tool = span_str(tool),
                               .run_id = span_str(run),
                               .deadline_ms = INT64_MAX},
               false);
}

uint64_t world_begin(struct world *w, const char *uri, const char *tool,
                     const char *call_id)
{
    return ask(w,
               (struct in_ask){.base = -1,
                               .uri = span_str(uri),
                               .tool = span_str(tool),
                               .run_id = SPAN("run-1"),
                               .deadline_ms = INT64_MAX,
                               .call_id = span_str(call_id),
                               .runtime = SPAN("r1")},
               true);
}

const struct out_answer *world_answer(const struct world *w, uint64_t token)
{
    const struct world_ask *a = find_ask(w, token);
    return a == NULL || !a->answered ? NULL : &a->answer;
}

const char *world_says(const struct world *w, uint64_t token)
{
    const struct out_answer *a = world_answer(w, token);
    if (a == NULL)
        return "wait";
    return a->allow && a->reason == REASON_ALLOWED ? "allow"
                                                   : reason_code(a->reason);
}

const char *world_may(struct world *w, const char *uri, const char *tool)
{
    return world_says(w, world_ask(w, uri, tool));
}

unsigned world_reading(const struct world *w, const char *uri)
{
    unsigned n = 0;
    for (unsigned i = 0; i < w->read_count; i++)
        n += span_eq(w->reads[i].uri, span_str(uri));
    return n;
}

bool world_reply(struct world *w, const char *uri, enum read_result result,
                 const char *etag, const char *text)
{
    unsigned i = 0;
    while (i < w->read_count && !span_eq(w->reads[i].uri, span_str(uri)))
        i++;
    if (i == w->read_count)
        return false;
    struct in in = {.kind = IN_READ_DONE};
    in.read.read_id = w->reads[i].read_id;
    in.read.result = result;
    in.read.etag = span_str(etag == NULL ? "" : etag);
    in.read.resource = text == NULL ? NULL : json(w, text);
    in.read.retry_after_ms = -1;
    in.read.why = result == READ_FAILED ? SPAN("503") : SPAN("");
    w->read_count--;
    memmove(&w->reads[i], &w->reads[i + 1],
            (w->read_count - i) * sizeof w->reads[0]);
    (void)world_step(w, in);
    return true;
}

void world_crowd(struct world *w, unsigned n)
{
    (void)world_hello(w, "r1", "/Agents/0", "");
    for (unsigned i = 0; i < n; i++) {
        const char *uri = (const char *)world_text(w, "/Agents/%u", i).p;
        (void)world_ask(w, uri, "x");
        CHECK(world_reply(w, uri, READ_OK, "e0", IN_GROUP));
        CHECK_STR(world_says(w, world_begin(w, uri, "x", uri + 1)), "allow");
    }
}

const struct out_job *world_job(const struct world *w, enum job_kind kind)
{
    for (unsigned i = 0; i < w->job_count; i++)
        if (w->jobs[i].kind == kind)
            return &w->jobs[i];
    return NULL;
}

void world_job_done(struct world *w, const struct out_job *j,
                    enum job_result result)
{
    unsigned i = (unsigned)(j - w->jobs);
    must(i < w->job_count);
    struct in in = {.kind = IN_JOB_DONE};
    in.job.job_id = j->job_id;
    in.job.attempt = j->attempt;
    in.job.result = result;
    in.job.retry_after_ms = -1;
    in.job.why = result == JOB_DONE_CONFIRMED ? SPAN("") : SPAN("no");
    w->job_count--;
    memmove(&w->jobs[i], &w->jobs[i + 1],
            (w->job_count - i) * sizeof w->jobs[0]);
    (void)world_step(w, in);
}

unsigned world_directives(const struct world *w, enum directive_type type,
                          struct out_directive *ret)
{
    unsigned n = 0;
    for (unsigned i = 0; i < w->directive_count; i++) {
        if (w->directives[i].type != type)
            continue;
        n++;
        if (ret != NULL)
            *ret = w->directives[i];
    }
    return n;
}

uint64_t world_hello(struct world *w, const char *runtime, const char *uri,
                     const char *call_id)
{
    const struct in_live_call live = {.base = -1,
                                      .uri = span_str(uri),
                                      .tool = SPAN("deploy"),
                                      .call_id = span_str(call_id)};
    struct in in = {.kind = IN_HELLO};
    in.hello.watch = ++w->next_token;
    in.hello.runtime = span_str(runtime);
    in.hello.calls = &live;
    in.hello.call_count = call_id[0] == 0 ? 0 : 1;
    in.hello.labels[0].name = SPAN("pod");
    in.hello.labels[0].value = SPAN("pod-7");
    in.hello.label_count = 1;
    (void)world_step(w, in);
    return in.hello.watch;
}

void world_ack(struct world *w, const char *runtime, uint64_t directive,
               const char *call_id, enum call_outcome outcome)
{
    const struct in_call_result result = {span_str(call_id), outcome};
    struct in in = {.kind = IN_ACK};
    in.ack.token = ++w->next_token;
    in.ack.runtime = span_str(runtime);
    in.ack.directive_id =
        world_text(w, "D%016llx", (unsigned long long)directive);
    in.ack.calls = &result;
    in.ack.call_count = call_id[0] == 0 ? 0 : 1;
    in.ack.done = true;
    (void)world_step(w, in);
}

uint64_t world_credential(struct world *w, const char *uri, const char *id,
                          bool refresh)
{
    struct in in = {.kind = IN_CREDENTIAL};
    in.credential.token = ++w->next_token;
    in.credential.base = -1;
    in.credential.uri = span_str(uri);
    in.credential.credential_id = span_str(id);
    in.credential.issuer = SPAN("https://as.example");
    in.credential.runtime = SPAN("r1");
    in.credential.refresh = refresh;
    in.credential.expires_wall_ms = w->expires;
    in.credential.sealed = world_text(w, "sealed-%s", id);
    (void)world_step(w, in);
    return in.credential.token;
}

uint64_t world_operator(struct world *w, enum operator_verb verb,
                        const char *uri, const char *kind, const char *person)
{
    struct in in = {.kind = IN_OPERATOR};
    in.operator.token = ++ w->next_token;
    in.operator.person = SPAN("ann");
    in.operator.reason = SPAN("because");
    in.operator.verb = verb;
    in.operator.uri = span_str(uri);
    in.operator.hold_kind = span_str(kind);
    in.operator.person_resource = person == NULL ? NULL : json(w, person);
    (void)world_step(w, in);
    return in.operator.token;
}

int world_done(const struct world *w, uint64_t token)
{
    for (unsigned i = w->done_count; i > 0; i--)
        if (w->dones[i - 1].token == token)
            return w->dones[i - 1].rc;
    return 1;
}

static bool has(struct span text, const char *needle)
{
    return memmem(text.p, text.n, needle, strlen(needle)) != NULL;
}

unsigned world_records(const struct world *w, const char *a, const char *b)
{
    unsigned n = 0;
    for (unsigned i = 0; i < w->tail_count; i++)
        n += has(w->tails[i], a) && has(w->tails[i], b);
    return n;
}

const struct subject *world_subject(const struct world *w, const char *uri)
{
    return subject_find(&w->e->subjects, SPAN(WORLD_BASE), span_str(uri));
}

unsigned world_holds(const struct world *w, const char *uri)
{
    const struct subject *s = world_subject(w, uri);
    unsigned n = 0;
    if (s == NULL)
        return 0;
    LIST_EACH (k, next, &s->holds)
        n++;
    return n;
}
