// SPDX-License-Identifier: Apache-2.0
/*
 * The two bodies of RFC 8936 polling as text: what we ask and what a
 * transmitter answers. The loop around them is sidecar/io/poller.
 */
#ifndef ADAPTERS_SOURCES_POLL_H
#define ADAPTERS_SOURCES_POLL_H

#include "sidecar/base/buf.h"
#include "sidecar/base/fail.h"

#define POLL_ANSWER_BYTES_MAX (4 * 1024 * 1024)
#define POLL_SETS_MAX 4096 /* per answer; the rest comes again */

/* One entry of `setErrs`. `err` is a registered code (set_err_word). */
struct poll_err {
    struct span jti, err, description;
};

struct poll_request {
    const struct span *acks;
    size_t ack_count;
    const struct poll_err *errs;
    size_t err_count;
    uint32_t max_events;     /* 0: acknowledge only */
    bool return_immediately; /* 8936-R7: with max_events 0 */
};

/* RFC 8936 2.2. Empty lists are left out. A description that is not text comes
 * out with U+FFFD. Check buf_ok. */
void poll_request_write(const struct poll_request *r, struct buf *out);

struct poll_set {
    struct span jti;   /* the outer name, as it came */
    struct span token; /* p NULL: the member was not a string */
};

struct poll_answer {
    struct poll_set *sets;
    size_t set_count;
    bool more;      /* moreAvailable; absent is false (8936-R8) */
    bool truncated; /* more than POLL_SETS_MAX: the rest was left */
};

/* RFC 8936 2.3. Everything lives in `m`. More sets than asked for are fine
 * (8936-R9); unknown members are ignored. RC_SYNTAX, RC_TOO_LARGE, RC_PROTOCOL
 * (wrong shapes), RC_NO_MEMORY. */
int poll_answer_parse(struct mem *m, struct span text, struct poll_answer *ret,
                      struct fail *f) must_use;

#endif
