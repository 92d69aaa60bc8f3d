// SPDX-License-Identifier: Apache-2.0
/* What single rules and gate rules say of their own: audit mode, which agents
 * of a relation they hit, how old a read may be, what an event's members are.
 */
#include "tests/lib/world.h"

#define A1 "/Agents/1"
#define A2 "/Agents/2"
#define A3 "/Agents/3"
#define DAY (INT64_C(24) * 3600 * 1000)

static void settle(struct world *w, const char *uri, const char *body)
{
    (void)world_ask(w, uri, "x");
    CHECK(world_reply(w, uri, READ_OK, "e0", body));
}

/* ---- audit mode: rules ---- */

/* The clock of the world starts at 2027-01-15. */
#define STOP_UNTIL(day)                                                        \
    "defaults: {feed_silent: never}\n"                                         \
    "actions: {page: {http: {url: \"https://p.example\"}}}\n"                  \
    "rules:\n"                                                                 \
    "  - name: stop\n"                                                         \
    "    events: deactivate\n"                                                 \
    "    mode: {audit: {until: " day                                           \
    "}}\n"                                                                     \
    "    do: [{hold: suspended}, page]\n"                                      \
    "  - {name: tell, events: deactivate, mode: enforce, do: [page]}\n"

static void test_rule_audits(void **state)
{
    (void)state;
    struct world *w = world_open(STOP_UNTIL("2027-02-01"));
    settle(w, A1, ACTIVE);
    (void)EVENT(w, .jti = "a", .type = EVENT_DEACTIVATE, .uri = A1,
                .version = "e1");
    CHECK_UINT(world_holds(w, A1), 0);
    CHECK_UINT(world_records(w, "\"would\":true", "\"rule\":\"stop\""), 3);
    CHECK_UINT(world_records(w, "\"would\":true", "\"rule\":\"tell\""), 0);
    CHECK_UINT(w->jobs_started, 1); /* of the other rule only */
    struct engine_stats s;
    engine_stats_get(w->e, &s);
    CHECK(!s.audit);
    CHECK_UINT(s.audit_rules, 1);
    /* Its day has come. */
    world_pass(w, 17 * DAY);
    (void)EVENT(w, .jti = "b", .type = EVENT_DEACTIVATE, .uri = A1,
                .version = "e2");
    CHECK_UINT(world_holds(w, A1), 1);
    CHECK_UINT(world_records(w, "\"would\":true", "\"rule\":\"stop\""), 3);
    engine_stats_get(w->e, &s);
    CHECK_UINT(s.audit_rules, 0);
    world_close(w);
}

static void test_past_audit_enforces(void **state)
{
    (void)state;
    struct world *w = world_open(STOP_UNTIL("2027-01-15"));
    settle(w, A1, ACTIVE);
    (void)EVENT(w, .jti = "a", .type = EVENT_DEACTIVATE, .uri = A1);
    CHECK_UINT(world_holds(w, A1), 1);
    CHECK_UINT(world_records(w, "\"would\":true", "stop"), 0);
    world_close(w);
}

/* A rule in audit mode releases nothing, and says so at every read; what held
 * the agent goes on holding it. */
static void test_release_audits(void **state)
{
    (void)state;
    struct world *w = world_open(
        "rules:\n"
        "  - {name: stop, events: deactivate, do: [{hold: suspended}]}\n"
        "  - name: come-back\n"
        "    events: [activate, refreshed]\n"
        "    where: 'active eq true'\n"
        "    mode: {audit: {until: 2027-02-01}}\n"
        "    do: [{release: {suspended: {set_by: [stop]}}}]\n");
    settle(w, A1, ACTIVE);
    (void)EVENT(w, .jti = "a", .type = EVENT_DEACTIVATE, .uri = A1);
    CHECK_UINT(world_holds(w, A1), 1);
    (void)world_may(w, A1, "x");
    CHECK(world_reply(w, A1, READ_OK, "e1", ACTIVE));
    CHECK_UINT(world_holds(w, A1), 1);
    CHECK_UINT(world_records(w, "\"action\":\"release\"", "\"would\":true"), 1);
    world_pass(w, 17 * DAY);
    (void)world_may(w, A1, "x");
    CHECK(world_reply(w, A1, READ_OK, "e1", ACTIVE));
    CHECK_UINT(world_holds(w, A1), 0);
    world_close(w);
}

