// SPDX-License-Identifier: Apache-2.0
/*
 * Transmitters. They keep a statement until they have seen its
 * acknowledgement, and say it again until then: push after a timeout or a 503,
 * poll in each answer. Now and then they say one again that they need not, or
 * say something else under its name.
 */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <string.h>

#define PUSH_TIMEOUT_MS 3000
#define POLL_SETS_MAX 5

static bool polls(unsigned feed)
{
    return feed > 0; /* hr pushes */
}

/* ------------------------------------------------------------- statements */

static const struct attr_path roles = {
    .attr = {(const unsigned char *)"roles", 5}};

static struct event *make_event(struct sim *w, const struct statement *s,
                                unsigned payload, bool dirty)
{
    struct event *e = mem_alloc(&w->scratch.mem, sizeof *e);
    must(e != NULL);
    const struct engine_feed *feed = &w->conf.feeds[s->feed];
    e->feed = feed->name;
    e->issuer = feed->issuer;
    e->jti = span_str(s->jti);
    e->iat_ms = s->made_ms + w->wall_offset;
    e->toe_ms = EVENT_TIME_NONE;
    e->payload_hash[7] = (unsigned char)(payload + 1);
    e->part_count = dirty ? 0 : 1; /* all that is left of a malformed one */
    struct event_part *p = &e->parts[0];
    p->type = s->type;
    p->uri = span_str(event_type_uri(s->type));
    p->version = span_str(s->version);
    p->changed_anything = s->payload % 2 == 0;
    if (!p->changed_anything) {
        p->changed = &roles;
        p->changed_count = 1;
    }
    if (s->type == EVENT_SSF_STREAM_UPDATED) {
        e->stream_status = s->enabled ? SPAN("enabled") : SPAN("paused");
        return e;
    }
    e->has_subject = true;
    e->base = w->conf.bases[s->subject / RESOURCES].url;
    e->uri = span_str(uri_of(s->subject));
    unsigned at = s->subject % RESOURCES;
    e->kind = at < AGENTS           ? SUBJECT_AGENT
              : at < AGENTS + USERS ? SUBJECT_USER
                                    : SUBJECT_GROUP;
    struct span *members = mem_array(&w->scratch.mem, AGENTS, sizeof *members);
    must(members != NULL);
    for (unsigned i = 0; i < AGENTS; i++)
        if (s->members >> i & 1)
            members[p->member_count++] =
                span_sub(span_str(uri_of(i)), 8, SIZE_MAX);
    p->members = members;
    return e;
}

static void heard(struct sim *w, unsigned i, unsigned payload, bool dirty)
{
    struct statement *s = &w->statements[i];
    struct in in = {.kind = dirty ? IN_EVENT_DIRTY : IN_EVENT};
    unsigned char before = w->m.heard[i];
    say(w, "%s %s %s base%u%s%s", s->jti, event_type_name(s->type),
        s->type == EVENT_SSF_STREAM_UPDATED ? "stream" : uri_of(s->subject),
        s->subject / RESOURCES, dirty ? " malformed" : "",
        before != 0 && before != payload + 1 ? " other payload" : "");
    w->n.deliveries++;
    in.event.event = make_event(w, s, payload, dirty);
    if (dirty) {
        model_dirty(w, i);
    } else {
        in.event.token = wait_for(w, FOR_STATEMENT, s->feed, i)->token;
        model_statement(w, i, payload);
    }
    int rc = sidecar_step(w, &in);
    if (rc == 0)
        return;
    if (rc != RC_LIMIT || !w->weather.tight || dirty)
        broken(w, "a statement is put off only for want of room", "%s: %s",
               s->jti, rc_word(rc));
    w->p.waiters[in.event.token % WAITERS].token = 0; /* 503 */
    w->n.put_off++;
    if (before == 0)
        model_put_off(w, i);
}

/* ------------------------------------------------------------------- push */

static void push(struct sim *w, uint64_t i, uint64_t payload);

static void push_timeout(struct sim *w, uint64_t i, uint64_t tries)
{
    struct statement *s = &w->statements[i];
    if (!s->acked && s->tries == tries)
        push(w, i, s->payload);
}

static void pushed(struct sim *w, uint64_t i, uint64_t payload)
{
    if (!w->p.alive || w->disk.state != DISK_OK)
        return; /* refused or 503: the timeout says it again */
    heard(w, (unsigned)i, (unsigned)payload, false);
}

static void push(struct sim *w, uint64_t i, uint64_t payload)
{
    struct statement *s = &w->statements[i];
    int64_t ms = travel(w, PEER_FEED + s->feed);
    s->tries++;
    if (ms >= 0)
        later(w, ms, pushed, i, payload);
    if (ms >= 0 && chance(w, w->weather.twice))
        later(w, ms + (int64_t)draw(w, 4000), pushed, i, payload);
    int64_t backoff = (int64_t)draw(w, 1000) * (s->tries < 6 ? s->tries : 6);
    if (!s->acked)
        later(w, PUSH_TIMEOUT_MS + (w->quiet ? 0 : backoff), push_timeout, i,
              s->tries);
}

static void ack_arrives(struct sim *w, uint64_t i, uint64_t b)
{
    (void)b;
    w->statements[i].acked = true;
}

void transmit_acked(struct sim *w, const struct waiter *q)
{
    struct statement *s = &w->statements[q->index];
    w->n.acked++;
    if (polls(s->feed)) {
        s->ack_due = true;
        return;
    }
    int64_t ms = travel(w, PEER_FEED + s->feed);
    if (ms >= 0)
        later(w, ms, ack_arrives, q->index, 0);
}

/* ------------------------------------------------------------------- poll */

