// SPDX-License-Identifier: Apache-2.0
/*
 * `limits:`, and the schedules of a rule: what time and counts have to do with.
 */
#include "policy/load.h"

#define HOUR_MS (INT64_C(3600) * 1000)
#define SCHEDULE_MAX_MS (3650 * 24 * HOUR_MS)

/* ---- limits ---- */

static void load_max(struct loader *l, const struct doc *d, void *field)
{
    unsigned *to = field;
    if (d->kind != DOC_INT || d->integer < 1 ||
        d->integer > POLICY_LIMIT_AGENTS_MAX)
        load_error(l, d, "max: 50", "max must be a number of agents, 1 to %d",
                   POLICY_LIMIT_AGENTS_MAX);
    else
        *to = (unsigned)d->integer;
}

static void load_of_feed(struct loader *l, const struct doc *d, void *field)
{
    static const char *const words[] = {"each", "all", NULL};
    bool *all = field;
    unsigned i;
    if (load_word(l, d, "of_feed", words, &i))
        *all = i == 1;
}

static void load_never_for(struct loader *l, const struct doc *d, void *field)
{
    const struct filter **to = field;
    *to = load_filter(l, d, SCOPE_RESOURCE, NULL);
}

static const struct member limit_members[] = {
    {"max", load_max, offsetof(struct policy_limit, max), true},
    {"per", load_duration, offsetof(struct policy_limit, per_ms), true},
    {"of_feed", load_of_feed, offsetof(struct policy_limit, all_feeds), false},
    {"never_for", load_never_for, offsetof(struct policy_limit, never_for),
     false},
    {"beyond", load_action_names, offsetof(struct policy_limit, beyond), false},
};

static void load_limit(struct loader *l, const struct doc *d, void *field)
{
    (void)LOAD_MEMBERS(l, d, "a limit", limit_members, field);
}

void load_limits(struct loader *l, const struct doc *d, void *policy)
{
    struct policy *p = policy;
    struct member kinds[LIMIT_KIND_COUNT];
    for (unsigned k = 0; k < LIMIT_KIND_COUNT; k++)
        kinds[k] = (struct member){limit_kind_word((enum limit_kind)k),
                                   load_limit, k * sizeof p->limits[0], false};
    p->limited = LOAD_MEMBERS(l, d, "limits", kinds, p->limits) && d->count > 0;
}

/* ---- schedules ---- */

static void load_period(struct loader *l, const struct doc *d, void *field)
{
    int64_t *to = field;
    load_duration(l, d, to);
    if (*to != 0 && (*to < HOUR_MS || *to > SCHEDULE_MAX_MS))
        load_error(l, d, NULL, "a schedule takes 1h to 3650d, not %.*s",
                   PRSPAN(d->text));
}

static const struct member schedule_members[] = {
    {"every", load_period, offsetof(struct policy_rule, every_ms), false},
    {"idle", load_period, offsetof(struct policy_rule, idle_ms), false},
};

void load_schedule(struct loader *l, const struct doc *d, struct policy_rule *r)
{
    const bool every = r->every_ms > 0, idle = r->idle_ms > 0;
    if (d->count != 1)
        load_error(l, d, "{every: 90d} or {idle: 30d}",
                   "a schedule takes one member");
    else if ((every && doc_get(d, SPAN("every")) != NULL) ||
             (idle && doc_get(d, SPAN("idle")) != NULL))
        load_error(l, d, "make it a rule of its own",
                   "the rule has such a schedule already");
    else if (!LOAD_MEMBERS(l, d, "a schedule", schedule_members, r))
        return;
    if (r->every_ms > 0)
        r->events |= EVENT_BIT(EVENT_SCHEDULED);
    if (r->idle_ms > 0)
        r->events |= EVENT_BIT(EVENT_IDLE);
}

void check_schedule(struct loader *l, const struct doc *d,
                    const struct policy_rule *r)
{
    const struct doc *events = doc_get(d, SPAN("events"));
    if (r->every_ms == 0 && r->idle_ms == 0)
        return;
    if (r->subject != SUBJECT_AGENT || r->applies_to != APPLIES_SUBJECT)
        load_error(l, events, "leave out subject and applies_to",
                   "a schedule is about the agent itself");
    if (r->only_releases)
        load_error(l, events, "events: [activate, refreshed]",
                   "a schedule releases nothing: only reads do");
    if (l->p->schedule_count++ == POLICY_SCHEDULES_MAX)
        load_error(l, events, NULL, "more than %d rules with a schedule",
                   POLICY_SCHEDULES_MAX);
}
