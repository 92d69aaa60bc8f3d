// SPDX-License-Identifier: Apache-2.0
/*
 * Rules that never match, and steps that never run or never end.
 */
#include "policy/warn_note.h"

#define WORDS_MAX 160
#define CHANGES                                                                \
    (EVENT_BIT(EVENT_CREATE) | EVENT_BIT(EVENT_PATCH) | EVENT_BIT(EVENT_PUT) | \
     EVENT_BIT(EVENT_REFRESHED))
/* A read compares the whole state; what these say is not about attributes. */
#define SILENT_ABOUT_CHANGES                                                   \
    (~(CHANGES | EVENTS_WITHOUT_FEED | EVENT_BIT(EVENT_UNKNOWN)))

static bool is_pattern(const struct doc *d)
{
    return d->kind == DOC_TEXT && event_family(d->text) != 0;
}

/* Whoever writes a pattern does not mean each of its events. */
static bool names_many(const struct doc *events)
{
    if (events == NULL || is_pattern(events))
        return events != NULL;
    DOC_EACH (it, events)
        if (is_pattern(it))
            return true;
    return false;
}

/* ---- events ---- */

static void warn_events(struct warner *w, const struct doc *d,
                        const struct policy_rule *r)
{
    const struct doc *events = doc_get(d, SPAN("events"));
    const struct doc *feeds = doc_get(d, SPAN("feeds"));
    event_mask deaf = r->events & EVENTS_WITHOUT_SUBJECT;
    char names[WORDS_MAX];
    warn_event_names(deaf, names, sizeof names);
    if (deaf == r->events)
        warn_at(w, events, "defaults.feed_silent says what follows silence",
                "this rule never matches: %s concerns no agent", names);
    else if (deaf != 0 && !names_many(events))
        warn_at(w, events, "defaults.feed_silent says what follows silence",
                "%s never matches here: it concerns no agent", names);
    if (r->feeds.count > 0 && (r->events & ~EVENTS_WITHOUT_FEED) == 0)
        warn_at(w, feeds, "remove it",
                "this rule never matches: its events come from reads and "
                "operators, not from a feed");
}

static bool is_read_only(const struct attr_path *p)
{
    static const char *const words[] = {"groups", "meta", "id", NULL};
    for (unsigned i = 0; words[i] != NULL; i++)
        if (p->urn.n == 0 && span_ieq(p->attr, span_str(words[i])))
            return true;
    return false;
}

static void warn_changed(struct warner *w, const struct doc *d,
                         const struct policy_rule *r)
{
    const struct doc *changed = doc_get(d, SPAN("changed"));
    event_mask silent = r->events & SILENT_ABOUT_CHANGES;
    if (r->changed_count == 0)
        return;
    char names[WORDS_MAX];
    warn_event_names(silent, names, sizeof names);
    if (silent != 0 && (r->events & CHANGES) != 0 &&
        !names_many(doc_get(d, SPAN("events"))))
        warn_at_key(w, changed, "put these events into a rule of their own",
                    "with 'changed', %s never matches: it names no attributes",
                    names);
    const struct doc *it = changed->kind == DOC_LIST ? changed->first : changed;
    for (unsigned i = 0; i < r->changed_count && it != NULL; i++) {
        struct span attr = r->changed[i].attr;
        warn_path_names(w, it, &r->changed[i]);
        bool groups = span_ieq(attr, SPAN("groups"));
        if (is_read_only(&r->changed[i]))
            warn_at(w, it,
                    groups ? "write a rule with subject: group, applies_to: "
                             "members"
                           : NULL,
                    groups ? "'%.*s' is read-only: membership changes arrive "
                             "as events of the group"
                           : "'%.*s' is read-only: no event says that it "
                             "changed",
                    PRSPAN(attr));
        it = it->next;
    }
}

/* ---- whom it is about ---- */

/* Only agents are held, read and cut off; notifying works for everybody. */
static bool does_nothing_there(const struct policy_rule *r)
{
    for (unsigned i = 0; i < r->step_count; i++)
        if (r->steps[i].kind == STEP_ACTION)
            return false;
    return true;
}

static void warn_target(struct warner *w, const struct doc *d,
                        const struct policy_rule *r)
{
    const struct doc *applies = doc_get(d, SPAN("applies_to"));
    const struct doc *subject = doc_get(d, SPAN("subject"));
    const char *who = subject_kind_word(r->subject);
    switch (r->applies_to) {
        case APPLIES_OWNED_LAST:
        case APPLIES_OWNED_ANY:
            if (r->subject != SUBJECT_USER)
                warn_at(w, applies, "add subject: user",
                        "owners are users, and this rule is about %ss", who);
            return;
        case APPLIES_CHILDREN:
            if (r->subject != SUBJECT_AGENT)
                warn_at(w, applies, "add subject: agent",
                        "only agents have children, a %s has none", who);
            return;
        case APPLIES_SUBJECT:
            if (r->subject != SUBJECT_AGENT && does_nothing_there(r))
                warn_at(w, subject == NULL ? d : subject,
                        r->subject == SUBJECT_GROUP
                            ? "add applies_to: members"
                            : "add applies_to: {owned_agents: {left: "
                              "last_owner}}",
                        "a %s is no agent: no step of this rule does anything",
                        who);
            return;
        case APPLIES_MEMBERS: return; /* checked when it was loaded */
    }
}

