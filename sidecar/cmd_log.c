// SPDX-License-Identifier: Apache-2.0
/*
 * `bailiff log`: reads a decision log, also a copied one, without the sidecar.
 */
#include "sidecar/cmd.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "adapters/json_doc.h"
#include "sidecar/base/json_out.h"
#include "sidecar/base/time_text.h"
#include "sidecar/cli_config.h"
#include "sidecar/io/decision_log.h"
#include "sidecar/io/decision_log_files.h"
#include "sidecar/io/file.h"
#include "sidecar/io/log_verify.h"
#include "sidecar/core/record.h"
#include "sidecar/term.h"

#define LOG_DIR "/var/lib/bailiff/log"
#define OUT_BYTES_MAX (1024 * 1024)
#define ARENA_BYTES_MAX (4 * 1024 * 1024)
#define TAIL_LINES 20
#define TAIL_LINES_MAX 100000

struct args {
    struct span path;
    const char *config;
    const char *key, *checkpoint, *agent, *kind, *since, *lines, *seq;
    bool would, json;
};

static int write_out(struct buf *out)
{
    struct fail f = {.rc = RC_NO_MEMORY, .text = "no memory for the output"};
    if (!buf_ok(out))
        return cli_fail(&f);
    int rc = term_write(STDOUT_FILENO, buf_span(out));
    buf_clear(out);
    return rc < 0 ? EXIT_ENVIRONMENT : EXIT_YES;
}

/* ---- verify ---- */

/* --key is a file or the line itself; without it the key beside the log. */
static int find_key(const struct args *a, struct note_public *ret,
                    bool *ret_beside, struct fail *f)
{
    char path[FILE_PATH_MAX];
    struct span dir, text;
    bool is_file;
    uint64_t first;
    *ret_beside = a->key == NULL;
    if (a->key != NULL && strchr(a->key, '+') != NULL &&
        access(a->key, F_OK) != 0)
        return note_public_get(span_str(a->key), ret, f);
    TRY(log_split_path(a->path, &dir, &is_file, &first, f));
    if (a->key != NULL)
        TRY(file_path(path, span_str(a->key), "", f));
    else
        TRY(file_path(path, dir, "../keys/log.pub", f));
    if (file_read(mem_system(), path, 1024, &text, f) < 0)
        return fail_wrap(f, "public key (give it with --key)");
    int rc = note_public_get(text, ret, f);
    mem_release(mem_system(), (void *)(uintptr_t)text.p);
    return rc < 0 ? fail_wrap(f, "%s", path) : 0;
}

static void put_json(struct buf *out, const struct log_report *r, bool beside)
{
    struct json_out j;
    json_out_init(&j, out);
    json_open_map(&j, NULL);
    json_bool(&j, "ok", r->problem_count == 0);
    json_str(&j, "origin", r->origin);
    json_u64(&j, "files", r->files);
    json_u64(&j, "lines", r->lines);
    json_u64(&j, "signed_lines", r->signed_lines);
    json_u64(&j, "unsigned_lines", r->lines - r->signed_lines);
    json_u64(&j, "torn_bytes", r->torn_bytes);
    json_u64(&j, "kept_checkpoint_lines", r->kept_size);
    json_u64(&j, "other_signatures", r->others);
    json_bool(&j, "witnessed", false);
    json_bool(&j, "key_from_beside_the_log", beside);
    json_hex(&j, "root", span_of(r->root.b, sizeof r->root.b));
    json_u64(&j, "problem_count", r->problem_count);
    json_open_list(&j, "problems");
    for (unsigned i = 0; i < r->problem_count && i < LOG_PROBLEMS_MAX; i++) {
        json_open_map(&j, NULL);
        json_str(&j, "kind", log_problem_word(r->problems[i].kind));
        json_str(&j, "text", r->problems[i].text);
        json_close_map(&j);
    }
    json_close_list(&j);
    json_close_map(&j);
    buf_put_u8(out, '\n');
}

static void put_notes(struct buf *out, const struct log_report *r, bool beside)
{
    unsigned long long tail = r->lines - r->signed_lines;
    if (tail > 0)
        buf_printf(out, "  %llu lines at the end are not yet signed\n", tail);
    if (r->torn_bytes > 0)
        buf_printf(out, "  %llu bytes of an unfinished line follow\n",
                   (unsigned long long)r->torn_bytes);
    if (r->kept_size > 0 && r->problem_count == 0)
        buf_printf(out,
                   "  the checkpoint kept elsewhere (%llu lines) is the "
                   "beginning of this log\n",
                   (unsigned long long)r->kept_size);
    else if (r->kept_size == 0)
        buf_put_str(out,
                    "  not compared with a checkpoint kept elsewhere "
                    "(--checkpoint):\n    a cut tail with an old checkpoint "
                    "would pass\n");
    if (r->others > 0)
        buf_printf(out, "  %u signatures by other keys were not checked\n",
                   r->others);
    buf_put_str(out,
                "  not witnessed: only the log's own key vouches for it\n");
    if (beside)
        buf_put_str(out,
                    "  the key came from beside the log: whoever could change "
                    "the log\n    could change it too\n");
}

