// SPDX-License-Identifier: Apache-2.0
/* Calls, directives, jobs and credentials: "sent" is never "done" (RFC 7009
 * 2.1; reliability I2, P9 to P11, F10, F11). */
#include <string.h>

#include "tests/lib/world.h"

#define A1 "/Agents/1"
static const char policy[] =
    "rules:\n"
    "  - name: stop\n"
    "    events: [deactivate, delete]\n"
    "    do: [{hold: suspended},\n"
    "      {cancel: {calls: all, within: 2s, otherwise: [page]}},\n"
    "      {revoke: {tokens: all, within: 30s, otherwise: [page]}},\n"
    "      {purge: [queue, cache]}]\n"
    "actions:\n"
    "  page: {http: {method: POST, url: 'https://pager.example/x'}}\n";

static struct world *open_running(const char *runtime)
{
    struct world *w = world_open(policy);
    (void)world_ask(w, A1, "deploy");
    CHECK(world_reply(w, A1, READ_OK, "e0", ACTIVE));
    (void)world_hello(w, runtime, A1, strcmp(runtime, "r1") == 0 ? "" : "c1");
    if (strcmp(runtime, "r1") == 0)
        CHECK_STR(world_says(w, world_begin(w, A1, "deploy", "c1")), "allow");
    return w;
}

static uint64_t stop(struct world *w, const char *jti)
{
    return EVENT(w, .jti = jti, .type = EVENT_DEACTIVATE, .uri = A1);
}

static struct in lease_in(const struct world *w, enum in_kind kind,
                          uint64_t begin)
{
    struct in in = {.kind = kind};
    in.lease.token = 77;
    in.lease.outcome = CALL_OK;
    in.lease.lease_id =
        world_text((struct world *)(uintptr_t)w, "L%016llx",
                   (unsigned long long)world_answer(w, begin)->lease);
    return in;
}

/* The same Begin again is the same call. */
static void test_begin_idempotent(void **state)
{
    (void)state;
    struct world *w = open_running("r1");
    uint64_t a = world_begin(w, A1, "deploy", "c1");
    uint64_t b = world_begin(w, A1, "deploy", "c1");
    CHECK_UINT(world_answer(w, a)->lease, world_answer(w, b)->lease);
    CHECK_UINT(w->e->calls.by_id.count, 1);
    /* Another tool under the same id is something else. */
    CHECK_STR(world_says(w, world_begin(w, A1, "other", "c1")),
              "limit_reached");
    /* A retry that is denied does not end the call that runs. */
    w->auto_log = false;
    uint64_t again = world_begin(w, A1, "deploy", "c1");
    world_pass(w, 1000);
    CHECK_STR(world_says(w, again), "log_stalled");
    CHECK_UINT(w->e->calls.by_id.count, 1);
    world_close(w);
}

static void test_renew_and_end(void **state)
{
    (void)state;
    struct world *w = open_running("r1");
    uint64_t b = world_begin(w, A1, "deploy", "c2");
    (void)world_step(w, lease_in(w, IN_RENEW, b));
    CHECK(w->leases[0].found && !w->leases[0].stop);
    struct in foreign = lease_in(w, IN_RENEW, b);
    foreign.lease.caller = 2; /* not its own */
    (void)world_step(w, foreign);
    CHECK(!w->leases[1].found && w->leases[1].stop);
    (void)stop(w, "a");
    (void)world_step(w, lease_in(w, IN_RENEW, b));
    CHECK(w->leases[2].found && w->leases[2].stop);
    (void)world_step(w, lease_in(w, IN_END, b));
    CHECK(w->leases[3].found);
    (void)world_step(w, lease_in(w, IN_END, b));
    CHECK(!w->leases[4].found);
    world_close(w);
}

/* By age alone nobody asks, but the lease is renewed: read and judged. */
static void test_renew_judges(void **state)
{
    (void)state;
    struct world *w = open_running("r1");
    uint64_t b = world_begin(w, A1, "deploy", "c2");
    struct in renew = lease_in(w, IN_RENEW, b);
    for (int i = 0; i < 80 && world_reading(w, A1) == 0; i++) {
        world_pass(w, 20000);
        (void)world_step(w, renew);
    }
    CHECK(world_reply(w, A1, READ_OK, "e1", INACTIVE));
    (void)world_step(w, renew);
    CHECK(w->leases[w->lease_count - 1].stop);
    world_close(w);
}

