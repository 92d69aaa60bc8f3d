// SPDX-License-Identifier: Apache-2.0
/*
 * In the order of their literal texts, whatever begins with L stands behind L
 * without a gap. So of the texts that T begins with, each begins the greatest
 * one that is not after T, and is found by going up from there. From the end
 * the same holds of texts read backwards.
 */
#include "policy/glob_index.h"

#include <stdlib.h>

int glob_index_init(struct mem *m, size_t max, struct glob_index *x)
{
    *x = (struct glob_index){.at = mem_array(m, max, sizeof *x->at)};
    return x->at == NULL ? RC_NO_MEMORY : 0;
}

/* The longer literal text tells more. */
void glob_index_add(struct glob_index *x, struct span pattern, uint16_t owner)
{
    const size_t head = span_find(pattern, '*', 0);
    size_t tail = 0;
    while (tail < pattern.n && pattern.p[pattern.n - 1 - tail] != '*')
        tail++;
    struct glob_ref *ref = &x->at[x->count++];
    ref->pattern = pattern;
    ref->owner = owner;
    ref->from_end = tail > head;
    ref->literal_n = (uint32_t)(ref->from_end ? tail : head);
}

static struct span literal(const struct glob_ref *r)
{
    return r->from_end
               ? span_sub(r->pattern, r->pattern.n - r->literal_n, r->pattern.n)
               : span_sub(r->pattern, 0, r->literal_n);
}

static int order_from_end(struct span a, struct span b)
{
    for (size_t i = 1; i <= a.n && i <= b.n; i++)
        if (a.p[a.n - i] != b.p[b.n - i])
            return a.p[a.n - i] < b.p[b.n - i] ? -1 : 1;
    return a.n < b.n ? -1 : a.n > b.n;
}

static int order(struct span a, struct span b, bool from_end)
{
    return from_end ? order_from_end(a, b) : span_cmp(a, b);
}

static int by_literal(const void *x, const void *y, void *ctx)
{
    const struct glob_ref *a = x, *b = y;
    (void)ctx;
    if (a->from_end != b->from_end)
        return a->from_end - b->from_end;
    int first = order(literal(a), literal(b), a->from_end);
    return first != 0 ? first : span_cmp(a->pattern, b->pattern);
}

static bool leads(const struct glob_ref *up, const struct glob_ref *r)
{
    return up->from_end ? span_ends(literal(r), literal(up))
                        : span_starts(literal(r), literal(up));
}

/* Going up visits no place twice: what one pattern leaves behind does not
 * begin a later one either. */
static void link_up(struct glob_ref *at, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        at[i].up = i;
        while (at[i].up > 0 && !leads(&at[at[i].up - 1], &at[i]))
            at[i].up = at[at[i].up - 1].up;
        at[i].again = span_eq(at[i].pattern, at[i - 1].pattern);
    }
}

void glob_index_seal(struct glob_index *x)
{
    qsort_r(x->at, x->count, sizeof *x->at, by_literal, NULL);
    while (x->from_start < x->count && !x->at[x->from_start].from_end)
        x->from_start++;
    link_up(x->at, x->from_start);
    link_up(x->at + x->from_start, x->count - x->from_start);
}

/* How many literal texts do not stand after the text. */
static uint32_t not_after(const struct glob_ref *at, uint32_t count,
                          struct span text, bool from_end)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (order(literal(&at[mid]), text, from_end) <= 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static size_t find(const struct glob_ref *at, uint32_t count, struct span text,
                   bool from_end, uint64_t *bits)
{
    size_t looked_at = 0;
    bool tried = false, matches = false;
    for (uint32_t i = not_after(at, count, text, from_end); i > 0;) {
        const struct glob_ref *r = &at[i - 1];
        if (!tried) {
            matches = span_glob(r->pattern, text);
            looked_at += r->pattern.n + text.n;
        }
        if (matches)
            bits[r->owner / 64] |= UINT64_C(1) << r->owner % 64;
        looked_at++;
        tried = r->again;
        i = r->up;
    }
    return looked_at;
}

size_t glob_index_find(const struct glob_index *x, struct span text,
                       uint64_t *bits)
{
    return find(x->at, x->from_start, text, false, bits) +
           find(x->at + x->from_start, x->count - x->from_start, text, true,
                bits);
}
