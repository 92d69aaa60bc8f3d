// SPDX-License-Identifier: Apache-2.0
/*
 * Runs http actions of a policy: reads the files they name, sends what
 * adapters/actions/http builds and says how it ended. One attempt per call;
 * when to try again is decided elsewhere. Loop thread only.
 */
#ifndef SIDECAR_IO_HTTP_ACTION_H
#define SIDECAR_IO_HTTP_ACTION_H

#include "adapters/actions/http.h"
#include "sidecar/io/fetch.h"

#define HTTP_ACTION_TIMEOUT_MS 10000
#define HTTP_ACTION_ANSWER_MAX (64 * 1024)
#define HTTP_ACTION_SECRET_MAX 16384

struct http_action_req {
    const struct policy_action *action; /* until done */
    struct http_vars vars;              /* borrowed during the call, as are */
    struct span idempotency_key;        /* all the rest */
    uint32_t timeout_ms;                /* 0: HTTP_ACTION_TIMEOUT_MS */
    bool allow_http;                    /* tests and loopback */
};

struct http_action_result {
    enum action_outcome outcome;
    bool already;           /* a done_already status */
    unsigned status;        /* 0: no answer */
    int64_t retry_after_ms; /* -1: not said */
    struct fail fail;       /* why not confirmed; no secrets */
};

struct http_action_call;
typedef void (*http_action_done_fn)(void *ctx,
                                    const struct http_action_result *r);

/* `done` exactly once, never before this returns. A failure here sent nothing:
 * RC_INVALID (a template: final for this job), others may be tried again. */
int http_action_start(struct fetch *h, const struct http_action_req *req,
                      http_action_done_fn done, void *ctx,
                      struct http_action_call **ret, struct fail *f) must_use;

/* done runs soon with ACTION_RETRY and RC_CANCELLED; so it does for every call
 * when `h` is closed. */
void http_action_cancel(struct http_action_call *c);

#endif
