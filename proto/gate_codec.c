// SPDX-License-Identifier: Apache-2.0
#include "proto/gate_codec.h"

#include <string.h>

#include "proto/gate.pb-c.h"
#include "proto/pb.h"

static int base_of(const struct gate_names *n, const Bailiff__V1__AgentRef *ref,
                   int *ret)
{
    bool bad = false;
    *ret = n->base_of_feed(n->ctx, pb_span(ref->feed), &bad);
    return bad ? RC_INVALID : 0;
}

/* ------------------------------------------------------------- decoding */

int gate_decode_check(struct arena *a, const struct gate_names *n,
                      struct span message, struct in_ask *ret)
{
    ProtobufCAllocator alloc = pb_allocator(a);
    const Bailiff__V1__CheckRequest *m =
        bailiff__v1__check_request__unpack(&alloc, message.n, message.p);
    *ret = (struct in_ask){.base = -1, .deadline_ms = INT64_MAX};
    if (m == NULL)
        return RC_SYNTAX;
    ret->tool = pb_span(m->tool);
    ret->run_id = pb_span(m->run_id);
    ret->trace_id = pb_span(m->trace_id);
    if (m->agent == NULL)
        return 0; /* an empty uri: the engine refuses it */
    ret->uri = pb_span(m->agent->uri);
    return base_of(n, m->agent, &ret->base);
}

int gate_decode_begin(struct arena *a, const struct gate_names *n,
                      struct span message, struct in_ask *ret)
{
    ProtobufCAllocator alloc = pb_allocator(a);
    const Bailiff__V1__BeginToolCallRequest *m =
        bailiff__v1__begin_tool_call_request__unpack(&alloc, message.n,
                                                     message.p);
    *ret = (struct in_ask){.base = -1, .deadline_ms = INT64_MAX};
    if (m == NULL)
        return RC_SYNTAX;
    ret->tool = pb_span(m->tool);
    ret->call_id = pb_span(m->call_id);
    ret->run_id = pb_span(m->run_id);
    ret->trace_id = pb_span(m->trace_id);
    ret->runtime = pb_span(m->runtime);
    if (m->agent == NULL)
        return 0;
    ret->uri = pb_span(m->agent->uri);
    return base_of(n, m->agent, &ret->base);
}

int gate_decode_renew(struct arena *a, struct span message,
                      struct in_lease *ret)
{
    ProtobufCAllocator alloc = pb_allocator(a);
    const Bailiff__V1__RenewToolCallRequest *m =
        bailiff__v1__renew_tool_call_request__unpack(&alloc, message.n,
                                                     message.p);
    *ret = (struct in_lease){.token = 0};
    if (m == NULL)
        return RC_SYNTAX;
    ret->lease_id = pb_span(m->lease_id);
    return 0;
}

static enum call_outcome outcome_of(Bailiff__V1__Outcome o)
{
    if (o == BAILIFF__V1__OUTCOME__OUTCOME_OK)
        return CALL_OK;
    if (o == BAILIFF__V1__OUTCOME__OUTCOME_ERROR)
        return CALL_ERROR;
    if (o == BAILIFF__V1__OUTCOME__OUTCOME_CANCELLED)
        return CALL_CANCELLED;
    return CALL_UNKNOWN;
}

int gate_decode_end(struct arena *a, struct span message, struct in_lease *ret)
{
    ProtobufCAllocator alloc = pb_allocator(a);
    const Bailiff__V1__EndToolCallRequest *m =
        bailiff__v1__end_tool_call_request__unpack(&alloc, message.n,
                                                   message.p);
    *ret = (struct in_lease){.token = 0};
    if (m == NULL)
        return RC_SYNTAX;
    ret->lease_id = pb_span(m->lease_id);
    ret->outcome = outcome_of(m->outcome);
    return 0;
}

