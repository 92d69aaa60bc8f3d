// SPDX-License-Identifier: Apache-2.0
#include "sidecar/history_source.h"

#include <string.h>
#include <sys/stat.h>

#include "adapters/json_doc.h"
#include "sidecar/base/time_text.h"
#include "sidecar/history_record.h"
#include "sidecar/io/decision_log.h"
#include "sidecar/io/decision_log_files.h"
#include "sidecar/io/file.h"
#include "sidecar/io/history_db.h"
#include "sidecar/io/log_verify.h"

#define LINE_ARENA_BYTES (4 * 1024 * 1024)
#define HOUR_MS INT64_C(3600000)

/* The next entry of one of the two streams. `n` counts the decisions that were
 * made before it; 0: only its time is known. */
struct head {
    bool there;
    struct span line;
    int64_t t;
    uint64_t n;
};

struct history_source {
    int64_t since_ms;
    bool events_of_log;
    /* a file */
    bool plain;
    struct log_reader file;
    uint64_t bytes;
    /* the journal */
    struct history_db *db;
    struct span input; /* entries left of the current row */
    uint64_t first_row, row;
    struct head a;
    /* the decision log */
    char dir[FILE_PATH_MAX];
    struct log_files files;
    size_t file_at;
    bool reading;
    struct log_reader log;
    struct arena arena;
    struct buf line;
    struct head b;
};

/* ---- opening ---- */

static int open_file(struct history_source *s, const char *path, struct fail *f)
{
    struct stat st;
    TRY(log_reader_open(&s->file, path, 0, f));
    s->plain = true;
    s->bytes = fstat(s->file.fd, &st) == 0 ? (uint64_t)st.st_size : 0;
    return 0;
}

static int next_file(struct history_source *s, struct fail *f)
{
    if (s->reading)
        log_reader_close(&s->log);
    s->reading = false;
    if (s->file_at >= s->files.count)
        return 0;
    TRY(log_reader_open_in(&s->log, span_str(s->dir),
                           s->files.first[s->file_at++], f));
    s->reading = true;
    return 1;
}

/* Time of the first line of a file; 0 when it has none. */
static int first_time(struct history_source *s, size_t at, int64_t *ret,
                      struct fail *f)
{
    const struct doc *d;
    struct span line;
    *ret = 0;
    s->file_at = at;
    TRY(next_file(s, f));
    arena_clear(&s->arena);
    int more = log_reader_next(&s->log, &line, f);
    if (more == 1 &&
        json_doc_parse(&s->arena.mem, line, LOG_LINE_BYTES_MAX, &d, NULL) == 0)
        (void)time_parse(doc_text(d, SPAN("time")), ret);
    return more < 0 ? more : 0;
}

/* The last file that begins before `since_ms`. */
static int find_start(struct history_source *s, struct fail *f)
{
    size_t at = s->files.count;
    int64_t begins = 0;
    while (s->since_ms > 0 && at > 1) {
        TRY(first_time(s, --at, &begins, f));
        if (begins != 0 && begins < s->since_ms) {
            s->file_at = at;
            return 0;
        }
    }
    s->file_at = 0;
    return 0;
}

/* A directory, or one file of it. */
static int open_log(struct history_source *s, struct span path, struct fail *f)
{
    struct span dir;
    bool is_file;
    uint64_t first = 0;
    TRY(log_split_path(path, &dir, &is_file, &first, f));
    TRY(file_path(s->dir, dir, "", f));
    TRY(log_files_list(dir, &s->files, f));
    if (is_file && s->files.count > 0) {
        s->files.first[0] = first;
        s->files.count = 1;
    }
    TRY(find_start(s, f));
    return next_file(s, f);
}

