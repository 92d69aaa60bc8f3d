// SPDX-License-Identifier: Apache-2.0
#include "sidecar/base/pool.h"

#include <stdalign.h>
#include <stdint.h>
#include <string.h>

#include "sidecar/base/fail.h"

/* Classes are 64, 128, ... 2048 bytes with the head; more is not kept. */
#define CLASS_STEP 64
#define CLASSES 32
#define CLASS_NONE CLASSES

#if defined(__SANITIZE_ADDRESS__)
#define KEEP false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEP false
#endif
#endif
#ifndef KEEP
#define KEEP true
#endif

struct block {
    union {
        struct block *next; /* kept */
        size_t n;           /* in use: bytes the user may have */
    };
    unsigned class;
    alignas(max_align_t) unsigned char bytes[];
};

struct pool {
    struct mem mem; /* first: pool_of */
    struct mem *parent;
    struct block *kept[CLASSES];
    size_t kept_bytes, keep_bytes, in_use;
    bool closed;
};

static size_t class_bytes(unsigned class)
{
    return (size_t)(class + 1) * CLASS_STEP;
}

static unsigned class_of(size_t total)
{
    return total > CLASSES * CLASS_STEP ? CLASS_NONE
                                        : (unsigned)((total - 1) / CLASS_STEP);
}

static struct block *block_of(void *p)
{
    return (struct block *)(void *)((unsigned char *)p -
                                    offsetof(struct block, bytes));
}

void *pool_take(struct pool *p, size_t n)
{
    size_t total;
    if (__builtin_add_overflow(n, sizeof(struct block), &total))
        return NULL;
    unsigned class = class_of(total);
    struct block *b = class == CLASS_NONE ? NULL : p->kept[class];
    if (b != NULL) {
        p->kept[class] = b->next;
        p->kept_bytes -= class_bytes(class);
    } else {
        if (class != CLASS_NONE && KEEP)
            total = class_bytes(class);
        b = mem_alloc(p->parent, total);
        if (b == NULL)
            return NULL;
        b->class = class;
    }
    b->n = n;
    p->in_use++;
    return b->bytes;
}

static void end_if_over(struct pool *p)
{
    if (p->closed && p->in_use == 0)
        mem_release(p->parent, p);
}

void pool_give(struct pool *p, void *block)
{
    if (block == NULL)
        return;
    struct block *b = block_of(block);
    unsigned class = b->class;
    must(p->in_use > 0);
    p->in_use--;
    if (!KEEP || class == CLASS_NONE || p->closed ||
        p->kept_bytes + class_bytes(class) > p->keep_bytes) {
        mem_release(p->parent, b);
        end_if_over(p);
        return;
    }
    b->next = p->kept[class];
    p->kept[class] = b;
    p->kept_bytes += class_bytes(class);
}

void *pool_retake(struct pool *p, void *block, size_t n)
{
    if (block == NULL)
        return pool_take(p, n);
    size_t old = block_of(block)->n;
    void *fresh = pool_take(p, n);
    if (fresh == NULL)
        return NULL;
    memcpy(fresh, block, old < n ? old : n);
    pool_give(p, block);
    return fresh;
}

static struct pool *pool_of(struct mem *m)
{
    return (struct pool *)(void *)m;
}

static void *on_alloc(struct mem *m, size_t n)
{
    void *block = pool_take(pool_of(m), n);
    if (block != NULL)
        memset(block, 0, n);
    return block;
}

static void *on_resize(struct mem *m, void *p, size_t old_n, size_t n)
{
    (void)old_n;
    return pool_retake(pool_of(m), p, n);
}

static void on_release(struct mem *m, void *p)
{
    pool_give(pool_of(m), p);
}

struct pool *pool_new(struct mem *parent, size_t keep_bytes)
{
    struct pool *p = mem_alloc(parent, sizeof *p);
    if (p == NULL)
        return NULL;
    p->mem = (struct mem){on_alloc, on_resize, on_release};
    p->parent = parent;
    p->keep_bytes = keep_bytes;
    return p;
}

struct mem *pool_mem(struct pool *p)
{
    return &p->mem;
}

size_t pool_kept_bytes(const struct pool *p)
{
    return p->kept_bytes;
}

void pool_rest(struct pool *p)
{
    for (unsigned i = 0; i < CLASSES; i++) {
        while (p->kept[i] != NULL) {
            struct block *b = p->kept[i];
            p->kept[i] = b->next;
            mem_release(p->parent, b);
        }
    }
    p->kept_bytes = 0;
}

void pool_close(struct pool *p)
{
    if (p == NULL)
        return;
    pool_rest(p);
    p->closed = true;
    end_if_over(p);
}
