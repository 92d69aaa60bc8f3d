// SPDX-License-Identifier: Apache-2.0
#include "sidecar/policy_text.h"

#include "sidecar/base/json_out.h"
#include "sidecar/base/time_text.h"

/* ---- values ---- */

/* Single quotes where they are enough, else JSON, which YAML reads as well. */
static void put_quoted(struct buf *out, struct span s)
{
    bool plain = true;
    struct json_out j;
    for (size_t i = 0; i < s.n; i++)
        plain = plain && s.p[i] >= 0x20 && s.p[i] < 0x7f;
    if (!plain) {
        json_out_init(&j, out);
        json_text(&j, NULL, s);
        return;
    }
    buf_put_u8(out, '\'');
    for (size_t i = 0; i < s.n; i++) {
        buf_put_u8(out, s.p[i]);
        if (s.p[i] == '\'')
            buf_put_u8(out, '\'');
    }
    buf_put_u8(out, '\'');
}

static void put_duration(struct buf *out, int64_t ms)
{
    char text[TIME_TEXT_BYTES];
    duration_text(ms, text);
    buf_put_str(out, text);
}

static void put_names(struct buf *out, struct names names)
{
    buf_put_str(out, "[");
    for (unsigned i = 0; i < names.count; i++) {
        buf_put_str(out, i == 0 ? "" : ", ");
        put_quoted(out, names.at[i]);
    }
    buf_put_str(out, "]");
}

static void put_filter(struct buf *out, const struct filter *f)
{
    struct buf text;
    buf_init(&text, out->mem, 64 * 1024);
    filter_print(f, &text);
    out->failed = out->failed || !buf_ok(&text);
    put_quoted(out, buf_span(&text));
    buf_fini(&text);
}

static void put_tools(struct buf *out, const struct policy *p,
                      const struct tool_set *s)
{
    const char *comma = "";
    if (s->all) {
        buf_put_str(out, "['*']");
        return;
    }
    buf_put_str(out, "[");
    for (unsigned i = 0; i < p->class_count; i++) {
        if ((s->classes >> i & 1) == 0)
            continue;
        buf_put_str(out, comma);
        put_quoted(out, p->classes[i].name);
        comma = ", ";
    }
    for (unsigned i = 0; i < s->patterns.count; i++) {
        buf_put_str(out, comma);
        put_quoted(out, s->patterns.at[i]);
        comma = ", ";
    }
    buf_put_str(out, "]");
}

/* ---- steps ---- */

static void put_deadline(struct buf *out, const struct policy_step *s,
                         const char *comma)
{
    if (s->within_ms > 0) {
        buf_printf(out, "%swithin: ", comma);
        put_duration(out, s->within_ms);
        comma = ", ";
    }
    if (s->otherwise.count > 0) {
        buf_printf(out, "%sotherwise: ", comma);
        put_names(out, s->otherwise);
    }
}

static void put_hold(struct buf *out, const struct policy *p,
                     const struct policy_step *s)
{
    const char *comma = "";
    if (s->hold == HOLD_SUSPENDED && s->tools.all) {
        buf_put_str(out, "hold: suspended");
        return;
    }
    buf_printf(out, "hold: {%s: {", hold_kind_word(s->hold));
    if (s->hold == HOLD_REVIEW) {
        buf_put_str(out, "by: ");
        put_filter(out, s->review_by);
        buf_put_str(out, ", within: ");
        put_duration(out, s->within_ms);
        buf_printf(out, ", otherwise: %s", hold_kind_word(s->review_otherwise));
        comma = ", ";
    }
    if (!s->tools.all) {
        buf_printf(out, "%stools: ", comma);
        put_tools(out, p, &s->tools);
    }
    buf_put_str(out, "}}");
}

/* `class` and `tools` exclude each other in `calls`, so a list of tools, which
 * may name classes, says either. */
static void put_cancel(struct buf *out, const struct policy *p,
                       const struct policy_step *s)
{
    buf_put_str(out, "cancel: {calls: ");
    if (s->tools.all) {
        buf_put_str(out, "all");
    } else {
        buf_put_str(out, "{tools: ");
        put_tools(out, p, &s->tools);
        buf_put_str(out, "}");
    }
    put_deadline(out, s, ", ");
    buf_put_str(out, "}");
}

