// SPDX-License-Identifier: Apache-2.0
/*
 * A tiny HTTP/1.1 peer on the test's own loop, over real sockets: it hands each
 * complete request to the test and sends whatever bytes the test likes, also
 * ones that no honest server would send.
 */
#ifndef TESTS_LIB_RESPONDER_H
#define TESTS_LIB_RESPONDER_H

#include <uv.h>
#include "sidecar/base/buf.h"

struct responder;
struct responder_conn;

/* Spans die when the handler returns. */
struct responder_req {
    struct span method, target, head, body;
    unsigned number; /* 1 for the first request of this responder */
};

/* Answers now or later (keep `c`), at most once per request. */
typedef void (*responder_fn)(void *ctx, const struct responder_req *r,
                             struct responder_conn *c);

struct responder *responder_open(uv_loop_t *loop, responder_fn fn, void *ctx);
/* "http://127.0.0.1:PORT" */
const char *responder_url(const struct responder *r);
unsigned responder_requests(const struct responder *r);
/* Connections that are open now. */
unsigned responder_conns(const struct responder *r);

/* Raw bytes; several calls are fine. */
void responder_send(struct responder_conn *c, struct span bytes);
/* A proper answer; headers is "" or "Name: value\r\n...". */
void responder_reply(struct responder_conn *c, unsigned status,
                     const char *headers, struct span body);
void responder_hang_up(struct responder_conn *c);

/* A header's value of a request, or p NULL. */
struct span responder_header(const struct responder_req *r, const char *name);

void responder_close(struct responder *r);

#endif
