// SPDX-License-Identifier: Apache-2.0
#include "sidecar/policy_report.h"

#include "sidecar/base/json_out.h"
#include "sidecar/policy_report_coverage.h"

static bool has_values(const struct world_failure *f)
{
    return f->expected.n > 0 || f->got.n > 0;
}

/* ---- text ---- */

static void put_failure(const struct policy_report_file *f,
                        const struct world_failure *failure,
                        const struct term *term, struct buf *out)
{
    buf_put_str(out, "      ");
    term_put(out, f->file.path);
    buf_printf(out, ":%u: ", failure->line);
    term_put(out, failure->what);
    buf_put_str(out, "\n");
    if (!has_values(failure))
        return;
    buf_put_str(out, "        expected  ");
    term_tone(term, out, TONE_GOOD, failure->expected);
    buf_put_str(out, "\n        got       ");
    term_tone(term, out, TONE_BAD, failure->got);
    buf_put_str(out, "\n");
}

static void put_result(const struct policy_report *r,
                       const struct policy_report_file *f,
                       const struct world_result *one, const struct term *term,
                       struct buf *out)
{
    bool passed = one->failure_count == 0;
    buf_put_str(out, "  ");
    term_tone(term, out, passed ? TONE_GOOD : TONE_BAD,
              passed ? SPAN("pass") : SPAN("FAIL"));
    buf_put_str(out, "  ");
    term_put(out, one->test->name);
    if (r->verbose)
        buf_printf(out, " (line %u, %u check%s)", one->test->line, one->checks,
                   term_plural(one->checks));
    buf_put_str(out, "\n");
    for (unsigned i = 0; i < one->failure_count; i++)
        put_failure(f, &one->failures[i], term, out);
    if (r->verbose)
        buf_put(out, one->trace);
}

void policy_report_text(const struct policy_report *r, const struct term *term,
                        struct buf *out)
{
    for (unsigned i = 0; i < r->file_count; i++) {
        const struct policy_report_file *f = &r->files[i];
        term_tone(term, out, TONE_BOLD, f->file.path);
        buf_printf(out, "%s\n", f->file.test_count == 0 ? ": no tests" : "");
        for (unsigned k = 0; k < f->file.test_count; k++)
            put_result(r, f, f->results[k], term, out);
    }
    for (unsigned i = 0; r->coverage && i < r->file_count; i++)
        if (r->files[i].last_of_policy)
            coverage_put(r->files[i].coverage, r->files[i].file.policy_path,
                         term, out);
    char text[64];
    const bool bad = r->failed > 0 || r->wrong_count > 0;
    int n = snprintf(text, sizeof text, "%u passed, %u failed", r->passed,
                     r->failed);
    term_tone(term, out, bad ? TONE_BAD : TONE_GOOD,
              span_of(text, n < 0 ? 0 : (size_t)n));
    if (r->wrong_count > 0)
        buf_printf(out, ", %u file%s with errors", r->wrong_count,
                   term_plural(r->wrong_count));
    buf_put_str(out, "\n");
}

/* ---- JSON ---- */

static void json_result(struct json_out *j, const struct world_result *one)
{
    json_open_map(j, NULL);
    json_text(j, "name", one->test->name);
    json_u64(j, "line", one->test->line);
    json_bool(j, "passed", one->failure_count == 0);
    json_u64(j, "checks", one->checks);
    json_open_list(j, "failures");
    for (unsigned i = 0; i < one->failure_count; i++) {
        const struct world_failure *f = &one->failures[i];
        json_open_map(j, NULL);
        json_u64(j, "line", f->line);
        json_text(j, "what", f->what);
        if (has_values(f)) {
            json_text(j, "expected", f->expected);
            json_text(j, "got", f->got);
        }
        json_close_map(j);
    }
    json_close_list(j);
    json_close_map(j);
}

void policy_report_json(const struct policy_report *r, struct buf *out)
{
    struct json_out j;
    json_out_init(&j, out);
    json_open_map(&j, NULL);
    json_bool(&j, "ok", r->failed == 0 && r->wrong_count == 0);
    json_u64(&j, "passed", r->passed);
    json_u64(&j, "failed", r->failed);
    json_open_list(&j, "files_with_errors");
    for (unsigned i = 0; i < r->wrong_count; i++)
        json_text(&j, NULL, r->wrong[i]);
    json_close_list(&j);
    json_open_list(&j, "files");
    for (unsigned i = 0; i < r->file_count; i++) {
        const struct policy_report_file *f = &r->files[i];
        json_open_map(&j, NULL);
        json_text(&j, "file", f->file.path);
        json_text(&j, "policy", f->file.policy_path);
        json_str(&j, "digest", f->file.policy->digest_hex);
        json_open_list(&j, "tests");
        for (unsigned k = 0; k < f->file.test_count; k++)
            json_result(&j, f->results[k]);
        json_close_list(&j);
        if (f->last_of_policy)
            coverage_json(f->coverage, &j);
        json_close_map(&j);
    }
    json_close_list(&j);
    json_close_map(&j);
    buf_put_str(out, "\n");
}

/* ---- TAP ---- */

/* A description cannot hold `#`, which begins a directive, or a line end. */
static void tap_text(struct buf *out, struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '#' || s.p[i] == '\\')
            buf_put_u8(out, '\\');
        buf_put_u8(out, s.p[i] < 0x20 || s.p[i] == 0x7f ? ' ' : s.p[i]);
    }
}

/* The diagnostic block is YAML, and JSON text is YAML. */
static void tap_value(struct buf *out, const char *key, struct span s)
{
    struct json_out j;
    buf_printf(out, "%s: ", key);
    json_out_init(&j, out);
    json_text(&j, NULL, s);
    buf_put_str(out, "\n");
}