static int fill_ack(struct arena *a, const Bailiff__V1__DirectiveAck *m,
                    struct in_ack *ret)
{
    if (m == NULL)
        return RC_SYNTAX;
    struct in_call_result *calls =
        mem_array(&a->mem, m->n_calls, sizeof *calls);
    if (calls == NULL)
        return RC_NO_MEMORY;
    for (size_t i = 0; i < m->n_calls; i++) {
        calls[i].call_id = pb_span(m->calls[i]->call_id);
        calls[i].outcome = outcome_of(m->calls[i]->outcome);
    }
    ret->directive_id = pb_span(m->directive_id);
    ret->calls = calls;
    ret->call_count = (unsigned)m->n_calls;
    ret->done = m->done;
    return 0;
}

int gate_decode_ack(struct arena *a, struct span message, struct in_ack *ret)
{
    ProtobufCAllocator alloc = pb_allocator(a);
    const Bailiff__V1__AckRequest *m =
        bailiff__v1__ack_request__unpack(&alloc, message.n, message.p);
    *ret = (struct in_ack){.token = 0};
    if (m == NULL)
        return RC_SYNTAX;
    ret->runtime = pb_span(m->runtime);
    return fill_ack(a, m->ack, ret);
}

int gate_decode_credential(struct arena *a, const struct gate_names *n,
                           struct span message, struct in_credential *ret,
                           struct span *ret_token)
{
    ProtobufCAllocator alloc = pb_allocator(a);
    const Bailiff__V1__RegisterCredentialRequest *m =
        bailiff__v1__register_credential_request__unpack(&alloc, message.n,
                                                         message.p);
    *ret = (struct in_credential){.base = -1};
    if (m == NULL || m->agent == NULL)
        return RC_SYNTAX;
    ret->uri = pb_span(m->agent->uri);
    ret->credential_id = pb_span(m->credential_id);
    ret->issuer = pb_span(m->issuer);
    ret->runtime = pb_span(m->runtime);
    ret->refresh =
        m->kind ==
        BAILIFF__V1__REGISTER_CREDENTIAL_REQUEST__KIND__KIND_REFRESH_TOKEN;
    if (m->expires_at > 0 &&
        __builtin_mul_overflow(m->expires_at, (int64_t)1000,
                               &ret->expires_wall_ms))
        return RC_SYNTAX;
    *ret_token = pb_span(m->token);
    return base_of(n, m->agent, &ret->base);
}

static int fill_hello(struct arena *a, const struct gate_names *n,
                      const Bailiff__V1__Hello *m, struct in_hello *ret)
{
    if (m->n_calls > GATE_HELLO_CALLS_MAX)
        return RC_LIMIT;
    struct in_live_call *calls = mem_array(&a->mem, m->n_calls, sizeof *calls);
    if (calls == NULL)
        return RC_NO_MEMORY;
    for (size_t i = 0; i < m->n_calls; i++) {
        const Bailiff__V1__LiveCall *c = m->calls[i];
        if (c->agent == NULL)
            return RC_SYNTAX;
        TRY(base_of(n, c->agent, &calls[i].base));
        calls[i].uri = pb_span(c->agent->uri);
        calls[i].tool = pb_span(c->tool);
        calls[i].call_id = pb_span(c->call_id);
        calls[i].run_id = pb_span(c->run_id);
    }
    ret->runtime = pb_span(m->runtime);
    ret->calls = calls;
    ret->call_count = (unsigned)m->n_calls;
    for (size_t i = 0; i < m->n_labels && i < ENGINE_LABELS_MAX; i++) {
        ret->labels[i].name = pb_span(m->labels[i]->name);
        ret->labels[i].value = pb_span(m->labels[i]->value);
        ret->label_count++;
    }
    return 0;
}

