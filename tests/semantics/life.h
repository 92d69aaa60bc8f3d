// SPDX-License-Identifier: Apache-2.0
/*
 * The two lives of one world: what samples are made of, not for tests.
 *
 *   sample.c          policies and documents, whole worlds, shrinking
 *   sample_live.c     one input, told to the engine and to the reference
 *   sample_compare.c  do both say the same?
 */
#ifndef TESTS_SEMANTICS_LIFE_H
#define TESTS_SEMANTICS_LIFE_H

#include "sidecar/core/engine_internal.h"
#include "tests/lib/memfault.h"
#include "tests/semantics/sample.h"

#define BASE "https://idp.example/scim"
#define DOCS_MAX 256
#define QUESTIONS_MAX 48
#define ROWS_MAX 512
#define START_MS INT64_C(1000000)
#define WALL_MS INT64_C(1800000000000)

struct universe {
    struct arena texts, engine, world;
    struct engine_conf conf;
    struct span all;
    struct {
        const char *text;
        const struct doc *doc;
    } docs[DOCS_MAX];
    unsigned doc_count;
    uint64_t worlds, inputs;
};

struct read_under_way {
    uint64_t id;
    struct span uri;
    unsigned started_n;
    int64_t started_ms;
    struct span if_none_match;
};

struct question {
    uint64_t token;
    struct span uri, tool, run;
    struct ref_answer expected;
    bool used;     /* the reference counts it as use */
    bool answered; /* by the engine */
    bool allow;
    enum reason reason;
    struct span rule;
};

struct life {
    struct universe *u;
    const struct policy *policy, *next;
    bool restarts; /* so rows are kept */
    bool fails;    /* so memory can be out: */
    struct memfault memory;
    bool over; /* the engine went on with less memory: another world */
    struct span rows[ROWS_MAX];
    unsigned row_count;
    int64_t down_ms; /* the wall clock is ahead by this */
    struct engine *e;
    struct ref *ref;
    int64_t now_ms;
    uint64_t random, token, stored, stored_told, logged, logged_told;
    struct read_under_way reads[16];
    unsigned read_count;
    struct question questions[QUESTIONS_MAX];
    unsigned question_count;
    struct lines lines;        /* of the engine, in this input */
    struct lines mine, theirs; /* scratch of a comparison */
    char why[512];             /* they differ: why */
};

/* ---- sample_live.c ---- */

/* Starts the engine: anew, or from the rows that were committed. */
void life_start(struct life *l);
void life_input(struct life *l, const struct input *input);
bool life_reading(const struct life *l, struct span uri);
/* At the moment of the answer, once. */
void life_use(struct life *l, struct question *q, const struct ref_answer *a);
/* Effects of the last step, until store and log have caught up. */
void life_settle(struct life *l);

/* ---- sample_compare.c ---- */

/* Sets `why` where they differ. */
void life_compare(struct life *l, const struct input *input);
void life_show_holds(const struct life *l, struct lines *to);
void life_show_answer(struct lines *to, const struct question *q, bool waits,
                      bool allow, enum reason reason);

#endif
