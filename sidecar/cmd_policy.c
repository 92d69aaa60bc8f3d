// SPDX-License-Identifier: Apache-2.0
/*
 * `bailiff policy`: the tools of the person who writes policy.yaml.
 */
#include "sidecar/cmd.h"

#include <string.h>
#include <unistd.h>

#include "sidecar/base/json_out.h"
#include "sidecar/cli.h"
#include "sidecar/cmd_policy_test.h"
#include "sidecar/config/policy_file.h"
#include "sidecar/policy_text.h"
#include "sidecar/term.h"

#define POLICY_MEMORY_MAX (64u * 1024 * 1024)

struct work {
    const char *file; /* NULL: the built-in policy */
    bool json;
    struct arena arena;
    struct buf out;
    struct term term;
    struct policy_notes notes;
    struct span source;
    const struct policy *policy;
};

static void put_json(struct work *w, bool good)
{
    struct json_out j;
    json_out_init(&j, &w->out);
    json_open_map(&j, NULL);
    json_bool(&j, "ok", good);
    json_str(&j, "file", w->file);
    if (good)
        json_str(&j, "digest", w->policy->digest_hex);
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
    json_close_map(&j);
    buf_put_str(&w->out, "\n");
}

/* Loads; prints what is wrong. */
static int load(struct work *w)
{
    struct fail f = {0};
    int rc = policy_file_load(&w->arena.mem, span_str(w->file), &w->policy,
                              &w->notes, &w->source, &f);
    if (!w->json && w->notes.count > 0)
        policy_notes_print(&w->notes, w->file == NULL ? "built-in" : w->file,
                           w->source, w->term.colour, &w->out);
    if (rc < 0 && w->notes.error_count == 0)
        return cli_fail(&f);
    return rc < 0 ? EXIT_NO : EXIT_YES;
}

static int check(struct work *w)
{
    const int code = load(w);
    if (code == EXIT_ENVIRONMENT)
        return code;
    if (w->json) {
        put_json(w, code == EXIT_YES);
    } else if (code == EXIT_YES) {
        const struct policy *p = w->policy;
        buf_printf(&w->out, "%s: ", w->file);
        term_tone(&w->term, &w->out, TONE_GOOD, SPAN("ok"));
        buf_printf(&w->out, ", %u rule%s, %u gate rule%s, digest %s\n",
                   p->rule_count, p->rule_count == 1 ? "" : "s", p->gate_count,
                   p->gate_count == 1 ? "" : "s", p->digest_hex);
    } else {
        buf_printf(&w->out, "%u error%s\n", w->notes.error_count,
                   w->notes.error_count == 1 ? "" : "s");
    }
    return code;
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

static int test(struct policy_test_args *args)
{
    if (args->file_count == 0)
        return cli_usage("policy test needs a policy or a file of tests");
    if (args->json && args->tap)
        return cli_usage("policy test: --json or --tap, not both");
    return policy_test_run(args);
}

static int choose(struct work *w, const char *const *words, unsigned count,
                  struct policy_test_args *args)
{
    args->files = words + 1;
    args->file_count = count > 0 ? count - 1 : 0;
    args->json = w->json;
    w->file = count > 1 ? words[1] : NULL;
    if (count > 0 && strcmp(words[0], "test") == 0)
        return test(args);
    if (args->tap || args->verbose || args->coverage || args->junit != NULL)
        return cli_usage(
            "policy: --tap, --junit, --coverage and -v are for test");
    if (count > 2)
        return cli_usage("policy: what is '%s' for? see `bailiff help policy`",
                         words[2]);
    if (count > 0 && strcmp(words[0], "check") == 0)
        return count == 2 ? with_policy(w, check)
                          : cli_usage("policy check needs one policy file");
    if (count > 0 && strcmp(words[0], "show") == 0)
        return with_policy(w, show);
    return cli_usage(
        "policy: 'check FILE', 'test FILE...' or 'show [FILE]', not '%s'",
        count > 0 ? words[0] : "");
}

int cmd_policy(int argc, char **argv)
{
    struct work *w = mem_alloc(mem_system(), sizeof *w);
    const char **words =
        mem_array(mem_system(), (size_t)argc + 1, sizeof *words);
    struct policy_test_args args = {.junit = NULL};
    int code = EXIT_ENVIRONMENT;
    if (w != NULL && words != NULL) {
        const struct cli_option options[] = {
            {"json", 'j', &w->json, NULL},
            {"tap", 0, &args.tap, NULL},
            {"junit", 0, NULL, &args.junit},
            {"coverage", 0, &args.coverage, NULL},
            {"verbose", 'v', &args.verbose, NULL},
            {NULL, 0, NULL, NULL}};
        const int count = cli_parse(argc, argv, options, words, (unsigned)argc);
        code =
            count < 0 ? EXIT_USAGE : choose(w, words, (unsigned)count, &args);
    }
    mem_release(mem_system(), words);
    mem_release(mem_system(), w);
    return code;
}
