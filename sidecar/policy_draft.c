// SPDX-License-Identifier: Apache-2.0
#include "sidecar/policy_draft.h"

#include <stdlib.h>
#include <string.h>

#include "policy/policy.h"
#include "policy/test.h"
#include "sidecar/base/json_out.h"
#include "sidecar/base/time_text.h"
#include "sidecar/term.h"

#define KEY_MAX 1024
#define SHOWN_MAX 20 /* groups and statements in comments */
#define CLASSES_MAX 30
#define OTHERS_MAX 64 /* tools of one class */
#define TESTS_MAX 10  /* of tools that were allowed */

struct tally {
    struct map_link link; /* key: the name */
    uint64_t count;
    const struct doc *groups; /* of an agent */
    struct span uri, tool;    /* the first that was allowed, of a class */
};

void draft_init(struct draft *d)
{
    const struct hash_key seed = {0x27d4eb2f, 0x165667b1};
    *d = (struct draft){.questions = 0};
    arena_init(&d->arena, mem_system(), DRAFT_BYTES_MAX);
    struct map *maps[] = {&d->classes, &d->singles, &d->users,
                          &d->agents,  &d->groups,  &d->events};
    for (size_t i = 0; i < sizeof maps / sizeof(struct map *); i++)
        map_init(maps[i], mem_system(), seed, DRAFT_NAMES_MAX);
}

void draft_fini(struct draft *d)
{
    struct map *maps[] = {&d->classes, &d->singles, &d->users,
                          &d->agents,  &d->groups,  &d->events};
    for (size_t i = 0; i < sizeof maps / sizeof(struct map *); i++)
        map_fini(maps[i]);
    arena_fini(&d->arena);
}

/* ---- counting ---- */

static struct span name_of(const struct tally *t)
{
    return map_key(&t->link);
}

static struct tally *tally_of(struct map_link *k)
{
    return container_of(k, struct tally, link);
}

static struct tally *tally_get(struct draft *d, struct map *in,
                               struct span name)
{
    struct map_link *k = map_find(in, name);
    if (k != NULL)
        return tally_of(k);
    struct tally *t = mem_alloc(&d->arena.mem, sizeof *t);
    if (t != NULL) {
        const unsigned char *copy = mem_copy(&d->arena.mem, name);
        map_set_key(&t->link, span_of(copy, copy == NULL ? 0 : name.n));
        if (copy != NULL && map_insert(in, &t->link) == 0)
            return t;
    }
    d->lost++;
    return NULL;
}

static struct tally *count(struct draft *d, struct map *in, struct span name)
{
    struct tally *t = tally_get(d, in, name);
    if (t != NULL)
        t->count++;
    return t;
}

static struct span keep(struct draft *d, struct span s)
{
    const unsigned char *copy = mem_copy(&d->arena.mem, s);
    return span_of(copy, copy == NULL ? 0 : s.n);
}

/* What a test can be about: other agents than those of its small world, and
 * letters beyond ASCII, are left to people. */
static bool is_plain(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= 0x20 || s.p[i] >= 0x7f ||
            memchr("*\"\\", s.p[i], 3) != NULL)
            return false;
    return s.n > 0 && s.n <= 128;
}

static bool is_agent(struct span uri)
{
    const size_t n = SPAN("/" POLICY_TEST_AGENTS "/").n;
    return span_starts(uri, SPAN("/" POLICY_TEST_AGENTS "/")) &&
           is_plain(uri) && uri.n > n && span_find(uri, '/', n) == uri.n;
}

static struct span pair(char key[KEY_MAX], struct span a, struct span b)
{
    int n = snprintf(key, KEY_MAX, "%.*s\n%.*s", PRSPAN(a), PRSPAN(b));
    return span_of(key, n < KEY_MAX ? (size_t)n : KEY_MAX - 1);
}

/* "payments." of "payments.refund"; empty: it has no separator. */
static struct span prefix_of(struct span tool)
{
    for (size_t i = 1; i + 1 < tool.n; i++)
        if (memchr(".:/", tool.p[i], 3) != NULL)
            return span_sub(tool, 0, i + 1);
    return SPAN("");
}

