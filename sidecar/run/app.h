// SPDX-License-Identifier: Apache-2.0
/*
 * The running sidecar: one struct that wires the engine to its surroundings.
 * Every arrow of the architecture is here: inputs come from io callbacks
 * through app_step, effects leave through app.c's apply. No file here decides
 * anything about an agent.
 *
 *   app.c       steps, effects, clock, timers
 *   conf.c      configuration -> engine settings, who is who
 *   gate.c      bailiff.v1.AgentGate, unary methods
 *   watch.c     the Watch stream
 *   intake.c    push and poll: bytes -> verified events
 *   outbound.c  reads, revocations, actions, calls to runtimes
 *   rollout.c   which policy is in force;  policy_load.c  reading one
 *   admin*.c    operators' commands;  metrics.c  numbers
 *   start.c     opening everything in order; stop.c  closing it;
 *   stop_limit.c  ends the process when that takes too long
 *
 * Loop thread only, but for the workers' part of intake.
 */
#ifndef SIDECAR_RUN_APP_H
#define SIDECAR_RUN_APP_H

#include "adapters/sources/set.h"
#include "proto/gate_codec.h"
#include "sidecar/config/config.h"
#include "sidecar/core/engine.h"
#include "sidecar/io/decision_log.h"
#include "sidecar/io/grpc_client.h"
#include "sidecar/io/grpc_services.h"
#include "sidecar/io/jwks.h"
#include "sidecar/io/poller.h"
#include "sidecar/io/scim.h"
#include "sidecar/io/seal.h"
#include "sidecar/io/store.h"
#include "sidecar/io/work.h"

#define APP_LATER_MAX 65536
#define APP_MESSAGE_BYTES_MAX (256 * 1024)
#define APP_DRAIN_MS 5000
#define APP_STOP_MS (APP_DRAIN_MS + 10000) /* then the process just ends */
#define APP_HEARTBEAT_MS 2000
#define APP_RANDOM_BYTES 4096
#define APP_TROUBLE_BYTES (FAIL_TEXT_MAX + 8)

struct app;
struct rollout;
struct stop_limit;

enum waiter_kind {
    WAIT_CHECK,
    WAIT_BEGIN,
    WAIT_RENEW,
    WAIT_END,
    WAIT_ACK,
    WAIT_CREDENTIAL,
    WAIT_PUSH,
    WAIT_POLL,
    WAIT_ADMIN,
    WAIT_POLICY,
};

/* Somebody who waits for an effect; its address is the engine's token. Comes
 * from a free list, so that questions allocate nothing once warm. */
struct waiter {
    enum waiter_kind kind;
    struct app *app;
    struct list_link link;  /* in app->waiting or app->spare_waiters */
    struct grpc_call *call; /* NULL when the caller has gone */
    struct http_req *req;   /* PUSH, ADMIN */
    struct app_feed *feed;  /* POLL */
    struct buf answer;      /* ADMIN, POLICY: sent when the change is durable */
    struct outcome *outcome; /* POLICY */
    size_t text_n;           /* POLL: outer jti; CREDENTIAL: its id */
    unsigned char text[POLLER_JTI_MAX];
};

/* One feed at work. */
struct app_feed {
    struct app *app;
    unsigned index;
    const struct config_feed *conf;
    struct set_rules rules;
    struct jwks_feed *keys;
    struct poller *poller;   /* NULL without polling */
    struct span push_secret; /* expected bearer; in app->secrets */
    double tokens;           /* push rate */
    int64_t refilled_ms;
    /* Why keys or polls fail now, for operators; "": they do not. */
    unsigned keys_loaded, keys_skipped; /* as last reported */
    char key_trouble[APP_TROUBLE_BYTES], poll_trouble[APP_TROUBLE_BYTES];
};

/* A caller's token bucket. */
struct app_caller {
    double tokens;
    int64_t refilled_ms;
    struct span bearer; /* in app->secrets; empty: none */
};

struct app_runtime {
    struct grpc_client *client;
    const struct config_runtime *conf;
};

