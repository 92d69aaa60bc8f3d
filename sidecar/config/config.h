// SPDX-License-Identifier: Apache-2.0
/*
 * bailiff.yaml as an immutable snapshot. Loading reports every error with its
 * place; nothing is started with a configuration that has one. All spans live
 * in the snapshot's arena. Secrets are not here: only the paths of files that
 * hold them.
 */
#ifndef SIDECAR_CONFIG_CONFIG_H
#define SIDECAR_CONFIG_CONFIG_H

#include "policy/policy.h"
#include "sidecar/base/log.h"

#define CONFIG_FILE_BYTES_MAX (256 * 1024)
#define CONFIG_FEEDS_MAX 32
#define CONFIG_CALLERS_MAX 256
#define CONFIG_OPERATORS_MAX 64
#define CONFIG_LISTEN_MAX 8
#define CONFIG_SERVERS_MAX 32

/* One address with its TLS. */
struct config_listen {
    struct span address; /* "unix:/run/bailiff/gate.sock", "host:port" */
    uint32_t unix_mode;
    int64_t unix_gid; /* -1 */
    struct span cert_file, key_file, client_ca_file;
    bool client_required;
    uint32_t line;
};

enum auth_kind {
    AUTH_NONE,
    AUTH_BEARER_FILE,
    AUTH_BASIC,
    AUTH_CLIENT_SECRET,
    AUTH_PRIVATE_KEY_JWT
};

/* How we identify ourselves to a peer. */
struct config_auth {
    enum auth_kind kind;
    struct span bearer_file;
    struct span user, password_file;           /* BASIC */
    struct span client_id, client_secret_file; /* CLIENT_SECRET */
    struct span private_key_file, kid, alg;    /* PRIVATE_KEY_JWT */
    struct span token_url, scope, resource;    /* client credentials grant;
                                                  empty token_url: none */
    struct span audience;                      /* of the assertion */
};

/* TLS towards a peer. */
struct config_trust {
    struct span ca_file, cert_file, key_file;
    bool allow_http;
};

struct config_feed {
    struct span name, issuer;
    struct names audiences;
    unsigned algs; /* enum jws_alg bits */
    /* keys: one of */
    struct span jwks_url, jwks_file, pem_file, pem_kid;
    struct config_trust trust; /* for jwks_url, poll, scim */
    bool allow_untyped, allow_sub, allow_exp, uri_aliases;
    int64_t future_ms;
    struct span stream_id, meaning;
    /* push */
    struct span push_path;        /* "" : no push */
    struct span push_bearer_file; /* expected Authorization: Bearer */
    struct span push_spiffe_id, push_cert_sha256; /* or a client certificate */
    /* poll */
    struct span poll_url; /* "" : no poll */
    struct config_auth poll_auth;
    uint32_t poll_wait_ms;    /* the transmitter's long-poll time: 30 s */
    uint32_t poll_max_events; /* 100 */
    /* scim */
    struct span scim_base; /* no trailing slash */
    struct config_auth scim_auth;
    uint32_t scim_rate_per_s, scim_concurrency; /* 50, 8 */
    uint32_t scim_list_reads;                   /* 0: no list reads */
    struct {
        struct span segment;
        enum subject_kind kind;
    } types[8];
    unsigned type_count;
    uint32_t line;
};

enum caller_role { CALLER_AGENT, CALLER_RUNTIME, CALLER_GATEWAY };

struct config_caller {
    struct span name;
    enum caller_role role;
    int64_t uid;           /* -1: not by uid */
    struct span spiffe_id; /* empty: not by certificate */
    struct span cert_sha256_hex;
    struct span bearer_file;    /* empty: not by a token */
    struct names agents;        /* globs over "/Agents/7" */
    struct span feed;           /* empty: any base */
    uint32_t rate_per_s, burst; /* token bucket: 1000, 2000 */
    uint32_t line;
};

struct config_operator {
    struct span name;
    int64_t uid;
    struct names groups; /* what a review's `by` may ask about */
    uint32_t line;
};

struct config_auth_server { /* outbound.authorization_servers */
    struct span issuer, revocation_url;
    struct config_auth auth;
    struct config_trust trust;
    uint32_t line;
};

struct config_runtime {        /* outbound.runtimes: served CancelToolCalls */
    struct span name, address; /* "unix:/...", "host:port" */
    struct span ca_file, cert_file, key_file, tls_name;
    uint32_t line;
};

struct config_limits {
    uint32_t agents_max, holds_max, calls_max, parked_max, parked_per_agent,
        jtis_max, jobs_max, connections_max, push_per_s, verify_threads,
        verify_queue;
    int64_t jti_keep_ms;
    int64_t lease_ms;
    int64_t log_stall_ms;
};

struct config {
    struct config_listen gate[CONFIG_LISTEN_MAX];
    unsigned gate_count;
    struct config_listen push[CONFIG_LISTEN_MAX];
    unsigned push_count;
    struct config_listen admin;   /* always set */
    struct config_listen metrics; /* address empty: off */
    struct config_feed feeds[CONFIG_FEEDS_MAX];
    unsigned feed_count;
    struct config_caller callers[CONFIG_CALLERS_MAX];
    unsigned caller_count;
    struct config_operator operators[CONFIG_OPERATORS_MAX];
    unsigned operator_count;
    struct config_auth_server servers[CONFIG_SERVERS_MAX];
    unsigned server_count;
    struct config_runtime runtimes[CONFIG_SERVERS_MAX];
    unsigned runtime_count;
    struct span policy_file;           /* empty: built-in default policy */
    struct span policy_candidate_file; /* empty: none is compared */
    struct span policy_signature_file; /* empty without policy_file */
    struct names policy_keys; /* paths; empty: no signature is asked for */
    bool policy_watch;
    struct span store_dir;
    uint32_t store_keep_days, store_keep_rows;
    bool store_legal_hold;
    struct span log_dir, log_origin;
    uint32_t log_fsync_ms, log_checkpoint_ms;
    uint64_t log_rotate_bytes;
    enum log_level diagnostics_level;
    enum log_format diagnostics_format;
    struct span seal_key_file, log_key_file;
    struct config_limits limits;
    char digest_hex[65]; /* SHA-256 of the file */
};

/* Loads and checks `path` (also owner and mode of the file: RC_CONFIG when
 * others can write it). Relative paths inside are taken from the directory of
 * the file. On RC_CONFIG the reasons are in `notes`; `*ret_source` (in `m`) is
 * the text for printing them. */
int config_load(struct mem *m, const char *path, const struct config **ret,
                struct policy_notes *notes, struct span *ret_source,
                struct fail *f) must_use;

/* The same for a text in memory; `path` is only for messages and for the
 * directory of relative paths. */
int config_parse(struct mem *m, struct span text, const char *path,
                 const struct config **ret, struct policy_notes *notes,
                 struct fail *f) must_use;

/* Reads a whole small file into `m`: regular, at most max_bytes; `secret`
 * refuses files that group or others can read or write and strips one trailing
 * line end. */
int config_read_file(struct mem *m, struct span path, size_t max_bytes,
                     bool secret, struct span *ret, struct fail *f) must_use;

#endif
