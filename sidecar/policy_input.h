// SPDX-License-Identifier: Apache-2.0
/*
 * What `bailiff policy explain` is asked about when it is a file or standard
 * input: a token as a transmitter sends it (compact JWS), its claims as JSON,
 * a short JSON form of an event, or a question for the gate:
 *
 *     {"event": "patch", "subject": "/Agents/7", "changed": ["title"],
 *      "feed": "hr", "payload": {...}, "resource": {...}}
 *     {"tool": "pay.send", "run_id": "r1", "resource": {...}}
 *
 * A token is decoded without trusting it, unless the configuration of its feed
 * is given.
 */
#ifndef SIDECAR_POLICY_INPUT_H
#define SIDECAR_POLICY_INPUT_H

#include "sidecar/base/buf.h"
#include "sidecar/core/event.h"

#define POLICY_INPUT_BYTES_MAX (1024 * 1024)

struct policy_input_from {
    const char *path;   /* a file, or "-" */
    const char *config; /* bailiff.yaml: verify with it; or NULL */
    const char *jwk;    /* a copy of the feed's keys; or NULL */
    const char *feed;   /* the feed's name; otherwise found by issuer */
};

struct policy_input {
    bool is_question;
    struct event event; /* unless it is a question */
    struct span tool;
    const struct doc *more;     /* call.* of a question, or NULL */
    const struct doc *resource; /* what a read found, or NULL */
    bool is_token, verified;
    char why_not[FAIL_TEXT_MAX]; /* a token was not verified: why */
};

/* Everything lives in `m`. RC_SYNTAX and RC_PROTOCOL: the input is no such
 * thing, or a feed would refuse it; RC_CONFIG: the configuration; RC_IO. */
int policy_input_read(struct mem *m, const struct policy_input_from *from,
                      struct policy_input *ret, struct fail *f) must_use;

/* RC_SYNTAX: there is no such event, and which one may be meant. */
int policy_input_no_event(struct span name, struct fail *f) must_use;

/* "/Agents/7": what it is the path of. False for another first segment. */
bool policy_input_kind(struct span uri, enum subject_kind *ret);

#endif
