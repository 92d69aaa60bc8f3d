// SPDX-License-Identifier: Apache-2.0
/*
 * tests/golden/policy/NAME.yaml is loaded and what a person would see must be
 * NAME.want, byte for byte; for tests/golden/policy-warn with all warnings.
 * GOLDEN_UPDATE=1 writes the .want files instead; look at the difference before
 * you commit it.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/policy.h"
#include "policy/warn.h"
#include "sidecar/base/buf.h"
#include "sidecar/config/yaml_doc.h"

#include <cmocka.h> /* last: it has a macro named fail */

#define FILE_MAX (512 * 1024)

/* A lost directory must not pass. */
static const struct suite {
    const char *dir;
    bool warn;
    unsigned count_min;
} suites[] = {{"tests/golden/policy", false, 20},
              {"tests/golden/policy-warn", true, 9}};

static void read_all(const char *path, struct buf *out)
{
    FILE *in = fopen(path, "rb");
    if (in == NULL)
        return;
    for (int c = fgetc(in); c != EOF; c = fgetc(in))
        buf_put_u8(out, (uint8_t)c);
    (void)fclose(in);
}

static void print_names(const struct names *n, struct buf *out)
{
    for (unsigned i = 0; i < n->count; i++)
        buf_printf(out, " %.*s", PRSPAN(n->at[i]));
    buf_put_u8(out, '\n');
}

static void print_rule(const struct policy_rule *r, struct buf *out)
{
    buf_printf(out, "  rule %.*s on", PRSPAN(r->name));
    for (unsigned t = 0; t < EVENT_TYPE_COUNT; t++)
        if ((r->events & EVENT_BIT(t)) != 0)
            buf_printf(out, " %s", event_type_name((enum event_type)t));
    buf_printf(out, ", %s, applies %d, changed %u, do",
               subject_kind_word(r->subject), (int)r->applies_to,
               r->changed_count);
    for (unsigned i = 0; i < r->step_count; i++)
        buf_printf(out, " %s", step_kind_word(r->steps[i].kind));
    if (r->where != NULL) {
        buf_put_str(out, ", where ");
        filter_print(r->where, out);
    }
    buf_put_u8(out, '\n');
}

static void print_policy(const struct policy *p, struct buf *out)
{
    buf_printf(out, "ok: mode %s, max_age %lld ms, unknown %s\n",
               p->mode.audit ? "audit" : "enforce", (long long)p->max_age_ms,
               p->lookup_unknown ? "lookup" : "deny");
    for (unsigned i = 0; i < p->rule_count; i++)
        print_rule(&p->rules[i], out);
    for (unsigned i = 0; i < p->gate_count; i++) {
        buf_printf(out, "  gate %.*s, classes %x, all %d, require ",
                   PRSPAN(p->gates[i].name), p->gates[i].tools.classes,
                   p->gates[i].tools.all);
        if (p->gates[i].require != NULL)
            filter_print(p->gates[i].require, out);
        buf_put_u8(out, '\n');
    }
    buf_printf(out, "  actions %u, feeds %u, tests %u\n  attributes",
               p->action_count, p->feed_count, p->test_count);
    print_names(&p->attributes, out);
}

static void load_one(struct span text, const char *name, bool warn,
                     struct buf *out)
{
    struct arena a;
    struct fail f = {0};
    const struct doc *root = NULL;
    const struct policy *p = NULL;
    static struct policy_notes notes;
    memset(&notes, 0, sizeof notes);
    arena_init(&a, mem_system(), 64 * 1024 * 1024);
    int rc =
        yaml_doc_parse(&a.mem, text, POLICY_FILE_BYTES_MAX, &root, &notes, &f);
    if (rc == 0)
        rc = policy_load(&a.mem, root, &p, &notes, &f);
    if (rc == 0 && warn)
        policy_warn(p, root, &notes);
    policy_notes_print(&notes, name, text, false, out);
    if (rc == 0 && warn)
        buf_printf(out, "%u warnings\n", notes.warning_count);
    else if (rc == 0)
        print_policy(p, out);
    else
        buf_printf(out, "%s: %s\n", rc_word(rc), f.text);
    assert_true((rc < 0) == (notes.error_count > 0) || rc == RC_TOO_LARGE);
    arena_fini(&a);
}

static void check_file(const struct suite *suite, const char *name)
{
    char in_path[512], want_path[512];
    struct buf in, got, want;
    (void)snprintf(in_path, sizeof in_path, "%s/%s", suite->dir, name);
    (void)snprintf(want_path, sizeof want_path, "%.*s.want",
                   (int)(strlen(in_path) - 5), in_path);
    buf_init(&in, mem_system(), FILE_MAX);
    buf_init(&got, mem_system(), FILE_MAX);
    buf_init(&want, mem_system(), FILE_MAX);
    read_all(in_path, &in);
    load_one(buf_span(&in), name, suite->warn, &got);
    assert_true(buf_ok(&got));
    if (getenv("GOLDEN_UPDATE") != NULL) {
        FILE *f = fopen(want_path, "wb");
        assert_non_null(f);
        assert_int_equal(fwrite(got.p, 1, got.n, f), got.n);
        (void)fclose(f);
    }
    read_all(want_path, &want);
    if (!span_eq(buf_span(&got), buf_span(&want)))
        fail_msg("%s differs:\n%s", name, (const char *)got.p);
    buf_fini(&in);
    buf_fini(&got);
    buf_fini(&want);
}

static void check_suite(const struct suite *suite)
{
    DIR *dir = opendir(suite->dir);
    unsigned count = 0;
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (!span_ends(span_str(e->d_name), SPAN(".yaml")))
            continue;
        check_file(suite, e->d_name);
        count++;
    }
    (void)closedir(dir);
    assert_true(count >= suite->count_min);
}

static void golden(void **state)
{
    (void)state;
    check_suite(&suites[0]);
}

static void warnings(void **state)
{
    (void)state;
    check_suite(&suites[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(golden),
                                       cmocka_unit_test(warnings)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
