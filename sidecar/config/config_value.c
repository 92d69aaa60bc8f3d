// SPDX-License-Identifier: Apache-2.0
/*
 * Scalars of bailiff.yaml: one function per kind of value.
 */
#include "sidecar/config/config_rows.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/un.h>

#include "adapters/jws.h"
#include "sidecar/base/guess.h"
#include "sidecar/base/time_text.h"

#define ACCOUNT_BYTES_MAX 16384

struct value {
    struct loader *l;
    const struct config_row *row;
    const struct doc *d;
};

static bool wrong_kind(const struct value *v, const char *wanted,
                       const char *advice)
{
    config_error(v->l, v->d, advice, "%s must be %s, not %s", v->row->key,
                 wanted, doc_kind_word(v->d->kind));
    return false;
}

static struct span keep(struct loader *l, struct span s)
{
    unsigned char *copy = mem_copy(l->m, s);
    if (copy == NULL) {
        l->no_memory = true;
        return SPAN("");
    }
    return span_of(copy, s.n);
}

static bool has_control(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 0x20 || s.p[i] == 0x7f)
            return true;
    return false;
}

/* Any text within the row's length. */
static bool text_of(const struct value *v, struct span *ret)
{
    if (v->d->kind != DOC_TEXT)
        return wrong_kind(v, "text",
                          v->d->kind == DOC_INT || v->d->kind == DOC_BOOL
                              ? "put quotes around it"
                              : NULL);
    *ret = v->d->text;
    if (ret->n < (size_t)v->row->min) {
        config_error(v->l, v->d, NULL, "%s must not be empty", v->row->key);
        return false;
    }
    if (v->row->max > 0 && ret->n > (size_t)v->row->max) {
        config_error(v->l, v->d, NULL, "%s is longer than %lld bytes",
                     v->row->key, (long long)v->row->max);
        return false;
    }
    if (!has_control(*ret))
        return true;
    config_error(v->l, v->d, NULL, "%s contains a control character",
                 v->row->key);
    return false;
}

static void put_text(const struct value *v, struct span *field)
{
    struct span s;
    if (text_of(v, &s))
        *field = keep(v->l, s);
}

