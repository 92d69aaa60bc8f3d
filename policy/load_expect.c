// SPDX-License-Identifier: Apache-2.0
/*
 * `expect:` of a test: words that are compared as sets, gate questions, states
 * of jobs. Names of rules and actions are checked here, so that a misspelt one
 * is an error and not a test that fails for another reason.
 */
#include "policy/load_test.h"

/* ---- vocabularies ---- */

struct vocabulary {
    const char *what;
    const char *const *words; /* NULL ends them */
    bool rules, actions;
};

static const char *const job_words[] = {"cancel", "revoke", "purge", NULL};
static const char *const hold_words[] = {"suspended", "review", "uncovered",
                                         "none", NULL};
static const char *const step_words[] = {
    "hold", "refresh", "cancel", "revoke", "purge", "action", "release", NULL};
static const char *const state_words[] = {
    "pending", "running",   "confirmed",          "refused",
    "failed",  "abandoned", "nothing_registered", "withheld",
    NULL};
static const char *const no_words[] = {NULL};

static const struct vocabulary holds = {"kind of hold", hold_words, false,
                                        false};
static const struct vocabulary jobs = {"action", job_words, false, true};
static const struct vocabulary steps = {"kind of step", step_words, false,
                                        false};
static const struct vocabulary rules = {"rule", no_words, true, false};
static const struct vocabulary states = {"state of a job", state_words, false,
                                         false};

static bool try_word(struct near *n, struct span candidate)
{
    near_try(n, candidate);
    return span_eq(n->word, candidate);
}

static void check_word(struct loader *l, const struct doc *d, struct span word,
                       bool key, const struct vocabulary *v)
{
    struct near n = {.word = load_near(l, word)};
    char advice[FAIL_TEXT_MAX];
    for (unsigned i = 0; v->words[i] != NULL; i++)
        if (try_word(&n, span_str(v->words[i])))
            return;
    for (unsigned i = 0; v->rules && i < l->p->rule_count; i++)
        if (try_word(&n, l->p->rules[i].name))
            return;
    for (unsigned i = 0; v->actions && i < l->p->action_count; i++)
        if (try_word(&n, l->p->actions[i].name))
            return;
    (void)load_advice(&n, v->words, advice);
    if (key)
        load_key_error(l, d, advice, "there is no %s '%.*s'", v->what,
                       PRSPAN(word));
    else
        load_error(l, d, advice, "there is no %s '%.*s'", v->what,
                   PRSPAN(word));
}

void load_test_action(struct loader *l, const struct doc *d, struct span word,
                      bool key)
{
    check_word(l, d, word, key, &jobs);
}

/* ---- sets of words ---- */

/* One word or a list; the list may be empty, which means none. */
static void load_words(struct loader *l, const struct doc *d,
                       struct test_words *to, const struct vocabulary *v)
{
    to->asked = true;
    to->line = d->line;
    if (d->kind == DOC_LIST && d->count == 0)
        return;
    load_texts(l, d, &to->names);
    const struct doc *it = d->kind == DOC_LIST ? d->first : d;
    for (; v != NULL && it != NULL; it = d->kind == DOC_LIST ? it->next : NULL)
        if (it->kind == DOC_TEXT && it->text.n > 0)
            check_word(l, it, it->text, false, v);
}

static void load_hold(struct loader *l, const struct doc *d, void *field)
{
    struct test_words *to = field;
    load_words(l, d, to, &holds);
    bool none = load_has_name(&to->names, SPAN("none"));
    if (none && to->names.count > 1)
        load_error(l, d, NULL, "none stands alone");
    if (none)
        to->names.count = 0;
}

static void load_jobs_words(struct loader *l, const struct doc *d, void *field)
{
    load_words(l, d, field, &jobs);
}

static void load_step_words(struct loader *l, const struct doc *d, void *field)
{
    load_words(l, d, field, &steps);
}

static void load_rule_words(struct loader *l, const struct doc *d, void *field)
{
    load_words(l, d, field, &rules);
}

static void load_tool_words(struct loader *l, const struct doc *d, void *field)
{
    load_words(l, d, field, NULL);
}

static void load_standing(struct loader *l, const struct doc *d, void *field)
{
    static const char *const words[] = {"may_act", "inactive", "stale", "held",
                                        "unknown", "gone",     NULL};
    struct test_expect *e = field;
    unsigned i;
    e->standing_line = d->line;
    if (load_word(l, d, "standing", words, &i))
        e->standing = span_str(words[i]);
}

