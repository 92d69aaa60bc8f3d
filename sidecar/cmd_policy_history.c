// SPDX-License-Identifier: Apache-2.0
/*
 * `bailiff policy status|history|reload|rollback`: the policy of the running
 * sidecar, what was in force before, and going back to it.
 */
#include "sidecar/cmd_policy_tool.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/json_doc.h"
#include "sidecar/base/time_text.h"
#include "sidecar/io/file.h"
#include "sidecar/io/policy_shelf.h"
#include "sidecar/operator.h"

#define TEXT_BYTES_MAX (1024 * 1024)
#define PREFIX_MIN 8

static const struct span GET = {NULL, 0};

/* ------------------------------------------------------------------- status */

static void line(struct operator* o, const char *name, struct span text,
                 enum tone tone)
{
    buf_printf(&o->out, "%-9s  ", name);
    term_tone(&o->term, &o->out, tone, text);
    buf_put_str(&o->out, "\n");
}

static bool is_true(const struct doc *d, struct span key)
{
    const struct doc *b = doc_get(d, key);
    return b != NULL && b->kind == DOC_BOOL && b->truth;
}

/* `unpinned` says why nobody asks for a signature. */
static void signature_line(struct operator* o, const char *name,
                           const struct doc *s, bool pinned,
                           struct span unpinned)
{
    if (s == NULL) {
        line(o, name, pinned ? SPAN("none needed: it is built in") : unpinned,
             TONE_PLAIN);
        return;
    }
    const bool expired = is_true(s, SPAN("expired"));
    line(
        o, name,
        operator_printf(o, "by %.*s, serial %lld, not after %.*s%s",
                        PRSPAN(operator_text(s, SPAN("signed_by"))),
                        (long long)operator_number(s, SPAN("serial")),
                        PRSPAN(operator_text(s, SPAN("not_after"))),
                        expired ? ": expired, still enforced; sign again" : ""),
        expired ? TONE_BAD : TONE_GOOD);
}

static void print_status(struct operator* o, const struct doc *root)
{
    const struct span mode = operator_text(root, SPAN("mode"));
    const struct doc *refusal = doc_get(root, SPAN("last_refusal"));
    const bool audit = !span_eq(mode, SPAN("enforce"));
    line(o, "policy", operator_digest(root, SPAN("digest")), TONE_BOLD);
    line(o, "mode",
         doc_get(root, SPAN("audit_until")) == NULL
             ? mode
             : operator_printf(o, "%.*s, until %.*s", PRSPAN(mode),
                               PRSPAN(doc_text(root, SPAN("audit_until")))),
         audit ? TONE_WARN : TONE_PLAIN);
    line(o, "in force",
         operator_printf(o, "since %.*s",
                         PRSPAN(operator_ago(o, root, SPAN("since")))),
         TONE_PLAIN);
    line(o, "file",
         operator_printf(o, "%.*s, changed %.*s%s",
                         PRSPAN(operator_text(root, SPAN("file"))),
                         PRSPAN(operator_ago(o, root, SPAN("file_modified"))),
                         is_true(root, SPAN("watch")) ? ", watched" : ""),
         TONE_PLAIN);
    signature_line(o, "signature", doc_get(root, SPAN("signature")),
                   is_true(root, SPAN("pinned")),
                   SPAN("not signed: bailiff.yaml has no policy.keys"));
    line(o, "config", operator_digest(root, SPAN("config_digest")), TONE_PLAIN);
    signature_line(o, "", doc_get(root, SPAN("config_signature")),
                   is_true(root, SPAN("config_pinned")),
                   SPAN("not signed: started without --signed-by"));
    if (refusal != NULL)
        line(o, "refused",
             operator_printf(o, "%.*s: %.*s",
                             PRSPAN(operator_ago(o, refusal, SPAN("time"))),
                             PRSPAN(operator_text(refusal, SPAN("error")))),
             TONE_WARN);
}

