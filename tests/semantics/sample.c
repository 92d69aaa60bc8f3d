// SPDX-License-Identifier: Apache-2.0
#include "tests/semantics/sample.h"

#include <stdio.h>
#include <string.h>

#include "adapters/json_doc.h"
#include "sidecar/base/hash.h"
#include "sidecar/config/yaml_doc.h"
#include "sidecar/core/engine_internal.h"

#define BASE "https://idp.example/scim"
#define HEAD "apiVersion: bailiff/v1\nkind: Policy\n"
#define DOCS_MAX 256
#define QUESTIONS_MAX 32
#define START_MS INT64_C(1000000)
#define WALL_MS INT64_C(1800000000000)

struct universe {
    struct arena texts, engine, world;
    struct engine_conf conf;
    struct span all;
    struct {
        const char *text;
        const struct doc *doc;
    } docs[DOCS_MAX];
    unsigned doc_count;
    uint64_t worlds, inputs;
};

#define give_up(...)                                                           \
    do {                                                                       \
        print_error(__VA_ARGS__);                                              \
        print_error("\n");                                                     \
        _fail(__FILE__, __LINE__);                                             \
    } while (0)

/* ---- what worlds are made of ---- */

struct universe *universe_open(void)
{
    struct universe *u = mem_alloc(mem_system(), sizeof *u);
    must(u != NULL);
    arena_init(&u->texts, mem_system(), (size_t)1 << 31);
    arena_init(&u->engine, mem_system(), 1 << 26);
    arena_init(&u->world, mem_system(), 1 << 26);
    u->all = SPAN("*");
    u->conf.bases[0] = (struct engine_base){.url = SPAN(BASE),
                                            .agent_segment = SPAN("Agents"),
                                            .user_segment = SPAN("Users"),
                                            .group_segment = SPAN("Groups")};
    u->conf.base_count = 1;
    u->conf.feeds[0] =
        (struct engine_feed){SPAN("hr"), SPAN("https://idp.example"), 0};
    u->conf.feeds[1] =
        (struct engine_feed){SPAN("it"), SPAN("https://it.example"), 0};
    u->conf.feed_count = 2;
    u->conf.callers[0] =
        (struct engine_caller){SPAN("app"), 0, {&u->all, 1}, true};
    u->conf.caller_count = 1;
    u->conf.limits = (struct engine_limits){.subjects_max = 100,
                                            .calls_max = 10,
                                            .parked_max = 64,
                                            .parked_per_agent = 64,
                                            .jobs_max = 100,
                                            .jtis_max = 100,
                                            .credentials_max = 10,
                                            .holds_max = 100,
                                            .lease_ms = 30000,
                                            .log_stall_ms = 1000,
                                            .jti_keep_ms = 3600000};
    return u;
}

void universe_close(struct universe *u)
{
    arena_fini(&u->texts);
    arena_fini(&u->engine);
    arena_fini(&u->world);
    mem_release(mem_system(), u);
}

void universe_report(struct universe *u, const char *name)
{
    (void)printf("NOTE %s: %llu worlds, %llu inputs\n", name,
                 (unsigned long long)u->worlds, (unsigned long long)u->inputs);
}

const struct sampled *universe_policy(struct universe *u, const char *fmt, ...)
{
    struct sampled *p = mem_alloc(&u->texts.mem, sizeof *p);
    struct policy_notes *notes = mem_alloc(mem_system(), sizeof *notes);
    const struct doc *root = NULL;
    struct fail f = {0};
    va_list ap;
    must(p != NULL && notes != NULL);
    va_start(ap, fmt);
    int n = snprintf(p->text, sizeof p->text, "%s", HEAD);
    (void)vsnprintf(p->text + n, sizeof p->text - (size_t)n, fmt, ap);
    va_end(ap);
    must(strlen(p->text) < sizeof p->text - 1);
    int rc = yaml_doc_parse(&u->texts.mem, span_str(p->text),
                            POLICY_FILE_BYTES_MAX, &root, notes, &f);
    if (rc == 0)
        rc = policy_load(&u->texts.mem, root, &p->policy, notes, &f);
    if (rc < 0 && rc != RC_CONFIG)
        give_up("%s\n%s", p->text, f.text);
    mem_release(mem_system(), notes);
    return rc < 0 ? NULL : p;
}

