// SPDX-License-Identifier: Apache-2.0
#include "policy/filter.h"

#define SYMBOLS "=!<>&|~"
#define EQ "write eq: active eq true"
#define AND "write and: active eq true and title pr"
#define OR "write or: active eq true or title pr"
#define NOT "write not (...): not (active eq true)"
#define CO "write co: title co \"trainee\""
#define QUOTES "text stands in straight double quotes: title eq \"clerk\""

/* What other languages write, and what a filter has instead. */
static const struct {
    const char *written, *advice;
} foreign[] = {
    {"=", EQ},
    {"==", EQ},
    {"===", EQ},
    {"equals", EQ},
    {"is", EQ},
    {"!=", "write ne: title ne \"clerk\""},
    {"!==", "write ne: title ne \"clerk\""},
    {"<>", "write ne: title ne \"clerk\""},
    {">", "write gt: level gt 3"},
    {">=", "write ge: level ge 3"},
    {"=>", "write ge: level ge 3"},
    {"<", "write lt: level lt 3"},
    {"<=", "write le: level le 3"},
    {"=<", "write le: level le 3"},
    {"~", CO},
    {"=~", CO},
    {"contains", CO},
    {"like", CO},
    {"matches", CO},
    {"startsWith", "write sw: title sw \"train\""},
    {"endsWith", "write ew: title ew \"ee\""},
    {"exists", "write pr: title pr"},
    {"in", "one comparison for each: title eq \"a\" or title eq \"b\""},
    {"&", AND},
    {"&&", AND},
    {"|", OR},
    {"||", OR},
    {"!", NOT},
};

static const char *advice_on(struct span word)
{
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (span_ieq(word, span_str(foreign[i].written)))
            return foreign[i].advice;
    return NULL;
}

static bool is_one_of(unsigned char c, struct span set)
{
    return span_find(set, c, 0) < set.n;
}

/* The bytes from `at` on that are in the set, or are not. */
static struct span run_of(struct span text, size_t at, struct span set, bool in)
{
    size_t end = at;
    while (end < text.n && is_one_of(text.p[end], set) == in)
        end++;
    return span_sub(text, at, end);
}

/* An operator without spaces around it: `active==true`, `!active`. */
static const char *advice_inside(struct span word)
{
    struct span before = run_of(word, 0, SPAN(SYMBOLS), false);
    return advice_on(run_of(word, before.n, SPAN(SYMBOLS), true));
}

const char *filter_advice(struct span text, size_t at)
{
    if (at >= text.n)
        return NULL;
    struct span rest = span_sub(text, at, text.n);
    struct span word = run_of(text, at, SPAN(" \t\r\n()[]\""), false);
    const char *advice = advice_on(word);
    if (advice != NULL)
        return advice;
    if (rest.p[0] == '\'' || span_starts(rest, SPAN("\xE2\x80")))
        return QUOTES;
    if (at == 0 && rest.p[0] == '"')
        return "the attribute stands first: title eq \"clerk\"";
    if (at > 0 && text.p[at - 1] == '[' &&
        is_one_of(rest.p[0], SPAN("*0123456789")))
        return "in [ ] stands a condition: emails[type eq \"work\"]";
    return advice_inside(word);
}
