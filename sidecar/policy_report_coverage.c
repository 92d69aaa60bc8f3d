// SPDX-License-Identifier: Apache-2.0
#include "sidecar/policy_report_coverage.h"

#include "sidecar/base/json_out.h"
#include "sidecar/policy_text.h"

#define TEXT_MAX (64u * 1024)

/* ---- the table ---- */

static const char *const sum_names[] = {"rules", "steps",  "terms",
                                        "gate",  "events", "all"};

static struct coverage_sum sum_of(const struct coverage_sums *s, unsigned i)
{
    const struct coverage_sum all[] = {s->rules, s->steps,  s->terms,
                                       s->gates, s->events, s->all};
    return all[i];
}

static const char *const sum_texts[] = {
    "rules matched",          "steps taken",
    "terms seen true, false", "gate rules allowed, denied",
    "events that rules name", "in all"};

static void put_sums(const struct coverage *c, const struct term *term,
                     struct buf *out)
{
    struct coverage_sums sums;
    coverage_sums(c, &sums);
    for (unsigned i = 0; i < sizeof sum_names / sizeof *sum_names; i++) {
        const struct coverage_sum s = sum_of(&sums, i);
        char text[16];
        int n = snprintf(text, sizeof text, "%3u%%", coverage_percent(s));
        buf_put_str(out, "  ");
        term_tone(term, out, s.covered == s.total ? TONE_GOOD : TONE_WARN,
                  span_of(text, (size_t)n));
        buf_printf(out, "  %u of %u %s\n", s.covered, s.total, sum_texts[i]);
    }
}

/* ---- what is not covered ---- */

struct gaps {
    const struct term *term;
    struct span path;
    struct buf *out;
};

static void put_gap(const struct gaps *g, uint32_t line, const char *kind,
                    struct span name, struct span part, const char *gap)
{
    buf_put_str(g->out, "  ");
    term_put(g->out, g->path);
    buf_printf(g->out, ":%u: %s %.*s", line, kind, PRSPAN(name));
    if (part.n > 0) {
        buf_put_str(g->out, ": ");
        term_put(g->out, part);
    }
    buf_put_str(g->out, part.n > 0 ? ": " : " ");
    term_tone(g->term, g->out, TONE_WARN, span_str(gap));
    buf_put_str(g->out, "\n");
}

static const char *term_gap(unsigned seen)
{
    const bool yes = (seen & 1u << TRI_YES) != 0;
    const bool no = (seen & 1u << TRI_NO) != 0;
    if (yes && no)
        return NULL;
    return yes                               ? "never false"
           : no                              ? "never true"
           : (seen & 1u << TRI_UNKNOWN) != 0 ? "only unknown"
                                             : "never evaluated";
}

static void put_terms(const struct gaps *g, uint32_t line, const char *kind,
                      struct span name, const struct coverage_terms *t)
{
    for (unsigned i = 0; i < t->count; i++) {
        const char *gap = term_gap(t->at[i].seen);
        struct buf text;
        if (gap == NULL)
            continue;
        buf_init(&text, mem_system(), TEXT_MAX);
        filter_print(t->at[i].term, &text);
        put_gap(g, line, kind, name, buf_span(&text), gap);
        buf_fini(&text);
    }
}

static void put_rule(const struct gaps *g, const struct coverage *c, unsigned i)
{
    const struct policy_rule *r = &c->policy->rules[i];
    const struct coverage_rule *got = &c->rules[i];
    if (got->matched == 0) {
        put_gap(g, r->line, "rule", r->name, SPAN(""), "never matched");
        put_terms(g, r->line, "rule", r->name, &got->where);
        return; /* so were none of its steps and events */
    }
    for (unsigned t = 0; t < EVENT_TYPE_COUNT; t++)
        if (coverage_wants_event(r, (enum event_type)t) &&
            (got->events & EVENT_BIT(t)) == 0)
            put_gap(g, r->line, "rule", r->name,
                    span_str(event_type_name((enum event_type)t)),
                    "no test matches it on this event");
    put_terms(g, r->line, "rule", r->name, &got->where);
    for (unsigned k = 0; k < r->step_count; k++) {
        struct buf text;
        if ((got->steps >> k & 1) != 0)
            continue;
        buf_init(&text, mem_system(), TEXT_MAX);
        policy_text_step(&text, c->policy, &r->steps[k]);
        put_gap(g, r->line, "rule", r->name, buf_span(&text), "never taken");
        buf_fini(&text);
    }
}

