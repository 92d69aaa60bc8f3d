// SPDX-License-Identifier: Apache-2.0
/* The listening side: binding, accepting, limits, draining. Everything about a
 * single connection is in conn.c. */
#include "sidecar/io/server.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sidecar/io/address.h"
#include "sidecar/io/conn.h"

#define BACKLOG 512
#define RETRY_MS 100

struct server {
    struct conn_host host;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } listener;
    bool is_unix, listening;
    struct address address;
    char text[sizeof(((struct sockaddr_un *)0)->sun_path) + 8];
    struct buf cert_file, key_file, ca_file;
    bool client_required;
    struct deadline cut;   /* the end of draining */
    struct deadline retry; /* accept again, after being out of memory */
    ino_t socket_inode;
    bool closing, listener_closed;
    void (*done)(void *ctx);
    void *done_ctx;
};

static void set_default(uint32_t *v, uint32_t d)
{
    if (*v == 0)
        *v = d;
}

static void set_limits(struct server_limits *l)
{
    set_default(&l->connections, 2048);
    set_default(&l->streams, 100);
    set_default(&l->header_bytes, 16384);
    set_default(&l->body_bytes, 262144);
    set_default(&l->message_bytes, 65536);
    set_default(&l->queued_bytes, 1048576);
    set_default(&l->handshake_ms, 5000);
    set_default(&l->request_ms, 10000);
    set_default(&l->idle_ms, 300000);
    set_default(&l->stall_ms, 20000);
    set_default(&l->resets_per_s, 20);
}

/* --- accepting --------------------------------------------------------------
 */

/* libuv asks no more until a connection is taken, so without memory we come
 * back by ourselves. */
static void accept_later(struct server *s)
{
    s->host.stats.refused++;
    ignore_rc(deadline_set(&s->host.turn, &s->retry,
                           turn_now_ms(&s->host.turn) + RETRY_MS));
}

static void accept_one(struct server *s)
{
    struct conn *c;
    if (conn_new(&s->host, s->is_unix, &c) < 0) {
        accept_later(s);
        return;
    }
    if (uv_accept(&s->listener.stream, conn_stream(c)) != 0) {
        s->host.stats.refused++;
        conn_kill(c);
        return;
    }
    if (s->host.stats.open > s->host.limits.connections) {
        s->host.stats.refused++;
        conn_kill(c);
        return;
    }
    s->host.stats.accepted++;
    conn_start(c);
}

static void on_retry(struct deadline *d)
{
    struct server *s = container_of(d, struct server, retry);
    if (!s->closing)
        accept_one(s);
}

/* Out of descriptors, libuv gives up its spare one to accept and close what is
 * waiting, so that the loop does not spin; it reports that as an error. */
static void on_connection(uv_stream_t *stream, int status)
{
    struct server *s = stream->data;
    if (status != 0)
        s->host.stats.refused++;
    else
        accept_one(s);
}

/* --- listening --------------------------------------------------------------
 */

static const char *errno_text(void)
{
    return uv_strerror(uv_translate_sys_error(errno));
}

static int fail_uv(struct server *s, int e, const char *what, struct fail *f)
{
    return fail(f, RC_IO, "%s %s: %s", what, s->text, uv_strerror(e));
}

static int listen_tcp(struct server *s, struct fail *f)
{
    struct sockaddr_storage a;
    TRY(address_numeric(&s->address, &a, f));
    address_text(&a, s->text);
    int e = uv_tcp_init(s->host.turn.loop, &s->listener.tcp);
    if (e != 0)
        return fail_uv(s, e, "socket for", f);
    s->listening = true;
    s->listener.handle.data = s;
    e = uv_tcp_bind(&s->listener.tcp, (struct sockaddr *)&a, 0);
    if (e == 0)
        e = uv_listen(&s->listener.stream, BACKLOG, on_connection);
    int n = sizeof(a);
    if (e == 0)
        e = uv_tcp_getsockname(&s->listener.tcp, (struct sockaddr *)&a, &n);
    if (e != 0)
        return fail_uv(s, e, "bind", f);
    address_text(&a, s->text);
    return 0;
}

