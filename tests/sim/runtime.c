// SPDX-License-Identifier: Apache-2.0
/*
 * Runtimes: they ask before a call, renew its lease, end it, watch for
 * directives and carry them out, lose the connection and come back with what
 * still runs. r2 is called instead (CancelToolCalls). What a runtime runs is
 * the truth that a confirmed cancellation is held against.
 */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <string.h>

const char *const tool_names[TOOLS] = {"payments.send", "kb.search", "deploy"};
static const char *const names[RUNTIMES] = {"r0", "r1", "r2"};

bool tool_is_money(unsigned tool)
{
    return tool == 0;
}

int runtime_by_name(struct span name)
{
    for (int i = 0; i < RUNTIMES; i++)
        if (span_eq(name, span_str(names[i])))
            return i;
    return -1;
}

static struct tool_call *find_call(struct sim *w, unsigned r, struct span id)
{
    for (unsigned i = 0; i < CALLS; i++) {
        struct tool_call *c = &w->runtimes[r].calls[i];
        if (c->used && span_eq(span_str(c->id), id))
            return c;
    }
    return NULL;
}

bool runtime_runs(const struct sim *w, unsigned r, struct span id)
{
    const struct runtime_actor *a = &w->runtimes[r];
    for (unsigned i = 0; i < CALLS; i++)
        if (a->calls[i].used && a->calls[i].running &&
            span_eq(span_str(a->calls[i].id), id))
            return true;
    return false;
}

void runtime_cancel(struct sim *w, unsigned r, struct names ids)
{
    for (unsigned i = 0; i < ids.count; i++) {
        struct tool_call *c = find_call(w, r, ids.at[i]);
        if (c != NULL)
            c->used = c->running = false;
    }
}

/* ------------------------------------------------------------ lease calls */

static void lease_step(struct sim *w, unsigned r, unsigned i, bool end)
{
    struct tool_call *c = &w->runtimes[r].calls[i];
    char id[24];
    struct in in = {.kind = end ? IN_END : IN_RENEW};
    (void)snprintf(id, sizeof id, "L%016llx", (unsigned long long)c->lease);
    in.lease.token = wait_for(w, FOR_LEASE, r, i)->token;
    in.lease.lease_id = span_str(id);
    in.lease.outcome = CALL_OK;
    (void)sidecar_step(w, &in);
}

static void renew_arrives(struct sim *w, uint64_t r, uint64_t i)
{
    if (w->p.alive && w->runtimes[r].calls[i].running)
        lease_step(w, (unsigned)r, (unsigned)i, false);
}

static void end_arrives(struct sim *w, uint64_t r, uint64_t i)
{
    if (w->p.alive)
        lease_step(w, (unsigned)r, (unsigned)i, true);
    w->runtimes[r].calls[i].used = false;
}

/* Every 1.5 s: renew, or the work is done. */
static void work_on(struct sim *w, uint64_t r, uint64_t i)
{
    struct tool_call *c = &w->runtimes[r].calls[i];
    if (!c->used || !c->running)
        return;
    int64_t ms = travel(w, PEER_RUNTIME + (unsigned)r);
    bool done = draw(w, 8) == 0 || w->quiet;
    c->running = !done;
    if (ms >= 0)
        later(w, ms, done ? end_arrives : renew_arrives, r, i);
    else if (done)
        c->used = false; /* its end was lost: the lease will run out */
    if (!done)
        later(w, 1500, work_on, r, i);
}

void runtime_lease(struct sim *w, const struct waiter *q, bool found, bool stop)
{
    struct tool_call *c = &w->runtimes[q->who].calls[q->index];
    if (c->used && c->running && found && stop && draw(w, 2) == 0)
        c->running = false; /* it stops, and says so when it acknowledges */
}

/* ------------------------------------------------------------------- begin */