static void put_text(struct buf *out, const struct term *t,
                     const struct log_report *r, bool beside)
{
    bool ok = r->problem_count == 0;
    term_tone(t, out, ok ? TONE_GOOD : TONE_BAD,
              ok ? SPAN("intact") : SPAN("NOT INTACT"));
    buf_printf(out, "  %s: %llu line%s in %llu file%s, %llu signed\n",
               r->origin, (unsigned long long)r->lines,
               r->lines == 1 ? "" : "s", (unsigned long long)r->files,
               r->files == 1 ? "" : "s", (unsigned long long)r->signed_lines);
    for (unsigned i = 0; i < r->problem_count && i < LOG_PROBLEMS_MAX; i++) {
        buf_put_str(out, "  ");
        term_tone(t, out, TONE_BAD,
                  span_str(log_problem_word(r->problems[i].kind)));
        buf_put_str(out, "  ");
        term_put(out, span_str(r->problems[i].text));
        buf_put_u8(out, '\n');
    }
    if (r->problem_count > LOG_PROBLEMS_MAX)
        buf_printf(out, "  and %u more problems\n",
                   r->problem_count - LOG_PROBLEMS_MAX);
    put_notes(out, r, beside);
}

static int read_kept(const struct args *a, struct span *ret, struct fail *f)
{
    *ret = span_of(NULL, 0);
    if (a->checkpoint == NULL)
        return 0;
    return file_read(mem_system(), a->checkpoint, CHECKPOINT_BYTES_MAX, ret, f);
}

static int verify_log(const struct args *a, struct buf *out)
{
    struct note_public key;
    struct log_verify_in in = {.path = a->path, .key = &key};
    struct term term;
    struct fail f;
    bool beside;
    int rc = find_key(a, &key, &beside, &f);
    if (rc == RC_SYNTAX)
        return cli_usage("%s", f.text);
    if (rc < 0 || read_kept(a, &in.kept, &f) < 0)
        return cli_fail(&f);
    struct log_report *r = mem_alloc(mem_system(), sizeof *r);
    rc = r == NULL ? fail(&f, RC_NO_MEMORY, "no memory for a report")
                   : log_verify(&in, r, &f);
    int code = EXIT_ENVIRONMENT;
    if (rc < 0) {
        code = cli_fail(&f);
    } else {
        term_init(&term, STDOUT_FILENO);
        if (a->json)
            put_json(out, r, beside);
        else
            put_text(out, &term, r, beside);
        code = write_out(out);
        if (code == EXIT_YES && r->problem_count > 0)
            code = EXIT_NO;
    }
    mem_release(mem_system(), (void *)(uintptr_t)in.kept.p);
    mem_release(mem_system(), r);
    return code;
}

static int prove_line(const struct args *a, struct buf *out)
{
    struct fail f;
    uint64_t seq;
    if (a->seq == NULL || !span_u64(span_str(a->seq), &seq))
        return cli_usage("log proof: --seq N says which record");
    int rc = log_prove(a->path, seq, out, &f);
    if (rc == 0)
        return write_out(out);
    int code = cli_fail(&f);
    return rc == RC_UNKNOWN_NAME || rc == RC_BROKEN ? EXIT_NO : code;
}

/* ---- query and tail ---- */

struct query {
    const struct args *args;
    int64_t since_ms;
    uint64_t from_seq;
    struct arena arena;
    struct term term;
    struct buf *out;
    uint64_t shown;
};

/* A member with this text; `*` in `want` stands for any. */
static bool member_is(const struct doc *d, struct span key, const char *want)
{
    if (want == NULL)
        return true;
    struct span have = doc_text(d, key);
    return have.p != NULL &&
           (span_eq(have, span_str(want)) || span_glob(span_str(want), have));
}

/* Not carried out: audit mode, or only a candidate says so. */
static bool is_would(const struct doc *d)
{
    const struct doc *would = doc_get(d, SPAN("would"));
    return would != NULL && would->kind == DOC_BOOL && would->truth;
}

static bool is_wanted(const struct query *q, const struct doc *d)
{
    int64_t at;
    if (!member_is(d, SPAN("agent"), q->args->agent) ||
        !member_is(d, SPAN("kind"), q->args->kind) ||
        (q->args->would && !is_would(d)))
        return false;
    return q->args->since == NULL ||
           (time_parse(doc_text(d, SPAN("time")), &at) && at >= q->since_ms);
}

