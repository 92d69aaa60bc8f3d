// SPDX-License-Identifier: Apache-2.0
/*
 * Private to the warnings: warn.c (the entry, what is unused or unhandled),
 * warn_rule.c (one rule), warn_gate.c (gate rules), warn_limit.c (limits),
 * warn_action.c (actions), warn_filter.c (conditions), warn_name.c (names in
 * conditions).
 */
#ifndef POLICY_WARN_NOTE_H
#define POLICY_WARN_NOTE_H

#include "policy/warn.h"

struct warner {
    const struct policy *p;
    const struct doc *root;
    struct policy_notes *notes;
    size_t looked_at; /* names, terms, patterns: to compare rules in pairs */
};

/* Far beyond what a policy needs that was not made to have no end of pairs;
 * one that was is warned of less. */
#define WARN_LOOKED_AT_MAX ((size_t)2 << 20)
static inline bool warn_looks_on(const struct warner *w)
{
    return w->looked_at < WARN_LOOKED_AT_MAX;
}

/* Events that are about no agent and so ask no rule. */
#define EVENTS_WITHOUT_SUBJECT                                                 \
    (EVENT_BIT(EVENT_FEED_SILENT) | EVENT_BIT(EVENT_SSF_VERIFICATION) |        \
     EVENT_BIT(EVENT_SSF_STREAM_UPDATED))
/* Events that come from reads, operators and time, not from a feed. */
#define EVENTS_WITHOUT_FEED                                                    \
    (EVENT_BIT(EVENT_REFRESHED) | EVENT_BIT(EVENT_FOUND_INACTIVE) |            \
     EVENT_BIT(EVENT_FOUND_GONE) | EVENT_BIT(EVENT_FEED_SILENT) |              \
     EVENT_BIT(EVENT_OPERATOR) | EVENTS_OF_SCHEDULES)
#define EVENTS_OF_SCHEDULES (EVENT_BIT(EVENT_SCHEDULED) | EVENT_BIT(EVENT_IDLE))

/* A warning at a value, or at its key; NULL `d` is the start of the file.
 * `advice` may be NULL. */
void warn_at(struct warner *w, const struct doc *d, const char *advice,
             const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void warn_at_key(struct warner *w, const struct doc *d, const char *advice,
                 const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* At the first place of `word` inside the text of `d`. */
void warn_inside(struct warner *w, const struct doc *d, struct span word,
                 const char *advice, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* Appends the names of `events`, separated by commas; cut with "..." */
void warn_event_names(event_mask events, char *to, size_t size);

void warn_rule(struct warner *w, const struct doc *d,
               const struct policy_rule *r);
/* Rules that another one makes superfluous. */
void warn_same_rules(struct warner *w);
void warn_gates(struct warner *w);
void warn_limits(struct warner *w);
void warn_actions(struct warner *w);
/* A `mode` of a rule or gate rule `d` that that of all rules makes vain. */
void warn_mode(struct warner *w, const struct doc *d,
               const struct policy_mode *mode);

/* Names that are nearly a known one, in a path or in one term. */
void warn_path_names(struct warner *w, const struct doc *d,
                     const struct attr_path *path);
void warn_term_names(struct warner *w, const struct doc *d,
                     const struct filter *term);

/* What deserves a word in any condition: display names, terms that stand
 * beside their own negation. `is_requirement`: of a gate rule. */
void warn_filter(struct warner *w, const struct doc *d,
                 const struct filter *flt, bool is_requirement);

#endif
