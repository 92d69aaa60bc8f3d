// SPDX-License-Identifier: Apache-2.0
#include "sidecar/policy_compare.h"

#include <string.h>

#include "adapters/json_doc.h"

#define LINE_BYTES_MAX (256u * 1024)
#define ENTRY_ARENA_BYTES (16u * 1024 * 1024)
#define HELD_ARENA_BYTES (32u * 1024 * 1024)

/* ---- what is missing ---- */

static bool listed(const struct doc *list, struct span name)
{
    DOC_EACH (it, list)
        if (it->kind == DOC_TEXT && span_ieq(it->text, name))
            return true;
    return false;
}

/* Kept by every policy: see mentions_put_resource. */
static bool always_held(const struct mention *m)
{
    static const char *const relations[] = {"groups", "owners", "parent",
                                            "members"};
    if (m->urn.n > 0)
        return false;
    if (span_ieq(m->attr, SPAN("active")))
        return true;
    bool id = !m->whole && (m->sub.n == 0 || span_ieq(m->sub, SPAN("value")));
    for (size_t i = 0; id && i < sizeof relations / sizeof *relations; i++)
        if (span_ieq(m->attr, span_str(relations[i])))
            return true;
    return false;
}

static bool resource_held(struct compare *c, const struct doc *held,
                          const struct mention *m, struct span *ret_name)
{
    const struct doc *list = doc_get(held, SPAN("resource"));
    struct mention wide = *m;
    struct buf name, all;
    buf_init(&name, &c->held_arena.mem, 4096);
    buf_init(&all, &c->held_arena.mem, 4096);
    mention_print(m, &name);
    wide.whole = true;
    wide.sub = SPAN("");
    mention_print(&wide, &all);
    *ret_name = buf_span(&name);
    return always_held(m) || listed(list, buf_span(&name)) ||
           listed(list, buf_span(&all));
}

