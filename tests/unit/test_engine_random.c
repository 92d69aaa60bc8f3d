// SPDX-License-Identifier: Apache-2.0
/*
 * Any order of the same statements (I8, F6, F7), and random lives of three
 * agents beside a simple model of "may act": an allow needs an active answer
 * to a read that started after the last statement, and nobody may act whom the
 * server has ended and a statement has told of. SEED=n in the environment
 * replays one life.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/lib/world.h"

#define STOP                                                                   \
    "rules:\n"                                                                 \
    "  - name: stop\n"                                                         \
    "    events: [deactivate, found_inactive, found_gone]\n"                   \
    "    do: [{hold: suspended}, {cancel: {calls: all}}, {purge: [queue]},\n"  \
    "         {revoke: {tokens: all}}]\n"                                      \
    "  - name: come-back\n"                                                    \
    "    events: [activate, refreshed]\n"                                      \
    "    where: 'active eq true'\n"                                            \
    "    do: [{release: {suspended: {set_by: [stop]}}}]\n"

/* ----------------------------------------------------------- permutations */

static const struct world_event story[] = {
    {.jti = "a", .type = EVENT_DEACTIVATE, .uri = "/Agents/1", .version = "e1"},
    {.jti = "b", .type = EVENT_ACTIVATE, .uri = "/Agents/1", .version = "e2"},
    {.jti = "c", .type = EVENT_PATCH, .uri = "/Agents/1"},
    {.jti = "a", .type = EVENT_DEACTIVATE, .uri = "/Agents/1", .version = "e1"},
};

static void answer(struct world *w, const char *body)
{
    (void)world_ask(w, "/Agents/1", "x");
    (void)world_reply(w, "/Agents/1", READ_OK, "e2", body);
}

static void run_order(const unsigned order[4], unsigned reads, bool active)
{
    const char *body = active ? ACTIVE : INACTIVE;
    struct world *w = world_open(STOP);
    (void)world_ask(w, "/Agents/1", "x");
    CHECK(world_reply(w, "/Agents/1", READ_OK, "e0", ACTIVE));
    for (unsigned i = 0; i < 4; i++) {
        (void)world_event(w, story[order[i]]);
        if (reads >> i & 1)
            answer(w, body);
    }
    world_pass(w, 6000);
    answer(w, body);
    CHECK_STR(world_may(w, "/Agents/1", "x"),
              active ? "allow" : "agent_suspended");
    CHECK(active == (world_holds(w, "/Agents/1") == 0));
    world_close(w);
}

static void test_every_order(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 256; n++) {
        const unsigned order[4] = {n & 3, n >> 2 & 3, n >> 4 & 3, n >> 6 & 3};
        unsigned used = 0;
        for (int i = 0; i < 4; i++)
            used |= 1u << order[i];
        for (unsigned reads = 0; used == 15 && reads < 16; reads++) {
            run_order(order, reads, true);
            run_order(order, reads, false);
        }
    }
}

/* ------------------------------------------------------------ random lives */

#define AGENTS 3
#define OPS 60
#define QUEUE_MAX 256
#define REPLICA_LAG_MS 4900

struct server_state {
    unsigned version;
    bool active;
};

struct news {
    struct world_event ev;
    unsigned agent;
    uint64_t token;
    bool delivered, ends; /* ends: of a state that is not active */
};

struct life {
    struct world *w;
    unsigned op;
    struct server_state now[AGENTS], shown[AGENTS];
    bool told[AGENTS]; /* that the present state is not active */
    bool held[AGENTS]; /* by an operator */
    unsigned touched[AGENTS], proved[AGENTS];
    uint64_t read_id[AGENTS];
    int64_t changed_ms[AGENTS];
    unsigned read_op[AGENTS];
    struct news queue[QUEUE_MAX];
    unsigned count;
    unsigned asks_seen;
};

static const char *const uris[AGENTS] = {"/Agents/1", "/Agents/2", "/Agents/3"};

static uint64_t pick(struct life *l, uint64_t n)
{
    return world_random(l->w) % n;
}

