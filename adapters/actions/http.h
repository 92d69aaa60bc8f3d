// SPDX-License-Identifier: Apache-2.0
/*
 * A policy's http action as a request: templates expanded, every value escaped
 * for the place where it goes. Pure; sidecar/io/http_action sends it.
 */
#ifndef ADAPTERS_ACTIONS_HTTP_H
#define ADAPTERS_ACTIONS_HTTP_H

#include "policy/policy.h"
#include "sidecar/base/buf.h"

#define HTTP_VARS_MAX 64
#define HTTP_ACTION_URL_MAX 4096
#define HTTP_ACTION_BODY_MAX (64 * 1024)
#define HTTP_ACTION_HEADERS_MAX 12

/* {{name}} in templates: event.jti, event.txn, agent.uri, agent.id, rule,
 * runtime.namespace ... */
struct http_var {
    struct span name, value;
};

struct http_vars {
    const struct http_var *at;
    unsigned count;
};

enum http_escape {
    HTTP_IN_URL,    /* percent-encoded; "." and ".." are refused */
    HTTP_IN_JSON,   /* inside a JSON string */
    HTTP_IN_FORM,   /* percent-encoded */
    HTTP_IN_HEADER, /* bytes that would end the field are refused */
    HTTP_IN_TEXT,   /* as it is */
};

/* Appends `text` with its placeholders replaced. RC_INVALID: unknown or empty
 * variable, an open {{, or a value that does not belong here; RC_TOO_LARGE. */
int http_expand(struct span text, const struct http_vars *vars,
                enum http_escape how, struct buf *out, struct fail *f) must_use;

struct http_action_header {
    struct span name, value;
};

/* Lives in the `struct mem *` given. */
struct http_action_request {
    struct span method, url, body;
    struct http_action_header headers[HTTP_ACTION_HEADERS_MAX];
    unsigned header_count;
};

/* What fills an action; borrowed. */
struct http_action_input {
    const struct policy_action *action;
    struct http_vars vars;
    struct span idempotency_key; /* "jti:rule:action:target:agent" */
    /* contents of url_file, key_file, bearer_file; empty without one */
    struct span url, key, bearer;
};

/* A variable may not choose scheme, host or port. The idempotency key becomes
 * the header Idempotency-Key and PagerDuty's dedup_key. RC_INVALID,
 * RC_TOO_LARGE, RC_NO_MEMORY. */
int http_action_build(struct mem *m, const struct http_action_input *in,
                      struct http_action_request *ret, struct fail *f) must_use;

enum action_outcome { ACTION_CONFIRMED, ACTION_REFUSED, ACTION_RETRY };
const char *action_outcome_word(enum action_outcome o);

/* What a status means: success and done_already sets confirm (2xx when there
 * is no success set); 408, 425, 429 and 5xx are tried again. */
enum action_outcome http_action_judge(const struct policy_action *a,
                                      unsigned status, bool *ret_already);

#endif
