// SPDX-License-Identifier: Apache-2.0
/*
 * What the files of the replay share: replay.c (time, entries),
 * replay_past.c (what reads found), replay_event.c (statements as they were).
 */
#ifndef SIDECAR_REPLAY_INTERNAL_H
#define SIDECAR_REPLAY_INTERNAL_H

#include "sidecar/base/buf.h"
#include "sidecar/base/map.h"
#include "sidecar/driver.h"
#include "sidecar/replay.h"

#define REPLAY_ENTRY_BYTES_MAX (4u * 1024 * 1024)
/* The end of the year 9999. */
#define REPLAY_WALL_MAX INT64_C(253402300799000)

/* The latest that is known of one resource, and the engine's open read. */
struct past {
    struct map_link link; /* key: base url NUL uri */
    unsigned base;
    struct span uri; /* in the key */
    bool known;
    enum read_result result;
    bool qualified;
    bool partial;
    bool fresh;         /* it has just come back: the engine judges it itself */
    int64_t started_ms; /* on the replay's clock */
    unsigned char *etag, *resource;
    size_t resource_n;
    uint64_t read_id; /* 0: none open */
    int64_t after_ms;
};

struct replay_job {
    uint64_t id;
    unsigned attempt;
    const struct in_call_result *calls;
    unsigned call_count;
};

struct replay {
    struct replay_conf conf;
    struct mem_budget budget;
    struct mem *mem;    /* of the budget */
    struct arena names; /* of bases and feeds; as long as the replay */
    struct arena entry; /* of this entry */
    struct engine_conf engine_conf;
    struct span star;
    struct driver drive; /* its steps are those of this entry */
    bool started;
    uint64_t token;
    struct map past;
    struct {
        struct past **at;
        size_t count, cap;
    } open; /* reads of this entry that are still to be looked at */
    struct replay_job *jobs;
    size_t job_count, job_cap;
    int64_t alive_ms; /* when feeds last gave a sign */
    struct out_answer answer;
};

/* replay.c */
/* Finds or adds; -1 when there are too many. */
int replay_base(struct replay *r, struct span url);
int replay_feed(struct replay *r, struct span name, struct span issuer,
                int base);
/* Makes the kind of `uri`'s path segment known. RC_SYNTAX when it is none. */
int replay_learn(struct replay *r, int base, struct span uri, struct span kind,
                 struct fail *f) must_use;

/* replay_past.c */
void past_init(struct replay *r);
void past_fini(struct replay *r);
/* Finds or makes; NULL without memory. */
struct past *past_get(struct replay *r, unsigned base, struct span uri);
/* NULL when there is none. */
struct past *past_find(struct replay *r, unsigned base, struct span uri);
/* Takes over what a read entry says. */
int past_learn(struct replay *r, const struct doc *entry, struct past *p,
               struct fail *f) must_use;
/* Answers the open read when what is known answers it. */
bool past_answer(struct replay *r, struct past *p);

/* replay_event.c: an event entry as a step. */
int replay_event(struct replay *r, const struct doc *entry,
                 struct fail *f) must_use;

#endif
