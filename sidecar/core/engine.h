// SPDX-License-Identifier: Apache-2.0
/*
 * The deterministic heart: one input in, effects out. It reads no clock, no
 * randomness, no file and no socket; time and random numbers are part of the
 * input, and everything it wants done comes out as a list of effects that the
 * shell carries out in order (sidecar/app.c). So the whole product can run in
 * a simulated world, and an acknowledgement cannot precede durability: it is
 * only ever emitted in answer to IN_STORED.
 *
 * Where to start reading: engine_step in engine.c, then engine_event.c (what a
 * statement does), engine_read.c (what a fresh read proves), engine_ask.c (the
 * gate). Terms are those of ARCHITECTURE.md's glossary.
 */
#ifndef SIDECAR_CORE_ENGINE_H
#define SIDECAR_CORE_ENGINE_H

#include "sidecar/core/event.h"
#include "sidecar/core/journal.h"
#include "sidecar/core/reason.h"

#define ENGINE_ID_MAX 256 /* identifiers from callers, bytes */
#define ENGINE_BASES_MAX 32
#define ENGINE_FEEDS_MAX 32
#define ENGINE_CALLERS_MAX 256
#define ENGINE_LABELS_MAX 8
#define ENGINE_HELLO_CALLS_MAX 4096
#define ENGINE_EPOCH_BOOT_SHIFT 40 /* an epoch has the boot count above it */
#define ENGINE_BOOT_MAX ((UINT64_C(1) << (64 - ENGINE_EPOCH_BOOT_SHIFT)) - 1)

struct engine;

/* ------------------------------------------------------------- settings */

struct engine_base {
    struct span url; /* no trailing slash */
    struct span agent_segment, user_segment, group_segment; /* "Agents" */
    unsigned reads_max; /* requests in flight at once; 0: no limit */
    unsigned list_max;  /* resources that one request may ask for; below 2:
                           there are no list reads. Needs reads_max */
};

struct engine_feed {
    struct span name, issuer;
    unsigned base; /* index into bases */
};

/* Who asks, as the shell has established from the transport. */
struct engine_caller {
    struct span name;
    int base;            /* index, or -1: any */
    struct names agents; /* globs over the subject uri */
    bool whole_runtime;  /* role runtime or gateway */
};

struct engine_limits {
    uint32_t subjects_max, calls_max, parked_max, parked_per_agent, jobs_max,
        jtis_max, credentials_max, holds_max;
    int64_t lease_ms, log_stall_ms, jti_keep_ms;
};

/* Borrowed for the engine's life, or until the next IN_CONFIG. */
struct engine_conf {
    struct engine_base bases[ENGINE_BASES_MAX];
    unsigned base_count;
    struct engine_feed feeds[ENGINE_FEEDS_MAX];
    unsigned feed_count;
    struct engine_caller callers[ENGINE_CALLERS_MAX];
    unsigned caller_count;
    /* Runtimes that serve CancelToolCalls, by name. */
    struct span served_runtimes[ENGINE_BASES_MAX];
    unsigned served_runtime_count;
    struct engine_limits limits;
    char config_digest[17];
};

/* What a detached signature may be about. On disk as words. */
enum signed_kind { SIGNED_POLICY, SIGNED_CONFIG, SIGNED_KIND_COUNT };

/* The newest signed file of a kind: a lower serial is a replay. Serial 0: none
 * was accepted yet. */
struct signed_serial {
    uint64_t serial;
    unsigned char digest[32];
};

/* --------------------------------------------------------------- inputs */

enum in_kind {
    IN_EVENT,
    IN_EVENT_DIRTY,
    IN_ASK,
    IN_BEGIN,
    IN_RENEW,
    IN_END,
    IN_HELLO,
    IN_WATCH_GONE,
    IN_ACK,
    IN_CREDENTIAL,
    IN_READ_DONE,
    IN_JOB_DONE,
    IN_STORED,
    IN_LOGGED,
    IN_STORE_STATE,
    IN_LOG_BROKEN,
    IN_POLICY,
    IN_POLICY_REFUSED, /* a reload failed; the old one stays */
    IN_FEED,
    IN_OPERATOR,
    IN_TICK,
    IN_STOP,
    IN_CANDIDATE, /* `policy`: what is compared from now on, or NULL */
    IN_WOULD,     /* where the candidate differs (record it) */
};

