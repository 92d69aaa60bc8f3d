// SPDX-License-Identifier: Apache-2.0
/*
 * Reads of SCIM resources, one GET each (RFC 7644 3.4.1) or many in one query
 * (3.4.3), budgeted per server: so many requests at a time and per second (with
 * jitter), first come, first served. An answer is parsed on a worker thread.
 * What it means for an agent is decided elsewhere. Loop thread only.
 */
#ifndef SIDECAR_IO_SCIM_H
#define SIDECAR_IO_SCIM_H

#include "sidecar/base/doc.h"
#include "sidecar/io/oauth.h"
#include "sidecar/io/work.h"

#define SCIM_BASES_MAX CONFIG_FEEDS_MAX
#define SCIM_QUEUE_MAX 4096               /* per base, waiting */
#define SCIM_BODY_BYTES_MAX (1024 * 1024) /* 7644-R26 */
#define SCIM_MEMBERS_MAX 256              /* of one object in an answer */
#define SCIM_ARENA_BYTES_MAX (24 * 1024 * 1024)
#define SCIM_RATE_DEFAULT 50
#define SCIM_CONCURRENCY_DEFAULT 8
#define SCIM_LIST_MAX 200       /* resources in one query */
#define SCIM_PAUSE_MAX_MS 60000 /* Retry-After is believed up to */

struct scim;
struct scim_call;

struct scim_stats {
    uint64_t started, answered, failed, retried_401, paused;
    uint64_t lists, lists_failed; /* of started, failed */
    uint64_t foreign;             /* resources in lists that nobody asked for */
    unsigned waiting, running;
};

int scim_new(uv_loop_t *loop, struct fetch *fetch, struct oauth *oauth,
             struct work *work, struct scim **ret, struct fail *f) must_use;

/* A server: feed->scim_base with its authentication, trust and budget (feed
 * lives until closed). `lane` is for struct work. RC_LIMIT. */
int scim_add(struct scim *s, const struct config_feed *feed, unsigned lane,
             unsigned *ret_base, struct fail *f) must_use;

struct scim_req {
    unsigned base;           /* from scim_add */
    struct span uri;         /* "/Agents/7": segments of [A-Za-z0-9._~-] */
    const struct span *uris; /* or a list read of these, up to SCIM_LIST_MAX */
    unsigned uri_count;
    struct span etag;       /* If-None-Match; empty: unconditional. No list */
    struct span attributes; /* "active,groups"; `meta` is added. Empty: all */
    uint32_t timeout_ms;    /* from scim_read on, waiting included */
};

/* What a list says of one resource. */
struct scim_listed {
    const struct doc *doc; /* NULL: nothing, or nothing clear; a read of its own
                              must say */
    struct span etag;      /* its version; empty when that is not known to be
                              its ETag */
    bool seen;             /* scim_list_parse: its id was there */
};

/*
 * rc 0: exactly one of found, gone, not_modified is set, for a list read it is
 * found. Otherwise nothing is known about the resource: RC_TIMEOUT,
 * RC_UNAVAILABLE (also 429, 5xx, and 404 or 410 while the server does not
 * answer for itself), RC_REFUSED (401, 403, other 4xx), RC_PROTOCOL (redirects,
 * another id, an answer from a cache, 304 to nothing), RC_SYNTAX, RC_TOO_LARGE,
 * RC_UNTRUSTED, RC_CANCELLED.
 */
struct scim_result {
    int rc;
    unsigned status;       /* 0: no answer */
    bool found;            /* doc is the resource and has the asked id */
    bool gone;             /* 404 or 410, and ServiceProviderConfig answers */
    bool not_modified;     /* 304 */
    struct span etag;      /* W/"..."; empty when there is none */
    const struct doc *doc; /* in `arena`; NULL for a list */
    const struct scim_listed *listed; /* in `arena`: one for each URI */
    struct arena *arena;              /* see scim_take_arena */
    int64_t started_ms;               /* loop time before the request left */
    int64_t retry_after_ms;           /* -1: not said */
    struct fail fail;
};

typedef void (*scim_done_fn)(void *ctx, struct scim_result *r);

/* `done` exactly once, never before this returns. RC_INVALID for a URI or
 * attributes that do not belong into a URL (7644-R18), RC_LIMIT. A list leaves
 * such a URI out, and is RC_INVALID when none is left. */
int scim_read(struct scim *s, const struct scim_req *req, scim_done_fn done,
              void *ctx, struct scim_call **ret, struct fail *f) must_use;

/* done runs soon with RC_CANCELLED; legal until it has begun. */
void scim_cancel(struct scim_call *c);

/* Inside done: keeps doc and etag alive; NULL when there are none. The caller
 * frees with scim_arena_free, on any thread. */
struct arena *scim_take_arena(struct scim_result *r);
void scim_arena_free(struct arena *a);

/* An entity-tag as W/"opaque", whatever its strength: versions are only ever
 * compared weakly (7644-R6). Into `m`; empty when malformed or out of memory.
 */
struct span scim_etag(struct mem *m, struct span raw);

void scim_stats_get(const struct scim *s, struct scim_stats *ret);

/* Cancels everything, then done. Before oauth_close, fetch_close, work_close.
 */
void scim_close(struct scim *s, void (*done)(void *ctx), void *ctx);

#endif
