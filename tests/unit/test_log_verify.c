// SPDX-License-Identifier: Apache-2.0
/*
 * Checkpoints (C2SP signed-note, tlog-checkpoint) and the offline verifier:
 * every way to change a log that we know of is found (reliability T12).
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sidecar/io/base64.h"
#include "sidecar/io/decision_log_files.h"
#include "sidecar/io/file.h"
#include "sidecar/io/log_verify.h"
#include "sidecar/io/tree_hash.h"
#include "tests/lib/check.h"
#include "tests/lib/tmp_dir.h"

#define LINES 40
#define PER_FILE 15
#define ORIGIN "bailiff/test"

/* A log made without the writer, so that both are checked. */
struct made {
    struct tmp_dir d;
    struct note_key *key;
    struct note_public public;
    struct span lines[LINES + 2];
    char text[LINES + 2][96];
};

static void seal_at(struct made *m, unsigned lines, const char *name)
{
    struct merkle t;
    struct merkle_hash leaf, root;
    struct buf note;
    struct fail f;
    merkle_init(&t);
    for (unsigned i = 0; i < lines; i++) {
        tree_hash_leaf(m->lines[i], &leaf);
        merkle_add(&t, tree_hash_node, &leaf);
    }
    merkle_root(&t, tree_hash_node, &root);
    buf_init(&note, mem_system(), CHECKPOINT_BYTES_MAX);
    CHECK_OK(checkpoint_sign(m->key, lines, &root, &note, &f), &f);
    CHECK_OK(file_replace(tmp_dir_span(&m->d), name, buf_span(&note), 0600, &f),
             &f);
    buf_fini(&note);
}

/* Writes `n` lines over files of PER_FILE lines. */
static void write_lines(struct made *m, const struct span *lines, unsigned n)
{
    struct buf b;
    struct fail f;
    char name[LOG_FILE_NAME_BYTES];
    buf_init(&b, mem_system(), 1 << 20);
    for (unsigned i = 0; i < n; i += PER_FILE) {
        buf_clear(&b);
        for (unsigned k = i; k < n && k < i + PER_FILE; k++) {
            buf_put(&b, lines[k]);
            buf_put_u8(&b, '\n');
        }
        log_file_name(name, i + 1, "jsonl");
        CHECK_OK(
            file_replace(tmp_dir_span(&m->d), name, buf_span(&b), 0600, &f),
            &f);
    }
    buf_fini(&b);
}

static void make(struct made *m)
{
    static const unsigned char seed[32] = {7};
    struct fail f;
    tmp_dir_make(&m->d);
    CHECK_OK(note_key_new(seed, SPAN(ORIGIN), &m->key, &f), &f);
    note_key_public(m->key, &m->public);
    for (unsigned i = 0; i < LINES; i++) {
        (void)snprintf(m->text[i], sizeof m->text[i],
                       "{\"v\":1,\"seq\":%u,\"input\":%u,\"kind\":\"gate\"}",
                       i + 1, i + 1);
        m->lines[i] = span_str(m->text[i]);
    }
    write_lines(m, m->lines, LINES);
    seal_at(m, PER_FILE, "00000001.checkpoint");
    seal_at(m, 2 * PER_FILE, "00000016.checkpoint");
    seal_at(m, LINES - 2, "checkpoint");
    seal_at(m, 20, "kept");
}

static void drop(struct made *m)
{
    note_key_free(m->key);
    tmp_dir_drop(&m->d);
}

/* Verifies; with the checkpoint `kept` (a file of the directory) if not NULL.
 */
static void verify(struct made *m, const char *kept, struct log_report *r)
{
    struct fail f;
    struct log_verify_in in = {.path = tmp_dir_span(&m->d), .key = &m->public};
    if (kept != NULL)
        CHECK_OK(file_read(mem_system(), tmp_dir_file(&m->d, kept),
                           CHECKPOINT_BYTES_MAX, &in.kept, &f),
                 &f);
    CHECK_OK(log_verify(&in, r, &f), &f);
    mem_release(mem_system(), (void *)(uintptr_t)in.kept.p);
}

