// SPDX-License-Identifier: Apache-2.0
/*
 * Claims of SETs: one row per rule. Most rows call set_claims with the payload
 * alone; the rows about headers and keys go through set_accept with a token
 * signed here.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "adapters/json_doc.h"
#include "adapters/sources/set.h"
#include "tests/lib/token.h"

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
#define SET(subject, events) "{" ENVELOPE subject events "}"
#define PATCH_OP                                                               \
    "\"schemas\":[\"urn:ietf:params:scim:api:messages:2.0:PatchOp\"]"

static const struct span audiences[] = {
    {(const unsigned char *)"https://us.example/eu-1", 23},
    {(const unsigned char *)"https://us.example/other", 24},
};

static struct set_rules strict_rules(void)
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

static int start(void **state)
{
    (void)state;
    arena_init(&arena, mem_system(), 64 * 1024 * 1024);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

static struct fail why;

static int claims(const struct set_rules *rules, const char *payload,
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

static const struct event *accepted(const struct set_rules *rules,
                                    const char *payload)
{
    static struct set_result result;
    if (claims(rules, payload, &result) < 0)
        fail_msg("%s\n%s: %s", payload, set_err_word(result.err), why.text);
    assert_false(result.dirty);
    return &result.event;
}

/* Envelope: 0.6, 8417-R1 to R6, R17, 8725-R11, R25, SSF-R6, R7. */
static const struct {
    const char *payload;
    enum set_err err;
} envelopes[] = {
    {SET(AGENT, DEACTIVATE), SET_OK},
    {"", SET_INVALID_REQUEST},
    {"foo", SET_INVALID_REQUEST},
    {"[]", SET_INVALID_REQUEST},
    {"[" SET(AGENT, DEACTIVATE) "]", SET_INVALID_REQUEST},
    {SET(AGENT, DEACTIVATE) "x", SET_INVALID_REQUEST},
    {"\xef\xbb\xbf" SET(AGENT, DEACTIVATE), SET_INVALID_REQUEST},
    /* 8417-R3: duplicates anywhere */
    {"{" ISS ENVELOPE AGENT DEACTIVATE "}", SET_INVALID_REQUEST},
    {"{" ENVELOPE AGENT "\"events\":{\"" SCIM_URI
     "prov:deactivate\":{},\"" SCIM_URI "prov:deactivate\":{}}}",
     SET_INVALID_REQUEST},
    /* iss */
    {"{" AUD TIME JTI AGENT DEACTIVATE "}", SET_INVALID_REQUEST},
    {"{\"iss\":1," AUD TIME JTI AGENT DEACTIVATE "}", SET_INVALID_REQUEST},
    {"{\"iss\":\"https://events.corp.example/\"," AUD TIME JTI AGENT DEACTIVATE
     "}",
     SET_INVALID_ISSUER},
    {"{\"iss\":\"https://Events.corp.example\"," AUD TIME JTI AGENT DEACTIVATE
     "}",
     SET_INVALID_ISSUER},
    {"{\"iss\":\"events.corp.example\"," AUD TIME JTI AGENT DEACTIVATE "}",
     SET_INVALID_ISSUER},
    /* aud */
    {"{" ISS TIME JTI AGENT DEACTIVATE "}", SET_INVALID_AUDIENCE},
    {"{" ISS "\"aud\":[]," TIME JTI AGENT DEACTIVATE "}", SET_INVALID_AUDIENCE},
    {"{" ISS "\"aud\":\"https://us.example/eu-2\"," TIME JTI AGENT DEACTIVATE
     "}",
     SET_INVALID_AUDIENCE},
    {"{" ISS
     "\"aud\":[\"x\",\"https://us.example/eu-1\"]," TIME JTI AGENT DEACTIVATE
     "}",
     SET_OK},
    {"{" ISS
     "\"aud\":[\"https://us.example/eu-1\",7]," TIME JTI AGENT DEACTIVATE "}",
     SET_INVALID_REQUEST},
    {"{" ISS
     "\"aud\":{\"x\":\"https://us.example/eu-1\"}," TIME JTI AGENT DEACTIVATE
     "}",
     SET_INVALID_REQUEST},
    {"{" ISS "\"aud\":null," TIME JTI AGENT DEACTIVATE "}",
     SET_INVALID_REQUEST},
    /* iat: 8417-R17, 8725-R25 */
    {"{" ISS AUD JTI AGENT DEACTIVATE "}", SET_INVALID_REQUEST},
    {"{" ISS AUD "\"iat\":\"1790000000\"," JTI AGENT DEACTIVATE "}",
     SET_INVALID_REQUEST},
    {"{" ISS AUD "\"iat\":null," JTI AGENT DEACTIVATE "}", SET_INVALID_REQUEST},
    {"{" ISS AUD "\"iat\":-1," JTI AGENT DEACTIVATE "}", SET_INVALID_REQUEST},
    {"{" ISS AUD "\"iat\":-0.5," JTI AGENT DEACTIVATE "}", SET_INVALID_REQUEST},
    {"{" ISS AUD "\"iat\":1e300," JTI AGENT DEACTIVATE "}",
     SET_INVALID_REQUEST},
    {"{" ISS AUD "\"iat\":9223372036854775807," JTI AGENT DEACTIVATE "}",
     SET_INVALID_REQUEST},
    {"{" ISS AUD "\"iat\":0," JTI AGENT DEACTIVATE "}", SET_OK},
    {"{" ISS AUD "\"iat\":1790000000.25," JTI AGENT DEACTIVATE "}", SET_OK},
    {"{" ISS AUD "\"iat\":1790000600," JTI AGENT DEACTIVATE "}", SET_OK},
    {"{" ISS AUD "\"iat\":1790000601," JTI AGENT DEACTIVATE "}",
     SET_INVALID_REQUEST},
    {"{" ENVELOPE "\"toe\":\"x\"," AGENT DEACTIVATE "}", SET_INVALID_REQUEST},
    {"{" ENVELOPE "\"nbf\":1790000601," AGENT DEACTIVATE "}",
     SET_INVALID_REQUEST},
    {"{" ENVELOPE "\"nbf\":1," AGENT DEACTIVATE "}", SET_OK},
    /* jti, txn */
    {"{" ISS AUD TIME AGENT DEACTIVATE "}", SET_INVALID_REQUEST},
    {"{" ISS AUD TIME "\"jti\":7," AGENT DEACTIVATE "}", SET_INVALID_REQUEST},
    {"{" ISS AUD TIME "\"jti\":\"\"," AGENT DEACTIVATE "}",
     SET_INVALID_REQUEST},
    {"{" ENVELOPE "\"txn\":7," AGENT DEACTIVATE "}", SET_INVALID_REQUEST},
    {"{" ENVELOPE "\"txn\":\"t\"," AGENT DEACTIVATE "}", SET_OK},
    /* 9967-R2, SSF-R6, R7 */
    {"{" ENVELOPE "\"sub\":\"x\"," AGENT DEACTIVATE "}", SET_INVALID_REQUEST},
    {"{" ENVELOPE "\"exp\":1990000000," AGENT DEACTIVATE "}",
     SET_INVALID_REQUEST},
    /* 8417-R13 */
    {"{" ENVELOPE "\"new\":{\"claim\":1}," AGENT DEACTIVATE "}", SET_OK},
};

