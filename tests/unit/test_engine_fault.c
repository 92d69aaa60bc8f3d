// SPDX-License-Identifier: Apache-2.0
/* Memory that fails at the i-th allocation of a whole story, for every i
 * (F15): a step that fails is not accepted and runs again when it is delivered
 * again; nothing leaks; nothing is loosened; what is accepted is durable. */
#include <stdio.h>
#include <string.h>

#include "tests/lib/memfault.h"
#include "tests/lib/world.h"

#define A1 "/Agents/1"
static const char policy[] =
    "rules:\n"
    "  - name: stop\n"
    "    events: [deactivate, found_inactive]\n"
    "    do: [{hold: suspended}, {cancel: {calls: all, within: 2s}},\n"
    "         {revoke: {tokens: all}}, {purge: [queue]}]\n"
    "  - name: come-back\n"
    "    events: [activate, refreshed]\n"
    "    where: 'active eq true'\n"
    "    do: [{release: {suspended: {set_by: [stop]}}}]\n"
    "gate:\n"
    "  - {name: all, tools: ['*'], require: 'active eq true'}\n";

/* The story once for each allocation in it, which fails. */
static void sweep(const char *rules, void (*story)(struct world *w))
{
    struct memfault mf;
    MEMFAULT_SWEEP(&mf)
    {
        struct world *w = world_open_in(&mf.mem, rules);
        CHECK(w != NULL || mf.hit);
        if (w != NULL) {
            w->failing = true;
            story(w);
            world_close(w);
        }
    }
    print_message("%lu allocations failed\n", mf.runs);
}

/* Delivered again until it is accepted, as a sender does. */
static void deliver(struct world *w, const char *jti, enum event_type type)
{
    for (int i = 0; i < 50; i++) {
        uint64_t t = EVENT(w, .jti = jti, .type = type, .uri = A1);
        if (w->rc == 0 && world_acked(w, t))
            return;
        CHECK(w->rc < 0 || w->failing);
        world_pass(w, 20);
        if (w->rc == 0 && world_acked(w, t))
            return;
    }
    CHECK(false && "never accepted");
}

static const char *ask_until_sure(struct world *w, const char *etag,
                                  const char *body)
{
    const char *says = "";
    for (int i = 0; i < 20; i++) {
        uint64_t q = world_ask(w, A1, "deploy");
        world_pass(w, 50);
        (void)world_reply(w, A1, READ_OK, etag, body);
        world_pass(w, 2500);
        says = world_says(w, q);
        if (world_answer(w, q) != NULL && world_answer(w, q)->allow)
            break;
        if (world_holds(w, A1) > 0)
            break;
        world_pass(w, 31000);
    }
    return says;
}

static void tell(struct world *w)
{
    CHECK_STR(ask_until_sure(w, "e0", ACTIVE), "allow");
    (void)world_hello(w, "r1", A1, "");
    (void)world_begin(w, A1, "deploy", "c1");
    (void)world_credential(w, A1, "t1", true);
    deliver(w, "a", EVENT_DEACTIVATE);
    CHECK_UINT(world_holds(w, A1), 1);
    uint64_t q = world_ask(w, A1, "deploy");
    CHECK(world_answer(w, q) != NULL && !world_answer(w, q)->allow);
    /* What was accepted is durable: the hold is there after a crash. */
    w->failing = true;
    for (int i = 0; i < 3 && world_restart(w) < 0; i++)
        continue;
    CHECK_INT(w->rc, 0);
    CHECK_UINT(world_holds(w, A1), 1);
    q = world_ask(w, A1, "deploy");
    CHECK(world_answer(w, q) != NULL && !world_answer(w, q)->allow);
    deliver(w, "b", EVENT_ACTIVATE);
    world_pass(w, 60000);
    for (int i = 0; i < 10 && world_holds(w, A1) > 0; i++) {
        (void)world_ask(w, A1, "deploy");
        (void)world_reply(w, A1, READ_OK, "e1", ACTIVE);
        world_pass(w, 31000);
    }
    CHECK_UINT(world_holds(w, A1), 0);
}

static void test_sweep(void **state)
{
    (void)state;
    sweep(policy, tell);
}

/* ------------------------------------------------- limits and schedules */

#define A2 "/Agents/2"
#define HOUR INT64_C(3600000)
static const char guarded[] =
    "defaults: {feed_silent: {after: 365d}, max_age: 365d}\n"
    "rules:\n"
    "  - {name: stop, events: deactivate, do: [revoke]}\n"
    "  - {name: unused, events: {idle: 1h}, do: [{hold: suspended}]}\n"
    "limits: {revoke: {max: 1, per: 24h, beyond: [page]}}\n"
    "actions:\n"
    "  page: {http: {method: POST, url: 'https://pager.example/x'}}\n";

