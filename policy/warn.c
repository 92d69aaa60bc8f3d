// SPDX-License-Identifier: Apache-2.0
#include "policy/warn.h"

#include <stdarg.h>
#include <string.h>

#include "policy/filter_node.h"
#include "policy/warn_note.h"

#define ALL_TYPES (EVENT_BIT(EVENT_TYPE_COUNT) - 1)
/* Statements that an agent must stop. */
#define STOPS                                                                  \
    (EVENT_BIT(EVENT_DEACTIVATE) | EVENT_BIT(EVENT_DELETE) |                   \
     EVENT_BIT(EVENT_FOUND_INACTIVE) | EVENT_BIT(EVENT_FOUND_GONE) |           \
     EVENT_BIT(EVENT_RISC_ACCOUNT_DISABLED) |                                  \
     EVENT_BIT(EVENT_RISC_ACCOUNT_PURGED) |                                    \
     EVENT_BIT(EVENT_CAEP_SESSION_REVOKED))

/* ---- notes ---- */

static uint32_t characters(struct span s)
{
    uint32_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += (s.p[i] & 0xC0) != 0x80;
    return n;
}

static struct policy_place place_of(const struct doc *d)
{
    if (d == NULL)
        return (struct policy_place){1, 1, 1};
    bool one = d->kind == DOC_LIST || d->kind == DOC_MAP || d->rewritten;
    uint32_t width = one ? 1 : characters(d->text) + (d->quoted ? 2u : 0u);
    return (struct policy_place){d->line, d->column, width};
}

#define ADD_NOTE(w, at, advice, fmt)                                           \
    do {                                                                       \
        char text_[FAIL_TEXT_MAX];                                             \
        va_list ap_;                                                           \
        va_start(ap_, fmt);                                                    \
        (void)vsnprintf(text_, sizeof text_, fmt, ap_);                        \
        va_end(ap_);                                                           \
        policy_note_add((w)->notes, at, true, advice, "%s", text_);            \
    } while (0)

void warn_at(struct warner *w, const struct doc *d, const char *advice,
             const char *fmt, ...)
{
    ADD_NOTE(w, place_of(d), advice, fmt);
}

void warn_at_key(struct warner *w, const struct doc *d, const char *advice,
                 const char *fmt, ...)
{
    struct policy_place at = {d->key_line, d->key_column, characters(d->key)};
    ADD_NOTE(w, at, advice, fmt);
}

static bool in_name(struct span text, size_t at)
{
    if (at >= text.n)
        return false;
    unsigned char c = text.p[at];
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
           (c >= 'a' && c <= 'z') || c == '_' || c == '-' || c == '$';
}

/* `activ` is not at the beginning of `active`. */
static bool is_word_at(struct span text, size_t at, struct span word)
{
    return span_eq(span_sub(text, at, at + word.n), word) &&
           !in_name(text, at + word.n) && (at == 0 || !in_name(text, at - 1));
}

void warn_inside(struct warner *w, const struct doc *d, struct span word,
                 const char *advice, const char *fmt, ...)
{
    struct policy_place at = place_of(d);
    for (size_t i = 0; !d->rewritten && i + word.n <= d->text.n; i++) {
        if (!is_word_at(d->text, i, word))
            continue;
        at.column += characters(span_sub(d->text, 0, i)) + d->quoted;
        at.width = characters(word);
        break;
    }
    ADD_NOTE(w, at, advice, fmt);
}

void warn_event_names(event_mask events, char *to, size_t size)
{
    size_t at = 0;
    to[0] = 0;
    for (unsigned t = 0; t < EVENT_TYPE_COUNT; t++) {
        if ((events & EVENT_BIT(t)) == 0)
            continue;
        const char *name = event_type_name((enum event_type)t);
        if (at + strlen(name) + sizeof ", ..." > size) {
            (void)snprintf(to + at, size - at, at > 0 ? ", ..." : "...");
            return;
        }
        at += (size_t)snprintf(to + at, size - at, "%s%s", at > 0 ? ", " : "",
                               name);
    }
}

/* ---- what nothing uses ---- */

struct class_use {
    const struct policy *p;
    uint32_t used;
};

/* `tool_class eq "money"` in a requirement uses the class; any other operator
 * may mean any class. */
static void use_in_filter(void *ctx, const struct filter *node)
{
    struct class_use *u = ctx;
    if (node->kind != FILTER_TEST || node->source != FILTER_CALL ||
        !span_ieq(node->path.attr, SPAN("tool_class")))
        return;
    for (unsigned i = 0; i < u->p->class_count; i++)
        if ((node->op != OP_EQ && node->op != OP_NE) ||
            span_eq(node->value.text, u->p->classes[i].name))
            u->used |= UINT32_C(1) << i;
}