static void judges_envelopes(void **state)
{
    (void)state;
    struct set_rules rules = strict_rules();
    struct set_result result;
    for (size_t i = 0; i < sizeof envelopes / sizeof envelopes[0]; i++) {
        ignore_rc(
            claims(&rules, envelopes[i].payload, &result)); /* err says it */
        if (result.err != envelopes[i].err || result.dirty)
            fail_msg("row %zu %s\n%s %s", i, envelopes[i].payload,
                     set_err_word(result.err), why.text);
    }
}

static void switches_tolerate(void **state)
{
    (void)state;
    struct set_rules rules = strict_rules();
    rules.allow_sub = rules.allow_exp = true;
    rules.future_ms = 1000;
    assert_non_null(accepted(
        &rules, "{" ENVELOPE "\"sub\":\"x\",\"exp\":1," AGENT DEACTIVATE "}"));
    struct set_result result;
    assert_int_equal(
        claims(&rules,
               "{" ISS AUD "\"iat\":1790000002," JTI AGENT DEACTIVATE "}",
               &result),
        RC_PROTOCOL);
}

/* Longest jti, one more byte. */
static void bounds_jti(void **state)
{
    (void)state;
    struct set_rules rules = strict_rules();
    struct set_result result;
    static char payload[4096], jti[EVENT_JTI_MAX + 2];
    for (size_t n = EVENT_JTI_MAX; n <= EVENT_JTI_MAX + 1; n++) {
        memset(jti, 'j', n);
        (void)snprintf(payload, sizeof payload,
                       "{" ISS AUD TIME "\"jti\":\"%s\"," AGENT DEACTIVATE "}",
                       jti);
        int rc = claims(&rules, payload, &result);
        assert_int_equal(rc, n > EVENT_JTI_MAX ? RC_PROTOCOL : 0);
    }
}

static void fills_the_event(void **state)
{
    (void)state;
    struct set_rules rules = strict_rules();
    const struct event *e = accepted(
        &rules,
        "{" ISS AUD
        "\"iat\":1790000000.25,\"toe\":1789999999,"
        "\"txn\":\"t-1\"," JTI
        "\"sub_id\":{\"format\":\"scim\",\"uri\":\"/Users/u.1~_-\","
        "\"externalId\":\"x\",\"id\":\"u.1~_-\",\"userName\":\"n\"}," DEACTIVATE
        "}");
    assert_true(span_eq(e->feed, SPAN("hr")));
    assert_true(span_eq(e->issuer, SPAN("https://events.corp.example")));
    assert_true(span_eq(e->jti, SPAN("j1")));
    assert_true(span_eq(e->txn, SPAN("t-1")));
    assert_true(e->has_subject);
    assert_int_equal(e->kind, SUBJECT_USER);
    assert_true(span_eq(e->base, rules.base));
    assert_true(span_eq(e->uri, SPAN("/Users/u.1~_-")));
    assert_true(e->iat_ms == NOW_MS + 250);
    assert_true(e->toe_ms == NOW_MS - 1000);
    assert_int_equal(e->part_count, 1);
    assert_int_equal(e->parts[0].type, EVENT_DEACTIVATE);
    assert_int_equal(e->parts[0].changed_count, 0);
    assert_false(e->parts[0].changed_anything);
    unsigned char hash[JWS_SHA256_BYTES];
    e = accepted(&rules, SET(AGENT, DEACTIVATE));
    assert_true(e->toe_ms == EVENT_TIME_NONE && e->txn.n == 0);
    assert_int_equal(jws_sha256(SPAN(SET(AGENT, DEACTIVATE)), hash), 0);
    assert_memory_equal(hash, e->payload_hash, sizeof hash);
}

#define URI_ROW(uri, err)                                                      \
    {                                                                          \
        "\"sub_id\":{\"format\":\"scim\",\"uri\":\"" uri "\"},", err           \
    }

