// SPDX-License-Identifier: Apache-2.0
/* The past under another policy: entries in, answers and effects out. */
#include "tests/lib/check.h"

#include <string.h>

#include "adapters/json_doc.h"
#include "sidecar/config/yaml_doc.h"
#include "sidecar/policy_compare.h"
#include "tests/lib/memfault.h"

#define HEAD "apiVersion: bailiff/v1\nkind: Policy\n"
#define BASE ",\"base\":\"https://idp/scim\""

#define STOP                                                                   \
    "rules:\n"                                                                 \
    "  - {name: stop, events: [deactivate, found_inactive], do: [{hold: "      \
    "suspended}, {cancel: {calls: all}}]}\n"                                   \
    "  - {name: back, events: [refreshed], where: 'active eq true', do: "      \
    "[{release: {suspended: {set_by: [stop]}}}]}\n"
#define PAY                                                                    \
    "gate:\n"                                                                  \
    "  - {name: all, tools: ['*'], require: 'active eq true'}\n"               \
    "  - {name: pay, tools: [pay], require: 'groups.value eq \"g1\"'}\n"

static struct arena texts;

static const struct policy *policy_of(const char *yaml)
{
    struct policy_notes *notes = mem_alloc(&texts.mem, sizeof *notes);
    struct buf text;
    const struct doc *root;
    const struct policy *p;
    struct fail f;
    buf_init(&text, &texts.mem, 65536);
    buf_printf(&text, HEAD "%s", yaml);
    CHECK_OK(
        yaml_doc_parse(&texts.mem, buf_span(&text), 65536, &root, notes, &f),
        &f);
    CHECK_OK(policy_load(&texts.mem, root, &p, notes, &f), &f);
    return p;
}

static struct compare *compare_of(const char *old, const char *now)
{
    const struct compare_conf conf = {
        .old = old == NULL ? NULL : policy_of(old), .now = policy_of(now)};
    struct compare *c;
    struct fail f;
    CHECK_OK(compare_new(&conf, &c, &f), &f);
    return c;
}

static void feed(struct compare *c, const char *const *lines)
{
    struct fail f;
    for (; *lines != NULL; lines++)
        CHECK_OK(compare_line(c, span_str(*lines), &f), &f);
}

static const struct difference_row *find(const struct compare *c,
                                         const char *words)
{
    struct map_link *k = NULL;
    while ((k = map_next(&c->difference.rows, k)) != NULL) {
        struct difference_row *row =
            container_of(k, struct difference_row, link);
        if (span_eq(row->words, span_str(words)) &&
            difference_differs(&c->difference, row))
            return row;
    }
    return NULL;
}

static unsigned differing(const struct compare *c)
{
    struct map_link *k = NULL;
    unsigned n = 0;
    while ((k = map_next(&c->difference.rows, k)) != NULL)
        n += difference_differs(&c->difference,
                                container_of(k, struct difference_row, link));
    return n;
}

#define READ(t, result, etag, resource)                                        \
    "{\"t\":" t ",\"kind\":\"read\"" BASE                                      \
    ",\"uri\":\"/Agents/1\","                                                  \
    "\"subject_kind\":\"agent\",\"result\":\"" result                          \
    "\",\"took\":5,\"etag\":\"" etag "\",\"resource\":" resource "}"
#define ASK(t, tool, outcome, reason)                                          \
    "{\"t\":" t                                                                \
    ",\"kind\":\"question\",\"uri\":\"/Agents/1\",\"tool\":\"" tool            \
    "\",\"outcome\":\"" outcome "\",\"reason\":\"" reason "\"}"
#define EVENT_1(t, jti, type)                                                  \
    "{\"t\":" t                                                                \
    ",\"kind\":\"event\",\"feed\":\"hr\",\"iss\":\"i\",\"jti\":\"" jti         \
    "\"" BASE                                                                  \
    ",\"uri\":\"/Agents/1\",\"subject_kind\":\"agent\","                       \
    "\"payload\":\"00aa\",\"parts\":[{\"type\":\"" type                        \
    "\",\"anything\":true}"                                                    \
    "]}"
#define IN_G1 "{\"active\":true,\"groups\":[{\"value\":\"g1\"}]}"

