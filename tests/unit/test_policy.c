// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "adapters/json_doc.h"
#include "policy/policy.h"
#include "policy/warn.h"
#include "sidecar/base/buf.h"
#include "sidecar/config/yaml_doc.h"
#include "tests/lib/check.h"

#define HEAD "apiVersion: bailiff/v1\nkind: Policy\n"
#define STEPS "do: [refresh]"

struct loaded {
    struct arena arena;
    struct policy_notes notes;
    const struct policy *p;
    int rc;
};

static void load(struct loaded *l, struct span text)
{
    struct fail f = {0};
    const struct doc *root = NULL;
    memset(l, 0, sizeof *l);
    arena_init(&l->arena, mem_system(), 256u << 20);
    l->rc = yaml_doc_parse(&l->arena.mem, text, POLICY_FILE_BYTES_MAX, &root,
                           &l->notes, &f);
    if (l->rc == 0)
        l->rc = policy_load(&l->arena.mem, root, &l->p, &l->notes, &f);
}

static void load_ok(struct loaded *l, const char *text)
{
    load(l, span_str(text));
    if (l->rc < 0)
        print_error("line %u: %s\n", l->notes.at[0].line, l->notes.at[0].text);
    CHECK_INT(l->rc, 0);
}

static const struct doc *json(struct loaded *l, const char *text)
{
    const struct doc *d = NULL;
    struct fail f = {0};
    CHECK_OK(json_doc_parse(&l->arena.mem, span_str(text), 65536, &d, &f), &f);
    return d;
}

static const struct policy_rule *rule(const struct loaded *l, const char *name)
{
    for (unsigned i = 0; i < l->p->rule_count; i++)
        if (span_eq(l->p->rules[i].name, span_str(name)))
            return &l->p->rules[i];
    check_row(name);
    CHECK(false && "no such rule");
    return NULL;
}

static struct buf read_file(const char *path)
{
    struct buf b;
    FILE *in = fopen(path, "rb");
    buf_init(&b, mem_system(), 1 << 20);
    assert_non_null(in);
    for (int c = fgetc(in); c != EOF; c = fgetc(in))
        buf_put_u8(&b, (uint8_t)c);
    (void)fclose(in);
    return b;
}

