// SPDX-License-Identifier: Apache-2.0
#include "sidecar/base/mem.h"

#include <malloc.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sidecar/base/fail.h"

static atomic_bool was_refused;

static void *checked(void *p)
{
    if (p == NULL)
        atomic_store(&was_refused, true);
    return p;
}

bool mem_was_refused(void)
{
    return atomic_load(&was_refused);
}

static void *system_alloc(struct mem *m, size_t n)
{
    (void)m;
    return checked(calloc(1, n == 0 ? 1 : n));
}

static void *system_resize(struct mem *m, void *p, size_t old_n, size_t n)
{
    (void)m;
    (void)old_n;
    return checked(realloc(p, n == 0 ? 1 : n));
}

static void system_release(struct mem *m, void *p)
{
    (void)m;
    free(p);
}

struct mem *mem_system(void)
{
    static struct mem system_mem = {system_alloc, system_resize,
                                    system_release};
    return &system_mem;
}

void mem_rest(void)
{
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
}

void *mem_alloc(struct mem *m, size_t n)
{
    return m->alloc(m, n);
}

void *mem_array(struct mem *m, size_t n, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(n, size, &total))
        return NULL;
    return m->alloc(m, total);
}

void *mem_resize(struct mem *m, void *p, size_t old_n, size_t n)
{
    return m->resize(m, p, old_n, n);
}

void mem_release(struct mem *m, void *p)
{
    if (p != NULL)
        m->release(m, p);
}

unsigned char *mem_copy(struct mem *m, struct span s)
{
    if (s.n == SIZE_MAX)
        return NULL;
    unsigned char *copy = m->alloc(m, s.n + 1);
    if (copy != NULL && s.n > 0)
        memcpy(copy, s.p, s.n);
    return copy;
}

struct span mem_place(unsigned char **at, struct span s)
{
    struct span placed = {*at, s.n};
    if (s.n > 0)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return placed;
}

/* ---- budget ---- */

/* Before each block: release is not told how large it is. */
struct counted {
    size_t n; /* with this head */
    alignas(max_align_t) unsigned char bytes[];
};

static struct mem_budget *budget_of(struct mem *m)
{
    return (struct mem_budget *)(void *)m; /* mem is the first member */
}

static struct counted *counted_of(void *p)
{
    return (struct counted *)(void *)((unsigned char *)p -
                                      offsetof(struct counted, bytes));
}

/* The size of a block with its head that may take `old_n` bytes' place; 0 when
 * there is no room. */
static size_t budget_size(struct mem_budget *b, size_t old_n, size_t n)
{
    size_t size;
    if (!__builtin_add_overflow(n, sizeof(struct counted), &size) &&
        size <= b->bytes_max - b->used_bytes + old_n)
        return size;
    b->reached = true;
    return 0;
}

static void *budget_take(struct mem_budget *b, struct counted *c, size_t old_n,
                         size_t n)
{
    if (c == NULL)
        return NULL;
    b->used_bytes += n - old_n;
    c->n = n;
    return c->bytes;
}

static void *budget_alloc(struct mem *m, size_t n)
{
    struct mem_budget *b = budget_of(m);
    const size_t size = budget_size(b, 0, n);
    return size == 0 ? NULL
                     : budget_take(b, mem_alloc(b->parent, size), 0, size);
}

static void *budget_resize(struct mem *m, void *p, size_t old_n, size_t n)
{
    (void)old_n;
    struct mem_budget *b = budget_of(m);
    if (p == NULL)
        return budget_alloc(m, n);
    struct counted *c = counted_of(p);
    const size_t was = c->n, size = budget_size(b, was, n);
    return size == 0
               ? NULL
               : budget_take(b, mem_resize(b->parent, c, was, size), was, size);
}

static void budget_release(struct mem *m, void *p)
{
    struct counted *c = counted_of(p);
    budget_of(m)->used_bytes -= c->n;
    mem_release(budget_of(m)->parent, c);
}

void mem_budget_init(struct mem_budget *b, struct mem *parent, size_t bytes_max)
{
    *b = (struct mem_budget){
        .mem = {budget_alloc, budget_resize, budget_release},
        .parent = parent,
        .bytes_max = bytes_max};
}