/* A lease that merely ends is unknown, never confirmed; then `otherwise`. */
static void test_lost_call(void **state)
{
    (void)state;
    struct world *w = open_running("r1");
    (void)stop(w, "a");
    CHECK_UINT(world_directives(w, DIRECTIVE_CANCEL, NULL), 1);
    world_pass(w, 2000);
    CHECK_UINT(world_records(w, "\"cancel\"", "\"failed\""), 1);
    CHECK(world_job(w, JOB_ACTION) != NULL); /* page */
    world_pass(w, 30000);
    CHECK_UINT(world_records(w, "\"tool_call\"", "\"unknown\""), 1);
    CHECK_UINT(world_records(w, "\"cancel\"", "\"confirmed\":1"), 0);
    world_close(w);
}

/* A lost call may still run: it is told to stop like any other, and only its
 * runtime's word makes it done. */
static void test_lost_call_is_cancelled(void **state)
{
    (void)state;
    struct world *w = open_running("r1");
    struct out_directive d;
    world_pass(w, 31000);
    CHECK_UINT(world_records(w, "\"tool_call\"", "\"unknown\""), 1);
    CHECK_UINT(w->e->calls.by_id.count, 1);
    (void)stop(w, "a");
    CHECK_UINT(world_records(w, "\"cancel\"", "nothing_registered"), 0);
    CHECK_UINT(world_directives(w, DIRECTIVE_CANCEL, &d), 1);
    world_ack(w, "r1", d.id, "c1", CALL_CANCELLED);
    CHECK_UINT(world_records(w, "\"cancel\"", "\"outcome\":\"confirmed\""), 1);
    CHECK_UINT(w->e->calls.by_id.count, 0);
    world_close(w);
}

/* It is forgotten in the end, and a full table forgets it first. */
static void test_lost_call_is_forgotten(void **state)
{
    (void)state;
    struct world *w = open_running("r1");
    world_pass(w, 31000);
    CHECK_UINT(w->e->calls.by_id.count, 1);
    world_pass(w, CALL_LOST_KEPT_MS + 1);
    CHECK_UINT(w->e->calls.by_id.count, 0);
    CHECK_UINT(world_records(w, "\"tool_call\"", "\"unknown\""), 1);
    world_close(w);
}

static void test_ack_confirms(void **state)
{
    (void)state;
    struct world *w = open_running("r1");
    (void)stop(w, "a");
    struct out_directive d;
    CHECK_UINT(world_directives(w, DIRECTIVE_CANCEL, &d), 1);
    CHECK_UINT(d.call_ids.count, 1);
    CHECK_SPAN(d.call_ids.at[0], SPAN("c1"));
    world_ack(w, "r1", d.id, "c1", CALL_CANCELLED);
    world_ack(w, "r1", d.id, "c1", CALL_CANCELLED); /* idempotent */
    CHECK_UINT(world_records(w, "\"cancel\"", "\"outcome\":\"confirmed\""), 1);
    CHECK_UINT(w->e->calls.by_id.count, 0);
    world_pass(w, 60000);
    CHECK_UINT(world_records(w, "\"cancel\"", "\"failed\""), 0);
    world_close(w);
}

/* An acknowledgement that does not name the call confirms nothing. */
static void test_empty_ack(void **state)
{
    (void)state;
    struct world *w = open_running("r1");
    (void)stop(w, "a");
    struct out_directive d;
    (void)world_directives(w, DIRECTIVE_CANCEL, &d);
    world_ack(w, "r1", d.id, "", CALL_UNKNOWN);
    world_pass(w, 2000);
    CHECK_UINT(world_records(w, "\"cancel\"", "\"outcome\":\"failed\""), 1);
    /* A second statement tries again: the call still runs. */
    (void)stop(w, "b");
    CHECK_UINT(world_directives(w, DIRECTIVE_CANCEL, NULL), 2);
    world_close(w);
}

