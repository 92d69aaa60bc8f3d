// SPDX-License-Identifier: Apache-2.0
/*
 * `bailiff policy explain`: what each rule says about one event or one tool,
 * and which part of the rule decided: reads the question, policy_explain.c
 * answers.
 */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "adapters/json_doc.h"
#include "sidecar/cli.h"
#include "sidecar/cmd_policy_tool.h"
#include "sidecar/config/config.h"
#include "sidecar/config/policy_file.h"
#include "sidecar/policy_call.h"
#include "sidecar/policy_explain.h"
#include "sidecar/policy_input.h"

#define EXPLAIN_MEMORY_MAX (64u * 1024 * 1024)
#define RESOURCE_BYTES_MAX (1024 * 1024)

struct question {
    const char *file, *event, *subject, *resource, *changed, *feed, *payload,
        *tool, *input, *config, *jwk;
    bool json;
};

struct work {
    struct explain x;
    struct question q;
    struct arena arena;
    struct policy_notes notes;
    struct policy_input input;
    struct fail f;
};

/* ---- the question ---- */

static int read_json(struct work *w, const char *path, const struct doc **ret)
{
    struct span text;
    if (path == NULL)
        return RC_OK;
    TRY(config_read_file(&w->arena.mem, span_str(path), RESOURCE_BYTES_MAX,
                         false, &text, &w->f));
    int rc =
        json_doc_parse(&w->arena.mem, text, RESOURCE_BYTES_MAX, ret, &w->f);
    if (rc < 0)
        return fail_wrap(&w->f, "%s", path);
    return (*ret)->kind == DOC_MAP
               ? RC_OK
               : fail(&w->f, RC_SYNTAX, "%s: not a map", path);
}

static int read_changed(struct work *w)
{
    struct span text = span_str(w->q.changed);
    struct rule_question *r = &w->x.rule;
    unsigned most = 1;
    for (size_t i = 0; i < text.n; i++)
        most += text.p[i] == ',';
    struct attr_path *at = mem_array(&w->arena.mem, most, sizeof *at);
    r->changed = at;
    for (size_t i = 0; at != NULL && i < text.n;) {
        size_t end = span_find(text, ',', i);
        TRY(attr_path_parse(&w->arena.mem, span_trim(span_sub(text, i, end)),
                            &at[r->changed_count++], &w->f));
        i = end + 1;
    }
    return RC_OK;
}

/* `event.*`: what every event says of itself, then the given payload. */
static const struct doc *event_members(struct work *w,
                                       const struct doc *payload)
{
    struct doc *map = payload == NULL ? doc_new(&w->arena.mem, DOC_MAP)
                                      : doc_copy(&w->arena.mem, payload);
    const struct {
        struct span key, text;
    } own[] = {{SPAN("type"), span_str(event_type_name(w->x.rule.type))},
               {SPAN("feed"), w->x.rule.feed}};
    for (size_t i = 0; map != NULL && i < sizeof own / sizeof *own; i++) {
        struct doc *d = doc_new(&w->arena.mem, DOC_TEXT);
        if (d == NULL || own[i].text.n == 0 || doc_get(map, own[i].key) != NULL)
            continue;
        d->key = own[i].key;
        d->text = own[i].text;
        doc_append(map, d);
    }
    return map;
}

/* Changes are in doubt where an event may name attributes and --changed does
 * not, and for what is not an event: a read may have found anything. */
static bool may_have_changed_all(enum event_type t)
{
    return t == EVENT_CREATE || t == EVENT_PATCH || t == EVENT_PUT ||
           t == EVENT_UNKNOWN || event_type_uri(t)[0] == 0;
}

/* One event of the input is asked about. */
static void choose_part(struct work *w, unsigned i)
{
    const struct event_part *part = &w->input.event.parts[i];
    w->x.rule.type = part->type;
    w->x.rule.changed = part->changed;
    w->x.rule.changed_count = part->changed_count;
    w->x.rule.changed_anything =
        part->changed_anything && may_have_changed_all(part->type);
    w->x.data = doc_get(part->payload, SPAN("data"));
    w->x.rule.env.event = event_members(w, part->payload);
}

