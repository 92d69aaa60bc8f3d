// SPDX-License-Identifier: Apache-2.0
/* The net beneath stopping, in processes of their own: it ends them. */
#include "sidecar/run/stop_limit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sidecar/base/log.h"
#include "tests/lib/check.h"

#define SAID_MAX 4096
#define LIMIT_MS 1000 /* enough to say the phase on a busy machine */

enum way { IN_TIME, HANGS, NOBODY_READS };

/* A pipe that takes no more. */
static void fill(int fd)
{
    static const char bytes[4096];
    CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    while (write(fd, bytes, sizeof bytes) > 0)
        continue;
    CHECK(fcntl(fd, F_SETFL, 0) == 0);
}

static void stop_in(enum way way, int to)
{
    (void)dup2(to, STDERR_FILENO);
    if (way == NOBODY_READS)
        fill(STDERR_FILENO);
    struct fail f;
    CHECK_OK(log_start_writer(&f), &f);
    struct stop_limit *l = stop_limit_start(way == IN_TIME ? 600000 : LIMIT_MS);
    stop_limit_at(l, "readers");
    while (way != IN_TIME)
        (void)pause();
    stop_limit_end(l);
    _exit(0);
}

/* Returns the exit code; *ret_said is what standard error got. */
static int stop(enum way way, char said[SAID_MAX])
{
    int fds[2], how = 0;
    CHECK(pipe(fds) == 0);
    const pid_t pid = fork();
    if (pid == 0)
        stop_in(way, fds[1]);
    (void)close(fds[1]);
    CHECK(waitpid(pid, &how, 0) == pid);
    ssize_t n = read(fds[0], said, SAID_MAX - 1);
    said[n > 0 ? n : 0] = 0;
    (void)close(fds[0]);
    CHECK(WIFEXITED(how));
    return WEXITSTATUS(how);
}

static void test_in_time(void **state)
{
    (void)state;
    char said[SAID_MAX];
    CHECK_INT(stop(IN_TIME, said), 0);
    CHECK_STR(said, "");
    stop_limit_at(NULL, "readers");
    stop_limit_end(NULL);
}

static void test_hangs(void **state)
{
    (void)state;
    char said[SAID_MAX];
    CHECK_INT(stop(HANGS, said), STOP_LIMIT_EXIT);
    CHECK(strstr(said, "event=stop_overdue phase=readers exit=3") != NULL);
}

/* The message is not worth hanging for. */
static void test_nobody_reads(void **state)
{
    (void)state;
    char said[SAID_MAX];
    CHECK_INT(stop(NOBODY_READS, said), STOP_LIMIT_EXIT);
    CHECK(strstr(said, "stop_overdue") == NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_time),
        cmocka_unit_test(test_hangs),
        cmocka_unit_test(test_nobody_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
