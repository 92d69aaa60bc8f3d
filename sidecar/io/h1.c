// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/h1.h"

#include <string.h>

#include <llhttp.h>

/* h1 (the parser's `data`) -- states, in the order of a request:
 *
 *   IDLE -> HEAD -> BODY -> BUSY -> IDLE ...
 *      any -> OVER (an error was answered or the last answer was sent)
 */
enum h1_state { H1_IDLE, H1_HEAD, H1_BODY, H1_BUSY, H1_OVER };

struct h1 {
    llhttp_t parser;
    struct h1_env env;
    enum h1_state state;
    struct http_req *req;   /* being received, or with the owner (BUSY) */
    struct buf pending;     /* received while BUSY */
    struct buf name, value; /* the header being received */
    bool in_value;
    bool keep_alive, draining;
    unsigned char last; /* head: the byte before; 0 at its start */
    bool blank_cr;      /* head: that byte is the CR of an empty line */
    unsigned error_status;
    uint64_t since_ms; /* of the request, or of being idle */
};

static const llhttp_settings_t *settings(void);

int h1_new(const struct h1_env *env, struct h1 **ret)
{
    struct h1 *h = mem_alloc(mem_system(), sizeof(*h));
    if (h == NULL)
        return RC_NO_MEMORY;
    h->env = *env;
    h->since_ms = env->now_ms(env->ctx);
    llhttp_init(&h->parser, HTTP_REQUEST, settings());
    h->parser.data = h;
    buf_init(&h->pending, mem_system(), H1_PENDING_BYTES_MAX);
    buf_init(&h->name, mem_system(), env->limits->header_bytes);
    buf_init(&h->value, mem_system(), env->limits->header_bytes);
    *ret = h;
    return 0;
}

void h1_free(struct h1 *h)
{
    if (h == NULL)
        return;
    if (h->state == H1_BUSY)
        h->req->answer = NULL; /* the owner still has it */
    else
        http_req_free(h->req);
    buf_fini(&h->pending);
    buf_fini(&h->name);
    buf_fini(&h->value);
    mem_release(mem_system(), h);
}

/* --- output ------------------------------------------------------------- */

static void write_answer(struct h1 *h, const struct http_answer *a, bool head)
{
    struct buf b;
    char date[HTTP_DATE_BYTES];
    buf_init(&b, mem_system(), SIZE_MAX / 2);
    buf_printf(&b, "HTTP/1.1 %u %s\r\ndate: ", a->status,
               http_reason(a->status));
    buf_put(&b, http_date(date));
    buf_put_str(&b, "\r\n");
    for (size_t i = 0; i < a->header_count; i++) {
        if (!http_value_clean(a->headers[i].value))
            continue;
        buf_put_str(&b, a->headers[i].name);
        buf_put_str(&b, ": ");
        buf_put(&b, a->headers[i].value);
        buf_put_str(&b, "\r\n");
    }
    if (http_has_body(a->status))
        buf_printf(&b, "content-length: %zu\r\n", a->body.n);
    if (!h->keep_alive)
        buf_put_str(&b, "connection: close\r\n");
    buf_put_str(&b, "\r\n");
    if (http_has_body(a->status) && !head)
        buf_put(&b, a->body);
    if (buf_ok(&b))
        h->env.put(h->env.ctx, buf_span(&b));
    else
        h->keep_alive = false; /* out of memory: all we can do is close */
    buf_fini(&b);
}

static void on_answer(struct http_req *r, const struct http_answer *a)
{
    struct h1 *h = r->owner;
    if (h->draining)
        h->keep_alive = false;
    write_answer(h, a, span_eq(http_method(r), SPAN("HEAD")));
    h->req = NULL;
    h->since_ms = h->env.now_ms(h->env.ctx);
    if (h->keep_alive) {
        h->state = H1_IDLE;
        h->env.resume(h->env.ctx);
        return;
    }
    h->state = H1_OVER;
    h->env.end(h->env.ctx);
}

