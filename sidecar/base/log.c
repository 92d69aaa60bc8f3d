// SPDX-License-Identifier: Apache-2.0
#include "sidecar/base/log.h"

#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sidecar/base/log_writer.h"
#include "sidecar/base/time_text.h"

struct bucket {
    const char *event; /* a literal: its address is its identity */
    enum log_component component;
    int64_t tokens;
    int64_t filled_ms;
    uint64_t suppressed;
};

struct ring_line {
    unsigned n;
    char text[LOG_RING_TEXT_MAX];
};

/* The one diagnostic stream of the process. It is process-wide on purpose: a
 * bug report must be possible from anywhere, also from must(). */
static struct {
    pthread_mutex_t lock;
    int fd;
    bool threaded; /* lines go to the writer's queue */
    enum log_level level;
    enum log_format format;
    struct bucket buckets[LOG_BUCKETS_MAX];
    struct bucket overflow;
    uint64_t dropped;
    uint64_t ring_next;
    struct ring_line ring[LOG_RING_LINES];
} out = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .fd = STDERR_FILENO,
    .level = LEVEL_INFO,
    .format = LOG_FORMAT_TEXT,
};

static struct log_writer writer;

/* A line under construction; what does not fit is cut. */
struct line {
    size_t n;
    char text[LOG_TEXT_MAX];
};

static void put(struct line *l, const char *p, size_t n)
{
    size_t room = sizeof l->text - 1 - l->n; /* keeps room for the LF */
    if (n > room)
        n = room;
    memcpy(l->text + l->n, p, n);
    l->n += n;
}

static void put_str(struct line *l, const char *s)
{
    put(l, s, strlen(s));
}

static const char *const level_words[] = {"error", "warn", "info", "debug"};
static const char *const format_words[] = {"auto", "text", "terminal", "json"};

const char *log_component_word(enum log_component c)
{
    switch (c) {
#define X(id, word, help)                                                      \
    case LOG_##id: return word;
        LOG_COMPONENT_MAP(X)
#undef X
        case LOG_COMPONENT_COUNT: break;
    }
    return "unknown";
}

bool log_level_from_name(struct span name, enum log_level *ret)
{
    for (unsigned i = 0; i < sizeof level_words / sizeof *level_words; i++) {
        if (span_eq(name, span_str(level_words[i]))) {
            *ret = (enum log_level)i;
            return true;
        }
    }
    return false;
}

bool log_format_from_name(struct span name, enum log_format *ret)
{
    for (unsigned i = 0; i < sizeof format_words / sizeof *format_words; i++) {
        if (span_eq(name, span_str(format_words[i]))) {
            *ret = (enum log_format)i;
            return true;
        }
    }
    return false;
}

/* ---- values ---- */

static bool is_token_byte(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' ||
           c == '+' || c == '/' || c == '=' || c == '~';
}

/* How many bytes at `i` are a credential: "eyJ..." (a compact JWS) or what
 * follows "Bearer ". No caller logs one on purpose; this is the second lock. */
static size_t secret_run(struct span s, size_t i)
{
    const struct span rest = span_sub(s, i, s.n);
    size_t n = 0;
    while (n < rest.n && is_token_byte(rest.p[n]))
        n++;
    if (span_starts(rest, SPAN("eyJ")) && n >= 20)
        return n;
    const struct span before = span_sub(s, i >= 7 ? i - 7 : i, i);
    return span_ieq(before, SPAN("bearer ")) && n > 0 ? n : 0;
}

/* One byte, escaped for both key=value and JSON. Returns its length. */
static size_t escape(unsigned char c, char ret[8])
{
    static const char hex[] = "0123456789abcdef";
    if (c == '"' || c == '\\') {
        ret[0] = '\\';
        ret[1] = (char)c;
        return 2;
    }
    if (c >= 0x20 && c != 0x7f) {
        ret[0] = (char)c;
        return 1;
    }
    const char code[] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
    memcpy(ret, code, sizeof code);
    return sizeof code;
}

/* Bytes of the well-formed UTF-8 sequence at the start of `s`, or 0; C1
 * controls count as malformed, because terminals obey them. */
static size_t utf8_run(struct span s)
{
    for (size_t n = 2; n <= 4 && n <= s.n; n++)
        if (span_is_text(span_sub(s, 0, n)))
            return s.p[0] == 0xc2 && s.p[1] < 0xa0 ? 0 : n;
    return 0;
}

static void put_escaped(struct line *l, struct span s)
{
    const size_t start = l->n;
    for (size_t i = 0; i < s.n;) {
        if (l->n - start >= LOG_VALUE_MAX) {
            put_str(l, "...");
            return;
        }
        size_t run = secret_run(s, i);
        if (run > 0) {
            put_str(l, "[removed]");
        } else if (s.p[i] < 0x80) {
            char code[8];
            put(l, code, escape(s.p[i], code));
            run = 1;
        } else if ((run = utf8_run(span_sub(s, i, s.n))) > 0) {
            put(l, (const char *)s.p + i, run);
        } else {
            put_str(l, "\xef\xbf\xbd");
            run = 1;
        }
        i += run;
    }
}

