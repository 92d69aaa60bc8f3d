// SPDX-License-Identifier: Apache-2.0
/*
 * libcurl says which sockets and which timer it wants; libuv watches them; what
 * either reports goes into curl_multi_socket_action. Answers are delivered only
 * from on_socket, on_timer and on_reap, never inside fetch_start.
 */
#include "sidecar/io/fetch.h"

#include <string.h>

#include <curl/curl.h>

#include "sidecar/base/list.h"

#define HEADER_LINE_MAX 16384
#define POOL_CONNECTIONS_MAX 64L
#define TOTAL_CONNECTIONS_MAX 512L

struct fetch {
    uv_loop_t *loop;
    CURLM *multi;
    uv_timer_t timer; /* what curl asked for */
    uv_timer_t reap;  /* delivers cancelled calls */
    struct list calls;
    struct list cancelled;
    struct fetch_stats stats;
    unsigned handles; /* open uv handles */
    bool closing;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

struct fetch_call {
    struct fetch *h;
    struct list_link link; /* in calls or cancelled */
    CURL *easy;
    struct curl_slist *headers;
    fetch_done_fn done;
    void *ctx;
    struct buf body, answer_headers, request_body;
    char error[CURL_ERROR_SIZE];
    int64_t started_ms;
    int rc; /* set when a callback stopped the exchange */
    struct fail fail;
    bool head_ended; /* the blank line came */
    bool delivered;
};

struct watch {
    uv_poll_t poll;
    struct fetch *h;
    curl_socket_t fd;
};

/* --- answers --- */

/* The secrets in request headers do not outlive the call. */
static void free_headers(struct curl_slist *list)
{
    for (struct curl_slist *it = list; it != NULL; it = it->next)
        mem_wipe(it->data, strlen(it->data));
    curl_slist_free_all(list);
}

static void call_free(struct fetch_call *c)
{
    if (c->easy != NULL)
        curl_easy_cleanup(c->easy);
    free_headers(c->headers);
    buf_fini(&c->body);
    buf_fini(&c->answer_headers);
    buf_fini(&c->request_body);
    mem_release(mem_system(), c);
}

static void close_if_idle(struct fetch *h);

static void deliver(struct fetch_call *c, const struct fetch_result *r)
{
    struct fetch *h = c->h;
    list_remove(&c->link);
    h->stats.open--;
    c->delivered = true;
    c->done(c->ctx, c, r);
    call_free(c);
    close_if_idle(h);
}

static int rc_from_curl(CURLcode code)
{
    switch ((int)code) {
        case CURLE_OK: return 0;
        case CURLE_OPERATION_TIMEDOUT: return RC_TIMEOUT;
        case CURLE_OUT_OF_MEMORY: return RC_NO_MEMORY;
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CONNECT_ERROR:
        case CURLE_SSL_ISSUER_ERROR:
        case CURLE_SSL_INVALIDCERTSTATUS:
        case CURLE_SSL_PINNEDPUBKEYNOTMATCH: return RC_UNTRUSTED;
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_SSL_CERTPROBLEM:
        case CURLE_SSL_CIPHER: return RC_CONFIG;
        case CURLE_COULDNT_RESOLVE_HOST:
        case CURLE_COULDNT_CONNECT:
        case CURLE_SEND_ERROR:
        case CURLE_RECV_ERROR:
        case CURLE_GOT_NOTHING:
        case CURLE_PARTIAL_FILE:
        case CURLE_NO_CONNECTION_AVAILABLE: return RC_UNAVAILABLE;
        case CURLE_URL_MALFORMAT: return RC_INVALID;
#if LIBCURL_VERSION_NUM >= 0x080600 /* its own cap on header lines */
        case CURLE_TOO_LARGE: return RC_TOO_LARGE;
#endif
        default: return RC_PROTOCOL;
    }
}

static void finish(struct fetch_call *c, CURLcode code)
{
    struct fetch_result r = {.started_ms = c->started_ms, .fail = c->fail};
    long status = 0;
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    r.rc = c->rc != 0 ? c->rc : rc_from_curl(code);
    if (r.rc == 0 && !c->head_ended)
        r.rc = fail(&r.fail, RC_UNAVAILABLE, "the answer's header is cut off");
    else if (r.rc == 0 && (status < 200 || status > 599))
        r.rc = fail(&r.fail, RC_PROTOCOL, "status %ld is none of HTTP", status);
    else if (r.rc != 0 && c->rc == 0)
        r.rc = fail(&r.fail, r.rc, "%s",
                    c->error[0] != 0 ? c->error : curl_easy_strerror(code));
    if (r.rc == 0) {
        r.status = (unsigned)status;
        r.body = buf_span(&c->body);
        c->h->stats.answered++;
    } else {
        c->h->stats.failed++;
    }
    deliver(c, &r);
}

static void collect(struct fetch *h)
{
    int left;
    CURLMsg *m;
    while ((m = curl_multi_info_read(h->multi, &left)) != NULL) {
        struct fetch_call *c = NULL;
        CURLcode code = m->data.result;
        if (m->msg != CURLMSG_DONE)
            continue;
        CURL *easy = m->easy_handle; /* m dies with remove_handle */
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&c);
        must(c != NULL && !c->delivered);
        curl_multi_remove_handle(h->multi, easy);
        finish(c, code);
        if (h->multi == NULL)
            return; /* the last one of a closing client */
    }
}

