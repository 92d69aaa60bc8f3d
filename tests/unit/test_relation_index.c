// SPDX-License-Identifier: Apache-2.0
/* Who becomes stale by what is said about a group or a person: exactly those
 * who are related to it, also after a restart and beyond what is indexed. */
#include <stdio.h>

#include "tests/lib/world.h"

#define AGENTS 60
#define GROUPS 5
#define PEOPLE 7

static struct span uri_of(struct world *w, unsigned i)
{
    return world_text(w, "/Agents/%u", i);
}

static const char *text(struct span s)
{
    return (const char *)s.p; /* world_text ends it with NUL */
}

/* Agent i is in groups i % GROUPS and "all", and belongs to i % PEOPLE. */
static const char *resource(struct world *w, unsigned i)
{
    return text(world_text(
        w,
        "{\"active\":true,\"groups\":[{\"value\":\"%u\"},{\"value\":\"all\"}],"
        "\"owners\":[{\"value\":\"%u\"}]}",
        i % GROUPS, i % PEOPLE));
}

static void read_all(struct world *w, const char *etag)
{
    for (unsigned i = 0; i < AGENTS; i++) {
        const char *uri = text(uri_of(w, i));
        if (world_reading(w, uri) == 0)
            (void)world_ask(w, uri, "x");
        if (world_reading(w, uri) > 0)
            CHECK(world_reply(w, uri, READ_OK, etag, resource(w, i)));
        CHECK_STR(world_may(w, uri, "x"), "allow");
    }
}

static bool is_stale(struct world *w, unsigned i)
{
    struct standing st;
    standing_of(w->e, world_subject(w, text(uri_of(w, i))), 0, &st);
    return st.stale;
}

static unsigned count_stale(struct world *w)
{
    unsigned n = 0;
    for (unsigned i = 0; i < AGENTS; i++)
        n += is_stale(w, i);
    return n;
}

static struct world *open_read(void)
{
    struct world *w = world_open("defaults: {max_age: 15m}\n");
    read_all(w, "e0");
    CHECK_UINT(count_stale(w), 0);
    return w;
}

/* Members before the event, and those that it names. */
static void test_group(void **state)
{
    (void)state;
    struct world *w = open_read();
    (void)EVENT(w, .jti = "a", .type = EVENT_PATCH, .uri = "/Groups/3",
                .changed = "members", .members = {"0", "3"});
    for (unsigned i = 0; i < AGENTS; i++)
        CHECK(is_stale(w, i) == (i % GROUPS == 3 || i == 0));
    CHECK_UINT(count_stale(w), AGENTS / GROUPS + 1);
    CHECK_UINT(world_records(w, "/Groups/3", "\"count\":12"), 1);
    world_close(w);
}

static void test_owner(void **state)
{
    (void)state;
    struct world *w = open_read();
    (void)EVENT(w, .jti = "a", .type = EVENT_DEACTIVATE, .uri = "/Users/4");
    for (unsigned i = 0; i < AGENTS; i++)
        CHECK(is_stale(w, i) == (i % PEOPLE == 4));
    world_close(w);
}

/* A read that says otherwise moves the agent from one group to another. */
static void test_moved(void **state)
{
    (void)state;
    struct world *w = open_read();
    (void)EVENT(w, .jti = "a", .type = EVENT_PATCH, .uri = "/Agents/1",
                .version = "e1");
    (void)world_ask(w, "/Agents/1", "x");
    CHECK(world_reply(w, "/Agents/1", READ_OK, "e1",
                      "{\"active\":true,\"groups\":[{\"value\":\"2\"}]}"));
    CHECK_UINT(count_stale(w), 0);
    (void)EVENT(w, .jti = "b", .type = EVENT_PATCH, .uri = "/Groups/1");
    CHECK(!is_stale(w, 1));
    CHECK_UINT(count_stale(w), AGENTS / GROUPS - 1);
    (void)EVENT(w, .jti = "c", .type = EVENT_PATCH, .uri = "/Groups/2");
    CHECK(is_stale(w, 1));
    CHECK_UINT(count_stale(w), 2 * AGENTS / GROUPS);
    world_close(w);
}

static unsigned members(struct world *w, const char *uri)
{
    unsigned n = 0;
    LIST_EACH (k, next, &world_subject(w, uri)->in)
        n++;
    return n;
}

