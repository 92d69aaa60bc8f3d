// SPDX-License-Identifier: Apache-2.0
/*
 * The attributes of agents that the policy names, packed and immutable. Agents
 * look alike: equal attributes are kept once, with a count of who has them.
 * Every set has a number that is never given out again, so that an answer
 * about it can be kept (gate_cache.h) and cannot be mistaken for one about
 * another set.
 */
#ifndef SIDECAR_CORE_ATTRS_H
#define SIDECAR_CORE_ATTRS_H

#include "policy/policy.h"
#include "sidecar/base/map.h"

#define ATTRS_BYTES_MAX (64 * 1024)      /* of one set, packed */
#define ATTRS_VIEW_MAX (4 * 1024 * 1024) /* trees that are open at once */

struct attrs {
    struct map_link link; /* key: the packed tree, in this allocation */
    uint64_t id;          /* not 0 */
    size_t refs;
};

/* A tree of the set that was looked at last, and what else is still open. */
struct attrs_view {
    struct arena arena;
    uint64_t id; /* 0: none */
    const struct doc *doc;
    bool lost; /* one could not be shown since attrs_clear */
};

struct attrs_table {
    struct mem *mem;
    struct map by_bytes;
    uint64_t last_id;
    struct attrs_view *view; /* apart: looking changes nothing else */
};

/* RC_NO_MEMORY. `max` bounds the number of sets. */
int attrs_init(struct attrs_table *t, struct mem *m, struct hash_key seed,
               size_t max) must_use;
/* No set may be in use any more. */
void attrs_fini(struct attrs_table *t);

/* The members of a resource that are among `names`: of an extension schema the
 * whole when something inside is. *ret has one more user. RC_LIMIT beyond
 * ATTRS_BYTES_MAX, RC_NO_MEMORY. */
int attrs_keep(struct attrs_table *t, const struct doc *resource,
               struct names names, struct attrs **ret) must_use;
/* Is there something in the set, of those names, that the resource does not
 * have? Empty counts as absent (RFC 7643 2.5). True without memory. */
bool attrs_lacks(const struct attrs_table *t, const struct attrs *a,
                 const struct doc *resource, struct names names);
/* One user less; NULL is legal. */
void attrs_drop(struct attrs_table *t, struct attrs *a);

/* As a tree; NULL without memory: nothing is known then. Lives until the view
 * goes back behind this or is cleared. */
const struct doc *attrs_show(const struct attrs_table *t,
                             const struct attrs *a);

/* A place of the view to go back to, for who looks at many. */
struct attrs_place {
    struct arena_mark mark;
    uint64_t id;
    const struct doc *doc;
};
struct attrs_place attrs_open(const struct attrs_table *t);
void attrs_close(const struct attrs_table *t, struct attrs_place place);
/* Had something no memory to be looked at? Then what was decided since
 * attrs_clear was decided without it. */
static inline bool attrs_lost(const struct attrs_table *t)
{
    return t->view->lost;
}
/* At the start of a step: all of it. */
void attrs_clear(const struct attrs_table *t);

#endif