static int read_input(struct work *w)
{
    struct policy_input *in = &w->input;
    const struct policy_input_from from = {w->q.input, w->q.config, w->q.jwk,
                                           w->q.feed};
    TRY(policy_input_read(&w->arena.mem, &from, in, &w->f));
    if (w->x.rule.env.resource == NULL)
        w->x.rule.env.resource = in->resource;
    if (in->is_question) {
        w->x.rule.env.call =
            policy_call_doc(&w->arena.mem, w->x.p, in->tool, in->more);
        return RC_OK;
    }
    w->x.rule.subject = in->event.kind;
    w->x.rule.feed = in->event.feed;
    return RC_OK;
}

static int read_question(struct work *w)
{
    const struct doc *payload = NULL;
    TRY(read_json(w, w->q.resource, &w->x.rule.env.resource));
    TRY(read_json(w, w->q.payload, &payload));
    w->x.rule.feed = span_str(w->q.feed);
    if (w->q.input != NULL)
        return read_input(w);
    if (w->q.tool != NULL) {
        w->x.rule.env.call = policy_call_doc(&w->arena.mem, w->x.p,
                                             span_str(w->q.tool), payload);
        return RC_OK;
    }
    w->x.data = doc_get(payload, SPAN("data"));
    w->x.rule.env.event = event_members(w, payload);
    w->x.rule.changed_anything = may_have_changed_all(w->x.rule.type);
    if (w->q.changed != NULL) {
        w->x.rule.changed_anything = false;
        TRY(read_changed(w));
    }
    return RC_OK;
}

/* ---- input ---- */

static int explain_asked(struct work *w, struct span tool)
{
    w->x.tool = tool;
    return explain_tool(&w->x) ? EXIT_YES : EXIT_NO;
}

static void put_trust(struct work *w)
{
    const struct policy_input *in = &w->input;
    if (!in->is_token)
        return;
    if (w->q.json) {
        json_bool(&w->x.j, "verified", in->verified);
        if (!in->verified)
            json_str(&w->x.j, "not_verified", in->why_not);
        return;
    }
    term_tone(&w->x.term, &w->x.out, in->verified ? TONE_GOOD : TONE_WARN,
              in->verified ? SPAN("verified") : SPAN("not verified"));
    buf_put_str(&w->x.out, in->verified ? " with the keys of its feed" : ": ");
    if (!in->verified)
        term_put(&w->x.out, span_str(in->why_not));
    buf_put_str(&w->x.out, "\n");
}

static void put_part(struct work *w, unsigned i)
{
    choose_part(w, i);
    if (w->q.json) {
        json_open_map(&w->x.j, NULL);
        json_str(&w->x.j, "event", event_type_name(w->x.rule.type));
        explain_event(&w->x);
        json_close_map(&w->x.j);
        return;
    }
    term_tone(&w->x.term, &w->x.out, TONE_BOLD,
              span_str(event_type_name(w->x.rule.type)));
    buf_put_str(&w->x.out, " of ");
    term_put(&w->x.out, w->input.event.uri);
    if (w->x.rule.feed.n > 0)
        buf_printf(&w->x.out, ", feed %.*s", PRSPAN(w->x.rule.feed));
    buf_put_str(&w->x.out, "\n");
    explain_event(&w->x);
}

static int explain_input(struct work *w)
{
    const struct event *ev = &w->input.event;
    if (w->input.is_question)
        return explain_asked(w, w->input.tool);
    put_trust(w);
    if (w->q.json) {
        json_text(&w->x.j, "subject", ev->uri);
        json_text(&w->x.j, "feed", w->x.rule.feed);
        json_open_list(&w->x.j, "parts");
    }
    for (unsigned i = 0; ev->has_subject && i < ev->part_count; i++)
        put_part(w, i);
    if (w->q.json)
        json_close_list(&w->x.j);
    else if (!ev->has_subject)
        buf_put_str(&w->x.out, "it is about no subject: no rule is asked\n");
    return EXIT_YES;
}

/* ---- the command ---- */

static int load(struct work *w)
{
    struct span source;
    int rc = policy_file_load(&w->arena.mem, span_str(w->q.file), &w->x.p,
                              &w->notes, &source, &w->f);
    if (rc < 0 && w->notes.error_count > 0) {
        policy_notes_print(&w->notes, w->q.file, source, w->x.term.colour,
                           &w->x.out);
        return EXIT_NO;
    }
    if (rc == RC_OK)
        rc = read_question(w);
    if (rc == RC_OK)
        return EXIT_YES;
    (void)cli_fail(&w->f);
    return w->q.input != NULL && (rc == RC_PROTOCOL || rc == RC_SYNTAX)
               ? EXIT_NO
               : EXIT_ENVIRONMENT;
}

