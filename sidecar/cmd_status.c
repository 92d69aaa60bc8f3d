// SPDX-License-Identifier: Apache-2.0
/*
 * `bailiff status`: what runs, and is it well?
 */
#include "sidecar/cmd.h"

#include "sidecar/operator.h"

static void line(struct operator* o, const char *name, struct span text,
                 enum tone tone)
{
    buf_printf(&o->out, "%-8s  ", name);
    term_tone(&o->term, &o->out, tone, text);
    buf_put_str(&o->out, "\n");
}

static bool well(const struct doc *root, struct span part)
{
    return span_eq(doc_text(root, part), SPAN("ok"));
}

static struct span counts(struct operator* o, const struct doc *root)
{
    static const struct {
        const char *key, *one, *many;
    } words[] = {{"agents", "agent", "agents"},
                 {"holds", "hold", "holds"},
                 {"open_calls", "open call", "open calls"},
                 {"jobs", "open job", "open jobs"},
                 {"parked", "waiting question", "waiting questions"}};
    struct buf b;
    buf_init(&b, &o->arena.mem, 1024);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        int64_t n = operator_number(root, span_str(words[i].key));
        buf_printf(&b, "%s%lld %s", i == 0 ? "" : ", ", (long long)n,
                   n == 1 ? words[i].one : words[i].many);
    }
    return buf_span(&b);
}

static struct span mode_text(struct operator* o, const struct doc *root)
{
    const int64_t rules = operator_number(root, SPAN("audit_rules"));
    struct buf b;
    buf_init(&b, &o->arena.mem, 512);
    buf_printf(&b, "%.*s, mode %.*s",
               PRSPAN(operator_digest(root, SPAN("policy_digest"))),
               PRSPAN(operator_text(root, SPAN("mode"))));
    if (rules > 0)
        buf_printf(&b, ", %lld rule%s in audit mode", (long long)rules,
                   rules == 1 ? "" : "s");
    return buf_span(&b);
}

static void print(struct operator* o, const struct doc *root)
{
    struct span mode = operator_text(root, SPAN("mode"));
    line(o, "bailiff",
         operator_printf(o, "%.*s, process %lld, started %.*s",
                         PRSPAN(operator_text(root, SPAN("version"))),
                         (long long)operator_number(root, SPAN("pid")),
                         PRSPAN(operator_ago(o, root, SPAN("started")))),
         TONE_BOLD);
    line(o, "policy", mode_text(o, root),
         span_eq(mode, SPAN("enforce")) ? TONE_PLAIN : TONE_WARN);
    line(o, "config", operator_digest(root, SPAN("config_digest")), TONE_PLAIN);
    const struct doc *hold = doc_get(root, SPAN("legal_hold"));
    const bool keeps = hold != NULL && hold->truth;
    line(
        o, "store",
        operator_printf(o, "%.*s%s", PRSPAN(operator_text(root, SPAN("store"))),
                        keeps ? ", legal hold: no history is deleted" : ""),
        well(root, SPAN("store")) ? TONE_GOOD : TONE_BAD);
    line(o, "log", operator_text(root, SPAN("log")),
         well(root, SPAN("log")) ? TONE_GOOD : TONE_BAD);
    line(o, "now", counts(o, root), TONE_PLAIN);
}

static int status(struct operator* o)
{
    const struct doc *root;
    struct span text;
    const int code =
        operator_call(o, "/v1/status", (struct span){NULL, 0}, &root, &text);
    if (code != EXIT_YES)
        return code;
    if (o->json) {
        buf_put(&o->out, text);
        buf_put_str(&o->out, "\n");
    } else {
        print(o, root);
    }
    return well(root, SPAN("store")) && well(root, SPAN("log")) ? EXIT_YES
                                                                : EXIT_NO;
}

int cmd_status(int argc, char **argv)
{
    struct operator o = {.config = NULL};
    const struct cli_option options[] = {OPERATOR_OPTIONS(&o),
                                         {NULL, 0, NULL, NULL}};
    if (cli_parse(argc, argv, options, NULL, 0) < 0)
        return EXIT_USAGE;
    int code = operator_open(&o);
    if (code == EXIT_YES)
        code = status(&o);
    return operator_close(&o, code);
}
