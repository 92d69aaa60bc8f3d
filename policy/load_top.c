// SPDX-License-Identifier: Apache-2.0
/*
 * The top level of a policy file, its defaults, and the policy that is built
 * in. Start reading at policy_load.
 */
#include "policy/load.h"

#include <string.h>

#include "policy/index.h"
#include "sidecar/base/time_text.h"

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)

/* ---- mode and other words ---- */

static void load_until(struct loader *l, const struct doc *d, void *field)
{
    struct policy_mode *m = field;
    m->audit = true;
    if (d->kind != DOC_TEXT || !time_parse(d->text, &m->until_ms))
        load_error(l, d, "until: 2027-02-01", "'%.*s' is not a date",
                   PRSPAN(d->text));
}

static const struct member audit_members[] = {{"until", load_until, 0, true}};

static void load_audit(struct loader *l, const struct doc *d, void *field)
{
    (void)LOAD_MEMBERS(l, d, "audit", audit_members, field);
}

static const struct member mode_members[] = {{"audit", load_audit, 0, true}};

void load_mode(struct loader *l, const struct doc *d, void *field)
{
    static const char *const words[] = {"enforce", "audit", NULL};
    unsigned i;
    if (d->kind == DOC_MAP)
        (void)LOAD_MEMBERS(l, d, "mode", mode_members, field);
    else if (load_word(l, d, "mode", words, &i) && i == 1)
        load_error(l, d, "mode: {audit: {until: 2027-02-01}}",
                   "audit mode needs an end date");
}

static void load_unknown(struct loader *l, const struct doc *d, void *field)
{
    static const char *const words[] = {"deny", "lookup", NULL};
    bool *lookup = field;
    unsigned i;
    if (load_word(l, d, "unknown_agent", words, &i))
        *lookup = i == 1;
}

static void load_rule_subject(struct loader *l, const struct doc *d,
                              void *field)
{
    static const char *const words[] = {"agent", "user", "group", NULL};
    enum subject_kind *to = field;
    unsigned i;
    if (load_word(l, d, "rule_subject", words, &i))
        *to = (enum subject_kind)i;
}

/* ---- refresh ---- */

static const struct member allow_members[] = {
    {"allow_for", load_duration, 0, true}};

void load_when_old(struct loader *l, const struct doc *d, void *field)
{
    int64_t *to = field;
    if (d->kind == DOC_MAP)
        (void)LOAD_MEMBERS(l, d, "when_old", allow_members, to);
    else if (d->kind == DOC_TEXT && span_eq(d->text, SPAN("deny")))
        *to = 0;
    else
        load_refuse(l, d, "when_old", "deny, or {allow_for: 5m}");
}

static void load_when_changed(struct loader *l, const struct doc *d,
                              void *field)
{
    (void)field;
    if (d->kind != DOC_TEXT || !span_eq(d->text, SPAN("deny")))
        load_error(l, d, "when_changed: deny",
                   "after an event a failed read can only deny");
}

static void load_settle(struct loader *l, const struct doc *d, void *field)
{
    int64_t *to = field;
    if (d->kind == DOC_TEXT && span_eq(d->text, SPAN("0s")))
        *to = 0;
    else
        load_duration(l, d, field);
}

static const struct member refresh_members[] = {
    {"timeout", load_duration, offsetof(struct policy, refresh_timeout_ms),
     false},
    {"when_old", load_when_old, offsetof(struct policy, old_allow_for_ms),
     false},
    {"when_changed", load_when_changed, 0, false},
    {"settle", load_settle, offsetof(struct policy, settle_ms), false},
};

static void load_refresh(struct loader *l, const struct doc *d, void *field)
{
    (void)LOAD_MEMBERS(l, d, "refresh", refresh_members, field);
}

/* ---- open calls, silent feeds ---- */

static void load_read(struct loader *l, const struct doc *d, void *field)
{
    static const char *const words[] = {"now", "at_next_question", NULL};
    bool *now = field;
    unsigned i;
    if (load_word(l, d, "read", words, &i))
        *now = i == 0;
}

static void load_if_denied(struct loader *l, const struct doc *d, void *field)
{
    static const char *const words[] = {"leave", "cancel", NULL};
    enum when_denied *to = field;
    unsigned i;
    if (load_word(l, d, "if_denied", words, &i))
        *to = i == 0 ? OPEN_LEAVE : OPEN_CANCEL;
}

static const struct member open_members[] = {
    {"read", load_read, offsetof(struct policy, read_open_calls_now), false},
    {"if_denied", load_if_denied, offsetof(struct policy, open_calls_denied),
     false},
};

static void load_open_calls(struct loader *l, const struct doc *d, void *field)
{
    (void)LOAD_MEMBERS(l, d, "open_calls", open_members, field);
}

