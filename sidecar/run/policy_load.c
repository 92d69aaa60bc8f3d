// SPDX-License-Identifier: Apache-2.0
#include "sidecar/run/policy_load.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/jws.h"
#include "sidecar/base/log.h"
#include "sidecar/base/number_text.h"
#include "sidecar/config/policy_file.h"
#include "sidecar/io/file.h"
#include "sidecar/policy_world.h"

#define POLICY_ARENA_BYTES (32 * 1024 * 1024)

int policy_load_new(struct app *a, const struct policy_keys *keys,
                    struct policy_load **ret, struct fail *f)
{
    struct policy_load *l = mem_alloc(mem_system(), sizeof *l);
    struct policy_notes *notes = mem_alloc(mem_system(), sizeof *notes);
    if (l == NULL || notes == NULL) {
        mem_release(mem_system(), l);
        mem_release(mem_system(), notes);
        return fail(f, RC_NO_MEMORY, "no memory to load a policy");
    }
    l->app = a;
    l->keys = keys;
    l->notes = notes;
    arena_init(&l->arena, mem_system(), POLICY_ARENA_BYTES);
    *ret = l;
    return 0;
}

void policy_load_free(struct policy_load *l)
{
    if (l == NULL)
        return;
    arena_fini(&l->arena);
    mem_release(mem_system(), l->notes);
    mem_release(mem_system(), l);
}

const char *policy_load_name(const struct policy_load *l)
{
    return l->digest[0] == 0 ? "built-in" : l->digest;
}

/* ---------------------------------------------------------------- worker */

/* Binds the two files, so that a watcher knows whether anything is new. */
static int sum_content(struct policy_load *l, const unsigned char text[32])
{
    char path[FILE_PATH_MAX];
    struct span sig = SPAN("");
    struct buf both;
    if (l->keys->count > 0 &&
        (file_path(path, l->app->config->policy_signature_file, "", NULL) < 0 ||
         file_read(&l->arena.mem, path, POLICY_SIG_BYTES_MAX, &sig, NULL) < 0))
        sig = SPAN("");
    buf_init(&both, &l->arena.mem, 32 + POLICY_SIG_BYTES_MAX);
    buf_put(&both, span_of(text, 32));
    buf_put(&both, sig);
    return buf_ok(&both) ? jws_sha256(buf_span(&both), l->content)
                         : RC_NO_MEMORY;
}

static int read_source(struct policy_load *l, unsigned char digest[32],
                       struct fail *f)
{
    const struct span file = l->app->config->policy_file;
    char path[FILE_PATH_MAX];
    struct stat st;
    TRY(file_path(path, file, "", f));
    if (stat(path, &st) == 0) /* before the bytes: never too young */
        l->file_ms =
            (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
    TRY(config_read_file(&l->arena.mem, file, POLICY_FILE_BYTES_MAX, false,
                         &l->source, f));
    if (jws_sha256(l->source, digest) < 0 || sum_content(l, digest) < 0)
        return fail(f, RC_NO_MEMORY, "no memory for a digest");
    hex_text(span_of(digest, 32), l->digest);
    return 0;
}

static int check_signature(struct policy_load *l,
                           const unsigned char digest[32], struct fail *f)
{
    const struct policy_sig_want want = {SIGNED_POLICY, digest, l->seen,
                                         l->wall_ms};
    if (l->keys->count == 0)
        return 0;
    TRY(policy_sig_check(l->app->config->policy_signature_file, l->keys, &want,
                         &l->sig, f));
    l->is_signed = true;
    return 0;
}

/* A policy whose own tests fail is refused like one with errors. */
static int run_tests(const struct policy_load *l, struct fail *f)
{
    unsigned passed;
    if (policy_world_check(l->policy, &passed, f) == 0)
        return 0;
    return fail_wrap(f, "%.*s", PRSPAN(l->app->config->policy_file));
}

int policy_load_keep(const struct policy_load *l, struct fail *f)
{
    if (l->digest[0] == 0)
        return 0;
    return policy_shelf_keep(l->app->config->store_dir, l->digest, l->source,
                             l->active, f);
}

/* Signature first: nothing of an unsigned text is looked at. */
static int load_file(struct policy_load *l, struct fail *f)
{
    const struct span file = l->app->config->policy_file;
    const bool starting = l->active[0] == 0 && l->app->engine == NULL;
    unsigned char digest[32];
    TRY(read_source(l, digest, f));
    l->nothing_new =
        l->watched && memcmp(l->content, l->tried, sizeof l->content) == 0;
    if (l->nothing_new)
        return 0;
    TRY(check_signature(l, digest, f));
    l->unchanged = strcmp(l->digest, l->active) == 0;
    if (l->unchanged)
        return 0;
    TRY(policy_text_load(&l->arena.mem, file, l->source, &l->policy, l->notes,
                         f));
    TRY(run_tests(l, f));
    return starting ? 0 : policy_load_keep(l, f);
}

void policy_load_run(struct work_item *w)
{
    struct policy_load *l = container_of(w, struct policy_load, item);
    if (l->app->config->policy_file.n > 0)
        l->rc = load_file(l, &l->f);
    else if (l->active[0] == 0 && l->app->policy != NULL)
        l->unchanged = true; /* the built-in policy stays what it is */
    else
        l->rc = policy_load(&l->arena.mem, NULL, &l->policy, l->notes, &l->f);
}

/* ------------------------------------------------------------------ report */

/* All of them are on stderr; the record has room for one. */
static void name_first_error(struct policy_load *l)
{
    for (unsigned i = 0; i < l->notes->count; i++) {
        const struct policy_note *n = &l->notes->at[i];
        if (n->warning)
            continue;
        l->rc = fail(&l->f, RC_CONFIG, "line %u, column %u: %s (error 1 of %u)",
                     n->line, n->column, n->text, l->notes->error_count);
        return;
    }
}

void policy_load_report(struct policy_load *l)
{
    struct buf text;
    char path[FILE_PATH_MAX] = "policy";
    if (l->rc >= 0)
        return;
    buf_init(&text, mem_system(), 1024 * 1024);
    (void)snprintf(path, sizeof path, "%.*s",
                   PRSPAN(l->app->config->policy_file));
    policy_notes_print(l->notes, path, l->source, false, &text);
    log_lines(buf_span(&text));
    buf_fini(&text);
    name_first_error(l);
}

static void warn_unreadable(const struct policy_action *action,
                            struct span path)
{
    char text[1024];
    if (path.n == 0 || path.n >= sizeof text)
        return;
    (void)snprintf(text, sizeof text, "%.*s", PRSPAN(path));
    if (access(text, R_OK) != 0)
        log_warn(LOG_POLICY, "action_file_unreadable",
                 kv_span("action", action->name), kv_str("file", text));
}

void policy_load_warn_actions(const struct policy *p)
{
    for (unsigned i = 0; i < p->action_count; i++) {
        const struct policy_action *action = &p->actions[i];
        warn_unreadable(action, action->url_file);
        warn_unreadable(action, action->key_file);
        warn_unreadable(action, action->bearer_file);
        warn_unreadable(action, action->ca_file);
    }
}
