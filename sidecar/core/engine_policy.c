// SPDX-License-Identifier: Apache-2.0
/* Which policy decides, and the newest signed files that were accepted. */
#include <string.h>

#include "sidecar/core/engine_internal.h"

/* ---------------------------------------------------------- signed serials */

static const char *const signed_keys[SIGNED_KIND_COUNT] = {"policy", "config"};

struct signed_serial engine_signed(const struct engine *e, enum signed_kind k)
{
    return e->accepted[k];
}

void engine_accept(struct engine *e, enum signed_kind k,
                   const struct signed_serial *s)
{
    if (s->serial > e->accepted[k].serial)
        e->accepted[k] = *s;
}

static void fact_signed(struct engine *e, enum signed_kind k)
{
    const struct signed_serial *s = &e->accepted[k];
    buf_clear(&e->scratch);
    put_u8(&e->scratch, 1);
    put_u64(&e->scratch, s->serial);
    buf_put(&e->scratch, span_of(s->digest, sizeof s->digest));
    put_fact(e, FACT_POLICY, span_str(signed_keys[k]), false);
}

int load_signed(struct engine *e, const struct fact *f)
{
    struct reader r = {.rest = f->value};
    struct signed_serial s;
    for (unsigned k = 0; k < SIGNED_KIND_COUNT; k++) {
        if (!span_eq(f->key, span_str(signed_keys[k])) || f->gone)
            continue;
        if (take_u8(&r) != 1)
            return RC_BROKEN;
        s.serial = take_u64(&r);
        if (r.bad || r.rest.n != sizeof s.digest)
            return RC_BROKEN;
        memcpy(s.digest, r.rest.p, sizeof s.digest);
        engine_accept(e, (enum signed_kind)k, &s);
    }
    return 0;
}

/* ----------------------------------------------------------------- policies */

static struct span digest_of(const struct policy *p)
{
    return p->digest_hex[0] == 0 ? SPAN("built-in") : span_str(p->digest_hex);
}

/* Which policy decides from now on, and which did before (NULL at a start). */
static void record_policy(struct engine *e, const char *outcome,
                          const struct policy *before)
{
    struct record r = record_of(RECORD_POLICY);
    r.outcome = span_str(outcome);
    r.serial = e->accepted[SIGNED_POLICY].serial;
    r.action = audit_mode(e) ? SPAN("audit") : SPAN("enforce");
    r.why = digest_of(e->policy);
    if (before != NULL)
        r.target = digest_of(before);
    record_row(e, &r);
}

/* Somebody asked for the change, with a reason. */
static void record_person(struct engine *e, const char *outcome)
{
    const struct in_policy *in = &e->in->policy;
    struct record r = record_of(RECORD_OPERATOR);
    if (in->person.n == 0)
        return;
    r.person = in->person;
    r.why = in->reason;
    r.action = in->rollback ? SPAN("policy_rollback") : SPAN("policy_reload");
    r.outcome = span_str(outcome);
    record_row(e, &r);
}

void policy_start(struct engine *e)
{
    record_policy(e, "active", NULL);
    for (unsigned k = 0; k < SIGNED_KIND_COUNT; k++)
        if (e->accepted[k].serial > 0)
            fact_signed(e, (enum signed_kind)k);
}

void on_policy_refused(struct engine *e)
{
    struct record r = record_of(RECORD_POLICY);
    record_person(e, "refused");
    r.outcome = SPAN("refused");
    r.why = e->in->policy.why;
    (void)record_now(e, &r, true);
    if (e->in->policy.token != 0)
        ack_when_stored(e, e->in->policy.token);
}

static void switch_policy(struct engine *e)
{
    const struct policy *before = e->policy;
    e->policy = e->in->policy.policy;
    e->gate_until_ms = INT64_MIN;
    e->policy_stamp = e->input; /* it may need attributes not read yet */
    if (before == NULL ||
        memcmp(before->digest, e->policy->digest, sizeof before->digest) != 0)
        e->policy_wall_ms = e->in->wall_ms;
    fact_policy_wall(e);
    record_policy(e, "active", before);
    history_policy(e);
    schedule_policy(e);
    struct map_link *k = NULL;
    while ((k = map_next(&e->subjects.by_key, k)) != NULL) {
        struct subject *s = container_of(k, struct subject, link);
        if (subject_rare(s)->parked_count > 0)
            unpark(e, s);
    }
    judge_all_calls(e);
    wake_at(e, e->in->now_ms); /* its deadlines may be earlier ones */
}

void on_policy(struct engine *e)
{
    const struct in_policy *in = &e->in->policy;
    const bool newer = in->accepted.serial > e->accepted[SIGNED_POLICY].serial;
    engine_accept(e, SIGNED_POLICY, &in->accepted);
    if (newer)
        fact_signed(e, SIGNED_POLICY);
    if (!in->unchanged)
        switch_policy(e);
    else if (newer)
        record_policy(e, "renewed", NULL);
    record_person(e, in->unchanged ? "unchanged" : "active");
    if (in->token != 0)
        ack_when_stored(e, in->token);
}
