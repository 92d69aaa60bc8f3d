// SPDX-License-Identifier: Apache-2.0
/*
 * The steps of one SET's claims checks: set.c (envelope), set_subject.c
 * (sub_id), set_parts.c (events). Nothing outside includes this.
 */
#ifndef ADAPTERS_SOURCES_SET_INTERNAL_H
#define ADAPTERS_SOURCES_SET_INTERNAL_H

#include "adapters/sources/set.h"

/* One SET on its way through the checks. */
struct set_work {
    struct mem *m;
    const struct set_rules *rules;
    int64_t now_ms;
    const struct doc *claims;
    const struct doc *sub_id;
    bool collection; /* sub_id names a collection: only for asyncresp */
    struct event *event;
    enum set_err err;
    struct fail *f;
};

/* Records the code and the text (which carries no bytes of the token);
 * returns RC_PROTOCOL. */
int set_refuse(struct set_work *w, enum set_err err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), cold));

/* RC_NO_MEMORY; says nothing about the SET. */
int set_no_memory(struct set_work *w) __attribute__((cold));

/* A NumericDate, fractions included (8417-R17), as milliseconds; false when
 * it is no number of a year up to 9999. */
bool set_time(const struct doc *d, int64_t *ret_ms);

/* Fills the subject of w->event from sub_id. */
int set_read_subject(struct set_work *w) must_use;

/* The `id` of sub_id format opaque, or empty. */
struct span set_opaque_id(const struct set_work *w);

/* Fills the parts of w->event from `events`. */
int set_read_parts(struct set_work *w) must_use;

#endif
