// SPDX-License-Identifier: Apache-2.0
/*
 * Verifies a decision log offline, in one pass and bounded memory: every line
 * is one record with the next number, the tree over all lines has the roots
 * that the checkpoints signed. Works on a copy or beside a running writer.
 */
#ifndef SIDECAR_IO_LOG_VERIFY_H
#define SIDECAR_IO_LOG_VERIFY_H

#include "sidecar/io/checkpoint.h"

#define LOG_PROBLEMS_MAX 20

/* Words are in the JSON output: append only. */
enum log_problem_kind {
    LOG_CHANGED,      /* a signed root does not fit */
    LOG_CUT,          /* fewer lines than a checkpoint signed */
    LOG_MISSING,      /* a gap in the numbers */
    LOG_OUT_OF_ORDER, /* a number that was there before */
    LOG_MALFORMED,    /* not one JSON object with v and seq */
    LOG_FOREIGN,      /* a checkpoint by another key or origin */
    LOG_BAD_CHECKPOINT,
    LOG_UNSIGNED, /* no valid checkpoint at all */
};

struct log_problem {
    enum log_problem_kind kind;
    char text[FAIL_TEXT_MAX];
};

struct log_report {
    uint64_t files, lines, bytes;
    uint64_t signed_lines; /* by the largest checkpoint that fits */
    uint64_t torn_bytes;   /* of an unfinished last line */
    uint64_t kept_size;    /* of the checkpoint kept elsewhere; 0: none */
    unsigned others;       /* signatures by keys that are not ours */
    char origin[NOTE_NAME_MAX + 1];
    struct merkle_hash root; /* over all lines */
    unsigned problem_count;  /* all; the first LOG_PROBLEMS_MAX are kept */
    struct log_problem problems[LOG_PROBLEMS_MAX];
};

struct log_verify_in {
    struct span path; /* directory, or one file that begins at line 1 */
    const struct note_public *key;
    struct span kept; /* a note kept elsewhere; empty: none */
};

/* 0 also when there are problems: they are in the report. RC_IO and so on when
 * the log cannot be read. */
int log_verify(const struct log_verify_in *in, struct log_report *ret,
               struct fail *f) must_use;

const char *log_problem_word(enum log_problem_kind kind);

/* Splits a path into the directory and, for a file, its name. */
int log_split_path(struct span path, struct span *ret_dir, bool *ret_is_file,
                   uint64_t *ret_first, struct fail *f) must_use;

/* Appends a C2SP tlog-proof of line `seq` (from 1) under the checkpoint in
 * `dir`. RC_UNKNOWN_NAME when that does not cover the line. */
int log_prove(struct span dir, uint64_t seq, struct buf *out,
              struct fail *f) must_use;

#endif
