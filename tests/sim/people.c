// SPDX-License-Identifier: Apache-2.0
/* Gateways that ask, operators, and whoever changes the policy. */
#include "tests/sim/sim.h"

#include <string.h>

#include "adapters/json_doc.h"

/* ---------------------------------------------------------------- gateways */

void ask(struct sim *w, unsigned subject, unsigned tool)
{
    struct waiter *q = wait_for(w, FOR_ANSWER, 0, 0);
    bool one =
        !w->quiet && draw(w, 12) == 0; /* a caller that may ask about a0 only */
    struct in in = {.kind = IN_ASK};
    q->subject = subject;
    q->tool = tool;
    q->caller = one && subject < RESOURCES;
    in.ask = (struct in_ask){.token = q->token,
                             .caller = q->caller,
                             .base = (int)(subject / RESOURCES),
                             .uri = span_str(uri_of(subject)),
                             .tool = span_str(tool_names[tool]),
                             .deadline_ms = INT64_MAX};
    if (!w->quiet && draw(w, 4) == 0)
        in.ask.deadline_ms =
            w->now - w->p.boot_at + 100000 + (int64_t)draw(w, 1500);
    w->n.asked++;
    w->p.step_subject = subject;
    (void)sidecar_step(w, &in);
}

static void gateway(struct sim *w, uint64_t a, uint64_t b)
{
    (void)b;
    if (w->quiet)
        return;
    later(w, 20 + (int64_t)draw(w, 260), gateway, a, 0);
    if (!w->p.alive)
        return;
    unsigned base = (unsigned)draw(w, BASES);
    unsigned at = (unsigned)draw(w, draw(w, 20) == 0 ? RESOURCES : AGENTS);
    ask(w, base * RESOURCES + at, (unsigned)draw(w, TOOLS));
}

/* --------------------------------------------------------------- operators */

static const struct doc *person(struct sim *w)
{
    const struct doc *d;
    const char *json = draw(w, 2) == 0
                           ? "{\"groups\":[{\"value\":\"managers\"}]}"
                           : "{\"groups\":[{\"value\":\"others\"}]}";
    must(json_doc_parse(&w->scratch.mem, span_str(json), 4096, &d, NULL) == 0);
    return d;
}

void operator_does(struct sim *w, enum operator_verb verb, unsigned subject,
                   uint64_t job)
{
    static const char *const words[] = {"add",  "lift",  "approve",
                                        "deny", "retry", "abandon"};
    struct in in = {.kind = IN_OPERATOR};
    say(w, "operator: %s %s base%u", words[verb], uri_of(subject),
        subject / RESOURCES);
    w->n.operator_commands++;
    in.operator.token = wait_for(w, FOR_OPERATOR, 0, 0)->token;
    in.operator.person = SPAN("ann");
    in.operator.reason = SPAN("because");
    in.operator.person_resource = person(w);
    in.operator.verb = verb;
    in.operator.base =(int)(subject / RESOURCES);
    in.operator.uri = span_str(uri_of(subject));
    in.operator.job_id = job;
    if (verb == OP_HOLD_ADD && draw(w, 4) == 0 && !w->quiet)
        in.operator.tools =(struct names){&w->globs[2], 1};
    w->p.step_subject = subject;
    (void)sidecar_step(w, &in);
}

static void operate(struct sim *w, uint64_t a, uint64_t b)
{
    (void)a;
    (void)b;
    if (w->quiet)
        return;
    later(w, 1500 + (int64_t)draw(w, 6000), operate, 0, 0);
    if (!w->p.alive || w->disk.state != DISK_OK)
        return;
    unsigned subject = (unsigned)(draw(w, BASES) * RESOURCES + draw(w, AGENTS));
    uint64_t job = 0;
    enum operator_verb verb = (enum operator_verb)draw(w, 6);
    for (unsigned i = 0; i < w->job_count; i++)
        if (w->jobs[i].ended_row == 0 && draw(w, 2) == 0)
            job = w->jobs[i].id;
    for (unsigned i = 0; i < w->job_count; i++)
        if (w->jobs[i].withheld && w->jobs[i].ended_row == 0 &&
            draw(w, 4) == 0) {
            job = w->jobs[i].id;
            verb = draw(w, 2) == 0 ? OP_JOB_RETRY : OP_JOB_ABANDON;
        }
    operator_does(w, verb, subject, job);
}

/* ---------------------------------------------------------------- policies */

void load_policy(struct sim *w, unsigned policy)
{
    struct in in = {.kind = IN_POLICY};
    bool another = policy != w->p.policy;
    w->p.policy = policy; /* the file: also of the next start */
    w->n.policies++;
    say(w, "policy %u", policy);
    if (!w->p.alive)
        return;
    if (another)
        patience_policy(w);
    in.policy.policy = policy_get(policy);
    w->m.policy_touched = w->step + 1;
    (void)sidecar_step(w, &in);
}

static void reload(struct sim *w, uint64_t a, uint64_t b)
{
    (void)a;
    (void)b;
    if (w->quiet)
        return;
    later(w, 6000 + (int64_t)draw(w, 25000), reload, 0, 0);
    if (draw(w, 5) == 0 && w->p.alive) {
        struct in in = {.kind = IN_POLICY_REFUSED};
        in.policy.why = SPAN("line 3");
        (void)sidecar_step(w, &in);
        return;
    }
    /* In tight worlds mostly the one whose rules need most jobs. */
    const unsigned other =
        w->weather.tight && draw(w, 4) > 0 ? 0 : (unsigned)draw(w, POLICIES);
    load_policy(w, w->course != NULL ? w->p.policy : other);
}

void people_start(struct sim *w)
{
    w->globs[2] = SPAN("payments.*");
    w->p.policy = draw(w, 4) == 0   ? (unsigned)draw(w, POLICIES)
                  : draw(w, 3) == 0 ? 4
                                    : 0;
    later(w, 100, gateway, 0, 0);
    later(w, 150, gateway, 1, 0);
    later(w, 3000, operate, 0, 0);
    later(w, 8000, reload, 0, 0);
}
