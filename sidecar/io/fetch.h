// SPDX-License-Identifier: Apache-2.0
/*
 * Outbound HTTP: libcurl multi on the loop. https only unless a request says
 * otherwise, no redirects, no cookies, no netrc, no proxies from the
 * environment unless configured, no content decoding. Loop thread only.
 */
#ifndef SIDECAR_IO_FETCH_H
#define SIDECAR_IO_FETCH_H

#include <uv.h>
#include "sidecar/base/buf.h"
#include "sidecar/base/fail.h"

#define FETCH_HEADERS_MAX 16
#define FETCH_BODY_MAX (4 * 1024 * 1024)

struct fetch; /* the client: connection pool and counters */
struct fetch_call;

struct fetch_header {
    struct span name, value;
};

/* Borrowed during fetch_start only. */
struct fetch_req {
    struct span method;     /* "GET" */
    struct span url;
    struct fetch_header headers[FETCH_HEADERS_MAX];
    unsigned header_count;
    struct span body;
    uint32_t timeout_ms;    /* whole exchange */
    uint32_t body_bytes_max; /* of the answer; 0: 1 MiB */
    bool allow_http;        /* plain http: (tests, loopback) */
    struct span ca_file;    /* empty: system store */
    struct span cert_file, key_file; /* client certificate */
};

struct fetch_result {
    int rc; /* 0: an HTTP answer came; RC_TIMEOUT RC_UNAVAILABLE RC_UNTRUSTED
               (TLS) RC_TOO_LARGE RC_PROTOCOL RC_CANCELLED */
    unsigned status;
    struct span body;       /* dies when the callback returns */
    int64_t started_ms;     /* loop time when the request was sent */
    struct fail fail;
};

/* First header of this name (any case) in the answer being delivered; p NULL
 * when absent. Only inside the callback. */
struct span fetch_answer_header(const struct fetch_call *c, const char *name);

/* Retry-After in ms (seconds or HTTP-date form, RFC 9110 10.2.3), -1 if absent. */
int64_t fetch_retry_after_ms(const struct fetch_call *c, int64_t now_wall_ms);

typedef void (*fetch_done_fn)(void *ctx, struct fetch_call *c,
                              const struct fetch_result *r);

int fetch_new(uv_loop_t *loop, struct fetch **ret, struct fail *f) must_use;

/* `done` runs exactly once and never before this returns. */
int fetch_start(struct fetch *h, const struct fetch_req *req,
                fetch_done_fn done, void *ctx, struct fetch_call **ret,
                struct fail *f) must_use;

/* done runs soon with RC_CANCELLED. */
void fetch_cancel(struct fetch_call *c);

/* Cancels everything; done once, then freed. */
void fetch_close(struct fetch *h, void (*done)(void *ctx), void *ctx);

#endif
