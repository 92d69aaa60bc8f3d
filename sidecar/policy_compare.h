// SPDX-License-Identifier: Apache-2.0
/*
 * The same history under two policies, entry by entry: what differs ends in a
 * struct difference. Without an old policy the comparison is with what
 * happened, as far as the history tells it.
 *
 * What the history does not hold, because the policy of that time did not name
 * it or the agent was not read since it does, makes a rule blind: its questions
 * and statements are counted as undecidable, never guessed.
 */
#ifndef SIDECAR_POLICY_COMPARE_H
#define SIDECAR_POLICY_COMPARE_H

#include "sidecar/difference.h"

/* How far the history holds what a condition reads. */
struct sight {
    struct span gap;  /* what it lacked last; empty: never anything */
    bool lacks;       /* now */
    bool reads;       /* attributes that not every read has: */
    bool wide;        /* partial ones lack some of them */
    int64_t since_ms; /* those that started later have them */
};

struct sights {
    struct sight *rules, *gates;
};

struct compare_conf {
    const struct policy *old; /* NULL: what happened */
    const struct policy *now;
    bool log_only; /* no reads: nothing is held */
    /* Optional: a question that is answered differently. */
    void (*question)(void *ctx, const struct doc *entry,
                     const struct difference_answer *now,
                     struct difference_row *row);
    void *ctx;
};

struct compare {
    struct compare_conf conf;
    struct difference difference;
    struct replay *replay[COURSE_COUNT]; /* OLD may be NULL */
    struct sights sights[COURSE_COUNT];
    struct arena sight_arena;
    struct arena held_arena;   /* while a policy entry is looked at */
    struct mentions mentioned; /* by the filter that is looked at */
    struct arena entry;
    uint64_t entries, events, reads, skipped;
    int64_t first_ms, last_ms;
};

int compare_new(const struct compare_conf *conf, struct compare **ret,
                struct fail *f) must_use;
void compare_free(struct compare *c);

/* One line of a history. A line that cannot be understood is counted and
 * passed over; what ends the comparison is an error. */
int compare_line(struct compare *c, struct span line, struct fail *f) must_use;

#endif
