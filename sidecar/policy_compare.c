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

/* Listed there, itself or the whole of which it is a part? */
static bool lists_mention(struct compare *c, const struct doc *list,
                          const struct mention *m, struct span *ret_name)
{
    struct mention wide = *m;
    struct buf name, all;
    buf_init(&name, &c->held_arena.mem, 4096);
    buf_init(&all, &c->held_arena.mem, 4096);
    mention_print(m, &name);
    wide.whole = true;
    wide.sub = SPAN("");
    mention_print(&wide, &all);
    *ret_name = buf_span(&name);
    return listed(list, buf_span(&name)) || listed(list, buf_span(&all));
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

/* The first thing that is mentioned and that the history lacks. */
static struct span gap_of(struct compare *c, const struct doc *held,
                          struct sight *s)
{
    const struct mentions *m = &c->mentioned;
    struct span name;
    s->reads = s->wide = false;
    for (unsigned i = 0; i < m->resource_count; i++) {
        const struct mention *n = &m->resource[i];
        if (always_held(n))
            continue;
        s->reads = true;
        if (!lists_mention(c, doc_get(held, SPAN("resource")), n, &name))
            return name;
        if (lists_mention(c, doc_get(held, SPAN("also")), n, &name))
            s->wide = true;
    }
    for (unsigned i = 0; i < m->event_count; i++)
        if (!event_held(held, m->event[i])) {
            struct buf text;
            buf_init(&text, &c->held_arena.mem, 4096);
            buf_printf(&text, "event.%.*s", PRSPAN(m->event[i]));
            return buf_span(&text);
        }
    return SPAN("");
}

static int look_at(struct compare *c, const struct doc *held, int64_t since_ms,
                   struct sight *s)
{
    struct span gap = gap_of(c, held, s);
    bool lacked = s->lacks;
    s->lacks = gap.n > 0;
    if (lacked && !s->lacks)
        s->since_ms = since_ms;
    if (!s->lacks || span_eq(gap, s->gap))
        return 0;
    const unsigned char *name = mem_copy(&c->sight_arena.mem, gap);
    if (name == NULL)
        return RC_NO_MEMORY;
    s->gap = span_of(name, gap.n);
    return 0;
}

/* What the rule's conditions and the policy's own on agents mention. */
static int mention_rule(struct compare *c, const struct policy *p,
                        const struct policy_rule *r)
{
    struct mem *m = &c->held_arena.mem;
    c->mentioned.resource_count = c->mentioned.event_count = 0;
    TRY(mentions_add_filter(m, &c->mentioned, p->agents_where));
    TRY(mentions_add_filter(m, &c->mentioned, r->where));
    return mentions_add_filter(m, &c->mentioned, r->agents_where);
}

static int mention_gate(struct compare *c, const struct policy *p,
                        const struct filter *require)
{
    struct mem *m = &c->held_arena.mem;
    c->mentioned.resource_count = c->mentioned.event_count = 0;
    TRY(mentions_add_filter(m, &c->mentioned, p->agents_where));
    return mentions_add_filter(m, &c->mentioned, require);
}

static int look(struct compare *c, enum course which, const struct policy *p,
                const struct doc *held, int64_t since_ms)
{
    struct sights *s = &c->sights[which];
    for (unsigned i = 0; i < p->rule_count; i++) {
        TRY(mention_rule(c, p, &p->rules[i]));
        TRY(look_at(c, held, since_ms, &s->rules[i]));
        if (c->conf.log_only && p->rules[i].changed_count > 0)
            s->rules[i].gap = SPAN("changed");
        s->rules[i].lacks |= c->conf.log_only && p->rules[i].changed_count > 0;
    }
    for (unsigned i = 0; i < p->gate_count; i++) {
        TRY(mention_gate(c, p, p->gates[i].require));
        TRY(look_at(c, held, since_ms, &s->gates[i]));
    }
    return 0;
}

/* `held` is an entry of kind policy; NULL: nothing is held. It is as the entry
 * says since some moment: policy entries are repeated. */
static int look_again(struct compare *c, const struct doc *held)
{
    const struct doc *since = doc_get(held, SPAN("since"));
    int64_t ms =
        since != NULL && since->kind == DOC_INT ? since->integer : c->last_ms;
    arena_clear(&c->held_arena);
    c->mentioned = (struct mentions){.resource = NULL};
    if (c->conf.old != NULL)
        TRY(look(c, COURSE_OLD, c->conf.old, held, ms));
    return look(c, COURSE_NEW, c->conf.now, held, ms);
}

/* Who was not read yet is unknown to the engine as well, which waits. */
static bool sees(struct compare *c, enum course which, const struct sight *s,
                 const struct doc *entry)
{
    struct replay_read read;
    if (s->lacks || !s->reads)
        return !s->lacks;
    return !replay_last_read(c->replay[which], entry, &read) ||
           (read.started_ms > s->since_ms && !(read.partial && s->wide));
}

/* Is the question one that a gate rule cannot decide for want of data? */
static bool blind_gate(struct compare *c, enum course which,
                       const struct policy *p, const struct doc *entry)
{
    const struct sight *gates = c->sights[which].gates;
    struct span tool = doc_text(entry, SPAN("tool"));
    bool found = false;
    if (p == NULL)
        return false;
    uint32_t classes = policy_tool_classes(p, tool);
    for (unsigned i = 0; i < p->gate_count; i++) {
        if (sees(c, which, &gates[i], entry) ||
            !policy_tools_match(p, &p->gates[i].tools, tool, classes))
            continue;
        difference_gap(&c->difference, gates[i].gap, true, true);
        found = true;
    }
    return found;
}

/* Statements about groups and people reach agents that are not looked at one
 * by one. */
static void blind_rules(struct compare *c, enum course which,
                        const struct policy *p, const struct doc *entry,
                        event_mask types)
{
    bool is_event = span_eq(doc_text(entry, SPAN("kind")), SPAN("event"));
    const struct sight *rules = c->sights[which].rules;
    struct span kind = doc_text(entry, SPAN("subject_kind"));
    struct span uri =
        span_eq(kind, SPAN("agent")) ? doc_text(entry, SPAN("uri")) : SPAN("");
    for (unsigned i = 0; p != NULL && i < p->rule_count; i++) {
        if ((p->rules[i].events & types) == 0 ||
            sees(c, which, &rules[i], entry))
            continue;
        difference_blind_rule(&c->difference, p->rules[i].name, uri);
        if (is_event)
            difference_gap(&c->difference, rules[i].gap, true, false);
    }
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
    if (!past.allow && is_own_trouble(past.reason))
        return;
    c->difference.questions++;
    const char *gap = gap_in_past(c, entry, &old);
    if (a[COURSE_NEW].undecided ||
        (c->conf.old != NULL && a[COURSE_OLD].undecided))
        gap = "a read that the history does not hold";
    bool blind = blind_gate(c, COURSE_NEW, c->conf.now, entry);
    if (blind_gate(c, COURSE_OLD, c->conf.old, entry))
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

/* A read may end the waiting of any rule. */
static event_mask types_of_read(const struct doc *entry)
{
    return doc_get(entry, SPAN("partial")) != NULL
               ? (event_mask)-1
               : EVENT_BIT(EVENT_REFRESHED) | EVENT_BIT(EVENT_FOUND_INACTIVE) |
                     EVENT_BIT(EVENT_FOUND_GONE);
}

static int note_kind(struct compare *c, const struct doc *entry)
{
    struct span kind = doc_text(entry, SPAN("kind"));
    if (span_eq(kind, SPAN("event"))) {
        c->events++;
        blind_rules(c, COURSE_OLD, c->conf.old, entry, types_of(entry));
        blind_rules(c, COURSE_NEW, c->conf.now, entry, types_of(entry));
    } else if (span_eq(kind, SPAN("read"))) {
        c->reads++;
        blind_rules(c, COURSE_OLD, c->conf.old, entry, types_of_read(entry));
        blind_rules(c, COURSE_NEW, c->conf.now, entry, types_of_read(entry));
    } else if (span_eq(kind, SPAN("effect"))) {
        on_past_effect(c, entry);
    } else if (span_eq(kind, SPAN("policy"))) {
        return look_again(c, entry);
    }
    return 0;
}

/* Both are given every entry, also one that the first cannot take: time passes
 * in both. */
static int replay_both(struct compare *c, const struct doc *entry,
                       struct replay_answer answer[COURSE_COUNT],
                       struct fail *f)
{
    int ret = 0;
    for (unsigned i = 0; i < COURSE_COUNT; i++) {
        if (c->replay[i] == NULL)
            continue;
        int got = replay_entry(c->replay[i], entry, &answer[i], f);
        if (ret >= 0)
            ret = got;
    }
    return ret;
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

static int start_sights(struct compare *c)
{
    const struct policy *const both[] = {c->conf.old, c->conf.now};
    for (unsigned i = 0; i < COURSE_COUNT; i++) {
        struct sights *s = &c->sights[i];
        if (both[i] == NULL)
            continue;
        s->rules = mem_array(&c->sight_arena.mem,
                             (size_t)both[i]->rule_count + 1, sizeof *s->rules);
        s->gates = mem_array(&c->sight_arena.mem,
                             (size_t)both[i]->gate_count + 1, sizeof *s->gates);
        if (s->rules == NULL || s->gates == NULL)
            return RC_NO_MEMORY;
    }
    return 0;
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
    arena_init(&c->sight_arena, mem_system(), HELD_ARENA_BYTES);
    int rc = start(c, COURSE_OLD, conf->old, on_effect_old, f);
    if (rc == 0)
        rc = start(c, COURSE_NEW, conf->now, on_effect_new, f);
    if (rc == 0)
        rc = start_sights(c);
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
    arena_fini(&c->sight_arena);
    mem_release(mem_system(), c);
}
