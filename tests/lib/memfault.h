// SPDX-License-Identifier: Apache-2.0
/*
 * A struct mem that counts, and fails one chosen allocation. The sweep fails
 * the first, then the second, and so on, until a run needs no more than it
 * was given:
 *
 *     struct memfault mf;
 *     MEMFAULT_SWEEP(&mf)
 *     {
 *         int rc = thing_new(&mf.mem, &thing);
 *         CHECK_INT(rc, mf.hit ? RC_NO_MEMORY : 0);
 *         thing_free(thing);
 *     }
 *
 * After each run nothing may be live. A body must not leave with break,
 * continue or return.
 */
#ifndef TESTS_LIB_MEMFAULT_H
#define TESTS_LIB_MEMFAULT_H

#include <stdbool.h>
#include "sidecar/base/mem.h"

#define MEMFAULT_RUNS_MAX 1000000

struct memfault {
    struct mem mem;        /* pass &mf.mem */
    unsigned long calls;   /* allocations and growths asked for, this run */
    unsigned long fail_at; /* 1 is the first; 0: never */
    bool keep_failing;     /* after fail_at all fail: a full machine */
    bool hit;              /* something failed in this run */
    unsigned long live;    /* blocks not released */
    size_t live_bytes;
    size_t peak_bytes;
    unsigned long runs;
};

/* Counts only. */
void memfault_init(struct memfault *mf);

/* Ends a run: fails the test when blocks are live. */
void memfault_check_clean(struct memfault *mf);

/* Prepares the next run; false after the run in which nothing failed. */
bool memfault_next(struct memfault *mf);

#define MEMFAULT_SWEEP(mf) for (memfault_init(mf); memfault_next(mf);)

#endif
