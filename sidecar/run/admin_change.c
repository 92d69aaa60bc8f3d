// SPDX-License-Identifier: Apache-2.0
/*
 * Changes by operators. The engine changes its memory in the step and says
 * OUT_ACK when that is durable; the answer is written right after the step, so
 * that it tells of this change and of nothing that came in between, and waits.
 */
#include "sidecar/run/admin.h"

#include <string.h>

#include "adapters/json_doc.h"
#include "sidecar/base/log.h"
#include "sidecar/core/hold.h"

#define REASON_BYTES_MAX 512

/* A body that has been checked. */
struct change {
    const struct admin_verb *verb;
    const struct doc *body;
    struct in in;
    int feed;
    unsigned base;
    unsigned matching; /* holds that a lift is about, before it */
};

/* ----------------------------------------------------------------- bodies */

/* Is `name` one of the words in `list`, each with a blank behind? */
static bool listed(const char *list, struct span name)
{
    struct span rest = span_str(list);
    while (rest.n > 0) {
        size_t end = span_find(rest, ' ', 0);
        if (span_eq(span_sub(rest, 0, end), name))
            return true;
        rest = span_sub(rest, end + 1, rest.n);
    }
    return false;
}

static int check_needed(const struct doc *body, const char *list,
                        struct fail *f)
{
    struct span rest = span_str(list);
    while (rest.n > 0) {
        size_t end = span_find(rest, ' ', 0);
        struct span name = span_sub(rest, 0, end);
        if (doc_get(body, name) == NULL)
            return fail(f, RC_INVALID, "member %.*s is missing", PRSPAN(name));
        rest = span_sub(rest, end + 1, rest.n);
    }
    return 0;
}

static int check_members(const struct change *c, struct fail *f)
{
    if (c->body->kind != DOC_MAP)
        return fail(f, RC_INVALID, "the body must be a map");
    DOC_EACH (m, c->body) {
        bool tools = span_eq(m->key, SPAN("tools"));
        if (!span_eq(m->key, SPAN("reason")) &&
            !listed(c->verb->members, m->key))
            return fail(f, RC_INVALID, "unknown member %.*s",
                        PRSPAN(span_sub(m->key, 0, 64)));
        if (m->kind != (tools ? DOC_LIST : DOC_TEXT) ||
            (!tools && m->text.n == 0))
            return fail(f, RC_INVALID, "%.*s must be a %s", PRSPAN(m->key),
                        tools ? "list of texts" : "text that is not empty");
    }
    TRY(check_needed(c->body, c->verb->needed, f));
    return check_needed(c->body, "reason ", f);
}

/* Control characters could forge lines in whatever shows the record. */
static bool is_plain(struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        bool c1 = s.p[i] == 0xc2 && i + 1 < s.n && s.p[i + 1] < 0xa0;
        if (s.p[i] < 0x20 || s.p[i] == 0x7f || c1)
            return false;
    }
    return true;
}

static int check_reason(const struct change *c, struct fail *f)
{
    struct span reason = doc_text(c->body, SPAN("reason"));
    if (reason.n > REASON_BYTES_MAX)
        return fail(f, RC_INVALID, "reason must be 1 to %d bytes",
                    REASON_BYTES_MAX);
    if (!is_plain(reason))
        return fail(f, RC_INVALID, "reason has control characters");
    return 0;
}

static int check_kind(const struct change *c, struct fail *f)
{
    struct span kind = doc_text(c->body, SPAN("kind"));
    unsigned count =
        c->verb->verb == OP_HOLD_ADD ? HOLD_UNCOVERED : HOLD_KIND_COUNT;
    for (unsigned k = 0; k < count; k++)
        if (span_eq(kind, span_str(hold_kind_word((enum hold_kind)k))))
            return 0;
    return kind.n == 0
               ? 0
               : fail(f, RC_INVALID, "kind must be suspended or review%s",
                      count == HOLD_KIND_COUNT ? " or uncovered" : "");
}

static int parse_body(struct admin_ask *q, struct change *c, struct fail *f)
{
    int rc = json_doc_parse(&q->arena.mem, http_body(q->req),
                            ADMIN_BODY_BYTES_MAX, &c->body, f);
    if (rc == RC_NO_MEMORY || rc == RC_TOO_LARGE)
        return fail(f, RC_TOO_LARGE, "the body is larger than %d bytes",
                    ADMIN_BODY_BYTES_MAX);
    if (rc < 0)
        return rc;
    TRY(check_members(c, f));
    TRY(check_reason(c, f));
    return check_kind(c, f);
}

