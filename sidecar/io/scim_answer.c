// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/scim_answer.h"

#include <string.h>

#include "adapters/json_doc.h"
#include "sidecar/core/event.h"

#define ATTRIBUTES_MAX 4096

static bool unreserved(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
           (c >= 'a' && c <= 'z') || c == '-' || c == '.' || c == '_' ||
           c == '~';
}

/* Two or more segments, none of them empty or made of dots only. */
static int check_uri(struct span uri, struct fail *f)
{
    unsigned segments = 0;
    if (uri.n == 0 || uri.p[0] != '/' || uri.n > SUBJECT_URI_MAX)
        return fail(f, RC_INVALID, "no resource URI");
    for (size_t at = 1; at <= uri.n; segments++) {
        size_t end = span_find(uri, '/', at);
        struct span seg = span_sub(uri, at, end);
        if (seg.n == 0 || span_eq(seg, SPAN(".")) || span_eq(seg, SPAN("..")))
            return fail(f, RC_INVALID, "a resource URI with empty segments");
        for (size_t i = 0; i < seg.n; i++)
            if (!unreserved(seg.p[i]))
                return fail(f, RC_INVALID, "byte %02x in a resource URI",
                            seg.p[i]);
        at = end + 1;
    }
    return segments >= 2 ? 0 : fail(f, RC_INVALID, "a resource URI without id");
}

/* Names, sub-attributes, URNs and commas; `meta` is added once. */
static int put_attributes(struct buf *out, struct span list, struct fail *f)
{
    bool meta = false;
    if (list.n > ATTRIBUTES_MAX)
        return fail(f, RC_INVALID, "too many attributes to ask for");
    for (size_t at = 0; at < list.n;) {
        size_t end = span_find(list, ',', at);
        meta = meta || span_ieq(span_sub(list, at, end), SPAN("meta"));
        at = end + 1;
    }
    for (size_t i = 0; i < list.n; i++) {
        unsigned char c = list.p[i];
        if (!unreserved(c) && c != ',' && c != ':' && c != '$')
            return fail(f, RC_INVALID, "byte %02x in an attribute name", c);
    }
    buf_put_str(out, "?attributes=");
    buf_put(out, list);
    if (!meta)
        buf_put_str(out, ",meta");
    return 0;
}

int scim_url_put(struct buf *out, struct span base, struct span uri,
                 struct span attributes, struct fail *f)
{
    TRY(check_uri(uri, f));
    buf_put(out, base);
    buf_put(out, uri);
    if (attributes.n > 0)
        TRY(put_attributes(out, attributes, f));
    return buf_ok(out) ? 0 : fail(f, RC_INVALID, "too long a URL");
}

/* RFC 7643 2.1: names ignore case, so `active` beside `Active` says two
 * things, and which one would be heard is not for the server to choose. */
static int check_names(const struct doc *map, struct fail *f)
{
    if (map->count > SCIM_MEMBERS_MAX)
        return fail(f, RC_TOO_LARGE, "an object of %u members", map->count);
    DOC_EACH (a, map)
        for (const struct doc *b = a->next; b != NULL; b = b->next)
            if (span_ieq(a->key, b->key))
                return fail(f, RC_PROTOCOL, "the answer has \"%.*s\" twice",
                            PRSPAN(b->key));
    return 0;
}

static int check_all_names(const struct doc *d, struct fail *f)
{
    const struct doc *rest[DOC_DEPTH_MAX + 1]; /* siblings to come back to */
    unsigned depth = 0;
    while (d != NULL || depth > 0) {
        if (d == NULL) {
            /* cppcheck-suppress uninitvar ; filled up to `depth` */
            d = rest[--depth];
            continue;
        }
        if (d->kind == DOC_MAP)
            TRY(check_names(d, f));
        const struct doc *down = d->count > 0 ? d->first : NULL;
        if (down != NULL) {
            must(depth <= DOC_DEPTH_MAX);
            rest[depth++] = d->next;
        }
        d = down != NULL ? down : d->next;
    }
    return 0;
}

int scim_answer_parse(struct mem *m, struct span body, struct span id,
                      const struct doc **ret, struct fail *f)
{
    const struct doc *d;
    TRY(json_doc_parse(m, body, SCIM_BODY_BYTES_MAX, &d, f));
    if (d->kind != DOC_MAP)
        return fail(f, RC_PROTOCOL, "a resource is an object, not a %s",
                    doc_kind_word(d->kind));
    TRY(check_all_names(d, f));
    const struct doc *schemas = doc_iget(d, SPAN("schemas"));
    if (schemas != NULL && schemas->kind != DOC_LIST)
        return fail(f, RC_PROTOCOL, "schemas is a %s",
                    doc_kind_word(schemas->kind));
    const struct doc *got = doc_iget(d, SPAN("id"));
    if (got == NULL || got->kind != DOC_TEXT || !span_eq(got->text, id))
        return fail(f, RC_PROTOCOL, "the answer is about another resource");
    *ret = d;
    return 0;
}

int scim_status_fail(unsigned status, struct fail *f)
{
    if (status == 429 || status == 408 || status >= 500)
        return fail(f, RC_UNAVAILABLE, "the SCIM server answered %u", status);
    if (status >= 400)
        return fail(f, RC_REFUSED, "the SCIM server answered %u", status);
    if (status >= 300)
        return fail(f, RC_PROTOCOL, "redirect (%u) is not followed", status);
    return fail(f, RC_PROTOCOL, "status %u to a read", status);
}

struct span scim_etag(struct mem *m, struct span raw)
{
    struct span s = span_trim(raw);
    if (span_starts(s, SPAN("W/")))
        s = span_sub(s, 2, s.n);
    if (s.n < 2 || s.n > 1024 || s.p[0] != '"' || s.p[s.n - 1] != '"')
        return SPAN("");
    for (size_t i = 1; i + 1 < s.n; i++) /* RFC 9110 8.8.3 etagc */
        if (s.p[i] <= 0x20 || s.p[i] == '"' || s.p[i] == 0x7f)
            return SPAN("");
    unsigned char *p = mem_alloc(m, s.n + 2);
    if (p == NULL)
        return SPAN("");
    memcpy(p, "W/", 2);
    memcpy(p + 2, s.p, s.n);
    return span_of(p, s.n + 2);
}
