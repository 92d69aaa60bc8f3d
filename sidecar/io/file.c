// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

int file_path(char ret[FILE_PATH_MAX], struct span dir, const char *name,
              struct fail *f)
{
    size_t name_n = span_str(name).n;
    if (dir.n == 0 || dir.n + 1 + name_n + 1 > FILE_PATH_MAX)
        return fail(f, RC_CONFIG, "path '%.*s/%s' is empty or too long",
                    PRSPAN(dir), name);
    if (span_find(dir, 0, 0) != dir.n)
        return fail(f, RC_CONFIG, "path has a zero byte");
    const size_t slash = dir.p[dir.n - 1] != '/' && name_n > 0;
    memcpy(ret, dir.p, dir.n);
    memcpy(ret + dir.n, "/", slash);
    memcpy(ret + dir.n + slash, name, name_n + 1);
    return 0;
}

int file_rc(int err)
{
    bool passes = err == ENOSPC || err == EDQUOT || err == EMFILE ||
                  err == ENFILE; /* there may be room later */
    return passes ? RC_NO_SPACE : RC_IO;
}

int file_write_all(int fd, struct span s, struct fail *f)
{
    while (s.n > 0) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(f, file_rc(errno), "write: %s", strerrordesc_np(errno));
        s = span_sub(s, (size_t)n, s.n);
    }
    return 0;
}

int file_sync_dir(struct span dir, struct fail *f)
{
    char path[FILE_PATH_MAX];
    TRY(file_path(path, dir, "", f));
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail(f, file_rc(errno), "open %s: %s", path,
                    strerrordesc_np(errno));
    int bad = fsync(fd) != 0 ? errno : 0;
    ignore_rc(close(fd)); /* nothing was written through it */
    return bad == 0
               ? 0
               : fail(f, RC_IO, "fsync %s: %s", path, strerrordesc_np(bad));
}

/* Writes, syncs and closes; the file is not yet anybody's. */
static int fill(int fd, struct span content, mode_t mode, struct fail *f)
{
    int rc = file_write_all(fd, content, f);
    if (rc == 0 && fchmod(fd, mode) != 0)
        rc = fail(f, RC_IO, "chmod: %s", strerrordesc_np(errno));
    if (rc == 0 && fsync(fd) != 0)
        rc = fail(f, file_rc(errno), "fsync: %s", strerrordesc_np(errno));
    if (close(fd) != 0 && rc == 0)
        rc = fail(f, RC_IO, "close: %s", strerrordesc_np(errno));
    return rc;
}

int file_replace(struct span dir, const char *name, struct span content,
                 mode_t mode, struct fail *f)
{
    char path[FILE_PATH_MAX], fresh[FILE_PATH_MAX], fresh_name[128];
    (void)snprintf(fresh_name, sizeof fresh_name, "%s.new", name);
    TRY(file_path(path, dir, name, f));
    TRY(file_path(fresh, dir, fresh_name, f));
    /* What an earlier try, or somebody else, has left there is not written to:
     * it may be a second name of another file. */
    ignore_rc(unlink(fresh));
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(f, file_rc(errno), "open %s: %s", fresh,
                    strerrordesc_np(errno));
    if (fill(fd, content, mode, f) < 0)
        return fail_wrap(f, "%s", fresh);
    if (rename(fresh, path) != 0)
        return fail(f, file_rc(errno), "rename to %s: %s", path,
                    strerrordesc_np(errno));
    return 0;
}

int file_create(struct span dir, const char *name, struct span content,
                mode_t mode, struct fail *f)
{
    char path[FILE_PATH_MAX];
    TRY(file_path(path, dir, name, f));
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return fail(f, RC_EXISTS, "%s exists", path);
    if (fd < 0)
        return fail(f, file_rc(errno), "create %s: %s", path,
                    strerrordesc_np(errno));
    if (fill(fd, content, mode, f) < 0) {
        ignore_rc(unlink(path)); /* half a file helps nobody */
        return fail_wrap(f, "%s", path);
    }
    return file_sync_dir(dir, f);
}

