// SPDX-License-Identifier: Apache-2.0
/*
 * The few things that durable files need: whole writes, atomic replacement,
 * directory syncs, locks. Blocking; for start-up, tools and the store and log
 * threads.
 */
#ifndef SIDECAR_IO_FILE_H
#define SIDECAR_IO_FILE_H

#include <sys/types.h>
#include "sidecar/base/fail.h"
#include "sidecar/base/mem.h"

#define FILE_PATH_MAX 1024

/* "dir/name" with a NUL; RC_CONFIG when too long or with a NUL inside. */
int file_path(char ret[FILE_PATH_MAX], struct span dir, const char *name,
              struct fail *f) must_use;

/* RC_NO_SPACE for a full disk or quota, or no descriptor left; RC_IO for the
 * rest. */
int file_rc(int err);

/* Writes all of `s`, over short writes and EINTR. On failure an unknown part
 * has been written. */
int file_write_all(int fd, struct span s, struct fail *f) must_use;

/* Makes names in `dir` durable. */
int file_sync_dir(struct span dir, struct fail *f) must_use;

/* Puts `content` under dir/name, whole or not at all: a new file is written,
 * synced and renamed over the old one. The directory itself is not synced. */
int file_replace(struct span dir, const char *name, struct span content,
                 mode_t mode, struct fail *f) must_use;

/* Creates dir/name with `content`, synced; RC_EXISTS leaves an old one as it
 * is. */
int file_create(struct span dir, const char *name, struct span content,
                mode_t mode, struct fail *f) must_use;

/* Reads a regular file of at most max_bytes into `m`. RC_UNKNOWN_NAME when
 * there is none. The caller releases ret->p. */
int file_read(struct mem *m, const char *path, size_t max_bytes,
              struct span *ret, struct fail *f) must_use;

/* Takes an exclusive lock on dir/lock and writes our pid into it; RC_BUSY names
 * the process that has it. Closing *ret_fd gives it back. */
int file_lock(struct span dir, int *ret_fd, struct fail *f) must_use;

/* RC_CONFIG unless `dir` is a directory that only its owner, who must be us or
 * root, can write. */
int file_check_dir(struct span dir, struct fail *f) must_use;

#endif
