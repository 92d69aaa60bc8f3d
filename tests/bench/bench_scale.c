// SPDX-License-Identifier: Apache-2.0
/*
 * The engine with very many agents, without a network: memory, the cost of a
 * question, a group event, and how long a start takes.
 *
 *   bench_scale memory AGENTS JTIS CALLS   anonymous memory, step by step
 *   bench_scale ask AGENTS                 ns a question, by kind
 *   bench_scale group MEMBERS              from the event to the last member
 *   bench_scale tick AGENTS CALLS JOBS     ns a tick and an event, all at work
 *   bench_scale store DIR AGENTS JTIS [BASE]   makes a database for the next,
 *                                          or for a sidecar with this SCIM base
 *   bench_scale load DIR                   opens it and loads the engine
 *
 * Prints "name value" lines.
 */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "adapters/json_doc.h"
#include "sidecar/config/yaml_doc.h"
#include "sidecar/core/engine.h"
#include "sidecar/io/store.h"
#include "tests/bench/lib/bench.h"

#define BASE "https://idp.example/scim/v2"
#define AGENTS_A_GROUP 10000 /* "/Groups/0" has the first so many */
#define AGENTS_AN_OWNER 20
#define TOOLS 16
#define WALL_MS INT64_C(1800000000000) /* minus the monotonic clock */
#define QUESTIONS 300000
#define TICKS 1000
#define READS 8 /* at once, where that is bounded */
#define FACTS_A_ROW 1000
#define ROWS_ON_THEIR_WAY 256
#define TAIL_ROWS 1000 /* left unfolded */

static const char policy_text[] =
    "apiVersion: bailiff/v1\n"
    "kind: Policy\n"
    "defaults: {unknown_agent: lookup, max_age: 24h}\n"
    "gate:\n"
    "  - {name: all, tools: ['*'], require: 'active eq true'}\n"
    "  - {name: risky, tools: ['tool-1', 'tool-2'],\n"
    "     require: 'groups.value eq \"0\" or active eq true'}\n"
    "rules:\n"
    "  - {name: stop, events: [deactivate],\n"
    "     do: [{cancel: {calls: all, within: 1h}}]}\n";

struct bench {
    struct engine_conf conf;
    struct engine *e;
    const struct policy *policy;
    struct arena arena;
    uv_loop_t loop;
    struct store *store; /* NULL: rows are committed at once */
    uint64_t seq, random, token, facts;
    int64_t now_ms;
    struct out_answer answer; /* the last one */
    uint64_t answers;
};

static struct bench *bench_new(void)
{
    struct bench *b = mem_alloc(mem_system(), sizeof *b);
    BENCH_MUST(b != NULL);
    arena_init(&b->arena, mem_system(), (size_t)1 << 30);
    static struct policy_notes notes;
    const struct doc *root;
    struct fail f;
    BENCH_MUST(yaml_doc_parse(&b->arena.mem, span_str(policy_text),
                              sizeof policy_text, &root, &notes, &f) == 0);
    BENCH_MUST(policy_load(&b->arena.mem, root, &b->policy, &notes, &f) == 0);
    static const struct span all[] = {{(const unsigned char *)"/Agents/*", 9}};
    struct engine_conf *c = &b->conf;
    c->bases[0] = (struct engine_base){
        SPAN(BASE), SPAN("Agents"), SPAN("Users"), SPAN("Groups"), 0, 0};
    c->base_count = 1;
    c->feeds[0] = (struct engine_feed){SPAN("hr"), SPAN("https://idp"), 0};
    c->feed_count = 1;
    c->callers[0] = (struct engine_caller){SPAN("app"), 0, {all, 1}, true};
    c->caller_count = 1;
    c->limits = (struct engine_limits){.subjects_max = 4000000,
                                       .calls_max = 100000,
                                       .parked_max = 4096,
                                       .parked_per_agent = 64,
                                       .jobs_max = 20000,
                                       .jtis_max = 2000000,
                                       .credentials_max = 1000,
                                       .holds_max = 1000,
                                       .lease_ms = 3600000,
                                       .log_stall_ms = 1000,
                                       .jti_keep_ms = 86400000};
    b->now_ms = 1000000;
    b->random = 88172645463325252u;
    unsigned char random[32] = {1, 2, 3};
    BENCH_MUST(engine_new(mem_system(), c, random, &b->e, &f) == 0);
    return b;
}