static void on_question(struct draft *d, const struct doc *entry)
{
    char key[KEY_MAX];
    struct span prefix = prefix_of(doc_text(entry, SPAN("tool")));
    bool allowed = span_eq(doc_text(entry, SPAN("outcome")), SPAN("allow"));
    struct span tool = doc_text(entry, SPAN("tool"));
    struct span uri = doc_text(entry, SPAN("uri"));
    d->questions++;
    d->allowed += allowed;
    struct tally *t = prefix.n == 0 ? count(d, &d->singles, tool)
                                    : count(d, &d->classes, prefix);
    if (t != NULL && allowed && t->uri.n == 0 && is_agent(uri) &&
        is_plain(tool)) {
        t->uri = keep(d, uri);
        t->tool = keep(d, tool);
    }
    if (allowed && prefix.n > 0)
        (void)count(d, &d->users, pair(key, prefix, uri));
}

static void on_event(struct draft *d, const struct doc *entry)
{
    char key[KEY_MAX];
    struct span uri = doc_text(entry, SPAN("uri"));
    d->statements++;
    DOC_EACH (part, doc_get(entry, SPAN("parts"))) {
        struct span type = doc_text(part, SPAN("type"));
        (void)count(d, &d->events,
                    pair(key, type, doc_text(entry, SPAN("feed"))));
        if (d->leaver.n == 0 && is_agent(uri) &&
            span_eq(type, SPAN("deactivate")))
            d->leaver = keep(d, uri);
    }
}

static void on_read(struct draft *d, const struct doc *entry)
{
    const struct doc *resource = doc_get(entry, SPAN("resource"));
    if (resource == NULL ||
        !span_eq(doc_text(entry, SPAN("subject_kind")), SPAN("agent")))
        return;
    const struct doc *groups = doc_iget(resource, SPAN("groups"));
    struct tally *t = tally_get(d, &d->agents, doc_text(entry, SPAN("uri")));
    if (t == NULL ||
        (t->groups != NULL && groups != NULL && doc_eq(t->groups, groups)))
        return;
    t->groups = groups == NULL ? NULL : doc_copy(&d->arena.mem, groups);
}

void draft_entry(struct draft *d, const struct doc *entry)
{
    const struct doc *t = doc_get(entry, SPAN("t"));
    struct span kind = doc_text(entry, SPAN("kind"));
    if (t == NULL || t->kind != DOC_INT)
        return;
    d->last_ms = t->integer;
    if (d->first_ms == 0)
        d->first_ms = t->integer;
    if (span_eq(kind, SPAN("question")))
        on_question(d, entry);
    else if (span_eq(kind, SPAN("event")))
        on_event(d, entry);
    else if (span_eq(kind, SPAN("read")))
        on_read(d, entry);
}

/* ---- in order ---- */

static int by_count(const void *a, const void *b)
{
    const struct tally *x = *(struct tally *const *)a;
    const struct tally *y = *(struct tally *const *)b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return span_cmp(name_of(x), name_of(y));
}

/* All of a map, the most frequent first. */
static struct tally **sorted(struct draft *d, const struct map *m)
{
    struct tally **at =
        mem_array(&d->arena.mem, m->count + 1, sizeof(struct tally *));
    struct map_link *k = NULL;
    size_t n = 0;
    while (at != NULL && (k = map_next(m, k)) != NULL)
        at[n++] = tally_of(k);
    if (at != NULL)
        qsort(at, n, sizeof(struct tally *), by_count);
    return at;
}

/* ---- groups ---- */

static bool is_in(const struct doc *groups, struct span id)
{
    DOC_EACH (g, groups)
        if (span_eq(doc_text(g, SPAN("value")), id))
            return true;
    return false;
}

static void count_groups(struct draft *d)
{
    struct map_link *k = NULL;
    while ((k = map_next(&d->agents, k)) != NULL)
        DOC_EACH (g, tally_of(k)->groups)
            if (doc_text(g, SPAN("value")).n > 0)
                (void)count(d, &d->groups, doc_text(g, SPAN("value")));
}

/* Is every agent that was allowed a tool of this class in the group? */
static bool is_shared(const struct draft *d, struct span prefix,
                      struct span group)
{
    struct map_link *k = NULL;
    bool any = false;
    while ((k = map_next(&d->users, k)) != NULL) {
        struct span user = map_key(k);
        size_t line = span_find(user, '\n', 0);
        if (!span_eq(span_sub(user, 0, line), prefix))
            continue;
        struct map_link *agent =
            map_find(&d->agents, span_sub(user, line + 1, user.n));
        if (agent == NULL || !is_in(tally_of(agent)->groups, group))
            return false;
        any = true;
    }
    return any;
}

