// SPDX-License-Identifier: Apache-2.0
/* The calendar of happenings, the one source of randomness, the trace, and the
 * network between the sidecar and everybody else. */
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* -------------------------------------------------------------- randomness */

uint64_t draw(struct sim *w, uint64_t n)
{
    w->random += 0x9e3779b97f4a7c15u; /* splitmix64 */
    uint64_t z = w->random;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return n == 0 ? z : z % n;
}

bool chance(struct sim *w, unsigned per_cent)
{
    return !w->quiet && draw(w, 100) < per_cent;
}

/* ---------------------------------------------------------------- calendar */

static bool before(const struct happening *x, const struct happening *y)
{
    return x->at != y->at ? x->at < y->at : x->order < y->order;
}

static void put(struct sim *w, int64_t in_ms, happen_fn run, uint64_t a,
                uint64_t b, unsigned life)
{
    if (w->due_count == w->due_cap) {
        size_t cap = w->due_cap == 0 ? 1024 : w->due_cap * 2;
        struct happening *grown =
            mem_resize(mem_system(), w->calendar, w->due_cap * sizeof *grown,
                       cap * sizeof *grown);
        must(grown != NULL);
        w->calendar = grown;
        w->due_cap = cap;
    }
    const struct happening h = {w->now + in_ms, ++w->order, run, a, b, life};
    size_t i = w->due_count++;
    for (; i > 0 && before(&h, &w->calendar[(i - 1) / 2]); i = (i - 1) / 2)
        w->calendar[i] = w->calendar[(i - 1) / 2];
    w->calendar[i] = h;
}

void later(struct sim *w, int64_t in_ms, happen_fn run, uint64_t a, uint64_t b)
{
    put(w, in_ms, run, a, b, 0);
}

void later_here(struct sim *w, int64_t in_ms, happen_fn run, uint64_t a,
                uint64_t b)
{
    put(w, in_ms, run, a, b, w->p.life);
}

static struct happening next_happening(struct sim *w)
{
    struct happening first = w->calendar[0];
    struct happening last = w->calendar[--w->due_count];
    size_t i = 0;
    for (;;) {
        size_t c = 2 * i + 1;
        if (c + 1 < w->due_count &&
            before(&w->calendar[c + 1], &w->calendar[c]))
            c++;
        if (c >= w->due_count || !before(&w->calendar[c], &last))
            break;
        w->calendar[i] = w->calendar[c];
        i = c;
    }
    w->calendar[i] = last;
    return first;
}

/* ----------------------------------------------------------------- network */

int64_t travel(struct sim *w, unsigned peer)
{
    if (w->cut[peer] || chance(w, w->weather.loss))
        return -1;
    int64_t ms = 1 + (int64_t)draw(w, 20);
    return chance(w, w->weather.slow) ? ms + (int64_t)draw(w, 3000) : ms;
}

static void heal(struct sim *w, uint64_t peer, uint64_t b)
{
    (void)b;
    w->cut[peer] = false;
}

static void cut_somebody(struct sim *w, uint64_t a, uint64_t b)
{
    (void)a;
    (void)b;
    if (w->quiet)
        return;
    unsigned peer = (unsigned)draw(w, PEERS);
    if (w->weather.loss > 0) {
        w->cut[peer] = true;
        w->n.partitions++;
        later(w,
              500 + (int64_t)draw(w, 12000) + (peer == PEER_TARGET ? 10000 : 0),
              heal, peer, 0);
    }
    later(w, 3000 + (int64_t)draw(w, 12000), cut_somebody, 0, 0);
}

static void jump(struct sim *w, uint64_t a, uint64_t b)
{
    (void)a;
    (void)b;
    static const int64_t jumps[] = {-86400000, -3600000, -5000,
                                    5000,      3600000,  86400000};
    if (w->quiet || !w->weather.clock_jumps)
        return;
    int64_t ms = jumps[draw(w, 6)];
    w->wall_offset += ms;
    w->forward += ms > 0 ? ms : 0;
    w->n.clock_jumps++;
    say(w, "wall clock jumps");
    later(w, 10000 + (int64_t)draw(w, 40000), jump, 0, 0);
}

