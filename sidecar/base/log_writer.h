// SPDX-License-Identifier: Apache-2.0
/*
 * The thread behind the diagnostics of the running sidecar. Lines go to a
 * bounded queue and from there to the descriptor, so that nobody but this
 * thread ever waits for whoever reads it. When the queue is full lines are
 * lost and counted; once half of it is free again, a line says how many.
 *
 * The descriptor stays a blocking one: O_NONBLOCK would be set for everybody
 * who shares standard error with us.
 */
#ifndef SIDECAR_BASE_LOG_WRITER_H
#define SIDECAR_BASE_LOG_WRITER_H

#include <pthread.h>
#include <stdint.h>
#include "sidecar/base/fail.h"

#define LOG_WRITER_BYTES (128 * 1024) /* a dumped ring fits in */
#define LOG_WRITER_PIECE 4096         /* at most in one write() */
#define LOG_WRITER_LOST_MAX 256       /* bytes of the line about lost ones */

/* Writes the line that says that `lost` lines were lost; returns its length.
 * Runs on the thread. */
typedef size_t (*log_lost_fn)(uint64_t lost, char ret[LOG_WRITER_LOST_MAX]);

/* All of it is private. It must live as long as the process: a thread that
 * waits for a reader cannot be told to end. */
struct log_writer {
    pthread_mutex_t lock; /* what follows, except `unwritten` */
    pthread_cond_t wake;
    int fd;
    log_lost_fn say_lost;
    uint64_t lost;     /* not yet said */
    uint64_t lost_all; /* since the start */
    size_t start, n;   /* of the queue in `bytes` */
    _Atomic bool unwritten;
    char bytes[LOG_WRITER_BYTES];
};

/* Starts the thread, which blocks all signals. `w` is zeroed memory. */
int log_writer_start(struct log_writer *w, int fd, log_lost_fn say_lost,
                     struct fail *f) must_use;

/* Queues a whole line, or counts it as lost. Never waits for the reader. */
void log_writer_put(struct log_writer *w, const char *p, size_t n);

/* Waits until all is written, at most `ms`; false when it is not. Takes no
 * lock, so that it may be called while the process dies. */
bool log_writer_flush(const struct log_writer *w, unsigned ms);

/* Lines lost since the start. */
uint64_t log_writer_lost(struct log_writer *w);

#endif