const struct doc *universe_json(struct universe *u, const char *text)
{
    struct fail f = {0};
    if (text == NULL)
        return NULL;
    for (unsigned i = 0; i < u->doc_count; i++)
        if (u->docs[i].text == text || strcmp(u->docs[i].text, text) == 0)
            return u->docs[i].doc;
    must(u->doc_count < DOCS_MAX);
    u->docs[u->doc_count].text =
        (const char *)mem_copy(&u->texts.mem, span_str(text));
    CHECK_OK(json_doc_parse(&u->texts.mem, span_str(text), 1 << 20,
                            &u->docs[u->doc_count].doc, &f),
             &f);
    return u->docs[u->doc_count++].doc;
}

/* ---- the two lives ---- */

struct read_under_way {
    uint64_t id;
    struct span uri;
    unsigned started_n;
    int64_t started_ms;
};

struct question {
    uint64_t token;
    struct span uri, tool, run;
    struct ref_answer expected;
    bool answered; /* by the engine */
    bool allow;
    enum reason reason;
    struct span rule;
};

struct life {
    struct universe *u;
    const struct policy *next;
    struct engine *e;
    struct ref *ref;
    int64_t now_ms;
    uint64_t random, token, stored, stored_told, logged, logged_told;
    struct read_under_way reads[16];
    unsigned read_count;
    struct question questions[QUESTIONS_MAX];
    unsigned question_count;
    struct lines lines;        /* of the engine, in this input */
    struct lines mine, theirs; /* scratch of a comparison */
    char why[512];             /* they differ: why */
};

static struct span copy(struct life *l, struct span s)
{
    struct span c = {mem_copy(&l->u->world.mem, s), s.n};
    must(c.p != NULL);
    return c;
}

static struct span field(struct span tail, const char *name)
{
    char key[32];
    int n = snprintf(key, sizeof key, "\"%s\":\"", name);
    const unsigned char *at = memmem(tail.p, tail.n, key, (size_t)n);
    if (at == NULL)
        return SPAN("");
    at += n;
    size_t left = tail.n - (size_t)(at - tail.p);
    const unsigned char *end = memchr(at, '"', left);
    return span_of(at, end == NULL ? left : (size_t)(end - at));
}

static bool is(struct span s, const char *word)
{
    return span_eq(s, span_str(word));
}

/* A record, in the words of the reference. */
static void take_record(struct life *l, struct span tail)
{
    const struct span kind = field(tail, "kind"), agent = field(tail, "agent"),
                      rule = field(tail, "rule"),
                      action = field(tail, "action"),
                      outcome = field(tail, "outcome"),
                      hold = field(tail, "hold"),
                      target = field(tail, "target");
    struct lines *to = &l->lines;
    if (is(kind, "verdict"))
        lines_add(to, "%.*s: %.*s %.*s", PRSPAN(agent), PRSPAN(rule),
                  PRSPAN(outcome));
    if (!is(kind, "action"))
        return;
    if (is(outcome, "set"))
        lines_add(to, "%.*s: %.*s sets %.*s", PRSPAN(agent), PRSPAN(rule),
                  PRSPAN(hold));
    else if (is(outcome, "lifted"))
        lines_add(to, "%.*s: %.*s lifts %.*s of %.*s", PRSPAN(agent),
                  PRSPAN(rule.n > 0 ? rule : SPAN("cover")), PRSPAN(hold),
                  PRSPAN(target));
    else if (is(outcome, "started"))
        lines_add(to, "%.*s: %.*s starts %.*s", PRSPAN(agent), PRSPAN(rule),
                  PRSPAN(action));
    else if (is(outcome, "nothing_registered"))
        lines_add(to, "%.*s: %.*s %.*s of nothing", PRSPAN(agent), PRSPAN(rule),
                  PRSPAN(action));
    else if (is(outcome, "would") || is(outcome, "not_permitted"))
        lines_add(to, "%.*s: %.*s %.*s %.*s", PRSPAN(agent), PRSPAN(rule),
                  PRSPAN(outcome), PRSPAN(action));
}

static void take_answer(struct life *l, const struct out_answer *a)
{
    for (unsigned i = 0; i < l->question_count; i++) {
        struct question *q = &l->questions[i];
        if (q->token != a->token)
            continue;
        q->answered = true;
        q->allow = a->allow;
        q->reason = a->reason;
        q->rule = copy(l, a->rule);
    }
}

