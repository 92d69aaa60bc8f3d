// SPDX-License-Identifier: Apache-2.0
/*
 * The bytes of stored facts, of every version that was ever written. They are
 * on disks: a literal here may never change, and a new version gets a new row
 * beside the old one.
 */
#include <string.h>

#include "sidecar/base/json_out.h"
#include "tests/lib/world.h"

#define A1 "/Agents/1"
#define AGENT WORLD_BASE "\0" A1
#define POLICY                                                                 \
    "defaults: {feed_silent: never, max_age: 3650d}\n"                         \
    "limits: {suspend: {max: 1, per: 24h}}\n"                                  \
    "rules:\n"                                                                 \
    "  - {name: r, events: deactivate, do: [{hold: suspended}, note]}\n"       \
    "  - {name: yearly, events: {every: 90d}, do: [note]}\n"                   \
    "actions:\n"                                                               \
    "  note: {http: {method: POST, url: 'https://note.example/'}}\n"

#define WALL "\0\0\1\xa3\x18\\W\xd0" /* two seconds after the world's start */
#define DUE "\0\0\1\xa3\x18\\\xcd\0"
/* An initializer of a span. */
#define BYTES(lit)                                                             \
    {                                                                          \
        (const unsigned char *)(lit), sizeof(lit) - 1                          \
    }
#define ZERO8 "\0\0\0\0\0\0\0\0"

/* ---- a job: version 1 ended with its action ---- */

#define JOB(due)                                                               \
    "\3\0\x18" WORLD_BASE "\0\x09" A1 "\0\0\0\2" due WALL                      \
    "\0\12deactivate"                                                          \
    "\0\1r\0\2j2\0\2hr\0\x1aj2:r:action:note:" A1                              \
    "\0\4note"                                                                 \
    "\0\0\0\1\0\4page\0\0\0\1\0\2c7\2\1\0\0\0\1\0\5cache"                      \
    "\0\6app\0r1\0\0\0\0\0\0\0"                                                \
    "\0\4note\0\0\0\4POST\0\x15https://note.example/\0\2hi"                    \
    "\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\1A\0\1b"                                   \
    "\0\0\0\1\0\0\0\xc8\0\0\0\1\0\0\1\x94"
#define JOB_KEY "\0\0\1\0\0\0\0\3"

static const struct job *loaded_job(const struct world *w)
{
    const struct job *j = job_find(&w->e->jobs, UINT64_C(0x10000000003));
    CHECK(j != NULL);
    CHECK_INT(j->kind, JOB_ACTION);
    CHECK_SPAN(j->rule, SPAN("r"));
    CHECK_SPAN(j->key, SPAN("j2:r:action:note:" A1));
    CHECK_UINT(j->otherwise.count, 1);
    CHECK_SPAN(j->otherwise.at[0], SPAN("page"));
    CHECK_UINT(j->target_count, 1);
    CHECK_SPAN(j->targets[0].call_id, SPAN("c7"));
    CHECK(j->targets[0].settled);
    CHECK_SPAN(j->action.url, SPAN("https://note.example/"));
    CHECK_UINT(j->action.success[0], 200);
    CHECK_UINT(j->action.done_already[0], 404);
    return j;
}

/* It goes on as if nothing had been. */
static void job_1(struct world *w)
{
    const struct job *j = loaded_job(w);
    CHECK(job_is_open(j) && j->state != JOB_WITHHELD);
    CHECK(j->deadline_wall_ms > 0);
    CHECK_SPAN(j->why, SPAN(""));
    world_pass(w, 60000);
    const struct out_job *begun = world_job(w, JOB_ACTION);
    CHECK(begun != NULL);
    CHECK_SPAN(begun->key, SPAN("j2:r:action:note:" A1));
    world_job_done(w, begun, JOB_DONE_CONFIRMED);
    CHECK_UINT(world_records(w, "\"note\"", "\"confirmed\""), 1);
}

static void job_2(struct world *w)
{
    const struct job *j = loaded_job(w);
    CHECK_INT(j->within_ms, 30000);
    CHECK_SPAN(j->why, SPAN(""));
    world_pass(w, 60000);
    CHECK(world_job(w, JOB_ACTION) != NULL);
}

static void job_2_withheld(struct world *w)
{
    const struct job *j = loaded_job(w);
    CHECK_INT(j->state, JOB_WITHHELD);
    CHECK_SPAN(j->why, SPAN("far too many"));
    world_pass(w, 3600000);
    CHECK(world_job(w, JOB_ACTION) == NULL);
}

