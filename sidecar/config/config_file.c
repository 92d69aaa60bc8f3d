// SPDX-License-Identifier: Apache-2.0
/*
 * Reading small files that the configuration names.
 */
#include "sidecar/config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_PATH_BYTES 4096

static void close_fd(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

/* Who may have written a file that we are about to believe? */
static int check_mode(const char *path, const struct stat *st, bool secret,
                      struct fail *f)
{
    if (!S_ISREG(st->st_mode))
        return fail(f, RC_CONFIG, "%s: not a regular file", path);
    if (st->st_uid != 0 && st->st_uid != geteuid())
        return fail(f, RC_CONFIG,
                    "%s: owned by user %u; it must belong to root or to the "
                    "user that runs bailiff (%u)",
                    path, (unsigned)st->st_uid, (unsigned)geteuid());
    if (secret && (st->st_mode & 077) != 0)
        return fail(f, RC_CONFIG,
                    "%s: others can read this secret (mode %04o); chmod 0400 "
                    "or 0600",
                    path, (unsigned)st->st_mode & 07777);
    if ((st->st_mode & 022) != 0)
        return fail(f, RC_CONFIG,
                    "%s: others can write it (mode %04o); chmod go-w", path,
                    (unsigned)st->st_mode & 07777);
    return RC_OK;
}

static int read_all(int fd, const char *path, unsigned char *p, size_t max,
                    size_t *ret_n, struct fail *f)
{
    size_t n = 0;
    while (n < max) {
        ssize_t got = read(fd, p + n, max - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail(f, RC_IO, "%s: %s", path, strerrordesc_np(errno));
        if (got == 0)
            break;
        n += (size_t)got;
    }
    *ret_n = n;
    return RC_OK;
}

int config_read_file(struct mem *m, struct span path, size_t max_bytes,
                     bool secret, struct span *ret, struct fail *f)
{
    char name[CONFIG_PATH_BYTES];
    if (path.n == 0 || path.n >= sizeof name ||
        span_find(path, '\0', 0) < path.n)
        return fail(f, RC_CONFIG, "path is empty or too long");
    memcpy(name, path.p, path.n);
    name[path.n] = '\0';
    /* O_NONBLOCK: a FIFO in the place of the file must not hang us. */
    CLEANUP(close_fd)
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return fail(f, errno == ENOENT ? RC_UNKNOWN_NAME : RC_IO, "%s: %s",
                    name, strerrordesc_np(errno));
    struct stat st;
    if (fstat(fd, &st) != 0)
        return fail(f, RC_IO, "%s: %s", name, strerrordesc_np(errno));
    TRY(check_mode(name, &st, secret, f));
    if (st.st_size < 0 || (uint64_t)st.st_size > max_bytes)
        return fail(f, RC_TOO_LARGE, "%s: larger than %zu bytes", name,
                    max_bytes);
    const size_t room = (size_t)st.st_size + 1; /* sees a growing file */
    unsigned char *p = mem_alloc(m, room + 1);
    if (p == NULL)
        return fail(f, RC_NO_MEMORY, "%s: out of memory", name);
    size_t n = 0;
    TRY(read_all(fd, name, p, room, &n, f));
    if (n > max_bytes)
        return fail(f, RC_TOO_LARGE, "%s: larger than %zu bytes", name,
                    max_bytes);
    if (secret && n > 0 && p[n - 1] == '\n')
        n -= n > 1 && p[n - 2] == '\r' ? 2 : 1;
    *ret = span_of(p, n);
    return RC_OK;
}
