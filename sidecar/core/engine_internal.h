// SPDX-License-Identifier: Apache-2.0
/*
 * What the engine's files share. Each file handles one family of inputs; all
 * of them change state through the helpers below, which also remember what
 * must become durable.
 *
 * One step: engine_step opens a row (facts, records), a handler runs, the row
 * is closed. A row with facts or journaled records becomes OUT_JOURNAL; its
 * acknowledgements, records and jobs wait for IN_STORED.
 */
#ifndef SIDECAR_CORE_ENGINE_INTERNAL_H
#define SIDECAR_CORE_ENGINE_INTERNAL_H

#include "policy/index.h"
#include "sidecar/core/call.h"
#include "sidecar/core/dedupe.h"
#include "sidecar/core/engine.h"
#include "sidecar/core/gate_cache.h"
#include "sidecar/core/history.h"
#include "sidecar/core/hold.h"
#include "sidecar/core/job.h"
#include "sidecar/core/limit.h"
#include "sidecar/core/record.h"
#include "sidecar/core/subject.h"

#define STEP_BYTES_MAX (16 * 1024 * 1024) /* scratch of one step */
#define STEP_OUT_MAX 65536
#define ROW_SPLIT_BYTES (256 * 1024) /* a row is closed beyond this */
#define PENDING_ANSWERS_MAX 16384
#define ANSWER_OUTS_MAX 2 /* effects of one answer: its record and itself */
_Static_assert(PENDING_ANSWERS_MAX *ANSWER_OUTS_MAX < STEP_OUT_MAX,
               "one step can answer all that wait for the log");
#define ROOM_AGAIN_MS 10   /* what one step has no room for goes on later */
#define JTI_SWEEP_MS 60000 /* at the latest */
#define JTI_SWEEP_GAP_MS 1000
#define JTI_SWEEP_MAX 256
#define JTI_SWEEP_SLOTS 4096
#define POLICY_WALL_TOLD_MS 60000 /* how old it may be on disk */
#define JTI_OLDEST_OF 32
#define DEADLINE_MARGIN_MS 20
#define READ_BACKOFF_FIRST_MS 250
#define READ_BACKOFF_MAX_MS 30000
#define READ_NARROW_MS 600000    /* after a failure: the policy's only */
#define READ_LIST_PAUSE_MS 60000 /* after one that failed */
#define REVIEW_WITHIN_MS (INT64_C(24) * 3600 * 1000)
#define UNKNOWN_KEPT_MS 5000 /* how long "no such agent" is believed */

/* A credential an agent holds. */
struct credential {
    struct list_link link; /* in subject->credentials */
    struct heap_link due;  /* in engine->credentials_due: when it expires */
    struct subject *agent;
    struct span id, issuer, runtime_key, sealed; /* in this allocation */
    bool refresh;
    int64_t expires_wall_ms;
};

/* A question that waits for a read. */
struct parked {
    struct list_link link, all_link; /* subject->parked, engine->parked */
    struct heap_link due;            /* in engine->parked_due */
    struct subject *agent;
    bool begin;
    struct in_ask ask; /* strings in this allocation */
};

/* An allow that waits for its record to be written. */
struct pending_answer {
    uint64_t ticket;
    struct subject *agent;
    struct out_answer answer;
    int64_t since_ms;
    unsigned caller;
    bool begin;
    size_t tool_n;
    unsigned char tool[ENGINE_ID_MAX];
};

/* What the gate rules say about a tool that was asked for. Known by its keyed
 * hash: no asker can make two tools collide. */
#define GATE_TOOLS_MAX 1024
struct gate_known {
    uint64_t hash;
    struct gate_tool tool;
    uint16_t at[]; /* tool.rules */
};

/* A journal row on its way to the disk. */
struct row {
    struct list_link link;
    uint64_t seq;
    struct buf records;
    uint64_t *acks; /* event tokens */
    unsigned ack_count, ack_cap;
    uint64_t h1; /* jti of the event, for duplicates */
};

/* When something was said last: input, monotonic clock, journal row. */
struct said {
    uint64_t stamp, row;
    int64_t ms;
};

struct base_state {
    uint64_t stamp;      /* all agents of the base: feed silence, ... */
    struct said related; /* about any group or person */
    struct list queues[READ_CLASS_COUNT]; /* wanted reads without a turn yet */
    unsigned reading;                     /* requests in flight */
    unsigned listing;                     /* of them for a list */
    unsigned read_turn;                   /* counts starts */
    int64_t wide_from_ms; /* until then reads ask for the policy's only */
    int64_t list_from_ms; /* until then there are no list reads */
};

