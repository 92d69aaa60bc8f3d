// SPDX-License-Identifier: Apache-2.0
/*
 * A whole world in one process, driven by one seed: the real engine and the
 * real journal bytes inside a modelled machine, and around it everybody who
 * talks to it. README.md beside this file says how to read it.
 *
 *   world.c      clock, calendar of happenings, randomness, trace, network
 *   sidecar.c    the process: one input in, effects out, crashes, restarts
 *   disk.c       the store: group commits, failures, folding
 *   record_log.c the decision log: written, synced, torn, copied again
 *   restore.c    a backup, and the way back to it
 *   candidate.c  a candidate policy, and the same world without it
 *   transmit.c   transmitters (push and poll)     scim.c     SCIM servers
 *   runtime.c    runtimes and their calls         target.c   where jobs go
 *   people.c     gateways, operators, policies    finale.c   the quiet end
 *   model.c      what must be true (the guarantees)   judge.c  is it?
 *   patience.c   the same of what waits: limits, audit mode, schedules, lanes
 */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <setjmp.h>

#include "sidecar/core/engine.h"

#define BASES 2
#define AGENTS 4 /* of a base; then users, then groups */
#define USERS 2
#define GROUPS 2
#define RESOURCES (AGENTS + USERS + GROUPS)
#define SUBJECTS (BASES * RESOURCES)
#define FEEDS 3 /* hr and it speak for base 0, eu for base 1 */
#define RUNTIMES 3
#define CALLS 12 /* of a runtime at a time */
#define TOOLS 3
#define STATEMENTS_MAX 1024
#define VERSIONS 24 /* of a resource that replicas may still show */
#define PENDING_MAX 32
#define HOLDS_MAX 48
#define ROWS_MAX 16384
#define LINES_MAX 32768
#define WAITERS 4096
#define READS_MAX 64
#define JOBS_MAX 2048
#define SETTLE_MS 5000
#define SOURCES (FEEDS + 1) /* feeds, then reads */
#define LIMIT_SUSPEND 1
#define LIMIT_SUSPEND_MS 40000
#define LIMIT_REVOKE 2
#define LIMIT_REVOKE_MS 30000
#define AUDIT_UNTIL_MS INT64_C(1790035200000) /* 2026-09-22 */
#define PERIOD_MS INT64_C(3600000)            /* of schedules */
#define LIVE_MS 90000 /* how long a world is busy before its quiet end */

struct sim;
struct rec;
typedef void (*happen_fn)(struct sim *w, uint64_t a, uint64_t b);

/* ------------------------------------------------------------------ world */

struct happening {
    int64_t at;
    uint64_t order; /* ties go by order of making */
    happen_fn run;
    uint64_t a, b;
    unsigned life; /* of the process it is bound to; 0: of none */
};

/* How wild this world is; drawn from the seed. */
struct weather {
    unsigned loss, slow, twice; /* per cent of messages */
    unsigned crash;             /* per mille of steps */
    unsigned disk, log, server; /* per cent of operations that fail */
    int64_t lag_ms;             /* of replicas, below SETTLE_MS */
    bool clock_jumps;
    bool crowd; /* some agents are in very many groups, groups have very many */
    bool tight; /* few jobs fit: statements and reads are put off */
};

/* Who can be cut off from the sidecar. */
enum peer {
    PEER_FEED,
    PEER_SCIM = 3,
    PEER_RUNTIME = 5,
    PEER_TARGET = 8,
    PEERS
};

struct counters {
    uint64_t steps, crashes, power_cuts, restarts, blocked, poisoned, asked,
        allowed, denied, statements, deliveries, duplicates, equivocations,
        acked, polls, reads, listed, unlisted, qualified, not_yet, not_modified,
        failed_reads, gone, jobs, confirmed, failed, refused, abandoned, begun,
        lost_calls, directives, operator_commands, policies, partitions,
        clock_jumps, copied_again, compared, lifted, held, put_off, commits,
        failed_commits, stalls, allowed_old, sleeps, scheduled, idle, withheld,
        let_go, audited, audits_over, waited, targets_down, targets_up,
        restores, forgotten, probes, candidates, crowded;
};

/* --------------------------------------------------------------- the store */

struct disk_row {
    uint64_t seq;
    struct span body;
    struct span lost; /* what it was; a restore has left its number out */
};

