// SPDX-License-Identifier: Apache-2.0
/* Start-up of the decision log's writer: what is on disk becomes a state to go
 * on from, or a refusal that names file and line. */
#ifndef SIDECAR_IO_DECISION_LOG_OPEN_H
#define SIDECAR_IO_DECISION_LOG_OPEN_H

#include "sidecar/io/checkpoint.h"
#include "sidecar/io/decision_log_files.h"
#include "sidecar/io/tree_hash.h"

/* What log_recover leaves: a file open for appending, its lines synced. */
struct log_tail {
    struct log_state state;
    uint64_t signed_size; /* of the checkpoint on disk */
    int fd;               /* -1: no file yet */
};

/* Reads the directory, cuts a torn last line, checks numbers and the signed
 * checkpoint of `key`. */
int log_recover(struct span dir, const struct note_key *key,
                struct log_tail *ret, struct fail *f) must_use;

#endif
