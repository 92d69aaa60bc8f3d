// SPDX-License-Identifier: Apache-2.0
/*
 * What the decision log adds to the history: the questions and their answers,
 * reads that found nothing to keep, feeds that fell silent, and what the
 * policy did. A record becomes one line in the form of sidecar/core/history.h.
 */
#ifndef SIDECAR_HISTORY_RECORD_H
#define SIDECAR_HISTORY_RECORD_H

#include "sidecar/base/buf.h"
#include "sidecar/base/doc.h"
#include "sidecar/base/fail.h"

#define EFFECT_WORDS_MAX 128

/* What a policy did to an agent, read off a record. */
struct effect {
    struct span uri, rule, jti;   /* of the record's tree */
    char words[EFFECT_WORDS_MAX]; /* "hold suspended", "cancel", ... */
};

/* False when the record tells of no effect, or of one that was not carried
 * out. */
bool effect_of_record(const struct doc *record, struct effect *ret);

/* Appends the entry that `record` (a line of the log) gives, with its line
 * feed; nothing when it gives none. `events`: the journal, which knows more of
 * them, is not at hand. */
void history_put_record(const struct doc *record, bool events, struct buf *out);

/* The record's `decision_id`, or 0. */
uint64_t record_decision(const struct doc *record);

#endif
