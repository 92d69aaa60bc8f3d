// SPDX-License-Identifier: Apache-2.0
/*
 * Diagnostics: forms, escaping, rate limit, the ring, threads.
 */
#include "tests/lib/check.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "adapters/json_doc.h"
#include "sidecar/base/log.h"

#define THREADS 4
#define LINES 200

static char got[1 << 20];
static size_t got_n;

/* What is left in the pipe, into `got`. */
static void read_all(int from)
{
    got_n = 0;
    for (ssize_t n; (n = read(from, got + got_n, sizeof got - 1 - got_n)) > 0;)
        got_n += (size_t)n;
    got[got_n] = '\0';
    CHECK(close(from) == 0);
}

/* What `run` writes to the log in this form ends up in `got`. */
static void capture(enum log_level level, enum log_format format,
                    void (*run)(void))
{
    int ends[2];
    CHECK(pipe(ends) == 0);
    CHECK(fcntl(ends[1], F_SETPIPE_SZ, 1 << 20) > 0);
    log_setup(ends[1], level, format);
    run();
    log_setup(STDERR_FILENO, LEVEL_ERROR, LOG_FORMAT_TEXT);
    CHECK(close(ends[1]) == 0);
    read_all(ends[0]);
}

static unsigned count_lines(void)
{
    unsigned n = 0;
    for (size_t i = 0; i < got_n; i++)
        n += got[i] == '\n';
    return n;
}

/* ---- forms ---- */

static void one_of_each(void)
{
    struct fail f;
    (void)fail(&f, RC_TIMEOUT, "no answer");
    log_warn(LOG_STORE, "retry", kv_u64("ms", 20), kv_i64("left", -1),
             kv_bool("last", true), kv_rc(RC_TIMEOUT), kv_why(&f),
             kv_str("none", NULL));
}

static void key_value_form(void **state)
{
    (void)state;
    capture(LEVEL_INFO, LOG_FORMAT_TEXT, one_of_each);
    CHECK_UINT(count_lines(), 1);
    CHECK(strstr(got, "time=20") == got);
    CHECK(strstr(got,
                 " level=warn component=store event=retry ms=20 left=-1 "
                 "last=true rc=timeout why=\"no answer\" none=\"\"\n") != NULL);
}

static void json_form(void **state)
{
    (void)state;
    struct arena a;
    const struct doc *root;
    struct fail f = {0};
    arena_init(&a, mem_system(), 65536);
    capture(LEVEL_INFO, LOG_FORMAT_JSON, one_of_each);
    CHECK_OK(json_doc_parse(&a.mem, span_of(got, got_n - 1), 4096, &root, &f),
             &f);
    CHECK_SPAN(doc_text(root, SPAN("level")), SPAN("warn"));
    CHECK_SPAN(doc_text(root, SPAN("component")), SPAN("store"));
    CHECK_SPAN(doc_text(root, SPAN("event")), SPAN("retry"));
    CHECK_INT(doc_get(root, SPAN("ms"))->integer, 20);
    CHECK_SPAN(doc_text(root, SPAN("why")), SPAN("no answer"));
    arena_fini(&a);
}

static void terminal_form(void **state)
{
    (void)state;
    capture(LEVEL_INFO, LOG_FORMAT_TERMINAL, one_of_each);
    CHECK(strstr(got, "warn  store    retry\033[0m ms=20") != NULL);
}

static void info_and_debug(void)
{
    log_info(LOG_MAIN, "started");
    log_debug(LOG_MAIN, "detail");
}

static void levels(void **state)
{
    (void)state;
    capture(LEVEL_INFO, LOG_FORMAT_TEXT, info_and_debug);
    CHECK(strstr(got, "event=started") != NULL);
    CHECK(strstr(got, "event=detail") == NULL);
    capture(LEVEL_DEBUG, LOG_FORMAT_TEXT, info_and_debug);
    CHECK(strstr(got, "event=detail") != NULL);
    capture(LEVEL_ERROR, LOG_FORMAT_TEXT, info_and_debug);
    CHECK_UINT(got_n, 0);
}

/* ---- hostile values ---- */

static const char *value;

static void log_value(void)
{
    log_error(LOG_PUSH, "peer", kv_str("v", value));
}

