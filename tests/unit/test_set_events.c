// SPDX-License-Identifier: Apache-2.0
/* What SETs say: event URIs, changed attributes, members, versions, streams;
 * one row per rule. */
#include "tests/unit/set_case.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
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
    };
    return cmocka_run_group_tests(tests, start, stop);
}
