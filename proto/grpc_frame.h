// SPDX-License-Identifier: Apache-2.0
/*
 * The small parts of the gRPC wire format that are the same on both sides
 * (grpc/doc/PROTOCOL-HTTP2.md): the five-byte message prefix, the escaping of
 * status texts, timeouts and content types. Pure.
 */
#ifndef PROTO_GRPC_FRAME_H
#define PROTO_GRPC_FRAME_H

#include "sidecar/base/buf.h"
#include "sidecar/base/fail.h"

#define GRPC_FRAME_PREFIX_BYTES 5
#define GRPC_TIMEOUT_DIGITS_MAX 8

struct grpc_frame {
    bool compressed;
    struct span message; /* points into the input */
    size_t used_bytes;   /* prefix and message */
};

/* Finds the first message in `in`: 1 when it is there as a whole, 0 when more
 * bytes are needed, RC_TOO_LARGE beyond message_max, RC_PROTOCOL for a flag
 * that is neither 0 nor 1. */
int grpc_frame_next(struct span in, size_t message_max,
                    struct grpc_frame *ret) must_use;

/* Appends prefix and message, uncompressed. */
void grpc_frame_put(struct buf *b, struct span message);

/* Appends `text` with everything outside 0x20..0x7E and '%' escaped. */
void grpc_text_encode(struct buf *b, struct span text);

/* The reverse; malformed escapes are kept as they are. */
void grpc_text_decode(struct buf *b, struct span text);

/* "100m" and the like; one to eight digits and a unit. Rounds up to whole
 * milliseconds. False when malformed. */
bool grpc_timeout_parse(struct span s, uint64_t *ret_ms);

/* Appends a grpc-timeout value that is not shorter than `ms` by more than its
 * unit. */
void grpc_timeout_put(struct buf *b, uint64_t ms);

/* "application/grpc", alone or followed by '+' or ';'. */
bool grpc_content_type(struct span s);

#endif