/* ---- gate ---- */

static void load_decision(struct loader *l, const struct doc *d, void *field)
{
    static const char *const words[] = {"deny", "allow", NULL};
    bool *to = field;
    unsigned i;
    if (load_word(l, d, "decision", words, &i))
        *to = i == 1;
}

static void load_would(struct loader *l, const struct doc *d, void *field)
{
    struct test_gate *g = field;
    g->would_asked = true;
    load_truth(l, d, &g->would);
}

static const struct member gate_members[] = {
    {"tool", load_text, offsetof(struct test_gate, tool), true},
    {"decision", load_decision, offsetof(struct test_gate, allow), true},
    {"agent", load_test_path, offsetof(struct test_gate, agent), false},
    {"run", load_text, offsetof(struct test_gate, run), false},
    {"reason", load_text, offsetof(struct test_gate, reason), false},
    {"rule", load_text, offsetof(struct test_gate, rule), false},
    {"would", load_would, 0, false},
};

static void load_gate(struct loader *l, const struct doc *d, void *field)
{
    struct test_expect *e = field;
    unsigned count = d->kind == DOC_LIST ? d->count : 1;
    if (count == 0 || count > POLICY_LIST_MAX) {
        load_error(l, d, NULL, "gate must be a list of 1 to %d questions",
                   POLICY_LIST_MAX);
        return;
    }
    struct test_gate *g = load_alloc(l, count, sizeof *g);
    e->gates = g;
    const struct doc *it = d->kind == DOC_LIST ? d->first : d;
    for (; g != NULL && it != NULL && e->gate_count < count; it = it->next) {
        g[e->gate_count].line = it->line;
        (void)LOAD_MEMBERS(l, it, "a gate question", gate_members,
                           &g[e->gate_count]);
        e->gate_count++;
    }
}

/* ---- jobs ---- */

static void load_jobs(struct loader *l, const struct doc *d, void *field)
{
    struct test_expect *e = field;
    if (d->kind != DOC_MAP) {
        load_error(l, d, "{revoke: confirmed}",
                   "jobs must be a map of actions");
        return;
    }
    struct test_job *j = load_list(l, d, "jobs", POLICY_LIST_MAX, sizeof *j);
    e->jobs = j;
    for (const struct doc *it = d->first; j != NULL && it != NULL;
         it = it->next, j++) {
        struct test_words words = {.asked = true};
        load_test_action(l, it, it->key, true);
        load_words(l, it, &words, &states);
        j->action = load_copy(l, it->key);
        j->states = words.names;
        j->line = it->line;
        e->job_count++;
    }
}

/* ---- the whole ---- */

#define AT(field) offsetof(struct test_expect, field)
static const struct member expect_members[] = {
    {"agent", load_test_path, AT(agent), false},
    {"hold", load_hold, AT(hold), false},
    {"actions", load_jobs_words, AT(actions), false},
    {"would", load_step_words, AT(would), false},
    {"not_permitted", load_step_words, AT(not_permitted), false},
    {"rules", load_rule_words, AT(rules), false},
    {"pending", load_rule_words, AT(pending), false},
    {"calls", load_tool_words, AT(calls), false},
    {"standing", load_standing, 0, false},
    {"gate", load_gate, 0, false},
    {"jobs", load_jobs, 0, false},
};
#undef AT

static void load_one(struct loader *l, const struct doc *d,
                     struct test_expect *e)
{
    bool good = LOAD_MEMBERS(l, d, "expect", expect_members, e);
    if (good && d->count - (doc_get(d, SPAN("agent")) != NULL) == 0)
        load_error(l, d, "hold, actions, gate, standing, jobs, rules ...",
                   "nothing is expected here");
}

void load_test_expect(struct loader *l, const struct doc *d,
                      struct test_step *step)
{
    step->kind = TEST_STEP_EXPECT;
    unsigned count = d->kind == DOC_LIST ? d->count : 1;
    if (count == 0 || count > POLICY_LIST_MAX) {
        load_error(l, d, NULL, "expect must be a list of 1 to %d",
                   POLICY_LIST_MAX);
        return;
    }
    struct test_expect *e = load_alloc(l, count, sizeof *e);
    step->expect.at = e;
    const struct doc *it = d->kind == DOC_LIST ? d->first : d;
    for (; e != NULL && it != NULL && step->expect.count < count; it = it->next)
        load_one(l, it, &e[step->expect.count++]);
}
