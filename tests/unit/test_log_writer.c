// SPDX-License-Identifier: Apache-2.0
/* The thread behind the diagnostics: order, loss, and that nobody waits. */
#include "tests/lib/check.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "sidecar/base/log_writer.h"

#define LINE_BYTES 100
#define PIPE_BYTES 4096
/* What a writer without a reader takes, give or take a piece. */
#define ROOM (LOG_WRITER_BYTES + PIPE_BYTES)

static size_t say_lost(uint64_t lost, char ret[LOG_WRITER_LOST_MAX])
{
    return (size_t)snprintf(ret, LOG_WRITER_LOST_MAX, "lost %llu\n",
                            (unsigned long long)lost);
}

/* A writer outlives its test, so each has one of its own. */
static struct log_writer writers[4];

static void start(struct log_writer *w, int ends[2])
{
    struct fail f;
    CHECK(pipe(ends) == 0);
    CHECK(fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES) >= PIPE_BYTES);
    CHECK_OK(log_writer_start(w, ends[1], say_lost, &f), &f);
}

/* "0000042.....\n" */
static void put_number(struct log_writer *w, unsigned number)
{
    char line[LINE_BYTES + 1];
    (void)snprintf(line, sizeof line, "%07u%*s\n", number, LINE_BYTES - 8, "");
    log_writer_put(w, line, LINE_BYTES);
}

struct seen {
    unsigned lines, lost, reports;
};

/* Reads until `wanted` lines have been seen or said to be lost; each must be
 * the next one. */
static struct seen read_until(int from, unsigned wanted)
{
    static char text[4 * LOG_WRITER_BYTES];
    struct seen s = {0};
    size_t n = 0, at = 0;
    while (s.lines + s.lost < wanted) {
        const ssize_t more = read(from, text + n, sizeof text - n);
        CHECK(more > 0);
        n += (size_t)more;
        for (char *end; (end = memchr(text + at, '\n', n - at)) != NULL;
             at = (size_t)(end + 1 - text)) {
            const bool lost = strncmp(text + at, "lost ", 5) == 0;
            const struct span line =
                span_of(text + at, (size_t)(end - text) - at);
            uint64_t value = 0;
            CHECK(span_u64(span_trim(span_sub(line, lost ? 5 : 0, line.n)),
                           &value));
            if (!lost)
                CHECK_UINT(value, s.lines + s.lost);
            s.lines += !lost;
            s.reports += lost;
            s.lost += lost ? (unsigned)value : 0;
        }
    }
    return s;
}

static void in_order_and_whole(void **state)
{
    (void)state;
    struct log_writer *w = &writers[0];
    int ends[2];
    start(w, ends);
    /* Several times round the queue. */
    for (unsigned round = 0; round < 8; round++) {
        for (unsigned n = 0; n < 500; n++)
            put_number(w, n);
        const struct seen s = read_until(ends[0], 500);
        CHECK_UINT(s.lines, 500);
        CHECK(log_writer_flush(w, 10000));
    }
    CHECK_UINT(log_writer_lost(w), 0);
}

static void nobody_waits(void **state)
{
    (void)state;
    struct log_writer *w = &writers[1];
    int ends[2];
    start(w, ends);
    const unsigned count = 4 * ROOM / LINE_BYTES;
    for (unsigned i = 0; i < count; i++)
        put_number(w, i); /* comes back although nobody reads */
    CHECK(!log_writer_flush(w, 20));
    const uint64_t lost = log_writer_lost(w);
    CHECK(lost > 2 * ROOM / LINE_BYTES && lost < count);
    const struct seen s = read_until(ends[0], count);
    CHECK_UINT(s.lost, lost);
    CHECK_UINT(s.reports, 1);
    CHECK(log_writer_flush(w, 10000));
    /* Afterwards it is as before. */
    put_number(w, 0);
    CHECK_UINT(read_until(ends[0], 1).lines, 1);
    CHECK_UINT(log_writer_lost(w), lost);
}

static void longer_than_the_queue(void **state)
{
    (void)state;
    static char line[LOG_WRITER_BYTES + 1];
    struct log_writer *w = &writers[2];
    int ends[2];
    memset(line, 'x', sizeof line);
    start(w, ends);
    log_writer_put(w, line, sizeof line);
    const struct seen s = read_until(ends[0], 1);
    CHECK_UINT(s.lost, 1);
}

static void reader_gone(void **state)
{
    (void)state;
    struct log_writer *w = &writers[3];
    int ends[2];
    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    start(w, ends);
    CHECK(close(ends[0]) == 0);
    put_number(w, 0);
    CHECK(log_writer_flush(w, 10000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order_and_whole),
        cmocka_unit_test(nobody_waits),
        cmocka_unit_test(longer_than_the_queue),
        cmocka_unit_test(reader_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
