// SPDX-License-Identifier: Apache-2.0
#include "sidecar/operator.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "sidecar/base/time_text.h"
#include "sidecar/cli_config.h"
#include "sidecar/io/admin_client.h"

static int socket_from_config(struct operator* o)
{
    const struct config *c;
    int code = cli_config(&o->arena.mem, o->config, &c);
    if (code == EXIT_YES)
        (void)snprintf(o->path, sizeof o->path, "%.*s",
                       PRSPAN(span_sub(c->admin.address, 5, SIZE_MAX)));
    return code;
}

int operator_open(struct operator* o)
{
    arena_init(&o->arena, mem_system(), OPERATOR_MEMORY_MAX);
    buf_init(&o->out, mem_system(), TERM_OUT_MAX);
    term_init(&o->term, STDOUT_FILENO);
    if (o->socket == NULL && o->config != NULL)
        return socket_from_config(o);
    (void)snprintf(o->path, sizeof o->path, "%s",
                   o->socket != NULL ? o->socket : "/run/bailiff/admin.sock");
    return EXIT_YES;
}

int operator_close(struct operator* o, int code)
{
    const struct fail too_big = {RC_LIMIT, "the answer does not fit in memory"};
    if (!buf_ok(&o->out))
        code = cli_fail(&too_big);
    else if (term_write(STDOUT_FILENO, buf_span(&o->out)) < 0)
        code = EXIT_ENVIRONMENT;
    buf_fini(&o->out);
    arena_fini(&o->arena);
    return code;
}

