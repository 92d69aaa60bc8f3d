// SPDX-License-Identifier: Apache-2.0
/*
 * Loads bailiff.yaml: text, tree, a walk over the rows of config.def, and then
 * the checks of config_check.c. Start reading at config_load.
 */
#include "sidecar/config/config.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapters/jws.h"
#include "sidecar/base/guess.h"
#include "sidecar/base/number_text.h"
#include "sidecar/config/config_rows.h"
#include "sidecar/config/yaml_doc.h"

/* ---- notes ---- */

static void add_note(struct loader *l, struct policy_note note)
{
    struct policy_notes *notes = l->notes;
    if (!note.warning)
        notes->error_count++;
    if (notes->count < POLICY_ERRORS_MAX)
        notes->at[notes->count++] = note;
}

static uint32_t width_of(struct span s)
{
    return s.n == 0 ? 1 : (uint32_t)(s.n > 200 ? 200 : s.n);
}

static struct policy_note note_at(const struct doc *d, bool key,
                                  const char *advice)
{
    struct policy_note note = {.line = 1, .column = 1, .width = 1};
    if (d != NULL && key) {
        note.line = d->key_line;
        note.column = d->key_column;
        note.width = width_of(d->key);
    } else if (d != NULL) {
        note.line = d->line;
        note.column = d->column;
        if (d->kind != DOC_MAP && d->kind != DOC_LIST)
            note.width = width_of(d->text) + (d->quoted ? 2 : 0);
    }
    if (note.line == 0)
        note.line = note.column = 1;
    (void)snprintf(note.advice, sizeof note.advice, "%s",
                   advice == NULL ? "" : advice);
    return note;
}

void config_error(struct loader *l, const struct doc *d, const char *advice,
                  const char *fmt, ...)
{
    struct policy_note note = note_at(d, false, advice);
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(note.text, sizeof note.text, fmt, ap);
    va_end(ap);
    add_note(l, note);
}

void config_error_key(struct loader *l, const struct doc *d, const char *advice,
                      const char *fmt, ...)
{
    struct policy_note note = note_at(d, true, advice);
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(note.text, sizeof note.text, fmt, ap);
    va_end(ap);
    add_note(l, note);
}

void config_warn(struct loader *l, const struct doc *d, const char *advice,
                 const char *fmt, ...)
{
    struct policy_note note = note_at(d, false, advice);
    note.warning = true;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(note.text, sizeof note.text, fmt, ap);
    va_end(ap);
    add_note(l, note);
}

struct span config_printf(struct loader *l, const char *fmt, ...)
{
    char text[PATH_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof text) {
        config_error(l, NULL, NULL, "a path is too long");
        return SPAN("");
    }
    unsigned char *copy = mem_copy(l->m, span_of(text, (size_t)n));
    if (copy == NULL)
        l->no_memory = true;
    return copy == NULL ? SPAN("") : span_of(copy, (size_t)n);
}

/* ---- walk ---- */

static void walk(struct loader *l, enum config_object object,
                 const struct doc *d, void *base);

static void unknown_key(struct loader *l, enum config_object object,
                        const struct doc *d)
{
    struct span best = {NULL, 0};
    unsigned distance = GUESS_NONE;
    char advice[FAIL_TEXT_MAX] = "";
    for (const struct config_row *r = config_rows; r->key != NULL; r++)
        if (r->object == object)
            guess_try(d->key, span_str(r->key), &best, &distance);
    if (best.n > 0)
        (void)snprintf(advice, sizeof advice, "did you mean '%.*s'?",
                       PRSPAN(best));
    config_error_key(l, d, advice, "unknown key '%.*s'", PRSPAN(d->key));
}

static void check_keys(struct loader *l, enum config_object object,
                       const struct doc *d)
{
    DOC_EACH (member, d) {
        const struct config_row *r = config_rows;
        while (r->key != NULL &&
               (r->object != object || !span_eq(span_str(r->key), member->key)))
            r++;
        if (r->key == NULL)
            unknown_key(l, object, member);
    }
}

// NOLINTNEXTLINE(misc-no-recursion)
static void walk_list(struct loader *l, const struct config_row *r,
                      const struct doc *d, char *base)
{
    unsigned *count = (unsigned *)(void *)(base + r->count_offset);
    if (d->kind != DOC_LIST) {
        config_error(l, d, "begin each entry with '- '",
                     "%s must be a list, not %s", r->key,
                     doc_kind_word(d->kind));
        return;
    }
    DOC_EACH (entry, d) {
        if (*count == (unsigned)r->max) {
            config_error(l, entry, NULL, "%s has more than %lld entries",
                         r->key, (long long)r->max);
            return;
        }
        char *element = base + r->offset + *count * r->stride;
        (*count)++;
        *(uint32_t *)(void *)(element + r->line_offset) = entry->line;
        walk(l, r->child, entry, element);
    }
}

