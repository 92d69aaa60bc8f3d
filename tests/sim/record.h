// SPDX-License-Identifier: Apache-2.0
/* The members of a record that the judge looks at, from its JSON text. */
#ifndef TESTS_SIM_RECORD_H
#define TESTS_SIM_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "sidecar/base/span.h"

struct rec {
    uint64_t input, decision, job;
    int64_t reach, confirmed; /* -1: absent */
    bool would;
    struct span kind, agent, base, event, jti, rule, action, hold, target,
        outcome, person, feed;
};

void rec_read(struct span tail, struct rec *ret);
bool rec_is(struct span s, const char *word);
void rec_copy(char *at, size_t room, struct span s);

#endif
