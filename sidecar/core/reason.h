// SPDX-License-Identifier: Apache-2.0
/*
 * Why an answer is what it is. The list is documented in docs/decision-log.md
 * and append-only: codes are in records that auditors keep.
 */
#ifndef SIDECAR_CORE_REASON_H
#define SIDECAR_CORE_REASON_H

/* id, code in records and answers, sentence for people */
#define REASON_MAP(X)                                                          \
    X(NONE, "none", "")                                                        \
    X(ALLOWED, "allowed", "allowed")                                           \
    X(ALLOWED_OLD, "allowed_old",                                              \
      "allowed on an older read while the SCIM server does not answer")        \
    X(UNKNOWN_AGENT, "unknown_agent", "no such agent is known")                \
    X(AGENT_SUSPENDED, "agent_suspended", "the agent is suspended")            \
    X(AGENT_IN_REVIEW, "agent_in_review", "the agent waits for a review")      \
    X(AGENT_UNCOVERED, "agent_uncovered",                                      \
      "no feed reports changes of the agent at the moment")                    \
    X(AGENT_INACTIVE, "agent_inactive", "the agent is not active")             \
    X(AGENT_GONE, "agent_gone", "the agent no longer exists")                  \
    X(NOT_AN_AGENT, "not_an_agent", "the subject is not an agent")             \
    X(REFRESH_PENDING, "refresh_pending",                                      \
      "a fresh read of the agent has not come back in time")                   \
    X(REFRESH_FAILED, "refresh_failed",                                        \
      "the agent could not be read and its last state is not current")         \
    X(TOO_MANY_WAITING, "too_many_waiting",                                    \
      "too many questions wait for reads already")                             \
    X(TOOL_NOT_NAMED, "tool_not_named", "no gate rule names the tool")         \
    X(GATE_RULE, "gate_rule", "a gate rule does not allow the tool")           \
    X(CALLER_NOT_ALLOWED, "caller_not_allowed",                                \
      "the caller may not ask about this agent")                               \
    X(CALLER_TOO_FAST, "caller_too_fast", "the caller asks too often")         \
    X(LOG_STALLED, "log_stalled", "the decision log does not keep up")         \
    X(LOG_BROKEN, "log_broken", "the decision log cannot be written")          \
    X(STORE_BLOCKED, "store_blocked", "the store cannot be written now")       \
    X(STORE_POISONED, "store_poisoned", "the store has failed")                \
    X(LIMIT_REACHED, "limit_reached", "a table of the sidecar is full")        \
    X(BAD_REQUEST, "bad_request", "the question is malformed")                 \
    X(SHUTTING_DOWN, "shutting_down", "the sidecar is stopping")               \
    X(CANCELLED, "cancelled", "the call was cancelled")                        \
    X(LEASE_UNKNOWN, "lease_unknown", "no such lease")                         \
    X(BEYOND_LIMIT, "beyond_limit",                                            \
      "a limit of the policy is passed: a person must let it go")              \
    X(NEVER_FOR, "never_for",                                                  \
      "the policy leaves this to a person for this agent")

enum reason {
#define X(id, code, text) REASON_##id,
    REASON_MAP(X)
#undef X
        REASON_COUNT
};

/* "agent_suspended" and the sentence; never NULL. */
const char *reason_code(enum reason r);
const char *reason_text(enum reason r);

#endif
