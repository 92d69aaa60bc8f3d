// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as a filter and as a PATCH path: what compiles prints to a normal
 * form that compiles and prints to itself, and evaluates over nothing.
 */
#include "policy/filter.h"
#include "sidecar/base/buf.h"

#define ARENA_MAX (4 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static const struct filter *compile(struct arena *a, struct span text)
{
    const struct filter *flt = NULL;
    size_t at = 0;
    struct fail f;
    int rc = filter_compile(&a->mem, text, &flt, &at, &f);
    must(rc == 0 || (at <= text.n && f.text[0] != 0));
    return flt;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct arena a;
    struct buf once, twice;
    struct attr_path path;
    const struct filter_env env = {0};
    arena_init(&a, mem_system(), ARENA_MAX);
    ignore_rc(attr_path_parse(&a.mem, span_of(p, n), &path, NULL));
    const struct filter *flt = compile(&a, span_of(p, n));
    buf_init(&once, &a.mem, ARENA_MAX);
    buf_init(&twice, &a.mem, ARENA_MAX);
    if (flt != NULL) {
        filter_print(flt, &once);
        if (once.n <= FILTER_TEXT_MAX) { /* escapes may grow */
            const struct filter *again = compile(&a, buf_span(&once));
            must(again != NULL);
            filter_print(again, &twice);
            must(span_eq(buf_span(&once), buf_span(&twice)));
            must(filter_eval(flt, &env) == filter_eval(again, &env));
        }
    }
    arena_fini(&a);
    return 0;
}
