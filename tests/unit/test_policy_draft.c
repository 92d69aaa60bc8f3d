// SPDX-License-Identifier: Apache-2.0
/* A first policy from a history: it loads, whatever names the history has. */
#include "tests/lib/check.h"

#include <string.h>

#include "adapters/json_doc.h"
#include "policy/policy.h"
#include "policy/warn.h"
#include "sidecar/config/yaml_doc.h"
#include "sidecar/policy_draft.h"
#include "sidecar/policy_world.h"

static struct arena texts;

static void feed(struct draft *d, const char *const *lines)
{
    for (; *lines != NULL; lines++) {
        const struct doc *entry;
        struct fail f;
        CHECK_OK(
            json_doc_parse(&texts.mem, span_str(*lines), 65536, &entry, &f),
            &f);
        draft_entry(d, entry);
    }
}

static const struct policy *policy_of(struct draft *d, struct span *ret_text)
{
    struct policy_notes *notes = mem_alloc(&texts.mem, sizeof *notes);
    const struct policy *p;
    const struct doc *root;
    struct buf out;
    struct fail f;
    buf_init(&out, &texts.mem, POLICY_FILE_BYTES_MAX);
    CHECK_OK(draft_write(d, &out, &f), &f);
    *ret_text = buf_span(&out);
    CHECK_OK(yaml_doc_parse(&texts.mem, buf_span(&out), POLICY_FILE_BYTES_MAX,
                            &root, notes, &f),
             &f);
    CHECK_OK(policy_load(&texts.mem, root, &p, notes, &f), &f);
    return p;
}

static bool has(struct span s, const char *text)
{
    return memmem(s.p, s.n, text, strlen(text)) != NULL;
}

static void what_was_seen_is_in_it(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "{\"t\":1,\"kind\":\"read\",\"subject_kind\":\"agent\",\"uri\":\"/A/"
        "1\","
        "\"resource\":{\"groups\":[{\"value\":\"g1\"},{\"value\":\"g2\"}]}}",
        "{\"t\":1,\"kind\":\"read\",\"subject_kind\":\"agent\",\"uri\":\"/A/"
        "2\","
        "\"resource\":{\"groups\":[{\"value\":\"g1\"}]}}",
        "{\"t\":2,\"kind\":\"question\",\"uri\":\"/A/1\",\"tool\":\"pay.in\","
        "\"outcome\":\"allow\"}",
        "{\"t\":2,\"kind\":\"question\",\"uri\":\"/A/2\",\"tool\":\"pay.out\","
        "\"outcome\":\"allow\"}",
        "{\"t\":2,\"kind\":\"question\",\"uri\":\"/A/3\",\"tool\":\"pay.out\","
        "\"outcome\":\"deny\"}",
        "{\"t\":2,\"kind\":\"question\",\"uri\":\"/A/2\",\"tool\":\"deploy\","
        "\"outcome\":\"allow\"}",
        "{\"t\":3,\"kind\":\"event\",\"feed\":\"hr\",\"parts\":[{\"type\":"
        "\"deactivate\"}]}",
        NULL};
    struct draft d;
    struct span text;
    draft_init(&d);
    feed(&d, lines);
    const struct policy *p = policy_of(&d, &text);
    CHECK_UINT(p->class_count, 2);
    CHECK_SPAN(p->classes[0].name, SPAN("pay"));
    CHECK_SPAN(p->classes[0].patterns.at[0], SPAN("pay.*"));
    CHECK_SPAN(p->classes[1].name, SPAN("others"));
    CHECK_SPAN(p->classes[1].patterns.at[0], SPAN("deploy"));
    CHECK_UINT(p->gate_count, 2);
    CHECK_UINT(p->rule_count, 2);
    CHECK_UINT(p->test_count, 0); /* these are no agents of a test's world */
    CHECK(has(text, "4 questions (3 allowed), 1 statement"));
    CHECK(has(text, "# every agent that used these is in: g1\n"));
    CHECK(has(text, "#   g1: 2 agents\n"));
    CHECK(has(text, "#   deactivate from hr: 1\n"));
    draft_fini(&d);
}

#define ASKED(agent, tool, outcome)                                            \
    "{\"t\":2,\"kind\":\"question\",\"uri\":\"/Agents/" agent                  \
    "\",\"tool\":\"" tool "\",\"outcome\":\"" outcome "\"}"

static void check_clean(const struct policy *p, struct span text)
{
    struct policy_notes *notes = mem_alloc(&texts.mem, sizeof *notes);
    const struct doc *root;
    unsigned passed;
    struct fail f;
    CHECK(notes != NULL);
    CHECK_OK(yaml_doc_parse(&texts.mem, text, POLICY_FILE_BYTES_MAX, &root,
                            notes, &f),
             &f);
    policy_warn(p, root, notes);
    CHECK_UINT(notes->warning_count, 0);
    CHECK_OK(policy_world_check(p, &passed, &f), &f);
    CHECK_UINT(passed, p->test_count);
}

