// SPDX-License-Identifier: Apache-2.0
/*
 * `bailiff policy test FILE...`: runs the tests of policies.
 */
#include "sidecar/cmd_policy_tool.h"

#include <string.h>
#include <unistd.h>

#include "sidecar/cli.h"
#include "sidecar/io/file.h"
#include "sidecar/policy_report.h"

#define TEST_MEMORY_MAX (512u * 1024 * 1024)

struct policy_test_args {
    const char *const *files;
    unsigned file_count;
    bool json, tap, verbose, coverage;
    const char *junit;             /* a file to write, or NULL */
    const char *coverage_min_text; /* as given, or NULL */
    unsigned coverage_min;         /* percent; 0: anything will do */
};

struct run {
    const struct policy_test_args *args;
    struct arena arena;
    struct term term;
    struct buf out;
    struct policy_report_file *files;
    struct policy_report report;
    struct policy_notes notes;
    struct span *wrong; /* room for each of the files */
};

/* ---- loading ---- */

static int load(struct run *r, const char *path, struct policy_report_file *to)
{
    struct fail f = {0};
    int rc = policy_test_file_load(&r->arena.mem, span_str(path), &to->file,
                                   &r->notes, &f);
    if (r->notes.count > 0 && !r->args->json && !r->args->tap) {
        char name[FILE_PATH_MAX];
        (void)snprintf(name, sizeof name, "%.*s", PRSPAN(to->file.read_path));
        policy_notes_print(&r->notes, name, to->file.source, r->term.colour,
                           &r->out);
    }
    if (rc < 0 && (r->notes.error_count == 0 || r->args->json || r->args->tap))
        (void)cli_fail(&f);
    if (rc < 0 && r->notes.error_count == 0)
        return EXIT_ENVIRONMENT;
    if (rc < 0)
        r->wrong[r->report.wrong_count++] = span_str(path);
    return rc < 0 ? EXIT_NO : EXIT_YES;
}

/* Files of one policy share what they cover. */
static int coverage_for(struct run *r, unsigned at, struct coverage **ret,
                        struct fail *f)
{
    struct policy_report_file *file = &r->files[at];
    for (unsigned i = 0; i < at; i++) {
        struct policy_report_file *other = &r->files[i];
        if (memcmp(other->file.policy->digest, file->file.policy->digest,
                   sizeof file->file.policy->digest) != 0)
            continue;
        other->last_of_policy = false;
        *ret = other->coverage;
        return 0;
    }
    return coverage_new(&r->arena.mem, file->file.policy, ret, f);
}

/* ---- running ---- */

static int run_file(struct run *r, unsigned at)
{
    struct policy_report_file *file = &r->files[at];
    struct mem *m = &r->arena.mem;
    struct fail f = {0};
    unsigned count = file->file.test_count;
    struct world_result **results = mem_array(m, count, sizeof(void *));
    if (results == NULL)
        return fail(NULL, RC_NO_MEMORY, "no memory");
    TRY(coverage_for(r, at, &file->coverage, &f));
    file->results = (const struct world_result *const *)results;
    file->last_of_policy = true;
    for (unsigned i = 0; i < count; i++) {
        results[i] = mem_alloc(m, sizeof *results[i]);
        if (results[i] == NULL)
            return fail(NULL, RC_NO_MEMORY, "no memory");
        int rc = policy_world_run(m, file->file.policy, &file->file.tests[i],
                                  file->coverage, results[i], &f);
        if (rc < 0) {
            (void)cli_fail(&f);
            return rc;
        }
        if (results[i]->failure_count > 0)
            r->report.failed++;
        else
            r->report.passed++;
    }
    return 0;
}

static int write_junit(struct run *r)
{
    struct span path = span_str(r->args->junit);
    struct fail f = {0};
    struct buf xml;
    size_t dir = path.n;
    while (dir > 0 && path.p[dir - 1] != '/')
        dir--;
    buf_init(&xml, &r->arena.mem, TERM_OUT_MAX);
    policy_report_junit(&r->report, &xml);
    int rc = buf_ok(&xml)
                 ? file_replace(dir == 0 ? SPAN(".") : span_sub(path, 0, dir),
                                r->args->junit + dir, buf_span(&xml), 0644, &f)
                 : fail(&f, RC_NO_MEMORY, "no memory for %s", r->args->junit);
    return rc < 0 ? cli_fail(&f) : EXIT_YES;
}

