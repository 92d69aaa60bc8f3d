// SPDX-License-Identifier: Apache-2.0
#include "sidecar/base/number_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t digit_run(struct span s, size_t at)
{
    size_t n = 0;
    while (at + n < s.n && s.p[at + n] >= '0' && s.p[at + n] <= '9')
        n++;
    return n;
}

static bool skip_fraction(struct span s, size_t *at)
{
    if (*at == s.n || s.p[*at] != '.')
        return true;
    size_t run = digit_run(s, *at + 1);
    *at += 1 + run;
    return run > 0;
}

static bool skip_exponent(struct span s, size_t *at)
{
    if (*at == s.n || (s.p[*at] != 'e' && s.p[*at] != 'E'))
        return true;
    *at += 1;
    if (*at < s.n && (s.p[*at] == '+' || s.p[*at] == '-'))
        *at += 1;
    size_t run = digit_run(s, *at);
    *at += run;
    return run > 0;
}

bool number_is_json(struct span s, bool *ret_is_whole)
{
    size_t at = s.n > 0 && s.p[0] == '-';
    size_t run = digit_run(s, at);
    if (run == 0 || (run > 1 && s.p[at] == '0'))
        return false;
    at += run;
    *ret_is_whole = at == s.n;
    return skip_fraction(s, &at) && skip_exponent(s, &at) && at == s.n;
}

bool number_parse(struct span s, struct number *ret)
{
    char text[NUMBER_TEXT_MAX + 1] = {0};
    struct number v = {0};
    uint64_t size;
    if (s.n > NUMBER_TEXT_MAX || !number_is_json(s, &v.is_whole))
        return false;
    memcpy(text, s.p, s.n);
    v.real = strtod(text, NULL);
    if (!isfinite(v.real))
        return false;
    bool minus = s.p[0] == '-';
    if (v.is_whole && span_u64(span_sub(s, minus, s.n), &size) &&
        size <= INT64_MAX) {
        v.is_int = true;
        v.integer = minus ? -(int64_t)size : (int64_t)size;
    }
    *ret = v;
    return true;
}

void number_text(double v, char ret[NUMBER_TEXT_MAX])
{
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(ret, NUMBER_TEXT_MAX, "%.*g", digits, v);
        double back = strtod(ret, NULL);
        if (!(back < v) && !(back > v))
            break;
    }
}

static const char hex_digits[] = "0123456789abcdef";

void hex_text(struct span bytes, char *ret)
{
    for (size_t i = 0; i < bytes.n; i++) {
        *ret++ = hex_digits[bytes.p[i] >> 4];
        *ret++ = hex_digits[bytes.p[i] & 15];
    }
    *ret = '\0';
}

bool hex_is(struct span hex, struct span bytes)
{
    bool same = hex.n == bytes.n * 2;
    for (size_t i = 0; same && i < bytes.n; i++)
        same = hex.p[2 * i] == (unsigned char)hex_digits[bytes.p[i] >> 4] &&
               hex.p[2 * i + 1] == (unsigned char)hex_digits[bytes.p[i] & 15];
    return same;
}