/* splitmix64: as even as the keyed hashes that it stands for. */
static uint64_t next_random(struct bench *b)
{
    uint64_t z = b->random += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static int step(struct bench *b, struct in in)
{
    in.now_ms = b->now_ms;
    in.wall_ms = b->now_ms + WALL_MS;
    in.random = next_random(b);
    return engine_step(b->e, &in);
}

/* ------------------------------------------------------------- effects */

static void on_stored(void *ctx, uint64_t upto)
{
    ((struct bench *)ctx)->seq = upto;
}

static void on_state(void *ctx, enum store_state s, const struct fail *f)
{
    (void)ctx;
    if (s != STORE_OK)
        bench_die("store: %s", f->text);
}

static void put_row(struct bench *b, uint64_t seq, struct span body)
{
    struct fail f;
    if (b->store == NULL) {
        b->seq = seq;
        return;
    }
    if (store_append(b->store, seq, 0, body, &f) < 0)
        bench_die("append: %s", f.text);
    while (b->seq + ROWS_ON_THEIR_WAY < seq)
        (void)uv_run(&b->loop, UV_RUN_ONCE);
}

/* Two agents in three have something in common, as agents do. */
static const struct doc *resource(struct bench *b, struct arena *m,
                                  unsigned agent)
{
    char text[1024];
    const struct doc *d;
    struct fail f;
    int n = snprintf(
        text, sizeof text,
        "{\"schemas\":[\"urn:ietf:params:scim:schemas:core:2.0:Agent\"],"
        "\"id\":\"%u\",\"active\":true,\"displayName\":\"Agent %u\","
        "\"groups\":[{\"value\":\"%u\",\"display\":\"Group %u\"},"
        "{\"value\":\"all-agents-%u\",\"display\":\"Everybody\"}],"
        "\"owners\":[{\"value\":\"%u\"}],"
        "\"meta\":{\"resourceType\":\"Agent\",\"version\":\"W/\\\"1\\\"\"}}",
        agent, agent, agent / AGENTS_A_GROUP, agent / AGENTS_A_GROUP,
        agent % 10, agent / AGENTS_AN_OWNER);
    (void)b;
    BENCH_MUST(json_doc_parse(&m->mem, span_of(text, (size_t)n), sizeof text,
                              &d, &f) == 0);
    return d;
}

static void answer_read(struct bench *b, const struct out_read *o)
{
    struct arena m;
    uint64_t agent = 0;
    size_t slash = sizeof "/Agents/" - 1;
    struct in in = {.kind = IN_READ_DONE};
    arena_init(&m, mem_system(), (size_t)1 << 20);
    in.read.read_id = o->read_id;
    in.read.etag = SPAN("3694e05e9dff591");
    in.read.retry_after_ms = -1;
    if (!span_u64(span_sub(o->uri, slash, o->uri.n), &agent))
        in.read.result = READ_FAILED; /* a group */
    else
        in.read.resource = resource(b, &m, (unsigned)agent);
    BENCH_MUST(step(b, in) == 0);
    arena_fini(&m);
}

/* Carries the effects of the last step out, until there are none. */
static void settle(struct bench *b, bool read)
{
    struct out o, todo = {.kind = OUT_DONE};
    struct in in = {.kind = IN_LOGGED};
    uint64_t ticket = 0, seq = 0;
    char uri[SUBJECT_URI_MAX];
    for (bool more = true; more;) {
        more = false;
        while (engine_next(b->e, &o)) {
            if (o.kind == OUT_JOURNAL) {
                put_row(b, o.journal.seq, o.journal.body);
                seq = o.journal.seq;
            } else if (o.kind == OUT_LOG) {
                ticket = o.log.ticket;
            } else if (o.kind == OUT_READ && read) {
                BENCH_MUST(todo.kind == OUT_DONE); /* one at a time here */
                todo = o;
                memcpy(uri, o.read.uri.p, o.read.uri.n);
                todo.read.uri.p = (const unsigned char *)uri;
            } else if (o.kind == OUT_ANSWER) {
                b->answer = o.answer;
                b->answers++;
            }
        }
        if (seq != 0) {
            in = (struct in){.kind = IN_STORED, .stored_upto = seq};
            seq = 0;
        } else if (ticket != 0) {
            in = (struct in){.kind = IN_LOGGED, .logged_upto = ticket};
            ticket = 0;
        } else if (todo.kind == OUT_READ) {
            answer_read(b, &todo.read);
            todo.kind = OUT_DONE;
            more = true;
            continue;
        } else {
            continue;
        }
        BENCH_MUST(step(b, in) == 0);
        more = true;
    }
}

static void start(struct bench *b, uint64_t last_seq)
{
    struct fail f;
    if (engine_start(b->e, last_seq, b->policy, b->now_ms, b->now_ms + WALL_MS,
                     &f) < 0)
        bench_die("start: %s", f.text);
    settle(b, true);
}

/* ------------------------------------------------------------ questions */

static void ask(struct bench *b, uint64_t agent, uint64_t tool, bool begin)
{
    char uri[64], name[32], id[32];
    int n =
        snprintf(uri, sizeof uri, "/Agents/%llu", (unsigned long long)agent);
    int t = snprintf(name, sizeof name, "tool-%llu", (unsigned long long)tool);
    struct in in = {.kind = begin ? IN_BEGIN : IN_ASK};
    in.ask = (struct in_ask){.token = ++b->token,
                             .base = -1,
                             .uri = span_of(uri, (size_t)n),
                             .tool = span_of(name, (size_t)t),
                             .deadline_ms = INT64_MAX};
    if (begin) {
        int c = snprintf(id, sizeof id, "call-%010llu",
                         (unsigned long long)b->token);
        in.ask.call_id = span_of(id, (size_t)c);
        in.ask.runtime = SPAN("worker-1");
        in.ask.run_id = SPAN("run-0123456789");
    }
    BENCH_MUST(step(b, in) == 0);
}

static void make_agents(struct bench *b, uint64_t from, uint64_t agents)
{
    for (uint64_t i = from; i < agents; i++) {
        ask(b, i, i % TOOLS, false);
        settle(b, true);
        BENCH_MUST(b->answer.allow);
    }
}

/* A fact as fact_jti() in the engine writes it. */
static void make_jti(struct bench *b, unsigned char key[16],
                     unsigned char value[12])
{
    uint32_t now_s = htobe32((uint32_t)((b->now_ms + WALL_MS) / 1000));
    for (unsigned k = 0; k < 16; k += 8) {
        uint64_t word = next_random(b);
        memcpy(key + k, &word, sizeof word);
    }
    memcpy(value, key, 8);
    memcpy(value + 8, &now_s, sizeof now_s);
}

static void load_jtis(struct bench *b, uint64_t jtis)
{
    unsigned char key[16], value[12];
    struct fail f;
    for (uint64_t i = 0; i < jtis; i++) {
        make_jti(b, key, value);
        const struct fact fact = {.kind = FACT_JTI,
                                  .key = span_of(key, sizeof key),
                                  .value = span_of(value, sizeof value)};
        BENCH_MUST(engine_load_fact(b->e, &fact, &f) == 0);
    }
}

/* -------------------------------------------------------------- memory */

static uint64_t anonymous_kb(void)
{
    char line[256];
    uint64_t kb = 0;
    FILE *in = fopen("/proc/self/smaps_rollup", "re");
    BENCH_MUST(in != NULL);
    while (fgets(line, sizeof line, in) != NULL)
        if (strncmp(line, "Anonymous:", 10) == 0)
            (void)span_u64(
                span_trim(span_of(line + 10, strcspn(line, "k") - 10)), &kb);
    (void)fclose(in);
    return kb;
}

static void show(const char *name, uint64_t value)
{
    (void)printf("%s %llu\n", name, (unsigned long long)value);
    (void)fflush(stdout);
}

static void bench_memory(uint64_t agents, uint64_t jtis, uint64_t calls)
{
    struct bench *b = bench_new();
    load_jtis(b, jtis);
    uint64_t with_jtis = anonymous_kb();
    start(b, 0);
    make_agents(b, 0, agents < 100 ? agents : 100);
    uint64_t hundred = anonymous_kb();
    make_agents(b, 100, agents);
    uint64_t with_agents = anonymous_kb();
    for (uint64_t i = 0; i < calls; i++) {
        ask(b, i % agents, i % TOOLS, true);
        settle(b, true);
        BENCH_MUST(b->answer.allow);
    }
    uint64_t all = anonymous_kb();
    show("jtis_kb", with_jtis);
    show("hundred_agents_kb", hundred);
    show("all_kb", all);
    if (agents > 100)
        show("bytes_an_agent", (with_agents - hundred) * 1024 / (agents - 100));
    if (calls > 0)
        show("bytes_a_call", (all - with_agents) * 1024 / calls);
    struct engine_stats s;
    engine_stats_get(b->e, &s);
    BENCH_MUST(s.calls_now == calls && s.jtis_now == jtis);
}

/* ----------------------------------------------------------- questions */

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    BENCH_MUST(clock_gettime(clock, &t) == 0);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Of this process: others on the machine do not count. */
static uint64_t cpu_ns(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static uint64_t thread_ns(void)
{
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static uint64_t time_questions(struct bench *b, uint64_t agents,
                               uint64_t questions)
{
    uint64_t from = cpu_ns(), before = b->answers;
    for (uint64_t i = 0; i < questions; i++) {
        ask(b, next_random(b) % agents, i % TOOLS, false);
        settle(b, false);
    }
    BENCH_MUST(b->answers == before + questions);
    return (cpu_ns() - from) / questions;
}

/* Each agent's first question about a tool meets a cold cache. */
static void bench_ask(uint64_t agents)
{
    struct bench *b = bench_new();
    start(b, 0);
    make_agents(b, 0, agents);
    show("first_ns", time_questions(b, agents, QUESTIONS / 2));
    show("again_ns", time_questions(b, agents, QUESTIONS));
    show("ten_ns", time_questions(b, 10, QUESTIONS));
}

/* --------------------------------------------------------------- group */

static void tell(struct bench *b, enum event_type type, enum subject_kind kind,
                 const char *uri)
{
    char jti[32];
    int n =
        snprintf(jti, sizeof jti, "jti-%llu", (unsigned long long)++b->token);
    struct event ev = {.feed = SPAN("hr"),
                       .issuer = SPAN("https://idp"),
                       .jti = span_of(jti, (size_t)n),
                       .has_subject = true,
                       .kind = kind,
                       .base = SPAN(BASE),
                       .uri = span_str(uri),
                       .part_count = 1,
                       .iat_ms = EVENT_TIME_NONE,
                       .toe_ms = EVENT_TIME_NONE};
    ev.parts[0] = (struct event_part){
        .type = type, .uri = span_str(uri), .changed_anything = true};
    struct in in = {.kind = IN_EVENT};
    in.event.token = b->token;
    in.event.event = &ev;
    BENCH_MUST(step(b, in) == 0);
}

static void bench_group(uint64_t members)
{
    struct bench *b = bench_new();
    start(b, 0);
    make_agents(b, 0, members);
    uint64_t from = bench_now_ns();
    tell(b, EVENT_PATCH, SUBJECT_GROUP, "/Groups/0");
    uint64_t stepped = bench_now_ns();
    settle(b, false);
    uint64_t answers = b->answers;
    ask(b, members - 1, 1, false);
    settle(b, false);
    uint64_t asked = bench_now_ns();
    BENCH_MUST(b->answers == answers); /* it waits for a read */
    show("event_us", (stepped - from) / 1000);
    show("denied_us", (asked - from) / 1000);
}

/* ---------------------------------------------------------------- ticks */

static void tell_agent(struct bench *b, enum event_type type, uint64_t agent)
{
    char uri[64];
    (void)snprintf(uri, sizeof uri, "/Agents/%llu", (unsigned long long)agent);
    tell(b, type, SUBJECT_AGENT, uri);
    settle(b, false);
}

/* Calls run, jobs are open, as many questions wait as may; reads stay without
 * an answer. The last agents have nothing of all that. */
static void fill(struct bench *b, uint64_t agents, uint64_t calls,
                 uint64_t jobs)
{
    make_agents(b, 0, agents);
    for (uint64_t i = 0; i < calls; i++) {
        ask(b, i, i % TOOLS, true);
        settle(b, false);
        BENCH_MUST(b->answer.allow);
    }
    b->conf.bases[0].reads_max = READS;
    for (uint64_t i = 0; i < jobs; i++)
        tell_agent(b, EVENT_DEACTIVATE, i);
    for (uint64_t i = calls; i < calls + b->conf.limits.parked_max; i++) {
        tell_agent(b, EVENT_PATCH, i);
        ask(b, i, 0, false);
        settle(b, false);
    }
    struct engine_stats s;
    engine_stats_get(b->e, &s);
    BENCH_MUST(s.calls_now == calls && s.jobs_open == jobs &&
               s.parked_now == b->conf.limits.parked_max);
}

static void bench_tick(uint64_t agents, uint64_t calls, uint64_t jobs)
{
    struct bench *b = bench_new();
    start(b, 0);
    BENCH_MUST(jobs <= calls &&
               calls + b->conf.limits.parked_max + TICKS <= agents);
    fill(b, agents, calls, jobs);
    uint64_t from = cpu_ns();
    for (unsigned i = 0; i < TICKS; i++) {
        b->now_ms++;
        BENCH_MUST(step(b, (struct in){.kind = IN_TICK}) == 0);
        settle(b, false);
    }
    uint64_t ticked = cpu_ns();
    for (unsigned i = 0; i < TICKS; i++)
        tell_agent(b, EVENT_PATCH, agents - 1 - i);
    uint64_t told = cpu_ns();
    show("tick_ns", (ticked - from) / TICKS);
    show("event_ns", (told - ticked) / TICKS);
}

/* --------------------------------------------------------------- store */

static void put_facts(struct bench *b, struct buf *facts, uint64_t seq)
{
    struct buf body;
    buf_init(&body, mem_system(), JOURNAL_BODY_MAX);
    journal_put_body(&body, buf_span(facts), SPAN(""), SPAN(""));
    BENCH_MUST(buf_ok(&body));
    put_row(b, seq, buf_span(&body));
    buf_fini(&body);
    buf_clear(facts);
}

static uint64_t store_jtis(struct bench *b, uint64_t jtis, uint64_t seq)
{
    struct buf facts;
    unsigned char key[16], value[12];
    buf_init(&facts, mem_system(), JOURNAL_BODY_MAX);
    for (uint64_t i = 0; i < jtis; i++) {
        make_jti(b, key, value);
        journal_put_fact(&facts, FACT_JTI, span_of(key, sizeof key),
                         span_of(value, sizeof value));
        if ((i + 1) % FACTS_A_ROW == 0 || i + 1 == jtis)
            put_facts(b, &facts, ++seq);
    }
    buf_fini(&facts);
    return seq;
}

static void bench_store(const char *dir, uint64_t agents, uint64_t jtis,
                        const char *base)
{
    struct bench *b = bench_new();
    b->conf.bases[0].url = span_str(base);
    struct store_conf conf = {
        .dir = span_str(dir), .stored = on_stored, .state = on_state, .ctx = b};
    struct store_stats s;
    struct fail f;
    bool created;
    BENCH_MUST(uv_loop_init(&b->loop) == 0);
    if (store_open(&conf, &b->store, &created, &f) < 0 ||
        store_start(b->store, &b->loop, &f) < 0)
        bench_die("store: %s", f.text);
    uint64_t last = store_jtis(b, jtis, 0);
    start(b, last);
    make_agents(b, 0, agents);
    last = b->seq - TAIL_ROWS;
    store_logged(b->store, last);
    do {
        (void)uv_run(&b->loop, UV_RUN_NOWAIT);
        store_stats_get(b->store, &s);
    } while (s.folded_seq < last);
    show("rows", b->seq);
    show("tail_rows", b->seq - last);
    /* Not closed: what is not folded stays so, as after a crash. */
}

static int load_fact(void *ctx, const struct fact *fact, struct fail *f)
{
    struct bench *b = ctx;
    b->facts++;
    return engine_load_fact(b->e, fact, f);
}

static int load_row(void *ctx, uint64_t seq, const struct journal_body *body,
                    struct fail *f)
{
    struct span facts = body->facts;
    struct fact fact;
    int more;
    (void)seq;
    while ((more = journal_next_fact(&facts, &fact, f)) == 1)
        TRY(load_fact(ctx, &fact, f));
    return more;
}

static void bench_load(const char *dir)
{
    struct bench *b = bench_new();
    struct store_conf conf = {
        .dir = span_str(dir), .stored = on_stored, .state = on_state, .ctx = b};
    const struct store_reader reader = {
        .fact = load_fact, .row = load_row, .ctx = b};
    struct fail f;
    bool created;
    uint64_t last, from = bench_now_ns(), cpu = cpu_ns(), own = thread_ns();
    if (store_open(&conf, &b->store, &created, &f) < 0)
        bench_die("open: %s", f.text);
    uint64_t opened = bench_now_ns();
    if (store_load(b->store, &reader, &last, &f) < 0)
        bench_die("load: %s", f.text);
    uint64_t loaded = bench_now_ns();
    struct store *s = b->store;
    b->store = NULL; /* rows of this boot are not stored */
    start(b, last);
    uint64_t ready = bench_now_ns();
    struct engine_stats stats;
    engine_stats_get(b->e, &stats);
    show("facts", b->facts);
    show("open_ms", (opened - from) / 1000000);
    show("load_ms", (loaded - opened) / 1000000);
    show("start_ms", (ready - loaded) / 1000000);
    show("ready_ms", (ready - from) / 1000000);
    show("thread_cpu_ms", (thread_ns() - own) / 1000000);
    show("cpu_ms", (cpu_ns() - cpu) / 1000000);
    show("jtis", stats.jtis_now);
    show("all_kb", anonymous_kb());
    store_free(s);
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";
    uint64_t n[3] = {0, 0, 0};
    int first = strcmp(what, "store") == 0 || strcmp(what, "load") == 0 ? 3 : 2;
    for (int i = first; i < argc && i < 5; i++)
        n[i - first] = bench_number(argv[i]);
    if (strcmp(what, "memory") == 0)
        bench_memory(n[0], n[1], n[2]);
    else if (strcmp(what, "ask") == 0)
        bench_ask(n[0]);
    else if (strcmp(what, "group") == 0)
        bench_group(n[0]);
    else if (strcmp(what, "tick") == 0)
        bench_tick(n[0], n[1], n[2]);
    else if (strcmp(what, "store") == 0)
        bench_store(argv[2], n[0], n[1], argc > 5 ? argv[5] : BASE);
    else if (strcmp(what, "load") == 0)
        bench_load(argv[2]);
    else
        bench_die("memory, ask, group, tick, store or load");
    return 0;
}