/* --- curl <-> libuv --- */

static void on_handle_closed(uv_handle_t *handle);

static void on_timer(uv_timer_t *t)
{
    struct fetch *h = t->data;
    int running;
    curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(h);
}

/* 0 must stay 0: rounding it up costs a millisecond per step. */
static int on_want_timer(CURLM *multi, long timeout_ms, void *ctx)
{
    (void)multi;
    struct fetch *h = ctx;
    if (timeout_ms < 0)
        uv_timer_stop(&h->timer);
    else
        uv_timer_start(&h->timer, on_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct watch *w = container_of(poll, struct watch, poll);
    struct fetch *h = w->h;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    if ((events & UV_READABLE) != 0)
        flags |= CURL_CSELECT_IN;
    if ((events & UV_WRITABLE) != 0)
        flags |= CURL_CSELECT_OUT;
    int running;
    curl_multi_socket_action(h->multi, w->fd, flags, &running);
    collect(h);
}

static void on_watch_closed(uv_handle_t *handle)
{
    struct watch *w =
        container_of((uv_poll_t *)(void *)handle, struct watch, poll);
    struct fetch *h = w->h;
    mem_release(mem_system(), w);
    on_handle_closed((uv_handle_t *)&h->timer);
}

static struct watch *watch_new(struct fetch *h, curl_socket_t fd)
{
    struct watch *w = mem_alloc(mem_system(), sizeof *w);
    if (w == NULL)
        return NULL;
    w->h = h;
    w->fd = fd;
    if (uv_poll_init_socket(h->loop, &w->poll, fd) != 0) {
        mem_release(mem_system(), w);
        return NULL;
    }
    h->handles++;
    curl_multi_assign(h->multi, fd, w);
    return w;
}

static int on_want_socket(CURL *easy, curl_socket_t fd, int what, void *ctx,
                          void *socket_ctx)
{
    (void)easy;
    struct fetch *h = ctx;
    struct watch *w = socket_ctx;
    if (what == CURL_POLL_REMOVE) {
        if (w == NULL)
            return 0;
        uv_poll_stop(&w->poll);
        curl_multi_assign(h->multi, fd, NULL);
        uv_close((uv_handle_t *)&w->poll, on_watch_closed);
        return 0;
    }
    if (w == NULL && (w = watch_new(h, fd)) == NULL)
        return -1; /* curl fails the transfer */
    int events = 0;
    if (what != CURL_POLL_OUT)
        events |= UV_READABLE;
    if (what != CURL_POLL_IN)
        events |= UV_WRITABLE;
    return uv_poll_start(&w->poll, events, on_socket) == 0 ? 0 : -1;
}

/* --- bytes of an answer --- */

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    struct fetch_call *c = ctx;
    buf_put(&c->body, span_of(p, size * n));
    if (buf_ok(&c->body))
        return size * n;
    c->rc = fail(&c->fail, RC_TOO_LARGE, "the answer has more than %zu bytes",
                 c->body.max_bytes);
    return 0;
}

static bool header_named(struct span line, const char *name,
                         struct span *ret_value)
{
    size_t colon = span_find(line, ':', 0);
    if (colon == line.n || !span_ieq(span_sub(line, 0, colon), span_str(name)))
        return false;
    *ret_value = span_trim(span_sub(line, colon + 1, line.n));
    return true;
}

