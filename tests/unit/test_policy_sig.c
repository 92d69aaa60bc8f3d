// SPDX-License-Identifier: Apache-2.0
/*
 * Detached signatures of policies: what is accepted, and every way to bend one
 * that we know of. Then the shelf of old policies.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sidecar/io/file.h"
#include "sidecar/io/policy_shelf.h"
#include "sidecar/io/policy_sig.h"
#include "tests/lib/check.h"
#include "tests/lib/tmp_dir.h"

#define NOW INT64_C(1790000000000)
#define HEX "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* Two keys, of which only the first is pinned. */
struct keys {
    struct note_key *ours, *theirs;
    struct policy_keys pinned;
    unsigned char digest[32];
};

static void keys_make(struct keys *k)
{
    const unsigned char a[32] = {1}, b[32] = {2};
    struct fail f;
    CHECK_OK(note_key_new(a, SPAN("team"), &k->ours, &f), &f);
    CHECK_OK(note_key_new(b, SPAN("other"), &k->theirs, &f), &f);
    note_key_public(k->ours, &k->pinned.at[0]);
    k->pinned.count = 1;
    CHECK(policy_sig_digest(SPAN(HEX), k->digest));
}

static void keys_drop(struct keys *k)
{
    note_key_free(k->ours);
    note_key_free(k->theirs);
}

/* Signs any text as it is. */
static void sign_text(const struct note_key *k, const char *text,
                      struct buf *out)
{
    struct fail f;
    buf_init(out, mem_system(), 64 * 1024);
    buf_put_str(out, text);
    CHECK_OK(note_sign(k, 0, out, &f), &f);
}

#define HEAD "bailiff/signature/v1\n"
#define KIND "kind: policy\n"
#define SUM "sha256: " HEX "\n"
#define SERIAL "serial: 7\n"
#define UNTIL "not_after: 2027-02-01T00:00:00.000Z\n"

static void what_is_written_can_be_read(void **state)
{
    (void)state;
    struct keys k;
    keys_make(&k);
    for (unsigned kind = 0; kind < SIGNED_KIND_COUNT; kind++) {
        struct policy_sig s = {.kind = (enum signed_kind)kind,
                               .serial = POLICY_SERIAL_MAX,
                               .not_after_ms = kind == 0 ? NOW : INT64_MAX};
        struct policy_sig back;
        struct buf out;
        struct fail f;
        memcpy(s.digest, k.digest, sizeof s.digest);
        buf_init(&out, mem_system(), POLICY_SIG_BYTES_MAX);
        CHECK_OK(policy_sig_put(&s, k.ours, &out, &f), &f);
        CHECK_OK(policy_sig_open(buf_span(&out), &k.pinned, &back, &f), &f);
        CHECK_UINT(back.kind, kind);
        CHECK_UINT(back.serial, POLICY_SERIAL_MAX);
        CHECK_INT(back.not_after_ms, s.not_after_ms);
        CHECK_STR(back.signer, "team");
        CHECK_INT(memcmp(back.digest, s.digest, 32), 0);
        buf_fini(&out);
    }
    keys_drop(&k);
}

