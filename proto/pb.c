// SPDX-License-Identifier: Apache-2.0
#include "proto/pb.h"

static void *arena_take(void *ctx, size_t n)
{
    struct arena *a = ctx;
    return mem_alloc(&a->mem, n);
}

static void arena_give(void *ctx, void *p)
{
    (void)ctx;
    (void)p;
}

ProtobufCAllocator pb_allocator(struct arena *a)
{
    return (ProtobufCAllocator){arena_take, arena_give, a};
}

void pb_pack(const ProtobufCMessage *m, struct buf *out)
{
    size_t n = protobuf_c_message_get_packed_size(m);
    unsigned char *p = buf_reserve(out, n);
    if (p != NULL)
        out->n += protobuf_c_message_pack(m, p);
}
