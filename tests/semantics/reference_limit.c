// SPDX-License-Identifier: Apache-2.0
/* How many agents one source may hit: section "limits" of docs/policy.md. */
#include <stdio.h>
#include <string.h>

#include "tests/lib/check.h"
#include "tests/semantics/reference.h"

static bool calls_people(const struct policy *p, struct span action)
{
    for (unsigned k = 0; k < LIMIT_KIND_COUNT; k++)
        for (unsigned i = 0; i < p->limits[k].beyond.count; i++)
            if (span_eq(p->limits[k].beyond.at[i], action))
                return true;
    return false;
}

/* What the step is counted as; LIMIT_KIND_COUNT: nothing. */
static enum limit_kind kind_of(const struct policy *p,
                               const struct policy_step *step)
{
    switch (step->kind) {
        case STEP_HOLD: return LIMIT_SUSPEND;
        case STEP_CANCEL: return LIMIT_CANCEL;
        case STEP_REVOKE: return LIMIT_REVOKE;
        case STEP_PURGE: return LIMIT_PURGE;
        case STEP_ACTION:
            return calls_people(p, p->actions[step->action].name)
                       ? LIMIT_KIND_COUNT
                       : LIMIT_HTTP;
        case STEP_REFRESH:
        case STEP_RELEASE:
        case STEP_KIND_COUNT: break;
    }
    return LIMIT_KIND_COUNT;
}

static void source_of(const struct policy_limit *l, const struct ref_cause *c,
                      char ret[16])
{
    struct span name = c->feed;
    if (l->all_feeds)
        name = SPAN("all.");
    else if (c->type == EVENT_OPERATOR)
        name = SPAN("operators.");
    else if (c->type == EVENT_SCHEDULED || c->type == EVENT_IDLE)
        name = SPAN("schedules.");
    else if (name.n == 0)
        name = SPAN("reads.");
    (void)snprintf(ret, 16, "%.*s", PRSPAN(name));
}

/* Agents in the window now. */
static unsigned counted(const struct ref *r, enum limit_kind kind,
                        const char *source)
{
    unsigned n = 0;
    for (unsigned i = 0; i < r->counted_count; i++)
        n += r->counted[i].kind == kind &&
             strcmp(r->counted[i].source, source) == 0 &&
             r->now_ms - r->counted[i].at_ms < r->policy->limits[kind].per_ms;
    return n;
}

static void call_people(struct ref *r, const struct ref_subject *s,
                        enum limit_kind kind, const char *who,
                        const struct ref_cause *c)
{
    const struct names *names = &r->policy->limits[kind].beyond;
    char rule[32];
    (void)snprintf(rule, sizeof rule, "limits.%s", limit_kind_word(kind));
    for (unsigned i = 0; i < names->count; i++)
        ref_start(r, s, who, span_str(rule), names->at[i], c->jti);
}

/* Once in `per`, for each limit and source. */
static void tell(struct ref *r, const struct ref_subject *s,
                 enum limit_kind kind, const char *source,
                 const struct ref_cause *c)
{
    char key[32];
    unsigned i = 0;
    (void)snprintf(key, sizeof key, "%u %s", (unsigned)kind, source);
    while (i < r->called_count && strcmp(r->called[i].key, key) != 0)
        i++;
    if (i < r->called_count &&
        r->now_ms - r->called[i].at_ms < r->policy->limits[kind].per_ms)
        return;
    must(i < COUNT_OF(r->called));
    memcpy(r->called[i].key, key, sizeof key);
    r->called[i].at_ms = r->now_ms;
    r->called_count += i == r->called_count;
    lines_add(&r->lines, "-: limits.%s withheld", limit_kind_word(kind));
    call_people(r, s, kind, "-", c);
}

static void count_one(struct ref *r, const struct ref_subject *s,
                      enum limit_kind kind, const struct ref_cause *c)
{
    const struct policy_limit *l = &r->policy->limits[kind];
    const unsigned subject = (unsigned)(s - r->subjects);
    char source[16];
    unsigned i = 0;
    source_of(l, c, source);
    while (i < r->counted_count &&
           !(r->counted[i].kind == kind && r->counted[i].subject == subject &&
             strcmp(r->counted[i].source, source) == 0))
        i++;
    must(i < REF_COUNTED_MAX);
    r->counted_count += i == r->counted_count;
    r->counted[i] = (struct ref_counted){
        .kind = kind, .subject = subject, .at_ms = r->now_ms};
    memcpy(r->counted[i].source, source, sizeof source);
    if (counted(r, kind, source) > l->max)
        tell(r, s, kind, source, c);
}