/* 9967-R3, R5, R7, T7, 9493-R1, R3, R7. */
static void judges_subjects(void **state)
{
    (void)state;
    static const struct {
        const char *subject;
        enum set_err err;
    } rows[] = {
        URI_ROW("/Agents/ag-7", SET_OK),
        URI_ROW("/Agents/a.b", SET_OK),
        URI_ROW("https://evil.example/Agents/1", SET_INVALID_REQUEST),
        URI_ROW("file:///etc/passwd", SET_INVALID_REQUEST),
        URI_ROW("//evil/x", SET_INVALID_REQUEST),
        URI_ROW("///Agents/1", SET_INVALID_REQUEST),
        URI_ROW("/\\\\evil/x", SET_INVALID_REQUEST),
        URI_ROW("\\\\evil\\\\x", SET_INVALID_REQUEST),
        URI_ROW("Agents/1", SET_INVALID_REQUEST),
        URI_ROW("/Agents", SET_INVALID_REQUEST),
        URI_ROW("/Agents/", SET_INVALID_REQUEST),
        URI_ROW("/Agents/1/", SET_INVALID_REQUEST),
        URI_ROW("/Agents/1/2", SET_INVALID_REQUEST),
        URI_ROW("/Agents//1", SET_INVALID_REQUEST),
        URI_ROW("/", SET_INVALID_REQUEST),
        URI_ROW("", SET_INVALID_REQUEST),
        URI_ROW("/Agents/.", SET_INVALID_REQUEST),
        URI_ROW("/Agents/..", SET_INVALID_REQUEST),
        URI_ROW("/Agents/...", SET_INVALID_REQUEST),
        URI_ROW("/../admin", SET_INVALID_REQUEST),
        URI_ROW("/Agents/../Users/1", SET_INVALID_REQUEST),
        URI_ROW("/Agents/..%2fx", SET_INVALID_REQUEST),
        URI_ROW("/Agents/%2e%2e", SET_INVALID_REQUEST),
        URI_ROW("/Agents/1%00", SET_INVALID_REQUEST),
        URI_ROW("/Agents/1?x=1", SET_INVALID_REQUEST),
        URI_ROW("/Agents/1#f", SET_INVALID_REQUEST),
        URI_ROW("/Agents/1;p", SET_INVALID_REQUEST),
        URI_ROW("/Agents/u@evil", SET_INVALID_REQUEST),
        URI_ROW("/Agents/1 ", SET_INVALID_REQUEST),
        URI_ROW("/Agents/1\\n", SET_INVALID_REQUEST),
        URI_ROW("/Agents/1\\r\\nHost: x", SET_INVALID_REQUEST),
        URI_ROW("/Agents/\xe2\x80\xa4\xe2\x80\xa4", SET_INVALID_REQUEST),
        URI_ROW("/Agents/\xef\xbc\x8fx", SET_INVALID_REQUEST),
        URI_ROW("/Devices/1", SET_ACCESS_DENIED),
        URI_ROW("/agents/1", SET_ACCESS_DENIED),
        {"", SET_INVALID_REQUEST},
        {"\"sub_id\":\"/Agents/1\",", SET_INVALID_REQUEST},
        {"\"sub_id\":[],", SET_INVALID_REQUEST},
        {"\"sub_id\":{},", SET_INVALID_REQUEST},
        {"\"sub_id\":{\"format\":7},", SET_INVALID_REQUEST},
        {"\"sub_id\":{\"format\":\"scim\"},", SET_INVALID_REQUEST},
        {"\"sub_id\":{\"format\":\"scim\",\"uri\":null},", SET_INVALID_REQUEST},
        {"\"sub_id\":{\"format\":\"SCIM\",\"uri\":\"/Agents/1\"},",
         SET_INVALID_REQUEST},
        {"\"sub_id\":{\"format\":\"scim\",\"uri\":\"/Agents/1\",\"id\":\"2\"},",
         SET_INVALID_REQUEST},
        {"\"sub_id\":{\"format\":\"scim\",\"uri\":\"/Agents/1\",\"id\":1},",
         SET_INVALID_REQUEST},
        {"\"sub_id\":{\"format\":\"scim\",\"uri\":\"/Agents/1\","
         "\"externalId\":[]},",
         SET_INVALID_REQUEST},
        /* a SCIM event about something that is no SCIM resource */
        {STREAM, SET_INVALID_REQUEST},
    };
    struct set_rules rules = strict_rules();
    struct set_result result;
    static char payload[4096];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)snprintf(payload, sizeof payload,
                       "{" ENVELOPE "%s" DEACTIVATE "}", rows[i].subject);
        ignore_rc(claims(&rules, payload, &result)); /* err says it */
        if (result.err != rows[i].err || result.dirty)
            fail_msg("%s: %s %s", rows[i].subject, set_err_word(result.err),
                     why.text);
    }
}

static void bounds_subject_uri(void **state)
{
    (void)state;
    struct set_rules rules = strict_rules();
    enum subject_kind kind;
    char uri[512] = "/Agents/";
    memset(uri + 8, 'x', 400);
    assert_int_equal(
        set_check_uri(&rules, span_of(uri, 8 + SET_SEGMENT_MAX), &kind, NULL),
        0);
    assert_int_equal(kind, SUBJECT_AGENT);
    assert_int_equal(
        set_check_uri(&rules, span_of(uri, 9 + SET_SEGMENT_MAX), &kind, NULL),
        RC_SYNTAX);
    assert_int_equal(
        set_check_uri(&rules, span_of(uri, SUBJECT_URI_MAX + 1), &kind, NULL),
        RC_SYNTAX);
}

#define REVOKED EVENT(EVENT_URI_CAEP "session-revoked", "{}")

/* 9493-R1, R3, R7: understood or not, never a subject of ours. */
static void accepts_foreign_formats(void **state)
{
    (void)state;
    static const struct {
        const char *sub_id;
        bool ok;
    } rows[] = {
        {"{\"format\":\"account\",\"uri\":\"acct:a@b\"}", true},
        {"{\"format\":\"email\",\"email\":\"a@b\"}", true},
        {"{\"format\":\"iss_sub\",\"iss\":\"i\",\"sub\":\"s\"}", true},
        {"{\"format\":\"opaque\",\"id\":\"x\"}", true},
        {"{\"format\":\"phone_number\",\"phone_number\":\"+49\"}", true},
        {"{\"format\":\"did\",\"url\":\"did:web:x\"}", true},
        {"{\"format\":\"uri\",\"uri\":\"spiffe://x\"}", true},
        {"{\"format\":\"jwt_id\",\"iss\":\"i\",\"jti\":\"j\"}", true},
        {"{\"format\":\"phone\",\"phone\":\"+49\"}", true},
        {"{\"format\":\"x-unknown\"}", true},
        {"{\"format\":\"aliases\",\"identifiers\":[{\"format\":\"email\","
         "\"email\":\"a@b\"}]}",
         true},
        {"{\"format\":\"complex\",\"user\":{\"format\":\"opaque\","
         "\"id\":\"x\"}}",
         true},
        {"{\"format\":\"email\"}", false},
        {"{\"format\":\"email\",\"email\":\"\"}", false},
        {"{\"format\":\"email\",\"email\":null}", false},
        {"{\"format\":\"iss_sub\",\"iss\":\"i\"}", false},
        {"{\"format\":\"aliases\",\"identifiers\":[]}", false},
        {"{\"format\":\"aliases\",\"identifiers\":[{\"format\":\"aliases\","
         "\"identifiers\":[]}]}",
         false},
        {"{\"format\":\"complex\"}", false},
        {"{\"format\":\"complex\",\"user\":\"x\"}", false},
    };
    struct set_rules rules = strict_rules();
    struct set_result result;
    static char payload[4096];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)snprintf(payload, sizeof payload,
                       "{" ENVELOPE "\"sub_id\":%s," REVOKED "}",
                       rows[i].sub_id);
        int rc = claims(&rules, payload, &result);
        if ((rc == 0) != rows[i].ok)
            fail_msg("%s: %s", rows[i].sub_id, why.text);
        assert_false(result.event.has_subject || result.dirty);
    }
}

