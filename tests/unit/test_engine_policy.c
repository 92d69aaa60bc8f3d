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

/* What was accepted before the start is kept as well: by the next one, too. */
static void test_serials_of_the_start_stay(void **state)
{
    (void)state;
    struct world *w = world_open(QUIET);
    w->accepts[SIGNED_POLICY] = (struct signed_serial){.serial = 5};
    w->accepts[SIGNED_CONFIG] = (struct signed_serial){.serial = 9};
    CHECK_INT(world_restart(w), 0);
    memset(w->accepts, 0, sizeof w->accepts);
    for (unsigned i = 0; i < 2; i++) {
        CHECK_UINT(engine_signed(w->e, SIGNED_POLICY).serial, 5);
        CHECK_UINT(engine_signed(w->e, SIGNED_CONFIG).serial, 9);
        CHECK_INT(world_restart(w), 0);
    }
    world_close(w);
}

/* One serial, two files: the first was accepted. */
static void test_a_serial_names_one_file(void **state)
{
    (void)state;
    struct world *w = world_open(QUIET);
    struct in in = switch_to(w->policy, 7);
    (void)world_step(w, in);
    in.policy.accepted.digest[0] = 99;
    (void)world_step(w, in);
    CHECK_UINT(engine_signed(w->e, SIGNED_POLICY).digest[0], 7);
    CHECK_INT(world_restart(w), 0);
    CHECK_UINT(engine_signed(w->e, SIGNED_POLICY).digest[0], 7);
    world_close(w);
}

/* ---- the day on which audit mode ends ---- */

#define DAY (INT64_C(24) * 3600 * 1000)
#define AUDITS                                                                 \
    "defaults: {feed_silent: never, max_age: 3650d,\n"                         \
    "           mode: {audit: {until: 2027-02-01}}}\n"                         \
    "gate:\n"                                                                  \
    "  - {name: titled, tools: [\"*\"], require: 'title pr'}\n"

static const struct policy *audits(struct world *w, unsigned char digest)
{
    struct policy *p =
        (struct policy *)(uintptr_t)world_policy(w, AUDITS); /* made for us */
    p->digest[0] = digest;
    return p;
}

static void check_says(struct world *w, const char *want)
{
    if (strcmp(world_may(w, A1, "x"), "wait") == 0)
        CHECK(world_reply(w, A1, READ_OK, "e0", ACTIVE));
    CHECK_STR(world_may(w, A1, "x"), want);
}

/* Once it has begun for a policy it has begun for good, whatever the clock does
 * afterwards: only another policy is judged by the clock of its day. */
static void test_audit_ends_once(void **state)
{
    static const struct {
        const char *name;
        bool loaded, restart, reload;
        unsigned char digest; /* of what is loaded then; it was 1 */
        const char *want;
    } rows[] = {
        {"the clock goes back", false, false, false, 1, "gate_rule"},
        {"... and a restart", false, true, false, 1, "gate_rule"},
        {"... of one that was loaded", true, true, false, 1, "gate_rule"},
        {"... and the same policy", false, false, true, 1, "gate_rule"},
        {"... and both", false, true, true, 1, "gate_rule"},
        {"... and another policy", false, false, true, 2, "allow"},
        {"... and another policy, restarted", false, true, true, 2, "allow"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        check_row(rows[i].name);
        struct world *w = world_open(QUIET);
        w->policy = audits(w, 1);
        if (rows[i].loaded)
            (void)world_step(w, switch_to(w->policy, 0));
        else
            CHECK_INT(world_restart(w), 0);
        check_says(w, "allow");
        world_pass(w, 20 * DAY);
        check_says(w, "gate_rule");
        world_pass(w, 0); /* the engine wants to run at once */
        w->wall -= 20 * DAY;
        if (rows[i].reload) {
            w->policy = audits(w, rows[i].digest);
            (void)world_step(w, switch_to(w->policy, 0));
        }
        if (rows[i].restart)
            CHECK_INT(world_restart(w), 0);
        check_says(w, rows[i].want);
        world_close(w);
    }
    check_row(NULL);
}

/* What the new one wants earlier comes earlier. */
static void test_reload_is_earlier(void **state)
{
    (void)state;
    struct world *w = world_open("defaults: {feed_silent: {after: 365d}}\n");
    world_pass(w, 1000);
    (void)world_step(
        w, switch_to(world_policy(w, "defaults: {feed_silent: {after: 2m}}\n"),
                     0));
    world_pass(w, 180000);
    CHECK_UINT(world_records(w, "\"silent\"", ""), 2);
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
        cmocka_unit_test(test_serials_of_the_start_stay),
        cmocka_unit_test(test_a_serial_names_one_file),
        cmocka_unit_test(test_audit_ends_once),
        cmocka_unit_test(test_reload_is_earlier),
        cmocka_unit_test(test_serial_needs_the_store),
        cmocka_unit_test(test_signed_again),
        cmocka_unit_test(test_bad_facts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
