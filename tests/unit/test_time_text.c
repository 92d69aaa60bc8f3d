// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/check.h"

#include <time.h>

#include "sidecar/base/time_text.h"

#define DAY_MS (INT64_C(86400000))

static void parses(void **state)
{
    (void)state;
    static const struct {
        const char *s;
        bool ok;
        int64_t want;
    } rows[] = {
        {"1970-01-01T00:00:00Z", true, 0},
        {"2027-02-01", true, 1801440000000},
        {"2026-09-21T14:29:58.123Z", true, 1790000998123},
        {"2026-09-21t14:29:58z", true, 1790000998000},
        {"2026-09-21T16:29:58.5+02:00", true, 1790000998500},
        {"2026-09-21T09:29:58-05:00", true, 1790000998000},
        {"2026-09-21T14:29:58.1239999999Z", true, 1790000998123},
        {"1969-12-31T23:59:59.999Z", true, -1},
        {"2016-12-31T23:59:60Z", true, 1483228800000}, /* leap second */
        {"2024-02-29", true, 1709164800000},
        {"2023-02-29", false, 0},
        {"1900-02-29", false, 0},
        {"2000-02-29", true, 951782400000},
        {"2026-04-31", false, 0},
        {"2026-00-01", false, 0},
        {"2026-13-01", false, 0},
        {"2026-01-00", false, 0},
        {"2026-01-32", false, 0},
        {"2026-01-01T24:00:00Z", false, 0},
        {"2026-01-01T00:60:00Z", false, 0},
        {"2026-01-01T00:00:61Z", false, 0},
        {"2026-01-01T00:00:00", false, 0}, /* a zone is required */
        {"2026-01-01T00:00:00.Z", false, 0},
        {"2026-01-01T00:00:00+15:00", false, 0},
        {"2026-01-01T00:00:00+0100", false, 0},
        {"2026-01-01T00:00:00Zx", false, 0},
        {"2026-01-01 00:00:00Z", false, 0},
        {"2026-1-1", false, 0},
        {"+026-01-01", false, 0},
        {"-026-01-01", false, 0},
        {"", false, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t got = 4711;
        check_row(rows[i].s);
        CHECK_INT(time_parse(span_str(rows[i].s), &got), rows[i].ok);
        CHECK_INT(got, rows[i].ok ? rows[i].want : 4711);
    }
    check_row(NULL);
}

/* Every day of the years 0 to 9999 as the C library knows it, and back. */
static void agrees_with_gmtime(void **state)
{
    (void)state;
    for (int64_t day = -719528; day <= 2932896; day += 13) {
        int64_t ms = day * DAY_MS + (day & 0xffff) * 1000 + 7;
        time_t t = (time_t)((ms - 7) / 1000);
        struct tm tm;
        char want[TIME_TEXT_BYTES + 64], got[TIME_TEXT_BYTES];
        CHECK(gmtime_r(&t, &tm) != NULL);
        (void)snprintf(want, sizeof want, "%04d-%02d-%02dT%02d:%02d:%02d.007Z",
                       tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
                       tm.tm_min, tm.tm_sec);
        time_text(ms, got);
        CHECK_STR(got, want);
        int64_t back = 0;
        CHECK(time_parse(span_str(got), &back));
        CHECK_INT(back, ms);
    }
}

static void clamps(void **state)
{
    (void)state;
    char text[TIME_TEXT_BYTES];
    time_text(INT64_MAX, text);
    CHECK_STR(text, "9999-12-31T23:59:59.999Z");
    time_text(INT64_MIN, text);
    CHECK_STR(text, "0000-01-01T00:00:00.000Z");
    time_text(-1, text);
    CHECK_STR(text, "1969-12-31T23:59:59.999Z");
}

static void durations(void **state)
{
    (void)state;
    static const struct {
        const char *s;
        bool ok;
        int64_t want;
    } rows[] = {
        {"250ms", true, 250},
        {"2s", true, 2000},
        {"15m", true, 900000},
        {"24h", true, DAY_MS},
        {"30d", true, 30 * DAY_MS},
        {"0s", true, 0},
        {"3653d", true, 3653 * DAY_MS},
        {"3654d", false, 0},
        {"315619200001ms", false, 0},
        {"999999999999999999d", false, 0},
        {"9999999999999999999s", false, 0},
        {"5", false, 0},
        {"s", false, 0},
        {"-5s", false, 0},
        {"+5s", false, 0},
        {"1.5h", false, 0},
        {"5 s", false, 0},
        {"5S", false, 0},
        {"5sec", false, 0},
        {"1h30m", false, 0},
        {"", false, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t got = 4711;
        check_row(rows[i].s);
        CHECK_INT(duration_parse(span_str(rows[i].s), &got), rows[i].ok);
        CHECK_INT(got, rows[i].ok ? rows[i].want : 4711);
    }
    check_row(NULL);
}

static void durations_as_text(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *want;
    } rows[] = {
        {0, "0s"},
        {1, "1ms"},
        {1000, "1s"},
        {1500, "1500ms"},
        {60000, "1m"},
        {90000, "90s"},
        {3600000, "1h"},
        {DAY_MS, "1d"},
        {DAY_MS + 3600000, "25h"},
        {90 * DAY_MS, "90d"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[TIME_TEXT_BYTES];
        int64_t back;
        check_row(rows[i].want);
        duration_text(rows[i].ms, text);
        CHECK_STR(text, rows[i].want);
        CHECK(duration_parse(span_str(text), &back));
        CHECK_INT(back, rows[i].ms);
    }
    check_row(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses),
        cmocka_unit_test(agrees_with_gmtime),
        cmocka_unit_test(clamps),
        cmocka_unit_test(durations),
        cmocka_unit_test(durations_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