/* ---- writing ---- */

/* What a comment may hold: no line of its own making. */
static void put_comment_text(struct buf *out, struct span s)
{
    for (size_t i = 0; i < s.n && i < 128; i++)
        buf_put_u8(out, s.p[i] < 0x20 || s.p[i] == 0x7f ? '?' : s.p[i]);
}

/* Words that YAML or the policy takes for something else, and the names of
 * the draft's own rules. */
static bool is_reserved(struct span name)
{
    static const char *const words[] = {
        "null", "true", "false", "yes", "no",     "on",   "off",
        "y",    "n",    "none",  "all", "others", "stop", "come-back"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (span_eq(name, span_str(words[i])))
            return true;
    return false;
}

/* "payments." -> "payments"; letters that names lack become a dash. */
static bool class_name(struct span prefix, char ret[POLICY_NAME_MAX + 1])
{
    size_t n = prefix.n - 1;
    if (n == 0 || n > POLICY_NAME_MAX)
        return false;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = prefix.p[i];
        if (c >= 'A' && c <= 'Z')
            c = (unsigned char)(c + ('a' - 'A'));
        bool fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        ret[i] = (char)(fine ? c : '-');
    }
    ret[n] = 0;
    return ret[0] >= 'a' && !is_reserved(span_str(ret));
}

struct classes {
    struct {
        char name[POLICY_NAME_MAX + 1];
        const struct tally *tally;
    } at[CLASSES_MAX];
    unsigned count;
    struct other {
        const struct tally *tally;
        bool is_prefix;
    } others[OTHERS_MAX]; /* those without a class of their own */
    unsigned other_count;
    bool everything; /* more than can be named: others is "*" alone */
};

static void add_other(struct classes *c, const struct tally *t, bool is_prefix)
{
    struct span name = name_of(t);
    if (c->other_count == OTHERS_MAX || name.n == 0 || !span_is_text(name) ||
        span_find(name, '*', 0) != name.n)
        c->everything = true;
    else
        c->others[c->other_count++] = (struct other){t, is_prefix};
}

static void choose_classes(struct draft *d, struct classes *c)
{
    struct tally **all = sorted(d, &d->classes);
    for (size_t i = 0; all != NULL && all[i] != NULL; i++) {
        char name[POLICY_NAME_MAX + 1];
        bool taken = c->count == CLASSES_MAX ||
                     span_find(name_of(all[i]), '*', 0) != name_of(all[i]).n ||
                     !span_is_text(name_of(all[i])) ||
                     !class_name(name_of(all[i]), name);
        for (unsigned k = 0; !taken && k < c->count; k++)
            taken = strcmp(c->at[k].name, name) == 0;
        if (taken) {
            add_other(c, all[i], true);
            continue;
        }
        memcpy(c->at[c->count].name, name, sizeof name);
        c->at[c->count++].tally = all[i];
    }
    all = sorted(d, &d->singles);
    for (size_t i = 0; all != NULL && all[i] != NULL; i++)
        add_other(c, all[i], false);
    c->everything = c->everything || d->questions == 0;
}

/* A tool, or all tools with this beginning. */
static void put_tools(struct span name, bool is_prefix, struct buf *out)
{
    struct buf pattern;
    struct json_out j;
    buf_init(&pattern, mem_system(), KEY_MAX);
    buf_put(&pattern, name);
    if (is_prefix)
        buf_put_u8(&pattern, '*');
    json_out_init(&j, out);
    json_text(&j, NULL, buf_span(&pattern));
    buf_fini(&pattern);
}

static void put_others(const struct classes *c, struct buf *out)
{
    if (c->other_count == 0)
        return;
    buf_put_str(out, "  others: [");
    for (unsigned i = 0; i < c->other_count; i++) {
        buf_put_str(out, i == 0 ? "" : ", ");
        put_tools(name_of(c->others[i].tally), c->others[i].is_prefix, out);
    }
    buf_put_str(out, "]\n");
}

