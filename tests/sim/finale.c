// SPDX-License-Identifier: Apache-2.0
/*
 * The quiet end: faults stop, everything is said, read and done. Then the
 * standing of every agent is a function of what was said and of what the server
 * shows, whatever the order was; every job has ended; the log is complete; and
 * everything that was acknowledged is known again when it comes once more.
 */
#include "tests/sim/sim.h"

#include <string.h>

static void everything_is_heard(struct sim *w)
{
    for (unsigned feed = 0; feed < FEEDS; feed++) {
        unsigned i = transmit_say(w, feed, feed < 2 ? 0 : RESOURCES,
                                  EVENT_SSF_STREAM_UPDATED, "");
        w->statements[i].enabled = true;
    }
    for (unsigned s = 0; s < 90; s++) {
        if (w->p.alive && transmit_done(w))
            return;
        world_wait(w, 1000);
    }
    broken(w, "everything is acknowledged in the end", "after 90 quiet s");
}

/* The streams' words may have come in any order: the last ones count. */
static void enable_all(struct sim *w)
{
    for (unsigned feed = 0; feed < FEEDS; feed++)
        if (w->m.disabled[feed]) {
            unsigned i = transmit_say(w, feed, feed < 2 ? 0 : RESOURCES,
                                      EVENT_SSF_STREAM_UPDATED, "");
            w->statements[i].enabled = true;
        }
    world_wait(w, 3000);
}

/* Long enough for the longest backoff after failed reads, and for a read that
 * does not count yet. */
static void ask_all(struct sim *w)
{
    for (unsigned t = 0; t < 42; t++) {
        for (unsigned i = 0; i < SUBJECTS; i++)
            if (is_agent_subject(i))
                ask(w, i, t % TOOLS);
        world_wait(w, 1000);
    }
}

static bool may_act(const struct sim *w, unsigned subject, unsigned tool)
{
    return w->last_reason[subject][tool] == REASON_ALLOWED;
}

static void standings_converge(struct sim *w)
{
    for (unsigned i = 0; i < SUBJECTS; i++) {
        const struct version *v = truth(w, i);
        const struct model_subject *s = &w->m.s[i];
        bool money_only = true, releasable = false;
        if (!is_agent_subject(i))
            continue;
        for (unsigned k = 0; k < s->hold_count; k++) {
            struct span rule = span_str(s->holds[k].rule);
            money_only = money_only && s->holds[k].money;
            releasable = releasable || (!s->holds[k].sticky &&
                                        (span_eq(rule, SPAN("stop")) ||
                                         span_eq(rule, SPAN("external"))));
        }
        bool want = v->exists && v->active && money_only;
        if (v->exists && v->active && releasable)
            broken(w, "a release is level-triggered", "%s base%u", uri_of(i),
                   i / RESOURCES);
        /* What a refused statement has tightened in memory stays there. */
        if (may_act(w, i, 2) != want && !(w->weather.tight && want))
            broken(w, "standings converge", "%s base%u: %s", uri_of(i),
                   i / RESOURCES, reason_code(w->last_reason[i][2]));
    }
}

static void operators_clear(struct sim *w)
{
    for (unsigned i = 0; i < SUBJECTS; i++)
        if (is_agent_subject(i) &&
            (w->m.s[i].hold_count > 0 || w->weather.tight))
            operator_does(w, OP_HOLD_LIFT, i, 0);
    ask_all(w);
    for (unsigned i = 0; i < SUBJECTS; i++) {
        const struct version *v = truth(w, i);
        if (!is_agent_subject(i) || !v->exists)
            continue;
        bool money = v->active && v->groups & 1;
        if (may_act(w, i, 2) != v->active || may_act(w, i, 0) != money)
            broken(w, "who is cleared may act again", "%s base%u: %s, %s",
                   uri_of(i), i / RESOURCES, reason_code(w->last_reason[i][2]),
                   reason_code(w->last_reason[i][0]));
    }
}

/* What waits for a person has no deadline. */
static void people_decide(struct sim *w)
{
    for (unsigned i = 0; i < w->job_count; i++)
        if (w->jobs[i].withheld && w->jobs[i].ended_row == 0)
            operator_does(w, draw(w, 2) == 0 ? OP_JOB_RETRY : OP_JOB_ABANDON,
                          w->jobs[i].subject, w->jobs[i].id);
}

static void jobs_end(struct sim *w)
{
    people_decide(w);
    for (unsigned s = 0; s < 60; s++) {
        unsigned open = 0;
        for (unsigned i = 0; i < w->job_count; i++)
            open += w->jobs[i].ended_row == 0;
        if (open == 0)
            return;
        world_wait(w, 1000);
    }
    for (unsigned i = 0; i < w->job_count; i++)
        if (w->jobs[i].ended_row == 0)
            say(w, "open: %s %s %s %s", w->jobs[i].jti, w->jobs[i].rule,
                w->jobs[i].kind, w->jobs[i].target);
    broken(w, "every job ends", "after 60 quiet s");
}

/* A receiver is away until it counts as down, and comes back. */
static void served_again(struct sim *w)
{
    if (w->weather.tight)
        return;
    unsigned first = w->job_count;
    w->cut[PEER_TARGET] = true;
    for (unsigned i = 0; i < SUBJECTS; i++)
        if (is_agent_subject(i))
            (void)transmit_say(w, i < RESOURCES ? 0 : 2, i,
                               EVENT_CAEP_SESSION_REVOKED, "");
    world_wait(w, 15000);
    w->cut[PEER_TARGET] = false;
    world_wait(w, 50000);
    for (unsigned i = first; i < w->job_count; i++)
        if (strcmp(w->jobs[i].kind, "chat") == 0 &&
            strcmp(w->jobs[i].outcome, "confirmed") != 0)
            broken(w, "a target that comes back is served", "%s %s",
                   w->jobs[i].jti, w->jobs[i].outcome);
}

static void all_is_known(struct sim *w)
{
    world_wait(w, 500);
    for (unsigned i = 0; i < w->statement_count; i++) {
        uint64_t acked = w->n.acked, rows = w->disk.count;
        if (w->n.restores > 0 && w->m.heard[i] == 0)
            continue; /* forgotten, and not said again */
        transmit_again(w, i);
        if (w->n.acked != acked + 1 || w->disk.count != rows)
            broken(w, "what was acknowledged is known", "%s",
                   w->statements[i].jti);
    }
}

void finale(struct sim *w)
{
    say(w, "QUIET");
    w->quiet = true;
    for (unsigned i = 0; i < PEERS; i++)
        w->cut[i] = false;
    everything_is_heard(w);
    load_policy(w, 0);
    enable_all(w);
    ask_all(w);
    standings_converge(w);
    operators_clear(w);
    jobs_end(w);
    served_again(w);
    world_wait(w, 1000);
    judge_log(w);
    all_is_known(w);
}
