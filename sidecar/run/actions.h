// SPDX-License-Identifier: Apache-2.0
/* HTTP actions of the policy, and how any job's attempt is reported. */
#ifndef SIDECAR_RUN_ACTIONS_H
#define SIDECAR_RUN_ACTIONS_H

#include "sidecar/run/app.h"

/* Starts one attempt; it ends with one outbound_job_result. */
void action_run(struct app *a, const struct out_job *o);

/* In outbound.c: the result of an attempt that carries no call results. */
void outbound_job_result(struct app *a, uint64_t job_id, unsigned attempt,
                         enum job_result result, int64_t retry_after_ms,
                         const char *why);

#endif
