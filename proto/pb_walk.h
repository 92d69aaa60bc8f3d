// SPDX-License-Identifier: Apache-2.0
/*
 * Walks the fields of one protobuf message without a schema and writes simple
 * ones (protobuf.dev/programming-guides/encoding). For the few places where
 * generated code would be in the way. Pure.
 */
#ifndef PROTO_PB_WALK_H
#define PROTO_PB_WALK_H

#include "sidecar/base/buf.h"

struct pb_field {
    uint32_t number;
    bool is_bytes;     /* length-delimited: `bytes`; otherwise `value` */
    struct span bytes; /* points into the message */
    uint64_t value;
};

/* Takes the first field off *at: 1, 0 at the end, RC_SYNTAX. */
int pb_next(struct span *at, struct pb_field *ret);

/* The last value of a length-delimited field; p NULL when absent. */
struct span pb_bytes(struct span message, uint32_t number);

void pb_put_bytes(struct buf *b, uint32_t number, struct span s);
void pb_put_u64(struct buf *b, uint32_t number, uint64_t v);

#endif
