// SPDX-License-Identifier: Apache-2.0
/*
 * Threads for signature checks and for parsing claims and resources. Items of
 * one lane (a feed, a SCIM base) finish in the order they were submitted;
 * different lanes do not wait for each other. Bounded; the queue is handed over
 * in batches with one wake-up.
 */
#ifndef SIDECAR_IO_WORK_H
#define SIDECAR_IO_WORK_H

#include <uv.h>
#include "sidecar/base/fail.h"
#include "sidecar/base/list.h"

#define WORK_LANES_MAX 64

struct work;

/* Embedded in the caller's request. */
struct work_item {
    void (*run)(struct work_item *w);  /* on a worker thread; no shared state */
    void (*done)(struct work_item *w); /* on the loop thread; may free itself */
    unsigned lane;                     /* < WORK_LANES_MAX */
    struct list_link link;             /* private from here */
    struct work_item *next_in_lane;
    int phase;
};

/* threads 0: min(2, cores). queue_max bounds items not yet done. */
int work_new(uv_loop_t *loop, unsigned threads, unsigned queue_max,
             struct work **ret, struct fail *f) must_use;
/* RC_LIMIT when the queue is full. */
int work_submit(struct work *p, struct work_item *w) must_use;
unsigned work_pending(const struct work *p);
/* Lets queued items finish (their done runs), joins, then `done`. */
void work_close(struct work *p, void (*done)(void *ctx), void *ctx);

#endif
