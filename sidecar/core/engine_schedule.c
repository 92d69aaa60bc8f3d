// SPDX-License-Identifier: Apache-2.0
/*
 * Rules that time brings about: `every` so long, and `idle` for so long.
 *
 * They run on a clock of their own: it moves with the monotonic clock while we
 * run and by the wall clock's difference while we do not, never back and at
 * most GAP_MAX_MS at once. So a wall clock that is wrong does not make every
 * agent due; it looks like wall time otherwise. Agents that are due together
 * get their turn in small bursts.
 *
 * An agent's agenda is durable: when it was known first, when it was allowed
 * something last (to the hour, always too early rather than too late), when
 * each rule was last run for it. The latter is in the row of what the rule did.
 */
#include <string.h>

#include "sidecar/base/time_text.h"
#include "sidecar/core/engine_internal.h"

#define HOUR_MS (INT64_C(3600) * 1000)
#define CLOCK_DRIFT_MS 1000 /* between the clocks, before it is a jump */
#define CLOCK_SAVE_MS (24 * HOUR_MS)
#define GAP_MAX_MS (7 * 24 * HOUR_MS)
#define USE_SAVE_MS HOUR_MS
#define BURST_MAX 16 /* rules that run in one burst */
#define BURST_PAUSE_MS 1000
#define LOOK_MAX 256 /* agendas that are looked at, or written, in a tick */
#define AGAIN_MS (INT64_C(600) * 1000)
#define FACT_VERSION 1

static int64_t clock_ms(const struct engine *e)
{
    return e->schedule.base_ms + e->in->now_ms;
}

static struct hash_key durable_key(const struct engine *e)
{
    struct hash_key key;
    memcpy(&key, e->hash_seed, sizeof key);
    return key;
}

/* ---------------------------------------------------------------- facts */

static void fact_clock(struct engine *e)
{
    struct schedule *t = &e->schedule;
    struct buf value;
    buf_init(&value, &e->step_arena.mem, 4096);
    put_u8(&value, FACT_VERSION);
    put_i64(&value, clock_ms(e));
    put_i64(&value, e->in->wall_ms);
    put_u32(&value, t->rule_count);
    for (unsigned i = 0; i < t->rule_count; i++) {
        put_u64(&value, t->rules[i].id);
        put_i64(&value, t->rules[i].since_ms);
    }
    if (!buf_ok(&value))
        note_rc(e, RC_NO_MEMORY);
    else
        fact_meta(e, "schedule", buf_span(&value));
    t->clock_saved_ms = clock_ms(e);
    t->wall_saved_ms = e->in->wall_ms;
}

/* The wall clock was set while we run: else the next start would take the jump
 * for time that has passed. */
void schedule_watch_clock(struct engine *e)
{
    const struct schedule *t = &e->schedule;
    if (t->rule_count == 0 || t->wall_saved_ms == INT64_MIN)
        return;
    const int64_t ran = clock_ms(e) - t->clock_saved_ms;
    const int64_t drift = e->in->wall_ms - t->wall_saved_ms - ran;
    if (drift > CLOCK_DRIFT_MS || drift < -CLOCK_DRIFT_MS)
        fact_clock(e);
}

static void fact_agenda(struct engine *e, struct agenda *a)
{
    buf_clear(&e->scratch);
    put_u8(&e->scratch, FACT_VERSION);
    put_i64(&e->scratch, a->since_ms);
    put_i64(&e->scratch, a->used_ms);
    put_u32(&e->scratch, a->run_count);
    for (unsigned i = 0; i < a->run_count; i++) {
        put_u64(&e->scratch, a->runs[i].rule);
        put_i64(&e->scratch, a->runs[i].at_ms);
    }
    put_fact(e, FACT_AGENDA, key_text(e, a->agent), false);
    a->saved_ms = a->used_ms;
    list_remove(&a->dirty_link);
}

static void later(struct engine *e, struct agenda *a)
{
    if (list_linked(&a->dirty_link))
        return;
    list_push(&e->schedule.dirty, &a->dirty_link);
    wake_at(e, e->in->now_ms + BURST_PAUSE_MS);
}

/* -------------------------------------------------------------- agendas */

static struct agenda *agenda_new(struct engine *e, struct subject *s)
{
    struct agenda *a = mem_alloc(e->mem, sizeof *a);
    if (a == NULL)
        return NULL;
    a->agent = s;
    s->agenda = a;
    return a;
}

