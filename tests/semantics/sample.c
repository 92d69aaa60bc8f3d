// SPDX-License-Identifier: Apache-2.0
#include "tests/semantics/sample.h"

#include <stdio.h>
#include <string.h>

#include "adapters/json_doc.h"
#include "sidecar/config/yaml_doc.h"
#include "tests/semantics/life.h"

#define HEAD "apiVersion: bailiff/v1\nkind: Policy\n"

#define give_up(...)                                                           \
    do {                                                                       \
        print_error(__VA_ARGS__);                                              \
        print_error("\n");                                                     \
        _fail(__FILE__, __LINE__);                                             \
    } while (0)

/* ---- what worlds are made of ---- */

struct universe *universe_open(void)
{
    struct universe *u = mem_alloc(mem_system(), sizeof *u);
    must(u != NULL);
    arena_init(&u->texts, mem_system(), (size_t)1 << 31);
    arena_init(&u->engine, mem_system(), 1 << 26);
    arena_init(&u->world, mem_system(), 1 << 26);
    u->all = SPAN("*");
    u->conf.bases[0] = (struct engine_base){.url = SPAN(BASE),
                                            .agent_segment = SPAN("Agents"),
                                            .user_segment = SPAN("Users"),
                                            .group_segment = SPAN("Groups")};
    u->conf.base_count = 1;
    u->conf.feeds[0] =
        (struct engine_feed){SPAN("hr"), SPAN("https://idp.example"), 0};
    u->conf.feeds[1] =
        (struct engine_feed){SPAN("it"), SPAN("https://it.example"), 0};
    u->conf.feed_count = 2;
    u->conf.callers[0] =
        (struct engine_caller){SPAN("app"), 0, {&u->all, 1}, true};
    u->conf.caller_count = 1;
    u->conf.limits =
        (struct engine_limits){.subjects_max = 100,
                               .calls_max = 10,
                               .parked_max = 64,
                               .parked_per_agent = 64,
                               .jobs_max = 100,
                               .jtis_max = 100,
                               .credentials_max = 10,
                               .holds_max = 100,
                               .lease_ms = 30000,
                               .log_stall_ms = 1000,
                               .jti_keep_ms = INT64_C(100) * 24 * 3600 * 1000};
    return u;
}

void universe_close(struct universe *u)
{
    arena_fini(&u->texts);
    arena_fini(&u->engine);
    arena_fini(&u->world);
    mem_release(mem_system(), u);
}

void universe_report(struct universe *u, const char *name)
{
    (void)printf("NOTE %s: %llu worlds, %llu inputs\n", name,
                 (unsigned long long)u->worlds, (unsigned long long)u->inputs);
}

const struct sampled *universe_policy(struct universe *u, const char *fmt, ...)
{
    struct sampled *p = mem_alloc(&u->texts.mem, sizeof *p);
    struct policy_notes *notes = mem_alloc(mem_system(), sizeof *notes);
    const struct doc *root = NULL;
    struct fail f = {0};
    va_list ap;
    must(p != NULL && notes != NULL);
    va_start(ap, fmt);
    int n = snprintf(p->text, sizeof p->text, "%s", HEAD);
    (void)vsnprintf(p->text + n, sizeof p->text - (size_t)n, fmt, ap);
    va_end(ap);
    must(strlen(p->text) < sizeof p->text - 1);
    int rc = yaml_doc_parse(&u->texts.mem, span_str(p->text),
                            POLICY_FILE_BYTES_MAX, &root, notes, &f);
    if (rc == 0)
        rc = policy_load(&u->texts.mem, root, &p->policy, notes, &f);
    if (rc < 0 && rc != RC_CONFIG)
        give_up("%s\n%s", p->text, f.text);
    mem_release(mem_system(), notes);
    return rc < 0 ? NULL : p;
}

const struct doc *universe_json(struct universe *u, const char *text)
{
    struct fail f = {0};
    if (text == NULL)
        return NULL;
    for (unsigned i = 0; i < u->doc_count; i++)
        if (u->docs[i].text == text || strcmp(u->docs[i].text, text) == 0)
            return u->docs[i].doc;
    must(u->doc_count < DOCS_MAX);
    u->docs[u->doc_count].text =
        (const char *)mem_copy(&u->texts.mem, span_str(text));
    CHECK_OK(json_doc_parse(&u->texts.mem, span_str(text), 1 << 20,
                            &u->docs[u->doc_count].doc, &f),
             &f);
    return u->docs[u->doc_count++].doc;
}

/* ---- whole worlds ---- */

static const char *const agents[] = {A1, A2};
static const char *const tools[] = {"pay.send", "kb.read"};

static void end_with(struct life *l, struct ending *ret)
{
    for (unsigned i = 0; i < 4 && l->why[0] == 0; i++) {
        const struct input in = {
            .what = ASK, .uri = agents[i / 2], .tool = tools[i % 2]};
        life_input(l, &in);
        life_compare(l, &in);
        if (ret == NULL)
            continue;
        const struct question *q = &l->questions[l->question_count - 1];
        life_show_answer(&ret->says, q, !q->answered, q->allow, q->reason);
    }
    if (ret != NULL)
        life_show_holds(l, &ret->holds);
}

