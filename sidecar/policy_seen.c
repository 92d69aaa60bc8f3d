// SPDX-License-Identifier: Apache-2.0
#include "sidecar/policy_seen.h"

#include <stdio.h>
#include <string.h>

#include "adapters/json_doc.h"
#include "sidecar/io/decision_log.h"
#include "sidecar/io/decision_log_files.h"
#include "sidecar/io/file.h"
#include "sidecar/io/log_verify.h"

#define TOOLS_MAX 4096
#define LINE_MEMORY_MAX (1024 * 1024)
#define LIST_BYTES 200

struct seen {
    struct mem *m;
    struct arena line; /* of one record */
    struct span tools[TOOLS_MAX];
    unsigned count;
};

/* ---- the log ---- */

static int take_line(struct seen *s, struct span line, struct fail *f)
{
    const struct doc *d = NULL;
    arena_clear(&s->line);
    TRY(json_doc_parse(&s->line.mem, line, LOG_LINE_BYTES_MAX, &d, f));
    const struct span tool = doc_text(d, SPAN("tool"));
    if (tool.n == 0 || !span_eq(doc_text(d, SPAN("kind")), SPAN("gate")))
        return 0;
    for (unsigned i = 0; i < s->count; i++)
        if (span_eq(s->tools[i], tool))
            return 0;
    if (s->count == TOOLS_MAX)
        return fail(f, RC_LIMIT, "the log names more than %d tools", TOOLS_MAX);
    const unsigned char *p = mem_copy(s->m, tool);
    if (p == NULL)
        return fail(f, RC_NO_MEMORY, "no memory");
    s->tools[s->count++] = span_of(p, tool.n);
    return 0;
}

static int take_file(struct seen *s, struct span dir, uint64_t first,
                     struct fail *f)
{
    char path[FILE_PATH_MAX], name[LOG_FILE_NAME_BYTES];
    struct log_reader r;
    struct span line;
    int more;
    log_file_name(name, first, "jsonl");
    TRY(file_path(path, dir, name, f));
    TRY(log_reader_open(&r, path, 0, f));
    while ((more = log_reader_next(&r, &line, f)) == 1)
        if ((more = take_line(s, line, f)) < 0)
            break;
    log_reader_close(&r);
    return more < 0 ? fail_wrap(f, "%s", path) : 0;
}

static int take_log(struct seen *s, const char *path, struct fail *f)
{
    struct log_files files;
    struct span dir;
    bool is_file;
    uint64_t first = 0;
    TRY(log_split_path(span_str(path), &dir, &is_file, &first, f));
    if (is_file)
        return take_file(s, dir, first, f);
    TRY(log_files_list(dir, &files, f));
    int rc = 0;
    for (size_t i = 0; i < files.count && rc == 0; i++)
        rc = take_file(s, dir, files.first[i], f);
    log_files_fini(&files);
    return rc;
}

/* ---- warnings ---- */

struct warner {
    const struct seen *s;
    const struct policy *p;
    struct policy_notes *notes;
};

static void warn_key(const struct warner *w, const struct doc *d,
                     const char *advice, const char *what, const char *list)
{
    const struct policy_place at = {d->key_line, d->key_column,
                                    (uint32_t)d->key.n};
    policy_note_add(w->notes, at, true, advice, "%s: %s", what, list);
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

/* All of them in one note, as many as there is room for. */
static void warn_tools(const struct warner *w, const struct doc *at,
                       bool (*is_covered)(const struct policy *, struct span),
                       const char *advice, const char *what)
{
    char list[LIST_BYTES] = "";
    size_t n = 0;
    if (at == NULL)
        return;
    for (unsigned i = 0; i < w->s->count; i++) {
        const struct span tool = w->s->tools[i];
        if (is_covered(w->p, tool))
            continue;
        if (n + tool.n + sizeof ", ..." > sizeof list) {
            (void)snprintf(list + n, sizeof list - n, n > 0 ? ", ..." : "...");
            break;
        }
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%.*s",
                              n > 0 ? ", " : "", PRSPAN(tool));
    }
    if (list[0] != 0)
        warn_key(w, at, advice, what, list);
}

/* A word of a list of tools: a class of that name has patterns of its own. */
static void warn_pattern(const struct warner *w, const struct doc *d)
{
    for (unsigned i = 0; i < w->p->class_count; i++)
        if (span_eq(w->p->classes[i].name, d->text))
            return;
    for (unsigned i = 0; i < w->s->count; i++)
        if (span_glob(d->text, w->s->tools[i]))
            return;
    const struct policy_place at = {d->line, d->column, (uint32_t)d->text.n};
    policy_note_add(w->notes, at, true, NULL,
                    "no tool in the log matches '%.*s'", PRSPAN(d->text));
}

static void warn_patterns(const struct warner *w, const struct doc *list)
{
    if (list != NULL && list->kind == DOC_TEXT)
        warn_pattern(w, list);
    DOC_EACH (it, list)
        warn_pattern(w, it);
}

int policy_seen_warn(struct mem *m, const char *path, const struct policy *p,
                     const struct doc *root, struct policy_notes *notes,
                     struct fail *f)
{
    struct seen *s = mem_alloc(m, sizeof *s);
    if (s == NULL)
        return fail(f, RC_NO_MEMORY, "no memory");
    s->m = m;
    arena_init(&s->line, mem_system(), LINE_MEMORY_MAX);
    int rc = take_log(s, path, f);
    arena_fini(&s->line);
    if (rc == 0 && s->count == 0)
        rc =
            fail(f, RC_UNKNOWN_NAME, "%s: nobody asked for a tool there", path);
    if (rc < 0)
        return rc;
    const struct warner w = {s, p, notes};
    const struct doc *classes = doc_get(root, SPAN("tool_classes"));
    const struct doc *gates = doc_get(root, SPAN("gate"));
    warn_tools(&w, classes, has_class, NULL, "asked for, but in no class");
    warn_tools(&w, gates, any_gate_names,
               "with gate rules, a tool that none names is denied",
               "asked for, but no gate rule names");
    DOC_EACH (d, classes)
        warn_patterns(&w, d);
    DOC_EACH (d, gates)
        warn_patterns(&w, doc_get(d, SPAN("tools")));
    policy_notes_sort(notes);
    return 0;
}
