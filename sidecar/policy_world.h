// SPDX-License-Identifier: Apache-2.0
/*
 * A small world in which the tests of a policy run: the real engine, a clock
 * that only moves when a test waits, a SCIM server, a runtime and the targets
 * of jobs that answer as the test says. No network, no store, no thread.
 *
 * One world per test. Its memory and the number of its engine steps are
 * bounded, so that a policy that never comes to rest fails its test instead of
 * hanging who runs it.
 */
#ifndef SIDECAR_POLICY_WORLD_H
#define SIDECAR_POLICY_WORLD_H

#include "policy/test.h"
#include "sidecar/policy_coverage.h"

#define WORLD_STEPS_MAX 20000 /* of one test */
#define WORLD_STEPS_CHECK_MAX                                                  \
    100000 /* of all tests of a policy_world_check                             \
            */
#define WORLD_BYTES_MAX (64u * 1024 * 1024)
#define WORLD_FAILURES_MAX 64                 /* kept of one test */
#define WORLD_START_MS INT64_C(1767225600000) /* 2026-01-01T00:00:00Z */

/* One expectation that did not hold, or what stopped the test. */
struct world_failure {
    uint32_t line;
    struct span what;          /* "hold of /Agents/7" */
    struct span expected, got; /* both empty: `what` says it all */
};

struct world_result {
    const struct policy_test *test;
    struct world_failure failures[WORLD_FAILURES_MAX];
    unsigned failure_count; /* 0: passed */
    unsigned checks;        /* expectations that were compared */
    unsigned steps;         /* of the engine */
    struct span trace;      /* the decision log of the test, a line a record */
};

/* Runs one test. Texts of the result live in `m`. `coverage` is added to and
 * may be NULL. A test that fails is no failure of the call: RC_NO_MEMORY and
 * RC_LIMIT mean that it could not be run at all. */
int policy_world_run(struct mem *m, const struct policy *p,
                     const struct policy_test *test, struct coverage *coverage,
                     struct world_result *ret, struct fail *f) must_use;

/* Runs the policy's own tests, as a start or a reload does. RC_CONFIG when one
 * fails, or when all together take more than WORLD_STEPS_CHECK_MAX steps: `f`
 * names the first. `*ret_passed` counts those that passed. */
int policy_world_check(const struct policy *p, unsigned *ret_passed,
                       struct fail *f) must_use;

#endif
