// SPDX-License-Identifier: Apache-2.0
/*
 * The input of a durable step as text, for the journal row's `input`: what
 * `bailiff policy diff` replays. One JSON object a line; docs/history.md is
 * the format. It keeps what the policy names and the ids of relations; no
 * token, no secret, no name of a person. Questions are not here: they wait for
 * no disk, and the decision log has them.
 */
#ifndef SIDECAR_CORE_HISTORY_H
#define SIDECAR_CORE_HISTORY_H

#include "policy/mentions.h"
#include "sidecar/base/buf.h"
#include "sidecar/core/event.h"

#define HISTORY_ENTRY_BYTES_MAX (60 * 1024) /* beyond it is cut to its head */
#define HISTORY_TEXT_BYTES_MAX (256 * 1024) /* of one step */

#define HISTORY_ASKED_BYTES_MAX 4000 /* names with commas: fits a URL */

struct engine;
struct read_state;
struct subject;

struct history {
    struct mem *mem;
    struct arena arena;        /* holds `named` */
    struct mentions named;     /* by the policy, then by the candidate */
    unsigned own_count;        /* of named.resource: the policy's */
    const struct policy *also; /* a candidate, or NULL */
    /* What reads ask for: all that the policy names, then what only the
     * candidate does, as far as there is room. Its texts are the policies'. */
    struct names asked;
    uint64_t asked_stamp; /* since this input */
    int64_t named_ms;     /* `named` is as it is since then, wall */
    struct buf text;      /* of this step */
    int64_t told_hour;    /* when `named` was written last */
    bool news;            /* `named` is not written yet */
};

void history_init(struct history *h, struct mem *m);
void history_fini(struct history *h);

/* A policy became active, or the candidate is another one. */
void history_policy(struct engine *e);
/* Has the read found all that is named? Not when it asked for less, or before
 * the candidate was there. */
bool history_is_whole(const struct engine *e, const struct read_state *read);
void history_start(struct engine *e);
void history_event(struct engine *e, const struct event *ev, bool dirty);
/* A read that is recorded. `result` is "qualified", "not_yet" or "gone";
 * `resource` is what it found, NULL when nothing. */
void history_read(struct engine *e, const struct subject *s, const char *result,
                  const struct doc *resource);
void history_operator(struct engine *e, const char *verb);

/* What the step that ends has to say; empties it. */
struct span history_take(struct history *h);

#endif
