// SPDX-License-Identifier: Apache-2.0
/*
 * A verified SET payload to an event: RFC 8417 and RFC 9967 claims checks.
 * Every refusal carries the RFC 8935 2.4 code that push answers and poll
 * reports (standards 0.6).
 */
#ifndef ADAPTERS_SOURCES_SET_H
#define ADAPTERS_SOURCES_SET_H

#include "adapters/jws.h"
#include "sidecar/core/event.h"

#define SET_EVENT_URI_MAX 512
#define SET_SEGMENT_MAX 128      /* bytes of each segment of sub_id.uri */
#define SET_SUBJECT_PARTS_MAX 16 /* aliases, members of a complex subject */
#define SET_MEMBERS_MAX 32768    /* group members in one event */
#define SET_FUTURE_MS_DEFAULT (10 * 60 * 1000)

enum set_err {
    SET_OK,
    SET_INVALID_REQUEST,
    SET_INVALID_KEY,
    SET_INVALID_ISSUER,
    SET_INVALID_AUDIENCE,
    SET_AUTHENTICATION_FAILED,
    SET_ACCESS_DENIED,
    SET_INVALID_STATE
};
/* "invalid_request", exact registered spelling. */
const char *set_err_word(enum set_err e);

/* What one feed accepts; immutable snapshot of configuration. */
struct set_rules {
    struct span feed;   /* name */
    struct span issuer; /* exact, 8417 2.2 */
    const struct span *audiences;
    unsigned audience_count;
    struct span base; /* SCIM base URL without trailing slash */
    /* First path segment -> kind. */
    struct {
        struct span segment;
        enum subject_kind kind;
    } types[8];
    unsigned type_count;
    unsigned algs;         /* enum jws_alg bits */
    bool allow_untyped;    /* accept an absent `typ` (never another) */
    bool allow_sub;        /* tolerate and ignore `sub` */
    bool allow_exp;        /* tolerate and ignore `exp` */
    bool uri_aliases;      /* draft spellings of event URIs, 9967-R11 */
    int64_t future_ms;     /* iat further ahead is refused; 0: 10 min */
    struct span stream_id; /* expected in verification sub_id; may be empty */
};

/* What the checks found. */
struct set_result {
    struct event event;
    enum set_err err; /* SET_OK on success and when the trouble is ours */
    enum jws_why why; /* of the signature; tells JWS_NO_KEY apart */
    bool dirty;       /* refused, but the subject must be marked stale */
};

/* The part of set_accept behind the signature: the payload of a token that is
 * known to be authentic. RC_PROTOCOL with `err` when refused; RC_NO_MEMORY. */
int set_claims(struct mem *m, const struct set_rules *rules,
               struct span payload, int64_t now_ms, struct set_result *ret,
               struct fail *f) must_use;

/* Verifies and normalises one compact SET. Everything in `ret` lives in `m`.
 * `now_ms` is wall time. On failure `ret->err` is the code to report and `f`
 * the description (safe to show to the transmitter); SET_OK there means the
 * trouble is ours (memory): answer 503, never an error code. 9967-R13: when the
 * events of an authentic SET about a known kind of subject cannot be accepted,
 * the call fails with SET_INVALID_REQUEST but fills `ret->event` with the
 * subject and part_count 0 and sets `ret->dirty`: the subject must be marked
 * stale. */
int set_accept(struct mem *m, const struct set_rules *rules,
               const struct jws_keys *keys, struct span token, int64_t now_ms,
               struct set_result *ret, struct fail *f) must_use;

/* Checks a sub_id.uri against T7: absolute path of exactly two segments, the
 * first in `types`, the second 1 to 128 of [A-Za-z0-9._~-] and not dots alone:
 * no escapes, query, fragment. RC_SYNTAX; RC_DENIED for another first segment.
 */
int set_check_uri(const struct set_rules *rules, struct span uri,
                  enum subject_kind *ret, struct fail *f) must_use;

#endif