/* Removes what an earlier run left: only a socket, ours, with nobody
 * listening. */
static int remove_stale(const struct server *s, struct fail *f)
{
    const char *path = s->address.un.sun_path;
    struct stat st;
    if (lstat(path, &st) != 0)
        return errno == ENOENT ? 0
                               : fail(f, RC_IO, "%s: %s", path, errno_text());
    if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid())
        return fail(f, RC_CONFIG, "%s exists and is not a socket of ours",
                    path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail(f, RC_IO, "socket: %s", errno_text());
    int rc = connect(fd, (const struct sockaddr *)&s->address.un,
                     sizeof(s->address.un));
    bool stale = rc != 0 && errno == ECONNREFUSED;
    close(fd);
    if (!stale)
        return fail(f, RC_BUSY, "%s: another process listens there", path);
    if (unlink(path) != 0)
        return fail(f, RC_IO, "unlink %s: %s", path, errno_text());
    return 0;
}

/* The mode is set before the path appears and again, without umask, after. */
static int bind_unix(struct server *s, const struct server_conf *conf, int fd,
                     struct fail *f)
{
    const char *path = s->address.un.sun_path;
    mode_t mode = conf->unix_mode != 0 ? (mode_t)conf->unix_mode : 0600;
    struct stat st;
    if (fchmod(fd, mode) != 0 ||
        bind(fd, (const struct sockaddr *)&s->address.un,
             sizeof(s->address.un)) != 0)
        return fail(f, RC_IO, "bind %s: %s", path, errno_text());
    if ((conf->unix_gid >= 0 &&
         chown(path, (uid_t)-1, (gid_t)conf->unix_gid) != 0) ||
        chmod(path, mode) != 0 || stat(path, &st) != 0)
        return fail(f, RC_IO, "permissions of %s: %s", path, errno_text());
    s->socket_inode = st.st_ino;
    return 0;
}

static int listen_unix(struct server *s, const struct server_conf *conf,
                       struct fail *f)
{
    ignore_rc(
        snprintf(s->text, sizeof(s->text), "unix:%s", s->address.un.sun_path));
    TRY(remove_stale(s, f));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail(f, RC_IO, "socket: %s", errno_text());
    int rc = bind_unix(s, conf, fd, f);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    /* With ipc 0 this cannot fail. */
    ignore_rc(uv_pipe_init(s->host.turn.loop, &s->listener.pipe, 0));
    s->listening = true;
    s->listener.handle.data = s;
    int e = uv_pipe_open(&s->listener.pipe, fd);
    if (e != 0)
        close(fd);
    else
        e = uv_listen(&s->listener.stream, BACKLOG, on_connection);
    return e != 0 ? fail_uv(s, e, "bind", f) : 0;
}

/* --- life
 * --------------------------------------------------------------------- */

static void server_free(struct server *s)
{
    buf_fini(&s->cert_file);
    buf_fini(&s->key_file);
    buf_fini(&s->ca_file);
    tls_ctx_free(s->host.tls);
    mem_release(mem_system(), s);
}

void server_rest(struct server *s)
{
    turn_rest(&s->host.turn);
}

static void on_turn_closed(struct turn *t)
{
    struct server *s = container_of(container_of(t, struct conn_host, turn),
                                    struct server, host);
    if (s->done != NULL)
        s->done(s->done_ctx);
    server_free(s);
}

static void check_gone(struct server *s)
{
    if (!s->closing || !s->listener_closed || s->host.stats.open > 0)
        return;
    deadline_stop(&s->host.turn, &s->cut);
    s->closing = false;
    turn_close(&s->host.turn, on_turn_closed);
}

static void on_conn_gone(struct conn_host *h)
{
    check_gone(container_of(h, struct server, host));
}

static void on_listener_closed(uv_handle_t *h)
{
    struct server *s = h->data;
    s->listener_closed = true;
    check_gone(s);
}

