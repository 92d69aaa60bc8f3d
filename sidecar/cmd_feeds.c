// SPDX-License-Identifier: Apache-2.0
/*
 * `bailiff feeds`: is every source alive?
 */
#include "sidecar/cmd.h"

#include "sidecar/operator.h"

static struct operator_words state_of(const struct doc *feed)
{
    const struct span s = operator_text(feed, SPAN("state"));
    if (span_eq(s, SPAN("caught_up")))
        return (struct operator_words){SPAN("caught up"), TONE_GOOD};
    if (span_eq(s, SPAN("catching_up")))
        return (struct operator_words){SPAN("catching up"), TONE_WARN};
    return (struct operator_words){s, TONE_BAD};
}

static struct span number(struct operator* o, const struct doc *d,
                          struct span key)
{
    return operator_printf(o, "%lld", (long long)operator_number(d, key));
}

static void add_row(struct operator* o, struct table *t, const struct doc *feed)
{
    const struct operator_words state = state_of(feed);
    const bool no_keys = operator_number(feed, SPAN("keys")) == 0;
    operator_cell(o, t, operator_text(feed, SPAN("name")), TONE_PLAIN);
    operator_cell(o, t, state.text, state.tone);
    operator_cell(o, t, operator_text(feed, SPAN("delivery")), TONE_PLAIN);
    operator_cell(o, t, operator_ago(o, feed, SPAN("last_sign")), TONE_PLAIN);
    operator_cell(o, t, number(o, feed, SPAN("events")), TONE_PLAIN);
    operator_cell(
        o, t, number(o, feed, SPAN("refused")),
        operator_number(feed, SPAN("refused")) > 0 ? TONE_WARN : TONE_PLAIN);
    operator_cell(o, t, number(o, feed, SPAN("keys")),
                  no_keys ? TONE_BAD : TONE_PLAIN);
    operator_cell(o, t, doc_text(feed, SPAN("last_error")), TONE_BAD);
}

static int list(struct operator* o)
{
    static const char *const heads[] = {"FEED",      "STATE",     "DELIVERY",
                                        "LAST SIGN", "EVENTS",    "REFUSED",
                                        "KEYS",      "LAST ERROR"};
    const struct doc *root;
    struct span text;
    struct table t;
    const int code =
        operator_call(o, "/v1/feeds", (struct span){NULL, 0}, &root, &text);
    if (code != EXIT_YES)
        return code;
    const struct doc *feeds = doc_get(root, SPAN("feeds"));
    if (o->json) {
        buf_put(&o->out, text);
        buf_put_str(&o->out, "\n");
        return EXIT_YES;
    }
    if (feeds == NULL || feeds->count == 0) {
        buf_put_str(&o->out,
                    "No feed is configured: bailiff hears nothing.\n"
                    "Add one under `feeds:` in bailiff.yaml.\n");
        return EXIT_YES;
    }
    table_init(&t, &o->arena.mem, heads, 8);
    DOC_EACH (feed, feeds)
        if (o->feed == NULL ||
            span_eq(span_str(o->feed), doc_text(feed, SPAN("name"))))
            add_row(o, &t, feed);
    table_print(&t, &o->term, &o->out);
    return EXIT_YES;
}

int cmd_feeds(int argc, char **argv)
{
    struct operator o = {.config = NULL};
    const char *words[1] = {"list"};
    const struct cli_option options[] = {OPERATOR_OPTIONS(&o),
                                         {NULL, 0, NULL, NULL}};
    const int count = cli_parse(argc, argv, options, words, 1);
    if (count < 0)
        return EXIT_USAGE;
    int code = operator_open(&o);
    if (code == EXIT_YES)
        code = list(&o);
    return operator_close(&o, code);
}