/* Every value of examples/policy.yaml arrives where it should. */
static void example(void **state)
{
    (void)state;
    static struct loaded l;
    struct buf text = read_file("examples/policy.yaml");
    load_ok(&l, (const char *)text.p);
    const struct policy *p = l.p;
    CHECK_UINT(l.notes.count, 0);
    CHECK(!p->mode.audit && p->lookup_unknown && p->read_open_calls_now);
    CHECK_INT(p->max_age_ms, 900000);
    CHECK_INT(p->refresh_timeout_ms, 2000);
    CHECK_INT(p->old_allow_for_ms, 300000);
    CHECK_INT(p->changed_allow_for_ms, 0);
    CHECK_INT(p->settle_ms, 5000);
    CHECK_INT(p->open_calls_denied, OPEN_CANCEL);
    CHECK_INT(p->feed_silent_ms, 600000);
    CHECK(p->feed_silent_refresh && p->agents_where != NULL);
    CHECK_UINT(p->class_count, 2);
    CHECK_UINT(policy_tool_classes(p, SPAN("refunds.start")), 1);
    CHECK_UINT(policy_tool_classes(p, SPAN("kb.read")), 2);
    CHECK_UINT(policy_tool_classes(p, SPAN("kb")), 0);

    const struct policy_step *s = rule(&l, "stop")->steps;
    CHECK_INT(s[0].kind, STEP_HOLD);
    CHECK(s[0].tools.all && s[0].hold == HOLD_SUSPENDED);
    CHECK_INT(s[1].kind, STEP_CANCEL);
    CHECK_INT(s[1].within_ms, 2000);
    CHECK(s[1].tools.all);
    CHECK_UINT(s[1].otherwise.count, 2);
    CHECK_SPAN(s[1].otherwise.at[0], SPAN("stop-pod"));
    CHECK_INT(s[2].within_ms, 30000);
    CHECK_UINT(s[3].purge.count, 4);
    s = rule(&l, "privileges-changed")->steps;
    CHECK(!s[0].tools.all && s[0].tools.classes == 1);
    s = rule(&l, "owner-left")->steps;
    CHECK_INT(s[0].hold, HOLD_REVIEW);
    CHECK_INT(s[0].within_ms, 24 * 3600000);
    CHECK_INT(s[0].review_otherwise, HOLD_SUSPENDED);
    CHECK_INT(s[1].kind, STEP_ACTION);
    CHECK_SPAN(p->actions[s[1].action].preset, SPAN("slack-webhook"));
    CHECK_INT(rule(&l, "owner-left")->applies_to, APPLIES_OWNED_LAST);
    CHECK_INT(rule(&l, "owner-left")->subject, SUBJECT_USER);
    CHECK(policy_releases(rule(&l, "come-back"), HOLD_SUSPENDED, SPAN("stop")));
    CHECK(!policy_releases(rule(&l, "come-back"), HOLD_REVIEW, SPAN("stop")));
    CHECK(!policy_releases(rule(&l, "come-back"), HOLD_SUSPENDED,
                           SPAN("come-back")));
    CHECK(rule(&l, "come-back")->only_releases);
    CHECK(!rule(&l, "stop")->only_releases);
    CHECK_INT(p->gates[0].max_age_ms, 30000);
    CHECK_UINT(policy_feed_may(p, SPAN("hr")), MAY_ALL);
    CHECK_SPAN(p->feeds[0].meaning, SPAN("employment ended"));
    CHECK_SPAN(p->actions[0].method, SPAN("DELETE"));
    CHECK_UINT(p->test_count, 1);
    arena_fini(&l.arena);
    buf_fini(&text);
}

static void authority_of_feeds(void **state)
{
    (void)state;
    static struct loaded l;
    load_ok(&l, HEAD
            "rules: [{name: a, events: patch, feeds: [crm], "
            "do: [revoke]}]\n"
            "feeds: {hr: {may: [suspend, refresh]}}\n");
    CHECK_UINT(policy_feed_may(l.p, SPAN("hr")), MAY_SUSPEND | MAY_REFRESH);
    CHECK_UINT(policy_feed_may(l.p, SPAN("other")), MAY_ALL);
    CHECK(policy_listens_to(rule(&l, "a"), SPAN("crm")));
    CHECK(!policy_listens_to(rule(&l, "a"), SPAN("hr")));
    arena_fini(&l.arena);
}

/* A block of docs/policy.md is a whole policy but for its head; those that
 * start indented or refer to what other blocks define are not loaded. */
static bool is_whole(struct span block)
{
    return block.n > 0 && block.p[0] != ' ' &&
           !span_starts(block, SPAN("apiVersion"));
}

static void documented_examples_load(void **state)
{
    (void)state;
    static struct loaded l;
    struct buf doc = read_file("docs/policy.md");
    const char *at = (const char *)doc.p;
    unsigned count = 0;
    while ((at = strstr(at, "```yaml\n")) != NULL) {
        struct buf text;
        at += strlen("```yaml\n");
        const char *end = strstr(at, "```");
        assert_non_null(end);
        struct span block = span_of(at, (size_t)(end - at));
        at = end + 3;
        if (!is_whole(block))
            continue;
        buf_init(&text, mem_system(), 1 << 16);
        buf_put_str(&text, HEAD);
        buf_put(&text, block);
        load_ok(&l, (const char *)text.p);
        CHECK_UINT(l.notes.count, 0);
        arena_fini(&l.arena);
        buf_fini(&text);
        count++;
    }
    CHECK(count >= 9);
    buf_fini(&doc);
}

