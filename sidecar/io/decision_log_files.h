// SPDX-License-Identifier: Apache-2.0
/*
 * The decision log on disk, for its writer and for `bailiff log`:
 *
 *   NNNNNNNN.jsonl       lines from seq NNNNNNNN on, each with a LF
 *   checkpoint           the latest signed checkpoint
 *   NNNNNNNN.checkpoint  the checkpoint at the end of that file, once it is
 * full tree                 state that saves hashing all lines again at start
 *   lock                 held by the writer
 */
#ifndef SIDECAR_IO_DECISION_LOG_FILES_H
#define SIDECAR_IO_DECISION_LOG_FILES_H

#include "sidecar/base/merkle.h"
#include "sidecar/core/journal.h"

#define LOG_FILES_MAX 100000
#define LOG_FILE_NAME_BYTES 40
#define LOG_LINE_HEAD_MAX 48 /* {"v":1,"seq":18446744073709551615, */

void log_file_name(char ret[LOG_FILE_NAME_BYTES], uint64_t first,
                   const char *suffix);

/* First seq of each file, ascending. */
struct log_files {
    uint64_t *first;
    size_t count, cap;
};

int log_files_list(struct span dir, struct log_files *ret,
                   struct fail *f) must_use;
void log_files_fini(struct log_files *l);

/* What the writer promises about every line. */
struct log_line {
    uint64_t seq;
    uint64_t input; /* 0 when the line has none */
};
bool log_line_read(struct span line, struct log_line *ret);

/* Lines of one file, in 128 KiB of memory. */
struct log_reader {
    int fd;
    uint64_t offset; /* of the next line */
    uint64_t number; /* of lines given so far */
    unsigned char *bytes;
    size_t start, end;
    bool at_end;
};

/* Starts at `offset`, which must be the start of a line. */
int log_reader_open(struct log_reader *r, const char *path, uint64_t offset,
                    struct fail *f) must_use;
/* The file of the log in `dir` whose first record is `first`. */
int log_reader_open_in(struct log_reader *r, struct span dir, uint64_t first,
                       struct fail *f) must_use;
void log_reader_close(struct log_reader *r);

/* 1 and a line without its LF, valid until the next call; 0 at the end.
 * RC_BROKEN when a line is too long. At the end log_reader_torn bytes follow
 * the last LF. */
int log_reader_next(struct log_reader *r, struct span *ret,
                    struct fail *f) must_use;
size_t log_reader_torn(const struct log_reader *r);

/* The `tree` file. */
struct log_state {
    struct merkle tree;
    struct journal_logged logged;
    uint64_t file_first; /* the file that has the next line, or had the last */
    uint64_t file_offset;
};

int log_state_save(struct span dir, const struct log_state *s,
                   struct fail *f) must_use;
/* RC_UNKNOWN_NAME when there is none, RC_SYNTAX when it is damaged: both mean
 * hashing all lines again. */
int log_state_load(struct span dir, struct log_state *ret,
                   struct fail *f) must_use;

#endif
