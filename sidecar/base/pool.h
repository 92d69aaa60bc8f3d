// SPDX-License-Identifier: Apache-2.0
/*
 * Memory for things that come and go all the time, such as HTTP/2 streams: a
 * released block is kept for the next one of its size class, so that a steady
 * load asks the system for nothing. Not thread-safe.
 *
 * What is kept is bounded. A pool outlives its owner until its last block is
 * released. Under AddressSanitizer nothing is kept, so that it sees every use
 * after a release.
 */
#ifndef SIDECAR_BASE_POOL_H
#define SIDECAR_BASE_POOL_H

#include "sidecar/base/mem.h"

struct pool;

/* NULL without memory. At most `keep_bytes` wait for reuse. */
struct pool *pool_new(struct mem *parent, size_t keep_bytes);

/* Gives back what is kept: the load is over. */
void pool_rest(struct pool *p);

/* The same for good; blocks in use may still be released, the last one
 * ends the pool. NULL is legal. */
void pool_close(struct pool *p);

/* A struct mem over the pool: zeroed blocks. */
struct mem *pool_mem(struct pool *p);

/* As malloc, free and realloc, for libraries: not zeroed, NULL is legal. */
void *pool_take(struct pool *p, size_t n);
void pool_give(struct pool *p, void *block);
void *pool_retake(struct pool *p, void *block, size_t n);

size_t pool_kept_bytes(const struct pool *p);

#endif
