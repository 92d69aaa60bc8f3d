// SPDX-License-Identifier: Apache-2.0
/* One input of a world, told to the engine and to the reference. */
#include <stdio.h>
#include <string.h>

#include "sidecar/base/hash.h"
#include "tests/semantics/life.h"

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

/* A limit is passed by many, whichever came last. */
static struct span who(struct span tail, struct span rule)
{
    const bool limit = rule.n > 7 && memcmp(rule.p, "limits.", 7) == 0;
    const struct span why = field(tail, "why");
    return limit && memmem(why.p, why.n, "never_for", 9) == NULL
               ? SPAN("-")
               : field(tail, "agent");
}

/* What a request is for: tokens are told apart. */
static const char *request_of(struct life *l, struct span action,
                              struct span target)
{
    char text[LINE_BYTES];
    const bool token = is(action, "revoke") && target.n > 0;
    int n = snprintf(text, sizeof text, "%.*s%s%.*s", PRSPAN(action),
                     token ? " " : "", PRSPAN(token ? target : SPAN("")));
    return (const char *)copy(l, span_of(text, (size_t)n + 1)).p;
}

/* A record, in the words of the reference. */
static void take_record(struct life *l, struct span tail)
{
    const struct span kind = field(tail, "kind"), rule = field(tail, "rule"),
                      agent = who(tail, rule), action = field(tail, "action"),
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
        lines_add(to, "%.*s: %.*s starts %s", PRSPAN(agent), PRSPAN(rule),
                  request_of(l, action, target));
    else if (is(outcome, "nothing_registered"))
        lines_add(to, "%.*s: %.*s %.*s of nothing", PRSPAN(agent), PRSPAN(rule),
                  PRSPAN(action));
    else if (is(outcome, "withheld"))
        lines_add(to, "%.*s: %.*s withheld %s", PRSPAN(agent), PRSPAN(rule),
                  request_of(l, action, target));
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

static void take_row(struct life *l, uint64_t seq, struct span body)
{
    l->stored = seq;
    if (!l->restarts)
        return;
    must(l->row_count < ROWS_MAX && l->row_count + 1 == seq);
    l->rows[l->row_count++] = copy(l, body);
}

static void take(struct life *l, const struct out *o)
{
    if (o->kind == OUT_JOURNAL)
        take_row(l, o->journal.seq, o->journal.body);
    if (o->kind == OUT_ANSWER)
        take_answer(l, &o->answer);
    if (o->kind == OUT_READ) {
        must(l->read_count < COUNT_OF(l->reads));
        l->reads[l->read_count++] = (struct read_under_way){
            o->read.read_id, copy(l, o->read.uri), l->ref->n, l->now_ms,
            copy(l, o->read.if_none_match)};
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
    in->wall_ms = WALL_MS + l->now_ms + l->down_ms;
    in->random = ++l->random;
    int rc = engine_step(l->e, in);
    if (rc < 0)
        (void)snprintf(l->why, sizeof l->why, "the engine refuses: %s",
                       rc_word(rc));
    while (engine_next(l->e, &o))
        take(l, &o);
}

/* Store and log keep up. */
void life_settle(struct life *l)
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

bool life_reading(const struct life *l, struct span uri)
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

static const struct event *engine_hears(struct life *l,
                                        const struct input *input)
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
    return ev;
}

static bool finds_no_room(const struct input *i)
{
    return i->holds_fit + i->jobs_fit + i->subjects_fit > 0;
}

static void make_room(size_t *max, size_t count, unsigned fit)
{
    if (fit > 0)
        *max = count + fit - 1;
}

/* Nothing of it is stored; what it has tightened may stay. */
static void say_in_vain(struct life *l, const struct input *input)
{
    struct engine *e = l->e;
    const size_t holds = e->holds.max, jobs = e->jobs.max,
                 subjects = e->subjects.by_key.max_count;
    if (input->fails > 0)
        l->memory.fail_at = l->memory.calls + input->fails;
    make_room(&e->holds.max, e->holds.count, input->holds_fit);
    make_room(&e->jobs.max, e->jobs.open_count, input->jobs_fit);
    make_room(&e->subjects.by_key.max_count, e->subjects.by_key.count,
              input->subjects_fit);
    (void)engine_hears(l, input);
    const bool refused = l->why[0] != 0;
    if (refused)
        l->lines.count = 0;
    l->over = !refused && (l->memory.hit || finds_no_room(input));
    l->why[0] = 0;
    e->holds.max = holds;
    e->jobs.max = jobs;
    e->subjects.by_key.max_count = subjects;
    l->memory.fail_at = 0;
    l->memory.hit = false;
}

static void say(struct life *l, const struct input *input)
{
    if (input->fails > 0 || finds_no_room(input))
        say_in_vain(l, input);
    ref_statement(l->ref, engine_hears(l, input), input->payload);
}

void life_use(struct life *l, struct question *q, const struct ref_answer *a)
{
    if (a->says == SAYS_ALLOW && !q->used)
        ref_use(l->ref, q->uri);
    q->used = q->used || a->says == SAYS_ALLOW;
}

/* The oldest read that is under way, of `uri` if it is not NULL. */
static int find_read(const struct life *l, const char *uri)
{
    for (unsigned i = 0; i < l->read_count; i++)
        if (uri == NULL || span_eq(l->reads[i].uri, span_str(uri)))
            return (int)i;
    return -1; /* nothing was asked of the server */
}

static void read_back(struct life *l, const struct input *input)
{
    struct in in = {.kind = IN_READ_DONE};
    const int i = find_read(l, input->uri);
    if (i < 0)
        return;
    const struct read_under_way was = l->reads[i];
    const struct ref_read read = {
        .uri = was.uri,
        .etag = span_str(input->etag == NULL ? "" : input->etag),
        .started_n = was.started_n,
        .started_ms = was.started_ms,
        .result = input->result,
        .conditional = was.if_none_match.n > 0,
        .resource = universe_json(l->u, input->json)};
    l->reads[i] = l->reads[--l->read_count];
    in.read = (struct in_read_done){.read_id = was.id,
                                    .result = read.result,
                                    .etag = read.etag,
                                    .resource = read.resource,
                                    .retry_after_ms = -1,
                                    .why = SPAN("503")};
    engine_does(l, &in);
    ref_read(l->ref, &read);
    for (unsigned k = 0; k < l->question_count; k++) {
        struct question *q = &l->questions[k];
        const struct ref_answer a =
            ref_ask(l->ref, q->uri, q->tool, q->run, life_reading(l, q->uri));
        if (q->expected.says == SAYS_WAIT)
            life_use(l, q, &a);
    }
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
    q->expected = ref_ask(l->ref, uri, tool, run, life_reading(l, uri));
    in.ask = (struct in_ask){.token = q->token,
                             .base = -1,
                             .uri = uri,
                             .tool = tool,
                             .run_id = run,
                             .deadline_ms = INT64_MAX};
    engine_does(l, &in);
}

/* In steps to each moment at which the engine wants to run. */
static void pass(struct life *l, const struct input *input)
{
    const int64_t end = l->now_ms + (input->ms > 0 ? input->ms : PASS_MS);
    struct input found = *input;
    found.uri = NULL;
    while (input->json != NULL && l->read_count > 0)
        read_back(l, &found);
    life_settle(l);
    for (unsigned i = 0; i < 1000; i++) {
        const int64_t wake = engine_wake_ms(l->e);
        struct in in = {.kind = IN_TICK};
        l->now_ms = wake > end ? end : wake > l->now_ms ? wake : l->now_ms;
        if (wake > end)
            break;
        l->ref->now_ms = l->now_ms;
        engine_does(l, &in);
        life_settle(l);
        ref_time(l->ref);
        while (input->json != NULL && l->read_count > 0)
            read_back(l, &found);
        life_settle(l);
        if (l->now_ms == end && engine_wake_ms(l->e) <= end)
            break;
    }
    l->ref->now_ms = l->now_ms;
    ref_time(l->ref);
}

/* ---- starts ---- */

static void load_rows(struct life *l)
{
    struct fail f = {0};
    for (unsigned i = 0; i < l->row_count; i++) {
        struct journal_body body;
        struct fact fact;
        int got;
        CHECK_OK(journal_read_body(l->rows[i], &body, &f), &f);
        while ((got = journal_next_fact(&body.facts, &fact, &f)) == 1)
            CHECK_OK(engine_load_fact(l->e, &fact, &f), &f);
        CHECK_INT(got, 0);
    }
}

void life_start(struct life *l)
{
    static const unsigned char random[32] = {7, 1, 4};
    struct fail f = {0};
    struct out o;
    struct mem *m = l->fails ? &l->memory.mem : &l->u->engine.mem;
    memfault_init(&l->memory);
    must(engine_new(m, &l->u->conf, random, &l->e, &f) == 0);
    load_rows(l);
    CHECK_OK(engine_start(l->e, l->row_count, l->policy, l->now_ms,
                          WALL_MS + l->now_ms + l->down_ms, &f),
             &f);
    while (engine_next(l->e, &o))
        take(l, &o);
    life_settle(l);
}

/* Who asked is told by the transport; reads are lost, and what was not stored
 * has not happened. */
static void restart(struct life *l, const struct input *input)
{
    const unsigned stored = l->row_count;
    must(l->restarts);
    if (input->uri != NULL)
        (void)engine_hears(l, input);
    engine_free(l->e);
    l->row_count = stored;
    l->stored = l->stored_told = stored;
    l->logged = l->logged_told = 0;
    l->read_count = l->question_count = 0;
    l->lines.count = 0;
    l->down_ms += input->ms;
    ref_restart(l->ref, input->ms);
    life_start(l);
}

static void reload(struct life *l)
{
    struct in in = {.kind = IN_POLICY};
    in.policy.policy = l->policy = l->next;
    engine_does(l, &in);
    ref_reload(l->ref, l->next);
}

static void show_life(struct life *l, const struct input *input)
{
    struct in in = {.kind = IN_FEED};
    const char *feed = input->feed == NULL ? "it" : input->feed;
    in.feed.feed = strcmp(feed, "hr") == 0 ? 0 : 1;
    in.feed.sign = FEED_ALIVE;
    engine_does(l, &in);
    ref_sign_of_life(l->ref, span_str(feed));
}

static void register_token(struct life *l, const struct input *input)
{
    struct in in = {.kind = IN_CREDENTIAL};
    in.credential =
        (struct in_credential){.token = ++l->token,
                               .base = -1,
                               .runtime = SPAN("r1"),
                               .uri = span_str(input->uri),
                               .issuer = SPAN("https://as.example"),
                               .credential_id = span_str(input->jti),
                               .sealed = SPAN("sealed")};
    engine_does(l, &in);
    ref_token(l->ref, span_str(input->uri), span_str(input->jti));
}

void life_input(struct life *l, const struct input *input)
{
    ref_next(l->ref, l->now_ms);
    l->lines.count = 0;
    switch (input->what) {
        case SAY: say(l, input); break;
        case READ: read_back(l, input); break;
        case ASK:
            ask(l, span_str(input->uri), span_str(input->tool),
                span_str(input->run == NULL ? "" : input->run));
            break;
        case PASS: pass(l, input); break;
        case HOLD:
        case LIFT:
        case APPROVE:
        case DENY: person_does(l, input); break;
        case RELOAD: reload(l); break;
        case RESTART: restart(l, input); break;
        case ALIVE: show_life(l, input); break;
        case TOKEN: register_token(l, input); break;
    }
    life_settle(l);
}
