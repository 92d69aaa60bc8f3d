// SPDX-License-Identifier: Apache-2.0
/*
 * What is known about SCIM resources: agents, and the people and groups that
 * agents are related to. A subject is created by an event, a question, a read
 * or a relation, and says nothing by itself about what the agent may do; that
 * is gate.c's business.
 *
 * Staleness is derived, never stored: a subject remembers the input number of
 * the last statement that touched it (`stamp`) and the input number at which
 * the read that last qualified was started (`read_input`). Relations are edges:
 * a stamp on a group or an owner makes its agents stale without touching them.
 */
#ifndef SIDECAR_CORE_SUBJECT_H
#define SIDECAR_CORE_SUBJECT_H

#include "policy/policy.h"
#include "sidecar/base/list.h"
#include "sidecar/base/map.h"
#include "sidecar/core/codec.h"

#define SUBJECT_EDGES_MAX 256 /* groups + owners + parent of one agent */
#define SUBJECT_ETAG_MAX 256
#define SUBJECT_ATTRS_BYTES_MAX (64 * 1024)
#define SUBJECT_PENDING_MAX 64 /* rules that wait for a read */

enum edge_kind { EDGE_GROUP, EDGE_OWNER, EDGE_PARENT };

/* agent -> related; in the agent's `out` list and the other's `in` list. */
struct edge {
    enum edge_kind kind;
    struct subject *agent, *other;
    struct list_link out_link, in_link;
};

/* What the last reads found, for the internal events. */
enum found { FOUND_NOTHING, FOUND_ACTIVE, FOUND_NOT_ACTIVE, FOUND_ABSENT };

/* A rule that matched an event only conditionally: a qualifying read decides.
 */
enum pending_about {
    PENDING_SUBJECT, /* `where`: does the rule match? */
    PENDING_TARGET   /* `agents_where`: is this one of the agents it hits? */
};
struct pending_rule {
    struct list_link link;
    unsigned char *rule, *jti, *feed; /* NUL-terminated copies */
    enum event_type type;
    enum pending_about about;
};
struct pending_spec {
    enum pending_about about;
    enum event_type type;
    struct span rule, jti, feed;
};

struct read_state {
    uint64_t id; /* 0: none in flight */
    uint64_t start_input;
    int64_t start_ms;
    int64_t not_before_ms; /* backoff after a failure or a read that does not
                              qualify yet */
    unsigned failures;
    bool conditional; /* sent with If-None-Match */
    bool wanted;      /* somebody needs a read when it may start */
    bool last_failed;
};

/* Gate verdicts of the last tools asked about. A verdict depends on the policy,
 * on which gate rules audit, on the tool and the attributes, all of which have
 * a version here; standing is never cached. Verdicts that look at the call's
 * arguments are not kept. */
#define GATE_CACHE_SLOTS 8
struct gate_slot {
    uint64_t tool_hash, attrs;
    uint32_t version; /* 0: empty */
    bool allowed, would;
    uint16_t decider; /* 1 + position of the gate rule; 0: none */
};
struct gate_cache {
    struct gate_slot slot[GATE_CACHE_SLOTS];
};
_Static_assert(POLICY_GATES_MAX < UINT16_MAX, "a decider fits");

struct subject {
    struct map_link link; /* key: base url NUL uri */
    unsigned base;
    struct span uri; /* inside the key */
    enum subject_kind kind;

    bool known;          /* a read has succeeded once */
    bool deleted;        /* a delete event came */
    bool left;           /* people: deactivated, deleted or found so */
    bool feed_removed;   /* feed.remove came later than feed.add */
    bool active;         /* the last read said true */
    bool etag_qualified; /* etag comes from a read that qualified */
    bool event_open;     /* an event that no qualifying read has covered */
    enum found found;
    event_mask seen; /* types of statements stored about it */

    uint64_t stamp;           /* input number, this boot; 0: none since boot */
    int64_t stamp_ms;         /* when, monotonic; on load: as if just now */
    int64_t stamp_wall_ms;    /* 0: never */
    uint64_t touch;           /* input number of the last change of holds or
                                 attributes: part of the epoch only */
    unsigned char *version;   /* of the last event, or NULL */
    unsigned char *etag;      /* of the last read that qualified, or NULL */
    unsigned char *etag_seen; /* of the last one that did not, or NULL */
    uint64_t stamp_row;       /* journal rows: what was first, over restarts */
    uint64_t read_row;

    struct read_state read;
    uint64_t read_input; /* start of the last qualifying read; 0: none */
    int64_t read_ms;     /* its start */
    int64_t read_wall_ms;

    struct agenda *agenda; /* NULL without schedules */

    struct gate_cache *gate_cache; /* NULL until first asked about */
    uint64_t attrs_version;        /* counts changes of attrs */
    struct arena *attrs_arena;
    const struct doc *attrs; /* policy-named attributes of the last read */

    struct list out, in; /* edges */
    unsigned out_count;
    struct list holds;   /* struct hold */
    struct list calls;   /* struct call */
    struct list jobs;    /* struct job, open ones */
    unsigned ended_jobs; /* kept for views: they name this subject */
    struct list credentials;
    struct list parked; /* struct parked */
    unsigned parked_count;
    struct list pending; /* struct pending_rule */
    unsigned pending_count;
    struct list_link wake_link; /* in engine->reading when a read is wanted or
                                   in flight */
};

struct subjects {
    struct mem *mem;
    struct map by_key;
};

void subjects_init(struct subjects *t, struct mem *m, struct hash_key seed,
                   size_t max_count);
/* Frees all subjects; their lists must be empty of foreign objects. */
void subjects_fini(struct subjects *t);

/* NULL when there is none. */
struct subject *subject_find(const struct subjects *t, struct span base_url,
                             struct span uri);

/* Finds or makes. RC_LIMIT, RC_NO_MEMORY, RC_INVALID (uri too long). */
int subject_get(struct subjects *t, unsigned base, struct span base_url,
                struct span uri, enum subject_kind kind,
                struct subject **ret) must_use;

/* Drops a subject that nothing refers to (a lookup that found nobody). */
void subject_drop(struct subjects *t, struct subject *s);
bool subject_is_bare(const struct subject *s);

/* Replaces the string behind *at by a copy of `s` (NULL when s is empty, or
 * with RC_NO_MEMORY). */
int subject_set_text(struct subjects *t, unsigned char **at,
                     struct span s) must_use;

/* Adds an edge unless it is there. */
int subject_link(struct subjects *t, struct subject *agent, enum edge_kind kind,
                 struct subject *other) must_use;
void subject_unlink_all(struct subjects *t, struct subject *agent);

/* Remembers a rule, once; silently full at SUBJECT_PENDING_MAX (the subject is
 * stale anyway, and the event's other rules ran): returns RC_LIMIT. */
int subject_pend(struct subjects *t, struct subject *s,
                 const struct pending_spec *spec) must_use;
void subject_unpend(struct subjects *t, struct subject *s,
                    struct pending_rule *p);

/* The value of FACT_SUBJECT. Relations are stored, other attributes are not. */
void subject_encode(const struct subject *s, struct buf *out);

/* Fills a fresh subject from its fact. `other` finds or makes the subjects at
 * the other end of relations. RC_BROKEN. */
int subject_decode(struct subjects *t, struct subject *s, struct span value,
                   int (*other)(void *ctx, enum edge_kind kind, struct span uri,
                                struct subject **ret),
                   void *ctx) must_use;

#endif
