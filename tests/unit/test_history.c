// SPDX-License-Identifier: Apache-2.0
/* What the engine writes down of its inputs, and what it leaves out. */
#include "tests/lib/world.h"

#include <string.h>

#include "adapters/json_doc.h"

static const char policy_text[] =
    "rules:\n"
    "  - name: risk\n"
    "    events: [caep.risk-level-change]\n"
    "    where: 'event.current_level eq \"HIGH\"'\n"
    "    do: [{hold: suspended}]\n"
    "gate:\n"
    "  - {name: pay, tools: [pay], require: 'groups.value eq \"g1\" and "
    "emails[type eq \"work\" and value pr] and name.familyName eq \"x\"'}\n";

/* The inputs of all rows so far, one after the other. */
static struct span all_inputs(struct world *w)
{
    struct buf all;
    buf_init(&all, &w->arena.mem, 1024 * 1024);
    for (unsigned i = 0; i < w->row_count; i++) {
        struct journal_body body;
        struct fail f;
        CHECK_OK(journal_read_body(w->rows[i].body, &body, &f), &f);
        buf_put(&all, body.input);
    }
    CHECK(buf_ok(&all));
    return buf_span(&all);
}

static bool has(struct span s, const char *text)
{
    return memmem(s.p, s.n, text, strlen(text)) != NULL;
}

static unsigned count(struct span s, const char *text)
{
    unsigned n = 0;
    size_t length = strlen(text);
    for (const unsigned char *at; (at = memmem(s.p, s.n, text, length)) != NULL;
         n++)
        s = span_sub(s, (size_t)(at - s.p) + length, s.n);
    return n;
}

static void know(struct world *w, const char *json)
{
    (void)world_ask(w, "/Agents/1", "kb");
    CHECK(world_reply(w, "/Agents/1", READ_OK, "e1", json));
}

static void every_line_is_an_object(struct span all)
{
    while (all.n > 0) {
        const struct doc *d;
        struct arena a;
        struct fail f;
        size_t end = span_find(all, '\n', 0);
        CHECK(end < all.n);
        arena_init(&a, mem_system(), 1024 * 1024);
        CHECK_OK(json_doc_parse(&a.mem, span_sub(all, 0, end), 65536, &d, &f),
                 &f);
        CHECK(doc_get(d, SPAN("t"))->kind == DOC_INT);
        CHECK(doc_text(d, SPAN("kind")).n > 0);
        arena_fini(&a);
        all = span_sub(all, end + 1, all.n);
    }
}

static void what_the_policy_names_is_kept(void **state)
{
    (void)state;
    struct world *w = world_open(policy_text);
    know(w,
         "{\"active\":true,\"userName\":\"kim\",\"title\":\"boss\","
         "\"name\":{\"familyName\":\"x\",\"givenName\":\"Kim\"},"
         "\"emails\":[{\"type\":\"work\",\"value\":\"a@b\"}],"
         "\"groups\":[{\"value\":\"g1\",\"display\":\"Payroll\"}],"
         "\"owners\":[{\"value\":\"u1\",\"display\":\"Ann\"}]}");
    struct span all = all_inputs(w);
    every_line_is_an_object(all);
    CHECK(has(all, "\"result\":\"qualified\""));
    CHECK(has(all, "\"groups\":[{\"value\":\"g1\"}]"));
    CHECK(has(all, "\"owners\":[{\"value\":\"u1\"}]"));
    CHECK(has(all, "\"name\":{\"familyName\":\"x\"}"));
    CHECK(has(all, "\"emails\":[{\"type\":\"work\",\"value\":\"a@b\"}]"));
    CHECK(has(all, "\"resource\":[\"groups.value\""));
    CHECK(has(all, "\"event\":[\"current_level\"]"));
    static const char *const personal[] = {"kim", "Kim", "boss", "Payroll",
                                           "Ann"};
    for (size_t i = 0; i < sizeof personal / sizeof *personal; i++)
        CHECK(!has(all, personal[i]));
    world_close(w);
}

static void a_read_that_found_nothing_new_is_whole(void **state)
{
    (void)state;
    struct world *w = world_open(policy_text);
    know(w, "{\"active\":true,\"groups\":[{\"value\":\"g1\"}]}");
    world_pass(w, 16 * 60 * 1000);
    (void)world_ask(w, "/Agents/1", "kb");
    CHECK(world_reply(w, "/Agents/1", READ_NOT_MODIFIED, "e1", NULL));
    struct span all = all_inputs(w);
    CHECK_INT(count(all, "\"kind\":\"read\""), 2);
    CHECK_INT(count(all, "\"groups\":[{\"value\":\"g1\"}]"), 2);
    world_close(w);
}