static bool is_name_byte(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

static void put_name(const struct value *v, struct span *field)
{
    struct span s;
    if (!text_of(v, &s))
        return;
    for (size_t i = 0; i < s.n; i++) {
        if (!is_name_byte(s.p[i])) {
            config_error(v->l, v->d, "use lower-case letters, digits and -",
                         "'%.*s' is not a name", PRSPAN(s));
            return;
        }
    }
    *field = keep(v->l, s);
}

static void put_path_of(const struct value *v, struct span s,
                        struct span *field)
{
    if (s.p[0] == '~' || span_find(s, '$', 0) < s.n) {
        config_error(v->l, v->d, "write the path out",
                     "'%.*s': ~ and variables are not expanded", PRSPAN(s));
        return;
    }
    *field = s.p[0] == '/' ? keep(v->l, s)
                           : config_printf(v->l, "%.*s/%.*s", PRSPAN(v->l->dir),
                                           PRSPAN(s));
}

static void put_file(const struct value *v, struct span *field)
{
    struct span s;
    if (text_of(v, &s))
        put_path_of(v, s, field);
}

/* ---- addresses and URLs ---- */

struct span config_url_host(struct span url)
{
    const size_t slashes = span_starts(url, SPAN("http://")) ? 7 : 8;
    struct span s = span_sub(url, slashes, url.n);
    s = span_sub(s, 0, span_find(s, '/', 0));
    s = span_sub(s, 0, span_find(s, '?', 0));
    if (s.n > 0 && s.p[0] == '[')
        return span_sub(s, 1, span_find(s, ']', 0));
    return span_sub(s, 0, span_find(s, ':', 0));
}

bool config_host_is_loopback(struct span host)
{
    if (span_eq(host, SPAN("::1")) || span_ieq(host, SPAN("localhost")))
        return true;
    unsigned dots = 0;
    for (size_t i = 0; i < host.n; i++) {
        dots += host.p[i] == '.';
        if (host.p[i] != '.' && (host.p[i] < '0' || host.p[i] > '9'))
            return false;
    }
    return dots == 3 && span_starts(host, SPAN("127."));
}

static void put_url(const struct value *v, struct span *field)
{
    struct span s;
    if (!text_of(v, &s))
        return;
    const char *wrong = NULL;
    if (!span_starts(s, SPAN("https://")) && !span_starts(s, SPAN("http://")))
        wrong = "does not begin with https://";
    else if (config_url_host(s).n == 0)
        wrong = "has no host";
    else if (span_find(s, '@', 0) < s.n)
        wrong = "must not carry a user or password";
    else if (span_find(s, '#', 0) < s.n || span_find(s, ' ', 0) < s.n)
        wrong = "must not contain '#' or blanks";
    if (wrong != NULL) {
        config_error(v->l, v->d, NULL, "%s %s", v->row->key, wrong);
        return;
    }
    *field = keep(v->l, s);
}

static void put_path(const struct value *v, struct span *field)
{
    struct span s;
    if (!text_of(v, &s))
        return;
    if (s.p[0] != '/' || span_find(s, '?', 0) < s.n ||
        span_find(s, '#', 0) < s.n || span_find(s, ' ', 0) < s.n) {
        config_error(v->l, v->d, "for example /events/hr",
                     "%s must be an absolute path without query", v->row->key);
        return;
    }
    *field = keep(v->l, s);
}

/* The host of "host:port" or "[v6]:port"; empty when it is neither. */
static struct span address_host(struct span s, struct span *ret_port)
{
    const size_t close = span_find(s, ']', 0);
    if (s.n > 0 && s.p[0] == '[') {
        if (close + 1 >= s.n || s.p[close + 1] != ':')
            return SPAN("");
        *ret_port = span_sub(s, close + 2, s.n);
        return span_sub(s, 1, close);
    }
    const size_t colon = span_find(s, ':', 0);
    *ret_port = span_sub(s, colon + 1, s.n);
    return colon < s.n ? span_sub(s, 0, colon) : SPAN("");
}

bool config_address_local(struct span address)
{
    struct span port;
    return span_starts(address, SPAN("unix:")) ||
           config_host_is_loopback(address_host(address, &port));
}

static void put_unix(const struct value *v, struct span path,
                     struct span *field)
{
    if (path.n == 0) {
        config_error(v->l, v->d, NULL, "unix: needs a path");
        return;
    }
    *field = path.p[0] == '/' ? config_printf(v->l, "unix:%.*s", PRSPAN(path))
                              : config_printf(v->l, "unix:%.*s/%.*s",
                                              PRSPAN(v->l->dir), PRSPAN(path));
    const size_t room = sizeof((struct sockaddr_un *)NULL)->sun_path - 1;
    if (field->n - 5 > room)
        config_error(v->l, v->d, NULL, "socket path is longer than %zu bytes",
                     room);
}

static void put_address(const struct value *v, struct span *field)
{
    if (v->d->kind != DOC_TEXT) {
        (void)wrong_kind(v, "an address", "for example \"127.0.0.1:9443\"");
        return;
    }
    const struct span s = v->d->text;
    if (s.n > 4096 || has_control(s)) {
        config_error(v->l, v->d, NULL, "%s is not an address", v->row->key);
        return;
    }
    if (span_starts(s, SPAN("unix:"))) {
        put_unix(v, span_sub(s, 5, s.n), field);
        return;
    }
    struct span port = {NULL, 0};
    const struct span host = address_host(s, &port);
    uint64_t number;
    if (host.n == 0 || !span_u64(port, &number) || number > 65535) {
        config_error(v->l, v->d, "use unix:PATH, HOST:PORT or [IPV6]:PORT",
                     "'%.*s' is not an address", PRSPAN(s));
        return;
    }
    *field = keep(v->l, s);
}

static void put_spiffe(const struct value *v, struct span *field)
{
    struct span s;
    if (!text_of(v, &s))
        return;
    if (!span_starts(s, SPAN("spiffe://")) || s.n < 12) {
        config_error(v->l, v->d, "for example spiffe://corp.example/runtime",
                     "'%.*s' is not a SPIFFE ID", PRSPAN(s));
        return;
    }
    *field = keep(v->l, s);
}

static void put_sha256(const struct value *v, struct span *field)
{
    const struct span s = v->d->kind == DOC_TEXT ? v->d->text : SPAN("");
    bool good = s.n == 64;
    for (size_t i = 0; good && i < s.n; i++)
        good = (s.p[i] >= '0' && s.p[i] <= '9') ||
               (s.p[i] >= 'a' && s.p[i] <= 'f');
    if (good)
        *field = keep(v->l, s);
    else
        config_error(v->l, v->d,
                     "openssl x509 -in cert.pem -noout -fingerprint -sha256, "
                     "without colons, lower case, in quotes",
                     "%s must be 64 lower-case hex digits", v->row->key);
}

/* ---- numbers ---- */

static bool in_range(const struct value *v, int64_t n)
{
    if (n >= v->row->min && n <= v->row->max)
        return true;
    config_error(v->l, v->d, NULL, "%s must be between %lld and %lld",
                 v->row->key, (long long)v->row->min, (long long)v->row->max);
    return false;
}

static void put_u32(const struct value *v, uint32_t *field)
{
    if (v->d->kind != DOC_INT)
        (void)wrong_kind(v, "a whole number", NULL);
    else if (in_range(v, v->d->integer))
        *field = (uint32_t)v->d->integer;
}

/* A duration as people write it: 300000 is "5m". */
static const char *ms_text(int64_t ms, char ret[32])
{
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}};
    (void)snprintf(ret, 32, "%lldms", (long long)ms);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (ms == 0 || ms % units[i].ms != 0)
            continue;
        (void)snprintf(ret, 32, "%lld%s", (long long)(ms / units[i].ms),
                       units[i].unit);
        break;
    }
    return ret;
}