void ref_count(struct ref *r, const struct ref_subject *s,
               const struct policy_rule *rule, const struct ref_cause *c)
{
    for (unsigned i = 0; i < rule->step_count && !ref_audits(r, rule); i++) {
        const enum limit_kind kind = kind_of(r->policy, &rule->steps[i]);
        if (kind < LIMIT_KIND_COUNT && r->policy->limits[kind].max > 0 &&
            ref_may_take(r, s, &rule->steps[i], c))
            count_one(r, s, kind, c);
    }
}

/* By what was read under this policy; what is not known speaks against it. */
static bool never(const struct ref *r, const struct ref_subject *s,
                  enum limit_kind limit, enum limit_kind step)
{
    const struct filter *never_for = r->policy->limits[limit].never_for;
    const bool known = s->covered_n > 0 && s->covered_n >= r->reload_n;
    const struct ref_sight sight = {.resource = known ? s->attrs : NULL};
    return never_for != NULL &&
           (limit == step || limit == LIMIT_SUSPEND || limit == LIMIT_CANCEL) &&
           ref_condition(never_for, &sight) != FALSE_;
}

/* Of reads: is a feed beyond? (There is one base here.) */
static bool feed_is_beyond(const struct ref *r, enum limit_kind kind,
                           const char *source)
{
    if (strcmp(source, "reads.") != 0)
        return false;
    for (unsigned i = 0; i < r->counted_count; i++)
        if (strchr(r->counted[i].source, '.') == NULL &&
            counted(r, kind, r->counted[i].source) >
                r->policy->limits[kind].max)
            return true;
    return false;
}

/* It may have come of a source that is beyond: one that has counted it. */
static bool may_be_beyond(const struct ref *r, const struct ref_subject *s,
                          enum limit_kind kind, const struct ref_cause *c)
{
    for (unsigned i = 0; i < r->counted_count && c->feed_lost; i++) {
        const struct ref_counted *n = &r->counted[i];
        if (n->kind == kind && n->subject == (unsigned)(s - r->subjects) &&
            r->now_ms - n->at_ms < r->policy->limits[kind].per_ms &&
            counted(r, kind, n->source) > r->policy->limits[kind].max)
            return true;
    }
    return false;
}

bool ref_is_withheld(const struct ref *r, const struct ref_subject *s,
                     const struct policy_step *step, const struct ref_cause *c)
{
    const enum limit_kind kind = kind_of(r->policy, step);
    if (kind != LIMIT_REVOKE && kind != LIMIT_PURGE && kind != LIMIT_HTTP)
        return false;
    for (unsigned k = 0; k < LIMIT_KIND_COUNT; k++) {
        const struct policy_limit *l = &r->policy->limits[k];
        char source[16];
        source_of(l, c, source);
        if (l->max > 0 && (counted(r, (enum limit_kind)k, source) > l->max ||
                           feed_is_beyond(r, (enum limit_kind)k, source) ||
                           may_be_beyond(r, s, (enum limit_kind)k, c) ||
                           never(r, s, (enum limit_kind)k, kind)))
            return true;
    }
    return false;
}

void ref_call_for_one(struct ref *r, const struct ref_subject *s,
                      const struct policy_rule *rule, const struct ref_cause *c)
{
    char who[LINE_BYTES];
    (void)snprintf(who, sizeof who, "%.*s", PRSPAN(s->uri));
    for (unsigned k = 0; k < LIMIT_KIND_COUNT; k++)
        for (unsigned i = 0; i < rule->step_count; i++) {
            const enum limit_kind kind = kind_of(r->policy, &rule->steps[i]);
            if ((kind == LIMIT_REVOKE || kind == LIMIT_PURGE ||
                 kind == LIMIT_HTTP) &&
                never(r, s, (enum limit_kind)k, kind)) {
                call_people(r, s, (enum limit_kind)k, who, c);
                break;
            }
        }
}