static void note_reads(struct life *l)
{
    for (unsigned i = 0; i < l->w->read_count; i++)
        for (unsigned a = 0; a < AGENTS; a++)
            if (span_eq(l->w->reads[i].uri, span_str(uris[a])) &&
                l->read_id[a] != l->w->reads[i].read_id) {
                l->read_id[a] = l->w->reads[i].read_id;
                l->read_op[a] = l->op;
            }
}

/* The model's rules, over every answer that has come since. */
static void judge(struct life *l)
{
    struct world *w = l->w;
    for (unsigned i = l->asks_seen; i < w->ask_count; i++) {
        struct world_ask *q = &w->asks[i];
        if (!q->answered || !q->answer.allow)
            continue;
        q->answer.allow = false; /* judged */
        for (unsigned a = 0; a < AGENTS; a++) {
            if (!span_eq(q->uri, span_str(uris[a])))
                continue;
            CHECK(l->proved[a] >= l->touched[a]);
            CHECK(!l->told[a] && !l->held[a]);
        }
    }
    l->asks_seen = w->ask_count > 64 ? w->ask_count - 64 : 0;
}

static void change_server(struct life *l, unsigned a)
{
    struct server_state *s = &l->now[a];
    struct world *w = l->w;
    bool flip = pick(l, 3) > 0;
    if (l->count == QUEUE_MAX)
        return;
    s->version++;
    l->changed_ms[a] = w->now;
    s->active = flip ? !s->active : s->active;
    l->told[a] = false; /* nobody has told of this state yet */
    struct news *n = &l->queue[l->count++];
    *n = (struct news){.agent = a, .ends = !s->active};
    n->ev.jti = (const char *)world_text(w, "j%u", l->count).p;
    n->ev.uri = uris[a];
    n->ev.type = !flip       ? EVENT_PATCH
                 : s->active ? EVENT_ACTIVATE
                             : EVENT_DEACTIVATE;
    if (pick(l, 2) == 0)
        n->ev.version = (const char *)world_text(w, "e%u", s->version).p;
}

static void deliver(struct life *l, struct news *n)
{
    unsigned a = n->agent;
    bool first = !n->delivered;
    n->token = world_event(l->w, n->ev);
    n->delivered = true;
    if (!first)
        return;
    l->touched[a] = l->op;
    if (!l->now[a].active)
        l->told[a] = true;
}

static void reply(struct life *l, unsigned a)
{
    struct server_state *from = &l->now[a];
    struct world *w = l->w;
    uint64_t how = pick(l, 8);
    if (world_reading(w, uris[a]) == 0)
        return;
    if (how == 0) {
        (void)world_reply(w, uris[a], READ_FAILED, NULL, NULL);
        return;
    }
    if (how < 4 && l->shown[a].version != 0 &&
        w->now - l->changed_ms[a] < REPLICA_LAG_MS)
        from = &l->shown[a]; /* a replica that lags, less than `settle` */
    else
        l->shown[a] = l->now[a];
    const char *body =
        from->active ? "{\"active\":true,\"groups\":[{\"value\":\"g\"}]}"
                     : "{\"active\":false,\"groups\":[{\"value\":\"g\"}]}";
    if (from->active && l->read_op[a] > l->proved[a])
        l->proved[a] = l->read_op[a];
    (void)world_reply(w, uris[a], READ_OK,
                      (const char *)world_text(w, "e%u", from->version).p,
                      body);
}

static void restart(struct life *l)
{
    int64_t jump = (int64_t)pick(l, 3) * 3600000 - 3600000;
    l->w->wall += jump;
    for (unsigned i = 0; i < l->count; i++) {
        struct news *n = &l->queue[i];
        if (!n->delivered || world_acked(l->w, n->token))
            continue;
        n->delivered = false; /* it will come again */
        l->told[n->agent] = false;
    }
    CHECK_INT(world_restart(l->w), 0);
    for (unsigned a = 0; a < AGENTS; a++) {
        l->touched[a] = l->op;
        l->proved[a] = 0;
    }
}

