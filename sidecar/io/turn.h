// SPDX-License-Identifier: Apache-2.0
/*
 * What the network objects of one owner (a server, a client) share on the
 * loop: a list of things with output to flush once per turn, deadlines on one
 * timer, scratch memory for reading, and a pool for what comes and goes.
 */
#ifndef SIDECAR_IO_TURN_H
#define SIDECAR_IO_TURN_H

#include <uv.h>
#include "sidecar/base/buf.h"
#include "sidecar/base/fail.h"
#include "sidecar/base/list.h"
#include "sidecar/base/pool.h"

#define TURN_READ_BYTES 65536
#define TURN_PLAIN_BYTES 16384
#define TURN_SPARE_BYTES (1u << 20)
#define TURN_POOL_BYTES (1u << 20)
#define TURN_NEVER UINT64_MAX

/* Embedded in whatever has output. flush runs once per turn when marked. */
struct turn_item {
    struct list_link link;
    void (*flush)(struct turn_item *i);
};

/* Embedded; set `fire` once. Private: pos (0: not armed). */
struct deadline {
    uint64_t at_ms;
    size_t pos;
    void (*fire)(struct deadline *d);
};

struct turn {
    uv_loop_t *loop;
    uv_check_t check; /* flushes */
    uv_idle_t idle;   /* active while something is marked: no blocking poll */
    uv_timer_t timer; /* the earliest deadline */
    struct list dirty;
    struct deadline **heap; /* slots 1..count */
    size_t count, cap;
    struct buf spare;     /* output memory of whoever drained last */
    unsigned char *read;  /* TURN_READ_BYTES, valid during one read callback */
    unsigned char *plain; /* TURN_PLAIN_BYTES, decrypted bytes */
    struct pool *pool;    /* streams, requests and nghttp2's memory */
    unsigned open_handles;
    void (*closed)(struct turn *t);
};

/* RC_NO_MEMORY or RC_IO. The handles do not keep the loop alive. */
int turn_init(struct turn *t, uv_loop_t *loop) must_use;

/* Gives back what is kept for the next requests: there are none for a while. */
void turn_rest(struct turn *t);

/* Closes the handles; `closed` runs when the storage may be freed. */
void turn_close(struct turn *t, void (*closed)(struct turn *t));

uint64_t turn_now_ms(const struct turn *t);

/* Legal at any time, also from within a flush. */
void turn_mark(struct turn *t, struct turn_item *i);
void turn_unmark(struct turn_item *i);

/* Arms, or moves an armed deadline. RC_NO_MEMORY. */
int deadline_set(struct turn *t, struct deadline *d, uint64_t at_ms) must_use;

/* Legal when not armed. */
void deadline_stop(struct turn *t, struct deadline *d);

#endif
