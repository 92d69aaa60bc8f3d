// SPDX-License-Identifier: Apache-2.0
/* Which rules apply and what they do: sections "rules", "Steps" and
 * "Semantics" of docs/policy.md. */
#include <stdio.h>
#include <string.h>

#include "tests/semantics/reference.h"

static bool has(struct names names, struct span name)
{
    for (unsigned i = 0; i < names.count; i++)
        if (span_eq(names.at[i], name))
            return true;
    return false;
}

static bool only_releases(const struct policy_rule *rule)
{
    for (unsigned i = 0; i < rule->step_count; i++)
        if (rule->steps[i].kind != STEP_RELEASE)
            return false;
    return true;
}

/* ---- does the rule apply? ---- */

/* One of its attributes may have changed, also when nobody says what did. */
static bool may_have_changed(const struct policy_rule *rule,
                             const struct event_part *part)
{
    if (rule->changed_count == 0 || part == NULL || part->changed_anything)
        return true;
    for (unsigned i = 0; i < part->changed_count; i++)
        for (unsigned k = 0; k < rule->changed_count; k++) {
            const struct attr_path *a = &part->changed[i];
            const struct attr_path *b = &rule->changed[k];
            if (span_ieq(a->attr, b->attr) &&
                (a->sub.n == 0 || b->sub.n == 0 || span_ieq(a->sub, b->sub)))
                return true;
        }
    return false;
}

static bool rule_is_about(const struct ref *r, const struct ref_subject *s,
                          const struct policy_rule *rule,
                          const struct ref_cause *c)
{
    const enum subject_kind kind = ref_is_agent(r, s) ? SUBJECT_AGENT : s->kind;
    return (rule->events >> c->type & 1) != 0 &&
           (c->only.n == 0 || span_eq(c->only, rule->name)) &&
           rule->subject == kind &&
           (rule->feeds.count == 0 || has(rule->feeds, c->feed)) &&
           may_have_changed(rule, c->part);
}

static const struct doc *event_of(const struct ref *r,
                                  const struct ref_cause *c)
{
    struct doc *map;
    if (c->part == NULL)
        return NULL;
    map = c->part->payload == NULL ? doc_new(r->mem, DOC_MAP)
                                   : doc_copy(r->mem, c->part->payload);
    struct doc *feed = doc_new(r->mem, DOC_TEXT);
    must(map != NULL && feed != NULL);
    feed->key = SPAN("feed");
    feed->text = c->feed;
    doc_append(map, feed);
    return map;
}

/* What was read last may be old, what an event carries is not all: both can
 * make a condition true, neither can make it false. */
static enum truth where(const struct ref *r, const struct ref_subject *s,
                        const struct policy_rule *rule,
                        const struct ref_cause *c)
{
    struct ref_sight sight = {.resource = c->fresh, .event = event_of(r, c)};
    enum truth v = ref_condition(rule->where, &sight);
    if (c->fresh != NULL || v != UNKNOWN_)
        return v;
    sight.resource = s->attrs;
    sight.partial = r->reload_n > s->covered_n;
    if (ref_condition(rule->where, &sight) == TRUE_)
        return TRUE_;
    if (c->part == NULL || c->part->payload == NULL)
        return UNKNOWN_;
    sight.resource = doc_get(c->part->payload, SPAN("data"));
    sight.partial = true;
    return ref_condition(rule->where, &sight) == TRUE_ ? TRUE_ : UNKNOWN_;
}

/* ---- holds ---- */

void ref_hold(struct ref *r, struct ref_subject *s, const struct ref_hold *h)
{
    for (unsigned i = 0; i < s->hold_count; i++)
        if (s->holds[i].kind == h->kind &&
            strcmp(s->holds[i].rule, h->rule) == 0 &&
            strcmp(s->holds[i].cause, h->cause) == 0)
            return;
    must(s->hold_count < REF_HOLDS_MAX);
    s->holds[s->hold_count++] = *h;
    lines_add(&r->lines, "%.*s: %s sets %s", PRSPAN(s->uri), h->rule,
              hold_kind_word(h->kind));
}

void ref_lift(struct ref *r, struct ref_subject *s, unsigned hold,
              const char *by)
{
    lines_add(&r->lines, "%.*s: %s lifts %s of %s", PRSPAN(s->uri), by,
              hold_kind_word(s->holds[hold].kind), s->holds[hold].rule);
    s->hold_count--;
    memmove(&s->holds[hold], &s->holds[hold + 1],
            (s->hold_count - hold) * sizeof s->holds[0]);
}

