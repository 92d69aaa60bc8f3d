// SPDX-License-Identifier: Apache-2.0
/*
 * Policies that were in force, in the data directory:
 *
 *   policies/<sha256>.yaml   every text that became active, mode 0600
 *   policies/history.jsonl   what became active or was refused, oldest first
 *
 * Both are bounded. A text is durable before its policy decides anything, so
 * that every digest in the decision log can be looked up. The decision log is
 * the proof; this is the memory that `bailiff policy history` and `rollback`
 * work with. Blocking: for start-up, worker threads and tools.
 */
#ifndef SIDECAR_IO_POLICY_SHELF_H
#define SIDECAR_IO_POLICY_SHELF_H

#include "sidecar/base/fail.h"
#include "sidecar/base/json_out.h"
#include "sidecar/base/mem.h"

#define POLICY_SHELF_TEXTS_MAX 64
#define POLICY_SHELF_BYTES_MAX (32 * 1024 * 1024)
#define POLICY_HISTORY_MAX 256
#define POLICY_HISTORY_BYTES_MAX (1024 * 1024)
#define POLICY_DIGEST_HEX 64

enum policy_outcome { POLICY_ACTIVE, POLICY_RENEWED, POLICY_REFUSED };

struct policy_entry {
    int64_t wall_ms;
    enum policy_outcome outcome;
    bool audit;
    uint64_t serial;                    /* 0: not signed */
    char digest[POLICY_DIGEST_HEX + 1]; /* "": the file could not be read */
    char person[72];                    /* "": nobody asked for it */
    char why[FAIL_TEXT_MAX];            /* refused: the error */
};

struct policy_history {
    struct policy_entry at[POLICY_HISTORY_MAX]; /* oldest first */
    unsigned count;
};

const char *policy_outcome_word(enum policy_outcome o);

/* Drops the oldest when full. */
void policy_history_add(struct policy_history *h, const struct policy_entry *e);

/* The members of one entry, into the map that is open. */
void policy_history_show(const struct policy_entry *e, struct json_out *j);

/* What is there; a line that cannot be read is left out. No file: nothing. */
int policy_history_load(struct span data_dir, struct policy_history *ret,
                        struct fail *f) must_use;
int policy_history_save(struct span data_dir, const struct policy_history *h,
                        struct fail *f) must_use;

/* Keeps a text under its digest, durably, and drops the oldest beyond the
 * bounds, but never `also`, the digest of the policy that is in force. */
int policy_shelf_keep(struct span data_dir, const char *digest,
                      struct span text, const char *also,
                      struct fail *f) must_use;

/* RC_UNKNOWN_NAME when it is not kept, RC_BROKEN when it does not fit its
 * digest. The caller releases ret->p. */
int policy_shelf_read(struct mem *m, struct span data_dir, const char *digest,
                      struct span *ret, struct fail *f) must_use;

#endif
