// SPDX-License-Identifier: Apache-2.0
/*
 * What a test expects against what there is. Standing comes first, then the
 * gate is asked (which may make the engine read), then all the rest.
 */
#include "adapters/json_doc.h"
#include "sidecar/base/json_out.h"
#include "sidecar/policy_world_internal.h"

#define VIEW_BYTES_MAX (4 * 1024 * 1024)
#define SET_MAX 256

/* ---- sets of words ---- */

struct words {
    struct span at[SET_MAX];
    unsigned count;
};

static bool has(const struct words *s, struct span word)
{
    for (unsigned i = 0; i < s->count; i++)
        if (span_eq(s->at[i], word))
            return true;
    return false;
}

static void put(struct words *s, struct span word)
{
    if (word.n > 0 && s->count < SET_MAX && !has(s, word))
        s->at[s->count++] = word;
}

static struct words words_of(struct names names)
{
    struct words s = {.count = 0};
    for (unsigned i = 0; i < names.count; i++)
        put(&s, names.at[i]);
    return s;
}

static void sort(struct words *s)
{
    for (unsigned i = 1; i < s->count; i++)
        for (unsigned k = i; k > 0 && span_cmp(s->at[k], s->at[k - 1]) < 0;
             k--) {
            struct span t = s->at[k];
            s->at[k] = s->at[k - 1];
            s->at[k - 1] = t;
        }
}

static struct span show(struct world *w, struct words *s)
{
    struct buf b;
    sort(s);
    buf_init(&b, w->out, VIEW_BYTES_MAX);
    for (unsigned i = 0; i < s->count; i++)
        buf_printf(&b, "%s%.*s", i == 0 ? "" : ", ", PRSPAN(s->at[i]));
    return s->count == 0 || !buf_ok(&b) ? SPAN("none") : buf_span(&b);
}

static void compare(struct world *w, uint32_t line, struct span what,
                    struct names expected, struct words *got)
{
    struct words wanted = words_of(expected);
    bool same = wanted.count == got->count;
    for (unsigned i = 0; i < got->count; i++)
        same = same && has(&wanted, got->at[i]);
    w->result->checks++;
    if (!same)
        world_differ(w, line, what, show(w, &wanted), show(w, got));
}

/* ---- views of the engine ---- */

static const struct doc *parse_view(struct world *w, struct buf *b)
{
    const struct doc *view = NULL;
    if (!buf_ok(b) || json_doc_parse(&w->arena.mem, buf_span(b), VIEW_BYTES_MAX,
                                     &view, NULL) < 0)
        world_complain(w, w->test->line, "a view of the engine is too large");
    return view;
}

/* What an operator would see of the agent; NULL when it is unknown. */
static const struct doc *view_agent(struct world *w, struct span uri)
{
    struct buf b;
    struct json_out j;
    buf_init(&b, &w->arena.mem, VIEW_BYTES_MAX);
    json_out_init(&j, &b);
    if (!engine_show_agent(w->drive.engine, 0, uri, -1, &j))
        return NULL;
    return parse_view(w, &b);
}

static const struct doc *view_jobs(struct world *w, struct span uri)
{
    const struct show_query q = {
        .feed = -1, .uri = uri, .limit = SHOW_JOBS_MAX};
    struct buf b;
    struct json_out j;
    buf_init(&b, &w->arena.mem, VIEW_BYTES_MAX);
    json_out_init(&j, &b);
    json_open_map(&j, NULL);
    engine_show_jobs(w->drive.engine, &q, &j);
    json_close_map(&j);
    return doc_get(parse_view(w, &b), SPAN("jobs"));
}

/* ---- records ---- */

/* Which records a set is made of. Empty spans stand for any. */
struct pick {
    struct span kind, agent, outcome, member;
};

static bool picked(const struct doc *d, const struct pick *p)
{
    return span_eq(doc_text(d, SPAN("kind")), p->kind) &&
           (p->agent.n == 0 || span_eq(doc_text(d, SPAN("agent")), p->agent)) &&
           span_eq(doc_text(d, SPAN("outcome")), p->outcome);
}

static void collect(const struct list *records, const struct pick *p,
                    struct words *to)
{
    LIST_EACH (k, next, records) {
        const struct doc *d = container_of(k, struct world_record, link)->doc;
        if (picked(d, p))
            put(to, doc_text(d, p->member));
    }
}

static bool is_policy_action(const struct world *w, struct span action)
{
    const struct policy *p = w->policy;
    bool found = span_eq(action, SPAN("cancel")) ||
                 span_eq(action, SPAN("revoke")) ||
                 span_eq(action, SPAN("purge"));
    for (unsigned i = 0; i < p->action_count; i++)
        found = found || span_eq(p->actions[i].name, action);
    return found;
}

/* What rules asked for: jobs that were started, and those that would have
 * been, had there been anything to act on. */