/* Answers what could not be taken, once, and ends the connection. */
static void refuse(struct h1 *h, unsigned status)
{
    struct http_answer a = {.status = status};
    h->keep_alive = false;
    write_answer(h, &a, false);
    http_req_free(h->req);
    h->req = NULL;
    h->state = H1_OVER;
    h->env.bad(h->env.ctx);
    h->env.end(h->env.ctx);
}

/* --- parser callbacks; HPE_USER stops, with error_status set
 * ------------------- */

static int stop(struct h1 *h, unsigned status)
{
    h->error_status = status;
    return HPE_USER;
}

static int on_message_begin(llhttp_t *p)
{
    struct h1 *h = p->data;
    h->req =
        http_req_new(mem_system(), h->env.peer, h->env.limits->header_bytes,
                     h->env.limits->body_bytes);
    if (h->req == NULL)
        return stop(h, 503);
    h->state = H1_HEAD;
    h->in_value = false;
    h->since_ms = h->env.now_ms(h->env.ctx);
    buf_clear(&h->name);
    buf_clear(&h->value);
    return 0;
}

static int on_url(llhttp_t *p, const char *at, size_t n)
{
    struct h1 *h = p->data;
    buf_put(&h->value, span_of(at, n));
    return buf_ok(&h->value) ? 0 : stop(h, 414);
}

static int add_field(struct h1 *h, struct span name, struct span value)
{
    int rc = http_req_field(h->req, name, value);
    if (rc < 0)
        return stop(h, rc == RC_TOO_LARGE ? 431 : 503);
    return 0;
}

static struct span without_authority(struct span url)
{
    if (!span_starts(url, SPAN("http://")) &&
        !span_starts(url, SPAN("https://")))
        return url;
    size_t slash = span_find(url, '/', 8);
    return slash == url.n ? SPAN("/") : span_sub(url, slash, url.n);
}

static int on_url_complete(llhttp_t *p)
{
    struct h1 *h = p->data;
    struct span method =
        span_str(llhttp_method_name((llhttp_method_t)p->method));
    struct span url = without_authority(buf_span(&h->value));
    if (p->method == HTTP_CONNECT)
        return stop(h, 501);
    if (url.n == 0 || url.p[0] != '/')
        return stop(h, 400);
    if (add_field(h, SPAN(":method"), method) != 0 ||
        add_field(h, SPAN(":path"), url) != 0)
        return HPE_USER;
    buf_clear(&h->value);
    return 0;
}

static int flush_field(struct h1 *h)
{
    if (!h->in_value)
        return 0;
    h->in_value = false;
    for (size_t i = 0; i < h->name.n; i++)
        if (h->name.p[i] >= 'A' && h->name.p[i] <= 'Z')
            h->name.p[i] |= 0x20;
    int rc = add_field(h, buf_span(&h->name), span_trim(buf_span(&h->value)));
    buf_clear(&h->name);
    buf_clear(&h->value);
    return rc;
}

static int on_header_field(llhttp_t *p, const char *at, size_t n)
{
    struct h1 *h = p->data;
    if (h->state == H1_BODY)
        return 0; /* a trailer: ignored */
    if (flush_field(h) != 0)
        return HPE_USER;
    buf_put(&h->name, span_of(at, n));
    return buf_ok(&h->name) ? 0 : stop(h, 431);
}

static int on_header_value(llhttp_t *p, const char *at, size_t n)
{
    struct h1 *h = p->data;
    if (h->state == H1_BODY)
        return 0;
    h->in_value = true;
    buf_put(&h->value, span_of(at, n));
    return buf_ok(&h->value) ? 0 : stop(h, 431);
}

static int on_header_value_complete(llhttp_t *p)
{
    struct h1 *h = p->data;
    if (h->state == H1_BODY)
        return 0;
    h->in_value = true; /* also when it is empty */
    return flush_field(h);
}

