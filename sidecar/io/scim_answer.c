// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/scim_answer.h"

#include <string.h>

#include "adapters/json_doc.h"
#include "sidecar/base/json_out.h"
#include "sidecar/core/event.h"

#define ATTRIBUTES_MAX 4096
#define LIST_SCHEMA "urn:ietf:params:scim:api:messages:2.0:ListResponse"
#define SEARCH_SCHEMA "urn:ietf:params:scim:api:messages:2.0:SearchRequest"

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

/* Names, sub-attributes, URNs and commas. */
static int check_attributes(struct span list, struct fail *f)
{
    if (list.n > ATTRIBUTES_MAX)
        return fail(f, RC_INVALID, "too many attributes to ask for");
    for (size_t i = 0; i < list.n; i++) {
        unsigned char c = list.p[i];
        if (!unreserved(c) && c != ',' && c != ':' && c != '$')
            return fail(f, RC_INVALID, "byte %02x in an attribute name", c);
    }
    return 0;
}

static struct span next_name(struct span list, size_t *at)
{
    size_t from = *at, end = span_find(list, ',', from);
    *at = end + 1;
    return span_sub(list, from, end);
}

/* It is added where the list does not have it. */
static bool has_meta(struct span list)
{
    for (size_t at = 0; at < list.n;)
        if (span_ieq(next_name(list, &at), SPAN("meta")))
            return true;
    return false;
}