/* Well signed, badly written. */
static void texts_are_read_strictly(void **state)
{
    (void)state;
    static const struct {
        const char *row, *text;
        int rc;
    } rows[] = {
        {"whole", HEAD KIND SUM SERIAL UNTIL, 0},
        {"no end", HEAD KIND SUM SERIAL, 0},
        {"config", HEAD "kind: config\n" SUM SERIAL, 0},
        {"biggest serial", HEAD KIND SUM "serial: 9007199254740991\n", 0},
        {"serial too big", HEAD KIND SUM "serial: 9007199254740992\n",
         RC_SYNTAX},
        {"serial of 2^64", HEAD KIND SUM "serial: 18446744073709551616\n",
         RC_SYNTAX},
        {"serial zero", HEAD KIND SUM "serial: 0\n", RC_SYNTAX},
        {"serial with a zero", HEAD KIND SUM "serial: 07\n", RC_SYNTAX},
        {"negative serial", HEAD KIND SUM "serial: -1\n", RC_SYNTAX},
        {"no serial", HEAD KIND SUM UNTIL, RC_SYNTAX},
        {"empty serial", HEAD KIND SUM "serial: \n", RC_SYNTAX},
        {"serial twice", HEAD KIND SUM SERIAL SERIAL, RC_SYNTAX},
        {"kind twice", HEAD KIND KIND SUM SERIAL, RC_SYNTAX},
        {"end twice", HEAD KIND SUM SERIAL UNTIL UNTIL, RC_SYNTAX},
        {"other order", HEAD SUM KIND SERIAL, RC_SYNTAX},
        {"unknown line", HEAD KIND SUM SERIAL UNTIL "more: 1\n", RC_SYNTAX},
        {"unknown kind", HEAD "kind: key\n" SUM SERIAL, RC_SYNTAX},
        {"CRLF", "bailiff/signature/v1\r\nkind: policy\r\n" SUM SERIAL,
         RC_SYNTAX},
        {"CR at the end", HEAD KIND SUM "serial: 7\r\n", RC_SYNTAX},
        {"next version", "bailiff/signature/v2\n" KIND SUM SERIAL, RC_SYNTAX},
        {"a checkpoint", "team\n7\n" HEX "\n", RC_SYNTAX},
        {"capital digits",
         HEAD KIND "sha256: 00112233445566778899AABBCCDDEEFF0011223344556677"
                   "8899AABBCCDDEEFF\n" SERIAL,
         RC_SYNTAX},
        {"short digest", HEAD KIND "sha256: 00\n" SERIAL, RC_SYNTAX},
        {"a date", HEAD KIND SUM SERIAL "not_after: 2027-02-01\n", RC_SYNTAX},
        {"another zone",
         HEAD KIND SUM SERIAL "not_after: 2027-02-01T00:00:00.000+00:00\n",
         RC_SYNTAX},
        {"no such day",
         HEAD KIND SUM SERIAL "not_after: 2027-02-30T00:00:00.000Z\n",
         RC_SYNTAX},
        {"blank line inside", HEAD "\n" KIND SUM SERIAL, RC_SYNTAX},
        {"nothing", "", RC_SYNTAX},
    };
    struct keys k;
    keys_make(&k);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct policy_sig s;
        struct buf out;
        struct fail f;
        check_row(rows[i].row);
        sign_text(k.ours, rows[i].text, &out);
        CHECK_INT(policy_sig_open(buf_span(&out), &k.pinned, &s, &f),
                  rows[i].rc);
        buf_fini(&out);
    }
    check_row(NULL);
    keys_drop(&k);
}

/* One bit anywhere, or a byte less anywhere: never accepted. */
static void nothing_can_be_changed(void **state)
{
    (void)state;
    struct keys k;
    struct buf out;
    struct policy_sig s;
    struct fail f;
    unsigned char copy[POLICY_SIG_BYTES_MAX];
    keys_make(&k);
    sign_text(k.ours, HEAD KIND SUM SERIAL UNTIL, &out);
    CHECK_OK(policy_sig_open(buf_span(&out), &k.pinned, &s, &f), &f);
    for (size_t i = 0; i < out.n * 8; i++) {
        memcpy(copy, out.p, out.n);
        copy[i / 8] = (unsigned char)(copy[i / 8] ^ 1u << i % 8);
        CHECK(policy_sig_open(span_of(copy, out.n), &k.pinned, &s, &f) < 0);
    }
    for (size_t n = 0; n < out.n; n++)
        CHECK(policy_sig_open(span_of(out.p, n), &k.pinned, &s, &f) < 0);
    buf_put_str(&out, "more\n");
    CHECK_INT(policy_sig_open(buf_span(&out), &k.pinned, &s, &f), RC_SYNTAX);
    buf_fini(&out);
    keys_drop(&k);
}

static void only_pinned_keys_count(void **state)
{
    (void)state;
    struct keys k;
    struct buf out;
    struct policy_sig s;
    struct fail f;
    const struct policy_keys none = {.count = 0};
    const unsigned char third[32] = {3};
    struct note_key *same_name;
    keys_make(&k);
    sign_text(k.theirs, HEAD KIND SUM SERIAL, &out);
    CHECK_INT(policy_sig_open(buf_span(&out), &k.pinned, &s, &f), RC_UNTRUSTED);
    CHECK(strstr(f.text, "signed by 'other'") != NULL);
    CHECK_INT(policy_sig_open(buf_span(&out), &none, &s, &f), RC_UNTRUSTED);
    note_key_public(k.theirs, &k.pinned.at[k.pinned.count++]);
    CHECK_OK(policy_sig_open(buf_span(&out), &k.pinned, &s, &f), &f);
    CHECK_STR(s.signer, "other");
    buf_fini(&out);
    /* A key that only calls itself by the name of a pinned one. */
    CHECK_OK(note_key_new(third, SPAN("team"), &same_name, &f), &f);
    sign_text(same_name, HEAD KIND SUM SERIAL, &out);
    CHECK_INT(policy_sig_open(buf_span(&out), &k.pinned, &s, &f), RC_UNTRUSTED);
    buf_fini(&out);
    note_key_free(same_name);
    keys_drop(&k);
}

