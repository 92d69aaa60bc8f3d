// SPDX-License-Identifier: Apache-2.0
/* The little that both codecs need around protobuf-c: memory from an arena,
 * spans as its bytes, packing into a buf. */
#ifndef PROTO_PB_H
#define PROTO_PB_H

#include <protobuf-c/protobuf-c.h>
#include "sidecar/base/buf.h"

/* Everything unpacked goes away with the arena. */
ProtobufCAllocator pb_allocator(struct arena *a);

static inline struct span pb_span(ProtobufCBinaryData d)
{
    return span_of(d.data, d.len);
}

/* protobuf-c wants a mutable pointer; it only reads when packing. */
static inline ProtobufCBinaryData pb_bytes(struct span s)
{
    return (ProtobufCBinaryData){.len = s.n, .data = (uint8_t *)(uintptr_t)s.p};
}

/* Appends the message; a failure latches in `out`. */
void pb_pack(const ProtobufCMessage *m, struct buf *out);

#endif
