// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/decision_log_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sidecar/io/base64.h"
#include "sidecar/io/decision_log.h"
#include "sidecar/io/file.h"
#include "sidecar/io/tree_hash.h"

#define READ_BYTES (128 * 1024)
#define STATE_BYTES_MAX 8192
#define STATE_HEAD "bailiff-tree-2"
#define STATE_HEAD_1 "bailiff-tree-1" /* without the count of records */

void log_file_name(char ret[LOG_FILE_NAME_BYTES], uint64_t first,
                   const char *suffix)
{
    (void)snprintf(ret, LOG_FILE_NAME_BYTES, "%08llu.%s",
                   (unsigned long long)first, suffix);
}

/* Only names that log_file_name would write. */
static bool is_log_file(const char *name, uint64_t *ret_first)
{
    char again[LOG_FILE_NAME_BYTES];
    struct span s = span_str(name);
    size_t dot = span_find(s, '.', 0);
    if (!span_u64(span_sub(s, 0, dot), ret_first) || *ret_first == 0)
        return false;
    log_file_name(again, *ret_first, "jsonl");
    return strcmp(name, again) == 0;
}

static int add_file(struct log_files *l, uint64_t first, struct fail *f)
{
    if (l->count >= LOG_FILES_MAX)
        return fail(f, RC_LIMIT, "more than %d log files", LOG_FILES_MAX);
    if (l->count == l->cap) {
        size_t cap = l->cap == 0 ? 64 : l->cap * 2;
        uint64_t *p =
            mem_resize(mem_system(), l->first, l->cap * sizeof *l->first,
                       cap * sizeof *l->first);
        if (p == NULL)
            return fail(f, RC_NO_MEMORY, "no memory for the log files");
        l->first = p;
        l->cap = cap;
    }
    l->first[l->count++] = first;
    return 0;
}

