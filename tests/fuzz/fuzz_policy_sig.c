// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/policy_sig.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* A signature file from anywhere: refused, or claims within their bounds that
 * are written again as they were read. */
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static const unsigned char seed[32] = {1};
    const struct span note = span_of(p, n);
    struct policy_keys keys = {.count = 1};
    struct policy_sig s, again;
    struct note_key *key = NULL;
    struct fail f;
    struct buf out;
    must(note_key_new(seed, SPAN("team"), &key, &f) == 0);
    note_key_public(key, &keys.at[0]);
    const int read = policy_sig_read(note, &s, &f);
    const int opened = policy_sig_open(note, &keys, &again, &f);
    must(opened != 0 || read == 0);
    if (read == 0) {
        must(s.serial >= 1 && s.serial <= POLICY_SERIAL_MAX);
        buf_init(&out, mem_system(), POLICY_SIG_BYTES_MAX);
        must(policy_sig_put(&s, key, &out, &f) == 0);
        must(policy_sig_open(buf_span(&out), &keys, &again, &f) == 0);
        must(again.kind == s.kind && again.serial == s.serial &&
             again.not_after_ms == s.not_after_ms &&
             memcmp(again.digest, s.digest, sizeof s.digest) == 0);
        buf_fini(&out);
    }
    note_key_free(key);
    return 0;
}
