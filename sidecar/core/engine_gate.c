// SPDX-License-Identifier: Apache-2.0
/*
 * What the gate rules say, remembered twice: which of them name a tool, and
 * what they said about a tool to agents with these attributes. Both hold for
 * one version: of the policy, and of which of its gate rules audit.
 */
#include <string.h>

#include "sidecar/core/engine_internal.h"

/* ---- tools ---- */

void gate_forget_tools(struct engine *e)
{
    for (unsigned i = 0; i < GATE_TOOLS_MAX; i++) {
        mem_release(e->mem, e->gate_tools[i]);
        e->gate_tools[i] = NULL;
    }
}

static void begin_version(struct engine *e)
{
    gate_forget_tools(e);
    e->gate_version++;
    e->gate_until_ms = policy_gates_change_ms(e->policy, e->policy_wall_ms);
}

/* Without memory it is only slower. */
static void remember(struct engine *e, struct gate_known **slot, uint64_t hash,
                     const struct gate_tool *t)
{
    const size_t bytes = t->rules.count * sizeof *t->rules.at;
    struct gate_known *k = mem_alloc(e->mem, sizeof *k + bytes);
    if (k == NULL)
        return;
    mem_release(e->mem, *slot);
    *slot = k;
    k->hash = hash;
    k->tool = *t;
    k->tool.rules.at = k->at;
    if (bytes > 0)
        memcpy(k->at, t->rules.at, bytes);
}

/* Its rules may be in `room`. */
static void find_tool(struct engine *e, struct span tool, uint64_t hash,
                      uint16_t room[POLICY_GATES_MAX], struct gate_tool *ret)
{
    struct gate_known **slot = &e->gate_tools[hash % GATE_TOOLS_MAX];
    if (*slot != NULL && (*slot)->hash == hash) {
        *ret = (*slot)->tool;
        return;
    }
    policy_gate_tool(e->policy, tool, e->policy_wall_ms, room, ret);
    remember(e, slot, hash, ret);
}

/* ---- the call ---- */

/* `tool`, `tool_class` and `call.run_id` for conditions, without allocating. A
 * tool may be in several classes: any of them may be the one asked for. */
struct call_doc {
    struct doc map, tool, run, classes;
    struct doc in[POLICY_CLASSES_MAX];
};

static const struct doc *call_doc(const struct policy *p, struct call_doc *c,
                                  struct span tool, uint32_t classes,
                                  struct span run_id)
{
    c->map = (struct doc){.kind = DOC_MAP};
    c->tool = (struct doc){.kind = DOC_TEXT, .key = SPAN("tool"), .text = tool};
    c->run =
        (struct doc){.kind = DOC_TEXT, .key = SPAN("run_id"), .text = run_id};
    c->classes = (struct doc){.kind = DOC_LIST, .key = SPAN("tool_class")};
    doc_append(&c->map, &c->tool);
    doc_append(&c->map, &c->classes);
    if (run_id.n > 0)
        doc_append(&c->map, &c->run);
    for (unsigned i = 0; i < p->class_count && i < POLICY_CLASSES_MAX; i++) {
        if ((classes >> i & 1) == 0)
            continue;
        c->in[i] = (struct doc){.kind = DOC_TEXT, .text = p->classes[i].name};
        doc_append(&c->classes, &c->in[i]);
    }
    if (classes == 0) { /* not absent: `not (tool_class eq ...)` may hold */
        c->in[0] = (struct doc){.kind = DOC_TEXT, .text = SPAN("none")};
        doc_append(&c->classes, &c->in[0]);
    }
    return &c->map;
}

/* ---- agents ---- */

static struct gate_verdict ask_policy(struct engine *e, const struct subject *s,
                                      struct span tool, struct span run_id,
                                      const struct gate_tool *t)
{
    struct call_doc call;
    struct attrs_place place = attrs_open(&e->subjects.attrs);
    const struct filter_env env = {
        .resource = subject_attrs(e, s),
        .call = call_doc(e->policy, &call, tool, t->classes, run_id)};
    struct gate_verdict v =
        policy_gate_eval(e->policy, t, &env, e->policy_wall_ms);
    attrs_close(&e->subjects.attrs, place);
    return v;
}

static struct gate_verdict cached(struct engine *e, const struct subject *s,
                                  struct span tool, uint64_t hash,
                                  const struct gate_tool *t)
{
    const struct gate_key key = {.version = e->gate_version,
                                 .attrs = s->attrs == NULL ? 0 : s->attrs->id,
                                 .tool = hash};
    const struct gate_verdict *kept = gate_cache_find(&e->gate_cache, key);
    if (kept != NULL)
        return *kept;
    struct gate_verdict v = ask_policy(e, s, tool, SPAN(""), t);
    if (!attrs_lost(&e->subjects.attrs))
        gate_cache_put(&e->gate_cache, key, &v);
    return v;
}

void gate_ask(struct engine *e, struct subject *s, struct span tool,
              struct span run_id, struct gate_says *ret)
{
    uint16_t room[POLICY_GATES_MAX];
    struct gate_tool t;
    if (e->policy_wall_ms >= e->gate_until_ms)
        begin_version(e);
    uint64_t hash = hash_span(&e->subjects.by_key.seed, tool);
    find_tool(e, tool, hash, room, &t);
    ret->named = t.rules.count > 0;
    ret->max_age_ms = t.max_age_ms;
    ret->old_allow_for_ms = t.old_allow_for_ms;
    ret->verdict = t.reads_call ? ask_policy(e, s, tool, run_id, &t)
                                : cached(e, s, tool, hash, &t);
}
