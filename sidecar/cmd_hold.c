// SPDX-License-Identifier: Apache-2.0
/*
 * `bailiff hold add|lift` and `bailiff review list|approve|deny`.
 */
#include "sidecar/cmd.h"

#include <string.h>

#include "sidecar/operator.h"

#define TOOLS_MAX 64

struct change {
    struct operator o;
    const char *kind, *cause, *tools;
};

/* "a,b" as a JSON list. */
static void put_tools(struct json_out *j, const char *tools)
{
    struct span rest = span_str(tools);
    json_open_list(j, "tools");
    for (unsigned i = 0; rest.n > 0 && i < TOOLS_MAX; i++) {
        const size_t comma = span_find(rest, ',', 0);
        const struct span one = span_trim(span_sub(rest, 0, comma));
        if (one.n > 0)
            json_text(j, NULL, one);
        rest = span_sub(rest, comma + 1, rest.n);
    }
    json_close_list(j);
}

static int post(struct change *c, const char *target, const char *agent,
                const struct doc **ret, struct span *ret_text)
{
    struct buf body;
    struct json_out j;
    operator_body(&c->o, &body, &j, agent);
    if (c->kind != NULL)
        json_str(&j, "kind", c->kind);
    if (c->cause != NULL)
        json_str(&j, "cause", c->cause);
    if (c->tools != NULL)
        put_tools(&j, c->tools);
    json_close_map(&j);
    if (!buf_ok(&body))
        return cli_usage("the request is too long");
    const int code =
        operator_call(&c->o, target, buf_span(&body), ret, ret_text);
    if (code == EXIT_YES && c->o.json) {
        buf_put(&c->o.out, *ret_text);
        buf_put_str(&c->o.out, "\n");
    }
    return code;
}

static int add(struct change *c, const char *agent)
{
    const struct doc *root = NULL;
    struct span text = SPAN("");
    if (c->kind == NULL)
        c->kind = "suspended";
    const int code = post(c, "/v1/holds", agent, &root, &text);
    if (code != EXIT_YES || c->o.json)
        return code;
    buf_put_str(&c->o.out, agent);
    buf_put_str(&c->o.out, ": ");
    term_put(&c->o.out, operator_hold(&c->o, doc_get(root, SPAN("hold"))));
    buf_put_str(&c->o.out,
                "\nOnly an operator can lift it: bailiff hold lift ");
    buf_put_str(&c->o.out, agent);
    buf_put_str(&c->o.out, " --reason ...\n");
    return EXIT_YES;
}

/* What was lifted, and, just as important, what still holds. */
static int end(struct change *c, const char *target, const char *agent)
{
    const struct doc *root = NULL;
    struct span text = SPAN("");
    struct operator* o = & c->o;
    const int code = post(c, target, agent, &root, &text);
    if (code != EXIT_YES || o->json)
        return code;
    const long long lifted = operator_number(root, SPAN("lifted"));
    const struct doc *left = doc_get(root, SPAN("left"));
    const struct operator_words standing = operator_standing(root);
    buf_printf(&o->out, "%s: %lld hold%s lifted; now ", agent, lifted,
               lifted == 1 ? "" : "s");
    term_tone(&o->term, &o->out, standing.tone, standing.text);
    buf_put_str(&o->out, "\n");
    DOC_EACH (hold, left) {
        buf_put_str(&o->out, "  still ");
        term_put(&o->out, operator_hold(o, hold));
        buf_put_str(&o->out, "\n");
    }
    return lifted == 0 ? EXIT_NO : EXIT_YES;
}

static int parse(struct change *c, int argc, char **argv, const char **words)
{
    const struct cli_option options[] = {
        OPERATOR_OPTIONS(&c->o),         {"reason", 'r', NULL, &c->o.reason},
        {"kind", 'k', NULL, &c->kind},   {"cause", 0, NULL, &c->cause},
        {"tools", 't', NULL, &c->tools}, {NULL, 0, NULL, NULL},
    };
    return cli_parse(argc, argv, options, words, 2);
}

int cmd_hold(int argc, char **argv)
{
    struct change c = {.kind = NULL};
    const char *words[2] = {"", ""};
    const int count = parse(&c, argc, argv, words);
    const bool adding = strcmp(words[0], "add") == 0;
    if (count < 0)
        return EXIT_USAGE;
    if (count != 2)
        return cli_usage(
            "%s needs one agent, for example "
            "bailiff %s /Agents/7 --reason \"on fire\"; "
            "`bailiff agents --standing held` lists who is held",
            argv[0], argv[0]);
    int code = operator_check_reason(&c.o, argv[0]);
    if (code != EXIT_YES)
        return code;
    code = operator_open(&c.o);
    if (code == EXIT_YES)
        code = adding ? add(&c, words[1]) : end(&c, "/v1/holds/lift", words[1]);
    return operator_close(&c.o, code);
}

/* ---- review ---- */

static int list_reviews(struct operator* o)
{
    static const char *const heads[] = {"AGENT",          "FEED",    "SET BY",
                                        "SINCE",          "EXPIRES", "THEN",
                                        "WHO MAY APPROVE"};
    static const char *const keys[] = {
        "agent", "feed", "set_by", "since", "expires", "otherwise", "by"};
    struct buf target;
    const struct doc *root = NULL;
    struct span text = SPAN("");
    struct table t;
    buf_init(&target, &o->arena.mem, 4000);
    buf_put_str(&target, "/v1/reviews");
    operator_query(&target, "feed", o->feed);
    const int code = operator_get(o, &target, &root, &text);
    if (code != EXIT_YES)
        return code;
    const struct doc *reviews = doc_get(root, SPAN("reviews"));
    if (o->json) {
        buf_put(&o->out, text);
        buf_put_str(&o->out, "\n");
        return EXIT_YES;
    }
    if (reviews == NULL || reviews->count == 0) {
        buf_put_str(&o->out, "Nobody waits for a review.\n");
        return EXIT_YES;
    }
    table_init(&t, &o->arena.mem, heads, 7);
    DOC_EACH (r, reviews)
        for (unsigned i = 0; i < 7; i++)
            operator_cell(o, &t,
                          i == 3 || i == 4
                              ? operator_ago(o, r, span_str(keys[i]))
                              : operator_text(r, span_str(keys[i])),
                          i == 4 ? TONE_WARN : TONE_PLAIN);
    table_print(&t, &o->term, &o->out);
    return EXIT_YES;
}

static int decide(struct change *c, const char *name, bool approve,
                  const char *agent)
{
    int code = operator_check_reason(&c->o, name);
    if (code == EXIT_YES)
        code = operator_open(&c->o);
    else
        return code;
    if (code == EXIT_YES)
        code =
            end(c, approve ? "/v1/reviews/approve" : "/v1/reviews/deny", agent);
    return operator_close(&c->o, code);
}

int cmd_review(int argc, char **argv)
{
    struct change c = {.kind = NULL};
    const char *words[2] = {"list", ""};
    const int count = parse(&c, argc, argv, words);
    if (count < 0)
        return EXIT_USAGE;
    if (strcmp(words[0], "list") == 0) {
        if (count > 1)
            return cli_usage("review list takes no words");
        int code = operator_open(&c.o);
        if (code == EXIT_YES)
            code = list_reviews(&c.o);
        return operator_close(&c.o, code);
    }
    if (count != 2)
        return cli_usage("%s needs one agent; `bailiff review` lists who waits",
                         argv[0]);
    return decide(&c, argv[0], strcmp(words[0], "approve") == 0, words[1]);
}
