// SPDX-License-Identifier: Apache-2.0
/* A history file as anybody may have written it: line by line through the
 * comparison of two policies. */
#include "sidecar/policy_compare.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static const struct policy *built_in;
    static struct arena arena;
    struct span rest = span_of(p, n);
    struct compare *c;
    if (built_in == NULL) {
        struct policy_notes *notes;
        arena_init(&arena, mem_system(), 8 * 1024 * 1024);
        notes = mem_alloc(&arena.mem, sizeof *notes);
        if (policy_load(&arena.mem, NULL, &built_in, notes, NULL) < 0)
            return 0;
    }
    const struct compare_conf conf = {.now = built_in,
                                      .old = n % 2 == 0 ? NULL : built_in};
    if (compare_new(&conf, &c, NULL) < 0)
        return 0;
    while (rest.n > 0) {
        size_t end = span_find(rest, '\n', 0);
        if (compare_line(c, span_sub(rest, 0, end), NULL) < 0)
            break;
        rest = span_sub(rest, end + 1, rest.n);
    }
    must(c->conf.old == NULL || c->difference.changed == 0);
    compare_free(c);
    return 0;
}
