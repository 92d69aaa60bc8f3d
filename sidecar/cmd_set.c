// SPDX-License-Identifier: Apache-2.0
/*
 * `bailiff set`: looks at tokens with the very code that receives them, without
 * a running sidecar. `inspect` shows what a token says and vouches for
 * nothing; `verify-jws` checks one signature; `verify` does all a feed does.
 */
#include "sidecar/cmd.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "adapters/sources/set.h"
#include "sidecar/base/json_out.h"
#include "sidecar/base/time_text.h"
#include "sidecar/cli.h"
#include "sidecar/term.h"

#define ARENA_BYTES_MAX (64 * 1024 * 1024)
#define INPUT_BYTES_MAX (64 * 1024 * 1024)
#define AUDIENCES_MAX 16

/* What the command line says. */
struct set_args {
    const char *jwk, *pem, *alg, *issuer, *audience, *types, *base, *stream,
        *now;
    bool batch, allow_untyped, allow_sub, allow_exp, uri_aliases;
};

/* All of `in` up to the limit; RC_IO, RC_TOO_LARGE, RC_NO_MEMORY. */
static int read_stream(FILE *in, struct buf *out, struct fail *f)
{
    for (;;) {
        unsigned char *p = buf_reserve(out, 64 * 1024);
        if (p == NULL)
            return fail(f, RC_TOO_LARGE, "more than %zu bytes", out->max_bytes);
        size_t n = fread(p, 1, 64 * 1024, in);
        out->n += n;
        if (n == 0)
            return ferror(in) ? fail(f, RC_IO, "read error") : 0;
    }
}

/* A file, or standard input for NULL and "-". */
static int read_input(const char *path, struct buf *out, struct fail *f)
{
    if (path == NULL || strcmp(path, "-") == 0)
        return read_stream(stdin, out, f);
    FILE *in = fopen(path, "rb");
    if (in == NULL)
        return fail(f, RC_IO, "cannot open %s", path);
    int rc = read_stream(in, out, f);
    (void)fclose(in);
    return rc < 0 ? fail_wrap(f, "%s", path) : 0;
}

/* Without the one line end that a file or a pipe adds. */
static struct span token_of(const struct buf *b)
{
    struct span s = buf_span(b);
    if (s.n > 0 && s.p[s.n - 1] == '\n')
        s.n--;
    if (s.n > 0 && s.p[s.n - 1] == '\r')
        s.n--;
    return s;
}

/* RC_IO and RC_TOO_LARGE when the file cannot be read, else why the keys are
 * not acceptable. */
static int load_keys(const struct set_args *a, struct jws_keys **ret,
                     struct fail *f)
{
    struct buf text;
    unsigned skipped = 0;
    buf_init(&text, mem_system(), 1024 * 1024);
    int rc = read_input(a->jwk != NULL ? a->jwk : a->pem, &text, f);
    if (rc == 0 && a->jwk != NULL)
        rc = jws_keys_from_json(buf_span(&text), ret, &skipped, f);
    else if (rc == 0)
        rc = jws_keys_from_pem(buf_span(&text), SPAN(""), (enum jws_alg)0, ret,
                               f);
    buf_fini(&text);
    return rc;
}

/* "RS256,ES256"; all when absent. */
static int read_algs(const char *text, unsigned *ret)
{
    struct span list = span_str(text);
    *ret = text == NULL ? JWS_ALG_ALL : 0;
    for (size_t at = 0; at < list.n; at = span_find(list, ',', at) + 1) {
        enum jws_alg alg;
        struct span name = span_sub(list, at, span_find(list, ',', at));
        if (!jws_alg_from_name(name, &alg)) {
            (void)cli_usage("set: unknown algorithm '%.*s'", PRSPAN(name));
            return RC_INVALID;
        }
        *ret |= (unsigned)alg;
    }
    return 0;
}

static int exit_of(int rc)
{
    if (rc == 0)
        return EXIT_YES;
    return rc <= -500 ? EXIT_ENVIRONMENT : EXIT_NO;
}

static int refused(int rc, const char *word, const struct fail *f)
{
    (void)fprintf(stderr, "bailiff: refused: %s: %s\n", word, f->text);
    return exit_of(rc);
}

static int write_out(struct span s)
{
    bool ok = fwrite(s.p, 1, s.n, stdout) == s.n && fflush(stdout) == 0;
    return ok ? EXIT_YES : EXIT_ENVIRONMENT;
}

/* ---- verify-jws ---------------------------------------------------------- */

