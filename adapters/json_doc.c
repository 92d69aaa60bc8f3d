// SPDX-License-Identifier: Apache-2.0
#include "adapters/json_doc.h"

#include <pthread.h>
#include <string.h>

#include <jansson.h>

/* Why jansson stopped, in words of ours: its own text quotes the input, and
 * what we say goes back to the sender and into logs. */
static const char *error_word(enum json_error_code code)
{
    switch (code) {
        case json_error_duplicate_key: return "duplicate member name";
        case json_error_invalid_utf8: return "invalid UTF-8";
        case json_error_null_byte_in_key:
        case json_error_null_character: return "NUL in a string";
        case json_error_numeric_overflow: return "number out of range";
        case json_error_premature_end_of_input: return "ends too early";
        case json_error_end_of_input_expected: return "bytes after the end";
        case json_error_stack_overflow: return "nested too deeply";
        case json_error_unknown:
        case json_error_out_of_memory:
        case json_error_cannot_open_file:
        case json_error_invalid_argument:
        case json_error_invalid_syntax:
        case json_error_invalid_format:
        case json_error_wrong_type:
        case json_error_null_value:
        case json_error_item_not_found:
        case json_error_index_out_of_range: break;
    }
    return "not JSON";
}

/* The parser recurses, so the depth is counted before it sees a byte. Brackets
 * inside strings do not count; a malformed text may be counted wrongly but is
 * refused by the parser all the same. */
static bool too_deep(struct span text)
{
    unsigned depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = text.p[i];
        if (quoted) {
            i += c == '\\';
            quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            if (++depth > DOC_DEPTH_MAX)
                return true;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return false;
}

static bool copy_span(struct mem *m, const char *p, size_t n, struct span *ret)
{
    ret->p = mem_copy(m, span_of(p, n));
    ret->n = n;
    return ret->p != NULL;
}

static struct doc *node_of(struct mem *m, const json_t *j);

/* Recursion is bounded by DOC_DEPTH_MAX: too_deep looked first. */
// NOLINTNEXTLINE(misc-no-recursion)
static bool add_members(struct mem *m, const json_t *j, struct doc *map)
{
    json_t *walk = (json_t *)(uintptr_t)j; /* iterators want it mutable */
    for (void *it = json_object_iter(walk); it != NULL;
         it = json_object_iter_next(walk, it)) {
        const char *key = json_object_iter_key(it);
        struct doc *child = node_of(m, json_object_iter_value(it));
        if (child == NULL || !copy_span(m, key, strlen(key), &child->key))
            return false;
        doc_append(map, child);
    }
    return true;
}

// NOLINTNEXTLINE(misc-no-recursion)
static bool add_items(struct mem *m, const json_t *j, struct doc *list)
{
    for (size_t i = 0; i < json_array_size(j); i++) {
        struct doc *child = node_of(m, json_array_get(j, i));
        if (child == NULL)
            return false;
        doc_append(list, child);
    }
    return true;
}

static enum doc_kind kind_of(const json_t *j)
{
    switch (json_typeof(j)) {
        case JSON_OBJECT: return DOC_MAP;
        case JSON_ARRAY: return DOC_LIST;
        case JSON_STRING: return DOC_TEXT;
        case JSON_INTEGER: return DOC_INT;
        case JSON_REAL: return DOC_REAL;
        case JSON_TRUE:
        case JSON_FALSE: return DOC_BOOL;
        case JSON_NULL: break;
    }
    return DOC_NULL;
}

// NOLINTNEXTLINE(misc-no-recursion)
static struct doc *node_of(struct mem *m, const json_t *j)
{
    struct doc *d = doc_new(m, kind_of(j));
    if (d == NULL)
        return NULL;
    d->truth = json_is_true(j);
    d->integer = json_integer_value(j);
    d->real = json_number_value(j);
    bool ok = true;
    if (d->kind == DOC_TEXT)
        ok =
            copy_span(m, json_string_value(j), json_string_length(j), &d->text);
    else if (d->kind == DOC_MAP)
        ok = add_members(m, j, d);
    else if (d->kind == DOC_LIST)
        ok = add_items(m, j, d);
    return ok ? d : NULL;
}

/* Where jansson finds no memory it may blame the text, or lose a byte of a
 * string and go on: only the allocations themselves tell. */
static _Thread_local bool refused;

static void *take(size_t n)
{
    void *p = mem_alloc(mem_system(), n);
    refused = refused || p == NULL;
    return p;
}

static void give(void *p)
{
    mem_release(mem_system(), p);
}

static void set_allocator(void)
{
    json_set_alloc_funcs(take, give);
}

/* NULL with `refused` set: there was no memory, whatever `error` says. */
static json_t *load(struct span text, json_error_t *error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, set_allocator);
    refused = false;
    json_t *j = json_loadb(text.n == 0 ? "" : (const char *)text.p, text.n,
                           JSON_REJECT_DUPLICATES, error);
    if (!refused)
        return j;
    json_decref(j);
    return NULL;
}

int json_doc_parse(struct mem *m, struct span text, size_t max_bytes,
                   const struct doc **ret, struct fail *f)
{
    if (text.n > max_bytes)
        return fail(f, RC_TOO_LARGE, "JSON of %zu bytes, at most %zu", text.n,
                    max_bytes);
    if (span_starts(text, SPAN("\xef\xbb\xbf")))
        return fail(f, RC_SYNTAX, "JSON starts with a byte order mark");
    if (too_deep(text))
        return fail(f, RC_SYNTAX, "JSON nested deeper than %d", DOC_DEPTH_MAX);
    json_error_t error;
    json_t *j = load(text, &error);
    if (j == NULL && refused)
        return fail(f, RC_NO_MEMORY, "no memory for JSON");
    if (j == NULL)
        return fail(f, RC_SYNTAX, "JSON line %d column %d: %s", error.line,
                    error.column, error_word(json_error_code(&error)));
    const struct doc *d = node_of(m, j);
    json_decref(j);
    if (d == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for JSON");
    *ret = d;
    return 0;
}