/* Hello: what is not listed has ended; what is, is judged or told again. */
static void test_hello(void **state)
{
    (void)state;
    struct world *w = open_running("r1");
    (void)stop(w, "a");
    (void)world_hello(w, "r1", A1, "c1"); /* reconnects: told again */
    CHECK_UINT(world_directives(w, DIRECTIVE_CANCEL, NULL), 2);
    CHECK_INT(world_restart(w), 0);
    (void)world_hello(w, "r1", A1, "c1"); /* resumed after the restart */
    CHECK_UINT(world_directives(w, DIRECTIVE_CANCEL, NULL), 3);
    CHECK_UINT(w->snapshots, 3);
    (void)world_hello(w, "r1", A1, "");
    CHECK_UINT(world_records(w, "\"cancel\"", "\"outcome\":\"confirmed\""), 1);
    (void)world_hello(w, "r1", A1, "c9"); /* started behind our back */
    CHECK_UINT(world_directives(w, DIRECTIVE_CANCEL, NULL), 4);
    world_close(w);
}

static void test_served_runtime(void **state)
{
    (void)state;
    struct world *w = open_running("served");
    w->auto_store = false;
    (void)stop(w, "a");
    CHECK(world_job(w, JOB_CANCEL) == NULL); /* only once it is stored */
    world_commit(w);
    const struct out_job *j = world_job(w, JOB_CANCEL);
    CHECK(j != NULL);
    CHECK_SPAN(j->runtime, SPAN("served"));
    CHECK_UINT(j->call_ids.count, 1);
    CHECK(span_starts(j->key, SPAN("a:stop:cancel:")));
    world_close(w);
}

static void test_nothing_registered(void **state)
{
    (void)state;
    struct world *w = world_open(policy);
    (void)stop(w, "a");
    CHECK_UINT(world_records(w, "\"nothing_registered\"", "\"reach\":0"), 3);
    CHECK_UINT(w->e->jobs.open_count, 0);
    world_close(w);
}

/* 7009-R6: refresh tokens first. Forgotten only when confirmed. */
static void test_revoke(void **state)
{
    (void)state;
    struct world *w = world_open(policy);
    CHECK(world_acked(w, world_credential(w, A1, "access", false)));
    CHECK(world_acked(w, world_credential(w, A1, "refresh", true)));
    (void)stop(w, "a");
    CHECK_UINT(w->job_count, 2);
    CHECK_SPAN(w->jobs[0].credential_id, SPAN("refresh"));
    CHECK_SPAN(w->jobs[0].sealed, SPAN("sealed-refresh"));
    world_job_done(w, &w->jobs[0], JOB_DONE_RETRY);
    CHECK_UINT(w->e->credential_count, 2);
    world_pass(w, 600); /* backoff */
    CHECK_UINT(w->job_count, 2);
    CHECK_UINT(w->jobs[1].attempt, 2);
    world_job_done(w, &w->jobs[1], JOB_DONE_CONFIRMED);
    CHECK_UINT(w->e->credential_count, 1);
    world_job_done(w, &w->jobs[0], JOB_DONE_REFUSED);
    CHECK_UINT(w->e->credential_count, 1);   /* it may still work */
    CHECK(world_job(w, JOB_ACTION) != NULL); /* page */
    CHECK_INT(world_restart(w), 0);
    CHECK_UINT(w->e->credential_count, 1);
    world_close(w);
}

static void test_late_credential(void **state)
{
    (void)state;
    struct world *w = world_open(policy);
    (void)stop(w, "a");
    (void)world_credential(w, A1, "late", false);
    CHECK(world_job(w, JOB_REVOKE) != NULL);
    world_close(w);
}

/* Only the new one: what became of the others' jobs stays as it is. */
static void test_late_credential_alone(void **state)
{
    (void)state;
    struct world *w = world_open(policy);
    (void)world_credential(w, A1, "first", false);
    (void)stop(w, "a");
    world_job_done(w, world_job(w, JOB_REVOKE), JOB_DONE_REFUSED);
    unsigned before = w->jobs_started;
    (void)world_credential(w, A1, "late", false);
    CHECK_UINT(w->jobs_started, before + 1);
    CHECK_SPAN(world_job(w, JOB_REVOKE)->credential_id, SPAN("late"));
    world_close(w);
}

/* A receiver that takes a key once must not miss another agent, or the same
 * agent another time. */