/* The machine sleeps, and with it everybody: then it is much later. */
static void fall_asleep(struct sim *w, uint64_t a, uint64_t b)
{
    (void)a;
    (void)b;
    if (w->quiet)
        return;
    int64_t ms = PERIOD_MS / 2 + (int64_t)draw(w, 2 * PERIOD_MS);
    for (size_t i = 0; i < w->due_count; i++)
        w->calendar[i].at += ms;
    for (unsigned i = 0; i < READS_MAX; i++)
        w->p.reads[i].id = 0; /* no connection outlives that */
    w->now += ms;
    w->until += ms;
    w->n.sleeps++;
    say(w, "asleep for %lld ms", (long long)ms);
    later(w, 5000 + (int64_t)draw(w, 30000), fall_asleep, 0, 0);
}

/* ------------------------------------------------------------------- trace */

void say(struct sim *w, const char *fmt, ...)
{
    char *line = w->trace[w->trace_count++ % TRACE_LINES];
    int n = snprintf(line, TRACE_BYTES, "%6llu %7lld  ",
                     (unsigned long long)w->step, (long long)w->now);
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(line + n, TRACE_BYTES - (size_t)n, fmt, ap);
    va_end(ap);
    for (const char *p = line; *p != 0; p++) /* FNV-1a */
        w->trace_hash = (w->trace_hash ^ (unsigned char)*p) * 0x100000001b3u;
    if (w->loud)
        (void)puts(line);
}

void world_print(const struct sim *w)
{
    uint64_t from =
        w->trace_count > TRACE_LINES ? w->trace_count - TRACE_LINES : 0;
    for (uint64_t i = from; i < w->trace_count; i++)
        (void)printf("  %s\n", w->trace[i % TRACE_LINES]);
}

void broken(struct sim *w, const char *invariant, const char *fmt, ...)
{
    char what[400];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    if (!w->loud)
        world_print(w);
    (void)printf("SEED=%llu STEP=%llu broken: %s: %s\n",
                 (unsigned long long)w->seed, (unsigned long long)w->step,
                 invariant, what);
    longjmp(w->broken, 1);
}

struct span text(struct arena *a, const char *fmt, ...)
{
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    must(n >= 0 && (size_t)n < sizeof line);
    return copy_span(a, span_of(line, (size_t)n));
}

struct span copy_span(struct arena *a, struct span s)
{
    struct span c = {mem_copy(&a->mem, s), s.n};
    must(c.p != NULL);
    return c;
}

/* ------------------------------------------------------------------- names */

static const char *const uris[RESOURCES] = {
    "/Agents/a0", "/Agents/a1", "/Agents/a2", "/Agents/a3",
    "/Users/u0",  "/Users/u1",  "/Groups/g0", "/Groups/g1"};

const char *uri_of(unsigned subject)
{
    return uris[subject % RESOURCES];
}

unsigned subject_of(unsigned base, struct span uri)
{
    for (unsigned i = 0; i < RESOURCES; i++)
        if (span_eq(uri, span_str(uris[i])))
            return base * RESOURCES + i;
    return SUBJECTS;
}

bool is_agent_subject(unsigned subject)
{
    return subject % RESOURCES < AGENTS;
}

/* -------------------------------------------------------------------- life */

static void make_weather(struct sim *w)
{
    struct weather *x = &w->weather;
    bool tight = x->tight;                /* asked for */
    unsigned wild = (unsigned)draw(w, 4); /* 0: a calm day */
    *x = (struct weather){
        .loss = wild == 0 ? 0 : (unsigned)draw(w, 12),
        .slow = wild == 0 ? 0 : (unsigned)draw(w, 12),
        .twice = wild == 0 ? 2 : (unsigned)draw(w, 25),
        .crash = wild == 0 ? 1 : (unsigned)draw(w, 8),
        .disk = wild == 0 ? 0 : (unsigned)draw(w, 8),
        .log = wild == 0 ? 0 : (unsigned)draw(w, 5),
        .server = wild == 0 ? 2 : (unsigned)draw(w, 30),
        .lag_ms = draw(w, 2) == 0 ? 0 : (int64_t)draw(w, SETTLE_MS - 100),
        .clock_jumps = draw(w, 3) == 0,
        .crowd = draw(w, 10) == 0,
    };
    if (x->crash > 4)
        x->crash = 1 + x->crash % 3 * 4;
    if (draw(w, 12) == 0 || tight) {
        x->tight = true;
        x->crash = x->disk = x->log = 0;
    }
}