static void statements_are_kept_without_their_data(void **state)
{
    (void)state;
    struct world *w = world_open(policy_text);
    (void)EVENT(w, .feed = "hr", .jti = "j1", .uri = "/Agents/1",
                .type = EVENT_CAEP_RISK_LEVEL_CHANGE,
                .data = "{\"title\":\"boss\",\"active\":false}");
    (void)EVENT(w, .feed = "hr", .jti = "j1", .uri = "/Agents/1",
                .type = EVENT_CAEP_RISK_LEVEL_CHANGE,
                .data = "{\"title\":\"boss\",\"active\":false}");
    (void)EVENT(w, .feed = "hr", .jti = "j2", .uri = "/Groups/g1",
                .type = EVENT_PATCH, .changed = "members",
                .members = {"1", "2"});
    (void)EVENT(w, .feed = "it", .jti = "j3", .uri = "/Agents/2",
                .type = EVENT_DEACTIVATE, .dirty = true);
    struct span all = all_inputs(w);
    every_line_is_an_object(all);
    CHECK_INT(count(all, "\"kind\":\"event\""), 3); /* not the duplicate */
    CHECK(has(all, "\"subject_kind\":\"group\""));
    CHECK(has(all, "\"changed\":[\"members\"]"));
    CHECK(has(all, "\"members\":[\"1\",\"2\"]"));
    CHECK_INT(count(all, "\"dirty\":true"), 1);
    CHECK(!has(all, "boss"));
    world_close(w);
}

static void people_have_no_name(void **state)
{
    (void)state;
    struct world *w = world_open(policy_text);
    know(w, ACTIVE);
    (void)world_operator(w, OP_HOLD_ADD, "/Agents/1", "", NULL);
    (void)world_operator(w, OP_HOLD_LIFT, "/Agents/1", "", NULL);
    (void)world_operator(w, OP_HOLD_LIFT, "/Agents/1", "", NULL);
    struct span all = all_inputs(w);
    CHECK_INT(count(all, "\"verb\":\"hold_add\""), 1);
    CHECK_INT(count(all, "\"verb\":\"hold_lift\""), 1); /* one was refused */
    CHECK(!has(all, "ann") && !has(all, "because"));
    world_close(w);
}

static void what_is_too_large_keeps_its_head(void **state)
{
    (void)state;
    struct world *w = world_open(policy_text);
    struct buf json;
    buf_init(&json, &w->arena.mem, 1024 * 1024);
    buf_put_str(&json, "{\"members\":[{\"value\":\"1\"}");
    for (unsigned i = 0; i < 4000; i++)
        buf_printf(&json, ",{\"value\":\"member-number-%u\"}", i);
    buf_put_str(&json, "]}");
    (void)EVENT(w, .feed = "hr", .jti = "j1", .uri = "/Groups/g1",
                .type = EVENT_PUT);
    CHECK(world_reply(w, "/Groups/g1", READ_OK, "e1", (const char *)json.p));
    struct span all = all_inputs(w);
    every_line_is_an_object(all);
    CHECK(has(all, "\"cut\":true"));
    CHECK(!has(all, "member-number"));
    CHECK(all.n < HISTORY_ENTRY_BYTES_MAX);
    world_close(w);
}

static void what_is_named_is_told_again_every_hour(void **state)
{
    (void)state;
    struct world *w = world_open(policy_text);
    know(w, ACTIVE);
    CHECK_INT(count(all_inputs(w), "\"kind\":\"policy\""), 1);
    world_pass(w, 3601 * 1000);
    (void)EVENT(w, .feed = "hr", .jti = "j1", .uri = "/Agents/1",
                .type = EVENT_PATCH, .changed = "title");
    (void)EVENT(w, .feed = "hr", .jti = "j2", .uri = "/Agents/1",
                .type = EVENT_PATCH, .changed = "title");
    CHECK_INT(count(all_inputs(w), "\"kind\":\"policy\""), 2);
    struct in in = {.kind = IN_POLICY};
    in.policy.policy = world_policy(w,
                                    "gate: [{name: a, tools: ['*'], require: "
                                    "'title pr'}]\n");
    CHECK_INT(world_step(w, in), 0);
    CHECK_INT(count(all_inputs(w), "\"kind\":\"policy\""), 3);
    CHECK(has(all_inputs(w), "\"resource\":[\"title\"]"));
    CHECK_INT(world_restart(w), 0);
    CHECK(has(all_inputs(w), "\"boot\":2"));
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_policy_names_is_kept),
        cmocka_unit_test(a_read_that_found_nothing_new_is_whole),
        cmocka_unit_test(statements_are_kept_without_their_data),
        cmocka_unit_test(people_have_no_name),
        cmocka_unit_test(what_is_too_large_keeps_its_head),
        cmocka_unit_test(what_is_named_is_told_again_every_hour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
