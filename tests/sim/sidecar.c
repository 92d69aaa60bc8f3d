// SPDX-License-Identifier: Apache-2.0
/*
 * The process: what sidecar/run does around the engine, with an end after any
 * effect. Effects leave one by one in the engine's order; whoever waits for one
 * hears of it only when it was reached.
 */
#include "tests/sim/sim.h"

#include <string.h>

#define RESTART_MS 200

/* ----------------------------------------------------------------- waiters */

struct waiter *wait_for(struct sim *w, enum waiting_for what, unsigned who,
                        unsigned index)
{
    uint64_t token = ++w->p.token;
    struct waiter *q = &w->p.waiters[token % WAITERS];
    must(q->token == 0 || q->what == FOR_STATEMENT); /* not that many at once */
    *q = (struct waiter){
        .token = token, .what = what, .who = who, .index = index};
    w->p.step_token = token;
    return q;
}

static struct waiter *take(struct sim *w, uint64_t token)
{
    struct waiter *q = &w->p.waiters[token % WAITERS];
    return token != 0 && q->token == token ? q : NULL;
}

static void over(struct waiter *q)
{
    if (q != NULL)
        q->token = 0;
}

/* ----------------------------------------------------------------- effects */

static void apply_ack(struct sim *w, struct waiter *q)
{
    if (q == NULL)
        broken(w, "one acknowledgement each", "unknown token");
    judge_ack(w, q);
    if (q->what == FOR_STATEMENT)
        transmit_acked(w, q);
}

static void apply_answer(struct sim *w, struct waiter *q,
                         const struct out_answer *o)
{
    if (q == NULL)
        broken(w, "one answer to a question", "unknown token");
    judge_answer(w, q, o);
    if (q->what == FOR_BEGIN)
        runtime_answer(w, q, o);
}

static void apply(struct sim *w, const struct out *o)
{
    struct waiter *q = NULL;
    switch (o->kind) {
        case OUT_JOURNAL:
            disk_append(w, o->journal.seq, o->journal.body);
            break;
        case OUT_LOG:
            if (o->log.ticket != w->p.ticket + 1)
                broken(w, "records in order", "ticket %llu",
                       (unsigned long long)o->log.ticket);
            w->p.ticket = o->log.ticket;
            log_append(w, o->log.ticket, o->log.row, o->log.tail, false);
            break;
        case OUT_ACK: apply_ack(w, q = take(w, o->ack.token)); break;
        case OUT_ANSWER:
            apply_answer(w, q = take(w, o->answer.token), &o->answer);
            break;
        case OUT_LEASE:
            q = take(w, o->lease.token);
            if (q != NULL)
                runtime_lease(w, q, o->lease.found, o->lease.stop);
            break;
        case OUT_DONE: q = take(w, o->done.token); break;
        case OUT_DIRECTIVE: runtime_directive(w, &o->directive); break;
        case OUT_SNAPSHOT_END: break;
        case OUT_READ: scim_read(w, &o->read); break;
        case OUT_JOB:
            judge_job(w, &o->job);
            target_job(w, &o->job);
            break;
    }
    over(q);
}

/* The step as a whole: what it wrote (the row is known before any effect has
 * left, and the model must know what the row stands for). */
static void look_ahead(struct sim *w, const struct out *outs, unsigned count)
{
    w->p.step_row = 0;
    for (unsigned i = 0; i < count; i++) {
        if (outs[i].kind == OUT_LOG)
            model_silence(w, outs[i].log.tail);
        if (outs[i].kind != OUT_JOURNAL)
            continue;
        w->p.step_row = outs[i].journal.seq;
        judge_row(w, outs[i].journal.seq, outs[i].journal.body);
        model_row(w, outs[i].journal.seq); /* of many, any may be the last */
    }
    if (w->p.step_rc < 0 && w->p.in->kind == IN_EVENT && w->p.step_row != 0)
        broken(w, "what is put off leaves no row", "row %llu",
               (unsigned long long)w->p.step_row);
    judge_rules(w);
    judge_patience(w);
    if (w->p.step_row != 0)
        model_row(w, w->p.step_row);
}

#define OUTS_MAX 4096

static void apply_all(struct sim *w)
{
    static struct out outs[OUTS_MAX];
    unsigned count = 0;
    while (engine_next(w->p.e, &outs[count]))
        must(++count < OUTS_MAX);
    look_ahead(w, outs, count);
    course_step(w, outs, count);
    for (unsigned i = 0; i < count; i++) {
        if (w->p.crash_after == (int)i)
            break;
        apply(w, &outs[i]);
    }
    if (w->p.crash_after >= 0) {
        sidecar_end(w, w->p.power_cut, "killed");
        return;
    }
    judge_step(w);
}

