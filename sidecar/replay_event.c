// SPDX-License-Identifier: Apache-2.0
/* A statement as the history has it, back as the engine's input. */
#include <string.h>

#include "sidecar/replay_internal.h"

static int64_t time_of(const struct doc *entry, const char *key)
{
    const struct doc *d = doc_get(entry, span_str(key));
    return d == NULL || d->kind != DOC_INT ? EVENT_TIME_NONE : d->integer;
}

static bool says(const struct doc *d, const char *key)
{
    const struct doc *v = doc_get(d, span_str(key));
    return v != NULL && v->kind == DOC_BOOL && v->truth;
}

static void read_hash(const struct doc *entry, unsigned char *hash)
{
    struct span hex = doc_text(entry, SPAN("payload"));
    memset(hash, 0, EVENT_HASH_BYTES);
    for (size_t i = 0; i < hex.n && i < 2 * EVENT_HASH_BYTES; i++) {
        unsigned c = hex.p[i];
        unsigned v = c >= 'a' ? c - 'a' + 10 : c - '0';
        hash[i / 2] = (unsigned char)((unsigned)hash[i / 2] << 4 | (v & 15));
    }
}

static int read_changed(struct replay *r, const struct doc *part,
                        struct event_part *ret, struct fail *f)
{
    const struct doc *list = doc_get(part, SPAN("changed"));
    ret->changed_anything = says(part, "anything");
    if (list == NULL || list->kind != DOC_LIST || list->count == 0)
        return 0;
    struct attr_path *paths =
        mem_array(&r->entry.mem, list->count, sizeof *paths);
    if (paths == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for an event");
    unsigned n = 0;
    DOC_EACH (it, list) {
        if (n == EVENT_CHANGED_MAX || it->kind != DOC_TEXT ||
            attr_path_parse(&r->entry.mem, it->text, &paths[n], NULL) < 0)
            ret->changed_anything = true;
        else
            n++;
    }
    ret->changed = paths;
    ret->changed_count = n;
    return 0;
}

static int read_members(struct replay *r, const struct doc *part,
                        struct event_part *ret, struct fail *f)
{
    const struct doc *list = doc_get(part, SPAN("members"));
    if (list == NULL || list->kind != DOC_LIST)
        return 0;
    struct span *at = mem_array(&r->entry.mem, list->count, sizeof *at);
    if (at == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for an event");
    DOC_EACH (it, list)
        if (it->kind == DOC_TEXT)
            at[ret->member_count++] = it->text;
    ret->members = at;
    return 0;
}

static int read_part(struct replay *r, const struct doc *part,
                     struct event_part *ret, struct fail *f)
{
    if (!event_type_from_name(doc_text(part, SPAN("type")), &ret->type))
        return fail(f, RC_SYNTAX, "an event of a type that is not known");
    ret->uri = doc_text(part, SPAN("uri"));
    ret->version = doc_text(part, SPAN("version"));
    ret->payload = doc_get(part, SPAN("payload"));
    TRY(read_changed(r, part, ret, f));
    return read_members(r, part, ret, f);
}

static int read_parts(struct replay *r, const struct doc *entry,
                      struct event *ev, struct fail *f)
{
    DOC_EACH (it, doc_get(entry, SPAN("parts"))) {
        if (ev->part_count == EVENT_PARTS_MAX)
            return fail(f, RC_SYNTAX, "an event of too many parts");
        TRY(read_part(r, it, &ev->parts[ev->part_count], f));
        ev->part_count++;
    }
    return 0;
}

static int read_subject(struct replay *r, const struct doc *entry,
                        struct event *ev, int *ret_base, struct fail *f)
{
    struct span url = doc_text(entry, SPAN("base"));
    struct span kind = doc_text(entry, SPAN("subject_kind"));
    ev->uri = doc_text(entry, SPAN("uri"));
    ev->has_subject = ev->uri.n > 0;
    *ret_base = 0;
    if (!ev->has_subject)
        return 0;
    *ret_base = replay_base(r, url);
    TRY(replay_learn(r, *ret_base, ev->uri, kind, f));
    for (unsigned k = 0; k < SUBJECT_KIND_COUNT; k++)
        if (span_eq(kind, span_str(subject_kind_word((enum subject_kind)k))))
            ev->kind = (enum subject_kind)k;
    ev->base = r->engine_conf.bases[*ret_base].url;
    return 0;
}

int replay_event(struct replay *r, const struct doc *entry, struct fail *f)
{
    struct event *ev = mem_alloc(&r->entry.mem, sizeof *ev);
    int base;
    if (ev == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for an event");
    ev->feed = doc_text(entry, SPAN("feed"));
    ev->issuer = doc_text(entry, SPAN("iss"));
    ev->jti = doc_text(entry, SPAN("jti"));
    ev->txn = doc_text(entry, SPAN("txn"));
    ev->stream_status = doc_text(entry, SPAN("status"));
    ev->iat_ms = time_of(entry, "iat");
    ev->toe_ms = time_of(entry, "toe");
    read_hash(entry, ev->payload_hash);
    TRY(read_subject(r, entry, ev, &base, f));
    TRY(read_parts(r, entry, ev, f));
    if (ev->feed.n == 0 || replay_feed(r, ev->feed, ev->issuer, base) < 0)
        return fail(f, RC_SYNTAX, "an event of no feed, or of too many feeds");
    struct in in = {.kind = says(entry, "dirty") ? IN_EVENT_DIRTY : IN_EVENT};
    in.event.event = ev;
    in.event.token = ++r->token;
    return driver_step(&r->drive, &in);
}