static bool encoded(struct span line)
{
    struct span v;
    if (header_named(line, "content-encoding", &v))
        return v.n > 0 && !span_ieq(v, SPAN("identity"));
    if (header_named(line, "transfer-encoding", &v))
        return !span_ieq(v, SPAN("chunked"));
    return false;
}

/* One complete line per call; a new status line starts over (100, 103). */
static size_t on_header(char *p, size_t size, size_t n, void *ctx)
{
    struct fetch_call *c = ctx;
    struct span line = span_of(p, size * n);
    size_t all = line.n;
    while (line.n > 0 &&
           (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r'))
        line.n--;
    if (span_starts(line, SPAN("HTTP/"))) {
        buf_clear(&c->answer_headers);
        c->head_ended = false;
        return all;
    }
    if (c->head_ended)
        return all; /* trailers say nothing here */
    c->head_ended = line.n == 0;
    if (encoded(line)) {
        c->rc = fail(&c->fail, RC_PROTOCOL,
                     "the answer is encoded although nothing was accepted");
        return 0;
    }
    buf_put(&c->answer_headers, line);
    buf_put_u8(&c->answer_headers, '\n');
    if (line.n <= HEADER_LINE_MAX && buf_ok(&c->answer_headers))
        return all;
    c->rc = fail(&c->fail, RC_TOO_LARGE, "the answer's header is too large");
    return 0;
}

struct span fetch_answer_header(const struct fetch_call *c, const char *name)
{
    struct span all = buf_span(&c->answer_headers), value;
    for (size_t at = 0; at < all.n;) {
        size_t end = span_find(all, '\n', at);
        if (header_named(span_sub(all, at, end), name, &value))
            return value;
        at = end + 1;
    }
    return (struct span){NULL, 0};
}

int64_t fetch_retry_after_ms(const struct fetch_call *c, int64_t now_wall_ms)
{
    struct span v = fetch_answer_header(c, "retry-after");
    uint64_t seconds;
    char date[64];
    if (v.p == NULL || v.n == 0 || v.n >= sizeof date)
        return -1;
    if (span_u64(v, &seconds))
        return seconds > INT32_MAX ? (int64_t)INT32_MAX * 1000
                                   : (int64_t)seconds * 1000;
    memcpy(date, v.p, v.n);
    date[v.n] = 0;
    time_t at = curl_getdate(date, NULL);
    if (at < 0)
        return -1;
    int64_t wait = (int64_t)at * 1000 - now_wall_ms;
    return wait < 0 ? 0 : wait;
}

/* --- requests --- */

static bool is_token(struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char b = s.p[i];
        bool alnum = (b >= '0' && b <= '9') || (b >= 'A' && b <= 'Z') ||
                     (b >= 'a' && b <= 'z');
        if (!alnum && memchr("!#$%&'*+-.^_`|~", b, 15) == NULL)
            return false;
    }
    return s.n > 0;
}

static bool is_field_value(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((s.p[i] < 0x20 && s.p[i] != '\t') || s.p[i] == 0x7f)
            return false;
    return true;
}

static int check_url(const struct fetch_req *req, struct fail *f)
{
    struct span url = req->url;
    bool https = span_starts(url, SPAN("https://"));
    if (!https && !(req->allow_http && span_starts(url, SPAN("http://"))))
        return fail(f, RC_INVALID, "only https is spoken, not %.*s",
                    PRSPAN(span_sub(url, 0, span_find(url, '/', 0))));
    if (url.n > FETCH_URL_MAX)
        return fail(f, RC_INVALID, "a URL of more than %d bytes",
                    FETCH_URL_MAX);
    size_t host = https ? 8 : 7;
    size_t slash = span_find(url, '/', host);
    if (span_find(url, '@', host) < slash)
        return fail(f, RC_INVALID, "user information in a URL"); /* 7644-R23 */
    for (size_t i = 0; i < url.n; i++)
        if (url.p[i] <= 0x20 || url.p[i] >= 0x7f || url.p[i] == '\\')
            return fail(f, RC_INVALID, "byte %02x in a URL", url.p[i]);
    return 0;
}

static int check_request(const struct fetch_req *req, struct fail *f)
{
    TRY(check_url(req, f));
    if (!is_token(req->method))
        return fail(f, RC_INVALID, "the method is no HTTP token");
    if (req->header_count > FETCH_HEADERS_MAX)
        return fail(f, RC_INVALID, "more than %d headers", FETCH_HEADERS_MAX);
    for (unsigned i = 0; i < req->header_count; i++)
        if (!is_token(req->headers[i].name) ||
            !is_field_value(req->headers[i].value))
            return fail(f, RC_INVALID, "header %u has bytes that do not belong",
                        i);
    if (req->body_bytes_max > FETCH_BODY_MAX)
        return fail(f, RC_INVALID, "answers end at %d bytes", FETCH_BODY_MAX);
    return 0;
}

static bool add_header(struct fetch_call *c, struct span name,
                       struct span value)
{
    struct buf line;
    buf_init(&line, mem_system(), HEADER_LINE_MAX);
    buf_put(&line, name);
    /* curl's way to send a header without a value */
    buf_put_str(&line, value.n == 0 ? ";" : ": ");
    buf_put(&line, value);
    struct curl_slist *longer =
        buf_ok(&line) ? curl_slist_append(c->headers, (char *)line.p) : NULL;
    buf_fini(&line);
    if (longer == NULL)
        return false;
    c->headers = longer;
    return true;
}

static bool has_header(const struct fetch_req *req, const char *name)
{
    for (unsigned i = 0; i < req->header_count; i++)
        if (span_ieq(req->headers[i].name, span_str(name)))
            return true;
    return false;
}

/* "Expect:" without a value keeps curl from adding its own. */
static bool drop_header(struct fetch_call *c, const char *line)
{
    struct curl_slist *longer = curl_slist_append(c->headers, line);
    if (longer != NULL)
        c->headers = longer;
    return longer != NULL;
}

static int set_headers(struct fetch_call *c, const struct fetch_req *req,
                       struct fail *f)
{
    bool ok = drop_header(c, "Expect:");
    for (unsigned i = 0; i < req->header_count; i++)
        ok = ok && add_header(c, req->headers[i].name, req->headers[i].value);
    if (!has_header(req, "content-type"))
        ok = ok && drop_header(c, "Content-Type:");
    ok = ok && curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->headers) == 0;
    return ok ? 0 : fail(f, RC_NO_MEMORY, "no memory for request headers");
}