static int status(struct operator* o)
{
    const struct doc *root = NULL;
    struct span text;
    const int code = operator_call(o, "/v1/policy", GET, &root, &text);
    if (code != EXIT_YES)
        return code;
    if (o->json) {
        buf_put(&o->out, text);
        buf_put_str(&o->out, "\n");
    } else {
        print_status(o, root);
    }
    return EXIT_YES;
}

static int parse(struct operator* o, int argc, char **argv, unsigned most,
                 const char **words)
{
    const struct cli_option options[] = {OPERATOR_OPTIONS(o),
                                         {"reason", 'r', NULL, &o->reason},
                                         {NULL, 0, NULL, NULL}};
    return cli_parse(argc, argv, options, words, most);
}

int cmd_policy_status(int argc, char **argv)
{
    struct operator o = {.config = NULL};
    const char *words[1];
    if (parse(&o, argc, argv, 1, words) < 0)
        return EXIT_USAGE;
    int code = operator_open(&o);
    if (code == EXIT_YES)
        code = status(&o);
    return operator_close(&o, code);
}

/* ------------------------------------------------------------------ history */

struct history_args {
    struct operator o;
    const char *dir, *show;
};

static void print_history(struct operator* o, const struct doc *list)
{
    static const char *const heads[] = {"WHEN",   "DIGEST", "OUTCOME", "MODE",
                                        "SERIAL", "BY",     "WHY NOT"};
    struct table t;
    if (list == NULL || list->count == 0) {
        buf_put_str(&o->out, "No policy is remembered.\n");
        return;
    }
    table_init(&t, &o->arena.mem, heads, 7);
    DOC_EACH (e, list) {
        const bool bad = span_eq(doc_text(e, SPAN("outcome")), SPAN("refused"));
        const long long serial = operator_number(e, SPAN("serial"));
        operator_cell(o, &t, operator_ago(o, e, SPAN("time")), TONE_PLAIN);
        operator_cell(o, &t, operator_digest(e, SPAN("digest")), TONE_PLAIN);
        operator_cell(o, &t, operator_text(e, SPAN("outcome")),
                      bad ? TONE_BAD : TONE_GOOD);
        operator_cell(o, &t, operator_text(e, SPAN("mode")), TONE_PLAIN);
        operator_cell(
            o, &t, serial == 0 ? SPAN("-") : operator_printf(o, "%lld", serial),
            TONE_PLAIN);
        operator_cell(o, &t, operator_text(e, SPAN("person")), TONE_PLAIN);
        operator_cell(o, &t, operator_text(e, SPAN("error")), TONE_PLAIN);
    }
    table_print(&t, &o->term, &o->out);
}

/* The same answer from the data directory, without a running sidecar. */
static int read_offline(struct history_args *h, const struct doc **ret,
                        struct span *ret_text)
{
    struct operator* o = & h->o;
    struct policy_history *all = mem_alloc(&o->arena.mem, sizeof *all);
    struct fail f = {0};
    struct buf b;
    struct json_out j;
    if (all == NULL)
        return EXIT_ENVIRONMENT;
    if (access(h->dir, R_OK | X_OK) != 0) {
        ignore_rc(fail(&f, RC_IO, "%s: %s", h->dir, strerrordesc_np(errno)));
        return cli_fail(&f);
    }
    if (policy_history_load(span_str(h->dir), all, &f) < 0)
        return cli_fail(&f);
    buf_init(&b, &o->arena.mem, POLICY_HISTORY_BYTES_MAX);
    json_out_init(&j, &b);
    json_open_map(&j, NULL);
    json_open_list(&j, "history");
    for (unsigned i = all->count; i > 0; i--) {
        json_open_map(&j, NULL);
        policy_history_show(&all->at[i - 1], &j);
        json_close_map(&j);
    }
    json_close_list(&j);
    json_close_map(&j);
    *ret_text = buf_span(&b);
    return json_doc_parse(&o->arena.mem, *ret_text, POLICY_HISTORY_BYTES_MAX,
                          ret, &f) < 0
               ? cli_fail(&f)
               : EXIT_YES;
}

static int get_history(struct history_args *h, const struct doc **ret,
                       struct span *ret_text)
{
    return h->dir != NULL
               ? read_offline(h, ret, ret_text)
               : operator_call(&h->o, "/v1/policy/history", GET, ret, ret_text);
}