static const char *const week[] = {
    READ("1000000", "qualified", "a", IN_G1),
    ASK("1000001", "kb", "allow", "allowed"),
    ASK("1000002", "pay", "allow", "allowed"),
    EVENT_1("1100000", "j1", "deactivate"),
    ASK("1100001", "kb", "deny", "agent_suspended"),
    READ("1100100", "not_yet", "a", "{\"active\":false}"),
    READ("1200000", "qualified", "b", IN_G1),
    ASK("1200001", "pay", "allow", "allowed"),
    NULL};

static void the_same_policy_does_the_same(void **state)
{
    (void)state;
    struct compare *c = compare_of(STOP PAY, STOP PAY);
    feed(c, week);
    CHECK_INT(differing(c), 0);
    CHECK_UINT(c->difference.questions, 4);
    CHECK_UINT(c->difference.changed, 0);
    CHECK_UINT(c->difference.undecided, 0);
    CHECK_UINT(c->skipped, 0);
    compare_free(c);
}

static void what_it_did_is_seen(void **state)
{
    (void)state;
    struct compare *c = compare_of(PAY, STOP PAY);
    feed(c, week);
    const struct difference_row *row = find(c, "hold suspended");
    CHECK(row != NULL);
    CHECK_UINT(row->count[COURSE_OLD], 0);
    CHECK_UINT(row->count[COURSE_NEW], 2); /* the event, then the read */
    CHECK_SPAN(row->rule, SPAN("stop"));
    CHECK(find(c, "lift suspended") != NULL);
    CHECK(find(c, "cancel") != NULL);
    compare_free(c);
}

static void a_question_is_answered_by_the_read_of_its_time(void **state)
{
    (void)state;
    struct compare *c = compare_of(STOP PAY, STOP
                                   "gate: [{name: pay, tools: ['*'], require: "
                                   "'groups.value eq \"g2\"'}]\n");
    feed(c, week);
    const struct difference_row *row = find(c, "allow -> deny gate_rule");
    CHECK(row != NULL);
    CHECK_UINT(row->count[COURSE_NEW], 3);
    CHECK_INT(row->first_ms, 1000001);
    CHECK_UINT(c->difference.changed, 3); /* the suspended one is the same */
    compare_free(c);
}

/* After a statement nothing from before it loosens, and nothing is guessed. */
static void what_nobody_read_is_not_decided(void **state)
{
    (void)state;
    static const char *const lines[] = {
        READ("1000000", "qualified", "a", IN_G1),
        EVENT_1("1100000", "j1", "deactivate"),
        ASK("1200000", "pay", "deny", "agent_suspended"), NULL};
    struct compare *c = compare_of(STOP PAY, PAY);
    feed(c, lines);
    CHECK_UINT(c->difference.changed, 0);
    CHECK_UINT(c->difference.undecided, 1);
    CHECK(map_find(&c->difference.gaps,
                   SPAN("a read that the history does not hold")) != NULL);
    compare_free(c);
}

static void an_attribute_that_was_not_kept_is_named(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "{\"t\":999999,\"n\":1,\"kind\":\"policy\",\"resource\":[\"groups."
        "value\"],\"event\":[]}",
        READ("1000000", "qualified", "a", IN_G1),
        ASK("1000001", "pay", "allow", "allowed"),
        ASK("1000002", "kb", "allow", "allowed"),
        EVENT_1("1100000", "j1", "caep.risk-level-change"),
        NULL};
    struct compare *c = compare_of(
        PAY,
        "rules: [{name: risk, events: [caep.risk-level-change], where: "
        "'event.current_level eq \"HIGH\"', do: [{hold: suspended}]}]\n"
        "gate:\n"
        "  - {name: all, tools: ['*'], require: 'active eq true'}\n"
        "  - {name: pay, tools: [pay], require: 'title eq \"x\"'}\n");
    feed(c, lines);
    CHECK_UINT(c->difference.undecided, 1);
    CHECK_INT(differing(c), 0);
    struct map_link *k = map_find(&c->difference.gaps, SPAN("title"));
    CHECK(k != NULL);
    CHECK_UINT(container_of(k, struct difference_gap, link)->questions, 1);
    k = map_find(&c->difference.gaps, SPAN("event.current_level"));
    CHECK(k != NULL);
    CHECK_UINT(container_of(k, struct difference_gap, link)->statements, 1);
    compare_free(c);
}