static int verify_one(const struct set_args *a, unsigned algs)
{
    struct fail f = {0};
    struct jws_keys *keys = NULL;
    struct buf text;
    struct arena arena;
    struct jws found;
    enum jws_why why;
    int rc = load_keys(a, &keys, &f);
    if (rc < 0)
        return refused(rc, "key", &f);
    buf_init(&text, mem_system(), JWS_TOKEN_BYTES_MAX + 64 * 1024 + 2);
    arena_init(&arena, mem_system(), ARENA_BYTES_MAX);
    rc = read_input(NULL, &text, &f);
    if (rc < 0)
        rc = refused(rc, "token", &f);
    else if ((rc = jws_verify(&arena.mem, keys, algs, token_of(&text), &found,
                              &why, &f)) < 0)
        rc = refused(rc, jws_why_word(why), &f);
    else
        rc = write_out(found.payload);
    arena_fini(&arena);
    buf_fini(&text);
    jws_keys_unref(keys);
    return rc;
}

/* One run over many lines: the keys of the last file are kept. */
struct batch {
    unsigned algs;
    struct arena arena;
    struct buf path; /* of `keys`, NUL-terminated */
    struct jws_keys *keys;
    int keys_rc;
    struct fail keys_fail;
    unsigned accepted, refused;
};

static void batch_use(struct batch *b, struct span path)
{
    if (b->path.n > 0 && span_eq(buf_span(&b->path), path))
        return;
    jws_keys_unref(b->keys);
    b->keys = NULL;
    buf_clear(&b->path);
    buf_put(&b->path, path);
    const struct set_args a = {.jwk = (const char *)b->path.p};
    b->keys_rc = buf_ok(&b->path) && path.n > 0
                     ? load_keys(&a, &b->keys, &b->keys_fail)
                     : fail(&b->keys_fail, RC_INVALID, "no key file");
}

/* One line; RC_IO when its key file cannot be read. */
static int batch_line(struct batch *b, struct span line)
{
    struct jws found;
    enum jws_why why = JWS_MALFORMED;
    size_t tab = span_find(line, '\t', 0);
    batch_use(b, span_sub(line, 0, tab));
    if (b->keys_rc <= -500) {
        (void)cli_fail(&b->keys_fail);
        return b->keys_rc;
    }
    arena_clear(&b->arena);
    const char *word = "key";
    int rc = b->keys_rc;
    if (rc == 0) {
        rc = jws_verify(&b->arena.mem, b->keys, b->algs,
                        span_sub(line, tab + 1, line.n), &found, &why, NULL);
        word = jws_why_word(why);
    }
    if (rc <= -500)
        return rc;
    if (rc == 0)
        (void)puts("accept");
    else
        (void)printf("refuse\t%s\n", word);
    b->accepted += rc == 0;
    b->refused += rc < 0;
    return 0;
}

static int verify_batch(unsigned algs)
{
    struct batch b = {.algs = algs};
    struct buf input;
    struct fail f = {0};
    buf_init(&input, mem_system(), INPUT_BYTES_MAX);
    buf_init(&b.path, mem_system(), 4096);
    arena_init(&b.arena, mem_system(), ARENA_BYTES_MAX);
    int rc = read_input(NULL, &input, &f);
    if (rc < 0)
        (void)cli_fail(&f);
    struct span all = token_of(&input);
    for (size_t at = 0; rc == 0 && at < all.n;
         at = span_find(all, '\n', at) + 1)
        rc = batch_line(&b, span_sub(all, at, span_find(all, '\n', at)));
    (void)fprintf(stderr, "%u accepted, %u refused\n", b.accepted, b.refused);
    jws_keys_unref(b.keys);
    buf_fini(&b.path);
    buf_fini(&input);
    arena_fini(&b.arena);
    if (rc < 0 || fflush(stdout) != 0)
        return EXIT_ENVIRONMENT;
    return b.refused > 0 ? EXIT_NO : EXIT_YES;
}

static int run_verify_jws(const struct set_args *a)
{
    unsigned algs;
    if (read_algs(a->alg, &algs) < 0)
        return EXIT_USAGE;
    if (a->batch && (a->jwk != NULL || a->pem != NULL))
        return cli_usage("set: --batch takes its key files from the lines");
    if (a->batch)
        return verify_batch(algs);
    if ((a->jwk == NULL) == (a->pem == NULL))
        return cli_usage("set: verify-jws needs --jwk FILE or --pem FILE");
    return verify_one(a, algs);
}

/* ---- inspect ------------------------------------------------------------- */

static void put_line(struct buf *b, const char *name, struct span value)
{
    if (value.n == 0)
        return;
    buf_printf(b, "%-8s ", name);
    term_put(b, value);
    buf_put_u8(b, '\n');
}