static void built_in(void **state)
{
    (void)state;
    static struct loaded l;
    struct fail f = {0};
    memset(&l, 0, sizeof l);
    arena_init(&l.arena, mem_system(), 1 << 20);
    CHECK_OK(policy_load(&l.arena.mem, NULL, &l.p, &l.notes, &f), &f);
    struct rule_question q = {.type = EVENT_DEACTIVATE};
    CHECK_INT(policy_rule_match(rule(&l, "stop"), &q), TRI_YES);
    q.type = EVENT_PATCH;
    CHECK_INT(policy_rule_match(rule(&l, "stop"), &q), TRI_NO);
    q.type = EVENT_DEACTIVATE;
    q.subject = SUBJECT_USER;
    CHECK_INT(policy_rule_match(rule(&l, "stop"), &q), TRI_NO);
    CHECK(policy_releases(rule(&l, "come-back"), HOLD_SUSPENDED, SPAN("stop")));
    struct filter_env env = {0};
    uint16_t room[POLICY_GATES_MAX];
    struct gate_tool tool;
    policy_gate_tool(l.p, SPAN("x"), 0, room, &tool);
    CHECK(policy_gate_eval(l.p, &tool, &env, 0).allowed);
    CHECK_UINT(l.p->attributes.count, 4);
    CHECK_INT(l.p->old_allow_for_ms, 0);
    arena_fini(&l.arena);
}

/* ---- matching ---- */

static const char match_policy[] = HEAD
    "rules:\n"
    "  - {name: any, events: \"*\", " STEPS
    "}\n"
    "  - {name: by-feed, events: [patch], feeds: [hr, it], " STEPS
    "}\n"
    "  - {name: roles, events: [patch, put], changed: [roles, "
    "name.formatted], " STEPS
    "}\n"
    "  - {name: risky, events: deactivate, where: 'event.level eq "
    "\"high\"', " STEPS
    "}\n"
    "  - {name: known, events: deactivate, where: 'title eq \"x\"', " STEPS
    "}\n"
    "  - {name: users, events: deactivate, subject: user, " STEPS
    "}\n"
    "  - {name: back, events: activate, where: 'active eq true',"
    " do: [{release: {suspended: {set_by: [any]}}}]}\n";

struct match_row {
    const char *rule;
    enum event_type type;
    enum subject_kind subject;
    const char *feed, *changed;
    bool anything;
    const char *resource, *event;
    enum tri want;
};

static const struct match_row matches[] = {
    {"any", EVENT_PATCH, 0, "hr", NULL, 0, NULL, NULL, TRI_YES},
    {"any", EVENT_UNKNOWN, 0, "hr", NULL, 0, NULL, NULL, TRI_YES},
    {"any", EVENT_REFRESHED, 0, "hr", NULL, 0, NULL, NULL, TRI_NO},
    {"any", EVENT_OPERATOR, 0, "hr", NULL, 0, NULL, NULL, TRI_NO},
    {"any", EVENT_PATCH, SUBJECT_GROUP, "hr", NULL, 0, NULL, NULL, TRI_NO},
    {"by-feed", EVENT_PATCH, 0, "hr", NULL, 0, NULL, NULL, TRI_YES},
    {"by-feed", EVENT_PATCH, 0, "crm", NULL, 0, NULL, NULL, TRI_NO},
    {"roles", EVENT_PATCH, 0, "hr", "Roles", 0, NULL, NULL, TRI_YES},
    {"roles", EVENT_PATCH, 0, "hr", "roles.value", 0, NULL, NULL, TRI_YES},
    {"roles", EVENT_PATCH, 0, "hr", "title", 0, NULL, NULL, TRI_NO},
    {"roles", EVENT_PATCH, 0, "hr", "name.familyName", 0, NULL, NULL, TRI_NO},
    {"roles", EVENT_PATCH, 0, "hr", "name", 0, NULL, NULL, TRI_YES},
    {"roles", EVENT_PATCH, 0, "hr", NULL, 1, NULL, NULL, TRI_YES},
    {"roles", EVENT_PATCH, 0, "hr", "title", 1, NULL, NULL, TRI_YES},
    {"roles", EVENT_PATCH, 0, "hr", NULL, 0, NULL, NULL, TRI_NO},
    {"risky", EVENT_DEACTIVATE, 0, "hr", NULL, 0, NULL, "{\"level\":\"high\"}",
     TRI_YES},
    {"risky", EVENT_DEACTIVATE, 0, "hr", NULL, 0, NULL, "{\"level\":\"low\"}",
     TRI_NO},
    {"risky", EVENT_DEACTIVATE, 0, "hr", NULL, 0, NULL, NULL, TRI_UNKNOWN},
    {"known", EVENT_DEACTIVATE, 0, "hr", NULL, 0, NULL, NULL, TRI_UNKNOWN},
    {"known", EVENT_DEACTIVATE, 0, "hr", NULL, 0, "{\"title\":\"X\"}", NULL,
     TRI_YES},
    {"users", EVENT_DEACTIVATE, SUBJECT_USER, "hr", NULL, 0, NULL, NULL,
     TRI_YES},
    {"users", EVENT_DEACTIVATE, 0, "hr", NULL, 0, NULL, NULL, TRI_NO},
    {"back", EVENT_ACTIVATE, 0, "hr", NULL, 0, "{\"active\":true}", NULL,
     TRI_NO},
};