static void compare_actions(struct world *w, const struct test_expect *e,
                            struct span agent)
{
    static const char *const outcomes[] = {"started", "nothing_registered"};
    struct words all = {.count = 0}, got = {.count = 0};
    for (unsigned i = 0; i < 2; i++) {
        const struct pick p = {SPAN("action"), agent, span_str(outcomes[i]),
                               SPAN("action")};
        collect(&w->records, &p, &all);
    }
    for (unsigned i = 0; i < all.count; i++)
        if (is_policy_action(w, all.at[i]))
            put(&got, all.at[i]);
    compare(w, e->actions.line, world_text(w, "actions of %.*s", PRSPAN(agent)),
            e->actions.names, &got);
}

static void compare_steps(struct world *w, const struct test_words *words,
                          struct span agent, const char *outcome)
{
    struct words got = {.count = 0};
    const struct pick p = {SPAN("action"), agent, span_str(outcome),
                           SPAN("action")};
    collect(&w->records, &p, &got);
    compare(w, words->line, world_text(w, "%s of %.*s", outcome, PRSPAN(agent)),
            words->names, &got);
}

static void compare_rules(struct world *w, const struct test_words *words,
                          const char *outcome, const char *what)
{
    struct words got = {.count = 0}, lifting = {.count = 0};
    const struct pick verdicts = {SPAN("verdict"), SPAN(""), span_str(outcome),
                                  SPAN("rule")};
    const struct pick lifts = {SPAN("action"), SPAN(""), SPAN("lifted"),
                               SPAN("rule")};
    collect(&w->records, &verdicts, &got);
    collect(&w->records, &lifts, &lifting);
    for (unsigned i = 0; i < lifting.count; i++)
        for (unsigned k = 0; k < w->policy->rule_count; k++)
            if (span_eq(outcome[0] == 'm' ? lifting.at[i] : SPAN(""),
                        w->policy->rules[k].name))
                put(&got, lifting.at[i]);
    compare(w, words->line, span_str(what), words->names, &got);
}

/* ---- holds, calls, jobs ---- */

static void compare_hold(struct world *w, const struct test_expect *e,
                         struct span agent, const struct doc *view)
{
    struct words got = {.count = 0};
    DOC_EACH (it, doc_get(view, SPAN("holds")))
        put(&got, doc_text(it, SPAN("kind")));
    compare(w, e->hold.line, world_text(w, "hold of %.*s", PRSPAN(agent)),
            e->hold.names, &got);
}

static void compare_calls(struct world *w, const struct test_expect *e,
                          struct span agent, const struct doc *view)
{
    struct words got = {.count = 0};
    DOC_EACH (it, doc_get(view, SPAN("open_calls")))
        if (span_eq(doc_text(it, SPAN("state")), SPAN("running")))
            put(&got, doc_text(it, SPAN("tool")));
    compare(w, e->calls.line,
            world_text(w, "running calls of %.*s", PRSPAN(agent)),
            e->calls.names, &got);
}

static void compare_job(struct world *w, const struct test_job *job,
                        struct span agent)
{
    struct words got = {.count = 0}, nothing = {.count = 0};
    const struct pick p = {SPAN("action"), agent, SPAN("nothing_registered"),
                           SPAN("action")};
    DOC_EACH (it, view_jobs(w, agent))
        if (span_eq(doc_text(it, SPAN("action")), job->action) &&
            !span_eq(doc_text(it, SPAN("state")), SPAN("nothing_registered")))
            put(&got, doc_text(it, SPAN("state")));
    collect(&w->records, &p, &nothing);
    collect(&w->past, &p, &nothing);
    if (got.count == 0 && has(&nothing, job->action))
        put(&got, SPAN("nothing_registered"));
    compare(
        w, job->line,
        world_text(w, "%.*s jobs of %.*s", PRSPAN(job->action), PRSPAN(agent)),
        job->states, &got);
}

static void compare_standing(struct world *w, const struct test_expect *e,
                             struct span agent)
{
    const struct doc *view = view_agent(w, agent);
    struct span got =
        view == NULL ? SPAN("unknown") : doc_text(view, SPAN("standing"));
    w->result->checks++;
    if (!span_eq(got, e->standing))
        world_differ(w, e->standing_line,
                     world_text(w, "standing of %.*s", PRSPAN(agent)),
                     e->standing, world_keep(w, got));
}

/* ---- gate ---- */

static void cover_gate(struct world *w, const struct test_gate *g,
                       struct span uri)
{
    const bool by_rule =
        !w->answer.allow && w->answer.reason == REASON_GATE_RULE;
    const struct coverage_question q = {
        .tool = g->tool,
        .run = g->run,
        .resource = world_last_read(w, uri),
        .allowed = w->answer.allow,
        .denied_by = by_rule ? w->answer_rule : SPAN("")};
    if (w->coverage != NULL)
        coverage_gate(w->coverage, &w->arena.mem, &q);
}

