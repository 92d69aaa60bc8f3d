// SPDX-License-Identifier: Apache-2.0
/*
 * The members of `events`: RFC 9967 payload rules, which attributes an event
 * touches, which group members it names; SSF, CAEP and RISC payloads as far as
 * their definitions require members. Unknown URIs are recorded, not refused
 * (8935-R14), and leave the subject stale (9967-R35).
 */
#include "adapters/sources/set_internal.h"

#define PATCH_OP_URN "urn:ietf:params:scim:api:messages:2.0:PatchOp"

/* ---- growing lists of what a part touches ------------------------------- */

struct collector {
    struct set_work *w;
    struct attr_path *paths;
    unsigned path_count, path_cap;
    bool anything; /* more than the list says may have changed */
    struct span *members;
    unsigned member_count, member_cap;
};

/* Makes room for one more element; false when there is no memory. */
static bool grow(struct mem *m, void **list, unsigned count, unsigned *cap,
                 size_t size)
{
    if (count < *cap)
        return true;
    unsigned next = *cap == 0 ? 8 : *cap * 2;
    void *p = mem_resize(m, *list, *cap * size, next * size);
    if (p == NULL)
        return false;
    *list = p;
    *cap = next;
    return true;
}

static int add_path(struct collector *c, struct attr_path path)
{
    if (c->path_count == EVENT_CHANGED_MAX) {
        c->anything = true;
        return 0;
    }
    void *list = c->paths;
    if (!grow(c->w->m, &list, c->path_count, &c->path_cap, sizeof path))
        return set_no_memory(c->w);
    c->paths = list;
    c->paths[c->path_count++] = path;
    return 0;
}

/* 9967-R20, 7644-R28: what cannot be parsed may be anything. */
static int add_path_text(struct collector *c, struct span text)
{
    struct attr_path path;
    int rc = attr_path_parse(c->w->m, text, &path, NULL);
    if (rc == RC_NO_MEMORY)
        return set_no_memory(c->w);
    if (rc < 0) {
        c->anything = true;
        return 0;
    }
    return add_path(c, path);
}

static int add_member(struct collector *c, const struct doc *d)
{
    struct span value =
        d->kind == DOC_TEXT ? d->text : doc_text(d, SPAN("value"));
    if (value.n == 0)
        return 0;
    if (c->member_count == SET_MEMBERS_MAX)
        return set_refuse(c->w, SET_INVALID_REQUEST,
                          "more than %d group members", SET_MEMBERS_MAX);
    void *list = c->members;
    if (!grow(c->w->m, &list, c->member_count, &c->member_cap, sizeof value))
        return set_no_memory(c->w);
    c->members = list;
    c->members[c->member_count++] = value;
    return 0;
}

/* `members` of a group: a list of {"value": id}, or a single one. */
static int add_members(struct collector *c, const struct doc *d)
{
    if (d == NULL || c->w->event->kind != SUBJECT_GROUP)
        return 0;
    if (d->kind != DOC_LIST)
        return add_member(c, d);
    DOC_EACH (it, d)
        TRY(add_member(c, it));
    return 0;
}

/* ---- what `attributes` and `data` touch --------------------------------- */

static int add_attributes(struct collector *c, const struct doc *list)
{
    if (list->kind != DOC_LIST)
        return set_refuse(c->w, SET_INVALID_REQUEST,
                          "attributes is not a list");
    DOC_EACH (it, list) {
        if (it->kind != DOC_TEXT)
            return set_refuse(c->w, SET_INVALID_REQUEST,
                              "attributes lists something that is no text");
        TRY(add_path_text(c, it->text));
    }
    return 0;
}

/* A member named by a URN: a schema extension with attributes inside, or one
 * qualified complex attribute. The text does not tell, so both are recorded. */
static int add_extension(struct collector *c, const struct doc *extension)
{
    struct attr_path path;
    int rc = attr_path_parse(c->w->m, extension->key, &path, NULL);
    if (rc == RC_NO_MEMORY)
        return set_no_memory(c->w);
    if (rc == 0)
        TRY(add_path(c, path));
    DOC_EACH (it, extension) {
        path = (struct attr_path){.urn = extension->key, .attr = it->key};
        TRY(add_path(c, path));
    }
    return 0;
}

static bool is_envelope_name(struct span name)
{
    return span_ieq(name, SPAN("schemas")) || span_ieq(name, SPAN("id")) ||
           span_ieq(name, SPAN("meta"));
}

/* The top-level names of a resource or of a PATCH value without path. */
static int add_names(struct collector *c, const struct doc *resource)
{
    DOC_EACH (it, resource) {
        if (is_envelope_name(it->key))
            continue;
        if (span_starts(it->key, SPAN("urn:")) && it->kind == DOC_MAP)
            TRY(add_extension(c, it));
        else
            TRY(add_path_text(c, it->key));
    }
    return add_members(c, doc_iget(resource, SPAN("members")));
}

