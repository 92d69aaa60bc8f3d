// SPDX-License-Identifier: Apache-2.0
/*
 * `bailiff policy explain`: what each rule says about one event or one tool,
 * and which part of the rule decided. The answers come from the functions that
 * the engine asks; here they are only taken apart.
 */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "adapters/json_doc.h"
#include "sidecar/base/json_out.h"
#include "sidecar/base/time_text.h"
#include "sidecar/cli.h"
#include "sidecar/cmd_policy_tool.h"
#include "sidecar/config/config.h"
#include "sidecar/config/policy_file.h"
#include "sidecar/policy_call.h"
#include "sidecar/policy_input.h"
#include "sidecar/policy_text.h"
#include "sidecar/term.h"

#define EXPLAIN_MEMORY_MAX (64u * 1024 * 1024)
#define RESOURCE_BYTES_MAX (1024 * 1024)
#define TEXT_MAX (64u * 1024)

struct question {
    const char *file, *event, *subject, *resource, *changed, *feed, *payload,
        *tool, *input, *config, *jwk;
    bool json;
};

struct work {
    struct question q;
    struct arena arena;
    struct buf out;
    struct term term;
    struct json_out j;
    struct policy_notes notes;
    const struct policy *p;
    int64_t wall_ms;
    struct rule_question rule;
    const struct doc *data; /* of a full form: part of the resource */
    struct policy_input input;
    struct fail f;
};

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

/* ---- the question ---- */

static int read_json(struct work *w, const char *path, const struct doc **ret)
{
    struct span text;
    if (path == NULL)
        return RC_OK;
    TRY(config_read_file(&w->arena.mem, span_str(path), RESOURCE_BYTES_MAX,
                         false, &text, &w->f));
    int rc =
        json_doc_parse(&w->arena.mem, text, RESOURCE_BYTES_MAX, ret, &w->f);
    if (rc < 0)
        return fail_wrap(&w->f, "%s", path);
    return (*ret)->kind == DOC_MAP
               ? RC_OK
               : fail(&w->f, RC_SYNTAX, "%s: not a map", path);
}

static int read_changed(struct work *w)
{
    struct span text = span_str(w->q.changed);
    struct rule_question *r = &w->rule;
    unsigned most = 1;
    for (size_t i = 0; i < text.n; i++)
        most += text.p[i] == ',';
    struct attr_path *at = mem_array(&w->arena.mem, most, sizeof *at);
    r->changed = at;
    for (size_t i = 0; at != NULL && i < text.n;) {
        size_t end = span_find(text, ',', i);
        TRY(attr_path_parse(&w->arena.mem, span_trim(span_sub(text, i, end)),
                            &at[r->changed_count++], &w->f));
        i = end + 1;
    }
    return RC_OK;
}

/* `event.*`: what every event says of itself, then the given payload. */
static const struct doc *event_members(struct work *w,
                                       const struct doc *payload)
{
    struct doc *map = payload == NULL ? doc_new(&w->arena.mem, DOC_MAP)
                                      : doc_copy(&w->arena.mem, payload);
    const struct {
        struct span key, text;
    } own[] = {{SPAN("type"), span_str(event_type_name(w->rule.type))},
               {SPAN("feed"), w->rule.feed}};
    for (size_t i = 0; map != NULL && i < sizeof own / sizeof *own; i++) {
        struct doc *d = doc_new(&w->arena.mem, DOC_TEXT);
        if (d == NULL || own[i].text.n == 0 || doc_get(map, own[i].key) != NULL)
            continue;
        d->key = own[i].key;
        d->text = own[i].text;
        doc_append(map, d);
    }
    return map;
}

/* Changes are in doubt where an event may name attributes and --changed does
 * not, and for what is not an event: a read may have found anything. */
static bool may_have_changed_all(enum event_type t)
{
    return t == EVENT_CREATE || t == EVENT_PATCH || t == EVENT_PUT ||
           t == EVENT_UNKNOWN || event_type_uri(t)[0] == 0;
}