static bool is_plain(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] >= 0x7f || s.p[i] == '"' ||
            s.p[i] == '\\' || s.p[i] == '=')
            return false;
    return s.n > 0;
}

static void put_text(struct line *l, struct span s, bool json)
{
    bool quotes = json || !is_plain(s);
    put(l, "\"", quotes);
    put_escaped(l, s);
    put(l, "\"", quotes);
}

static void put_value(struct line *l, const struct kv *kv, bool json)
{
    char number[32];
    switch (kv->kind) {
        case KV_TEXT: put_text(l, kv->text, json); break;
        case KV_BOOL: put_str(l, kv->number ? "true" : "false"); break;
        case KV_RC:
            put_text(l, span_str(rc_word((int)kv->number)), json);
            break;
        case KV_U64:
            (void)snprintf(number, sizeof number, "%llu",
                           (unsigned long long)kv->number);
            put_str(l, number);
            break;
        case KV_I64:
            (void)snprintf(number, sizeof number, "%lld",
                           (long long)kv->number);
            put_str(l, number);
            break;
        case KV_END: break;
    }
}

/* ---- lines ---- */

struct entry {
    enum log_level level;
    enum log_component component;
    const char *event;
    const struct kv *kvs;
    uint64_t suppressed;
    char time[TIME_TEXT_BYTES];
};

static void put_pair(struct line *l, const struct kv *kv, bool json)
{
    put_str(l, json ? ",\"" : " ");
    put_str(l, kv->key);
    put_str(l, json ? "\":" : "=");
    put_value(l, kv, json);
}

static void put_kvs(struct line *l, const struct entry *e, bool json)
{
    for (const struct kv *kv = e->kvs; kv->kind != KV_END; kv++)
        put_pair(l, kv, json);
    const struct kv suppressed = kv_u64("suppressed", e->suppressed);
    if (e->suppressed > 0)
        put_pair(l, &suppressed, json);
}

static void format_text(struct line *l, const struct entry *e)
{
    put_str(l, "time=");
    put_str(l, e->time);
    put_str(l, " level=");
    put_str(l, level_words[e->level]);
    put_str(l, " component=");
    put_str(l, log_component_word(e->component));
    put_str(l, " event=");
    put_text(l, span_str(e->event), false);
    put_kvs(l, e, false);
}

/* A cut line must still be JSON, so a value that would not fit is left out
 * with everything after it. */
static void format_json(struct line *l, const struct entry *e)
{
    put_str(l, "{\"time\":\"");
    put_str(l, e->time);
    put_str(l, "\",\"level\":\"");
    put_str(l, level_words[e->level]);
    put_str(l, "\",\"component\":\"");
    put_str(l, log_component_word(e->component));
    put_str(l, "\",\"event\":");
    put_text(l, span_str(e->event), true);
    const struct kv suppressed = kv_u64("suppressed", e->suppressed);
    if (e->suppressed > 0)
        put_pair(l, &suppressed, true);
    for (const struct kv *kv = e->kvs; kv->kind != KV_END; kv++) {
        const size_t before = l->n;
        put_pair(l, kv, true);
        if (l->n >= sizeof l->text - 32) {
            l->n = before;
            put_str(l, ",\"cut\":true");
            break;
        }
    }
    put_str(l, "}");
}

static void format_terminal(struct line *l, const struct entry *e)
{
    static const char *const colours[] = {"\033[31m", "\033[33m", "",
                                          "\033[2m"};
    char head[64];
    put(l, e->time + 11, 12); /* hh:mm:ss.mmm */
    put_str(l, " ");
    put_str(l, colours[e->level]);
    (void)snprintf(head, sizeof head, "%-5s %-8s ", level_words[e->level],
                   log_component_word(e->component));
    put_str(l, head);
    put_text(l, span_str(e->event), false);
    put_str(l, colours[e->level][0] != '\0' ? "\033[0m" : "");
    put_kvs(l, e, false);
}

static void format(struct line *l, const struct entry *e)
{
    switch (out.format) {
        case LOG_FORMAT_JSON: format_json(l, e); break;
        case LOG_FORMAT_TERMINAL: format_terminal(l, e); break;
        case LOG_FORMAT_AUTO:
        case LOG_FORMAT_TEXT: format_text(l, e); break;
    }
}

static void write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done <= 0)
            return; /* nowhere left to complain to */
        p += done;
        n -= (size_t)done;
    }
}

static void emit(const char *p, size_t n)
{
    if (out.threaded)
        log_writer_put(&writer, p, n);
    else
        write_all(out.fd, p, n);
}

/* ---- rate limit ---- */

/* The bucket of (component, event); the shared one when the table is full. */
static struct bucket *bucket_of(enum log_component c, const char *event)
{
    size_t at = ((uintptr_t)event >> 3) * 31 + c;
    for (unsigned tries = 0; tries < 8; tries++, at++) {
        struct bucket *b = &out.buckets[at % LOG_BUCKETS_MAX];
        if (b->event == NULL)
            *b = (struct bucket){event, c, LOG_BURST, 0, 0};
        if (b->event == event && b->component == c)
            return b;
    }
    return &out.overflow;
}