/* True when both lives were the same; else `why` says what differed. */
static bool live(struct universe *u, const struct sampled *p,
                 const struct sampled *next, const struct input *in,
                 unsigned count, struct ending *ret, char *why, size_t why_n)
{
    struct life *l = mem_alloc(&u->world.mem, sizeof *l);
    struct ref *ref = mem_alloc(&u->world.mem, sizeof *ref);
    must(l != NULL && ref != NULL);
    *l = (struct life){.u = u, .ref = ref, .now_ms = START_MS};
    l->policy = p->policy;
    l->next = next == NULL ? NULL : next->policy;
    ref_init(ref, &u->world.mem, p->policy, START_MS);
    for (unsigned i = 0; i < count; i++) {
        l->restarts = l->restarts || in[i].what == RESTART;
        l->fails = l->fails || in[i].fails > 0;
    }
    life_start(l);
    if (ret != NULL)
        *ret = (struct ending){.holds = {.count = 0}};
    for (unsigned i = 0; i < count && l->why[0] == 0 && !l->over; i++) {
        life_input(l, &in[i]);
        if (!l->over)
            life_compare(l, &in[i]);
    }
    if (!l->over)
        end_with(l, ret);
    u->worlds++;
    u->inputs += count;
    const bool same = l->why[0] == 0;
    (void)snprintf(why, why_n, "%s", l->why);
    engine_free(l->e);
    arena_clear(&u->engine);
    arena_clear(&u->world);
    return same;
}

/* ---- telling people ---- */

static const char *const whats[] = {"event",  "read",    "ask",     "time",
                                    "hold",   "lift",    "approve", "deny",
                                    "reload", "restart", "alive",   "token"};

static void print_member(const char *name, const char *value)
{
    if (value != NULL)
        print_error(" %s=%s", name, value);
}

static void print_input(const struct input *in)
{
    static const char *const results[] = {"ok", "not_modified", "gone",
                                          "failed"};
    print_error("    %s", whats[in->what]);
    if (in->what == SAY)
        print_error(" %s", event_type_name(in->type));
    if (in->what == READ)
        print_error(" %s", results[in->result]);
    if (in->ms != 0)
        print_error(" ms=%lld", (long long)in->ms);
    print_member("of", in->uri);
    print_member("feed", in->feed);
    print_member("jti", in->jti);
    print_member("changed", in->changed);
    print_member("data", in->data);
    print_member("reason", in->reason);
    print_member("version", in->version);
    print_member("member", in->member);
    print_member("etag", in->etag);
    print_member("resource", in->json);
    print_member("tool", in->tool);
    print_member("run", in->run);
    if (in->payload > 0)
        print_error(" payload=%u", in->payload);
    if (in->fails > 0)
        print_error(" fails=%u", in->fails);
    if (in->holds_fit + in->jobs_fit + in->subjects_fit > 0)
        print_error(" holds_fit=%u jobs_fit=%u subjects_fit=%u", in->holds_fit,
                    in->jobs_fit, in->subjects_fit);
    print_error("\n");
}

static void print_world(const struct sampled *p, const struct sampled *next,
                        const struct input *in, unsigned count)
{
    print_error("policy:\n%s\n", p->text);
    if (next != NULL)
        print_error("reloaded to:\n%s\n", next->text);
    print_error("inputs:\n");
    for (unsigned i = 0; i < count; i++)
        print_input(&in[i]);
}

void sample_fail(const struct sampled *p, const struct input *in,
                 unsigned count, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    print_world(p, NULL, in, count);
    give_up("%s", text);
}

/* Leaves out inputs as long as the two still differ. */
static unsigned shrink(struct universe *u, const struct sampled *p,
                       const struct sampled *next, struct input *in,
                       unsigned count, char *why, size_t why_n)
{
    char text[512];
    for (unsigned i = 0; i < count;) {
        struct input less[INPUTS_MAX];
        memcpy(less, in, count * sizeof *in);
        memmove(&less[i], &less[i + 1], (count - i - 1) * sizeof *in);
        if (live(u, p, next, less, count - 1, NULL, text, sizeof text)) {
            i++;
            continue;
        }
        memcpy(in, less, --count * sizeof *in);
        (void)snprintf(why, why_n, "%s", text);
        i = 0;
    }
    return count;
}

void sample_reload(struct universe *u, const struct sampled *p,
                   const struct sampled *next, const struct input *in,
                   unsigned count, struct ending *ret)
{
    char why[512];
    struct input least[INPUTS_MAX];
    must(count <= INPUTS_MAX);
    if (live(u, p, next, in, count, ret, why, sizeof why))
        return;
    memcpy(least, in, count * sizeof *in);
    count = shrink(u, p, next, least, count, why, sizeof why);
    print_world(p, next, least, count);
    give_up("engine and reference differ in %s", why);
}

void sample(struct universe *u, const struct sampled *p, const struct input *in,
            unsigned count, struct ending *ret)
{
    sample_reload(u, p, NULL, in, count, ret);
}
