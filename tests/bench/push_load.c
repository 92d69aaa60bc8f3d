// SPDX-License-Identifier: Apache-2.0
/* push_load ADDRESS PATH ALG COUNT CONNECTIONS AGENTS JWKS BEARER: signs COUNT
 * distinct security event tokens up front, writes the public key to JWKS,
 * prints "signed", waits for a line on stdin, then pushes them (RFC 8935) over
 * CONNECTIONS keep-alive connections, each with one token in flight. The
 * issuer is https://bench.invalid, the audience https://bailiff.invalid. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/lib/bench.h"

#define CONNECTIONS_MAX 256
#define REQUEST_MAX 4096
#define ANSWER_MAX 4096

struct job {
    const char *address, *path, *bearer;
    char **tokens;
    uint64_t count;
    atomic_uint_fast64_t next;
};

struct pusher {
    struct job *job;
    pthread_t thread;
    struct bench_samples samples;
    uint64_t accepted, refused;
    unsigned odd_status; /* the last one that was not 202 */
};

static char *make_token(EVP_PKEY *key, enum bench_alg alg, uint64_t i,
                        uint64_t agents)
{
    char payload[640];
    (void)snprintf(
        payload, sizeof payload,
        "{\"iss\":\"https://bench.invalid\",\"aud\":\"https://bailiff.invalid\""
        ",\"iat\":%lld,\"jti\":\"bench-%d-%llu\",\"txn\":\"t-%llu\","
        "\"sub_id\":{\"format\":\"scim\",\"uri\":\"/Agents/%llu\"},"
        "\"events\":{\"urn:ietf:params:scim:event:prov:patch:notice\":"
        "{\"attributes\":[\"displayName\"]}}}",
        (long long)time(NULL), (int)getpid(), (unsigned long long)i,
        (unsigned long long)i, (unsigned long long)(i % agents));
    return bench_jws(key, alg, payload);
}

static void send_token(const struct job *j, int fd, const char *token)
{
    char request[REQUEST_MAX];
    int n = snprintf(request, sizeof request,
                     "POST %s HTTP/1.1\r\nHost: localhost\r\n"
                     "Content-Type: application/secevent+jwt\r\n"
                     "Accept: application/json\r\n"
                     "Authorization: Bearer %s\r\n"
                     "Content-Length: %zu\r\n\r\n%s",
                     j->path, j->bearer, strlen(token), token);
    BENCH_MUST(n > 0 && (size_t)n < sizeof request);
    BENCH_MUST(send(fd, request, (size_t)n, MSG_NOSIGNAL) == n);
}

/* Length of the whole answer once its head is there, else 0. */
static size_t answer_length(const char *text)
{
    const char *end = strstr(text, "\r\n\r\n");
    if (end == NULL)
        return 0;
    const char *length = strcasestr(text, "\r\ncontent-length:");
    uint64_t body = 0;
    if (length != NULL && length < end) {
        struct span line = span_str(length + 17);
        line = span_sub(line, 0, span_find(line, '\r', 0));
        BENCH_MUST(span_u64(span_trim(line), &body));
    }
    return (size_t)(end - text) + 4 + (size_t)body;
}

static unsigned read_answer(int fd)
{
    char text[ANSWER_MAX + 1];
    size_t n = 0, want = 0;
    uint64_t status;
    while (want == 0 || n < want) {
        ssize_t got = recv(fd, text + n, ANSWER_MAX - n, 0);
        if (got <= 0)
            bench_die("the server closed a connection");
        n += (size_t)got;
        text[n] = 0;
        want = answer_length(text);
        BENCH_MUST(want <= ANSWER_MAX);
    }
    BENCH_MUST(n > 12 && span_u64(span_of(text + 9, 3), &status));
    return (unsigned)status;
}

static void *push(void *arg)
{
    struct pusher *p = arg;
    int fd = bench_connect(p->job->address);
    for (;;) {
        uint64_t i = atomic_fetch_add(&p->job->next, 1);
        if (i >= p->job->count)
            break;
        uint64_t start = bench_now_ns();
        send_token(p->job, fd, p->job->tokens[i]);
        unsigned status = read_answer(fd);
        bench_sample(&p->samples, bench_now_ns() - start);
        if (status == 202) {
            p->accepted++;
        } else {
            p->refused++;
            p->odd_status = status;
        }
    }
    (void)close(fd);
    return NULL;
}

static struct pusher pushers[CONNECTIONS_MAX];

static void run(struct job *j, unsigned connections)
{
    uint64_t start = bench_now_ns(), accepted = 0, refused = 0;
    struct bench_samples all = {0};
    unsigned odd_status = 0;
    for (unsigned i = 0; i < connections; i++) {
        pushers[i].job = j;
        BENCH_MUST(
            pthread_create(&pushers[i].thread, NULL, push, &pushers[i]) == 0);
    }
    for (unsigned i = 0; i < connections; i++) {
        const struct pusher *p = &pushers[i];
        BENCH_MUST(pthread_join(p->thread, NULL) == 0);
        accepted += p->accepted;
        refused += p->refused;
        odd_status = p->odd_status != 0 ? p->odd_status : odd_status;
        for (size_t k = 0; k < p->samples.n; k++)
            bench_sample(&all, (uint64_t)p->samples.us[k] * 1000);
    }
    double seconds = (double)(bench_now_ns() - start) / 1e9;
    (void)printf(
        "SETs/s %.0f\np50_us %u\np99_us %u\naccepted %llu\n"
        "refused %llu\nodd_status %u\n",
        (double)accepted / seconds, bench_percentile(&all, 500),
        bench_percentile(&all, 990), (unsigned long long)accepted,
        (unsigned long long)refused, odd_status);
}

int main(int argc, char **argv)
{
    if (argc != 9)
        bench_die(
            "usage: push_load ADDRESS PATH ALG COUNT CONNECTIONS "
            "AGENTS JWKS BEARER");
    enum bench_alg alg = bench_alg(argv[3]);
    struct job job = {.address = argv[1],
                      .path = argv[2],
                      .bearer = argv[8],
                      .count = bench_number(argv[4])};
    uint64_t connections = bench_number(argv[5]);
    uint64_t agents = bench_number(argv[6]);
    BENCH_MUST(connections > 0 && connections <= CONNECTIONS_MAX);
    BENCH_MUST(agents > 0 && job.count > 0);
    EVP_PKEY *key = bench_key(alg);
    bench_write_jwks(key, alg, argv[7]);
    job.tokens = calloc(job.count, sizeof job.tokens[0]);
    BENCH_MUST(job.tokens != NULL);
    for (uint64_t i = 0; i < job.count; i++)
        job.tokens[i] = make_token(key, alg, i, agents);
    (void)puts("signed");
    (void)fflush(stdout);
    (void)getchar();
    run(&job, (unsigned)connections);
    return 0;
}
