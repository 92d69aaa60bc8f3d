// SPDX-License-Identifier: Apache-2.0
/* Which policy decides, and which signed serials were accepted: they survive
 * restarts and never go down. */
#include <string.h>

#include "tests/lib/world.h"

#define A1 "/Agents/1"
#define QUIET "rules: []\n"

static struct in switch_to(const struct policy *p, uint64_t serial)
{
    struct in in = {.kind = IN_POLICY};
    in.policy.policy = p;
    in.policy.accepted.serial = serial;
    in.policy.accepted.digest[0] = (unsigned char)serial;
    return in;
}

static void test_serials_stay(void **state)
{
    (void)state;
    struct world *w = world_open(QUIET);
    CHECK_UINT(engine_signed(w->e, SIGNED_POLICY).serial, 0);
    (void)world_step(w, switch_to(w->policy, 7));
    CHECK_UINT(engine_signed(w->e, SIGNED_POLICY).serial, 7);
    CHECK_INT(world_restart(w), 0);
    CHECK_UINT(engine_signed(w->e, SIGNED_POLICY).serial, 7);
    CHECK_UINT(engine_signed(w->e, SIGNED_POLICY).digest[0], 7);
    CHECK_UINT(engine_signed(w->e, SIGNED_CONFIG).serial, 0);
    (void)world_step(w, switch_to(w->policy, 3)); /* the shell refuses these */
    (void)world_step(w, switch_to(w->policy, 0));
    CHECK_UINT(engine_signed(w->e, SIGNED_POLICY).serial, 7);
    CHECK_INT(world_restart(w), 0);
    CHECK_UINT(engine_signed(w->e, SIGNED_POLICY).serial, 7);
    world_close(w);
}

/* What was not committed was not accepted. */
static void test_serial_needs_the_store(void **state)
{
    (void)state;
    struct world *w = world_open(QUIET);
    w->auto_store = false;
    (void)world_step(w, switch_to(w->policy, 7));
    CHECK_INT(world_restart(w), 0);
    CHECK_UINT(engine_signed(w->e, SIGNED_POLICY).serial, 0);
    world_close(w);
}

/* Only the signature is new: what was read stays read. */
static void test_signed_again(void **state)
{
    (void)state;
    struct world *w = world_open(QUIET);
    CHECK_STR(world_may(w, A1, "kb.find"), "wait");
    CHECK(world_reply(w, A1, READ_OK, "e0", ACTIVE));
    CHECK_STR(world_may(w, A1, "kb.find"), "allow");
    struct in in = switch_to(w->policy, 8);
    in.policy.unchanged = true;
    (void)world_step(w, in);
    CHECK_UINT(engine_signed(w->e, SIGNED_POLICY).serial, 8);
    CHECK_STR(world_may(w, A1, "kb.find"), "allow");
    (void)world_step(w,
                     switch_to(w->policy, 9)); /* a switch is not like that */
    CHECK_STR(world_may(w, A1, "kb.find"), "wait");
    world_close(w);
}

static void test_bad_facts(void **state)
{
    (void)state;
    static const struct {
        const char *row;
        struct span key, value;
        int rc;
    } rows[] = {
        {"of a later kind", {(const unsigned char *)"x", 1}, {NULL, 0}, 0},
        {"empty", {(const unsigned char *)"policy", 6}, {NULL, 0}, RC_BROKEN},
        {"cut",
         {(const unsigned char *)"config", 6},
         {(const unsigned char *)"\1\0\0\0\0\0\0\0\1short", 14},
         RC_BROKEN},
        {"of a later version",
         {(const unsigned char *)"policy", 6},
         {(const unsigned char *)"\2", 1},
         RC_BROKEN},
    };
    struct world *w = world_open(QUIET);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct fact fact = {
            .kind = FACT_POLICY, .key = rows[i].key, .value = rows[i].value};
        struct fail f;
        check_row(rows[i].row);
        CHECK_INT(engine_load_fact(w->e, &fact, &f), rows[i].rc);
    }
    check_row(NULL);
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_serials_stay),
        cmocka_unit_test(test_serial_needs_the_store),
        cmocka_unit_test(test_signed_again),
        cmocka_unit_test(test_bad_facts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
