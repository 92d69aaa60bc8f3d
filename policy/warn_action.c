// SPDX-License-Identifier: Apache-2.0
/*
 * Actions that nothing runs, and requests that could never be sent: the first
 * would be noticed when a person had to be called.
 */
#include <stdio.h>

#include "policy/near.h"
#include "policy/warn_note.h"

/* ---- what nothing uses ---- */

static bool step_uses(const struct policy *p, const struct policy_step *s,
                      unsigned action)
{
    if (s->kind == STEP_ACTION && s->action == (int)action)
        return true;
    for (unsigned i = 0; i < s->otherwise.count; i++)
        if (span_eq(s->otherwise.at[i], p->actions[action].name))
            return true;
    return false;
}

static bool action_used(const struct policy *p, unsigned action)
{
    for (unsigned i = 0; i < p->rule_count; i++)
        for (unsigned k = 0; k < p->rules[i].step_count; k++)
            if (step_uses(p, &p->rules[i].steps[k], action))
                return true;
    for (unsigned k = 0; k < LIMIT_KIND_COUNT; k++)
        for (unsigned i = 0; i < p->limits[k].beyond.count; i++)
            if (span_eq(p->limits[k].beyond.at[i], p->actions[action].name))
                return true;
    return false;
}

/* ---- placeholders ---- */

/* As sidecar/run/actions.c fills them; `runtime.` has the labels of a call. */
static const char *const placeholders[] = {
    "agent.id", "agent.uri",    "event.type", "event.jti", "event.feed",
    "rule",     "runtime.name", "reason",     NULL};

static bool is_known(struct span name, struct near *n)
{
    *n = (struct near){.word = name};
    for (unsigned i = 0; placeholders[i] != NULL; i++) {
        if (span_eq(name, span_str(placeholders[i])))
            return true;
        near_try(n, span_str(placeholders[i]));
    }
    return span_starts(name, SPAN("runtime."));
}

static void warn_placeholder(struct warner *w, const struct doc *d,
                             struct span name)
{
    char advice[FAIL_TEXT_MAX];
    struct near n;
    if (is_known(name, &n))
        return;
    if (near_advice(&n, advice)[0] == 0) {
        size_t at = (size_t)snprintf(advice, sizeof advice, "known:");
        for (unsigned i = 0; placeholders[i] != NULL; i++)
            at += (size_t)snprintf(advice + at, sizeof advice - at, " %s",
                                   placeholders[i]);
        (void)snprintf(advice + at, sizeof advice - at, " runtime.LABEL");
    }
    warn_inside(w, d, name, advice,
                "'%.*s' is no placeholder: this action always fails",
                PRSPAN(name));
}

/* Where the path of an absolute URL begins. */
static size_t path_at(struct span url)
{
    size_t slash = span_find(url, '/', 0);
    return span_find(url, '/', slash + 2);
}

static void warn_template(struct warner *w, const struct doc *d, bool url)
{
    if (d == NULL || d->kind != DOC_TEXT)
        return;
    const size_t path = url ? path_at(d->text) : 0;
    for (size_t at = span_find(d->text, '{', 0); at < d->text.n;
         at = span_find(d->text, '{', at)) {
        const size_t end = span_find(d->text, '}', at);
        const bool open = at + 1 < end && d->text.p[at + 1] == '{';
        if (open && at < path)
            warn_at(w, d, "write the host out",
                    "a placeholder may not choose the host: this action "
                    "always fails");
        if (open)
            warn_placeholder(w, d, span_sub(d->text, at + 2, end));
        at = open ? end : at + 1;
    }
}

static void warn_request(struct warner *w, const struct doc *http)
{
    warn_template(w, doc_get(http, SPAN("url")), true);
    warn_template(w, doc_get(http, SPAN("body")), false);
    DOC_EACH (it, doc_get(http, SPAN("headers")))
        warn_template(w, it, false);
}

/* ---- the entry ---- */

void warn_actions(struct warner *w)
{
    unsigned i = 0;
    DOC_EACH (d, doc_get(w->root, SPAN("actions"))) {
        if (!action_used(w->p, i++))
            warn_at_key(w, d, NULL, "no rule uses the action '%.*s'",
                        PRSPAN(d->key));
        warn_request(w, doc_get(d, SPAN("http")));
    }
}
