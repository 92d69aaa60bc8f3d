// SPDX-License-Identifier: Apache-2.0
/*
 * `bailiff policy check` and `show`.
 */
#include "sidecar/cmd_policy_tool.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "policy/warn.h"
#include "sidecar/base/json_out.h"
#include "sidecar/base/time_text.h"
#include "sidecar/cli.h"
#include "sidecar/config/policy_file.h"
#include "sidecar/config/yaml_doc.h"
#include "sidecar/history_args.h"
#include "sidecar/policy_seen.h"
#include "sidecar/policy_text.h"
#include "sidecar/term.h"

#define POLICY_MEMORY_MAX (64u * 1024 * 1024)

struct work {
    const char *file;         /* NULL: the built-in policy */
    struct history_args past; /* check: what was asked for and said */
    bool json, strict, warn;
    int64_t now_ms;
    struct arena arena;
    struct buf out;
    struct term term;
    struct policy_notes notes;
    struct span source;
    const struct policy *policy;
};

/* The mode of all rules, then of each rule, then of each gate rule; NULL behind
 * the last. */
static const struct policy_mode *mode_at(const struct policy *p, unsigned i,
                                         const char **what, struct span *name)
{
    *what = i == 0 ? "all rules" : i <= p->rule_count ? "rule" : "gate rule";
    *name = SPAN("");
    if (i == 0)
        return &p->mode;
    if (--i < p->rule_count) {
        *name = p->rules[i].name;
        return &p->rules[i].mode;
    }
    i -= p->rule_count;
    if (i >= p->gate_count)
        return NULL;
    *name = p->gates[i].name;
    return &p->gates[i].mode;
}

/* Until when what is only written, and what is so no more: a day that was
 * copied from an example and is over enforces at once. */
static void put_audits(struct work *w, struct json_out *j)
{
    const struct policy_mode *m;
    const char *what;
    struct span name;
    for (unsigned i = 0; (m = mode_at(w->policy, i, &what, &name)) != NULL;
         i++) {
        const bool now = policy_audits(m, w->now_ms);
        char until[TIME_TEXT_BYTES];
        if (!m->audit)
            continue;
        time_text(m->until_ms, until);
        if (j == NULL) {
            buf_printf(&w->out, "audit mode%s: %s%s%.*s, %s %s\n",
                       now ? "" : " is over", what, name.n > 0 ? " " : "",
                       PRSPAN(name), now ? "until" : "enforced since", until);
            continue;
        }
        json_open_map(j, NULL);
        json_str(j, "of", what);
        if (name.n > 0)
            json_text(j, "name", name);
        json_str(j, "until", until);
        json_bool(j, "over", !now);
        json_close_map(j);
    }
}

static void put_json(struct work *w, bool good)
{
    struct json_out j;
    json_out_init(&j, &w->out);
    json_open_map(&j, NULL);
    json_bool(&j, "ok", good);
    json_str(&j, "file", w->file);
    if (good)
        json_str(&j, "digest", w->policy->digest_hex);
    json_u64(&j, "errors", w->notes.error_count);
    json_u64(&j, "warnings", w->notes.warning_count);
    json_open_list(&j, "notes");
    for (unsigned i = 0; i < w->notes.count; i++) {
        const struct policy_note *n = &w->notes.at[i];
        json_open_map(&j, NULL);
        json_u64(&j, "line", n->line);
        json_u64(&j, "column", n->column);
        json_str(&j, "severity", n->warning ? "warning" : "error");
        json_str(&j, "text", n->text);
        if (n->advice[0] != '\0')
            json_str(&j, "advice", n->advice);
        json_close_map(&j);
    }
    json_close_list(&j);
    json_open_list(&j, "built_in_only");
    for (unsigned t = 0; good && t < EVENT_TYPE_COUNT; t++)
        if ((policy_unhandled(w->policy) & EVENT_BIT(t)) != 0)
            json_str(&j, NULL, event_type_name((enum event_type)t));
    json_close_list(&j);
    json_open_list(&j, "audit");
    if (good)
        put_audits(w, &j);
    json_close_list(&j);
    json_close_map(&j);
    buf_put_str(&w->out, "\n");
}

static int add_seen(struct work *w, const struct doc *root, struct fail *f)
{
    struct history_from from;
    TRY(history_args_resolve(&w->past, &w->arena.mem, &from, f));
    return policy_seen_warn(&w->arena.mem, &from, w->policy, root, &w->notes,
                            f);
}

/* The tree is read once more: a policy does not keep it. */
static int add_warnings(struct work *w, struct fail *f)
{
    const struct doc *root = NULL;
    TRY(yaml_doc_parse(&w->arena.mem, w->source, POLICY_FILE_BYTES_MAX, &root,
                       &w->notes, f));
    policy_warn(w->policy, root, &w->notes);
    return history_args_given(&w->past) ? add_seen(w, root, f) : RC_OK;
}

/* Loads; prints what is wrong. */
static int load(struct work *w)
{
    struct fail f = {0};
    int rc = policy_file_load(&w->arena.mem, span_str(w->file), &w->policy,
                              &w->notes, &w->source, &f);
    if (rc == RC_OK && w->warn)
        rc = add_warnings(w, &f);
    if (!w->json && w->notes.count > 0)
        policy_notes_print(&w->notes, w->file == NULL ? "built-in" : w->file,
                           w->source, w->term.colour, &w->out);
    if (rc == RC_INVALID)
        return cli_usage("policy check: %s", f.text);
    if (rc < 0 && w->notes.error_count == 0)
        return cli_fail(&f);
    return rc < 0 ? EXIT_NO : EXIT_YES;
}