/* A question. Strings are borrowed during the step. */
struct in_ask {
    uint64_t token;  /* the shell's name for who waits; not 0 */
    unsigned caller; /* index into conf callers */
    int base;        /* index; -1: the caller's or the only one */
    struct span uri, tool, run_id, trace_id;
    int64_t deadline_ms;          /* monotonic; INT64_MAX: none */
    struct span call_id, runtime; /* BEGIN */
};

struct in_lease { /* RENEW, END */
    uint64_t token;
    unsigned caller;
    struct span lease_id;
    enum call_outcome {
        CALL_UNKNOWN,
        CALL_OK,
        CALL_ERROR,
        CALL_CANCELLED
    } outcome;
};

struct in_live_call {
    int base;
    struct span uri, tool, call_id, run_id;
};

struct in_hello {
    uint64_t watch; /* the stream; not 0 */
    unsigned caller;
    struct span runtime;
    const struct in_live_call *calls;
    unsigned call_count;
    struct {
        struct span name, value;
    } labels[ENGINE_LABELS_MAX];
    unsigned label_count;
};

struct in_call_result {
    struct span call_id;
    enum call_outcome outcome;
};

struct in_ack {
    uint64_t token; /* 0 when it came on the stream */
    unsigned caller;
    struct span runtime, directive_id;
    const struct in_call_result *calls;
    unsigned call_count;
    bool done;
};

struct in_credential {
    uint64_t token;
    unsigned caller;
    int base;
    struct span uri, credential_id, issuer, runtime;
    bool refresh;            /* a refresh token */
    int64_t expires_wall_ms; /* 0: unknown */
    struct span sealed;      /* as sealed by the shell */
};

/* A SCIM read came back. What a list read says comes back for each resource.
 * READ_UNLISTED: the list says nothing of this one, or not clearly, which means
 * nothing. READ_LIST_FAILED: there is no list, so it is asked for none for a
 * while. Both lead to a read of its own. */
struct in_read_done {
    uint64_t read_id;
    enum read_result {
        READ_OK,
        READ_NOT_MODIFIED,
        READ_GONE,
        READ_FAILED,
        READ_UNLISTED,
        READ_LIST_FAILED
    } result;
    struct span etag;           /* normalised */
    const struct doc *resource; /* READ_OK */
    int64_t retry_after_ms;     /* -1: none */
    struct span why;            /* READ_FAILED: short, for records */
};

struct in_job_done {
    uint64_t job_id;
    unsigned attempt;
    enum job_result {
        JOB_DONE_CONFIRMED,
        JOB_DONE_RETRY,
        JOB_DONE_REFUSED
    } result;
    bool answered; /* RETRY: the target is there, it has not done it yet */
    int64_t retry_after_ms;
    struct span why;
    const struct in_call_result *calls; /* CancelToolCalls answer */
    unsigned call_count;
};

enum feed_sign {
    FEED_ALIVE,       /* a poll answer, a SET, a verification */
    FEED_CAUGHT_UP,   /* a poll answer with nothing more */
    FEED_REFUSED,     /* a SET that was not accepted (record it) */
    FEED_FELL_SILENT, /* replay: it was noticed at this moment */
};

struct in_feed {
    unsigned feed;
    enum feed_sign sign;
    struct span err, description, jti; /* FEED_REFUSED */
};

enum operator_verb {
    OP_HOLD_ADD,
    OP_HOLD_LIFT,
    OP_REVIEW_APPROVE,
    OP_REVIEW_DENY,
    OP_JOB_RETRY,
    OP_JOB_ABANDON
};