/* 9967-R12 and R13, 8417-R2: refused and yet the subject becomes stale. */
static void refuses_events_and_marks_dirty(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "\"events\":{}",
        "\"events\":[]",
        "\"events\":\"x\"",
        "\"events\":null",
        "\"other\":1",
        EVENT(SCIM_URI "prov:deactivate", "\"x\""),
        EVENT(SCIM_URI "prov:deactivate", "[]"),
        EVENT(SCIM_URI "prov:deactivate", "null"),
        EVENT("no-scheme", "{}"),
        EVENT(":x", "{}"),
        EVENT("urn:", "{}"),
        EVENT("", "{}"),
        EVENT("1a:b", "{}"),
        EVENT("urn:a b", "{}"),
        EVENT(SCIM_URI "prov:patch:notice", "{}"),
        EVENT(SCIM_URI "prov:patch:full", "{}"),
        EVENT(SCIM_URI "prov:patch:notice",
              "{\"attributes\":[\"a\"],\"data\":{}}"),
        EVENT(SCIM_URI "prov:patch:full",
              "{\"attributes\":[\"a\"],\"data\":{}}"),
        EVENT(SCIM_URI "prov:patch:full", "{\"attributes\":[\"a\"]}"),
        EVENT(SCIM_URI "prov:patch:notice", "{\"data\":{}}"),
        EVENT(SCIM_URI "prov:create:full", "{\"attributes\":[\"a\"]}"),
        EVENT(SCIM_URI "prov:put:notice", "{\"data\":{}}"),
        EVENT(SCIM_URI "prov:put:notice", "{\"attributes\":\"active\"}"),
        EVENT(SCIM_URI "prov:put:notice", "{\"attributes\":[1]}"),
        EVENT(SCIM_URI "prov:put:full", "{\"data\":[]}"),
        EVENT(SCIM_URI "prov:put:full", "{\"data\":{\"id\":\"other\"}}"),
        EVENT(SCIM_URI "prov:patch:full", "{\"data\":{" PATCH_OP "}}"),
        EVENT(SCIM_URI "prov:patch:notice",
              "{\"attributes\":[\"a\"],\"version\":7}"),
        EVENT(SCIM_URI "prov:delete",
              "{\"subject\":{\"format\":\"scim\",\"uri\":\"/Agents/8\"}}"),
        EVENT(SCIM_URI "misc:asyncresp", "{}"),
        EVENT(SCIM_URI "misc:asyncresp", "{\"method\":\"PUT\"}"),
        EVENT(SCIM_URI "misc:asyncresp", "{\"status\":\"200\"}"),
        EVENT(SCIM_URI "misc:asyncresp",
              "{\"method\":\"PUT\",\"status\":\"20x\"}"),
        EVENT(SCIM_URI "misc:asyncresp", "{\"method\":\"PUT\",\"status\":99}"),
        EVENT(SCIM_URI "misc:asyncresp",
              "{\"method\":\"PUT\",\"status\":\"409\"}"),
        EVENT(EVENT_URI_CAEP "credential-change",
              "{\"credential_type\":\"x509\"}"),
        EVENT(EVENT_URI_CAEP "token-claims-change", "{\"claims\":[]}"),
        EVENT(EVENT_URI_CAEP "session-revoked", "{\"event_timestamp\":\"x\"}"),
        EVENT(EVENT_URI_SSF "verification", "{}"),
        /* a second, malformed event spoils the whole SET (8417-R16) */
        "\"events\":{\"" SCIM_URI "prov:deactivate\":{},\"" SCIM_URI
        "prov:patch:notice\":{}}",
    };
    struct set_rules rules = strict_rules();
    struct set_result result;
    static char payload[4096];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)snprintf(payload, sizeof payload, "{" ENVELOPE AGENT "%s}",
                       rows[i]);
        int rc = claims(&rules, payload, &result);
        if (rc != RC_PROTOCOL || result.err != SET_INVALID_REQUEST ||
            !result.dirty)
            fail_msg("%s: rc %d %s", rows[i], rc, why.text);
        assert_true(result.event.has_subject);
        assert_true(span_eq(result.event.uri, SPAN("/Agents/ag-7")));
        assert_true(span_eq(result.event.jti, SPAN("j1")));
    }
}

/* 9967-R10, R14, R35, and the four vocabularies. */
static void knows_event_uris(void **state)
{
    (void)state;
    static const struct {
        const char *uri, *payload;
        enum event_type type;
        enum event_form form;
    } rows[] = {
        {SCIM_URI "feed:add", "{}", EVENT_FEED_ADD, FORM_PLAIN},
        {SCIM_URI "feed:remove", "{}", EVENT_FEED_REMOVE, FORM_PLAIN},
        {SCIM_URI "prov:create:notice", "{\"attributes\":[\"id\"]}",
         EVENT_CREATE, FORM_NOTICE},
        {SCIM_URI "prov:create:full", "{\"data\":{\"id\":\"ag-7\"}}",
         EVENT_CREATE, FORM_FULL},
        {SCIM_URI "prov:patch:notice", "{\"attributes\":[]}", EVENT_PATCH,
         FORM_NOTICE},
        {SCIM_URI "prov:patch:full", "{\"data\":{}}", EVENT_PATCH, FORM_FULL},
        {SCIM_URI "prov:put:notice", "{\"attributes\":[\"a\"]}", EVENT_PUT,
         FORM_NOTICE},
        {SCIM_URI "prov:put:full", "{\"data\":{\"active\":true}}", EVENT_PUT,
         FORM_FULL},
        {SCIM_URI "prov:delete", "{}", EVENT_DELETE, FORM_PLAIN},
        {SCIM_URI "prov:activate", "{\"x\":1}", EVENT_ACTIVATE, FORM_PLAIN},
        {SCIM_URI "prov:deactivate", "{}", EVENT_DEACTIVATE, FORM_PLAIN},
        {SCIM_URI "misc:asyncresp", "{\"method\":\"PATCH\",\"status\":\"200\"}",
         EVENT_ASYNCRESP, FORM_PLAIN},
        {SCIM_URI "misc:asyncresp", "{\"method\":\"PATCH\",\"status\":204}",
         EVENT_ASYNCRESP, FORM_PLAIN},
        {SCIM_URI "misc:asyncresp",
         "{\"method\":\"PATCH\",\"status\":{\"code\":\"200\"}}",
         EVENT_ASYNCRESP, FORM_PLAIN},
        {SCIM_URI "misc:asyncresp",
         "{\"method\":\"PUT\",\"status\":\"409\",\"response\":{}}",
         EVENT_ASYNCRESP, FORM_PLAIN},
        {SCIM_URI "prov:delete:full", "{}", EVENT_UNKNOWN, FORM_PLAIN},
        {SCIM_URI "prov:delete:notice", "{}", EVENT_UNKNOWN, FORM_PLAIN},
        {SCIM_URI "prov:patch", "{}", EVENT_UNKNOWN, FORM_PLAIN},
        {SCIM_URI "prov:suspend", "{}", EVENT_UNKNOWN, FORM_PLAIN},
        {"urn:ietf:params:SCIM:event:prov:deactivate", "{}", EVENT_UNKNOWN,
         FORM_PLAIN},
        {SCIM_URI "misc:asyncResp", "{}", EVENT_UNKNOWN, FORM_PLAIN},
        {"https://example.com/other", "{}", EVENT_UNKNOWN, FORM_PLAIN},
        {EVENT_URI_CAEP "session-revoked", "{}", EVENT_CAEP_SESSION_REVOKED,
         FORM_PLAIN},
        {EVENT_URI_CAEP "credential-change",
         "{\"credential_type\":\"x509\",\"change_type\":\"revoke\"}",
         EVENT_CAEP_CREDENTIAL_CHANGE, FORM_PLAIN},
        {EVENT_URI_CAEP "risk-level-change",
         "{\"principal\":\"USER\",\"current_level\":\"HIGH\"}",
         EVENT_CAEP_RISK_LEVEL_CHANGE, FORM_PLAIN},
        {EVENT_URI_RISC "account-disabled", "{\"reason\":\"hijacking\"}",
         EVENT_RISC_ACCOUNT_DISABLED, FORM_PLAIN},
        {EVENT_URI_RISC "account-purged", "{}", EVENT_RISC_ACCOUNT_PURGED,
         FORM_PLAIN},
    };
    struct set_rules rules = strict_rules();
    static char payload[4096];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)snprintf(payload, sizeof payload,
                       "{" ENVELOPE AGENT "\"events\":{\"%s\":%s}}",
                       rows[i].uri, rows[i].payload);
        const struct event *e = accepted(&rules, payload);
        if (e->parts[0].type != rows[i].type)
            fail_msg("%s: %s", rows[i].uri, event_type_name(e->parts[0].type));
        assert_int_equal(e->parts[0].form, rows[i].form);
        assert_true(span_eq(e->parts[0].uri, span_str(rows[i].uri)));
        assert_non_null(e->parts[0].payload);
        if (rows[i].type == EVENT_UNKNOWN)
            assert_true(e->parts[0].changed_anything);
    }
}