static bool take_token(struct bucket *b, int64_t now_ms)
{
    const int64_t earned = (now_ms - b->filled_ms) / LOG_REFILL_MS;
    if (earned > 0) {
        b->tokens =
            earned > LOG_BURST - b->tokens ? LOG_BURST : b->tokens + earned;
        b->filled_ms = now_ms;
    }
    if (b->tokens > 0) {
        b->tokens--;
        return true;
    }
    b->suppressed++;
    out.dropped++;
    return false;
}

static int64_t clock_ms(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void ring_put(const struct line *l)
{
    struct ring_line *r = &out.ring[out.ring_next++ % LOG_RING_LINES];
    const size_t n = l->n < sizeof r->text ? l->n : sizeof r->text;
    memcpy(r->text, l->text, n);
    r->n = (unsigned)n;
}

static void print(struct entry *e, const struct line *text)
{
    struct bucket *b = bucket_of(e->component, e->event);
    if (!take_token(b, clock_ms(CLOCK_MONOTONIC)))
        return;
    e->suppressed = b->suppressed;
    b->suppressed = 0;
    struct line l = {.n = 0};
    if (e->suppressed == 0 && out.format == LOG_FORMAT_TEXT)
        l = *text;
    else
        format(&l, e);
    l.text[l.n++] = '\n';
    emit(l.text, l.n);
}

void log_write(enum log_level level, enum log_component component,
               const char *event, const struct kv *kvs)
{
    struct entry e = {level, component, event, kvs, 0, ""};
    struct line text = {.n = 0};
    time_text(clock_ms(CLOCK_REALTIME), e.time);
    format_text(&text, &e);

    (void)pthread_mutex_lock(&out.lock);
    ring_put(&text);
    if (level <= out.level)
        print(&e, &text);
    (void)pthread_mutex_unlock(&out.lock);
}

/* The last words of the process: nobody reading them must not keep it. */
static void on_bug(const char *text)
{
    log_flush();
    emit(text, strlen(text));
    log_ring_print();
    log_flush();
}

void log_setup(int fd, enum log_level level, enum log_format format)
{
    if (format == LOG_FORMAT_AUTO)
        format = isatty(fd) ? LOG_FORMAT_TERMINAL : LOG_FORMAT_TEXT;
    (void)pthread_mutex_lock(&out.lock);
    out.fd = fd;
    out.level = level;
    out.format = format;
    (void)pthread_mutex_unlock(&out.lock);
    must_set_hook(on_bug);
}

/* The form does not change once there is a thread, so no lock is needed. */
static size_t say_lost(uint64_t lost, char ret[LOG_WRITER_LOST_MAX])
{
    const struct kv kvs[] = {kv_u64("lines", lost), kv_end()};
    struct entry e = {LEVEL_WARN, LOG_MAIN, "diagnostics_lost", kvs, 0, ""};
    struct line l = {.n = 0};
    time_text(clock_ms(CLOCK_REALTIME), e.time);
    format(&l, &e);
    l.text[l.n++] = '\n';
    must(l.n <= LOG_WRITER_LOST_MAX);
    memcpy(ret, l.text, l.n);
    return l.n;
}

int log_start_writer(struct fail *f)
{
    must(!out.threaded);
    TRY(log_writer_start(&writer, out.fd, say_lost, f));
    out.threaded = true;
    return 0;
}

void log_flush(void)
{
    if (out.threaded)
        (void)log_writer_flush(&writer, LOG_FLUSH_MS);
}

void log_ring_print(void)
{
    static const char head[] = "---- recent diagnostics, oldest first ----\n";
    static const char tail[] = "---- end of recent diagnostics ----\n";
    /* A thread may have died with the lock: then read without it. */
    const bool locked = pthread_mutex_trylock(&out.lock) == 0;
    const uint64_t end = out.ring_next;
    uint64_t at = end > LOG_RING_LINES ? end - LOG_RING_LINES : 0;
    emit(head, sizeof head - 1);
    for (; at < end; at++) {
        const struct ring_line *r = &out.ring[at % LOG_RING_LINES];
        char text[LOG_RING_TEXT_MAX + 1];
        const size_t n = r->n < sizeof r->text ? r->n : sizeof r->text;
        memcpy(text, r->text, n);
        text[n] = '\n';
        emit(text, n + 1);
    }
    emit(tail, sizeof tail - 1);
    if (locked)
        (void)pthread_mutex_unlock(&out.lock);
}

void log_lines(struct span text)
{
    while (text.n > 0) {
        const unsigned char *end = memchr(text.p, '\n', text.n);
        const size_t n = end == NULL ? text.n : (size_t)(end - text.p) + 1;
        emit((const char *)text.p, n);
        text = span_sub(text, n, text.n);
    }
}

uint64_t log_dropped(void)
{
    (void)pthread_mutex_lock(&out.lock);
    const uint64_t n = out.dropped;
    (void)pthread_mutex_unlock(&out.lock);
    return n;
}

uint64_t log_lost(void)
{
    return out.threaded ? log_writer_lost(&writer) : 0;
}