int admin_body(struct admin_ask *q, const struct admin_verb *v,
               const struct doc **ret, struct fail *f)
{
    struct change c = {.verb = v};
    TRY(parse_body(q, &c, f));
    *ret = c.body;
    return 0;
}

/* ------------------------------------------------------------------ tools */

static const struct policy_class *class_of(const struct app *a,
                                           struct span name)
{
    const struct policy *p = a->policy;
    for (unsigned i = 0; i < p->class_count; i++)
        if (span_eq(p->classes[i].name, name))
            return &p->classes[i];
    return NULL;
}

/* Classes become their patterns: a hold outlives the policy. */
static int add_tools(struct admin_ask *q, const struct doc *tool,
                     struct span *at, unsigned *count, struct fail *f)
{
    if (tool->kind != DOC_TEXT || tool->text.n == 0 ||
        tool->text.n > ENGINE_ID_MAX || !is_plain(tool->text))
        return fail(f, RC_INVALID, "tools must be texts of 1 to %d bytes",
                    ENGINE_ID_MAX);
    const struct policy_class *class = class_of(q->app, tool->text);
    const struct names one = {&tool->text, 1};
    const struct names add = class == NULL ? one : class->patterns;
    if (*count + add.count > HOLD_TOOLS_MAX)
        return fail(f, RC_INVALID, "more than %d tools", HOLD_TOOLS_MAX);
    for (unsigned i = 0; i < add.count; i++)
        at[(*count)++] = add.at[i];
    return 0;
}

static int read_tools(struct admin_ask *q, struct change *c, struct fail *f)
{
    const struct doc *tools = doc_get(c->body, SPAN("tools"));
    unsigned count = 0;
    if (tools == NULL)
        return 0;
    if (tools->count == 0)
        return fail(f, RC_INVALID, "tools is empty; leave it out to hold all");
    struct span *at = mem_array(&q->arena.mem, HOLD_TOOLS_MAX, sizeof *at);
    if (at == NULL)
        return fail(f, RC_UNAVAILABLE, "out of memory");
    DOC_EACH (t, tools) {
        TRY(add_tools(q, t, at, &count, f));
        if (t->kind == DOC_TEXT && span_eq(t->text, SPAN("*")))
            return 0; /* all of them */
    }
    c->in.operator.tools =(struct names){at, count};
    return 0;
}

/* ------------------------------------------------------------------ input */

static struct doc *add_node(struct admin_ask *q, struct doc *parent,
                            enum doc_kind kind, struct span key)
{
    struct doc *d = doc_new(&q->arena.mem, kind);
    if (d == NULL)
        return NULL;
    d->key = key;
    if (parent != NULL)
        doc_append(parent, d);
    return d;
}

/* The operator as a resource, for a review's `by`. */
static int person_of(struct admin_ask *q, const struct doc **ret,
                     struct fail *f)
{
    struct doc *root = add_node(q, NULL, DOC_MAP, SPAN(""));
    struct doc *groups =
        root == NULL ? NULL : add_node(q, root, DOC_LIST, SPAN("groups"));
    for (unsigned i = 0; groups != NULL && i < q->who->groups.count; i++) {
        struct doc *group = add_node(q, groups, DOC_MAP, SPAN(""));
        struct doc *value =
            group == NULL ? NULL : add_node(q, group, DOC_TEXT, SPAN("value"));
        if (value == NULL)
            return fail(f, RC_UNAVAILABLE, "out of memory");
        value->text = q->who->groups.at[i];
    }
    *ret = root;
    return groups == NULL ? fail(f, RC_UNAVAILABLE, "out of memory") : 0;
}

static int parse_job_id(struct span text, uint64_t *ret, struct fail *f)
{
    uint64_t id = 0;
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = text.p[i];
        bool digit = c >= '0' && c <= '9', letter = c >= 'a' && c <= 'f';
        if (text.n != 16 || (!digit && !letter))
            return fail(f, RC_UNKNOWN_NAME, "no job %.*s",
                        PRSPAN(span_sub(text, 0, 64)));
        id = id << 4 | (uint64_t)(digit ? c - '0' : c - 'a' + 10);
    }
    *ret = id;
    return 0;
}

