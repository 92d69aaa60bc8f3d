// SPDX-License-Identifier: Apache-2.0
#include "adapters/json_doc.h"
#include "sidecar/base/json_out.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* What was parsed is written and parsed again: the same document. */
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct arena arena;
    struct buf out;
    struct json_out j;
    const struct doc *d, *again;
    arena_init(&arena, mem_system(), 64 * 1024 * 1024);
    buf_init(&out, &arena.mem, 16 * 1024 * 1024);
    if (json_doc_parse(&arena.mem, span_of(p, n), 65536, &d, NULL) == 0) {
        json_out_init(&j, &out);
        json_doc(&j, NULL, d);
        if (buf_ok(&out)) {
            must(json_doc_parse(&arena.mem, buf_span(&out), 16 * 1024 * 1024,
                                &again, NULL) == 0);
            must(doc_eq(d, again));
        }
    }
    arena_fini(&arena);
    return 0;
}
