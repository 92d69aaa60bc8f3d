// SPDX-License-Identifier: Apache-2.0
/*
 * The SCIM server of a test and what feeds say about it. Every event goes
 * through the same claims checks as a token from outside.
 */
#include "adapters/sources/set.h"
#include "sidecar/base/json_out.h"
#include "sidecar/policy_world_internal.h"

#define EVENT_BYTES_MAX (256 * 1024)
#define CORE_URN "urn:ietf:params:scim:schemas:core:2.0:"

/* ---- resources ---- */

static struct world_resource *find(const struct world *w, struct span uri)
{
    LIST_EACH (k, next, &w->resources) {
        struct world_resource *r = container_of(k, struct world_resource, link);
        if (span_eq(r->uri, uri))
            return r;
    }
    return NULL;
}

static struct span id_of(struct span uri)
{
    return span_sub(uri, span_find(uri, '/', 1) + 1, uri.n);
}

static struct doc *add(struct mem *m, struct doc *to, enum doc_kind kind,
                       struct span key)
{
    struct doc *d = doc_new(m, kind);
    if (d == NULL)
        return NULL;
    d->key = key;
    doc_append(to, d);
    return d;
}

static void add_text(struct mem *m, struct doc *to, struct span key,
                     struct span text)
{
    struct doc *d = add(m, to, DOC_TEXT, key);
    if (d != NULL)
        d->text = text;
}

/* What every resource of a SCIM server has and a test need not write. */
static void add_defaults(struct mem *m, struct doc *map,
                         const struct world_resource *r)
{
    static const char *const urns[] = {CORE_URN "Agent", CORE_URN "User",
                                       CORE_URN "Group"};
    if (doc_get(map, SPAN("id")) == NULL)
        add_text(m, map, SPAN("id"), id_of(r->uri));
    if (r->kind != SUBJECT_GROUP && doc_iget(map, SPAN("active")) == NULL) {
        struct doc *active = add(m, map, DOC_BOOL, SPAN("active"));
        if (active != NULL)
            active->truth = true;
    }
    if (doc_iget(map, SPAN("schemas")) != NULL)
        return;
    struct doc *schemas = add(m, map, DOC_LIST, SPAN("schemas"));
    if (schemas != NULL)
        add_text(m, schemas, SPAN(""), span_str(urns[r->kind]));
}

/* `old` with the members of `change` on top; null takes one away. */
static struct doc *merge(struct mem *m, const struct doc *old,
                         const struct doc *change)
{
    struct doc *map = doc_new(m, DOC_MAP);
    if (map == NULL)
        return NULL;
    DOC_EACH (it, old) {
        struct doc *d =
            doc_iget(change, it->key) == NULL ? doc_copy(m, it) : NULL;
        if (d != NULL)
            doc_append(map, d);
    }
    DOC_EACH (it, change) {
        struct doc *d = it->kind == DOC_NULL ? NULL : doc_copy(m, it);
        if (d != NULL)
            doc_append(map, d);
    }
    return map;
}

static void set_members(struct world *w, struct world_resource *r,
                        const struct doc *old, const struct doc *change)
{
    struct doc *map = merge(&w->arena.mem, old, change);
    if (map == NULL)
        return; /* the world is out of memory and will say so */
    add_defaults(&w->arena.mem, map, r);
    r->members = map;
    struct span written =
        doc_text(doc_iget(map, SPAN("meta")), SPAN("version"));
    r->version =
        written.n > 0 ? written : world_text(w, "v%u", ++w->version_count);
    r->state = TEST_THERE;
}

static struct world_resource *make(struct world *w, struct span uri,
                                   enum subject_kind kind)
{
    struct world_resource *r = mem_alloc(&w->arena.mem, sizeof *r);
    if (r == NULL)
        return NULL;
    r->uri = uri;
    r->kind = kind;
    list_push(&w->resources, &r->link);
    return r;
}

int world_add_resource(struct world *w, const struct test_resource *r)
{
    struct world_resource *to = make(w, r->uri, r->kind);
    if (to == NULL)
        return RC_NO_MEMORY;
    set_members(w, to, NULL, r->members);
    return 0;
}

void world_change(struct world *w, const struct test_resource *change)
{
    struct world_resource *r = find(w, change->uri);
    if (r == NULL)
        r = make(w, change->uri, change->kind);
    if (r == NULL)
        return;
    if (change->state == TEST_THERE)
        set_members(w, r, r->members, change->members);
    else
        r->state = change->state;
}

/* ---- resources that others refer to ---- */

static bool refers(const struct doc *list, struct span id)
{
    if (list != NULL && list->kind == DOC_MAP)
        return span_eq(doc_text(list, SPAN("value")), id);
    DOC_EACH (it, list)
        if (span_eq(doc_text(it, SPAN("value")), id))
            return true;
    return false;
}