static void configure(struct sim *w)
{
    struct engine_conf *c = &w->conf;
    static const char *const urls[BASES] = {"https://idp.example/scim",
                                            "https://eu.example/scim"};
    static const char *const feeds[FEEDS] = {"hr", "it", "eu"};
    w->globs[0] = SPAN("/Agents/*");
    w->globs[1] = SPAN("/Agents/a0");
    for (unsigned i = 0; i < BASES; i++)
        c->bases[i] = (struct engine_base){.url = span_str(urls[i]),
                                           .agent_segment = SPAN("Agents"),
                                           .user_segment = SPAN("Users"),
                                           .group_segment = SPAN("Groups"),
                                           .reads_max = 2 + i * 6};
    if (w->seed % 2 == 0) { /* a list takes more than one that waits */
        c->bases[0].reads_max = 1;
        c->bases[0].list_max = 4;
    }
    for (unsigned i = 0; i < FEEDS; i++)
        c->feeds[i] = (struct engine_feed){
            span_str(feeds[i]), SPAN("https://issuer.example"), i < 2 ? 0 : 1};
    c->base_count = BASES;
    c->feed_count = FEEDS;
    c->callers[0] =
        (struct engine_caller){SPAN("app"), -1, {w->globs, 1}, true};
    c->callers[1] =
        (struct engine_caller){SPAN("one"), 0, {w->globs + 1, 1}, false};
    c->caller_count = 2;
    c->served_runtimes[0] = SPAN("r2");
    c->served_runtime_count = 1;
    c->limits =
        (struct engine_limits){.subjects_max = w->weather.crowd ? 700 : 100,
                               .calls_max = 100,
                               .parked_max = 24,
                               .parked_per_agent = 6,
                               .jobs_max = w->weather.tight ? 8 : 1000,
                               .jtis_max = 10000,
                               .credentials_max = 1000,
                               .holds_max = 1000,
                               .lease_ms = 5000,
                               .log_stall_ms = 1000,
                               .jti_keep_ms = 30 * INT64_C(86400000)};
}

static void start(struct sim *w)
{
    make_weather(w);
    configure(w);
    w->wall_offset = draw(w, 2) == 0
                         ? INT64_C(1790000000000)
                         : AUDIT_UNTIL_MS - (int64_t)draw(w, LIVE_MS);
    w->p.timer_at = INT64_MAX;
    scim_start(w);
    transmit_start(w);
    runtime_start(w);
    people_start(w);
    restore_start(w);
    candidate_start(w);
    cut_somebody(w, 0, 0);
    later(w, 5000 + (int64_t)draw(w, 20000), jump, 0, 0);
    if (draw(w, 5) == 0)
        later(w, 10000 + (int64_t)draw(w, 50000), fall_asleep, 0, 0);
    sidecar_boot(w, 0, 0);
}

static void live(struct sim *w, int64_t until)
{
    w->until = until;
    while (w->due_count > 0 && w->calendar[0].at <= w->until) {
        struct happening h = next_happening(w);
        w->now = h.at;
        if (h.life == 0 || (h.life == w->p.life && w->p.alive))
            h.run(w, h.a, h.b);
    }
    w->now = w->until;
}

bool world_run(struct sim *w, uint64_t seed, bool loud, bool tight)
{
    w->seed = seed;
    w->random = seed * 0x2545f4914f6cdd1du + 1;
    w->loud = loud;
    w->weather.tight = tight;
    w->trace_hash = 0xcbf29ce484222325u;
    arena_init(&w->arena, mem_system(), (size_t)1 << 30);
    arena_init(&w->scratch, mem_system(), (size_t)1 << 30);
    w->snapshots = mem_array(mem_system(), SNAPSHOTS, sizeof *w->snapshots);
    w->decisions = mem_array(mem_system(), DECISIONS, sizeof *w->decisions);
    must(w->snapshots != NULL && w->decisions != NULL);
    if (setjmp(w->broken) != 0)
        return false;
    start(w);
    live(w, LIVE_MS);
    finale(w);
    return true;
}

void world_wait(struct sim *w, int64_t ms)
{
    live(w, w->now + ms);
}

void world_free(struct sim *w)
{
    engine_free(w->p.e);
    mem_release(mem_system(), w->calendar);
    mem_release(mem_system(), w->snapshots);
    mem_release(mem_system(), w->decisions);
    mem_release(mem_system(), w->disk.facts);
    arena_fini(&w->arena);
    arena_fini(&w->scratch);
    mem_release(mem_system(), w);
}