static void put_record(struct query *q, const struct doc *d)
{
    static const char *const keys[] = {
        "feed",   "event", "agent",  "caller", "person",  "tool",   "call",
        "action", "hold",  "target", "rule",   "outcome", "reason", "why"};
    const struct doc *seq = doc_get(d, SPAN("seq"));
    buf_printf(q->out, "%8lld  ", seq == NULL ? 0LL : (long long)seq->integer);
    term_put(q->out, doc_text(d, SPAN("time")));
    buf_put_str(q->out, "  ");
    term_tone(&q->term, q->out, TONE_BOLD, doc_text(d, SPAN("kind")));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct span s = doc_text(d, span_str(keys[i]));
        if (s.p == NULL)
            continue;
        buf_printf(q->out, "  %s=", keys[i]);
        term_put(q->out, s);
    }
    if (is_would(d) &&
        !span_starts(doc_text(d, SPAN("outcome")), SPAN("would")))
        buf_put_str(q->out, "  would=true");
    buf_put_u8(q->out, '\n');
}

static int show_line(struct query *q, struct span line, struct fail *f)
{
    struct log_line head;
    const struct doc *d;
    arena_clear(&q->arena);
    if (!log_line_read(line, &head))
        return fail(f, RC_BROKEN, "not a record (see bailiff log verify)");
    if (head.seq < q->from_seq)
        return 0;
    TRY(json_doc_parse(&q->arena.mem, line, LOG_LINE_BYTES_MAX, &d, f));
    if (!is_wanted(q, d))
        return 0;
    q->shown++;
    if (q->args->json) {
        buf_put(q->out, line);
        buf_put_u8(q->out, '\n');
    } else {
        put_record(q, d);
    }
    if (q->out->n < OUT_BYTES_MAX / 2)
        return 0;
    return write_out(q->out) == EXIT_YES ? 0 : fail(f, RC_IO, "output closed");
}

static int show_file(struct query *q, struct span dir, uint64_t first,
                     struct fail *f)
{
    char name[LOG_FILE_NAME_BYTES];
    struct log_reader r;
    struct span line;
    int more;
    log_file_name(name, first, "jsonl");
    TRY(log_reader_open_in(&r, dir, first, f));
    while ((more = log_reader_next(&r, &line, f)) == 1)
        if ((more = show_line(q, line, f)) < 0)
            break;
    unsigned long long at = r.number;
    log_reader_close(&r);
    return more < 0 ? fail_wrap(f, "%s line %llu", name, at) : 0;
}

static int show_files(struct query *q, struct fail *f)
{
    struct log_files files;
    struct span dir;
    bool is_file;
    uint64_t first = 0;
    TRY(log_split_path(q->args->path, &dir, &is_file, &first, f));
    if (is_file)
        return show_file(q, dir, first, f);
    TRY(log_files_list(dir, &files, f));
    int rc = 0;
    for (size_t i = 0; i < files.count && rc == 0; i++)
        if (i + 1 == files.count || files.first[i + 1] > q->from_seq)
            rc = show_file(q, dir, files.first[i], f);
    log_files_fini(&files);
    return rc;
}

static int run_query(struct query *q)
{
    struct fail f;
    arena_init(&q->arena, mem_system(), ARENA_BYTES_MAX);
    term_init(&q->term, STDOUT_FILENO);
    int rc = show_files(q, &f);
    arena_fini(&q->arena);
    int code = write_out(q->out);
    return rc < 0 ? cli_fail(&f) : code;
}

/* A pattern that no kind can match is a slip, not an empty answer. */
static int check_kind(const char *pattern)
{
    char kinds[256];
    size_t at = 0;
    for (unsigned k = 0; k < RECORD_KIND_COUNT && at < sizeof kinds; k++) {
        const char *word = record_kind_word(k);
        if (pattern == NULL || span_glob(span_str(pattern), span_str(word)))
            return EXIT_YES;
        at += (size_t)snprintf(kinds + at, sizeof kinds - at, " %s", word);
    }
    return cli_usage("log query: there is no kind '%s'; there are:%s", pattern,
                     kinds);
}

static int query_log(const struct args *a, struct buf *out)
{
    struct query q = {.args = a, .out = out};
    if (check_kind(a->kind) != EXIT_YES)
        return EXIT_USAGE;
    if (a->since != NULL && !cli_since(a->since, &q.since_ms))
        return cli_usage(
            "log query: --since wants a time such as "
            "2027-02-01T10:00:00Z or a duration such as 2h");
    if (a->seq != NULL && !span_u64(span_str(a->seq), &q.from_seq))
        return cli_usage("log query: --seq wants a number");
    int code = run_query(&q);
    if (code != EXIT_YES || q.shown > 0)
        return code;
    const bool no_path = a->agent != NULL && strchr(a->agent, '/') == NULL &&
                         strchr(a->agent, '*') == NULL;
    (void)fprintf(stderr, "bailiff: no record matches%s\n",
                  no_path ? "; an agent is a path such as /Agents/7, and * "
                            "stands for any text"
                          : "");
    return EXIT_NO;
}

