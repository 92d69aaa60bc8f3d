// SPDX-License-Identifier: Apache-2.0
/* Verdicts that are kept: only for the very key they were put under. */
#include "sidecar/core/gate_cache.h"
#include "tests/lib/check.h"

#define PROBES 50000 /* many times the places there are */

static const struct gate_key here = {
    .version = 7, .attrs = 11, .tool = UINT64_C(0x123456789abcdef0)};

static void only_what_was_put_is_found(void **state)
{
    (void)state;
    struct gate_cache c;
    const struct gate_verdict allowed = {.allowed = true};
    gate_cache_init(&c, mem_system());
    CHECK(gate_cache_find(&c, here) == NULL);
    gate_cache_put(&c, here, &allowed);
    CHECK(gate_cache_find(&c, here) != NULL);
    for (uint64_t i = 1; i <= PROBES; i++) {
        struct gate_key version = here, attrs = here, tool = here;
        version.version += i;
        attrs.attrs += i;
        tool.tool ^= i << 24;
        CHECK(gate_cache_find(&c, version) == NULL);
        CHECK(gate_cache_find(&c, attrs) == NULL);
        CHECK(gate_cache_find(&c, tool) == NULL);
    }
    gate_cache_fini(&c);
}

/* Whatever has to make way: what is found is what was put last. */
static void the_last_verdict_counts(void **state)
{
    (void)state;
    struct gate_cache c;
    unsigned kept = 0;
    gate_cache_init(&c, mem_system());
    for (unsigned round = 0; round < 2; round++) {
        for (uint64_t i = 0; i < PROBES; i++) {
            struct gate_key key = here;
            const struct gate_verdict v = {.allowed = (i + round) % 2 == 0};
            key.attrs = i;
            gate_cache_put(&c, key, &v);
            const struct gate_verdict *found = gate_cache_find(&c, key);
            CHECK(found != NULL && found->allowed == v.allowed);
        }
    }
    for (uint64_t i = 0; i < PROBES; i++) {
        struct gate_key key = here;
        key.attrs = i;
        const struct gate_verdict *found = gate_cache_find(&c, key);
        CHECK(found == NULL || found->allowed == ((i + 1) % 2 == 0));
        kept += found != NULL;
    }
    CHECK(kept > 0 && kept < PROBES);
    gate_cache_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_was_put_is_found),
        cmocka_unit_test(the_last_verdict_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
