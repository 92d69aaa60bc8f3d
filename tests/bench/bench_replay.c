// SPDX-License-Identifier: Apache-2.0
/*
 * How fast a history is replayed through two policies, as `policy diff` does,
 * and what a candidate policy costs the loop: the hand-over of a journal row
 * and of a record to its thread. bench_replay [ENTRIES]
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sidecar/base/buf.h"
#include "sidecar/config/yaml_doc.h"
#include "sidecar/policy_compare.h"
#include "sidecar/run/candidate.h"
#include "tests/bench/lib/bench.h"

#define AGENTS 64
#define ENTRIES 20000
#define STEP_MS 200 /* between two entries */
#define BURST 100   /* what is handed over before the thread may catch up */
#define BURSTS 50
#define HEAD "apiVersion: bailiff/v1\nkind: Policy\n"
#define BASE ",\"base\":\"https://idp/scim\""

/* Time of this thread: others on the machine do not count. */
static uint64_t spent_ns(void)
{
    struct timespec t;
    BENCH_MUST(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- policies ---- */

static void put_policy(struct buf *out, unsigned rules, const char *group)
{
    buf_init(out, mem_system(), (size_t)16 << 20);
    buf_put_str(out, HEAD
                "rules:\n"
                "  - {name: stop, events: [deactivate], do: [{hold: "
                "suspended}]}\n");
    for (unsigned i = 1; i < rules; i++)
        buf_printf(out,
                   "  - {name: r%u, events: patch, where: 'event.feed eq "
                   "\"it%u\"', do: [refresh]}\n",
                   i, i);
    buf_put_str(out,
                "gate:\n  - {name: all, tools: [\"*\"], require: 'active "
                "eq true'}\n");
    for (unsigned i = 1; i < rules; i++)
        buf_printf(out,
                   "  - {name: g%u, tools: [\"service%u.*\"], require: "
                   "'groups.value eq \"%s\"'}\n",
                   i, i, group);
    BENCH_MUST(buf_ok(out));
}

static const struct policy *load(struct mem *m, unsigned rules,
                                 const char *group)
{
    static struct policy_notes notes;
    const struct doc *root;
    const struct policy *p;
    struct fail f = {0};
    struct buf text;
    memset(&notes, 0, sizeof notes);
    put_policy(&text, rules, group);
    if (yaml_doc_parse(m, buf_span(&text), (size_t)16 << 20, &root, &notes,
                       &f) < 0 ||
        policy_load(m, root, &p, &notes, &f) < 0)
        bench_die("policy: %s %s", f.text, notes.at[0].text);
    buf_fini(&text);
    return p;
}

/* ---- a history: of ten entries one read, one statement, eight questions ----
 */

static void put_read(struct buf *out, uint64_t t, unsigned agent)
{
    buf_printf(out,
               "{\"t\":%llu,\"kind\":\"read\"" BASE
               ",\"uri\":\"/Agents/%u\",\"subject_kind\":\"agent\",\"result\":"
               "\"qualified\",\"took\":5,\"etag\":\"e\",\"resource\":{\"active"
               "\":true,\"groups\":[{\"value\":\"g\"}]}}\n",
               (unsigned long long)t, agent);
}

static void put_event(struct buf *out, uint64_t t, unsigned agent)
{
    buf_printf(out,
               "{\"t\":%llu,\"kind\":\"event\",\"feed\":\"hr\",\"iss\":"
               "\"https://idp\",\"jti\":\"j%llu\"" BASE
               ",\"uri\":\"/Agents/%u\",\"subject_kind\":\"agent\",\"payload\":"
               "\"00aa\",\"parts\":[{\"type\":\"patch\",\"anything\":true}]}\n",
               (unsigned long long)t, (unsigned long long)t, agent);
}

static void put_question(struct buf *out, uint64_t t, unsigned agent)
{
    buf_printf(
        out,
        "{\"t\":%llu,\"kind\":\"question\"" BASE
        ",\"uri\":\"/Agents/%u\",\"tool\":\"service%u.read\",\"outcome\":"
        "\"allow\",\"reason\":\"allowed\"}\n",
        (unsigned long long)t, agent, agent % 7);
}

static void put_history(struct buf *out, unsigned entries)
{
    buf_init(out, mem_system(), (size_t)256 << 20);
    for (unsigned i = 0; i < entries; i++) {
        uint64_t t = UINT64_C(1800000000000) + (uint64_t)i * STEP_MS;
        unsigned agent = i / 10 % AGENTS;
        if (i % 10 == 0)
            put_event(out, t, agent);
        else if (i % 10 == 1)
            put_read(out, t, agent);
        else
            put_question(out, t, (i * 7) % AGENTS);
    }
    BENCH_MUST(buf_ok(out));
}

static void replay(unsigned rules, unsigned entries)
{
    struct arena a;
    struct buf history;
    struct compare *c;
    struct fail f = {0};
    arena_init(&a, mem_system(), (size_t)1 << 30);
    const struct compare_conf conf = {.old = load(&a.mem, rules, "g"),
                                      .now = load(&a.mem, rules, "h")};
    put_history(&history, entries);
    BENCH_MUST(compare_new(&conf, &c, &f) == 0);
    struct span left = buf_span(&history);
    uint64_t start = spent_ns();
    while (left.n > 0) {
        size_t end = span_find(left, '\n', 0);
        if (compare_line(c, span_sub(left, 0, end), &f) < 0)
            bench_die("replay: %s", f.text);
        left = span_sub(left, end + 1, left.n);
    }
    double spent = (double)(spent_ns() - start);
    BENCH_MUST(c->entries == entries && c->skipped == 0 &&
               c->difference.questions > 0);
    (void)printf(
        "replay, two policies of %4u rules  %9.0f entries/s, %5.1f us "
        "each\n",
        rules, entries / spent * 1e9, spent / entries / 1e3);
    compare_free(c);
    buf_fini(&history);
    arena_fini(&a);
}

/* ---- the candidate ---- */

static struct candidate *start_candidate(const char *path)
{
    struct candidate *c;
    struct fail f = {0};
    struct buf text;
    put_policy(&text, 10, "h");
    FILE *file = fopen(path, "w");
    BENCH_MUST(file != NULL && fwrite(text.p, 1, text.n, file) == text.n &&
               fclose(file) == 0);
    buf_fini(&text);
    BENCH_MUST(candidate_start(span_str(path), NULL, &c, &f) == 0);
    while (candidate_state(c) == CANDIDATE_LOADING)
        (void)usleep(1000);
    BENCH_MUST(candidate_state(c) == CANDIDATE_ACTIVE);
    return c;
}

/* What the loop spends to hand over one step: an event's row and the record of
 * it, or the record of a question. */
static double hand_over(struct candidate *c, bool event)
{
    static const char record[] =
        "\"time\":\"2027-01-15T08:00:00.000Z\",\"kind\":\"gate\",\"decision_"
        "id\":\"00000000000000ff\",\"agent\":\"/Agents/1\",\"base\":"
        "\"https://idp/scim\",\"tool\":\"service1.read\",\"caller\":\"app\","
        "\"outcome\":\"allow\",\"reason\":\"allowed\",\"epoch\":12}";
    uint64_t spent = 0;
    struct buf row;
    for (unsigned i = 0; i < BURSTS; i++) {
        buf_init(&row, mem_system(), 4096);
        put_event(&row, UINT64_C(1800000000000) + i, 1);
        uint64_t start = spent_ns();
        for (unsigned k = 0; k < BURST; k++) {
            if (event)
                candidate_push(c, false, buf_span(&row));
            candidate_push(c, true, span_of(record, sizeof record - 1));
            candidate_flush(c);
        }
        spent += spent_ns() - start;
        buf_fini(&row);
        (void)usleep(20000);
    }
    return (double)spent / BURST / BURSTS;
}

static void candidate(void)
{
    char path[64];
    struct candidate_stats stats;
    (void)snprintf(path, sizeof path, "/tmp/bench_replay.%d.yaml",
                   (int)getpid());
    struct candidate *c = start_candidate(path);
    const double event = hand_over(c, true), question = hand_over(c, false);
    candidate_stats_get(c, &stats);
    BENCH_MUST(candidate_state(c) == CANDIDATE_ACTIVE && stats.dropped == 0);
    (void)printf(
        "candidate, hand-over on the loop       %5.0f ns an event, "
        "%5.0f ns a question\n",
        event, question);
    candidate_quit(c);
    candidate_stop(c);
    (void)unlink(path);
}

int main(int argc, char **argv)
{
    const unsigned entries =
        argc > 1 ? (unsigned)bench_number(argv[1]) : ENTRIES;
    replay(10, entries);
    replay(1000, entries);
    candidate();
    return 0;
}