static void test_keys_are_apart(void **state)
{
    (void)state;
    struct world *w = world_open(
        "rules:\n"
        "  - name: gone\n"
        "    events: found_inactive\n"
        "    do: [{notify: page}]\n"
        "actions:\n"
        "  page: {http: {method: POST, url: \"https://page.example/\"}}\n");
    static const char *const uris[] = {A1, "/Agents/2", A1};
    struct span keys[3];
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned k = 0; k < 2; k++) {
            (void)EVENT(w, .jti = (const char *)world_text(w, "%u.%u", i, k).p,
                        .type = EVENT_PATCH, .uri = uris[i]);
            (void)world_ask(w, uris[i], "x");
            CHECK(world_reply(w, uris[i], READ_OK,
                              (const char *)world_text(w, "%u%u", i, k).p,
                              k == 0 ? ACTIVE : INACTIVE));
        }
        const struct out_job *j = world_job(w, JOB_ACTION);
        CHECK(j != NULL);
        keys[i] = world_text(w, "%.*s", PRSPAN(j->key));
        world_job_done(w, j, JOB_DONE_CONFIRMED);
        for (unsigned k = 0; k < i; k++)
            CHECK(!span_eq(keys[k], keys[i]));
    }
    world_close(w);
}

/* A read that found no room for its rules' jobs has found nothing: the next one
 * runs them. A rule that waited for it still waits. */
static void test_read_without_room(void **state)
{
    (void)state;
    struct world *w = world_open(
        "rules:\n"
        "  - {name: gone, events: found_inactive, do: [{notify: page}]}\n"
        "  - name: odd\n"
        "    events: patch\n"
        "    where: 'userType eq \"odd\"'\n"
        "    do: [{hold: suspended}]\n"
        "actions:\n"
        "  page: {http: {method: POST, url: \"https://page.example/\"}}\n");
    const char *body = "{\"active\":false,\"userType\":\"odd\"}";
    w->conf.limits.jobs_max = 1;
    CHECK_INT(world_restart(w), 0);
    (void)EVENT(w, .jti = "a", .type = EVENT_PATCH, .uri = A1);
    (void)world_ask(w, A1, "x");
    CHECK(world_reply(w, A1, READ_OK, "e1", INACTIVE));
    CHECK_UINT(w->job_count, 1); /* the only one there can be */
    (void)EVENT(w, .jti = "b", .type = EVENT_PATCH, .uri = "/Agents/2");
    world_pass(w, 6000);
    for (unsigned i = 0; i < 2; i++) {
        (void)world_ask(w, "/Agents/2", "x");
        CHECK(world_reply(w, "/Agents/2", READ_OK, "e1", body));
        CHECK_INT(w->rc, i == 0 ? RC_LIMIT : 0);
        CHECK_UINT(world_records(w, "\"odd\"", "\"set\""), i);
        world_job_done(w, world_job(w, JOB_ACTION), JOB_DONE_CONFIRMED);
        world_pass(w, 31000);
    }
    CHECK_UINT(w->jobs_started, 2);
    world_close(w);
}

/* The end of a job makes room for what it runs otherwise; and a call that the
 * read no longer allows does not undo the read when there is none. */
static void test_ends_without_room(void **state)
{
    (void)state;
    struct world *w = world_open(policy);
    w->conf.limits.jobs_max = 2; /* revoke and purge */
    CHECK_INT(world_restart(w), 0);
    (void)world_credential(w, A1, "t", false);
    (void)stop(w, "a");
    world_job_done(w, world_job(w, JOB_REVOKE), JOB_DONE_REFUSED);
    CHECK_UINT(world_records(w, "\"revoke\"", "\"refused\""), 1);
    CHECK(world_job(w, JOB_ACTION) != NULL); /* page */
    (void)world_hello(w, "r1", "/Agents/2", "c1");
    CHECK(world_reply(w, "/Agents/2", READ_OK, "e1", INACTIVE));
    CHECK_UINT(world_records(w, "\"too many jobs are open\"", "/Agents/2"), 1);
    CHECK_STR(world_may(w, "/Agents/2", "x"), "agent_inactive");
    world_close(w);
}

