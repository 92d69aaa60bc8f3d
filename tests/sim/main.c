// SPDX-License-Identifier: Apache-2.0
/*
 * sim [-v] SEED            one world, twice: the same trace both times
 * sim FIRST COUNT          worlds FIRST, FIRST+1, ...; one line of numbers
 * sim -c FIRST COUNT       the same, but ends with 1 at the first that breaks
 * sim -t FIRST COUNT       the same as -c, in tight worlds only
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/sim.h"

#define CANDIDATE_EVERY 20 /* a world in so many is lived twice */

static struct sim *current; /* for on_abort */

/* must() in the program is an invariant, too. */
static void on_abort(int signum)
{
    (void)signum;
    if (current == NULL)
        _exit(1);
    (void)printf("SEED=%llu STEP=%llu broken: must()\n",
                 (unsigned long long)current->seed,
                 (unsigned long long)current->step);
    world_print(current);
    (void)fflush(stdout);
    _exit(1);
}

static bool run_life(uint64_t seed, bool loud, bool tight,
                     struct course *course, bool beside, uint64_t *ret_hash,
                     struct counters *add)
{
    struct sim *w = mem_alloc(mem_system(), sizeof *w);
    must(w != NULL);
    w->course = course;
    w->beside = beside;
    current = w;
    bool ok = world_run(w, seed, loud, tight);
    *ret_hash = w->trace_hash;
    for (size_t i = 0; i < sizeof *add / sizeof(uint64_t); i++)
        ((uint64_t *)(void *)add)[i] += ((uint64_t *)(void *)&w->n)[i];
    world_free(w);
    return ok;
}

static bool run(uint64_t seed, bool loud, bool tight, uint64_t *ret_hash,
                struct counters *add)
{
    static struct course course;
    if (tight || seed % CANDIDATE_EVERY != 0)
        return run_life(seed, loud, tight, NULL, false, ret_hash, add);
    return run_life(seed, false, false, &course, false, ret_hash, add) &&
           run_life(seed, loud, false, &course, true, ret_hash, add);
}

static void print_counters(const struct counters *n)
{
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
#define ROW(x) {#x, n->x}
        ROW(steps),        ROW(crashes),
        ROW(power_cuts),   ROW(restarts),
        ROW(blocked),      ROW(poisoned),
        ROW(partitions),   ROW(clock_jumps),
        ROW(commits),      ROW(failed_commits),
        ROW(stalls),       ROW(copied_again),
        ROW(statements),   ROW(deliveries),
        ROW(duplicates),   ROW(equivocations),
        ROW(acked),        ROW(polls),
        ROW(reads),        ROW(qualified),
        ROW(listed),       ROW(unlisted),
        ROW(not_yet),      ROW(not_modified),
        ROW(failed_reads), ROW(gone),
        ROW(asked),        ROW(allowed),
        ROW(denied),       ROW(begun),
        ROW(directives),   ROW(held),
        ROW(lifted),       ROW(put_off),
        ROW(jobs),         ROW(confirmed),
        ROW(failed),       ROW(refused),
        ROW(abandoned),    ROW(operator_commands),
        ROW(policies),     ROW(compared),
        ROW(allowed_old),  ROW(sleeps),
        ROW(scheduled),    ROW(idle),
        ROW(withheld),     ROW(let_go),
        ROW(audited),      ROW(audits_over),
        ROW(waited),       ROW(targets_down),
        ROW(targets_up),   ROW(restores),
        ROW(forgotten),    ROW(probes),
        ROW(candidates),   ROW(crowded)};
#undef ROW
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        (void)printf("count %s %llu\n", rows[i].name,
                     (unsigned long long)rows[i].value);
}

static int once(uint64_t seed, bool loud)
{
    struct counters n = {0}, again = {0};
    uint64_t hash, hash_again;
    bool ok = run(seed, loud, false, &hash, &n);
    bool ok_again = run(seed, false, false, &hash_again, &again);
    print_counters(&n);
    (void)printf("trace %016llx\n", (unsigned long long)hash);
    if (hash != hash_again || ok != ok_again) {
        (void)printf("SEED=%llu is not replayed: trace %016llx\n",
                     (unsigned long long)seed, (unsigned long long)hash_again);
        return 2;
    }
    return ok ? 0 : 1;
}

static int many(uint64_t first, uint64_t count, bool stop, bool tight)
{
    struct counters n = {0};
    uint64_t passed = 0, failed = 0, hash;
    for (uint64_t seed = first; seed - first < count; seed++) {
        bool ok = run(seed, false, tight, &hash, &n);
        passed += ok;
        failed += !ok;
        if (failed > 0 && (stop || failed > 5))
            break;
    }
    print_counters(&n);
    (void)printf("worlds %llu %llu\n", (unsigned long long)passed,
                 (unsigned long long)failed);
    return failed > 0;
}

int main(int argc, char **argv)
{
    uint64_t first = 0, count = 0;
    bool loud = argc > 1 && strcmp(argv[1], "-v") == 0;
    bool tight = argc > 1 && strcmp(argv[1], "-t") == 0;
    bool stop = tight || (argc > 1 && strcmp(argv[1], "-c") == 0);
    int at = 1 + (loud || stop);
    if (argc <= at || !span_u64(span_str(argv[at]), &first) ||
        (argc > at + 1 && !span_u64(span_str(argv[at + 1]), &count))) {
        (void)fprintf(stderr,
                      "usage: sim [-v] SEED | sim [-c | -t] FIRST COUNT\n");
        return 64;
    }
    (void)signal(SIGABRT, on_abort);
    policies_load();
    int rc = count == 0 ? once(first, loud) : many(first, count, stop, tight);
    policies_free();
    return rc;
}
