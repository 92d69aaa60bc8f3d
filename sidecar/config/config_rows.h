// SPDX-License-Identifier: Apache-2.0
/*
 * config.def as a table, and what the files that load bailiff.yaml share.
 * Private to sidecar/config, except that `bailiff check --keys` prints rows.
 */
#ifndef SIDECAR_CONFIG_CONFIG_ROWS_H
#define SIDECAR_CONFIG_CONFIG_ROWS_H

#include "sidecar/base/buf.h"
#include "sidecar/config/config.h"

/* object, struct that its rows fill */
#define CONFIG_OBJECT_MAP(X)                                                   \
    X(TOP, struct config)                                                      \
    X(LISTEN, struct config)                                                   \
    X(GATE_ADDRESS, struct config_listen)                                      \
    X(PUSH_ADDRESS, struct config_listen)                                      \
    X(ADMIN_ADDRESS, struct config_listen)                                     \
    X(METRICS_ADDRESS, struct config_listen)                                   \
    X(LISTEN_TLS, struct config_listen)                                        \
    X(FEED, struct config_feed)                                                \
    X(FEED_KEYS, struct config_feed)                                           \
    X(PUSH, struct config_feed)                                                \
    X(POLL, struct config_feed)                                                \
    X(SCIM, struct config_feed)                                                \
    X(AUTH, struct config_auth)                                                \
    X(TRUST, struct config_trust)                                              \
    X(CALLER, struct config_caller)                                            \
    X(OPERATOR, struct config_operator)                                        \
    X(POLICY, struct config)                                                   \
    X(STORE, struct config)                                                    \
    X(LOG, struct config)                                                      \
    X(DIAGNOSTICS, struct config)                                              \
    X(KEYS, struct config)                                                     \
    X(LIMITS, struct config_limits)                                            \
    X(OUTBOUND, struct config)                                                 \
    X(AUTH_SERVER, struct config_auth_server)                                  \
    X(RUNTIME, struct config_runtime)                                          \
    X(RUNTIME_TLS, struct config_runtime)

enum config_object {
#define X(id, type) OBJECT_##id,
    CONFIG_OBJECT_MAP(X)
#undef X
        OBJECT_COUNT
};

/* What a value is; `word` is for the documentation. */
#define CONFIG_KIND_MAP(X)                                                     \
    X(TEXT, "text")                                                            \
    X(NAME, "name")                                                            \
    X(URL, "URL")                                                              \
    X(PATH, "path")                                                            \
    X(FILE, "file")                                                            \
    X(FILES, "file or list of files")                                          \
    X(SECRET, "secret file")                                                   \
    X(DIR, "directory")                                                        \
    X(ADDRESS, "address")                                                      \
    X(MODE, "mode")                                                            \
    X(UID, "user")                                                             \
    X(GID, "group")                                                            \
    X(BOOL, "true or false")                                                   \
    X(U32, "number")                                                           \
    X(BYTES, "size")                                                           \
    X(MS32, "duration")                                                        \
    X(MS64, "duration")                                                        \
    X(DAYS, "days")                                                            \
    X(NAMES, "text or list of text")                                           \
    X(ALGS, "list of algorithms")                                              \
    X(ALG, "algorithm")                                                        \
    X(TYPES, "map")                                                            \
    X(ROLE, "role")                                                            \
    X(SPIFFE, "SPIFFE ID")                                                     \
    X(SHA256, "64 hex digits")                                                 \
    X(LEVEL, "level")                                                          \
    X(FORMAT, "format")                                                        \
    X(MAP, "map")                                                              \
    X(LIST, "list")

enum row_kind {
#define X(id, word) ROW_##id,
    CONFIG_KIND_MAP(X)
#undef X
        ROW_KIND_COUNT
};

struct config_row {
    enum config_object object;
    enum row_kind kind;
    size_t offset;
    const char *key;
    bool required;
    const char *fallback; /* as written in YAML; NULL: none */
    int64_t min, max;
    enum config_object child;                 /* MAP, LIST */
    size_t count_offset, stride, line_offset; /* LIST */
    const char *help;
};

/* Ends with a NULL key. */
extern const struct config_row config_rows[];

/* Every key as "feeds[].scim.base  URL, required: help", for people. */
void config_rows_print(struct buf *out);

#define PATH_TEXT_MAX 8192

/* Calls `visit` for every file and directory that the snapshot names: `key` is
 * its place ("feeds[0].push.bearer_file"), `kind` ROW_FILE (also for each of
 * ROW_FILES), ROW_SECRET or ROW_DIR. */
typedef void (*config_file_fn)(void *ctx, const char *key, enum row_kind kind,
                               struct span path);
void config_each_file(const struct config *c, config_file_fn visit, void *ctx);

struct loader {
    struct mem *m;
    struct span dir; /* of the file, absolute, without trailing slash */
    struct policy_notes *notes;
    bool no_memory;
};

/* Adds an error at the value of `d` (or, with `at_key`, at its key). `d` may
 * be NULL: position 1:1. `advice` may be NULL. */
void config_error(struct loader *l, const struct doc *d, const char *advice,
                  const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void config_error_key(struct loader *l, const struct doc *d, const char *advice,
                      const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void config_warn(struct loader *l, const struct doc *d, const char *advice,
                 const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* A formatted text in l->m (empty when out of memory, latched). */
struct span config_printf(struct loader *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Parses one scalar (or list of scalars) of a row into `field`. Errors are
 * noted. */
void config_value(struct loader *l, const struct config_row *r,
                  const struct doc *d, void *field);

/* Puts a row's default into `field`. */
void config_value_default(struct loader *l, const struct config_row *r,
                          void *field);

/* Fills derived fields and checks what one row cannot: runs also when rows had
 * errors, so that one run shows everything. */
void config_cross_check(struct loader *l, const struct doc *root,
                        struct config *c);

/* Is this "host:port" on loopback, or a Unix socket? */
bool config_address_local(struct span address);
/* The host of an http(s) URL, without port and brackets. */
struct span config_url_host(struct span url);
bool config_host_is_loopback(struct span host);

#endif