static void put_document(struct buf *b, struct mem *m, const char *name,
                         const struct doc *d)
{
    struct buf json;
    struct json_out j;
    buf_init(&json, m, 4 * JWS_TOKEN_BYTES_MAX);
    json_out_init(&j, &json);
    json_doc(&j, NULL, d);
    put_line(b, name, buf_span(&json));
    buf_fini(&json);
}

/* The short names of what `events` holds. */
static void put_events(struct buf *b, const struct doc *events)
{
    if (events == NULL || events->kind != DOC_MAP)
        return;
    DOC_EACH (it, events) {
        enum event_form form;
        enum event_type t = event_type_from_uri(it->key, &form);
        buf_printf(b, "%-8s %s%s  ", "event", event_type_name(t),
                   form == FORM_FULL     ? " (full)"
                   : form == FORM_NOTICE ? " (notice)"
                                         : "");
        term_put(b, it->key);
        buf_put_u8(b, '\n');
    }
}

static int run_inspect(const char *path)
{
    struct buf text, out;
    struct arena arena;
    struct fail f = {0};
    const struct doc *header = NULL, *payload = NULL;
    buf_init(&text, mem_system(), 1024 * 1024);
    buf_init(&out, mem_system(), 8 * 1024 * 1024);
    arena_init(&arena, mem_system(), ARENA_BYTES_MAX);
    int rc = read_input(path, &text, &f);
    if (rc == 0)
        rc = jws_decode_unverified(&arena.mem, token_of(&text), &header,
                                   &payload, &f);
    if (rc == 0) {
        buf_put_str(&out, "not verified: anybody can write this\n");
        put_document(&out, &arena.mem, "header", header);
        put_document(&out, &arena.mem, "payload", payload);
        put_line(&out, "issuer", doc_text(payload, SPAN("iss")));
        put_line(&out, "jti", doc_text(payload, SPAN("jti")));
        put_line(&out, "subject",
                 doc_text(doc_get(payload, SPAN("sub_id")), SPAN("uri")));
        put_events(&out, doc_get(payload, SPAN("events")));
        rc = write_out(buf_span(&out));
    } else {
        rc = refused(rc, "token", &f);
    }
    arena_fini(&arena);
    buf_fini(&out);
    buf_fini(&text);
    return rc;
}

/* ---- verify -------------------------------------------------------------- */

/* "Agents=agent,Users=user". */
static int read_types(const char *text, struct set_rules *rules)
{
    struct span list = span_str(text == NULL ? "Agents=agent,Users=user,"
                                               "Groups=group"
                                             : text);
    for (size_t at = 0; at < list.n; at = span_find(list, ',', at) + 1) {
        struct span row = span_sub(list, at, span_find(list, ',', at));
        size_t eq = span_find(row, '=', 0);
        struct span kind = span_sub(row, eq + 1, row.n);
        unsigned k = 0;
        while (
            k < SUBJECT_KIND_COUNT &&
            !span_eq(kind, span_str(subject_kind_word((enum subject_kind)k))))
            k++;
        if (k == SUBJECT_KIND_COUNT || rules->type_count == 8) {
            (void)cli_usage("set: --types is Segment=agent|user|group,...");
            return RC_INVALID;
        }
        rules->types[rules->type_count].segment = span_sub(row, 0, eq);
        rules->types[rules->type_count++].kind = (enum subject_kind)k;
    }
    return 0;
}

static int read_audiences(const char *text, struct span *into,
                          struct set_rules *rules)
{
    struct span list = span_str(text);
    for (size_t at = 0; at < list.n; at = span_find(list, ',', at) + 1) {
        if (rules->audience_count == AUDIENCES_MAX) {
            (void)cli_usage("set: at most %d audiences", AUDIENCES_MAX);
            return RC_INVALID;
        }
        into[rules->audience_count++] =
            span_sub(list, at, span_find(list, ',', at));
    }
    rules->audiences = into;
    return 0;
}

static int read_now(const char *text, int64_t *ret_ms)
{
    struct timespec now;
    if (text != NULL && time_parse(span_str(text), ret_ms))
        return 0;
    if (text != NULL) {
        (void)cli_usage("set: --now is a time such as 2026-09-21T14:29:58Z");
        return RC_INVALID;
    }
    (void)clock_gettime(CLOCK_REALTIME, &now);
    *ret_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    return 0;
}