struct in_operator {
    uint64_t token;
    struct span person, reason;
    const struct doc *person_resource; /* for a review's `by` */
    bool may_review; /* replay: it was decided that the person may */
    enum operator_verb verb;
    int base;
    struct span uri;
    struct span hold_kind, cause; /* LIFT, reviews: which; empty: any. ADD:
                                     kind, empty: suspended */
    struct names tools;           /* ADD: only these (globs) */
    uint64_t job_id;
};

/* What the candidate policy would have done, or would not. */
struct in_would {
    struct span uri, rule;
    struct span tool; /* of a question; empty: an effect */
    struct span what; /* "allow -> deny gate_rule", "hold suspended" */
    bool more;        /* effects: more than the active policy did */
};

/* A policy to switch to, or one that was refused. */
struct in_policy {
    uint64_t token;                /* who waits for OUT_ACK; 0: nobody */
    const struct policy *policy;   /* stays valid until the next one */
    bool unchanged;                /* no switch: at most its signature is new */
    struct signed_serial accepted; /* serial 0: not signed */
    struct span why;               /* IN_POLICY_REFUSED */
    /* An operator asked for it: */
    struct span person, reason;
    bool rollback;
};

struct in {
    enum in_kind kind;
    int64_t now_ms; /* boot time, monotonic */
    int64_t wall_ms;
    uint64_t random; /* fresh for every input */
    union {
        struct {
            uint64_t token;
            const struct event *event;
        } event;
        struct in_ask ask;
        struct in_lease lease;
        struct in_hello hello;
        uint64_t watch_gone;
        struct in_ack ack;
        struct in_credential credential;
        struct in_read_done read;
        struct in_job_done job;
        uint64_t stored_upto, logged_upto;
        struct {
            bool blocked, poisoned;
        } store;
        struct in_policy policy; /* IN_POLICY, IN_POLICY_REFUSED */
        struct in_feed feed;
        struct in_operator operator;
        struct in_would would;
    };
};

/* -------------------------------------------------------------- outputs */

enum out_kind {
    OUT_JOURNAL,   /* append to the store */
    OUT_LOG,       /* append to the decision log */
    OUT_ACK,       /* what token asked for is durable: 202, poll ack, done */
    OUT_ANSWER,    /* answer to IN_ASK, IN_BEGIN */
    OUT_LEASE,     /* answer to IN_RENEW, IN_END */
    OUT_DONE,      /* IN_ACK is done; IN_CREDENTIAL, IN_OPERATOR are refused
                      (rc, text); when they succeed OUT_ACK follows */
    OUT_DIRECTIVE, /* send on a watch stream */
    OUT_SNAPSHOT_END,
    OUT_READ, /* start a SCIM read */
    OUT_JOB,  /* run one attempt of a job */
};

struct out_answer {
    uint64_t token;
    bool allow;
    enum reason reason;
    struct span rule; /* deciding rule, or empty */
    uint64_t decision, epoch;
    uint32_t valid_for_ms;
    uint64_t lease; /* BEGIN, allowed */
    uint32_t lease_ttl_ms;
};

enum directive_type {
    DIRECTIVE_CANCEL = 1,
    DIRECTIVE_BLOCK = 2,
    DIRECTIVE_PURGE = 3,
    DIRECTIVE_REFRESH = 4,
    DIRECTIVE_RESUME = 5
};

struct out_directive {
    uint64_t watch;
    uint64_t id;
    enum directive_type type;
    struct span uri;
    struct names call_ids; /* CANCEL */
    struct names purge;    /* PURGE */
    uint64_t epoch;
    enum reason reason;
    struct span rule, jti;
};

struct out_read {
    uint64_t read_id;
    uint64_t list; /* 0: a request of its own. Effects of one number follow one
                      another and are one request; attributes and timeout are
                      the same, the resources of one kind */
    unsigned base;
    struct span uri;
    struct span if_none_match; /* normalised ETag or empty */
    struct names attributes;   /* empty: group read asks for members */
    int64_t timeout_ms;
    int64_t after_ms; /* monotonic; the latest statement that no read has
                         covered, 0: none. Replay tells by it which read of
                         the past answers this one. */
};

