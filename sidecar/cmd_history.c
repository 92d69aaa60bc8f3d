// SPDX-License-Identifier: Apache-2.0
/* `bailiff history`: what happened, in a form that can be replayed. */
#include "sidecar/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "sidecar/cli.h"
#include "sidecar/history_args.h"
#include "sidecar/io/file.h"

#define ARGS_BYTES_MAX (32u * 1024 * 1024)
#define OUT_BYTES (1024u * 1024)

struct export
{
    struct history_source *source;
    struct buf out;
    int fd;
};

static int flush(struct export *x, struct fail *f)
{
    if (!buf_ok(&x->out))
        return fail(f, RC_NO_MEMORY, "no memory for the output");
    TRY(file_write_all(x->fd, buf_span(&x->out), f));
    buf_clear(&x->out);
    return 0;
}

static int copy(struct export *x, struct fail *f)
{
    struct span line;
    int more;
    while ((more = history_source_next(x->source, &line, f)) == 1) {
        buf_put(&x->out, line);
        buf_put_u8(&x->out, '\n');
        if (x->out.n >= OUT_BYTES / 2)
            TRY(flush(x, f));
    }
    return more < 0 ? more : flush(x, f);
}

/* Only its owner reads it: it says what agents did. */
static int open_out(const char *path, struct fail *f)
{
    if (path == NULL || strcmp(path, "-") == 0)
        return STDOUT_FILENO;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return fd < 0 ? fail(f, RC_IO, "open %s: %s", path, strerrordesc_np(errno))
                  : fd;
}

static int export_to(struct history_args *a, const char *path, struct fail *f)
{
    struct export x = {.fd = -1};
    struct history_from from;
    struct arena arena;
    arena_init(&arena, mem_system(), ARGS_BYTES_MAX);
    buf_init(&x.out, mem_system(), OUT_BYTES);
    int rc = history_args_resolve(a, &arena.mem, &from, f);
    if (rc == 0)
        rc = history_source_open(&from, &x.source, f);
    if (rc == 0)
        rc = x.fd = open_out(path, f);
    if (rc >= 0)
        rc = copy(&x, f);
    if (x.fd > STDERR_FILENO && close(x.fd) != 0 && rc >= 0)
        rc = fail(f, RC_IO, "close %s: %s", path, strerrordesc_np(errno));
    history_source_close(x.source);
    buf_fini(&x.out);
    arena_fini(&arena);
    return rc < 0 ? rc : 0;
}

int cmd_history(int argc, char **argv)
{
    struct history_args a = {.file = NULL};
    const char *out = NULL, *words[1] = {NULL};
    const struct cli_option options[] = {
        {"config", 'c', NULL, &a.config}, {"data", 0, NULL, &a.data},
        {"log", 0, NULL, &a.log},         {"since", 's', NULL, &a.since},
        {"output", 'o', NULL, &out},      {NULL, 0, NULL, NULL}};
    struct fail f = {.rc = 0};
    int n = cli_parse(argc, argv, options, words, 1);
    if (n < 0)
        return EXIT_USAGE;
    int rc = export_to(&a, out, &f);
    if (rc == RC_INVALID)
        return cli_usage("history export: %s", f.text);
    return rc < 0 ? cli_fail(&f) : EXIT_YES;
}