static void give_token(struct world *w, const char *uri)
{
    for (int i = 0;
         i < 20 &&
         list_empty(&subject_rare(world_subject(w, uri))->credentials);
         i++)
        (void)world_credential(w, uri, "t", false);
    CHECK(!list_empty(&subject_rare(world_subject(w, uri))->credentials));
}

static const struct job *revoke_job(const struct world *w)
{
    LIST_EACH (k, next, &subject_rare(world_subject(w, A1))->jobs) {
        const struct job *j = container_of(k, struct job, agent_link);
        if (j->kind == JOB_REVOKE)
            return j;
    }
    return NULL;
}

static void let_it_go(struct world *w)
{
    struct in in = {.kind = IN_OPERATOR};
    in.operator.person = SPAN("ann");
    in.operator.reason = SPAN("seen");
    in.operator.verb = OP_JOB_RETRY;
    in.operator.job_id = revoke_job(w)->id;
    for (int i = 0; i < 20 && revoke_job(w)->state == JOB_WITHHELD; i++) {
        in.operator.token = ++ w->next_token;
        (void)world_step(w, in);
    }
    CHECK(revoke_job(w)->state != JOB_WITHHELD);
}

/* Beyond the limit nothing is revoked but by the operator, whatever fails. */
static void tell_guarded(struct world *w)
{
    (void)ask_until_sure(w, "e0", ACTIVE);
    for (int i = 0; i < 20 && world_subject(w, A2) == NULL; i++)
        (void)EVENT(w, .jti = "2", .type = EVENT_DEACTIVATE, .uri = A2);
    give_token(w, A1);
    w->e->limits.at[LIMIT_REVOKE][0].full_until_ms = w->now + 24 * HOUR;
    deliver(w, "a", EVENT_DEACTIVATE);
    CHECK(revoke_job(w) != NULL && revoke_job(w)->state == JOB_WITHHELD);
    CHECK(world_holds(w, A1) > 0);
    w->failing = true;
    for (int i = 0; i < 3 && world_restart(w) < 0; i++)
        continue;
    CHECK(revoke_job(w) != NULL && revoke_job(w)->state == JOB_WITHHELD);
    let_it_go(w);
    world_pass(w, 4 * HOUR);
    const unsigned held = world_holds(w, A1);
    CHECK_UINT(held, 2); /* for what was withheld, and for being unused */
    for (int i = 0; i < 3 && world_restart(w) < 0; i++)
        continue;
    CHECK_UINT(world_holds(w, A1), held);
}

static void test_sweep_guarded(void **state)
{
    (void)state;
    sweep(guarded, tell_guarded);
}

/* ---------------------------------------------------------------- loosening */

static const char reviewed[] =
    "rules:\n"
    "  - name: ask-somebody\n"
    "    events: deactivate\n"
    "    do: [{hold: {review: {by: 'active eq true', within: 1h}}}]\n";

/* What a step that fails was about to end is still in force. */
static void loosen(struct world *w)
{
    deliver(w, "a", EVENT_DEACTIVATE);
    deliver(w, "b", EVENT_DEACTIVATE);
    CHECK_UINT(world_holds(w, A1), 2);
    (void)world_operator(w, OP_HOLD_LIFT, A1, "review", NULL);
    CHECK_UINT(world_holds(w, A1), w->rc == 0 ? 0 : 2);
    deliver(w, "c", EVENT_DEACTIVATE);
    const unsigned held = world_holds(w, A1);
    CHECK(held == 1 || held == 3);
    for (int i = 0; i < 3; i++) { /* they turn, in a tick that may fail */
        world_pass(w, HOUR);
        CHECK(world_holds(w, A1) >= held);
    }
    CHECK_UINT(world_holds(w, A1), held);
    for (int i = 0; i < 3 && world_restart(w) < 0; i++)
        continue;
    CHECK_UINT(world_holds(w, A1), held);
}

static void test_sweep_loosening(void **state)
{
    (void)state;
    sweep(reviewed, loosen);
}

/* ------------------------------------------- what is only said once */

#define G1 "/Groups/g"
static const char listening[] =
    "defaults: {feed_silent: {after: 2h}, max_age: 365d}\n"
    "rules:\n"
    "  - name: weak\n"
    "    events: patch\n"
    "    where: 'event.jti eq \"a\" and event.current_level eq \"low\"'\n"
    "    do: [{hold: suspended}]\n"
    "  - {name: quiet, events: feed_silent, do: [{hold: suspended}]}\n"
    "gate:\n"
    "  - {name: all, tools: ['*'], require: 'active eq true'}\n";