/* 9967-R11: only where the feed says so. */
static void aliases_are_opt_in(void **state)
{
    (void)state;
    struct set_rules rules = strict_rules();
    rules.uri_aliases = true;
    const struct event *e = accepted(
        &rules, SET(AGENT, EVENT("urn:ietf:params:SCIM:event:misc:asyncResp",
                                 "{\"method\":\"PUT\",\"status\":\"200\"}")));
    assert_int_equal(e->parts[0].type, EVENT_ASYNCRESP);
    e = accepted(&rules,
                 SET(AGENT, EVENT("urn:ietf:params:SCIM:event:prov:Patch:full",
                                  "{\"data\":{}}")));
    assert_int_equal(e->parts[0].type, EVENT_PATCH);
    assert_int_equal(e->parts[0].form, FORM_FULL);
}

/* 9967-R8: up to 16 URIs are one transaction; 17 are refused. */
static void bounds_event_count(void **state)
{
    (void)state;
    struct set_rules rules = strict_rules();
    struct set_result result;
    static char payload[8192];
    for (unsigned count = EVENT_PARTS_MAX; count <= EVENT_PARTS_MAX + 1;
         count++) {
        int n = snprintf(payload, sizeof payload,
                         "{" ENVELOPE AGENT "\"events\":{");
        for (unsigned i = 0; i < count; i++)
            n += snprintf(payload + n, sizeof payload - (size_t)n,
                          "%s\"urn:x:%u\":{}", i == 0 ? "" : ",", i);
        (void)snprintf(payload + n, sizeof payload - (size_t)n, "}}");
        int rc = claims(&rules, payload, &result);
        assert_int_equal(rc, count > EVENT_PARTS_MAX ? RC_PROTOCOL : 0);
        assert_int_equal(result.event.part_count,
                         count > EVENT_PARTS_MAX ? 0 : count);
        assert_int_equal(result.dirty, count > EVENT_PARTS_MAX);
    }
    const struct event *e =
        accepted(&rules, "{" ENVELOPE AGENT "\"events\":{\"" SCIM_URI
                         "prov:patch:notice\":{\"version\":\"W/\\\"d7\\\"\","
                         "\"attributes\":[\"active\"]},\"" SCIM_URI
                         "prov:deactivate\":{}}}");
    assert_int_equal(e->part_count, 2);
    assert_int_equal(e->parts[0].type, EVENT_PATCH);
    assert_int_equal(e->parts[1].type, EVENT_DEACTIVATE);
}

/* 9967-R21. */
static void normalises_versions(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"a330", "a330"},
        {"W/\\\"c9\\\"", "c9"},
        {"\\\"c9\\\"", "c9"},
        {"W/c9", "c9"},
        {"\\\"", "\""},
        {"", ""},
        {"w/\\\"c\\\"", "w/\"c\""},
    };
    struct set_rules rules = strict_rules();
    static char payload[4096];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)snprintf(payload, sizeof payload,
                       "{" ENVELOPE AGENT "\"events\":{\"" SCIM_URI
                       "prov:put:notice\":{\"attributes\":[\"a\"],"
                       "\"version\":\"%s\"}}}",
                       rows[i][0]);
        const struct event *e = accepted(&rules, payload);
        assert_true(span_eq(e->parts[0].version, span_str(rows[i][1])));
    }
}

static bool has_path(const struct event_part *part, const char *urn,
                     const char *attr, const char *sub)
{
    for (unsigned i = 0; i < part->changed_count; i++) {
        const struct attr_path *p = &part->changed[i];
        if (span_eq(p->urn, span_str(urn)) &&
            span_eq(p->attr, span_str(attr)) && span_eq(p->sub, span_str(sub)))
            return true;
    }
    return false;
}

#define AGENT_URN "urn:ietf:params:scim:schemas:core:2.0:Agent"

/* 9967-R20, 7644-R28. */
static void reads_attribute_names(void **state)
{
    (void)state;
    struct set_rules rules = strict_rules();
    const struct event *e = accepted(
        &rules,
        SET(AGENT, EVENT(SCIM_URI "prov:patch:notice",
                         "{\"attributes\":[\"active\",\"name.familyName\","
                         "\"entitlements[value eq \\\"p:w\\\"]\","
                         "\"owners[value eq \\\"u1\\\"].display\",\"" AGENT_URN
                         ":groups\"]}")));
    const struct event_part *part = &e->parts[0];
    assert_int_equal(part->changed_count, 5);
    assert_false(part->changed_anything);
    assert_true(has_path(part, "", "active", ""));
    assert_true(has_path(part, "", "name", "familyName"));
    assert_true(has_path(part, "", "entitlements", ""));
    assert_true(has_path(part, "", "owners", "display"));
    assert_true(has_path(part, AGENT_URN, "groups", ""));
    static const char *const vague[] = {"[]", "[\"active\",\"/x/0\"]",
                                        "[\"a b\"]", "[\"\"]", "[\"x[\"]"};
    static char payload[4096];
    for (size_t i = 0; i < sizeof vague / sizeof vague[0]; i++) {
        (void)snprintf(payload, sizeof payload,
                       "{" ENVELOPE AGENT "\"events\":{\"" SCIM_URI
                       "prov:patch:notice\":{\"attributes\":%s}}}",
                       vague[i]);
        assert_true(accepted(&rules, payload)->parts[0].changed_anything);
    }
}

