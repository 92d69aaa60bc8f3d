// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/iofault.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_bool armed;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static enum iofault_call which;
static const char *path_part;
static int left_to_skip, left_to_fail, error, seen;

void iofault_arm(enum iofault_call call, const char *part, int skip, int times,
                 int err)
{
    pthread_mutex_lock(&lock);
    which = call;
    path_part = part;
    left_to_skip = skip;
    left_to_fail = times;
    error = err;
    seen = 0;
    pthread_mutex_unlock(&lock);
    atomic_store(&armed, true);
}

void iofault_off(void)
{
    atomic_store(&armed, false);
}

int iofault_seen(void)
{
    pthread_mutex_lock(&lock);
    int n = seen;
    pthread_mutex_unlock(&lock);
    return n;
}

static bool is_ours(int fd)
{
    char link[64], path[1024];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0)
        return false;
    path[n] = 0;
    size_t part_n = strlen(path_part);
    if (path_part[part_n - 1] != '$')
        return strstr(path, path_part) != NULL;
    part_n--;
    return (size_t)n >= part_n &&
           memcmp(path + n - part_n, path_part, part_n) == 0;
}

/* The errno to fail with, or 0. */
static int strike(enum iofault_call call, int fd)
{
    int err = 0;
    if (!atomic_load(&armed))
        return 0;
    pthread_mutex_lock(&lock);
    if ((which & call) != 0 && is_ours(fd)) {
        seen++;
        if (left_to_skip > 0)
            left_to_skip--;
        else if (left_to_fail > 0 && left_to_fail-- > 0)
            err = error;
    }
    pthread_mutex_unlock(&lock);
    if (err == IOFAULT_KILL)
        (void)raise(SIGKILL);
    return err;
}

/* A pointer to the next definition; ISO C has no cast for it. */
#define NEXT(type, name)                                                       \
    static type real;                                                          \
    if (real == NULL) {                                                        \
        void *next = dlsym(RTLD_NEXT, name);                                   \
        memcpy(&real, &next, sizeof real);                                     \
    }

typedef ssize_t (*write_fn)(int, const void *, size_t);
typedef ssize_t (*pwrite_fn)(int, const void *, size_t, off_t);
typedef int (*sync_fn)(int);

ssize_t write(int fd, const void *p, size_t n)
{
    NEXT(write_fn, "write")
    int err = strike(IOFAULT_WRITE, fd);
    if (err == 0)
        return real(fd, p, n);
    if (n > 1)
        (void)!real(fd, p, n / 2); /* torn: part of it arrived */
    errno = err;
    return -1;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    NEXT(pwrite_fn, "pwrite")
    int err = strike(IOFAULT_WRITE, fd);
    if (err == 0)
        return real(fd, p, n, at);
    if (n > 1)
        (void)!real(fd, p, n / 2, at);
    errno = err;
    return -1;
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
    return pwrite(fd, p, n, at);
}

int fsync(int fd)
{
    NEXT(sync_fn, "fsync")
    int err = strike(IOFAULT_SYNC, fd);
    if (err == 0)
        return real(fd);
    errno = err;
    return -1;
}

int fdatasync(int fd)
{
    NEXT(sync_fn, "fdatasync")
    int err = strike(IOFAULT_SYNC, fd);
    if (err == 0)
        return real(fd);
    errno = err;
    return -1;
}