static void load_then(struct loader *l, const struct doc *d, void *field)
{
    static const char *const words[] = {"record", "refresh", NULL};
    bool *refresh = field;
    unsigned i;
    if (load_word(l, d, "then", words, &i))
        *refresh = i == 1;
}

static const struct member silent_members[] = {
    {"after", load_duration, offsetof(struct policy, feed_silent_ms), true},
    {"then", load_then, offsetof(struct policy, feed_silent_refresh), false},
};

static void load_silent(struct loader *l, const struct doc *d, void *field)
{
    struct policy *p = field;
    if (d->kind == DOC_MAP)
        (void)LOAD_MEMBERS(l, d, "feed_silent", silent_members, p);
    else if (d->kind == DOC_TEXT && span_eq(d->text, SPAN("never")))
        p->feed_silent_ms = 0;
    else
        load_refuse(l, d, "feed_silent",
                    "never, or {after: 10m, then: refresh}");
}

static const struct member default_members[] = {
    {"mode", load_mode, offsetof(struct policy, mode), false},
    {"unknown_agent", load_unknown, offsetof(struct policy, lookup_unknown),
     false},
    {"rule_subject", load_rule_subject, offsetof(struct policy, rule_subject),
     false},
    {"max_age", load_duration, offsetof(struct policy, max_age_ms), false},
    {"refresh", load_refresh, 0, false},
    {"open_calls", load_open_calls, 0, false},
    {"feed_silent", load_silent, 0, false},
};

static void load_defaults(struct loader *l, const struct doc *d, void *field)
{
    (void)LOAD_MEMBERS(l, d, "defaults", default_members, field);
}

/* ---- agents, classes, feeds, tests ---- */

static void load_agents_where(struct loader *l, const struct doc *d,
                              void *field)
{
    struct policy *p = field;
    p->agents_where = load_filter(l, d, SCOPE_RESOURCE, NULL);
}

static const struct member agents_members[] = {
    {"where", load_agents_where, 0, true}};

static void load_agents(struct loader *l, const struct doc *d, void *field)
{
    (void)LOAD_MEMBERS(l, d, "agents", agents_members, field);
}

static void load_classes(struct loader *l, const struct doc *d, void *field)
{
    struct policy *p = field;
    if (d->kind != DOC_MAP) {
        load_error(l, d, "money: [\"payments.*\"]",
                   "tool_classes must be a map of names");
        return;
    }
    struct policy_class *c =
        load_list(l, d, "tool classes", POLICY_CLASSES_MAX, sizeof *c);
    p->classes = c;
    for (const struct doc *it = d->first; c != NULL && it != NULL;
         it = it->next) {
        struct policy_class *one = &c[p->class_count++];
        if (!load_is_name(it->key))
            load_key_error(l, it, "use lower-case letters, digits, - and _",
                           "'%.*s' cannot name a class", PRSPAN(it->key));
        one->name = load_copy(l, it->key);
        load_texts(l, it, &one->patterns);
    }
}

static void load_may(struct loader *l, const struct doc *d, void *field)
{
    static const char *const words[] = {"suspend", "refresh", "release",
                                        "revoke", NULL};
    unsigned *may = field;
    const struct doc *it = d->kind == DOC_LIST ? d->first : d;
    *may = 0;
    for (; it != NULL; it = d->kind == DOC_LIST ? it->next : NULL) {
        unsigned i;
        if (load_word(l, it, "may", words, &i))
            *may |= 1u << i;
    }
}

static const struct member feed_members[] = {
    {"may", load_may, offsetof(struct policy_feed, may), false},
    {"meaning", load_text, offsetof(struct policy_feed, meaning), false},
};

static void load_feeds(struct loader *l, const struct doc *d, void *field)
{
    struct policy *p = field;
    if (d->kind != DOC_MAP) {
        load_error(l, d, "feeds: {hr: {may: [refresh]}}",
                   "feeds must be a map of names");
        return;
    }
    struct policy_feed *f =
        load_list(l, d, "feeds", POLICY_LIST_MAX, sizeof *f);
    p->feeds = f;
    for (const struct doc *it = d->first; f != NULL && it != NULL;
         it = it->next) {
        struct policy_feed *one = &f[p->feed_count++];
        bool odd = span_find(it->key, '_', 0) < it->key.n;
        if (odd || it->key.n > 32 || !load_is_name(it->key))
            load_key_error(l, it, "lower-case letters, digits and -",
                           "'%.*s' cannot name a feed", PRSPAN(it->key));
        one->name = load_copy(l, it->key);
        one->may = MAY_ALL;
        (void)LOAD_MEMBERS(l, it, "a feed", feed_members, one);
    }
}

/* ---- the file ---- */

static void want_version(struct loader *l, const struct doc *d, void *field)
{
    (void)field;
    if (d->kind != DOC_TEXT || !span_eq(d->text, SPAN("bailiff/v1")))
        load_error(l, d, "apiVersion: bailiff/v1",
                   "this version of the policy language is not known");
}

