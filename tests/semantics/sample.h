// SPDX-License-Identifier: Apache-2.0
/*
 * One world of a small universe, lived twice: by the engine and by the
 * reference evaluator. After each input both say what followed, which holds
 * there are and what the gate answers; a difference is shrunk to as few inputs
 * as show it and printed with the policy.
 */
#ifndef TESTS_SEMANTICS_SAMPLE_H
#define TESTS_SEMANTICS_SAMPLE_H

#include "tests/lib/check.h"
#include "tests/semantics/reference.h"

#define INPUTS_MAX 16
#define A1 "/Agents/1"
#define A2 "/Agents/2"
#define U1 "/Users/u"
#define U2 "/Users/v"
#define G1 "/Groups/g"

enum what {
    SAY,  /* a statement of a feed */
    READ, /* the read under way comes back, if there is one */
    ASK,  /* a question */
    PASS, /* time */
    HOLD, /* a person holds, lifts all, approves, denies */
    LIFT,
    APPROVE,
    DENY,
    RELOAD,  /* the second policy of the world takes over */
    RESTART, /* kill -9 and a start, `ms` later by the wall clock; a statement
                about `uri` was not stored yet */
    ALIVE,   /* a feed shows that it lives */
    TOKEN    /* a token of the agent, named `jti`, is registered */
};

/* NULL and 0 where nothing is said. */
struct input {
    enum what what;
    const char *uri;
    enum event_type type;
    const char *feed;    /* "it", which may everything */
    const char *jti;     /* the type's name */
    const char *changed; /* one attribute, else anything */
    const char *data;    /* JSON: of a full form */
    const char *reason;  /* event.reason */
    const char *version, *member;
    unsigned payload;
    /* SAY: memory is out at this allocation of the step, which is refused;
     * then the transmitter says it again. */
    unsigned fails;
    /* The same where a table of the engine is full: it has room for so many
     * more, minus one. */
    unsigned holds_fit, jobs_fit, subjects_fit;
    enum read_result result;
    const char *etag, *json;
    const char *tool, *run;
    int64_t ms; /* PASS: 0 is PASS_MS; with `json` reads come back meanwhile */
};
#define PASS_MS 6000 /* more than `settle` */

struct universe; /* policies and documents, compiled once */
struct universe *universe_open(void);
void universe_close(struct universe *u);

/* Compiles the body of a policy; NULL when it is refused. */
struct sampled {
    char text[2048];
    const struct policy *policy;
};
const struct sampled *universe_policy(struct universe *u, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
const struct doc *universe_json(struct universe *u, const char *text);

/* How a world ended: its holds, and what the gate says of two tools for two
 * agents. */
struct ending {
    struct lines holds, says;
};

/* Lives the world; fails the test when the two differ. `ret` may be NULL. */
void sample(struct universe *u, const struct sampled *p, const struct input *in,
            unsigned count, struct ending *ret);
/* The same with a policy that a RELOAD brings. */
void sample_reload(struct universe *u, const struct sampled *p,
                   const struct sampled *next, const struct input *in,
                   unsigned count, struct ending *ret);
/* Prints the world and fails; for what a test itself finds wrong. */
void sample_fail(const struct sampled *p, const struct input *in,
                 unsigned count, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* "NOTE name: 123456 worlds", which the suite shows. */
void universe_report(struct universe *u, const char *name);

#define READS(json_, etag_)                                                    \
    {                                                                          \
        .what = READ, .uri = A1, .result = READ_OK, .etag = (etag_),           \
        .json = (json_)                                                        \
    }
#define ASKS(tool_)                                                            \
    {                                                                          \
        .what = ASK, .uri = A1, .tool = (tool_)                                \
    }

#endif
