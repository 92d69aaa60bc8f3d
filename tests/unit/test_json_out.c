// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/check.h"

#include <jansson.h>
#include <string.h>

#include "sidecar/base/json_out.h"

struct fixture {
    struct buf b;
    struct json_out j;
};

static struct fixture *start(struct fixture *x)
{
    buf_init(&x->b, mem_system(), 1024 * 1024);
    json_out_init(&x->j, &x->b);
    return x;
}

static void every_kind(void **state)
{
    (void)state;
    struct fixture x;
    struct json_out *j = &start(&x)->j;
    json_open_map(j, NULL);
    json_u64(j, "u", UINT64_MAX);
    json_i64(j, "i", INT64_MIN);
    json_bool(j, "t", true);
    json_bool(j, "f", false);
    json_nil(j, "n");
    json_str(j, "s", "x");
    json_str(j, "e", NULL);
    json_hex(j, "h", SPAN("\x00\xff"));
    json_time(j, "at", 0);
    json_raw(j, "raw", SPAN("[1]"));
    json_open_list(j, "l");
    json_u64(j, NULL, 1);
    json_open_map(j, NULL);
    json_close_map(j);
    json_open_list(j, NULL);
    json_close_list(j);
    json_close_list(j);
    json_key(j, SPAN("k\"ey"));
    buf_put_str(&x.b, "0");
    json_close_map(j);
    CHECK_SPAN(buf_span(&x.b),
               SPAN("{\"u\":18446744073709551615,\"i\":-9223372036854775808,"
                    "\"t\":true,\"f\":false,\"n\":null,\"s\":\"x\",\"e\":\"\","
                    "\"h\":\"00ff\",\"at\":\"1970-01-01T00:00:00.000Z\","
                    "\"raw\":[1],\"l\":[1,{},[]],\"k\\\"ey\":0}"));
    buf_fini(&x.b);
}

/* RFC 8259 section 7. DEL is escaped too, so that a terminal is safe. */
static void escapes(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        size_t n;
        const char *want;
    } rows[] = {
        {"\"\\/", 3, "\"\\\"\\\\/\""},
        {"\b\f\n\r\t", 5, "\"\\b\\f\\n\\r\\t\""},
        {"\x01\x0b\x1b\x1f\x7f", 5, "\"\\u0001\\u000b\\u001b\\u001f\\u007f\""},
        {"a\0b", 3, "\"a\\u0000b\""},
        {"\xc3\xa9\xe2\x82\xac", 5, "\"\xc3\xa9\xe2\x82\xac\""},
        {"a\xff", 2, "\"a\xef\xbf\xbd\""},
        {"\xc0\x80", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"", 0, "\"\""},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct fixture x;
        json_text(&start(&x)->j, NULL, span_of(rows[i].in, rows[i].n));
        check_row(rows[i].want);
        CHECK_SPAN(buf_span(&x.b), span_str(rows[i].want));
        buf_fini(&x.b);
    }
    check_row(NULL);
}

/* Whatever the bytes, a strict reader takes the line, and well-formed text
 * comes back as it was. */
static void another_reader_agrees(void **state)
{
    (void)state;
    uint32_t seed = 12345;
    for (int round = 0; round < 3000; round++) {
        unsigned char in[24];
        size_t n = (size_t)round % sizeof in;
        for (size_t i = 0; i < n; i++) {
            seed = seed * 1664525 + 1013904223;
            in[i] = (unsigned char)(seed >> 24);
            in[i] = round % 2 == 0 ? (unsigned char)(in[i] & 0x7f) : in[i];
        }
        struct fixture x;
        json_text(&start(&x)->j, NULL, span_of(in, n));
        json_t *back = json_loadb((const char *)x.b.p, x.b.n,
                                  JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        CHECK(back != NULL);
        if (span_is_text(span_of(in, n)))
            CHECK_SPAN(
                span_of(json_string_value(back), json_string_length(back)),
                span_of(in, n));
        json_decref(back);
        buf_fini(&x.b);
    }
}

static void whole_trees(void **state)
{
    (void)state;
    struct doc leaf[] = {
        {.kind = DOC_INT, .integer = -5, .real = -5},
        {.kind = DOC_REAL, .real = 0.1},
        {.kind = DOC_TEXT, .text = SPAN("t")},
        {.kind = DOC_BOOL, .truth = true},
        {.kind = DOC_NULL},
    };
    struct doc list = {.kind = DOC_LIST, .key = SPAN("l")};
    struct doc empty = {.kind = DOC_MAP, .key = SPAN("")};
    struct doc top = {.kind = DOC_MAP};
    for (size_t i = 0; i < COUNT_OF(leaf); i++)
        doc_append(&list, &leaf[i]);
    doc_append(&top, &list);
    doc_append(&top, &empty);
    struct fixture x;
    json_doc(&start(&x)->j, NULL, &top);
    CHECK_SPAN(buf_span(&x.b), SPAN("{\"l\":[-5,0.10000000000000001,\"t\","
                                    "true,null],\"\":{}}"));
    buf_fini(&x.b);
}

/* JSON_OUT_DEPTH_MAX holds the deepest document and a few levels around it. */
static void deepest_tree_fits(void **state)
{
    (void)state;
    struct doc nest[DOC_DEPTH_MAX] = {{0}};
    for (size_t i = 0; i < DOC_DEPTH_MAX; i++) {
        nest[i].kind = DOC_LIST;
        if (i > 0)
            doc_append(&nest[i - 1], &nest[i]);
    }
    struct fixture x;
    struct json_out *j = &start(&x)->j;
    for (int i = 0; i < 4; i++)
        json_open_list(j, NULL);
    json_doc(j, NULL, nest);
    for (int i = 0; i < 4; i++)
        json_close_list(j);
    CHECK_UINT(x.b.n, 2 * (DOC_DEPTH_MAX + 4));
    buf_fini(&x.b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind),
        cmocka_unit_test(escapes),
        cmocka_unit_test(another_reader_agrees),
        cmocka_unit_test(whole_trees),
        cmocka_unit_test(deepest_tree_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