/* Defaults of a map that is not in the file. */
// NOLINTNEXTLINE(misc-no-recursion)
static void absent(struct loader *l, const struct config_row *r, char *base)
{
    if (r->kind == ROW_LIST)
        return;
    if (r->kind != ROW_MAP) {
        config_value_default(l, r, base + r->offset);
        return;
    }
    for (const struct config_row *c = config_rows; c->key != NULL; c++)
        if (c->object == r->child)
            absent(l, c, base + r->offset);
}

// NOLINTNEXTLINE(misc-no-recursion)
static void walk_row(struct loader *l, const struct config_row *r,
                     const struct doc *parent, char *base)
{
    const struct doc *d = doc_get(parent, span_str(r->key));
    absent(l, r, base);
    if (d == NULL || (d->kind == DOC_NULL && !r->required)) {
        if (r->required)
            config_error(l, parent, r->help, "%s is missing", r->key);
        return;
    }
    if (r->kind == ROW_LIST)
        walk_list(l, r, d, base);
    else if (r->kind == ROW_MAP)
        walk(l, r->child, d, base + r->offset);
    else
        config_value(l, r, d, base + r->offset);
}

/* Recursion follows the table, whose depth is fixed. */
// NOLINTNEXTLINE(misc-no-recursion)
static void walk(struct loader *l, enum config_object object,
                 const struct doc *d, void *base)
{
    if (d->kind != DOC_MAP) {
        config_error(l, d, NULL, "expected a map of keys, not %s",
                     doc_kind_word(d->kind));
        for (const struct config_row *r = config_rows; r->key != NULL; r++)
            if (r->object == object)
                absent(l, r, base);
        return;
    }
    check_keys(l, object, d);
    for (const struct config_row *r = config_rows; r->key != NULL; r++)
        if (r->object == object)
            walk_row(l, r, d, base);
}

/* ---- load ---- */

/* The absolute directory of `path`. */
static struct span directory_of(struct loader *l, const char *path)
{
    char text[PATH_TEXT_MAX], full[PATH_TEXT_MAX];
    const char *slash = strrchr(path, '/');
    const int n = slash == NULL ? 1 : (int)(slash - path) + 1;
    (void)snprintf(text, sizeof text, "%.*s", n, slash == NULL ? "." : path);
    if (realpath(text, full) == NULL)
        return SPAN("");
    const struct span dir = span_str(full);
    return config_printf(l, "%.*s", PRSPAN(dir.n == 1 ? SPAN("") : dir));
}

static void put_digest(struct loader *l, struct span text, char ret[65])
{
    unsigned char digest[32];
    l->no_memory |= jws_sha256(text, digest) < 0;
    if (!l->no_memory)
        hex_text(span_of(digest, sizeof digest), ret);
}

static int refuse(const struct policy_notes *notes, const char *path,
                  struct fail *f)
{
    return fail(f, RC_CONFIG, "%s: %u error%s", path, notes->error_count,
                notes->error_count == 1 ? "" : "s");
}

int config_parse(struct mem *m, struct span text, const char *path,
                 const struct config **ret, struct policy_notes *notes,
                 struct fail *f)
{
    static const struct doc nothing = {.kind = DOC_MAP, .line = 1, .column = 1};
    struct loader l = {.m = m, .notes = notes};
    const struct doc *root = NULL;
    *notes = (struct policy_notes){.count = 0};
    int rc = yaml_doc_parse(m, text, CONFIG_FILE_BYTES_MAX, &root, notes, f);
    if (rc == RC_SYNTAX)
        return refuse(notes, path, f);
    if (rc < 0)
        return fail_wrap(f, "%s", path);
    if (root == NULL || root->kind == DOC_NULL)
        root = &nothing;
    struct config *c = mem_alloc(m, sizeof *c);
    l.dir = directory_of(&l, path);
    if (c == NULL)
        return fail(f, RC_NO_MEMORY, "%s: out of memory", path);
    walk(&l, OBJECT_TOP, root, c);
    config_cross_check(&l, root, c);
    put_digest(&l, text, c->digest_hex);
    policy_notes_sort(notes);
    if (l.no_memory)
        return fail(f, RC_NO_MEMORY, "%s: out of memory", path);
    if (notes->error_count > 0)
        return refuse(notes, path, f);
    *ret = c;
    return RC_OK;
}

int config_load(struct mem *m, const char *path, const struct config **ret,
                struct policy_notes *notes, struct span *ret_source,
                struct fail *f)
{
    *notes = (struct policy_notes){.count = 0};
    *ret_source = SPAN("");
    TRY(config_read_file(m, span_str(path), CONFIG_FILE_BYTES_MAX, false,
                         ret_source, f));
    return config_parse(m, *ret_source, path, ret, notes, f);
}
