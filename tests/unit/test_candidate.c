// SPDX-License-Identifier: Apache-2.0
/* The candidate's thread: what it is handed, what it says, how it ends. */
#include "tests/lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "sidecar/run/candidate.h"

/* Nobody waits ten seconds here. */
#undef CANDIDATE_SETTLE_MS
#define CANDIDATE_SETTLE_MS 100
#include "sidecar/run/candidate.c"

#define HEAD "apiVersion: bailiff/v1\nkind: Policy\n"
#define GATE                                                                   \
    "gate:\n  - {name: pay, tools: ['*'], require: 'groups.value eq \"g\"'}\n"

static char path[64];
static uv_loop_t loop;
static uv_async_t wake;
static unsigned woken;

static void on_wake(uv_async_t *h)
{
    (void)h;
    woken++;
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof path, "/tmp/candidate.%d.yaml", (int)getpid());
    woken = 0;
    return uv_loop_init(&loop) != 0 ||
           uv_async_init(&loop, &wake, on_wake) != 0;
}

static int tear_down(void **state)
{
    (void)state;
    uv_close((uv_handle_t *)&wake, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)unlink(path);
    return uv_loop_close(&loop);
}

static struct candidate *start(const char *policy)
{
    struct candidate *c;
    struct fail f;
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    CHECK(fputs(policy, file) >= 0);
    CHECK_INT(fclose(file), 0);
    CHECK_OK(candidate_start(span_str(path), &wake, &c, &f), &f);
    return c;
}

/* Only the thread's own signs move this on. */
static void until_state(struct candidate *c, enum candidate_state wanted)
{
    while (candidate_state(c) == CANDIDATE_LOADING)
        (void)uv_run(&loop, UV_RUN_ONCE);
    CHECK_INT(candidate_state(c), wanted);
}

static void push_text(struct candidate *c, bool record, const char *text)
{
    candidate_push(c, record, span_str(text));
}

#define READ(uri, groups)                                                      \
    "{\"t\":1000000,\"kind\":\"read\",\"base\":\"https://idp/scim\","          \
    "\"uri\":\"" uri                                                           \
    "\",\"subject_kind\":\"agent\",\"result\":\"qualified\","                  \
    "\"took\":5,\"resource\":{\"active\":true,\"groups\":[" groups "]}}\n"
#define ALLOWED(uri)                                                           \
    "\"kind\":\"gate\",\"time\":\"1970-01-01T00:16:41.000Z\",\"agent\":"       \
    "\"" uri                                                                   \
    "\",\"tool\":\"pay\",\"outcome\":\"allow\",\"reason\":\"allowed\"}"

/* A new state is news as well, and nothing to tell the engine. */
static struct in next(struct candidate *c)
{
    struct in in;
    while (!candidate_has(c) || !candidate_next(c, &in))
        (void)uv_run(&loop, UV_RUN_ONCE);
    return in;
}

static void what_differs_is_told(void **state)
{
    (void)state;
    struct candidate *c = start(HEAD GATE);
    struct in in;
    /* It may still be loading: what is handed over waits. */
    push_text(c, true, ALLOWED("/Agents/1")); /* goes behind its input */
    push_text(c, true, ALLOWED("/Agents/2"));
    push_text(c, false,
              READ("/Agents/1", "") READ("/Agents/2", "{\"value\":\"g\"}"));
    candidate_flush(c);
    until_state(c, CANDIDATE_ACTIVE);
    in = next(c);
    CHECK_INT(in.kind, IN_WOULD);
    CHECK_SPAN(in.would.uri, SPAN("/Agents/1"));
    CHECK_SPAN(in.would.rule, SPAN("pay"));
    CHECK_SPAN(in.would.what, SPAN("allow -> deny gate_rule"));
    CHECK(woken > 0);
    CHECK(!candidate_next(c, &in)); /* both courses allow the other one */
    candidate_stop(c);
}

#define STOP                                                                   \
    "rules:\n  - {name: stop, events: found_inactive, do: [{hold: "            \
    "suspended}]}\n"
