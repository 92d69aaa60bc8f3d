// SPDX-License-Identifier: Apache-2.0
/*
 * `bailiff init`, then a log written with its key, then `bailiff log` on it:
 * exit codes and what is printed.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sidecar/cmd.h"
#include "sidecar/io/decision_log.h"
#include "sidecar/io/file.h"
#include "tests/lib/check.h"
#include "tests/lib/tmp_dir.h"

static struct {
    struct tmp_dir d;
    char data[192], log[224];
    struct span out; /* of the last command */
} t;

/* Runs a command with its output in t.out. */
static int run(int (*cmd)(int, char **), const char *const *words)
{
    char *argv[16];
    int argc = 0;
    for (; words[argc] != NULL; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc];
    argv[argc] = NULL;
    const char *path = tmp_dir_file(&t.d, "out");
    struct fail f;
    (void)fflush(stdout);
    int old = dup(STDOUT_FILENO);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(old >= 0 && fd >= 0 && dup2(fd, STDOUT_FILENO) == STDOUT_FILENO);
    int code = cmd(argc, argv);
    (void)fflush(stdout);
    CHECK(dup2(old, STDOUT_FILENO) == STDOUT_FILENO);
    (void)close(old);
    (void)close(fd);
    mem_release(mem_system(), (void *)(uintptr_t)t.out.p);
    CHECK_OK(file_read(mem_system(), path, 1 << 24, &t.out, &f), &f);
    return code;
}

#define RUN(cmd, ...) run((cmd), (const char *const[]){__VA_ARGS__, NULL})

static bool says(const char *text)
{
    return strstr((const char *)t.out.p, text) != NULL;
}

static void on_upto(void *ctx, uint64_t upto)
{
    (void)ctx;
    (void)upto;
}

static void on_broken(void *ctx, const struct fail *f)
{
    (void)ctx;
    CHECK_OK(f->rc, f);
}

static void on_closed(void *ctx)
{
    *(bool *)ctx = true;
}

static void write_log(unsigned lines)
{
    char key[256], tail[256];
    struct decision_log *l;
    struct fail f;
    uv_loop_t loop;
    struct journal_logged last;
    bool closed = false;
    (void)snprintf(key, sizeof key, "%s/keys/log.key", t.data);
    struct decision_log_conf conf = {.dir = span_str(t.log),
                                     .key_file = span_str(key),
                                     .origin = SPAN("bailiff/cmd"),
                                     .written = on_upto,
                                     .synced = on_upto,
                                     .broken = on_broken};
    CHECK_OK(decision_log_open(&conf, &l, &last, &f), &f);
    CHECK_INT(uv_loop_init(&loop), 0);
    CHECK_OK(decision_log_start(l, &loop, &f), &f);
    for (unsigned i = 1; i <= lines; i++) {
        int n = snprintf(tail, sizeof tail,
                         "\"time\":\"2026-09-21T14:29:%02u.000Z\","
                         "\"kind\":\"%s\",\"agent\":\"/Agents/%u\","
                         "\"outcome\":\"deny\",\"reason\":\"a\\u001bb\"}",
                         i % 60, i % 2 == 0 ? "gate" : "verdict", i % 3);
        CHECK_OK(decision_log_append(l, i, span_of(tail, (size_t)n), false, &f),
                 &f);
    }
    decision_log_close(l, on_closed, &closed);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    CHECK(closed);
    CHECK_INT(uv_loop_close(&loop), 0);
}

static int set_up(void **state)
{
    (void)state;
    tmp_dir_make(&t.d);
    (void)snprintf(t.data, sizeof t.data, "%s/data", t.d.path);
    (void)snprintf(t.log, sizeof t.log, "%s/log", t.data);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mem_release(mem_system(), (void *)(uintptr_t)t.out.p);
    tmp_dir_drop(&t.d);
    return 0;
}

static void init_makes_keys_once(void **state)
{
    (void)state;
    struct stat st;
    CHECK_INT(RUN(cmd_init, "init", "--dir", t.data, "--origin", "a b"), 3);
    CHECK(stat(t.data, &st) != 0); /* nothing half made */
    CHECK_INT(RUN(cmd_init, "init", "--dir", t.data, "--origin", "bailiff/cmd"),
              0);
    CHECK(says("bailiff/cmd+"));
    CHECK_INT(stat(t.data, &st), 0);
    CHECK_INT(st.st_mode & 0777, 0700);
    CHECK_INT(stat(tmp_dir_file(&t.d, "data/keys/log.key"), &st), 0);
    CHECK_INT(st.st_mode & 0777, 0400);
    CHECK_INT(stat(tmp_dir_file(&t.d, "data/keys/seal.key"), &st), 0);
    CHECK_INT(st.st_mode & 0777, 0400);
    CHECK_INT(RUN(cmd_init, "init", "--dir", t.data), 1);
    CHECK_INT(RUN(cmd_init, "init", "--no-such"), 2);
}