/* Where to look for what was not found. */
static const char *advice_on(struct span message)
{
    static const struct {
        const char *says, *advice;
    } rows[] = {
        {"no agent ", "; `bailiff agents` lists those that are known"},
        {"no such agent", "; `bailiff agents` lists those that are known"},
        {"the agent has no such hold",
         "; `bailiff agents show AGENT` lists them"},
        {"this is not the path of an agent", ": write /Agents/7"},
        {"no such job", "; `bailiff jobs` lists them"},
        {"the store is ", "; `bailiff status` tells more"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (span_starts(message, span_str(rows[i].says)))
            return rows[i].advice;
    return "";
}

static int refused(const struct operator* o, const struct admin_answer *a)
{
    char text[1024];
    struct fail f = {0};
    const struct span message = doc_text(a->root, SPAN("message"));
    struct buf clean;
    buf_init(&clean, mem_system(), sizeof text - 1);
    term_put(&clean, span_sub(message, 0, sizeof text / 4));
    const bool stranger = span_starts(message, SPAN("user "));
    if (a->status == 403 && stranger)
        (void)fail(&f, RC_DENIED,
                   "%.*s (you are user %u; `operators:` in bailiff.yaml "
                   "names who may)",
                   PRSPAN(buf_span(&clean)), (unsigned)geteuid());
    else if (message.n > 0)
        (void)fail(&f, RC_REFUSED, "%.*s%s", PRSPAN(buf_span(&clean)),
                   advice_on(message));
    else
        (void)fail(&f, RC_REFUSED, "%s answered HTTP %u", o->path, a->status);
    buf_fini(&clean);
    (void)cli_fail(&f);
    return a->status < 500 ? EXIT_NO : EXIT_ENVIRONMENT;
}

int operator_call(struct operator* o, const char *target, struct span body,
                  const struct doc **ret, struct span *ret_text)
{
    struct admin_answer a = {0};
    struct fail f = {0};
    if (admin_call(&o->arena.mem, o->path, target, body, &a, &f) < 0)
        return cli_fail(&f);
    if (a.status != 200)
        return refused(o, &a);
    *ret = a.root;
    *ret_text = a.text;
    return EXIT_YES;
}

int operator_get(struct operator* o, const struct buf *target,
                 const struct doc **ret, struct span *ret_text)
{
    struct fail f;
    if (!buf_ok(target)) { /* less of it would ask for more */
        (void)fail(&f, RC_TOO_LARGE, "the request is too long");
        return cli_fail(&f);
    }
    return operator_call(o, (const char *)target->p, (struct span){NULL, 0},
                         ret, ret_text);
}

int operator_check_reason(const struct operator* o, const char *command)
{
    if (o->reason == NULL || *o->reason == '\0')
        return cli_usage(
            "%s: say why with --reason TEXT; it goes into the "
            "decision log",
            command);
    if (strlen(o->reason) > OPERATOR_REASON_MAX)
        return cli_usage("%s: the reason is longer than %d bytes", command,
                         OPERATOR_REASON_MAX);
    if (!span_is_text(span_str(o->reason)))
        return cli_usage("%s: the reason is not UTF-8 text", command);
    return EXIT_YES;
}

void operator_body(struct operator* o, struct buf *b, struct json_out *j,
                   const char *agent)
{
    buf_init(b, &o->arena.mem, 64 * 1024);
    json_out_init(j, b);
    json_open_map(j, NULL);
    if (agent != NULL)
        json_str(j, "agent", agent);
    if (o->feed != NULL)
        json_str(j, "feed", o->feed);
    if (o->reason != NULL)
        json_str(j, "reason", o->reason);
}

void operator_encode(struct buf *target, struct span s)
{
    static const char unreserved[] = "-._~";
    for (size_t i = 0; i < s.n; i++) {
        const unsigned char c = s.p[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
            (c >= '0' && c <= '9') || (c != 0 && strchr(unreserved, c)))
            buf_put_u8(target, c);
        else
            buf_printf(target, "%%%02X", c);
    }
}

void operator_query(struct buf *target, const char *name, const char *value)
{
    if (value == NULL)
        return;
    const struct span so_far = buf_span(target);
    buf_put_str(target, span_find(so_far, '?', 0) < so_far.n ? "&" : "?");
    buf_put_str(target, name);
    buf_put_str(target, "=");
    operator_encode(target, span_str(value));
}

const char *operator_str(struct operator* o, struct span s)
{
    const unsigned char *copy = mem_copy(&o->arena.mem, s);
    return copy == NULL ? "" : (const char *)copy;
}

struct span operator_printf(struct operator* o, const char *fmt, ...)
{
    char text[2048];
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    const size_t length = n < 0 ? 0 : (size_t)n;
    return span_str(operator_str(
        o, span_of(text, length < sizeof text ? length : sizeof text - 1)));
}

/* ---- members ---- */

struct span operator_ago(struct operator* o, const struct doc *d,
                         struct span key)
{
    int64_t wall_ms;
    char text[16];
    if (!time_parse(doc_text(d, key), &wall_ms))
        return SPAN("-");
    term_ago(o->term.now_ms, wall_ms, text);
    return operator_printf(o, "%s", text);
}

struct span operator_text(const struct doc *d, struct span key)
{
    const struct span s = doc_text(d, key);
    return s.n == 0 ? SPAN("-") : s;
}

struct span operator_digest(const struct doc *d, struct span key)
{
    return span_sub(operator_text(d, key), 0, OPERATOR_DIGEST_SHOWN);
}

int64_t operator_number(const struct doc *d, struct span key)
{
    const struct doc *n = doc_get(d, key);
    return n != NULL && n->kind == DOC_INT ? n->integer : 0;
}

int64_t operator_count(const struct doc *d, struct span key)
{
    const struct doc *n = doc_get(d, key);
    return n != NULL && n->kind == DOC_LIST ? n->count
                                            : operator_number(d, key);
}

void operator_cell(struct operator* o, struct table *t, struct span text,
                   enum tone tone)
{
    if (table_cell(t, text, tone) < 0)
        o->out.failed = true;
}

/* ---- words ---- */

struct operator_words operator_standing(const struct doc *agent)
{
    static const struct {
        struct span word;
        struct operator_words shown;
    } words[] = {
#define W(word, text, tone)                                                    \
    {                                                                          \
        {(const unsigned char *)word, sizeof word - 1},                        \
        {                                                                      \
            {(const unsigned char *)text, sizeof text - 1}, tone               \
        }                                                                      \
    }
        W("may_act", "may act", TONE_GOOD),
        W("inactive", "not active", TONE_BAD),
        W("stale", "stale, must be read first", TONE_WARN),
        W("held", "held", TONE_BAD),
        W("unknown", "unknown", TONE_WARN),
        W("gone", "gone", TONE_BAD),
#undef W
    };
    const struct span s = operator_text(agent, SPAN("standing"));
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (span_eq(words[i].word, s))
            return words[i].shown;
    return (struct operator_words){s, TONE_PLAIN};
}

struct operator_words operator_job_state(struct operator* o,
                                         const struct doc *job)
{
    const struct span state = operator_text(job, SPAN("state"));
    const int64_t reach = operator_number(job, SPAN("reach"));
    const long long done = operator_number(job, SPAN("confirmed"));
    const bool over = span_eq(state, SPAN("refused")) ||
                      span_eq(state, SPAN("failed")) ||
                      span_eq(state, SPAN("abandoned"));
    if (reach == 0 && (span_eq(state, SPAN("confirmed")) ||
                       span_eq(state, SPAN("nothing_registered"))))
        return (struct operator_words){SPAN("nothing registered"), TONE_WARN};
    if (span_eq(state, SPAN("withheld")))
        return (struct operator_words){SPAN("withheld"), TONE_WARN};
    if (over)
        return (struct operator_words){
            operator_printf(o, "%.*s: %lld of %lld confirmed", PRSPAN(state),
                            done, (long long)reach),
            TONE_BAD};
    const bool all =
        reach > 0 && done >= reach && span_eq(state, SPAN("confirmed"));
    return (struct operator_words){
        all || done > 0
            ? operator_printf(o, "%lld of %lld confirmed", done,
                              (long long)reach)
            : operator_printf(o, "%.*s, not confirmed", PRSPAN(state)),
        all ? TONE_GOOD : TONE_WARN};
}

static struct span tools_of(struct operator* o, const struct doc *hold)
{
    const struct doc *tools = doc_get(hold, SPAN("tools"));
    struct buf b;
    if (tools == NULL || tools->count == 0 ||
        (tools->count == 1 && tools->first->kind == DOC_TEXT &&
         span_eq(tools->first->text, SPAN("*"))))
        return SPAN("all tools");
    buf_init(&b, &o->arena.mem, 4096);
    buf_put_str(&b, "tools");
    DOC_EACH (t, tools) {
        buf_put_str(&b, " ");
        buf_put(&b, t->text);
    }
    return buf_span(&b);
}

struct span operator_hold(struct operator* o, const struct doc *hold)
{
    const struct span expires = doc_text(hold, SPAN("expires"));
    return operator_printf(
        o, "%.*s by %.*s (%.*s), %.*s, %.*s%s%.*s",
        PRSPAN(operator_text(hold, SPAN("kind"))),
        PRSPAN(operator_text(hold, SPAN("set_by"))),
        PRSPAN(operator_text(hold, SPAN("cause"))),
        PRSPAN(operator_ago(o, hold, SPAN("since"))), PRSPAN(tools_of(o, hold)),
        expires.n > 0 ? ", expires " : "",
        PRSPAN(expires.n > 0 ? operator_ago(o, hold, SPAN("expires"))
                             : SPAN("")));
}
