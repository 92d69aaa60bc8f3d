// SPDX-License-Identifier: Apache-2.0
/*
 * Where a history comes from: a file that `bailiff history export` has
 * written, or the journal of a data directory and the decision log beside it,
 * also while a sidecar writes them. What the two tell is put into the order in
 * which it happened.
 */
#ifndef SIDECAR_HISTORY_SOURCE_H
#define SIDECAR_HISTORY_SOURCE_H

#include "sidecar/base/fail.h"
#include "sidecar/base/span.h"

struct history_from {
    const char *file;   /* or NULL */
    struct span store;  /* a directory; empty: the log alone */
    struct span log;    /* a directory, or one of its files */
    int64_t since_ms;   /* wall; 0: all there is */
    bool events_of_log; /* there is no journal: take what the log says */
};

struct history_source;

int history_source_open(const struct history_from *from,
                        struct history_source **ret, struct fail *f) must_use;
/* 1 and one entry without its line feed, valid until the next call; 0 at the
 * end. RC_BROKEN for a line that is none, with its number in `f`. */
int history_source_next(struct history_source *s, struct span *ret,
                        struct fail *f) must_use;
/* All entries, one after the other, until `each` fails. */
int history_source_each(const struct history_from *from,
                        int (*each)(void *ctx, struct span line,
                                    struct fail *f),
                        void *ctx, struct fail *f) must_use;
/* How far it is read, in thousandths; for people who wait. */
unsigned history_source_progress(const struct history_source *s);
void history_source_close(struct history_source *s);

#endif
