// SPDX-License-Identifier: Apache-2.0
/* A directory that is gone after the test. Failures abort. */
#ifndef TESTS_LIB_TMP_DIR_H
#define TESTS_LIB_TMP_DIR_H

#include "sidecar/base/span.h"

struct tmp_dir {
    char path[128];
};

void tmp_dir_make(struct tmp_dir *d);
void tmp_dir_drop(struct tmp_dir *d);
struct span tmp_dir_span(const struct tmp_dir *d);

/* "dir/name" in a static buffer of the thread, valid until the next call. */
const char *tmp_dir_file(const struct tmp_dir *d, const char *name);

#endif