struct disk {
    struct disk_row rows[ROWS_MAX]; /* durable, then queued */
    unsigned count, durable, committing;
    bool busy, again;
    enum { DISK_OK, DISK_BLOCKED, DISK_POISONED } state;
    unsigned tries;
    uint64_t folded, logged;
    /* The state table: latest facts of folded rows, by (kind, key). */
    struct fact *facts;
    unsigned fact_count, fact_cap;
};

/* -------------------------------------------------------- the decision log */

struct line {
    uint64_t ticket, row; /* row: the last record of it, or 0 */
    uint64_t input;
    struct span tail;
};

struct record_log {
    struct line lines[LINES_MAX]; /* written, then queued */
    unsigned count, written, synced, writing;
    bool busy, syncing, broken;
};

/* ---------------------------------------------------------- the statements */

struct statement {
    unsigned feed, subject;
    enum event_type type;
    char jti[16], version[16];
    unsigned members; /* group: agents named */
    unsigned payload;
    int64_t made_ms;
    unsigned tries;
    bool acked;   /* the transmitter knows */
    bool ack_due; /* the sidecar will say so in its next poll */
    bool enabled; /* stream-updated */
};

/* -------------------------------------------------------------- the truth */

struct version {
    int64_t at;
    bool exists, active, external;
    bool crowded;            /* agents: in more groups than are indexed */
    unsigned groups, owners; /* bits */
    unsigned number;
};

struct resource {
    struct version v[VERSIONS]; /* newest last */
    unsigned count;
};

struct server {
    bool healthy;
    int64_t healthy_at;
};

struct reading {
    uint64_t id; /* 0: free */
    unsigned subject;
    uint64_t started; /* step */
    int64_t started_ms;
    bool conditional, listed; /* listed: one of many in one request */
    char etag[16];            /* that was sent */
    /* what the server has answered */
    enum read_result result;
    struct version shown;
    bool with_etag;
    bool bare; /* without what it has, as lists may be */
    int64_t retry_ms;
};

/* ---------------------------------------------------------------- runtimes */

struct tool_call {
    bool used, running, given;
    unsigned subject, tool;
    char id[16];
    uint64_t lease;
};

struct runtime_actor {
    uint64_t watch; /* 0: not watching */
    unsigned calls_made, credentials_made;
    struct tool_call calls[CALLS];
};

/* ----------------------------------------------------------------- process */

enum waiting_for {
    FOR_STATEMENT,
    FOR_ANSWER,
    FOR_BEGIN,
    FOR_LEASE,
    FOR_ACK,
    FOR_CREDENTIAL,
    FOR_OPERATOR
};

struct waiter {
    uint64_t token; /* 0: free */
    enum waiting_for what;
    unsigned subject, tool, caller;
    unsigned who, index;
    uint64_t row; /* that must be durable before the acknowledgement */
};

struct job_seen {
    uint64_t id, started_row, ended_row; /* 0: not (yet) */
    uint64_t withheld_row;
    bool withheld; /* until a person lets it go */
    unsigned subject;
    char kind[24], rule[24], jti[32], target[32], outcome[24];
    int64_t reach;
    bool confirmed_by_target;
    struct span keyed; /* the idempotency key that it was sent with */
    unsigned id_count; /* cancel: what the runtime was told to stop */
    struct span ids[CALLS];
};

/* A target: how often it has not answered in a row, and until when it is left
 * alone. */
#define LANES 4
struct lane_seen {
    unsigned failures;
    bool paused; /* and no attempt has begun since */
    int64_t until;
};

struct process {
    struct engine *e;
    bool alive, down_for_good;
    unsigned life;   /* counts starts */
    int64_t boot_at; /* boot time 0 on the world's clock */
    unsigned policy;
    bool told_bad; /* the engine knows that the store is in trouble */
    uint64_t boot_row;
    int64_t timer_at;
    uint64_t token, ticket, logged;
    struct waiter waiters[WAITERS];
    struct reading reads[READS_MAX];
    int crash_after; /* effects of this step; -1: none */
    bool power_cut;
    /* this step, for the judge */
    const struct in *in;
    unsigned step_subject; /* SUBJECTS: none */
    bool step_qualified;   /* a read that counts, by the model */
    uint64_t step_row;     /* last row of the step, or 0 */
    int step_statement;    /* a new one; -1: none */
    bool step_decided;     /* a read that decides pending rules */
    int step_rc;           /* of the engine */
    bool step_found;       /* a read found it not active, or gone: news */
    uint64_t step_token;   /* who waits for the step's row */
    unsigned withheld_count;
    struct {
        unsigned subject;
        char rule[24];
    } withheld[32];         /* in this step */
    int64_t audit_ms;       /* the time that rules in audit mode have reached */
    int64_t used[SUBJECTS]; /* last allow of this process */
    struct lane_seen lanes[LANES];
    unsigned running_count;
    struct {
        uint64_t job;
        unsigned number, target;
    } running[256]; /* attempts */
};