/* curl copies the string. */
static bool set_text(CURL *easy, CURLoption option, struct span s)
{
    unsigned char *z = mem_copy(mem_system(), s);
    bool ok =
        z != NULL && curl_easy_setopt(easy, option, (char *)z) == CURLE_OK;
    mem_release(mem_system(), z);
    return ok;
}

static int set_tls(CURL *e, const struct fetch_req *req, struct fail *f)
{
    bool ok = curl_easy_setopt(e, CURLOPT_SSLVERSION,
                               (long)CURL_SSLVERSION_TLSv1_2) == 0;
    ok = ok && curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L) == 0;
    ok = ok && curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L) == 0;
    /* TLS 1.2 with forward secrecy and AEAD only (reliability T24) */
    ok = ok && curl_easy_setopt(e, CURLOPT_SSL_CIPHER_LIST,
                                "ECDHE+AESGCM:ECDHE+CHACHA20") == 0;
    if (req->ca_file.n > 0) {
        /* the configured file alone, not also the system's directory */
        ok = ok && set_text(e, CURLOPT_CAINFO, req->ca_file);
        ok = ok && curl_easy_setopt(e, CURLOPT_CAPATH, NULL) == 0;
    }
    if (req->cert_file.n > 0) {
        ok = ok && set_text(e, CURLOPT_SSLCERT, req->cert_file);
        ok = ok &&
             set_text(e, CURLOPT_SSLKEY,
                      req->key_file.n > 0 ? req->key_file : req->cert_file);
    }
    return ok ? 0 : fail(f, RC_CONFIG, "libcurl refuses the TLS settings");
}

/* What must not be inherited from the environment or from curl's defaults. */
static int set_rules(CURL *e, const struct fetch_req *req, struct fail *f)
{
    const char *schemes = req->allow_http ? "http,https" : "https";
    bool ok = curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, schemes) == 0;
    ok = ok && curl_easy_setopt(e, CURLOPT_REDIR_PROTOCOLS_STR, "https") == 0;
    ok = ok && curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L) == 0;
    ok = ok && curl_easy_setopt(e, CURLOPT_PROXY, "") == 0;
    ok =
        ok && curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) == 0;
    ok = ok && curl_easy_setopt(e, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L) == 0;
    ok = ok && curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L) == 0;
    ok = ok && curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) == 0;
    ok = ok && curl_easy_setopt(e, CURLOPT_HTTP09_ALLOWED, 0L) == 0;
    ok = ok && curl_easy_setopt(e, CURLOPT_HTTP_VERSION,
                                (long)CURL_HTTP_VERSION_2TLS) == 0;
    /* wait for a new connection to say whether it multiplexes: TLS says so in
     * its handshake, plain HTTP only with the first answer */
    long wait = span_starts(req->url, SPAN("https:")) ? 1L : 0L;
    ok = ok && curl_easy_setopt(e, CURLOPT_PIPEWAIT, wait) == 0;
    ok = ok && curl_easy_setopt(e, CURLOPT_USERAGENT, "bailiff") == 0;
    /* a resolver thread that hangs is left alone instead of joined: joining
     * would stop the loop */
    ok = ok && curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L) == 0;
    return ok ? 0 : fail(f, RC_CONFIG, "this libcurl lacks an option");
}

