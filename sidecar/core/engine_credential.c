// SPDX-License-Identifier: Apache-2.0
/*
 * Credentials that agents hold: what a later `revoke` reaches. One is forgotten
 * when its revocation is confirmed, or a day after it has expired: until then
 * a clock that is wrong here or at its issuer does no harm.
 */
#include "sidecar/core/engine_internal.h"

#define EXPIRED_KEPT_MS (INT64_C(24) * 3600 * 1000)
#define FIRST_SWEEP_MS (INT64_C(3600) * 1000) /* a clock is set by then */
#define SWEEP_MAX 256                         /* that go in one tick */
#define SWEEP_PAUSE_MS 1000

void credential_free(struct engine *e, struct credential *c)
{
    list_remove(&c->link);
    heap_remove(&e->credentials_due, &c->due);
    e->credential_count--;
    mem_wipe((void *)(uintptr_t)c->sealed.p, c->sealed.n);
    mem_release(e->mem, c);
}

int credential_new(struct engine *e, struct subject *agent,
                   const struct in_credential *in, struct span runtime_key,
                   struct credential **ret)
{
    struct subject_rare *rare = subject_rare_get(e->mem, agent);
    if (rare == NULL)
        return RC_NO_MEMORY;
    struct credential *c =
        mem_alloc(e->mem, sizeof *c + in->credential_id.n + in->issuer.n +
                              runtime_key.n + in->sealed.n);
    if (c == NULL)
        return RC_NO_MEMORY;
    LIST_EACH (k, next, &rare->credentials) {
        struct credential *old = container_of(k, struct credential, link);
        if (span_eq(old->id, in->credential_id))
            credential_free(e, old); /* registered again: replaced */
    }
    unsigned char *at = (unsigned char *)(c + 1);
    c->agent = agent;
    c->id = mem_place(&at, in->credential_id);
    c->issuer = mem_place(&at, in->issuer);
    c->runtime_key = mem_place(&at, runtime_key);
    c->sealed = mem_place(&at, in->sealed);
    c->refresh = in->refresh;
    c->expires_wall_ms = in->expires_wall_ms;
    list_push(&rare->credentials, &c->link);
    if (c->expires_wall_ms > 0)
        heap_put(&e->credentials_due, &c->due, c->expires_wall_ms);
    e->credential_count++;
    *ret = c;
    return 0;
}

/* ---------------------------------------------------------------- expiry */

/* The one that expired first, if that was `kept_ms` ago by both clocks. */
static struct credential *expired(const struct engine *e, int64_t kept_ms)
{
    struct heap_link *k = heap_first(&e->credentials_due);
    return k == NULL || k->at_ms >= cautious_wall_ms(e) - kept_ms
               ? NULL
               : container_of(k, struct credential, due);
}

static void forget(struct engine *e, struct credential *c)
{
    struct subject *s = c->agent;
    struct record r = record_of(RECORD_ACTION);
    r.agent = s->uri;
    r.base = base_url(e, s);
    r.action = SPAN("credential");
    r.target = keep(e, c->id);
    r.outcome = SPAN("expired");
    record_row(e, &r);
    fact_credential(e, c, true);
    credential_free(e, c);
    row_split(e);
    subject_tidy(e->mem, s);
}

void credential_tick(struct engine *e)
{
    const struct heap_link *k = heap_first(&e->credentials_due);
    const int64_t now = e->in->now_ms;
    struct credential *c;
    if (k == NULL)
        return;
    if (now - e->start_ms < FIRST_SWEEP_MS) {
        wake_at(e, e->start_ms + FIRST_SWEEP_MS);
        return;
    }
    for (unsigned i = 0;
         i < SWEEP_MAX && (c = expired(e, EXPIRED_KEPT_MS)) != NULL; i++)
        forget(e, c);
    k = heap_first(&e->credentials_due);
    if (k == NULL)
        return;
    int64_t left = k->at_ms - (cautious_wall_ms(e) - EXPIRED_KEPT_MS) + 1;
    wake_at(e, now + (left > SWEEP_PAUSE_MS ? left : SWEEP_PAUSE_MS));
}