struct feed_state {
    bool disabled; /* stream-updated: paused or disabled */
    bool silent, caught_up;
    uint64_t changed_input; /* the step that has set one of the two */
    bool disabled_unsaved;  /* its row was lost: it is written again */
    bool silent_unsaved;    /* the same; it falls silent again */
    int64_t last_sign_ms, last_sign_wall_ms;
    uint64_t events, refused;
    char last_error[128];
};

/* What schedules know of an agent; times of the schedules' clock. */
struct agenda {
    struct subject *agent;
    struct list_link dirty_link; /* waits to be written */
    struct heap_link due;
    int64_t since_ms;          /* known first */
    int64_t used_ms, saved_ms; /* allowed something last; as on disk */
    struct agenda_run {
        uint64_t rule;
        int64_t at_ms;
    } * runs; /* when rules were last run for it */
    unsigned run_count;
    bool waits; /* for a read that decides such a rule */
};

#define SCHEDULE_RULES_MAX (2 * POLICY_SCHEDULES_MAX) /* `every`, `idle` */
struct schedule {
    int64_t base_ms; /* its clock is this much ahead of the monotonic one */
    int64_t clock_saved_ms, wall_saved_ms;
    int64_t next_burst_ms; /* monotonic */
    struct heap due;       /* struct agenda, on its own clock */
    struct list dirty;
    struct schedule_rule {
        uint64_t id;      /* of its name and type: the same after a restart */
        int64_t since_ms; /* when it came into force */
        const struct policy_rule *rule;
        enum event_type type;
        int64_t period_ms;
    } rules[SCHEDULE_RULES_MAX];
    unsigned rule_count;
};

struct engine {
    struct mem *mem;
    const struct engine_conf *conf;
    const struct policy *policy;

    /* this step */
    const struct in *in;   /* = &this_input */
    struct in this_input;  /* kept for its clocks between steps */
    int rc;                /* first failure of the step */
    struct subject *taken; /* whose read this step takes over, or NULL */
    enum found taken_from; /* what was found before */
    struct arena step_arena;
    struct buf facts, records, scratch;
    struct history history; /* the input of this step, as text */
    uint64_t row_acks[4];
    unsigned row_ack_count;
    uint64_t row_h1;
    struct dedupe_id new_jti; /* remembered in this step; 0,0: none */
    struct out *outs;
    size_t out_count, out_cap, out_next;
    struct out spare; /* where an output goes when memory is out */

    /* counters */
    uint64_t boot, input, seq, stored, ticket, logged, next_id;
    uint64_t policy_stamp, boot_stamp;
    int64_t start_ms, start_wall_ms;
    /* The latest wall time seen under this policy, in all its boots: audit mode
     * that has ended does not come back with a clock that is set back. */
    int64_t policy_wall_ms, policy_wall_told_ms;
    int64_t audits_change_ms; /* the next end of an audit after what was told */
    unsigned char policy_wall_of[32]; /* digest, as loaded */
    uint64_t boot_row;                /* the row that counts this boot */
    int64_t restored_wall_ms; /* the store was restored since the last start */
    struct said restored;     /* the start after that; row 0: never */
    struct signed_serial accepted[SIGNED_KIND_COUNT];
    bool blocked, poisoned, log_broken, stopping;
    int64_t wake_ms;

    struct subjects subjects;
    struct gate_cache gate_cache;
    struct holds holds;
    struct calls calls;
    struct jobs jobs;
    struct dedupe dedupe;
    int64_t jti_sweep_ms; /* the next not before */
    struct limit_windows limits;
    struct schedule schedule;
    struct list rows;    /* struct row, by seq */
    struct list reading; /* in flight, as far as the budgets go; those of one
                            list side by side */
    struct heap resting; /* no read before some time: struct read_state */
    struct list parked;
    struct heap parked_due;
    unsigned parked_count;
    struct list new_holds;    /* set in this step */
    struct list lifted_holds; /* lifted in it, back again if it fails */
    struct subject *decided;  /* whose pending rules this step decides */
    struct gate_known *gate_tools[GATE_TOOLS_MAX];
    uint32_t gate_version;
    int64_t gate_until_ms; /* wall: then another version begins; INT64_MIN
                              when the policy has changed */
    struct pending_answer *pending;
    size_t pending_head, pending_count, pending_cap;
    struct base_state bases[ENGINE_BASES_MAX];
    struct feed_state feeds[ENGINE_FEEDS_MAX];
    size_t credential_count;
    struct heap credentials_due; /* wall time; not those that say nothing */
    unsigned char hash_seed[32];
    struct engine_stats stats;
};

