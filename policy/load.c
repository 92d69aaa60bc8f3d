// SPDX-License-Identifier: Apache-2.0
/*
 * Document tree to policy: the machinery of the member tables, the kinds of
 * field that several tables use, conditions and their attributes. The parts of
 * the file are in load_top.c, load_rule.c and load_action.c.
 */
#include "policy/load.h"

#include <stdarg.h>
#include <string.h>

#include "sidecar/base/time_text.h"

/* ---- notes ---- */

static uint32_t shown_width(const struct doc *d)
{
    if (d->kind == DOC_LIST || d->kind == DOC_MAP || d->rewritten)
        return 1;
    size_t n = d->quoted ? 2 : 0;
    for (size_t i = 0; i < d->text.n; i++)
        n += (d->text.p[i] & 0xC0) != 0x80;
    return (uint32_t)n;
}

static void note_at(struct loader *l, struct policy_place at, bool warning,
                    const char *advice, const char *text)
{
    policy_note_add(l->notes, at, warning, advice, "%s", text);
}

#define FORMAT_INTO(text, fmt)                                                 \
    do {                                                                       \
        va_list ap_;                                                           \
        va_start(ap_, fmt);                                                    \
        (void)vsnprintf(text, sizeof text, fmt, ap_);                          \
        va_end(ap_);                                                           \
    } while (0)

void load_error(struct loader *l, const struct doc *d, const char *advice,
                const char *fmt, ...)
{
    char text[FAIL_TEXT_MAX];
    FORMAT_INTO(text, fmt);
    note_at(l, (struct policy_place){d->line, d->column, shown_width(d)}, false,
            advice, text);
}

void load_warning(struct loader *l, const struct doc *d, const char *advice,
                  const char *fmt, ...)
{
    char text[FAIL_TEXT_MAX];
    FORMAT_INTO(text, fmt);
    note_at(l, (struct policy_place){d->line, d->column, shown_width(d)}, true,
            advice, text);
}

void load_key_error(struct loader *l, const struct doc *d, const char *advice,
                    const char *fmt, ...)
{
    char text[FAIL_TEXT_MAX];
    FORMAT_INTO(text, fmt);
    note_at(
        l,
        (struct policy_place){d->key_line, d->key_column, (uint32_t)d->key.n},
        false, advice, text);
}

struct span load_near(const struct loader *l, struct span word)
{
    return l->notes->count < POLICY_ERRORS_MAX ? word : SPAN("");
}

/* ---- memory ---- */

void *load_alloc(struct loader *l, size_t count, size_t size)
{
    void *p = mem_array(l->m, count, size);
    if (p == NULL)
        l->no_memory = true;
    return p;
}

struct span load_copy(struct loader *l, struct span s)
{
    unsigned char *p = mem_copy(l->m, s);
    if (p == NULL) {
        l->no_memory = true;
        return (struct span){NULL, 0};
    }
    return span_of(p, s.n);
}

void *load_list(struct loader *l, const struct doc *d, const char *what,
                unsigned max, size_t item_size)
{
    if (d->kind != DOC_LIST && d->kind != DOC_MAP)
        return NULL;
    if (d->count > max) {
        load_error(l, d, NULL, "%u %s, more than %u", d->count, what, max);
        return NULL;
    }
    return d->count == 0 ? NULL : load_alloc(l, d->count, item_size);
}

/* ---- members ---- */

static const struct member *find_member(const struct member *table,
                                        unsigned count, struct span key)
{
    for (unsigned i = 0; i < count; i++)
        if (span_eq(span_str(table[i].key), key))
            return &table[i];
    return NULL;
}

static const char *known_members(const struct member *table, unsigned count,
                                 char to[FAIL_TEXT_MAX])
{
    size_t at = (size_t)snprintf(to, FAIL_TEXT_MAX, "known here:");
    for (unsigned i = 0; i < count && at < FAIL_TEXT_MAX; i++)
        at +=
            (size_t)snprintf(to + at, FAIL_TEXT_MAX - at, " %s", table[i].key);
    return to;
}

