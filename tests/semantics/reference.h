// SPDX-License-Identifier: Apache-2.0
/*
 * What docs/policy.md promises, written a second time: slow, obvious, from the
 * documents and not from the engine. It shares the compiled policy with the
 * engine as its syntax, and nothing else: conditions, rules, standing and the
 * gate are evaluated here by code of its own, over arrays that are searched
 * from the front, with no indices, caches or limits.
 *
 * The world tells it what happened (statements, reads with the moment they
 * started, people, time); after each input `lines` holds what followed, one
 * text a fact, and ref_ask says what the gate answers.
 *
 *   reference_condition.c  conditions over small documents
 *   reference_rules.c      which rules match, what their steps do, releases
 *   reference_limit.c      limits
 *   reference_schedule.c   schedules
 *   reference_gate.c       standing and the gate
 *   reference.c            statements, reads, people, time
 *
 * A new part of the language is added where its section of the document is:
 * another clause of a rule to rule_is_about, another step to take_step,
 * another reason to ref_ask.
 */
#ifndef TESTS_SEMANTICS_REFERENCE_H
#define TESTS_SEMANTICS_REFERENCE_H

#include "policy/policy.h"
#include "sidecar/core/engine.h"

#define REF_SUBJECTS_MAX 8
#define REF_HOLDS_MAX 24
#define REF_PENDING_MAX 16
#define REF_ACTIONS_MAX 32
#define REF_NAMES_MAX REF_HOLDS_MAX
#define REF_COUNTED_MAX 64
#define REF_RUNS_MAX 4 /* schedules of a policy */
#define REF_TOKENS_MAX 4
#define LINES_MAX 40
#define LINE_BYTES 80

