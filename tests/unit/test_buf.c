// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/check.h"
#include "tests/lib/memfault.h"

#include <string.h>

#include "sidecar/base/buf.h"

/* The bytes are followed by a NUL after every operation. */
static void check_end(const struct buf *b)
{
    if (b->p != NULL)
        CHECK_UINT(b->p[b->n], 0);
}

static void appends(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, mem_system(), 4096);
    buf_put_str(&b, "n=");
    buf_put_dec(&b, 0);
    buf_put_u8(&b, ' ');
    buf_put_dec(&b, UINT64_MAX);
    buf_put_u8(&b, ' ');
    buf_put_hex(&b, SPAN("\x00\xab\xff"));
    buf_printf(&b, " %s-%03d", "x", 7);
    CHECK_SPAN(buf_span(&b), SPAN("n=0 18446744073709551615 00abff x-007"));
    check_end(&b);
    buf_clear(&b);
    check_end(&b);
    buf_put_u32be(&b, 0x01020304);
    buf_put_u64be(&b, 0x05060708090a0b0cU);
    CHECK_SPAN(buf_span(&b),
               SPAN("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c"));
    CHECK(buf_ok(&b));
    buf_fini(&b);
    buf_fini(&b);
}

static void consume(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, mem_system(), 64);
    buf_consume(&b, 0);
    buf_put_str(&b, "abcdef");
    buf_consume(&b, 2);
    CHECK_SPAN(buf_span(&b), SPAN("cdef"));
    check_end(&b);
    buf_consume(&b, 4);
    CHECK_UINT(b.n, 0);
    check_end(&b);
    buf_fini(&b);
}

/* max_bytes is exact; the failure latches until buf_clear. */
static void limit(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, mem_system(), 10);
    buf_put_str(&b, "0123456789");
    CHECK(buf_ok(&b));
    buf_put_u8(&b, 'x');
    CHECK(!buf_ok(&b));
    CHECK_SPAN(buf_span(&b), SPAN("0123456789"));
    buf_consume(&b, 10);
    buf_put_u8(&b, 'x');
    CHECK_UINT(b.n, 0);
    buf_clear(&b);
    buf_put_u8(&b, 'x');
    CHECK(buf_ok(&b));
    buf_printf(&b, "%s", "0123456789");
    CHECK(!buf_ok(&b));
    buf_fini(&b);
}

static void absurd_sizes(void **state)
{
    (void)state;
    struct buf b;
    const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2 + 1};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        buf_init(&b, mem_system(), SIZE_MAX);
        CHECK(buf_reserve(&b, sizes[i]) == NULL);
        CHECK(!buf_ok(&b));
        buf_clear(&b);
        buf_put_u8(&b, 1);
        CHECK(buf_reserve(&b, sizes[i]) == NULL);
        buf_fini(&b);
    }
    buf_init(&b, mem_system(), 0);
    CHECK(buf_reserve(&b, 0) != NULL);
    CHECK(buf_reserve(&b, 1) == NULL);
    buf_fini(&b);
    buf_fini(&(struct buf){0});
}

/* A recycling allocator that keeps what was released readable. */
struct keeper {
    struct mem mem;
    unsigned char pool[2][1024];
    unsigned used, released;
};

static void *keeper_alloc(struct mem *m, size_t n)
{
    struct keeper *k = (struct keeper *)(void *)m;
    CHECK(n <= sizeof k->pool[0] && k->used < 2);
    return k->pool[k->used++];
}

static void keeper_release(struct mem *m, void *p)
{
    struct keeper *k = (struct keeper *)(void *)m;
    CHECK(p == k->pool[0] || p == k->pool[1]);
    k->released++;
}

/* Secrets live in bufs: neither growth nor end leaves a copy behind. */
static void secrets_are_wiped(void **state)
{
    (void)state;
    static struct keeper k;
    k.mem = (struct mem){keeper_alloc, NULL, keeper_release};
    struct buf b;
    buf_init(&b, &k.mem, 1000);
    buf_put_str(&b, "client-secret");
    unsigned char *p = buf_reserve(&b, 300);
    CHECK(p != NULL);
    memset(p, 'x', 300);
    b.n += 300;
    CHECK_UINT(k.released, 1);
    buf_fini(&b);
    CHECK_UINT(k.released, 2);
    for (size_t i = 0; i < sizeof k.pool; i++)
        CHECK_UINT(k.pool[i / 1024][i % 1024], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends),
        cmocka_unit_test(consume),
        cmocka_unit_test(limit),
        cmocka_unit_test(absurd_sizes),
        cmocka_unit_test(secrets_are_wiped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
