// SPDX-License-Identifier: Apache-2.0
#include "sidecar/base/log_writer.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FLUSH_STEP_MS 2

static void append(struct log_writer *w, const char *p, size_t n)
{
    const size_t end = (w->start + w->n) % LOG_WRITER_BYTES;
    const size_t straight =
        n < LOG_WRITER_BYTES - end ? n : LOG_WRITER_BYTES - end;
    memcpy(w->bytes + end, p, straight);
    memcpy(w->bytes, p + straight, n - straight);
    w->n += n;
}

void log_writer_put(struct log_writer *w, const char *p, size_t n)
{
    (void)pthread_mutex_lock(&w->lock);
    /* After a loss nothing goes in before the line that says so. */
    if (w->lost > 0 || n > LOG_WRITER_BYTES - w->n) {
        w->lost++;
        w->lost_all++;
    } else {
        append(w, p, n);
    }
    atomic_store(&w->unwritten, true);
    (void)pthread_cond_signal(&w->wake);
    (void)pthread_mutex_unlock(&w->lock);
}

static void say_lost(struct log_writer *w)
{
    char line[LOG_WRITER_LOST_MAX];
    if (w->lost == 0 || w->n > LOG_WRITER_BYTES / 2)
        return;
    append(w, line, w->say_lost(w->lost, line));
    w->lost = 0;
}

/* What the descriptor takes of it now; 0 when it takes nothing, ever. */
static size_t write_some(int fd, const char *p, size_t n)
{
    for (;;) {
        const ssize_t done = write(fd, p, n);
        if (done > 0)
            return (size_t)done;
        if (done < 0 && errno == EAGAIN) { /* somebody else's O_NONBLOCK */
            struct pollfd room = {.fd = fd, .events = POLLOUT};
            (void)poll(&room, 1, -1);
        } else if (done == 0 || errno != EINTR) {
            return 0;
        }
    }
}

/* The space of a piece is given back when it is written, so it is written from
 * where it is, without the lock. */
static void write_piece(struct log_writer *w)
{
    size_t n = w->n < LOG_WRITER_PIECE ? w->n : LOG_WRITER_PIECE;
    if (n > LOG_WRITER_BYTES - w->start)
        n = LOG_WRITER_BYTES - w->start;
    (void)pthread_mutex_unlock(&w->lock);
    const size_t done = write_some(w->fd, w->bytes + w->start, n);
    (void)pthread_mutex_lock(&w->lock);
    const size_t gone = done > 0 ? done : n; /* nowhere left to complain to */
    w->n -= gone;
    /* An empty queue begins in front, so that few of its pages are used. */
    w->start = w->n == 0 ? 0 : (w->start + gone) % LOG_WRITER_BYTES;
}

static void *run(void *ctx)
{
    struct log_writer *w = ctx;
    (void)pthread_mutex_lock(&w->lock);
    for (;;) {
        say_lost(w);
        if (w->n > 0) {
            write_piece(w);
            continue;
        }
        atomic_store(&w->unwritten, false);
        (void)pthread_cond_wait(&w->wake, &w->lock);
    }
    return NULL;
}

int log_writer_start(struct log_writer *w, int fd, log_lost_fn lost,
                     struct fail *f)
{
    pthread_t thread;
    sigset_t all, before;
    w->fd = fd;
    w->say_lost = lost;
    must(pthread_mutex_init(&w->lock, NULL) == 0);
    must(pthread_cond_init(&w->wake, NULL) == 0);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    const int rc = pthread_create(&thread, NULL, run, w);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return fail(f, RC_LIMIT, "thread of the diagnostics: %s", strerror(rc));
    (void)pthread_detach(thread);
    return 0;
}

bool log_writer_flush(const struct log_writer *w, unsigned ms)
{
    const struct timespec step = {.tv_nsec = FLUSH_STEP_MS * 1000000L};
    for (unsigned waited = 0; atomic_load(&w->unwritten);
         waited += FLUSH_STEP_MS) {
        if (waited >= ms)
            return false;
        (void)nanosleep(&step, NULL);
    }
    return true;
}

uint64_t log_writer_lost(struct log_writer *w)
{
    (void)pthread_mutex_lock(&w->lock);
    const uint64_t n = w->lost_all;
    (void)pthread_mutex_unlock(&w->lock);
    return n;
}
