// SPDX-License-Identifier: Apache-2.0
/*
 * One entry of a rule's `do`: `name`, `name: value` or `name: {...}`.
 */
#include "policy/load.h"

#include <stdio.h>
#include <string.h>

static void load_review_by(struct loader *l, const struct doc *d, void *field)
{
    struct policy_step *s = field;
    s->review_by = load_filter(l, d, SCOPE_RESOURCE, &s->review_by_text);
}

/* What an unanswered review turns into; holds only ever get stricter. */
static void load_review_otherwise(struct loader *l, const struct doc *d,
                                  void *field)
{
    static const char *const words[] = {"suspended", NULL};
    struct policy_step *s = field;
    unsigned i;
    if (load_word(l, d, "otherwise", words, &i))
        s->review_otherwise = HOLD_SUSPENDED;
}

#define WITHIN                                                                 \
    {                                                                          \
        "within", load_duration, offsetof(struct policy_step, within_ms),      \
            false                                                              \
    }
#define OTHERWISE                                                              \
    {                                                                          \
        "otherwise", load_action_names,                                        \
            offsetof(struct policy_step, otherwise), false                     \
    }

static const struct member suspended_members[] = {
    {"tools", load_tools, offsetof(struct policy_step, tools), false},
};

static const struct member review_members[] = {
    {"by", load_review_by, 0, true},
    {"within", load_duration, offsetof(struct policy_step, within_ms), true},
    {"otherwise", load_review_otherwise, 0, false},
    {"tools", load_tools, offsetof(struct policy_step, tools), false},
};

/* A hold without `tools` covers every tool. */
static void all_tools_if_none(struct policy_step *s)
{
    if (s->tools.classes == 0 && s->tools.patterns.count == 0)
        s->tools.all = true;
}

static void load_suspended(struct loader *l, const struct doc *d, void *field)
{
    struct policy_step *s = field;
    s->hold = HOLD_SUSPENDED;
    (void)LOAD_MEMBERS(l, d, "suspended", suspended_members, s);
}

static void load_review(struct loader *l, const struct doc *d, void *field)
{
    struct policy_step *s = field;
    s->hold = HOLD_REVIEW;
    (void)LOAD_MEMBERS(l, d, "review", review_members, s);
}

static const struct member hold_members[] = {
    {"suspended", load_suspended, 0, false},
    {"review", load_review, 0, false},
};

/* Maps that hold exactly one of several members. */
static bool has_one(struct loader *l, const struct doc *d, const char *what)
{
    if (d->kind == DOC_MAP && d->count == 1)
        return true;
    if (d->kind == DOC_MAP && d->count > 1)
        load_key_error(l, d->first->next, NULL, "%s takes one member only",
                       what);
    else
        load_error(l, d, NULL, "%s must be a map with one member", what);
    return false;
}

static void load_hold(struct loader *l, const struct doc *d, void *field)
{
    static const char *const words[] = {"suspended", "review", NULL};
    struct policy_step *s = field;
    unsigned kind;
    s->kind = STEP_HOLD;
    if (d->kind == DOC_MAP) {
        if (has_one(l, d, "hold"))
            (void)LOAD_MEMBERS(l, d, "hold", hold_members, s);
    } else if (load_word(l, d, "hold", words, &kind)) {
        s->hold = (enum hold_kind)kind;
        if (kind == HOLD_REVIEW)
            load_error(l, d,
                       "hold: {review: {by: 'groups.value eq \"x\"', within: "
                       "24h}}",
                       "a review needs 'by' and 'within'");
    }
    all_tools_if_none(s);
}

static const struct member plain_members[] = {WITHIN, OTHERWISE};

static void load_refresh(struct loader *l, const struct doc *d, void *field)
{
    struct policy_step *s = field;
    s->kind = STEP_REFRESH;
    if (d->kind != DOC_NULL)
        (void)LOAD_MEMBERS(l, d, "refresh", plain_members, s);
}

/* ---- cancel ---- */

static void load_call_class(struct loader *l, const struct doc *d, void *field)
{
    struct tool_set *to = field;
    const struct doc *it = d->kind == DOC_LIST ? d->first : d;
    for (; it != NULL; it = d->kind == DOC_LIST ? it->next : NULL) {
        struct near n = {.word = load_near(l, it->text)};
        char advice[FAIL_TEXT_MAX];
        if (!load_is_text(l, it, "a class"))
            continue;
        int class = load_find_class(l, it->text);
        if (class >= 0)
            to->classes |= UINT32_C(1) << class;
        for (unsigned i = 0; class < 0 && i < l->p->class_count; i++)
            near_try(&n, l->p->classes[i].name);
        if (class < 0)
            load_error(l, it, near_advice(&n, advice),
                       "there is no class '%.*s' under tool_classes",
                       PRSPAN(it->text));
    }
}