int history_source_open(const struct history_from *from,
                        struct history_source **ret, struct fail *f)
{
    struct history_source *s = mem_alloc(mem_system(), sizeof *s);
    if (s == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for the history");
    s->since_ms = from->since_ms;
    s->events_of_log = from->events_of_log;
    arena_init(&s->arena, mem_system(), LINE_ARENA_BYTES);
    buf_init(&s->line, mem_system(), 2 * LOG_LINE_BYTES_MAX);
    int rc = 0;
    if (from->file != NULL)
        rc = open_file(s, from->file, f);
    if (rc >= 0 && from->store.n > 0)
        rc = history_db_open(from->store, from->since_ms - HOUR_MS, &s->db, f);
    if (rc >= 0 && from->log.n > 0)
        rc = open_log(s, from->log, f);
    if (rc < 0) {
        history_source_close(s);
        return rc;
    }
    *ret = s;
    return 0;
}

void history_source_close(struct history_source *s)
{
    if (s == NULL)
        return;
    if (s->plain)
        log_reader_close(&s->file);
    if (s->reading)
        log_reader_close(&s->log);
    log_files_fini(&s->files);
    history_db_close(s->db);
    arena_fini(&s->arena);
    buf_fini(&s->line);
    mem_release(mem_system(), s);
}

/* ---- the journal ---- */

static bool take_number(struct span *s, struct span name, uint64_t *ret)
{
    if (!span_starts(*s, name))
        return false;
    *s = span_sub(*s, name.n, s->n);
    size_t n = 0;
    while (n < s->n && s->p[n] >= '0' && s->p[n] <= '9')
        n++;
    bool ok = span_u64(span_sub(*s, 0, n), ret);
    *s = span_sub(*s, n, s->n);
    return ok;
}

/* Entries begin as sidecar/core/history.c writes them. */
static bool read_head(struct span line, struct head *ret)
{
    uint64_t t;
    *ret = (struct head){.there = true, .line = line};
    if (!take_number(&line, SPAN("{\"t\":"), &t) || t > INT64_MAX ||
        !take_number(&line, SPAN(",\"n\":"), &ret->n))
        return false;
    ret->t = (int64_t)t;
    return true;
}

static int next_row(struct history_source *s, struct fail *f)
{
    struct history_row row;
    struct journal_body body;
    int more = history_db_next(s->db, &row, f);
    if (more <= 0)
        return more;
    if (journal_read_body(row.body, &body, f) < 0)
        return fail_wrap(f, "journal row %llu", (unsigned long long)row.seq);
    s->row = row.seq;
    if (s->first_row == 0)
        s->first_row = row.seq;
    s->input = body.input;
    return 1;
}

/* Entries of the hour before `since` only tell what is held. */
static bool is_wanted(const struct history_source *s, const struct head *h)
{
    static const char kind[] = ",\"kind\":\"policy\"";
    return h->t >= s->since_ms ||
           memmem(h->line.p, h->line.n, kind, sizeof kind - 1) != NULL;
}

static int next_input(struct history_source *s, struct fail *f)
{
    int more = 1;
    while (s->input.n == 0 && (more = next_row(s, f)) == 1)
        continue;
    if (more <= 0)
        return more;
    size_t end = span_find(s->input, '\n', 0);
    struct span line = span_sub(s->input, 0, end);
    s->input = span_sub(s->input, end + 1, s->input.n);
    if (!read_head(line, &s->a))
        return fail(f, RC_BROKEN, "the input of journal row %llu is malformed",
                    (unsigned long long)s->row);
    s->a.there = is_wanted(s, &s->a);
    return 1;
}

static int fill_a(struct history_source *s, struct fail *f)
{
    int more = 1;
    while (!s->a.there && s->db != NULL && more == 1)
        more = next_input(s, f);
    return more < 0 ? more : 0;
}

/* ---- the decision log ---- */

static int take_record(struct history_source *s, struct span line,
                       struct fail *f)
{
    const struct doc *record;
    int64_t at = 0;
    arena_clear(&s->arena);
    TRY(json_doc_parse(&s->arena.mem, line, LOG_LINE_BYTES_MAX, &record, f));
    (void)time_parse(doc_text(record, SPAN("time")), &at);
    buf_clear(&s->line);
    if (at >= s->since_ms)
        history_put_record(record, s->events_of_log, &s->line);
    if (!buf_ok(&s->line))
        return fail(f, RC_NO_MEMORY, "no memory for a record");
    if (s->line.n == 0)
        return 0;
    s->b = (struct head){.there = true,
                         .line = span_sub(buf_span(&s->line), 0, s->line.n - 1),
                         .t = at,
                         .n = record_decision(record)};
    return 0;
}

static int fill_b(struct history_source *s, struct fail *f)
{
    struct span line;
    while (!s->b.there && s->reading) {
        int more = log_reader_next(&s->log, &line, f);
        if (more == 0)
            more = next_file(s, f);
        else if (more == 1)
            more = take_record(s, line, f);
        if (more < 0)
            return fail_wrap(f, "decision log");
    }
    return 0;
}

/* ---- both ---- */

static struct head *choose(struct history_source *s)
{
    struct head *a = &s->a, *b = &s->b;
    if (!a->there || !b->there)
        return b->there ? b : a;
    bool log_first = b->n != 0 ? b->n <= a->n : b->t < a->t;
    return log_first ? b : a;
}

int history_source_next(struct history_source *s, struct span *ret,
                        struct fail *f)
{
    if (s->plain)
        return log_reader_next(&s->file, ret, f);
    TRY(fill_a(s, f));
    TRY(fill_b(s, f));
    struct head *next = choose(s);
    if (!next->there)
        return 0;
    next->there = false;
    *ret = next->line;
    return 1;
}

int history_source_each(const struct history_from *from,
                        int (*each)(void *ctx, struct span line,
                                    struct fail *f),
                        void *ctx, struct fail *f)
{
    struct history_source *s;
    struct span line;
    int more;
    TRY(history_source_open(from, &s, f));
    while ((more = history_source_next(s, &line, f)) == 1)
        if ((more = each(ctx, line, f)) < 0)
            break;
    history_source_close(s);
    return more;
}

unsigned history_source_progress(const struct history_source *s)
{
    uint64_t done = s->file.offset, all = s->bytes;
    if (s->db != NULL) {
        all = history_db_last(s->db) - s->first_row + 1;
        done = s->row - s->first_row + 1;
    }
    return all == 0 || s->first_row > s->row ? 0
           : done >= all                     ? 1000
                                             : (unsigned)(done * 1000 / all);
}