static void take(struct life *l, const struct out *o)
{
    if (o->kind == OUT_JOURNAL)
        l->stored = o->journal.seq;
    if (o->kind == OUT_ANSWER)
        take_answer(l, &o->answer);
    if (o->kind == OUT_READ) {
        must(l->read_count < COUNT_OF(l->reads));
        l->reads[l->read_count++] = (struct read_under_way){
            o->read.read_id, copy(l, o->read.uri), l->ref->n, l->now_ms};
    }
    if (o->kind == OUT_LOG) {
        l->logged = o->log.ticket;
        take_record(l, o->log.tail);
    }
}

static void engine_does(struct life *l, struct in *in)
{
    struct out o;
    in->now_ms = l->now_ms;
    in->wall_ms = WALL_MS + l->now_ms;
    in->random = ++l->random;
    int rc = engine_step(l->e, in);
    if (rc < 0)
        (void)snprintf(l->why, sizeof l->why, "the engine refuses: %s",
                       rc_word(rc));
    while (engine_next(l->e, &o))
        take(l, &o);
}

/* Store and log keep up. */
static void settle(struct life *l)
{
    while (l->stored_told < l->stored || l->logged_told < l->logged) {
        struct in in = {.kind = IN_STORED};
        if (l->stored_told < l->stored) {
            in.stored_upto = l->stored_told = l->stored;
        } else {
            in.kind = IN_LOGGED;
            in.logged_upto = l->logged_told = l->logged;
        }
        engine_does(l, &in);
    }
}

static bool reading(const struct life *l, struct span uri)
{
    for (unsigned i = 0; i < l->read_count; i++)
        if (span_eq(l->reads[i].uri, uri))
            return true;
    return false;
}

/* ---- one input ---- */

static struct doc *put(struct life *l, struct doc *to, const char *key,
                       const struct doc *value)
{
    struct doc *d = value == NULL ? NULL : doc_copy(&l->u->world.mem, value);
    if (d != NULL) {
        d->key = span_str(key);
        doc_append(to, d);
    }
    return to;
}

static void fill_part(struct life *l, const struct input *in,
                      struct event_part *part)
{
    struct attr_path *path = mem_alloc(&l->u->world.mem, sizeof *path);
    struct span *member = mem_alloc(&l->u->world.mem, sizeof *member);
    struct doc *payload = doc_new(&l->u->world.mem, DOC_MAP);
    struct doc reason = {.kind = DOC_TEXT};
    must(path != NULL && member != NULL && payload != NULL);
    part->type = in->type;
    part->uri = span_str(event_type_uri(in->type));
    part->version = span_str(in->version == NULL ? "" : in->version);
    part->changed_anything = in->changed == NULL;
    if (in->changed != NULL) {
        path->attr = span_str(in->changed);
        part->changed = path;
        part->changed_count = 1;
    }
    if (in->reason != NULL) {
        reason.text = span_str(in->reason);
        (void)put(l, payload, "reason", &reason);
    }
    part->payload = put(l, payload, "data", universe_json(l->u, in->data));
    if (in->member != NULL) {
        *member = span_str(in->member);
        part->members = member;
        part->member_count = 1;
    }
}

static void say(struct life *l, const struct input *input)
{
    struct event *ev = mem_alloc(&l->u->world.mem, sizeof *ev);
    struct in in = {.kind = IN_EVENT};
    must(ev != NULL);
    ev->feed = span_str(input->feed == NULL ? "it" : input->feed);
    ev->issuer = SPAN("https://idp.example");
    ev->jti = span_str(input->jti == NULL ? event_type_name(input->type)
                                          : input->jti);
    ev->has_subject = true;
    ev->base = SPAN(BASE);
    ev->uri = span_str(input->uri);
    ev->kind = input->uri[1] == 'G'   ? SUBJECT_GROUP
               : input->uri[1] == 'U' ? SUBJECT_USER
                                      : SUBJECT_AGENT;
    ev->iat_ms = WALL_MS;
    ev->toe_ms = EVENT_TIME_NONE;
    ev->payload_hash[7] = (unsigned char)(input->payload + 1);
    fill_part(l, input, &ev->parts[0]);
    ev->part_count = 1;
    in.event.token = ++l->token;
    in.event.event = ev;
    engine_does(l, &in);
    ref_statement(l->ref, ev, input->payload);
}