/* Says so where people look when a pipeline stops: on stderr. */
static bool covers_too_little(const struct run *r)
{
    bool little = false;
    for (unsigned i = 0; i < r->report.file_count; i++) {
        const struct policy_report_file *f = &r->files[i];
        struct coverage_sums sums;
        if (!f->last_of_policy)
            continue;
        coverage_sums(f->coverage, &sums);
        const unsigned percent = coverage_percent(sums.all);
        if (percent >= r->args->coverage_min)
            continue;
        little = true;
        (void)fprintf(
            stderr, "bailiff: %.*s: tests cover %u%%, less than %u%%\n",
            PRSPAN(f->file.policy_path), percent, r->args->coverage_min);
    }
    return little;
}

static int run_all(struct run *r)
{
    unsigned loaded = 0;
    r->files = mem_array(&r->arena.mem, r->args->file_count, sizeof *r->files);
    r->wrong = mem_array(&r->arena.mem, r->args->file_count, sizeof *r->wrong);
    if (r->files == NULL || r->wrong == NULL)
        return EXIT_ENVIRONMENT;
    r->report.wrong = r->wrong;
    for (unsigned i = 0; i < r->args->file_count; i++) {
        int code = load(r, r->args->files[i], &r->files[loaded]);
        if (code == EXIT_ENVIRONMENT)
            return code;
        if (code == EXIT_YES && run_file(r, loaded++) < 0)
            return EXIT_ENVIRONMENT;
    }
    r->report.files = r->files;
    r->report.file_count = loaded;
    r->report.verbose = r->args->verbose;
    r->report.coverage = r->args->coverage;
    if (r->args->json)
        policy_report_json(&r->report, &r->out);
    else if (r->args->tap)
        policy_report_tap(&r->report, &r->out);
    else
        policy_report_text(&r->report, &r->term, &r->out);
    if (r->args->junit != NULL && write_junit(r) != EXIT_YES)
        return EXIT_ENVIRONMENT;
    return r->report.failed > 0 || r->report.wrong_count > 0 ||
                   covers_too_little(r)
               ? EXIT_NO
               : EXIT_YES;
}

static int run_with(const struct policy_test_args *args)
{
    struct run *r = mem_alloc(mem_system(), sizeof *r);
    if (r == NULL)
        return EXIT_ENVIRONMENT;
    r->args = args;
    arena_init(&r->arena, mem_system(), TEST_MEMORY_MAX);
    buf_init(&r->out, mem_system(), TERM_OUT_MAX);
    term_init(&r->term, STDOUT_FILENO);
    int code = run_all(r);
    if (term_write(STDOUT_FILENO, buf_span(&r->out)) < 0)
        code = EXIT_ENVIRONMENT;
    buf_fini(&r->out);
    arena_fini(&r->arena);
    mem_release(mem_system(), r);
    return code;
}

static int test(struct policy_test_args *args)
{
    uint64_t percent = 0;
    if (args->file_count == 0)
        return cli_usage("policy test needs a policy or a file of tests");
    if (args->coverage_min_text != NULL &&
        (!span_u64(span_str(args->coverage_min_text), &percent) ||
         percent > 100))
        return cli_usage("policy test: --coverage-min is a percentage");
    args->coverage_min = (unsigned)percent;
    if (args->json && args->tap)
        return cli_usage("policy test: --json or --tap, not both");
    return run_with(args);
}

int cmd_policy_test(int argc, char **argv)
{
    struct policy_test_args args = {.junit = NULL};
    const char **words =
        mem_array(mem_system(), (size_t)argc + 1, sizeof *words);
    const struct cli_option options[] = {
        {"json", 'j', &args.json, NULL},
        {"tap", 0, &args.tap, NULL},
        {"junit", 0, NULL, &args.junit},
        {"coverage", 0, &args.coverage, NULL},
        {"coverage-min", 0, NULL, &args.coverage_min_text},
        {"verbose", 'v', &args.verbose, NULL},
        {NULL, 0, NULL, NULL}};
    if (words == NULL)
        return EXIT_ENVIRONMENT;
    const int count = cli_parse(argc, argv, options, words, (unsigned)argc);
    args.files = words + 1;
    args.file_count = count > 0 ? (unsigned)count - 1 : 0;
    const int code = count < 0 ? EXIT_USAGE : test(&args);
    mem_release(mem_system(), words);
    return code;
}
