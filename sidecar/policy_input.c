// SPDX-License-Identifier: Apache-2.0
#include "sidecar/policy_input.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "adapters/json_doc.h"
#include "policy/near.h"
#include "sidecar/base/json_out.h"
#include "sidecar/cli_config.h"
#include "sidecar/feed_rules.h"

#define KEYS_BYTES_MAX (256 * 1024)

struct work {
    struct mem *m;
    const struct policy_input_from *from;
    struct policy_input *to;
    struct fail *f;
};

bool policy_input_kind(struct span uri, enum subject_kind *ret)
{
    static const char *const segments[SUBJECT_KIND_COUNT] = {
        "/Agents/", "/Users/", "/Groups/"};
    for (unsigned i = 0; i < SUBJECT_KIND_COUNT; i++) {
        *ret = (enum subject_kind)i;
        if (span_starts(uri, span_str(segments[i])))
            return true;
    }
    return false;
}

static int64_t wall_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- reading ---- */

static int read_all(struct work *w, struct span *ret)
{
    const char *path = w->from->path;
    struct buf b;
    if (strcmp(path, "-") != 0)
        return config_read_file(w->m, span_str(path), POLICY_INPUT_BYTES_MAX,
                                false, ret, w->f);
    buf_init(&b, w->m, POLICY_INPUT_BYTES_MAX);
    for (;;) {
        unsigned char *p = buf_reserve(&b, 4096);
        if (p == NULL)
            return fail(w->f, RC_TOO_LARGE, "standard input is too large");
        const size_t n = fread(p, 1, 4096, stdin);
        b.n += n;
        if (n == 0)
            break;
    }
    *ret = buf_span(&b);
    return ferror(stdin) ? fail(w->f, RC_IO, "standard input: read error") : 0;
}

/* ---- tokens ---- */

/* What a token says of itself is enough to look at it. */
static struct set_rules any_rules(const struct doc *claims, struct span *aud)
{
    const struct doc *given = doc_get(claims, SPAN("aud"));
    *aud = given != NULL && given->kind == DOC_LIST && given->first != NULL
               ? given->first->text
               : doc_text(claims, SPAN("aud"));
    return (struct set_rules){.issuer = doc_text(claims, SPAN("iss")),
                              .audiences = aud,
                              .audience_count = 1,
                              .base = SPAN("https://not-verified.invalid"),
                              .types = {{SPAN("Agents"), SUBJECT_AGENT},
                                        {SPAN("Users"), SUBJECT_USER},
                                        {SPAN("Groups"), SUBJECT_GROUP}},
                              .type_count = 3,
                              .allow_untyped = true,
                              .allow_sub = true,
                              .allow_exp = true,
                              .uri_aliases = true,
                              .future_ms = INT64_MAX / 4};
}

/* It is the token's fault, not ours, when there is a code to report. */
static int refused(struct work *w, enum set_err err, int rc, const char *who)
{
    const struct fail why = *w->f;
    return fail(w->f, err == SET_OK ? rc : RC_PROTOCOL, "%s (%s): %s", who,
                set_err_word(err), why.text);
}

static int take_claims(struct work *w, const struct doc *claims)
{
    struct set_result *r = mem_alloc(w->m, sizeof *r);
    struct span *aud = mem_alloc(w->m, sizeof *aud);
    struct buf text;
    struct json_out j;
    buf_init(&text, w->m, POLICY_INPUT_BYTES_MAX);
    json_out_init(&j, &text);
    json_doc(&j, NULL, claims);
    if (r == NULL || aud == NULL || !buf_ok(&text))
        return fail(w->f, RC_NO_MEMORY, "no memory");
    struct set_rules rules = any_rules(claims, aud);
    rules.feed = span_str(w->from->feed);
    int rc = set_claims(w->m, &rules, buf_span(&text), wall_ms(), r, w->f);
    if (rc < 0)
        return refused(w, r->err, rc, "every feed would refuse it");
    w->to->event = r->event;
    return 0;
}

