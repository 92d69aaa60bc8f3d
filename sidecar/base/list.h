// SPDX-License-Identifier: Apache-2.0
/*
 * Intrusive doubly linked list: the link lives in the element, the parent owns
 * the elements. A zeroed link is "in no list"; list_remove on it is legal.
 */
#ifndef SIDECAR_BASE_LIST_H
#define SIDECAR_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list_link {
    struct list_link *prev, *next;
};

struct list {
    struct list_link head;
};

#define container_of(ptr, type, member)                                        \
    ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void list_init(struct list *l)
{
    l->head.prev = l->head.next = &l->head;
}

static inline bool list_empty(const struct list *l)
{
    return l->head.next == &l->head;
}

static inline bool list_linked(const struct list_link *k)
{
    return k->next != NULL;
}

static inline void list_push(struct list *l, struct list_link *k)
{
    k->prev = l->head.prev;
    k->next = &l->head;
    l->head.prev->next = k;
    l->head.prev = k;
}

static inline void list_remove(struct list_link *k)
{
    if (k->next == NULL)
        return;
    k->prev->next = k->next;
    k->next->prev = k->prev;
    k->prev = k->next = NULL;
}

/* The first element's link taken out, or NULL. */
static inline struct list_link *list_shift(struct list *l)
{
    if (list_empty(l))
        return NULL;
    struct list_link *k = l->head.next;
    list_remove(k);
    return k;
}

/* `next` keeps the walk safe when the body removes `it`. */
#define LIST_EACH(it, next_it, l)                                              \
    for (struct list_link *it = (l)->head.next, *next_it = it->next;           \
         it != &(l)->head; it = next_it, next_it = it->next)

#endif
