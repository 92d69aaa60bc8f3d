// SPDX-License-Identifier: Apache-2.0
/*
 * Limits: how many agents one source may hit before steps that cannot be undone
 * wait for a person. No event is dropped and nothing is tightened less: holds,
 * stamps and cancellations stay as they are, and an agent for which something
 * is withheld is held.
 */
#include <string.h>

#include "sidecar/base/time_text.h"
#include "sidecar/core/engine_internal.h"

#define SWEEP_MS 1000
#define SWEEP_MAX 256 /* entries that leave in one tick */
#define WHY_BYTES 256

/* -------------------------------------------------------------- sources */

static unsigned source_of(const struct engine *e, const struct cause *c)
{
    if (c->type == EVENT_OPERATOR)
        return SOURCE_OPERATORS;
    if (c->type == EVENT_SCHEDULED || c->type == EVENT_IDLE)
        return SOURCE_SCHEDULES;
    for (unsigned i = 0; i < e->conf->feed_count; i++)
        if (span_eq(e->conf->feeds[i].name, c->feed))
            return i;
    return SOURCE_READS;
}

/* No feed has a dot in its name. */
static struct span source_name(const struct engine *e, unsigned source)
{
    static const char *const words[] = {".reads", ".schedules", ".operators",
                                        ".all"};
    return source < ENGINE_FEEDS_MAX
               ? e->conf->feeds[source].name
               : span_str(words[source - ENGINE_FEEDS_MAX]);
}

static bool find_source(const struct engine *e, struct span name, unsigned *ret)
{
    for (unsigned i = 0; i < SOURCE_COUNT; i++) {
        if ((i < e->conf->feed_count || i >= ENGINE_FEEDS_MAX) &&
            span_eq(source_name(e, i), name)) {
            *ret = i;
            return true;
        }
    }
    return false;
}

/* The same after a restart: the key is kept in the store. */
static uint64_t agent_hash(struct engine *e, const struct subject *s)
{
    struct hash_key key;
    memcpy(&key, e->hash_seed, sizeof key);
    return hash_span(&key, key_text(e, s));
}

/* -------------------------------------------------------------- windows */

static void fact_limit(struct engine *e, const struct limit_entry *en,
                       bool gone)
{
    struct buf key;
    buf_init(&key, &e->step_arena.mem, 256);
    buf_put_str(&key, limit_kind_word((enum limit_kind)en->key[0]));
    buf_put_u8(&key, 0);
    buf_put(&key, source_name(e, en->key[1]));
    buf_put_u8(&key, 0);
    buf_put_u64be(&key, limit_agent(en));
    buf_clear(&e->scratch);
    put_u8(&e->scratch, 1);
    put_i64(&e->scratch, e->in->wall_ms - (e->in->now_ms - en->at_ms));
    if (!buf_ok(&key))
        note_rc(e, RC_NO_MEMORY);
    else
        put_fact(e, FACT_LIMIT, buf_span(&key), gone);
}

static void forget(struct engine *e, struct limit_entry *en)
{
    fact_limit(e, en, true);
    limit_drop(&e->limits, en);
}

/* Agents that the window has left behind, and those beyond what it takes to
 * see that the limit is passed. Returns how many went. */
static unsigned expire(struct engine *e, enum limit_kind kind, unsigned source)
{
    const struct policy_limit *l = &e->policy->limits[kind];
    struct limit_window *w = &e->limits.at[kind][source];
    struct limit_entry *en;
    unsigned n = 0;
    while (n < SWEEP_MAX && (en = limit_first(w)) != NULL &&
           (w->count > l->max + 1 || e->in->now_ms - en->at_ms >= l->per_ms)) {
        forget(e, en);
        n++;
    }
    return n;
}

static bool is_passed(const struct engine *e, enum limit_kind kind,
                      unsigned source)
{
    const struct limit_window *w = &e->limits.at[kind][source];
    return w->count > e->policy->limits[kind].max ||
           e->in->now_ms < w->full_until_ms;
}

static unsigned window_of(const struct engine *e, enum limit_kind kind,
                          const struct cause *c)
{
    return e->policy->limits[kind].all_feeds ? SOURCE_ALL : source_of(e, c);
}