/* An input that came while a step's effects were being applied. The only
 * borrowed memory such an input may have is `why`, which is copied. */
struct app_later {
    struct in in;
    char why[FAIL_TEXT_MAX];
};

/* Which log ticket completes which journal row. */
struct app_mark {
    uint64_t ticket, row;
};

struct app_list; /* outbound.c */

struct app {
    uv_loop_t loop;
    const char *config_path;
    struct arena config_arena;
    const struct config *config;
    struct engine_conf engine_conf;
    struct arena secrets; /* wiped at the end */
    struct rollout *rollout;
    const struct policy *policy; /* in force; rollout.c changes it */

    struct engine *engine;
    struct store *store;
    struct decision_log *log;
    struct seal *seal;
    struct work *work;
    struct fetch *fetch;
    struct oauth *oauth;
    struct jwks *jwks;
    struct scim *scim;
    unsigned scim_base[ENGINE_BASES_MAX];
    struct app_list *list; /* of this step's reads, until it is sent */
    struct grpc_health *health;
    struct server *gate[CONFIG_LISTEN_MAX], *push[CONFIG_LISTEN_MAX];
    struct server *admin, *metrics;
    struct app_feed feeds[CONFIG_FEEDS_MAX];
    struct app_caller callers[CONFIG_CALLERS_MAX];
    struct app_runtime runtimes[CONFIG_SERVERS_MAX];

    uv_timer_t timer, heartbeat;
    uv_signal_t signals[5];
    unsigned signal_count;
    int64_t timer_at_ms;

    bool stepping;
    struct app_later *later; /* in order of arrival */
    size_t later_count, later_cap;
    struct arena message_arena; /* one message being decoded */
    struct buf encoded;         /* one message being encoded */
    struct list waiting, spare_waiters;
    bool busy, rested;        /* has anybody waited since the last heartbeat? */
    struct list watches;      /* open streams */
    struct list gone_watches; /* closed streams, freed between steps */
    struct app_mark *marks;   /* ring */
    size_t mark_head, mark_count, mark_cap;

    struct candidate *candidate, *candidate_loading, *candidate_old;
    uv_async_t candidate_wake;
    bool candidate_begins;  /* it is being told what is known: */
    size_t candidate_known; /* up to here */
    unsigned char random[APP_RANDOM_BYTES];
    size_t random_used;
    int64_t started_wall_ms;
    enum store_state store_state;
    uint64_t logged_ticket; /* latest `written` not yet stepped */
    bool ready, stopping, failed;
    bool started;                  /* the engine: it may be stepped */
    bool looping;                  /* the loop and its timers are there */
    bool log_started;              /* its thread: it is closed, not freed */
    bool durable;                  /* the store, too */
    bool journal_ends;             /* a row was refused: none may follow it */
    bool store_closing;            /* no row may be appended any more */
    unsigned stop_phase, closing;  /* stop.c */
    struct stop_limit *stop_limit; /* while stopping */
    int exit_code;
    struct {
        uint64_t refused_auth, refused_form, refused_busy, rate_limited;
    } push_stats;
};

/* app.c ---------------------------------------------------------------- */

/* Feeds one input (clock and random are filled in here), then applies all
 * effects. Inside an apply the input is put off (struct app_later). Returns the
 * engine's answer. */
int app_step(struct app *a, struct in *in);
/* Applies what engine_start has emitted. */
void app_apply_start(struct app *a);
void app_now(struct in *in); /* clocks only */
int64_t app_boot_ms(void);
uint64_t app_random(struct app *a);
struct waiter *waiter_new(struct app *a, enum waiter_kind kind);
void waiter_free(struct waiter *w);
/* All of a list, of which nobody waits any more. */
void waiters_free(struct list *l);
/* At each heartbeat: once nobody has waited for a while, what many at once have
 * left in free lists goes back to the system. */
void app_rest(struct app *a);
/* The store is blocked: who waits for a commit is told to come again. What
 * they asked for stays under way. */
