// SPDX-License-Identifier: Apache-2.0
/* Memory that fails at the i-th allocation of a whole story, for every i
 * (F15): a step that fails is not accepted and runs again when it is delivered
 * again; nothing leaks; nothing is loosened; what is accepted is durable. */
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
    struct memfault mf;
    MEMFAULT_SWEEP(&mf)
    {
        struct world *w = world_open_in(&mf.mem, policy);
        CHECK(w != NULL || mf.hit);
        if (w != NULL) {
            w->failing = true;
            tell(w);
            world_close(w);
        }
    }
    print_message("%lu allocations failed\n", mf.runs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sweep)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