enum job_kind { JOB_CANCEL, JOB_REVOKE, JOB_PURGE, JOB_ACTION };
const char *job_kind_word(enum job_kind k);

struct out_job {
    uint64_t job_id;
    unsigned attempt;
    enum job_kind kind;
    struct span key; /* idempotency key jti:rule:action:target:agent */
    unsigned base;
    struct span uri;
    struct span runtime; /* CANCEL, PURGE: served runtime to call */
    struct names call_ids, purge;
    struct span sealed, credential_id, issuer; /* REVOKE */
    bool refresh;
    const struct policy_action *action; /* ACTION */
    struct span rule, jti, event_name, feed;
    struct span why; /* a limit's words, or empty */
    struct {
        struct span name, value;
    } labels[ENGINE_LABELS_MAX];
    unsigned label_count;
    uint64_t epoch;
    int64_t timeout_ms;
};

struct out {
    enum out_kind kind;
    union {
        struct {
            uint64_t seq;
            struct span body;
        } journal;
        struct {
            uint64_t ticket;
            struct span tail;
            bool checkpoint;
            uint64_t row; /* the last record of this journal row, or 0 */
        } log;
        struct {
            uint64_t token;
        } ack;
        struct out_answer answer;
        struct {
            uint64_t token;
            bool found, stop;
            enum reason reason;
            uint32_t ttl_ms;
            uint64_t epoch;
        } lease;
        struct {
            uint64_t token;
            int rc;
            struct span text;
        } done;
        struct out_directive directive;
        struct {
            uint64_t watch, epoch;
        } snapshot_end;
        struct out_read read;
        struct out_job job;
    };
};

/* ------------------------------------------------------------ life cycle */

/* `random` seeds the tables' hash keys. RC_NO_MEMORY. */
int engine_new(struct mem *m, const struct engine_conf *conf,
               const unsigned char random[32], struct engine **ret,
               struct fail *f) must_use;
void engine_free(struct engine *e);

/* Start-up, before the first step: facts of the store in any order, newest
 * last. RC_BROKEN for a fact that cannot be read. */
int engine_load_fact(struct engine *e, const struct fact *fact,
                     struct fail *f) must_use;
/* After the last of them: RC_BROKEN when one tells of rows after the last one.
 */
int engine_loaded(const struct engine *e, uint64_t last_seq,
                  struct fail *f) must_use;
/* The highest serial of this kind that was ever accepted. */
struct signed_serial engine_signed(const struct engine *e, enum signed_kind k);
/* Between the last fact and engine_start: a signed file was accepted. Lower
 * serials than the one stored are ignored. */
void engine_accept(struct engine *e, enum signed_kind k,
                   const struct signed_serial *s);
/* After the last fact: `last_seq` of the journal, clocks, the policy. Counts
 * the boot, resumes jobs. Effects come out as from a step. */
int engine_start(struct engine *e, uint64_t last_seq,
                 const struct policy *policy, int64_t now_ms, int64_t wall_ms,
                 struct fail *f) must_use;

/* One input. Effects of the step before are gone. Never fails: what cannot be
 * done is refused by an effect (a deny, OUT_DONE with rc) or, for IN_EVENT,
 * by the return value: RC_LIMIT or RC_NO_MEMORY mean "not accepted, try again
 * later" (503, no ack). */
int engine_step(struct engine *e, const struct in *in) must_use;

/* Takes the next effect; false when there is none left. Spans live until the
 * next step. */
bool engine_next(struct engine *e, struct out *ret);
/* Between steps, when all effects are taken: gives back the memory of many. */
void engine_rest(struct engine *e);

/* The epoch of an agent that would be touched now: no agent has a later one. */
uint64_t engine_epoch(const struct engine *e);

/* When IN_TICK is wanted at the latest; INT64_MAX: not needed. */
int64_t engine_wake_ms(const struct engine *e);

/* ------------------------------------------------------------- inspection */