static void refuse_unknown(struct loader *l, const struct doc *d,
                           const char *what, const struct member *table,
                           unsigned count)
{
    DOC_EACH (it, d) {
        struct near n = {.word = load_near(l, it->key)};
        char advice[FAIL_TEXT_MAX];
        if (find_member(table, count, it->key) != NULL)
            continue;
        for (unsigned i = 0; i < count; i++)
            near_try(&n, span_str(table[i].key));
        if (near_advice(&n, advice)[0] == 0)
            (void)known_members(table, count, advice);
        load_key_error(l, it, advice, "unknown key '%.*s' in %s",
                       PRSPAN(it->key), what);
    }
}

bool load_members(struct loader *l, const struct doc *d, const char *what,
                  const struct member *table, unsigned count, void *to)
{
    if (d->kind != DOC_MAP) {
        char advice[FAIL_TEXT_MAX];
        load_error(l, d, known_members(table, count, advice),
                   "%s must be a map, not %s", what, doc_kind_word(d->kind));
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        const struct doc *member = doc_get(d, span_str(table[i].key));
        if (member != NULL)
            table[i].load(l, member, (unsigned char *)to + table[i].offset);
        else if (table[i].required)
            load_error(l, d, NULL, "%s needs '%s'", what, table[i].key);
    }
    refuse_unknown(l, d, what, table, count);
    return true;
}

/* ---- kinds of field ---- */

bool load_is_text(struct loader *l, const struct doc *d, const char *what)
{
    if (d->kind == DOC_TEXT && d->text.n > 0)
        return true;
    const char *advice =
        d->kind == DOC_INT || d->kind == DOC_REAL || d->kind == DOC_BOOL
            ? "put it in quotes"
            : NULL;
    load_error(l, d, advice, "%s must be text, not %s", what,
               d->kind == DOC_TEXT ? "empty" : doc_kind_word(d->kind));
    return false;
}

void load_text(struct loader *l, const struct doc *d, void *field)
{
    struct span *to = field;
    if (load_is_text(l, d, "this"))
        *to = load_copy(l, d->text);
}

void load_truth(struct loader *l, const struct doc *d, void *field)
{
    bool *to = field;
    if (d->kind != DOC_BOOL)
        load_error(l, d, "true or false", "this must be true or false");
    else
        *to = d->truth;
}

bool load_is_name(struct span s)
{
    if (s.n == 0 || s.n > POLICY_NAME_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = s.p[i];
        bool first = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!first && (i == 0 || (c != '-' && c != '_')))
            return false;
    }
    return true;
}

void load_name(struct loader *l, const struct doc *d, void *field)
{
    struct span *to = field;
    if (d->kind == DOC_TEXT && d->text.n == 0)
        load_error(l, d, NULL, "a name is missing");
    else if (d->kind != DOC_INT && !load_is_text(l, d, "a name"))
        return;
    else if (d->text.n > POLICY_NAME_MAX)
        load_error(l, d, NULL, "a name has at most %d characters",
                   POLICY_NAME_MAX);
    else if (!load_is_name(d->text))
        load_error(l, d, "use lower-case letters, digits, - and _",
                   "'%.*s' is not a name", PRSPAN(d->text));
    else
        *to = load_copy(l, d->text);
}

void load_duration(struct loader *l, const struct doc *d, void *field)
{
    int64_t *to = field, ms;
    char advice[FAIL_TEXT_MAX] =
        "a duration is a number and one unit: 250ms "
        "2s 15m 24h 30d";
    if (d->kind == DOC_INT)
        (void)snprintf(advice, sizeof advice, "it needs a unit: %.*ss",
                       PRSPAN(d->text));
    if (d->kind != DOC_TEXT || !duration_parse(d->text, &ms))
        load_error(l, d, advice, "'%.*s' is not a duration", PRSPAN(d->text));
    else if (ms == 0)
        load_error(l, d, NULL, "this duration must be longer than 0");
    else
        *to = ms;
}

void load_texts(struct loader *l, const struct doc *d, void *field)
{
    struct names *to = field;
    const struct doc *it = d->kind == DOC_LIST ? d->first : d;
    unsigned count = d->kind == DOC_LIST ? d->count : 1;
    if (d->kind == DOC_LIST && count == 0)
        load_error(l, d, NULL, "the list is empty");
    if (d->kind == DOC_LIST && count > POLICY_LIST_MAX) {
        load_error(l, d, NULL, "more than %d entries", POLICY_LIST_MAX);
        return;
    }
    struct span *at = load_alloc(l, count, sizeof *at);
    to->at = at;
    for (; at != NULL && it != NULL && to->count < count; it = it->next)
        if (load_is_text(l, it, "an entry"))
            at[to->count++] = load_copy(l, it->text);
}

