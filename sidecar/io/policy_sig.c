// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/policy_sig.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sidecar/base/time_text.h"
#include "sidecar/io/file.h"

#define HEAD "bailiff/signature/v1"
#define KEY_FILE_MAX (8 * 1024)

static const char *const kinds[SIGNED_KIND_COUNT] = {"policy", "config"};

const char *signed_kind_word(enum signed_kind k)
{
    return kinds[k];
}

bool signed_kind_from(struct span word, enum signed_kind *ret)
{
    for (unsigned i = 0; i < SIGNED_KIND_COUNT; i++) {
        if (!span_eq(word, span_str(kinds[i])))
            continue;
        *ret = (enum signed_kind)i;
        return true;
    }
    return false;
}

/* ------------------------------------------------------------------- keys */

static int add_lines(struct policy_keys *keys, struct span text, struct fail *f)
{
    const unsigned before = keys->count;
    while (text.n > 0) {
        const size_t end = span_find(text, '\n', 0);
        if (keys->count == POLICY_KEYS_MAX)
            return fail(f, RC_CONFIG, "more than %d keys", POLICY_KEYS_MAX);
        TRY(note_public_get(span_sub(text, 0, end), &keys->at[keys->count], f));
        keys->count++;
        text = span_sub(text, end + 1, text.n);
    }
    return keys->count > before ? 0 : fail(f, RC_CONFIG, "has no key");
}

/* Who can write this file decides whose policies are accepted. */
static int check_owner(const char *path, struct fail *f)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return fail(f, RC_CONFIG, "%s is missing", path);
    if ((st.st_mode & 022) != 0)
        return fail(f, RC_CONFIG, "%s: others can write it (chmod go-w)", path);
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return fail(f, RC_CONFIG, "%s belongs to uid %u", path,
                    (unsigned)st.st_uid);
    return 0;
}

int policy_keys_add(struct policy_keys *keys, struct span path, struct fail *f)
{
    char name[FILE_PATH_MAX];
    struct span text;
    TRY(file_path(name, path, "", f));
    TRY(check_owner(name, f));
    TRY(file_read(mem_system(), name, KEY_FILE_MAX, &text, f));
    int rc = add_lines(keys, text, f);
    mem_release(mem_system(), (void *)(uintptr_t)text.p);
    if (rc < 0)
        ignore_rc(fail_wrap(f, "%s", name)); /* keeps the code */
    return rc < 0 ? RC_CONFIG : 0;
}

/* ---------------------------------------------------------------- writing */

int policy_sig_put(const struct policy_sig *s, const struct note_key *k,
                   struct buf *out, struct fail *f)
{
    const size_t start = out->n;
    char when[TIME_TEXT_BYTES];
    if (s->serial == 0 || s->serial > POLICY_SERIAL_MAX)
        return fail(f, RC_INVALID, "a serial is 1 to %llu",
                    (unsigned long long)POLICY_SERIAL_MAX);
    buf_printf(out, HEAD "\nkind: %s\nsha256: ", kinds[s->kind]);
    buf_put_hex(out, span_of(s->digest, sizeof s->digest));
    buf_printf(out, "\nserial: %llu\n", (unsigned long long)s->serial);
    if (s->not_after_ms != INT64_MAX) {
        time_text(s->not_after_ms, when);
        buf_printf(out, "not_after: %s\n", when);
    }
    return note_sign(k, start, out, f);
}

/* ---------------------------------------------------------------- reading */

/* "name: value" as the next line. */
static bool take_value(struct span *text, const char *name, struct span *ret)
{
    struct span line, rest = *text;
    const struct span lead = span_str(name);
    if (!note_take_line(&rest, &line) || !span_starts(line, lead))
        return false;
    *ret = span_sub(line, lead.n, line.n);
    *text = rest;
    return true;
}

