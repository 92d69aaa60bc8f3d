// SPDX-License-Identifier: Apache-2.0
/*
 * What commands show to people: aligned tables, colour, relative times. Text
 * that came from a peer is made harmless before it reaches a terminal.
 * Nothing here decides what is shown.
 */
#ifndef SIDECAR_TERM_H
#define SIDECAR_TERM_H

#include "sidecar/base/buf.h"
#include "sidecar/base/fail.h"

#define TERM_COLUMNS_MAX 12
#define TERM_OUT_MAX (64u * 1024 * 1024)

enum tone { TONE_PLAIN, TONE_BOLD, TONE_DIM, TONE_GOOD, TONE_WARN, TONE_BAD };

struct term {
    bool colour;
    unsigned width; /* columns; 0: no limit (a pipe) */
    int64_t now_ms; /* wall time, for relative times */
};

/* Looks at `fd`, NO_COLOR, TERM, COLUMNS and the clock. */
void term_init(struct term *t, int fd);

/* Writes everything; RC_IO when the other end is gone. */
int term_write(int fd, struct span s) must_use;

/* Text with control bytes and malformed UTF-8 replaced. */
void term_put(struct buf *b, struct span s);

/* The same in a tone; plain without colour. */
void term_tone(const struct term *t, struct buf *b, enum tone tone,
               struct span s);

/* Columns that `s` takes, as put by term_put: one per code point. */
size_t term_columns(struct span s);

/* "now" "12s ago" "5m ago" "3h ago" "2d ago", or "in 5m"; at most 15 bytes
 * with the NUL. */
void term_ago(int64_t now_ms, int64_t wall_ms, char ret[16]);

struct term_cell {
    struct span text; /* must live until table_print */
    enum tone tone;
};

/* "s" behind a noun, but not for one. */
const char *term_plural(uint64_t n);

struct table {
    struct mem *mem;
    const char *const *heads;
    unsigned columns;
    struct term_cell *cells;
    size_t cell_count, cell_cap;
};

/* `heads` has `columns` literals. Memory from `mem` (an arena). */
void table_init(struct table *t, struct mem *mem, const char *const *heads,
                unsigned columns);

/* Adds one cell; rows fill from left to right. RC_NO_MEMORY. */
int table_cell(struct table *t, struct span text, enum tone tone) must_use;

/* Headings, rows, two spaces between columns. On a terminal that is too narrow
 * columns go on in another line and the last one is wrapped: nothing is cut. */
void table_print(const struct table *t, const struct term *term,
                 struct buf *out);

#endif