static int put_attributes(struct buf *out, struct span list, struct fail *f)
{
    TRY(check_attributes(list, f));
    buf_put_str(out, "?attributes=");
    buf_put(out, list);
    if (!has_meta(list))
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

/* In all that is inside of `root`. */
static int check_all_names(const struct doc *root, struct fail *f)
{
    const struct doc *rest[DOC_DEPTH_MAX + 1]; /* siblings to come back to */
    const struct doc *d = root->count > 0 ? root->first : NULL;
    unsigned depth = 0;
    TRY(root->kind == DOC_MAP ? check_names(root, f) : 0);
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

/* Can this be a resource at all? */
static int check_resource(const struct doc *d, struct fail *f)
{
    if (d->kind != DOC_MAP)
        return fail(f, RC_PROTOCOL, "a resource is an object, not a %s",
                    doc_kind_word(d->kind));
    TRY(check_all_names(d, f));
    const struct doc *schemas = doc_iget(d, SPAN("schemas"));
    if (schemas != NULL && schemas->kind != DOC_LIST)
        return fail(f, RC_PROTOCOL, "schemas is a %s",
                    doc_kind_word(schemas->kind));
    return 0;
}

int scim_answer_parse(struct mem *m, struct span body, struct span id,
                      const struct doc **ret, struct fail *f)
{
    const struct doc *d;
    TRY(json_doc_parse(m, body, SCIM_BODY_BYTES_MAX, &d, f));
    TRY(check_resource(d, f));
    const struct doc *got = doc_iget(d, SPAN("id"));
    if (got == NULL || got->kind != DOC_TEXT || !span_eq(got->text, id))
        return fail(f, RC_PROTOCOL, "the answer is about another resource");
    *ret = d;
    return 0;
}

struct span scim_version(struct mem *m, const struct doc *resource)
{
    return scim_etag(
        m, doc_text(doc_iget(resource, SPAN("meta")), SPAN("version")));
}

/* ------------------------------------------------------------------- lists */

/* "/Agents/7" as "/Agents" and "7"; neither escapes anything, because
 * check_uri lets nothing pass that would need it. */
static bool split_uri(struct span uri, struct span *ret_type,
                      struct span *ret_id)
{
    struct fail f;
    if (check_uri(uri, &f) < 0)
        return false;
    size_t slash = span_find(uri, '/', 1);
    *ret_type = span_sub(uri, 0, slash);
    *ret_id = span_sub(uri, slash + 1, uri.n);
    return span_find(*ret_id, '/', 0) == ret_id->n;
}

int scim_ids_new(struct mem *m, const struct span *uris, unsigned count,
                 struct scim_ids **ret, struct fail *f)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < count; i++)
        bytes += uris[i].n;
    struct scim_ids *ids =
        mem_alloc(m, sizeof *ids + count * sizeof ids->at[0] + bytes);
    if (ids == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for a list read");
    unsigned char *place = (unsigned char *)&ids->at[count];
    ids->type = SPAN("");
    ids->count = count;
    for (unsigned i = 0; i < count; i++) {
        struct span type, id;
        ids->at[i] = SPAN("");
        if (!split_uri(uris[i], &type, &id))
            continue;
        if (ids->type.n == 0)
            ids->type = mem_place(&place, type);
        if (span_eq(type, ids->type))
            ids->at[i] = mem_place(&place, id);
    }
    if (ids->type.n == 0) {
        mem_release(m, ids);
        return fail(f, RC_INVALID, "nothing that a list can ask for");
    }
    *ret = ids;
    return 0;
}

static void put_filter(struct buf *out, const struct scim_ids *ids)
{
    const char * or = "";
    for (unsigned i = 0; i < ids->count; i++) {
        if (ids->at[i].n == 0)
            continue;
        buf_printf(out, "%sid eq \"%.*s\"", or, PRSPAN(ids->at[i]));
        or = " or ";
    }
}

int scim_search_put(struct buf *out, const struct scim_ids *ids,
                    struct span attributes, struct fail *f)
{
    struct json_out j;
    struct buf filter;
    TRY(check_attributes(attributes, f));
    buf_init(&filter, out->mem, SCIM_BODY_BYTES_MAX);
    put_filter(&filter, ids);
    json_out_init(&j, out);
    json_open_map(&j, NULL);
    json_open_list(&j, "schemas");
    json_str(&j, NULL, SEARCH_SCHEMA);
    json_close_list(&j);
    json_open_list(&j, "attributes");
    for (size_t at = 0; at < attributes.n;)
        json_text(&j, NULL, next_name(attributes, &at));
    if (!has_meta(attributes))
        json_str(&j, NULL, "meta");
    json_close_list(&j);
    json_text(&j, "filter", buf_span(&filter));
    json_u64(&j, "startIndex", 1);
    json_u64(&j, "count", ids->count);
    json_close_map(&j);
    bool fits = buf_ok(&filter) && buf_ok(out);
    buf_fini(&filter);
    return fits ? 0 : fail(f, RC_INVALID, "too long a query");
}

static bool is_list_response(const struct doc *d)
{
    DOC_EACH (it, doc_iget(d, SPAN("schemas")))
        if (it->kind == DOC_TEXT && span_ieq(it->text, SPAN(LIST_SCHEMA)))
            return true;
    return false;
}

/* Two of one id contradict each other: neither counts. `meta` was asked for:
 * what comes without it is not an answer to that. */
static bool take_listed(struct mem *m, const struct scim_ids *ids,
                        const struct doc *resource, struct scim_listed *ret)
{
    struct fail f;
    const struct doc *id = doc_iget(resource, SPAN("id"));
    unsigned i = 0;
    if (id == NULL || id->kind != DOC_TEXT || id->text.n == 0)
        return false;
    while (i < ids->count && !span_eq(ids->at[i], id->text))
        i++;
    if (i == ids->count)
        return false;
    const struct doc *meta = doc_iget(resource, SPAN("meta"));
    bool good = !ret[i].seen && check_resource(resource, &f) == 0 &&
                meta != NULL && meta->kind == DOC_MAP;
    ret[i].seen = true;
    ret[i].doc = good ? resource : NULL;
    ret[i].etag = good ? scim_version(m, resource) : SPAN("");
    return true;
}

int scim_list_parse(struct mem *m, struct span body, const struct scim_ids *ids,
                    struct scim_listed *ret, unsigned *ret_foreign,
                    struct fail *f)
{
    const struct doc *d;
    unsigned found = 0;
    TRY(json_doc_parse(m, body, SCIM_BODY_BYTES_MAX, &d, f));
    if (d->kind != DOC_MAP || !is_list_response(d))
        return fail(f, RC_PROTOCOL, "the answer is not a ListResponse");
    TRY(check_names(d, f));
    const struct doc *all = doc_iget(d, SPAN("Resources"));
    if (all != NULL && all->count > ids->count)
        return fail(f, RC_TOO_LARGE, "%u resources, asked for %u", all->count,
                    ids->count);
    memset(ret, 0, ids->count * sizeof *ret);
    *ret_foreign = 0;
    DOC_EACH (it, all != NULL && all->kind == DOC_LIST ? all : NULL)
        *ret_foreign += !take_listed(m, ids, it, ret);
    for (unsigned i = 0; i < ids->count; i++)
        found += ret[i].doc != NULL;
    return found > 0 ? 0
                     : fail(f, RC_PROTOCOL,
                            "the list has nothing of what was "
                            "asked for");
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
