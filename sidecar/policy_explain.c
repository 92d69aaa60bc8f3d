// SPDX-License-Identifier: Apache-2.0
#include "sidecar/policy_explain.h"

#include <string.h>

#include "sidecar/base/time_text.h"
#include "sidecar/policy_text.h"

#define TEXT_MAX (64u * 1024)

/* What a rule says, the part of it that decided, and over what. */
struct verdict {
    enum tri match;
    const char *part;
    struct filter_env env;
    struct buf why;
};

static const char *tri_word(enum tri v)
{
    return v == TRI_YES ? "yes" : v == TRI_NO ? "no" : "unknown";
}

/* ---- terms of a condition ---- */

static struct span term_text(struct explain *w, const struct filter *term)
{
    const char *joint = filter_joint_word(term);
    struct buf b;
    if (joint != NULL)
        return span_str(joint);
    buf_init(&b, w->mem, TEXT_MAX);
    filter_print(term, &b);
    return buf_span(&b);
}

static struct span value_text(struct explain *w, const struct doc *d)
{
    struct json_out j;
    struct buf b;
    buf_init(&b, w->mem, TEXT_MAX);
    json_out_init(&j, &b);
    json_doc(&j, NULL, d);
    struct span s = buf_span(&b);
    return s.n > 100 ? span_sub(s, 0, 100) : s;
}

static void term_to_text(void *ctx, const struct filter_step *s)
{
    struct explain *w = ctx;
    const enum tone tone = s->value == TRI_YES  ? TONE_GOOD
                           : s->value == TRI_NO ? TONE_BAD
                                                : TONE_WARN;
    char word[16];
    (void)snprintf(word, sizeof word, "%-8s", tri_word(s->value));
    buf_put_str(&w->out, "        ");
    term_tone(&w->term, &w->out, tone, span_str(word));
    buf_printf(&w->out, "%*s", (int)(2 * s->depth), "");
    term_put(&w->out, term_text(w, s->term));
    if (filter_joint_word(s->term) == NULL) {
        buf_put_str(&w->out, !s->known          ? "   (not read)"
                             : s->found == NULL ? "   (no value)"
                                                : "   is ");
        if (s->known && s->found != NULL)
            term_put(&w->out, value_text(w, s->found));
    }
    buf_put_str(&w->out, "\n");
}

static void term_to_json(void *ctx, const struct filter_step *s)
{
    struct explain *w = ctx;
    json_open_map(&w->j, NULL);
    json_u64(&w->j, "depth", s->depth);
    json_text(&w->j, "term", term_text(w, s->term));
    json_str(&w->j, "value", tri_word(s->value));
    if (filter_joint_word(s->term) == NULL) {
        json_bool(&w->j, "known", s->known);
        if (s->found != NULL)
            json_doc(&w->j, "found", s->found);
    }
    json_close_map(&w->j);
}

static void put_terms(struct explain *w, const struct filter *flt,
                      const struct filter_env *env)
{
    if (w->json)
        json_open_list(&w->j, "terms");
    if (flt != NULL)
        filter_explain(flt, env, w->json ? term_to_json : term_to_text, w);
    if (w->json)
        json_close_list(&w->j);
}

/* ---- audit mode, agents ---- */

/* Of the rule, or of all when that one audits. NULL: it is enforced now. */
static const struct policy_mode *audit_of(const struct explain *w,
                                          const struct policy_mode *own)
{
    if (policy_audits(&w->p->mode, w->wall_ms))
        return &w->p->mode;
    return policy_audits(own, w->wall_ms) ? own : NULL;
}

static void put_audit(struct explain *w, const struct policy_mode *own)
{
    const struct policy_mode *m = audit_of(w, own);
    char until[TIME_TEXT_BYTES];
    if (m == NULL)
        return;
    time_text(m->until_ms, until);
    if (w->json)
        json_str(&w->j, "audit_until", until);
    else
        buf_printf(&w->out, "        in audit mode until %s: only written\n",
                   until);
}