static void it_must_fit(void **state)
{
    (void)state;
    enum { SAME, OTHER };
    static const struct {
        const char *row;
        enum signed_kind kind;
        int digest;
        uint64_t serial, seen;
        int seen_digest;
        int64_t not_after;
        int rc;
    } rows[] = {
        {"first", SIGNED_POLICY, SAME, 1, 0, OTHER, INT64_MAX, 0},
        {"newer", SIGNED_POLICY, SAME, 8, 7, OTHER, NOW + 1, 0},
        {"in force", SIGNED_POLICY, SAME, 7, 7, SAME, INT64_MAX, 0},
        {"in force, expired", SIGNED_POLICY, SAME, 7, 7, SAME, NOW - 1, 0},
        {"equal, other file", SIGNED_POLICY, SAME, 7, 7, OTHER, INT64_MAX,
         RC_STATE},
        {"older", SIGNED_POLICY, SAME, 6, 7, OTHER, INT64_MAX, RC_STATE},
        {"older, same file", SIGNED_POLICY, SAME, 6, 7, SAME, INT64_MAX,
         RC_STATE},
        {"expired now", SIGNED_POLICY, SAME, 8, 7, OTHER, NOW, RC_STATE},
        {"other kind", SIGNED_CONFIG, SAME, 8, 7, OTHER, INT64_MAX,
         RC_UNTRUSTED},
        {"other file", SIGNED_POLICY, OTHER, 8, 7, OTHER, INT64_MAX,
         RC_UNTRUSTED},
    };
    const unsigned char digests[2][32] = {{1}, {2}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct policy_sig s = {.kind = rows[i].kind,
                               .serial = rows[i].serial,
                               .not_after_ms = rows[i].not_after};
        struct policy_sig_want w = {.kind = SIGNED_POLICY,
                                    .digest = digests[SAME],
                                    .seen = {.serial = rows[i].seen},
                                    .wall_ms = NOW};
        struct fail f;
        check_row(rows[i].row);
        memcpy(s.digest, digests[rows[i].digest], 32);
        memcpy(w.seen.digest, digests[rows[i].seen_digest], 32);
        CHECK_INT(policy_sig_fits(&s, &w, &f), rows[i].rc);
    }
    check_row(NULL);
}

static void key_files(void **state)
{
    (void)state;
    static const struct {
        const char *row;
        unsigned copies;
        const char *more;
        mode_t mode;
        int rc;
    } rows[] = {
        {"one", 1, "", 0444, 0},
        {"sixteen", 16, "", 0644, 0},
        {"seventeen", 17, "", 0644, RC_CONFIG},
        {"none", 0, "", 0644, RC_CONFIG},
        {"junk", 1, "key\n", 0644, RC_CONFIG},
        {"blank line", 1, "\n", 0644, RC_CONFIG},
        {"group may write", 1, "", 0664, RC_CONFIG},
    };
    struct tmp_dir d;
    struct keys k;
    struct fail f;
    tmp_dir_make(&d);
    keys_make(&k);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct policy_keys got = {.count = 0};
        struct buf b;
        check_row(rows[i].row);
        buf_init(&b, mem_system(), 8192);
        for (unsigned n = 0; n < rows[i].copies; n++) {
            note_public_put(&b, &k.pinned.at[0]);
            buf_put_str(&b, "\n");
        }
        buf_put_str(&b, rows[i].more);
        CHECK_OK(file_replace(tmp_dir_span(&d), "k.pub", buf_span(&b),
                              rows[i].mode, &f),
                 &f);
        CHECK_INT(
            policy_keys_add(&got, span_str(tmp_dir_file(&d, "k.pub")), &f),
            rows[i].rc);
        if (rows[i].rc == 0)
            CHECK_UINT(got.count, rows[i].copies);
        buf_fini(&b);
    }
    check_row(NULL);
    struct policy_keys got = {.count = 0};
    CHECK_INT(policy_keys_add(&got, span_str(tmp_dir_file(&d, "gone")), &f),
              RC_CONFIG);
    keys_drop(&k);
    tmp_dir_drop(&d);
}

/* ------------------------------------------------------------------- shelf */

/* SHA-256 of "a" and of "b". */
#define SUM_A "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
#define SUM_B "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d"

static void texts_are_kept(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct span text;
    struct stat st;
    struct fail f;
    tmp_dir_make(&d);
    const struct span dir = tmp_dir_span(&d);
    CHECK_OK(policy_shelf_keep(dir, SUM_A, SPAN("a"), "", &f), &f);
    CHECK_OK(policy_shelf_keep(dir, SUM_A, SPAN("a"), "", &f), &f);
    CHECK_OK(policy_shelf_read(mem_system(), dir, SUM_A, &text, &f), &f);
    CHECK_SPAN(text, SPAN("a"));
    mem_release(mem_system(), (void *)(uintptr_t)text.p);
    CHECK_INT(stat(tmp_dir_file(&d, "policies/" SUM_A ".yaml"), &st), 0);
    CHECK_UINT(st.st_mode & 0777, 0600);
    CHECK_INT(policy_shelf_read(mem_system(), dir, SUM_B, &text, &f),
              RC_UNKNOWN_NAME);
    CHECK_INT(policy_shelf_read(mem_system(), dir, "../keys/log", &text, &f),
              RC_UNKNOWN_NAME);
    CHECK_OK(policy_shelf_keep(dir, SUM_B, SPAN("not b"), SUM_A, &f), &f);
    CHECK_INT(policy_shelf_read(mem_system(), dir, SUM_B, &text, &f),
              RC_BROKEN);
    tmp_dir_drop(&d);
}