static void expect(struct made *m, const char *kept, enum log_problem_kind kind)
{
    struct log_report r;
    verify(m, kept, &r);
    CHECK(r.problem_count > 0);
    for (unsigned i = 0; i < r.problem_count; i++)
        if (r.problems[i].kind == kind)
            return;
    CHECK_STR(r.problems[0].text, log_problem_word(kind));
}

static void intact_log_passes(void **state)
{
    (void)state;
    struct made m;
    struct log_report r;
    make(&m);
    verify(&m, "kept", &r);
    CHECK_STR(r.problem_count > 0 ? r.problems[0].text : "", "");
    CHECK_UINT(r.lines, LINES);
    CHECK_UINT(r.files, 3);
    CHECK_UINT(r.signed_lines, LINES - 2); /* two are not yet signed */
    CHECK_UINT(r.kept_size, 20);
    CHECK_UINT(r.others, 0);
    drop(&m);
}

static void changes_are_found(void **state)
{
    (void)state;
    struct made m;
    struct span lines[LINES + 1];
    make(&m);

    /* One byte of one line, at each line that is signed. */
    for (unsigned i = 0; i < LINES - 2; i++) {
        char *at = strstr(m.text[i], "gate");
        *at = 'h';
        write_lines(&m, m.lines, LINES);
        expect(&m, NULL, LOG_CHANGED);
        *at = 'g';
    }
    /* Two lines changed places. */
    memcpy(lines, m.lines, sizeof lines);
    lines[3] = m.lines[4];
    lines[4] = m.lines[3];
    write_lines(&m, lines, LINES);
    expect(&m, NULL, LOG_OUT_OF_ORDER);
    expect(&m, NULL, LOG_CHANGED);
    /* One removed. */
    memcpy(lines, m.lines, sizeof lines);
    memmove(&lines[7], &lines[8], (LINES - 8) * sizeof lines[0]);
    write_lines(&m, lines, LINES - 1);
    expect(&m, NULL, LOG_MISSING);
    /* One inserted, twice the same number. */
    memcpy(lines, m.lines, sizeof lines);
    memmove(&lines[8], &lines[7], (LINES - 7) * sizeof lines[0]);
    write_lines(&m, lines, LINES + 1);
    expect(&m, NULL, LOG_OUT_OF_ORDER);
    drop(&m);
}

/* Removed and renumbered: only the roots tell. */
static void renumbering_is_found(void **state)
{
    (void)state;
    struct made m;
    make(&m);
    for (unsigned i = 7; i < LINES; i++)
        (void)snprintf(m.text[i], sizeof m.text[i],
                       "{\"v\":1,\"seq\":%u,\"input\":%u,\"kind\":\"gate\"}",
                       i + 1, i + 2);
    for (unsigned i = 7; i < LINES; i++)
        m.lines[i] = span_str(m.text[i]);
    write_lines(&m, m.lines, LINES);
    expect(&m, NULL, LOG_CHANGED);
    drop(&m);
}

static void cut_tail_is_found(void **state)
{
    (void)state;
    struct made m;
    struct log_report r;
    make(&m);
    ignore_rc(unlink(tmp_dir_file(&m.d, "00000031.jsonl")));
    write_lines(&m, m.lines, 35);
    expect(&m, NULL, LOG_CUT);
    /* With an older checkpoint put back it passes, as the report says ... */
    seal_at(&m, 33, "checkpoint");
    verify(&m, NULL, &r);
    CHECK_UINT(r.problem_count, 0);
    /* ... unless one was kept elsewhere. */
    seal_at(&m, 38, "kept");
    expect(&m, "kept", LOG_CUT);
    drop(&m);
}

/* A rewritten and newly signed log is not the one that was kept. */
static void fork_is_found(void **state)
{
    (void)state;
    struct made m;
    struct log_report r;
    make(&m);
    *strstr(m.text[5], "gate") = 'h';
    write_lines(&m, m.lines, LINES);
    seal_at(&m, PER_FILE, "00000001.checkpoint");
    seal_at(&m, 2 * PER_FILE, "00000016.checkpoint");
    seal_at(&m, LINES, "checkpoint");
    verify(&m, NULL, &r);
    CHECK_UINT(r.problem_count, 0); /* the key holder can do this */
    expect(&m, "kept", LOG_CHANGED);
    drop(&m);
}