void limit_tick(struct engine *e)
{
    for (unsigned k = 0; k < LIMIT_KIND_COUNT && e->limits.by_key.count > 0;
         k++) {
        const struct policy_limit *l = &e->policy->limits[k];
        for (unsigned s = 0; s < SOURCE_COUNT; s++) {
            const struct limit_window *w = &e->limits.at[k][s];
            if (w->count == 0)
                continue;
            /* A limit that is no more has a window of no time. */
            (void)expire(e, (enum limit_kind)k, s);
            int64_t due =
                w->count == 0 ? INT64_MAX : limit_first(w)->at_ms + l->per_ms;
            wake_at(e, due > e->in->now_ms + SWEEP_MS
                           ? due
                           : e->in->now_ms + SWEEP_MS);
        }
    }
}

unsigned limits_passed(const struct engine *e)
{
    unsigned n = 0;
    for (unsigned k = 0; k < LIMIT_KIND_COUNT; k++)
        for (unsigned s = 0; e->policy->limits[k].max > 0 && s < SOURCE_COUNT;
             s++)
            n += is_passed(e, (enum limit_kind)k, s);
    return n;
}

/* --------------------------------------------------------------- people */

static struct span limit_rule(struct engine *e, enum limit_kind kind)
{
    char name[32];
    (void)snprintf(name, sizeof name, "limits.%s", limit_kind_word(kind));
    return keep(e, span_str(name));
}

/* "limits.suspend: 51 agents of hr within 5m, limit 50" */
static struct span passed_text(struct engine *e, enum limit_kind kind,
                               unsigned source)
{
    const struct policy_limit *l = &e->policy->limits[kind];
    const struct limit_window *w = &e->limits.at[kind][source];
    struct span who = source_name(e, source);
    char text[WHY_BYTES], per[TIME_TEXT_BYTES];
    duration_text(l->per_ms, per);
    (void)snprintf(text, sizeof text,
                   "limits.%s: %s%u agents of %s%.*s within %s, limit "
                   "%u",
                   limit_kind_word(kind), w->count > l->max ? "" : "more than ",
                   w->count, source == SOURCE_ALL ? "all feeds" : "",
                   source == SOURCE_ALL ? 0 : (int)who.n - (who.p[0] == '.'),
                   (const char *)who.p + (who.p[0] == '.'), per, l->max);
    return keep(e, span_str(text));
}

static struct span never_text(struct engine *e, enum limit_kind kind)
{
    char text[WHY_BYTES];
    (void)snprintf(text, sizeof text,
                   "limits.%s: never_for holds, or is not known",
                   limit_kind_word(kind));
    return keep(e, span_str(text));
}

static void call_people(struct engine *e, struct subject *agent,
                        const struct cause *c, enum limit_kind kind,
                        struct span why)
{
    const struct names *names = &e->policy->limits[kind].beyond;
    struct cause called = *c;
    called.why = why;
    called.withheld = REASON_NONE;
    for (unsigned i = 0; i < names->count; i++)
        for (unsigned a = 0; a < e->policy->action_count; a++)
            if (span_eq(e->policy->actions[a].name, names->at[i]))
                action_start(e, agent, &called, limit_rule(e, kind), (int)a,
                             NULL);
}

/* Once a window: the record, and the people. */
static void tell_passed(struct engine *e, struct subject *agent,
                        const struct cause *c, enum limit_kind kind,
                        unsigned source)
{
    struct limit_window *w = &e->limits.at[kind][source];
    if (w->called_ms != INT64_MIN &&
        e->in->now_ms - w->called_ms < e->policy->limits[kind].per_ms)
        return;
    w->called_ms = e->in->now_ms;
    w->called_input = e->input;
    struct span why = passed_text(e, kind, source);
    struct record r =
        record_caused(e, RECORD_VERDICT, agent, c, limit_rule(e, kind));
    r.outcome = SPAN("withheld");
    r.reason = span_str(reason_code(REASON_BEYOND_LIMIT));
    r.count = w->count;
    r.why = why;
    record_row(e, &r);
    call_people(e, agent, c, kind, why);
}

