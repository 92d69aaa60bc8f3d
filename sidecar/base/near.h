// SPDX-License-Identifier: Apache-2.0
/*
 * "Did you mean": how far apart two short words are.
 */
#ifndef SIDECAR_BASE_NEAR_H
#define SIDECAR_BASE_NEAR_H

#include "sidecar/base/span.h"

#define NEAR_BYTES_MAX 64

/* Inserted, removed, changed or swapped bytes between `a` and `b`, without
 * looking at letter case. Words longer than NEAR_BYTES_MAX are far from
 * everything. */
unsigned near_distance(struct span a, struct span b);

/* Keeps the nearest of many words: start with `*best_distance` = NEAR_NONE and
 * call once per candidate; `*best` is set when `candidate` is a plausible
 * misspelling of `word` and nearer than what came before. */
#define NEAR_NONE 1000u
void near_try(struct span word, struct span candidate, struct span *best,
              unsigned *best_distance);

#endif
