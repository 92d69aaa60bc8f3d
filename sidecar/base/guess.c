// SPDX-License-Identifier: Apache-2.0
#include "sidecar/base/guess.h"

#include <string.h>

static unsigned char fold(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : c;
}

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    const unsigned ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Optimal string alignment: three rows of the table are enough. */
unsigned guess_distance(struct span a, struct span b)
{
    if (a.n > GUESS_BYTES_MAX || b.n > GUESS_BYTES_MAX)
        return GUESS_NONE;
    unsigned rows[3][GUESS_BYTES_MAX + 1];
    for (size_t j = 0; j <= b.n; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a.n; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *up = rows[(i + 2) % 3], *up2 = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b.n; j++) {
            const bool same = fold(a.p[i - 1]) == fold(b.p[j - 1]);
            row[j] = least(up[j] + 1, row[j - 1] + 1, up[j - 1] + !same);
            const bool swapped = i > 1 && j > 1 &&
                                 fold(a.p[i - 1]) == fold(b.p[j - 2]) &&
                                 fold(a.p[i - 2]) == fold(b.p[j - 1]);
            if (swapped && up2[j - 2] + 1 < row[j])
                row[j] = up2[j - 2] + 1;
        }
    }
    return rows[a.n % 3][b.n];
}

void guess_try(struct span word, struct span candidate, struct span *best,
               unsigned *best_distance)
{
    const bool begun =
        word.n >= 3 && candidate.n > word.n && span_starts(candidate, word);
    const unsigned d = begun ? 1 : guess_distance(word, candidate);
    /* One slip in a short word, up to a third of a long one. */
    const size_t allowed = word.n < 4 ? 1 : 1 + word.n / 4;
    if (d <= allowed && d < *best_distance) {
        *best = candidate;
        *best_distance = d;
    }
}
