// SPDX-License-Identifier: Apache-2.0
/*
 * The known word nearest to one that is not known, for messages: words that
 * differ by few letters, few in proportion to their length.
 */
#ifndef POLICY_NEAR_H
#define POLICY_NEAR_H

#include "sidecar/base/fail.h"
#include "sidecar/base/span.h"

struct near {
    struct span word;
    struct span best; /* empty: none so far */
    unsigned distance;
};
void near_try(struct near *n, struct span candidate);

/* "did you mean 'x'?", into `to` (empty when none is near); returns `to`. */
const char *near_advice(const struct near *n, char to[FAIL_TEXT_MAX]);

#endif