static int by_first(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

int log_files_list(struct span dir, struct log_files *ret, struct fail *f)
{
    char path[FILE_PATH_MAX];
    TRY(file_path(path, dir, "", f));
    DIR *d = opendir(path);
    if (d == NULL)
        return fail(f, RC_IO, "log directory %s: %s", path,
                    strerrordesc_np(errno));
    *ret = (struct log_files){NULL, 0, 0};
    int rc = 0;
    uint64_t first;
    for (struct dirent *e; rc == 0 && (e = readdir(d)) != NULL;)
        if (is_log_file(e->d_name, &first))
            rc = add_file(ret, first, f);
    ignore_rc(closedir(d)); /* only read from */
    if (rc < 0)
        log_files_fini(ret);
    else if (ret->count > 0)
        qsort(ret->first, ret->count, sizeof *ret->first, by_first);
    return rc;
}

void log_files_fini(struct log_files *l)
{
    mem_release(mem_system(), l->first);
    *l = (struct log_files){NULL, 0, 0};
}

/* Takes "lead" and a number and "," off the front. */
static bool take_member(struct span *s, struct span lead, uint64_t *ret)
{
    if (!span_starts(*s, lead))
        return false;
    size_t end = span_find(*s, ',', lead.n);
    struct span digits = span_sub(*s, lead.n, end);
    if (end == s->n || !span_u64(digits, ret) ||
        (digits.p[0] == '0' && digits.n > 1))
        return false;
    *s = span_sub(*s, end + 1, s->n);
    return true;
}

bool log_line_read(struct span line, struct log_line *ret)
{
    ret->input = 0;
    if (line.n == 0 || line.n > LOG_LINE_BYTES_MAX ||
        line.p[line.n - 1] != '}' ||
        !take_member(&line, SPAN("{\"v\":1,\"seq\":"), &ret->seq))
        return false;
    ignore_rc(take_member(&line, SPAN("\"input\":"), &ret->input));
    return true;
}

int log_reader_open(struct log_reader *r, const char *path, uint64_t offset,
                    struct fail *f)
{
    *r = (struct log_reader){.fd = -1, .offset = offset};
    r->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (r->fd < 0 || lseek(r->fd, (off_t)offset, SEEK_SET) < 0) {
        int rc = fail(f, RC_IO, "open %s: %s", path, strerrordesc_np(errno));
        log_reader_close(r);
        return rc;
    }
    r->bytes = mem_alloc(mem_system(), READ_BYTES);
    if (r->bytes == NULL) {
        log_reader_close(r);
        return fail(f, RC_NO_MEMORY, "no memory to read the log");
    }
    return 0;
}

int log_reader_open_in(struct log_reader *r, struct span dir, uint64_t first,
                       struct fail *f)
{
    char path[FILE_PATH_MAX], name[LOG_FILE_NAME_BYTES];
    log_file_name(name, first, "jsonl");
    TRY(file_path(path, dir, name, f));
    return log_reader_open(r, path, 0, f);
}

void log_reader_close(struct log_reader *r)
{
    if (r->fd >= 0)
        ignore_rc(close(r->fd)); /* only read from */
    mem_release(mem_system(), r->bytes);
    r->fd = -1;
    r->bytes = NULL;
}

/* Moves the rest to the front and reads more behind it. */
static int read_more(struct log_reader *r, struct fail *f)
{
    memmove(r->bytes, r->bytes + r->start, r->end - r->start);
    r->end -= r->start;
    r->start = 0;
    if (r->end > LOG_LINE_BYTES_MAX)
        return fail(f, RC_BROKEN, "line is longer than %d bytes",
                    LOG_LINE_BYTES_MAX);
    ssize_t n;
    do
        n = read(r->fd, r->bytes + r->end, READ_BYTES - r->end);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return fail(f, RC_IO, "read: %s", strerrordesc_np(errno));
    r->at_end = n == 0;
    r->end += (size_t)n;
    return 0;
}

int log_reader_next(struct log_reader *r, struct span *ret, struct fail *f)
{
    size_t seen = r->start;
    for (;;) {
        struct span have = span_of(r->bytes, r->end);
        size_t lf = span_find(have, '\n', seen);
        if (lf < have.n) {
            *ret = span_sub(have, r->start, lf);
            r->start = lf + 1;
            r->offset += ret->n + 1;
            r->number++;
            if (ret->n > LOG_LINE_BYTES_MAX)
                return fail(f, RC_BROKEN, "line is longer than %d bytes",
                            LOG_LINE_BYTES_MAX);
            return 1;
        }
        if (r->at_end)
            return 0;
        seen = r->end - r->start;
        TRY(read_more(r, f));
    }
}

size_t log_reader_torn(const struct log_reader *r)
{
    return r->end - r->start;
}

static void state_sum(struct span text, struct buf *out)
{
    struct merkle_hash sum;
    tree_hash_plain(text, span_of(NULL, 0), &sum);
    buf_put_hex(out, span_of(sum.b, sizeof sum.b));
    buf_put_u8(out, '\n');
}

int log_state_save(struct span dir, const struct log_state *s, struct fail *f)
{
    struct buf out;
    buf_init(&out, mem_system(), STATE_BYTES_MAX);
    buf_printf(
        &out, STATE_HEAD "\n%llu\n%llu\n%llu\n%llu\n%llu\n",
        (unsigned long long)s->tree.size, (unsigned long long)s->logged.row,
        (unsigned long long)s->logged.records,
        (unsigned long long)s->file_first, (unsigned long long)s->file_offset);
    for (unsigned i = 0; i < s->tree.count; i++) {
        base64_put(&out, span_of(s->tree.peaks[i].b, MERKLE_HASH_BYTES));
        buf_put_u8(&out, '\n');
    }
    state_sum(buf_span(&out), &out);
    int rc = buf_ok(&out) ? file_replace(dir, "tree", buf_span(&out), 0600, f)
                          : fail(f, RC_NO_MEMORY, "no memory for tree state");
    buf_fini(&out);
    return rc;
}

static bool take_line(struct span *rest, struct span *ret)
{
    size_t n = span_find(*rest, '\n', 0);
    if (n == rest->n)
        return false;
    *ret = span_sub(*rest, 0, n);
    *rest = span_sub(*rest, n + 1, rest->n);
    return true;
}

static bool take_number(struct span *rest, uint64_t *ret)
{
    struct span line;
    return take_line(rest, &line) && span_u64(line, ret);
}

static bool read_state(struct span text, struct log_state *ret)
{
    struct span rest = text, line;
    struct buf sum;
    if (!take_line(&rest, &line))
        return false;
    bool first = span_eq(line, SPAN(STATE_HEAD_1));
    if ((!first && !span_eq(line, SPAN(STATE_HEAD))) ||
        !take_number(&rest, &ret->tree.size) ||
        !take_number(&rest, &ret->logged.row) ||
        (!first && !take_number(&rest, &ret->logged.records)) ||
        !take_number(&rest, &ret->file_first) ||
        !take_number(&rest, &ret->file_offset))
        return false;
    if (first)
        ret->logged.records = UINT64_MAX; /* taken for all of them */
    ret->tree.count = (unsigned)__builtin_popcountll(ret->tree.size);
    for (unsigned i = 0; i < ret->tree.count; i++)
        if (!take_line(&rest, &line) ||
            !base64_get(line, ret->tree.peaks[i].b, MERKLE_HASH_BYTES))
            return false;
    buf_init(&sum, mem_system(), 128);
    state_sum(span_sub(text, 0, text.n - rest.n), &sum);
    bool ok = buf_ok(&sum) && span_eq(buf_span(&sum), rest);
    buf_fini(&sum);
    return ok;
}

int log_state_load(struct span dir, struct log_state *ret, struct fail *f)
{
    char path[FILE_PATH_MAX];
    struct span text;
    TRY(file_path(path, dir, "tree", f));
    TRY(file_read(mem_system(), path, STATE_BYTES_MAX, &text, f));
    int rc =
        read_state(text, ret) ? 0 : fail(f, RC_SYNTAX, "%s is damaged", path);
    mem_release(mem_system(), (void *)(uintptr_t)text.p);
    return rc;
}