static void take_hold(struct ref *r, struct ref_subject *s,
                      const struct policy_rule *rule,
                      const struct policy_step *step, const struct ref_cause *c)
{
    struct ref_hold h = {.kind = step->hold,
                         .otherwise = step->review_otherwise,
                         .for_operators = c->type == EVENT_DELETE,
                         .type = c->type,
                         .by = step->review_by,
                         .tools = &step->tools,
                         .policy = r->policy};
    if (step->hold == HOLD_REVIEW)
        h.due_ms = r->now_ms + step->within_ms;
    (void)snprintf(h.rule, sizeof h.rule, "%.*s", PRSPAN(rule->name));
    (void)snprintf(h.cause, sizeof h.cause, "%.*s", PRSPAN(c->jti));
    ref_hold(r, s, &h);
}

/* ---- steps ---- */

static unsigned authority(const struct ref *r, const struct ref_cause *c)
{
    for (unsigned i = 0; c->feed_bound && i < r->policy->feed_count; i++)
        if (span_eq(r->policy->feeds[i].name, c->feed))
            return r->policy->feeds[i].may;
    return MAY_ALL;
}

static unsigned needed(enum step_kind kind)
{
    return kind == STEP_HOLD || kind == STEP_CANCEL    ? MAY_SUSPEND
           : kind == STEP_REFRESH                      ? MAY_REFRESH
           : kind == STEP_REVOKE || kind == STEP_PURGE ? MAY_REVOKE
                                                       : 0;
}

/* The same request for the same reason is made once while it is open. */
void ref_start(struct ref *r, const struct ref_subject *s, const char *who,
               struct span rule, struct span action, struct span jti)
{
    char key[LINE_BYTES];
    (void)snprintf(key, sizeof key, "%.*s %.*s %.*s %.*s", PRSPAN(s->uri),
                   PRSPAN(rule), PRSPAN(jti), PRSPAN(action));
    for (unsigned i = 0; i < r->action_count; i++)
        if (strcmp(r->actions[i], key) == 0)
            return;
    must(r->action_count < REF_ACTIONS_MAX);
    memcpy(r->actions[r->action_count++], key, sizeof key);
    lines_add(&r->lines, "%s: %.*s starts %.*s", who, PRSPAN(rule),
              PRSPAN(action));
}

/* It waits for a person, once for each rule, and the agent is held. True when
 * it is what the rule asks for now. */
static bool withhold(struct ref *r, struct ref_subject *s,
                     const struct policy_rule *rule, struct span action,
                     const struct ref_cause *c)
{
    char key[LINE_BYTES];
    (void)snprintf(key, sizeof key, "%.*s %.*s %.*s %.*s", PRSPAN(s->uri),
                   PRSPAN(rule->name), PRSPAN(c->jti), PRSPAN(action));
    for (unsigned i = 0; i < r->action_count; i++)
        if (strcmp(r->actions[i], key) == 0)
            return false;
    (void)snprintf(key, sizeof key, "%.*s %.*s %.*s", PRSPAN(s->uri),
                   PRSPAN(rule->name), PRSPAN(action));
    for (unsigned i = 0; i < r->withheld_count; i++)
        if (strcmp(r->withheld[i], key) == 0)
            return true;
    must(r->withheld_count < REF_ACTIONS_MAX &&
         r->action_count < REF_ACTIONS_MAX);
    memcpy(r->withheld[r->withheld_count++], key, sizeof key);
    (void)snprintf(r->actions[r->action_count++], LINE_BYTES,
                   "%.*s %.*s %.*s %.*s", PRSPAN(s->uri), PRSPAN(rule->name),
                   PRSPAN(c->jti), PRSPAN(action));
    lines_add(&r->lines, "%.*s: %.*s withheld %.*s", PRSPAN(s->uri),
              PRSPAN(rule->name), PRSPAN(action));
    return true;
}

/* The latest hold with which the rule has suspended all of the agent. */
static const struct ref_hold *suspended_by(const struct ref_subject *s,
                                           const struct policy_rule *rule)
{
    const struct ref_hold *found = NULL;
    for (unsigned i = 0; i < s->hold_count; i++) {
        const struct ref_hold *h = &s->holds[i];
        if (h->kind == HOLD_SUSPENDED &&
            span_eq(span_str(h->rule), rule->name) &&
            (h->tools == NULL ||
             (h->tools->classes == 0 && h->tools->patterns.count == 0)))
            found = h;
    }
    return found;
}

