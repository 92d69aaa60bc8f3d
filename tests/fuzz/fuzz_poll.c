// SPDX-License-Identifier: Apache-2.0
/* A transmitter's poll answer: any bytes give an answer within its caps or an
 * error with a text. */
#include <string.h>

#include "adapters/sources/poll.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct arena a;
    struct poll_answer r;
    struct fail f = {.rc = 0};
    arena_init(&a, mem_system(), 4 * 1024 * 1024);
    int rc = poll_answer_parse(&a.mem, span_of(p, n), &r, &f);
    if (rc == 0) {
        must(r.set_count <= POLL_SETS_MAX);
        must(!r.truncated || r.more);
        for (size_t i = 0; i < r.set_count; i++)
            must(span_is_text(r.sets[i].jti));
    } else {
        must(f.rc == rc && f.text[0] != 0);
    }
    arena_fini(&a);
    return 0;
}