void agenda_free(struct engine *e, struct subject *s)
{
    struct agenda *a = s->agenda;
    if (a == NULL)
        return;
    heap_remove(&e->schedule.due, &a->due);
    list_remove(&a->dirty_link);
    mem_release(e->mem, a->runs);
    mem_release(e->mem, a);
    s->agenda = NULL;
}

static void plan(struct engine *e, struct agenda *a, int64_t due_ms)
{
    heap_put(&e->schedule.due, &a->due, due_ms);
}

/* When the rule was last run for the agent; 0, long before any other time
 * of this clock: never. */
static int64_t last_run(const struct agenda *a, uint64_t rule)
{
    for (unsigned i = 0; i < a->run_count; i++)
        if (a->runs[i].rule == rule)
            return a->runs[i].at_ms;
    return 0;
}

static int set_run(struct engine *e, struct agenda *a, uint64_t rule,
                   int64_t at_ms)
{
    unsigned i = 0;
    while (i < a->run_count && a->runs[i].rule != rule)
        i++;
    if (i == a->run_count) {
        struct agenda_run *runs = mem_resize(e->mem, a->runs, i * sizeof *runs,
                                             ((size_t)i + 1) * sizeof *runs);
        if (runs == NULL)
            return RC_NO_MEMORY;
        a->runs = runs;
        a->run_count++;
    }
    a->runs[i] = (struct agenda_run){rule, at_ms};
    return 0;
}

static int64_t later_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* A rule's time begins when it, and the agent, became known. */
static int64_t rule_due(const struct agenda *a, const struct schedule_rule *r)
{
    int64_t from =
        later_of(later_of(a->since_ms, r->since_ms), last_run(a, r->id));
    if (r->type == EVENT_IDLE)
        from = later_of(from, a->used_ms);
    return from + r->period_ms;
}

static int64_t agenda_due(const struct schedule *t, const struct agenda *a)
{
    int64_t due = INT64_MAX;
    for (unsigned i = 0; i < t->rule_count; i++) {
        const int64_t one = rule_due(a, &t->rules[i]);
        due = one < due ? one : due;
    }
    return due;
}

static void wake_for_first(struct engine *e)
{
    const struct schedule *t = &e->schedule;
    const struct heap_link *k = heap_first(&t->due);
    if (k != NULL && k->at_ms != INT64_MAX)
        wake_at(e, later_of(k->at_ms - t->base_ms, t->next_burst_ms));
}

void agenda_meet(struct engine *e, struct subject *s)
{
    if (e->schedule.rule_count == 0 || s->agenda != NULL || !s->known ||
        !is_agent(e, s))
        return;
    struct agenda *a = agenda_new(e, s);
    if (a == NULL) {
        note_rc(e, RC_NO_MEMORY);
        return;
    }
    a->since_ms = a->used_ms = clock_ms(e);
    plan(e, a, agenda_due(&e->schedule, a));
    later(e, a);
    wake_for_first(e);
}

void agenda_use(struct engine *e, struct subject *s)
{
    struct agenda *a = s->agenda;
    if (a == NULL)
        return;
    a->used_ms = clock_ms(e);
    if (a->used_ms - a->saved_ms >= USE_SAVE_MS)
        later(e, a);
}

/* --------------------------------------------------------------- policy */

static void add_rule(struct engine *e, struct schedule_rule *to,
                     const struct policy_rule *r, enum event_type type)
{
    const struct hash_key key = durable_key(e);
    const struct schedule *t = &e->schedule;
    *to = (struct schedule_rule){
        .id = hash_span(&key, r->name) + type,
        .since_ms = clock_ms(e),
        .rule = r,
        .type = type,
        .period_ms = type == EVENT_IDLE ? r->idle_ms : r->every_ms};
    for (unsigned i = 0; i < t->rule_count; i++)
        if (t->rules[i].id == to->id)
            to->since_ms = t->rules[i].since_ms;
}

/* Those that stay keep their time, those that are gone begin anew when they
 * come back. */
