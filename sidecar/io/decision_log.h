// SPDX-License-Identifier: Apache-2.0
/*
 * The decision log's one writer: assigns seq, writes lines, hashes them into an
 * RFC 6962 tree, signs C2SP checkpoints. One thread with a bounded queue; one
 * write per batch, fsync in groups.
 *
 * Files in `dir`: NNNNNNNN.jsonl (rotated by size; a line is a leaf, without
 * its LF), checkpoint (latest signed note), tree state that can be rebuilt.
 */
#ifndef SIDECAR_IO_DECISION_LOG_H
#define SIDECAR_IO_DECISION_LOG_H

#include <uv.h>
#include "sidecar/core/journal.h"

#define LOG_LINE_BYTES_MAX 65535

struct decision_log;

struct decision_log_conf {
    struct span dir;
    struct span key_file;     /* Ed25519 seed made by `bailiff init` */
    struct span origin;       /* checkpoint origin line, e.g. "bailiff/eu-1" */
    uint32_t fsync_ms;        /* 0: 50 */
    uint32_t checkpoint_ms;   /* 0: 1000 */
    uint64_t rotate_bytes;    /* 0: 64 MiB */
    uint32_t queue_bytes_max; /* 0: 16 MiB */
    /* Every append with ticket <= upto is in the file (survives kill -9). */
    void (*written)(void *ctx, uint64_t upto_ticket);
    /* ... and fsynced (survives power loss). */
    void (*synced)(void *ctx, uint64_t upto_ticket);
    /* Optional. The disk is full: lines wait until there is room again, which
     * is told with NULL. */
    void (*full)(void *ctx, const struct fail *f);
    /* Latched: the log cannot be written. */
    void (*broken)(void *ctx, const struct fail *f);
    void *ctx;
};

/* Opens the directory, verifies the tail (a torn last line is cut, a damaged
 * middle refuses with its position), rebuilds the tree. *ret_logged tells which
 * of the journal's records it has: the others must be appended again. */
int decision_log_open(const struct decision_log_conf *conf,
                      struct decision_log **ret,
                      struct journal_logged *ret_logged,
                      struct fail *f) must_use;
int decision_log_start(struct decision_log *l, uv_loop_t *loop,
                       struct fail *f) must_use;

/* Queues one record: the JSON object's members after seq, as in
 * journal_next_record: `"time":"...",...}`. `ticket` grows by any step.
 * `checkpoint` asks for a signed checkpoint after this batch. RC_LIMIT when the
 * queue is full, RC_BROKEN when latched. Copies. The thread gets the lines of
 * one turn of the loop together, before the loop sleeps. */
int decision_log_append(struct decision_log *l, uint64_t ticket,
                        struct span tail, bool checkpoint,
                        struct fail *f) must_use;

/* Blocks until what is queued is written, or as long as something is: for who
 * appends more than fits before the loop runs. */
void decision_log_drain(struct decision_log *l);

/* SIGUSR1: close and open the current file by name. */
void decision_log_reopen(struct decision_log *l);

struct decision_log_stats {
    uint64_t lines, bytes, size_signed; /* leaves covered by a checkpoint */
    uint32_t queued_bytes;
    bool broken;
};
void decision_log_stats_get(struct decision_log *l,
                            struct decision_log_stats *ret);

/* Writes, syncs, signs a last checkpoint, closes; done once, then freed. */
void decision_log_close(struct decision_log *l, void (*done)(void *ctx),
                        void *ctx);
void decision_log_free(struct decision_log *l); /* never started */

#endif
