// SPDX-License-Identifier: Apache-2.0
#include "sidecar/policy_seen.h"

#include <stdio.h>

#include "adapters/json_doc.h"
#include "policy/warn.h"
#include "sidecar/base/map.h"

#define TOOLS_MAX 4096
#define LINE_BYTES_MAX (256u * 1024)
#define LINE_MEMORY_MAX (64u * 1024 * 1024)
#define LIST_BYTES 200

struct seen {
    struct mem *m;
    struct arena line; /* of one entry */
    struct map by_name;
    struct map_link tools[TOOLS_MAX]; /* in the order of their first question */
    unsigned count;
    event_mask said; /* about agents */
};

/* ---- the history ---- */

static int take_tool(struct seen *s, struct span tool, struct fail *f)
{
    if (tool.n == 0 || map_find(&s->by_name, tool) != NULL)
        return 0;
    if (s->count == TOOLS_MAX)
        return fail(f, RC_LIMIT, "more than %d tools were asked for",
                    TOOLS_MAX);
    const unsigned char *p = mem_copy(s->m, tool);
    if (p == NULL)
        return fail(f, RC_NO_MEMORY, "no memory");
    map_set_key(&s->tools[s->count], span_of(p, tool.n));
    if (map_insert(&s->by_name, &s->tools[s->count]) < 0)
        return fail(f, RC_NO_MEMORY, "no memory");
    s->count++;
    return 0;
}

static void take_event(struct seen *s, const struct doc *entry)
{
    const struct span kind = doc_text(entry, SPAN("subject_kind"));
    enum event_type type;
    if (!span_eq(kind, span_str(subject_kind_word(SUBJECT_AGENT))))
        return;
    DOC_EACH (part, doc_get(entry, SPAN("parts")))
        if (event_type_from_name(doc_text(part, SPAN("type")), &type))
            s->said |= EVENT_BIT(type);
}

/* A line that is no entry is passed over, as `policy diff` does. */
static int take_entry(void *ctx, struct span line, struct fail *f)
{
    struct seen *s = ctx;
    const struct doc *d = NULL;
    arena_clear(&s->line);
    if (json_doc_parse(&s->line.mem, line, LINE_BYTES_MAX, &d, NULL) < 0)
        return 0;
    const struct span kind = doc_text(d, SPAN("kind"));
    if (span_eq(kind, SPAN("question")))
        return take_tool(s, doc_text(d, SPAN("tool")), f);
    if (span_eq(kind, SPAN("event")))
        take_event(s, d);
    return 0;
}

static int take_history(struct seen *s, const struct history_from *from,
                        struct fail *f)
{
    TRY(history_source_each(from, take_entry, s, f));
    return s->count > 0 || s->said != 0
               ? 0
               : fail(f, RC_UNKNOWN_NAME,
                      "nobody asked for a tool, and nothing was said about "
                      "an agent");
}

/* ---- warnings ---- */

struct warner {
    const struct seen *s;
    const struct policy *p;
    struct policy_notes *notes;
};

/* At the key of `d`, or of the file as a whole when it is not there. */
static void warn_key(const struct warner *w, const struct doc *d,
                     const char *advice, const char *what, const char *list)
{
    struct policy_place at = {.line = 0};
    if (d != NULL)
        at = (struct policy_place){d->key_line, d->key_column,
                                   (uint32_t)d->key.n};
    policy_note_add(w->notes, at, true, advice, "%s: %s", what, list);
}

/* As many words as there is room for, then dots. */
struct words {
    char text[LIST_BYTES];
    size_t n;
    bool full;
};

static void list_word(struct words *l, struct span word)
{
    const char *comma = l->n > 0 ? ", " : "";
    if (l->full)
        return;
    l->full = l->n + word.n + sizeof ", ..." > sizeof l->text;
    if (l->full)
        word = SPAN("...");
    l->n += (size_t)snprintf(l->text + l->n, sizeof l->text - l->n, "%s%.*s",
                             comma, PRSPAN(word));
}

