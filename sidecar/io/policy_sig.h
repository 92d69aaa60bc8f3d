// SPDX-License-Identifier: Apache-2.0
/*
 * The detached signature of a policy or of bailiff.yaml, in a file of its own:
 * a signed note (sidecar/io/note.h) whose text is
 *
 *   bailiff/signature/v1
 *   kind: policy                     or config
 *   sha256: <64 hex digits>          of the file's bytes
 *   serial: 42                       never used twice, always larger
 *   not_after: 2027-02-01T00:00:00.000Z    may be absent
 *
 * These lines, in this order, each once, LF only. One of the pinned keys must
 * have signed. A signature says who made a file and which one is newer; what
 * the file says is checked elsewhere.
 */
#ifndef SIDECAR_IO_POLICY_SIG_H
#define SIDECAR_IO_POLICY_SIG_H

#include "sidecar/core/engine.h"
#include "sidecar/io/note.h"

#define POLICY_SIG_BYTES_MAX NOTE_BYTES_MAX
#define POLICY_KEYS_MAX 16
#define POLICY_SERIAL_MAX ((UINT64_C(1) << 53) - 1) /* a JSON number */

/* The keys that may sign. */
struct policy_keys {
    struct note_public at[POLICY_KEYS_MAX];
    unsigned count;
};

struct policy_sig {
    enum signed_kind kind;
    unsigned char digest[32];
    uint64_t serial;                /* at least 1 */
    int64_t not_after_ms;           /* INT64_MAX: none */
    char signer[NOTE_NAME_MAX + 1]; /* "" until a key has been checked */
};

/* "policy", "config". */
const char *signed_kind_word(enum signed_kind k);
bool signed_kind_from(struct span word, enum signed_kind *ret);

/* 64 lower-case hex digits. */
bool policy_sig_digest(struct span hex, unsigned char ret[32]);

/* Adds the keys of a file, one per line. RC_CONFIG when it has none, something
 * else, too many, or when others may write it. */
int policy_keys_add(struct policy_keys *keys, struct span path,
                    struct fail *f) must_use;

/* Appends the signature file's bytes. */
int policy_sig_put(const struct policy_sig *s, const struct note_key *k,
                   struct buf *out, struct fail *f) must_use;

/* Reads the claims without believing them. RC_SYNTAX. */
int policy_sig_read(struct span note, struct policy_sig *ret,
                    struct fail *f) must_use;

/* Reads the claims and checks that one of the keys has signed them: RC_SYNTAX,
 * RC_UNTRUSTED. */
int policy_sig_open(struct span note, const struct policy_keys *keys,
                    struct policy_sig *ret, struct fail *f) must_use;

/* What the signature has to fit. */
struct policy_sig_want {
    enum signed_kind kind;
    const unsigned char *digest; /* 32 bytes, of what was read */
    struct signed_serial seen;   /* the highest accepted until now */
    int64_t wall_ms;
};

/* RC_UNTRUSTED: another kind or another file. RC_STATE: expired, or a replay:
 * a serial that is not above the one seen. What is exactly the file seen last
 * is in force already: it is accepted even when it has expired since. */
int policy_sig_fits(const struct policy_sig *s, const struct policy_sig_want *w,
                    struct fail *f) must_use;

/* Both, on a file. */
int policy_sig_check(struct span path, const struct policy_keys *keys,
                     const struct policy_sig_want *w, struct policy_sig *ret,
                     struct fail *f) must_use;

#endif