static int run(struct work *w)
{
    int code = load(w);
    if (code != EXIT_YES)
        return code;
    json_out_init(&w->x.j, &w->x.out);
    if (w->q.json)
        json_open_map(&w->x.j, NULL);
    if (w->q.input != NULL)
        code = explain_input(w);
    else if (w->q.tool != NULL)
        code = explain_asked(w, span_str(w->q.tool));
    else
        explain_event(&w->x);
    if (w->q.json) {
        json_close_map(&w->x.j);
        buf_put_str(&w->x.out, "\n");
    }
    return code;
}

static int check_input(const struct question *q)
{
    if (q->event != NULL || q->subject != NULL || q->changed != NULL ||
        q->payload != NULL || q->tool != NULL)
        return cli_usage(
            "policy explain: a file says it all: only --resource, --feed, "
            "--config and --jwk go with it");
    if (q->jwk != NULL && q->config == NULL)
        return cli_usage(
            "policy explain: --jwk needs --config, which says what the feed "
            "accepts");
    return EXIT_YES;
}

static int check_question(struct work *w, int words)
{
    const struct question *q = &w->q;
    if (words != 2 && words != 3)
        return cli_usage("policy explain needs one policy file");
    if (words == 3)
        return check_input(q);
    if (q->config != NULL || q->jwk != NULL)
        return cli_usage("policy explain: --config and --jwk are for tokens");
    if (q->tool != NULL && (q->event != NULL || q->changed != NULL))
        return cli_usage("policy explain: --event or --tool, not both");
    if (q->tool != NULL)
        return EXIT_YES;
    if (q->event == NULL || q->subject == NULL)
        return cli_usage(
            "policy explain needs --event and --subject, or --tool, or a "
            "file or - with a token, an event or a question");
    struct fail f;
    if (!event_type_from_name(span_str(q->event), &w->x.rule.type) &&
        policy_input_no_event(span_str(q->event), &f) < 0)
        return cli_usage("policy explain: %s", f.text);
    if (!policy_input_kind(span_str(q->subject), &w->x.rule.subject))
        return cli_usage(
            "policy explain: --subject is /Agents/ID, /Users/ID "
            "or /Groups/ID");
    return EXIT_YES;
}

static int64_t wall_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int explain(struct work *w, int argc, char **argv)
{
    struct question *q = &w->q;
    const struct cli_option options[] = {{"event", 0, NULL, &q->event},
                                         {"subject", 0, NULL, &q->subject},
                                         {"resource", 0, NULL, &q->resource},
                                         {"changed", 0, NULL, &q->changed},
                                         {"payload", 0, NULL, &q->payload},
                                         {"feed", 0, NULL, &q->feed},
                                         {"tool", 0, NULL, &q->tool},
                                         {"config", 'c', NULL, &q->config},
                                         {"jwk", 0, NULL, &q->jwk},
                                         {"json", 'j', &q->json, NULL},
                                         {NULL, 0, NULL, NULL}};
    const char *words[3] = {NULL, NULL, NULL};
    const int count = cli_parse(argc, argv, options, words, 3);
    int code = count < 0 ? EXIT_USAGE : check_question(w, count);
    if (code != EXIT_YES)
        return code;
    q->file = words[1];
    q->input = words[2];
    arena_init(&w->arena, mem_system(), EXPLAIN_MEMORY_MAX);
    buf_init(&w->x.out, mem_system(), TERM_OUT_MAX);
    w->x.mem = &w->arena.mem;
    w->x.json = q->json;
    term_init(&w->x.term, STDOUT_FILENO);
    w->x.wall_ms = wall_now();
    code = run(w);
    if (term_write(STDOUT_FILENO, buf_span(&w->x.out)) < 0)
        code = EXIT_ENVIRONMENT;
    buf_fini(&w->x.out);
    arena_fini(&w->arena);
    return code;
}

int cmd_policy_explain(int argc, char **argv)
{
    struct work *w = mem_alloc(mem_system(), sizeof *w);
    if (w == NULL)
        return EXIT_ENVIRONMENT;
    const int code = explain(w, argc, argv);
    mem_release(mem_system(), w);
    return code;
}