/* ---- a subject: version 1 had no targets that wait ---- */

#define SUBJECT_HEAD                                                           \
    "\0q\1\0\0\0\2\0\0\0\0" WALL                                               \
    "\0\0\1\xa3\x18\\P\0"                                                      \
    "\0\2v2\0\1e\0\0\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0\2"                          \
    "\0\0\0\2\1\0\10/Users/u\0\0\11/Groups/g\0\0\0\1"
#define SUBJECT_TAIL "\0\12deactivate\0\1r\0\2j1\0\2hr"

static const struct pending_rule *loaded_pending(const struct world *w)
{
    const struct subject *s = world_subject(w, A1);
    CHECK(s->known && s->event_open);
    CHECK_UINT(s->out_count, 2);
    CHECK_SPAN(s->out[1].other->uri, SPAN("/Groups/g"));
    CHECK_UINT(subject_rare(s)->pending_count, 1);
    return container_of(subject_rare(s)->pending.head.next, struct pending_rule,
                        link);
}

static void subject_1(struct world *w)
{
    const struct pending_rule *p = loaded_pending(w);
    CHECK_INT(p->about, PENDING_SUBJECT);
    CHECK_STR((const char *)p->rule, "r");
    CHECK_STR(world_may(w, A1, "x"), "wait");
}

static void subject_2(struct world *w)
{
    CHECK_INT(loaded_pending(w)->about, PENDING_TARGET);
}

/* ---- one version each ---- */

static void hold_1(struct world *w)
{
    const struct subject *s = world_subject(w, A1);
    CHECK_UINT(world_holds(w, A1), 1);
    const struct hold *h = container_of(s->holds.head.next, struct hold, link);
    CHECK_INT(h->kind, HOLD_REVIEW);
    CHECK_INT(h->otherwise, HOLD_SUSPENDED);
    CHECK(!h->operator_only && h->due_wall_ms > h->since_wall_ms);
    CHECK_STR((const char *)h->by, "groups.value eq \"g\"");
    CHECK_UINT(h->tools.count, 1);
    CHECK_SPAN(h->tools.at[0], SPAN("pay.*"));
    CHECK_STR(world_may(w, A1, "pay.send"), "agent_in_review");
}

/* Found by the key that the event's name gives today. */
static void jti_1(struct world *w)
{
    EVENT(w, .feed = "hr", .jti = "j1", .uri = A1, .type = EVENT_DEACTIVATE,
          .payload = 1);
    CHECK_UINT(world_holds(w, A1), 0);
}

static void credential_1(struct world *w)
{
    const struct subject *s = world_subject(w, A1);
    CHECK(!list_empty(&subject_rare(s)->credentials));
    const struct credential *c = container_of(
        subject_rare(s)->credentials.head.next, struct credential, link);
    CHECK_SPAN(c->id, SPAN("c1"));
    CHECK(c->refresh);
    CHECK_SPAN(c->issuer, SPAN("https://as.example"));
    CHECK_SPAN(c->sealed, SPAN("sealed-c1"));
}

static void feed_1(struct world *w)
{
    CHECK(w->e->feeds[0].disabled && !w->e->feeds[1].disabled);
}

static void signed_1(struct world *w)
{
    const struct signed_serial s = engine_signed(w->e, SIGNED_CONFIG);
    CHECK_UINT(s.serial, 258);
    CHECK_UINT(s.digest[31], 7);
    CHECK_UINT(engine_signed(w->e, SIGNED_POLICY).serial, 0);
}

/* The agent that it names is not counted a second time. */
static void limit_1(struct world *w)
{
    const struct limit_window *win = &w->e->limits.at[LIMIT_SUSPEND][0];
    CHECK_UINT(win->count, 1);
    EVENT(w, .feed = "hr", .jti = "j9", .uri = A1, .type = EVENT_DEACTIVATE);
    CHECK_UINT(world_holds(w, A1), 1);
    CHECK_UINT(win->count, 1);
    EVENT(w, .feed = "hr", .jti = "j9", .uri = "/Agents/2",
          .type = EVENT_DEACTIVATE);
    CHECK_UINT(win->count, 1);
    EVENT(w, .feed = "hr", .jti = "j8", .uri = "/Agents/2",
          .type = EVENT_DEACTIVATE);
    CHECK_UINT(win->count, 2);
}