static bool has_deadline(const struct policy_step *s)
{
    return s->within_ms > 0 || s->otherwise.count > 0;
}

static void put_bare(struct buf *out, struct span name,
                     const struct policy_step *s)
{
    buf_put(out, name);
    if (!has_deadline(s))
        return;
    buf_put_str(out, ": {");
    put_deadline(out, s, "");
    buf_put_str(out, "}");
}

void policy_text_step(struct buf *out, const struct policy *p,
                      const struct policy_step *s)
{
    switch (s->kind) {
        case STEP_HOLD: put_hold(out, p, s); break;
        case STEP_REFRESH: put_bare(out, SPAN("refresh"), s); break;
        case STEP_CANCEL: put_cancel(out, p, s); break;
        case STEP_REVOKE:
            buf_put_str(out, "revoke: {tokens: all");
            put_deadline(out, s, ", ");
            buf_put_str(out, "}");
            break;
        case STEP_PURGE:
            buf_put_str(out, "purge: {stores: ");
            put_names(out, s->purge);
            put_deadline(out, s, ", ");
            buf_put_str(out, "}");
            break;
        case STEP_ACTION: put_bare(out, p->actions[s->action].name, s); break;
        case STEP_RELEASE:
            buf_printf(out, "release: {%s: {set_by: ", hold_kind_word(s->hold));
            put_names(out, s->set_by);
            buf_put_str(out, "}}");
            break;
        case STEP_KIND_COUNT: break;
    }
}

/* ---- rules ---- */

void policy_text_event(struct buf *out, const struct policy_rule *r,
                       enum event_type type)
{
    char period[TIME_TEXT_BYTES];
    if (type != EVENT_SCHEDULED && type != EVENT_IDLE) {
        buf_put_str(out, event_type_name(type));
        return;
    }
    duration_text(type == EVENT_IDLE ? r->idle_ms : r->every_ms, period);
    buf_printf(out, "{%s: %s}", type == EVENT_IDLE ? "idle" : "every", period);
}

static void put_events(struct buf *out, const struct policy_rule *r)
{
    const char *comma = "";
    buf_put_str(out, "[");
    for (unsigned t = 0; t < EVENT_TYPE_COUNT; t++) {
        if ((r->events & EVENT_BIT(t)) == 0)
            continue;
        buf_put_str(out, comma);
        policy_text_event(out, r, (enum event_type)t);
        comma = ", ";
    }
    buf_put_str(out, "]");
}

static const char *applies_word(enum applies_to a)
{
    switch (a) {
        case APPLIES_SUBJECT: return "subject";
        case APPLIES_MEMBERS: return "members";
        case APPLIES_OWNED_LAST: return "{owned_agents: {left: last_owner}}";
        case APPLIES_OWNED_ANY: return "{owned_agents: {left: any_owner}}";
        case APPLIES_CHILDREN: return "children";
    }
    return "subject";
}

static void put_path(struct buf *out, const struct attr_path *p)
{
    buf_put_str(out, "'");
    if (p->urn.n > 0) {
        buf_put(out, p->urn);
        buf_put_str(out, ":");
    }
    buf_put(out, p->attr);
    if (p->element != NULL) {
        buf_put_str(out, "[");
        filter_print(p->element, out);
        buf_put_str(out, "]");
    }
    if (p->sub.n > 0) {
        buf_put_str(out, ".");
        buf_put(out, p->sub);
    }
    buf_put_str(out, "'");
}

/* The value of `mode`. */
static void put_mode(struct buf *out, const struct policy_mode *m)
{
    char until[TIME_TEXT_BYTES];
    if (!m->audit) {
        buf_put_str(out, "enforce");
        return;
    }
    time_text(m->until_ms, until);
    buf_printf(out, "{audit: {until: \"%s\"}}", until);
}

/* The value of `when_old`. */
static void put_when_old(struct buf *out, int64_t allow_for_ms)
{
    if (allow_for_ms <= 0) {
        buf_put_str(out, "deny");
        return;
    }
    buf_put_str(out, "{allow_for: ");
    put_duration(out, allow_for_ms);
    buf_put_str(out, "}");
}

static void put_condition(struct buf *out, const char *key,
                          const struct filter *f)
{
    if (f == NULL)
        return;
    buf_printf(out, "    %s: ", key);
    put_filter(out, f);
    buf_put_str(out, "\n");
}

