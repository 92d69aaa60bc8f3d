// SPDX-License-Identifier: Apache-2.0
/*
 * The statements that policy knows by name. One list gives the enum, the short
 * name used in policy files and records, and the event URI (RFC 9967 section
 * 7.4, CAEP 1.0, RISC 1.0, SSF 1.0 section 8.1.4). A type covers the notice
 * and full forms of a SCIM event.
 */
#ifndef POLICY_EVENT_TYPE_H
#define POLICY_EVENT_TYPE_H

#include <stdbool.h>
#include <stdint.h>
#include "sidecar/base/span.h"

#define EVENT_URI_SCIM "urn:ietf:params:scim:event:"
#define EVENT_URI_CAEP "https://schemas.openid.net/secevent/caep/event-type/"
#define EVENT_URI_RISC "https://schemas.openid.net/secevent/risc/event-type/"
#define EVENT_URI_SSF "https://schemas.openid.net/secevent/ssf/event-type/"

/* id, short name, URI without :notice/:full, has notice and full forms */
#define EVENT_TYPE_MAP(X)                                                      \
    X(FEED_ADD, "feed.add", EVENT_URI_SCIM "feed:add", false)                  \
    X(FEED_REMOVE, "feed.remove", EVENT_URI_SCIM "feed:remove", false)         \
    X(CREATE, "create", EVENT_URI_SCIM "prov:create", true)                    \
    X(PATCH, "patch", EVENT_URI_SCIM "prov:patch", true)                       \
    X(PUT, "put", EVENT_URI_SCIM "prov:put", true)                             \
    X(DELETE, "delete", EVENT_URI_SCIM "prov:delete", false)                   \
    X(ACTIVATE, "activate", EVENT_URI_SCIM "prov:activate", false)             \
    X(DEACTIVATE, "deactivate", EVENT_URI_SCIM "prov:deactivate", false)       \
    X(ASYNCRESP, "asyncresp", EVENT_URI_SCIM "misc:asyncresp", false)          \
    X(CAEP_SESSION_REVOKED, "caep.session-revoked",                            \
      EVENT_URI_CAEP "session-revoked", false)                                 \
    X(CAEP_TOKEN_CLAIMS_CHANGE, "caep.token-claims-change",                    \
      EVENT_URI_CAEP "token-claims-change", false)                             \
    X(CAEP_CREDENTIAL_CHANGE, "caep.credential-change",                        \
      EVENT_URI_CAEP "credential-change", false)                               \
    X(CAEP_ASSURANCE_LEVEL_CHANGE, "caep.assurance-level-change",              \
      EVENT_URI_CAEP "assurance-level-change", false)                          \
    X(CAEP_DEVICE_COMPLIANCE_CHANGE, "caep.device-compliance-change",          \
      EVENT_URI_CAEP "device-compliance-change", false)                        \
    X(CAEP_SESSION_ESTABLISHED, "caep.session-established",                    \
      EVENT_URI_CAEP "session-established", false)                             \
    X(CAEP_SESSION_PRESENTED, "caep.session-presented",                        \
      EVENT_URI_CAEP "session-presented", false)                               \
    X(CAEP_RISK_LEVEL_CHANGE, "caep.risk-level-change",                        \
      EVENT_URI_CAEP "risk-level-change", false)                               \
    X(RISC_CREDENTIAL_CHANGE_REQUIRED,                                         \
      "risc.account-credential-change-required",                               \
      EVENT_URI_RISC "account-credential-change-required", false)              \
    X(RISC_ACCOUNT_PURGED, "risc.account-purged",                              \
      EVENT_URI_RISC "account-purged", false)                                  \
    X(RISC_ACCOUNT_DISABLED, "risc.account-disabled",                          \
      EVENT_URI_RISC "account-disabled", false)                                \
    X(RISC_ACCOUNT_ENABLED, "risc.account-enabled",                            \
      EVENT_URI_RISC "account-enabled", false)                                 \
    X(RISC_IDENTIFIER_CHANGED, "risc.identifier-changed",                      \
      EVENT_URI_RISC "identifier-changed", false)                              \
    X(RISC_IDENTIFIER_RECYCLED, "risc.identifier-recycled",                    \
      EVENT_URI_RISC "identifier-recycled", false)                             \
    X(RISC_CREDENTIAL_COMPROMISE, "risc.credential-compromise",                \
      EVENT_URI_RISC "credential-compromise", false)                           \
    X(RISC_OPT_IN, "risc.opt-in", EVENT_URI_RISC "opt-in", false)              \
    X(RISC_OPT_OUT_INITIATED, "risc.opt-out-initiated",                        \
      EVENT_URI_RISC "opt-out-initiated", false)                               \
    X(RISC_OPT_OUT_CANCELLED, "risc.opt-out-cancelled",                        \
      EVENT_URI_RISC "opt-out-cancelled", false)                               \
    X(RISC_OPT_OUT_EFFECTIVE, "risc.opt-out-effective",                        \
      EVENT_URI_RISC "opt-out-effective", false)                               \
    X(RISC_RECOVERY_ACTIVATED, "risc.recovery-activated",                      \
      EVENT_URI_RISC "recovery-activated", false)                              \
    X(RISC_RECOVERY_INFORMATION_CHANGED, "risc.recovery-information-changed",  \
      EVENT_URI_RISC "recovery-information-changed", false)                    \
    X(RISC_SESSIONS_REVOKED, "risc.sessions-revoked",                          \
      EVENT_URI_RISC "sessions-revoked", false)                                \
    X(SSF_VERIFICATION, "ssf.verification", EVENT_URI_SSF "verification",      \
      false)                                                                   \
    X(SSF_STREAM_UPDATED, "ssf.stream-updated",                                \
      EVENT_URI_SSF "stream-updated", false)                                   \
    X(REFRESHED, "refreshed", "", false) /* internal from here */              \
    X(FOUND_INACTIVE, "found_inactive", "", false)                             \
    X(FOUND_GONE, "found_gone", "", false)                                     \
    X(FEED_SILENT, "feed_silent", "", false)                                   \
    X(OPERATOR, "operator", "", false)                                         \
    X(UNKNOWN, "unknown", "", false) /* a URI that this version knows not */   \
    /* The order is on disk, as bits: append only. */                          \
    X(SCHEDULED, "scheduled", "", false) /* internal: a rule's `every` */      \
    X(IDLE, "idle", "", false)           /* internal: a rule's `idle` */

