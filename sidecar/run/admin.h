// SPDX-License-Identifier: Apache-2.0
/*
 * Operators' commands over HTTP (docs/admin-api.md): admin.c knows paths, who
 * is asking and how refusals look, admin_show.c answers queries at once,
 * admin_change.c makes changes and answers when they are durable,
 * admin_policy.c is about the policy in force.
 */
#ifndef SIDECAR_RUN_ADMIN_H
#define SIDECAR_RUN_ADMIN_H

#include "sidecar/base/json_out.h"
#include "sidecar/run/app.h"

#define ADMIN_BODY_BYTES_MAX (64 * 1024)
#define ADMIN_ANSWER_BYTES_MAX (16 * 1024 * 1024)
#define ADMIN_ARENA_BYTES (2 * 1024 * 1024)

enum admin_param {
    PARAM_STANDING = 1,
    PARAM_FEED = 2,
    PARAM_AFTER = 4,
    PARAM_LIMIT = 8,
    PARAM_STATE = 16,
    PARAM_AGENT = 32,
    PARAM_DIGEST = 64,
    PARAM_RULE = 128,
};

/* One request being handled. */
struct admin_ask {
    struct app *app;
    struct http_req *req;
    const struct config_operator *who;
    struct arena arena;      /* this request's words */
    struct show_query query; /* from the query string */
    struct span uri;         /* of /v1/agents/URI */
    struct span digest;      /* of a policy */
    struct json_out json;    /* the answer */
};

struct admin_verb {
    enum operator_verb verb;
    const char *members; /* allowed beside `reason`, each with a blank behind */
    const char *needed;
};

/* admin.c */
/* Answers with the status of `rc` and an error object. */
void admin_refuse(struct http_req *r, int rc, struct span text);
/* Answers with what is in `body`, or an error when it did not fit. */
void admin_reply(struct http_req *r, const struct buf *body);
/* Index of a feed's name, -1 for an empty one. RC_UNKNOWN_NAME. */
int admin_feed(const struct app *a, struct span name, int *ret,
               struct fail *f) must_use;
/* Which base an agent is meant in. RC_STATE when several know it and no feed
 * was named, RC_UNKNOWN_NAME when that cannot be said. */
int admin_base(const struct app *a, int feed, struct span uri, unsigned *ret,
               struct fail *f) must_use;

/* admin_show.c: put the answer into q->json. */
int admin_show_status(struct admin_ask *q, struct fail *f) must_use;
int admin_show_agents(struct admin_ask *q, struct fail *f) must_use;
int admin_show_agent(struct admin_ask *q, struct fail *f) must_use;
int admin_show_reviews(struct admin_ask *q, struct fail *f) must_use;
int admin_show_jobs(struct admin_ask *q, struct fail *f) must_use;
int admin_show_feeds(struct admin_ask *q, struct fail *f) must_use;
int admin_show_candidate(struct admin_ask *q, struct fail *f) must_use;

/* admin_change.c: 0 when the request is answered or will be. */
int admin_change(struct admin_ask *q, const struct admin_verb *v,
                 struct fail *f) must_use;

/* A body with these members and a reason, all of them checked. */
int admin_body(struct admin_ask *q, const struct admin_verb *v,
               const struct doc **ret, struct fail *f) must_use;

/* admin_policy.c */
int admin_show_policy(struct admin_ask *q, struct fail *f) must_use;
int admin_show_policy_history(struct admin_ask *q, struct fail *f) must_use;
int admin_show_policy_text(struct admin_ask *q, struct fail *f) must_use;
/* 0 when the request will be answered. */
int admin_reload(struct admin_ask *q, const struct admin_verb *v,
                 struct fail *f) must_use;

#endif