static bool any_gate_names(const struct policy *p, struct span tool)
{
    for (unsigned i = 0; i < p->gate_count; i++)
        if (policy_tools_match(p, &p->gates[i].tools, tool,
                               policy_tool_classes(p, tool)))
            return true;
    return false;
}

static bool has_class(const struct policy *p, struct span tool)
{
    return policy_tool_classes(p, tool) != 0;
}

/* All of them in one note. */
static void warn_tools(const struct warner *w, const struct doc *at,
                       bool (*is_covered)(const struct policy *, struct span),
                       const char *advice, const char *what)
{
    struct words list = {.n = 0};
    if (at == NULL)
        return;
    for (unsigned i = 0; i < w->s->count; i++)
        if (!is_covered(w->p, map_key(&w->s->tools[i])))
            list_word(&list, map_key(&w->s->tools[i]));
    if (list.n > 0)
        warn_key(w, at, advice, what, list.text);
}

/* A word of a list of tools: a class of that name has patterns of its own. */
static void warn_pattern(const struct warner *w, const struct doc *d)
{
    for (unsigned i = 0; i < w->p->class_count; i++)
        if (span_eq(w->p->classes[i].name, d->text))
            return;
    for (unsigned i = 0; i < w->s->count; i++)
        if (span_glob(d->text, map_key(&w->s->tools[i])))
            return;
    const struct policy_place at = {d->line, d->column, (uint32_t)d->text.n};
    policy_note_add(w->notes, at, true, NULL,
                    "no tool that was asked for matches '%.*s'",
                    PRSPAN(d->text));
}

static void warn_patterns(const struct warner *w, const struct doc *list)
{
    if (list != NULL && list->kind == DOC_TEXT)
        warn_pattern(w, list);
    DOC_EACH (it, list)
        warn_pattern(w, it);
}

static void warn_events(const struct warner *w, const struct doc *rules)
{
    const event_mask open = policy_unhandled(w->p) & w->s->said;
    struct words list = {.n = 0};
    for (unsigned t = 0; t < EVENT_TYPE_COUNT; t++)
        if ((open & EVENT_BIT(t)) != 0)
            list_word(&list, span_str(event_type_name((enum event_type)t)));
    if (list.n > 0)
        warn_key(w, rules, "the built-in reaction alone applies",
                 "said about agents, but no rule handles", list.text);
}

static void warn_all(const struct warner *w, const struct doc *root)
{
    const struct doc *classes = doc_get(root, SPAN("tool_classes"));
    const struct doc *gates = doc_get(root, SPAN("gate"));
    warn_events(w, doc_get(root, SPAN("rules")));
    if (w->s->count == 0)
        return;
    warn_tools(w, classes, has_class, NULL, "asked for, but in no class");
    warn_tools(w, gates, any_gate_names,
               "with gate rules, a tool that none names is denied",
               "asked for, but no gate rule names");
    DOC_EACH (d, classes)
        warn_patterns(w, d);
    DOC_EACH (d, gates)
        warn_patterns(w, doc_get(d, SPAN("tools")));
}

int policy_seen_warn(struct mem *m, const struct history_from *from,
                     const struct policy *p, const struct doc *root,
                     struct policy_notes *notes, struct fail *f)
{
    const struct hash_key seed = {0x746f6f6c73, 0x7365656e};
    struct seen *s = mem_alloc(m, sizeof *s);
    if (s == NULL)
        return fail(f, RC_NO_MEMORY, "no memory");
    s->m = m;
    map_init(&s->by_name, m, seed, TOOLS_MAX);
    arena_init(&s->line, mem_system(), LINE_MEMORY_MAX);
    int rc = take_history(s, from, f);
    arena_fini(&s->line);
    if (rc < 0)
        return rc;
    const struct warner w = {s, p, notes};
    warn_all(&w, root);
    policy_notes_sort(notes);
    return 0;
}
