// SPDX-License-Identifier: Apache-2.0
/*
 * `rules:` and `gate:`.
 */
#include "policy/load.h"

#include <stdio.h>

#define CHANGES                                                                \
    (EVENT_BIT(EVENT_CREATE) | EVENT_BIT(EVENT_PATCH) | EVENT_BIT(EVENT_PUT) | \
     EVENT_BIT(EVENT_REFRESHED))
#define SCHEDULES (EVENT_BIT(EVENT_SCHEDULED) | EVENT_BIT(EVENT_IDLE))

/* ---- events ---- */

static const char *event_advice(struct loader *l, struct span name,
                                char to[FAIL_TEXT_MAX])
{
    struct near n = {.word = load_near(l, name)};
    event_type_near(&n, name);
    if (near_advice(&n, to)[0] != 0)
        return to;
    return "create patch put delete activate deactivate; families: feed.* "
           "caep.* risc.*; schedules: {every: 90d} {idle: 30d}";
}

static void add_event(struct loader *l, const struct doc *d,
                      struct policy_rule *r)
{
    char advice[FAIL_TEXT_MAX];
    enum event_type type;
    if (d->kind == DOC_MAP) {
        load_schedule(l, d, r);
        return;
    }
    if (!load_is_text(l, d, "an event"))
        return;
    event_mask family = event_family(d->text);
    if (family != 0) {
        r->events |= family;
        return;
    }
    if (event_type_from_name(d->text, &type)) {
        if ((EVENT_BIT(type) & SCHEDULES) != 0)
            load_error(l, d,
                       type == EVENT_IDLE ? "{idle: 30d}" : "{every: 90d}",
                       "'%.*s' needs a duration", PRSPAN(d->text));
        r->events |= EVENT_BIT(type);
        return;
    }
    load_error(l, d, event_advice(l, d->text, advice),
               "there is no event '%.*s'", PRSPAN(d->text));
}

static void load_events(struct loader *l, const struct doc *d, void *field)
{
    struct policy_rule *r = field;
    if (d->kind != DOC_LIST) {
        add_event(l, d, r);
        return;
    }
    if (d->count == 0)
        load_error(l, d, NULL, "the list is empty");
    DOC_EACH (it, d)
        add_event(l, it, r);
}

/* ---- whom it is about ---- */

static void load_subject(struct loader *l, const struct doc *d, void *field)
{
    static const char *const words[] = {"agent", "user", "group", NULL};
    enum subject_kind *to = field;
    unsigned i;
    if (load_word(l, d, "subject", words, &i))
        *to = (enum subject_kind)i;
}

static void load_left(struct loader *l, const struct doc *d, void *field)
{
    static const char *const words[] = {"last_owner", "any_owner", NULL};
    enum applies_to *to = field;
    unsigned i;
    if (load_word(l, d, "left", words, &i))
        *to = i == 0 ? APPLIES_OWNED_LAST : APPLIES_OWNED_ANY;
}

static const struct member left_members[] = {{"left", load_left, 0, true}};

static void load_owned(struct loader *l, const struct doc *d, void *field)
{
    (void)LOAD_MEMBERS(l, d, "owned_agents", left_members, field);
}

static const struct member owned_members[] = {
    {"owned_agents", load_owned, 0, true}};

static void load_applies(struct loader *l, const struct doc *d, void *field)
{
    static const char *const words[] = {"subject", "members", "children",
                                        "owned_agents", NULL};
    static const enum applies_to kinds[] = {APPLIES_SUBJECT, APPLIES_MEMBERS,
                                            APPLIES_CHILDREN};
    enum applies_to *to = field;
    unsigned i;
    if (d->kind == DOC_MAP)
        (void)LOAD_MEMBERS(l, d, "applies_to", owned_members, to);
    else if (!load_word(l, d, "applies_to", words, &i))
        return;
    else if (i == 3)
        load_error(l, d, "{owned_agents: {left: last_owner}} or any_owner",
                   "owned_agents must say which owner left");
    else
        *to = kinds[i];
}

/* ---- what changed, where, from whom ---- */

static bool add_changed(struct loader *l, const struct doc *d,
                        struct attr_path *to)
{
    struct fail f = {0};
    if (!load_is_text(l, d, "an attribute"))
        return false;
    int rc = attr_path_parse(l->m, d->text, to, &f);
    l->no_memory = l->no_memory || rc == RC_NO_MEMORY;
    if (rc < 0)
        load_error(l, d, NULL, "'%.*s': %s", PRSPAN(d->text), f.text);
    else
        load_add_attribute(l, to, d);
    return rc == 0;
}