static void check_match(struct loaded *l, const struct match_row *row)
{
    struct attr_path changed;
    struct fail f = {0};
    struct rule_question q = {.type = row->type,
                              .subject = row->subject,
                              .feed = span_str(row->feed),
                              .changed_anything = row->anything};
    if (row->changed != NULL) {
        CHECK_OK(attr_path_parse(&l->arena.mem, span_str(row->changed),
                                 &changed, &f),
                 &f);
        q.changed = &changed;
        q.changed_count = 1;
    }
    q.env.resource = row->resource == NULL ? NULL : json(l, row->resource);
    q.env.event = row->event == NULL ? NULL : json(l, row->event);
    CHECK_INT(policy_rule_match(rule(l, row->rule), &q), row->want);
}

static void rules_match(void **state)
{
    (void)state;
    static struct loaded l;
    load_ok(&l, match_policy);
    for (size_t i = 0; i < COUNT_OF(matches); i++) {
        check_row(matches[i].rule);
        check_match(&l, &matches[i]);
    }
    check_row(NULL);
    arena_fini(&l.arena);
}

/* ---- the gate ---- */

#define GATE_LINES 6
static const char *const gate_lines[GATE_LINES] = {
    ("  - {name: pay, tools: [money], require: 'groups.value eq \"g\"',"
     " max_age: 30s}\n"),
    "  - {name: all, tools: [\"*\"], require: 'active eq true'}\n",
    "  - {name: kb, tools: [\"kb.*\"]}\n",
    "  - {name: slow, tools: [\"kb.*\"], max_age: 1h}\n",
    "  - {name: small, tools: [payments.send], require: 'call.amount lt 10'}\n",
    "  - {name: calm, tools: [payments.send], require: 'not (risk gt 5)'}\n",
};

static void load_gates(struct loaded *l, const unsigned *order, unsigned count)
{
    struct buf b;
    buf_init(&b, mem_system(), 1 << 16);
    buf_put_str(&b, HEAD "tool_classes: {money: [\"payments.*\"]}\ngate:\n");
    for (unsigned i = 0; i < count; i++)
        buf_put_str(&b, gate_lines[order[i]]);
    load_ok(l, (const char *)b.p);
    buf_fini(&b);
}