void limit_undo(struct engine *e)
{
    for (unsigned k = 0; k < LIMIT_KIND_COUNT; k++)
        for (unsigned s = 0; s < SOURCE_COUNT; s++)
            if (e->limits.at[k][s].called_input == e->input)
                e->limits.at[k][s].called_ms = INT64_MIN;
}

/* ------------------------------------------------------------- counting */

static void count_step(struct engine *e, struct subject *agent,
                       const struct cause *c, enum limit_kind kind)
{
    const struct policy_limit *l = &e->policy->limits[kind];
    const unsigned source = window_of(e, kind, c);
    struct limit_window *w = &e->limits.at[kind][source];
    const uint64_t hash = agent_hash(e, agent);
    if (e->rc != 0)
        return; /* it runs again as a whole; the hash may be nobody's */
    (void)expire(e, kind, source);
    if (limit_put(&e->limits, kind, source, hash, e->in->now_ms) < 0) {
        w->full_until_ms = e->in->now_ms + l->per_ms;
    } else {
        struct limit_entry *en =
            container_of(w->entries.head.prev, struct limit_entry, by_time);
        fact_limit(e, en, false);
        wake_at(e, e->in->now_ms + l->per_ms);
    }
    (void)expire(e, kind, source);
    if (is_passed(e, kind, source))
        tell_passed(e, agent, c, kind, source);
}

void limit_count(struct engine *e, struct subject *agent, const struct cause *c,
                 const struct policy_rule *r)
{
    if (rule_audits(e, r))
        return;
    for (unsigned i = 0; i < r->step_count; i++) {
        const enum limit_kind k = policy_step_limit(e->policy, &r->steps[i]);
        if (k < LIMIT_KIND_COUNT && e->policy->limits[k].max > 0 &&
            (k == LIMIT_HTTP || is_agent(e, agent)) &&
            (policy_step_needs(&r->steps[i]) & ~c->may) == 0)
            count_step(e, agent, c, k);
    }
    row_split(e);
}

/* ---------------------------------------------------------- withholding */

/* What the last read under this policy found; NULL: nothing is known. */
static const struct doc *known_attributes(const struct engine *e,
                                          const struct subject *s)
{
    return s->read_input > 0 && s->read_input >= e->policy_stamp
               ? subject_attrs(e, s)
               : NULL;
}

/* Whose feed nobody knows any more: the windows that have the agent speak for
 * it. */
static bool is_among_passed(struct engine *e, const struct subject *agent,
                            enum limit_kind kind, unsigned *ret_source)
{
    const uint64_t hash = agent_hash(e, agent);
    for (unsigned s = 0; s < SOURCE_COUNT; s++) {
        *ret_source = s;
        if (is_passed(e, kind, s) &&
            limit_find(&e->limits, kind, s, hash) != NULL)
            return true;
    }
    return false;
}

/* A feed that says too much and the server it speaks for are broken together:
 * else reads would do what the limit keeps the feed from. */
static bool is_base_passed(const struct engine *e, const struct subject *agent,
                           enum limit_kind kind, unsigned *ret_source)
{
    for (unsigned i = 0; i < e->conf->feed_count; i++) {
        *ret_source = i;
        if (e->conf->feeds[i].base == agent->base && is_passed(e, kind, i))
            return true;
    }
    return false;
}

struct cause limit_cause(struct engine *e, const struct subject *agent,
                         const struct cause *c, const struct policy_step *step)
{
    const enum limit_kind asked = policy_step_limit(e->policy, step);
    struct cause ret = *c;
    if (!e->policy->limited || asked == LIMIT_KIND_COUNT ||
        !policy_limit_withholds(asked))
        return ret;
    for (unsigned i = 0; i < LIMIT_KIND_COUNT; i++) {
        const enum limit_kind k = (enum limit_kind)i;
        unsigned source = window_of(e, k, c);
        if (e->policy->limits[k].max == 0)
            continue;
        (void)expire(e, k, source);
        if (is_passed(e, k, source) ||
            (source_of(e, c) == SOURCE_READS &&
             is_base_passed(e, agent, k, &source)) ||
            (c->feed_lost && is_among_passed(e, agent, k, &source))) {
            ret.withheld = REASON_BEYOND_LIMIT;
            ret.why = passed_text(e, k, source);
            return ret;
        }
        if (policy_limit_forbids(e->policy, k, asked,
                                 known_attributes(e, agent))) {
            ret.withheld = REASON_NEVER_FOR;
            ret.why = never_text(e, k);
        }
    }
    return ret;
}

