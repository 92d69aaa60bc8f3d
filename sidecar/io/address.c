// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include <uv.h>

static int parse_unix(struct span path, struct address *ret, struct fail *f)
{
    if (path.n == 0 || path.n >= sizeof(ret->un.sun_path) ||
        memchr(path.p, 0, path.n) != NULL)
        return fail(f, RC_CONFIG, "socket path must have 1 to %zu bytes",
                    sizeof(ret->un.sun_path) - 1);
    ret->is_unix = true;
    ret->un.sun_family = AF_UNIX;
    memcpy(ret->un.sun_path, path.p, path.n);
    return 0;
}

static size_t last_colon(struct span s)
{
    size_t i = s.n;
    while (i > 0 && s.p[i - 1] != ':')
        i--;
    return i;
}

int address_parse(struct span s, struct address *ret, struct fail *f)
{
    uint64_t port;
    *ret = (struct address){.is_unix = false};
    if (span_starts(s, SPAN("unix:")))
        return parse_unix(span_sub(s, 5, s.n), ret, f);
    size_t colon = last_colon(s);
    if (colon == 0 || !span_u64(span_sub(s, colon, s.n), &port) || port > 65535)
        return fail(f, RC_CONFIG,
                    "address '%.*s': expected host:port or "
                    "unix:/path",
                    PRSPAN(s));
    struct span host = span_sub(s, 0, colon - 1);
    if (host.n > 1 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = span_sub(host, 1, host.n - 1);
    else if (span_find(host, ':', 0) < host.n)
        return fail(f, RC_CONFIG,
                    "address '%.*s': put the IPv6 address in "
                    "brackets",
                    PRSPAN(s));
    if (host.n == 0 || host.n >= sizeof(ret->host) ||
        memchr(host.p, 0, host.n) != NULL)
        return fail(f, RC_CONFIG, "address '%.*s': no host", PRSPAN(s));
    memcpy(ret->host, host.p, host.n);
    ret->port = (uint16_t)port;
    return 0;
}

int address_numeric(const struct address *a, struct sockaddr_storage *ret,
                    struct fail *f)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    *ret = (struct sockaddr_storage){0};
    if (uv_ip4_addr(a->host, a->port, &v4) == 0)
        memcpy(ret, &v4, sizeof(v4));
    else if (uv_ip6_addr(a->host, a->port, &v6) == 0)
        memcpy(ret, &v6, sizeof(v6));
    else
        return fail(f, RC_CONFIG, "'%s' is not an IP address", a->host);
    return 0;
}

void address_text(const struct sockaddr_storage *a,
                  char ret[ADDRESS_TEXT_BYTES])
{
    char host[INET6_ADDRSTRLEN] = "?";
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (a->ss_family == AF_INET) {
        memcpy(&v4, a, sizeof(v4));
        ignore_rc(uv_ip4_name(&v4, host, sizeof(host))); /* "?" stays */
        ignore_rc(snprintf(ret, ADDRESS_TEXT_BYTES, "%s:%u", host,
                           ntohs(v4.sin_port)));
        return;
    }
    memcpy(&v6, a, sizeof(v6));
    ignore_rc(uv_ip6_name(&v6, host, sizeof(host)));
    ignore_rc(snprintf(ret, ADDRESS_TEXT_BYTES, "[%s]:%u", host,
                       ntohs(v6.sin6_port)));
}