static void operate(struct life *l, unsigned a)
{
    (void)world_operator(l->w, l->held[a] ? OP_HOLD_LIFT : OP_HOLD_ADD, uris[a],
                         "suspended", NULL);
    world_commit(l->w);
    l->held[a] = !l->held[a];
}

static void one_op(struct life *l)
{
    unsigned a = (unsigned)pick(l, AGENTS);
    struct world *w = l->w;
    switch (pick(l, 16)) {
        case 0:
        case 1: change_server(l, a); break;
        case 2:
        case 3:
        case 4:
            if (l->count > 0)
                deliver(l, &l->queue[pick(l, l->count)]);
            break;
        case 5:
        case 6:
        case 7: (void)world_ask(w, uris[a], "x"); break;
        case 8: (void)world_begin(w, uris[a], "x", "c1"); break;
        case 9:
        case 10: reply(l, a); break;
        case 11: world_pass(w, (int64_t)pick(l, 7000)); break;
        case 12: w->auto_store = pick(l, 2) == 0; break;
        case 13: w->auto_log = pick(l, 4) > 0; break;
        case 14:
            if (pick(l, 4) == 0)
                restart(l);
            else
                (void)EVENT(w,
                            .jti = (const char *)world_text(w, "g%u", l->op).p,
                            .type = EVENT_PATCH, .uri = "/Groups/g",
                            .changed = "displayName");
            break;
        default:
            if (pick(l, 3) == 0)
                operate(l, a);
            else
                (void)world_credential(w, uris[a], "t1", false);
            break;
    }
}

/* I14: when everything has been said and read, what is true holds. */
static void settle(struct life *l)
{
    struct world *w = l->w;
    w->auto_store = w->auto_log = true;
    world_commit(w);
    world_log(w);
    for (unsigned i = 0; i < l->count; i++)
        (void)world_event(w, l->queue[i].ev);
    world_pass(w, 60000);
    for (unsigned a = 0; a < AGENTS; a++) {
        const char *etag =
            (const char *)world_text(w, "e%u", l->now[a].version).p;
        const char *body = l->now[a].active ? ACTIVE : INACTIVE;
        /* Long enough for a backoff and a settling time; a server that is
         * up answers every read, also those for calls that may still run. */
        for (int i = 0; i < 72; i++) {
            (void)world_ask(w, uris[a], "x");
            (void)world_reply(w, uris[a], READ_OK, etag, body);
            world_pass(w, 1000);
        }
        (void)world_reply(w, uris[a], READ_OK, etag, body);
        const char *says = world_may(w, uris[a], "x");
        if (l->now[a].active && !l->held[a])
            CHECK_STR(says, "allow");
        else /* an operator may have lifted the hold: then it is inactive */
            CHECK(strcmp(says, "agent_suspended") == 0 ||
                  strcmp(says, "agent_inactive") == 0);
    }
}

static void live(uint64_t seed)
{
    struct life *l = mem_alloc(mem_system(), sizeof *l);
    must(l != NULL);
    char name[40];
    (void)snprintf(name, sizeof name, "SEED=%llu", (unsigned long long)seed);
    check_row(name);
    l->w = world_open(STOP);
    l->w->seed = seed * 2654435761u + 88172645463325252u;
    for (unsigned a = 0; a < AGENTS; a++)
        l->now[a] = (struct server_state){1, true};
    for (l->op = 1; l->op <= OPS; l->op++) {
        one_op(l);
        note_reads(l);
        judge(l);
        if (l->w->ask_count > 1000)
            break;
    }
    settle(l);
    world_close(l->w);
    mem_release(mem_system(), l);
    check_row(NULL);
}

static void test_lives(void **state)
{
    (void)state;
    const char *one = getenv("SEED");
    uint64_t seed = 0;
    if (one != NULL && span_u64(span_str(one), &seed)) {
        live(seed);
        return;
    }
    for (seed = 1; seed <= 2000; seed++)
        live(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_order),
        cmocka_unit_test(test_lives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