static void poll(struct sim *w, uint64_t feed, uint64_t b);

static void poll_answer(struct sim *w, uint64_t feed, uint64_t b)
{
    unsigned due[STATEMENTS_MAX], count = 0, life = w->p.life;
    (void)b;
    for (unsigned i = 0; i < w->statement_count; i++) {
        const struct statement *s = &w->statements[i];
        if (s->feed == feed && !s->acked && s->made_ms <= w->now)
            due[count++] = i;
    }
    w->n.polls++;
    for (unsigned n = 0; n < POLL_SETS_MAX && n < count; n++) {
        unsigned at = n + (unsigned)draw(w, count - n), i = due[at];
        due[at] = due[n];
        heard(w, i, w->statements[i].payload, false);
        if (!w->p.alive || w->p.life != life)
            return; /* the rest of the answer is lost with the process */
    }
    struct in in = {.kind = IN_FEED};
    in.feed.feed = (unsigned)feed;
    in.feed.sign = count > POLL_SETS_MAX ? FEED_ALIVE : FEED_CAUGHT_UP;
    (void)sidecar_step(w, &in);
    if (w->p.alive && w->p.life == life)
        later_here(w, count > POLL_SETS_MAX ? 10 : 400, poll, feed, 0);
}

static void poll_arrives(struct sim *w, uint64_t feed, uint64_t life)
{
    for (unsigned i = 0; i < w->statement_count; i++) {
        struct statement *s = &w->statements[i];
        if (s->feed == feed && s->ack_due && life == w->p.life) {
            s->acked = true;
            s->ack_due = false;
        }
    }
    if (life != w->p.life || !w->p.alive)
        return;
    int64_t ms = travel(w, PEER_FEED + (unsigned)feed);
    later_here(w, ms < 0 ? PUSH_TIMEOUT_MS : ms, ms < 0 ? poll : poll_answer,
               feed, 0);
}

static void poll(struct sim *w, uint64_t feed, uint64_t b)
{
    (void)b;
    int64_t ms = travel(w, PEER_FEED + (unsigned)feed);
    if (ms < 0 || w->disk.state != DISK_OK)
        later_here(w, 1000, poll, feed, 0);
    else
        later(w, ms, poll_arrives, feed, w->p.life);
}

/* A new process polls anew, and has forgotten what it wanted to confirm. */
void transmit_boot(struct sim *w)
{
    for (unsigned i = 0; i < w->statement_count; i++)
        w->statements[i].ack_due = false;
    for (unsigned feed = 0; feed < FEEDS; feed++)
        if (polls(feed))
            later_here(w, 50 + (int64_t)draw(w, 200), poll, feed, 0);
}

/* ------------------------------------------------------ something to say */

unsigned transmit_say(struct sim *w, unsigned feed, unsigned subject,
                      enum event_type type, const char *version)
{
    must(w->statement_count < STATEMENTS_MAX);
    unsigned i = w->statement_count++;
    struct statement *s = &w->statements[i];
    int64_t delay =
        draw(w, 4) > 0 ? (int64_t)draw(w, 300) : (int64_t)draw(w, 15000);
    if (w->quiet)
        delay = 0;
    *s = (struct statement){.feed = feed, .subject = subject, .type = type};
    s->made_ms = w->now + delay;
    s->payload = (unsigned)draw(w, 100);
    (void)snprintf(s->jti, sizeof s->jti, "j%u", i);
    (void)snprintf(s->version, sizeof s->version, "%s", version);
    w->n.statements++;
    if (!polls(feed))
        later(w, delay, push, i, s->payload);
    return i;
}

void transmit_again(struct sim *w, unsigned i)
{
    heard(w, i, w->statements[i].payload, false);
}

void transmit_anew(struct sim *w, unsigned i)
{
    struct statement *s = &w->statements[i];
    s->acked = s->ack_due = false;
    if (!polls(s->feed))
        later(w, (int64_t)draw(w, 3000), push, i, s->payload);
}

bool transmit_done(const struct sim *w)
{
    for (unsigned i = 0; i < w->statement_count; i++)
        if (!w->statements[i].acked)
            return false;
    return true;
}

/* --------------------------------------------------------------- mischief */

static void mischief(struct sim *w, uint64_t a, uint64_t b)
{
    (void)a;
    (void)b;
    if (w->quiet)
        return;
    if (w->statement_count > 0 && w->p.alive && w->disk.state == DISK_OK) {
        unsigned i = (unsigned)draw(w, w->statement_count);
        unsigned other = w->statements[i].payload + 1;
        uint64_t how = draw(w, 4);
        if (how == 0 && w->m.heard[i] != 0)
            heard(w, i, other, false); /* the same name for something else */
        else if (how == 1)
            heard(w, i, other, true);
        else if (w->m.heard[i] != 0)
            heard(w, i, w->statements[i].payload, false); /* much later */
    }
    later(w, 1000 + (int64_t)draw(w, 5000), mischief, 0, 0);
}

static void streams(struct sim *w, uint64_t a, uint64_t b)
{
    (void)a;
    (void)b;
    if (w->quiet)
        return;
    unsigned feed = (unsigned)draw(w, FEEDS);
    unsigned i = transmit_say(w, feed, feed < 2 ? 0 : RESOURCES,
                              EVENT_SSF_STREAM_UPDATED, "");
    w->statements[i].enabled = draw(w, 2) == 0;
    later(w, 8000 + (int64_t)draw(w, 20000), streams, 0, 0);
}

void transmit_start(struct sim *w)
{
    later(w, 2000, mischief, 0, 0);
    later(w, 10000, streams, 0, 0);
}
