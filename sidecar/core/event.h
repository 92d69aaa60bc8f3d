// SPDX-License-Identifier: Apache-2.0
/*
 * One verified, normalised statement: what a SET says once its signature and
 * claims are accepted. Several event URIs in one SET are one transaction about
 * one resource (RFC 9967 2.1), hence the parts.
 *
 * All spans and trees belong to the event's arena; the engine copies what it
 * keeps.
 */
#ifndef SIDECAR_CORE_EVENT_H
#define SIDECAR_CORE_EVENT_H

#include "policy/policy.h"

#define EVENT_PARTS_MAX 16
#define EVENT_CHANGED_MAX 128
#define EVENT_HASH_BYTES 32
#define EVENT_TIME_NONE INT64_MIN
#define SUBJECT_URI_MAX 256
#define EVENT_JTI_MAX 512

struct event_part {
    enum event_type type;
    enum event_form form;
    struct span uri;                 /* as received */
    const struct attr_path *changed; /* from `attributes` or `data` */
    unsigned changed_count;
    bool changed_anything; /* a path could not be parsed, or none is listed */
    struct span version;   /* ETag after the event, normalised; may be empty */
    const struct doc *payload; /* the whole event object */
    /* Group members that `data` adds or names (full forms): `value`s. */
    const struct span *members;
    unsigned member_count;
};

struct event {
    struct span feed;             /* the feed's durable name */
    struct span issuer, jti, txn; /* txn may be empty */
    bool has_subject; /* false: verification, stream-updated, foreign format */
    enum subject_kind kind;
    struct span base;          /* SCIM base URL, from configuration */
    struct span uri;           /* "/Agents/7" */
    struct span stream_status; /* stream-updated: enabled paused disabled */
    struct event_part parts[EVENT_PARTS_MAX];
    unsigned part_count;
    int64_t iat_ms, toe_ms; /* wall; EVENT_TIME_NONE when absent */
    unsigned char payload_hash[EVENT_HASH_BYTES]; /* SHA-256 of the payload */
};

#endif
