// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "proto/gate_codec.h"
#include "proto/runtime.pb-c.h"

static void *arena_take(void *ctx, size_t n)
{
    struct arena *a = ctx;
    return mem_alloc(&a->mem, n);
}

static void arena_give(void *ctx, void *p)
{
    (void)ctx;
    (void)p;
}

static ProtobufCBinaryData data(struct span s)
{
    return (ProtobufCBinaryData){.len = s.n, .data = (uint8_t *)(uintptr_t)s.p};
}

static void pack(const ProtobufCMessage *m, struct buf *out)
{
    size_t n = protobuf_c_message_get_packed_size(m);
    unsigned char *p = buf_reserve(out, n);
    if (p != NULL)
        out->n += protobuf_c_message_pack(m, p);
}

#define NAMES_MAX 4096

static size_t list(struct names n, ProtobufCBinaryData at[NAMES_MAX])
{
    size_t count = n.count > NAMES_MAX ? NAMES_MAX : n.count;
    for (size_t i = 0; i < count; i++)
        at[i] = data(n.at[i]);
    return count;
}

void runtime_encode_cancel(const struct out_job *o, struct buf *out)
{
    char id[20];
    ProtobufCBinaryData calls[NAMES_MAX];
    Bailiff__V1__CancelToolCallsRequest m =
        BAILIFF__V1__CANCEL_TOOL_CALLS_REQUEST__INIT;
    int n = snprintf(id, sizeof id, "J%016llx", (unsigned long long)o->job_id);
    m.directive_id = data(span_of(id, (size_t)n));
    m.agent_uri = data(o->uri);
    m.n_call_ids = list(o->call_ids, calls);
    m.call_ids = calls;
    m.reason_code = data(span_str(reason_code(REASON_CANCELLED)));
    m.cause_jti = data(o->jti);
    m.epoch = o->epoch;
    pack(&m.base, out);
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
    ProtobufCAllocator alloc = {arena_take, arena_give, a};
    const Bailiff__V1__CancelToolCallsResponse *m =
        bailiff__v1__cancel_tool_calls_response__unpack(&alloc, message.n,
                                                        message.p);
    *ret_count = 0;
    if (m == NULL)
        return RC_SYNTAX;
    for (size_t i = 0; i < m->n_calls && *ret_count < max; i++)
        calls[(*ret_count)++] = (struct in_call_result){
            .call_id =
                span_of(m->calls[i]->call_id.data, m->calls[i]->call_id.len),
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
    m.directive_id = data(span_of(id, (size_t)n));
    m.agent_uri = data(o->uri);
    m.n_targets = list(o->purge, targets);
    m.targets = targets;
    m.reason_code = data(span_str(reason_code(REASON_AGENT_SUSPENDED)));
    m.cause_jti = data(o->jti);
    m.epoch = o->epoch;
    pack(&m.base, out);
}

static bool among(const Bailiff__V1__PurgeResponse *m, struct span target)
{
    for (size_t i = 0; i < m->n_done; i++)
        if (span_eq(span_of(m->done[i].data, m->done[i].len), target))
            return true;
    return false;
}

int runtime_decode_purge(struct arena *a, struct span message,
                         struct names targets, bool *ret_done)
{
    ProtobufCAllocator alloc = {arena_take, arena_give, a};
    const Bailiff__V1__PurgeResponse *m =
        bailiff__v1__purge_response__unpack(&alloc, message.n, message.p);
    if (m == NULL)
        return RC_SYNTAX;
    *ret_done = m->n_failed == 0;
    for (unsigned i = 0; i < targets.count; i++)
        *ret_done = *ret_done && among(m, targets.at[i]);
    return 0;
}