static int read_all(int fd, unsigned char *p, size_t n, size_t *ret_n)
{
    *ret_n = 0;
    while (*ret_n < n) {
        ssize_t got = read(fd, p + *ret_n, n - *ret_n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return RC_IO;
        if (got == 0)
            break;
        *ret_n += (size_t)got;
    }
    return 0;
}

static int read_opened(struct mem *m, int fd, size_t max_bytes,
                       struct span *ret, struct fail *f)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return fail(f, RC_CONFIG, "is not a regular file");
    if (st.st_size < 0 || (uint64_t)st.st_size > max_bytes)
        return fail(f, RC_TOO_LARGE, "has more than %zu bytes", max_bytes);
    unsigned char *p = mem_alloc(m, (size_t)st.st_size + 1);
    if (p == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for its content");
    size_t n;
    if (read_all(fd, p, (size_t)st.st_size, &n) < 0) {
        mem_release(m, p);
        return fail(f, RC_IO, "read: %s", strerrordesc_np(errno));
    }
    p[n] = 0;
    *ret = span_of(p, n);
    return 0;
}

int file_read(struct mem *m, const char *path, size_t max_bytes,
              struct span *ret, struct fail *f)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fail(f, errno == ENOENT ? RC_UNKNOWN_NAME : RC_IO, "open %s: %s",
                    path, strerrordesc_np(errno));
    int rc = read_opened(m, fd, max_bytes, ret, f);
    ignore_rc(close(fd)); /* only read from */
    return rc < 0 ? fail_wrap(f, "%s", path) : 0;
}

static int lock_taken(int fd, struct span dir, struct fail *f)
{
    unsigned char text[24];
    size_t n;
    if (read_all(fd, text, sizeof text, &n) < 0)
        n = 0;
    struct span pid =
        span_sub(span_of(text, n), 0, span_find(span_of(text, n), '\n', 0));
    return fail(f, RC_BUSY, "%.*s is in use by process %.*s", PRSPAN(dir),
                PRSPAN(pid));
}

int file_lock(struct span dir, int *ret_fd, struct fail *f)
{
    char path[FILE_PATH_MAX], pid[24];
    TRY(file_path(path, dir, "lock", f));
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fail(f, file_rc(errno), "open %s: %s", path,
                    strerrordesc_np(errno));
    int rc = 0;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        rc = errno == EWOULDBLOCK
                 ? lock_taken(fd, dir, f)
                 : fail(f, RC_IO, "lock %s: %s", path, strerrordesc_np(errno));
    if (rc < 0) {
        ignore_rc(close(fd)); /* not locked, nothing written */
        return rc;
    }
    /* The pid is for the message above only; a full disk must not keep us
     * from starting. */
    int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) == 0)
        ignore_rc(file_write_all(fd, span_of(pid, (size_t)n), NULL));
    *ret_fd = fd;
    return 0;
}

int file_check_dir(struct span dir, struct fail *f)
{
    char path[FILE_PATH_MAX];
    struct stat st;
    TRY(file_path(path, dir, "", f));
    if (stat(path, &st) != 0)
        return fail(f, RC_CONFIG, "directory %s: %s (see bailiff init)", path,
                    strerrordesc_np(errno));
    if (!S_ISDIR(st.st_mode))
        return fail(f, RC_CONFIG, "%s is not a directory", path);
    if ((st.st_mode & 022) != 0)
        return fail(f, RC_CONFIG,
                    "directory %s: others can write it (chmod 0700)", path);
    if (st.st_uid != geteuid() && st.st_uid != 0)
        return fail(f, RC_CONFIG, "directory %s belongs to uid %u", path,
                    (unsigned)st.st_uid);
    return 0;
}
