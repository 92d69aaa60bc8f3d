// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/decision_log_open.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sidecar/io/decision_log.h"
#include "sidecar/io/file.h"

/* Said with every refusal: what a person can do. */
#define ADVICE                                                                 \
    "see 'bailiff log verify'; restore the log from a copy, or move the log "  \
    "directory away to begin a new one"

struct recover {
    struct span dir;
    struct checkpoint sealed; /* size 0: none */
    struct log_files files;
    struct log_tail *tail;
};

static int read_checkpoint(struct recover *r, const struct note_key *key,
                           struct fail *f)
{
    char path[FILE_PATH_MAX];
    struct note_public public;
    struct span note;
    unsigned others;
    TRY(file_path(path, r->dir, "checkpoint", f));
    int rc = file_read(mem_system(), path, CHECKPOINT_BYTES_MAX, &note, f);
    if (rc == RC_UNKNOWN_NAME)
        return 0;
    TRY(rc);
    note_key_public(key, &public);
    rc = checkpoint_open(note, &public, &r->sealed, &others, f);
    mem_release(mem_system(), (void *)(uintptr_t)note.p);
    if (rc == RC_UNTRUSTED)
        return fail_wrap(f,
                         "%s: the log belongs to another key or origin (put "
                         "keys/log.key and log.pub back, or set log.origin)",
                         path);
    return rc < 0 ? fail_wrap(f, "%s", path) : 0;
}

static int check_seal(struct recover *r, struct fail *f)
{
    struct log_state *s = &r->tail->state;
    struct merkle_hash root;
    if (r->sealed.size == 0 || s->tree.size != r->sealed.size)
        return 0;
    merkle_root(&s->tree, tree_hash_node, &root);
    if (!merkle_hash_eq(&root, &r->sealed.root))
        return fail(f, RC_BROKEN,
                    "the first %llu lines are not those that the checkpoint "
                    "signed; " ADVICE,
                    (unsigned long long)s->tree.size);
    return 0;
}

static int take_line(struct recover *r, struct span line, struct fail *f)
{
    struct log_state *s = &r->tail->state;
    struct log_line head;
    struct merkle_hash leaf;
    if (!log_line_read(line, &head))
        return fail(f, RC_BROKEN, "not a record; " ADVICE);
    if (head.seq != s->tree.size + 1)
        return fail(f, RC_BROKEN, "has seq %llu instead of %llu; " ADVICE,
                    (unsigned long long)head.seq,
                    (unsigned long long)s->tree.size + 1);
    tree_hash_leaf(line, &leaf);
    merkle_add(&s->tree, tree_hash_node, &leaf);
    journal_logged_note(&s->logged, head.input);
    return check_seal(r, f);
}

/* Reads one file from `offset`; only the last one may end in a torn line. */
static int read_file(struct recover *r, const char *name, uint64_t offset,
                     bool last, struct fail *f)
{
    char path[FILE_PATH_MAX];
    struct log_reader reader;
    struct span line;
    int more;
    TRY(file_path(path, r->dir, name, f));
    TRY(log_reader_open(&reader, path, offset, f));
    while ((more = log_reader_next(&reader, &line, f)) == 1)
        if ((more = take_line(r, line, f)) < 0)
            break;
    if (more >= 0 && log_reader_torn(&reader) > 0 && !last)
        more = fail(f, RC_BROKEN, "ends in the middle of a line; " ADVICE);
    r->tail->state.file_offset = reader.offset;
    unsigned long long at = reader.number + (more < 0 && reader.number == 0);
    log_reader_close(&reader);
    if (more < 0)
        return fail_wrap(f,
                         offset == 0 ? "%s line %llu"
                                     : "%s, %llu lines after the start point",
                         path, at);
    return 0;
}