#define FOUND_INACTIVE(uri)                                                    \
    "{\"t\":1000000,\"kind\":\"read\",\"base\":\"https://idp/scim\","          \
    "\"uri\":\"" uri                                                           \
    "\",\"subject_kind\":\"agent\",\"result\":\"qualified\","                  \
    "\"took\":5,\"resource\":{\"active\":false}}\n"

/* Nothing else happens: the thread has to look again by itself. */
static void an_effect_is_told_while_all_is_quiet(void **state)
{
    (void)state;
    struct candidate *c = start(HEAD STOP);
    (void)alarm(60); /* an effect that is never told ends the test */
    push_text(c, false, FOUND_INACTIVE("/Agents/1"));
    candidate_flush(c);
    struct in in = next(c);
    (void)alarm(0);
    CHECK_SPAN(in.would.uri, SPAN("/Agents/1"));
    CHECK_SPAN(in.would.rule, SPAN("stop"));
    CHECK_SPAN(in.would.what, SPAN("hold suspended"));
    CHECK(in.would.more);
    CHECK(!candidate_has(c));
    candidate_stop(c);
}

static void a_bad_one_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *policy, *why;
    } rows[] = {
        {HEAD "gate: [{name: Bad Name}]\n", ":3:"},
        {"", ":1:"},
        {HEAD GATE "tests:\n  - name: never\n    given: {agent: {uri: "
                   "/Agents/7, active: true}}\n    event: {activate: "
                   "/Agents/7}\n    expect: {gate: {tool: x, decision: "
                   "allow}}\n",
         "never"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct candidate *c = start(rows[i].policy);
        struct fail why;
        until_state(c, CANDIDATE_REFUSED);
        candidate_why(c, &why);
        CHECK(strstr(why.text, rows[i].why) != NULL);
        push_text(c, false, READ("/Agents/1", ""));
        candidate_flush(c); /* into nothing */
        candidate_stop(c);
    }
}

static void it_may_end_at_any_time(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        struct candidate *c = start(HEAD GATE);
        for (unsigned k = 0; k < i * 50; k++)
            push_text(c, false, READ("/Agents/1", ""));
        candidate_flush(c);
        if (i % 2 == 1)
            candidate_quit(c);
        candidate_stop(c);
    }
}

static void what_finds_no_room_is_counted(void **state)
{
    (void)state;
    struct candidate *c = start(HEAD GATE);
    struct candidate_stats stats;
    unsigned char *large = mem_alloc(mem_system(), CANDIDATE_QUEUE_BYTES / 2);
    CHECK(large != NULL);
    memset(large, 'x', CANDIDATE_QUEUE_BYTES / 2);
    large[CANDIDATE_QUEUE_BYTES / 2 - 1] = '\n';
    candidate_push(c, false, span_of(large, CANDIDATE_QUEUE_BYTES / 2));
    candidate_push(c, false, span_of(large, CANDIDATE_QUEUE_BYTES / 2));
    candidate_flush(c); /* with its heads it is more than the whole queue */
    candidate_stats_get(c, &stats);
    CHECK_UINT(stats.dropped, 1);
    mem_release(mem_system(), large);
    /* And it goes on. */
    until_state(c, CANDIDATE_ACTIVE);
    push_text(c, false, READ("/Agents/1", ""));
    push_text(c, true, ALLOWED("/Agents/1"));
    candidate_flush(c);
    CHECK_INT(next(c).kind, IN_WOULD);
    candidate_stats_get(c, &stats);
    CHECK_UINT(stats.dropped, 1);
    candidate_stop(c);
}

static void who_begs_is_woken_for_every_batch(void **state)
{
    (void)state;
    struct candidate *c = start(HEAD GATE);
    until_state(c, CANDIDATE_ACTIVE);
    CHECK(candidate_beg(c, true));
    for (unsigned i = 0; i < 5; i++) {
        unsigned before = woken;
        push_text(c, false, READ("/Agents/1", ""));
        candidate_flush(c);
        while (woken == before)
            (void)uv_run(&loop, UV_RUN_ONCE);
    }
    CHECK(candidate_beg(c, false));
    candidate_stop(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_differs_is_told, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_effect_is_told_while_all_is_quiet,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_bad_one_is_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(it_may_end_at_any_time, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_finds_no_room_is_counted, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(who_begs_is_woken_for_every_batch,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