static void put_agents(struct explain *w, const struct policy_rule *r)
{
    struct buf b;
    if (r->agents_where == NULL)
        return;
    buf_init(&b, w->mem, TEXT_MAX);
    filter_print(r->agents_where, &b);
    if (w->json) {
        json_text(&w->j, "agents_where", buf_span(&b));
        return;
    }
    buf_put_str(&w->out, "        for those agents with: ");
    term_put(&w->out, buf_span(&b));
    buf_put_str(&w->out, "\n");
}

/* ---- rules ---- */

static void put_event_names(struct buf *b, const struct policy_rule *r)
{
    for (unsigned t = 0; t < EVENT_TYPE_COUNT; t++) {
        if ((r->events & EVENT_BIT(t)) == 0)
            continue;
        buf_put_str(b, " ");
        policy_text_event(b, r, (enum event_type)t);
    }
}

/* A rule without its condition: does the rest match? */
static bool rest_matches(const struct explain *w, const struct policy_rule *r,
                         bool with_changed)
{
    struct policy_rule rest = *r;
    rest.where = NULL;
    rest.only_releases = false; /* such a rule is not asked as it stands */
    if (!with_changed)
        rest.changed_count = 0;
    return policy_rule_match(&rest, &w->rule) == TRI_YES;
}

static bool nothing_else(const void *ctx, struct span attr)
{
    (void)ctx;
    (void)attr;
    return false;
}

/* Without a read, the data of the event can make a condition true. */
static void judge_where(const struct explain *w, const struct policy_rule *r,
                        struct verdict *v)
{
    struct filter_env with_data = w->rule.env;
    v->env = w->rule.env;
    v->match = r->where == NULL ? TRI_YES : filter_eval(r->where, &v->env);
    if (v->match != TRI_UNKNOWN || v->env.resource != NULL || w->data == NULL ||
        r->only_releases)
        return;
    with_data.resource = w->data;
    with_data.is_known = nothing_else;
    if (filter_eval(r->where, &with_data) != TRI_YES)
        return;
    v->match = TRI_YES;
    v->env = with_data;
    buf_put_str(&v->why, "by the event's data");
}

static void judge(const struct explain *w, const struct policy_rule *r,
                  struct verdict *v)
{
    const bool releases = r->only_releases;
    struct policy_rule asked = *r;
    if (releases && (r->events & EVENT_BIT(EVENT_REFRESHED)) != 0)
        asked.events |= EVENT_BIT(w->rule.type); /* the read that follows */
    v->match = TRI_NO;
    if ((asked.events & EVENT_BIT(w->rule.type)) == 0) {
        v->part = "events";
        buf_put_str(&v->why, "the rule is about");
        put_event_names(&v->why, r);
    } else if (r->subject != w->rule.subject) {
        v->part = "subject";
        buf_printf(&v->why, "the rule is about %s %s",
                   r->subject == SUBJECT_AGENT ? "an" : "a",
                   subject_kind_word(r->subject));
    } else if (!rest_matches(w, &asked, false)) {
        v->part = "feeds";
        buf_printf(&v->why, "the rule does not listen to %s%.*s",
                   w->rule.feed.n > 0 ? "" : "an unnamed feed",
                   PRSPAN(w->rule.feed));
    } else if (!rest_matches(w, &asked, true)) {
        v->part = "changed";
        buf_put_str(&v->why, "the event names no attribute of the rule");
    } else {
        v->part = r->where == NULL ? "all" : "where";
        judge_where(w, r, v);
        if (releases && w->rule.env.resource == NULL)
            v->match = TRI_UNKNOWN;
        if (v->match == TRI_UNKNOWN)
            buf_put_str(&v->why, "waits for a read");
    }
}

static const char *match_word(const struct policy_rule *r, enum tri v)
{
    const bool releases = r->only_releases;
    return v == TRI_YES  ? releases ? "releases on the read" : "matched"
           : v == TRI_NO ? "not matched"
                         : "pending";
}

static bool step_allowed(const struct explain *w, const struct policy_step *s)
{
    if (event_type_uri(w->rule.type)[0] == 0 || s->kind == STEP_RELEASE)
        return true;
    unsigned may = policy_feed_may(w->p, w->rule.feed);
    return (policy_step_needs(s) & ~may) == 0;
}

