// SPDX-License-Identifier: Apache-2.0
/*
 * Who a SET is about: `sub_id` of format scim (RFC 9967 2.1) becomes a
 * subject; the formats of RFC 9493 and SSF are checked for shape only, nothing
 * here maps them to a resource.
 */
#include "adapters/sources/set_internal.h"

static bool is_id_byte(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '~' ||
           c == '-';
}

/* One path segment that is also a safe piece of a URL (T7). */
static bool is_segment(struct span s)
{
    size_t dots = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (!is_id_byte(s.p[i]))
            return false;
        dots += s.p[i] == '.';
    }
    return s.n > 0 && s.n <= SET_SEGMENT_MAX && dots < s.n;
}

static bool find_kind(const struct set_rules *rules, struct span segment,
                      enum subject_kind *ret)
{
    for (unsigned i = 0; i < rules->type_count; i++) {
        if (span_eq(rules->types[i].segment, segment)) {
            *ret = rules->types[i].kind;
            return true;
        }
    }
    return false;
}

int set_check_uri(const struct set_rules *rules, struct span uri,
                  enum subject_kind *ret, struct fail *f)
{
    if (uri.n > SUBJECT_URI_MAX || !span_starts(uri, SPAN("/")))
        return fail(f, RC_SYNTAX,
                    "sub_id.uri is not a path that starts with one slash");
    size_t slash = span_find(uri, '/', 1);
    struct span type = span_sub(uri, 1, slash);
    struct span id = span_sub(uri, slash + 1, uri.n);
    if (slash >= uri.n || !is_segment(type) || !is_segment(id))
        return fail(f, RC_SYNTAX,
                    "sub_id.uri is not /Type/id of plain characters");
    if (!find_kind(rules, type, ret))
        return fail(f, RC_DENIED, "sub_id.uri is of a type not in this feed");
    return 0;
}

/* 9967 1.9: a POST that failed has no resource, only an endpoint. */
static bool is_collection(const struct set_rules *rules, struct span uri)
{
    enum subject_kind kind;
    return span_starts(uri, SPAN("/")) &&
           find_kind(rules, span_sub(uri, 1, uri.n), &kind);
}

/* 9967-R5: `id` may repeat the last segment and must not contradict it. */
static int check_extra_id(struct set_work *w, struct span uri)
{
    const struct doc *id = doc_get(w->sub_id, SPAN("id"));
    if (id == NULL)
        return 0;
    struct span last = span_sub(uri, span_find(uri, '/', 1) + 1, uri.n);
    if (id->kind != DOC_TEXT || !span_eq(id->text, last))
        return set_refuse(w, SET_INVALID_REQUEST,
                          "sub_id.id is not the id "
                          "in sub_id.uri");
    return 0;
}

static int read_scim(struct set_work *w)
{
    const struct doc *uri = doc_get(w->sub_id, SPAN("uri"));
    const struct doc *external = doc_get(w->sub_id, SPAN("externalId"));
    enum subject_kind kind = SUBJECT_AGENT;
    if (uri == NULL || uri->kind != DOC_TEXT)
        return set_refuse(w, SET_INVALID_REQUEST, "sub_id has no uri");
    if (external != NULL && external->kind != DOC_TEXT)
        return set_refuse(w, SET_INVALID_REQUEST,
                          "sub_id.externalId is not a text");
    w->collection = is_collection(w->rules, uri->text);
    if (w->collection)
        return 0;
    struct fail why = {0};
    int rc = set_check_uri(w->rules, uri->text, &kind, &why);
    if (rc < 0)
        return set_refuse(
            w, rc == RC_DENIED ? SET_ACCESS_DENIED : SET_INVALID_REQUEST, "%s",
            why.text);
    TRY(check_extra_id(w, uri->text));
    w->event->kind = kind;
    w->event->uri = uri->text;
    w->event->has_subject = true;
    return 0;
}

/* 9493-R1: what each format must have, non-null and non-empty. */
static const struct {
    const char *format;
    const char *needs[2];
} formats[] = {
    {"account", {"uri", NULL}},
    {"email", {"email", NULL}},
    {"iss_sub", {"iss", "sub"}},
    {"opaque", {"id", NULL}},
    {"phone_number", {"phone_number", NULL}},
    {"did", {"url", NULL}},
    {"uri", {"uri", NULL}},
    {"scim", {"uri", NULL}},
    {"jwt_id", {"iss", "jti"}},
    {"saml_assertion_id", {"issuer", "assertion_id"}},
};

static bool has_needed(const struct doc *id, const char *const needs[2])
{
    for (unsigned i = 0; i < 2 && needs[i] != NULL; i++)
        if (doc_text(id, span_str(needs[i])).n == 0)
            return false;
    return true;
}

/* A subject identifier that is neither aliases nor complex. A format that is
 * not in the table only has to have a name (9493-R7). */
static bool is_simple(const struct doc *id)
{
    struct span format = doc_text(id, SPAN("format"));
    if (format.n == 0 || span_eq(format, SPAN("aliases")) ||
        span_eq(format, SPAN("complex")))
        return false;
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (span_eq(format, span_str(formats[i].format)))
            return has_needed(id, formats[i].needs);
    return true;
}

/* 9493-R3: at least one, no nesting, bounded (T26). */
static bool is_aliases(const struct doc *id)
{
    const struct doc *list = doc_get(id, SPAN("identifiers"));
    if (list == NULL || list->kind != DOC_LIST || list->count == 0 ||
        list->count > SET_SUBJECT_PARTS_MAX)
        return false;
    DOC_EACH (it, list)
        if (!is_simple(it))
            return false;
    return true;
}

/* SSF 3.3: every member but `format` is a simple identifier. */
static bool is_complex(const struct doc *id)
{
    if (id->count < 2 || id->count > SET_SUBJECT_PARTS_MAX)
        return false;
    DOC_EACH (it, id)
        if (!span_eq(it->key, SPAN("format")) && !is_simple(it))
            return false;
    return true;
}

static bool is_well_formed(const struct doc *id, struct span format)
{
    if (span_eq(format, SPAN("aliases")))
        return is_aliases(id);
    if (span_eq(format, SPAN("complex")))
        return is_complex(id);
    return is_simple(id);
}

int set_read_subject(struct set_work *w)
{
    w->sub_id = doc_get(w->claims, SPAN("sub_id"));
    if (w->sub_id == NULL || w->sub_id->kind != DOC_MAP)
        return set_refuse(w, SET_INVALID_REQUEST, "no sub_id object");
    struct span format = doc_text(w->sub_id, SPAN("format"));
    if (format.n == 0)
        return set_refuse(w, SET_INVALID_REQUEST, "sub_id has no format");
    if (span_eq(format, SPAN("scim")))
        return read_scim(w);
    if (!is_well_formed(w->sub_id, format))
        return set_refuse(w, SET_INVALID_REQUEST,
                          "sub_id lacks what its format needs");
    return 0;
}

struct span set_opaque_id(const struct set_work *w)
{
    if (!span_eq(doc_text(w->sub_id, SPAN("format")), SPAN("opaque")))
        return (struct span){NULL, 0};
    return doc_text(w->sub_id, SPAN("id"));
}
