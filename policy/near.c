// SPDX-License-Identifier: Apache-2.0
#include "policy/near.h"

#include <stdio.h>

#define NEAR_MAX 48 /* longer words are not compared */

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;
    return m < c ? m : c;
}

/* Levenshtein's distance in one row. */
static unsigned edit_distance(struct span a, struct span b)
{
    unsigned row[NEAR_MAX + 1];
    for (unsigned j = 0; j <= b.n; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            unsigned above = row[j];
            row[j] = least(above + 1, row[j - 1] + 1,
                           diagonal + (a.p[i - 1] != b.p[j - 1]));
            diagonal = above;
        }
    }
    return row[b.n];
}

void near_try(struct near *n, struct span candidate)
{
    if (n->word.n > NEAR_MAX || candidate.n > NEAR_MAX || candidate.n == 0)
        return;
    unsigned distance = edit_distance(n->word, candidate);
    if (distance * 3 > n->word.n + 2 || distance > 3)
        return;
    if (n->best.n == 0 || distance < n->distance) {
        n->best = candidate;
        n->distance = distance;
    }
}

const char *near_advice(const struct near *n, char to[FAIL_TEXT_MAX])
{
    to[0] = 0;
    if (n->best.n > 0)
        (void)snprintf(to, FAIL_TEXT_MAX, "did you mean '%.*s'?",
                       PRSPAN(n->best));
    return to;
}
