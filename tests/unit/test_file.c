// SPDX-License-Identifier: Apache-2.0
/* Files that are replaced in folders where somebody else may have been. */
#include "sidecar/io/file.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/check.h"
#include "tests/lib/tmp_dir.h"

static void check_content(const char *path, const char *want)
{
    struct fail f = {.rc = 0};
    struct span got;
    CHECK_OK(file_read(mem_system(), path, 64, &got, &f), &f);
    CHECK_SPAN(got, span_str(want));
    mem_release(mem_system(), (void *)(uintptr_t)got.p);
}

/* What stands where the new file is written first is left alone, whatever it
 * is. */
static void test_replace_writes_to_nothing_else(void **state)
{
    static const struct {
        const char *name;
        int (*put)(const char *victim, const char *at);
    } rows[] = {{"a link", symlink}, {"a second name", link}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct tmp_dir d;
        struct fail f = {.rc = 0};
        check_row(rows[i].name);
        tmp_dir_make(&d);
        const struct span dir = tmp_dir_span(&d);
        CHECK_OK(file_create(dir, "victim", SPAN("mine"), 0600, &f), &f);
        char victim[FILE_PATH_MAX], at[FILE_PATH_MAX];
        CHECK_OK(file_path(victim, dir, "victim", &f), &f);
        CHECK_OK(file_path(at, dir, "x.new", &f), &f);
        CHECK_INT(rows[i].put(victim, at), 0);
        CHECK_OK(file_replace(dir, "x", SPAN("new"), 0600, &f), &f);
        check_content(victim, "mine");
        CHECK_OK(file_path(at, dir, "x", &f), &f);
        check_content(at, "new");
        tmp_dir_drop(&d);
    }
    check_row(NULL);
}

/* One that nobody writes to would be waited for, for ever. */
static void test_replace_does_not_wait_for_a_pipe(void **state)
{
    struct tmp_dir d;
    struct fail f = {.rc = 0};
    char at[FILE_PATH_MAX];
    (void)state;
    tmp_dir_make(&d);
    const struct span dir = tmp_dir_span(&d);
    CHECK_OK(file_path(at, dir, "x.new", &f), &f);
    CHECK_INT(mkfifo(at, 0600), 0);
    CHECK_OK(file_replace(dir, "x", SPAN("new"), 0600, &f), &f);
    CHECK_OK(file_path(at, dir, "x", &f), &f);
    check_content(at, "new");
    tmp_dir_drop(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replace_writes_to_nothing_else),
        cmocka_unit_test(test_replace_does_not_wait_for_a_pipe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