/* P9, P10: jobs resume after a crash, with the same key, until the deadline. */
static void test_jobs_resume(void **state)
{
    (void)state;
    struct world *w = world_open(policy);
    (void)world_credential(w, A1, "t", false);
    (void)stop(w, "a");
    struct span key = world_job(w, JOB_REVOKE)->key;
    for (int i = 0; i < 3; i++) {
        CHECK_INT(world_restart(w), 0);
        world_pass(w, 0);
        if (world_job(w, JOB_REVOKE) == NULL)
            world_pass(w, 1);
        CHECK_SPAN(world_job(w, JOB_REVOKE)->key, key);
    }
    w->wall -= 3600000; /* F5: not longer than planned */
    CHECK_INT(world_restart(w), 0);
    world_pass(w, 30000);
    CHECK_UINT(world_records(w, "\"revoke\"", "\"outcome\":\"failed\""), 1);
    CHECK(world_job(w, JOB_ACTION) != NULL);
    world_close(w);
}

static void test_operator_jobs(void **state)
{
    (void)state;
    struct world *w = world_open(policy);
    (void)world_credential(w, A1, "t", false);
    (void)stop(w, "a");
    struct in in = {.kind = IN_OPERATOR};
    in.operator.token = 9001;
    in.operator.person = SPAN("ann");
    in.operator.verb = OP_JOB_ABANDON;
    in.operator.job_id = w->jobs[0].job_id;
    (void)world_step(w, in);
    CHECK_INT(world_done(w, 9001), RC_INVALID); /* a reason is needed */
    in.operator.reason = SPAN("as the vendor says");
    in.operator.token = 9002;
    (void)world_step(w, in);
    CHECK_UINT(world_records(w, "\"revoke\"", "\"abandoned\""), 1);
    in.operator.token = 9003;
    (void)world_step(w, in);
    CHECK_INT(world_done(w, 9003), RC_STATE);
    world_job_done(w, &w->jobs[0], JOB_DONE_CONFIRMED); /* late: ignored */
    CHECK_UINT(w->e->credential_count, 1);
    world_close(w);
}

/* Every rule that has suspended the agent is asked, in whatever order they
 * stand, and each once however many statements it has matched. */
static void test_late_credential_of_every_rule(void **state)
{
#define HOLDS "  - {name: a, events: deactivate, do: [{hold: suspended}]}\n"
#define PARTS                                                                  \
    "  - {name: b, events: deactivate, do: [{hold: {suspended: {tools: "       \
    "[x]}}}]}\n"
#define REVOKES                                                                \
    "  - {name: c, events: deactivate, do: [{hold: suspended}, revoke]}\n"
    static const struct {
        const char *rules;
        unsigned jobs;
    } rows[] = {
        {"rules:\n" HOLDS, 0},         {"rules:\n" REVOKES, 1},
        {"rules:\n" HOLDS REVOKES, 1}, {"rules:\n" REVOKES HOLDS, 1},
        {"rules:\n" PARTS REVOKES, 1}, {"rules:\n" PARTS HOLDS, 0},
    };
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        struct world *w = world_open(rows[i].rules);
        check_row(rows[i].rules);
        (void)stop(w, "a");
        (void)stop(w, "b");
        (void)world_operator(w, OP_HOLD_ADD, A1, "", NULL);
        (void)world_credential(w, A1, "late", false);
        CHECK_UINT(w->e->jobs.open_count, rows[i].jobs);
        CHECK_INT(world_restart(w), 0);
        (void)world_credential(w, A1, "later", false);
        CHECK_UINT(w->e->jobs.open_count, 2 * rows[i].jobs);
        world_close(w);
    }
    check_row(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_begin_idempotent),
        cmocka_unit_test(test_renew_and_end),
        cmocka_unit_test(test_renew_judges),
        cmocka_unit_test(test_lost_call),
        cmocka_unit_test(test_lost_call_is_cancelled),
        cmocka_unit_test(test_lost_call_is_forgotten),
        cmocka_unit_test(test_ack_confirms),
        cmocka_unit_test(test_empty_ack),
        cmocka_unit_test(test_hello),
        cmocka_unit_test(test_served_runtime),
        cmocka_unit_test(test_nothing_registered),
        cmocka_unit_test(test_revoke),
        cmocka_unit_test(test_late_credential),
        cmocka_unit_test(test_late_credential_alone),
        cmocka_unit_test(test_late_credential_of_every_rule),
        cmocka_unit_test(test_keys_are_apart),
        cmocka_unit_test(test_read_without_room),
        cmocka_unit_test(test_ends_without_room),
        cmocka_unit_test(test_jobs_resume),
        cmocka_unit_test(test_operator_jobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
