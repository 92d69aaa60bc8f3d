// SPDX-License-Identifier: Apache-2.0
/*
 * `bailiff jobs`: what is being done outside, and what is not done yet.
 */
#include "sidecar/cmd.h"

#include <string.h>

#include "sidecar/operator.h"

struct filter_words {
    const char *state, *agent, *limit;
};

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

static int list(struct operator* o, const struct filter_words *w)
{
    static const char *const heads[] = {"JOB",  "AGENT",    "ACTION",
                                        "RULE", "STATE",    "TRIES",
                                        "NEXT", "DEADLINE", "WHY"};
    struct buf target;
    const struct doc *root;
    struct span text;
    struct table t;
    buf_init(&target, &o->arena.mem, 4000);
    buf_put_str(&target, "/v1/jobs");
    operator_query(&target, "state", w->state);
    operator_query(&target, "agent", w->agent);
    operator_query(&target, "limit", w->limit);
    operator_query(&target, "feed", o->feed);
    const int code = operator_call(o, operator_str(o, buf_span(&target)),
                                   (struct span){NULL, 0}, &root, &text);
    if (code != EXIT_YES)
        return code;
    const struct doc *jobs = doc_get(root, SPAN("jobs"));
    if (o->json) {
        buf_put(&o->out, text);
        buf_put_str(&o->out, "\n");
    } else if (jobs == NULL || jobs->count == 0) {
        buf_put_str(&o->out, w->state != NULL || w->agent != NULL
                                 ? "No job matches.\n"
                                 : "No jobs: nothing is waiting to be "
                                   "revoked, cancelled or purged.\n");
    } else {
        table_init(&t, &o->arena.mem, heads, 9);
        DOC_EACH (job, jobs)
            add_row(o, &t, job);
        table_print(&t, &o->term, &o->out);
    }
    return EXIT_YES;
}

static int change(struct operator* o, const char *verb, const char *id)
{
    struct buf body;
    struct json_out j;
    const struct doc *root;
    struct span text;
    operator_body(o, &body, &j, NULL);
    json_str(&j, "id", id);
    json_close_map(&j);
    const struct span target = operator_printf(o, "/v1/jobs/%s", verb);
    const int code =
        operator_call(o, (const char *)target.p, buf_span(&body), &root, &text);
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

int cmd_jobs(int argc, char **argv)
{
    struct operator o = {.config = NULL};
    struct filter_words w = {NULL, NULL, NULL};
    const char *words[2] = {"list", NULL};
    const struct cli_option options[] = {
        OPERATOR_OPTIONS(&o),           {"reason", 'r', NULL, &o.reason},
        {"state", 0, NULL, &w.state},   {"agent", 'a', NULL, &w.agent},
        {"limit", 'n', NULL, &w.limit}, {NULL, 0, NULL, NULL},
    };
    const int count = cli_parse(argc, argv, options, words, 2);
    if (count < 0)
        return EXIT_USAGE;
    const bool listing = strcmp(words[0], "list") == 0;
    if (!listing && strcmp(words[0], "retry") != 0 &&
        strcmp(words[0], "abandon") != 0)
        return cli_usage("jobs: 'list', 'retry ID' or 'abandon ID', not '%s'",
                         words[0]);
    if (listing ? count > 1 : count != 2)
        return cli_usage("jobs %s %s", words[0],
                         listing ? "takes no words" : "needs one job id");
    int code = listing ? EXIT_YES : operator_check_reason(&o, argv[0]);
    if (code != EXIT_YES)
        return code;
    code = operator_open(&o);
    if (code == EXIT_YES)
        code = listing ? list(&o, &w) : change(&o, words[0], words[1]);
    return operator_close(&o, code);
}
