// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/http_req.h"

#include <string.h>
#include <time.h>

/* Two lengths stand in front of each field. */
#define FIELD_HEAD_BYTES (2 * sizeof(uint32_t))
/* Most heads fit: one allocation. */
#define FIRST_BYTES 500

struct peer_box *peer_box_new(void)
{
    struct peer_box *b = mem_alloc(mem_system(), sizeof(*b));
    if (b == NULL)
        return NULL;
    b->users = 1;
    buf_init(&b->spiffe, mem_system(), 4096);
    return b;
}

struct peer_box *peer_box_hold(struct peer_box *b)
{
    b->users++;
    return b;
}

void peer_box_drop(struct peer_box *b)
{
    if (b == NULL || --b->users > 0)
        return;
    buf_fini(&b->spiffe);
    mem_release(mem_system(), b);
}

struct http_req *http_req_new(struct mem *m, struct peer_box *peer,
                              size_t header_bytes, size_t body_bytes)
{
    struct http_req *r = mem_alloc(m, sizeof(*r));
    if (r == NULL)
        return NULL;
    r->peer = peer_box_hold(peer);
    buf_init(&r->fields, m, header_bytes);
    buf_init(&r->body, m, body_bytes);
    return r;
}

void http_req_free(struct http_req *r)
{
    if (r == NULL)
        return;
    struct mem *m = r->fields.mem;
    peer_box_drop(r->peer);
    buf_fini(&r->fields);
    buf_fini(&r->body);
    mem_release(m, r);
}

int http_req_field(struct http_req *r, struct span name, struct span value)
{
    /* FIELD_HEAD_BYTES < HTTP_FIELD_BYTES: within the limit it always fits. */
    r->counted_bytes += name.n + value.n + HTTP_FIELD_BYTES;
    if (r->counted_bytes > r->fields.max_bytes)
        return RC_TOO_LARGE;
    uint32_t head[2] = {(uint32_t)name.n, (uint32_t)value.n};
    size_t n = sizeof(head) + name.n + value.n;
    bool first = r->fields.n == 0 && n < FIRST_BYTES &&
                 r->fields.max_bytes >= FIRST_BYTES;
    unsigned char *p = buf_reserve(&r->fields, first ? FIRST_BYTES : n);
    if (p == NULL)
        return RC_NO_MEMORY;
    memcpy(p, head, sizeof(head));
    memcpy(p + sizeof(head), name.p, name.n);
    if (value.n > 0)
        memcpy(p + sizeof(head) + name.n, value.p, value.n);
    r->fields.n += n;
    return 0;
}

bool http_req_next(const struct http_req *r, size_t *at, struct span *ret_name,
                   struct span *ret_value)
{
    uint32_t head[2];
    if (r->fields.n - *at < FIELD_HEAD_BYTES)
        return false;
    memcpy(head, r->fields.p + *at, sizeof(head));
    *ret_name = span_of(r->fields.p + *at + sizeof(head), head[0]);
    *ret_value = span_of(ret_name->p + head[0], head[1]);
    *at += sizeof(head) + head[0] + head[1];
    return true;
}

unsigned http_req_count(const struct http_req *r, struct span name)
{
    struct span n, v;
    unsigned count = 0;
    for (size_t at = 0; http_req_next(r, &at, &n, &v);)
        count += span_eq(n, name);
    return count;
}

struct span http_header(const struct http_req *r, struct span name)
{
    struct span n, v;
    for (size_t at = 0; http_req_next(r, &at, &n, &v);)
        if (n.n == name.n && memcmp(n.p, name.p, n.n) == 0)
            return v;
    return (struct span){NULL, 0};
}

struct span http_method(const struct http_req *r)
{
    return http_header(r, SPAN(":method"));
}

struct span http_path(const struct http_req *r)
{
    struct span s = http_header(r, SPAN(":path"));
    return span_sub(s, 0, span_find(s, '?', 0));
}

struct span http_query(const struct http_req *r)
{
    struct span s = http_header(r, SPAN(":path"));
    return span_sub(s, span_find(s, '?', 0) + 1, s.n);
}

struct span http_body(const struct http_req *r)
{
    return buf_span(&r->body);
}

const struct peer *http_peer(const struct http_req *r)
{
    return &r->peer->peer;
}

void http_reply(struct http_req *r, unsigned status,
                const struct http_header *headers, size_t header_count,
                struct span body)
{
    struct http_answer a = {status, headers, header_count, body};
    if (r->answer != NULL)
        r->answer(r, &a);
    http_req_free(r);
}

bool http_value_clean(struct span value)
{
    for (size_t i = 0; i < value.n; i++)
        if ((value.p[i] < 0x20 && value.p[i] != '\t') || value.p[i] == 0x7f)
            return false;
    return true;
}

const char *http_reason(unsigned status)
{
    static const struct {
        unsigned status;
        const char *text;
    } known[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i].status == status)
            return known[i].text;
    return "";
}

bool http_has_body(unsigned status)
{
    return status >= 200 && status != 204 && status != 304;
}

/* RFC 9110 5.6.7, without the C library's locale. */
struct span http_date(char ret[HTTP_DATE_BYTES])
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t now = time(NULL);
    struct tm t;
    if (gmtime_r(&now, &t) == NULL)
        t = (struct tm){.tm_mday = 1, .tm_year = 70, .tm_wday = 4};
    int n = snprintf(ret, HTTP_DATE_BYTES,
                     "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
                     days + 3 * t.tm_wday, t.tm_mday, months + 3 * t.tm_mon,
                     (t.tm_year + 1900) % 10000, t.tm_hour, t.tm_min, t.tm_sec);
    return span_of(ret, n < HTTP_DATE_BYTES ? (size_t)n : HTTP_DATE_BYTES - 1);
}
