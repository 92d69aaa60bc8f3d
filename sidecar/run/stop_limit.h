// SPDX-License-Identifier: Apache-2.0
/*
 * The net beneath stopping: a thread of its own that ends the process when
 * stopping takes too long, whatever holds it up, also a loop that is blocked.
 * What was acknowledged is on disk then, as after a crash.
 */
#ifndef SIDECAR_RUN_STOP_LIMIT_H
#define SIDECAR_RUN_STOP_LIMIT_H

#include <stdint.h>

#define STOP_LIMIT_EXIT 3

struct stop_limit;

/* After `ms` the process says where stopping was and ends with
 * STOP_LIMIT_EXIT. NULL when there is no thread to be had: then there is no
 * net. */
struct stop_limit *stop_limit_start(uint64_t ms);
/* Stopping has come to `phase` (a literal). NULL is fine. */
void stop_limit_at(struct stop_limit *l, const char *phase);
/* Everything is closed in time: ends the thread. NULL is fine. */
void stop_limit_end(struct stop_limit *l);

#endif
