// SPDX-License-Identifier: Apache-2.0
/*
 * Moves bytes between a socket and an nghttp2 session, one big read and one
 * big write per turn of an epoll loop. Used on both sides.
 */
#ifndef TESTS_BENCH_LIB_PUMP_H
#define TESTS_BENCH_LIB_PUMP_H

#include <nghttp2/nghttp2.h>
#include "tests/bench/lib/bench.h"

#define PUMP_BYTES (128 * 1024)

struct pump {
    int fd, epoll_fd;
    nghttp2_session *session;
    unsigned char out[PUMP_BYTES];
    size_t out_n, out_at;
    bool waits_for_space;
};

/* Takes fd; registers with the epoll instance, with `p` as its datum. */
void pump_open(struct pump *p, int epoll_fd, int fd);
void pump_close(struct pump *p);

/* Reads what is there into the session; false when the peer has gone. */
bool pump_read(struct pump *p);

/* Writes what the session has; waits for EPOLLOUT when the socket is full. */
void pump_flush(struct pump *p);

nghttp2_nv pump_header(const char *name, const char *value);

#endif