/* "members" itself, with or without its schema in front. */
static bool is_members(const struct collector *c)
{
    if (c->path_count == 0)
        return false;
    const struct attr_path *p = &c->paths[c->path_count - 1];
    return span_ieq(p->attr, SPAN("members")) && p->sub.n == 0;
}

static bool is_known_op(struct span op)
{
    return span_ieq(op, SPAN("add")) || span_ieq(op, SPAN("remove")) ||
           span_ieq(op, SPAN("replace"));
}

/* One operation of a PatchOp (7644-R27). Odd ones are no reason to lose the
 * event: anything may have changed then. */
static int add_operation(struct collector *c, const struct doc *op)
{
    const struct doc *path = doc_iget(op, SPAN("path"));
    const struct doc *value = doc_iget(op, SPAN("value"));
    const struct doc *name = doc_iget(op, SPAN("op"));
    if (name == NULL || name->kind != DOC_TEXT || !is_known_op(name->text))
        c->anything = true;
    if (path == NULL && value != NULL && value->kind == DOC_MAP)
        return add_names(c, value);
    if (path == NULL || path->kind != DOC_TEXT) {
        c->anything = true;
        return 0;
    }
    unsigned before = c->path_count;
    TRY(add_path_text(c, path->text));
    if (c->path_count > before && is_members(c))
        return add_members(c, value);
    return 0;
}

static bool is_patch_op(const struct doc *d)
{
    const struct doc *schemas = doc_iget(d, SPAN("schemas"));
    DOC_EACH (it, schemas)
        if (it->kind == DOC_TEXT && span_ieq(it->text, SPAN(PATCH_OP_URN)))
            return true;
    return false;
}

static int add_patch(struct collector *c, const struct doc *d)
{
    const struct doc *operations = doc_iget(d, SPAN("Operations"));
    if (operations == NULL || operations->kind != DOC_LIST)
        return set_refuse(c->w, SET_INVALID_REQUEST,
                          "PatchOp without Operations");
    DOC_EACH (it, operations)
        TRY(add_operation(c, it));
    return 0;
}

/* `id` of a representation is the one of the subject (standards 1.6). */
static int check_data_id(struct set_work *w, const struct doc *d)
{
    const struct doc *id = doc_get(d, SPAN("id"));
    struct span uri = w->event->uri;
    struct span last = span_sub(uri, span_find(uri, '/', 1) + 1, uri.n);
    if (id != NULL && (id->kind != DOC_TEXT || !span_eq(id->text, last)))
        return set_refuse(w, SET_INVALID_REQUEST,
                          "data.id is not the id in sub_id.uri");
    return 0;
}

/* 9967-R22: PatchOp, PUT body or final representation. */
static int add_full(struct collector *c, const struct event_part *part,
                    const struct doc *d)
{
    if (d->kind != DOC_MAP)
        return set_refuse(c->w, SET_INVALID_REQUEST, "data is not an object");
    if (is_patch_op(d))
        return add_patch(c, d);
    TRY(check_data_id(c->w, d));
    /* Whatever a replaced resource no longer has was taken away, and its name
     * is not there to be read. Only a new resource lists all it has. */
    c->anything = c->anything || part->type != EVENT_CREATE;
    return add_names(c, d);
}

/* 9967-R12: notice has `attributes`, full has `data`, never both. */
static int read_change(struct set_work *w, struct event_part *part)
{
    const struct doc *names = doc_get(part->payload, SPAN("attributes"));
    const struct doc *full = doc_get(part->payload, SPAN("data"));
    struct collector c = {.w = w};
    if ((names != NULL) == (full != NULL))
        return set_refuse(w, SET_INVALID_REQUEST,
                          "not exactly one of data and attributes");
    if ((full != NULL) != (part->form == FORM_FULL))
        return set_refuse(w, SET_INVALID_REQUEST,
                          "event URI does not fit data or attributes");
    if (full != NULL)
        TRY(add_full(&c, part, full));
    else
        TRY(add_attributes(&c, names));
    part->changed = c.paths;
    part->changed_count = c.path_count;
    part->changed_anything = c.anything || c.path_count == 0;
    part->members = c.members;
    part->member_count = c.member_count;
    return 0;
}

/* ---- the other payloads ------------------------------------------------- */