static void load_changed(struct loader *l, const struct doc *d, void *field)
{
    struct policy_rule *r = field;
    const struct doc *it = d->kind == DOC_LIST ? d->first : d;
    unsigned count = d->kind == DOC_LIST ? d->count : 1;
    if (count == 0 || count > POLICY_LIST_MAX) {
        load_error(l, d, NULL, "changed must be a list of 1 to %d",
                   POLICY_LIST_MAX);
        return;
    }
    struct attr_path *at = load_alloc(l, count, sizeof *at);
    r->changed = at;
    for (; at != NULL && it != NULL && count-- > 0; it = it->next)
        r->changed_count += add_changed(l, it, &at[r->changed_count]);
}

static bool is_feed_name(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '_')
            return false;
    return s.n <= 32 && load_is_name(s);
}

static void load_rule_feeds(struct loader *l, const struct doc *d, void *field)
{
    struct names *to = field;
    load_texts(l, d, to);
    for (unsigned i = 0; i < to->count; i++)
        if (!is_feed_name(to->at[i]))
            load_error(l, d, "lower-case letters, digits and -",
                       "'%.*s' cannot name a feed", PRSPAN(to->at[i]));
}

static void load_do(struct loader *l, const struct doc *d, void *field)
{
    struct policy_rule *r = field;
    if (d->kind != DOC_LIST || d->count == 0) {
        load_error(l, d, "do: [refresh]", "do must be a list of steps");
        return;
    }
    struct policy_step *s =
        load_list(l, d, "steps", POLICY_STEPS_MAX, sizeof *s);
    r->steps = s;
    for (const struct doc *it = d->first; s != NULL && it != NULL;
         it = it->next)
        load_step(l, it, &s[r->step_count++]);
}

static bool has_release(const struct policy_rule *r)
{
    for (unsigned i = 0; i < r->step_count; i++)
        if (r->steps[i].kind == STEP_RELEASE)
            return true;
    return false;
}

/* Event data may make a tightening rule true, never a release. */
static void load_where(struct loader *l, const struct doc *d, void *field)
{
    struct policy_rule *r = field;
    r->where = load_filter(l, d, has_release(r) ? SCOPE_RESOURCE : SCOPE_EVENT,
                           &r->where_text);
}

static void load_agents_where(struct loader *l, const struct doc *d,
                              void *field)
{
    struct policy_rule *r = field;
    r->agents_where = load_filter(l, d, SCOPE_RESOURCE, NULL);
}

static const struct member rule_members[] = {
    {"name", load_name, offsetof(struct policy_rule, name), true},
    {"events", load_events, 0, true},
    {"subject", load_subject, offsetof(struct policy_rule, subject), false},
    {"applies_to", load_applies, offsetof(struct policy_rule, applies_to),
     false},
    {"agents_where", load_agents_where, 0, false},
    {"changed", load_changed, 0, false},
    {"feeds", load_rule_feeds, offsetof(struct policy_rule, feeds), false},
    {"mode", load_mode, offsetof(struct policy_rule, mode), false},
    {"do", load_do, 0, true},
    {"where", load_where, 0, false}, /* after `do`, which it looks at */
};

static void check_rule(struct loader *l, const struct doc *d,
                       const struct policy_rule *r)
{
    const struct doc *name = doc_get(d, SPAN("name"));
    const struct doc *it = name == NULL ? d : name;
    if (r->changed_count > 0 && (r->events & CHANGES) == 0 && r->events != 0)
        load_warning(l, doc_get(d, SPAN("changed")),
                     "add patch or put to events",
                     "none of the events says what changed");
    if (r->applies_to == APPLIES_MEMBERS && r->subject != SUBJECT_GROUP)
        load_error(l, doc_get(d, SPAN("applies_to")), "add subject: group",
                   "only groups have members");
    if (doc_get(d, SPAN("agents_where")) != NULL &&
        r->applies_to == APPLIES_SUBJECT)
        load_key_error(l, doc_get(d, SPAN("agents_where")),
                       "add applies_to, or write the condition into where",
                       "agents_where narrows members, children or owned "
                       "agents");
    check_schedule(l, d, r);
    if (!has_release(r))
        return;
    if (r->applies_to != APPLIES_SUBJECT || r->subject != SUBJECT_AGENT)
        load_error(l, it, NULL, "a release is about the agent itself");
    if (r->feeds.count > 0 || r->changed_count > 0)
        load_error(l, it,
                   "release in a rule without them; `may` in `feeds` says "
                   "whose events count for it",
                   "`feeds` and `changed` cannot restrict a release: a read "
                   "decides it");
    if (r->where == NULL && doc_get(d, SPAN("where")) == NULL)
        load_warning(l, it, "add where: 'active eq true'",
                     "any qualifying read releases these holds");
}

