// SPDX-License-Identifier: Apache-2.0
#include "policy/near.h"

#include <stdio.h>

#define NEAR_MAX 48 /* longer words are not compared */
#define NEAR_LETTERS 3

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;
    return m < c ? m : c;
}

/* Levenshtein's distance, or more than `limit` when it is more: only cells that
 * far from the diagonal count, and a row of larger ones ends it. So thousands
 * of names cost little, however they are chosen. */
static unsigned edit_distance(struct span a, struct span b, unsigned limit)
{
    unsigned row[NEAR_MAX + 2];
    for (unsigned j = 0; j <= b.n; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        unsigned from = i > limit ? i - limit : 1;
        unsigned to = i + limit < b.n ? i + limit : (unsigned)b.n;
        unsigned diagonal = row[from - 1], lowest = limit + 1;
        row[from - 1] = from == 1 ? i : limit + 1;
        for (unsigned j = from; j <= to; j++) {
            unsigned above = j == i + limit ? limit + 1 : row[j];
            row[j] = least(above + 1, row[j - 1] + 1,
                           diagonal + (a.p[i - 1] != b.p[j - 1]));
            diagonal = above;
            lowest = row[j] < lowest ? row[j] : lowest;
        }
        if (lowest > limit)
            return limit + 1;
    }
    return row[b.n];
}

void near_try(struct near *n, struct span candidate)
{
    size_t most = (n->word.n + 2) / 3; /* letters that may differ */
    unsigned limit = most < NEAR_LETTERS ? (unsigned)most : NEAR_LETTERS;
    if (n->best.n > 0)
        limit = n->distance - 1;
    if (n->word.n > NEAR_MAX || candidate.n > NEAR_MAX || candidate.n == 0 ||
        (n->best.n > 0 && n->distance == 0) ||
        n->word.n > candidate.n + limit || candidate.n > n->word.n + limit)
        return;
    unsigned distance = edit_distance(n->word, candidate, limit);
    /* Half of it may differ when it begins alike: tpye, cash; not name, gate.
     */
    if (distance > limit ||
        (2 * distance >= n->word.n && n->word.p[0] != candidate.p[0]))
        return;
    n->best = candidate;
    n->distance = distance;
}

const char *near_advice(const struct near *n, char to[FAIL_TEXT_MAX])
{
    to[0] = 0;
    if (n->best.n > 0)
        (void)snprintf(to, FAIL_TEXT_MAX, "did you mean '%.*s'?",
                       PRSPAN(n->best));
    return to;
}