static const struct member call_members[] = {
    {"class", load_call_class, 0, false},
    {"tools", load_tools, 0, false},
};

static void load_calls(struct loader *l, const struct doc *d, void *field)
{
    struct tool_set *to = field;
    if (d->kind == DOC_MAP) {
        if (has_one(l, d, "calls"))
            (void)LOAD_MEMBERS(l, d, "calls", call_members, to);
    } else if (d->kind == DOC_TEXT && span_eq(d->text, SPAN("all"))) {
        to->all = true;
    } else {
        load_refuse(l, d, "calls",
                    "all, {class: money} or {tools: [\"payments.*\"]}");
    }
}

static const struct member cancel_members[] = {
    {"calls", load_calls, offsetof(struct policy_step, tools), true},
    WITHIN,
    OTHERWISE,
};

static void load_cancel(struct loader *l, const struct doc *d, void *field)
{
    struct policy_step *s = field;
    s->kind = STEP_CANCEL;
    if (d->kind == DOC_NULL)
        s->tools.all = true;
    else if (d->kind == DOC_MAP)
        (void)LOAD_MEMBERS(l, d, "cancel", cancel_members, s);
    else
        load_calls(l, d, &s->tools);
}

/* ---- revoke, purge ---- */

static void load_tokens(struct loader *l, const struct doc *d, void *field)
{
    static const char *const words[] = {"all", NULL};
    unsigned i;
    (void)field;
    (void)load_word(l, d, "tokens", words, &i);
}

static const struct member revoke_members[] = {
    {"tokens", load_tokens, 0, true},
    WITHIN,
    OTHERWISE,
};

static void load_revoke(struct loader *l, const struct doc *d, void *field)
{
    struct policy_step *s = field;
    s->kind = STEP_REVOKE;
    if (d->kind == DOC_TEXT)
        load_tokens(l, d, s);
    else if (d->kind != DOC_NULL)
        (void)LOAD_MEMBERS(l, d, "revoke", revoke_members, s);
}

static const char *const purge_words[] = {"queue", "cache", "browser_profile",
                                          "jobs", NULL};
#define PURGE_COUNT 4

static void load_stores(struct loader *l, const struct doc *d, void *field)
{
    struct names *to = field;
    const struct doc *it = d->kind == DOC_LIST ? d->first : d;
    struct span *at = load_alloc(l, PURGE_COUNT, sizeof *at);
    to->at = at;
    if (d->kind == DOC_LIST && d->count == 0)
        load_error(l, d, NULL, "the list is empty");
    for (; at != NULL && it != NULL;
         it = d->kind == DOC_LIST ? it->next : NULL) {
        unsigned i;
        if (!load_word(l, it, "purge", purge_words, &i))
            continue;
        if (load_has_name(to, it->text))
            load_error(l, it, NULL, "'%.*s' is there twice", PRSPAN(it->text));
        else
            at[to->count++] = span_str(purge_words[i]);
    }
}

static const struct member purge_members[] = {
    {"stores", load_stores, offsetof(struct policy_step, purge), true},
    WITHIN,
    OTHERWISE,
};

static void load_purge(struct loader *l, const struct doc *d, void *field)
{
    struct policy_step *s = field;
    s->kind = STEP_PURGE;
    if (d->kind == DOC_MAP) {
        (void)LOAD_MEMBERS(l, d, "purge", purge_members, s);
        return;
    }
    if (d->kind != DOC_NULL) {
        load_stores(l, d, &s->purge);
        return;
    }
    struct span *at = load_alloc(l, PURGE_COUNT, sizeof *at);
    s->purge.at = at;
    for (unsigned i = 0; at != NULL && i < PURGE_COUNT; i++)
        at[s->purge.count++] = span_str(purge_words[i]);
}

/* ---- release ---- */

static void load_set_by(struct loader *l, const struct doc *d, void *field)
{
    load_texts(l, d, field);
    const struct doc *it = d->kind == DOC_LIST ? d->first : d;
    for (; it != NULL; it = d->kind == DOC_LIST ? it->next : NULL) {
        struct near n = {.word = load_near(l, it->text)};
        char advice[FAIL_TEXT_MAX];
        if (it->kind != DOC_TEXT || load_has_name(&l->rule_names, it->text))
            continue;
        for (unsigned i = 0; i < l->rule_names.count; i++)
            near_try(&n, l->rule_names.at[i]);
        load_error(l, it, near_advice(&n, advice), "there is no rule '%.*s'",
                   PRSPAN(it->text));
    }
}