static int get_text(struct history_args *h, const char *digest,
                    struct span *ret)
{
    struct operator* o = & h->o;
    const struct doc *root = NULL;
    struct span text;
    struct buf target;
    struct fail f = {0};
    if (h->dir != NULL) {
        const int rc =
            policy_shelf_read(&o->arena.mem, span_str(h->dir), digest, ret, &f);
        if (rc == 0)
            return EXIT_YES;
        const int code = cli_fail(&f);
        return rc == RC_UNKNOWN_NAME ? EXIT_NO : code;
    }
    buf_init(&target, &o->arena.mem, 1024);
    buf_put_str(&target, "/v1/policy/text");
    operator_query(&target, "digest", digest);
    const int code = operator_get(o, &target, &root, &text);
    if (code == EXIT_YES)
        *ret = doc_text(root, SPAN("text"));
    return code;
}

/* Was it in force? Refused ones are no place to go back to. */
static bool was_active(const struct doc *e)
{
    return !span_eq(doc_text(e, SPAN("outcome")), SPAN("refused")) &&
           doc_text(e, SPAN("digest")).n == POLICY_DIGEST_HEX;
}

/* The whole digest that `word` is the beginning of; "-1": the one that was in
 * force before `active`. NULL: said why on stderr. */
static const char *find_digest(struct operator* o, const struct doc *list,
                               const char *word, struct span active)
{
    const bool back = strcmp(word, "-1") == 0;
    struct span found = SPAN("");
    if (!back && strlen(word) < PREFIX_MIN) {
        (void)cli_usage("'%s' is shorter than %d digits of a digest", word,
                        PREFIX_MIN);
        return NULL;
    }
    DOC_EACH (e, list) {
        const struct span d = doc_text(e, SPAN("digest"));
        if (!was_active(e) || (back && span_eq(d, active)) ||
            (!back && !span_starts(d, span_str(word))))
            continue;
        if (found.n > 0 && !span_eq(found, d) && !back) {
            (void)cli_usage("'%s' is the beginning of several digests", word);
            return NULL;
        }
        if (found.n == 0)
            found = d;
    }
    if (found.n == 0) {
        (void)cli_usage(back ? "no other policy was in force before"
                             : "no policy '%s' is remembered; see `bailiff "
                               "policy history`",
                        word);
        return NULL;
    }
    return operator_str(o, found);
}

static int show(struct history_args *h)
{
    const struct doc *root = NULL;
    struct span text;
    const char *digest = h->show;
    int code = EXIT_YES;
    if (strlen(digest) != POLICY_DIGEST_HEX) {
        code = get_history(h, &root, &text);
        if (code != EXIT_YES)
            return code;
        digest = find_digest(&h->o, doc_get(root, SPAN("history")), digest,
                             SPAN(""));
        if (digest == NULL)
            return EXIT_NO;
    }
    code = get_text(h, digest, &text);
    if (code == EXIT_YES)
        buf_put(&h->o.out, text);
    return code;
}

static int history(struct history_args *h)
{
    const struct doc *root = NULL;
    struct span text;
    if (h->show != NULL)
        return show(h);
    const int code = get_history(h, &root, &text);
    if (code != EXIT_YES)
        return code;
    if (h->o.json) {
        buf_put(&h->o.out, text);
        buf_put_str(&h->o.out, "\n");
    } else {
        print_history(&h->o, doc_get(root, SPAN("history")));
    }
    return EXIT_YES;
}

int cmd_policy_history(int argc, char **argv)
{
    struct history_args h = {.dir = NULL};
    const char *words[1];
    const struct cli_option options[] = {OPERATOR_OPTIONS(&h.o),
                                         {"dir", 'd', NULL, &h.dir},
                                         {"show", 0, NULL, &h.show},
                                         {NULL, 0, NULL, NULL}};
    if (cli_parse(argc, argv, options, words, 1) < 0)
        return EXIT_USAGE;
    int code = operator_open(&h.o);
    if (code == EXIT_YES)
        code = history(&h);
    return operator_close(&h.o, code);
}