static void foreign_key_is_found(void **state)
{
    (void)state;
    static const unsigned char seed[32] = {8};
    struct made m;
    struct fail f;
    make(&m);
    note_key_free(m.key);
    CHECK_OK(note_key_new(seed, SPAN(ORIGIN), &m.key, &f), &f);
    seal_at(&m, LINES, "checkpoint");
    expect(&m, NULL, LOG_FOREIGN);
    drop(&m);
}

static void malformed_lines_are_found(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{\"v\":1,\"seq\":40,\"a\":1,\"a\":2}", /* twice the same name */
        "{\"v\":1,\"seq\":40,\"a\":1} {}",
        "{\"v\":1,\"seq\":040,\"a\":1}",
        "{\"v\":2,\"seq\":40,\"a\":1}",
        "{\"v\":1,\"seq\":40,\"a\":}",
        "",
        "40",
    };
    struct made m;
    make(&m);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        check_row(bad[i]);
        m.lines[LINES - 1] = span_str(bad[i]);
        write_lines(&m, m.lines, LINES);
        expect(&m, NULL, LOG_MALFORMED);
    }
    check_row(NULL);
    drop(&m);
}

static void nothing_signed_is_a_problem(void **state)
{
    (void)state;
    struct made m;
    make(&m);
    ignore_rc(unlink(tmp_dir_file(&m.d, "checkpoint")));
    ignore_rc(unlink(tmp_dir_file(&m.d, "00000001.checkpoint")));
    ignore_rc(unlink(tmp_dir_file(&m.d, "00000016.checkpoint")));
    expect(&m, NULL, LOG_UNSIGNED);
    drop(&m);
}

/* ---- notes ---- */

static void note_bits_count(void **state)
{
    (void)state;
    struct made m;
    struct checkpoint c;
    struct span note;
    struct fail f;
    unsigned others;
    make(&m);
    CHECK_OK(file_read(mem_system(), tmp_dir_file(&m.d, "checkpoint"),
                       CHECKPOINT_BYTES_MAX, &note, &f),
             &f);
    CHECK_OK(checkpoint_open(note, &m.public, &c, &others, &f), &f);
    CHECK_UINT(c.size, LINES - 2);
    unsigned char *p = (unsigned char *)(uintptr_t)note.p;
    for (size_t i = 0; i < note.n * 8; i++) {
        p[i / 8] ^= (unsigned char)(1u << i % 8);
        CHECK(checkpoint_open(note, &m.public, &c, &others, &f) < 0);
        p[i / 8] ^= (unsigned char)(1u << i % 8);
    }
    for (size_t n = 0; n < note.n; n++)
        CHECK(checkpoint_open(span_sub(note, 0, n), &m.public, &c, &others,
                              &f) < 0);
    mem_release(mem_system(), p);
    drop(&m);
}

static void witness_lines_are_counted(void **state)
{
    (void)state;
    struct made m;
    struct checkpoint c;
    struct span note;
    struct buf b;
    struct fail f;
    unsigned others = 0;
    make(&m);
    CHECK_OK(file_read(mem_system(), tmp_dir_file(&m.d, "checkpoint"),
                       CHECKPOINT_BYTES_MAX, &note, &f),
             &f);
    buf_init(&b, mem_system(), CHECKPOINT_BYTES_MAX * 2);
    buf_put(&b, note);
    buf_put_str(&b, "\xe2\x80\x94 witness.example AAAAAAAA\n");
    CHECK_OK(checkpoint_open(buf_span(&b), &m.public, &c, &others, &f), &f);
    CHECK_UINT(others, 1);
    for (int i = 0; i < NOTE_SIGNATURES_MAX; i++)
        buf_put_str(&b, "\xe2\x80\x94 witness.example AAAAAAAA\n");
    CHECK_INT(checkpoint_open(buf_span(&b), &m.public, &c, &others, &f),
              RC_TOO_LARGE);
    buf_fini(&b);
    mem_release(mem_system(), (void *)(uintptr_t)note.p);
    drop(&m);
}