static bool ms_of(const struct value *v, int64_t *ret)
{
    if (v->d->kind != DOC_TEXT || !duration_parse(v->d->text, ret)) {
        config_error(v->l, v->d, "for example 250ms, 30s, 15m, 24h or 30d",
                     "%s needs a number with a unit", v->row->key);
        return false;
    }
    if (*ret >= v->row->min && *ret <= v->row->max)
        return true;
    char min[32], max[32];
    config_error(v->l, v->d, NULL, "%s must be between %s and %s", v->row->key,
                 ms_text(v->row->min, min), ms_text(v->row->max, max));
    return false;
}

static void put_days(const struct value *v, uint32_t *field)
{
    const int64_t day_ms = 86400000;
    int64_t ms;
    if (v->d->kind != DOC_TEXT || !duration_parse(v->d->text, &ms) ||
        ms % day_ms != 0)
        config_error(v->l, v->d, "for example 7d", "%s needs whole days",
                     v->row->key);
    else if (in_range(v, ms / day_ms))
        *field = (uint32_t)(ms / day_ms);
}

static void put_bytes(const struct value *v, uint64_t *field)
{
    static const struct {
        struct span unit;
        int64_t factor;
    } units[] = {{{(const unsigned char *)"KiB", 3}, 1024},
                 {{(const unsigned char *)"MiB", 3}, 1024 * 1024},
                 {{(const unsigned char *)"GiB", 3}, 1024 * 1024 * 1024}};
    const struct span s = v->d->text;
    int64_t n = v->d->kind == DOC_INT ? v->d->integer : -1;
    uint64_t number;
    for (size_t i = 0; v->d->kind == DOC_TEXT && i < 3; i++)
        if (span_ends(s, units[i].unit) &&
            span_u64(span_trim(span_sub(s, 0, s.n - 3)), &number) &&
            number < 1000000000)
            n = (int64_t)number * units[i].factor;
    if (n < 0)
        config_error(v->l, v->d, "for example 64MiB",
                     "%s needs a size in bytes, KiB, MiB or GiB", v->row->key);
    else if (in_range(v, n))
        *field = (uint64_t)n;
}

