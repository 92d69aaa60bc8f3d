// SPDX-License-Identifier: Apache-2.0
/* The engine without a world: who drives it ends, whatever the owner answers.
 */
#include "sidecar/driver.h"

#include "tests/lib/check.h"

#define STEPS_MAX 50

struct owner {
    struct arena arena;
    struct engine_conf conf;
    struct driver drive;
    unsigned rows, records, answers; /* outputs that were taken */
    unsigned left;                   /* what `next` still does */
};

static void take(void *ctx, const struct out *o)
{
    struct owner *w = ctx;
    w->rows += o->kind == OUT_JOURNAL;
    w->records += o->kind == OUT_LOG;
    w->answers += o->kind == OUT_ANSWER;
}

static bool next(void *ctx)
{
    struct owner *w = ctx;
    struct in in = {.kind = IN_TICK};
    if (w->left == 0)
        return false;
    w->left--;
    ignore_rc(driver_step(&w->drive, &in));
    return w->left > 0; /* the last one was tried before */
}

static void set_up(struct owner *w)
{
    static const unsigned char random[32] = {1};
    static struct policy_notes notes;
    const struct policy *p;
    struct fail f = {0};
    *w = (struct owner){.left = 0};
    arena_init(&w->arena, mem_system(), 64u << 20);
    struct engine_conf *c = &w->conf;
    c->bases[0] = (struct engine_base){.url = SPAN("https://idp/scim"),
                                       .agent_segment = SPAN("Agents"),
                                       .user_segment = SPAN("Users"),
                                       .group_segment = SPAN("Groups")};
    c->base_count = 1;
    c->feeds[0] = (struct engine_feed){SPAN("hr"), SPAN("https://idp"), 0};
    c->feed_count = 1;
    static struct span all;
    all = SPAN("*");
    c->callers[0] = (struct engine_caller){SPAN("app"), 0, {&all, 1}, true};
    c->caller_count = 1;
    c->limits = (struct engine_limits){.subjects_max = 100,
                                       .calls_max = 100,
                                       .parked_max = 64,
                                       .parked_per_agent = 8,
                                       .jobs_max = 100,
                                       .jtis_max = 100,
                                       .credentials_max = 100,
                                       .holds_max = 100,
                                       .lease_ms = 30000,
                                       .log_stall_ms = 1000,
                                       .jti_keep_ms = 3600000};
    w->drive = (struct driver){.now_ms = 1000,
                               .wall_ms = 1000000,
                               .steps_max = STEPS_MAX,
                               .take = take,
                               .next = next,
                               .ctx = w};
    CHECK_OK(policy_load(&w->arena.mem, NULL, &p, &notes, &f), &f);
    CHECK_OK(engine_new(mem_system(), c, random, &w->drive.engine, &f), &f);
    CHECK_OK(driver_start(&w->drive, p, &f), &f);
    CHECK(driver_runs(&w->drive));
}

static void tear_down(struct owner *w)
{
    engine_free(w->drive.engine);
    arena_fini(&w->arena);
}

static void ask(struct owner *w)
{
    struct in in = {.kind = IN_ASK};
    in.ask = (struct in_ask){.token = 1,
                             .base = -1,
                             .uri = SPAN("/Agents/1"),
                             .tool = SPAN("x"),
                             .deadline_ms = w->drive.now_ms + 100};
    CHECK_INT(driver_step(&w->drive, &in), 0);
}

/* An answer is given when its record is confirmed, or the time is up. */
static void time_is_the_owners(void **state)
{
    (void)state;
    static struct owner w;
    set_up(&w);
    CHECK_INT(driver_wall(&w.drive), 1001000);
    ask(&w);
    driver_settle(&w.drive);
    CHECK_UINT(w.answers, 0);
    w.drive.now_ms += 100;
    driver_tick(&w.drive);
    CHECK_UINT(w.answers, 1);
    CHECK(w.records > 0 && driver_runs(&w.drive));
    tear_down(&w);
}

/* What the owner's last answer has written is confirmed before there is rest.
 */
static void rest_is_confirmed(void **state)
{
    (void)state;
    static struct owner w;
    set_up(&w);
    ask(&w);
    w.drive.now_ms += 100;
    w.left = 1;
    driver_settle(&w.drive);
    CHECK_UINT(w.left, 0);
    CHECK_UINT(w.drive.stored_told, w.drive.stored);
    CHECK_UINT(w.drive.logged_told, w.drive.logged);
    CHECK(w.drive.logged > 0);
    tear_down(&w);
}

static void what_never_rests_ends(void **state)
{
    (void)state;
    static struct owner w;
    struct in in = {.kind = IN_TICK};
    set_up(&w);
    w.drive.steps = 0;
    w.left = 1000;
    driver_settle(&w.drive);
    CHECK(!driver_runs(&w.drive));
    CHECK_UINT(w.drive.steps, STEPS_MAX + 1);
    CHECK_STR(w.drive.stuck, "it does not come to rest");
    driver_get_stuck(&w.drive, "later");
    CHECK_STR(w.drive.stuck, "it does not come to rest");
    CHECK_INT(driver_step(&w.drive, &in), RC_STATE);
    tear_down(&w);
}

static void silent_feeds_say_nothing(void **state)
{
    (void)state;
    static struct owner w;
    set_up(&w);
    unsigned before = w.drive.steps;
    driver_feeds_live(&w.drive, 1);
    CHECK_UINT(w.drive.steps, before + 1);
    w.drive.silent[0] = true;
    driver_feeds_live(&w.drive, 1);
    CHECK_UINT(w.drive.steps, before + 1);
    tear_down(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_is_the_owners),
        cmocka_unit_test(rest_is_confirmed),
        cmocka_unit_test(what_never_rests_ends),
        cmocka_unit_test(silent_feeds_say_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