static void put_gate(const struct gaps *g, const struct coverage *c, unsigned i)
{
    const struct policy_gate *rule = &c->policy->gates[i];
    const struct coverage_gate *got = &c->gates[i];
    const char *gap = NULL;
    if (got->asked == 0)
        gap = "was never asked";
    else if (got->allowed == 0)
        gap = "never allowed";
    else if (rule->require != NULL && got->denied == 0)
        gap = "never denied";
    if (gap != NULL)
        put_gap(g, rule->line, "gate rule", rule->name, SPAN(""), gap);
    put_terms(g, rule->line, "gate rule", rule->name, &got->require);
}

void coverage_put(const struct coverage *c, struct span path,
                  const struct term *term, struct buf *out)
{
    const struct gaps g = {term, path, out};
    term_put(out, path);
    buf_put_str(out, ": covered by tests\n");
    put_sums(c, term, out);
    for (unsigned i = 0; i < c->policy->rule_count; i++)
        put_rule(&g, c, i);
    for (unsigned i = 0; i < c->policy->gate_count; i++)
        put_gate(&g, c, i);
}

/* ---- JSON ---- */

static void json_terms(struct json_out *j, const struct coverage_terms *t)
{
    json_open_list(j, "terms");
    for (unsigned i = 0; i < t->count; i++) {
        struct buf text;
        buf_init(&text, mem_system(), TEXT_MAX);
        filter_print(t->at[i].term, &text);
        json_open_map(j, NULL);
        json_text(j, "term", buf_span(&text));
        json_bool(j, "yes", (t->at[i].seen & 1u << TRI_YES) != 0);
        json_bool(j, "no", (t->at[i].seen & 1u << TRI_NO) != 0);
        json_bool(j, "unknown", (t->at[i].seen & 1u << TRI_UNKNOWN) != 0);
        json_close_map(j);
        buf_fini(&text);
    }
    json_close_list(j);
}

static void json_events(struct json_out *j, const char *key, event_mask events)
{
    json_open_list(j, key);
    for (unsigned t = 0; t < EVENT_TYPE_COUNT; t++)
        if ((events & EVENT_BIT(t)) != 0)
            json_str(j, NULL, event_type_name((enum event_type)t));
    json_close_list(j);
}

static void json_rule(struct json_out *j, const struct coverage *c, unsigned i)
{
    const struct policy_rule *r = &c->policy->rules[i];
    const struct coverage_rule *got = &c->rules[i];
    json_open_map(j, NULL);
    json_text(j, "name", r->name);
    json_u64(j, "line", r->line);
    json_u64(j, "matched", got->matched);
    json_u64(j, "pending", got->pending);
    json_events(j, "events", got->events);
    json_events(j, "events_missed",
                coverage_any_event(r) ? 0 : r->events & ~got->events);
    json_open_list(j, "steps");
    for (unsigned k = 0; k < r->step_count; k++) {
        struct buf text;
        buf_init(&text, mem_system(), TEXT_MAX);
        policy_text_step(&text, c->policy, &r->steps[k]);
        json_open_map(j, NULL);
        json_text(j, "step", buf_span(&text));
        json_bool(j, "taken", (got->steps >> k & 1) != 0);
        json_close_map(j);
        buf_fini(&text);
    }
    json_close_list(j);
    json_terms(j, &got->where);
    json_close_map(j);
}

static void json_gate(struct json_out *j, const struct policy_gate *g,
                      const struct coverage_gate *got)
{
    json_open_map(j, NULL);
    json_text(j, "name", g->name);
    json_u64(j, "line", g->line);
    json_u64(j, "asked", got->asked);
    json_u64(j, "allowed", got->allowed);
    json_u64(j, "denied", got->denied);
    json_terms(j, &got->require);
    json_close_map(j);
}

static void json_sums(struct json_out *j, const struct coverage *c)
{
    struct coverage_sums sums;
    coverage_sums(c, &sums);
    json_open_map(j, "covered");
    for (unsigned i = 0; i < sizeof sum_names / sizeof *sum_names; i++) {
        const struct coverage_sum s = sum_of(&sums, i);
        json_open_map(j, sum_names[i]);
        json_u64(j, "covered", s.covered);
        json_u64(j, "total", s.total);
        json_u64(j, "percent", coverage_percent(s));
        json_close_map(j);
    }
    json_close_map(j);
}

void coverage_json(const struct coverage *c, struct json_out *j)
{
    json_open_map(j, "coverage");
    json_sums(j, c);
    json_events(j, "events_said", c->said);
    json_open_list(j, "rules");
    for (unsigned i = 0; i < c->policy->rule_count; i++)
        json_rule(j, c, i);
    json_close_list(j);
    json_open_list(j, "gate");
    for (unsigned i = 0; i < c->policy->gate_count; i++)
        json_gate(j, &c->policy->gates[i], &c->gates[i]);
    json_close_list(j);
    json_close_map(j);
}
