// SPDX-License-Identifier: Apache-2.0
/* The candidate policy is replayed outside of the engine, which only keeps
 * what it reads of events and records where it would have differed. */
#include "sidecar/core/engine_internal.h"

static struct span digest_of(const struct policy *p)
{
    return p == NULL ? SPAN("") : span_of(p->digest_hex, 16);
}

void on_candidate(struct engine *e)
{
    struct record r = record_of(RECORD_POLICY);
    r.outcome = e->in->policy.policy != NULL ? SPAN("candidate")
                                             : SPAN("candidate_gone");
    r.why = digest_of(e->in->policy.policy);
    r.target = digest_of(e->history.also);
    record_row(e, &r);
    e->history.also = e->in->policy.policy;
    history_policy(e);
}

void on_would(struct engine *e)
{
    const struct in_would *in = &e->in->would;
    struct record r = record_of(RECORD_CANDIDATE);
    r.agent = in->uri;
    r.tool = in->tool;
    r.rule = in->rule;
    r.action = in->tool.n > 0 ? SPAN("answer") : in->what;
    r.target = digest_of(e->history.also);
    r.outcome = span_str(in->more ? "would" : "would_not");
    r.would = true;
    r.why = in->tool.n > 0 ? in->what : SPAN("");
    (void)record_now(e, &r, false);
}
