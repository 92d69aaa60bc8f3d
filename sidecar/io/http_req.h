// SPDX-License-Identifier: Apache-2.0
/*
 * A request as both HTTP versions fill it and as the owner sees it
 * (server.h). It outlives its connection until it is answered.
 */
#ifndef SIDECAR_IO_HTTP_REQ_H
#define SIDECAR_IO_HTTP_REQ_H

#include "sidecar/io/server.h"

/* RFC 9113 6.5.2: each field counts this much beside its bytes. */
#define HTTP_FIELD_BYTES 32

/* The other end, shared by a connection and its unanswered requests. */
struct peer_box {
    unsigned users;
    struct peer peer;
    unsigned char sha256[32];
    struct buf spiffe;
};

struct peer_box *peer_box_new(void); /* NULL without memory */
struct peer_box *peer_box_hold(struct peer_box *b);
void peer_box_drop(struct peer_box *b); /* NULL is legal */

struct http_answer {
    unsigned status;
    const struct http_header *headers;
    size_t header_count;
    struct span body;
};

struct http_req {
    struct peer_box *peer;
    struct buf fields; /* {u32 name n, u32 value n, name, value} ... */
    struct buf body;
    size_t counted_bytes; /* names + values + HTTP_FIELD_BYTES each */
    size_t open_name;     /* h1: where the name being read starts */
    /* Set by the protocol; `answer` is cleared when the connection dies. */
    void (*answer)(struct http_req *r, const struct http_answer *a);
    void *owner;
};

/* NULL without memory. */
struct http_req *http_req_new(struct mem *m, struct peer_box *peer,
                              size_t header_bytes, size_t body_bytes);
void http_req_free(struct http_req *r); /* NULL is legal */

/* Adds a field; names must be lower case. RC_TOO_LARGE past header_bytes,
 * RC_NO_MEMORY. */
int http_req_field(struct http_req *r, struct span name,
                   struct span value) must_use;

/* Walks the fields: start with *at = 0; false at the end. */
bool http_req_next(const struct http_req *r, size_t *at, struct span *ret_name,
                   struct span *ret_value);

/* How often the name occurs. */
unsigned http_req_count(const struct http_req *r, struct span name);

/* False when the value would break a header line; such a header is left out
 * of the answer. */
bool http_value_clean(struct span value);

/* The reason phrase; "" when unknown. */
const char *http_reason(unsigned status);

/* False for 204, 304 and 1xx, which have no body (RFC 9110 6.4.1). */
bool http_has_body(unsigned status);

/* "Sun, 06 Nov 1994 08:49:37 GMT" for now. */
#define HTTP_DATE_BYTES 32
struct span http_date(char ret[HTTP_DATE_BYTES]);

#endif
