// SPDX-License-Identifier: Apache-2.0
/* A journal and a log become one history, also while the journal is written. */
#include "tests/lib/check.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "sidecar/history_source.h"
#include "sidecar/io/history_db.h"
#include "sidecar/io/store_db.h"
#include "tests/lib/tmp_dir.h"

static void put_row(struct store_db *db, uint64_t seq, int64_t wall_ms,
                    const char *input)
{
    struct buf body;
    struct fail f;
    buf_init(&body, mem_system(), 65536);
    journal_put_body(&body, SPAN(""), SPAN(""), span_str(input));
    const struct store_db_row row = {
        .seq = seq, .wall_ms = wall_ms, .body = buf_span(&body)};
    CHECK_OK(store_db_begin(db, &f), &f);
    CHECK_OK(store_db_insert(db, &row, false, &f), &f);
    CHECK_OK(store_db_commit(db, &f), &f);
    buf_fini(&body);
}

static void put_log(const struct tmp_dir *d, const char *text)
{
    CHECK_INT(mkdir(tmp_dir_file(d, "log"), 0700), 0);
    FILE *file = fopen(tmp_dir_file(d, "log/00000001.jsonl"), "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static unsigned count_rows(struct history_db *h)
{
    struct history_row row;
    struct fail f;
    unsigned n = 0;
    int more;
    while ((more = history_db_next(h, &row, &f)) == 1)
        n++;
    CHECK_OK(more, &f);
    return n;
}

static void rows_outlive_folding_until_they_are_old(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct store_db db;
    struct history_db *h;
    struct fail f;
    bool created;
    uint32_t rows;
    tmp_dir_make(&d);
    CHECK(history_db_open(tmp_dir_span(&d), 0, &h, &f) == RC_UNKNOWN_NAME);
    CHECK_OK(store_db_open(&db, tmp_dir_span(&d), &created, &f), &f);
    for (uint64_t i = 1; i <= 1000; i++)
        put_row(&db, i, (int64_t)i * 1000,
                "{\"t\":1,\"n\":1,\"kind\":\"x\"}\n");
    CHECK_OK(store_db_fold(&db, 1000, 1000, &rows, &f), &f);
    CHECK_OK(history_db_open(tmp_dir_span(&d), 0, &h, &f), &f);
    CHECK_UINT(history_db_last(h), 1000);
    CHECK_UINT(count_rows(h), 1000);
    put_row(&db, 1001, 1001000, ""); /* beside the reader */
    CHECK_UINT(count_rows(h), 1);
    CHECK_OK(store_db_checkpoint(&db, true, &f), &f);
    history_db_close(h);
    const struct store_db_old old = {.before_ms = 500000};
    CHECK_OK(store_db_prune(&db, &old, 1000, &rows, &f), &f);
    CHECK_OK(history_db_open(tmp_dir_span(&d), 0, &h, &f), &f);
    CHECK_UINT(count_rows(h), 1001 - rows);
    CHECK_UINT(rows, 499);
    history_db_close(h);
    CHECK_OK(history_db_open(tmp_dir_span(&d), 900000, &h, &f), &f);
    CHECK_UINT(count_rows(h), 102);
    history_db_close(h);
    store_db_close(&db, true);
    tmp_dir_drop(&d);
}

static void check_order(struct history_source *s, const char *const *want)
{
    struct span line;
    struct fail f;
    int more;
    for (; (more = history_source_next(s, &line, &f)) == 1; want++) {
        CHECK(*want != NULL);
        CHECK(memmem(line.p, line.n, *want, strlen(*want)) != NULL);
    }
    CHECK_OK(more, &f);
    CHECK(*want == NULL);
}

/* Decisions carry the number that entries are ordered by; the clock need not
 * agree. */
static void both_come_in_the_order_of_decisions(void **state)
{
    (void)state;
    static const char *const all[] = {
        "policy", "/Agents/1", "first", "second", "/Agents/2", "silent", NULL};
    static const char *const late[] = {"policy", "second", "/Agents/2",
                                       "silent", NULL};
    struct tmp_dir d;
    struct store_db db;
    struct history_source *s;
    struct fail f;
    bool created;
    tmp_dir_make(&d);
    CHECK_OK(store_db_open(&db, tmp_dir_span(&d), &created, &f), &f);
    put_row(&db, 1, 1000, "{\"t\":1000,\"n\":0,\"kind\":\"policy\"}\n");
    put_row(&db, 2, 1500, "{\"t\":1500,\"n\":5,\"kind\":\"first\"}\n");
    put_row(&db, 3, 2000, "{\"t\":2000,\"n\":5,\"kind\":\"second\"}\n");
    put_log(&d,
            "{\"v\":1,\"seq\":1,\"time\":\"1970-01-01T00:00:01.600Z\",\"kind\":"
            "\"gate\",\"decision_id\":\"0000000000000005\",\"agent\":"
            "\"/Agents/1\"}\n"
            "{\"v\":1,\"seq\":2,\"time\":\"1970-01-01T00:00:02.000Z\",\"kind\":"
            "\"gate\",\"decision_id\":\"0000000000000006\",\"agent\":"
            "\"/Agents/2\"}\n"
            "{\"v\":1,\"seq\":3,\"time\":\"1970-01-01T00:00:03.000Z\",\"kind\":"
            "\"feed\",\"outcome\":\"silent\"}\n"
            "{\"v\":1,\"seq\":4,\"time\":\"1970-01-01T00:00:03.000Z\",\"kind\":"
            "\"operator\",\"person\":\"ann\"}\n");
    char log[256];
    (void)snprintf(log, sizeof log, "%s", tmp_dir_file(&d, "log"));
    struct history_from from = {.store = tmp_dir_span(&d),
                                .log = span_str(log)};
    CHECK_OK(history_source_open(&from, &s, &f), &f);
    check_order(s, all);
    history_source_close(s);
    from.since_ms = 1800;
    CHECK_OK(history_source_open(&from, &s, &f), &f);
    check_order(s, late);
    history_source_close(s);
    store_db_close(&db, true);
    tmp_dir_drop(&d);
}

static void an_input_that_is_none_is_refused(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct store_db db;
    struct history_source *s;
    struct span line;
    struct fail f;
    bool created;
    tmp_dir_make(&d);
    CHECK_OK(store_db_open(&db, tmp_dir_span(&d), &created, &f), &f);
    put_row(&db, 1, 1000, "nonsense");
    const struct history_from from = {.store = tmp_dir_span(&d)};
    CHECK_OK(history_source_open(&from, &s, &f), &f);
    CHECK_INT(history_source_next(s, &line, &f), RC_BROKEN);
    history_source_close(s);
    store_db_close(&db, true);
    tmp_dir_drop(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_outlive_folding_until_they_are_old),
        cmocka_unit_test(both_come_in_the_order_of_decisions),
        cmocka_unit_test(an_input_that_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
