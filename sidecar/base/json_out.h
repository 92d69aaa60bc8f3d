// SPDX-License-Identifier: Apache-2.0
/*
 * Writes one JSON value into a buf: fixed order, no white space, minimal
 * escaping (RFC 8259 section 7). Commas are placed by the writer; nesting is
 * the caller's business and bounded by JSON_OUT_DEPTH_MAX.
 */
#ifndef SIDECAR_BASE_JSON_OUT_H
#define SIDECAR_BASE_JSON_OUT_H

#include "sidecar/base/buf.h"
#include "sidecar/base/doc.h"

#define JSON_OUT_DEPTH_MAX 40

struct json_out {
    struct buf *b;
    unsigned depth;
    bool comma[JSON_OUT_DEPTH_MAX];
};

void json_out_init(struct json_out *j, struct buf *b);

/* `key` is the member name inside a map, a literal that needs no escapes, or
 * NULL inside a list or at the top. Invalid UTF-8 in values comes out as
 * U+FFFD. */
void json_open_map(struct json_out *j, const char *key);
void json_close_map(struct json_out *j);
void json_open_list(struct json_out *j, const char *key);
void json_close_list(struct json_out *j);
void json_text(struct json_out *j, const char *key, struct span value);
void json_str(struct json_out *j, const char *key, const char *value);
void json_u64(struct json_out *j, const char *key, uint64_t value);
void json_i64(struct json_out *j, const char *key, int64_t value);
void json_bool(struct json_out *j, const char *key, bool value);
void json_nil(struct json_out *j, const char *key);
void json_hex(struct json_out *j, const char *key, struct span bytes);
/* RFC 3339 in UTC with milliseconds. */
void json_time(struct json_out *j, const char *key, int64_t wall_ms);
/* A whole tree; numbers that are not integers use 17 significant digits. */
void json_doc(struct json_out *j, const char *key, const struct doc *d);
/* Bytes that are JSON already. */
void json_raw(struct json_out *j, const char *key, struct span json);
/* As the others, with a span for the member name. */
void json_key(struct json_out *j, struct span key);

#endif
