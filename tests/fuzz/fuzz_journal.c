// SPDX-License-Identifier: Apache-2.0
/* Stored rows as a disk may hand them back: bodies, facts, records. */
#include "sidecar/core/engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static const unsigned char seed[32] = {1};
    const struct engine_conf conf = {
        .bases[0] = {.url = SPAN("https://idp/scim"),
                     .agent_segment = SPAN("Agents"),
                     .user_segment = SPAN("Users"),
                     .group_segment = SPAN("Groups")},
        .base_count = 1,
        .feeds[0] = {.name = SPAN("hr")},
        .feed_count = 1,
        .limits = {.subjects_max = 100,
                   .calls_max = 10,
                   .jobs_max = 10,
                   .jtis_max = 100,
                   .credentials_max = 10,
                   .holds_max = 100}};
    struct journal_body body;
    struct engine *e;
    struct fact fact;
    struct span record;
    if (journal_read_body(span_of(p, n), &body, NULL) < 0 ||
        engine_new(mem_system(), &conf, seed, &e, NULL) < 0)
        return 0;
    while (journal_next_fact(&body.facts, &fact, NULL) == 1)
        ignore_rc(engine_load_fact(e, &fact, NULL));
    while (journal_next_record(&body.records, &record, NULL) == 1)
        must(record.n <= n);
    engine_free(e);
    return 0;
}
