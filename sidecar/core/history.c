// SPDX-License-Identifier: Apache-2.0
#include "sidecar/core/history.h"

#include "sidecar/core/engine_internal.h"

#define NAMED_BYTES_MAX (512 * 1024)
#define HOUR_MS 3600000
/* Of one slice of what is known; what the last slot adds fits as well. */
#define KNOWN_BYTES (64u * 1024)
#define KNOWN_SLOTS_MAX 4096

void history_init(struct history *h, struct mem *m)
{
    h->mem = m;
    arena_init(&h->arena, m, NAMED_BYTES_MAX);
    buf_init(&h->text, m, HISTORY_TEXT_BYTES_MAX);
}

void history_fini(struct history *h)
{
    arena_fini(&h->arena);
    buf_fini(&h->text);
}

struct span history_take(struct history *h)
{
    struct span text = buf_ok(&h->text) ? buf_span(&h->text) : SPAN("");
    h->text.n = 0;
    h->text.failed = false;
    return text;
}

/* ---- writing one entry ---- */

/* `n` orders entries and the decisions of the log, whose ids come from the
 * same counter. */
static void open_entry(struct engine *e, struct json_out *j, const char *kind)
{
    json_out_init(j, &e->history.text);
    json_open_map(j, NULL);
    json_i64(j, "t", e->in->wall_ms);
    json_u64(j, "n", e->boot << ENGINE_EPOCH_BOOT_SHIFT | e->next_id);
    json_str(j, "kind", kind);
}

static void close_entry(struct engine *e, struct json_out *j)
{
    json_close_map(j);
    buf_put_u8(&e->history.text, '\n');
}

/* False when what was written since `from` is too much: it is taken back. */
static bool fits(struct engine *e, size_t from)
{
    struct buf *text = &e->history.text;
    if (buf_ok(text) && text->n - from <= HISTORY_ENTRY_BYTES_MAX)
        return true;
    text->n = from;
    text->failed = false;
    return false;
}

/* ---- which policy, and what it names ---- */

static void put_mentions(struct engine *e, const char *key, unsigned from,
                         struct json_out *j)
{
    const struct mentions *t = &e->history.named;
    json_open_list(j, key);
    for (unsigned i = from; i < t->resource_count; i++) {
        buf_clear(&e->scratch);
        mention_print(&t->resource[i], &e->scratch);
        json_text(j, NULL, buf_span(&e->scratch));
    }
    json_close_list(j);
}

static void put_named(struct engine *e)
{
    struct history *h = &e->history;
    struct json_out j;
    open_entry(e, &j, "policy");
    json_text(&j, "digest",
              e->policy->digest_hex[0] == 0
                  ? SPAN("built-in")
                  : span_of(e->policy->digest_hex, 16));
    json_i64(&j, "since", h->named_ms);
    put_mentions(e, "resource", 0, &j);
    if (h->own_count < h->named.resource_count)
        put_mentions(e, "also", h->own_count, &j);
    json_open_list(&j, "event");
    for (unsigned i = 0; i < h->named.event_count; i++)
        json_text(&j, NULL, h->named.event[i]);
    json_close_list(&j);
    close_entry(e, &j);
}

/* Written again every hour: rows grow old and are deleted one by one, and who
 * reads the rest must know what it holds. */
static void tell_named(struct engine *e)
{
    struct history *h = &e->history;
    int64_t hour = e->in->wall_ms / HOUR_MS;
    if (!h->news && hour == h->told_hour)
        return;
    put_named(e);
    h->told_hour = hour;
    h->news = false;
}

static bool has_name(struct names n, struct span name)
{
    for (unsigned i = 0; i < n.count; i++)
        if (span_ieq(n.at[i], name))
            return true;
    return false;
}

/* The policy's own are never left out: it decides by them. */
static bool ask_for_all(struct history *h, const struct policy *own)
{
    const struct names more = h->also->attributes;
    struct span *at =
        mem_array(&h->arena.mem, (size_t)own->attributes.count + more.count + 1,
                  sizeof *at);
    size_t bytes = 0;
    if (at == NULL)
        return false;
    h->asked = (struct names){at, 0};
    for (unsigned i = 0; i < own->attributes.count; i++) {
        at[h->asked.count++] = own->attributes.at[i];
        bytes += own->attributes.at[i].n + 1;
    }
    for (unsigned i = 0; i < more.count; i++) {
        if (has_name(h->asked, more.at[i]))
            continue;
        bytes += more.at[i].n + 1;
        if (bytes > HISTORY_ASKED_BYTES_MAX)
            return false;
        at[h->asked.count++] = more.at[i];
    }
    return true;
}

