// SPDX-License-Identifier: Apache-2.0
/* What the tests of SETs share: pieces of payloads, a strict feed, and one
 * arena a test. */
#ifndef TESTS_UNIT_SET_CASE_H
#define TESTS_UNIT_SET_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "adapters/sources/set.h"

#include <cmocka.h> /* last: it defines a macro named fail */

#define NOW_MS (INT64_C(1790000000) * 1000)
#define ISS "\"iss\":\"https://events.corp.example\","
#define AUD "\"aud\":\"https://us.example/eu-1\","
#define TIME "\"iat\":1790000000,"
#define JTI "\"jti\":\"j1\","
#define ENVELOPE ISS AUD TIME JTI
#define AGENT "\"sub_id\":{\"format\":\"scim\",\"uri\":\"/Agents/ag-7\"},"
#define GROUP "\"sub_id\":{\"format\":\"scim\",\"uri\":\"/Groups/g-1\"},"
#define STREAM "\"sub_id\":{\"format\":\"opaque\",\"id\":\"eu-1-5b0c\"},"
#define SCIM_URI "urn:ietf:params:scim:event:"
#define EVENT(uri, payload) "\"events\":{\"" uri "\":" payload "}"
#define DEACTIVATE EVENT(SCIM_URI "prov:deactivate", "{}")
#define REVOKED EVENT(EVENT_URI_CAEP "session-revoked", "{}")
#define SET(subject, events) "{" ENVELOPE subject events "}"
#define PATCH_OP                                                               \
    "\"schemas\":[\"urn:ietf:params:scim:api:messages:2.0:PatchOp\"]"

static const struct span audiences[] = {
    {(const unsigned char *)"https://us.example/eu-1", 23},
    {(const unsigned char *)"https://us.example/other", 24},
};

static inline struct set_rules strict_rules(void)
{
    return (struct set_rules){
        .feed = SPAN("hr"),
        .issuer = SPAN("https://events.corp.example"),
        .audiences = audiences,
        .audience_count = 2,
        .base = SPAN("https://scim.corp.example/tenants/t1/v2"),
        .types = {{SPAN("Agents"), SUBJECT_AGENT},
                  {SPAN("Users"), SUBJECT_USER},
                  {SPAN("Groups"), SUBJECT_GROUP}},
        .type_count = 3,
        .algs = JWS_ES256 | JWS_RS256,
    };
}

static struct arena arena;

static inline int start(void **state)
{
    (void)state;
    arena_init(&arena, mem_system(), 64 * 1024 * 1024);
    return 0;
}

static inline int stop(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

static struct fail why;

static inline int claims(const struct set_rules *rules, const char *payload,
                         struct set_result *ret)
{
    why = (struct fail){0};
    arena_clear(&arena);
    int rc =
        set_claims(&arena.mem, rules, span_str(payload), NOW_MS, ret, &why);
    assert_int_equal(rc < 0, ret->err != SET_OK);
    assert_true(rc == 0 || rc == RC_PROTOCOL);
    assert_true(rc == 0 || why.text[0] != 0);
    if (rc < 0)
        assert_int_equal(ret->event.part_count, 0);
    return rc;
}

static inline const struct event *accepted(const struct set_rules *rules,
                                           const char *payload)
{
    static struct set_result result;
    if (claims(rules, payload, &result) < 0)
        fail_msg("%s\n%s: %s", payload, set_err_word(result.err), why.text);
    assert_false(result.dirty);
    return &result.event;
}

#endif