void load_refuse(struct loader *l, const struct doc *d, const char *what,
                 const char *advice)
{
    if (d->kind != DOC_NULL && d->text.n > 0)
        load_error(l, d, advice, "%s cannot be '%.*s'", what, PRSPAN(d->text));
    else
        load_error(l, d, advice, "%s must be text, not %s", what,
                   d->kind == DOC_TEXT ? "empty" : doc_kind_word(d->kind));
}

const char *load_advice(const struct near *n, const char *const *words,
                        char to[FAIL_TEXT_MAX])
{
    if (near_advice(n, to)[0] != 0 || words[0] == NULL)
        return to;
    size_t at = (size_t)snprintf(to, FAIL_TEXT_MAX, "%s",
                                 words[1] == NULL ? "only:" : "one of:");
    for (unsigned i = 0; words[i] != NULL && at < FAIL_TEXT_MAX; i++)
        at += (size_t)snprintf(to + at, FAIL_TEXT_MAX - at, " %s", words[i]);
    return to;
}

bool load_word(struct loader *l, const struct doc *d, const char *what,
               const char *const *words, unsigned *ret)
{
    struct near n = {.word = load_near(l, d->text)};
    char advice[FAIL_TEXT_MAX];
    for (unsigned i = 0; words[i] != NULL; i++) {
        if (d->kind == DOC_TEXT && span_eq(d->text, span_str(words[i]))) {
            *ret = i;
            return true;
        }
        near_try(&n, span_str(words[i]));
    }
    load_refuse(l, d, what, load_advice(&n, words, advice));
    return false;
}

/* ---- references ---- */

bool load_has_name(const struct names *names, struct span name)
{
    for (unsigned i = 0; i < names->count; i++)
        if (span_eq(names->at[i], name))
            return true;
    return false;
}

int load_find_class(const struct loader *l, struct span name)
{
    for (unsigned i = 0; i < l->p->class_count; i++)
        if (span_eq(l->p->classes[i].name, name))
            return (int)i;
    return LOAD_NONE;
}

int load_find_action(const struct loader *l, struct span name)
{
    for (unsigned i = 0; i < l->p->action_count; i++)
        if (span_eq(l->p->actions[i].name, name))
            return (int)i;
    return LOAD_NONE;
}

void load_refuse_action(struct loader *l, const struct doc *d)
{
    struct near n = {.word = load_near(l, d->text)};
    char advice[FAIL_TEXT_MAX];
    for (unsigned i = 0; i < l->p->action_count; i++)
        near_try(&n, l->p->actions[i].name);
    if (near_advice(&n, advice)[0] == 0)
        (void)snprintf(
            advice, sizeof advice,
            "write it there: actions: {%.*s: {http: {url: \"https://...\"}}}",
            PRSPAN(d->text));
    load_error(l, d, advice, "there is no action '%.*s' under actions",
               PRSPAN(d->text));
}

static void check_action_name(struct loader *l, const struct doc *d)
{
    if (d->kind == DOC_TEXT && load_find_action(l, d->text) < 0)
        load_refuse_action(l, d);
}

void load_action_names(struct loader *l, const struct doc *d, void *field)
{
    load_texts(l, d, field);
    if (d->kind == DOC_TEXT)
        check_action_name(l, d);
    if (d->kind == DOC_LIST)
        DOC_EACH (it, d)
            check_action_name(l, it);
}

/* A class, a tool or a glob; a tool that is nearly a class is a warning. */
static void add_tool(struct loader *l, const struct doc *d, struct tool_set *to,
                     struct span *patterns)
{
    struct near n = {.word = load_near(l, d->text)};
    char advice[FAIL_TEXT_MAX];
    if (!load_is_text(l, d, "a tool"))
        return;
    int class = load_find_class(l, d->text);
    if (class >= 0) {
        to->classes |= UINT32_C(1) << class;
        return;
    }
    if (span_eq(d->text, SPAN("*"))) {
        to->all = true;
        return;
    }
    for (unsigned i = 0; i < l->p->class_count; i++)
        near_try(&n, l->p->classes[i].name);
    if (n.best.n > 0)
        load_warning(l, d, near_advice(&n, advice),
                     "'%.*s' is no tool class and is read as a tool",
                     PRSPAN(d->text));
    patterns[to->patterns.count++] = load_copy(l, d->text);
}