static void put_mode(const struct value *v, uint32_t *field)
{
    const struct span s = v->d->kind == DOC_TEXT ? v->d->text : SPAN("");
    uint32_t mode = 0;
    bool good = s.n >= 3 && s.n <= 4;
    for (size_t i = 0; good && i < s.n; i++) {
        good = s.p[i] >= '0' && s.p[i] <= '7';
        mode = mode * 8 + (uint32_t)(s.p[i] - '0');
    }
    if (good && mode <= 0777)
        *field = mode;
    else
        config_error(v->l, v->d, "write it as \"0660\"",
                     "%s must be an octal mode in quotes", v->row->key);
}

static void put_account(const struct value *v, int64_t *field)
{
    const bool user = v->row->kind == ROW_UID;
    if (v->d->kind == DOC_INT && v->d->integer >= 0 &&
        v->d->integer < UINT32_MAX) {
        *field = v->d->integer;
        return;
    }
    if (v->d->kind != DOC_TEXT || v->d->text.n == 0 || v->d->text.n > 256) {
        (void)wrong_kind(
            v, user ? "a user name or number" : "a group name or number", NULL);
        return;
    }
    char name[257] = "", scratch[ACCOUNT_BYTES_MAX];
    memcpy(name, v->d->text.p, v->d->text.n);
    struct passwd pw, *pw_found = NULL;
    struct group gr, *gr_found = NULL;
    if (user)
        (void)getpwnam_r(name, &pw, scratch, sizeof scratch, &pw_found);
    else
        (void)getgrnam_r(name, &gr, scratch, sizeof scratch, &gr_found);
    if (pw_found == NULL && gr_found == NULL)
        config_error(v->l, v->d, "a number works on every machine",
                     "there is no %s '%s' here", user ? "user" : "group", name);
    else
        *field = user ? (int64_t)pw.pw_uid : (int64_t)gr.gr_gid;
}

/* ---- words and lists ---- */

static bool put_word(const struct value *v, const char *const *words,
                     unsigned count, unsigned *ret)
{
    const struct span s = v->d->kind == DOC_TEXT ? v->d->text : SPAN("");
    struct span best = {NULL, 0};
    unsigned distance = GUESS_NONE;
    char advice[FAIL_TEXT_MAX] = "one of";
    for (unsigned i = 0; i < count; i++) {
        if (span_eq(s, span_str(words[i]))) {
            *ret = i;
            return true;
        }
        guess_try(s, span_str(words[i]), &best, &distance);
        const size_t used = strlen(advice);
        (void)snprintf(advice + used, sizeof advice - used, "%s %s",
                       i == 0 ? "" : ",", words[i]);
    }
    if (best.n > 0)
        (void)snprintf(advice, sizeof advice, "did you mean '%.*s'?",
                       PRSPAN(best));
    config_error(v->l, v->d, advice, "'%.*s' is not a known %s", PRSPAN(s),
                 v->row->kind == ROW_TYPES ? "kind" : v->row->key);
    return false;
}

static void put_role(const struct value *v, enum caller_role *field)
{
    static const char *const words[] = {"agent", "runtime", "gateway"};
    unsigned at;
    if (put_word(v, words, 3, &at))
        *field = (enum caller_role)at;
}

static void put_level(const struct value *v, enum log_level *field)
{
    static const char *const words[] = {"error", "warn", "info", "debug"};
    unsigned at;
    if (put_word(v, words, 4, &at))
        *field = (enum log_level)at;
}

static void put_format(const struct value *v, enum log_format *field)
{
    static const char *const words[] = {"auto", "text", "terminal", "json"};
    unsigned at;
    if (put_word(v, words, 4, &at))
        *field = (enum log_format)at;
}

