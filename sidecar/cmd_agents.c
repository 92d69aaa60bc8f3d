// SPDX-License-Identifier: Apache-2.0
/*
 * `bailiff agents`: who may act, and why not.
 */
#include "sidecar/cmd.h"

#include <string.h>

#include "sidecar/operator.h"

#define PAGES_MAX 10000

struct list {
    struct operator* o;
    struct table table;
    struct json_out json;
    const char *standing;
    uint64_t wanted, shown;
};

/* A stamp explains the standing only while nothing stronger does. */
static struct span stale_why(const struct doc *agent)
{
    return span_eq(operator_text(agent, SPAN("standing")), SPAN("stale"))
               ? doc_text(agent, SPAN("stale_reason"))
               : SPAN("");
}

static struct span why(struct operator* o, const struct doc *agent)
{
    const struct doc *holds = doc_get(agent, SPAN("holds"));
    if (holds != NULL && holds->kind == DOC_LIST && holds->count > 0)
        return operator_hold(o, holds->first);
    const int64_t count = operator_number(agent, SPAN("holds"));
    if (count > 0)
        return operator_printf(o, "%lld hold%s", (long long)count,
                               count == 1 ? "" : "s");
    return stale_why(agent);
}

static void add_row(struct list *l, const struct doc *agent)
{
    struct operator* o = l->o;
    const struct operator_words standing = operator_standing(agent);
    operator_cell(o, &l->table, operator_text(agent, SPAN("uri")), TONE_PLAIN);
    operator_cell(o, &l->table, operator_text(agent, SPAN("feed")), TONE_DIM);
    operator_cell(o, &l->table, standing.text, standing.tone);
    operator_cell(o, &l->table, operator_ago(o, agent, SPAN("last_read")),
                  TONE_PLAIN);
    operator_cell(
        o, &l->table,
        operator_printf(o, "%lld",
                        (long long)operator_count(agent, SPAN("open_calls"))),
        TONE_PLAIN);
    operator_cell(o, &l->table, why(o, agent), TONE_PLAIN);
}

/* One page; *cursor becomes the next one, or NULL after the last. */
static int page(struct list *l, const char **cursor)
{
    struct buf target;
    char limit[32];
    const struct doc *root;
    struct span text;
    const uint64_t left = l->wanted - l->shown;
    (void)snprintf(limit, sizeof limit, "%u",
                   (unsigned)(left > 500 ? 500 : left));
    buf_init(&target, &l->o->arena.mem, 4000);
    buf_put_str(&target, "/v1/agents");
    operator_query(&target, "limit", limit);
    operator_query(&target, "standing", l->standing);
    operator_query(&target, "feed", l->o->feed);
    operator_query(&target, "after", *cursor);
    const int code = operator_get(l->o, &target, &root, &text);
    if (code != EXIT_YES)
        return code;
    DOC_EACH (agent, doc_get(root, SPAN("agents"))) {
        l->shown++;
        if (l->o->json)
            json_doc(&l->json, NULL, agent);
        else
            add_row(l, agent);
    }
    const struct span next = doc_text(root, SPAN("next"));
    *cursor = next.n == 0 ? NULL : operator_str(l->o, next);
    return EXIT_YES;
}

static void print_list(struct list *l, bool more)
{
    struct buf *out = &l->o->out;
    if (l->o->json) {
        json_close_list(&l->json);
        json_bool(&l->json, "more", more);
        json_close_map(&l->json);
        buf_put_str(out, "\n");
        return;
    }
    if (l->shown == 0) {
        buf_put_str(out, l->standing != NULL || l->o->feed != NULL
                             ? "No agent matches.\n"
                             : "No agent is known yet: none was asked about, "
                               "and no statement came.\n`bailiff feeds` shows "
                               "the sources.\n");
        return;
    }
    table_print(&l->table, &l->o->term, out);
    if (more)
        buf_put_str(out,
                    "... there are more; raise --limit or filter with "
                    "--standing\n");
}

static int list(struct operator* o, const char *standing, const char *limit)
{
    static const char *const heads[] = {"AGENT",     "FEED",  "STANDING",
                                        "LAST READ", "CALLS", "WHY"};
    struct list l = {.o = o, .standing = standing, .wanted = 1000};
    const char *cursor = NULL;
    if (limit != NULL &&
        (!span_u64(span_str(limit), &l.wanted) || l.wanted == 0))
        return cli_usage("agents: --limit needs a number above 0");
    table_init(&l.table, &o->arena.mem, heads, 6);
    if (o->json) {
        json_out_init(&l.json, &o->out);
        json_open_map(&l.json, NULL);
        json_open_list(&l.json, "agents");
    }
    unsigned pages = 0;
    do {
        const uint64_t before = l.shown;
        const int code = page(&l, &cursor);
        if (code != EXIT_YES) {
            buf_clear(&o->out);
            return code;
        }
        if (l.shown == before)
            break; /* a cursor that leads nowhere must not loop */
    } while (cursor != NULL && l.shown < l.wanted && ++pages < PAGES_MAX);
    print_list(&l, cursor != NULL);
    return EXIT_YES;
}

/* ---- show ---- */

static void line(struct operator* o, const char *name, struct span text,
                 enum tone tone)
{
    buf_printf(&o->out, "%-12s  ", name);
    term_tone(&o->term, &o->out, tone, text);
    buf_put_str(&o->out, "\n");
}

