// SPDX-License-Identifier: Apache-2.0
/* Messages of callers and runtimes: every decoder, on the same bytes. */
#include "proto/gate_codec.h"

static int base_of(const void *ctx, struct span feed, bool *ret_bad)
{
    (void)ctx;
    *ret_bad = feed.n > 2;
    return -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    const struct gate_names names = {base_of, NULL};
    const struct span m = span_of(p, n);
    struct arena a;
    struct in_ask ask;
    struct in_lease lease;
    struct in_ack ack;
    struct in_credential cred;
    struct watch_message watch;
    struct in_call_result calls[16];
    struct span token;
    unsigned count;
    bool done;
    arena_init(&a, mem_system(), 1024 * 1024);
    ignore_rc(gate_decode_check(&a, &names, m, &ask));
    ignore_rc(gate_decode_begin(&a, &names, m, &ask));
    ignore_rc(gate_decode_renew(&a, m, &lease));
    ignore_rc(gate_decode_end(&a, m, &lease));
    ignore_rc(gate_decode_ack(&a, m, &ack));
    ignore_rc(gate_decode_credential(&a, &names, m, &cred, &token));
    ignore_rc(gate_decode_watch(&a, &names, m, &watch));
    ignore_rc(runtime_decode_cancel(&a, m, calls, 16, &count));
    ignore_rc(runtime_decode_purge(&a, m, (struct names){0}, &done));
    arena_fini(&a);
    return 0;
}