static void want_kind(struct loader *l, const struct doc *d, void *field)
{
    (void)field;
    if (d->kind != DOC_TEXT || !span_eq(d->text, SPAN("Policy")))
        load_error(l, d, "kind: Policy", "this is not a policy");
}

/* In this order: what is referred to comes before what refers to it. */
static const struct member top_members[] = {
    {"apiVersion", want_version, 0, true},
    {"kind", want_kind, 0, true},
    {"defaults", load_defaults, 0, false},
    {"agents", load_agents, 0, false},
    {"tool_classes", load_classes, 0, false},
    {"actions", load_actions, 0, false},
    {"rules", load_rules, 0, false},
    {"gate", load_gates, 0, false},
    {"limits", load_limits, 0, false},
    {"feeds", load_feeds, 0, false},
    {"tests", load_tests, 0, false},
};

static void set_defaults(struct policy *p)
{
    p->lookup_unknown = true;
    p->rule_subject = SUBJECT_AGENT;
    p->max_age_ms = 15 * MINUTE;
    p->refresh_timeout_ms = 2 * SECOND;
    p->settle_ms = 5 * SECOND;
    p->read_open_calls_now = true;
    p->open_calls_denied = OPEN_CANCEL;
    p->feed_silent_ms = 10 * MINUTE;
    p->feed_silent_refresh = true;
}

static void add_own_attributes(struct loader *l)
{
    static const char *const own[] = {"active", "groups", "owners", "parent"};
    for (unsigned i = 0; i < sizeof own / sizeof own[0]; i++) {
        struct attr_path path = {.attr = span_str(own[i])};
        load_add_attribute(l, &path, NULL);
    }
}

/* ---- the built-in policy ---- */

static const struct policy_step stop_steps[] = {
    {.kind = STEP_HOLD, .hold = HOLD_SUSPENDED, .tools = {.all = true}},
    {.kind = STEP_CANCEL, .tools = {.all = true}},
    {.kind = STEP_REVOKE},
};

/* "stop" ends whoever is deactivated, deleted or gone; "come-back" lets go
 * what "stop" held once a read says `active eq true`. */
static void build_in(struct loader *l)
{
    struct policy_rule *r = load_alloc(l, 2, sizeof *r);
    struct policy_step *s = load_alloc(l, 1, sizeof *s);
    struct span *set_by = load_alloc(l, 1, sizeof *set_by);
    size_t at;
    if (l->no_memory)
        return;
    r[0].name = *set_by = SPAN("stop");
    r[0].events = EVENT_BIT(EVENT_DEACTIVATE) | EVENT_BIT(EVENT_DELETE) |
                  EVENT_BIT(EVENT_FOUND_INACTIVE) | EVENT_BIT(EVENT_FOUND_GONE);
    r[0].steps = stop_steps;
    r[0].step_count = sizeof stop_steps / sizeof stop_steps[0];
    *s = (struct policy_step){
        .kind = STEP_RELEASE, .hold = HOLD_SUSPENDED, .set_by = {set_by, 1}};
    r[1].name = SPAN("come-back");
    r[1].events = EVENT_BIT(EVENT_ACTIVATE) | EVENT_BIT(EVENT_REFRESHED);
    r[1].where_text = SPAN("active eq true");
    r[1].steps = s;
    r[1].step_count = 1;
    if (filter_compile(l->m, r[1].where_text, &r[1].where, &at, l->f) < 0)
        l->no_memory = true;
    l->p->rules = r;
    l->p->rule_count = 2;
}

int policy_load(struct mem *m, const struct doc *root,
                const struct policy **ret, struct policy_notes *notes,
                struct fail *f)
{
    struct loader l = {.m = m, .notes = notes, .f = f};
    unsigned errors = notes->error_count;
    l.p = load_alloc(&l, 1, sizeof *l.p);
    l.attributes = load_alloc(&l, POLICY_ATTRIBUTES_MAX, sizeof *l.attributes);
    if (l.no_memory)
        return fail(f, RC_NO_MEMORY, "no memory for a policy");
    set_defaults(l.p);
    add_own_attributes(&l);
    if (root == NULL)
        build_in(&l);
    else
        (void)LOAD_MEMBERS(&l, root, "a policy", top_members, l.p);
    l.p->attributes = (struct names){l.attributes, l.attribute_count};
    policy_notes_sort(notes);
    if (l.no_memory)
        return fail(f, RC_NO_MEMORY, "no memory for a policy");
    if (notes->error_count > errors)
        return fail(f, RC_CONFIG, "the policy has %u error%s",
                    notes->error_count - errors,
                    notes->error_count - errors == 1 ? "" : "s");
    if (policy_index_build(m, l.p) < 0)
        return fail(f, RC_NO_MEMORY, "no memory for a policy");
    *ret = l.p;
    return 0;
}