/* 9967-R21: an opaque tag; W/ and quotes are dress. */
static int read_version(struct set_work *w, struct event_part *part)
{
    const struct doc *version = doc_get(part->payload, SPAN("version"));
    if (version == NULL)
        return 0;
    if (version->kind != DOC_TEXT)
        return set_refuse(w, SET_INVALID_REQUEST, "version is not a text");
    struct span tag = version->text;
    if (span_starts(tag, SPAN("W/")))
        tag = span_sub(tag, 2, tag.n);
    if (tag.n >= 2 && tag.p[0] == '"' && tag.p[tag.n - 1] == '"')
        tag = span_sub(tag, 1, tag.n - 1);
    part->version = tag;
    return 0;
}

/* "200", 200 or {"code": "200"} (7644 3.7.2); 0 when it is none of them. */
static uint64_t status_of(const struct doc *d)
{
    uint64_t status = 0;
    if (d != NULL && d->kind == DOC_MAP)
        d = doc_get(d, SPAN("code"));
    if (d == NULL)
        return 0;
    if (d->kind == DOC_INT && d->integer > 0)
        status = (uint64_t)d->integer;
    else if (d->kind == DOC_TEXT && !span_u64(d->text, &status))
        return 0;
    return status >= 100 && status <= 599 ? status : 0;
}

/* 9967-R25: one operation of a bulk response. */
static int check_asyncresp(struct set_work *w, const struct doc *payload)
{
    uint64_t status = status_of(doc_get(payload, SPAN("status")));
    const struct doc *response = doc_get(payload, SPAN("response"));
    if (doc_text(payload, SPAN("method")).n == 0)
        return set_refuse(w, SET_INVALID_REQUEST, "asyncresp without method");
    if (status == 0)
        return set_refuse(w, SET_INVALID_REQUEST,
                          "asyncresp without an HTTP status");
    if (status >= 300 && (response == NULL || response->kind != DOC_MAP))
        return set_refuse(w, SET_INVALID_REQUEST,
                          "asyncresp of a failure without response");
    return 0;
}

/* SSF 8.1.4.1 and 8.1.5: about the stream, which sub_id names. */
static int check_stream(struct set_work *w, const struct event_part *part)
{
    struct span id = set_opaque_id(w);
    if (id.n == 0)
        return set_refuse(w, SET_INVALID_REQUEST,
                          "sub_id of a stream event is not opaque");
    if (w->rules->stream_id.n > 0 && !span_eq(id, w->rules->stream_id))
        return set_refuse(w, SET_INVALID_REQUEST,
                          "sub_id names another stream");
    const struct doc *state = doc_get(part->payload, SPAN("state"));
    if (part->type == EVENT_SSF_VERIFICATION) {
        if (state != NULL && state->kind != DOC_TEXT)
            return set_refuse(w, SET_INVALID_REQUEST, "state is not a text");
        return 0;
    }
    struct span status = doc_text(part->payload, SPAN("status"));
    if (!span_eq(status, SPAN("enabled")) && !span_eq(status, SPAN("paused")) &&
        !span_eq(status, SPAN("disabled")))
        return set_refuse(w, SET_INVALID_REQUEST,
                          "status is not enabled, paused or disabled");
    w->event->stream_status = status;
    return 0;
}

/* Members that CAEP 3 and RISC 2 require. */
static const struct {
    enum event_type type;
    enum doc_kind kind;
    const char *names[2];
} required[] = {
    {EVENT_CAEP_TOKEN_CLAIMS_CHANGE, DOC_MAP, {"claims", NULL}},
    {EVENT_CAEP_CREDENTIAL_CHANGE,
     DOC_TEXT,
     {"credential_type", "change_type"}},
    {EVENT_CAEP_ASSURANCE_LEVEL_CHANGE,
     DOC_TEXT,
     {"namespace", "current_level"}},
    {EVENT_CAEP_DEVICE_COMPLIANCE_CHANGE,
     DOC_TEXT,
     {"previous_status", "current_status"}},
    {EVENT_CAEP_RISK_LEVEL_CHANGE, DOC_TEXT, {"principal", "current_level"}},
    {EVENT_RISC_CREDENTIAL_COMPROMISE, DOC_TEXT, {"credential_type", NULL}},
};

static int check_required(struct set_work *w, const struct event_part *part)
{
    for (size_t i = 0; i < sizeof required / sizeof required[0]; i++) {
        if (required[i].type != part->type)
            continue;
        for (unsigned n = 0; n < 2 && required[i].names[n] != NULL; n++) {
            const char *name = required[i].names[n];
            const struct doc *d = doc_get(part->payload, span_str(name));
            if (d == NULL || d->kind != required[i].kind)
                return set_refuse(w, SET_INVALID_REQUEST,
                                  "%s needs the member %s",
                                  event_type_name(part->type), name);
        }
    }
    return 0;
}

