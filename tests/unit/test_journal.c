// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/check.h"

#include <string.h>

#include "sidecar/core/journal.h"

#define ROW_MAX (64 * 1024)

static struct buf *fresh(struct buf *b)
{
    buf_init(b, mem_system(), ROW_MAX);
    return b;
}

static void put_record(struct buf *b, struct span json)
{
    buf_put_u32be(b, (uint32_t)json.n);
    buf_put(b, json);
}

/* The layout is on disk: these bytes may never change for version 1. */
static void layout_is_fixed(void **state)
{
    (void)state;
    struct buf facts, body;
    journal_put_fact(fresh(&facts), FACT_HOLD, SPAN("k"), SPAN("vv"));
    journal_put_fact(&facts, FACT_META, SPAN("x"), span_of(NULL, 0));
    CHECK_SPAN(buf_span(&facts), SPAN("\x03\0\x01\0\0\0\x02"
                                      "kvv"
                                      "\x01\0\x01\xff\xff\xff\xff"
                                      "x"));
    journal_put_body(fresh(&body), SPAN("F"), SPAN("RR"), SPAN(""));
    CHECK_SPAN(buf_span(&body), SPAN("\x01\0\0\0\x01"
                                     "F\0\0\0\x02"
                                     "RR\0\0\0\0"));
    buf_fini(&facts);
    buf_fini(&body);
}

static void what_is_put_is_read(void **state)
{
    (void)state;
    struct buf facts, records, body;
    struct journal_body got;
    struct fact fact;
    struct span record;
    struct fail f;
    journal_put_fact(fresh(&facts), FACT_SUBJECT, SPAN("b\0/Agents/7"),
                     SPAN("known"));
    journal_put_fact(&facts, FACT_JTI, SPAN(""), SPAN(""));
    journal_put_fact(&facts, FACT_JOB, SPAN("j"), span_of(NULL, 0));
    put_record(fresh(&records), SPAN("\"kind\":\"event\"}"));
    put_record(&records, SPAN(""));
    journal_put_body(fresh(&body), buf_span(&facts), buf_span(&records),
                     SPAN("input"));
    CHECK_OK(journal_read_body(buf_span(&body), &got, &f), &f);
    CHECK_SPAN(got.input, SPAN("input"));

    CHECK_INT(journal_next_fact(&got.facts, &fact, &f), 1);
    CHECK(fact.kind == FACT_SUBJECT && !fact.gone);
    CHECK_SPAN(fact.key, SPAN("b\0/Agents/7"));
    CHECK_SPAN(fact.value, SPAN("known"));
    CHECK_INT(journal_next_fact(&got.facts, &fact, &f), 1);
    CHECK(fact.kind == FACT_JTI && !fact.gone && fact.value.n == 0);
    CHECK_INT(journal_next_fact(&got.facts, &fact, &f), 1);
    CHECK(fact.kind == FACT_JOB && fact.gone);
    CHECK_INT(journal_next_fact(&got.facts, &fact, &f), 0);

    CHECK_INT(journal_next_record(&got.records, &record, &f), 1);
    CHECK_SPAN(record, SPAN("\"kind\":\"event\"}"));
    CHECK_INT(journal_next_record(&got.records, &record, &f), 1);
    CHECK_UINT(record.n, 0);
    CHECK_INT(journal_next_record(&got.records, &record, &f), 0);
    buf_fini(&facts);
    buf_fini(&records);
    buf_fini(&body);
}

static void broken_bodies(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct span bytes;
    } rows[] = {
        {"empty", {NULL, 0}},
#define ROW(name, lit)                                                         \
    {                                                                          \
        name,                                                                  \
        {                                                                      \
            (const unsigned char *)(lit), sizeof(lit) - 1                      \
        }                                                                      \
    }
        ROW("version 0", "\x00\0\0\0\0\0\0\0\0\0\0\0\0"),
        ROW("version 2", "\x02\0\0\0\0\0\0\0\0\0\0\0\0"),
        ROW("trailing", "\x01\0\0\0\0\0\0\0\0\0\0\0\0x"),
        ROW("cut length", "\x01\0\0\0\0\0\0\0\0\0\0\0"),
        ROW("length lies", "\x01\0\0\0\x01\0\0\0\0\0\0\0\0"),
        ROW("huge", "\x01\xff\xff\xff\xff\0\0\0\0\0\0\0\0"),
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct journal_body got;
        struct fail f = {0};
        check_row(rows[i].name);
        CHECK_INT(journal_read_body(rows[i].bytes, &got, &f), RC_BROKEN);
        CHECK(f.text[0] != 0);
    }
    check_row(NULL);
}

