// SPDX-License-Identifier: Apache-2.0
/* Frames, escaped texts, timeouts and protobuf fields from any bytes. */
#include "proto/grpc_frame.h"
#include "proto/pb_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct span in = span_of(p, n), at = in;
    struct grpc_frame f;
    struct pb_field field;
    struct buf text, back;
    uint64_t ms;
    while (grpc_frame_next(at, 65536, &f) == 1)
        at = span_sub(at, f.used_bytes, at.n);
    for (at = in; pb_next(&at, &field) == 1;)
        must(field.bytes.n <= n);
    ignore_rc(grpc_timeout_parse(in, &ms));
    buf_init(&text, mem_system(), SIZE_MAX / 2);
    buf_init(&back, mem_system(), SIZE_MAX / 2);
    grpc_text_decode(&text, in);
    buf_clear(&text);
    grpc_text_encode(&text, in);
    grpc_text_decode(&back, buf_span(&text));
    must(span_eq(buf_span(&back), in));
    buf_fini(&text);
    buf_fini(&back);
    return 0;
}
