// SPDX-License-Identifier: Apache-2.0
/* Sealed secrets and key files (reliability T15). */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sidecar/io/file.h"
#include "sidecar/io/key_file.h"
#include "sidecar/io/seal.h"
#include "tests/lib/check.h"
#include "tests/lib/tmp_dir.h"

static struct seal *open_new(const struct tmp_dir *d, const char *name)
{
    unsigned char key[KEY_FILE_BYTES];
    struct seal *s;
    struct fail f;
    CHECK_OK(key_file_make(tmp_dir_span(d), name, key, &f), &f);
    CHECK_OK(seal_open_key(span_str(tmp_dir_file(d, name)), &s, &f), &f);
    return s;
}

static void round_trip(void **state)
{
    (void)state;
    static unsigned char big[SEAL_PLAIN_BYTES_MAX + 1];
    static const size_t sizes[] = {0, 1, 15, 16, 17, SEAL_PLAIN_BYTES_MAX};
    struct tmp_dir d;
    struct buf a, b, plain;
    struct fail f;
    tmp_dir_make(&d);
    struct seal *s = open_new(&d, "seal.key");
    memset(big, 0x5a, sizeof big);
    buf_init(&a, mem_system(), 1 << 20);
    buf_init(&b, mem_system(), 1 << 20);
    buf_init(&plain, mem_system(), 1 << 20);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct span in = span_of(big, sizes[i]);
        buf_clear(&a);
        buf_clear(&b);
        buf_clear(&plain);
        buf_put_str(&plain, "before");
        CHECK_OK(seal_put(s, in, SPAN("agent 7"), &a, &f), &f);
        CHECK_OK(seal_put(s, in, SPAN("agent 7"), &b, &f), &f);
        CHECK_UINT(a.n, sizes[i] + SEAL_EXTRA_BYTES);
        CHECK(!span_eq(buf_span(&a), buf_span(&b))); /* another nonce */
        CHECK_OK(seal_get(s, buf_span(&a), SPAN("agent 7"), &plain, &f), &f);
        CHECK_SPAN(span_sub(buf_span(&plain), 0, 6), SPAN("before"));
        CHECK(span_eq(span_sub(buf_span(&plain), 6, plain.n), in));
    }
    CHECK_INT(seal_put(s, span_of(big, sizeof big), SPAN(""), &a, &f),
              RC_TOO_LARGE);
    buf_fini(&a);
    buf_fini(&b);
    buf_fini(&plain);
    seal_free(s);
    tmp_dir_drop(&d);
}

static void tampering_is_found(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct buf sealed, plain;
    struct fail f;
    tmp_dir_make(&d);
    struct seal *s = open_new(&d, "a.key"), *other = open_new(&d, "b.key");
    buf_init(&sealed, mem_system(), 4096);
    buf_init(&plain, mem_system(), 4096);
    CHECK_OK(seal_put(s, SPAN("secret"), SPAN("x"), &sealed, &f), &f);
    struct span all = buf_span(&sealed);
    for (size_t i = 0; i < sealed.n * 8; i++) {
        sealed.p[i / 8] ^= (unsigned char)(1u << i % 8);
        CHECK_INT(seal_get(s, all, SPAN("x"), &plain, &f), RC_UNTRUSTED);
        sealed.p[i / 8] ^= (unsigned char)(1u << i % 8);
    }
    for (size_t n = 0; n < sealed.n; n++)
        CHECK_INT(seal_get(s, span_sub(all, 0, n), SPAN("x"), &plain, &f),
                  RC_UNTRUSTED);
    CHECK_INT(seal_get(s, all, SPAN("y"), &plain, &f), RC_UNTRUSTED);
    CHECK_INT(seal_get(s, all, SPAN(""), &plain, &f), RC_UNTRUSTED);
    CHECK_INT(seal_get(other, all, SPAN("x"), &plain, &f), RC_UNTRUSTED);
    CHECK_UINT(plain.n, 0);
    CHECK_OK(seal_get(s, all, SPAN("x"), &plain, &f), &f);
    CHECK_SPAN(buf_span(&plain), SPAN("secret"));
    buf_fini(&sealed);
    buf_fini(&plain);
    seal_free(s);
    seal_free(other);
    tmp_dir_drop(&d);
}

static void bad_key_files_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
        mode_t mode;
        int rc;
    } rows[] = {
        {"ok", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", 0400, 0},
        {"no lf", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 0600, 0},
        {"group", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", 0440,
         RC_CONFIG},
        {"others", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", 0602,
         RC_CONFIG},
        {"short", "AAAA\n", 0400, RC_CONFIG},
        {"bits", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\n", 0400,
         RC_CONFIG},
        {"junk", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA AA=\n", 0400,
         RC_CONFIG},
        {"two", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n", 0400,
         RC_CONFIG},
        {"empty", "", 0400, RC_CONFIG},
    };
    struct tmp_dir d;
    struct fail f;
    unsigned char key[KEY_FILE_BYTES];
    tmp_dir_make(&d);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        check_row(rows[i].name);
        CHECK_OK(file_replace(tmp_dir_span(&d), "k", span_str(rows[i].text),
                              rows[i].mode, &f),
                 &f);
        int rc = key_file_read(span_str(tmp_dir_file(&d, "k")), key, &f);
        CHECK_INT(rc, rows[i].rc);
    }
    check_row(NULL);
    CHECK_INT(key_file_read(span_str(tmp_dir_file(&d, "none")), key, &f),
              RC_CONFIG);
    CHECK_INT(key_file_make(tmp_dir_span(&d), "k", key, &f), RC_EXISTS);
    tmp_dir_drop(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(tampering_is_found),
        cmocka_unit_test(bad_key_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