static bool event_held(const struct doc *held, struct span name)
{
    /* Every event has these. */
    static const char *const own[] = {"feed", "issuer", "jti",    "txn",
                                      "type", "uri",    "version"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (span_ieq(name, span_str(own[i])))
            return true;
    return listed(doc_get(held, SPAN("event")), name);
}

/* The first thing that the filter reads and the history lacks. */
static struct span gap_of(struct compare *c, const struct doc *held,
                          const struct filter *flt)
{
    struct mentions *m = &c->mentioned;
    struct span name;
    m->resource_count = m->event_count = 0;
    if (flt == NULL || mentions_add_filter(&c->held_arena.mem, m, flt) < 0)
        return SPAN("");
    for (unsigned i = 0; i < m->resource_count; i++)
        if (!resource_held(c, held, &m->resource[i], &name))
            return name;
    for (unsigned i = 0; i < m->event_count; i++)
        if (!event_held(held, m->event[i])) {
            struct buf text;
            buf_init(&text, &c->held_arena.mem, 4096);
            buf_printf(&text, "event.%.*s", PRSPAN(m->event[i]));
            return buf_span(&text);
        }
    return SPAN("");
}

static int look(struct compare *c, enum course which, const struct policy *p,
                const struct doc *held)
{
    struct blindness *b = &c->blind[which];
    b->rules = mem_array(&c->held_arena.mem, (size_t)p->rule_count + 1,
                         sizeof *b->rules);
    b->gates = mem_array(&c->held_arena.mem, (size_t)p->gate_count + 1,
                         sizeof *b->gates);
    if (b->rules == NULL || b->gates == NULL)
        return RC_NO_MEMORY;
    for (unsigned i = 0; i < p->rule_count; i++) {
        b->rules[i] = gap_of(c, held, p->rules[i].where);
        if (c->conf.log_only && p->rules[i].changed_count > 0)
            b->rules[i] = SPAN("changed");
        if (b->rules[i].n > 0)
            difference_blind_rule(&c->difference, p->rules[i].name);
    }
    for (unsigned i = 0; i < p->gate_count; i++)
        b->gates[i] = gap_of(c, held, p->gates[i].require);
    return 0;
}

/* `held` is an entry of kind policy; NULL: nothing is held. */
static int look_again(struct compare *c, const struct doc *held)
{
    arena_clear(&c->held_arena);
    c->mentioned = (struct mentions){.resource = NULL};
    if (c->conf.old != NULL)
        TRY(look(c, COURSE_OLD, c->conf.old, held));
    return look(c, COURSE_NEW, c->conf.now, held);
}

/* Is the question one that a gate rule cannot decide for want of data? */
static bool blind_gate(struct compare *c, enum course which,
                       const struct policy *p, struct span tool)
{
    const struct span *gates = c->blind[which].gates;
    bool found = false;
    if (p == NULL || gates == NULL)
        return false;
    uint32_t classes = policy_tool_classes(p, tool);
    for (unsigned i = 0; i < p->gate_count; i++) {
        if (gates[i].n == 0 ||
            !policy_tools_match(p, &p->gates[i].tools, tool, classes))
            continue;
        difference_gap(&c->difference, gates[i], true, true);
        found = true;
    }
    return found;
}

static void blind_rules(struct compare *c, enum course which,
                        const struct policy *p, event_mask types)
{
    const struct span *rules = c->blind[which].rules;
    for (unsigned i = 0; p != NULL && rules != NULL && i < p->rule_count; i++)
        if (rules[i].n > 0 && (p->rules[i].events & types) != 0)
            difference_gap(&c->difference, rules[i], true, false);
}

/* ---- entries ---- */

static void on_effect_old(void *ctx, const struct effect *e, int64_t t)
{
    struct compare *c = ctx;
    difference_effect(&c->difference, COURSE_OLD, e, t);
}

static void on_effect_new(void *ctx, const struct effect *e, int64_t t)
{
    struct compare *c = ctx;
    difference_effect(&c->difference, COURSE_NEW, e, t);
}

static struct difference_answer happened(const struct doc *entry)
{
    return (struct difference_answer){
        .allow = span_eq(doc_text(entry, SPAN("outcome")), SPAN("allow")),
        .reason = doc_text(entry, SPAN("reason")),
        .rule = doc_text(entry, SPAN("rule"))};
}

static bool is_one_of(struct span s, const enum reason *set, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (span_eq(s, span_str(reason_code(set[i]))))
            return true;
    return false;
}

/* What the sidecar itself had to say is no matter of policy. */
static bool is_own_trouble(struct span reason)
{
    static const enum reason set[] = {
        REASON_CALLER_NOT_ALLOWED, REASON_CALLER_TOO_FAST,
        REASON_TOO_MANY_WAITING,   REASON_LOG_STALLED,
        REASON_LOG_BROKEN,         REASON_STORE_BLOCKED,
        REASON_STORE_POISONED,     REASON_LIMIT_REACHED,
        REASON_BAD_REQUEST,        REASON_SHUTTING_DOWN,
        REASON_CANCELLED,          REASON_LEASE_UNKNOWN};
    return is_one_of(reason, set, sizeof set / sizeof *set);
}

static bool is_of_a_read(struct span reason)
{
    static const enum reason set[] = {REASON_REFRESH_PENDING,
                                      REASON_REFRESH_FAILED};
    return is_one_of(reason, set, sizeof set / sizeof *set);
}

static bool is_of_a_hold(struct span reason)
{
    static const enum reason set[] = {
        REASON_AGENT_SUSPENDED, REASON_AGENT_IN_REVIEW, REASON_AGENT_UNCOVERED};
    return is_one_of(reason, set, sizeof set / sizeof *set);
}

/* Why the past does not decide this question; NULL when it does. */
static const char *gap_in_past(struct compare *c, const struct doc *entry,
                               const struct difference_answer *old)
{
    if (c->conf.old != NULL)
        return NULL;
    if (is_of_a_read(old->reason))
        return "a read that came late or failed";
    if (is_of_a_hold(old->reason) &&
        !difference_held(&c->difference, doc_text(entry, SPAN("uri")),
                         old->rule))
        return "a hold from before the history";
    return NULL;
}

static struct difference_answer answer_of(const struct replay_answer *a)
{
    return (struct difference_answer){
        .allow = a->allow,
        .reason = span_str(reason_code(a->reason)),
        .rule = a->rule};
}

static void on_question(struct compare *c, const struct doc *entry,
                        const struct replay_answer a[COURSE_COUNT])
{
    const struct difference_answer past = happened(entry);
    const struct difference_answer old =
        c->conf.old == NULL ? past : answer_of(&a[COURSE_OLD]);
    const struct difference_answer now = answer_of(&a[COURSE_NEW]);
    struct span tool = doc_text(entry, SPAN("tool"));
    if (!past.allow && is_own_trouble(past.reason))
        return;
    c->difference.questions++;
    const char *gap = gap_in_past(c, entry, &old);
    if (a[COURSE_NEW].undecided ||
        (c->conf.old != NULL && a[COURSE_OLD].undecided))
        gap = "a read that the history does not hold";
    bool blind = blind_gate(c, COURSE_NEW, c->conf.now, tool);
    if (blind_gate(c, COURSE_OLD, c->conf.old, tool))
        blind = true;
    if (!blind && gap != NULL && !difference_same(&old, &now))
        difference_gap(&c->difference, span_str(gap), false, true);
    if (blind || (gap != NULL && !difference_same(&old, &now))) {
        c->difference.undecided++;
        return;
    }
    struct difference_row *row = difference_question(
        &c->difference, doc_text(entry, SPAN("uri")), &old, &now, c->last_ms);
    if (row != NULL && c->conf.question != NULL)
        c->conf.question(c->conf.ctx, entry, &now, row);
}

static void on_past_effect(struct compare *c, const struct doc *entry)
{
    struct effect e = {.uri = doc_text(entry, SPAN("uri")),
                       .rule = doc_text(entry, SPAN("rule")),
                       .jti = doc_text(entry, SPAN("jti"))};
    if (c->conf.old != NULL)
        return;
    (void)snprintf(e.words, sizeof e.words, "%.*s",
                   PRSPAN(doc_text(entry, SPAN("effect"))));
    difference_effect(&c->difference, COURSE_OLD, &e, c->last_ms);
}

static event_mask types_of(const struct doc *entry)
{
    event_mask types = 0;
    enum event_type type;
    DOC_EACH (part, doc_get(entry, SPAN("parts")))
        if (event_type_from_name(doc_text(part, SPAN("type")), &type))
            types |= EVENT_BIT(type);
    return types;
}

static int note_kind(struct compare *c, const struct doc *entry)
{
    struct span kind = doc_text(entry, SPAN("kind"));
    if (span_eq(kind, SPAN("event"))) {
        c->events++;
        blind_rules(c, COURSE_OLD, c->conf.old, types_of(entry));
        blind_rules(c, COURSE_NEW, c->conf.now, types_of(entry));
    } else if (span_eq(kind, SPAN("read"))) {
        c->reads++;
    } else if (span_eq(kind, SPAN("effect"))) {
        on_past_effect(c, entry);
    } else if (span_eq(kind, SPAN("policy"))) {
        return look_again(c, entry);
    }
    return 0;
}

static int replay_both(struct compare *c, const struct doc *entry,
                       struct replay_answer answer[COURSE_COUNT],
                       struct fail *f)
{
    int got = 0;
    for (unsigned i = 0; i < COURSE_COUNT; i++) {
        if (c->replay[i] == NULL)
            continue;
        got = replay_entry(c->replay[i], entry, &answer[i], f);
        if (got < 0)
            return got;
    }
    return got;
}

int compare_line(struct compare *c, struct span line, struct fail *f)
{
    struct replay_answer answer[COURSE_COUNT] = {{.allow = false}};
    const struct doc *entry;
    arena_clear(&c->entry);
    int rc = json_doc_parse(&c->entry.mem, line, LINE_BYTES_MAX, &entry, f);
    int got = rc < 0 ? rc : replay_both(c, entry, answer, f);
    if (got == RC_SYNTAX || got == RC_TOO_LARGE) {
        c->skipped++;
        return 0;
    }
    if (got < 0)
        return got;
    const struct doc *t = doc_get(entry, SPAN("t"));
    c->last_ms = t->integer;
    if (c->entries++ == 0)
        c->first_ms = t->integer;
    if (got == 1)
        on_question(c, entry, answer);
    return note_kind(c, entry) < 0
               ? fail(f, RC_NO_MEMORY, "no memory for the comparison")
               : 0;
}

/* ---- life ---- */

static int start(struct compare *c, enum course which, const struct policy *p,
                 void (*effect)(void *, const struct effect *, int64_t),
                 struct fail *f)
{
    const struct replay_conf rc = {
        .policy = p, .mem = mem_system(), .effect = effect, .ctx = c};
    return p == NULL ? 0 : replay_new(&rc, &c->replay[which], f);
}

int compare_new(const struct compare_conf *conf, struct compare **ret,
                struct fail *f)
{
    struct compare *c = mem_alloc(mem_system(), sizeof *c);
    if (c == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for a comparison");
    c->conf = *conf;
    difference_init(&c->difference);
    arena_init(&c->entry, mem_system(), ENTRY_ARENA_BYTES);
    arena_init(&c->held_arena, mem_system(), HELD_ARENA_BYTES);
    int rc = start(c, COURSE_OLD, conf->old, on_effect_old, f);
    if (rc == 0)
        rc = start(c, COURSE_NEW, conf->now, on_effect_new, f);
    if (rc == 0)
        rc = look_again(c, NULL); /* until an entry says what is held */
    if (rc < 0) {
        compare_free(c);
        return rc;
    }
    *ret = c;
    return 0;
}

void compare_free(struct compare *c)
{
    if (c == NULL)
        return;
    for (unsigned i = 0; i < COURSE_COUNT; i++)
        replay_free(c->replay[i]);
    difference_fini(&c->difference);
    arena_fini(&c->entry);
    arena_fini(&c->held_arena);
    mem_release(mem_system(), c);
}
