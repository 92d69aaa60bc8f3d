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

struct engine;
struct subject;

struct history {
    struct mem *mem;
    struct arena arena; /* holds `named` */
    struct mentions named;
    const struct policy *also; /* a candidate, or NULL */
    struct buf text;           /* of this step */
    int64_t told_hour;         /* when `named` was written last */
    bool news;                 /* `named` is not written yet */
};

void history_init(struct history *h, struct mem *m);
void history_fini(struct history *h);

/* A policy became active, or the candidate is another one. */
void history_policy(struct engine *e);
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