void load_tools(struct loader *l, const struct doc *d, void *field)
{
    struct tool_set *to = field;
    const struct doc *it = d->kind == DOC_LIST ? d->first : d;
    unsigned count = d->kind == DOC_LIST ? d->count : 1;
    if (count == 0 || count > POLICY_LIST_MAX) {
        load_error(l, d, NULL, "tools must be a list of 1 to %d",
                   POLICY_LIST_MAX);
        return;
    }
    struct span *patterns = load_alloc(l, count, sizeof *patterns);
    to->patterns.at = patterns;
    for (; patterns != NULL && it != NULL && count-- > 0; it = it->next)
        add_tool(l, it, to, patterns);
}

/* ---- conditions ---- */

/* Where byte `offset` of a scalar is in the file. */
static struct policy_place inside(const struct doc *d, size_t offset)
{
    struct policy_place at = {d->line, d->column, 1};
    if (d->rewritten)
        return at;
    at.column += d->quoted;
    for (size_t i = 0; i < offset && i < d->text.n; i++)
        at.column += (d->text.p[i] & 0xC0) != 0x80;
    return at;
}

static bool same_attribute(struct span a, struct span b)
{
    return span_ieq(a, b);
}

void load_add_attribute(struct loader *l, const struct attr_path *path,
                        const struct doc *d)
{
    bool bare = path->urn.n == 0 || filter_urn_is_core(path->urn);
    struct span name =
        bare ? path->attr
             : span_of(path->urn.p, path->urn.n + 1 + path->attr.n);
    for (unsigned i = 0; i < l->attribute_count; i++)
        if (same_attribute(l->attributes[i], name))
            return;
    if (l->attribute_count < POLICY_ATTRIBUTES_MAX)
        l->attributes[l->attribute_count++] = name;
    else if (d != NULL)
        load_error(l, d, NULL, "more than %d attributes in all conditions",
                   POLICY_ATTRIBUTES_MAX);
}

struct path_visit {
    struct loader *l;
    const struct doc *d;
    enum load_scope scope;
};

static void visit_path(void *ctx, const struct attr_path *path)
{
    struct path_visit *v = ctx;
    switch (filter_path_source(path)) {
        case FILTER_RESOURCE: load_add_attribute(v->l, path, v->d); return;
        case FILTER_EVENT:
            if (v->scope != SCOPE_EVENT)
                load_error(v->l, v->d,
                           "only `where` of rules that tighten may look at "
                           "the event",
                           "event.%.*s cannot be used here", PRSPAN(path->sub));
            return;
        case FILTER_CALL:
            if (v->scope != SCOPE_CALL)
                load_error(v->l, v->d, "only gate rules see the tool call",
                           "%.*s%s%.*s cannot be used here", PRSPAN(path->attr),
                           path->sub.n > 0 ? "." : "", PRSPAN(path->sub));
            return;
    }
}

const struct filter *load_filter(struct loader *l, const struct doc *d,
                                 enum load_scope scope, struct span *ret_text)
{
    const struct filter *flt = NULL;
    struct fail f = {0};
    size_t at = 0;
    if (d->kind != DOC_TEXT) {
        load_error(l, d, "write it in quotes: 'active eq true'",
                   "a condition must be text, not %s", doc_kind_word(d->kind));
        return NULL;
    }
    int rc = filter_compile(l->m, d->text, &flt, &at, &f);
    l->no_memory = l->no_memory || rc == RC_NO_MEMORY;
    if (rc < 0) {
        note_at(l, inside(d, at), false, filter_advice(d->text, at), f.text);
        return NULL;
    }
    struct path_visit v = {l, d, scope};
    filter_visit(flt, visit_path, &v);
    if (ret_text != NULL)
        *ret_text = load_copy(l, d->text);
    return flt;
}