/* engine.c */
void note_rc(struct engine *e, int rc); /* latch a failure */
/* Room for n more effects of this step? */
bool reserve(struct engine *e, size_t n);
struct out *emit(struct engine *e, enum out_kind kind);
struct span keep(struct engine *e, struct span s); /* copy into the step */
uint64_t new_id(struct engine *e);
uint64_t epoch_of(const struct engine *e, uint64_t stamp);
void wake_at(struct engine *e, int64_t ms);
/* The earlier of the wall clock and the one of the start plus what has passed
 * since: what neither calls old was not jumped over. */
int64_t cautious_wall_ms(const struct engine *e);
/* Fills time and digests and writes the record: into the row (journaled), or
 * straight to the log. Returns the ticket of a direct record; 0 when memory is
 * out and there will be none. */
void record_row(struct engine *e, struct record *r);
uint64_t record_now(struct engine *e, struct record *r, bool checkpoint);
/* "base NUL uri", in step memory: the key of the subject's facts. */
struct span key_text(struct engine *e, const struct subject *s);
/* Remember durable changes. The value is what is in e->scratch; a step that had
 * no memory for it fails. */
void put_fact(struct engine *e, enum fact_kind kind, struct span key,
              bool gone);
void fact_subject(struct engine *e, const struct subject *s);
void fact_hold(struct engine *e, const struct hold *h, bool gone);
void fact_job(struct engine *e, const struct job *j, bool gone);
void fact_jti(struct engine *e, struct dedupe_id id, uint64_t payload,
              uint32_t when_s);
void fact_jti_gone(struct engine *e, struct dedupe_id id);
void fact_credential(struct engine *e, const struct credential *c, bool gone);
void fact_feed(struct engine *e, unsigned feed);
void fact_policy_wall(struct engine *e);
void fact_meta(struct engine *e, const char *name, struct span value);
/* OUT_ACK for this token once the row of this step is committed. */
void ack_when_stored(struct engine *e, uint64_t token);
/* Closes the row of this step when it has anything. */
void row_close(struct engine *e);
void row_split(struct engine *e); /* closes it early when it is large */

/* engine_standing.c */
struct standing {
    uint64_t stamp; /* latest that makes the agent stale */
    uint64_t epoch;
    bool event_open;   /* an event not covered by a qualifying read */
    bool related_open; /* one about a group, an owner or the parent */
    bool lost_open;    /* what was said before a restore is not known */
    int64_t event_ms;  /* latest such, for `settle` */
    bool stale, only_age;
    bool uncovered;
    const char *why; /* "event", "group", "owner", "age", "boot", ... */
};
void standing_of(const struct engine *e, const struct subject *s,
                 int64_t max_age_ms, struct standing *ret);
/* What the last read said of the attributes that the policy names, as a tree;
 * NULL when nothing is known. Lives until the step ends, the attrs_close of an
 * attrs_open before it, or until the next read of this subject is taken over.
 * Who looks at many subjects in one step opens and closes around each. */
const struct doc *subject_attrs(const struct engine *e,
                                const struct subject *s);
bool is_agent(const struct engine *e, const struct subject *s);
struct span base_url(const struct engine *e, const struct subject *s);
int kind_of_uri(const struct engine *e, unsigned base, struct span uri,
                enum subject_kind *ret) must_use;
/* "/segment/id" in `text`; empty when that cannot be a path. */
struct span resource_uri(struct span segment, struct span id,
                         char text[SUBJECT_URI_MAX + 1]);
void touch(struct engine *e, struct subject *s);
void stamp(struct engine *e, struct subject *s, struct span version);

/* engine_rules.c */
struct cause {
    enum event_type type;
    struct span feed, jti, txn;
    const struct event_part *part;  /* NULL for internal events */
    const struct doc *event_doc;    /* for event.* in filters, or NULL */
    const struct doc *fresh;        /* resource of a qualifying read, or NULL */
    const struct policy_rule *only; /* a schedule's rule; NULL: any */
    unsigned may;                   /* enum feed_may */
    bool feed_lost;       /* nobody knows any more which feed it was */
    enum reason withheld; /* jobs that it makes wait for a person; or NONE */
    struct span why;      /* in words, for them and for who is called */
};
/* A record about what a rule did to an agent; `c` may be NULL. */
struct record record_caused(const struct engine *e, enum record_kind kind,
                            const struct subject *agent, const struct cause *c,
                            struct span rule);
