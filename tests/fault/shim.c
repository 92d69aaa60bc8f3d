// SPDX-License-Identifier: Apache-2.0
/*
 * Preloaded into the real program: fails, cuts short or ends the process at the
 * n-th system call of a kind, fails allocations, or writes down what reaches
 * the disk, so that a power cut can be played afterwards. Says nothing and does
 * nothing without these variables:
 *
 *   FAULT=KINDS:PATH:FROM:WHAT[:TIMES]
 *     KINDS  of call, joined with `+`: write sync name truncate send open
 *            accept alloc, or `any` (all but alloc)
 *     PATH   part of the file's path, or its end when followed by `$`; empty:
 *            any. Sockets are `socket:`
 *     FROM   the first call that is hit, counted from 1
 *     WHAT   kill, torn (half of it, then kill), after (all of it, then kill),
 *            late (a while later, before it: what else goes on in between?)
 *            or an errno: EIO ENOSPC ENOMEM EMFILE
 *     TIMES  how many in a row; default 1, 0: all from there on
 *   FAULT_WHILE=FILE  calls are counted only while FILE exists
 *   FAULT_COUNT=FILE  8 bytes: matching calls so far
 *   FAULT_TRACE=FILE, FAULT_ROOT=DIR  see trace() below
 */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind {
    KIND_WRITE = 1,
    KIND_SYNC = 2,
    KIND_NAME = 4,
    KIND_TRUNCATE = 8,
    KIND_SEND = 16,
    KIND_OPEN = 32,
    KIND_ACCEPT = 64,
    KIND_ALLOC = 128,
};

#define LATE_US 30000
enum { DO_KILL = -1, DO_TORN = -2, DO_AFTER = -3, DO_LATE = -4 };

static struct {
    unsigned kinds;
    char path[256];
    uint64_t from, times;
    int what; /* DO_..., or an errno */
} fault;
static char while_file[PATH_MAX], root[PATH_MAX];
static int trace_fd = -1;
static _Atomic uint64_t local_count;
static _Atomic uint64_t *count = &local_count;
static pthread_mutex_t trace_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- settings ---- */

struct word {
    const char *name;
    int value;
};

static int value_of(const struct word *words, const char *name, size_t n)
{
    for (; words->name != NULL; words++)
        if (strlen(words->name) == n && memcmp(words->name, name, n) == 0)
            return words->value;
    (void)dprintf(2, "shim: unknown word %.*s\n", (int)n, name);
    _exit(99);
}

static unsigned kinds_of(const char *text, size_t n)
{
    static const struct word words[] = {
        {"write", KIND_WRITE},   {"sync", KIND_SYNC},
        {"name", KIND_NAME},     {"truncate", KIND_TRUNCATE},
        {"send", KIND_SEND},     {"open", KIND_OPEN},
        {"accept", KIND_ACCEPT}, {"alloc", KIND_ALLOC},
        {"any", KIND_ALLOC - 1}, {NULL, 0}};
    unsigned kinds = 0;
    while (n > 0) {
        const char *plus = memchr(text, '+', n);
        size_t one = plus == NULL ? n : (size_t)(plus - text);
        kinds |= (unsigned)value_of(words, text, one);
        one += plus != NULL;
        text += one;
        n -= one;
    }
    return kinds;
}

static void read_fault(const char *text)
{
    static const struct word words[] = {
        {"kill", DO_KILL},  {"torn", DO_TORN},  {"after", DO_AFTER},
        {"late", DO_LATE},  {"EIO", EIO},       {"ENOSPC", ENOSPC},
        {"ENOMEM", ENOMEM}, {"EMFILE", EMFILE}, {NULL, 0}};
    const char *part[5] = {"", "", "1", "kill", "1"};
    size_t n[5] = {0, 0, 1, 4, 1};
    for (int i = 0; i < 5 && *text != 0; i++) {
        part[i] = text;
        n[i] = strcspn(text, ":");
        if (i == 1 && strncmp(text, "socket:", 7) == 0)
            n[i] = 7 + strcspn(text + 7, ":");
        text += n[i] + (text[n[i]] == ':');
    }
    fault.kinds = kinds_of(part[0], n[0]);
    (void)snprintf(fault.path, sizeof fault.path, "%.*s", (int)n[1], part[1]);
    fault.from = strtoull(part[2], NULL, 10);
    fault.what = value_of(words, part[3], n[3]);
    fault.times = strtoull(part[4], NULL, 10);
}

