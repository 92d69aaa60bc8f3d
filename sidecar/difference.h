// SPDX-License-Identifier: Apache-2.0
/*
 * Two courses of the same history side by side: what each did to whom, by
 * which rule, how often; and the questions that they answer differently. The
 * old course may be a replay of another policy or what really happened.
 */
#ifndef SIDECAR_DIFFERENCE_H
#define SIDECAR_DIFFERENCE_H

#include "policy/mentions.h"
#include "sidecar/base/map.h"
#include "sidecar/history_record.h"
#include "sidecar/replay.h"

#define DIFFERENCE_ROWS_MAX 200000
#define DIFFERENCE_BYTES_MAX (256u * 1024 * 1024)

enum course { COURSE_OLD, COURSE_NEW, COURSE_COUNT };

struct difference_row {
    struct map_link link; /* key: is_question uri NUL rule NUL words */
    bool is_question;
    struct span uri, rule, words;
    uint64_t count[COURSE_COUNT]; /* questions: NEW only */
    int64_t first_ms;
    struct span jti; /* of the first */
    /* What one statement does to several targets counts once. */
    uint64_t last_jti[COURSE_COUNT];
    int64_t last_ms[COURSE_COUNT];
    uint64_t told; /* for who reports as it goes */
};

/* Something that a course could not decide, and why. */
struct difference_gap {
    struct map_link link; /* key: `what` */
    struct span what;
    bool is_attribute;
    uint64_t questions, statements;
};

struct difference {
    struct arena arena; /* all rows */
    struct map rows, gaps;
    struct map blind_rules; /* keys: those of rows, without words */
    bool blind;             /* to all: there was no room for more */
    uint64_t questions, changed, undecided;
    uint64_t lost; /* rows that found no room */
};

void difference_init(struct difference *d);
void difference_fini(struct difference *d);

void difference_effect(struct difference *d, enum course which,
                       const struct effect *e, int64_t t);

/* An answer, of a replay or of the log. */
struct difference_answer {
    bool allow;
    struct span reason, rule;
};
bool difference_same(const struct difference_answer *a,
                     const struct difference_answer *b);
/* Returns the row, for who reports as it goes; NULL when there is no room. */
struct difference_row *difference_question(struct difference *d,
                                           struct span uri,
                                           const struct difference_answer *old,
                                           const struct difference_answer *now,
                                           int64_t t);
/* A question or a statement that cannot be decided. */
void difference_gap(struct difference *d, struct span what, bool is_attribute,
                    bool is_question);

/* Has this hold been seen in the old course? */
bool difference_held(const struct difference *d, struct span uri,
                     struct span rule);

/* What a rule does to this agent, or with an empty `uri` to all, is not
 * compared: a part of what it reads is missing. */
void difference_blind_rule(struct difference *d, struct span rule,
                           struct span uri);

/* Do the courses differ here? */
bool difference_differs(const struct difference *d,
                        const struct difference_row *row);

#endif