enum event_type {
#define X(id, name, uri, forms) EVENT_##id,
    EVENT_TYPE_MAP(X)
#undef X
        EVENT_TYPE_COUNT
};

/* A set of types, one bit each. */
typedef uint64_t event_mask;
#define EVENT_BIT(type) ((event_mask)1 << (type))
_Static_assert(EVENT_TYPE_COUNT <= 64, "event_mask is too narrow");

enum event_form { FORM_PLAIN, FORM_NOTICE, FORM_FULL };

/* "deactivate". Never NULL. */
const char *event_type_name(enum event_type t);

/* URI without the form suffix; "" for internal types. */
const char *event_type_uri(enum event_type t);

/* By URI, exact comparison (RFC 9967 7.4). EVENT_UNKNOWN for any other, also
 * for `prov:delete:full` and the like, which do not exist. */
enum event_type event_type_from_uri(struct span uri, enum event_form *ret_form);

/* By short name or URI; false when there is none. Internal names count. */
bool event_type_from_name(struct span name, enum event_type *ret);

/* The types that a pattern of a policy means: "*" is everything that a feed can
 * send (known or not), "caep.*" and the like are one family. 0: no pattern. */
event_mask event_family(struct span pattern);

/* The i-th pattern, or NULL. */
const char *event_family_name(unsigned i);

/* Offers every type and family to `n`; when none is near, the type whose last
 * part is that of `name`: deactivate for prov:deactivate. */
struct near;
void event_type_near(struct near *n, struct span name);

#endif