/* A hold of an earlier step that has failed is not durable yet: it counts for
 * nothing. */
static bool is_held_by(const struct subject *agent, struct span rule)
{
    LIST_EACH (k, next, &agent->holds) {
        const struct hold *h = container_of(k, struct hold, link);
        const bool counts = !h->unsaved || list_linked(&h->new_link);
        if (counts && h->kind == HOLD_SUSPENDED && h->tools.count == 0 &&
            span_eq(span_str((const char *)h->rule), rule))
            return true;
    }
    return false;
}

static bool any_forbidden(const struct engine *e, const struct subject *agent,
                          const struct policy_rule *r, enum limit_kind kind)
{
    for (unsigned i = 0; i < r->step_count; i++) {
        const enum limit_kind k = policy_step_limit(e->policy, &r->steps[i]);
        if (k < LIMIT_KIND_COUNT &&
            policy_limit_forbids(e->policy, kind, k,
                                 known_attributes(e, agent)))
            return true;
    }
    return false;
}

void limit_withheld(struct engine *e, struct subject *agent,
                    const struct cause *c, const struct policy_rule *r)
{
    struct buf cause;
    buf_init(&cause, &e->step_arena.mem, 1024);
    buf_printf(&cause, "%.*s:withheld", PRSPAN(c->jti));
    if (!buf_ok(&cause))
        note_rc(e, RC_NO_MEMORY);
    const struct hold_spec spec = {.kind = HOLD_SUSPENDED,
                                   .otherwise = HOLD_SUSPENDED,
                                   .operator_only = c->type == EVENT_DELETE,
                                   .event = c->type,
                                   .rule = r->name,
                                   .cause = buf_span(&cause),
                                   .since_wall_ms = e->in->wall_ms};
    if (is_agent(e, agent) && !is_held_by(agent, r->name))
        (void)hold_add(e, agent, &spec, c);
    for (unsigned k = 0; k < LIMIT_KIND_COUNT; k++)
        if (any_forbidden(e, agent, r, (enum limit_kind)k))
            call_people(e, agent, c, (enum limit_kind)k,
                        never_text(e, (enum limit_kind)k));
}

/* ------------------------------------------------------------- start-up */

int limit_load(struct engine *e, const struct fact *f)
{
    size_t a = span_find(f->key, 0, 0), b = span_find(f->key, 0, a + 1);
    struct reader key = {.rest = span_sub(f->key, b + 1, f->key.n)};
    struct reader value = {.rest = f->value};
    const uint64_t agent = take_u64(&key);
    unsigned source, kind = 0;
    if (b >= f->key.n || !reader_done(&key))
        return RC_BROKEN;
    while (kind < LIMIT_KIND_COUNT &&
           !span_eq(span_sub(f->key, 0, a),
                    span_str(limit_kind_word((enum limit_kind)kind))))
        kind++;
    if (kind == LIMIT_KIND_COUNT ||
        !find_source(e, span_sub(f->key, a + 1, b), &source))
        return 0; /* of a feed that is configured no more */
    if (f->gone) {
        struct limit_entry *en =
            limit_find(&e->limits, (enum limit_kind)kind, source, agent);
        if (en != NULL)
            limit_drop(&e->limits, en);
        return 0;
    }
    const unsigned version = take_u8(&value);
    const int64_t wall_ms = take_ms(&value);
    if (version != 1 || !reader_done(&value))
        return RC_BROKEN;
    int rc =
        limit_put(&e->limits, (enum limit_kind)kind, source, agent, wall_ms);
    return rc == RC_LIMIT ? 0 : rc;
}

int limit_restore(struct engine *e)
{
    struct map_link *k = NULL;
    while ((k = map_next(&e->limits.by_key, k)) != NULL) {
        struct limit_entry *en = container_of(k, struct limit_entry, link);
        int64_t age = e->in->wall_ms - en->at_ms;
        /* A clock that was put back: as if just now. */
        en->at_ms = e->in->now_ms - (age < 0 ? 0 : age);
    }
    return limit_sort(&e->limits);
}
