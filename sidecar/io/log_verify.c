// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/log_verify.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "adapters/json_doc.h"
#include "sidecar/io/base64.h"
#include "sidecar/io/decision_log.h"
#include "sidecar/io/decision_log_files.h"
#include "sidecar/io/file.h"
#include "sidecar/io/tree_hash.h"

#define ARENA_BYTES_MAX (4 * 1024 * 1024)

/* A signed root that the tree must pass through. */
struct root_seal {
    bool present, met;
    char name[64];
    struct checkpoint at;
};

struct verify {
    const struct log_verify_in *in;
    struct log_report *report;
    struct merkle tree;
    struct arena arena;
    uint64_t expected; /* the next number */
    uint64_t good;     /* lines known to be those that were signed */
    struct root_seal latest, kept, of_file;
};

const char *log_problem_word(enum log_problem_kind kind)
{
    static const char *const words[] = {
        [LOG_CHANGED] = "changed",
        [LOG_CUT] = "cut",
        [LOG_MISSING] = "missing",
        [LOG_OUT_OF_ORDER] = "out_of_order",
        [LOG_MALFORMED] = "malformed",
        [LOG_FOREIGN] = "foreign_key",
        [LOG_BAD_CHECKPOINT] = "bad_checkpoint",
        [LOG_UNSIGNED] = "unsigned",
    };
    return words[kind];
}