__attribute__((constructor)) static void set_up(void)
{
    const char *text = getenv("FAULT_COUNT");
    if (text != NULL) {
        int fd = open(text, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0 || ftruncate(fd, 8) != 0)
            _exit(99);
        count = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        atomic_store(count, 0);
    }
    text = getenv("FAULT_WHILE");
    (void)snprintf(while_file, sizeof while_file, "%s", text ? text : "");
    text = getenv("FAULT_ROOT");
    (void)snprintf(root, sizeof root, "%s", text ? text : "");
    text = getenv("FAULT_TRACE");
    if (text != NULL)
        trace_fd = open(text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    text = getenv("FAULT");
    if (text != NULL && *text != 0)
        read_fault(text); /* last: from here on calls count */
}

/* ---- faults ---- */

static bool path_of(int fd, char path[PATH_MAX])
{
    char link[64];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = syscall(SYS_readlink, link, path, PATH_MAX - 1);
    path[n < 0 ? 0 : n] = 0;
    return n >= 0;
}

static _Noreturn void die(void)
{
    (void)kill(getpid(), SIGKILL);
    for (;;)
        (void)pause();
}

static bool is_meant(const char *path)
{
    size_t part = strlen(fault.path), n = strlen(path);
    if (part == 0 || fault.path[part - 1] != '$')
        return strstr(path, fault.path) != NULL;
    part--;
    return n >= part && memcmp(path + n - part, fault.path, part) == 0;
}

/* 0, or what is to happen to this call. DO_KILL has happened already. */
static int strike(enum kind kind, const char *path)
{
    if ((fault.kinds & (unsigned)kind) == 0)
        return 0;
    if (path != NULL && !is_meant(path))
        return 0;
    if (while_file[0] != 0 && syscall(SYS_access, while_file, F_OK) != 0)
        return 0;
    uint64_t n = atomic_fetch_add(count, 1) + 1;
    if (n < fault.from || (fault.times != 0 && n >= fault.from + fault.times))
        return 0;
    if (fault.what == DO_LATE)
        (void)usleep(LATE_US);
    if (fault.what == DO_LATE || fault.what == DO_KILL)
        die();
    return fault.what;
}

static int strike_fd(enum kind kind, int fd)
{
    char path[PATH_MAX];
    if ((fault.kinds & (unsigned)kind) == 0)
        return 0;
    return path_of(fd, path) ? strike(kind, path) : 0;
}

/* A pointer to the next definition; ISO C has no cast for it. */
#define NEXT(ret, name, ...)                                                   \
    static ret (*real)(__VA_ARGS__);                                           \
    if (real == NULL) {                                                        \
        void *next = dlsym(RTLD_NEXT, name);                                   \
        memcpy(&real, &next, sizeof real);                                     \
    }

/* Runs a call with what strike() said: an error, or death after it. */
#define STRUCK(what, call)                                                     \
    do {                                                                       \
        int what_ = (what);                                                    \
        if (what_ > 0) {                                                       \
            errno = what_;                                                     \
            return -1;                                                         \
        }                                                                      \
        if (what_ != 0) {                                                      \
            (void)!(call);                                                     \
            die();                                                             \
        }                                                                      \
    } while (0)

/* ---- what reaches the disk ---- */

/* One line per operation below FAULT_ROOT, the bytes of a write behind it:
 *   w PATH OFFSET LENGTH | t PATH LENGTH | s PATH | c PATH | r FROM TO |
 *   l FROM TO | u PATH
 * PATH is relative; `s` of a directory makes names durable. */
static void trace(const char *head, const void *bytes, size_t n)
{
    const struct iovec parts[] = {{(void *)(uintptr_t)head, strlen(head)},
                                  {(void *)(uintptr_t)bytes, n}};
    (void)!syscall(SYS_writev, trace_fd, parts, 2);
}

static const char *in_root(const char *path)
{
    size_t n = strlen(root);
    if (trace_fd < 0 || strncmp(path, root, n) != 0 ||
        (path[n] != '/' && path[n] != 0) || strstr(path, "-shm") != NULL)
        return NULL;
    return path[n] == 0 ? "." : path + n + 1;
}

/* Keeps the order of calls and lines the same; a signal handler that writes
 * must not meet the lock of its own thread. */
static void begin_trace(sigset_t *before)
{
    sigset_t all;
    if (trace_fd < 0)
        return;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, before);
    (void)pthread_mutex_lock(&trace_lock);
}