static void without_an_old_policy_it_is_what_happened(void **state)
{
    (void)state;
    static const char *const more[] = {
        "{\"t\":1100000,\"kind\":\"effect\",\"uri\":\"/Agents/1\",\"rule\":"
        "\"other\",\"effect\":\"revoke\",\"jti\":\"j1\"}",
        "{\"t\":1300000,\"kind\":\"question\",\"uri\":\"/Agents/1\",\"tool\":"
        "\"kb\",\"outcome\":\"deny\",\"reason\":\"agent_suspended\",\"rule\":"
        "\"old-rule\"}",
        ASK("1300001", "kb", "deny", "store_blocked"), NULL};
    struct compare *c = compare_of(NULL, PAY);
    feed(c, week);
    feed(c, more);
    CHECK(find(c, "revoke")->count[COURSE_OLD] == 1);
    CHECK(map_find(&c->difference.gaps,
                   SPAN("a hold from before the history")) != NULL);
    CHECK_UINT(c->difference.questions, 5); /* not the sidecar's own trouble */
    compare_free(c);
}

static void people_act_in_a_replay_too(void **state)
{
    (void)state;
    static const char *const lines[] = {
        READ("1000000", "qualified", "a", IN_G1),
        "{\"t\":1000010,\"n\":2,\"kind\":\"operator\",\"verb\":\"hold_"
        "add\"" BASE ",\"uri\":\"/Agents/1\",\"tools\":[\"pay\"]}",
        ASK("1000011", "pay", "deny", "agent_suspended"),
        ASK("1000012", "kb", "allow", "allowed"),
        "{\"t\":1000020,\"n\":2,\"kind\":\"operator\",\"verb\":\"hold_"
        "lift\"" BASE ",\"uri\":\"/Agents/1\",\"tools\":[]}",
        ASK("1000021", "pay", "allow", "allowed"),
        NULL};
    struct compare *c = compare_of(PAY, STOP PAY);
    feed(c, lines);
    CHECK_INT(differing(c), 0);
    CHECK_UINT(c->difference.rows.count, 2);
    compare_free(c);
}

static void hostile_lines_are_passed_over(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "x",
        "{}",
        "[]",
        "{\"t\":-1,\"kind\":\"read\"}",
        "{\"t\":99999999999999999,\"kind\":\"read\"}",
        "{\"t\":1,\"kind\":\"read\"}",
        "{\"t\":1,\"kind\":\"read\",\"uri\":\"/Agents/1\"}",
        "{\"t\":1,\"kind\":\"event\"}",
        "{\"t\":1,\"kind\":\"event\",\"feed\":\"hr\",\"parts\":[{\"type\":"
        "\"x\"}"
        "]}",
        "{\"t\":1,\"kind\":\"operator\",\"verb\":\"x\"}",
        "{\"t\":1,\"kind\":\"question\",\"uri\":\"nonsense\"}",
        "{\"t\":1,\"kind\":\"feed\",\"sign\":\"silent\"}",
        NULL};
    static const char *const odd[] = {
        "{\"t\":5,\"kind\":\"something-new\"}",
        "{\"t\":253402300799000,\"kind\":\"start\"}",
        "{\"t\":1,\"kind\":\"question\",\"uri\":\"/Other/1\",\"tool\":\"x\"}",
        "{\"t\":1,\"kind\":\"question\",\"uri\":\"/Agents/1\"}", NULL};
    struct compare *c = compare_of(STOP PAY, PAY);
    feed(c, bad);
    unsigned n = sizeof bad / sizeof *bad - 1;
    CHECK_UINT(c->skipped, n);
    feed(c, odd);
    CHECK_UINT(c->skipped, n);
    feed(c, week);
    CHECK_UINT(c->difference.questions, 6);
    compare_free(c);
}

/* Entries about ever more agents, until it ends. */
static int fill(struct replay *r, struct fail *f)
{
    int rc = 0;
    for (unsigned i = 0; rc >= 0 && i < 1000000; i++) {
        char text[256];
        struct replay_answer answer;
        struct arena a;
        const struct doc *entry;
        (void)snprintf(text, sizeof text,
                       "{\"t\":1000000,\"kind\":\"read\"" BASE
                       ",\"uri\":\"/Agents/%u\",\"subject_kind\":\"agent\","
                       "\"result\":\"qualified\",\"took\":5,\"etag\":\"a\","
                       "\"resource\":{\"active\":true}}",
                       i);
        arena_init(&a, mem_system(), 65536);
        CHECK_OK(json_doc_parse(&a.mem, span_str(text), 65536, &entry, f), f);
        rc = replay_entry(r, entry, &answer, f);
        arena_fini(&a);
    }
    return rc;
}