int gate_decode_watch(struct arena *a, const struct gate_names *n,
                      struct span message, struct watch_message *ret)
{
    ProtobufCAllocator alloc = pb_allocator(a);
    const Bailiff__V1__WatchRequest *m =
        bailiff__v1__watch_request__unpack(&alloc, message.n, message.p);
    *ret = (struct watch_message){.kind = WATCH_PING};
    if (m == NULL)
        return RC_SYNTAX;
    if (m->kind_case == BAILIFF__V1__WATCH_REQUEST__KIND_HELLO) {
        ret->kind = WATCH_HELLO;
        return fill_hello(a, n, m->hello, &ret->hello);
    }
    if (m->kind_case == BAILIFF__V1__WATCH_REQUEST__KIND_ACK) {
        ret->kind = WATCH_ACK;
        return fill_ack(a, m->ack, &ret->ack);
    }
    return m->kind_case == BAILIFF__V1__WATCH_REQUEST__KIND_PING ? 0
                                                                 : RC_SYNTAX;
}

/* ------------------------------------------------------------- encoding */

static Bailiff__V1__Reason reason_message(enum reason why, struct span rule)
{
    Bailiff__V1__Reason r = BAILIFF__V1__REASON__INIT;
    r.code = pb_bytes(span_str(reason_code(why)));
    r.text = pb_bytes(span_str(reason_text(why)));
    r.rule = pb_bytes(rule);
    return r;
}

#define ID_BYTES 20

static struct span id_text(char letter, uint64_t id, char out[ID_BYTES])
{
    static const char hex[] = "0123456789abcdef";
    out[0] = letter;
    for (unsigned i = 0; i < 16; i++)
        out[1 + i] = hex[id >> (60 - 4 * i) & 15];
    return span_of(out, 17);
}

static Bailiff__V1__Decision decision_of(const struct out_answer *o)
{
    return o->allow ? BAILIFF__V1__DECISION__DECISION_ALLOW
                    : BAILIFF__V1__DECISION__DECISION_DENY;
}

void gate_encode_check(const struct out_answer *o, struct buf *out)
{
    char id[ID_BYTES];
    Bailiff__V1__Reason reason = reason_message(o->reason, o->rule);
    Bailiff__V1__CheckResponse m = BAILIFF__V1__CHECK_RESPONSE__INIT;
    m.decision = decision_of(o);
    m.reason = &reason;
    m.decision_id =
        pb_bytes(span_sub(id_text('G', o->decision, id), 1, ID_BYTES));
    m.epoch = o->epoch;
    m.valid_for_ms = o->allow ? o->valid_for_ms : 0;
    pb_pack(&m.base, out);
}

void gate_encode_begin(const struct out_answer *o, struct buf *out)
{
    char id[ID_BYTES], lease[ID_BYTES];
    Bailiff__V1__Reason reason = reason_message(o->reason, o->rule);
    Bailiff__V1__BeginToolCallResponse m =
        BAILIFF__V1__BEGIN_TOOL_CALL_RESPONSE__INIT;
    m.decision = decision_of(o);
    m.reason = &reason;
    m.decision_id =
        pb_bytes(span_sub(id_text('G', o->decision, id), 1, ID_BYTES));
    m.epoch = o->epoch;
    if (o->allow) {
        m.lease_id = pb_bytes(id_text('L', o->lease, lease));
        m.lease_ttl_ms = o->lease_ttl_ms;
    }
    pb_pack(&m.base, out);
}

void gate_encode_renew(const struct out *o, struct buf *out)
{
    Bailiff__V1__Reason reason = reason_message(o->lease.reason, SPAN(""));
    Bailiff__V1__RenewToolCallResponse m =
        BAILIFF__V1__RENEW_TOOL_CALL_RESPONSE__INIT;
    m.lease_ttl_ms = o->lease.ttl_ms;
    m.stop = o->lease.stop;
    m.reason = &reason;
    m.epoch = o->lease.epoch;
    pb_pack(&m.base, out);
}

void gate_encode_end(struct buf *out)
{
    Bailiff__V1__EndToolCallResponse m =
        BAILIFF__V1__END_TOOL_CALL_RESPONSE__INIT;
    pb_pack(&m.base, out);
}

void gate_encode_ack(struct buf *out)
{
    Bailiff__V1__AckResponse m = BAILIFF__V1__ACK_RESPONSE__INIT;
    pb_pack(&m.base, out);
}