static void broken_facts(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct span bytes;
    } rows[] = {
        ROW("kind 0", "\x00\0\0\0\0\0\0"),
        ROW("unknown kind", "\x0b\0\0\0\0\0\0"),
        ROW("cut head", "\x01\0\0\0\0\0"),
        ROW("cut key", "\x01\0\x02\0\0\0\0k"),
        ROW("cut value", "\x01\0\x01\0\0\0\x02kv"),
        ROW("gone, cut key", "\x01\0\x01\xff\xff\xff\xff"),
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct span rest = rows[i].bytes, record;
        struct fact fact;
        check_row(rows[i].name);
        CHECK_INT(journal_next_fact(&rest, &fact, NULL), RC_BROKEN);
        rest = SPAN("\0\0\0\x02x");
        CHECK_INT(journal_next_record(&rest, &record, NULL), RC_BROKEN);
    }
    check_row(NULL);
}

/* A torn row is never taken for a shorter good one. */
static void every_cut_is_noticed(void **state)
{
    (void)state;
    struct buf facts, body;
    struct journal_body got;
    journal_put_fact(fresh(&facts), FACT_FEED, SPAN("hr"), SPAN("state"));
    journal_put_body(fresh(&body), buf_span(&facts), SPAN(""), SPAN("in"));
    for (size_t n = 0; n < body.n; n++)
        CHECK_INT(
            journal_read_body(span_sub(buf_span(&body), 0, n), &got, NULL),
            RC_BROKEN);
    CHECK_INT(journal_read_body(buf_span(&body), &got, NULL), 0);
    buf_fini(&facts);
    buf_fini(&body);
}

static void key_lengths(void **state)
{
    (void)state;
    static unsigned char key[UINT16_MAX];
    struct buf facts;
    struct fact fact;
    buf_init(&facts, mem_system(), 2 * sizeof key);
    journal_put_fact(&facts, FACT_HOLD, span_of(key, sizeof key), SPAN("v"));
    struct span rest = buf_span(&facts);
    CHECK_INT(journal_next_fact(&rest, &fact, NULL), 1);
    CHECK_UINT(fact.key.n, sizeof key);
    CHECK_SPAN(fact.value, SPAN("v"));
    buf_fini(&facts);
}

/* A batch of the log may end within a row: the rest of it is not lost, and
 * what is there does not come twice. */
static void what_is_logged_is_skipped(void **state)
{
    (void)state;
    static const struct {
        uint64_t inputs[4]; /* of the log's lines */
        uint64_t row, from;
        unsigned left;
    } rows[] = {
        {{0}, 0, 1, 3},       {{6, 0, 7}, 7, 7, 2}, {{7, 0, 7}, 7, 7, 1},
        {{7, 7, 7}, 7, 7, 0}, {{7, 7, 7}, 7, 8, 3}, {{7, 7, 7, 7}, 7, 7, 0},
    };
    struct buf b;
    for (unsigned i = 0; i < 3; i++)
        put_record(i == 0 ? fresh(&b) : &b, SPAN("r}"));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct journal_logged l = {0};
        struct span rest = buf_span(&b), tail;
        unsigned left = 0;
        for (unsigned k = 0; k < 4; k++)
            journal_logged_note(&l, rows[i].inputs[k]);
        CHECK_UINT(l.row, rows[i].row);
        CHECK_INT(journal_skip_logged(&l, rows[i].from, &rest, NULL), 0);
        while (journal_next_record(&rest, &tail, NULL) == 1)
            left++;
        CHECK_UINT(left, rows[i].left);
    }
    const struct journal_logged one = {7, 1};
    struct span cut = span_of(b.p, 5);
    CHECK_INT(journal_skip_logged(&one, 7, &cut, NULL), RC_BROKEN);
    buf_fini(&b);
}

/* Plain ASCII, whatever the key is, and no longer than its room. */
static void facts_have_names(void **state)
{
    static const unsigned char many[300] = {'a'};
    static const struct {
        enum fact_kind kind;
        struct span key;
        const char *name;
    } rows[] = {
        {FACT_HOLD,
         {(const unsigned char *)"b\0/Agents/1\0s\0\x1b[1m", 18},
         "hold b /Agents/1 s ?[1m"},
        {FACT_JOB, {(const unsigned char *)"\0\1\xab", 3}, "job 0001ab"},
        {FACT_META, {(const unsigned char *)"", 0}, "meta "},
        {FACT_SUBJECT, {many, sizeof many}, NULL},
        {FACT_JTI, {many, sizeof many}, NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct fact fact = {.kind = rows[i].kind, .key = rows[i].key};
        char name[FACT_NAME_BYTES];
        fact_name(&fact, name);
        CHECK(strlen(name) < sizeof name);
        if (rows[i].name != NULL)
            CHECK_STR(name, rows[i].name);
        else
            CHECK(strlen(name) > sizeof name - 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_have_names),
        cmocka_unit_test(layout_is_fixed),
        cmocka_unit_test(what_is_put_is_read),
        cmocka_unit_test(broken_bodies),
        cmocka_unit_test(broken_facts),
        cmocka_unit_test(every_cut_is_noticed),
        cmocka_unit_test(key_lengths),
        cmocka_unit_test(what_is_logged_is_skipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
