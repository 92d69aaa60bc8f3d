// SPDX-License-Identifier: Apache-2.0
/*
 * Diagnostics for the people who run the program, on stderr: lossy, levelled,
 * rate limited. This is not the decision log (sidecar/io/decision_log), which
 * is product data; the two share no code.
 *
 *     log_warn(LOG_STORE, "retry", kv_u64("ms", delay_ms), kv_rc(rc));
 *
 * Every value is escaped, so a peer can neither forge a line nor send escape
 * sequences to a terminal; what looks like a bearer token is cut out. Lines of
 * every level, also those not printed, go to a ring in memory that must() and
 * SIGUSR2 dump. Thread-safe. Not for policy/ and sidecar/core/, which are pure.
 */
#ifndef SIDECAR_BASE_LOG_H
#define SIDECAR_BASE_LOG_H

#include <stddef.h>
#include "sidecar/base/fail.h"
#include "sidecar/base/span.h"

#define LOG_TEXT_MAX 1024 /* bytes of one printed line */
#define LOG_VALUE_MAX 256 /* bytes of one value, escaped */
#define LOG_RING_LINES 256
#define LOG_RING_TEXT_MAX 256 /* bytes of one line in the ring */
#define LOG_BURST 20          /* lines of one (component, event) at once */
#define LOG_REFILL_MS 1000    /* one more every */
#define LOG_BUCKETS_MAX 256
#define LOG_FLUSH_MS 1000 /* that a process waits at its end */

/* id, word in lines, what it is about. */
#define LOG_COMPONENT_MAP(X)                                                   \
    X(MAIN, "main", "start, stop, signals, reload")                            \
    X(CONFIG, "config", "bailiff.yaml")                                        \
    X(POLICY, "policy", "policy.yaml, loading and reloading")                  \
    X(ENGINE, "engine", "the core's own limits and states")                    \
    X(LOOP, "loop", "the event loop")                                          \
    X(SERVER, "server", "inbound connections")                                 \
    X(GATE, "gate", "questions of runtimes and gateways")                      \
    X(PUSH, "push", "SETs that transmitters POST")                             \
    X(POLL, "poll", "SETs that are polled for")                                \
    X(KEYS, "keys", "key sets of the feeds")                                   \
    X(SCIM, "scim", "reads of identities")                                     \
    X(FETCH, "fetch", "outbound HTTP")                                         \
    X(JOB, "job", "actions that reach outside")                                \
    X(RUNTIME, "runtime", "watching and served runtimes")                      \
    X(STORE, "store", "the journal")                                           \
    X(RECORDS, "records", "the decision log's writer")                         \
    X(ADMIN, "admin", "operator commands")

enum log_component {
#define X(id, word, help) LOG_##id,
    LOG_COMPONENT_MAP(X)
#undef X
        LOG_COMPONENT_COUNT
};

enum log_level { LEVEL_ERROR, LEVEL_WARN, LEVEL_INFO, LEVEL_DEBUG };
enum log_format {
    LOG_FORMAT_AUTO,
    LOG_FORMAT_TEXT,
    LOG_FORMAT_TERMINAL,
    LOG_FORMAT_JSON
};

enum kv_kind { KV_END, KV_TEXT, KV_U64, KV_I64, KV_BOOL, KV_RC };

/* One key and value; made by the functions below. `key` is a literal. */
struct kv {
    const char *key;
    enum kv_kind kind;
    struct span text;
    uint64_t number;
};

static inline struct kv kv_end(void)
{
    return (struct kv){.kind = KV_END};
}

static inline struct kv kv_u64(const char *key, uint64_t v)
{
    return (struct kv){.key = key, .kind = KV_U64, .number = v};
}

static inline struct kv kv_i64(const char *key, int64_t v)
{
    return (struct kv){.key = key, .kind = KV_I64, .number = (uint64_t)v};
}

static inline struct kv kv_bool(const char *key, bool v)
{
    return (struct kv){.key = key, .kind = KV_BOOL, .number = v};
}

/* Peer data or any other bytes; borrowed during the log call. */
static inline struct kv kv_span(const char *key, struct span v)
{
    return (struct kv){.key = key, .kind = KV_TEXT, .text = v};
}

/* A C string; NULL prints as empty. */
static inline struct kv kv_str(const char *key, const char *v)
{
    return kv_span(key, span_str(v));
}

/* rc=timeout */
static inline struct kv kv_rc(int rc)
{
    return (struct kv){.key = "rc", .kind = KV_RC, .number = (uint64_t)rc};
}

/* why="..." ; f must live during the log call. */
static inline struct kv kv_why(const struct fail *f)
{
    return kv_str("why", f->text);
}

/* The first of the variable arguments is the event: a literal word. */
#define log_error(component, ...)                                              \
    LOG_CALL(LEVEL_ERROR, component, __VA_ARGS__, kv_end())
#define log_warn(component, ...)                                               \
    LOG_CALL(LEVEL_WARN, component, __VA_ARGS__, kv_end())
#define log_info(component, ...)                                               \
    LOG_CALL(LEVEL_INFO, component, __VA_ARGS__, kv_end())
#define log_debug(component, ...)                                              \
    LOG_CALL(LEVEL_DEBUG, component, __VA_ARGS__, kv_end())
#define LOG_CALL(level, component, event, ...)                                 \
    log_write(level, component, event, (const struct kv[]){__VA_ARGS__})

/* `kvs` ends with kv_end(). Never fails: what does not fit is cut. */
void log_write(enum log_level level, enum log_component component,
               const char *event, const struct kv *kvs);

/* What is printed and how; lines of lower levels still go to the ring. AUTO is
 * readable text with colour on a terminal and key=value otherwise. Also
 * installs the must() hook. */
void log_setup(int fd, enum log_level level, enum log_format format);

/* "error" "warn" "info" "debug"; false when it is none of them. */
bool log_level_from_name(struct span name, enum log_level *ret);
/* "auto" "text" "terminal" "json". */
bool log_format_from_name(struct span name, enum log_format *ret);
const char *log_component_word(enum log_component c);

/* From now on a thread of its own writes the lines, and no caller waits for
 * who reads them (sidecar/base/log_writer.h). Once, after log_setup(), which is
 * not called again. */
int log_start_writer(struct fail *f) must_use;

/* Waits until the lines are written, at most LOG_FLUSH_MS: before the process
 * ends. */
void log_flush(void);

/* Prints lines that are formatted already, such as the errors of a policy, as
 * they are; not limited in rate, not in the ring. */
void log_lines(struct span text);

/* Prints the ring, oldest line first. Takes no memory and does not wait for a
 * lock that a crashed thread may hold. */
void log_ring_print(void);

/* Lines dropped by the token buckets since the start. */
uint64_t log_dropped(void);
/* Lines lost because nobody read them, since the start. */
uint64_t log_lost(void);

#endif