/* What finds no room is not kept, and the entry says what is. */
static void name_all(struct history *h, const struct policy *own)
{
    arena_clear(&h->arena);
    h->named = (struct mentions){.resource = NULL};
    h->asked = own->attributes;
    int rc = mentions_add(&h->arena.mem, &h->named, own);
    h->own_count = h->named.resource_count;
    if (rc < 0 || h->also == NULL)
        return;
    rc = mentions_add(&h->arena.mem, &h->named, h->also);
    if (rc == 0 && ask_for_all(h, own))
        return;
    h->named.resource_count = h->own_count;
    h->asked = own->attributes;
}

bool history_is_whole(const struct engine *e, const struct read_state *read)
{
    const struct history *h = &e->history;
    return h->asked.count == e->policy->attributes.count ||
           (read->wide && read->start_input >= h->asked_stamp);
}

void history_policy(struct engine *e)
{
    struct history *h = &e->history;
    name_all(h, e->policy);
    h->asked_stamp = e->input;
    h->named_ms = e->in->wall_ms;
    h->news = true;
    tell_named(e);
}

void history_start(struct engine *e)
{
    struct json_out j;
    open_entry(e, &j, "start");
    json_u64(&j, "boot", e->boot);
    close_entry(e, &j);
}

/* ---- statements ---- */

static void put_path(struct engine *e, const struct attr_path *p,
                     struct json_out *j)
{
    const struct mention n = {.urn = p->urn, .attr = p->attr, .sub = p->sub};
    buf_clear(&e->scratch);
    mention_print(&n, &e->scratch);
    json_text(j, NULL, buf_span(&e->scratch));
}

static void put_part(struct engine *e, const struct event_part *part,
                     bool head_only, struct json_out *j)
{
    json_open_map(j, NULL);
    json_str(j, "type", event_type_name(part->type));
    json_text(j, "uri", part->uri);
    if (part->version.n > 0)
        json_text(j, "version", part->version);
    if (part->changed_anything || head_only)
        json_bool(j, "anything", true);
    json_open_list(j, "changed");
    for (unsigned i = 0; i < part->changed_count && !head_only; i++)
        put_path(e, &part->changed[i], j);
    json_close_list(j);
    if (part->member_count > 0 && !head_only) {
        json_open_list(j, "members");
        for (unsigned i = 0; i < part->member_count; i++)
            json_text(j, NULL, part->members[i]);
        json_close_list(j);
    }
    if (part->payload != NULL && !head_only)
        mentions_put_payload(&e->history.named, part->payload, j, "payload");
    json_close_map(j);
}

static void put_time(struct json_out *j, const char *key, int64_t wall_ms)
{
    if (wall_ms != EVENT_TIME_NONE)
        json_i64(j, key, wall_ms);
}

static void put_event(struct engine *e, const struct event *ev, bool dirty,
                      bool head_only)
{
    struct json_out j;
    open_entry(e, &j, "event");
    json_text(&j, "feed", ev->feed);
    json_text(&j, "iss", ev->issuer);
    json_text(&j, "jti", ev->jti);
    if (ev->txn.n > 0)
        json_text(&j, "txn", ev->txn);
    if (ev->has_subject) {
        json_text(&j, "base", ev->base);
        json_text(&j, "uri", ev->uri);
        json_str(&j, "subject_kind", subject_kind_word(ev->kind));
    }
    if (ev->stream_status.n > 0)
        json_text(&j, "status", ev->stream_status);
    put_time(&j, "iat", ev->iat_ms);
    put_time(&j, "toe", ev->toe_ms);
    json_hex(&j, "payload", span_of(ev->payload_hash, 8));
    if (dirty)
        json_bool(&j, "dirty", true);
    if (head_only)
        json_bool(&j, "cut", true);
    json_open_list(&j, "parts");
    for (unsigned i = 0; i < ev->part_count; i++)
        put_part(e, &ev->parts[i], head_only, &j);
    json_close_list(&j);
    close_entry(e, &j);
}