/* ------------------------------------------------------------------- model */

struct model_hold {
    bool money, sticky; /* only for money tools; ends only by an operator */
    char kind[12], rule[16], cause[40];
    uint64_t row; /* that set it */
};

/* What the guarantees are about, of one subject. No pointers: the model of a
 * journal row is a copy, and a crash goes back to the last durable one. */
struct model_subject {
    uint64_t touched; /* step of the last statement about it */
    int64_t touched_ms;
    bool open; /* a statement that no qualifying read has covered */
    char version[16];
    uint64_t read_start; /* step at which the last qualifying read began */
    int64_t read_ms;
    char etag[16], etag_seen[16];
    unsigned char found; /* 0 nothing, 1 active, 2 not active, 3 absent */
    bool known, active, feed_removed;
    unsigned groups, owners; /* of the last qualifying read, or linked since */
    bool partial; /* it showed more than are indexed: none of these */
    bool attr_active, attr_money, attr_external; /* what that read said */
    bool kept_external;     /* the last of these that was no guess */
    unsigned pending_count; /* statements whose rule a read must decide */
    unsigned short pending[PENDING_MAX];
    uint64_t epoch_above; /* an allow needs a later one than this */
    unsigned hold_count;
    struct model_hold holds[HOLDS_MAX];
};

struct model {
    struct model_subject s[SUBJECTS];
    uint64_t base_touched[BASES], policy_touched, boot_touched;
    uint64_t restored_touched; /* the start after a restore */
    int64_t restored_ms;
    bool disabled[FEEDS];
    unsigned char heard[STATEMENTS_MAX]; /* payload number + 1 */
    uint64_t row_of[STATEMENTS_MAX];
    bool external_ran[STATEMENTS_MAX];        /* its hold has been set */
    unsigned char payers_ran[STATEMENTS_MAX]; /* bits of agents */
    /* The time that rules in audit mode have reached for certain, on disk. */
    unsigned audit_policy;
    int64_t audit_ms;
    /* When a step was taken for an agent, by limit and source. */
    int64_t suspended[SOURCES][SUBJECTS], revoked[SUBJECTS];
    int64_t recertified[SUBJECTS];
};

/* ------------------------------------------------------------- everything */

#define TRACE_LINES 80
#define TRACE_BYTES 240
#define SNAPSHOTS 512
#define DECISIONS 65536

/* What came of each step of a world that is lived twice. */
#define COURSE_STEPS 65536
struct course {
    uint64_t steps[COURSE_STEPS];
    unsigned count;
};

struct sim {
    uint64_t seed, random;
    struct course *course; /* of the first life; NULL: there is only one */
    bool beside;           /* the second: a candidate is beside the policy */
    unsigned course_at, candidate; /* POLICIES: none */
    jmp_buf broken;
    bool loud;
    uint64_t step;
    int64_t now, wall_offset, quiet_at, until;
    int64_t forward;     /* how far the wall clock has jumped ahead in all */
    int64_t latest_wall; /* ever shown to the engine */
    struct weather weather;
    bool cut[PEERS];
    bool quiet; /* the end: no faults, everything is said and read */

    struct happening *calendar;
    size_t due_count, due_cap;
    uint64_t order;

    char trace[TRACE_LINES][TRACE_BYTES];
    uint64_t trace_count, trace_hash;

    struct arena arena;   /* of the world */
    struct arena scratch; /* of one input */
    struct engine_conf conf;
    struct span globs[4];
    struct disk disk;
    struct record_log log;
    struct process p;
    struct statement statements[STATEMENTS_MAX];
    unsigned statement_count;
    struct resource resources[SUBJECTS];
    struct server servers[BASES];
    struct runtime_actor runtimes[RUNTIMES];
    struct job_seen jobs[JOBS_MAX];
    unsigned job_count;
    struct model m;
    struct model *snapshots; /* ring by row */
    uint64_t max_epoch[SUBJECTS];
    uint64_t epochs_above; /* the last one before a restore */
    bool restore_untold;   /* the log does not say it yet, */
    unsigned restore_line; /* from this line on */
    struct {
        uint64_t row; /* 0: none */
        struct model m;
    } backup;
    enum reason last_reason[SUBJECTS][TOOLS];
    uint64_t *decisions; /* decision ids of written allows: open addressing */
    struct counters n;
};