/* ---- steps ---- */

/* True when none of the feeds that the rule names may do the step. */
static bool is_forbidden(const struct policy *p, const struct policy_rule *r,
                         const struct policy_step *s)
{
    for (unsigned i = 0; i < r->feeds.count; i++)
        if ((policy_step_needs(s) & ~policy_feed_may(p, r->feeds.at[i])) == 0)
            return false;
    return r->feeds.count > 0 && s->kind != STEP_RELEASE &&
           (r->events & EVENTS_WITHOUT_FEED) == 0;
}

static bool is_released(const struct policy *p, struct span rule)
{
    for (unsigned i = 0; i < p->rule_count; i++)
        if (policy_releases(&p->rules[i], HOLD_SUSPENDED, rule))
            return true;
    return false;
}

/* Holds of `delete` are an operator's to end, whatever the rules say. */
static bool is_for_good(const struct warner *w, const struct policy_rule *r,
                        const struct policy_step *s)
{
    return s->kind == STEP_HOLD && s->hold == HOLD_SUSPENDED &&
           (r->events & ~EVENT_BIT(EVENT_DELETE)) != 0 &&
           !is_released(w->p, r->name);
}

static bool suspends(const struct policy *p, struct span rule)
{
    for (unsigned i = 0; i < p->rule_count; i++) {
        const struct policy_rule *r = &p->rules[i];
        for (unsigned k = 0; span_eq(r->name, rule) && k < r->step_count; k++)
            if (r->steps[k].kind == STEP_HOLD)
                return true;
    }
    return false;
}

static void warn_set_by(struct warner *w, const struct doc *step,
                        const struct policy_step *s)
{
    for (unsigned i = 0; i < s->set_by.count; i++)
        if (!suspends(w->p, s->set_by.at[i]))
            warn_at(w, step, NULL, "rule '%.*s' sets no hold to release",
                    PRSPAN(s->set_by.at[i]));
}

static void warn_otherwise(struct warner *w, const struct doc *step,
                           const struct policy_step *s)
{
    struct span own =
        s->kind == STEP_ACTION ? w->p->actions[s->action].name : SPAN("");
    for (unsigned i = 0; i < s->otherwise.count; i++) {
        struct span name = s->otherwise.at[i];
        if (span_eq(name, own))
            warn_at(w, step, "name another way to reach somebody",
                    "when '%.*s' is not confirmed, '%.*s' itself runs again",
                    PRSPAN(own), PRSPAN(own));
        for (unsigned k = 0; k < i; k++)
            if (span_eq(name, s->otherwise.at[k]))
                warn_at(w, step, NULL, "'%.*s' is there twice", PRSPAN(name));
    }
}

/* The node that holds the members of a step, for its conditions. */
static const struct doc *review_of(const struct doc *step)
{
    return doc_get(doc_get(step, SPAN("hold")), SPAN("review"));
}

static void warn_step(struct warner *w, const struct doc *d,
                      const struct policy_rule *r, const struct policy_step *s)
{
    char advice[FAIL_TEXT_MAX];
    if (is_forbidden(w->p, r, s))
        warn_at(w, d, "see feeds in this file",
                "this step never runs: no feed of this rule may %s",
                s->kind == STEP_REFRESH                           ? "refresh"
                : s->kind == STEP_REVOKE || s->kind == STEP_PURGE ? "revoke"
                                                                  : "suspend");
    if (is_for_good(w, r, s)) {
        (void)snprintf(advice, sizeof advice,
                       "a rule with 'release: {suspended: {set_by: [%.*s]}}' "
                       "ends it",
                       PRSPAN(r->name));
        warn_at(w, d, advice,
                "no rule ends this hold: only an operator can lift it");
    }
    if (s->kind == STEP_RELEASE)
        warn_set_by(w, d, s);
    if (s->kind == STEP_HOLD && s->hold == HOLD_REVIEW)
        warn_filter(w, doc_get(review_of(d), SPAN("by")), s->review_by, false);
    warn_otherwise(w, d, s);
}

void warn_rule(struct warner *w, const struct doc *d,
               const struct policy_rule *r)
{
    const struct policy_step *s = r->steps;
    warn_events(w, d, r);
    warn_changed(w, d, r);
    warn_target(w, d, r);
    warn_filter(w, doc_get(d, SPAN("where")), r->where, false);
    warn_filter(w, doc_get(d, SPAN("agents_where")), r->agents_where, false);
    warn_mode(w, d, &r->mode);
    DOC_EACH (it, doc_get(d, SPAN("do")))
        warn_step(w, it, r, s++);
}
