// SPDX-License-Identifier: Apache-2.0
/*
 * The past once more, under another policy: an engine of its own is given the
 * entries of a history in order, on a clock that follows their times. Reads
 * are answered by what was found at that time; what nobody read is not
 * guessed: such a read stays open, and who waits for it is `undecided`. The
 * store and the log confirm at once, so do all targets of actions.
 *
 * Running calls are not part of a history: a cancellation counts whatever it
 * would have reached.
 */
#ifndef SIDECAR_REPLAY_H
#define SIDECAR_REPLAY_H

#include "policy/policy.h"
#include "sidecar/core/reason.h"
#include "sidecar/history_record.h"

#define REPLAY_BYTES_MAX (1024u * 1024 * 1024) /* of one replay */
#define REPLAY_SUBJECTS_MAX 1000000
#define REPLAY_STEPS_MAX 100000 /* that one entry may cause */

struct replay;

struct replay_conf {
    const struct policy *policy; /* borrowed */
    struct mem *mem;
    size_t bytes_max; /* 0: REPLAY_BYTES_MAX */
    /* What the policy did, at wall time `t`; spans live during the call. */
    void (*effect)(void *ctx, const struct effect *e, int64_t t);
    void *ctx;
};

/* How a question was answered. */
struct replay_answer {
    bool allow;
    bool undecided; /* the history does not say what a read would have found */
    enum reason reason;
    struct span rule; /* until the next entry */
};

/* The latest read of a resource. */
struct replay_read {
    int64_t started_ms; /* wall */
    bool partial;       /* it did not ask for all that was named then */
};

int replay_new(const struct replay_conf *conf, struct replay **ret,
               struct fail *f) must_use;
void replay_free(struct replay *r);

/* One entry as a tree, borrowed. 1 and the answer when it was a question, else
 * 0. RC_SYNTAX for an entry that cannot be understood (it is passed over, the
 * next may follow), other codes end the replay: RC_LIMIT beyond its bytes or
 * the steps of one entry. */
int replay_entry(struct replay *r, const struct doc *entry,
                 struct replay_answer *ret, struct fail *f) must_use;

/* Of the resource that the entry is about. False: none so far. */
bool replay_last_read(struct replay *r, const struct doc *entry,
                      struct replay_read *ret);

#endif
