// SPDX-License-Identifier: Apache-2.0
/*
 * Start reading at yaml_doc_parse: scan, then one loop over libyaml's events.
 * Each event either opens or closes a container or is a scalar; `struct
 * reader` holds the open containers.
 */
#include "sidecar/config/yaml_doc.h"

#include <string.h>

#include <yaml.h>

#include "sidecar/base/map.h"
#include "sidecar/base/number_text.h"

#define SCAN_NOTES_MAX 8 /* of one kind; a file full of tabs is one mistake */

/* An open list or map, and in a map the key whose value comes next. */
struct level {
    struct doc *container;
    bool has_key;
    struct span key;
    uint32_t key_line, key_column;
};

struct key_seen {
    struct map_link link;
    uint32_t line;
};

struct reader {
    struct mem *m;
    struct policy_notes *notes;
    struct fail *f;
    yaml_parser_t yaml;
    struct level levels[DOC_DEPTH_MAX];
    unsigned depth;
    struct map keys; /* container number and name: finds duplicates */
    struct doc *root;
    bool has_document;
};

/* ---- before libyaml ---- */

static size_t utf8_bytes(unsigned char lead)
{
    return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

/* NEL, LS and PS end a line for libyaml and for nobody else. */
static bool is_odd_break(struct span s, size_t i)
{
    return (s.p[i] == 0xC2 && s.p[i + 1] == 0x85) ||
           (s.p[i] == 0xE2 && s.p[i + 1] == 0x80 &&
            (s.p[i + 2] == 0xA8 || s.p[i + 2] == 0xA9));
}

static bool is_control(struct span s, size_t i)
{
    unsigned char c = s.p[i];
    if (c < 0x20)
        return c != '\n' && c != '\r' && c != '\t';
    return c == 0x7F || (c == 0xC2 && s.p[i + 1] < 0xA0);
}

struct scan {
    struct policy_place at;
    unsigned tabs;
    bool stop; /* libyaml must not see it */
};

static void scan_note(struct scan *s, struct policy_notes *notes,
                      const char *text, const char *advice)
{
    s->stop = true;
    policy_note_add(notes, s->at, false, advice, "%s", text);
}

static void scan_character(struct scan *s, struct span text, size_t i,
                           struct policy_notes *notes)
{
    unsigned char c = text.p[i];
    if (c == '\t' && s->tabs++ < SCAN_NOTES_MAX)
        scan_note(s, notes, "a tab character",
                  "use spaces; inside double quotes write \\t");
    else if (c == '%' && s->at.column == 1 && !s->stop)
        scan_note(s, notes, "directives are not allowed",
                  "quote the text if it is one");
    else if (is_odd_break(text, i) && !s->stop)
        scan_note(s, notes, "a Unicode line separator",
                  "end lines with a line feed");
    else if (is_control(text, i) && !s->stop)
        scan_note(s, notes, "a control character",
                  "inside double quotes write \\xNN");
    else if (c == '\r' && (i + 1 == text.n || text.p[i + 1] != '\n') &&
             !s->stop)
        scan_note(s, notes, "a carriage return without line feed",
                  "end lines with a line feed");
}

/* The text is UTF-8 without NUL here, so no sequence passes its end. */
static bool scan_text(struct span text, struct policy_notes *notes)
{
    struct scan s = {.at = {1, 1, 1}};
    for (size_t i = 0; i < text.n; i += utf8_bytes(text.p[i])) {
        scan_character(&s, text, i, notes);
        if (text.p[i] == '\n') {
            s.at.line++;
            s.at.column = 1;
        } else {
            s.at.column++;
        }
    }
    return !s.stop;
}

/* ---- plain scalars ---- */

static bool is_word_of(struct span s, const char *const *words)
{
    for (; *words != NULL; words++)
        if (span_ieq(s, span_str(*words)))
            return true;
    return false;
}

static size_t digits_at(struct span s, size_t at, bool underscores)
{
    size_t n = 0;
    while (at + n < s.n && ((s.p[at + n] >= '0' && s.p[at + n] <= '9') ||
                            (underscores && s.p[at + n] == '_')))
        n++;
    return n;
}

/* 0x1F 0b1 0o7: a number in some versions of YAML. */
static bool is_radix(struct span s, size_t at)
{
    if (at + 2 >= s.n || s.p[at] != '0')
        return false;
    unsigned char c = s.p[at + 1];
    if (c != 'x' && c != 'o' && c != 'b' && c != 'X')
        return false;
    for (size_t i = at + 2; i < s.n; i++)
        if (strchr("0123456789abcdefABCDEF_", s.p[i]) == NULL)
            return false;
    return true;
}

/* 0777 1_000 1:30 +1 1. .5 1:30.5 and what else YAML 1.1 calls a number. */
static bool is_old_number(struct span s)
{
    size_t at = s.n > 0 && (s.p[0] == '-' || s.p[0] == '+');
    if (is_radix(s, at))
        return true;
    size_t n = digits_at(s, at, true), any = n;
    if (n > 0 && s.p[at] == '_')
        return false;
    at += n;
    while (any > 0 && at < s.n && s.p[at] == ':') {
        n = digits_at(s, at + 1, false);
        if (n == 0 || n > 2)
            return false;
        at += 1 + n;
    }
    if (at < s.n && s.p[at] == '.') {
        n = digits_at(s, at + 1, true);
        any += n;
        at += 1 + n;
    }
    if (any > 0 && at < s.n && (s.p[at] == 'e' || s.p[at] == 'E')) {
        size_t sign =
            at + 1 < s.n && (s.p[at + 1] == '-' || s.p[at + 1] == '+');
        n = digits_at(s, at + 1 + sign, false);
        at += n == 0 ? 0 : 1 + sign + n;
    }
    return any > 0 && at == s.n;
}

/* Advice when YAML versions disagree about an unquoted scalar, else NULL. */
static const char *ambiguity(struct span s)
{
    static const char *const yes_no[] = {"yes", "no",   "on",    "off", "y",
                                         "n",   "true", "false", NULL};
    static const char *const odd[] = {".inf", "-.inf", "+.inf", ".nan", NULL};
    if (is_word_of(s, yes_no))
        return "write true or false, or quote it if it is text";
    if (span_ieq(s, SPAN("null")) || span_eq(s, SPAN("~")))
        return "write null, or quote it if it is text";
    if (is_word_of(s, odd))
        return "quote it if it is text; infinity is no value here";
    if (is_old_number(s))
        return "quote it if it is text; write numbers in plain decimal";
    return NULL;
}

static bool set_number(struct doc *d, bool whole)
{
    struct number n = {0};
    bool fits = number_parse(d->text, &n) && n.is_int == whole;
    d->kind = whole ? DOC_INT : DOC_REAL;
    d->integer = n.integer;
    d->real = n.real;
    return fits;
}

/* Gives an unquoted scalar its type; returns advice when it has none. */
static const char *resolve(struct doc *d)
{
    bool whole = false;
    d->kind = DOC_TEXT;
    if (d->text.n == 0 || span_eq(d->text, SPAN("null"))) {
        d->kind = DOC_NULL;
    } else if (span_eq(d->text, SPAN("true")) ||
               span_eq(d->text, SPAN("false"))) {
        d->kind = DOC_BOOL;
        d->truth = d->text.p[0] == 't';
    } else if (number_is_json(d->text, &whole)) {
        if (!set_number(d, whole))
            return "quote it if it is text";
    } else {
        return ambiguity(d->text);
    }
    return NULL;
}

/* ---- events ---- */

static struct policy_place place_of(yaml_mark_t start, yaml_mark_t end)
{
    struct policy_place p = {(uint32_t)start.line + 1,
                             (uint32_t)start.column + 1, 1};
    if (end.line == start.line && end.column > start.column)
        p.width = (uint32_t)(end.column - start.column);
    return p;
}

static struct policy_place event_place(const yaml_event_t *e)
{
    return place_of(e->start_mark, e->end_mark);
}

static int no_memory(struct reader *r)
{
    return fail(r->f, RC_NO_MEMORY, "no memory for a document");
}

static void refuse_decoration(struct reader *r, const yaml_event_t *e,
                              const yaml_char_t *anchor, const yaml_char_t *tag)
{
    struct policy_place at = event_place(e);
    at.width = 1;
    if (anchor != NULL)
        policy_note_add(r->notes, at, false, "write the value out",
                        "anchors are not allowed");
    if (tag != NULL)
        policy_note_add(r->notes, at, false,
                        "remove it; quote a text that starts with !",
                        "tags are not allowed");
}

static struct level *top(struct reader *r)
{
    return r->depth == 0 ? NULL : &r->levels[r->depth - 1];
}

static bool wants_key(struct reader *r)
{
    struct level *l = top(r);
    return l != NULL && l->container->kind == DOC_MAP && !l->has_key;
}

/* Puts a finished or just opened node where it belongs. */
static void place_node(struct reader *r, struct doc *d)
{
    struct level *l = top(r);
    if (l == NULL) {
        r->root = d;
        return;
    }
    if (l->container->kind == DOC_MAP) {
        d->key = l->key;
        d->key_line = l->key_line;
        d->key_column = l->key_column;
        l->has_key = false;
    }
    doc_append(l->container, d);
}

static size_t character_count(struct span s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += (s.p[i] & 0xC0) != 0x80;
    return n;
}

static struct doc *scalar_node(struct reader *r, const yaml_event_t *e)
{
    struct doc *d = doc_new(r->m, DOC_TEXT);
    struct span text = span_of(e->data.scalar.value, e->data.scalar.length);
    if (d == NULL)
        return NULL;
    d->text = span_of(mem_copy(r->m, text), text.n);
    d->line = (uint32_t)e->start_mark.line + 1;
    d->column = (uint32_t)e->start_mark.column + 1;
    d->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    size_t source = e->end_mark.index - e->start_mark.index;
    d->rewritten = e->start_mark.line != e->end_mark.line ||
                   source != character_count(text) + (d->quoted ? 2u : 0u);
    return d->text.p == NULL ? NULL : d;
}

static int on_value(struct reader *r, const yaml_event_t *e)
{
    struct doc *d = scalar_node(r, e);
    if (d == NULL)
        return no_memory(r);
    refuse_decoration(r, e, e->data.scalar.anchor, e->data.scalar.tag);
    const char *advice = d->quoted ? NULL : resolve(d);
    bool too_large = d->kind == DOC_INT || d->kind == DOC_REAL;
    if (advice != NULL)
        policy_note_add(r->notes, event_place(e), false, advice, "'%.*s' %s",
                        PRSPAN(d->text),
                        too_large ? "is too large a number"
                                  : "means different things to different "
                                    "readers of YAML");
    place_node(r, d);
    return 0;
}

/* One table for the document: a key is the number of its container and its
 * name, so that a map of 50,000 keys costs 50,000 steps. */
static int note_key(struct reader *r, struct level *l, struct policy_place at)
{
    struct key_seen *seen = mem_alloc(r->m, sizeof *seen);
    unsigned char *id = mem_alloc(r->m, sizeof(uint64_t) + l->key.n);
    if (seen == NULL || id == NULL)
        return no_memory(r);
    uint64_t number = (uint64_t)(uintptr_t)l->container;
    memcpy(id, &number, sizeof number);
    if (l->key.n > 0)
        memcpy(id + sizeof number, l->key.p, l->key.n);
    map_set_key(&seen->link, span_of(id, sizeof number + l->key.n));
    seen->line = at.line;
    int rc = map_insert(&r->keys, &seen->link);
    if (rc != RC_EXISTS)
        return rc < 0 ? no_memory(r) : 0;
    struct map_link *first = map_find(&r->keys, map_key(&seen->link));
    policy_note_add(r->notes, at, false, NULL,
                    "the key '%.*s' is there twice, first in line %u",
                    PRSPAN(l->key),
                    container_of(first, struct key_seen, link)->line);
    return 0;
}

static int on_key(struct reader *r, const yaml_event_t *e)
{
    struct level *l = top(r);
    struct doc *d = scalar_node(r, e);
    struct policy_place at = event_place(e);
    if (d == NULL)
        return no_memory(r);
    refuse_decoration(r, e, e->data.scalar.anchor, e->data.scalar.tag);
    const char *advice = d->quoted ? NULL : resolve(d);
    if (!d->quoted && span_eq(d->text, SPAN("<<")))
        policy_note_add(r->notes, at, false, "write the members out",
                        "merge keys are not allowed");
    else if (advice != NULL || d->kind != DOC_TEXT || d->text.n == 0)
        policy_note_add(r->notes, at, false, "quote it if it is meant so",
                        "a key must be text, not '%.*s'", PRSPAN(d->text));
    l->has_key = true;
    l->key = d->text;
    l->key_line = d->line;
    l->key_column = d->column;
    return note_key(r, l, at);
}

static int stop_at(struct reader *r, struct policy_place at, const char *advice,
                   const char *text)
{
    policy_note_add(r->notes, at, false, advice, "%s", text);
    return RC_SYNTAX;
}

static int on_open(struct reader *r, const yaml_event_t *e, enum doc_kind kind)
{
    struct policy_place at = event_place(e);
    at.width = 1;
    if (wants_key(r))
        return stop_at(r, at, "quote a text that starts with { or [",
                       "a key must be text, not a list or map");
    if (r->depth == DOC_DEPTH_MAX)
        return stop_at(r, at, NULL, "nested too deeply");
    struct doc *d = doc_new(r->m, kind);
    if (d == NULL)
        return no_memory(r);
    d->line = at.line;
    d->column = at.column;
    place_node(r, d);
    r->levels[r->depth++] = (struct level){.container = d};
    return 0;
}

/* An alias has no value of its own; the tree keeps a null in its place. */
static int on_alias(struct reader *r, const yaml_event_t *e)
{
    policy_note_add(r->notes, event_place(e), false,
                    "write the value out, or quote a text that starts with *",
                    "aliases are not allowed");
    if (wants_key(r))
        return RC_SYNTAX;
    struct doc *d = doc_new(r->m, DOC_NULL);
    if (d == NULL)
        return no_memory(r);
    d->line = (uint32_t)e->start_mark.line + 1;
    d->column = (uint32_t)e->start_mark.column + 1;
    place_node(r, d);
    return 0;
}

static int on_document(struct reader *r, const yaml_event_t *e)
{
    if (r->has_document)
        return stop_at(r, event_place(e), "keep one document per file",
                       "a second document starts here");
    r->has_document = true;
    return 0;
}

static int on_event(struct reader *r, const yaml_event_t *e)
{
    switch (e->type) {
        case YAML_DOCUMENT_START_EVENT: return on_document(r, e);
        case YAML_ALIAS_EVENT: return on_alias(r, e);
        case YAML_SCALAR_EVENT:
            return wants_key(r) ? on_key(r, e) : on_value(r, e);
        case YAML_SEQUENCE_START_EVENT:
            refuse_decoration(r, e, e->data.sequence_start.anchor,
                              e->data.sequence_start.tag);
            return on_open(r, e, DOC_LIST);
        case YAML_MAPPING_START_EVENT:
            refuse_decoration(r, e, e->data.mapping_start.anchor,
                              e->data.mapping_start.tag);
            return on_open(r, e, DOC_MAP);
        case YAML_SEQUENCE_END_EVENT:
        case YAML_MAPPING_END_EVENT: r->depth--; return 0;
        case YAML_NO_EVENT:
        case YAML_STREAM_START_EVENT:
        case YAML_STREAM_END_EVENT:
        case YAML_DOCUMENT_END_EVENT: return 0;
    }
    return 0;
}

/* ---- libyaml's own errors ---- */

static const char *problem_advice(const char *problem, const char *context)
{
    if (context != NULL && strstr(context, "alias") != NULL)
        return "quote a text that starts with *: \"*\"";
    if (context != NULL && strstr(context, "anchor") != NULL)
        return "quote a text that starts with &";
    if (strstr(problem, "cannot start any token") != NULL)
        return "quote a text that starts with @, ` or %";
    if (strstr(problem, "mapping values are not allowed") != NULL)
        return "check the indentation, or quote a text that contains ': '";
    if (strstr(problem, "expected ':'") != NULL)
        return "a line of a map is 'key: value'";
    if (strstr(problem, "expected key") != NULL ||
        strstr(problem, "block mapping") != NULL ||
        strstr(problem, "expected '-' indicator") != NULL)
        return "check the indentation of this line";
    if (strstr(problem, "unexpected end of stream") != NULL)
        return "a quote is not closed";
    if (strstr(problem, "expected ',' or") != NULL)
        return "a bracket is not closed, or a comma is missing";
    return NULL;
}

static int yaml_problem(struct reader *r)
{
    const yaml_parser_t *y = &r->yaml;
    if (y->error == YAML_MEMORY_ERROR)
        return no_memory(r);
    const char *problem = y->problem == NULL ? "not valid YAML" : y->problem;
    struct policy_place at = {(uint32_t)y->problem_mark.line + 1,
                              (uint32_t)y->problem_mark.column + 1, 1};
    if (y->error == YAML_READER_ERROR) /* has an offset but no mark */
        at = (struct policy_place){(uint32_t)y->mark.line + 1,
                                   (uint32_t)y->mark.column + 1, 1};
    const char *context = y->context == NULL ? "" : y->context;
    policy_note_add(r->notes, at, false, problem_advice(problem, context),
                    "%s%s%s", context, context[0] == 0 ? "" : ": ", problem);
    return RC_SYNTAX;
}

static int read_events(struct reader *r)
{
    for (;;) {
        yaml_event_t e;
        if (!yaml_parser_parse(&r->yaml, &e))
            return yaml_problem(r);
        bool end = e.type == YAML_STREAM_END_EVENT;
        int rc = on_event(r, &e);
        yaml_event_delete(&e);
        if (rc < 0 || end)
            return rc;
    }
}

/* ---- entry ---- */

/* Line of the first byte that is not UTF-8, or is NUL. */
static struct policy_place first_bad_byte(struct span text)
{
    struct policy_place at = {1, 1, 1};
    size_t start = 0;
    for (;;) {
        size_t end = span_find(text, '\n', start);
        if (!span_is_text(span_sub(text, start, end)) || end == text.n)
            return at;
        start = end + 1;
        at.line++;
    }
}

static int check_bytes(struct span text, struct policy_notes *notes)
{
    if (!span_is_text(text)) {
        policy_note_add(notes, first_bad_byte(text), false,
                        "save the file as UTF-8",
                        "this line is not valid UTF-8 text");
        return RC_SYNTAX;
    }
    return scan_text(text, notes) ? 0 : RC_SYNTAX;
}

static int read_text(struct reader *r, struct span text)
{
    static const struct hash_key seed = {0x6261696c, 0x69666679};
    if (!yaml_parser_initialize(&r->yaml))
        return no_memory(r);
    yaml_parser_set_encoding(&r->yaml, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r->yaml, text.n == 0 ? SPAN("").p : text.p,
                                 text.n);
    map_init(&r->keys, r->m, seed, text.n + 1);
    int rc = read_events(r);
    map_fini(&r->keys);
    yaml_parser_delete(&r->yaml);
    return rc;
}

int yaml_doc_parse(struct mem *m, struct span text, size_t max_bytes,
                   const struct doc **ret, struct policy_notes *notes,
                   struct fail *f)
{
    struct reader r = {.m = m, .notes = notes, .f = f};
    unsigned errors = notes->error_count;
    if (text.n > max_bytes)
        return fail(f, RC_TOO_LARGE, "%zu bytes, more than %zu", text.n,
                    max_bytes);
    int rc = check_bytes(text, notes);
    if (rc == 0)
        rc = read_text(&r, text);
    if (rc == 0 && r.root == NULL)
        r.root = doc_new(m, DOC_NULL);
    if (rc == RC_NO_MEMORY || (rc == 0 && r.root == NULL))
        return no_memory(&r);
    policy_notes_sort(notes);
    if (notes->error_count > errors)
        return fail(f, RC_SYNTAX, "line %u: %s",
                    notes->count == 0 ? 0 : notes->at[0].line,
                    notes->count == 0 ? "" : notes->at[0].text);
    *ret = r.root;
    return 0;
}