static void read_back(struct life *l, const struct input *input)
{
    struct ref_read read = {
        .uri = span_str(input->uri),
        .etag = span_str(input->etag == NULL ? "" : input->etag),
        .result = input->result};
    struct in in = {.kind = IN_READ_DONE};
    unsigned i = 0;
    while (i < l->read_count && !span_eq(l->reads[i].uri, read.uri))
        i++;
    if (i == l->read_count)
        return; /* nothing was asked of the server */
    read.started_n = l->reads[i].started_n;
    read.started_ms = l->reads[i].started_ms;
    in.read.read_id = l->reads[i].id;
    l->reads[i] = l->reads[--l->read_count];
    in.read.result = input->result;
    in.read.etag = read.etag;
    in.read.resource = read.resource = universe_json(l->u, input->json);
    in.read.retry_after_ms = -1;
    in.read.why = SPAN("503");
    engine_does(l, &in);
    ref_read(l->ref, &read);
}

static void person_does(struct life *l, const struct input *input)
{
    static const enum operator_verb verbs[] = {
        OP_HOLD_ADD, OP_HOLD_LIFT, OP_REVIEW_APPROVE, OP_REVIEW_DENY};
    struct in in = {.kind = IN_OPERATOR};
    in.operator.token = ++ l->token;
    in.operator.person = SPAN("ann");
    in.operator.reason = SPAN("because");
    in.operator.verb = verbs[input->what - HOLD];
    in.operator.uri = span_str(input->uri);
    in.operator.person_resource = universe_json(
        l->u, input->json == NULL ? "{\"groups\":[{\"value\":\"judges\"}]}"
                                  : input->json);
    engine_does(l, &in);
    ref_person(l->ref, in.operator.verb, in.operator.uri,
               in.operator.person_resource);
}

static void ask(struct life *l, struct span uri, struct span tool,
                struct span run)
{
    must(l->question_count < QUESTIONS_MAX);
    struct question *q = &l->questions[l->question_count++];
    struct in in = {.kind = IN_ASK};
    (void)ref_subject(l->ref, uri);
    *q = (struct question){
        .token = ++l->token, .uri = uri, .tool = tool, .run = run};
    q->expected = ref_ask(l->ref, uri, tool, run, reading(l, uri));
    in.ask = (struct in_ask){.token = q->token,
                             .base = -1,
                             .uri = uri,
                             .tool = tool,
                             .run_id = run,
                             .deadline_ms = INT64_MAX};
    engine_does(l, &in);
}

/* In steps to each moment at which the engine wants to run. */
static void pass(struct life *l)
{
    const int64_t end = l->now_ms + PASS_MS;
    for (unsigned i = 0; i < 1000; i++) {
        const int64_t wake = engine_wake_ms(l->e);
        struct in in = {.kind = IN_TICK};
        l->now_ms = wake > end ? end : wake > l->now_ms ? wake : l->now_ms;
        if (wake > end)
            break;
        l->ref->now_ms = l->now_ms;
        engine_does(l, &in);
        settle(l);
        if (l->now_ms == end && engine_wake_ms(l->e) <= end)
            break;
    }
    l->ref->now_ms = l->now_ms;
    ref_time(l->ref);
}

static void live_input(struct life *l, const struct input *input)
{
    struct in in = {.kind = IN_POLICY};
    ref_next(l->ref, l->now_ms);
    l->lines.count = 0;
    switch (input->what) {
        case SAY: say(l, input); break;
        case READ: read_back(l, input); break;
        case ASK:
            ask(l, span_str(input->uri), span_str(input->tool),
                span_str(input->run == NULL ? "" : input->run));
            break;
        case PASS: pass(l); break;
        case HOLD:
        case LIFT:
        case APPROVE:
        case DENY: person_does(l, input); break;
        case RELOAD:
            in.policy.policy = l->next;
            engine_does(l, &in);
            ref_reload(l->ref, l->next);
            break;
    }
    settle(l);
}

/* ---- comparing ---- */

static void put_lines(char *to, size_t n, const struct lines *a)
{
    size_t at = 0;
    to[0] = 0;
    for (unsigned i = 0; i < a->count && at + 2 < n; i++)
        at += (size_t)snprintf(to + at, n - at, "%s%s", i == 0 ? "" : "; ",
                               a->at[i]);
}

