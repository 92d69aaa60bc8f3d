// SPDX-License-Identifier: Apache-2.0
/*
 * Which policy is in force, and how another one takes its place: on SIGHUP, on
 * a changed file, on an operator's word. A worker thread reads the file,
 * checks its signature, compiles it, runs its tests and keeps its text; the
 * loop then switches in one step. What fails on the way leaves the old policy
 * in force.
 *
 *   ask -> queue -> [worker: load] -> judged -> engine step -> (durable) told
 */
#ifndef SIDECAR_RUN_ROLLOUT_H
#define SIDECAR_RUN_ROLLOUT_H

#include "sidecar/io/policy_shelf.h"
#include "sidecar/io/policy_sig.h"
#include "sidecar/run/app.h"

#define ROLLOUT_QUEUE_MAX 8
#define ROLLOUT_REASON_MAX 512

/* Before the store is open: pinned keys, signature of bailiff.yaml, the policy
 * with its signature and tests. `signed_by` NULL: bailiff.yaml need not be
 * signed. */
int rollout_open(struct app *a, const char *signed_by, struct fail *f) must_use;
/* When facts are loaded: no replay of an older file, text kept. */
int rollout_accept(struct app *a, struct fail *f) must_use;
/* When the engine has started: history, worker, watching. */
int rollout_start(struct app *a, struct fail *f) must_use;
/* Stops what runs; frees when the loop is over. */
void rollout_close(struct app *a, void (*closed)(void *ctx), void *ctx);
void rollout_free(struct app *a);

/* Loads the file again, on the sidecar's own account. */
void rollout_reload(struct app *a);

/* For an operator: the request is answered when the outcome is durable.
 * RC_LIMIT when too many wait. */
int rollout_ask(struct app *a, struct http_req *r, struct span person,
                struct span reason, bool rollback, struct fail *f) must_use;
/* OUT_ACK of WAIT_POLICY. */
void rollout_told(struct app *a, struct waiter *w);

/* How things stand. */
struct rollout_view {
    const struct policy *policy;
    int64_t since_ms; /* wall clock: in force since */
    int64_t file_ms;  /* its file's modification time; 0: built in */
    const struct policy_sig *sig, *config_sig; /* NULL: not signed */
    bool pinned, config_pinned;                /* a signature is asked for */
    bool expired, config_expired;
    uint64_t activated, renewed, refused; /* since the start */
    const struct policy_entry *refusal;   /* the last one, or NULL */
    const struct policy_history *history;
};
struct json_out;
/* Member `key`: who signed, serial, not_after; nothing without a signature. */
void rollout_put_signature(struct json_out *j, const char *key,
                           const struct policy_sig *s, bool expired);
void rollout_view(const struct app *a, int64_t wall_ms,
                  struct rollout_view *ret);

#endif
