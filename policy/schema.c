// SPDX-License-Identifier: Apache-2.0
#include "policy/schema.h"

#include <stdio.h>

#include "policy/event_type.h"
#include "policy/schema_table.h"
#include "sidecar/base/json_out.h"

#define LIST_MAX_WITHOUT 64

/* Definitions that are a choice of forms; types as in schema_table.h. */
static const struct {
    const char *name, *type, *doc;
} choices[] = {
    {"tool_patterns", "@tool|[@tool", "Tools and patterns of a class."},
    {"event_or_schedule", "@event|@schedule", "An event, or a schedule."},
    {"step", "@step_word_alone|@step_map", "One step of a rule."},
    {"store", "=queue|=cache|=browser_profile|=jobs", "What can be purged."},
    {"may", "=suspend|=refresh|=release|=revoke", "What a feed may do."},
    {"job_answer", "=confirm|=refuse|=silent|=retry", "An answer to a job."},
    {"call_or_tool", "@text|@given_call", "A tool, or a call."},
    {"credential_or_id", "@text|@given_credential", "A name, or a token."},
    {"resource", "@path|{*?", "A path, or a map with uri and attributes."},
    {"found", "=gone|=fails|{*?", "What a read finds: attributes, gone, fails"},
    {"hold_word", "=suspended|=review|=uncovered|=none", "A kind of hold."},
    {"step_word", "=hold|=refresh|=cancel|=revoke|=purge|=action|=release",
     "A kind of step."},
    {"job_state",
     "=pending|=running|=confirmed|=refused|=failed|=abandoned|="
     "nothing_registered|=withheld",
     "The state of a job."},
    {"job_states", "@job_state|[@job_state", "States of jobs."},
};

static void put_ref(struct json_out *j, struct span name)
{
    char path[96];
    (void)snprintf(path, sizeof path, "#/definitions/%.*s", PRSPAN(name));
    json_str(j, "$ref", path);
}

static void put_form(struct json_out *j, struct span form);

// NOLINTNEXTLINE(misc-no-recursion): see put_form
static void put_list(struct json_out *j, struct span form)
{
    size_t at = 1;
    uint64_t most = 0;
    while (at < form.n && form.p[at] >= '0' && form.p[at] <= '9')
        most = most * 10 + (form.p[at++] - 0x30u);
    json_str(j, "type", "array");
    if (form.p[0] == '[')
        json_u64(j, "minItems", 1);
    json_u64(j, "maxItems", most == 0 ? LIST_MAX_WITHOUT : most);
    json_open_map(j, "items");
    put_form(j, span_sub(form, at, form.n));
    json_close_map(j);
}

// NOLINTNEXTLINE(misc-no-recursion): see put_form
static void put_map(struct json_out *j, struct span form)
{
    json_str(j, "type", "object");
    if (form.p[1] != '*') {
        json_open_map(j, "propertyNames");
        put_ref(j, form.p[1] == 'n'   ? SPAN("name")
                   : form.p[1] == 'f' ? SPAN("feed_name")
                                      : SPAN("path"));
        json_close_map(j);
    }
    if (form.p[2] == '?')
        return;
    json_open_map(j, "additionalProperties");
    put_form(j, span_sub(form, 2, form.n));
    json_close_map(j);
}

/* The table nests forms at most three deep. */
// NOLINTNEXTLINE(misc-no-recursion)
static void put_form(struct json_out *j, struct span form)
{
    switch (form.p[0]) {
        case '@': put_ref(j, span_sub(form, 1, form.n)); break;
        case '=': json_text(j, "const", span_sub(form, 1, form.n)); break;
        case '[':
        case '(': put_list(j, form); break;
        case '{': put_map(j, form); break;
        case '~': json_str(j, "type", "null"); break;
        default: break; /* anything */
    }
}

/* Words together are one `enum`, so that editors offer them. */
static void put_words(struct json_out *j, struct span type)
{
    json_open_list(j, "enum");
    for (size_t at = 0; at < type.n;) {
        size_t end = span_find(type, '|', at);
        if (type.p[at] == '=')
            json_text(j, NULL, span_sub(type, at + 1, end));
        at = end + 1;
    }
    json_close_list(j);
}

static void put_type(struct json_out *j, struct span type)
{
    unsigned forms = 1, words = 0;
    for (size_t i = 0; i < type.n; i++) {
        forms += type.p[i] == '|';
        words += type.p[i] == '=';
    }
    if (words == forms) {
        put_words(j, type);
        return;
    }
    if (forms == 1 && type.p[0] != '@') {
        put_form(j, type);
        return;
    }
    json_open_list(j, forms == 1 ? "allOf" : "anyOf"); /* no bare $ref: it
                                                          hides its siblings */
    if (words > 0) {
        json_open_map(j, NULL);
        put_words(j, type);
        json_close_map(j);
    }
    for (size_t at = 0; at < type.n;) {
        size_t end = span_find(type, '|', at);
        if (type.p[at] != '=') {
            json_open_map(j, NULL);
            put_form(j, span_sub(type, at, end));
            json_close_map(j);
        }
        at = end + 1;
    }
    json_close_list(j);
}