static void agenda_1(struct world *w)
{
    const struct agenda *a = world_subject(w, A1)->agenda;
    CHECK(a != NULL);
    CHECK_UINT(a->run_count, 1);
    CHECK_UINT(a->runs[0].rule, UINT64_C(0xba41fa571a1fc4ad));
    CHECK_INT(a->used_ms - a->since_ms, 2000);
}

static void agenda_1_never(struct world *w)
{
    CHECK_INT(world_subject(w, A1)->agenda->runs[0].at_ms, 0);
}

static void schedule_1(struct world *w)
{
    CHECK_UINT(w->e->schedule.rule_count, 1);
    CHECK_UINT(w->e->schedule.rules[0].id, UINT64_C(0xba41fa571a1fc4ad));
    CHECK_INT(w->e->schedule.rules[0].since_ms, 1); /* kept, not new */
}

static void boot_1(struct world *w)
{
    CHECK_UINT(w->e->boot, 10); /* that one, and the start after it */
}

/* ---- the table ---- */

static const struct stored {
    const char *name;
    enum fact_kind kind;
    unsigned versions; /* that are known; 0: the value has none */
    struct span key, value;
    void (*check)(struct world *w);
} facts[] = {
    {"job 1", FACT_JOB, 2, BYTES(JOB_KEY), BYTES("\1" JOB(DUE)), job_1},
    {"job 2", FACT_JOB, 2, BYTES(JOB_KEY),
     BYTES("\2" JOB(DUE) "\0\0\0\0\0\0\0u0\0\0"), job_2},
    {"job 2, withheld", FACT_JOB, 2, BYTES(JOB_KEY),
     BYTES("\2" JOB(ZERO8) "\1\0\0\0\0\0\0u0\0\14far too many"),
     job_2_withheld},
    {"subject 1", FACT_SUBJECT, 2, BYTES(AGENT),
     BYTES("\1" SUBJECT_HEAD SUBJECT_TAIL), subject_1},
    {"subject 2", FACT_SUBJECT, 2, BYTES(AGENT),
     BYTES("\2" SUBJECT_HEAD "\1" SUBJECT_TAIL), subject_2},
    {"hold 1", FACT_HOLD, 1, BYTES(AGENT "\0review\0r\0j2"),
     BYTES("\1\0\0\12deactivate\0\11suspended\0\x13groups.value eq \"g\"" WALL
           "\0\0\1\xa3\x18\xca"
           "4\xd0\0\0\0\1\0\5pay.*"),
     hold_1},
    {"jti", FACT_JTI, 0,
     BYTES("\x8d~\10V?\x94\xa3V\xd6"
           "3\xf1\xa4\x95\xbf@["),
     BYTES("\5\0\0\0\0\0\0\1kI\xd2\2"), jti_1},
    {"credential 1", FACT_CREDENTIAL, 1, BYTES(AGENT "\0c1"),
     BYTES("\1\1" ZERO8 "\0\x12https://as.example\0\6app\0r1\0\11sealed-c1"),
     credential_1},
    {"feed 1", FACT_FEED, 1, BYTES("hr"), BYTES("\1\1"), feed_1},
    {"signed 1", FACT_POLICY, 1, BYTES("config"),
     BYTES("\1\0\0\0\0\0\0\1\2" ZERO8 ZERO8 ZERO8 "\0\0\0\0\0\0\0\7"),
     signed_1},
    {"limit 1", FACT_LIMIT, 1, BYTES("suspend\0hr\0\x18%\xbd\xe1\xef\xea\x0bU"),
     BYTES("\1" WALL), limit_1},
    {"agenda 1", FACT_AGENDA, 1, BYTES(AGENT),
     BYTES("\1\0\0\1\xa3\x18\\P\0" WALL "\0\0\0\1\xba"
           "A\xfaW\x1a\x1f\xc4\xad" WALL),
     agenda_1},
    {"agenda 1, never run", FACT_AGENDA, 1, BYTES(AGENT),
     BYTES("\1\0\0\1\xa3\x18\\P\0" WALL "\0\0\0\1\xba"
           "A\xfaW\x1a\x1f\xc4\xad\x80\0\0\0\0\0\0\0"),
     agenda_1_never},
    {"schedule 1", FACT_META, 1, BYTES("schedule"),
     BYTES("\1\0\0\1\xa3\x18\\P\0\0\0\1\xa3\x18\\P\0\0\0\0\1\xba"
           "A\xfaW\x1a\x1f\xc4\xad\0\0\0\0\0\0\0\1"),
     schedule_1},
    {"boot", FACT_META, 0, BYTES("boot"), BYTES("\0\0\0\0\0\0\0\x09"), boot_1},
};

