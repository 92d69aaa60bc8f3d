// SPDX-License-Identifier: Apache-2.0
/*
 * One attempt to take the policy file: everything that can be done without the
 * engine, on a worker thread or, at the start, before anything runs. A policy
 * is an immutable value, so the result is handed over as a whole.
 */
#ifndef SIDECAR_RUN_POLICY_LOAD_H
#define SIDECAR_RUN_POLICY_LOAD_H

#include "sidecar/io/file_watch.h"
#include "sidecar/run/rollout.h"

struct policy_load {
    struct work_item item;
    struct list_link link;
    struct app *app; /* the worker reads its configuration only */
    /* who asked */
    bool watched; /* nobody: the files have changed */
    struct http_req *req;
    struct span person; /* in the configuration */
    char reason[ROLLOUT_REASON_MAX + 1];
    bool rollback;
    /* what it is compared with, as of the moment it starts */
    const struct policy_keys *keys; /* none: no signature is asked for */
    struct signed_serial seen;
    int64_t wall_ms;
    char active[POLICY_DIGEST_HEX + 1]; /* "": at the start */
    unsigned char tried[32];
    /* the result */
    int rc;
    struct fail f;
    bool nothing_new; /* watched, and the same as tried before */
    bool unchanged;   /* the text that is in force: not compiled again */
    struct arena arena;
    const struct policy *policy;
    struct policy_notes *notes;
    struct span source;
    char digest[POLICY_DIGEST_HEX + 1]; /* "" for the built-in policy, or when
                                           the file could not be read */
    unsigned char content[32];          /* of the file and its signature */
    struct policy_sig sig;
    bool is_signed;
    int64_t file_ms;
    /* set by rollout.c */
    enum policy_outcome outcome;
    bool renews;
};

int policy_load_new(struct app *a, const struct policy_keys *keys,
                    struct policy_load **ret, struct fail *f) must_use;
void policy_load_free(struct policy_load *l);

/* Never fails as a call: see rc and f. */
void policy_load_run(struct work_item *w);
/* Errors and warnings of the text to stderr; names the first in f. */
void policy_load_report(struct policy_load *l);
/* Keeps the text in the data directory. */
int policy_load_keep(const struct policy_load *l, struct fail *f) must_use;
/* Its digest, or "built-in". */
const char *policy_load_name(const struct policy_load *l);
/* An action that cannot work is better known now than at the incident. */
void policy_load_warn_actions(const struct policy *p);

#endif
