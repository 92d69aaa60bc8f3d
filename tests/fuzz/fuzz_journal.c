// SPDX-License-Identifier: Apache-2.0
/* Stored rows as a disk may hand them back: bodies, facts, records. What can be
 * loaded is started on, lived with for an hour, and shown. */
#include "sidecar/base/json_out.h"
#include "sidecar/core/engine.h"

#define LAST_SEQ 1000
#define SHOWN_MAX ((size_t)1 << 24)

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void show(const struct engine *e)
{
    const struct show_query all = {.feed = -1, .limit = SHOW_PAGE_MAX};
    struct json_out j;
    struct buf out;
    buf_init(&out, mem_system(), SHOWN_MAX);
    json_out_init(&j, &out);
    json_open_map(&j, NULL);
    engine_show_agents(e, &all, &j);
    engine_show_jobs(e, &all, &j);
    engine_show_reviews(e, &all, &j);
    json_close_map(&j);
    must(buf_ok(&out));
    buf_fini(&out);
}

static void live(struct engine *e, const struct policy *policy)
{
    struct in in = {.kind = IN_TICK, .now_ms = 1000, .wall_ms = 1800000000000};
    struct out out;
    if (engine_start(e, LAST_SEQ, policy, in.now_ms, in.wall_ms, NULL) < 0)
        return;
    for (unsigned i = 0; i < 60; i++, in.now_ms += 60000, in.wall_ms += 60000) {
        while (engine_next(e, &out))
            continue;
        ignore_rc(engine_step(e, &in)); /* a tick cannot be refused */
    }
    while (engine_next(e, &out))
        continue;
    show(e);
}

static int load(struct engine *e, struct journal_body *body)
{
    struct fact fact;
    int more;
    while ((more = journal_next_fact(&body->facts, &fact, NULL)) == 1)
        TRY(engine_load_fact(e, &fact, NULL));
    TRY(more);
    return engine_loaded(e, LAST_SEQ, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static const unsigned char seed[32] = {1};
    static struct policy_notes notes; /* large */
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
    const struct policy *policy;
    struct journal_body body;
    struct engine *e;
    struct span record;
    struct arena arena;
    if (journal_read_body(span_of(p, n), &body, NULL) < 0 ||
        engine_new(mem_system(), &conf, seed, &e, NULL) < 0)
        return 0;
    arena_init(&arena, mem_system(), (size_t)1 << 20);
    must(policy_load(&arena.mem, NULL, &policy, &notes, NULL) == 0);
    if (load(e, &body) == 0)
        live(e, policy);
    while (journal_next_record(&body.records, &record, NULL) == 1)
        must(record.n <= n);
    engine_free(e);
    arena_fini(&arena);
    return 0;
}