/* CAEP-R5: when it happened, where the envelope does not say. */
static int read_event_timestamp(struct set_work *w, const struct doc *payload)
{
    const struct doc *at = doc_get(payload, SPAN("event_timestamp"));
    int64_t ms;
    if (at == NULL)
        return 0;
    if (!set_time(at, &ms))
        return set_refuse(w, SET_INVALID_REQUEST,
                          "event_timestamp is not a NumericDate");
    if (w->event->toe_ms == EVENT_TIME_NONE)
        w->event->toe_ms = ms;
    return 0;
}

/* ---- one member of `events` --------------------------------------------- */

static bool is_scim(enum event_type t)
{
    return t <= EVENT_ASYNCRESP;
}

/* A name with a scheme (8417-R2), printable ASCII. */
static bool is_uri(struct span s)
{
    size_t colon = span_find(s, ':', 0);
    if (colon == 0 || colon + 1 >= s.n || s.n > SET_EVENT_URI_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool more = (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
        if (i < colon ? !(letter || (i > 0 && more)) : c <= ' ' || c > '~')
            return false;
    }
    return true;
}

/* 9967-R11: drafts wrote SCIM and asyncResp; the registry is lower case. */
static enum event_type type_of(struct set_work *w, struct span uri,
                               enum event_form *ret_form)
{
    enum event_type t = event_type_from_uri(uri, ret_form);
    const struct span prefix = SPAN(EVENT_URI_SCIM);
    if (t != EVENT_UNKNOWN || !w->rules->uri_aliases ||
        !span_ieq(span_sub(uri, 0, prefix.n), prefix))
        return t;
    unsigned char lower[SET_EVENT_URI_MAX];
    must(uri.n <= sizeof lower);
    for (size_t i = 0; i < uri.n; i++) {
        unsigned char c = uri.p[i];
        lower[i] = c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c;
    }
    return event_type_from_uri(span_of(lower, uri.n), ret_form);
}

/* SSF-R28: older types may repeat the subject, never another one. */
static int check_repeated_subject(struct set_work *w, const struct doc *payload)
{
    const struct doc *subject = doc_get(payload, SPAN("subject"));
    if (subject != NULL && subject->kind == DOC_MAP &&
        !doc_eq(subject, w->sub_id))
        return set_refuse(w, SET_INVALID_REQUEST,
                          "subject in the payload is not sub_id");
    return 0;
}

/* 9967-R3: a SCIM event is about a SCIM resource. */
static int check_scim_subject(struct set_work *w, enum event_type t)
{
    if (w->event->has_subject || (w->collection && t == EVENT_ASYNCRESP))
        return 0;
    return set_refuse(w, SET_INVALID_REQUEST,
                      "sub_id does not name a SCIM resource");
}

static int read_scim_part(struct set_work *w, struct event_part *part)
{
    TRY(check_scim_subject(w, part->type));
    TRY(read_version(w, part));
    if (part->form != FORM_PLAIN)
        return read_change(w, part);
    return part->type == EVENT_ASYNCRESP ? check_asyncresp(w, part->payload)
                                         : 0;
}

static int read_part(struct set_work *w, const struct doc *member,
                     struct event_part *part)
{
    if (!is_uri(member->key))
        return set_refuse(w, SET_INVALID_REQUEST,
                          "an event name is not a URI of at most %d bytes",
                          SET_EVENT_URI_MAX);
    if (member->kind != DOC_MAP)
        return set_refuse(w, SET_INVALID_REQUEST,
                          "an event payload is not an object");
    part->uri = member->key;
    part->payload = member;
    part->type = type_of(w, member->key, &part->form);
    TRY(check_repeated_subject(w, member));
    if (is_scim(part->type))
        return read_scim_part(w, part);
    if (w->collection)
        return set_refuse(w, SET_INVALID_REQUEST,
                          "sub_id.uri is not /Type/id of plain characters");
    if (part->type == EVENT_SSF_VERIFICATION ||
        part->type == EVENT_SSF_STREAM_UPDATED)
        return check_stream(w, part);
    part->changed_anything = part->type == EVENT_UNKNOWN; /* 9967-R35 */
    if (part->type == EVENT_UNKNOWN)
        return 0;
    TRY(check_required(w, part));
    return read_event_timestamp(w, member);
}

int set_read_parts(struct set_work *w)
{
    const struct doc *events = doc_get(w->claims, SPAN("events"));
    if (events == NULL || events->kind != DOC_MAP || events->count == 0)
        return set_refuse(w, SET_INVALID_REQUEST, "no events object");
    if (events->count > EVENT_PARTS_MAX)
        return set_refuse(w, SET_INVALID_REQUEST, "%u events, at most %d",
                          events->count, EVENT_PARTS_MAX);
    DOC_EACH (it, events) {
        struct event_part *part = &w->event->parts[w->event->part_count];
        TRY(read_part(w, it, part));
        w->event->part_count++;
    }
    return 0;
}