static void values_are_escaped(void **state)
{
    (void)state;
    static const struct {
        const char *name, *in, *want;
    } rows[] = {
        {"plain", "abc", " v=abc\n"},
        {"a forged line", "x\ntime=1 level=error",
         " v=\"x\\u000atime=1 level=error\"\n"},
        {"quotes", "a\"b\\c", " v=\"a\\\"b\\\\c\"\n"},
        {"an escape sequence", "\033[2J", " v=\"\\u001b[2J\"\n"},
        {"a C1 control",
         "\xc2\x9b"
         "31m",
         "\xef\xbf\xbd"},
        {"UTF-8", "caf\xc3\xa9", " v=\"caf\xc3\xa9\"\n"},
        {"half of UTF-8", "\xc3", " v=\"\xef\xbf\xbd\"\n"},
        {"a token", "got eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln!",
         " v=\"got [removed]!\"\n"},
        {"a bearer", "Authorization: Bearer s3cr3t, x",
         " v=\"Authorization: Bearer [removed], x\"\n"},
    };
    static const char *const secrets[] = {"\033[2J", "c2ln", "s3cr3t",
                                          "\xc2\x9b", "\ntime"};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        check_row(rows[i].name);
        value = rows[i].in;
        /* The rate limit is per event, and these are one event. */
        capture(LEVEL_INFO, LOG_FORMAT_TEXT, log_value);
        CHECK(strstr(got, rows[i].want) != NULL);
        for (size_t k = 0; k < COUNT_OF(secrets); k++)
            CHECK(strstr(got, secrets[k]) == NULL);
    }
    check_row(NULL);
}

static char long_value[4 * LOG_TEXT_MAX];

static void log_long(void)
{
    memset(long_value, 'x', sizeof long_value - 1);
    log_error(LOG_PUSH, "long", kv_str("a", long_value),
              kv_str("b", long_value), kv_str("c", long_value),
              kv_str("d", long_value), kv_str("e", long_value));
}

static void long_lines_are_cut(void **state)
{
    (void)state;
    struct arena a;
    const struct doc *root;
    struct fail f = {0};
    capture(LEVEL_INFO, LOG_FORMAT_TEXT, log_long);
    CHECK(got_n <= LOG_TEXT_MAX);
    CHECK_UINT(count_lines(), 1);
    capture(LEVEL_INFO, LOG_FORMAT_JSON, log_long);
    CHECK(got_n <= LOG_TEXT_MAX);
    arena_init(&a, mem_system(), 65536);
    CHECK_OK(json_doc_parse(&a.mem, span_of(got, got_n - 1), 4096, &root, &f),
             &f);
    CHECK(doc_get(root, SPAN("cut"))->truth);
    arena_fini(&a);
}

/* ---- rate limit and ring ---- */

static void flood(void)
{
    for (unsigned i = 0; i < 500; i++)
        log_warn(LOG_GATE, "flood", kv_u64("i", i));
    log_warn(LOG_GATE, "other");
    log_warn(LOG_ADMIN, "flood");
}

static void flood_is_limited(void **state)
{
    (void)state;
    const uint64_t before = log_dropped();
    capture(LEVEL_INFO, LOG_FORMAT_TEXT, flood);
    /* A burst, and one more for every second that the loop took. */
    CHECK(count_lines() >= LOG_BURST + 2 && count_lines() <= LOG_BURST + 5);
    CHECK(strstr(got, "component=gate event=other") != NULL);
    CHECK(strstr(got, "component=admin event=flood") != NULL);
    CHECK_UINT(log_dropped() - before, 502 - count_lines());
}

static void again_after_a_while(void)
{
    log_warn(LOG_GATE, "pause");
}

static void pause_flood(void)
{
    for (unsigned i = 0; i < LOG_BURST + 7; i++)
        again_after_a_while();
}

/* Lines of which the lines that were got say that they were suppressed. */
static unsigned count_suppressed(void)
{
    static const char word[] = " suppressed=";
    unsigned sum = 0;
    for (const char *at = got; (at = strstr(at, word)) != NULL;) {
        at += sizeof word - 1;
        sum += (unsigned)strtoul(at, NULL, 10);
    }
    return sum;
}

/* Each line is written or counted in a later one, however long it takes. */
static void suppressed_lines_are_counted(void **state)
{
    (void)state;
    capture(LEVEL_INFO, LOG_FORMAT_TEXT, pause_flood);
    const unsigned lines = count_lines(), counted = count_suppressed();
    CHECK(lines >= LOG_BURST && lines < LOG_BURST + 7);
    (void)usleep((LOG_REFILL_MS + 50) * 1000);
    capture(LEVEL_INFO, LOG_FORMAT_TEXT, again_after_a_while);
    CHECK_UINT(count_lines(), 1);
    CHECK(count_suppressed() > 0);
    CHECK_UINT(lines + counted + count_suppressed(), LOG_BURST + 7);
}

static char events[LOG_BUCKETS_MAX * 2][8];

static void many_events(void)
{
    for (size_t i = 0; i < COUNT_OF(events); i++) {
        (void)snprintf(events[i], sizeof events[i], "e%zu", i);
        log_error(LOG_LOOP, events[i]);
    }
}

static void more_events_than_buckets(void **state)
{
    (void)state;
    capture(LEVEL_INFO, LOG_FORMAT_TEXT, many_events);
    CHECK(count_lines() >= 100);
    CHECK(count_lines() <= COUNT_OF(events));
}