/* ------------------------------------------------------------------- reload */

/* Asks and waits; *ret_outcome is "" when nobody answered. */
static int reload(struct operator* o, const char *as, const struct doc **ret,
                  struct span *ret_text)
{
    struct buf body;
    struct json_out j;
    operator_body(o, &body, &j, NULL);
    if (as != NULL)
        json_str(&j, "as", as);
    json_close_map(&j);
    return operator_call(o, "/v1/policy/reload", buf_span(&body), ret,
                         ret_text);
}

static int print_outcome(struct operator* o, const struct doc *root,
                         struct span text)
{
    const struct span outcome = operator_text(root, SPAN("outcome"));
    const bool refused = span_eq(outcome, SPAN("refused"));
    if (o->json) {
        buf_put(&o->out, text);
        buf_put_str(&o->out, "\n");
    } else if (refused) {
        term_tone(&o->term, &o->out, TONE_BAD, SPAN("refused"));
        buf_printf(&o->out, ": %.*s\n%.*s stays in force\n",
                   PRSPAN(operator_text(root, SPAN("error"))),
                   PRSPAN(operator_text(root, SPAN("active"))));
    } else {
        term_tone(&o->term, &o->out, TONE_GOOD, outcome);
        buf_printf(&o->out, ": %.*s\n",
                   PRSPAN(operator_text(root, SPAN("active"))));
    }
    return refused ? EXIT_NO : EXIT_YES;
}

int cmd_policy_reload(int argc, char **argv)
{
    struct operator o = {.config = NULL};
    const char *words[1];
    const struct doc *root = NULL;
    struct span text = SPAN("");
    if (parse(&o, argc, argv, 1, words) < 0)
        return EXIT_USAGE;
    int code = operator_check_reason(&o, "policy reload");
    if (code != EXIT_YES)
        return code;
    code = operator_open(&o);
    if (code == EXIT_YES)
        code = reload(&o, NULL, &root, &text);
    if (code == EXIT_YES)
        code = print_outcome(&o, root, text);
    return operator_close(&o, code);
}

/* ----------------------------------------------------------------- rollback */

/* The policy file that is replaced, and put back when it was in vain. */
struct swapped {
    char path[FILE_PATH_MAX]; /* where links lead to */
    char dir[FILE_PATH_MAX];
    const char *name;
    struct stat st;
    struct span old;
};

static int write_over(const struct swapped *s, struct span text, struct fail *f)
{
    char fresh[FILE_PATH_MAX], fresh_name[256];
    const int n =
        snprintf(fresh_name, sizeof fresh_name, "%s.rollback", s->name);
    if (n < 0 || (size_t)n >= sizeof fresh_name)
        return fail(f, RC_CONFIG, "the file's name is too long");
    TRY(file_replace(span_str(s->dir), fresh_name, text, s->st.st_mode & 0777,
                     f));
    TRY(file_path(fresh, span_str(s->dir), fresh_name, f));
    /* lchown: who owns the folder may have put a link there by now */
    if (lchown(fresh, s->st.st_uid, s->st.st_gid) != 0 ||
        rename(fresh, s->path) != 0) {
        const int rc = fail(f, RC_IO,
                            "%s cannot be replaced with its owner "
                            "kept",
                            s->path);
        (void)unlink(fresh);
        return rc;
    }
    return file_sync_dir(span_str(s->dir), f);
}

static int open_swapped(struct operator* o, struct span file,
                        struct swapped *ret, struct fail *f)
{
    char name[FILE_PATH_MAX], full[PATH_MAX];
    TRY(file_path(name, file, "", f));
    if (realpath(name, full) == NULL || stat(full, &ret->st) != 0)
        return fail(f, RC_IO, "%s: cannot be found", name);
    TRY(file_path(ret->path, span_str(full), "", f));
    ret->name = strrchr(ret->path, '/') + 1;
    const size_t slash = (size_t)(ret->name - ret->path) - 1;
    TRY(file_path(ret->dir, slash > 0 ? span_of(full, slash) : SPAN("/"), "",
                  f));
    return file_read(&o->arena.mem, ret->path, TEXT_BYTES_MAX, &ret->old, f);
}

