// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/lib/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static void watch(struct pump *p, int op, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = p};
    BENCH_MUST(epoll_ctl(p->epoll_fd, op, p->fd, &e) == 0);
}

void pump_open(struct pump *p, int epoll_fd, int fd)
{
    p->fd = fd;
    p->epoll_fd = epoll_fd;
    p->out_n = p->out_at = 0;
    p->waits_for_space = false;
    BENCH_MUST(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0);
    watch(p, EPOLL_CTL_ADD, EPOLLIN);
}

void pump_close(struct pump *p)
{
    nghttp2_session_del(p->session);
    (void)close(p->fd);
}

bool pump_read(struct pump *p)
{
    static uint8_t in[PUMP_BYTES];
    ssize_t n = recv(p->fd, in, sizeof in, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0)
        return false;
    return nghttp2_session_mem_recv(p->session, in, (size_t)n) == n;
}

/* Copies frames out of the session until the buffer could not take a whole
 * one more. */
static void fill(struct pump *p)
{
    const uint8_t *frame;
    ssize_t n = 1;
    p->out_at = p->out_n = 0;
    while (n > 0 && p->out_n < sizeof p->out - 20 * 1024) {
        n = nghttp2_session_mem_send(p->session, &frame);
        BENCH_MUST(n >= 0 && (size_t)n <= sizeof p->out - p->out_n);
        if (n > 0)
            memcpy(p->out + p->out_n, frame, (size_t)n);
        p->out_n += (size_t)n;
    }
}

void pump_flush(struct pump *p)
{
    for (;;) {
        if (p->out_at == p->out_n)
            fill(p);
        if (p->out_n == 0)
            break;
        ssize_t n =
            send(p->fd, p->out + p->out_at, p->out_n - p->out_at, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return; /* the reading side will see it */
        if (n < 0) {
            if (!p->waits_for_space)
                watch(p, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            p->waits_for_space = true;
            return;
        }
        p->out_at += (size_t)n;
    }
    if (p->waits_for_space)
        watch(p, EPOLL_CTL_MOD, EPOLLIN);
    p->waits_for_space = false;
}

nghttp2_nv pump_header(const char *name, const char *value)
{
    union {
        const char *in;
        uint8_t *out;
    } n = {name}, v = {value}; /* nghttp2 1.52 wants them without const */
    return (nghttp2_nv){
        n.out, v.out, strlen(name), strlen(value),
        NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}