void app_blocked(struct app *a);
static inline uint64_t waiter_token(const struct waiter *w)
{
    return (uint64_t)(uintptr_t)w;
}
void app_fatal(struct app *a, const char *what, const struct fail *f);

/* conf.c ---------------------------------------------------------------- */

int conf_build(struct app *a, struct fail *f) must_use;
/* Which configured caller this is, or -1. `authorization` is the metadata
 * value, for callers with a bearer file. */
int conf_caller_of(const struct app *a, const struct peer *p,
                   struct span authorization);
const struct config_operator *conf_operator_of(const struct app *a,
                                               const struct peer *p);
/* Base index of a feed name; -1 for an empty name; *ret_bad for a foreign. */
int conf_base_of_feed(const void *app, struct span feed, bool *ret_bad);
bool conf_take_token(double *tokens, int64_t *refilled_ms, double rate,
                     double burst, int64_t now_ms);

/* gate.c, watch.c -------------------------------------------------------- */

const struct grpc_method *gate_methods(void);
void gate_answer(struct app *a, const struct out_answer *o);
void gate_lease(struct app *a, const struct out *o);
void gate_done(struct app *a, struct waiter *w, int rc, struct span text);
void watch_open(void *ctx, struct grpc_call *c);
void watch_message(void *ctx, struct grpc_call *c, struct span message);
void watch_half_closed(void *ctx, struct grpc_call *c);
void watch_closed(void *ctx, struct grpc_call *c);
void watch_heartbeat(struct app *a);
void watch_end_all(struct app *a);
/* Only between steps. */
void watch_free_gone(struct app *a);
void watch_directive(struct app *a, const struct out_directive *o);
void watch_snapshot_end(struct app *a, uint64_t watch, uint64_t epoch);

/* intake.c ---------------------------------------------------------------- */

void intake_push(void *ctx, struct http_req *r);
void intake_poll_set(void *ctx, struct span outer_jti, struct span token);
void intake_poll_alive(void *ctx, bool caught_up);
void intake_poll_trouble(void *ctx, const struct fail *f, int64_t retry_ms);
void intake_acked(struct app *a, struct waiter *w);
/* The sender is not kept waiting for a disk; it comes again. */
void intake_blocked(struct waiter *w);

/* outbound.c --------------------------------------------------------------- */

/* What is in a list waits for the rest of it. */
void outbound_read(struct app *a, const struct out_read *o);
/* After the effects of a step: sends the list that is gathered, if any. */
void outbound_read_list(struct app *a);
void outbound_job(struct app *a, const struct out_job *o);

/* candidate_host.c: the candidate policy ------------------------------------
 */

/* Loads it, anew too; a bad one changes nothing. */
void candidate_host_init(struct app *a);
void candidate_host_load(struct app *a);
/* candidate_wake is sent no more; then the end of all. */
void candidate_host_quit(struct app *a);
void candidate_host_close(struct app *a);
/* What the live engine was given and what it did. */
void candidate_host_row(struct app *a, struct span body);
void candidate_host_record(struct app *a, struct span tail);
void candidate_host_flush(struct app *a); /* at the end of a step */
/* The next thing the engine must be told of it. */
bool candidate_host_next(struct app *a, struct in *ret);

/* admin*.c, metrics.c -------------------------------------------------------
 */

void admin_request(void *ctx, struct http_req *r);
void admin_done(struct app *a, struct waiter *w, int rc, struct span text);
void metrics_request(void *ctx, struct http_req *r);

/* start.c, stop.c ------------------------------------------------------------
 */

/* Opens everything; on failure what is open stays for app_close. `signed_by`:
 * a file with the keys one of which must have signed bailiff.yaml, or NULL. */
int app_open(struct app *a, const char *config_path, const char *signed_by,
             struct fail *f) must_use;
/* Runs until stopped; returns the exit code. */
int app_run(struct app *a);
void app_stop(struct app *a);
void app_close(struct app *a);

#endif
