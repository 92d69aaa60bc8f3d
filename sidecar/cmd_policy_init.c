// SPDX-License-Identifier: Apache-2.0
/*
 * `bailiff policy init --from-history`: a first policy, and what it would have
 * done with the history that it was made from.
 */
#include <string.h>
#include <unistd.h>

#include "adapters/json_doc.h"
#include "sidecar/cli.h"
#include "sidecar/cmd_policy_tool.h"
#include "sidecar/config/yaml_doc.h"
#include "sidecar/history_args.h"
#include "sidecar/policy_compare.h"
#include "sidecar/policy_draft.h"
#include "sidecar/policy_fmt.h"
#include "sidecar/policy_world.h"
#include "sidecar/term.h"

#define INIT_MEMORY_MAX (64u * 1024 * 1024)
#define LINE_BYTES_MAX (256u * 1024)

struct work {
    struct history_args args;
    bool from_history;
    struct arena arena, line;
    struct draft draft;
    struct buf draft_text, out;
    struct compare *compare;
};

static int note_line(void *ctx, struct span line, struct fail *f)
{
    struct work *w = ctx;
    const struct doc *entry;
    (void)f;
    arena_clear(&w->line);
    if (json_doc_parse(&w->line.mem, line, LINE_BYTES_MAX, &entry, NULL) == 0)
        draft_entry(&w->draft, entry);
    return 0;
}

static int compare_one(void *ctx, struct span line, struct fail *f)
{
    struct work *w = ctx;
    return compare_line(w->compare, line, f);
}

/* The draft in its canonical form has to be what a policy file may hold, and
 * to pass its own tests. */
static int load(struct work *w, const struct policy **ret, struct fail *f)
{
    struct mem *m = &w->arena.mem;
    struct policy_notes *notes = mem_alloc(m, sizeof *notes);
    const struct doc *root;
    unsigned passed;
    if (notes == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for the policy");
    TRY(yaml_doc_parse(m, buf_span(&w->draft_text), POLICY_FILE_BYTES_MAX,
                       &root, notes, f));
    TRY(policy_fmt(m, buf_span(&w->draft_text), root, &w->out, f));
    TRY(yaml_doc_parse(m, buf_span(&w->out), POLICY_FILE_BYTES_MAX, &root,
                       notes, f));
    TRY(policy_load(m, root, ret, notes, f));
    return policy_world_check(*ret, &passed, f);
}

/* Questions that were allowed and would not be. */
static uint64_t count_denied(const struct difference *d)
{
    struct map_link *k = NULL;
    uint64_t n = 0;
    while ((k = map_next(&d->rows, k)) != NULL) {
        const struct difference_row *row =
            container_of(k, struct difference_row, link);
        if (row->is_question && span_starts(row->words, SPAN("allow ->")))
            n += row->count[COURSE_NEW];
    }
    return n;
}

static int report(const struct work *w)
{
    const struct difference *d = &w->compare->difference;
    char text[320];
    uint64_t denied = count_denied(d);
    int n = snprintf(
        text, sizeof text,
        "%llu question%s replayed: %llu that were allowed would be denied, "
        "otherwise answered differently: %llu, not decidable: %llu\n",
        (unsigned long long)d->questions, term_plural(d->questions),
        (unsigned long long)denied, (unsigned long long)(d->changed - denied),
        (unsigned long long)d->undecided);
    ignore_rc(term_write(STDERR_FILENO, span_of(text, (size_t)n)));
    return denied == 0 ? EXIT_YES : EXIT_NO;
}

static int make(struct work *w, struct fail *f)
{
    struct history_from from;
    const struct policy *p;
    TRY(history_args_resolve(&w->args, &w->arena.mem, &from, f));
    TRY(history_source_each(&from, note_line, w, f));
    TRY(draft_write(&w->draft, &w->draft_text, f));
    TRY(load(w, &p, f));
    const struct compare_conf conf = {.now = p, .log_only = w->args.log_only};
    TRY(compare_new(&conf, &w->compare, f));
    return history_source_each(&from, compare_one, w, f);
}

static int run(struct work *w)
{
    struct fail f = {.rc = 0};
    arena_init(&w->arena, mem_system(), INIT_MEMORY_MAX);
    arena_init(&w->line, mem_system(), INIT_MEMORY_MAX);
    buf_init(&w->draft_text, mem_system(), POLICY_FILE_BYTES_MAX);
    buf_init(&w->out, mem_system(), POLICY_FILE_BYTES_MAX);
    draft_init(&w->draft);
    int rc = make(w, &f), code;
    if (rc == RC_INVALID)
        code = cli_usage("policy init: %s", f.text);
    else if (rc < 0)
        code = cli_fail(&f);
    else if (term_write(STDOUT_FILENO, buf_span(&w->out)) < 0)
        code = EXIT_ENVIRONMENT;
    else
        code = report(w);
    compare_free(w->compare);
    draft_fini(&w->draft);
    buf_fini(&w->draft_text);
    buf_fini(&w->out);
    arena_fini(&w->line);
    arena_fini(&w->arena);
    return code;
}

int cmd_policy_init(int argc, char **argv)
{
    struct work *w = mem_alloc(mem_system(), sizeof *w);
    const char *words[1] = {NULL};
    if (w == NULL)
        return EXIT_ENVIRONMENT;
    const struct cli_option options[] = {
        {"from-history", 0, &w->from_history, NULL},
        {"config", 'c', NULL, &w->args.config},
        {"data", 0, NULL, &w->args.data},
        {"log", 0, NULL, &w->args.log},
        {"history", 0, NULL, &w->args.file},
        {"since", 's', NULL, &w->args.since},
        {NULL, 0, NULL, NULL}};
    int n = cli_parse(argc, argv, options, words, 1);
    int code = EXIT_USAGE;
    if (n == 1 && w->from_history)
        code = run(w);
    else if (n >= 0)
        code = cli_usage("policy init: say --from-history");
    mem_release(mem_system(), w);
    return code;
}