/* Does the record of the last answer for the tool say `would`? */
static bool answer_would(const struct world *w, struct span agent,
                         struct span tool)
{
    bool would = false;
    LIST_EACH (k, next, &w->records) {
        const struct doc *d = container_of(k, struct world_record, link)->doc;
        if (span_eq(doc_text(d, SPAN("kind")), SPAN("gate")) &&
            span_eq(doc_text(d, SPAN("agent")), agent) &&
            span_eq(doc_text(d, SPAN("tool")), tool))
            would = doc_get(d, SPAN("would")) != NULL;
    }
    return would;
}

static struct span show_answer(struct world *w, const struct test_gate *g)
{
    return world_text(w, "%s%s%.*s%s%.*s%s", g->allow ? "allow" : "deny",
                      g->reason.n > 0 ? ", " : "", PRSPAN(g->reason),
                      g->rule.n > 0 ? ", by " : "", PRSPAN(g->rule),
                      !g->would_asked ? ""
                      : g->would      ? ", would deny"
                                      : ", without audit mode");
}

static void compare_gate(struct world *w, const struct test_gate *g,
                         struct span agent)
{
    struct span uri = g->agent.n > 0 ? g->agent : agent;
    struct span what =
        world_text(w, "gate for %.*s of %.*s", PRSPAN(g->tool), PRSPAN(uri));
    w->result->checks++;
    if (!world_ask(w, uri, g->tool, g->run)) {
        world_differ(w, g->line, what, show_answer(w, g), SPAN("no answer"));
        return;
    }
    const struct test_gate got = {
        .allow = w->answer.allow,
        .reason = span_str(reason_code(w->answer.reason)),
        .rule = w->answer_rule,
        .would = answer_would(w, uri, g->tool),
        .would_asked = g->would_asked};
    cover_gate(w, g, uri);
    if (got.allow == g->allow &&
        (g->reason.n == 0 || span_eq(g->reason, got.reason)) &&
        (g->rule.n == 0 || span_eq(g->rule, got.rule)) &&
        (!g->would_asked || g->would == got.would))
        return;
    world_differ(w, g->line, what, show_answer(w, g), show_answer(w, &got));
}

/* ---- the whole ---- */

static bool needs_agent(const struct test_expect *e)
{
    for (unsigned i = 0; i < e->gate_count; i++)
        if (e->gates[i].agent.n == 0)
            return true;
    return e->standing.n > 0 || e->hold.asked || e->actions.asked ||
           e->would.asked || e->not_permitted.asked || e->calls.asked ||
           e->job_count > 0;
}

static void ask_first(struct world *w, const struct test_expect *e,
                      struct span agent)
{
    if (e->standing.n > 0)
        compare_standing(w, e, agent);
    for (unsigned i = 0; i < e->gate_count && driver_runs(&w->drive); i++)
        compare_gate(w, &e->gates[i], agent);
}

static void compare_rest(struct world *w, const struct test_expect *e,
                         struct span agent)
{
    const struct doc *view =
        e->hold.asked || e->calls.asked ? view_agent(w, agent) : NULL;
    if (e->hold.asked)
        compare_hold(w, e, agent, view);
    if (e->actions.asked)
        compare_actions(w, e, agent);
    if (e->would.asked)
        compare_steps(w, &e->would, agent, "would");
    if (e->not_permitted.asked)
        compare_steps(w, &e->not_permitted, agent, "not_permitted");
    if (e->rules.asked)
        compare_rules(w, &e->rules, "matched", "rules that matched");
    if (e->pending.asked)
        compare_rules(w, &e->pending, "pending", "rules that wait for a read");
    if (e->calls.asked)
        compare_calls(w, e, agent, view);
    for (unsigned i = 0; i < e->job_count; i++)
        compare_job(w, &e->jobs[i], agent);
}

static struct span agent_of(const struct world *w, const struct test_expect *e)
{
    return e->agent.n > 0 ? e->agent : w->test->agent;
}

static bool has_agent(const struct world *w, const struct test_expect *e)
{
    return agent_of(w, e).n > 0 || !needs_agent(e);
}

void world_expect(struct world *w, const struct test_step *step)
{
    for (unsigned i = 0; i < step->expect.count; i++) {
        const struct test_expect *e = &step->expect.at[i];
        if (has_agent(w, e))
            ask_first(w, e, agent_of(w, e));
        else
            world_complain(w, step->line, "no agent is given to look at");
    }
    for (unsigned i = 0; i < step->expect.count && driver_runs(&w->drive);
         i++) {
        const struct test_expect *e = &step->expect.at[i];
        if (has_agent(w, e))
            compare_rest(w, e, agent_of(w, e));
    }
}