static int hex_value(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool policy_sig_digest(struct span hex, unsigned char ret[32])
{
    if (hex.n != 64)
        return false;
    for (size_t i = 0; i < 32; i++) {
        const int high = hex_value(hex.p[2 * i]);
        const int low = hex_value(hex.p[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        ret[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

/* Canonical: no leading zero, so that one signature has one spelling. */
static bool get_serial(struct span s, uint64_t *ret)
{
    return span_u64(s, ret) && s.p[0] != '0' && *ret <= POLICY_SERIAL_MAX;
}

/* The spelling that we write and no other. */
static bool get_time(struct span s, int64_t *ret)
{
    char again[TIME_TEXT_BYTES];
    if (!time_parse(s, ret))
        return false;
    time_text(*ret, again);
    return span_eq(s, span_str(again));
}

static int read_claims(struct span text, struct policy_sig *ret, struct fail *f)
{
    struct span line, value;
    *ret = (struct policy_sig){.not_after_ms = INT64_MAX};
    if (!note_take_line(&text, &line) || !span_eq(line, SPAN(HEAD)))
        return fail(f, RC_SYNTAX,
                    "not a signature: the first line must be "
                    "'" HEAD "'");
    if (!take_value(&text, "kind: ", &value) ||
        !signed_kind_from(value, &ret->kind))
        return fail(f, RC_SYNTAX,
                    "line 2 must be 'kind: policy' or "
                    "'kind: config'");
    if (!take_value(&text, "sha256: ", &value) ||
        !policy_sig_digest(value, ret->digest))
        return fail(f, RC_SYNTAX,
                    "line 3 must be 'sha256: ' and 64 hex digits");
    if (!take_value(&text, "serial: ", &value) ||
        !get_serial(value, &ret->serial))
        return fail(f, RC_SYNTAX,
                    "line 4 must be 'serial: ' and a number, at "
                    "most 2^53 - 1");
    if (text.n > 0 && (!take_value(&text, "not_after: ", &value) ||
                       !get_time(value, &ret->not_after_ms)))
        return fail(f, RC_SYNTAX, "line 5 must be 'not_after: ' and a time");
    return text.n == 0 ? 0 : fail(f, RC_SYNTAX, "there are lines too many");
}

int policy_sig_read(struct span note, struct policy_sig *ret, struct fail *f)
{
    struct span text, signatures;
    TRY(note_split(note, &text, &signatures, f));
    return read_claims(text, ret, f);
}

static int bad_signer(struct span signatures, const struct policy_keys *keys,
                      struct fail *f)
{
    struct span line = span_sub(signatures, 0, span_find(signatures, '\n', 0));
    const size_t gap = span_find(line, ' ', 0);
    struct span name = span_sub(line, gap + 1, line.n);
    name = span_sub(name, 0, span_find(name, ' ', 0));
    return fail(f, RC_UNTRUSTED,
                "signed by '%.*s', which is none of the %u pinned key%s",
                PRSPAN(span_sub(name, 0, 64)), keys->count,
                keys->count == 1 ? "" : "s");
}

int policy_sig_open(struct span note, const struct policy_keys *keys,
                    struct policy_sig *ret, struct fail *f)
{
    struct span text, signatures;
    unsigned others;
    TRY(note_split(note, &text, &signatures, f));
    TRY(read_claims(text, ret, f));
    for (unsigned i = 0; i < keys->count; i++) {
        const struct note_public *p = &keys->at[i];
        const int is = note_check(text, signatures, p, &others, f);
        if (is < 0)
            return is;
        if (is == 1) {
            (void)snprintf(ret->signer, sizeof ret->signer, "%s", p->name);
            return 0;
        }
    }
    return bad_signer(signatures, keys, f);
}

/* ----------------------------------------------------------------- judging */

static bool is_seen(const struct policy_sig *s, const struct signed_serial *o)
{
    return s->serial == o->serial &&
           memcmp(s->digest, o->digest, sizeof s->digest) == 0;
}

int policy_sig_fits(const struct policy_sig *s, const struct policy_sig_want *w,
                    struct fail *f)
{
    char when[TIME_TEXT_BYTES];
    if (s->kind != w->kind)
        return fail(f, RC_UNTRUSTED, "it was made for a %s, not for a %s",
                    kinds[s->kind], kinds[w->kind]);
    if (memcmp(s->digest, w->digest, sizeof s->digest) != 0)
        return fail(f, RC_UNTRUSTED,
                    "it was made for a file with another SHA-256");
    if (is_seen(s, &w->seen))
        return 0;
    if (s->serial <= w->seen.serial)
        return fail(f, RC_STATE,
                    "replay: serial %llu is not above %llu, which was accepted "
                    "before",
                    (unsigned long long)s->serial,
                    (unsigned long long)w->seen.serial);
    if (w->wall_ms < s->not_after_ms)
        return 0;
    time_text(s->not_after_ms, when);
    return fail(f, RC_STATE, "expired: not_after is %s", when);
}

int policy_sig_check(struct span path, const struct policy_keys *keys,
                     const struct policy_sig_want *w, struct policy_sig *ret,
                     struct fail *f)
{
    char name[FILE_PATH_MAX];
    struct span note;
    TRY(file_path(name, path, "", f));
    int rc = file_read(mem_system(), name, POLICY_SIG_BYTES_MAX, &note, f);
    if (rc == RC_UNKNOWN_NAME)
        return fail(f, RC_UNTRUSTED,
                    "%s is missing: keys are pinned, so a signature is needed",
                    name);
    TRY(rc);
    rc = policy_sig_open(note, keys, ret, f);
    if (rc == 0)
        rc = policy_sig_fits(ret, w, f);
    mem_release(mem_system(), (void *)(uintptr_t)note.p);
    return rc < 0 ? fail_wrap(f, "signature %s", name) : 0;
}