/* One more row of the store, and a start. */
static int start_on(struct world *w, enum fact_kind kind, struct span key,
                    struct span value)
{
    struct buf fact, body;
    buf_init(&fact, &w->arena.mem, 4096);
    buf_init(&body, &w->arena.mem, 8192);
    journal_put_fact(&fact, kind, key, value);
    journal_put_body(&body, buf_span(&fact), SPAN(""), SPAN(""));
    CHECK(buf_ok(&body));
    w->rows[w->committed] = (struct world_row){
        .seq = w->rows[w->committed - 1].seq + 8, /* some are kept no more */
        .body = buf_span(&body)};
    w->row_count = ++w->committed;
    return world_restart(w);
}

static void every_version_loads(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(facts); i++) {
        struct world *w = world_open(POLICY);
        int rc = start_on(w, facts[i].kind, facts[i].key, facts[i].value);
        if (rc < 0)
            print_error("%s\n", facts[i].name);
        CHECK_INT(rc, 0);
        facts[i].check(w);
        world_close(w);
    }
}

static void is_refused(const struct stored *s, struct span value)
{
    struct world *w = world_open(POLICY);
    int rc = start_on(w, s->kind, s->key, value);
    if (rc != RC_BROKEN)
        print_error("%s: version %u, %zu bytes of %zu\n", s->name,
                    value.n > 0 ? (unsigned)value.p[0] : 0, value.n,
                    s->value.n);
    CHECK_INT(rc, RC_BROKEN);
    world_close(w);
}

/* Of a program that is not written yet, and of none. */
static void other_versions_are_refused(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(facts); i++) {
        const struct stored *s = &facts[i];
        const unsigned others[] = {0, s->versions + 1, 255};
        unsigned char value[512];
        memcpy(value, s->value.p, s->value.n);
        for (unsigned k = 0; s->versions > 0 && k < COUNT_OF(others); k++) {
            value[0] = (unsigned char)others[k];
            is_refused(s, span_of(value, s->value.n));
        }
    }
}

/* Neither cut nor longer: nothing is loaded in part. */
static void other_lengths_are_refused(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(facts); i++) {
        const struct stored *s = &facts[i];
        unsigned char value[512] = {0};
        memcpy(value, s->value.p, s->value.n);
        for (size_t n = 0; n <= s->value.n + 1; n++)
            if (n != s->value.n)
                is_refused(s, span_of(value, n));
    }
}

static void encode(struct engine *e, enum fact_kind kind, struct buf *out)
{
    const struct subject *s =
        subject_find(&e->subjects, span_str(WORLD_BASE), span_str(A1));
    CHECK(s != NULL);
    if (kind == FACT_JOB)
        job_encode(job_find(&e->jobs, UINT64_C(0x10000000003)), out);
    else if (kind == FACT_SUBJECT)
        subject_encode(s, out);
    else
        hold_encode(container_of(s->holds.head.next, struct hold, link), out);
}

static void loaded_and_written(struct world *w, const struct stored *s,
                               struct buf *out)
{
    const struct fact fact = {
        .kind = s->kind, .key = s->key, .value = s->value};
    struct engine *e;
    struct fail f = {0};
    buf_clear(out);
    CHECK_OK(engine_new(w->mem, &w->conf, w->random, &e, &f), &f);
    CHECK_OK(engine_load_fact(e, &fact, &f), &f);
    encode(e, s->kind, out);
    engine_free(e);
}

/* Nothing of it is lost; an older version becomes the newest. */
static void what_is_loaded_is_written_again(void **state)
{
    (void)state;
    struct world *w = world_open(POLICY);
    struct buf out;
    buf_init(&out, mem_system(), 4096);
    for (unsigned i = 0; i < COUNT_OF(facts); i++) {
        const struct stored *s = &facts[i];
        if (s->kind != FACT_JOB && s->kind != FACT_SUBJECT &&
            s->kind != FACT_HOLD)
            continue;
        loaded_and_written(w, s, &out);
        if (s->check == job_1)
            CHECK_SPAN(buf_span(&out), SPAN("\2" JOB(DUE) "\0" ZERO8 "\0\0"));
        else if (s->check == subject_1)
            CHECK_SPAN(buf_span(&out),
                       SPAN("\2" SUBJECT_HEAD "\0" SUBJECT_TAIL));
        else
            CHECK_SPAN(buf_span(&out), s->value);
    }
    buf_fini(&out);
    world_close(w);
}