struct engine_stats {
    uint64_t events, duplicates, equivocations, refused, questions, allows,
        denies, parked_now, parked_refused, reads_started, reads_failed,
        jobs_open, jobs_confirmed, jobs_failed, targets_down, rows, records,
        holds_now, calls_now, subjects_now, credentials_now, jtis_now,
        relations_cut;
    uint64_t loaded_elsewhere;     /* holds and jobs of no configured feed */
    uint64_t reads_listed;         /* of reads_started, in list reads */
    uint64_t reads_unlisted;       /* of those, read again on their own */
    uint64_t withheld;             /* steps that waited for a person, so far */
    uint64_t jobs_withheld;        /* of them now; not among jobs_open */
    uint64_t limits_passed;        /* now, one for each limit and source */
    int64_t oldest_unconfirmed_ms; /* age of the oldest open cancel or revoke */
    bool audit;                    /* the policy is in audit mode now */
    unsigned audit_rules;          /* rules and gate rules that are, alone */
};
void engine_stats_get(const struct engine *e, struct engine_stats *ret);

struct engine_feed_stats {
    uint64_t events, refused;
    int64_t last_sign_age_ms; /* -1: none since the start */
    const char *state;        /* "caught_up", ... */
    const char *last_error;   /* of the last refused statement, or "" */
};
void engine_feed_stats_get(const struct engine *e, unsigned feed,
                           struct engine_feed_stats *ret);

/* Appends to `out` what reads have found of agents that are not stale, as read
 * entries of a history, for a candidate that begins. A slice at a time, between
 * steps: `*at` starts at 0; false when there is no more. Agents that come and
 * go meanwhile are met once, twice or never. */
bool engine_put_known(struct engine *e, int64_t now_ms, int64_t wall_ms,
                      size_t *at, struct buf *out);

/* Everything below is for operators' views: JSON of docs/admin-api.md, as of
 * the clocks of the last step. */
#define SHOW_PAGE_MAX 1000
#define SHOW_JOBS_MAX 10000

/* Which agents, jobs or reviews. */
struct show_query {
    int feed;             /* index: only its base, by its name; -1: all */
    struct span standing; /* agents; these words may be empty: any */
    struct span state;    /* jobs */
    struct span uri;      /* jobs */
    struct span rule;     /* jobs */
    struct span after;    /* agents: `next` of the page before */
    unsigned limit;       /* at most SHOW_PAGE_MAX agents, SHOW_JOBS_MAX jobs */
};

struct json_out;
/* Is this an agent, or something that is held like one? */
bool engine_knows(const struct engine *e, unsigned base, struct span uri);
unsigned engine_count_agents(const struct engine *e);
/* Holds of this kind and cause; empty: any. */
unsigned engine_count_holds(const struct engine *e, unsigned base,
                            struct span uri, struct span kind,
                            struct span cause);

/* What show_query.standing can be; NULL ends them. */
extern const char *const engine_standing_words[];

/* These write members into the map that is open: `agents` and `next`, `jobs`
 * and `more`, `reviews`, those of one feed. */
void engine_show_agents(const struct engine *e, const struct show_query *q,
                        struct json_out *j);
void engine_show_jobs(const struct engine *e, const struct show_query *q,
                      struct json_out *j);
void engine_show_reviews(const struct engine *e, const struct show_query *q,
                         struct json_out *j);
void engine_show_feed(const struct engine *e, unsigned feed,
                      struct json_out *j);
/* After a change, when the agent is known: `hold`, the latest one that an
 * operator set, and `epoch`; or `left`, `standing` and `epoch`. */
void engine_show_new_hold(const struct engine *e, unsigned base,
                          struct span uri, struct json_out *j);
void engine_show_left(const struct engine *e, unsigned base, struct span uri,
                      struct json_out *j);

/* One whole object. False when unknown. */
bool engine_show_agent(const struct engine *e, unsigned base, struct span uri,
                       int feed, struct json_out *j);
bool engine_show_job(const struct engine *e, uint64_t id, struct json_out *j);

#endif