static void bounds_attribute_names(void **state)
{
    (void)state;
    struct set_rules rules = strict_rules();
    static char payload[16384];
    for (unsigned count = EVENT_CHANGED_MAX; count <= EVENT_CHANGED_MAX + 1;
         count++) {
        int n = snprintf(payload, sizeof payload,
                         "{" ENVELOPE AGENT "\"events\":{\"" SCIM_URI
                         "prov:patch:notice\":{\"attributes\":[");
        for (unsigned i = 0; i < count; i++)
            n += snprintf(payload + n, sizeof payload - (size_t)n, "%s\"a%u\"",
                          i == 0 ? "" : ",", i);
        (void)snprintf(payload + n, sizeof payload - (size_t)n, "]}}}");
        const struct event_part *part = &accepted(&rules, payload)->parts[0];
        assert_int_equal(part->changed_count, EVENT_CHANGED_MAX);
        assert_int_equal(part->changed_anything, count > EVENT_CHANGED_MAX);
    }
}

#define PATCH(operations)                                                      \
    EVENT(SCIM_URI "prov:patch:full",                                          \
          "{\"data\":{" PATCH_OP ",\"Operations\":" operations "}}")

/* 9967-R22, 7644-R27, standards 6.8. */
static void reads_patch_operations(void **state)
{
    (void)state;
    struct set_rules rules = strict_rules();
    const struct event_part *part =
        &accepted(&rules,
                  SET(AGENT,
                      PATCH("[{\"op\":\"Replace\",\"path\":\"active\","
                            "\"value\":\"False\"},{\"op\":\"remove\",\"path\":"
                            "\"entitlements[value eq \\\"p\\\"]\"},"
                            "{\"op\":\"add\",\"value\":{\"displayName\":\"x\","
                            "\"" AGENT_URN "\":{\"roles\":[]}}}]")))
             ->parts[0];
    assert_false(part->changed_anything);
    assert_true(has_path(part, "", "active", ""));
    assert_true(has_path(part, "", "entitlements", ""));
    assert_true(has_path(part, "", "displayName", ""));
    assert_true(has_path(part, AGENT_URN, "roles", ""));
    static const char *const vague[] = {
        SET(AGENT, PATCH("[]")),
        SET(AGENT, PATCH("[1]")),
        SET(AGENT, PATCH("[{\"op\":\"move\",\"path\":\"a\"}]")),
        SET(AGENT, PATCH("[{\"path\":\"a\"}]")),
        SET(AGENT, PATCH("[{\"op\":\"remove\"}]")),
        SET(AGENT, PATCH("[{\"op\":\"add\",\"value\":7}]")),
        SET(AGENT, PATCH("[{\"op\":\"add\",\"path\":7,\"value\":7}]")),
    };
    for (size_t i = 0; i < sizeof vague / sizeof vague[0]; i++)
        assert_true(accepted(&rules, vague[i])->parts[0].changed_anything);
}

static void reads_representations(void **state)
{
    (void)state;
    struct set_rules rules = strict_rules();
    const struct event_part *part =
        &accepted(&rules, SET(AGENT, EVENT(SCIM_URI "prov:create:full",
                                           "{\"data\":{\"schemas\":[],\"id\":"
                                           "\"ag-7\",\"active\":true,"
                                           "\"owners\":[],\"meta\":{}}}")))
             ->parts[0];
    assert_int_equal(part->changed_count, 2);
    assert_true(has_path(part, "", "owners", ""));
    assert_false(part->changed_anything);
    /* what a PUT leaves out was taken away */
    part = &accepted(&rules, SET(AGENT, EVENT(SCIM_URI "prov:put:full",
                                              "{\"data\":{\"active\":true}}")))
                ->parts[0];
    assert_true(has_path(part, "", "active", ""));
    assert_true(part->changed_anything);
}

static void names_group_members(void **state)
{
    (void)state;
    static const struct {
        const char *payload;
        unsigned count;
    } rows[] = {
        {SET(GROUP, PATCH("[{\"op\":\"add\",\"path\":\"members\",\"value\":"
                          "[{\"value\":\"a\"},{\"value\":\"b\"}]}]")),
         2},
        {SET(GROUP, PATCH("[{\"op\":\"add\",\"path\":\"Members\",\"value\":"
                          "{\"value\":\"a\"}}]")),
         1},
        {SET(GROUP, PATCH("[{\"op\":\"add\",\"value\":{\"members\":"
                          "[{\"value\":\"a\"}]}}]")),
         1},
        {SET(GROUP, PATCH("[{\"op\":\"remove\",\"path\":\"members\",\"value\":"
                          "[{\"value\":\"a\"}]}]")),
         1},
        {SET(GROUP, PATCH("[{\"op\":\"replace\",\"path\":\"displayName\","
                          "\"value\":[{\"value\":\"a\"}]}]")),
         0},
        {SET(GROUP,
             PATCH("[{\"op\":\"add\",\"path\":\"members\",\"value\":"
                   "[1,null,{},{\"value\":7},{\"value\":\"\"},\"a\"]}]")),
         1},
        {SET(GROUP, EVENT(SCIM_URI "prov:create:full",
                          "{\"data\":{\"members\":[{\"value\":\"a\"},"
                          "{\"value\":\"b\"},{\"value\":\"c\"}]}}")),
         3},
        {SET(AGENT, EVENT(SCIM_URI "prov:create:full",
                          "{\"data\":{\"members\":[{\"value\":\"a\"}]}}")),
         0},
    };
    struct set_rules rules = strict_rules();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct event *e = accepted(&rules, rows[i].payload);
        if (e->parts[0].member_count != rows[i].count)
            fail_msg("row %zu: %u members", i, e->parts[0].member_count);
        if (rows[i].count > 0)
            assert_true(span_eq(e->parts[0].members[0], SPAN("a")));
    }
}