/* ---- harm: bytes that nobody wrote ---- */

#define HARM_ROOM 600
#define SHOWN_MAX ((size_t)1 << 22)

/* What an operator sees, and what the gate says, after an hour. */
static void live_on(struct world *w)
{
    struct json_out j;
    struct buf out;
    const struct show_query all = {.feed = -1, .limit = SHOW_PAGE_MAX};
    (void)world_may(w, A1, "pay.send");
    world_pass(w, 3600000);
    buf_init(&out, mem_system(), SHOWN_MAX);
    json_out_init(&j, &out);
    json_open_map(&j, NULL);
    engine_show_agents(w->e, &all, &j);
    engine_show_jobs(w->e, &all, &j);
    engine_show_reviews(w->e, &all, &j);
    (void)engine_show_agent(w->e, 0, span_str(A1), -1, &j);
    json_close_map(&j);
    CHECK(buf_ok(&out));
    buf_fini(&out);
}

/* The world as it was before the fact, once more. */
struct before {
    struct world *w;
    unsigned committed, tries;
};

static void put_back(struct before *b)
{
    if (b->tries++ % 64 == 0) { /* a world's memory only grows */
        if (b->w != NULL)
            world_close(b->w);
        b->w = world_open(POLICY);
        b->committed = b->w->committed;
    }
    struct world *w = b->w;
    w->committed = b->committed;
    w->tail_count = w->ask_count = w->token_count = w->read_count = 0;
    w->job_count = w->directive_count = w->lease_count = w->done_count = 0;
}

/* Refused as broken; or nothing breaks, and a hold is still one, if only of
 * somebody else: then that is counted. */
static void is_survived(struct before *b, const struct stored *s,
                        struct span key, struct span value)
{
    put_back(b);
    int rc = start_on(b->w, s->kind, key, value);
    if (rc < 0)
        CHECK_INT(rc, RC_BROKEN);
    if (rc == 0 && s->kind == FACT_HOLD)
        CHECK_UINT(b->w->e->holds.count + b->w->e->stats.loaded_elsewhere, 1);
    if (rc == 0 && s->kind == FACT_HOLD && span_eq(key, s->key))
        CHECK_UINT(world_holds(b->w, A1), 1);
    if (rc == 0)
        live_on(b->w);
}

/* Puts `n` bytes of each pattern over every place of the text. */
static void harm_each_place(struct before *b, const struct stored *s,
                            bool the_key, size_t n)
{
    static const char *const patterns[] = {ZERO8,
                                           "\0\0\0\0\0\0\0\1",
                                           "\x7f\xff\xff\xff\xff\xff\xff\xff",
                                           "\x80\0\0\0\0\0\0\0",
                                           "\xff\xff\xff\xff\xff\xff\xff\xff",
                                           "AAAAAAAA"};
    const struct span text = the_key ? s->key : s->value;
    unsigned char harmed[HARM_ROOM];
    for (size_t at = 0; at + n <= text.n; at++) {
        for (unsigned k = 0; k < COUNT_OF(patterns); k++) {
            memcpy(harmed, text.p, text.n);
            memcpy(harmed + at, patterns[k], n);
            const struct span now = span_of(harmed, text.n);
            is_survived(b, s, the_key ? now : s->key, the_key ? s->value : now);
        }
    }
}

static void harm_is_survived(void **state)
{
    static const size_t widths[] = {1, 2, 4, 8};
    struct before b = {.w = NULL};
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(facts); i++) {
        for (unsigned k = 0; k < COUNT_OF(widths); k++) {
            harm_each_place(&b, &facts[i], false, widths[k]);
            harm_each_place(&b, &facts[i], true, widths[k]);
        }
    }
    print_message("%u harmed facts\n", b.tries);
    world_close(b.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(harm_is_survived),
        cmocka_unit_test(every_version_loads),
        cmocka_unit_test(other_versions_are_refused),
        cmocka_unit_test(other_lengths_are_refused),
        cmocka_unit_test(what_is_loaded_is_written_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