static void put_event(struct buf *b, const struct event *e)
{
    char at[TIME_TEXT_BYTES];
    time_text(e->iat_ms, at);
    put_line(b, "issuer", e->issuer);
    put_line(b, "jti", e->jti);
    put_line(b, "txn", e->txn);
    put_line(b, "issued", span_str(at));
    if (e->has_subject) {
        put_line(b, "kind", span_str(subject_kind_word(e->kind)));
        put_line(b, "subject", e->uri);
    }
    put_line(b, "stream", e->stream_status);
    for (unsigned i = 0; i < e->part_count; i++) {
        const struct event_part *p = &e->parts[i];
        put_line(b, "event", span_str(event_type_name(p->type)));
        put_line(b, "version", p->version);
        for (unsigned c = 0; c < p->changed_count; c++)
            put_line(b, "changed", p->changed[c].attr);
        if (p->changed_anything)
            put_line(b, "changed", SPAN("(anything)"));
    }
}

static int accept_token(const struct set_rules *rules,
                        const struct jws_keys *keys, struct span token,
                        int64_t now_ms)
{
    struct arena arena;
    struct buf out;
    struct set_result r;
    struct fail f = {0};
    arena_init(&arena, mem_system(), ARENA_BYTES_MAX);
    buf_init(&out, mem_system(), 8 * 1024 * 1024);
    int rc = set_accept(&arena.mem, rules, keys, token, now_ms, &r, &f);
    if (rc == 0) {
        put_event(&out, &r.event);
        rc = write_out(buf_span(&out));
    } else {
        rc = refused(rc, set_err_word(r.err), &f);
        if (r.dirty)
            (void)fputs("bailiff: the subject would become stale\n", stderr);
    }
    buf_fini(&out);
    arena_fini(&arena);
    return rc;
}

static int run_with_keys(const struct set_args *a,
                         const struct set_rules *rules, const char *path,
                         int64_t now_ms)
{
    struct fail f = {0};
    struct jws_keys *keys = NULL;
    struct buf text;
    int rc = load_keys(a, &keys, &f);
    if (rc < 0)
        return refused(rc, "key", &f);
    buf_init(&text, mem_system(), 1024 * 1024);
    rc = read_input(path, &text, &f);
    rc = rc < 0 ? refused(rc, "token", &f)
                : accept_token(rules, keys, token_of(&text), now_ms);
    buf_fini(&text);
    jws_keys_unref(keys);
    return rc;
}

static int run_verify(const struct set_args *a, const char *path)
{
    struct span audiences[AUDIENCES_MAX];
    int64_t now_ms;
    if ((a->jwk == NULL) == (a->pem == NULL) || a->issuer == NULL ||
        a->audience == NULL)
        return cli_usage(
            "set: verify needs --jwk or --pem, --issuer and --audience");
    struct set_rules rules = {
        .feed = SPAN("command-line"),
        .issuer = span_str(a->issuer),
        .base = span_str(a->base),
        .stream_id = span_str(a->stream),
        .allow_untyped = a->allow_untyped,
        .allow_sub = a->allow_sub,
        .allow_exp = a->allow_exp,
        .uri_aliases = a->uri_aliases,
    };
    if (read_algs(a->alg, &rules.algs) < 0 ||
        read_types(a->types, &rules) < 0 ||
        read_audiences(a->audience, audiences, &rules) < 0 ||
        read_now(a->now, &now_ms) < 0)
        return EXIT_USAGE;
    return run_with_keys(a, &rules, path, now_ms);
}

int cmd_set(int argc, char **argv)
{
    struct set_args a = {.jwk = NULL};
    const struct cli_option options[] = {
        {"jwk", 0, NULL, &a.jwk},
        {"pem", 0, NULL, &a.pem},
        {"alg", 0, NULL, &a.alg},
        {"batch", 0, &a.batch, NULL},
        {"issuer", 0, NULL, &a.issuer},
        {"audience", 0, NULL, &a.audience},
        {"types", 0, NULL, &a.types},
        {"base", 0, NULL, &a.base},
        {"stream", 0, NULL, &a.stream},
        {"now", 0, NULL, &a.now},
        {"allow-untyped", 0, &a.allow_untyped, NULL},
        {"allow-sub", 0, &a.allow_sub, NULL},
        {"allow-exp", 0, &a.allow_exp, NULL},
        {"uri-aliases", 0, &a.uri_aliases, NULL},
        {NULL, 0, NULL, NULL},
    };
    const char *words[2] = {NULL, NULL};
    if (cli_parse(argc, argv, options, words, 2) < 0)
        return EXIT_USAGE;
    if (strcmp(words[0], "inspect") == 0)
        return run_inspect(words[1]);
    if (strcmp(words[0], "verify") == 0)
        return run_verify(&a, words[1]);
    if (words[1] != NULL)
        return cli_usage("%s reads standard input; what is '%s' for?", argv[0],
                         words[1]);
    return run_verify_jws(&a);
}
