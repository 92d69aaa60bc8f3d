// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/admin_client.h"

#include <errno.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <curl/curl.h>

#include "adapters/json_doc.h"
#include "sidecar/base/buf.h"

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    struct buf *answer = ctx;
    buf_put(answer, span_of(p, size * n));
    return buf_ok(answer) ? n : 0;
}

/* Why could we not connect, and what can the person do? */
static int unreachable(const char *path, long os_error, struct fail *f)
{
    switch (os_error) {
        case ENOENT:
            return fail(
                f, RC_UNAVAILABLE,
                "no sidecar at %s: there is no such socket. Start `bailiff "
                "run`, or say where it listens with -c FILE or --socket "
                "PATH",
                path);
        case ECONNREFUSED:
            return fail(
                f, RC_UNAVAILABLE,
                "no sidecar at %s: the socket is there but nobody listens. "
                "Is `bailiff run` running?",
                path);
        case EACCES:
        case EPERM:
            return fail(
                f, RC_UNAVAILABLE,
                "user %u may not open %s: run this as an operator of the "
                "sidecar",
                (unsigned)geteuid(), path);
        default:
            return fail(f, RC_UNAVAILABLE, "cannot connect to %s: %s", path,
                        os_error > 0 ? strerrordesc_np((int)os_error)
                                     : "unknown reason");
    }
}

static int exchange_failed(CURL *curl, CURLcode code, const char *path,
                           const struct buf *answer, struct fail *f)
{
    long os_error = 0;
    (void)curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os_error);
    if (code == CURLE_COULDNT_CONNECT)
        return unreachable(path, os_error, f);
    if (code == CURLE_OPERATION_TIMEDOUT)
        return fail(f, RC_TIMEOUT, "the sidecar at %s did not answer in time",
                    path);
    if (!buf_ok(answer))
        return fail(f, RC_TOO_LARGE, "the answer of %s is too large", path);
    return fail(f, RC_PROTOCOL, "%s: %s", path, curl_easy_strerror(code));
}

/* curl copies strings, except for the body, which lives longer. */
static void set_options(CURL *curl, const char *path, const char *url,
                        struct span body, struct buf *answer)
{
    (void)curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, path);
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
    (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_HTTP_VERSION,
                           (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)ADMIN_TIMEOUT_MS);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    if (body.p == NULL)
        return;
    (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)body.n);
    (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.p);
}

static int exchange(CURL *curl, const char *path, struct buf *answer,
                    unsigned *ret_status, struct fail *f)
{
    long status = 0;
    const CURLcode code = curl_easy_perform(curl);
    if (code != CURLE_OK)
        return exchange_failed(curl, code, path, answer, f);
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    *ret_status = (unsigned)status;
    return RC_OK;
}

static int parse(struct mem *m, const char *path, struct admin_answer *ret,
                 struct fail *f)
{
    struct fail why = {0};
    int rc =
        json_doc_parse(m, ret->text, ADMIN_ANSWER_BYTES_MAX, &ret->root, &why);
    if (rc == RC_NO_MEMORY)
        return fail(f, rc, "out of memory");
    if (rc < 0 || ret->root->kind != DOC_MAP)
        return fail(f, RC_PROTOCOL,
                    "%s does not speak the admin protocol (HTTP %u): is it "
                    "another program's socket?",
                    path, ret->status);
    return RC_OK;
}

int admin_call(struct mem *m, const char *socket_path, const char *target,
               struct span body, struct admin_answer *ret, struct fail *f)
{
    char url[4096];
    struct buf answer;
    if (strlen(socket_path) >= sizeof((struct sockaddr_un *)NULL)->sun_path)
        return fail(f, RC_INVALID, "%s: too long for a socket", socket_path);
    const int n = snprintf(url, sizeof url, "http://bailiff%s", target);
    if (n < 0 || (size_t)n >= sizeof url)
        return fail(f, RC_INVALID, "the request is too long");
    CURL *curl = curl_easy_init();
    struct curl_slist *headers =
        curl_slist_append(NULL, "Content-Type: application/json");
    buf_init(&answer, m, ADMIN_ANSWER_BYTES_MAX);
    int rc = fail(f, RC_NO_MEMORY, "out of memory");
    if (curl != NULL && headers != NULL) {
        set_options(curl, socket_path, url, body, &answer);
        (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
        rc = exchange(curl, socket_path, &answer, &ret->status, f);
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    if (rc < 0)
        return rc;
    ret->text = buf_span(&answer); /* lives in m */
    return parse(m, socket_path, ret, f);
}
