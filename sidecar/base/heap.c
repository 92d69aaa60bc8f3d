// SPDX-License-Identifier: Apache-2.0
#include "sidecar/base/heap.h"

/* Two trees into one; either may be NULL. */
static struct heap_link *meld(struct heap_link *a, struct heap_link *b)
{
    if (a == NULL || b == NULL)
        return a == NULL ? b : a;
    if (b->at_ms < a->at_ms) {
        struct heap_link *t = a;
        a = b;
        b = t;
    }
    b->next = a->child;
    if (b->next != NULL)
        b->next->prev = b;
    b->prev = a;
    a->child = b;
    return a;
}

/* The trees of a list of siblings into one: melded in pairs from the left, the
 * pairs then from the right, which is what makes the costs logarithmic. */
static struct heap_link *meld_siblings(struct heap_link *first)
{
    struct heap_link *pairs = NULL, *all = NULL;
    while (first != NULL) {
        struct heap_link *a = first, *b = a->next;
        first = b == NULL ? NULL : b->next;
        a->next = NULL;
        if (b != NULL)
            b->next = NULL;
        a = meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs != NULL) {
        struct heap_link *next = pairs->next;
        pairs->next = NULL;
        all = meld(all, pairs);
        pairs = next;
    }
    return all;
}

static void set_root(struct heap *h, struct heap_link *k)
{
    h->root = k;
    if (k != NULL)
        k->prev = k;
}

void heap_put(struct heap *h, struct heap_link *k, int64_t at_ms)
{
    heap_remove(h, k);
    k->at_ms = at_ms;
    set_root(h, meld(h->root, k));
}

void heap_remove(struct heap *h, struct heap_link *k)
{
    if (!heap_linked(k))
        return;
    struct heap_link *below = meld_siblings(k->child);
    if (k == h->root) {
        set_root(h, below);
    } else {
        if (k->prev->child == k)
            k->prev->child = k->next;
        else
            k->prev->next = k->next;
        if (k->next != NULL)
            k->next->prev = k->prev;
        set_root(h, meld(h->root, below));
    }
    k->child = k->next = k->prev = NULL;
}