static void compare_lines(struct life *l, const char *what,
                          struct lines *engine, struct lines *ref)
{
    char a[200], b[200];
    lines_sort(engine);
    lines_sort(ref);
    if (lines_equal(engine, ref) || l->why[0] != 0)
        return;
    put_lines(a, sizeof a, engine);
    put_lines(b, sizeof b, ref);
    (void)snprintf(l->why, sizeof l->why,
                   "%s\n    engine     %s\n    reference  %s", what, a, b);
}

static void engine_holds(const struct life *l, struct lines *to)
{
    struct map_link *k = NULL;
    while ((k = map_next(&l->e->subjects.by_key, k)) != NULL) {
        const struct subject *s = container_of(k, struct subject, link);
        LIST_EACH (at, next, &s->holds) {
            const struct hold *h = container_of(at, struct hold, link);
            lines_add(to, "%.*s: held %s by %s%s", PRSPAN(s->uri),
                      hold_kind_word(h->kind), (const char *)h->rule,
                      h->operator_only ? " for operators" : "");
        }
    }
}

static void say_answer(struct lines *to, const struct question *q, bool waits,
                       bool allow, enum reason reason)
{
    lines_add(to, "%.*s %.*s: %s", PRSPAN(q->uri), PRSPAN(q->tool),
              waits   ? "wait"
              : allow ? "allow"
                      : reason_code(reason));
}

static void compare_answer(struct life *l, const struct question *q)
{
    const struct ref_answer *a = &q->expected;
    bool named = a->name_count == 0 && q->rule.n == 0;
    l->mine.count = l->theirs.count = 0;
    say_answer(&l->mine, q, !q->answered, q->allow, q->reason);
    say_answer(&l->theirs, q, a->says == SAYS_WAIT, a->says == SAYS_ALLOW,
               a->reason);
    compare_lines(l, "the gate's answer", &l->mine, &l->theirs);
    for (unsigned i = 0; i < a->name_count; i++)
        named = named || span_eq(a->names[i], q->rule);
    if (q->answered && !named && l->why[0] == 0)
        (void)snprintf(l->why, sizeof l->why, "the gate names the rule '%.*s'",
                       PRSPAN(q->rule));
}

/* Questions that still wait are decided again by what has happened. */
static void compare_answers(struct life *l, const struct input *input)
{
    for (unsigned i = 0; i < l->question_count; i++) {
        struct question *q = &l->questions[i];
        const bool now = input->what == ASK && i + 1 == l->question_count;
        const bool came_back =
            input->what == READ && span_eq(span_str(input->uri), q->uri);
        if (!now && q->expected.says != SAYS_WAIT)
            continue;
        if (!now)
            q->expected = ref_ask(l->ref, q->uri, q->tool, q->run,
                                  !came_back && reading(l, q->uri));
        compare_answer(l, q);
    }
}

static void compare(struct life *l, const struct input *input)
{
    l->mine.count = l->theirs.count = 0;
    compare_lines(l, "what followed", &l->lines, &l->ref->lines);
    engine_holds(l, &l->mine);
    ref_show_holds(l->ref, &l->theirs);
    compare_lines(l, "holds", &l->mine, &l->theirs);
    compare_answers(l, input);
}

/* ---- whole worlds ---- */

static const char *const agents[] = {A1, A2};
static const char *const tools[] = {"pay.send", "kb.read"};

static void end_with(struct life *l, struct ending *ret)
{
    for (unsigned i = 0; i < 4 && l->why[0] == 0; i++) {
        const struct input in = {
            .what = ASK, .uri = agents[i / 2], .tool = tools[i % 2]};
        live_input(l, &in);
        compare(l, &in);
        if (ret == NULL)
            continue;
        const struct question *q = &l->questions[l->question_count - 1];
        say_answer(&ret->says, q, !q->answered, q->allow, q->reason);
    }
    if (ret != NULL)
        engine_holds(l, &ret->holds);
}