static int load_tls(struct server *s, struct tls_ctx **ret, struct fail *f)
{
    struct tls_conf conf = {
        .cert_file = buf_span(&s->cert_file),
        .key_file = buf_span(&s->key_file),
        .ca_file = buf_span(&s->ca_file),
        .peer_required = s->client_required,
    };
    return tls_ctx_new(&conf, ret, f);
}

static void take_conf(struct server *s, const struct server_conf *conf)
{
    struct conn_host *h = &s->host;
    h->limits = conf->limits;
    set_limits(&h->limits);
    h->methods = conf->methods;
    h->request = conf->request;
    h->ctx = conf->ctx;
    h->conn_gone = on_conn_gone;
    list_init(&h->conns);
    buf_init(&s->cert_file, mem_system(), 4096);
    buf_init(&s->key_file, mem_system(), 4096);
    buf_init(&s->ca_file, mem_system(), 4096);
    buf_put(&s->cert_file, conf->tls_cert_file);
    buf_put(&s->key_file, conf->tls_key_file);
    buf_put(&s->ca_file, conf->tls_client_ca_file);
    s->client_required = conf->tls_client_required;
}

static int open_it(struct server *s, const struct server_conf *conf,
                   struct fail *f)
{
    TRY(address_parse(conf->address, &s->address, f));
    s->is_unix = s->address.is_unix;
    if (conf->tls_cert_file.n > 0)
        TRY(load_tls(s, &s->host.tls, f));
    return s->is_unix ? listen_unix(s, conf, f) : listen_tcp(s, f);
}

int server_open(uv_loop_t *loop, const struct server_conf *conf,
                struct server **ret, struct fail *f)
{
    struct server *s = mem_alloc(mem_system(), sizeof(*s));
    if (s == NULL)
        return fail(f, RC_NO_MEMORY, "out of memory");
    take_conf(s, conf);
    s->retry.fire = on_retry;
    if (turn_init(&s->host.turn, loop) < 0) {
        server_free(s);
        return fail(f, RC_NO_MEMORY, "out of memory");
    }
    int rc = open_it(s, conf, f);
    if (rc < 0) {
        server_close(s, 0, NULL, NULL);
        return rc;
    }
    *ret = s;
    return 0;
}

const char *server_address(const struct server *s)
{
    return s->text;
}

void server_stats_get(const struct server *s, struct server_stats *ret)
{
    *ret = s->host.stats;
}

int server_reload_tls(struct server *s, struct fail *f)
{
    struct tls_ctx *fresh;
    if (s->host.tls == NULL)
        return 0;
    TRY(load_tls(s, &fresh, f));
    tls_ctx_free(s->host.tls);
    s->host.tls = fresh;
    return 0;
}

static void cut_all(struct server *s)
{
    LIST_EACH (k, next, &s->host.conns)
        conn_kill(conn_of_link(k));
}

static void on_cut(struct deadline *d)
{
    cut_all(container_of(d, struct server, cut));
}

static void drain_all(struct server *s)
{
    s->host.draining = true;
    LIST_EACH (k, next, &s->host.conns)
        conn_drain(conn_of_link(k));
}

/* Nobody may find a socket file that does not answer; but a successor may have
 * put its own there already. */
static void remove_socket(const struct server *s)
{
    struct stat st;
    if (s->is_unix && s->socket_inode != 0 &&
        lstat(s->address.un.sun_path, &st) == 0 && st.st_ino == s->socket_inode)
        ignore_rc(unlink(s->address.un.sun_path)); /* best effort */
}

void server_close(struct server *s, uint64_t drain_ms, void (*done)(void *ctx),
                  void *ctx)
{
    must(!s->closing);
    s->closing = true;
    s->done = done;
    s->done_ctx = ctx;
    s->cut.fire = on_cut;
    deadline_stop(&s->host.turn, &s->retry);
    remove_socket(s);
    drain_all(s);
    if (drain_ms == 0 ||
        deadline_set(&s->host.turn, &s->cut,
                     turn_now_ms(&s->host.turn) + drain_ms) < 0)
        cut_all(s);
    if (s->listening) {
        uv_close(&s->listener.handle, on_listener_closed);
        return;
    }
    s->listener_closed = true;
    check_gone(s);
}
