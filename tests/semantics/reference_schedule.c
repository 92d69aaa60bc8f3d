// SPDX-License-Identifier: Apache-2.0
/* What time brings about: section "Schedules" of docs/policy.md. */
#include <stdio.h>
#include <string.h>

#include "tests/lib/check.h"
#include "tests/semantics/reference.h"

static int64_t clock_of(const struct ref *r)
{
    return r->now_ms + r->slept_ms;
}

static void take_one(struct ref *r, struct ref_schedule *to,
                     const struct policy_rule *rule, enum event_type type)
{
    *to = (struct ref_schedule){
        .rule = rule->name,
        .type = type,
        .period_ms = type == EVENT_IDLE ? rule->idle_ms : rule->every_ms,
        .since_ms = clock_of(r)};
    for (unsigned i = 0; i < r->schedule_count; i++)
        if (r->schedules[i].type == type &&
            span_eq(r->schedules[i].rule, rule->name))
            to->since_ms = r->schedules[i].since_ms;
}

/* What was run for the agent is still known of the schedules that stay. */
static void keep_runs(const struct ref *r, struct ref_subject *s,
                      const struct ref_schedule *now, unsigned n)
{
    int64_t kept[REF_RUNS_MAX] = {0};
    for (unsigned i = 0; i < n; i++)
        for (unsigned k = 0; k < r->schedule_count; k++)
            if (r->schedules[k].type == now[i].type &&
                span_eq(r->schedules[k].rule, now[i].rule))
                kept[i] = s->ran_ms[k];
    memcpy(s->ran_ms, kept, sizeof kept);
}

/* A rule that stays keeps its time, one that comes back begins anew. */
void ref_take_schedules(struct ref *r)
{
    struct ref_schedule now[REF_RUNS_MAX];
    unsigned n = 0;
    for (unsigned i = 0; i < r->policy->rule_count; i++) {
        const struct policy_rule *rule = &r->policy->rules[i];
        must(n + 2 <= REF_RUNS_MAX || rule->every_ms + rule->idle_ms == 0);
        if (rule->every_ms > 0)
            take_one(r, &now[n++], rule, EVENT_SCHEDULED);
        if (rule->idle_ms > 0)
            take_one(r, &now[n++], rule, EVENT_IDLE);
    }
    for (unsigned k = 0; k < r->subject_count; k++)
        keep_runs(r, &r->subjects[k], now, n);
    memcpy(r->schedules, now, n * sizeof *now);
    r->schedule_count = n;
    for (unsigned k = 0; k < r->subject_count; k++)
        ref_meet(r, &r->subjects[k]);
}

void ref_meet(struct ref *r, struct ref_subject *s)
{
    if (s->met || !s->known || !ref_is_agent(r, s) || r->schedule_count == 0)
        return;
    s->met = true;
    s->met_ms = s->used_ms = clock_of(r);
}

void ref_use(struct ref *r, struct span uri)
{
    ref_subject(r, uri)->used_ms = clock_of(r);
}

static int64_t due(const struct ref *r, const struct ref_subject *s, unsigned i)
{
    const struct ref_schedule *t = &r->schedules[i];
    const int64_t from[] = {s->met_ms, t->since_ms, s->ran_ms[i],
                            t->type == EVENT_IDLE ? s->used_ms : 0};
    int64_t latest = 0;
    for (unsigned k = 0; k < COUNT_OF(from); k++)
        if (from[k] > latest)
            latest = from[k];
    return latest + t->period_ms;
}

static bool holds(const struct ref_subject *s, struct span rule)
{
    for (unsigned i = 0; i < s->hold_count; i++)
        if (span_eq(span_str(s->holds[i].rule), rule))
            return true;
    return false;
}

/* The period passes anyway: without the rule while it holds the agent, and for
 * who is gone. */
static void run(struct ref *r, struct ref_subject *s, unsigned i)
{
    const struct ref_schedule *t = &r->schedules[i];
    char name[32];
    int n = snprintf(name, sizeof name, "%u-%lld", i, (long long)due(r, s, i));
    const struct ref_cause c = {
        .type = t->type,
        .jti = {mem_copy(r->mem, span_of(name, (size_t)n)), (size_t)n},
        .only = t->rule};
    s->ran_ms[i] = clock_of(r);
    if (s->found != REF_GONE && !holds(s, t->rule))
        ref_rules(r, s, &c);
}

void ref_run_schedules(struct ref *r)
{
    for (unsigned k = 0; k < r->subject_count; k++)
        for (unsigned i = 0; i < r->schedule_count; i++)
            if (r->subjects[k].met && ref_is_agent(r, &r->subjects[k]) &&
                due(r, &r->subjects[k], i) <= clock_of(r))
                run(r, &r->subjects[k], i);
}
