// SPDX-License-Identifier: Apache-2.0
/*
 * `bailiff policy fmt`: the canonical form of a policy file. What is written
 * is parsed again first: a file is only replaced by one that means the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sidecar/cli.h"
#include "sidecar/cmd_policy_tool.h"
#include "sidecar/config/config.h"
#include "sidecar/config/yaml_doc.h"
#include "sidecar/policy_fmt.h"
#include "sidecar/term.h"

#define FMT_MEMORY_MAX (256u * 1024 * 1024)
#define PASSES_MAX 6

struct work {
    const char *file;
    bool check, write;
    struct arena arena;
    struct buf text; /* the canonical form */
    struct buf out;
    struct term term;
    struct policy_notes notes;
    struct span source;
    const struct doc *root;
    struct fail f;
};

static int refuse(struct work *w)
{
    if (w->notes.error_count == 0)
        return cli_fail(&w->f);
    policy_notes_print(&w->notes, w->file, w->source, w->term.colour, &w->out);
    return EXIT_NO;
}

/* Only what loads is formatted; tests beside a policy need only be YAML. */
static int load(struct work *w)
{
    const struct policy *p = NULL;
    struct mem *m = &w->arena.mem;
    TRY(config_read_file(m, span_str(w->file), POLICY_FILE_BYTES_MAX, false,
                         &w->source, &w->f));
    TRY(yaml_doc_parse(m, w->source, POLICY_FILE_BYTES_MAX, &w->root, &w->notes,
                       &w->f));
    if (span_eq(doc_text(w->root, SPAN("kind")), SPAN("PolicyTest")))
        return RC_OK;
    return policy_load(m, w->root, &p, &w->notes, &w->f);
}

/* The tree of the new text must be the tree of the old one; `*ret_again` is
 * the new one, with its places. */
static int verify(struct work *w, const struct doc **ret_again)
{
    struct policy_notes *notes = mem_alloc(&w->arena.mem, sizeof *notes);
    if (notes == NULL)
        return fail(&w->f, RC_NO_MEMORY, "no memory for formatting");
    TRY(yaml_doc_parse(&w->arena.mem, buf_span(&w->text),
                       2 * POLICY_FILE_BYTES_MAX, ret_again, notes, &w->f));
    if (!doc_eq(w->root, *ret_again))
        return fail(&w->f, RC_INVALID,
                    "%s: the canonical form would mean something else; "
                    "nothing was written",
                    w->file);
    return RC_OK;
}

/* Until nothing changes: a comment that has found its line may let the list
 * that it stood in become shorter. */
static int settle(struct work *w)
{
    struct span source = w->source;
    const struct doc *root = w->root;
    for (unsigned pass = 0; pass < PASSES_MAX; pass++) {
        buf_clear(&w->text);
        TRY(policy_fmt(&w->arena.mem, source, root, &w->text, &w->f));
        TRY(verify(w, &root));
        if (span_eq(source, buf_span(&w->text)))
            return RC_OK;
        source.p = mem_copy(&w->arena.mem, buf_span(&w->text));
        source.n = w->text.n;
        if (source.p == NULL)
            return fail(&w->f, RC_NO_MEMORY, "no memory for formatting");
    }
    return fail(&w->f, RC_INVALID, "%s: finds no canonical form", w->file);
}

static int write_all(int fd, struct span s)
{
    while (s.n > 0) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return RC_IO;
        s = span_sub(s, (size_t)n, s.n);
    }
    return RC_OK;
}

/* A new file in the same directory takes the place of the old one. */
static int replace(struct work *w)
{
    struct stat st;
    struct buf name;
    buf_init(&name, &w->arena.mem, 8192);
    buf_printf(&name, "%s.fmt-%ld", w->file, (long)getpid());
    const char *path = (const char *)name.p;
    if (!buf_ok(&name) || stat(w->file, &st) < 0)
        return fail(&w->f, RC_IO, "%s: %s", w->file, strerror(errno));
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(&w->f, RC_IO, "%s: %s", path, strerror(errno));
    bool good = write_all(fd, buf_span(&w->text)) == RC_OK &&
                fchmod(fd, st.st_mode & 07777) == 0 && fsync(fd) == 0;
    good = close(fd) == 0 && good && rename(path, w->file) == 0;
    if (good)
        return RC_OK;
    int rc = fail(&w->f, RC_IO, "%s: %s", path, strerror(errno));
    (void)unlink(path);
    return rc;
}

/* The first line that is not canonical. */
static void put_difference(struct work *w)
{
    struct span is = w->source, be = buf_span(&w->text);
    size_t start = 0, number = 1;
    while (start < is.n && start < be.n) {
        size_t end = span_find(is, '\n', start);
        if (!span_eq(span_sub(is, start, end),
                     span_sub(be, start, span_find(be, '\n', start))))
            break;
        start = end + 1;
        number++;
    }
    buf_printf(&w->out, "%s:%zu: not canonical\n  is: ", w->file, number);
    term_put(&w->out, span_sub(is, start, span_find(is, '\n', start)));
    buf_put_str(&w->out, "\n  be: ");
    term_put(&w->out, span_sub(be, start, span_find(be, '\n', start)));
    buf_put_str(&w->out, "\n");
}

static int format(struct work *w)
{
    if (load(w) < 0)
        return refuse(w);
    if (settle(w) < 0)
        return cli_fail(&w->f);
    const bool same = span_eq(w->source, buf_span(&w->text));
    if (w->check && !same)
        put_difference(w);
    if (w->check)
        return same ? EXIT_YES : EXIT_NO;
    if (!w->write)
        buf_put(&w->out, buf_span(&w->text));
    else if (!same && replace(w) < 0)
        return cli_fail(&w->f);
    return EXIT_YES;
}

static int run(struct work *w, int argc, char **argv)
{
    const struct cli_option options[] = {{"check", 0, &w->check, NULL},
                                         {"write", 'w', &w->write, NULL},
                                         {NULL, 0, NULL, NULL}};
    const char *words[2] = {NULL, NULL};
    const int count = cli_parse(argc, argv, options, words, 2);
    if (count < 0)
        return EXIT_USAGE;
    if (count != 2)
        return cli_usage("policy fmt needs one policy file");
    if (w->check && w->write)
        return cli_usage("policy fmt: --check or --write, not both");
    w->file = words[1];
    arena_init(&w->arena, mem_system(), FMT_MEMORY_MAX);
    buf_init(&w->out, mem_system(), TERM_OUT_MAX);
    buf_init(&w->text, mem_system(), TERM_OUT_MAX);
    term_init(&w->term, STDOUT_FILENO);
    int code = format(w);
    if (term_write(STDOUT_FILENO, buf_span(&w->out)) < 0)
        code = EXIT_ENVIRONMENT;
    buf_fini(&w->text);
    buf_fini(&w->out);
    arena_fini(&w->arena);
    return code;
}

int cmd_policy_fmt(int argc, char **argv)
{
    struct work *w = mem_alloc(mem_system(), sizeof *w);
    if (w == NULL)
        return EXIT_ENVIRONMENT;
    const int code = run(w, argc, argv);
    mem_release(mem_system(), w);
    return code;
}
