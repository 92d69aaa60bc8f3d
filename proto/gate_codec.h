// SPDX-License-Identifier: Apache-2.0
/*
 * Messages of bailiff.v1 (proto/gate.proto, proto/runtime.proto) to the
 * engine's inputs and back. Decoding takes memory from an arena that the
 * caller clears afterwards; the inputs borrow from it. Encoding appends to a
 * buf; a failure latches there and must become a gRPC error, never an empty
 * message.
 */
#ifndef PROTO_GATE_CODEC_H
#define PROTO_GATE_CODEC_H

#include "sidecar/base/buf.h"
#include "sidecar/core/engine.h"

#define GATE_HELLO_CALLS_MAX ENGINE_HELLO_CALLS_MAX

/* How `AgentRef.feed` becomes a base: the shell's table. -1 when the feed is
 * not known; -1 is also "not said" for an empty name. */
struct gate_names {
    int (*base_of_feed)(const void *ctx, struct span feed, bool *ret_bad);
    const void *ctx;
};

/* RC_SYNTAX when the bytes are not such a message, RC_INVALID for a feed that
 * does not exist, RC_NO_MEMORY. */
int gate_decode_check(struct arena *a, const struct gate_names *n,
                      struct span message, struct in_ask *ret) must_use;
int gate_decode_begin(struct arena *a, const struct gate_names *n,
                      struct span message, struct in_ask *ret) must_use;
int gate_decode_renew(struct arena *a, struct span message,
                      struct in_lease *ret) must_use;
int gate_decode_end(struct arena *a, struct span message,
                    struct in_lease *ret) must_use;
int gate_decode_ack(struct arena *a, struct span message,
                    struct in_ack *ret) must_use;
/* The token itself is returned apart: it is sealed before the engine sees it.
 */
int gate_decode_credential(struct arena *a, const struct gate_names *n,
                           struct span message, struct in_credential *ret,
                           struct span *ret_token) must_use;

enum watch_kind { WATCH_HELLO, WATCH_ACK, WATCH_PING };
struct watch_message {
    enum watch_kind kind;
    struct in_hello hello;
    struct in_ack ack;
};
int gate_decode_watch(struct arena *a, const struct gate_names *n,
                      struct span message, struct watch_message *ret) must_use;

void gate_encode_check(const struct out_answer *o, struct buf *out);
void gate_encode_begin(const struct out_answer *o, struct buf *out);
void gate_encode_renew(const struct out *o, struct buf *out);
void gate_encode_end(struct buf *out);
void gate_encode_ack(struct buf *out);
void gate_encode_credential(struct span credential_id, struct buf *out);
void gate_encode_directive(const struct out_directive *o, struct buf *out);
void gate_encode_snapshot_end(uint64_t epoch, uint32_t heartbeat_ms,
                              struct buf *out);
void gate_encode_pong(uint64_t epoch, struct buf *out);

/* Outbound AgentRuntime calls: request from a job, results from the answer.
 * `max` entries of `calls`; *ret_count is how many. */
void runtime_encode_cancel(const struct out_job *o, struct buf *out);
int runtime_decode_cancel(struct arena *a, struct span message,
                          struct in_call_result *calls, unsigned max,
                          unsigned *ret_count) must_use;
void runtime_encode_purge(const struct out_job *o, struct buf *out);
/* *ret_done: nothing failed and every target is among the done ones. */
int runtime_decode_purge(struct arena *a, struct span message,
                         struct names targets, bool *ret_done) must_use;

#endif