static void end_trace(const sigset_t *before)
{
    if (trace_fd < 0)
        return;
    (void)pthread_mutex_unlock(&trace_lock);
    (void)pthread_sigmask(SIG_SETMASK, before, NULL);
}

/* Runs `call` and traces it when it has worked, in one order for all. */
static ssize_t traced_write(int fd, const void *p, size_t n, off_t at,
                            bool append)
{
    sigset_t before;
    char path[PATH_MAX], head[PATH_MAX + 64];
    struct stat st;
    const char *name =
        trace_fd >= 0 && path_of(fd, path) ? in_root(path) : NULL;
    begin_trace(&before);
    if (append)
        at = fstat(fd, &st) == 0 ? st.st_size : 0;
    ssize_t rc = append ? syscall(SYS_write, fd, p, n)
                        : syscall(SYS_pwrite64, fd, p, n, at);
    if (rc > 0 && name != NULL) {
        (void)snprintf(head, sizeof head, "w %s %lld %zd\n", name,
                       (long long)at, rc);
        trace(head, p, (size_t)rc);
    }
    end_trace(&before);
    return rc;
}

static void trace_fd_line(int fd, char op, long long n)
{
    char path[PATH_MAX], head[PATH_MAX + 64];
    const char *name =
        trace_fd >= 0 && path_of(fd, path) ? in_root(path) : NULL;
    if (name == NULL)
        return;
    if (op == 't')
        (void)snprintf(head, sizeof head, "t %s %lld\n", name, n);
    else
        (void)snprintf(head, sizeof head, "%c %s\n", op, name);
    trace(head, "", 0);
}

static void trace_names(char op, const char *from, const char *to)
{
    char head[2 * PATH_MAX];
    const char *a = in_root(from), *b = to == NULL ? "" : in_root(to);
    if (a == NULL || b == NULL)
        return;
    (void)snprintf(head, sizeof head, "%c %s%s%s\n", op, a, *b ? " " : "", b);
    trace(head, "", 0);
}

/* ---- the calls ---- */

ssize_t write(int fd, const void *p, size_t n)
{
    int what = strike_fd(KIND_WRITE, fd);
    if (what == DO_TORN || what > 0)
        n = n / 2; /* of a failing write, too, half arrives */
    if (what > 0 && n > 0)
        (void)!traced_write(fd, p, n, 0, true);
    STRUCK(what, traced_write(fd, p, n, 0, true));
    return traced_write(fd, p, n, 0, true);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    int what = strike_fd(KIND_WRITE, fd);
    if (what == DO_TORN || what > 0)
        n = n / 2;
    if (what > 0 && n > 0)
        (void)!traced_write(fd, p, n, at, false);
    STRUCK(what, traced_write(fd, p, n, at, false));
    return traced_write(fd, p, n, at, false);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
    return pwrite(fd, p, n, at);
}

static int sync_with(long number, int fd)
{
    sigset_t before;
    int what = strike_fd(KIND_SYNC, fd);
    STRUCK(what, syscall(number, fd));
    begin_trace(&before);
    int rc = (int)syscall(number, fd);
    if (rc == 0)
        trace_fd_line(fd, 's', 0);
    end_trace(&before);
    return rc;
}

