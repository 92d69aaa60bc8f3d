// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/tmp_dir.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sidecar/base/fail.h"

void tmp_dir_make(struct tmp_dir *d)
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(d->path, sizeof d->path, "%s/bailiff-test-XXXXXX",
                   base != NULL ? base : "/tmp");
    must(mkdtemp(d->path) != NULL);
}

static int drop(const char *path, const struct stat *st, int type,
                struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void tmp_dir_drop(struct tmp_dir *d)
{
    ignore_rc(nftw(d->path, drop, 16, FTW_DEPTH | FTW_PHYS));
}

struct span tmp_dir_span(const struct tmp_dir *d)
{
    return span_str(d->path);
}

const char *tmp_dir_file(const struct tmp_dir *d, const char *name)
{
    static _Thread_local char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", d->path, name);
    return path;
}