/* ------------------------------------------------------------------- steps */

static void tick(struct sim *w, uint64_t at, uint64_t b)
{
    (void)b;
    if (w->p.timer_at != (int64_t)at)
        return; /* it was set anew */
    struct in in = {.kind = IN_TICK};
    w->p.timer_at = INT64_MAX;
    (void)sidecar_step(w, &in);
}

static int64_t boot_ms(const struct sim *w)
{
    return w->now - w->p.boot_at + 100000;
}

static void arm(struct sim *w)
{
    int64_t at = engine_wake_ms(w->p.e);
    if (at == INT64_MAX || at == w->p.timer_at)
        return;
    w->p.timer_at = at;
    int64_t wait = at - boot_ms(w);
    later_here(w, wait < 1 ? 1 : wait, tick, (uint64_t)at, 0);
}

static void draw_crash(struct sim *w)
{
    w->p.crash_after = -1;
    if (w->quiet || draw(w, 1000) >= w->weather.crash)
        return;
    w->p.crash_after = (int)draw(w, 6);
    w->p.power_cut = draw(w, 3) == 0;
}

static void forget_step(struct sim *w)
{
    w->p.step_subject = SUBJECTS;
    w->p.step_qualified = w->p.step_found = w->p.step_decided = false;
    w->p.step_rc = 0;
    w->p.step_statement = -1;
    w->p.step_token = 0;
    w->p.withheld_count = 0;
    arena_clear(&w->scratch);
}

int sidecar_step(struct sim *w, struct in *in)
{
    must(w->p.alive);
    w->step++;
    w->n.steps++;
    in->now_ms = boot_ms(w);
    in->wall_ms = w->now + w->wall_offset;
    in->random = draw(w, 0);
    w->p.in = in;
    patience_step(w);
    draw_crash(w);
    int rc = w->p.step_rc = engine_step(w->p.e, in);
    apply_all(w);
    if (w->p.alive)
        arm(w);
    forget_step(w);
    return rc;
}

/* -------------------------------------------------------- ends and starts */

void sidecar_end(struct sim *w, bool power_cut, const char *why)
{
    say(w, "END %s%s", why, power_cut ? ", power cut" : "");
    w->n.crashes++;
    w->n.power_cuts += power_cut;
    w->p.alive = false;
    engine_free(w->p.e);
    w->p.e = NULL;
    memset(w->p.waiters, 0, sizeof w->p.waiters);
    memset(w->p.reads, 0, sizeof w->p.reads);
    memset(w->p.used, 0, sizeof w->p.used);
    memset(w->p.lanes, 0, sizeof w->p.lanes);
    w->p.running_count = 0;
    disk_crash(w);
    log_crash(w, power_cut);
    if (power_cut)
        w->p.boot_at = w->now; /* boot time starts anew */
    model_crash(w);
    judge_crash(w);
    later(w, RESTART_MS + (int64_t)draw(w, 2000), sidecar_boot, 0, 0);
}

struct engine *engine_from_rows(struct sim *w, bool folded)
{
    unsigned char random[32];
    struct engine *e;
    struct fail f = {0};
    for (unsigned i = 0; i < sizeof random; i++)
        random[i] = (unsigned char)(w->seed + i * 7 + 1);
    must(engine_new(mem_system(), &w->conf, random, &e, &f) == 0);
    disk_load(w, e, folded);
    return e;
}

void sidecar_boot(struct sim *w, uint64_t a, uint64_t b)
{
    struct fail f = {0};
    (void)a;
    (void)b;
    w->p.life++;
    w->p.timer_at = INT64_MAX;
    w->p.ticket = w->p.logged = 0;
    w->step++;
    w->n.restarts++;
    w->p.alive = true;
    w->p.told_bad = false;
    forget_step(w);
    log_open(w);
    w->p.e = engine_from_rows(w, true);
    struct in in = {.kind = IN_TICK,
                    .now_ms = boot_ms(w),
                    .wall_ms = w->now + w->wall_offset};
    w->p.in = &in;
    if (engine_start(w->p.e, w->disk.durable, policy_get(w->p.policy),
                     in.now_ms, in.wall_ms, &f) < 0)
        broken(w, "it starts", "%s", f.text);
    say(w, "START %u at row %u, policy %u", w->p.life, w->disk.durable,
        w->p.policy);
    model_boot(w);
    patience_boot(w);
    judge_start(w);
    draw_crash(w);
    apply_all(w);
    w->p.boot_row = w->p.step_row;
    if (!w->p.alive)
        return;
    arm(w);
    transmit_boot(w);
    runtime_boot(w);
    candidate_boot(w);
}
