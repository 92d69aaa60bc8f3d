// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/policy_shelf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/json_doc.h"
#include "adapters/jws.h"
#include "sidecar/base/doc.h"
#include "sidecar/base/time_text.h"
#include "sidecar/io/file.h"

#define FOLDER "policies"
#define HISTORY "history.jsonl"
#define TEXT_BYTES_MAX (4 * 1024 * 1024)
#define LINE_BYTES_MAX 4096
#define NAME_BYTES (POLICY_DIGEST_HEX + sizeof ".yaml")
#define LISTED_MAX 4096 /* files looked at when the folder is trimmed */

static int folder_of(struct span data_dir, char ret[FILE_PATH_MAX],
                     struct fail *f)
{
    return file_path(ret, data_dir, FOLDER, f);
}

static int make_folder(struct span data_dir, char ret[FILE_PATH_MAX],
                       struct fail *f)
{
    TRY(folder_of(data_dir, ret, f));
    if (mkdir(ret, 0700) != 0 && errno != EEXIST)
        return fail(f, file_rc(errno), "mkdir %s: %s", ret,
                    strerrordesc_np(errno));
    TRY(file_check_dir(span_str(ret), f));
    return file_sync_dir(data_dir, f);
}

/* ---------------------------------------------------------------- history */

static const char *const outcomes[] = {"active", "renewed", "refused"};

const char *policy_outcome_word(enum policy_outcome o)
{
    return outcomes[o];
}

void policy_history_add(struct policy_history *h, const struct policy_entry *e)
{
    if (h->count == POLICY_HISTORY_MAX) {
        memmove(&h->at[0], &h->at[1],
                (POLICY_HISTORY_MAX - 1) * sizeof h->at[0]);
        h->count--;
    }
    h->at[h->count++] = *e;
}

void policy_history_show(const struct policy_entry *e, struct json_out *j)
{
    json_time(j, "time", e->wall_ms);
    json_str(j, "outcome", outcomes[e->outcome]);
    if (e->digest[0] != 0)
        json_str(j, "digest", e->digest);
    if (e->outcome != POLICY_REFUSED)
        json_str(j, "mode", e->audit ? "audit" : "enforce");
    if (e->serial > 0)
        json_u64(j, "serial", e->serial);
    if (e->person[0] != 0)
        json_str(j, "person", e->person);
    if (e->why[0] != 0)
        json_str(j, "error", e->why);
}

static void copy_text(const struct doc *d, struct span key, char *to,
                      size_t room)
{
    (void)snprintf(to, room, "%.*s", PRSPAN(doc_text(d, key)));
}

/* False for a line that is cut or from elsewhere. */
static bool read_entry(const struct doc *d, struct policy_entry *ret)
{
    const struct span outcome = doc_text(d, SPAN("outcome"));
    const struct doc *serial = doc_get(d, SPAN("serial"));
    unsigned i = 0;
    while (i < 3 && !span_eq(outcome, span_str(outcomes[i])))
        i++;
    if (i == 3 || !time_parse(doc_text(d, SPAN("time")), &ret->wall_ms))
        return false;
    ret->outcome = (enum policy_outcome)i;
    ret->audit = span_eq(doc_text(d, SPAN("mode")), SPAN("audit"));
    if (serial != NULL && serial->kind == DOC_INT && serial->integer > 0)
        ret->serial = (uint64_t)serial->integer;
    copy_text(d, SPAN("digest"), ret->digest, sizeof ret->digest);
    copy_text(d, SPAN("person"), ret->person, sizeof ret->person);
    copy_text(d, SPAN("error"), ret->why, sizeof ret->why);
    return true;
}

static void read_lines(struct span text, struct policy_history *ret)
{
    while (text.n > 0) {
        const size_t end = span_find(text, '\n', 0);
        struct policy_entry e = {.serial = 0};
        const struct doc *d = NULL;
        struct arena a;
        arena_init(&a, mem_system(), 64 * 1024);
        if (json_doc_parse(&a.mem, span_sub(text, 0, end), LINE_BYTES_MAX, &d,
                           NULL) >= 0 &&
            read_entry(d, &e))
            policy_history_add(ret, &e);
        arena_fini(&a);
        text = span_sub(text, end + 1, text.n);
    }
}

int policy_history_load(struct span data_dir, struct policy_history *ret,
                        struct fail *f)
{
    char folder[FILE_PATH_MAX], path[FILE_PATH_MAX];
    struct span text;
    ret->count = 0;
    TRY(folder_of(data_dir, folder, f));
    TRY(file_path(path, span_str(folder), HISTORY, f));
    int rc = file_read(mem_system(), path, POLICY_HISTORY_BYTES_MAX, &text, f);
    if (rc == RC_UNKNOWN_NAME)
        return 0;
    TRY(rc);
    read_lines(text, ret);
    mem_release(mem_system(), (void *)(uintptr_t)text.p);
    return 0;
}