void mem_wipe(void *p, size_t n)
{
    if (p != NULL && n > 0)
        explicit_bzero(p, n);
}

struct arena_block {
    struct arena_block *next;
    size_t cap;
    size_t used;
    alignas(max_align_t) unsigned char bytes[];
};

static struct arena *arena_of(struct mem *m)
{
    return (struct arena *)(void *)m; /* mem is the first member */
}

/* Small arenas grow by a quarter, so that little of them is unused. */
static size_t next_block_bytes(const struct arena *a)
{
    size_t quarter = a->used_bytes / 4;
    if (quarter < a->block_bytes)
        return a->block_bytes;
    return quarter < ARENA_BLOCK_BYTES ? quarter : ARENA_BLOCK_BYTES;
}

static struct arena_block *arena_grow(struct arena *a, size_t n)
{
    size_t cap = next_block_bytes(a);
    if (cap < n)
        cap = n;
    struct arena_block *b = a->parent->alloc(a->parent, sizeof *b + cap);
    if (b == NULL)
        return NULL;
    b->cap = cap;
    b->next = a->blocks;
    a->blocks = b;
    return b;
}

static void *arena_alloc(struct mem *m, size_t n)
{
    struct arena *a = arena_of(m);
    const size_t align = alignof(max_align_t);
    if (n > SIZE_MAX / 2)
        return NULL;
    n = n == 0 ? align : (n + align - 1) / align * align;
    if (n > a->limit_bytes - a->used_bytes)
        return NULL;
    struct arena_block *b = a->blocks;
    if (b == NULL || b->cap - b->used < n) {
        b = arena_grow(a, n);
        if (b == NULL)
            return NULL;
    }
    void *p = b->bytes + b->used;
    b->used += n;
    a->used_bytes += n;
    memset(p, 0, n);
    return p;
}

static void *arena_resize(struct mem *m, void *p, size_t old_n, size_t n)
{
    void *fresh = arena_alloc(m, n);
    if (fresh != NULL && p != NULL)
        memcpy(fresh, p, old_n < n ? old_n : n);
    return fresh;
}

static void arena_release(struct mem *m, void *p)
{
    (void)m;
    (void)p;
}

void arena_init(struct arena *a, struct mem *parent, size_t limit_bytes)
{
    *a = (struct arena){
        .mem = {arena_alloc, arena_resize, arena_release},
        .parent = parent,
        .limit_bytes = limit_bytes,
        .block_bytes = ARENA_BLOCK_BYTES,
    };
}

void arena_init_small(struct arena *a, struct mem *parent, size_t limit_bytes)
{
    arena_init(a, parent, limit_bytes);
    a->block_bytes = ARENA_SMALL_BYTES;
}

static void arena_drop_blocks(struct arena *a, struct arena_block *keep)
{
    struct arena_block *b = a->blocks;
    while (b != NULL) {
        struct arena_block *next = b->next;
        if (b != keep)
            a->parent->release(a->parent, b);
        b = next;
    }
    a->blocks = keep;
    if (keep != NULL) {
        keep->next = NULL;
        keep->used = 0;
    }
    a->used_bytes = 0;
}

void arena_fini(struct arena *a)
{
    if (a->parent != NULL)
        arena_drop_blocks(a, NULL);
}

void arena_clear(struct arena *a)
{
    struct arena_block *first = a->blocks;
    while (first != NULL && first->next != NULL)
        first = first->next;
    if (first != NULL && first->cap > ARENA_BLOCK_BYTES)
        first = NULL;
    arena_drop_blocks(a, first);
}

struct arena_mark arena_mark(const struct arena *a)
{
    return (struct arena_mark){
        .block = a->blocks,
        .block_used = a->blocks == NULL ? 0 : a->blocks->used,
        .used_bytes = a->used_bytes};
}

void arena_rewind(struct arena *a, struct arena_mark to)
{
    if (to.block == NULL) {
        arena_clear(a);
        return;
    }
    while (a->blocks != to.block) {
        struct arena_block *b = a->blocks;
        must(b != NULL); /* a mark of another arena */
        a->blocks = b->next;
        a->parent->release(a->parent, b);
    }
    to.block->used = to.block_used;
    a->used_bytes = to.used_bytes;
}