/* What llhttp leaves open and RFC 9112 does not (3.2, 6.1, 6.3): exactly one
 * Host, "chunked" alone, never a length beside it. */
static unsigned head_error(const struct h1 *h)
{
    const llhttp_t *p = &h->parser;
    const struct http_req *r = h->req;
    struct span te = http_header(r, SPAN("transfer-encoding"));
    bool v11 = p->http_minor == 1;
    if (p->http_major != 1 || p->http_minor > 1)
        return 505;
    if (http_req_count(r, SPAN("host")) != 1 &&
        (v11 || http_req_count(r, SPAN("host")) > 1))
        return 400;
    if (http_req_count(r, SPAN("content-length")) > 1)
        return 400;
    if (te.p != NULL && (!v11 || (p->flags & F_CONTENT_LENGTH) != 0 ||
                         http_req_count(r, SPAN("content-length")) > 0))
        return 400;
    if (te.p != NULL && (http_req_count(r, SPAN("transfer-encoding")) != 1 ||
                         !span_ieq(te, SPAN("chunked"))))
        return 501;
    if ((p->flags & F_CONTENT_LENGTH) != 0 &&
        p->content_length > h->env.limits->body_bytes)
        return 413;
    return 0;
}

static int on_headers_complete(llhttp_t *p)
{
    struct h1 *h = p->data;
    unsigned status = head_error(h);
    if (status != 0)
        return stop(h, status);
    p->upgrade = 0; /* offers to change the protocol are ignored */
    h->state = H1_BODY;
    struct span expect = http_header(h->req, SPAN("expect"));
    if (expect.p == NULL || p->http_minor == 0)
        return 0;
    if (!span_ieq(expect, SPAN("100-continue")))
        return stop(h, 417);
    h->env.put(h->env.ctx, SPAN("HTTP/1.1 100 Continue\r\n\r\n"));
    return 0;
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    struct h1 *h = p->data;
    buf_put(&h->req->body, span_of(at, n));
    return buf_ok(&h->req->body) ? 0 : stop(h, 413);
}

/* Pauses, so that the bytes behind the request stay with us. */
static int on_message_complete(llhttp_t *p)
{
    struct h1 *h = p->data;
    h->keep_alive = llhttp_should_keep_alive(p) != 0;
    h->state = H1_BUSY;
    return HPE_PAUSED;
}

static const llhttp_settings_t *settings(void)
{
    static const llhttp_settings_t s = {
        .on_message_begin = on_message_begin,
        .on_url = on_url,
        .on_url_complete = on_url_complete,
        .on_header_field = on_header_field,
        .on_header_value = on_header_value,
        .on_header_value_complete = on_header_value_complete,
        .on_headers_complete = on_headers_complete,
        .on_body = on_body,
        .on_message_complete = on_message_complete,
    };
    return &s;
}

/* --- input --------------------------------------------------------------- */

/*
 * Line ends in the head, which parsers like to forgive: a CR without LF, a LF
 * without CR and a line that starts with white space (obs-fold) are refused.
 *
 */
static bool bad_line(unsigned char last, unsigned char c)
{
    if ((c == '\n') != (last == '\r'))
        return true;
    return last == '\n' && (c == ' ' || c == '\t');
}

/* How many of the bytes belong to the head, up to and including the empty
 * line; *ret_bad when a line is malformed. */
static size_t scan_head(struct h1 *h, struct span in, bool *ret_bad,
                        bool *ret_end)
{
    *ret_bad = *ret_end = false;
    for (size_t i = 0; i < in.n; i++) {
        unsigned char c = in.p[i];
        bool blank = h->last == '\n' && c == '\r';
        if (h->last != 0 && bad_line(h->last, c)) {
            *ret_bad = true;
            return i;
        }
        if (h->blank_cr) {
            *ret_end = true;
            h->blank_cr = false;
            h->last = 0;
            return i + 1;
        }
        h->blank_cr = blank;
        h->last = c;
    }
    return in.n;
}