/* In the place of what was withheld, unless the rule holds the agent. */
static void hold_instead(struct ref *r, struct ref_subject *s,
                         const struct policy_rule *rule,
                         const struct ref_cause *c)
{
    struct ref_hold h = {.kind = HOLD_SUSPENDED,
                         .otherwise = HOLD_SUSPENDED,
                         .for_operators = c->type == EVENT_DELETE,
                         .type = c->type,
                         .policy = r->policy};
    (void)snprintf(h.rule, sizeof h.rule, "%.*s", PRSPAN(rule->name));
    (void)snprintf(h.cause, sizeof h.cause, "%.*s:withheld", PRSPAN(c->jti));
    if (suspended_by(s, rule) != NULL)
        return;
    if (ref_is_agent(r, s))
        ref_hold(r, s, &h);
}

/* One request to the world outside. True when it is withheld. */
static bool request(struct ref *r, struct ref_subject *s,
                    const struct policy_rule *rule, struct span what,
                    bool withheld, const struct ref_cause *c)
{
    char who[LINE_BYTES];
    if (withheld)
        return withhold(r, s, rule, what, c);
    (void)snprintf(who, sizeof who, "%.*s", PRSPAN(s->uri));
    ref_start(r, s, who, rule->name, what, c->jti);
    return false;
}

static bool revoke(struct ref *r, struct ref_subject *s,
                   const struct policy_rule *rule, struct span token,
                   bool withheld, const struct ref_cause *c)
{
    char what[LINE_BYTES];
    (void)snprintf(what, sizeof what, "revoke %.*s", PRSPAN(token));
    return request(r, s, rule, span_str(what), withheld, c);
}

/* True when something of it is withheld. */
static bool take_step(struct ref *r, struct ref_subject *s,
                      const struct policy_rule *rule,
                      const struct policy_step *step, const struct ref_cause *c)
{
    const bool withheld = ref_is_withheld(r, s, step, c);
    bool any = false;
    if (step->kind == STEP_HOLD) {
        take_hold(r, s, rule, step, c);
    } else if (step->kind == STEP_ACTION) {
        return request(r, s, rule, r->policy->actions[step->action].name,
                       withheld, c);
    } else if (step->kind == STEP_REVOKE && s->token_count > 0) {
        for (unsigned i = 0; i < s->token_count; i++)
            any |= revoke(r, s, rule, s->tokens[i], withheld, c);
    } else if (step->kind != STEP_REFRESH) { /* nothing is registered here */
        lines_add(&r->lines, "%.*s: %.*s %s of nothing", PRSPAN(s->uri),
                  PRSPAN(rule->name), step_kind_word(step->kind));
    } else if (s->touched_n != r->n) { /* as if it had been told of now */
        s->touched_n = r->n;
        s->touched_ms = r->now_ms;
        s->open = s->announced = true;
        s->version = SPAN("");
        if (!s->failed)
            s->rest_until_ms = 0;
    }
    return any;
}

bool ref_audits(const struct ref *r, const struct policy_rule *rule)
{
    return r->audit || rule->mode.audit;
}

bool ref_may_take(const struct ref *r, const struct ref_subject *s,
                  const struct policy_step *step, const struct ref_cause *c)
{
    return step->kind != STEP_RELEASE &&
           (needed(step->kind) & ~authority(r, c)) == 0 &&
           (step->kind == STEP_ACTION || ref_is_agent(r, s));
}

static void take_steps(struct ref *r, struct ref_subject *s,
                       const struct policy_rule *rule,
                       const struct ref_cause *c)
{
    bool withheld = false;
    for (unsigned i = 0; i < rule->step_count; i++) {
        const struct policy_step *step = &rule->steps[i];
        const char *not_done = ref_audits(r, rule) ? "would" : NULL;
        if ((needed(step->kind) & ~authority(r, c)) != 0)
            not_done = "not_permitted";
        if (step->kind == STEP_RELEASE ||
            (step->kind != STEP_ACTION && !ref_is_agent(r, s)))
            continue;
        if (not_done != NULL)
            lines_add(&r->lines, "%.*s: %.*s %s %s", PRSPAN(s->uri),
                      PRSPAN(rule->name), not_done, step_kind_word(step->kind));
        else
            withheld |= take_step(r, s, rule, step, c);
    }
    if (!withheld)
        return;
    hold_instead(r, s, rule, c);
    ref_call_for_one(r, s, rule, c);
}

