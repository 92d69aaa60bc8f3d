// SPDX-License-Identifier: Apache-2.0
/*
 * What an event and a question cost against policies of 10, 100 and 1,000
 * rules: the engine alone, without store, log and network, beside a loop that
 * does nothing but compare texts, which says how fast this machine is now.
 * bench_policy [MILLISECONDS_PER_ROW [PART_OF_A_NAME]]
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "sidecar/base/buf.h"
#include "sidecar/config/yaml_doc.h"
#include "sidecar/core/engine_internal.h"
#include "tests/bench/lib/bench.h"

#define BASE "https://idp.example/scim"
#define WALL INT64_C(1800000000000)
#define AGENTS 64
#define HEAD "apiVersion: bailiff/v1\nkind: Policy\n"

struct bench {
    struct arena policy_arena;
    struct engine_conf conf;
    struct span all;
    const struct policy *policy;
    struct engine *e;
    int64_t now;
    uint64_t token, seq, read_id, budget_ns;
};

/* ---- the engine ---- */

static void configure(struct engine_conf *c, struct span *all)
{
    *all = SPAN("/Agents/*");
    c->bases[0] = (struct engine_base){.url = SPAN(BASE),
                                       .agent_segment = SPAN("Agents"),
                                       .user_segment = SPAN("Users"),
                                       .group_segment = SPAN("Groups")};
    c->base_count = 1;
    c->feeds[0] =
        (struct engine_feed){SPAN("hr"), SPAN("https://idp.example"), 0};
    c->feed_count = 1;
    c->callers[0] = (struct engine_caller){SPAN("app"), 0, {all, 1}, true};
    c->caller_count = 1;
    c->limits = (struct engine_limits){.subjects_max = 100000,
                                       .calls_max = 100000,
                                       .parked_max = 64,
                                       .parked_per_agent = 8,
                                       .jobs_max = 200,
                                       .jtis_max = 1000000,
                                       .credentials_max = 100,
                                       .holds_max = 100000,
                                       .lease_ms = 30000,
                                       .log_stall_ms = 1000,
                                       .jti_keep_ms = 3600000};
}

/* Everything is committed and written at once; the ids of reads are noted. */
static void step(struct bench *b, struct in in)
{
    struct out o;
    uint64_t seq = 0, ticket = 0;
    in.now_ms = b->now;
    in.wall_ms = WALL + b->now;
    in.random = 12345;
    BENCH_MUST(engine_step(b->e, &in) == 0);
    while (engine_next(b->e, &o)) {
        if (o.kind == OUT_JOURNAL)
            seq = o.journal.seq;
        else if (o.kind == OUT_LOG)
            ticket = o.log.ticket;
        else if (o.kind == OUT_READ)
            b->read_id = o.read.read_id;
    }
    if (seq > b->seq) {
        b->seq = seq;
        step(b, (struct in){.kind = IN_STORED, .stored_upto = seq});
    }
    if (ticket > 0)
        step(b, (struct in){.kind = IN_LOGGED, .logged_upto = ticket});
}

static struct span uri_of(unsigned agent, char room[32])
{
    return span_of(room, (size_t)snprintf(room, 32, "/Agents/%u", agent));
}

static void ask(struct bench *b, unsigned agent, struct span tool)
{
    char uri[32];
    struct in in = {.kind = IN_ASK};
    in.ask = (struct in_ask){.token = ++b->token,
                             .base = -1,
                             .uri = uri_of(agent, uri),
                             .tool = tool,
                             .deadline_ms = INT64_MAX};
    step(b, in);
}

/* {"active": true, "title": "agent", "groups": [{"value": "g"}]} */
static const struct doc *resource(struct mem *m)
{
    struct doc *map = doc_new(m, DOC_MAP), *active = doc_new(m, DOC_BOOL);
    struct doc *title = doc_new(m, DOC_TEXT);
    BENCH_MUST(map != NULL && active != NULL && title != NULL);
    active->key = SPAN("active");
    active->truth = true;
    title->key = SPAN("title");
    title->text = SPAN("agent");
    doc_append(map, active);
    doc_append(map, title);
    return map;
}