static unsigned status_of(struct h1 *h, llhttp_errno_t e)
{
    if (h->error_status != 0)
        return h->error_status;
    if (e == HPE_INVALID_VERSION)
        return 505;
    /* Beside a length llhttp 9 itself refuses it, with this error. */
    if (e == HPE_INVALID_TRANSFER_ENCODING)
        return (h->parser.flags & F_CONTENT_LENGTH) != 0 ? 400 : 501;
    return 400;
}

/* Runs the parser over `in`. Returns the bytes taken; the state says what
 * came of it. */
static size_t parse(struct h1 *h, struct span in)
{
    llhttp_errno_t e = llhttp_execute(&h->parser, (const char *)in.p, in.n);
    if (e == HPE_OK)
        return in.n;
    if (e == HPE_PAUSED && h->state == H1_BUSY) {
        const char *stop_at = llhttp_get_error_pos(&h->parser);
        llhttp_resume(&h->parser);
        return (size_t)(stop_at - (const char *)in.p);
    }
    refuse(h, status_of(h, e));
    return in.n;
}

/* RFC 9112 2.2: an empty line before the request line is skipped. */
static size_t skip_blank(const struct h1 *h, struct span in)
{
    size_t i = 0;
    while (h->state == H1_IDLE && h->last == 0 && i < in.n &&
           (in.p[i] == '\r' || in.p[i] == '\n'))
        i++;
    return i;
}

/* One step: the head, up to its end, or body bytes. */
static size_t step(struct h1 *h, struct span in)
{
    size_t n = skip_blank(h, in);
    if (n > 0)
        return n;
    if (h->state == H1_BODY)
        return parse(h, in);
    bool bad, end;
    n = scan_head(h, in, &bad, &end);
    if (bad) {
        refuse(h, 400);
        return in.n;
    }
    return parse(h, span_sub(in, 0, n));
}

static void hold_back(struct h1 *h, struct span in)
{
    buf_put(&h->pending, in);
    if (!buf_ok(&h->pending)) {
        h->keep_alive = false; /* answered, then closed: it asked too much */
        buf_clear(&h->pending);
    }
}

void h1_input(struct h1 *h, struct span in)
{
    if (h->state == H1_BUSY || h->pending.n > 0) {
        hold_back(h, in);
        return;
    }
    while (in.n > 0 && h->state != H1_OVER && h->state != H1_BUSY) {
        size_t n = step(h, in);
        in = span_sub(in, n, in.n);
    }
    if (h->state != H1_BUSY)
        return;
    hold_back(h, in);
    h->last = 0;
    h->req->answer = on_answer;
    h->req->owner = h;
    h->env.request(h->env.ctx, h->req);
}

void h1_go_on(struct h1 *h)
{
    if (h->state != H1_IDLE || h->pending.n == 0)
        return;
    struct buf b = h->pending;
    buf_init(&h->pending, mem_system(), H1_PENDING_BYTES_MAX);
    h1_input(h, buf_span(&b));
    buf_fini(&b);
}

bool h1_busy(const struct h1 *h)
{
    return h->state == H1_BUSY;
}

uint64_t h1_deadline_ms(const struct h1 *h)
{
    switch (h->state) {
        case H1_IDLE:
            return h->since_ms + (h->last != 0 ? h->env.limits->request_ms
                                               : h->env.limits->idle_ms);
        case H1_HEAD:
        case H1_BODY: return h->since_ms + h->env.limits->request_ms;
        case H1_BUSY:
        case H1_OVER: break;
    }
    return UINT64_MAX;
}

bool h1_timeout(struct h1 *h)
{
    if (h->state == H1_HEAD || h->state == H1_BODY) {
        refuse(h, 408);
        return true;
    }
    h->state = H1_OVER;
    h->env.end(h->env.ctx);
    return false;
}

void h1_drain(struct h1 *h)
{
    h->draining = true;
    if (h->state != H1_IDLE)
        return;
    h->state = H1_OVER;
    h->env.end(h->env.ctx);
}
