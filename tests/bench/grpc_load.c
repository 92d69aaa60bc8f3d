// SPDX-License-Identifier: Apache-2.0
/* grpc_load ADDRESS CONNECTIONS STREAMS MS AGENTS BEARER [CALLS]: asks
 * bailiff.v1.AgentGate/Check in a closed loop: each of CONNECTIONS x STREAMS
 * questions in flight is followed by the next one as soon as it is answered.
 * Agents /Agents/0.. take turns. Prints rate, latency, and what was answered;
 * half a second of warm-up is not counted. With MS = 0 each agent is asked
 * about once and everything is counted; with CALLS as well, so many calls of
 * theirs are begun (AgentGate/BeginToolCall) and never ended. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "tests/bench/lib/pump.h"

#define EVENTS_MAX 64
#define WARM_UP_NS 500000000U
#define DRAIN_NS 2000000000U
#define ONCE_NS 30000000000U
#define QUESTION_MAX 192
#define ANSWER_MAX 1024

struct conn {
    struct pump pump; /* first: the epoll datum is the pump */
    struct load *load;
    unsigned in_flight;
};

struct question {
    struct conn *conn;
    uint64_t start_ns;
    unsigned char bytes[QUESTION_MAX];
    size_t n;
    unsigned char answer[ANSWER_MAX];
    size_t answer_n;
    bool status_ok;
};

struct load {
    nghttp2_session_callbacks *callbacks;
    int epoll_fd;
    char authorization[128];
    bool once, begin;
    uint64_t questions; /* with `once` */
    uint64_t agents, next_agent, from_ns, until_ns, now_ns;
    uint64_t asked, allowed, denied, errors, in_flight;
    struct bench_samples samples;
};

/* A field of protobuf's wire format; lengths < 128. */
static unsigned char *put_text(unsigned char *p, unsigned field,
                               const char *text)
{
    size_t n = strlen(text);
    *p++ = (unsigned char)(field << 3 | 2);
    *p++ = (unsigned char)n;
    memcpy(p, text, n);
    return p + n;
}

/* CheckRequest or BeginToolCallRequest, in a gRPC frame. */
static void write_question(struct question *q, const struct load *l)
{
    char uri[48], call_id[32];
    unsigned char *p = q->bytes + 5;
    int n = snprintf(uri, sizeof uri, "/Agents/%llu",
                     (unsigned long long)(l->next_agent % l->agents));
    *p++ = 0x0a; /* AgentRef */
    *p++ = (unsigned char)(n + 2);
    p = put_text(p, 1, uri);
    p = put_text(p, 2, "kb.search");
    if (l->begin) {
        (void)snprintf(call_id, sizeof call_id, "call-%010llu",
                       (unsigned long long)l->next_agent);
        p = put_text(p, 3, call_id);
        p = put_text(p, 4, "run-0123456789");
        p = put_text(p, 6, "worker-1");
    }
    q->n = (size_t)(p - q->bytes);
    memset(q->bytes, 0, 5);
    q->bytes[4] = (unsigned char)(q->n - 5);
}

static ssize_t read_question(nghttp2_session *s, int32_t id, uint8_t *buf,
                             size_t n, uint32_t *flags,
                             nghttp2_data_source *source, void *user)
{
    (void)s;
    (void)id;
    (void)user;
    const struct question *q = source->ptr;
    BENCH_MUST(n >= q->n);
    memcpy(buf, q->bytes, q->n);
    *flags = NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)q->n;
}

static void ask(struct conn *c)
{
    struct load *l = c->load;
    struct question *q = calloc(1, sizeof *q);
    BENCH_MUST(q != NULL);
    q->conn = c;
    q->start_ns = l->now_ns;
    write_question(q, l);
    l->next_agent++;
    const nghttp2_nv headers[] = {
        pump_header(":method", "POST"),
        pump_header(":scheme", "http"),
        pump_header(":path", l->begin ? "/bailiff.v1.AgentGate/BeginToolCall"
                                      : "/bailiff.v1.AgentGate/Check"),
        pump_header(":authority", "localhost"),
        pump_header("te", "trailers"),
        pump_header("content-type", "application/grpc"),
        pump_header("authorization", l->authorization),
    };
    nghttp2_data_provider provider = {.source.ptr = q,
                                      .read_callback = read_question};
    BENCH_MUST(nghttp2_submit_request(c->pump.session, NULL, headers, 7,
                                      &provider, q) > 0);
    c->in_flight++;
    l->in_flight++;
}

static int on_header(nghttp2_session *s, const nghttp2_frame *f,
                     const uint8_t *name, size_t name_n, const uint8_t *value,
                     size_t value_n, uint8_t flags, void *user)
{
    (void)flags;
    (void)user;
    struct question *q =
        nghttp2_session_get_stream_user_data(s, f->hd.stream_id);
    if (q != NULL && span_eq(span_of(name, name_n), SPAN("grpc-status")))
        q->status_ok = span_eq(span_of(value, value_n), SPAN("0"));
    return 0;
}

