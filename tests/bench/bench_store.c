// SPDX-License-Identifier: Apache-2.0
/*
 * Rows a second through the store and lines a second through the decision log,
 * beside what the disk gives a bare append + fdatasync loop in the same run.
 * bench_store [DIR] [SECONDS]
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sidecar/io/decision_log.h"
#include "sidecar/io/file.h"
#include "sidecar/io/key_file.h"
#include "sidecar/io/store.h"

#define ROW_BYTES 512

struct bench {
    uv_loop_t loop;
    struct store *store;
    struct decision_log *log;
    uint64_t sent, done;
    char dir[256];
};

static void die(const char *what, const struct fail *f)
{
    (void)fprintf(stderr, "bench_store: %s: %s\n", what, f->text);
    exit(1);
}

static void on_upto(void *ctx, uint64_t upto)
{
    ((struct bench *)ctx)->done = upto;
}

static void on_state(void *ctx, enum store_state s, const struct fail *f)
{
    (void)ctx;
    if (s != STORE_OK)
        die("store", f);
}

static void on_broken(void *ctx, const struct fail *f)
{
    (void)ctx;
    die("log", f);
}

static void on_synced(void *ctx, uint64_t upto)
{
    (void)ctx;
    (void)upto;
}

static void on_closed(void *ctx)
{
    (void)ctx;
}

static double seconds(uint64_t from_ns)
{
    return (double)(uv_hrtime() - from_ns) / 1e9;
}

/* Appends `batch` rows at a time and syncs after each batch. */
static double raw(struct bench *b, unsigned batch, double limit_s)
{
    static char row[ROW_BYTES * 64];
    char path[300];
    uint64_t rows = 0, start = uv_hrtime();
    (void)snprintf(path, sizeof path, "%s/raw", b->dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_TRUNC, 0600);
    struct fail f;
    for (; seconds(start) < limit_s; rows += batch)
        if (file_write_all(fd, span_of(row, (size_t)batch * ROW_BYTES), &f) <
                0 ||
            fdatasync(fd) != 0)
            die("raw", &f);
    double s = seconds(start);
    (void)close(fd);
    (void)unlink(path);
    return (double)rows / s;
}

static void send_row(struct bench *b)
{
    static unsigned char input[ROW_BYTES - 20];
    struct buf body;
    struct fail f;
    buf_init(&body, mem_system(), 4096);
    journal_put_body(&body, span_of(NULL, 0), span_of(NULL, 0),
                     span_of(input, sizeof input));
    b->sent++;
    if (store_append(b->store, b->sent, 0, buf_span(&body), &f) < 0)
        die("append", &f);
    buf_fini(&body);
}

static void send_line(struct bench *b)
{
    static char tail[ROW_BYTES - 32];
    struct fail f;
    memset(tail, 'x', sizeof tail);
    memcpy(tail, "\"a\":\"", 5);
    memcpy(tail + sizeof tail - 2, "\"}", 2);
    b->sent++;
    if (decision_log_append(b->log, b->sent, span_of(tail, sizeof tail), false,
                            &f) < 0)
        die("append", &f);
}

/* Keeps `batch` rows on their way. */
static double drive(struct bench *b, unsigned batch, double limit_s,
                    void (*send)(struct bench *b))
{
    uint64_t start = uv_hrtime(), first = b->done;
    while (seconds(start) < limit_s) {
        if (b->done == b->sent)
            for (unsigned i = 0; i < batch; i++)
                send(b);
        (void)uv_run(&b->loop, UV_RUN_ONCE);
    }
    return (double)(b->done - first) / seconds(start);
}

static void bench_rows(struct bench *b, double limit_s)
{
    static const unsigned batches[] = {1, 64};
    struct store_conf conf = {.dir = span_str(b->dir),
                              .stored = on_upto,
                              .state = on_state,
                              .ctx = b};
    struct fail f;
    bool created;
    (void)uv_loop_init(&b->loop);
    if (store_open(&conf, &b->store, &created, &f) < 0 ||
        store_start(b->store, &b->loop, &f) < 0)
        die("open", &f);
    for (unsigned i = 0; i < 2; i++) {
        double bare = raw(b, batches[i], limit_s);
        double ours = drive(b, batches[i], limit_s, send_row);
        double again = raw(b, batches[i], limit_s);
        double disk = (bare + again) / 2;
        (void)printf(
            "store, %2u at a time: %9.0f rows/s   append+fdatasync "
            "%9.0f rows/s   ratio %.2f\n",
            batches[i], ours, disk, ours / disk);
    }
    store_close(b->store, on_closed, b);
    (void)uv_run(&b->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&b->loop);
}

static void bench_lines(struct bench *b, double limit_s)
{
    static const unsigned batches[] = {1, 64, 1024};
    char dir[300], key[300];
    unsigned char seed[KEY_FILE_BYTES];
    struct journal_logged last;
    struct fail f;
    (void)snprintf(dir, sizeof dir, "%s/log", b->dir);
    (void)snprintf(key, sizeof key, "%s/log.key", b->dir);
    if (key_file_make(span_str(b->dir), "log.key", seed, &f) < 0)
        die("key", &f);
    struct decision_log_conf conf = {.dir = span_str(dir),
                                     .key_file = span_str(key),
                                     .origin = SPAN("bailiff/bench"),
                                     .written = on_upto,
                                     .synced = on_synced,
                                     .broken = on_broken,
                                     .ctx = b};
    (void)uv_loop_init(&b->loop);
    if (decision_log_open(&conf, &b->log, &last, &f) < 0 ||
        decision_log_start(b->log, &b->loop, &f) < 0)
        die("open", &f);
    b->sent = b->done = 0;
    for (unsigned i = 0; i < 3; i++)
        (void)printf(
            "log, %4u at a time: %9.0f lines/s written (fsync every "
            "50 ms)\n",
            batches[i], drive(b, batches[i], limit_s, send_line));
    decision_log_close(b->log, on_closed, b);
    (void)uv_run(&b->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&b->loop);
}

static int drop(const char *path, const struct stat *st, int type,
                struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

int main(int argc, char **argv)
{
    struct bench b = {.sent = 0};
    double limit_s = argc > 2 ? strtod(argv[2], NULL) : 1.0;
    (void)snprintf(b.dir, sizeof b.dir, "%s/bench-store-XXXXXX",
                   argc > 1 ? argv[1] : "/var/tmp");
    if (mkdtemp(b.dir) == NULL) {
        perror(b.dir);
        return 1;
    }
    bench_rows(&b, limit_s);
    bench_lines(&b, limit_s);
    (void)nftw(b.dir, drop, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}
