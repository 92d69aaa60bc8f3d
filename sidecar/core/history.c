// SPDX-License-Identifier: Apache-2.0
#include "sidecar/core/history.h"

#include "sidecar/core/engine_internal.h"

#define NAMED_BYTES_MAX (512 * 1024)
#define HOUR_MS 3600000

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

static void put_named(struct engine *e)
{
    struct history *h = &e->history;
    struct json_out j;
    open_entry(e, &j, "policy");
    json_text(&j, "digest",
              e->policy->digest_hex[0] == 0
                  ? SPAN("built-in")
                  : span_of(e->policy->digest_hex, 16));
    json_open_list(&j, "resource");
    for (unsigned i = 0; i < h->named.resource_count; i++) {
        buf_clear(&e->scratch);
        mention_print(&h->named.resource[i], &e->scratch);
        json_text(&j, NULL, buf_span(&e->scratch));
    }
    json_close_list(&j);
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

void history_policy(struct engine *e)
{
    struct history *h = &e->history;
    arena_clear(&h->arena);
    h->named = (struct mentions){.resource = NULL};
    int rc = mentions_add(&h->arena.mem, &h->named, e->policy);
    unsigned asked = h->named.resource_count;
    if (rc == 0 && h->also != NULL)
        rc = mentions_add(&h->arena.mem, &h->named, h->also);
    h->named.resource_count = asked; /* reads ask for what is active */
    ignore_rc(rc); /* then less is kept, and the entry says what */
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

static void put_read(struct engine *e, const struct subject *s,
                     const char *result, const struct doc *resource, bool cut)
{
    struct json_out j;
    open_entry(e, &j, "read");
    json_text(&j, "base", base_url(e, s));
    json_text(&j, "uri", s->uri);
    json_str(&j, "subject_kind", subject_kind_word(s->kind));
    json_str(&j, "result", result);
    json_i64(&j, "took", e->in->now_ms - subject_rare(s)->read.start_ms);
    if (e->in->read.etag.n > 0)
        json_text(&j, "etag", e->in->read.etag);
    if (cut)
        json_bool(&j, "cut", true);
    else if (resource != NULL)
        mentions_put_resource(&e->history.named, resource, &j, "resource");
    close_entry(e, &j);
}

void history_read(struct engine *e, const struct subject *s, const char *result,
                  const struct doc *resource)
{
    tell_named(e);
    size_t from = e->history.text.n;
    put_read(e, s, result, resource, false);
    if (fits(e, from))
        return;
    put_read(e, s, result, resource, true);
    (void)fits(e, from);
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
