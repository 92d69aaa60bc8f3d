// SPDX-License-Identifier: Apache-2.0
/*
 * `bailiff check`: everything that is wrong with a configuration, in one run.
 */
#include "sidecar/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/warn.h"
#include "sidecar/base/json_out.h"
#include "sidecar/cli.h"
#include "sidecar/config/config_rows.h"
#include "sidecar/config/policy_file.h"
#include "sidecar/io/checkpoint.h"
#include "sidecar/io/decision_log_files.h"
#include "sidecar/io/file.h"
#include "sidecar/io/policy_sig.h"
#include "sidecar/policy_world.h"
#include "sidecar/io/store_backup.h"
#include "sidecar/term.h"

#define CHECK_MEMORY_MAX (64u * 1024 * 1024)
#define FINDINGS_MAX 512
#define CONFIG_DEFAULT "/etc/bailiff/bailiff.yaml"

enum severity { FINDING_OK, FINDING_HINT, FINDING_ERROR };

/* What we saw of one file, or of how the two files fit together. */
struct finding {
    enum severity severity;
    const char *key;
    struct span path;
    const char *text;
};

struct check {
    const char *file, *signed_by;
    bool json, deep;
    struct arena arena;
    struct buf out;
    struct term term;
    struct finding findings[FINDINGS_MAX];
    unsigned finding_count, finding_errors;
    struct policy_notes config_notes, policy_notes, candidate_notes;
    const struct config *config;
    const struct policy *policy, *candidate;
};

static const char *keep(struct check *c, const char *text)
{
    const unsigned char *copy = mem_copy(&c->arena.mem, span_str(text));
    return copy == NULL ? "" : (const char *)copy;
}

static void find(struct check *c, enum severity severity, const char *key,
                 struct span path, const char *text)
{
    if (severity == FINDING_ERROR)
        c->finding_errors++;
    if (c->finding_count < FINDINGS_MAX)
        c->findings[c->finding_count++] =
            (struct finding){severity, keep(c, key), path, keep(c, text)};
}

/* ---- files ---- */

#define DIR_TEXT_MAX 128

/* What is wrong with a directory that is there; "" when nothing is. */
static enum severity judge_dir(const char *name, const struct stat *st,
                               char text[DIR_TEXT_MAX])
{
    const unsigned mode = (unsigned)st->st_mode & 07777;
    text[0] = 0;
    if (!S_ISDIR(st->st_mode))
        (void)snprintf(text, DIR_TEXT_MAX, "not a directory");
    else if ((mode & 022) != 0)
        (void)snprintf(text, DIR_TEXT_MAX,
                       "others can write into it (mode %04o); chmod go-w",
                       mode);
    else if (faccessat(AT_FDCWD, name, R_OK | W_OK | X_OK, AT_EACCESS) != 0)
        (void)snprintf(text, DIR_TEXT_MAX, "user %u cannot write into it: %s",
                       (unsigned)geteuid(), strerrordesc_np(errno));
    if (text[0] != 0)
        return FINDING_ERROR;
    if (st->st_uid != geteuid())
        (void)snprintf(text, DIR_TEXT_MAX,
                       "belongs to user %u: `bailiff run` must be run as them",
                       (unsigned)st->st_uid);
    else if ((mode & 055) != 0)
        (void)snprintf(text, DIR_TEXT_MAX,
                       "others can look into it (mode %04o); chmod 0700", mode);
    return text[0] != 0 ? FINDING_HINT : FINDING_OK;
}

static void look_at_dir(struct check *c, const char *key, struct span path)
{
    char name[4096], text[DIR_TEXT_MAX];
    struct stat st;
    (void)snprintf(name, sizeof name, "%.*s", PRSPAN(path));
    if (stat(name, &st) == 0) {
        enum severity severity = judge_dir(name, &st, text);
        find(c, severity, key, path, text);
    } else {
        find(c, errno == ENOENT ? FINDING_HINT : FINDING_ERROR, key, path,
             errno == ENOENT ? "not there yet; `bailiff init` makes it"
                             : strerrordesc_np(errno));
    }
}