/* The number of the last record, from the last file only. */
static int last_seq(struct span dir, uint64_t *ret, struct fail *f)
{
    struct log_files files;
    struct log_reader r;
    struct span line;
    int more;
    TRY(log_files_list(dir, &files, f));
    *ret = files.count == 0 ? 0 : files.first[files.count - 1] - 1;
    bool none = files.count == 0;
    log_files_fini(&files);
    if (none)
        return 0;
    TRY(log_reader_open_in(&r, dir, *ret + 1, f));
    while ((more = log_reader_next(&r, &line, f)) == 1)
        (*ret)++;
    log_reader_close(&r);
    return more;
}

static int tail_log(const struct args *a, struct buf *out)
{
    struct query q = {.args = a, .out = out};
    uint64_t lines = TAIL_LINES, last;
    struct fail f;
    if (a->lines != NULL &&
        (!span_u64(span_str(a->lines), &lines) || lines > TAIL_LINES_MAX))
        return cli_usage("log tail: --lines wants a number up to %d",
                         TAIL_LINES_MAX);
    if (last_seq(a->path, &last, &f) < 0)
        return cli_fail(&f);
    q.from_seq = last >= lines ? last - lines + 1 : 0;
    return run_query(&q);
}

/* ---- schema ---- */

static int print_schema(const struct args *a, struct buf *out)
{
    (void)a;
    record_schema(out);
    return write_out(out);
}

/* ---- which log, and with what ---- */

static size_t count_files(struct span dir)
{
    struct log_files files;
    struct fail f;
    if (log_files_list(dir, &files, &f) < 0)
        return 0;
    size_t n = files.count;
    log_files_fini(&files);
    return n;
}

/* A data directory has its log below it. */
static int check_named(const char *named)
{
    char below[4096];
    (void)snprintf(below, sizeof below, "%s/log", named);
    if (count_files(span_str(named)) > 0 || count_files(span_str(below)) == 0)
        return EXIT_YES;
    return cli_usage("%s holds no decision log, but %s does", named, below);
}

/* The directory that is named, or that --config names. */
static int find_log(struct args *a, const char *named, struct mem *m)
{
    const struct config *c;
    a->path = named == NULL ? SPAN(LOG_DIR) : span_str(named);
    if (named != NULL)
        return check_named(named);
    if (a->config == NULL)
        return EXIT_YES;
    int code = cli_config(m, a->config, &c);
    if (code == EXIT_YES)
        a->path = c->log_dir;
    return code;
}

typedef int (*verb_fn)(const struct args *a, struct buf *out);

/* words[0] is the command's own name. */
static int run_verb(int argc, char **argv, verb_fn run)
{
    struct args a = {.json = false};
    const char *words[2] = {NULL, NULL};
    const struct cli_option options[] = {
        {"key", 'k', NULL, &a.key},     {"checkpoint", 0, NULL, &a.checkpoint},
        {"agent", 'a', NULL, &a.agent}, {"kind", 0, NULL, &a.kind},
        {"since", 's', NULL, &a.since}, {"lines", 'n', NULL, &a.lines},
        {"seq", 0, NULL, &a.seq},       {"would", 0, &a.would, NULL},
        {"json", 'j', &a.json, NULL},   {"config", 'c', NULL, &a.config},
        {NULL, 0, NULL, NULL},
    };
    if (cli_parse(argc, argv, options, words, 2) < 0)
        return EXIT_USAGE;
    struct arena arena;
    struct buf out;
    arena_init(&arena, mem_system(), ARENA_BYTES_MAX);
    buf_init(&out, mem_system(), OUT_BYTES_MAX);
    int code = find_log(&a, words[1], &arena.mem);
    if (code == EXIT_YES)
        code = run(&a, &out);
    buf_fini(&out);
    arena_fini(&arena);
    return code;
}

int cmd_log_verify(int argc, char **argv)
{
    return run_verb(argc, argv, verify_log);
}

int cmd_log_query(int argc, char **argv)
{
    return run_verb(argc, argv, query_log);
}

int cmd_log_tail(int argc, char **argv)
{
    return run_verb(argc, argv, tail_log);
}

int cmd_log_proof(int argc, char **argv)
{
    return run_verb(argc, argv, prove_line);
}

int cmd_log_schema(int argc, char **argv)
{
    return run_verb(argc, argv, print_schema);
}