void history_event(struct engine *e, const struct event *ev, bool dirty)
{
    tell_named(e);
    size_t from = e->history.text.n;
    put_event(e, ev, dirty, false);
    if (fits(e, from))
        return;
    put_event(e, ev, dirty, true);
    (void)fits(e, from);
}

/* ---- reads ---- */

struct reading {
    const char *result;
    int64_t took_ms;
    struct span etag;
    const struct doc *resource; /* NULL: nothing was found */
    bool whole;                 /* all that is named was asked for */
};

static void put_read(struct engine *e, const struct subject *s,
                     const struct reading *r, bool cut)
{
    struct json_out j;
    open_entry(e, &j, "read");
    json_text(&j, "base", base_url(e, s));
    json_text(&j, "uri", s->uri);
    json_str(&j, "subject_kind", subject_kind_word(s->kind));
    json_str(&j, "result", r->result);
    json_i64(&j, "took", r->took_ms);
    if (r->etag.n > 0)
        json_text(&j, "etag", r->etag);
    if (r->resource != NULL && !r->whole)
        json_bool(&j, "partial", true);
    if (cut)
        json_bool(&j, "cut", true);
    else if (r->resource != NULL)
        mentions_put_resource(&e->history.named, r->resource, &j, "resource");
    close_entry(e, &j);
}

static void put_read_that_fits(struct engine *e, const struct subject *s,
                               const struct reading *r)
{
    size_t from = e->history.text.n;
    put_read(e, s, r, false);
    if (fits(e, from))
        return;
    put_read(e, s, r, true);
    (void)fits(e, from);
}

void history_read(struct engine *e, const struct subject *s, const char *result,
                  const struct doc *resource)
{
    const struct read_state *read = &subject_rare(s)->read;
    const struct reading r = {.result = result,
                              .took_ms = e->in->now_ms - read->start_ms,
                              .etag = e->in->read.etag,
                              .resource = resource,
                              .whole = history_is_whole(e, read)};
    tell_named(e);
    put_read_that_fits(e, s, &r);
}

/* ---- what is known already ---- */

/* An old read does not say that it is partial: its time does. */
static void put_known(struct engine *e, const struct subject *s)
{
    struct standing st;
    standing_of(e, s, e->policy->max_age_ms, &st);
    if (s->attrs == NULL || !s->known || st.stale)
        return;
    const struct attrs_place place = attrs_open(&e->subjects.attrs);
    const struct reading r = {
        .result = "qualified",
        .took_ms = e->in->now_ms - s->read_ms,
        .etag = span_str((const char *)s->etag),
        .resource = subject_attrs(e, s),
        .whole = s->attrs_wide || s->read_input < e->history.asked_stamp};
    if (r.resource != NULL)
        put_read_that_fits(e, s, &r);
    attrs_close(&e->subjects.attrs, place);
}

bool engine_put_known(struct engine *e, int64_t now_ms, int64_t wall_ms,
                      size_t *at, struct buf *out)
{
    const struct map *all = &e->subjects.by_key;
    const struct in in = {
        .kind = IN_TICK, .now_ms = now_ms, .wall_ms = wall_ms};
    const struct in *before = e->in;
    e->in = &in;
    for (unsigned n = 0; *at < all->slot_count && n < KNOWN_SLOTS_MAX &&
                         e->history.text.n < KNOWN_BYTES;
         n++, (*at)++)
        for (struct map_link *k = map_slot(all, *at); k != NULL; k = k->next)
            put_known(e, container_of(k, struct subject, link));
    e->in = before;
    buf_put(out, history_take(&e->history));
    return *at < all->slot_count;
}

/* ---- people ---- */

/* Who it was and why is in the decision log. The cause of an operator's own
 * hold has the person's name in it. */
void history_operator(struct engine *e, const char *verb)
{
    const struct in_operator *in = &e->in->operator;
    struct json_out j;
    tell_named(e);
    size_t from = e->history.text.n;
    open_entry(e, &j, "operator");
    json_str(&j, "verb", verb);
    json_text(&j, "base", e->conf->bases[in->base].url);
    json_text(&j, "uri", in->uri);
    if (in->hold_kind.n > 0)
        json_text(&j, "hold", in->hold_kind);
    json_open_list(&j, "tools");
    for (unsigned i = 0; i < in->tools.count; i++)
        json_text(&j, NULL, in->tools.at[i]);
    json_close_list(&j);
    close_entry(e, &j);
    (void)fits(e, from);
}
