// SPDX-License-Identifier: Apache-2.0
/*
 * What the files of the world share: policy_world.c (time, runtime),
 * policy_world_scim.c (the SCIM server and what feeds say),
 * policy_world_expect.c (comparisons).
 */
#ifndef SIDECAR_POLICY_WORLD_INTERNAL_H
#define SIDECAR_POLICY_WORLD_INTERNAL_H

#include "sidecar/base/buf.h"
#include "sidecar/base/list.h"
#include "sidecar/driver.h"
#include "sidecar/policy_world.h"

#define WORLD_BASE "https://scim.test"
#define WORLD_RUNTIME "runtime"

/* What the SCIM server has. */
struct world_resource {
    struct list_link link;
    struct span uri;
    enum subject_kind kind;
    enum test_state state;
    const struct doc *members;
    struct span version;    /* ETag */
    const struct doc *read; /* what was read last, or NULL */
};

struct world_record {
    struct list_link link;
    const struct doc *doc;
};

struct world_read {
    struct list_link link;
    uint64_t id;
    struct span uri, if_none_match;
};

struct world_job {
    struct list_link link;
    uint64_t id;
    unsigned attempt;
    struct span action;
    const struct in_call_result *calls;
    unsigned call_count;
};

/* One TEST_STEP_ANSWERS that has taken effect; the newest counts. */
struct world_answers {
    struct list_link link;
    const struct test_step *step;
};

struct world {
    struct arena arena; /* everything of this world */
    struct mem *out;    /* texts of the result */
    const struct policy *policy;
    struct policy calm_policy; /* as `policy`; without the dead man's switch
                                  where no feed falls silent: long waits would
                                  only hop from one proof of life to the next */
    struct policy seed_policy;
    const struct policy_test *test;
    struct coverage *coverage;
    struct world_result *result;
    struct engine_conf conf;
    struct span star; /* "*" */
    struct driver drive;
    uint64_t token;
    struct list reads, jobs, answers, resources;
    struct list records; /* since the last expectation */
    struct list past;    /* older ones, since the world was ready */
    bool ready;          /* what is given is in place */
    unsigned version_count, event_count;
    struct out_answer answer; /* the last one; its token says to what */
    struct span answer_rule;
    struct buf trace;
    int64_t ready_ms;
    int done_rc;
    struct span done_text;
};

/* policy_world.c */
void world_wait(struct world *w, int64_t ms);
/* Asks the gate and lets time pass until it answers; false: it never did. */
bool world_ask(struct world *w, struct span uri, struct span tool,
               struct span run);
/* A failure without comparison. */
void world_complain(struct world *w, uint32_t line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void world_differ(struct world *w, uint32_t line, struct span what,
                  struct span expected, struct span got);
/* A formatted text in memory of the result. */
struct span world_text(struct world *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
struct span world_keep(struct world *w, struct span s);

/* policy_world_scim.c */
int world_add_resource(struct world *w, const struct test_resource *r) must_use;
void world_change(struct world *w, const struct test_resource *change);
/* NULL when the server has none. */
const struct world_resource *world_find(struct world *w, struct span uri);
/* A read of it was answered with this; it is remembered for coverage. */
void world_note_read(struct world *w, struct span uri, const struct doc *read);
const struct doc *world_last_read(const struct world *w, struct span uri);
/* A feed says something: the server follows, the engine is told. */
void world_event(struct world *w, const struct test_step *step);
unsigned world_feed(const struct world *w, struct span name);

/* policy_world_expect.c */
void world_expect(struct world *w, const struct test_step *step);

#endif
