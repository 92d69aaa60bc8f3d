// SPDX-License-Identifier: Apache-2.0
/*
 * What commands print: tables, harmless text, relative times; words of the
 * command line; near misses.
 */
#include "tests/lib/check.h"

#include "sidecar/base/guess.h"
#include "sidecar/cli.h"
#include "sidecar/term.h"

static void text_is_made_harmless(void **state)
{
    (void)state;
    static const struct {
        const char *name, *in, *want;
        size_t columns;
    } rows[] = {
        {"plain", "/Agents/7", "/Agents/7", 9},
        {"an escape sequence", "a\033[2Jb", "a\xef\xbf\xbd[2Jb", 6},
        {"a C1 control", "\xc2\x9b", "\xef\xbf\xbd\xef\xbf\xbd", 2},
        {"a line feed", "a\nb",
         "a\xef\xbf\xbd"
         "b",
         3},
        {"UTF-8", "\xe2\x82\xac\xc3\xa9", "\xe2\x82\xac\xc3\xa9", 2},
        {"a lone byte", "\xff", "\xef\xbf\xbd", 1},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf b;
        check_row(rows[i].name);
        buf_init(&b, mem_system(), 4096);
        term_put(&b, span_str(rows[i].in));
        CHECK_SPAN(buf_span(&b), span_str(rows[i].want));
        CHECK_UINT(term_columns(span_str(rows[i].in)), rows[i].columns);
        buf_fini(&b);
    }
    check_row(NULL);
}

static void relative_times(void **state)
{
    (void)state;
    const int64_t now = INT64_C(1800000000000);
    static const struct {
        int64_t gap;
        const char *want;
    } rows[] = {
        {0, "now"},
        {-999, "now"},
        {-1000, "1s ago"},
        {-59999, "59s ago"},
        {-60000, "1m ago"},
        {-7200000, "2h ago"},
        {-172800000, "2d ago"},
        {31000, "in 31s"},
        {601000, "in 10m"},
    };
    char text[16];
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        term_ago(now, now + rows[i].gap, text);
        CHECK_STR(text, rows[i].want);
    }
    term_ago(INT64_MAX, INT64_MIN, text);
    CHECK_STR(text, "9999999d ago");
}

static void fill(struct table *t, struct mem *m, const char *last)
{
    static const char *const heads[] = {"A", "LONG HEAD", "C"};
    table_init(t, m, heads, 3);
    const char *const cells[] = {"x", "1", last, "caf\xc3\xa9", "22", "short"};
    for (size_t i = 0; i < COUNT_OF(cells); i++)
        CHECK_OK(
            table_cell(t, span_str(cells[i]), i == 2 ? TONE_BAD : TONE_PLAIN),
            NULL);
}

static void tables_are_aligned(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool colour;
        unsigned width;
        const char *want;
    } rows[] = {
        {"a pipe", false, 0,
         "A     LONG HEAD  C\n"
         "x     1          a long last column\n"
         "caf\xc3\xa9  22         short\n"},
        {"wide enough", false, 35,
         "A     LONG HEAD  C\n"
         "x     1          a long last column\n"
         "caf\xc3\xa9  22         short\n"},
        {"narrow", false, 28,
         "A     LONG HEAD\n"
         "    C\n"
         "x     1\n"
         "    a long last column\n"
         "caf\xc3\xa9  22\n"
         "    short\n"},
        {"colour", true, 0,
         "\033[1mA\033[0m     \033[1mLONG HEAD\033[0m  \033[1mC\033[0m\n"
         "x     1          \033[31ma long last column\033[0m\n"
         "caf\xc3\xa9  22         short\n"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a;
        struct table t;
        struct buf b;
        const struct term term = {rows[i].colour, rows[i].width, 0};
        check_row(rows[i].name);
        arena_init(&a, mem_system(), 65536);
        buf_init(&b, mem_system(), 65536);
        fill(&t, &a.mem, "a long last column");
        table_print(&t, &term, &b);
        CHECK_SPAN(buf_span(&b), span_str(rows[i].want));
        buf_fini(&b);
        arena_fini(&a);
    }
    check_row(NULL);
}

