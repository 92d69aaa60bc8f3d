// SPDX-License-Identifier: Apache-2.0
/*
 * Claims of SETs: one row per rule. Most rows call set_claims with the payload
 * alone; the rows about headers and keys go through set_accept with a token
 * signed here. What events say is in test_set_events.c.
 */
#include "tests/unit/set_case.h"

#include <dirent.h>

#include "adapters/json_doc.h"
#include "tests/lib/token.h"

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
static const struct {
    const char *subject;
    enum set_err err;
} subjects[] = {
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

static void judges_subjects(void **state)
{
    (void)state;
    struct set_rules rules = strict_rules();
    struct set_result result;
    static char payload[4096];
    for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++) {
        (void)snprintf(payload, sizeof payload,
                       "{" ENVELOPE "%s" DEACTIVATE "}", subjects[i].subject);
        ignore_rc(claims(&rules, payload, &result)); /* err says it */
        if (result.err != subjects[i].err || result.dirty)
            fail_msg("%s: %s %s", subjects[i].subject, set_err_word(result.err),
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
        cmocka_unit_test(judges_whole_tokens),
        cmocka_unit_test(a_dirty_refusal_keeps_the_subject),
        cmocka_unit_test(go_secevent),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