/* "caep." of "caep.risk-level-change", else the whole name. */
static struct span family_of(unsigned type)
{
    struct span name = span_str(event_type_name((enum event_type)type));
    const size_t dot = span_find(name, '.', 0);
    return dot < name.n ? span_sub(name, 0, dot + 1) : name;
}

static bool is_whole_family(event_mask set, unsigned type)
{
    for (unsigned t = 0; t < EVENT_TYPE_COUNT; t++)
        if ((set & EVENT_BIT(t)) == 0 && span_eq(family_of(t), family_of(type)))
            return false;
    return family_of(type).p[family_of(type).n - 1] == '.';
}

/* What rules leave to the built-in reaction is no mistake, but worth to see. */
static void put_built_in(struct work *w)
{
    event_mask open = policy_unhandled(w->policy) & ~EVENT_BIT(EVENT_REFRESHED);
    size_t start = w->out.n;
    buf_put_str(&w->out, "the built-in reaction alone applies to:");
    for (unsigned t = 0; t < EVENT_TYPE_COUNT; t++) {
        struct span word = span_str(event_type_name((enum event_type)t));
        const bool whole = is_whole_family(open, t);
        if ((open & EVENT_BIT(t)) == 0 ||
            (whole && t > 0 && span_eq(family_of(t - 1), family_of(t))))
            continue;
        word = whole ? family_of(t) : word;
        const bool wrap = w->out.n - start + word.n > 76;
        start = wrap ? w->out.n + 1 : start;
        buf_printf(&w->out, "%s%.*s%s", wrap ? "\n  " : " ", PRSPAN(word),
                   whole ? "*" : "");
    }
    buf_put_str(&w->out, open == 0 ? " nothing\n" : "\n");
}

static void put_summary(struct work *w, bool good)
{
    const struct policy *p = w->policy;
    const unsigned warnings = w->notes.warning_count;
    const struct policy_notes *n = &w->notes;
    if (!good) {
        buf_printf(&w->out, "%u error%s\n", n->error_count,
                   term_plural(n->error_count));
        return;
    }
    put_built_in(w);
    put_audits(w, NULL);
    buf_printf(&w->out, "%s: ", w->file);
    term_tone(&w->term, &w->out, warnings == 0 ? TONE_GOOD : TONE_WARN,
              SPAN("ok"));
    buf_printf(&w->out, ", %u rule%s, %u gate rule%s, ", p->rule_count,
               term_plural(p->rule_count), p->gate_count,
               term_plural(p->gate_count));
    if (warnings > 0)
        buf_printf(&w->out, "%u warning%s, ", warnings, term_plural(warnings));
    buf_printf(&w->out, "digest %s\n", p->digest_hex);
}

static int check(struct work *w)
{
    w->warn = true;
    w->now_ms = (int64_t)time(NULL) * 1000;
    const int code = load(w);
    if (code == EXIT_ENVIRONMENT || code == EXIT_USAGE)
        return code;
    if (w->json)
        put_json(w, code == EXIT_YES);
    else
        put_summary(w, code == EXIT_YES);
    return w->strict && w->notes.warning_count > 0 ? EXIT_NO : code;
}

static int show(struct work *w)
{
    const int code = load(w);
    if (code == EXIT_YES)
        policy_text_put(&w->out, w->policy);
    return code;
}

static int with_policy(struct work *w, int (*run)(struct work *))
{
    arena_init(&w->arena, mem_system(), POLICY_MEMORY_MAX);
    buf_init(&w->out, mem_system(), TERM_OUT_MAX);
    term_init(&w->term, STDOUT_FILENO);
    int code = run(w);
    if (term_write(STDOUT_FILENO, buf_span(&w->out)) < 0)
        code = EXIT_ENVIRONMENT;
    buf_fini(&w->out);
    arena_fini(&w->arena);
    return code;
}

/* The file that is wanted, or NULL when `optional`. */
static int only_file(int argc, char **argv, const struct cli_option *options,
                     bool optional, const char **ret)
{
    const char *words[2] = {NULL, NULL};
    const int count = cli_parse(argc, argv, options, words, 2);
    if (count < 0)
        return RC_INVALID;
    *ret = words[1];
    if (count == 2 || optional)
        return RC_OK;
    (void)cli_usage("policy %s needs one policy file", words[0]);
    return RC_INVALID;
}

int cmd_policy_check(int argc, char **argv)
{
    struct work *w = mem_alloc(mem_system(), sizeof *w);
    if (w == NULL)
        return EXIT_ENVIRONMENT;
    const struct cli_option options[] = {{"json", 'j', &w->json, NULL},
                                         {"strict", 's', &w->strict, NULL},
                                         {"config", 'c', NULL, &w->past.config},
                                         {"data", 0, NULL, &w->past.data},
                                         {"log", 0, NULL, &w->past.log},
                                         {"history", 0, NULL, &w->past.file},
                                         {"since", 0, NULL, &w->past.since},
                                         {NULL, 0, NULL, NULL}};
    const int rc = only_file(argc, argv, options, false, &w->file);
    const int code = rc < 0 ? EXIT_USAGE : with_policy(w, check);
    mem_release(mem_system(), w);
    return code;
}

int cmd_policy_show(int argc, char **argv)
{
    struct work *w = mem_alloc(mem_system(), sizeof *w);
    if (w == NULL)
        return EXIT_ENVIRONMENT;
    const struct cli_option options[] = {{NULL, 0, NULL, NULL}};
    const int rc = only_file(argc, argv, options, true, &w->file);
    const int code = rc < 0 ? EXIT_USAGE : with_policy(w, show);
    mem_release(mem_system(), w);
    return code;
}
