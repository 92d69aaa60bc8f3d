// SPDX-License-Identifier: Apache-2.0
/*
 * `bailiff jobs`: what is being done outside, and what is not done yet.
 */
#include "sidecar/cmd.h"

#include <string.h>

#include "sidecar/operator.h"

struct filter_words {
    const char *state, *agent, *rule, *limit;
};

/* As many as the sidecar lists at once. */
#define MANY_MAX "10000"

/* What keeps it from being done: its target, or a limit of the policy. */
static void add_why(struct operator* o, struct table *t, const struct doc *job)
{
    const struct span error = doc_text(job, SPAN("last_error"));
    const struct span why = doc_text(job, SPAN("why"));
    const struct doc *down = doc_get(job, SPAN("target_down"));
    if (down != NULL && down->truth)
        operator_cell(o, t,
                      operator_printf(o, "target is down: %.*s", PRSPAN(error)),
                      TONE_BAD);
    else if (error.n > 0 || why.n == 0)
        operator_cell(o, t, error, TONE_BAD);
    else
        operator_cell(o, t, why, TONE_WARN);
}

static void add_row(struct operator* o, struct table *t, const struct doc *job)
{
    const struct operator_words state = operator_job_state(o, job);
    const bool waits = doc_text(job, SPAN("next_at")).n > 0;
    operator_cell(o, t, operator_text(job, SPAN("id")), TONE_PLAIN);
    operator_cell(o, t, operator_text(job, SPAN("agent")), TONE_PLAIN);
    operator_cell(o, t, operator_text(job, SPAN("action")), TONE_PLAIN);
    operator_cell(o, t, operator_text(job, SPAN("rule")), TONE_DIM);
    operator_cell(o, t, state.text, state.tone);
    operator_cell(
        o, t,
        operator_printf(o, "%lld",
                        (long long)operator_number(job, SPAN("attempts"))),
        TONE_PLAIN);
    operator_cell(o, t,
                  waits ? operator_ago(o, job, SPAN("next_at")) : SPAN("-"),
                  TONE_PLAIN);
    operator_cell(o, t, operator_ago(o, job, SPAN("deadline")), TONE_PLAIN);
    add_why(o, t, job);
}

/* The jobs that match, and the answer that they are in. */
static int find(struct operator* o, const struct filter_words *w,
                const struct doc **ret, struct span *ret_text)
{
    struct buf target;
    const struct doc *root;
    buf_init(&target, &o->arena.mem, 4000);
    buf_put_str(&target, "/v1/jobs");
    operator_query(&target, "state", w->state);
    operator_query(&target, "agent", w->agent);
    operator_query(&target, "rule", w->rule);
    operator_query(&target, "limit", w->limit);
    operator_query(&target, "feed", o->feed);
    const int code = operator_get(o, &target, &root, ret_text);
    if (code == EXIT_YES)
        *ret = root;
    return code;
}

static size_t count_of(const struct doc *root)
{
    const struct doc *jobs = doc_get(root, SPAN("jobs"));
    return jobs == NULL ? 0 : jobs->count;
}

static bool has_more(const struct doc *root)
{
    const struct doc *more = doc_get(root, SPAN("more"));
    return more != NULL && more->truth;
}

static void print_jobs(struct operator* o, const struct doc *root)
{
    static const char *const heads[] = {"JOB",  "AGENT",    "ACTION",
                                        "RULE", "STATE",    "TRIES",
                                        "NEXT", "DEADLINE", "WHY"};
    struct table t;
    table_init(&t, &o->arena.mem, heads, 9);
    DOC_EACH (job, doc_get(root, SPAN("jobs")))
        add_row(o, &t, job);
    table_print(&t, &o->term, &o->out);
}

static int list(struct operator* o, const struct filter_words *w)
{
    const struct doc *root;
    struct span text;
    const bool all = w->state == NULL && w->agent == NULL && w->rule == NULL &&
                     o->feed == NULL;
    const int code = find(o, w, &root, &text);
    if (code != EXIT_YES)
        return code;
    if (o->json) {
        buf_put(&o->out, text);
        buf_put_str(&o->out, "\n");
    } else if (count_of(root) == 0) {
        buf_put_str(&o->out, all ? "No jobs: nothing is waiting to be "
                                   "revoked, cancelled or purged.\n"
                                 : "No job matches.\n");
    } else {
        print_jobs(o, root);
        if (has_more(root))
            buf_printf(&o->out, "There are more than these %zu: see --limit.\n",
                       count_of(root));
    }
    return EXIT_YES;
}

static int post(struct operator* o, const char *verb, struct span id,
                const struct doc **ret, struct span *ret_text)
{
    struct buf body;
    struct json_out j;
    operator_body(o, &body, &j, NULL);
    json_text(&j, "id", id);
    json_close_map(&j);
    const struct span target = operator_printf(o, "/v1/jobs/%s", verb);
    return operator_call(o, (const char *)target.p, buf_span(&body), ret,
                         ret_text);
}

static int change(struct operator* o, const char *verb, const char *id)
{
    const struct doc *root;
    struct span text;
    const int code = post(o, verb, span_str(id), &root, &text);
    if (code != EXIT_YES)
        return code;
    if (o->json) {
        buf_put(&o->out, text);
    } else {
        const struct operator_words state = operator_job_state(o, root);
        term_put(&o->out, operator_text(root, SPAN("id")));
        buf_put_str(&o->out, ": ");
        term_tone(&o->term, &o->out, state.tone, state.text);
    }
    buf_put_str(&o->out, "\n");
    return EXIT_YES;
}