/* True when both lives were the same; else `why` says what differed. */
static bool live(struct universe *u, const struct sampled *p,
                 const struct sampled *next, const struct input *in,
                 unsigned count, struct ending *ret, char *why, size_t why_n)
{
    static const unsigned char random[32] = {7, 1, 4};
    struct life *l = mem_alloc(&u->world.mem, sizeof *l);
    struct ref *ref = mem_alloc(&u->world.mem, sizeof *ref);
    struct fail f = {0};
    must(l != NULL && ref != NULL);
    *l = (struct life){.u = u, .ref = ref, .now_ms = START_MS};
    l->next = next == NULL ? NULL : next->policy;
    ref_init(ref, &u->world.mem, p->policy, START_MS);
    must(engine_new(&u->engine.mem, &u->conf, random, &l->e, &f) == 0 &&
         engine_start(l->e, 0, p->policy, START_MS, WALL_MS + START_MS, &f) ==
             0);
    struct out o;
    while (engine_next(l->e, &o))
        take(l, &o);
    settle(l);
    if (ret != NULL)
        *ret = (struct ending){.holds = {.count = 0}};
    for (unsigned i = 0; i < count && l->why[0] == 0; i++) {
        live_input(l, &in[i]);
        compare(l, &in[i]);
    }
    end_with(l, ret);
    u->worlds++;
    u->inputs += count;
    const bool same = l->why[0] == 0;
    (void)snprintf(why, why_n, "%s", l->why);
    engine_free(l->e);
    arena_clear(&u->engine);
    arena_clear(&u->world);
    return same;
}

/* ---- telling people ---- */

static const char *const whats[] = {"event", "read",    "ask",  "time",  "hold",
                                    "lift",  "approve", "deny", "reload"};

static void print_member(const char *name, const char *value)
{
    if (value != NULL)
        print_error(" %s=%s", name, value);
}

static void print_input(const struct input *in)
{
    static const char *const results[] = {"ok", "not_modified", "gone",
                                          "failed"};
    print_error("    %s", whats[in->what]);
    if (in->what == SAY)
        print_error(" %s", event_type_name(in->type));
    if (in->what == READ)
        print_error(" %s", results[in->result]);
    print_member("of", in->uri);
    print_member("feed", in->feed);
    print_member("jti", in->jti);
    print_member("changed", in->changed);
    print_member("data", in->data);
    print_member("reason", in->reason);
    print_member("version", in->version);
    print_member("member", in->member);
    print_member("etag", in->etag);
    print_member("resource", in->json);
    print_member("tool", in->tool);
    print_member("run", in->run);
    if (in->payload > 0)
        print_error(" payload=%u", in->payload);
    print_error("\n");
}

static void print_world(const struct sampled *p, const struct sampled *next,
                        const struct input *in, unsigned count)
{
    print_error("policy:\n%s\n", p->text);
    if (next != NULL)
        print_error("reloaded to:\n%s\n", next->text);
    print_error("inputs:\n");
    for (unsigned i = 0; i < count; i++)
        print_input(&in[i]);
}

void sample_fail(const struct sampled *p, const struct input *in,
                 unsigned count, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    print_world(p, NULL, in, count);
    give_up("%s", text);
}

/* Leaves out inputs as long as the two still differ. */
static unsigned shrink(struct universe *u, const struct sampled *p,
                       const struct sampled *next, struct input *in,
                       unsigned count, char *why, size_t why_n)
{
    char text[512];
    for (unsigned i = 0; i < count;) {
        struct input less[INPUTS_MAX];
        memcpy(less, in, count * sizeof *in);
        memmove(&less[i], &less[i + 1], (count - i - 1) * sizeof *in);
        if (live(u, p, next, less, count - 1, NULL, text, sizeof text)) {
            i++;
            continue;
        }
        memcpy(in, less, --count * sizeof *in);
        (void)snprintf(why, why_n, "%s", text);
        i = 0;
    }
    return count;
}

void sample_reload(struct universe *u, const struct sampled *p,
                   const struct sampled *next, const struct input *in,
                   unsigned count, struct ending *ret)
{
    char why[512];
    struct input least[INPUTS_MAX];
    must(count <= INPUTS_MAX);
    if (live(u, p, next, in, count, ret, why, sizeof why))
        return;
    memcpy(least, in, count * sizeof *in);
    count = shrink(u, p, next, least, count, why, sizeof why);
    print_world(p, next, least, count);
    give_up("engine and reference differ in %s", why);
}

void sample(struct universe *u, const struct sampled *p, const struct input *in,
            unsigned count, struct ending *ret)
{
    sample_reload(u, p, NULL, in, count, ret);
}
