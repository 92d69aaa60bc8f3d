// SPDX-License-Identifier: Apache-2.0
/*
 * Intrusive heap of deadlines, the earliest first (a pairing heap). It has no
 * memory of its own, so that nothing here can fail; putting costs O(1), taking
 * out O(log n) amortised. A zeroed link is "in no heap".
 */
#ifndef SIDECAR_BASE_HEAP_H
#define SIDECAR_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_link {
    struct heap_link *child, *next;
    struct heap_link *prev; /* left sibling or parent; the root: itself */
    int64_t at_ms;
};

struct heap {
    struct heap_link *root; /* NULL: empty */
};

static inline bool heap_linked(const struct heap_link *k)
{
    return k->prev != NULL;
}

/* The element with the least at_ms, or NULL. */
static inline struct heap_link *heap_first(const struct heap *h)
{
    return h->root;
}

/* Puts it in at `at_ms`, or moves it there. */
void heap_put(struct heap *h, struct heap_link *k, int64_t at_ms);

/* Legal on a link that is in no heap. */
void heap_remove(struct heap *h, struct heap_link *k);

#endif
