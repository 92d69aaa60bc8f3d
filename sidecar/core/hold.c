// SPDX-License-Identifier: Apache-2.0
#include "sidecar/core/hold.h"

#include <string.h>

#define HOLD_FACT_VERSION 1

void holds_init(struct holds *t, struct mem *m, size_t max)
{
    *t = (struct holds){.mem = m, .max = max};
    list_init(&t->due);
}

static bool same(const unsigned char *have, struct span want)
{
    return span_eq(span_str((const char *)have), want);
}

static struct hold *find(const struct subject *agent,
                         const struct hold_spec *spec, size_t *ret_count)
{
    *ret_count = 0;
    LIST_EACH (k, next, &agent->holds) {
        struct hold *h = container_of(k, struct hold, link);
        if (h->kind == spec->kind && same(h->rule, spec->rule) &&
            same(h->cause, spec->cause))
            return h;
        ++*ret_count;
    }
    return NULL;
}

static struct hold *find_as_strict(const struct subject *agent,
                                   const struct hold_spec *spec)
{
    LIST_EACH (k, next, &agent->holds) {
        struct hold *h = container_of(k, struct hold, link);
        if (h->kind == spec->kind && same(h->rule, spec->rule) &&
            h->tools.count == 0 && h->due_wall_ms == 0 &&
            (h->operator_only || !spec->operator_only))
            return h;
    }
    return NULL;
}

static bool copy_tools(struct mem *m, struct hold *h, struct names tools)
{
    if (tools.count == 0)
        return true;
    struct span *at = mem_array(m, tools.count, sizeof *at);
    if (at == NULL)
        return false;
    h->tools.at = at;
    for (unsigned i = 0; i < tools.count; i++) {
        at[i].p = mem_copy(m, tools.at[i]);
        if (at[i].p == NULL)
            return false;
        at[i].n = tools.at[i].n;
        h->tools.count++;
    }
    return true;
}

static bool copy_texts(struct mem *m, struct hold *h,
                       const struct hold_spec *spec)
{
    h->rule = mem_copy(m, spec->rule);
    h->cause = mem_copy(m, spec->cause);
    h->by = mem_copy(m, spec->by);
    return h->rule != NULL && h->cause != NULL && h->by != NULL &&
           copy_tools(m, h, spec->tools);
}

int hold_put(struct holds *t, struct subject *agent,
             const struct hold_spec *spec, struct hold **ret, bool *ret_new)
{
    size_t count;
    *ret = find(agent, spec, &count);
    *ret_new = false;
    if (*ret == NULL && count >= HOLDS_PER_AGENT_MAX)
        *ret = find_as_strict(agent, spec);
    if (*ret != NULL)
        return 0;
    if (t->count >= t->max || count >= HOLDS_PER_AGENT_MAX ||
        spec->tools.count > HOLD_TOOLS_MAX)
        return RC_LIMIT;
    struct hold *h = mem_alloc(t->mem, sizeof *h);
    if (h == NULL)
        return RC_NO_MEMORY;
    h->agent = agent;
    h->kind = spec->kind;
    h->otherwise = spec->otherwise;
    h->operator_only = spec->operator_only;
    h->event = spec->event;
    h->since_wall_ms = spec->since_wall_ms;
    h->due_wall_ms = spec->due_wall_ms;
    t->count++;
    list_push(&agent->holds, &h->link);
    if (!copy_texts(t->mem, h, spec)) {
        hold_free(t, h);
        return RC_NO_MEMORY;
    }
    if (h->due_wall_ms != 0) {
        list_push(&t->due, &h->due_link);
        heap_put(&t->deadlines, &h->deadline, spec->due_ms);
    }
    *ret = h;
    *ret_new = true;
    return 0;
}

void hold_take_out(struct holds *t, struct hold *h)
{
    list_remove(&h->link);
    list_remove(&h->due_link);
    heap_remove(&t->deadlines, &h->deadline);
}

void hold_put_back(struct holds *t, struct hold *h)
{
    const struct hold_spec key = {.kind = h->kind,
                                  .rule = span_str((const char *)h->rule),
                                  .cause = span_str((const char *)h->cause)};
    size_t count;
    if (find(h->agent, &key, &count) != NULL) {
        hold_free(t, h);
        return;
    }
    list_push(&h->agent->holds, &h->link);
    if (h->due_wall_ms == 0)
        return;
    list_push(&t->due, &h->due_link);
    heap_put(&t->deadlines, &h->deadline, h->deadline.at_ms);
}

