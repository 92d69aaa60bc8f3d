// SPDX-License-Identifier: Apache-2.0
/*
 * The truth, and the SCIM servers that show it: replicas lag (less than
 * `settle`), fail, are slow, say 404 while they are ill, leave the ETag out or
 * say 304 where nobody asked for it. Their lists leave out resources, and what
 * these have. The shell's part of a read is here too: its timeout, that a 404
 * counts only from a server that is well, and what a list comes to for each.
 */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <string.h>

#include "adapters/json_doc.h"

#define CROWD 260 /* more than SUBJECT_EDGES_MAX */

const struct version *truth(const struct sim *w, unsigned subject)
{
    const struct resource *r = &w->resources[subject];
    return &r->v[r->count - 1];
}

/* What a replica of this age shows. */
static const struct version *shown(const struct sim *w, unsigned subject,
                                   int64_t lag_ms)
{
    const struct resource *r = &w->resources[subject];
    unsigned i = r->count - 1;
    while (i > 0 && r->v[i].at > w->now - lag_ms)
        i--;
    return &r->v[i];
}

void scim_etag(unsigned subject, const struct version *v, char out[16])
{
    (void)snprintf(out, 16, "e%u.%u", subject, v->number);
}

static struct version *change(struct sim *w, unsigned subject)
{
    struct resource *r = &w->resources[subject];
    if (r->count == VERSIONS) {
        memmove(&r->v[0], &r->v[1], (VERSIONS - 1) * sizeof r->v[0]);
        r->count--;
    }
    struct version *v = &r->v[r->count++];
    *v = v[-1];
    v->at = w->now;
    v->number++;
    return v;
}

/* ---------------------------------------------------------------- history */

/* Which feed tells of it. */
static unsigned feed_of(struct sim *w, unsigned subject)
{
    return subject >= RESOURCES ? 2 : (unsigned)draw(w, 2);
}

static void tell(struct sim *w, unsigned subject, enum event_type type)
{
    char version[16] = "";
    if (draw(w, 2) == 0)
        scim_etag(subject, truth(w, subject), version);
    (void)transmit_say(w, feed_of(w, subject), subject, type, version);
    if (chance(w, w->weather.twice)) /* from the other source, too */
        (void)transmit_say(w, feed_of(w, subject), subject, type, "");
}

static void change_groups(struct sim *w, unsigned subject)
{
    unsigned bit = (unsigned)draw(w, GROUPS);
    unsigned group = subject / RESOURCES * RESOURCES + AGENTS + USERS + bit;
    struct version *v = change(w, subject);
    v->groups ^= 1u << bit;
    (void)change(w, group);
    unsigned i = transmit_say(w, feed_of(w, group), group, EVENT_PATCH, "");
    if (draw(w, 3) > 0)
        w->statements[i].members = 1u << subject % RESOURCES;
}

static void change_agent(struct sim *w, unsigned subject)
{
    uint64_t how = draw(w, 20);
    bool crowds = w->weather.crowd && draw(w, 3) == 0;
    struct version *v;
    if (how < 3) {
        change_groups(w, subject);
        return;
    }
    v = change(w, subject);
    if (!v->exists) {
        v->exists = v->active = true;
        tell(w, subject, EVENT_CREATE);
    } else if (how < 11) {
        v->active = !v->active;
        if (draw(w, 10) > 0) /* sometimes nobody tells */
            tell(w, subject, v->active ? EVENT_ACTIVATE : EVENT_DEACTIVATE);
    } else if (how < 14) {
        v->external = !v->external;
        v->crowded = v->crowded != crowds;
        tell(w, subject, EVENT_PATCH);
    } else if (how < 16) {
        v->owners = 1 + (unsigned)draw(w, 3);
        tell(w, subject, EVENT_PATCH);
    } else if (how == 16) {
        v->exists = v->active = false;
        tell(w, subject, EVENT_DELETE);
    } else if (how == 17) {
        tell(w, subject, draw(w, 3) > 0 ? EVENT_FEED_ADD : EVENT_FEED_REMOVE);
    } else {
        tell(w, subject, EVENT_CAEP_SESSION_REVOKED);
    }
}

static void happen_there(struct sim *w, uint64_t a, uint64_t b)
{
    (void)a;
    (void)b;
    if (w->quiet)
        return;
    unsigned base = (unsigned)draw(w, BASES);
    unsigned at = (unsigned)draw(w, AGENTS + 1);
    if (at < AGENTS) {
        change_agent(w, base * RESOURCES + at);
    } else {
        unsigned user = base * RESOURCES + AGENTS + (unsigned)draw(w, USERS);
        struct version *v = change(w, user);
        v->active = !v->active;
        tell(w, user, v->active ? EVENT_ACTIVATE : EVENT_DEACTIVATE);
    }
    later(w, 100 + (int64_t)draw(w, 1800), happen_there, 0, 0);
}