/* New credentials of a held agent are not revoked by a rule that audits. */
static void test_revoke_audits(void **state)
{
    (void)state;
    for (unsigned enforce = 0; enforce < 2; enforce++) {
        struct world *w = world_open(
            "rules: [{name: stop, events: deactivate,\n"
            "  do: [{hold: suspended}, revoke]}]\n");
        settle(w, A1, ACTIVE);
        (void)EVENT(w, .jti = "a", .type = EVENT_DEACTIVATE, .uri = A1);
        struct in in = {.kind = IN_POLICY};
        in.policy.policy = world_policy(
            w, enforce ? "rules: [{name: stop, events: deactivate,\n"
                         "  do: [{hold: suspended}, revoke]}]\n"
                       : "rules: [{name: stop, events: deactivate,\n"
                         "  mode: {audit: {until: 2027-02-01}},\n"
                         "  do: [{hold: suspended}, revoke]}]\n");
        (void)world_step(w, in);
        (void)world_credential(w, A1, "t1", false);
        CHECK_UINT(w->jobs_started, enforce);
        CHECK_STR(world_may(w, A1, "x"), "agent_suspended");
        world_close(w);
    }
}

/* ---- audit mode: gate rules ---- */

static const char gate_audit[] =
    "defaults: {max_age: 900d, feed_silent: never}\n"
    "gate:\n"
    "  - name: payers\n"
    "    tools: [\"pay.*\"]\n"
    "    require: 'groups.value eq \"ops\"'\n"
    "    max_age: 30s\n"
    "    mode: {audit: {until: 2027-02-01}}\n";

static void test_gate_audits(void **state)
{
    (void)state;
    struct world *w = world_open(gate_audit);
    settle(w, A1, ACTIVE);
    w->reads_started = 0;
    world_pass(w, 60000);              /* its max_age does not count either */
    for (unsigned i = 0; i < 2; i++) { /* also from the cache */
        CHECK_STR(world_may(w, A1, "pay.out"), "allow");
        CHECK_STR(world_may(w, A1, "read"), "allow"); /* named by no rule */
    }
    CHECK_UINT(world_records(w, "\"would\":true", "\"rule\":\"payers\""), 2);
    CHECK_UINT(world_records(w, "\"would\":true", "\"tool\":\"read\""), 2);
    CHECK_UINT(w->reads_started, 0);
    world_pass(w, 17 * DAY);
    CHECK_STR(world_may(w, A1, "read"), "tool_not_named");
    CHECK_STR(world_may(w, A1, "pay.out"), "wait"); /* 30 s are over */
    CHECK(world_reply(w, A1, READ_OK, "e0", ACTIVE));
    CHECK_STR(world_may(w, A1, "pay.out"), "gate_rule");
    world_close(w);
}

