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
#define FETCH_BODY_DEFAULT (1024 * 1024)
#define FETCH_REQUEST_BODY_MAX (1024 * 1024)
#define FETCH_URL_MAX 8192
#define FETCH_ANSWER_HEADER_BYTES_MAX (64 * 1024)
#define FETCH_CALLS_MAX 1024          /* in flight; more is RC_LIMIT */
#define FETCH_HOST_CONNECTIONS_MAX 80 /* two per feed and some */
#define FETCH_CONNECT_MS 10000

struct fetch; /* the client: connection pool and counters */
struct fetch_call;

struct fetch_header {
    struct span name, value;
};

/* Borrowed during fetch_start only. */
struct fetch_req {
    struct span method; /* "GET" */
    struct span url;
    struct fetch_header headers[FETCH_HEADERS_MAX];
    unsigned header_count;
    struct span body;
    uint32_t timeout_ms;             /* whole exchange */
    uint32_t body_bytes_max;         /* of the answer; 0: 1 MiB */
    bool allow_http;                 /* plain http: (tests, loopback) */
    struct span ca_file;             /* empty: system store */
    struct span cert_file, key_file; /* client certificate */
};

struct fetch_result {
    int rc; /* 0: an HTTP answer came; RC_TIMEOUT RC_UNAVAILABLE RC_UNTRUSTED
               (TLS) RC_TOO_LARGE RC_PROTOCOL RC_CANCELLED */
    unsigned status;    /* 100..599 when rc is 0 */
    struct span body;   /* dies when the callback returns */
    int64_t started_ms; /* loop time when fetch_start was called: not
                           later than the moment the peer answered for */
    struct fail fail;
};

/* First header of this name (any case) in the answer being delivered; p NULL
 * when absent. Only inside the callback. */
struct span fetch_answer_header(const struct fetch_call *c, const char *name);

/* Retry-After in ms (seconds or HTTP-date form, RFC 9110 10.2.3), -1 if absent.
 */
int64_t fetch_retry_after_ms(const struct fetch_call *c, int64_t now_wall_ms);

typedef void (*fetch_done_fn)(void *ctx, struct fetch_call *c,
                              const struct fetch_result *r);

int fetch_new(uv_loop_t *loop, struct fetch **ret, struct fail *f) must_use;

/* `done` runs exactly once and never before this returns. RC_INVALID for a URL
 * that is not https (or http when allowed), has user information or bytes that
 * do not belong, or for a header that would break the request; RC_LIMIT. An
 * answer with a Content-Encoding, or a Transfer-Encoding other than chunked, is
 * RC_PROTOCOL: nothing is ever decompressed (reliability T9). */
int fetch_start(struct fetch *h, const struct fetch_req *req,
                fetch_done_fn done, void *ctx, struct fetch_call **ret,
                struct fail *f) must_use;

/* done runs soon with RC_CANCELLED; not from inside this call. Legal until done
 * has begun. */
void fetch_cancel(struct fetch_call *c);

struct fetch_stats {
    uint64_t started, answered, failed, cancelled;
    unsigned open;
};
void fetch_stats_get(const struct fetch *h, struct fetch_stats *ret);

/* Cancels everything (each done runs with RC_CANCELLED), then `done` once, then
 * freed. Nothing may be started afterwards. */
void fetch_close(struct fetch *h, void (*done)(void *ctx), void *ctx);

#endif