/* A full table lets go of what has expired. */
static int make_room(struct engine *e)
{
    struct credential *c;
    if (e->credential_count < e->conf->limits.credentials_max)
        return 0;
    if ((c = expired(e, 0)) == NULL)
        return RC_LIMIT;
    forget(e, c);
    return 0;
}

/* ---------------------------------------------------------- registration */

static void done(struct engine *e, uint64_t token, int rc, const char *text)
{
    struct out *o = emit(e, OUT_DONE);
    o->done.token = token;
    o->done.rc = rc;
    o->done.text = span_str(text);
}

static void revoke_by(struct engine *e, const struct credential *cr,
                      const struct hold *h, const struct policy_rule *r)
{
    const struct cause c = {.type = h->event,
                            .jti = keep(e, span_str((const char *)h->cause)),
                            .may = MAY_ALL,
                            .feed_lost = true};
    const uint64_t withheld = e->stats.withheld;
    for (unsigned k = 0; k < r->step_count; k++) {
        const struct cause asked = limit_cause(e, cr->agent, &c, &r->steps[k]);
        if (r->steps[k].kind == STEP_REVOKE)
            revoke_one(e, cr, &asked, r->name, &r->steps[k]);
    }
    if (e->stats.withheld != withheld)
        limit_withheld(e, cr->agent, &c, r);
}

/* The rule in force that has suspended the agent altogether, or NULL. */
static const struct policy_rule *suspended_by(const struct engine *e,
                                              const struct hold *h)
{
    if (h->kind != HOLD_SUSPENDED || !hold_covers(h, SPAN("")))
        return NULL;
    const struct policy_rule *r =
        policy_find_rule(e->policy, span_str((const char *)h->rule));
    return r == NULL || rule_audits(e, r) ? NULL : r;
}

/* A credential of an agent that is suspended already is revoked at once by
 * what suspended it: each of those rules is asked again for its revoke step,
 * for the latest statement that it has matched. The agent's others have had
 * their jobs. */
static void revoke_if_held(struct engine *e, const struct credential *cr)
{
    uint64_t asked[POLICY_RULES_MAX / 64 + 1] = {0};
    struct list_link *head = &cr->agent->holds.head, *k = head;
    while ((k = k->prev) != head) {
        const struct hold *h = container_of(k, struct hold, link);
        const struct policy_rule *r = suspended_by(e, h);
        if (r == NULL)
            continue;
        const size_t i = (size_t)(r - e->policy->rules);
        if ((asked[i / 64] >> i % 64 & 1) == 0)
            revoke_by(e, cr, h, r);
        asked[i / 64] |= UINT64_C(1) << i % 64;
    }
}

void on_credential(struct engine *e)
{
    const struct in_credential *in = &e->in->credential;
    const struct engine_caller *who = &e->conf->callers[in->caller];
    int base = find_base(e, in->base, who);
    enum subject_kind kind;
    struct subject *s = NULL;
    struct runtime *rt = NULL;
    struct credential *c = NULL;
    if (!caller_may(e, in->caller, base, in->uri) ||
        kind_of_uri(e, (unsigned)base, in->uri, &kind) < 0) {
        done(e, in->token, RC_DENIED, reason_text(REASON_CALLER_NOT_ALLOWED));
        return;
    }
    int rc = make_room(e);
    if (rc == 0)
        rc = subject_get(&e->subjects, (unsigned)base, e->conf->bases[base].url,
                         in->uri, kind, &s);
    if (rc == 0)
        rc = runtime_get(&e->calls, who, in->caller, in->runtime, &rt);
    if (rc == 0)
        rc = credential_new(e, s, in, map_key(&rt->link), &c);
    if (c == NULL) {
        done(e, in->token, rc, reason_text(REASON_LIMIT_REACHED));
        return;
    }
    struct record r = record_of(RECORD_ACTION);
    r.agent = in->uri;
    r.base = base_url(e, s);
    r.caller = who->name;
    r.runtime = in->runtime;
    r.action = SPAN("credential");
    r.target = in->credential_id;
    r.outcome = SPAN("registered");
    record_row(e, &r);
    fact_credential(e, c, false);
    revoke_if_held(e, c);
    ack_when_stored(e, in->token);
}
