// SPDX-License-Identifier: Apache-2.0
/*
 * "Did you mean": how far apart two short words are.
 */
#ifndef SIDECAR_BASE_GUESS_H
#define SIDECAR_BASE_GUESS_H

#include "sidecar/base/span.h"

#define GUESS_BYTES_MAX 64

/* Inserted, removed, changed or swapped bytes between `a` and `b`, without
 * looking at letter case. Words longer than GUESS_BYTES_MAX are far from
 * everything. */
unsigned guess_distance(struct span a, struct span b);

/* Keeps the nearest of many words: start with `*best_distance` = GUESS_NONE and
 * call once per candidate; `*best` is set when `candidate` is a plausible
 * misspelling of `word` and nearer than what came before. */
#define GUESS_NONE 1000u
void guess_try(struct span word, struct span candidate, struct span *best,
               unsigned *best_distance);

#endif