/* Texts of the table are written with the escapes of JSON. */
static void put_doc(struct json_out *j, const char *doc)
{
    char quoted[256];
    (void)snprintf(quoted, sizeof quoted, "\"%s\"", doc);
    json_raw(j, "description", span_str(quoted));
}

static void put_extra(struct json_out *j, const char *members)
{
    buf_put_str(j->b, ",");
    buf_put_str(j->b, members);
}

static void put_key(struct json_out *j, const struct schema_key *k)
{
    json_open_map(j, k->key);
    put_doc(j, k->doc);
    put_type(j, span_str(k->type));
    if (k->without != NULL)
        json_raw(j, "default", span_str(k->without));
    json_close_map(j);
}

static void put_shape(struct json_out *j, const struct schema_shape *s)
{
    bool any = false;
    json_open_map(j, s->name);
    put_doc(j, s->doc);
    json_str(j, "type", "object");
    json_open_map(j, "properties");
    for (const struct schema_key *k = s->keys; k->key != NULL; k++) {
        put_key(j, k);
        any = any || k->required;
    }
    json_close_map(j);
    if (any) {
        json_open_list(j, "required");
        for (const struct schema_key *k = s->keys; k->key != NULL; k++)
            if (k->required)
                json_str(j, NULL, k->key);
        json_close_list(j);
    }
    if (!s->open)
        json_bool(j, "additionalProperties", false);
    if (s->extra != NULL)
        put_extra(j, s->extra);
    json_close_map(j);
}

/* Short names for editors to offer, URIs by their form. */
static void put_events(struct json_out *j)
{
    json_open_map(j, "event");
    put_doc(j, "A short name, or the URI of an event.");
    json_open_list(j, "anyOf");
    json_open_map(j, NULL);
    json_open_list(j, "enum");
    for (unsigned i = 0; event_family_name(i) != NULL; i++)
        json_str(j, NULL, event_family_name(i));
    for (unsigned t = 0; t < EVENT_TYPE_COUNT; t++)
        if (t != EVENT_UNKNOWN && t != EVENT_SCHEDULED && t != EVENT_IDLE)
            json_str(j, NULL, event_type_name((enum event_type)t));
    json_close_list(j);
    json_close_map(j);
    json_open_map(j, NULL);
    json_str(j, "type", "string");
    json_str(j, "pattern", "^(urn:|https://)");
    json_close_map(j);
    json_close_list(j);
    json_close_map(j);
}

/* A step without a value: a word, or the name of an action. */
static void put_step_word(struct json_out *j)
{
    json_open_map(j, "step_word_alone");
    put_doc(j, "A step that needs no value, or the name of an action.");
    json_raw(j, "anyOf",
             SPAN("[{\"enum\":[\"refresh\",\"cancel\",\"revoke\",\"purge\"]},"
                  "{\"$ref\":\"#/definitions/name\"}]"));
    json_raw(j, "not", SPAN("{\"enum\":[\"hold\",\"release\",\"notify\"]}"));
    json_close_map(j);
}

static void put_definitions(struct json_out *j)
{
    json_open_map(j, "definitions");
    for (const struct schema_shape *s = schema_shapes; s->name != NULL; s++)
        put_shape(j, s);
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        json_open_map(j, choices[i].name);
        put_doc(j, choices[i].doc);
        put_type(j, span_str(choices[i].type));
        json_close_map(j);
    }
    for (const struct schema_scalar *s = schema_scalars; s->name != NULL; s++) {
        json_open_map(j, s->name);
        put_doc(j, s->doc);
        put_extra(j, s->json);
        json_close_map(j);
    }
    put_events(j);
    put_step_word(j);
    json_close_map(j);
}

void policy_schema(struct buf *out)
{
    struct json_out j;
    json_out_init(&j, out);
    json_open_map(&j, NULL);
    json_str(&j, "$schema", "http://json-schema.org/draft-07/schema#");
    json_str(&j, "title", "bailiff policy");
    json_str(&j, "description",
             "A policy file (kind: Policy) or a file of tests (kind: "
             "PolicyTest).");
    json_str(&j, "type", "object");
    json_raw(&j, "if",
             SPAN("{\"required\":[\"kind\"],\"properties\":{\"kind\":"
                  "{\"const\":\"PolicyTest\"}}}"));
    json_raw(&j, "then", SPAN("{\"$ref\":\"#/definitions/test_file\"}"));
    json_raw(&j, "else", SPAN("{\"$ref\":\"#/definitions/policy\"}"));
    put_definitions(&j);
    json_close_map(&j);
}