/* Does a limit say of this agent that the step waits for a person? */
static bool is_never(const struct explain *w, enum limit_kind step)
{
    for (unsigned k = 0; policy_limit_withholds(step) && k < LIMIT_KIND_COUNT;
         k++)
        if (policy_limit_forbids(w->p, (enum limit_kind)k, step,
                                 w->rule.env.resource))
            return true;
    return false;
}

/* What the limits make of the step; empty: nothing. */
static struct span limit_text(struct explain *w, const struct policy_step *s)
{
    const enum limit_kind kind = policy_step_limit(w->p, s);
    char per[TIME_TEXT_BYTES];
    struct buf b;
    buf_init(&b, w->mem, TEXT_MAX);
    if (is_never(w, kind)) {
        buf_put_str(&b, "withheld: never_for");
    } else if (kind < LIMIT_KIND_COUNT && w->p->limits[kind].max > 0) {
        const struct policy_limit *l = &w->p->limits[kind];
        duration_text(l->per_ms, per);
        buf_printf(&b, "counted: %u agents in %s of %s", l->max, per,
                   l->all_feeds ? "all feeds" : "each feed");
    }
    return buf_span(&b);
}

static void put_step_json(struct explain *w, const struct policy_step *s,
                          struct span text, struct span limit)
{
    json_open_map(&w->j, NULL);
    json_text(&w->j, "step", text);
    json_bool(&w->j, "permitted", step_allowed(w, s));
    if (limit.n > 0)
        json_text(&w->j, "limit", limit);
    json_close_map(&w->j);
}

static void put_step_text(struct explain *w, const struct policy_step *s,
                          struct span text, struct span limit)
{
    buf_put_str(&w->out, "        - ");
    term_put(&w->out, text);
    if (!step_allowed(w, s))
        buf_put_str(&w->out, "   (the feed may not)");
    else if (limit.n > 0)
        buf_printf(&w->out, "   (%.*s)", PRSPAN(limit));
    buf_put_str(&w->out, "\n");
}

static void put_steps(struct explain *w, const struct policy_rule *r)
{
    for (unsigned i = 0; i < r->step_count; i++) {
        struct buf b;
        buf_init(&b, w->mem, TEXT_MAX);
        policy_text_step(&b, w->p, &r->steps[i]);
        const struct span limit = limit_text(w, &r->steps[i]);
        if (w->json)
            put_step_json(w, &r->steps[i], buf_span(&b), limit);
        else
            put_step_text(w, &r->steps[i], buf_span(&b), limit);
    }
}

static void put_rule_text(struct explain *w, const struct policy_rule *r,
                          const struct verdict *v)
{
    const enum tone tone = v->match == TRI_YES  ? TONE_GOOD
                           : v->match == TRI_NO ? TONE_DIM
                                                : TONE_WARN;
    buf_printf(&w->out, "rule %.*s: ", PRSPAN(r->name));
    term_tone(&w->term, &w->out, tone, span_str(match_word(r, v->match)));
    if (v->match != TRI_YES)
        buf_printf(&w->out, ", by %s", v->part);
    if (v->why.n > 0) {
        buf_put_str(&w->out, ": ");
        term_put(&w->out, buf_span(&v->why));
    }
    buf_put_str(&w->out, "\n");
    if (strcmp(v->part, "where") == 0)
        put_terms(w, r->where, &v->env);
    if (v->match == TRI_NO)
        return;
    put_audit(w, &r->mode);
    put_agents(w, r);
    put_steps(w, r);
}

static void put_rule_json(struct explain *w, const struct policy_rule *r,
                          const struct verdict *v)
{
    json_open_map(&w->j, NULL);
    json_text(&w->j, "rule", r->name);
    json_str(&w->j, "result", match_word(r, v->match));
    json_str(&w->j, "decided_by", v->part);
    if (v->why.n > 0)
        json_text(&w->j, "why", buf_span(&v->why));
    put_terms(w, strcmp(v->part, "where") == 0 ? r->where : NULL, &v->env);
    put_audit(w, &r->mode);
    put_agents(w, r);
    json_open_list(&w->j, "steps");
    if (v->match != TRI_NO)
        put_steps(w, r);
    json_close_list(&w->j);
    json_close_map(&w->j);
}