static void problem(struct verify *v, enum log_problem_kind kind,
                    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void problem(struct verify *v, enum log_problem_kind kind,
                    const char *fmt, ...)
{
    unsigned n = v->report->problem_count++;
    if (n >= LOG_PROBLEMS_MAX)
        return;
    struct log_problem *p = &v->report->problems[n];
    p->kind = kind;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(p->text, sizeof p->text, fmt, ap);
    va_end(ap);
}

int log_split_path(struct span path, struct span *ret_dir, bool *ret_is_file,
                   uint64_t *ret_first, struct fail *f)
{
    char text[FILE_PATH_MAX];
    struct stat st;
    TRY(file_path(text, path, "", f));
    if (stat(text, &st) != 0)
        return fail(f, RC_IO, "%s: %s", text, strerrordesc_np(errno));
    *ret_is_file = !S_ISDIR(st.st_mode);
    *ret_dir = path;
    if (!*ret_is_file)
        return 0;
    size_t slash = path.n;
    while (slash > 0 && path.p[slash - 1] != '/')
        slash--;
    struct span name = span_sub(path, slash, path.n);
    *ret_dir = slash == 0 ? SPAN(".") : span_sub(path, 0, slash);
    if (!span_u64(span_sub(name, 0, span_find(name, '.', 0)), ret_first))
        return fail(f, RC_INVALID, "%s is not named NNNNNNNN.jsonl", text);
    return 0;
}

static void open_seal(struct verify *v, struct root_seal *seal,
                      struct span note)
{
    struct fail f;
    unsigned others = 0;
    int rc = checkpoint_open(note, v->in->key, &seal->at, &others, &f);
    seal->present = rc == 0;
    if (rc == RC_UNTRUSTED)
        problem(v, LOG_FOREIGN, "%s: %s", seal->name, f.text);
    else if (rc < 0)
        problem(v, LOG_BAD_CHECKPOINT, "%s: %s", seal->name, f.text);
    if (rc == 0 && others > v->report->others)
        v->report->others = others;
}

/* A missing file is no problem here. */
static int read_seal(struct verify *v, struct span dir, const char *name,
                     struct root_seal *seal, struct fail *f)
{
    char path[FILE_PATH_MAX];
    struct span note;
    *seal = (struct root_seal){.present = false};
    (void)snprintf(seal->name, sizeof seal->name, "%s", name);
    TRY(file_path(path, dir, name, f));
    int rc = file_read(mem_system(), path, CHECKPOINT_BYTES_MAX, &note, f);
    if (rc == RC_UNKNOWN_NAME)
        return 0;
    TRY(rc);
    open_seal(v, seal, note);
    mem_release(mem_system(), (void *)(uintptr_t)note.p);
    return 0;
}

static void meet(struct verify *v, struct root_seal *seal)
{
    struct merkle_hash root;
    if (!seal->present || seal->met || seal->at.size != v->tree.size)
        return;
    seal->met = true;
    merkle_root(&v->tree, tree_hash_node, &root);
    if (merkle_hash_eq(&root, &seal->at.root)) {
        if (v->tree.size > v->good)
            v->good = v->tree.size;
        return;
    }
    problem(v, LOG_CHANGED,
            "lines %llu to %llu are not what %s signed: a line among them was "
            "changed, removed, inserted or moved",
            (unsigned long long)v->good + 1, (unsigned long long)v->tree.size,
            seal->name);
}

static void meet_all(struct verify *v)
{
    meet(v, &v->latest);
    meet(v, &v->kept);
    meet(v, &v->of_file);
}

static void check_number(struct verify *v, const char *name, uint64_t at,
                         uint64_t seq)
{
    unsigned long long line = at, want = v->expected, got = seq;
    if (seq > v->expected && seq - v->expected == 1)
        problem(v, LOG_MISSING, "%s line %llu: record %llu is missing", name,
                line, want);
    else if (seq > v->expected)
        problem(v, LOG_MISSING,
                "%s line %llu: records %llu to %llu are missing", name, line,
                want, got - 1);
    else if (seq < v->expected)
        problem(v, LOG_OUT_OF_ORDER,
                "%s line %llu: record %llu where %llu belongs", name, line, got,
                want);
    v->expected = seq >= v->expected ? seq + 1 : v->expected;
}

static void check_line(struct verify *v, const char *name, uint64_t at,
                       struct span line)
{
    struct log_line head;
    struct merkle_hash leaf;
    const struct doc *d;
    struct fail f;
    tree_hash_leaf(line, &leaf);
    merkle_add(&v->tree, tree_hash_node, &leaf);
    v->report->bytes += line.n + 1;
    arena_clear(&v->arena);
    if (!log_line_read(line, &head)) {
        problem(v, LOG_MALFORMED, "%s line %llu: does not begin with v and seq",
                name, (unsigned long long)at);
        v->expected++;
    } else if (json_doc_parse(&v->arena.mem, line, LOG_LINE_BYTES_MAX, &d, &f) <
               0) {
        problem(v, LOG_MALFORMED, "%s line %llu: %s", name,
                (unsigned long long)at, f.text);
        v->expected++;
    } else {
        check_number(v, name, at, head.seq);
    }
    meet_all(v);
}

static int read_lines(struct verify *v, struct span dir, const char *name,
                      bool last, struct fail *f)
{
    char path[FILE_PATH_MAX];
    struct log_reader r;
    struct span line;
    int more;
    TRY(file_path(path, dir, name, f));
    TRY(log_reader_open(&r, path, 0, f));
    while ((more = log_reader_next(&r, &line, f)) == 1)
        check_line(v, name, r.number, line);
    size_t torn = log_reader_torn(&r);
    unsigned long long at = r.number + 1;
    log_reader_close(&r);
    if (more == RC_BROKEN) { /* longer than any line can be */
        problem(v, LOG_MALFORMED, "%s line %llu: %s", name, at, f->text);
        return 0;
    }
    TRY(more);
    if (torn > 0 && last)
        v->report->torn_bytes = torn;
    else if (torn > 0)
        problem(v, LOG_MALFORMED, "%s ends in the middle of a line", name);
    v->report->files++;
    return 0;
}

static int verify_file(struct verify *v, struct span dir, uint64_t first,
                       bool last, struct fail *f)
{
    char name[LOG_FILE_NAME_BYTES];
    log_file_name(name, first, "checkpoint");
    TRY(read_seal(v, dir, name, &v->of_file, f));
    log_file_name(name, first, "jsonl");
    if (first != v->expected)
        problem(v, LOG_MISSING, "file %s should begin at record %llu", name,
                (unsigned long long)v->expected);
    if (first > v->expected)
        v->expected = first;
    TRY(read_lines(v, dir, name, last, f));
    if (v->of_file.present && !v->of_file.met)
        problem(v, LOG_CUT, "%s signed %llu lines, at the end of %s are %llu",
                v->of_file.name, (unsigned long long)v->of_file.at.size, name,
                (unsigned long long)v->tree.size);
    return 0;
}

static int verify_files(struct verify *v, struct fail *f)
{
    struct log_files files;
    struct span dir;
    bool is_file;
    uint64_t first = 0;
    TRY(log_split_path(v->in->path, &dir, &is_file, &first, f));
    TRY(read_seal(v, dir, "checkpoint", &v->latest, f));
    if (is_file)
        return verify_file(v, dir, first, true, f);
    TRY(log_files_list(dir, &files, f));
    int rc = 0;
    for (size_t i = 0; i < files.count && rc == 0; i++)
        rc = verify_file(v, dir, files.first[i], i + 1 == files.count, f);
    log_files_fini(&files);
    return rc;
}

static void check_end(struct verify *v, const struct root_seal *seal)
{
    if (seal->present && !seal->met && seal->at.size > v->tree.size)
        problem(v, LOG_CUT, "%s signed %llu lines, only %llu are there",
                seal->name, (unsigned long long)seal->at.size,
                (unsigned long long)v->tree.size);
}

static void finish(struct verify *v)
{
    struct log_report *r = v->report;
    check_end(v, &v->latest);
    check_end(v, &v->kept);
    r->lines = v->tree.size;
    r->signed_lines = v->good;
    r->kept_size = v->kept.present ? v->kept.at.size : 0;
    merkle_root(&v->tree, tree_hash_node, &r->root);
    (void)snprintf(r->origin, sizeof r->origin, "%s", v->in->key->name);
    if (r->lines > 0 && v->good == 0 && r->problem_count == 0)
        problem(v, LOG_UNSIGNED, "no checkpoint covers these lines");
}

int log_verify(const struct log_verify_in *in, struct log_report *ret,
               struct fail *f)
{
    struct verify v = {.in = in, .report = ret, .expected = 1};
    *ret = (struct log_report){.files = 0};
    merkle_init(&v.tree);
    arena_init(&v.arena, mem_system(), ARENA_BYTES_MAX);
    if (in->kept.n > 0) {
        (void)snprintf(v.kept.name, sizeof v.kept.name, "the kept checkpoint");
        open_seal(&v, &v.kept, in->kept);
    }
    int rc = verify_files(&v, f);
    if (rc == 0)
        finish(&v);
    arena_fini(&v.arena);
    return rc;
}

/* ---- proofs ---- */

/* The trees over the ranges of a proof, filled in one pass. */
struct prove {
    struct checkpoint at;
    struct merkle_range plan[MERKLE_PROOF_MAX];
    struct merkle parts[MERKLE_PROOF_MAX];
    unsigned count;
    struct merkle all;
};

static int prove_lines(struct prove *p, struct span dir, uint64_t first,
                       struct fail *f)
{
    char path[FILE_PATH_MAX], name[LOG_FILE_NAME_BYTES];
    struct log_reader r;
    struct span line;
    struct merkle_hash leaf;
    int more = 0;
    log_file_name(name, first, "jsonl");
    TRY(file_path(path, dir, name, f));
    TRY(log_reader_open(&r, path, 0, f));
    while (p->all.size < p->at.size &&
           (more = log_reader_next(&r, &line, f)) == 1) {
        uint64_t at = p->all.size;
        tree_hash_leaf(line, &leaf);
        merkle_add(&p->all, tree_hash_node, &leaf);
        for (unsigned i = 0; i < p->count; i++)
            if (at >= p->plan[i].from && at < p->plan[i].to)
                merkle_add(&p->parts[i], tree_hash_node, &leaf);
    }
    log_reader_close(&r);
    return more < 0 ? more : 0;
}

static int prove_all(struct prove *p, struct span dir, struct fail *f)
{
    struct log_files files;
    struct merkle_hash root;
    int rc = 0;
    TRY(log_files_list(dir, &files, f));
    for (size_t i = 0; i < files.count && rc == 0; i++)
        rc = prove_lines(p, dir, files.first[i], f);
    log_files_fini(&files);
    TRY(rc);
    merkle_root(&p->all, tree_hash_node, &root);
    if (p->all.size != p->at.size || !merkle_hash_eq(&root, &p->at.root))
        return fail(f, RC_BROKEN,
                    "the log does not fit its checkpoint; see bailiff log "
                    "verify");
    return 0;
}

static void put_proof(struct prove *p, uint64_t seq, struct span note,
                      struct buf *out)
{
    struct merkle_hash root;
    buf_printf(out, "c2sp.org/tlog-proof@v1\nindex %llu\n",
               (unsigned long long)seq - 1);
    for (unsigned i = 0; i < p->count; i++) {
        merkle_root(&p->parts[i], tree_hash_node, &root);
        base64_put(out, span_of(root.b, sizeof root.b));
        buf_put_u8(out, '\n');
    }
    buf_put_u8(out, '\n');
    buf_put(out, note);
}

static int prove(struct prove *p, struct span dir, uint64_t seq,
                 struct span note, struct buf *out, struct fail *f)
{
    TRY(checkpoint_read(note, &p->at, f));
    if (seq == 0 || seq > p->at.size)
        return fail(f, RC_UNKNOWN_NAME,
                    "the checkpoint covers records 1 to %llu, not %llu",
                    (unsigned long long)p->at.size, (unsigned long long)seq);
    p->count = merkle_plan_inclusion(seq - 1, p->at.size, p->plan);
    int rc = prove_all(p, dir, f);
    if (rc == 0)
        put_proof(p, seq, note, out);
    return rc;
}

int log_prove(struct span dir, uint64_t seq, struct buf *out, struct fail *f)
{
    char path[FILE_PATH_MAX];
    struct span note;
    TRY(file_path(path, dir, "checkpoint", f));
    TRY(file_read(mem_system(), path, CHECKPOINT_BYTES_MAX, &note, f));
    struct prove *p = mem_alloc(mem_system(), sizeof *p);
    int rc = p == NULL ? fail(f, RC_NO_MEMORY, "no memory for a proof")
                       : prove(p, dir, seq, note, out, f);
    mem_release(mem_system(), p);
    mem_release(mem_system(), (void *)(uintptr_t)note.p);
    return rc;
}