static bool has_database(const struct check *c)
{
    char path[FILE_PATH_MAX];
    struct fail f;
    return file_path(path, c->config->store_dir, "bailiff.db", &f) == 0 &&
           access(path, F_OK) == 0;
}

/* Reads the file the way it is read at start-up, so that the verdict is the
 * same; the bytes are wiped at once. */
static void look_at_file(struct check *c, const char *key, struct span path,
                         bool secret)
{
    const bool own_key = strncmp(key, "keys.", 5) == 0;
    struct span bytes = SPAN("");
    struct arena a;
    struct fail f = {0};
    arena_init(&a, mem_system(), 2 * 1024 * 1024);
    int rc = config_read_file(&a.mem, path, 1024 * 1024, secret, &bytes, &f);
    const struct span text = span_str(f.text);
    const bool prefixed = text.n > path.n + 2 && span_starts(text, path);
    if (rc == RC_OK && bytes.n == 0)
        find(c, FINDING_ERROR, key, path, "empty");
    else if (rc == RC_OK)
        find(c, FINDING_OK, key, path, "");
    else if (rc == RC_UNKNOWN_NAME && own_key && has_database(c))
        find(c, FINDING_ERROR, key, path,
             "missing beside a database that was made with it: put it back");
    else if (rc == RC_UNKNOWN_NAME && own_key)
        find(c, FINDING_HINT, key, path,
             "not there yet; `bailiff init` makes it");
    else
        find(c, FINDING_ERROR, key, path,
             prefixed ? f.text + path.n + 2 : f.text);
    union {
        const unsigned char *read_only;
        unsigned char *writable;
    } p = {bytes.p}; /* our own arena's bytes */
    mem_wipe(p.writable, bytes.n);
    arena_fini(&a);
}

static void on_file(void *ctx, const char *key, enum row_kind kind,
                    struct span path)
{
    struct check *c = ctx;
    if (kind == ROW_DIR)
        look_at_dir(c, key, path);
    else if (strcmp(key, "policy.file") != 0 &&      /* their errors stand */
             strcmp(key, "policy.candidate") != 0 && /* elsewhere */
             strcmp(key, "policy.signature") != 0)
        look_at_file(c, key, path, kind == ROW_SECRET);
}

/* A log that tells of states which no database holds: `bailiff run` refuses. */
static void look_for_lost_database(struct check *c)
{
    char path[FILE_PATH_MAX], name[LOG_FILE_NAME_BYTES];
    struct log_files files;
    struct stat st = {.st_size = 0};
    struct fail f;
    if (has_database(c) || log_files_list(c->config->log_dir, &files, &f) < 0)
        return;
    log_file_name(name, files.count > 0 ? files.first[0] : 0, "jsonl");
    log_files_fini(&files);
    if (file_path(path, c->config->log_dir, name, &f) < 0 ||
        stat(path, &st) != 0 || st.st_size == 0)
        return;
    find(c, FINDING_ERROR, "store.dir", c->config->store_dir,
         "no database beside a decision log that has lines: restore a backup, "
         "or move the log away");
}

static void look_at_actions(struct check *c)
{
    for (unsigned i = 0; i < c->policy->action_count; i++) {
        const struct policy_action *a = &c->policy->actions[i];
        const struct span files[] = {a->url_file, a->key_file, a->bearer_file,
                                     a->ca_file};
        for (unsigned k = 0; k < 4; k++) {
            char key[128];
            (void)snprintf(key, sizeof key, "policy action %.*s",
                           PRSPAN(a->name));
            if (files[k].n > 0)
                look_at_file(c, key, files[k], k < 3);
        }
    }
}

