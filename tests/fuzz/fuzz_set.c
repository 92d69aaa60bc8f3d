// SPDX-License-Identifier: Apache-2.0
#include "adapters/sources/set.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* The payload of an authentic SET: accepted or refused with a code, and a
 * subject is one that may be joined to a URL. */
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    const struct span audience = SPAN("a");
    const struct set_rules rules = {
        .feed = SPAN("f"),
        .issuer = SPAN("i"),
        .audiences = &audience,
        .audience_count = 1,
        .types = {{SPAN("Agents"), SUBJECT_AGENT},
                  {SPAN("Groups"), SUBJECT_GROUP}},
        .type_count = 2,
        .uri_aliases = true,
    };
    struct arena arena;
    struct set_result r;
    enum subject_kind kind;
    arena_init(&arena, mem_system(), 64 * 1024 * 1024);
    int rc =
        set_claims(&arena.mem, &rules, span_of(p, n), 1790000000000, &r, NULL);
    must((rc == 0) == (r.event.part_count > 0));
    must(rc != RC_PROTOCOL || r.err != SET_OK);
    must(!r.dirty || r.event.has_subject);
    if (r.event.has_subject)
        must(set_check_uri(&rules, r.event.uri, &kind, NULL) == 0 &&
             kind == r.event.kind);
    arena_fini(&arena);
    return 0;
}