static uint32_t classes_used(const struct policy *p)
{
    struct class_use u = {p, 0};
    for (unsigned i = 0; i < p->rule_count; i++)
        for (unsigned k = 0; k < p->rules[i].step_count; k++)
            u.used |= p->rules[i].steps[k].tools.classes;
    for (unsigned i = 0; i < p->gate_count; i++) {
        u.used |= p->gates[i].tools.classes;
        if (p->gates[i].require != NULL)
            filter_each(p->gates[i].require, use_in_filter, &u);
    }
    return u.used;
}

static void warn_classes(struct warner *w)
{
    uint32_t used = classes_used(w->p);
    DOC_EACH (d, doc_get(w->root, SPAN("tool_classes"))) {
        if ((used & 1) == 0)
            warn_at_key(w, d, NULL, "no rule uses the tool class '%.*s'",
                        PRSPAN(d->key));
        used >>= 1;
    }
}

/* ---- feeds ---- */

bool policy_listens_to(const struct policy_rule *r, struct span feed)
{
    bool named = r->feeds.count == 0;
    for (unsigned i = 0; i < r->feeds.count; i++)
        named = named || span_eq(r->feeds.at[i], feed);
    return named && (r->events & ~EVENTS_WITHOUT_FEED) != 0;
}

/* What the statements of the feed would have to be allowed, for all rules. */
static unsigned wanted_of(const struct policy *p, struct span feed)
{
    unsigned wanted = 0;
    for (unsigned i = 0; i < p->rule_count; i++) {
        const struct policy_rule *r = &p->rules[i];
        if (!policy_listens_to(r, feed))
            continue;
        for (unsigned k = 0; k < r->step_count; k++)
            if (r->steps[k].kind != STEP_RELEASE)
                wanted |= policy_step_needs(&r->steps[k]);
    }
    return wanted;
}

static void warn_feeds(struct warner *w)
{
    const struct policy_feed *f = w->p->feeds;
    DOC_EACH (d, doc_get(w->root, SPAN("feeds"))) {
        if (f->may == MAY_ALL && f->meaning.n == 0)
            warn_at_key(w, d, NULL, "'%.*s' may do everything without this too",
                        PRSPAN(d->key));
        else if (f->may != MAY_ALL && (wanted_of(w->p, f->name) & ~f->may) == 0)
            warn_at_key(w, d, NULL,
                        "no rule does what '%.*s' may not do: 'may' has no "
                        "effect",
                        PRSPAN(d->key));
        f++;
    }
}

/* ---- audit mode ---- */

void warn_mode(struct warner *w, const struct doc *d,
               const struct policy_mode *mode)
{
    const struct policy_mode *all = &w->p->mode;
    const struct doc *own = doc_get(d, SPAN("mode"));
    if (own == NULL || !all->audit)
        return;
    if (!mode->audit || mode->until_ms <= all->until_ms)
        warn_at_key(w, own, "remove it, or defaults.mode",
                    "no effect: defaults.mode audits all rules until then");
}

/* ---- what no rule handles ---- */

event_mask policy_unhandled(const struct policy *p)
{
    event_mask open =
        ALL_TYPES & ~(EVENTS_WITHOUT_SUBJECT | EVENTS_OF_SCHEDULES);
    for (unsigned i = 0; i < p->rule_count; i++) {
        const struct policy_rule *r = &p->rules[i];
        if (r->subject == SUBJECT_AGENT && !r->only_releases)
            open &= ~r->events;
    }
    return open;
}

static void warn_unhandled(struct warner *w)
{
    char names[FAIL_TEXT_MAX - 48];
    const struct doc *rules = doc_get(w->root, SPAN("rules"));
    event_mask open = policy_unhandled(w->p) & STOPS;
    if (open == 0)
        return;
    warn_event_names(open, names, sizeof names);
    if (rules == NULL)
        warn_at(w, NULL, "`bailiff policy show` prints rules to start from",
                "without rules nothing is held, purged or revoked, not even "
                "on %s",
                names);
    else
        warn_at_key(w, rules,
                    "the built-in reaction alone applies: the agent is stale "
                    "until a read; nothing is held, purged or revoked",
                    "no rule about an agent on %s", names);
}

/* ---- the entry ---- */

void policy_warn(const struct policy *p, const struct doc *root,
                 struct policy_notes *notes)
{
    struct warner w = {.p = p, .root = root, .notes = notes};
    const struct policy_rule *r = p->rules;
    warn_unhandled(&w);
    DOC_EACH (d, doc_get(root, SPAN("rules")))
        warn_rule(&w, d, r++);
    warn_same_rules(&w);
    warn_gates(&w);
    warn_limits(&w);
    warn_filter(&w, doc_get(doc_get(root, SPAN("agents")), SPAN("where")),
                p->agents_where, false);
    warn_classes(&w);
    warn_feeds(&w);
    warn_actions(&w);
    policy_notes_sort(notes);
}
