// SPDX-License-Identifier: Apache-2.0
/*
 * What a compiled filter looks like inside: shared by the parser (filter.c),
 * the evaluator (filter_eval.c), the printer (filter_print.c) and those who
 * explain filters to people (filter_look.c, filter_explain.c, warn*.c).
 *
 * `and` and `or` hold any number of children, so the height of a tree is
 * bounded by FILTER_DEPTH_MAX and not by the number of its terms.
 */
#ifndef POLICY_FILTER_NODE_H
#define POLICY_FILTER_NODE_H

#include "policy/filter.h"

enum filter_kind {
    FILTER_OR,
    FILTER_AND,
    FILTER_NOT,     /* one child */
    FILTER_ELEMENT, /* path [ child ] */
    FILTER_TEST     /* path op value */
};

enum filter_op {
    OP_EQ,
    OP_NE,
    OP_CO,
    OP_SW,
    OP_EW,
    OP_GT,
    OP_GE,
    OP_LT,
    OP_LE,
    OP_PR,
    OP_COUNT
};

/* A JSON literal: NULL, BOOL, INT, REAL or TEXT. */
struct filter_value {
    enum doc_kind kind;
    bool truth;
    int64_t integer;
    double real;      /* of an INT too */
    struct span text; /* escapes decoded */
    bool is_time;     /* the text is a dateTime or a date */
    int64_t time_ms;
};

/* What evaluation looks at always stands close together. */
struct filter {
    enum filter_kind kind;
    enum filter_op op;           /* TEST */
    enum filter_source source;   /* TEST, ELEMENT */
    bool in_element;             /* TEST: path starts at an element */
    bool exact;                  /* TEST: compares with case */
    bool plain;                  /* TEST: eq with one text, no time */
    struct filter *first, *last; /* children */
    struct filter *next;         /* sibling */
    struct filter_value value;   /* TEST */
    struct attr_path path;       /* TEST, ELEMENT */
};

/* "eq". Never NULL. */
const char *filter_op_word(enum filter_op op);

/* What a TEST or an ELEMENT outside of [ ] looks at; `*ret` is NULL when there
 * is no value. False when it is not known. */
bool filter_find(const struct filter *t, const struct filter_env *env,
                 const struct doc **ret);

/* Calls `each` for every node, parents first, also inside [ ]. */
void filter_each(const struct filter *flt,
                 void (*each)(void *ctx, const struct filter *node), void *ctx);

#endif