static int set_method(struct fetch_call *c, const struct fetch_req *req,
                      struct fail *f)
{
    CURL *e = c->easy;
    bool ok = true;
    bool get = span_eq(req->method, SPAN("GET"));
    if (req->body.n > 0 || span_eq(req->method, SPAN("POST"))) {
        buf_put(&c->request_body, req->body);
        ok = buf_ok(&c->request_body);
        ok = ok && curl_easy_setopt(e, CURLOPT_POST, 1L) == 0;
        ok = ok && curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE,
                                    (curl_off_t)req->body.n) == 0;
        ok = ok && curl_easy_setopt(e, CURLOPT_POSTFIELDS,
                                    (char *)c->request_body.p) == 0;
    } else if (span_eq(req->method, SPAN("HEAD"))) {
        ok = curl_easy_setopt(e, CURLOPT_NOBODY, 1L) == 0;
    } else {
        ok = curl_easy_setopt(e, CURLOPT_HTTPGET, 1L) == 0;
    }
    if (!get || req->body.n > 0)
        ok = ok && set_text(e, CURLOPT_CUSTOMREQUEST, req->method);
    return ok ? 0
              : fail(f, RC_TOO_LARGE, "a request body of %zu bytes",
                     req->body.n);
}

static int set_exchange(struct fetch_call *c, const struct fetch_req *req,
                        struct fail *f)
{
    CURL *e = c->easy;
    long timeout_ms = req->timeout_ms == 0 ? 30000L : (long)req->timeout_ms;
    long connect_ms =
        timeout_ms < FETCH_CONNECT_MS ? timeout_ms : (long)FETCH_CONNECT_MS;
    bool ok = set_text(e, CURLOPT_URL, req->url);
    ok = ok && curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, timeout_ms) == 0;
    ok = ok && curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, connect_ms) == 0;
    ok = ok && curl_easy_setopt(e, CURLOPT_ERRORBUFFER, c->error) == 0;
    ok = ok && curl_easy_setopt(e, CURLOPT_PRIVATE, c) == 0;
    ok = ok && curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body) == 0;
    ok = ok && curl_easy_setopt(e, CURLOPT_WRITEDATA, c) == 0;
    ok = ok && curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header) == 0;
    ok = ok && curl_easy_setopt(e, CURLOPT_HEADERDATA, c) == 0;
    return ok ? 0 : fail(f, RC_NO_MEMORY, "no memory for a request");
}

