// SPDX-License-Identifier: Apache-2.0
/*
 * Says that one of a few files may have changed, once it has been quiet for a
 * while. Files are written in place, renamed over, or links to them are turned
 * (a Kubernetes ConfigMap swaps a folder behind a link), so folders are
 * watched rather than files, and what the names lead to is looked at now and
 * then: some file systems report nothing. It cannot say that a writer has
 * finished; whoever reads must be able to refuse half a file.
 */
#ifndef SIDECAR_IO_FILE_WATCH_H
#define SIDECAR_IO_FILE_WATCH_H

#include <uv.h>
#include "sidecar/base/fail.h"
#include "sidecar/base/span.h"

#define FILE_WATCH_MAX 4
#define FILE_WATCH_QUIET_MS 500
#define FILE_WATCH_LATEST_MS 5000 /* also when it never gets quiet */
#define FILE_WATCH_LOOK_MS 5000

struct file_watch;

/* `changed` runs on the loop thread. An empty path is skipped. A folder that
 * cannot be watched is only looked at. RC_NO_MEMORY, RC_CONFIG for a path that
 * is too long. */
int file_watch_open(uv_loop_t *loop, const struct span *paths, unsigned count,
                    void (*changed)(void *ctx), void *ctx,
                    struct file_watch **ret, struct fail *f) must_use;
/* No callback after this but `closed`. */
void file_watch_close(struct file_watch *w, void (*closed)(void *ctx),
                      void *ctx);

#endif