/* Every page, fact and row of the database. */
static void look_at_store(struct check *c)
{
    char path[FILE_PATH_MAX], text[160];
    struct store_report r = {.rows = 0};
    struct fail f = {0};
    const struct span dir = c->config->store_dir;
    int rc = file_path(path, dir, "bailiff.db", &f);
    if (rc == 0)
        rc = store_verify(path, &r, &f);
    if (rc == RC_UNKNOWN_NAME) {
        find(c, FINDING_HINT, "store.dir", dir, "no database yet");
    } else if (rc < 0) {
        find(c, FINDING_ERROR, "store.dir", dir, f.text);
    } else {
        (void)snprintf(text, sizeof text,
                       "database intact: %llu facts, %llu rows of history",
                       (unsigned long long)r.facts, (unsigned long long)r.rows);
        find(c, FINDING_OK, "store.dir", dir, text);
    }
}

/* ---- do the two files fit together? ---- */

static void check_feed_name(struct check *c, const char *where,
                            struct span feed)
{
    char text[FAIL_TEXT_MAX];
    for (unsigned i = 0; i < c->config->feed_count; i++)
        if (span_eq(c->config->feeds[i].name, feed))
            return;
    (void)snprintf(text, sizeof text, "bailiff.yaml has no feed '%.*s'",
                   PRSPAN(feed));
    find(c, FINDING_ERROR, where, c->config->policy_file, text);
}

/* `log verify` accepts only the name that `bailiff init` gave the key. */
static void check_origin(struct check *c)
{
    const struct span origin = c->config->log_origin;
    char pub[NOTE_NAME_MAX + 1], text[NOTE_NAME_MAX + 100];
    struct fail f = {0};
    if (checkpoint_name_beside(c->config->log_key_file, pub, &f) < 0) {
        find(c, FINDING_ERROR, "log.origin", SPAN(""), f.text);
    } else if (pub[0] == 0 && origin.n == 0) {
        find(c, FINDING_HINT, "log.origin", SPAN(""),
             "no name here or in log.pub: it will be 'bailiff'; two logs with "
             "one name cannot be told apart");
    } else if (pub[0] != 0 && origin.n > 0 && !span_eq(origin, span_str(pub))) {
        (void)snprintf(text, sizeof text,
                       "log.pub beside the key was made for '%s': leave origin "
                       "out or write that",
                       pub);
        find(c, FINDING_ERROR, "log.origin", SPAN(""), text);
    }
}

/* Restrictions that a rule asks for and the feed may not cause. */
static void check_authority(struct check *c, const struct policy_rule *r,
                            struct span feed)
{
    const unsigned may = policy_feed_may(c->policy, feed);
    char where[128], text[FAIL_TEXT_MAX];
    unsigned missing = 0;
    for (unsigned k = 0; k < r->step_count; k++)
        missing |= policy_step_needs(&r->steps[k]) & ~may;
    if ((missing & (MAY_SUSPEND | MAY_REVOKE)) == 0)
        return;
    (void)snprintf(where, sizeof where, "policy rule %.*s", PRSPAN(r->name));
    (void)snprintf(text, sizeof text,
                   "feed '%.*s' may not %s: those steps will not be taken for "
                   "its events",
                   PRSPAN(feed),
                   (missing & MAY_SUSPEND) == 0  ? "revoke (revoke, purge)"
                   : (missing & MAY_REVOKE) == 0 ? "suspend (hold, cancel)"
                                                 : "suspend or revoke");
    find(c, FINDING_HINT, where, SPAN(""), text);
}