static bool about_job(const struct change *c)
{
    return c->verb->verb == OP_JOB_RETRY || c->verb->verb == OP_JOB_ABANDON;
}

static struct span lifted_kind(const struct change *c)
{
    bool review =
        c->verb->verb == OP_REVIEW_APPROVE || c->verb->verb == OP_REVIEW_DENY;
    return review ? SPAN("review") : c->in.operator.hold_kind;
}

static int build_input(struct admin_ask *q, struct change *c, struct fail *f)
{
    struct in_operator *in = &c->in.operator;
    c->in.kind = IN_OPERATOR;
    in->verb = c->verb->verb;
    in->person = q->who->name;
    in->reason = doc_text(c->body, SPAN("reason"));
    TRY(admin_feed(q->app, doc_text(c->body, SPAN("feed")), &c->feed, f));
    if (about_job(c))
        return parse_job_id(doc_text(c->body, SPAN("id")), &in->job_id, f);
    in->uri = doc_text(c->body, SPAN("agent"));
    in->hold_kind = doc_text(c->body, SPAN("kind"));
    in->cause = doc_text(c->body, SPAN("cause"));
    TRY(admin_base(q->app, c->feed, in->uri, &c->base, f));
    in->base = (int)c->base;
    c->matching = engine_count_holds(q->app->engine, c->base, in->uri,
                                     lifted_kind(c), in->cause);
    TRY(person_of(q, &in->person_resource, f));
    return read_tools(q, c, f);
}

/* ----------------------------------------------------------------- answer */

static void write_answer(struct app *a, const struct change *c, struct buf *to)
{
    const struct in_operator *in = &c->in.operator;
    struct json_out j;
    json_out_init(&j, to);
    if (about_job(c)) {
        if (!engine_show_job(a->engine, in->job_id, &j))
            buf_put_str(to, "{}"); /* so many ended since that it is gone */
        return;
    }
    json_open_map(&j, NULL);
    if (in->verb == OP_HOLD_ADD) {
        engine_show_new_hold(a->engine, c->base, in->uri, &j);
    } else {
        unsigned left = engine_count_holds(a->engine, c->base, in->uri,
                                           lifted_kind(c), in->cause);
        json_u64(&j, "lifted", c->matching > left ? c->matching - left : 0);
        engine_show_left(a->engine, c->base, in->uri, &j);
    }
    json_close_map(&j);
}

void admin_done(struct app *a, struct waiter *w, int rc, struct span text)
{
    (void)a;
    if (w->req != NULL && rc < 0)
        admin_refuse(w->req, rc, text);
    else if (w->req != NULL) /* NULL: told that it may take long */
        admin_reply(w->req, &w->answer);
    w->req = NULL; /* for admin_change: it is answered */
    buf_fini(&w->answer);
    waiter_free(w);
}

/* The engine could not keep it; what it tightened meanwhile stays. */
static void not_kept(struct waiter *w, int rc)
{
    admin_done(w->app, w, rc == RC_LIMIT ? RC_LIMIT : RC_UNAVAILABLE,
               rc == RC_LIMIT ? SPAN("a table is full")
                              : SPAN("the change could not be kept"));
}

int admin_change(struct admin_ask *q, const struct admin_verb *v,
                 struct fail *f)
{
    struct app *a = q->app;
    struct change c = {.verb = v, .feed = -1};
    struct waiter *w;
    if (a->store_state != STORE_OK)
        return fail(f, RC_UNAVAILABLE, "the store is %s",
                    a->store_state == STORE_BLOCKED ? "blocked" : "poisoned");
    TRY(parse_body(q, &c, f));
    TRY(build_input(q, &c, f));
    w = waiter_new(a, WAIT_ADMIN);
    if (w == NULL)
        return fail(f, RC_UNAVAILABLE, "out of memory");
    w->req = q->req;
    buf_init(&w->answer, mem_system(), ADMIN_ANSWER_BYTES_MAX);
    c.in.operator.token = waiter_token(w);
    int rc = app_step(a, &c.in);
    if (w->req == NULL)
        return 0; /* refused */
    if (rc < 0)
        not_kept(w, rc);
    else
        write_answer(a, &c, &w->answer);
    return 0;
}