static int call_prepare(struct fetch_call *c, const struct fetch_req *req,
                        struct fail *f)
{
    c->easy = curl_easy_init();
    if (c->easy == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for a request");
    TRY(set_rules(c->easy, req, f));
    TRY(set_tls(c->easy, req, f));
    TRY(set_exchange(c, req, f));
    TRY(set_method(c, req, f));
    TRY(set_headers(c, req, f));
    if (curl_multi_add_handle(c->h->multi, c->easy) != CURLM_OK)
        return fail(f, RC_NO_MEMORY, "libcurl refuses the request");
    return 0;
}

int fetch_start(struct fetch *h, const struct fetch_req *req,
                fetch_done_fn done, void *ctx, struct fetch_call **ret,
                struct fail *f)
{
    TRY(check_request(req, f));
    if (h->closing)
        return fail(f, RC_STATE, "the client is closing");
    if (h->stats.open >= FETCH_CALLS_MAX)
        return fail(f, RC_LIMIT, "%d requests are in flight", FETCH_CALLS_MAX);
    struct fetch_call *c = mem_alloc(mem_system(), sizeof *c);
    if (c == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for a request");
    c->h = h;
    c->done = done;
    c->ctx = ctx;
    c->started_ms = (int64_t)uv_now(h->loop);
    buf_init(
        &c->body, mem_system(),
        req->body_bytes_max == 0 ? FETCH_BODY_DEFAULT : req->body_bytes_max);
    buf_init(&c->answer_headers, mem_system(), FETCH_ANSWER_HEADER_BYTES_MAX);
    buf_init(&c->request_body, mem_system(), FETCH_REQUEST_BODY_MAX);
    int rc = call_prepare(c, req, f);
    if (rc < 0) {
        call_free(c);
        return rc;
    }
    list_push(&h->calls, &c->link);
    h->stats.started++;
    h->stats.open++;
    if (ret != NULL)
        *ret = c;
    return 0;
}

/* --- cancelling and closing --- */

static void on_reap(uv_timer_t *t)
{
    struct fetch *h = t->data;
    /* only those of now: a done may cancel another */
    struct list now;
    struct list_link *k;
    list_init(&now);
    while ((k = list_shift(&h->cancelled)) != NULL)
        list_push(&now, k);
    while ((k = list_shift(&now)) != NULL) {
        struct fetch_call *c = container_of(k, struct fetch_call, link);
        struct fetch_result r = {.started_ms = c->started_ms};
        r.rc = fail(&r.fail, RC_CANCELLED, "cancelled");
        h->stats.cancelled++;
        deliver(c, &r);
    }
    close_if_idle(h);
}

void fetch_cancel(struct fetch_call *c)
{
    struct fetch *h = c->h;
    must(!c->delivered);
    if (c->easy == NULL)
        return; /* is cancelled already */
    curl_multi_remove_handle(h->multi, c->easy);
    curl_easy_cleanup(c->easy);
    c->easy = NULL;
    list_remove(&c->link);
    list_push(&h->cancelled, &c->link);
    uv_timer_start(&h->reap, on_reap, 0, 0);
}

void fetch_stats_get(const struct fetch *h, struct fetch_stats *ret)
{
    *ret = h->stats;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct fetch *h = handle->data;
    must(h->handles > 0);
    if (--h->handles > 0 || h->multi != NULL)
        return;
    void (*closed)(void *ctx) = h->closed;
    void *ctx = h->closed_ctx;
    mem_release(mem_system(), h);
    curl_global_cleanup();
    if (closed != NULL)
        closed(ctx);
}

/* `handles` counts the two timers and the watched sockets. */
static void close_if_idle(struct fetch *h)
{
    if (!h->closing || h->stats.open > 0 || h->multi == NULL)
        return;
    CURLM *multi = h->multi;
    curl_multi_cleanup(multi); /* asks to stop watching what is left */
    h->multi = NULL;
    uv_close((uv_handle_t *)&h->timer, on_handle_closed);
    uv_close((uv_handle_t *)&h->reap, on_handle_closed);
}

void fetch_close(struct fetch *h, void (*done)(void *ctx), void *ctx)
{
    must(!h->closing);
    h->closing = true;
    h->closed = done;
    h->closed_ctx = ctx;
    LIST_EACH (it, next, &h->calls)
        fetch_cancel(container_of(it, struct fetch_call, link));
    uv_timer_start(&h->reap, on_reap, 0, 0);
}

int fetch_new(uv_loop_t *loop, struct fetch **ret, struct fail *f)
{
    struct fetch *h = mem_alloc(mem_system(), sizeof *h);
    if (h == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for the HTTP client");
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        mem_release(mem_system(), h);
        return fail(f, RC_NO_MEMORY, "libcurl does not start");
    }
    h->multi = curl_multi_init();
    if (h->multi == NULL) {
        curl_global_cleanup();
        mem_release(mem_system(), h);
        return fail(f, RC_NO_MEMORY, "libcurl does not start");
    }
    h->loop = loop;
    list_init(&h->calls);
    list_init(&h->cancelled);
    must(uv_timer_init(loop, &h->timer) == 0);
    must(uv_timer_init(loop, &h->reap) == 0);
    h->timer.data = h->reap.data = h;
    h->handles = 2;
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_want_socket);
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_want_timer);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
    curl_multi_setopt(h->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                      (long)FETCH_HOST_CONNECTIONS_MAX);
    curl_multi_setopt(h->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
                      TOTAL_CONNECTIONS_MAX);
    curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, POOL_CONNECTIONS_MAX);
    *ret = h;
    return 0;
}