/* The one in force stays, however old it is. */
static void the_shelf_is_bounded(void **state)
{
    (void)state;
    struct tmp_dir d;
    struct fail f;
    char digest[65];
    unsigned there = 0;
    tmp_dir_make(&d);
    const struct span dir = tmp_dir_span(&d);
    CHECK_OK(policy_shelf_keep(dir, SUM_A, SPAN("a"), "", &f), &f);
    for (unsigned i = 0; i < POLICY_SHELF_TEXTS_MAX + 10; i++) {
        (void)snprintf(digest, sizeof digest, "%064x", i);
        CHECK_OK(policy_shelf_keep(dir, digest, SPAN("x"), SUM_A, &f), &f);
    }
    for (unsigned i = 0; i < POLICY_SHELF_TEXTS_MAX + 10; i++) {
        char name[128];
        (void)snprintf(name, sizeof name, "policies/%064x.yaml", i);
        there += access(tmp_dir_file(&d, name), F_OK) == 0;
    }
    CHECK(there >= POLICY_SHELF_TEXTS_MAX - 1 &&
          there <= POLICY_SHELF_TEXTS_MAX);
    CHECK_INT(access(tmp_dir_file(&d, "policies/" SUM_A ".yaml"), F_OK), 0);
    tmp_dir_drop(&d);
}

static void history_is_kept(void **state)
{
    (void)state;
    static struct policy_history h, back;
    struct tmp_dir d;
    struct fail f;
    tmp_dir_make(&d);
    const struct span dir = tmp_dir_span(&d);
    CHECK_OK(policy_history_load(dir, &back, &f), &f);
    CHECK_UINT(back.count, 0);
    for (unsigned i = 0; i < POLICY_HISTORY_MAX + 3; i++) {
        struct policy_entry e = {.wall_ms = NOW + i,
                                 .outcome = (enum policy_outcome)(i % 3),
                                 .audit = i % 3 == 0 && i % 2 == 0,
                                 .serial = i,
                                 .digest = SUM_A,
                                 .person = "ops"};
        if (e.outcome == POLICY_REFUSED)
            memset(e.why, '"', sizeof e.why - 1); /* the longest there is */
        policy_history_add(&h, &e);
    }
    CHECK_UINT(h.count, POLICY_HISTORY_MAX);
    CHECK_INT(h.at[0].wall_ms, NOW + 3);
    CHECK_OK(policy_history_save(dir, &h, &f), &f);
    CHECK_OK(policy_history_load(dir, &back, &f), &f);
    CHECK_UINT(back.count, h.count);
    for (unsigned i = 0; i < h.count; i++) {
        CHECK_INT(back.at[i].wall_ms, h.at[i].wall_ms);
        CHECK_UINT(back.at[i].outcome, h.at[i].outcome);
        CHECK_UINT(back.at[i].serial, h.at[i].serial);
        CHECK(back.at[i].audit == h.at[i].audit);
        CHECK_STR(back.at[i].digest, h.at[i].digest);
        CHECK_STR(back.at[i].person, h.at[i].person);
        CHECK_STR(back.at[i].why, h.at[i].why);
    }
    /* A cut or foreign line costs only itself. */
    CHECK_OK(
        file_replace(span_str(tmp_dir_file(&d, "policies")), "history.jsonl",
                     SPAN("{}\n{\"time\":\"2027-02-01T00:00:00.000Z\","
                          "\"outcome\":\"active\"}\n{\"time\""),
                     0600, &f),
        &f);
    CHECK_OK(policy_history_load(dir, &back, &f), &f);
    CHECK_UINT(back.count, 1);
    tmp_dir_drop(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_can_be_read),
        cmocka_unit_test(texts_are_read_strictly),
        cmocka_unit_test(nothing_can_be_changed),
        cmocka_unit_test(only_pinned_keys_count),
        cmocka_unit_test(it_must_fit),
        cmocka_unit_test(key_files),
        cmocka_unit_test(texts_are_kept),
        cmocka_unit_test(the_shelf_is_bounded),
        cmocka_unit_test(history_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
