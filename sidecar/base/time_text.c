// SPDX-License-Identifier: Apache-2.0
#include "sidecar/base/time_text.h"

#include <stdio.h>

#define DAY_MS (INT64_C(24) * 3600 * 1000)
#define DURATION_MAX_MS (INT64_C(3653) * DAY_MS)

/* Days since 1970-01-01 of a proleptic Gregorian date, and back; the usual
 * era arithmetic with 400-year cycles that start on 1 March. */
static int64_t days_from_civil(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

struct civil {
    int64_t y, m, d;
};

static struct civil civil_from_days(int64_t z)
{
    z += 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    int64_t m = mp < 10 ? mp + 3 : mp - 9;
    return (struct civil){yoe + era * 400 + (m <= 2), m,
                          doy - (153 * mp + 2) / 5 + 1};
}

/* `width` digits of v and what follows them; returns the end. */
static char *put_digits(char *p, int64_t v, int width, char then)
{
    for (int i = width; i-- > 0; v /= 10)
        p[i] = (char)('0' + v % 10);
    p[width] = then;
    return p + width + 1;
}

void time_text(int64_t wall_ms, char ret[TIME_TEXT_BYTES])
{
    const int64_t first = days_from_civil(0, 1, 1) * DAY_MS;
    const int64_t last = days_from_civil(10000, 1, 1) * DAY_MS - 1;
    wall_ms = wall_ms < first ? first : wall_ms > last ? last : wall_ms;
    int64_t days = wall_ms / DAY_MS, ms = wall_ms % DAY_MS;
    if (ms < 0) {
        ms += DAY_MS;
        days--;
    }
    struct civil c = civil_from_days(days);
    char *p = put_digits(ret, c.y, 4, '-');
    p = put_digits(p, c.m, 2, '-');
    p = put_digits(p, c.d, 2, 'T');
    p = put_digits(p, ms / 3600000, 2, ':');
    p = put_digits(p, ms / 60000 % 60, 2, ':');
    p = put_digits(p, ms / 1000 % 60, 2, '.');
    p = put_digits(p, ms % 1000, 3, 'Z');
    *p = 0;
}

/* A cursor that turns to `bad` at the first surprise. */
struct cursor {
    struct span s;
    bool bad;
};

static int64_t digits(struct cursor *c, size_t n)
{
    uint64_t v = 0;
    if (c->s.n < n || !span_u64(span_sub(c->s, 0, n), &v))
        c->bad = true;
    c->s = span_sub(c->s, n, c->s.n);
    return (int64_t)v;
}

static bool accept(struct cursor *c, const char *set)
{
    for (; *set != 0; set++) {
        if (c->s.n > 0 && c->s.p[0] == (unsigned char)*set) {
            c->s = span_sub(c->s, 1, c->s.n);
            return true;
        }
    }
    return false;
}

static void expect(struct cursor *c, const char *set)
{
    if (!accept(c, set))
        c->bad = true;
}

static int64_t fraction_ms(struct cursor *c)
{
    int64_t ms = 0, unit = 100;
    size_t n = 0;
    while (n < c->s.n && c->s.p[n] >= '0' && c->s.p[n] <= '9') {
        ms += (c->s.p[n] - '0') * unit;
        unit /= 10;
        n++;
    }
    if (n == 0)
        c->bad = true;
    c->s = span_sub(c->s, n, c->s.n);
    return ms;
}

static int64_t zone_ms(struct cursor *c)
{
    if (accept(c, "Zz"))
        return 0;
    bool west = c->s.n > 0 && c->s.p[0] == '-';
    expect(c, "+-");
    int64_t h = digits(c, 2);
    expect(c, ":");
    int64_t m = digits(c, 2);
    if (h > 14 || m > 59)
        c->bad = true;
    int64_t ms = (h * 60 + m) * 60000;
    return west ? -ms : ms;
}

static int64_t clock_ms(struct cursor *c)
{
    int64_t h = digits(c, 2);
    expect(c, ":");
    int64_t m = digits(c, 2);
    expect(c, ":");
    int64_t s = digits(c, 2);
    if (h > 23 || m > 59 || s > 60)
        c->bad = true;
    int64_t ms = ((h * 60 + m) * 60 + s) * 1000;
    if (accept(c, "."))
        ms += fraction_ms(c);
    return ms - zone_ms(c);
}

bool time_parse(struct span s, int64_t *ret_wall_ms)
{
    struct cursor c = {s, false};
    int64_t y = digits(&c, 4);
    expect(&c, "-");
    int64_t m = digits(&c, 2);
    expect(&c, "-");
    int64_t d = digits(&c, 2);
    if (c.bad || m < 1 || m > 12 || d < 1 || d > 31)
        return false;
    int64_t days = days_from_civil(y, m, d);
    if (civil_from_days(days).d != d) /* 30 February */
        return false;
    int64_t ms = days * DAY_MS;
    if (c.s.n > 0) {
        expect(&c, "Tt");
        ms += clock_ms(&c);
    }
    if (c.bad || c.s.n > 0)
        return false;
    *ret_wall_ms = ms;
    return true;
}

bool duration_parse(struct span s, int64_t *ret_ms)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {
        {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", DAY_MS}};
    size_t n = 0;
    while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
        n++;
    uint64_t value;
    if (n > 18 || !span_u64(span_sub(s, 0, n), &value))
        return false;
    struct span unit = span_sub(s, n, s.n);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        int64_t ms;
        if (!span_eq(unit, span_str(units[i].unit)))
            continue;
        if (__builtin_mul_overflow((int64_t)value, units[i].ms, &ms) ||
            ms > DURATION_MAX_MS)
            return false;
        *ret_ms = ms;
        return true;
    }
    return false;
}

void duration_text(int64_t ms, char ret[TIME_TEXT_BYTES])
{
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = {
        {DAY_MS, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    size_t i = ms == 0 ? 3 : 0;
    while (ms % units[i].ms != 0)
        i++;
    (void)snprintf(ret, TIME_TEXT_BYTES, "%lld%s",
                   (long long)(ms / units[i].ms), units[i].unit);
}