static const struct config_feed *choose_feed(struct work *w,
                                             const struct config *c,
                                             struct span issuer)
{
    const struct span name = span_str(w->from->feed);
    for (unsigned i = 0; i < c->feed_count; i++)
        if (name.n > 0 ? span_eq(c->feeds[i].name, name)
                       : span_eq(c->feeds[i].issuer, issuer))
            return &c->feeds[i];
    return NULL;
}

/* NULL without failure: the keys are at a URL. */
static int load_keys(struct work *w, const struct config_feed *feed,
                     struct jws_keys **ret)
{
    const bool pem = w->from->jwk == NULL && feed->pem_file.n > 0;
    const struct span path = w->from->jwk != NULL ? span_str(w->from->jwk)
                             : pem                ? feed->pem_file
                                                  : feed->jwks_file;
    struct span text;
    unsigned skipped;
    *ret = NULL;
    if (path.n == 0)
        return 0;
    TRY(config_read_file(w->m, path, KEYS_BYTES_MAX, false, &text, w->f));
    return pem ? jws_keys_from_pem(text, feed->pem_kid, (enum jws_alg)0, ret,
                                   w->f)
               : jws_keys_from_json(text, ret, &skipped, w->f);
}

/* As the feed would; what it refuses is refused here. */
static int verify(struct work *w, const struct config_feed *feed,
                  struct span token)
{
    struct set_result *r = mem_alloc(w->m, sizeof *r);
    const struct set_rules rules = feed_rules(feed);
    struct jws_keys *keys;
    if (r == NULL)
        return fail(w->f, RC_NO_MEMORY, "no memory");
    TRY(load_keys(w, feed, &keys));
    if (keys == NULL) {
        (void)snprintf(w->to->why_not, sizeof w->to->why_not,
                       "the keys of feed %.*s are at a URL: give a copy with "
                       "--jwk",
                       PRSPAN(feed->name));
        return 0;
    }
    int rc = set_accept(w->m, &rules, keys, token, wall_ms(), r, w->f);
    jws_keys_unref(keys);
    if (rc < 0)
        return refused(w, r->err, rc, "its feed refuses it");
    w->to->verified = true;
    w->to->event = r->event;
    return 0;
}

static int verify_by_config(struct work *w, struct span token,
                            struct span issuer)
{
    const struct config *c = NULL;
    TRY(cli_config_load(w->m, w->from->config, &c, w->f));
    const struct config_feed *feed = choose_feed(w, c, issuer);
    if (feed != NULL)
        return verify(w, feed, token);
    (void)snprintf(w->to->why_not, sizeof w->to->why_not,
                   "no feed of %s has the issuer %.*s", w->from->config,
                   PRSPAN(issuer));
    return 0;
}

static int take_token(struct work *w, struct span token)
{
    const struct doc *header, *claims;
    TRY(jws_decode_unverified(w->m, token, &header, &claims, w->f));
    w->to->is_token = true;
    (void)snprintf(w->to->why_not, sizeof w->to->why_not,
                   "anybody can write this; --config verifies it");
    if (w->from->config != NULL)
        TRY(verify_by_config(w, token, doc_text(claims, SPAN("iss"))));
    return w->to->verified ? 0 : take_claims(w, claims);
}

/* ---- the short forms ---- */

static int take_changed(struct work *w, const struct doc *list,
                        struct event_part *part)
{
    struct attr_path *at =
        mem_array(w->m, list == NULL ? 0 : list->count, sizeof *at);
    if (at == NULL)
        return fail(w->f, RC_NO_MEMORY, "no memory");
    part->changed = at;
    part->changed_anything = list == NULL;
    DOC_EACH (it, list)
        TRY(attr_path_parse(w->m, it->text, &at[part->changed_count++], w->f));
    return 0;
}

int policy_input_no_event(struct span name, struct fail *f)
{
    struct near n = {.word = name};
    char advice[FAIL_TEXT_MAX];
    event_type_near(&n, name);
    near_advice(&n, advice);
    return fail(f, RC_SYNTAX, "there is no event '%.*s'%s%s", PRSPAN(name),
                advice[0] == 0 ? "" : "; ", advice);
}