int fsync(int fd)
{
    return sync_with(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return sync_with(SYS_fdatasync, fd);
}

int ftruncate(int fd, off_t n)
{
    sigset_t before;
    int what = strike_fd(KIND_TRUNCATE, fd);
    STRUCK(what, syscall(SYS_ftruncate, fd, n));
    begin_trace(&before);
    int rc = (int)syscall(SYS_ftruncate, fd, n);
    if (rc == 0)
        trace_fd_line(fd, 't', n);
    end_trace(&before);
    return rc;
}

int ftruncate64(int fd, off64_t n)
{
    return ftruncate(fd, n);
}

static int name_with(long number, char op, const char *from, const char *to)
{
    sigset_t before;
    int what = strike(KIND_NAME, from);
    STRUCK(what, syscall(number, from, to));
    begin_trace(&before);
    int rc = (int)syscall(number, from, to);
    if (rc == 0)
        trace_names(op, from, to);
    end_trace(&before);
    return rc;
}

int rename(const char *from, const char *to)
{
    return name_with(SYS_rename, 'r', from, to);
}

int link(const char *from, const char *to)
{
    return name_with(SYS_link, 'l', from, to);
}

int mkdir(const char *path, mode_t mode)
{
    int what = strike(KIND_NAME, path);
    STRUCK(what, syscall(SYS_mkdir, path, mode));
    return (int)syscall(SYS_mkdir, path, mode);
}

int rmdir(const char *path)
{
    int what = strike(KIND_NAME, path);
    STRUCK(what, syscall(SYS_rmdir, path));
    return (int)syscall(SYS_rmdir, path);
}

int unlink(const char *path)
{
    sigset_t before;
    int what = strike(KIND_NAME, path);
    STRUCK(what, syscall(SYS_unlink, path));
    begin_trace(&before);
    int rc = (int)syscall(SYS_unlink, path);
    if (rc == 0)
        trace_names('u', path, NULL);
    end_trace(&before);
    return rc;
}

static int open_with(int dir, const char *path, int flags, mode_t mode)
{
    sigset_t before;
    int what = strike(KIND_OPEN, path);
    bool makes = (flags & O_CREAT) != 0;
    STRUCK(what, syscall(SYS_openat, dir, path, flags, mode));
    begin_trace(&before);
    bool fresh = makes && syscall(SYS_access, path, F_OK) != 0;
    int rc = (int)syscall(SYS_openat, dir, path, flags, mode);
    if (rc >= 0 && fresh)
        trace_names('c', path, NULL);
    end_trace(&before);
    return rc;
}

#define MODE_OF(flags, mode)                                                   \
    do {                                                                       \
        va_list args_;                                                         \
        va_start(args_, flags);                                                \
        if (((flags) & (O_CREAT | O_TMPFILE)) != 0)                            \
            (mode) = va_arg(args_, mode_t);                                    \
        va_end(args_);                                                         \
    } while (0)

int open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    MODE_OF(flags, mode);
    return open_with(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    mode_t mode = 0;
    MODE_OF(flags, mode);
    return open_with(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}

int accept4(int fd, __SOCKADDR_ARG a, socklen_t *n, int flags)
{
    int what = strike_fd(KIND_ACCEPT, fd);
    STRUCK(what, syscall(SYS_accept4, fd, a.__sockaddr__, n, flags));
    return (int)syscall(SYS_accept4, fd, a.__sockaddr__, n, flags);
}

ssize_t send(int fd, const void *p, size_t n, int flags)
{
    int what = strike_fd(KIND_SEND, fd);
    if (what == DO_TORN)
        n = n / 2;
    STRUCK(what, syscall(SYS_sendto, fd, p, n, flags, NULL, 0));
    return syscall(SYS_sendto, fd, p, n, flags, NULL, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    int what = strike_fd(KIND_SEND, fd);
    STRUCK(what, syscall(SYS_sendmsg, fd, m, flags));
    return syscall(SYS_sendmsg, fd, m, flags);
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
    int what = strike_fd(KIND_SEND, fd);
    STRUCK(what, syscall(SYS_writev, fd, v, n));
    return syscall(SYS_writev, fd, v, n);
}

/* ---- memory ---- */

static bool no_memory(void)
{
    if (strike(KIND_ALLOC, NULL) == 0)
        return false;
    errno = ENOMEM;
    return true;
}

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t count, size_t n);
extern void *__libc_realloc(void *p, size_t n);

void *malloc(size_t n)
{
    return no_memory() ? NULL : __libc_malloc(n);
}

void *calloc(size_t number, size_t n)
{
    return no_memory() ? NULL : __libc_calloc(number, n);
}

void *realloc(void *p, size_t n)
{
    return no_memory() ? NULL : __libc_realloc(p, n);
}
