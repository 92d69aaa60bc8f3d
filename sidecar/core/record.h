// SPDX-License-Identifier: Apache-2.0
/*
 * One line of the decision log, as JSON members in a fixed order. The list of
 * fields here is the only one: docs/decision-log.schema.json is made from it.
 * The log writer puts `{"v":1,"seq":N,` in front.
 */
#ifndef SIDECAR_CORE_RECORD_H
#define SIDECAR_CORE_RECORD_H

#include "sidecar/base/json_out.h"
#include "sidecar/core/engine.h"

/* kind, word, what such a record says */
#define RECORD_KIND_MAP(X)                                                     \
    X(EVENT, "event", "a statement arrived and was accepted or refused")       \
    X(VERDICT, "verdict", "a rule matched, and what follows")                  \
    X(ACTION, "action", "a hold, a job or a directive changed its state")      \
    X(GATE, "gate", "a question was answered")                                 \
    X(READ, "read", "a SCIM read ended")                                       \
    X(POLICY, "policy", "a policy became active or was refused")               \
    X(FEED, "feed", "a feed changed its state")                                \
    X(KEY, "key", "the keys of a feed changed")                                \
    X(OPERATOR, "operator", "a person did something")                          \
    X(LOG, "log", "the sidecar or its log started, stopped or was in trouble") \
    X(CANDIDATE, "candidate", "the candidate policy would have differed")

enum record_kind {
#define X(id, word, doc) RECORD_##id,
    RECORD_KIND_MAP(X)
#undef X
        RECORD_KIND_COUNT
};

/* name, C type of the member, JSON type, what it means. In output order. */
#define RECORD_FIELD_MAP(X)                                                    \
    X(agent, struct span, "string", "SCIM path of the subject")                \
    X(base, struct span, "string", "SCIM base URL the path is under")          \
    X(feed, struct span, "string", "name of the feed")                         \
    X(event, struct span, "string", "short name of the event type")            \
    X(jti, struct span, "string", "token that caused it")                      \
    X(txn, struct span, "string", "the transmitter's transaction")             \
    X(caller, struct span, "string",                                           \
      "who asked, by name in the configuration")                               \
    X(runtime, struct span, "string", "the agent runtime")                     \
    X(tool, struct span, "string", "tool that the question or call is about")  \
    X(call, struct span, "string", "the runtime's id of the tool call")        \
    X(run, struct span, "string", "the runtime's id of the run")               \
    X(rule, struct span, "string", "policy rule that decided")                 \
    X(action, struct span, "string", "what was done, or is to be done")        \
    X(hold, struct span, "string", "kind of the hold")                         \
    X(target, struct span, "string", "what the action is aimed at")            \
    X(job, uint64_t, "hex", "the job, for `bailiff jobs`")                     \
    X(attempt, uint64_t, "integer", "which attempt this was")                  \
    X(reach, int64_t, "integer", "how many targets the action has at all")     \
    X(confirmed, int64_t, "integer", "how many of them are confirmed")         \
    X(outcome, struct span, "string", "how it went")                           \
    X(reason, struct span, "string", "reason code, see docs/decision-log.md")  \
    X(would, bool, "boolean", "audit mode: this was not carried out")          \
    X(count, int64_t, "integer", "how many agents one statement touched")      \
    X(status, uint64_t, "integer", "HTTP status")                              \
    X(etag, struct span, "string", "ETag of the read")                         \
    X(iat, int64_t, "time", "when the token says it was issued")               \
    X(toe, int64_t, "time", "when the token says it happened")                 \
    X(payload, struct span, "hex", "SHA-256 of the token's payload")           \
    X(person, struct span, "string", "the operator")                           \
    X(why, struct span, "string", "the operator's or peer's own words")        \
    X(epoch, uint64_t, "integer", "the agent's epoch")                         \
    X(policy, struct span, "string",                                           \
      "first 16 digits of the policy's SHA-256")                               \
    X(config, struct span, "string", "the same of the configuration")          \
    X(trace_id, struct span, "string", "W3C trace id given by the caller")     \
    X(serial, uint64_t, "integer", "serial of the policy's signature")

struct record {
    enum record_kind kind;
    uint64_t input; /* journal row, or 0 */
    int64_t wall_ms;
    uint64_t decision; /* 0: none */
#define X(name, type, json, doc) type name;
    RECORD_FIELD_MAP(X)
#undef X
};

/* Empty spans, zeros, false, and -1 for reach, confirmed and count are left
 * out. */
void record_write(const struct record *r, struct buf *out);

/* A record with nothing but its kind. */
struct record record_of(enum record_kind kind);

const char *record_kind_word(enum record_kind k);

/* The JSON Schema (draft-07) of a line: `bailiff log schema`, kept as
 * docs/decision-log.schema.json. */
void record_schema(struct buf *out);

#endif