static void take_rules(struct engine *e)
{
    struct schedule *t = &e->schedule;
    struct schedule_rule fresh[SCHEDULE_RULES_MAX];
    unsigned n = 0;
    for (unsigned i = 0; i < e->policy->rule_count; i++) {
        const struct policy_rule *r = &e->policy->rules[i];
        if (r->every_ms > 0)
            add_rule(e, &fresh[n++], r, EVENT_SCHEDULED);
        if (r->idle_ms > 0)
            add_rule(e, &fresh[n++], r, EVENT_IDLE);
        must(n <= SCHEDULE_RULES_MAX);
    }
    const bool any = n > 0 || t->rule_count > 0;
    if (n > 0)
        memcpy(t->rules, fresh, n * sizeof *fresh);
    t->rule_count = n;
    if (any)
        fact_clock(e);
}

void schedule_policy(struct engine *e)
{
    struct schedule *t = &e->schedule;
    struct map_link *k = NULL;
    take_rules(e);
    while ((k = map_next(&e->subjects.by_key, k)) != NULL) {
        struct subject *s = container_of(k, struct subject, link);
        if (t->rule_count == 0)
            agenda_free(e, s); /* nobody keeps their time any more */
        else if (s->agenda == NULL)
            agenda_meet(e, s);
        else
            plan(e, s->agenda, agenda_due(t, s->agenda));
    }
    wake_for_first(e);
}

/* -------------------------------------------------------------- running */

/* A hold of a step that has failed is not durable yet: it counts for nothing.
 */
static bool holds(const struct subject *s, struct span rule)
{
    LIST_EACH (k, next, &s->holds) {
        const struct hold *h = container_of(k, struct hold, link);
        if (!h->unsaved && span_eq(span_str((const char *)h->rule), rule))
            return true;
    }
    return false;
}

/* Names the period: the next one makes another hold, the same one tried again
 * does not. */
static struct span period_name(struct engine *e, enum event_type type,
                               int64_t due_ms)
{
    char when[TIME_TEXT_BYTES], name[64];
    time_text(due_ms, when);
    (void)snprintf(name, sizeof name, "%s-%.16s", event_type_name(type), when);
    return keep(e, span_str(name));
}

static void run_one(struct engine *e, struct agenda *a,
                    const struct schedule_rule *r, int64_t due_ms)
{
    struct subject *s = a->agent;
    const unsigned pending = subject_rare(s)->pending_count;
    const struct cause c = {.type = r->type,
                            .jti = period_name(e, r->type, due_ms),
                            .only = r->rule,
                            .may = MAY_ALL};
    s->seen |= EVENT_BIT(r->type);
    run_rules(e, s, &c);
    fact_subject(e, s);
    if (subject_rare(s)->pending_count > pending) {
        a->waits = true; /* nobody may ever ask about it */
        want_read(e, s);
    }
    unpark(e, s);
}

/* The row that says so holds what the rule did as well: both or neither. */
static bool run_due(struct engine *e, struct agenda *a,
                    const struct schedule_rule *r)
{
    const int64_t before = last_run(a, r->id), due_ms = rule_due(a, r);
    const struct subject *s = a->agent;
    const bool idle =
        s->found == FOUND_ABSENT || s->deleted || holds(s, r->rule->name);
    int rc = set_run(e, a, r->id, clock_ms(e));
    note_rc(e, rc);
    if (rc < 0)
        return false;
    fact_agenda(e, a);
    if (!idle)
        run_one(e, a, r, due_ms);
    row_close(e);
    if (e->rc == 0)
        return !idle;
    must(set_run(e, a, r->id, before) == 0); /* it is there */
    later(e, a);
    return false;
}

/* Returns how many rules have run for the agent. */
static unsigned run_agenda(struct engine *e, struct agenda *a)
{
    const struct schedule *t = &e->schedule;
    struct subject *s = a->agent;
    unsigned ran = 0;
    a->waits = a->waits && subject_rare(s)->pending_count > 0;
    if (a->waits || !is_agent(e, s))
        want_read(e, s);
    for (unsigned i = 0; i < t->rule_count && is_agent(e, s) && e->rc == 0; i++)
        if (rule_due(a, &t->rules[i]) <= clock_ms(e))
            ran += run_due(e, a, &t->rules[i]);
    const int64_t due = agenda_due(t, a);
    plan(e, a, a->waits || due <= clock_ms(e) ? clock_ms(e) + AGAIN_MS : due);
    return ran;
}

