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

/* ---- a candidate ---- */

static void load_candidate(struct world *w, const char *yaml)
{
    const struct in in = {.kind = IN_CANDIDATE,
                          .policy = {.policy = world_policy(w, yaml)}};
    CHECK_INT(world_step(w, in), 0);
}

#define NAMES_TITLE "gate: [{name: a, tools: ['*'], require: 'title pr'}]\n"

static bool asks_for(const struct world *w, const char *name)
{
    const struct names asked = w->reads[w->read_count - 1].attributes;
    for (unsigned i = 0; i < asked.count; i++)
        if (span_eq(asked.at[i], span_str(name)))
            return true;
    return false;
}

#define TITLED "{\"active\":true,\"title\":\"boss\"}"

static void reads_ask_for_what_a_candidate_names(void **state)
{
    (void)state;
    struct world *w = world_open(policy_text);
    (void)world_ask(w, "/Agents/1", "kb");
    CHECK(!asks_for(w, "title"));
    load_candidate(w, NAMES_TITLE);
    /* It was under way already. */
    CHECK(world_reply(w, "/Agents/1", READ_OK, "e1", ACTIVE));
    CHECK(has(all_inputs(w), "\"also\":[\"title\"]"));
    CHECK_INT(count(all_inputs(w), "\"partial\":true"), 1);
    uint64_t again = world_ask(w, "/Agents/1", "kb");
    CHECK_STR(world_says(w, again), "tool_not_named"); /* not stale */
    CHECK_UINT(world_reading(w, "/Agents/1"), 0);
    (void)EVENT(w, .feed = "hr", .jti = "j1", .uri = "/Agents/1",
                .type = EVENT_PATCH, .changed = "title");
    (void)world_ask(w, "/Agents/1", "kb");
    CHECK(asks_for(w, "title"));
    CHECK_UINT(w->reads[w->read_count - 1].if_none_match.n, 0);
    CHECK(world_reply(w, "/Agents/1", READ_OK, "e2", TITLED));
    CHECK_INT(count(all_inputs(w), "\"partial\":true"), 1);
    CHECK_INT(count(all_inputs(w), "\"title\":\"boss\""), 1);
    /* What is kept has it too, so that a read that finds nothing new is
     * whole. */
    (void)EVENT(w, .feed = "hr", .jti = "j2", .uri = "/Agents/1",
                .type = EVENT_PATCH, .changed = "title");
    (void)world_ask(w, "/Agents/1", "kb");
    CHECK(w->reads[w->read_count - 1].if_none_match.n > 0);
    CHECK(world_reply(w, "/Agents/1", READ_NOT_MODIFIED, NULL, NULL));
    CHECK_INT(count(all_inputs(w), "\"partial\":true"), 1);
    CHECK_INT(count(all_inputs(w), "\"title\":\"boss\""), 2);
    world_close(w);
}

static void a_candidate_does_not_make_reads_fail(void **state)
{
    (void)state;
    struct world *w = world_open(policy_text);
    load_candidate(w, NAMES_TITLE);
    uint64_t q = world_ask(w, "/Agents/1", "kb");
    CHECK(asks_for(w, "title"));
    CHECK(world_reply(w, "/Agents/1", READ_FAILED, NULL, NULL));
    world_pass(w, READ_BACKOFF_MAX_MS);
    CHECK_STR(world_says(w, q), "refresh_failed");
    q = world_ask(w, "/Agents/1", "kb");
    CHECK(!asks_for(w, "title"));
    CHECK(world_reply(w, "/Agents/1", READ_OK, "e1", ACTIVE));
    CHECK_STR(world_says(w, q), "tool_not_named");
    CHECK(has(all_inputs(w), "\"partial\":true"));
    world_pass(w, READ_NARROW_MS);
    (void)world_ask(w, "/Agents/2", "kb");
    CHECK(asks_for(w, "title"));
    world_close(w);
}

static void what_is_too_much_is_not_asked_for(void **state)
{
    (void)state;
    struct world *w = world_open(policy_text);
    struct buf many;
    buf_init(&many, &w->arena.mem, 65536);
    buf_put_str(&many, "gate:\n");
    for (unsigned i = 0; i < 4; i++) {
        buf_printf(&many, "  - {name: r%u, tools: ['*'], require: 'active pr",
                   i);
        for (unsigned k = 0; k < 20; k++)
            buf_printf(&many, " and a%u-%060u pr", i, k);
        buf_put_str(&many, "'}\n");
    }
    buf_put_u8(&many, 0);
    load_candidate(w, (const char *)many.p);
    (void)world_ask(w, "/Agents/1", "kb");
    CHECK_UINT(w->reads[0].attributes.count, w->policy->attributes.count);
    CHECK(!has(all_inputs(w), "\"also\""));
    CHECK(world_reply(w, "/Agents/1", READ_OK, "e1", ACTIVE));
    CHECK(!has(all_inputs(w), "partial"));
    world_close(w);
}

static void what_is_known_is_told_in_slices(void **state)
{
    (void)state;
    struct world *w = world_open(policy_text);
    struct buf all, slice;
    size_t at = 0;
    bool more = true;
    buf_init(&all, &w->arena.mem, 1024 * 1024);
    for (unsigned i = 0; i < 700; i++) {
        const char *uri = (const char *)world_text(w, "/Agents/%u", i).p;
        (void)world_ask(w, uri, "kb");
        CHECK(world_reply(w, uri, READ_OK, "e1", ACTIVE));
    }
    (void)EVENT(w, .feed = "hr", .jti = "j1", .uri = "/Agents/5",
                .type = EVENT_PATCH, .changed = "title");
    unsigned slices = 0;
    for (; more; slices++) {
        buf_init(&slice, &w->arena.mem, HISTORY_TEXT_BYTES_MAX);
        more = engine_put_known(w->e, w->now + 7, w->wall, &at, &slice);
        CHECK(buf_ok(&slice));
        buf_put(&all, buf_span(&slice));
    }
    CHECK(slices > 1);
    every_line_is_an_object(buf_span(&all));
    CHECK_INT(count(buf_span(&all), "\"result\":\"qualified\""), 699);
    CHECK(!has(buf_span(&all), "\"/Agents/5\"")); /* it is stale */
    CHECK_INT(count(buf_span(&all), "\"etag\":\"e1\""), 699);
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
        cmocka_unit_test(reads_ask_for_what_a_candidate_names),
        cmocka_unit_test(a_candidate_does_not_make_reads_fail),
        cmocka_unit_test(what_is_too_much_is_not_asked_for),
        cmocka_unit_test(what_is_known_is_told_in_slices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