static void read_agent(struct bench *b, unsigned agent)
{
    b->read_id = 0;
    ask(b, agent, SPAN("-"));
    if (b->read_id == 0)
        return;
    struct in in = {.kind = IN_READ_DONE};
    in.read = (struct in_read_done){.read_id = b->read_id,
                                    .result = READ_OK,
                                    .etag = SPAN("e0"),
                                    .resource = resource(&b->policy_arena.mem)};
    step(b, in);
}

static void event(struct bench *b, unsigned agent, enum event_type type)
{
    char uri[32], jti[32];
    struct event *e = mem_alloc(mem_system(), sizeof *e);
    BENCH_MUST(e != NULL);
    e->feed = SPAN("hr");
    e->issuer = SPAN("https://idp.example");
    e->jti = span_of(jti, (size_t)snprintf(jti, sizeof jti, "j%llu",
                                           (unsigned long long)++b->token));
    e->iat_ms = e->toe_ms = WALL + b->now;
    e->has_subject = true;
    e->kind = SUBJECT_AGENT;
    e->base = SPAN(BASE);
    e->uri = uri_of(agent, uri);
    e->part_count = 1;
    e->parts[0].type = type;
    e->parts[0].uri = span_str(event_type_uri(type));
    e->parts[0].changed_anything = true;
    memcpy(e->payload_hash, &b->token, sizeof b->token);
    struct in in = {.kind = IN_EVENT};
    in.event.token = b->token;
    in.event.event = e;
    step(b, in);
    mem_release(mem_system(), e);
}

static void open_engine(struct bench *b, struct span yaml)
{
    static struct policy_notes notes;
    static const unsigned char random[32] = {1, 2, 3, 4};
    const struct doc *root = NULL;
    struct fail f = {0};
    memset(&notes, 0, sizeof notes);
    arena_init(&b->policy_arena, mem_system(), (size_t)1 << 30);
    struct mem *m = &b->policy_arena.mem;
    if (yaml_doc_parse(m, yaml, (size_t)16 << 20, &root, &notes, &f) < 0 ||
        policy_load(m, root, &b->policy, &notes, &f) < 0)
        bench_die("policy: %s, line %u: %s", f.text, notes.at[0].line,
                  notes.at[0].text);
    configure(&b->conf, &b->all);
    b->now = 1000000;
    b->seq = 0;
    BENCH_MUST(engine_new(mem_system(), &b->conf, random, &b->e, &f) == 0);
    BENCH_MUST(engine_start(b->e, 0, b->policy, b->now, WALL + b->now, &f) ==
               0);
    step(b, (struct in){.kind = IN_TICK});
    step(b, (struct in){.kind = IN_STORED, .stored_upto = ++b->seq});
    for (unsigned i = 0; i < AGENTS; i++)
        read_agent(b, i);
}

static void close_engine(struct bench *b)
{
    engine_free(b->e);
    arena_fini(&b->policy_arena);
}

/* ---- policies ---- */

/* One line of rule or gate rule `i` of `n`. */
typedef void line_fn(struct buf *out, unsigned i, unsigned n);

static void other_types(struct buf *out, unsigned i, unsigned n)
{
    static const char *const types[] = {"put", "create", "caep.session-revoked",
                                        "risc.account-disabled", "delete"};
    bool hit = n < 100 ? i == 0 : i % 100 == 0;
    buf_printf(out,
               "  - {name: r%u, events: %s, where: 'title eq \"agent\"', "
               "do: [refresh]}\n",
               i, hit ? "patch" : types[i % 5]);
}

static void other_kinds(struct buf *out, unsigned i, unsigned n)
{
    bool hit = n < 100 ? i == 0 : i % 100 == 0;
    buf_printf(out,
               "  - {name: r%u, events: [patch, put], subject: %s, "
               "where: 'title eq \"agent\"', do: [refresh]}\n",
               i, hit ? "agent" : "user");
}