void hold_free(struct holds *t, struct hold *h)
{
    hold_take_out(t, h);
    list_remove(&h->new_link);
    for (unsigned i = 0; i < h->tools.count; i++)
        mem_release(t->mem, (void *)(uintptr_t)h->tools.at[i].p);
    mem_release(t->mem, (void *)(uintptr_t)h->tools.at);
    mem_release(t->mem, h->rule);
    mem_release(t->mem, h->cause);
    mem_release(t->mem, h->by);
    mem_release(t->mem, h);
    t->count--;
}

bool hold_covers(const struct hold *h, struct span tool)
{
    for (unsigned i = 0; i < h->tools.count; i++)
        if (span_glob(h->tools.at[i], tool))
            return true;
    return h->tools.count == 0;
}

const struct hold *hold_strictest(const struct subject *agent, struct span tool)
{
    const struct hold *best = NULL;
    LIST_EACH (k, next, &agent->holds) {
        const struct hold *h = container_of(k, struct hold, link);
        if ((best == NULL || h->kind < best->kind) && hold_covers(h, tool))
            best = h;
    }
    return best;
}

bool hold_matches(const struct hold *h, struct span kind, struct span cause)
{
    struct span shown = SPAN("jti ");
    struct span bare = span_sub(cause, shown.n, cause.n);
    if (kind.n > 0 && !span_eq(kind, span_str(hold_kind_word(h->kind))))
        return false;
    return cause.n == 0 || same(h->cause, cause) || same(h->rule, cause) ||
           (span_starts(cause, shown) && same(h->cause, bare));
}

static void put_part(struct buf *out, struct span s)
{
    buf_put_u8(out, 0);
    buf_put(out, s);
}

void hold_key(const struct hold *h, struct buf *out)
{
    subject_put_key(h->agent, out);
    put_part(out, span_str(hold_kind_word(h->kind)));
    put_part(out, span_str((const char *)h->rule));
    put_part(out, span_str((const char *)h->cause));
}

void hold_encode(const struct hold *h, struct buf *out)
{
    put_u8(out, HOLD_FACT_VERSION);
    put_u8(out, h->operator_only);
    put_text(out, span_str(event_type_name(h->event)));
    put_text(out, span_str(hold_kind_word(h->otherwise)));
    put_text(out, span_str((const char *)h->by));
    put_i64(out, h->since_wall_ms);
    put_i64(out, h->due_wall_ms);
    put_u32(out, h->tools.count);
    for (unsigned i = 0; i < h->tools.count; i++)
        put_text(out, h->tools.at[i]);
}

static bool kind_from_word(struct span word, enum hold_kind *ret)
{
    for (unsigned k = 0; k < HOLD_KIND_COUNT; k++) {
        if (span_eq(word, span_str(hold_kind_word((enum hold_kind)k)))) {
            *ret = (enum hold_kind)k;
            return true;
        }
    }
    return false;
}

static struct span next_part(struct span *rest)
{
    size_t end = span_find(*rest, 0, 0);
    struct span part = span_sub(*rest, 0, end);
    *rest = span_sub(*rest, end + 1, rest->n);
    return part;
}

int hold_decode(struct span key_rest, struct span value, struct hold_spec *ret,
                struct span *tools)
{
    *ret = (struct hold_spec){.kind = HOLD_SUSPENDED};
    struct reader r = {.rest = value};
    bool known = kind_from_word(next_part(&key_rest), &ret->kind);
    ret->rule = next_part(&key_rest);
    ret->cause = key_rest;
    if (!known || take_u8(&r) != HOLD_FACT_VERSION)
        return RC_BROKEN;
    ret->operator_only = take_u8(&r) != 0;
    if (!event_type_from_name(take_text(&r), &ret->event) ||
        !kind_from_word(take_text(&r), &ret->otherwise))
        return RC_BROKEN;
    ret->by = take_text(&r);
    ret->since_wall_ms = take_ms(&r);
    ret->due_wall_ms = take_ms(&r);
    uint32_t n = take_u32(&r);
    if (r.bad || n > HOLD_TOOLS_MAX)
        return RC_BROKEN;
    for (uint32_t i = 0; i < n; i++)
        tools[i] = take_text(&r);
    ret->tools = (struct names){tools, n};
    return reader_done(&r) ? 0 : RC_BROKEN;
}