void explain_event(struct explain *w)
{
    if (w->json)
        json_open_list(&w->j, "rules");
    for (unsigned i = 0; i < w->p->rule_count; i++) {
        const struct policy_rule *r = &w->p->rules[i];
        struct verdict v = {.part = "all"};
        buf_init(&v.why, w->mem, TEXT_MAX);
        judge(w, r, &v);
        if (w->json)
            put_rule_json(w, r, &v);
        else
            put_rule_text(w, r, &v);
    }
    if (w->json)
        json_close_list(&w->j);
    else
        buf_put_str(&w->out,
                    "and the built-in reaction: the subject is stale "
                    "until a read qualifies\n");
}

/* ---- gate ---- */

static void put_gate(struct explain *w, const struct policy_gate *g, bool named,
                     const struct filter_env *env)
{
    const enum tri v = !named               ? TRI_UNKNOWN
                       : g->require == NULL ? TRI_YES
                                            : filter_eval(g->require, env);
    const char *word = !named         ? "does not name the tool"
                       : v == TRI_YES ? "fulfilled"
                                      : "not fulfilled";
    if (w->json) {
        json_open_map(&w->j, NULL);
        json_text(&w->j, "rule", g->name);
        json_bool(&w->j, "names_tool", named);
        json_str(&w->j, "result", word);
        put_terms(w, named ? g->require : NULL, env);
        put_audit(w, &g->mode);
        json_close_map(&w->j);
        return;
    }
    buf_printf(&w->out, "gate rule %.*s: ", PRSPAN(g->name));
    term_tone(&w->term, &w->out,
              !named         ? TONE_DIM
              : v == TRI_YES ? TONE_GOOD
                             : TONE_BAD,
              span_str(word));
    buf_put_str(&w->out, "\n");
    put_terms(w, named ? g->require : NULL, env);
    if (named)
        put_audit(w, &g->mode);
}

bool explain_tool(struct explain *w)
{
    const struct span tool = w->tool;
    const uint32_t classes = policy_tool_classes(w->p, tool);
    struct filter_env strict = w->rule.env;
    uint16_t room[POLICY_GATES_MAX];
    struct gate_tool t;
    policy_gate_tool(w->p, tool, w->wall_ms, room, &t);
    struct gate_verdict v =
        policy_gate_eval(w->p, &t, &w->rule.env, w->wall_ms);
    strict.absent_is_unknown = true;
    if (w->json)
        json_open_list(&w->j, "gate");
    for (unsigned i = 0; i < w->p->gate_count; i++) {
        const struct policy_gate *g = &w->p->gates[i];
        put_gate(w, g, policy_tools_match(w->p, &g->tools, tool, classes),
                 &strict);
    }
    if (!v.allowed && policy_audits(&w->p->mode, w->wall_ms))
        v.allowed = v.would = true;
    const char *why = v.decider != NULL      ? "by gate rule "
                      : t.rules.count > 0    ? ""
                      : w->p->gate_count > 0 ? "no gate rule names the tool"
                                             : "there are no gate rules";
    const struct span who = v.decider != NULL ? v.decider->name : SPAN("");
    if (w->json) {
        json_close_list(&w->j);
        json_str(&w->j, "decision", v.allowed ? "allow" : "deny");
        json_bool(&w->j, "would_deny", v.would);
        json_text(&w->j, "decided_by", who);
        json_i64(&w->j, "max_age_ms", t.max_age_ms);
        json_i64(&w->j, "old_allow_for_ms", t.old_allow_for_ms);
    } else {
        term_tone(&w->term, &w->out, v.allowed ? TONE_GOOD : TONE_BAD,
                  v.allowed ? SPAN("allow") : SPAN("deny"));
        buf_printf(&w->out, "%s%s%s%.*s; the last read may be %lld s old",
                   v.would ? ", denied without audit mode" : "",
                   why[0] == 0 ? "" : ": ", why, PRSPAN(who),
                   (long long)(t.max_age_ms / 1000));
        if (t.old_allow_for_ms > 0)
            buf_printf(&w->out, ", %lld s more when reads fail",
                       (long long)(t.old_allow_for_ms / 1000));
        buf_put_str(&w->out, "\n");
    }
    return v.allowed;
}