/* Visits a list's texts, or one text; the row bounds their number. */
static void each_text(const struct value *v,
                      void (*visit)(const struct value *one, void *ctx),
                      void *ctx)
{
    if (v->d->kind == DOC_LIST) {
        if (v->d->count < (uint32_t)v->row->min ||
            v->d->count > (uint32_t)v->row->max) {
            config_error(v->l, v->d, NULL, "%s needs %lld to %lld entries",
                         v->row->key, (long long)v->row->min,
                         (long long)v->row->max);
            return;
        }
        DOC_EACH (d, v->d) {
            const struct value one = {v->l, v->row, d};
            visit(&one, ctx);
        }
        return;
    }
    visit(v, ctx);
}

struct name_list {
    struct span *at;
    unsigned count;
};

static void add_name(const struct value *v, void *ctx)
{
    struct name_list *list = ctx;
    if (v->d->kind != DOC_TEXT || v->d->text.n == 0 || v->d->text.n > 1024 ||
        has_control(v->d->text)) {
        config_error(v->l, v->d, NULL, "%s takes texts that are not empty",
                     v->row->key);
        return;
    }
    for (unsigned i = 0; i < list->count; i++)
        if (span_eq(list->at[i], v->d->text))
            config_error(v->l, v->d, NULL, "'%.*s' is there twice",
                         PRSPAN(v->d->text));
    list->at[list->count++] = keep(v->l, v->d->text);
}

static void put_names(const struct value *v, struct names *field)
{
    const unsigned room = v->d->kind == DOC_LIST ? v->d->count : 1;
    struct name_list list = {mem_array(v->l->m, room, sizeof(struct span)), 0};
    if (list.at == NULL) {
        v->l->no_memory = true;
        return;
    }
    each_text(v, add_name, &list);
    *field = (struct names){list.at, list.count};
}

/* The same, each a path. */
static void put_files(const struct value *v, struct names *field)
{
    struct names written = {NULL, 0};
    put_names(v, &written);
    struct span *at = mem_array(v->l->m, (size_t)written.count + 1, sizeof *at);
    if (at == NULL) {
        v->l->no_memory = true;
        return;
    }
    for (unsigned i = 0; i < written.count; i++)
        put_path_of(v, written.at[i], &at[i]);
    *field = (struct names){at, written.count};
}

static bool alg_of(const struct value *v, enum jws_alg *ret)
{
    if (v->d->kind == DOC_TEXT && jws_alg_from_name(v->d->text, ret))
        return true;
    config_error(v->l, v->d, "one of RS256, PS256, ES256, ES384, EdDSA",
                 "'%.*s' is not an algorithm that bailiff accepts",
                 PRSPAN(v->d->text));
    return false;
}

static void add_alg(const struct value *v, void *ctx)
{
    unsigned *mask = ctx;
    enum jws_alg alg;
    if (alg_of(v, &alg))
        *mask |= (unsigned)alg;
}

static void put_algs(const struct value *v, unsigned *field)
{
    *field = 0;
    each_text(v, add_alg, field);
}

static void put_alg(const struct value *v, struct span *field)
{
    enum jws_alg alg;
    if (alg_of(v, &alg))
        *field = keep(v->l, v->d->text);
}

static bool is_segment(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] >= 0x7f || s.p[i] == '/' || s.p[i] == '%' ||
            s.p[i] == '.' || s.p[i] == '?' || s.p[i] == '#')
            return false;
    return s.n > 0 && s.n <= 64;
}

static void add_type(struct config_feed *feed, const struct value *v)
{
    static const char *const words[] = {"agent", "user", "group"};
    unsigned at;
    if (!is_segment(v->d->key)) {
        config_error_key(v->l, v->d, "for example Agents",
                         "'%.*s' is not one path segment", PRSPAN(v->d->key));
    } else if (put_word(v, words, 3, &at)) {
        feed->types[feed->type_count].segment = keep(v->l, v->d->key);
        feed->types[feed->type_count].kind = (enum subject_kind)at;
        feed->type_count++;
    }
}

