// SPDX-License-Identifier: Apache-2.0
/*
 * Views of the engine as operators see them, compared: of two engines loaded
 * from the same rows on different ways, and of the living one with what its
 * durable rows say. Lists have no order here: a view is a set of lines.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/json_doc.h"
#include "sidecar/base/json_out.h"
#include "tests/sim/sim.h"

#define VIEW_BYTES (1 << 22)
#define VIEW_LINES 4096

struct view {
    struct arena *arena;
    bool stored; /* only what does not live in memory alone */
    struct span lines[VIEW_LINES];
    unsigned count;
};

/* Members that are of this process, or follow from its clock. */
static bool of_memory(struct span key)
{
    static const char *const names[] = {
        "standing",  "stale_reason", "epoch",      "open_calls",
        "jobs",      "state",        "next_at",    "attempts",
        "confirmed", "last_error",   "target_down"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (span_eq(key, span_str(names[i])))
            return true;
    return false;
}

static void put_value(const struct view *v, struct buf *b, const struct doc *d)
{
    struct json_out j;
    json_out_init(&j, b);
    json_open_map(&j, NULL);
    if (d->kind != DOC_MAP) {
        json_doc(&j, "", d);
    } else {
        DOC_EACH (it, d) {
            char key[64];
            (void)snprintf(key, sizeof key, "%.*s", PRSPAN(it->key));
            if (!v->stored || !of_memory(it->key))
                json_doc(&j, key, it);
        }
    }
    json_close_map(&j);
}

static void add_line(struct view *v, struct span of, const struct doc *d,
                     struct span key)
{
    struct buf b;
    buf_init(&b, &v->arena->mem, VIEW_BYTES);
    buf_printf(&b, "%.*s %.*s ", PRSPAN(of), PRSPAN(key));
    put_value(v, &b, d);
    must(buf_ok(&b) && v->count < VIEW_LINES);
    v->lines[v->count++] = buf_span(&b);
}

static bool ended(const struct doc *job)
{
    struct span state = doc_text(job, SPAN("state"));
    return state.n > 0 && !span_eq(state, SPAN("pending")) &&
           !span_eq(state, SPAN("running")) &&
           !span_eq(state, SPAN("withheld"));
}

static void add_object(struct view *v, struct span of, const struct doc *map)
{
    DOC_EACH (it, map) {
        if (v->stored && of_memory(it->key))
            continue;
        if (it->kind != DOC_LIST) {
            add_line(v, of, it, it->key);
            continue;
        }
        DOC_EACH (one, it)
            if (!v->stored || !ended(one))
                add_line(v, of, one, it->key);
    }
}

static const struct doc *parsed(struct view *v, struct buf *b)
{
    const struct doc *d;
    must(buf_ok(b));
    must(json_doc_parse(&v->arena->mem, buf_span(b), VIEW_BYTES, &d, NULL) ==
         0);
    return d;
}

static int by_text(const void *x, const void *y)
{
    return span_cmp(*(const struct span *)x, *(const struct span *)y);
}

/* `skip`: bits of subjects that are left out. */
static struct view *view_of(struct arena *a, const struct engine *e,
                            bool stored, unsigned skip)
{
    struct view *v = mem_alloc(&a->mem, sizeof *v);
    const struct show_query q = {.feed = -1, .limit = SHOW_PAGE_MAX};
    struct json_out j;
    struct buf b;
    must(v != NULL);
    v->arena = a;
    buf_init(&b, &a->mem, VIEW_BYTES);
    json_out_init(&j, &b);
    json_open_map(&j, NULL);
    engine_show_jobs(e, &q, &j);
    if (!stored)
        engine_show_reviews(e, &q, &j);
    json_close_map(&j);
    v->stored = false; /* the lists themselves are wanted */
    const struct doc *lists = parsed(v, &b);
    v->stored = stored;
    DOC_EACH (list, lists)
        DOC_EACH (one, list)
            if (!stored || !ended(one))
                add_line(v, SPAN(""), one, list->key);
    for (unsigned i = 0; i < SUBJECTS; i++) {
        if (skip >> i & 1)
            continue;
        buf_init(&b, &a->mem, VIEW_BYTES);
        json_out_init(&j, &b);
        struct span name = text(a, "%u%s", i / RESOURCES, uri_of(i));
        if (engine_show_agent(e, i / RESOURCES, span_str(uri_of(i)), -1, &j))
            add_object(v, name, parsed(v, &b));
    }
    qsort(v->lines, v->count, sizeof v->lines[0], by_text);
    return v;
}

static void compare(struct sim *w, const char *invariant, const struct view *x,
                    const struct view *y)
{
    w->n.compared++;
    for (unsigned i = 0; i < x->count || i < y->count; i++) {
        struct span one = i < x->count ? x->lines[i] : SPAN("(nothing)");
        struct span two = i < y->count ? y->lines[i] : SPAN("(nothing)");
        if (!span_eq(one, two))
            broken(w, invariant, "%.*s\n    or %.*s",
                   PRSPAN(span_sub(one, 0, 180)),
                   PRSPAN(span_sub(two, 0, 180)));
    }
}

/* A second engine of the same rows, at this moment. */
static struct engine *twin(struct sim *w, bool folded)
{
    struct fail f = {0};
    struct engine *e = engine_from_rows(w, folded);
    must(engine_start(e, w->disk.durable, policy_get(w->p.policy),
                      w->p.in->now_ms, w->p.in->wall_ms, &f) == 0);
    return e;
}

/* Subjects of which nothing is known yet need not survive. */
static unsigned only_asked_about(const struct sim *w, const struct engine *e)
{
    unsigned skip = 0;
    for (unsigned i = 0; i < SUBJECTS; i++) {
        struct span uri = span_str(uri_of(i));
        if (!engine_knows(e, i / RESOURCES, uri) && !w->m.s[i].known &&
            w->m.s[i].touched == 0 && w->m.s[i].hold_count == 0)
            skip |= 1u << i;
    }
    return skip;
}

/* Folded facts and the rows after them say the same as all rows; of these, a
 * job that has ended may have left somebody unknown behind. */
void view_is_replayed(struct sim *w)
{
    if (w->disk.folded == 0)
        return;
    struct engine *e = twin(w, false);
    unsigned skip = only_asked_about(w, w->p.e);
    struct view *x = view_of(&w->scratch, w->p.e, false, skip);
    struct view *y = view_of(&w->scratch, e, false, skip);
    engine_free(e);
    compare(w, "the state is the replay of the durable rows", x, y);
}

/* Everything that should survive has been written. */
void view_is_stored(struct sim *w)
{
    if (w->weather.clock_jumps || w->weather.tight ||
        engine_wake_ms(w->p.e) <= w->p.in->now_ms)
        return;
    struct engine *e = twin(w, true);
    unsigned skip = only_asked_about(w, e);
    struct view *x = view_of(&w->scratch, w->p.e, true, skip);
    struct view *y = view_of(&w->scratch, e, true, skip);
    engine_free(e);
    compare(w, "the durable rows say what is in force", x, y);
}

bool view_runs(struct sim *w, unsigned subject)
{
    struct buf b;
    struct json_out j;
    buf_init(&b, &w->scratch.mem, VIEW_BYTES);
    json_out_init(&j, &b);
    if (!engine_show_agent(w->p.e, subject / RESOURCES,
                           span_str(uri_of(subject)), -1, &j))
        return false;
    return memmem(b.p, b.n, "\"state\":\"running\",\"since\"", 25) != NULL;
}
