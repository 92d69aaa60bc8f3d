// SPDX-License-Identifier: Apache-2.0
/* Records: what is written, what is left out, and that the documents say the
 * same as the lists in the code. */
#include "tests/lib/check.h"

#include <stdio.h>
#include <string.h>

#include "adapters/json_doc.h"
#include "sidecar/core/record.h"

#define FILE_MAX (256 * 1024)

static struct span read_file(struct mem *m, const char *path)
{
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    unsigned char *p = mem_alloc(m, FILE_MAX);
    size_t n = fread(p, 1, FILE_MAX - 1, in);
    (void)fclose(in);
    return span_of(p, n);
}

static const struct doc *parse(struct mem *m, struct span text)
{
    const struct doc *d;
    struct fail f;
    assert_true(json_doc_parse(m, text, FILE_MAX, &d, &f) >= 0);
    return d;
}

static void schema_is_the_kept_one(void **state)
{
    struct arena a;
    struct buf b;
    (void)state;
    arena_init(&a, mem_system(), 16 * 1024 * 1024);
    buf_init(&b, mem_system(), FILE_MAX);
    record_schema(&b);
    const struct doc *made = parse(&a.mem, buf_span(&b));
    const struct doc *kept =
        parse(&a.mem, read_file(&a.mem, "docs/decision-log.schema.json"));
    assert_true(doc_eq(made, kept));
    buf_fini(&b);
    arena_fini(&a);
}

static void reasons_and_members_are_documented(void **state)
{
    static const char *const members[] = {
#define X(name, type, json, doc) #name,
        RECORD_FIELD_MAP(X)
#undef X
    };
    struct arena a;
    char quoted[64];
    (void)state;
    arena_init(&a, mem_system(), 1024 * 1024);
    struct span text = read_file(&a.mem, "docs/decision-log.md");
    for (unsigned r = 0; r < REASON_COUNT; r++) {
        (void)snprintf(quoted, sizeof quoted, "| `%s` |",
                       reason_code((enum reason)r));
        assert_non_null(strstr((const char *)text.p, quoted));
    }
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        (void)snprintf(quoted, sizeof quoted, "| `%s` |", members[i]);
        assert_non_null(strstr((const char *)text.p, quoted));
    }
    arena_fini(&a);
}

static void empty_members_are_left_out(void **state)
{
    struct buf b;
    struct record r = record_of(RECORD_GATE);
    (void)state;
    buf_init(&b, mem_system(), 4096);
    r.agent = SPAN("/Agents/7");
    r.reach = 0;
    r.epoch = 5;
    record_write(&r, &b);
    assert_string_equal((const char *)b.p,
                        "\"time\":\"1970-01-01T00:00:00.000Z\","
                        "\"kind\":\"gate\",\"agent\":\"/Agents/7\","
                        "\"reach\":0,\"epoch\":5}");
    buf_fini(&b);
}

static void hostile_text_stays_one_line(void **state)
{
    struct buf b;
    struct arena a;
    struct record r = record_of(RECORD_EVENT);
    (void)state;
    buf_init(&b, mem_system(), 4096);
    arena_init(&a, mem_system(), 65536);
    r.jti = SPAN("a\"\n\\\xff\x01z");
    r.decision = 0xabc;
    r.toe = 0;
    record_write(&r, &b);
    assert_null(memchr(b.p, '\n', b.n));
    struct buf line;
    buf_init(&line, mem_system(), 4096);
    buf_put_str(&line, "{\"v\":1,\"seq\":1,");
    buf_put(&line, buf_span(&b));
    const struct doc *d = parse(&a.mem, buf_span(&line));
    assert_true(
        span_eq(doc_text(d, SPAN("jti")), SPAN("a\"\n\\\xef\xbf\xbd\x01z")));
    assert_true(
        span_eq(doc_text(d, SPAN("decision_id")), SPAN("0000000000000abc")));
    assert_true(
        span_eq(doc_text(d, SPAN("toe")), SPAN("1970-01-01T00:00:00.000Z")));
    buf_fini(&line);
    buf_fini(&b);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schema_is_the_kept_one),
        cmocka_unit_test(reasons_and_members_are_documented),
        cmocka_unit_test(empty_members_are_left_out),
        cmocka_unit_test(hostile_text_stays_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