/* The rules of `t` are gone when it returns: only their number counts. */
static struct gate_verdict ask(struct loaded *l, const char *tool,
                               const char *resource, const char *call,
                               struct gate_tool *t)
{
    uint16_t room[POLICY_GATES_MAX];
    struct filter_env env = {0};
    env.resource = resource == NULL ? NULL : json(l, resource);
    env.call = json(l, call);
    policy_gate_tool(l->p, span_str(tool), 0, room, t);
    return policy_gate_eval(l->p, t, &env, 0);
}

#define MEMBER "\"groups\":[{\"value\":\"g\"}]"

static const struct {
    const char *tool, *resource, *call;
    bool allowed;
    int64_t max_age_ms;
    bool reads_call;
} questions[] = {
    {"payments.send", "{\"active\":true,\"risk\":1," MEMBER "}",
     "{\"amount\":9}", true, 30000, true},
    {"payments.send", "{\"active\":true,\"risk\":1," MEMBER "}",
     "{\"amount\":10}", false, 30000, true},
    {"payments.send", "{\"active\":true,\"risk\":6," MEMBER "}",
     "{\"amount\":9}", false, 30000, true},
    /* absent risk satisfies nothing */
    {"payments.send", "{\"active\":true," MEMBER "}", "{\"amount\":9}", false,
     30000, true},
    {"payments.send", "{\"active\":true,\"risk\":1}", "{\"amount\":9}", false,
     30000, true},
    {"payments.list", "{\"active\":true," MEMBER "}", "{}", true, 30000, false},
    {"kb.read", "{\"active\":true}", "{}", true, 900000, false},
    {"kb.read", "{\"active\":false}", "{}", false, 900000, false},
    {"kb.read", "{\"active\":\"true\"}", "{}", false, 900000, false},
    {"kb.read", "{}", "{}", false, 900000, false},
    {"kb.read", NULL, "{}", false, 900000, false},
    {"other", "{\"active\":true}", "{}", true, 900000, false},
};

static void check_questions(struct loaded *l)
{
    for (size_t i = 0; i < COUNT_OF(questions); i++) {
        struct gate_tool t;
        struct gate_verdict v = ask(l, questions[i].tool, questions[i].resource,
                                    questions[i].call, &t);
        check_row(questions[i].tool);
        CHECK_INT(v.allowed, questions[i].allowed);
        CHECK_INT(v.decider == NULL, questions[i].allowed);
        CHECK_INT(t.max_age_ms, questions[i].max_age_ms);
        CHECK_INT(t.reads_call, questions[i].reads_call);
        CHECK(t.rules.count > 0);
    }
    check_row(NULL);
}

/* All 720 orders of the gate rules give the same answers. */
static void gate_order_is_irrelevant(void **state)
{
    (void)state;
    static struct loaded l;
    unsigned order[GATE_LINES] = {0, 1, 2, 3, 4, 5}, swaps[GATE_LINES] = {0};
    load_gates(&l, order, GATE_LINES);
    check_questions(&l);
    arena_fini(&l.arena);
    for (unsigned i = 0; i < GATE_LINES;) { /* Heap's algorithm */
        if (swaps[i] >= i) {
            swaps[i++] = 0;
            continue;
        }
        unsigned j = i % 2 == 0 ? 0 : swaps[i], t = order[j];
        order[j] = order[i];
        order[i] = t;
        load_gates(&l, order, GATE_LINES);
        check_questions(&l);
        arena_fini(&l.arena);
        swaps[i]++;
        i = 0;
    }
}

static void gate_names_tools(void **state)
{
    (void)state;
    static struct loaded l;
    const unsigned only[] = {2};
    load_gates(&l, only, 1);
    struct gate_tool t;
    struct gate_verdict v = ask(&l, "shell.run", "{\"active\":true}", "{}", &t);
    CHECK(!v.allowed && t.rules.count == 0 && v.decider == NULL);
    v = ask(&l, "kb.read", NULL, "{}", &t); /* names the tool, asks nothing */
    CHECK(v.allowed && t.rules.count > 0);
    arena_fini(&l.arena);
}

/* ---- limits and attributes ---- */

