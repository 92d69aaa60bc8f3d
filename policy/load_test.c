// SPDX-License-Identifier: Apache-2.0
/*
 * `tests:`, in the policy or in a file beside it: what is given and what
 * happens. What is expected is in load_expect.c.
 */
#include "policy/load_test.h"

#include "sidecar/base/time_text.h"

#define GIVEN_MAX 256

/* ---- words and paths ---- */

/* The kind that a path such as /Agents/7 stands for; false after a note. */
static bool kind_of(struct loader *l, const struct doc *d,
                    enum subject_kind *ret)
{
    const struct {
        struct span prefix;
        enum subject_kind kind;
    } kinds[] = {{SPAN("/" POLICY_TEST_AGENTS "/"), SUBJECT_AGENT},
                 {SPAN("/" POLICY_TEST_USERS "/"), SUBJECT_USER},
                 {SPAN("/" POLICY_TEST_GROUPS "/"), SUBJECT_GROUP}};
    for (unsigned i = 0; i < 3; i++) {
        struct span s = d->kind == DOC_TEXT ? d->text : SPAN("");
        struct span id = span_sub(s, kinds[i].prefix.n, s.n);
        *ret = kinds[i].kind;
        if (span_starts(s, kinds[i].prefix) && id.n > 0 && id.n <= 128 &&
            span_find(id, '/', 0) == id.n)
            return true;
    }
    load_error(l, d,
               "write /" POLICY_TEST_AGENTS "/ID, /" POLICY_TEST_USERS
               "/ID or /" POLICY_TEST_GROUPS "/ID",
               "'%.*s' is not the path of a resource", PRSPAN(d->text));
    return false;
}

void load_test_path(struct loader *l, const struct doc *d, void *field)
{
    struct span *to = field;
    enum subject_kind kind;
    if (load_is_text(l, d, "a path") && kind_of(l, d, &kind))
        *to = load_copy(l, d->text);
}

static void load_version(struct loader *l, const struct doc *d, void *field)
{
    struct span *to = field;
    if (d->kind == DOC_INT || load_is_text(l, d, "a version"))
        *to = load_copy(l, d->text);
}

static void load_map(struct loader *l, const struct doc *d, void *field)
{
    const struct doc **to = field;
    if (d->kind != DOC_MAP) {
        load_error(l, d, NULL, "this must be a map, not %s",
                   doc_kind_word(d->kind));
        return;
    }
    *to = doc_copy(l->m, d);
    l->no_memory = l->no_memory || *to == NULL;
}

/* ---- resources ---- */

