// SPDX-License-Identifier: Apache-2.0
#include "policy/index.h"

#include "policy/glob_index.h"
#include "sidecar/base/map.h"

struct rule_entry {
    struct map_link link; /* by name */
    struct rule_set ending;
    unsigned last; /* 1 + the rule that was added to `ending` last */
    uint16_t rule;
};

/* A requirement, by its text. */
struct require_entry {
    struct map_link link;
    uint16_t first; /* gate rule that has it */
};

struct policy_index {
    struct rule_set on[EVENT_TYPE_COUNT][SUBJECT_KIND_COUNT];
    struct map rules; /* struct rule_entry */
    struct glob_index class_patterns, gate_patterns;
    struct rule_set of_class[POLICY_CLASSES_MAX];
    struct rule_set of_all;
    const uint16_t *same; /* by gate rule: the first with its requirement */
};

/* Keys are the policy author's: who asks cannot make them collide. */
static const struct hash_key seed = {0x706f6c69637920, 0x696e646578};

/* ---- sets are counted, given room, filled ---- */

typedef void add_fn(struct rule_set *set, unsigned i);

static void count_one(struct rule_set *set, unsigned i)
{
    (void)i;
    set->count++;
}

static int make_room(struct mem *m, struct rule_set *set)
{
    if (set->count == 0)
        return 0;
    set->at = mem_array(m, set->count, sizeof *set->at);
    set->count = 0;
    return set->at == NULL ? RC_NO_MEMORY : 0;
}

static void fill_one(struct rule_set *set, unsigned i)
{
    uint16_t *at = (uint16_t *)(uintptr_t)set->at; /* ours until it is full */
    at[set->count++] = (uint16_t)i;
}

/* ---- rules by event ---- */

static void add_on(const struct policy *p, struct policy_index *x, add_fn *add)
{
    for (unsigned i = 0; i < p->rule_count; i++) {
        const struct policy_rule *r = &p->rules[i];
        if (r->only_releases)
            continue;
        for (unsigned t = 0; t < EVENT_TYPE_COUNT; t++)
            if ((r->events & EVENT_BIT(t)) != 0)
                add(&x->on[t][r->subject], i);
    }
}

static int index_events(struct mem *m, const struct policy *p,
                        struct policy_index *x)
{
    add_on(p, x, count_one);
    for (unsigned t = 0; t < EVENT_TYPE_COUNT; t++)
        for (unsigned k = 0; k < SUBJECT_KIND_COUNT; k++)
            TRY(make_room(m, &x->on[t][k]));
    add_on(p, x, fill_one);
    return 0;
}

/* ---- rules by name and by the holds that they end ---- */

static struct rule_entry *find_entry(const struct policy_index *x,
                                     struct span name)
{
    struct map_link *k = map_find(&x->rules, name);
    return k == NULL ? NULL : container_of(k, struct rule_entry, link);
}

static void add_ended_by(struct policy_index *x, const struct policy_step *s,
                         unsigned rule, add_fn *add)
{
    for (unsigned i = 0; i < s->set_by.count; i++) {
        struct rule_entry *e = find_entry(x, s->set_by.at[i]);
        if (e == NULL || e->last == rule + 1)
            continue;
        e->last = rule + 1;
        add(&e->ending, rule);
    }
}

static void add_ending(const struct policy *p, struct policy_index *x,
                       add_fn *add)
{
    for (unsigned i = 0; i < p->rule_count; i++)
        for (unsigned k = 0; k < p->rules[i].step_count; k++)
            if (p->rules[i].steps[k].kind == STEP_RELEASE)
                add_ended_by(x, &p->rules[i].steps[k], i, add);
}

static int index_names(struct mem *m, const struct policy *p,
                       struct policy_index *x)
{
    if (p->rule_count == 0)
        return 0;
    struct rule_entry *at = mem_array(m, p->rule_count, sizeof *at);
    if (at == NULL)
        return RC_NO_MEMORY;
    for (unsigned i = 0; i < p->rule_count; i++) {
        map_set_key(&at[i].link, p->rules[i].name);
        at[i].rule = (uint16_t)i;
        TRY(map_insert(&x->rules, &at[i].link));
    }
    add_ending(p, x, count_one);
    for (unsigned i = 0; i < p->rule_count; i++) {
        TRY(make_room(m, &at[i].ending));
        at[i].last = 0;
    }
    add_ending(p, x, fill_one);
    return 0;
}

/* ---- gate rules by tool ---- */

static void add_patterns(struct glob_index *x, const struct names *patterns,
                         unsigned owner)
{
    for (unsigned i = 0; i < patterns->count; i++)
        glob_index_add(x, patterns->at[i], (uint16_t)owner);
}

static int index_classes(struct mem *m, const struct policy *p,
                         struct glob_index *x)
{
    size_t count = 0;
    for (unsigned i = 0; i < p->class_count; i++)
        count += p->classes[i].patterns.count;
    TRY(glob_index_init(m, count, x));
    for (unsigned i = 0; i < p->class_count; i++)
        add_patterns(x, &p->classes[i].patterns, i);
    glob_index_seal(x);
    return 0;
}