/* RFC 8032 7.1 test 1: seed and public key. */
static void public_line_round_trip(void **state)
{
    (void)state;
    static const unsigned char seed[32] = {
        0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a,
        0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32,
        0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60};
    static const unsigned char head[4] = {0xd7, 0x5a, 0x98, 0x01};
    struct note_key *k;
    struct note_public p, q;
    struct buf b;
    struct fail f;
    CHECK_OK(note_key_new(seed, SPAN(ORIGIN), &k, &f), &f);
    note_key_public(k, &p);
    CHECK(memcmp(p.key, head, sizeof head) == 0);
    buf_init(&b, mem_system(), 1024);
    note_public_put(&b, &p);
    CHECK_OK(note_public_get(buf_span(&b), &q, &f), &f);
    CHECK(memcmp(p.key, q.key, sizeof p.key) == 0);
    b.p[0] ^= 1; /* another name has another id */
    CHECK_INT(note_public_get(buf_span(&b), &q, &f), RC_SYNTAX);
    CHECK_INT(note_public_get(SPAN("a+b"), &q, &f), RC_SYNTAX);
    CHECK_INT(note_public_get(SPAN(""), &q, &f), RC_SYNTAX);
    buf_fini(&b);
    note_key_free(k);
    static const char *const bad[] = {"", "a b", "a+b", "a\nb", "\xff"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        CHECK_INT(note_key_new(seed, span_str(bad[i]), &k, &f), RC_CONFIG);
}

/* The proof that `log proof` prints, checked as a stranger would. */
static void proofs_hold(void **state)
{
    (void)state;
    struct made m;
    struct buf out;
    struct fail f;
    struct checkpoint c;
    struct merkle_hash leaf, made[MERKLE_PROOF_MAX];
    unsigned others;
    make(&m);
    buf_init(&out, mem_system(), 1 << 16);
    for (uint64_t seq = 1; seq <= LINES - 2; seq++) {
        char head[64];
        buf_clear(&out);
        CHECK_OK(log_prove(tmp_dir_span(&m.d), seq, &out, &f), &f);
        int n =
            snprintf(head, sizeof head, "c2sp.org/tlog-proof@v1\nindex %u\n",
                     (unsigned)seq - 1);
        struct span rest = buf_span(&out);
        CHECK(span_starts(rest, span_of(head, (size_t)n)));
        rest = span_sub(rest, (size_t)n, rest.n);
        struct merkle_proof p = {made, 0};
        while (rest.p[0] != '\n') {
            CHECK(base64_get(span_sub(rest, 0, 44), made[p.count++].b, 32));
            rest = span_sub(rest, 45, rest.n);
        }
        rest = span_sub(rest, 1, rest.n);
        CHECK_OK(checkpoint_open(rest, &m.public, &c, &others, &f), &f);
        tree_hash_leaf(m.lines[seq - 1], &leaf);
        CHECK(merkle_check_inclusion(tree_hash_node, seq - 1, c.size, &leaf, p,
                                     &c.root));
    }
    CHECK_INT(log_prove(tmp_dir_span(&m.d), LINES, &out, &f), RC_UNKNOWN_NAME);
    CHECK_INT(log_prove(tmp_dir_span(&m.d), 0, &out, &f), RC_UNKNOWN_NAME);
    *strstr(m.text[5], "gate") = 'h';
    write_lines(&m, m.lines, LINES);
    CHECK_INT(log_prove(tmp_dir_span(&m.d), 9, &out, &f), RC_BROKEN);
    buf_fini(&out);
    drop(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intact_log_passes),
        cmocka_unit_test(changes_are_found),
        cmocka_unit_test(renumbering_is_found),
        cmocka_unit_test(cut_tail_is_found),
        cmocka_unit_test(fork_is_found),
        cmocka_unit_test(foreign_key_is_found),
        cmocka_unit_test(malformed_lines_are_found),
        cmocka_unit_test(nothing_signed_is_a_problem),
        cmocka_unit_test(note_bits_count),
        cmocka_unit_test(witness_lines_are_counted),
        cmocka_unit_test(public_line_round_trip),
        cmocka_unit_test(proofs_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