static void put_audit(struct buf *out, const struct policy_mode *m)
{
    if (!m->audit)
        return;
    buf_put_str(out, "    mode: ");
    put_mode(out, m);
    buf_put_str(out, "\n");
}

static void put_rule(struct buf *out, const struct policy *p,
                     const struct policy_rule *r)
{
    buf_put_str(out, "  - name: ");
    put_quoted(out, r->name);
    buf_put_str(out, "\n    events: ");
    put_events(out, r);
    buf_printf(out, "\n    subject: %s\n    applies_to: %s\n",
               subject_kind_word(r->subject), applies_word(r->applies_to));
    put_condition(out, "agents_where", r->agents_where);
    if (r->changed_count > 0) {
        buf_put_str(out, "    changed: [");
        for (unsigned i = 0; i < r->changed_count; i++) {
            buf_put_str(out, i == 0 ? "" : ", ");
            put_path(out, &r->changed[i]);
        }
        buf_put_str(out, "]\n");
    }
    put_condition(out, "where", r->where);
    if (r->feeds.count > 0) {
        buf_put_str(out, "    feeds: ");
        put_names(out, r->feeds);
        buf_put_str(out, "\n");
    }
    put_audit(out, &r->mode);
    buf_put_str(out, "    do:\n");
    for (unsigned i = 0; i < r->step_count; i++) {
        buf_put_str(out, "      - ");
        policy_text_step(out, p, &r->steps[i]);
        buf_put_str(out, "\n");
    }
}

static void put_gate(struct buf *out, const struct policy *p,
                     const struct policy_gate *g)
{
    buf_put_str(out, "  - name: ");
    put_quoted(out, g->name);
    buf_put_str(out, "\n    tools: ");
    put_tools(out, p, &g->tools);
    buf_put_str(out, "\n");
    put_condition(out, "require", g->require);
    if (g->max_age_ms > 0) {
        buf_put_str(out, "    max_age: ");
        put_duration(out, g->max_age_ms);
        buf_put_str(out, "\n");
    }
    if (g->old_allow_for_ms != POLICY_DEFAULT) {
        buf_put_str(out, "    when_old: ");
        put_when_old(out, g->old_allow_for_ms);
        buf_put_str(out, "\n");
    }
    put_audit(out, &g->mode);
}

/* ---- actions ---- */

static void put_member(struct buf *out, const char *key, struct span value)
{
    if (value.n == 0)
        return;
    buf_printf(out, "      %s: ", key);
    put_quoted(out, value);
    buf_put_str(out, "\n");
}

static void put_statuses(struct buf *out, const char *key, const uint16_t *at,
                         unsigned count)
{
    if (count == 0)
        return;
    buf_printf(out, "      %s: [", key);
    for (unsigned i = 0; i < count; i++)
        buf_printf(out, "%s%u", i == 0 ? "" : ", ", at[i]);
    buf_put_str(out, "]\n");
}

static void put_action(struct buf *out, const struct policy_action *a)
{
    buf_put_str(out, "  ");
    put_quoted(out, a->name);
    buf_put_str(out, ":\n    http:\n");
    put_member(out, "preset", a->preset);
    if (a->preset.n == 0)
        put_member(out, "method", a->method);
    put_member(out, "url", a->url);
    put_member(out, "url_file", a->url_file);
    put_member(out, "key_file", a->key_file);
    put_member(out, "bearer_file", a->bearer_file);
    put_member(out, "ca_file", a->ca_file);
    if (a->header_count > 0)
        buf_put_str(out, "      headers:\n");
    for (unsigned i = 0; i < a->header_count; i++) {
        buf_put_str(out, "        ");
        put_quoted(out, a->headers[i].name);
        buf_put_str(out, ": ");
        put_quoted(out, a->headers[i].value);
        buf_put_str(out, "\n");
    }
    if (a->preset.n == 0) {
        put_member(out, "body", a->body);
        put_member(out, "content_type", a->content_type);
    }
    put_statuses(out, "success", a->success, a->success_count);
    put_statuses(out, "done_already", a->done_already, a->done_already_count);
}

/* ---- top ---- */