static int read_files(struct recover *r, size_t from, uint64_t offset,
                      struct fail *f)
{
    char name[LOG_FILE_NAME_BYTES];
    struct log_state *s = &r->tail->state;
    for (size_t i = from; i < r->files.count; i++, offset = 0) {
        log_file_name(name, r->files.first[i], "jsonl");
        if (offset == 0 && r->files.first[i] != s->tree.size + 1)
            return fail(f, RC_BROKEN,
                        "log file %s should begin at line %llu; " ADVICE, name,
                        (unsigned long long)s->tree.size + 1);
        s->file_first = r->files.first[i];
        TRY(read_file(r, name, offset, i + 1 == r->files.count, f));
    }
    return 0;
}

static size_t find_file(const struct log_files *files, uint64_t first)
{
    size_t i = 0;
    while (i < files->count && files->first[i] != first)
        i++;
    return i;
}

/* Whether the saved state can be gone on from, and in which file: the one it
 * names, or, when that was moved away, the one that begins behind it. */
static bool use_state(struct recover *r, size_t *ret_from)
{
    char path[FILE_PATH_MAX], name[LOG_FILE_NAME_BYTES];
    struct log_state *s = &r->tail->state;
    struct stat st;
    if (log_state_load(r->dir, s, NULL) < 0 || s->tree.size == 0 ||
        s->tree.size > r->sealed.size)
        return false;
    *ret_from = find_file(&r->files, s->tree.size + 1);
    if (*ret_from < r->files.count) {
        s->file_offset = 0;
        return true;
    }
    *ret_from = find_file(&r->files, s->file_first);
    log_file_name(name, s->file_first, "jsonl");
    return *ret_from < r->files.count && s->file_offset > 0 &&
           s->file_first <= s->tree.size &&
           file_path(path, r->dir, name, NULL) == 0 && stat(path, &st) == 0 &&
           (uint64_t)st.st_size >= s->file_offset;
}

/* Opens the last file to append; cuts what a crash left of a line. */
static int open_last(struct recover *r, struct fail *f)
{
    char path[FILE_PATH_MAX], name[LOG_FILE_NAME_BYTES];
    struct log_tail *t = r->tail;
    if (r->files.count == 0)
        return 0;
    log_file_name(name, t->state.file_first, "jsonl");
    TRY(file_path(path, r->dir, name, f));
    t->fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    if (t->fd < 0)
        return fail(f, RC_IO, "open %s: %s", path, strerrordesc_np(errno));
    if (ftruncate(t->fd, (off_t)t->state.file_offset) != 0 ||
        fdatasync(t->fd) != 0)
        return fail(f, RC_IO, "cut and sync %s: %s", path,
                    strerrordesc_np(errno));
    return 0;
}

static int recover(struct recover *r, const struct note_key *key,
                   struct fail *f)
{
    size_t from = 0;
    struct log_state *s = &r->tail->state;
    TRY(read_checkpoint(r, key, f));
    TRY(log_files_list(r->dir, &r->files, f));
    if (!use_state(r, &from)) {
        from = 0;
        *s = (struct log_state){.file_offset = 0};
        merkle_init(&s->tree);
    }
    TRY(check_seal(r, f));
    TRY(read_files(r, from, s->file_offset, f));
    if (s->tree.size < r->sealed.size)
        return fail(f, RC_BROKEN,
                    "the checkpoint signed %llu lines, the log has %llu: "
                    "lines are missing; " ADVICE,
                    (unsigned long long)r->sealed.size,
                    (unsigned long long)s->tree.size);
    r->tail->signed_size = r->sealed.size;
    return open_last(r, f);
}

int log_recover(struct span dir, const struct note_key *key,
                struct log_tail *ret, struct fail *f)
{
    *ret = (struct log_tail){.fd = -1};
    struct recover r = {.dir = dir, .tail = ret};
    int rc = recover(&r, key, f);
    log_files_fini(&r.files);
    if (rc < 0 && ret->fd >= 0) {
        ignore_rc(close(ret->fd)); /* nothing was written */
        ret->fd = -1;
    }
    return rc;
}