/* Beside an enforced rule: that one decides, and names what it names. */
static void test_gate_audits_beside(void **state)
{
    (void)state;
    struct world *w = world_open(
        "gate:\n"
        "  - {name: new, tools: [a, b], require: 'title eq \"x\"',\n"
        "     mode: {audit: {until: 2027-02-01}}}\n"
        "  - {name: old, tools: [b, c], require: 'userType eq \"bot\"'}\n");
    static const struct {
        const char *body, *tool, *want;
        bool would;
    } rows[] = {
        {ACTIVE, "a", "allow", true},
        {ACTIVE, "b", "gate_rule", false},
        {ACTIVE, "c", "gate_rule", false},
        {ACTIVE, "d", "tool_not_named", false},
        {"{\"active\":true,\"userType\":\"bot\"}", "b", "allow", true},
        {"{\"active\":true,\"userType\":\"bot\"}", "c", "allow", false},
        {"{\"active\":true,\"userType\":\"bot\",\"title\":\"x\"}", "b", "allow",
         false},
        {"{\"active\":true,\"title\":\"x\"}", "b", "gate_rule", false},
        {"{\"active\":true,\"title\":\"x\"}", "a", "allow", false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct span uri = world_text(w, "/Agents/r%zu", i);
        const char *agent = (const char *)uri.p;
        check_row(agent);
        settle(w, agent, rows[i].body);
        unsigned before = world_records(w, "\"would\":true", agent);
        CHECK_STR(world_may(w, agent, rows[i].tool), rows[i].want);
        CHECK_UINT(world_records(w, "\"would\":true", agent) - before,
                   rows[i].would);
    }
    check_row(NULL);
    world_close(w);
}

/* ---- agents_where ---- */

static const char members[] =
    "defaults: {feed_silent: never}\n"
    "rules:\n"
    "  - name: payers-out\n"
    "    events: [patch, delete]\n"
    "    subject: group\n"
    "    applies_to: members\n"
    "    agents_where: 'title eq \"payer\"'\n"
    "    do: [{hold: suspended}]\n";

#define IN_G(title)                                                            \
    "{\"active\":true,\"title\":\"" title "\",\"groups\":[{\"value\":\"g\"}]}"

static struct world *open_members(void)
{
    struct world *w = world_open(members);
    settle(w, A1, IN_G("payer"));
    settle(w, A2, IN_G("clerk"));
    settle(w, A3, IN_G("clerk"));
    (void)EVENT(w, .jti = "a", .type = EVENT_DELETE, .uri = "/Groups/g");
    return w;
}

static void test_agents_where(void **state)
{
    (void)state;
    struct world *w = open_members();
    CHECK_UINT(world_holds(w, A1), 1); /* at once: what is known says yes */
    CHECK_UINT(world_holds(w, A2), 0);
    CHECK_UINT(world_records(w, "\"pending\"", "\"rule\":\"payers-out\""), 2);
    CHECK_UINT(world_records(w, "\"matched\"", "\"count\":3"), 1);
    CHECK_STR(world_may(w, A2, "x"), "wait"); /* stale meanwhile */
    CHECK(world_reply(w, A2, READ_OK, "e1", IN_G("clerk")));
    CHECK_STR(world_may(w, A2, "x"), "allow");
    CHECK_UINT(subject_rare(world_subject(w, A2))->pending_count, 0);
    (void)world_may(w, A3, "x");
    CHECK(world_reply(w, A3, READ_OK, "e1", IN_G("payer")));
    CHECK_STR(world_may(w, A3, "x"), "agent_suspended");
    CHECK_UINT(world_records(w, "\"action\":\"hold\"", "\"set\""), 2);
    world_close(w);
}

static void test_agents_where_restart(void **state)
{
    (void)state;
    for (unsigned payer = 0; payer < 2; payer++) {
        struct world *w = open_members();
        world_commit(w);
        CHECK_INT(world_restart(w), 0);
        CHECK_UINT(subject_rare(world_subject(w, A2))->pending_count, 1);
        (void)world_may(w, A2, "x");
        CHECK(world_reply(w, A2, READ_OK, "e1",
                          payer ? IN_G("payer") : IN_G("clerk")));
        CHECK_UINT(world_holds(w, A2), payer);
        CHECK_UINT(subject_rare(world_subject(w, A2))->pending_count, 0);
        world_close(w);
    }
}

/* A read that does not qualify decides nothing; gone is the stricter case. */
static void test_agents_where_unqualified(void **state)
{
    (void)state;
    struct world *w = open_members();
    (void)world_may(w, A2, "x");
    CHECK(world_reply(w, A2, READ_OK, "e0", IN_G("payer")));
    CHECK_UINT(subject_rare(world_subject(w, A2))->pending_count, 1);
    CHECK_UINT(world_holds(w, A2), 0);
    (void)world_may(w, A3, "x");
    CHECK(world_reply(w, A3, READ_GONE, NULL, NULL));
    CHECK_UINT(world_holds(w, A3), 1);
    world_close(w);
}

/* What version 1 of a stored subject knew: rules that wait for their `where`.
 * These bytes are on disks. */
static void test_pending_of_version_1(void **state)
{
    (void)state;
    struct world *w = world_open(members);
    const struct pending_spec spec = {.about = PENDING_SUBJECT,
                                      .type = EVENT_DEACTIVATE,
                                      .rule = SPAN("r"),
                                      .jti = SPAN("j"),
                                      .feed = SPAN("hr")};
    settle(w, A1, ACTIVE);
    struct subject *s =
        subject_find(&w->e->subjects, span_str(WORLD_BASE), span_str(A1));
    struct buf now, old;
    buf_init(&now, mem_system(), 4096);
    buf_init(&old, mem_system(), 4096);
    CHECK_INT(subject_pend(&w->e->subjects, s, &spec), 0);
    subject_encode(s, &now);
    const struct span tail = SPAN("\0\012deactivate\0\001r\0\001j\0\002hr");
    size_t at = now.n - tail.n; /* before it: what the rule is about */
    CHECK(now.n > tail.n);
    CHECK_SPAN(span_sub(buf_span(&now), at, now.n), tail);
    buf_put_u8(&old, 1);
    buf_put(&old, span_sub(buf_span(&now), 1, at - 1));
    buf_put(&old, tail);
    CHECK_INT(subject_decode(&w->e->subjects, s, buf_span(&old), NULL, NULL),
              0);
    CHECK_UINT(subject_rare(s)->pending_count, 1);
    const struct pending_rule *p = container_of(
        subject_rare(s)->pending.head.next, struct pending_rule, link);
    CHECK_INT(p->about, PENDING_SUBJECT);
    CHECK_STR((const char *)p->rule, "r");
    buf_clear(&old);
    buf_put_u8(&old, 3); /* of a later program */
    buf_put(&old, span_sub(buf_span(&now), 1, now.n));
    CHECK_INT(subject_decode(&w->e->subjects, s, buf_span(&old), NULL, NULL),
              RC_BROKEN);
    buf_fini(&now);
    buf_fini(&old);
    world_close(w);
}

/* An agent that is not stale: what was read is final. */
static void test_agents_where_fresh(void **state)
{
    (void)state;
    struct world *w = world_open(
        "rules:\n"
        "  - name: children\n"
        "    events: refreshed\n"
        "    applies_to: children\n"
        "    where: 'title eq \"boss\"'\n"
        "    agents_where: 'title eq \"payer\"'\n"
        "    do: [{hold: suspended}]\n");
    settle(w, A2,
           "{\"active\":true,\"title\":\"clerk\","
           "\"parent\":{\"value\":\"1\"}}");
    settle(w, A3,
           "{\"active\":true,\"title\":\"payer\","
           "\"parent\":{\"value\":\"1\"}}");
    settle(w, A1, "{\"active\":true,\"title\":\"boss\"}");
    CHECK_UINT(world_holds(w, A2), 0);
    CHECK_UINT(subject_rare(world_subject(w, A2))->pending_count, 0);
    CHECK_UINT(world_holds(w, A3), 1);
    world_close(w);
}

/* More than can be remembered: the stricter reading. */
static void test_agents_where_full(void **state)
{
    (void)state;
    struct world *w = world_open(
        "rules:\n"
        "  - name: left\n"
        "    events: deactivate\n"
        "    subject: user\n"
        "    applies_to: {owned_agents: {left: any_owner}}\n"
        "    agents_where: 'title eq \"payer\"'\n"
        "    do: [{hold: suspended}]\n");
    settle(w, A2, "{\"active\":true,\"owners\":[{\"value\":\"u\"}]}");
    for (unsigned i = 0; i <= SUBJECT_PENDING_MAX; i++) {
        CHECK_UINT(world_holds(w, A2), 0);
        const struct span jti = world_text(w, "j%u", i);
        (void)EVENT(w, .jti = (const char *)jti.p, .type = EVENT_DEACTIVATE,
                    .uri = "/Users/u");
    }
    CHECK_UINT(subject_rare(world_subject(w, A2))->pending_count,
               SUBJECT_PENDING_MAX);
    CHECK_UINT(world_holds(w, A2), 1);
    world_close(w);
}

/* A rule that audits writes `would` for the agents that a read decides. */
static void test_agents_where_audits(void **state)
{
    (void)state;
    struct world *w = world_open(
        "rules:\n"
        "  - name: left\n"
        "    events: deactivate\n"
        "    subject: user\n"
        "    applies_to: {owned_agents: {left: any_owner}}\n"
        "    agents_where: 'title eq \"payer\"'\n"
        "    mode: {audit: {until: 2027-02-01}}\n"
        "    do: [{hold: suspended}]\n");
    settle(w, A2, "{\"active\":true,\"owners\":[{\"value\":\"u\"}]}");
    (void)EVENT(w, .jti = "a", .type = EVENT_DEACTIVATE, .uri = "/Users/u");
    (void)world_may(w, A2, "x");
    CHECK(world_reply(w, A2, READ_OK, "e1",
                      "{\"active\":true,\"title\":\"payer\","
                      "\"owners\":[{\"value\":\"u\"}]}"));
    CHECK_UINT(world_holds(w, A2), 0);
    CHECK_UINT(world_records(w, "\"action\":\"hold\"", "\"would\":true"), 1);
    CHECK_STR(world_may(w, A2, "x"), "allow");
    world_close(w);
}

/* ---- when_old of gate rules ---- */

static void test_when_old(void **state)
{
    (void)state;
    static const struct {
        const char *tool;
        int64_t age_ms;
        const char *want;
    } rows[] = {
        {"kb.read", 14 * 60000, "allow"},       /* young enough */
        {"kb.read", 74 * 60000, "allowed_old"}, /* 15 min and an hour more */
        {"kb.read", 76 * 60000, "refresh_failed"},
        {"pay.out", 16 * 60000, "refresh_failed"}, /* deny */
        {"kb.pay", 16 * 60000, "refresh_failed"},  /* strictest of both */
        {"other", 16 * 60000, "allowed_old"},      /* the default, 5 min */
        {"other", 21 * 60000, "refresh_failed"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world *w = world_open(
            "defaults: {refresh: {when_old: {allow_for: 5m}},\n"
            "  feed_silent: never}\n"
            "gate:\n"
            "  - {name: read, tools: [\"kb.*\"], when_old: {allow_for: 1h}}\n"
            "  - {name: pay, tools: [pay.out, kb.pay], when_old: deny}\n"
            "  - {name: rest, tools: [other]}\n");
        check_row(rows[i].tool);
        settle(w, A1, ACTIVE);
        world_pass(w, rows[i].age_ms);
        uint64_t q = world_ask(w, A1, rows[i].tool);
        if (world_reading(w, A1) > 0)
            CHECK(world_reply(w, A1, READ_FAILED, NULL, NULL));
        CHECK_STR(world_says(w, q), rows[i].want);
        world_close(w);
    }
    check_row(NULL);
}

/* After an event no age helps, whatever the gate rule says. */
static void test_when_old_not_after_event(void **state)
{
    (void)state;
    struct world *w = world_open(
        "gate: [{name: read, tools: [\"*\"], when_old: {allow_for: 1h}}]\n");
    settle(w, A1, ACTIVE);
    (void)EVENT(w, .jti = "a", .type = EVENT_PATCH, .uri = A1);
    uint64_t q = world_ask(w, A1, "x");
    CHECK(world_reply(w, A1, READ_FAILED, NULL, NULL));
    CHECK_STR(world_says(w, q), "refresh_failed");
    world_close(w);
}

/* ---- event.*, call.* ---- */

static void test_event_members(void **state)
{
    (void)state;
    static const struct {
        const char *where;
        bool holds;
    } rows[] = {
        {"event.toe gt \\\"2027-01-15T07:59:59Z\\\"", true},
        {"event.toe ge \\\"2027-01-15T09:00:00+01:00\\\"", true},
        {"event.toe gt \\\"2027-01-15T08:00:00Z\\\"", false},
        {"event.toe lt \\\"2027-01-16\\\"", true},
        {"event.iat eq \\\"2027-01-15T08:00:00.000Z\\\"", true},
        {"event.iat lt \\\"2027-01-15T08:00:00Z\\\"", false},
        {"event.issuer eq \\\"https://idp.example\\\"", true},
        {"event.issuer eq \\\"https://IDP.example\\\"", false},
        {"event.feed eq \\\"hr\\\"", true},
        {"event.jti eq \\\"a\\\"", true},
        {"event.txn pr", false},
        {"event.type eq \\\"caep.assurance-level-change\\\"", true},
        {"event.uri ew \\\"assurance-level-change\\\"", true},
        {"event.current_level eq \\\"nist-aal1\\\"", true},
        {"event.current_level eq \\\"nist-aal2\\\"", false},
        {"event.previous_level pr and event.change_direction eq "
         "\\\"decrease\\\"",
         true},
        {"event.event_timestamp gt 1799999999", true},
        {"event.event_timestamp gt 1800000000", false},
        {"event.reason_admin pr", true},
        {"event.tags eq \\\"b\\\"", true},
        {"event.flag eq true", true},
        {"event.none pr", false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char policy[512];
        (void)snprintf(policy, sizeof policy,
                       "rules: [{name: r, events: caep.*, where: \"%s\",\n"
                       "  do: [{hold: suspended}]}]\n",
                       rows[i].where);
        struct world *w = world_open(policy);
        check_row(rows[i].where);
        settle(w, A1, ACTIVE);
        (void)EVENT(w, .jti = "a", .type = EVENT_CAEP_ASSURANCE_LEVEL_CHANGE,
                    .uri = A1, .toe = INT64_C(1800000000000),
                    .data =
                        "{\"current_level\":\"nist-aal1\","
                        "\"previous_level\":\"nist-aal2\","
                        "\"change_direction\":\"decrease\","
                        "\"event_timestamp\":1800000000,"
                        "\"reason_admin\":{\"en\":\"lost key\"},"
                        "\"issuer\":\"https://evil.example\","
                        "\"tags\":[\"a\",\"b\"],\"flag\":true}");
        CHECK_UINT(world_holds(w, A1), rows[i].holds);
        CHECK_UINT(subject_rare(world_subject(w, A1))->pending_count, 0);
        world_close(w);
    }
    check_row(NULL);
}

static void test_call_members(void **state)
{
    (void)state;
    static const struct {
        const char *require, *tool, *want;
    } rows[] = {
        {"tool eq \\\"pay.out\\\"", "pay.out", "allow"},
        {"tool eq \\\"pay.out\\\"", "PAY.out", "gate_rule"},
        {"tool sw \\\"pay.\\\"", "pay.in", "allow"},
        {"tool_class eq \\\"money\\\"", "pay.out", "allow"},
        {"tool_class eq \\\"out\\\"", "pay.out", "allow"},
        {"tool_class eq \\\"out\\\"", "pay.in", "gate_rule"},
        {"not (tool_class eq \\\"money\\\")", "kb", "allow"},
        {"tool_class eq \\\"none\\\"", "kb", "allow"},
        {"call.run_id pr", "kb", "gate_rule"},
        {"call.run_id eq null", "kb", "allow"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char policy[512];
        (void)snprintf(policy, sizeof policy,
                       "tool_classes: {money: [\"pay.*\"], out: [pay.out]}\n"
                       "gate: [{name: g, tools: \"*\", require: \"%s\"}]\n",
                       rows[i].require);
        struct world *w = world_open(policy);
        check_row(rows[i].require);
        settle(w, A1, ACTIVE);
        for (unsigned k = 0; k < 2; k++)
            CHECK_STR(world_may(w, A1, rows[i].tool), rows[i].want);
        world_close(w);
    }
    check_row(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rule_audits),
        cmocka_unit_test(test_past_audit_enforces),
        cmocka_unit_test(test_release_audits),
        cmocka_unit_test(test_revoke_audits),
        cmocka_unit_test(test_gate_audits),
        cmocka_unit_test(test_gate_audits_beside),
        cmocka_unit_test(test_agents_where),
        cmocka_unit_test(test_agents_where_restart),
        cmocka_unit_test(test_agents_where_unqualified),
        cmocka_unit_test(test_pending_of_version_1),
        cmocka_unit_test(test_agents_where_fresh),
        cmocka_unit_test(test_agents_where_full),
        cmocka_unit_test(test_agents_where_audits),
        cmocka_unit_test(test_when_old),
        cmocka_unit_test(test_when_old_not_after_event),
        cmocka_unit_test(test_event_members),
        cmocka_unit_test(test_call_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
