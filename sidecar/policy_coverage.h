// SPDX-License-Identifier: Apache-2.0
/*
 * What the tests of a policy have touched: rules, their steps and events, gate
 * rules both ways, and the value of every term of every condition. The world
 * of a test tells what happens; rules, steps and events are taken from the
 * decision log, terms are evaluated here over what the engine was given.
 */
#ifndef SIDECAR_POLICY_COVERAGE_H
#define SIDECAR_POLICY_COVERAGE_H

#include "policy/policy.h"

/* A condition's terms that are no joints, in the order of filter_explain. */
struct coverage_terms {
    unsigned count;
    struct coverage_term {
        const struct filter *term;
        unsigned seen; /* bits 1 << enum tri */
    } * at;
};

struct coverage_rule {
    unsigned matched, pending;
    event_mask events; /* that it matched, or released, on */
    uint32_t steps;    /* bit i: step i was taken */
    struct coverage_terms where;
};

struct coverage_gate {
    unsigned asked, allowed, denied;
    struct coverage_terms require;
};

struct coverage {
    const struct policy *policy;
    struct coverage_rule *rules;
    struct coverage_gate *gates;
    event_mask said; /* types of statements in any test */
};

/* Nothing is covered yet. Lives in `m`. */
int coverage_new(struct mem *m, const struct policy *p, struct coverage **ret,
                 struct fail *f) must_use;

/* One record of the decision log. */
void coverage_record(struct coverage *c, const struct doc *record);

/* A statement: `payload` is what event.* reads, `read` the last that was read
 * of its subject, or NULL. */
void coverage_event(struct coverage *c, enum event_type type,
                    enum subject_kind kind, const struct doc *payload,
                    const struct doc *read);
/* A read of a subject came back: what waited, and releases, are decided. */
void coverage_read(struct coverage *c, enum subject_kind kind,
                   const struct doc *resource);
/* The gate was asked. `call` as conditions see it. */
struct coverage_question {
    struct span tool, run;
    const struct doc *resource; /* last read of the agent, or NULL */
    bool allowed;
    struct span denied_by; /* the gate rule, or empty */
};
void coverage_gate(struct coverage *c, struct mem *m,
                   const struct coverage_question *q);

/* How much there is and how much of it was covered. */
struct coverage_sum {
    unsigned covered, total;
};
struct coverage_sums {
    struct coverage_sum rules, steps, terms, gates, events, all;
};
/* A term counts twice, as yes and as no; a gate rule with a requirement
 * twice, as allowed and as denied; a rule's events one by one, "*" as one. */
void coverage_sums(const struct coverage *c, struct coverage_sums *ret);
/* 100 when there is nothing to cover. */
unsigned coverage_percent(struct coverage_sum s);
/* Is this one of the events to cover for the rule? */
bool coverage_wants_event(const struct policy_rule *r, enum event_type type);
/* For "*": one event of any type is enough. */
bool coverage_any_event(const struct policy_rule *r);

#endif