static void show_calls(struct operator* o, const struct doc *agent)
{
    const struct doc *calls = doc_get(agent, SPAN("open_calls"));
    if (calls == NULL || calls->count == 0)
        line(o, "open calls", SPAN("none registered"), TONE_DIM);
    DOC_EACH (c, calls)
        line(o, c == calls->first ? "open calls" : "",
             operator_printf(o, "%.*s %.*s on %.*s: %.*s, begun %.*s",
                             PRSPAN(operator_text(c, SPAN("call_id"))),
                             PRSPAN(operator_text(c, SPAN("tool"))),
                             PRSPAN(operator_text(c, SPAN("runtime"))),
                             PRSPAN(operator_text(c, SPAN("state"))),
                             PRSPAN(operator_ago(o, c, SPAN("since")))),
             span_eq(doc_text(c, SPAN("state")), SPAN("running")) ? TONE_PLAIN
                                                                  : TONE_WARN);
}

static void show_jobs(struct operator* o, const struct doc *agent)
{
    const struct doc *jobs = doc_get(agent, SPAN("jobs"));
    if (jobs == NULL || jobs->count == 0)
        line(o, "jobs", SPAN("none"), TONE_DIM);
    DOC_EACH (job, jobs) {
        const struct operator_words state = operator_job_state(o, job);
        line(o, job == jobs->first ? "jobs" : "",
             operator_printf(o, "%.*s by rule %.*s: %.*s",
                             PRSPAN(operator_text(job, SPAN("action"))),
                             PRSPAN(operator_text(job, SPAN("rule"))),
                             PRSPAN(state.text)),
             state.tone);
    }
}

static void show_read(struct operator* o, const struct doc *agent)
{
    const struct span when = doc_text(agent, SPAN("last_read"));
    const struct doc *active = doc_get(agent, SPAN("active"));
    if (when.n == 0) {
        line(o, "last read", SPAN("never"), TONE_WARN);
        return;
    }
    line(o, "last read",
         operator_printf(o, "%.*s (%.*s), active %s%s%.*s",
                         PRSPAN(operator_ago(o, agent, SPAN("last_read"))),
                         PRSPAN(when),
                         active == NULL || active->kind != DOC_BOOL
                             ? "unknown"
                             : (active->truth ? "true" : "false"),
                         doc_text(agent, SPAN("etag")).n > 0 ? ", ETag " : "",
                         PRSPAN(doc_text(agent, SPAN("etag")))),
         TONE_PLAIN);
}

static void print_agent(struct operator* o, const struct doc *agent)
{
    const struct operator_words standing = operator_standing(agent);
    const struct span stale = stale_why(agent);
    line(o, "agent", operator_text(agent, SPAN("uri")), TONE_BOLD);
    line(o, "feed",
         operator_printf(o, "%.*s, %.*s",
                         PRSPAN(operator_text(agent, SPAN("feed"))),
                         PRSPAN(operator_text(agent, SPAN("base")))),
         TONE_PLAIN);
    line(o, "standing",
         stale.n > 0 ? operator_printf(o, "%.*s (%.*s)", PRSPAN(standing.text),
                                       PRSPAN(stale))
                     : standing.text,
         standing.tone);
    const struct doc *holds = doc_get(agent, SPAN("holds"));
    if (holds == NULL || holds->count == 0)
        line(o, "holds", SPAN("none"), TONE_DIM);
    DOC_EACH (hold, holds)
        line(o, hold == holds->first ? "holds" : "", operator_hold(o, hold),
             TONE_BAD);
    show_read(o, agent);
    line(o, "epoch",
         operator_printf(o, "%lld",
                         (long long)operator_number(agent, SPAN("epoch"))),
         TONE_PLAIN);
    show_calls(o, agent);
    const long long credentials = operator_number(agent, SPAN("credentials"));
    line(o, "credentials",
         credentials == 0 ? SPAN("none registered: revoking would reach "
                                 "nothing")
                          : operator_printf(o, "%lld registered", credentials),
         credentials == 0 ? TONE_WARN : TONE_PLAIN);
    show_jobs(o, agent);
}

static int show(struct operator* o, const char *uri)
{
    struct buf target;
    const struct doc *root;
    struct span text;
    buf_init(&target, &o->arena.mem, 4000);
    buf_put_str(&target, "/v1/agents/");
    operator_encode(&target, span_str(uri));
    operator_query(&target, "feed", o->feed);
    const int code = operator_get(o, &target, &root, &text);
    if (code != EXIT_YES)
        return code;
    if (o->json) {
        buf_put(&o->out, text);
        buf_put_str(&o->out, "\n");
    } else {
        print_agent(o, root);
    }
    return EXIT_YES;
}

int cmd_agents(int argc, char **argv)
{
    struct operator o = {.config = NULL};
    const char *words[2] = {"list", NULL}, *standing = NULL, *limit = NULL;
    const struct cli_option options[] = {
        OPERATOR_OPTIONS(&o),
        {"standing", 0, NULL, &standing},
        {"limit", 'n', NULL, &limit},
        {NULL, 0, NULL, NULL},
    };
    const int count = cli_parse(argc, argv, options, words, 2);
    const bool listing = strcmp(words[0], "list") == 0;
    if (count < 0)
        return EXIT_USAGE;
    if (listing ? count > 1 : count != 2)
        return cli_usage(listing ? "agents list takes no words"
                                 : "agents show needs one agent, for example "
                                   "/Agents/7");
    int code = operator_open(&o);
    if (code == EXIT_YES)
        code = listing ? list(&o, standing, limit) : show(&o, words[1]);
    return operator_close(&o, code);
}