static void check_fit(struct check *c)
{
    for (unsigned i = 0; i < c->policy->feed_count; i++)
        check_feed_name(c, "policy feeds", c->policy->feeds[i].name);
    for (unsigned i = 0; i < c->policy->rule_count; i++) {
        const struct policy_rule *r = &c->policy->rules[i];
        char where[128];
        (void)snprintf(where, sizeof where, "policy rule %.*s",
                       PRSPAN(r->name));
        for (unsigned k = 0; k < r->feeds.count; k++)
            check_feed_name(c, where, r->feeds.at[k]);
        for (unsigned k = 0; k < c->config->feed_count; k++)
            if (policy_listens_to(r, c->config->feeds[k].name))
                check_authority(c, r, c->config->feeds[k].name);
    }
    check_origin(c);
    if (c->config->feed_count == 0)
        find(c, FINDING_HINT, "feeds", SPAN(""),
             "no feed: bailiff will hear nothing about any identity");
    if (c->config->caller_count == 0)
        find(c, FINDING_HINT, "callers", SPAN(""),
             "no caller: every question will be denied");
    if (c->config->operator_count == 0)
        find(c, FINDING_HINT, "operators", SPAN(""),
             "no operator: nobody can lift a hold");
}

/* ---- signatures ---- */

/* Whether it is a replay is known only to the sidecar's store. */
static void check_signature(struct check *c, const struct policy_keys *keys,
                            enum signed_kind kind, struct span path,
                            const char *digest_hex)
{
    const char *key =
        kind == SIGNED_POLICY ? "policy.signature" : "signature of this file";
    unsigned char digest[32];
    struct policy_sig s;
    struct fail f = {0};
    if (keys->count == 0)
        return;
    must(policy_sig_digest(span_str(digest_hex), digest));
    const struct policy_sig_want want = {
        kind, digest, {.serial = 0}, c->term.now_ms};
    if (policy_sig_check(path, keys, &want, &s, &f) < 0)
        find(c, FINDING_ERROR, key, path, f.text);
    else
        find(c, FINDING_OK, key, path, "");
}

static void check_signatures(struct check *c)
{
    struct policy_keys own = {.count = 0}, for_policy = {.count = 0};
    char path[4096];
    struct fail f = {0};
    int rc = 0;
    if (c->signed_by != NULL)
        rc = policy_keys_add(&own, span_str(c->signed_by), &f);
    for (unsigned i = 0; rc == 0 && i < c->config->policy_keys.count; i++)
        rc = policy_keys_add(&for_policy, c->config->policy_keys.at[i], &f);
    if (rc < 0) {
        find(c, FINDING_ERROR, "pinned keys", SPAN(""), f.text);
        return;
    }
    (void)snprintf(path, sizeof path, "%s.sig", c->file);
    check_signature(c, &own, SIGNED_CONFIG, span_str(keep(c, path)),
                    c->config->digest_hex);
    if (c->policy != NULL && c->config->policy_file.n > 0)
        check_signature(c,
                        c->config->policy_keys.count > 0 ? &for_policy : &own,
                        SIGNED_POLICY, c->config->policy_signature_file,
                        c->policy->digest_hex);
}

/* ---- printing ---- */

static void put_notes_json(struct json_out *j, const struct policy_notes *notes)
{
    json_open_list(j, "notes");
    for (unsigned i = 0; i < notes->count; i++) {
        const struct policy_note *n = &notes->at[i];
        json_open_map(j, NULL);
        json_u64(j, "line", n->line);
        json_u64(j, "column", n->column);
        json_str(j, "severity", n->warning ? "warning" : "error");
        json_str(j, "text", n->text);
        if (n->advice[0] != '\0')
            json_str(j, "advice", n->advice);
        json_close_map(j);
    }
    json_close_list(j);
}

static const char *severity_word(enum severity s)
{
    switch (s) {
        case FINDING_OK: return "ok";
        case FINDING_HINT: return "hint";
        case FINDING_ERROR: return "error";
    }
    return "error";
}