static void run_burst(struct engine *e)
{
    struct schedule *t = &e->schedule;
    unsigned ran = 0, looks = 0;
    struct heap_link *k;
    while ((k = heap_first(&t->due)) != NULL && k->at_ms <= clock_ms(e) &&
           e->rc == 0 && ran < BURST_MAX && looks++ < LOOK_MAX)
        ran += run_agenda(e, container_of(k, struct agenda, due));
    if (ran > 0 || looks >= LOOK_MAX)
        t->next_burst_ms = e->in->now_ms + BURST_PAUSE_MS;
}

static void write_dirty(struct engine *e)
{
    struct list_link *k;
    struct list written;
    list_init(&written);
    for (unsigned n = 0;
         n < LOOK_MAX && (k = list_shift(&e->schedule.dirty)) != NULL; n++) {
        fact_agenda(e, container_of(k, struct agenda, dirty_link));
        list_push(&written, k);
    }
    row_close(e);
    while ((k = list_shift(&written)) != NULL)
        if (e->rc != 0)
            later(e, container_of(k, struct agenda, dirty_link));
    if (!list_empty(&e->schedule.dirty))
        wake_at(e, e->in->now_ms + BURST_PAUSE_MS);
}

void schedule_tick(struct engine *e)
{
    struct schedule *t = &e->schedule;
    if (t->rule_count == 0)
        return;
    if (own_trouble(e) != REASON_NONE) {
        wake_at(e, e->in->now_ms + BURST_PAUSE_MS);
        return;
    }
    write_dirty(e);
    if (clock_ms(e) - t->clock_saved_ms >= CLOCK_SAVE_MS)
        fact_clock(e);
    schedule_watch_clock(e);
    wake_at(e, t->clock_saved_ms + CLOCK_SAVE_MS - t->base_ms);
    if (e->in->now_ms >= t->next_burst_ms)
        run_burst(e);
    wake_for_first(e);
}

/* ------------------------------------------------------------- start-up */

void schedule_init(struct schedule *t)
{
    list_init(&t->dirty);
    t->wall_saved_ms = INT64_MIN;
    t->next_burst_ms = INT64_MIN;
}

int schedule_load(struct engine *e, struct span value)
{
    struct schedule *t = &e->schedule;
    struct reader r = {.rest = value};
    const unsigned version = take_u8(&r);
    t->clock_saved_ms = take_ms(&r);
    t->wall_saved_ms = take_ms(&r);
    const uint32_t n = take_u32(&r);
    if (version != FACT_VERSION || r.bad || n > SCHEDULE_RULES_MAX)
        return RC_BROKEN;
    t->rule_count = n;
    for (uint32_t i = 0; i < n; i++) {
        t->rules[i] = (struct schedule_rule){.id = take_u64(&r)};
        t->rules[i].since_ms = take_ms(&r);
    }
    return reader_done(&r) ? 0 : RC_BROKEN;
}

/* INT64_MIN was once written for "never". */
static int64_t take_run(struct reader *r)
{
    struct reader old = *r;
    if (take_i64(&old) != INT64_MIN)
        return take_ms(r);
    *r = old;
    return 0;
}

int agenda_load(struct engine *e, struct subject *s, const struct fact *f)
{
    struct reader r = {.rest = f->value};
    agenda_free(e, s);
    if (f->gone)
        return 0;
    struct agenda *a = agenda_new(e, s);
    if (a == NULL)
        return RC_NO_MEMORY;
    const unsigned version = take_u8(&r);
    a->since_ms = take_ms(&r);
    a->used_ms = a->saved_ms = take_ms(&r);
    for (uint32_t n = take_u32(&r); n > 0 && !r.bad; n--) {
        const uint64_t rule = take_u64(&r);
        const int64_t at_ms = take_run(&r);
        if (!r.bad)
            TRY(set_run(e, a, rule, at_ms));
    }
    return version == FACT_VERSION && reader_done(&r) ? 0 : RC_BROKEN;
}

void schedule_restore(struct engine *e)
{
    struct schedule *t = &e->schedule;
    int64_t now = e->in->wall_ms;
    if (t->wall_saved_ms != INT64_MIN) {
        int64_t gap = now - t->wall_saved_ms;
        gap = gap < 0 ? 0 : gap > GAP_MAX_MS ? GAP_MAX_MS : gap;
        now = t->clock_saved_ms + gap;
    }
    t->base_ms = now - e->in->now_ms;
    t->next_burst_ms = e->in->now_ms + BURST_PAUSE_MS; /* not while starting */
    schedule_policy(e);
}