/* Whatever was seen: nothing to warn of, and tests that pass. */
static void it_is_clean_and_tested(void **state)
{
    (void)state;
    static const struct {
        const char *const lines[8];
        unsigned tests;
        const char *in_it;
    } rows[] = {
        {{ASKED("7", "pay.in", "allow"), ASKED("8", "pay.out", "allow"),
          ASKED("8", "deploy", "allow")},
         5,
         "may use deploy"},
        {{ASKED("7", "pay.in", "allow"),
          "{\"t\":3,\"kind\":\"event\",\"uri\":\"/Agents/9\",\"parts\":[{"
          "\"type\":\"deactivate\"}]}"},
         4,
         "event: {deactivate: \"/Agents/9\"}"},
        {{ASKED("7", "pay.in", "deny")}, 0, "pay: ["},
        {{ASKED("7", "p'a\\\"y.in", "allow"), ASKED("7", "a\\\"", "allow")},
         0,
         "others: ["},
        {{ASKED("7", "x*.in", "allow"), ASKED("7", "pay.in", "allow")},
         3,
         "tools: [\"*\"]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct draft d;
        struct span text;
        draft_init(&d);
        feed(&d, rows[i].lines);
        const struct policy *p = policy_of(&d, &text);
        CHECK_UINT(p->test_count, rows[i].tests);
        CHECK(has(text, rows[i].in_it));
        check_clean(p, text);
        draft_fini(&d);
    }
}

static void the_number_of_tests_is_bounded(void **state)
{
    (void)state;
    struct draft d;
    struct span text;
    draft_init(&d);
    for (unsigned i = 0; i < 40; i++) {
        char line[256];
        const char *const lines[] = {line, NULL};
        (void)snprintf(line, sizeof line, ASKED("7", "tool%u", "allow"), i);
        feed(&d, lines);
    }
    const struct policy *p = policy_of(&d, &text);
    CHECK_UINT(p->test_count, 13);
    check_clean(p, text);
    draft_fini(&d);
}

static void hostile_names_stay_in_their_place(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "{\"t\":1,\"kind\":\"read\",\"subject_kind\":\"agent\",\"uri\":\"/A/"
        "1\","
        "\"resource\":{\"groups\":[{\"value\":\"g\\nrules: []\"}]}}",
        "{\"t\":2,\"kind\":\"question\",\"uri\":\"/A/1\",\"tool\":"
        "\"a\\\"]\\nb.c\",\"outcome\":\"allow\"}",
        "{\"t\":2,\"kind\":\"question\",\"uri\":\"/A/1\",\"tool\":\"x*.c\","
        "\"outcome\":\"allow\"}",
        "{\"t\":2,\"kind\":\"question\",\"uri\":\"/A/1\",\"tool\":\"Pay.c\","
        "\"outcome\":\"allow\"}",
        "{\"t\":2,\"kind\":\"question\",\"uri\":\"/A/1\",\"tool\":\"pay:c\","
        "\"outcome\":\"allow\"}",
        "{\"t\":2,\"kind\":\"question\",\"uri\":\"/A/1\",\"tool\":\"-.c\","
        "\"outcome\":\"allow\"}",
        "{\"t\":2,\"kind\":\"question\",\"uri\":\"/A/1\",\"tool\":\"null.c\","
        "\"outcome\":\"allow\"}",
        "{\"t\":2,\"kind\":\"question\",\"uri\":\"/A/1\",\"tool\":\"1.c\","
        "\"outcome\":\"allow\"}",
        "{\"t\":2,\"kind\":\"question\",\"uri\":\"/A/1\",\"tool\":"
        "\"everything-else.c\",\"outcome\":\"allow\"}",
        "{\"t\":3,\"kind\":\"event\",\"feed\":\"h\\n- x\",\"parts\":[{\"type\":"
        "\"a\\nb\"}]}",
        "{\"t\":3,\"kind\":\"event\"}",
        NULL};
    struct draft d;
    struct span text;
    draft_init(&d);
    feed(&d, lines);
    const struct policy *p = policy_of(&d, &text);
    CHECK_UINT(p->rule_count, 2);
    CHECK_UINT(p->class_count, 0); /* x*.c is no name: "*" for all */
    CHECK_UINT(p->gate_count, 1);
    draft_fini(&d);
}

static void nothing_gives_a_policy_too(void **state)
{
    (void)state;
    struct draft d;
    struct span text;
    draft_init(&d);
    const struct policy *p = policy_of(&d, &text);
    CHECK_UINT(p->gate_count, 1);
    draft_fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_seen_is_in_it),
        cmocka_unit_test(it_is_clean_and_tested),
        cmocka_unit_test(the_number_of_tests_is_bounded),
        cmocka_unit_test(hostile_names_stay_in_their_place),
        cmocka_unit_test(nothing_gives_a_policy_too),
    };
    arena_init(&texts, mem_system(), 16 * 1024 * 1024);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_fini(&texts);
    return failed;
}
