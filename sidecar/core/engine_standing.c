// SPDX-License-Identifier: Apache-2.0
/* What makes an agent stale, and its epoch: derived from stamps on itself, on
 * its groups, owners and parent, on its base, on the policy and on the boot. */
#include <stdio.h>

#include "sidecar/core/engine_internal.h"

struct span base_url(const struct engine *e, const struct subject *s)
{
    return e->conf->bases[s->base].url;
}

int kind_of_uri(const struct engine *e, unsigned base, struct span uri,
                enum subject_kind *ret)
{
    const struct engine_base *b = &e->conf->bases[base];
    if (uri.n < 4 || uri.n > SUBJECT_URI_MAX || uri.p[0] != '/')
        return RC_SYNTAX;
    size_t slash = span_find(uri, '/', 1);
    struct span segment = span_sub(uri, 1, slash);
    struct span id = span_sub(uri, slash + 1, uri.n);
    if (id.n == 0 || !span_is_text(id) || span_find(id, '/', 0) != id.n)
        return RC_SYNTAX;
    const struct {
        struct span segment;
        enum subject_kind kind;
    } kinds[] = {{b->agent_segment, SUBJECT_AGENT},
                 {b->user_segment, SUBJECT_USER},
                 {b->group_segment, SUBJECT_GROUP}};
    for (unsigned i = 0; i < 3; i++) {
        if (segment.n > 0 && span_eq(segment, kinds[i].segment)) {
            *ret = kinds[i].kind;
            return 0;
        }
    }
    return RC_UNKNOWN_NAME;
}

struct span resource_uri(struct span segment, struct span id,
                         char text[SUBJECT_URI_MAX + 1])
{
    if (segment.n == 0 || id.n == 0 || id.n > SUBJECT_URI_MAX ||
        segment.n + id.n + 2 > SUBJECT_URI_MAX)
        return SPAN("");
    (void)snprintf(text, SUBJECT_URI_MAX + 1, "/%.*s/%.*s", PRSPAN(segment),
                   PRSPAN(id));
    return span_of(text, segment.n + id.n + 2);
}

const struct doc *subject_attrs(const struct engine *e, const struct subject *s)
{
    return s->attrs == NULL ? NULL : attrs_show(&e->subjects.attrs, s->attrs);
}

bool is_agent(const struct engine *e, const struct subject *s)
{
    if (s->kind == SUBJECT_AGENT)
        return true;
    if (s->kind != SUBJECT_USER || e->policy->agents_where == NULL)
        return false;
    struct attrs_place place = attrs_open(&e->subjects.attrs);
    const struct filter_env env = {.resource = subject_attrs(e, s)};
    bool is = filter_eval(e->policy->agents_where, &env) == TRI_YES;
    attrs_close(&e->subjects.attrs, place);
    return is;
}

void touch(struct engine *e, struct subject *s)
{
    s->touch = e->input;
}

/* A statement about `s` was accepted. */
void stamp(struct engine *e, struct subject *s, struct span version)
{
    s->stamp = e->input;
    s->stamp_ms = e->in->now_ms;
    s->stamp_wall_ms = e->in->wall_ms;
    s->stamp_row = e->seq + 1;
    s->event_open = true;
    if (s->kind != SUBJECT_AGENT)
        e->bases[s->base].related =
            (struct said){s->stamp, s->stamp_row, s->stamp_ms};
    if (s->rare != NULL && !s->rare->read.last_failed)
        s->rare->read.not_before_ms = 0; /* there is news */
    note_rc(e, subject_set_text(&e->subjects, &s->version, version));
    fact_subject(e, s);
}

static void consider(struct standing *st, uint64_t at, const char *why)
{
    if (at > st->stamp) {
        st->stamp = at;
        st->why = why;
    }
}

/* Of something related: do this agent's reads cover it? */
static void consider_said(const struct subject *s, struct said said,
                          const char *why, struct standing *st)
{
    consider(st, said.stamp, why);
    /* Of before a restart: rows tell the order, wall clocks may not. */
    bool before_boot = said.stamp == 0 && said.row != 0 && s->read_input == 0 &&
                       said.row >= s->read_row;
    if (said.stamp > s->read_input || before_boot) {
        st->event_open = st->related_open = true;
        if (said.ms > st->event_ms)
            st->event_ms = said.ms;
    }
}

/* Groups, owners and the parent. Who has more of them than are indexed is
 * concerned by whatever is said about any. */
static void consider_relations(const struct engine *e, const struct subject *s,
                               struct standing *st)
{
    static const char *const why[] = {"group", "owner", "parent"};
    for (unsigned i = 0; i < s->out_count; i++) {
        const struct subject *other = s->out[i].other;
        const struct said said = {other->stamp, other->stamp_row,
                                  other->stamp_ms};
        consider_said(s, said, why[s->out[i].kind], st);
    }
    if (s->partial)
        consider_said(s, e->bases[s->base].related, "group", st);
}

/* Of statements that were forgotten with a restore, about anybody. */
static void consider_lost(const struct engine *e, const struct subject *s,
                          struct standing *st)
{
    struct standing lost = {.event_ms = st->event_ms};
    consider_said(s, e->restored, "boot", &lost);
    st->lost_open = lost.event_open;
    st->event_open = st->event_open || lost.event_open;
    st->event_ms = lost.event_ms;
}

void standing_of(const struct engine *e, const struct subject *s,
                 int64_t max_age_ms, struct standing *ret)
{
    *ret =
        (struct standing){.event_open = s->event_open,
                          .event_ms = s->event_open ? s->stamp_ms : INT64_MIN};
    consider(ret, e->boot_stamp, "boot");
    consider(ret, e->policy_stamp, "policy");
    consider(ret, e->bases[s->base].stamp, "feed");
    consider(ret, s->stamp, "event");
    consider_relations(e, s, ret);
    consider_lost(e, s, ret);
    uint64_t latest = s->touch > ret->stamp ? s->touch : ret->stamp;
    ret->epoch = epoch_of(e, latest);
    /* A read that starts in the step of a statement starts after it. */
    bool changed = s->read_input < ret->stamp;
    bool old = max_age_ms > 0 && e->in->now_ms - s->read_ms > max_age_ms;
    ret->stale = changed || old;
    ret->only_age = !changed && old;
    if (ret->only_age)
        ret->why = "age";

    bool any = false, covered = false;
    for (unsigned i = 0; i < e->conf->feed_count; i++) {
        if (e->conf->feeds[i].base != s->base)
            continue;
        any = true;
        covered = covered || !e->feeds[i].disabled;
    }
    ret->uncovered = any && !covered;
}
