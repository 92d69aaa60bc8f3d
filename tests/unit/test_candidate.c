// SPDX-License-Identifier: Apache-2.0
/* The candidate's thread: what is pushed to it is compared there, differences
 * come back; it ends whenever it is told to. */
#include "tests/lib/check.h"

#include <string.h>
#include <unistd.h>

#include "sidecar/io/file.h"
#include "sidecar/run/candidate.h"
#include "tests/lib/tmp_dir.h"

#define WAIT_MS 30000
#define ABOUT                                                                  \
    "\"base\":\"https://idp/scim\",\"uri\":\"/Agents/1\","                     \
    "\"subject_kind\":\"agent\","

static const char policy[] =
    "apiVersion: bailiff/v1\nkind: Policy\ngate:\n"
    "  - {name: pay, tools: [pay], require: 'groups.value eq \"g1\"'}\n"
    "  - {name: all, tools: ['*']}\n";

static const char read_line[] =
    "{\"t\":1000000,\"kind\":\"read\"," ABOUT
    "\"result\":\"qualified\","
    "\"took\":5,\"etag\":\"a\",\"resource\":{\"active\":true}}\n";
static const char question_line[] =
    "{\"t\":1000001,\"kind\":\"question\"," ABOUT
    "\"tool\":\"pay\","
    "\"outcome\":\"allow\",\"reason\":\"allowed\"}\n";

static struct candidate *begin(const struct tmp_dir *d, const char *text)
{
    struct candidate *c;
    struct fail f;
    CHECK_OK(file_replace(tmp_dir_span(d), "p.yaml", span_str(text), 0600, &f),
             &f);
    CHECK_OK(candidate_start(span_str(tmp_dir_file(d, "p.yaml")), NULL, &c, &f),
             &f);
    return c;
}

static void wait_loaded(struct candidate *c, enum candidate_state wanted)
{
    for (int i = 0; i < WAIT_MS && candidate_state(c) == CANDIDATE_LOADING; i++)
        (void)usleep(1000);
    CHECK_INT(candidate_state(c), wanted);
}

static void push(struct candidate *c, const char *line)
{
    candidate_push(c, false, span_str(line));
    candidate_flush(c);
}

static bool wait_told(struct candidate *c, struct in *ret)
{
    bool told = false;
    for (int i = 0; i < WAIT_MS && !told; i++) {
        told = candidate_has(c) && candidate_next(c, ret);
        if (!told)
            (void)usleep(1000);
    }
    return told;
}

/* The question was allowed; the candidate would have denied it. */
static void difference_comes_back(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct in in;
    struct candidate_stats stats = {0};
    tmp_dir_make(&d);
    struct candidate *c = begin(&d, policy);
    push(c, read_line); /* while it loads, or not */
    wait_loaded(c, CANDIDATE_ACTIVE);
    push(c, question_line);
    CHECK(wait_told(c, &in));
    CHECK_INT(in.kind, IN_WOULD);
    CHECK_SPAN(in.would.uri, SPAN("/Agents/1"));
    CHECK_SPAN(in.would.tool, SPAN("pay"));
    CHECK_SPAN(in.would.rule, SPAN("pay"));
    for (int i = 0; i < WAIT_MS && stats.changed == 0; i++) {
        candidate_stats_get(c, &stats);
        (void)usleep(1000);
    }
    CHECK_UINT(stats.questions, 1);
    CHECK_UINT(stats.changed, 1);
    CHECK_UINT(stats.dropped, 0);
    candidate_stop(c);
    tmp_dir_drop(&d);
}

static void bad_policy_is_refused(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct fail why;
    tmp_dir_make(&d);
    struct candidate *c = begin(&d, "kind: Nothing\n");
    wait_loaded(c, CANDIDATE_REFUSED);
    candidate_why(c, &why);
    CHECK(strstr(why.text, "p.yaml:") != NULL);
    for (unsigned i = 0; i < 1000; i++)
        push(c, question_line); /* nobody takes it: it is not kept */
    candidate_stop(c);
    tmp_dir_drop(&d);
}

/* At every moment: while it loads, works or waits. */
static void stops_at_once(void **state)
{
    (void)state;
    struct tmp_dir d;
    tmp_dir_make(&d);
    for (unsigned i = 0; i < 20; i++) {
        struct candidate *c = begin(&d, policy);
        for (unsigned k = 0; k < 10 * i; k++)
            push(c, k % 2 == 0 ? read_line : question_line);
        (void)usleep(500 * i);
        candidate_stop(c);
    }
    tmp_dir_drop(&d);
}

/* What finds no room is counted, and what found some is still compared. */
static void overflow_is_counted(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct candidate_stats stats = {0};
    tmp_dir_make(&d);
    struct candidate *c = begin(&d, policy);
    push(c, read_line);
    for (unsigned i = 0; i < 2 * CANDIDATE_QUEUE_BYTES / sizeof question_line;
         i++)
        candidate_push(c, false, span_str(question_line));
    candidate_flush(c); /* more than the queue of one step holds */
    push(c, question_line);
    for (int i = 0; i < WAIT_MS && stats.questions == 0; i++) {
        candidate_stats_get(c, &stats);
        (void)usleep(1000);
    }
    CHECK_UINT(stats.dropped, 1);
    candidate_stop(c);
    tmp_dir_drop(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(difference_comes_back),
        cmocka_unit_test(bad_policy_is_refused),
        cmocka_unit_test(stops_at_once),
        cmocka_unit_test(overflow_is_counted),
    };
    return cmocka_run_group_tests_name("candidate", tests, NULL, NULL);
}