void gate_encode_credential(struct span credential_id, struct buf *out)
{
    Bailiff__V1__RegisterCredentialResponse m =
        BAILIFF__V1__REGISTER_CREDENTIAL_RESPONSE__INIT;
    m.credential_id = pb_bytes(credential_id);
    pb_pack(&m.base, out);
}

#define NAMES_MAX 4096

/* Packs with the names' spans as protobuf-c sees bytes. */
static ProtobufCBinaryData *name_list(struct names n, ProtobufCBinaryData *at,
                                      size_t *ret)
{
    size_t count = n.count > NAMES_MAX ? NAMES_MAX : n.count;
    for (size_t i = 0; i < count; i++)
        at[i] = pb_bytes(n.at[i]);
    *ret = count;
    return at;
}

void gate_encode_directive(const struct out_directive *o, struct buf *out)
{
    static const Bailiff__V1__Directive__Type types[] = {
        [DIRECTIVE_CANCEL] = BAILIFF__V1__DIRECTIVE__TYPE__TYPE_CANCEL,
        [DIRECTIVE_BLOCK] = BAILIFF__V1__DIRECTIVE__TYPE__TYPE_BLOCK,
        [DIRECTIVE_PURGE] = BAILIFF__V1__DIRECTIVE__TYPE__TYPE_PURGE,
        [DIRECTIVE_REFRESH] = BAILIFF__V1__DIRECTIVE__TYPE__TYPE_REFRESH,
        [DIRECTIVE_RESUME] = BAILIFF__V1__DIRECTIVE__TYPE__TYPE_RESUME,
    };
    char id[ID_BYTES];
    ProtobufCBinaryData calls[NAMES_MAX], purge[NAMES_MAX / 64];
    Bailiff__V1__AgentRef agent = BAILIFF__V1__AGENT_REF__INIT;
    Bailiff__V1__Reason reason = reason_message(o->reason, o->rule);
    Bailiff__V1__Directive d = BAILIFF__V1__DIRECTIVE__INIT;
    Bailiff__V1__WatchResponse m = BAILIFF__V1__WATCH_RESPONSE__INIT;
    struct names few = o->purge;
    if (few.count > NAMES_MAX / 64)
        few.count = NAMES_MAX / 64;
    agent.uri = pb_bytes(o->uri);
    d.directive_id = pb_bytes(id_text('D', o->id, id));
    d.type = types[o->type];
    d.agent = &agent;
    d.call_ids = name_list(o->call_ids, calls, &d.n_call_ids);
    d.purge_targets = name_list(few, purge, &d.n_purge_targets);
    d.epoch = o->epoch;
    d.reason = &reason;
    d.cause_jti = pb_bytes(o->jti);
    m.kind_case = BAILIFF__V1__WATCH_RESPONSE__KIND_DIRECTIVE;
    m.directive = &d;
    pb_pack(&m.base, out);
}

void gate_encode_snapshot_end(uint64_t epoch, uint32_t heartbeat_ms,
                              struct buf *out)
{
    Bailiff__V1__SnapshotEnd s = BAILIFF__V1__SNAPSHOT_END__INIT;
    Bailiff__V1__WatchResponse m = BAILIFF__V1__WATCH_RESPONSE__INIT;
    s.epoch = epoch;
    s.heartbeat_ms = heartbeat_ms;
    m.kind_case = BAILIFF__V1__WATCH_RESPONSE__KIND_SNAPSHOT_END;
    m.snapshot_end = &s;
    pb_pack(&m.base, out);
}

void gate_encode_pong(uint64_t epoch, struct buf *out)
{
    Bailiff__V1__Pong p = BAILIFF__V1__PONG__INIT;
    Bailiff__V1__WatchResponse m = BAILIFF__V1__WATCH_RESPONSE__INIT;
    p.epoch = epoch;
    m.kind_case = BAILIFF__V1__WATCH_RESPONSE__KIND_PONG;
    m.pong = &p;
    pb_pack(&m.base, out);
}
