// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "proto/gate_codec.h"
#include "proto/pb.h"
#include "proto/runtime.pb-c.h"

#define NAMES_MAX 4096

static size_t list(struct names n, ProtobufCBinaryData at[NAMES_MAX])
{
    size_t count = n.count > NAMES_MAX ? NAMES_MAX : n.count;
    for (size_t i = 0; i < count; i++)
        at[i] = pb_bytes(n.at[i]);
    return count;
}

void runtime_encode_cancel(const struct out_job *o, struct buf *out)
{
    char id[20];
    ProtobufCBinaryData calls[NAMES_MAX];
    Bailiff__V1__CancelToolCallsRequest m =
        BAILIFF__V1__CANCEL_TOOL_CALLS_REQUEST__INIT;
    int n = snprintf(id, sizeof id, "J%016llx", (unsigned long long)o->job_id);
    m.directive_id = pb_bytes(span_of(id, (size_t)n));
    m.agent_uri = pb_bytes(o->uri);
    m.n_call_ids = list(o->call_ids, calls);
    m.call_ids = calls;
    m.reason_code = pb_bytes(span_str(reason_code(REASON_CANCELLED)));
    m.cause_jti = pb_bytes(o->jti);
    m.epoch = o->epoch;
    pb_pack(&m.base, out);
}

/* Only what the runtime says is over counts; "not found" there means that
 * nothing of this id runs in it. */
static enum call_outcome outcome_of(Bailiff__V1__CancelledCall__State s)
{
    if (s == BAILIFF__V1__CANCELLED_CALL__STATE__STATE_CANCELLED)
        return CALL_CANCELLED;
    if (s == BAILIFF__V1__CANCELLED_CALL__STATE__STATE_ENDED ||
        s == BAILIFF__V1__CANCELLED_CALL__STATE__STATE_NOT_FOUND)
        return CALL_OK;
    return CALL_UNKNOWN;
}

int runtime_decode_cancel(struct arena *a, struct span message,
                          struct in_call_result *calls, unsigned max,
                          unsigned *ret_count)
{
    ProtobufCAllocator alloc = pb_allocator(a);
    const Bailiff__V1__CancelToolCallsResponse *m =
        bailiff__v1__cancel_tool_calls_response__unpack(&alloc, message.n,
                                                        message.p);
    *ret_count = 0;
    if (m == NULL)
        return RC_SYNTAX;
    for (size_t i = 0; i < m->n_calls && *ret_count < max; i++)
        calls[(*ret_count)++] = (struct in_call_result){
            .call_id = pb_span(m->calls[i]->call_id),
            .outcome = outcome_of(m->calls[i]->state),
        };
    return 0;
}

void runtime_encode_purge(const struct out_job *o, struct buf *out)
{
    char id[20];
    ProtobufCBinaryData targets[NAMES_MAX];
    Bailiff__V1__PurgeRequest m = BAILIFF__V1__PURGE_REQUEST__INIT;
    int n = snprintf(id, sizeof id, "J%016llx", (unsigned long long)o->job_id);
    m.directive_id = pb_bytes(span_of(id, (size_t)n));
    m.agent_uri = pb_bytes(o->uri);
    m.n_targets = list(o->purge, targets);
    m.targets = targets;
    m.reason_code = pb_bytes(span_str(reason_code(REASON_AGENT_SUSPENDED)));
    m.cause_jti = pb_bytes(o->jti);
    m.epoch = o->epoch;
    pb_pack(&m.base, out);
}

static bool among(const Bailiff__V1__PurgeResponse *m, struct span target)
{
    for (size_t i = 0; i < m->n_done; i++)
        if (span_eq(pb_span(m->done[i]), target))
            return true;
    return false;
}

int runtime_decode_purge(struct arena *a, struct span message,
                         struct names targets, bool *ret_done)
{
    ProtobufCAllocator alloc = pb_allocator(a);
    const Bailiff__V1__PurgeResponse *m =
        bailiff__v1__purge_response__unpack(&alloc, message.n, message.p);
    if (m == NULL)
        return RC_SYNTAX;
    *ret_done = m->n_failed == 0;
    for (unsigned i = 0; i < targets.count; i++)
        *ret_done = *ret_done && among(m, targets.at[i]);
    return 0;
}