/* What went wrong must be readable to its end. */
static void last_column_is_wrapped(void **state)
{
    (void)state;
    static const struct {
        const char *last, *want;
    } rows[] = {
        {"what went wrong must be read to its end",
         "x     1          what went wrong must be\n"
         "                 read to its end\n"},
        {"/a/path/without/blanks/is/broken/anywhere",
         "x     1          /a/path/without/blanks/is\n"
         "                 /broken/anywhere\n"},
        {"", "x     1          \n"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a;
        struct table t;
        struct buf b;
        const struct term term = {false, 42, 0};
        check_row(rows[i].last);
        arena_init(&a, mem_system(), 65536);
        buf_init(&b, mem_system(), 65536);
        fill(&t, &a.mem, rows[i].last);
        table_print(&t, &term, &b);
        const struct span after_head = span_sub(buf_span(&b), 19, b.n);
        CHECK_SPAN(span_sub(after_head, 0, strlen(rows[i].want)),
                   span_str(rows[i].want));
        buf_fini(&b);
        arena_fini(&a);
    }
    check_row(NULL);
}

static void table_grows_until_memory_ends(void **state)
{
    (void)state;
    static const char *const heads[] = {"A"};
    struct arena a;
    struct table t;
    int rc = RC_OK;
    arena_init(&a, mem_system(), 16384);
    table_init(&t, &a.mem, heads, 1);
    for (unsigned i = 0; i < 10000 && rc == RC_OK; i++)
        rc = table_cell(&t, SPAN("x"), TONE_PLAIN);
    CHECK_INT(rc, RC_NO_MEMORY);
    CHECK(t.cell_count >= 64);
    arena_fini(&a);
}

/* ---- near misses ---- */

static void distances(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        unsigned want;
    } rows[] = {
        {"", "", 0},
        {"a", "", 1},
        {"listen", "listen", 0},
        {"listn", "listen", 1},
        {"lisetn", "listen", 1},
        {"LISTEN", "listen", 0},
        {"kitten", "sitting", 3},
        {"ab", "ba", 1},
        {"abc", "xyz", 3},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CHECK_UINT(guess_distance(span_str(rows[i].a), span_str(rows[i].b)),
                   rows[i].want);
        CHECK_UINT(guess_distance(span_str(rows[i].b), span_str(rows[i].a)),
                   rows[i].want);
    }
    static char word[GUESS_BYTES_MAX + 2];
    for (size_t i = 0; i <= GUESS_BYTES_MAX; i++)
        word[i] = 'x';
    CHECK_UINT(guess_distance(span_str(word), SPAN("x")), GUESS_NONE);
}

static void best_guess(void **state)
{
    (void)state;
    static const char *const words[] = {"feeds", "feed", "store", "completion"};
    static const struct {
        const char *in, *want;
    } rows[] = {
        {"feds", "feeds"},      {"stroe", "store"}, {"xyzzy", ""},
        {"comp", "completion"}, {"feed", "feed"},   {"q", ""},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct span best = {NULL, 0};
        unsigned distance = GUESS_NONE;
        check_row(rows[i].in);
        for (size_t k = 0; k < COUNT_OF(words); k++)
            guess_try(span_str(rows[i].in), span_str(words[k]), &best,
                      &distance);
        CHECK_SPAN(best, span_str(rows[i].want));
    }
    check_row(NULL);
}

/* ---- the command line ---- */

static void options_and_words(void **state)
{
    (void)state;
    bool json = false;
    const char *file = NULL, *words[2] = {NULL, NULL};
    const struct cli_option options[] = {
        {"config", 'c', NULL, &file},
        {"json", 'j', &json, NULL},
        {NULL, 0, NULL, NULL},
    };
    char *argv[] = {
        (char[]){"check"},  (char[]){"-c"}, (char[]){"x.yaml"}, (char[]){"one"},
        (char[]){"--json"}, (char[]){"--"}, (char[]){"-j"},     NULL};
    CHECK_INT(cli_parse(7, argv, options, words, 2), 2);
    CHECK_STR(file, "x.yaml");
    CHECK(json);
    CHECK_STR(words[0], "one");
    CHECK_STR(words[1], "-j");
    char *inline_value[] = {(char[]){"check"}, (char[]){"--config=a=b"}, NULL};
    CHECK_INT(cli_parse(2, inline_value, options, words, 2), 0);
    CHECK_STR(file, "a=b");
    char *dash[] = {(char[]){"check"}, (char[]){"-"}, NULL};
    CHECK_INT(cli_parse(2, dash, options, words, 2), 1);
    CHECK_STR(words[0], "-");
}

static void wrong_command_lines(void **state)
{
    (void)state;
    bool json = false;
    const char *file = NULL, *words[1];
    const struct cli_option options[] = {
        {"config", 'c', NULL, &file},
        {"json", 'j', &json, NULL},
        {NULL, 0, NULL, NULL},
    };
    static char rows[][12] = {"--confg",  "-x", "-jc", "--config",
                              "--json=1", "--", "-c"};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *argv[] = {(char[]){"check"}, rows[i], NULL};
        check_row(rows[i]);
        CHECK_INT(cli_parse(2, argv, options, words, 1),
                  span_eq(span_str(rows[i]), SPAN("--")) ? 0 : RC_INVALID);
    }
    check_row(NULL);
    char *many[] = {(char[]){"check"}, (char[]){"a"}, (char[]){"b"}, NULL};
    CHECK_INT(cli_parse(3, many, options, words, 1), RC_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_made_harmless),
        cmocka_unit_test(relative_times),
        cmocka_unit_test(tables_are_aligned),
        cmocka_unit_test(last_column_is_wrapped),
        cmocka_unit_test(table_grows_until_memory_ends),
        cmocka_unit_test(distances),
        cmocka_unit_test(best_guess),
        cmocka_unit_test(options_and_words),
        cmocka_unit_test(wrong_command_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
