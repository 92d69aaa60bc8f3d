// SPDX-License-Identifier: Apache-2.0
/*
 * `bailiff policy keygen|sign|verify`: the tools of whoever vouches for
 * policies. They run where policies are made; the private key never needs to
 * be on a machine that runs a sidecar.
 */
#include "sidecar/cmd_policy_tool.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "adapters/jws.h"
#include "sidecar/base/json_out.h"
#include "sidecar/base/time_text.h"
#include "sidecar/cli.h"
#include "sidecar/config/config.h"
#include "sidecar/config/policy_file.h"
#include "sidecar/io/file.h"
#include "sidecar/io/key_file.h"
#include "sidecar/io/policy_sig.h"
#include "sidecar/term.h"

#define MEMORY_MAX (64u * 1024 * 1024)

struct sign_args {
    const char *file, *key, *serial, *not_after, *output, *kind, *signed_by;
    bool json;
};

static int64_t wall_now(void)
{
    struct timespec t = {0, 0};
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* "dir" and "name" of a path; "." when it has no slash. */
static struct span folder_of(const char *path, const char **ret_name)
{
    const char *slash = strrchr(path, '/');
    *ret_name = slash == NULL ? path : slash + 1;
    if (slash == NULL)
        return SPAN(".");
    return slash == path ? SPAN("/") : span_of(path, (size_t)(slash - path));
}

/* "policy.key" -> "policy.pub"; other names get ".pub" appended. */
static int public_path(const char *key, char ret[FILE_PATH_MAX], struct fail *f)
{
    struct span stem = span_str(key);
    if (stem.n > 4 && strcmp(key + stem.n - 4, ".key") == 0)
        stem.n -= 4;
    const int n = snprintf(ret, FILE_PATH_MAX, "%.*s.pub", PRSPAN(stem));
    return n > 0 && n < FILE_PATH_MAX
               ? 0
               : fail(f, RC_CONFIG, "the path of the key is too long");
}

/* ------------------------------------------------------------------ keygen */

static int make_pair(const char *name, const char *path, struct buf *line,
                     struct fail *f)
{
    char pub[FILE_PATH_MAX];
    const char *key_name, *pub_name;
    const struct span dir = folder_of(path, &key_name);
    TRY(public_path(path, pub, f));
    (void)folder_of(pub, &pub_name);
    return key_file_make_pair(dir, key_name, pub_name, span_str(name), line, f);
}

int cmd_policy_keygen(int argc, char **argv)
{
    const char *words[2], *path = "policy.key";
    const struct cli_option options[] = {{"output", 'o', NULL, &path},
                                         {NULL, 0, NULL, NULL}};
    struct buf line;
    struct fail f = {0};
    const int count = cli_parse(argc, argv, options, words, 2);
    if (count < 0)
        return EXIT_USAGE;
    if (count != 2)
        return cli_usage(
            "policy keygen NAME: who will sign, as the sidecars "
            "will show it, for example policy-team");
    buf_init(&line, mem_system(), 1024);
    const int rc = make_pair(words[1], path, &line, &f);
    if (rc == 0)
        (void)printf(
            "Made %s: keep it away from the machines that run "
            "sidecars.\nIts public key, for policy.keys in "
            "bailiff.yaml or bailiff run --signed-by:\n  %.*s",
            path, PRSPAN(buf_span(&line)));
    buf_fini(&line);
    if (rc == 0)
        return EXIT_YES;
    const int code = cli_fail(&f);
    return rc == RC_EXISTS || rc == RC_CONFIG ? EXIT_NO : code;
}

/* -------------------------------------------------------------------- files */

static int read_args(int argc, char **argv, const struct cli_option *options,
                     struct sign_args *a)
{
    const char *words[2];
    const int count = cli_parse(argc, argv, options, words, 2);
    if (count < 0)
        return EXIT_USAGE;
    if (count != 2)
        return cli_usage("policy %s needs one file", words[0]);
    a->file = words[1];
    return EXIT_YES;
}

/* The bytes, as the sidecar will read them. */
static int read_subject(struct mem *m, const char *file, struct span *ret,
                        unsigned char digest[32], struct fail *f)
{
    TRY(file_read(m, file, CONFIG_FILE_BYTES_MAX, ret, f));
    return jws_sha256(*ret, digest) < 0
               ? fail(f, RC_NO_MEMORY, "no memory for a digest")
               : 0;
}

static int signature_path(const struct sign_args *a, char ret[FILE_PATH_MAX],
                          struct fail *f)
{
    const int n = a->output != NULL
                      ? snprintf(ret, FILE_PATH_MAX, "%s", a->output)
                      : snprintf(ret, FILE_PATH_MAX, "%s.sig", a->file);
    return n > 0 && n < FILE_PATH_MAX
               ? 0
               : fail(f, RC_CONFIG, "the path of the signature is too long");
}

/* --------------------------------------------------------------------- sign */

static int read_key(const char *path, struct note_key **ret, struct fail *f)
{
    unsigned char seed[KEY_FILE_BYTES];
    char pub[FILE_PATH_MAX];
    struct note_public named, own;
    if (access(path, R_OK) != 0)
        return fail(f, RC_IO, "%s: %s", path, strerrordesc_np(errno));
    TRY(public_path(path, pub, f));
    if (access(pub, F_OK) != 0)
        return fail(f, RC_IO,
                    "%s is not there: a private key has its public key beside "
                    "it",
                    pub);
    TRY(note_public_read(pub, &named, f));
    int rc = key_file_read(span_str(path), seed, f);
    if (rc == 0)
        rc = note_key_new(seed, span_str(named.name), ret, f);
    mem_wipe(seed, sizeof seed);
    TRY(rc);
    note_key_public(*ret, &own);
    if (memcmp(own.key, named.key, sizeof own.key) == 0)
        return 0;
    note_key_free(*ret);
    return fail(f, RC_CONFIG, "%s is not the public key of %s", pub, path);
}

/* A policy that no sidecar would take is not worth a serial. */
static int check_policy(struct mem *m, const char *file, struct span text,
                        struct fail *f)
{
    struct policy_notes *notes = mem_alloc(m, sizeof *notes);
    const struct policy *p;
    if (notes == NULL)
        return fail(f, RC_NO_MEMORY, "out of memory");
    if (policy_text_load(m, span_str(file), text, &p, notes, f) == 0)
        return 0;
    return fail(f, RC_CONFIG,
                "%s has errors (`bailiff policy check` shows them): not "
                "signed",
                file);
}

static int write_signature(const struct sign_args *a,
                           const struct policy_sig *s, struct fail *f)
{
    char path[FILE_PATH_MAX];
    const char *name;
    struct note_key *key = NULL;
    struct buf out;
    TRY(signature_path(a, path, f));
    TRY(read_key(a->key, &key, f));
    buf_init(&out, mem_system(), POLICY_SIG_BYTES_MAX);
    int rc = policy_sig_put(s, key, &out, f);
    note_key_free(key);
    const struct span dir = folder_of(path, &name);
    if (rc == 0)
        rc = file_replace(dir, name, buf_span(&out), 0644, f);
    buf_fini(&out);
    if (rc == 0)
        (void)printf("%s: %s, serial %llu\n", path, signed_kind_word(s->kind),
                     (unsigned long long)s->serial);
    return rc;
}

static int sign(const struct sign_args *a, struct policy_sig *s)
{
    struct arena arena;
    struct span text;
    struct fail f = {0};
    arena_init(&arena, mem_system(), MEMORY_MAX);
    int rc = read_subject(&arena.mem, a->file, &text, s->digest, &f);
    if (rc == 0 && s->kind == SIGNED_POLICY)
        rc = check_policy(&arena.mem, a->file, text, &f);
    if (rc == 0)
        rc = write_signature(a, s, &f);
    arena_fini(&arena);
    if (rc == 0)
        return EXIT_YES;
    const int code = cli_fail(&f);
    return rc == RC_CONFIG || rc == RC_INVALID ? EXIT_NO : code;
}

int cmd_policy_sign(int argc, char **argv)
{
    struct sign_args a = {.kind = "policy"};
    struct policy_sig s = {.not_after_ms = INT64_MAX};
    const struct cli_option options[] = {
        {"key", 'k', NULL, &a.key},           {"serial", 0, NULL, &a.serial},
        {"not-after", 0, NULL, &a.not_after}, {"kind", 0, NULL, &a.kind},
        {"output", 'o', NULL, &a.output},     {NULL, 0, NULL, NULL}};
    const int code = read_args(argc, argv, options, &a);
    if (code != EXIT_YES)
        return code;
    if (a.key == NULL || a.serial == NULL)
        return cli_usage("policy sign needs --key KEY and --serial N");
    if (!signed_kind_from(span_str(a.kind), &s.kind))
        return cli_usage("policy sign: --kind is policy or config");
    if (!span_u64(span_str(a.serial), &s.serial) || s.serial == 0 ||
        s.serial > POLICY_SERIAL_MAX)
        return cli_usage("policy sign: --serial is a number, 1 to 2^53 - 1");
    if (a.not_after != NULL &&
        !time_parse(span_str(a.not_after), &s.not_after_ms))
        return cli_usage(
            "policy sign: --not-after is a date (2027-02-01) or "
            "a time (2027-02-01T12:00:00Z)");
    if (s.not_after_ms <= wall_now())
        return cli_usage("policy sign: --not-after has passed already");
    return sign(&a, &s);
}

/* ------------------------------------------------------------------- verify */

/* The claims, and whether they are to be believed. */
static int judge(const struct sign_args *a, enum signed_kind kind,
                 struct policy_sig *s, struct fail *f)
{
    char path[FILE_PATH_MAX];
    unsigned char digest[32];
    struct policy_keys keys = {.count = 0};
    struct span text, note;
    TRY(signature_path(a, path, f));
    TRY(read_subject(mem_system(), a->file, &text, digest, f));
    mem_release(mem_system(), (void *)(uintptr_t)text.p);
    const struct policy_sig_want want = {
        kind, digest, {.serial = 0}, wall_now()};
    if (a->signed_by != NULL) {
        TRY(policy_keys_add(&keys, span_str(a->signed_by), f));
        return policy_sig_check(span_str(path), &keys, &want, s, f);
    }
    TRY(file_read(mem_system(), path, POLICY_SIG_BYTES_MAX, &note, f));
    int rc = policy_sig_read(note, s, f);
    mem_release(mem_system(), (void *)(uintptr_t)note.p);
    if (rc == 0)
        rc = policy_sig_fits(s, &want, f);
    if (rc == 0)
        rc = fail(f, RC_UNTRUSTED,
                  "it fits the file, but proves nothing without the key: "
                  "--signed-by KEY");
    return rc < 0 ? fail_wrap(f, "signature %s", path) : 0;
}

static void print_verdict(const struct sign_args *a, const struct policy_sig *s,
                          const struct fail *f)
{
    const bool good = f->rc == 0, read = s->serial > 0;
    char when[TIME_TEXT_BYTES] = "";
    struct buf out;
    struct json_out j;
    if (read && s->not_after_ms != INT64_MAX)
        time_text(s->not_after_ms, when);
    if (!a->json) {
        if (good)
            (void)printf("%s: ok, %s signed by %s, serial %llu%s%s\n", a->file,
                         signed_kind_word(s->kind), s->signer,
                         (unsigned long long)s->serial,
                         when[0] == 0 ? "" : ", not after ", when);
        return;
    }
    buf_init(&out, mem_system(), 8192);
    json_out_init(&j, &out);
    json_open_map(&j, NULL);
    json_bool(&j, "ok", good);
    json_str(&j, "file", a->file);
    if (read) {
        json_str(&j, "kind", signed_kind_word(s->kind));
        json_u64(&j, "serial", s->serial);
    }
    if (when[0] != 0)
        json_str(&j, "not_after", when);
    if (s->signer[0] != 0)
        json_str(&j, "signed_by", s->signer);
    if (!good)
        json_str(&j, "error", f->text);
    json_close_map(&j);
    (void)printf("%.*s\n", PRSPAN(buf_span(&out)));
    buf_fini(&out);
}

int cmd_policy_verify(int argc, char **argv)
{
    struct sign_args a = {.kind = "policy"};
    struct policy_sig s = {.serial = 0};
    enum signed_kind kind;
    struct fail f = {.rc = 0};
    const struct cli_option options[] = {{"signed-by", 0, NULL, &a.signed_by},
                                         {"kind", 0, NULL, &a.kind},
                                         {"signature", 0, NULL, &a.output},
                                         {"json", 'j', &a.json, NULL},
                                         {NULL, 0, NULL, NULL}};
    const int code = read_args(argc, argv, options, &a);
    if (code != EXIT_YES)
        return code;
    if (!signed_kind_from(span_str(a.kind), &kind))
        return cli_usage("policy verify: --kind is policy or config");
    const int rc = judge(&a, kind, &s, &f);
    print_verdict(&a, &s, &f);
    if (rc == 0)
        return EXIT_YES;
    const int bad = a.json ? EXIT_ENVIRONMENT : cli_fail(&f);
    return rc == RC_IO || rc == RC_NO_MEMORY || rc == RC_UNKNOWN_NAME ? bad
                                                                      : EXIT_NO;
}