static void put_classes(const struct classes *c, struct buf *out)
{
    if (c->everything)
        return;
    buf_put_str(out, "tool_classes:\n");
    for (unsigned i = 0; i < c->count; i++) {
        buf_printf(out, "  # asked for %llu time%s\n  %s: [",
                   (unsigned long long)c->at[i].tally->count,
                   term_plural(c->at[i].tally->count), c->at[i].name);
        put_tools(name_of(c->at[i].tally), true, out);
        buf_put_str(out, "]\n");
    }
    put_others(c, out);
}

static void put_events(struct draft *d, struct buf *out)
{
    struct tally **all = sorted(d, &d->events);
    buf_put_str(out, d->events.count == 0 ? "  # no statement was seen\n"
                                          : "  # statements that were seen:\n");
    for (size_t i = 0; all != NULL && all[i] != NULL && i < SHOWN_MAX; i++) {
        struct span key = name_of(all[i]);
        size_t line = span_find(key, '\n', 0);
        buf_put_str(out, "  #   ");
        put_comment_text(out, span_sub(key, 0, line));
        buf_put_str(out, " from ");
        put_comment_text(out, span_sub(key, line + 1, key.n));
        buf_printf(out, ": %llu\n", (unsigned long long)all[i]->count);
    }
}

static void put_rules(struct draft *d, struct buf *out)
{
    buf_put_str(out, "rules:\n");
    put_events(d, out);
    buf_put_str(out,
                "  - name: stop\n"
                "    events: [deactivate, delete, found_inactive, found_gone, "
                "caep.session-revoked, risc.account-disabled, "
                "risc.account-purged]\n"
                "    do:\n"
                "      - hold: suspended\n"
                "      - cancel: {calls: all, within: 2s}\n"
                "      - revoke: {tokens: all, within: 30s}\n"
                "  - name: come-back\n"
                "    events: [activate, refreshed]\n"
                "    where: 'active eq true'\n"
                "    do: [{release: {suspended: {set_by: [stop]}}}]\n");
}

static void put_shared(const struct draft *d, struct tally *const *groups,
                       struct span prefix, struct buf *out)
{
    unsigned shown = 0;
    for (size_t i = 0; groups != NULL && groups[i] != NULL && shown < SHOWN_MAX;
         i++) {
        if (!is_shared(d, prefix, name_of(groups[i])))
            continue;
        buf_put_str(out, shown++ == 0
                             ? "  # every agent that used these is in: "
                             : ", ");
        put_comment_text(out, name_of(groups[i]));
    }
    if (shown > 0)
        buf_put_u8(out, '\n');
}

static void put_gate(struct draft *d, const struct classes *c, struct buf *out)
{
    struct tally **groups = sorted(d, &d->groups);
    buf_put_str(out, "gate:\n");
    buf_printf(out, "  # seen: %zu agent%s, %zu group%s\n", d->agents.count,
               term_plural(d->agents.count), d->groups.count,
               term_plural(d->groups.count));
    for (size_t i = 0; groups != NULL && groups[i] != NULL && i < SHOWN_MAX;
         i++) {
        buf_put_str(out, "  #   ");
        put_comment_text(out, name_of(groups[i]));
        buf_printf(out, ": %llu agent%s\n",
                   (unsigned long long)groups[i]->count,
                   term_plural(groups[i]->count));
    }
    for (unsigned i = 0; i < c->count && !c->everything; i++) {
        put_shared(d, groups, name_of(c->at[i].tally), out);
        buf_printf(out,
                   "  - {name: %s, tools: [%s], require: 'active eq true'}\n",
                   c->at[i].name, c->at[i].name);
    }
    if (c->everything)
        buf_put_str(out,
                    "  # what was asked for is more than can be named, or "
                    "nothing\n"
                    "  - {name: everything, tools: [\"*\"], require: "
                    "'active eq true'}\n");
    else if (c->other_count > 0)
        buf_put_str(out,
                    "  - {name: others, tools: [others], require: "
                    "'active eq true'}\n");
}

/* ---- its tests ---- */

static void put_quoted(const char *before, struct span s, const char *behind,
                       struct buf *out)
{
    struct json_out j;
    buf_put_str(out, before);
    json_out_init(&j, out);
    json_text(&j, NULL, s);
    buf_put_str(out, behind);
}