static void by_event(struct buf *out, unsigned i, unsigned n)
{
    bool hit = n < 100 ? i == 0 : i % 100 == 0;
    buf_printf(out,
               "  - {name: r%u, events: patch, where: 'event.feed eq \"%s\" "
               "and event.issuer sw \"https://idp\"', do: [refresh]}\n",
               i, hit ? "hr" : "it");
}

static void all_match(struct buf *out, unsigned i, unsigned n)
{
    (void)n;
    buf_printf(out, "  - {name: r%u, events: patch, do: [refresh]}\n", i);
}

static void gate_exact(struct buf *out, unsigned i, unsigned n)
{
    (void)n;
    buf_printf(out,
               "  - {name: g%u, tools: [\"service.tool%u\"], "
               "require: 'title eq \"agent\"'}\n",
               i, i);
}

static void gate_pattern(struct buf *out, unsigned i, unsigned n)
{
    (void)n;
    buf_printf(out,
               "  - {name: g%u, tools: [\"service%u.*\"], "
               "require: 'title eq \"agent\"'}\n",
               i, i);
}

static void gate_class(struct buf *out, unsigned i, unsigned n)
{
    (void)n;
    buf_printf(out,
               "  - {name: g%u, tools: [c%u], require: 'title eq \"agent\" "
               "and active eq true'}\n",
               i, i % 32);
}

static void gate_all(struct buf *out, unsigned i, unsigned n)
{
    (void)n;
    buf_printf(out,
               "  - {name: g%u, tools: [\"*\"], require: 'title eq \"agent\"'}"
               "\n",
               i);
}

static void put_policy(struct buf *out, const char *part, line_fn *line,
                       unsigned n)
{
    buf_init(out, mem_system(), (size_t)16 << 20);
    buf_put_str(out, HEAD "tool_classes:\n");
    for (unsigned i = 0; i < 32; i++)
        buf_printf(out, "  c%u: [\"class%u.*\", \"other%u.*\"]\n", i, i, i);
    buf_printf(out, "%s:\n", part);
    for (unsigned i = 0; i < n; i++)
        line(out, i, n);
    BENCH_MUST(buf_ok(out));
}

/* ---- measuring ---- */

