// SPDX-License-Identifier: Apache-2.0
/*
 * `bailiff init`: the data directory and its keys, once. Nothing else makes
 * keys, so that a lost key is noticed and not silently replaced.
 */
#include "sidecar/cmd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sidecar/cli.h"
#include "sidecar/io/checkpoint.h"
#include "sidecar/io/file.h"
#include "sidecar/io/key_file.h"

#define DATA_DIR "/var/lib/bailiff"

static const char *const made[] = {"seal.key", "log.key", "log.pub"};

static int make_dir(struct span dir, const char *name, struct fail *f)
{
    char path[FILE_PATH_MAX];
    TRY(file_path(path, dir, name, f));
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return fail(f, RC_IO, "mkdir %s: %s", path, strerrordesc_np(errno));
    return file_check_dir(span_str(path), f);
}

static int refuse_old(struct span keys, struct fail *f)
{
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        char path[FILE_PATH_MAX];
        TRY(file_path(path, keys, made[i], f));
        if (access(path, F_OK) == 0)
            return fail(f, RC_EXISTS,
                        "%s exists: init never replaces a key. What it sealed "
                        "or signed needs it",
                        path);
    }
    return 0;
}

/* "bailiff/<host name>" with what a name cannot have replaced. */
static void default_origin(char ret[NOTE_NAME_MAX])
{
    char host[128] = "host";
    if (gethostname(host, sizeof host - 1) != 0)
        (void)snprintf(host, sizeof host, "host");
    for (char *p = host; *p != 0; p++)
        if (*p <= ' ' || *p == '+' || *p > '~')
            *p = '-';
    (void)snprintf(ret, NOTE_NAME_MAX, "bailiff/%s", host);
}

static int make_all(struct span dir, struct span origin, struct buf *line,
                    struct fail *f)
{
    char path[FILE_PATH_MAX];
    unsigned char seal[KEY_FILE_BYTES], zeros[32] = {0};
    struct note_key *probe;
    /* The origin is checked before anything is made. */
    TRY(note_key_new(zeros, origin, &probe, f));
    note_key_free(probe);
    TRY(make_dir(dir, "", f));
    TRY(make_dir(dir, "keys", f));
    TRY(file_path(path, dir, "keys", f));
    struct span keys = span_str(path);
    TRY(refuse_old(keys, f));
    TRY(make_dir(dir, "log", f));
    int rc = key_file_make(keys, "seal.key", seal, f);
    mem_wipe(seal, sizeof seal);
    TRY(rc);
    TRY(key_file_make_pair(keys, "log.key", "log.pub", origin, line, f));
    return file_sync_dir(dir, f);
}

static void print_next_steps(const char *dir, const char *origin,
                             struct span line)
{
    (void)printf(
        "Made %s with keys/seal.key, keys/log.key, keys/log.pub.\n\n"
        "Public key of the decision log. Keep a copy where this machine\n"
        "cannot change it; `bailiff log verify --key` takes it:\n"
        "  %.*s\n"
        "Next:\n"
        "  1. In bailiff.yaml:\n"
        "       store: {dir: %s}\n"
        "       log: {dir: %s/log, origin: %s}\n"
        "       keys: {seal: %s/keys/seal.key, log: %s/keys/log.key}\n"
        "  2. The directory belongs to uid %u. When bailiff runs as another\n"
        "     user: chown -R USER %s\n"
        "  3. Back up keys/ apart from the rest: without seal.key the stored\n"
        "     credentials cannot be read, without log.key the log cannot go "
        "on.\n"
        "  4. bailiff check -c bailiff.yaml, then bailiff run\n",
        dir, PRSPAN(line), dir, dir, origin, dir, dir, (unsigned)geteuid(),
        dir);
}

int cmd_init(int argc, char **argv)
{
    const char *dir = DATA_DIR, *origin = NULL, *words[1];
    const struct cli_option options[] = {
        {"dir", 'd', NULL, &dir},
        {"origin", 0, NULL, &origin},
        {NULL, 0, NULL, NULL},
    };
    char name[NOTE_NAME_MAX];
    struct buf line;
    struct fail f;
    int n = cli_parse(argc, argv, options, words, 0);
    if (n < 0)
        return EXIT_USAGE;
    default_origin(name);
    if (origin == NULL)
        origin = name;
    buf_init(&line, mem_system(), 1024);
    int rc = make_all(span_str(dir), span_str(origin), &line, &f);
    if (rc == 0)
        print_next_steps(dir, origin, buf_span(&line));
    buf_fini(&line);
    if (rc == 0)
        return fflush(stdout) == 0 ? EXIT_YES : EXIT_ENVIRONMENT;
    ignore_rc(cli_fail(&f)); /* only prints */
    return rc == RC_EXISTS ? EXIT_NO : EXIT_ENVIRONMENT;
}
