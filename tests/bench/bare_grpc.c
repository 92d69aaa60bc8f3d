// SPDX-License-Identifier: Apache-2.0
/* bare_grpc ADDRESS BYTES: the limit for a gRPC server on nghttp2. It answers
 * every request with the same message of BYTES bytes and decides nothing.
 * Prints "ready" and runs until it is killed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "tests/bench/lib/pump.h"

#define EVENTS_MAX 64
#define ANSWER_MAX 4096

static unsigned char answer[5 + ANSWER_MAX];
static size_t answer_n;

static ssize_t read_answer(nghttp2_session *s, int32_t id, uint8_t *buf,
                           size_t n, uint32_t *flags,
                           nghttp2_data_source *source, void *user)
{
    (void)source;
    (void)user;
    const nghttp2_nv trailer = pump_header("grpc-status", "0");
    BENCH_MUST(n >= answer_n);
    memcpy(buf, answer, answer_n);
    *flags = NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    BENCH_MUST(nghttp2_submit_trailer(s, id, &trailer, 1) == 0);
    return (ssize_t)answer_n;
}

static int on_frame(nghttp2_session *s, const nghttp2_frame *f, void *user)
{
    (void)user;
    bool request = f->hd.type == NGHTTP2_DATA || f->hd.type == NGHTTP2_HEADERS;
    if (!request || (f->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
        return 0;
    const nghttp2_nv headers[] = {
        pump_header(":status", "200"),
        pump_header("content-type", "application/grpc"),
    };
    nghttp2_data_provider provider = {.read_callback = read_answer};
    return nghttp2_submit_response(s, f->hd.stream_id, headers, 2, &provider);
}

static void accept_one(int listener, int epoll_fd,
                       nghttp2_session_callbacks *callbacks)
{
    int fd = accept(listener, NULL, NULL);
    if (fd < 0)
        return;
    struct pump *p = calloc(1, sizeof *p);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1000},
    };
    BENCH_MUST(p != NULL);
    BENCH_MUST(nghttp2_session_server_new(&p->session, callbacks, p) == 0);
    BENCH_MUST(nghttp2_submit_settings(p->session, 0, settings, 1) == 0);
    pump_open(p, epoll_fd, fd);
    pump_flush(p);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        bench_die("usage: bare_grpc ADDRESS BYTES");
    size_t n = (size_t)bench_number(argv[2]);
    BENCH_MUST(n >= 2 && n <= ANSWER_MAX);
    answer[3] = (unsigned char)(n >> 8);
    answer[4] = (unsigned char)n;
    answer[5] = 0x08; /* decision: allow, as the real server's answer begins */
    answer[6] = 1;
    answer_n = 5 + n;
    nghttp2_session_callbacks *callbacks;
    BENCH_MUST(nghttp2_session_callbacks_new(&callbacks) == 0);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    int listener = bench_listen(argv[1]);
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN}, events[EVENTS_MAX];
    BENCH_MUST(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &e) == 0);
    (void)puts("ready");
    (void)fflush(stdout);
    for (;;) {
        int count = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            struct pump *p = events[i].data.ptr;
            if (p == NULL) {
                accept_one(listener, epoll_fd, callbacks);
            } else if ((events[i].events & (EPOLLIN | EPOLLHUP)) != 0 &&
                       !pump_read(p)) {
                pump_close(p);
                free(p);
            } else {
                pump_flush(p);
            }
        }
    }
}