static int on_data(nghttp2_session *s, uint8_t flags, int32_t id,
                   const uint8_t *p, size_t n, void *user)
{
    (void)flags;
    (void)user;
    struct question *q = nghttp2_session_get_stream_user_data(s, id);
    BENCH_MUST(q != NULL && n <= sizeof q->answer - q->answer_n);
    memcpy(q->answer + q->answer_n, p, n);
    q->answer_n += n;
    return 0;
}

/* CheckResponse.decision is field 1; bailiff writes it first when set. */
static void count_answer(struct load *l, const struct question *q)
{
    bool counted =
        l->once || (q->start_ns >= l->from_ns && l->now_ns <= l->until_ns);
    if (!q->status_ok || q->answer_n < 5) {
        l->errors++;
    } else if (counted) {
        bool allow =
            q->answer_n >= 7 && q->answer[5] == 0x08 && q->answer[6] == 1;
        l->asked++;
        l->allowed += allow;
        l->denied += !allow;
        bench_sample(&l->samples, l->now_ns - q->start_ns);
    }
}

static int on_close(nghttp2_session *s, int32_t id, uint32_t code, void *user)
{
    (void)code;
    (void)user;
    struct question *q = nghttp2_session_get_stream_user_data(s, id);
    struct conn *c = q->conn;
    struct load *l = c->load;
    l->now_ns = bench_now_ns();
    count_answer(l, q);
    free(q);
    c->in_flight--;
    l->in_flight--;
    bool more =
        l->once ? l->next_agent < l->questions : l->now_ns < l->until_ns;
    if (more && l->errors < 1000)
        ask(c);
    return 0;
}

static void open_conn(struct load *l, const char *address, unsigned streams)
{
    struct conn *c = calloc(1, sizeof *c);
    BENCH_MUST(c != NULL);
    c->load = l;
    BENCH_MUST(nghttp2_session_client_new(&c->pump.session, l->callbacks, c) ==
               0);
    BENCH_MUST(nghttp2_submit_settings(c->pump.session, 0, NULL, 0) == 0);
    pump_open(&c->pump, l->epoll_fd, bench_connect(address));
    for (unsigned i = 0;
         i < streams && (!l->once || l->next_agent < l->questions); i++)
        ask(c);
    pump_flush(&c->pump);
}

static void set_callbacks(struct load *l)
{
    BENCH_MUST(nghttp2_session_callbacks_new(&l->callbacks) == 0);
    nghttp2_session_callbacks_set_on_header_callback(l->callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(l->callbacks,
                                                              on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(l->callbacks,
                                                           on_close);
}

static void run(struct load *l)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t end = l->until_ns + (l->once ? ONCE_NS : DRAIN_NS);
    while (l->in_flight > 0 && bench_now_ns() < end) {
        int count = epoll_wait(l->epoll_fd, events, EVENTS_MAX, 100);
        for (int i = 0; i < count; i++) {
            struct pump *p = events[i].data.ptr;
            if ((events[i].events & ~(uint32_t)EPOLLOUT) != 0 && !pump_read(p))
                bench_die("the server closed a connection");
            pump_flush(p);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 7 && argc != 8)
        bench_die(
            "usage: grpc_load ADDRESS CONNECTIONS STREAMS MS AGENTS "
            "BEARER [CALLS]");
    static struct load l;
    unsigned connections = (unsigned)bench_number(argv[2]);
    uint64_t run_ns = bench_number(argv[4]) * 1000000U;
    int n =
        snprintf(l.authorization, sizeof l.authorization, "Bearer %s", argv[6]);
    BENCH_MUST(n > 0 && (size_t)n < sizeof l.authorization);
    set_callbacks(&l);
    l.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l.agents = bench_number(argv[5]);
    l.once = run_ns == 0;
    l.begin = argc == 8;
    l.questions = l.begin ? bench_number(argv[7]) : l.agents;
    BENCH_MUST(l.agents > 0 && connections > 0);
    l.now_ns = bench_now_ns();
    l.from_ns = l.now_ns + WARM_UP_NS;
    l.until_ns = l.from_ns + run_ns;
    for (unsigned i = 0; i < connections; i++)
        open_conn(&l, argv[1], (unsigned)bench_number(argv[3]));
    run(&l);
    l.errors += l.in_flight;
    (void)printf(
        "questions/s %.0f\np50_us %u\np99_us %u\nallowed %llu\n"
        "denied %llu\nerrors %llu\n",
        l.once ? 0.0 : (double)l.asked * 1e9 / (double)run_ns,
        bench_percentile(&l.samples, 500), bench_percentile(&l.samples, 990),
        (unsigned long long)l.allowed, (unsigned long long)l.denied,
        (unsigned long long)l.errors);
    return l.errors == 0 ? 0 : 1;
}
