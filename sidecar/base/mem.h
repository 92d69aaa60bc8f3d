// SPDX-License-Identifier: Apache-2.0
/*
 * Where memory comes from. The pure layers allocate only through a
 * `struct mem *` they are given, so that a test can count and fail every
 * allocation and an event's memory can go away at once.
 *
 * Four kinds: mem_system() (malloc), an arena (freed as a whole), a budget
 * (counted), and the test fault injector in tests/lib/memfault.h.
 */
#ifndef SIDECAR_BASE_MEM_H
#define SIDECAR_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include "sidecar/base/span.h"

struct mem {
    /* Returns zeroed memory or NULL. */
    void *(*alloc)(struct mem *m, size_t n);
    /* Grows or shrinks; new bytes are not zeroed; NULL leaves `p` alone. */
    void *(*resize)(struct mem *m, void *p, size_t old_n, size_t n);
    void (*release)(struct mem *m, void *p);
};

/* malloc and free. Thread-safe. */
struct mem *mem_system(void);

/* Has mem_system() ever had none? Then what this process has to show may lack
 * something. */
bool mem_was_refused(void);

/* Zeroed memory or NULL. n == 0 gives a valid pointer. */
void *mem_alloc(struct mem *m, size_t n);

/* n * size with an overflow check; zeroed memory or NULL. */
void *mem_array(struct mem *m, size_t n, size_t size);

/* See struct mem.resize; p may be NULL when old_n is 0. */
void *mem_resize(struct mem *m, void *p, size_t old_n, size_t n);

/* NULL is legal. */
void mem_release(struct mem *m, void *p);
/* Gives free pages of mem_system() back to the system, where it has a way; that
 * looks at all that is free, so it is for quiet times. */
void mem_rest(void);

/* A copy of `s` with a NUL behind it (not counted); NULL when out of memory.
 * The caller releases `.p`. */
unsigned char *mem_copy(struct mem *m, struct span s);

/* Copies `s` to *at, which has room, moves *at behind it, and returns the copy:
 * for objects that carry their strings in one allocation. */
struct span mem_place(unsigned char **at, struct span s);

/* Memory of `parent`, counted: beyond `bytes_max` there is none. For what must
 * not take all that its process has. */
struct mem_budget {
    struct mem mem; /* pass &budget.mem where a struct mem * is asked for */
    struct mem *parent;
    size_t used_bytes, bytes_max; /* with what the counting itself takes */
    bool reached;                 /* something was refused for bytes_max */
};
void mem_budget_init(struct mem_budget *b, struct mem *parent,
                     size_t bytes_max);

/* Overwrites with zeros in a way the compiler keeps. */
void mem_wipe(void *p, size_t n);

#define ARENA_BLOCK_BYTES 4096
#define ARENA_SMALL_BYTES 256

struct arena_block;

/*
 * A bump allocator over `parent`. release is a no-op; arena_fini gives all
 * back. `limit` bounds the bytes handed out; beyond it alloc returns NULL.
 */
struct arena {
    struct mem mem; /* pass &arena.mem where a struct mem * is asked for */
    struct mem *parent;
    struct arena_block *blocks;
    size_t used_bytes;
    size_t limit_bytes;
    size_t block_bytes; /* of a block at least */
};

void arena_init(struct arena *a, struct mem *parent, size_t limit_bytes);

/* For something of which there are very many: blocks are small at first and
 * grow with what is there, up to ARENA_BLOCK_BYTES. */
void arena_init_small(struct arena *a, struct mem *parent, size_t limit_bytes);

/* Frees everything; the arena may be used again. */
void arena_fini(struct arena *a);

/* A place in an arena to go back to: what was handed out since goes. */
struct arena_mark {
    struct arena_block *block;
    size_t block_used, used_bytes;
};
struct arena_mark arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, struct arena_mark to);

/* Keeps the first block for reuse, so that a steady loop allocates nothing. */
void arena_clear(struct arena *a);

#endif
