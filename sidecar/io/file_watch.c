// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/file_watch.h"

#include <stdio.h>

#include "sidecar/base/list.h"
#include "sidecar/io/file.h"

/* One file: its folder is watched, what its name leads to is looked at. */
struct watched {
    struct file_watch *owner;
    uv_fs_event_t folder;
    uv_fs_poll_t target;
};

struct file_watch {
    struct watched at[FILE_WATCH_MAX];
    unsigned count, handles;
    uv_timer_t quiet;
    uint64_t latest_ms; /* the wait ends then, however busy the folder is */
    void (*changed)(void *ctx);
    void *ctx;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static void on_quiet(uv_timer_t *t)
{
    struct file_watch *w = t->data;
    w->changed(w->ctx);
}

/* Starts the wait anew: a file that is being written is left alone. But not
 * for ever: whoever can write to the folder could put the change off. */
static void touched(struct file_watch *w)
{
    const uint64_t now_ms = uv_now(w->quiet.loop);
    uint64_t wait = FILE_WATCH_QUIET_MS;
    if (!uv_is_active((uv_handle_t *)&w->quiet))
        w->latest_ms = now_ms + FILE_WATCH_LATEST_MS;
    if (now_ms + wait > w->latest_ms)
        wait = now_ms < w->latest_ms ? w->latest_ms - now_ms : 0;
    (void)uv_timer_start(&w->quiet, on_quiet, wait, 0);
}

static void on_folder(uv_fs_event_t *h, const char *name, int events,
                      int status)
{
    const struct watched *x = h->data;
    (void)name; /* a swapped link has another name than the file */
    (void)events;
    (void)status;
    touched(x->owner);
}

static void on_target(uv_fs_poll_t *h, int status, const uv_stat_t *before,
                      const uv_stat_t *now)
{
    const struct watched *x = h->data;
    (void)status;
    (void)before;
    (void)now;
    touched(x->owner);
}

static int watch_one(struct file_watch *w, uv_loop_t *loop, struct span path,
                     struct fail *f)
{
    struct watched *x = &w->at[w->count];
    char file[FILE_PATH_MAX], folder[FILE_PATH_MAX];
    struct span dir = path;
    TRY(file_path(file, path, "", f));
    while (dir.n > 0 && dir.p[dir.n - 1] != '/')
        dir.n--;
    TRY(file_path(folder, dir.n == 0 ? SPAN(".") : dir, "", f));
    x->owner = w;
    must(uv_fs_event_init(loop, &x->folder) == 0);
    must(uv_fs_poll_init(loop, &x->target) == 0);
    x->folder.data = x->target.data = x;
    w->count++;
    w->handles += 2;
    /* Without events (no inotify instance left, a network file system) the
     * look every few seconds remains. */
    (void)uv_fs_event_start(&x->folder, on_folder, folder, 0);
    if (uv_fs_poll_start(&x->target, on_target, file, FILE_WATCH_LOOK_MS) != 0)
        return fail(f, RC_NO_MEMORY, "no memory to watch %s", file);
    return 0;
}

int file_watch_open(uv_loop_t *loop, const struct span *paths, unsigned count,
                    void (*changed)(void *ctx), void *ctx,
                    struct file_watch **ret, struct fail *f)
{
    must(count <= FILE_WATCH_MAX);
    struct file_watch *w = mem_alloc(mem_system(), sizeof *w);
    if (w == NULL)
        return fail(f, RC_NO_MEMORY, "no memory to watch files");
    w->changed = changed;
    w->ctx = ctx;
    must(uv_timer_init(loop, &w->quiet) == 0);
    w->quiet.data = w;
    w->handles = 1;
    *ret = w; /* the owner closes it, also when this fails */
    for (unsigned i = 0; i < count; i++)
        if (paths[i].n > 0)
            TRY(watch_one(w, loop, paths[i], f));
    return 0;
}

static void one_closed(struct file_watch *w)
{
    if (--w->handles > 0)
        return;
    void (*closed)(void *ctx) = w->closed;
    void *ctx = w->closed_ctx;
    mem_release(mem_system(), w);
    closed(ctx);
}

static void on_timer_closed(uv_handle_t *h)
{
    one_closed(h->data);
}

static void on_watched_closed(uv_handle_t *h)
{
    const struct watched *x = h->data;
    one_closed(x->owner);
}

void file_watch_close(struct file_watch *w, void (*closed)(void *ctx),
                      void *ctx)
{
    w->closed = closed;
    w->closed_ctx = ctx;
    for (unsigned i = 0; i < w->count; i++) {
        uv_close((uv_handle_t *)&w->at[i].folder, on_watched_closed);
        uv_close((uv_handle_t *)&w->at[i].target, on_watched_closed);
    }
    uv_close((uv_handle_t *)&w->quiet, on_timer_closed);
}
