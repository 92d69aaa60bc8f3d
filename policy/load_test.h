// SPDX-License-Identifier: Apache-2.0
/*
 * Private to load_test.c and load_expect.c: the two halves of `tests:`.
 */
#ifndef POLICY_LOAD_TEST_H
#define POLICY_LOAD_TEST_H

#include "policy/load.h"
#include "policy/test.h"

/* A path such as /Agents/7 into a span. */
void load_test_path(struct loader *l, const struct doc *d, void *span_field);

/* A note unless `word` is an action that jobs are made for: cancel, revoke,
 * purge or a name under `actions`. `key`: it stands before the colon. */
void load_test_action(struct loader *l, const struct doc *d, struct span word,
                      bool key);

/* One map of expectations or a list of them. */
void load_test_expect(struct loader *l, const struct doc *d,
                      struct test_step *step);

#endif
