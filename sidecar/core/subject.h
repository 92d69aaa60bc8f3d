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
#include "sidecar/base/heap.h"
#include "sidecar/base/list.h"
#include "sidecar/base/map.h"
#include "sidecar/core/attrs.h"
#include "sidecar/core/codec.h"

#define SUBJECT_EDGES_MAX 256 /* groups + owners + parent of one agent */
#define SUBJECT_BASES_MAX 32
#define SUBJECT_ETAG_MAX 256
#define SUBJECT_PENDING_MAX 64 /* rules that wait for a read */

enum edge_kind { EDGE_GROUP, EDGE_OWNER, EDGE_PARENT };

/* agent -> related; in the agent's `out` and the other's `in` list. */
struct edge {
    struct list_link in_link;
    struct subject *agent, *other;
    enum edge_kind kind;
};
struct relation {
    enum edge_kind kind;
    struct subject *other;
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
    bool decided; /* in this step: gone with its row, not counted any more */
};
struct pending_spec {
    enum pending_about about;
    enum event_type type;
    struct span rule, jti, feed;
};

/* Who is read first. */
enum read_class {
    READ_ASKED,   /* a question waits */
    READ_RUNNING, /* tool calls are running */
    READ_OTHER,
    READ_CLASS_COUNT
};

struct read_state {
    struct list_link link;  /* in engine->reading, or queued for its base */
    struct heap_link later; /* in engine->resting, until not_before_ms */
    uint64_t id;            /* 0: none in flight */
    uint64_t list;          /* the list it is read in; 0: alone */
    uint64_t start_input;
    uint64_t start_row; /* the first row that came after it */
    int64_t start_ms;
    int64_t not_before_ms; /* backoff after a failure or a read that does not
                              qualify yet */
    unsigned failures;
    enum read_class class; /* while queued */
    bool queued;           /* waits for the budget */
    bool conditional;      /* sent with If-None-Match */
    bool wanted;           /* somebody needs a read when it may start */
    bool unlisted;         /* a list has said nothing of it: alone, then */
    bool last_failed;
    bool wide; /* asked for the candidate's attributes too */
};

/* What most subjects have nothing of most of the time. */
struct subject_rare {
    struct subject *subject;
    struct read_state read;
    struct list jobs; /* struct job, open ones */
    struct list credentials;
    struct list parked;  /* struct parked */
    struct list pending; /* struct pending_rule */
    unsigned parked_count, pending_count;
    unsigned ended_jobs; /* kept for views: they name this subject */
};
/* There are very many of these: what is rare is apart. */
struct subject {
    struct map_link link;    /* key: one byte for the base, then uri */
    struct span uri;         /* inside the key */
    const struct span *home; /* the base's URL */

    unsigned base : 8;
    enum subject_kind kind : 8;
    enum found found : 8;
    bool known : 1;          /* a read has succeeded once */
    bool deleted : 1;        /* a delete event came */
    bool left : 1;           /* people: deactivated, deleted or found so */
    bool feed_removed : 1;   /* feed.remove came later than feed.add */
    bool active : 1;         /* the last read said true */
    bool etag_qualified : 1; /* etag comes from a read that qualified */
    bool event_open : 1;     /* an event that no qualifying read has covered */
    bool partial : 1;        /* has relations beyond SUBJECT_EDGES_MAX */
    bool attrs_wide : 1; /* attrs: from a read that asked for the candidate's */
    uint16_t out_count;
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
    uint64_t read_input; /* start of the last qualifying read; 0: none */
    int64_t read_ms;     /* its start */
    int64_t read_wall_ms;

    struct agenda *agenda; /* NULL without schedules */

    struct attrs *attrs; /* policy-named attributes of the last read; NULL */
    struct edge *out;    /* out_count of them */
    struct list in;      /* edges */
    struct list holds;   /* struct hold */
    struct list calls;   /* struct call */
    struct subject_rare *rare; /* NULL: nothing; see subject_rare() */
};
_Static_assert(sizeof(struct subject) <= 240,
               "a hundred thousand of them fit in memory");

struct subjects {
    struct mem *mem;
    struct map by_key;
    struct attrs_table attrs;
    struct span homes[SUBJECT_BASES_MAX]; /* copies of the bases' URLs */
    unsigned home_count;
    size_t partial_count; /* subjects with `partial` */
};

/* RC_NO_MEMORY. */
int subjects_init(struct subjects *t, struct mem *m, struct hash_key seed,
                  size_t max_count) must_use;
/* Frees all subjects; their lists must be empty of foreign objects. */
void subjects_fini(struct subjects *t);

/* NULL when there is none. */
struct subject *subject_find(const struct subjects *t, struct span base_url,
                             struct span uri);

/* Finds or makes. RC_LIMIT (also of bases), RC_NO_MEMORY, RC_INVALID (uri too
 * long). */
int subject_get(struct subjects *t, unsigned base, struct span base_url,
                struct span uri, enum subject_kind kind,
                struct subject **ret) must_use;

/* Drops a subject that nothing refers to (a lookup that found nobody). */
void subject_drop(struct subjects *t, struct subject *s);
bool subject_is_bare(const struct subject *s);

/* Its rare parts to look at: empty ones when there are none. */
const struct subject_rare *subject_rare(const struct subject *s);
/* The same to change; NULL without memory. */
struct subject_rare *subject_rare_get(struct mem *m,
                                      struct subject *s) must_use;
/* Is it queued for a read, does it rest before one, or is one in flight? */
bool subject_awaits_read(const struct subject *s);
/* Gives them back when there is nothing in them. */
void subject_tidy(struct mem *m, struct subject *s);

/* "base NUL uri": the key of its facts. */
void subject_put_key(const struct subject *s, struct buf *out);

/* Replaces the string behind *at by a copy of `s` (NULL when s is empty, or
 * with RC_NO_MEMORY). */
int subject_set_text(struct subjects *t, unsigned char **at,
                     struct span s) must_use;

/* Replaces all edges by these, each once. At most SUBJECT_EDGES_MAX.
 * RC_NO_MEMORY: the edges are as before. */
int subject_relate(struct subjects *t, struct subject *agent,
                   const struct relation *to, size_t count) must_use;
/* Adds an edge unless it is there. RC_LIMIT: now `partial`. */
int subject_link(struct subjects *t, struct subject *agent, enum edge_kind kind,
                 struct subject *other) must_use;
/* Are there relations that no edge is for? */
void subject_set_partial(struct subjects *t, struct subject *agent, bool is);

/* Remembers a rule, once; silently full at SUBJECT_PENDING_MAX (the subject is
 * stale anyway, and the event's other rules ran): returns RC_LIMIT. */
int subject_pend(struct subjects *t, struct subject *s,
                 const struct pending_spec *spec) must_use;
void subject_unpend(struct subjects *t, struct subject *s,
                    struct pending_rule *p);
/* In two steps, for a row that may fail: it does not count any more; then it
 * has gone, or (`kept`) is pending again. */
void subject_decide(struct subject *s, struct pending_rule *p);
void subject_settle(struct subjects *t, struct subject *s, bool kept);

/* The value of FACT_SUBJECT. Relations are stored, other attributes are not. */
void subject_encode(const struct subject *s, struct buf *out);

/* Fills a fresh subject from its fact. `other` finds or makes the subjects at
 * the other end of relations. RC_BROKEN. */
int subject_decode(struct subjects *t, struct subject *s, struct span value,
                   int (*other)(void *ctx, enum edge_kind kind, struct span uri,
                                struct subject **ret),
                   void *ctx) must_use;

#endif