/* `types` and its count are two fields, so this one takes the feed. */
static void put_types(const struct value *v, struct config_feed *feed)
{
    const unsigned max = sizeof feed->types / sizeof *feed->types;
    feed->type_count = 0;
    if (v->d->kind != DOC_MAP || v->d->count == 0 || v->d->count > max) {
        config_error(v->l, v->d, v->row->fallback,
                     "types must be a map of 1 to %u path segments", max);
        return;
    }
    DOC_EACH (d, v->d) {
        const struct value one = {v->l, v->row, d};
        add_type(feed, &one);
    }
}

static struct config_feed *feed_of(void *types)
{
    return (struct config_feed *)(void *)((char *)types -
                                          offsetof(struct config_feed, types));
}

void config_value(struct loader *l, const struct config_row *r,
                  const struct doc *d, void *field)
{
    const struct value v = {l, r, d};
    int64_t ms;
    switch (r->kind) {
        case ROW_TEXT: put_text(&v, field); break;
        case ROW_NAME: put_name(&v, field); break;
        case ROW_URL: put_url(&v, field); break;
        case ROW_PATH: put_path(&v, field); break;
        case ROW_FILE:
        case ROW_SECRET:
        case ROW_DIR: put_file(&v, field); break;
        case ROW_ADDRESS: put_address(&v, field); break;
        case ROW_MODE: put_mode(&v, field); break;
        case ROW_UID:
        case ROW_GID: put_account(&v, field); break;
        case ROW_BOOL:
            if (d->kind == DOC_BOOL)
                *(bool *)field = d->truth;
            else
                (void)wrong_kind(&v, "true or false", NULL);
            break;
        case ROW_U32: put_u32(&v, field); break;
        case ROW_BYTES: put_bytes(&v, field); break;
        case ROW_MS32:
            if (ms_of(&v, &ms))
                *(uint32_t *)field = (uint32_t)ms;
            break;
        case ROW_MS64:
            if (ms_of(&v, &ms))
                *(int64_t *)field = ms;
            break;
        case ROW_DAYS: put_days(&v, field); break;
        case ROW_NAMES: put_names(&v, field); break;
        case ROW_FILES: put_files(&v, field); break;
        case ROW_ALGS: put_algs(&v, field); break;
        case ROW_ALG: put_alg(&v, field); break;
        case ROW_TYPES: put_types(&v, feed_of(field)); break;
        case ROW_ROLE: put_role(&v, field); break;
        case ROW_SPIFFE: put_spiffe(&v, field); break;
        case ROW_SHA256: put_sha256(&v, field); break;
        case ROW_LEVEL: put_level(&v, field); break;
        case ROW_FORMAT: put_format(&v, field); break;
        case ROW_MAP:
        case ROW_LIST:
        case ROW_KIND_COUNT: break;
    }
}

static void default_types(struct config_feed *feed)
{
    feed->types[0].segment = SPAN("Agents");
    feed->types[0].kind = SUBJECT_AGENT;
    feed->types[1].segment = SPAN("Users");
    feed->types[1].kind = SUBJECT_USER;
    feed->types[2].segment = SPAN("Groups");
    feed->types[2].kind = SUBJECT_GROUP;
    feed->type_count = 3;
}

void config_value_default(struct loader *l, const struct config_row *r,
                          void *field)
{
    if (r->kind == ROW_UID || r->kind == ROW_GID)
        *(int64_t *)field = -1;
    if (r->fallback == NULL)
        return;
    if (r->kind == ROW_TYPES) {
        default_types(feed_of(field));
        return;
    }
    if (r->kind == ROW_ALGS) {
        *(unsigned *)field = JWS_ES256 | JWS_RS256;
        return;
    }
    /* The text goes through the same function as the user's. */
    struct doc d = {.kind = DOC_TEXT, .text = span_str(r->fallback)};
    uint64_t number;
    if (r->kind == ROW_BOOL) {
        d.kind = DOC_BOOL;
        d.truth = span_eq(d.text, SPAN("true"));
    } else if (span_u64(d.text, &number) && r->kind == ROW_U32) {
        d.kind = DOC_INT;
        d.integer = (int64_t)number;
    }
    config_value(l, r, &d, field);
}
