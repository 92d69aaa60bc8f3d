// SPDX-License-Identifier: Apache-2.0
/*
 * What the operator commands share: where the socket is, one request and its
 * errors, and words for what the sidecar answers. An "exit" below is an exit
 * code of sidecar/cli.h; EXIT_YES means go on.
 */
#ifndef SIDECAR_OPERATOR_H
#define SIDECAR_OPERATOR_H

#include "sidecar/base/doc.h"
#include "sidecar/base/json_out.h"
#include "sidecar/cli.h"
#include "sidecar/term.h"

#define OPERATOR_REASON_MAX 512
#define OPERATOR_DIGEST_SHOWN 16
#define OPERATOR_MEMORY_MAX (512u * 1024 * 1024)

struct operator
{
    /* set by cli_parse through OPERATOR_OPTIONS */
    const char *config, *socket;
    bool json;
    const char *reason, *feed;
    /* private */
    struct arena arena;
    struct term term;
    struct buf out;
    char path[256];
};

/* Rows for every operator command's option table. */
#define OPERATOR_OPTIONS(o)                                                    \
    {"config", 'c', NULL, &(o)->config}, {"socket", 's', NULL, &(o)->socket},  \
        {"feed", 'f', NULL, &(o)->feed},                                       \
    {                                                                          \
        "json", 'j', &(o)->json, NULL                                          \
    }
#define OPERATOR_OPTIONS_HELP                                                  \
    "  -c, --config FILE   find the socket in this bailiff.yaml\n"             \
    "  -s, --socket PATH   the admin socket; default "                         \
    "/run/bailiff/admin.sock\n"                                                \
    "  -f, --feed NAME     only this feed; needed when two know one uri\n"     \
    "  -j, --json          the sidecar's answer as JSON\n"
#define OPERATOR_REASON_HELP                                                   \
    "  -r, --reason TEXT   why; goes into the decision log\n"

/* After cli_parse: finds the socket, looks at the terminal. */
int operator_open(struct operator* o);
/* Prints what was put into o->out; returns `code`, or EXIT_ENVIRONMENT when
 * stdout is gone. Frees everything. */
int operator_close(struct operator* o, int code);

/* One request. Prints the sidecar's refusal or why there is none; then the
 * exit is EXIT_NO or EXIT_ENVIRONMENT. `body` with p NULL: GET. */
int operator_call(struct operator* o, const char *target, struct span body,
                  const struct doc **ret, struct span *ret_text);

/* The same for GET of a target that was put together. */
int operator_get(struct operator* o, const struct buf *target,
                 const struct doc **ret, struct span *ret_text);

/* Checks o->reason; prints advice and returns EXIT_USAGE when it is missing. */
int operator_check_reason(const struct operator* o, const char *command);

/* Starts {"agent": ..., "feed": ..., "reason": ...} in `b`; the caller adds
 * members and closes the map. */
void operator_body(struct operator* o, struct buf *b, struct json_out *j,
                   const char *agent);

/* "?" or "&", then name=value, percent-encoded; nothing for a NULL value. */
void operator_query(struct buf *target, const char *name, const char *value);
/* Percent-encodes everything but unreserved characters (RFC 3986 2.3). */
void operator_encode(struct buf *target, struct span s);

/* A NUL-terminated text in the arena; "" when out of memory. */
const char *operator_str(struct operator* o, struct span s);
struct span operator_printf(struct operator* o, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* "5m ago" of a time member; "-" when absent or malformed. */
struct span operator_ago(struct operator* o, const struct doc *d,
                         struct span key);
/* A text member or "-". */
struct span operator_text(const struct doc *d, struct span key);
/* The first digits of a digest member, enough to find it again. */
struct span operator_digest(const struct doc *d, struct span key);
/* A number member, or 0. */
int64_t operator_number(const struct doc *d, struct span key);

struct operator_words {
    struct span text;
    enum tone tone;
};
/* may_act -> "may act". Unknown words come out as they are. */
struct operator_words operator_standing(const struct doc *agent);
struct operator_words operator_job_state(struct operator* o,
                                         const struct doc *job);

/* "suspended by rule stop, jti 4f2c, 5m ago, all tools". */
struct span operator_hold(struct operator* o, const struct doc *hold);

/* A list member's count, or the number when it is one already. */
int64_t operator_count(const struct doc *d, struct span key);

/* Adds a row; out of memory is latched in o->out. */
void operator_cell(struct operator* o, struct table *t, struct span text,
                   enum tone tone);

#endif