/* One event of the input is asked about. */
static void choose_part(struct work *w, unsigned i)
{
    const struct event_part *part = &w->input.event.parts[i];
    w->rule.type = part->type;
    w->rule.changed = part->changed;
    w->rule.changed_count = part->changed_count;
    w->rule.changed_anything =
        part->changed_anything && may_have_changed_all(part->type);
    w->data = doc_get(part->payload, SPAN("data"));
    w->rule.env.event = event_members(w, part->payload);
}

static int read_input(struct work *w)
{
    struct policy_input *in = &w->input;
    const struct policy_input_from from = {w->q.input, w->q.config, w->q.jwk,
                                           w->q.feed};
    TRY(policy_input_read(&w->arena.mem, &from, in, &w->f));
    if (w->rule.env.resource == NULL)
        w->rule.env.resource = in->resource;
    if (in->is_question) {
        w->rule.env.call =
            policy_call_doc(&w->arena.mem, w->p, in->tool, in->more);
        return RC_OK;
    }
    w->rule.subject = in->event.kind;
    w->rule.feed = in->event.feed;
    return RC_OK;
}

static int read_question(struct work *w)
{
    const struct doc *payload = NULL;
    TRY(read_json(w, w->q.resource, &w->rule.env.resource));
    TRY(read_json(w, w->q.payload, &payload));
    w->rule.feed = span_str(w->q.feed);
    if (w->q.input != NULL)
        return read_input(w);
    if (w->q.tool != NULL) {
        w->rule.env.call =
            policy_call_doc(&w->arena.mem, w->p, span_str(w->q.tool), payload);
        return RC_OK;
    }
    w->data = doc_get(payload, SPAN("data"));
    w->rule.env.event = event_members(w, payload);
    w->rule.changed_anything = may_have_changed_all(w->rule.type);
    if (w->q.changed != NULL) {
        w->rule.changed_anything = false;
        TRY(read_changed(w));
    }
    return RC_OK;
}

/* ---- terms of a condition ---- */

static struct span term_text(struct work *w, const struct filter *term)
{
    const char *joint = filter_joint_word(term);
    struct buf b;
    if (joint != NULL)
        return span_str(joint);
    buf_init(&b, &w->arena.mem, TEXT_MAX);
    filter_print(term, &b);
    return buf_span(&b);
}

static struct span value_text(struct work *w, const struct doc *d)
{
    struct json_out j;
    struct buf b;
    buf_init(&b, &w->arena.mem, TEXT_MAX);
    json_out_init(&j, &b);
    json_doc(&j, NULL, d);
    struct span s = buf_span(&b);
    return s.n > 100 ? span_sub(s, 0, 100) : s;
}