/* ---- what a limit withheld, all of it ---- */

static int only_count(struct operator* o, const char *verb, size_t count)
{
    buf_printf(&o->out,
               "%zu withheld job%s. Nothing was done: to %s %s, say the same "
               "again with\n--count %zu --reason TEXT\n",
               count, count == 1 ? "" : "s", verb,
               count == 1 ? "it" : "them all", count);
    return EXIT_NO;
}

static int wrong_count(const char *verb, size_t count, const char *wanted)
{
    (void)cli_usage(
        "jobs %s: %zu withheld jobs match, not %s: nothing was done", verb,
        count, wanted);
    return EXIT_NO;
}

/* Each by itself, as if a person had named it. A job that has ended meanwhile
 * is refused, and says so; without the sidecar there is no going on. */
static int change_each(struct operator* o, const char *verb,
                       const struct doc *jobs)
{
    size_t done = 0;
    int code = EXIT_YES;
    struct json_out j;
    json_out_init(&j, &o->out);
    if (o->json) {
        json_open_map(&j, NULL);
        json_open_list(&j, "changed");
    }
    for (const struct doc *d = jobs->first; d != NULL; d = d->next) {
        const struct doc *root;
        struct span text;
        const struct span id = operator_text(d, SPAN("id"));
        const int one = post(o, verb, id, &root, &text);
        code = one > code ? one : code;
        if (one == EXIT_ENVIRONMENT)
            break;
        done += one == EXIT_YES;
        if (one == EXIT_YES && o->json)
            json_text(&j, NULL, id);
    }
    if (o->json) {
        json_close_list(&j);
        json_u64(&j, "matched", jobs->count);
        json_close_map(&j);
        buf_put_str(&o->out, "\n");
    } else {
        buf_printf(&o->out, "%zu of %u withheld jobs: %s\n", done, jobs->count,
                   strcmp(verb, "retry") == 0 ? "started" : "abandoned");
    }
    return code;
}

static int change_withheld(struct operator* o, const char *verb,
                           const struct filter_words *w, const char *wanted)
{
    const struct doc *root;
    struct span text;
    uint64_t n = 0;
    if (wanted != NULL && !span_u64(span_str(wanted), &n))
        return cli_usage("jobs %s: --count is how many jobs it may change",
                         verb);
    const int code = find(o, w, &root, &text);
    if (code != EXIT_YES)
        return code;
    const size_t count = count_of(root);
    if (wanted != NULL && n == count && count > 0)
        return change_each(o, verb, doc_get(root, SPAN("jobs")));
    if (wanted != NULL)
        return wrong_count(verb, count, wanted);
    if (o->json) {
        buf_put(&o->out, text);
        buf_put_str(&o->out, "\n");
        return EXIT_NO;
    }
    if (count > 0)
        print_jobs(o, root);
    else
        buf_put_str(&o->out, "No withheld job matches.\n");
    if (has_more(root))
        buf_put_str(&o->out, "There are more; these come first.\n");
    return count == 0 ? EXIT_NO : only_count(o, verb, count);
}

/* ---- words ---- */

struct args {
    struct operator o;
    struct filter_words w;
    const char *name, *verb, *id, *count; /* name: "jobs retry" */
    bool withheld;
};

static int check(const struct args *a, int words)
{
    const bool listing = strcmp(a->verb, "list") == 0;
    if (listing)
        return words <= 1 ? EXIT_YES : cli_usage("jobs list takes no words");
    if (a->withheld ? words != 1 : words != 2)
        return cli_usage(
            "%s needs one job id, or --withheld for all that a "
            "limit withholds",
            a->name);
    if (!a->withheld &&
        (a->w.rule != NULL || a->w.agent != NULL || a->count != NULL))
        return cli_usage("%s: --rule, --agent and --count go with --withheld",
                         a->name);
    if (a->withheld && a->count == NULL)
        return EXIT_YES; /* nothing will be done */
    return operator_check_reason(&a->o, a->name);
}

static int run(struct args *a)
{
    if (strcmp(a->verb, "list") == 0)
        return list(&a->o, &a->w);
    if (!a->withheld)
        return change(&a->o, a->verb, a->id);
    a->w.state = "withheld";
    a->w.limit = MANY_MAX;
    return change_withheld(&a->o, a->verb, &a->w, a->count);
}

int cmd_jobs(int argc, char **argv)
{
    struct args a = {.name = argv[0]};
    const char *words[2] = {"list", NULL};
    const struct cli_option options[] = {
        OPERATOR_OPTIONS(&a.o),
        {"reason", 'r', NULL, &a.o.reason},
        {"state", 0, NULL, &a.w.state},
        {"agent", 'a', NULL, &a.w.agent},
        {"rule", 0, NULL, &a.w.rule},
        {"limit", 'n', NULL, &a.w.limit},
        {"withheld", 'w', &a.withheld, NULL},
        {"count", 0, NULL, &a.count},
        {NULL, 0, NULL, NULL},
    };
    const int count = cli_parse(argc, argv, options, words, 2);
    if (count < 0)
        return EXIT_USAGE;
    a.verb = words[0];
    a.id = words[1];
    int code = check(&a, count);
    if (code != EXIT_YES)
        return code;
    code = operator_open(&a.o);
    if (code == EXIT_YES)
        code = run(&a);
    return operator_close(&a.o, code);
}