/* SSF-R17, R19, R20; 5.5. */
static void reads_stream_events(void **state)
{
    (void)state;
    struct set_rules rules = strict_rules();
    rules.stream_id = SPAN("eu-1-5b0c");
    const struct event *e =
        accepted(&rules, SET(STREAM, EVENT(EVENT_URI_SSF "verification",
                                           "{\"state\":\"pZ1c\"}")));
    assert_int_equal(e->parts[0].type, EVENT_SSF_VERIFICATION);
    assert_false(e->has_subject);
    assert_true(
        span_eq(doc_text(e->parts[0].payload, SPAN("state")), SPAN("pZ1c")));
    e = accepted(&rules,
                 SET(STREAM, EVENT(EVENT_URI_SSF "verification", "{}")));
    e = accepted(&rules, SET(STREAM, EVENT(EVENT_URI_SSF "stream-updated",
                                           "{\"status\":\"paused\"}")));
    assert_true(span_eq(e->stream_status, SPAN("paused")));
    static const char *const bad[] = {
        SET(STREAM, EVENT(EVENT_URI_SSF "stream-updated", "{}")),
        SET(STREAM,
            EVENT(EVENT_URI_SSF "stream-updated", "{\"status\":\"Paused\"}")),
        SET(STREAM, EVENT(EVENT_URI_SSF "verification", "{\"state\":1}")),
        SET("\"sub_id\":{\"format\":\"opaque\",\"id\":\"other\"},",
            EVENT(EVENT_URI_SSF "verification", "{}")),
        SET("\"sub_id\":{\"format\":\"email\",\"email\":\"a@b\"},",
            EVENT(EVENT_URI_SSF "verification", "{}")),
    };
    struct set_result result;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(claims(&rules, bad[i], &result), RC_PROTOCOL);
        assert_int_equal(result.err, SET_INVALID_REQUEST);
        assert_false(result.dirty);
    }
    rules.stream_id = SPAN("");
    e = accepted(&rules, bad[3]); /* no id configured: any stream */
}

/* 9967 1.9: the failed POST, and CAEP-R5. */
static void reads_special_cases(void **state)
{
    (void)state;
    struct set_rules rules = strict_rules();
    const struct event *e = accepted(
        &rules,
        SET("\"sub_id\":{\"format\":\"scim\",\"uri\":\"/Agents\"},",
            EVENT(SCIM_URI "misc:asyncresp",
                  "{\"method\":\"POST\",\"status\":\"400\",\"response\":{}}")));
    assert_false(e->has_subject);
    e = accepted(&rules, SET(AGENT, EVENT(EVENT_URI_CAEP "session-revoked",
                                          "{\"event_timestamp\":1.5}")));
    assert_true(e->toe_ms == 1500);
    struct set_result result;
    assert_int_equal(claims(&rules,
                            SET("\"sub_id\":{\"format\":\"scim\",\"uri\":"
                                "\"/Agents\"},",
                                REVOKED),
                            &result),
                     RC_PROTOCOL);
}

/* Every allocation may fail: RC_NO_MEMORY, no error code for the sender. */
static void survives_no_memory(void **state)
{
    (void)state;
    struct set_rules rules = strict_rules();
    const char *payload =
        SET(GROUP, PATCH("[{\"op\":\"add\",\"path\":\"members\",\"value\":"
                         "[{\"value\":\"a\"},{\"value\":\"b\"}]}]"));
    bool succeeded = false;
    for (size_t limit = 0; limit < 16384 && !succeeded; limit += 16) {
        struct arena small;
        struct set_result result;
        struct fail f = {0};
        arena_init(&small, mem_system(), limit);
        int rc = set_claims(&small.mem, &rules, span_str(payload), NOW_MS,
                            &result, &f);
        arena_fini(&small);
        succeeded = rc == 0;
        if (!succeeded) {
            assert_int_equal(rc, RC_NO_MEMORY);
            assert_int_equal(result.err, SET_OK);
            assert_false(result.dirty);
        }
    }
    assert_true(succeeded);
}

static struct jws_keys *keys_of(EVP_PKEY *pkey)
{
    struct buf jwk;
    struct jws_keys *k = NULL;
    unsigned skipped;
    buf_init(&jwk, mem_system(), 65536);
    token_jwk(pkey, ",\"kid\":\"k\"", &jwk);
    assert_int_equal(jws_keys_from_json(buf_span(&jwk), &k, &skipped, NULL), 0);
    buf_fini(&jwk);
    return k;
}

/* 8417-R5, R7, 8725-R14, R15, and which code a bad key gets (0.6). */
static void judges_whole_tokens(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        bool untyped_ok;
        enum set_err err;
        enum jws_why why;
    } rows[] = {
        {"{\"typ\":\"secevent+jwt\",\"alg\":\"ES256\",\"kid\":\"k\"}", false,
         SET_OK, JWS_OK},
        {"{\"typ\":\"application/SECEVENT+JWT\",\"alg\":\"ES256\"}", false,
         SET_OK, JWS_OK},
        {"{\"typ\":\"JWT\",\"alg\":\"ES256\"}", false, SET_INVALID_REQUEST,
         JWS_OK},
        {"{\"typ\":\"JWT\",\"alg\":\"ES256\"}", true, SET_INVALID_REQUEST,
         JWS_OK},
        {"{\"typ\":\"logout+jwt\",\"alg\":\"ES256\"}", true,
         SET_INVALID_REQUEST, JWS_OK},
        {"{\"typ\":\"at+jwt\",\"alg\":\"ES256\"}", false, SET_INVALID_REQUEST,
         JWS_OK},
        {"{\"typ\":7,\"alg\":\"ES256\"}", true, SET_INVALID_REQUEST, JWS_OK},
        {"{\"alg\":\"ES256\"}", false, SET_INVALID_REQUEST, JWS_OK},
        {"{\"alg\":\"ES256\"}", true, SET_OK, JWS_OK},
        {"{\"typ\":\"secevent+jwt\",\"alg\":\"ES384\"}", false, SET_INVALID_KEY,
         JWS_BAD_ALG},
        {"{\"typ\":\"secevent+jwt\",\"alg\":\"none\"}", false, SET_INVALID_KEY,
         JWS_BAD_ALG},
        {"{\"typ\":\"secevent+jwt\",\"alg\":\"ES256\",\"kid\":\"x\"}", false,
         SET_INVALID_KEY, JWS_NO_KEY},
        {"{\"typ\":\"secevent+jwt\",\"alg\":\"ES256\",\"crit\":[\"x\"]}", false,
         SET_INVALID_REQUEST, JWS_BAD_HEADER},
    };
    struct set_rules rules = strict_rules();
    EVP_PKEY *pkey = token_key_new("P-256");
    struct jws_keys *k = keys_of(pkey);
    struct buf token;
    buf_init(&token, mem_system(), 65536);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct set_result r;
        rules.allow_untyped = rows[i].untyped_ok;
        buf_clear(&token);
        token_make(pkey, JWS_ES256, rows[i].header,
                   SPAN(SET(AGENT, DEACTIVATE)), &token);
        int rc = set_accept(&arena.mem, &rules, k, buf_span(&token), NOW_MS, &r,
                            &why);
        if (r.err != rows[i].err || r.why != rows[i].why ||
            (rc == 0) != (r.err == SET_OK) || r.dirty)
            fail_msg("%s: %s %s %s", rows[i].header, set_err_word(r.err),
                     jws_why_word(r.why), why.text);
    }
    buf_fini(&token);
    jws_keys_unref(k);
    EVP_PKEY_free(pkey);
}