static void term_to_text(void *ctx, const struct filter_step *s)
{
    struct work *w = ctx;
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
    struct work *w = ctx;
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

static void put_terms(struct work *w, const struct filter *flt,
                      const struct filter_env *env)
{
    if (w->q.json)
        json_open_list(&w->j, "terms");
    if (flt != NULL)
        filter_explain(flt, env, w->q.json ? term_to_json : term_to_text, w);
    if (w->q.json)
        json_close_list(&w->j);
}

/* ---- audit mode, agents ---- */

/* Of the rule, or of all when that one audits. NULL: it is enforced now. */
static const struct policy_mode *audit_of(const struct work *w,
                                          const struct policy_mode *own)
{
    if (policy_audits(&w->p->mode, w->wall_ms))
        return &w->p->mode;
    return policy_audits(own, w->wall_ms) ? own : NULL;
}

static void put_audit(struct work *w, const struct policy_mode *own)
{
    const struct policy_mode *m = audit_of(w, own);
    char until[TIME_TEXT_BYTES];
    if (m == NULL)
        return;
    time_text(m->until_ms, until);
    if (w->q.json)
        json_str(&w->j, "audit_until", until);
    else
        buf_printf(&w->out, "        in audit mode until %s: only written\n",
                   until);
}

static void put_agents(struct work *w, const struct policy_rule *r)
{
    struct buf b;
    if (r->agents_where == NULL)
        return;
    buf_init(&b, &w->arena.mem, TEXT_MAX);
    filter_print(r->agents_where, &b);
    if (w->q.json) {
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
static bool rest_matches(const struct work *w, const struct policy_rule *r,
                         bool with_changed)
{
    struct policy_rule rest = *r;
    static const struct policy_step any = {.kind = STEP_REFRESH};
    rest.where = NULL;
    rest.steps = &any; /* a rule of releases is not asked as it stands */
    rest.step_count = 1;
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
static void judge_where(const struct work *w, const struct policy_rule *r,
                        struct verdict *v)
{
    struct filter_env with_data = w->rule.env;
    v->env = w->rule.env;
    v->match = r->where == NULL ? TRI_YES : filter_eval(r->where, &v->env);
    if (v->match != TRI_UNKNOWN || v->env.resource != NULL || w->data == NULL ||
        policy_only_releases(r))
        return;
    with_data.resource = w->data;
    with_data.is_known = nothing_else;
    if (filter_eval(r->where, &with_data) != TRI_YES)
        return;
    v->match = TRI_YES;
    v->env = with_data;
    buf_put_str(&v->why, "by the event's data");
}

static void judge(const struct work *w, const struct policy_rule *r,
                  struct verdict *v)
{
    const bool releases = policy_only_releases(r);
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
        buf_printf(&v->why, "the rule is about a %s",
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
    const bool releases = policy_only_releases(r);
    return v == TRI_YES  ? releases ? "releases on the read" : "matched"
           : v == TRI_NO ? "not matched"
                         : "pending";
}

static bool step_allowed(const struct work *w, const struct policy_step *s)
{
    if (event_type_uri(w->rule.type)[0] == 0 || s->kind == STEP_RELEASE)
        return true;
    unsigned may = policy_feed_may(w->p, w->rule.feed);
    return (policy_step_needs(s) & ~may) == 0;
}

/* Does a limit say of this agent that the step waits for a person? */
static bool is_never(const struct work *w, enum limit_kind step)
{
    for (unsigned k = 0; policy_limit_withholds(step) && k < LIMIT_KIND_COUNT;
         k++)
        if (policy_limit_forbids(w->p, (enum limit_kind)k, step,
                                 w->rule.env.resource))
            return true;
    return false;
}

/* What the limits make of the step; empty: nothing. */
static struct span limit_text(struct work *w, const struct policy_step *s)
{
    const enum limit_kind kind = policy_step_limit(w->p, s);
    char per[TIME_TEXT_BYTES];
    struct buf b;
    buf_init(&b, &w->arena.mem, TEXT_MAX);
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

static void put_step_json(struct work *w, const struct policy_step *s,
                          struct span text, struct span limit)
{
    json_open_map(&w->j, NULL);
    json_text(&w->j, "step", text);
    json_bool(&w->j, "permitted", step_allowed(w, s));
    if (limit.n > 0)
        json_text(&w->j, "limit", limit);
    json_close_map(&w->j);
}

static void put_step_text(struct work *w, const struct policy_step *s,
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

static void put_steps(struct work *w, const struct policy_rule *r)
{
    for (unsigned i = 0; i < r->step_count; i++) {
        struct buf b;
        buf_init(&b, &w->arena.mem, TEXT_MAX);
        policy_text_step(&b, w->p, &r->steps[i]);
        const struct span limit = limit_text(w, &r->steps[i]);
        if (w->q.json)
            put_step_json(w, &r->steps[i], buf_span(&b), limit);
        else
            put_step_text(w, &r->steps[i], buf_span(&b), limit);
    }
}

static void put_rule_text(struct work *w, const struct policy_rule *r,
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

static void put_rule_json(struct work *w, const struct policy_rule *r,
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

static void explain_event(struct work *w)
{
    if (w->q.json)
        json_open_list(&w->j, "rules");
    for (unsigned i = 0; i < w->p->rule_count; i++) {
        const struct policy_rule *r = &w->p->rules[i];
        struct verdict v = {.part = "all"};
        buf_init(&v.why, &w->arena.mem, TEXT_MAX);
        judge(w, r, &v);
        if (w->q.json)
            put_rule_json(w, r, &v);
        else
            put_rule_text(w, r, &v);
    }
    if (w->q.json)
        json_close_list(&w->j);
    else
        buf_put_str(&w->out,
                    "and the built-in reaction: the subject is stale "
                    "until a read qualifies\n");
}

/* ---- gate ---- */

static void put_gate(struct work *w, const struct policy_gate *g, bool named,
                     const struct filter_env *env)
{
    const enum tri v = !named               ? TRI_UNKNOWN
                       : g->require == NULL ? TRI_YES
                                            : filter_eval(g->require, env);
    const char *word = !named         ? "does not name the tool"
                       : v == TRI_YES ? "fulfilled"
                                      : "not fulfilled";
    if (w->q.json) {
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

static int explain_tool(struct work *w)
{
    const struct span tool =
        w->q.tool != NULL ? span_str(w->q.tool) : w->input.tool;
    const uint32_t classes = policy_tool_classes(w->p, tool);
    struct filter_env strict = w->rule.env;
    uint16_t room[POLICY_GATES_MAX];
    struct gate_tool t;
    policy_gate_tool(w->p, tool, w->wall_ms, room, &t);
    struct gate_verdict v =
        policy_gate_eval(w->p, &t, &w->rule.env, w->wall_ms);
    strict.absent_is_unknown = true;
    if (w->q.json)
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
    if (w->q.json) {
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
    return v.allowed ? EXIT_YES : EXIT_NO;
}

/* ---- input ---- */

static void put_trust(struct work *w)
{
    const struct policy_input *in = &w->input;
    if (!in->is_token)
        return;
    if (w->q.json) {
        json_bool(&w->j, "verified", in->verified);
        if (!in->verified)
            json_str(&w->j, "not_verified", in->why_not);
        return;
    }
    term_tone(&w->term, &w->out, in->verified ? TONE_GOOD : TONE_WARN,
              in->verified ? SPAN("verified") : SPAN("not verified"));
    buf_put_str(&w->out, in->verified ? " with the keys of its feed" : ": ");
    if (!in->verified)
        term_put(&w->out, span_str(in->why_not));
    buf_put_str(&w->out, "\n");
}

static void put_part(struct work *w, unsigned i)
{
    choose_part(w, i);
    if (w->q.json) {
        json_open_map(&w->j, NULL);
        json_str(&w->j, "event", event_type_name(w->rule.type));
        explain_event(w);
        json_close_map(&w->j);
        return;
    }
    term_tone(&w->term, &w->out, TONE_BOLD,
              span_str(event_type_name(w->rule.type)));
    buf_put_str(&w->out, " of ");
    term_put(&w->out, w->input.event.uri);
    if (w->rule.feed.n > 0)
        buf_printf(&w->out, ", feed %.*s", PRSPAN(w->rule.feed));
    buf_put_str(&w->out, "\n");
    explain_event(w);
}

static int explain_input(struct work *w)
{
    const struct event *ev = &w->input.event;
    if (w->input.is_question)
        return explain_tool(w);
    put_trust(w);
    if (w->q.json) {
        json_text(&w->j, "subject", ev->uri);
        json_text(&w->j, "feed", w->rule.feed);
        json_open_list(&w->j, "parts");
    }
    for (unsigned i = 0; ev->has_subject && i < ev->part_count; i++)
        put_part(w, i);
    if (w->q.json)
        json_close_list(&w->j);
    else if (!ev->has_subject)
        buf_put_str(&w->out, "it is about no subject: no rule is asked\n");
    return EXIT_YES;
}

/* ---- the command ---- */

static int load(struct work *w)
{
    struct span source;
    int rc = policy_file_load(&w->arena.mem, span_str(w->q.file), &w->p,
                              &w->notes, &source, &w->f);
    if (rc < 0 && w->notes.error_count > 0) {
        policy_notes_print(&w->notes, w->q.file, source, w->term.colour,
                           &w->out);
        return EXIT_NO;
    }
    if (rc == RC_OK)
        rc = read_question(w);
    if (rc == RC_OK)
        return EXIT_YES;
    (void)cli_fail(&w->f);
    return w->q.input != NULL && (rc == RC_PROTOCOL || rc == RC_SYNTAX)
               ? EXIT_NO
               : EXIT_ENVIRONMENT;
}

static int run(struct work *w)
{
    int code = load(w);
    if (code != EXIT_YES)
        return code;
    json_out_init(&w->j, &w->out);
    if (w->q.json)
        json_open_map(&w->j, NULL);
    if (w->q.input != NULL)
        code = explain_input(w);
    else if (w->q.tool != NULL)
        code = explain_tool(w);
    else
        explain_event(w);
    if (w->q.json) {
        json_close_map(&w->j);
        buf_put_str(&w->out, "\n");
    }
    return code;
}

static int check_input(const struct question *q)
{
    if (q->event != NULL || q->subject != NULL || q->changed != NULL ||
        q->payload != NULL || q->tool != NULL)
        return cli_usage(
            "policy explain: a file says it all: only --resource, --feed, "
            "--config and --jwk go with it");
    if (q->jwk != NULL && q->config == NULL)
        return cli_usage(
            "policy explain: --jwk needs --config, which says what the feed "
            "accepts");
    return EXIT_YES;
}

static int check_question(struct work *w, int words)
{
    const struct question *q = &w->q;
    if (words != 2 && words != 3)
        return cli_usage("policy explain needs one policy file");
    if (words == 3)
        return check_input(q);
    if (q->config != NULL || q->jwk != NULL)
        return cli_usage("policy explain: --config and --jwk are for tokens");
    if (q->tool != NULL && (q->event != NULL || q->changed != NULL))
        return cli_usage("policy explain: --event or --tool, not both");
    if (q->tool != NULL)
        return EXIT_YES;
    if (q->event == NULL || q->subject == NULL)
        return cli_usage(
            "policy explain needs --event and --subject, or --tool, or a "
            "file or - with a token, an event or a question");
    if (!event_type_from_name(span_str(q->event), &w->rule.type))
        return cli_usage("policy explain: there is no event '%s'", q->event);
    if (!policy_input_kind(span_str(q->subject), &w->rule.subject))
        return cli_usage(
            "policy explain: --subject is /Agents/ID, /Users/ID "
            "or /Groups/ID");
    return EXIT_YES;
}

static int64_t wall_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int explain(struct work *w, int argc, char **argv)
{
    struct question *q = &w->q;
    const struct cli_option options[] = {{"event", 0, NULL, &q->event},
                                         {"subject", 0, NULL, &q->subject},
                                         {"resource", 0, NULL, &q->resource},
                                         {"changed", 0, NULL, &q->changed},
                                         {"payload", 0, NULL, &q->payload},
                                         {"feed", 0, NULL, &q->feed},
                                         {"tool", 0, NULL, &q->tool},
                                         {"config", 'c', NULL, &q->config},
                                         {"jwk", 0, NULL, &q->jwk},
                                         {"json", 'j', &q->json, NULL},
                                         {NULL, 0, NULL, NULL}};
    const char *words[3] = {NULL, NULL, NULL};
    const int count = cli_parse(argc, argv, options, words, 3);
    int code = count < 0 ? EXIT_USAGE : check_question(w, count);
    if (code != EXIT_YES)
        return code;
    q->file = words[1];
    q->input = words[2];
    arena_init(&w->arena, mem_system(), EXPLAIN_MEMORY_MAX);
    buf_init(&w->out, mem_system(), TERM_OUT_MAX);
    term_init(&w->term, STDOUT_FILENO);
    w->wall_ms = wall_now();
    code = run(w);
    if (term_write(STDOUT_FILENO, buf_span(&w->out)) < 0)
        code = EXIT_ENVIRONMENT;
    buf_fini(&w->out);
    arena_fini(&w->arena);
    return code;
}

int cmd_policy_explain(int argc, char **argv)
{
    struct work *w = mem_alloc(mem_system(), sizeof *w);
    if (w == NULL)
        return EXIT_ENVIRONMENT;
    const int code = explain(w, argc, argv);
    mem_release(mem_system(), w);
    return code;
}