/* Runs every rule that matches; pends what a read must decide. */
void run_rules(struct engine *e, struct subject *s, const struct cause *c);
/* One rule that a read has decided (pending rules). */
void run_rule(struct engine *e, struct subject *s, const struct policy_rule *r,
              const struct cause *c);
/* What it is about to do, for the limits: before any of several does it. */
void count_rule(struct engine *e, struct subject *s, const struct cause *c,
                const struct policy_rule *r);
/* Its steps on one agent: a read has decided that it is one of those that the
 * rule is narrowed to. */
void run_rule_on(struct engine *e, struct subject *agent,
                 const struct policy_rule *r, const struct cause *c);
void run_releases(struct engine *e, struct subject *s, const struct cause *c);
bool audit_mode(const struct engine *e);
bool rule_audits(const struct engine *e, const struct policy_rule *r);
/* Turns a tool set into globs in step memory. */
struct names expand_tools(struct engine *e, const struct tool_set *t);
void hold_lift(struct engine *e, struct hold *h, struct span rule,
               struct span person, struct span why);
bool hold_add(struct engine *e, struct subject *agent,
              const struct hold_spec *spec, const struct cause *c);

/* engine_limit.c */
/* Counts the steps that a rule is about to take for one agent. */
void limit_count(struct engine *e, struct subject *agent, const struct cause *c,
                 const struct policy_rule *r);
/* The cause for one step: it says whether the step is withheld. */
struct cause limit_cause(struct engine *e, const struct subject *agent,
                         const struct cause *c, const struct policy_step *step);
/* Something of the rule was withheld: the agent is held instead. */
void limit_withheld(struct engine *e, struct subject *agent,
                    const struct cause *c, const struct policy_rule *r);
/* Limits that are passed now, one for each source. */
unsigned limits_passed(const struct engine *e);
void limit_tick(struct engine *e);
/* The step has failed: nobody was called. */
void limit_undo(struct engine *e);
int limit_load(struct engine *e, const struct fact *f) must_use;
int limit_restore(struct engine *e) must_use;

/* engine_schedule.c */
/* The agent is known, from now on if not before. */
void agenda_meet(struct engine *e, struct subject *s);
/* It was allowed something. Neither allocates nor writes. */
void agenda_use(struct engine *e, struct subject *s);
void agenda_free(struct engine *e, struct subject *s);
int agenda_load(struct engine *e, struct subject *s,
                const struct fact *f) must_use;
void schedule_init(struct schedule *t);
int schedule_load(struct engine *e, struct span value) must_use;
/* After the last fact: sets the clock and takes the policy's schedules. */
void schedule_restore(struct engine *e);
/* In every row, so that a jump is durable no later than what follows it. */
void schedule_watch_clock(struct engine *e);
void schedule_policy(struct engine *e); /* it has changed */
void schedule_tick(struct engine *e);

/* engine_cancel.c: calls, directives */
void cancel_calls(struct engine *e, struct subject *agent,
                  const struct tool_set *tools, const struct cause *c,
                  struct span rule, const struct policy_step *step);
void stop_call(struct engine *e, struct call *c);
/* A running call is judged as if it were asked about now. */
void judge_call(struct engine *e, struct call *c);
void judge_all_calls(struct engine *e);
void call_ended(struct engine *e, struct call *c, enum call_outcome outcome,
                bool known);
void send_directive(struct engine *e, struct runtime *r,
                    const struct directive *spec);
void tell_purge(struct engine *e, struct runtime *r, const struct job *j);
void block_runtimes(struct engine *e, struct subject *agent, enum reason why,
                    struct span rule, struct span jti);
void on_renew(struct engine *e);
void on_end(struct engine *e);
void on_hello(struct engine *e);
void on_watch_gone(struct engine *e);
void on_ack(struct engine *e);
void lease_tick(struct engine *e);

/* engine_job.c */
struct job *start_job(struct engine *e, enum job_kind kind,
                      struct subject *agent, const struct cause *c,
                      struct span rule, struct span target);
void arm_job(struct engine *e, struct job *j, int64_t within_ms,
             struct names otherwise);
void record_job(struct engine *e, const struct job *j, const char *outcome);
void record_nothing(struct engine *e, struct subject *agent,
                    const struct cause *c, struct span rule,
                    const char *action);
/* For what must not fail the step that it follows from (a job that ends, a read
 * that came): true, with a record that says so, when no job can be open. */
bool no_room(struct engine *e, const struct subject *agent,
             const struct cause *c, struct span rule, struct span action);
void revoke_all(struct engine *e, struct subject *agent, const struct cause *c,
                struct span rule, const struct policy_step *step);
void purge_all(struct engine *e, struct subject *agent, const struct cause *c,
               struct span rule, const struct policy_step *step);