static int take_event(struct work *w, const struct doc *d)
{
    struct event *ev = &w->to->event;
    struct event_part *part = &ev->parts[0];
    const struct span name = doc_text(d, SPAN("event"));
    ev->uri = doc_text(d, SPAN("subject"));
    ev->feed = doc_text(d, SPAN("feed"));
    if (ev->feed.n == 0)
        ev->feed = span_str(w->from->feed);
    if (!event_type_from_name(name, &part->type))
        return policy_input_no_event(name, w->f);
    if (!policy_input_kind(ev->uri, &ev->kind))
        return fail(w->f, RC_SYNTAX,
                    "`subject` is /Agents/ID, /Users/ID or /Groups/ID");
    ev->has_subject = true;
    ev->part_count = 1;
    part->uri = span_str(event_type_uri(part->type));
    part->payload = doc_get(d, SPAN("payload"));
    return take_changed(w, doc_get(d, SPAN("changed")), part);
}

static int take_question(struct work *w, const struct doc *d)
{
    struct doc *more = doc_new(w->m, DOC_MAP);
    struct doc *run = doc_new(w->m, DOC_TEXT);
    if (more == NULL || run == NULL)
        return fail(w->f, RC_NO_MEMORY, "no memory");
    w->to->is_question = true;
    w->to->tool = doc_text(d, SPAN("tool"));
    run->key = SPAN("run_id");
    run->text = doc_text(d, run->key);
    if (run->text.n > 0)
        doc_append(more, run);
    w->to->more = more;
    return w->to->tool.n > 0 ? 0 : fail(w->f, RC_SYNTAX, "`tool` is no text");
}

/* A misspelt member would be silently missing from the answer. */
static int check_members(struct work *w, const struct doc *d)
{
    static const char *const known[] = {"event", "subject", "changed",
                                        "feed",  "payload", "resource",
                                        "tool",  "run_id",  "agent"};
    DOC_EACH (it, d) {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            found = found || span_eq(it->key, span_str(known[i]));
        if (!found)
            return fail(w->f, RC_SYNTAX,
                        "'%.*s' is no member of an event or "
                        "a question",
                        PRSPAN(it->key));
    }
    return 0;
}

static int take_json(struct work *w, struct span text)
{
    const struct doc *d = NULL;
    TRY(json_doc_parse(w->m, text, POLICY_INPUT_BYTES_MAX, &d, w->f));
    if (doc_get(d, SPAN("events")) != NULL) {
        w->to->is_token = true;
        (void)snprintf(w->to->why_not, sizeof w->to->why_not,
                       "these are claims without a signature");
        return take_claims(w, d);
    }
    TRY(check_members(w, d));
    w->to->resource = doc_get(d, SPAN("resource"));
    if (doc_get(d, SPAN("tool")) != NULL)
        return take_question(w, d);
    if (doc_get(d, SPAN("event")) != NULL)
        return take_event(w, d);
    return fail(w->f, RC_SYNTAX,
                "neither a token (`events`), nor an `event`, nor a question "
                "(`tool`)");
}

static bool is_space(unsigned char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

int policy_input_read(struct mem *m, const struct policy_input_from *from,
                      struct policy_input *ret, struct fail *f)
{
    struct work w = {m, from, ret, f};
    struct span text = SPAN("");
    *ret = (struct policy_input){.is_question = false};
    TRY(read_all(&w, &text));
    while (text.n > 0 && is_space(text.p[text.n - 1]))
        text.n--;
    while (text.n > 0 && is_space(text.p[0]))
        text = span_sub(text, 1, text.n);
    int rc = text.n > 0 && text.p[0] == '{' ? take_json(&w, text)
                                            : take_token(&w, text);
    if (rc < 0)
        return fail_wrap(
            f, "%s",
            strcmp(from->path, "-") == 0 ? "standard input" : from->path);
    return 0;
}
