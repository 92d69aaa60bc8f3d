// SPDX-License-Identifier: Apache-2.0
/*
 * `bailiff policy candidate`: what the candidate policy would have done since
 * the running sidecar loaded it.
 */
#include "sidecar/cmd_policy_tool.h"
#include "sidecar/operator.h"

static struct span number(struct operator* o, const struct doc *d,
                          struct span key)
{
    return operator_printf(o, "%lld", (long long)operator_number(d, key));
}

static void put_totals(struct operator* o, const struct doc *totals)
{
    static const char *const heads[] = {"RULE",      "DIFFERENCE", "WOULD",
                                        "WOULD NOT", "FIRST",      "LAST"};
    struct table t;
    table_init(&t, &o->arena.mem, heads, 6);
    DOC_EACH (row, totals) {
        operator_cell(o, &t, operator_text(row, SPAN("rule")), TONE_PLAIN);
        operator_cell(o, &t, operator_text(row, SPAN("what")), TONE_PLAIN);
        operator_cell(o, &t, number(o, row, SPAN("would")), TONE_PLAIN);
        operator_cell(o, &t, number(o, row, SPAN("would_not")), TONE_PLAIN);
        operator_cell(o, &t, operator_ago(o, row, SPAN("first")), TONE_PLAIN);
        operator_cell(o, &t, operator_ago(o, row, SPAN("last")), TONE_PLAIN);
    }
    table_print(&t, &o->term, &o->out);
}

static void put_text(struct operator* o, const struct doc *c)
{
    const struct doc *totals = doc_get(c, SPAN("totals"));
    buf_printf(&o->out, "%.*s is ", PRSPAN(doc_text(c, SPAN("file"))));
    term_put(&o->out, doc_text(c, SPAN("state")));
    struct span digest = doc_text(c, SPAN("digest"));
    struct span why = doc_text(c, SPAN("why"));
    if (digest.n >= 16)
        buf_printf(&o->out, " (%.16s)", (const char *)digest.p);
    if (why.n > 0) {
        buf_put_str(&o->out, ": ");
        term_put(&o->out, why);
    }
    buf_printf(&o->out,
               "\n%lld questions, %lld answered differently, %lld not "
               "decidable; %lld effects differ\n",
               (long long)operator_number(c, SPAN("questions")),
               (long long)operator_number(c, SPAN("questions_changed")),
               (long long)operator_number(c, SPAN("questions_undecidable")),
               (long long)operator_number(c, SPAN("effects_changed")));
    if (operator_number(c, SPAN("dropped")) > 0)
        buf_printf(&o->out,
                   "%lld steps were not compared: the queue was full\n",
                   (long long)operator_number(c, SPAN("dropped")));
    if (totals != NULL && totals->count > 0) {
        buf_put_u8(&o->out, '\n');
        put_totals(o, totals);
    }
}

static int show(struct operator* o)
{
    const struct doc *root;
    struct span text;
    const int code =
        operator_call(o, "/v1/candidate", (struct span){NULL, 0}, &root, &text);
    if (code != EXIT_YES)
        return code;
    if (o->json) {
        buf_put(&o->out, text);
        buf_put_str(&o->out, "\n");
    } else if (doc_get(root, SPAN("state")) == NULL) {
        buf_put_str(&o->out,
                    "No candidate is configured: name one under "
                    "`policy: candidate:` in bailiff.yaml.\n");
    } else {
        put_text(o, root);
    }
    return EXIT_YES;
}

int cmd_policy_candidate(int argc, char **argv)
{
    struct operator o = {.config = NULL};
    const char *words[1] = {NULL};
    const struct cli_option options[] = {OPERATOR_OPTIONS(&o),
                                         {NULL, 0, NULL, NULL}};
    if (cli_parse(argc, argv, options, words, 1) < 0)
        return EXIT_USAGE;
    int code = operator_open(&o);
    if (code == EXIT_YES)
        code = show(&o);
    return operator_close(&o, code);
}
