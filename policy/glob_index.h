// SPDX-License-Identifier: Apache-2.0
/*
 * Which of many patterns match a text, without trying them all. A pattern
 * begins or ends with some literal text; patterns stand ordered by that, and
 * only those whose literal text the given one begins or ends with are tried.
 * Immutable once it is built; finding allocates nothing.
 */
#ifndef POLICY_GLOB_INDEX_H
#define POLICY_GLOB_INDEX_H

#include "sidecar/base/fail.h"
#include "sidecar/base/mem.h"

struct glob_ref {
    struct span pattern;
    uint32_t literal_n;
    /* 1 + the place of the next one before it whose literal text this one's
     * begins (ends) with; 0: there is none. */
    uint32_t up;
    uint16_t owner;
    bool from_end;
    bool again; /* the same pattern as the next one before it */
};

struct glob_index {
    struct glob_ref *at; /* those from the start first */
    uint32_t count, from_start;
};

/* Room for `max` patterns, which live in `m` as long as it does. */
int glob_index_init(struct mem *m, size_t max, struct glob_index *x) must_use;
/* Borrows the pattern as long as the index lives. */
void glob_index_add(struct glob_index *x, struct span pattern, uint16_t owner);
/* After the last pattern, before the first question. */
void glob_index_seal(struct glob_index *x);

/* Sets bit `owner` of `bits` for every pattern that matches the text. Returns
 * how much it had to look at: patterns, and bytes where it tried them. */
size_t glob_index_find(const struct glob_index *x, struct span text,
                       uint64_t *bits);

#endif
