// SPDX-License-Identifier: Apache-2.0
/*
 * The `tests:` of a policy, checked and ready to run: what is given, what
 * happens in which order, what is expected. sidecar/policy_world runs them
 * through the engine; nothing here decides anything.
 *
 * A test in its short form (`event`, `expect`) and one with `steps` come out
 * the same: a list of steps.
 */
#ifndef POLICY_TEST_H
#define POLICY_TEST_H

#include "policy/policy.h"

#define POLICY_TESTS_MAX 1024
#define POLICY_TEST_STEPS_MAX 256
#define POLICY_TEST_WAIT_MAX_MS (INT64_C(400) * 24 * 3600 * 1000)

/* Below these paths are the resources of a test. */
#define POLICY_TEST_AGENTS "Agents"
#define POLICY_TEST_USERS "Users"
#define POLICY_TEST_GROUPS "Groups"

/* What the SCIM server says about one resource. */
enum test_state { TEST_THERE, TEST_GONE, TEST_FAILS };
struct test_resource {
    struct span uri;
    enum subject_kind kind;
    enum test_state state;
    bool agent; /* given as an agent, which may live among the users */
    const struct doc *members; /* THERE: attributes, `uri` left out */
    uint32_t line;
};

struct test_call {
    struct span agent; /* empty: the first given agent */
    struct span tool, id, run;
    uint32_t line;
};

struct test_credential {
    struct span agent, id;
    bool refresh;
    uint32_t line;
};

/* What the world outside answers to the jobs of one action. */
enum test_answer { TEST_CONFIRM, TEST_REFUSE, TEST_SILENT, TEST_RETRY };
struct test_job_answer {
    struct span action; /* cancel, revoke, purge or a name of `actions` */
    enum test_answer answer;
};

struct test_event {
    enum event_type type;
    struct span uri;
    struct span feed; /* empty: the first feed */
    struct span version;
    struct names changed;
    const struct doc *data;            /* or NULL */
    const struct doc *payload;         /* further members, or NULL */
    const struct test_resource *reads; /* what reads return from now on */
    unsigned read_count;
};

enum test_verb { TEST_HOLD, TEST_LIFT, TEST_APPROVE, TEST_DENY };
struct test_operator {
    enum test_verb verb;
    struct span uri;
    const struct doc *as; /* the person's resource, or NULL */
};

/* A list that is compared as a set; `asked` is false when it is left out. */
struct test_words {
    bool asked;
    struct names names;
    uint32_t line;
};

struct test_gate {
    struct span agent; /* empty: the one that `expect` is about */
    struct span tool, run;
    bool allow;
    struct span reason, rule; /* empty: not compared */
    bool would;               /* allowed only because of audit mode */
    bool would_asked;
    uint32_t line;
};

struct test_job {
    struct span action;
    struct names states;
    uint32_t line;
};

struct test_expect {
    struct span agent; /* empty: the first given agent */
    struct span standing;
    uint32_t standing_line;
    struct test_words hold, actions, would, not_permitted, rules, pending,
        calls;
    const struct test_gate *gates;
    unsigned gate_count;
    const struct test_job *jobs;
    unsigned job_count;
};

enum test_step_kind {
    TEST_STEP_EVENT,
    TEST_STEP_WAIT,
    TEST_STEP_READ,
    TEST_STEP_OPERATOR,
    TEST_STEP_SILENCE, /* feeds that fall silent */
    TEST_STEP_ANSWERS, /* what jobs are answered from now on */
    TEST_STEP_EXPECT
};

struct test_step {
    enum test_step_kind kind;
    uint32_t line;
    union {
        struct test_event event;
        int64_t wait_ms;
        struct {
            const struct test_resource *at;
            unsigned count;
        } reads;
        struct test_operator operator;
        struct names silence;
        struct {
            const struct test_job_answer *at;
            unsigned count;
        } answers;
        struct {
            const struct test_expect *at;
            unsigned count;
        } expect;
    };
};

struct policy_test {
    struct span name;
    uint32_t line, column;
    int64_t time_ms; /* wall time at the start; 0: the usual one */
    const struct test_resource *resources;
    unsigned resource_count;
    struct span agent; /* the first given agent, or empty */
    const struct test_call *calls;
    unsigned call_count;
    const struct test_credential *credentials;
    unsigned credential_count;
    const struct test_step *steps;
    unsigned step_count;
};

/* A file of its own: apiVersion, kind: PolicyTest, policy (a path, which the
 * caller has loaded already), tests. As policy_load: everything lives in `m`,
 * RC_CONFIG with notes. */
int policy_tests_load(struct mem *m, const struct policy *p,
                      const struct doc *root, const struct policy_test **ret,
                      unsigned *ret_count, struct policy_notes *notes,
                      struct fail *f) must_use;

#endif
