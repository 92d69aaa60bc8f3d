// SPDX-License-Identifier: Apache-2.0
/*
 * What one durable step leaves behind, as bytes: the journal row body. A row
 * holds the facts that the step changed (the durable state is nothing but
 * facts), the records it wrote for the decision log, and the input itself for
 * history. Applying facts is idempotent, so a commit whose result is unknown
 * does no harm.
 *
 *   u8 version | u32 n facts-bytes | facts | u32 n records-bytes | records |
 *   u32 n input-bytes | input
 *   facts:   (u8 kind | u16 n key | u32 n value or JOURNAL_GONE)*
 *   records: (u32 n | JSON members without the leading `{"v":1,"seq":N,`)*
 *
 * Integers are big-endian.
 */
#ifndef SIDECAR_CORE_JOURNAL_H
#define SIDECAR_CORE_JOURNAL_H

#include "sidecar/base/buf.h"
#include "sidecar/base/fail.h"

#define JOURNAL_VERSION 1
#define JOURNAL_GONE UINT32_MAX
#define JOURNAL_BODY_MAX (1024 * 1024)

/* Kinds are on disk: append only. */
enum fact_kind {
    FACT_META = 1,    /* "boot" -> u64 */
    FACT_SUBJECT = 2, /* base NUL uri -> what is known of it */
    FACT_HOLD = 3,
    FACT_JOB = 4,
    FACT_JTI = 5,        /* 16-byte keyed hash -> payload hash, seq, time */
    FACT_CREDENTIAL = 6, /* sealed */
    FACT_FEED = 7,
    FACT_POLICY = 8,  /* "policy", "config" -> highest signed serial accepted */
    FACT_LIMIT = 9,   /* limit NUL source NUL 8-byte agent hash -> time */
    FACT_AGENDA = 10, /* base NUL uri -> when it was known, used, reviewed */
    FACT_KIND_COUNT
};

/* Appends one fact; value.p NULL means the fact is gone. */
void journal_put_fact(struct buf *facts, enum fact_kind kind, struct span key,
                      struct span value);

/* Assembles a row body. */
void journal_put_body(struct buf *out, struct span facts, struct span records,
                      struct span input);

struct journal_body {
    struct span facts, records, input;
};

/* RC_BROKEN when the bytes are not a body of a version that is known. */
int journal_read_body(struct span body, struct journal_body *ret,
                      struct fail *f) must_use;

struct fact {
    enum fact_kind kind;
    struct span key, value;
    bool gone;
};

/* Its kind and its key as people may read them, cut: "hold BASE /Agents/1
 * suspended stop j2". Plain ASCII, whatever the key is. */
#define FACT_NAME_BYTES 112
void fact_name(const struct fact *f, char ret[FACT_NAME_BYTES]);

/* Takes the next fact off `facts`: 1 when there was one, 0 at the end,
 * RC_BROKEN. */
int journal_next_fact(struct span *facts, struct fact *ret,
                      struct fail *f) must_use;

/* As above for records: `*ret` is the JSON tail of one record. */
int journal_next_record(struct span *records, struct span *ret,
                        struct fail *f) must_use;

/* Up to where the decision log has the journal's records. A batch of lines may
 * have ended within a row, so the last row's records are counted. */
struct journal_logged {
    uint64_t row;     /* the last one of which the log has records; 0: none */
    uint64_t records; /* how many of it */
};

/* A line of the log, in order, with its `input` member (0: has none). */
void journal_logged_note(struct journal_logged *l, uint64_t input);

/* Takes those of row `seq` that the log has off `records`. RC_BROKEN. */
int journal_skip_logged(const struct journal_logged *l, uint64_t seq,
                        struct span *records, struct fail *f) must_use;

#endif