static const struct member set_by_members[] = {
    {"set_by", load_set_by, offsetof(struct policy_step, set_by), true},
};

static void load_released(struct loader *l, const struct doc *d, void *field)
{
    struct policy_step *s = field;
    s->hold = HOLD_SUSPENDED;
    (void)LOAD_MEMBERS(l, d, "release", set_by_members, s);
}

static const struct member release_members[] = {
    {"suspended", load_released, 0, true},
};

static void load_release(struct loader *l, const struct doc *d, void *field)
{
    struct policy_step *s = field;
    s->kind = STEP_RELEASE;
    if (d->kind == DOC_MAP && doc_get(d, SPAN("review")) != NULL)
        load_error(l, d, NULL, "a review ends by its approval, not by a rule");
    else if (d->kind == DOC_MAP)
        (void)LOAD_MEMBERS(l, d, "release", release_members, s);
    else
        load_error(l, d, "release: {suspended: {set_by: [rule]}}",
                   "a release must say what it releases");
}

/* ---- actions ---- */

static bool set_action(struct loader *l, struct policy_step *s,
                       struct span name)
{
    s->kind = STEP_ACTION;
    s->action = load_find_action(l, name);
    return s->action >= 0;
}

static void load_notify(struct loader *l, const struct doc *d, void *field)
{
    if (load_is_text(l, d, "notify") && !set_action(l, field, d->text))
        load_refuse_action(l, d);
}

/* ---- the entry ---- */

static const struct {
    const char *name;
    void (*load)(struct loader *l, const struct doc *d, void *step);
} steps[] = {
    {"hold", load_hold},     {"refresh", load_refresh},
    {"cancel", load_cancel}, {"revoke", load_revoke},
    {"purge", load_purge},   {"release", load_release},
    {"notify", load_notify},
};
#define STEP_WORDS (sizeof steps / sizeof steps[0])

static void unknown_step(struct loader *l, const struct doc *d,
                         struct span name, bool is_key)
{
    struct near n = {.word = load_near(l, name)};
    char advice[FAIL_TEXT_MAX];
    for (unsigned i = 0; i < STEP_WORDS; i++)
        near_try(&n, span_str(steps[i].name));
    for (unsigned i = 0; i < l->p->action_count; i++)
        near_try(&n, l->p->actions[i].name);
    const size_t at = strlen(near_advice(&n, advice));
    const bool suspend = span_starts(name, SPAN("suspend"));
    (void)snprintf(advice + at, sizeof advice - at, "%s",
                   suspend  ? "hold: suspended"
                   : at > 0 ? " an action needs an entry under actions"
                            : "steps are hold refresh cancel revoke purge "
                              "release notify; an action needs an entry under "
                              "actions");
    if (is_key)
        load_key_error(l, d, advice, "'%.*s' is no step and no action",
                       PRSPAN(name));
    else
        load_error(l, d, advice, "'%.*s' is no step and no action",
                   PRSPAN(name));
}

static void load_named(struct loader *l, const struct doc *d, struct span name,
                       bool is_key, struct policy_step *s)
{
    const struct doc none = {
        .kind = DOC_NULL, .line = d->line, .column = d->column, .text = name};
    const struct doc *value = is_key ? d : &none;
    for (unsigned i = 0; i < STEP_WORDS; i++) {
        if (span_eq(name, span_str(steps[i].name))) {
            steps[i].load(l, value, s);
            return;
        }
    }
    if (!set_action(l, s, name))
        unknown_step(l, d, name, is_key);
    else if (value->kind != DOC_NULL)
        (void)LOAD_MEMBERS(l, value, "an action step", plain_members, s);
}

void load_step(struct loader *l, const struct doc *d, struct policy_step *s)
{
    if (d->kind == DOC_TEXT && d->text.n > 0)
        load_named(l, d, d->text, false, s);
    else if (d->kind == DOC_MAP && d->count == 1)
        load_named(l, d->first, d->first->key, true, s);
    else if (d->kind == DOC_MAP && d->count > 1)
        load_key_error(l, d->first->next, "start each step with its own '- '",
                       "one entry of do has two steps");
    else
        load_error(l, d, NULL, "a step is a name or 'name: ...'");
}