/* The latest statement counts: whose it was, nobody knows any more. */
static void revoke_token(struct ref *r, struct ref_subject *s,
                         const struct policy_rule *rule, struct span id)
{
    const struct ref_hold *h = suspended_by(s, rule);
    bool withheld = false;
    if (h == NULL || ref_audits(r, rule))
        return;
    const struct ref_cause c = {
        .type = h->type, .jti = span_str(h->cause), .feed_lost = true};
    for (unsigned i = 0; i < rule->step_count; i++)
        if (rule->steps[i].kind == STEP_REVOKE)
            withheld |= revoke(r, s, rule, id,
                               ref_is_withheld(r, s, &rule->steps[i], &c), &c);
    if (withheld)
        ref_call_for_one(r, s, rule, &c);
}

void ref_token(struct ref *r, struct span uri, struct span id)
{
    struct ref_subject *s = ref_subject(r, uri);
    for (unsigned i = 0; i < s->token_count; i++)
        if (span_eq(s->tokens[i], id))
            return;
    must(s->token_count < REF_TOKENS_MAX);
    s->tokens[s->token_count++] = id;
    for (unsigned i = 0; i < r->policy->rule_count; i++)
        revoke_token(r, s, &r->policy->rules[i], id);
}

/* ---- for whom ---- */

static bool last_owner_left(const struct ref *r, const struct ref_subject *a)
{
    bool any = false;
    for (unsigned i = 0; i < r->subject_count; i++) {
        any = any || a->related[REF_OWNER][i];
        if (a->related[REF_OWNER][i] && !r->subjects[i].left)
            return false;
    }
    return any;
}

static bool concerns(const struct ref *r, const struct policy_rule *rule,
                     const struct ref_subject *a, const struct ref_subject *s)
{
    const unsigned at = (unsigned)(s - r->subjects);
    switch (rule->applies_to) {
        case APPLIES_SUBJECT: return a == s;
        case APPLIES_MEMBERS: return a->related[REF_GROUP][at];
        case APPLIES_OWNED_ANY: return a->related[REF_OWNER][at];
        case APPLIES_OWNED_LAST:
            return a->related[REF_OWNER][at] && last_owner_left(r, a);
        case APPLIES_CHILDREN: return a->related[REF_PARENT][at];
    }
    return false;
}

/* Is it one that the rule is narrowed to? What was read before the statement
 * may be out of date: it can say yes, and nothing else. */
static enum truth is_meant(const struct ref *r, const struct policy_rule *rule,
                           const struct ref_subject *a,
                           const struct ref_subject *s)
{
    const struct ref_sight sight = {.resource = a->attrs};
    enum truth v = TRUE_;
    if (!concerns(r, rule, a, s))
        return FALSE_;
    if (rule->agents_where != NULL)
        v = ref_condition(rule->agents_where, &sight);
    const bool stale = ref_is_changed(r, a) ||
                       r->now_ms - a->covered_ms > r->policy->max_age_ms;
    return v == FALSE_ && stale ? UNKNOWN_ : v;
}

static void pend(struct ref *r, struct ref_subject *s,
                 const struct policy_rule *rule, const struct ref_cause *c,
                 bool target)
{
    lines_add(&r->lines, "%.*s: %.*s pending", PRSPAN(s->uri),
              PRSPAN(rule->name));
    for (unsigned i = 0; i < s->pending_count; i++)
        if (span_eq(s->pending[i].rule, rule->name) &&
            s->pending[i].target == target && s->pending[i].type == c->type &&
            span_eq(s->pending[i].jti, c->jti) &&
            span_eq(s->pending[i].feed, c->feed))
            return;
    must(s->pending_count < REF_PENDING_MAX);
    s->pending[s->pending_count++] =
        (struct ref_pending){rule->name, c->type, c->jti, c->feed, target};
}

static void count_all(struct ref *r, const struct ref_subject *s,
                      const struct policy_rule *rule, const struct ref_cause *c)
{
    for (unsigned i = 0; i < r->subject_count; i++)
        if (is_meant(r, rule, &r->subjects[i], s) == TRUE_)
            ref_count(r, &r->subjects[i], rule, c);
}

static void apply(struct ref *r, const struct ref_subject *s,
                  const struct policy_rule *rule, const struct ref_cause *c)
{
    lines_add(&r->lines, "%.*s: %.*s matched", PRSPAN(s->uri),
              PRSPAN(rule->name));
    for (unsigned i = 0; i < r->subject_count; i++) {
        const enum truth v = is_meant(r, rule, &r->subjects[i], s);
        if (v == TRUE_)
            take_steps(r, &r->subjects[i], rule, c);
        else if (v == UNKNOWN_)
            pend(r, &r->subjects[i], rule, c, true);
    }
}