/* The index is what was stored, before any agent is read again. */
static void test_restart(void **state)
{
    (void)state;
    struct world *w = open_read();
    CHECK_INT(world_restart(w), 0);
    for (unsigned g = 0; g < GROUPS; g++)
        CHECK_UINT(members(w, text(world_text(w, "/Groups/%u", g))),
                   AGENTS / GROUPS);
    CHECK_UINT(members(w, "/Groups/all"), AGENTS);
    CHECK_UINT(members(w, "/Users/4"), AGENTS / PEOPLE);
    (void)EVENT(w, .jti = "a", .type = EVENT_PATCH, .uri = "/Groups/3");
    CHECK_UINT(world_records(w, "/Groups/3", "\"count\":12"), 1);
    world_close(w);
}

/* An agent in `groups` groups, "n0" and so on, owned by "boss". */
static const char *many_groups(struct world *w, unsigned groups)
{
    struct buf b;
    buf_init(&b, mem_system(), 1 << 20);
    buf_put_str(&b,
                "{\"active\":true,\"owners\":[{\"value\":\"boss\"}],"
                "\"groups\":[");
    for (unsigned i = 0; i < groups; i++)
        buf_printf(&b, "%s{\"value\":\"n%u\"}", i > 0 ? "," : "", i);
    buf_put_str(&b, "]}");
    unsigned char *copy = mem_copy(&w->arena.mem, buf_span(&b));
    CHECK(buf_ok(&b) && copy != NULL);
    buf_fini(&b);
    return (const char *)copy;
}

static uint64_t relations_cut(struct world *w)
{
    struct engine_stats s;
    engine_stats_get(w->e, &s);
    return s.relations_cut;
}

/* Beyond SUBJECT_EDGES_MAX: stale by anything about any group or person. */
static void test_beyond_index(void **state)
{
    (void)state;
    for (unsigned groups = SUBJECT_EDGES_MAX - 1; groups <= 300; groups += 45) {
        bool cut = groups > SUBJECT_EDGES_MAX - 1;
        struct world *w = world_open("defaults: {max_age: 15m}\n");
        (void)world_ask(w, "/Agents/1", "x");
        CHECK(
            world_reply(w, "/Agents/1", READ_OK, "e0", many_groups(w, groups)));
        (void)world_ask(w, "/Agents/2", "x");
        CHECK(world_reply(w, "/Agents/2", READ_OK, "e0", resource(w, 2)));
        CHECK_STR(world_may(w, "/Agents/1", "x"), "allow");
        CHECK_UINT(relations_cut(w), cut);
        (void)EVENT(w, .jti = "a", .type = EVENT_PATCH, .uri = "/Groups/n299");
        CHECK(is_stale(w, 1) == cut);
        CHECK(!is_stale(w, 2));
        if (!cut) { /* the last of those that are indexed */
            (void)EVENT(w, .jti = "b", .type = EVENT_PATCH,
                        .uri = "/Groups/n254");
            CHECK(is_stale(w, 1));
        }
        /* Owners come before groups. */
        CHECK_UINT(members(w, "/Users/boss"), 1);
        CHECK_INT(world_restart(w), 0);
        CHECK_UINT(relations_cut(w), cut);
        world_close(w);
    }
}

/* What was said before a restart is not covered by a read before it. */
static void test_beyond_index_restart(void **state)
{
    (void)state;
    struct world *w = world_open("defaults: {max_age: 15m}\n");
    (void)world_ask(w, "/Agents/1", "x");
    CHECK(world_reply(w, "/Agents/1", READ_OK, "e0", many_groups(w, 300)));
    (void)EVENT(w, .jti = "a", .type = EVENT_PATCH, .uri = "/Groups/n299");
    CHECK_INT(world_restart(w), 0);
    uint64_t q = world_ask(w, "/Agents/1", "x");
    /* The state of before the event proves nothing, however new the read. */
    CHECK(world_reply(w, "/Agents/1", READ_OK, "e0", many_groups(w, 300)));
    CHECK_STR(world_says(w, q), "wait");
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_group),
        cmocka_unit_test(test_owner),
        cmocka_unit_test(test_moved),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_beyond_index),
        cmocka_unit_test(test_beyond_index_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