static void dump(void)
{
    for (unsigned i = 0; i < LOG_RING_LINES + 10; i++)
        log_debug(LOG_ENGINE, "step", kv_u64("n", i));
    capture(LEVEL_ERROR, LOG_FORMAT_TEXT, info_and_debug);
}

static void ring_keeps_the_last_lines(void **state)
{
    (void)state;
    dump();
    capture(LEVEL_ERROR, LOG_FORMAT_TEXT, log_ring_print);
    CHECK_UINT(count_lines(), LOG_RING_LINES + 2);
    CHECK(strstr(got, "event=detail") != NULL); /* debug, never printed */
    CHECK(strstr(got, "n=265\n") != NULL);
    CHECK(strstr(got, "n=11\n") == NULL); /* overwritten */
}

static void two_lines_and_a_rest(void)
{
    log_lines(SPAN("policy:1:1: error\n\n  1 | x\nrest"));
    log_lines(SPAN(""));
}

static void lines_are_printed_as_they_are(void **state)
{
    (void)state;
    capture(LEVEL_ERROR, LOG_FORMAT_JSON, two_lines_and_a_rest);
    CHECK_STR(got, "policy:1:1: error\n\n  1 | x\nrest");
}

/* In a process of its own: the thread of the writer stays. */
static void bug_behind_a_pipe(int to, bool nobody_reads)
{
    struct fail f;
    log_setup(to, LEVEL_INFO, LOG_FORMAT_TEXT);
    CHECK_OK(log_start_writer(&f), &f);
    log_info(LOG_MAIN, "before");
    for (unsigned i = 0; nobody_reads && i < 24; i++)
        log_ring_print();
    must(to < 0);
}

/* A bug ends the process with what there is to say, and without a reader
 * nonetheless. */
static void last_words(void **state)
{
    (void)state;
    for (unsigned nobody_reads = 0; nobody_reads < 2; nobody_reads++) {
        int ends[2], how = 0;
        dump();
        CHECK(pipe(ends) == 0);
        if (!nobody_reads)
            CHECK(fcntl(ends[1], F_SETPIPE_SZ, 1 << 20) > 0);
        const pid_t pid = fork();
        if (pid == 0) {
            bug_behind_a_pipe(ends[1], nobody_reads != 0);
            _exit(0);
        }
        CHECK(close(ends[1]) == 0);
        CHECK(waitpid(pid, &how, 0) == pid);
        CHECK(WIFSIGNALED(how) && WTERMSIG(how) == SIGABRT);
        read_all(ends[0]);
        CHECK(strstr(got, "event=before") != NULL);
        const char *bug = strstr(got, "bug: to < 0 failed");
        CHECK((bug == NULL) == nobody_reads);
        CHECK(nobody_reads || strstr(bug, "end of recent") != NULL);
    }
}

static void *writer(void *ctx)
{
    (void)ctx;
    for (unsigned i = 0; i < LINES; i++)
        log_warn(LOG_JOB, "thread", kv_str("v", "abcdefghijklmnopqrstuvwxyz"));
    return NULL;
}

static void many_threads(void)
{
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, writer, NULL) == 0);
    for (unsigned i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static void lines_of_threads_stay_whole(void **state)
{
    (void)state;
    capture(LEVEL_INFO, LOG_FORMAT_TEXT, many_threads);
    CHECK(count_lines() >= LOG_BURST);
    for (char *line = got; *line != '\0';) {
        char *end = strchr(line, '\n');
        CHECK(strncmp(line, "time=", 5) == 0);
        CHECK(strncmp(end - 28, "v=abcdefghijklmnopqrstuvwxyz", 28) == 0 ||
              strstr(line, "suppressed=") != NULL);
        line = end + 1;
    }
}

static void names(void **state)
{
    (void)state;
    enum log_level level;
    enum log_format format;
    CHECK(log_level_from_name(SPAN("debug"), &level) && level == LEVEL_DEBUG);
    CHECK(!log_level_from_name(SPAN("warning"), &level));
    CHECK(log_format_from_name(SPAN("json"), &format));
    CHECK_UINT(format, LOG_FORMAT_JSON);
    CHECK(!log_format_from_name(SPAN(""), &format));
    CHECK_STR(log_component_word(LOG_RECORDS), "records");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_value_form),
        cmocka_unit_test(json_form),
        cmocka_unit_test(terminal_form),
        cmocka_unit_test(levels),
        cmocka_unit_test(values_are_escaped),
        cmocka_unit_test(long_lines_are_cut),
        cmocka_unit_test(flood_is_limited),
        cmocka_unit_test(suppressed_lines_are_counted),
        cmocka_unit_test(ring_keeps_the_last_lines),
        cmocka_unit_test(lines_are_printed_as_they_are),
        cmocka_unit_test(last_words),
        cmocka_unit_test(lines_of_threads_stay_whole),
        cmocka_unit_test(names),
        cmocka_unit_test(more_events_than_buckets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
