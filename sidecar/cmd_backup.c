// SPDX-License-Identifier: Apache-2.0
/*
 * `bailiff backup` and `bailiff restore`: the database out and back in. Both
 * work on files; who may use them is who can read and write those.
 */
#include "sidecar/cmd.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sidecar/base/json_out.h"
#include "sidecar/cli_config.h"
#include "sidecar/io/store_backup.h"
#include "sidecar/term.h"

#define CONFIG_DEFAULT "/etc/bailiff/bailiff.yaml"
#define MEMORY_MAX (64u * 1024 * 1024)

/* What both commands have on their line. */
struct job {
    const char *config_file, *file; /* TARGET or SOURCE */
    bool force, json;
    struct arena arena;
    const struct config *config;
    struct buf out;
};

static int exit_of(int rc, const struct fail *f)
{
    if (rc == 0)
        return EXIT_YES;
    (void)cli_usage("%s%s", f->text,
                    rc == RC_BUSY ? "; stop the sidecar first" : "");
    return rc == RC_EXISTS || rc == RC_BUSY ? EXIT_NO : EXIT_ENVIRONMENT;
}

static void put_counts(struct buf *out, const struct store_report *r)
{
    buf_printf(out, "%llu facts and %llu rows of history, %llu bytes",
               (unsigned long long)r->facts, (unsigned long long)r->rows,
               (unsigned long long)r->bytes);
}

static void open_json(struct job *b, struct json_out *j,
                      const struct store_report *r)
{
    json_out_init(j, &b->out);
    json_open_map(j, NULL);
    json_str(j, "file", b->file);
    json_u64(j, "facts", r->facts);
    json_u64(j, "rows", r->rows);
    json_u64(j, "last_row", r->last_seq);
    json_u64(j, "bytes", r->bytes);
}

static void close_json(struct job *b, struct json_out *j)
{
    json_close_map(j);
    buf_put_u8(&b->out, '\n');
}

static int back_up(struct job *b)
{
    struct store_report r;
    struct json_out j;
    struct fail f = {0};
    int rc = store_backup(b->config->store_dir, b->file, &r, &f);
    if (rc < 0)
        return exit_of(rc, &f);
    if (b->json) {
        open_json(b, &j, &r);
        close_json(b, &j);
        return EXIT_YES;
    }
    buf_put_str(&b->out, "Backed up ");
    put_counts(&b->out, &r);
    buf_printf(&b->out,
               ", and verified the copy: %s\n"
               "Not in it: the keys (%.*s, %.*s), the decision log (%.*s), the "
               "configuration, the policy.\n",
               b->file, PRSPAN(b->config->seal_key_file),
               PRSPAN(b->config->log_key_file), PRSPAN(b->config->log_dir));
    return EXIT_YES;
}

static int64_t wall_ms(void)
{
    struct timespec ts = {0};
    ignore_rc(clock_gettime(CLOCK_REALTIME, &ts)); /* always there */
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void put_restored(struct job *b, const struct store_restored *r)
{
    const unsigned long long last = r->report.last_seq, log = r->log_input;
    buf_put_str(&b->out, "Restored ");
    put_counts(&b->out, &r->report);
    buf_printf(&b->out, ", from %s\n", b->file);
    if (r->aside[0] != 0)
        buf_printf(&b->out, "The database that was there is now %.*s/%s\n",
                   PRSPAN(b->config->store_dir), r->aside);
    if (log > last)
        buf_printf(&b->out,
                   "The decision log goes on to row %llu, the backup ended at "
                   "row %llu: what happened between is in the log, but no "
                   "longer in force unless it is told again. Operators' holds "
                   "of that time must be set again: bailiff log query --kind "
                   "operator\n",
                   log, last);
    buf_put_str(&b->out,
                "Every agent needs a fresh read after the next start.\n");
}

static int restore(struct job *b)
{
    const struct store_restore_conf conf = {.dir = b->config->store_dir,
                                            .log_dir = b->config->log_dir,
                                            .from = b->file,
                                            .force = b->force,
                                            .wall_ms = wall_ms()};
    struct store_restored r;
    struct json_out j;
    struct fail f = {0};
    int rc = store_restore(&conf, &r, &f);
    if (rc < 0)
        return exit_of(rc, &f);
    if (!b->json) {
        put_restored(b, &r);
        return EXIT_YES;
    }
    open_json(b, &j, &r.report);
    json_u64(&j, "log_row", r.log_input);
    json_u64(&j, "next_boot", r.next_boot);
    if (r.aside[0] != 0)
        json_str(&j, "aside", r.aside);
    close_json(b, &j);
    return EXIT_YES;
}

static int run(struct job *b, int (*work)(struct job *b))
{
    arena_init(&b->arena, mem_system(), MEMORY_MAX);
    buf_init(&b->out, mem_system(), TERM_OUT_MAX);
    int code = cli_config(&b->arena.mem, b->config_file, &b->config);
    if (code == EXIT_YES)
        code = work(b);
    if (term_write(STDOUT_FILENO, buf_span(&b->out)) < 0 && code == EXIT_YES)
        code = EXIT_ENVIRONMENT;
    buf_fini(&b->out);
    arena_fini(&b->arena);
    return code;
}

int cmd_backup(int argc, char **argv)
{
    struct job b = {.config_file = CONFIG_DEFAULT};
    const struct cli_option options[] = {
        {"config", 'c', NULL, &b.config_file},
        {"json", 'j', &b.json, NULL},
        {NULL, 0, NULL, NULL},
    };
    int n = cli_parse(argc, argv, options, &b.file, 1);
    if (n == 0)
        return cli_usage(
            "backup: which file to make? for example /backup/bailiff.db");
    return n < 0 ? EXIT_USAGE : run(&b, back_up);
}

int cmd_restore(int argc, char **argv)
{
    struct job b = {.config_file = CONFIG_DEFAULT};
    const struct cli_option options[] = {
        {"config", 'c', NULL, &b.config_file},
        {"force", 'f', &b.force, NULL},
        {"json", 'j', &b.json, NULL},
        {NULL, 0, NULL, NULL},
    };
    int n = cli_parse(argc, argv, options, &b.file, 1);
    if (n == 0)
        return cli_usage("restore: from which backup?");
    return n < 0 ? EXIT_USAGE : run(&b, restore);
}