/* What was allowed still is. */
static bool put_seen(const struct tally *t, struct buf *out)
{
    if (t->uri.n == 0)
        return false;
    buf_printf(out, "  - name: \"%.*s may use %.*s\"\n", PRSPAN(t->uri),
               PRSPAN(t->tool));
    put_quoted("    given: {agent: ", t->uri, "}\n", out);
    put_quoted("    expect: {gate: {tool: ", t->tool, ", decision: allow}}\n",
               out);
    return true;
}

/* Who was deactivated, or somebody who asked, is cut off and comes back. */
static void put_leaver(struct span uri, struct span tool, bool was_seen,
                       struct buf *out)
{
    buf_printf(out, "  # %s\n  - name: a deactivated agent is cut off\n",
               was_seen ? "seen in this history"
                        : "not seen in this history; that would follow");
    put_quoted("    given: {agent: ", uri, ", credentials: [t1]}\n", out);
    put_quoted("    event: {deactivate: ", uri, "}\n", out);
    put_quoted(
        "    expect: {hold: suspended, actions: [cancel, revoke], "
        "gate: {tool: ",
        tool, ", decision: deny, reason: agent_suspended}}\n", out);
    buf_put_str(out, "  - name: it comes back once a read finds it active\n");
    put_quoted("    given: {agent: {uri: ", uri, ", active: false}}\n", out);
    put_quoted("    steps:\n      - event: {activate: ", uri, "}\n", out);
    put_quoted("      - expect: {gate: {tool: ", tool, ", decision: deny}}\n",
               out);
    put_quoted("      - expect: {gate: {tool: ", tool,
               ", decision: allow}, hold: none}\n", out);
}

static void put_tests(const struct draft *d, const struct classes *c,
                      struct buf *out)
{
    const struct tally *seen = NULL;
    unsigned written = 0;
    for (unsigned i = 0; i < c->count + c->other_count; i++) {
        const struct tally *t =
            i < c->count ? c->at[i].tally : c->others[i - c->count].tally;
        if (seen == NULL && t->uri.n > 0)
            buf_put_str(out, "tests:\n");
        seen = seen == NULL && t->uri.n > 0 ? t : seen;
        if (written < TESTS_MAX)
            written += put_seen(t, out);
    }
    if (seen == NULL)
        return; /* nobody was allowed anything that could be named */
    put_leaver(d->leaver.n > 0 ? d->leaver : seen->uri, seen->tool,
               d->leaver.n > 0, out);
    if (c->everything)
        return;
    put_quoted(
        "  - name: a tool that nobody asked for is denied\n"
        "    given: {agent: ",
        seen->uri, "}\n", out);
    buf_put_str(out,
                "    expect: {gate: {tool: nobody-asked-for-this, "
                "decision: deny, reason: tool_not_named}}\n");
}

int draft_write(struct draft *d, struct buf *out, struct fail *f)
{
    char from[TIME_TEXT_BYTES], to[TIME_TEXT_BYTES];
    struct classes *c = mem_alloc(&d->arena.mem, sizeof *c);
    if (c == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for a policy");
    time_text(d->first_ms, from);
    time_text(d->last_ms, to);
    count_groups(d);
    choose_classes(d, c);
    buf_put_str(out, "apiVersion: bailiff/v1\nkind: Policy\n");
    buf_printf(out,
               "# Made from %s to %s: %llu question%s (%llu allowed), %llu "
               "statement%s.\n",
               from, to, (unsigned long long)d->questions,
               term_plural(d->questions), (unsigned long long)d->allowed,
               (unsigned long long)d->statements, term_plural(d->statements));
    buf_put_str(out,
                "# A start: it requires of every tool only that the agent "
                "is active.\n");
    if (!c->everything)
        buf_put_str(out,
                    "# A tool that is in no class is denied; to let all "
                    "pass, name \"*\" in a gate rule.\n");
    buf_put_str(out, "defaults:\n  unknown_agent: lookup\n");
    put_classes(c, out);
    put_rules(d, out);
    put_gate(d, c, out);
    put_tests(d, c, out);
    return buf_ok(out) && d->lost == 0
               ? 0
               : fail(f, RC_NO_MEMORY, "no memory for all that was seen");
}