/* A set of short texts. */
struct lines {
    unsigned count;
    char at[LINES_MAX][LINE_BYTES];
};
void lines_add(struct lines *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void lines_sort(struct lines *l); /* and drops what is there twice */
bool lines_equal(const struct lines *a, const struct lines *b);

/* ---- conditions ---- */

/* What a condition can see. Ordered so that `and` is the least, `or` the
 * greatest of its terms. */
enum truth { FALSE_, UNKNOWN_, TRUE_ };
struct ref_sight {
    const struct doc *resource; /* NULL: nothing is known */
    bool partial;               /* what is not in the resource is not known */
    bool requirement;           /* an absent attribute satisfies nothing */
    const struct doc *event, *call; /* NULL: not known */
};
enum truth ref_condition(const struct filter *f, const struct ref_sight *s);

/* ---- the world as it was told ---- */

enum ref_relation { REF_GROUP, REF_OWNER, REF_PARENT, REF_RELATIONS };
enum ref_found { REF_NOTHING, REF_ACTIVE, REF_INACTIVE, REF_GONE };

struct ref_hold {
    enum hold_kind kind, otherwise;
    bool for_operators; /* no rule ends it */
    char rule[32], cause[32];
    const struct filter *by;
    const struct tool_set *tools; /* NULL: all */
    const struct policy *policy;  /* that made it: its classes count */
    enum event_type type;         /* what it came of */
    int64_t due_ms;               /* 0: none */
};

/* A rule that a read must decide. */
struct ref_pending {
    struct span rule;
    enum event_type type;
    struct span jti, feed;
    bool target; /* only `agents_where` is open */
};

/* One run of a rule's schedule. */
struct ref_schedule {
    struct span rule;
    enum event_type type; /* EVENT_SCHEDULED, EVENT_IDLE */
    int64_t period_ms, since_ms;
};

/* An agent that a limit has counted. */
struct ref_counted {
    enum limit_kind kind;
    char source[16];
    unsigned subject;
    int64_t at_ms;
};

struct ref_subject {
    struct span uri;
    enum subject_kind kind;
    /* statements: `n` counts inputs */
    unsigned touched_n;
    int64_t touched_ms;
    bool announced; /* a statement was about it */
    bool open;      /* one that no qualifying read has covered */
    struct span version;
    event_mask stored;
    bool left, dropped_by_feed;
    /* reads */
    bool known, active, failed;
    enum ref_found found;
    unsigned covered_n; /* start of the last one that qualified; 0: none */
    int64_t covered_ms, rest_until_ms;
    struct span etag, etag_seen;
    const struct doc *attrs;
    bool related[REF_RELATIONS][REF_SUBJECTS_MAX];
    struct ref_hold holds[REF_HOLDS_MAX];
    unsigned hold_count;
    struct ref_pending pending[REF_PENDING_MAX];
    unsigned pending_count;
    struct span tokens[REF_TOKENS_MAX];
    unsigned token_count;
    /* schedules; on their own clock */
    bool met;
    int64_t met_ms, used_ms, ran_ms[REF_RUNS_MAX];
};

struct ref {
    struct mem *mem;
    const struct policy *policy;
    unsigned n; /* of this input */
    int64_t now_ms;
    unsigned reload_n; /* the last reload or start */
    bool audit;
    struct ref_subject subjects[REF_SUBJECTS_MAX];
    unsigned subject_count;
    struct {
        struct span jti, feed;
        unsigned payload;
    } heard[64];
    unsigned heard_count;
    char actions[REF_ACTIONS_MAX][LINE_BYTES]; /* started and still open */
    unsigned action_count;
    char withheld[REF_ACTIONS_MAX][LINE_BYTES];
    unsigned withheld_count;
    unsigned operator_count;
    struct ref_counted counted[REF_COUNTED_MAX];
    unsigned counted_count;
    struct {
        char key[32]; /* a limit and a source */
        int64_t at_ms;
    } called[8];
    unsigned called_count;
    struct ref_schedule schedules[REF_RUNS_MAX];
    unsigned schedule_count;
    int64_t slept_ms; /* the clock of schedules runs ahead by this */
    struct {
        int64_t alive_ms; /* the last sign of life */
        bool silent;
    } feeds[2]; /* "hr" and another */
    unsigned silent_n;
    struct lines lines; /* what this input led to */
};

/* What made rules run. */
struct ref_cause {
    enum event_type type;
    struct span feed, jti;
    const struct event_part *part; /* NULL for what is no statement */
    bool read;                     /* a read told: `fresh` is what it found */
    const struct doc *fresh;       /* NULL: gone */
    bool feed_bound;               /* the feed's authority counts */
    struct span only;              /* this rule alone, when it is named */
    bool feed_lost;                /* it was some feed's, once */
};

struct ref_subject *ref_subject(struct ref *r, struct span uri);
/* The n-th input has told of it, or of something it depends on. */
bool ref_is_changed(const struct ref *r, const struct ref_subject *s);
bool ref_is_agent(const struct ref *r, const struct ref_subject *s);

/* reference_rules.c */
void ref_rules(struct ref *r, struct ref_subject *s, const struct ref_cause *c);
/* A rule that waited, decided over what was read; NULL: it is gone. */
void ref_decide_pending(struct ref *r, struct ref_subject *s,
                        const struct doc *found);
void ref_releases(struct ref *r, struct ref_subject *s);
void ref_hold(struct ref *r, struct ref_subject *s, const struct ref_hold *h);
void ref_lift(struct ref *r, struct ref_subject *s, unsigned hold,
              const char *by);

bool ref_audits(const struct ref *r, const struct policy_rule *rule);
/* Is the step one that this cause may take on this subject? */
bool ref_may_take(const struct ref *r, const struct ref_subject *s,
                  const struct policy_step *step, const struct ref_cause *c);
void ref_start(struct ref *r, const struct ref_subject *s, const char *who,
               struct span rule, struct span action, struct span jti);

/* reference_limit.c */
/* Before any step is taken: all that the rule is about to do. */
void ref_count(struct ref *r, const struct ref_subject *s,
               const struct policy_rule *rule, const struct ref_cause *c);
bool ref_is_withheld(const struct ref *r, const struct ref_subject *s,
                     const struct policy_step *step, const struct ref_cause *c);
/* Something of the rule was: whom `never_for` has called. */
void ref_call_for_one(struct ref *r, const struct ref_subject *s,
                      const struct policy_rule *rule,
                      const struct ref_cause *c);

/* reference_schedule.c */
void ref_take_schedules(struct ref *r);
void ref_meet(struct ref *r, struct ref_subject *s);
void ref_use(struct ref *r, struct span uri); /* it was allowed something */
void ref_run_schedules(struct ref *r);

/* reference_gate.c */
bool ref_tools_have(const struct policy *p, const struct tool_set *set,
                    struct span tool);
bool ref_hold_covers(const struct ref_hold *h, struct span tool);
struct ref_answer {
    enum { SAYS_ALLOW, SAYS_DENY, SAYS_WAIT } says;
    enum reason reason;
    unsigned name_count;              /* 0: no rule is named */
    struct span names[REF_NAMES_MAX]; /* any of these rules may be named */
};
/* `reading`: a read of the agent is under way. */
struct ref_answer ref_ask(const struct ref *r, struct span uri,
                          struct span tool, struct span run, bool reading);

/* ---- inputs: each begins with ref_next ---- */

void ref_init(struct ref *r, struct mem *m, const struct policy *p,
              int64_t now_ms);
void ref_next(struct ref *r, int64_t now_ms);
void ref_sign_of_life(struct ref *r, struct span feed);
void ref_statement(struct ref *r, const struct event *ev, unsigned payload);
struct ref_read {
    struct span uri, etag;
    unsigned started_n;
    int64_t started_ms;
    enum read_result result;
    bool conditional; /* it named the ETag that is known */
    const struct doc *resource;
};
void ref_read(struct ref *r, const struct ref_read *read);
/* A token is registered, which only `revoke` steps know of. */
void ref_token(struct ref *r, struct span uri, struct span id);
void ref_person(struct ref *r, enum operator_verb verb, struct span uri,
                const struct doc *person);
void ref_time(struct ref *r); /* now_ms has moved */
void ref_reload(struct ref *r, const struct policy *p);
/* kill -9 and a start, `down_ms` later by the wall clock. */
void ref_restart(struct ref *r, int64_t down_ms);
/* Every hold there is, a line each. */
void ref_show_holds(const struct ref *r, struct lines *to);

#endif