static void print_json(struct check *c, bool good)
{
    struct json_out j;
    json_out_init(&j, &c->out);
    json_open_map(&j, NULL);
    json_bool(&j, "ok", good);
    json_open_map(&j, "config");
    json_str(&j, "file", c->file);
    if (c->config != NULL)
        json_str(&j, "digest", c->config->digest_hex);
    put_notes_json(&j, &c->config_notes);
    json_close_map(&j);
    json_open_map(&j, "policy");
    if (c->config != NULL && c->config->policy_file.n > 0)
        json_text(&j, "file", c->config->policy_file);
    if (c->policy != NULL)
        json_str(&j, "digest", c->policy->digest_hex);
    put_notes_json(&j, &c->policy_notes);
    json_close_map(&j);
    if (c->config != NULL && c->config->policy_candidate_file.n > 0) {
        json_open_map(&j, "candidate");
        json_text(&j, "file", c->config->policy_candidate_file);
        if (c->candidate != NULL)
            json_str(&j, "digest", c->candidate->digest_hex);
        put_notes_json(&j, &c->candidate_notes);
        json_close_map(&j);
    }
    json_open_list(&j, "files");
    for (unsigned i = 0; i < c->finding_count; i++) {
        const struct finding *f = &c->findings[i];
        json_open_map(&j, NULL);
        json_str(&j, "key", f->key);
        json_text(&j, "path", f->path);
        json_str(&j, "severity", severity_word(f->severity));
        if (f->text[0] != '\0')
            json_str(&j, "text", f->text);
        json_close_map(&j);
    }
    json_close_list(&j);
    json_close_map(&j);
    buf_put_str(&c->out, "\n");
}

static void print_findings(struct check *c)
{
    static const enum tone tones[] = {TONE_GOOD, TONE_WARN, TONE_BAD};
    static const char *const heads[] = {"", "KEY", "FILE", "FINDING"};
    struct table t;
    table_init(&t, &c->arena.mem, heads, 4);
    for (unsigned i = 0; i < c->finding_count; i++) {
        const struct finding *f = &c->findings[i];
        const struct span cells[] = {span_str(severity_word(f->severity)),
                                     span_str(f->key), f->path,
                                     span_str(f->text)};
        for (unsigned k = 0; k < 4; k++)
            if (table_cell(&t, cells[k],
                           k == 0 ? tones[f->severity] : TONE_PLAIN) < 0)
                c->out.failed = true;
    }
    if (c->finding_count > 0)
        table_print(&t, &c->term, &c->out);
}

static void print_policy(struct check *c, const struct policy *p,
                         const char *role, struct span file)
{
    if (p == NULL)
        return;
    buf_put_str(&c->out, role);
    term_put(&c->out, file.n == 0 ? SPAN("built-in policy") : file);
    buf_printf(&c->out, ": %u rule%s, %u gate rule%s, %u action%s%s\n",
               p->rule_count, p->rule_count == 1 ? "" : "s", p->gate_count,
               p->gate_count == 1 ? "" : "s", p->action_count,
               p->action_count == 1 ? "" : "s",
               p->mode.audit ? ", audit mode: nothing is enforced" : "");
}

/* ---- steps ---- */

static bool load_config(struct check *c)
{
    struct span source;
    struct fail f = {0};
    int rc = config_load(&c->arena.mem, c->file, &c->config, &c->config_notes,
                         &source, &f);
    if (!c->json)
        policy_notes_print(&c->config_notes, c->file, source, c->term.colour,
                           &c->out);
    if (rc < 0 && c->config_notes.error_count == 0)
        find(c, FINDING_ERROR, "-c", span_str(c->file), f.text);
    if (rc < 0)
        return false;
    if (!c->json)
        buf_printf(
            &c->out, "%s: %u feed%s, %u caller%s, %u operator%s\n", c->file,
            c->config->feed_count, c->config->feed_count == 1 ? "" : "s",
            c->config->caller_count, c->config->caller_count == 1 ? "" : "s",
            c->config->operator_count,
            c->config->operator_count == 1 ? "" : "s");
    return true;
}

