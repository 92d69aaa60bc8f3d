// SPDX-License-Identifier: Apache-2.0
/*
 * Stored reasons why an agent may not act, keyed (agent, kind, rule, cause).
 * Holds outlive the policy that made them; they end by a release on a
 * qualifying read or by an operator (DESIGN section 5).
 */
#ifndef SIDECAR_CORE_HOLD_H
#define SIDECAR_CORE_HOLD_H

#include "sidecar/core/subject.h"

#define HOLDS_PER_AGENT_MAX 64
#define HOLD_TOOLS_MAX 64

struct hold {
    struct list_link link;     /* in subject->holds */
    struct list_link due_link; /* in holds->due, when it has a deadline */
    struct heap_link deadline; /* in holds->deadlines as well: monotonic */
    /* In engine->new_holds or engine->lifted_holds during a step. */
    struct list_link new_link;
    bool unsaved; /* no row has it yet */
    struct subject *agent;
    enum hold_kind kind;
    bool operator_only;       /* ends only by an operator */
    enum event_type event;    /* what caused it */
    unsigned char *rule;      /* policy rule, or "operator" */
    unsigned char *cause;     /* jti, or who and why */
    unsigned char *by;        /* review: filter text of who may approve */
    struct names tools;       /* globs; none: all tools */
    enum hold_kind otherwise; /* review: what it becomes */
    int64_t since_wall_ms;
    int64_t due_wall_ms; /* review: 0 without */
};

struct holds {
    struct mem *mem;
    size_t count, max;
    struct list due; /* holds with a deadline */
    struct heap deadlines;
};

void holds_init(struct holds *t, struct mem *m, size_t max);

struct hold_spec {
    enum hold_kind kind, otherwise;
    bool operator_only;
    enum event_type event;
    struct span rule, cause, by;
    struct names tools;
    int64_t since_wall_ms, due_wall_ms, due_ms;
};

/* Adds, or finds the one with the same key: *ret_new tells. Copies. At the
 * limit of an agent one of the same rule that says as much will do: the agent
 * is not held more by a second one. RC_LIMIT per agent or in all,
 * RC_NO_MEMORY. */
int hold_put(struct holds *t, struct subject *agent,
             const struct hold_spec *spec, struct hold **ret,
             bool *ret_new) must_use;
void hold_free(struct holds *t, struct hold *h);
/* Out of force, but there: until it is freed, or put back because its end was
 * not stored. Where its like was set meanwhile, that stays instead. */
void hold_take_out(struct holds *t, struct hold *h);
void hold_put_back(struct holds *t, struct hold *h);

/* Does it cover this tool? */
bool hold_covers(const struct hold *h, struct span tool);

/* The strictest hold that covers the tool, or NULL: suspended before review
 * before uncovered. */
const struct hold *hold_strictest(const struct subject *agent,
                                  struct span tool);

/* Does an operator mean this hold? Empty words match any. `cause` is its cause,
 * as stored or as shown ("jti 4f2c"), or its rule. */
bool hold_matches(const struct hold *h, struct span kind, struct span cause);

/* Key of FACT_HOLD: the subject's key NUL kind NUL rule NUL cause. */
void hold_key(const struct hold *h, struct buf *out);
void hold_encode(const struct hold *h, struct buf *out);
/* From key and value, without the subject part. `tools` is scratch for
 * spec->tools (HOLD_TOOLS_MAX entries). RC_BROKEN. */
int hold_decode(struct span key_rest, struct span value, struct hold_spec *ret,
                struct span *tools) must_use;

#endif