static void tap_failures(struct buf *out, const struct policy_report_file *f,
                         const struct world_result *one)
{
    buf_put_str(out, "  ---\n");
    tap_value(out, "  file", f->file.path);
    buf_put_str(out, "  failures:\n");
    for (unsigned i = 0; i < one->failure_count; i++) {
        const struct world_failure *failure = &one->failures[i];
        buf_printf(out, "    - line: %u\n", failure->line);
        tap_value(out, "      what", failure->what);
        if (!has_values(failure))
            continue;
        tap_value(out, "      expected", failure->expected);
        tap_value(out, "      got", failure->got);
    }
    buf_put_str(out, "  ...\n");
}

void policy_report_tap(const struct policy_report *r, struct buf *out)
{
    unsigned number = 0;
    buf_printf(out, "TAP version 14\n1..%u\n", r->passed + r->failed);
    for (unsigned i = 0; i < r->file_count; i++) {
        const struct policy_report_file *f = &r->files[i];
        for (unsigned k = 0; k < f->file.test_count; k++) {
            const struct world_result *one = f->results[k];
            buf_printf(out, "%s %u - ",
                       one->failure_count == 0 ? "ok" : "not ok", ++number);
            tap_text(out, one->test->name);
            buf_put_str(out, "\n");
            if (one->failure_count > 0)
                tap_failures(out, f, one);
        }
    }
    for (unsigned i = 0; i < r->wrong_count; i++) {
        buf_put_str(out, "Bail out! errors in ");
        tap_text(out, r->wrong[i]);
        buf_put_str(out, "\n");
    }
}

/* ---- JUnit ---- */

/* XML 1.0 has no control characters but tab and line ends. */
static void xml_text(struct buf *out, struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        switch (s.p[i]) {
            case '&': buf_put_str(out, "&amp;"); break;
            case '<': buf_put_str(out, "&lt;"); break;
            case '>': buf_put_str(out, "&gt;"); break;
            case '"': buf_put_str(out, "&quot;"); break;
            default:
                buf_put_u8(out, s.p[i] < 0x20 || s.p[i] == 0x7f ? ' ' : s.p[i]);
                break;
        }
    }
}

static void xml_attribute(struct buf *out, const char *name, struct span s)
{
    buf_printf(out, " %s=\"", name);
    xml_text(out, s);
    buf_put_str(out, "\"");
}

static void junit_case(struct buf *out, const struct policy_report_file *f,
                       const struct world_result *one)
{
    buf_put_str(out, "    <testcase");
    xml_attribute(out, "name", one->test->name);
    xml_attribute(out, "classname", f->file.path);
    xml_attribute(out, "file", f->file.path);
    buf_printf(out, " line=\"%u\" time=\"0\"", one->test->line);
    if (one->failure_count == 0) {
        buf_put_str(out, "/>\n");
        return;
    }
    buf_put_str(out, ">\n      <failure");
    buf_put_str(out, " type=\"expectation\"");
    xml_attribute(out, "message", one->failures[0].what);
    buf_put_str(out, ">");
    for (unsigned i = 0; i < one->failure_count; i++) {
        const struct world_failure *failure = &one->failures[i];
        xml_text(out, f->file.path);
        buf_printf(out, ":%u: ", failure->line);
        xml_text(out, failure->what);
        if (has_values(failure)) {
            buf_put_str(out, ": expected ");
            xml_text(out, failure->expected);
            buf_put_str(out, ", got ");
            xml_text(out, failure->got);
        }
        buf_put_str(out, "\n");
    }
    buf_put_str(out, "</failure>\n    </testcase>\n");
}

static unsigned failed_of(const struct policy_report_file *f)
{
    unsigned n = 0;
    for (unsigned i = 0; i < f->file.test_count; i++)
        n += f->results[i]->failure_count > 0;
    return n;
}

/* Readers count suites: what could not run must not look like nothing to do. */
static void junit_wrong(struct buf *out, struct span path)
{
    buf_put_str(out, "  <testsuite");
    xml_attribute(out, "name", path);
    buf_put_str(out,
                " tests=\"1\" failures=\"0\" errors=\"1\" skipped=\"0\" "
                "time=\"0\">\n    <testcase name=\"the file has no errors\"");
    xml_attribute(out, "classname", path);
    buf_put_str(
        out,
        " time=\"0\">\n      <error type=\"file\" message=\"none of its "
        "tests ran\"/>\n    </testcase>\n  </testsuite>\n");
}

void policy_report_junit(const struct policy_report *r, struct buf *out)
{
    buf_printf(out,
               "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
               "<testsuites name=\"bailiff policy test\" tests=\"%u\" "
               "failures=\"%u\" errors=\"%u\" time=\"0\">\n",
               r->passed + r->failed + r->wrong_count, r->failed,
               r->wrong_count);
    for (unsigned i = 0; i < r->file_count; i++) {
        const struct policy_report_file *f = &r->files[i];
        buf_put_str(out, "  <testsuite");
        xml_attribute(out, "name", f->file.path);
        buf_printf(out,
                   " tests=\"%u\" failures=\"%u\" errors=\"0\" "
                   "skipped=\"0\" time=\"0\">\n",
                   f->file.test_count, failed_of(f));
        for (unsigned k = 0; k < f->file.test_count; k++)
            junit_case(out, f, f->results[k]);
        buf_put_str(out, "  </testsuite>\n");
    }
    for (unsigned i = 0; i < r->wrong_count; i++)
        junit_wrong(out, r->wrong[i]);
    buf_put_str(out, "</testsuites>\n");
}