static unsigned errors_of(const char *head, const char *part, unsigned n,
                          const char *tail)
{
    static struct loaded l;
    struct buf b;
    buf_init(&b, mem_system(), 1 << 20);
    buf_put_str(&b, head);
    for (unsigned i = 0; i < n; i++)
        for (const char *c = part; *c != 0; c++) {
            if (*c == '#')
                buf_printf(&b, "%u", i);
            else
                buf_put_u8(&b, (uint8_t)*c);
        }
    buf_put_str(&b, tail);
    load(&l, buf_span(&b));
    unsigned errors = l.notes.error_count;
    CHECK(l.notes.count <= POLICY_ERRORS_MAX);
    CHECK((l.rc == RC_CONFIG) == (errors > 0));
    arena_fini(&l.arena);
    buf_fini(&b);
    return errors;
}

static void limits(void **state)
{
    (void)state;
    static const struct {
        const char *what, *head, *part;
        unsigned max;
        const char *tail;
    } table[] = {
        {"rules", HEAD "rules:\n", "- {name: r#, events: put, do: [refresh]}\n",
         POLICY_RULES_MAX, ""},
        {"gates", HEAD "gate:\n", "- {name: r#, tools: [x]}\n",
         POLICY_GATES_MAX, ""},
        {"classes", HEAD "tool_classes:\n", "  c#: [x]\n", POLICY_CLASSES_MAX,
         ""},
        {"actions", HEAD "actions:\n", "  c#: {http: {url: \"https://x\"}}\n",
         POLICY_ACTIONS_MAX, ""},
        {"steps", HEAD "rules:\n- {name: r, events: put, do: [", "refresh,",
         POLICY_STEPS_MAX, "]}\n"},
        {"changed",
         HEAD "rules:\n- {name: r, events: put, do: [refresh], "
              "changed: [",
         "a#,", POLICY_LIST_MAX, "]}\n"},
        {"tools", HEAD "gate:\n- {name: r, tools: [", "a#,", POLICY_LIST_MAX,
         "]}\n"},
        {"feeds", HEAD "feeds:\n", "  f#: {}\n", POLICY_LIST_MAX, ""},
        {"patterns", HEAD "tool_classes: {m: [", "a#,", POLICY_LIST_MAX,
         "]}\n"},
        {"name", HEAD "gate:\n- {tools: [x], name: ", "n", POLICY_NAME_MAX,
         "}\n"},
        /* four attributes are ours */
        {"attributes", HEAD "gate:\n",
         "- {name: g#, tools: [x], require: a# pr}\n",
         POLICY_ATTRIBUTES_MAX - 4, ""},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        check_row(table[i].what);
        CHECK_UINT(errors_of(table[i].head, table[i].part, table[i].max,
                             table[i].tail),
                   0);
        CHECK_UINT(errors_of(table[i].head, table[i].part, table[i].max + 1,
                             table[i].tail),
                   1);
    }
    check_row("notes");
    CHECK_UINT(errors_of(HEAD, "k#: 1\n", 500, ""), 500);
    check_row(NULL);
}

static void attributes(void **state)
{
    (void)state;
    static struct loaded l;
    static const char *const want[] = {"active",
                                       "groups",
                                       "owners",
                                       "parent",
                                       "schemas",
                                       "title",
                                       "urn:x:y:1:Bot:level",
                                       "emails",
                                       "roles",
                                       "department"};
    load_ok(&l, HEAD
            "agents: {where: 'schemas eq \"x\" and ACTIVE pr'}\n"
            "rules:\n"
            "  - name: a\n"
            "    events: [patch]\n"
            "    changed: [roles.value, Roles]\n"
            "    where: 'title pr and urn:x:y:1:Bot:level gt 1 and"
            " urn:ietf:params:scim:schemas:core:2.0:Agent:title pr and"
            " emails[type eq \"work\"] and event.x pr'\n"
            "    do: [{hold: {review: {by: 'department eq \"x\"',"
            " within: 1h}}}]\n");
    for (unsigned i = 0; i < COUNT_OF(want); i++) {
        bool found = false;
        for (unsigned j = 0; j < l.p->attributes.count; j++)
            found = found || span_eq(l.p->attributes.at[j], span_str(want[i]));
        check_row(want[i]);
        CHECK(found);
    }
    CHECK_UINT(l.p->attributes.count, COUNT_OF(want));
    check_row(NULL);
    arena_fini(&l.arena);
}