static void begin(struct sim *w, uint64_t r, uint64_t b)
{
    (void)b;
    struct runtime_actor *a = &w->runtimes[r];
    unsigned i = 0;
    while (i < CALLS && a->calls[i].used)
        i++;
    if (!w->quiet)
        later(w, 200 + (int64_t)draw(w, 2500), begin, r, 0);
    if (w->quiet || i == CALLS || !w->p.alive ||
        travel(w, PEER_RUNTIME + (unsigned)r) < 0)
        return;
    struct tool_call *c = &a->calls[i];
    *c = (struct tool_call){
        .used = true,
        .subject = (unsigned)(draw(w, BASES) * RESOURCES + draw(w, AGENTS)),
        .tool = (unsigned)draw(w, TOOLS)};
    (void)snprintf(c->id, sizeof c->id, "c%u.%u", (unsigned)r, a->calls_made++);
    struct waiter *q = wait_for(w, FOR_BEGIN, (unsigned)r, i);
    q->subject = c->subject;
    q->tool = c->tool;
    struct in in = {.kind = IN_BEGIN};
    in.ask = (struct in_ask){.token = q->token,
                             .base = (int)(c->subject / RESOURCES),
                             .uri = span_str(uri_of(c->subject)),
                             .tool = span_str(tool_names[c->tool]),
                             .run_id = SPAN("run"),
                             .deadline_ms = INT64_MAX,
                             .call_id = span_str(c->id),
                             .runtime = span_str(names[r])};
    w->n.asked++;
    (void)sidecar_step(w, &in);
}

void runtime_answer(struct sim *w, const struct waiter *q,
                    const struct out_answer *o)
{
    struct tool_call *c = &w->runtimes[q->who].calls[q->index];
    if (!o->allow) {
        c->used = false;
        return;
    }
    c->running = c->given = true;
    c->lease = o->lease;
    w->n.begun++;
    later(w, 1500, work_on, q->who, q->index);
}

/* ------------------------------------------------------------------- watch */

static void hello(struct sim *w, uint64_t r, uint64_t b)
{
    struct in_live_call live[CALLS];
    struct runtime_actor *a = &w->runtimes[r];
    (void)b;
    if (!w->p.alive || travel(w, PEER_RUNTIME + (unsigned)r) < 0) {
        later(w, 1000, hello, r, 0);
        return;
    }
    struct in in = {.kind = IN_HELLO};
    a->watch = in.hello.watch = ++w->p.token;
    in.hello.runtime = span_str(names[r]);
    in.hello.calls = live;
    for (unsigned i = 0; i < CALLS; i++) {
        struct tool_call *c = &a->calls[i];
        if (c->used && c->given && !c->running)
            c->used = false; /* over, whatever became of its end */
        if (c->used && c->given)
            live[in.hello.call_count++] = (struct in_live_call){
                (int)(c->subject / RESOURCES), span_str(uri_of(c->subject)),
                span_str(tool_names[c->tool]), span_str(c->id), SPAN("run")};
    }
    say(w, "hello %s with %u calls", names[r], in.hello.call_count);
    (void)sidecar_step(w, &in);
}

static void watch_breaks(struct sim *w, uint64_t r, uint64_t b)
{
    (void)b;
    if (w->quiet)
        return;
    later(w, 5000 + (int64_t)draw(w, 20000), watch_breaks, r, 0);
    if (!w->p.alive || w->runtimes[r].watch == 0)
        return;
    struct in in = {.kind = IN_WATCH_GONE, .watch_gone = w->runtimes[r].watch};
    w->runtimes[r].watch = 0;
    later(w, 200 + (int64_t)draw(w, 8000), hello, r, 0);
    (void)sidecar_step(w, &in);
}

/* -------------------------------------------------------------- directives */

/* Carried out, and on its way back. */
struct order {
    uint64_t id;
    unsigned runtime, life, count;
    bool done;
    struct span ids[CALLS];
};

static void ack_arrives(struct sim *w, uint64_t order, uint64_t b)
{
    const struct order *d = (const struct order *)(uintptr_t)order;
    struct in_call_result results[CALLS];
    char id[24];
    (void)b;
    struct in in = {.kind = IN_ACK};
    (void)snprintf(id, sizeof id, "D%016llx", (unsigned long long)d->id);
    in.ack.runtime = span_str(names[d->runtime]);
    in.ack.directive_id = span_str(id);
    in.ack.calls = results;
    for (unsigned i = 0; i < d->count; i++)
        results[in.ack.call_count++] =
            (struct in_call_result){d->ids[i], CALL_CANCELLED};
    in.ack.done = d->done;
    (void)sidecar_step(w, &in);
}