int policy_history_save(struct span data_dir, const struct policy_history *h,
                        struct fail *f)
{
    char folder[FILE_PATH_MAX];
    struct buf out;
    struct json_out j;
    TRY(make_folder(data_dir, folder, f));
    buf_init(&out, mem_system(), POLICY_HISTORY_BYTES_MAX);
    for (unsigned i = 0; i < h->count; i++) {
        json_out_init(&j, &out);
        json_open_map(&j, NULL);
        policy_history_show(&h->at[i], &j);
        json_close_map(&j);
        buf_put_u8(&out, '\n');
    }
    int rc = buf_ok(&out) ? file_replace(span_str(folder), HISTORY,
                                         buf_span(&out), 0600, f)
                          : fail(f, RC_NO_MEMORY, "no memory");
    buf_fini(&out);
    TRY(rc);
    return file_sync_dir(span_str(folder), f);
}

/* ------------------------------------------------------------------ texts */

struct listed {
    char name[NAME_BYTES];
    struct timespec when;
    uint64_t bytes;
};

static bool is_digest(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') ||
              (s.p[i] >= 'a' && s.p[i] <= 'f')))
            return false;
    return s.n == POLICY_DIGEST_HEX;
}

/* Only what policy_shelf_keep has made. */
static bool is_text_name(const char *name)
{
    const struct span s = span_str(name);
    return s.n == NAME_BYTES - 1 &&
           is_digest(span_sub(s, 0, POLICY_DIGEST_HEX)) &&
           span_eq(span_sub(s, POLICY_DIGEST_HEX, s.n), SPAN(".yaml"));
}

static int newest_first(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;
    if (x->when.tv_sec != y->when.tv_sec)
        return x->when.tv_sec < y->when.tv_sec ? 1 : -1;
    if (x->when.tv_nsec != y->when.tv_nsec)
        return x->when.tv_nsec < y->when.tv_nsec ? 1 : -1;
    return strcmp(x->name, y->name);
}

static unsigned list_texts(DIR *dir, struct listed *at)
{
    unsigned n = 0;
    const struct dirent *e;
    struct stat st;
    while (n < LISTED_MAX && (e = readdir(dir)) != NULL) {
        if (!is_text_name(e->d_name) ||
            fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        memcpy(at[n].name, e->d_name, NAME_BYTES);
        at[n].when = st.st_mtim;
        at[n].bytes = (uint64_t)st.st_size;
        n++;
    }
    return n;
}

static bool is_kept(const struct listed *l, const char *digest)
{
    return strncmp(l->name, digest, POLICY_DIGEST_HEX) == 0;
}

/* Best effort: a file too many does no harm. */
static void trim(const char *folder, const char *digest, const char *also)
{
    DIR *dir = opendir(folder);
    struct listed *at = mem_array(mem_system(), LISTED_MAX, sizeof *at);
    uint64_t bytes = 0;
    const unsigned n = dir == NULL || at == NULL ? 0 : list_texts(dir, at);
    if (n > 0)
        qsort(at, n, sizeof *at, newest_first);
    for (unsigned i = 0; i < n; i++) {
        bytes += at[i].bytes;
        if ((i >= POLICY_SHELF_TEXTS_MAX || bytes > POLICY_SHELF_BYTES_MAX) &&
            !is_kept(&at[i], digest) && !is_kept(&at[i], also))
            (void)unlinkat(dirfd(dir), at[i].name, 0);
    }
    if (dir != NULL)
        (void)closedir(dir);
    mem_release(mem_system(), at);
}

int policy_shelf_keep(struct span data_dir, const char *digest,
                      struct span text, const char *also, struct fail *f)
{
    char folder[FILE_PATH_MAX], name[NAME_BYTES];
    must(is_digest(span_str(digest)));
    TRY(make_folder(data_dir, folder, f));
    (void)snprintf(name, sizeof name, "%s.yaml", digest);
    /* Written anew when it is there already: then it counts as the newest,
     * and what may have happened to the old file does not matter. */
    TRY(file_replace(span_str(folder), name, text, 0600, f));
    TRY(file_sync_dir(span_str(folder), f));
    trim(folder, digest, also);
    return 0;
}

static bool fits(struct span text, const char *digest)
{
    unsigned char sum[32];
    struct buf hex;
    if (jws_sha256(text, sum) < 0)
        return false;
    buf_init(&hex, mem_system(), POLICY_DIGEST_HEX);
    buf_put_hex(&hex, span_of(sum, sizeof sum));
    const bool same = span_eq(buf_span(&hex), span_str(digest));
    buf_fini(&hex);
    return same;
}

int policy_shelf_read(struct mem *m, struct span data_dir, const char *digest,
                      struct span *ret, struct fail *f)
{
    char folder[FILE_PATH_MAX], path[FILE_PATH_MAX], name[NAME_BYTES];
    struct span text;
    if (!is_digest(span_str(digest)))
        return fail(f, RC_UNKNOWN_NAME, "'%.64s' is not a digest", digest);
    TRY(folder_of(data_dir, folder, f));
    (void)snprintf(name, sizeof name, "%s.yaml", digest);
    TRY(file_path(path, span_str(folder), name, f));
    int rc = file_read(m, path, TEXT_BYTES_MAX, &text, f);
    if (rc == RC_UNKNOWN_NAME)
        return fail(f, rc, "the text of %s is not kept", digest);
    TRY(rc);
    if (!fits(text, digest)) {
        mem_release(m, (void *)(uintptr_t)text.p);
        return fail(f, RC_BROKEN, "%s does not fit its digest", path);
    }
    *ret = text;
    return 0;
}