/* What a step counts as, and whom `never_for` is about. */
static void limits_of_feeds(void **state)
{
    static const struct {
        unsigned step;
        enum limit_kind kind;
        bool withheld;
    } rows[] = {
        {0, LIMIT_SUSPEND, false},    {1, LIMIT_CANCEL, false},
        {2, LIMIT_REVOKE, true},      {3, LIMIT_PURGE, true},
        {4, LIMIT_HTTP, true},        {5, LIMIT_KIND_COUNT, false},
        {6, LIMIT_KIND_COUNT, false},
    };
    (void)state;
    static struct loaded l;
    load_ok(&l, HEAD
            "rules:\n"
            "  - name: r\n"
            "    events: [deactivate, {every: 90d}, {idle: 1h}]\n"
            "    do: [{hold: {suspended: {tools: [x]}}}, cancel, revoke, purge,"
            " ticket, page, refresh]\n"
            "limits:\n"
            "  suspend: {max: 5, per: 1m, never_for: 'title eq \"x\"'}\n"
            "  purge: {max: 5, per: 1m, beyond: [page],\n"
            "    never_for: 'userType eq \"y\"'}\n"
            "actions:\n"
            "  ticket: {http: {url: 'https://a.example'}}\n"
            "  page: {http: {url: 'https://b.example'}}\n");
    const struct policy_rule *r = rule(&l, "r");
    CHECK_INT(r->every_ms, INT64_C(90) * 24 * 3600 * 1000);
    CHECK_INT(r->idle_ms, 3600 * 1000);
    CHECK_UINT(l.p->schedule_count, 1);
    const struct doc *title = json(&l, "{\"title\":\"x\"}");
    const struct doc *type = json(&l, "{\"userType\":\"y\"}");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const enum limit_kind k = rows[i].kind;
        check_row(limit_kind_word(k < LIMIT_KIND_COUNT ? k : LIMIT_HTTP));
        CHECK_UINT(policy_step_limit(l.p, &r->steps[rows[i].step]), k);
        CHECK(policy_limit_withholds(k) == rows[i].withheld);
        CHECK(policy_limit_forbids(l.p, LIMIT_SUSPEND, k, title) ==
              rows[i].withheld);
        CHECK(policy_limit_forbids(l.p, LIMIT_SUSPEND, k, NULL) ==
              rows[i].withheld);
        CHECK(!policy_limit_forbids(l.p, LIMIT_SUSPEND, k, type));
        CHECK(policy_limit_forbids(l.p, LIMIT_PURGE, k, type) ==
              (k == LIMIT_PURGE));
        CHECK(!policy_limit_forbids(l.p, LIMIT_REVOKE, k, NULL));
    }
    check_row(NULL);
    arena_fini(&l.arena);
}

