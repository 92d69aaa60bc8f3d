// SPDX-License-Identifier: Apache-2.0
/*
 * Jobs: one durable, retried execution of an action against one target. A job
 * ends confirmed, refused, failed (its deadline passed unconfirmed) or
 * abandoned (by an operator); "0 of 0" ends as nothing_registered and is never
 * called confirmed. Jobs keep the action they were created with.
 *
 * An open job is in one place: `unstored` (its row is not on disk yet), asleep
 * (waiting for its next attempt or its deadline), waiting in its lane, running,
 * or withheld by a limit: then it has no deadline and no lane until an operator
 * lets it go. sidecar/core/engine_dispatch.c moves it.
 */
#ifndef SIDECAR_CORE_JOB_H
#define SIDECAR_CORE_JOB_H

#include "sidecar/core/call.h"
#include "sidecar/core/lane.h"

#define JOB_TARGETS_MAX 4096
#define JOB_BYTES_MAX (512 * 1024)
#define JOB_BACKOFF_FIRST_MS 250
#define JOB_BACKOFF_MAX_MS 30000
#define JOB_ATTEMPT_TIMEOUT_MS 10000
#define JOBS_ENDED_KEPT 256

#define JOB_STATE_MAP(X)                                                       \
    X(PENDING, "pending")                                                      \
    X(RUNNING, "running")                                                      \
    X(CONFIRMED, "confirmed")                                                  \
    X(REFUSED, "refused")                                                      \
    X(FAILED, "failed")                                                        \
    X(ABANDONED, "abandoned")                                                  \
    X(NOTHING, "nothing_registered")                                           \
    X(WITHHELD, "withheld")

enum job_state {
#define X(id, word) JOB_##id,
    JOB_STATE_MAP(X)
#undef X
        JOB_STATE_COUNT
};
const char *job_state_word(enum job_state s);

/* One call of a cancel job. */
struct job_target {
    struct span call_id;
    enum call_outcome outcome;
    bool settled; /* ended or cancelled for sure */
};

struct job {
    struct map_link link; /* key: the id's 8 bytes, inside */
    unsigned char key_bytes[8];
    struct list_link state_link; /* in jobs->open or jobs->ended */
    struct list_link agent_link; /* in subject->jobs while open */
    struct list_link queue_link; /* in jobs->unstored or in its lane */
    struct heap_link due;        /* in jobs->due: next attempt or deadline */
    struct lane *lane;           /* NULL: nobody is called for it */
    uint64_t id, row, end_row;   /* journal rows that made and ended it */
    enum job_kind kind;
    enum job_state state, ended_from;
    struct subject *agent;
    unsigned attempts;
    bool in_flight;
    bool no_memory; /* a text could not be copied */
    int64_t next_ms, deadline_ms, deadline_wall_ms, created_wall_ms, created_ms;
    int64_t within_ms; /* WITHHELD: from its start to its deadline */
    uint64_t epoch;
    struct arena arena; /* everything below */
    struct span rule, jti, feed, key, target, last_error;
    enum reason withheld; /* why it was, as a code; not kept over a restart */
    struct span why; /* in words, where the rule does not say it; or empty */
    enum event_type event;
    struct names otherwise;     /* action names */
    struct job_target *targets; /* CANCEL */
    unsigned target_count, settled_count;
    struct names purge;      /* PURGE */
    struct span runtime_key; /* CANCEL, PURGE: caller NUL runtime */
    struct span credential_id, issuer, sealed; /* REVOKE */
    bool refresh;
    struct policy_action action; /* ACTION */
};

struct jobs {
    struct mem *mem;
    struct map by_id;
    struct list open, ended; /* open: in the order of their rows */
    struct list unstored;
    struct heap due;
    struct lanes lanes;
    unsigned open_count, ended_count;
    unsigned withheld_count; /* of the open ones */
    size_t max;
    uint64_t confirmed, failed;
};

void jobs_init(struct jobs *t, struct mem *m, struct hash_key seed, size_t max);
void jobs_fini(struct jobs *t);
struct job *job_find(const struct jobs *t, uint64_t id);

/* A new empty open job. RC_LIMIT, RC_NO_MEMORY. */
int job_new(struct jobs *t, uint64_t id, enum job_kind kind,
            struct subject *agent, struct job **ret) must_use;

/* Has it not ended? */
bool job_is_open(const struct job *j);

/* No room for another withheld one: they must not keep others from running. */
bool jobs_withheld_full(const struct jobs *t);
/* A new job becomes a withheld one, and a withheld one becomes pending. */
void job_withhold(struct jobs *t, struct job *j);
void job_let_go(struct jobs *t, struct job *j);

/* Copies into the job's arena; p NULL and j->no_memory when that is out. */
struct span job_text(struct job *j, struct span s);
int job_names(struct job *j, struct names n, struct names *ret) must_use;
int job_action(struct job *j, const struct policy_action *a) must_use;

/* Moves an open job to its end state and keeps it among the last ended. */
void job_end(struct jobs *t, struct job *j, enum job_state state);
/* The row that ended it was never written: it has not ended. */
void job_reopen(struct jobs *t, struct job *j, int64_t next_ms);
void job_drop(struct jobs *t, struct job *j);

/* Open jobs in the order in which they were made, whatever the order in which
 * they came back from the store: the oldest is served first. RC_NO_MEMORY. */
int jobs_sort(struct jobs *t) must_use;

/* Delay before the next attempt: exponential with full jitter. */
int64_t job_backoff_ms(unsigned attempts, uint64_t random);

void job_encode(const struct job *j, struct buf *out);
/* Fills a job made by job_new from its fact value; the subject's base url and
 * uri are in it. RC_BROKEN, RC_NO_MEMORY. */
struct job_where {
    struct span base_url, uri;
    enum job_kind kind;
};
/* First pass: who and what, so that the caller can find the subject. */
int job_peek(struct span value, struct job_where *ret) must_use;
int job_decode(struct jobs *t, struct job *j, struct span value) must_use;

#endif