static void fall_ill(struct sim *w, uint64_t a, uint64_t b)
{
    (void)a;
    (void)b;
    if (w->quiet)
        return;
    struct server *s = &w->servers[draw(w, BASES)];
    s->healthy = w->weather.server < 3 || draw(w, 3) > 0;
    later(w, 1000 + (int64_t)draw(w, 9000), fall_ill, 0, 0);
}

void scim_start(struct sim *w)
{
    for (unsigned i = 0; i < SUBJECTS; i++) {
        w->resources[i].count = 1;
        w->resources[i].v[0] =
            (struct version){.exists = true,
                             .active = draw(w, 5) > 0,
                             .external = draw(w, 4) == 0,
                             .groups = (unsigned)draw(w, 4),
                             .owners = 1 + (unsigned)draw(w, 3),
                             .crowded = w->weather.crowd && i % 3 == 0,
                             .number = 1};
    }
    w->servers[0].healthy = w->servers[1].healthy = true;
    later(w, 500, happen_there, 0, 0);
    later(w, 4000, fall_ill, 0, 0);
}

/* ------------------------------------------------------------------- reads */

/* `crowd`: and before them as many others as leave no room. */
static void put_list(struct buf *b, const char *name, const char *prefix,
                     unsigned bits, bool crowd)
{
    const char *comma = "";
    buf_printf(b, ",\"%s\":[", name);
    for (unsigned i = 0; i < CROWD && crowd; i++) {
        buf_printf(b, "%s{\"value\":\"x%u\"}", comma, i);
        comma = ",";
    }
    for (unsigned i = 0; i < 8; i++) {
        if (bits >> i & 1) {
            buf_printf(b, "%s{\"value\":\"%s%u\"}", comma, prefix, i);
            comma = ",";
        }
    }
    buf_put_u8(b, ']');
}

static const struct doc *resource_doc(struct sim *w, unsigned subject,
                                      const struct version *v, bool bare)
{
    struct buf b;
    const struct doc *d;
    unsigned at = subject % RESOURCES, base = subject - at, members = 0;
    const char *uri = uri_of(subject);
    buf_init(&b, &w->scratch.mem, 16384);
    buf_printf(&b, "{\"id\":\"%s\",\"userType\":\"%s\"", strrchr(uri, '/') + 1,
               v->external ? "external" : "own");
    if (!bare)
        buf_printf(&b, ",\"active\":%s", v->active ? "true" : "false");
    if (at < AGENTS) {
        put_list(&b, "groups", "g", v->groups, v->crowded);
        put_list(&b, "owners", "u", v->owners, false);
    }
    for (unsigned i = 0; i < AGENTS && at >= AGENTS + USERS; i++)
        if (truth(w, base + i)->groups >> (at - AGENTS - USERS) & 1)
            members |= 1u << i;
    if (at >= AGENTS + USERS)
        put_list(&b, "members", "a", members, w->weather.crowd);
    buf_put_u8(&b, '}');
    must(json_doc_parse(&w->scratch.mem, buf_span(&b), 1 << 20, &d, NULL) == 0);
    return d;
}

/* The read is over, one way or the other. */
static void read_done(struct sim *w, struct reading *r, enum read_result result)
{
    struct in in = {.kind = IN_READ_DONE};
    struct reading copy = *r;
    char etag[16] = "";
    if (result == READ_OK && r->with_etag)
        scim_etag(r->subject, &r->shown, etag);
    r->id = 0;
    in.read.read_id = copy.id;
    in.read.result = result;
    in.read.etag = span_str(etag);
    in.read.retry_after_ms = result == READ_FAILED ? copy.retry_ms : -1;
    in.read.why = result == READ_FAILED ? SPAN("503") : SPAN("");
    if (result == READ_OK)
        in.read.resource =
            resource_doc(w, copy.subject, &copy.shown, copy.bare);
    if (result == READ_OK && copy.bare)
        result = READ_UNLISTED; /* proves as much */
    say(w, "read %s base%u: %s %s%s", uri_of(copy.subject),
        copy.subject / RESOURCES,
        result == READ_OK             ? "ok"
        : result == READ_NOT_MODIFIED ? "304"
        : result == READ_GONE         ? "gone"
        : result == READ_UNLISTED     ? "unlisted"
        : result == READ_LIST_FAILED  ? "no list"
                                      : "failed",
        etag,
        result != READ_OK   ? ""
        : copy.shown.active ? " active"
                            : " inactive");
    w->p.step_subject = copy.subject;
    unsigned char found = w->m.s[copy.subject].found;
    model_read(w, &copy, result, etag, &copy.shown);
    w->n.failed_reads += result == READ_FAILED;
    w->n.unlisted += result == READ_UNLISTED || result == READ_LIST_FAILED;
    w->n.gone += result == READ_GONE;
    w->n.not_modified += result == READ_NOT_MODIFIED;
    if (sidecar_step(w, &in) < 0 && w->p.alive)
        model_unread(w, copy.subject, found);
}