/* Groups and owners of given agents exist; a group has who says so. */
static struct doc *members_of(struct world *w, struct span uri,
                              enum subject_kind kind)
{
    static const char *const keys[] = {"parent", "owners", "groups"};
    struct mem *m = &w->arena.mem;
    struct doc *list = NULL;
    LIST_EACH (k, next, &w->resources) {
        const struct world_resource *r =
            container_of(k, struct world_resource, link);
        if (!refers(doc_iget(r->members, span_str(keys[kind])), id_of(uri)))
            continue;
        if (list == NULL)
            list = doc_new(m, DOC_LIST);
        struct doc *one = list == NULL ? NULL : add(m, list, DOC_MAP, SPAN(""));
        if (one != NULL)
            add_text(m, one, SPAN("value"), id_of(r->uri));
    }
    if (list != NULL)
        list->key = SPAN("members");
    return list;
}

static struct span segment_of(struct span uri)
{
    return span_sub(uri, 1, span_find(uri, '/', 1));
}

static enum subject_kind kind_of(struct span uri)
{
    struct span s = segment_of(uri);
    return span_eq(s, SPAN(POLICY_TEST_GROUPS))  ? SUBJECT_GROUP
           : span_eq(s, SPAN(POLICY_TEST_USERS)) ? SUBJECT_USER
                                                 : SUBJECT_AGENT;
}

const struct world_resource *world_find(struct world *w, struct span uri)
{
    struct world_resource *r = find(w, uri);
    enum subject_kind kind = kind_of(uri);
    if (r != NULL && (kind != SUBJECT_GROUP || r->state != TEST_THERE ||
                      doc_iget(r->members, SPAN("members")) != NULL))
        return r;
    struct doc *list = members_of(w, uri, kind);
    if (list == NULL)
        return r;
    struct doc *change = doc_new(&w->arena.mem, DOC_MAP);
    struct world_resource *shown = mem_alloc(&w->arena.mem, sizeof *shown);
    if (change == NULL || shown == NULL)
        return r;
    if (kind == SUBJECT_GROUP)
        doc_append(change, list);
    *shown = (struct world_resource){.uri = uri, .kind = kind};
    set_members(w, shown, r == NULL ? NULL : r->members, change);
    return shown;
}

void world_note_read(struct world *w, struct span uri, const struct doc *read)
{
    struct world_resource *r = find(w, uri);
    if (r != NULL)
        r->read = read;
    if (w->coverage != NULL)
        coverage_read(w->coverage, kind_of(uri), read);
}

const struct doc *world_last_read(const struct world *w, struct span uri)
{
    const struct world_resource *r = find(w, uri);
    return r == NULL ? NULL : r->read;
}

/* ---- events ---- */

static void follow_data(struct world *w, struct world_resource *r,
                        const struct test_event *ev)
{
    if (doc_get(ev->data, SPAN("Operations")) != NULL)
        set_members(w, r, r->members, NULL); /* `read` says what came of it */
    else if (ev->type == EVENT_PATCH)
        set_members(w, r, r->members, ev->data);
    else
        set_members(w, r, NULL, ev->data);
}

static void set_active(struct world *w, struct world_resource *r, bool truth)
{
    struct doc active = {
        .kind = DOC_BOOL, .key = SPAN("active"), .truth = truth};
    struct doc change = {.kind = DOC_MAP};
    doc_append(&change, &active);
    set_members(w, r, r->members, &change);
}

/* The server is as the event says, unless `read` says otherwise. */
static void follow(struct world *w, const struct test_event *ev)
{
    struct world_resource *r = find(w, ev->uri);
    if (r == NULL && ev->type == EVENT_CREATE)
        r = make(w, ev->uri, kind_of(ev->uri));
    if (r == NULL)
        return;
    switch ((int)ev->type) {
        case EVENT_DELETE:
        case EVENT_RISC_ACCOUNT_PURGED: r->state = TEST_GONE; break;
        case EVENT_DEACTIVATE:
        case EVENT_RISC_ACCOUNT_DISABLED: set_active(w, r, false); break;
        case EVENT_ACTIVATE:
        case EVENT_RISC_ACCOUNT_ENABLED: set_active(w, r, true); break;
        case EVENT_CREATE:
        case EVENT_PUT:
        case EVENT_PATCH:
            if (ev->data != NULL)
                follow_data(w, r, ev);
            else
                set_members(w, r, r->members, NULL);
            break;
        default: break; /* it changes nothing on the server */
    }
}

static void follow_reads(struct world *w, const struct test_event *ev)
{
    bool own = false;
    for (unsigned i = 0; i < ev->read_count; i++) {
        world_change(w, &ev->reads[i]);
        own = own || span_eq(ev->reads[i].uri, ev->uri);
    }
    struct world_resource *r = find(w, ev->uri);
    if (r != NULL && ev->version.n > 0 && !own)
        r->version = ev->version;
}

static bool has_forms(enum event_type t)
{
    return t == EVENT_CREATE || t == EVENT_PATCH || t == EVENT_PUT;
}