static void it_takes_no_more_than_its_bytes(void **state)
{
    (void)state;
    const size_t most = 8u << 20;
    struct memfault mf;
    struct fail f = {0};
    struct replay *r;
    memfault_init(&mf);
    const struct replay_conf conf = {
        .policy = policy_of(PAY), .mem = &mf.mem, .bytes_max = most};
    CHECK_OK(replay_new(&conf, &r, &f), &f);
    const size_t own = mf.live_bytes;
    CHECK(own < most);
    CHECK_INT(fill(r, &f), RC_LIMIT);
    CHECK_STR(f.text, "the replay takes more than 8 MiB");
    CHECK(mf.peak_bytes > most / 2 && mf.peak_bytes < most + own);
    replay_free(r);
    memfault_check_clean(&mf);
}

#define NAMED(t, since)                                                        \
    "{\"t\":" t ",\"kind\":\"policy\",\"since\":" since                        \
    ",\"resource\":[\"title\"],\"also\":[\"title\"],\"event\":[]}"
#define ACTIVE "{\"active\":true}"
#define BOSS "{\"active\":true,\"title\":\"boss\"}"
#define TITLE                                                                  \
    "rules:\n"                                                                 \
    "  - {name: demote, events: [patch], where: 'title ne \"boss\"', do: "     \
    "[{hold: suspended}]}\n"                                                   \
    "gate:\n"                                                                  \
    "  - {name: all, tools: ['*'], require: 'active eq true'}\n"               \
    "  - {name: pay, tools: [pay], require: 'title eq \"boss\"'}\n"

/* What is named since some time is in reads that started later. */
static void an_older_read_does_not_say_what_is_named_since(void **state)
{
    (void)state;
    static const struct {
        const char *lines[6];
        unsigned undecided, changed;
        bool held;
    } rows[] = {
        {{READ("1000000", "qualified", "a", ACTIVE),
          NAMED("1000001", "1000001"),
          ASK("1000002", "pay", "allow", "allowed"),
          EVENT_1("1000003", "j1", "patch")},
         1,
         0,
         false},
        {{READ("1000000", "qualified", "a", BOSS), NAMED("1000001", "900000"),
          ASK("1000002", "pay", "allow", "allowed"),
          EVENT_1("1000003", "j1", "patch")},
         0,
         0,
         false},
        {{NAMED("1000001", "1000001"),
          READ("1000010", "qualified", "a", ACTIVE),
          ASK("1000020", "pay", "allow", "allowed"),
          EVENT_1("1000030", "j1", "patch")},
         0,
         1,
         true},
        {{NAMED("1000001", "1000001"),
          READ("1000004", "qualified", "a", ACTIVE),
          ASK("1000020", "pay", "allow", "allowed"),
          EVENT_1("1000030", "j1", "patch")},
         1,
         0,
         false},
        {{NAMED("1000001", "1000001"),
          READ("1000010", "qualified\",\"partial\":true,\"x\":\"", "a", ACTIVE),
          ASK("1000020", "pay", "allow", "allowed"),
          EVENT_1("1000030", "j1", "patch")},
         1,
         0,
         false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct compare *c = compare_of(NULL, TITLE);
        feed(c, rows[i].lines);
        CHECK_UINT(c->difference.questions, 1);
        CHECK_UINT(c->difference.undecided, rows[i].undecided);
        CHECK_UINT(c->difference.changed, rows[i].changed);
        CHECK((find(c, "hold suspended") != NULL) == rows[i].held);
        compare_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_policy_does_the_same),
        cmocka_unit_test(what_it_did_is_seen),
        cmocka_unit_test(a_question_is_answered_by_the_read_of_its_time),
        cmocka_unit_test(what_nobody_read_is_not_decided),
        cmocka_unit_test(an_attribute_that_was_not_kept_is_named),
        cmocka_unit_test(without_an_old_policy_it_is_what_happened),
        cmocka_unit_test(people_act_in_a_replay_too),
        cmocka_unit_test(an_older_read_does_not_say_what_is_named_since),
        cmocka_unit_test(hostile_lines_are_passed_over),
        cmocka_unit_test(it_takes_no_more_than_its_bytes),
    };
    arena_init(&texts, mem_system(), 16 * 1024 * 1024);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_fini(&texts);
    return failed;
}