static void verify_answers(void **state)
{
    (void)state;
    char file[256];
    write_log(30);
    CHECK_INT(RUN(cmd_log_verify, "log", "verify", t.log), 0);
    CHECK(says("intact") && says("30 lines") && says("30 signed"));
    CHECK(says("not witnessed") && says("beside the log"));
    (void)snprintf(file, sizeof file, "%s/00000001.jsonl", t.log);
    CHECK_INT(RUN(cmd_log_verify, "log", "verify", file, "--json"), 0);
    CHECK(says("\"ok\":true") && says("\"unsigned_lines\":0"));

    FILE *out = fopen(file, "a"); /* as if written and not signed yet */
    CHECK(out != NULL);
    (void)fputs("{\"v\":1,\"seq\":31,\"a\":1}\n{\"v\":1", out);
    (void)fclose(out);
    CHECK_INT(RUN(cmd_log_verify, "log", "verify", t.log), 0);
    CHECK(says("1 lines at the end are not yet signed"));
    CHECK(says("6 bytes of an unfinished line"));

    CHECK_INT(RUN(cmd_log_verify, "log", "verify", t.log, "--checkpoint", file),
              1);
    CHECK(says("bad_checkpoint"));
    CHECK_INT(
        RUN(cmd_log_verify, "log", "verify", t.log, "--checkpoint", "/none"),
        3);
    CHECK_INT(RUN(cmd_log_verify, "log", "verify", t.log, "--key", "a+b+c"), 2);
    CHECK_INT(RUN(cmd_log_verify, "log", "verify", "/nonexistent"), 3);
}

static void query_and_tail_choose(void **state)
{
    (void)state;
    CHECK_INT(RUN(cmd_log_query, "log", "query", t.log, "--agent", "/Agents/1",
                  "--kind", "gate", "--json"),
              0);
    CHECK(says("\"seq\":4,") && says("\"seq\":28,"));
    CHECK(!says("\"seq\":1,") && !says("\"seq\":3,"));
    CHECK_INT(RUN(cmd_log_query, "log", "query", t.log, "--agent", "/Agents/9"),
              1);
    CHECK_INT(RUN(cmd_log_query, "log", "query", t.log, "--since",
                  "2026-09-21T14:29:30Z"),
              0);
    CHECK(says("      30  ") && !says("      29  "));
    CHECK(!says("\x1b")); /* what a peer wrote cannot steer the terminal */
    CHECK_INT(RUN(cmd_log_query, "log", "query", t.log, "--since", "soon"), 2);
    CHECK_INT(RUN(cmd_log_tail, "log", "tail", t.log, "-n", "2", "--json"), 0);
    CHECK(says("\"seq\":31,") && says("\"seq\":30,") && !says("\"seq\":29,"));
}

static void proof_prints(void **state)
{
    (void)state;
    CHECK_INT(RUN(cmd_log_proof, "log", "proof", t.log, "--seq", "7"), 0);
    CHECK(says("c2sp.org/tlog-proof@v1\nindex 6\n"));
    CHECK(says("bailiff/cmd\n30\n"));
    CHECK_INT(RUN(cmd_log_proof, "log", "proof", t.log), 2);
    CHECK_INT(RUN(cmd_log_proof, "log", "proof", t.log, "--seq", "99"), 1);
}

static void changed_log_is_not_intact(void **state)
{
    (void)state;
    char file[256];
    (void)snprintf(file, sizeof file, "%s/00000001.jsonl", t.log);
    int fd = open(file, O_WRONLY);
    CHECK(fd >= 0 && pwrite(fd, "9", 1, 40) == 1);
    (void)close(fd);
    CHECK_INT(RUN(cmd_log_verify, "log", "verify", t.log), 1);
    CHECK(says("NOT INTACT") && says("changed"));
    CHECK_INT(RUN(cmd_log_verify, "log", "verify", t.log, "--json"), 1);
    CHECK(says("\"kind\":\"changed\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(init_makes_keys_once),
        cmocka_unit_test(verify_answers),
        cmocka_unit_test(query_and_tail_choose),
        cmocka_unit_test(proof_prints),
        cmocka_unit_test(changed_log_is_not_intact),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
