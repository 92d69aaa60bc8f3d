// SPDX-License-Identifier: Apache-2.0
/*
 * A small world around the engine, in memory: a virtual clock, a store that
 * commits when told (or at once), a log that acknowledges when told (or at
 * once), SCIM reads and jobs that wait for the test's answer, and restarts
 * from what was committed. After every step the invariants of world_check are
 * checked, whatever the test is about.
 */
#ifndef TESTS_LIB_WORLD_H
#define TESTS_LIB_WORLD_H

#include "sidecar/core/engine_internal.h"
#include "tests/lib/check.h"

#define WORLD_ITEMS_MAX 4096
#define WORLD_BASE "https://idp.example/scim"

struct world_row {
    uint64_t seq;
    struct span body;
};

/* One asked question and what came of it. */
struct world_ask {
    uint64_t token;
    struct span uri, tool, run_id;
    bool begin, answered;
    struct out_answer answer; /* rule is copied */
};

/* An event's token and the row that makes it durable. */
struct world_token {
    uint64_t token, seq, h;
    bool acked;
    int rc;
};

struct world_lease {
    uint64_t token;
    bool found, stop;
    enum reason reason;
};

struct world_done {
    uint64_t token;
    int rc;
};

struct world {
    struct mem *mem; /* the engine's */
    struct arena arena;
    struct engine_conf conf;
    struct span patterns[3]; /* of callers */
    struct engine *e;
    const struct policy *policy;
    int64_t now, wall;
    uint64_t seed;
    uint64_t next_token;
    bool auto_store, auto_log;
    int64_t
        expires;  /* wall: of credentials registered from now on; 0: unknown */
    bool failing; /* allocations fail on purpose: limits of checks */
    int rc;       /* of the last step */
    unsigned char random[32];
    struct signed_serial accepts[SIGNED_KIND_COUNT]; /* at each start */

    struct world_row rows[WORLD_ITEMS_MAX];
    unsigned row_count, committed;
    struct span tails[WORLD_ITEMS_MAX]; /* written records, newest last */
    unsigned tail_count;
    uint64_t ticket, logged;
    struct world_ask asks[WORLD_ITEMS_MAX];
    unsigned ask_count;
    struct world_token tokens[WORLD_ITEMS_MAX];
    unsigned token_count;
    struct out_read reads[WORLD_ITEMS_MAX]; /* in flight */
    unsigned read_count, reads_started;
    struct out_job jobs[WORLD_ITEMS_MAX]; /* attempts under way */
    unsigned job_count, jobs_started;
    struct out_directive directives[WORLD_ITEMS_MAX]; /* all so far */
    unsigned directive_count;
    struct world_lease leases[WORLD_ITEMS_MAX];
    unsigned lease_count;
    struct world_done dones[WORLD_ITEMS_MAX];
    unsigned done_count;
    unsigned snapshots;
};

/* One base, feeds "hr" and "it" on it, callers "app" (all agents), "one"
 * (/Agents/1 only) and "rt2" (all agents), agents active unless told. `policy`
 * is YAML without its head, or NULL for the built-in one. Starts the engine. */
struct world *world_open(const char *policy);
/* The same on another allocator; NULL when the engine could not start. */
struct world *world_open_in(struct mem *m, const char *policy);
void world_close(struct world *w);

const struct policy *world_policy(struct world *w, const char *yaml);
struct span world_text(struct world *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* One input; clocks and randomness are filled in. */
int world_step(struct world *w, struct in in);
void world_pass(struct world *w, int64_t ms); /* time, with ticks when due */
void world_commit(struct world *w);           /* everything so far */
void world_log(struct world *w);              /* acknowledge everything */
void world_check(struct world *w);

/* kill -9 and start again from what was committed; what was not is lost.
 * Returns engine_start's rc. */
int world_restart(struct world *w);

struct world_event {
    const char *feed, *jti, *uri, *version, *status, *data, *changed;
    enum event_type type;
    const char *members[4];
    int64_t toe;      /* wall; 0: none */
    unsigned payload; /* another number: another payload */
    bool dirty;
};
uint64_t world_event(struct world *w, struct world_event ev);
#define EVENT(w, ...) world_event((w), (struct world_event){__VA_ARGS__})
/* Was this token acknowledged? */
bool world_acked(const struct world *w, uint64_t token);

/* NULL until it is answered. */
uint64_t world_ask(struct world *w, const char *uri, const char *tool);
uint64_t world_ask_as(struct world *w, unsigned caller, const char *uri,
                      const char *tool, int64_t deadline_ms);
uint64_t world_ask_in(struct world *w, const char *run, const char *uri,
                      const char *tool);
uint64_t world_begin(struct world *w, const char *uri, const char *tool,
                     const char *call_id);
const struct out_answer *world_answer(const struct world *w, uint64_t token);
/* "allow", "wait" or the code of the reason. */
const char *world_says(const struct world *w, uint64_t token);
/* Asks, answers reads of the agent with `etag` and `json` (NULL: leaves it
 * waiting) and says what came out. */
const char *world_may(struct world *w, const char *uri, const char *tool);

/* Reads in flight for the uri. */
unsigned world_reading(const struct world *w, const char *uri);
/* Answers the oldest read in flight for the uri; false when there is none. */
bool world_reply(struct world *w, const char *uri, enum read_result result,
                 const char *etag, const char *json);
#define ACTIVE "{\"active\":true}"
#define INACTIVE "{\"active\":false}"

/* Agents 0 to n-1, active members of /Groups/g, each with a running call. */
void world_crowd(struct world *w, unsigned n);
#define IN_GROUP "{\"active\":true,\"groups\":[{\"value\":\"g\"}]}"

/* Attempts under way of this kind; the oldest, or NULL. */
const struct out_job *world_job(const struct world *w, enum job_kind kind);
void world_job_done(struct world *w, const struct out_job *j,
                    enum job_result result);

/* Directives of a type to an agent so far; the latest in *ret. */
unsigned world_directives(const struct world *w, enum directive_type type,
                          struct out_directive *ret);
uint64_t world_hello(struct world *w, const char *runtime, const char *uri,
                     const char *call_id);
void world_ack(struct world *w, const char *runtime, uint64_t directive,
               const char *call_id, enum call_outcome outcome);
uint64_t world_credential(struct world *w, const char *uri, const char *id,
                          bool refresh);
uint64_t world_operator(struct world *w, enum operator_verb verb,
                        const char *uri, const char *kind, const char *person);
/* rc of the OUT_DONE for this token, or 1 when there was none. */
int world_done(const struct world *w, uint64_t token);

/* Written records whose text has both strings. */
unsigned world_records(const struct world *w, const char *a, const char *b);
const struct subject *world_subject(const struct world *w, const char *uri);
unsigned world_holds(const struct world *w, const char *uri);

/* xorshift: the test's only randomness. */
uint64_t world_random(struct world *w);

#endif