/* Time of this thread: others on the machine do not count. */
static uint64_t spent_ns(void)
{
    struct timespec t;
    BENCH_MUST(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static const unsigned sizes[] = {10, 100, 1000};
#define SIZES (sizeof sizes / sizeof sizes[0])

/* Nanoseconds of one call; `now` moves so that no agent grows old. */
static double cost_of(struct bench *b, void (*once)(struct bench *, unsigned))
{
    uint64_t start = spent_ns(), n = 0, spent;
    do {
        for (unsigned i = 0; i < 16; i++)
            once(b, (unsigned)n++);
        spent = spent_ns() - start;
    } while (spent < b->budget_ns);
    return (double)spent / (double)n;
}

static void one_event(struct bench *b, unsigned i)
{
    event(b, i % AGENTS, EVENT_PATCH);
}

/* The same few tools of an agent: its own cache answers. */
static struct span asked[2];

static void judge(struct bench *b, unsigned agent, struct span tool)
{
    char uri[32];
    struct decision d;
    struct subject *s =
        subject_find(&b->e->subjects, SPAN(BASE), uri_of(agent, uri));
    BENCH_MUST(s != NULL);
    decide(b->e, s, tool, SPAN(""), &d);
    BENCH_MUST(d.verdict == VERDICT_ALLOW || d.verdict == VERDICT_DENY);
}

static void cached_question(struct bench *b, unsigned i)
{
    judge(b, i % 4, asked[0]);
}

/* What was kept is not found: the agent's attributes changed. */
static void changed_question(struct bench *b, unsigned i)
{
    b->e->gate_version++;
    judge(b, i % AGENTS, asked[0]);
}

/* A tool that was never asked for. */
static void new_question(struct bench *b, unsigned i)
{
    char tool[64];
    size_t n = (size_t)snprintf(tool, sizeof tool, "%.*s%u", PRSPAN(asked[1]),
                                i + 1000000);
    judge(b, i % AGENTS, span_of(tool, n));
}

struct shape {
    const char *name, *part;
    line_fn *line;
    const char *tool, *new_tool; /* gate */
    void (*once)(struct bench *b, unsigned i);
};

static const struct shape shapes[] = {
    {"event, 1 % of rules on its type", "rules", other_types, NULL, NULL,
     one_event},
    {"event, 1 % of rules on its kind", "rules", other_kinds, NULL, NULL,
     one_event},
    {"event, all asked, 1 % match", "rules", by_event, NULL, NULL, one_event},
    {"event, all match", "rules", all_match, NULL, NULL, one_event},
    {"gate, tools, cached", "gate", gate_exact, "service.tool7", "x",
     cached_question},
    {"gate, tools, agent changed", "gate", gate_exact, "service.tool7", "x",
     changed_question},
    {"gate, tools, new tool", "gate", gate_exact, "service.tool7",
     "service.tool", new_question},
    {"gate, patterns, cached", "gate", gate_pattern, "service7.x", "x",
     cached_question},
    {"gate, patterns, agent changed", "gate", gate_pattern, "service7.x", "x",
     changed_question},
    {"gate, patterns, new tool", "gate", gate_pattern, "service7.x",
     "service7.", new_question},
    {"gate, classes, cached", "gate", gate_class, "class7.x", "x",
     cached_question},
    {"gate, classes, agent changed", "gate", gate_class, "class7.x", "x",
     changed_question},
    {"gate, classes, new tool", "gate", gate_class, "class7.x", "class7.",
     new_question},
    {"gate, all on every tool, changed", "gate", gate_all, "x", "x",
     changed_question},
};

/* Texts that differ in their last byte, compared: what one comparison of a
 * condition costs at least. */
static double reference(uint64_t budget_ns)
{
    static const char texts[8][16] = {
        "service.tool0", "service.tool1", "service.tool2", "service.tool3",
        "service.tool4", "service.tool5", "service.tool6", "service.tool7"};
    volatile unsigned found = 0;
    uint64_t start = spent_ns(), n = 0, spent;
    do {
        for (unsigned i = 0; i < 1024; i++, n++)
            found += span_ieq(span_str(texts[i % 8]), span_str(texts[7]));
        spent = spent_ns() - start;
    } while (spent < budget_ns);
    BENCH_MUST(found > 0);
    return (double)spent / (double)n;
}

static void run(struct bench *b, const struct shape *s)
{
    (void)printf("%-34s", s->name);
    for (size_t i = 0; i < SIZES; i++) {
        struct buf yaml;
        put_policy(&yaml, s->part, s->line, sizes[i]);
        open_engine(b, buf_span(&yaml));
        asked[0] = span_str(s->tool == NULL ? "x" : s->tool);
        asked[1] = span_str(s->new_tool == NULL ? "x" : s->new_tool);
        (void)printf(" %9.0f", cost_of(b, s->once));
        (void)fflush(stdout);
        close_engine(b);
        buf_fini(&yaml);
    }
    (void)printf("\n");
}

int main(int argc, char **argv)
{
    static struct bench b;
    b.budget_ns = (argc > 1 ? bench_number(argv[1]) : 200) * 1000000;
    (void)printf("%-34s %9s %9s %9s\n", "ns, by number of rules", "10", "100",
                 "1000");
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        if (argc < 3 || strstr(shapes[i].name, argv[2]) != NULL)
            run(&b, &shapes[i]);
    (void)printf("%-34s %9.0f\n", "reference: one comparison of texts",
                 reference(b.budget_ns));
    return 0;
}