static uint64_t send_once(struct world *w, struct world_event ev)
{
    uint64_t t = 0;
    for (int i = 0; i < 20 && !world_acked(w, t); i++) {
        t = world_event(w, ev);
        world_pass(w, 20);
    }
    CHECK(world_acked(w, t));
    return t;
}

/* No one says these again, so what was acknowledged has had its effect: on a
 * member of a group, on a stream, and on who was said something about. */
static void listen(struct world *w)
{
    CHECK_STR(ask_until_sure(w, "e0", ACTIVE), "allow");
    w->failing = true;
    (void)send_once(w, (struct world_event){.jti = "g",
                                            .type = EVENT_PATCH,
                                            .uri = G1,
                                            .changed = "members",
                                            .members = {"1"}});
    CHECK(world_subject(w, A1)->read_input < world_subject(w, A1)->stamp);
    (void)send_once(w, (struct world_event){.jti = "s",
                                            .type = EVENT_SSF_STREAM_UPDATED,
                                            .status = "paused"});
    CHECK(w->e->feeds[0].disabled);
    for (int i = 0; i < 3 && world_restart(w) < 0; i++)
        continue;
    CHECK(w->e->feeds[0].disabled);
    CHECK(world_subject(w, A1) != NULL);
    (void)send_once(
        w, (struct world_event){.jti = "a",
                                .type = EVENT_PATCH,
                                .uri = A1,
                                .data = "{\"current_level\":\"low\"}"});
    world_pass(w, 50);
    CHECK_UINT(world_holds(w, A1), 1);
    world_pass(w, 3 * HOUR);
    CHECK_UINT(world_holds(w, A1), 2); /* for the silence of feeds, too */
    for (int i = 0; i < 3 && world_restart(w) < 0; i++)
        continue;
    CHECK_UINT(world_holds(w, A1), 2);
}

/* A row larger than any before: what half of it says is not kept. */
static void listen_at_length(struct world *w)
{
    char version[513] = "", data[5000];
    memset(version, 'v', sizeof version - 1);
    (void)snprintf(data, sizeof data,
                   "{\"pad\":\"%04500d\",\"current_level\":\"low\"}", 0);
    CHECK_STR(ask_until_sure(w, "e0", ACTIVE), "allow");
    w->failing = true;
    (void)send_once(w, (struct world_event){.jti = "a",
                                            .type = EVENT_PATCH,
                                            .uri = A1,
                                            .version = version,
                                            .data = data});
    world_pass(w, 50);
    CHECK_UINT(world_holds(w, A1), 1);
    for (int i = 0; i < 3 && world_restart(w) < 0; i++)
        continue;
    CHECK_UINT(world_holds(w, A1), 1);
    CHECK_STR((const char *)world_subject(w, A1)->version, version);
}

static void test_sweep_said_at_length(void **state)
{
    (void)state;
    sweep(listening, listen_at_length);
}

/* What a read has found is news until its row is written. */
static void find_out(struct world *w)
{
    CHECK_STR(ask_until_sure(w, "e0", ACTIVE), "allow");
    w->failing = true;
    give_token(w, A1);
    for (int i = 0; i < 20 && revoke_job(w) == NULL; i++) {
        world_pass(w, HOUR);
        (void)world_ask(w, A1, "deploy");
        world_pass(w, 50);
        (void)world_reply(w, A1, READ_OK, "e1", INACTIVE);
        world_pass(w, 2500);
    }
    CHECK(revoke_job(w) != NULL);
}

static void test_sweep_found(void **state)
{
    (void)state;
    sweep(policy, find_out);
}

static const char going[] =
    "rules:\n"
    "  - {name: gone, events: found_gone, do: [{hold: suspended}]}\n";

/* The same of an agent that nothing but a statement has shown. */
static void find_gone(struct world *w)
{
    w->failing = true;
    deliver(w, "a", EVENT_PATCH);
    for (int i = 0; i < 5; i++) {
        world_pass(w, HOUR);
        (void)world_ask(w, A1, "deploy");
        world_pass(w, 50);
        (void)world_reply(w, A1, READ_GONE, "", NULL);
        world_pass(w, 2500);
    }
    for (int i = 0; i < 3 && world_restart(w) < 0; i++)
        continue;
    CHECK_UINT(world_holds(w, A1), 1);
}

static void test_sweep_gone(void **state)
{
    (void)state;
    sweep(going, find_gone);
}

static void test_sweep_said_once(void **state)
{
    (void)state;
    sweep(listening, listen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sweep),
        cmocka_unit_test(test_sweep_guarded),
        cmocka_unit_test(test_sweep_loosening),
        cmocka_unit_test(test_sweep_said_once),
        cmocka_unit_test(test_sweep_said_at_length),
        cmocka_unit_test(test_sweep_found),
        cmocka_unit_test(test_sweep_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