static bool all_release(const struct policy_rule *r)
{
    for (unsigned i = 0; i < r->step_count; i++)
        if (r->steps[i].kind != STEP_RELEASE)
            return false;
    return r->step_count > 0;
}

static void load_rule(struct loader *l, const struct doc *d,
                      struct policy_rule *r)
{
    r->line = d->line;
    r->subject = l->p->rule_subject;
    const bool whole = LOAD_MEMBERS(l, d, "a rule", rule_members, r);
    r->only_releases = all_release(r);
    if (whole)
        check_rule(l, d, r);
}

/* Is an entry before `d` in this list of rules or gate rules named like it? */
static void check_name(struct loader *l, const struct doc *list,
                       const struct doc *d, const char *what)
{
    const struct doc *name = doc_get(d, SPAN("name"));
    if (name == NULL || name->text.n == 0)
        return;
    for (const struct doc *it = list->first; it != d; it = it->next) {
        const struct doc *other = doc_get(it, SPAN("name"));
        char advice[FAIL_TEXT_MAX];
        if (other == NULL || !span_eq(other->text, name->text))
            continue;
        (void)snprintf(advice, sizeof advice, "the other one is in line %u",
                       other->line);
        load_error(l, name, advice, "%s are named '%.*s'", what,
                   PRSPAN(name->text));
        return;
    }
}

/* Names first: a release may name a rule that stands below it. */
static void collect_rule_names(struct loader *l, const struct doc *d)
{
    struct span *at = load_alloc(l, d->count, sizeof *at);
    l->rule_names.at = at;
    if (at == NULL)
        return;
    DOC_EACH (it, d) {
        const struct doc *name = doc_get(it, SPAN("name"));
        if (name == NULL || name->text.n == 0)
            continue;
        if (load_has_name(&l->rule_names, name->text))
            check_name(l, d, it, "two rules");
        else
            at[l->rule_names.count++] = name->text;
    }
}

void load_rules(struct loader *l, const struct doc *d, void *policy)
{
    struct policy *p = policy;
    if (d->kind != DOC_LIST) {
        load_error(l, d, "start each rule with '- name: ...'",
                   "rules must be a list");
        return;
    }
    struct policy_rule *r =
        load_list(l, d, "rules", POLICY_RULES_MAX, sizeof *r);
    p->rules = r;
    if (r == NULL)
        return;
    collect_rule_names(l, d);
    DOC_EACH (it, d)
        load_rule(l, it, &r[p->rule_count++]);
}

/* ---- gate ---- */

static void visit_call(void *ctx, const struct attr_path *path)
{
    bool *reads = ctx;
    if (filter_path_source(path) == FILTER_CALL && path->sub.n > 0)
        *reads = true;
}

/* `tool` and `tool_class` are part of what an answer is cached for; the rest
 * of the call is not. */
static void load_require(struct loader *l, const struct doc *d, void *field)
{
    struct policy_gate *g = field;
    g->require = load_filter(l, d, SCOPE_CALL, &g->require_text);
    if (g->require != NULL)
        filter_visit(g->require, visit_call, &g->reads_call);
}

static const struct member gate_members[] = {
    {"name", load_name, offsetof(struct policy_gate, name), true},
    {"tools", load_tools, offsetof(struct policy_gate, tools), true},
    {"require", load_require, 0, false},
    {"max_age", load_duration, offsetof(struct policy_gate, max_age_ms), false},
    {"when_old", load_when_old, offsetof(struct policy_gate, old_allow_for_ms),
     false},
    {"mode", load_mode, offsetof(struct policy_gate, mode), false},
};

void load_gates(struct loader *l, const struct doc *d, void *policy)
{
    struct policy *p = policy;
    if (d->kind != DOC_LIST) {
        load_error(l, d, "start each gate rule with '- name: ...'",
                   "gate must be a list");
        return;
    }
    struct policy_gate *g =
        load_list(l, d, "gate rules", POLICY_GATES_MAX, sizeof *g);
    p->gates = g;
    p->gates_from_ms = INT64_MAX;
    for (const struct doc *it = d->first; g != NULL && it != NULL;
         it = it->next) {
        struct policy_gate *one = &g[p->gate_count++];
        one->line = it->line;
        one->old_allow_for_ms = POLICY_DEFAULT;
        (void)LOAD_MEMBERS(l, it, "a gate rule", gate_members, one);
        check_name(l, d, it, "two gate rules");
        int64_t from = one->mode.audit ? one->mode.until_ms : INT64_MIN;
        if (from < p->gates_from_ms)
            p->gates_from_ms = from;
    }
}