static void put_data(struct json_out *j, const struct test_event *ev)
{
    const bool bare = doc_get(ev->data, SPAN("Operations")) != NULL &&
                      doc_get(ev->data, SPAN("schemas")) == NULL;
    if (!bare) {
        json_doc(j, "data", ev->data);
        return;
    }
    json_open_map(j, "data");
    json_open_list(j, "schemas");
    json_str(j, NULL, "urn:ietf:params:scim:api:messages:2.0:PatchOp");
    json_close_list(j);
    DOC_EACH (it, ev->data) {
        json_key(j, it->key);
        struct json_out inner = *j; /* the value stands behind its name */
        inner.comma[inner.depth] = false;
        json_doc(&inner, NULL, it);
    }
    json_close_map(j);
}

static void put_payload(struct json_out *j, const struct test_event *ev)
{
    char uri[SET_EVENT_URI_MAX];
    (void)snprintf(uri, sizeof uri, "%s%s", event_type_uri(ev->type),
                   !has_forms(ev->type) ? ""
                   : ev->data != NULL   ? ":full"
                                        : ":notice");
    json_open_map(j, uri);
    if (ev->version.n > 0)
        json_text(j, "version", ev->version);
    if (ev->data != NULL) {
        put_data(j, ev);
    } else if (has_forms(ev->type)) {
        json_open_list(j, "attributes");
        for (unsigned i = 0; i < ev->changed.count; i++)
            json_text(j, NULL, ev->changed.at[i]);
        json_close_list(j);
    }
    DOC_EACH (it, ev->payload) {
        char key[128];
        (void)snprintf(key, sizeof key, "%.*s", PRSPAN(it->key));
        json_doc(j, key, it);
    }
    json_close_map(j);
}

/* The payload of the token that a transmitter would send. */
static void put_claims(struct world *w, const struct test_event *ev,
                       struct buf *out)
{
    struct json_out j;
    char jti[32];
    (void)snprintf(jti, sizeof jti, "test-%u", ++w->event_count);
    json_out_init(&j, out);
    json_open_map(&j, NULL);
    json_str(&j, "iss", "https://idp.test");
    json_str(&j, "aud", "test");
    json_i64(&j, "iat", (driver_wall(&w->drive)) / 1000);
    json_str(&j, "jti", jti);
    json_str(&j, "txn", jti);
    json_open_map(&j, "sub_id");
    json_str(&j, "format", "scim");
    json_text(&j, "uri", ev->uri);
    json_close_map(&j);
    json_open_map(&j, "events");
    put_payload(&j, ev);
    json_close_map(&j);
    json_close_map(&j);
}

unsigned world_feed(const struct world *w, struct span name)
{
    for (unsigned i = 0; i < w->conf.feed_count; i++)
        if (span_eq(w->conf.feeds[i].name, name))
            return i;
    return 0;
}

static struct set_rules rules_of(const struct world *w,
                                 const struct test_event *ev,
                                 const struct span *audience)
{
    const struct engine_feed *feed = &w->conf.feeds[world_feed(w, ev->feed)];
    return (struct set_rules){
        .feed = feed->name,
        .issuer = feed->issuer,
        .audiences = audience,
        .audience_count = 1,
        .base = w->conf.bases[0].url,
        .types = {{SPAN(POLICY_TEST_AGENTS), SUBJECT_AGENT},
                  {SPAN(POLICY_TEST_USERS), SUBJECT_USER},
                  {SPAN(POLICY_TEST_GROUPS), SUBJECT_GROUP}},
        .type_count = 3,
    };
}

/* What event.* reads, as far as tests can say it. */
static void cover_event(struct world *w, const struct test_event *ev,
                        const struct event *said)
{
    struct mem *m = &w->arena.mem;
    struct doc *map = said->parts[0].payload == NULL
                          ? doc_new(m, DOC_MAP)
                          : doc_copy(m, said->parts[0].payload);
    if (map == NULL)
        return; /* the world is out of memory and will say so */
    add_text(m, map, SPAN("feed"), said->feed);
    add_text(m, map, SPAN("type"), span_str(event_type_name(ev->type)));
    coverage_event(w->coverage, ev->type, said->kind, map,
                   world_last_read(w, ev->uri));
}

void world_event(struct world *w, const struct test_step *step)
{
    const struct test_event *ev = &step->event;
    const struct span audience = SPAN("test");
    struct set_rules rules = rules_of(w, ev, &audience);
    struct set_result *found = mem_alloc(&w->arena.mem, sizeof *found);
    struct fail f = {0};
    struct buf claims;
    buf_init(&claims, &w->arena.mem, EVENT_BYTES_MAX);
    follow(w, ev);
    follow_reads(w, ev);
    put_claims(w, ev, &claims);
    if (found == NULL || !buf_ok(&claims)) {
        world_complain(w, step->line, "no room for the event");
        return;
    }
    if (set_claims(&w->arena.mem, &rules, buf_span(&claims),
                   driver_wall(&w->drive), found, &f) < 0) {
        world_complain(w, step->line, "the event would be refused: %s", f.text);
        return;
    }
    if (w->coverage != NULL)
        cover_event(w, ev, &found->event);
    struct in in = {.kind = IN_EVENT};
    in.event.token = ++w->token;
    in.event.event = &found->event;
    ignore_rc(driver_step(&w->drive, &in)); /* noted by the step */
}
