// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/check.h"

#include "proto/grpc_frame.h"
#include "proto/pb_walk.h"

static void frames_are_found(void **state)
{
    const struct {
        struct span in;
        size_t max;
        int rc;
        size_t used;
    } rows[] = {
        {SPAN(""), 10, 0, 0},
        {SPAN("\0\0\0\0"), 10, 0, 0},
        {SPAN("\0\0\0\0\0"), 10, 1, 5},
        {SPAN("\0\0\0\0\3ab"), 10, 0, 0},
        {SPAN("\0\0\0\0\3abc"), 10, 1, 8},
        {SPAN("\0\0\0\0\3abcd"), 3, 1, 8},
        {SPAN("\1\0\0\0\1a"), 10, 1, 6},
        {SPAN("\2"), 10, RC_PROTOCOL, 0},
        {SPAN("\xff\0\0\0\0"), 10, RC_PROTOCOL, 0},
        {SPAN("\0\0\0\0\4"), 3, RC_TOO_LARGE, 0},
        {SPAN("\0\xff\xff\xff\xff"), 65536, RC_TOO_LARGE, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct grpc_frame f = {0};
        assert_int_equal(grpc_frame_next(rows[i].in, rows[i].max, &f),
                         rows[i].rc);
        assert_int_equal(f.used_bytes, rows[i].used);
        if (rows[i].rc == 1)
            assert_int_equal(f.compressed, rows[i].in.p[0]);
    }
}

static void texts_round_trip(void **state)
{
    const struct {
        struct span plain, wire;
    } rows[] = {
        {SPAN(""), SPAN("")},
        {SPAN("plain ~"), SPAN("plain ~")},
        {SPAN("50%\n"), SPAN("50%25%0A")},
        {SPAN("\xc3\xa4\x7f\0"), SPAN("%C3%A4%7F%00")},
    };
    struct buf b;
    (void)state;
    buf_init(&b, mem_system(), 1000);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        buf_clear(&b);
        grpc_text_encode(&b, rows[i].plain);
        assert_true(span_eq(buf_span(&b), rows[i].wire));
        buf_clear(&b);
        grpc_text_decode(&b, rows[i].wire);
        assert_true(span_eq(buf_span(&b), rows[i].plain));
    }
    buf_clear(&b);
    grpc_text_decode(&b, SPAN("%%4%zz%4g%c3%"));
    assert_true(span_eq(buf_span(&b), SPAN("%%4%zz%4g\xc3%")));
    buf_fini(&b);
}

static void timeouts_are_read(void **state)
{
    const struct {
        struct span in;
        bool ok;
        uint64_t ms;
    } rows[] = {
        {SPAN("1H"), true, 3600000},
        {SPAN("2M"), true, 120000},
        {SPAN("3S"), true, 3000},
        {SPAN("4m"), true, 4},
        {SPAN("5u"), true, 1},
        {SPAN("1001u"), true, 2},
        {SPAN("6n"), true, 1},
        {SPAN("0m"), true, 0},
        {SPAN("99999999H"), true, 99999999ull * 3600000},
        {SPAN("100000000m"), false, 0},
        {SPAN("m"), false, 0},
        {SPAN(""), false, 0},
        {SPAN("1"), false, 0},
        {SPAN("1s"), false, 0},
        {SPAN("-1S"), false, 0},
        {SPAN(" 1S"), false, 0},
        {SPAN("1.5S"), false, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t ms = 0;
        assert_int_equal(grpc_timeout_parse(rows[i].in, &ms), rows[i].ok);
        assert_int_equal(ms, rows[i].ms);
    }
}

static void timeouts_are_written(void **state)
{
    static const uint64_t rows[] = {0,         1,          99999999,
                                    100000000, 1ull << 40, UINT64_MAX};
    struct buf b;
    (void)state;
    buf_init(&b, mem_system(), 100);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t ms;
        buf_clear(&b);
        grpc_timeout_put(&b, rows[i]);
        assert_true(grpc_timeout_parse(buf_span(&b), &ms));
        assert_true(ms <= rows[i]);
        assert_true(rows[i] > 1ull << 41 || ms + 60000 > rows[i]);
    }
    buf_fini(&b);
}

static void content_types(void **state)
{
    (void)state;
    assert_true(grpc_content_type(SPAN("application/grpc")));
    assert_true(grpc_content_type(SPAN("application/grpc+proto")));
    assert_true(grpc_content_type(SPAN("Application/GRPC;x=y")));
    assert_false(grpc_content_type(SPAN("application/grpcx")));
    assert_false(grpc_content_type(SPAN("application/grpc-web")));
    assert_false(grpc_content_type(SPAN("application/json")));
    assert_false(grpc_content_type(SPAN("")));
}

static void protobuf_walk(void **state)
{
    const struct {
        struct span in;
        int rc;
    } bad[] = {
        {SPAN(""), 0},
        {SPAN("\x08\x01"), 1},
        {SPAN("\x08"), RC_SYNTAX},
        {SPAN("\x0a\x05xx"), RC_SYNTAX},
        {SPAN("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), RC_SYNTAX},
        {SPAN("\x0b"), RC_SYNTAX},
        {SPAN("\x00\x01"), RC_SYNTAX},
        {SPAN("\x09"
              "1234567"),
         RC_SYNTAX},
        {SPAN("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"), RC_SYNTAX},
    };
    struct pb_field f;
    struct buf b;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct span at = bad[i].in;
        assert_int_equal(pb_next(&at, &f), bad[i].rc);
    }
    buf_init(&b, mem_system(), 100);
    pb_put_u64(&b, 3, UINT64_MAX);
    pb_put_bytes(&b, 200, SPAN("abc"));
    struct span at = buf_span(&b);
    assert_int_equal(pb_next(&at, &f), 1);
    assert_true(f.number == 3 && f.value == UINT64_MAX && !f.is_bytes);
    assert_true(span_eq(pb_bytes(at, 200), SPAN("abc")));
    assert_null(pb_bytes(at, 3).p);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_found),
        cmocka_unit_test(texts_round_trip),
        cmocka_unit_test(timeouts_are_read),
        cmocka_unit_test(timeouts_are_written),
        cmocka_unit_test(content_types),
        cmocka_unit_test(protobuf_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