/* Lists of maps in SCIM in which a plain text stands for {value: text}. */
static bool has_values(struct span key)
{
    static const char *const keys[] = {"groups",  "owners", "members",
                                       "roles",   "parent", "entitlements",
                                       "children"};
    for (unsigned i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (span_ieq(key, span_str(keys[i])))
            return true;
    return false;
}

/* A text becomes {value: text} in place. */
static void wrap_value(struct loader *l, struct doc *d)
{
    struct doc *value = load_alloc(l, 1, sizeof *value);
    if (value == NULL)
        return;
    *value = *d;
    value->key = SPAN("value");
    value->next = NULL;
    d->kind = DOC_MAP;
    d->first = d->last = value;
    d->count = 1;
}

static struct doc *copy_member(struct loader *l, const struct doc *from)
{
    struct doc *d = doc_copy(l->m, from);
    if (d == NULL) {
        l->no_memory = true;
        return NULL;
    }
    if (!has_values(d->key))
        return d;
    if (d->kind == DOC_TEXT)
        wrap_value(l, d);
    for (struct doc *it = d->first; d->kind == DOC_LIST && it != NULL;
         it = it->next)
        if (it->kind == DOC_TEXT)
            wrap_value(l, it);
    return d;
}

static const struct doc *copy_members(struct loader *l, const struct doc *from)
{
    struct doc *map = doc_new(l->m, DOC_MAP);
    l->no_memory = l->no_memory || map == NULL;
    DOC_EACH (it, from) {
        if (map == NULL || span_eq(it->key, SPAN("uri")))
            continue;
        struct doc *copy = copy_member(l, it);
        if (copy != NULL)
            doc_append(map, copy);
    }
    return map;
}

/* What a read of one resource finds: `gone`, `fails`, or attributes. */
static void load_found(struct loader *l, const struct doc *d,
                       struct test_resource *to)
{
    static const char *const words[] = {"gone", "fails", NULL};
    unsigned i;
    to->line = d->line;
    if (d->kind == DOC_MAP) {
        to->members = copy_members(l, d);
        return;
    }
    if (load_word(l, d, "a read", words, &i))
        to->state = i == 0 ? TEST_GONE : TEST_FAILS;
}

static bool is_by_path(const struct doc *d)
{
    return d->kind == DOC_MAP && d->first != NULL && d->first->key.n > 0 &&
           d->first->key.p[0] == '/';
}

/* `read`: about the subject itself, or a map from paths. */
static void load_reads(struct loader *l, const struct doc *d, struct span uri,
                       const struct test_resource **ret, unsigned *ret_count)
{
    bool by_path = is_by_path(d);
    unsigned count = by_path ? d->count : 1;
    struct test_resource *r = load_alloc(l, count, sizeof *r);
    if (r == NULL)
        return;
    *ret = r;
    *ret_count = count;
    if (!by_path) {
        const struct doc path = {.kind = DOC_TEXT, .text = uri};
        if (uri.n == 0) {
            load_error(l, d, "{/Agents/7: {active: true}}",
                       "say which resource is read");
            return;
        }
        r->uri = load_copy(l, uri);
        if (kind_of(l, &path, &r->kind))
            load_found(l, d, r);
        return;
    }
    DOC_EACH (it, d) {
        struct doc path = {.kind = DOC_TEXT,
                           .line = it->key_line,
                           .column = it->key_column,
                           .text = it->key};
        r->uri = load_copy(l, it->key);
        if (kind_of(l, &path, &r->kind))
            load_found(l, it, r);
        r++;
    }
}

/* ---- given ---- */

struct given {
    struct policy_test *test;
    struct test_resource *resources;
};

static void add_resource(struct loader *l, const struct doc *d, struct given *g,
                         enum subject_kind kind)
{
    struct policy_test *t = g->test;
    struct test_resource *r = &g->resources[t->resource_count];
    const struct doc *uri = doc_get(d, SPAN("uri"));
    r->line = d->line;
    r->agent = kind == SUBJECT_AGENT;
    if (d->kind == DOC_TEXT) { /* the path alone */
        uri = d;
    } else if (uri == NULL) {
        load_error(l, d, "{uri: /" POLICY_TEST_AGENTS "/7, active: true}",
                   "a given %s needs 'uri'", subject_kind_word(kind));
        return;
    }
    if (!load_is_text(l, uri, "uri") || !kind_of(l, uri, &r->kind))
        return;
    bool person = kind == SUBJECT_AGENT && r->kind == SUBJECT_USER;
    if (r->kind != kind && !person)
        load_error(l, uri, NULL, "this is not the path of a %s",
                   subject_kind_word(kind));
    r->uri = load_copy(l, uri->text);
    r->members = copy_members(l, d);
    t->resource_count++;
    if (kind == SUBJECT_AGENT && t->agent.n == 0)
        t->agent = r->uri;
    for (unsigned i = 0; i + 1 < t->resource_count; i++)
        if (span_eq(g->resources[i].uri, r->uri))
            load_error(l, uri, NULL, "%.*s is given twice", PRSPAN(r->uri));
}

static void add_resources(struct loader *l, const struct doc *d,
                          struct given *g, enum subject_kind kind)
{
    if (d->kind != DOC_LIST) {
        add_resource(l, d, g, kind);
        return;
    }
    DOC_EACH (it, d)
        add_resource(l, it, g, kind);
}

static void load_agents(struct loader *l, const struct doc *d, void *field)
{
    add_resources(l, d, field, SUBJECT_AGENT);
}

static void load_users(struct loader *l, const struct doc *d, void *field)
{
    add_resources(l, d, field, SUBJECT_USER);
}

static void load_groups(struct loader *l, const struct doc *d, void *field)
{
    add_resources(l, d, field, SUBJECT_GROUP);
}

static const struct member call_members[] = {
    {"tool", load_text, offsetof(struct test_call, tool), true},
    {"agent", load_test_path, offsetof(struct test_call, agent), false},
    {"id", load_text, offsetof(struct test_call, id), false},
    {"run", load_text, offsetof(struct test_call, run), false},
};

static void load_calls(struct loader *l, const struct doc *d, void *field)
{
    struct policy_test *t = ((struct given *)field)->test;
    if (d->kind != DOC_LIST) {
        load_error(l, d, "calls: [deploy]", "calls must be a list of tools");
        return;
    }
    struct test_call *c = load_list(l, d, "calls", GIVEN_MAX, sizeof *c);
    t->calls = c;
    for (const struct doc *it = d->first; c != NULL && it != NULL;
         it = it->next, c++) {
        c->line = it->line;
        t->call_count++;
        if (it->kind == DOC_MAP)
            (void)LOAD_MEMBERS(l, it, "a call", call_members, c);
        else
            load_text(l, it, &c->tool);
    }
}

static const struct member credential_members[] = {
    {"id", load_text, offsetof(struct test_credential, id), true},
    {"agent", load_test_path, offsetof(struct test_credential, agent), false},
    {"refresh", load_truth, offsetof(struct test_credential, refresh), false},
};

static void load_credentials(struct loader *l, const struct doc *d, void *field)
{
    struct policy_test *t = ((struct given *)field)->test;
    if (d->kind != DOC_LIST) {
        load_error(l, d, "credentials: [token]",
                   "credentials must be a list of names");
        return;
    }
    struct test_credential *c =
        load_list(l, d, "credentials", GIVEN_MAX, sizeof *c);
    t->credentials = c;
    for (const struct doc *it = d->first; c != NULL && it != NULL;
         it = it->next, c++) {
        c->line = it->line;
        t->credential_count++;
        if (it->kind == DOC_MAP)
            (void)LOAD_MEMBERS(l, it, "a credential", credential_members, c);
        else
            load_text(l, it, &c->id);
    }
}

static void load_time(struct loader *l, const struct doc *d, void *field)
{
    struct policy_test *t = ((struct given *)field)->test;
    if (!load_is_text(l, d, "time"))
        return;
    if (!time_parse(d->text, &t->time_ms) || t->time_ms <= 0)
        load_error(l, d, "2027-02-01 or 2027-02-01T08:00:00Z",
                   "'%.*s' is not a time", PRSPAN(d->text));
}

static const struct member given_members[] = {
    {"agent", load_agents, 0, false},
    {"agents", load_agents, 0, false},
    {"user", load_users, 0, false},
    {"users", load_users, 0, false},
    {"group", load_groups, 0, false},
    {"groups", load_groups, 0, false},
    {"calls", load_calls, 0, false},
    {"credentials", load_credentials, 0, false},
    {"time", load_time, 0, false},
};

static void load_given(struct loader *l, const struct doc *d, void *field)
{
    struct given g = {.test = field};
    unsigned most = 0;
    DOC_EACH (it, d)
        most += it->kind == DOC_LIST ? it->count : 1;
    if (most > GIVEN_MAX) {
        load_error(l, d, NULL, "more than %d given things", GIVEN_MAX);
        return;
    }
    g.resources = load_alloc(l, most, sizeof *g.resources);
    if (g.resources == NULL)
        return;
    g.test->resources = g.resources;
    (void)LOAD_MEMBERS(l, d, "given", given_members, &g);
}

/* ---- events ---- */

/* Reads of an event need to know whom it is about. */
struct event_work {
    struct test_event *event;
    int64_t after_ms;
};

static void load_event_read(struct loader *l, const struct doc *d, void *field)
{
    struct test_event *ev = ((struct event_work *)field)->event;
    load_reads(l, d, ev->uri, &ev->reads, &ev->read_count);
}

static void load_event_feed(struct loader *l, const struct doc *d, void *field)
{
    load_name(l, d, &((struct event_work *)field)->event->feed);
}

static void load_event_version(struct loader *l, const struct doc *d,
                               void *field)
{
    load_version(l, d, &((struct event_work *)field)->event->version);
}

static void load_event_changed(struct loader *l, const struct doc *d,
                               void *field)
{
    load_texts(l, d, &((struct event_work *)field)->event->changed);
}

static void load_event_data(struct loader *l, const struct doc *d, void *field)
{
    load_map(l, d, &((struct event_work *)field)->event->data);
}

static void load_event_payload(struct loader *l, const struct doc *d,
                               void *field)
{
    load_map(l, d, &((struct event_work *)field)->event->payload);
}

static const struct member event_members[] = {
    {"feed", load_event_feed, 0, false},
    {"version", load_event_version, 0, false},
    {"changed", load_event_changed, 0, false},
    {"data", load_event_data, 0, false},
    {"payload", load_event_payload, 0, false},
    {"read", load_event_read, 0, false},
    {"after", load_duration, offsetof(struct event_work, after_ms), false},
};
#define EVENT_MEMBER_COUNT (sizeof event_members / sizeof event_members[0])

static bool is_sent(enum event_type t)
{
    return event_type_uri(t)[0] != 0 && t != EVENT_SSF_VERIFICATION &&
           t != EVENT_SSF_STREAM_UPDATED && t != EVENT_ASYNCRESP;
}

/* The member of an event that is no option must be its type. */
static void load_event_type(struct loader *l, const struct doc *d,
                            struct test_event *ev)
{
    struct near n = {.word = load_near(l, d->key)};
    char advice[FAIL_TEXT_MAX];
    enum event_type type;
    if (event_type_from_name(d->key, &type) && is_sent(type)) {
        if (ev->uri.n > 0)
            load_key_error(l, d, "make it a second event",
                           "an event has one type");
        ev->type = type;
        load_test_path(l, d, &ev->uri);
        return;
    }
    for (unsigned i = 0; i < EVENT_MEMBER_COUNT; i++)
        near_try(&n, span_str(event_members[i].key));
    for (unsigned t = 0; t < EVENT_TYPE_COUNT; t++)
        if (is_sent((enum event_type)t))
            near_try(&n, span_str(event_type_name((enum event_type)t)));
    load_key_error(l, d, near_advice(&n, advice),
                   "'%.*s' is neither an event that a feed can send nor a key "
                   "of one",
                   PRSPAN(d->key));
}

static const struct member *event_option(struct span key)
{
    for (unsigned i = 0; i < EVENT_MEMBER_COUNT; i++)
        if (span_eq(key, span_str(event_members[i].key)))
            return &event_members[i];
    return NULL;
}

static void check_event(struct loader *l, const struct doc *d,
                        const struct test_event *ev)
{
    bool forms = ev->type == EVENT_CREATE || ev->type == EVENT_PATCH ||
                 ev->type == EVENT_PUT;
    if (ev->uri.n == 0)
        return;
    if (!forms && (ev->data != NULL || ev->changed.count > 0))
        load_error(l, d, "only create, patch and put do",
                   "%s carries neither 'changed' nor 'data'",
                   event_type_name(ev->type));
    if (ev->data != NULL && ev->changed.count > 0)
        load_error(l, d, "leave one of them out",
                   "an event carries 'changed' or 'data', not both");
}

/* Adds the steps of one event: perhaps a wait, then the event. */
static void add_event(struct loader *l, const struct doc *d,
                      struct policy_test *t, struct test_step *steps)
{
    struct test_event ev = {.type = EVENT_UNKNOWN};
    struct event_work w = {.event = &ev};
    if (d->kind != DOC_MAP) {
        load_error(l, d, "{deactivate: /" POLICY_TEST_AGENTS "/7}",
                   "an event must be a map, not %s", doc_kind_word(d->kind));
        return;
    }
    DOC_EACH (it, d)
        if (event_option(it->key) == NULL)
            load_event_type(l, it, &ev);
    DOC_EACH (it, d) {
        const struct member *m = event_option(it->key);
        if (m != NULL)
            m->load(l, it, (unsigned char *)&w + m->offset);
    }
    if (d->first == NULL)
        load_error(l, d, NULL, "an event needs a type");
    check_event(l, d, &ev);
    if (w.after_ms > 0)
        steps[t->step_count++] = (struct test_step){
            .kind = TEST_STEP_WAIT, .line = d->line, .wait_ms = w.after_ms};
    steps[t->step_count++] = (struct test_step){
        .kind = TEST_STEP_EVENT, .line = d->line, .event = ev};
}

/* ---- other steps ---- */

static void load_wait(struct loader *l, const struct doc *d,
                      struct test_step *s)
{
    s->kind = TEST_STEP_WAIT;
    load_duration(l, d, &s->wait_ms);
    if (s->wait_ms > POLICY_TEST_WAIT_MAX_MS)
        load_error(l, d, NULL, "a test waits 400 days at most");
}

static void load_silence(struct loader *l, const struct doc *d,
                         struct test_step *s)
{
    s->kind = TEST_STEP_SILENCE;
    load_texts(l, d, &s->silence);
}

struct operator_work {
    struct test_operator *op;
    unsigned verbs;
};

static void load_verb(struct loader *l, const struct doc *d, void *field,
                      enum test_verb verb)
{
    struct operator_work *w = field;
    w->op->verb = verb;
    if (w->verbs++ > 0)
        load_key_error(l, d, NULL, "an operator does one thing in a step");
    load_test_path(l, d, &w->op->uri);
}

static void load_hold_verb(struct loader *l, const struct doc *d, void *field)
{
    load_verb(l, d, field, TEST_HOLD);
}

static void load_lift_verb(struct loader *l, const struct doc *d, void *field)
{
    load_verb(l, d, field, TEST_LIFT);
}

static void load_approve(struct loader *l, const struct doc *d, void *field)
{
    load_verb(l, d, field, TEST_APPROVE);
}

static void load_deny(struct loader *l, const struct doc *d, void *field)
{
    load_verb(l, d, field, TEST_DENY);
}

static void load_as(struct loader *l, const struct doc *d, void *field)
{
    struct test_operator *op = ((struct operator_work *)field)->op;
    if (d->kind != DOC_MAP)
        load_error(l, d, "as: {userName: kim, groups: [g-1]}",
                   "the person must be a map");
    else
        op->as = copy_members(l, d);
}

static const struct member operator_members[] = {
    {"hold", load_hold_verb, 0, false},  {"lift", load_lift_verb, 0, false},
    {"approve", load_approve, 0, false}, {"deny", load_deny, 0, false},
    {"as", load_as, 0, false},
};

static void load_operator(struct loader *l, const struct doc *d,
                          struct test_step *s)
{
    struct operator_work w = {.op = &s->operator};
    s->kind = TEST_STEP_OPERATOR;
    if (LOAD_MEMBERS(l, d, "operator", operator_members, &w) && w.verbs == 0)
        load_error(l, d, "hold, lift, approve or deny",
                   "what does the operator do?");
}

static void load_answers(struct loader *l, const struct doc *d,
                         struct test_step *s)
{
    static const char *const words[] = {"confirm", "refuse", "silent", "retry",
                                        NULL};
    s->kind = TEST_STEP_ANSWERS;
    if (d->kind != DOC_MAP) {
        load_error(l, d, "{revoke: refuse}", "jobs must be a map of actions");
        return;
    }
    struct test_job_answer *a =
        load_list(l, d, "jobs", POLICY_LIST_MAX, sizeof *a);
    s->answers.at = a;
    for (const struct doc *it = d->first; a != NULL && it != NULL;
         it = it->next, a++) {
        unsigned i;
        load_test_action(l, it, it->key, true);
        a->action = load_copy(l, it->key);
        if (load_word(l, it, "an answer", words, &i))
            a->answer = (enum test_answer)i;
        s->answers.count++;
    }
}

static void load_read_step(struct loader *l, const struct doc *d,
                           struct test_step *s)
{
    s->kind = TEST_STEP_READ;
    load_reads(l, d, SPAN(""), &s->reads.at, &s->reads.count);
}

static const struct {
    const char *key;
    void (*load)(struct loader *l, const struct doc *d, struct test_step *s);
} step_kinds[] = {
    {"event", NULL},          {"expect", load_test_expect},
    {"wait", load_wait},      {"read", load_read_step},
    {"silent", load_silence}, {"operator", load_operator},
    {"jobs", load_answers},
};
#define TEST_STEPS_KNOWN (sizeof step_kinds / sizeof step_kinds[0])

static void load_step_kind(struct loader *l, const struct doc *d,
                           struct policy_test *t, struct test_step *steps)
{
    struct near n = {.word = load_near(l, d->key)};
    char advice[FAIL_TEXT_MAX];
    for (unsigned i = 0; i < TEST_STEPS_KNOWN; i++) {
        near_try(&n, span_str(step_kinds[i].key));
        if (!span_eq(d->key, span_str(step_kinds[i].key)))
            continue;
        if (step_kinds[i].load == NULL) {
            add_event(l, d, t, steps);
            return;
        }
        struct test_step *s = &steps[t->step_count++];
        s->line = d->key_line;
        step_kinds[i].load(l, d, s);
        return;
    }
    near_advice(&n, advice);
    load_key_error(l, d,
                   advice[0] != 0 ? advice
                                  : "known here: event expect wait read silent "
                                    "operator jobs",
                   "unknown step '%.*s'", PRSPAN(d->key));
}

/* ---- a test ---- */

static void load_steps(struct loader *l, const struct doc *d,
                       struct policy_test *t, struct test_step *steps)
{
    if (d->kind != DOC_LIST) {
        load_error(l, d, "steps: [{event: ...}, {expect: ...}]",
                   "steps must be a list");
        return;
    }
    DOC_EACH (it, d) {
        if (it->kind == DOC_MAP && it->count == 1)
            load_step_kind(l, it->first, t, steps);
        else
            load_error(l, it, "{event: ...}, {wait: 10s}, {expect: ...}",
                       "a step is a map with one key");
    }
}

static unsigned length(const struct doc *d)
{
    return d == NULL ? 0 : d->kind == DOC_LIST ? d->count : 1;
}

/* The short form and `steps` end up in one list. */
static void load_course(struct loader *l, const struct doc *d,
                        struct policy_test *t)
{
    const struct doc *event = doc_get(d, SPAN("event"));
    const struct doc *expect = doc_get(d, SPAN("expect"));
    const struct doc *steps = doc_get(d, SPAN("steps"));
    const struct doc *jobs = doc_get(d, SPAN("jobs"));
    unsigned most = 2 * (length(event) + length(steps)) + 2;
    if (most > 2 * POLICY_TEST_STEPS_MAX) {
        load_error(l, d, NULL, "a test has at most %d steps",
                   POLICY_TEST_STEPS_MAX);
        return;
    }
    struct test_step *s = load_alloc(l, most, sizeof *s);
    t->steps = s;
    if (s == NULL)
        return;
    if (steps != NULL && (event != NULL || expect != NULL))
        load_key_error(l, steps, "leave out 'event' and 'expect'",
                       "a test has either steps or one event and expectation");
    if (steps == NULL && expect == NULL)
        load_error(l, d, NULL, "a test needs 'expect'");
    if (jobs != NULL)
        load_answers(l, jobs, &s[t->step_count++]);
    if (event != NULL && event->kind == DOC_LIST)
        DOC_EACH (it, event)
            add_event(l, it, t, s);
    else if (event != NULL)
        add_event(l, event, t, s);
    if (expect != NULL) {
        struct test_step *last = &s[t->step_count++];
        last->line = expect->key_line;
        load_test_expect(l, expect, last);
    }
    if (steps != NULL)
        load_steps(l, steps, t, s);
}

static void nothing(struct loader *l, const struct doc *d, void *field)
{
    (void)l; /* read by load_course, in its own order */
    (void)d;
    (void)field;
}

static const struct member test_members[] = {
    {"name", load_text, offsetof(struct policy_test, name), true},
    {"given", load_given, 0, true},
    {"jobs", nothing, 0, false},
    {"event", nothing, 0, false},
    {"expect", nothing, 0, false},
    {"steps", nothing, 0, false},
};

void load_tests(struct loader *l, const struct doc *d, void *field)
{
    struct policy *p = field;
    if (d->kind != DOC_LIST) {
        load_error(l, d, "start each test with '- name: ...'",
                   "tests must be a list");
        return;
    }
    struct policy_test *t =
        load_list(l, d, "tests", POLICY_TESTS_MAX, sizeof *t);
    p->tests = t;
    for (const struct doc *it = d->first; t != NULL && it != NULL;
         it = it->next, t++) {
        p->test_count++;
        t->line = it->line;
        t->column = it->column;
        if (LOAD_MEMBERS(l, it, "a test", test_members, t))
            load_course(l, it, t);
    }
}

static void want_words(struct loader *l, const struct doc *d, const char *word)
{
    if (d->kind != DOC_TEXT || !span_eq(d->text, span_str(word)))
        load_error(l, d, word, "this is not a file of tests");
}

static void want_version(struct loader *l, const struct doc *d, void *field)
{
    (void)field;
    want_words(l, d, "bailiff/v1");
}

static void want_kind(struct loader *l, const struct doc *d, void *field)
{
    (void)field;
    want_words(l, d, "PolicyTest");
}

static void want_path(struct loader *l, const struct doc *d, void *field)
{
    (void)field;
    (void)load_is_text(l, d, "policy");
}

static const struct member file_members[] = {
    {"apiVersion", want_version, 0, true},
    {"kind", want_kind, 0, true},
    {"policy", want_path, 0, true},
    {"tests", load_tests, 0, true},
};

int policy_tests_load(struct mem *m, const struct policy *p,
                      const struct doc *root, const struct policy_test **ret,
                      unsigned *ret_count, struct policy_notes *notes,
                      struct fail *f)
{
    struct policy with = *p;
    struct loader l = {.m = m, .p = &with, .notes = notes, .f = f};
    unsigned errors = notes->error_count;
    with.tests = NULL;
    with.test_count = 0;
    (void)LOAD_MEMBERS(&l, root, "a file of tests", file_members, &with);
    policy_notes_sort(notes);
    if (l.no_memory)
        return fail(f, RC_NO_MEMORY, "no memory for tests");
    if (notes->error_count > errors)
        return fail(f, RC_CONFIG, "the tests have %u error%s",
                    notes->error_count - errors,
                    notes->error_count - errors == 1 ? "" : "s");
    *ret = with.tests;
    *ret_count = with.test_count;
    return 0;
}