static void directive_arrives(struct sim *w, uint64_t order, uint64_t b)
{
    struct order *d = (struct order *)(uintptr_t)order;
    (void)b;
    if (chance(w, 10))
        return; /* never carried out, never acknowledged */
    runtime_cancel(w, d->runtime, (struct names){d->ids, d->count});
    int64_t ms = travel(w, PEER_RUNTIME + d->runtime);
    if (ms < 0 || chance(w, 10))
        return; /* done, but nobody hears of it */
    later_here(w, ms, ack_arrives, order, 0);
}

/* Both bases have the same paths: a call that it knows says which is meant. */
static void told_to_stop(struct sim *w, unsigned r,
                         const struct out_directive *o)
{
    for (unsigned i = 0; i < o->call_ids.count; i++) {
        const struct tool_call *c = find_call(w, r, o->call_ids.at[i]);
        if (c == NULL)
            continue;
        judge_directive(w, c->subject, span_str(names[r]), o->rule, o->jti,
                        o->call_ids);
        return;
    }
}

void runtime_directive(struct sim *w, const struct out_directive *o)
{
    w->n.directives++;
    for (unsigned r = 0; r < RUNTIMES; r++) {
        if (w->runtimes[r].watch != o->watch)
            continue;
        if (o->type == DIRECTIVE_CANCEL)
            told_to_stop(w, r, o);
        int64_t ms = travel(w, PEER_RUNTIME + r);
        struct order *d = mem_alloc(&w->arena.mem, sizeof *d);
        must(d != NULL && o->call_ids.count <= 100);
        d->id = o->id;
        d->runtime = r;
        d->done = draw(w, 10) > 0;
        for (unsigned i = 0; i < o->call_ids.count && d->count < CALLS; i++)
            if (find_call(w, r, o->call_ids.at[i]) != NULL || draw(w, 2) == 0)
                d->ids[d->count++] = copy_span(&w->arena, o->call_ids.at[i]);
        if (ms >= 0)
            later(w, ms, directive_arrives, (uint64_t)(uintptr_t)d, 0);
    }
}

/* ------------------------------------------------------------- credentials */

static void credential(struct sim *w, uint64_t r, uint64_t b)
{
    (void)b;
    struct runtime_actor *a = &w->runtimes[r];
    if (w->quiet)
        return;
    later(w, 3000 + (int64_t)draw(w, 8000), credential, r, 0);
    if (!w->p.alive || w->disk.state != DISK_OK ||
        (w->weather.tight && a->credentials_made >= 2))
        return;
    unsigned subject = (unsigned)(draw(w, BASES) * RESOURCES + draw(w, AGENTS));
    struct in in = {.kind = IN_CREDENTIAL};
    in.credential.token = wait_for(w, FOR_CREDENTIAL, (unsigned)r, 0)->token;
    in.credential.base = (int)(subject / RESOURCES);
    in.credential.uri = span_str(uri_of(subject));
    in.credential.credential_id =
        text(&w->scratch, "t%u.%u", (unsigned)r, a->credentials_made++);
    in.credential.issuer = SPAN("https://as.example");
    in.credential.runtime = span_str(names[r]);
    in.credential.refresh = draw(w, 2) == 0;
    in.credential.sealed = SPAN("sealed");
    (void)sidecar_step(w, &in);
}

void runtime_boot(struct sim *w)
{
    for (unsigned r = 0; r < RUNTIMES - 1; r++) {
        w->runtimes[r].watch = 0;
        later_here(w, 100 + (int64_t)draw(w, 4000), hello, r, 0);
    }
    for (unsigned r = 0; r < RUNTIMES; r++)
        for (unsigned i = 0; i < CALLS; i++)
            if (w->runtimes[r].calls[i].used && !w->runtimes[r].calls[i].given)
                w->runtimes[r].calls[i].used = false;
}

void runtime_start(struct sim *w)
{
    for (unsigned r = 0; r < RUNTIMES; r++) {
        later(w, 300, begin, r, 0);
        later(w, 2000, credential, r, 0);
        later(w, 8000, watch_breaks, r, 0);
    }
}