static void a_dirty_refusal_keeps_the_subject(void **state)
{
    (void)state;
    struct set_rules rules = strict_rules();
    EVP_PKEY *pkey = token_key_new("P-256");
    struct jws_keys *k = keys_of(pkey);
    struct buf token;
    struct set_result r;
    buf_init(&token, mem_system(), 65536);
    token_make(pkey, JWS_ES256, "{\"typ\":\"secevent+jwt\",\"alg\":\"ES256\"}",
               SPAN(SET(AGENT, EVENT(SCIM_URI "prov:patch:full", "{}"))),
               &token);
    assert_int_equal(
        set_accept(&arena.mem, &rules, k, buf_span(&token), NOW_MS, &r, &why),
        RC_PROTOCOL);
    assert_int_equal(r.err, SET_INVALID_REQUEST);
    assert_true(r.dirty && r.event.has_subject && r.event.part_count == 0);
    assert_true(span_eq(r.event.uri, SPAN("/Agents/ag-7")));
    /* the same token, forged: nothing is believed */
    token.p[token.n - 3] = token.p[token.n - 3] == 'A' ? 'B' : 'A';
    assert_int_equal(
        set_accept(&arena.mem, &rules, k, buf_span(&token), NOW_MS, &r, &why),
        RC_UNTRUSTED);
    assert_int_equal(r.err, SET_INVALID_KEY);
    assert_false(r.dirty);
    buf_fini(&token);
    jws_keys_unref(k);
    EVP_PKEY_free(pkey);
}

/* ---- claim sets of go-secevent ------------------------------------------ */

#define SUITE "../shared/vectors/go-secevent"
#define MANIFEST "../shared/vectors/manifest.json"
#define FILE_BYTES_MAX (64 * 1024)

static struct span read_file(const char *path, char *into)
{
    FILE *in = fopen(path, "rb");
    if (in == NULL)
        return (struct span){NULL, 0};
    size_t n = fread(into, 1, FILE_BYTES_MAX, in);
    (void)fclose(in);
    return span_of(into, n);
}

static const struct doc *read_json(const char *path)
{
    static char bytes[FILE_BYTES_MAX];
    const struct doc *d = NULL;
    assert_int_equal(json_doc_parse(&arena.mem, read_file(path, bytes),
                                    FILE_BYTES_MAX, &d, &why),
                     0);
    return d;
}

static unsigned expected_cases(const char *suite)
{
    DOC_EACH (it, read_json(MANIFEST))
        if (span_eq(doc_text(it, SPAN("suite")), span_str(suite)))
            return (unsigned)doc_get(it, SPAN("cases"))->integer;
    return 0;
}

/* The line of the list of deviations about `name`, or empty. */
static struct span deviation_of(struct span list, const char *name)
{
    size_t n = strlen(name);
    for (size_t at = 0; at < list.n; at = span_find(list, '\n', at) + 1) {
        struct span line = span_sub(list, at, span_find(list, '\n', at));
        if (line.n > n && memcmp(line.p, name, n) == 0 && line.p[n] == '\t')
            return line;
    }
    return (struct span){NULL, 0};
}

/* Signs one claim set, receives it as the audience it names, and compares
 * with the list. Returns 1 when it is refused. */
static unsigned run_case(const char *name, struct span deviations,
                         EVP_PKEY *pkey, const struct jws_keys *k)
{
    char path[512];
    static char bytes[FILE_BYTES_MAX];
    struct set_rules rules = strict_rules();
    struct buf token;
    struct set_result r;
    (void)snprintf(path, sizeof path, SUITE "/%s", name);
    arena_clear(&arena);
    const struct doc *d = read_json(path);
    const struct doc *aud = doc_get(d, SPAN("aud"));
    struct span audience =
        aud == NULL ? SPAN("none")
                    : (aud->kind == DOC_LIST ? aud->last->text : aud->text);
    rules.issuer = doc_text(d, SPAN("iss"));
    rules.audiences = &audience;
    rules.audience_count = 1;
    buf_init(&token, mem_system(), 256 * 1024);
    token_make(pkey, JWS_ES256, "{\"typ\":\"secevent+jwt\",\"alg\":\"ES256\"}",
               read_file(path, bytes), &token);
    int rc =
        set_accept(&arena.mem, &rules, k, buf_span(&token), NOW_MS, &r, &why);
    buf_fini(&token);
    if ((rc == 0) == (deviation_of(deviations, name).n > 0))
        fail_msg("%s: rc %d %s %s", name, rc, set_err_word(r.err), why.text);
    return rc == 0 ? 0 : 1;
}

static void go_secevent(void **state)
{
    (void)state;
    static char listed[FILE_BYTES_MAX];
    DIR *dir = opendir(SUITE);
    if (dir == NULL) {
        (void)printf("SKIP go-secevent: %s is absent\n", SUITE);
        skip();
    }
    struct span list =
        read_file("tests/vectors/go-secevent.deviations", listed);
    EVP_PKEY *pkey = token_key_new("P-256");
    struct jws_keys *k = keys_of(pkey);
    unsigned cases = 0, refused = 0;
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (!span_ends(span_str(e->d_name), SPAN(".json")))
            continue;
        cases++;
        refused += run_case(e->d_name, list, pkey, k);
    }
    (void)closedir(dir);
    jws_keys_unref(k);
    EVP_PKEY_free(pkey);
    (void)printf("go-secevent: %u cases, %u deviations\n", cases, refused);
    assert_int_equal(cases, expected_cases("go-secevent"));
    assert_int_equal(cases, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_envelopes),
        cmocka_unit_test(switches_tolerate),
        cmocka_unit_test(bounds_jti),
        cmocka_unit_test(fills_the_event),
        cmocka_unit_test(judges_subjects),
        cmocka_unit_test(bounds_subject_uri),
        cmocka_unit_test(accepts_foreign_formats),
        cmocka_unit_test(refuses_events_and_marks_dirty),
        cmocka_unit_test(knows_event_uris),
        cmocka_unit_test(aliases_are_opt_in),
        cmocka_unit_test(bounds_event_count),
        cmocka_unit_test(normalises_versions),
        cmocka_unit_test(reads_attribute_names),
        cmocka_unit_test(bounds_attribute_names),
        cmocka_unit_test(reads_patch_operations),
        cmocka_unit_test(reads_representations),
        cmocka_unit_test(names_group_members),
        cmocka_unit_test(reads_stream_events),
        cmocka_unit_test(reads_special_cases),
        cmocka_unit_test(survives_no_memory),
        cmocka_unit_test(judges_whole_tokens),
        cmocka_unit_test(a_dirty_refusal_keeps_the_subject),
        cmocka_unit_test(go_secevent),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