/* All are counted before any step is taken. */
void ref_rules(struct ref *r, struct ref_subject *s, const struct ref_cause *c)
{
    for (unsigned i = 0; i < 2 * r->policy->rule_count; i++) {
        const bool count = i < r->policy->rule_count;
        const struct policy_rule *rule =
            &r->policy->rules[i % r->policy->rule_count];
        if (only_releases(rule) || !rule_is_about(r, s, rule, c))
            continue;
        const enum truth v = where(r, s, rule, c);
        if (count && v == TRUE_)
            count_all(r, s, rule, c);
        else if (!count && v == TRUE_)
            apply(r, s, rule, c);
        else if (!count && v == UNKNOWN_)
            pend(r, s, rule, c, false);
    }
}

/* What even the read cannot tell counts as true; NULL: the rule does not
 * apply. */
static const struct policy_rule *decided(const struct ref *r,
                                         const struct ref_pending *p,
                                         const struct doc *found)
{
    const struct ref_sight sight = {.resource = found};
    for (unsigned k = 0; k < r->policy->rule_count; k++) {
        const struct policy_rule *rule = &r->policy->rules[k];
        const struct filter *open =
            p->target ? rule->agents_where : rule->where;
        if (span_eq(rule->name, p->rule) &&
            ref_condition(open, &sight) != FALSE_)
            return rule;
    }
    return NULL;
}

void ref_decide_pending(struct ref *r, struct ref_subject *s,
                        const struct doc *found)
{
    for (unsigned i = 0; i < 2 * s->pending_count; i++) {
        const bool count = i < s->pending_count;
        const struct ref_pending *p = &s->pending[i % s->pending_count];
        const struct policy_rule *rule = decided(r, p, found);
        const struct ref_cause c = {.type = p->type,
                                    .jti = p->jti,
                                    .feed = p->feed,
                                    .feed_bound = p->feed.n > 0};
        if (rule == NULL)
            continue;
        if (count && p->target)
            ref_count(r, s, rule, &c);
        else if (count)
            count_all(r, s, rule, &c);
        else if (!p->target)
            apply(r, s, rule, &c);
        else {
            lines_add(&r->lines, "%.*s: %.*s matched", PRSPAN(s->uri),
                      PRSPAN(rule->name));
            take_steps(r, s, rule, &c);
        }
    }
    s->pending_count = 0;
}

/* ---- releases ---- */

static bool releases(const struct policy_rule *rule, const struct ref_hold *h)
{
    for (unsigned i = 0; i < rule->step_count; i++)
        if (rule->steps[i].kind == STEP_RELEASE &&
            rule->steps[i].hold == h->kind &&
            has(rule->steps[i].set_by, span_str(h->rule)))
            return true;
    return false;
}

/* One that is enforced, else one in audit mode, else NULL. */
static const struct policy_rule *released_by(const struct ref *r,
                                             const struct ref_subject *s,
                                             const struct ref_hold *h)
{
    const struct ref_sight sight = {.resource = s->attrs};
    const event_mask stored = s->stored | EVENT_BIT(EVENT_REFRESHED);
    const struct policy_rule *found = NULL;
    for (unsigned i = 0; i < r->policy->rule_count; i++) {
        const struct policy_rule *rule = &r->policy->rules[i];
        if ((rule->events & stored) != 0 && releases(rule, h) &&
            ref_condition(rule->where, &sight) == TRUE_ &&
            (found == NULL || ref_audits(r, found)))
            found = rule;
    }
    return found;
}

/* True when it is gone. */
static bool release(struct ref *r, struct ref_subject *s, unsigned i)
{
    const struct ref_hold *h = &s->holds[i];
    const struct policy_rule *rule =
        h->for_operators ? NULL : released_by(r, s, h);
    char name[32] = "cover";
    if (rule != NULL && ref_audits(r, rule)) {
        lines_add(&r->lines, "%.*s: %.*s would release", PRSPAN(s->uri),
                  PRSPAN(rule->name));
        return false;
    }
    if (rule != NULL)
        (void)snprintf(name, sizeof name, "%.*s", PRSPAN(rule->name));
    else if (h->kind != HOLD_UNCOVERED || s->dropped_by_feed || r->audit)
        return false;
    ref_lift(r, s, i, name);
    return true;
}

/* On a read that qualifies, from what it found and nothing else. */
void ref_releases(struct ref *r, struct ref_subject *s)
{
    for (unsigned i = 0; i < s->hold_count;)
        i += release(r, s, i) ? 0 : 1;
}