void action_start(struct engine *e, struct subject *agent,
                  const struct cause *c, struct span rule, int action,
                  const struct policy_step *step);
void finish_job(struct engine *e, struct job *j, enum job_state state);
/* The row of this step was not written: its jobs neither begin nor end. */
void undo_jobs(struct engine *e);
/* An operator lets a withheld job go. */
void let_go(struct engine *e, struct job *j);
void revoke_one(struct engine *e, const struct credential *cr,
                const struct cause *c, struct span rule,
                const struct policy_step *step);

/* engine_credential.c */
void on_credential(struct engine *e);
void credential_tick(struct engine *e);
void credential_free(struct engine *e, struct credential *c);
int credential_new(struct engine *e, struct subject *agent,
                   const struct in_credential *in, struct span runtime_key,
                   struct credential **ret) must_use;

/* engine_dispatch.c */
/* Gives the job its lane; once, before job_plan. RC_LIMIT, RC_NO_MEMORY. */
int job_enter(struct engine *e, struct job *j) must_use;
/* Where the job waits now, by its row, next_ms and deadline_ms. */
void job_plan(struct engine *e, struct job *j);
void on_job_done(struct engine *e);
void job_tick(struct engine *e);

/* engine_read_queue.c */
void want_read(struct engine *e, struct subject *s);
/* As far as the budget of the base goes. */
void start_reads(struct engine *e, unsigned base);
struct subject *reader_of(struct list_link *k);
/* No read of it before its not_before_ms; read_tick comes back to it then. */
void rest_until(struct engine *e, struct subject *s);
/* Neither queued nor resting any more. */
void leave_read_queue(struct engine *e, struct subject *s);
/* No longer in flight; a list is when its last one is over. */
void read_over(struct engine *e, struct subject *s);

/* engine_read.c */
void on_read_done(struct engine *e);
/* What was read of it could not be taken over: it has proved nothing. */
void uncover(struct subject *s);
void read_tick(struct engine *e);
/* The row of this step was not written: the read that it takes over has proved
 * nothing, and what it has found will be news again. */
void undo_read(struct engine *e);
/* The step is over: what it decided is gone, or pending again. */
void settle_decided(struct engine *e);

/* engine_gate.c */
struct gate_says {
    struct gate_verdict verdict;
    bool named; /* some gate rule names the tool */
    int64_t max_age_ms, old_allow_for_ms;
};
void gate_ask(struct engine *e, struct subject *s, struct span tool,
              struct span run_id, struct gate_says *ret);
/* Gives back their memory. */
void gate_forget_tools(struct engine *e);

/* engine_ask.c */
enum verdict { VERDICT_ALLOW, VERDICT_DENY, VERDICT_WAIT };
struct decision {
    enum verdict verdict;
    enum reason reason;
    struct span rule;
    int64_t valid_for_ms;
    uint64_t epoch;
    bool would; /* audit mode let it pass */
};
/* Why the sidecar itself cannot answer for anything now, or REASON_NONE. */
enum reason own_trouble(const struct engine *e);
void decide(struct engine *e, struct subject *s, struct span tool,
            struct span run_id, struct decision *d);
void on_ask(struct engine *e, bool begin);
void on_logged(struct engine *e);
void ask_tick(struct engine *e);
void unpark(struct engine *e, struct subject *s);
/* Its step has failed: it is refused by the return value, and by nothing else
 * later. */
void forget_question(struct engine *e, uint64_t token);
void deny_all_waiting(struct engine *e, enum reason why);
int find_base(const struct engine *e, int asked, const struct engine_caller *c);
bool caller_may(const struct engine *e, unsigned caller, int base,
                struct span uri);

/* engine_event.c */
void on_event(struct engine *e, bool dirty_only);
void on_feed(struct engine *e);
void on_stored(struct engine *e);
void feed_tick(struct engine *e);
/* The row of this step was not written: what it said of feeds is not durable.
 */
void undo_feeds(struct engine *e);

/* engine_candidate.c */
void on_candidate(struct engine *e);
void on_would(struct engine *e);
/* engine_load.c */
/* The first start after a restore: a record of it, once. */
void tell_restored(struct engine *e);

/* engine_policy.c */
int load_signed(struct engine *e, const struct fact *f);
void policy_start(struct engine *e);
void on_policy(struct engine *e);
void on_policy_refused(struct engine *e);

/* engine_operator.c */
void on_operator(struct engine *e);
/* Its step has failed: a job that it let go waits again. */
void undo_operator(struct engine *e);
void review_tick(struct engine *e);

#endif