/* world.c */
uint64_t draw(struct sim *w, uint64_t n); /* 0..n-1 */
bool chance(struct sim *w, unsigned per_cent);
void later(struct sim *w, int64_t in_ms, happen_fn run, uint64_t a, uint64_t b);
/* The same, but void when the process has ended by then. */
void later_here(struct sim *w, int64_t in_ms, happen_fn run, uint64_t a,
                uint64_t b);
/* A message between the sidecar and a peer: its delay, or -1: lost. */
int64_t travel(struct sim *w, unsigned peer);
void say(struct sim *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* An invariant does not hold: ends this world. */
void broken(struct sim *w, const char *invariant, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), noreturn));
struct span text(struct arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
struct span copy_span(struct arena *a, struct span s);
/* "/Agents/a1" of base s / RESOURCES */
const char *uri_of(unsigned subject);
unsigned subject_of(unsigned base, struct span uri); /* SUBJECTS: none */
bool is_agent_subject(unsigned subject);
/* Runs one world to its end; false when an invariant broke. */
bool world_run(struct sim *w, uint64_t seed, bool loud, bool tight);
void world_free(struct sim *w);
void world_wait(struct sim *w, int64_t ms); /* lets it go on */
void world_print(const struct sim *w);

/* sidecar.c */
void sidecar_boot(struct sim *w, uint64_t a, uint64_t b);
void sidecar_end(struct sim *w, bool power_cut, const char *why);
/* One input. The engine's return value; a crash may happen inside. */
int sidecar_step(struct sim *w, struct in *in);
/* A token that somebody waits for. */
struct waiter *wait_for(struct sim *w, enum waiting_for what, unsigned who,
                        unsigned index);
struct engine *engine_from_rows(struct sim *w, bool folded);

/* disk.c */
void disk_append(struct sim *w, uint64_t seq, struct span body);
void disk_crash(struct sim *w);
void disk_logged(struct sim *w, uint64_t row);
void disk_fold_anew(struct sim *w); /* all that is durable */
/* Facts in the order in which the store gives them at a start. */
void disk_load(struct sim *w, struct engine *e, bool folded);

/* record_log.c */
void log_append(struct sim *w, uint64_t ticket, uint64_t row, struct span tail,
                bool start);
void log_crash(struct sim *w, bool power_cut);
void log_open(struct sim *w); /* what the journal has and the log has not */

/* candidate.c */
void candidate_start(struct sim *w);
void candidate_boot(struct sim *w);
/* After a step, before its effects leave: the same as in the other life? */
void course_step(struct sim *w, const struct out *outs, unsigned count);

/* restore.c */
void restore_start(struct sim *w);

/* transmit.c */
void transmit_start(struct sim *w);
void transmit_boot(struct sim *w);
unsigned transmit_say(struct sim *w, unsigned feed, unsigned subject,
                      enum event_type type, const char *version);
void transmit_acked(struct sim *w, const struct waiter *q);
bool transmit_done(const struct sim *w);
void transmit_anew(struct sim *w, unsigned statement);
void transmit_again(struct sim *w, unsigned statement);

/* scim.c */
void scim_start(struct sim *w);
void scim_read(struct sim *w, const struct out_read *o);
const struct version *truth(const struct sim *w, unsigned subject);
void scim_etag(unsigned subject, const struct version *v, char out[16]);

/* runtime.c */
void runtime_start(struct sim *w);
void runtime_boot(struct sim *w);
void runtime_answer(struct sim *w, const struct waiter *q,
                    const struct out_answer *o);
void runtime_lease(struct sim *w, const struct waiter *q, bool found,
                   bool stop);
void runtime_directive(struct sim *w, const struct out_directive *o);
/* Does it still run a call of this agent that was to be cancelled so? */
bool runtime_runs(const struct sim *w, unsigned runtime, struct span call_id);
/* Cancels what is named; the number of calls that are over. */
void runtime_cancel(struct sim *w, unsigned runtime, struct names ids);
int runtime_by_name(struct span name);
extern const char *const tool_names[];
bool tool_is_money(unsigned tool);

/* target.c */
void target_job(struct sim *w, const struct out_job *o);

/* people.c */
void people_start(struct sim *w);
void ask(struct sim *w, unsigned subject, unsigned tool);
void operator_does(struct sim *w, enum operator_verb verb, unsigned subject,
                   uint64_t job);
void load_policy(struct sim *w, unsigned policy);

/* policies.c: loaded once a process */
#define POLICIES 5
struct policy_facts {
    const char *yaml;
    bool audit;
    bool stop, stop_cancels; /* hold on leaving; cancel all calls then */
    bool come_back;          /* releases stop and external */
    bool external;           /* a pending rule: patch of an external agent */
    bool session;            /* session-revoked holds money tools */
    bool money_needs_g0;
    bool owner_left;
    bool money_never_old;
    bool watch;   /* audits until AUDIT_UNTIL_MS, then as session */
    bool payers;  /* a change of a group holds its external members */
    bool limited; /* LIMIT_* below */
    int64_t max_age_ms, old_ms;
};
extern const struct policy_facts policy_facts[POLICIES];
const struct policy *policy_get(unsigned i);
void policies_load(void);
void policies_free(void);

/* model.c */
void model_boot(struct sim *w);
void model_row(struct sim *w, uint64_t seq);
void model_crash(struct sim *w);
void model_statement(struct sim *w, unsigned statement, unsigned payload);
void model_dirty(struct sim *w, unsigned statement);
/* A record that says that a feed is silent makes its agents stale. */
void model_silence(struct sim *w, struct span tail);
/* It was not accepted: it will come again. */
void model_put_off(struct sim *w, unsigned statement);
/* A read's answer; sets p.step_qualified. */
void model_read(struct sim *w, const struct reading *r, enum read_result result,
                const char *etag, const struct version *shown);
/* It could not be taken over, so that it has proved nothing. */
void model_unread(struct sim *w, unsigned subject, unsigned char found);
uint64_t model_stamp(const struct sim *w, unsigned subject);
/* What this allow would break, or NULL. */
const char *model_forbids(struct sim *w, unsigned subject, unsigned tool,
                          const struct out_answer *o);
struct model_hold *model_hold(struct model_subject *s, struct span kind,
                              struct span rule, struct span cause);

/* judge.c: every effect and every record */
void judge_row(struct sim *w, uint64_t seq, struct span body);
void judge_ack(struct sim *w, const struct waiter *q);
void judge_answer(struct sim *w, const struct waiter *q,
                  const struct out_answer *o);
void judge_job(struct sim *w, const struct out_job *o);
void judge_line(struct sim *w, const struct line *l); /* as it is written */
/* After the rows of a step; after all of its effects. */
void judge_rules(struct sim *w);
void judge_step(struct sim *w);
void judge_crash(struct sim *w); /* before the start after an end */
void judge_start(struct sim *w); /* after it */
void judge_directive(struct sim *w, unsigned subject, struct span runtime,
                     struct span rule, struct span jti, struct names ids);
void judge_log(struct sim *w); /* gap-free over all durable rows */
struct job_seen *job_seen(struct sim *w, uint64_t id);

/* patience.c: what waits for a person, a time or a read */
/* A step of the engine is about to be taken. */
void patience_step(struct sim *w);
void patience_row(struct sim *w);    /* before the model of a row is kept */
void patience_policy(struct sim *w); /* another one is in force */
void patience_boot(struct sim *w);
void judge_verdict(struct sim *w, const struct rec *r, unsigned subject);
/* A job begins that was not withheld; or does so after all. */
void judge_begun(struct sim *w, const struct rec *r, unsigned subject);
void judge_let_go(struct sim *w, const struct rec *r);
void judge_withheld(struct sim *w, const struct rec *r, unsigned subject,
                    uint64_t row);
bool withheld_now(const struct sim *w, unsigned subject, struct span rule);
void judge_patience(struct sim *w); /* after the rows of a step */
/* An attempt leaves for a target, or is over. */
void attempt_begins(struct sim *w, const struct out_job *o);
void attempt_ends(struct sim *w, const struct in_job_done *in);
/* The last job of a target takes what is known of it along. */
void attempts_over(struct sim *w, const struct job_seen *j);
bool audit_is_over(const struct sim *w);

/* view.c */
void view_is_replayed(struct sim *w);
void view_is_stored(struct sim *w);
/* Is a call of the agent running that nobody has told to stop? */
bool view_runs(struct sim *w, unsigned subject);

/* finale.c */
void finale(struct sim *w);

#endif