/* Every way to write a step that docs/policy.md shows. */
static void steps(void **state)
{
    (void)state;
    static struct loaded l;
    load_ok(&l, HEAD
            "tool_classes: {money: [pay], kb: [k]}\n"
            "rules:\n"
            "  - name: r\n"
            "    events: deactivate\n"
            "    do:\n"
            "      - hold: {suspended: {tools: [money, \"x.*\"]}}\n"
            "      - cancel\n"
            "      - cancel: all\n"
            "      - cancel: {calls: {tools: [pay]}, otherwise: page}\n"
            "      - cancel: {calls: {class: [money, kb]}}\n"
            "      - revoke\n"
            "      - revoke: all\n"
            "      - purge\n"
            "      - purge: {stores: [jobs], within: 10s, otherwise: [page]}\n"
            "      - page\n"
            "      - page: {within: 5s}\n"
            "      - refresh: {within: 1s}\n"
            "actions: {page: {http: {url_file: /x}}}\n");
    const struct policy_step *s = l.p->rules[0].steps;
    CHECK_UINT(l.p->rules[0].step_count, 12);
    CHECK(!s[0].tools.all && s[0].tools.classes == 1);
    CHECK_SPAN(s[0].tools.patterns.at[0], SPAN("x.*"));
    CHECK(policy_tools_match(l.p, &s[0].tools, SPAN("x.y"), 0));
    CHECK(policy_tools_match(l.p, &s[0].tools, SPAN("q"), 1));
    CHECK(!policy_tools_match(l.p, &s[0].tools, SPAN("q"), 2));
    CHECK(s[1].tools.all && s[2].tools.all);
    CHECK_SPAN(s[3].otherwise.at[0], SPAN("page"));
    CHECK_UINT(s[4].tools.classes, 3);
    CHECK_INT(s[6].kind, STEP_REVOKE);
    CHECK_UINT(s[7].purge.count, 4);
    CHECK_UINT(s[8].purge.count, 1);
    CHECK_INT(s[8].within_ms, 10000);
    CHECK_INT(s[9].kind, STEP_ACTION);
    CHECK_INT(s[10].within_ms, 5000);
    CHECK_INT(s[11].kind, STEP_REFRESH);
    arena_fini(&l.arena);
}

/* Notes come out by position, whatever the order of finding them. */
static void notes_are_sorted(void **state)
{
    (void)state;
    static struct loaded l;
    load(&l, SPAN(HEAD "gate: 1\nrules: 2\nactions: 3\nzzz: 4\nagents: 5\n"));
    CHECK_INT(l.rc, RC_CONFIG);
    CHECK_UINT(l.notes.count, 5);
    for (unsigned i = 0; i < l.notes.count; i++)
        CHECK_UINT(l.notes.at[i].line, i + 3);
    arena_fini(&l.arena);
}

static void words(void **state)
{
    (void)state;
    CHECK_STR(hold_kind_word(HOLD_UNCOVERED), "uncovered");
    CHECK_STR(subject_kind_word(SUBJECT_GROUP), "group");
    CHECK_STR(step_kind_word(STEP_RELEASE), "release");
}

static void colour(void **state)
{
    (void)state;
    static struct policy_notes notes;
    struct buf b;
    buf_init(&b, mem_system(), 4096);
    memset(&notes, 0, sizeof notes);
    policy_note_add(&notes, (struct policy_place){2, 3, 2}, true, "do \033[7m",
                    "bad \033[31m");
    policy_notes_print(&notes, "f", SPAN("x\r\na\tb\xc3\xa9\x01\r\n"), false,
                       &b);
    CHECK_STR((const char *)b.p,
              "f:2:3: warning: bad  [31m\n"
              "    2 | a b\xc3\xa9 \n"
              "      |   ^^\n"
              "      help: do  [7m\n");
    buf_clear(&b);
    policy_notes_print(&notes, "f", SPAN(""), true, &b);
    CHECK(memmem(b.p, b.n, "\033[1;33mwarning", 14) != NULL);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(example),
        cmocka_unit_test(authority_of_feeds),
        cmocka_unit_test(documented_examples_load),
        cmocka_unit_test(built_in),
        cmocka_unit_test(rules_match),
        cmocka_unit_test(gate_order_is_irrelevant),
        cmocka_unit_test(gate_names_tools),
        cmocka_unit_test(limits),
        cmocka_unit_test(attributes),
        cmocka_unit_test(limits_of_feeds),
        cmocka_unit_test(steps),
        cmocka_unit_test(notes_are_sorted),
        cmocka_unit_test(words),
        cmocka_unit_test(colour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