/* As a start does it, with the policy's own tests. */
static bool load_policy(struct check *c, const char *key, struct span file,
                        const struct policy **ret, struct policy_notes *notes)
{
    struct span source;
    struct fail f = {0};
    char text[4096];
    unsigned passed;
    int rc = policy_file_load(&c->arena.mem, file, ret, notes, &source, &f);
    (void)snprintf(text, sizeof text, "%.*s", PRSPAN(file));
    if (!c->json)
        policy_notes_print(notes, text, source, c->term.colour, &c->out);
    if (rc == 0)
        rc = policy_world_check(*ret, &passed, &f);
    if (rc < 0 && notes->error_count == 0)
        find(c, FINDING_ERROR, key, file, f.text);
    return rc == RC_OK;
}

static bool load_candidate(struct check *c)
{
    const struct span file = c->config->policy_candidate_file;
    if (file.n == 0)
        return true;
    bool good = load_policy(c, "policy.candidate", file, &c->candidate,
                            &c->candidate_notes);
    if (!c->json)
        print_policy(c, c->candidate, "candidate ", file);
    return good;
}

static bool run(struct check *c)
{
    if (!load_config(c))
        return false;
    const struct span file = c->config->policy_file;
    const bool policy_good =
        load_policy(c, "policy.file", file, &c->policy, &c->policy_notes);
    if (!c->json)
        print_policy(c, c->policy, "", file);
    const bool candidate_good = load_candidate(c);
    config_each_file(c->config, on_file, c);
    look_for_lost_database(c);
    if (c->deep)
        look_at_store(c);
    check_signatures(c);
    if (policy_good) {
        look_at_actions(c);
        check_fit(c);
    }
    return policy_good && candidate_good && c->finding_errors == 0;
}

static int print_keys(void)
{
    struct buf out;
    buf_init(&out, mem_system(), 1024 * 1024);
    config_rows_print(&out);
    int rc = term_write(STDOUT_FILENO, buf_span(&out));
    buf_fini(&out);
    return rc < 0 ? EXIT_ENVIRONMENT : EXIT_YES;
}

static int check(struct check *c)
{
    arena_init(&c->arena, mem_system(), CHECK_MEMORY_MAX);
    buf_init(&c->out, mem_system(), TERM_OUT_MAX);
    term_init(&c->term, STDOUT_FILENO);
    const bool good = run(c);
    if (c->json) {
        print_json(c, good);
    } else {
        print_findings(c);
        term_tone(&c->term, &c->out, good ? TONE_GOOD : TONE_BAD,
                  good ? SPAN("ok") : SPAN("not usable as it is"));
        buf_put_str(&c->out, "\n");
    }
    int rc = term_write(STDOUT_FILENO, buf_span(&c->out));
    buf_fini(&c->out);
    arena_fini(&c->arena);
    return rc < 0 ? EXIT_ENVIRONMENT : (good ? EXIT_YES : EXIT_NO);
}

int cmd_check(int argc, char **argv)
{
    bool keys = false, json = false, deep = false;
    const char *file = CONFIG_DEFAULT, *signed_by = NULL, *words[1];
    const struct cli_option options[] = {
        {"config", 'c', NULL, &file},       {"deep", 0, &deep, NULL},
        {"signed-by", 0, NULL, &signed_by}, {"keys", 'k', &keys, NULL},
        {"json", 'j', &json, NULL},         {NULL, 0, NULL, NULL},
    };
    if (cli_parse(argc, argv, options, words, 0) < 0)
        return EXIT_USAGE;
    if (keys)
        return print_keys();
    struct check *c = mem_alloc(mem_system(), sizeof *c);
    if (c == NULL)
        return EXIT_ENVIRONMENT;
    c->file = file;
    c->signed_by = signed_by;
    c->json = json;
    c->deep = deep;
    const int code = check(c);
    mem_release(mem_system(), c);
    return code;
}
