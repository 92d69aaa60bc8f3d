// SPDX-License-Identifier: Apache-2.0
/* raw_append FILE LINES SECONDS: appends batches of LINES log lines, each batch
 * followed by fdatasync. Prints "lines/s N" and "syncs/s N". */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/lib/bench.h"

#define LINE_BYTES 600
#define LINES_MAX 1024

int main(int argc, char **argv)
{
    if (argc != 4)
        bench_die("usage: raw_append FILE LINES SECONDS");
    static char batch[LINE_BYTES * LINES_MAX];
    uint64_t lines = bench_number(argv[2]), syncs = 0;
    BENCH_MUST(lines > 0 && lines <= LINES_MAX);
    size_t n = (size_t)lines * LINE_BYTES;
    memset(batch, 'x', n);
    int fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC,
                  0600);
    BENCH_MUST(fd >= 0);
    uint64_t start = bench_now_ns(), now = start;
    uint64_t end = start + bench_number(argv[3]) * 1000000000U;
    for (; now < end; now = bench_now_ns(), syncs++) {
        BENCH_MUST(write(fd, batch, n) == (ssize_t)n);
        BENCH_MUST(fdatasync(fd) == 0);
    }
    double per_s = (double)syncs * 1e9 / (double)(now - start);
    (void)printf("lines/s %.0f\nsyncs/s %.0f\n", per_s * (double)lines, per_s);
    BENCH_MUST(close(fd) == 0 && unlink(argv[1]) == 0);
    return 0;
}