static int refuse_pinned(const char *digest)
{
    (void)cli_usage(
        "keys are pinned, so an old policy needs a new signature:\n"
        "  bailiff policy history --show %.16s > old.yaml\n"
        "  bailiff policy sign old.yaml --key KEY --serial N   "
        "(N above the last one)\n"
        "then put old.yaml and old.yaml.sig in place and "
        "`bailiff policy reload`",
        digest);
    return EXIT_NO;
}

/* After a lost answer: did it happen all the same? */
static bool is_in_force(struct operator* o, const char *digest)
{
    const struct doc *root = NULL;
    struct span text;
    return operator_call(o, "/v1/policy", GET, &root, &text) == EXIT_YES &&
           span_eq(doc_text(root, SPAN("digest")), span_str(digest));
}

static int put_back(const struct swapped *s)
{
    struct fail f = {0};
    if (write_over(s, s->old, &f) < 0) {
        (void)fail_wrap(&f, "the old file could not be put back");
        return cli_fail(&f);
    }
    return EXIT_NO;
}

static int swap(struct operator* o, struct span file, const char *digest,
                struct span text)
{
    struct swapped s = {.name = NULL};
    struct fail f = {0};
    const struct doc *root = NULL;
    struct span answer;
    if (open_swapped(o, file, &s, &f) < 0 || write_over(&s, text, &f) < 0)
        return cli_fail(&f);
    const int code = reload(o, "rollback", &root, &answer);
    if (code == EXIT_YES)
        return print_outcome(o, root, answer) == EXIT_YES ? EXIT_YES
                                                          : put_back(&s);
    if (code == EXIT_NO) /* it was not tried */
        return put_back(&s);
    if (is_in_force(o, digest))
        return EXIT_YES;
    (void)fail(&f, RC_UNAVAILABLE,
               "whether %.16s is in force is not known; %s holds it now",
               digest, s.path);
    return cli_fail(&f);
}

static int rollback(struct history_args *h, const char *word, const char *file)
{
    struct operator* o = & h->o;
    const struct doc *now = NULL, *root = NULL;
    struct span ignored, text;
    int code = operator_call(o, "/v1/policy", GET, &now, &ignored);
    if (code == EXIT_YES)
        code = get_history(h, &root, &ignored);
    if (code != EXIT_YES)
        return code;
    const struct span active = doc_text(now, SPAN("digest"));
    const struct span path =
        file != NULL ? span_str(file) : doc_text(now, SPAN("file"));
    const char *digest =
        find_digest(o, doc_get(root, SPAN("history")), word, active);
    if (digest == NULL)
        return EXIT_NO;
    if (is_true(now, SPAN("pinned")))
        return refuse_pinned(digest);
    if (path.n == 0)
        return cli_usage("the sidecar has no policy file");
    if (span_eq(active, span_str(digest)))
        return cli_usage("%.16s is in force already", digest);
    code = get_text(h, digest, &text);
    return code == EXIT_YES ? swap(o, path, digest, text) : code;
}

int cmd_policy_rollback(int argc, char **argv)
{
    struct history_args h = {.dir = NULL};
    const char *words[2] = {NULL, "-1"}, *file = NULL;
    bool back = false; /* -1 looks like an option, so it is one */
    const struct cli_option options[] = {OPERATOR_OPTIONS(&h.o),
                                         {"reason", 'r', NULL, &h.o.reason},
                                         {"file", 0, NULL, &file},
                                         {"previous", '1', &back, NULL},
                                         {NULL, 0, NULL, NULL}};
    const int count = cli_parse(argc, argv, options, words, 2);
    if (count < 0)
        return EXIT_USAGE;
    if (back && count == 2)
        return cli_usage("policy rollback: a digest or -1, not both");
    int code = operator_check_reason(&h.o, "policy rollback");
    if (code != EXIT_YES)
        return code;
    code = operator_open(&h.o);
    if (code == EXIT_YES)
        code = rollback(&h, words[1], file);
    return operator_close(&h.o, code);
}