/* Lists are asked for again only after a minute: that is not often tried. */
static enum read_result failure(struct sim *w, const struct reading *r)
{
    if (!r->listed)
        return READ_FAILED;
    return draw(w, 8) == 0 ? READ_LIST_FAILED : READ_UNLISTED;
}

static void read_timeout(struct sim *w, uint64_t id, uint64_t b)
{
    (void)b;
    for (unsigned i = 0; i < READS_MAX; i++) {
        if (w->p.reads[i].id != id)
            continue;
        w->p.reads[i].retry_ms = -1;
        read_done(w, &w->p.reads[i], failure(w, &w->p.reads[i]));
        return;
    }
}

static void read_answer(struct sim *w, uint64_t id, uint64_t b)
{
    (void)b;
    for (unsigned i = 0; i < READS_MAX; i++) {
        if (w->p.reads[i].id != id)
            continue;
        read_done(w, &w->p.reads[i], w->p.reads[i].result);
        return;
    }
}

/* One that is in a list, or is not. */
static void list_at_server(struct sim *w, struct reading *r, bool ill)
{
    bool odd = !w->quiet && draw(w, 6) == 0;
    r->bare = odd && draw(w, 2) == 0;
    if (ill || chance(w, w->weather.server))
        r->result = failure(w, r);
    else if (!r->shown.exists || (odd && !r->bare))
        r->result = READ_UNLISTED;
    else
        r->result = READ_OK;
}

static void at_server(struct sim *w, struct reading *r)
{
    struct server *s = &w->servers[r->subject / RESOURCES];
    bool ill = !s->healthy && draw(w, 3) > 0 && !w->quiet;
    const struct version *v =
        shown(w, r->subject,
              w->quiet ? 0 : (int64_t)draw(w, (uint64_t)w->weather.lag_ms + 1));
    char etag[16];
    scim_etag(r->subject, v, etag);
    r->shown = *v;
    r->with_etag = w->quiet || draw(w, 12) > 0;
    r->retry_ms = draw(w, 3) == 0 ? (int64_t)draw(w, 4000) : -1;
    if (r->listed) {
        list_at_server(w, r, ill);
        return;
    }
    if (ill || chance(w, w->weather.server))
        r->result = READ_FAILED; /* also its 404s: it is not well */
    else if (!v->exists)
        r->result = READ_GONE;
    else if (w->course == NULL &&
             (r->conditional ? strcmp(etag, r->etag) == 0 : chance(w, 2)))
        r->result = READ_NOT_MODIFIED;
    else
        r->result = READ_OK;
}

static void read_arrives(struct sim *w, uint64_t id, uint64_t b)
{
    (void)b;
    for (unsigned i = 0; i < READS_MAX; i++) {
        struct reading *r = &w->p.reads[i];
        if (r->id != id)
            continue;
        at_server(w, r);
        int64_t ms = travel(w, PEER_SCIM + r->subject / RESOURCES);
        if (ms >= 0)
            later_here(w, ms, read_answer, id, 0);
        return;
    }
}

void scim_read(struct sim *w, const struct out_read *o)
{
    unsigned i = 0;
    while (i < READS_MAX && w->p.reads[i].id != 0)
        i++;
    must(i < READS_MAX);
    struct reading *r = &w->p.reads[i];
    *r = (struct reading){.id = o->read_id,
                          .subject = subject_of(o->base, o->uri),
                          .started = w->step,
                          .started_ms = w->now,
                          .conditional = o->if_none_match.n > 0,
                          .listed = o->list != 0};
    must(r->subject < SUBJECTS && o->if_none_match.n < sizeof r->etag);
    memcpy(r->etag, o->if_none_match.p, o->if_none_match.n);
    w->n.reads++;
    w->n.listed += r->listed;
    int64_t ms = travel(w, PEER_SCIM + o->base);
    if (ms >= 0)
        later_here(w, ms, read_arrives, o->read_id, 0);
    if (draw(w, 200) == 0 && !w->quiet) {
        r->id = 0; /* the shell loses it: the engine must see that itself */
        return;
    }
    later_here(w, o->timeout_ms, read_timeout, o->read_id, 0);
}