static void put_defaults(struct buf *out, const struct policy *p)
{
    buf_put_str(out, "defaults:\n  mode: ");
    put_mode(out, &p->mode);
    buf_printf(out, "\n  unknown_agent: %s\n  rule_subject: %s\n  max_age: ",
               p->lookup_unknown ? "lookup" : "deny",
               subject_kind_word(p->rule_subject));
    put_duration(out, p->max_age_ms);
    buf_put_str(out, "\n  refresh:\n    timeout: ");
    put_duration(out, p->refresh_timeout_ms);
    buf_put_str(out, "\n    when_old: ");
    put_when_old(out, p->old_allow_for_ms);
    buf_put_str(out, "\n    when_changed: deny\n    settle: ");
    put_duration(out, p->settle_ms);
    buf_printf(out, "\n  open_calls: {read: %s, if_denied: %s}\n",
               p->read_open_calls_now ? "now" : "at_next_question",
               p->open_calls_denied == OPEN_CANCEL ? "cancel" : "leave");
    if (p->feed_silent_ms > 0) {
        buf_put_str(out, "  feed_silent: {after: ");
        put_duration(out, p->feed_silent_ms);
        buf_printf(out, ", then: %s}\n",
                   p->feed_silent_refresh ? "refresh" : "record");
    } else {
        buf_put_str(out, "  feed_silent: never\n");
    }
}

static void put_classes(struct buf *out, const struct policy *p)
{
    if (p->class_count > 0)
        buf_put_str(out, "tool_classes:\n");
    for (unsigned i = 0; i < p->class_count; i++) {
        buf_put_str(out, "  ");
        put_quoted(out, p->classes[i].name);
        buf_put_str(out, ": ");
        put_names(out, p->classes[i].patterns);
        buf_put_str(out, "\n");
    }
}

static void put_feed(struct buf *out, const struct policy_feed *f)
{
    static const char *const words[] = {"suspend", "refresh", "release",
                                        "revoke"};
    const char *comma = "";
    buf_put_str(out, "  ");
    put_quoted(out, f->name);
    buf_put_str(out, ": {may: [");
    for (unsigned i = 0; i < 4; i++) {
        if ((f->may >> i & 1) == 0)
            continue;
        buf_printf(out, "%s%s", comma, words[i]);
        comma = ", ";
    }
    buf_put_str(out, "]");
    if (f->meaning.n > 0) {
        buf_put_str(out, ", meaning: ");
        put_quoted(out, f->meaning);
    }
    buf_put_str(out, "}\n");
}

static void put_limits(struct buf *out, const struct policy *p)
{
    buf_put_str(out, p->limited ? "limits:\n" : "");
    for (unsigned k = 0; k < LIMIT_KIND_COUNT; k++) {
        const struct policy_limit *l = &p->limits[k];
        if (l->max == 0)
            continue;
        buf_printf(out,
                   "  %s: {max: %u, per: ", limit_kind_word((enum limit_kind)k),
                   l->max);
        put_duration(out, l->per_ms);
        buf_printf(out, ", of_feed: %s", l->all_feeds ? "all" : "each");
        if (l->never_for != NULL) {
            buf_put_str(out, ", never_for: ");
            put_filter(out, l->never_for);
        }
        if (l->beyond.count > 0) {
            buf_put_str(out, ", beyond: ");
            put_names(out, l->beyond);
        }
        buf_put_str(out, "}\n");
    }
}

void policy_text_put(struct buf *out, const struct policy *p)
{
    buf_put_str(out, "apiVersion: bailiff/v1\nkind: Policy\n");
    put_defaults(out, p);
    if (p->agents_where != NULL) {
        buf_put_str(out, "agents:\n  where: ");
        put_filter(out, p->agents_where);
        buf_put_str(out, "\n");
    }
    put_classes(out, p);
    buf_put_str(out, p->rule_count > 0 ? "rules:\n" : "");
    for (unsigned i = 0; i < p->rule_count; i++)
        put_rule(out, p, &p->rules[i]);
    buf_put_str(out, p->gate_count > 0 ? "gate:\n" : "");
    for (unsigned i = 0; i < p->gate_count; i++)
        put_gate(out, p, &p->gates[i]);
    put_limits(out, p);
    buf_put_str(out, p->feed_count > 0 ? "feeds:\n" : "");
    for (unsigned i = 0; i < p->feed_count; i++)
        put_feed(out, &p->feeds[i]);
    buf_put_str(out, p->action_count > 0 ? "actions:\n" : "");
    for (unsigned i = 0; i < p->action_count; i++)
        put_action(out, &p->actions[i]);
}