static int index_patterns(struct mem *m, const struct policy *p,
                          struct glob_index *x)
{
    size_t count = 0;
    for (unsigned i = 0; i < p->gate_count; i++)
        count += p->gates[i].tools.patterns.count;
    TRY(glob_index_init(m, count, x));
    for (unsigned i = 0; i < p->gate_count; i++)
        if (!p->gates[i].tools.all)
            add_patterns(x, &p->gates[i].tools.patterns, i);
    glob_index_seal(x);
    return 0;
}

static void add_classes(const struct policy *p, struct policy_index *x,
                        add_fn *add)
{
    for (unsigned i = 0; i < p->gate_count; i++) {
        const struct tool_set *tools = &p->gates[i].tools;
        if (tools->all) {
            add(&x->of_all, i);
            continue;
        }
        for (unsigned c = 0; c < p->class_count; c++)
            if ((tools->classes >> c & 1) != 0)
                add(&x->of_class[c], i);
    }
}

static int index_requirements(struct mem *m, const struct policy *p,
                              struct policy_index *x)
{
    struct map by_text;
    uint16_t *same = mem_array(m, p->gate_count, sizeof *same);
    struct require_entry *at = mem_array(m, p->gate_count, sizeof *at);
    if (same == NULL || at == NULL)
        return RC_NO_MEMORY;
    map_init(&by_text, m, seed, POLICY_GATES_MAX);
    for (unsigned i = 0; i < p->gate_count; i++) {
        struct map_link *k = map_find(&by_text, p->gates[i].require_text);
        if (k == NULL) {
            k = &at[i].link;
            at[i].first = (uint16_t)i;
            map_set_key(k, p->gates[i].require_text);
            TRY(map_insert(&by_text, k));
        }
        same[i] = container_of(k, struct require_entry, link)->first;
    }
    x->same = same;
    return 0;
}

static int index_gates(struct mem *m, const struct policy *p,
                       struct policy_index *x)
{
    add_classes(p, x, count_one);
    TRY(make_room(m, &x->of_all));
    for (unsigned c = 0; c < p->class_count; c++)
        TRY(make_room(m, &x->of_class[c]));
    add_classes(p, x, fill_one);
    TRY(index_classes(m, p, &x->class_patterns));
    TRY(index_patterns(m, p, &x->gate_patterns));
    return index_requirements(m, p, x);
}

int policy_index_build(struct mem *m, struct policy *p)
{
    struct policy_index *x = mem_alloc(m, sizeof *x);
    if (x == NULL)
        return RC_NO_MEMORY;
    map_init(&x->rules, m, seed, POLICY_RULES_MAX);
    TRY(index_events(m, p, x));
    TRY(index_names(m, p, x));
    TRY(index_gates(m, p, x));
    p->index = x;
    return 0;
}

/* ---- looking up ---- */

struct rule_set policy_rules_on(const struct policy *p, enum event_type type,
                                enum subject_kind subject)
{
    return p->index->on[type][subject];
}

struct rule_set policy_rules_ending(const struct policy *p, struct span set_by)
{
    const struct rule_entry *e = find_entry(p->index, set_by);
    return e == NULL ? (struct rule_set){NULL, 0} : e->ending;
}

const struct policy_rule *policy_find_rule(const struct policy *p,
                                           struct span name)
{
    const struct rule_entry *e = find_entry(p->index, name);
    return e == NULL ? NULL : &p->rules[e->rule];
}

#define WORDS (POLICY_GATES_MAX / 64)

static bool mark(uint64_t bits[WORDS], unsigned gate)
{
    const uint64_t bit = UINT64_C(1) << gate % 64;
    const bool fresh = (bits[gate / 64] & bit) == 0;
    bits[gate / 64] |= bit;
    return fresh;
}

static void mark_set(uint64_t bits[WORDS], const struct rule_set *set)
{
    for (unsigned i = 0; i < set->count; i++)
        (void)mark(bits, set->at[i]);
}

uint32_t policy_classes_on(const struct policy *p, struct span tool,
                           size_t *looked_at)
{
    uint64_t bits = 0;
    *looked_at += glob_index_find(&p->index->class_patterns, tool, &bits);
    return (uint32_t)bits;
}

struct rule_set policy_gates_on(const struct policy *p, struct span tool,
                                uint32_t tool_classes,
                                uint16_t room[POLICY_GATES_MAX],
                                size_t *looked_at)
{
    const struct policy_index *x = p->index;
    uint64_t bits[WORDS] = {0};
    struct rule_set found = {room, 0};
    mark_set(bits, &x->of_all);
    for (uint32_t c = tool_classes; c != 0; c &= c - 1)
        mark_set(bits, &x->of_class[__builtin_ctz(c)]);
    *looked_at += glob_index_find(&x->gate_patterns, tool, bits);
    for (unsigned i = 0; i < WORDS; i++)
        for (uint64_t w = bits[i]; w != 0; w &= w - 1)
            room[found.count++] =
                (uint16_t)(i * 64 + (unsigned)__builtin_ctzll(w));
    return found;
}

struct rule_set policy_gates_deciding(const struct policy *p,
                                      struct rule_set on, int64_t wall_ms,
                                      uint16_t room[POLICY_GATES_MAX])
{
    uint64_t seen[2][WORDS] = {{0}};
    struct rule_set left = {room, 0};
    for (unsigned i = 0; i < on.count; i++) {
        const uint16_t gate = on.at[i];
        const bool audits = policy_audits(&p->gates[gate].mode, wall_ms);
        if (mark(seen[audits], p->index->same[gate]))
            room[left.count++] = gate;
    }
    return left;
}
