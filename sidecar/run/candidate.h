// SPDX-License-Identifier: Apache-2.0
/*
 * The candidate policy (policy.candidate): an engine of its own replays what
 * the live one is given, on a thread of its own, and is compared with what
 * really happens. It costs about a second engine and decides nothing.
 *
 * The loop hands over bytes that exist anyway, journal inputs and log records,
 * after they have left; the queue is bounded, what finds no room is counted.
 * Differences come back through candidate_next as inputs of the live engine.
 */
#ifndef SIDECAR_RUN_CANDIDATE_H
#define SIDECAR_RUN_CANDIDATE_H

#include "sidecar/core/engine.h"

#define CANDIDATE_QUEUE_BYTES (4u * 1024 * 1024)
#define CANDIDATE_TOLD_MAX 256     /* differences that wait for the loop */
#define CANDIDATE_RECORDS_PER_S 10 /* in the log; the rest is counted */
#define CANDIDATE_TOTALS_MAX 512   /* rules times differences that are kept */
#define CANDIDATE_SETTLE_MS 10000  /* before an effect counts as missing */

struct candidate;
struct json_out;
struct uv_async_s;

enum candidate_state {
    CANDIDATE_LOADING,
    CANDIDATE_REFUSED,
    CANDIDATE_ACTIVE,
    CANDIDATE_FAILED /* ran out of memory: compares no more */
};

/* Starts the thread, which loads, checks and tests the policy. `wake` (may be
 * NULL) is sent when there is something for candidate_next, when the state is
 * another one, and for candidate_beg. */
int candidate_start(struct span path, struct uv_async_s *wake,
                    struct candidate **ret, struct fail *f) must_use;
/* The thread ends as soon as it can and sends `wake` no more. */
void candidate_quit(struct candidate *c);
/* Joins the thread. The policy must not be in use by the engine any more. */
void candidate_stop(struct candidate *c);

enum candidate_state candidate_state(struct candidate *c);
/* Of one that is active. */
const struct policy *candidate_policy(const struct candidate *c);
/* Why it was refused, with line and column. */
void candidate_why(struct candidate *c, struct fail *ret);

/* Copies. `record`: a log record's tail; else a journal row's input. What one
 * step of the engine gave goes to the thread together, its input first: the
 * records of a step may leave before its row does. */
void candidate_push(struct candidate *c, bool record, struct span bytes);
void candidate_flush(struct candidate *c);
/* Is there room for more than what happens? `wake` is sent again and again as
 * the queue is worked off, until `more` is false. */
bool candidate_beg(struct candidate *c, bool more);

/* Is there something for candidate_next? Cheap, without a lock. */
bool candidate_has(const struct candidate *c);
/* Fills in IN_WOULD; its spans live until the next call. */
bool candidate_next(struct candidate *c, struct in *ret);

struct candidate_stats {
    uint64_t questions, changed, undecided, effects; /* that differ */
    uint64_t dropped;
    uint64_t unrecorded; /* differences */
};
void candidate_stats_get(struct candidate *c, struct candidate_stats *ret);
/* Writes members into the open map: docs/admin-api.md, CANDIDATE. */
void candidate_show(struct candidate *c, struct json_out *j);

#endif
